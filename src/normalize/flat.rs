//! The documented flat table: one column per fact, named as amzctl names them, as JSON, CSV or TSV.
//!
//! Money is in minor units, ratings in hundredths of a star, as in every table amzctl writes: what `export daily`
//! wrote can be read back. Columns that only make sense as output (`source`, `landed_price_minor`) are ignored.

use serde::Deserialize;

use super::junglee::split_path;
use super::record::{Claim, Record, category_path, cleaned};
use super::shape::parse_instant;
use super::table::{Row, folded};
use super::value::{List, Scalar};
use super::{Parsed, RecordContext};
use crate::model::text::{clean_brand, clean_text, parse_availability};
use crate::model::{
    Asin, Availability, Condition, Day, Fulfilment, Listing, MAX_MINOR, Marketplace, OfferBlock, PriceBasis,
    Rank,
};

/// Declares the columns once: as fields for JSON, and by name for CSV.
macro_rules! columns {
    ($($name:ident),+ $(,)?) => {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        pub(super) struct Facts<'a> {
            $(#[serde(borrow)] $name: Scalar<'a>,)+
            #[serde(borrow)]
            bullets: Bullets<'a>,
        }

        impl<'a> Facts<'a> {
            fn set(&mut self, name: &str, value: Scalar<'a>) {
                match name {
                    $(stringify!($name) => self.$name = value,)+
                    "bullets" => self.bullets = Bullets { text: value, list: List::default() },
                    _ => {}
                }
            }
        }

        /// Every column of the flat table.
        pub const COLUMNS: &[&str] = &[$(stringify!($name)),+, "bullets"];
    };
}

columns! {
    marketplace, asin, day, observed_at, currency, price_minor, list_price_minor, buy_box_price_minor,
    shipping_minor, landed_price_minor, price_basis, coupon_minor, coupon_pct, is_deal, is_prime, seller_id,
    seller_name, fulfilment, condition, offer_count, availability, stock_quantity, bsr, bsr_category,
    bsr_category_id, bsr_leaf, bsr_leaf_category, bsr_leaf_category_id, rating_centi, ratings_count,
    monthly_sold_min, title, brand, category, image_url, parent_asin,
}

/// Bullets are an array in JSON, and a JSON array or one line each in a cell.
#[derive(Default)]
struct Bullets<'a> {
    text: Scalar<'a>,
    list: List<Scalar<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Bullets<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Bullets { text: Scalar::Null, list: List::deserialize(deserializer)? })
    }
}

impl Bullets<'_> {
    fn lines(&self) -> Vec<String> {
        let clean = |text: &str| clean_text(text).into_owned();
        let lines: Vec<String> = match self.text.text() {
            None => return super::record::cleaned_list(&self.list.0),
            Some(text) => match serde_json::from_str::<Vec<String>>(text) {
                Ok(lines) => lines.iter().map(|line| clean(line)).collect(),
                Err(_) => text.lines().map(clean).collect(),
            },
        };
        lines.into_iter().filter(|line| !line.is_empty()).collect()
    }
}

/// Columns that say whose a row is and when, and of what currency its money: lists of orders have them too.
const CONTEXT_COLUMNS: [&str; 5] = ["marketplace", "asin", "day", "observed_at", "currency"];

/// True for the columns that say something about the product; without one, a table is no flat table.
pub(super) fn is_fact(name: &str) -> bool {
    name != "condition" && !CONTEXT_COLUMNS.contains(&name) && COLUMNS.contains(&name)
}

/// True for the columns whose presence shows a flat table; other shapes share `asin`, `title` and `brand`.
pub(super) fn is_column(name: &str) -> bool {
    !matches!(name, "asin" | "title" | "brand" | "category" | "condition") && COLUMNS.contains(&name)
}

