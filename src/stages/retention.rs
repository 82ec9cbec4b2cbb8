//! Retention: drops what is older than the configuration keeps, layer by layer.
//!
//! Reads the ages that are configured and what lies beyond them. Deletes raw receipts with their bodies, replaced readings,
//! alerts that are dealt with, events that were told, and the ledger of runs and requests; on a server the months that are empty then. One unit of
//! work is a batch of rows. A second run finds nothing to drop; a killed one goes on where it was.
//!
//! Daily rows, their ranks and the readings they come from are never dropped: the lake is rebuilt from them when its
//! folder is lost, another epoch begins or a late fact changes an old day.

use anyhow::Context as _;
use serde::Serialize;

use crate::cancel::CancelToken;
use crate::clock::Clock;
use crate::error::Failure;
use crate::model::{Day, ReportingZone, Timestamp};
use crate::store::Store;
use crate::store::retention::{Droppable, DroppedBatch};

/// Deliveries of that time are what a change of a provider's format is told by, and what is compared looks as far back.
const LEAST_RAW_DAYS: u32 = 90;
/// Nothing asks for a replaced reading; a week is for whoever looks into what a new version changed.
const LEAST_READINGS_DAYS: u32 = 7;
/// A day that changes late is judged again with the 90 days that see it.
const LEAST_ALERTS_DAYS: u32 = 90;
/// Budgets count a whole month, and the month before is still asked about.
const LEAST_LEDGER_DAYS: u32 = 62;

/// How many days each layer is kept; null for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ages {
    pub raw: Option<u32>,
    pub readings: Option<u32>,
    pub alerts: Option<u32>,
    pub ledger: Option<u32>,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub ages: Ages,
    /// Days that the mart serves: each of their figures is explained down to its raw payload.
    pub publish_days: u32,
    pub today: Day,
    pub zone: ReportingZone,
    /// What the grants of deletions say.
    pub reason: String,
}

/// What retention drops, in the order in which it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layer {
    /// Receipts and the bodies that no other names.
    Raw,
    /// Readings of observations that a newer one replaced.
    Readings,
    Alerts,
    /// What was told of runs, reports and incidents.
    Events,
    /// Requests to providers.
    Requests,
    Runs,
}

impl Layer {
    const ALL: [Layer; 6] =
        [Layer::Raw, Layer::Readings, Layer::Alerts, Layer::Events, Layer::Requests, Layer::Runs];

    pub fn as_str(self) -> &'static str {
        match self {
            Layer::Raw => "raw",
            Layer::Readings => "readings",
            Layer::Alerts => "alerts",
            Layer::Events => "events",
            Layer::Requests => "requests",
            Layer::Runs => "runs",
        }
    }

    /// The key that says how long it is kept, and what it says.
    fn age(self, ages: Ages) -> (&'static str, Option<u32>) {
        match self {
            Layer::Raw => ("raw_days", ages.raw),
            Layer::Readings => ("readings_days", ages.readings),
            Layer::Alerts | Layer::Events => ("alerts_days", ages.alerts),
            Layer::Requests | Layer::Runs => ("ledger_days", ages.ledger),
        }
    }

    /// The least that it may be kept, and why.
    fn least(self, publish_days: u32) -> (u32, &'static str) {
        match self {
            Layer::Raw if publish_days > LEAST_RAW_DAYS => (
                publish_days,
                "every figure that is served (`mart.publish_days`) is explained down to its raw payload",
            ),
            Layer::Raw => (
                LEAST_RAW_DAYS,
                "a provider's change of format is told by the deliveries before it, and windows look back 90 days",
            ),
            Layer::Readings => {
                (LEAST_READINGS_DAYS, "what a new version of the normalizer changed is looked into")
            }
            Layer::Alerts | Layer::Events => {
                (LEAST_ALERTS_DAYS, "a late fact has the 90 days behind it judged again")
            }
            Layer::Requests | Layer::Runs => {
                (LEAST_LEDGER_DAYS, "budgets count whole months, and `costs` tells of the one before")
            }
        }
    }
}

/// What a layer has that is older than it is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LayerPlan {
    pub layer: &'static str,
    /// Null: for ever.
    pub kept_days: Option<u32>,
    /// What is older than this day goes.
    pub before: Option<Day>,
    pub rows: i64,
    /// Of stored content; null where rows are all there is.
    pub bytes: Option<i64>,
    /// The oldest day that stays; null where nothing does, or nothing was looked at.
    pub oldest_kept: Option<Day>,
}

/// What was dropped of each layer.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Summary {
    pub layers: Vec<DroppedLayer>,
    /// Months of a server's tables that held nothing any more.
    pub months: Vec<String>,
    pub cancelled: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DroppedLayer {
    pub layer: &'static str,
    pub rows: i64,
    pub bytes: i64,
}

