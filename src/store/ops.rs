//! What the database knows about itself: identity, marks, and the ledger of runs.

use serde_json::Value;

use super::columns::{instant, known_instant};
use super::db::{On, Row, query, query_scalar};
use super::outbox::{Audience, run_ended, tell};
use super::{Result, Store, StoreError, Tx};
use crate::model::Timestamp;

/// What this database is: fixed when it is made, except `lake_epoch`, which a restore renews.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    pub database_uuid: String,
    pub lake_epoch: String,
    /// IANA name of the reporting zone.
    pub zone: String,
    pub created_at: Timestamp,
}

/// The beginning of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunStart {
    pub run_id: String,
    pub command: String,
    pub started_at: Timestamp,
    pub host: String,
    pub pid: u32,
}

/// One run of the ledger.
#[derive(Clone, PartialEq, Debug)]
pub struct RunRecord {
    pub start: RunStart,
    /// Null: still running, or killed.
    pub finished_at: Option<Timestamp>,
    pub exit_code: Option<u8>,
    /// One object per stage.
    pub summary: Value,
}

impl Store {
    /// The schema version that this amzctl writes.
    pub const SCHEMA_VERSION: i64 = super::migrate::SCHEMA_VERSION;

    /// Names the database and fixes its reporting zone, unless that was done before; answers what holds.
    pub async fn identify(&self, identity: &Identity) -> Result<Identity> {
        // Whoever may only read can be another host of a database that was made elsewhere.
        if let Some(found) = self.identity().await? {
            return Ok(found);
        }
        let mut tx = self.begin_briefly().await?;
        insert_identity(&mut tx, identity).await?;
        tx.commit().await?;
        Ok(self.identity().await?.unwrap_or_else(|| identity.clone()))
    }

    /// Null when the database was made but not identified: `init` was killed in between.
    ///
    /// Errors: a copy of another database goes on here, or was left in the middle.
    pub async fn identity(&self) -> Result<Option<Identity>> {
        let identity = read_identity(self.reader()).await?;
        if identity.is_none()
            && query_scalar("SELECT EXISTS (SELECT 1 FROM copy_progress)").fetch_one(self.reader()).await?
        {
            return Err(StoreError::UnfinishedCopy(self.location().clone()));
        }
        Ok(identity)
    }

    /// The value of a mark; 0 when it was never set.
    pub async fn mark(&self, name: &str) -> Result<i64> {
        let value = query_scalar("SELECT value FROM marks WHERE name = $1")
            .bind(name)
            .fetch_optional(self.reader())
            .await?;
        Ok(value.unwrap_or(0))
    }

