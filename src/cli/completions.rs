//! `completions`: what a shell needs to complete commands and flags.

use clap_complete::Shell;

use super::context::Context;
use crate::error::Outcome;

/// Print the completions of a shell
///
/// bash: amzctl completions bash > ~/.local/share/bash-completion/completions/amzctl
#[derive(Clone, Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// Shell that is used
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) async fn run(args: CompletionsArgs, context: &Context) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "amzctl", &mut script);
    context.ui.data(&String::from_utf8(script)?);
    Ok(Outcome::Done)
}
