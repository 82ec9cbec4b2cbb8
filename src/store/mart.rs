//! Store methods of the mart: its serving tables, published in one transaction with the lake's list of files.

use std::sync::Arc;

use async_trait::async_trait;

use super::columns::{to_json, word};
use super::db::{Monthly, bulk, query, query_of, query_scalar};
use super::lake::{FileSwap, set_built, swap_files};
use super::{Result, Store, StoreError, Tx};
use crate::model::{Day, DayRange, Marketplace};

/// One value of a serving row.
#[derive(Clone, PartialEq, Debug)]
pub enum ServingValue {
    Null,
    Int(i64),
    Real(f64),
    Text(Arc<str>),
}

/// Rows for a serving table, in whatever shape their maker holds them. They should come in the order of its key: SQLite
/// then fills its pages one after the other.
pub trait ServingRows: Sync {
    /// Names of the SQL table's columns besides `marketplace`.
    fn columns(&self) -> Vec<&'static str>;
    fn rows(&self) -> usize;
    /// The value of a row and column (a place in `columns`).
    fn value(&self, row: usize, column: usize) -> ServingValue;
}

/// A day's aggregate, or a category's: a JSON record.
#[derive(Clone, PartialEq, Debug)]
pub struct DayRecord {
    pub day: Day,
    /// Empty for the day as a whole.
    pub category: String,
    pub record: String,
}

/// What a build publishes for one marketplace.
pub struct MartUpdate<'a> {
    pub marketplace: Marketplace,
    /// The first day of which deltas and aggregates are served; those of earlier days are taken away.
    pub served_from: Day,
    /// Days of which served deltas and aggregates are replaced.
    pub replaced: Vec<DayRange>,
    /// Days that were rebuilt because their rows changed.
    pub days: Vec<Day>,
    pub served: &'a mut dyn ServedDays,
    /// Asins of which all served rollups and their sellers are replaced.
    pub products: &'a [String],
    /// Newest rollups of these products, as far as there still are any.
    pub rollups: &'a dyn ServingRows,
    pub sellers: &'a dyn ServingRows,
}

/// The days whose deltas and aggregates are served anew, in order and some at a time: all of them need not lie in memory.
/// What goes wrong in reading them is the reader's, not the store's, and is passed on as it is.
#[async_trait]
pub trait ServedDays: Send {
    /// The next days; null behind the last.
    async fn next(&mut self) -> anyhow::Result<Option<DaysPart>>;
}

/// What is served of some days.
pub struct DaysPart {
    pub deltas: Box<dyn ServingRows + Send>,
    pub daily_aggregates: Vec<DayRecord>,
    pub category_metrics: Vec<DayRecord>,
}