    pub async fn begin_run(&self, start: &RunStart) -> Result<()> {
        let mut tx = self.begin_briefly().await?;
        query("INSERT INTO runs (run_id, command, started_at, host, pid) VALUES ($1, $2, $3, $4, $5)")
            .bind(&start.run_id)
            .bind(&start.command)
            .bind(start.started_at.timestamp_micros())
            .bind(&start.host)
            .bind(i64::from(start.pid))
            .execute(&mut tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Writes the end of a run, and tells the audience of it, in one transaction.
    pub async fn finish_run(
        &self,
        run: &RunStart,
        finished_at: Timestamp,
        exit_code: u8,
        summary: &Value,
        audience: &Audience,
    ) -> Result<()> {
        let mut tx = self.begin_briefly().await?;
        query("UPDATE runs SET finished_at = $1, exit_code = $2, summary = $3 WHERE run_id = $4")
            .bind(finished_at.timestamp_micros())
            .bind(i64::from(exit_code))
            .bind(summary.to_string())
            .bind(&run.run_id)
            .execute(&mut tx)
            .await?;
        let ended = run_ended(&audience.workspace, run, finished_at, exit_code, summary);
        tell(&mut tx, audience, finished_at, vec![ended]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The newest runs, newest first.
    pub async fn load_runs(&self, limit: u32) -> Result<Vec<RunRecord>> {
        self.load_runs_before(None, limit).await
    }

    /// The newest runs behind a place (begin in microseconds, id), newest first.
    pub async fn load_runs_before(
        &self,
        before: Option<(i64, String)>,
        limit: u32,
    ) -> Result<Vec<RunRecord>> {
        let (at, id) = before.unzip();
        let rows = query(
            "SELECT run_id, command, started_at, finished_at, exit_code, host, pid, summary FROM runs
             WHERE $1 IS NULL OR started_at < $1 OR (started_at = $1 AND run_id < $2)
             ORDER BY started_at DESC, run_id DESC LIMIT $3",
        )
        .bind(at)
        .bind(id)
        .bind(i64::from(limit))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(run_record).collect()
    }

    /// The runs whose id begins with `prefix`, newest first; at most two, so that a caller sees ambiguity.
    pub async fn load_runs_by_prefix(&self, prefix: &str) -> Result<Vec<RunRecord>> {
        let rows = query(
            "SELECT run_id, command, started_at, finished_at, exit_code, host, pid, summary FROM runs
             WHERE substr(run_id, 1, length($1)) = $1 ORDER BY started_at DESC, run_id DESC LIMIT 2",
        )
        .bind(prefix)
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(run_record).collect()
    }
}

pub(super) async fn read_identity(on: impl Into<On<'_>>) -> Result<Option<Identity>> {
    let row = query("SELECT database_uuid, lake_epoch, zone, created_at FROM database_identity")
        .fetch_optional(on)
        .await?;
    row.map(|row| {
        Ok(Identity {
            database_uuid: row.try_get(0)?,
            lake_epoch: row.try_get(1)?,
            zone: row.try_get(2)?,
            created_at: instant(&row, "database_identity", "created_at")?,
        })
    })
    .transpose()
}

/// Names the database inside a transaction.
pub(super) async fn insert_identity(tx: &mut Tx, identity: &Identity) -> Result<()> {
    query(
        "INSERT INTO database_identity (only_row, database_uuid, lake_epoch, zone, created_at)
         SELECT 1, $1, $2, $3, $4 WHERE NOT EXISTS (SELECT 1 FROM copy_progress) ON CONFLICT DO NOTHING",
    )
    .bind(&identity.database_uuid)
    .bind(&identity.lake_epoch)
    .bind(&identity.zone)
    .bind(identity.created_at.timestamp_micros())
    .execute(tx)
    .await?;
    Ok(())
}

/// Sets a mark inside the transaction of the effect that it records.
pub(crate) async fn set_mark(tx: &mut Tx, name: &str, value: i64) -> Result<()> {
    query(
        "INSERT INTO marks (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .execute(tx)
    .await?;
    Ok(())
}

fn run_record(row: &Row) -> Result<RunRecord> {
    let unreadable = |column, value: String| StoreError::Value { table: "runs", column, value };
    let pid: i64 = row.try_get("pid")?;
    let exit_code: Option<i64> = row.try_get("exit_code")?;
    let summary: String = row.try_get("summary")?;
    Ok(RunRecord {
        start: RunStart {
            run_id: row.try_get("run_id")?,
            command: row.try_get("command")?,
            started_at: instant(row, "runs", "started_at")?,
            host: row.try_get("host")?,
            pid: u32::try_from(pid).map_err(|_| unreadable("pid", pid.to_string()))?,
        },
        finished_at: known_instant(row, "runs", "finished_at")?,
        exit_code: exit_code
            .map(|code| u8::try_from(code).map_err(|_| unreadable("exit_code", code.to_string())))
            .transpose()?,
        summary: serde_json::from_str(&summary).map_err(|_| unreadable("summary", summary))?,
    })
}

/// Advances a counter and answers its new value.
pub(crate) async fn bump_mark(tx: &mut Tx, name: &str) -> Result<i64> {
    let value = query_scalar(
        "INSERT INTO marks (name, value) VALUES ($1, 1) ON CONFLICT (name) DO UPDATE SET value = marks.value + 1 RETURNING value",
    )
    .bind(name)
    .fetch_one(tx)
    .await?;
    Ok(value)
}
