//! `alert summary`: what came of the alerts of the last days, by rule and severity, and which products are noisy.

use anyhow::Context as _;
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::cli::OutputArgs;
use crate::cli::context::Context;
use crate::cli::output::counted;
use crate::error::Outcome;
use crate::model::Day;
use crate::render::rows::{Cell, Format, Rows, known, render};
use crate::store::alerts::{AlertCourse, Noisy, SummaryRow, noisiest, summarise};

/// So many products are named as the noisiest.
const NOISIEST: usize = 10;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct SummaryArgs {
    /// The alerts of this many days, the present one included
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..))]
    days: u16,

    /// One row per rule and severity, or per product; a table without it, and JSON, have both
    #[arg(long, value_enum, value_name = "WHAT")]
    by: Option<By>,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum By {
    Rule,
    Product,
}

pub(super) async fn run(args: &SummaryArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let first = context.today().plus(1 - i32::from(args.days));
    let since = context.config.zone.end_of(first.plus(-1));
    let courses = store
        .load_alert_courses(context.workspace(), since)
        .await
        .context("failed to load the alerts of these days")?;
    let (rules, products) = (summarise(&courses), noisiest(&courses, NOISIEST));
    if courses.is_empty() {
        context.ui.note(&format!("no alert was opened since {first}"));
    }
    let output = &args.output;
    match (output.format(), args.by) {
        (_, Some(By::Product)) => output.emit(&product_rows(&products), context)?,
        (Format::Json, None) if output.fields.is_none() => {
            let document = document(args.days, first, &courses, &rules, &products);
            output.write(&format!("{document:#}\n"), context)?;
        }
        (Format::Table, None) if output.fields.is_none() && !courses.is_empty() => {
            let width = output.table_width(context);
            let mut text = render(&short_rows(&rules), Format::Table, None, width)?;
            if !products.is_empty() {
                text.push('\n');
                text += &render(&product_rows(&products), Format::Table, None, width)?;
            }
            output.write(&text, context)?;
        }
        (_, None | Some(By::Rule)) => output.emit(&rule_rows(&rules), context)?,
    }
    Ok(Outcome::Done)
}

/// One row per rule and severity.
fn rule_rows(rules: &[SummaryRow]) -> Rows {
    let mut rows = Rows::new(
        "amzctl.alert-summary/1",
        &[
            "rule",
            "severity",
            "opened",
            "acknowledged",
            "resolved",
            "dismissed",
            "still_open",
            "median_acknowledge_s",
            "median_resolve_s",
        ],
    );
    for row in rules {
        rows.push(vec![
            row.rule.as_str().into(),
            row.severity.as_str().into(),
            row.opened.into(),
            row.acknowledged.into(),
            row.resolved.into(),
            row.dismissed.into(),
            row.still_open.into(),
            row.median_acknowledge_s.into(),
            row.median_resolve_s.into(),
        ]);
    }
    rows
}

/// The same for people: times in words.
fn short_rows(rules: &[SummaryRow]) -> Rows {
    let columns = [
        "rule",
        "severity",
        "opened",
        "acknowledged",
        "resolved",
        "dismissed",
        "still open",
        "seen after",
        "resolved after",
    ];
    let mut rows = Rows::new("amzctl.alert-summary/1", &columns);
    for row in rules {
        rows.push(vec![
            row.rule.as_str().into(),
            row.severity.as_str().into(),
            row.opened.into(),
            row.acknowledged.into(),
            row.resolved.into(),
            row.dismissed.into(),
            row.still_open.into(),
            row.median_acknowledge_s.map(spoken).into(),
            row.median_resolve_s.map(spoken).into(),
        ]);
    }
    rows
}

/// `90 seconds`, `45 minutes`, `30 hours`, `3 days`.
fn spoken(seconds: i64) -> String {
    match seconds {
        ..120 => counted(seconds, "second"),
        120..7_200 => counted(seconds / 60, "minute"),
        7_200..172_800 => counted(seconds / 3_600, "hour"),
        _ => counted(seconds / 86_400, "day"),
    }
}

/// One row per noisy product, the noisiest first.
fn product_rows(products: &[Noisy]) -> Rows {
    let mut rows = Rows::new(
        "amzctl.alert-summary.products/1",
        &["marketplace", "asin", "opened", "dismissed", "still_open"],
    );
    for noisy in products {
        rows.push(vec![
            known(&noisy.marketplace),
            known(&noisy.asin),
            noisy.opened.into(),
            noisy.dismissed.into(),
            noisy.still_open.into(),
        ]);
    }
    rows
}

fn document(
    days: u16,
    first: Day,
    courses: &[AlertCourse],
    rules: &[SummaryRow],
    products: &[Noisy],
) -> Value {
    json!({
        "schema": "amzctl.alert-summary/1",
        "days": days,
        "from": first,
        "opened": courses.len(),
        "rules": objects(&rule_rows(rules)),
        "products": objects(&product_rows(products)),
    })
}

/// The rows as a list of objects.
fn objects(rows: &Rows) -> Vec<Value> {
    let object = |row: &Vec<Cell>| {
        let fields = rows.columns.iter().zip(row).map(|(name, cell)| ((*name).to_owned(), json!(cell)));
        Value::Object(fields.collect())
    };
    rows.rows.iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_a_unit_that_people_count_in() {
        for (seconds, text) in [
            (0, "0 seconds"),
            (119, "119 seconds"),
            (120, "2 minutes"),
            (7_199, "119 minutes"),
            (7_200, "2 hours"),
            (172_800, "2 days"),
        ] {
            assert_eq!(spoken(seconds), text);
        }
    }
}
