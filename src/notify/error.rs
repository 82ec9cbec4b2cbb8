//! Why a message was not sent, by what is to be done about it. No text here ever holds a secret.

use std::io;
use std::time::Duration;

use crate::error::Outcome;

/// What a failed attempt means for the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotSent {
    /// The receiver refused this message for good: the same again is of no use.
    Refused,
    /// The receiver does not accept our key. It may be on its way: keys are rotated on two sides.
    KeyRefused,
    /// The key was not found where the configuration says; nothing was sent.
    KeyMissing,
    /// The channel cannot send as it is configured: an address that is not allowed, a template that fails.
    /// What it would have told waits until it is set right.
    Misconfigured,
    /// Not accepted, for a reason that passes.
    Later,
    /// Sent, and no answer came: it may have been accepted.
    Unknown,
}

impl NotSent {
    /// A dead letter at once: trying again without a person would give the same.
    pub fn is_final(self) -> bool {
        self == NotSent::Refused
    }

    /// How a command ends that only wanted to send this.
    pub fn outcome(self) -> Outcome {
        match self {
            NotSent::Refused => Outcome::Failed,
            NotSent::KeyRefused | NotSent::KeyMissing => Outcome::Credentials,
            NotSent::Misconfigured => Outcome::Usage,
            NotSent::Later | NotSent::Unknown => Outcome::Transient,
        }
    }
}

/// Why nothing counts as sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct NotifyError {
    pub kind: NotSent,
    /// One line: what was done and what came of it.
    pub detail: String,
    /// What the receiver asked to wait before the next attempt.
    pub retry_after: Option<Duration>,
}

impl NotifyError {
    pub fn new(kind: NotSent, detail: impl Into<String>) -> NotifyError {
        NotifyError { kind, detail: detail.into(), retry_after: None }
    }

    pub fn refused(detail: impl Into<String>) -> NotifyError {
        NotifyError::new(NotSent::Refused, detail)
    }

    pub fn misconfigured(detail: impl Into<String>) -> NotifyError {
        NotifyError::new(NotSent::Misconfigured, detail)
    }

    pub fn later(detail: impl Into<String>) -> NotifyError {
        NotifyError::new(NotSent::Later, detail)
    }

    pub fn unknown(detail: impl Into<String>) -> NotifyError {
        NotifyError::new(NotSent::Unknown, detail)
    }

    /// With the wait that the receiver asked for.
    pub fn after(self, wait: Option<Duration>) -> NotifyError {
        NotifyError { retry_after: wait, ..self }
    }

    /// What could not be written here.
    pub(super) fn io(what: &str, error: &io::Error) -> NotifyError {
        NotifyError::later(format!("cannot write {what}: {error}"))
    }

    /// No answer within the channel's time limit: whether it arrived is not known.
    pub(super) fn no_answer(limit: Duration) -> NotifyError {
        NotifyError::unknown(format!("no answer within {} s", limit.as_secs()))
    }
}
