//! What decides of alerts and held findings where the product's own rows say nothing: a competitor's prices,
//! later looks of a listing's source, a product that was seen again, and, where no evidence ever comes, time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use anyhow::Context as _;

use super::hold::{HeldBy, Pending, SaidSince};
use super::reconcile::Scope;
use super::{Judges, Options};
use crate::model::{Day, DayRange, ProductKey, ProductRef, Timestamp, Workspace};
use crate::rollup::rules::{
    DayPrice, Finding, GateReason, PairFacts, Rule, RuleSpec, Severity, listing_outlook, undercut_outlook,
};
use crate::store::Store;
use crate::store::gate::{HeldRecord, HeldState, Verdict};

/// Findings whose evidence is in memory at a time.
pub(super) const AT_ONCE: usize = 500;

/// Asks competitors' prices and listings, where days were judged.
pub(super) async fn ask_around(store: &Store, judges: &Judges, since: &mut SaidSince) -> anyhow::Result<()> {
    if judges.unjudged.days.is_empty() {
        return Ok(());
    }
    ask_prices(store, judges, since).await?;
    ask_listings(store, judges, since).await
}

/// What is pending of a rule, with the rule as it is for the product now.
fn pending_of(judges: &Judges, rule: Rule) -> Vec<(ProductKey, &Pending, RuleSpec)> {
    let of_rule = judges.pending.iter().flat_map(|(&product, all)| {
        all.iter().filter(move |one| one.rule == rule).map(move |one| (product, one))
    });
    let judged = of_rule.filter_map(|(product, one)| {
        let spec = judges.rules_of(product)?.get(rule)?.clone();
        Some((product, one, spec))
    });
    let mut judged: Vec<_> = judged.collect();
    judged.sort_by(|a, b| (a.0, &a.1.alert_id).cmp(&(b.0, &b.1.alert_id)));
    judged
}

async fn ask_prices(store: &Store, judges: &Judges, since: &mut SaidSince) -> anyhow::Result<()> {
    let pending = pending_of(judges, Rule::Undercut);
    let pairs = pending.iter().filter_map(|(main, one, spec)| {
        let named = one.evidence["competitor"].as_str()?.parse::<ProductRef>().ok()?;
        Some((*main, named.key_or(main.marketplace), *one, spec))
    });
    let pairs: Vec<_> = pairs.collect();
    // Each product from its own oldest finding on, and no further than what is judged.
    let mut ranges: BTreeMap<ProductKey, DayRange> = BTreeMap::new();
    for (main, competitor, one, _) in &pairs {
        for product in [*main, *competitor] {
            let Some(&last) = judges.unjudged.newest_days.get(&product.marketplace) else { continue };
            let range = ranges.entry(product).or_insert(DayRange { first: one.day, last });
            range.first = range.first.min(one.day);
        }
    }
    let mut by_range: BTreeMap<(Day, Day), Vec<ProductKey>> = BTreeMap::new();
    for (product, DayRange { first, last }) in ranges {
        by_range.entry((first, last)).or_default().push(product);
    }
    let mut prices: HashMap<ProductKey, Vec<DayPrice>> = HashMap::new();
    for ((first, last), products) in by_range {
        let known = store.load_day_prices(products, DayRange { first, last }).await;
        prices.extend(known.context("failed to load the prices of undercut products")?);
    }
    let of = |product: &ProductKey| prices.get(product).map_or(&[][..], Vec::as_slice);
    for (main, competitor, one, spec) in pairs {
        let (main_prices, competitor_prices) = (of(&main), of(&competitor));
        let pair = PairFacts { main, competitor, cohorts: &[], main_prices, competitor_prices };
        since.settle(one, undercut_outlook(spec, one.day, &pair, one.looks(spec)));
    }
    Ok(())
}

/// A listing that has changed stays changed: only findings that are held wait to be seen again.
async fn ask_listings(store: &Store, judges: &Judges, since: &mut SaidSince) -> anyhow::Result<()> {
    let mut by_range: BTreeMap<(Day, Day), Vec<(ProductKey, &Pending)>> = BTreeMap::new();
    for (product, one, _) in pending_of(judges, Rule::ListingChanged) {
        let newest = judges.unjudged.newest_days.get(&product.marketplace);
        let Some(&last) = newest.filter(|newest| one.held.is_some() && **newest > one.day) else { continue };
        by_range.entry((one.day.plus(1), last)).or_default().push((product, one));
    }
    for ((first, last), waiting) in by_range {
        for waiting in waiting.chunks(AT_ONCE) {
            let products = waiting.iter().map(|(product, _)| *product);
            let later = store.load_listings_seen(products, DayRange { first, last }).await;
            let later = later.context("failed to load the listings seen since")?;
            for (product, one) in waiting {
                let later = later.get(product).map_or(&[][..], Vec::as_slice);
                since.settle(one, listing_outlook(&one.evidence, later));
            }
        }
    }
    Ok(())
}

