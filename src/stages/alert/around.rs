//! Findings that need more than a delta row: listings, cohorts, absences, incidents.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;

use super::{Judges, Options};
use crate::clock::Clock;
use crate::model::{Day, DayRange, Marketplace, ProductKey};
use crate::rollup::rules::{
    Finding, Judged, ListingChange, PairFacts, Rule, judge_gone, judge_incident, judge_listing, judge_stale,
    judge_undercut,
};
use crate::store::Store;
use crate::store::judging::CohortPair;

/// How far back prices are read for `undercut`, at least: beyond the longest gap, so that longer ones are
/// counted.
const PRICE_DAYS: i32 = 30;

/// Judges the listing versions that begin on the days, or have lasted on them for as many looks as the rule
/// wants.
pub(super) async fn judge_listings(
    store: &Store,
    days: &BTreeSet<(Marketplace, Day)>,
    judges: &Judges,
    options: &Options,
) -> anyhow::Result<Judged> {
    let Some(range) = range_of(days.iter().map(|(_, day)| *day)) else { return Ok(Judged::default()) };
    let zone = options.zone;
    let since = |days: i32| zone.end_of(range.first.plus(-days - 1));
    let until = zone.end_of(range.last);
    let looks_wanted = |product: ProductKey| {
        let rules = judges.rules_of(product).filter(|_| judges.unjudged.products.contains(product))?;
        rules.get(Rule::ListingChanged).map(|spec| spec.confirmations)
    };
    let changes = store
        .load_listing_changes(since(0), until, |at| zone.day_of(at))
        .await
        .context("failed to load listing versions")?;
    let mut by_day: BTreeMap<(ProductKey, Day), Vec<ListingChange>> = BTreeMap::new();
    for change in changes {
        if looks_wanted(change.product) == Some(1) && days.contains(&(change.product.marketplace, change.day))
        {
            by_day.entry((change.product, change.day)).or_default().push(change);
        }
    }
    let reach = judges.book.look_back_days();
    let listings = match reach {
        0 => Vec::new(),
        _ => {
            let seen = DayRange { first: range.first.plus(-reach), last: range.last };
            store.load_listing_looks(seen, since(reach), until).await.context("failed to load listings")?
        }
    };
    for listing in &listings {
        let Some(wanted) = looks_wanted(listing.product).filter(|wanted| *wanted > 1) else { continue };
        let judged = days.iter().filter(|(marketplace, _)| *marketplace == listing.product.marketplace);
        for change in judged.filter_map(|(_, day)| listing.settled_change(*day, wanted)) {
            by_day.entry((change.product, change.day)).or_default().push(change);
        }
    }
    let judge = |((product, _), changes): (&(ProductKey, Day), &Vec<ListingChange>)| {
        judge_listing(changes, &*judges.rules_of(*product)?)
    };
    let findings = by_day.iter().filter_map(judge).collect();
    Ok(Judged { findings, gap_too_long: 0 })
}

/// Judges `undercut` on the days of main products; answers these days too. A day is judged when it was built
/// for the main product's marketplace or for the competitor's.
pub(super) async fn judge_cohorts(
    store: &Store,
    days: &BTreeSet<(Marketplace, Day)>,
    judges: &Judges,
    options: &Options,
) -> anyhow::Result<(Judged, BTreeSet<(Marketplace, Day)>)> {
    let pairs = store.load_cohort_pairs(&options.workspace).await.context("failed to load cohorts")?;
    let main_days = main_days(&pairs, days);
    let mut judged = Judged::default();
    let Some(range) = range_of(main_days.iter().map(|(_, day)| *day)) else { return Ok((judged, main_days)) };
    let range =
        DayRange { first: range.first.plus(-PRICE_DAYS.max(judges.book.look_back_days())), last: range.last };
    let products = pairs.iter().flat_map(|pair| [pair.main, pair.competitor]);
    let prices =
        store.load_day_prices(products, range).await.context("failed to load the cohorts' prices")?;
    let of = |product: ProductKey| prices.get(&product).map_or(&[][..], Vec::as_slice);
    for pair in &pairs {
        let facts = PairFacts {
            main: pair.main,
            competitor: pair.competitor,
            cohorts: &pair.cohorts,
            main_prices: of(pair.main),
            competitor_prices: of(pair.competitor),
        };
        let Some(rules) = judges.rules_of(pair.main) else { continue };
        for (_, day) in main_days.iter().filter(|(marketplace, _)| *marketplace == pair.main.marketplace) {
            judged.append(judge_undercut(&facts, *day, &rules));
        }
    }
    Ok((judged, main_days))
}

fn main_days(pairs: &[CohortPair], days: &BTreeSet<(Marketplace, Day)>) -> BTreeSet<(Marketplace, Day)> {
    let links: BTreeSet<(Marketplace, Marketplace)> =
        pairs.iter().map(|pair| (pair.main.marketplace, pair.competitor.marketplace)).collect();
    let of = |wanted: Marketplace| days.iter().filter(move |(marketplace, _)| *marketplace == wanted);
    links
        .iter()
        .flat_map(|(main, competitor)| of(*main).chain(of(*competitor)).map(|(_, day)| (*main, *day)))
        .collect()
}

/// Judges what tells of the present, and the products that are gone.
pub(super) async fn judge_present(
    store: &Store,
    clock: Clock,
    judges: &Judges,
    options: &Options,
) -> anyhow::Result<Vec<Finding>> {
    let now = clock.now();
    let watched =
        store.load_watched_sightings(&options.workspace).await.context("failed to load the watchlist")?;
    let gone = store.load_gone_products().await.context("failed to load products that are gone")?;
    let incidents = store.load_open_incidents().await.context("failed to load incidents")?;
    let stale = watched
        .iter()
        .filter_map(|facts| judge_stale(facts, options.zone, now, &*judges.rules_of(facts.product)?));
    let gone = gone.iter().filter_map(|facts| judge_gone(facts, &*judges.rules_of(facts.product)?));
    let incidents = incidents.iter().filter_map(|facts| judge_incident(facts, judges.book.base()));
    Ok(stale.chain(gone).chain(incidents).collect())
}

/// From the first to the last of the days; null when there is none.
pub(super) fn range_of(days: impl Iterator<Item = Day> + Clone) -> Option<DayRange> {
    Some(DayRange { first: days.clone().min()?, last: days.max()? })
}
