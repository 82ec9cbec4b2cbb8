//! Product Pricing v0, offers of an item: who has the featured offer for a new one, at what price.

use serde::Deserialize;

use super::payload::{Money, Reply, Request, SalesRanking, is_for_anyone, is_new, sales_rankings};
use super::{each_answer, identify};
use crate::model::{Availability, Condition, Fulfilment, Marketplace, OfferBlock, PriceBasis};
use crate::normalize::record::{Record, cleaned};
use crate::normalize::retail::is_amazon_seller;
use crate::normalize::value::{List, Object, Scalar};
use crate::normalize::{Parsed, RecordContext, RejectReason};

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Payload<'a> {
    #[serde(borrow, rename = "ASIN")]
    asin: Scalar<'a>,
    #[serde(borrow, rename = "marketplaceId", alias = "MarketplaceID", alias = "MarketplaceId")]
    marketplace_id: Scalar<'a>,
    #[serde(borrow, rename = "ItemCondition")]
    item_condition: Scalar<'a>,
    #[serde(borrow)]
    status: Scalar<'a>,
    #[serde(borrow, rename = "Identifier")]
    identifier: Object<'a, Identifier<'a>>,
    #[serde(borrow, rename = "Summary")]
    summary: Object<'a, Summary<'a>>,
    #[serde(borrow, rename = "Offers")]
    offers: List<Object<'a, Offer<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Identifier<'a> {
    #[serde(borrow, rename = "ASIN")]
    asin: Scalar<'a>,
    #[serde(borrow, rename = "MarketplaceId")]
    marketplace_id: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Summary<'a> {
    #[serde(borrow)]
    total_offer_count: Scalar<'a>,
    #[serde(borrow)]
    number_of_offers: List<Object<'a, OfferCount<'a>>>,
    #[serde(borrow)]
    buy_box_prices: List<Object<'a, BuyBoxPrice<'a>>>,
    #[serde(borrow)]
    list_price: Object<'a, Money<'a>>,
    #[serde(borrow)]
    sales_rankings: List<Object<'a, SalesRanking<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OfferCount<'a> {
    #[serde(borrow)]
    condition: Scalar<'a>,
    #[serde(borrow, rename = "OfferCount")]
    count: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct BuyBoxPrice<'a> {
    #[serde(borrow)]
    condition: Scalar<'a>,
    #[serde(borrow, rename = "offerType")]
    offer_type: Scalar<'a>,
    #[serde(borrow, rename = "quantityTier")]
    quantity_tier: Scalar<'a>,
    #[serde(borrow, rename = "ListingPrice")]
    listing_price: Object<'a, Money<'a>>,
    #[serde(borrow, rename = "Shipping")]
    shipping: Object<'a, Money<'a>>,
    #[serde(borrow, rename = "sellerId")]
    seller_id: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Offer<'a> {
    #[serde(borrow)]
    seller_id: Scalar<'a>,
    #[serde(borrow)]
    sub_condition: Scalar<'a>,
    #[serde(borrow)]
    listing_price: Object<'a, Money<'a>>,
    #[serde(borrow)]
    shipping: Object<'a, Money<'a>>,
    #[serde(borrow)]
    is_buy_box_winner: Scalar<'a>,
    #[serde(borrow)]
    is_fulfilled_by_amazon: Scalar<'a>,
    #[serde(borrow)]
    prime_information: Object<'a, PrimeInformation<'a>>,
    #[serde(borrow)]
    shipping_time: Object<'a, ShippingTime<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PrimeInformation<'a> {
    #[serde(borrow, rename = "IsPrime")]
    is_prime: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ShippingTime<'a> {
    #[serde(borrow, rename = "availabilityType")]
    availability_type: Scalar<'a>,
}

/// The offers of one item, or of each item of a batch.
pub(super) fn parse(context: &RecordContext, reply: &Reply<'_>) -> Parsed {
    each_answer(context, reply, read)
}

fn read(mut record: Record<'_>, answer: &Reply<'_>) -> Parsed {
    let Some(payload) = &answer.said().payload.object else {
        record.reject(RejectReason::NotAProduct, "payload", "the answer has no payload");
        return record.rejected();
    };
    let none = (Identifier::default(), Request::default());
    let identifier = payload.identifier.object.as_ref().unwrap_or(&none.0);
    let request = answer.request.object.as_ref().unwrap_or(&none.1);
    let first = |ids: [&'_ Scalar<'_>; 3]| ids.into_iter().position(|id| !id.is_null()).unwrap_or(0);
    let ids = [&payload.marketplace_id, &identifier.marketplace_id, &request.marketplace_id];
    let asins = [&payload.asin, &identifier.asin, &request.asin];
    let marketplace_id = ids[first(ids)];
    let asin = asins[first(asins)];
    let Some(identity) = identify(&mut record, marketplace_id, asin, &request.asin) else {
        return record.rejected();
    };
    if !payload.item_condition.is_null() && !is_new(&payload.item_condition) {
        let detail = format!("{} offers are not told", payload.item_condition.shown().unwrap_or_default());
        record.reject(RejectReason::NotAProduct, "ItemCondition", detail);
        return record.rejected();
    }
    let status = payload.status.text().unwrap_or("Success");
    if !matches!(status, "Success" | "NoBuyableOffers") {
        record.reject(RejectReason::NotAProduct, "status", status);
        return record.rejected();
    }
    let mut observation = identity.observation(true);
    let none = Summary::default();
    let summary = payload.summary.object.as_ref().unwrap_or(&none);
    let is_buyable = status == "Success";
    observation.offer = offer(&mut record, summary, &payload.offers.0, is_buyable, identity.marketplace);
    observation.rank.ranks = sales_rankings(&mut record, identity.marketplace, &summary.sales_rankings.0);
    record.observed(observation)
}

fn offer(
    record: &mut Record<'_>,
    summary: &Summary<'_>,
    offers: &[Object<'_, Offer<'_>>],
    is_buyable: bool,
    marketplace: Marketplace,
) -> OfferBlock {
    let total = record.count("TotalOfferCount", &summary.total_offer_count);
    let mut block =
        OfferBlock { offer_count: new_offers(record, summary).or(total), ..OfferBlock::default() };
    if let Some(list_price) = &summary.list_price.object {
        block.list_price_minor = list_price.price(record, "ListPrice", marketplace);
    }
    let boxes = summary.buy_box_prices.0.iter().filter_map(|price| price.object.as_ref());
    let buy_box = boxes
        .filter(|price| is_new(&price.condition))
        .find(|price| is_for_anyone(&price.offer_type, &price.quantity_tier));
    let Some(buy_box) = buy_box.filter(|_| is_buyable) else {
        let is_told = !is_buyable || !offers.is_empty() || total.is_some();
        if is_told {
            block.availability = Availability::NoFeaturedOffer;
        }
        return block;
    };
    if let Some(price) = &buy_box.listing_price.object {
        block.price_minor = price.price(record, "BuyBoxPrices.ListingPrice", marketplace);
    }
    if let Some(shipping) = &buy_box.shipping.object {
        block.shipping_minor = shipping.shipping(record, "BuyBoxPrices.Shipping", marketplace);
    }
    block.buy_box_price_minor = block.price_minor;
    block.price_basis = block.price_minor.map(|_| PriceBasis::BuyBox);
    block.condition = Some(Condition::New);
    block.availability = Availability::InStock;
    let winner = winner(buy_box, offers);
    block.seller_id =
        cleaned(&buy_box.seller_id).or_else(|| winner.and_then(|winner| cleaned(&winner.seller_id)));
    if let Some(winner) = winner {
        let by_amazon = winner.is_fulfilled_by_amazon.bool();
        let is_retail = block.seller_id.as_deref().is_some_and(is_amazon_seller);
        block.fulfilment = by_amazon.map(|by_amazon| match by_amazon {
            true if is_retail => Fulfilment::Amazon,
            true => Fulfilment::Fba,
            false => Fulfilment::Fbm,
        });
        let prime = winner.prime_information.object.as_ref();
        block.is_prime = prime.and_then(|prime| prime.is_prime.bool());
        let shipping = winner.shipping_time.object.as_ref();
        block.availability = match shipping.and_then(|time| time.availability_type.text()) {
            Some("FUTURE_WITHOUT_DATE") => Availability::BackOrder,
            Some("FUTURE_WITH_DATE") => Availability::ShipsLater,
            _ => Availability::InStock,
        };
    }
    block
}

/// How many offers there are for a new item; null where they are not counted by condition.
fn new_offers(record: &mut Record<'_>, summary: &Summary<'_>) -> Option<i64> {
    let mut total = None;
    for entry in summary.number_of_offers.0.iter().filter_map(|entry| entry.object.as_ref()) {
        if is_new(&entry.condition)
            && let Some(count) = record.count("NumberOfOffers", &entry.count)
        {
            total = Some(total.unwrap_or(0) + count);
        }
    }
    total
}

/// The offer that has the buy box. There may be two, one for Prime members: the one whose price the buy box has, or the
/// only one there is.
fn winner<'o, 'a>(buy_box: &BuyBoxPrice<'_>, offers: &'o [Object<'a, Offer<'a>>]) -> Option<&'o Offer<'a>> {
    let all = offers.iter().filter_map(|offer| offer.object.as_ref());
    let is_winner = |offer: &&Offer<'_>| {
        offer.is_buy_box_winner.bool() == Some(true)
            && (offer.sub_condition.is_null() || is_new(&offer.sub_condition))
    };
    let winners: Vec<&Offer<'a>> = all.filter(is_winner).collect();
    if !buy_box.seller_id.is_null() {
        return winners.into_iter().find(|offer| offer.seller_id.text() == buy_box.seller_id.text());
    }
    let same = |a: &Object<'_, Money<'_>>, b: &Object<'_, Money<'_>>| match (&a.object, &b.object) {
        (Some(a), Some(b)) => a.is_amount_of(b),
        _ => false,
    };
    let fits = |offer: &&&Offer<'_>| {
        same(&offer.listing_price, &buy_box.listing_price) && same(&offer.shipping, &buy_box.shipping)
    };
    let fitting = winners.iter().find(fits).copied();
    fitting.or(if let [only] = winners[..] { Some(only) } else { None })
}
