//! The shape of the junglee product scrapers on Apify, and Apify's flattened CSV of any actor.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::axesso::{RankEntry, rank_array};
use super::record::{
    Claim, MAX_DEPTH, Record, category_path, cleaned, cleaned_list, is_amazon, url_asin, variants,
};
use super::table::Row;
use super::value::{List, Object, Scalar};
use super::{Parsed, RecordContext, RejectReason};
use crate::model::text::{Coupon, clean_brand, is_brand_label, parse_availability, parse_coupon};
use crate::model::{Asin, Availability, Fulfilment, Listing, Marketplace, OfferBlock, PriceBasis};

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Product<'a> {
    #[serde(borrow)]
    asin: Scalar<'a>,
    #[serde(borrow)]
    original_asin: Scalar<'a>,
    #[serde(borrow)]
    url: Scalar<'a>,
    #[serde(borrow)]
    un_normalized_product_url: Scalar<'a>,
    #[serde(borrow)]
    error: Scalar<'a>,
    #[serde(borrow)]
    title: Scalar<'a>,
    #[serde(borrow)]
    brand: Scalar<'a>,
    #[serde(borrow)]
    price: Object<'a, Price<'a>>,
    #[serde(borrow)]
    list_price: Object<'a, Price<'a>>,
    #[serde(borrow)]
    shipping_price: Object<'a, Price<'a>>,
    #[serde(borrow)]
    sale_summary: Scalar<'a>,
    #[serde(borrow)]
    in_stock: Scalar<'a>,
    #[serde(borrow)]
    in_stock_text: Scalar<'a>,
    #[serde(borrow)]
    stars: Scalar<'a>,
    #[serde(borrow)]
    reviews_count: Scalar<'a>,
    #[serde(borrow)]
    monthly_purchase_volume: Scalar<'a>,
    #[serde(borrow)]
    bread_crumbs: Scalar<'a>,
    #[serde(borrow)]
    bestseller_ranks: List<Object<'a, RankEntry<'a>>>,
    #[serde(borrow)]
    thumbnail_image: Scalar<'a>,
    #[serde(borrow)]
    high_resolution_images: List<Scalar<'a>>,
    #[serde(borrow)]
    features: List<Scalar<'a>>,
    #[serde(borrow)]
    variant_asins: List<Scalar<'a>>,
    #[serde(borrow)]
    product_overview: List<Object<'a, Attribute<'a>>>,
    #[serde(borrow)]
    seller: Object<'a, Seller<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Attribute<'a> {
    #[serde(borrow)]
    key: Scalar<'a>,
    #[serde(borrow)]
    value: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Price<'a> {
    #[serde(borrow)]
    value: Scalar<'a>,
    #[serde(borrow)]
    currency: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Seller<'a> {
    #[serde(borrow)]
    name: Scalar<'a>,
    #[serde(borrow)]
    id: Scalar<'a>,
    #[serde(borrow)]
    url: Scalar<'a>,
}

/// One product page.
pub(super) fn parse_product(context: &RecordContext, product: &Product<'_>) -> Parsed {
    let mut record = Record::new(context, 0);
    if !product.error.is_null() {
        let error = product.error.shown().unwrap_or_default();
        record.reject(RejectReason::NotAProduct, "error", error);
        return record.rejected();
    }
    let original = product.original_asin.text().and_then(|text| text.parse().ok());
    let claim = Claim {
        url: product.url.text(),
        asin: product.asin.text(),
        asin_requested: original.or_else(|| product.un_normalized_product_url.text().and_then(url_asin)),
        ..Claim::default()
    };
    let Some(identity) = record.identify(&claim) else { return record.rejected() };
    let mut observation = identity.observation(true);
    observation.offer = offer(&mut record, product, identity.marketplace);
    observation.rating.rating_centi = record.rating("stars", &product.stars);
    observation.rating.ratings_count = record.count("reviewsCount", &product.reviews_count);
    observation.monthly_sold_min = record.count("monthlyPurchaseVolume", &product.monthly_purchase_volume);
    observation.listing = listing(product, identity.asin);
    observation.rank.path_leaf = observation.listing.category_path.last().cloned();
    observation.rank.ranks =
        rank_array(&mut record, "bestsellerRanks", identity.marketplace, &product.bestseller_ranks.0);
    record.observed(observation)
}

