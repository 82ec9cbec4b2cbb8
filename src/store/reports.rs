//! Store methods of reports: what was rendered, and the counts that only reports ask for.

use super::columns::{instant, word};
use super::db::{Row, query};
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

    /// The newest reports of a workspace behind a place (time in microseconds, id), newest first; of one subject, or of all.
    pub async fn load_reports(
        &self,
        workspace: &Workspace,
        subject: Option<&str>,
        before: Option<(i64, String)>,
        limit: u32,
    ) -> Result<Vec<ReportRow>> {
        let (at, id) = before.unzip();
        let rows = query(
            "SELECT * FROM reports WHERE workspace = $1 AND ($2 IS NULL OR subject = $2)
               AND ($3 IS NULL OR created_at < $3 OR (created_at = $3 AND report_id < $4))
             ORDER BY created_at DESC, report_id DESC LIMIT $5",
        )
        .bind(workspace.as_str())
        .bind(subject)
        .bind(at)
        .bind(id)
        .bind(i64::from(limit))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(report_row).collect()
    }

    /// Null when the workspace has no report of this id.
    pub async fn load_report(&self, workspace: &Workspace, report_id: &str) -> Result<Option<ReportRow>> {
        let row = query("SELECT * FROM reports WHERE workspace = $1 AND report_id = $2")
            .bind(workspace.as_str())
            .bind(report_id)
            .fetch_optional(self.reader())
            .await?;
        row.as_ref().map(report_row).transpose()
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

fn report_row(row: &Row) -> Result<ReportRow> {
    Ok(ReportRow {
        report_id: row.try_get("report_id")?,
        workspace: word(row, "reports", "workspace")?,
        subject: row.try_get("subject")?,
        as_of: word(row, "reports", "as_of")?,
        format: row.try_get("format")?,
        evidence_hash: row.try_get("evidence_hash")?,
        path: row.try_get("path")?,
        size_bytes: row.try_get("size_bytes")?,
        run_id: row.try_get("run_id")?,
        created_at: instant(row, "reports", "created_at")?,
    })
}
