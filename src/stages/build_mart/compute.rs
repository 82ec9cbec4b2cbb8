//! Some products' days through the kernels, and the rows cut up by the file that they belong to.

use std::collections::BTreeSet;
use std::ops::Range;

use super::days::{AvailabilityCodes, Days};
use super::products::{Pass, Product};
use crate::lake::{Block, Kind, Span, Table, Values, Words};
use crate::model::Availability;
use crate::rollup::{
    ColumnRef, DeltaColumns, NO_CODE, NULL, RollupColumns, SellerColumns, deltas, roll_windows,
};

/// Days of one table that go into one file.
pub(super) struct Target {
    pub(super) table: Table,
    pub(super) spans: Vec<Span>,
}

/// What is to be computed.
pub(super) struct Job {
    /// Days of which rows are computed: sorted, without overlap.
    pub(super) emit: Vec<Span>,
    /// Days among them whose rows may have changed; the others are there because their file is written anew.
    pub(super) dirty: Vec<Span>,
    pub(super) targets: Vec<Target>,
    /// Days whose deltas are served from the database.
    pub(super) served_deltas: Option<Span>,
    /// Rollups of earlier days are not served.
    pub(super) serve_from: i32,
}

/// What some products gave.
pub(super) struct Batch {
    /// One block per target, sorted by (bucket, asin, day_no, …).
    pub(super) blocks: Vec<Block>,
    pub(super) served_deltas: Block,
    /// Each product's newest rollups among those computed.
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

/// Rows of one table as the kernels wrote them, with the product and the words of each.
struct Computed<'a> {
    table: Table,
    columns: Vec<(&'static str, ColumnRef<'a>)>,
    bucket: Vec<i32>,
    asin: Vec<i32>,
    /// Words of the text columns, by name.
    words: Vec<(&'static str, Vec<i32>)>,
    /// Each product's rows.
    products: Vec<Range<usize>>,
}

/// Runs the kernels over the products, which are in the lake's order.
pub(super) fn compute(
    pass: &Pass,
    products: &[Product],
    job: &Job,
    words: &Words,
    vocabulary: &Vocabulary,
) -> Batch {
    let mut delta_rows = DeltaColumns::default();
    let mut rollup_rows = RollupColumns::default();
    let mut seller_rows = SellerColumns::default();
    let mut texts = DeltaWords::default();
    let mut sellers = Vec::new();
    let mut ends: [Vec<usize>; 3] = Default::default();
    for product in products {
        let days = Days::gather(pass, product, words, &vocabulary.availability);
        let input = days.as_kernel_input();
        let (first_delta, first_seller) = (delta_rows.len(), seller_rows.len());
        for span in &job.emit {
            deltas(&input, span.first..=span.last, &mut delta_rows);
            roll_windows(&input, span.first..=span.last, &mut rollup_rows, &mut seller_rows);
        }
        texts.add(&delta_rows, first_delta, &days, vocabulary);
        let seller_word = |code: &i32| place(&days.sellers, *code).unwrap_or(vocabulary.nobody);
        sellers.extend(seller_rows.seller_id[first_seller..].iter().map(seller_word));
        for (ends, rows) in ends.iter_mut().zip([delta_rows.len(), rollup_rows.len(), seller_rows.len()]) {
            ends.push(rows);
        }
    }
    let [delta_ends, rollup_ends, seller_ends] = ends;
    let computed = [
        Computed::new(Table::Deltas, delta_rows.columns(), texts.columns(), products, &delta_ends),
        Computed::new(Table::Rollups, rollup_rows.columns(), Vec::new(), products, &rollup_ends),
        Computed::new(
            Table::RollupSellers,
            seller_rows.columns(),
            vec![("seller_id", sellers)],
            products,
            &seller_ends,
        ),
    ];
    let of = |table: Table| &computed[Table::MART.iter().position(|mart| *mart == table).unwrap_or_default()];
    let (delta, rollup, seller) = (of(Table::Deltas), of(Table::Rollups), of(Table::RollupSellers));
    let is_dirty = |day: &&i32| job.dirty.iter().any(|span| span.contains(**day));
    let served_deltas = job.served_deltas.map(|span| delta.rows_in(&[span])).unwrap_or_default();
    Batch {
        blocks: job
            .targets
            .iter()
            .map(|target| of(target.table).block(&of(target.table).rows_in(&target.spans)))
            .collect(),
        served_deltas: delta.block(&served_deltas),
        served_rollups: rollup.block(&rollup.newest_rows(job.serve_from)),
        served_sellers: seller.block(&newest_sellers(rollup, seller)),
        days: delta_rows.day_no.iter().filter(is_dirty).copied().collect(),
        computed_rows: delta_rows.len(),
        delta_rows: delta_rows.day_no.iter().filter(is_dirty).count(),
        rollup_rows: rollup_rows.day_no.iter().filter(is_dirty).count(),
    }
}

impl<'a> Computed<'a> {
    fn new(
        table: Table,
        columns: Vec<(&'static str, ColumnRef<'a>)>,
        words: Vec<(&'static str, Vec<i32>)>,
        products: &[Product],
        ends: &[usize],
    ) -> Computed<'a> {
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
        Computed { table, columns, bucket, asin, words, products: ranges }
    }

