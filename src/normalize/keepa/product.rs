//! A Keepa product as it is at its last update.
//!
//! `stats` says it best where it was asked for; else the last point of a series does.

use super::payload::{
    AMAZON, BUY_BOX, LIST_PRICE, NEW, NEW_OFFERS, Product, RATING, RATINGS_COUNT, SALES_RANK, Stats,
    minute_of,
};
use crate::model::text::{clean_brand, parse_availability};
use crate::model::{
    Asin, Availability, Condition, Fulfilment, Listing, Marketplace, OfferBlock, PriceBasis, Rank,
};
use crate::normalize::Parsed;
use crate::normalize::record::{Identity, Record, category_path, cleaned, cleaned_list, variants};
use crate::normalize::value::Scalar;

/// Where pictures lie.
const IMAGES: &str = "https://m.media-amazon.com/images/I/";
/// `productType` of what Keepa has no data of, and of what is no product.
const NO_DATA: i64 = 3;
const INVALID: i64 = 4;
/// A sub-category in which the rank did not change for 30 days is one that the product has left: Keepa writes no
/// last point there, and a rank that is alive moves within days.
const SUB_RANK_MINUTES: i64 = 30 * 24 * 60;

/// Who holds the buy box, for a new item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BuyBox {
    Unknown,
    Nobody,
    Held { price: i64, shipping: i64 },
}

impl Product<'_> {
    /// Keepa knows of no such product.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self.product_type.integer(), Some(NO_DATA | INVALID)) && self.title.is_null()
    }
}

pub(super) fn parse(mut record: Record<'_>, identity: Identity, product: &Product<'_>) -> Parsed {
    if product.is_missing() {
        return record.observed(identity.observation(false));
    }
    let mut observation = identity.observation(true);
    observation.offer = offer(&mut record, product);
    if let Some(tenths) = current(product, RATING).filter(|&tenths| !is_none(tenths)) {
        let centi = tenths.saturating_mul(10);
        observation.rating.rating_centi = record.rating_centi("csv.16", centi, &Scalar::Int(tenths));
    }
    if let Some(count) = current(product, RATINGS_COUNT).filter(|&count| !is_none(count)) {
        observation.rating.ratings_count = record.count("csv.17", &Scalar::Int(count));
    }
    if !product.monthly_sold.integer().is_some_and(is_none) {
        observation.monthly_sold_min = record.count("monthlySold", &product.monthly_sold);
    }
    observation.listing = listing(product, identity.asin);
    observation.rank.path_leaf = observation.listing.category_path.last().cloned();
    observation.rank.ranks = ranks(&mut record, product, identity.marketplace);
    record.observed(observation)
}

/// True for the numbers by which Keepa says that there is no value, or that none was asked for.
pub(super) fn is_none(value: i64) -> bool {
    matches!(value, -1 | -2)
}

/// The current value of a series of pairs; -1 is none, null is unknown.
fn current(product: &Product<'_>, number: usize) -> Option<i64> {
    let stats = product.stats.object.as_ref();
    let told = stats.and_then(|stats| stats.current.0.get(number)?.integer());
    told.filter(|&value| value != -2).or_else(|| product.series(number).last())
}

/// An amount that Keepa gives or says not to have.
fn amount(record: &mut Record<'_>, field: &str, value: i64) -> Option<i64> {
    if is_none(value) { None } else { record.minor(field, &Scalar::Int(value)) }
}

