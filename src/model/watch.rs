//! What is watched, how often, and which products are compared.

use serde::{Deserialize, Serialize};

use super::observation::words;
use super::{ProductKey, Timestamp};

/// How often a product is due: every six hours, every day, every week.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    Critical,
    #[default]
    Routine,
    Weekly,
}

words!(Tier { Critical = "critical", Routine = "routine", Weekly = "weekly" });

/// Whose product it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    Own,
    #[default]
    Rival,
}

words!(Relation { Own = "own", Rival = "rival" });

/// One product of the watchlist.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchItem {
    pub key: ProductKey,
    pub tier: Tier,
    pub relation: Relation,
    /// Sorted, without repeats.
    pub tags: Vec<String>,
    /// Sources in the order they are tried; empty: the configured default.
    pub source_chain: Vec<String>,
    pub label: String,
    pub paused: bool,
    pub added_at: Timestamp,
}

/// A named set: one main product and its competitors, at most [`Cohort::MAX_COMPETITORS`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cohort {
    pub name: String,
    pub main: ProductKey,
    pub label: String,
    /// By priority, then key; never the main product.
    pub competitors: Vec<Competitor>,
    pub created_at: Timestamp,
}

impl Cohort {
    pub const MAX_COMPETITORS: usize = 50;

    /// The name of a cohort that a roles file makes: `US-B0FDKB341G`.
    pub fn name_for(main: ProductKey) -> String {
        format!("{}-{}", main.marketplace, main.asin)
    }
}

/// One competitor of a cohort.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Competitor {
    pub key: ProductKey,
    /// Lower is more important.
    pub priority: i64,
    pub label: String,
}
