//! `show`: one product's history at a terminal.

use serde_json::json;

use super::context::Context;
use super::dates::{DayArg, RangeArgs};
use super::output::{OutputArgs, counted, spanned, within};
use super::products::known_key;
use crate::error::{Failure, Outcome};
use crate::model::{DailyRow, DayRange, Marketplace, Money, ProductKey, ProductRef};
use crate::render::format::{amount, integer, plain_line, rank, spoken, stars, truncated};
use crate::render::rows::{Cell, Format, Rows, render};
use crate::render::spark::{Up, sparkline};
use crate::store::{ProductRecord, Store};

/// Show one product's days
///
/// A day that was not seen has no line. `unknown` is what a source did not say; it is never zero.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// B0…, UK:B0… or a product URL
    #[arg(value_name = "PRODUCT")]
    pub product: ProductRef,

    /// Marketplace of a plain ASIN
    #[arg(long, value_name = "CODE")]
    pub marketplace: Option<Marketplace>,

    #[command(flatten)]
    pub range: RangeArgs,

    /// Without --from and --to: how many days back from --as-of
    #[arg(long, default_value_t = 30, value_name = "N", conflicts_with_all = ["from", "to"], value_parser = clap::value_parser!(u16).range(1..=3660))]
    pub days: u16,

    /// Last day of --days [default: the product's newest day]
    #[arg(long, value_name = "DAY", allow_hyphen_values = true, conflicts_with_all = ["from", "to"])]
    pub as_of: Option<DayArg>,

    #[command(flatten)]
    pub output: OutputArgs,
}

pub(super) async fn run(args: ShowArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let key = known_key(args.product, args.marketplace, &store, context).await?;
    let product = known_product(&store, key).await?;
    let range = range(&args, &product, context)?;
    let days = store.load_daily(&[key], range).await?;
    if days.is_empty() {
        let ProductRecord { first_day, last_day, .. } = product;
        context.ui.note(&format!(
            "{key} was not seen {}; its first day is {first_day}, its newest {last_day}",
            within(range.first, range.last)
        ));
    }
    match args.output.format() {
        Format::Table => {
            let width = args.output.table_width(context);
            args.output.write(&terminal(&product, &days, range, width)?, context)?;
        }
        Format::Json => args.output.write(&document(&product, &days, range)?, context)?,
        _ => args.output.emit(&rows(&days), context)?,
    }
    Ok(Outcome::Done)
}

/// The days asked for: a range, or so many up to a day.
fn range(args: &ShowArgs, product: &ProductRecord, context: &Context) -> anyhow::Result<DayRange> {
    if let Some(range) = args.range.resolve(context, product.first_day)? {
        return Ok(range);
    }
    let as_of = args.as_of.map_or(product.last_day, |day| day.resolve(context.today()));
    Ok(DayRange::window(as_of, args.days.into()))
}

pub(super) async fn known_product(store: &Store, key: ProductKey) -> anyhow::Result<ProductRecord> {
    store.load_product(key).await?.ok_or_else(|| {
        Failure::usage(format!("{key} was never seen"))
            .hint("`amzctl export products` lists what is known; `amzctl ingest` brings more")
            .into()
    })
}

/// The columns of `export daily` that fit a product's history.
fn rows(days: &[DailyRow]) -> Rows {
    let mut rows = Rows::new(
        "amzctl.show/1",
        &[
            "marketplace",
            "asin",
            "day",
            "currency",
            "price_minor",
            "list_price_minor",
            "landed_price_minor",
            "price_basis",
            "availability",
            "stock_quantity",
            "seller_id",
            "seller_name",
            "fulfilment",
            "bsr",
            "bsr_category",
            "bsr_leaf",
            "bsr_leaf_category",
            "rating_centi",
            "ratings_count",
            "monthly_sold_min",
            "source",
        ],
    );
    for day in days {
        rows.push(cells(day));
    }
    rows
}

