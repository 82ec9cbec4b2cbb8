//! What the sources make of a day: files as they lie in the inbox when cron starts.
//!
//! The US is read as answers of Rainforest, Germany as flat tables, and every fourth product by the other source too.
//! What does not exist is answered as an axesso row does it. An incident spoils what a marketplace's own source says.

use amzctl::generate::random::Random;
use serde_json::{Value, json};

use super::history::Reading;
use super::kind::Kind;
use super::plan::Incident;
use super::product::{Market, Product};
use super::{World, day};

/// One file of a day's folder.
pub(crate) struct File {
    pub(crate) name: &'static str,
    pub(crate) contents: String,
}

/// How many categories there are.
pub(crate) const CATEGORIES: usize = 3;

struct Category {
    slug: &'static str,
    leaf_id: &'static str,
    /// Root and leaf, by marketplace.
    names: [[&'static str; 2]; 2],
}

static KNOWN: [Category; CATEGORIES] = [
    Category {
        slug: "electronics",
        leaf_id: "12097478011",
        names: [["Electronics", "Earbud & In-Ear Headphones"], ["Elektronik & Foto", "In-Ear-Kopfhörer"]],
    },
    Category {
        slug: "kitchen",
        leaf_id: "289745",
        names: [["Home & Kitchen", "Coffee Machines"], ["Küche, Haushalt & Wohnen", "Kaffeemaschinen"]],
    },
    Category {
        slug: "sporting-goods",
        leaf_id: "3422301",
        names: [["Sports & Outdoors", "Yoga Mats"], ["Sport & Freizeit", "Yogamatten"]],
    },
];

/// The columns of the flat table that are told.
const COLUMNS: [&str; 18] = [
    "marketplace",
    "asin",
    "observed_at",
    "currency",
    "price_minor",
    "price_basis",
    "availability",
    "seller_id",
    "bsr",
    "bsr_category",
    "bsr_leaf",
    "bsr_leaf_category",
    "bsr_leaf_category_id",
    "rating_centi",
    "ratings_count",
    "title",
    "brand",
    "category",
];

/// So much of a marketplace comes a day late, when something does.
const LATE_PPM: u64 = 400_000;

/// Hours of the day at which the sources look.
const FIRST_LOOK: u8 = 6;
const OTHER_LOOK: u8 = 7;
const SECOND_LOOK: u8 = 18;

/// True where no run is started on the day.
pub(crate) fn is_asleep(world: &World, index: i32) -> bool {
    on_day(world, None, index).any(|incident| incident.kind == Kind::SilentCron)
}

fn on_day(world: &World, market: Option<Market>, index: i32) -> impl Iterator<Item = &Incident> {
    world.plan.incidents.iter().filter(move |incident| match market {
        Some(market) => incident.is_on(market, index),
        None => (incident.from..=incident.until).contains(&index),
    })
}

/// The files that are new on the day; none on a day of which nobody told anything.
pub(crate) fn files(world: &World, index: i32) -> Vec<File> {
    let mut answers = String::new();
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(COLUMNS).expect("a row fits into memory");
    let mut gone: Vec<Value> = Vec::new();
    let mut tell = |product: &Product, reading: &Reading, source: Market, index: i32, hour: u8| {
        if !reading.is_found {
            gone.push(not_found(product));
        } else if source == Market::Us {
            answers += &format!("{}\n", answer(product, reading, index, hour));
        } else {
            table.write_record(row(product, reading, index, hour)).expect("a row fits into memory");
        }
    };
    for (place, product) in world.products.iter().enumerate() {
        let (market, history) = (product.market, &world.histories[place]);
        let other = if market == Market::Us { Market::De } else { Market::Us };
        let first = |index: i32| shown(world, place, index);
        if !is_late(world, place, index)
            && let Some(reading) = first(index)
        {
            tell(product, &reading, market, index, FIRST_LOOK);
        }
        if index > 0 && !is_silent(world, market, index) {
            if is_late(world, place, index - 1)
                && let Some(reading) = first(index - 1)
            {
                tell(product, &reading, market, index - 1, FIRST_LOOK);
            }
            if let Some(reading) = &history.second_looks[index as usize - 1]
                && !is_silent(world, market, index - 1)
            {
                tell(product, reading, market, index - 1, SECOND_LOOK);
            }
        }
        if product.has_second_source
            && !on_day(world, None, index).any(|it| matches!(it.kind, Kind::MissedDay | Kind::SilentCron))
            && let Some(reading) = history.clean[index as usize].as_ref().filter(|reading| reading.is_found)
        {
            tell(product, reading, other, index, OTHER_LOOK);
        }
    }
    let table = table.into_inner().expect("a table fits into memory");
    let table = String::from_utf8(table).expect("a table is text");
    let has_rows = table.lines().count() > 1;
    let is_any_gone = !gone.is_empty();
    [
        ("rainforest.ndjson", answers, true),
        ("table.csv", table, has_rows),
        ("axesso.json", format!("{}\n", Value::Array(gone)), is_any_gone),
    ]
    .into_iter()
    .filter(|(_, contents, is_there)| *is_there && !contents.is_empty())
    .map(|(name, contents, _)| File { name, contents })
    .collect()
}

fn is_silent(world: &World, market: Market, index: i32) -> bool {
    on_day(world, Some(market), index)
        .any(|it| matches!(it.kind, Kind::MissedDay | Kind::SilentSource | Kind::SilentCron))
}

fn is_late(world: &World, place: usize, index: i32) -> bool {
    let market = world.products[place].market;
    on_day(world, Some(market), index).any(|incident| incident.kind == Kind::LateData)
        && Random::stream(world.options.seed, &[5, place as u64, index as u64]).chance(LATE_PPM)
}

/// What the product's own source shows of it on the day.
pub(crate) fn shown(world: &World, place: usize, index: i32) -> Option<Reading> {
    let market = world.products[place].market;
    if is_silent(world, market, index) {
        return None;
    }
    let mut reading = world.histories[place].readings[index as usize].clone()?;
    for incident in on_day(world, Some(market), index) {
        spoil(world, incident, place, index, &mut reading);
    }
    Some(reading)
}

fn spoil(world: &World, incident: &Incident, place: usize, index: i32, reading: &mut Reading) {
    let times = |price: Option<i64>, part: i64, whole: i64| price.map(|price| (price * part / whole).max(1));
    match (incident.kind, incident.way % 4) {
        // The decimal point is lost.
        (Kind::GarbagePrices, 0) => reading.price_minor = times(reading.price_minor, 100, 1),
        // Every page shows the same number.
        (Kind::GarbagePrices, 1) => reading.price_minor = reading.price_minor.map(|_| 1_999),
        // The rows have slipped: each product has the price of another.
        (Kind::GarbagePrices, 2) => {
            let others = (place + 1..world.products.len()).chain(0..place);
            let same = others.filter(|at| world.products[*at].market == world.products[place].market);
            let price_of = |at: usize| world.histories[at].readings[index as usize].as_ref()?.price_minor;
            reading.price_minor = reading.price_minor.and_then(|_| same.filter_map(price_of).next());
        }
        (Kind::GarbagePrices, _) => reading.price_minor = times(reading.price_minor, 1, 100),
        (Kind::GarbageStock, _) => {
            (reading.is_out, reading.price_minor, reading.seller) = (true, None, None);
        }
        (Kind::GarbageRanks, _) => (reading.rank, reading.leaf_rank) = (None, None),
        // Euro for dollars and back, pesos, yen: the sign is the right one, the number is not.
        (Kind::CurrencyMixup, 0) => reading.price_minor = times(reading.price_minor, 116, 100),
        (Kind::CurrencyMixup, 1) => reading.price_minor = times(reading.price_minor, 86, 100),
        (Kind::CurrencyMixup, 2) => reading.price_minor = times(reading.price_minor, 18, 1),
        (Kind::CurrencyMixup, _) => reading.price_minor = times(reading.price_minor, 150, 1),
        _ => {}
    }
}

fn instant(index: i32, hour: u8) -> String {
    format!("{}T{hour:02}:00:00Z", day(index))
}

/// A row of an axesso file that says the page does not exist.
fn not_found(product: &Product) -> Value {
    json!({ "statusCode": 404, "statusMessage": "NOT_FOUND", "url": url(product) })
}

fn url(product: &Product) -> String {
    format!("https://www.{}/dp/{}", domain(product), product.asin)
}

fn domain(product: &Product) -> &'static str {
    match product.market {
        Market::Us => "amazon.com",
        Market::De => "amazon.de",
    }
}

/// Root and leaf of a product's category, as its marketplace names them.
fn names(product: &Product) -> [&'static str; 2] {
    KNOWN[product.category].names[product.market as usize]
}

fn row(product: &Product, reading: &Reading, index: i32, hour: u8) -> Vec<String> {
    let [root, leaf] = names(product);
    let number = |number: Option<i64>| number.map_or_else(String::new, |number| number.to_string());
    let of = |rank: Option<i64>, name: &str| rank.map_or_else(String::new, |_| name.to_owned());
    let availability = match (reading.is_out, reading.is_low) {
        (true, _) => "out_of_stock",
        (false, true) => "low_stock",
        (false, false) => "in_stock",
    };
    vec![
        product.market.code().to_owned(),
        product.asin.clone(),
        instant(index, hour),
        product.market.currency().to_owned(),
        number(reading.price_minor),
        reading.price_minor.map_or_else(String::new, |_| "buy_box".to_owned()),
        availability.to_owned(),
        reading.seller.clone().unwrap_or_default(),
        number(reading.rank),
        of(reading.rank, root),
        number(reading.leaf_rank),
        of(reading.leaf_rank, leaf),
        of(reading.leaf_rank, KNOWN[product.category].leaf_id),
        reading.rating_centi.to_string(),
        reading.ratings.to_string(),
        reading.title.clone(),
        reading.brand.clone(),
        format!("{root} > {leaf}"),
    ]
}

fn answer(product: &Product, reading: &Reading, index: i32, hour: u8) -> Value {
    let Category { slug, leaf_id, .. } = &KNOWN[product.category];
    let [root, leaf] = names(product);
    let store = format!("https://www.{}/gp/bestsellers/{slug}", domain(product));
    let ranks = [
        reading.rank.map(|rank| json!({ "category": root, "rank": rank, "link": format!("{store}/ref=x") })),
        reading.leaf_rank.map(
            |rank| json!({ "category": leaf, "rank": rank, "link": format!("{store}/{leaf_id}/ref=x") }),
        ),
    ];
    let stock = match (reading.is_out, reading.is_low) {
        (true, _) => json!({ "type": "out_of_stock", "raw": "Currently unavailable." }),
        (false, true) => json!({ "type": "in_stock", "raw": "Only 3 left in stock" }),
        (false, false) => json!({ "type": "in_stock", "raw": "In Stock" }),
    };
    let mut winner = json!({ "availability": stock, "condition": { "is_new": true } });
    if let Some(minor) = reading.price_minor {
        let major = format!("{}.{:02}", minor / 100, minor % 100);
        winner["price"] = json!({ "value": major, "currency": product.market.currency(), "raw": major });
    }
    if let Some(seller) = &reading.seller {
        winner["fulfillment"] = json!({
            "is_fulfilled_by_amazon": true,
            "third_party_seller": { "id": seller, "name": format!("Seller {seller}") },
        });
    }
    let picture = |number: &u8| json!({ "link": format!("https://m.media-amazon.com/images/I/{}{number}.jpg", product.asin) });
    let images: Vec<Value> = reading.images.iter().map(picture).collect();
    let at = instant(index, hour);
    json!({
        "request_info": { "success": true },
        "request_metadata": { "processed_at": at, "amazon_url": url(product) },
        "request_parameters": { "type": "product", "amazon_domain": domain(product), "asin": product.asin },
        "product": {
            "asin": product.asin,
            "title": reading.title,
            "brand": reading.brand,
            "link": url(product),
            "categories": [{ "name": root }, { "name": leaf }],
            "rating": format!("{}.{}", reading.rating_centi / 100, reading.rating_centi / 10 % 10),
            "ratings_total": reading.ratings,
            "images": images,
            "buybox_winner": winner,
            "bestsellers_rank": ranks.into_iter().flatten().collect::<Vec<Value>>(),
        },
    })
}
