//! One row of the documented flat table, as CSV cells or as a JSON object, and what reading that row must give.

use serde_json::Value;

use super::expected::{self, Expected};
use super::fact::{Coupon, Fact, Garbage, Profile, Showing};
use crate::model::{
    Condition, Listing, Observation, OfferBlock, PriceBasis, Rank, RankBlock, RatingBlock, Timestamp,
};

/// The columns, in the order of the CSV header.
pub(super) const COLUMNS: [&str; 33] = [
    "marketplace",
    "asin",
    "observed_at",
    "currency",
    "title",
    "brand",
    "category",
    "image_url",
    "price_minor",
    "list_price_minor",
    "buy_box_price_minor",
    "shipping_minor",
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
    "stock_quantity",
    "bsr",
    "bsr_category",
    "bsr_category_id",
    "bsr_leaf",
    "bsr_leaf_category",
    "bsr_leaf_category_id",
    "rating_centi",
    "ratings_count",
    "monthly_sold_min",
];

/// One cell; `Null` is an empty cell in CSV.
enum Cell {
    Null,
    Text(String),
    Number(i64),
    Truth(bool),
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Cell {
        value.map_or(Cell::Null, Into::into)
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Cell {
        Cell::Number(number)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }
}

/// The row's cells as CSV writes them; null for a product that is not found, which has no row.
pub(super) fn render_csv(profile: &Profile, fact: &Fact, at: Timestamp) -> Option<Vec<String>> {
    let cells = cells(profile, fact, at)?;
    let text = |cell| match cell {
        Cell::Null => String::new(),
        Cell::Text(text) => text,
        Cell::Number(number) => number.to_string(),
        Cell::Truth(truth) => truth.to_string(),
    };
    Some(cells.into_iter().map(text).collect())
}

/// The row as a JSON object in the columns' order, in which unknown values are null.
pub(super) fn render_json(profile: &Profile, fact: &Fact, at: Timestamp) -> Option<String> {
    let value = |cell| match cell {
        Cell::Null => Value::Null,
        Cell::Text(text) => Value::from(text),
        Cell::Number(number) => Value::from(number),
        Cell::Truth(truth) => Value::from(truth),
    };
    let cells = cells(profile, fact, at)?.into_iter();
    let fields: Vec<String> =
        COLUMNS.iter().zip(cells).map(|(name, cell)| format!("\"{name}\":{}", value(cell))).collect();
    Some(format!("{{{}}}", fields.join(",")))
}

fn cells(profile: &Profile, fact: &Fact, at: Timestamp) -> Option<Vec<Cell>> {
    let mut row = vec![
        profile.key.marketplace.code().into(),
        profile.key.asin.as_str().into(),
        at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true).into(),
    ];
    match fact.showing {
        Showing::NotFound => return None,
        Showing::Hollow => row.extend((row.len()..COLUMNS.len()).map(|_| Cell::Null)),
        Showing::Full => row.extend(full(profile, fact)),
    }
    Some(row)
}

fn full(profile: &Profile, fact: &Fact) -> Vec<Cell> {
    let (offer, listing) = (offer(fact), listing(profile, fact));
    let seven = fact.garbage == Some(Garbage::SevenStars);
    let rating_centi = if seven { Some(700) } else { fact.rating_centi() };
    let [main, leaf] = two_ranks(profile, fact);
    let rank_cells = |rank: Option<Rank>| -> [Cell; 3] {
        match rank {
            Some(rank) => [rank.rank.into(), rank.category.into(), rank.category_id.into()],
            None => [Cell::Null, Cell::Null, Cell::Null],
        }
    };
    let mut cells: Vec<Cell> = vec![
        profile.key.marketplace.currency().code().into(),
        listing.title.into(),
        listing.brand.into(),
        listing.category_path.join(" > ").into(),
        listing.image_url.into(),
        offer.price_minor.into(),
        offer.list_price_minor.into(),
        offer.buy_box_price_minor.into(),
        offer.shipping_minor.into(),
        offer.price_basis.map(PriceBasis::as_str).into(),
        offer.coupon_minor.into(),
        offer.coupon_pct.into(),
        Cell::Truth(fact.is_deal),
        Cell::Truth(fact.is_prime),
        offer.seller_id.into(),
        offer.seller_name.into(),
        offer.fulfilment.map(|fulfilment| fulfilment.as_str()).into(),
        offer.condition.map(Condition::as_str).into(),
        offer.offer_count.into(),
        offer.availability.as_str().into(),
        offer.stock_quantity.into(),
    ];
    cells.extend(rank_cells(main));
    cells.extend(rank_cells(leaf));
    cells.extend([rating_centi.into(), fact.ratings_count.into(), fact.monthly_sold_min.into()]);
    cells
}

