//! What can go wrong with the store, as either engine says it.

use std::path::PathBuf;

use sqlx::postgres::PgDatabaseError;

use super::Location;
use super::leases::LEASE_LOST;
use crate::error::Outcome;

/// `SQLITE_READONLY_DIRECTORY`: the files beside the database cannot be made.
const READ_ONLY_FOLDER: i64 = 8 | 6 << 8;

/// What can go wrong with the store: one variant per thing a caller does differently.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("no database at {0}")]
    NotInitialised(Location),
    #[error("{0} holds an unfinished copy of another database")]
    UnfinishedCopy(Location),
    #[error("the database has schema version {found}, newer than this amzctl knows ({known})")]
    NewerSchema { found: i64, known: i64 },
    #[error("the database has schema version {found}, this amzctl needs {known}, and --no-migrate was given")]
    MigrationRefused { found: i64, known: i64 },
    #[error("migration {0} of the database differs from the one this amzctl knows")]
    ChangedMigration(i64),
    #[error("the database is in use by another process")]
    Busy(#[source] sqlx::Error),
    #[error("another process has {0} open")]
    InUse(PathBuf),
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
    /// It can be read, but its own check complains.
    #[error("{path} is not a sound SQLite database: {said}")]
    Unsound { path: PathBuf, said: String },
    #[error("the database's files cannot be opened")]
    Unopened(#[source] sqlx::Error),
    #[error("the system failed to read or write the database")]
    Disk(#[source] sqlx::Error),
    #[error("the database refused the statement")]
    Database(#[source] sqlx::Error),
    #[error("the database cannot be reached, or the connection to it broke")]
    Unreachable(#[source] sqlx::Error),
    #[error("the database server let nobody in under this name and password")]
    NotAdmitted(#[source] sqlx::Error),
    #[error("the server has no database of this name")]
    NoSuchDatabase(#[source] sqlx::Error),
    #[error("the database server does not permit this")]
    NotPermitted(#[source] sqlx::Error),
    #[error("the database server ended a statement that took too long")]
    TimedOut(#[source] sqlx::Error),
    #[error("this run stalled past its lease, and another host has taken its place")]
    LeaseLost(#[source] sqlx::Error),
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
            StoreError::NotInitialised(_) | StoreError::NoSuchDatabase(_) | StoreError::UnfinishedCopy(_) => {
                Outcome::NotInitialised
            }
            StoreError::Busy(_)
            | StoreError::InUse(_)
            | StoreError::Unreachable(_)
            | StoreError::TimedOut(_) => Outcome::Transient,
            StoreError::NotAdmitted(_) => Outcome::Credentials,
            StoreError::LeaseLost(_) => Outcome::Locked,
            _ => Outcome::Failed,
        }
    }

    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            StoreError::NotInitialised(_) => {
                "create one with `amzctl init`, or name the configuration with --config"
            }
            StoreError::UnfinishedCopy(_) => {
                "go on with `amzctl db copy` and the original's configuration; or remove the copy and begin anew"
            }
            StoreError::NewerSchema { .. } => "install the newer amzctl; this database is not changed",
            StoreError::MigrationRefused { .. } => {
                "run once without --no-migrate; the file is backed up first"
            }
            StoreError::ChangedMigration(_) => {
                "nothing of it was changed: open it with the amzctl that made it, or make a new one with `amzctl init` \
                 and ingest the files again"
            }
            StoreError::Busy(_) | StoreError::InUse(_) => "run again when the other process has finished",
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
            StoreError::Corrupt { .. } | StoreError::Unsound { .. } => {
                "restore a backup; without one move the file and the lake's folder away, run `amzctl init`, and ingest \
                 the files again"
            }
            StoreError::Unreachable(_) => {
                "check that the server runs and accepts connections from here, and run the command again: what was \
                 committed is kept"
            }
            StoreError::NoSuchDatabase(_) => "create it on the server: `createdb NAME`, or `CREATE DATABASE`",
            StoreError::NotAdmitted(_) => "check user and password of the database URL",
            StoreError::NotPermitted(_) => {
                "let the database's owner grant what is missing on the schemas staging_raw, core, mart and ops"
            }
            StoreError::LeaseLost(_) => "nothing is lost: the other run goes on where this one stopped",
            StoreError::TimedOut(_) => {
                "raise the role's statement_timeout, or run the command again at a quieter time"
            }
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        match &error {
            sqlx::Error::Database(said) => match said.try_downcast_ref::<PgDatabaseError>() {
                Some(said) => said_by_postgres(said.code().to_owned().as_str(), error),
                None => said_by_sqlite(error),
            },
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut => {
                StoreError::Unreachable(error)
            }
            _ => StoreError::Database(error),
        }
    }
}

fn said_by_sqlite(error: sqlx::Error) -> StoreError {
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

/// By class and code of SQLSTATE.
fn said_by_postgres(code: &str, error: sqlx::Error) -> StoreError {
    match code {
        "53100" => StoreError::Full(error),
        "3D000" => StoreError::NoSuchDatabase(error),
        "25006" => StoreError::ReadOnly(error),
        "42501" => StoreError::NotPermitted(error),
        "57014" => StoreError::TimedOut(error),
        // A lock that was not granted in time, a deadlock, a conflict of serialization.
        "55P03" | "40P01" | "40001" => StoreError::Busy(error),
        LEASE_LOST => StoreError::LeaseLost(error),
        "53300" | "25P03" | "25P04" => StoreError::Unreachable(error),
        _ => match code.get(..2) {
            Some("28") => StoreError::NotAdmitted(error),
            // Connection exceptions; a server that shuts down, starts or ended an idle transaction.
            Some("08" | "57") => StoreError::Unreachable(error),
            Some("58" | "XX") => StoreError::Disk(error),
            _ => StoreError::Database(error),
        },
    }
}
