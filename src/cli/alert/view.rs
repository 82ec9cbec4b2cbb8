//! Alerts as rows, as one document, and as text.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::context::Context;
pub(super) use crate::ids::{SHORT_ID, short_id};
use crate::notify::ONLY_RECIPIENT;
use crate::render::rows::{self, Format, Rows, instant_to_second, printable};
use crate::rollup::rules::RuleSet;
use crate::stages::alert::Summary;
pub(in crate::cli) use crate::stages::alert_view::change_document;
pub(super) use crate::stages::alert_view::{alert_document, alert_rows};
use crate::store::alerts::{AlertChange, AlertRecord};
use crate::store::outbox::DeliveryRecord;

/// What fits a terminal.
pub(super) fn short_rows(alerts: &[AlertRecord]) -> Rows {
    let mut rows =
        Rows::new("amzctl.alert-list/1", &["id", "day", "severity", "product", "state", "message"])
            .wrapping();
    for alert in alerts {
        let told = if alert.historical { "old, " } else { "" };
        rows.push(vec![
            short_id(&alert.alert_id).into(),
            alert.day.into(),
            alert.severity.as_str().into(),
            product(&alert.marketplace, &alert.asin).into(),
            format!("{told}{}", alert.state.as_str()).into(),
            match alert.last_change {
                Some(_) => format!("{} ({})", alert.message, state_line(alert)).into(),
                None => alert.message.as_str().into(),
            },
        ]);
    }
    rows
}

/// The state and why it is so: `snoozed until 2026-03-04T00:00:00Z, by ada at 2026-03-01T12:00:00Z: a sale`.
pub(in crate::cli) fn state_line(alert: &AlertRecord) -> String {
    let until =
        alert.snoozed_until.map_or_else(String::new, |at| format!(" until {}", instant_to_second(at)));
    let why = alert.last_change.as_ref().map_or_else(String::new, |change| {
        let note = if change.note.is_empty() { String::new() } else { format!(": {}", change.note) };
        let separator = if until.is_empty() { "" } else { "," };
        format!("{separator} by {} at {}{note}", change.actor, instant_to_second(change.changed_at))
    });
    format!("{}{until}{why}", alert.state.as_str())
}

/// One row per rule and severity.
pub(super) fn rule_rows(set: &RuleSet) -> Rows {
    let mut rows = Rows::new(
        "amzctl.alert-rules/1",
        &["rule_set", "rule", "severity", "above", "min_known_days", "condition"],
    );
    for spec in &set.rules {
        for step in &spec.steps {
            rows.push(vec![
                set.name.into(),
                spec.rule.as_str().into(),
                step.severity.as_str().into(),
                spec.rule.shown(step.above).to_string().into(),
                spec.min_known_days.into(),
                set.condition(spec, step).into(),
            ]);
        }
    }
    rows
}

/// What fits a terminal.
pub(super) fn short_rule_rows(set: &RuleSet) -> Rows {
    let mut rows = Rows::new("amzctl.alert-rules/1", &["rule", "severity", "condition"]).wrapping();
    for spec in &set.rules {
        for step in &spec.steps {
            let condition = set.condition(spec, step);
            rows.push(vec![spec.rule.as_str().into(), step.severity.as_str().into(), condition.into()]);
        }
    }
    rows
}

/// Prints what a dry run would have fired.
pub(super) fn print_fired(summary: &Summary, json: bool, context: &Context) -> anyhow::Result<()> {
    let mut rows = Rows::new(
        "amzctl.alert-findings/1",
        &["day", "severity", "product", "rule", "historical", "escalated", "message"],
    )
    .wrapping();
    for fired in &summary.fired {
        let finding = &fired.finding;
        rows.push(vec![
            finding.day.into(),
            finding.severity.as_str().into(),
            finding.product.into(),
            finding.rule.as_str().into(),
            (!fired.is_told).into(),
            fired.escalated.into(),
            finding.message.as_str().into(),
        ]);
    }
    let format = if json { Format::Ndjson } else { Format::Table };
    if !rows.is_empty() {
        context.ui.data(&rows::render(&rows, format, None, context.ui.table_width)?);
    }
    Ok(())
}

