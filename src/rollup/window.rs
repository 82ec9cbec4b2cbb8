//! Measures over the last 7, 30 and 90 days of one product.
//!
//! Reads one product's days, writes rollup and seller rows. One row is one (daily row, window); each family
//! of measures then fills its own columns in one forward pass per window. Running it again gives the same rows.

use std::ops::{Range, RangeInclusive};

use super::columns::{Columns, Level, Spread};
use super::extremes::{AllTime, GuardedPrices, Sliding};
use super::ratio::{self, LineSums, QUALITY_DAYS};
use super::series::{Ordered, Point, Points, ProductDays, RankFamily, Run, median_x2};
use super::{NO_CODE, NULL, RollupColumns, SellerColumns};
use crate::model::Availability;

/// The window lengths, in days. None is longer than `Ordered::CAPACITY`.
pub const WINDOWS: [i32; 3] = [7, 30, 90];

const LONGEST: i32 = WINDOWS[WINDOWS.len() - 1];

/// A row exists only where its window holds so many daily rows.
const FEWEST_ROWS: usize = 2;

/// One output row to be filled.
#[derive(Clone, Copy)]
struct Slot {
    /// Its index in the output columns.
    out: usize,
    /// The as-of row.
    row: usize,
    day: i32,
    window: i32,
    /// The first daily row in the window.
    first_row: usize,
    observed_30d: i64,
}

/// Appends the window measures of every daily row whose day is in `emit`, with all days considered.
///
/// A row exists iff its window holds at least two daily rows. A sum, extreme or mean of no known value is null,
/// never 0; counts are 0.
pub fn roll_windows(
    days: &ProductDays<'_>,
    emit: RangeInclusive<i32>,
    out: &mut RollupColumns,
    sellers: &mut SellerColumns,
) {
    days.debug_check();
    let emitted = days.rows_in(emit);
    let Some(&first_day) = days.day_no.get(emitted.start).filter(|_| !emitted.is_empty()) else {
        return;
    };
    let slots = plan_slots(days, emitted.clone(), out.len());
    out.grow(slots.len());
    fill_keys(&slots, out);

    let reach = days.day_no.partition_point(|day| *day <= first_day - LONGEST)..emitted.end;
    let rating = days.points(days.rating, reach.clone());
    let ratings_count = days.points(days.ratings_count, reach.clone());
    let bsr = days.points(days.bsr, reach.clone());
    let prices = days.points(days.price, 0..emitted.end);
    for window in WINDOWS {
        let of_window = || slots.iter().copied().filter(move |slot| slot.window == window);
        fill_level(&prices, of_window(), &mut out.price);
        fill_spread(&prices, of_window(), &mut out.price_spread);
        fill_trend(&prices, of_window(), &mut out.price_trend);
        fill_level(&bsr, of_window(), &mut out.bsr);
        fill_spread(&bsr, of_window(), &mut out.bsr_spread);
        fill_trend(&bsr, of_window(), &mut out.bsr_trend);
        fill_level(&rating, of_window(), &mut out.rating);
        fill_trend(&rating, of_window(), &mut out.rating_trend);
        fill_growth(&ratings_count, of_window(), &mut out.ratings_growth);
        fill_stock(days, of_window(), out);
    }
    fill_leaf_ranks(days, reach, emitted, &slots, &mut out.bsr_leaf);
    fill_extremes(days, &prices, &slots, out);
    push_sellers(days, &slots, sellers);
}

/// The rows that exist, sorted by day, then window.
fn plan_slots(days: &ProductDays<'_>, emitted: Range<usize>, first_out: usize) -> Vec<Slot> {
    let mut slots = Vec::with_capacity(emitted.len() * WINDOWS.len());
    let mut first_rows = [0; WINDOWS.len()];
    let mut first_of_30 = 0;
    let skip_to = |first: &mut usize, last_outside: i32| {
        while days.day_no[*first] <= last_outside {
            *first += 1;
        }
    };
    for row in emitted {
        let day = days.day_no[row];
        skip_to(&mut first_of_30, day - QUALITY_DAYS);
        for (window, first_row) in WINDOWS.into_iter().zip(&mut first_rows) {
            skip_to(first_row, day - window);
            if row + 1 - *first_row >= FEWEST_ROWS {
                let out = first_out + slots.len();
                let observed_30d = (row + 1 - first_of_30) as i64;
                slots.push(Slot { out, row, day, window, first_row: *first_row, observed_30d });
            }
        }
    }
    slots
}

fn fill_keys(slots: &[Slot], out: &mut RollupColumns) {
    for slot in slots {
        out.row[slot.out] = slot.row as i32;
        out.day_no[slot.out] = slot.day;
        out.window_days[slot.out] = slot.window;
        out.observed_days[slot.out] = (slot.row + 1 - slot.first_row) as i64;
        out.observed_30d[slot.out] = slot.observed_30d;
        out.quality[slot.out] = ratio::quality(slot.observed_30d);
    }
}

