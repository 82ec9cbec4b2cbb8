//! `db`: looking after the database itself.

mod backup;
mod copy;
mod migrate;
mod partitions;
mod restore;
mod retention;
mod status;

pub(super) use partitions::{make_ahead, put_in_order};

use super::context::Context;
use crate::error::{Failure, Outcome};

/// Look after the database: its schema, months, copies, backups and age
#[derive(Clone, Debug, clap::Args)]
pub(super) struct DbArgs {
    #[command(subcommand)]
    command: DbCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum DbCommand {
    Migrate(migrate::MigrateArgs),
    Status(status::StatusArgs),
    Partitions(partitions::PartitionsArgs),
    Copy(copy::CopyArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Retention(retention::RetentionArgs),
}

pub(super) async fn run(args: DbArgs, context: &Context) -> anyhow::Result<Outcome> {
    match args.command {
        DbCommand::Migrate(args) => migrate::run(args, context).await,
        DbCommand::Status(args) => status::run(args, context).await,
        DbCommand::Partitions(args) => partitions::run(args, context).await,
        DbCommand::Copy(args) => copy::run(args, context).await,
        DbCommand::Backup(args) => backup::run(args, context).await,
        DbCommand::Restore(args) => restore::run(args, context).await,
        DbCommand::Retention(args) => retention::run(args, context).await,
    }
}

/// A server's backups are not amzctl's.
fn of_a_server(context: &Context) -> anyhow::Error {
    Failure::usage(format!(
        "{} is a server's database: only an embedded one is a file",
        context.config.database
    ))
    .hint("use `pg_dump --format=custom` and `pg_restore`, or the server's own backups")
    .into()
}
