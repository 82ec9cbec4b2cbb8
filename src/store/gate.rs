//! The quality gate's books: its incidents, and the findings that they hold back until somebody, or the
//! evidence, decides.
//!
//! ```text
//! held ─▶ released (it is an alert, or has made one more severe, and is told)
//!   └───▶ dropped  (it was no finding)
//! ```
//!
//! What trips the gate, and what counts as evidence, is decided by `stages::alert`. An incident is open as
//! long as it holds something back; one that holds nothing, because data are missing, until somebody decides
//! it. Incidents of sources lie in the same table, have no workspace, and hold nothing back.

use super::alerts::{
    AlertBatch, AlertChange, AlertNews, AlertState, Escalation, NewAlert, NewEvent, escalate, insert_alerts,
    new_alert, record_change,
};
use super::columns::{gravity, instant, known_instant, listed, read_word, to_json, word};
use super::db::{Row, query, query_scalar};
use super::outbox::{Subscriber, gate_tripped, insert_events};
use super::{Result, Store, Tx};
use crate::ids::stable_id;
use crate::model::{Day, DayRange, Timestamp, Workspace, words};
pub use crate::rollup::rules::GateReason;
use crate::rollup::rules::Severity;

/// The kind of the gate's incidents.
pub const GATE: &str = "gate";

/// An incident of the gate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewGateIncident {
    pub incident_id: String,
    pub reason: GateReason,
    /// '' where it is about several.
    pub marketplace: String,
    pub day: Day,
    /// One sentence with the numbers that tripped the gate.
    pub detail: String,
}

impl NewGateIncident {
    /// The id of the incident: the same whenever the gate trips for the same reason about the same thing.
    /// `subject` tells incidents of a day apart, as by product or source; '' where there is one for all.
    pub fn id(
        workspace: &Workspace,
        reason: GateReason,
        marketplace: &str,
        day: Day,
        subject: &str,
    ) -> String {
        stable_id(&[GATE, workspace.as_str(), reason.as_str(), marketplace, &day.to_string(), subject])
    }
}

/// A finding that an incident holds back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldFinding {
    pub incident_id: String,
    /// The alert that comes of it. `historical` where nobody is told then either.
    pub alert: NewAlert,
    /// What speaks against it already; '' where nothing does.
    pub note: String,
}

/// What came to light about a finding that goes on being held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldNote {
    pub incident_id: String,
    pub alert_id: String,
    pub note: String,
}

/// What became of a finding that was held back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HeldState {
    Held,
    Released,
    Dropped,
}

words!(HeldState { Held = "held", Released = "released", Dropped = "dropped" });

/// A held finding as people and the engine see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldRecord {
    pub incident_id: String,
    pub reason: GateReason,
    pub alert: NewAlert,
    pub state: HeldState,
    pub run_id: String,
    pub held_at: Timestamp,
    pub decided_at: Option<Timestamp>,
    /// '' while it is held.
    pub decided_by: String,
    /// Why it was decided so; while it is held, what speaks against it.
    pub note: String,
}

/// What is to become of what an incident holds back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Release,
    Drop,
}

impl Verdict {
    pub fn state(self) -> HeldState {
        match self {
            Verdict::Release => HeldState::Released,
            Verdict::Drop => HeldState::Dropped,
        }
    }
}

/// A verdict on one finding of an incident, or on all that it holds back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    pub incident_id: String,
    /// Null: all that are held.
    pub alert_id: Option<String>,
    pub verdict: Verdict,
    /// Why; kept with each finding.
    pub note: String,
    /// The note limits what is told: it goes with it.
    pub is_caveat: bool,
}

/// What decisions changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Decided {
    /// New alerts.
    pub opened: u64,
    /// Alerts that became more severe.
    pub escalated: u64,
    /// Released findings of alerts that are there already, as severe or more.
    pub known: u64,
    pub dropped: u64,
    /// Incidents that hold nothing back any more.
    pub closed: u64,
}

impl Decided {
    /// Nothing was held any more.
    pub fn is_nothing(&self) -> bool {
        *self == Decided::default()
    }
}

/// Held findings `h` of a workspace, with why.
macro_rules! held {
    () => {
        "SELECT h.*, i.reason FROM held_findings h JOIN incidents i ON i.incident_id = h.incident_id
         WHERE h.workspace = $1"
    };
}

/// Whom a decision is by, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct By<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) actor: &'a str,
    pub(super) now: Timestamp,
}

