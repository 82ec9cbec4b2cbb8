//! A source's circuit breaker: after failures in a row it lets nothing through, then one probe, then everything again.

use std::time::Duration;

use chrono::TimeDelta;

use crate::model::{BreakerPosition, FaultKind, SourceState, Timestamp};

/// Failures in a row that open it.
const THRESHOLD: u32 = 5;
const FIRST_COOLDOWN: Duration = Duration::from_secs(30);
const LONGEST_COOLDOWN: Duration = Duration::from_secs(15 * 60);

/// What a breaker says to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    Pass,
    /// Pass, as the only one: its end decides.
    Probe,
    /// Come back then.
    Wait(Timestamp),
    /// A probe is on its way.
    AfterProbe,
}

/// A breaker with the history of its source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Breaker {
    state: SourceState,
    probing: bool,
}

impl Breaker {
    /// Goes on where the last run left it; a probe of that run has ended with it.
    pub fn new(source: &str, stored: Option<SourceState>) -> Breaker {
        let state = stored.unwrap_or_else(|| SourceState {
            source: source.to_owned(),
            breaker: BreakerPosition::Closed,
            failures: 0,
            retry_at: None,
            cooldown_ms: 0,
            reason: String::new(),
            last_success_at: None,
            last_failure_at: None,
            balance: String::new(),
        });
        Breaker { state, probing: false }
    }

    pub fn state(&self) -> &SourceState {
        &self.state
    }

    pub fn is_closed(&self) -> bool {
        self.state.breaker == BreakerPosition::Closed
    }

    /// May a request go? The answer `Probe` takes the only place there is.
    pub fn admit(&mut self, now: Timestamp) -> Admission {
        match self.state.breaker {
            BreakerPosition::Closed => Admission::Pass,
            _ if self.probing => Admission::AfterProbe,
            _ => match self.state.retry_at {
                Some(at) if at > now => Admission::Wait(at),
                _ => {
                    self.state.breaker = BreakerPosition::HalfOpen;
                    self.probing = true;
                    Admission::Probe
                }
            },
        }
    }

    pub fn succeeded(&mut self, now: Timestamp, balance: Option<String>) {
        self.probing = false;
        let state = &mut self.state;
        state.breaker = BreakerPosition::Closed;
        (state.failures, state.retry_at, state.cooldown_ms) = (0, None, 0);
        state.reason.clear();
        state.last_success_at = Some(now);
        if let Some(balance) = balance {
            state.balance = balance;
        }
    }

    /// Counts a failure if it says something about the source's health; a refusal of one request does not. Answers
    /// whether that opened it.
    pub fn failed(&mut self, now: Timestamp, kind: FaultKind, detail: &str) -> bool {
        let was_probe = std::mem::take(&mut self.probing);
        let state = &mut self.state;
        if !is_illness(kind) {
            if was_probe {
                // It answered, if not as hoped.
                state.breaker = BreakerPosition::Closed;
                (state.failures, state.retry_at) = (0, None);
            }
            return false;
        }
        state.failures = state.failures.saturating_add(1);
        state.last_failure_at = Some(now);
        let opens = was_probe || (state.breaker == BreakerPosition::Closed && state.failures >= THRESHOLD);
        if opens {
            let cooldown = match (was_probe, state.cooldown_ms) {
                (true, before) if before > 0 => Duration::from_millis(before.unsigned_abs()) * 2,
                _ => FIRST_COOLDOWN,
            };
            let cooldown = cooldown.min(LONGEST_COOLDOWN);
            state.cooldown_ms = cooldown.as_millis() as i64;
            state.breaker = BreakerPosition::Open;
            state.retry_at = Some(now + TimeDelta::from_std(cooldown).unwrap_or_default());
            state.reason = format!("{kind}: {detail}");
        }
        opens
    }

    /// The probe's place is free again without a verdict: it was never sent.
    pub fn withdrawn(&mut self) {
        self.probing = false;
    }
}

fn is_illness(kind: FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::Unavailable
            | FaultKind::Network
            | FaultKind::Timeout
            | FaultKind::Malformed
            | FaultKind::Blocked
            | FaultKind::JobFailed
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn five_failures_open_it_one_probe_decides_and_each_failed_probe_doubles_the_wait() {
        let mut breaker = Breaker::new("keepa", None);
        for second in 0..5 {
            assert_eq!(breaker.admit(at(second)), Admission::Pass);
            breaker.failed(at(second), FaultKind::Unavailable, "status 503");
        }
        assert_eq!(breaker.admit(at(5)), Admission::Wait(at(34)));
        assert_eq!(breaker.admit(at(34)), Admission::Probe);
        assert_eq!(breaker.admit(at(34)), Admission::AfterProbe);
        breaker.failed(at(35), FaultKind::Timeout, "no answer in time");
        assert_eq!(breaker.admit(at(36)), Admission::Wait(at(95)));
        assert_eq!(breaker.state().reason, "timeout: no answer in time");
        assert_eq!(breaker.admit(at(95)), Admission::Probe);
        breaker.succeeded(at(96), None);
        assert_eq!(breaker.admit(at(96)), Admission::Pass);
        assert_eq!((breaker.state().failures, breaker.state().cooldown_ms), (0, 0));
    }

    #[test]
    fn a_success_or_a_refusal_in_between_keeps_it_closed_and_the_next_run_goes_on() {
        let mut breaker = Breaker::new("keepa", None);
        for second in 0..20 {
            breaker.failed(at(second), FaultKind::Network, "reset");
            breaker.failed(at(second), FaultKind::Refused, "status 400");
            if second % 4 == 3 {
                breaker.succeeded(at(second), Some("7 tokens".into()));
            }
        }
        assert!(breaker.is_closed());
        let opened: Vec<bool> =
            (20..26).map(|second| breaker.failed(at(second), FaultKind::Network, "reset")).collect();
        assert_eq!(opened, [false, false, false, false, true, false]);
        let mut next = Breaker::new("keepa", Some(breaker.state().clone()));
        assert_eq!(next.admit(at(26)), Admission::Wait(at(54)));
        assert_eq!(next.state().balance, "7 tokens");
        assert_eq!(next.admit(at(54)), Admission::Probe);
        next.failed(at(55), FaultKind::Refused, "status 404");
        assert_eq!(next.admit(at(55)), Admission::Pass, "whoever answers is well");
    }
}
