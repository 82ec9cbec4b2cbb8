//! What later days say of a finding: whether it still holds, or is over. By the product's delta rows, and,
//! where those say nothing of it, by both products' prices or by what the same source shows of the listing.

use serde_json::Value;

use super::day::{DeltaFacts, exceeds_pct};
use super::listing::{folded, is_known};
use super::undercut::{Common, common_prices};
use super::{ListingSeen, PairFacts, Rule, RuleSpec};
use crate::model::{Currency, Day};

/// What later rows say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outlook {
    /// Still so on that day.
    Holds(Day),
    /// As it was before, on that day.
    IsOver(Day),
}

/// What the product's rows after `day` say of what a rule found on it; null where they say nothing yet. It is
/// over when so many looks in a row show that.
pub fn outlook(
    spec: &RuleSpec,
    day: Day,
    evidence: &Value,
    rows: &[DeltaFacts<'_>],
    looks: u32,
) -> Option<Outlook> {
    let later = &rows[rows.partition_point(|row| row.day <= day)..];
    by_newest(later.iter().rev().filter_map(|row| Some((row.day, still_holds(spec, evidence, row)?))), looks)
}

/// What the known prices of both products after `day` say of an undercut found on it: still cheaper by the
/// rule's step, or not cheaper at all. What lies in between says nothing, as to the rule.
pub fn undercut_outlook(spec: &RuleSpec, day: Day, pair: &PairFacts<'_>, looks: u32) -> Option<Outlook> {
    let is_below = |common: Common| match common.is_below(spec) {
        true => Some(true),
        false => (common.competitor >= common.main || spec.is_immediate()).then_some(false),
    };
    let days = pair.main_prices.iter().rev().map(|price| price.day).take_while(|later| *later > day);
    let commons = days.filter_map(|day| common_prices(pair, day));
    by_newest(commons.filter_map(|common| Some((common.day, is_below(common)?))), looks)
}

/// What the sources of a listing's change have shown since, sorted by day: something of what was new is still
/// there, or nothing of it is.
pub fn listing_outlook(evidence: &Value, later: &[ListingSeen]) -> Option<Outlook> {
    let changes = evidence["changes"].as_array()?;
    let said = changes.iter().filter_map(|change| {
        let (source, field) = (change["source"].as_str()?, change["field"].as_str()?);
        let seen =
            later.iter().rev().find(|seen| seen.source == source && is_known(seen.side.field(field)))?;
        let is_there = folded(seen.side.field(field)) == folded(&texts(&change["after"]));
        Some((is_there, seen.day))
    });
    let (is_there, day) = said.max()?;
    Some(if is_there { Outlook::Holds(day) } else { Outlook::IsOver(day) })
}

/// Whether the newest price after `day` is one in the currency of the marketplace again: what was found in
/// another one was no change of the product.
pub fn currency_outlook(day: Day, own: Currency, rows: &[DeltaFacts<'_>]) -> Option<Outlook> {
    let newest = rows.iter().rev().take_while(|row| row.day > day).find(|row| row.price.value.is_some())?;
    (newest.currency == Some(own)).then_some(Outlook::IsOver(newest.day))
}

/// A text, or each text of a list.
fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// From what each day says, the newest first.
fn by_newest(mut said: impl Iterator<Item = (Day, bool)>, looks: u32) -> Option<Outlook> {
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
        Rule::OutOfStock => row.availability.in_stock().map(|is_in| !is_in),
        Rule::BackInStock => row.availability.in_stock(),
        Rule::BuyBoxLost | Rule::BuyBoxSellerChanged => {
            Some(Some(row.availability.holder(row.seller_id)?) != word("seller_prev"))
        }
        Rule::NewSeller => Some(row.seller_id? == word("seller_id")?),
        Rule::ListingChanged | Rule::Undercut => None,
        Rule::ProductStale | Rule::ProductGone | Rule::SourceIncident => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::settle::tests::{day, prices, stock};
    use super::super::{DayPrice, ListingSide, RuleSet, judge_newest};
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

    fn day_prices(values: &[(i32, i64)]) -> Vec<DayPrice> {
        let currency = "USD".parse().unwrap();
        values.iter().map(|&(on, price_minor)| DayPrice { day: day(on), price_minor, currency }).collect()
    }

    /// The calm step is 2 %; the finding is of day 1.
    fn undercut(main: &[(i32, i64)], competitor: &[(i32, i64)], looks: u32) -> Option<Outlook> {
        let key = |asin: &str| crate::model::ProductKey {
            marketplace: crate::model::Marketplace::Us,
            asin: asin.parse().unwrap(),
        };
        let pair = PairFacts {
            main: key("B0MAIN0000"),
            competitor: key("B0RIVAL000"),
            cohorts: &[],
            main_prices: &day_prices(main),
            competitor_prices: &day_prices(competitor),
        };
        undercut_outlook(RuleSet::calm(2).get(Rule::Undercut).unwrap(), day(1), &pair, looks)
    }

    #[test]
    fn an_undercut_is_over_when_the_competitor_is_not_cheaper_and_holds_while_it_is_by_enough() {
        let main = [(1, 1000), (2, 1000), (3, 1000)];
        assert_eq!(undercut(&main, &[(1, 900)], 1), None, "its own day says nothing of it");
        assert_eq!(undercut(&main[..1], &[(1, 900), (2, 900)], 1), None, "no later day has both");
        assert_eq!(undercut(&main, &[(1, 900), (2, 979)], 1), Some(Outlook::Holds(day(2))));
        assert_eq!(undercut(&main, &[(1, 900), (2, 980)], 1), None, "exactly the step is not beyond it");
        assert_eq!(undercut(&main, &[(1, 900), (2, 1000)], 1), Some(Outlook::IsOver(day(2))));
        assert_eq!(undercut(&main, &[(1, 900), (2, 1000)], 2), None, "one look is not enough");
        assert_eq!(undercut(&main, &[(1, 900), (2, 1000), (3, 1200)], 2), Some(Outlook::IsOver(day(3))));
        assert_eq!(undercut(&main, &[(1, 900), (2, 1000), (3, 900)], 1), Some(Outlook::Holds(day(3))));
    }

    #[test]
    fn a_listing_change_holds_while_its_source_still_shows_any_of_it() {
        let seen = |source: &str, on: i32, title: &str, bullets: &[&str]| ListingSeen {
            source: source.to_owned(),
            day: day(on),
            side: ListingSide {
                title: (!title.is_empty()).then(|| title.to_owned()),
                bullets: bullets.iter().map(|&text| text.to_owned()).collect(),
                ..ListingSide::default()
            },
        };
        let evidence = json!({ "changes": [
            { "source": "apify", "field": "title", "before": "Old", "after": "New & shiny" },
            { "source": "apify", "field": "bullets", "before": ["a"], "after": ["b", "c"] },
        ] });
        let of = |later: &[ListingSeen]| listing_outlook(&evidence, later);
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[seen("keepa", 2, "Old", &["a"])]), None, "another source never showed it");
        assert_eq!(of(&[seen("apify", 2, "", &[])]), None, "what was left out is not known");
        assert_eq!(of(&[seen("apify", 2, "New &amp; shiny", &["b", "c"])]), Some(Outlook::Holds(day(2))));
        assert_eq!(of(&[seen("apify", 2, "Old", &["b", "c"])]), Some(Outlook::Holds(day(2))));
        assert_eq!(of(&[seen("apify", 2, "Old", &["a"])]), Some(Outlook::IsOver(day(2))));
        let (back, again) = (seen("apify", 2, "Old", &["a"]), seen("apify", 3, "New & shiny", &[]));
        assert_eq!(of(&[back, again]), Some(Outlook::Holds(day(3))), "the newest look decides");
    }

    #[test]
    fn a_price_in_the_marketplaces_own_currency_ends_a_mix_up() {
        let mut rows = prices(&[(0, 1000), (1, 500), (2, 990)]);
        let usd: Currency = "USD".parse().unwrap();
        assert_eq!(currency_outlook(day(1), usd, &rows), Some(Outlook::IsOver(day(2))));
        assert_eq!(currency_outlook(day(2), usd, &rows), None);
        rows[2].currency = Some("EUR".parse().unwrap());
        assert_eq!(currency_outlook(day(1), usd, &rows), None, "the mix-up goes on");
    }
}