    fn day_nos(&self) -> &'a [i32] {
        let day_no = self.columns.iter().find(|(name, _)| *name == "day_no");
        match day_no {
            Some((_, ColumnRef::I32(days))) => days,
            _ => &[],
        }
    }

    /// The rows of days in the spans, product by product.
    fn rows_in(&self, spans: &[Span]) -> Vec<Range<usize>> {
        let days = self.day_nos();
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

    /// Each product's rows of its last day, if that is not before `from`.
    fn newest_rows(&self, from: i32) -> Vec<Range<usize>> {
        let newest = |product: &Range<usize>| {
            let own = &self.day_nos()[product.clone()];
            let last = own.last().filter(|last| **last >= from)?;
            Some(product.start + own.partition_point(|day| day < last)..product.end)
        };
        self.products.iter().filter_map(newest).collect()
    }

    fn block(&self, rows: &[Range<usize>]) -> Block {
        let columns = self.table.columns().iter().map(|column| match column.name {
            "bucket" => Values::I32(concat(&self.bucket, rows)),
            "asin" => Values::Text(concat(&self.asin, rows)),
            name if column.kind == Kind::Text => {
                let codes = self.words.iter().find(|(word, _)| *word == name);
                Values::Text(codes.map(|(_, codes)| concat(codes, rows)).unwrap_or_default())
            }
            name => match self.columns.iter().find(|(computed, _)| *computed == name) {
                Some((_, ColumnRef::I32(values))) => Values::I32(concat(values, rows)),
                Some((_, ColumnRef::I64(values))) => Values::I64(concat(values, rows)),
                Some((_, ColumnRef::F64(values))) => Values::F64(concat(values, rows)),
                None => Values::empty(column.kind),
            },
        });
        Block { columns: columns.collect() }
    }
}

/// The seller rows of each product's newest rollups; a product whose newest rollups have none has none served.
fn newest_sellers(rollups: &Computed<'_>, sellers: &Computed<'_>) -> Vec<Range<usize>> {
    let rows = rollups.products.iter().zip(&sellers.products).filter_map(|(rollup, seller)| {
        let newest = rollups.day_nos()[rollup.clone()].last()?;
        let own = &sellers.day_nos()[seller.clone()];
        Some(seller.start + own.partition_point(|day| day < newest)..seller.end)
    });
    rows.filter(|rows| !rows.is_empty()).collect()
}

fn concat<T: Copy>(values: &[T], rows: &[Range<usize>]) -> Vec<T> {
    let mut whole = Vec::with_capacity(rows.iter().map(Range::len).sum());
    for rows in rows {
        whole.extend_from_slice(&values[rows.clone()]);
    }
    whole
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