fn fill_level(points: &Points, slots: impl Iterator<Item = Slot>, out: &mut Level) {
    let entries = points.entries();
    let (mut run, mut ordered) = (Run::default(), Ordered::new());
    for Slot { out: at, day, window, .. } in slots {
        run.slide(
            points,
            day,
            window,
            &mut ordered,
            |ordered, point| ordered.remove(point.value),
            |ordered, point| ordered.insert(point.value),
        );
        let n = run.len() as i64;
        out.n[at] = n;
        let (Some(&min), Some(&max)) = (ordered.sorted().first(), ordered.sorted().last()) else {
            continue;
        };
        let sum = points.sum(run.start..run.end);
        let (first, last) = (i64::from(entries[run.start].value), i64::from(entries[run.end - 1].value));
        out.sum[at] = sum;
        out.min[at] = i64::from(min);
        out.max[at] = i64::from(max);
        out.first[at] = first;
        out.last[at] = last;
        out.median_x2[at] = median_x2(ordered.sorted());
        out.avg[at] = ratio::ratio(sum, n);
        if n >= 2 {
            out.change_pct[at] = ratio::change_pct(first, last);
        }
    }
}

/// Running sums of a window: the squares of the values, and the line through them.
#[derive(Default)]
struct SpreadSums {
    sumsq: i64,
    line: LineSums,
}

fn fill_spread(points: &Points, slots: impl Iterator<Item = Slot>, out: &mut Spread) {
    let origin = points.entries()[0].day;
    let add = |sums: &mut SpreadSums, point: &Point, sign: i64| {
        let value = i64::from(point.value);
        sums.sumsq += sign * value * value;
        sums.line.add(i64::from(point.day - origin), value, sign);
    };
    let (mut run, mut sums) = (Run::default(), SpreadSums::default());
    for Slot { out: at, day, window, .. } in slots {
        run.slide(points, day, window, &mut sums, |s, p| add(s, p, -1), |s, p| add(s, p, 1));
        let (n, sum) = (run.len() as i64, points.sum(run.start..run.end));
        if n >= 1 {
            out.sumsq[at] = sums.sumsq;
        }
        if n >= 2 {
            let root = ratio::root_of_spread(n, sum, sums.sumsq);
            out.sd[at] = ratio::standard_deviation(root, n);
            out.volatility[at] = ratio::volatility(root, sum);
            out.slope[at] = sums.line.slope();
        }
    }
}

/// Compares the first and the last half of each window's calendar days; of an odd number of days the middle
/// one is in neither.
fn fill_trend(points: &Points, slots: impl Iterator<Item = Slot>, out: &mut [i64]) {
    let (mut first_half, mut last_half) = (Run::default(), Run::default());
    let ignore = |_: &mut (), _: &Point| {};
    for Slot { out: at, day, window, .. } in slots {
        let half = window / 2;
        first_half.slide(points, day - window + half, half, &mut (), ignore, ignore);
        last_half.slide(points, day, half, &mut (), ignore, ignore);
        let halves = [&first_half, &last_half].map(|run| (run.len() as i64, points.sum(run.start..run.end)));
        let [(n1, sum1), (n2, sum2)] = halves;
        out[at] = ratio::trend(n1, sum1, n2, sum2).unwrap_or(NULL);
    }
}

fn fill_growth(points: &Points, slots: impl Iterator<Item = Slot>, out: &mut [i64]) {
    let entries = points.entries();
    let ignore = |_: &mut (), _: &Point| {};
    let mut run = Run::default();
    for Slot { out: at, day, window, .. } in slots {
        run.slide(points, day, window, &mut (), ignore, ignore);
        if run.len() >= 2 {
            out[at] = i64::from(entries[run.end - 1].value) - i64::from(entries[run.start].value);
        }
    }
}

fn fill_stock(days: &ProductDays<'_>, slots: impl Iterator<Item = Slot>, out: &mut RollupColumns) {
    let (mut start, mut end) = (0, 0);
    let (mut in_stock, mut known) = (0, 0);
    let count = |row: usize| {
        let word = availability(days, row);
        (i64::from(word.is_in_stock()), i64::from(word.is_known()))
    };
    for slot in slots {
        // Rows that no window holds are neither added nor taken out.
        if slot.first_row >= end {
            (start, end, in_stock, known) = (slot.first_row, slot.first_row, 0, 0);
        }
        for row in end..=slot.row {
            let (row_in_stock, row_known) = count(row);
            (in_stock, known) = (in_stock + row_in_stock, known + row_known);
        }
        for row in start..slot.first_row {
            let (row_in_stock, row_known) = count(row);
            (in_stock, known) = (in_stock - row_in_stock, known - row_known);
        }
        (start, end) = (slot.first_row, slot.row + 1);
        out.in_stock_days[slot.out] = in_stock;
        out.known_days[slot.out] = known;
        out.in_stock_share[slot.out] = ratio::ratio(in_stock, known);
    }
}

