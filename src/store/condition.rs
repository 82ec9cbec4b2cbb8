//! How the database is: what it holds, what that takes, and what slows it down.

use std::path::Path;
use std::time::Duration;

use super::columns::at;
use super::db::sqlite::File;
use super::db::{Database, query, query_of, query_scalar};
use super::{Result, Store};
use crate::model::Timestamp;

/// Up to this size everything of a file is counted and measured: it is read in a second.
const SMALL_FILE: u64 = 256 << 20;
/// Up to this size a server's table is counted.
const SMALL_TABLE: i64 = 8 << 20;
/// A transaction that is open for longer keeps dead rows from being cleared away.
const LONG_TRANSACTION: Duration = Duration::from_secs(5 * 60);

/// One table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableCondition {
    pub name: String,
    /// Null where counting would take long.
    pub rows: Option<i64>,
    /// False: as the server guesses.
    pub is_counted: bool,
    /// With its indexes; null where measuring would take long.
    pub size_bytes: Option<i64>,
}

/// What takes room without holding anything, or keeps others from making room.
#[derive(Clone, PartialEq, Debug)]
pub enum Waste {
    /// The embedded engine: pages that are free inside the file, and the size of the log beside it.
    File {
        free_bytes: u64,
        log_bytes: u64,
    },
    Server {
        dead_rows: Vec<DeadRows>,
        long_transactions: Vec<LongTransaction>,
    },
}

/// Rows of a table that were replaced or deleted and not cleared away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadRows {
    pub table: String,
    pub dead: i64,
    pub live: i64,
    pub cleared_at: Option<Timestamp>,
}

/// A transaction of this database that has been open for long.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LongTransaction {
    pub pid: i64,
    pub role: String,
    pub application: String,
    pub state: String,
    pub open_s: i64,
}

impl Store {
    /// `sqlite` or `postgres`, with its version.
    pub async fn engine(&self) -> Result<(&'static str, String)> {
        let (name, version) = match self.reader() {
            Database::Sqlite(_) => ("sqlite", "SELECT sqlite_version()"),
            Database::Postgres(_) => ("postgres", "SELECT current_setting('server_version')"),
        };
        Ok((name, query_scalar(version).fetch_one(self.reader()).await?))
    }

    /// Every table, in the order of their names. `exact` counts and measures all of them, however long that takes.
    pub async fn table_conditions(&self, exact: bool) -> Result<Vec<TableCondition>> {
        match self.reader() {
            Database::Sqlite(file) => self.tables_of_file(file, exact).await,
            Database::Postgres(_) => self.tables_of_server(exact).await,
        }
    }

    async fn tables_of_file(&self, file: &File, exact: bool) -> Result<Vec<TableCondition>> {
        let exact = exact || size_of(&file.path) <= SMALL_FILE;
        let names: Vec<String> = query_scalar(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
        )
        .fetch_all(self.reader())
        .await?;
        let mut tables = Vec::with_capacity(names.len());
        for name in names {
            let (mut rows, mut size_bytes) = (None, None);
            if exact {
                rows = Some(self.count(&name).await?);
                let size = "SELECT SUM(pgsize) FROM dbstat WHERE aggregate = TRUE
                    AND name IN (SELECT name FROM sqlite_schema WHERE tbl_name = $1)";
                size_bytes = query_scalar(size).bind(&name).fetch_one(self.reader()).await?;
            }
            tables.push(TableCondition { name, rows, is_counted: exact, size_bytes });
        }
        Ok(tables)
    }

    async fn tables_of_server(&self, exact: bool) -> Result<Vec<TableCondition>> {
        let mut tables = Vec::new();
        for row in query(SERVER_TABLES).fetch_all(self.reader()).await? {
            let name: String = row.try_get("name")?;
            let size: i64 = row.try_get("size_bytes")?;
            let is_counted = exact || size <= SMALL_TABLE;
            let rows = match is_counted {
                true => Some(self.count(&name).await?),
                false => row.try_get("estimate")?,
            };
            tables.push(TableCondition { name, rows, is_counted, size_bytes: Some(size) });
        }
        Ok(tables)
    }

