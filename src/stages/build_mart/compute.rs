//! Some products' days through the kernels, and the rows cut up by the file that they belong to.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use super::days::{AvailabilityCodes, Days};
use super::products::{Pass, Product};
use super::reach::Dirty;
use crate::lake::{Block, Span, Table, Values, Words};
use crate::model::Availability;
use crate::rollup::{
    ColumnValues, DeltaColumns, NO_CODE, NULL, PastRows, RollupColumns, SellerColumns, WINDOWS, deltas,
    roll_windows,
};

/// Days of one table that go into one file.
pub(super) struct Target {
    pub(super) table: Table,
    pub(super) spans: Vec<Span>,
}

/// What is to be computed.
pub(super) struct Job<'a> {
    /// Days of which deltas are computed: sorted, without overlap.
    pub(super) deltas: Vec<Span>,
    /// Days of which rollups and their sellers are computed.
    pub(super) rollups: Vec<Span>,
    /// Days among them whose rows may have changed; the others are there because their file is written anew.
    pub(super) dirty: Dirty,
    pub(super) targets: Vec<Target>,
    /// Ends of months whose pasts are computed, sorted.
    pub(super) past_ends: Vec<i32>,
    /// Products of which later rollups will be served than any of these days.
    pub(super) superseded: Option<&'a HashSet<i32>>,
}

impl Job<'_> {
    /// Days of which rows are computed, of one table or another.
    pub(super) fn span(&self) -> Option<Span> {
        let first = self.deltas.iter().chain(&self.rollups).map(|span| span.first);
        let ends = || self.past_ends.iter().copied();
        let last = self.deltas.iter().chain(&self.rollups).map(|span| span.last);
        Some(Span { first: first.chain(ends()).min()?, last: last.chain(ends()).max()? })
    }

    /// No less than the days of which any product has rows.
    pub(super) fn days(&self) -> usize {
        let days = |spans: &[Span]| -> usize {
            spans.iter().map(|span| (span.last - span.first + 1) as usize).sum()
        };
        days(&self.deltas).max(days(&self.rollups))
    }
}

/// What some products gave.
pub(super) struct Batch {
    /// In the order of [`Table::MART`].
    computed: [Computed; Table::MART.len()],
    /// Each target's rows, among those computed of its table.
    targets: Vec<(Table, Vec<Range<usize>>)>,
    /// Each product's newest rollups among those computed, unless they are superseded.
    pub(super) served_rollups: Block,
    pub(super) served_sellers: Block,
    /// Dirty days that have rows.
    pub(super) days: BTreeSet<i32>,
    /// Daily rows that were computed, of dirty days and others.
    pub(super) computed_rows: usize,
    /// Rows of dirty days.
    pub(super) delta_rows: usize,
    pub(super) rollup_rows: usize,
}

/// Words that the kernels' codes stand for.
pub(super) struct Vocabulary {
    pub(super) availability: AvailabilityCodes,
    availability_words: Vec<i32>,
    nobody: i32,
}

impl Vocabulary {
    pub(super) fn new(words: &mut Words) -> Vocabulary {
        Vocabulary {
            availability: AvailabilityCodes::new(words),
            availability_words: Availability::ALL.iter().map(|word| words.intern(word.as_str())).collect(),
            nobody: words.intern(""),
        }
    }

    fn availability_word(&self, code: i64) -> i32 {
        let index = usize::try_from(code).ok();
        index.and_then(|index| self.availability_words.get(index)).copied().unwrap_or(NO_CODE)
    }
}

/// Rows of one table as the kernels wrote them, sorted by (bucket, asin, day_no, …).
struct Computed {
    block: Block,
    /// Each product's rows.
    products: Vec<Range<usize>>,
}

