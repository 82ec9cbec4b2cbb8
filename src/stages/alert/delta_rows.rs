//! Delta rows of the lake, judged one by one.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use polars::prelude::{DataFrame, Int32Chunked, Int64Chunked, PolarsResult, StringChunked};

use super::Judges;
use crate::lake::{Lake, Table, read_days};
use crate::model::{Asin, Availability, Currency, Day, DayRange, Marketplace, ProductKey};
use crate::rollup::rules::{Change, DeltaFacts, Judged, RuleSet, judge_newest};
use crate::store::Store;

/// One judged row of a product.
pub(in crate::stages) struct Look<'a> {
    /// The product's rows, sorted by day: as far back as its rules look, and beyond the judged one where
    /// there are any.
    pub(in crate::stages) rows: &'a [DeltaFacts<'a>],
    /// The judged one.
    pub(in crate::stages) at: usize,
    pub(in crate::stages) rules: &'a RuleSet,
}

impl Look<'_> {
    pub(in crate::stages) fn judge(&self, own_sellers: &BTreeSet<String>) -> Judged {
        judge_newest(&self.rows[..=self.at], self.rules, own_sellers)
    }
}

/// Looks at every delta row of the judged products on one marketplace's days, by product and day; `look`
/// gathers what it sees. Reads only the columns that the rules look at, as many days before as they look
/// back, and `after` more behind. The days of a call should lie in one month.
pub(in crate::stages) async fn fold_rows<T: Default + Send + 'static>(
    store: &Store,
    lake: &Lake,
    marketplace: Marketplace,
    days: &BTreeSet<Day>,
    after: i32,
    judges: &Judges,
    look: impl Fn(&mut T, &Look<'_>) + Send + 'static,
) -> anyhow::Result<T> {
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return Ok(T::default()) };
    let range = DayRange { first: first.plus(-judges.book.look_back_days()), last: last.plus(after) };
    let frame = read_days(store, lake, Table::Deltas, marketplace, range, NAMES)
        .await
        .with_context(|| format!("failed to read the deltas of {marketplace}, {first} to {last}"))?;
    let (days, judges) = (days.clone(), judges.clone());
    tokio::task::spawn_blocking(move || fold_frame(frame, marketplace, &days, &judges, look))
        .await
        .context("failed to judge the deltas")?
}

fn fold_frame<T: Default>(
    mut frame: DataFrame,
    marketplace: Marketplace,
    days: &BTreeSet<Day>,
    judges: &Judges,
    look: impl Fn(&mut T, &Look<'_>),
) -> anyhow::Result<T> {
    // Reading by row is slow across the many files of a month.
    frame.rechunk_mut();
    let columns = Columns::of(&frame).context("the lake's deltas lack a column")?;
    let mut by_asin: BTreeMap<&str, Vec<(Day, usize)>> = BTreeMap::new();
    for row in 0..frame.height() {
        if let (Some(asin), Some(day)) = (columns.asin.get(row), columns.day_no.get(row)) {
            by_asin.entry(asin).or_default().push((Day::from_no(day), row));
        }
    }
    let mut seen = T::default();
    for (asin, mut rows) in by_asin {
        let asin: Asin = asin.parse().with_context(|| format!("the lake holds `{asin}` as an ASIN"))?;
        let product = ProductKey { marketplace, asin };
        let Some(rules) = judges.rules_of(product) else { continue };
        rows.sort_unstable();
        let facts: Vec<DeltaFacts<'_>> =
            rows.iter().map(|&(day, row)| columns.facts(row, product, day)).collect();
        for at in (0..facts.len()).filter(|&at| days.contains(&facts[at].day)) {
            look(&mut seen, &Look { rows: &facts, at, rules: &rules });
        }
    }
    Ok(seen)
}

/// Declares the columns that are read, with their types.
macro_rules! columns {
    ($($name:ident: $type:ident $read:ident,)+) => {
        const NAMES: &[&str] = &[$(stringify!($name)),+];

        struct Columns<'a> { $($name: &'a $type,)+ }

        impl<'a> Columns<'a> {
            fn of(frame: &'a DataFrame) -> PolarsResult<Columns<'a>> {
                Ok(Columns { $($name: frame.column(stringify!($name))?.$read()?,)+ })
            }
        }
    };
}

