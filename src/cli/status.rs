//! `status`: what there is, how fresh it is, what waits for somebody, and how the last runs ended.

use std::collections::BTreeSet;

use anyhow::Context as _;
use serde::Serialize;

use super::OutputArgs;
use super::context::Context;
use super::output::counted;
use super::runs::Holders;
use crate::error::Outcome;
use crate::model::{Day, SourceState, Timestamp};
use crate::render::rows::{Cell, Format, Rows, instant_to_second, printable};
use crate::store::checks::{Counts, Open};
use crate::store::{Store, Unread};

/// Runs that are looked through for the last one of every command.
const RECENT_RUNS: u32 = 200;

/// Show what there is, how fresh it is, and what waits for you
#[derive(Clone, Debug, clap::Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    /// Whose watchlist, cohorts and alerts are counted.
    workspace: String,
    database: Database,
    freshness: Freshness,
    counts: Counts,
    /// Receipts that `normalize` has not read.
    to_normalize: u64,
    open: Open,
    /// Providers that were ever asked.
    sources: Vec<SourceLine>,
    /// Watched products that no provider of their chain answered for at the last attempt.
    fetch_failures: u64,
    /// The last run of every command, newest first.
    last_runs: Vec<LastRun>,
}

#[derive(Serialize)]
struct SourceLine {
    source: String,
    /// Of its circuit breaker.
    breaker: &'static str,
    failures_in_a_row: u32,
    retry_at: Option<Timestamp>,
    reason: String,
    last_success_at: Option<Timestamp>,
    balance: String,
}

#[derive(Serialize)]
struct Database {
    path: String,
    size_bytes: u64,
    schema_version: i64,
    zone: String,
    database_uuid: String,
}

#[derive(Serialize)]
struct Freshness {
    newest_day: Option<Day>,
    newest_observed_at: Option<Timestamp>,
    age_hours: Option<i64>,
}

#[derive(Serialize)]
struct LastRun {
    command: String,
    state: &'static str,
    run_id: String,
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
    exit_code: Option<u8>,
}

pub(super) async fn run(args: StatusArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let document = gather(&store, context).await.context("failed to read the state of the database")?;
    if args.output.format() == Format::Json && args.output.fields.is_none() {
        args.output.write(&(serde_json::to_string_pretty(&document)? + "\n"), context)?;
    } else {
        args.output.emit(&rows(&document)?, context)?;
    }
    next_step(&document, context);
    Ok(Outcome::Done)
}

async fn gather(store: &Store, context: &Context) -> anyhow::Result<Document> {
    let identity = store.identity().await?;
    let (newest_day, newest_observed_at) = store.newest_observation().await?.unzip();
    let now = context.clock.now();
    let database = &context.config.database;
    Ok(Document {
        schema: "amzctl.status/1",
        workspace: context.workspace().to_string(),
        database: Database {
            path: database.to_string(),
            size_bytes: store.size_bytes().await?,
            schema_version: Store::SCHEMA_VERSION,
            zone: context.config.zone.0.name().to_owned(),
            database_uuid: identity.map(|identity| identity.database_uuid).unwrap_or_default(),
        },
        freshness: Freshness {
            newest_day,
            newest_observed_at,
            age_hours: newest_observed_at.map(|at| (now - at).num_hours()),
        },
        counts: store.load_counts(context.workspace()).await?,
        to_normalize: store.count_unread(Unread::New).await?,
        open: store.load_open(context.workspace()).await?,
        sources: store.load_source_states().await?.into_iter().map(source_line).collect(),
        fetch_failures: store.count_fetch_failures().await?,
        last_runs: last_runs(store).await?,
    })
}

fn source_line(state: SourceState) -> SourceLine {
    SourceLine {
        source: state.source,
        breaker: state.breaker.as_str(),
        failures_in_a_row: state.failures,
        retry_at: state.retry_at,
        reason: state.reason,
        last_success_at: state.last_success_at,
        balance: state.balance,
    }
}

async fn last_runs(store: &Store) -> anyhow::Result<Vec<LastRun>> {
    let holders = Holders::now(store).await?;
    let mut seen = BTreeSet::new();
    let runs = store.load_runs(RECENT_RUNS).await?;
    let newest = runs.into_iter().filter(|run| seen.insert(run.start.command.clone()));
    Ok(newest
        .map(|run| LastRun {
            state: holders.state(&run),
            command: run.start.command,
            run_id: run.start.run_id,
            started_at: run.start.started_at,
            finished_at: run.finished_at,
            exit_code: run.exit_code,
        })
        .collect())
}

