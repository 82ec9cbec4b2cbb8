//! Embedded, checksummed, forward-only migrations. An existing file is backed up before it is changed.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use super::db::{Database, Tx, query, query_scalar};
use super::{Migrate, Result, Store, StoreError, backup};
use crate::ids::sha256_hex;

pub(super) struct Migration {
    version: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

impl Migration {
    /// The statements for the store's engine.
    fn sql(&self, store: &Store) -> &'static str {
        match store.reader() {
            Database::Sqlite(_) => self.sqlite,
            Database::Postgres(_) => self.postgres,
        }
    }
}

pub(super) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "initial",
        sqlite: include_str!("../../sql/migrations/sqlite/0001_initial.sql"),
        postgres: include_str!("../../sql/migrations/postgres/0001_initial.sql"),
    },
    Migration {
        version: 2,
        name: "delivery",
        sqlite: include_str!("../../sql/migrations/sqlite/0002_delivery.sql"),
        postgres: include_str!("../../sql/migrations/postgres/0002_delivery.sql"),
    },
    Migration {
        version: 3,
        name: "states",
        sqlite: include_str!("../../sql/migrations/sqlite/0003_states.sql"),
        postgres: include_str!("../../sql/migrations/postgres/0003_states.sql"),
    },
    Migration {
        version: 4,
        name: "second looks",
        sqlite: include_str!("../../sql/migrations/sqlite/0004_second_looks.sql"),
        postgres: include_str!("../../sql/migrations/postgres/0004_second_looks.sql"),
    },
    Migration {
        version: 5,
        name: "serve",
        sqlite: include_str!("../../sql/migrations/sqlite/0005_serve.sql"),
        postgres: include_str!("../../sql/migrations/postgres/0005_serve.sql"),
    },
    Migration {
        version: 6,
        name: "ranks by month",
        sqlite: include_str!("../../sql/migrations/sqlite/0006_ranks_by_month.sql"),
        postgres: include_str!("../../sql/migrations/postgres/0006_ranks_by_month.sql"),
    },
    Migration {
        version: 7,
        name: "live",
        sqlite: include_str!("../../sql/migrations/sqlite/0007_live.sql"),
        postgres: include_str!("../../sql/migrations/postgres/0007_live.sql"),
    },
];

/// The schema version this binary writes.
pub(super) const SCHEMA_VERSION: i64 = MIGRATIONS[MIGRATIONS.len() - 1].version;

const SQLITE_LEDGER: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL) STRICT";

const POSTGRES_LEDGER: &str = "CREATE SCHEMA IF NOT EXISTS ops;
    CREATE TABLE IF NOT EXISTS ops.schema_migrations (
    version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL)";

/// Applies what is missing, or refuses: a newer or changed schema always, an older one when asked to, and none at all on a
/// server unless `may_create`: whoever mistypes its database makes no schemas in another.
pub(super) async fn check_or_apply(
    store: &Store,
    migrations: &[Migration],
    migrate: Migrate,
    may_create: bool,
) -> Result<()> {
    let found = found_version(store, migrations).await?;
    if found == 0 && !may_create && store.location().file().is_none() {
        return Err(StoreError::NotInitialised(store.location().clone()));
    }
    let known = newest(migrations);
    match migrate {
        _ if found == known => Ok(()),
        Migrate::Later => Ok(()),
        Migrate::Refuse if found > 0 => Err(StoreError::MigrationRefused { found, known }),
        Migrate::Yes | Migrate::Refuse => apply_after(store, migrations, found).await,
    }
}

fn newest(migrations: &[Migration]) -> i64 {
    migrations.last().map_or(0, |migration| migration.version)
}