/// Runs the kernels over the products, which are in the lake's order.
pub(super) fn compute(
    pass: &Pass,
    products: &[Product],
    job: &Job<'_>,
    words: &Words,
    vocabulary: &Vocabulary,
) -> Batch {
    let days = days_at_most(products, job);
    let mut delta_rows = DeltaColumns::with_capacity(days);
    let mut rollup_rows = RollupColumns::with_capacity(days * WINDOWS.len());
    let mut seller_rows = SellerColumns::with_capacity(days * WINDOWS.len());
    let mut texts = DeltaWords::default();
    let mut past_rows = PastRows::default();
    let (mut sellers, mut past_sellers) = (Vec::new(), Vec::new());
    let mut ends: [Vec<usize>; Table::MART.len()] = Default::default();
    for product in products {
        let days = Days::gather(pass, product, words, &vocabulary.availability);
        let input = days.as_kernel_input();
        let (first_delta, first_seller) = (delta_rows.len(), seller_rows.len());
        let first_past_seller = past_rows.sellers.len();
        for span in &job.deltas {
            deltas(&input, span.first..=span.last, &mut delta_rows);
        }
        for span in &job.rollups {
            roll_windows(&input, span.first..=span.last, &mut rollup_rows, &mut seller_rows);
        }
        past_rows.add(&input, &job.past_ends);
        texts.add(&delta_rows, first_delta, &days, vocabulary);
        let seller_word = |code: &i32| place(&days.sellers, *code).unwrap_or(vocabulary.nobody);
        sellers.extend(seller_rows.seller_id[first_seller..].iter().map(seller_word));
        past_sellers.extend(past_rows.sellers.seller_id[first_past_seller..].iter().map(seller_word));
        let rows = [
            delta_rows.len(),
            rollup_rows.len(),
            seller_rows.len(),
            past_rows.pasts.len(),
            past_rows.prices.len(),
            past_rows.sellers.len(),
        ];
        for (ends, rows) in ends.iter_mut().zip(rows) {
            ends.push(rows);
        }
    }
    let [delta_ends, rollup_ends, seller_ends, past_ends, past_price_ends, past_seller_ends] = ends;
    let delta = Computed::new(delta_rows.into_columns(), texts.columns(), products, &delta_ends);
    let rollup = Computed::new(rollup_rows.into_columns(), Vec::new(), products, &rollup_ends);
    let sellers = vec![("seller_id", sellers)];
    let seller = Computed::new(seller_rows.into_columns(), sellers, products, &seller_ends);
    let PastRows { pasts, prices, sellers } = past_rows;
    let past = Computed::new(pasts.into_columns(), Vec::new(), products, &past_ends);
    let past_price = Computed::new(prices.into_columns(), Vec::new(), products, &past_price_ends);
    let past_sellers = vec![("seller_id", past_sellers)];
    let past_seller = Computed::new(sellers.into_columns(), past_sellers, products, &past_seller_ends);
    let within = |spans: &[Span], day: &i32| spans.iter().any(|span| span.contains(*day));
    let dirty_deltas = || delta.block.day_nos().iter().filter(|day| within(&job.dirty.deltas, day));
    let dirty_rollups = rollup.block.day_nos().iter().filter(|day| within(&job.dirty.rollups, day)).count();
    let mut batch = Batch {
        served_rollups: rollup.block.some_rows(Table::Rollups, &rollup.newest_rows(job.superseded)),
        served_sellers: seller
            .block
            .some_rows(Table::RollupSellers, &newest_sellers(&rollup, &seller, job.superseded)),
        days: dirty_deltas().copied().collect(),
        computed_rows: delta.block.rows(),
        delta_rows: dirty_deltas().count(),
        rollup_rows: dirty_rollups,
        computed: [delta, rollup, seller, past, past_price, past_seller],
        targets: Vec::new(),
    };
    let rows_in = |target: &Target| (target.table, batch.of(target.table).rows_in(&target.spans));
    batch.targets = job.targets.iter().map(rows_in).collect();
    batch
}

/// No less than the days of which rows are computed, over all products.
fn days_at_most(products: &[Product], job: &Job<'_>) -> usize {
    let emitted = job.days();
    let known = |product: &Product| product.days.iter().map(|(_, rows)| rows.len()).sum::<usize>();
    products.iter().map(|product| known(product).min(emitted)).sum()
}

impl Batch {
    /// A target's rows: where they lie, and which they are.
    pub(super) fn rows_of(&self, target: usize) -> (&Block, &[Range<usize>]) {
        let (table, rows) = &self.targets[target];
        (&self.of(*table).block, rows)
    }

    fn of(&self, table: Table) -> &Computed {
        &self.computed[Table::MART.iter().position(|mart| *mart == table).unwrap_or_default()]
    }
}

