//! `explain`: where a figure or an alert comes from, down to the raw payload and its cost.

mod subject;

use serde_json::{Value, json};

use super::context::Context;
use super::dates::DayArg;
use super::output::{OutputArgs, write_bytes};
use super::products::known_key;
use super::show::known_product;
use crate::error::{Failure, Outcome};
use crate::model::{DailyRow, Day, DayRange, Marketplace, Observation, ProductKey, ProductRef};
use crate::render::format::{amount, integer, plain_line, rank, spoken, stars};
use crate::render::rows::{Cell, Format, Rows, instant, instant_to_second};
use crate::store::alerts::NewAlert;
use crate::store::{Evidence, Store};
use subject::{Subject, Told};

/// Explain an alert, an incident, or a product's figures on a day
///
/// Shows the observations the day was chosen from, the receipt, cost and place of each, and the raw body's hash; of an
/// alert also why its state is what it is, of a finding that is held back why it is no alert.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// The id of an alert, a held finding or an incident (or its first digits), or a product: B0…, UK:B0…, URL
    #[arg(value_name = "ID|PRODUCT")]
    pub target: String,

    /// The day of the figure [default: the product's newest day]
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    pub day: Option<DayArg>,

    /// Only this figure: price_minor, bsr, rating_centi, availability, …
    #[arg(long, value_name = "FIELD", value_parser = parse_field)]
    pub field: Option<&'static Field>,

    /// Marketplace of a plain ASIN
    #[arg(long, value_name = "CODE")]
    pub marketplace: Option<Marketplace>,

    /// Print the raw bodies themselves, byte for byte; of several each on lines of its own
    #[arg(long, conflicts_with_all = ["format", "json", "fields"])]
    pub raw: bool,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// The blocks in which a day's row is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Block {
    Offer,
    Rank,
    Rating,
    Sold,
}

/// A figure of the daily row: its name, its block, how it reads, and what it is to programs.
#[derive(Debug)]
pub(super) struct Field {
    name: &'static str,
    block: Block,
    show: fn(&Observation) -> Option<String>,
    cell: fn(&Observation) -> Cell,
}

impl Field {
    /// The figure as one line of a terminal; null where it is not known.
    fn line(&self, observation: &Observation) -> Option<String> {
        (self.show)(observation).map(|shown| plain_line(&shown))
    }
}

fn money(observation: &Observation, minor: Option<i64>) -> Option<String> {
    let currency = observation.marketplace.currency();
    minor.map(|minor| format!("{} {currency}", amount(minor, currency)))
}

static FIELDS: &[Field] = &[
    Field {
        name: "price_minor",
        block: Block::Offer,
        show: |o| money(o, o.offer.price_minor),
        cell: |o| o.offer.price_minor.into(),
    },
    Field {
        name: "list_price_minor",
        block: Block::Offer,
        show: |o| money(o, o.offer.list_price_minor),
        cell: |o| o.offer.list_price_minor.into(),
    },
    Field {
        name: "buy_box_price_minor",
        block: Block::Offer,
        show: |o| money(o, o.offer.buy_box_price_minor),
        cell: |o| o.offer.buy_box_price_minor.into(),
    },
    Field {
        name: "shipping_minor",
        block: Block::Offer,
        show: |o| money(o, o.offer.shipping_minor),
        cell: |o| o.offer.shipping_minor.into(),
    },
    Field {
        name: "landed_price_minor",
        block: Block::Offer,
        show: |o| money(o, o.offer.landed_price_minor()),
        cell: |o| o.offer.landed_price_minor().into(),
    },
    Field {
        name: "price_basis",
        block: Block::Offer,
        show: |o| o.offer.price_basis.map(|b| b.to_string()),
        cell: |o| o.offer.price_basis.map(|b| b.as_str()).into(),
    },
    Field {
        name: "availability",
        block: Block::Offer,
        show: |o| Some(spoken(o.offer.availability.as_str())),
        cell: |o| o.offer.availability.as_str().into(),
    },
    Field {
        name: "stock_quantity",
        block: Block::Offer,
        show: |o| o.offer.stock_quantity.map(integer),
        cell: |o| o.offer.stock_quantity.into(),
    },
    Field {
        name: "seller_id",
        block: Block::Offer,
        show: |o| o.offer.seller_id.clone(),
        cell: |o| o.offer.seller_id.clone().into(),
    },
    Field {
        name: "seller_name",
        block: Block::Offer,
        show: |o| o.offer.seller_name.clone(),
        cell: |o| o.offer.seller_name.clone().into(),
    },
    Field {
        name: "fulfilment",
        block: Block::Offer,
        show: |o| o.offer.fulfilment.map(|f| f.to_string()),
        cell: |o| o.offer.fulfilment.map(|f| f.as_str()).into(),
    },
    Field {
        name: "bsr",
        block: Block::Rank,
        show: |o| o.rank.main().map(|r| format!("{} in {}", rank(r.rank), r.category)),
        cell: |o| o.rank.main().map(|r| r.rank).into(),
    },
    Field {
        name: "bsr_leaf",
        block: Block::Rank,
        show: |o| o.rank.leaf().map(|r| format!("{} in {}", rank(r.rank), r.category)),
        cell: |o| o.rank.leaf().map(|r| r.rank).into(),
    },
    Field {
        name: "rating_centi",
        block: Block::Rating,
        show: |o| o.rating.rating_centi.map(stars),
        cell: |o| o.rating.rating_centi.into(),
    },
    Field {
        name: "ratings_count",
        block: Block::Rating,
        show: |o| o.rating.ratings_count.map(integer),
        cell: |o| o.rating.ratings_count.into(),
    },
    Field {
        name: "monthly_sold_min",
        block: Block::Sold,
        show: |o| o.monthly_sold_min.map(integer),
        cell: |o| o.monthly_sold_min.into(),
    },
];

