//! The definitions, word by word and without any cleverness: every output row from scratch, in `i128`.

use super::product::{CATEGORIES, Row};
use crate::model::Availability;
use crate::rollup::{MAX_VALUE, NO_CODE, NULL};

/// Cells in the order of the columns, as text (see `product::cell`).
#[derive(Default)]
struct Line(Vec<String>);

impl Line {
    fn int(&mut self, name: &str, value: Option<i128>) {
        self.0.push(format!("{name}={}", value.map_or("-".to_owned(), |value| value.to_string())));
    }

    fn float(&mut self, name: &str, value: Option<f64>) {
        let text = value.filter(|value| !value.is_nan()).map_or("-".to_owned(), |value| format!("{value:?}"));
        self.0.push(format!("{name}={text}"));
    }

    fn done(self) -> String {
        self.0.join(" ")
    }
}

fn known(value: i64, largest: i64) -> Option<i128> {
    (value >= 0 && value <= largest).then_some(i128::from(value))
}

fn divide(part: i128, whole: i128) -> Option<f64> {
    (whole != 0).then(|| part as f64 / whole as f64)
}

fn doubled_median(values: &[i128]) -> Option<i128> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let n = sorted.len();
    (n > 0).then(|| sorted[(n - 1) / 2] + sorted[n / 2])
}

fn code(value: i64) -> Option<i128> {
    (value != NULL).then_some(i128::from(value))
}

fn word(row: &Row) -> Availability {
    Availability::from_code(row.availability).unwrap_or_default()
}

/// By id if both have one, else by name.
fn is_same(a: i32, b: i32) -> bool {
    if a == NO_CODE || b == NO_CODE {
        return false;
    }
    let ((a_id, a_name), (b_id, b_name)) = (CATEGORIES[a as usize], CATEGORIES[b as usize]);
    if a_id != NO_CODE && b_id != NO_CODE { a_id == b_id } else { a_name == b_name }
}

/// The day's rank in a category: the family's own value, else the smallest of the day's ranks there.
fn rank_in(row: &Row, category: i32, own_category: i32, own: i64) -> Option<i128> {
    if category == NO_CODE {
        return None;
    }
    let own = known(own, MAX_VALUE).filter(|_| is_same(own_category, category));
    own.or_else(|| {
        row.ranks
            .iter()
            .filter(|rank| is_same(rank.0, category))
            .filter_map(|rank| known(rank.1, MAX_VALUE))
            .min()
    })
}

/// (day, value) of the known values of some rows.
fn values(rows: &[Row], value: impl Fn(&Row) -> Option<i128>) -> Vec<(i32, i128)> {
    rows.iter().filter_map(|row| Some((row.day, value(row)?))).collect()
}

/// Guarded (low, high) of the days from `from` on, as of the last row.
fn extremes(rows: &[Row], from: i32) -> (Option<i128>, Option<i128>) {
    let prices = values(rows, |row| known(row.price, MAX_VALUE));
    let counts = |at: usize| {
        let (day, price) = prices[at];
        let before: Vec<i128> =
            prices[..at].iter().rev().take(30).map(|(_, earlier_price)| *earlier_price).collect();
        let near = at < 5 || {
            let median_x2 = doubled_median(&before).unwrap();
            3 * 2 * price >= median_x2 && 2 * price <= 3 * median_x2
        };
        let confirmed = prices.get(at + 1).is_some_and(|(_, next)| 10 * (next - price).abs() <= price);
        day >= from && (near || confirmed)
    };
    let counting = || (0..prices.len()).filter(|at| counts(*at)).map(|at| prices[at].1);
    (counting().min(), counting().max())
}

pub(super) fn rollups(rows: &[Row]) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        for window in [7, 30, 90] {
            let until_now = &rows[..=index];
            let first = row.day - window + 1;
            let inside: Vec<Row> = until_now.iter().filter(|row| row.day >= first).cloned().collect();
            if inside.len() >= 2 {
                lines.push(rollup(index, row, window, &inside, until_now));
            }
        }
    }
    lines
}

