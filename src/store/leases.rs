//! Leases of pipelines, for several hosts on one server: who may run what, and until when.
//!
//! A lease is taken and kept by the server's clock. Each time it changes hands its token grows, and every transaction
//! that writes begins by asking whether the tokens of its process still hold: whoever stalled past its lease writes
//! nothing more. The embedded engine needs none of this: an operating-system lock ends with its process.

use std::time::Duration;

use super::columns::to_json;
use super::db::postgres::Server;
use super::db::{query, query_scalar};
use super::{Result, Tx};

/// What became of an attempt to take a lease.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Taken {
    /// The token.
    Mine(i64),
    /// Another holder has it, in the words in which it named itself.
    Held(String),
}

/// The leases of a server's database.
#[derive(Clone, Debug)]
pub struct Leases(pub(super) Server);

/// The server's clock, in microseconds since 1970.
macro_rules! now {
    () => {
        "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
    };
}

pub(super) use now;

/// What hosts share by claims, each with a lease of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shared {
    /// The list of due products.
    Ingest,
    /// The outbox.
    Deliver,
}

/// The lease of whoever keeps everybody else from a server's database.
pub const EVERYTHING: &str = "everything";

impl Shared {
    pub const ALL: [Shared; 2] = [Shared::Ingest, Shared::Deliver];

    /// Whose lock it is where one run at a time has everything.
    pub const fn pipeline(self) -> &'static str {
        match self {
            Shared::Ingest => "pipeline",
            Shared::Deliver => "deliver",
        }
    }

    /// What the names of its leases begin with.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Shared::Ingest => "ingest/",
            Shared::Deliver => "deliver/",
        }
    }

    /// The lease of one of those who share it.
    pub fn lease(self, id: &str) -> String {
        format!("{}{id}", self.prefix())
    }
}

// None of these waits for the lock of the one writer: a lease is kept while a long transaction writes.
impl Leases {
    /// Takes the lease of a pipeline for `ttl`, if nobody has it, its time is over, or `gone` has it.
    ///
    /// From now on every transaction of the store that writes asks whether the lease still holds.
    pub async fn take(
        &self,
        pipeline: &str,
        holder: &str,
        gone: Option<&str>,
        ttl: Duration,
    ) -> Result<Taken> {
        let mut tx = self.0.begin_beside().await?;
        let token: Option<i64> = query_scalar(concat!(
            "INSERT INTO run_leases (pipeline, holder, token, lease_until) VALUES ($1, $2, 1, ",
            now!(),
            " + $3) ON CONFLICT (pipeline) DO UPDATE SET holder = excluded.holder, token = run_leases.token + 1,
               lease_until = excluded.lease_until
             WHERE run_leases.lease_until <= ",
            now!(),
            " OR run_leases.holder = $4 RETURNING token"
        ))
        .bind(pipeline)
        .bind(holder)
        .bind(micros(ttl))
        .bind(gone)
        .fetch_optional(&mut tx)
        .await?;
        if token.is_some() {
            // What the last holder has begun to write ends first, and it begins nothing more.
            query("SELECT 1 FROM run_leases WHERE pipeline = $1 FOR UPDATE")
                .bind(pipeline)
                .execute(&mut tx)
                .await?;
        }
        tx.commit().await?;
        match token {
            Some(token) => {
                self.0.fence(pipeline, Some(token));
                Ok(Taken::Mine(token))
            }
            None => Ok(Taken::Held(self.holder(pipeline).await?.unwrap_or_default())),
        }
    }

    /// Keeps a lease for another `ttl`; false when it is another's by now.
    pub async fn renew(&self, pipeline: &str, token: i64, ttl: Duration) -> Result<bool> {
        let mut tx = self.0.begin_beside().await?;
        let done = query(concat!(
            "UPDATE run_leases SET lease_until = ",
            now!(),
            " + $3 WHERE pipeline = $1 AND token = $2"
        ))
        .bind(pipeline)
        .bind(token)
        .bind(micros(ttl))
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Gives a lease back.
    pub async fn release(&self, pipeline: &str, token: i64) -> Result<()> {
        self.0.fence(pipeline, None);
        let mut tx = self.0.begin_beside().await?;
        query("UPDATE run_leases SET lease_until = 0, token = token + 1 WHERE pipeline = $1 AND token = $2")
            .bind(pipeline)
            .bind(token)
            .execute(&mut tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Those who share something now: their leases, and the words in which they named themselves.
    pub async fn sharers(&self, shared: Shared) -> Result<Vec<(String, String)>> {
        let mut tx = self.0.begin_reading().await?;
        let rows = query(concat!(
            "SELECT pipeline, holder FROM run_leases WHERE pipeline LIKE $1 || '%' AND lease_until > ",
            now!(),
            " ORDER BY pipeline"
        ))
        .bind(shared.prefix())
        .fetch_all(&mut tx)
        .await?;
        tx.commit().await?;
        rows.iter().map(|row| Ok((row.try_get("pipeline")?, row.try_get("holder")?))).collect()
    }

    /// Ends leases of those who share something beside `own` that are over, or whose holders are known to be `gone`: what
    /// they claimed is to be had.
    pub async fn end_others(&self, shared: Shared, own: &str, gone: &[String]) -> Result<()> {
        let mut tx = self.0.begin_beside().await?;
        end_others(&mut tx, shared, own, gone).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Who has the lease of a pipeline now; null when nobody has.
    pub async fn holder(&self, pipeline: &str) -> Result<Option<String>> {
        let mut tx = self.0.begin_reading().await?;
        let holder = query_scalar(concat!(
            "SELECT holder FROM run_leases WHERE pipeline = $1 AND lease_until > ",
            now!()
        ))
        .bind(pipeline)
        .fetch_optional(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(holder)
    }
}

/// [`Leases::end_others`] in a transaction. Whoever only stalled finds that when it next writes.
pub(super) async fn end_others(tx: &mut Tx, shared: Shared, own: &str, gone: &[String]) -> Result<()> {
    query(concat!(
        "DELETE FROM run_leases WHERE pipeline LIKE $1 || '%' AND pipeline <> $2 AND (lease_until <= ",
        now!(),
        " OR pipeline IN (SELECT value FROM json_each($3)))"
    ))
    .bind(shared.prefix())
    .bind(own)
    .bind(to_json(gone))
    .execute(tx)
    .await?;
    Ok(())
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Refuses the transaction whose process has lost a lease; nobody else takes it before the transaction ends.
pub(super) fn fence_statement(pipeline: &str, token: i64) -> String {
    format!(
        "DO $$ BEGIN
             PERFORM FROM run_leases WHERE pipeline = '{pipeline}' AND token = {token} FOR KEY SHARE;
             IF NOT FOUND THEN RAISE EXCEPTION USING ERRCODE = '{LEASE_LOST}', MESSAGE = 'the lease is another''s'; END IF; END $$;"
    )
}

/// The SQLSTATE of a lost lease; no server has one of this class.
pub(super) const LEASE_LOST: &str = "AZ001";
