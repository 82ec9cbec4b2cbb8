//! (tests) Documents with something in them to see: a price war, an outage, gaps, hostile titles.

use super::document::{
    AlertLine, Body, Cohort, Counted, DataQuality, DayPoint, Figure, Latest, Measure, OverlayMember, Product,
    ProductReport, RankLine, Report, SCHEMA, Trend, WatchedProduct, WatchlistReport, WatchlistSummary,
    WindowFigure, WindowSummary,
};
use crate::model::{
    Asin, Availability, Currency, DailyRow, Day, DayRange, Marketplace, Money, OfferBlock, ProductKey, Rank,
    RankBlock, RatingBlock,
};
use crate::narrate::structured;
use crate::rollup::compare::{Comparison, Member, compare};

pub(super) const AS_OF: &str = "2026-05-03";
pub(super) const DAYS: i32 = 90;
/// A title that would run a script, forge a cell, recolour a terminal and turn text around.
pub(super) const HOSTILE: &str = "<script>alert(1)</script> \"5\" & 'x' | `a` \u{1b}[31m\u{202e}evil";

pub(super) fn as_of() -> Day {
    AS_OF.parse().unwrap()
}

pub(super) fn usd() -> Currency {
    "USD".parse().unwrap()
}

fn window() -> DayRange {
    DayRange::window(as_of(), DAYS)
}

/// The same sequence in every run.
fn noise(seed: i64, index: i64) -> i64 {
    let mut x = (seed * 7_919 + index * 104_729 + 12_345).unsigned_abs();
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    (x % 1000) as i64
}

pub(super) fn key(number: i64) -> ProductKey {
    let asin: Asin = format!("B0SAMPLE{number:02}").parse().unwrap();
    ProductKey { marketplace: Marketplace::Us, asin }
}

/// One product's daily rows: `level` decides price and rank, the main product (0) has the story.
pub(super) fn rows(number: i64) -> Vec<DailyRow> {
    window()
        .days()
        .enumerate()
        .filter(|(i, _)| number != 0 || !matches!(*i, 23..=27 | 61))
        .map(|(i, day)| {
            let i = i as i64;
            let base = 2599 + 350 * number - 180 * (number % 3);
            let sale = if number == 0 && (40..52).contains(&i) { -500 } else { 0 };
            let late = if number == 2 && i > 55 { -600 } else { 0 };
            let price = base + sale + late + (noise(number, i / 9) % 5) * 40;
            let out = number == 0 && (70..75).contains(&i);
            let availability = match i {
                _ if out => Availability::Unavailable,
                66..=69 if number == 0 => Availability::LowStock,
                76 if number == 0 => Availability::ShipsLater,
                12 => Availability::Unknown,
                _ => Availability::InStock,
            };
            row(key(number), day, (!out).then_some(price), availability, i)
        })
        .collect()
}

fn row(key: ProductKey, day: Day, price: Option<i64>, availability: Availability, i: i64) -> DailyRow {
    let rank = |category: &str, rank: i64, is_main: bool| Rank {
        category_id: None,
        category: category.to_owned(),
        rank: rank.max(1),
        is_main,
    };
    let main = noise(3, i) / 4 + 20;
    DailyRow {
        marketplace: key.marketplace,
        asin: key.asin,
        day,
        observed_at: day.date().and_hms_opt(12, 0, 0).unwrap().and_utc(),
        currency: usd(),
        offer: OfferBlock {
            price_minor: price,
            list_price_minor: Some(3299),
            seller_name: Some("Soundcore Direct".into()),
            availability,
            ..OfferBlock::default()
        },
        rank: RankBlock {
            ranks: vec![
                rank("Electronics", rank_value(main, key, i), true),
                rank("Earbud Headphones", main / 8 + 4, false),
            ],
            path_leaf: None,
        },
        rating: RatingBlock {
            rating_centi: Some(430 + (i / 30) * 10 - if key.asin.as_str().ends_with('3') { 60 } else { 0 }),
            ratings_count: Some(1_180 + i * 7 + noise(9, i) % 5),
        },
        monthly_sold_min: Some(5000),
        low_price_minor: price.map(|price| if i % 11 == 0 { price - 150 } else { price }),
        high_price_minor: price,
        observations: 1,
        source: "apify".into(),
        sources: "apify".into(),
    }
}