impl Store {
    /// The findings of the days that were ever held back, whatever became of them, sorted by alert and
    /// incident.
    pub async fn load_held(&self, workspace: &Workspace, days: DayRange) -> Result<Vec<HeldRecord>> {
        let rows = query(concat!(held!(), " AND h.day BETWEEN $2 AND $3 ORDER BY h.alert_id, h.incident_id"))
            .bind(workspace.as_str())
            .bind(days.first.to_string())
            .bind(days.last.to_string())
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(held_record).collect()
    }

    /// The findings that wait for evidence, whatever their day, sorted by alert and incident.
    pub async fn load_undecided(&self, workspace: &Workspace) -> Result<Vec<HeldRecord>> {
        let rows = query(concat!(held!(), " AND h.state = 'held' ORDER BY h.alert_id, h.incident_id"))
            .bind(workspace.as_str())
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(held_record).collect()
    }

    /// What an incident holds or held back: by day, then the gravest, then product.
    pub async fn load_held_of(&self, workspace: &Workspace, incident_id: &str) -> Result<Vec<HeldRecord>> {
        let rows = query(concat!(
            held!(),
            " AND h.incident_id = $2
             ORDER BY h.day, ",
            gravity!("h.severity"),
            ", h.marketplace, h.asin, h.rule, h.object"
        ))
        .bind(workspace.as_str())
        .bind(incident_id)
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(held_record).collect()
    }

    /// Findings whose alert's id begins with `prefix`, at most ten, sorted.
    pub async fn find_held(&self, workspace: &Workspace, prefix: &str) -> Result<Vec<HeldRecord>> {
        let rows = query(concat!(
            held!(),
            " AND h.alert_id >= $2 AND h.alert_id < $3 ORDER BY h.alert_id, h.incident_id LIMIT 10"
        ))
        .bind(workspace.as_str())
        .bind(prefix)
        .bind(format!("{prefix}g"))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(held_record).collect()
    }

    /// Lets findings through or takes them for none, in one transaction. What is released is an alert then,
    /// with its event and deliveries, as if it had never been held; the decision is the first entry of its
    /// history.
    ///
    /// What is decided already, of whoever's two decisions was the first, is left as it is.
    pub async fn decide_held(
        &self,
        workspace: &Workspace,
        decisions: &[Decision],
        actor: &str,
        now: Timestamp,
        subscribers: &[Subscriber],
    ) -> Result<Decided> {
        let mut tx = self.begin().await?;
        let (decided, events) = decide(&mut tx, decisions, By { workspace, actor, now }).await?;
        insert_events(&mut tx, workspace, now, &events, subscribers).await?;
        tx.commit().await?;
        Ok(decided)
    }
}

/// Applies decisions; answers what they changed, and what is told of it.
pub(super) async fn decide(
    tx: &mut Tx,
    decisions: &[Decision],
    by: By<'_>,
) -> Result<(Decided, Vec<NewEvent>)> {
    let (mut decided, mut events) = (Decided::default(), Vec::new());
    for decision in decisions {
        apply(tx, decision, by, &mut decided, &mut events).await?;
    }
    Ok((decided, events))
}