/// Ends what tells of an absence where nothing of the present says so any more.
pub(super) fn no_longer_present(judges: &Judges, present: &[Finding], since: &mut SaidSince) {
    const NOTE: &str = "the product was seen again, or is not watched any more";
    let still: BTreeSet<(Rule, Option<ProductKey>)> =
        present.iter().map(|finding| (finding.rule, finding.product)).collect();
    let mut gone: Vec<&Pending> = judges
        .pending
        .iter()
        .flat_map(|(product, all)| all.iter().map(move |one| (*product, one)))
        .filter(|(_, one)| matches!(one.rule, Rule::ProductStale | Rule::ProductGone))
        .filter(|(product, one)| !still.contains(&(one.rule, Some(*product))))
        .map(|(_, one)| one)
        .collect();
    gone.sort_by(|a, b| a.alert_id.cmp(&b.alert_id));
    for one in gone {
        match &one.held {
            None => since.cleared.push((one.alert_id.clone(), NOTE.to_owned())),
            Some(held) => since.decide(one, held, Verdict::Drop, NOTE.to_owned()),
        }
    }
}

/// Ends what tells of sources whose incidents are over.
pub(super) fn well_again(judges: &Judges, workspace: &Workspace, present: &[Finding], since: &mut SaidSince) {
    if judges.book.base().get(Rule::SourceIncident).is_none() {
        return;
    }
    let still: HashSet<String> = present.iter().map(|finding| finding.alert_id(workspace.as_str())).collect();
    let over = judges.of_sources.iter().filter(|id| !still.contains(*id));
    since.cleared.extend(over.map(|id| (id.clone(), "the source is well again".to_owned())));
}

/// Drops what is held and was not found again on its own day, which says otherwise by now.
pub(super) fn no_longer_found(
    judges: &Judges,
    scope: &Scope,
    found: &HashSet<String>,
    since: &mut SaidSince,
) {
    for (product, one, held) in since.undecided(&judges.pending) {
        let is_judged = judges.unjudged.products.contains(product)
            && scope.covers(one.rule, product.marketplace, one.day);
        if is_judged && !found.contains(&one.alert_id) {
            since.decide(one, held, Verdict::Drop, held.noted("no longer found on its own day".to_owned()));
        }
    }
}

/// Releases what no evidence has decided, where the rules have no gate any more: nobody else would.
pub(super) fn release_the_rest(judges: &Judges, since: &mut SaidSince) {
    let note = format!("not confirmed: the rule set `{}` has no quality gate", judges.book.base().name);
    for (_, one, held) in since.undecided(&judges.pending) {
        since.decide_unconfirmed(one, held, Verdict::Release, held.noted(note.clone()));
    }
}

/// Decides what has waited for so long that no evidence is to be expected: the product is not fetched any
/// more, or gone.
///
/// What is held for itself may be real, and is told where it is grave; what is held with many others goes the
/// way that most of these went, and without any that was decided it is a source's doing, of which the
/// incident has told. A product that is still absent is told of as such.
pub(super) async fn decide_by_time(
    store: &Store,
    now: Timestamp,
    judges: &Judges,
    options: &Options,
    since: &mut SaidSince,
) -> anyhow::Result<()> {
    let days = i32::try_from(options.decide_after_days).unwrap_or(i32::MAX);
    let today = options.zone.day_of(now);
    let is_over = |held: &HeldBy| today.no() - options.zone.day_of(held.since).no() >= days;
    let mut others: BTreeMap<&str, bool> = BTreeMap::new();
    // Of the others the newest evidence counts too, which is not written yet.
    let by_evidence = since.states();
    let waiting = since.undecided(&judges.pending).into_iter().filter(|(.., held)| is_over(held));
    for (_, one, held) in waiting {
        let is_released = match held.reason {
            // That nothing was seen for so long is what it says.
            _ if matches!(one.rule, Rule::ProductStale | Rule::ProductGone) => true,
            GateReason::ImplausibleJump | GateReason::SecondSource => one.severity >= Severity::High,
            _ => match others.get(held.incident_id.as_str()) {
                Some(&were_true) => were_true,
                None => {
                    let found = store.load_held_of(&options.workspace, &held.incident_id).await;
                    let mut found = found.context("failed to load what became of the others")?;
                    for held in &mut found {
                        let key = (held.incident_id.clone(), held.alert.alert_id.clone());
                        held.state = by_evidence.get(&key).copied().unwrap_or(held.state);
                    }
                    let were_true = were_mostly_true(&found);
                    others.insert(&held.incident_id, were_true);
                    were_true
                }
            },
        };
        let verdict = if is_released { Verdict::Release } else { Verdict::Drop };
        let note = held.noted(format!("not confirmed within {days} days"));
        since.decide_unconfirmed(one, held, verdict, note);
    }
    Ok(())
}

/// More of an incident's findings were released than dropped.
fn were_mostly_true(found: &[HeldRecord]) -> bool {
    let count = |state| found.iter().filter(|held| held.state == state).count();
    count(HeldState::Released) > count(HeldState::Dropped)
}
