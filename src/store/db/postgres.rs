//! A PostgreSQL server, perhaps behind a pooler. Everything runs inside explicit transactions that begin by saying where
//! tables are looked for: a pooler in transaction mode may give each one another connection.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Postgres, SqlSafeStr as _, SqlStr, Transaction};

/// The four layers; tables are named without them.
pub(crate) const SCHEMAS: [&str; 4] = ["ops", "core", "mart", "staging_raw"];
/// Connections of one process: one writes, a few read.
const CONNECTIONS: u32 = 5;
/// How long a connection is waited for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A writer that is silent for so long in the middle of a transaction is taken for dead: others wait for it.
const STALLED_WRITER: &str = "60s";
/// The advisory lock of the one writer: "amzc" in ASCII.
const WRITER_LOCK: i64 = 0x61_6d_7a_63;

/// The connections to a server.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) pool: PgPool,
    /// A pooler in transaction mode lies in between: nothing outlives a transaction.
    pub(crate) is_pooled: bool,
    /// How long a writer waits for another one.
    wait: Duration,
}

impl Server {
    pub(crate) fn connect(options: &PgConnectOptions, is_pooled: bool, wait: Duration) -> Server {
        let options = options.clone().application_name("amzctl").disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(CONNECT_TIMEOUT)
            // A dead connection is found by the transaction that it would begin.
            .test_before_acquire(!is_pooled)
            .connect_lazy_with(options);
        Server { pool, is_pooled, wait }
    }

    pub(crate) async fn begin_reading(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        self.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "").await
    }

    /// Writers come one after the other, as in SQLite: each reads what it then changes.
    pub(crate) async fn begin_writing(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        let wait = self.wait.as_millis();
        let one_at_a_time = format!(
            "; SET LOCAL lock_timeout = {wait}; SET LOCAL idle_in_transaction_session_timeout = '{STALLED_WRITER}';
             SELECT pg_advisory_xact_lock({WRITER_LOCK})"
        );
        self.begin("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", &one_at_a_time).await
    }

    /// One round trip.
    async fn begin(&self, begin: &str, then: &str) -> sqlx::Result<Transaction<'static, Postgres>> {
        let path = SCHEMAS.join(", ");
        self.pool.begin_with(AssertSqlSafe(format!("{begin}; SET LOCAL search_path TO {path}{then}"))).await
    }
}

/// The text as PostgreSQL reads it: `CROSS JOIN … ON` tells SQLite alone in which order to join.
pub(super) fn portable(sql: SqlStr) -> SqlStr {
    if sql.as_str().contains("CROSS JOIN") {
        AssertSqlSafe(sql.as_str().replace("CROSS JOIN", "JOIN")).into_sql_str()
    } else {
        sql
    }
}
