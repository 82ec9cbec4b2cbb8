//! What becomes of an alert: acknowledged, snoozed, resolved, dismissed, and open again. Every change is recorded with
//! who, when and why, in the transaction that makes it.
//!
//! ```text
//! open ◀─▶ snoozed ─▶ acknowledged        each of the three ─▶ resolved, dismissed
//!   └────────▶ acknowledged ─▶ snoozed    by worse news, resolved, dismissed and snoozed ─▶ open
//! ```

use super::events::AlertNews;
use super::{Escalation, NewAlert, NewEvent};
use crate::model::{Timestamp, Workspace, words};
use crate::rollup::rules::{Rule, Severity};
use crate::store::columns::{instant, known_instant, listed, word};
use crate::store::db::{Row, query, query_scalar};
use crate::store::outbox::{Subscriber, heard, insert_events};
use crate::store::{Result, Store, Tx};

/// Who changes what nobody has asked for.
pub(in crate::store) const AMZCTL: &str = "amzctl";

/// What people did with an alert.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AlertState {
    Open,
    Acknowledged,
    Resolved,
    Dismissed,
    Snoozed,
}

words!(AlertState {
    Open = "open",
    Acknowledged = "acknowledged",
    Resolved = "resolved",
    Dismissed = "dismissed",
    Snoozed = "snoozed",
});

impl AlertState {
    /// States of alerts that somebody still has to do with.
    pub const UNENDED: [AlertState; 3] = [AlertState::Open, AlertState::Acknowledged, AlertState::Snoozed];

    /// The states from which somebody may bring an alert into this one. Nobody opens one by hand: time and worse news do.
    pub fn comes_from(self) -> &'static [AlertState] {
        match self {
            AlertState::Open => &[],
            AlertState::Acknowledged => &[AlertState::Open, AlertState::Snoozed],
            // Also for longer, or not as long.
            AlertState::Snoozed => &AlertState::UNENDED,
            AlertState::Resolved | AlertState::Dismissed => &AlertState::UNENDED,
        }
    }
}

/// One change of an alert's state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlertChange {
    pub from_state: String,
    pub to_state: String,
    pub actor: String,
    pub note: String,
    /// Of a change to snoozed.
    pub until: Option<Timestamp>,
    pub changed_at: Timestamp,
}

/// A change of states that somebody wants.
#[derive(Clone, Copy, Debug)]
pub struct Transition<'a> {
    pub to: AlertState,
    /// Of a change to snoozed: when the alert is open again.
    pub until: Option<Timestamp>,
    pub actor: &'a str,
    pub note: &'a str,
}

/// What a change of states did to each alert, in the order asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StateChange {
    Changed,
    /// It was in that state already.
    Unchanged,
    /// Its state does not lead there.
    Refused(AlertState),
    NotFound,
}

impl Store {
    /// Moves alerts where their state leads there, records each change and tells of what was resolved, in one
    /// transaction. Of two who change the same alert the second finds what the first has made of it.
    pub async fn change_alert_states(
        &self,
        workspace: &Workspace,
        ids: &[String],
        transition: Transition<'_>,
        now: Timestamp,
        subscribers: &[Subscriber],
    ) -> Result<Vec<StateChange>> {
        let mut tx = self.begin().await?;
        let mut changes = Vec::with_capacity(ids.len());
        let mut events = Vec::new();
        for id in ids {
            let (change, event) = change_alert(&mut tx, workspace, id, transition, now).await?;
            changes.push(change);
            events.extend(event);
        }
        let events = heard(workspace, events, subscribers);
        insert_events(&mut tx, workspace, now, &events, subscribers).await?;
        tx.commit().await?;
        Ok(changes)
    }

    /// How many snoozed alerts are due to be open again.
    pub async fn count_overslept(&self, workspace: &Workspace, now: Timestamp) -> Result<u64> {
        let due: i64 = query_scalar(
            "SELECT COUNT(*) FROM alerts WHERE workspace = $1 AND state = 'snoozed' AND snoozed_until <= $2",
        )
        .bind(workspace.as_str())
        .bind(now.timestamp_micros())
        .fetch_one(self.reader())
        .await?;
        Ok(due.unsigned_abs())
    }

