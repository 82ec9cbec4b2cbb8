//! Product Pricing v0, competitive prices: the featured offer's price goes by the number 1, the used one's by 2.
//!
//! The same envelope brings one's own offers (`getPricing`): those say nothing of what the product costs, and are
//! only kept.

use serde::Deserialize;

use super::identify;
use super::payload::{Many, Money, SalesRanking, is_for_anyone, is_new, sales_rankings};
use crate::model::{Availability, Condition, Marketplace, OfferBlock, PriceBasis};
use crate::normalize::record::{Record, cleaned};
use crate::normalize::value::{List, Object, Scalar};
use crate::normalize::{Parsed, RecordContext, RejectReason, refuse};

/// The envelope, or one entry of it.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Entry<'a> {
    #[serde(borrow)]
    payload: Option<Many<'a, Entry<'a>>>,
    #[serde(borrow)]
    status: Scalar<'a>,
    #[serde(borrow, rename = "ASIN")]
    asin: Scalar<'a>,
    #[serde(borrow, rename = "Product")]
    product: Object<'a, Product<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Product<'a> {
    #[serde(borrow)]
    identifiers: Object<'a, Identifiers<'a>>,
    #[serde(borrow)]
    competitive_pricing: Object<'a, CompetitivePricing<'a>>,
    #[serde(borrow)]
    sales_rankings: List<Object<'a, SalesRanking<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Identifiers<'a> {
    #[serde(borrow, rename = "MarketplaceASIN")]
    marketplace_asin: Object<'a, MarketplaceAsin<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct MarketplaceAsin<'a> {
    #[serde(borrow, rename = "MarketplaceId")]
    marketplace_id: Scalar<'a>,
    #[serde(borrow, rename = "ASIN")]
    asin: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct CompetitivePricing<'a> {
    #[serde(borrow)]
    competitive_prices: Option<List<Object<'a, CompetitivePrice<'a>>>>,
    #[serde(borrow)]
    number_of_offer_listings: List<Object<'a, OfferListings<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CompetitivePrice<'a> {
    #[serde(borrow, rename = "CompetitivePriceId")]
    id: Scalar<'a>,
    #[serde(borrow)]
    condition: Scalar<'a>,
    #[serde(borrow, rename = "offerType")]
    offer_type: Scalar<'a>,
    #[serde(borrow, rename = "quantityTier")]
    quantity_tier: Scalar<'a>,
    #[serde(borrow, rename = "sellerId")]
    seller_id: Scalar<'a>,
    #[serde(borrow, rename = "Price")]
    price: Object<'a, Price<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Price<'a> {
    #[serde(borrow)]
    listing_price: Object<'a, Money<'a>>,
    #[serde(borrow)]
    shipping: Object<'a, Money<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OfferListings<'a> {
    #[serde(borrow)]
    condition: Scalar<'a>,
    #[serde(borrow, rename = "Count")]
    count: Scalar<'a>,
}

/// Each entry of the envelope, or the one there is.
pub(super) fn parse(context: &RecordContext, answer: &Entry<'_>) -> Parsed {
    let Some(entries) = &answer.payload else { return read(Record::new(context, 0), answer) };
    if entries.0.is_empty() {
        return refuse(context, RejectReason::NotAProduct, "payload", "the answer has no entries");
    }
    let mut parsed = Parsed::default();
    for (item, entry) in (0_u32..).zip(&entries.0) {
        parsed.add_item(context, item, None, read(Record::new(context, item), entry));
    }
    parsed
}

fn read(mut record: Record<'_>, entry: &Entry<'_>) -> Parsed {
    if let Some(status) = entry.status.text().filter(|status| *status != "Success") {
        record.reject(RejectReason::NotAProduct, "status", status);
        return record.rejected();
    }
    let Some(product) = &entry.product.object else {
        record.reject(RejectReason::NotAProduct, "Product", "the entry has no product");
        return record.rejected();
    };
    let Some(pricing) = &product.competitive_pricing.object else {
        return Parsed { kept: true, ..Parsed::default() };
    };
    let none = MarketplaceAsin::default();
    let identifiers = product.identifiers.object.as_ref();
    let named = identifiers.and_then(|all| all.marketplace_asin.object.as_ref()).unwrap_or(&none);
    let asin = if entry.asin.is_null() { &named.asin } else { &entry.asin };
    let Some(identity) = identify(&mut record, &named.marketplace_id, asin, &Scalar::Null) else {
        return record.rejected();
    };
    let mut observation = identity.observation(true);
    observation.offer = offer(&mut record, pricing, identity.marketplace);
    observation.rank.ranks = sales_rankings(&mut record, identity.marketplace, &product.sales_rankings.0);
    record.observed(observation)
}

fn offer(record: &mut Record<'_>, pricing: &CompetitivePricing<'_>, marketplace: Marketplace) -> OfferBlock {
    let listings = pricing.number_of_offer_listings.0.iter().filter_map(|entry| entry.object.as_ref());
    let new = listings.clone().find(|entry| is_new(&entry.condition));
    let mut block = OfferBlock {
        offer_count: new.and_then(|entry| record.count("NumberOfOfferListings", &entry.count)),
        ..OfferBlock::default()
    };
    let Some(prices) = &pricing.competitive_prices else { return block };
    let featured = prices.0.iter().filter_map(|price| price.object.as_ref()).find(|price| {
        price.id.shown().as_deref() == Some("1")
            && (price.condition.is_null() || is_new(&price.condition))
            && is_for_anyone(&price.offer_type, &price.quantity_tier)
    });
    let Some(featured) = featured else {
        block.availability = Availability::NoFeaturedOffer;
        return block;
    };
    let price = featured.price.object.as_ref();
    if let Some(money) = price.and_then(|price| price.listing_price.object.as_ref()) {
        block.price_minor = money.price(record, "ListingPrice", marketplace);
    }
    if let Some(money) = price.and_then(|price| price.shipping.object.as_ref()) {
        block.shipping_minor = money.shipping(record, "Shipping", marketplace);
    }
    block.buy_box_price_minor = block.price_minor;
    block.price_basis = block.price_minor.map(|_| PriceBasis::BuyBox);
    block.condition = Some(Condition::New);
    block.seller_id = cleaned(&featured.seller_id);
    block.availability = Availability::InStock;
    block
}