/// The two ranks that the table has room for: the main one and the one of the path's leaf.
fn two_ranks(profile: &Profile, fact: &Fact) -> [Option<Rank>; 2] {
    let named = |rank: &super::fact::FactRank, is_main| Rank {
        category_id: Some(rank.node.id.to_owned()),
        category: rank.node.name(fact.language).to_owned(),
        rank: rank.rank,
        is_main,
    };
    let leaf = fact.leaf_rank(profile).map(|rank| named(rank, false));
    [fact.main_rank.as_ref().map(|rank| named(rank, true)), leaf]
}

fn offer(fact: &Fact) -> OfferBlock {
    let offered = fact.price_minor.is_some();
    OfferBlock {
        price_minor: fact.shown_price_minor(),
        price_basis: offered.then_some(PriceBasis::BuyBox),
        list_price_minor: fact.list_price_minor,
        buy_box_price_minor: fact.shown_price_minor(),
        shipping_minor: fact.shipping_minor,
        coupon_minor: fact.coupon.and_then(Coupon::minor),
        coupon_pct: fact.coupon.and_then(Coupon::percent),
        is_deal: Some(fact.is_deal),
        is_prime: Some(fact.is_prime),
        seller_id: fact.seller.as_ref().and_then(|seller| seller.id.clone()),
        seller_name: fact.seller.as_ref().map(|seller| seller.name.clone()),
        fulfilment: fact.seller.as_ref().map(|seller| seller.fulfilment),
        condition: offered.then_some(Condition::New),
        offer_count: Some(fact.offer_count),
        availability: fact.availability,
        stock_quantity: fact.stock_quantity,
    }
}

fn listing(profile: &Profile, fact: &Fact) -> Listing {
    Listing {
        title: Some(profile.title(fact.title_revision)),
        brand: Some(profile.brand.clone()),
        category_path: fact.path(profile).iter().map(|n| n.name(fact.language).to_owned()).collect(),
        image_url: profile.images().first().cloned(),
        ..Listing::default()
    }
}

/// What reading the row gives; null where there is no row.
pub(super) fn expected(profile: &Profile, fact: &Fact) -> Option<Expected> {
    let observation = match fact.showing {
        Showing::NotFound => return None,
        Showing::Hollow => expected::empty(profile),
        Showing::Full if fact.garbage == Some(Garbage::SevenStars) => {
            return Some(Expected::Rejected { reason: "out_of_range", field: "rating_centi" });
        }
        Showing::Full => Observation {
            offer: offer(fact),
            rank: RankBlock {
                ranks: two_ranks(profile, fact).into_iter().flatten().collect(),
                path_leaf: fact.path(profile).last().map(|node| node.name(fact.language).to_owned()),
            },
            rating: RatingBlock {
                rating_centi: fact.rating_centi(),
                ratings_count: Some(fact.ratings_count),
            },
            monthly_sold_min: fact.monthly_sold_min,
            listing: listing(profile, fact),
            ..expected::empty(profile)
        },
    };
    Some(Expected::Observed(Box::new(observation)))
}
