//! Days of the past: rules on a small product, and days of the real ones that another program worked out.

use serde_json::{Value, json};

use super::history::expand;
use super::payload::Product;
use super::tests::product;
use crate::model::{Day, DayRange, Observation, ReportingZone};
use crate::normalize::golden::{context, read};
use crate::normalize::record::Identity;
use crate::normalize::{AskedDays, Parsed, RecordFormat, Shape, parse, recognise};

fn range(first: &str, last: &str) -> DayRange {
    DayRange { first: first.parse().unwrap(), last: last.parse().unwrap() }
}

/// Day, price, basis, shipping, list price, availability, offers, seller, rank, rating, ratings.
fn line(day: Day, seen: &Observation) -> String {
    let shown = |value: Option<i64>| value.map_or("-".to_owned(), |value| value.to_string());
    let offer = &seen.offer;
    let main = seen.rank.main();
    [
        day.to_string(),
        shown(offer.price_minor),
        offer.price_basis.map_or("-", |basis| basis.as_str()).to_owned(),
        shown(offer.shipping_minor),
        shown(offer.list_price_minor),
        offer.availability.to_string(),
        shown(offer.offer_count),
        offer.seller_id.clone().unwrap_or("-".to_owned()),
        main.map_or("-".to_owned(), |rank| format!("{} {}", rank.rank, rank.category)),
        shown(seen.rating.rating_centi),
        shown(seen.rating.ratings_count),
    ]
    .join(" | ")
}

/// The days of the range, one line each.
fn days(body: &str, asked: DayRange, zone: chrono_tz::Tz) -> Vec<String> {
    let product: Product<'_> = serde_json::from_str(body).unwrap();
    let product = match &product.products {
        Some(products) => products.0[0].object.as_ref().unwrap(),
        None => &product,
    };
    let recognised = recognise(RecordFormat::Json, body.as_bytes());
    let identity =
        Identity { marketplace: recognised.marketplace.unwrap(), asin: recognised.asin_returned.unwrap() };
    let zone = ReportingZone(zone);
    let told = expand(product, identity, asked, zone);
    for (day, at, seen) in &told {
        assert_eq!(zone.day_of(*at), *day);
        assert_eq!(zone.end_of(*day), *at + chrono::Duration::seconds(1));
        assert!(seen.found && seen.listing == Default::default() && seen.monthly_sold_min.is_none());
    }
    told.iter().map(|(day, _, seen)| line(*day, seen)).collect()
}

/// Those of the lines that are expected, or that fall on a day which must not be there.
fn compare(sample: &str, zone: chrono_tz::Tz, expected: &[&str], absent: &[&str]) {
    let Some(body) = read(&format!("keepa/{sample}")) else { return };
    let body = String::from_utf8(body).unwrap();
    let told = days(&body, range("2024-01-01", "2027-01-01"), zone);
    for line in expected {
        let day = &line[..10];
        assert_eq!(told.iter().find(|told| told.starts_with(day)).map(String::as_str), Some(*line));
    }
    for day in absent {
        assert!(!told.iter().any(|told| told.starts_with(day)), "{day}");
    }
}

