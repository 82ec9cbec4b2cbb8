use super::*;
use crate::model::{Availability, OfferBlock, Rank, RankBlock, RatingBlock};

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn row(key: ProductKey, on: Day, price: Option<i64>, ranks: &[(&str, i64)], rating: Option<i64>) -> DailyRow {
    let ranks = ranks
        .iter()
        .enumerate()
        .map(|(i, (name, rank))| Rank {
            category_id: None,
            category: (*name).to_owned(),
            rank: *rank,
            is_main: i == 0,
        })
        .collect();
    DailyRow {
        marketplace: key.marketplace,
        asin: key.asin,
        day: on,
        observed_at: "2026-01-10T12:00:00Z".parse().unwrap(),
        currency: key.marketplace.currency(),
        offer: OfferBlock {
            price_minor: price,
            availability: Availability::InStock,
            ..OfferBlock::default()
        },
        rank: RankBlock { ranks, path_leaf: None },
        rating: RatingBlock { rating_centi: rating, ratings_count: rating.map(|_| 100) },
        monthly_sold_min: None,
        low_price_minor: price,
        high_price_minor: price,
        observations: 1,
        source: "file".into(),
        sources: "file".into(),
    }
}

fn member(name: &str, days: Vec<DailyRow>) -> Member {
    Member { key: key(name), title: None, label: String::new(), priority: 0, days }
}

fn key(name: &str) -> ProductKey {
    name.parse::<crate::model::ProductRef>().unwrap().key_or(crate::model::Marketplace::Us)
}

fn one(name: &str, price: Option<i64>, ranks: &[(&str, i64)], rating: Option<i64>) -> Member {
    member(name, vec![row(key(name), day("2026-01-10"), price, ranks, rating)])
}

const MAIN: &str = "B000000001";

#[test]
fn scores_follow_their_formulas() {
    // Mean competitor price 2500, main 2000: (2 - 0.8) * 50 = 60. Mean rank 400, main 100: 100 - 12.5 = 87.5.
    let main = one(MAIN, Some(2000), &[("Electronics", 100)], Some(450));
    let rivals = [
        one("B000000002", Some(2000), &[("Electronics", 300)], Some(400)),
        one("B000000003", Some(3000), &[("Electronics", 500)], None),
    ];
    let result = compare(None, day("2026-01-10"), 7, &main, &rivals);
    assert_eq!(result.scores.price, Some(60.0));
    assert_eq!(result.scores.quality, Some(90.0));
    assert_eq!(result.scores.popularity, Some(87.5));
    assert_eq!(result.scores.overall, Some((60.0 + 90.0 + 87.5) / 3.0));
    assert_eq!(result.market.price_index, Some(80.0));
    assert_eq!((result.market.cheaper_competitors, result.market.dearer_competitors), (0, 1));
    // (3000 - 2000) / (7000 / 3)
    assert_eq!(result.market.price_spread, Some(3000.0 / 7000.0));
    assert_eq!(result.market.price_position, Position { position: Some(1), of: 3, percentile: Some(50.0) });
    assert_eq!(result.market.best_rank_share, Some(1.0));
    // Main 4 of 4, rivals 4 of 4 and 2 of 4, one day of thirty.
    assert!((result.completeness - (0.4 + 0.4 * 0.75 + 0.2 / 30.0)).abs() < 1e-12);
    assert_eq!(result.confidence, Confidence::Medium);
}

#[test]
fn a_gap_is_main_minus_competitor_and_says_who_is_better() {
    let main = one(MAIN, Some(2000), &[("Electronics", 100)], Some(450));
    let rival = one("B000000002", Some(2500), &[("Electronics", 50)], Some(450));
    let result = compare(None, day("2026-01-10"), 7, &main, &[rival]);
    let pair = &result.competitors[0];
    assert_eq!(
        (pair.price.gap, pair.price.better, pair.price.pct),
        (Some(-500), Some(Better::Main), Some(-20.0))
    );
    assert_eq!((pair.bsr.gap, pair.bsr.better), (Some(50), Some(Better::Competitor)));
    assert_eq!((pair.rating.gap, pair.rating.better), (Some(0), Some(Better::Equal)));
}

