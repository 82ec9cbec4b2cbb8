//! How fast a channel is spoken to, and when it is left alone for a while.

use std::time::Duration;

use tokio::time::Instant;

/// After so many messages in a row that were not accepted a channel rests.
const FAILURES_IN_A_ROW: u32 = 10;
/// One that does not answer rests sooner: each such message costs its whole time limit.
const SILENCES_IN_A_ROW: u32 = 3;
/// How long the first rest is; each that follows without a success between is twice as long, up to the longest.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(300);

/// Messages at even distances.
#[derive(Debug)]
pub(super) struct Pace {
    distance: Duration,
    next: Option<Instant>,
}

impl Pace {
    pub(super) fn new(per_minute: Option<u32>) -> Pace {
        let distance = per_minute.map_or(Duration::ZERO, |limit| Duration::from_secs(60) / limit.max(1));
        Pace { distance, next: None }
    }

    /// Returns when the next message may go.
    pub(super) async fn turn(&self) {
        if let Some(next) = self.next {
            tokio::time::sleep_until(next).await;
        }
    }

    /// A message goes now.
    pub(super) fn went(&mut self, now: Instant) {
        self.next = (!self.distance.is_zero()).then(|| now + self.distance);
    }
}

/// How an attempt ended, as far as the channel's health is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sign {
    Accepted,
    NotAccepted,
    Silence,
    /// Every other message would fare the same.
    Hopeless,
    /// The receiver asked for this pause.
    Pause(Duration),
}

/// Why a channel is left alone, and for how long still.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rest {
    /// Too much went wrong in a row.
    Sick(Duration),
    /// The receiver asked for it.
    Asked(Duration),
}

/// A channel's health: how many failures there were in a row, and until when it is left alone.
#[derive(Debug, Default)]
pub(super) struct Health {
    failures: u32,
    silences: u32,
    rests: u32,
    sick_until: Option<Instant>,
    paused_until: Option<Instant>,
}

impl Health {
    pub(super) fn see(&mut self, sign: Sign, now: Instant) {
        match sign {
            Sign::Accepted => return (self.failures, self.silences, self.rests) = (0, 0, 0),
            Sign::NotAccepted => self.failures += 1,
            Sign::Silence => {
                self.failures += 1;
                self.silences += 1;
            }
            Sign::Hopeless => self.failures = FAILURES_IN_A_ROW,
            Sign::Pause(wait) => {
                self.failures += 1;
                self.paused_until = self.paused_until.max(Some(now + wait));
            }
        }
        if self.failures >= FAILURES_IN_A_ROW || self.silences >= SILENCES_IN_A_ROW {
            (self.failures, self.silences) = (0, 0);
            let rest = FIRST_REST.saturating_mul(1 << self.rests.min(16)).min(LONGEST_REST);
            self.sick_until = self.sick_until.max(Some(now + rest));
            self.rests += 1;
        }
    }

    /// Null when it may be spoken to.
    pub(super) fn rest(&self, now: Instant) -> Option<Rest> {
        let left = |until: Option<Instant>| {
            until.map(|until| until.saturating_duration_since(now)).filter(|left| !left.is_zero())
        };
        left(self.sick_until).map(Rest::Sick).or(left(self.paused_until).map(Rest::Asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(signs: &[Sign]) -> Option<Rest> {
        let (mut health, now) = (Health::default(), Instant::now());
        signs.iter().for_each(|sign| health.see(*sign, now));
        health.rest(now)
    }

    #[test]
    fn a_channel_rests_after_failures_in_a_row_and_longer_each_time() {
        let failures = [Sign::NotAccepted; 10];
        assert_eq!(health(&failures[..9]), None);
        assert_eq!(health(&failures), Some(Rest::Sick(FIRST_REST)));
        assert_eq!(health(&[&failures[..9], &[Sign::Accepted], &failures[..9]].concat()), None);
        assert_eq!(health(&[Sign::Silence; 2]), None);
        assert_eq!(health(&[Sign::Silence; 3]), Some(Rest::Sick(FIRST_REST)));
        assert_eq!(health(&[Sign::Hopeless]), Some(Rest::Sick(FIRST_REST)));
        assert_eq!(health(&failures.repeat(3)), Some(Rest::Sick(FIRST_REST * 4)));
        assert_eq!(health(&failures.repeat(40)), Some(Rest::Sick(LONGEST_REST)));
    }

    #[test]
    fn a_pause_that_was_asked_for_is_kept_and_ends() {
        let (mut health, now) = (Health::default(), Instant::now());
        health.see(Sign::Pause(Duration::from_secs(30)), now);
        health.see(Sign::Pause(Duration::from_secs(10)), now);
        assert_eq!(health.rest(now), Some(Rest::Asked(Duration::from_secs(30))));
        assert_eq!(health.rest(now + Duration::from_secs(29)), Some(Rest::Asked(Duration::from_secs(1))));
        assert_eq!(health.rest(now + Duration::from_secs(30)), None);
    }

    #[tokio::test]
    async fn messages_keep_their_distance() {
        let (mut pace, now) = (Pace::new(Some(120)), Instant::now());
        pace.turn().await;
        pace.went(now);
        assert_eq!(pace.next, Some(now + Duration::from_millis(500)));
        let mut pace = Pace::new(None);
        pace.went(now);
        assert_eq!(pace.next, None);
    }
}
