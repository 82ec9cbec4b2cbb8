//! Ways out for alerts: one shape for every channel, and its error.
//!
//! A notifier sends messages and keeps no books: what was claimed, delivered, tried again or given up is
//! decided and recorded by `stages::deliver`. It knows no database and no rules; of a payload it reads what
//! it tells people.
//!
//! | part | what it is |
//! | --- | --- |
//! | `message`, `error` | what is sent, and what a failure means for the next attempt |
//! | `told`, `words`, `templates`, `escape` | a message as people read it, in their language and where they read it |
//! | `body` | a message as programs read it |
//! | `http`, `guard` | posting, and where nothing is posted to |
//! | one file a channel | `file`, `stdout`, `mail`, `webhook`, `chat`, `telegram`, `ntfy`, `request`, `aws`, `exec` |

mod address;
mod aws;
mod body;
mod chat;
mod error;
mod escape;
mod exec;
mod file;
mod guard;
mod http;
mod mail;
mod message;
mod ntfy;
mod request;
mod sample;
mod sigv4;
mod stdout;
mod telegram;
mod templates;
mod told;
mod webhook;
mod words;

use std::future::Future;
use std::pin::Pin;

pub use address::Address;
pub use aws::{AwsNotifier, Target};
pub use body::GROUP_SCHEMA;
pub use chat::{Chat, ChatNotifier};
pub use error::{NotSent, NotifyError};
pub use exec::ExecNotifier;
pub use file::FileNotifier;
pub use guard::Guard;
pub use http::Poster;
pub use mail::{MailNotifier, MailServer, MailTemplates, MailTls, Sender, mailbox};
pub use message::{Digest, DigestPeriod, Event, Message};
pub use ntfy::NtfyNotifier;
pub use request::{RequestNotifier, RequestShape, token_header};
pub use sample::{sample_messages, test_message};
pub use sigv4::AwsKeys;
pub use stdout::{EventStyle, StdoutNotifier};
pub use telegram::TelegramNotifier;
pub use templates::OwnTemplate;
pub use webhook::{SigningKeys, WebhookNotifier};

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

    /// How many events one digest may tell of: what is more comes in another one.
    fn most_digested(&self) -> usize {
        500
    }

    /// Sends one message. After an error it does not count as sent, though it may have been.
    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a>;
}

#[cfg(test)]
mod channel_tests;
