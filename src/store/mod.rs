//! The store: the only module that knows SQL. One method is one unit of work, named for its purpose.
//!
//! SQLite, embedded, or PostgreSQL: `db` alone knows which, and statements are written once for both. One writer at a
//! time, a few readers. Methods lie in one file per layer (`raw`, `core`, `lake`, `mart`, `alerts`, `gate`, `outbox`,
//! `ops`, `keys`, `requests`), and in one per use where a use reads across layers (`watch`, `quarantine`, `drift`, `judging`,
//! `comparisons`, `reports`, `explain`, `export`, `checks`, `integrity`, `served`, `hash`). `leases`, `months` and `claims`, what hosts
//! share by leases, are a server's only, `backup` is of the embedded database; `condition` tells how either is, `retention`
//! drops what is old, `copy` knows all tables and none of them.

pub mod alerts;
pub mod backup;
pub mod checks;
pub mod claims;
mod columns;
mod comparisons;
pub mod condition;
#[cfg(test)]
mod contract;
pub mod copy;
mod core;
mod db;
mod drift;
mod error;
mod explain;
pub mod export;
pub mod fetching;
pub mod gate;
mod hash;
pub mod incidents;
mod integrity;
pub mod judging;
pub mod keys;
pub mod lake;
pub mod leases;
mod listings;
pub mod location;
pub mod mart;
mod migrate;
mod months;
pub mod ops;
pub mod outbox;
pub mod quarantine;
pub mod raw;
pub mod reports;
pub mod requests;
pub mod retention;
mod seen;
pub mod served;
pub mod sessions;
pub mod spending;
#[cfg(test)]
pub(crate) mod testing;
pub mod watch;

pub use core::history::KnownHistory;
pub use core::{
    BatchEffect, Derive, NewObservation, NormalizedBatch, ProductRecord, RawRecord, ReceiptOutcome,
    StoredRecord, Unread,
};
pub use drift::{Delivery, Failure, FieldKnown, NewIncident, Recovery};
pub use explain::Evidence;
pub use hash::{TableHash, combined};
pub use migrate::PendingMigration;
pub use quarantine::NewQuarantine;
pub use seen::Seen;
use std::time::Duration;

use self::error::Said;
pub use self::error::StoreError;

use self::db::Database;
pub(crate) use self::db::Tx;
use self::leases::Leases;
pub use self::location::Location;

use self::db::postgres::Server;
use self::db::sqlite::File;

/// How long a writer waits for another process before it gives up (exit 7), where nothing else is configured.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// How many times that wait a host waits that has something to write which is paid for.
const WAITS: u32 = 60;

pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// What to do about a schema older than this binary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Migrate {
    Yes,
    Refuse,
    /// Leave it as it is for now: the caller looks at it, or is about to apply what is missing.
    Later,
}

/// How many pages the writer keeps in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageCache {
    /// 8 MiB.
    Small,
    /// 64 MiB: rows arrive by day and lie by product.
    Usual,
    /// 256 MiB: every day touches the indexes by product all over, and a year of 5,000 products has 200 MiB of them.
    Large,
}

/// A store: methods in units of work, the same on either engine.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
    location: Location,
}

impl Store {
    /// Opens a database, bringing its schema up to date.
    ///
    /// Errors: `NotInitialised` when there is no file, or a server's database has no schema; `NewerSchema`, `Corrupt`, `Busy`.
    pub async fn open(location: impl Into<Location>, migrate: Migrate) -> Result<Store> {
        Store::open_waiting(location, migrate, BUSY_TIMEOUT).await
    }

    /// [`Store::open`], with the time a writer waits for another process.
    pub async fn open_waiting(
        location: impl Into<Location>,
        migrate: Migrate,
        busy_timeout: Duration,
    ) -> Result<Store> {
        let location = location.into();
        if location.file().is_some_and(|path| !path.exists()) {
            return Err(StoreError::NotInitialised(location));
        }
        let store = Store::connect(location, false, busy_timeout);
        store.brought_up_to_date(migrate, false).await
    }

