//! Ways out for alerts: one shape for every channel, and its error.
//!
//! A notifier sends messages and keeps no books: what was claimed, delivered, tried again or given up is decided and
//! recorded by `stages::deliver`. It knows no database and no rules; of a payload it reads what it tells people.

mod error;
mod file;
mod message;
mod stdout;

use std::future::Future;
use std::pin::Pin;

pub use error::{NotSent, NotifyError};
pub use file::FileNotifier;
pub use message::{Digest, DigestPeriod, Event, Message};
pub use stdout::{EventStyle, StdoutNotifier};

/// The schema of an event's payload, which is its first field.
pub const EVENT_SCHEMA: &str = "amzctl.alert-event/1";

/// The recipient of a channel that has only one.
pub const ONLY_RECIPIENT: &str = "-";

/// What [`Notifier::send`] gives back.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), NotifyError>> + Send + 'a>>;

/// One channel with one recipient. Several messages may be on their way at once.
pub trait Notifier: Send + Sync {
    /// The channel's configured name, which deliveries carry: `stdout`, `file`, `ops-mail`.
    fn channel(&self) -> &str;

    /// Who is told, as the configuration names it; [`ONLY_RECIPIENT`] where there is nobody else.
    fn recipient(&self) -> &str;

    /// How many events one message may tell of; a digest may have more.
    fn most_events(&self) -> usize;

    /// Sends one message. After an error it does not count as sent, though it may have been.
    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a>;
}