fn rank_value(wave: i64, key: ProductKey, i: i64) -> i64 {
    let number: i64 = key.asin.as_str()[8..].parse().unwrap();
    let sale = if number == 0 && (42..58).contains(&i) { 3 } else { 1 };
    (300 + number * 410 + wave * (1 + number)) / sale
}

fn member(number: i64) -> Member {
    let titles = [
        "Soundcore P40i Noise Cancelling Wireless Earbuds, 60H Playtime, Bluetooth 5.3, IPX5",
        "AOSRAU Open-Ear Headphones",
        "JLab Go Air Pop+",
        "電子商品 ワイヤレスイヤホン Bluetooth 5.4",
        HOSTILE,
        "Skullcandy Dime 3",
    ];
    let labels = ["P40i", "AOSRAU Open-Ear", "JLab Go Air", "", "", "Skullcandy Dime 3"];
    Member {
        key: key(number),
        title: Some(titles[number as usize % titles.len()].to_owned()),
        label: labels[number as usize % labels.len()].to_owned(),
        priority: 0,
        days: if number == 5 { rows(number)[..70].to_vec() } else { rows(number) },
    }
}

pub(super) fn comparison() -> Comparison {
    let rivals: Vec<Member> = (1..6).map(member).collect();
    compare(Some("earbuds"), as_of(), DAYS, &member(0), &rivals)
}

fn point(row: &DailyRow) -> DayPoint {
    DayPoint {
        day: row.day,
        price_minor: row.offer.price_minor,
        list_price_minor: row.offer.list_price_minor,
        low_price_minor: row.low_price_minor,
        high_price_minor: row.high_price_minor,
        bsr: row.rank.main().map(|rank| rank.rank),
        rating_centi: row.rating.rating_centi,
        ratings_count: row.rating.ratings_count,
        availability: row.offer.availability,
    }
}

fn figure(name: Measure, value: Option<i64>, previous: Option<i64>, category: Option<&str>) -> Figure {
    let is_money = !matches!(name, Measure::Bsr | Measure::BsrLeaf | Measure::Rating | Measure::RatingsCount);
    let delta = value.zip(previous).map(|(value, previous)| value - previous);
    let windows = [7, 30, 90].map(|window_days| WindowFigure {
        window_days,
        n: window_days - 1,
        avg: value.map(|value| value as f64 + window_days as f64 / 3.0),
        median_x2: value.map(|value| 2 * value),
        min: value,
        max: value,
        change_pct: Some(-window_days as f64 / 4.0),
        volatility: Some(0.0312),
        trend: [None, Some(Trend::Stable), Some(Trend::Increasing)][(window_days / 30).min(2) as usize],
    });
    Figure {
        name,
        value,
        money: value.filter(|_| is_money).map(|minor| Money { minor, currency: usd() }),
        category: category.map(str::to_owned),
        previous,
        previous_day: previous.map(|_| as_of().plus(-1)),
        delta,
        pct: delta.zip(previous).map(|(delta, previous)| (delta * 100) as f64 / previous as f64),
        windows: windows.to_vec(),
    }
}

