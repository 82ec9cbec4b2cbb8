//! What was spent: the ledger of requests in sums.

use serde::Serialize;

use super::db::{On, Row, query, query_of};
use super::fetching::Purpose;
use super::{Result, Store, Tx};
use crate::model::{Cost, Day, DayRange, SpendingLimit, SpendingLimits, Spent, words};

/// What the costs are told by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpendingBy {
    Day,
    Source,
    Run,
    /// A request's cost is shared out among the products it asked for, without a rest.
    Product,
}

words!(SpendingBy { Day = "day", Source = "source", Run = "run", Product = "product" });

/// One line of the costs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Spending {
    /// The day, source, run id or `MARKETPLACE:ASIN`.
    pub name: String,
    /// Null where the line is not about one.
    pub source: Option<String>,
    pub requests: i64,
    pub answered: i64,
    pub failed: i64,
    /// Sent by a run that was killed: counted at their estimate.
    pub lost: i64,
    /// On their way, or left to the next run: counted at their estimate too.
    pub open: i64,
    /// Products that were told about.
    pub products: i64,
    pub units: i64,
    /// Millionths of a dollar, of the requests whose price is known.
    pub micros: i64,
    /// Requests whose price is not known.
    pub unpriced: i64,
}

/// What a request `q` cost, or is thought to.
macro_rules! cost {
    ("units") => {
        "CASE q.state WHEN 'sent' THEN q.estimated_units ELSE q.cost_units END"
    };
    ("micros") => {
        "CASE q.state WHEN 'sent' THEN q.estimated_micros ELSE q.cost_micros END"
    };
}

/// Counts of requests `q`, in every statement below.
macro_rules! counts {
    () => {
        "COUNT(*) AS requests, COUNT(*) FILTER (WHERE q.state = 'answered') AS answered,
        COUNT(*) FILTER (WHERE q.state = 'failed') AS failed, COUNT(*) FILTER (WHERE q.state = 'lost') AS lost,
        COUNT(*) FILTER (WHERE q.state = 'sent') AS open"
    };
}

impl Store {
    /// The costs of the days, a line per name and source: products dearest first, others in the order they were first asked.
    pub async fn load_spending(&self, by: SpendingBy, days: DayRange) -> Result<Vec<Spending>> {
        let sql = match by {
            SpendingBy::Day => grouped("day"),
            SpendingBy::Source => grouped("source"),
            SpendingBy::Run => grouped("run_id"),
            SpendingBy::Product => BY_PRODUCT.to_owned(),
        };
        let rows = query_of(sql)
            .bind(days.first.to_string())
            .bind(days.last.to_string())
            .fetch_all(self.reader())
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Spending {
                    name: row.try_get("name")?,
                    source: row.try_get("source")?,
                    requests: row.try_get("requests")?,
                    answered: row.try_get("answered")?,
                    failed: row.try_get("failed")?,
                    lost: row.try_get("lost")?,
                    open: row.try_get("open")?,
                    products: row.try_get("products")?,
                    units: row.try_get("units")?,
                    micros: row.try_get("micros")?,
                    unpriced: row.try_get("unpriced")?,
                })
            })
            .collect()
    }

    /// What other runs than this one have spent at a source; requests without an answer count with their estimate.
    pub async fn load_spent_by_others(&self, run_id: &str, source: &str, day: Day) -> Result<Spent> {
        // One state: what settles in between would count twice or not at all.
        let mut tx = self.reader().begin_reading().await?;
        let all = spent_by_all(&mut tx, source, day).await?;
        let own = spent_by(&mut tx, run_id, source).await?;
        tx.commit().await?;
        Ok(without(all, own))
    }

    /// What a run has spent at a source by now, requests without an answer at their estimate.
    pub async fn load_spent_by_run(&self, run_id: &str, source: &str) -> Result<Cost> {
        spent_by(self.reader(), run_id, source).await
    }

    /// The units that all runs have spent at a source on second looks of a day.
    pub async fn load_spent_on_second_looks(&self, source: &str, day: Day) -> Result<i64> {
        let row = query(concat!(
            "SELECT CAST(COALESCE(SUM(",
            cost!("units"),
            "), 0) AS BIGINT) AS units FROM source_requests q WHERE q.source = $1 AND q.day = $2 AND q.purpose = $3"
        ))
        .bind(source)
        .bind(day.to_string())
        .bind(Purpose::SecondLook.as_str())
        .fetch_one(self.reader())
        .await?;
        Ok(row.try_get("units")?)
    }
}

fn cost(row: &Row) -> Result<Cost> {
    Ok(Cost { units: row.try_get("units")?, micros: Some(row.try_get("micros")?) })
}