fn rollup(index: usize, row: &Row, window: i32, inside: &[Row], until_now: &[Row]) -> String {
    let mut line = Line::default();
    line.int("row", Some(index as i128));
    line.int("day_no", Some(row.day.into()));
    line.int("window_days", Some(window.into()));
    line.int("observed_days", Some(inside.len() as i128));
    let leaf = |other: &Row| rank_in(other, row.bsr_leaf_category, other.bsr_leaf_category, other.bsr_leaf);
    let first_day = row.day - window + 1;
    let price = values(inside, |row| known(row.price, MAX_VALUE));
    let bsr = values(inside, |row| known(row.bsr, MAX_VALUE));
    level(&mut line, "price", &price);
    spread(&mut line, "price", &price, first_day);
    trend(&mut line, "price", &price, first_day, window);
    level(&mut line, "bsr", &bsr);
    spread(&mut line, "bsr", &bsr, first_day);
    trend(&mut line, "bsr", &bsr, first_day, window);
    level(&mut line, "bsr_leaf", &values(inside, leaf));
    let rating = values(inside, |row| known(row.rating, MAX_VALUE));
    level(&mut line, "rating", &rating);
    trend(&mut line, "rating", &rating, first_day, window);
    let counts = values(inside, |row| known(row.ratings_count, MAX_VALUE));
    line.int("ratings_growth", (counts.len() >= 2).then(|| counts[counts.len() - 1].1 - counts[0].1));
    let in_stock = inside.iter().filter(|row| word(row).is_in_stock()).count() as i128;
    let known_days = inside.iter().filter(|row| word(row).is_known()).count() as i128;
    line.int("in_stock_days", Some(in_stock));
    line.int("known_days", Some(known_days));
    line.float("in_stock_share", divide(in_stock, known_days));
    let (low, high) = extremes(until_now, first_day);
    let (low_all, high_all) = extremes(until_now, i32::MIN);
    line.int("price_low", low);
    line.int("price_high", high);
    line.int("price_low_all", low_all);
    line.int("price_high_all", high_all);
    let observed = until_now.iter().filter(|other| other.day >= row.day - 29).count() as i128;
    line.int("observed_30d", Some(observed));
    line.float("quality", divide(observed, 30).map(|quality| quality.min(1.0)));
    line.done()
}

fn level(line: &mut Line, family: &str, values: &[(i32, i128)]) {
    let numbers: Vec<i128> = values.iter().map(|(_, value)| *value).collect();
    let n = numbers.len() as i128;
    let sum: i128 = numbers.iter().sum();
    let (first, last) = (numbers.first().copied(), numbers.last().copied());
    line.int(&format!("{family}_n"), Some(n));
    line.int(&format!("{family}_sum"), (n > 0).then_some(sum));
    line.int(&format!("{family}_min"), numbers.iter().min().copied());
    line.int(&format!("{family}_max"), numbers.iter().max().copied());
    line.int(&format!("{family}_first"), first);
    line.int(&format!("{family}_last"), last);
    line.int(&format!("{family}_median_x2"), doubled_median(&numbers));
    line.float(&format!("{family}_avg"), divide(sum, n));
    let ends = first.zip(last).filter(|_| n >= 2);
    let change = ends.and_then(|(first, last)| divide((last - first) * 100, first));
    line.float(&format!("{family}_change_pct"), change);
}

fn spread(line: &mut Line, family: &str, values: &[(i32, i128)], first_day: i32) {
    let n = values.len() as i128;
    let total = |term: &dyn Fn(i128, i128) -> i128| -> i128 {
        values.iter().map(|(day, value)| term(i128::from(day - first_day), *value)).sum()
    };
    let (sum, sumsq) = (total(&|_, y| y), total(&|_, y| y * y));
    let (sx, sxx, sxy) = (total(&|x, _| x), total(&|x, _| x * x), total(&|x, y| x * y));
    let root = ((n * sumsq - sum * sum) as f64).sqrt();
    line.int(&format!("{family}_sumsq"), (n > 0).then_some(sumsq));
    line.float(&format!("{family}_sd"), (n >= 2).then(|| root / n as f64));
    line.float(&format!("{family}_volatility"), (n >= 2).then(|| root / sum as f64));
    let slope = (n >= 2).then(|| divide(n * sxy - sx * sum, n * sxx - sx * sx)).flatten();
    line.float(&format!("{family}_slope"), slope);
}