    /// Opens the snoozed alerts whose time is over, and records it; answers how many.
    pub async fn wake_snoozed(&self, workspace: &Workspace, now: Timestamp) -> Result<u64> {
        // Most runs wake nobody: they do not wait for the turn to write.
        if self.count_overslept(workspace, now).await? == 0 {
            return Ok(0);
        }
        let mut tx = self.begin().await?;
        query(
            "INSERT INTO alert_changes (alert_id, from_state, to_state, actor, note, changed_at)
             SELECT alert_id, state, 'open', $3, 'the time it was snoozed for is over', $2 FROM alerts
             WHERE workspace = $1 AND state = 'snoozed' AND snoozed_until <= $2 ORDER BY alert_id",
        )
        .bind(workspace.as_str())
        .bind(now.timestamp_micros())
        .bind(AMZCTL)
        .execute(&mut tx)
        .await?;
        let woken = query(
            "UPDATE alerts SET state = 'open', snoozed_until = NULL
             WHERE workspace = $1 AND state = 'snoozed' AND snoozed_until <= $2",
        )
        .bind(workspace.as_str())
        .bind(now.timestamp_micros())
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(woken.rows_affected())
    }

    /// The history of an alert's state, oldest first.
    pub async fn load_alert_changes(
        &self,
        workspace: &Workspace,
        alert_id: &str,
    ) -> Result<Vec<AlertChange>> {
        let rows = query(
            "SELECT c.from_state, c.to_state, c.actor, c.note, c.until, c.changed_at
             FROM alert_changes c JOIN alerts a ON a.alert_id = c.alert_id
             WHERE a.workspace = $1 AND c.alert_id = $2 ORDER BY c.change_id",
        )
        .bind(workspace.as_str())
        .bind(alert_id)
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(alert_change).collect()
    }
}

/// Resolves alerts whose condition has cleared; answers what is told of it.
pub(super) async fn clear(
    tx: &mut Tx,
    workspace: &Workspace,
    now: Timestamp,
    cleared: &[(String, String)],
) -> Result<Vec<NewEvent>> {
    let mut events = Vec::new();
    for (alert_id, note) in cleared {
        let transition = Transition { to: AlertState::Resolved, until: None, actor: AMZCTL, note };
        let (_, event) = change_alert(tx, workspace, alert_id, transition, now).await?;
        events.extend(event);
    }
    Ok(events)
}

/// Changes one alert, if its state leads there, and records it; answers also what is told of it.
pub(in crate::store) async fn change_alert(
    tx: &mut Tx,
    workspace: &Workspace,
    alert_id: &str,
    transition: Transition<'_>,
    now: Timestamp,
) -> Result<(StateChange, Option<NewEvent>)> {
    let Transition { to, until, actor, note } = transition;
    let row = query("SELECT * FROM alerts WHERE workspace = $1 AND alert_id = $2")
        .bind(workspace.as_str())
        .bind(alert_id)
        .fetch_optional(&mut *tx)
        .await?;
    let Some(row) = row else { return Ok((StateChange::NotFound, None)) };
    let from = listed(&row, "alerts", "state", AlertState::from_word)?;
    if from == to && known_instant(&row, "alerts", "snoozed_until")? == until {
        return Ok((StateChange::Unchanged, None));
    }
    if !to.comes_from().contains(&from) {
        return Ok((StateChange::Refused(from), None));
    }
    let event = match to {
        AlertState::Resolved => resolved(tx, workspace, &row, actor, note, now).await?,
        _ => None,
    };
    query("UPDATE alerts SET state = $3, snoozed_until = $4 WHERE workspace = $1 AND alert_id = $2")
        .bind(workspace.as_str())
        .bind(alert_id)
        .bind(to.as_str())
        .bind(until.map(|until| until.timestamp_micros()))
        .execute(&mut *tx)
        .await?;
    let change = AlertChange {
        from_state: from.as_str().to_owned(),
        to_state: to.as_str().to_owned(),
        actor: actor.to_owned(),
        note: note.to_owned(),
        until,
        changed_at: now,
    };
    record_change(tx, alert_id, &change).await?;
    Ok((StateChange::Changed, event))
}

