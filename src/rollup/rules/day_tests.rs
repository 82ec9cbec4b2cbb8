use super::super::Severity;
use super::*;
use crate::model::Marketplace;

const TODAY: &str = "2026-02-04";

fn today() -> Day {
    TODAY.parse().unwrap()
}

/// A row on which nothing is known.
fn facts() -> DeltaFacts<'static> {
    DeltaFacts {
        product: ProductKey { marketplace: Marketplace::Us, asin: "B0FDKB341G".parse().unwrap() },
        day: today(),
        currency: Some("USD".parse().unwrap()),
        price_basis: Some("page"),
        price: Change::default(),
        bsr: Change::default(),
        bsr_leaf: Change::default(),
        bsr_category: Some("Electronics"),
        bsr_leaf_category: Some("Earbuds"),
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

fn change_since(days: i32, prev: i64, value: i64) -> Change {
    Change {
        value: Some(value),
        prev: Some(prev),
        prev_day: Some(today().plus(-days)),
        delta: Some(value - prev),
    }
}

fn change(prev: i64, value: i64) -> Change {
    change_since(1, prev, value)
}

fn judged(facts: &DeltaFacts<'_>) -> Judged {
    judge_day(facts, &RuleSet::plain(2), &BTreeSet::from(["OWN".to_owned()]))
}

/// `rule severity` of every finding.
fn shown(facts: &DeltaFacts<'_>) -> String {
    let findings = judged(facts).findings;
    findings.iter().map(|f| format!("{} {}", f.rule, f.severity)).collect::<Vec<_>>().join(", ")
}

fn only_message(facts: &DeltaFacts<'_>) -> String {
    let findings = judged(facts).findings;
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings[0].message.clone()
}

#[test]
fn a_day_on_which_nothing_is_known_finds_nothing() {
    assert_eq!(judged(&facts()), Judged::default());
}

#[test]
fn a_price_change_counts_strictly_above_its_thresholds() {
    for (prev, value, expected) in [
        (1000, 1000, ""),
        (1000, 900, ""),
        (1000, 899, "price_drop medium"),
        (1000, 700, "price_drop medium"),
        (1000, 699, "price_drop high"),
        (1000, 500, "price_drop high"),
        (1000, 499, "price_drop critical"),
        (1000, 1100, ""),
        (1000, 1101, "price_rise medium"),
        (1000, 1300, "price_rise medium"),
        (1000, 1301, "price_rise high"),
        (1000, 1500, "price_rise high"),
        (1000, 1501, "price_rise critical"),
        // 10 % of 299,999,999 is not a whole number: the division that nobody makes would round.
        (299_999_999, 269_999_999, "price_drop medium"),
        (299_999_999, 270_000_000, ""),
        (1, i64::MAX, "price_rise critical"),
    ] {
        let facts = DeltaFacts { price: change(prev, value), ..facts() };
        assert_eq!(shown(&facts), expected, "{prev} → {value}");
    }
}

#[test]
fn a_price_message_has_the_percent_the_prices_and_the_days() {
    let facts = DeltaFacts { price: change(2599, 2277), ..facts() };
    assert_eq!(only_message(&facts), "price fell 12.4 % from 25.99 to 22.77 USD (2026-02-03 → 2026-02-04)");
    let evidence = &judged(&facts).findings[0].evidence;
    assert_eq!(
        evidence.to_string(),
        "{\"above\":10,\"day\":\"2026-02-04\",\"price\":{\"amount\":\"22.77\",\"currency\":\"USD\"},\
         \"price_basis\":\"page\",\"price_delta\":{\"amount\":\"-3.22\",\"currency\":\"USD\"},\
         \"price_delta_minor\":-322,\"price_minor\":2277,\
         \"price_pct\":-12.38937,\"price_prev\":{\"amount\":\"25.99\",\"currency\":\"USD\"},\
         \"price_prev_day\":\"2026-02-03\",\"price_prev_minor\":2599}"
            .replace("-12.38937", &((-322.0 * 100.0) / 2599.0_f64).to_string())
    );
}

#[test]
fn a_value_before_counts_up_to_seven_days_back_and_is_counted_as_a_gap_beyond() {
    let seven = DeltaFacts { price: change_since(7, 1000, 500), ..facts() };
    assert_eq!(shown(&seven), "price_drop high");
    let eight = DeltaFacts {
        price: change_since(8, 1000, 400),
        rating: change_since(8, 450, 300),
        ratings_count: change_since(8, 10, 10_000),
        bsr: change_since(8, 10, 10_000),
        availability: Availability::OutOfStock,
        availability_prev: Some(Availability::InStock),
        availability_prev_day: Some(today().plus(-8)),
        seller_id: Some("RIVAL"),
        seller_prev: Some("OWN"),
        seller_prev_day: Some(today().plus(-8)),
        ..facts()
    };
    assert_eq!(judged(&eight), Judged { findings: Vec::new(), gap_too_long: 6 });
}

#[test]
fn a_rank_change_is_judged_on_the_leaf_where_it_has_a_value_before_else_on_the_main_rank() {
    for (bsr, bsr_leaf, expected) in [
        (change(100, 130), Change::default(), ""),
        (change(100, 131), Change::default(), "bsr_worsened medium"),
        (change(100, 200), Change::default(), "bsr_worsened medium"),
        (change(100, 201), Change::default(), "bsr_worsened high"),
        (change(100, 300), Change::default(), "bsr_worsened high"),
        (change(100, 301), Change::default(), "bsr_worsened critical"),
        (change(100, 70), Change::default(), ""),
        (change(100, 69), Change::default(), "bsr_improved low"),
        (change(100, 1), Change::default(), "bsr_improved low"),
        (change(100, 301), change(10, 14), "bsr_worsened medium"),
        (change(100, 301), change(10, 10), ""),
        // Today's leaf category is new: nothing to compare with.
        (change(100, 301), Change { value: Some(5), ..Change::default() }, "bsr_worsened critical"),
    ] {
        assert_eq!(shown(&DeltaFacts { bsr, bsr_leaf, ..facts() }), expected, "{bsr:?} {bsr_leaf:?}");
    }
    let leaf = DeltaFacts { bsr: change(100, 301), bsr_leaf: change(20, 5), ..facts() };
    assert_eq!(only_message(&leaf), "rank in Earbuds improved 75.0 % from 20 to 5 (2026-02-03 → 2026-02-04)");
    assert_eq!(judged(&leaf).findings[0].evidence["field"], "bsr_leaf");
}

#[test]
fn a_rating_change_counts_from_more_than_half_a_star_on() {
    for (prev, value, expected) in [
        (450, 400, ""),
        (450, 399, "rating_fell medium"),
        (450, 350, "rating_fell medium"),
        (450, 349, "rating_fell high"),
        (300, 350, ""),
        (300, 351, "rating_rose medium"),
        (300, 400, "rating_rose medium"),
        (300, 401, "rating_rose high"),
    ] {
        assert_eq!(
            shown(&DeltaFacts { rating: change(prev, value), ..facts() }),
            expected,
            "{prev} → {value}"
        );
    }
    assert_eq!(
        only_message(&DeltaFacts { rating: change(450, 390), ..facts() }),
        "rating fell 0.6 stars from 4.5 to 3.9 (2026-02-03 → 2026-02-04)"
    );
}

#[test]
fn a_ratings_spike_is_per_day_since_the_value_before() {
    for (days, prev, value, expected) in [
        (1, 1000, 1100, ""),
        (1, 1000, 1101, "ratings_spike medium"),
        (1, 1000, 1500, "ratings_spike medium"),
        (1, 1000, 1501, "ratings_spike high"),
        (3, 1000, 1300, ""),
        (3, 1000, 1301, "ratings_spike medium"),
        (3, 1000, 2500, "ratings_spike medium"),
        (3, 1000, 2501, "ratings_spike high"),
        (1, 1000, 200, ""),
    ] {
        let facts = DeltaFacts { ratings_count: change_since(days, prev, value), ..facts() };
        assert_eq!(shown(&facts), expected, "{prev} → {value} in {days} days");
    }
    assert_eq!(
        only_message(&DeltaFacts { ratings_count: change_since(3, 1000, 1316), ..facts() }),
        "316 new ratings in 3 days, 105.3 a day: from 1000 to 1316 (2026-02-01 → 2026-02-04)"
    );
    assert_eq!(
        only_message(&DeltaFacts { ratings_count: change(1000, 1316), ..facts() }),
        "316 new ratings in one day: from 1000 to 1316 (2026-02-03 → 2026-02-04)"
    );
}

fn outlier(price: i64, median_x2: i64, mad_x4: i64, n: i64) -> DeltaFacts<'static> {
    DeltaFacts {
        price: Change { value: Some(price), ..Change::default() },
        price_outlier_n: Some(n),
        price_outlier_median_x2: Some(median_x2),
        price_outlier_mad_x4: Some(mad_x4),
        ..facts()
    }
}

