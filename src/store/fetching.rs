//! Asking providers: the ledger of requests, what their answers land, and how each source is.
//!
//! A request is written before it is sent and settled together with everything its answer brought, so a killed run
//! leaves requests of which nobody knows the answer, never answers of which nobody knows the price.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;

use super::columns::{from_json, instant, known_instant, listed, product_key, to_json, word};
use super::core::history::ask_for_days;
use super::db::{Database, Monthly, Row, bulk, query, query_scalar};
use super::drift::{NewIncident, insert_incident};
use super::leases::now;
use super::outbox::Audience;
use super::raw::{RawBody, ReceiptKey, month_of};
use super::retention::were_dropped;
use super::spending::{count_spending, over_limit};
use super::{Result, Store, Tx};
use crate::failpoint;
use crate::model::{
    Asin, BreakerPosition, Cost, Day, DayRange, FaultKind, Marketplace, ProductKey, SourceState,
    SpendingLimits, Spent, Timestamp, words,
};
use crate::normalize::HISTORY_KIND;

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestState {
    Sent,
    Answered,
    Failed,
    /// The run that sent it was killed: whether it was answered is not known.
    Lost,
}

words!(RequestState { Sent = "sent", Answered = "answered", Failed = "failed", Lost = "lost" });

/// Why a request is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Purpose {
    /// It is due.
    #[default]
    Due,
    /// A finding is to be confirmed.
    SecondLook,
}

words!(Purpose { Due = "", SecondLook = "second_look" });

/// A request about to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewRequest {
    pub run_id: String,
    pub source: &'static str,
    pub operation: &'static str,
    pub marketplace: Marketplace,
    pub asins: Vec<Asin>,
    /// JSON of what else was asked; empty for nothing.
    pub options: String,
    pub purpose: Purpose,
    pub attempt: u32,
    pub sent_at: Timestamp,
    /// Of `sent_at`, in the reporting zone.
    pub day: Day,
    pub estimate: Cost,
    /// Of days and months: what all runs together may spend.
    pub limits: SpendingLimits,
    pub bucket: Option<Bucket>,
}

/// What became of a request: everything its answer brought.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settlement {
    pub request_id: i64,
    pub run_id: String,
    pub source: &'static str,
    pub operation: &'static str,
    pub state: RequestState,
    pub finished_at: Timestamp,
    pub job_id: Option<String>,
    pub fault: Option<FaultKind>,
    pub detail: String,
    pub cost: Cost,
    pub receipts: Vec<LiveReceipt>,
    /// Products the source told us something about, "there is none" included.
    pub fetched: Vec<Fetched>,
    /// The days that its receipts were asked for, of a backfill.
    pub history: Option<DayRange>,
    pub source_state: Option<SourceState>,
    pub bucket: Option<Bucket>,
    pub hints: RateHints,
}

impl Settlement {
    /// Of a request that brought nothing.
    pub fn without_answer(
        request_id: i64,
        run_id: String,
        state: RequestState,
        finished_at: Timestamp,
        fault: FaultKind,
        detail: String,
        cost: Cost,
    ) -> Settlement {
        Settlement {
            request_id,
            run_id,
            source: "",
            operation: "",
            state,
            finished_at,
            job_id: None,
            fault: Some(fault),
            detail,
            cost,
            receipts: Vec::new(),
            fetched: Vec::new(),
            history: None,
            source_state: None,
            bucket: None,
            hints: RateHints::default(),
        }
    }
}

/// A record of an answer that is to be a receipt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LiveReceipt {
    pub key: ReceiptKey,
    pub asin_returned: Option<Asin>,
    pub fetched_at: Timestamp,
    pub shape: &'static str,
    pub body: RawBody,
    pub item_index: u32,
    pub cost: Cost,
}

