use rust_decimal::Decimal;

use super::super::Step;
use super::*;
use crate::model::{Marketplace, ProductKey};

pub(in super::super) fn day(no: i32) -> Day {
    "2026-03-01".parse::<Day>().unwrap().plus(no)
}

/// A row on which nothing is known.
fn row(no: i32) -> DeltaFacts<'static> {
    DeltaFacts {
        product: ProductKey { marketplace: Marketplace::Us, asin: "B0FDKB341G".parse().unwrap() },
        day: day(no),
        currency: Some("USD".parse().unwrap()),
        price_basis: Some("page"),
        price: Change::default(),
        bsr: Change::default(),
        bsr_leaf: Change::default(),
        bsr_category: Some("Electronics"),
        bsr_leaf_category: None,
        rating: Change::default(),
        ratings_count: Change::default(),
        ratings_usual: None,
        availability: Availability::Unknown,
        availability_prev: None,
        availability_prev_day: None,
        seller_id: None,
        seller_prev: None,
        seller_prev_day: None,
        seller_is_new: None,
        seller_known_days: None,
        price_known_days: None,
        price_low_all_prev: None,
        price_outlier_n: None,
        price_outlier_median_x2: None,
        price_outlier_mad_x4: None,
    }
}

fn change(before: Option<(i64, Day)>, value: i64) -> Change {
    Change {
        value: Some(value),
        prev: before.map(|(prev, _)| prev),
        prev_day: before.map(|(_, day)| day),
        delta: before.map(|(prev, _)| value - prev),
    }
}

/// Rows of days with values, as the mart makes them of these alone.
fn rows<T: Copy>(
    values: &[(i32, T)],
    put: impl Fn(&mut DeltaFacts<'static>, T, Option<(T, Day)>),
) -> Vec<DeltaFacts<'static>> {
    let mut before = None;
    values
        .iter()
        .map(|&(no, value)| {
            let mut row = row(no);
            put(&mut row, value, before.replace((value, day(no))));
            row
        })
        .collect()
}

pub(in super::super) fn prices(values: &[(i32, i64)]) -> Vec<DeltaFacts<'static>> {
    let mut lowest: Option<i64> = None;
    let mut rows = rows(values, |row, value, before| row.price = change(before, value));
    for (row, known) in rows.iter_mut().zip(31..) {
        row.price_low_all_prev = lowest;
        row.price_known_days = Some(known);
        lowest = lowest.into_iter().chain(row.price.value).min();
    }
    rows
}

/// One price a day.
fn daily(values: &[i64]) -> Vec<DeltaFacts<'static>> {
    prices(&(0..).zip(values.iter().copied()).collect::<Vec<_>>())
}

pub(in super::super) fn stock(values: &[bool]) -> Vec<DeltaFacts<'static>> {
    let word = |is_in| if is_in { Availability::InStock } else { Availability::OutOfStock };
    rows(&(0..).zip(values.iter().copied()).collect::<Vec<_>>(), |row, value, before| {
        row.availability = word(value);
        row.availability_prev = before.map(|(before, _)| word(before));
        row.availability_prev_day = before.map(|(_, day)| day);
    })
}

