//! The state hash: SHA-256 over a canonical dump, the oracle of every crash and replay test.
//!
//! Rows in key order, columns in schema order, as canonical text; without run ids, row ids, recording times,
//! costs and file names, which differ between two ways to the same state.

use futures_util::TryStreamExt;
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Row};

use super::{Result, Store};
use crate::ids::hex;

/// What is dumped of a table.
struct Dump {
    table: &'static str,
    /// Columns left out because they tell how and when the state came to be, not what it is.
    without: &'static [&'static str],
}

const fn all(table: &'static str) -> Dump {
    Dump { table, without: &[] }
}

const fn without(table: &'static str, without: &'static [&'static str]) -> Dump {
    Dump { table, without }
}

/// Every table that is state. Not state: runs, marks, ingest_files, lake_files, mart_days, changed_days,
/// normalized_receipts (progress), history_requests (by row id; what they gave is in observations), database_identity, retention_grants and schema_migrations (this database).
const STATE: &[Dump] = &[
    without("raw_bodies", &["codec", "bytes"]),
    without(
        "raw_receipts",
        &[
            "receipt_id",
            "recorded_at",
            "run_id",
            "cost_micros",
            "cost_currency",
            "cost_units",
            "file_sha256",
            "file_path",
            "file_line",
            "file_offset",
            "job_id",
            "item_index",
        ],
    ),
    all("products"),
    all("listing_versions"),
    all("listing_contents"),
    all("product_metrics_daily"),
    all("ranks"),
    all("reviews"),
    without("quarantine", &["receipt_id", "run_id", "recorded_at", "file_path", "file_line", "file_offset"]),
    without("incidents", &["run_id", "recorded_at"]),
    without("watch_items", &["added_at"]),
    without("cohorts", &["created_at"]),
    all("cohort_members"),
    all("deltas"),
    all("rollups"),
    all("rollup_sellers"),
    all("daily_aggregates"),
    all("category_metrics"),
    all("comparisons"),
    without("reports", &["path", "run_id", "created_at"]),
    without("alerts", &["run_id", "recorded_at"]),
    without("alert_changes", &["change_id", "changed_at"]),
    without("outbox_events", &["created_at"]),
    without("deliveries", &["attempts", "next_attempt_at", "lease_until", "last_error", "delivered_at"]),
];

/// The rows and the hash of one table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TableHash {
    pub table: String,
    pub rows: u64,
    pub sha256: String,
}

impl Store {
    /// Hashes every table of the state, in a fixed order.
    pub async fn hash_state(&self) -> Result<Vec<TableHash>> {
        let mut hashes = Vec::new();
        for dump in STATE {
            let sql = self.dump_statement(dump).await?;
            hashes.push(self.hash_rows(dump.table, sql).await?);
        }
        let observations = OBSERVATIONS.to_owned();
        hashes.push(self.hash_rows("observations", observations).await?);
        Ok(hashes)
    }

    /// `SELECT json_array(...)` over the dumped columns in schema order, sorted by all of them.
    async fn dump_statement(&self, dump: &Dump) -> Result<String> {
        let columns = sqlx::query("SELECT name, type FROM pragma_table_info($1) ORDER BY cid")
            .bind(dump.table)
            .fetch_all(self.reader())
            .await?;
        let mut values = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for column in &columns {
            let (name, kind): (String, String) = (column.try_get("name")?, column.try_get("type")?);
            if dump.without.contains(&name.as_str()) {
                continue;
            }
            // Seventeen digits tell every double from its neighbours. `format` writes null as zero, which it is not.
            let value = if kind == "REAL" {
                format!("iif({name} IS NULL, NULL, format('%!.17g', {name}))")
            } else {
                name.clone()
            };
            values.push(value);
            names.push(name);
        }
        Ok(format!(
            "SELECT json_array({}) FROM {} ORDER BY {}",
            values.join(", "),
            dump.table,
            names.join(", ")
        ))
    }

    async fn hash_rows(&self, table: &str, sql: String) -> Result<TableHash> {
        let mut hasher = Sha256::new();
        let mut rows = 0;
        let mut stream = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql)).fetch(self.reader());
        while let Some(row) = stream.try_next().await? {
            hasher.update(row.as_bytes());
            hasher.update(b"\n");
            rows += 1;
        }
        Ok(TableHash { table: table.to_owned(), rows, sha256: hex(&hasher.finalize()) })
    }
}

/// Observations under the identity of their receipt instead of its row id.
const OBSERVATIONS: &str = "SELECT json_array(r.source, r.kind, r.marketplace, r.asin_requested, r.observed_at,
      r.body_sha256, o.item, o.normalizer_version, o.is_current, o.marketplace, o.asin, o.day, o.found, o.facts, o.listing_hash)
    FROM observations o JOIN raw_receipts r ON r.receipt_id = o.receipt_id
    ORDER BY r.source, r.kind, r.marketplace, r.asin_requested, r.observed_at, r.body_sha256, o.item,
      o.normalizer_version";

/// One hash over the hashes of all tables.
pub fn combined(tables: &[TableHash]) -> String {
    let mut hasher = Sha256::new();
    for table in tables {
        hasher.update(format!("{} {} {}\n", table.table, table.rows, table.sha256));
    }
    hex(&hasher.finalize())
}
