//! Copies of the embedded database, made while others write to it, and the way back.
//!
//! A copy is one file without a log beside it; it appears under its name whole or not at all.

use std::fs::{self, File as OsFile};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use super::db::sqlite::File;
use super::db::{Database, query_scalar};
use super::ops::Identity;
use super::{Location, Result, Store, StoreError};
use crate::failpoint;
use crate::files::{remove_leftovers, sync_folder, temporary_beside};

/// Pause between two attempts to have the database alone.
const POLL: Duration = Duration::from_millis(100);

/// What a copy is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Copied {
    pub schema_version: i64,
    pub size_bytes: u64,
    pub identity: Identity,
}

impl Store {
    /// Copies the embedded database to `target`, as it is at this moment; null of a server's. A file there is replaced.
    pub async fn back_up(&self, target: &Path) -> Result<Option<Copied>> {
        match self.reader() {
            Database::Sqlite(file) => copy_to(file, target).await.map(Some),
            Database::Postgres(_) => Ok(None),
        }
    }
}

/// What lies in a file of the embedded engine; it is not changed.
///
/// Errors: it is no sound database, or one of a newer or another schema; `NotInitialised` when it has no identity.
pub async fn inspect(path: &Path) -> Result<Copied> {
    let io_error = |source| StoreError::Io { path: path.to_owned(), source };
    let size_bytes = OsFile::open(path).and_then(|file| file.metadata()).map_err(io_error)?.len();
    let location = Location::File(path.to_owned());
    let store = Store { database: Database::Sqlite(File::connect_reading(path)), location };
    let found = inspect_open(&store, size_bytes).await.map_err(|error| store.named(error));
    store.close().await;
    found
}

async fn inspect_open(store: &Store, size_bytes: u64) -> Result<Copied> {
    let said: String = query_scalar("PRAGMA quick_check(1)").fetch_one(store.reader()).await?;
    if said != "ok" {
        return Err(StoreError::Unsound { path: store.location().beside().to_owned(), said });
    }
    let not_initialised = || StoreError::NotInitialised(store.location().clone());
    let schema_version = store.schema_version().await?;
    if schema_version == 0 {
        return Err(not_initialised());
    }
    let identity = store.identity().await?.ok_or_else(not_initialised)?;
    Ok(Copied { schema_version, size_bytes, identity })
}

/// Copies the file's database, checks the copy, makes it durable and gives it its name.
pub(super) async fn copy_to(file: &File, target: &Path) -> Result<Copied> {
    let copy = Unfinished::begin(target)?;
    copy_into(file, &copy.path).await?;
    let copied = inspect(&copy.path).await?;
    failpoint!("backup.before_rename");
    copy.finish()?;
    Ok(copied)
}

/// SQLite writes a copy into a file that is empty.
async fn copy_into(file: &File, empty: &Path) -> Result<()> {
    let name = empty.to_string_lossy().into_owned();
    sqlx::query("VACUUM INTO $1").bind(name).execute(&file.reader).await?;
    Ok(())
}

/// A file on its way to its name: removed unless it gets there.
struct Unfinished {
    target: PathBuf,
    path: PathBuf,
    finished: bool,
}

impl Unfinished {
    /// An empty file beside `target`; what killed processes left on the way to the same name is removed.
    fn begin(target: &Path) -> Result<Unfinished> {
        remove_leftovers(target);
        let path = temporary_beside(target);
        OsFile::create(&path).map_err(|source| StoreError::Io { path: target.to_owned(), source })?;
        Ok(Unfinished { target: target.to_owned(), path, finished: false })
    }

    /// Makes it durable and gives it its name.
    fn finish(mut self) -> Result<()> {
        let named = OsFile::open(&self.path)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&self.path, &self.target));
        named.map_err(|source| StoreError::Io { path: self.target.clone(), source })?;
        self.finished = true;
        sync_folder(&self.target).map_err(|source| StoreError::Io { path: self.target.clone(), source })
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished {
            // Why it was not finished is already known; the leftover is only untidy.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Puts the database of `backup` in place of the one at `database`, with a lake epoch of its own, and answers where the
/// replaced one is kept: at `kept`, where there was one.
///
/// From one moment to the next the name means the other database. Whoever calls holds the locks of its pipelines.
///
/// Errors: `Busy` when another process has the database open; nothing is changed then.
pub async fn restore(
    backup: &Path,
    database: &Path,
    kept: &Path,
    lake_epoch: &str,
    wait: Duration,
) -> Result<Option<PathBuf>> {
    let copy = Unfinished::begin(database)?;
    let source = File::connect_reading(backup);
    let copied = copy_into(&source, &copy.path).await;
    Database::Sqlite(source).close().await;
    copied?;
    renew_epoch(&copy.path, lake_epoch).await?;
    inspect(&copy.path).await?;
    let replaced = match database.exists() {
        // Nobody opens it until its name means the other one.
        true => Some((set_aside(database, kept, wait).await?, kept.to_owned())),
        false => None,
    };
    failpoint!("restore.before_rename");
    copy.finish()?;
    Ok(replaced.map(|(_alone, kept)| kept))
}

async fn renew_epoch(path: &Path, lake_epoch: &str) -> Result<()> {
    // Not Store's own connections: they would leave a log beside the file.
    let mut connection = SqliteConnectOptions::new().filename(path).connect().await?;
    sqlx::query("UPDATE database_identity SET lake_epoch = $1")
        .bind(lake_epoch)
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(())
}

/// Gives the database a second name, `kept`, under which it is whole; answers the connection that keeps others out.
async fn set_aside(database: &Path, kept: &Path, wait: Duration) -> Result<Option<SqliteConnection>> {
    let alone = alone_in(database, wait).await;
    let alone = match alone {
        Ok(connection) => Some(connection),
        // A damaged one is kept as it lies, with what its log holds.
        Err(StoreError::Corrupt { .. } | StoreError::Disk(_) | StoreError::Database(_)) => None,
        Err(error) => return Err(error),
    };
    let io_error = |source| StoreError::Io { path: kept.to_owned(), source };
    // Where the file system has no second names, a copy.
    fs::hard_link(database, kept).or_else(|_| fs::copy(database, kept).map(|_| ())).map_err(io_error)?;
    let beside = |path: &Path, end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    // Of a sound one there is none left.
    match fs::rename(beside(database, "-wal"), beside(kept, "-wal")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(error)),
        _ => {}
    }
    let _ = fs::remove_file(beside(database, "-shm"));
    Ok(alone)
}

/// A connection beside which nobody has the database open, its log moved into the file.
async fn alone_in(database: &Path, wait: Duration) -> Result<SqliteConnection> {
    let mut connection = SqliteConnectOptions::new().filename(database).connect().await?;
    let mut waited = Duration::ZERO;
    loop {
        // Only who is alone can leave the log's mode; SQLite does not wait for it.
        let mode = sqlx::query_scalar("PRAGMA journal_mode = DELETE").fetch_one(&mut connection).await;
        match mode.map_err(StoreError::from) {
            Ok(mode) if String::as_str(&mode) == "delete" => break,
            Ok(_) | Err(StoreError::Busy(_)) if waited >= wait => {
                return Err(StoreError::InUse(database.to_owned()));
            }
            Ok(_) | Err(StoreError::Busy(_)) => {
                tokio::time::sleep(POLL).await;
                waited += POLL;
            }
            Err(error) => return Err(error),
        }
    }
    sqlx::query("PRAGMA locking_mode = EXCLUSIVE").execute(&mut connection).await?;
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut connection).await?;
    Ok(connection)
}

/// True when both names mean one file.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
