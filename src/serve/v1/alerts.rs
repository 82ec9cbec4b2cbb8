//! Alerts: the list, one of them, and what people do with them.

use chrono::Duration;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::Timestamp;
use crate::render::rows::instant;
use crate::rollup::rules::{Rule, Severity};
use crate::serve::Tables;
use crate::serve::answer::{Columns, Data, Output, Table, columns as of};
use crate::serve::call::Call;
use crate::serve::pipeline::request_sha256;
use crate::serve::problem::{Kind, Problem};
use crate::stages::alert_view::{ALERT_COLUMNS, alert_document, alert_rows};
use crate::store::alerts::{AlertFilter, AlertPlace, AlertRecord, AlertState, StateChange, Transition};
use crate::store::requests::{KeptAnswer, Once, WriteRequest};

/// Digits of an alert's id.
const ID: usize = 32;
/// The longest note.
const LONGEST_NOTE: usize = 2_000;
/// The longest snooze, in seconds: ten years.
const LONGEST_SNOOZE: u64 = 10 * 366 * 86_400;

pub(in crate::serve) fn columns(_: &Tables) -> Columns {
    of(&ALERT_COLUMNS)
}

pub(in crate::serve) async fn list(call: Call) -> Result<Output, Problem> {
    let limit = call.limit()?;
    let filter = AlertFilter {
        states: call.words("state", AlertState::from_word)?,
        severities: call.words("severity", Severity::from_word)?,
        rules: call.words("rule", Rule::from_word)?,
        marketplace: call.marketplace()?,
        asin: call.parsed("asin", "an ASIN, ten letters or digits")?,
        brand: call.text("brand").map(str::to_owned),
        tag: call.text("tag").map(str::to_owned),
        since: call.day("since")?,
        after: call.place()?.map(read_place).transpose()?,
        // One more than is shown tells whether there is a next page.
        limit: Some(limit + 1),
    };
    let mut alerts = call.app.store.list_alerts(&call.caller.workspace, &filter).await?;
    let has_more = alerts.len() > limit as usize;
    alerts.truncate(limit as usize);
    let next = alerts.last().filter(|_| has_more).map(|last| call.cursor(&written_place(&last.into())));
    Ok(Output::from(Table::of_rows(columns(&call.app.tables), alert_rows(&alerts))).next(next))
}

fn written_place(place: &AlertPlace) -> [String; 7] {
    [
        place.day.to_string(),
        place.severity.as_str().to_owned(),
        place.marketplace.clone(),
        place.asin.clone(),
        place.rule.clone(),
        place.object.clone(),
        place.alert_id.clone(),
    ]
}

fn read_place(parts: [String; 7]) -> Result<AlertPlace, Problem> {
    let wrong = || Problem::new(Kind::InvalidCursor, "it is of another version: begin with the first page");
    let [day, severity, marketplace, asin, rule, object, alert_id] = parts;
    Ok(AlertPlace {
        day: day.parse().map_err(|_| wrong())?,
        severity: Severity::from_word(&severity).ok_or_else(wrong)?,
        marketplace,
        asin,
        rule,
        object,
        alert_id,
    })
}

pub(in crate::serve) fn schema() -> Value {
    json!({
        "type": "object",
        "description": "As `amzctl alert show --json` prints it",
        "required": ["schema", "alert_id", "rule", "severity", "day", "message", "evidence", "state", "changes", "deliveries"],
        "properties": {
            "schema": { "type": "string", "const": "amzctl.alert/1" },
            "alert_id": { "type": "string" },
            "rule": { "type": "string" },
            "severity": { "type": "string" },
            "marketplace": { "type": ["string", "null"] },
            "asin": { "type": ["string", "null"] },
            "day": { "type": "string", "format": "date" },
            "object": { "type": ["string", "null"] },
            "message": { "type": "string" },
            "evidence": {},
            "state": { "type": "string" },
            "snoozed_until": { "type": ["string", "null"], "format": "date-time" },
            "historical": { "type": "boolean" },
            "superseded": { "type": ["string", "null"] },
            "run_id": { "type": "string" },
            "recorded_at": { "type": "string", "format": "date-time" },
            "changes": { "type": "array", "items": { "type": "object" } },
            "deliveries": { "type": "array", "items": { "type": "object" } },
        },
    })
}

pub(in crate::serve) async fn one(call: Call) -> Result<Output, Problem> {
    let alert = named(&call).await?;
    let workspace = &call.caller.workspace;
    let changes = call.app.store.load_alert_changes(workspace, &alert.alert_id).await?;
    let deliveries = call.app.store.load_deliveries(workspace, &alert.alert_id).await?;
    Ok(Data::Document(alert_document(&alert, &changes, &deliveries)).into())
}

async fn named(call: &Call) -> Result<AlertRecord, Problem> {
    let id = call.part("alert");
    let none = || Problem::not_found(format!("alert `{id}`"));
    if id.len() != ID {
        return Err(none());
    }
    let found = call.app.store.find_alerts(&call.caller.workspace, id).await?;
    found.into_iter().find(|alert| alert.alert_id == id).ok_or_else(none)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Snooze {
    #[serde(default)]
    note: String,
    until: Option<Timestamp>,
    for_s: Option<u64>,
}

pub(in crate::serve) fn note_schema() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "note": { "type": "string", "maxLength": LONGEST_NOTE, "description": "Why, or what was done" },
        },
    })
}

