//! Days of a product's past out of its Keepa series: each with the values that were in force when it ended.
//!
//! What no series had begun to tell is unknown; a day on which none had begun, and one that had not ended at the
//! last update, is no day of the history.

use std::collections::BTreeMap;

use super::payload::{
    AMAZON, BUY_BOX, LIST_PRICE, NEW, NEW_OFFERS, Product, RATING, RATINGS_COUNT, READ, SALES_RANK, instant,
    minute_of,
};
use super::product::{self, BuyBox};
use crate::model::{
    Availability, Condition, Day, DayRange, Fulfilment, MAX_MINOR, Observation, OfferBlock, PriceBasis, Rank,
    RatingBlock, ReportingZone, Timestamp,
};
use crate::normalize::record::{Identity, Record};
use crate::normalize::retail::is_amazon_seller;
use crate::normalize::value::Scalar;
use crate::normalize::{Parsed, RejectReason};

/// 2026-02-16: from this day on the lowest new price has the shipping in it, which it had not before. The two are
/// not one series: what it says of an earlier day is that somebody sold, and not for how much.
const SHIPPING_INCLUDED_SINCE: i32 = 20_500;

/// The asked days of a product, each an item of its own: `first_item` and the day's number.
pub(super) fn parse(
    mut record: Record<'_>,
    first_item: u32,
    identity: Identity,
    product: &Product<'_>,
) -> Parsed {
    let Some(asked) = record.context.history.as_ref() else {
        return Parsed { kept: true, ..Parsed::default() };
    };
    if product.is_missing() {
        // What is not known to exist has no past either.
        return Parsed { kept: true, ..Parsed::default() };
    }
    if product.updated_at().is_none() {
        let shown = product.last_update.shown().unwrap_or_default().into_owned();
        record.reject(RejectReason::InvalidValue, "lastUpdate", shown);
        return record.rejected();
    }
    let mut days = BTreeMap::new();
    for range in &asked.ranges {
        for (day, at, observation) in expand(product, identity, *range, asked.zone) {
            days.insert(day, (at, observation));
        }
    }
    for (_, observation) in days.values() {
        check(&mut record, observation);
    }
    let context = record.context;
    let mut parsed = record.rejected();
    if !parsed.rejects.is_empty() {
        return parsed;
    }
    parsed.kept = days.is_empty();
    for (day, (at, observation)) in days {
        let item = first_item.saturating_add(day.no().unsigned_abs());
        let one = Parsed { observations: vec![observation], ..Parsed::default() };
        parsed.add_item(context, item, Some(at), one);
    }
    parsed
}

/// The days of the range that the product's series tell of, in order, each with the instant it is told for: the
/// day's last second. Values are as Keepa has them; their ranges are checked elsewhere.
pub(super) fn expand(
    product: &Product<'_>,
    identity: Identity,
    days: DayRange,
    zone: ReportingZone,
) -> Vec<(Day, Timestamp, Observation)> {
    let begin = READ.iter().filter_map(|&number| product.series(number).begin()).min().and_then(instant);
    let (Some(begin), Some(end)) = (begin, product.updated_at()) else { return Vec::new() };
    let told = DayRange { first: days.first.max(zone.day_of(begin)), last: days.last.min(zone.day_of(end)) };
    let mut history = Vec::new();
    for day in told.days() {
        let day_end = zone.end_of(day);
        if day_end > end {
            break;
        }
        let at = day_end - chrono::Duration::seconds(1);
        let observation = in_force(product, identity, day, minute_of(at));
        let tells = observation.offer.is_known()
            || !observation.rank.ranks.is_empty()
            || observation.rating.is_known();
        if tells {
            history.push((day, at, observation));
        }
    }
    history
}

/// What was in force at a minute of the day.
fn in_force(product: &Product<'_>, identity: Identity, day: Day, minute: i64) -> Observation {
    let value = |number: usize| product.series(number).at::<2>(minute).map(|[_, value]| value);
    let known = |number: usize| value(number).filter(|&value| value > 0);
    let mut observation = identity.observation(true);
    observation.offer = offer(product, day, minute);
    observation.rank.ranks.extend(main_rank(product, value(SALES_RANK), minute));
    observation.rank.path_leaf = None;
    observation.rating = RatingBlock {
        rating_centi: known(RATING).map(|tenths| tenths.saturating_mul(10)),
        ratings_count: value(RATINGS_COUNT).filter(|&count| count >= 0),
    };
    observation
}

