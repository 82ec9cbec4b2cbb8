//! What the store tells of its own changes: an alert that was resolved, an incident that was opened, a run that ended, a
//! report that was stored. Ids are made of what happened, so the same news is one event.
//!
//! Every payload has `schema`, `event_id`, `event_type`, `workspace`, and `message`: one plain sentence for people.

use serde::Serialize;
use serde_json::{Value, json};

use super::audience::About;
use crate::error::Outcome;
use crate::ids::stable_id;
use crate::model::{Timestamp, Workspace};
use crate::store::alerts::NewEvent;
use crate::store::columns::to_json;
use crate::store::drift::NewIncident;
use crate::store::gate::{GATE, NewGateIncident};
use crate::store::ops::RunStart;
use crate::store::reports::ReportRow;

/// The schema of what is told of incidents, of runs, and of reports.
const INCIDENT_SCHEMA: &str = "amzctl.incident-event/1";
const RUN_SCHEMA: &str = "amzctl.run-event/1";
const REPORT_SCHEMA: &str = "amzctl.report-event/1";

/// An incident of a source, or of what was found about it.
pub(crate) fn incident_opened(workspace: &Workspace, incident: &NewIncident, at: Timestamp) -> NewEvent {
    let own = json!({
        "incident_id": incident.incident_id,
        "kind": incident.kind,
        "source": incident.source,
        "field": known(&incident.field),
        "reason": incident.reason,
        "marketplace": null,
        "day": incident.day,
        "opened_at": instant(at),
        "message": incident.detail,
    });
    opened(workspace, &incident.incident_id, About { day: incident.day.to_string(), ..About::default() }, own)
}

/// An incident of the quality gate: findings are held back.
pub(crate) fn gate_tripped(workspace: &Workspace, incident: &NewGateIncident, at: Timestamp) -> NewEvent {
    let own = json!({
        "incident_id": incident.incident_id,
        "kind": GATE,
        "source": null,
        "field": null,
        "reason": incident.reason.as_str(),
        "marketplace": known(&incident.marketplace),
        "day": incident.day,
        "opened_at": instant(at),
        "message": format!("findings are held back: {}", incident.detail),
    });
    let (marketplace, day) = (incident.marketplace.clone(), incident.day.to_string());
    opened(workspace, &incident.incident_id, About { marketplace, day, ..About::default() }, own)
}

/// One event for each incident, however often it is found.
fn opened(workspace: &Workspace, incident_id: &str, about: About, own: Value) -> NewEvent {
    const TYPE: &str = "incident.opened";
    let event_id = stable_id(&[TYPE, workspace.as_str(), incident_id]);
    let payload = payload((INCIDENT_SCHEMA, &event_id, TYPE, workspace), own);
    NewEvent { event_id, event_type: TYPE, alert_id: String::new(), about, payload }
}

/// A run that ended: `run.failed` where what it was for did not happen, else `run.finished`.
pub(crate) fn run_ended(
    workspace: &Workspace,
    run: &RunStart,
    finished_at: Timestamp,
    exit_code: u8,
    summary: &Value,
) -> NewEvent {
    let outcome = Outcome::from_exit_code(exit_code);
    let is_finished = matches!(
        outcome,
        Some(
            Outcome::Done | Outcome::Found | Outcome::PartlyFailed | Outcome::Stale | Outcome::BudgetReached
        )
    );
    let event_type = if is_finished { "run.finished" } else { "run.failed" };
    let event_id = stable_id(&["run.ended", workspace.as_str(), &run.run_id]);
    let error = summary.get("error").and_then(Value::as_str);
    let what = if is_finished { "finished" } else { "failed" };
    let why = error.map_or_else(String::new, |error| format!(": {error}"));
    let payload = payload(
        (RUN_SCHEMA, &event_id, event_type, workspace),
        json!({
            "run_id": run.run_id,
            "command": run.command,
            "host": run.host,
            "started_at": instant(run.started_at),
            "finished_at": instant(finished_at),
            "exit_code": exit_code,
            "outcome": outcome.map(Outcome::code),
            "error": error,
            "message": format!("amzctl {} {what} with exit code {exit_code}{why}", run.command),
        }),
    );
    of_no_alert(event_id, event_type, String::new(), payload)
}

/// A report that was stored.
pub(crate) fn report_published(report: &ReportRow) -> NewEvent {
    let event_id = stable_id(&["report.published", &report.report_id]);
    let as_of = report.as_of.to_string();
    let payload = payload(
        (REPORT_SCHEMA, &event_id, "report.published", &report.workspace),
        json!({
            "report_id": report.report_id,
            "subject": report.subject,
            "as_of": as_of,
            "format": report.format,
            "path": known(&report.path),
            "size_bytes": report.size_bytes,
            "evidence_hash": report.evidence_hash,
            "published_at": instant(report.created_at),
            "message": format!("report on {} as of {as_of}", report.subject),
        }),
    );
    of_no_alert(event_id, "report.published", as_of, payload)
}

fn of_no_alert(event_id: String, event_type: &'static str, day: String, payload: String) -> NewEvent {
    let about = About { day, ..About::default() };
    NewEvent { event_id, event_type, alert_id: String::new(), about, payload }
}

/// The fields that every payload begins with, and its own.
fn payload((schema, event_id, event_type, workspace): (&str, &str, &str, &Workspace), own: Value) -> String {
    #[derive(Serialize)]
    struct Payload<'a> {
        schema: &'a str,
        event_id: &'a str,
        event_type: &'a str,
        workspace: &'a str,
        #[serde(flatten)]
        own: Value,
    }
    to_json(&Payload { schema, event_id, event_type, workspace: workspace.as_str(), own })
}

fn known(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn instant(at: Timestamp) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}
