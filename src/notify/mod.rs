//! Ways out for alerts: one shape for every channel, and its error.
//!
//! A notifier sends events and keeps no books: what was claimed, delivered, tried again or given up is decided and
//! recorded by `stages::deliver`. It knows no database and no rules; a payload is bytes to it.

mod file;
mod stdout;

use std::future::Future;
use std::pin::Pin;

pub use file::FileNotifier;
pub use stdout::{EventStyle, StdoutNotifier};

/// The schema of every payload, which is its first field.
pub const EVENT_SCHEMA: &str = "amzctl.alert-event/1";

/// One event on its way out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// The same at every attempt: what a receiver that can deduplicates by.
    pub event_id: String,
    /// One line of JSON, the same bytes at every attempt.
    pub payload: String,
    /// An earlier attempt may have reached the receiver.
    pub maybe_sent: bool,
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    #[error("cannot write {what}")]
    Io {
        what: String,
        #[source]
        source: std::io::Error,
    },
}

/// What [`Notifier::send`] gives back.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), NotifyError>> + Send + 'a>>;

/// One channel with one recipient.
pub trait Notifier: Send {
    /// The channel's name in deliveries: `stdout`, `file`.
    fn channel(&self) -> &'static str;

    /// Who is told, as the configuration names it.
    fn recipient(&self) -> &str;

    /// How many events are sent, and recorded as sent, together. More than one only where a repetition after a
    /// crash is recognised.
    fn batch_size(&self) -> usize;

    /// Sends the events in order. After an error none of them counts as sent, though some may have been.
    fn send<'a>(&'a mut self, events: &'a [Event]) -> Sending<'a>;
}