fn offer(record: &mut Record<'_>, product: &Product<'_>, marketplace: Marketplace) -> OfferBlock {
    let price_minor = price(record, "price", &product.price, marketplace);
    let coupon = product.sale_summary.text().and_then(|text| parse_coupon(text, marketplace.currency()));
    let (availability, stock_quantity) = match product.in_stock_text.text() {
        Some(text) => parse_availability(text),
        // The flag is a hint: `false` stands beside "In Stock" in most rows, so only `true` says something.
        None if product.in_stock.bool() == Some(true) => (Availability::InStock, None),
        None => (Availability::Unknown, None),
    };
    let seller = product.seller.object.as_ref();
    let seller_name = seller.and_then(|seller| cleaned(&seller.name));
    OfferBlock {
        price_minor,
        price_basis: price_minor.map(|_| PriceBasis::Page),
        list_price_minor: price(record, "listPrice", &product.list_price, marketplace),
        shipping_minor: price(record, "shippingPrice", &product.shipping_price, marketplace),
        coupon_minor: coupon.and_then(|coupon| match coupon {
            Coupon::Minor(minor) => Some(minor),
            Coupon::Percent(_) => None,
        }),
        coupon_pct: coupon.and_then(|coupon| match coupon {
            Coupon::Percent(pct) => Some(pct),
            Coupon::Minor(_) => None,
        }),
        seller_id: seller.and_then(|seller| cleaned(&seller.id)),
        fulfilment: fulfilment(seller_name.as_deref(), seller.and_then(|seller| seller.url.text())),
        seller_name,
        availability,
        stock_quantity,
        ..OfferBlock::default()
    }
}

/// A price object or bare amount. The symbol is only a check: `$` is also Canada's, so the domain decides.
fn price(
    record: &mut Record<'_>,
    field: &str,
    price: &Object<'_, Price<'_>>,
    marketplace: Marketplace,
) -> Option<i64> {
    let Some(object) = &price.object else { return record.money(field, &price.scalar, marketplace) };
    if object.value.is_null() {
        return None;
    }
    record.currency(field, &object.currency, marketplace);
    record.money(field, &object.value, marketplace)
}

/// The link to the seller says who ships.
fn fulfilment(seller: Option<&str>, seller_url: Option<&str>) -> Option<Fulfilment> {
    if seller.is_some_and(is_amazon) {
        return Some(Fulfilment::Amazon);
    }
    let url = seller_url?;
    if url.contains("isAmazonFulfilled=1") {
        Some(Fulfilment::Fba)
    } else {
        url.contains("isAmazonFulfilled=0").then_some(Fulfilment::Fbm)
    }
}

fn listing(product: &Product<'_>, asin: Asin) -> Listing {
    let images = cleaned_list(&product.high_resolution_images.0);
    let path = product.bread_crumbs.text().unwrap_or_default();
    let attributes = product.product_overview.0.iter().filter_map(|entry| entry.object.as_ref());
    let brand_attribute = attributes
        .filter(|attribute| attribute.key.text().is_some_and(is_brand_label))
        .find_map(|attribute| attribute.value.text());
    Listing {
        title: cleaned(&product.title),
        brand: product.brand.text().or(brand_attribute).and_then(clean_brand),
        category_path: category_path(split_path(path)),
        image_url: images.first().cloned().or_else(|| cleaned(&product.thumbnail_image)),
        parent_asin: None,
        bullets: cleaned_list(&product.features.0),
        images,
        variants: variants(asin, product.variant_asins.0.iter().filter_map(Scalar::text)),
    }
}

/// The names of a category path that is written in one text.
pub(super) fn split_path(path: &str) -> impl Iterator<Item = &str> {
    path.split('›').flat_map(|part| part.split(" > "))
}

/// A tree of slash paths on its way back to JSON.
#[derive(Default)]
struct Node {
    cell: Option<String>,
    children: BTreeMap<String, Node>,
}

/// Folds `price/value`, `features/0` back into the JSON they were flattened from. Empty cells are absent keys; of
/// a bare `price` and a `price/value` the object wins. Null when a path is deeper than [`MAX_DEPTH`].
pub(super) fn unflatten(row: &Row) -> Option<Value> {
    let mut root = Node::default();
    for (name, cell) in row.cells().filter(|(_, cell)| !cell.trim().is_empty()) {
        let mut node = &mut root;
        for (depth, key) in name.split('/').enumerate() {
            if depth >= MAX_DEPTH {
                return None;
            }
            node = node.children.entry(key.to_owned()).or_default();
        }
        node.cell = Some(cell.to_owned());
    }
    Some(root.into_json())
}

impl Node {
    fn into_json(self) -> Value {
        if self.children.is_empty() {
            return self.cell.map_or(Value::Null, Value::String);
        }
        let position = |key: &String| key.parse::<u64>().ok();
        if self.children.keys().all(|key| position(key).is_some()) {
            let mut items: Vec<_> = self.children.into_iter().collect();
            items.sort_by_key(|(key, _)| position(key));
            return Value::Array(items.into_iter().map(|(_, node)| node.into_json()).collect());
        }
        Value::Object(self.children.into_iter().map(|(key, node)| (key, node.into_json())).collect())
    }
}
