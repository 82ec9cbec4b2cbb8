//! `db`: what is done with a database as a whole.

mod copy;

use super::context::Context;
use crate::error::Outcome;

/// Look after the database as a whole
#[derive(Clone, Debug, clap::Args)]
pub(super) struct DbArgs {
    #[command(subcommand)]
    command: DbCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum DbCommand {
    Copy(copy::CopyArgs),
}

pub(super) async fn run(args: DbArgs, context: &Context) -> anyhow::Result<Outcome> {
    match args.command {
        DbCommand::Copy(args) => copy::run(args, context).await,
    }
}
