//! Parts of pages that are drawn: charts and sparklines, ready to be put into a template of another module.

use super::document::{Body, Report};
use super::html::{Drawing, drawn};
use super::spark::{Up, condensed};
use super::view::{Block, Section};
use super::{history_view, strip};
use crate::model::Language;

/// Days drawn in a sparkline.
const SPARK_DAYS: usize = 60;

/// The charts of one product: its own history.
pub fn product_charts(report: &Report, language: Language) -> Vec<Drawing> {
    match &report.body {
        Body::Product(body) | Body::Cohort(body) => {
            charts(history_view::history_section(report, body, language))
        }
        Body::Watchlist(_) => Vec::new(),
    }
}

/// The charts of a cohort: its members over one another.
pub fn cohort_charts(report: &Report, language: Language) -> Vec<Drawing> {
    match &report.body {
        Body::Cohort(body) if !body.overlay.is_empty() => {
            charts(history_view::overlay_section(report, body, language))
        }
        _ => Vec::new(),
    }
}

fn charts(section: Section) -> Vec<Drawing> {
    let of_block = |block: &Block| match block {
        Block::Charts(charts) => charts.iter().map(drawn).collect(),
        _ => Vec::new(),
    };
    section.blocks.iter().flat_map(of_block).collect::<Vec<Drawing>>()
}

/// A line of a table's cell, as SVG; `label` says what it is to those who do not see it.
pub fn sparkline(values: &[Option<i64>], is_rank: bool, label: &str) -> String {
    let up = if is_rank { Up::Small } else { Up::Large };
    strip::spark_svg(&condensed(values, SPARK_DAYS), up, label, strip::CELL)
}
