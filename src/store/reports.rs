//! Store methods of reports: what was rendered, and the counts that only reports ask for.

use super::db::query;
use super::outbox::{Audience, report_published, tell};
use super::{Result, Store};
use crate::model::{Day, ProductKey, Timestamp, Workspace};

/// One rendered report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReportRow {
    /// Hash of (workspace, subject, as_of, format, evidence hash): the same evidence again is the same row.
    pub report_id: String,
    pub workspace: Workspace,
    /// Product key, `cohort:NAME` or `watchlist`.
    pub subject: String,
    pub as_of: Day,
    pub format: String,
    pub evidence_hash: String,
    /// Empty when it went to stdout.
    pub path: String,
    pub size_bytes: i64,
    pub run_id: String,
    pub created_at: Timestamp,
}

impl Store {
    /// Records a rendered report and tells the audience of it; false when the same evidence was rendered in this format before.
    pub async fn record_report(&self, report: &ReportRow, audience: &Audience) -> Result<bool> {
        let mut tx = self.begin().await?;
        let written = query(
            "INSERT INTO reports (report_id, workspace, subject, as_of, format, evidence_hash, path, size_bytes,
                                  run_id, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (report_id) DO NOTHING",
        )
        .bind(&report.report_id)
        .bind(report.workspace.as_str())
        .bind(&report.subject)
        .bind(report.as_of.to_string())
        .bind(&report.format)
        .bind(&report.evidence_hash)
        .bind(&report.path)
        .bind(report.size_bytes)
        .bind(&report.run_id)
        .bind(report.created_at.timestamp_micros())
        .execute(&mut tx)
        .await?
        .rows_affected();
        if written > 0 {
            tell(&mut tx, audience, report.created_at, vec![report_published(report)]).await?;
        }
        tx.commit().await?;
        Ok(written > 0)
    }

    /// Open quarantined records by reason, most first; of one product, or of all.
    pub async fn count_quarantined(&self, key: Option<ProductKey>) -> Result<Vec<(String, i64)>> {
        let rows = query(
            "SELECT reason, COUNT(*) AS records FROM quarantine
             WHERE state = 'open' AND ($1 IS NULL OR (marketplace = $1 AND asin = $2))
             GROUP BY reason ORDER BY records DESC, reason",
        )
        .bind(key.map(|key| key.marketplace.code()))
        .bind(key.map(|key| key.asin.to_string()))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(|row| Ok((row.try_get("reason")?, row.try_get("records")?))).collect()
    }
}