fn trend(line: &mut Line, family: &str, values: &[(i32, i128)], first_day: i32, window: i32) {
    let half = window / 2;
    let total = |is_inside: &dyn Fn(i32) -> bool| {
        let inside = values.iter().filter(|(day, _)| is_inside(day - first_day));
        inside.fold((0, 0), |(n, sum), (_, value)| (n + 1, sum + value))
    };
    let (n1, s1) = total(&|x| x < half);
    let (n2, s2) = total(&|x| x >= window - half);
    let word = if n1 == 0 || n2 == 0 {
        None
    } else if 100 * (s2 * n1 - s1 * n2) > 5 * s1 * n2 {
        Some(1)
    } else if 100 * (s2 * n1 - s1 * n2) < -5 * s1 * n2 {
        Some(-1)
    } else {
        Some(0)
    };
    line.int(&format!("{family}_trend"), word);
}

pub(super) fn sellers(rows: &[Row]) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        for window in [7, 30, 90] {
            let inside: Vec<&Row> =
                rows[..=index].iter().filter(|other| other.day > row.day - window).collect();
            if inside.len() < 2 {
                continue;
            }
            let is_known = |row: &&&Row| {
                row.offer_known && (row.seller != NO_CODE || word(row) == Availability::NoFeaturedOffer)
            };
            let holders: Vec<i32> = inside.iter().filter(is_known).map(|row| row.seller).collect();
            let mut distinct = holders.clone();
            distinct.sort_unstable();
            distinct.dedup();
            for seller in distinct {
                let days = holders.iter().filter(|holder| **holder == seller).count();
                lines.push(format!(
                    "row={index} day_no={} window_days={window} seller_id={seller} days={days} known_days={}",
                    row.day,
                    holders.len()
                ));
            }
        }
    }
    lines
}

/// What a field's previous value must share with today's.
type Agreement = fn(&Row) -> Vec<i64>;

pub(super) fn deltas(rows: &[Row]) -> Vec<String> {
    (0..rows.len()).map(|index| delta(rows, index)).collect()
}

fn delta(rows: &[Row], index: usize) -> String {
    let (row, earlier) = (&rows[index], &rows[..index]);
    let mut line = Line::default();
    line.int("row", Some(index as i128));
    line.int("day_no", Some(row.day.into()));
    line.int("currency", code(row.currency));
    line.int("price_basis", code(row.price_basis));
    line.int("gap_days", earlier.last().map(|previous| (row.day - previous.day).into()));
    let currency: Agreement = |row| vec![row.currency];
    let basis: Agreement = |row| vec![row.currency, row.price_basis];
    let nothing: Agreement = |_| Vec::new();
    let mut field = |name: &str, value: &dyn Fn(&Row) -> Option<i128>, agreement: Agreement| {
        let prev = latest(earlier, row.day, value).filter(|(prev, _)| {
            let agrees =
                |(today, prev): (&i64, &i64)| today == prev || (value(row).is_none() && *today == NULL);
            agreement(row).iter().zip(&agreement(prev)).all(agrees)
        });
        change(&mut line, name, value(row), prev.map(|(prev, value)| (prev.day, value)));
    };
    field("price", &|row| known(row.price, MAX_VALUE), basis);
    field("list_price", &|row| known(row.list_price, MAX_VALUE), currency);
    field("buy_box_price", &|row| known(row.buy_box_price, MAX_VALUE), currency);
    field("landed_price", &|row| known(row.landed_price, 2 * MAX_VALUE), basis);
    let main = |other: &Row| rank_in(other, row.bsr_category, other.bsr_category, other.bsr);
    let leaf = |other: &Row| rank_in(other, row.bsr_leaf_category, other.bsr_leaf_category, other.bsr_leaf);
    let prev = latest(earlier, row.day, &main).map(|(prev, rank)| (prev.day, rank));
    change(&mut line, "bsr", known(row.bsr, MAX_VALUE), prev);
    let prev = latest(earlier, row.day, &leaf).map(|(prev, rank)| (prev.day, rank));
    change(&mut line, "bsr_leaf", known(row.bsr_leaf, MAX_VALUE), prev);
    let mut field = |name: &str, value: &dyn Fn(&Row) -> Option<i128>, _: Agreement| {
        let prev = latest(earlier, row.day, value);
        change(&mut line, name, value(row), prev.map(|(prev, value)| (prev.day, value)));
    };
    field("rating", &|row| known(row.rating, MAX_VALUE), nothing);
    field("ratings_count", &|row| known(row.ratings_count, MAX_VALUE), nothing);
    line.int("bsr_category", Some(row.bsr_category.into()));
    line.int("bsr_leaf_category", Some(row.bsr_leaf_category.into()));
    evidence(&mut line, row, earlier);
    line.done()
}

