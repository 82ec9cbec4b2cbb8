//! Report: core, mart and alerts -> one document -> a page, a text or JSON.
//!
//! Reads the lake, daily rows, cohorts, alerts and quarantine; writes the file, where one is asked for, and one row
//! in `reports`. One unit of work is one report. A second run over the same evidence writes the same bytes and
//! adds no row.

mod mart;
mod product;
mod watchlist;

use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;

use crate::clock::Stopwatch;
use crate::error::Failure;
use crate::failpoint;
use crate::files::write_atomic;
use crate::ids::{sha256_hex, stable_id};
use crate::lake::Lake;
use crate::model::{Cohort, Day, DayRange, ProductKey, ReportingZone, Timestamp, Workspace};
use crate::render::document::{AlertLine, Body, Report, SCHEMA};
use crate::render::{ReportFormat, render_report};
use crate::store::Store;
use crate::store::alerts::AlertRecord;
use crate::store::outbox::Audience;
use crate::store::reports::ReportRow;

/// What a report is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    Product(ProductKey),
    Cohort(Cohort),
    Watchlist,
}

impl Subject {
    /// How the subject is called in `reports` and in the document.
    pub fn name(&self) -> String {
        match self {
            Subject::Product(key) => key.to_string(),
            Subject::Cohort(cohort) => format!("cohort:{}", cohort.name),
            Subject::Watchlist => "watchlist".to_owned(),
        }
    }

    /// The name of a report's file: `US-B0…-2026-05-03.html`.
    pub fn file_name(&self, as_of: Day, format: ReportFormat) -> String {
        let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
        let name: String = self.name().chars().map(safe).collect();
        let extension = match format {
            ReportFormat::Html => "html",
            ReportFormat::Markdown => "md",
            ReportFormat::Json => "json",
            ReportFormat::Table { .. } => "txt",
        };
        format!("{}-{as_of}.{extension}", name.trim_start_matches('.'))
    }
}

#[derive(Clone, Debug)]
pub struct Options {
    pub workspace: Workspace,
    pub subject: Subject,
    pub as_of: Day,
    /// Days of the window that ends on `as_of`.
    pub days: i32,
    pub zone: ReportingZone,
    pub format: ReportFormat,
    /// Null: the text is only returned.
    pub path: Option<PathBuf>,
    /// The run that the report is recorded with; null: it is not.
    pub run_id: Option<String>,
    /// Who hears of it.
    pub audience: Audience,
    pub now: Timestamp,
    /// Render, and write nothing.
    pub dry_run: bool,
}

/// What was rendered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Summary {
    pub subject: String,
    pub as_of: Day,
    pub format: &'static str,
    pub path: Option<PathBuf>,
    pub size_bytes: i64,
    /// SHA-256 of the document.
    pub evidence_hash: String,
    /// False when the same evidence was rendered in this format before, and where nothing is recorded.
    pub is_new: bool,
}

/// A report as text, and what was recorded of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rendered {
    pub text: String,
    pub summary: Summary,
}

/// Builds, renders, writes and records one report.
#[tracing::instrument(name = "stage", level = "error", skip_all, fields(operation = "report"))]
pub async fn run(store: &Store, lake: &Lake, options: &Options) -> anyhow::Result<Rendered> {
    let watch = Stopwatch::start();
    let report = build(store, lake, options).await?;
    tracing::debug!(subject = report.subject, duration_ms = watch.elapsed_ms(), "document built");
    let evidence = serde_json::to_vec(&report).context("failed to write the report's evidence as JSON")?;
    let evidence_hash = sha256_hex(&evidence);
    let text = render_report(&report, options.format).context("failed to render the report")?;
    failpoint!("report.before_write");
    if let (Some(path), false) = (&options.path, options.dry_run) {
        write_atomic(path, text.as_bytes()).with_context(|| format!("failed to write {}", path.display()))?;
    }
    failpoint!("report.before_record");
    let size_bytes = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let is_new = match &options.run_id {
        Some(run_id) if !options.dry_run => {
            let row = report_row(&report, options, run_id, &evidence_hash, size_bytes);
            store.record_report(&row, &options.audience).await.context("failed to record the report")?
        }
        _ => false,
    };
    failpoint!("report.after_record");
    let summary = Summary {
        subject: report.subject,
        as_of: report.as_of,
        format: options.format.as_str(),
        path: options.path.clone(),
        size_bytes,
        evidence_hash,
        is_new,
    };
    let Summary { subject, format, size_bytes, .. } = &summary;
    tracing::info!(subject, format, size_bytes, is_new, duration_ms = watch.elapsed_ms(), "report rendered");
    Ok(Rendered { text, summary })
}

/// What the parts of a report are read with.
struct Scope<'a> {
    store: &'a Store,
    lake: &'a Lake,
    workspace: &'a Workspace,
    as_of: Day,
    window: DayRange,
    zone: ReportingZone,
}

impl Scope<'_> {
    fn window_days(&self) -> i32 {
        self.window.last.no() - self.window.first.no() + 1
    }
}

/// The document alone.
pub async fn build(store: &Store, lake: &Lake, options: &Options) -> anyhow::Result<Report> {
    let window = DayRange::window(options.as_of, options.days.max(1));
    let scope = Scope {
        store,
        lake,
        workspace: &options.workspace,
        as_of: options.as_of,
        window,
        zone: options.zone,
    };
    let body = match &options.subject {
        Subject::Product(key) => {
            let cohorts = store.load_cohorts(&options.workspace).await.context("failed to load cohorts")?;
            let cohort = cohorts.iter().find(|cohort| cohort.main == *key);
            Body::Product(Box::new(product::product_report(&scope, *key, cohort, false).await?))
        }
        Subject::Cohort(cohort) => {
            Body::Cohort(Box::new(product::product_report(&scope, cohort.main, Some(cohort), true).await?))
        }
        Subject::Watchlist => Body::Watchlist(watchlist::watchlist_report(&scope).await?),
    };
    Ok(Report {
        schema: SCHEMA,
        subject: options.subject.name(),
        as_of: options.as_of,
        window,
        zone: options.zone.0.name().to_owned(),
        body,
    })
}

fn report_row(
    report: &Report,
    options: &Options,
    run_id: &str,
    evidence_hash: &str,
    size_bytes: i64,
) -> ReportRow {
    let format = options.format.as_str();
    let as_of = report.as_of.to_string();
    ReportRow {
        report_id: stable_id(&[options.workspace.as_str(), &report.subject, &as_of, format, evidence_hash]),
        workspace: options.workspace.clone(),
        subject: report.subject.clone(),
        as_of: report.as_of,
        format: format.to_owned(),
        evidence_hash: evidence_hash.to_owned(),
        path: options.path.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
        size_bytes,
        run_id: run_id.to_owned(),
        created_at: options.now,
    }
}

fn never_seen(key: ProductKey) -> anyhow::Error {
    Failure::usage(format!("{key} was never seen"))
        .hint("ingest and normalize a file that has it; `amzctl watch list` shows what is watched")
        .into()
}

fn alert_line(alert: AlertRecord) -> AlertLine {
    AlertLine {
        alert_id: alert.alert_id,
        day: alert.day,
        rule: alert.rule.to_string(),
        severity: alert.severity.to_string(),
        state: alert.state.as_str().to_owned(),
        marketplace: alert.marketplace,
        asin: alert.asin,
        message: alert.message,
        historical: alert.historical,
    }
}

#[cfg(test)]
mod tests;