/// The same for a person at a terminal.
pub(super) fn alert_text(
    alert: &AlertRecord,
    changes: &[AlertChange],
    deliveries: &[DeliveryRecord],
) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(out, "{name:<12}{}", printable(value));
        }
    };
    line("alert", &alert.alert_id);
    line("", &format!("{} {}", alert.severity.as_str().to_uppercase(), alert.message));
    line("product", &product(&alert.marketplace, &alert.asin));
    line("rule", alert.rule.as_str());
    line("day", &alert.day.to_string());
    line("object", &alert.object);
    line("state", &state_line(alert));
    line("historical", if alert.historical { "yes: of a day too old to be told" } else { "" });
    line("superseded", &alert.superseded);
    line("found", &format!("{} by run {}", instant_to_second(alert.recorded_at), alert.run_id));
    for (name, shown) in evidence_lines(&alert.evidence) {
        line("evidence", &format!("{name} = {shown}"));
    }
    for change in changes {
        line("change", &change_line(change));
    }
    for delivery in deliveries {
        let when = delivery.delivered_at.map_or_else(String::new, |at| format!(" {}", instant_to_second(at)));
        let error = if delivery.last_error.is_empty() {
            String::new()
        } else {
            format!(" ({})", delivery.last_error)
        };
        let said = format!(
            "{} to {}: {}{when}{error}",
            delivery.event_type,
            addressed(&delivery.channel, &delivery.recipient),
            delivery.state
        );
        line("delivery", &said);
    }
    out
}

/// `2026-03-01T12:00:00Z open → snoozed until 2026-03-04T00:00:00Z by ada: a sale`.
pub(in crate::cli) fn change_line(change: &AlertChange) -> String {
    let AlertChange { from_state, to_state, actor, .. } = change;
    let until = change.until.map_or_else(String::new, |until| format!(" until {}", instant_to_second(until)));
    let note = if change.note.is_empty() { String::new() } else { format!(": {}", change.note) };
    format!("{} {from_state} → {to_state}{until} by {actor}{note}", instant_to_second(change.changed_at))
}

/// What a rule looked at, as (name, text).
pub(in crate::cli) fn evidence_lines(evidence: &Value) -> Vec<(&str, String)> {
    // Amounts are there twice: as minor units, and readable under the name without them.
    let is_shown_as_money =
        |name: &str| name.strip_suffix("_minor").is_some_and(|name| evidence.get(name).is_some());
    let fields = evidence.as_object().into_iter().flatten();
    fields
        .filter(|(name, _)| !is_shown_as_money(name))
        .map(|(name, value)| (name.as_str(), evidence_text(value)))
        .collect()
}

fn evidence_text(value: &Value) -> String {
    match (value, value.get("amount"), value.get("currency")) {
        (Value::Array(values), ..) => values.iter().map(evidence_text).collect::<Vec<_>>().join(", "),
        (_, Some(Value::String(amount)), Some(Value::String(currency))) => format!("{amount} {currency}"),
        (Value::String(text), ..) => text.clone(),
        (Value::Null, ..) => "unknown".to_owned(),
        (Value::Number(number), ..) if number.is_f64() => {
            number.as_f64().map_or_else(|| number.to_string(), |number| format!("{number:.2}"))
        }
        (other, ..) => other.to_string(),
    }
}

pub(super) fn product(marketplace: &str, asin: &str) -> String {
    if asin.is_empty() { String::new() } else { format!("{marketplace}:{asin}") }
}

/// The channel and who is told through it, where it has several.
pub(super) fn addressed(channel: &str, recipient: &str) -> String {
    if recipient == ONLY_RECIPIENT { channel.to_owned() } else { format!("{channel} {recipient}") }
}
