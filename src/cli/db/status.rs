//! `db status`: what the database holds, what that takes, who works on it, and what slows it down.

use anyhow::Context as _;
use serde::Serialize;

use super::partitions::months_from;
use crate::cli::OutputArgs;
use crate::cli::context::Context;
use crate::cli::output::counted;
use crate::cli::sizes::size;
use crate::error::Outcome;
use crate::lock::{Holder, current_holders};
use crate::model::Timestamp;
use crate::render::rows::{Cell, Format, Rows, instant_to_second};
use crate::store::Store;
use crate::store::condition::{TableCondition, Waste};

/// Free pages of a file, or a log beside it, are worth a word from here on, and from this share of the file.
const MUCH_FREE: u64 = 64 << 20;
const MUCH_FREE_SHARE: u64 = 4;

/// Show what the database holds, what that takes, and what slows it down
///
/// Small tables are counted; of large ones on a server the server's guess is shown, and those of a large file are left
/// out. Works with an older schema too.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct StatusArgs {
    /// Count and measure every table, however large
    #[arg(long)]
    exact: bool,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    database: String,
    engine: &'static str,
    engine_version: String,
    schema_version: i64,
    /// What this program writes.
    newest_schema_version: i64,
    size_bytes: u64,
    locks: Vec<Lock>,
    tables: Vec<Table>,
    /// Of a server's tables that are kept by month.
    months: Vec<Month>,
    hints: Vec<String>,
}

#[derive(Serialize)]
struct Lock {
    /// Or what is shared, with whoever does: `ingest/<run>`.
    pipeline: String,
    /// Null: it is free.
    holder: Option<LockHolder>,
}

#[derive(Serialize)]
struct LockHolder {
    command: String,
    pid: u32,
    host: String,
    started_at: Timestamp,
}

#[derive(Serialize)]
struct Table {
    name: String,
    rows: Option<i64>,
    /// False: as the server guesses.
    rows_are_counted: bool,
    size_bytes: Option<i64>,
}

#[derive(Serialize)]
struct Month {
    table: String,
    month: String,
    /// As the server guesses.
    rows: Option<i64>,
    size_bytes: i64,
}

pub(super) async fn run(args: StatusArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store_as_it_is().await?;
    let document =
        gather(&store, args.exact, context).await.context("failed to read the state of the database")?;
    if args.output.format() == Format::Json && args.output.fields.is_none() {
        args.output.write(&(serde_json::to_string_pretty(&document)? + "\n"), context)?;
    } else {
        args.output.emit(&rows(&document)?, context)?;
    }
    for hint in &document.hints {
        context.ui.note(&format!("hint: {hint}"));
    }
    Ok(Outcome::Done)
}

async fn gather(store: &Store, exact: bool, context: &Context) -> anyhow::Result<Document> {
    let (engine, engine_version) = store.engine().await?;
    let size_bytes = store.size_bytes().await?;
    let holders = current_holders(store).await?.into_iter();
    let locks =
        holders.map(|(pipeline, holder)| Lock { pipeline, holder: holder.map(lock_holder) }).collect();
    let schema_version = store.schema_version().await?;
    let months = store.load_months().await?.unwrap_or_default().into_iter();
    let mut hints = waste_hints(&store.waste().await?, size_bytes);
    if schema_version < Store::SCHEMA_VERSION {
        hints.push(format!("`amzctl db migrate` brings the schema to version {}", Store::SCHEMA_VERSION));
    }
    let missing = store.missing_months(&months_from(context.today(), 1)).await?;
    for (table, months) in &missing {
        hints.push(format!("{table} has no {} yet: `amzctl db partitions`", months.join(" and no ")));
    }
    Ok(Document {
        schema: "amzctl.db.status/1",
        database: context.config.database.to_string(),
        engine,
        engine_version,
        schema_version,
        newest_schema_version: Store::SCHEMA_VERSION,
        size_bytes,
        locks,
        tables: store.table_conditions(exact).await?.into_iter().map(table).collect(),
        months: months
            .map(|month| Month {
                table: month.table,
                month: month.month,
                rows: month.rows,
                size_bytes: month.size_bytes,
            })
            .collect(),
        hints,
    })
}

