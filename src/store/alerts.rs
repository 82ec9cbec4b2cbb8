//! Alerts: what was found, and what people did with it.

use super::columns::{instant, listed, read_word, to_json, unreadable, word};
use super::db::{Row, bulk, query, query_scalar};
use super::ops::set_mark;
use super::outbox::{About, Audience, Resolved, ResolvedBy, Subscriber, insert_events, resolved, tell};
use super::{Result, Store, Tx};
use crate::model::{Asin, Day, DayRange, Marketplace, Timestamp, Workspace, words};
use crate::rollup::rules::{Rule, Severity};

/// The name of the mark up to which the mart's days have been judged for a workspace.
pub(super) fn judged_mark(workspace: &Workspace) -> String {
    format!("alerts_judged_seq:{workspace}")
}

/// An alert as judging left it: what a later look is compared with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JudgedAlert {
    pub alert_id: String,
    pub rule: Rule,
    pub severity: Severity,
    /// '' where it is about a source.
    pub marketplace: String,
    /// '' where it is about a source.
    pub asin: String,
    pub day: Day,
    pub message: String,
    pub evidence: String,
    pub superseded: String,
}

/// A finding on its way to becoming an alert.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewAlert {
    pub alert_id: String,
    pub rule: Rule,
    pub severity: Severity,
    pub marketplace: String,
    pub asin: String,
    pub day: Day,
    pub object: String,
    pub message: String,
    pub evidence: String,
    pub historical: bool,
}

/// An alert that a later look found to be more severe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Escalation {
    pub alert_id: String,
    /// People are told: an alert that was stored as historical is one no longer.
    pub is_told: bool,
    pub severity: Severity,
    pub message: String,
    pub evidence: String,
}

/// An event for the outbox. Its id is derived from the alert and its severity, so that the same news is one event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewEvent {
    pub event_id: String,
    pub event_type: &'static str,
    /// '' for what is no alert.
    pub alert_id: String,
    pub about: About,
    /// JSON; every attempt at delivery sends these bytes.
    pub payload: String,
}

/// Who is told: a channel and its recipient.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Recipient {
    pub channel: String,
    pub recipient: String,
}

/// What one batch of judging changes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AlertBatch {
    pub opened: Vec<NewAlert>,
    pub escalated: Vec<Escalation>,
    /// (alert id, what a later look says instead; '' when it agrees again)
    pub superseded: Vec<(String, String)>,
    /// In the order in which they are to be delivered.
    pub events: Vec<NewEvent>,
}

impl AlertBatch {
    pub fn is_empty(&self) -> bool {
        self.opened.is_empty() && self.escalated.is_empty() && self.superseded.is_empty()
    }
}

/// An alert as people see it.
#[derive(Clone, PartialEq, Debug)]
pub struct AlertRecord {
    pub alert_id: String,
    pub rule: Rule,
    pub severity: Severity,
    /// '' where it is about a source.
    pub marketplace: String,
    /// '' where it is about a source.
    pub asin: String,
    pub day: Day,
    pub object: String,
    pub message: String,
    pub evidence: serde_json::Value,
    pub state: AlertState,
    pub historical: bool,
    pub superseded: String,
    pub run_id: String,
    pub recorded_at: Timestamp,
}

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

/// One change of an alert's state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlertChange {
    pub from_state: String,
    pub to_state: String,
    pub actor: String,
    pub note: String,
    pub changed_at: Timestamp,
}

/// Which alerts to list; an empty list means all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AlertFilter {
    pub states: Vec<AlertState>,
    pub severities: Vec<Severity>,
    pub rules: Vec<Rule>,
    pub marketplace: Option<Marketplace>,
    pub asin: Option<Asin>,
    /// The first day.
    pub since: Option<Day>,
    pub limit: Option<u32>,
}

