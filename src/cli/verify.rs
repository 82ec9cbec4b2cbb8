//! `verify`: is the stored state whole, and what is its hash.

use serde_json::json;

use super::context::Context;
use super::output::{OutputArgs, counted};
use crate::error::{Failure, Outcome};
use crate::lake::Lake;
use crate::render::rows::Format;
use crate::stages::verify::{self, What};

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

    /// Hash every raw body again
    #[arg(long)]
    pub raw: bool,

    #[command(flatten)]
    pub output: OutputArgs,
}

pub(super) async fn run(args: VerifyArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let everything = !args.hash && !args.lake && !args.raw;
    let what = What {
        hash: args.hash || everything,
        lake: args.lake || everything,
        raw: args.raw || everything,
        database: everything,
    };
    let report = verify::run(&store, &Lake::new(&context.config.lake_root), what).await?;
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
