//! Alerts: what was found of products and sources.
//!
//! `states` is what people and time do with an alert, `events` what is told of it, `summary` what came of many. Findings
//! that the quality gate holds back are no alerts yet: `store::gate`.

mod events;
mod states;
mod summary;

pub use events::AlertNews;
pub(super) use states::{AMZCTL, change_alert, new_alert, record_change};
pub use states::{AlertChange, AlertState, StateChange, Transition};
pub use summary::{AlertCourse, Noisy, SummaryRow, noisiest, summarise};

use super::columns::{self, instant, known_instant, listed, to_json, unreadable, word};
use super::db::{Row, bulk, query, query_scalar};
use super::gate::{self, Decided, Decision, HeldFinding, HeldNote, NewGateIncident};
use super::ops::set_mark;
use super::outbox::{About, Subscriber, gravity, heard, insert_events};
use super::{Result, Store, Tx};
use crate::model::{Asin, Day, DayRange, Marketplace, Timestamp, Workspace};
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
    /// One JSON object. With the product's title in it, every attempt at delivery sends these bytes.
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
    /// (alert id, what cleared it): resolved by amzctl, where somebody has not ended it before.
    pub cleared: Vec<(String, String)>,
    /// On what was held back before.
    pub decided: Vec<Decision>,
    /// On what goes on being held back.
    pub noted: Vec<HeldNote>,
    /// Incidents of the quality gate.
    pub incidents: Vec<NewGateIncident>,
    /// Findings that they hold back.
    pub held: Vec<HeldFinding>,
    /// On those of `held` that are refuted already.
    pub refuted: Vec<Decision>,
    /// In the order in which they are to be delivered. Those of what is cleared are not among them.
    pub events: Vec<NewEvent>,
}

impl AlertBatch {
    pub fn is_empty(&self) -> bool {
        self.opened.is_empty()
            && self.escalated.is_empty()
            && self.superseded.is_empty()
            && self.cleared.is_empty()
            && self.decided.is_empty()
            && self.noted.is_empty()
            && self.incidents.is_empty()
            && self.held.is_empty()
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
    /// Of a snoozed alert: when it is open again.
    pub snoozed_until: Option<Timestamp>,
    pub historical: bool,
    pub superseded: String,
    pub run_id: String,
    pub recorded_at: Timestamp,
    /// The newest change of its state: why it is what it is. Null where it was never changed.
    pub last_change: Option<AlertChange>,
}

/// Which alerts to list; an empty list means all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AlertFilter {
    pub states: Vec<AlertState>,
    pub severities: Vec<Severity>,
    pub rules: Vec<Rule>,
    pub marketplace: Option<Marketplace>,
    pub asin: Option<Asin>,
    /// Of products of this brand, in whatever letters.
    pub brand: Option<String>,
    /// Of products that the workspace watches with this tag.
    pub tag: Option<String>,
    /// The first day.
    pub since: Option<Day>,
    /// Only those that come behind this one.
    pub after: Option<AlertPlace>,
    pub limit: Option<u32>,
}

/// Where an alert is in the order of [`Store::list_alerts`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlertPlace {
    pub day: Day,
    pub severity: Severity,
    pub marketplace: String,
    pub asin: String,
    pub rule: String,
    pub object: String,
    pub alert_id: String,
}

impl From<&AlertRecord> for AlertPlace {
    fn from(alert: &AlertRecord) -> AlertPlace {
        AlertPlace {
            day: alert.day,
            severity: alert.severity,
            marketplace: alert.marketplace.clone(),
            asin: alert.asin.clone(),
            rule: alert.rule.as_str().to_owned(),
            object: alert.object.clone(),
            alert_id: alert.alert_id.clone(),
        }
    }
}

