//! `man`: the manual pages, made from the same text as the help.

use std::path::PathBuf;

use anyhow::Context as _;

use super::context::Context;
use crate::error::Outcome;

/// Print the manual page, or write the pages of all commands to a folder
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Folder for the pages of all commands; made when missing
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

pub(super) async fn run(args: ManArgs, context: &Context) -> anyhow::Result<Outcome> {
    let command = super::command();
    match args.folder {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            context.ui.data(&String::from_utf8(page)?);
        }
        Some(folder) => {
            let write =
                std::fs::create_dir_all(&folder).and_then(|()| clap_mangen::generate_to(command, &folder));
            write.with_context(|| format!("failed to write manual pages to {}", folder.display()))?;
            context.ui.note(&format!("wrote the manual pages to {}", folder.display()));
            context.ui.note(&format!("next: man -l {}", folder.join("amzctl.1").display()));
        }
    }
    Ok(Outcome::Done)
}
