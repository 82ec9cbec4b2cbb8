//! Copy: a whole database into an empty one of either engine, and the proof that it is the same.
//!
//! Reads one state of the original, which nobody changes meanwhile: a copy that is whole has everything. Writes the copy.
//! One unit of work is a chunk of a table's rows. A second run goes on where the first was stopped; of a copy that is
//! whole there is nothing to go on with. The copy gets its name last, and cannot be used before.

use std::collections::BTreeSet;

use anyhow::Context as _;
use futures_util::future::join;

use crate::cancel::CancelToken;
use crate::clock::{Clock, Stopwatch};
use crate::error::Failure;
use crate::failpoint;
use crate::ids::new_run_id;
use crate::store::copy::{Limits, Size, Snapshot, Table, TableProgress, Target};
use crate::store::ops::Identity;
use crate::store::{Location, Store};

/// A table of the original.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Planned {
    pub table: String,
    pub size: Size,
}

/// A table on both sides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compared {
    pub table: String,
    pub rows: u64,
    pub copied_rows: u64,
    /// Over every column of every row, in the order of the key.
    pub sha256: String,
    pub copied_sha256: String,
}

impl Compared {
    pub fn is_equal(&self) -> bool {
        self.rows == self.copied_rows && self.sha256 == self.copied_sha256
    }
}

/// What became of a copy.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    pub tables: Vec<Compared>,
    /// Rows that were there before this run.
    pub resumed_rows: u64,
    pub copied_rows: u64,
}

impl Summary {
    pub fn is_equal(&self) -> bool {
        self.tables.iter().all(Compared::is_equal)
    }
}

/// What is going on.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// So many rows are to be copied.
    Copying(u64),
    /// So many rows are to be read again, on both sides.
    Verifying(u64),
    Table(&'a str),
    Rows(u64),
}

/// The tables of the original, and whether a copy could be made at the target; writes nothing.
pub async fn plan(original: &Store, target: &Location) -> anyhow::Result<Vec<Planned>> {
    check_target(original, target).await?;
    let tables = original.tables().await?;
    let mut state = original.snapshot().await?;
    let sizes = sizes(&mut state, &tables).await?;
    state.release().await?;
    Ok(sizes.into_iter().map(|(table, size)| Planned { table: table.name, size }).collect())
}

/// Errors: what lies at the target cannot become a copy of the original.
pub async fn check_target(original: &Store, target: &Location) -> anyhow::Result<()> {
    let identity = identity_of(original).await?;
    let found = Store::look_at(target).await.with_context(|| format!("failed to look at {target}"))?;
    accept(found, &identity, target)?;
    Ok(())
}