impl<'a> Facts<'a> {
    pub(super) fn of_row(row: &'a Row) -> Facts<'a> {
        let mut facts = Facts::default();
        for (name, cell) in row.cells() {
            facts.set(&folded(name), Scalar::of_cell(cell));
        }
        facts
    }
}

/// One row of facts.
pub(super) fn parse(context: &RecordContext, facts: &Facts<'_>) -> Parsed {
    let mut record = Record::new(context, 0);
    let marketplace = facts.marketplace.text().map(|text| ("marketplace", text));
    let claim = Claim { marketplace, asin: facts.asin.text(), ..Claim::default() };
    let Some(identity) = record.identify(&claim) else { return record.rejected() };
    let is_instant = |text: &str| parse_instant(text).is_some();
    word(&mut record, "observed_at", &facts.observed_at, |text| is_instant(text).then_some(()));
    word(&mut record, "day", &facts.day, |text| text.trim().parse::<Day>().ok());
    record.currency("currency", &facts.currency, identity.marketplace);

    let mut observation = identity.observation(true);
    observation.offer = offer(&mut record, facts);
    observation.rating.rating_centi = integer(&mut record, "rating_centi", &facts.rating_centi)
        .and_then(|centi| record.rating_centi("rating_centi", centi, &facts.rating_centi));
    observation.rating.ratings_count = bounded(&mut record, "ratings_count", &facts.ratings_count, MAX_MINOR);
    observation.monthly_sold_min =
        bounded(&mut record, "monthly_sold_min", &facts.monthly_sold_min, MAX_MINOR);
    observation.listing = listing(&mut record, facts);
    observation.rank.path_leaf = observation.listing.category_path.last().cloned();
    let root = observation.listing.category_path.first().cloned();
    observation.rank.ranks = ranks(&mut record, facts, identity.marketplace, root);
    record.observed(observation)
}

fn offer(record: &mut Record<'_>, facts: &Facts<'_>) -> OfferBlock {
    let price_minor = record.minor("price_minor", &facts.price_minor);
    let basis = word(record, "price_basis", &facts.price_basis, PriceBasis::from_word);
    let (availability, quantity) = match facts.availability.text() {
        Some(text) => Availability::from_word(text.trim())
            .map_or_else(|| parse_availability(text), |availability| (availability, None)),
        None => (Availability::Unknown, None),
    };
    OfferBlock {
        price_minor,
        price_basis: price_minor.map(|_| basis.unwrap_or(PriceBasis::Page)),
        list_price_minor: record.minor("list_price_minor", &facts.list_price_minor),
        buy_box_price_minor: record.minor("buy_box_price_minor", &facts.buy_box_price_minor),
        // Here 0 is known: it is free.
        shipping_minor: bounded(record, "shipping_minor", &facts.shipping_minor, MAX_MINOR),
        coupon_minor: record.minor("coupon_minor", &facts.coupon_minor),
        coupon_pct: bounded(record, "coupon_pct", &facts.coupon_pct, 100).filter(|&pct| pct > 0),
        is_deal: flag(record, "is_deal", &facts.is_deal),
        is_prime: flag(record, "is_prime", &facts.is_prime),
        seller_id: facts.seller_id.shown().map(|id| clean_text(&id).into_owned()),
        seller_name: cleaned(&facts.seller_name),
        fulfilment: word(record, "fulfilment", &facts.fulfilment, Fulfilment::from_word),
        condition: word(record, "condition", &facts.condition, Condition::from_word),
        offer_count: bounded(record, "offer_count", &facts.offer_count, MAX_MINOR),
        availability,
        stock_quantity: bounded(record, "stock_quantity", &facts.stock_quantity, MAX_MINOR).or(quantity),
    }
}

fn listing(record: &mut Record<'_>, facts: &Facts<'_>) -> Listing {
    Listing {
        title: cleaned(&facts.title),
        brand: facts.brand.text().and_then(clean_brand),
        category_path: category_path(split_path(facts.category.text().unwrap_or_default())),
        image_url: cleaned(&facts.image_url),
        parent_asin: word(record, "parent_asin", &facts.parent_asin, |text| text.parse::<Asin>().ok()),
        bullets: facts.bullets.lines(),
        images: Vec::new(),
        variants: Vec::new(),
    }
}

/// The main rank and one other. A rank whose category nobody names cannot be compared with anything, so it is left
/// out and noted; a main rank counts in the root of the category path.
fn ranks(
    record: &mut Record<'_>,
    facts: &Facts<'_>,
    marketplace: Marketplace,
    root: Option<String>,
) -> Vec<Rank> {
    let main = ("bsr", &facts.bsr, &facts.bsr_category, &facts.bsr_category_id, root);
    let leaf = ("bsr_leaf", &facts.bsr_leaf, &facts.bsr_leaf_category, &facts.bsr_leaf_category_id, None);
    let mut ranks = Vec::new();
    for (field, rank, category, category_id, default_category) in [main, leaf] {
        let Some(rank) = integer(record, field, rank) else { continue };
        let Some(category) = cleaned(category).or(default_category) else {
            record.note(field, format!("rank {rank} has no category"));
            continue;
        };
        let category_id = category_id.shown().map(|id| clean_text(&id).into_owned());
        ranks.push(Rank { category_id, category, rank, is_main: field == "bsr" });
    }
    let has_main = ranks.first().is_some_and(|rank| rank.is_main);
    let mut ranks = record.ranks("bsr", marketplace, ranks);
    // A table that names its main rank outright has no other.
    ranks.iter_mut().for_each(|rank| rank.is_main &= has_main);
    ranks
}

/// A column that holds a word of a closed list; any other word rejects the record.
fn word<T>(
    record: &mut Record<'_>,
    field: &str,
    value: &Scalar<'_>,
    read: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    if value.is_null() {
        return None;
    }
    let found = value.text().and_then(|text| read(text.trim()));
    if found.is_none() {
        return record.invalid(field, value);
    }
    found
}

fn flag(record: &mut Record<'_>, field: &str, value: &Scalar<'_>) -> Option<bool> {
    if value.is_null() {
        return None;
    }
    value.bool().or_else(|| record.invalid(field, value))
}

fn integer(record: &mut Record<'_>, field: &str, value: &Scalar<'_>) -> Option<i64> {
    if value.is_null() {
        return None;
    }
    value.integer().or_else(|| record.invalid(field, value))
}

/// A whole number from 0 to `max`.
fn bounded(record: &mut Record<'_>, field: &str, value: &Scalar<'_>, max: i64) -> Option<i64> {
    let number = integer(record, field, value)?;
    if (0..=max).contains(&number) { Some(number) } else { record.out_of_range(field, value) }
}
