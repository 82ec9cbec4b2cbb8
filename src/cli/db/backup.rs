//! `db backup`: the embedded database as one file, made while it is in use.

use std::path::PathBuf;

use anyhow::Context as _;

use super::of_a_server;
use crate::cli::context::Context;
use crate::cli::sizes::size;
use crate::error::{Failure, Outcome};
use crate::store::backup::is_same_file;

/// Copy the embedded database to a file, while it is in use
///
/// The copy is the state of one moment, without free pages and without a log beside it; it is checked before it gets its
/// name. Nobody has to stop for it. The lake is not in it: `build-mart` writes that again from the database.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct BackupArgs {
    /// The file; its folder has to be there
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Replace a file that is there
    #[arg(long)]
    yes: bool,

    /// Say what would be written, write nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(args: BackupArgs, context: &Context) -> anyhow::Result<Outcome> {
    let Some(database) = context.config.database.file() else { return Err(of_a_server(context)) };
    let store = context.open_store_as_it_is().await?;
    let shown = args.file.display();
    if is_same_file(database, &args.file) {
        return Err(Failure::usage(format!("{shown} is the database itself"))
            .hint("name another file")
            .into());
    }
    if args.dry_run {
        let what = if args.file.exists() { "would replace" } else { "would write" };
        let most = size(store.size_bytes().await?);
        context.ui.note(&format!("dry run, nothing written: {what} {shown}, {most} at most"));
        return Ok(Outcome::Done);
    }
    if args.file.exists() && !args.yes && !context.ui.confirm(&format!("replace {shown}?"))? {
        return Err(Failure::usage(format!("{shown} is there already")).hint("replace it with --yes").into());
    }
    let copied = store.back_up(&args.file).await.with_context(|| format!("failed to back up to {shown}"))?;
    let Some(copied) = copied else { return Err(of_a_server(context)) };
    let (version, size) = (copied.schema_version, size(copied.size_bytes));
    context.ui.note(&format!("wrote {shown} ({size}, schema version {version}), checked"));
    context.ui.note(&format!("next: keep it on another disk; `amzctl db restore {shown}` brings it back"));
    Ok(Outcome::Done)
}
