//! The table of alerts, shared by all reports.

use super::document::{AlertLine, Report};
use super::format::{self, plain_line, spoken};
use super::view::{Block, Cell, Row, Section, Table, Tone, words};

/// Alerts listed; the JSON form has all of them.
const LISTED: usize = 40;

pub(super) fn alerts_section(alerts: &[AlertLine], report: &Report, with_product: bool) -> Section {
    let mut columns = vec![words("Day"), words("Severity"), words("What")];
    if with_product {
        columns.push(words("Product"));
    }
    columns.push(words("State"));
    let rows = alerts.iter().take(LISTED).map(|alert| {
        let state =
            if alert.historical { format!("{}, found late", alert.state) } else { alert.state.clone() };
        let tone =
            if matches!(alert.severity.as_str(), "critical" | "high") { Tone::Bad } else { Tone::Neutral };
        let mut cells = vec![
            Cell::new(alert.day.to_string()),
            Cell::new(alert.severity.clone()).tone(tone),
            Cell::new(plain_line(&alert.message)).sub(spoken(&alert.rule)),
        ];
        if with_product {
            cells.push(Cell::new(format!("{}:{}", alert.marketplace, alert.asin)));
        }
        cells.push(Cell::new(state));
        Row { cells, emphasis: false }
    });
    let table = Table {
        caption: format!(
            "Alerts from {}, newest first",
            format::long_period(report.window.first, report.window.last)
        ),
        columns,
        rows: rows.collect(),
        empty: "No alert in this window.",
    };
    let mut blocks = vec![Block::Table(table)];
    if alerts.len() > LISTED {
        let more = format::count_of((alerts.len() - LISTED) as i64, "older alert");
        blocks.push(Block::Text(vec![format!("{more} not listed here; the JSON form has all of them.")]));
    }
    Section { id: "alerts", heading: "Alerts", blocks, detail: false }
}