/// A product that a source answered for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetched {
    pub product: ProductKey,
    pub outcome: FetchOutcome,
    /// Why the sources before this one in the product's chain gave no answer; empty for the first.
    pub after_fault: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FetchOutcome {
    Answered,
    /// The source says that there is no such product.
    Absent,
}

words!(FetchOutcome { Answered = "answered", Absent = "absent" });

/// A product that no source of its chain answered for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchFailure {
    pub product: ProductKey,
    pub source: &'static str,
    pub fault: FaultKind,
    pub detail: String,
}

/// A successful fetch, as dueness looks at it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastFetch {
    pub source: String,
    pub operation: String,
    pub fetched_at: Timestamp,
}

/// What is left of a rate limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bucket {
    pub source: &'static str,
    pub operation: &'static str,
    /// Thousandths of a request.
    pub left_milli: i64,
    /// Millionths of a request a second, where the server told its rate.
    pub told_micro: Option<i64>,
    /// The server asked for silence until then.
    pub paused_until: Option<Timestamp>,
    pub updated_at: Timestamp,
}

/// What an answer said about its source's rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RateHints {
    /// Millionths of a request a second.
    pub told_micro: Option<i64>,
    /// Silence is asked for, for so long.
    pub pause: Option<Duration>,
}

/// A request of an earlier run that was never settled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenRequest {
    pub request_id: i64,
    pub source: String,
    pub operation: String,
    pub marketplace: Marketplace,
    pub asins: Vec<Asin>,
    pub options: String,
    pub attempt: u32,
    pub sent_at: Timestamp,
    pub job_id: Option<String>,
    pub estimate: Cost,
}

/// One write of a run that asks providers; several that come together share a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    Open(NewRequest),
    /// An asynchronous provider has taken the request on.
    JobStarted {
        request_id: i64,
        job_id: String,
    },
    Settle(Box<Settlement>),
    /// Products given up for this run.
    GiveUp {
        run_id: String,
        failed_at: Timestamp,
        failures: Vec<FetchFailure>,
    },
    /// A source that failed for many products at once.
    Incident {
        run_id: String,
        at: Timestamp,
        incident: NewIncident,
        audience: Arc<Audience>,
    },
}

/// What a step did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StepEffect {
    Opened {
        request_id: i64,
    },
    /// Not opened: a limit of the day or month would be exceeded, with what other runs have spent of them.
    OverBudget {
        others: Spent,
    },
    /// Receipts that were new.
    Settled {
        landed: u64,
    },
    Incident {
        is_new: bool,
    },
    Noted,
}

impl Store {
    /// Does the steps in one transaction, in order. `is_again` says that nobody knows whether they were done already: what
    /// was is not done twice.
    pub async fn commit_steps(&self, steps: &[Step], is_again: bool) -> Result<Vec<StepEffect>> {
        let mut tx = self.begin_briefly().await?;
        let mut effects = Vec::with_capacity(steps.len());
        for step in steps {
            if is_again && let Some(effect) = find_effect(&mut tx, step).await? {
                effects.push(effect);
                continue;
            }
            effects.push(match step {
                Step::Open(request) => open(&mut tx, request).await?,
                Step::JobStarted { request_id, job_id } => {
                    note_job(&mut tx, *request_id, job_id).await?;
                    StepEffect::Noted
                }
                Step::Settle(settlement) => {
                    StepEffect::Settled { landed: settle(&mut tx, settlement).await? }
                }
                Step::GiveUp { run_id, failed_at, failures } => {
                    give_up(&mut tx, run_id, *failed_at, failures).await?;
                    StepEffect::Noted
                }
                Step::Incident { run_id, at, incident, audience } => StepEffect::Incident {
                    is_new: insert_incident(&mut tx, run_id, *at, incident, audience).await?,
                },
            });
        }
        failpoint!("fetch.inside_commit");
        tx.commit().await?;
        Ok(effects)
    }

