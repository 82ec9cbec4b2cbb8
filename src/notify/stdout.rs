//! The channel `stdout`: one line per event, at least once.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use super::{Message, Notifier, NotifyError, ONLY_RECIPIENT, Sending};
use crate::ids::short_id;
use crate::render::rows::printable;

/// How an event is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventStyle {
    /// The payload as it is.
    Json,
    /// A line for people: severity, product, message, the alert's first digits.
    Text,
}

/// Prints a text, or says why it could not.
type Print = Box<dyn FnMut(&str) -> io::Result<()> + Send>;

/// Prints events with the function it is given: what stdout is, the program decides.
pub struct StdoutNotifier {
    style: EventStyle,
    print: Mutex<Print>,
}

impl StdoutNotifier {
    /// Its name in deliveries.
    pub const CHANNEL: &'static str = "stdout";

    pub fn new(
        style: EventStyle,
        print: impl FnMut(&str) -> io::Result<()> + Send + 'static,
    ) -> StdoutNotifier {
        StdoutNotifier { style, print: Mutex::new(Box::new(print)) }
    }
}

impl fmt::Debug for StdoutNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdoutNotifier").field("style", &self.style).finish_non_exhaustive()
    }
}

impl Notifier for StdoutNotifier {
    fn channel(&self) -> &str {
        StdoutNotifier::CHANNEL
    }

    fn recipient(&self) -> &str {
        ONLY_RECIPIENT
    }

    fn most_events(&self) -> usize {
        1
    }

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        let lines = message.events.iter().map(|event| match self.style {
            EventStyle::Json => event.payload.clone(),
            EventStyle::Text => text_line(&event.payload),
        });
        let text: String = lines.map(|line| line + "\n").collect();
        let printed = (self.print.lock().unwrap_or_else(PoisonError::into_inner))(&text);
        Box::pin(async move { printed.map_err(|error| NotifyError::io("standard output", &error)) })
    }
}

#[derive(Deserialize)]
struct Spoken {
    event_type: String,
    alert_id: String,
    severity: String,
    /// Null where it is about a source.
    marketplace: Option<String>,
    asin: Option<String>,
    message: String,
    /// What people should know before they rely on it.
    caveat: Option<String>,
}

/// `CRITICAL US:B0FDKB341G out of stock: in stock → unavailable (…) [c314df0642]`.
fn text_line(payload: &str) -> String {
    let Ok(event) = serde_json::from_str::<Spoken>(payload) else { return payload.to_owned() };
    let product = match (&event.marketplace, &event.asin) {
        (Some(marketplace), Some(asin)) => format!(" {marketplace}:{asin}"),
        _ => String::new(),
    };
    let escalated = if event.event_type == "alert.escalated" { " (escalated)" } else { "" };
    let caveat = event.caveat.map_or_else(String::new, |caveat| format!("; {caveat}"));
    let (id, severity) = (short_id(&event.alert_id), event.severity.to_uppercase());
    printable(&format!("{severity}{escalated}{product} {}{caveat} [{id}]", event.message))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::model::Language;
    use crate::notify::Event;

    fn message(payload: &str) -> Message {
        let event = Event { event_id: "e1".into(), payload: payload.into() };
        Message::of_one(event, false, Language::English)
    }

    async fn printed(style: EventStyle, payload: &str) -> String {
        let out = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&out);
        let notifier = StdoutNotifier::new(style, move |text: &str| {
            sink.lock().unwrap().push_str(text);
            Ok(())
        });
        notifier.send(&message(payload)).await.unwrap();
        drop(notifier);
        Arc::into_inner(out).unwrap().into_inner().unwrap()
    }

    #[tokio::test]
    async fn an_event_is_one_line_for_people_or_its_payload_for_programs() {
        let payload = r#"{"schema":"amzctl.alert-event/1","event_id":"e1","event_type":"alert.opened","alert_id":"0123456789abcdef","severity":"high",
            "marketplace":"US","asin":"B0FDKB341G","message":"price fell \u001b[31m40.0 %"}"#
            .replace('\n', "");
        assert_eq!(
            printed(EventStyle::Text, &payload).await,
            "HIGH US:B0FDKB341G price fell [31m40.0 % [0123456789]\n"
        );
        assert_eq!(printed(EventStyle::Json, &payload).await, payload.clone() + "\n");
        let unsure = payload.replace("\"message\"", "\"caveat\":\"not confirmed\",\"message\"");
        let line = printed(EventStyle::Text, &unsure).await;
        assert!(line.ends_with("40.0 %; not confirmed [0123456789]\n"), "{line}");
        let of_a_source =
            payload.replace("alert.opened", "alert.escalated").replace("\"B0FDKB341G\"", "null");
        assert!(printed(EventStyle::Text, &of_a_source).await.starts_with("HIGH (escalated) price fell "));
    }

    #[tokio::test]
    async fn a_closed_stdout_is_a_failed_attempt() {
        let notifier =
            StdoutNotifier::new(EventStyle::Json, |_: &str| Err(io::Error::from(io::ErrorKind::StorageFull)));
        let error = notifier.send(&message("{}")).await.unwrap_err();
        assert!(error.to_string().starts_with("cannot write standard output: "), "{error}");
    }
}