/// Records a change of an alert that was found in its workspace.
pub(in crate::store) async fn record_change(tx: &mut Tx, alert_id: &str, change: &AlertChange) -> Result<()> {
    query(
        "INSERT INTO alert_changes (alert_id, from_state, to_state, actor, note, changed_at, until)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(alert_id)
    .bind(&change.from_state)
    .bind(&change.to_state)
    .bind(&change.actor)
    .bind(&change.note)
    .bind(change.changed_at.timestamp_micros())
    .bind(change.until.map(|until| until.timestamp_micros()))
    .execute(tx)
    .await?;
    Ok(())
}

/// What is told of an alert that is being resolved; nothing of one that nobody was told of.
async fn resolved(
    tx: &mut Tx,
    workspace: &Workspace,
    row: &Row,
    actor: &str,
    note: &str,
    at: Timestamp,
) -> Result<Option<NewEvent>> {
    let alert = new_alert(row)?;
    if alert.historical {
        return Ok(None);
    }
    let before: i64 = query_scalar(
        "SELECT COUNT(*) FROM alert_changes c JOIN alerts a ON a.alert_id = c.alert_id
         WHERE a.workspace = $1 AND c.alert_id = $2 AND c.to_state = 'resolved'",
    )
    .bind(workspace.as_str())
    .bind(&alert.alert_id)
    .fetch_one(tx)
    .await?;
    let actor = Some(actor).filter(|actor| *actor != AMZCTL);
    Ok(Some(NewEvent::of(workspace, &alert, AlertNews::Resolved { actor, note, at, times: before + 1 })))
}

/// What became worse and is told again is open again, if somebody had closed it.
pub(super) async fn reopen(
    tx: &mut Tx,
    workspace: &Workspace,
    now: Timestamp,
    escalation: &Escalation,
) -> Result<()> {
    query(
        "INSERT INTO alert_changes (alert_id, from_state, to_state, actor, note, changed_at)
         SELECT alert_id, state, 'open', $5, $2, $3 FROM alerts
         WHERE alert_id = $1 AND workspace = $4 AND state IN ('resolved', 'dismissed', 'snoozed')",
    )
    .bind(&escalation.alert_id)
    .bind(format!("escalated to {}", escalation.severity))
    .bind(now.timestamp_micros())
    .bind(workspace.as_str())
    .bind(AMZCTL)
    .execute(tx)
    .await?;
    query(
        "UPDATE alerts SET state = 'open', snoozed_until = NULL
         WHERE alert_id = $1 AND workspace = $2 AND state IN ('resolved', 'dismissed', 'snoozed')",
    )
    .bind(&escalation.alert_id)
    .bind(workspace.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) fn alert_change(row: &Row) -> Result<AlertChange> {
    Ok(AlertChange {
        from_state: row.try_get("from_state")?,
        to_state: row.try_get("to_state")?,
        actor: row.try_get("actor")?,
        note: row.try_get("note")?,
        until: known_instant(row, "alert_changes", "until")?,
        changed_at: instant(row, "alert_changes", "changed_at")?,
    })
}

/// What an alert, or a finding that is to become one, says.
pub(in crate::store) fn new_alert(row: &Row) -> Result<NewAlert> {
    Ok(NewAlert {
        alert_id: row.try_get("alert_id")?,
        rule: listed(row, "alerts", "rule", Rule::from_word)?,
        severity: listed(row, "alerts", "severity", Severity::from_word)?,
        marketplace: row.try_get("marketplace")?,
        asin: row.try_get("asin")?,
        day: word(row, "alerts", "day")?,
        object: row.try_get("object")?,
        message: row.try_get("message")?,
        evidence: row.try_get("evidence")?,
        historical: row.try_get("historical")?,
    })
}
