//! The channel type `telegram`: a bot's message to one chat.

use std::time::Duration;

use reqwest::Url;
use serde_json::{Value, json};

use super::address::{Address, addressed};
use super::escape::Escape;
use super::http::{Answer, Poster};
use super::templates::{self, OwnTemplate, Template, cut};
use super::told::Told;
use super::{Message, NotSent, Notifier, NotifyError, Sending};

/// Telegram counts 4,096 characters after it has read the markup.
const MOST_CHARS: usize = 4_000;

/// Sends to one chat, which is the recipient.
#[derive(Debug)]
pub struct TelegramNotifier {
    address: Address,
    poster: Poster,
    /// With the bot's token.
    url: Url,
    template: Template,
}

impl TelegramNotifier {
    /// Errors: an own template that is none.
    pub fn new(
        address: Address,
        poster: Poster,
        url: Url,
        own: Option<&OwnTemplate>,
    ) -> Result<TelegramNotifier, NotifyError> {
        let template = Template::new(own, templates::TELEGRAM, Escape::Telegram)?;
        Ok(TelegramNotifier { address, poster, url, template })
    }

    /// What is posted.
    pub fn body(&self, message: &Message) -> Result<Value, NotifyError> {
        let text = self.template.render(&Told::of(message))?;
        Ok(json!({
            "chat_id": self.address.recipient,
            "text": cut(&text, MOST_CHARS),
            "parse_mode": "HTML",
            "link_preview_options": { "is_disabled": true },
        }))
    }
}

impl Notifier for TelegramNotifier {
    addressed!();

    /// As many as fit into one message, three short lines each.
    fn most_digested(&self) -> usize {
        12
    }

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        Box::pin(async move {
            let request = self.poster.post(self.url.clone()).json(&self.body(message)?);
            let answer = self.poster.ask(request).await?;
            if answer.status.is_success() { Ok(()) } else { Err(refusal(&self.poster, &answer)) }
        })
    }
}

/// Telegram says in the body how long to wait, and 404 to a token that it does not know.
fn refusal(poster: &Poster, answer: &Answer) -> NotifyError {
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let mut error = poster.refusal(answer);
    error.kind = match answer.status.as_u16() {
        404 => NotSent::KeyRefused,
        // The chat does not want the bot; the token is good.
        403 => NotSent::Refused,
        _ => error.kind,
    };
    let wait = said["parameters"]["retry_after"].as_u64().map(Duration::from_secs);
    error.retry_after = wait.or(error.retry_after);
    error
}