/// The version that the database has; 0 where it has none.
///
/// Errors: it is newer than the newest of these, or one of them was another when it was applied.
async fn found_version(store: &Store, migrations: &[Migration]) -> Result<i64> {
    let applied = applied_versions(store).await?;
    let found = applied.last().map_or(0, |(version, _)| *version);
    if found > newest(migrations) {
        return Err(StoreError::NewerSchema { found, known: newest(migrations) });
    }
    for (migration, (version, sha256)) in migrations.iter().zip(&applied) {
        if migration.version != *version || sha256_hex(migration.sql(store).as_bytes()) != *sha256 {
            return Err(StoreError::ChangedMigration(*version));
        }
    }
    Ok(found)
}

/// Applies those above `found`, each with its row of the ledger as one transaction.
async fn apply_after(store: &Store, migrations: &[Migration], found: i64) -> Result<()> {
    if found > 0 && found < newest(migrations) {
        back_up(store, found).await?;
    }
    for migration in migrations.iter().filter(|migration| migration.version > found) {
        apply(store, migration).await?;
    }
    Ok(())
}

/// A migration that the database has not seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PendingMigration {
    pub version: i64,
    pub name: &'static str,
}

impl Store {
    /// The schema version of the database.
    pub async fn schema_version(&self) -> Result<i64> {
        found_version(self, MIGRATIONS).await
    }

    /// What [`Store::migrate`] would apply.
    pub async fn pending_migrations(&self) -> Result<Vec<PendingMigration>> {
        let found = self.schema_version().await?;
        let pending = MIGRATIONS.iter().filter(|migration| migration.version > found);
        Ok(pending
            .map(|Migration { version, name, .. }| PendingMigration { version: *version, name })
            .collect())
    }

    /// Brings the schema up to date; a file is backed up first.
    pub async fn migrate(&self) -> Result<()> {
        apply_after(self, MIGRATIONS, self.schema_version().await?).await
    }
}

/// True once a migration was applied, or is about to be.
pub(super) async fn has_ledger(store: &Store) -> Result<bool> {
    let has_ledger = match store.reader() {
        Database::Sqlite(_) => "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'schema_migrations')",
        Database::Postgres(_) => "SELECT to_regclass('ops.schema_migrations') IS NOT NULL",
    };
    Ok(query_scalar(has_ledger).fetch_one(store.reader()).await?)
}

async fn applied_versions(store: &Store) -> Result<Vec<(i64, String)>> {
    if !has_ledger(store).await? {
        return Ok(Vec::new());
    }
    let rows = query("SELECT version, sha256 FROM schema_migrations ORDER BY version")
        .fetch_all(store.reader())
        .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// One migration and its ledger row are one transaction.
async fn apply(store: &Store, migration: &Migration) -> Result<()> {
    let mut tx = store.begin().await?;
    let ledger = match &tx {
        Tx::Sqlite(_) => SQLITE_LEDGER,
        Tx::Postgres { .. } => POSTGRES_LEDGER,
    };
    tx.run_script(ledger.to_owned()).await?;
    // Another process may have applied it while this one waited for the lock.
    let done = query("SELECT 1 FROM schema_migrations WHERE version = $1")
        .bind(migration.version)
        .fetch_optional(&mut tx)
        .await?;
    if done.is_none() {
        tx.run_script(migration.sql(store).to_owned()).await?;
        query("INSERT INTO schema_migrations (version, name, sha256) VALUES ($1, $2, $3)")
            .bind(migration.version)
            .bind(migration.name)
            .bind(sha256_hex(migration.sql(store).as_bytes()))
            .execute(&mut tx)
            .await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Where the copy goes that is made before a migration: `<name>.before-v<version>`.
pub(super) fn backup_before(path: &Path, version: i64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".before-v{version}"));
    PathBuf::from(name)
}

/// A copy beside the file, made once. A server's backups are its administrators'.
async fn back_up(store: &Store, found: i64) -> Result<()> {
    let Database::Sqlite(file) = store.reader() else { return Ok(()) };
    let target = backup_before(&file.path, found + 1);
    if !target.exists() {
        backup::copy_to(file, &target).await?;
    }
    Ok(())
}
