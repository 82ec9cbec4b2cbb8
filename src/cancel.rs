//! Stopping cleanly: a token that a signal sets and that stages look at between two units of work.

use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use crate::error::Outcome;

/// Set once, seen by every clone.
#[derive(Clone, Debug, Default)]
pub struct CancelToken {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    reason: OnceLock<Outcome>,
    changed: Notify,
}

impl CancelToken {
    /// Asks for a stop after the current unit of work; the first reason stays.
    pub fn cancel(&self, reason: Outcome) {
        // A second reason changes nothing: the program ends as the first one says.
        let _ = self.inner.reason.set(reason);
        self.inner.changed.notify_waiters();
    }

    pub fn is_cancelled(&self) -> bool {
        self.inner.reason.get().is_some()
    }

    /// How the program ends because of it; null while nobody asked.
    pub fn outcome(&self) -> Option<Outcome> {
        self.inner.reason.get().copied()
    }

    /// Returns when somebody asks for a stop.
    pub async fn cancelled(&self) {
        let changed = self.inner.changed.notified();
        if !self.is_cancelled() {
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_stays_and_every_clone_sees_it() {
        let token = CancelToken::default();
        let other = token.clone();
        assert!(!other.is_cancelled());
        token.cancel(Outcome::Interrupted);
        token.cancel(Outcome::Terminated);
        other.cancelled().await;
        assert_eq!(other.outcome(), Some(Outcome::Interrupted));
    }
}
