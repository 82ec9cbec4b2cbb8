//! `export`: tables to CSV, JSON, NDJSON, TSV and Parquet, row by row.

mod output;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::ValueEnum;
use polars::prelude::SortMultipleOptions;

use super::context::Context;
use super::dates::RangeArgs;
use crate::error::{Failure, Outcome};
use crate::lake::{Lake, Table, read_days};
use crate::model::{Day, DayRange, Marketplace};
use crate::stages::tables::{cell, currency, take_frame};
use crate::store::Store;
use crate::store::export::{ExportFilter, ExportView, Field, FieldKind};
use output::{Format, Output, Wanted};

/// Write a table to a file or to stdout
///
/// Prices are minor units; unknown is empty (null in JSON). In CSV and TSV, text that a spreadsheet would run as a
/// formula is made plain by a leading ' unless --raw is given.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// Table
    #[arg(value_enum)]
    pub table: ExportTable,

    /// Only rows of these days; deltas and rollups then come from the whole history
    #[command(flatten)]
    pub range: RangeArgs,

    /// Only this marketplace
    #[arg(long, value_name = "CODE")]
    pub marketplace: Option<Marketplace>,

    /// Format [default: that of the file's ending, else csv]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,

    /// Write JSON, the same as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,

    /// Write only these columns, in this order
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub fields: Option<Vec<String>>,

    /// Write to a file instead of stdout; it is replaced whole or not at all
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Leave text as it is, spreadsheet formulas too
    #[arg(long)]
    pub raw: bool,

    /// Say how many rows would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Tables that can be exported.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum ExportTable {
    /// One row per product
    Products,
    /// One row per observation, in the newest normalizer version
    Observations,
    /// One row per review
    Reviews,
    /// One row per marketplace, asin and day
    Daily,
    /// One row per rank of a daily row
    Ranks,
    /// Each product's newest daily row, with title, brand and quality
    Latest,
    /// Changes against the previous known day: the last days, or with --from/--to all of a range
    Deltas,
    /// Windows of 7, 30 and 90 days: each product's newest, or with --from/--to every day of a range
    Rollups,
    /// Each cohort's newest comparison: one row per competitor
    Comparisons,
    /// Every alert
    Alerts,
}

impl ExportTable {
    fn view(self) -> ExportView {
        match self {
            ExportTable::Products => ExportView::Products,
            ExportTable::Observations => ExportView::Observations,
            ExportTable::Reviews => ExportView::Reviews,
            ExportTable::Daily => ExportView::Daily,
            ExportTable::Ranks => ExportView::Ranks,
            ExportTable::Latest => ExportView::Latest,
            ExportTable::Deltas => ExportView::Deltas,
            ExportTable::Rollups => ExportView::Rollups,
            ExportTable::Comparisons => ExportView::Comparisons,
            ExportTable::Alerts => ExportView::Alerts,
        }
    }

    /// The lake's table that holds the history of a served one.
    fn history(self) -> Option<Table> {
        match self {
            ExportTable::Deltas => Some(Table::Deltas),
            ExportTable::Rollups => Some(Table::Rollups),
            _ => None,
        }
    }

    /// True where rows with money name their currency by their marketplace alone; it is added behind their columns.
    fn lacks_currency(self) -> bool {
        matches!(self, ExportTable::Observations | ExportTable::Rollups)
    }

    /// `amzctl.export.daily/1`.
    fn schema(self) -> String {
        let name = self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        format!("amzctl.export.{name}/1")
    }
}

pub(super) async fn run(args: ExportArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let range = args.range.resolve(context, Day::from_no(0))?;
    let stored = store.export_columns(args.table.view()).await?;
    let mut columns = stored.clone();
    if args.table.lacks_currency() {
        columns.push(("currency".to_owned(), FieldKind::Text));
    }
    let picked = pick(&columns, args.fields.as_deref())?;
    let format = match (args.json, args.format) {
        (true, _) => Format::Json,
        (_, Some(format)) => format,
        _ => args.output.as_deref().and_then(Format::of_ending).unwrap_or(Format::Csv),
    };
    let header = picked.iter().map(|index| columns[*index].clone()).collect();
    let target = Wanted { path: args.output.as_deref(), raw: args.raw, dry_run: args.dry_run };
    let mut output = Output::open(format, target, header, args.table.schema(), &context.ui)?;
    let filter = ExportFilter { marketplace: args.marketplace, range, product: None };
    let kinds: Vec<FieldKind> = columns.iter().map(|(_, kind)| *kind).collect();
    let mut failure = None;
    let mut take = |mut fields: Vec<Field>| {
        if args.table.lacks_currency() {
            fields.push(currency(&fields));
        }
        let cells = picked.iter().map(|index| cell(&fields[*index], kinds[*index])).collect();
        match output.row(cells) {
            Ok(goes_on) => goes_on,
            Err(error) => {
                failure = Some(error);
                false
            }
        }
    };
    match (args.table.history(), range) {
        (Some(table), Some(range)) => {
            let lake = Lake::new(&context.config.lake_root);
            let names: Vec<&str> = stored.iter().map(|(name, _)| name.as_str()).collect();
            export_history(&store, &lake, table, filter.marketplace, range, &names, &mut take).await?;
        }
        _ => {
            store
                .export_rows(context.workspace(), args.table.view(), filter, &mut take)
                .await
                .context("failed to read the table")?;
        }
    }
    if let Some(error) = failure {
        return Err(error);
    }
    output.finish()?;
    Ok(Outcome::Done)
}

fn pick(columns: &[(String, FieldKind)], fields: Option<&[String]>) -> anyhow::Result<Vec<usize>> {
    let Some(fields) = fields else { return Ok((0..columns.len()).collect()) };
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    fields
        .iter()
        .map(|field| {
            names.iter().position(|name| name == field).ok_or_else(|| {
                Failure::usage(format!("there is no field `{field}`"))
                    .hint(format!("fields: {}", names.join(",")))
                    .into()
            })
        })
        .collect()
}

/// Rows of the lake under the names of the SQL table, month by month, sorted by (asin, day) inside a month.
async fn export_history(
    store: &Store,
    lake: &Lake,
    table: Table,
    marketplace: Option<Marketplace>,
    range: DayRange,
    names: &[&str],
    take: &mut (dyn FnMut(Vec<Field>) -> bool + Send),
) -> anyhow::Result<()> {
    let marketplaces = marketplace.map_or(Marketplace::ALL.to_vec(), |one| vec![one]);
    for marketplace in marketplaces {
        let mut months: Vec<Day> = store
            .lake_files(table.name(), marketplace, range)
            .await?
            .iter()
            .map(|file| Day::from_no(file.first_day_no).month_start())
            .collect();
        months.sort();
        months.dedup();
        for month in months {
            let days = DayRange { first: month.max(range.first), last: month.month_end().min(range.last) };
            let frame = read_days(store, lake, table, marketplace, days, &[]).await?;
            let frame =
                frame.sort(["asin", "day_no"], SortMultipleOptions::default().with_maintain_order(true))?;
            if !take_frame(&frame, names, take)? {
                return Ok(());
            }
        }
    }
    Ok(())
}
