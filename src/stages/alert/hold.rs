//! What is held back before it is told, and what later days say of what was told or held.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use anyhow::Context as _;
use serde_json::Value;

use super::around::range_of;
use super::delta_rows::Look;
use super::reconcile::new_alert;
use super::second::{self, Awaiting, Looked};
use super::{Judges, News, Options};
use crate::model::{Day, Marketplace, ProductKey, Timestamp, Workspace};
use crate::rollup::rules::{
    Finding, GateReason, Outlook, Rule, RuleSpec, SecondLook, Severity, Tripped, currency_outlook, outlook,
};
use crate::store::Store;
use crate::store::alerts::{AlertFilter, AlertState, NewAlert};
use crate::store::gate::{Decision, HeldFinding, HeldNote, HeldRecord, HeldState, NewGateIncident, Verdict};

/// An open alert, or a finding that is held: what happened since matters to it.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) alert_id: String,
    pub(super) rule: Rule,
    pub(super) severity: Severity,
    pub(super) day: Day,
    pub(super) evidence: Value,
    /// What holds it; null for an alert.
    pub(super) held: Option<HeldBy>,
}

/// Why a finding is no alert.
#[derive(Clone, Debug)]
pub(super) struct HeldBy {
    pub(super) incident_id: String,
    pub(super) reason: GateReason,
    pub(super) since: Timestamp,
    /// What speaks against it by now.
    note: String,
}

impl HeldBy {
    /// Why something is decided, with what speaks against it.
    pub(super) fn noted(&self, why: String) -> String {
        if self.note.is_empty() { why } else { format!("{why} ({})", self.note) }
    }
}

/// The note on a finding that one other source contradicts.
pub(super) fn contradicted(by: &str) -> String {
    format!("contradicted: {by}")
}

/// Everything that later days may settle, by product.
pub(super) type AllPending = HashMap<ProductKey, Vec<Pending>>;

/// What later days say.
#[derive(Clone, Debug, Default)]
pub(super) struct SaidSince {
    /// (alert id, why it is over)
    pub(super) cleared: Vec<(String, String)>,
    pub(super) decisions: Vec<Decision>,
    /// On what goes on being held.
    pub(super) notes: Vec<HeldNote>,
}

impl SaidSince {
    pub(super) fn append(&mut self, mut other: SaidSince) {
        self.cleared.append(&mut other.cleared);
        self.decisions.append(&mut other.decisions);
        self.notes.append(&mut other.notes);
    }

    /// Asks the newest of a product's rows what became of what is pending.
    pub(super) fn ask(&mut self, pending: &[Pending], look: &Look<'_>) {
        if look.at + 1 != look.rows.len() {
            return;
        }
        let Some(own) = look.rows.first().map(|row| row.product.marketplace.currency()) else { return };
        for one in pending {
            let Some(spec) = look.rules.rules.iter().find(|spec| spec.rule == one.rule) else { continue };
            let said = match &one.held {
                Some(held) if held.reason == GateReason::CurrencyMismatch => {
                    currency_outlook(one.day, own, look.rows)
                }
                _ => outlook(spec, one.day, &one.evidence, look.rows, one.looks(spec)),
            };
            self.settle(one, said);
        }
    }

    /// Notes what is known of something pending now.
    pub(super) fn settle(&mut self, one: &Pending, said: Option<Outlook>) {
        match (&one.held, said) {
            (None, Some(Outlook::IsOver(day))) => {
                self.cleared.push((one.alert_id.clone(), format!("over on {day}")));
            }
            (Some(held), Some(Outlook::Holds(day))) => {
                self.decide(one, held, Verdict::Release, held.noted(format!("still so on {day}")));
            }
            (Some(held), Some(Outlook::IsOver(day))) => {
                self.decide(one, held, Verdict::Drop, held.noted(format!("as before on {day}")));
            }
            (None, Some(Outlook::Holds(_))) | (_, None) => {}
        }
    }

    pub(super) fn decide(&mut self, one: &Pending, held: &HeldBy, verdict: Verdict, note: String) {
        // Who is told of what somebody contradicts is told that too.
        self.push(one, held, verdict, note, !held.note.is_empty());
    }

    /// Decides without evidence, which whoever is told of it is told too.
    pub(super) fn decide_unconfirmed(
        &mut self,
        one: &Pending,
        held: &HeldBy,
        verdict: Verdict,
        note: String,
    ) {
        self.push(one, held, verdict, note, true);
    }

