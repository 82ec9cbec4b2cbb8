//! `alert incidents`: what the quality gate holds back and why, what sources have gone through, and what is decided of it.

use std::fmt::Write as _;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::states::ByArgs;
use super::view::{self, product, short_id};
use super::{audience, id_prefix, is_for_people};
use crate::cli::OutputArgs;
use crate::cli::context::Context;
use crate::cli::dates::DayArg;
use crate::cli::output::counted;
use crate::error::{Failure, Outcome};
use crate::render::rows::{Format, Rows, instant, instant_to_second, known, printable, render};
use crate::store::Store;
use crate::store::gate::{Decided, Decision, HeldRecord, HeldState, Verdict};
use crate::store::incidents::{IncidentFilter, IncidentRecord};

#[derive(Clone, Debug, clap::Args)]
pub(super) struct IncidentsArgs {
    #[command(subcommand)]
    command: IncidentsCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum IncidentsCommand {
    /// List incidents, newest day first
    List(ListArgs),
    /// Show one incident with the findings that it holds back
    Show(ShowArgs),
    /// Let what incidents hold back become alerts, and be told
    Release(DecideArgs),
    /// Drop what incidents hold back: it was no finding
    Drop(DecideArgs),
}

#[derive(Clone, Debug, clap::Args)]
struct ListArgs {
    /// Which incidents: open, closed or all
    #[arg(long, default_value = "open", value_parser = ["open", "closed", "all"], hide_possible_values = true)]
    state: String,

    /// Only incidents of these kinds: gate, schema_drift, source_failure
    #[arg(long, value_delimiter = ',', value_name = "KIND")]
    kind: Vec<String>,

