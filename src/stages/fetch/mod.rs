//! Fetch: providers -> staging_raw.
//!
//! Reads the watchlists of all workspaces as one, and what was fetched before. Writes receipts, the ledger of requests,
//! and when each product was fetched. One unit of work is a request: it is written before it is sent and settled with
//! everything its answer brought. A second run asks only for what is still due; one that was killed waits for the jobs it
//! had started and pays for nothing twice. On a server several runs share what is due: each claims some of it at a time,
//! and takes over what a run has left behind whose lease is over.

mod commit;
mod driver;
mod exchange;
mod lane;
mod plan;
mod summary;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use crate::cancel::CancelToken;
use crate::clock::{Clock, Stopwatch};
use crate::model::{DayRange, ReportingZone, SpendingLimits, Timestamp};
use crate::sources::Source;
use crate::sources::breaker::Breaker;
use crate::sources::budget::Budget;
use crate::sources::limiter::Limiter;
use crate::sources::retry::SharedRetries;
use crate::store::fetching::Purpose;
use crate::store::outbox::Audience;
use crate::store::{PageCache, Store};
use commit::Ledger;
use driver::Driver;
use exchange::Common;
use lane::{Lane, RunTime, left};
use plan::{Situation, Slots};

pub use plan::{DueProduct, Plan, PlanLine, SecondLook, Selection, Slot};
pub use summary::{SourceSummary, Summary};

/// How a fetch goes.
#[derive(Clone, Copy, Debug)]
pub enum Told<'a> {
    /// So many products are settled, of how many, and what each source did.
    Settled {
        done: u64,
        total: u64,
        sources: &'a [SourceSummary],
    },
    Waiting {
        source: &'a str,
        until: Timestamp,
        reason: &'a str,
    },
    /// All that is left is asked for by other runs.
    Others {
        products: u64,
    },
}

/// A source with what its configuration allows it.
#[derive(Clone, Debug)]
pub struct Configured {
    pub source: Arc<dyn Source>,
    pub limits: SpendingLimits,
    /// Requests on their way at once, of each operation.
    pub concurrency: usize,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub run_id: String,
    pub selection: Selection,
    /// The sources of products that have no chain of their own, in order.
    pub default_chain: Vec<String>,
    pub zone: ReportingZone,
    pub deadline: Option<Duration>,
    pub tolerate_failed_pct: f64,
    /// Who hears of a source in trouble.
    pub audience: Arc<Audience>,
    /// The days of a backfill, from the first source of the chain; null: what is true now.
    pub history: Option<DayRange>,
    /// Looks that are to confirm findings, in the place of what is due.
    pub second: Option<SecondLooks>,
    /// Plan, ask nobody, write nothing.
    pub dry_run: bool,
}

/// What other sources are to look at.
#[derive(Clone, Debug)]
pub struct SecondLooks {
    pub looks: Vec<SecondLook>,
    /// The units that each source may be paid for them a day.
    pub max_units_day: i64,
}