#[test]
fn a_price_outlier_lies_beyond_two_robust_sigmas_of_seven_known_days() {
    // Median 20.00, MAD 1.00: two robust sigmas are 296.52 cents.
    assert_eq!(shown(&outlier(2296, 4000, 400, 7)), "");
    assert_eq!(shown(&outlier(2297, 4000, 400, 7)), "price_outlier medium");
    assert_eq!(shown(&outlier(1704, 4000, 400, 7)), "");
    assert_eq!(shown(&outlier(1703, 4000, 400, 7)), "price_outlier medium");
    // Median 100.00, MAD 100.00: exactly 29652 cents away is not beyond.
    assert_eq!(shown(&outlier(10_000 + 29_652, 20_000, 40_000, 14)), "");
    assert_eq!(shown(&outlier(10_000 + 29_653, 20_000, 40_000, 14)), "price_outlier medium");
    assert_eq!(shown(&outlier(9999, 4000, 400, 6)), "", "six known days are too few");
    assert_eq!(shown(&outlier(9999, 4000, 0, 14)), "", "without any spread there is no sigma");
    assert_eq!(
        only_message(&outlier(3000, 4001, 400, 14)),
        "price 30.00 USD is 6.7 robust sigmas above the median 20.005 USD of the 14 known days before 2026-02-04"
    );
}

