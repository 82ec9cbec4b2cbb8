//! Which days a receipt of history is to give.

use std::collections::BTreeSet;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::super::columns::{from_json, instant, parsed, product_key};
use super::super::drift::forget;
use super::super::{Result, Store, Tx};
use crate::model::{Day, DayRange, ProductKey, ReportingZone};

/// The ranges asked of a receipt `r` of the kind `history` as a JSON array of pairs; null for any other.
macro_rules! asked_days {
    () => {
        "CASE WHEN r.kind = 'history' THEN (SELECT json_group_array(json_array(from_day, to_day))
            FROM (SELECT h.from_day, h.to_day FROM history_requests h
                  WHERE h.receipt_id = r.receipt_id ORDER BY h.from_day, h.to_day)) END AS asked_days"
    };
}
pub(super) use asked_days;

impl Store {
    /// Asks a receipt of history for these days too, beside those it was asked for already. Normalize reads it again;
    /// false when the very same range was asked for before, which changes nothing.
    pub async fn request_history(&self, receipt_id: i64, days: DayRange) -> Result<bool> {
        let mut tx = self.begin().await?;
        let is_new = ask_for_days(&mut tx, receipt_id, days).await?;
        tx.commit().await?;
        Ok(is_new)
    }

    /// Products that a source was asked about for all of these days, on `today` or when the last of them was over.
    pub async fn load_backfilled(
        &self,
        source: &str,
        days: DayRange,
        today: Day,
        zone: ReportingZone,
    ) -> Result<BTreeSet<ProductKey>> {
        let rows = sqlx::query(
            "SELECT r.marketplace, r.asin_requested AS asin, MAX(r.fetched_at) AS fetched_at
             FROM raw_receipts r JOIN history_requests h ON h.receipt_id = r.receipt_id
             WHERE r.source = $1 AND r.kind = 'history' AND h.from_day <= $2 AND h.to_day >= $3
             GROUP BY r.marketplace, r.asin_requested",
        )
        .bind(source)
        .bind(days.first.to_string())
        .bind(days.last.to_string())
        .fetch_all(self.reader())
        .await?;
        let mut backfilled = BTreeSet::new();
        for row in &rows {
            let asked_on = zone.day_of(instant(row, "raw_receipts", "fetched_at")?);
            if asked_on > days.last || asked_on >= today {
                backfilled.insert(product_key(row, "raw_receipts")?);
            }
        }
        Ok(backfilled)
    }
}

/// [`Store::request_history`] inside the transaction that lands the receipt.
pub(in crate::store) async fn ask_for_days(tx: &mut Tx, receipt_id: i64, days: DayRange) -> Result<bool> {
    let added = sqlx::query(
        "INSERT INTO history_requests (receipt_id, from_day, to_day) VALUES ($1, $2, $3)
         ON CONFLICT (receipt_id, from_day, to_day) DO NOTHING",
    )
    .bind(receipt_id)
    .bind(days.first.to_string())
    .bind(days.last.to_string())
    .execute(&mut **tx)
    .await?;
    let is_new = added.rows_affected() > 0;
    if is_new {
        forget(tx, &[receipt_id]).await?;
    }
    Ok(is_new)
}

/// The ranges in a row's `asked_days`.
pub(super) fn asked_of(row: &SqliteRow) -> Result<Vec<DayRange>> {
    const TABLE: &str = "history_requests";
    if row.try_get::<Option<String>, _>("asked_days")?.is_none() {
        return Ok(Vec::new());
    }
    let ranges: Vec<(String, String)> = from_json(row, TABLE, "asked_days")?;
    let day = |text: String, column| parsed::<Day>(text, TABLE, column);
    let range = |(from, to)| Ok(DayRange { first: day(from, "from_day")?, last: day(to, "to_day")? });
    ranges.into_iter().map(range).collect()
}
