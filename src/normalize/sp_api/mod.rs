//! Answers of Amazon's selling-partner API: catalogue items, offers, prices and stock, each as the reply to one call,
//! as one element of a batch, or as the whole batch.
//!
//! They tell of public offers and of one's own listings; nothing in them is a rating. Replies carry no time but the
//! `Date` header of a batch's element.

mod catalog;
mod competitive_price;
mod competitive_summary;
#[cfg(test)]
mod golden;
mod offers;
mod payload;
mod probe;
#[cfg(test)]
mod tests;

use super::record::{Claim, Identity, Record};
use super::shape::Shape;
use super::value::Scalar;
use super::{Parsed, RecordContext, RejectReason, refuse};
use crate::model::{Asin, Marketplace};
use payload::{Reply, Request};
pub(super) use probe::{Probe, recognise};

/// Reads a record of one of the shapes of this API.
pub(super) fn parse(context: &RecordContext, text: &str) -> serde_json::Result<Parsed> {
    match context.shape {
        Shape::SpCatalog => serde_json::from_str(text).map(|item| catalog::parse(context, &item)),
        Shape::SpOffers => serde_json::from_str(text).map(|reply| offers::parse(context, &reply)),
        Shape::SpCompetitivePrice => {
            serde_json::from_str(text).map(|reply| competitive_price::parse(context, &reply))
        }
        Shape::SpCompetitiveSummary => {
            serde_json::from_str(text).map(|reply| competitive_summary::parse(context, &reply))
        }
        // One's own stock is a data set of its own: its raw record is what there is of it so far.
        Shape::SpInventory => {
            serde_json::from_str(text).map(|serde::de::IgnoredAny| Parsed { kept: true, ..Parsed::default() })
        }
        shape => {
            let detail = format!("{shape} is no shape of the selling-partner API");
            Ok(refuse(context, RejectReason::UnknownShape, "", &detail))
        }
    }
}

/// What a part of an answer says of its identity, by Amazon's marketplace id.
fn identify(
    record: &mut Record<'_>,
    marketplace_id: &Scalar<'_>,
    asin: &Scalar<'_>,
    requested: &Scalar<'_>,
) -> Option<Identity> {
    let id = marketplace_id.text().map(str::trim);
    let known = id.and_then(Marketplace::from_amazon_id).map(Marketplace::code);
    let asin_requested = requested.text().and_then(|text| text.parse::<Asin>().ok());
    record.identify(&Claim {
        marketplace: known.or(id).map(|marketplace| ("marketplaceId", marketplace)),
        asin: asin.text(),
        asin_requested,
        ..Claim::default()
    })
}

/// An answer that holds errors instead of facts.
///
/// 404 says that the product does not exist. An ASIN that is "not valid for the marketplace" (400) is refused: it
/// was asked wrongly, or was never sold there, and no product is gone for that.
fn failed(mut record: Record<'_>, reply: &Reply<'_>) -> Parsed {
    if reply.code() == Some(404) {
        let (none, said) = (Request::default(), reply.said());
        let request = reply.request.object.as_ref().unwrap_or(&none);
        let given = |value: &'_ Scalar<'_>| !value.is_null();
        let id = Some(&said.marketplace_id).filter(|id| given(id)).unwrap_or(&request.marketplace_id);
        let asin = Some(&said.asin).filter(|asin| given(asin)).unwrap_or(&request.asin);
        return match identify(&mut record, id, asin, &request.asin) {
            Some(identity) => record.observed(identity.observation(false)),
            None => record.rejected(),
        };
    }
    let mut words: Vec<String> = reply.code().iter().map(i64::to_string).collect();
    for fault in reply.faults() {
        let shown = |value: &Scalar<'_>| value.shown().unwrap_or_default().into_owned();
        words.push(format!("{}: {}", shown(&fault.code), shown(&fault.message)));
    }
    record.reject(RejectReason::NotAProduct, "status", words.join(" "));
    record.rejected()
}

/// Reads each answer of a batch, or the one there is; the item is its place, its time the `Date` header's.
fn each_answer(
    context: &RecordContext,
    reply: &Reply<'_>,
    read: impl Fn(Record<'_>, &Reply<'_>) -> Parsed,
) -> Parsed {
    let read = |record: Record<'_>, answer: &Reply<'_>| {
        if answer.has_failed() { failed(record, answer) } else { read(record, answer) }
    };
    let Some(answers) = &reply.responses else { return read(Record::new(context, 0), reply) };
    if answers.0.is_empty() {
        return refuse(context, RejectReason::NotAProduct, "responses", "the batch has no answers");
    }
    let mut parsed = Parsed::default();
    for (item, answer) in (0_u32..).zip(&answers.0) {
        let mut record = Record::new(context, item);
        match &answer.object {
            Some(answer) => parsed.add_item(context, item, answer.date(), read(record, answer)),
            None => {
                record.reject(RejectReason::NotAProduct, "responses", "an element is no answer");
                parsed.append(record.rejected());
            }
        }
    }
    parsed
}