fn parse_field(text: &str) -> Result<&'static Field, String> {
    FIELDS.iter().find(|field| field.name == text).ok_or_else(|| {
        let names: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
        format!("`{text}` is not a figure of the daily row (known: {})", names.join(", "))
    })
}

/// A product's day with everything it was chosen from.
struct DayExplained {
    key: ProductKey,
    day: Day,
    row: Option<DailyRow>,
    evidence: Vec<Evidence>,
}

pub(super) async fn run(args: ExplainArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let (alert, days) = match Subject::of(&args.target, &store, context).await? {
        Subject::Told(told) => {
            let days = days_of_alert(&store, &told.finding).await?;
            (Some(told), days)
        }
        Subject::Incident(incident) => {
            return subject::explain_incident(&args.output, &incident, &store, context).await;
        }
        Subject::Product => (None, vec![day_of_product(&args, &store, context).await?]),
    };
    if args.raw {
        let bytes = raw_bodies(&store, &days).await?;
        write_bytes(&bytes, args.output.output.as_deref(), context)?;
        return Ok(Outcome::Done);
    }
    let is_flat = args.output.fields.is_some();
    match args.output.format() {
        Format::Table if !is_flat => {
            let mut text = alert.as_deref().map(Told::text).unwrap_or_default();
            text.extend(days.iter().map(|day| day_text(day, args.field)));
            args.output.write(&text, context)?;
        }
        Format::Json if !is_flat => {
            let document = document(alert.as_deref(), &days, args.field);
            args.output.write(&format!("{document:#}\n"), context)?;
        }
        _ => args.output.emit(&rows(alert.as_deref(), &days, args.field), context)?,
    }
    Ok(Outcome::Done)
}

/// The judged day and the days its values are compared with, newest first.
async fn days_of_alert(store: &Store, alert: &NewAlert) -> anyhow::Result<Vec<DayExplained>> {
    let mut days = vec![alert.day];
    let evidence = subject::evidence_of(alert);
    let named = evidence.as_object().into_iter().flatten();
    days.extend(
        named
            .filter(|(name, _)| name.ends_with("_day"))
            .filter_map(|(_, value)| value.as_str().and_then(|text| text.parse::<Day>().ok())),
    );
    days.sort();
    days.dedup();
    let Some(key) = product_of(alert) else { return Ok(Vec::new()) };
    let mut explained = Vec::new();
    for day in days.into_iter().rev() {
        explained.push(load_day(store, key, day).await?);
    }
    Ok(explained)
}

/// Null where the alert is about a source.
fn product_of(alert: &NewAlert) -> Option<ProductKey> {
    Some(ProductKey { marketplace: alert.marketplace.parse().ok()?, asin: alert.asin.parse().ok()? })
}

async fn day_of_product(
    args: &ExplainArgs,
    store: &Store,
    context: &Context,
) -> anyhow::Result<DayExplained> {
    let named: ProductRef = args.target.parse().map_err(|error| {
        Failure::usage(format!("{error}")).hint("name an alert id from `amzctl alert list`, or a product")
    })?;
    let key = known_key(named, args.marketplace, store, context).await?;
    let product = known_product(store, key).await?;
    let day = args.day.map_or(product.last_day, |day| day.resolve(context.today()));
    let explained = load_day(store, key, day).await?;
    if explained.evidence.is_empty() {
        return Err(Failure::usage(format!("{key} was not seen on {day}"))
            .hint(format!("`amzctl show {key}` lists the days that were seen"))
            .into());
    }
    Ok(explained)
}

