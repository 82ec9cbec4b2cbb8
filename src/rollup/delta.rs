//! Changes against the previous known day of each field, and the evidence the alert rules look at.
//!
//! Reads one product's days, writes one row per daily row. Running it again gives the same rows.

use std::ops::{Range, RangeInclusive};

use super::columns::{Change, Columns};
use super::extremes::{AllTime, GuardedPrices};
use super::series::{MAX_VALUE, Ordered, Points, ProductDays, RankFamily, Run, median_x2};
use super::window::availability;
use super::{DeltaColumns, NO_CODE, NULL, ratio};

/// A previous value older than this is no previous value.
const LOOK_BACK_DAYS: i32 = 90;

/// The outlier rule looks at so many prices, none older than [`OUTLIER_DAYS`].
const OUTLIER_PRICES: usize = 14;
const OUTLIER_DAYS: i32 = 60;

/// Price + shipping, both at their limit.
const MAX_LANDED: i64 = 2 * MAX_VALUE;

/// Appends the deltas of every daily row whose day is in `emit`, with all days considered.
///
/// The previous value of a field is that of the latest earlier day, at most 90 days back, on which the field
/// is known. It is null where that day's currency (all prices) or price basis (price, landed price) differs
/// from today's; for ranks it is the rank in today's category.
pub fn deltas(days: &ProductDays<'_>, emit: RangeInclusive<i32>, out: &mut DeltaColumns) {
    days.debug_check();
    let emitted = days.rows_in(emit);
    let Some(&first_day) = days.day_no.get(emitted.start).filter(|_| !emitted.is_empty()) else {
        return;
    };
    let at = out.len();
    out.grow(emitted.len());
    let reach = days.day_no.partition_point(|day| *day < first_day - LOOK_BACK_DAYS);
    let span = Span { rows: reach..emitted.end, emitted, at };
    fill_facts(days, &span, out);

    let same_currency = |pair: &Pair| pair.agrees(days.currency);
    let same_price = |pair: &Pair| pair.agrees(days.currency) && pair.agrees(days.price_basis);
    let any = |_: &Pair| true;
    fill_change(days, Field::new(days.price), &span, same_price, &mut out.price);
    fill_change(days, Field::new(days.list_price), &span, same_currency, &mut out.list_price);
    fill_change(days, Field::new(days.buy_box_price), &span, same_currency, &mut out.buy_box_price);
    let landed = Field { values: days.landed_price, largest: MAX_LANDED };
    fill_change(days, landed, &span, same_price, &mut out.landed_price);
    fill_change(days, Field::new(days.rating), &span, any, &mut out.rating);
    fill_change(days, Field::new(days.ratings_count), &span, any, &mut out.ratings_count);
    let bsr = RankFamily { values: days.bsr, categories: days.bsr_category };
    fill_rank_change(days, bsr, &span, &mut out.bsr);
    let leaf = RankFamily { values: days.bsr_leaf, categories: days.bsr_leaf_category };
    fill_rank_change(days, leaf, &span, &mut out.bsr_leaf);

    fill_availability(days, &span, out);
    fill_sellers(days, &span, out);
    fill_price_evidence(days, &span, out);
}

/// What is read and where it is written.
struct Span {
    /// The emitted rows and those within reach before them.
    rows: Range<usize>,
    emitted: Range<usize>,
    /// The output index of the first emitted row.
    at: usize,
}

impl Span {
    /// The output index of a row, if it is emitted. `row` is not behind the last emitted one.
    fn out(&self, row: usize) -> Option<usize> {
        row.checked_sub(self.emitted.start).map(|offset| self.at + offset)
    }
}

fn fill_facts(days: &ProductDays<'_>, span: &Span, out: &mut DeltaColumns) {
    for (at, row) in (span.at..).zip(span.emitted.clone()) {
        out.row[at] = row as i32;
        out.day_no[at] = days.day_no[row];
        out.currency[at] = days.currency[row];
        out.price_basis[at] = days.price_basis[row];
        out.bsr_category[at] = days.bsr_category[row];
        out.bsr_leaf_category[at] = days.bsr_leaf_category[row];
        out.availability[at] = days.availability[row];
        out.seller_id[at] = days.seller[row];
        if let Some(previous) = previous_day(days, row) {
            out.gap_days[at] = i64::from(days.day_no[row] - previous);
        }
    }
}

