//! Build-mart: core -> lake -> deltas, rollups, aggregates.
//!
//! Reads core days that changed since the last build. Writes lake files and the mart's serving tables. Two units
//! of work: core files with their mark, then mart files with serving tables and theirs; each is one transaction.
//! The lake's Delta logs are told last what came of it. A second run finds no changed day and writes nothing.
//!
//! A changed day dirties the days whose windows and deltas see it, and those behind them only as far as a product's past
//! became another (`reach`). What came before the dirty days is read back to the last end of a month that no window
//! reaches: the product's past at that day stands for the rest (`rollup::Past`).

mod categories;
mod compute;
mod core_files;
mod days;
mod estimate;
mod plan;
mod products;
mod reach;
mod served_days;
mod serving;
mod write;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join;
use serde::Serialize;

use crate::cancel::CancelToken;
use crate::clock::{Clock, Stopwatch};
use crate::error::{Failure, Outcome};
use crate::failpoint;
use crate::lake::{self, DeltaCommit, FilePlan, Lake, LakeError, Owner, SyncPlan, SyncSummary, Table};
use crate::model::{Day, DayRange, ReportingZone};
use crate::stages::delta;
use crate::store::lake::{FileSwap, LakeFile, LakeState};
use crate::store::mart::MartUpdate;
use crate::store::{PageCache, Store};

use estimate::DayCounts;
pub use estimate::Estimate;
use plan::MartPlan;
use served_days::DaysFromFiles;
use serving::{Renewal, Served};
use write::{Built, Limits};

#[derive(Clone, Debug)]
pub struct Options {
    /// Days to build again whether they changed or not.
    pub range: Option<DayRange>,
    /// Build every day again, from the lake's core, whose files are checked and mended first.
    pub full: bool,
    /// Make one file of every month, the open one too.
    pub compact: bool,
    /// Delete files that no list names at once, without waiting for readers.
    pub vacuum_now: bool,
    /// Tell the lake's Delta logs what is current.
    pub delta: bool,
    /// Listed files known to be damaged, besides those that are missing or cut off: they are written again.
    pub damaged: Vec<LakeFile>,
    /// Only find out what would be done.
    pub dry_run: bool,
    /// Days of deltas and aggregates served from the database.
    pub publish_days: u32,
    pub zone: ReportingZone,
    /// Bytes that the build may hold in memory, about; null for what makes it fastest.
    pub memory: Option<u64>,
}

impl Options {
    fn limits(&self) -> Limits {
        self.memory.map_or_else(Limits::default, Limits::within)
    }

    /// Rows of core that a sync may hold at once.
    fn sync_rows(&self) -> usize {
        let memory = self.memory.unwrap_or(6 << 30);
        usize::try_from(memory / 3 / lake::BYTES_PER_SYNCED_ROW).unwrap_or(usize::MAX)
    }
}

/// What was built.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    pub dry_run: bool,
    /// Why the lake was written anew, if it was.
    pub lake_rebuilt: Option<String>,
    /// Listed files that were missing or cut off, and were written again.
    pub files_repaired: usize,
    pub sync: SyncSummary,
    /// (marketplace, day) pairs whose mart rows were built.
    pub days_built: usize,
    pub first_day: Option<Day>,
    pub last_day: Option<Day>,
    /// Rows of the days built; what else lies in their files is not counted.
    pub delta_rows: usize,
    /// Rows of the days built; 0 in a dry run, which computes none.
    pub rollup_rows: usize,
    /// In a dry run those planned: one that turns out to have no row is not written.
    pub mart_files_written: usize,
    pub mart_bytes_written: i64,
    /// Commits to the lake's Delta logs.
    pub delta_commits: Vec<DeltaCommit>,
    /// Why the Delta logs could not be told of the build, which is current nonetheless.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta_failure: Option<String>,
    pub files_vacuumed: usize,
    /// What a dry run expects; null where nothing would be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
}

impl Summary {
    /// Failed where other engines do not see what was built.
    pub fn outcome(&self) -> Outcome {
        if self.delta_failure.is_some() { Outcome::Failed } else { Outcome::Done }
    }

    /// True when nothing changed since the last build.
    pub fn is_nothing(&self) -> bool {
        self.sync.files_written == 0
            && self.sync.changed_days == 0
            && self.mart_files_written == 0
            && self.days_built == 0
    }
}

impl Summary {
    fn cover(&mut self, day: Day) {
        self.first_day = Some(self.first_day.map_or(day, |first| first.min(day)));
        self.last_day = self.last_day.max(Some(day));
    }
}

