//! Product Pricing 2022-05-01, competitive summary: the featured offers of a new item.
//!
//! Customers of different places and memberships may be shown different offers: the one that is shown most is told.
//! The list of lowest priced offers is cut at twenty and counts nothing.

use serde::Deserialize;

use super::payload::{Money, Reply, Request, is_new};
use super::{each_answer, identify};
use crate::model::{Availability, Condition, Fulfilment, Marketplace, OfferBlock, PriceBasis};
use crate::normalize::record::{Record, cleaned};
use crate::normalize::retail::is_amazon_seller;
use crate::normalize::value::{List, Object, Scalar};
use crate::normalize::{Parsed, RecordContext};

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct FeaturedOption<'a> {
    #[serde(borrow)]
    buying_option_type: Scalar<'a>,
    #[serde(borrow)]
    segmented_featured_offers: List<Object<'a, Offer<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Offer<'a> {
    #[serde(borrow)]
    seller_id: Scalar<'a>,
    #[serde(borrow)]
    condition: Scalar<'a>,
    #[serde(borrow)]
    fulfillment_type: Scalar<'a>,
    #[serde(borrow)]
    listing_price: Object<'a, Money<'a>>,
    #[serde(borrow)]
    shipping_options: List<Object<'a, ShippingOption<'a>>>,
    #[serde(borrow)]
    featured_offer_segments: List<Object<'a, Segment<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ShippingOption<'a> {
    #[serde(borrow)]
    shipping_option_type: Scalar<'a>,
    #[serde(borrow)]
    price: Object<'a, Money<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Segment<'a> {
    #[serde(borrow)]
    segment_details: Object<'a, SegmentDetails<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct SegmentDetails<'a> {
    #[serde(borrow)]
    glance_view_weight_percentage: Scalar<'a>,
}

/// The summary of one item, or of each item of a batch.
pub(super) fn parse(context: &RecordContext, reply: &Reply<'_>) -> Parsed {
    each_answer(context, reply, read)
}

fn read(mut record: Record<'_>, answer: &Reply<'_>) -> Parsed {
    let (said, none) = (answer.said(), Request::default());
    let request = answer.request.object.as_ref().unwrap_or(&none);
    let Some(identity) = identify(&mut record, &said.marketplace_id, &said.asin, &request.asin) else {
        return record.rejected();
    };
    let mut observation = identity.observation(true);
    if let Some(options) = &said.featured_buying_options {
        observation.offer = offer(&mut record, &options.0, identity.marketplace);
    }
    record.observed(observation)
}

/// An offer that nobody has is told too: the options were asked for, and there is none for a new item.
fn offer(
    record: &mut Record<'_>,
    options: &[Object<'_, FeaturedOption<'_>>],
    marketplace: Marketplace,
) -> OfferBlock {
    let options = options.iter().filter_map(|option| option.object.as_ref());
    let new = options.filter(|option| is_new(&option.buying_option_type));
    let offers = new.flat_map(|option| &option.segmented_featured_offers.0);
    let offers = offers.filter_map(|offer| offer.object.as_ref());
    let offers = offers.filter(|offer| offer.condition.is_null() || is_new(&offer.condition));
    let mut shown_most: Option<(&Offer<'_>, i64)> = None;
    for offer in offers {
        let weight = weight(offer);
        if shown_most.is_none_or(|(_, most)| weight > most) {
            shown_most = Some((offer, weight));
        }
    }
    let Some((featured, _)) = shown_most else {
        return OfferBlock { availability: Availability::NoFeaturedOffer, ..OfferBlock::default() };
    };
    let mut block = OfferBlock {
        condition: Some(Condition::New),
        seller_id: cleaned(&featured.seller_id),
        availability: Availability::InStock,
        ..OfferBlock::default()
    };
    if let Some(price) = &featured.listing_price.object {
        block.price_minor = price.price(record, "listingPrice", marketplace);
    }
    let options = featured.shipping_options.0.iter().filter_map(|option| option.object.as_ref());
    let usual = options
        .filter(|option| option.shipping_option_type.text().is_none_or(|kind| kind == "DEFAULT"))
        .find_map(|option| option.price.object.as_ref());
    block.shipping_minor = usual.and_then(|price| price.shipping(record, "shippingOptions", marketplace));
    block.buy_box_price_minor = block.price_minor;
    block.price_basis = block.price_minor.map(|_| PriceBasis::BuyBox);
    let is_retail = block.seller_id.as_deref().is_some_and(is_amazon_seller);
    block.fulfilment = match featured.fulfillment_type.text() {
        Some("AFN") if is_retail => Some(Fulfilment::Amazon),
        Some("AFN") => Some(Fulfilment::Fba),
        Some("MFN") => Some(Fulfilment::Fbm),
        _ => None,
    };
    block
}

/// The percentage of views in which an offer is the featured one.
fn weight(offer: &Offer<'_>) -> i64 {
    let segments = offer.featured_offer_segments.0.iter().filter_map(|segment| segment.object.as_ref());
    let details = segments.filter_map(|segment| segment.segment_details.object.as_ref());
    details.filter_map(|details| details.glance_view_weight_percentage.integer()).fold(0, i64::saturating_add)
}