/// The document as items with values: what every format but JSON shows.
fn rows(document: &Document) -> anyhow::Result<Rows> {
    let mut rows = Rows::new("amzctl.status/1", &["item", "value", "detail"]);
    let Database { path, zone, .. } = &document.database;
    rows.push(vec!["database".into(), path.as_str().into(), format!("days in {zone}").into()]);
    rows.push(vec!["workspace".into(), document.workspace.as_str().into(), Cell::Null]);
    let size = i64::try_from(document.database.size_bytes)?;
    rows.push(vec!["size_bytes".into(), size.into(), Cell::Null]);
    let age = document.freshness.age_hours.map(|hours| format!("newest observation {} old", aged(hours)));
    rows.push(vec!["newest_day".into(), document.freshness.newest_day.into(), age.into()]);
    for (name, count) in numbers(document) {
        rows.push(vec![name.into(), count.into(), Cell::Null]);
    }
    rows.push(vec!["to_normalize".into(), document.to_normalize.into(), Cell::Null]);
    if !document.sources.is_empty() {
        rows.push(vec!["fetch_failures".into(), document.fetch_failures.into(), Cell::Null]);
    }
    for source in &document.sources {
        let answered = source.last_success_at.map(|at| format!("answered {}", instant_to_second(at)));
        let retry = source.retry_at.map(|at| format!("next try {}", instant_to_second(at)));
        let parts = [answered, retry, Some(source.reason.clone()), Some(source.balance.clone())];
        let parts: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        rows.push(vec![
            format!("source {}", source.source).into(),
            source.breaker.into(),
            printable(&parts.join("; ")).into(),
        ]);
    }
    for run in &document.last_runs {
        let ended = run.exit_code.map(|code| format!(", exit {code}")).unwrap_or_default();
        // A person's detail; the runs have their fractions in `runs list`.
        let detail = format!("{}{ended}", instant_to_second(run.started_at));
        rows.push(vec![format!("last {}", run.command).into(), run.state.into(), detail.into()]);
    }
    Ok(rows)
}

/// `30 hours`, and from two days on `417 days`.
fn aged(hours: i64) -> String {
    if hours < 48 { counted(hours, "hour") } else { counted(hours / 24, "day") }
}

fn numbers(document: &Document) -> [(&'static str, i64); 15] {
    let Document { counts, open, .. } = document;
    [
        ("watched", counts.watched),
        ("paused", counts.paused),
        ("cohorts", counts.cohorts),
        ("products", counts.products),
        ("receipts", counts.receipts),
        ("observations", counts.observations),
        ("daily_rows", counts.daily_rows),
        ("reviews", counts.reviews),
        ("open_quarantine", open.quarantine),
        ("open_incidents", open.incidents),
        ("held_findings", open.held_findings),
        ("open_alerts", open.alerts),
        ("open_alerts_critical", open.alerts_critical),
        ("deliveries_pending", open.deliveries_pending),
        ("deliveries_dead", open.deliveries_dead),
    ]
}

fn next_step(document: &Document, context: &Context) {
    let Document { counts, open, to_normalize, .. } = document;
    let next = if counts.receipts == 0 {
        match context.config.settings.sources.chain.is_empty() {
            true => "`amzctl ingest FILE` lands the first data",
            false => "`amzctl ingest` asks the providers for the first data",
        }
    } else if *to_normalize > 0 {
        "`amzctl normalize` reads what has landed"
    } else if open.held_findings > 0 {
        "`amzctl alert incidents list` shows what is held back as implausible"
    } else if open.alerts > 0 {
        "`amzctl alert list` shows the open alerts"
    } else if open.quarantine > 0 {
        "`amzctl quarantine list` shows what was refused"
    } else {
        return;
    };
    context.ui.note(&format!("next: {next}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_hours_for_two_days() {
        for (hours, text) in
            [(0, "0 hours"), (1, "1 hour"), (47, "47 hours"), (48, "2 days"), (10_009, "417 days")]
        {
            assert_eq!(aged(hours), text);
        }
    }
}