/// Fetches what is due. `progress` is told how it goes.
///
/// Errors: the database. A provider's failure is in the summary.
#[tracing::instrument(name = "stage", level = "error", skip_all, fields(operation = "fetch"))]
pub async fn run(
    store: &Store,
    clock: Clock,
    cancel: &CancelToken,
    retries: SharedRetries,
    sources: &[Configured],
    progress: &(dyn Fn(Told<'_>) + Send + Sync),
    options: &Options,
) -> anyhow::Result<Summary> {
    let watch = Stopwatch::start();
    let time = RunTime { began: clock.now(), watch: Instant::now() };
    let lanes = lanes(store, sources, time, options).await.context("failed to read how the sources are")?;
    let planned = plan_run(store, sources, &lanes, clock, options).await.context("failed to plan")?;
    let mut summary = Summary::of_plan(&planned, sources, options);
    if options.dry_run {
        return Ok(summary);
    }
    store.set_page_cache(PageCache::Small).await.context("failed to prepare the database")?;
    let (ledger, writer) = Ledger::start(store.clone(), cancel.clone());
    let common = Common {
        ledger,
        store: store.clone(),
        clock,
        zone: options.zone,
        cancel: cancel.clone(),
        deadline: options.deadline.map(|deadline| time.watch + deadline),
        run_id: options.run_id.clone(),
        purpose: if options.second.is_some() { Purpose::SecondLook } else { Purpose::Due },
        audience: Arc::clone(&options.audience),
        retries,
    };
    let mut driver = Driver::new(common, lanes, planned, options.history, time.began, progress);
    let driven = driver.drive(&mut summary).await;
    driver.keep_what_was_asked().await;
    drop(driver);
    match writer.await.context("the writer of the ledger stopped")? {
        Err(error) => {
            return Err(anyhow::Error::from(error).context("failed to write the ledger of requests"));
        }
        Ok(()) => driven?,
    }
    store.give_claims_back(&options.run_id).await.context("failed to leave the list to others")?;
    store.set_page_cache(PageCache::Usual).await.context("failed to prepare the database")?;
    let Summary { due, fetched, failed, landed, .. } = summary;
    tracing::info!(due, fetched, failed, landed, duration_ms = watch.elapsed_ms(), "products fetched");
    Ok(summary)
}

/// The sources as the last run left them.
async fn lanes(
    store: &Store,
    sources: &[Configured],
    time: RunTime,
    options: &Options,
) -> anyhow::Result<Vec<Arc<Lane>>> {
    let states = store.load_source_states().await?;
    let (run_id, today) = (&options.run_id, options.zone.day_of(time.began));
    let mut lanes = Vec::new();
    for configured in sources {
        let source = configured.source.clone();
        let state = states.iter().find(|state| state.source == source.name()).cloned();
        let mut limiters = Vec::new();
        for operation in source.operations() {
            let bucket = store.load_bucket(source.name(), operation.name).await?;
            let left = bucket.map(left);
            limiters.push(Limiter::new(operation.rate, operation.is_rate_own, left, time.began));
        }
        let others = store.load_spent_by_others(run_id, source.name(), today).await?;
        let mut budget = Budget::new(configured.limits, others, source.unit());
        if let Some(second) = &options.second {
            let own = store.load_spent_by_run(run_id, source.name()).await?;
            let spent = store.load_spent_on_second_looks(source.name(), today).await?;
            budget = budget.for_second_looks(second.max_units_day, own, spent);
        }
        let breaker = Breaker::new(source.name(), state, time.began);
        lanes.push(Arc::new(Lane::new(source, configured.concurrency, limiters, breaker, budget, time)));
    }
    Ok(lanes)
}

async fn plan_run(
    store: &Store,
    sources: &[Configured],
    lanes: &[Arc<Lane>],
    clock: Clock,
    options: &Options,
) -> anyhow::Result<Plan> {
    let items = match options.second {
        Some(_) => Vec::new(),
        None => store.load_fetch_list().await?,
    };
    let fetches = match options.history {
        // What was fetched today says nothing of the days before.
        Some(_) => HashMap::new(),
        None => store.load_fetches().await?,
    };
    let ports: Vec<Arc<dyn Source>> = sources.iter().map(|configured| configured.source.clone()).collect();
    let now = clock.now();
    let left = |source: usize, operation: usize| {
        let left = lanes[source].limiters[operation].left(lanes[source].time.now());
        left.requests
    };
    let situation = Situation {
        slots: Slots { sources: &ports, zone: options.zone, now },
        default_chain: &options.default_chain,
        fetches: &fetches,
        left: &left,
        obstacle: &|source, cost| {
            let lane = &lanes[source];
            lane.exceeded_by(cost).or_else(|| lane.waits_for().map(|(_, reason)| reason))
        },
        has_history: options.history.is_some(),
    };
    Ok(match &options.second {
        Some(second) => plan::plan_second_looks(&second.looks, &situation),
        None => plan::plan(&items, &options.selection, &situation),
    })
}
