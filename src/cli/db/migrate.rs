//! `db migrate`: brings the schema up to date, at a time of one's own choosing.

use anyhow::Context as _;

use crate::cli::context::Context;
use crate::error::{Failure, Outcome};
use crate::store::Store;

/// Bring the schema up to date
///
/// Every other command does so as well when it opens a database of an older schema, unless --no-migrate is given.
/// A file is backed up beside itself first; a server's database is to be backed up by whoever looks after it, and the
/// role has to own its schemas.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct MigrateArgs {
    /// Say what would be applied, change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(args: MigrateArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store_as_it_is().await?;
    let pending = store.pending_migrations().await?;
    if pending.is_empty() {
        context.ui.note(&format!("up to date: schema version {}", Store::SCHEMA_VERSION));
        return Ok(Outcome::Done);
    }
    let would = if args.dry_run { "would apply" } else { "applying" };
    for migration in &pending {
        context.ui.note(&format!("{would} migration {} ({})", migration.version, migration.name));
    }
    if args.dry_run {
        context.ui.note("dry run, nothing written");
        return Ok(Outcome::Done);
    }
    if context.global.no_migrate {
        return Err(Failure::usage("--no-migrate keeps `db migrate` from its work")
            .hint("leave it out")
            .into());
    }
    let _lock = context.lock(&store, "pipeline").await?;
    let from = store.schema_version().await?;
    store.migrate().await.with_context(|| format!("failed to migrate {}", context.config.database))?;
    let to = store.schema_version().await?;
    context.ui.note(&format!("the schema is version {to} now, it was {from}"));
    context.ui.note("next: `amzctl verify`");
    Ok(Outcome::Done)
}