/// Brings lake and mart up to date with core; `progress` is told how many daily rows were computed.
///
/// Errors: a core file of the lake that cannot be read; a stop asked for (nothing of the mart is published then).
#[tracing::instrument(name = "stage", level = "error", skip_all, fields(operation = "build-mart"))]
pub async fn run(
    store: &Store,
    lake: &Lake,
    clock: Clock,
    cancel: &CancelToken,
    progress: &(dyn Fn(u64) + Send + Sync),
    options: &Options,
) -> anyhow::Result<Summary> {
    let whole = Stopwatch::start();
    let mut summary = Summary { dry_run: options.dry_run, ..Summary::default() };
    let state = own_lake(store, lake, options, &mut summary).await?;
    let sync_plan =
        lake::plan_sync(store, lake, &state, options.compact, options.full, &options.damaged).await?;
    summary.files_repaired = sync_plan.damaged.len();
    if summary.files_repaired > 0 {
        tracing::warn!(files = summary.files_repaired, "damaged or missing lake files are written again");
    }
    if options.dry_run {
        describe(store, lake, &state, &sync_plan, options, &mut summary).await?;
        return Ok(summary);
    }
    summary.sync = lake::sync(store, lake, &sync_plan, options.sync_rows(), clock.now().into())
        .await
        .context("failed to bring core into the lake")?;
    stop_if_asked(cancel)?;

    let state = store.lake_state().await?;
    let damaged = damaged_files(lake, &state, options);
    let plan = plan::plan(store, lake, &state, &damaged, options).await?;
    if options.memory.is_some() {
        // What is served reaches the database in the order of its keys.
        store.set_page_cache(PageCache::Small).await.context("failed to prepare the database")?;
    }
    if !plan.is_empty() {
        build(store, lake, clock, &state, plan, cancel, progress, options, &mut summary).await?;
    }
    let state = store.lake_state().await?;
    // Before the files go that the logs still name. The mart itself is current, with logs or without.
    match publish_delta(store, lake, clock, options, &state, &mut summary).await {
        Ok(()) => vacuum(lake, clock, options, &state, &mut summary)?,
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "the Delta logs were not told");
            summary.delta_failure = Some(format!("{error:#}"));
        }
    }
    let &Summary { days_built: days, delta_rows, rollup_rows, mart_files_written: files, .. } = &summary;
    let duration_ms = whole.elapsed_ms();
    tracing::info!(days, delta_rows, rollup_rows, files, duration_ms, "mart built");
    Ok(summary)
}

/// Files to be written again. What stands for the days up to the end of a month is of one piece: without one of its
/// files the others say too little.
fn damaged_files(lake: &Lake, state: &LakeState, options: &Options) -> Vec<LakeFile> {
    let is_damaged = |file: &&LakeFile| !lake.is_whole(file) || options.damaged.contains(file);
    let damaged: Vec<&LakeFile> = state.files.iter().filter(is_damaged).collect();
    let is_past = |file: &LakeFile| Table::any_has(&Table::PAST, file);
    let goes_with = |file: &LakeFile, other: &LakeFile| {
        file == other
            || is_past(file)
                && is_past(other)
                && (file.marketplace, &file.month) == (other.marketplace, &other.month)
    };
    let affected = |file: &&LakeFile| damaged.iter().any(|other| goes_with(file, other));
    state.files.iter().filter(affected).cloned().collect()
}

/// Makes sure that the lake is this database's: a new or emptied folder, or the lake of before a restore, is written
/// anew.
///
/// Errors: the folder holds the files of another database, which may be in use.
async fn own_lake(
    store: &Store,
    lake: &Lake,
    options: &Options,
    summary: &mut Summary,
) -> anyhow::Result<LakeState> {
    let identity = store.identity().await?.ok_or_else(|| {
        Failure::new(Outcome::NotInitialised, "the database was not initialised to its end")
            .hint("finish it with `amzctl init`")
    })?;
    let mut state = store.lake_state().await?;
    match lake.owner(&identity)? {
        Owner::Us => return Ok(state),
        Owner::Another if lake::has_data(lake)? => {
            return Err(LakeError::OfAnother(lake.root().to_owned()).into());
        }
        Owner::Another | Owner::Before | Owner::Nobody => {}
    }
    if !state.files.is_empty() {
        summary.lake_rebuilt =
            Some(format!("the lake in {} is not this database's; it is written anew", lake.root().display()));
        tracing::warn!(lake = %lake.root().display(), "the lake is not this database's and is written anew");
        state = LakeState {
            changed_seq: state.changed_seq,
            generation: state.generation,
            ..LakeState::default()
        };
    }
    if !options.dry_run {
        store.forget_lake().await?;
        lake.claim(&identity).context("failed to mark the lake as this database's")?;
    }
    Ok(state)
}