fn lock_holder(Holder { pid, host, started_at, command, .. }: Holder) -> LockHolder {
    LockHolder { command, pid, host, started_at }
}

fn table(TableCondition { name, rows, is_counted, size_bytes }: TableCondition) -> Table {
    Table { name, rows, rows_are_counted: is_counted, size_bytes }
}

fn waste_hints(waste: &Waste, file_bytes: u64) -> Vec<String> {
    let is_much = |bytes: u64| bytes >= MUCH_FREE && bytes >= file_bytes / MUCH_FREE_SHARE;
    match waste {
        Waste::File { free_bytes, log_bytes } => {
            let mut hints = Vec::new();
            if is_much(*free_bytes) {
                hints.push(format!(
                    "{} of the file are free: they are filled before it grows; a backup that is restored is without them",
                    size(*free_bytes)
                ));
            }
            if is_much(*log_bytes) {
                hints.push(format!(
                    "the log beside the file has {}: a process that reads for long keeps it from being cleared",
                    size(*log_bytes)
                ));
            }
            hints
        }
        Waste::Server { dead_rows, long_transactions } => {
            let dead = dead_rows.iter().map(|rows| {
                let cleared = rows.cleared_at.map_or_else(
                    || "never vacuumed".to_owned(),
                    |at| format!("last vacuumed {}", instant_to_second(at)),
                );
                format!(
                    "{} has {} dead rows beside {} ({cleared}): VACUUM it",
                    rows.table, rows.dead, rows.live
                )
            });
            let long = long_transactions.iter().map(|open| {
                let minutes = counted(open.open_s / 60, "minute");
                format!(
                    "a transaction of {} ({}, pid {}, {}) has been open for {minutes}: no dead row since is cleared away",
                    open.role, open.application, open.pid, open.state
                )
            });
            dead.chain(long).collect()
        }
    }
}

/// The document as items with values: what every format but JSON shows.
fn rows(document: &Document) -> anyhow::Result<Rows> {
    let mut rows = Rows::new("amzctl.db.status/1", &["item", "rows", "size_bytes", "detail"]);
    let size = i64::try_from(document.size_bytes)?;
    let engine = format!("{} {}", document.engine, document.engine_version);
    rows.push(vec!["database".into(), Cell::Null, size.into(), document.database.as_str().into()]);
    rows.push(vec!["engine".into(), Cell::Null, Cell::Null, engine.into()]);
    let (found, newest) = (document.schema_version, document.newest_schema_version);
    let version = match found == newest {
        true => format!("version {found}, the newest"),
        false => format!("version {found}, this program writes {newest}"),
    };
    rows.push(vec!["schema".into(), Cell::Null, Cell::Null, version.into()]);
    for lock in &document.locks {
        let holder = lock.holder.as_ref().map_or_else(
            || "free".to_owned(),
            |LockHolder { command, pid, host, started_at }| {
                format!("`{command}`, pid {pid} on {host}, since {}", instant_to_second(*started_at))
            },
        );
        rows.push(vec![format!("lock {}", lock.pipeline).into(), Cell::Null, Cell::Null, holder.into()]);
    }
    for table in &document.tables {
        let detail = match (table.rows_are_counted, table.rows) {
            (true, _) => Cell::Null,
            (false, Some(_)) => "rows as the server guesses".into(),
            (false, None) => "not counted: --exact counts".into(),
        };
        rows.push(vec![
            format!("table {}", table.name).into(),
            table.rows.into(),
            table.size_bytes.into(),
            detail,
        ]);
    }
    for month in &document.months {
        let name = format!("month {} {}", month.table, month.month);
        rows.push(vec![name.into(), month.rows.into(), month.size_bytes.into(), Cell::Null]);
    }
    Ok(rows)
}
