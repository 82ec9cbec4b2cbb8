//! What asking a provider costs, and how it can go wrong.

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::observation::words;

/// What something cost, or is expected to cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Cost {
    /// In the provider's own unit: tokens, credits, results, requests.
    pub units: i64,
    /// Millionths of a dollar; null when no price is known.
    pub micros: Option<i64>,
}

impl Cost {
    pub const NOTHING: Cost = Cost { units: 0, micros: Some(0) };

    /// `units` at a price each, where there is one.
    pub fn of_units(units: i64, micros_each: Option<i64>) -> Cost {
        Cost { units, micros: micros_each.map(|each| units.saturating_mul(each)) }
    }

    /// The sum; its money is unknown where one of them is.
    pub fn plus(self, other: Cost) -> Cost {
        let micros = self.micros.zip(other.micros).map(|(a, b)| a.saturating_add(b));
        Cost { units: self.units.saturating_add(other.units), micros }
    }

    pub fn minus(self, other: Cost) -> Cost {
        self.plus(Cost { units: -other.units, micros: other.micros.map(|micros| -micros) })
    }

    /// As limits count it: money that is not known is none.
    pub fn known(self) -> Cost {
        Cost { micros: Some(self.micros.unwrap_or(0)), ..self }
    }

    /// Splits it over `parts` shares without a rest: the first ones carry what does not divide.
    pub fn split(self, parts: usize) -> impl Iterator<Item = Cost> {
        let share = move |total: i64, index: usize| {
            let parts = parts.max(1) as i64;
            total / parts + i64::from((index as i64) < total % parts)
        };
        (0..parts).map(move |index| Cost {
            units: share(self.units, index),
            micros: self.micros.map(|micros| share(micros, index)),
        })
    }
}

/// Dollars as a configuration writes them, in millionths; null for what is no amount of money.
pub fn micros_of_dollars(dollars: f64) -> Option<i64> {
    let micros = (dollars * 1e6).round();
    (micros.is_finite() && (0.0..=1e15).contains(&micros)).then_some(micros as i64)
}

/// A token bucket.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rate {
    pub per_second: f64,
    pub burst: u32,
}

/// The limits of one source; null is none. Money in millionths of a dollar.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SpendingLimits {
    pub run: SpendingLimit,
    pub day: SpendingLimit,
    pub month: SpendingLimit,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SpendingLimit {
    pub units: Option<i64>,
    pub micros: Option<i64>,
}

impl SpendingLimit {
    /// True when this much may be spent in all.
    pub fn allows(self, spent: Cost) -> bool {
        let spent = spent.known();
        self.units.is_none_or(|max| spent.units <= max)
            && self.micros.is_none_or(|max| spent.micros <= Some(max))
    }
}

/// What was spent of the limits that hold for all runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spent {
    pub day: Cost,
    pub month: Cost,
}

/// Why a provider gave no answer. The kind decides what is done about it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Too many requests: wait, as long as the server says.
    RateLimited,
    /// The server's own failure.
    Unavailable,
    /// No connection, or one that broke.
    Network,
    Timeout,
    /// An answer that is none: cut off, of the wrong type, not what the format allows.
    Malformed,
    /// A captcha, an error page, a bot wall instead of the product's page.
    Blocked,
    /// The answer had nothing about this product although it was asked for.
    Missing,
    /// The provider's job ended without a result.
    JobFailed,
    /// The request is wrong: asking again does not help.
    Refused,
    /// The key is missing or not accepted.
    Credentials,
    /// The balance or the plan is used up.
    Exhausted,
    /// The source does not cover this marketplace.
    NotServed,
    /// The source's circuit breaker is open.
    CircuitOpen,
    /// The budget for the source is used up.
    Budget,
    /// The run's deadline came before its turn.
    Deadline,
    /// A budget of repetitions: the run has retried enough.
    RetriesUsedUp,
    /// The answer never came: the run that asked was killed.
    Lost,
}

impl FaultKind {
    /// Those that lie with a product: whoever asks for it next gets the same answer.
    pub const OF_PRODUCTS: [FaultKind; 4] =
        [FaultKind::Malformed, FaultKind::Blocked, FaultKind::Missing, FaultKind::Refused];
}

words!(FaultKind {
    RateLimited = "rate_limited",
    Unavailable = "unavailable",
    Network = "network",
    Timeout = "timeout",
    Malformed = "malformed",
    Blocked = "blocked",
    Missing = "missing",
    JobFailed = "job_failed",
    Refused = "refused",
    Credentials = "credentials",
    Exhausted = "exhausted",
    NotServed = "not_served",
    CircuitOpen = "circuit_open",
    Budget = "budget",
    Deadline = "deadline",
    RetriesUsedUp = "retries_used_up",
    Lost = "lost",
});

/// A circuit breaker's position.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BreakerPosition {
    #[default]
    Closed,
    Open,
    HalfOpen,
}

words!(BreakerPosition { Closed = "closed", Open = "open", HalfOpen = "half_open" });

/// How a source is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceState {
    pub source: String,
    pub breaker: BreakerPosition,
    /// In a row.
    pub failures: u32,
    pub retry_at: Option<Timestamp>,
    pub cooldown_ms: i64,
    pub reason: String,
    pub last_success_at: Option<Timestamp>,
    pub last_failure_at: Option<Timestamp>,
    /// As the provider's last answer put it: `1180 tokens`.
    pub balance: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_cost_adds_up_to_the_whole() {
        let cost = Cost { units: 7, micros: Some(10) };
        let shares: Vec<Cost> = cost.split(3).collect();
        assert_eq!(shares.iter().map(|share| share.units).collect::<Vec<_>>(), [3, 2, 2]);
        assert_eq!(shares.into_iter().fold(Cost::NOTHING, Cost::plus), cost);
        assert_eq!(cost.split(0).count(), 0);
    }

    #[test]
    fn an_unknown_price_makes_the_sum_unknown_and_dollars_are_exact_to_the_millionth() {
        assert_eq!(Cost::of_units(3, None).plus(Cost::NOTHING), Cost { units: 3, micros: None });
        assert_eq!(Cost::of_units(3, Some(2_500)), Cost { units: 3, micros: Some(7_500) });
        assert_eq!(micros_of_dollars(0.0023), Some(2_300));
        for wrong in [f64::NAN, f64::INFINITY, -1.0, 1e12] {
            assert_eq!(micros_of_dollars(wrong), None);
        }
    }
}
