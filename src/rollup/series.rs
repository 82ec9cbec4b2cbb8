//! One product's daily rows as borrowed columns, and the known values among them.

use std::ops::{Range, RangeInclusive};

use super::{NO_CODE, Past};

/// The largest value that a daily row may hold (price-like minor units, ranks, counts). Larger ones are
/// quarantined long before; here they count as unknown.
pub const MAX_VALUE: i64 = 300_000_000;

/// One product's daily rows: one entry per row in every slice, sorted by `day_no`, each day once.
///
/// Unknown is [`NULL`](super::NULL) in `i64` columns and [`NO_CODE`] in code columns. Codes are the caller's:
/// equal code means equal thing; two codes of categories may still be the same category. The rows and the past that goes
/// before them must reach back as far as the product is known: all-time extremes, their guard and "never seen before"
/// look at all of it. Rows must reach back 90 days at least before any day that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct ProductDays<'a> {
    /// What the days before the first row come to.
    pub past: &'a Past,
    /// Days since 1970-01-01.
    pub day_no: &'a [i32],
    pub price: &'a [i64],
    pub list_price: &'a [i64],
    pub buy_box_price: &'a [i64],
    pub landed_price: &'a [i64],
    pub bsr: &'a [i64],
    pub bsr_leaf: &'a [i64],
    /// Hundredths of a star.
    pub rating: &'a [i64],
    pub ratings_count: &'a [i64],
    pub currency: &'a [i64],
    pub price_basis: &'a [i64],
    /// [`Availability::code`](crate::model::Availability::code).
    pub availability: &'a [i64],
    pub seller: &'a [i32],
    /// True where the day's offer block holds anything, "nobody offers it" included.
    pub offer_known: &'a [bool],
    /// The id and the name of each category code: a code is a place in these two.
    pub category_id: &'a [i32],
    pub category_name: &'a [i32],
    pub bsr_category: &'a [i32],
    pub bsr_leaf_category: &'a [i32],
    /// Row `i` has the ranks `rank_offsets[i]..rank_offsets[i + 1]`; one entry more than rows.
    pub rank_offsets: &'a [u32],
    pub rank_category: &'a [i32],
    pub rank_value: &'a [i64],
}

impl<'a> ProductDays<'a> {
    /// The rows whose day lies in `days`.
    pub(super) fn rows_in(&self, days: RangeInclusive<i32>) -> Range<usize> {
        let first = self.day_no.partition_point(|day| day < days.start());
        let end = self.day_no.partition_point(|day| day <= days.end());
        first..end.max(first)
    }

    /// The known ones among `values` in `rows`.
    pub(super) fn points(&self, values: &[i64], rows: Range<usize>) -> Points {
        let mut points = Points::with_capacity(rows.len());
        for (&day, &value) in self.day_no[rows.clone()].iter().zip(&values[rows]) {
            if let Some(value) = known(value) {
                points.push(day, value);
            }
        }
        points
    }

    /// (category, rank) of every rank of a row.
    pub(super) fn ranks(&self, row: usize) -> impl Iterator<Item = (i32, i64)> + use<'a> {
        let ranks = self.rank_offsets[row] as usize..self.rank_offsets[row + 1] as usize;
        self.rank_category[ranks.clone()].iter().copied().zip(self.rank_value[ranks].iter().copied())
    }

    /// True when both codes are of the same category: by id if both have one, else by name.
    ///
    /// This is no equivalence: a bare name is the same as each of two ids that go by it. So codes are compared
    /// pair by pair and never put into classes, which a later day could break up.
    pub(super) fn is_same_category(&self, a: i32, b: i32) -> bool {
        let of = |values: &[i32], code: i32| usize::try_from(code).map_or(NO_CODE, |code| values[code]);
        let (a_id, b_id) = (of(self.category_id, a), of(self.category_id, b));
        if a_id != NO_CODE && b_id != NO_CODE {
            return a_id == b_id;
        }
        let name = of(self.category_name, a);
        name != NO_CODE && name == of(self.category_name, b)
    }

    pub(super) fn debug_check(&self) {
        let rows = self.day_no.len();
        debug_assert!(self.day_no.is_sorted_by(|a, b| a < b), "days are sorted and distinct");
        debug_assert_eq!(self.rank_offsets.len(), rows + 1);
        debug_assert_eq!(self.rank_category.len(), self.rank_value.len());
        debug_assert_eq!(self.category_id.len(), self.category_name.len());
        for column in [self.price, self.list_price, self.buy_box_price, self.landed_price, self.bsr] {
            debug_assert_eq!(column.len(), rows);
        }
        for column in [self.bsr_leaf, self.rating, self.ratings_count, self.currency, self.price_basis] {
            debug_assert_eq!(column.len(), rows);
        }
        for codes in [self.seller, self.bsr_category, self.bsr_leaf_category] {
            debug_assert_eq!(codes.len(), rows);
        }
        debug_assert_eq!((self.availability.len(), self.offer_known.len()), (rows, rows));
    }
}

