//! Whether the database itself is sound, and every raw body still what was received.

use futures_util::TryStreamExt;
use sqlx::Row;

use super::raw::decode_body;
use super::{Result, Store};
use crate::ids::sha256_hex;

impl Store {
    /// What SQLite's own checks complain about; empty when all is well.
    pub async fn check_integrity(&self) -> Result<Vec<String>> {
        let mut problems = Vec::new();
        for row in sqlx::query("PRAGMA integrity_check").fetch_all(self.reader()).await? {
            let line: String = row.try_get(0)?;
            if line != "ok" {
                problems.push(format!("database: {line}"));
            }
        }
        for row in sqlx::query("PRAGMA foreign_key_check").fetch_all(self.reader()).await? {
            let (table, parent): (String, String) = (row.try_get(0)?, row.try_get(2)?);
            problems.push(format!("database: a row of {table} points at nothing in {parent}"));
        }
        Ok(problems)
    }

    /// Hashes every raw body again: how many there are, and which are not what their key says.
    pub async fn check_bodies(&self) -> Result<(u64, Vec<String>)> {
        let mut damaged = Vec::new();
        let mut bodies = 0;
        let mut rows = sqlx::query("SELECT sha256, codec, size_bytes, bytes FROM raw_bodies ORDER BY sha256")
            .fetch(self.reader());
        while let Some(row) = rows.try_next().await? {
            bodies += 1;
            let sha256: String = row.try_get("sha256")?;
            let size: i64 = row.try_get("size_bytes")?;
            let body = decode_body(
                row.try_get("codec")?,
                size.unsigned_abs(),
                row.try_get("bytes")?,
                sha256.clone(),
            );
            if body.map_or(true, |body| sha256_hex(&body) != sha256) {
                damaged.push(sha256);
            }
        }
        Ok((bodies, damaged))
    }
}
