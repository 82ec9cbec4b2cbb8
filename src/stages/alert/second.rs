//! Grave findings that one source alone has seen: they wait until a second one has looked, or cannot be
//! asked.
//!
//! Asking is not done here: the summary says what waits, `amzctl run` asks, and judging again decides.
//! Whoever has looked anyway is heard without being asked. Prices that jumped implausibly far are asked about
//! where they are grave; without an answer they go on waiting for the next day.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use anyhow::Context as _;
use chrono::TimeDelta;

use super::evidence::AT_ONCE;
use super::hold::{HeldBy, Pending, SaidSince};
use super::{Judges, Options};
use crate::model::{Day, DayRange, HISTORY_SOURCE, ProductKey, Timestamp};
use crate::rollup::rules::{
    Finding, GateReason, RuleSpec, SecondLook, Severity, Sighting, is_confirmable, second_look, shown_by,
};
use crate::store::gate::Verdict;
use crate::store::{Seen, Store};

/// A finding of an older day is not asked about: what is seen now says little of it.
const ASKED_DAYS: i32 = 1;

/// Which findings a second source is to confirm.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecondSource {
    /// From this severity on.
    pub severity: Severity,
    /// After so long a finding is told without.
    pub wait: TimeDelta,
    /// Why there is no answer to wait for, by product.
    pub unanswered: BTreeMap<ProductKey, String>,
}

impl SecondSource {
    /// True of findings so grave and so new.
    fn is_for(&self, severity: Severity, day: Day, today: Day) -> bool {
        severity >= self.severity && day >= today.plus(-ASKED_DAYS)
    }
}

/// A finding that waits for a second source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Awaiting {
    pub product: ProductKey,
    pub since: Timestamp,
    /// Sources that have shown it, or have said something of the product on its day: others are to be asked.
    pub rests_on: BTreeSet<String>,
}

/// Decides what waits for a second source by what has been seen by now; answers what goes on waiting for one.
/// What one source contradicts waits for the next day.
pub(super) async fn decide(
    store: &Store,
    now: Timestamp,
    judges: &Judges,
    options: &Options,
    since: &mut SaidSince,
) -> anyhow::Result<Vec<Awaiting>> {
    let mut awaiting = Vec::new();
    let mut waiting = since.undecided(&judges.pending);
    waiting
        .retain(|(.., held)| matches!(held.reason, GateReason::SecondSource | GateReason::ImplausibleJump));
    waiting.sort_by_key(|(product, ..)| *product);
    let today = options.zone.day_of(now);
    let mut seen_of = SeenSince::default();
    for (at, (product, one, held)) in waiting.iter().copied().enumerate() {
        if at % AT_ONCE == 0 {
            let chunk = waiting[at..].iter().take(AT_ONCE);
            seen_of =
                SeenSince::load(store, chunk.map(|(product, one, _)| (*product, one.day)), today).await?;
        }
        let spec = judges.rules_of(product).and_then(|set| set.get(one.rule).cloned());
        let seen = seen_of.get(product, one.day);
        let Some(spec) = &spec else {
            since.decide(one, held, Verdict::Drop, "the rule does not judge the product any more".to_owned());
            continue;
        };
        let said = second_look(spec, &one.evidence, &sightings(seen));
        match said {
            SecondLook::Confirmed(note) => since.decide(one, held, Verdict::Release, note),
            SecondLook::Refuted(note) => since.decide(one, held, Verdict::Drop, note),
            // One word against another: nobody is paid for a third, the next day's rows decide.
            SecondLook::Contradicted(by) => since.contradict(one, held, &by),
            SecondLook::Unknown if held.reason == GateReason::SecondSource => {
                match given_up(product, held, now, options) {
                    Some(note) => since.decide_unconfirmed(one, held, Verdict::Release, note),
                    None => {
                        let rests_on = rests_on(spec, &one.evidence, seen);
                        awaiting.push(Awaiting { product, since: held.since, rests_on });
                    }
                }
            }
            // A jump waits for the next day anyway; where it is grave another source may know sooner.
            SecondLook::Unknown if is_asked_about(product, one, held, now, options) => {
                let rests_on = rests_on(spec, &one.evidence, seen);
                awaiting.push(Awaiting { product, since: held.since, rests_on });
            }
            SecondLook::Unknown => {}
        }
    }
    Ok(awaiting)
}

/// True of a grave finding that a source may still be asked about.
fn is_asked_about(
    product: ProductKey,
    one: &Pending,
    held: &HeldBy,
    now: Timestamp,
    options: &Options,
) -> bool {
    options.second.as_ref().is_some_and(|second| {
        second.is_for(one.severity, one.day, options.zone.day_of(now))
            && is_confirmable(one.rule)
            && now - held.since < second.wait
            && !second.unanswered.contains_key(&product)
    })
}

