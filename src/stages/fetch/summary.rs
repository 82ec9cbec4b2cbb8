//! What a fetch did: by product, by source, and what is left for the next run.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Configured, Options, Plan, PlanLine};
use crate::error::Outcome;
use crate::model::{Cost, FaultKind, ProductKey};
use crate::sources::Fault;
use crate::stages::exceeds_tolerance;

/// One source's part.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct SourceSummary {
    pub source: &'static str,
    /// Products it answered for.
    pub fetched: u64,
    /// Those of them that another source had failed for.
    pub as_fallback: u64,
    /// Products that were given up with it as the last source.
    pub gave_up: u64,
    pub requests: u64,
    pub units: i64,
    pub unit: &'static str,
    /// Millionths of a dollar; null: the price of some request is not known.
    pub micros: Option<i64>,
    /// Why it was not asked to the end.
    pub stopped: Option<String>,
    /// What it says is left to spend.
    pub balance: Option<String>,
    /// Its key is missing or was refused.
    pub is_refused: bool,
}

/// What a fetch did. Due = fetched + failed + left + elsewhere.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Summary {
    pub due: u64,
    /// Products that some source answered for.
    pub fetched: u64,
    /// Products that no source of their chain answered for; they stay due.
    pub failed: u64,
    /// Not asked for any more when the run was stopped.
    pub left: u64,
    /// Settled by another run that shared the list, or still asked for by it.
    pub elsewhere: u64,
    pub not_due: u64,
    pub paused: u64,
    pub beyond_limit: u64,
    pub unserved: u64,
    /// New receipts.
    pub landed: u64,
    /// Requests of a killed run: taken up again, and those of which nobody knows the answer.
    pub resumed: u64,
    pub lost: u64,
    pub sources: Vec<SourceSummary>,
    /// Failed products by reason.
    pub faults: BTreeMap<&'static str, u64>,
    /// One example of each reason.
    pub examples: BTreeMap<&'static str, String>,
    /// Sources of the chains whose key was not to be found: they were not asked.
    pub keys_missing: u64,
    pub is_backfill: bool,
    /// Sources that failed for many products, told once a day.
    pub incidents: Vec<String>,
    pub plan: Vec<PlanLine>,
    /// Of second looks: why no source answered, by product.
    #[serde(skip)]
    pub unanswered: BTreeMap<ProductKey, String>,
    pub cancelled: bool,
    pub dry_run: bool,
    #[serde(skip)]
    tolerate_failed_pct: f64,
}

impl Summary {
    pub(super) fn of_plan(plan: &Plan, sources: &[Configured], options: &Options) -> Summary {
        Summary {
            due: plan.due.len() as u64,
            not_due: plan.not_due,
            paused: plan.paused,
            beyond_limit: plan.beyond_limit,
            unserved: plan.unserved.len() as u64,
            plan: plan.lines.clone(),
            sources: sources
                .iter()
                .map(|configured| SourceSummary {
                    source: configured.source.name(),
                    unit: configured.source.unit(),
                    micros: Some(0),
                    ..SourceSummary::default()
                })
                .collect(),
            dry_run: options.dry_run,
            is_backfill: options.history.is_some(),
            tolerate_failed_pct: options.tolerate_failed_pct,
            ..Summary::default()
        }
    }

    pub(super) fn count(&mut self, lane: usize, requests: u64, cost: Cost, landed: u64) {
        self.landed += landed;
        let Some(line) = self.sources.get_mut(lane) else { return };
        line.requests += requests;
        let total = Cost { units: line.units, micros: line.micros }.plus(cost);
        (line.units, line.micros) = (total.units, total.micros);
    }

    pub(super) fn fetched(&mut self, lane: usize, is_fallback: bool) {
        self.fetched += 1;
        let Some(line) = self.sources.get_mut(lane) else { return };
        line.fetched += 1;
        line.as_fallback += u64::from(is_fallback);
    }

    pub(super) fn gave_up(&mut self, lane: usize, fault: &Fault) {
        self.failed += 1;
        *self.faults.entry(fault.kind.as_str()).or_default() += 1;
        self.examples.entry(fault.kind.as_str()).or_insert_with(|| fault.detail.clone());
        if let Some(line) = self.sources.get_mut(lane) {
            line.gave_up += 1;
        }
    }

    fn failed_for(&self, kinds: &[FaultKind]) -> u64 {
        kinds.iter().filter_map(|kind| self.faults.get(kind.as_str())).sum()
    }

    /// A key that is missing or was refused, whoever answered instead; then a budget, quota or deadline that left products due, then passing reasons
    /// where nothing at all was fetched; else partly failed above the tolerance.
    pub fn outcome(&self) -> Outcome {
        use FaultKind::{
            Budget, CircuitOpen, Deadline, Exhausted, Malformed, Network, RateLimited, RetriesUsedUp,
            Timeout, Unavailable,
        };
        if self.keys_missing > 0 || self.sources.iter().any(|source| source.is_refused) {
            return Outcome::Credentials;
        }
        let passing = [Network, Timeout, Unavailable, CircuitOpen, RateLimited, Malformed, RetriesUsedUp];
        let passing = self.failed_for(&passing);
        if self.fetched == 0 && passing > 0 && passing == self.failed {
            return Outcome::Transient;
        }
        let is_left = self.left > 0 && !self.cancelled;
        if is_left || self.failed_for(&[Budget, Deadline, Exhausted]) > 0 {
            return Outcome::BudgetReached;
        }
        if !self.incidents.is_empty()
            || exceeds_tolerance(self.failed, self.due - self.elsewhere, self.tolerate_failed_pct)
        {
            return Outcome::PartlyFailed;
        }
        Outcome::Done
    }
}
