//! Whether and when to ask again: one decision for every source, by the class of the fault.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Fault;
use crate::model::FaultKind;

/// A run may repeat so many requests before it has had any success.
const FIRST_TOKENS: f64 = 50.0;
/// Each success allows another tenth.
const TOKENS_PER_SUCCESS: f64 = 0.1;
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A shorter hint is none.
const SHORTEST_HINT: Duration = Duration::from_millis(50);
/// Who is told when to come comes then, and not all in the same instant.
const HINT_JITTER: f64 = 0.02;

/// How often a kind of fault is tried again, and how the waits grow.
struct Class {
    attempts: u32,
    first: Duration,
    /// The first repetition goes at once.
    at_once: bool,
}

fn class(kind: FaultKind) -> Option<Class> {
    let class = |attempts, first_ms, at_once| {
        Some(Class { attempts, first: Duration::from_millis(first_ms), at_once })
    };
    match kind {
        // Until the deadline, or an hour of growing waits.
        FaultKind::RateLimited => class(60, 1_000, false),
        FaultKind::Unavailable | FaultKind::Malformed => class(5, 250, false),
        FaultKind::Network | FaultKind::Timeout => class(5, 250, true),
        _ => None,
    }
}

/// What to do after a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    After(Duration),
    /// Asking again does not help, or was tried often enough.
    GiveUp,
    /// It would help, but this run has repeated enough.
    UsedUp,
}

/// The retry budget of a run: repetitions never multiply an outage.
#[derive(Clone, Debug)]
pub struct Retries {
    tokens: f64,
    random: u64,
}

impl Retries {
    /// `seed` decides the jitter.
    pub fn new(seed: u64) -> Retries {
        Retries { tokens: FIRST_TOKENS, random: seed }
    }

    pub fn succeeded(&mut self) {
        self.tokens = (self.tokens + TOKENS_PER_SUCCESS).min(10.0 * FIRST_TOKENS);
    }

    /// `attempt` counts from 1: the one that ended with this fault.
    pub fn verdict(&mut self, fault: &Fault, attempt: u32) -> Verdict {
        let Some(class) = class(fault.kind) else { return Verdict::GiveUp };
        if attempt >= class.attempts {
            return Verdict::GiveUp;
        }
        // Who waits as long as the server says multiplies nothing.
        let hint = fault.wait.filter(|hint| *hint >= SHORTEST_HINT);
        if hint.is_none() {
            if self.tokens < 1.0 {
                return Verdict::UsedUp;
            }
            self.tokens -= 1.0;
        }
        let wait = match hint {
            Some(hint) => {
                return Verdict::After(hint.mul_f64(1.0 + HINT_JITTER * self.jitter()) + SHORTEST_HINT);
            }
            None if class.at_once && attempt == 1 => Duration::ZERO,
            None => {
                let doublings = attempt - 1 - u32::from(class.at_once && attempt > 1);
                class.first.saturating_mul(1 << doublings.min(16)).min(LONGEST_WAIT)
            }
        };
        Verdict::After(wait.mul_f64(1.0 + self.jitter()))
    }

    /// 0 to 1, from a splitmix sequence.
    fn jitter(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The retry budget that all requests of a run draw on.
#[derive(Clone, Debug)]
pub struct SharedRetries(Arc<Mutex<Retries>>);

impl SharedRetries {
    /// `seed` decides the jitter.
    pub fn new(seed: u64) -> SharedRetries {
        SharedRetries(Arc::new(Mutex::new(Retries::new(seed))))
    }

    /// Whether and when to ask again.
    pub fn verdict(&self, fault: &Fault, attempt: u32) -> Verdict {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).verdict(fault, attempt)
    }

    pub fn succeeded(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).succeeded();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(kind: FaultKind, hint: Option<u64>) -> Vec<u128> {
        let mut retries = Retries::new(7);
        let fault = Fault::new(kind, "").wait(hint.map(Duration::from_secs));
        (1..100)
            .map_while(|attempt| match retries.verdict(&fault, attempt) {
                Verdict::After(wait) => Some(wait.as_millis()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn each_class_waits_as_it_should() {
        assert!(waits(FaultKind::Refused, None).is_empty());
        assert!(waits(FaultKind::Credentials, None).is_empty());
        let unavailable = waits(FaultKind::Unavailable, None);
        assert_eq!(unavailable.len(), 4);
        for (wait, base) in unavailable.iter().zip([250, 500, 1000, 2000]) {
            assert!((base..=2 * base).contains(wait), "{unavailable:?}");
        }
        let network = waits(FaultKind::Network, None);
        assert!(network[0] == 0 && (250..=500).contains(&network[1]), "{network:?}");
        let limited = waits(FaultKind::RateLimited, None);
        assert!(limited.len() > 40 && limited.iter().all(|wait| *wait <= 120_000), "{limited:?}");
        assert!(waits(FaultKind::RateLimited, Some(7)).iter().all(|wait| (7_050..=7_200).contains(wait)));
        let at_once = waits(FaultKind::RateLimited, Some(0));
        assert!(at_once[0] >= 1_000 && at_once.len() < 60, "a hint of nothing is none: {at_once:?}");
    }

    #[test]
    fn when_half_of_all_calls_fail_a_tenth_is_repeated_in_the_long_run() {
        let mut retries = Retries::new(1);
        let fault = Fault::new(FaultKind::Unavailable, "");
        let (mut calls, mut repeated) = (0, 0);
        for product in 0..100_000 {
            calls += 1;
            if product % 2 == 0 {
                retries.succeeded();
            } else if retries.verdict(&fault, 1) != Verdict::UsedUp {
                repeated += 1;
            }
        }
        assert!(repeated as f64 <= 0.1 * f64::from(calls) + FIRST_TOKENS, "{repeated} of {calls}");
    }
}
