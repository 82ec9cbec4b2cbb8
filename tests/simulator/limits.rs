//! Quotas, judged at arrival.

use std::time::Duration;

/// Requests a second and how many may come at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quota {
    pub(crate) per_second: f64,
    pub(crate) burst: f64,
}

/// A token bucket; time is given, never asked for.
#[derive(Debug)]
pub(crate) struct Bucket {
    quota: Quota,
    tokens: f64,
    at: Duration,
}

impl Bucket {
    pub(crate) fn full(quota: Quota, at: Duration) -> Bucket {
        Bucket { quota, tokens: quota.burst, at }
    }

    /// Takes a token, or says how many seconds are missing until there is one.
    pub(crate) fn take(&mut self, at: Duration) -> Result<(), f64> {
        let passed = at.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.quota.per_second).min(self.quota.burst);
        self.at = self.at.max(at);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err((1.0 - self.tokens) / self.quota.per_second.max(f64::MIN_POSITIVE))
    }
}