    fn push(&mut self, one: &Pending, held: &HeldBy, verdict: Verdict, note: String, is_caveat: bool) {
        let (incident_id, alert_id) = (held.incident_id.clone(), Some(one.alert_id.clone()));
        self.decisions.push(Decision { incident_id, alert_id, verdict, note, is_caveat });
    }

    /// Notes that a source contradicts what is held, where that is not known yet.
    pub(super) fn contradict(&mut self, one: &Pending, held: &HeldBy, by: &str) {
        let note = contradicted(by);
        if held.note != note {
            let (incident_id, alert_id) = (held.incident_id.clone(), one.alert_id.clone());
            self.notes.push(HeldNote { incident_id, alert_id, note });
        }
    }

    /// What becomes of what is decided by now, by incident and alert.
    pub(super) fn states(&self) -> HashMap<(String, String), HeldState> {
        let decided = self.decisions.iter().filter_map(|decision| {
            let key = (decision.incident_id.clone(), decision.alert_id.clone()?);
            Some((key, decision.verdict.state()))
        });
        decided.collect()
    }

    /// The ids of what is decided by now.
    pub(super) fn decided(&self) -> HashSet<String> {
        self.decisions.iter().filter_map(|decision| decision.alert_id.clone()).collect()
    }

    /// What is held and not decided by now, by alert.
    pub(super) fn undecided<'p>(
        &self,
        pending: &'p AllPending,
    ) -> Vec<(ProductKey, &'p Pending, &'p HeldBy)> {
        let decided = self.decided();
        let all = pending.iter().flat_map(|(&product, all)| all.iter().map(move |one| (product, one)));
        let held = all.filter_map(|(product, one)| Some((product, one, one.held.as_ref()?)));
        let mut waiting: Vec<_> = held.filter(|(_, one, _)| !decided.contains(&one.alert_id)).collect();
        waiting.sort_by(|a, b| a.1.alert_id.cmp(&b.1.alert_id));
        waiting
    }
}

impl Pending {
    /// How many looks say that it is over: as many as the rule wants to find something, and one where it is
    /// held.
    pub(super) fn looks(&self, spec: &RuleSpec) -> u32 {
        if self.held.is_some() { 1 } else { spec.confirmations }
    }
}

/// The findings that are held, and, where there is a gate, the alerts that nobody has ended; those of sources, which are about
/// no product, by their ids.
pub(super) async fn load_pending(
    store: &Store,
    workspace: &Workspace,
    is_gated: bool,
) -> anyhow::Result<(AllPending, Vec<String>)> {
    let filter = AlertFilter { states: AlertState::UNENDED.to_vec(), ..AlertFilter::default() };
    let open = match is_gated {
        true => store.list_alerts(workspace, &filter).await.context("failed to load open alerts")?,
        false => Vec::new(),
    };
    let held = store.load_undecided(workspace).await.context("failed to load what is held back")?;
    let (mut pending, mut of_sources) = (AllPending::new(), Vec::new());
    let key = |marketplace: &str, asin: &str| {
        Some(ProductKey { marketplace: marketplace.parse().ok()?, asin: asin.parse().ok()? })
    };
    for alert in open {
        let Some(product) = key(&alert.marketplace, &alert.asin) else {
            if alert.rule == Rule::SourceIncident {
                of_sources.push(alert.alert_id);
            }
            continue;
        };
        pending.entry(product).or_default().push(Pending {
            alert_id: alert.alert_id,
            rule: alert.rule,
            severity: alert.severity,
            day: alert.day,
            evidence: alert.evidence,
            held: None,
        });
    }
    for HeldRecord { incident_id, reason, alert, held_at, note, .. } in held {
        let Some(product) = key(&alert.marketplace, &alert.asin) else { continue };
        pending.entry(product).or_default().push(Pending {
            alert_id: alert.alert_id,
            rule: alert.rule,
            severity: alert.severity,
            day: alert.day,
            evidence: serde_json::from_str(&alert.evidence).unwrap_or_default(),
            held: Some(HeldBy { incident_id, reason, since: held_at, note }),
        });
    }
    Ok((pending, of_sources))
}

/// What the gate lets pass, and what it holds back with its incidents.
#[derive(Debug, Default)]
pub(super) struct Sifted {
    pub(super) passed: Vec<Finding>,
    pub(super) incidents: Vec<NewGateIncident>,
    pub(super) held: Vec<HeldFinding>,
    /// What was held before, as a later look says it.
    pub(super) looked_again: Vec<HeldFinding>,
    /// So many of these only because one source alone has shown them.
    pub(super) held_for_second: u64,
    /// What a second source is to be asked about: so grave, or a grave jump.
    pub(super) awaiting: Vec<Awaiting>,
    /// On those that several sources refute.
    pub(super) refuted: Vec<Decision>,
    /// Ids of the alerts of all that did not pass.
    pub(super) withheld: HashSet<String>,
}

