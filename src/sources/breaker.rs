//! A source's circuit breaker: after failures in a row it lets nothing through, then one probe, then everything again.

use std::time::Duration;

use chrono::TimeDelta;

use crate::model::{BreakerPosition, FaultKind, SourceState, Timestamp};

/// Failures in a row that open it: where two of five requests fail by chance, that is one row in ten thousand.
const THRESHOLD: u32 = 10;
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

/// Whose trouble a failure is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blame {
    /// As far as anybody knows.
    Source,
    /// The request failed before, and the source has answered others since.
    Request,
}

/// A breaker with the history of its source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Breaker {
    state: SourceState,
    probing: bool,
    answers: u64,
    openings: u64,
}

impl Breaker {
    /// Goes on where the last run left it; a probe of that run has ended with it, and a clock that went back makes no
    /// wait longer than it was.
    pub fn new(source: &str, stored: Option<SourceState>, now: Timestamp) -> Breaker {
        let mut state = stored.unwrap_or_else(|| SourceState {
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
        let longest =
            TimeDelta::milliseconds(state.cooldown_ms.clamp(0, LONGEST_COOLDOWN.as_millis() as i64));
        state.retry_at = state.retry_at.map(|at| at.min(now + longest));
        Breaker { state, probing: false, answers: 0, openings: 0 }
    }

    pub fn state(&self) -> &SourceState {
        &self.state
    }

    /// How many requests the source has answered in this run.
    pub fn answers(&self) -> u64 {
        self.answers
    }

    /// How often it has opened in this run.
    pub fn openings(&self) -> u64 {
        self.openings
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

    /// An answer to a request that was sent when it had opened so often: one that was sent since the last time closes it,
    /// a straggler only says when it came.
    pub fn succeeded(&mut self, now: Timestamp, balance: Option<String>, openings: u64) {
        self.answers += 1;
        let state = &mut self.state;
        state.last_success_at = Some(now);
        if let Some(balance) = balance {
            state.balance = balance;
        }
        if openings != self.openings && state.breaker != BreakerPosition::Closed {
            return;
        }
        self.probing = false;
        state.breaker = BreakerPosition::Closed;
        (state.failures, state.retry_at, state.cooldown_ms) = (0, None, 0);
        state.reason.clear();
    }

    /// Counts a failure if it says something about the source's health: a refusal does not, nor does a request that fails
    /// again while others are answered. Answers whether that opened it.
    pub fn failed(
        &mut self,
        now: Timestamp,
        kind: FaultKind,
        detail: &str,
        blame: Blame,
        is_probe: bool,
    ) -> bool {
        if is_probe {
            self.probing = false;
        }
        let state = &mut self.state;
        if !is_illness(kind) {
            if is_probe {
                // It answered, if not as hoped.
                state.breaker = BreakerPosition::Closed;
                (state.failures, state.retry_at) = (0, None);
            }
            return false;
        }
        state.last_failure_at = Some(now);
        if blame == Blame::Request {
            // As a probe it has decided nothing: the next request is one.
            return false;
        }
        state.failures = state.failures.saturating_add(1);
        let opens = is_probe || (state.breaker == BreakerPosition::Closed && state.failures >= THRESHOLD);
        if opens {
            let cooldown = match (is_probe, state.cooldown_ms) {
                (true, before) if before > 0 => Duration::from_millis(before.unsigned_abs()) * 2,
                _ => FIRST_COOLDOWN,
            };
            let cooldown = cooldown.min(LONGEST_COOLDOWN);
            state.cooldown_ms = cooldown.as_millis() as i64;
            self.openings += 1;
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

    /// Keeps why the source is not asked any more: what a key or a balance does to it.
    pub fn note(&mut self, reason: String) {
        self.state.reason = reason;
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
    fn failures_in_a_row_open_it_one_probe_decides_and_each_failed_probe_doubles_the_wait() {
        let mut breaker = Breaker::new("keepa", None, at(0));
        for second in -5..5 {
            assert_eq!(breaker.admit(at(second)), Admission::Pass);
            breaker.failed(at(second), FaultKind::Unavailable, "status 503", Blame::Source, false);
        }
        assert_eq!(breaker.admit(at(5)), Admission::Wait(at(34)));
        assert_eq!(breaker.admit(at(34)), Admission::Probe);
        assert_eq!(breaker.admit(at(34)), Admission::AfterProbe);
        breaker.failed(at(35), FaultKind::Timeout, "no answer in time", Blame::Source, true);
        assert_eq!(breaker.admit(at(36)), Admission::Wait(at(95)));
        assert_eq!(breaker.state().reason, "timeout: no answer in time");
        assert_eq!(breaker.admit(at(95)), Admission::Probe);
        breaker.succeeded(at(96), None, 2);
        assert_eq!(breaker.admit(at(96)), Admission::Pass);
        assert_eq!((breaker.state().failures, breaker.state().cooldown_ms), (0, 0));
    }

    #[test]
    fn a_success_or_a_refusal_in_between_keeps_it_closed_and_the_next_run_goes_on() {
        let mut breaker = Breaker::new("keepa", None, at(0));
        for second in 0..14 {
            breaker.failed(at(second), FaultKind::Network, "reset", Blame::Source, false);
            breaker.failed(at(second), FaultKind::Refused, "status 400", Blame::Source, false);
            if second % 7 == 6 {
                breaker.succeeded(at(second), Some("7 tokens".into()), 0);
            }
        }
        assert!(breaker.is_closed());
        let opened: Vec<bool> = (15..26)
            .map(|second| breaker.failed(at(second), FaultKind::Network, "reset", Blame::Source, false))
            .collect();
        assert_eq!(opened, [[false; 9].as_slice(), &[true, false]].concat());
        let mut next = Breaker::new("keepa", Some(breaker.state().clone()), at(26));
        assert_eq!(next.admit(at(26)), Admission::Wait(at(54)));
        assert_eq!(next.state().balance, "7 tokens");
        assert_eq!(next.admit(at(54)), Admission::Probe);
        next.failed(at(55), FaultKind::Refused, "status 404", Blame::Source, true);
        assert_eq!(next.admit(at(55)), Admission::Pass, "whoever answers is well");
    }

    #[test]
    fn what_was_sent_before_it_opened_decides_nothing() {
        let mut breaker = Breaker::new("keepa", None, at(0));
        (-5..5).for_each(|second| {
            breaker.failed(at(second), FaultKind::Network, "reset", Blame::Source, false);
        });
        assert!(!breaker.failed(at(5), FaultKind::Network, "reset", Blame::Source, false));
        breaker.succeeded(at(6), None, 0);
        assert_eq!(breaker.admit(at(7)), Admission::Wait(at(34)));
        assert_eq!(breaker.admit(at(34)), Admission::Probe);
        breaker.failed(at(35), FaultKind::Network, "reset", Blame::Source, false);
        breaker.succeeded(at(35), None, 0);
        assert_eq!(breaker.admit(at(35)), Admission::AfterProbe, "the probe is still out");
    }

    #[test]
    fn a_clock_that_went_back_makes_no_wait_longer() {
        let mut breaker = Breaker::new("keepa", None, at(0));
        (-5..5).for_each(|second| {
            breaker.failed(at(second), FaultKind::Network, "reset", Blame::Source, false);
        });
        let year = 365 * 86_400;
        let mut earlier = Breaker::new("keepa", Some(breaker.state().clone()), at(-year));
        assert_eq!(earlier.admit(at(-year)), Admission::Wait(at(30 - year)));
    }

    #[test]
    fn a_request_that_fails_while_others_are_answered_says_nothing_of_the_source() {
        let mut breaker = Breaker::new("keepa", None, at(0));
        let own = |breaker: &mut Breaker, second, is_probe| {
            breaker.failed(at(second), FaultKind::Unavailable, "status 500", Blame::Request, is_probe)
        };
        assert!((0..100).all(|second| !own(&mut breaker, second, false)));
        assert!(breaker.is_closed());
        (90..100).for_each(|second| {
            breaker.failed(at(second), FaultKind::Network, "reset", Blame::Source, false);
        });
        assert_eq!(breaker.admit(at(129)), Admission::Probe);
        assert!(!own(&mut breaker, 130, true));
        assert_eq!(breaker.admit(at(130)), Admission::Probe, "that probe decided nothing");
    }

    #[test]
    fn whatever_is_answered_since_it_opened_closes_it() {
        let mut breaker = Breaker::new("apify", None, at(0));
        (-5..5).for_each(|second| {
            breaker.failed(at(second), FaultKind::Network, "reset", Blame::Source, false);
        });
        assert_eq!(breaker.admit(at(34)), Admission::Probe);
        assert!(breaker.failed(at(35), FaultKind::Network, "reset", Blame::Source, true));
        // The same request once more, on its own row of the ledger.
        breaker.succeeded(at(36), None, breaker.openings());
        assert_eq!(breaker.admit(at(36)), Admission::Pass);
    }
}