/// A change of states that somebody wants.
#[derive(Clone, Copy, Debug)]
pub struct Transition<'a> {
    /// States that lead to it.
    pub from: &'a [AlertState],
    pub to: AlertState,
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
    /// The alerts of the days, sorted by id.
    pub async fn load_alerts_of_days(
        &self,
        workspace: &Workspace,
        days: DayRange,
    ) -> Result<Vec<JudgedAlert>> {
        let rows = query(
            "SELECT alert_id, rule, severity, marketplace, asin, day, message, evidence, superseded FROM alerts
             WHERE workspace = $1 AND day BETWEEN $2 AND $3 ORDER BY alert_id",
        )
        .bind(workspace.as_str())
        .bind(days.first.to_string())
        .bind(days.last.to_string())
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(judged_alert).collect()
    }

    /// Those of the alerts that exist, sorted by id.
    pub async fn load_alerts_by_id(&self, workspace: &Workspace, ids: &[String]) -> Result<Vec<JudgedAlert>> {
        let rows = query(
            "SELECT alert_id, rule, severity, marketplace, asin, day, message, evidence, superseded FROM alerts
             WHERE workspace = $1 AND alert_id IN (SELECT value FROM json_each($2)) ORDER BY alert_id",
        )
        .bind(workspace.as_str())
        .bind(to_json(ids))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(judged_alert).collect()
    }

    /// Writes alerts, their events and one delivery per event and subscriber who hears of it, and with `judged_through` moves the
    /// mark, all in one transaction. Writing the same batch again changes nothing.
    pub async fn commit_alerts(
        &self,
        workspace: &Workspace,
        run_id: &str,
        now: Timestamp,
        batch: &AlertBatch,
        subscribers: &[Subscriber],
        judged_through: Option<i64>,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        insert_alerts(&mut tx, workspace, run_id, now, &batch.opened).await?;
        for escalation in &batch.escalated {
            query(
                "UPDATE alerts SET severity = $2, message = $3, evidence = $4, superseded = '',
                   historical = CASE WHEN $5 = 1 THEN 0 ELSE historical END
                 WHERE alert_id = $1 AND workspace = $6",
            )
            .bind(&escalation.alert_id)
            .bind(escalation.severity.as_str())
            .bind(&escalation.message)
            .bind(&escalation.evidence)
            .bind(escalation.is_told)
            .bind(workspace.as_str())
            .execute(&mut tx)
            .await?;
            if escalation.is_told {
                reopen(&mut tx, workspace, now, escalation).await?;
            }
        }
        for (alert_id, note) in &batch.superseded {
            query("UPDATE alerts SET superseded = $2 WHERE alert_id = $1 AND workspace = $3")
                .bind(alert_id)
                .bind(note)
                .bind(workspace.as_str())
                .execute(&mut tx)
                .await?;
        }
        insert_events(&mut tx, workspace, now, &batch.events, subscribers).await?;
        if let Some(seq) = judged_through {
            set_mark(&mut tx, &judged_mark(workspace), seq).await?;
        }
        crate::failpoint!("alert.before_commit");
        tx.commit().await?;
        crate::failpoint!("alert.after_commit");
        Ok(())
    }

    /// Alerts that pass the filter, newest day first, then by severity.
    pub async fn list_alerts(&self, workspace: &Workspace, filter: &AlertFilter) -> Result<Vec<AlertRecord>> {
        let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
        let severities: Vec<&str> = filter.severities.iter().map(|severity| severity.as_str()).collect();
        let rules: Vec<&str> = filter.rules.iter().map(|rule| rule.as_str()).collect();
        let rows = query(
            "SELECT * FROM alerts WHERE workspace = $1
               AND ($2 = '[]' OR state IN (SELECT value FROM json_each($2)))
               AND ($3 = '[]' OR severity IN (SELECT value FROM json_each($3)))
               AND ($4 = '[]' OR rule IN (SELECT value FROM json_each($4)))
               AND ($5 IS NULL OR marketplace = $5) AND ($6 IS NULL OR asin = $6)
               AND ($7 IS NULL OR day >= $7)
             ORDER BY day DESC, CASE severity WHEN 'critical' THEN 0 WHEN 'high' THEN 1 WHEN 'medium' THEN 2 ELSE 3 END,
               marketplace, asin, rule, object
             LIMIT $8",
        )
        .bind(workspace.as_str())
        .bind(to_json(&states))
        .bind(to_json(&severities))
        .bind(to_json(&rules))
        .bind(filter.marketplace.map(Marketplace::code))
        .bind(filter.asin.map(|asin| asin.to_string()))
        .bind(filter.since.map(|day| day.to_string()))
        .bind(filter.limit.map_or(i64::MAX, i64::from))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(alert_record).collect()
    }

    /// Alerts whose id begins with `prefix`, at most ten, sorted.
    pub async fn find_alerts(&self, workspace: &Workspace, prefix: &str) -> Result<Vec<AlertRecord>> {
        let rows = query(
            "SELECT * FROM alerts WHERE workspace = $1 AND alert_id >= $2 AND alert_id < $3
             ORDER BY alert_id LIMIT 10",
        )
        .bind(workspace.as_str())
        .bind(prefix)
        // Ids are hexadecimal: every one that begins with the prefix sorts before this.
        .bind(format!("{prefix}g"))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(alert_record).collect()
    }

    /// The history of an alert's state, oldest first.
    pub async fn load_alert_changes(
        &self,
        workspace: &Workspace,
        alert_id: &str,
    ) -> Result<Vec<AlertChange>> {
        let rows = query(
            "SELECT c.from_state, c.to_state, c.actor, c.note, c.changed_at
             FROM alert_changes c JOIN alerts a ON a.alert_id = c.alert_id
             WHERE a.workspace = $1 AND c.alert_id = $2 ORDER BY c.change_id",
        )
        .bind(workspace.as_str())
        .bind(alert_id)
        .fetch_all(self.reader())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(AlertChange {
                    from_state: row.try_get("from_state")?,
                    to_state: row.try_get("to_state")?,
                    actor: row.try_get("actor")?,
                    note: row.try_get("note")?,
                    changed_at: instant(row, "alert_changes", "changed_at")?,
                })
            })
            .collect()
    }

    /// Moves alerts where their state leads there, records each change, and tells the audience of those that were resolved, in
    /// one transaction.
    pub async fn change_alert_states(
        &self,
        workspace: &Workspace,
        ids: &[String],
        transition: Transition<'_>,
        audience: &Audience,
        now: Timestamp,
    ) -> Result<Vec<StateChange>> {
        let Transition { from, to, actor, note } = transition;
        let mut tx = self.begin().await?;
        let mut changes = Vec::with_capacity(ids.len());
        for id in ids {
            let state: Option<String> =
                query_scalar("SELECT state FROM alerts WHERE workspace = $1 AND alert_id = $2")
                    .bind(workspace.as_str())
                    .bind(id)
                    .fetch_optional(&mut tx)
                    .await?;
            let Some(state) = state else {
                changes.push(StateChange::NotFound);
                continue;
            };
            let state = read_word(state, "alerts", "state", AlertState::from_word)?;
            if state == to {
                changes.push(StateChange::Unchanged);
                continue;
            }
            if !from.contains(&state) {
                changes.push(StateChange::Refused(state));
                continue;
            }
            query("UPDATE alerts SET state = $3 WHERE workspace = $1 AND alert_id = $2")
                .bind(workspace.as_str())
                .bind(id)
                .bind(to.as_str())
                .execute(&mut tx)
                .await?;
            query(
                "INSERT INTO alert_changes (alert_id, from_state, to_state, actor, note, changed_at)
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(id)
            .bind(state.as_str())
            .bind(to.as_str())
            .bind(actor)
            .bind(note)
            .bind(now.timestamp_micros())
            .execute(&mut tx)
            .await?;
            if to == AlertState::Resolved {
                let by = Resolved { by: ResolvedBy::Person(actor), note, at: now, times: 0 };
                tell_resolved(&mut tx, workspace, audience, id, by).await?;
            }
            changes.push(StateChange::Changed);
        }
        tx.commit().await?;
        Ok(changes)
    }
}