    /// The last successful fetches of every product, by product.
    pub async fn load_fetches(&self) -> Result<HashMap<ProductKey, Vec<LastFetch>>> {
        // Row by row, like the watchlist.
        let mut rows = query("SELECT marketplace, asin, source, operation, fetched_at FROM fetches")
            .fetch(self.reader());
        let mut fetches: HashMap<ProductKey, Vec<LastFetch>> = HashMap::new();
        while let Some(row) = rows.try_next().await? {
            fetches.entry(product_key(&row, "fetches")?).or_default().push(LastFetch {
                source: row.try_get("source")?,
                operation: row.try_get("operation")?,
                fetched_at: instant(&row, "fetches", "fetched_at")?,
            });
        }
        Ok(fetches)
    }

    /// How each source was left, by name.
    pub async fn load_source_states(&self) -> Result<Vec<SourceState>> {
        let rows = query(
            "SELECT source, breaker, failures, retry_at, cooldown_ms, reason, last_success_at, last_failure_at, balance
             FROM source_states ORDER BY source",
        )
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(source_state).collect()
    }

    /// What is left of a rate limit; null when it was never used.
    pub async fn load_bucket(&self, source: &'static str, operation: &'static str) -> Result<Option<Bucket>> {
        let row = query(
            "SELECT left_milli, told_micro, paused_until, updated_at FROM rate_buckets
             WHERE source = $1 AND operation = $2",
        )
        .bind(source)
        .bind(operation)
        .fetch_optional(self.reader())
        .await?;
        row.map(|row| bucket(&row, source, operation)).transpose()
    }

    /// Takes one request out of the bucket that all hosts share, by the server's clock; answers how long to wait where
    /// nothing is left. `draw` says what is left of a bucket after one more request.
    pub async fn take_turn(
        &self,
        source: &'static str,
        operation: &'static str,
        draw: impl FnOnce(Option<Bucket>, Timestamp) -> Result<Bucket, Duration>,
    ) -> Result<Option<Duration>> {
        let Database::Postgres(server) = self.reader() else { return Ok(None) };
        // Not behind the one writer: hosts that wait for this row wait for each other only.
        let mut tx = server.begin_beside().await?;
        query(
            "INSERT INTO rate_buckets (source, operation, left_milli, updated_at) VALUES ($1, $2, -1, 0)
             ON CONFLICT (source, operation) DO NOTHING",
        )
        .bind(source)
        .bind(operation)
        .execute(&mut tx)
        .await?;
        let row = query(concat!(
            "SELECT left_milli, told_micro, paused_until, updated_at, ",
            now!(),
            " AS now FROM rate_buckets WHERE source = $1 AND operation = $2 FOR UPDATE"
        ))
        .bind(source)
        .bind(operation)
        .fetch_one(&mut tx)
        .await?;
        let now = instant(&row, "rate_buckets", "now")?;
        let bucket = bucket(&row, source, operation)?;
        match draw(Some(bucket).filter(|bucket| bucket.left_milli >= 0), now) {
            Err(wait) => {
                tx.rollback().await?;
                Ok(Some(wait))
            }
            Ok(bucket) => {
                query(
                    "UPDATE rate_buckets SET left_milli = $3, updated_at = $4 WHERE source = $1 AND operation = $2",
                )
                .bind(source)
                .bind(operation)
                .bind(bucket.left_milli)
                .bind(bucket.updated_at.timestamp_micros())
                .execute(&mut tx)
                .await?;
                tx.commit().await?;
                Ok(None)
            }
        }
    }

    /// True when another request than this one has the provider's job.
    pub async fn is_job_taken(&self, source: &str, job_id: &str, request_id: i64) -> Result<bool> {
        let row = query(
            "SELECT 1 FROM source_requests WHERE source = $1 AND job_id = $2 AND request_id <> $3 LIMIT 1",
        )
        .bind(source)
        .bind(job_id)
        .bind(request_id)
        .fetch_optional(self.reader())
        .await?;
        Ok(row.is_some())
    }

