//! Where a figure comes from: the observations of a product's day with their receipts, costs and raw bodies.

use serde::Serialize;

use super::columns::{instant, known_instant};
use super::core::facts_of;
use super::db::{Row, query};
use super::raw::decode_body;
use super::{Result, Store};
use crate::model::{Day, Observation, ProductKey, Timestamp};

/// One observation of a day and the receipt it was read from; what only that one said is null once retention dropped it.
#[derive(Clone, Debug, Serialize)]
pub struct Evidence {
    pub source: String,
    pub kind: Option<String>,
    pub shape: Option<String>,
    pub observed_at: Timestamp,
    pub fetched_at: Timestamp,
    pub recorded_at: Option<Timestamp>,
    pub normalizer_version: i64,
    pub item: i64,
    pub copies: Option<i64>,
    pub run_id: Option<String>,
    /// Millionths of `cost_currency`; null: no price is known.
    pub cost_micros: Option<i64>,
    pub cost_currency: Option<String>,
    pub cost_units: Option<i64>,
    pub file_path: Option<String>,
    pub file_line: Option<i64>,
    pub file_offset: Option<i64>,
    pub job_id: Option<String>,
    pub body_sha256: String,
    pub body_bytes: Option<i64>,
    pub observation: Observation,
}

impl Store {
    /// The observations of a product's day, current readings, in the order of their receipts.
    pub async fn load_evidence(&self, key: ProductKey, day: Day) -> Result<Vec<Evidence>> {
        let rows = query(
            "SELECT o.source, r.kind, r.shape, o.observed_at, o.fetched_at, r.recorded_at, o.normalizer_version, o.item,
               r.copies, r.run_id, r.cost_micros, r.cost_currency, r.cost_units, r.file_path, r.file_line, r.file_offset,
               r.job_id, o.body_sha256, b.size_bytes, o.found, o.facts, o.marketplace, o.asin
             FROM observations o LEFT JOIN raw_receipts r ON r.receipt_id = o.receipt_id
             LEFT JOIN raw_bodies b ON b.sha256 = o.body_sha256
             WHERE o.marketplace = $1 AND o.asin = $2 AND o.found IN (0, 1) AND o.day = $3 AND o.is_current = 1
             ORDER BY o.observed_at, o.body_sha256, o.item",
        )
        .bind(key.marketplace.code())
        .bind(key.asin.as_str())
        .bind(day.to_string())
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(evidence).collect()
    }

    /// The raw body with this hash, as it was received; null when there is none (retention may have taken it).
    pub async fn load_body(&self, sha256: &str) -> Result<Option<Vec<u8>>> {
        let row = query("SELECT codec, size_bytes, bytes FROM raw_bodies WHERE sha256 = $1")
            .bind(sha256)
            .fetch_optional(self.reader())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let size: i64 = row.try_get("size_bytes")?;
        let body = decode_body(
            row.try_get("codec")?,
            size.unsigned_abs(),
            row.try_get("bytes")?,
            sha256.to_owned(),
        )?;
        Ok(Some(body))
    }
}

fn evidence(row: &Row) -> Result<Evidence> {
    Ok(Evidence {
        source: row.try_get("source")?,
        kind: row.try_get("kind")?,
        shape: row.try_get("shape")?,
        observed_at: instant(row, "observations", "observed_at")?,
        fetched_at: instant(row, "observations", "fetched_at")?,
        recorded_at: known_instant(row, "raw_receipts", "recorded_at")?,
        normalizer_version: row.try_get("normalizer_version")?,
        item: row.try_get("item")?,
        copies: row.try_get("copies")?,
        run_id: row.try_get("run_id")?,
        cost_micros: row.try_get("cost_micros")?,
        cost_currency: row.try_get("cost_currency")?,
        cost_units: row.try_get("cost_units")?,
        file_path: row.try_get("file_path")?,
        file_line: row.try_get("file_line")?,
        file_offset: row.try_get("file_offset")?,
        job_id: row.try_get("job_id")?,
        body_sha256: row.try_get("body_sha256")?,
        body_bytes: row.try_get("size_bytes")?,
        observation: facts_of(row, row.try_get("found")?)?,
    })
}