#[test]
fn a_pair_with_one_side_missing_is_kept_with_its_reason() {
    let main = one(MAIN, Some(2000), &[("Electronics", 100)], None);
    let old = member(
        "B000000002",
        vec![row(key("B000000002"), day("2026-01-03"), Some(1), &[("Electronics", 1)], Some(400))],
    );
    let unseen = member("B000000003", Vec::new());
    let elsewhere = one("DE:B000000004", Some(1500), &[("Elektronik", 7)], Some(300));
    let books = one("B000000005", None, &[("Books", 7)], None);
    let result = compare(None, day("2026-01-10"), 7, &main, &[old, unseen, elsewhere, books]);
    let reasons: Vec<_> = result
        .competitors
        .iter()
        .map(|pair| (pair.price.reason, pair.bsr.reason, pair.rating.reason))
        .collect();
    use Reason::*;
    assert_eq!(
        reasons,
        [
            (Some(Stale), Some(Stale), Some(Stale)),
            (Some(CompetitorMissing), Some(CompetitorMissing), Some(CompetitorMissing)),
            (Some(CurrencyDiffers), Some(CategoryDiffers), Some(MainMissing)),
            (Some(CompetitorMissing), Some(CategoryDiffers), Some(MainMissing)),
        ]
    );
    assert_eq!(result.scores.price, None);
    assert_eq!(result.scores.overall, None);
    assert_eq!(result.confidence, Confidence::Low);
}

#[test]
fn popularity_falls_back_to_the_leaf_where_nobody_shares_the_main_category() {
    let main = one(MAIN, None, &[("Electronics", 100), ("Earbuds", 10)], None);
    let rival = one("B000000002", None, &[("Cell Phones", 50), ("Earbuds", 30)], None);
    let result = compare(None, day("2026-01-10"), 7, &main, &[rival]);
    assert_eq!(result.scores.popularity_on.as_deref(), Some("bsr_leaf"));
    assert_eq!(result.scores.popularity, Some(100.0 - 500.0 / 30.0));
    assert_eq!(result.competitors[0].bsr_leaf.gap, Some(-20));
}

#[test]
fn a_value_is_at_most_seven_days_old() {
    let at = |on: &str| member(MAIN, vec![row(key(MAIN), day(on), Some(2000), &[], None)]);
    assert_eq!(compare(None, day("2026-01-10"), 7, &at("2026-01-04"), &[]).main.price_minor, Some(2000));
    assert_eq!(compare(None, day("2026-01-10"), 7, &at("2026-01-03"), &[]).main.price_minor, None);
}

#[test]
fn days_before_the_window_matter_only_to_a_member_that_has_none_in_it() {
    let on = |name: &str, days: &[&str]| {
        let rows =
            days.iter().map(|text| row(key(name), day(text), Some(2000), &[("Electronics", 9)], Some(400)));
        member(name, rows.collect())
    };
    let members = [
        on(MAIN, &["2025-11-01", "2025-12-20", "2026-01-09", "2026-01-10"]),
        on("B000000002", &["2025-11-01", "2025-12-20"]),
        on("B000000003", &["2025-11-01"]),
        on("B000000004", &[]),
    ];
    let window = DayRange::window(day("2026-01-10"), COMPLETENESS_DAYS);
    let lately = members.clone().map(|mut member| {
        if member.days.iter().any(|row| window.contains(row.day)) {
            member.days.retain(|row| window.contains(row.day));
        }
        member
    });
    let compared = |members: &[Member]| compare(None, day("2026-01-10"), 30, &members[0], &members[1..]);
    assert_eq!(compared(&members), compared(&lately));
    let reasons = compared(&lately).competitors.into_iter().map(|pair| pair.price.reason);
    assert!(reasons.eq([Some(Reason::Stale), Some(Reason::Stale), Some(Reason::CompetitorMissing)]));
}