impl Store {
    /// Makes a mart build current: the file list, the mark, the serving tables and the days to be judged, in one
    /// transaction. Errors: also those of whoever reads the served days; nothing is changed then.
    pub async fn publish_mart(
        &self,
        swap: &FileSwap,
        built_seq: i64,
        updates: &mut [MartUpdate<'_>],
    ) -> anyhow::Result<()> {
        let mut tx = self.begin().await?;
        swap_files(&mut tx, swap).await?;
        for update in updates {
            forget_served_days(&mut tx, update).await?;
            while let Some(days) = update.served.next().await? {
                // Every day with rows has its aggregate.
                Monthly::Deltas.make(&mut tx, days.daily_aggregates.iter().map(|it| it.day.month())).await?;
                insert_rows(&mut tx, "deltas", update.marketplace, days.deltas.as_ref()).await?;
                insert_records(&mut tx, update.marketplace, &days).await?;
            }
            publish_rollups(&mut tx, update).await?;
            mark_days_built(&mut tx, update, built_seq).await?;
        }
        set_built(&mut tx, built_seq).await?;
        // As the store's own error, which says more than the driver's.
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// The first day of which aggregates are served; null when none are.
    pub async fn first_served_day(&self, marketplace: Marketplace) -> Result<Option<Day>> {
        let row = query(
            "SELECT MIN(day) AS day FROM daily_aggregates WHERE marketplace = $1 HAVING MIN(day) IS NOT NULL",
        )
        .bind(marketplace.code())
        .fetch_optional(self.reader())
        .await?;
        row.map(|row| word(&row, "daily_aggregates", "day")).transpose()
    }

    /// The first day from `from` on with daily rows; null when there is none.
    pub async fn first_day_from(&self, marketplace: Marketplace, from: Day) -> Result<Option<Day>> {
        let row = query(
            "SELECT day FROM product_metrics_daily WHERE marketplace = $1 AND day >= $2 ORDER BY day LIMIT 1",
        )
        .bind(marketplace.code())
        .bind(from.to_string())
        .fetch_optional(self.reader())
        .await?;
        row.map(|row| word(&row, "product_metrics_daily", "day")).transpose()
    }

    /// The products of which rollups are served, with the day of these.
    pub async fn served_rollups(&self, marketplace: Marketplace) -> Result<Vec<(String, Day)>> {
        let rows = query(
            "SELECT asin, MAX(as_of) AS as_of FROM rollups WHERE marketplace = $1 GROUP BY asin ORDER BY asin",
        )
        .bind(marketplace.code())
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(|row| Ok((row.try_get("asin")?, word(row, "rollups", "as_of")?))).collect()
    }
}

async fn mark_days_built(tx: &mut Tx, update: &MartUpdate<'_>, built_seq: i64) -> Result<()> {
    for day in &update.days {
        query(
            "INSERT INTO mart_days (marketplace, day, built_seq) VALUES ($1, $2, $3)
             ON CONFLICT (marketplace, day) DO UPDATE SET built_seq = excluded.built_seq",
        )
        .bind(update.marketplace.code())
        .bind(day.to_string())
        .bind(built_seq)
        .execute(tx)
        .await?;
    }
    Ok(())
}

async fn forget_served_days(tx: &mut Tx, update: &MartUpdate<'_>) -> Result<()> {
    if replaces_all_deltas(tx, update).await? {
        // Without a condition SQLite gives up whole pages and looks at no row.
        query("DELETE FROM deltas").execute(tx).await?;
    } else {
        forget_days(tx, "deltas", update).await?;
    }
    forget_days(tx, "daily_aggregates", update).await?;
    forget_days(tx, "category_metrics", update).await
}

/// True when no delta would stay: all are this marketplace's, of days in one of the replaced ranges. Four looks at an end
/// of the key.
async fn replaces_all_deltas(tx: &mut Tx, update: &MartUpdate<'_>) -> Result<bool> {
    for range in &update.replaced {
        let replaces_all = query_scalar(
            "SELECT NOT EXISTS (SELECT 1 FROM deltas WHERE marketplace < $1)
                AND NOT EXISTS (SELECT 1 FROM deltas WHERE marketplace > $1)
                AND NOT EXISTS (SELECT 1 FROM deltas WHERE marketplace = $1 AND day < $2)
                AND NOT EXISTS (SELECT 1 FROM deltas WHERE marketplace = $1 AND day > $3)",
        )
        .bind(update.marketplace.code())
        .bind(range.first.to_string())
        .bind(range.last.to_string())
        .fetch_one(&mut *tx)
        .await?;
        if replaces_all {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Deletes what is replaced, and what is served no longer. One range each: where the key begins with the day, an `OR`
/// would read all rows.
async fn forget_days(tx: &mut Tx, table: &str, update: &MartUpdate<'_>) -> Result<()> {
    let no_longer = (Day::from_no(0), update.served_from.plus(-1));
    let replaced = update.replaced.iter().map(|range| (range.first, range.last));
    for (first, last) in replaced.chain([no_longer]) {
        let statement = format!("DELETE FROM {table} WHERE marketplace = $1 AND day BETWEEN $2 AND $3");
        query_of(statement)
            .bind(update.marketplace.code())
            .bind(first.to_string())
            .bind(last.to_string())
            .execute(tx)
            .await?;
    }
    Ok(())
}

async fn publish_rollups(tx: &mut Tx, update: &MartUpdate<'_>) -> Result<()> {
    for statement in [
        "DELETE FROM rollups WHERE marketplace = $1 AND asin IN (SELECT value FROM json_each($2))",
        "DELETE FROM rollup_sellers WHERE marketplace = $1 AND asin IN (SELECT value FROM json_each($2))",
    ] {
        query(statement).bind(update.marketplace.code()).bind(to_json(&update.products)).execute(tx).await?;
    }
    insert_rows(tx, "rollups", update.marketplace, update.rollups).await?;
    insert_rows(tx, "rollup_sellers", update.marketplace, update.sellers).await
}

async fn insert_records(tx: &mut Tx, marketplace: Marketplace, days: &DaysPart) -> Result<()> {
    for aggregate in &days.daily_aggregates {
        query("INSERT INTO daily_aggregates (marketplace, day, record) VALUES ($1, $2, $3)")
            .bind(marketplace.code())
            .bind(aggregate.day.to_string())
            .bind(&aggregate.record)
            .execute(tx)
            .await?;
    }
    for metrics in &days.category_metrics {
        query("INSERT INTO category_metrics (marketplace, category, day, record) VALUES ($1, $2, $3, $4)")
            .bind(marketplace.code())
            .bind(&metrics.category)
            .bind(metrics.day.to_string())
            .bind(&metrics.record)
            .execute(tx)
            .await?;
    }
    Ok(())
}

async fn insert_rows(
    tx: &mut Tx,
    table: &str,
    marketplace: Marketplace,
    rows: &dyn ServingRows,
) -> Result<()> {
    let columns = rows.columns();
    let into = format!("{table} (marketplace, {})", columns.join(", "));
    let places: Vec<usize> = (0..rows.rows()).collect();
    bulk::insert(tx, &into, "", &places, |values, row| {
        values.push_bind(marketplace.code());
        for column in 0..columns.len() {
            match rows.value(*row, column) {
                ServingValue::Null => values.push_bind(None::<i64>),
                ServingValue::Int(value) => values.push_bind(value),
                ServingValue::Real(value) => values.push_bind(value),
                ServingValue::Text(value) => values.push_bind(value),
            };
        }
    })
    .await?;
    Ok(())
}