columns! {
    asin: StringChunked str,
    day_no: Int32Chunked i32,
    currency: StringChunked str,
    price_basis: StringChunked str,
    price: Int64Chunked i64,
    price_prev: Int64Chunked i64,
    price_prev_day: Int32Chunked i32,
    price_delta: Int64Chunked i64,
    bsr: Int64Chunked i64,
    bsr_prev: Int64Chunked i64,
    bsr_prev_day: Int32Chunked i32,
    bsr_delta: Int64Chunked i64,
    bsr_leaf: Int64Chunked i64,
    bsr_leaf_prev: Int64Chunked i64,
    bsr_leaf_prev_day: Int32Chunked i32,
    bsr_leaf_delta: Int64Chunked i64,
    bsr_category: StringChunked str,
    bsr_leaf_category: StringChunked str,
    rating: Int64Chunked i64,
    rating_prev: Int64Chunked i64,
    rating_prev_day: Int32Chunked i32,
    rating_delta: Int64Chunked i64,
    ratings_count: Int64Chunked i64,
    ratings_count_prev: Int64Chunked i64,
    ratings_count_prev_day: Int32Chunked i32,
    ratings_count_delta: Int64Chunked i64,
    availability: StringChunked str,
    availability_prev: StringChunked str,
    availability_prev_day: Int32Chunked i32,
    seller_id: StringChunked str,
    seller_prev: StringChunked str,
    seller_prev_day: Int32Chunked i32,
    seller_is_new: Int64Chunked i64,
    seller_known_days: Int64Chunked i64,
    price_known_days: Int64Chunked i64,
    price_low_all_prev: Int64Chunked i64,
    price_outlier_n: Int64Chunked i64,
    price_outlier_median_x2: Int64Chunked i64,
    price_outlier_mad_x4: Int64Chunked i64,
}

impl Columns<'_> {
    fn facts(&self, row: usize, product: ProductKey, day: Day) -> DeltaFacts<'_> {
        let day_in = |column: &Int32Chunked| column.get(row).map(Day::from_no);
        let word_in = |column: &StringChunked| column.get(row).and_then(Availability::from_word);
        let change = |value: &Int64Chunked,
                      prev: &Int64Chunked,
                      prev_day: &Int32Chunked,
                      delta: &Int64Chunked| Change {
            value: value.get(row),
            prev: prev.get(row),
            prev_day: day_in(prev_day),
            delta: delta.get(row),
        };
        DeltaFacts {
            product,
            day,
            currency: self.currency.get(row).and_then(|code| code.parse::<Currency>().ok()),
            price_basis: self.price_basis.get(row),
            price: change(self.price, self.price_prev, self.price_prev_day, self.price_delta),
            bsr: change(self.bsr, self.bsr_prev, self.bsr_prev_day, self.bsr_delta),
            bsr_leaf: change(self.bsr_leaf, self.bsr_leaf_prev, self.bsr_leaf_prev_day, self.bsr_leaf_delta),
            bsr_category: self.bsr_category.get(row),
            bsr_leaf_category: self.bsr_leaf_category.get(row),
            rating: change(self.rating, self.rating_prev, self.rating_prev_day, self.rating_delta),
            ratings_count: change(
                self.ratings_count,
                self.ratings_count_prev,
                self.ratings_count_prev_day,
                self.ratings_count_delta,
            ),
            ratings_usual: None,
            availability: word_in(self.availability).unwrap_or_default(),
            availability_prev: word_in(self.availability_prev),
            availability_prev_day: day_in(self.availability_prev_day),
            seller_id: self.seller_id.get(row),
            seller_prev: self.seller_prev.get(row),
            seller_prev_day: day_in(self.seller_prev_day),
            seller_is_new: self.seller_is_new.get(row).map(|flag| flag != 0),
            seller_known_days: self.seller_known_days.get(row),
            price_known_days: self.price_known_days.get(row),
            price_low_all_prev: self.price_low_all_prev.get(row),
            price_outlier_n: self.price_outlier_n.get(row),
            price_outlier_median_x2: self.price_outlier_median_x2.get(row),
            price_outlier_mad_x4: self.price_outlier_mad_x4.get(row),
        }
    }
}
