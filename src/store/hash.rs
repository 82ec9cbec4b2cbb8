//! The state hash: SHA-256 over a canonical dump, the oracle of every crash and replay test.
//!
//! Rows in key order, columns in schema order, as canonical text; without run ids, row ids, recording times,
//! costs and file names, which differ between two ways to the same state.

use futures_util::TryStreamExt;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::columns::to_json;
use super::db::{Database, Row, Value, query, query_of};
use super::{Result, Store};
use crate::ids::hex;

/// What is dumped of a table.
struct Dump {
    table: &'static str,
    /// Rows left out for the same reason, as a condition on those that stay.
    only: &'static str,
    /// Columns left out because they tell how and when the state came to be, not what it is.
    without: &'static [&'static str],
}

const fn all(table: &'static str) -> Dump {
    Dump { table, only: "TRUE", without: &[] }
}

const fn without(table: &'static str, without: &'static [&'static str]) -> Dump {
    Dump { table, only: "TRUE", without }
}

/// Every table that is state. Not state: runs, marks, ingest_files, lake_files, mart_days, changed_days,
/// normalized_receipts and copy_progress (progress), dropped_receipts (what is no more), history_requests (by row id; what
/// they gave is in observations), database_identity, retention_grants and schema_migrations (this database), api_keys,
/// api_answers, api_audit, server_secrets and sessions (who asks, and what became of it), event_counters (how the events are
/// numbered).
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
    without("incidents", &["run_id", "recorded_at", "closed_at"]),
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
    without("held_findings", &["run_id", "held_at", "decided_at"]),
    Dump { only: OF_NO_RUN, ..without("outbox_events", &["created_at", "seq"]) },
    Dump {
        only: OF_NO_RUN_EITHER,
        ..without(
            "deliveries",
            &[
                "attempts",
                "next_attempt_at",
                "claimed_by",
                "last_error",
                "delivered_at",
                "message_id",
                "place",
                "digest_at",
                "maybe_sent",
                "failed_at",
            ],
        )
    },
    Dump { only: OF_NO_RUN_EITHER, ..without("delivery_changes", &["change_id", "changed_at"]) },
];

/// How often something was run is no state.
const OF_NO_RUN: &str = "event_type NOT IN ('run.finished', 'run.failed')";
const OF_NO_RUN_EITHER: &str = "event_id NOT IN (SELECT e.event_id FROM outbox_events e
    WHERE e.event_type IN ('run.finished', 'run.failed') AND e.workspace IS NOT NULL)";

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

    /// The dumped columns in schema order, sorted by all of them.
    async fn dump_statement(&self, dump: &Dump) -> Result<String> {
        let names = self.columns_of(dump.table).await?;
        let dumped = names.into_iter().map(|(name, _)| name);
        let dumped: Vec<String> = dumped.filter(|name| !dump.without.contains(&name.as_str())).collect();
        let order: Vec<String> = dumped.iter().map(|name| format!("{name} NULLS FIRST")).collect();
        let Dump { table, only, .. } = dump;
        Ok(format!("SELECT {} FROM {table} WHERE {only} ORDER BY {}", dumped.join(", "), order.join(", ")))
    }

    /// A table's columns in schema order, with their types in the engine's words.
    pub(super) async fn columns_of(&self, table: &'static str) -> Result<Vec<(String, String)>> {
        let columns = match self.reader() {
            Database::Sqlite(_) => "SELECT name, type FROM pragma_table_info($1) ORDER BY cid",
            Database::Postgres(_) => {
                "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute
                 WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
            }
        };
        let rows = query(columns).bind(table).fetch_all(self.reader()).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    async fn hash_rows(&self, table: &str, sql: String) -> Result<TableHash> {
        let mut hasher = RowHasher::default();
        let mut stream = query_of(sql).fetch(self.reader());
        while let Some(row) = stream.try_next().await? {
            hasher.push(&row)?;
        }
        Ok(hasher.finish(table))
    }
}

/// Takes the rows of a table in a fixed order; the hash is the same on either engine.
#[derive(Default)]
pub(super) struct RowHasher {
    hasher: Sha256,
    rows: u64,
    line: Vec<u8>,
}

impl RowHasher {
    pub(super) fn push(&mut self, row: &Row) -> Result<()> {
        self.line.clear();
        for value in row.values()? {
            push_canonical(&mut self.line, &value);
        }
        self.line.push(b'\n');
        self.hasher.update(&self.line);
        self.rows += 1;
        Ok(())
    }

    pub(super) fn finish(self, table: &str) -> TableHash {
        TableHash { table: table.to_owned(), rows: self.rows, sha256: hex(&self.hasher.finalize()) }
    }
}

/// A value as bytes that no other value has, ended by a comma. Floats by their bits.
fn push_canonical(line: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Int(Some(number)) => line.extend(number.to_string().bytes()),
        Value::Real(Some(number)) => {
            // A zero has no sign: SQLite does not keep it.
            line.extend(format!("{:016x}f", (number + 0.0).to_bits()).bytes());
        }
        Value::Text(Some(text)) => line.extend(to_json(text).bytes()),
        Value::Word(word) => line.extend(to_json(word).bytes()),
        Value::Blob(Some(bytes)) => {
            line.extend(format!("x{}:", bytes.len()).bytes());
            line.extend(bytes.as_ref());
        }
        Value::Int(None) | Value::Real(None) | Value::Text(None) | Value::Blob(None) => line.extend(b"null"),
    }
    line.push(b',');
}

/// Observations under the identity of their receipt instead of its row id; where retention dropped it, under none.
const OBSERVATIONS: &str = "SELECT r.source, r.kind, r.marketplace, r.asin_requested, r.observed_at,
      r.body_sha256, o.item, o.normalizer_version, o.is_current, o.marketplace, o.asin, o.day, o.found, o.facts, o.listing_hash
    FROM observations o LEFT JOIN raw_receipts r ON r.receipt_id = o.receipt_id
    ORDER BY r.source NULLS FIRST, r.kind NULLS FIRST, r.marketplace NULLS FIRST, r.asin_requested NULLS FIRST,
      r.observed_at NULLS FIRST, r.body_sha256 NULLS FIRST, o.item, o.normalizer_version, o.body_sha256, o.marketplace, o.asin,
      o.day, o.observed_at";

/// One hash over the hashes of all tables.
pub fn combined(tables: &[TableHash]) -> String {
    let mut hasher = Sha256::new();
    for table in tables {
        hasher.update(format!("{} {} {}\n", table.table, table.rows, table.sha256));
    }
    hex(&hasher.finalize())
}
