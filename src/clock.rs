//! The clock: system time in production, a settable time in tests (`AMZCTL_NOW`). Nothing else asks for the time.

use std::time::Instant;

use crate::model::Timestamp;

/// Where "now" comes from.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    System,
    /// Stands still at this instant.
    Fixed(Timestamp),
}

impl Clock {
    pub fn now(self) -> Timestamp {
        match self {
            #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
            Clock::System => chrono::Utc::now(),
            Clock::Fixed(at) => at,
        }
    }
}

/// Measures how long something took, for the log; unlike the clock it never stands still.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    pub(crate) fn elapsed_ms(self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
