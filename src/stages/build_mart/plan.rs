//! What a build has to do, per marketplace: which days are dirty, which files to write, what to serve.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;

use super::Options;
use super::reach::{Dirty, Reach};
use super::serving::Renewal;
use crate::lake::{FilePlan, Lake, Span, Table, files_of, merge, plan_table};
use crate::model::{Day, Marketplace};
use crate::store::Store;
use crate::store::lake::{LakeFile, LakeState};

/// What a build writes.
#[derive(Clone, Debug)]
pub(super) struct MartPlan {
    pub(super) generation: i64,
    pub(super) markets: Vec<MarketPlan>,
}

/// What a build writes for one marketplace.
#[derive(Clone, Debug)]
pub(super) struct MarketPlan {
    pub(super) marketplace: Marketplace,
    /// The first and the newest day of core; days of deleted rows may lie outside.
    pub(super) first: i32,
    pub(super) newest: i32,
    /// Days whose rows may have changed.
    pub(super) dirty: Dirty,
    pub(super) files: Vec<FilePlan>,
    /// The first day of which deltas and aggregates are served.
    pub(super) served_from: i32,
    /// The last day that core or the mart holds.
    last: i32,
}

impl MartPlan {
    pub(super) fn is_empty(&self) -> bool {
        self.markets.is_empty()
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &FilePlan> {
        self.markets.iter().flat_map(|market| &market.files)
    }
}

impl MarketPlan {
    /// Days whose deltas and aggregates are served anew.
    pub(super) fn served(&self) -> Vec<Span> {
        let days = self.dirty.deltas.iter().filter_map(|span| {
            let (first, last) = (span.first.max(self.served_from), span.last.min(self.newest));
            (first <= last).then_some(Span { first, last })
        });
        days.collect()
    }
}

/// Finds the days that changed since the last build, and with `options` those to build again.
pub(super) async fn plan(
    store: &Store,
    lake: &Lake,
    state: &LakeState,
    damaged: &[LakeFile],
    options: &Options,
) -> anyhow::Result<MartPlan> {
    let mut changed: BTreeMap<Marketplace, Vec<i32>> = BTreeMap::new();
    for (marketplace, day) in store.changed_days(state.built_seq, state.exported_seq).await? {
        changed.entry(marketplace).or_default().push(day.no());
    }
    let listed = state.files.iter().map(|file| file.marketplace);
    let marketplaces: BTreeSet<Marketplace> = changed.keys().copied().chain(listed).collect();
    let mut markets = Vec::new();
    for marketplace in marketplaces {
        let changed = changed.remove(&marketplace).unwrap_or_default();
        let mut market = bounds(state, marketplace, &changed, options);
        // What a damaged file said of the pasts cannot be compared with.
        let sound = state.files.iter().filter(|file| !damaged.contains(file)).cloned().collect();
        market.dirty = dirty(store, lake, sound, &market, changed, options).await?;
        plan_files(&mut market, state, damaged, options.compact);
        if !market.files.is_empty() || !market.dirty.is_empty() {
            markets.push(market);
        }
    }
    Ok(MartPlan { generation: state.generation + 1, markets })
}

fn bounds(state: &LakeState, marketplace: Marketplace, changed: &[i32], options: &Options) -> MarketPlan {
    let files = || state.files.iter().filter(|file| file.marketplace == marketplace);
    let core = || files().filter(|file| file.table == Table::Daily.name());
    let last = files().map(|file| file.last_day_no).chain(changed.iter().copied()).max().unwrap_or_default();
    let newest = core().map(|file| file.last_day_no).max();
    let first = core().map(|file| file.first_day_no).min().unwrap_or(last);
    // Without core nothing is served.
    let served_from = newest.map_or(last + 1, |newest| newest - options.publish_days as i32 + 1);
    MarketPlan {
        marketplace,
        first,
        newest: newest.unwrap_or(first - 1),
        dirty: Dirty::default(),
        files: Vec::new(),
        served_from,
        last,
    }
}

async fn dirty(
    store: &Store,
    lake: &Lake,
    files: Vec<LakeFile>,
    market: &MarketPlan,
    changed: Vec<i32>,
    options: &Options,
) -> anyhow::Result<Dirty> {
    let until_last = |first: i32| Span { first, last: market.last };
    let mut dirty = Dirty::default();
    if options.full {
        let first = changed.first().copied().unwrap_or(market.last).min(market.first);
        dirty.add(until_last(first.min(market.last)));
    } else if options.dry_run {
        // Core that is not in the lake yet cannot be looked at: no more than all later days.
        changed.first().into_iter().for_each(|first| dirty.add(until_last(*first)));
    } else {
        let (lake, marketplace, last) = (lake.clone(), market.marketplace, market.last);
        let limits = options.limits();
        let reached = tokio::task::spawn_blocking(move || {
            Reach { lake: &lake, files: &files, marketplace, last, limits }.of(&changed)
        });
        dirty = reached.await?.context("failed to find out how far the changed days reach")?;
    }
    if let Some(range) = options.range {
        let (first, last) = (range.first.no().max(market.first), range.last.no().min(market.last));
        if first <= last {
            dirty.add(Span { first, last });
        }
    }
    // More days may have to be served than before: a longer publish_days, or the newest day was taken back.
    let expected = store.first_day_from(market.marketplace, Day::from_no(market.served_from)).await?;
    let served = store.first_served_day(market.marketplace).await?;
    if let Some(expected) = expected
        && served.is_none_or(|served| expected < served)
    {
        dirty.add(until_last(expected.no()));
    }
    Ok(dirty)
}

fn plan_files(market: &mut MarketPlan, state: &LakeState, damaged: &[LakeFile], compact: bool) {
    let newest = (market.newest >= market.first).then_some(Day::from_no(market.newest));
    let mut past = market.dirty.deltas.clone();
    past.extend(ends_without_past(market, state));
    past.extend(pasts_to_come(market, state));
    let past = merge(past);
    let Dirty { deltas, rollups } = &market.dirty;
    market.files = Table::MART
        .iter()
        .flat_map(|table| {
            let current = files_of(&state.files, *table, market.marketplace);
            let changed = match table {
                Table::Deltas => deltas,
                Table::Rollups | Table::RollupSellers => rollups,
                _ => &past,
            };
            plan_table(*table, market.marketplace, &current, damaged, changed, newest, compact)
        })
        .collect();
}

/// Ends of months that are over and have no past yet.
fn ends_without_past(market: &MarketPlan, state: &LakeState) -> Vec<Span> {
    let own = state.files.iter().filter(|file| file.marketplace == market.marketplace);
    let known: BTreeSet<i32> =
        own.filter(|file| file.table == Table::Pasts.name()).map(|file| file.last_day_no).collect();
    let ends = month_ends(Span { first: market.first, last: market.newest }).into_iter();
    ends.filter(|end| !known.contains(end)).map(|end| Span { first: end, last: end }).collect()
}

/// Pasts of months that are not over any more: the days that ended them were taken back.
fn pasts_to_come(market: &MarketPlan, state: &LakeState) -> Vec<Span> {
    let pasts = files_of(&state.files, Table::Pasts, market.marketplace).into_iter();
    pasts.filter(|file| file.last_day_no > market.newest).map(Span::of).collect()
}

/// The last days of months among some days.
pub(super) fn month_ends(days: Span) -> Vec<i32> {
    let end_of = |day: i32| Day::from_no(day).month_end().no();
    std::iter::successors(Some(end_of(days.first)), |end| Some(end_of(end + 1)))
        .take_while(|end| *end <= days.last)
        .collect()
}

/// A plan that goes back to the first day for marketplaces where a product lost its served rollups to the build and may
/// have older ones that the build did not compute; null when there are none.
pub(super) fn widen(state: &LakeState, plan: &MartPlan, renewals: &[Renewal]) -> Option<MartPlan> {
    let mut wider = plan.clone();
    let mut found = false;
    for (market, renewal) in wider.markets.iter_mut().zip(renewals) {
        if renewal.falls_back {
            market.dirty.add(Span { first: market.first, last: market.last });
            plan_files(market, state, &[], false);
            found = true;
        }
    }
    found.then_some(wider)
}
