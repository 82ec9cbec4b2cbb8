//! `build-mart`: changed days to the lake, and deltas, rollups and aggregates of them.

use serde_json::json;

use super::context::Context;
use super::dates::RangeArgs;
use super::output::{counted, spanned};
use super::sizes::{parse_size, size};
use super::ui::Line;
use crate::error::Outcome;
use crate::lake::Lake;
use crate::model::Day;
use crate::stages::build_mart::{self, Estimate, Options, Summary};
use crate::stages::compare;
use crate::store::Store;

/// Compute deltas, rollups and aggregates of the days that changed
///
/// Changed days move from the database into the lake (Parquet files); everything is computed on the lake and
/// published at once. A second run finds nothing to do. Months that are over are kept in one file each.
/// With --from/--to these days are built again, besides those that changed.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct BuildMartArgs {
    /// Days to build again, besides those that changed
    #[command(flatten)]
    pub range: RangeArgs,

    /// Build every day again, and files of the lake whose content was changed
    #[arg(long)]
    pub full: bool,

    /// Make one file of every month, the current one too
    #[arg(long)]
    pub compact: bool,

    /// Delete files that are no longer current at once, not after an hour
    #[arg(long)]
    pub vacuum_now: bool,

    /// Hold about this much in memory, in exchange for time: 512MiB, at least 256MiB [default: what is fastest]
    #[arg(long, value_name = "SIZE", value_parser = parse_memory)]
    pub memory: Option<u64>,

    /// Say what would be built and what it would take, write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Below this the program itself, one month's open files and what is served do not fit.
const LEAST_MEMORY: u64 = 256 << 20;

fn parse_memory(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        memory if memory < LEAST_MEMORY => Err("a build needs 256MiB at least".to_owned()),
        memory => Ok(memory),
    }
}

pub(super) async fn run(args: BuildMartArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let lake = Lake::new(&context.config.lake_root);
    let options = Options {
        range: args.range.resolve(context, Day::from_no(0))?,
        full: args.full,
        compact: args.compact,
        vacuum_now: args.vacuum_now,
        dry_run: args.dry_run,
        memory: args.memory,
        ..options(context)
    };
    if args.dry_run {
        let summary =
            build_mart::run(&store, &lake, context.clock, &context.cancel(), &|_| {}, &options).await?;
        context.ui.say(&lines(&summary, None));
        return Ok(summary.outcome());
    }
    let _lock = context.lock(&store, "pipeline").await?;
    let run = context.begin_run(&store, "build-mart").await?;
    let (summary, comparisons) = build(&store, &lake, context, &options).await?;
    let outcome = summary.outcome();
    run.finish(outcome, &json!({ "build_mart": summary, "comparisons": comparisons })).await?;
    context.ui.say(&lines(&summary, Some(&comparisons)));
    if !summary.is_nothing() || comparisons.changed > 0 {
        context.ui.note("next: `amzctl compare`, `amzctl report` or `amzctl alert run`");
    }
    Ok(outcome)
}

/// Builds the mart, and on it the comparison of every cohort.
pub(super) async fn build(
    store: &Store,
    lake: &Lake,
    context: &Context,
    options: &Options,
) -> anyhow::Result<(Summary, compare::Summary)> {
    let progress = context.ui.progress_rows(0);
    progress.set_message("building the mart");
    let cancel = context.cancel();
    let told = |rows| progress.inc(rows);
    let summary = build_mart::run(store, lake, context.clock, &cancel, &told, options).await?;
    progress.finish();
    Ok((summary, compare::publish(store).await?))
}

/// What changed, with the configured zone and serving window.
pub(super) fn options(context: &Context) -> Options {
    Options {
        range: None,
        full: false,
        compact: false,
        vacuum_now: false,
        delta: context.config.settings.lake.delta,
        damaged: Vec::new(),
        dry_run: false,
        publish_days: context.config.settings.mart.publish_days,
        zone: context.config.zone,
        memory: None,
    }
}

/// What it would take.
fn expected(estimate: &Estimate) -> String {
    let &Estimate { rows_read, bytes_read, rows_written, bytes_written, seconds, memory_bytes } = estimate;
    let rows = |rows: u64| counted(usize::try_from(rows).unwrap_or(usize::MAX), "row");
    let time = match seconds {
        _ if seconds < 90.0 => format!("{} s", seconds.ceil()),
        _ => format!("{} min", (seconds / 60.0).ceil()),
    };
    format!(
        "would read {} ({}) and write about {} ({}): about {time} on two cores, {} of memory",
        rows(rows_read),
        size(bytes_read),
        rows(rows_written),
        size(bytes_written),
        size(memory_bytes)
    )
}

/// What a run did, a line each; a dry run compares nothing.
pub(super) fn lines(summary: &Summary, comparisons: Option<&compare::Summary>) -> Vec<Line> {
    let compared = comparisons.map_or(0, |comparisons| comparisons.changed);
    let mut lines: Vec<String> = summary.lake_rebuilt.iter().cloned().collect();
    if summary.files_repaired > 0 {
        let files = counted(summary.files_repaired, "damaged or missing file");
        let written = if summary.dry_run { "would be written" } else { "written" };
        lines.push(format!("{files} of the lake {written} again"));
    }
    let changed = counted(summary.sync.changed_days, "changed day");
    let deltas = counted(summary.delta_rows, "delta row");
    let files = counted(summary.mart_files_written, "file");
    let days = summary.first_day.zip(summary.last_day).map(|(first, last)| {
        format!("{} ({})", counted(summary.days_built, "marketplace-day"), spanned(first, last))
    });
    if summary.is_nothing() {
        if !summary.delta_commits.is_empty() {
            lines.push(format!("told {}", counted(summary.delta_commits.len(), "Delta log")));
        } else if compared == 0 {
            lines.push("nothing new".to_owned());
        }
    } else if summary.dry_run {
        if summary.sync.changed_days > 0 {
            lines.push(format!("would move {changed} to the lake"));
        }
        // Of days that are not computed nobody knows which files will have rows.
        match days {
            Some(days) => lines.push(format!("would build {days}: {deltas}")),
            None if summary.mart_files_written > 0 => {
                lines.push(format!("would write {files} of the mart anew; no day has changed"));
            }
            None => {}
        }
        lines.extend(summary.estimate.iter().map(expected));
    } else {
        if summary.sync.changed_days + summary.sync.files_written > 0 {
            let written = counted(summary.sync.files_written, "file");
            let rows = counted(summary.sync.rows_written, "row");
            lines.push(format!("{changed} to the lake ({written}, {rows})"));
        }
        let rollups = counted(summary.rollup_rows, "rollup row");
        match days {
            Some(days) => lines.push(format!("built {days}: {deltas}, {rollups}, {files}")),
            None if summary.mart_files_written > 0 => {
                lines.push(format!("wrote {files} of the mart anew; no day has changed"));
            }
            None => {}
        }
    }
    lines.extend(summary.delta_commits.iter().filter_map(super::lake::distrust_line));
    lines.extend(summary.delta_failure.iter().map(|reason| {
        format!("the Delta logs are behind: {reason}; `amzctl lake publish-delta` tries again")
    }));
    if compared > 0 {
        lines.push(format!("published {}", counted(compared, "comparison")));
    }
    lines.into_iter().map(|line| Line::Note(format!("build-mart: {line}"))).collect()
}