#[test]
fn days_of_a_real_product_are_those_that_another_program_worked_out() {
    compare(
        "product.us.B0D8W1YVBX.buybox.json.gz",
        chrono_tz::UTC,
        &[
            "2024-09-14 | 2499 | buy_box | 0 | - | in_stock | 1 | AFZNN5H6MIT2Z | 272670 Beauty & Personal Care | - | -",
            "2024-09-16 | 2499 | buy_box | 0 | - | in_stock | 1 | AFZNN5H6MIT2Z | 413455 Beauty & Personal Care | - | -",
            "2025-01-23 | 1999 | buy_box | 0 | 2499 | in_stock | 1 | AFZNN5H6MIT2Z | 4291 Beauty & Personal Care | 440 | 128",
            "2025-10-01 | 1999 | buy_box | 0 | 2499 | in_stock | 2 | AFZNN5H6MIT2Z | 157 Beauty & Personal Care | 430 | 1483",
            "2026-02-15 | 1999 | buy_box | 0 | 2499 | in_stock | 4 | AFZNN5H6MIT2Z | 22 Beauty & Personal Care | 440 | 6360",
            "2026-02-16 | 1999 | buy_box | 0 | 2499 | in_stock | 4 | AFZNN5H6MIT2Z | 21 Beauty & Personal Care | 440 | 6413",
            "2026-02-24 | 1999 | buy_box | 0 | 2499 | in_stock | 3 | AFZNN5H6MIT2Z | 9 Beauty & Personal Care | 440 | 10135",
            "2026-03-25 | 1499 | buy_box | 0 | 2499 | in_stock | 3 | AFZNN5H6MIT2Z | 24 Beauty & Personal Care | 440 | 8795",
            "2026-05-08 | 1499 | buy_box | 0 | 2499 | in_stock | 4 | AFZNN5H6MIT2Z | 25 Beauty & Personal Care | 430 | 11544",
            "2026-05-09 | 1499 | buy_box | 0 | 2499 | in_stock | 4 | AFZNN5H6MIT2Z | 25 Beauty & Personal Care | 430 | 11597",
        ],
        &["2024-09-13", "2026-05-10", "2026-05-11"],
    );
}

#[test]
fn a_day_ends_when_the_zone_says_also_when_clocks_are_changed() {
    compare(
        "product.us.B0D8W1YVBX.buybox.json.gz",
        chrono_tz::America::Los_Angeles,
        &[
            "2025-11-01 | 1999 | buy_box | 0 | 2499 | in_stock | 1 | AFZNN5H6MIT2Z | 81 Beauty & Personal Care | 440 | 2019",
            "2025-11-02 | 1999 | buy_box | 0 | 2499 | in_stock | 1 | AFZNN5H6MIT2Z | 81 Beauty & Personal Care | 440 | 2065",
            "2025-11-03 | 1999 | buy_box | 0 | 2499 | in_stock | 2 | AFZNN5H6MIT2Z | 83 Beauty & Personal Care | 440 | 2091",
            "2026-03-07 | 1999 | buy_box | 0 | 2499 | in_stock | 3 | AFZNN5H6MIT2Z | 21 Beauty & Personal Care | 440 | 7767",
            "2026-03-08 | 1999 | buy_box | 0 | 2499 | in_stock | 3 | AFZNN5H6MIT2Z | 21 Beauty & Personal Care | 440 | 7816",
            "2026-03-09 | 1990 | buy_box | 0 | 2499 | in_stock | 4 | A13ASQDJPF4YGN | 22 Beauty & Personal Care | 440 | 7868",
            "2026-05-08 | 1499 | buy_box | 0 | 2499 | in_stock | 4 | AFZNN5H6MIT2Z | 25 Beauty & Personal Care | 430 | 11546",
        ],
        &["2026-05-09"],
    );
    // 2026-03-08 has 23 hours in Los Angeles: it ends at 07:00Z, Keepa minute 7,986,660.
    let at = |minute: i64| {
        let csv = json!([null, [7_900_000, 2000, minute, 3000]]);
        let body = product(json!({"csv": csv, "stats": null})).to_string();
        days(&body, range("2026-03-08", "2026-03-08"), chrono_tz::America::Los_Angeles)[0][13..17].to_owned()
    };
    assert_eq!((at(7_986_659).as_str(), at(7_986_660).as_str()), ("3000", "2000"));
}

