//! Which days a receipt of history is to give.

use std::collections::BTreeMap;

use super::super::columns::{from_json, instant, parsed, product_key};
use super::super::db::{Row, query};
use super::super::drift::forget;
use super::super::{Result, Store, Tx};
use crate::model::{Day, DayRange, ProductKey, ReportingZone};

/// The ranges asked of a receipt `r` of the kind `history` as a JSON array of pairs; null for any other.
macro_rules! asked_days {
    () => {
        "CASE WHEN r.kind = 'history' THEN (SELECT '[' || COALESCE(string_agg('[\"' || h.from_day || '\",\"' || h.to_day || '\"]', ','
                  ORDER BY h.from_day, h.to_day), '') || ']'
            FROM history_requests h WHERE h.receipt_id = r.receipt_id) END AS asked_days"
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

    /// The newest answer of a source about each product's past that reaches over all of these days: it was asked from the
    /// first of them or before, on `today` or when the last of them was over.
    pub async fn load_histories(
        &self,
        source: &str,
        days: DayRange,
        today: Day,
        zone: ReportingZone,
    ) -> Result<Vec<KnownHistory>> {
        let rows = query(
            "SELECT r.receipt_id, r.marketplace, r.asin_requested AS asin, r.fetched_at,
                    MAX(CASE WHEN h.from_day <= $2 AND h.to_day >= $3 THEN 1 ELSE 0 END) AS is_asked
             FROM raw_receipts r JOIN history_requests h ON h.receipt_id = r.receipt_id
             WHERE r.source = $1 AND r.kind = 'history'
             GROUP BY r.receipt_id, r.marketplace, r.asin_requested, r.fetched_at HAVING MIN(h.from_day) <= $2 ORDER BY r.fetched_at",
        )
        .bind(source)
        .bind(days.first.to_string())
        .bind(days.last.to_string())
        .fetch_all(self.reader())
        .await?;
        let mut known = BTreeMap::new();
        for row in &rows {
            let asked_on = zone.day_of(instant(row, "raw_receipts", "fetched_at")?);
            if asked_on > days.last || asked_on >= today {
                let product = product_key(row, "raw_receipts")?;
                let (receipt_id, is_asked) = (row.try_get("receipt_id")?, row.try_get("is_asked")?);
                known.insert(product, KnownHistory { product, receipt_id, is_asked });
            }
        }
        Ok(known.into_values().collect())
    }
}

/// An answer about a product's past that is there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KnownHistory {
    pub product: ProductKey,
    pub receipt_id: i64,
    /// It was asked for just these days, or more.
    pub is_asked: bool,
}

/// [`Store::request_history`] inside the transaction that lands the receipt.
pub(in crate::store) async fn ask_for_days(tx: &mut Tx, receipt_id: i64, days: DayRange) -> Result<bool> {
    let added = query(
        "INSERT INTO history_requests (receipt_id, from_day, to_day) VALUES ($1, $2, $3)
         ON CONFLICT (receipt_id, from_day, to_day) DO NOTHING",
    )
    .bind(receipt_id)
    .bind(days.first.to_string())
    .bind(days.last.to_string())
    .execute(tx)
    .await?;
    let is_new = added.rows_affected() > 0;
    if is_new {
        forget(tx, &[receipt_id]).await?;
    }
    Ok(is_new)
}

/// The ranges in a row's `asked_days`.
pub(super) fn asked_of(row: &Row) -> Result<Vec<DayRange>> {
    const TABLE: &str = "history_requests";
    if row.try_get::<Option<String>, _>("asked_days")?.is_none() {
        return Ok(Vec::new());
    }
    let ranges: Vec<(String, String)> = from_json(row, TABLE, "asked_days")?;
    let day = |text: String, column| parsed::<Day>(text, TABLE, column);
    let range = |(from, to)| Ok(DayRange { first: day(from, "from_day")?, last: day(to, "to_day")? });
    ranges.into_iter().map(range).collect()
}