/// Copies the original into the target, or what is missing there, and compares both; `told` hears what is going on.
///
/// The caller holds the original's pipelines. Errors: a target that is something else than empty or this copy; an
/// original that changed since the copy began; a stop asked for.
pub async fn run(
    original: &Store,
    target: &Store,
    clock: Clock,
    cancel: &CancelToken,
    told: &(dyn Fn(Step<'_>) + Send + Sync),
    limits: Limits,
) -> anyhow::Result<Summary> {
    let watch = Stopwatch::start();
    let identity = identity_of(original).await?;
    let mut state = original.hold().await.context("failed to hold the database still")?;
    let tables = sizes(&mut state, &original.tables().await?).await?;
    let begun = target.begin_copy(&identity.database_uuid, &tables).await?;
    let progress = accept(begun, &identity, target.location())?;
    check_unchanged(&tables, &progress, target.location())?;
    failpoint!("copy.after_begin");

    let mut summary =
        Summary { resumed_rows: progress.iter().map(|table| table.rows).sum(), ..Summary::default() };
    let all: u64 = tables.iter().map(|(_, size)| size.rows).sum();
    told(Step::Copying(all));
    told(Step::Rows(summary.resumed_rows));
    for (table, _) in &tables {
        let Some(at) = progress.iter().find(|at| at.table == table.name) else { continue };
        told(Step::Table(&table.name));
        summary.copied_rows += copy_table(&mut state, target, table, at, cancel, told, limits)
            .await
            .with_context(|| format!("failed to copy {}", table.name))?;
    }
    let names: Vec<Table> = tables.into_iter().map(|(table, _)| table).collect();
    target.gather_statistics(&names).await.context("failed to gather the copy's statistics")?;

    failpoint!("copy.before_verify");
    told(Step::Verifying(2 * all));
    summary.tables = compare(&mut state, target, &names, cancel, told, limits).await?;
    if summary.is_equal() {
        let counters = state.counters().await?;
        // A database of its own, with a lake of its own: neither takes the other's files for its own.
        let identity = Identity {
            database_uuid: new_run_id(),
            lake_epoch: new_run_id(),
            zone: identity.zone,
            created_at: clock.now(),
        };
        failpoint!("copy.before_end");
        target.finish_copy(&identity, &counters).await.context("failed to name the copy")?;
        failpoint!("copy.after_end");
    }
    state.release().await?;
    let (tables, rows) = (summary.tables.len(), summary.copied_rows);
    tracing::info!(tables, rows, duration_ms = watch.elapsed_ms(), "database copied");
    Ok(summary)
}

async fn identity_of(original: &Store) -> anyhow::Result<Identity> {
    original.identity().await?.context("the original has no name")
}

async fn sizes(state: &mut Snapshot, tables: &[Table]) -> anyhow::Result<Vec<(Table, Size)>> {
    let mut sizes = Vec::new();
    for table in tables {
        let size = state.size_of(table).await.with_context(|| format!("failed to count {}", table.name))?;
        sizes.push((table.clone(), size));
    }
    Ok(sizes)
}

/// Copies the rows of a table that are not there yet; answers how many.
async fn copy_table(
    state: &mut Snapshot,
    target: &Store,
    table: &Table,
    at: &TableProgress,
    cancel: &CancelToken,
    told: &(dyn Fn(Step<'_>) + Send + Sync),
    limits: Limits,
) -> anyhow::Result<u64> {
    if at.is_whole {
        return Ok(0);
    }
    let (mut rows, mut months) = (0, BTreeSet::new());
    let mut chunk = state.chunk(table, at.last_key.as_deref(), limits).await?;
    loop {
        stop_if_asked(cancel)?;
        // The next chunk is read while this one is written.
        let next = async {
            match chunk.is_last {
                true => Ok(None),
                false => state.chunk(table, chunk.last_key(), limits).await.map(Some),
            }
        };
        let (written, next) = join(target.commit_chunk(table, &chunk, &mut months), next).await;
        written?;
        rows += chunk.rows();
        told(Step::Rows(chunk.rows()));
        match next? {
            Some(following) => chunk = following,
            None => return Ok(rows),
        }
    }
}

async fn compare(
    state: &mut Snapshot,
    target: &Store,
    tables: &[Table],
    cancel: &CancelToken,
    told: &(dyn Fn(Step<'_>) + Send + Sync),
    limits: Limits,
) -> anyhow::Result<Vec<Compared>> {
    let mut copy = target.snapshot().await?;
    let mut compared = Vec::new();
    let rows = |rows| told(Step::Rows(rows));
    for table in tables {
        stop_if_asked(cancel)?;
        told(Step::Table(&table.name));
        let sides = join(state.hash(table, limits, &rows), copy.hash(table, limits, &rows)).await;
        let original = sides.0.with_context(|| format!("failed to read {}", table.name))?;
        let copied = sides.1.with_context(|| format!("failed to read the copy of {}", table.name))?;
        compared.push(Compared {
            table: table.name.clone(),
            rows: original.rows,
            copied_rows: copied.rows,
            sha256: original.sha256,
            copied_sha256: copied.sha256,
        });
    }
    copy.release().await?;
    Ok(compared)
}

/// How far the copy at the target is.
///
/// Errors: what is there is neither empty nor a copy of this database that goes on.
fn accept(found: Target, identity: &Identity, target: &Location) -> Result<Vec<TableProgress>, Failure> {
    let failure = match found {
        Target::Empty => return Ok(Vec::new()),
        Target::Begun { source_uuid, tables } if source_uuid == identity.database_uuid => return Ok(tables),
        Target::Begun { .. } => Failure::usage(format!(
            "{target} holds the unfinished copy of another database than the configured one"
        ))
        .hint("go on with it with that one's configuration"),
        Target::InUse(other) if other.database_uuid == identity.database_uuid => Failure::usage(format!(
            "{target} is the configured database itself, or its file under another name"
        )),
        Target::InUse(_) => {
            Failure::usage(format!("{target} is a database of its own already: nothing is copied over it"))
                .hint("a copy that was whole is one, too: name it in the configuration to use it")
        }
        Target::HasRows(table) => Failure::usage(format!("{target} is not empty: {table} has rows")),
        Target::Foreign => {
            Failure::usage(format!("{target} is not empty, and not a database that amzctl has made"))
        }
    };
    Err(failure.hint(name_an_empty_one(target)))
}

fn name_an_empty_one(target: &Location) -> &'static str {
    match target {
        Location::File(_) => "name a file that does not exist",
        Location::Server(_) => "name an empty database of the server: `createdb NAME`",
    }
}

/// What to do about a copy that cannot become whole.
pub fn begin_anew(target: &Location) -> &'static str {
    match target {
        Location::File(_) => "remove the file and copy again",
        Location::Server(_) => "drop the database (`dropdb NAME`), create it, and copy again",
    }
}

/// Rows that were added behind the key that a stopped copy came to would be found, others not.
///
/// Errors: a table has another number of rows than when the copy began.
fn check_unchanged(
    tables: &[(Table, Size)],
    progress: &[TableProgress],
    target: &Location,
) -> Result<(), Failure> {
    for (table, size) in tables {
        let before = progress.iter().find(|at| at.table == table.name).map(|at| at.source_rows);
        if before != Some(size.rows) {
            return Err(Failure::failed(format!(
                "the database has changed since its copy in {target} was begun: rows of {}: {} then, {} now",
                table.name,
                before.unwrap_or(0),
                size.rows
            ))
            .hint(begin_anew(target)));
        }
    }
    Ok(())
}

fn stop_if_asked(cancel: &CancelToken) -> anyhow::Result<()> {
    match cancel.outcome() {
        Some(outcome) => Err(Failure::new(outcome, "stopped before the copy was whole")
            .hint("run the command again: it goes on from here")
            .into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