impl Computed {
    /// `columns` as the kernels name them, `row` and `day_no` first; `words` of the text columns, by name.
    fn new(
        columns: Vec<(&'static str, ColumnValues)>,
        words: Vec<(&'static str, Vec<i32>)>,
        products: &[Product],
        ends: &[usize],
    ) -> Computed {
        let rows = ends.last().copied().unwrap_or_default();
        let (mut bucket, mut asin) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        let mut ranges = Vec::with_capacity(products.len());
        let mut start = 0;
        for (product, end) in products.iter().zip(ends) {
            bucket.resize(*end, product.bucket);
            asin.resize(*end, product.asin);
            ranges.push(start..*end);
            start = *end;
        }
        let mut words: HashMap<&str, Vec<i32>> = words.into_iter().collect();
        let computed = columns.into_iter().skip(1).map(|(name, values)| match (words.remove(name), values) {
            (Some(codes), _) => Values::Text(codes),
            (None, ColumnValues::I32(values)) => Values::I32(values),
            (None, ColumnValues::I64(values)) => Values::I64(values),
            (None, ColumnValues::F64(values)) => Values::F64(values),
        });
        let columns = [Values::I32(bucket), Values::Text(asin)].into_iter().chain(computed).collect();
        Computed { block: Block { columns }, products: ranges }
    }

    /// The rows of days in the spans, product by product.
    fn rows_in(&self, spans: &[Span]) -> Vec<Range<usize>> {
        let days = self.block.day_nos();
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for product in &self.products {
            let own = &days[product.clone()];
            for span in spans {
                let first = product.start + own.partition_point(|day| *day < span.first);
                let end = product.start + own.partition_point(|day| *day <= span.last);
                match ranges.last_mut() {
                    Some(last) if last.end == first => last.end = end,
                    _ if first < end => ranges.push(first..end),
                    _ => {}
                }
            }
        }
        ranges
    }

    /// Each product's rows of its last day; of superseded products none.
    fn newest_rows(&self, superseded: Option<&HashSet<i32>>) -> Vec<Range<usize>> {
        let (days, asins) = (self.block.day_nos(), self.block.columns[Table::ASIN].codes());
        let newest = |product: &Range<usize>| {
            let own = &days[product.clone()];
            let last = own.last().filter(|_| !is_superseded(asins[product.start], superseded))?;
            Some(product.start + own.partition_point(|day| day < last)..product.end)
        };
        self.products.iter().filter_map(newest).collect()
    }
}

/// The seller rows of each product's newest rollups; a product whose newest rollups have none has none served.
fn newest_sellers(
    rollups: &Computed,
    sellers: &Computed,
    superseded: Option<&HashSet<i32>>,
) -> Vec<Range<usize>> {
    let asins = rollups.block.columns[Table::ASIN].codes();
    let rows = rollups.products.iter().zip(&sellers.products).filter_map(|(rollup, seller)| {
        let newest = rollups.block.day_nos()[rollup.clone()].last()?;
        if is_superseded(asins[rollup.start], superseded) {
            return None;
        }
        let own = &sellers.block.day_nos()[seller.clone()];
        Some(seller.start + own.partition_point(|day| day < newest)..seller.end)
    });
    rows.filter(|rows| !rows.is_empty()).collect()
}

fn is_superseded(asin: i32, superseded: Option<&HashSet<i32>>) -> bool {
    superseded.is_some_and(|asins| asins.contains(&asin))
}

fn place(list: &[i32], code: i32) -> Option<i32> {
    usize::try_from(code).ok().and_then(|index| list.get(index)).copied()
}

/// Words of the deltas' text columns.
#[derive(Default)]
struct DeltaWords {
    currency: Vec<i32>,
    price_basis: Vec<i32>,
    bsr_category: Vec<i32>,
    bsr_leaf_category: Vec<i32>,
    availability: Vec<i32>,
    availability_prev: Vec<i32>,
    seller_id: Vec<i32>,
    seller_prev: Vec<i32>,
}

impl DeltaWords {
    /// Adds the words of the rows from `first` on, which are the product's.
    fn add(&mut self, rows: &DeltaColumns, first: usize, days: &Days, vocabulary: &Vocabulary) {
        // Currency and basis codes are the words' own.
        let word = |code: &i64| if *code == NULL { NO_CODE } else { *code as i32 };
        self.currency.extend(rows.currency[first..].iter().map(word));
        self.price_basis.extend(rows.price_basis[first..].iter().map(word));
        // Categories are shown by the name that the day itself gives, in its canonical form.
        let name = |names: &[i32], row: &i32| place(names, *row).unwrap_or(NO_CODE);
        self.bsr_category.extend(rows.row[first..].iter().map(|row| name(&days.bsr_name, row)));
        self.bsr_leaf_category.extend(rows.row[first..].iter().map(|row| name(&days.leaf_name, row)));
        let availability = |code: &i64| vocabulary.availability_word(*code);
        self.availability.extend(rows.availability[first..].iter().map(availability));
        self.availability_prev.extend(rows.availability_prev[first..].iter().map(availability));
        let seller = |code: &i32| place(&days.sellers, *code).unwrap_or(NO_CODE);
        self.seller_id.extend(rows.seller_id[first..].iter().map(seller));
        self.seller_prev.extend(rows.seller_prev[first..].iter().map(seller));
    }

    fn columns(self) -> Vec<(&'static str, Vec<i32>)> {
        vec![
            ("currency", self.currency),
            ("price_basis", self.price_basis),
            ("bsr_category", self.bsr_category),
            ("bsr_leaf_category", self.bsr_leaf_category),
            ("availability", self.availability),
            ("availability_prev", self.availability_prev),
            ("seller_id", self.seller_id),
            ("seller_prev", self.seller_prev),
        ]
    }
}