/// What became of a finding that was held before.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    is_held: bool,
    /// The gravest of those that were released, and of those that were dropped.
    released: Option<Severity>,
    dropped: Option<Severity>,
}

/// Where a finding goes.
enum Way {
    /// On to the alerts.
    Pass,
    /// To the gate.
    Ask,
    /// Nowhere: it is held, or was dropped.
    Stay,
}

impl Before {
    fn add(&mut self, state: HeldState, severity: Severity) {
        match state {
            HeldState::Held => self.is_held = true,
            HeldState::Released => self.released = self.released.max(Some(severity)),
            HeldState::Dropped => self.dropped = self.dropped.max(Some(severity)),
        }
    }

    /// The way of a finding that there is no alert of: one that was dropped is asked about again once it is graver.
    fn way_of_new(self, severity: Severity, is_told: bool) -> Way {
        if self.is_held {
            Way::Stay
        } else if self.released.is_some() {
            Way::Pass
        } else if is_told && self.dropped < Some(severity) {
            Way::Ask
        } else {
            Way::Stay
        }
    }

    /// The way of a finding that is graver than its alert: what was decided holds up to the severity it was
    /// decided of.
    fn way_of_graver(self, severity: Severity, is_told: bool) -> Way {
        if self.is_held {
            Way::Stay
        } else if self.released >= Some(severity) {
            Way::Pass
        } else if self.dropped >= Some(severity) {
            Way::Stay
        } else if is_told {
            Way::Ask
        } else {
            Way::Pass
        }
    }
}

/// A finding that is held, where a later look of its day says it otherwise.
fn as_found_now(held: &HeldRecord, now: &NewAlert) -> Option<HeldFinding> {
    let was = &held.alert;
    let differs = (was.severity, &was.message, &was.evidence) != (now.severity, &now.message, &now.evidence);
    differs.then(|| HeldFinding {
        incident_id: held.incident_id.clone(),
        alert: now.clone(),
        note: held.note.clone(),
    })
}

/// Findings by the way they go.
#[derive(Debug, Default)]
struct Parted {
    passed: Vec<Finding>,
    /// The gate is asked about these.
    asked: Vec<Finding>,
    looked_again: Vec<HeldFinding>,
    withheld: HashSet<String>,
}

/// Parts findings by what became of them before. `known` says the severity of the alerts that are there.
fn part(
    workspace: &Workspace,
    findings: Vec<Finding>,
    records: &[HeldRecord],
    known: &HashMap<&str, Severity>,
    news: &News<'_>,
) -> Parted {
    let mut before: HashMap<&str, Before> = HashMap::new();
    let mut waiting: HashMap<&str, Vec<&HeldRecord>> = HashMap::new();
    for held in records {
        before.entry(&held.alert.alert_id).or_default().add(held.state, held.alert.severity);
        if held.state == HeldState::Held {
            waiting.entry(&held.alert.alert_id).or_default().push(held);
        }
    }
    let mut parted = Parted::default();
    for finding in findings {
        let id = finding.alert_id(workspace.as_str());
        let is_told = news.is_told(&finding);
        let way = match (known.get(id.as_str()), before.get(id.as_str())) {
            (Some(severity), _) if finding.severity <= *severity => Way::Pass,
            (Some(_), before) => before.copied().unwrap_or_default().way_of_graver(finding.severity, is_told),
            (None, Some(before)) => before.way_of_new(finding.severity, is_told),
            (None, None) if is_told => Way::Ask,
            (None, None) => Way::Pass,
        };
        match way {
            Way::Pass => parted.passed.push(finding),
            Way::Ask => parted.asked.push(finding),
            Way::Stay => {
                let alert = new_alert(id.clone(), &finding, false);
                let held = waiting.get(id.as_str()).into_iter().flatten();
                parted.looked_again.extend(held.filter_map(|held| as_found_now(held, &alert)));
                parted.withheld.insert(id);
            }
        }
    }
    parted
}

