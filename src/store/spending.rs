//! What was spent: the ledger of requests in sums.

use serde::Serialize;
use sqlx::{AssertSqlSafe, Row};

use super::{Result, Store};
use crate::model::{Cost, Day, DayRange, words};

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

/// The columns of every statement below.
const SUMS: &str =
    "COUNT(*) AS requests, SUM(state = 'answered') AS answered, SUM(state = 'failed') AS failed,
    SUM(state = 'lost') AS lost, SUM(state = 'sent') AS open, SUM(answered) AS products,
    SUM(iif(state = 'sent', estimated_units, cost_units)) AS units,
    SUM(COALESCE(iif(state = 'sent', estimated_micros, cost_micros), 0)) AS micros,
    SUM(iif(state = 'sent', estimated_micros, cost_micros) IS NULL) AS unpriced";

impl Store {
    /// The costs of the days, a line per name and source: products dearest first, others in the order they were first asked.
    pub async fn load_spending(&self, by: SpendingBy, days: DayRange) -> Result<Vec<Spending>> {
        let sql = match by {
            SpendingBy::Day => grouped("day"),
            SpendingBy::Source => grouped("source"),
            SpendingBy::Run => grouped("run_id"),
            SpendingBy::Product => BY_PRODUCT.to_owned(),
        };
        let rows = sqlx::query(AssertSqlSafe(sql))
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

    /// What a source cost on these days; requests without an answer count with their estimate.
    pub async fn load_spent(&self, source: &str, first: Day, last: Day) -> Result<Cost> {
        let row = sqlx::query(
            "SELECT COALESCE(SUM(iif(state = 'sent', estimated_units, cost_units)), 0) AS units,
                    COALESCE(SUM(iif(state = 'sent', estimated_micros, cost_micros)), 0) AS micros
             FROM source_requests WHERE source = $1 AND day BETWEEN $2 AND $3",
        )
        .bind(source)
        .bind(first.to_string())
        .bind(last.to_string())
        .fetch_one(self.reader())
        .await?;
        Ok(Cost { units: row.try_get("units")?, micros: Some(row.try_get("micros")?) })
    }
}

fn grouped(column: &str) -> String {
    format!(
        "SELECT {column} AS name, source, {SUMS} FROM source_requests WHERE day BETWEEN $1 AND $2
         GROUP BY {column}, source ORDER BY MIN(request_id), source"
    )
}

/// A product's share of the requests that asked for it.
const BY_PRODUCT: &str = "SELECT q.marketplace || ':' || a.value AS name, q.source AS source, COUNT(*) AS requests,
      SUM(q.state = 'answered') AS answered, SUM(q.state = 'failed') AS failed,
      SUM(q.state = 'lost') AS lost, SUM(q.state = 'sent') AS open, 1 AS products,
      SUM(iif(q.state = 'sent', q.estimated_units, q.cost_units) / json_array_length(q.asins)
          + (a.key < iif(q.state = 'sent', q.estimated_units, q.cost_units) % json_array_length(q.asins))) AS units,
      SUM(COALESCE(iif(q.state = 'sent', q.estimated_micros, q.cost_micros) / json_array_length(q.asins)
          + (a.key < iif(q.state = 'sent', q.estimated_micros, q.cost_micros) % json_array_length(q.asins)), 0))
        AS micros,
      SUM(iif(q.state = 'sent', q.estimated_micros, q.cost_micros) IS NULL) AS unpriced
    FROM source_requests q, json_each(q.asins) a WHERE q.day BETWEEN $1 AND $2
    GROUP BY 1, 2 ORDER BY micros DESC, units DESC, name, source";
