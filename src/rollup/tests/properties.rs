//! Random products with gaps, unknown values, flips of category, basis and currency, and values at the limits.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::naive;
use super::product::{Product, Row, lines};
use crate::rollup::{
    DeltaColumns, MAX_VALUE, NO_CODE, NO_PAST, NULL, Past, RollupColumns, SellerColumns, deltas, pasts,
    roll_windows,
};

/// Mostly the next day; sometimes a gap, sometimes one longer than the windows.
fn gap() -> impl Strategy<Value = i32> {
    prop_oneof![14 => Just(1), 3 => 2..6i32, 1 => 25..33i32, 1 => 58..63i32, 1 => 88..93i32, 1 => 94..200i32]
}

/// Prices that crowd, jump, double back within 10 %, or sit at the limits; unknown; out of range.
fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => 900..1_100i64,
        2 => 1..10_000i64,
        2 => select(vec![333, 334, 1_000, 1_001, 3_000, 3_001, 3_003]),
        2 => (MAX_VALUE - 2)..=MAX_VALUE,
        1 => 0..3i64,
        1 => select(vec![MAX_VALUE + 1, 2 * MAX_VALUE, 2 * MAX_VALUE + 1, i64::MAX, -1]),
        3 => Just(NULL),
    ]
}

fn rank() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 1..500i64, 1 => (MAX_VALUE - 1)..=MAX_VALUE, 1 => Just(NULL)]
}

fn category() -> impl Strategy<Value = i32> {
    prop_oneof![6 => Just(0), 2 => Just(1), 4 => 2..7i32, 1 => 2..40i32, 1 => Just(NO_CODE)]
}

fn code() -> impl Strategy<Value = i64> {
    prop_oneof![12 => Just(1), 1 => Just(2), 1 => Just(NULL)]
}

fn row() -> impl Strategy<Value = Row> {
    let prices = (amount(), amount(), amount(), amount());
    let ranks = (rank(), category(), rank(), category(), vec((category(), rank()), 0..4));
    let ratings = (prop_oneof![5 => 0..=500i64, 1 => Just(NULL)], amount());
    let codes = (code(), code());
    let stock = prop_oneof![3 => Just(0), 2 => Just(5), 4 => 0..13i64, 1 => Just(NULL)];
    let seller = prop_oneof![4 => Just(3), 3 => 0..8i32, 2 => Just(NO_CODE)];
    let offer = (stock, seller, proptest::bool::weighted(0.9));
    (prices, ranks, ratings, codes, offer).prop_map(|(prices, ranks, ratings, codes, offer)| Row {
        day: 0,
        price: prices.0,
        list_price: prices.1,
        buy_box_price: prices.2,
        landed_price: prices.3,
        bsr: ranks.0,
        bsr_category: ranks.1,
        bsr_leaf: ranks.2,
        bsr_leaf_category: ranks.3,
        ranks: ranks.4,
        rating: ratings.0,
        ratings_count: ratings.1,
        currency: codes.0,
        price_basis: codes.1,
        availability: offer.0,
        seller: offer.1,
        offer_known: offer.2,
    })
}

fn product() -> impl Strategy<Value = Vec<Row>> {
    (9_000..21_000i32, vec((gap(), row()), 0..130)).prop_map(|(mut day, rows)| {
        let place = |(gap, row): (i32, Row)| {
            day += gap;
            Row { day, ..row }
        };
        rows.into_iter().map(place).collect()
    })
}

/// What the kernels write for the days `first..=last`: (rollups, sellers, deltas).
fn run(rows: &[Row], first: i32, last: i32) -> (Vec<String>, Vec<String>, Vec<String>) {
    run_after(&NO_PAST, rows, first, last)
}

fn run_after(past: &Past, rows: &[Row], first: i32, last: i32) -> (Vec<String>, Vec<String>, Vec<String>) {
    let product = Product::new(rows);
    let days = product.days_after(past);
    let (mut rollups, mut sellers) = (RollupColumns::default(), SellerColumns::default());
    let mut changes = DeltaColumns::default();
    roll_windows(&days, first..=last, &mut rollups, &mut sellers);
    deltas(&days, first..=last, &mut changes);
    (
        lines(rollups.len(), &rollups.into_columns()),
        lines(sellers.len(), &sellers.into_columns()),
        lines(changes.len(), &changes.into_columns()),
    )
}

fn day_of(line: &str) -> i32 {
    line.split(' ').nth(1).and_then(|cell| cell.strip_prefix("day_no=")).unwrap().parse().unwrap()
}

