//! `db copy`: the whole database into an empty one, of this engine or the other.

use std::path::Path;

use anyhow::Context as _;

use crate::cli::context::Context;
use crate::cli::output::{OutputArgs, counted};
use crate::cli::sizes;
use crate::config::PoolMode;
use crate::deps;
use crate::error::{Failure, Outcome};
use crate::render::rows::{Format, Rows};
use crate::stages::copy::{self, Planned, Step, Summary};
use crate::store::copy::Limits;
use crate::store::{Location, PageCache, Store};

/// Copy the configured database into an empty one: SQLite to PostgreSQL, back, or like to like
///
/// Every table is copied in chunks, with its row ids; then rows and SHA-256 of both sides are compared, over every column.
/// Until they are equal the copy cannot be used. Runs of the original wait meanwhile. A copy that was stopped goes on where
/// it was when the command is run again. The copy is a database of its own: it needs a lake of its own, which `build-mart`
/// writes.
#[derive(Clone, Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("target").required(true).args(["to", "to_env"])))]
pub(crate) struct CopyArgs {
    /// Where to: postgres://user@host/database, which has to be there and empty, or a file that does not exist
    ///
    /// No password belongs into it: keep that in PGPASSWORD or ~/.pgpass, or use --to-env. Whether a pooler lies in between
    /// is said by `pool_mode` under `[store]`, as for the configured database.
    #[arg(long, value_name = "TARGET")]
    to: Option<String>,

    /// The variable that says where to, of the environment or of the `.env` file beside the configuration; it may hold a
    /// password
    #[arg(long, value_name = "VARIABLE")]
    to_env: Option<String>,

    /// Say what would be copied, and touch nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: CopyArgs, context: &Context) -> anyhow::Result<Outcome> {
    let target = target(&args, context)?;
    let original = context.open_store().await?;
    if args.dry_run {
        let planned = copy::plan(&original, &target).await?;
        args.output.emit(&planned_rows(&planned), context)?;
        let rows: u64 = planned.iter().map(|table| table.size.rows).sum();
        let bytes: u64 = planned.iter().map(|table| table.size.bytes).sum();
        let (tables, bytes) = (counted(planned.len(), "table"), sizes::size(bytes));
        context.ui.note(&format!(
            "dry run, nothing written: {tables}, {}, {bytes} to {target}",
            counted(rows, "row")
        ));
        return Ok(Outcome::Done);
    }
    // What a run would add now, the copy would lack.
    let _locks = context.lock_all(&original).await?;
    // Before a schema is made there.
    copy::check_target(&original, &target).await?;
    let store = make(&target, context).await?;
    let progress = context.ui.progress_rows(0);
    let told = |step: Step<'_>| match step {
        Step::Copying(rows) | Step::Verifying(rows) => {
            progress.set_length(rows);
            progress.set_position(0);
        }
        Step::Table(name) => progress.set_message(name),
        Step::Rows(rows) => progress.inc(rows),
    };
    let cancel = context.cancel();
    let summary = copy::run(&original, &store, context.clock, &cancel, &told, Limits::default()).await;
    progress.finish();
    let summary = summary?;
    if !context.ui.quiet || args.output.output.is_some() || args.output.format() != Format::Table {
        let columns = ["table", "rows", "copied_rows", "equal"];
        args.output.emit_columns(&compared_rows(&summary), &columns, context)?;
    }
    conclude(&summary, &target, context)
}

fn conclude(summary: &Summary, target: &Location, context: &Context) -> anyhow::Result<Outcome> {
    let differing: Vec<&str> =
        summary.tables.iter().filter(|table| !table.is_equal()).map(|table| table.table.as_str()).collect();
    if !differing.is_empty() {
        return Err(Failure::failed(format!(
            "the copy in {target} differs from its original in {}, and stays unusable",
            differing.join(", ")
        ))
        .hint(copy::begin_anew(target))
        .into());
    }
    if summary.resumed_rows > 0 {
        context.ui.note(&format!("went on behind {}", counted(summary.resumed_rows, "row")));
    }
    let rows: u64 = summary.tables.iter().map(|table| table.rows).sum();
    context.ui.note(&format!(
        "copied to {target}: {}, {}; rows and hashes of both sides are equal",
        counted(summary.tables.len(), "table"),
        counted(rows, "row")
    ));
    let setting = match target {
        Location::File(path) => {
            // The configuration's relative paths are relative to another folder.
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            format!("`path = \"{}\"` (and no `url`)", path.display())
        }
        Location::Server(_) => format!("`url = \"{target}\"`"),
    };
    context.ui.note(&format!(
        "next: set {setting} under [store] and another folder as `root` under [lake], then `amzctl build-mart`"
    ));
    Ok(Outcome::Done)
}