    /// Only incidents of this day and later: YYYY-MM-DD, today, yesterday or -30d
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    since: Option<DayArg>,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct ShowArgs {
    /// The incident's id, or its first digits
    #[arg(value_name = "ID")]
    id: String,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct DecideArgs {
    /// Ids of incidents, or their first digits
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,

    /// Only these findings of them: ids of the alerts to come, or their first digits
    #[arg(long, value_delimiter = ',', value_name = "ID")]
    finding: Vec<String>,

    #[command(flatten)]
    by: ByArgs,
}

pub(super) async fn run(args: IncidentsArgs, context: &Context) -> anyhow::Result<Outcome> {
    match args.command {
        IncidentsCommand::List(args) => list(&args, context).await,
        IncidentsCommand::Show(args) => show(&args, context).await,
        IncidentsCommand::Release(args) => decide(&args, Verdict::Release, context).await,
        IncidentsCommand::Drop(args) => decide(&args, Verdict::Drop, context).await,
    }
}

async fn list(args: &ListArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let filter = IncidentFilter {
        is_open: (args.state != "all").then_some(args.state == "open"),
        kinds: args.kind.clone(),
        since: args.since.map(|day| day.resolve(context.today())),
    };
    let incidents =
        store.list_incidents(context.workspace(), &filter).await.context("failed to list incidents")?;
    if incidents.is_empty() {
        context.ui.note("no incidents");
    }
    let rows = if is_for_people(&args.output) { short_rows(&incidents) } else { incident_rows(&incidents) };
    args.output.emit(&rows, context)?;
    Ok(Outcome::Done)
}

async fn show(args: &ShowArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let incident = one_incident(&args.id, &store, context).await?;
    let held = load_held_of(&incident, &store, context).await?;
    match args.output.format() {
        Format::Table if args.output.fields.is_none() => {
            args.output.write(&incident_text(&incident, &held, context)?, context)?;
        }
        Format::Json if args.output.fields.is_none() => {
            args.output.write(&format!("{:#}\n", incident_document(&incident, &held)), context)?;
        }
        _ => args.output.emit(&held_rows(&held), context)?,
    }
    Ok(Outcome::Done)
}

async fn load_held_of(
    incident: &IncidentRecord,
    store: &Store,
    context: &Context,
) -> anyhow::Result<Vec<HeldRecord>> {
    let held = store.load_held_of(context.workspace(), &incident.incident_id).await;
    held.context("failed to load what the incident holds back")
}

async fn decide(args: &DecideArgs, verdict: Verdict, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let word = if verdict == Verdict::Release { "released" } else { "dropped" };
    let mut decisions: Vec<Decision> = Vec::new();
    let mut waiting: Vec<HeldRecord> = Vec::new();
    for id in &args.ids {
        let incident = one_incident(id, &store, context).await?;
        if decisions.iter().any(|known| known.incident_id == incident.incident_id) {
            continue;
        }
        if !incident.is_of_the_gate() {
            let what = format!("incident {} is a {} of {}", short_id(id), incident.kind, incident.source);
            return Err(Failure::usage(format!("{what}: it holds nothing back"))
                .hint("`amzctl alert incidents list --kind gate` shows those that do")
                .into());
        }
        let held = load_held_of(&incident, &store, context).await?;
        let held = held.into_iter().filter(|held| held.state == HeldState::Held);
        let held: Vec<HeldRecord> = held.filter(|held| is_chosen(held, &args.finding)).collect();
        if args.finding.is_empty() {
            decisions.push(decision(&incident.incident_id, None, verdict, &args.by.note));
        }
        for held in held {
            if !args.finding.is_empty() {
                let alert_id = Some(held.alert.alert_id.clone());
                decisions.push(decision(&incident.incident_id, alert_id, verdict, &args.by.note));
            }
            waiting.push(held);
        }
    }
    let missing = |wanted: &&String| !waiting.iter().any(|held| begins_with(&held.alert.alert_id, wanted));
    if let Some(wanted) = args.finding.iter().find(missing) {
        return Err(Failure::usage(format!("no finding `{wanted}` is held back there"))
            .hint("`amzctl alert incidents show ID` lists them")
            .into());
    }
    if args.by.dry_run {
        if !waiting.is_empty() {
            let rows = short_held_rows(&waiting);
            context.ui.data(&render(&rows, Format::Table, None, context.ui.table_width)?);
        }
        let findings = counted(waiting.len(), "finding");
        context.ui.note(&format!("dry run, nothing written: {findings} to be {word}"));
        return Ok(Outcome::Done);
    }
    let decided = store
        .decide_held(
            context.workspace(),
            &decisions,
            &args.by.actor(),
            context.clock.now(),
            &audience(context).subscribers,
        )
        .await
        .context("failed to decide what is held back")?;
    say(decided, verdict, context);
    Ok(Outcome::Done)
}

fn say(decided: Decided, verdict: Verdict, context: &Context) {
    if decided.is_nothing() {
        context.ui.note("nothing is held back there any more");
        return;
    }
    let Decided { opened, escalated, known, dropped, closed } = decided;
    let line = match verdict {
        Verdict::Drop => format!("{} dropped", counted(dropped, "finding")),
        Verdict::Release => {
            let parts = [(opened, "opened"), (escalated, "escalated"), (known, "known already")];
            let parts = parts.iter().filter(|(number, _)| *number > 0);
            let parts: Vec<String> = parts.map(|(number, what)| format!("{number} {what}")).collect();
            let line = format!("{} released", counted(opened + escalated + known, "finding"));
            if parts.is_empty() { line } else { format!("{line}: {}", parts.join(", ")) }
        }
    };
    context.ui.note(&format!("{line}; {} closed", counted(closed, "incident")));
    if opened + escalated > 0 {
        context.ui.note("next: `amzctl alert deliver` tells of them, `amzctl alert list` shows them");
    }
}

fn decision(incident_id: &str, alert_id: Option<String>, verdict: Verdict, note: &str) -> Decision {
    let (incident_id, note) = (incident_id.to_owned(), note.to_owned());
    Decision { incident_id, alert_id, verdict, note, is_caveat: false }
}

fn is_chosen(held: &HeldRecord, findings: &[String]) -> bool {
    findings.is_empty() || findings.iter().any(|wanted| begins_with(&held.alert.alert_id, wanted))
}

fn begins_with(id: &str, prefix: &str) -> bool {
    id_prefix(prefix).is_some_and(|prefix| id.starts_with(&prefix))
}

/// The incident whose id begins with the text. Errors: usage when it is none's or several incidents'.
async fn one_incident(id: &str, store: &Store, context: &Context) -> anyhow::Result<IncidentRecord> {
    find_incident(id, store, context).await?.ok_or_else(|| {
        Failure::usage(format!("there is no incident `{id}`"))
            .hint("`amzctl alert incidents list --state all` shows their ids")
            .into()
    })
}

/// The incident whose id begins with the text; null when none does. Errors: usage when several do.
pub(in crate::cli) async fn find_incident(
    id: &str,
    store: &Store,
    context: &Context,
) -> anyhow::Result<Option<IncidentRecord>> {
    let Some(prefix) = id_prefix(id) else { return Ok(None) };
    let found = store.find_incidents(context.workspace(), &prefix).await;
    let mut found = found.context("failed to look for the incident")?;
    if found.len() > 1 {
        let ids: Vec<&str> = found.iter().map(|incident| incident.incident_id.as_str()).collect();
        return Err(Failure::usage(format!("several incidents begin with `{id}`"))
            .hint(format!("one of {}", ids.join(", ")))
            .into());
    }
    Ok(found.pop())
}

/// Every column of an incident.
fn incident_rows(incidents: &[IncidentRecord]) -> Rows {
    let mut rows = Rows::new(
        "amzctl.alert-incidents/1",
        &[
            "incident_id",
            "kind",
            "reason",
            "source",
            "field",
            "marketplace",
            "day",
            "state",
            "held",
            "released",
            "dropped",
            "detail",
            "run_id",
            "recorded_at",
            "closed_at",
            "closed_by",
            "note",
        ],
    );
    for incident in incidents {
        rows.push(vec![
            incident.incident_id.as_str().into(),
            incident.kind.as_str().into(),
            incident.reason.as_str().into(),
            known(&incident.source),
            known(&incident.field),
            known(&incident.marketplace),
            incident.day.into(),
            state_word(incident).into(),
            incident.held.into(),
            incident.released.into(),
            incident.dropped.into(),
            incident.detail.as_str().into(),
            incident.run_id.as_str().into(),
            incident.recorded_at.into(),
            incident.closed_at.into(),
            known(&incident.closed_by),
            known(&incident.note),
        ]);
    }
    rows
}

/// What fits a terminal.
fn short_rows(incidents: &[IncidentRecord]) -> Rows {
    let columns = ["id", "day", "kind", "reason", "of", "state", "held", "detail"];
    let mut rows = Rows::new("amzctl.alert-incidents/1", &columns).wrapping();
    for incident in incidents {
        let of = if incident.is_of_the_gate() { &incident.marketplace } else { &incident.source };
        rows.push(vec![
            short_id(&incident.incident_id).into(),
            incident.day.into(),
            incident.kind.as_str().into(),
            incident.reason.as_str().into(),
            known(of),
            state_word(incident).into(),
            incident.held.into(),
            incident.detail.as_str().into(),
        ]);
    }
    rows
}

fn state_word(incident: &IncidentRecord) -> &'static str {
    if incident.is_open { "open" } else { "closed" }
}

/// Every column of a held finding.
fn held_rows(held: &[HeldRecord]) -> Rows {
    let mut rows = Rows::new(
        "amzctl.alert-held/1",
        &[
            "incident_id",
            "reason",
            "alert_id",
            "severity",
            "rule",
            "marketplace",
            "asin",
            "day",
            "object",
            "message",
            "evidence",
            "historical",
            "state",
            "run_id",
            "held_at",
            "decided_at",
            "decided_by",
            "note",
        ],
    );
    for HeldRecord { incident_id, reason, alert, state, run_id, held_at, decided_at, decided_by, note } in
        held
    {
        rows.push(vec![
            incident_id.into(),
            reason.as_str().into(),
            alert.alert_id.as_str().into(),
            alert.severity.as_str().into(),
            alert.rule.as_str().into(),
            known(&alert.marketplace),
            known(&alert.asin),
            alert.day.into(),
            known(&alert.object),
            alert.message.as_str().into(),
            evidence(&alert.evidence).into(),
            alert.historical.into(),
            state.as_str().into(),
            run_id.into(),
            (*held_at).into(),
            (*decided_at).into(),
            known(decided_by),
            known(note),
        ]);
    }
    rows
}

/// What fits a terminal.
fn short_held_rows(held: &[HeldRecord]) -> Rows {
    let columns = ["id", "day", "severity", "product", "state", "message"];
    let mut rows = Rows::new("amzctl.alert-held/1", &columns).wrapping();
    for held in held {
        let alert = &held.alert;
        // What was decided has its reason with the incident.
        let speaks_against = held.state == HeldState::Held && !held.note.is_empty();
        let message = match speaks_against {
            true => format!("{}; {}", alert.message, held.note),
            false => alert.message.clone(),
        };
        rows.push(vec![
            short_id(&alert.alert_id).into(),
            alert.day.into(),
            alert.severity.as_str().into(),
            product(&alert.marketplace, &alert.asin).into(),
            held.state.as_str().into(),
            message.into(),
        ]);
    }
    rows
}

/// The values that the rule looked at; the text itself where it is no JSON.
fn evidence(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

/// An incident with everything that it holds or held back.
pub(in crate::cli) fn incident_document(incident: &IncidentRecord, held: &[HeldRecord]) -> Value {
    let word = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
    json!({
        "schema": "amzctl.alert-incident/1",
        "incident_id": incident.incident_id,
        "kind": incident.kind,
        "reason": incident.reason,
        "source": word(&incident.source),
        "field": word(&incident.field),
        "marketplace": word(&incident.marketplace),
        "day": incident.day,
        "state": state_word(incident),
        "detail": incident.detail,
        "run_id": incident.run_id,
        "recorded_at": instant(incident.recorded_at),
        "closed_at": incident.closed_at.map(instant),
        "closed_by": word(&incident.closed_by),
        "note": word(&incident.note),
        "findings": held.iter().map(held_document).collect::<Vec<_>>(),
    })
}

fn held_document(held: &HeldRecord) -> Value {
    let word = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
    let alert = &held.alert;
    json!({
        "alert_id": alert.alert_id,
        "rule": alert.rule.as_str(),
        "severity": alert.severity.as_str(),
        "marketplace": word(&alert.marketplace),
        "asin": word(&alert.asin),
        "day": alert.day,
        "object": word(&alert.object),
        "message": alert.message,
        "evidence": evidence(&alert.evidence),
        "historical": alert.historical,
        "state": held.state.as_str(),
        "run_id": held.run_id,
        "held_at": instant(held.held_at),
        "decided_at": held.decided_at.map(instant),
        "decided_by": word(&held.decided_by),
        "note": word(&held.note),
    })
}

/// The same for a person at a terminal.
pub(in crate::cli) fn incident_text(
    incident: &IncidentRecord,
    held: &[HeldRecord],
    context: &Context,
) -> anyhow::Result<String> {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(out, "{name:<12}{}", printable(value));
        }
    };
    line("incident", &incident.incident_id);
    line("", &incident.detail);
    line("kind", &incident.kind);
    line("reason", &incident.reason);
    line("source", &incident.source);
    line("field", &incident.field);
    line("marketplace", &incident.marketplace);
    line("day", &incident.day.to_string());
    line("state", &state_line(incident));
    line("found", &format!("{} by run {}", instant_to_second(incident.recorded_at), incident.run_id));
    if incident.is_of_the_gate() {
        let IncidentRecord { held, released, dropped, .. } = incident;
        line("findings", &format!("{held} held back, {released} released, {dropped} dropped"));
    }
    if !held.is_empty() {
        out.push('\n');
        out += &render(&short_held_rows(held), Format::Table, None, context.ui.table_width)?;
    }
    Ok(out)
}

/// `closed by ada at 2026-03-01T12:00:00Z: seen on the page`.
fn state_line(incident: &IncidentRecord) -> String {
    let Some(at) = incident.closed_at else { return state_word(incident).to_owned() };
    let note = if incident.note.is_empty() { String::new() } else { format!(": {}", incident.note) };
    format!("closed by {} at {}{note}", incident.closed_by, instant_to_second(at))
}

/// Why a finding is, or was, no alert, a line each.
pub(in crate::cli) fn held_text(held: &HeldRecord) -> String {
    let HeldRecord { incident_id, reason, held_at, state, .. } = held;
    let mut text = format!(
        "held back by incident {} ({reason}) at {}",
        view::short_id(incident_id),
        instant_to_second(*held_at)
    );
    if let Some(at) = held.decided_at {
        let note = if held.note.is_empty() { String::new() } else { format!(": {}", held.note) };
        let _ = write!(text, ", {state} by {} at {}{note}", held.decided_by, instant_to_second(at));
    } else if !held.note.is_empty() {
        let _ = write!(text, ", {}", held.note);
    }
    text
}
