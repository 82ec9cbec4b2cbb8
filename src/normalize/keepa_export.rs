//! A Keepa product export: one row per product, columns as Keepa's site names them, chosen by its user.
//!
//! Amounts are major units with a point, without a currency: the operator names the marketplace.

use std::collections::HashMap;

use super::axesso::domain_marketplace;
use super::junglee::split_path;
use super::record::{Claim, Record, category_path, variants};
use super::table::{Row, folded};
use super::value::Scalar;
use super::{Parsed, RecordContext};
use crate::model::text::{clean_brand, clean_text, parse_count};
use crate::model::{Asin, Availability, Fulfilment, Listing, Marketplace, OfferBlock, PriceBasis, Rank};

/// The cells of one row by folded column name, without the empty ones.
struct Columns<'r>(HashMap<String, &'r str>);

impl<'r> Columns<'r> {
    fn get(&self, name: &str) -> Option<&'r str> {
        self.0.get(name).copied()
    }

    /// A cleaned text.
    fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(|text| clean_text(text).into_owned()).filter(|text| !text.is_empty())
    }

    /// The number that a cell begins with. A spreadsheet may have left a format tag or a currency behind it: that
    /// is noted, and what has no number at all rejects the record.
    fn number(&self, record: &mut Record<'_>, name: &str) -> Option<String> {
        let cell = self.get(name)?.trim();
        let end = cell.find(|c: char| !matches!(c, '0'..='9' | ',' | '.' | '-')).unwrap_or(cell.len());
        let (number, rest) = cell.split_at(end);
        if !number.contains(|c: char| c.is_ascii_digit()) {
            return record.invalid(name, &Scalar::of_cell(cell));
        }
        if !rest.trim().is_empty() {
            record.note(name, format!("text after the number: {cell}"));
        }
        // Commas only group.
        Some(number.replace(',', ""))
    }

    fn money(&self, record: &mut Record<'_>, name: &str, marketplace: Marketplace) -> Option<i64> {
        let number = self.number(record, name)?;
        match marketplace.currency().minor_from_decimal(&number) {
            Some(minor) => record.minor(name, &Scalar::Int(minor)),
            None => record.invalid(name, &Scalar::of_cell(&number)),
        }
    }

    fn count(&self, record: &mut Record<'_>, name: &str) -> Option<i64> {
        let number = self.number(record, name)?;
        record.count(name, &Scalar::of_cell(&number))
    }
}

/// True for a column that only an export has: `buy box: current`, or `buy_box_current` as programs rewrite it.
pub(super) fn is_current(name: &str) -> bool {
    name.ends_with(": current") || name.ends_with("_current")
}

/// A column's name as Keepa writes it, folded.
fn column_name(name: &str) -> String {
    let name = folded(name);
    match name.as_str() {
        "rating" => "reviews: rating".to_owned(),
        "categories" => "categories: tree".to_owned(),
        "marketplace" => "locale".to_owned(),
        _ => match name.strip_suffix("_current") {
            Some(stem) => format!("{}: current", stem.replace('_', " ")),
            None => name,
        },
    }
}

/// The marketplace of the `Locale` column: the end of a domain (`com`, `co.uk`) or a code.
pub(super) fn locale_marketplace(text: &str) -> Option<Marketplace> {
    domain_marketplace(text).or_else(|| text.parse().ok())
}

/// One exported product.
pub(super) fn parse(context: &RecordContext, row: &Row) -> Parsed {
    let cells = row.cells().filter(|(_, cell)| !cell.trim().is_empty());
    let columns = Columns(cells.map(|(name, cell)| (column_name(name), cell)).collect());
    let mut record = Record::new(context, 0);
    let locale = columns.get("locale");
    let named = locale.map(|text| locale_marketplace(text).map_or(text, |marketplace| marketplace.code()));
    let claim = Claim {
        marketplace: named.map(|marketplace| ("locale", marketplace)),
        asin: columns.get("asin"),
        ..Claim::default()
    };
    let Some(identity) = record.identify(&claim) else { return record.rejected() };
    let mut observation = identity.observation(true);
    observation.offer = offer(&mut record, &columns, identity.marketplace);
    if let Some(rating) = columns.number(&mut record, "reviews: rating") {
        observation.rating.rating_centi = record.rating("reviews: rating", &Scalar::of_cell(&rating));
    }
    observation.rating.ratings_count = columns
        .count(&mut record, "reviews: rating count")
        .or_else(|| columns.count(&mut record, "reviews: review count"));
    observation.monthly_sold_min = columns.get("bought in past month").and_then(parse_count);
    observation.listing = listing(&columns, identity.asin);
    let path = &observation.listing.category_path;
    observation.rank.path_leaf = path.last().cloned();
    let category = columns.text("website display group: name").or_else(|| path.first().cloned());
    observation.rank.ranks = ranks(&mut record, &columns, identity.marketplace, category);
    record.observed(observation)
}

/// The buy box where it is known, else the lowest new offer; `price_basis` says which.
fn offer(record: &mut Record<'_>, columns: &Columns<'_>, marketplace: Marketplace) -> OfferBlock {
    let buy_box = columns.money(record, "buy box: current", marketplace);
    let new = columns.money(record, "new: current", marketplace);
    let amazon = columns.money(record, "amazon: current", marketplace);
    let stock_quantity = columns.count(record, "buy box: stock");
    let price_minor = buy_box.or(new);
    let is_amazon = buy_box.is_some() && buy_box == amazon;
    let is_offered = price_minor.is_some() || stock_quantity.is_some_and(|stock| stock > 0);
    OfferBlock {
        price_minor,
        price_basis: match (buy_box, new) {
            (Some(_), _) => Some(PriceBasis::BuyBox),
            (None, Some(_)) => Some(PriceBasis::NewLowest),
            (None, None) => None,
        },
        list_price_minor: columns.money(record, "list price: current", marketplace),
        buy_box_price_minor: buy_box,
        seller_name: is_amazon.then(|| "Amazon".to_owned()),
        fulfilment: is_amazon.then_some(Fulfilment::Amazon),
        // An empty price may be unknown as well as gone: it is never read as "unavailable".
        availability: if is_offered { Availability::InStock } else { Availability::Unknown },
        stock_quantity,
        ..OfferBlock::default()
    }
}

fn listing(columns: &Columns<'_>, asin: Asin) -> Listing {
    let split = |name: &str, mark: char| -> Vec<String> {
        let cell = columns.get(name).unwrap_or_default();
        cell.split(mark).map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
    };
    let images = split("image", ';');
    Listing {
        title: columns.text("title"),
        brand: columns.get("brand").and_then(clean_brand),
        category_path: category_path(split_path(columns.get("categories: tree").unwrap_or_default())),
        image_url: images.first().cloned(),
        parent_asin: columns.get("parent asin").and_then(|text| text.parse().ok()),
        bullets: Vec::new(),
        images,
        variants: variants(asin, split("variation asins", ',').iter().map(String::as_str)),
    }
}

/// The export's one rank is the main one. Its category is the display group, else the root of the tree.
fn ranks(
    record: &mut Record<'_>,
    columns: &Columns<'_>,
    marketplace: Marketplace,
    category: Option<String>,
) -> Vec<Rank> {
    const FIELD: &str = "sales rank: current";
    let Some(rank) = columns.count(record, FIELD) else { return Vec::new() };
    let Some(category) = category else {
        record.note(FIELD, format!("rank {rank} has no category"));
        return Vec::new();
    };
    record.ranks(FIELD, marketplace, vec![Rank { category_id: None, category, rank, is_main: true }])
}