fn offer(record: &mut Record<'_>, product: &Product<'_>) -> OfferBlock {
    let none = Stats::default();
    let stats = product.stats.object.as_ref().unwrap_or(&none);
    let is_used = stats.buy_box_is_used.bool() == Some(true);
    let buy_box = buy_box(record, product, stats);
    let new = current(product, NEW);
    let amazon = current(product, AMAZON);

    let mut offer = OfferBlock::default();
    if let BuyBox::Held { price, shipping } = buy_box {
        offer.buy_box_price_minor = amount(record, "stats.buyBoxPrice", price);
        let known = Scalar::Int(shipping);
        offer.shipping_minor =
            if is_none(shipping) { None } else { record.count("stats.buyBoxShipping", &known) };
        offer.price_minor = offer.buy_box_price_minor;
        offer.price_basis = offer.price_minor.map(|_| PriceBasis::BuyBox);
        offer.fulfilment = match (stats.buy_box_is_amazon.bool(), stats.buy_box_is_fba.bool()) {
            (Some(true), _) => Some(Fulfilment::Amazon),
            (_, Some(true)) => Some(Fulfilment::Fba),
            (Some(false), Some(false)) => Some(Fulfilment::Fbm),
            _ => None,
        };
    } else if let Some(new) = new {
        offer.price_minor = amount(record, "csv.1", new);
        offer.price_basis = offer.price_minor.map(|_| PriceBasis::NewLowest);
    }
    offer.condition = offer.price_minor.map(|_| Condition::New);
    if let Some(list_price) = current(product, LIST_PRICE) {
        offer.list_price_minor = amount(record, "csv.4", list_price);
    }
    if buy_box != BuyBox::Nobody {
        offer.seller_id = seller_id(product, stats);
    }
    offer.offer_count = offer_count(record, product, stats);
    (offer.coupon_minor, offer.coupon_pct) = coupon(record, product);

    let is_amazons = match buy_box {
        BuyBox::Held { .. } => stats.buy_box_is_amazon.bool() == Some(true),
        _ => amazon.is_some_and(|amazon| amazon >= 0 && new == Some(amazon)),
    };
    let word = if is_used && !is_offered(new) {
        Availability::UsedOnly
    } else if stats.buy_box_is_map.bool() == Some(true) && offer.price_minor.is_none() {
        Availability::PriceHidden
    } else {
        availability(buy_box, amazon, new)
    };
    (offer.availability, offer.stock_quantity) = if word == Availability::InStock {
        refined(stats, product.availability_amazon.integer().filter(|_| is_amazons))
    } else {
        (word, None)
    };
    let stock = stats.stock_buy_box.integer().filter(|&stock| !is_none(stock));
    if let Some(stock) = stock {
        offer.stock_quantity = record.count("stats.stockBuyBox", &Scalar::Int(stock));
    }
    offer
}

/// `stats` knows of the buy box where it was asked for, also that nobody has it; else its series does.
fn buy_box(record: &mut Record<'_>, product: &Product<'_>, stats: &Stats<'_>) -> BuyBox {
    let nobody = [&stats.buy_box_is_used, &stats.buy_box_is_unqualified];
    let is_nobodys = nobody.iter().any(|flag| flag.bool() == Some(true));
    if stats.buy_box_price.integer().is_none() && !stats.buy_box_price.is_null() {
        record.invalid::<()>("stats.buyBoxPrice", &stats.buy_box_price);
    }
    match stats.buy_box_price.integer().filter(|&price| price != -2) {
        _ if is_nobodys => BuyBox::Nobody,
        Some(-1) => BuyBox::Nobody,
        Some(price) => BuyBox::Held { price, shipping: stats.buy_box_shipping.integer().unwrap_or(-1) },
        None => in_series(product.series(BUY_BOX).points::<3>().last()),
    }
}

/// The buy box of a point `t, price, shipping`.
pub(super) fn in_series(point: Option<&[i64; 3]>) -> BuyBox {
    match point {
        None => BuyBox::Unknown,
        Some([_, price, _]) if is_none(*price) => BuyBox::Nobody,
        Some([_, price, shipping]) => BuyBox::Held { price: *price, shipping: *shipping },
    }
}

fn is_offered(price: Option<i64>) -> bool {
    price.is_some_and(|price| price >= 0)
}

/// What the prices say of stock: out where no new offer is left of anybody's.
pub(super) fn availability(buy_box: BuyBox, amazon: Option<i64>, new: Option<i64>) -> Availability {
    let somebody = is_offered(amazon) || is_offered(new);
    match buy_box {
        BuyBox::Held { .. } => Availability::InStock,
        BuyBox::Nobody if somebody => Availability::NoFeaturedOffer,
        BuyBox::Unknown if somebody => Availability::InStock,
        _ if new.is_some_and(is_none) => Availability::OutOfStock,
        BuyBox::Nobody => Availability::NoFeaturedOffer,
        BuyBox::Unknown => Availability::Unknown,
    }
}

/// What an offer in stock is more exactly; `amazon` is Amazon's own word where the offer is Amazon's.
fn refined(stats: &Stats<'_>, amazon: Option<i64>) -> (Availability, Option<i64>) {
    if stats.buy_box_is_preorder.bool() == Some(true) {
        return (Availability::PreOrder, None);
    }
    if stats.buy_box_is_backorder.bool() == Some(true) {
        return (Availability::BackOrder, None);
    }
    match amazon {
        Some(1) => return (Availability::PreOrder, None),
        Some(3) => return (Availability::BackOrder, None),
        Some(4) => return (Availability::ShipsLater, None),
        _ => {}
    }
    let (said, quantity) =
        stats.buy_box_availability_message.text().map_or_else(Default::default, parse_availability);
    match said {
        Availability::LowStock
        | Availability::ShipsLater
        | Availability::BackOrder
        | Availability::PreOrder => (said, quantity),
        _ => (Availability::InStock, None),
    }
}

