//! A PostgreSQL server, perhaps behind a pooler. Everything runs inside explicit transactions that begin by saying where
//! tables are looked for: a pooler in transaction mode may give each one another connection.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, SqlSafeStr as _, SqlStr};

use super::Tx;
use super::query::Statement;
use crate::store::leases::{Leases, fence_statement};

/// The four layers; tables are named without them.
pub(crate) const SCHEMAS: [&str; 4] = ["ops", "core", "mart", "staging_raw"];
/// Connections of one process: one writes, a few read.
const CONNECTIONS: u32 = 5;
/// How long a connection is waited for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A writer that is silent for so long in the middle of a transaction is taken for dead: others wait for it. One that
/// computes nothing in between is not silent.
const SILENT_WRITER: Duration = Duration::from_secs(60);
const SILENT_BRIEF_WRITER: Duration = Duration::from_secs(5);
/// The advisory lock of the one writer: "amzc" in ASCII.
const WRITER_LOCK: i64 = 0x61_6d_7a_63;

const READ_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
/// What a session is begun with as `extra_float_digits`, and no server has by itself: from 1 on all mean the same.
const SESSION_MARK: i8 = 3;
/// The SQLSTATE with which PgBouncer refuses a setting that it does not know.
const PROTOCOL_VIOLATION: &str = "08P01";

/// The connections to a server.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) pool: PgPool,
    /// A pooler in transaction mode lies in between: nothing outlives a transaction.
    pub(crate) is_pooled: bool,
    /// How long a writer waits for another one.
    wait: Duration,
    /// The leases that this process holds, with their tokens.
    fences: Arc<Mutex<BTreeMap<String, i64>>>,
}

impl Server {
    pub(crate) fn connect(options: &PgConnectOptions, is_pooled: bool, wait: Duration) -> Server {
        let options = options.clone().application_name("amzctl").disable_statement_logging();
        let options = options.extra_float_digits((!is_pooled).then_some(SESSION_MARK));
        Server { pool: pool(options), is_pooled, wait, fences: Arc::default() }
    }

    /// Treats a pooler that nobody spoke of as one in transaction mode: with statements that are kept prepared it would
    /// now and then run another client's. It gives itself away by what becomes of the mark: it refuses or ignores it.
    pub(crate) async fn look_for_pooler(&mut self) -> sqlx::Result<()> {
        if self.is_pooled {
            return Ok(());
        }
        match self.session_mark().await {
            Ok(mark) => self.is_pooled = mark != SESSION_MARK.to_string(),
            Err(error) if code(&error).as_deref() == Some(PROTOCOL_VIOLATION) => {
                let options = PgConnectOptions::clone(&self.pool.connect_options());
                self.pool = pool(options.extra_float_digits(None));
                self.is_pooled = true;
            }
            Err(error) => return Err(error),
        }
        if self.is_pooled {
            tracing::debug!("a pooler lies before the server: each transaction may have another connection");
        }
        Ok(())
    }

    async fn session_mark(&self) -> sqlx::Result<String> {
        let mut tx = self.begin_reading().await?;
        let statement = Statement::new("SELECT current_setting('extra_float_digits')").build();
        let mark = statement.fetch_one(&mut tx).await?.try_get(0)?;
        tx.commit().await?;
        Ok(mark)
    }

    pub(crate) async fn begin_reading(&self) -> sqlx::Result<Tx> {
        self.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
    }

    /// Why no connection can be made.
    pub(crate) async fn refusal(&self) -> sqlx::Error {
        let options = self.pool.connect_options();
        match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
            Ok(Err(error)) => error,
            // By now there is one, or nobody answers at all.
            Ok(Ok(_)) | Err(_) => sqlx::Error::PoolTimedOut,
        }
    }

    /// A brief transaction that does not wait for the one writer.
    pub(crate) async fn begin_beside(&self) -> sqlx::Result<Tx> {
        let mut tx = self.begin(READ_WRITE).await?;
        tx.run_script(self.limits(SILENT_BRIEF_WRITER)).await?;
        Ok(tx)
    }

    /// Holds every later transaction that writes to this lease, or to none of the pipeline.
    pub(crate) fn fence(&self, pipeline: &str, token: Option<i64>) {
        let mut fences = self.fences.lock().unwrap_or_else(PoisonError::into_inner);
        match token {
            Some(token) => fences.insert(pipeline.to_owned(), token),
            None => fences.remove(pipeline),
        };
    }

    /// Gives back what leases there still are, and closes the connections.
    pub(crate) async fn close(self) {
        let held = std::mem::take(&mut *self.fences.lock().unwrap_or_else(PoisonError::into_inner));
        for (pipeline, token) in held {
            // One that cannot be given back ends by itself.
            let _ = Leases(self.clone()).release(&pipeline, token).await;
        }
        self.pool.close().await;
    }

    /// Writers come one after the other, as in SQLite: each reads what it then changes.
    pub(crate) async fn begin_writing(&self, is_brief: bool) -> sqlx::Result<Tx> {
        let mut tx = self.begin(READ_WRITE).await?;
        let silence = if is_brief { SILENT_BRIEF_WRITER } else { SILENT_WRITER };
        // Apart from the statement that begins: a connection on which that one fails goes back to the pool as it is.
        tx.run_script(self.limits(silence) + &self.one_at_a_time()).await?;
        Ok(tx)
    }

    /// How long another transaction is waited for, and how long this one may be silent.
    fn limits(&self, silence: Duration) -> String {
        // 0 would be no limit at all.
        let (wait, silence) = (self.wait.as_millis().max(1), silence.as_millis());
        format!("SET LOCAL lock_timeout = {wait}; SET LOCAL idle_in_transaction_session_timeout = {silence};")
    }

    fn one_at_a_time(&self) -> String {
        let mut statements = format!("SELECT pg_advisory_xact_lock({WRITER_LOCK});");
        for (pipeline, token) in &*self.fences.lock().unwrap_or_else(PoisonError::into_inner) {
            statements.push_str(&fence_statement(pipeline, *token));
        }
        statements
    }

    /// One round trip.
    async fn begin(&self, begin: &str) -> sqlx::Result<Tx> {
        let path = SCHEMAS.join(", ");
        let begin = AssertSqlSafe(format!("{begin}; SET LOCAL search_path TO {path}"));
        Ok(Tx::Postgres { tx: self.pool.begin_with(begin).await?, is_pooled: self.is_pooled })
    }
}

fn pool(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(CONNECT_TIMEOUT)
        .connect_lazy_with(options)
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(|code| code.into_owned())
}

/// The text as PostgreSQL reads it: `CROSS JOIN … ON` tells SQLite alone in which order to join.
pub(super) fn portable(sql: SqlStr) -> SqlStr {
    if sql.as_str().contains("CROSS JOIN") {
        AssertSqlSafe(sql.as_str().replace("CROSS JOIN", "JOIN")).into_sql_str()
    } else {
        sql
    }
}