/// What a run would do, without doing it.
async fn describe(
    store: &Store,
    lake: &Lake,
    state: &LakeState,
    sync: &SyncPlan,
    options: &Options,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    summary.sync =
        SyncSummary { changed_days: sync.changed_days, files_written: sync.files.len(), rows_written: 0 };
    let mut after = state.clone();
    after.exported_seq = state.changed_seq;
    // The plan reads which days core has: files that the sync would write are listed as if it had.
    after.files.retain(|file| !sync.files.iter().any(|plan| plan.replaced.contains(file)));
    after.files.extend(sync.files.iter().flat_map(|plan| plan.as_if_written()));
    let plan = plan::plan(store, lake, &after, &sync.damaged, options).await?;
    summary.mart_files_written = plan.files().count();
    let mut estimate = Estimate::default();
    let marketplaces = sync.files.iter().chain(plan.files()).map(|file| file.marketplace);
    for marketplace in marketplaces.collect::<BTreeSet<_>>() {
        let days = store.count_days(marketplace).await?;
        let counts: DayCounts = days.iter().map(|(day, rows)| (day.no(), rows.unsigned_abs())).collect();
        let market = plan.markets.iter().find(|market| market.marketplace == marketplace);
        let dirty = market.map_or(&[][..], |market| &market.dirty.deltas);
        for (day, rows) in dirty.iter().flat_map(|span| counts.range(span.first..=span.last)) {
            summary.days_built += 1;
            summary.delta_rows += usize::try_from(*rows).unwrap_or_default();
            summary.cover(Day::from_no(*day));
        }
        let core: Vec<&FilePlan> = sync.files.iter().filter(|file| file.marketplace == marketplace).collect();
        estimate.add(&state.files, &core, market, &counts, (options.limits(), options.sync_rows()));
    }
    summary.estimate = (estimate != Estimate::default()).then(|| estimate.finished());
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the ports and what the run has found out so far")]
async fn build(
    store: &Store,
    lake: &Lake,
    clock: Clock,
    state: &LakeState,
    mut plan: MartPlan,
    cancel: &CancelToken,
    progress: &(dyn Fn(u64) + Send + Sync),
    options: &Options,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    let (built, renewals) = loop {
        let writing = write_in_background(lake, state, &plan, options.limits(), cancel, progress);
        let (built, served) = join(writing, served_rollups(store, &plan)).await;
        let (built, served) = (built?, served?);
        let markets = plan.markets.iter().zip(&built.markets).zip(&served);
        let renewals: Vec<Renewal> = markets
            .map(|((market, built_market), served)| Renewal::new(market, built_market, served, &built.words))
            .collect();
        // A product whose newest rollups are gone falls back on older ones: those days are built too.
        match plan::widen(state, &plan, &renewals) {
            None => break (built, renewals),
            Some(wider) => plan = wider,
        }
    };
    stop_if_asked(cancel)?;
    lake.sync_folders(&built.files)?;
    failpoint!("mart.after_write");
    let swap = FileSwap {
        generation: plan.generation,
        removed: plan.files().flat_map(|file| file.replaced.iter().cloned()).collect(),
        added: built.files.clone(),
    };
    let (zone, most) = (options.zone, options.limits().served_rows);
    let days = plan
        .markets
        .iter()
        .map(|market| DaysFromFiles::new(lake, market, &built.files, &state.files, zone, most, cancel));
    publish(store, state.exported_seq, &plan, &built, &renewals, &swap, days.collect()).await?;
    lake::retire(lake, &swap.removed, clock.now().into());
    for market in &built.markets {
        summary.days_built += market.days.len();
        summary.delta_rows += market.delta_rows;
        summary.rollup_rows += market.rollup_rows;
        for day in market.days.iter().map(|day_no| Day::from_no(*day_no)) {
            summary.cover(day);
        }
    }
    summary.mart_files_written = built.files.len();
    summary.mart_bytes_written = built.files.iter().map(|file| file.size_bytes).sum();
    Ok(())
}

/// Of each marketplace of the plan, the products with served rollups and the days of these.
async fn served_rollups(store: &Store, plan: &MartPlan) -> anyhow::Result<Vec<Vec<(String, Day)>>> {
    let mut served = Vec::new();
    for market in &plan.markets {
        served.push(store.served_rollups(market.marketplace).await?);
    }
    Ok(served)
}

/// Computes and writes the plan's files on a thread of its own. What `progress` is to be told comes back to this one,
/// because it is only borrowed.
async fn write_in_background(
    lake: &Lake,
    state: &LakeState,
    plan: &MartPlan,
    limits: Limits,
    cancel: &CancelToken,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> anyhow::Result<Built> {
    let (lake, state, plan, cancel) = (lake.clone(), state.clone(), plan.clone(), cancel.clone());
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let stage = tracing::Span::current();
    let writing = tokio::task::spawn_blocking(move || {
        let _stage = stage.entered();
        let tell = move |rows| {
            // Nobody listens any more only where the build was given up.
            let _ = tell.send(rows);
        };
        write::write(&lake, &state, &plan, limits, &cancel, &tell)
    });
    while let Some(rows) = told.recv().await {
        progress(rows);
    }
    writing.await?.context("failed to build the mart")
}

/// Files, mark and serving tables in one transaction.
async fn publish(
    store: &Store,
    built_seq: i64,
    plan: &MartPlan,
    built: &Built,
    renewals: &[Renewal],
    swap: &FileSwap,
    mut days: Vec<DaysFromFiles>,
) -> anyhow::Result<()> {
    // The others wait for their turn: memory holds two parts of one marketplace.
    if let Some(first) = days.first_mut() {
        first.read_ahead();
    }
    let rows = built.markets.iter().zip(renewals).map(|(market, renewal)| {
        let served = |table, rows| {
            Served::new(table, Cow::Borrowed(rows), Some(&renewal.renewed), Cow::Borrowed(&built.words))
        };
        (served(Table::Rollups, &market.rollups), served(Table::RollupSellers, &market.sellers))
    });
    let rows: Vec<(Served<'_>, Served<'_>)> = rows.collect();
    let made = built.markets.iter().zip(renewals).zip(&rows).zip(&mut days);
    let updates =
        plan.markets.iter().zip(made).map(|(planned, (((market, renewal), (rollups, sellers)), served))| {
            MartUpdate {
                marketplace: planned.marketplace,
                served_from: Day::from_no(planned.served_from),
                replaced: planned.dirty.deltas.iter().map(|span| span.days()).collect(),
                days: market.days.iter().map(|day_no| Day::from_no(*day_no)).collect(),
                served,
                products: &renewal.asins,
                rollups,
                sellers,
            }
        });
    let mut updates: Vec<MartUpdate<'_>> = updates.collect();
    failpoint!("mart.before_publish");
    let watch = Stopwatch::start();
    store.publish_mart(swap, built_seq, &mut updates).await.context("failed to publish the mart")?;
    failpoint!("mart.after_publish");
    for market in &updates {
        let (marketplace, days) = (market.marketplace.code(), market.days.len());
        tracing::debug!(marketplace, days, products = market.products.len(), "marketplace published");
    }
    let (generation, files, duration_ms) = (plan.generation, built.files.len(), watch.elapsed_ms());
    tracing::info!(generation, files, duration_ms, "mart published");
    Ok(())
}

async fn publish_delta(
    store: &Store,
    lake: &Lake,
    clock: Clock,
    options: &Options,
    state: &LakeState,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    if options.delta {
        let asked = lake::Publishing { now: clock.now(), grace: grace(options), dry_run: false };
        summary.delta_commits = delta::publish(store, lake, state, asked).await?;
    }
    Ok(())
}

fn grace(options: &Options) -> Duration {
    if options.vacuum_now { Duration::ZERO } else { lake::GRACE }
}

fn vacuum(
    lake: &Lake,
    clock: Clock,
    options: &Options,
    state: &LakeState,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    summary.files_vacuumed = lake::vacuum(lake, &state.files, clock.now().into(), grace(options))?;
    if summary.files_vacuumed > 0 {
        tracing::debug!(files = summary.files_vacuumed, "lake files of no list deleted");
    }
    Ok(())
}

fn stop_if_asked(cancel: &CancelToken) -> anyhow::Result<()> {
    match cancel.outcome() {
        Some(outcome) => {
            Err(Failure::new(outcome, "stopped before the mart was published; the old one stays")
                .hint("run `amzctl build-mart` again")
                .into())
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