/// The value, if it is known and in range.
pub(super) fn known(value: i64) -> Option<i32> {
    if (0..=MAX_VALUE).contains(&value) { Some(value as i32) } else { None }
}

/// A rank family: the column, and the category that each day's value counts in.
#[derive(Clone, Copy)]
pub(super) struct RankFamily<'a> {
    pub(super) values: &'a [i64],
    pub(super) categories: &'a [i32],
}

impl RankFamily<'_> {
    /// The day's rank in `category` among all its ranks. Where a day has several there, the family's own value
    /// wins, then the smallest.
    pub(super) fn rank_in(&self, days: &ProductDays<'_>, row: usize, category: i32) -> Option<i32> {
        if let Some(own) = self.own(row).filter(|_| days.is_same_category(self.categories[row], category)) {
            return Some(own);
        }
        let same = days.ranks(row).filter(|(other, _)| days.is_same_category(*other, category));
        same.filter_map(|(_, rank)| known(rank)).min()
    }

    fn own(&self, row: usize) -> Option<i32> {
        known(self.values[row])
    }

    /// The ranks in each of `categories` (distinct) on the days of `rows`, as [`Self::rank_in`] finds them, in one
    /// pass over all ranks.
    pub(super) fn points_by_category(
        &self,
        days: &ProductDays<'_>,
        rows: Range<usize>,
        categories: &[i32],
    ) -> Vec<Points> {
        let mut series: Vec<Points> = categories.iter().map(|_| Points::with_capacity(rows.len())).collect();
        let places_of: Vec<Vec<usize>> = (0..days.category_id.len() as i32)
            .map(|code| {
                let same = |place: &usize| days.is_same_category(code, categories[*place]);
                (0..categories.len()).filter(same).collect()
            })
            .collect();
        let places = |code: i32| usize::try_from(code).map_or(&[][..], |code| places_of[code].as_slice());
        for row in rows {
            let day = days.day_no[row];
            for (category, rank) in days.ranks(row) {
                let Some(rank) = known(rank) else { continue };
                for place in places(category) {
                    match series[*place].last_on(day) {
                        Some(smaller) if smaller <= rank => {}
                        Some(_) => series[*place].replace_last(rank),
                        None => series[*place].push(day, rank),
                    }
                }
            }
            let Some(own) = self.own(row) else { continue };
            for place in places(self.categories[row]) {
                match series[*place].last_on(day) {
                    Some(_) => series[*place].replace_last(own),
                    None => series[*place].push(day, own),
                }
            }
        }
        series
    }

    /// The categories of `rows`, sorted and distinct.
    pub(super) fn distinct_categories(&self, rows: Range<usize>) -> Vec<i32> {
        let mut categories: Vec<i32> = Vec::new();
        for &category in &self.categories[rows] {
            // Nearly all products keep their category, so the last one seen answers for most rows.
            if category != NO_CODE && categories.last() != Some(&category) {
                categories.push(category);
            }
        }
        categories.sort_unstable();
        categories.dedup();
        categories
    }
}

/// A known value on a day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Point {
    pub(super) day: i32,
    pub(super) value: i32,
    /// The sum of all values before this one, so that the sum of any run is one subtraction.
    pub(super) sum_before: i64,
}

