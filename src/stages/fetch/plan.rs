//! What is due, from whom, in how many requests, at what estimated cost. Pure: touches no network and no database.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::{Datelike, Timelike};
use serde::Serialize;

use crate::model::{Cost, Marketplace, ProductKey, ReportingZone, Tier, Timestamp, WatchItem};
use crate::normalize::HISTORY_KIND;
use crate::sources::Source;
use crate::store::fetching::LastFetch;

/// What somebody wants of the watchlist.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Selection {
    /// Only these; empty: all.
    pub only: BTreeSet<ProductKey>,
    pub tier: Option<Tier>,
    /// At most so many, the most critical first.
    pub limit: Option<usize>,
    /// Not these: a backfill has them already.
    pub without: BTreeSet<ProductKey>,
}

/// A slot of a tier: two instants in the same one are one turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slot {
    /// Six hours of a reporting day.
    Quarter(i32, u32),
    Day(i32),
    IsoWeek(i32, u32),
}

impl Slot {
    pub fn of(tier: Tier, at: Timestamp, zone: ReportingZone) -> Slot {
        let day = zone.day_of(at);
        match tier {
            Tier::Critical => Slot::Quarter(day.no(), at.with_timezone(&zone.0).hour() / 6),
            Tier::Routine => Slot::Day(day.no()),
            Tier::Weekly => {
                let week = day.date().iso_week();
                Slot::IsoWeek(week.year(), week.week())
            }
        }
    }
}

/// A product that another source is to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecondLook {
    pub key: ProductKey,
    /// What was answered before says nothing.
    pub since: Timestamp,
    /// Names of sources in the order they are asked.
    pub chain: Vec<String>,
}

/// Sources in the order they are tried, by their place among the configured ones.
type Chain = Arc<[usize]>;

/// A product whose turn it is.
#[derive(Clone, Debug)]
pub struct DueProduct {
    pub key: ProductKey,
    pub tier: Tier,
    /// Only sources that serve it.
    pub chain: Chain,
    /// Operations of sources that answered in this slot already.
    pub done: Vec<(usize, usize)>,
    /// Of a second look: it counts what its chain has answered since then, whatever the slot.
    pub since: Option<Timestamp>,
}

/// Everything a run would do.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub due: Vec<DueProduct>,
    /// Watched, but not due: answered in this slot.
    pub not_due: u64,
    pub paused: u64,
    /// Beyond the limit that was asked for.
    pub beyond_limit: u64,
    /// Products that no configured source can be asked about.
    pub unserved: Vec<ProductKey>,
    pub lines: Vec<PlanLine>,
}

/// What would be asked of one source, if everything goes well with it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PlanLine {
    pub source: &'static str,
    pub operation: &'static str,
    pub products: u64,
    pub requests: u64,
    pub units: i64,
    pub unit: &'static str,
    /// Millionths of a dollar; null: no price is known.
    pub micros: Option<i64>,
    /// How long the rate limit makes it take, at least.
    pub seconds: u64,
    /// What will be in its way: a budget, an open circuit breaker.
    pub obstacle: Option<String>,
}

/// What is asked of whom, and when it is asked: whether a product was answered for in its slot follows from it.
#[derive(Clone, Copy)]
pub(super) struct Slots<'a> {
    pub(super) sources: &'a [Arc<dyn Source>],
    pub(super) zone: ReportingZone,
    pub(super) now: Timestamp,
}

impl Slots<'_> {
    /// Operations that answered in the current slot of a product's tier, or since then where that is said.
    pub(super) fn done(
        &self,
        tier: Tier,
        since: Option<Timestamp>,
        fetches: &[LastFetch],
    ) -> Vec<(usize, usize)> {
        let slot = |at| Slot::of(tier, at, self.zone);
        let current = slot(self.now);
        fetches
            .iter()
            .filter(|fetch| match since {
                Some(since) => fetch.fetched_at >= since,
                None => slot(fetch.fetched_at) == current,
            })
            .filter_map(|fetch| {
                let source = self.sources.iter().position(|source| source.name() == fetch.source)?;
                let operations = self.sources[source].operations();
                let operation = operations.iter().position(|operation| operation.name == fetch.operation)?;
                Some((source, operation))
            })
            .collect()
    }

    /// Some source was asked everything it is asked for the product, whether it is in its chain now or not; for a second
    /// look, some source of its chain.
    pub(super) fn is_answered(&self, due: &DueProduct) -> bool {
        self.sources.iter().enumerate().any(|(source, port)| {
            let operations = port.operations().len();
            let counts = due.since.is_none() || due.chain.contains(&source);
            counts
                && operations > 0
                && (0..operations).all(|operation| due.done.contains(&(source, operation)))
        })
    }
}

/// The inputs of a plan.
pub(super) struct Situation<'a> {
    pub(super) slots: Slots<'a>,
    /// Names of the sources for products that have no chain of their own.
    pub(super) default_chain: &'a [String],
    pub(super) fetches: &'a HashMap<ProductKey, Vec<LastFetch>>,
    /// How many requests may go at once, by (source, operation); null: a full bucket.
    pub(super) left: &'a dyn Fn(usize, usize) -> f64,
    /// What would be in the way of a cost at a source.
    pub(super) obstacle: &'a dyn Fn(usize, Cost) -> Option<String>,
    /// A backfill is planned.
    pub(super) has_history: bool,
}

