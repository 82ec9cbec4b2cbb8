//! `ingest`: files and standard input into the raw layer, record by record; without a path, what is due from the
//! providers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::OutputArgs;
use super::context::Context;
use super::dates::{DayArg, parse_duration};
use super::fetch::{self, SelectionArgs};
use super::output::counted;
use super::sizes::parse_size;
use super::ui::Line;
use crate::error::{Failure, Outcome};
use crate::ingest::{DEFAULT_OUTPUT_CAP, DiscoverError, Found, KNOWN_ENDINGS, Spool, discover};
use crate::model::{Marketplace, Timestamp, check_source_name};
use crate::render::rows::printable;
use crate::stages::ingest::{self, BatchSize, FileReport, FileStatus, Options, Summary};
use crate::store::Store;

/// Land records of providers or files byte-exact in the raw layer
///
/// Without a PATH: asks the configured providers for the watched products that are due. Each product is asked for once
/// in its slot (critical: six hours, routine: a day, weekly: a week), within the budgets; --dry-run shows requests and
/// cost beforehand and asks nobody. An interrupted run goes on where it was and pays for nothing twice.
///
/// With a PATH: reads JSON (an array, or one object), NDJSON, CSV, TSV and HTML pages, plain or compressed with gzip or
/// zstd, Parquet and XLSX; what a file is shows in its bytes, not in its name. A record that cannot be read is named and
/// kept in quarantine, the rest goes on. The same file with the same time lands nothing.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct IngestArgs {
    /// Files, folders (searched for .json .jsonl .ndjson .csv .tsv .txt .html .htm, also .gz and .zst, .parquet .xlsx),
    /// patterns, or - for standard input
    #[arg(value_name = "PATH", help_heading = "Files")]
    pub paths: Vec<PathBuf>,

    /// When the content was true: an instant, or a day (noon of it in the reporting zone); without it a date in the
    /// path, or the records' own time
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true, requires = "paths",
        help_heading = "Files")]
    pub captured_at: Option<Captured>,

    /// Marketplace of records that name none [default: the configured one]
    #[arg(long, value_name = "CODE", requires = "paths", help_heading = "Files")]
    pub marketplace: Option<Marketplace>,

    /// Name of the source instead of the recognised one, such as apify or keepa
    #[arg(long, value_name = "NAME", value_parser = parse_source, requires = "paths",
        help_heading = "Files")]
    pub source: Option<String>,

    /// What the records are, instead of what is recognised
    #[arg(long, value_name = "KIND", value_parser = ["product", "reviews"], requires = "paths",
        help_heading = "Files")]
    pub kind: Option<String>,

    /// Show what would be asked and what it would cost, or what would land; ask nobody, write nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Ask nobody any more after this long, with exit code 6 when products are left: 50m, 2h. What was asked before is
    /// waited for
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with = "paths")]
    pub deadline: Option<Duration>,

    #[command(flatten)]
    pub selection: SelectionArgs,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Refuse what a compressed file expands to beyond this: 500MiB, 20GiB [default: 8GiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, requires = "paths", help_heading = "Files")]
    pub max_decompressed: Option<u64>,

    /// Records committed together [default: 500, or 8 MiB of them]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000), requires = "paths",
        help_heading = "Files")]
    pub batch_records: Option<u32>,
}

/// A `--captured-at` as typed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Captured {
    At(Timestamp),
    NoonOf(DayArg),
}

pub(super) async fn run(args: IngestArgs, context: &Context) -> anyhow::Result<Outcome> {
    if args.paths.is_empty() {
        let IngestArgs { selection, deadline, dry_run, output, .. } = args;
        return fetch::run(&selection, deadline, dry_run, &output, context).await;
    }
    let refused = args.selection.refuse_for_files();
    refused.map_err(|failure| failure.hint("leave the paths out to ask the providers"))?;
    let inputs = inputs(&args.paths, context)?;
    let store = context.open_store().await?;
    if args.dry_run {
        let summary = read(&store, context, &options(&args, inputs, String::new(), context)).await?;
        return end(summary, &store, context).await;
    }
    let _lock = context.lock(&store, "pipeline").await?;
    let run = context.begin_run(&store, "ingest").await?;
    let summary = read(&store, context, &options(&args, inputs, run.run_id.clone(), context)).await?;
    run.finish(summary.outcome(), &json!({ "ingest": summary })).await?;
    end(summary, &store, context).await
}