    /// How many products were given up at their last attempt.
    pub async fn count_fetch_failures(&self) -> Result<u64> {
        let count: i64 = query_scalar("SELECT COUNT(*) FROM fetch_failures").fetch_one(self.reader()).await?;
        Ok(count.unsigned_abs())
    }
}

/// What a step has done already; null where it was not done, or may be done again.
async fn find_effect(tx: &mut Tx, step: &Step) -> Result<Option<StepEffect>> {
    match step {
        Step::Open(request) => {
            let opened: Option<i64> = query_scalar(
                "SELECT MAX(request_id) FROM source_requests WHERE run_id = $1 AND source = $2 AND operation = $3
                   AND marketplace = $4 AND asins = $5 AND attempt = $6 AND sent_at = $7 AND state = 'sent'",
            )
            .bind(&request.run_id)
            .bind(request.source)
            .bind(request.operation)
            .bind(request.marketplace.code())
            .bind(to_json(&request.asins))
            .bind(i64::from(request.attempt))
            .bind(request.sent_at.timestamp_micros())
            .fetch_one(tx)
            .await?;
            Ok(opened.map(|request_id| StepEffect::Opened { request_id }))
        }
        Step::Settle(settlement) => {
            let landed: Option<i64> = query_scalar(
                "SELECT landed FROM source_requests WHERE request_id = $1 AND state = $2 AND finished_at = $3",
            )
            .bind(settlement.request_id)
            .bind(settlement.state.as_str())
            .bind(settlement.finished_at.timestamp_micros())
            .fetch_optional(tx)
            .await?;
            Ok(landed.map(|landed| StepEffect::Settled { landed: landed.unsigned_abs() }))
        }
        Step::JobStarted { .. } | Step::GiveUp { .. } | Step::Incident { .. } => Ok(None),
    }
}

async fn open(tx: &mut Tx, request: &NewRequest) -> Result<StepEffect> {
    let NewRequest { run_id, source, day, estimate, limits, .. } = request;
    if let Some(others) = over_limit(tx, run_id, source, *day, *estimate, limits).await? {
        return Ok(StepEffect::OverBudget { others });
    }
    let request_id = query_scalar(
        "INSERT INTO source_requests (run_id, kept_by, source, operation, marketplace, asins, options, attempt, state,
           sent_at, day, estimated_units, estimated_micros, purpose)
         VALUES ($1, $1, $2, $3, $4, $5, $6, $7, 'sent', $8, $9, $10, $11, $12) RETURNING request_id",
    )
    .bind(run_id)
    .bind(*source)
    .bind(request.operation)
    .bind(request.marketplace.code())
    .bind(to_json(&request.asins))
    .bind(&request.options)
    .bind(i64::from(request.attempt))
    .bind(request.sent_at.timestamp_micros())
    .bind(day.to_string())
    .bind(estimate.units)
    .bind(estimate.micros)
    .bind(request.purpose.as_str())
    .fetch_one(&mut *tx)
    .await?;
    count_spending(tx, source, &day.to_string(), *estimate, Cost::NOTHING).await?;
    if let Some(bucket) = &request.bucket {
        write_bucket(tx, bucket, RateHints::default()).await?;
    }
    Ok(StepEffect::Opened { request_id })
}

async fn note_job(tx: &mut Tx, request_id: i64, job_id: &str) -> Result<()> {
    query("UPDATE source_requests SET job_id = $2 WHERE request_id = $1")
        .bind(request_id)
        .bind(job_id)
        .execute(tx)
        .await?;
    Ok(())
}

