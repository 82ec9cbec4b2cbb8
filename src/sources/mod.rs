//! Providers: one adapter per source, all behind [`Source`]. They ask and judge answers; they decide nothing about
//! money, order or repetition, and write nothing.
//!
//! | part | what it is |
//! | --- | --- |
//! | [`http`] | the one HTTP client: time limits, size limit, faults by class, no secret in any message |
//! | `apify`, `keepa`, `sp_api`, `firecrawl`, `rainforest`, `html` | one adapter each: requests, answers, error mapping |
//! | [`limiter`], [`breaker`], [`retry`], [`budget`] | politeness and thrift, as values that are asked |
//! | [`secret`] | keys, which print as `***` |

pub mod apify;
pub mod breaker;
pub mod budget;
pub mod firecrawl;
pub mod html;
pub mod http;
pub mod keepa;
pub mod limiter;
mod pages;
pub mod rainforest;
pub mod retry;
pub mod secret;
pub mod sp_api;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{Asin, Cost, FaultKind, Marketplace, Rate, Timestamp};
use crate::normalize::RecordFormat;

/// A provider's job is waited for so long; then the next run looks for it.
const LONGEST_JOB: Duration = Duration::from_secs(2 * 3_600);

/// Ends the wait for a job that takes too long; `job` names it and says what it still is.
fn wait_on(began: tokio::time::Instant, job: impl FnOnce() -> String) -> Result<(), Fault> {
    if began.elapsed() <= LONGEST_JOB {
        return Ok(());
    }
    let hours = LONGEST_JOB.as_secs() / 3_600;
    Err(Fault::new(FaultKind::Deadline, format!("{} after {hours} hours", job())))
}

/// One thing that can be asked of a source, with its declared limits.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Operation {
    /// `product`, `catalog`, `offers`: unique within the source.
    pub name: &'static str,
    /// Products of one request, at most.
    pub batch: usize,
    pub rate: Rate,
    /// Asking costs something: a request whose answer was lost on the way is repeated once at most, and where a job may
    /// have been started not without looking for it.
    pub is_paid: bool,
    /// The rate is the operator's: a server that allows more does not change it.
    pub is_rate_own: bool,
}

/// What is asked in one request.
#[derive(Clone, Debug)]
pub struct Request {
    pub operation: &'static str,
    pub marketplace: Marketplace,
    pub asins: Vec<Asin>,
    /// The days of a backfill; null for what is true now.
    pub history: Option<crate::model::DayRange>,
    /// Its row in the ledger; a repetition that goes on with the same one has the same.
    pub request_id: i64,
    /// When it was first sent.
    pub sent_at: Timestamp,
    /// The provider's job that was started for it by an earlier attempt.
    pub job_id: Option<String>,
    /// An earlier attempt may have reached the provider although its answer was lost.
    pub may_have_started: bool,
}

/// One record of an answer, byte for byte.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// The product that was asked for.
    pub asin: Asin,
    pub kind: &'static str,
    pub format: RecordFormat,
    pub body: Vec<u8>,
    pub observed_at: Timestamp,
    /// Its place in the answer or the job's output.
    pub index: u32,
    /// The provider says that there is no such product.
    pub is_absent: bool,
}

/// What a source said. Every product asked for is in one of `items`, `failed` or `silent`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Answer {
    pub items: Vec<Item>,
    pub failed: Vec<(Asin, Fault)>,
    /// Answered for, with nothing to keep.
    pub silent: Vec<Asin>,
    pub cost: Cost,
    pub job_id: Option<String>,
    /// What the provider says is left: `1180 tokens`.
    pub balance: Option<String>,
    /// Ask no more before then.
    pub pause: Option<Duration>,
    /// The rate that the server says it allows, in requests a second.
    pub rate: Option<f64>,
    /// Nothing is left to spend: the next request would be refused.
    pub is_exhausted: bool,
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    pub kind: FaultKind,
    /// For people: what was said, without any secret.
    pub detail: String,
    /// The server says when to come back.
    pub wait: Option<Duration>,
    /// What it cost all the same, where that is known.
    pub cost: Cost,
    /// The request may have reached the provider: it may have cost something, or have started a job.
    pub may_have_arrived: bool,
}

