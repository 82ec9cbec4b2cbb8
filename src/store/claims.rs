//! The list of due products that several hosts share: who asks for which of them.
//!
//! Each run that shares it holds a lease of its own; its claims hold as long as that. What a run whose lease is over had
//! claimed, and the requests whose answers it waited for, go to the next run that wants something. All of it is one
//! transaction behind the one writer, so two runs never have the same product. An embedded database has one run at a
//! time, by its lock: everything is that run's.

use super::columns::{instant, product_key, to_json};
use super::db::{Database, Row, query, query_of};
use super::fetching::{LastFetch, OpenRequest, open_request};
use super::leases::{Shared, end_others};
use super::{Result, Store, Tx};
use crate::model::{FaultKind, ProductKey, Timestamp};

const SHARING: &str = Shared::Ingest.prefix();

/// What came of wanting products.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Claimed {
    /// This run's from now on.
    pub mine: Vec<ProductKey>,
    /// The last answers for what was wanted: some may have been on their way to the database when the run was planned.
    pub fetches: Vec<(ProductKey, LastFetch)>,
    /// Given up by another run since this one began, for a reason that lies with the product.
    pub given_up: Vec<ProductKey>,
    /// Requests that a run sent which is gone: this one looks for their answers.
    pub left_open: Vec<OpenRequest>,
    /// Who holds the others, in the words in which they named themselves, by their lease.
    pub holders: Vec<(String, String)>,
}

/// What a run wants of the list.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub run_id: &'a str,
    pub products: &'a [ProductKey],
    /// True of every product that it may ask for: the requests of a run that is gone bring theirs along.
    pub is_due: &'a (dyn Fn(&ProductKey) -> bool + Sync),
    /// The sources it asks: requests to others are left to those who do.
    pub sources: &'a [&'static str],
    /// It fills in days of the past, and looks for nothing else.
    pub is_backfill: bool,
    pub began: Timestamp,
    /// Leases whose processes are known to be gone.
    pub gone: &'a [String],
}

impl Store {
    /// True where several runs may share a list.
    pub fn is_shared(&self) -> bool {
        matches!(self.reader(), Database::Postgres(_))
    }

    /// Claims those of the wanted products that nobody has, and tells what others have settled by now.
    pub async fn claim_products(&self, wanted: &Wanted<'_>) -> Result<Claimed> {
        let mut tx = self.begin_briefly().await?;
        let claimed = match &tx {
            Tx::Sqlite(_) => Claimed {
                mine: wanted.products.to_vec(),
                left_open: take_over(&mut tx, wanted, "1 = 1", false).await?,
                ..Claimed::default()
            },
            Tx::Postgres { .. } => claim_among_others(&mut tx, wanted).await?,
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

async fn claim_among_others(tx: &mut Tx, wanted: &Wanted<'_>) -> Result<Claimed> {
    let Wanted { run_id, products, is_due, began, gone, .. } = *wanted;
    end_others(tx, Shared::Ingest, &Shared::Ingest.lease(run_id), gone).await?;
    query(
        "DELETE FROM fetch_claims c WHERE NOT EXISTS
           (SELECT 1 FROM run_leases l WHERE l.pipeline = $1 || c.run_id)",
    )
    .bind(SHARING)
    .execute(tx)
    .await?;
    let nobody_else_keeps =
        format!("NOT EXISTS (SELECT 1 FROM run_leases l WHERE l.pipeline = '{SHARING}' || kept_by)");
    let left_open = take_over(tx, wanted, &nobody_else_keeps, wanted.is_backfill).await?;
    // The products of those requests are waited for with them.
    let resumed = left_open.iter().flat_map(|request| {
        let marketplace = request.marketplace;
        request.asins.iter().map(move |&asin| ProductKey { marketplace, asin })
    });
    let resumed = resumed.filter(|key| is_due(key));
    let keys: Vec<String> = products.iter().copied().chain(resumed).map(|key| key.to_string()).collect();
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
        " WHERE c.failed_at > $2 AND c.run_id <> $3 AND c.fault IN (SELECT value FROM json_each($4))"
    ))
    .bind(&keys)
    .bind(began.timestamp_micros())
    .bind(run_id)
    .bind(to_json(&FaultKind::OF_PRODUCTS.map(FaultKind::as_str)))
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

/// Requests to its sources that were sent and never settled become this run's, oldest first: those that are free, and
/// where it is said so only those for days of the past.
async fn take_over(
    tx: &mut Tx,
    wanted: &Wanted<'_>,
    is_free: &str,
    only_past: bool,
) -> Result<Vec<OpenRequest>> {
    let sql = format!(
        "UPDATE source_requests SET kept_by = $1
         WHERE state = 'sent' AND kept_by <> $1 AND source IN (SELECT value FROM json_each($2))
           AND ($3 = 0 OR options <> '') AND {is_free}
         RETURNING request_id, source, operation, marketplace, asins, options, attempt, sent_at, job_id,
           estimated_units, estimated_micros"
    );
    let statement = query_of(sql).bind(wanted.run_id).bind(to_json(wanted.sources)).bind(only_past);
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
