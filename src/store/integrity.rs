//! Whether the database itself is sound, and every raw body still what was received.

use std::path::Path;

use futures_util::TryStreamExt;

use super::db::{Database, query, query_scalar};
use super::raw::decode_body;
use super::{Result, Store};
use crate::ids::sha256_hex;

/// Tables and indexes of the four layers.
const SERVER_SIZE: &str =
    "SELECT CAST(COALESCE(SUM(pg_total_relation_size(c.oid)), 0) AS BIGINT) FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('staging_raw', 'core', 'mart', 'ops') AND c.relkind IN ('r', 'm')";

impl Store {
    /// What the database takes on the disk, with what a write-ahead log of its own still holds.
    pub async fn size_bytes(&self) -> Result<u64> {
        let Database::Sqlite(file) = self.reader() else {
            let size: i64 = query_scalar(SERVER_SIZE).fetch_one(self.reader()).await?;
            return Ok(size.unsigned_abs());
        };
        let mut log = file.path.as_os_str().to_owned();
        log.push("-wal");
        let files = [file.path.as_path(), Path::new(&log)];
        Ok(files.iter().filter_map(|path| std::fs::metadata(path).ok()).map(|file| file.len()).sum())
    }

    /// What the embedded engine's own checks complain about; empty when all is well.
    pub async fn check_integrity(&self) -> Result<Vec<String>> {
        let mut problems = Vec::new();
        // A server keeps its own files sound.
        let Database::Sqlite(_) = self.reader() else { return Ok(problems) };
        for row in query("PRAGMA integrity_check").fetch_all(self.reader()).await? {
            let line: String = row.try_get(0)?;
            if line != "ok" {
                problems.push(format!("database: {line}"));
            }
        }
        for row in query("PRAGMA foreign_key_check").fetch_all(self.reader()).await? {
            let (table, parent): (String, String) = (row.try_get(0)?, row.try_get(2)?);
            problems.push(format!("database: a row of {table} points at nothing in {parent}"));
        }
        Ok(problems)
    }

    /// Hashes every raw body again: how many there are, and which are not what their key says.
    pub async fn check_bodies(&self) -> Result<(u64, Vec<String>)> {
        let mut damaged = Vec::new();
        let mut bodies = 0;
        let mut rows = query("SELECT sha256, codec, size_bytes, bytes FROM raw_bodies ORDER BY sha256")
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