impl Fault {
    pub fn new(kind: FaultKind, detail: impl Into<String>) -> Fault {
        Fault { kind, detail: detail.into(), wait: None, cost: Cost::NOTHING, may_have_arrived: false }
    }

    pub fn wait(mut self, wait: Option<Duration>) -> Fault {
        self.wait = wait;
        self
    }

    pub fn cost(mut self, cost: Cost) -> Fault {
        self.cost = cost;
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.detail)
    }
}

/// What an adapter may ask of whoever lets it ask.
#[async_trait]
pub trait Conduct: Send + Sync {
    /// Keeps the id of a provider's job: called as soon as it is known, before the job is waited for.
    async fn job_started(&self, job_id: &str) -> Result<(), Fault>;

    /// True when another request of ours has this job.
    async fn is_job_taken(&self, job_id: &str) -> Result<bool, Fault>;

    /// Returns when the rate limit allows another request of the same operation: the first one has had its turn.
    async fn next_turn(&self);
}

/// How a source answers `doctor`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Probe {
    /// What was found to be right: `reachable, key accepted`.
    pub checked: String,
    /// What is left to spend, as the provider puts it.
    pub balance: Option<String>,
    /// The provider's clock minus ours.
    pub skew: Option<chrono::Duration>,
}

/// A provider.
#[async_trait]
pub trait Source: Send + Sync {
    fn name(&self) -> &'static str;

    /// What it is asked for each product; a product is fetched when all of them were answered.
    fn operations(&self) -> &[Operation];

    fn serves(&self, marketplace: Marketplace) -> bool;

    /// What a request for this many products will cost, in the provider's `unit`.
    fn estimate(&self, operation: &str, products: usize, has_history: bool) -> Cost;

    /// `tokens`, `credits`, `results`, `requests`.
    fn unit(&self) -> &'static str;

    /// A request whose answer was not heard can be asked for again without paying again.
    fn can_resume(&self) -> bool {
        false
    }

    /// Asks once. An asynchronous provider's job is told to `conduct` before it is waited for.
    async fn fetch(&self, request: &Request, conduct: &dyn Conduct) -> Result<Answer, Fault>;

    /// Asks whether it can be reached and accepts the key, at no cost.
    async fn probe(&self) -> Result<Probe, Fault>;
}

/// Splits the products asked for into those that an answer has, with what it said, and those it does not have.
pub(crate) fn without_answer(asked: &[Asin], items: &[Item], failed: &[(Asin, Fault)]) -> Vec<Asin> {
    let has = |asin: &Asin| {
        items.iter().any(|item| item.asin == *asin) || failed.iter().any(|(other, _)| other == asin)
    };
    asked.iter().filter(|asin| !has(asin)).copied().collect()
}

/// The record of a product that a complete answer does not mention: our own statement, marked as such.
pub(crate) fn absence(
    source: &str,
    marketplace: Marketplace,
    asin: Asin,
    kind: &'static str,
    reason: &str,
    at: Timestamp,
    index: u32,
) -> Item {
    let body = serde_json::json!({
        "absent": { "source": source, "marketplace": marketplace.code(), "asin": asin.as_str(), "reason": reason }
    });
    Item {
        asin,
        kind,
        format: RecordFormat::Json,
        body: body.to_string().into_bytes(),
        observed_at: at,
        index,
        is_absent: true,
    }
}

/// The address of a product's page.
pub(crate) fn page_url(marketplace: Marketplace, asin: Asin) -> String {
    format!("https://www.{}/dp/{asin}", marketplace.domain())
}
