//! Alerts as rows and as documents, for the command line and for serve-lite.

use serde_json::{Value, json};

use crate::render::rows::{Cell, Rows, instant, known};
use crate::store::alerts::{AlertChange, AlertRecord};
use crate::store::export::FieldKind::{self, Bool, Instant, Json, Text};
use crate::store::outbox::DeliveryRecord;

/// The columns of an alert.
pub(crate) const ALERT_COLUMNS: [(&str, FieldKind); 18] = [
    ("alert_id", Text),
    ("severity", Text),
    ("rule", Text),
    ("marketplace", Text),
    ("asin", Text),
    ("day", Text),
    ("object", Text),
    ("message", Text),
    ("state", Text),
    ("historical", Bool),
    ("superseded", Text),
    ("evidence", Json),
    ("run_id", Text),
    ("recorded_at", Instant),
    ("snoozed_until", Instant),
    ("changed_at", Instant),
    ("changed_by", Text),
    ("note", Text),
];

/// Every column of these alerts.
pub(crate) fn alert_rows(alerts: &[AlertRecord]) -> Rows {
    let mut rows = Rows::new("amzctl.alert-list/1", &ALERT_COLUMNS.map(|(name, _)| name));
    for alert in alerts {
        let change = alert.last_change.as_ref();
        rows.push(vec![
            alert.alert_id.as_str().into(),
            alert.severity.as_str().into(),
            alert.rule.as_str().into(),
            known(&alert.marketplace),
            known(&alert.asin),
            alert.day.into(),
            known(&alert.object),
            alert.message.as_str().into(),
            alert.state.as_str().into(),
            alert.historical.into(),
            known(&alert.superseded),
            alert.evidence.clone().into(),
            alert.run_id.as_str().into(),
            alert.recorded_at.into(),
            alert.snoozed_until.into(),
            change.map(|change| change.changed_at).into(),
            change.map(|change| change.actor.as_str()).into(),
            change.map_or(Cell::Null, |change| known(&change.note)),
        ]);
    }
    rows
}

/// One alert with everything known of it.
pub(crate) fn alert_document(
    alert: &AlertRecord,
    changes: &[AlertChange],
    deliveries: &[DeliveryRecord],
) -> Value {
    let word = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
    json!({
        "schema": "amzctl.alert/1",
        "alert_id": alert.alert_id,
        "rule": alert.rule.as_str(),
        "severity": alert.severity.as_str(),
        "marketplace": word(&alert.marketplace),
        "asin": word(&alert.asin),
        "day": alert.day,
        "object": word(&alert.object),
        "message": alert.message,
        "evidence": alert.evidence,
        "state": alert.state.as_str(),
        "snoozed_until": alert.snoozed_until.map(instant),
        "historical": alert.historical,
        "superseded": word(&alert.superseded),
        "run_id": alert.run_id,
        "recorded_at": instant(alert.recorded_at),
        "changes": changes.iter().map(change_document).collect::<Vec<_>>(),
        "deliveries": deliveries.iter().map(delivery_document).collect::<Vec<_>>(),
    })
}

pub(crate) fn change_document(change: &AlertChange) -> Value {
    json!({
        "from_state": change.from_state,
        "to_state": change.to_state,
        "actor": change.actor,
        "note": change.note,
        "until": change.until.map(instant),
        "changed_at": instant(change.changed_at),
    })
}

fn delivery_document(delivery: &DeliveryRecord) -> Value {
    json!({
        "event_id": delivery.event_id,
        "event_type": delivery.event_type,
        "channel": delivery.channel,
        "recipient": delivery.recipient,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "next_attempt_at": (delivery.state == "pending").then(|| instant(delivery.next_attempt_at)),
        "last_error": delivery.last_error,
        "delivered_at": delivery.delivered_at.map(instant),
    })
}