/// Where the copy is to be.
///
/// Errors: a password in the arguments (usage); a variable that is not set; what is no location.
fn target(args: &CopyArgs, context: &Context) -> Result<Location, Failure> {
    let (text, what) = match (&args.to, &args.to_env) {
        (Some(text), _) if has_password(text) => {
            return Err(Failure::usage("--to holds a password, which others on this machine can read")
                .hint(
                    "leave it out and keep it in PGPASSWORD or ~/.pgpass, or name with --to-env VARIABLE a variable \
                     that holds the whole URL",
                ));
        }
        (Some(text), _) => (text.clone(), "--to".to_owned()),
        (None, variable) => {
            let name = variable.clone().unwrap_or_default();
            let value = deps::variable(&context.config, &name).filter(|value| !value.is_empty());
            let unset = || {
                Failure::usage(format!("the variable {name} is not set")).hint(
                    "it is looked for in the environment and in the `.env` file beside the configuration",
                )
            };
            (value.ok_or_else(unset)?, name.clone())
        }
    };
    if !text.contains("://") {
        let path = Path::new(&text);
        return match path.file_name() {
            Some(_) => Ok(Location::File(path.to_owned())),
            None => Err(Failure::usage(format!("{what}: `{text}` names no file"))),
        };
    }
    let is_pooled = context.config.settings.store.pool_mode == PoolMode::Transaction;
    Location::of_server(&text, is_pooled, context.config.database.beside())
        .map_err(|error| Failure::usage(format!("{what}: {error}")))
}

/// True when a URL says a password before its host or behind its `?`.
fn has_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    let (_, query) = rest.split_once('?').unwrap_or_default();
    user.and_then(|user| user.split_once(':')).is_some_and(|(_, password)| !password.is_empty())
        || query.split('&').any(|part| part.starts_with("password="))
}

/// Makes the schema, or opens the copy that was begun.
async fn make(target: &Location, context: &Context) -> anyhow::Result<Store> {
    if let Some(folder) = target.file().and_then(Path::parent) {
        std::fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    }
    let store = Store::create(target.clone()).await.with_context(|| format!("failed to open {target}"))?;
    context.close_at_end(&store);
    store.set_page_cache(PageCache::Large).await?;
    Ok(store)
}

fn planned_rows(planned: &[Planned]) -> Rows {
    let mut rows = Rows::new("amzctl.db.copy-plan/1", &["table", "rows", "bytes"]);
    for table in planned {
        rows.push(vec![table.table.as_str().into(), table.size.rows.into(), table.size.bytes.into()]);
    }
    rows
}

fn compared_rows(summary: &Summary) -> Rows {
    let columns = ["table", "rows", "copied_rows", "equal", "sha256", "copied_sha256"];
    let mut rows = Rows::new("amzctl.db.copy/1", &columns);
    for table in &summary.tables {
        rows.push(vec![
            table.table.as_str().into(),
            table.rows.into(),
            table.copied_rows.into(),
            table.is_equal().into(),
            table.sha256.as_str().into(),
            table.copied_sha256.as_str().into(),
        ]);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_found_wherever_a_url_may_hold_one() {
        for (url, expected) in [
            ("postgres://amz:s3cr3t@db.example/watch", true),
            ("postgres://amz:p@ss@db.example:5432/watch", true),
            ("postgres://:s3cr3t@db.example/watch", true),
            ("postgres://db.example/watch?sslmode=require&password=s3cr3t", true),
            ("postgres://amz@db.example:5432/watch", false),
            ("postgres://amz:@db.example/watch", false),
            ("postgres://db.example:5432/watch", false),
            ("postgres://localhost/a:b@c", false),
            ("folder:x@y/amzctl.db", false),
        ] {
            assert_eq!(has_password(url), expected, "{url}");
        }
    }
}