/// The holder's id; "-1" is nobody, "-2" unknown.
fn seller_id(product: &Product<'_>, stats: &Stats<'_>) -> Option<String> {
    let last = product.buy_box_seller_id_history.0.as_chunks::<2>().0.last().map(|[_, id]| id);
    [Some(&stats.buy_box_seller_id), last].into_iter().flatten().find_map(seller)
}

/// A seller's id, unless it says that there is none.
pub(super) fn seller(id: &Scalar<'_>) -> Option<String> {
    cleaned(id).filter(|id| !id.starts_with('-'))
}

/// New offers; where they were not counted, all.
fn offer_count(record: &mut Record<'_>, product: &Product<'_>, stats: &Stats<'_>) -> Option<i64> {
    let count = current(product, NEW_OFFERS).or_else(|| stats.total_offer_count.integer());
    count.filter(|&count| !is_none(count)).and_then(|count| record.count("csv.11", &Scalar::Int(count)))
}

/// The coupon of a single order, as an amount or in percent.
fn coupon(record: &mut Record<'_>, product: &Product<'_>) -> (Option<i64>, Option<i64>) {
    let Some(coupon) = product.coupon.0.first() else { return (None, None) };
    match coupon.integer() {
        Some(minor) if minor > 0 => (record.minor("coupon", coupon), None),
        Some(pct @ -100..=-1) => (None, Some(-pct)),
        Some(0) => (None, None),
        Some(_) => (record.out_of_range("coupon", coupon), None),
        None if coupon.is_null() => (None, None),
        None => (record.invalid("coupon", coupon), None),
    }
}

fn listing(product: &Product<'_>, asin: Asin) -> Listing {
    let names = product.category_tree.0.iter().filter_map(|category| category.object.as_ref()?.name.text());
    let pictures = product.images.0.iter().filter_map(|image| image.object.as_ref());
    let mut images: Vec<String> =
        pictures.filter_map(|image| image.l.text().or(image.m.text())).map(address).collect();
    if images.is_empty() {
        images = split(&product.images_csv).map(address).collect();
    }
    let listed = product.variations.0.iter().filter_map(|one| one.object.as_ref()?.asin.text());
    Listing {
        title: cleaned(&product.title),
        brand: product.brand.text().or(product.manufacturer.text()).and_then(clean_brand),
        category_path: category_path(names),
        image_url: images.first().cloned(),
        parent_asin: product.parent_asin.text().and_then(|text| text.parse().ok()),
        bullets: cleaned_list(&product.features.0),
        images,
        variants: variants(asin, listed.chain(split(&product.variation_csv))),
    }
}

fn address(name: &str) -> String {
    format!("{IMAGES}{name}")
}

fn split<'v>(csv: &'v Scalar<'_>) -> impl Iterator<Item = &'v str> {
    csv.text().unwrap_or_default().split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// The rank that `csv` counts in its reference category, and those of the other categories that are still alive.
fn ranks(record: &mut Record<'_>, product: &Product<'_>, marketplace: Marketplace) -> Vec<Rank> {
    let reference = product.sales_rank_reference.integer().filter(|&id| id > 0);
    let mut ranks = Vec::new();
    match (current(product, SALES_RANK).filter(|&rank| !is_none(rank)), reference) {
        (Some(rank), Some(id)) => ranks.push(rank_in(product, id, rank, true)),
        (Some(rank), None) => record.note("csv.3", format!("rank {rank} has no category")),
        (None, _) => {}
    }
    let alive_since = product.updated_at().map(|at| minute_of(at) - SUB_RANK_MINUTES);
    for (id, series) in &product.sales_ranks.0 {
        let Some(&[at, rank]) = series.points::<2>().last() else { continue };
        let is_alive = alive_since.is_none_or(|since| at >= since);
        if Some(*id) != reference && !is_none(rank) && is_alive {
            ranks.push(rank_in(product, *id, rank, false));
        }
    }
    record.ranks("salesRanks", marketplace, ranks)
}

/// A category that is not in the tree goes by its number.
pub(super) fn rank_in(product: &Product<'_>, category_id: i64, rank: i64, is_main: bool) -> Rank {
    let id = category_id.to_string();
    let name = product.category_name(category_id).unwrap_or(&id);
    let category = crate::model::text::clean_text(name).into_owned();
    Rank { category_id: Some(id), category, rank, is_main }
}
