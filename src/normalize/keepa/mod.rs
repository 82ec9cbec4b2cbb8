//! Keepa's answers: a bare product, or the envelope of `/product` with many.
//!
//! Read as what is true at the last update ([`product`]) or as days of the past ([`history`]).

#[cfg(test)]
mod golden;
mod history;
#[cfg(test)]
mod history_tests;
mod payload;
mod product;
#[cfg(test)]
mod tests;

use serde::Deserialize;

use super::record::{Claim, Identity, Record};
use super::shape::{Recognised, Shape, mentions};
use super::value::{List, Object, Scalar};
use super::{Parsed, RecordContext, RejectReason};
use crate::model::{Asin, Marketplace, Timestamp};
pub(super) use payload::Product;
use payload::instant;

/// Items of one product's history: one for each day there is, and then the next product's.
const ITEMS_OF_A_HISTORY: u32 = 100_000;

/// What tells a Keepa record and whose it is.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Head<'a> {
    #[serde(borrow)]
    products: Option<List<Object<'a, Head<'a>>>>,
    #[serde(borrow)]
    tokens_left: Scalar<'a>,
    #[serde(borrow)]
    refill_rate: Scalar<'a>,
    #[serde(borrow)]
    timestamp: Scalar<'a>,
    #[serde(borrow)]
    asin: Scalar<'a>,
    #[serde(borrow)]
    domain_id: Scalar<'a>,
    #[serde(borrow)]
    product_type: Scalar<'a>,
    #[serde(borrow)]
    last_update: Scalar<'a>,
}

impl Head<'_> {
    fn is_product(&self) -> bool {
        !self.domain_id.is_null() && (!self.product_type.is_null() || !self.last_update.is_null())
    }

    fn marketplace(&self) -> Option<Marketplace> {
        Marketplace::from_keepa_domain(self.domain_id.integer()?)
    }
}

/// Recognises a product by its domain number, an answer by its products or its tokens. Of several products the
/// latest update is the answer's time; one that names none is as old as the answer.
pub(super) fn recognise(text: &str) -> Option<Recognised> {
    if !mentions(text, &["\"domainId\"", "\"tokensLeft\""]) {
        return None;
    }
    let head: Head<'_> = serde_json::from_str(text).ok()?;
    let is_answer = !head.tokens_left.is_null() && !head.refill_rate.is_null();
    let listed = head.products.as_ref().map_or(&[][..], |products| products.0.as_slice());
    let mut products: Vec<&Head<'_>> = listed.iter().filter_map(|product| product.object.as_ref()).collect();
    if !is_answer && !products.iter().any(|product| product.is_product()) {
        if !head.is_product() {
            return None;
        }
        products = vec![&head];
    }
    let marketplace = products.first().and_then(|product| product.marketplace());
    let updates = products.iter().filter_map(|product| instant(product.last_update.integer()?));
    let asin = |product: &Head<'_>| product.asin.text().and_then(|text| text.parse::<Asin>().ok());
    Some(Recognised {
        marketplace: marketplace.filter(|_| products.iter().all(|p| p.marketplace() == marketplace)),
        asin_returned: if let [only] = products[..] { asin(only) } else { None },
        observed_at: updates.max().or_else(|| asked_at(&head.timestamp)),
        ..Recognised::bare(Shape::KeepaProduct, "product")
    })
}

/// When an answer was given: Unix milliseconds.
fn asked_at(timestamp: &Scalar<'_>) -> Option<Timestamp> {
    Timestamp::from_timestamp_millis(timestamp.integer()?).filter(|at| at.timestamp() > 0)
}

/// One product, or each of an answer's: the item is its place.
pub(super) fn parse(context: &RecordContext, answer: &Product<'_>) -> Parsed {
    let is_answer =
        answer.products.is_some() || !answer.tokens_left.is_null() || answer.error.object.is_some();
    if !is_answer {
        return parse_product(context, 0, answer);
    }
    let products = answer.products.as_ref().map_or(&[][..], |products| products.0.as_slice());
    if let [Object { object: Some(only), .. }] = products {
        return parse_product(context, 0, only);
    }
    let mut parsed = Parsed::default();
    for (item, product) in (0_u32..).zip(products) {
        match &product.object {
            Some(product) => {
                let one = parse_product(context, item, product);
                if context.shape == Shape::KeepaHistory {
                    parsed.append(one);
                } else {
                    let seen_at = product.updated_at().or_else(|| asked_at(&answer.timestamp));
                    parsed.add_item(context, item, seen_at, one);
                }
            }
            None => parsed.append(no_product(context, item, "an element of the answer is no product")),
        }
    }
    if products.is_empty() {
        let refusal = answer.error.object.as_ref();
        let detail = refusal.map_or_else(
            || "the answer has no products".to_owned(),
            |refusal| {
                let shown = |value: &Scalar<'_>| value.shown().unwrap_or_default().into_owned();
                format!("{}: {}", shown(&refusal.kind), shown(&refusal.message))
            },
        );
        return no_product(context, 0, &detail);
    }
    parsed
}

fn no_product(context: &RecordContext, item: u32, detail: &str) -> Parsed {
    let mut record = Record::new(context, item);
    record.reject(RejectReason::NotAProduct, "products", detail);
    record.rejected()
}

fn parse_product(context: &RecordContext, item: u32, product: &Product<'_>) -> Parsed {
    let mut record = Record::new(context, item);
    let Some(identity) = identify(&mut record, product) else { return record.rejected() };
    if context.shape == Shape::KeepaHistory {
        return history::parse(record, item.saturating_mul(ITEMS_OF_A_HISTORY), identity, product);
    }
    product::parse(record, identity, product)
}

fn identify(record: &mut Record<'_>, product: &Product<'_>) -> Option<Identity> {
    let domain = product.domain_id.shown();
    let known = product.domain_id.integer().and_then(Marketplace::from_keepa_domain);
    let named = known.map(Marketplace::code).or(domain.as_deref());
    record.identify(&Claim {
        marketplace: named.map(|named| ("domainId", named)),
        asin: product.asin.text(),
        ..Claim::default()
    })
}
