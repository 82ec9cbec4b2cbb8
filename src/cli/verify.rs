//! `verify`: is the stored state whole, and what is its hash.

use serde_json::json;

use super::build_mart;
use super::context::Context;
use super::output::{OutputArgs, counted};
use crate::error::{Failure, Outcome};
use crate::lake::Lake;
use crate::render::rows::Format;
use crate::stages::repair;
use crate::stages::verify::{self, What};
use crate::store::Store;

/// Check that the stored state is whole
///
/// --hash prints one SHA-256 of the state (rows in key order, without run ids and recording times): two ways that
/// lead to the same facts print the same hash. Without a flag everything is checked.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// Print the hash of the state
    #[arg(long)]
    pub hash: bool,

    /// With --hash, also the hash of every table
    #[arg(long, requires = "hash")]
    pub tables: bool,

    /// Compare the lake's files with their list and with the database
    #[arg(long)]
    pub lake: bool,

    /// With --lake, mend what is wrong: files, days and Delta logs
    ///
    /// Damaged files of core are written again from the database, those of the mart are computed again, and a day that
    /// differs from the database is taken from there, with everything that follows from it. Nothing else is touched.
    #[arg(long, requires = "lake")]
    pub repair: bool,

    /// Hash every raw body again
    #[arg(long)]
    pub raw: bool,

    #[command(flatten)]
    pub output: OutputArgs,
}

pub(super) async fn run(args: VerifyArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let lake = Lake::new(&context.config.lake_root);
    // Until the end: what is found afterwards is what was left.
    let _lock = if args.repair { Some(context.lock(&store, "pipeline").await?) } else { None };
    if args.repair {
        repair(&store, &lake, context).await?;
    }
    let everything = !args.hash && !args.lake && !args.raw;
    let what = What {
        hash: args.hash || everything,
        lake: args.lake || everything,
        delta: context.config.settings.lake.delta,
        raw: args.raw || everything,
        database: everything,
    };
    let report = verify::run(&store, &lake, what).await?;
    if args.output.format() == Format::Table {
        let mut text = String::new();
        if args.tables {
            for table in &report.tables {
                text.push_str(&format!("{}  {:>9}  {}\n", table.sha256, table.rows, table.table));
            }
        }
        if let Some(hash) = &report.hash {
            text.push_str(&format!("{hash}\n"));
        }
        args.output.write(&text, context)?;
    } else {
        let document = json!({
            "schema": "amzctl.verify/1",
            "hash": report.hash,
            "tables": report.tables,
            "checked": report.checked,
            "problems": report.problems,
        });
        args.output.write(&format!("{document:#}\n"), context)?;
    }
    for line in &report.checked {
        context.ui.note(line);
    }
    if report.problems.is_empty() {
        if everything {
            context.ui.note("the stored state is whole");
        }
        return Ok(Outcome::Done);
    }
    for problem in &report.problems {
        context.ui.complain(&format!("problem: {problem}"));
    }
    let problems = counted(report.problems.len(), "problem");
    let message = format!("the stored state is not whole: {problems}");
    Err(report.hints.into_iter().fold(Failure::failed(message), Failure::hint).into())
}

async fn repair(store: &Store, lake: &Lake, context: &Context) -> anyhow::Result<()> {
    let run = context.begin_run(store, "verify --repair").await?;
    let progress = context.ui.progress_rows(0);
    progress.set_message("mending the lake");
    let (options, cancel) = (build_mart::options(context), context.cancel());
    let told = |rows| progress.inc(rows);
    let summary = repair::run(store, lake, context.clock, &cancel, &told, &options).await?;
    progress.finish();
    run.finish(Outcome::Done, &json!({ "repair": summary })).await?;
    let mut lines = Vec::new();
    if summary.files > 0 {
        lines
            .push(format!("{} of the lake written again", counted(summary.files, "damaged or missing file")));
    }
    if summary.days > 0 {
        lines.push(format!("{} taken from the database again", counted(summary.days, "day")));
    }
    lines.extend(summary.delta_commits.iter().filter_map(super::lake::distrust_line));
    if lines.is_empty() && summary.files_written == 0 && summary.delta_commits.is_empty() {
        lines.push("nothing to mend".to_owned());
    }
    for line in lines {
        context.ui.note(&format!("repair: {line}"));
    }
    Ok(())
}