async fn settle(tx: &mut Tx, settlement: &Settlement) -> Result<u64> {
    let landed = insert_receipts(tx, settlement).await?;
    if let Some(days) = settlement.history {
        for receipt in &settlement.receipts {
            let receipt_id = find_receipt(tx, &receipt.key).await?;
            ask_for_days(tx, receipt_id, days).await?;
        }
    }
    for fetched in &settlement.fetched {
        write_fetched(tx, settlement, fetched).await?;
    }
    if let Some(state) = &settlement.source_state {
        write_source_state(tx, state).await?;
    }
    if let Some(bucket) = &settlement.bucket {
        write_bucket(tx, bucket, settlement.hints).await?;
    }
    let row = query(
        "UPDATE source_requests SET state = $2, finished_at = $3, job_id = COALESCE($4, job_id), fault = $5,
           detail = $6, cost_units = $7, cost_micros = $8, answered = $9, landed = $10
         WHERE request_id = $1 RETURNING source, day, estimated_units, estimated_micros",
    )
    .bind(settlement.request_id)
    .bind(settlement.state.as_str())
    .bind(settlement.finished_at.timestamp_micros())
    .bind(settlement.job_id.as_deref())
    .bind(settlement.fault.map_or("", FaultKind::as_str))
    .bind(&settlement.detail)
    .bind(settlement.cost.units)
    .bind(settlement.cost.micros)
    .bind(settlement.fetched.len() as i64)
    .bind(landed as i64)
    .fetch_one(&mut *tx)
    .await?;
    let (source, day): (&str, &str) = (row.try_get("source")?, row.try_get("day")?);
    let estimate = Cost { units: row.try_get("estimated_units")?, micros: row.try_get("estimated_micros")? };
    count_spending(tx, source, day, settlement.cost, estimate).await?;
    Ok(landed)
}

async fn insert_bodies(tx: &mut Tx, receipts: &[&LiveReceipt]) -> Result<()> {
    bulk::insert(
        tx,
        "raw_bodies (sha256, codec, size_bytes, bytes)",
        " ON CONFLICT (sha256) DO NOTHING",
        receipts,
        |values, receipt| receipt.body.bind(values),
    )
    .await?;
    Ok(())
}

/// What was told before, word for word and of the same instant, is the receipt that is there, or the one that retention
/// dropped.
async fn insert_receipts(tx: &mut Tx, settlement: &Settlement) -> Result<u64> {
    let mut keys = HashSet::new();
    let receipts: Vec<&LiveReceipt> =
        settlement.receipts.iter().filter(|receipt| keys.insert(&receipt.key)).collect();
    let unique: Vec<&ReceiptKey> = receipts.iter().map(|receipt| &receipt.key).collect();
    let dropped = were_dropped(tx, &unique).await?;
    let receipts: Vec<&LiveReceipt> =
        receipts.into_iter().zip(dropped).filter(|(_, was_dropped)| !was_dropped).map(|(it, _)| it).collect();
    insert_bodies(tx, &receipts).await?;
    Monthly::RawReceipts.make(tx, receipts.iter().map(|receipt| month_of(receipt.key.observed_at))).await?;
    bulk::insert(
        tx,
        "raw_receipts (source, kind, marketplace, asin_requested, observed_at, body_sha256, asin_returned,
         fetched_at, recorded_at, shape, copies, run_id, cost_micros, cost_units, job_id, item_index)",
        " ON CONFLICT (source, kind, marketplace, observed_at, asin_requested, body_sha256) DO NOTHING",
        &receipts,
        |values, receipt| {
            let key = &receipt.key;
            values
                .push_bind(key.source.clone())
                .push_bind(key.kind.clone())
                .push_bind(key.marketplace.clone())
                .push_bind(key.asin_requested.clone())
                .push_bind(key.observed_at.timestamp_micros())
                .push_bind(key.body_sha256.clone())
                .push_bind(receipt.asin_returned.map(|asin| asin.to_string()))
                .push_bind(receipt.fetched_at.timestamp_micros())
                .push_bind(settlement.finished_at.timestamp_micros())
                .push_bind(receipt.shape)
                .push_bind(1_i64)
                .push_bind(settlement.run_id.clone())
                .push_bind(receipt.cost.micros)
                .push_bind(receipt.cost.units)
                .push_bind(settlement.job_id.clone())
                .push_bind(i64::from(receipt.item_index));
        },
    )
    .await
}