/// The latest earlier row, within 90 days, that has the value.
fn latest<'a>(earlier: &'a [Row], day: i32, value: &dyn Fn(&Row) -> Option<i128>) -> Option<(&'a Row, i128)> {
    let within = earlier.iter().rev().filter(|row| row.day >= day - 90);
    within.filter_map(|row| Some((row, value(row)?))).next()
}

fn change(line: &mut Line, name: &str, today: Option<i128>, prev: Option<(i32, i128)>) {
    let delta = today.zip(prev).map(|(today, (_, prev))| today - prev);
    line.int(name, today);
    line.int(&format!("{name}_prev"), prev.map(|(_, value)| value));
    line.int(&format!("{name}_prev_day"), prev.map(|(day, _)| day.into()));
    line.int(&format!("{name}_delta"), delta);
    let pct = delta.zip(prev).and_then(|(delta, (_, prev))| divide(delta * 100, prev));
    line.float(&format!("{name}_pct"), pct);
}

fn evidence(line: &mut Line, row: &Row, earlier: &[Row]) {
    let said = |row: &Row| word(row).is_known().then_some(i128::from(row.availability));
    let prev = latest(earlier, row.day, &said);
    line.int("availability", code(row.availability));
    line.int("availability_prev", prev.map(|(_, word)| word));
    line.int("availability_prev_day", prev.map(|(prev, _)| prev.day.into()));
    let seller = |row: &Row| (row.seller != NO_CODE).then_some(i128::from(row.seller));
    let prev = latest(earlier, row.day, &seller);
    let known_sellers: Vec<i128> = earlier.iter().filter_map(seller).collect();
    line.int("seller_id", Some(row.seller.into()));
    line.int("seller_prev", Some(prev.map_or(NO_CODE.into(), |(_, seller)| seller)));
    line.int("seller_prev_day", prev.map(|(prev, _)| prev.day.into()));
    line.int("seller_is_new", seller(row).map(|seller| i128::from(!known_sellers.contains(&seller))));
    line.int("seller_known_days", Some(known_sellers.len() as i128));
    let prices = values(earlier, |row| known(row.price, MAX_VALUE));
    let (low, high) = extremes(earlier, i32::MIN);
    line.int("price_known_days", Some(prices.len() as i128));
    line.int("price_low_all_prev", low);
    line.int("price_high_all_prev", high);
    let within = prices.iter().rev().filter(|(day, _)| *day >= row.day - 60);
    let recent: Vec<i128> = within.take(14).map(|(_, price)| *price).collect();
    let median_x2 = doubled_median(&recent);
    let deviations: Vec<i128> = recent.iter().map(|price| (2 * price - median_x2.unwrap()).abs()).collect();
    line.int("price_outlier_n", Some(recent.len() as i128));
    line.int("price_outlier_median_x2", median_x2);
    line.int("price_outlier_mad_x4", doubled_median(&deviations));
}