fn sellers(values: &[Option<&'static str>]) -> Vec<DeltaFacts<'static>> {
    let (mut before, mut seen) = (None, BTreeSet::new());
    (0..)
        .zip(values)
        .map(|(no, &seller)| {
            let mut row = row(no);
            let known: Option<(&'static str, Day)> = before;
            (row.seller_prev, row.seller_prev_day) = (known.map(|(id, _)| id), known.map(|(_, day)| day));
            row.seller_id = seller;
            row.availability =
                if seller.is_some() { Availability::InStock } else { Availability::NoFeaturedOffer };
            row.seller_known_days = Some(20);
            if let Some(seller) = seller {
                row.seller_is_new = Some(seen.insert(seller));
                before = Some((seller, day(no)));
            }
            row
        })
        .collect()
}

/// A set with one rule, changed.
fn only(rule: Rule, change: impl Fn(&mut RuleSpec)) -> RuleSet {
    let mut set = RuleSet::plain(2);
    set.rules.retain(|spec| spec.rule == rule);
    set.rules.iter_mut().for_each(change);
    set
}

/// Everything that is found as the days go by: `day:rule:severity`.
fn found(rows: &[DeltaFacts<'_>], set: &RuleSet) -> String {
    let own = BTreeSet::from(["OWN".to_owned()]);
    let found = (1..=rows.len()).flat_map(|count| judge_newest(&rows[..count], set, &own).findings);
    let found = found.map(|finding| {
        format!("{}:{}:{}", finding.day.no() - day(0).no(), finding.rule.as_str(), finding.severity.as_str())
    });
    found.collect::<Vec<_>>().join(" ")
}

fn twice(rule: Rule) -> RuleSet {
    only(rule, |spec| spec.confirmations = 2)
}

#[test]
fn a_set_that_wants_one_look_finds_what_the_row_says() {
    let rows = daily(&[1000, 899, 899, 1200, 500]);
    let plain = RuleSet::plain(2);
    assert_eq!(
        found(&rows, &plain),
        "1:price_drop:medium 1:all_time_low:medium 3:price_rise:high 4:price_drop:critical 4:all_time_low:medium"
    );
}

#[test]
fn a_change_is_found_when_it_has_lasted_and_a_wrong_reading_never() {
    let drop = twice(Rule::PriceDrop);
    assert_eq!(found(&daily(&[1000, 850, 850, 850]), &drop), "2:price_drop:medium");
    assert_eq!(found(&daily(&[1000, 850, 1000, 850, 1000]), &drop), "");
    // Neither when a tenfold price comes nor when it goes.
    assert_eq!(found(&daily(&[1000, 10_000, 1000, 1000, 1000]), &RuleSet { ..drop.clone() }), "");
    assert_eq!(found(&daily(&[1000, 10_000, 1000, 1000]), &twice(Rule::PriceRise)), "");
    // What lasts is judged by where it ends up.
    assert_eq!(found(&daily(&[1000, 850, 400]), &drop), "2:price_drop:critical");
    assert_eq!(found(&daily(&[1000, 400, 850]), &drop), "2:price_drop:medium");
    // A fall right after a rise that did not last is measured from before both.
    assert_eq!(found(&daily(&[1000, 2000, 800, 800]), &drop), "3:price_drop:medium");
    // And what began new after it was found is found anew.
    assert_eq!(found(&daily(&[1000, 850, 850, 700, 700]), &drop), "2:price_drop:medium 4:price_drop:medium");
}

#[test]
fn three_looks_are_three() {
    let set = only(Rule::PriceDrop, |spec| spec.confirmations = 3);
    assert_eq!(found(&daily(&[1000, 850, 850, 1000]), &set), "");
    assert_eq!(found(&daily(&[1000, 850, 850, 850]), &set), "3:price_drop:medium");
}

#[test]
fn a_message_names_the_days_between_which_it_happened() {
    let rows = daily(&[1000, 850, 850]);
    let judged = judge_newest(&rows, &twice(Rule::PriceDrop), &BTreeSet::new());
    assert_eq!(
        judged.findings[0].message,
        "price fell 15.0 % from 10.00 to 8.50 USD (2026-03-01 → 2026-03-03)"
    );
    assert_eq!(judged.findings[0].evidence["price_prev_day"], "2026-03-01");
}

#[test]
fn days_between_looks_count_up_to_the_longest_gap() {
    let drop = twice(Rule::PriceDrop);
    assert_eq!(found(&prices(&[(0, 1000), (7, 850), (14, 850)]), &drop), "14:price_drop:medium");
    assert_eq!(found(&prices(&[(0, 1000), (8, 850), (9, 850)]), &drop), "");
    assert_eq!(found(&prices(&[(0, 1000), (1, 850), (9, 850), (10, 850)]), &drop), "");
}

#[test]
fn another_currency_or_category_begins_anew() {
    let mut rows = daily(&[1000, 850, 850]);
    rows[1].currency = Some("EUR".parse().unwrap());
    rows[1].price = change(None, 850);
    rows[2].price = change(Some((1000, day(0))), 850);
    assert_eq!(found(&rows, &twice(Rule::PriceDrop)), "", "one reading in dollars is one look");
}

#[test]
fn what_happened_lately_is_told_again_only_when_it_is_graver() {
    let set = only(Rule::PriceDrop, |spec| spec.cooldown_days = 5);
    assert_eq!(
        found(&daily(&[1000, 850, 1000, 850, 1000, 400, 1000]), &set),
        "1:price_drop:medium 5:price_drop:critical"
    );
    // Each time it happens the silence begins anew; after as many days without it, it is news.
    let on_days = |days: &[i32]| {
        let values: Vec<i64> = (0..30).map(|no| if days.contains(&no) { 850 } else { 1000 }).collect();
        found(&daily(&values), &set)
    };
    assert_eq!(on_days(&[2, 7, 12]), "2:price_drop:medium");
    assert_eq!(on_days(&[2, 8, 14]), "2:price_drop:medium 8:price_drop:medium 14:price_drop:medium");
}

#[test]
fn stock_that_flaps_is_silent_and_stock_that_is_gone_is_not() {
    let set = twice(Rule::OutOfStock);
    assert_eq!(found(&stock(&[true, false, true, false, true, true]), &set), "");
    assert_eq!(found(&stock(&[true, false, false, false]), &set), "2:out_of_stock:critical");
    assert_eq!(found(&stock(&[false, true, true]), &twice(Rule::BackInStock)), "2:back_in_stock:low");
    assert_eq!(found(&stock(&[false, true, false, false]), &twice(Rule::BackInStock)), "");
}

#[test]
fn a_buy_box_is_lost_to_one_seller_or_to_nobody_for_good() {
    let lost = twice(Rule::BuyBoxLost);
    let changed = twice(Rule::BuyBoxSellerChanged);
    let there = [Some("OWN"), Some("OWN"), Some("A"), Some("A"), Some("A")];
    assert_eq!(found(&sellers(&there), &lost), "3:buy_box_lost:high");
    assert_eq!(found(&sellers(&there), &changed), "3:buy_box_seller_changed:medium");
    let flips = [Some("OWN"), Some("A"), Some("OWN"), Some("A"), Some("OWN")];
    assert_eq!(found(&sellers(&flips), &lost), "");
    // Each of several is one look.
    let others = [Some("A"), Some("A"), Some("B"), Some("C"), Some("D"), Some("D")];
    assert_eq!(found(&sellers(&others), &changed), "5:buy_box_seller_changed:medium");
    let nobody = [Some("OWN"), Some("OWN"), None, None, Some("OWN")];
    assert_eq!(found(&sellers(&nobody), &lost), "3:buy_box_lost:high");
    let several = [Some("OWN"), Some("OWN"), Some("A"), Some("B"), Some("A")];
    assert_eq!(found(&sellers(&several), &lost), "3:buy_box_lost:high", "lost to whomever");
    assert_eq!(found(&sellers(&several), &changed), "");
    assert_eq!(found(&sellers(&[Some("OWN"), None, Some("OWN"), None, Some("OWN")]), &lost), "");
}

#[test]
fn sellers_who_take_turns_are_no_news_and_who_was_there_first_is() {
    let thrice = only(Rule::BuyBoxSellerChanged, |spec| spec.confirmations = 3);
    // A day that nobody saw makes three looks of two turns.
    let turns = [Some("A"), Some("B"), Some("B"), Some("C"), Some("A"), Some("A"), Some("A"), Some("B")];
    assert_eq!(found(&sellers(&turns), &thrice), "");
    let mut first = sellers(&[Some("A"), Some("B"), Some("B"), Some("B")]);
    assert_eq!(found(&first, &thrice), "", "nobody knows for how long A had it");
    first[0].seller_known_days = Some(0);
    assert_eq!(found(&first, &thrice), "3:buy_box_seller_changed:medium");
    let back =
        [Some("A"), Some("A"), Some("A"), Some("B"), Some("B"), Some("B"), Some("A"), Some("A"), Some("A")];
    assert_eq!(
        found(&sellers(&back), &thrice),
        "5:buy_box_seller_changed:medium 8:buy_box_seller_changed:medium"
    );
}

#[test]
fn the_way_back_from_what_was_nearly_a_drop_is_no_rise() {
    let set = twice(Rule::PriceRise);
    // 9.5 % down for a day, and 10.5 % up again.
    assert_eq!(found(&daily(&[1000, 1000, 905, 1000, 1000]), &set), "");
    assert_eq!(found(&daily(&[1000, 1000, 905, 905, 1000, 1000]), &set), "5:price_rise:medium");
}

#[test]
fn a_change_of_seller_is_the_same_when_the_same_seller_comes() {
    let set = only(Rule::BuyBoxSellerChanged, |spec| {
        (spec.confirmations, spec.cooldown_days) = (2, 7);
    });
    let there_and_back =
        [Some("A"), Some("A"), Some("B"), Some("B"), Some("A"), Some("A"), Some("B"), Some("B")];
    assert_eq!(
        found(&sellers(&there_and_back), &set),
        "3:buy_box_seller_changed:medium 5:buy_box_seller_changed:medium",
        "B again within the week is known"
    );
}

#[test]
fn a_seller_is_new_when_it_stays() {
    let set = twice(Rule::NewSeller);
    assert_eq!(
        found(&sellers(&[Some("A"), Some("A"), Some("B"), Some("B")]), &set),
        "1:new_seller:low 3:new_seller:low"
    );
    assert_eq!(found(&sellers(&[Some("B"), Some("A"), Some("B"), Some("A")]), &set), "");
    let passed = [Some("A"), Some("A"), Some("A"), Some("B"), Some("A"), Some("A"), Some("A")];
    assert_eq!(found(&sellers(&passed)[3..], &set), "", "who was there before is not new");
}

#[test]
fn an_all_time_low_has_to_last_and_to_be_worth_something() {
    let set = twice(Rule::AllTimeLow);
    assert_eq!(found(&daily(&[1000, 900, 900]), &set), "2:all_time_low:medium");
    assert_eq!(found(&daily(&[1000, 900, 1000, 900, 900]), &set), "", "the lowest there was before");
    let thrice = only(Rule::AllTimeLow, |spec| spec.confirmations = 3);
    assert_eq!(found(&daily(&[1000, 900, 900, 900]), &thrice), "3:all_time_low:medium");
    let interrupted = daily(&[1000, 1000, 900, 90_000, 900, 900, 900, 900]);
    assert_eq!(found(&interrupted, &thrice), "6:all_time_low:medium", "one look in between was wrong");
    let two_percent = only(Rule::AllTimeLow, |spec| {
        spec.confirmations = 2;
        spec.steps[0].above = 200;
    });
    assert_eq!(found(&daily(&[1000, 980, 980, 980]), &two_percent), "");
    assert_eq!(found(&daily(&[1000, 979, 979, 979]), &two_percent), "2:all_time_low:medium");
}

#[test]
fn a_rank_is_compared_with_its_median_and_told_once_until_it_is_back() {
    let set = only(Rule::BsrWorsened, |spec| {
        (spec.reference, spec.confirmations) = (Reference::Median(7), 2);
    });
    let ranks = |values: &[i64]| {
        rows(&(0..).zip(values.iter().copied()).collect::<Vec<_>>(), |row, value, before| {
            row.bsr = change(before, value);
        })
    };
    // Day by day it goes up and down by half: the median does not.
    assert_eq!(found(&ranks(&[100, 150, 95, 140, 100, 150, 90, 145, 100, 150]), &set), "");
    let gone = [100, 110, 100, 95, 105, 100, 240, 250, 260, 255, 250, 270, 260];
    assert_eq!(found(&ranks(&gone), &set), "7:bsr_worsened:high");
    let judged = judge_newest(&ranks(&gone[..8]), &set, &BTreeSet::new());
    assert_eq!(
        judged.findings[0].message,
        "rank in Electronics worsened 150.0 % from 100 to 250 (2026-03-06 → 2026-03-08), against the median of 7 days"
    );
}

#[test]
fn a_change_may_be_measured_from_what_was_told_last_or_from_the_lowest_ever() {
    let told = only(Rule::PriceDrop, |spec| spec.reference = Reference::LastFound);
    // 4 % a day: nothing day by day, but a tenth since what was told.
    let slow = daily(&[1000, 880, 845, 811, 779, 748, 718]);
    assert_eq!(found(&slow, &told), "1:price_drop:medium 4:price_drop:medium");
    let lowest = only(Rule::PriceDrop, |spec| spec.reference = Reference::AllTime);
    assert_eq!(
        found(&daily(&[1000, 800, 2000, 750, 2000, 650]), &lowest),
        "1:price_drop:medium 5:price_drop:medium"
    );
}

#[test]
fn an_amount_keeps_pennies_quiet() {
    let set = only(Rule::PriceDrop, |spec| {
        spec.confirmations = 2;
        spec.steps[0] = Step { min_abs: Some(Decimal::ONE), ..spec.steps[0] };
    });
    assert_eq!(found(&daily(&[500, 420, 420]), &set), "", "80 cents");
    assert_eq!(found(&daily(&[5000, 4200, 4200]), &set), "2:price_drop:medium");
    assert_eq!(found(&daily(&[500, 400, 400]), &set), "", "exactly the amount is not more than it");
}

fn counts(values: &[i64]) -> Vec<DeltaFacts<'static>> {
    rows(&(0..).zip(values.iter().copied()).collect::<Vec<_>>(), |row, value, before| {
        row.ratings_count = change(before, value);
    })
}

#[test]
fn what_a_bestseller_gets_every_day_is_no_spike() {
    let plain = twice(Rule::RatingsSpike);
    let usual = only(Rule::RatingsSpike, |spec| {
        (spec.reference, spec.confirmations) = (Reference::Median(14), 2);
    });
    // 90 a day, then 110 and 150, then as before.
    let busy = counts(&[1000, 1090, 1180, 1270, 1380, 1530, 1620, 1710]);
    assert_eq!(found(&busy, &plain), "5:ratings_spike:medium");
    assert_eq!(found(&busy, &usual), "");
    let flooded = counts(&[1000, 1090, 1180, 1270, 1571, 1661]);
    assert_eq!(found(&flooded, &usual), "5:ratings_spike:medium");
    assert_eq!(
        judge_newest(&flooded, &usual, &BTreeSet::new()).findings[0].message,
        "391 new ratings in 2 days, 195.5 a day, usually 90 a day: from 1270 to 1661 (2026-03-04 → 2026-03-06)"
    );
    let after_a_day_unseen = |count: i64| {
        let values = [(0, 1000), (1, 1090), (2, 1180), (3, 1270), (5, count), (6, count + 90)];
        rows(&values, |row, value, before| row.ratings_count = change(before, value))
    };
    assert_eq!(found(&after_a_day_unseen(1550), &usual), "", "exactly 100 more than usual in two days");
    assert_eq!(found(&after_a_day_unseen(1551), &usual), "6:ratings_spike:medium");
}

#[test]
fn many_ratings_have_to_stay() {
    let set = twice(Rule::RatingsSpike);
    assert_eq!(found(&counts(&[1000, 1150, 1155, 1160]), &set), "2:ratings_spike:medium");
    assert_eq!(found(&counts(&[1000, 1150, 1000, 1005]), &set), "");
}

#[test]
fn a_finding_is_the_same_however_much_of_the_past_is_read() {
    use proptest::prelude::*;
    let set = RuleSet::calm(2);
    let look_back = set.look_back_days();
    proptest!(ProptestConfig::with_cases(300), |(steps in proptest::collection::vec((0_usize..8, 1_i32..4), 40..70))| {
        let factors = [1000, 1000, 1000, 990, 850, 600, 1010, 3000];
        let mut no = 0;
        let values: Vec<(i32, i64)> = steps.iter().map(|&(factor, pause)| { no += pause; (no, factors[factor]) }).collect();
        let rows = prices(&values);
        let newest = rows.last().unwrap().day;
        let own = BTreeSet::new();
        let first = rows.partition_point(|row| row.day < newest.plus(-look_back));
        prop_assert_eq!(judge_newest(&rows, &set, &own), judge_newest(&rows[first..], &set, &own));
    });
}