pub(super) async fn read(store: &Store, context: &Context, options: &Options) -> anyhow::Result<Summary> {
    let size = |input: &Found| match input {
        Found::File(path) => std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
        Found::Stdin => 0,
    };
    let progress = context.ui.progress_bytes(options.inputs.iter().map(size).sum());
    let told = |bytes| progress.inc(bytes);
    let summary = ingest::run(store, context.clock, &context.cancel(), &told, options).await;
    progress.finish();
    summary
}

pub(super) fn options(args: &IngestArgs, inputs: Vec<Found>, run_id: String, context: &Context) -> Options {
    let zone = context.config.zone;
    let defaults = Options::new(run_id, inputs, zone);
    Options {
        captured_at: args.captured_at.map(|captured| match captured {
            Captured::At(at) => at,
            Captured::NoonOf(day) => zone.noon(day.resolve(context.today())),
        }),
        marketplace: context.marketplace_or_default(args.marketplace),
        source: args.source.clone(),
        kind: args.kind.clone(),
        output_cap: args.max_decompressed.unwrap_or(DEFAULT_OUTPUT_CAP),
        batch: match args.batch_records {
            Some(records) => BatchSize { records: records as usize, ..defaults.batch },
            None => defaults.batch,
        },
        tolerate_failed_pct: context.config.settings.run.tolerate_failed_pct,
        dry_run: args.dry_run,
        ..defaults
    }
}

/// The files that paths name; what lies in our own lake is none of them.
///
/// Errors: usage, for a path that names none.
pub(super) fn inputs(paths: &[PathBuf], context: &Context) -> anyhow::Result<Vec<Found>> {
    let mut found = discover(paths).map_err(usage)?;
    if let Ok(lake) = context.config.lake_root.canonicalize() {
        found.retain(|input| match input {
            Found::File(path) => !path.canonicalize().is_ok_and(|path| path.starts_with(&lake)),
            Found::Stdin => true,
        });
    }
    Ok(found)
}

/// The files of a folder that may well be empty.
pub(super) fn inputs_of_inbox(inbox: &Path) -> anyhow::Result<Vec<Found>> {
    match discover(&[inbox.to_owned()]) {
        Err(DiscoverError::EmptyFolder(_)) => Ok(Vec::new()),
        found => found.map_err(usage),
    }
}

/// Names what could not be read; said even with --quiet.
pub(super) fn say_problems(summary: &Summary, context: &Context) {
    for report in &summary.files {
        complaints(report).iter().for_each(|line| context.ui.complain(line));
    }
}

/// Says what happened, and ends as it went.
async fn end(summary: Summary, store: &Store, context: &Context) -> anyhow::Result<Outcome> {
    let outcome = summary.outcome();
    // One file that gives nothing is the failure itself, said once.
    let said_by_failure = summary.inputs == 1 && matches!(outcome, Outcome::Failed | Outcome::Usage);
    if !said_by_failure {
        for report in &summary.files {
            // Of a folder that was read before, the number in the last line says enough.
            if summary.inputs == 1 || report.status != FileStatus::AlreadyRead {
                progress_line(report).iter().for_each(|line| context.ui.note(line));
            }
        }
        say_problems(&summary, context);
        context.ui.say(&lines(&summary));
    }
    if summary.cancelled {
        let reason = context.cancel().outcome().unwrap_or(Outcome::Interrupted);
        return Err(Failure::new(reason, "stopped between two batches; run it again to go on").into());
    }
    for path in Spool::beside(context.config.database.beside()).leftovers() {
        let path = path.display();
        context
            .ui
            .complain(&format!("kept from an interrupted run: {path}; go on with `amzctl ingest {path}`"));
    }
    if matches!(outcome, Outcome::Failed | Outcome::Usage) {
        return Err(refusal(outcome, &summary).into());
    }
    if !summary.dry_run
        && let Some(next) = next_command(&summary, store.has_unread().await?)
    {
        context.ui.note(next);
    }
    Ok(outcome)
}

/// The failure of an ingest that could read nothing.
fn refusal(outcome: Outcome, summary: &Summary) -> Failure {
    let [report] = summary.files.as_slice() else {
        return Failure::new(outcome, format!("none of {} files could be read", summary.inputs));
    };
    let message = report.message.as_deref().unwrap_or_default();
    let failure = Failure::new(outcome, format!("{}: {message}", name_of(report)));
    match &report.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What to do about what has landed, now or before. Null when there is nothing to do.
fn next_command(summary: &Summary, has_unread: bool) -> Option<&'static str> {
    match (has_unread, summary.new_problems > 0) {
        (true, true) => Some("next: `amzctl quarantine list`, then `amzctl normalize`"),
        (true, false) => Some("next: `amzctl normalize`"),
        (false, true) => Some("next: `amzctl quarantine list`"),
        (false, false) => None,
    }
}

