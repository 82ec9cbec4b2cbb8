//! Which days a receipt of history is to give.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::super::columns::{from_json, parsed};
use super::super::drift::forget;
use super::super::{Result, Store};
use crate::model::{Day, DayRange};

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
        let added = sqlx::query(
            "INSERT INTO history_requests (receipt_id, from_day, to_day) VALUES ($1, $2, $3)
             ON CONFLICT (receipt_id, from_day, to_day) DO NOTHING",
        )
        .bind(receipt_id)
        .bind(days.first.to_string())
        .bind(days.last.to_string())
        .execute(&mut *tx)
        .await?;
        let is_new = added.rows_affected() > 0;
        if is_new {
            forget(&mut tx, &[receipt_id]).await?;
        }
        tx.commit().await?;
        Ok(is_new)
    }
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