/// Errors: usage, where a layer is to be kept for less than others need.
pub fn check(options: &Options) -> Result<(), Failure> {
    for layer in Layer::ALL {
        let ((key, days), (least, why)) = (layer.age(options.ages), layer.least(options.publish_days));
        if let Some(days) = days.filter(|days| *days < least) {
            return Err(Failure::usage(format!("retention.{key} is {days}, less than what is needed"))
                .hint(format!("{least} is the least: {why}")));
        }
    }
    Ok(())
}

/// What a run would drop; nothing is written.
pub async fn plan(store: &Store, options: &Options) -> anyhow::Result<Vec<LayerPlan>> {
    let mut plans = Vec::new();
    for layer in Layer::ALL {
        let (_, kept_days) = layer.age(options.ages);
        let cut = kept_days.map(|days| Cut::new(days, options));
        let found = match cut {
            Some(cut) => count(store, layer, cut)
                .await
                .with_context(|| format!("failed to look at {}", layer.as_str()))?,
            None => Droppable::default(),
        };
        plans.push(LayerPlan {
            layer: layer.as_str(),
            kept_days,
            before: cut.map(|cut| cut.day),
            rows: found.rows,
            bytes: found.bytes,
            oldest_kept: found.oldest_kept,
        });
    }
    Ok(plans)
}

/// Drops what is older than it is kept; `progress` is told how many rows are gone.
#[tracing::instrument(name = "stage", level = "error", skip_all, fields(operation = "retention"))]
pub async fn run(
    store: &Store,
    clock: Clock,
    cancel: &CancelToken,
    progress: &(dyn Fn(u64) + Send + Sync),
    options: &Options,
) -> anyhow::Result<Summary> {
    let mut summary = Summary::default();
    // A killed run may have left it.
    store.index_bodies(false).await.context("failed to prepare the database")?;
    for layer in Layer::ALL {
        let Some(days) = layer.age(options.ages).1 else { continue };
        let cut = Cut::new(days, options);
        let name = layer.as_str();
        let is_indexed = layer == Layer::Raw && store.count_old_raw(cut.at).await?.rows > 0;
        if is_indexed {
            store.index_bodies(true).await.context("failed to prepare the database")?;
        }
        let (mut after, mut dropped) = (0, DroppedLayer { layer: name, rows: 0, bytes: 0 });
        loop {
            if cancel.is_cancelled() {
                summary.cancelled = true;
                break;
            }
            let batch = drop_batch(store, layer, cut, after, clock, options);
            let batch = batch.await.with_context(|| format!("failed to drop of {name}"))?;
            dropped.rows += batch.rows;
            dropped.bytes += batch.bytes;
            progress(batch.rows.unsigned_abs());
            match batch.next {
                Some(next) => after = next,
                None => break,
            }
        }
        if is_indexed {
            store.index_bodies(false).await.context("failed to tidy up the database")?;
        }
        tracing::info!(layer = name, rows = dropped.rows, bytes = dropped.bytes, "old rows dropped");
        summary.layers.push(dropped);
        if summary.cancelled {
            return Ok(summary);
        }
    }
    for (table, month) in store.empty_months(&options.today.plus(-1).month()).await? {
        if store
            .drop_empty_month(&table, &month, clock.now())
            .await
            .with_context(|| format!("failed to drop {month} of {table}"))?
        {
            summary.months.push(format!("{table} {month}"));
        }
    }
    Ok(summary)
}

/// What is older goes: days before `day`, instants before `at`.
#[derive(Clone, Copy)]
struct Cut {
    day: Day,
    at: Timestamp,
}

impl Cut {
    fn new(kept_days: u32, options: &Options) -> Cut {
        let day = options.today.plus(-i32::try_from(kept_days).unwrap_or(i32::MAX));
        Cut { day, at: options.zone.end_of(day.plus(-1)) }
    }
}

async fn count(store: &Store, layer: Layer, cut: Cut) -> crate::store::Result<Droppable> {
    match layer {
        Layer::Raw => store.count_old_raw(cut.at).await,
        Layer::Readings => store.count_old_readings(cut.day).await,
        Layer::Alerts => store.count_old_alerts(cut.day).await,
        Layer::Events => store.count_old_events(cut.at).await,
        Layer::Requests => store.count_old_requests(cut.day).await,
        Layer::Runs => store.count_old_runs(cut.at).await,
    }
}

async fn drop_batch(
    store: &Store,
    layer: Layer,
    cut: Cut,
    after: i64,
    clock: Clock,
    options: &Options,
) -> crate::store::Result<DroppedBatch> {
    match layer {
        Layer::Raw => store.drop_old_raw(cut.at, after, clock.now(), &options.reason).await,
        Layer::Readings => store.drop_old_readings(cut.day, after).await,
        Layer::Alerts => store.drop_old_alerts(cut.day).await,
        Layer::Events => store.drop_old_events(cut.at).await,
        Layer::Requests => store.drop_old_requests(cut.day).await,
        Layer::Runs => store.drop_old_runs(cut.at).await,
    }
}