async fn load_day(store: &Store, key: ProductKey, day: Day) -> anyhow::Result<DayExplained> {
    let row = store.load_daily(&[key], DayRange { first: day, last: day }).await?.pop();
    Ok(DayExplained { key, day, row, evidence: store.load_evidence(key, day).await? })
}

async fn raw_bodies(store: &Store, days: &[DayExplained]) -> anyhow::Result<Vec<u8>> {
    let mut bodies = Vec::new();
    let evidence: Vec<&Evidence> = days.iter().flat_map(|day| &day.evidence).collect();
    for evidence in &evidence {
        bodies.extend(store.load_body(&evidence.body_sha256).await?);
    }
    if bodies.is_empty() && !evidence.is_empty() {
        return Err(Failure::failed("retention has dropped the raw payloads")
            .hint("without --raw the observations that were read from them are shown")
            .into());
    }
    Ok(bodies.join(&b'\n'))
}

/// The row as an observation, so that both read alike.
fn as_observation(row: &DailyRow) -> Observation {
    Observation {
        marketplace: row.marketplace,
        asin: row.asin,
        found: true,
        offer: row.offer.clone(),
        rank: row.rank.clone(),
        rating: row.rating.clone(),
        monthly_sold_min: row.monthly_sold_min,
        listing: crate::model::Listing::default(),
    }
}

/// True when the row's block is this observation's.
fn gave(block: Block, row: &DailyRow, observation: &Observation) -> bool {
    match block {
        Block::Offer => row.offer.is_known() && row.offer == observation.offer,
        Block::Rank => !row.rank.ranks.is_empty() && row.rank.ranks == observation.rank.ranks,
        Block::Rating => row.rating.is_known() && row.rating == observation.rating,
        Block::Sold => row.monthly_sold_min.is_some() && row.monthly_sold_min == observation.monthly_sold_min,
    }
}

/// The figure that was asked for, or all.
fn shown_fields(field: Option<&'static Field>) -> Vec<&'static Field> {
    FIELDS.iter().filter(|known| field.is_none_or(|field| field.name == known.name)).collect()
}

/// The blocks of the day's row that hold one of the fields and are this observation's.
fn blocks_given(explained: &DayExplained, evidence: &Evidence, fields: &[&Field]) -> Vec<&'static str> {
    let Some(row) = &explained.row else { return Vec::new() };
    [(Block::Offer, "offer"), (Block::Rank, "rank"), (Block::Rating, "rating"), (Block::Sold, "sold")]
        .iter()
        .filter(|(block, _)| {
            gave(*block, row, &evidence.observation) && fields.iter().any(|field| field.block == *block)
        })
        .map(|(_, name)| *name)
        .collect()
}

fn day_text(explained: &DayExplained, field: Option<&'static Field>) -> String {
    let fields = shown_fields(field);
    let mut text = format!("{} on {}\n", explained.key, explained.day);
    match &explained.row {
        None => text.push_str("  no figures: this day was not seen, or every answer said `not found`\n"),
        Some(row) => {
            let values = as_observation(row);
            for field in &fields {
                let shown = field.line(&values).unwrap_or_else(|| "unknown".to_owned());
                text.push_str(&format!("  {:<22} {shown}\n", field.name));
            }
            text.push_str(&format!(
                "\nchosen block by block from {} of the day: most trusted source first, then the latest\n",
                crate::render::format::count_of(row.observations, "observation")
            ));
        }
    }
    for evidence in &explained.evidence {
        text.push_str(&evidence_text(explained, evidence, &fields));
    }
    text.push('\n');
    text
}

fn evidence_text(explained: &DayExplained, evidence: &Evidence, fields: &[&Field]) -> String {
    let blocks = blocks_given(explained, evidence, fields);
    let gave = match (evidence.observation.found, blocks.is_empty()) {
        (false, _) => "said that the product does not exist".to_owned(),
        (true, true) => "gave nothing of what is shown".to_owned(),
        (true, false) => format!("gave {}", blocks.join(", ")),
    };
    let place = match (&evidence.file_path, evidence.file_line, evidence.file_offset, &evidence.job_id) {
        (Some(path), Some(line), Some(offset), _) => {
            format!("{}, line {line}, byte {offset}", plain_line(path))
        }
        (Some(path), ..) => plain_line(path),
        (None, _, _, Some(job)) => format!("job {job}"),
        _ => "unknown".to_owned(),
    };
    let mut text = format!(
        "\n  {} at {}: {gave}\n    {}\n    from      {place}\n    raw       sha256 {}, {}\n    cost      {}\n",
        evidence.source,
        instant_to_second(evidence.observed_at),
        received_text(evidence),
        evidence.body_sha256,
        evidence.body_bytes.map_or_else(|| "dropped".to_owned(), |bytes| format!("{} bytes", integer(bytes))),
        cost_text(evidence),
    );
    for field in fields {
        if let Some(shown) = field.line(&evidence.observation) {
            text.push_str(&format!("    {:<22} {shown}\n", field.name));
        }
    }
    text
}