/// Asks the gate about the findings that would be told for the first time, or as graver than the alert that
/// is there, whose severity `known` says. What is held, or was dropped, stays so.
pub(super) async fn sift(
    store: &Store,
    now: Timestamp,
    options: &Options,
    judges: &Judges,
    findings: Vec<Finding>,
    known: &HashMap<&str, Severity>,
    news: &News<'_>,
) -> anyhow::Result<Sifted> {
    let Some(gate) = &options.gate else { return Ok(Sifted { passed: findings, ..Sifted::default() }) };
    let Some(days) = range_of(findings.iter().map(|finding| finding.day)) else {
        return Ok(Sifted::default());
    };
    let records = store.load_held(&options.workspace, days).await;
    let records = records.context("failed to load what is held back")?;
    let Parted { passed, asked, looked_again, withheld } =
        part(&options.workspace, findings, &records, known, news);
    let mut sifted = Sifted { passed, looked_again, withheld, ..Sifted::default() };
    if asked.is_empty() {
        return Ok(sifted);
    }
    let days: BTreeSet<Day> = asked.iter().map(|finding| finding.day).collect();
    let sightings = store.load_sightings(&options.workspace, &days).await;
    let sightings = sightings.context("failed to load which source saw what")?;
    let is_implausible = |finding: &Finding| gate.is_implausible(finding);
    let mut looked = second::look(store, now, judges, options, &asked, is_implausible).await?;
    let is_confirmed = |finding: &Finding| {
        let set = finding.product.and_then(|product| judges.rules_of(product));
        let looks = set.and_then(|set| set.get(finding.rule).map(|spec: &RuleSpec| spec.confirmations));
        // One wrong look behind a small change that was real confirms nothing.
        looks.is_some_and(|looks| looks > 1) && gate.had_jumped_before(finding)
            || looked.confirmed.contains(&finding.alert_id(options.workspace.as_str()))
    };
    let (passed, mut tripped) = gate.sift(asked, &sightings, is_confirmed);
    tripped.extend(sifted.pass_unless_alone(&options.workspace, passed, &mut looked));
    for tripped in tripped {
        sifted.hold(&options.workspace, tripped, &mut looked);
    }
    Ok(sifted)
}

impl Sifted {
    /// Lets pass what the gate passes, without those that one source alone has shown and another is to show
    /// too: answers these.
    fn pass_unless_alone(
        &mut self,
        workspace: &Workspace,
        findings: Vec<Finding>,
        looked: &mut Looked,
    ) -> Vec<Tripped> {
        let mut alone: BTreeMap<(Marketplace, Day), Vec<Finding>> = BTreeMap::new();
        for finding in findings {
            match (looked.alone.remove(&finding.alert_id(workspace.as_str())), finding.product) {
                (Some(awaiting), Some(product)) => {
                    self.awaiting.extend(awaiting);
                    alone.entry((product.marketplace, finding.day)).or_default().push(finding);
                }
                _ => self.passed.push(finding),
            }
        }
        let tripped = |((marketplace, day), held)| Tripped::by_one_source(marketplace, day, held);
        alone.into_iter().map(tripped).collect()
    }

    /// Holds back what tripped the gate, with what other sources have said of it by now.
    fn hold(&mut self, workspace: &Workspace, tripped: Tripped, looked: &mut Looked) {
        let Tripped { reason, marketplace, day, subject, detail, held } = tripped;
        let marketplace = marketplace.map_or("", |marketplace| marketplace.code());
        let incident_id = NewGateIncident::id(workspace, reason, marketplace, day, &subject);
        for finding in held {
            let alert = new_alert(finding.alert_id(workspace.as_str()), &finding, false);
            let note = match looked.against.remove(&alert.alert_id) {
                Some(SecondLook::Refuted(note)) => {
                    self.refuted.push(Decision {
                        incident_id: incident_id.clone(),
                        alert_id: Some(alert.alert_id.clone()),
                        verdict: Verdict::Drop,
                        note: note.clone(),
                        is_caveat: false,
                    });
                    note
                }
                Some(SecondLook::Contradicted(by)) => contradicted(&by),
                _ => String::new(),
            };
            match reason {
                GateReason::ImplausibleJump => {
                    self.awaiting.extend(looked.alone.remove(&alert.alert_id).flatten());
                }
                GateReason::SecondSource => self.held_for_second += 1,
                _ => {}
            }
            self.withheld.insert(alert.alert_id.clone());
            self.held.push(HeldFinding { incident_id: incident_id.clone(), alert, note });
        }
        let marketplace = marketplace.to_owned();
        self.incidents.push(NewGateIncident { incident_id, reason, marketplace, day, detail });
    }
}
