//! What can go wrong with the store, as either engine says it.

use std::fmt;
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
    Busy(#[source] Said),
    #[error("another process has {0} open")]
    InUse(PathBuf),
    #[error("the database cannot be written: it is read-only")]
    ReadOnly(#[source] Said),
    #[error("the disk is full")]
    Full(#[source] Said),
    #[error("{path} is not a sound SQLite database")]
    Corrupt {
        path: PathBuf,
        #[source]
        source: Said,
    },
    /// It can be read, but its own check complains.
    #[error("{path} is not a sound SQLite database: {said}")]
    Unsound { path: PathBuf, said: String },
    #[error("the database's files cannot be opened")]
    Unopened(#[source] Said),
    #[error("the system failed to read or write the database")]
    Disk(#[source] Said),
    #[error("the database refused the statement")]
    Database(#[source] Said),
    #[error("the database cannot be reached, or the connection to it broke")]
    Unreachable(#[source] Said),
    #[error("no secure connection to the database server")]
    Insecure(#[source] Said),
    #[error("the database server let nobody in under this name and password")]
    NotAdmitted(#[source] Said),
    #[error("the server has no database of this name")]
    NoSuchDatabase(#[source] Said),
    #[error("the database server does not permit this")]
    NotPermitted(#[source] Said),
    #[error("the database server ended a statement that took too long")]
    TimedOut(#[source] Said),
    #[error("this run stalled past its lease, and another host has taken its place")]
    LeaseLost(#[source] Said),
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
    /// Another process writes, or the server is away: the same may succeed in a moment. Whether it was done already is not
    /// known.
    pub fn is_passing(&self) -> bool {
        matches!(self, StoreError::Busy(_) | StoreError::Unreachable(_))
    }

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
                "run once without --no-migrate: an embedded database is backed up first, one of a server its owner migrates"
            }
            StoreError::ChangedMigration(_) => {
                "nothing of it was changed: open it with the amzctl that made it, or make a new one with `amzctl init` \
                 and ingest the files again"
            }
            StoreError::Busy(_) | StoreError::InUse(_) => "run again when the other process has finished",
            StoreError::ReadOnly(source) if source.of_server().is_some() => {
                "the server only reads, as a standby does: name the primary in the database URL"
            }
            StoreError::ReadOnly(_) => {
                "check the permissions of the file, of those beside it that end in -shm and -wal, of its folder and of \
                 the file system"
            }
            StoreError::Unopened(_) => {
                "check the permissions of its folder and the file system: even reading needs to write beside the file"
            }
            StoreError::Disk(source) if source.of_server().is_some() => {
                "look into the server's log, check its disk and its limits, and run the command again: what was committed \
                 is kept"
            }
            StoreError::Disk(_) => {
                "check the disk and its limits, and run the command again: what was committed is kept"
            }
            StoreError::Full(source) if source.of_server().is_some() => {
                "free some disk space on the server and run the command again: what was committed is kept"
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
            StoreError::NotAdmitted(_) => {
                "check user, password and sslmode of the database URL, and what the server's pg_hba.conf asks for"
            }
            StoreError::Insecure(_) => {
                "check host, sslmode and sslrootcert of the database URL against the server's certificate"
            }
            StoreError::NotPermitted(_) => {
                "run it as a role that may, or let the database's owner grant what is missing: examples/postgres-roles.sql has \
                 an owner, a writer and a reader"
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

/// What the driver says. Of a server only its message: the driver adds where in the server's own source it was said.
#[derive(Debug)]
pub struct Said(pub(super) sqlx::Error);

impl Said {
    fn of_server(&self) -> Option<&PgDatabaseError> {
        self.0.as_database_error()?.try_downcast_ref()
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of_server() {
            Some(said) => write!(f, "error returned from database: {}", said.message()),
            None => self.0.fmt(f),
        }
    }
}

impl std::error::Error for Said {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.of_server() {
            Some(_) => None,
            None => self.0.source(),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        match &error {
            sqlx::Error::Database(said) => match said.try_downcast_ref::<PgDatabaseError>() {
                Some(said) => said_by_postgres(said.code().to_owned().as_str(), error),
                None => said_by_sqlite(error),
            },
            sqlx::Error::Tls(_) => StoreError::Insecure(Said(error)),
            sqlx::Error::Io(said) if said.get_ref().is_some_and(|said| said.is::<rustls::Error>()) => {
                StoreError::Insecure(Said(error))
            }
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => StoreError::Unreachable(Said(error)),
            _ => StoreError::Database(Said(error)),
        }
    }
}

fn said_by_sqlite(error: sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(|e| e.code()).and_then(|code| code.parse::<i64>().ok());
    if code == Some(READ_ONLY_FOLDER) {
        return StoreError::Unopened(Said(error));
    }
    // The low byte is SQLite's primary result code.
    match code.map(|code| code & 0xff) {
        Some(5 | 6) => StoreError::Busy(Said(error)),
        Some(8) => StoreError::ReadOnly(Said(error)),
        Some(10) => StoreError::Disk(Said(error)),
        Some(13) => StoreError::Full(Said(error)),
        Some(14) => StoreError::Unopened(Said(error)),
        Some(11 | 26) => StoreError::Corrupt { path: PathBuf::from("the file"), source: Said(error) },
        _ => StoreError::Database(Said(error)),
    }
}

/// By class and code of SQLSTATE.
fn said_by_postgres(code: &str, error: sqlx::Error) -> StoreError {
    match code {
        "53100" => StoreError::Full(Said(error)),
        "3D000" => StoreError::NoSuchDatabase(Said(error)),
        "25006" => StoreError::ReadOnly(Said(error)),
        "42501" => StoreError::NotPermitted(Said(error)),
        "57014" => StoreError::TimedOut(Said(error)),
        // A lock that was not granted in time, a deadlock, a conflict of serialization.
        "55P03" | "40P01" | "40001" => StoreError::Busy(Said(error)),
        LEASE_LOST => StoreError::LeaseLost(Said(error)),
        "53300" | "25P03" | "25P04" => StoreError::Unreachable(Said(error)),
        _ => match code.get(..2) {
            Some("28") => StoreError::NotAdmitted(Said(error)),
            // Connection exceptions; a server that shuts down, starts or ended an idle transaction.
            Some("08" | "57") => StoreError::Unreachable(Said(error)),
            Some("58" | "XX") => StoreError::Disk(Said(error)),
            _ => StoreError::Database(Said(error)),
        },
    }
}