/// Counts a cost instead of another one.
pub(super) async fn count_spending(
    tx: &mut Tx,
    source: &str,
    day: &str,
    cost: Cost,
    instead_of: Cost,
) -> Result<()> {
    let more = cost.known().minus(instead_of.known());
    query(
        "INSERT INTO source_spending (source, day, units, micros) VALUES ($1, $2, $3, $4)
         ON CONFLICT (source, day) DO UPDATE SET units = source_spending.units + excluded.units,
           micros = source_spending.micros + excluded.micros",
    )
    .bind(source)
    .bind(day)
    .bind(more.units)
    .bind(more.micros)
    .execute(tx)
    .await?;
    Ok(())
}

/// What other runs than this one have spent of the day and the month, where a request of this estimate would exceed a limit
/// of either.
pub(super) async fn over_limit(
    tx: &mut Tx,
    run_id: &str,
    source: &str,
    day: Day,
    estimate: Cost,
    limits: &SpendingLimits,
) -> Result<Option<Spent>> {
    if limits.day == SpendingLimit::default() && limits.month == SpendingLimit::default() {
        return Ok(None);
    }
    let all = spent_by_all(&mut *tx, source, day).await?;
    let with_it = |spent: Cost| spent.plus(estimate.known());
    if limits.day.allows(with_it(all.day)) && limits.month.allows(with_it(all.month)) {
        return Ok(None);
    }
    Ok(Some(without(all, spent_by(tx, run_id, source).await?)))
}

fn without(all: Spent, own: Cost) -> Spent {
    Spent { day: all.day.minus(own), month: all.month.minus(own) }
}

async fn spent_by_all(on: impl Into<On<'_>>, source: &str, day: Day) -> Result<Spent> {
    let row = query(
        "SELECT CAST(COALESCE(SUM(CASE WHEN day = $2 THEN units ELSE 0 END), 0) AS BIGINT) AS day_units,
           CAST(COALESCE(SUM(CASE WHEN day = $2 THEN micros ELSE 0 END), 0) AS BIGINT) AS day_micros,
           CAST(COALESCE(SUM(units), 0) AS BIGINT) AS units, CAST(COALESCE(SUM(micros), 0) AS BIGINT) AS micros
         FROM source_spending WHERE source = $1 AND day BETWEEN $3 AND $4",
    )
    .bind(source)
    .bind(day.to_string())
    .bind(day.month_start().to_string())
    .bind(day.month_end().to_string())
    .fetch_one(on)
    .await?;
    let of_day = Cost { units: row.try_get("day_units")?, micros: Some(row.try_get("day_micros")?) };
    Ok(Spent { day: of_day, month: cost(&row)? })
}

async fn spent_by(on: impl Into<On<'_>>, run_id: &str, source: &str) -> Result<Cost> {
    let row = query(concat!(
        "SELECT CAST(COALESCE(SUM(",
        cost!("units"),
        "), 0) AS BIGINT) AS units, CAST(COALESCE(SUM(",
        cost!("micros"),
        "), 0) AS BIGINT) AS micros FROM source_requests q WHERE q.run_id = $1 AND q.source = $2"
    ))
    .bind(run_id)
    .bind(source)
    .fetch_one(on)
    .await?;
    cost(&row)
}

fn grouped(column: &str) -> String {
    format!(
        concat!(
            "SELECT q.{column} AS name, q.source AS source, ",
            counts!(),
            ", CAST(SUM(q.answered) AS BIGINT) AS products, CAST(SUM(",
            cost!("units"),
            ") AS BIGINT) AS units, CAST(SUM(COALESCE(",
            cost!("micros"),
            ", 0)) AS BIGINT) AS micros, COUNT(*) - COUNT(",
            cost!("micros"),
            ") AS unpriced
             FROM source_requests q WHERE q.day BETWEEN $1 AND $2
             GROUP BY q.{column}, q.source ORDER BY MIN(q.request_id), q.source"
        ),
        column = column
    )
}

/// A product's share of what a request cost that asked for it.
macro_rules! share {
    ($what:tt) => {
        concat!(
            "((",
            cost!($what),
            ") / json_array_length(q.asins) + CASE WHEN a.key < (",
            cost!($what),
            ") % json_array_length(q.asins) THEN 1 ELSE 0 END)"
        )
    };
}

const BY_PRODUCT: &str = concat!(
    "SELECT q.marketplace || ':' || a.value AS name, q.source AS source, ",
    counts!(),
    ", 1 AS products, CAST(SUM(",
    share!("units"),
    ") AS BIGINT) AS units, CAST(SUM(COALESCE(",
    share!("micros"),
    ", 0)) AS BIGINT) AS micros, COUNT(*) - COUNT(",
    cost!("micros"),
    ") AS unpriced
     FROM source_requests q, json_each(q.asins) a WHERE q.day BETWEEN $1 AND $2
     GROUP BY 1, 2 ORDER BY micros DESC, units DESC, name, source"
);