pub(in crate::serve) fn snooze_schema() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "description": "Either `until` or `for_s`",
        "properties": {
            "note": { "type": "string", "maxLength": LONGEST_NOTE, "description": "Why" },
            "until": { "type": "string", "format": "date-time" },
            "for_s": { "type": "integer", "minimum": 1, "maximum": LONGEST_SNOOZE, "description": "For so many seconds" },
        },
        "oneOf": [{ "required": ["until"] }, { "required": ["for_s"] }],
    })
}

pub(in crate::serve) fn changed_schema() -> Value {
    json!({
        "type": "object",
        "required": ["alert_id", "state", "changed"],
        "properties": {
            "alert_id": { "type": "string" },
            "state": { "type": "string" },
            "changed": { "type": "boolean", "description": "False where it was so already" },
            "snoozed_until": { "type": ["string", "null"], "format": "date-time" },
        },
    })
}

pub(in crate::serve) async fn acknowledge(call: Call) -> Result<Output, Problem> {
    let Note { note } = call.json()?;
    change(&call, "alert.acknowledge", AlertState::Acknowledged, &note, None).await
}

pub(in crate::serve) async fn resolve(call: Call) -> Result<Output, Problem> {
    let Note { note } = call.json()?;
    change(&call, "alert.resolve", AlertState::Resolved, &note, None).await
}

pub(in crate::serve) async fn dismiss(call: Call) -> Result<Output, Problem> {
    let Note { note } = call.json()?;
    change(&call, "alert.dismiss", AlertState::Dismissed, &note, None).await
}

pub(in crate::serve) async fn snooze(call: Call) -> Result<Output, Problem> {
    let Snooze { note, until, for_s } = call.json()?;
    let now = call.app.options.clock.now();
    let until = match (until, for_s) {
        (Some(until), None) => until,
        (None, Some(seconds @ 1..=LONGEST_SNOOZE)) => now + Duration::seconds(seconds as i64),
        (None, Some(_)) => return Err(Problem::new(Kind::InvalidBody, "`for_s` is 1 to ten years")),
        _ => return Err(Problem::new(Kind::InvalidBody, "either `until` or `for_s` is needed")),
    };
    if until <= now || until > now + Duration::seconds(LONGEST_SNOOZE as i64) {
        return Err(Problem::new(Kind::InvalidBody, "`until` has to be within the next ten years"));
    }
    change(&call, "alert.snooze", AlertState::Snoozed, &note, Some(until)).await
}

async fn change(
    call: &Call,
    action: &'static str,
    to: AlertState,
    note: &str,
    until: Option<Timestamp>,
) -> Result<Output, Problem> {
    if note.chars().count() > LONGEST_NOTE || note.contains('\0') {
        return Err(Problem::new(Kind::InvalidBody, format!("`note` has at most {LONGEST_NOTE} characters")));
    }
    let alert = named(call).await?;
    let (actor, request_sha256) = (call.caller.actor(), request_sha256(call));
    let request = WriteRequest {
        workspace: &call.caller.workspace,
        key_id: call.caller.key_id(),
        actor: &actor,
        request_id: &call.request_id,
        idempotency_key: call.idempotency_key.as_deref(),
        request_sha256: &request_sha256,
        action,
        object: &alert.alert_id,
        now: call.app.options.clock.now(),
    };
    let transition = Transition { to, until, actor: &actor, note };
    let answer = |change| answer(&alert.alert_id, to, until, change);
    let subscribers = &call.app.options.subscribers;
    let once = call.app.store.change_alert_once(&request, transition, subscribers, answer).await?;
    let (kept, is_repeated) = match once {
        Once::Done(kept) => (kept, false),
        Once::Repeated(kept) => (kept, true),
        Once::Another => {
            let detail = "take another one for another request";
            return Err(Problem::new(Kind::IdempotencyConflict, detail));
        }
    };
    let document: Value = serde_json::from_str(&kept.body).map_err(anyhow::Error::from)?;
    match kept.status {
        200 => Ok(Output { is_repeated, ..Data::Document(document).into() }),
        _ => Err(Problem::new(
            if kept.status == 404 { Kind::NotFound } else { Kind::Conflict },
            document["detail"].as_str().unwrap_or_default(),
        )),
    }
}

/// What is told of a change, and kept for whoever asks for it again.
fn answer(alert_id: &str, to: AlertState, until: Option<Timestamp>, change: StateChange) -> KeptAnswer {
    let (status, body) = match change {
        StateChange::Changed | StateChange::Unchanged => {
            let document = json!({
                "alert_id": alert_id,
                "state": to.as_str(),
                "changed": change == StateChange::Changed,
                "snoozed_until": until.map(instant),
            });
            (200, document)
        }
        StateChange::Refused(from) => {
            (409, json!({ "detail": format!("it is {from}, which does not lead to {to}") }))
        }
        StateChange::NotFound => (404, json!({ "detail": format!("there is no alert `{alert_id}`") })),
    };
    KeptAnswer { status, body: body.to_string() }
}