/// Why a finding is told although no second source has shown it; null while one may.
fn given_up(product: ProductKey, held: &HeldBy, now: Timestamp, options: &Options) -> Option<String> {
    let why = match &options.second {
        None => "no second source is configured any more".to_owned(),
        Some(second) => match second.unanswered.get(&product) {
            Some(why) => why.clone(),
            None if now - held.since >= second.wait => {
                format!("none was asked within {} hours", second.wait.num_hours())
            }
            None => return None,
        },
    };
    Some(format!("not confirmed by a second source: {why}"))
}

/// Of findings that would be told for the first time: which two sources have shown, and which one alone has.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// Ids of alerts.
    pub(super) confirmed: HashSet<String>,
    /// Grave ones; null where others have looked already.
    pub(super) alone: BTreeMap<String, Option<Awaiting>>,
    /// Whether others say that it is not so.
    pub(super) against: BTreeMap<String, SecondLook>,
}

/// Looks at what was seen of these findings. `is_implausible` says of a finding that it needs a second look
/// anyway.
pub(super) async fn look(
    store: &Store,
    now: Timestamp,
    judges: &Judges,
    options: &Options,
    findings: &[Finding],
    is_implausible: impl Fn(&Finding) -> bool,
) -> anyhow::Result<Looked> {
    let today = options.zone.day_of(now);
    let mut looked = Looked::default();
    let mut doubted = Vec::new();
    for finding in findings {
        let Some(product) = finding.product.filter(|_| is_confirmable(finding.rule)) else { continue };
        let second = options.second.as_ref();
        let is_grave = second.is_some_and(|second| second.is_for(finding.severity, finding.day, today));
        if !is_grave && !is_implausible(finding) {
            continue;
        }
        let Some(spec) = judges.rules_of(product).and_then(|set| set.get(finding.rule).cloned()) else {
            continue;
        };
        doubted.push((product, finding, spec, is_grave));
    }
    let mut seen_of = SeenSince::default();
    for (at, (product, finding, spec, is_grave)) in doubted.iter().enumerate() {
        if at % AT_ONCE == 0 {
            let chunk = doubted[at..].iter().take(AT_ONCE);
            seen_of =
                SeenSince::load(store, chunk.map(|(product, one, ..)| (*product, one.day)), today).await?;
        }
        let (product, seen) = (*product, seen_of.get(*product, finding.day));
        let alert_id = finding.alert_id(options.workspace.as_str());
        let said = second_look(spec, &finding.evidence, &sightings(seen));
        let awaiting = match &said {
            SecondLook::Confirmed(_) => {
                looked.confirmed.insert(alert_id);
                continue;
            }
            SecondLook::Contradicted(_) | SecondLook::Refuted(_) => {
                looked.against.insert(alert_id.clone(), said);
                None
            }
            SecondLook::Unknown => {
                let rests_on = rests_on(spec, &finding.evidence, seen);
                Some(Awaiting { product, since: now, rests_on })
            }
        };
        if *is_grave {
            looked.alone.insert(alert_id, awaiting);
        }
    }
    Ok(looked)
}

/// What was seen of products since the day of a finding, as long as that says something of it.
#[derive(Debug, Default)]
struct SeenSince(HashMap<Day, HashMap<ProductKey, Vec<Seen>>>);

impl SeenSince {
    async fn load(
        store: &Store,
        wanted: impl Iterator<Item = (ProductKey, Day)>,
        today: Day,
    ) -> anyhow::Result<SeenSince> {
        let mut by_day: BTreeMap<Day, Vec<ProductKey>> = BTreeMap::new();
        for (product, day) in wanted {
            by_day.entry(day).or_default().push(product);
        }
        let mut since = SeenSince::default();
        for (first, products) in by_day {
            let last = today.min(first.plus(ASKED_DAYS + 1));
            let seen = store.load_seen(products, DayRange { first, last }).await;
            since.0.insert(first, seen.context("failed to load what was seen of doubtful products")?);
        }
        Ok(since)
    }

    fn get(&self, product: ProductKey, day: Day) -> &[Seen] {
        self.0.get(&day).and_then(|seen| seen.get(&product)).map_or(&[][..], Vec::as_slice)
    }
}

fn sightings(seen: &[Seen]) -> Vec<Sighting<'_>> {
    seen.iter()
        .map(|Seen { source, observed_at, observation }| Sighting {
            source: provider(source),
            observed_at: *observed_at,
            observation,
        })
        .collect()
}

fn rests_on(spec: &RuleSpec, evidence: &serde_json::Value, seen: &[Seen]) -> BTreeSet<String> {
    let seen_by = sightings(seen);
    let shown = shown_by(spec, evidence, &seen_by);
    match shown.is_empty() {
        false => shown.into_iter().map(str::to_owned).collect(),
        true => seen.iter().map(|seen| provider(&seen.source).to_owned()).collect(),
    }
}

/// Who says it: what Keepa tells of its history it does not confirm by itself.
fn provider(source: &str) -> &str {
    if source == HISTORY_SOURCE { "keepa" } else { source }
}
