//! Small tables, computed by hand.

use super::product::{CATEGORIES, Product, Row, cell};
use crate::model::Availability;
use crate::rollup::{
    ColumnValues, DeltaColumns, MAX_VALUE, NO_CODE, NULL, RollupColumns, SellerColumns, deltas, roll_windows,
};

fn rolled(rows: &[Row]) -> (RollupColumns, SellerColumns) {
    let (mut out, mut sellers) = (RollupColumns::default(), SellerColumns::default());
    roll_windows(&Product::new(rows).days(), i32::MIN..=i32::MAX, &mut out, &mut sellers);
    (out, sellers)
}

fn changes(rows: &[Row]) -> DeltaColumns {
    let mut out = DeltaColumns::default();
    deltas(&Product::new(rows).days(), i32::MIN..=i32::MAX, &mut out);
    out
}

/// The named cells of a row, separated by spaces; `-` is null.
fn cells(columns: &[(&'static str, ColumnValues)], row: usize, names: &[&str]) -> String {
    let find = |name: &str| &columns.iter().find(|(other, _)| *other == name).unwrap().1;
    names.iter().map(|name| cell(find(name), row)).collect::<Vec<_>>().join(" ")
}

/// The named cells of the newest as-of day's row for a window.
fn newest(rows: &[Row], window: i32, names: &[&str]) -> String {
    let (out, _) = rolled(rows);
    let row = out.window_days.iter().rposition(|other| *other == window).unwrap();
    cells(&out.into_columns(), row, names)
}

/// The named cells of the newest day's delta.
fn newest_delta(rows: &[Row], names: &[&str]) -> String {
    let out = changes(rows);
    cells(&out.clone().into_columns(), out.len() - 1, names)
}

/// One row a day from day 1 on; 0 is a day without a price.
fn prices(prices: &[i64]) -> Vec<Row> {
    let row = |(day, price): (i32, &i64)| Row {
        day,
        price: if *price == 0 { NULL } else { *price },
        ..Row::default()
    };
    (1..).zip(prices).map(row).collect()
}

#[test]
fn a_week_of_prices_with_two_unknown_days() {
    let week = prices(&[100, 0, 110, 90, 0, 120, 130]);
    let level =
        ["observed_days", "price_n", "price_sum", "price_min", "price_max", "price_first", "price_last"];
    assert_eq!(newest(&week, 7, &level), "7 5 550 90 130 100 130");
    // Sorted 90 100 110 120 130. Sum of squares 61,500; 5 * 61,500 - 550^2 = 5,000.
    assert_eq!(newest(&week, 7, &["price_median_x2", "price_avg", "price_change_pct"]), "220 110.0 30.0");
    let root = 5000f64.sqrt();
    let spread = format!("61500 {:?} {:?}", root / 5.0, root / 550.0);
    assert_eq!(newest(&week, 7, &["price_sumsq", "price_sd", "price_volatility"]), spread);
    // x = 0 2 3 5 6: Sx 16, Sxx 74, Sxy 1,870; (5 * 1,870 - 16 * 550) / (5 * 74 - 16^2) = 550 / 114.
    assert_eq!(newest(&week, 7, &["price_slope"]), format!("{:?}", 550.0 / 114.0));
    // Days 1..3: 100, 110; days 5..7: 120, 130.
    assert_eq!(
        newest(&week, 7, &["price_trend", "observed_30d", "quality"]),
        format!("1 7 {:?}", 7.0 / 30.0)
    );
}

#[test]
fn an_even_number_of_values_has_two_middle_ones() {
    assert_eq!(newest(&prices(&[10, 40, 20, 30]), 7, &["price_median_x2"]), "50");
}

#[test]
fn a_window_needs_two_daily_rows() {
    let rows = [1, 8, 14].map(|day| Row { day, price: 500, ..Row::default() });
    let (out, _) = rolled(&rows);
    let found: Vec<(i32, i32)> = out.day_no.iter().copied().zip(out.window_days.iter().copied()).collect();
    assert_eq!(found, [(8, 30), (8, 90), (14, 7), (14, 30), (14, 90)]);
    assert_eq!(changes(&rows).len(), 3);
}

#[test]
fn a_window_without_a_known_value_says_null_and_not_zero() {
    let names =
        ["price_n", "price_sum", "price_min", "price_median_x2", "price_avg", "price_sumsq", "price_sd"];
    assert_eq!(newest(&prices(&[0, 0]), 7, &names), "0 - - - - - -");
    let names = ["bsr_leaf_n", "bsr_leaf_sum", "rating_n", "price_trend", "ratings_growth", "price_low_all"];
    assert_eq!(newest(&prices(&[0, 0]), 7, &names), "0 - 0 - - -");
    let names = ["in_stock_days", "known_days", "in_stock_share"];
    assert_eq!(newest(&prices(&[0, 0]), 7, &names), "0 0 -");
    let names = ["price_n", "price_avg", "price_change_pct", "price_sd", "price_slope"];
    assert_eq!(newest(&prices(&[0, 70]), 7, &names), "1 70.0 - - -");
}

#[test]
fn ninety_values_at_the_limit_do_not_overflow() {
    let names = ["price_sum", "price_sumsq", "price_sd", "price_slope", "price_trend"];
    let flat = vec![MAX_VALUE; 90];
    assert_eq!(newest(&prices(&flat), 90, &names), "27000000000 8100000000000000000 0.0 0.0 0");
    // 45 of each: n * sumsq - sum^2 = (45 * 299,999,999)^2, beyond 2^63.
    let swinging: Vec<i64> = (0..90).map(|day| if day % 2 == 0 { 1 } else { MAX_VALUE }).collect();
    assert_eq!(newest(&prices(&swinging), 90, &["price_sd"]), "149999999.5");
}

#[test]
fn a_trend_begins_beyond_five_percent() {
    let trend = |last: i64| newest(&prices(&[100, 100, 100, 7, last, last, last]), 7, &["price_trend"]);
    assert_eq!([105, 106, 95, 94].map(trend), ["0", "1", "0", "-1"]);
}

#[test]
fn both_halves_of_a_trend_must_be_known() {
    assert_eq!(newest(&prices(&[0, 0, 0, 100, 200, 200, 200]), 7, &["price_trend"]), "-");
}

#[test]
fn a_price_far_from_the_median_of_the_prices_before_it_is_no_extreme() {
    let low_high =
        |last: i64| newest(&prices(&[300, 300, 300, 300, 300, last]), 7, &["price_low", "price_high_all"]);
    assert_eq!([100, 99, 900, 901].map(low_high), ["100 300", "300 300", "300 900", "300 300"]);
}

#[test]
fn the_first_five_prices_count_whatever_they_are() {
    assert_eq!(newest(&prices(&[300, 300, 300, 300, 9]), 7, &["price_low"]), "9");
}

#[test]
fn a_strange_price_counts_from_the_day_the_next_one_confirms_it() {
    let rows = prices(&[300, 300, 300, 300, 300, 50, 0, 55]);
    let (out, _) = rolled(&rows);
    let of_week: Vec<i64> =
        (0..out.len()).filter(|row| out.window_days[*row] == 7).map(|row| out.price_low_all[row]).collect();
    // Days 2 to 8: 50 waits on its own day and on the day without a price.
    assert_eq!(of_week, [300, 300, 300, 300, 300, 300, 50]);
    // 56 is more than 10 % away: neither ever counts.
    let rows = prices(&[300, 300, 300, 300, 300, 50, 0, 56]);
    assert_eq!(newest(&rows, 7, &["price_low", "price_low_all"]), "300 300");
    // The evidence of a day is what was known on the day before.
    let rows = prices(&[300, 300, 300, 300, 300, 50, 55, 300]);
    let out = changes(&rows);
    assert_eq!(out.price_low_all_prev[1..], [300, 300, 300, 300, 300, 300, 50]);
}

#[test]
fn the_guard_looks_at_prices_however_long_ago() {
    let mut rows = prices(&[300, 300, 300, 300, 300]);
    rows.extend([400, 401].map(|day| Row { day, price: 50 + i64::from(day) % 2 * 100, ..Row::default() }));
    assert_eq!(
        newest(&rows, 7, &["price_low", "price_high", "price_low_all", "price_high_all"]),
        "150 150 150 300"
    );
}

#[test]
fn a_leaf_that_flips_between_two_categories_loses_nothing() {
    let row = |(day, leaf): (i32, i32)| Row {
        day,
        ranks: vec![(8, 40), (1, i64::from(100 + day)), (2, i64::from(200 + day))],
        bsr: 40,
        bsr_category: 8,
        bsr_leaf: i64::from(100 * leaf + day),
        bsr_leaf_category: leaf,
        ..Row::default()
    };
    let rows: Vec<Row> = (1..).zip([1, 2, 1, 1, 2]).map(row).collect();
    let names = ["bsr_leaf_n", "bsr_leaf_sum", "bsr_leaf_first", "bsr_leaf_last", "bsr_leaf_change_pct"];
    assert_eq!(newest(&rows, 7, &names), format!("5 1015 201 205 {:?}", 400.0 / 201.0));
    let out = changes(&rows);
    assert_eq!(out.bsr_leaf.delta[1..], [1; 4]);
    assert_eq!(out.bsr_leaf.prev, [NULL, 201, 102, 103, 204]);
}

#[test]
fn a_rank_of_another_category_is_not_the_previous_rank() {
    let row = |day, bsr_category, bsr| Row {
        day,
        bsr,
        bsr_category,
        ranks: vec![(bsr_category, bsr)],
        ..Row::default()
    };
    let names = ["bsr", "bsr_prev", "bsr_prev_day", "bsr_delta", "bsr_pct"];
    assert_eq!(newest_delta(&[row(1, 8, 80), row(2, 9, 100)], &names), "100 - - - -");
    assert_eq!(newest_delta(&[row(1, 9, 80), row(2, 8, 7), row(3, 9, 100)], &names), "100 80 1 20 25.0");
}

#[test]
fn categories_are_the_same_by_id_else_by_name() {
    let row = |day, bsr_category| Row { day, bsr: 10 + i64::from(day), bsr_category, ..Row::default() };
    let previous = |before, today| newest_delta(&[row(1, before), row(2, today)], &["bsr_prev"]);
    let [bare, first_id, second_id, first_renamed, bare_renamed] = [2, 3, 4, 5, 6];
    assert_eq!(CATEGORIES[2..7], [(NO_CODE, 2), (70, 2), (80, 2), (70, 3), (NO_CODE, 3)]);
    for same in
        [(bare, first_id), (bare, second_id), (first_id, first_renamed), (first_renamed, bare_renamed)]
    {
        assert_eq!(previous(same.0, same.1), "11", "{same:?}");
        assert_eq!(previous(same.1, same.0), "11", "{same:?}");
    }
    for other in
        [(first_id, second_id), (first_id, bare_renamed), (bare, bare_renamed), (bare, first_renamed)]
    {
        assert_eq!(previous(other.0, other.1), "-", "{other:?}");
        assert_eq!(previous(other.1, other.0), "-", "{other:?}");
    }
}

#[test]
fn a_previous_value_is_at_most_ninety_days_old() {
    let row = |day, price| Row { day, price, ..Row::default() };
    let names = ["price_prev", "price_prev_day", "price_delta", "price_pct", "gap_days"];
    assert_eq!(newest_delta(&[row(1, 200), row(91, 150)], &names), "200 1 -50 -25.0 90");
    assert_eq!(newest_delta(&[row(1, 200), row(92, 150)], &names), "- - - - 91");
    assert_eq!(
        newest_delta(&[row(1, 200), row(92, 150)], &["price_known_days", "price_low_all_prev"]),
        "1 200"
    );
    assert_eq!(newest_delta(&[row(1, 200)], &names), "- - - - -");
}

#[test]
fn the_previous_day_of_a_field_may_differ_from_the_previous_row() {
    let rows = prices(&[200, 0, 0, 150]);
    assert_eq!(newest_delta(&rows, &["price_prev", "price_prev_day", "gap_days"]), "200 1 1");
    let rows = prices(&[200, 0]);
    assert_eq!(newest_delta(&rows, &["price", "price_prev", "price_delta", "price_pct"]), "- 200 - -");
}

#[test]
fn a_change_of_basis_or_currency_leaves_nothing_to_compare() {
    let row = |day, price_basis, currency| Row {
        day,
        price: 100 + i64::from(day),
        list_price: 300 + i64::from(day),
        price_basis,
        currency,
        ..Row::default()
    };
    let names = ["price_prev", "price_delta", "list_price_prev", "list_price_delta"];
    // The list price does not depend on which offer the price is of.
    assert_eq!(newest_delta(&[row(1, 1, 1), row(2, 2, 1)], &names), "- - 301 1");
    assert_eq!(newest_delta(&[row(1, 1, 1), row(2, 1, 2)], &names), "- - - -");
    // The latest known day decides; an older one with today's basis is not looked for.
    assert_eq!(newest_delta(&[row(1, 1, 1), row(2, 2, 1), row(3, 1, 1)], &names), "- - 302 1");
    // Unknown is never "no change".
    assert_eq!(newest_delta(&[row(1, 1, 1), row(2, NULL, 1)], &names), "- - 301 1");
}

#[test]
fn a_percentage_of_nothing_is_null() {
    let row = |day, ratings_count| Row { day, ratings_count, ..Row::default() };
    let names = ["ratings_count_prev", "ratings_count_delta", "ratings_count_pct"];
    assert_eq!(newest_delta(&[row(1, 0), row(2, 5)], &names), "0 5 -");
    assert_eq!(newest(&[row(1, 9), row(2, 5)], 7, &["ratings_growth"]), "-4");
}

#[test]
fn the_outlier_evidence_is_the_median_and_its_deviation() {
    let names = ["price_outlier_n", "price_outlier_median_x2", "price_outlier_mad_x4"];
    // Median 100; deviations 0 0 1 1 2 2 200, their median 1.
    let rows = prices(&[100, 102, 98, 101, 99, 100, 300, 777]);
    assert_eq!(newest_delta(&rows, &names), "7 200 4");
    // Median 15; deviations 5 and 5.
    assert_eq!(newest_delta(&prices(&[10, 20, 777]), &names), "2 30 20");
    assert_eq!(newest_delta(&prices(&[777]), &names), "0 - -");
    let row = |day, price| Row { day, price, ..Row::default() };
    assert_eq!(newest_delta(&[row(1, 10), row(61, 777)], &names), "1 20 0");
    assert_eq!(newest_delta(&[row(1, 10), row(62, 777)], &names), "0 - -");
    let twenty: Vec<i64> = (1..=20).collect();
    // Before day 20: 6 to 19.
    assert_eq!(newest_delta(&prices(&twenty), &names), "14 25 14");
}

#[test]
fn availability_compares_with_the_last_day_that_said_something_of_stock() {
    use Availability::{InStock, NoFeaturedOffer, OutOfStock, PriceHidden, Unknown};
    let row = |(day, word): (i32, Availability)| Row { day, availability: word.code(), ..Row::default() };
    let rows: Vec<Row> = (1..).zip([InStock, Unknown, PriceHidden, OutOfStock]).map(row).collect();
    let names = ["availability", "availability_prev", "availability_prev_day"];
    let expected = format!("{} {} 1", OutOfStock.code(), InStock.code());
    assert_eq!(newest_delta(&rows, &names), expected);
    let rows: Vec<Row> = (1..).zip([InStock, NoFeaturedOffer, Unknown, OutOfStock]).map(row).collect();
    let share = ["in_stock_days", "known_days", "in_stock_share"];
    assert_eq!(newest(&rows, 7, &share), format!("1 3 {:?}", 1.0 / 3.0));
}

#[test]
fn a_seller_is_new_only_if_the_product_never_had_it() {
    let row = |(day, seller): (i32, i32)| Row { day, seller, ..Row::default() };
    let rows: Vec<Row> = [(1, 4), (2, 5), (3, -1), (200, 4), (201, 6), (202, 6)].map(row).to_vec();
    let out = changes(&rows);
    assert_eq!(out.seller_is_new, [1, 1, NULL, 0, 1, 0]);
    assert_eq!(out.seller_prev, [-1, 4, 5, -1, 4, 6]);
    assert_eq!(out.seller_known_days, [0, 1, 2, 2, 3, 4]);
}

#[test]
fn the_buy_box_share_counts_days_on_which_nobody_had_it() {
    let nobody = Availability::NoFeaturedOffer.code();
    let row = |(day, seller, availability, offer_known): (i32, i32, i64, bool)| Row {
        day,
        seller,
        availability,
        offer_known,
        ..Row::default()
    };
    let rows = [
        (1, 7, 0, true),
        (2, 3, 0, true),
        (3, 7, nobody, true),
        (4, -1, nobody, true),
        (5, -1, Availability::OutOfStock.code(), true),
        (6, 3, 0, false),
    ]
    .map(row);
    let (_, sellers) = rolled(&rows);
    let newest: Vec<(i32, i64, i64)> = (0..sellers.len())
        .filter(|at| (sellers.day_no[*at], sellers.window_days[*at]) == (6, 7))
        .map(|at| (sellers.seller_id[at], sellers.days[at], sellers.known_days[at]))
        .collect();
    assert_eq!(newest, [(-1, 1, 4), (3, 1, 4), (7, 2, 4)]);
}

#[test]
fn products_are_written_one_behind_the_other() {
    let (mut out, mut sellers) = (RollupColumns::default(), SellerColumns::default());
    for price in [100, 200] {
        let product = Product::new(&prices(&[price, price]));
        roll_windows(&product.days(), 2..=2, &mut out, &mut sellers);
    }
    assert_eq!(out.price.last, [100, 100, 100, 200, 200, 200]);
    assert_eq!(out.window_days, [7, 30, 90, 7, 30, 90]);
}

#[test]
fn days_outside_the_history_give_no_rows() {
    let product = Product::new(&prices(&[100, 200]));
    let (mut out, mut sellers) = (RollupColumns::default(), SellerColumns::default());
    let mut changes = DeltaColumns::default();
    #[expect(clippy::reversed_empty_ranges, reason = "a caller's empty range must be harmless")]
    for days in [3..=9, -5..=0, 2..=1] {
        roll_windows(&product.days(), days.clone(), &mut out, &mut sellers);
        deltas(&product.days(), days, &mut changes);
    }
    assert_eq!((out.len(), sellers.len(), changes.len()), (0, 0, 0));
    roll_windows(&Product::new(&[]).days(), 0..=9, &mut out, &mut sellers);
    assert!(out.is_empty());
}