async fn find_receipt(tx: &mut Tx, key: &ReceiptKey) -> Result<i64> {
    let receipt_id = query_scalar(
        "SELECT receipt_id FROM raw_receipts WHERE source = $1 AND kind = $2 AND marketplace = $3
           AND observed_at = $4 AND asin_requested = $5 AND body_sha256 = $6",
    )
    .bind(&key.source)
    .bind(&key.kind)
    .bind(&key.marketplace)
    .bind(key.observed_at.timestamp_micros())
    .bind(&key.asin_requested)
    .bind(&key.body_sha256)
    .fetch_one(tx)
    .await?;
    Ok(receipt_id)
}

async fn write_fetched(tx: &mut Tx, settlement: &Settlement, fetched: &Fetched) -> Result<()> {
    let ProductKey { marketplace, asin } = fetched.product;
    query(
        "INSERT INTO fetches (marketplace, asin, source, operation, fetched_at, outcome, after_fault, run_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (marketplace, asin, source, operation) DO UPDATE SET fetched_at = excluded.fetched_at,
           outcome = excluded.outcome, after_fault = excluded.after_fault, run_id = excluded.run_id",
    )
    .bind(marketplace.code())
    .bind(asin.as_str())
    .bind(settlement.source)
    // Days of the past are no answer about now.
    .bind(if settlement.history.is_some() { HISTORY_KIND } else { settlement.operation })
    .bind(settlement.finished_at.timestamp_micros())
    .bind(fetched.outcome.as_str())
    .bind(&fetched.after_fault)
    .bind(&settlement.run_id)
    .execute(tx)
    .await?;
    if settlement.history.is_some() {
        return Ok(());
    }
    query("DELETE FROM fetch_failures WHERE marketplace = $1 AND asin = $2")
        .bind(marketplace.code())
        .bind(asin.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

async fn give_up(tx: &mut Tx, run_id: &str, failed_at: Timestamp, failures: &[FetchFailure]) -> Result<()> {
    bulk::insert(
        tx,
        "fetch_failures (marketplace, asin, source, fault, detail, failed_at, run_id)",
        " ON CONFLICT (marketplace, asin) DO UPDATE SET source = excluded.source, fault = excluded.fault,
           detail = excluded.detail, failed_at = excluded.failed_at, run_id = excluded.run_id",
        failures,
        |values, failure| {
            values
                .push_bind(failure.product.marketplace.code())
                .push_bind(failure.product.asin.to_string())
                .push_bind(failure.source)
                .push_bind(failure.fault.as_str())
                .push_bind(failure.detail.as_str())
                .push_bind(failed_at.timestamp_micros())
                .push_bind(run_id.to_owned());
        },
    )
    .await?;
    Ok(())
}

async fn write_source_state(tx: &mut Tx, state: &SourceState) -> Result<()> {
    query(
        "INSERT INTO source_states (source, breaker, failures, retry_at, cooldown_ms, reason, last_success_at,
           last_failure_at, balance)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (source) DO UPDATE SET breaker = excluded.breaker, failures = excluded.failures,
           retry_at = excluded.retry_at, cooldown_ms = excluded.cooldown_ms, reason = excluded.reason,
           last_success_at = excluded.last_success_at, last_failure_at = excluded.last_failure_at,
           balance = excluded.balance",
    )
    .bind(&state.source)
    .bind(state.breaker.as_str())
    .bind(i64::from(state.failures))
    .bind(state.retry_at.map(|at| at.timestamp_micros()))
    .bind(state.cooldown_ms)
    .bind(&state.reason)
    .bind(state.last_success_at.map(|at| at.timestamp_micros()))
    .bind(state.last_failure_at.map(|at| at.timestamp_micros()))
    .bind(&state.balance)
    .execute(tx)
    .await?;
    Ok(())
}

/// Embedded, the only process there is knows what is left. On a server each turn is taken out of the bucket that all hosts
/// share, and only what the source said is written here.
async fn write_bucket(tx: &mut Tx, bucket: &Bucket, hints: RateHints) -> Result<()> {
    if let Tx::Postgres { .. } = tx {
        return write_hints(tx, bucket, hints).await;
    }
    query(
        "INSERT INTO rate_buckets (source, operation, left_milli, told_micro, paused_until, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (source, operation) DO UPDATE SET left_milli = excluded.left_milli,
           told_micro = excluded.told_micro, paused_until = excluded.paused_until, updated_at = excluded.updated_at",
    )
    .bind(bucket.source)
    .bind(bucket.operation)
    .bind(bucket.left_milli)
    .bind(bucket.told_micro)
    .bind(bucket.paused_until.map(|at| at.timestamp_micros()))
    .bind(bucket.updated_at.timestamp_micros())
    .execute(tx)
    .await?;
    Ok(())
}

/// Another rate than the one before begins with an empty bucket; of two pauses the longer one holds.
async fn write_hints(tx: &mut Tx, bucket: &Bucket, hints: RateHints) -> Result<()> {
    if hints == RateHints::default() {
        return Ok(());
    }
    query(concat!(
        "UPDATE rate_buckets SET
           left_milli = CASE WHEN $3 <> COALESCE(told_micro, -1) THEN 0 ELSE left_milli END,
           updated_at = CASE WHEN $3 <> COALESCE(told_micro, -1) THEN ",
        now!(),
        " ELSE updated_at END,
           told_micro = COALESCE($3, told_micro), paused_until = GREATEST(paused_until, ",
        now!(),
        " + $4) WHERE source = $1 AND operation = $2"
    ))
    .bind(bucket.source)
    .bind(bucket.operation)
    .bind(hints.told_micro)
    .bind(hints.pause.map(|pause| i64::try_from(pause.as_micros()).unwrap_or(i64::MAX)))
    .execute(tx)
    .await?;
    Ok(())
}

fn bucket(row: &Row, source: &'static str, operation: &'static str) -> Result<Bucket> {
    Ok(Bucket {
        source,
        operation,
        left_milli: row.try_get("left_milli")?,
        told_micro: row.try_get("told_micro")?,
        paused_until: known_instant(row, "rate_buckets", "paused_until")?,
        updated_at: instant(row, "rate_buckets", "updated_at")?,
    })
}

pub(super) fn open_request(row: &Row) -> Result<OpenRequest> {
    let table = "source_requests";
    let attempt: i64 = row.try_get("attempt")?;
    Ok(OpenRequest {
        request_id: row.try_get("request_id")?,
        source: row.try_get("source")?,
        operation: row.try_get("operation")?,
        marketplace: word(row, table, "marketplace")?,
        asins: from_json(row, table, "asins")?,
        options: row.try_get("options")?,
        attempt: u32::try_from(attempt).unwrap_or(u32::MAX),
        sent_at: instant(row, table, "sent_at")?,
        job_id: row.try_get("job_id")?,
        estimate: Cost { units: row.try_get("estimated_units")?, micros: row.try_get("estimated_micros")? },
    })
}

fn source_state(row: &Row) -> Result<SourceState> {
    let table = "source_states";
    let failures: i64 = row.try_get("failures")?;
    Ok(SourceState {
        source: row.try_get("source")?,
        breaker: listed(row, table, "breaker", BreakerPosition::from_word)?,
        failures: u32::try_from(failures).unwrap_or(u32::MAX),
        retry_at: known_instant(row, table, "retry_at")?,
        cooldown_ms: row.try_get("cooldown_ms")?,
        reason: row.try_get("reason")?,
        last_success_at: known_instant(row, table, "last_success_at")?,
        last_failure_at: known_instant(row, table, "last_failure_at")?,
        balance: row.try_get("balance")?,
    })
}
