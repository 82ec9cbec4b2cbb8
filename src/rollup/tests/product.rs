//! Products of tests: owned columns, built row by row.

use crate::rollup::{ColumnValues, NO_CODE, NO_DAY, NO_PAST, NULL, Past, ProductDays};

/// (id, name) of the categories. The first two and all from the seventh on are the same as no other; of the others
/// some share an id, some a name, and a bare name may be the same as two ids.
pub(super) const CATEGORIES: [(i32, i32); 40] = {
    let mut categories = [(NO_CODE, 0); 40];
    let mut place = 0;
    while place < categories.len() {
        categories[place].1 = place as i32;
        place += 1;
    }
    (categories[2], categories[3]) = ((NO_CODE, 2), (70, 2));
    (categories[4], categories[5], categories[6]) = ((80, 2), (70, 3), (NO_CODE, 3));
    categories
};

/// One daily row; what a test does not say is unknown.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) day: i32,
    pub(super) price: i64,
    pub(super) list_price: i64,
    pub(super) buy_box_price: i64,
    pub(super) landed_price: i64,
    pub(super) bsr: i64,
    pub(super) bsr_category: i32,
    pub(super) bsr_leaf: i64,
    pub(super) bsr_leaf_category: i32,
    /// (category, rank); a category is a place in [`CATEGORIES`].
    pub(super) ranks: Vec<(i32, i64)>,
    pub(super) rating: i64,
    pub(super) ratings_count: i64,
    pub(super) currency: i64,
    pub(super) price_basis: i64,
    pub(super) availability: i64,
    pub(super) seller: i32,
    pub(super) offer_known: bool,
}

impl Default for Row {
    fn default() -> Row {
        Row {
            day: 0,
            price: NULL,
            list_price: NULL,
            buy_box_price: NULL,
            landed_price: NULL,
            bsr: NULL,
            bsr_category: NO_CODE,
            bsr_leaf: NULL,
            bsr_leaf_category: NO_CODE,
            ranks: Vec::new(),
            rating: NULL,
            ratings_count: NULL,
            currency: 1,
            price_basis: 1,
            availability: NULL,
            seller: NO_CODE,
            offer_known: true,
        }
    }
}

/// The rows as columns, as the kernels take them.
#[derive(Default)]
pub(super) struct Product {
    day_no: Vec<i32>,
    price: Vec<i64>,
    list_price: Vec<i64>,
    buy_box_price: Vec<i64>,
    landed_price: Vec<i64>,
    bsr: Vec<i64>,
    bsr_leaf: Vec<i64>,
    rating: Vec<i64>,
    ratings_count: Vec<i64>,
    currency: Vec<i64>,
    price_basis: Vec<i64>,
    availability: Vec<i64>,
    seller: Vec<i32>,
    offer_known: Vec<bool>,
    category_id: Vec<i32>,
    category_name: Vec<i32>,
    bsr_category: Vec<i32>,
    bsr_leaf_category: Vec<i32>,
    rank_offsets: Vec<u32>,
    rank_category: Vec<i32>,
    rank_value: Vec<i64>,
}

impl Product {
    pub(super) fn new(rows: &[Row]) -> Product {
        let (category_id, category_name) = CATEGORIES.into_iter().unzip();
        let mut product = Product { rank_offsets: vec![0], category_id, category_name, ..Product::default() };
        for row in rows {
            product.day_no.push(row.day);
            product.price.push(row.price);
            product.list_price.push(row.list_price);
            product.buy_box_price.push(row.buy_box_price);
            product.landed_price.push(row.landed_price);
            product.bsr.push(row.bsr);
            product.bsr_leaf.push(row.bsr_leaf);
            product.rating.push(row.rating);
            product.ratings_count.push(row.ratings_count);
            product.currency.push(row.currency);
            product.price_basis.push(row.price_basis);
            product.availability.push(row.availability);
            product.seller.push(row.seller);
            product.offer_known.push(row.offer_known);
            product.bsr_category.push(row.bsr_category);
            product.bsr_leaf_category.push(row.bsr_leaf_category);
            for (category, rank) in &row.ranks {
                product.rank_category.push(*category);
                product.rank_value.push(*rank);
            }
            product.rank_offsets.push(product.rank_value.len() as u32);
        }
        product
    }

    pub(super) fn days(&self) -> ProductDays<'_> {
        self.days_after(&NO_PAST)
    }

    /// The rows, and what those before them come to.
    pub(super) fn days_after<'a>(&'a self, past: &'a Past) -> ProductDays<'a> {
        ProductDays {
            past,
            day_no: &self.day_no,
            price: &self.price,
            list_price: &self.list_price,
            buy_box_price: &self.buy_box_price,
            landed_price: &self.landed_price,
            bsr: &self.bsr,
            bsr_leaf: &self.bsr_leaf,
            rating: &self.rating,
            ratings_count: &self.ratings_count,
            currency: &self.currency,
            price_basis: &self.price_basis,
            availability: &self.availability,
            seller: &self.seller,
            offer_known: &self.offer_known,
            category_id: &self.category_id,
            category_name: &self.category_name,
            bsr_category: &self.bsr_category,
            bsr_leaf_category: &self.bsr_leaf_category,
            rank_offsets: &self.rank_offsets,
            rank_category: &self.rank_category,
            rank_value: &self.rank_value,
        }
    }
}

/// A value of an output row as text that tells every bit: `-` is null.
pub(super) fn cell(column: &ColumnValues, row: usize) -> String {
    match column {
        ColumnValues::I32(values) if values[row] == NO_DAY => "-".to_owned(),
        ColumnValues::I32(values) => values[row].to_string(),
        ColumnValues::I64(values) if values[row] == NULL => "-".to_owned(),
        ColumnValues::I64(values) => values[row].to_string(),
        ColumnValues::F64(values) if values[row].is_nan() => "-".to_owned(),
        ColumnValues::F64(values) => format!("{:?}", values[row]),
    }
}

/// The output rows, each as one line of `name=value`.
pub(super) fn lines(rows: usize, columns: &[(&'static str, ColumnValues)]) -> Vec<String> {
    let line = |row| {
        let cells = columns.iter().map(|(name, column)| format!("{name}={}", cell(column, row)));
        cells.collect::<Vec<_>>().join(" ")
    };
    (0..rows).map(line).collect()
}
