//! The quarantine: records that were refused, with the reason and the way back to their bytes.

use std::collections::BTreeSet;

use super::columns::{instant, to_json};
use super::core::NormalizedBatch;
use super::db::{Row, bulk, query, query_scalar};
use super::{Result, Store, Tx};
use crate::model::Timestamp;

/// One refused record. Texts are empty where nothing is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuarantineRow {
    pub quarantine_id: String,
    /// `ingest` or `normalize`
    pub stage: String,
    pub reason: String,
    pub field: String,
    pub detail: String,
    pub source: String,
    pub marketplace: String,
    pub asin: String,
    /// Null where the bytes never became a receipt.
    pub receipt_id: Option<i64>,
    pub item: Option<i64>,
    pub body_sha256: Option<String>,
    pub file_path: Option<String>,
    pub file_line: Option<i64>,
    pub file_offset: Option<i64>,
    /// `open`, `dropped` or `resolved`
    pub state: String,
    pub run_id: String,
    pub recorded_at: Timestamp,
}

/// A row for the quarantine. Its id is derived from what it is about, so that the same failure is one row.
#[derive(Clone, Debug)]
pub struct NewQuarantine {
    pub quarantine_id: String,
    pub reason: String,
    pub field: String,
    pub detail: String,
    pub source: String,
    pub marketplace: String,
    pub asin: String,
    pub receipt_id: i64,
    pub item: i64,
    pub body_sha256: String,
    pub file_path: Option<String>,
    pub file_line: Option<i64>,
    pub file_offset: Option<i64>,
}

/// Which rows: null is any.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct QuarantineFilter {
    pub state: Option<String>,
    pub stage: Option<String>,
    pub reason: Option<String>,
    pub source: Option<String>,
    pub asin: Option<String>,
    /// The beginning of the id.
    pub id_prefix: Option<String>,
}

/// $1 to $6 are the filter's fields.
macro_rules! filtered {
    ($head:literal, $tail:literal) => {
        concat!(
            $head,
            " FROM quarantine
             WHERE ($1 IS NULL OR state = $1) AND ($2 IS NULL OR stage = $2) AND ($3 IS NULL OR reason = $3)
               AND ($4 IS NULL OR source = $4) AND ($5 IS NULL OR asin = $5)
               AND ($6 IS NULL OR substr(quarantine_id, 1, length($6)) = $6)",
            $tail
        )
    };
}

macro_rules! bound {
    ($query:expr, $filter:expr) => {
        $query
            .bind(&$filter.state)
            .bind(&$filter.stage)
            .bind(&$filter.reason)
            .bind(&$filter.source)
            .bind(&$filter.asin)
            .bind(&$filter.id_prefix)
    };
}

impl Store {
    /// The newest rows that match, newest first.
    pub async fn load_quarantine(&self, filter: &QuarantineFilter, limit: u32) -> Result<Vec<QuarantineRow>> {
        let query = query(filtered!(
            "SELECT quarantine_id, stage, reason, field, detail, source, marketplace, asin, receipt_id, item,
                    body_sha256, file_path, file_line, file_offset, state, run_id, recorded_at",
            " ORDER BY recorded_at DESC, quarantine_id LIMIT $7"
        ));
        let rows = bound!(query, filter).bind(i64::from(limit)).fetch_all(self.reader()).await?;
        rows.iter().map(quarantine_row).collect()
    }

