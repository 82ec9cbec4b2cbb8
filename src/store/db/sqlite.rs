//! The embedded engine: WAL, `synchronous=FULL`, foreign keys, one writer whose transactions begin IMMEDIATE.

use std::future::ready;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _};

/// Page cache of a connection; negative is KiB in SQLite's words.
const CACHE_KIB: &str = "-65536";
/// Pages in the WAL before they are moved into the file: 64 MiB, so that a page that many batches touch is written once.
const CHECKPOINT_PAGES: &str = "16384";
/// Rows that a query may be ahead of its reader: with sqlx's 50 the two threads wake each other all the time.
const ROW_BUFFER: usize = 1000;
/// Readers of one process.
const READERS: u32 = 4;

/// The connections to a file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) writer: SqlitePool,
    pub(crate) reader: SqlitePool,
    pub(crate) path: PathBuf,
}

impl File {
    pub(crate) fn connect(path: &Path, create: bool, busy_timeout: Duration) -> File {
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
        File { writer, reader, path: path.to_owned() }
    }

    /// Connections that change nothing, not even beside the file.
    pub(crate) fn connect_reading(path: &Path) -> File {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        // Without a log nobody has it open for writing, or what they wrote is in the file.
        let is_at_rest = !Path::new(&log).exists();
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .immutable(is_at_rest)
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new().max_connections(1).connect_lazy_with(options);
        File { writer: pool.clone(), reader: pool, path: path.to_owned() }
    }
}

/// False when SQLite gave up a transaction by itself, as it does where the disk is full: sqlx's own roll-back fails then,
/// and the connection, which counts a transaction as open, would refuse every later one. It is closed instead.
fn is_at_rest(idle: &SqliteConnection) -> bool {
    !idle.is_in_transaction()
}
