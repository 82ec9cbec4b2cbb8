//! Backtest: rules over stored history, without writing anything.
//!
//! Reads the lake's deltas, listing versions and cohorts of a range of days, and judges each day by the rules
//! as a nightly run would have: what is found, how often a week, and what the next known day said of it. The
//! quality gate is not asked: it holds findings back until that next day.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use serde::Serialize;

use super::delta_rows::{Look, fold_rows};
use super::{Judges, Options, around};
use crate::cancel::CancelToken;
use crate::lake::Lake;
use crate::model::{Day, DayRange, Marketplace};
use crate::rollup::rules::{Finding, Outlook, Rule, RuleBook, Severity, outlook};
use crate::store::Store;

/// How far behind a finding the next known day may lie.
const NEXT_DAYS: i32 = 7;
/// Findings kept of each rule and severity to look at.
const SAMPLES: usize = 3;
/// What thresholds are tried with, in hundredths: from half to ten times as large.
const FACTORS: [i64; 12] = [50, 75, 100, 125, 150, 200, 250, 300, 400, 500, 700, 1000];

/// How one rule and severity would have fared.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Line {
    pub rule: &'static str,
    pub severity: &'static str,
    pub fired: u64,
    pub per_week: f64,
    /// Still so on the next known day.
    pub confirmed: u64,
    /// As before on the next known day.
    pub reverted: u64,
    #[serde(skip)]
    pub samples: Vec<Finding>,
}

/// A threshold that would have fired about as often as wanted.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Proposal {
    pub rule: &'static str,
    /// The steps in the rule's unit, from the lowest.
    pub steps: Vec<String>,
    pub per_week: f64,
    /// False: even the largest that was tried fires more often.
    pub is_enough: bool,
}

/// What the rules would have found.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Summary {
    pub first: Option<Day>,
    pub last: Option<Day>,
    /// Days of a marketplace that have data.
    pub days: u64,
    pub lines: Vec<Line>,
    pub is_cancelled: bool,
}

/// What was seen of some days.
#[derive(Default)]
struct Seen {
    findings: Vec<(Finding, Option<Outlook>)>,
}

/// Judges the days of the range by the rules of the options.
pub async fn run(
    store: &Store,
    lake: &Lake,
    cancel: &CancelToken,
    options: &Options,
    range: DayRange,
) -> anyhow::Result<Summary> {
    let judges = Judges::load(store, options).await?;
    let days = store.load_mart_days(range).await.context("failed to load the days of the mart")?;
    let mut summary = Summary { days: days.len() as u64, ..Summary::default() };
    (summary.first, summary.last) = (days.first().map(|(_, day)| *day), days.last().map(|(_, day)| *day));
    let mut counts: BTreeMap<(Rule, Severity), Line> = BTreeMap::new();
    for month in super::by_month(&days) {
        if cancel.is_cancelled() {
            summary.is_cancelled = true;
            break;
        }
        let mut seen = of_month(store, lake, &month, &judges, options).await?.findings;
        // As they would have been told.
        seen.sort_by_key(|(finding, _)| (finding.day, finding.product));
        for (finding, outlook) in seen {
            let (rule, severity) = (finding.rule, finding.severity);
            let line = counts.entry((rule, severity)).or_insert_with(|| Line {
                rule: rule.as_str(),
                severity: severity.as_str(),
                fired: 0,
                per_week: 0.0,
                confirmed: 0,
                reverted: 0,
                samples: Vec::new(),
            });
            line.fired += 1;
            line.confirmed += u64::from(matches!(outlook, Some(Outlook::Holds(_))));
            line.reverted += u64::from(matches!(outlook, Some(Outlook::IsOver(_))));
            if line.samples.len() < SAMPLES {
                line.samples.push(judges.worded(finding));
            }
        }
    }
    let weeks = weeks(&days);
    summary.lines =
        counts.into_values().map(|line| Line { per_week: line.fired as f64 / weeks, ..line }).collect();
    Ok(summary)
}