    /// How many rows match.
    pub async fn count_quarantine(&self, filter: &QuarantineFilter) -> Result<u64> {
        let query = query_scalar(filtered!("SELECT COUNT(*)", ""));
        let count: i64 = bound!(query, filter).fetch_one(self.reader()).await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Marks open rows as dropped: nobody will look at them again. Answers how many were open.
    pub async fn drop_quarantined(&self, quarantine_ids: &[String]) -> Result<usize> {
        let mut tx = self.begin().await?;
        let mut dropped = 0;
        for quarantine_id in quarantine_ids {
            let done =
                query("UPDATE quarantine SET state = 'dropped' WHERE quarantine_id = $1 AND state = 'open'")
                    .bind(quarantine_id)
                    .execute(&mut tx)
                    .await?;
            dropped += done.rows_affected() as usize;
        }
        tx.commit().await?;
        Ok(dropped)
    }
}

fn quarantine_row(row: &Row) -> Result<QuarantineRow> {
    Ok(QuarantineRow {
        quarantine_id: row.try_get("quarantine_id")?,
        stage: row.try_get("stage")?,
        reason: row.try_get("reason")?,
        field: row.try_get("field")?,
        detail: row.try_get("detail")?,
        source: row.try_get("source")?,
        marketplace: row.try_get("marketplace")?,
        asin: row.try_get("asin")?,
        receipt_id: row.try_get("receipt_id")?,
        item: row.try_get("item")?,
        body_sha256: row.try_get("body_sha256")?,
        file_path: row.try_get("file_path")?,
        file_line: row.try_get("file_line")?,
        file_offset: row.try_get("file_offset")?,
        state: row.try_get("state")?,
        run_id: row.try_get("run_id")?,
        recorded_at: instant(row, "quarantine", "recorded_at")?,
    })
}

/// Adds the batch's rejects and resolves older ones of receipts that now read well. Answers how many are new, and how
/// many were open already.
pub(super) async fn write_quarantine(
    tx: &mut Tx,
    run_id: &str,
    now: Timestamp,
    batch: &NormalizedBatch,
) -> Result<(u64, u64)> {
    let kept: BTreeSet<&str> = batch.quarantine.iter().map(|row| row.quarantine_id.as_str()).collect();
    let read: Vec<i64> = batch.receipts.iter().map(|(receipt_id, _)| *receipt_id).collect();
    query(
        "UPDATE quarantine SET state = 'resolved' WHERE stage = 'normalize' AND state = 'open'
         AND receipt_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))
         AND quarantine_id NOT IN (SELECT value FROM json_each($2))",
    )
    .bind(to_json(&read))
    .bind(to_json(&kept))
    .execute(tx)
    .await?;
    let open_already: i64 = if kept.is_empty() {
        0
    } else {
        query_scalar(
            "SELECT COUNT(*) FROM quarantine
             WHERE state = 'open' AND quarantine_id IN (SELECT value FROM json_each($1))",
        )
        .bind(to_json(&kept))
        .fetch_one(&mut *tx)
        .await?
    };
    // One statement may not touch a row twice, and a record may fail twice on the same field for the same reason.
    let mut ids = BTreeSet::new();
    let rejects: Vec<_> =
        batch.quarantine.iter().filter(|row| ids.insert(row.quarantine_id.as_str())).collect();
    let new = bulk::insert(
        tx,
        "quarantine (quarantine_id, stage, reason, field, detail, source, marketplace, asin, receipt_id,
         item, body_sha256, file_path, file_line, file_offset, state, run_id, recorded_at)",
        " ON CONFLICT (quarantine_id) DO UPDATE SET state = 'open' WHERE quarantine.state = 'resolved'",
        &rejects,
        |values, row| {
            values
                .push_bind(row.quarantine_id.as_str())
                .push_bind("normalize")
                .push_bind(row.reason.as_str())
                .push_bind(row.field.as_str())
                .push_bind(row.detail.as_str())
                .push_bind(row.source.as_str())
                .push_bind(row.marketplace.as_str())
                .push_bind(row.asin.as_str())
                .push_bind(row.receipt_id)
                .push_bind(row.item)
                .push_bind(row.body_sha256.as_str())
                .push_bind(row.file_path.as_deref())
                .push_bind(row.file_line)
                .push_bind(row.file_offset)
                .push_bind("open")
                .push_bind(run_id)
                .push_bind(now.timestamp_micros());
        },
    )
    .await?;
    Ok((new, open_already.unsigned_abs()))
}