/// How the receipt came to be, or that there is none any more.
fn received_text(evidence: &Evidence) -> String {
    match (&evidence.shape, evidence.copies, evidence.recorded_at, &evidence.run_id) {
        (Some(shape), Some(copies), Some(recorded_at), Some(run_id)) => format!(
            "received  {shape}, {}, recorded {}, run {run_id}",
            crate::render::format::count_of(copies, "time"),
            instant_to_second(recorded_at),
        ),
        _ => {
            format!("received  {}, retention has dropped the receipt", instant_to_second(evidence.fetched_at))
        }
    }
}

/// Millionths as a plain amount: `0.001500 USD (3 units)`; files cost nothing.
fn cost_text(evidence: &Evidence) -> String {
    let (Some(units), Some(currency)) = (evidence.cost_units, &evidence.cost_currency) else {
        return "unknown".to_owned();
    };
    match evidence.cost_micros {
        Some(0) if units == 0 => "none".to_owned(),
        Some(micros) => {
            let (whole, rest) = (micros / 1_000_000, micros % 1_000_000);
            format!("{whole}.{rest:06} {currency} ({units} units)")
        }
        None => format!("not known ({units} units)"),
    }
}

/// One row per observation that a day was chosen from, with the figures as it gave them.
fn rows(alert: Option<&Told>, days: &[DayExplained], field: Option<&'static Field>) -> Rows {
    let fields = shown_fields(field);
    let mut columns =
        vec!["alert_id", "marketplace", "asin", "day", "source", "observed_at", "found", "gave", "currency"];
    columns.extend(fields.iter().map(|field| field.name));
    columns.extend([
        "shape",
        "copies",
        "fetched_at",
        "recorded_at",
        "run_id",
        "file_path",
        "file_line",
        "file_offset",
        "job_id",
        "body_sha256",
        "body_bytes",
        "cost_micros",
        "cost_currency",
        "cost_units",
    ]);
    let mut rows = Rows::new("amzctl.explain/1", &columns);
    for (explained, evidence) in
        days.iter().flat_map(|day| day.evidence.iter().map(move |evidence| (day, evidence)))
    {
        let mut row: Vec<Cell> = vec![
            alert.map(|told| &told.finding.alert_id).into(),
            explained.key.marketplace.into(),
            explained.key.asin.into(),
            explained.day.into(),
            evidence.source.as_str().into(),
            evidence.observed_at.into(),
            evidence.observation.found.into(),
            blocks_given(explained, evidence, &fields).join(",").into(),
            explained.key.marketplace.currency().into(),
        ];
        row.extend(fields.iter().map(|field| (field.cell)(&evidence.observation)));
        row.extend([
            evidence.shape.as_ref().into(),
            evidence.copies.into(),
            evidence.fetched_at.into(),
            evidence.recorded_at.into(),
            evidence.run_id.as_ref().into(),
            evidence.file_path.as_ref().into(),
            evidence.file_line.into(),
            evidence.file_offset.into(),
            evidence.job_id.as_ref().into(),
            evidence.body_sha256.as_str().into(),
            evidence.body_bytes.into(),
            evidence.cost_micros.into(),
            evidence.cost_currency.as_ref().into(),
            evidence.cost_units.into(),
        ]);
        rows.push(row);
    }
    rows
}

fn document(alert: Option<&Told>, days: &[DayExplained], field: Option<&'static Field>) -> Value {
    let days: Vec<Value> = days
        .iter()
        .map(|explained| {
            let evidence: Vec<Value> = explained
                .evidence
                .iter()
                .map(|evidence| {
                    let mut value = json!(evidence);
                    for (name, at) in [
                        ("observed_at", Some(evidence.observed_at)),
                        ("fetched_at", Some(evidence.fetched_at)),
                        ("recorded_at", evidence.recorded_at),
                    ] {
                        value[name] = json!(at.map(instant));
                    }
                    value
                })
                .collect();
            json!({
                "marketplace": explained.key.marketplace,
                "asin": explained.key.asin,
                "day": explained.day,
                "field": field.map(|field| field.name),
                "row": explained.row,
                "evidence": evidence,
            })
        })
        .collect();
    let alert = alert.map(Told::document);
    json!({ "schema": "amzctl.explain/1", "alert": alert, "days": days })
}
