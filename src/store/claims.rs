//! The list of due products that several hosts share: who asks for which of them.
//!
//! Each run that shares it holds a lease of its own; its claims hold as long as that. What a run whose lease is over had
//! claimed, and the requests whose answers it waited for, go to the next run that wants something. All of it is one
//! transaction behind the one writer, so two runs never have the same product. An embedded database has one run at a
//! time, by its lock: everything is that run's.

use super::columns::{instant, product_key, to_json};
use super::db::{Database, Row, query, query_of};
use super::fetching::{LastFetch, OpenRequest, open_request};
use super::leases::{Shared, now};
use super::{Result, Store, Tx};
use crate::model::{ProductKey, Timestamp};

const SHARING: &str = Shared::Ingest.prefix();

/// What came of wanting products.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Claimed {
    /// This run's from now on.
    pub mine: Vec<ProductKey>,
    /// The last answers for what was wanted: some may have been on their way to the database when the run was planned.
    pub fetches: Vec<(ProductKey, LastFetch)>,
    /// Given up by another run since this one began.
    pub given_up: Vec<ProductKey>,
    /// Requests that a run sent which is gone: this one looks for their answers.
    pub left_open: Vec<OpenRequest>,
    /// Who holds the others, in the words in which they named themselves, by their lease.
    pub holders: Vec<(String, String)>,
}

impl Store {
    /// True where several runs may share a list.
    pub fn is_shared(&self) -> bool {
        matches!(self.reader(), Database::Postgres(_))
    }

    /// Claims those of the wanted products that nobody has, and tells what others have settled by now. Leases named in `gone`
    /// are over: their processes are known to be.
    pub async fn claim_products(
        &self,
        run_id: &str,
        wanted: &[ProductKey],
        began: Timestamp,
        gone: &[String],
    ) -> Result<Claimed> {
        let mut tx = self.begin_briefly().await?;
        let claimed = match &tx {
            Tx::Sqlite(_) => Claimed {
                mine: wanted.to_vec(),
                left_open: take_over(&mut tx, run_id, "").await?,
                ..Claimed::default()
            },
            Tx::Postgres { .. } => claim_among_others(&mut tx, run_id, wanted, began, gone).await?,
        };
        tx.commit().await?;
        Ok(claimed)
    }

    /// Gives back what a run has claimed.
    pub async fn give_claims_back(&self, run_id: &str) -> Result<()> {
        if !self.is_shared() {
            return Ok(());
        }
        let mut tx = self.begin_briefly().await?;
        query("DELETE FROM fetch_claims WHERE run_id = $1").bind(run_id).execute(&mut tx).await?;
        tx.commit().await?;
        Ok(())
    }
}

async fn claim_among_others(
    tx: &mut Tx,
    run_id: &str,
    wanted: &[ProductKey],
    began: Timestamp,
    gone: &[String],
) -> Result<Claimed> {
    // A lease that is over goes: whoever had it and only stalled finds that when it next writes.
    query(concat!(
        "DELETE FROM run_leases WHERE pipeline LIKE $1 || '%' AND (lease_until <= ",
        now!(),
        " OR pipeline IN (SELECT value FROM json_each($2)))"
    ))
    .bind(SHARING)
    .bind(to_json(gone))
    .execute(tx)
    .await?;
    query(
        "DELETE FROM fetch_claims c WHERE NOT EXISTS
           (SELECT 1 FROM run_leases l WHERE l.pipeline = $1 || c.run_id)",
    )
    .bind(SHARING)
    .execute(tx)
    .await?;
    let left_open = take_over(
        tx,
        run_id,
        " AND NOT EXISTS (SELECT 1 FROM run_leases l WHERE l.pipeline = $2 || kept_by)",
    )
    .await?;
    // The products of those requests are waited for with them.
    let resumed = left_open.iter().flat_map(|request| {
        let marketplace = request.marketplace;
        request.asins.iter().map(move |&asin| ProductKey { marketplace, asin })
    });
    let keys: Vec<String> = wanted.iter().copied().chain(resumed).map(|key| key.to_string()).collect();
    let keys = to_json(&keys);
    query(
        "INSERT INTO fetch_claims (marketplace, asin, run_id)
         SELECT split_part(value, ':', 1), split_part(value, ':', 2), $2 FROM json_each($1)
         ON CONFLICT (marketplace, asin) DO NOTHING",
    )
    .bind(&keys)
    .bind(run_id)
    .execute(tx)
    .await?;
    let mine = query(concat!(
        "SELECT DISTINCT c.marketplace, c.asin FROM ",
        wanted!("fetch_claims c"),
        " WHERE c.run_id = $2"
    ))
    .bind(&keys)
    .bind(run_id)
    .fetch_all(&mut *tx)
    .await?;
    let fetches = query(concat!(
        "SELECT c.marketplace, c.asin, c.source, c.operation, c.fetched_at FROM ",
        wanted!("fetches c")
    ))
    .bind(&keys)
    .fetch_all(&mut *tx)
    .await?;
    let given_up = query(concat!(
        "SELECT c.marketplace, c.asin FROM ",
        wanted!("fetch_failures c"),
        " WHERE c.failed_at > $2 AND c.run_id <> $3"
    ))
    .bind(&keys)
    .bind(began.timestamp_micros())
    .bind(run_id)
    .fetch_all(&mut *tx)
    .await?;
    let holders = query(
        "SELECT pipeline, holder FROM run_leases WHERE pipeline LIKE $1 || '%' AND pipeline <> $1 || $2",
    )
    .bind(SHARING)
    .bind(run_id)
    .fetch_all(&mut *tx)
    .await?;
    let key = |table| move |row: &Row| product_key(row, table);
    Ok(Claimed {
        mine: mine.iter().map(key("fetch_claims")).collect::<Result<_>>()?,
        fetches: fetches.iter().map(last_fetch).collect::<Result<_>>()?,
        given_up: given_up.iter().map(key("fetch_failures")).collect::<Result<_>>()?,
        left_open,
        holders: holders
            .iter()
            .map(|row| Ok((row.try_get("pipeline")?, row.try_get("holder")?)))
            .collect::<Result<_>>()?,
    })
}

/// The wanted products of `$1` joined to a table `c`.
macro_rules! wanted {
    ($table:literal) => {
        concat!(
            "json_each($1) w JOIN ",
            $table,
            " ON c.marketplace = split_part(w.value, ':', 1) AND c.asin = split_part(w.value, ':', 2)"
        )
    };
}
use wanted;

/// Requests that were sent and never settled become this run's, oldest first.
async fn take_over(tx: &mut Tx, run_id: &str, which: &str) -> Result<Vec<OpenRequest>> {
    let sql = format!(
        "UPDATE source_requests SET kept_by = $1 WHERE state = 'sent' AND kept_by <> $1{which}
         RETURNING request_id, source, operation, marketplace, asins, options, attempt, sent_at, job_id,
           estimated_units, estimated_micros"
    );
    let statement = query_of(sql).bind(run_id);
    let statement = if which.is_empty() { statement } else { statement.bind(SHARING) };
    let rows = statement.fetch_all(tx).await?;
    let mut requests = rows.iter().map(open_request).collect::<Result<Vec<OpenRequest>>>()?;
    requests.sort_by_key(|request| request.request_id);
    Ok(requests)
}

fn last_fetch(row: &Row) -> Result<(ProductKey, LastFetch)> {
    let fetch = LastFetch {
        source: row.try_get("source")?,
        operation: row.try_get("operation")?,
        fetched_at: instant(row, "fetches", "fetched_at")?,
    };
    Ok((product_key(row, "fetches")?, fetch))
}
