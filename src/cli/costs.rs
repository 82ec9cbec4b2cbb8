//! `costs`: what was spent, by day, source, run or product.

use anyhow::Context as _;
use serde::Serialize;

use super::OutputArgs;
use super::context::Context;
use super::dates::RangeArgs;
use super::output::within;
use crate::error::Outcome;
use crate::model::{DayRange, LIVE_SOURCES};
use crate::render::rows::{Cell, Format, Rows};
use crate::sources::budget::dollars;
use crate::store::spending::{Spending, SpendingBy};

/// Show what the providers cost, by source, day, run or product
///
/// Every request that may cost something is in the ledger before it is sent. One whose answer never came, because the
/// run was killed, counts with its estimate. Without days: this month.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct CostsArgs {
    /// What to add up by: source, day, run or product
    #[arg(long, value_name = "WHAT", default_value = "source", hide_default_value = true, value_parser = parse_by)]
    by: SpendingBy,

    #[command(flatten)]
    range: RangeArgs,

    #[command(flatten)]
    output: OutputArgs,
}

fn parse_by(text: &str) -> Result<SpendingBy, String> {
    SpendingBy::from_word(text).ok_or_else(|| "it is source, day, run or product".to_owned())
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    from: crate::model::Day,
    to: crate::model::Day,
    by: &'static str,
    /// Millionths of a dollar, of the requests whose price is known.
    total_usd_micros: i64,
    total: Money,
    /// Requests whose price is not known.
    unpriced_requests: i64,
    rows: &'a [Spending],
}

#[derive(Serialize)]
struct Money {
    amount: String,
    currency: &'static str,
}

pub(super) async fn run(args: CostsArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let today = context.today();
    let this_month = DayRange { first: today.month_start(), last: today };
    let days = args.range.resolve(context, this_month.first)?.unwrap_or(this_month);
    let spent = store.load_spending(args.by, days).await.context("failed to read the ledger of requests")?;
    let micros: i64 = spent.iter().map(|line| line.micros).sum();
    let unpriced = spent.iter().map(|line| line.unpriced).sum();
    if args.output.format() == Format::Json && args.output.fields.is_none() {
        let document = Document {
            schema: "amzctl.costs/1",
            from: days.first,
            to: days.last,
            by: args.by.as_str(),
            total_usd_micros: micros,
            total: Money { amount: dollars(micros), currency: "USD" },
            unpriced_requests: unpriced,
            rows: &spent,
        };
        args.output.write(&(serde_json::to_string_pretty(&document)? + "\n"), context)?;
        return Ok(Outcome::Done);
    }
    args.output.emit(&rows(args.by, &spent), context)?;
    let span = within(days.first, days.last);
    if spent.is_empty() {
        context.ui.note(&format!("no provider was asked {span}"));
    } else {
        let rest = if unpriced > 0 {
            format!("; {unpriced} requests have no known price: set usd_per_… in the section of their source")
        } else {
            String::new()
        };
        context.ui.note(&format!("${} {span}{rest}", dollars(micros)));
    }
    Ok(Outcome::Done)
}

fn rows(by: SpendingBy, spent: &[Spending]) -> Rows {
    let columns: &[&'static str] = match by {
        SpendingBy::Source => {
            &["source", "requests", "answered", "failed", "lost", "open", "products", "units", "unit", "usd"]
        }
        SpendingBy::Product => {
            &["product", "source", "requests", "answered", "failed", "lost", "open", "units", "unit", "usd"]
        }
        SpendingBy::Day => &[
            "day", "source", "requests", "answered", "failed", "lost", "open", "products", "units", "unit",
            "usd",
        ],
        SpendingBy::Run => &[
            "run_id", "source", "requests", "answered", "failed", "lost", "open", "products", "units",
            "unit", "usd",
        ],
    };
    let mut rows = Rows::new("amzctl.costs/1", columns);
    for line in spent {
        let mut cells: Vec<Cell> = vec![line.name.as_str().into()];
        if by != SpendingBy::Source {
            cells.push(line.source.as_deref().into());
        }
        cells.extend([line.requests, line.answered, line.failed, line.lost, line.open].map(Cell::from));
        if by != SpendingBy::Product {
            cells.push(line.products.into());
        }
        cells.push(line.units.into());
        cells.push(line.source.as_deref().and_then(unit_of).into());
        let is_priced = line.micros > 0 || line.unpriced == 0;
        cells.push(if is_priced { dollars(line.micros).into() } else { Cell::Null });
        rows.push(cells);
    }
    rows
}

/// What a source counts in.
fn unit_of(source: &str) -> Option<&'static str> {
    const UNITS: [&str; LIVE_SOURCES.len()] =
        ["requests", "tokens", "credits", "results", "credits", "pages"];
    let place = LIVE_SOURCES.iter().position(|name| *name == source)?;
    UNITS.get(place).copied()
}
