//! The channel type `ntfy`: a push message to a topic.

use reqwest::Url;
use serde_json::{Value, json};

use super::address::{Address, addressed};
use super::escape::Escape;
use super::http::Poster;
use super::templates::{self, OwnTemplate, Template};
use super::told::Told;
use super::{Message, Notifier, NotifyError, Sending};
use crate::sources::secret::Secret;

/// Bytes of a message; ntfy makes a file of a longer one.
const MOST_BYTES: usize = 4_000;

/// Publishes to one topic.
#[derive(Debug)]
pub struct NtfyNotifier {
    address: Address,
    poster: Poster,
    url: Url,
    topic: String,
    token: Option<Secret>,
    template: Template,
}

impl NtfyNotifier {
    /// Errors: an own template that is none.
    pub fn new(
        address: Address,
        poster: Poster,
        url: Url,
        topic: String,
        token: Option<Secret>,
        own: Option<&OwnTemplate>,
    ) -> Result<NtfyNotifier, NotifyError> {
        let template = Template::new(own, templates::PLAIN, Escape::Plain)?;
        Ok(NtfyNotifier { address, poster, url, topic, token, template })
    }

    /// What is posted.
    pub fn body(&self, message: &Message) -> Result<Value, NotifyError> {
        let told = Told::of(message);
        let (priority, tag) = match told.worst.as_str() {
            "critical" => (5, "rotating_light"),
            "high" => (4, "warning"),
            "medium" => (3, "bell"),
            _ => (2, "information_source"),
        };
        let text = self.template.render(&told)?;
        let mut body = json!({
            "topic": self.topic,
            "title": told.subject,
            "message": within(text.trim_end(), MOST_BYTES),
            "priority": priority,
            "tags": [tag],
        });
        if let [only] = told.events.as_slice()
            && !only.url.is_empty()
        {
            body["click"] = json!(only.url);
        }
        Ok(body)
    }
}

/// At most so many bytes, whole lines where there are several.
fn within(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes.saturating_sub("…".len()));
    let head = &text[..end];
    format!("{}…", head.rfind('\n').map_or(head, |line| &head[..=line]))
}

impl Notifier for NtfyNotifier {
    addressed!();

    /// As many as fit into one message, three short lines each.
    fn most_digested(&self) -> usize {
        12
    }

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        Box::pin(async move {
            let mut request = self.poster.post(self.url.clone()).json(&self.body(message)?);
            if let Some(token) = &self.token {
                request = request.bearer_auth(token.reveal());
            }
            self.poster.send(request).await.map(drop)
        })
    }
}