/// An alert with the newest change of its state.
macro_rules! alerts_with_change {
    () => {
        "SELECT a.*, c.from_state, c.to_state, c.actor, c.note, c.until, c.changed_at
         FROM alerts a LEFT JOIN alert_changes c
           ON c.change_id = (SELECT MAX(l.change_id) FROM alert_changes l WHERE l.alert_id = a.alert_id)
         WHERE a.workspace = $1"
    };
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

    /// Writes alerts, what the gate holds back and what is decided of that, their events and one delivery per event and
    /// subscriber who hears of it, and with `judged_through` moves the mark, all in one transaction; answers what became of
    /// findings that were held back. Writing the same batch again changes nothing.
    pub async fn commit_alerts(
        &self,
        workspace: &Workspace,
        run_id: &str,
        now: Timestamp,
        batch: &AlertBatch,
        subscribers: &[Subscriber],
        judged_through: Option<i64>,
    ) -> Result<Decided> {
        let mut tx = self.begin().await?;
        let by = gate::By { workspace, actor: AMZCTL, now };
        let (mut decided, mut events) = gate::decide(&mut tx, &batch.decided, by).await?;
        insert_alerts(&mut tx, workspace, run_id, now, &batch.opened).await?;
        for escalation in &batch.escalated {
            escalate(&mut tx, workspace, now, escalation).await?;
        }
        for (alert_id, note) in &batch.superseded {
            query("UPDATE alerts SET superseded = $2 WHERE alert_id = $1 AND workspace = $3")
                .bind(alert_id)
                .bind(note)
                .bind(workspace.as_str())
                .execute(&mut tx)
                .await?;
        }
        events.extend_from_slice(&batch.events);
        let cleared = states::clear(&mut tx, workspace, now, &batch.cleared).await?;
        events.extend(heard(workspace, cleared, subscribers));
        let incidents = gate::hold(&mut tx, workspace, run_id, now, batch).await?;
        events.extend(heard(workspace, incidents, subscribers));
        let (refuted, _) = gate::decide(&mut tx, &batch.refuted, by).await?;
        decided.dropped += refuted.dropped;
        let contradicted = gate::contradicted(&mut tx, by, batch).await?;
        events.extend(heard(workspace, contradicted, subscribers));
        insert_events(&mut tx, workspace, now, &events, subscribers).await?;
        if let Some(seq) = judged_through {
            set_mark(&mut tx, &judged_mark(workspace), seq).await?;
        }
        crate::failpoint!("alert.before_commit");
        tx.commit().await?;
        crate::failpoint!("alert.after_commit");
        Ok(decided)
    }

    /// Alerts that pass the filter, newest day first, then by severity.
    pub async fn list_alerts(&self, workspace: &Workspace, filter: &AlertFilter) -> Result<Vec<AlertRecord>> {
        let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
        let severities: Vec<&str> = filter.severities.iter().map(|severity| severity.as_str()).collect();
        let rules: Vec<&str> = filter.rules.iter().map(|rule| rule.as_str()).collect();
        let brands = match &filter.brand {
            Some(brand) => Some(to_json(&self.spellings_of(brand).await?)),
            None => None,
        };
        let tagged = match &filter.tag {
            Some(tag) => Some(to_json(&self.tagged_products(workspace, tag).await?)),
            None => None,
        };
        let rows = query(concat!(
            alerts_with_change!(),
            "  AND ($2 = '[]' OR a.state IN (SELECT value FROM json_each($2)))
               AND ($3 = '[]' OR a.severity IN (SELECT value FROM json_each($3)))
               AND ($4 = '[]' OR a.rule IN (SELECT value FROM json_each($4)))
               AND ($5 IS NULL OR a.marketplace = $5) AND ($6 IS NULL OR a.asin = $6)
               AND ($7 IS NULL OR a.day >= $7)
               AND ($9 IS NULL OR EXISTS (SELECT 1 FROM products p WHERE p.marketplace = a.marketplace
                 AND p.asin = a.asin AND p.brand IN (SELECT value FROM json_each($9))))
               AND ($10 IS NULL OR a.marketplace || ':' || a.asin IN (SELECT value FROM json_each($10)))
               AND ($11 IS NULL OR a.day < $11 OR (a.day = $11 AND (",
            columns::gravity!("a.severity"),
            ", a.marketplace, a.asin, a.rule, a.object, a.alert_id) > ($12, $13, $14, $15, $16, $17)))
             ORDER BY a.day DESC, ",
            columns::gravity!("a.severity"),
            ", a.marketplace, a.asin, a.rule, a.object, a.alert_id LIMIT $8"
        ))
        .bind(workspace.as_str())
        .bind(to_json(&states))
        .bind(to_json(&severities))
        .bind(to_json(&rules))
        .bind(filter.marketplace.map(Marketplace::code))
        .bind(filter.asin.map(|asin| asin.to_string()))
        .bind(filter.since.map(|day| day.to_string()))
        .bind(filter.limit.map_or(i64::MAX, i64::from))
        .bind(brands)
        .bind(tagged)
        .bind(filter.after.as_ref().map(|after| after.day.to_string()))
        .bind(filter.after.as_ref().map(|after| gravity(Some(after.severity))))
        .bind(filter.after.as_ref().map(|after| after.marketplace.as_str()))
        .bind(filter.after.as_ref().map(|after| after.asin.as_str()))
        .bind(filter.after.as_ref().map(|after| after.rule.as_str()))
        .bind(filter.after.as_ref().map(|after| after.object.as_str()))
        .bind(filter.after.as_ref().map(|after| after.alert_id.as_str()))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(alert_record).collect()
    }

    /// The brand as the products write it.
    pub(super) async fn spellings_of(&self, brand: &str) -> Result<Vec<String>> {
        let wanted = brand.to_lowercase();
        let brands: Vec<String> = query_scalar("SELECT DISTINCT brand FROM products WHERE brand IS NOT NULL")
            .fetch_all(self.reader())
            .await?;
        Ok(brands.into_iter().filter(|brand| brand.to_lowercase() == wanted).collect())
    }

    async fn tagged_products(&self, workspace: &Workspace, tag: &str) -> Result<Vec<String>> {
        let watched = self.load_watchlist(workspace).await?.into_iter().map(|watched| watched.item);
        let tagged = watched.filter(|item| item.tags.iter().any(|own| own == tag));
        Ok(tagged.map(|item| item.key.to_string()).collect())
    }

    /// Alerts whose id begins with `prefix`, at most ten, sorted.
    pub async fn find_alerts(&self, workspace: &Workspace, prefix: &str) -> Result<Vec<AlertRecord>> {
        let rows = query(concat!(
            alerts_with_change!(),
            " AND a.alert_id >= $2 AND a.alert_id < $3 ORDER BY a.alert_id LIMIT 10"
        ))
        .bind(workspace.as_str())
        .bind(prefix)
        // Ids are hexadecimal: every one that begins with the prefix sorts before this.
        .bind(format!("{prefix}g"))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(alert_record).collect()
    }
}

/// Makes an alert more severe; one that is told is open again.
pub(super) async fn escalate(
    tx: &mut Tx,
    workspace: &Workspace,
    now: Timestamp,
    escalation: &Escalation,
) -> Result<()> {
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
    .execute(&mut *tx)
    .await?;
    if escalation.is_told {
        states::reopen(tx, workspace, now, escalation).await?;
    }
    Ok(())
}

pub(super) async fn insert_alerts(
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
    let is_changed = row.try_get::<Option<i64>, _>("changed_at")?.is_some();
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
        snoozed_until: known_instant(row, "alerts", "snoozed_until")?,
        historical: row.try_get("historical")?,
        superseded: row.try_get("superseded")?,
        run_id: row.try_get("run_id")?,
        recorded_at: instant(row, "alerts", "recorded_at")?,
        last_change: is_changed.then(|| states::alert_change(row)).transpose()?,
    })
}