/// The smallest steps of each rule that would have fired at most so often a week, all severities together. Rules that a stop
/// kept from being tried are not among them.
pub async fn propose(
    store: &Store,
    lake: &Lake,
    cancel: &CancelToken,
    options: &Options,
    range: DayRange,
    rules: &[Rule],
    per_week: f64,
) -> anyhow::Result<Vec<Proposal>> {
    let mut tried: BTreeMap<Rule, Proposal> = BTreeMap::new();
    for factor in FACTORS {
        let open: BTreeSet<Rule> = rules
            .iter()
            .copied()
            .filter(|rule| tried.get(rule).is_none_or(|known| !known.is_enough))
            .collect();
        if open.is_empty() || cancel.is_cancelled() {
            break;
        }
        let mut set = options.rules.base().clone();
        set.rules.retain(|spec| open.contains(&spec.rule));
        for spec in &mut set.rules {
            spec.steps.iter_mut().for_each(|step| step.above = step.above * factor / 100);
        }
        let scaled = Options { rules: RuleBook::from(set.clone()), ..options.clone() };
        let found = run(store, lake, cancel, &scaled, range).await?;
        if found.is_cancelled {
            // Of half the days everything seems rare.
            break;
        }
        for spec in &set.rules {
            let lines = found.lines.iter().filter(|line| line.rule == spec.rule.as_str());
            let fired = lines.map(|line| line.per_week).sum::<f64>();
            let steps =
                spec.steps.iter().map(|step| format!("{} {}", step.severity, spec.rule.shown(step.above)));
            let (rule, steps) = (spec.rule.as_str(), steps.collect());
            let proposal = Proposal { rule, steps, per_week: fired, is_enough: fired <= per_week };
            tried.insert(spec.rule, proposal);
        }
    }
    // What fires too often was to be tried with a larger step.
    let is_tried = |proposal: &Proposal| proposal.is_enough || !cancel.is_cancelled();
    Ok(tried.into_values().filter(is_tried).collect())
}

async fn of_month(
    store: &Store,
    lake: &Lake,
    month: &BTreeSet<(Marketplace, Day)>,
    judges: &Judges,
    options: &Options,
) -> anyhow::Result<Seen> {
    let mut all = Seen::default();
    let listings = around::judge_listings(store, month, judges, options).await?;
    let (undercut, _) = around::judge_cohorts(store, month, judges, options).await?;
    let others = listings.findings.into_iter().chain(undercut.findings);
    all.findings.extend(others.map(|finding| (finding, None)));
    let mut by_marketplace: BTreeMap<Marketplace, BTreeSet<Day>> = BTreeMap::new();
    for (marketplace, day) in month {
        by_marketplace.entry(*marketplace).or_default().insert(*day);
    }
    for (marketplace, days) in by_marketplace {
        let own_sellers = options.own_sellers.clone();
        let look = move |seen: &mut Seen, look: &Look<'_>| {
            for finding in look.judge(&own_sellers).findings {
                let next = look
                    .rows
                    .get(..look.at + 2)
                    .filter(|rows| rows.last().is_some_and(|row| row.day <= finding.day.plus(NEXT_DAYS)));
                let spec = look.rules.get(finding.rule);
                let said = next
                    .zip(spec)
                    .and_then(|(rows, spec)| outlook(spec, finding.day, &finding.evidence, rows, 1));
                seen.findings.push((finding, said));
            }
        };
        let seen: Seen = fold_rows(store, lake, marketplace, &days, NEXT_DAYS, judges, look).await?;
        all.findings.extend(seen.findings);
    }
    Ok(all)
}

/// Weeks between the first and the last day.
fn weeks(days: &[(Marketplace, Day)]) -> f64 {
    let (Some((_, first)), Some((_, last))) = (days.first(), days.last()) else { return 1.0 };
    f64::from(last.no() - first.no() + 1) / 7.0
}