fn stock(before: Availability, now: Availability) -> DeltaFacts<'static> {
    DeltaFacts {
        availability: now,
        availability_prev: Some(before),
        availability_prev_day: Some(today().plus(-1)),
        ..facts()
    }
}

#[test]
fn stock_alerts_fire_between_in_and_out_only() {
    let is_in = |a: Availability| matches!(a, Availability::InStock | Availability::LowStock);
    let is_out = |a: Availability| matches!(a, Availability::OutOfStock | Availability::Unavailable);
    for &before in Availability::ALL {
        for &now in Availability::ALL {
            let expected = match (before, now) {
                (before, now) if is_in(before) && is_out(now) => "out_of_stock critical",
                (before, now) if is_out(before) && is_in(now) => "back_in_stock low",
                _ => "",
            };
            assert_eq!(shown(&stock(before, now)), expected, "{before} → {now}");
        }
    }
    assert_eq!(
        only_message(&stock(Availability::LowStock, Availability::OutOfStock)),
        "out of stock: low stock → out of stock (2026-02-03 → 2026-02-04)"
    );
}

fn buy_box(before: &'static str, now: Option<&'static str>) -> DeltaFacts<'static> {
    DeltaFacts {
        seller_id: now,
        seller_prev: Some(before),
        seller_prev_day: Some(today().plus(-1)),
        availability: Availability::InStock,
        ..facts()
    }
}

#[test]
fn a_buy_box_is_lost_by_us_and_changes_between_anybody() {
    assert_eq!(shown(&buy_box("OWN", Some("OWN"))), "");
    assert_eq!(shown(&buy_box("OWN", Some("RIVAL"))), "buy_box_lost high, buy_box_seller_changed medium");
    assert_eq!(shown(&buy_box("RIVAL", Some("OTHER"))), "buy_box_seller_changed medium");
    assert_eq!(shown(&buy_box("RIVAL", Some("OWN"))), "buy_box_seller_changed medium");
    assert_eq!(shown(&buy_box("OWN", None)), "", "an unknown seller is not another seller");
    assert_eq!(
        only_message(&buy_box("RIVAL", Some("OTHER"))),
        "buy box seller changed: RIVAL → OTHER (2026-02-03 → 2026-02-04)"
    );
}

#[test]
fn a_buy_box_without_a_featured_offer_is_lost_once() {
    let first = DeltaFacts {
        availability: Availability::NoFeaturedOffer,
        availability_prev: Some(Availability::InStock),
        availability_prev_day: Some(today().plus(-1)),
        ..buy_box("OWN", None)
    };
    assert_eq!(only_message(&first), "buy box lost: OWN → nobody (2026-02-03 → 2026-02-04)");
    let second = DeltaFacts { availability_prev: Some(Availability::NoFeaturedOffer), ..first };
    assert_eq!(shown(&second), "");
}

#[test]
fn a_new_seller_needs_seven_days_with_a_known_seller_before() {
    let new = |known, is_new| DeltaFacts {
        seller_id: Some("NEW"),
        seller_is_new: Some(is_new),
        seller_known_days: Some(known),
        ..facts()
    };
    assert_eq!(shown(&new(6, true)), "");
    assert_eq!(shown(&new(7, true)), "new_seller low");
    assert_eq!(shown(&new(7, false)), "");
    assert_eq!(judged(&new(7, true)).findings[0].object, "NEW");
}

#[test]
fn an_all_time_low_is_below_the_lowest_of_thirty_known_days() {
    let low = |price, known| DeltaFacts {
        price: Change { value: Some(price), ..Change::default() },
        price_low_all_prev: Some(2049),
        price_known_days: Some(known),
        ..facts()
    };
    assert_eq!(shown(&low(2049, 30)), "");
    assert_eq!(shown(&low(2048, 30)), "all_time_low medium");
    assert_eq!(shown(&low(2048, 29)), "");
    assert_eq!(
        only_message(&low(1999, 45)),
        "all-time low: 19.99 USD, the lowest of the 45 known days before was 20.49 USD (2026-02-04)"
    );
}

#[test]
fn one_finding_per_rule_has_the_highest_severity() {
    let all =
        DeltaFacts { price: change(1000, 100), bsr: change(10, 100), bsr_leaf: change(10, 100), ..facts() };
    assert_eq!(shown(&all), "price_drop critical, bsr_worsened critical");
    assert!(judged(&all).findings.iter().all(|finding| finding.severity == Severity::Critical));
}