/// Tells of an alert that was just resolved, after its change was recorded, in the same transaction.
pub(super) async fn tell_resolved(
    tx: &mut Tx,
    workspace: &Workspace,
    audience: &Audience,
    alert_id: &str,
    by: Resolved<'_>,
) -> Result<()> {
    let row = query("SELECT * FROM alerts WHERE workspace = $1 AND alert_id = $2")
        .bind(workspace.as_str())
        .bind(alert_id)
        .fetch_one(&mut *tx)
        .await?;
    let times: i64 = query_scalar(
        "SELECT COUNT(*) FROM alert_changes c JOIN alerts a ON a.alert_id = c.alert_id
         WHERE a.workspace = $1 AND c.alert_id = $2 AND c.to_state = 'resolved'",
    )
    .bind(workspace.as_str())
    .bind(alert_id)
    .fetch_one(&mut *tx)
    .await?;
    let event = resolved(workspace, &alert_record(&row)?, Resolved { times, ..by });
    tell(tx, audience, by.at, vec![event]).await
}

/// What became worse and is told again is open again, if somebody had closed it.
async fn reopen(tx: &mut Tx, workspace: &Workspace, now: Timestamp, escalation: &Escalation) -> Result<()> {
    query(
        "INSERT INTO alert_changes (alert_id, from_state, to_state, actor, note, changed_at)
         SELECT alert_id, state, 'open', 'amzctl', $2, $3 FROM alerts
         WHERE alert_id = $1 AND workspace = $4 AND state IN ('resolved', 'dismissed', 'snoozed')",
    )
    .bind(&escalation.alert_id)
    .bind(format!("escalated to {}", escalation.severity))
    .bind(now.timestamp_micros())
    .bind(workspace.as_str())
    .execute(tx)
    .await?;
    query(
        "UPDATE alerts SET state = 'open'
         WHERE alert_id = $1 AND workspace = $2 AND state IN ('resolved', 'dismissed', 'snoozed')",
    )
    .bind(&escalation.alert_id)
    .bind(workspace.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

async fn insert_alerts(
    tx: &mut Tx,
    workspace: &Workspace,
    run_id: &str,
    now: Timestamp,
    alerts: &[NewAlert],
) -> Result<u64> {
    bulk::insert(
        tx,
        "alerts (alert_id, workspace, rule, severity, marketplace, asin, day, object, message, evidence,
         state, historical, superseded, run_id, recorded_at)",
        " ON CONFLICT (alert_id) DO NOTHING",
        alerts,
        |values, alert| {
            values
                .push_bind(alert.alert_id.as_str())
                .push_bind(workspace.as_str().to_owned())
                .push_bind(alert.rule.as_str())
                .push_bind(alert.severity.as_str())
                .push_bind(alert.marketplace.as_str())
                .push_bind(alert.asin.as_str())
                .push_bind(alert.day.to_string())
                .push_bind(alert.object.as_str())
                .push_bind(alert.message.as_str())
                .push_bind(alert.evidence.as_str())
                .push_bind("open")
                .push_bind(alert.historical)
                .push_bind("")
                .push_bind(run_id.to_owned())
                .push_bind(now.timestamp_micros());
        },
    )
    .await
}

fn judged_alert(row: &Row) -> Result<JudgedAlert> {
    Ok(JudgedAlert {
        alert_id: row.try_get("alert_id")?,
        rule: listed(row, "alerts", "rule", Rule::from_word)?,
        severity: listed(row, "alerts", "severity", Severity::from_word)?,
        marketplace: row.try_get("marketplace")?,
        asin: row.try_get("asin")?,
        day: word(row, "alerts", "day")?,
        message: row.try_get("message")?,
        evidence: row.try_get("evidence")?,
        superseded: row.try_get("superseded")?,
    })
}

fn alert_record(row: &Row) -> Result<AlertRecord> {
    let evidence: String = row.try_get("evidence")?;
    Ok(AlertRecord {
        alert_id: row.try_get("alert_id")?,
        rule: listed(row, "alerts", "rule", Rule::from_word)?,
        severity: listed(row, "alerts", "severity", Severity::from_word)?,
        marketplace: row.try_get("marketplace")?,
        asin: row.try_get("asin")?,
        day: word(row, "alerts", "day")?,
        object: row.try_get("object")?,
        message: row.try_get("message")?,
        evidence: serde_json::from_str(&evidence).map_err(|_| unreadable("alerts", "evidence", evidence))?,
        state: listed(row, "alerts", "state", AlertState::from_word)?,
        historical: row.try_get("historical")?,
        superseded: row.try_get("superseded")?,
        run_id: row.try_get("run_id")?,
        recorded_at: instant(row, "alerts", "recorded_at")?,
    })
}
