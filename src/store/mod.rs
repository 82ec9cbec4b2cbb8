//! The store: the only module that knows SQL. One method is one unit of work, named for its purpose.
//!
//! SQLite, embedded: WAL, `synchronous=FULL`, foreign keys, one writer connection whose transactions begin
//! IMMEDIATE, a few readers. Methods lie in one file per layer (`raw`, `core`, `lake`, `mart`, `alerts`, `outbox`,
//! `ops`), and in one per use where a use reads across layers (`watch`, `quarantine`, `drift`, `judging`,
//! `comparisons`, `reports`, `explain`, `export`, `checks`, `integrity`, `hash`).

pub mod alerts;
mod bulk;
pub mod checks;
mod columns;
mod comparisons;
#[cfg(test)]
mod contract;
mod core;
mod drift;
mod explain;
pub mod export;
pub mod fetching;
mod hash;
mod integrity;
pub mod judging;
pub mod lake;
pub mod mart;
mod migrate;
pub mod ops;
pub mod outbox;
pub mod quarantine;
pub mod raw;
pub mod reports;
pub mod spending;
pub mod watch;

pub use core::history::KnownHistory;
pub use core::{
    BatchEffect, Derive, NewObservation, NormalizedBatch, ProductRecord, RawRecord, ReceiptOutcome,
    StoredRecord, Unread,
};
pub use drift::{Delivery, Failure, FieldKnown, NewIncident};
pub use explain::Evidence;
pub use hash::{TableHash, combined};
pub use quarantine::NewQuarantine;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, Sqlite, SqliteConnection, Transaction};

use crate::error::Outcome;

/// How long a writer waits for another process before it gives up (exit 7), where nothing else is configured.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// `SQLITE_READONLY_DIRECTORY`: the files beside the database cannot be made.
const READ_ONLY_FOLDER: i64 = 8 | 6 << 8;
/// Page cache of a connection; negative is KiB in SQLite's words.
const CACHE_KIB: &str = "-65536";
/// Pages in the WAL before they are moved into the file: 64 MiB, so that a page that many batches touch is written once.
const CHECKPOINT_PAGES: &str = "16384";
/// Rows that a query may be ahead of its reader: with sqlx's 50 the two threads wake each other all the time.
const ROW_BUFFER: usize = 1000;
/// Readers of one process.
const READERS: u32 = 4;

