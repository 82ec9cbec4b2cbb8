//! The channel type `http`: a request to any interface, with a body from a template of the user's.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use super::address::{Address, addressed};
use super::escape::Escape;
use super::http::Poster;
use super::sample::sample_messages;
use super::templates::{OwnTemplate, Template};
use super::told::Told;
use super::{Message, Notifier, NotifyError, Sending};
use crate::model::Language;

/// What a request is like.
#[derive(Debug)]
pub struct RequestShape {
    pub method: Method,
    pub url: Url,
    /// With the token, which is marked as sensitive.
    pub headers: HeaderMap,
    /// Empty for that of the template's ending.
    pub content_type: String,
}

/// Sends one request a message.
#[derive(Debug)]
pub struct RequestNotifier {
    address: Address,
    poster: Poster,
    shape: RequestShape,
    content_type: HeaderValue,
    is_json: bool,
    template: Template,
}

impl RequestNotifier {
    /// Errors: a template or a content type that is none.
    pub fn new(
        address: Address,
        poster: Poster,
        shape: RequestShape,
        template: &OwnTemplate,
    ) -> Result<RequestNotifier, NotifyError> {
        let ending = template.name.rsplit('.').next().unwrap_or_default();
        let (escape, content_type) = match ending {
            "json" => (Escape::Json, "application/json"),
            "html" => (Escape::Html, "text/html; charset=utf-8"),
            "xml" => (Escape::Html, "application/xml"),
            "txt" => (Escape::Plain, "text/plain; charset=utf-8"),
            _ => {
                let name = &template.name;
                let said = format!("template {name}: its name must end in .json, .html, .xml or .txt");
                return Err(NotifyError::misconfigured(said));
            }
        };
        let content_type = if shape.content_type.is_empty() { content_type } else { &shape.content_type };
        let content_type = HeaderValue::from_str(content_type)
            .map_err(|_| NotifyError::misconfigured("`content_type` is no content type"))?;
        let template = Template::new(Some(template), "", escape)?;
        let is_json = escape == Escape::Json;
        let notifier = RequestNotifier { address, poster, shape, content_type, is_json, template };
        for message in sample_messages(Language::English) {
            notifier.body(&message)?;
        }
        Ok(notifier)
    }

    /// What is sent.
    ///
    /// Errors: a template that fails, or that gives no JSON where it should.
    pub fn body(&self, message: &Message) -> Result<String, NotifyError> {
        let body = self.template.render(&Told::of(message))?;
        if self.is_json
            && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&body)
        {
            let said = format!("its template gives no JSON: {error}; texts need no quotes there");
            return Err(NotifyError::misconfigured(said));
        }
        Ok(body)
    }
}

/// A token as the value of a header; it is never shown.
pub fn token_header(prefix: &str, token: &str) -> Result<HeaderValue, NotifyError> {
    let mut value = HeaderValue::from_str(&format!("{prefix}{token}"))
        .map_err(|_| NotifyError::misconfigured("the token cannot stand in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

impl Notifier for RequestNotifier {
    addressed!();

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        Box::pin(async move {
            let id = HeaderValue::from_str(&message.message_id)
                .map_err(|_| NotifyError::refused("the message's id cannot stand in a header"))?;
            let request = self
                .poster
                .request(self.shape.method.clone(), self.shape.url.clone())
                .header("content-type", self.content_type.clone())
                .header(HeaderName::from_static("idempotency-key"), id)
                .headers(self.shape.headers.clone())
                .body(self.body(message)?);
            self.poster.send(request).await.map(drop)
        })
    }
}
