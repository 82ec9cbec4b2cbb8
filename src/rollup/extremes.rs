//! Lowest and highest price of a window and of all time, guarded against prices that were never real.
//!
//! A price counts if fewer than 5 earlier days with a price exist, or if it lies within a third and three
//! times the median of the up to 30 prices before it, or once the next known price lies within 10 % of it.
//! The last clause makes a price count later than its own day: as of a day, only days up to it are known.

use super::series::{Ordered, Points, median_x2};
use super::{NULL, Past, series::Point};

/// So many earlier prices make a median worth trusting.
pub(super) const TRUSTED_AFTER: usize = 5;

/// The median looks at so many known prices, however many days they span.
pub(super) const MEDIAN_OF: usize = 30;

/// A product's known prices, and the day from which each of them counts.
pub(super) struct GuardedPrices<'a> {
    points: &'a Points,
    past: &'a Past,
    /// The price's own day, the day of the next price, or `i32::MAX`: never.
    counts_from: Vec<i32>,
}

/// Lowest and highest, [`NULL`] where nothing counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Extremes {
    pub(super) low: i64,
    pub(super) high: i64,
}

impl Extremes {
    fn take(&mut self, value: i64) {
        self.low = if self.low == NULL { value } else { self.low.min(value) };
        // NULL is the smallest integer.
        self.high = self.high.max(value);
    }
}

impl<'a> GuardedPrices<'a> {
    /// Judges every price. `points` must be all that is known of the product since its past.
    pub(super) fn new(points: &'a Points, past: &'a Past) -> GuardedPrices<'a> {
        let entries = points.entries();
        let mut before = Ordered::new();
        past.prices.iter().for_each(|price| before.insert(*price));
        let days_before = usize::try_from(past.price_days).unwrap_or_default();
        let mut counts_from = Vec::with_capacity(points.len());
        for (index, pair) in entries.windows(2).enumerate() {
            let (point, next) = (&pair[0], &pair[1]);
            let trusted = days_before + index < TRUSTED_AFTER || is_near_median(point.value, before.sorted());
            let confirmed = index + 1 < points.len() && is_confirmed_by(point.value, next.value);
            counts_from.push(match (trusted, confirmed) {
                (true, _) => point.day,
                (false, true) => next.day,
                (false, false) => i32::MAX,
            });
            let leaving = (past.prices.len() + index).checked_sub(MEDIAN_OF);
            let leaving = leaving.map(|place| match place.checked_sub(past.prices.len()) {
                Some(own) => entries[own].value,
                None => past.prices[place],
            });
            // Prices mostly hold: then one goes and its like comes.
            if leaving != Some(point.value) {
                leaving.into_iter().for_each(|value| before.remove(value));
                before.insert(point.value);
            }
        }
        GuardedPrices { points, past, counts_from }
    }

    /// True where the last of the first `known` prices counts only if the next one is near it.
    pub(super) fn is_waiting(&self, known: usize) -> bool {
        match known.checked_sub(1) {
            Some(last) => self.counts_from[last] != self.points.entries()[last].day,
            None => self.past.is_price_waiting,
        }
    }

    /// The last price of the past that waited, and the day that confirmed it.
    fn confirmed_of_past(&self) -> Option<(i32, i64)> {
        let waiting = self.past.prices.last().filter(|_| self.past.is_price_waiting)?;
        let next = self.points.entries()[..self.points.len()].first()?;
        is_confirmed_by(*waiting, next.value).then_some((next.day, i64::from(*waiting)))
    }

    /// Hands the prices that count as of `day` to `take`, from `cursor` on, in day order.
    ///
    /// Only the newest price can be waiting for its confirmation, so the cursor stops there and goes on when
    /// the next one is known.
    fn advance(&self, cursor: &mut usize, day: i32, mut take: impl FnMut(usize, &Point)) {
        while let Some(&counts_from) = self.counts_from.get(*cursor) {
            let point = &self.points.entries()[*cursor];
            let is_waiting = counts_from != i32::MAX && counts_from > day;
            if point.day > day || is_waiting {
                return;
            }
            if counts_from <= day {
                take(*cursor, point);
            }
            *cursor += 1;
        }
    }
}

fn is_near_median(value: i32, sorted: &[i32]) -> bool {
    let (value, median_x2) = (i64::from(value), median_x2(sorted));
    6 * value >= median_x2 && 2 * value <= 3 * median_x2
}

fn is_confirmed_by(value: i32, next: i32) -> bool {
    let (value, next) = (i64::from(value), i64::from(next));
    10 * (next - value).abs() <= value
}

/// The extremes of all days up to a day that only moves forward.
pub(super) struct AllTime<'a> {
    prices: &'a GuardedPrices<'a>,
    /// A price of the past that counts from a day on.
    confirmed: Option<(i32, i64)>,
    cursor: usize,
    extremes: Extremes,
}

impl<'a> AllTime<'a> {
    pub(super) fn new(prices: &'a GuardedPrices<'a>) -> AllTime<'a> {
        let extremes = Extremes { low: prices.past.price_low, high: prices.past.price_high };
        AllTime { prices, confirmed: prices.confirmed_of_past(), cursor: 0, extremes }
    }

    /// The extremes as of `day`, which is not before the last one asked for.
    pub(super) fn as_of(&mut self, day: i32) -> Extremes {
        let extremes = &mut self.extremes;
        if let Some((_, value)) = self.confirmed.take_if(|(from, _)| *from <= day) {
            extremes.take(value);
        }
        self.prices.advance(&mut self.cursor, day, |_, point| extremes.take(i64::from(point.value)));
        self.extremes
    }
}

/// The extremes of the `length` days that end on a day that only moves forward.
pub(super) struct Sliding<'a> {
    prices: &'a GuardedPrices<'a>,
    length: i32,
    cursor: usize,
    lows: Deque,
    highs: Deque,
}

impl<'a> Sliding<'a> {
    pub(super) fn new(prices: &'a GuardedPrices<'a>, length: i32) -> Sliding<'a> {
        Sliding { prices, length, cursor: 0, lows: Deque::default(), highs: Deque::default() }
    }

    /// The extremes as of `day`, which is not before the last one asked for.
    pub(super) fn as_of(&mut self, day: i32) -> Extremes {
        let before = day - self.length;
        let entries = self.prices.points.entries();
        let (lows, highs) = (&mut self.lows, &mut self.highs);
        self.prices.advance(&mut self.cursor, day, |index, point| {
            if point.day > before {
                lows.push(index, |last| entries[last].value >= point.value);
                highs.push(index, |last| entries[last].value <= point.value);
            }
        });
        lows.expire(|first| entries[first].day <= before);
        highs.expire(|first| entries[first].day <= before);
        let value = |index: Option<usize>| index.map_or(NULL, |index| i64::from(entries[index].value));
        Extremes { low: value(lows.first()), high: value(highs.first()) }
    }
}

/// Indices of points whose values are monotonic: the first is the window's extreme.
#[derive(Default)]
struct Deque {
    indices: Vec<usize>,
    first: usize,
}

impl Deque {
    fn push(&mut self, index: usize, is_beaten: impl Fn(usize) -> bool) {
        while self.indices.len() > self.first && self.indices.last().is_some_and(|last| is_beaten(*last)) {
            self.indices.pop();
        }
        self.indices.push(index);
    }

    fn expire(&mut self, is_old: impl Fn(usize) -> bool) {
        while self.first().is_some_and(&is_old) {
            self.first += 1;
        }
    }

    fn first(&self) -> Option<usize> {
        self.indices.get(self.first).copied()
    }
}
