//! What a product's past comes to: all that the kernels need of days before those they are given.
//!
//! A past is made of a product's rows up to a day, themselves with a past or without, so that it never has to be made
//! of all history again. Its size does not grow with the history's length.

use super::extremes::{AllTime, GuardedPrices, MEDIAN_OF, TRUSTED_AFTER};
use super::series::ProductDays;
use super::{NO_CODE, NO_DAY, NULL, PastColumns, PastPriceColumns, PastSellerColumns};

/// A product's days up to one of them, boiled down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// The last of them, [`NO_DAY`] if there is none.
    pub last_day: i32,
    /// Days with a known price.
    pub price_days: i64,
    /// The latest known prices in day order, as many as the guard's median looks at.
    pub prices: Vec<i32>,
    /// Lowest and highest price that counts, [`NULL`] where none does.
    pub price_low: i64,
    pub price_high: i64,
    /// The latest price counts only if the next one is near it.
    pub is_price_waiting: bool,
    /// Days with a known seller.
    pub seller_days: i64,
    /// The sellers, sorted, each once.
    pub sellers: Vec<i32>,
}

/// The past of a product that is known from the first given day on.
pub static NO_PAST: Past = Past {
    last_day: NO_DAY,
    price_days: 0,
    prices: Vec::new(),
    price_low: NULL,
    price_high: NULL,
    is_price_waiting: false,
    seller_days: 0,
    sellers: Vec::new(),
};

impl Default for Past {
    fn default() -> Past {
        NO_PAST.clone()
    }
}

impl Past {
    pub fn is_nothing(&self) -> bool {
        self.last_day == NO_DAY
    }

    /// True where the rollups of days 90 and more behind both pasts are the same with either: all they look at are prices.
    pub fn is_same_for_rollups(&self, other: &Past) -> bool {
        let trusted = |past: &Past| past.price_days.min(TRUSTED_AFTER as i64);
        self.prices == other.prices
            && (self.price_low, self.price_high) == (other.price_low, other.price_high)
            && self.is_price_waiting == other.is_price_waiting
            && trusted(self) == trusted(other)
    }
}

/// What the days up to each of `ends`, inclusive, come to; `ends` are sorted.
pub fn pasts(days: &ProductDays<'_>, ends: &[i32]) -> Vec<Past> {
    let points = days.points(days.price, 0..days.day_no.len());
    let known = &points.entries()[..points.len()];
    let guarded = GuardedPrices::new(&points, days.past);
    let mut all_time = AllTime::new(&guarded);
    let (mut rows, mut price_days) = (0, 0);
    let mut past = days.past.clone();
    let until = |end: i32| {
        let upto = rows + days.day_no[rows..].partition_point(|day| *day <= end);
        for seller in days.seller[rows..upto].iter().filter(|seller| **seller != NO_CODE) {
            past.seller_days += 1;
            if let Err(place) = past.sellers.binary_search(seller) {
                past.sellers.insert(place, *seller);
            }
        }
        rows = upto;
        past.last_day = rows.checked_sub(1).map_or(past.last_day, |last| days.day_no[last]);
        let priced = price_days + known[price_days..].partition_point(|point| point.day <= end);
        past.prices.extend(known[price_days..priced].iter().map(|point| point.value));
        past.prices.drain(..past.prices.len().saturating_sub(MEDIAN_OF));
        price_days = priced;
        past.price_days = days.past.price_days + price_days as i64;
        past.is_price_waiting = guarded.is_waiting(price_days);
        let extremes = all_time.as_of(end);
        (past.price_low, past.price_high) = (extremes.low, extremes.high);
        past.clone()
    };
    ends.iter().copied().map(until).collect()
}

/// Pasts of many products as rows.
#[derive(Clone, Debug, Default)]
pub struct PastRows {
    pub pasts: PastColumns,
    pub prices: PastPriceColumns,
    pub sellers: PastSellerColumns,
}

impl PastRows {
    /// Adds what a product's days up to each of `ends` come to; `ends` are sorted.
    pub fn add(&mut self, days: &ProductDays<'_>, ends: &[i32]) {
        for (past, &end) in pasts(days, ends).iter().zip(ends).filter(|(past, _)| !past.is_nothing()) {
            let row = days.rows_in(i32::MIN..=end).end as i32;
            self.pasts.row.push(row);
            self.pasts.day_no.push(end);
            self.pasts.last_day.push(past.last_day);
            self.pasts.price_days.push(past.price_days);
            self.pasts.price_low.push(past.price_low);
            self.pasts.price_high.push(past.price_high);
            self.pasts.is_price_waiting.push(past.is_price_waiting.into());
            self.pasts.seller_days.push(past.seller_days);
            for (ordinal, price) in (0..).zip(&past.prices) {
                self.prices.row.push(row);
                self.prices.day_no.push(end);
                self.prices.ordinal.push(ordinal);
                self.prices.price.push((*price).into());
            }
            for seller in &past.sellers {
                self.sellers.row.push(row);
                self.sellers.day_no.push(end);
                self.sellers.seller_id.push(*seller);
            }
        }
    }
}
