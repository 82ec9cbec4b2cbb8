//! Findings against the alerts that are there: what is new, what became worse, what a later look says instead.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::Fired;
use crate::ids::stable_id;
use crate::model::{Day, Marketplace};
use crate::notify::EVENT_SCHEMA;
use crate::rollup::rules::{Finding, Rule};
use crate::store::alerts::{AlertBatch, Escalation, JudgedAlert, NewAlert, NewEvent};
use crate::store::outbox::About;

/// What was judged: an alert in it that is not found again is superseded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Scope {
    pub(super) days: BTreeSet<(Marketplace, Day)>,
    /// Days of main products on which `undercut` was judged.
    pub(super) undercut_days: BTreeSet<(Marketplace, Day)>,
}

impl Scope {
    fn covers(&self, alert: &JudgedAlert) -> bool {
        let Ok(marketplace) = alert.marketplace.parse::<Marketplace>() else { return false };
        let days = if alert.rule == Rule::Undercut { &self.undercut_days } else { &self.days };
        alert.rule.is_of_a_judged_day() && days.contains(&(marketplace, alert.day))
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
/// A higher severity makes the alert more severe. Anything else that differs leaves the alert as it was told and
/// notes on it what is found now.
pub(super) fn reconcile(
    workspace: &str,
    existing: &[JudgedAlert],
    findings: Vec<Finding>,
    scope: &Scope,
    is_told: impl Fn(&Finding) -> bool,
) -> Reconciled {
    let mut missing: BTreeMap<&str, &JudgedAlert> =
        existing.iter().map(|alert| (alert.alert_id.as_str(), alert)).collect();
    let mut reconciled = Reconciled::default();
    for (alert_id, finding) in most_severe(workspace, findings) {
        let is_told = is_told(&finding);
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
    for alert in missing.into_values().filter(|alert| scope.covers(alert)) {
        reconciled.note(alert, "no longer found".to_owned());
    }
    reconciled
}

/// One finding per alert, the most severe, in the order in which they are told: by day, then severity, then product.
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
    fn open(&mut self, workspace: &str, fired: Fired) {
        let finding = &fired.finding;
        self.batch.opened.push(NewAlert {
            alert_id: fired.alert_id.clone(),
            rule: finding.rule,
            severity: finding.severity,
            marketplace: finding.marketplace().to_owned(),
            asin: finding.asin(),
            day: finding.day,
            object: finding.object.clone(),
            message: finding.message.clone(),
            evidence: finding.evidence.to_string(),
            historical: !fired.is_told,
        });
        if fired.is_told {
            self.batch.events.push(event(workspace, "alert.opened", None, &fired));
        }
        self.fired.push(fired);
    }

    fn escalate(&mut self, workspace: &str, alert: &JudgedAlert, fired: Fired) {
        let finding = &fired.finding;
        self.batch.escalated.push(Escalation {
            alert_id: fired.alert_id.clone(),
            is_told: fired.is_told,
            severity: finding.severity,
            message: finding.message.clone(),
            evidence: finding.evidence.to_string(),
        });
        if fired.is_told {
            let before = alert.severity.as_str();
            self.batch.events.push(event(workspace, "alert.escalated", Some(before), &fired));
        }
        self.fired.push(fired);
    }

    fn note(&mut self, alert: &JudgedAlert, note: String) {
        if alert.superseded != note {
            self.batch.superseded.push((alert.alert_id.clone(), note));
        }
    }
}

/// What receivers get: the order of the fields is the order in the payload.
#[derive(Serialize)]
struct Payload<'a> {
    schema: &'static str,
    event_id: &'a str,
    event_type: &'static str,
    alert_id: &'a str,
    workspace: &'a str,
    rule: &'static str,
    severity: &'static str,
    previous_severity: Option<&'a str>,
    marketplace: Option<&'static str>,
    asin: Option<String>,
    day: Day,
    object: Option<&'a str>,
    message: &'a str,
    evidence: &'a Value,
}

/// An alert has each severity at most once, so alert and severity name the event.
fn event(workspace: &str, event_type: &'static str, before: Option<&str>, fired: &Fired) -> NewEvent {
    let finding = &fired.finding;
    let event_id = stable_id(&[&fired.alert_id, finding.severity.as_str()]);
    let payload = Payload {
        schema: EVENT_SCHEMA,
        event_id: &event_id,
        event_type,
        alert_id: &fired.alert_id,
        workspace,
        rule: finding.rule.as_str(),
        severity: finding.severity.as_str(),
        previous_severity: before,
        marketplace: finding.product.map(|product| product.marketplace.code()),
        asin: finding.product.map(|product| product.asin.to_string()),
        day: finding.day,
        object: Some(finding.object.as_str()).filter(|object| !object.is_empty()),
        message: &finding.message,
        evidence: &finding.evidence,
    };
    let payload = serde_json::to_string(&payload).expect("a payload has string keys");
    let about = About {
        severity: Some(finding.severity),
        rule: finding.rule.as_str().to_owned(),
        marketplace: finding.marketplace().to_owned(),
        day: finding.day.to_string(),
    };
    NewEvent { event_id, event_type, alert_id: fired.alert_id.clone(), about, payload }
}