/// Known values in day order. The entry behind the last one carries the whole sum and a day that never comes,
/// so that loops over days need no end check.
#[derive(Clone, Debug)]
pub(super) struct Points(Vec<Point>);

impl Points {
    pub(super) fn with_capacity(points: usize) -> Points {
        let mut entries = Vec::with_capacity(points + 1);
        entries.push(Point { day: i32::MAX, value: 0, sum_before: 0 });
        Points(entries)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len() - 1
    }

    pub(super) fn push(&mut self, day: i32, value: i32) {
        let end = self.len();
        let sum_before = self.0[end].sum_before;
        self.0[end] = Point { day, value, sum_before };
        self.0.push(Point { day: i32::MAX, value: 0, sum_before: sum_before + i64::from(value) });
    }

    fn last_on(&self, day: i32) -> Option<i32> {
        let last = self.0.len().checked_sub(2)?;
        (self.0[last].day == day).then_some(self.0[last].value)
    }

    fn replace_last(&mut self, value: i32) {
        let end = self.len();
        self.0[end - 1].value = value;
        self.0[end].sum_before = self.0[end - 1].sum_before + i64::from(value);
    }

    /// All points and the end entry.
    pub(super) fn entries(&self) -> &[Point] {
        &self.0
    }

    /// The sum of the values in `run`.
    pub(super) fn sum(&self, run: Range<usize>) -> i64 {
        self.0[run.end].sum_before - self.0[run.start].sum_before
    }
}

/// A run of points that slides forward: those with `day - length < point.day <= day`.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Run {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Run {
    /// Moves to the `length` days that end on `day`; `leave` and `enter` see each point that goes or comes.
    ///
    /// Points leave before others enter, and points that would leave at once never enter, so at most `length`
    /// are inside at any moment.
    pub(super) fn slide<State>(
        &mut self,
        points: &Points,
        day: i32,
        length: i32,
        state: &mut State,
        leave: impl Fn(&mut State, &Point),
        enter: impl Fn(&mut State, &Point),
    ) {
        let entries = points.entries();
        let before = day - length;
        while self.start < self.end && entries[self.start].day <= before {
            leave(state, &entries[self.start]);
            self.start += 1;
        }
        if self.start == self.end {
            // A daily build looks at the end of a long history only.
            self.start += entries[self.start..].partition_point(|point| point.day <= before);
            self.end = self.start;
        }
        while entries[self.end].day <= day {
            enter(state, &entries[self.end]);
            self.end += 1;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }
}

/// Up to 90 values in order of size.
///
/// A sorted array: counting the smaller values and shifting the larger ones are a few vector instructions
/// each at this size, cheaper than any tree or pair of heaps.
#[derive(Clone, Debug)]
pub(super) struct Ordered {
    values: [i32; Ordered::CAPACITY],
    len: usize,
}

impl Ordered {
    pub(super) const CAPACITY: usize = 90;

    pub(super) fn new() -> Ordered {
        Ordered { values: [0; Ordered::CAPACITY], len: 0 }
    }

    pub(super) fn insert(&mut self, value: i32) {
        let place = self.smaller_than(value);
        self.values.copy_within(place..self.len, place + 1);
        self.values[place] = value;
        self.len += 1;
    }

    /// Takes out one `value`, which must be inside.
    pub(super) fn remove(&mut self, value: i32) {
        let place = self.smaller_than(value);
        debug_assert_eq!(self.values[place], value);
        self.values.copy_within(place + 1..self.len, place);
        self.len -= 1;
    }

    fn smaller_than(&self, value: i32) -> usize {
        self.values[..self.len].iter().map(|other| i32::from(*other < value)).sum::<i32>() as usize
    }

    /// The values, smallest first.
    pub(super) fn sorted(&self) -> &[i32] {
        &self.values[..self.len]
    }
}

/// The sum of the two middle values of a sorted, non-empty slice.
pub(super) fn median_x2(sorted: &[i32]) -> i64 {
    i64::from(sorted[(sorted.len() - 1) / 2]) + i64::from(sorted[sorted.len() / 2])
}