#[test]
fn a_price_without_shipping_is_not_compared_with_one_that_has_it() {
    compare(
        "product.us.B0F7XPYCSJ.no-buybox.json",
        chrono_tz::UTC,
        &[
            "2025-05-13 | - | - | - | 3599 | in_stock | 1 | - | 171778 Industrial & Scientific | - | -",
            "2026-01-28 | - | - | - | 3599 | in_stock | 1 | - | 8387 Industrial & Scientific | - | -",
            "2026-01-29 | - | - | - | 3599 | out_of_stock | - | - | 118464 Industrial & Scientific | - | -",
            "2026-01-30 | - | - | - | 3599 | out_of_stock | - | - | 118830 Industrial & Scientific | - | -",
            "2026-01-31 | - | - | - | 3599 | in_stock | 1 | - | 183442 Industrial & Scientific | - | -",
            "2026-02-15 | - | - | - | 3599 | in_stock | 1 | - | - | - | -",
            "2026-02-16 | 2599 | new_lowest | - | 3599 | in_stock | 1 | - | - | - | -",
            "2026-03-20 | 2599 | new_lowest | - | 3599 | in_stock | 1 | - | 8719 Industrial & Scientific | - | -",
            "2026-04-23 | 2599 | new_lowest | - | 3599 | in_stock | 1 | - | 16884 Industrial & Scientific | - | -",
            "2026-04-24 | 2599 | new_lowest | - | 3599 | in_stock | 1 | - | - | - | -",
            "2026-05-09 | 2599 | new_lowest | - | 3599 | in_stock | 1 | - | - | - | -",
        ],
        &["2025-05-12", "2026-05-10"],
    );
}