pub(super) fn product(days: &[DailyRow]) -> Product {
    let last = days.last();
    let known = |value: fn(&DailyRow) -> Option<i64>| last.and_then(value);
    Product {
        marketplace: "US".into(),
        asin: key(0).asin.to_string(),
        title: member(0).title,
        brand: Some("Soundcore".into()),
        category: Some("Electronics > Headphones > Earbud Headphones".into()),
        status: "active".into(),
        first_day: "2025-11-02".parse().unwrap(),
        currency: usd(),
        latest: last.map(|row| Latest {
            day: row.day,
            observed_at: row.observed_at,
            age_hours: 12,
            price_minor: row.offer.price_minor,
            price: row.offer.price_minor.map(|minor| Money { minor, currency: usd() }),
            price_basis: Some("buy_box".into()),
            availability: row.offer.availability,
            stock_quantity: None,
            seller_id: None,
            seller_name: row.offer.seller_name.clone(),
            fulfilment: Some("fba".into()),
            offer_count: None,
            monthly_sold_min: row.monthly_sold_min,
            bsr: row.rank.main().map(|rank| rank.rank),
            bsr_category: row.rank.main().map(|rank| rank.category.clone()),
            rating_centi: row.rating.rating_centi,
            ratings_count: row.rating.ratings_count,
            source: row.source.clone(),
            sources: row.sources.clone(),
        }),
        figures: vec![
            figure(Measure::Price, known(|row| row.offer.price_minor), Some(2799), None),
            figure(Measure::ListPrice, known(|row| row.offer.list_price_minor), Some(3299), None),
            figure(Measure::BuyBoxPrice, None, None, None),
            figure(Measure::LandedPrice, None, None, None),
            figure(
                Measure::Bsr,
                known(|row| row.rank.main().map(|r| r.rank)),
                Some(402),
                Some("Electronics"),
            ),
            figure(
                Measure::BsrLeaf,
                known(|row| row.rank.leaf().map(|r| r.rank)),
                Some(8),
                Some("Earbud Headphones"),
            ),
            figure(Measure::Rating, known(|row| row.rating.rating_centi), Some(450), None),
            figure(Measure::RatingsCount, known(|row| row.rating.ratings_count), Some(1795), None),
        ],
        windows: [7_i64, 30, 90]
            .map(|window_days| WindowSummary {
                window_days,
                observed_days: window_days - window_days / 15,
                in_stock_days: window_days - window_days / 9,
                known_days: window_days - window_days / 15,
                in_stock_share: Some(
                    (window_days - window_days / 9) as f64 / (window_days - window_days / 15) as f64,
                ),
                ratings_growth: Some(window_days * 7),
                price_low: Some(2099),
                price_high: Some(2799),
                price_low_all: Some(1999),
                price_high_all: Some(3299),
            })
            .to_vec(),
        ranks: last.map_or_else(Vec::new, |row| {
            let line = |rank: &Rank| RankLine {
                category: rank.category.clone(),
                category_id: None,
                rank: rank.rank,
                is_main: rank.is_main,
                is_leaf: !rank.is_main,
            };
            row.rank.ranks.iter().map(line).collect()
        }),
        days: days.iter().map(point).collect(),
        quality: DataQuality {
            observed_days: days.len() as i64,
            observed_30d: 29,
            quality: 29.0 / 30.0,
            gaps: vec![
                DayRange { first: as_of().plus(-66), last: as_of().plus(-62) },
                DayRange { first: as_of().plus(-28), last: as_of().plus(-28) },
            ],
            sources: vec![
                Counted { name: "apify".into(), count: 84 },
                Counted { name: "keepa".into(), count: 3 },
            ],
            price_bases: vec![Counted { name: "buy_box".into(), count: 79 }],
            quarantined: vec![Counted { name: "currency_mismatch".into(), count: 2 }],
            unknown: vec!["buy box price".into(), "landed price".into()],
            mart_is_current: true,
        },
    }
}

fn alerts() -> Vec<AlertLine> {
    let line = |back: i32, rule: &str, severity: &str, state: &str, message: &str| AlertLine {
        alert_id: format!("id{back}"),
        day: as_of().plus(-back),
        rule: rule.into(),
        severity: severity.into(),
        state: state.into(),
        marketplace: "US".into(),
        asin: key(0).asin.to_string(),
        message: message.into(),
        historical: back > 40,
    };
    vec![
        line(14, "back_in_stock", "low", "open", "back in stock after 5 days"),
        line(19, "out_of_stock", "critical", "acknowledged", "went out of stock"),
        line(37, "price_rise", "medium", "resolved", "price rose 23.8 % to 26.39 USD"),
        line(49, "price_drop", "medium", "open", "price fell 18.9 % to 21.39 USD"),
    ]
}