fn cells(day: &DailyRow) -> Vec<Cell> {
    let (offer, main, leaf) = (&day.offer, day.rank.main(), day.rank.leaf());
    vec![
        day.marketplace.into(),
        day.asin.into(),
        day.day.into(),
        day.currency.into(),
        offer.price_minor.into(),
        offer.list_price_minor.into(),
        offer.landed_price_minor().into(),
        offer.price_basis.map(|basis| basis.as_str()).into(),
        offer.availability.as_str().into(),
        offer.stock_quantity.into(),
        offer.seller_id.clone().into(),
        offer.seller_name.clone().into(),
        offer.fulfilment.map(|fulfilment| fulfilment.as_str()).into(),
        main.map(|rank| rank.rank).into(),
        main.map(|rank| rank.category.clone()).into(),
        leaf.map(|rank| rank.rank).into(),
        leaf.map(|rank| rank.category.clone()).into(),
        day.rating.rating_centi.into(),
        day.rating.ratings_count.into(),
        day.monthly_sold_min.into(),
        day.source.clone().into(),
    ]
}

fn document(product: &ProductRecord, days: &[DailyRow], range: DayRange) -> anyhow::Result<String> {
    let rows = rows(days);
    let listed: Vec<serde_json::Value> = rows
        .rows
        .iter()
        .zip(days)
        .map(|(cells, day)| {
            let mut object: serde_json::Map<_, _> = rows
                .columns
                .iter()
                .map(|name| (*name).to_owned())
                .zip(cells.iter().map(|cell| json!(cell)))
                .collect();
            let money = day.offer.price_minor.map(|minor| Money { minor, currency: day.currency });
            object.insert("price".to_owned(), json!(money));
            object.into()
        })
        .collect();
    let document = json!({
        "schema": "amzctl.show/1", "product": product, "from": range.first, "to": range.last, "days": listed,
    });
    Ok(format!("{document:#}\n"))
}

/// A sparkline, or that there is nothing to draw.
fn drawn(line: String) -> String {
    if line.trim().is_empty() { "unknown".to_owned() } else { line }
}

fn terminal(
    product: &ProductRecord,
    days: &[DailyRow],
    range: DayRange,
    width: usize,
) -> anyhow::Result<String> {
    let on = |value: fn(&DailyRow) -> Option<i64>| -> Vec<Option<i64>> {
        range.days().map(|day| days.iter().find(|row| row.day == day).and_then(value)).collect()
    };
    let known = |text: &Option<String>| text.as_deref().map_or("unknown".to_owned(), plain_line);
    let title = product.title.as_deref().map_or("title unknown".to_owned(), plain_line);
    let mut text = truncated(&format!("{}:{}  {title}", product.marketplace, product.asin), width);
    text.push_str(&format!(
        "\nbrand {}   category {}   {}\n",
        known(&product.brand),
        known(&product.category),
        product.status
    ));
    text.push_str(&format!(
        "{}, {} of {} seen\nprice  {}\nrank   {}\n\n",
        spanned(range.first, range.last),
        days.len(),
        counted(range.days().count(), "day"),
        drawn(sparkline(&on(|row| row.offer.price_minor), Up::Large)),
        drawn(sparkline(&on(|row| row.rank.main().map(|rank| rank.rank)), Up::Small)),
    ));
    if days.is_empty() {
        return Ok(text.trim_end().to_owned());
    }
    let mut table = Rows::new(
        "",
        &["day", "price", "list", "rank", "leaf rank", "rating", "ratings", "stock", "seller", "source"],
    )
    .expendable(&["source", "list", "seller", "ratings"]);
    let unknown = || "unknown".to_owned();
    for day in days {
        let money = |minor: Option<i64>| minor.map_or_else(unknown, |minor| amount(minor, day.currency));
        let stock = match day.offer.stock_quantity {
            Some(quantity) => format!("{} ({quantity})", spoken(day.offer.availability.as_str())),
            None => spoken(day.offer.availability.as_str()),
        };
        table.push(vec![
            day.day.into(),
            money(day.offer.price_minor).into(),
            day.offer.list_price_minor.map(|minor| amount(minor, day.currency)).unwrap_or_default().into(),
            day.rank.main().map_or_else(unknown, |main| rank(main.rank)).into(),
            day.rank.leaf().map_or_else(unknown, |leaf| rank(leaf.rank)).into(),
            day.rating.rating_centi.map_or_else(unknown, stars).into(),
            day.rating.ratings_count.map_or_else(unknown, integer).into(),
            stock.into(),
            day.offer.seller_name.clone().or(day.offer.seller_id.clone()).unwrap_or_else(unknown).into(),
            day.source.clone().into(),
        ]);
    }
    text.push_str(&render(&table, Format::Table, None, width)?);
    Ok(text)
}