#[test]
fn the_lowest_new_price_is_told_from_the_day_on_that_it_has_shipping_in_it() {
    let minute = noon("2026-02-14");
    let told = |csv: Value| {
        let body = product(json!({"stats": null, "csv": csv, "buyBoxSellerIdHistory": null}));
        let told = days(&body.to_string(), range("2026-02-15", "2026-02-17"), chrono_tz::UTC);
        told.iter().map(|line| line.split(" | - | ").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let new = json!([minute, 2000]);
    assert_eq!(
        told(json!([null, new])),
        ["2026-02-15", "2026-02-16 | 2000 | new_lowest", "2026-02-17 | 2000 | new_lowest"]
    );
    // The buy box has its shipping apart, before and after.
    let mut with_buy_box = vec![Value::Null; 19];
    with_buy_box[1] = new;
    with_buy_box[18] = json!([minute, 2000, 500]);
    let same = |day: &str| format!("{day} | 2000 | buy_box | 500");
    assert_eq!(told(Value::from(with_buy_box)), ["2026-02-15", "2026-02-16", "2026-02-17"].map(same));
}

#[test]
fn yen_and_gaps_of_the_rank_of_a_japanese_product() {
    compare(
        "product.jp.B0D4M48BM2.json.gz",
        chrono_tz::Asia::Tokyo,
        &[
            "2024-05-20 | - | - | - | - | out_of_stock | - | - | - | - | -",
            "2024-05-23 | 2980 | buy_box | 0 | - | in_stock | 1 | AN1VRQENFRJN5 | 1923 ホーム＆キッチン | - | -",
            "2024-09-05 | 2980 | buy_box | 0 | 2709 | in_stock | 2 | AN1VRQENFRJN5 | - | - | -",
            "2024-09-06 | 2980 | buy_box | 0 | 2709 | in_stock | 2 | AN1VRQENFRJN5 | 2157 ホーム＆キッチン | - | -",
            "2025-09-25 | 2680 | buy_box | 0 | 2980 | in_stock | 2 | AN1VRQENFRJN5 | 325 ホーム＆キッチン | - | -",
            "2025-11-10 | 2530 | buy_box | 0 | - | in_stock | 2 | AN1VRQENFRJN5 | 332 ホーム＆キッチン | - | -",
        ],
        &["2024-05-19", "2025-11-11"],
    );
}

/// Keepa minute of noon UTC.
fn noon(day: &str) -> i64 {
    let day: Day = day.parse().unwrap();
    i64::from(day.no()) * 1440 + 720 - 21_564_000
}

#[test]
fn each_series_begins_by_itself_and_nothing_is_told_before_the_first() {
    let body = product(json!({
        "stats": null, "lastUpdate": noon("2026-03-05"), "buyBoxSellerIdHistory": null,
        "csv": [
            null, [noon("2026-03-02"), 2000, noon("2026-03-04"), -1], null, [noon("2026-03-03"), 9], null, null, null, null,
            null, null, null, null, null, null, null, null, [noon("2026-03-01"), 45]
        ],
        "salesRankReferenceHistory": [noon("2026-03-03"), 172282],
    }));
    assert_eq!(
        days(&body.to_string(), range("2026-02-01", "2026-04-01"), chrono_tz::UTC),
        [
            "2026-03-01 | - | - | - | - | unknown | - | - | - | 450 | -",
            "2026-03-02 | 2000 | new_lowest | - | - | in_stock | - | - | - | 450 | -",
            "2026-03-03 | 2000 | new_lowest | - | - | in_stock | - | - | 9 Electronics | 450 | -",
            "2026-03-04 | - | - | - | - | out_of_stock | - | - | 9 Electronics | 450 | -",
        ],
        "the day of the last update has not ended"
    );
}

#[test]
fn nobody_in_the_buy_box_is_not_out_of_stock() {
    let body = |holder: Value| {
        product(json!({
            "stats": null, "lastUpdate": noon("2026-03-05"), "buyBoxSellerIdHistory": holder,
            "csv": [[1, -1], [noon("2026-03-02"), 2000]], "salesRankReferenceHistory": null, "salesRankReference": -1,
        }))
        .to_string()
    };
    let told =
        |holder: Value| days(&body(holder), range("2026-03-03", "2026-03-03"), chrono_tz::UTC)[0].clone();
    assert!(told(json!(["1", "-1"])).contains("no_featured_offer"));
    assert!(told(json!(["1", "-2"])).contains("| in_stock | - | - |"));
    assert!(told(json!(["1", "A1SELLER00001"])).contains("| in_stock | - | A1SELLER00001 |"));
}

fn read_history(body: &Value, asked: Option<Vec<DayRange>>) -> Parsed {
    let body = body.to_string();
    let mut recognised = recognise(RecordFormat::Json, body.as_bytes());
    recognised.shape = recognised.shape.of_kind("history");
    assert_eq!(recognised.shape, Shape::KeepaHistory);
    let mut context = context(&recognised, None);
    context.now = "2026-04-01T00:00:00Z".parse().unwrap();
    context.history = asked.map(|ranges| AskedDays { ranges, zone: ReportingZone(chrono_tz::UTC) });
    parse(&context, body.as_bytes())
}

#[test]
fn the_items_of_a_history_stay_the_same_when_more_days_are_asked_for() {
    let answer = json!({
        "tokensLeft": 1, "refillRate": 1,
        "products": [product(json!({})), product(json!({"asin": "B0FDK67PQR"}))],
    });
    let items = |ranges: Vec<DayRange>| -> Vec<u32> {
        let mut parsed = read_history(&answer, Some(ranges));
        assert_eq!(parsed.rejects, []);
        parsed.take_observations().map(|(place, _)| place.item).collect()
    };
    let few = items(vec![range("2026-03-01", "2026-03-02")]);
    assert_eq!(few, [20_513, 20_514, 120_513, 120_514]);
    let more = items(vec![range("2026-03-02", "2026-03-03"), range("2026-03-01", "2026-03-02")]);
    assert_eq!(more, [20_513, 20_514, 20_515, 120_513, 120_514, 120_515]);
}

#[test]
fn a_history_without_days_is_kept_and_one_without_time_is_refused() {
    let nothing = read_history(&product(json!({})), None);
    assert!(nothing.kept && nothing.rejects.is_empty() && nothing.observations.is_empty());
    let before = read_history(&product(json!({})), Some(vec![range("2020-01-01", "2020-01-31")]));
    assert!(before.kept && before.observations.is_empty());
    let asked = || Some(vec![range("2026-03-01", "2026-03-02")]);
    let timeless = read_history(&product(json!({"lastUpdate": 0})), asked());
    assert_eq!((timeless.rejects[0].field.as_str(), timeless.kept), ("lastUpdate", false));
    let absurd = product(json!({"csv": [null, [7_900_000, 300_000_001_i64]]}));
    let absurd = read_history(&absurd, asked());
    assert_eq!((absurd.rejects[0].field.as_str(), absurd.observations.len()), ("csv.1", 0));
}
