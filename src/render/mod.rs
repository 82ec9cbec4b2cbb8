//! Values to text: reports as HTML, Markdown, JSON and terminal text, charts, sparklines, numbers as people read
//! them. Pure: knows no database, no clock and no file.

mod alert_view;
mod chart;
pub mod compare;
mod comparison_view;
pub mod document;
mod figures_view;
pub mod format;
mod history_view;
mod html;
mod language;
mod markdown;
pub mod page;
mod plot;
mod product_view;
pub mod rows;
#[cfg(test)]
mod samples;
mod scale;
pub mod spark;
mod strip;
mod table;
mod terminal;
mod view;
mod watchlist_view;
pub(crate) mod whole;

use document::{Body, Report};
pub use html::Drawing;
pub use html::STYLE as REPORT_STYLE;
use view::View;

use crate::rollup::compare::Comparison;

/// The forms of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReportFormat {
    /// Text for a terminal of this many columns.
    Table {
        width: usize,
    },
    Markdown,
    Html,
    Json,
}

impl ReportFormat {
    /// The word in `reports.format`.
    pub fn as_str(self) -> &'static str {
        match self {
            ReportFormat::Table { .. } => "table",
            ReportFormat::Markdown => "markdown",
            ReportFormat::Html => "html",
            ReportFormat::Json => "json",
        }
    }
}

/// Why a report could not be drawn: a fault of this program, never of the data.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("the page template does not fit the report")]
    Template(#[from] minijinja::Error),
    #[error("the report cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// Draws a report. The same report and format give the same bytes.
pub fn render_report(report: &Report, format: ReportFormat) -> Result<String, RenderError> {
    match format {
        ReportFormat::Table { width } => Ok(terminal::render_terminal(&view(report), width)),
        ReportFormat::Markdown => Ok(markdown::render_markdown(&view(report))),
        ReportFormat::Html => {
            let description = format!("{} as of {}", report.subject, report.as_of);
            Ok(html::render_html(&view(report), &description)?)
        }
        ReportFormat::Json => Ok(serde_json::to_string_pretty(report)? + "\n"),
    }
}

/// Draws a comparison alone as a self-contained page.
pub fn comparison_page(comparison: &Comparison) -> Result<String, RenderError> {
    let view = comparison_view::comparison_view(comparison);
    let description = format!(
        "{}:{} compared, as of {}",
        comparison.main.marketplace, comparison.main.asin, comparison.as_of
    );
    Ok(html::render_html(&view, &description)?)
}

fn view(report: &Report) -> View {
    match &report.body {
        Body::Product(body) | Body::Cohort(body) => product_view::product_view(report, body),
        Body::Watchlist(body) => watchlist_view::watchlist_view(report, body),
    }
}

#[cfg(test)]
mod tests;