/// The day of the product's daily row before this one.
fn previous_day(days: &ProductDays<'_>, row: usize) -> Option<i32> {
    match row.checked_sub(1) {
        Some(previous) => Some(days.day_no[previous]),
        None => Some(days.past.last_day).filter(|_| !days.past.is_nothing()),
    }
}

/// A column, and the largest value that counts as known in it.
#[derive(Clone, Copy)]
struct Field<'a> {
    values: &'a [i64],
    largest: i64,
}

impl Field<'_> {
    fn new(values: &[i64]) -> Field<'_> {
        Field { values, largest: MAX_VALUE }
    }

    fn known(&self, row: usize) -> Option<i64> {
        Some(self.values[row]).filter(|value| (0..=self.largest).contains(value))
    }
}

/// A day and the previous day on which a field is known.
struct Pair {
    row: usize,
    prev: usize,
    is_known_today: bool,
}

impl Pair {
    /// True where both days have the same code. A day that knows neither the value nor the code contradicts
    /// nothing: its last known value is still worth showing.
    fn agrees(&self, codes: &[i64]) -> bool {
        let (today, prev) = (codes[self.row], codes[self.prev]);
        today == prev || (today == NULL && !self.is_known_today)
    }
}

fn fill_change(
    days: &ProductDays<'_>,
    field: Field<'_>,
    span: &Span,
    is_comparable: impl Fn(&Pair) -> bool,
    out: &mut Change,
) {
    let mut latest: Option<(usize, i64)> = None;
    for row in span.rows.clone() {
        let today = field.known(row);
        if let Some(at) = span.out(row) {
            let oldest = days.day_no[row] - LOOK_BACK_DAYS;
            let prev = latest.filter(|(prev, _)| {
                let pair = Pair { row, prev: *prev, is_known_today: today.is_some() };
                days.day_no[*prev] >= oldest && is_comparable(&pair)
            });
            write_change(today, prev.map(|(prev, value)| (days.day_no[prev], value)), at, out);
        }
        latest = today.map(|value| (row, value)).or(latest);
    }
}

/// As [`fill_change`], but the previous value is looked up among all ranks of the earlier days.
fn fill_rank_change(days: &ProductDays<'_>, family: RankFamily<'_>, span: &Span, out: &mut Change) {
    for (at, row) in (span.at..).zip(span.emitted.clone()) {
        let prev = match family.categories[row] {
            NO_CODE => None,
            category => previous_rank(days, family, row, category),
        };
        write_change(Field::new(family.values).known(row), prev, at, out);
    }
}

/// The latest earlier rank in `category`, and its day. The search ends after 90 days at most, and nearly always
/// at the previous row.
fn previous_rank(
    days: &ProductDays<'_>,
    family: RankFamily<'_>,
    row: usize,
    category: i32,
) -> Option<(i32, i64)> {
    let oldest = days.day_no[row] - LOOK_BACK_DAYS;
    let mut earlier = (0..row).rev().take_while(|prev| days.day_no[*prev] >= oldest);
    earlier.find_map(|prev| {
        let rank = family.rank_in(days, prev, category)?;
        Some((days.day_no[prev], i64::from(rank)))
    })
}

fn write_change(today: Option<i64>, prev: Option<(i32, i64)>, at: usize, out: &mut Change) {
    out.value[at] = today.unwrap_or(NULL);
    let Some((prev_day, prev)) = prev else {
        return;
    };
    out.prev[at] = prev;
    out.prev_day[at] = prev_day;
    if let Some(today) = today {
        out.delta[at] = today - prev;
        out.pct[at] = ratio::change_pct(prev, today);
    }
}

fn fill_availability(days: &ProductDays<'_>, span: &Span, out: &mut DeltaColumns) {
    let mut latest: Option<usize> = None;
    for row in span.rows.clone() {
        if let Some(at) = span.out(row) {
            let oldest = days.day_no[row] - LOOK_BACK_DAYS;
            if let Some(prev) = latest.filter(|prev| days.day_no[*prev] >= oldest) {
                out.availability_prev[at] = days.availability[prev];
                out.availability_prev_day[at] = days.day_no[prev];
            }
        }
        if availability(days, row).is_known() {
            latest = Some(row);
        }
    }
}

