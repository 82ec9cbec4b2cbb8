//! Findings against the alerts that are there: what is new, what became worse, what a later look says
//! instead.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fired, News};
use crate::model::{Day, Marketplace, Workspace};
use crate::rollup::rules::{Finding, Rule};
use crate::store::alerts::{AlertBatch, AlertNews, Escalation, JudgedAlert, NewAlert, NewEvent};

/// What was judged: an alert in it that is not found again is superseded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Scope {
    pub(super) days: BTreeSet<(Marketplace, Day)>,
    /// Days of main products on which `undercut` was judged.
    pub(super) undercut_days: BTreeSet<(Marketplace, Day)>,
}

impl Scope {
    /// True where a rule would have been found again.
    pub(super) fn covers(&self, rule: Rule, marketplace: Marketplace, day: Day) -> bool {
        let days = if rule == Rule::Undercut { &self.undercut_days } else { &self.days };
        rule.is_of_a_judged_day() && days.contains(&(marketplace, day))
    }

    pub(super) fn all_days(&self) -> impl Iterator<Item = Day> + Clone {
        self.days.iter().chain(&self.undercut_days).map(|(_, day)| *day)
    }
}

/// What is to be written, and what of it is news.
#[derive(Debug, Default)]
pub(super) struct Reconciled {
    pub(super) batch: AlertBatch,
    /// In the order of the events.
    pub(super) fired: Vec<Fired>,
}

/// Compares findings with the alerts of the same days.
///
/// A higher severity makes the alert more severe. Anything else that differs leaves the alert as it was told
/// and notes on it what is found now.
pub(super) fn reconcile(
    workspace: &Workspace,
    existing: &[JudgedAlert],
    findings: Vec<Finding>,
    scope: &Scope,
    news: &News<'_>,
) -> Reconciled {
    let mut missing: BTreeMap<&str, &JudgedAlert> =
        existing.iter().map(|alert| (alert.alert_id.as_str(), alert)).collect();
    let mut reconciled = Reconciled::default();
    for (alert_id, finding) in most_severe(workspace.as_str(), findings) {
        let is_told = news.is_told(&finding);
        match missing.remove(alert_id.as_str()) {
            None => reconciled.open(workspace, Fired { alert_id, escalated: false, is_told, finding }),
            Some(alert) if finding.severity > alert.severity => {
                reconciled.escalate(workspace, alert, Fired { alert_id, escalated: true, is_told, finding });
            }
            Some(alert) => {
                let evidence = finding.evidence.to_string();
                let agrees = finding.severity == alert.severity
                    && finding.message == alert.message
                    && evidence == alert.evidence;
                let now = format!("now {}: {}", finding.severity, finding.message);
                reconciled.note(alert, if agrees { String::new() } else { now });
            }
        }
    }
    for alert in missing.into_values() {
        let marketplace = alert.marketplace.parse();
        if marketplace.is_ok_and(|marketplace| scope.covers(alert.rule, marketplace, alert.day)) {
            reconciled.note(alert, "no longer found".to_owned());
        }
    }
    reconciled
}

/// One finding per alert, the most severe, in the order in which they are told: by day, then severity, then
/// product.
fn most_severe(workspace: &str, findings: Vec<Finding>) -> Vec<(String, Finding)> {
    let mut by_id: BTreeMap<String, Finding> = BTreeMap::new();
    for finding in findings {
        let id = finding.alert_id(workspace);
        if by_id.get(&id).is_none_or(|known| known.severity < finding.severity) {
            by_id.insert(id, finding);
        }
    }
    let mut ordered: Vec<(String, Finding)> = by_id.into_iter().collect();
    ordered.sort_by(|(_, a), (_, b)| {
        let key = |f: &Finding| (f.day, std::cmp::Reverse(f.severity), f.marketplace(), f.asin(), f.rule);
        key(a).cmp(&key(b)).then_with(|| a.object.cmp(&b.object))
    });
    ordered
}

impl Reconciled {
    fn open(&mut self, workspace: &Workspace, fired: Fired) {
        let alert = new_alert(fired.alert_id.clone(), &fired.finding, !fired.is_told);
        if fired.is_told {
            self.batch.events.push(NewEvent::of(workspace, &alert, AlertNews::Opened));
        }
        self.batch.opened.push(alert);
        self.fired.push(fired);
    }

    fn escalate(&mut self, workspace: &Workspace, alert: &JudgedAlert, fired: Fired) {
        let finding = &fired.finding;
        self.batch.escalated.push(Escalation {
            alert_id: fired.alert_id.clone(),
            is_told: fired.is_told,
            severity: finding.severity,
            message: finding.message.clone(),
            evidence: finding.evidence.to_string(),
        });
        if fired.is_told {
            let news = AlertNews::Escalated { before: alert.severity };
            self.batch.events.push(NewEvent::of(
                workspace,
                &new_alert(fired.alert_id.clone(), &fired.finding, !fired.is_told),
                news,
            ));
        }
        self.fired.push(fired);
    }

    fn note(&mut self, alert: &JudgedAlert, note: String) {
        if alert.superseded != note {
            self.batch.superseded.push((alert.alert_id.clone(), note));
        }
    }
}

/// The alert that a finding makes.
pub(super) fn new_alert(alert_id: String, finding: &Finding, historical: bool) -> NewAlert {
    NewAlert {
        alert_id,
        rule: finding.rule,
        severity: finding.severity,
        marketplace: finding.marketplace().to_owned(),
        asin: finding.asin(),
        day: finding.day,
        object: finding.object.clone(),
        message: finding.message.clone(),
        evidence: finding.evidence.to_string(),
        historical,
    }
}