    /// Creates the database (or opens an existing one) and applies every migration. A server's database has to be there
    /// already; its schemas are made.
    pub async fn create(location: impl Into<Location>) -> Result<Store> {
        let store = Store::connect(location.into(), true, BUSY_TIMEOUT);
        store.brought_up_to_date(Migrate::Yes, true).await
    }

    async fn brought_up_to_date(mut self, migrate: Migrate, may_create: bool) -> Result<Store> {
        match self.check_or_apply(migrate, may_create).await {
            Ok(()) => Ok(self),
            Err(error) => Err(self.explained(error).await),
        }
    }

    /// The error of the first statement, with what only is known here.
    async fn explained(&self, error: StoreError) -> StoreError {
        match (error, &self.database) {
            // The pool tries again until it gives up, and does not say why.
            (StoreError::Unreachable(Said(sqlx::Error::PoolTimedOut)), Database::Postgres(server)) => {
                server.refusal().await.into()
            }
            (error, _) => self.named(error),
        }
    }

    async fn check_or_apply(&mut self, migrate: Migrate, may_create: bool) -> Result<()> {
        self.look_for_pooler().await?;
        migrate::check_or_apply(self, migrate::MIGRATIONS, migrate, may_create).await
    }

    async fn look_for_pooler(&mut self) -> Result<()> {
        if let Database::Postgres(server) = &mut self.database {
            server.look_for_pooler().await?;
        }
        Ok(())
    }

    fn connect(location: Location, create: bool, busy_timeout: Duration) -> Store {
        let database = match &location {
            Location::File(path) => Database::Sqlite(File::connect(path, create, busy_timeout)),
            Location::Server(server) => {
                Database::Postgres(Server::connect(&server.options, server.is_pooled, busy_timeout))
            }
        };
        Store { database, location }
    }

    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Names the database in errors that only know "the file".
    fn named(&self, error: StoreError) -> StoreError {
        match (error, self.location.file()) {
            (StoreError::Corrupt { source, .. }, Some(path)) => {
                StoreError::Corrupt { path: path.to_owned(), source }
            }
            (other, _) => other,
        }
    }

    /// Sets the writer's page cache: a stage that only appends gains nothing from a large one. A server has its own.
    pub async fn set_page_cache(&self, cache: PageCache) -> Result<()> {
        let Database::Sqlite(file) = &self.database else { return Ok(()) };
        let pragma = match cache {
            PageCache::Small => "PRAGMA cache_size = -8192",
            PageCache::Usual => "PRAGMA cache_size = -65536",
            PageCache::Large => "PRAGMA cache_size = -262144",
        };
        sqlx::query(pragma).execute(&file.writer).await?;
        Ok(())
    }

    /// Begins a write transaction that holds the write lock from its first statement on.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        let tx = self.database.begin().await?;
        crate::failpoint!("store.inside_write");
        Ok(tx)
    }

    /// The same, for what several hosts on a server write all the time: another one's long transaction is waited for.
    pub(crate) async fn begin_briefly(&self) -> Result<Tx> {
        let mut waits = if self.is_shared() { WAITS } else { 1 };
        let tx = loop {
            waits -= 1;
            match self.database.begin_briefly().await.map_err(StoreError::from) {
                Err(StoreError::Busy(_)) if waits > 0 => {}
                begun => break begun?,
            }
        };
        crate::failpoint!("store.inside_write");
        Ok(tx)
    }

    /// The leases of pipelines; none of an embedded database.
    pub fn leases(&self) -> Option<Leases> {
        match &self.database {
            Database::Sqlite(_) => None,
            Database::Postgres(server) => Some(Leases(server.clone())),
        }
    }

    /// Where statements run that only read.
    pub(crate) fn reader(&self) -> &Database {
        &self.database
    }

    /// Closes all connections.
    pub async fn close(self) {
        self.database.close().await;
    }
}
