//! What is known of one product over time: days, offers, ranks, changes, windows, trends and listings.

use crate::lake::{Table as LakeTable, read_product};
use crate::model::{DayRange, ProductKey};
use crate::render::rows::Cell;
use crate::serve::Tables;
use crate::serve::answer::{Columns, Output, Table, columns};
use crate::serve::call::Call;
use crate::serve::problem::Problem;
use crate::stages::tables::{currency, take_frame};
use crate::store::export::FieldKind::{self, Int, Real, Text};
use crate::store::export::{ExportFilter, ExportView, Field, daily_columns, ranks_columns};
use crate::store::served::LISTING_VERSION;

/// What an offer is, of a day's columns.
const OFFER: [&str; 21] = [
    "marketplace",
    "asin",
    "day",
    "observed_at",
    "currency",
    "price_minor",
    "list_price_minor",
    "buy_box_price_minor",
    "shipping_minor",
    "landed_price_minor",
    "price_basis",
    "coupon_minor",
    "coupon_pct",
    "is_deal",
    "is_prime",
    "seller_id",
    "seller_name",
    "fulfilment",
    "condition",
    "offer_count",
    "availability",
];

/// The figures that have a trend.
const TRENDS: [&str; 3] = ["price", "bsr", "rating"];

pub(in crate::serve) fn metric_columns(_: &Tables) -> Columns {
    daily_columns()
}

pub(in crate::serve) fn offer_columns(_: &Tables) -> Columns {
    daily_columns().into_iter().filter(|(name, _)| OFFER.contains(&name.as_str())).collect()
}

pub(in crate::serve) fn rank_columns(_: &Tables) -> Columns {
    ranks_columns()
}

pub(in crate::serve) fn delta_columns(tables: &Tables) -> Columns {
    tables.deltas.clone()
}

/// Rollups name their currency by their marketplace alone: it is added, as in exports.
pub(in crate::serve) fn rollup_columns(tables: &Tables) -> Columns {
    let mut columns = tables.rollups.clone();
    columns.push(("currency".to_owned(), FieldKind::Text));
    columns
}

pub(in crate::serve) fn trend_columns(_: &Tables) -> Columns {
    columns(&[
        ("marketplace", Text),
        ("asin", Text),
        ("window_days", Int),
        ("as_of", Text),
        ("measure", Text),
        ("trend", Text),
        ("known_values", Int),
        ("first", Int),
        ("last", Int),
        ("change_pct", Real),
        ("slope", Real),
        ("volatility", Real),
    ])
}

pub(in crate::serve) fn listing_columns(_: &Tables) -> Columns {
    LISTING_VERSION.iter().map(|(name, kind, _)| ((*name).to_owned(), *kind)).collect()
}

pub(in crate::serve) async fn metrics(call: Call) -> Result<Output, Problem> {
    Ok(days(&call, ExportView::Daily, daily_columns()).await?.into())
}

pub(in crate::serve) async fn offers(call: Call) -> Result<Output, Problem> {
    let all = daily_columns();
    let table = days(&call, ExportView::Daily, all.clone()).await?;
    let places: Vec<usize> = (0..all.len()).filter(|place| OFFER.contains(&all[*place].0.as_str())).collect();
    let pick = |row: Vec<Cell>| places.iter().map(|place| row[*place].clone()).collect();
    let rows = table.rows.into_iter().map(pick).collect();
    Ok(Table { columns: offer_columns(&call.app.tables), rows }.into())
}

pub(in crate::serve) async fn ranks(call: Call) -> Result<Output, Problem> {
    Ok(days(&call, ExportView::Ranks, ranks_columns()).await?.into())
}

/// A product's rows of a table that has one or more a day.
async fn days(call: &Call, view: ExportView, columns: Columns) -> Result<Table, Problem> {
    let key = call.product().await?;
    let range = range(call, key).await?;
    let rows = exported(call, view, key, Some(range)).await?;
    Ok(Table::of_fields(columns, rows))
}

/// The days that are asked for; without an end up to the product's newest.
async fn range(call: &Call, key: ProductKey) -> Result<DayRange, Problem> {
    let product = call.app.store.load_product(key).await?;
    let product = product.ok_or_else(|| Problem::not_found(format!("product `{key}`")))?;
    call.days(product.last_day)
}