fn offer(product: &Product<'_>, day: Day, minute: i64) -> OfferBlock {
    let value = |number: usize| product.series(number).at::<2>(minute).map(|[_, value]| value);
    let (amazon, new) = (value(AMAZON), value(NEW));
    let holder = holder(product, minute);
    let mut buy_box = product::in_series(product.series(BUY_BOX).at::<3>(minute).as_ref());
    if buy_box == BuyBox::Unknown && holder.is_some_and(|id| id.text() == Some("-1")) {
        buy_box = BuyBox::Nobody;
    }
    let mut offer = OfferBlock {
        list_price_minor: value(LIST_PRICE).filter(|&price| price > 0),
        seller_id: holder.and_then(product::seller).filter(|_| buy_box != BuyBox::Nobody),
        offer_count: value(NEW_OFFERS).filter(|&count| count >= 0),
        availability: product::availability(buy_box, amazon, new),
        ..OfferBlock::default()
    };
    match buy_box {
        BuyBox::Held { price, shipping } => {
            offer.buy_box_price_minor = Some(price).filter(|&price| price > 0);
            offer.shipping_minor = Some(shipping).filter(|&shipping| shipping >= 0);
            offer.price_minor = offer.buy_box_price_minor;
            offer.price_basis = offer.price_minor.map(|_| PriceBasis::BuyBox);
        }
        _ if day.no() >= SHIPPING_INCLUDED_SINCE => {
            offer.price_minor = new.filter(|&price| price > 0);
            offer.price_basis = offer.price_minor.map(|_| PriceBasis::NewLowest);
        }
        _ => {}
    }
    offer.condition = offer.price_minor.map(|_| Condition::New);
    if offer.seller_id.as_deref().is_some_and(is_amazon_seller) && offer.availability == Availability::InStock
    {
        offer.fulfilment = Some(Fulfilment::Amazon);
    }
    offer
}

/// Who held the buy box at the minute: a list of minutes and ids.
fn holder<'p>(product: &'p Product<'_>, minute: i64) -> Option<&'p Scalar<'p>> {
    let points = product.buy_box_seller_id_history.0.as_chunks::<2>().0;
    let after = points.partition_point(|[at, _]| at.integer().is_some_and(|at| at <= minute));
    after.checked_sub(1).and_then(|last| points.get(last)).map(|[_, id]| id)
}

/// The rank in the category that it was counted in at the time; none while Keepa knew of no category.
fn main_rank(product: &Product<'_>, rank: Option<i64>, minute: i64) -> Option<Rank> {
    let rank = rank.filter(|&rank| rank > 0)?;
    let references = &product.sales_rank_reference_history;
    let reference = if references.points::<2>().is_empty() {
        product.sales_rank_reference.integer()
    } else {
        references.at::<2>(minute).map(|[_, reference]| reference)
    };
    let reference = reference.filter(|&reference| reference > 0)?;
    Some(product::rank_in(product, reference, rank, true))
}

/// Holds a day's values to the ranges that every record is held to.
fn check(record: &mut Record<'_>, observation: &Observation) {
    let offer = &observation.offer;
    for (field, value) in [
        ("csv.18", offer.buy_box_price_minor),
        ("csv.18", offer.shipping_minor),
        ("csv.1", offer.price_minor),
        ("csv.4", offer.list_price_minor),
        ("csv.11", offer.offer_count),
        ("csv.17", observation.rating.ratings_count),
        ("csv.3", observation.rank.main().map(|rank| rank.rank)),
    ] {
        if let Some(value) = value.filter(|&value| value > MAX_MINOR) {
            record.out_of_range::<()>(field, &Scalar::Int(value));
        }
    }
    if let Some(centi) = observation.rating.rating_centi {
        record.rating_centi("csv.16", centi, &Scalar::Int(centi / 10));
    }
}
