//! The results of a search.

use std::collections::HashSet;

use serde::Deserialize;

use super::super::record::{Claim, Record, cleaned};
use super::super::value::{List, Object, Scalar};
use super::super::{Parsed, RecordContext, RejectReason};
use super::{Envelope, Price, amount, rating};
use crate::model::{OfferBlock, PriceBasis};

#[derive(Deserialize, Default)]
#[serde(default)]
struct SearchAnswer<'a> {
    #[serde(borrow)]
    search_results: List<Object<'a, Found<'a>>>,
}

/// One result of a search.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Found<'a> {
    #[serde(borrow)]
    asin: Scalar<'a>,
    #[serde(borrow)]
    title: Scalar<'a>,
    #[serde(borrow)]
    image: Scalar<'a>,
    #[serde(borrow)]
    rating: Scalar<'a>,
    #[serde(borrow)]
    ratings_total: Scalar<'a>,
    #[serde(borrow)]
    price: Object<'a, Price<'a>>,
    #[serde(borrow)]
    prices: List<Object<'a, Price<'a>>>,
}

/// The results of a search, each an observation. Advertised products come twice: the first place counts. An item's
/// number is its place in the answer.
pub(in super::super) fn parse_search(context: &RecordContext, text: &str) -> serde_json::Result<Parsed> {
    let envelope: Envelope<'_> = serde_json::from_str(text)?;
    let answer: SearchAnswer<'_> = serde_json::from_str(text)?;
    if envelope.has_failed() || answer.search_results.0.is_empty() {
        return Ok(envelope.refuse(context, "the answer holds no results"));
    }
    // The receipt is the search's; each result is another product.
    let own = RecordContext { asin_requested: None, ..context.clone() };
    let mut seen = HashSet::new();
    let results = answer.search_results.0.iter().enumerate();
    let fresh = results.filter(|(_, found)| {
        let asin = found.object.as_ref().and_then(|found| found.asin.text());
        asin.is_none_or(|asin| seen.insert(asin.trim().to_ascii_uppercase()))
    });
    let parts = fresh.map(|(place, found)| {
        let record = Record::new(&own, place as u32);
        parse_result(record, &envelope, found.object.as_ref())
    });
    Ok(Parsed::join(parts))
}

fn parse_result(mut record: Record<'_>, envelope: &Envelope<'_>, found: Option<&Found<'_>>) -> Parsed {
    let Some(found) = found else {
        record.reject(RejectReason::InvalidValue, "search_results", "the result is no object");
        return record.rejected();
    };
    let claim = Claim {
        marketplace: envelope.domain().map(|domain| ("amazon_domain", domain)),
        asin: found.asin.text(),
        ..Claim::default()
    };
    let Some(identity) = record.identify(&claim) else { return record.rejected() };
    let named = |wanted: &str| {
        let prices = || found.prices.0.iter().filter_map(|price| price.object.as_ref());
        prices().find(|price| price.name.text() == Some(wanted))
    };
    let first = || found.prices.0.iter().find_map(|price| price.object.as_ref());
    let price = found.price.object.as_ref().or_else(|| named("primary")).or_else(first);
    let price_minor = price.and_then(|price| amount(&mut record, "price", price, identity.marketplace));
    let list = named("original").and_then(|list| amount(&mut record, "prices", list, identity.marketplace));
    let mut observation = identity.observation(true);
    observation.offer = OfferBlock {
        price_minor,
        price_basis: price_minor.map(|_| PriceBasis::Page),
        list_price_minor: list.filter(|&list| price_minor.is_some_and(|price| list > price)),
        ..OfferBlock::default()
    };
    observation.rating = rating(&mut record, &found.rating, &found.ratings_total);
    observation.listing.title = cleaned(&found.title);
    observation.listing.image_url = cleaned(&found.image);
    record.observed(observation)
}