/// Plans the watchlist: most critical first, then by marketplace and ASIN.
pub(super) fn plan(watchlist: &[WatchItem], selection: &Selection, situation: &Situation<'_>) -> Plan {
    let mut plan = Plan::default();
    let mut chains = Chains { situation, known: HashMap::new() };
    for item in watchlist {
        if !selection.only.is_empty() && !selection.only.contains(&item.key)
            || selection.tier.is_some_and(|tier| tier != item.tier)
        {
            continue;
        }
        if item.paused {
            plan.paused += 1;
            continue;
        }
        if selection.without.contains(&item.key) {
            plan.not_due += 1;
            continue;
        }
        let Some(chain) = chains.of(item) else {
            plan.unserved.push(item.key);
            continue;
        };
        let fetches = situation.fetches.get(&item.key).map_or(&[][..], Vec::as_slice);
        let done = situation.slots.done(item.tier, None, fetches);
        let due = DueProduct { key: item.key, tier: item.tier, chain, done, since: None };
        if situation.slots.is_answered(&due) || done_elsewhere(item, situation) {
            plan.not_due += 1;
            continue;
        }
        plan.due.push(due);
    }
    plan.due.sort_by_key(|due| (due.tier, due.key));
    if let Some(limit) = selection.limit
        && plan.due.len() > limit
    {
        plan.beyond_limit = (plan.due.len() - limit) as u64;
        plan.due.truncate(limit);
    }
    plan.lines = lines(&plan.due, situation);
    plan
}

/// Plans second looks, whether the products are watched or not.
pub(super) fn plan_second_looks(looks: &[SecondLook], situation: &Situation<'_>) -> Plan {
    let mut plan = Plan::default();
    let sources = situation.slots.sources;
    for SecondLook { key, since, chain } in looks {
        let chain: Chain = chain
            .iter()
            .filter_map(|name| sources.iter().position(|source| source.name() == name))
            .filter(|&source| sources[source].serves(key.marketplace))
            .collect();
        if chain.is_empty() {
            plan.unserved.push(*key);
            continue;
        }
        let fetches = situation.fetches.get(key).map_or(&[][..], Vec::as_slice);
        // They come before whatever else is due.
        let tier = Tier::Critical;
        let done = situation.slots.done(tier, Some(*since), fetches);
        let due = DueProduct { key: *key, tier, chain, done, since: Some(*since) };
        if situation.slots.is_answered(&due) {
            plan.not_due += 1;
        } else {
            plan.due.push(due);
        }
    }
    plan.due.sort_by_key(|due| due.key);
    plan.lines = lines(&plan.due, situation);
    plan
}

/// Chains repeat: each is worked out once.
struct Chains<'a> {
    situation: &'a Situation<'a>,
    known: HashMap<(Vec<String>, Marketplace), Option<Chain>>,
}

impl Chains<'_> {
    fn of(&mut self, item: &WatchItem) -> Option<Chain> {
        let Situation { slots: Slots { sources, .. }, default_chain, .. } = self.situation;
        // A backfill names its source itself.
        let is_default = item.source_chain.is_empty() || self.situation.has_history;
        let names = if is_default { default_chain } else { item.source_chain.as_slice() };
        let marketplace = item.key.marketplace;
        self.known
            .entry((names.to_vec(), marketplace))
            .or_insert_with(|| {
                let mut seen = HashSet::new();
                let chain: Chain = names
                    .iter()
                    .filter_map(|name| sources.iter().position(|source| source.name() == name))
                    .filter(|&source| sources[source].serves(marketplace) && seen.insert(source))
                    .collect();
                (!chain.is_empty()).then_some(chain)
            })
            .clone()
    }
}

/// A source that is not asked any more answered in the current slot.
fn done_elsewhere(item: &WatchItem, situation: &Situation<'_>) -> bool {
    let Slots { sources, zone, now } = situation.slots;
    let current = Slot::of(item.tier, now, zone);
    let fetches = situation.fetches.get(&item.key).into_iter().flatten();
    fetches.filter(|fetch| fetch.operation != HISTORY_KIND).any(|fetch| {
        let is_known = sources.iter().any(|source| source.name() == fetch.source);
        !is_known && Slot::of(item.tier, fetch.fetched_at, zone) == current
    })
}

fn lines(due: &[DueProduct], situation: &Situation<'_>) -> Vec<PlanLine> {
    let mut wanted: BTreeMap<(usize, usize), BTreeMap<Marketplace, u64>> = BTreeMap::new();
    for product in due {
        let Some(&source) = product.chain.first() else { continue };
        for operation in 0..situation.slots.sources[source].operations().len() {
            if !product.done.contains(&(source, operation)) {
                *wanted
                    .entry((source, operation))
                    .or_default()
                    .entry(product.key.marketplace)
                    .or_default() += 1;
            }
        }
    }
    wanted
        .into_iter()
        .map(|((place, number), products)| {
            let source = &situation.slots.sources[place];
            let operation = source.operations()[number];
            let mut cost = Cost::NOTHING;
            let mut requests = 0;
            for &count in products.values() {
                let batch = operation.batch as u64;
                let (full, rest) = (count / batch, count % batch);
                requests += full + u64::from(rest > 0);
                for _ in 0..full {
                    cost = cost.plus(source.estimate(operation.name, operation.batch, situation.has_history));
                }
                if rest > 0 {
                    cost = cost.plus(source.estimate(operation.name, rest as usize, situation.has_history));
                }
            }
            let waiting = (requests as f64 - (situation.left)(place, number)).max(0.0);
            PlanLine {
                source: source.name(),
                operation: operation.name,
                products: products.values().sum(),
                requests,
                units: cost.units,
                unit: source.unit(),
                micros: cost.micros,
                seconds: (waiting / operation.rate.per_second).ceil() as u64,
                obstacle: (situation.obstacle)(place, cost),
            }
        })
        .collect()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
