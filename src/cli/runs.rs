//! `runs`: the ledger of what was run, when, and how it ended.

use super::OutputArgs;
use super::context::Context;
use crate::error::{Failure, Outcome};
use crate::render::rows::Cell;
pub(super) use crate::stages::runs::Holders;
use crate::stages::runs::{duration_seconds, run_rows};
use crate::store::Store;
use crate::store::ops::RunRecord;

/// Show what was run, when, and how it ended
#[derive(Clone, Debug, clap::Args)]
pub(super) struct RunsArgs {
    #[command(subcommand)]
    command: RunsCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum RunsCommand {
    /// List the newest runs
    List(ListArgs),
    /// Show one run with its summary
    Show(ShowArgs),
}

#[derive(Clone, Debug, clap::Args)]
struct ListArgs {
    /// At most this many
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    limit: u32,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct ShowArgs {
    /// Id of the run, or as much of its beginning as makes it unique; the newest run without it
    run_id: Option<String>,

    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: RunsArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    match args.command {
        RunsCommand::List(args) => list(args, &store, context).await?,
        RunsCommand::Show(args) => show(args, &store, context).await?,
    }
    Ok(Outcome::Done)
}

async fn list(args: ListArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    let holders = Holders::now(store).await?;
    let rows = run_rows(&store.load_runs(args.limit).await?, &holders);
    if rows.is_empty() {
        context.ui.note("nothing was run yet");
    }
    let table = ["run_id", "command", "state", "started_at", "duration_s", "exit_code"];
    args.output.emit_columns(&rows, &table, context)
}

async fn show(args: ShowArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    let run = match &args.run_id {
        Some(id) => named(id, store).await?,
        None => store.load_runs(1).await?.pop().ok_or_else(|| {
            Failure::usage("nothing was run yet").hint("`amzctl ingest FILE` is a beginning")
        })?,
    };
    let state = Holders::now(store).await?.state(&run);
    let fields: [(&'static str, Cell); 10] = [
        ("run_id", run.start.run_id.as_str().into()),
        ("command", run.start.command.as_str().into()),
        ("state", state.into()),
        ("started_at", run.start.started_at.into()),
        ("finished_at", run.finished_at.into()),
        ("duration_s", duration_seconds(&run).into()),
        ("exit_code", run.exit_code.map(u32::from).into()),
        ("host", run.start.host.as_str().into()),
        ("pid", run.start.pid.into()),
        ("summary", Cell::Json(run.summary)),
    ];
    args.output.emit_record("amzctl.runs.show/1", &fields, context)
}

async fn named(id: &str, store: &Store) -> anyhow::Result<RunRecord> {
    let mut found = store.load_runs_by_prefix(id.trim_end_matches('…')).await?.into_iter();
    match (found.next(), found.next()) {
        (Some(run), None) => Ok(run),
        (None, _) => Err(Failure::usage(format!("there is no run `{id}`"))
            .hint("`amzctl runs list` shows their ids")
            .into()),
        (Some(_), Some(_)) => Err(Failure::usage(format!("more than one run's id begins with `{id}`"))
            .hint("give more of it")
            .into()),
    }
}
