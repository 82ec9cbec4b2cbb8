//! How a simulator is set up.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::call::Source;
use super::faults::Faults;
use super::limits::Quota;

/// The reply time of a source: `base_ms` and up to `jitter_ms` more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Latency {
    pub(crate) base_ms: u64,
    pub(crate) jitter_ms: u64,
}

/// The secrets a client must present.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) apify: String,
    pub(crate) keepa: String,
    pub(crate) sp_client_id: String,
    pub(crate) sp_client_secret: String,
    pub(crate) sp_refresh_token: String,
    pub(crate) firecrawl: String,
    pub(crate) rainforest: String,
}

impl Default for Keys {
    fn default() -> Keys {
        Keys {
            apify: "apify_api_simulated".into(),
            keepa: "keepa-simulated".into(),
            sp_client_id: "amzn1.application-oa2-client.simulated".into(),
            sp_client_secret: "amzn1.oa2-cs.v1.simulated".into(),
            sp_refresh_token: "Atzr|simulated".into(),
            firecrawl: "fc-simulated".into(),
            rainforest: "rainforest-simulated".into(),
        }
    }
}

/// Everything a simulator can be told. The default is a fast one without faults, quotas or latency.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// 0 takes any free port.
    pub(crate) port: u16,
    pub(crate) seed: u64,
    /// The instant the providers live in.
    pub(crate) now: DateTime<Utc>,
    /// Whether that instant moves on with real time.
    pub(crate) clock_runs: bool,
    /// The hours of a paid slot: a product paid twice within one is a repetition.
    pub(crate) slot_hours: i64,
    pub(crate) faults: Faults,
    /// What a 429 by fault asks a client to wait.
    pub(crate) hint_ms: u64,
    /// How long a `timeout` fault holds a request.
    pub(crate) hold_ms: u64,
    pub(crate) latency: Latency,
    pub(crate) latency_of: HashMap<Source, Latency>,
    pub(crate) quota: Option<Quota>,
    pub(crate) quota_of: HashMap<Source, Quota>,
    pub(crate) keys: Keys,
    /// Whether a refusal repeats, in every text it has, all secrets that came with the request.
    pub(crate) echoes: bool,
    /// The share of well-formed ASINs that exist.
    pub(crate) existing: f64,

    /// Apify: polls until a run is over.
    pub(crate) run_polls: u32,
    /// Apify: real time until a run is over; `waitForFinish` waits for it.
    pub(crate) run_ms: u64,
    /// Apify: price of one result.
    pub(crate) result_usd: f64,
    /// Apify: the monthly limit; a start beyond it gets 402.
    pub(crate) apify_limit_usd: f64,

    /// Keepa: tokens at the start, tokens of a refill, and the time between refills.
    pub(crate) keepa_tokens: i64,
    pub(crate) keepa_refill: i64,
    pub(crate) keepa_refill_ms: u64,
    /// Keepa: days of history.
    pub(crate) history_days: i64,

    /// SP-API: how much faster than in the documented limits an operation may be called.
    pub(crate) sp_speed: f64,
    /// SP-API: seconds of real time an access token lives.
    pub(crate) sp_token_secs: u64,
    /// SP-API: products in the seller's own inventory.
    pub(crate) inventory: usize,

    /// Firecrawl: polls until a batch is over, pages of one reply, credits at the start.
    pub(crate) batch_polls: u32,
    pub(crate) batch_page: usize,
    pub(crate) firecrawl_credits: i64,

    pub(crate) rainforest_credits: i64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            port: 0,
            seed: 7,
            // 2026-03-02T09:00:00Z, a Monday.
            now: DateTime::from_timestamp(1_772_442_000, 0).unwrap_or_default(),
            clock_runs: false,
            slot_hours: 24,
            faults: Faults::default(),
            hint_ms: 1_000,
            hold_ms: 2_000,
            latency: Latency::default(),
            latency_of: HashMap::new(),
            quota: None,
            quota_of: HashMap::new(),
            keys: Keys::default(),
            echoes: false,
            existing: 0.97,
            run_polls: 2,
            run_ms: 0,
            result_usd: 0.0008,
            apify_limit_usd: 1_000.0,
            keepa_tokens: 100_000,
            keepa_refill: 20,
            keepa_refill_ms: 60_000,
            history_days: 30,
            sp_speed: 1_000_000.0,
            sp_token_secs: 3_600,
            inventory: 120,
            batch_polls: 2,
            batch_page: 10,
            firecrawl_credits: 1_000_000,
            rainforest_credits: 1_000_000,
        }
    }
}
