//! What is held back before it is told, and what later days say of what was told or held.

use std::collections::{BTreeSet, HashMap};

use anyhow::Context as _;
use serde_json::Value;

use super::delta_rows::Look;
use super::reconcile::new_alert;
use super::{Judges, Options};
use crate::model::{Day, ProductKey, Workspace};
use crate::rollup::rules::{Finding, Outlook, Rule, RuleSpec, Tripped, outlook};
use crate::store::Store;
use crate::store::alerts::{AlertFilter, AlertState};
use crate::store::gate::{Decision, HeldFinding, HeldState, NewGateIncident, Verdict};

/// An open alert, or a finding that is held: what happened since matters to it.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    alert_id: String,
    rule: Rule,
    day: Day,
    evidence: Value,
    /// The incident that holds it; null for an alert.
    incident_id: Option<String>,
}

/// Everything that later days may settle, by product.
pub(super) type AllPending = HashMap<ProductKey, Vec<Pending>>;

/// What later days say.
#[derive(Clone, Debug, Default)]
pub(super) struct SaidSince {
    /// (alert id, why it is over)
    pub(super) cleared: Vec<(String, String)>,
    pub(super) decisions: Vec<Decision>,
}

impl SaidSince {
    pub(super) fn append(&mut self, mut other: SaidSince) {
        self.cleared.append(&mut other.cleared);
        self.decisions.append(&mut other.decisions);
    }

    /// Asks the newest of a product's rows what became of what is pending.
    pub(super) fn ask(&mut self, pending: &[Pending], look: &Look<'_>) {
        if look.at + 1 != look.rows.len() {
            return;
        }
        for one in pending {
            let Some(spec) = look.rules.rules.iter().find(|spec| spec.rule == one.rule) else { continue };
            let said = |looks| outlook(spec, one.day, &one.evidence, look.rows, looks);
            match &one.incident_id {
                None => {
                    if let Some(Outlook::IsOver(day)) = said(spec.confirmations) {
                        self.cleared.push((one.alert_id.clone(), format!("over on {day}")));
                    }
                }
                Some(incident_id) => self.decisions.extend(said(1).map(|outlook| {
                    let (verdict, note) = match outlook {
                        Outlook::Holds(day) => (Verdict::Release, format!("still so on {day}")),
                        Outlook::IsOver(day) => (Verdict::Drop, format!("as before on {day}")),
                    };
                    let (incident_id, alert_id) = (incident_id.clone(), Some(one.alert_id.clone()));
                    Decision { incident_id, alert_id, verdict, note }
                })),
            }
        }
    }
}

/// The alerts that nobody has ended, and the findings that are held.
pub(super) async fn load_pending(store: &Store, workspace: &Workspace) -> anyhow::Result<AllPending> {
    let filter = AlertFilter { states: AlertState::UNENDED.to_vec(), ..AlertFilter::default() };
    let open = store.list_alerts(workspace, &filter).await.context("failed to load open alerts")?;
    let held = store.load_undecided(workspace).await.context("failed to load what is held back")?;
    let mut pending = AllPending::new();
    let key = |marketplace: &str, asin: &str| {
        Some(ProductKey { marketplace: marketplace.parse().ok()?, asin: asin.parse().ok()? })
    };
    for alert in open {
        let Some(product) = key(&alert.marketplace, &alert.asin) else { continue };
        pending.entry(product).or_default().push(Pending {
            alert_id: alert.alert_id,
            rule: alert.rule,
            day: alert.day,
            evidence: alert.evidence,
            incident_id: None,
        });
    }
    for held in held {
        let Some(product) = key(&held.alert.marketplace, &held.alert.asin) else { continue };
        pending.entry(product).or_default().push(Pending {
            alert_id: held.alert.alert_id,
            rule: held.alert.rule,
            day: held.alert.day,
            evidence: serde_json::from_str(&held.alert.evidence).unwrap_or_default(),
            incident_id: Some(held.incident_id),
        });
    }
    Ok(pending)
}

/// What the gate lets pass, and what it holds back with its incidents.
#[derive(Debug, Default)]
pub(super) struct Sifted {
    pub(super) passed: Vec<Finding>,
    pub(super) incidents: Vec<NewGateIncident>,
    pub(super) held: Vec<HeldFinding>,
}

/// Asks the gate about the findings that would be told for the first time. What is held, or was dropped, stays so.
pub(super) async fn sift(
    store: &Store,
    options: &Options,
    judges: &Judges,
    findings: Vec<Finding>,
    is_new: impl Fn(&Finding) -> bool,
) -> anyhow::Result<Sifted> {
    let Some(gate) = &options.gate else { return Ok(Sifted { passed: findings, ..Sifted::default() }) };
    let Some(days) = super::around::range_of(findings.iter().map(|finding| finding.day)) else {
        return Ok(Sifted::default());
    };
    let before =
        store.load_held(&options.workspace, days).await.context("failed to load what is held back")?;
    let decided: HashMap<String, HeldState> =
        before.into_iter().map(|held| (held.alert.alert_id, held.state)).collect();
    let (mut sifted, mut asked) = (Sifted::default(), Vec::new());
    for finding in findings {
        match decided.get(&finding.alert_id(options.workspace.as_str())) {
            Some(HeldState::Held | HeldState::Dropped) => {}
            None if is_new(&finding) => asked.push(finding),
            Some(HeldState::Released) | None => sifted.passed.push(finding),
        }
    }
    if asked.is_empty() {
        return Ok(sifted);
    }
    let days: BTreeSet<Day> = asked.iter().map(|finding| finding.day).collect();
    let sightings = store.load_sightings(&options.workspace, &days).await;
    let sightings = sightings.context("failed to load which source saw what")?;
    let is_confirmed = |finding: &Finding| {
        let set = finding.product.and_then(|product| judges.rules_of(product));
        set.is_some_and(|set| set.get(finding.rule).is_some_and(|spec: &RuleSpec| spec.confirmations > 1))
    };
    let (passed, tripped) = gate.sift(asked, &sightings, is_confirmed);
    sifted.passed.extend(passed);
    for Tripped { reason, marketplace, day, subject, detail, held } in tripped {
        let marketplace = marketplace.map_or("", |marketplace| marketplace.code());
        let incident_id = NewGateIncident::id(&options.workspace, reason, marketplace, day, &subject);
        sifted.held.extend(held.into_iter().map(|finding| HeldFinding {
            incident_id: incident_id.clone(),
            alert: new_alert(finding.alert_id(options.workspace.as_str()), &finding, false),
        }));
        let marketplace = marketplace.to_owned();
        sifted.incidents.push(NewGateIncident { incident_id, reason, marketplace, day, detail });
    }
    Ok(sifted)
}

/// Alerts of the present that nothing of the present says any more: the product was seen, the incident is closed.
pub(super) fn no_longer_present(pending: &AllPending, present: &[Finding]) -> Vec<(String, String)> {
    let still: BTreeSet<(Rule, Option<ProductKey>)> =
        present.iter().map(|finding| (finding.rule, finding.product)).collect();
    let mut cleared: Vec<(String, String)> = pending
        .iter()
        .flat_map(|(product, all)| all.iter().map(move |one| (*product, one)))
        .filter(|(_, one)| one.incident_id.is_none())
        .filter(|(_, one)| matches!(one.rule, Rule::ProductStale | Rule::ProductGone))
        .filter(|(product, one)| !still.contains(&(one.rule, Some(*product))))
        .map(|(_, one)| (one.alert_id.clone(), "the product was seen again".to_owned()))
        .collect();
    cleared.sort();
    cleared
}
