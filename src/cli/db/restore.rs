//! `db restore`: a backup takes the place of the embedded database.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::of_a_server;
use crate::cli::context::Context;
use crate::cli::sizes::size;
use crate::error::{Failure, Outcome};
use crate::ids::new_run_id;
use crate::store::backup::{self, Copied, is_same_file};
use crate::store::{Store, StoreError};

/// Put a backup in the place of the embedded database
///
/// The backup is checked first: it has to be a sound database of amzctl with a schema that this program knows, and its
/// days in the configured time zone. The database that was there is kept beside the new one. The lake is written again
/// from the database by the next build-mart.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct RestoreArgs {
    /// The backup; it is only read
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Replace a database that is there
    #[arg(long)]
    yes: bool,

    /// Check the backup and say what would happen, change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(args: RestoreArgs, context: &Context) -> anyhow::Result<Outcome> {
    context.check_found()?;
    let Some(database) = context.config.database.file() else { return Err(of_a_server(context)) };
    let (file, target) = (args.file.display(), database.display());
    if is_same_file(database, &args.file) {
        return Err(Failure::usage(format!("{file} is the database itself")).hint("name a backup").into());
    }
    let found = checked(&args.file).await?;
    context.check_zone("the backup", &found.identity.zone)?;
    let (version, bytes) = (found.schema_version, size(found.size_bytes));
    context.ui.note(&format!("{file} is sound ({bytes}, schema version {version})"));
    let is_replaced = database.exists();
    if args.dry_run {
        let what = if is_replaced { "would replace and keep" } else { "would make" };
        context.ui.note(&format!("dry run, nothing written: {what} {target}"));
        return Ok(Outcome::Done);
    }
    if is_replaced && !args.yes && !context.ui.confirm(&format!("replace {target}?"))? {
        return Err(Failure::usage(format!("{target} is there already"))
            .hint("replace it with --yes; it is kept beside the new one")
            .into());
    }
    let _pipeline = context.lock_file(database, "pipeline")?;
    let _deliver = context.lock_deliveries(database)?;
    let kept = name_to_keep(database, context);
    let kept = backup::restore(&args.file, database, &kept, &new_run_id(), context.busy_timeout())
        .await
        .with_context(|| format!("failed to restore {file}"))?;
    context.ui.note(&format!("restored {target} from {file}"));
    if let Some(kept) = kept {
        context.ui.note(&format!("the database that was there is kept as {}", kept.display()));
    }
    context
        .ui
        .note("the lake has a new epoch: the next `amzctl build-mart` writes it again from the database");
    if version < Store::SCHEMA_VERSION {
        context.ui.note(&format!("next: `amzctl db migrate` to schema version {}", Store::SCHEMA_VERSION));
    } else {
        context.ui.note("next: `amzctl build-mart`, then `amzctl verify`");
    }
    Ok(Outcome::Done)
}

async fn checked(file: &Path) -> anyhow::Result<Copied> {
    let shown = file.display();
    if !file.is_file() {
        return Err(Failure::usage(format!("{shown}: no such file")).into());
    }
    match backup::inspect(file).await {
        Err(StoreError::NotInitialised(_)) => {
            Err(Failure::failed(format!("{shown} holds no database of amzctl"))
                .hint("name another backup")
                .into())
        }
        Err(error @ (StoreError::Corrupt { .. } | StoreError::Unsound { .. })) => {
            Err(Failure::failed(format!("{shown} cannot be restored: {error}"))
                .hint("name another backup")
                .into())
        }
        found => found.with_context(|| format!("failed to read {shown}")),
    }
}

/// `amzctl.db.before-restore-20260301T120000Z`, or that with a number where it is taken.
fn name_to_keep(database: &Path, context: &Context) -> PathBuf {
    let moment = context.clock.now().format("%Y%m%dT%H%M%SZ");
    let name = |number: u32| {
        let mut name = database.as_os_str().to_owned();
        name.push(format!(".before-restore-{moment}"));
        if number > 1 {
            name.push(format!("-{number}"));
        }
        PathBuf::from(name)
    };
    (1..).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(1))
}