pub(super) fn availability(days: &ProductDays<'_>, row: usize) -> Availability {
    Availability::from_code(days.availability[row]).unwrap_or_default()
}

/// Ranks in the leaf category of each as-of day: one series per category, so that a leaf that flips between
/// two categories loses nothing.
fn fill_leaf_ranks(
    days: &ProductDays<'_>,
    reach: Range<usize>,
    emitted: Range<usize>,
    slots: &[Slot],
    out: &mut Level,
) {
    let leaf = RankFamily { values: days.bsr_leaf, categories: days.bsr_leaf_category };
    let categories = leaf.distinct_categories(emitted);
    let mut slots_of: Vec<Vec<Slot>> = categories.iter().map(|_| Vec::new()).collect();
    for slot in slots {
        match categories.binary_search(&days.bsr_leaf_category[slot.row]) {
            Ok(index) => slots_of[index].push(*slot),
            Err(_) => out.n[slot.out] = 0,
        }
    }
    let series = leaf.points_by_category(days, reach, &categories);
    for (points, slots) in series.iter().zip(&slots_of) {
        for window in WINDOWS {
            fill_level(points, slots.iter().copied().filter(|slot| slot.window == window), out);
        }
    }
}

fn fill_extremes(days: &ProductDays<'_>, prices: &Points, slots: &[Slot], out: &mut RollupColumns) {
    let guarded = GuardedPrices::new(prices, days.past);
    let mut all_time = AllTime::new(&guarded);
    let mut sliding = WINDOWS.map(|window| (window, Sliding::new(&guarded, window)));
    for slot in slots {
        let all = all_time.as_of(slot.day);
        (out.price_low_all[slot.out], out.price_high_all[slot.out]) = (all.low, all.high);
        for (_, of_window) in sliding.iter_mut().filter(|(window, _)| *window == slot.window) {
            let extremes = of_window.as_of(slot.day);
            (out.price_low[slot.out], out.price_high[slot.out]) = (extremes.low, extremes.high);
        }
    }
}

/// Who had the buy box on the days of one window.
struct BuyBox {
    window: i32,
    start: usize,
    end: usize,
    known: i64,
    /// (seller, days), sorted by seller, never 0 days.
    days_of: Vec<(i32, i64)>,
}

impl BuyBox {
    fn new(window: i32) -> BuyBox {
        BuyBox { window, start: 0, end: 0, known: 0, days_of: Vec::new() }
    }

    fn slide(&mut self, days: &ProductDays<'_>, slot: &Slot) {
        if slot.first_row >= self.end {
            (self.start, self.end, self.known) = (slot.first_row, slot.first_row, 0);
            self.days_of.clear();
        }
        for row in self.end..=slot.row {
            self.add(days, row, 1);
        }
        for row in self.start..slot.first_row {
            self.add(days, row, -1);
        }
        (self.start, self.end) = (slot.first_row, slot.row + 1);
    }

    fn add(&mut self, days: &ProductDays<'_>, row: usize, sign: i64) {
        let Some(seller) = buy_box_holder(days, row) else {
            return;
        };
        self.known += sign;
        let place = self.days_of.partition_point(|(other, _)| *other < seller);
        match self.days_of.get_mut(place) {
            Some((same, count)) if *same == seller => {
                *count += sign;
                if *count == 0 {
                    self.days_of.remove(place);
                }
            }
            _ => self.days_of.insert(place, (seller, sign)),
        }
    }
}

/// The seller who had the buy box, [`NO_CODE`] where nobody had it, `None` where that is not known.
fn buy_box_holder(days: &ProductDays<'_>, row: usize) -> Option<i32> {
    let seller = days.seller[row];
    let nobody = availability(days, row) == Availability::NoFeaturedOffer;
    (days.offer_known[row] && (seller != NO_CODE || nobody)).then_some(seller)
}

fn push_sellers(days: &ProductDays<'_>, slots: &[Slot], out: &mut SellerColumns) {
    let mut buy_boxes = WINDOWS.map(BuyBox::new);
    for slot in slots {
        for buy_box in buy_boxes.iter_mut().filter(|buy_box| buy_box.window == slot.window) {
            buy_box.slide(days, slot);
            for &(seller, seller_days) in &buy_box.days_of {
                out.row.push(slot.row as i32);
                out.day_no.push(slot.day);
                out.window_days.push(slot.window);
                out.seller_id.push(seller);
                out.days.push(seller_days);
                out.known_days.push(buy_box.known);
            }
        }
    }
}