async fn exported(
    call: &Call,
    view: ExportView,
    key: ProductKey,
    range: Option<DayRange>,
) -> Result<Vec<Vec<Field>>, Problem> {
    let filter = ExportFilter { marketplace: None, range, product: Some(key) };
    let mut rows = Vec::new();
    let mut take = |fields| {
        rows.push(fields);
        true
    };
    call.app.store.export_rows(&call.caller.workspace, view, filter, &mut take).await?;
    Ok(rows)
}

pub(in crate::serve) async fn deltas(call: Call) -> Result<Output, Problem> {
    let key = call.product().await?;
    let range = range(&call, key).await?;
    let columns = delta_columns(&call.app.tables);
    let rows = of_lake(&call, LakeTable::Deltas, key, range, &columns).await?;
    Ok(Table::of_fields(columns, rows).into())
}

pub(in crate::serve) async fn rollups(call: Call) -> Result<Output, Problem> {
    let (columns, rows) = windows(&call).await?;
    Ok(Table::of_fields(columns, rows).into())
}

/// The newest windows of a product, or, where days are asked for, those of every day.
async fn windows(call: &Call) -> Result<(Columns, Vec<Vec<Field>>), Problem> {
    let key = call.product().await?;
    let window = call.number("window", 7..=90, 0)?;
    if ![0, 7, 30, 90].contains(&window) {
        return Err(Problem::parameter("window", "has to be 7, 30 or 90"));
    }
    let stored = &call.app.tables.rollups;
    let mut rows = match call.text("from").or(call.text("to")) {
        Some(_) => of_lake(call, LakeTable::Rollups, key, range(call, key).await?, stored).await?,
        None => exported(call, ExportView::Rollups, key, None).await?,
    };
    let place = stored.iter().position(|(name, _)| name == "window_days");
    rows.retain(|row| window == 0 || place.is_some_and(|place| row[place] == Field::Int(i64::from(window))));
    for row in &mut rows {
        row.push(currency(row));
    }
    Ok((rollup_columns(&call.app.tables), rows))
}

/// A product's rows out of the lake, which has every day.
async fn of_lake(
    call: &Call,
    table: LakeTable,
    key: ProductKey,
    range: DayRange,
    columns: &Columns,
) -> Result<Vec<Vec<Field>>, Problem> {
    let frame = read_product(&call.app.store, &call.app.options.lake, table, key, range, &[]).await?;
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let mut rows = Vec::with_capacity(frame.height());
    take_frame(&frame, &names, &mut |fields| {
        rows.push(fields);
        true
    })?;
    Ok(rows)
}

/// One row per window and figure, of the newest windows.
pub(in crate::serve) async fn trends(call: Call) -> Result<Output, Problem> {
    let (columns, rows) = windows(&call).await?;
    let table = Table::of_fields(columns, rows);
    let place = |name: &str| table.columns.iter().position(|(column, _)| column == name);
    let mut trends = Vec::new();
    for row in &table.rows {
        let cell = |name: &str| place(name).map_or(Cell::Null, |place| row[place].clone());
        for measure in TRENDS {
            let of = |what: &str| cell(&format!("{measure}_{what}"));
            let trend = match of("trend") {
                Cell::Int(1) => "increasing".into(),
                Cell::Int(0) => "stable".into(),
                Cell::Int(-1) => "decreasing".into(),
                _ => Cell::Null,
            };
            trends.push(vec![
                cell("marketplace"),
                cell("asin"),
                cell("window_days"),
                cell("as_of"),
                measure.into(),
                trend,
                of("n"),
                of("first"),
                of("last"),
                of("change_pct"),
                of("slope"),
                of("volatility"),
            ]);
        }
    }
    Ok(Table { columns: trend_columns(&call.app.tables), rows: trends }.into())
}

pub(in crate::serve) async fn listings(call: Call) -> Result<Output, Problem> {
    let key = call.product().await?;
    let rows = call.app.store.load_listing_versions(key).await?;
    Ok(Table::of_fields(listing_columns(&call.app.tables), rows).into())
}