fn overlay(comparison: &Comparison) -> Vec<OverlayMember> {
    (0..6)
        .map(|number| {
            let rows = member(number).days;
            let value = |value: fn(&DailyRow) -> Option<i64>| -> Vec<Option<i64>> {
                window().days().map(|day| rows.iter().find(|row| row.day == day).and_then(value)).collect()
            };
            let names = [
                "P40i",
                "AOSRAU Open-Ear",
                "JLab Go Air",
                "電子商品 ワイヤレスイヤホン",
                HOSTILE,
                "Skullcandy Dime 3",
            ];
            OverlayMember {
                marketplace: comparison.main.marketplace.clone(),
                asin: key(number).asin.to_string(),
                name: names[number as usize].into(),
                is_main: number == 0,
                price_minor: value(|row| row.offer.price_minor),
                bsr: value(|row| row.rank.main().map(|rank| rank.rank)),
                rating_centi: value(|row| row.rating.rating_centi),
            }
        })
        .collect()
}

fn report(subject: &str, body: Body) -> Report {
    Report {
        schema: SCHEMA,
        subject: subject.into(),
        as_of: as_of(),
        window: window(),
        zone: "UTC".into(),
        body,
    }
}

pub(super) fn cohort_report() -> Report {
    let comparison = comparison();
    let body = ProductReport {
        product: product(&rows(0)),
        cohort: Some(Cohort { name: "earbuds".into(), label: "Earbuds under 40 dollars".into() }),
        narrative: Some(structured(&comparison)),
        overlay: overlay(&comparison),
        comparison: Some(comparison),
        alerts: alerts(),
    };
    report("cohort:earbuds", Body::Cohort(Box::new(body)))
}

/// A product without a cohort.
pub(super) fn product_report(days: &[DailyRow]) -> Report {
    let body = ProductReport {
        product: product(days),
        cohort: None,
        comparison: None,
        narrative: None,
        overlay: Vec::new(),
        alerts: Vec::new(),
    };
    report("US:B0SAMPLE00", Body::Product(Box::new(body)))
}

pub(super) fn watchlist_report() -> Report {
    let products: Vec<WatchedProduct> = (0..9)
        .map(|number| {
            let rows = rows(number);
            let last = rows.last().unwrap();
            let series = |value: fn(&DailyRow) -> Option<i64>| -> Vec<Option<i64>> {
                window().days().map(|day| rows.iter().find(|row| row.day == day).and_then(value)).collect()
            };
            let unseen = number == 7;
            WatchedProduct {
                marketplace: "US".into(),
                asin: key(number).asin.to_string(),
                title: member(number).title,
                label: String::new(),
                relation: if number == 0 { "own" } else { "rival" }.into(),
                paused: number == 8,
                currency: usd(),
                day: (!unseen).then_some(if number == 5 { as_of().plus(-9) } else { as_of() }),
                price_minor: last.offer.price_minor.filter(|_| !unseen),
                price: None,
                price_pct: Some(noise(number, 7) as f64 / 100.0 - 5.0),
                price_7d_pct: Some(noise(number, 5) as f64 / 50.0 - 10.0),
                bsr: last.rank.main().map(|rank| rank.rank).filter(|_| !unseen),
                bsr_category: Some("Electronics".into()),
                bsr_pct: Some(noise(number, 2) as f64 / 10.0 - 50.0),
                bsr_7d_pct: Some(noise(number, 4) as f64 / 5.0 - 100.0),
                rating_centi: last.rating.rating_centi,
                rating_delta_centi: Some(0),
                ratings_count: last.rating.ratings_count,
                availability: Some(if number == 3 {
                    Availability::Unavailable
                } else {
                    Availability::InStock
                }),
                open_alerts: i64::from(number == 0) * 2,
                price_series: if unseen {
                    vec![None; DAYS as usize]
                } else {
                    series(|row| row.offer.price_minor)
                },
                bsr_series: if unseen {
                    vec![None; DAYS as usize]
                } else {
                    series(|row| row.rank.main().map(|rank| rank.rank))
                },
            }
        })
        .collect();
    let summary = WatchlistSummary {
        watched: 9,
        paused: 1,
        seen_today: 6,
        stale: 1,
        not_seen: 1,
        out_of_stock: 1,
        open_alerts: vec![
            Counted { name: "critical".into(), count: 1 },
            Counted { name: "low".into(), count: 1 },
        ],
        quarantined: 2,
        lake_until: Some(as_of()),
    };
    report("watchlist", Body::Watchlist(WatchlistReport { summary, products, alerts: alerts() }))
}