    async fn count(&self, table: &str) -> Result<i64> {
        Ok(query_of(format!("SELECT COUNT(*) FROM {table}")).fetch_one(self.reader()).await?.try_get(0)?)
    }

    /// What takes room without holding anything.
    pub async fn waste(&self) -> Result<Waste> {
        match self.reader() {
            Database::Sqlite(file) => {
                let of = |pragma| query_scalar(pragma).fetch_one::<i64>(self.reader());
                let free = of("PRAGMA freelist_count").await? * of("PRAGMA page_size").await?;
                let mut log = file.path.as_os_str().to_owned();
                log.push("-wal");
                Ok(Waste::File { free_bytes: free.unsigned_abs(), log_bytes: size_of(Path::new(&log)) })
            }
            Database::Postgres(_) => Ok(Waste::Server {
                dead_rows: self.dead_rows().await?,
                long_transactions: self.long_transactions().await?,
            }),
        }
    }

    async fn dead_rows(&self) -> Result<Vec<DeadRows>> {
        let rows = query(
            "SELECT schemaname || '.' || relname AS name, n_dead_tup AS dead, n_live_tup AS live,
               CAST(EXTRACT(EPOCH FROM GREATEST(last_vacuum, last_autovacuum)) * 1000000 AS BIGINT) AS cleared_at
             FROM pg_stat_user_tables
             WHERE schemaname IN ('staging_raw', 'core', 'mart', 'ops') AND n_dead_tup > 10000
               AND n_dead_tup > n_live_tup / 4
             ORDER BY n_dead_tup DESC, name",
        )
        .fetch_all(self.reader())
        .await?;
        let dead = rows.iter().map(|row| {
            let cleared_at: Option<i64> = row.try_get("cleared_at")?;
            Ok(DeadRows {
                table: row.try_get("name")?,
                dead: row.try_get("dead")?,
                live: row.try_get("live")?,
                cleared_at: cleared_at
                    .map(|micros| at(micros, "pg_stat_user_tables", "last_vacuum"))
                    .transpose()?,
            })
        });
        dead.collect()
    }

    /// Those of other roles are seen without what they do.
    async fn long_transactions(&self) -> Result<Vec<LongTransaction>> {
        let rows = query(
            "SELECT pid, CAST(COALESCE(usename, '') AS TEXT) AS role, COALESCE(application_name, '') AS application,
               COALESCE(state, '') AS state, CAST(EXTRACT(EPOCH FROM clock_timestamp() - xact_start) AS BIGINT) AS open_s
             FROM pg_stat_activity
             WHERE datname = current_database() AND backend_type = 'client backend'
               AND xact_start < clock_timestamp() - $1 * INTERVAL '1 second'
             ORDER BY xact_start",
        )
        .bind(LONG_TRANSACTION.as_secs() as f64)
        .fetch_all(self.reader())
        .await?;
        let long = rows.iter().map(|row| {
            Ok(LongTransaction {
                pid: row.try_get("pid")?,
                role: row.try_get("role")?,
                application: row.try_get("application")?,
                state: row.try_get("state")?,
                open_s: row.try_get("open_s")?,
            })
        });
        long.collect()
    }
}

fn size_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// Tables with their indexes; one that is kept by month with all its months.
const SERVER_TABLES: &str = "SELECT n.nspname || '.' || c.relname AS name,
      CAST(SUM(pg_total_relation_size(part.oid)) AS BIGINT) AS size_bytes,
      CASE WHEN bool_or(part.reltuples >= 0 AND part.relkind = 'r')
        THEN CAST(SUM(GREATEST(part.reltuples, 0)) FILTER (WHERE part.relkind = 'r') AS BIGINT) END AS estimate
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN LATERAL (SELECT c.oid UNION ALL SELECT inhrelid FROM pg_inherits WHERE inhparent = c.oid) p (oid) ON TRUE
      JOIN pg_class part ON part.oid = p.oid
    WHERE n.nspname IN ('staging_raw', 'core', 'mart', 'ops') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    GROUP BY n.nspname, c.relname ORDER BY name";