fn within(lines: &[String], first: i32, last: i32) -> Vec<String> {
    lines.iter().filter(|line| (first..=last).contains(&day_of(line))).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_kernels_write_what_the_definitions_say(rows in product()) {
        let (rollups, sellers, changes) = run(&rows, i32::MIN, i32::MAX);
        prop_assert_eq!(rollups, naive::rollups(&rows));
        prop_assert_eq!(sellers, naive::sellers(&rows));
        prop_assert_eq!(changes, naive::deltas(&rows));
    }

    #[test]
    fn a_part_of_the_days_is_written_as_in_the_whole(rows in product(), a in 0..130usize, b in 0..130usize) {
        prop_assume!(!rows.is_empty());
        let day = |index: usize| rows[index.min(rows.len() - 1)].day;
        let (first, last) = (day(a.min(b)), day(a.max(b)));
        let whole = run(&rows, i32::MIN, i32::MAX);
        let part = run(&rows, first, last);
        prop_assert_eq!(part.0, within(&whole.0, first, last));
        prop_assert_eq!(part.1, within(&whole.1, first, last));
        prop_assert_eq!(part.2, within(&whole.2, first, last));
    }

    #[test]
    fn a_past_stands_for_the_days_it_was_made_of(rows in product(), a in 0..130usize, b in 0..130usize) {
        prop_assume!(!rows.is_empty());
        let day = |index: usize| rows[index.min(rows.len() - 1)].day;
        let (early, late) = (day(a.min(b)), day(a.max(b)));
        let of = |past: &Past, from: i32, ends: &[i32]| {
            let rows: Vec<Row> = rows.iter().filter(|row| row.day >= from).cloned().collect();
            pasts(&Product::new(&rows).days_after(past), ends)
        };
        // Made on the way, at once, or in two steps.
        let both = of(&NO_PAST, i32::MIN, &[early, late]);
        let past = both[1].clone();
        prop_assert_eq!(&both[..1], &of(&NO_PAST, i32::MIN, &[early])[..]);
        prop_assert_eq!(&both[1..], &of(&both[0], early + 1, &[late])[..]);
        // Everything from 91 days later on is as with the days themselves.
        let since: Vec<Row> = rows.iter().filter(|row| row.day > late).cloned().collect();
        let whole = run(&rows, i32::MIN, i32::MAX);
        let short = run_after(&past, &since, late + 91, i32::MAX);
        // Rows are counted from the first one given.
        let cells = |lines: &[String]| -> Vec<String> {
            lines.iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
        };
        prop_assert_eq!(cells(&short.0), cells(&within(&whole.0, late + 91, i32::MAX)));
        prop_assert_eq!(cells(&short.1), cells(&within(&whole.1, late + 91, i32::MAX)));
        prop_assert_eq!(cells(&short.2), cells(&within(&whole.2, late + 91, i32::MAX)));
    }

    #[test]
    fn behind_a_past_that_is_the_same_for_rollups_they_are_the_same(
        rows in product(), at in 0..60usize, price in 950..1_050i64
    ) {
        prop_assume!(!rows.is_empty());
        let at = at.min(rows.len() - 1);
        let mut changed = rows.clone();
        changed[at].price = price;
        let ends: Vec<i32> = rows[at..].iter().map(|row| row.day).collect();
        let of = |rows: &[Row]| pasts(&Product::new(rows).days_after(&NO_PAST), &ends);
        let settled = of(&rows).iter().zip(of(&changed)).position(|(was, is)| was.is_same_for_rollups(&is));
        if let Some(end) = settled.map(|place| ends[place]) {
            let (was, is) = (run(&rows, end + 91, i32::MAX), run(&changed, end + 91, i32::MAX));
            prop_assert_eq!(was.0, is.0);
            prop_assert_eq!(was.1, is.1);
        }
    }

    #[test]
    fn a_day_never_depends_on_later_days(rows in product(), known in 1..130usize) {
        prop_assume!(!rows.is_empty());
        let until_now = &rows[..known.min(rows.len())];
        let last = until_now[until_now.len() - 1].day;
        let (whole, short) = (run(&rows, i32::MIN, i32::MAX), run(until_now, i32::MIN, i32::MAX));
        prop_assert_eq!(short.0, within(&whole.0, i32::MIN, last));
        prop_assert_eq!(short.1, within(&whole.1, i32::MIN, last));
        prop_assert_eq!(short.2, within(&whole.2, i32::MIN, last));
    }
}