fn fill_sellers(days: &ProductDays<'_>, span: &Span, out: &mut DeltaColumns) {
    let mut latest: Option<usize> = None;
    let mut known_days = days.past.seller_days;
    let mut seen = days.past.sellers.clone();
    for row in 0..span.rows.end {
        let seller = days.seller[row];
        let place = seen.binary_search(&seller);
        if let Some(at) = span.out(row) {
            let oldest = days.day_no[row] - LOOK_BACK_DAYS;
            let prev = latest.filter(|prev| days.day_no[*prev] >= oldest);
            out.seller_prev[at] = prev.map_or(NO_CODE, |prev| days.seller[prev]);
            if let Some(prev) = prev {
                out.seller_prev_day[at] = days.day_no[prev];
            }
            if seller != NO_CODE {
                out.seller_is_new[at] = i64::from(place.is_err());
            }
            out.seller_known_days[at] = known_days;
        }
        if seller != NO_CODE {
            latest = Some(row);
            known_days += 1;
            if let Err(place) = place {
                seen.insert(place, seller);
            }
        }
    }
}

/// How many prices came before each day, how far they reached, and what the latest ones agree on.
fn fill_price_evidence(days: &ProductDays<'_>, span: &Span, out: &mut DeltaColumns) {
    let prices = days.points(days.price, 0..span.rows.end);
    let guarded = GuardedPrices::new(&prices, days.past);
    let mut all_time = AllTime::new(&guarded);
    let mut recent = RecentPrices::new(&prices);
    for (at, row) in (span.at..).zip(span.emitted.clone()) {
        if let Some(previous) = previous_day(days, row) {
            let extremes = all_time.as_of(previous);
            out.price_low_all_prev[at] = extremes.low;
            out.price_high_all_prev[at] = extremes.high;
        }
        recent.move_before(days.day_no[row]);
        out.price_known_days[at] = days.past.price_days + recent.run.end as i64;
        let sorted = recent.ordered.sorted();
        out.price_outlier_n[at] = sorted.len() as i64;
        if !sorted.is_empty() {
            out.price_outlier_median_x2[at] = median_x2(sorted);
            out.price_outlier_mad_x4[at] = deviation_x4(sorted);
        }
    }
}

/// The 14 latest known prices before a day, none older than 60 days.
struct RecentPrices<'a> {
    points: &'a Points,
    run: Run,
    ordered: Ordered,
}

impl<'a> RecentPrices<'a> {
    fn new(points: &'a Points) -> RecentPrices<'a> {
        RecentPrices { points, run: Run::default(), ordered: Ordered::new() }
    }

    fn move_before(&mut self, day: i32) {
        // The run of 60 days ends on the day before; what it holds beyond 14 prices leaves as well.
        self.run.slide(
            self.points,
            day - 1,
            OUTLIER_DAYS,
            &mut self.ordered,
            |ordered, point| ordered.remove(point.value),
            |ordered, point| ordered.insert(point.value),
        );
        while self.run.len() > OUTLIER_PRICES {
            self.ordered.remove(self.points.entries()[self.run.start].value);
            self.run.start += 1;
        }
    }
}

/// Four times the median absolute deviation: the doubled median of `|2x - m|`, m the doubled median.
///
/// In a sorted slice the deviations fall towards the middle and rise behind it, so they come in order of size
/// by walking outwards from the middle.
fn deviation_x4(sorted: &[i32]) -> i64 {
    let center_x2 = median_x2(sorted);
    let deviation = |value: i32| (2 * i64::from(value) - center_x2).abs();
    let (mut low, mut high) = sorted.split_at(sorted.len() / 2);
    let mut next = || match (low.split_last(), high.split_first()) {
        (Some((left, rest)), Some((right, _))) if deviation(*left) <= deviation(*right) => {
            low = rest;
            deviation(*left)
        }
        (_, Some((right, rest))) => {
            high = rest;
            deviation(*right)
        }
        (Some((left, rest)), None) => {
            low = rest;
            deviation(*left)
        }
        (None, None) => 0,
    };
    let mut middle = [0; 2];
    for _ in 0..=sorted.len() / 2 {
        middle = [middle[1], next()];
    }
    if sorted.len().is_multiple_of(2) { middle[0] + middle[1] } else { 2 * middle[1] }
}