/// Writes a batch's incidents, what they hold back, and the notes on what was held before; answers the news of
/// incidents that are new. What is held already is held as a later look says it; what is decided already stays
/// so, unless it is graver now; an incident that holds something again is open again.
pub(super) async fn hold(
    tx: &mut Tx,
    workspace: &Workspace,
    run_id: &str,
    now: Timestamp,
    batch: &AlertBatch,
) -> Result<Vec<NewEvent>> {
    let mut events = Vec::new();
    for incident in &batch.incidents {
        let written = query(
            "INSERT INTO incidents (incident_id, kind, source, reason, detail, day, state, run_id, recorded_at,
               workspace, marketplace)
             VALUES ($1, $2, '', $3, $4, $5, 'open', $6, $7, $8, $9) ON CONFLICT (incident_id) DO NOTHING",
        )
        .bind(&incident.incident_id)
        .bind(GATE)
        .bind(incident.reason.as_str())
        .bind(&incident.detail)
        .bind(incident.day.to_string())
        .bind(run_id)
        .bind(now.timestamp_micros())
        .bind(workspace.as_str())
        .bind(&incident.marketplace)
        .execute(&mut *tx)
        .await?;
        // What waits for a second source is mostly told in the same night, as an alert or not at all: of it only
        // contradictions are told.
        if written.rows_affected() > 0 && incident.reason != GateReason::SecondSource {
            events.push(gate_tripped(workspace, incident, now));
        }
    }
    for HeldFinding { incident_id, alert, note } in &batch.held {
        query(concat!(
            "INSERT INTO held_findings (workspace, incident_id, alert_id, rule, severity, marketplace, asin, day, object,
               message, evidence, historical, state, run_id, held_at, note)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'held', $13, $14, $15)
             ON CONFLICT (workspace, incident_id, alert_id) DO UPDATE SET severity = excluded.severity,
               message = excluded.message, evidence = excluded.evidence, historical = excluded.historical,
               state = 'held', decided_at = NULL, decided_by = '',
               run_id = CASE held_findings.state WHEN 'held' THEN held_findings.run_id ELSE excluded.run_id END,
               held_at = CASE held_findings.state WHEN 'held' THEN held_findings.held_at ELSE excluded.held_at END,
               note = CASE held_findings.state WHEN 'held' THEN held_findings.note ELSE excluded.note END
             WHERE held_findings.state = 'held' OR ",
            gravity!("excluded.severity"),
            " < ",
            gravity!("held_findings.severity"),
        ))
        .bind(workspace.as_str())
        .bind(incident_id)
        .bind(&alert.alert_id)
        .bind(alert.rule.as_str())
        .bind(alert.severity.as_str())
        .bind(&alert.marketplace)
        .bind(&alert.asin)
        .bind(alert.day.to_string())
        .bind(&alert.object)
        .bind(&alert.message)
        .bind(&alert.evidence)
        .bind(alert.historical)
        .bind(run_id)
        .bind(now.timestamp_micros())
        .bind(note)
        .execute(&mut *tx)
        .await?;
    }
    let ids: Vec<&str> = batch.held.iter().map(|held| held.incident_id.as_str()).collect();
    query(
        "UPDATE incidents SET state = 'open', closed_at = NULL, closed_by = '', note = ''
         WHERE workspace = $1 AND state = 'closed' AND incident_id IN (SELECT value FROM json_each($2))
           AND EXISTS (SELECT 1 FROM held_findings h WHERE h.workspace = $1
             AND h.incident_id = incidents.incident_id AND h.state = 'held')",
    )
    .bind(workspace.as_str())
    .bind(to_json(&ids))
    .execute(&mut *tx)
    .await?;
    for HeldNote { incident_id, alert_id, note } in &batch.noted {
        query(
            "UPDATE held_findings SET note = $4
             WHERE workspace = $1 AND incident_id = $2 AND alert_id = $3 AND state = 'held'",
        )
        .bind(workspace.as_str())
        .bind(incident_id)
        .bind(alert_id)
        .bind(note)
        .execute(&mut *tx)
        .await?;
    }
    Ok(events)
}

/// The news of incidents that wait for the next day, because a second source contradicts what they hold.
pub(super) async fn contradicted(tx: &mut Tx, by: By<'_>, batch: &AlertBatch) -> Result<Vec<NewEvent>> {
    let held = batch.held.iter().filter(|held| !held.note.is_empty()).map(|held| &held.incident_id);
    let ids: Vec<&String> = held.chain(batch.noted.iter().map(|noted| &noted.incident_id)).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = query(
        "SELECT i.incident_id, i.marketplace, i.day, MIN(h.note) AS note, COUNT(*) AS held
         FROM incidents i JOIN held_findings h ON h.incident_id = i.incident_id AND h.workspace = i.workspace
         WHERE i.workspace = $1 AND i.reason = $2 AND i.incident_id IN (SELECT value FROM json_each($3))
           AND h.state = 'held' AND h.note <> ''
         GROUP BY i.incident_id, i.marketplace, i.day ORDER BY i.incident_id",
    )
    .bind(by.workspace.as_str())
    .bind(GateReason::SecondSource.as_str())
    .bind(to_json(&ids))
    .fetch_all(tx)
    .await?;
    rows.iter()
        .map(|row| {
            let (note, held): (String, i64) = (row.try_get("note")?, row.try_get("held")?);
            let others = if held > 1 { format!(", and {} more", held - 1) } else { String::new() };
            let incident = NewGateIncident {
                incident_id: row.try_get("incident_id")?,
                reason: GateReason::SecondSource,
                marketplace: row.try_get("marketplace")?,
                day: word(row, "incidents", "day")?,
                detail: format!("{note}{others}"),
            };
            Ok(gate_tripped(by.workspace, &incident, by.now))
        })
        .collect()
}