/// What can go wrong with the store: one variant per thing a caller does differently.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("no database at {0}")]
    NotInitialised(PathBuf),
    #[error("the database has schema version {found}, newer than this amzctl knows ({known})")]
    NewerSchema { found: i64, known: i64 },
    #[error("the database has schema version {found}, this amzctl needs {known}, and --no-migrate was given")]
    MigrationRefused { found: i64, known: i64 },
    #[error("migration {0} of the database differs from the one this amzctl knows")]
    ChangedMigration(i64),
    #[error("the database is in use by another process")]
    Busy(#[source] sqlx::Error),
    #[error("the database cannot be written: it is read-only")]
    ReadOnly(#[source] sqlx::Error),
    #[error("the disk is full")]
    Full(#[source] sqlx::Error),
    #[error("{path} is not a sound SQLite database")]
    Corrupt {
        path: PathBuf,
        #[source]
        source: sqlx::Error,
    },
    #[error("the database's files cannot be opened")]
    Unopened(#[source] sqlx::Error),
    #[error("the system failed to read or write the database")]
    Disk(#[source] sqlx::Error),
    #[error("the database refused the statement")]
    Database(#[source] sqlx::Error),
    #[error("cannot read or write {path}")]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A stored value that no version of amzctl writes.
    #[error("unreadable value in {table}.{column}: `{value}`")]
    Value { table: &'static str, column: &'static str, value: String },
}

impl StoreError {
    pub fn outcome(&self) -> Outcome {
        match self {
            StoreError::NotInitialised(_) => Outcome::NotInitialised,
            StoreError::Busy(_) => Outcome::Transient,
            _ => Outcome::Failed,
        }
    }

    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            StoreError::NotInitialised(_) => {
                "create one with `amzctl init`, or name the configuration with --config"
            }
            StoreError::NewerSchema { .. } => "install the newer amzctl; this database is not changed",
            StoreError::MigrationRefused { .. } => {
                "run once without --no-migrate; the file is backed up first"
            }
            StoreError::ChangedMigration(_) => {
                "nothing of it was changed: open it with the amzctl that made it, or make a new one with `amzctl init` \
                 and ingest the files again"
            }
            StoreError::Busy(_) => "run again when the other process has finished",
            StoreError::ReadOnly(_) => {
                "check the permissions of the file, of those beside it that end in -shm and -wal, of its folder and of \
                 the file system"
            }
            StoreError::Unopened(_) => {
                "check the permissions of its folder and the file system: even reading needs to write beside the file"
            }
            StoreError::Disk(_) => {
                "check the disk and its limits, and run the command again: what was committed is kept"
            }
            StoreError::Full(_) => {
                "free some disk space and run the command again: what was committed is kept"
            }
            StoreError::Corrupt { .. } => {
                "restore a backup; without one move the file and the lake's folder away, run `amzctl init`, and ingest \
                 the files again"
            }
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        let code = error.as_database_error().and_then(|e| e.code()).and_then(|code| code.parse::<i64>().ok());
        if code == Some(READ_ONLY_FOLDER) {
            return StoreError::Unopened(error);
        }
        // The low byte is SQLite's primary result code.
        match code.map(|code| code & 0xff) {
            Some(5 | 6) => StoreError::Busy(error),
            Some(8) => StoreError::ReadOnly(error),
            Some(10) => StoreError::Disk(error),
            Some(13) => StoreError::Full(error),
            Some(14) => StoreError::Unopened(error),
            Some(11 | 26) => StoreError::Corrupt { path: PathBuf::from("the file"), source: error },
            _ => StoreError::Database(error),
        }
    }
}

pub type Result<T, E = StoreError> = std::result::Result<T, E>;
pub(crate) type Tx = Transaction<'static, Sqlite>;

/// What to do about a schema older than this binary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Migrate {
    Yes,
    Refuse,
}

/// How many pages the writer keeps in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageCache {
    /// 8 MiB.
    Small,
    /// 64 MiB: rows arrive by day and lie by product.
    Usual,
}

/// The embedded store.
#[derive(Clone, Debug)]
pub struct Store {
    writer: SqlitePool,
    reader: SqlitePool,
    path: PathBuf,
}

impl Store {
    /// Opens the database at `path`, bringing its schema up to date.
    ///
    /// Errors: `NotInitialised` when there is no file; `NewerSchema`, `Corrupt`, `Busy`.
    pub async fn open(path: &Path, migrate: Migrate) -> Result<Store> {
        Store::open_waiting(path, migrate, BUSY_TIMEOUT).await
    }

    /// [`Store::open`], with the time a writer waits for another process.
    pub async fn open_waiting(path: &Path, migrate: Migrate, busy_timeout: Duration) -> Result<Store> {
        if !path.exists() {
            return Err(StoreError::NotInitialised(path.to_owned()));
        }
        let store = Store::connect(path, false, busy_timeout).await.map_err(|error| at(path, error))?;
        migrate::check_or_apply(&store, migrate).await.map_err(|error| at(path, error))?;
        Ok(store)
    }

    /// Creates the database (or opens an existing one) and applies every migration.
    pub async fn create(path: &Path) -> Result<Store> {
        let store = Store::connect(path, true, BUSY_TIMEOUT).await.map_err(|error| at(path, error))?;
        migrate::check_or_apply(&store, Migrate::Yes).await.map_err(|error| at(path, error))?;
        Ok(store)
    }

    async fn connect(path: &Path, create: bool, busy_timeout: Duration) -> Result<Store> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(create)
            .foreign_keys(true)
            .busy_timeout(busy_timeout)
            .synchronous(SqliteSynchronous::Full)
            // Rows arrive by day and lie by product: with SQLite's 2 MiB every batch would read its pages anew.
            .pragma("cache_size", CACHE_KIB)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .row_buffer_size(ROW_BUFFER)
            // A long export is not worth a warning on the terminal.
            .disable_statement_logging();
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .before_acquire(|connection, _| Box::pin(ready(Ok(is_at_rest(connection)))))
            .connect_lazy_with(options.clone().journal_mode(SqliteJournalMode::Wal));
        let reader = SqlitePoolOptions::new().max_connections(READERS).connect_lazy_with(options);
        Ok(Store { writer, reader, path: path.to_owned() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sets the writer's page cache: a stage that only appends gains nothing from a large one.
    pub async fn set_page_cache(&self, cache: PageCache) -> Result<()> {
        let pragma = match cache {
            PageCache::Small => "PRAGMA cache_size = -8192",
            PageCache::Usual => "PRAGMA cache_size = -65536",
        };
        sqlx::query(pragma).execute(&self.writer).await?;
        Ok(())
    }

    /// Begins a write transaction that holds the write lock from its first statement on.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// A connection for reading.
    pub(crate) fn reader(&self) -> &SqlitePool {
        &self.reader
    }

    /// Closes all connections; the WAL is checkpointed by the last one.
    pub async fn close(self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

/// False when SQLite gave up a transaction by itself, as it does where the disk is full: sqlx's own roll-back fails then,
/// and the connection, which counts a transaction as open, would refuse every later one. It is closed instead.
fn is_at_rest(idle: &SqliteConnection) -> bool {
    !idle.is_in_transaction()
}

/// Names the file in errors that only know "the file".
fn at(path: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Corrupt { source, .. } => StoreError::Corrupt { path: path.to_owned(), source },
        other => other,
    }
}
