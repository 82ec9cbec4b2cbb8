//! What later days say of a finding: whether it still holds, or is over.

use serde_json::Value;

use super::day::{DeltaFacts, exceeds_pct};
use super::{Rule, RuleSpec};
use crate::model::{Availability, Day};

/// What later rows say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outlook {
    /// Still so on that day.
    Holds(Day),
    /// As it was before, on that day.
    IsOver(Day),
}

/// What the product's rows after `day` say of what a rule found on it; null where they say nothing yet. It is over when
/// so many looks in a row show that.
pub fn outlook(
    spec: &RuleSpec,
    day: Day,
    evidence: &Value,
    rows: &[DeltaFacts<'_>],
    looks: u32,
) -> Option<Outlook> {
    let later = &rows[rows.partition_point(|row| row.day <= day)..];
    let mut said = later.iter().rev().filter_map(|row| Some((row.day, still_holds(spec, evidence, row)?)));
    let (newest, holds) = said.next()?;
    if holds {
        return Some(Outlook::Holds(newest));
    }
    let others = said.take_while(|(_, holds)| !holds).count();
    (others + 1 >= looks.max(1) as usize).then_some(Outlook::IsOver(newest))
}

/// Whether a row still shows it; null where it does not say.
fn still_holds(spec: &RuleSpec, evidence: &Value, row: &DeltaFacts<'_>) -> Option<bool> {
    let number = |name: &str| evidence[name].as_i64();
    let word = |name: &str| evidence[name].as_str();
    let limit = spec.clear_below.unwrap_or_else(|| spec.lowest());
    let is_same_currency =
        row.currency.is_some_and(|currency| evidence["price"]["currency"] == currency.code());
    let price = || row.price.value.filter(|_| is_same_currency);
    // Beyond the limit, and on the same side as before.
    let pct = |value: i64, before: i64, is_up: bool| {
        (value > before) == is_up && value != before && exceeds_pct(value - before, before, limit)
    };
    let half = |value: i64, from: i64, to: i64| (value - from) * (to - from).signum() * 2 > (to - from).abs();
    match spec.rule {
        Rule::PriceDrop => Some(pct(price()?, number("price_prev_minor")?, false)),
        Rule::PriceRise => Some(pct(price()?, number("price_prev_minor")?, true)),
        Rule::AllTimeLow => Some(price()? < number("price_low_all_prev_minor")?),
        // Further from the median than half of what it was.
        Rule::PriceOutlier => Some(half(price()?, number("median_minor_x2")? / 2, number("price_minor")?)),
        Rule::BsrWorsened | Rule::BsrImproved => {
            let (change, category) = match word("field")? {
                "bsr_leaf" => (row.bsr_leaf, row.bsr_leaf_category),
                _ => (row.bsr, row.bsr_category),
            };
            let rank = change.value.filter(|_| category == word("category"))?;
            Some(pct(rank, number("rank_prev")?, spec.rule == Rule::BsrWorsened))
        }
        Rule::RatingFell => Some(number("rating_centi_prev")? - row.rating.value? > limit),
        Rule::RatingRose => Some(row.rating.value? - number("rating_centi_prev")? > limit),
        Rule::RatingsSpike => Some(row.ratings_count.value? - number("ratings_count_prev")? > limit),
        Rule::OutOfStock => stock(row).map(|is_in| !is_in),
        Rule::BackInStock => stock(row),
        Rule::BuyBoxLost | Rule::BuyBoxSellerChanged => {
            let nobody = row.availability == Availability::NoFeaturedOffer;
            let seller = row.seller_id.or(nobody.then_some(""))?;
            Some(Some(seller) != word("seller_prev"))
        }
        Rule::NewSeller => Some(row.seller_id? == word("seller_id")?),
        Rule::ListingChanged | Rule::Undercut => None,
        Rule::ProductStale | Rule::ProductGone | Rule::SourceIncident => None,
    }
}

fn stock(row: &DeltaFacts<'_>) -> Option<bool> {
    let word = row.availability;
    (word.is_in_stock() || word.is_out()).then(|| word.is_in_stock())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::settle::tests::{day, prices, stock};
    use super::super::{RuleSet, judge_newest};
    use super::*;
    use std::collections::BTreeSet;

    fn said(rule: Rule, on: i32, rows: &[DeltaFacts<'_>], looks: u32) -> Option<Outlook> {
        let set = RuleSet::plain(2);
        let until = rows.partition_point(|row| row.day <= day(on));
        let found = judge_newest(&rows[..until], &set, &BTreeSet::new()).findings;
        let finding = found.iter().find(|finding| finding.rule == rule).expect("it is found");
        outlook(set.get(rule).unwrap(), finding.day, &finding.evidence, rows, looks)
    }

    #[test]
    fn a_price_that_stays_holds_and_one_that_is_back_is_over() {
        let of = |values: &[(i32, i64)], looks| said(Rule::PriceDrop, 1, &prices(values), looks);
        assert_eq!(of(&[(0, 1000), (1, 500)], 1), None);
        assert_eq!(of(&[(0, 1000), (1, 500), (2, 700)], 1), Some(Outlook::Holds(day(2))));
        assert_eq!(
            of(&[(0, 1000), (1, 500), (2, 900)], 1),
            Some(Outlook::IsOver(day(2))),
            "a tenth less is no drop"
        );
        assert_eq!(of(&[(0, 1000), (1, 500), (2, 1500)], 1), Some(Outlook::IsOver(day(2))));
        assert_eq!(of(&[(0, 1000), (1, 500), (2, 950)], 2), None, "one look is not enough");
        assert_eq!(of(&[(0, 1000), (1, 500), (2, 950), (4, 990)], 2), Some(Outlook::IsOver(day(4))));
        assert_eq!(of(&[(0, 1000), (1, 500), (2, 950), (4, 600)], 2), Some(Outlook::Holds(day(4))));
    }

    #[test]
    fn a_price_in_another_currency_says_nothing() {
        let mut rows = prices(&[(0, 1000), (1, 500), (2, 990)]);
        rows[2].currency = Some("EUR".parse().unwrap());
        assert_eq!(said(Rule::PriceDrop, 1, &rows, 1), None);
    }

    #[test]
    fn stock_is_back_when_it_is() {
        let of = |values: &[bool], looks| said(Rule::OutOfStock, 1, &stock(values), looks);
        assert_eq!(of(&[true, false, false], 1), Some(Outlook::Holds(day(2))));
        assert_eq!(of(&[true, false, true], 1), Some(Outlook::IsOver(day(2))));
        assert_eq!(of(&[true, false, true, false], 1), Some(Outlook::Holds(day(3))));
    }

    #[test]
    fn an_outlier_is_over_halfway_back_to_the_median() {
        let set = RuleSet::plain(2);
        let spec = set.get(Rule::PriceOutlier).unwrap();
        let evidence =
            json!({ "price": { "currency": "USD" }, "price_minor": 2000, "median_minor_x2": 2000 });
        let of = |price| outlook(spec, day(0), &evidence, &prices(&[(1, price)]), 1);
        assert_eq!(of(1501), Some(Outlook::Holds(day(1))));
        assert_eq!(of(1500), Some(Outlook::IsOver(day(1))));
        assert_eq!(of(500), Some(Outlook::IsOver(day(1))));
    }
}