/// Applies one decision, and closes its incident when that holds nothing back any more.
async fn apply(
    tx: &mut Tx,
    decision: &Decision,
    by: By<'_>,
    decided: &mut Decided,
    events: &mut Vec<NewEvent>,
) -> Result<()> {
    let rows = query(concat!(
        held!(),
        " AND h.incident_id = $2 AND h.state = 'held' AND ($3 IS NULL OR h.alert_id = $3)
         ORDER BY h.day, ",
        gravity!("h.severity"),
        ", h.marketplace, h.asin, h.rule, h.object"
    ))
    .bind(by.workspace.as_str())
    .bind(&decision.incident_id)
    .bind(decision.alert_id.as_deref())
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        let held = held_record(row)?;
        match decision.verdict {
            Verdict::Drop => decided.dropped += 1,
            Verdict::Release => events.extend(release(tx, &held, decision, by, decided).await?),
        }
        query(
            "UPDATE held_findings SET state = $4, decided_at = $5, decided_by = $6, note = $7
             WHERE workspace = $1 AND incident_id = $2 AND alert_id = $3",
        )
        .bind(by.workspace.as_str())
        .bind(&held.incident_id)
        .bind(&held.alert.alert_id)
        .bind(decision.verdict.state().as_str())
        .bind(by.now.timestamp_micros())
        .bind(by.actor)
        .bind(&decision.note)
        .execute(&mut *tx)
        .await?;
    }
    let closed = query(
        "UPDATE incidents SET state = 'closed', closed_at = $3, closed_by = $4, note = $5
         WHERE workspace = $1 AND incident_id = $2 AND kind = $6 AND state = 'open'
           AND NOT EXISTS (SELECT 1 FROM held_findings h
             WHERE h.workspace = $1 AND h.incident_id = $2 AND h.state = 'held')",
    )
    .bind(by.workspace.as_str())
    .bind(&decision.incident_id)
    .bind(by.now.timestamp_micros())
    .bind(by.actor)
    .bind(&decision.note)
    .bind(GATE)
    .execute(tx)
    .await?;
    decided.closed += closed.rows_affected();
    Ok(())
}

/// Makes an alert of a held finding, or makes the one that is there more severe; answers what is told of it.
async fn release(
    tx: &mut Tx,
    held: &HeldRecord,
    decision: &Decision,
    by: By<'_>,
    decided: &mut Decided,
) -> Result<Option<NewEvent>> {
    let (workspace, alert, note) = (by.workspace, &held.alert, &decision.note);
    let there: Option<String> =
        query_scalar("SELECT severity FROM alerts WHERE workspace = $1 AND alert_id = $2")
            .bind(workspace.as_str())
            .bind(&alert.alert_id)
            .fetch_optional(&mut *tx)
            .await?;
    let there = there.map(|word| read_word(word, "alerts", "severity", Severity::from_word)).transpose()?;
    let news = match there {
        None => {
            insert_alerts(tx, workspace, &held.run_id, by.now, std::slice::from_ref(alert)).await?;
            let why = format!("held back by incident {} ({})", held.incident_id, held.reason);
            let change = AlertChange {
                from_state: HeldState::Held.as_str().to_owned(),
                to_state: AlertState::Open.as_str().to_owned(),
                actor: by.actor.to_owned(),
                note: if note.is_empty() { why } else { format!("{why}: {note}") },
                until: None,
                changed_at: by.now,
            };
            record_change(tx, &alert.alert_id, &change).await?;
            decided.opened += 1;
            AlertNews::Opened
        }
        Some(before) if alert.severity > before => {
            let escalation = Escalation {
                alert_id: alert.alert_id.clone(),
                is_told: !alert.historical,
                severity: alert.severity,
                message: alert.message.clone(),
                evidence: alert.evidence.clone(),
            };
            escalate(tx, workspace, by.now, &escalation).await?;
            decided.escalated += 1;
            AlertNews::Escalated { before }
        }
        Some(_) => {
            decided.known += 1;
            return Ok(None);
        }
    };
    let caveat = if decision.is_caveat { note.as_str() } else { "" };
    Ok((!alert.historical).then(|| NewEvent::with_caveat(workspace, alert, news, caveat)))
}

fn held_record(row: &Row) -> Result<HeldRecord> {
    Ok(HeldRecord {
        incident_id: row.try_get("incident_id")?,
        reason: listed(row, "incidents", "reason", GateReason::from_word)?,
        alert: new_alert(row)?,
        state: listed(row, "held_findings", "state", HeldState::from_word)?,
        run_id: row.try_get("run_id")?,
        held_at: instant(row, "held_findings", "held_at")?,
        decided_at: known_instant(row, "held_findings", "decided_at")?,
        decided_by: row.try_get("decided_by")?,
        note: row.try_get("note")?,
    })
}
