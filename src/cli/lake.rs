//! `lake`: what is done with the Parquet files besides building them.

use serde_json::json;

use super::context::Context;
use super::output::counted;
use crate::error::Outcome;
use crate::lake::{DeltaCommit, Lake};
use crate::stages::delta;

/// Look after the lake: the Parquet files that other engines read
#[derive(Clone, Debug, clap::Args)]
pub(super) struct LakeArgs {
    #[command(subcommand)]
    command: LakeCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum LakeCommand {
    /// Bring the Delta logs up to the current files
    ///
    /// Every build-mart does this at its end, unless the configuration says `[lake] delta = false`. A log that
    /// is damaged, or was written by somebody else, is written anew.
    PublishDelta(PublishDeltaArgs),
}

#[derive(Clone, Debug, clap::Args)]
struct PublishDeltaArgs {
    /// Say what would be committed, write nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(args: LakeArgs, context: &Context) -> anyhow::Result<Outcome> {
    let LakeCommand::PublishDelta(args) = args.command;
    publish_delta(args, context).await?;
    Ok(Outcome::Done)
}

async fn publish_delta(args: PublishDeltaArgs, context: &Context) -> anyhow::Result<()> {
    let store = context.open_store().await?;
    let lake = Lake::new(&context.config.lake_root);
    let commits = if args.dry_run {
        delta::run(&store, &lake, context.clock, true).await?
    } else {
        let _lock = context.lock(&store, "pipeline").await?;
        let run = context.begin_run(&store, "lake publish-delta").await?;
        let commits = delta::run(&store, &lake, context.clock, false).await?;
        run.finish(Outcome::Done, &json!({ "publish_delta": commits })).await?;
        commits
    };
    if commits.is_empty() {
        context.ui.note("publish-delta: nothing new");
    }
    for commit in &commits {
        if let Some(line) = distrust_line(commit) {
            context.ui.note(&format!("publish-delta: {line}"));
        }
        context.ui.note(&format!("publish-delta: {}", commit_line(commit)));
    }
    if args.dry_run {
        context.ui.note("dry run, nothing written");
    }
    Ok(())
}

/// `core/ranks: version 3: 1 file added, 2 removed`
fn commit_line(commit: &DeltaCommit) -> String {
    let version =
        commit.version.map_or_else(|| "a new log".to_owned(), |version| format!("version {version}"));
    let added = counted(commit.added, "file");
    format!("{}: {version}: {added} added, {} removed", commit.table, commit.removed)
}

/// Why a log was written anew, if it was.
pub(super) fn distrust_line(commit: &DeltaCommit) -> Option<String> {
    let reason = commit.distrusted.as_ref()?;
    Some(format!("the Delta log of {} is written anew: {reason}", commit.table))
}