/// What a run did, a line each.
pub(super) fn lines(summary: &Summary) -> Vec<Line> {
    let would = if summary.dry_run { "would land" } else { "landed" };
    let mut line = format!("ingest: {}", counted(summary.inputs, "file"));
    for (number, what) in [(summary.already_read, "already read"), (summary.refused, "refused")] {
        if number > 0 {
            line += &format!(" ({number} {what})");
        }
    }
    line += &format!(", {}, {} {would}", counted(summary.records, "record"), summary.landed);
    for (number, what) in [
        (summary.already_there, "already there"),
        (summary.repeats, "repeats"),
        (summary.rejected, "rejected"),
    ] {
        if number > 0 {
            line += &format!(", {number} {what}");
        }
    }
    vec![Line::Note(line)]
}

/// Where the reading of a file began, when not at its beginning.
fn progress_line(report: &FileReport) -> Option<String> {
    let path = name_of(report);
    match report.status {
        FileStatus::AlreadyRead => Some(format!("{path}: already read with this time, nothing landed")),
        _ if report.resumed_at > 0 => Some(format!("{path}: went on at record {}", report.resumed_at + 1)),
        _ => None,
    }
}

/// What went wrong with one file.
fn complaints(report: &FileReport) -> Vec<String> {
    let path = name_of(report);
    let mut lines = Vec::new();
    let message = report.message.as_deref().unwrap_or_default();
    match report.status {
        FileStatus::Refused => lines.push(format!("{path}: refused: {message}")),
        FileStatus::Changed => lines.push(format!("{path}: changed while it was read; run it again")),
        FileStatus::Interrupted => lines.push(format!("{path}: stopped at record {}", report.reached())),
        FileStatus::Read | FileStatus::Broken | FileStatus::AlreadyRead | FileStatus::Unfinished => {}
    }
    for problem in &report.problems {
        let (line, offset, reason) = (problem.line, problem.offset, problem.reason);
        let detail = printable(&problem.detail);
        lines.push(format!("{path}: line {line}, byte {offset}: {reason}: {detail}"));
    }
    let unnamed = report.rejected - report.problems.len() as u64;
    if unnamed > 0 {
        lines.push(format!("{path}: {unnamed} more like these are in quarantine"));
    }
    if report.problems.iter().any(|problem| problem.reason == "output_too_large") {
        lines.push(format!("{path}: raise the cap with --max-decompressed if the file can be trusted"));
    }
    lines.extend(report.hint.iter().map(|hint| format!("{path}: hint: {hint}")));
    lines
}

fn name_of(report: &FileReport) -> String {
    if report.path == "-" { "standard input".to_owned() } else { printable(&report.path) }
}

fn usage(error: DiscoverError) -> anyhow::Error {
    let hint = match &error {
        DiscoverError::Missing(_) | DiscoverError::NoMatch(_) => {
            "name files, folders, patterns such as 'exports/*.json', or - for standard input".to_owned()
        }
        DiscoverError::EmptyFolder(_) => {
            format!("a folder is searched for .{}; name other files themselves", KNOWN_ENDINGS.join(" ."))
        }
        DiscoverError::Pattern { .. } => "write [*] for a star that is part of the name".to_owned(),
        DiscoverError::Io { .. } => return Failure::failed(chain(&error)).into(),
    };
    Failure::usage(error.to_string()).hint(hint).into()
}

/// An error with its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text += &format!(": {inner}");
        cause = inner.source();
    }
    text
}

pub(super) fn parse_time(text: &str) -> Result<Captured, String> {
    if let Ok(at) = chrono::DateTime::parse_from_rfc3339(text.trim()) {
        return Ok(Captured::At(at.to_utc()));
    }
    text.parse().map(Captured::NoonOf).map_err(|_| {
        format!("`{text}` is neither an instant such as 2025-09-11T18:00:00Z nor a day such as 2025-09-11")
    })
}

fn parse_source(text: &str) -> Result<String, &'static str> {
    check_source_name(text).map(|()| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let at = "2025-09-11T16:00:00Z".parse().unwrap();
        assert_eq!(parse_time("2025-09-11T18:00:00+02:00"), Ok(Captured::At(at)));
        let day = "2025-09-11".parse().unwrap();
        assert_eq!(parse_time("2025-09-11"), Ok(Captured::NoonOf(DayArg::Day(day))));
        assert_eq!(parse_time("yesterday"), Ok(Captured::NoonOf(DayArg::DaysAgo(1))));
        assert!(parse_time("11.09.2025").is_err());
    }
}
