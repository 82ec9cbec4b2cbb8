//! Which rows of the loaded files belong to which product.

use std::collections::HashMap;
use std::ops::Range;

use super::core_files::at;
use crate::lake::{Block, Words, bucket_of};
use crate::model::Marketplace;

/// A file's rows of one product.
pub(super) type Segment = (usize, Range<usize>);

/// One product and where its rows lie.
pub(super) struct Product {
    pub(super) bucket: i32,
    /// Code of its word.
    pub(super) asin: i32,
    pub(super) days: Vec<Segment>,
    pub(super) ranks: Vec<Segment>,
}

/// The loaded rows of a bucket range.
pub(super) struct Pass {
    /// Sorted by (bucket, asin).
    pub(super) products: Vec<Product>,
    pub(super) daily: Vec<Block>,
    pub(super) ranks: Vec<Block>,
}

impl Pass {
    /// Groups the files' rows by product.
    pub(super) fn new(marketplace: Marketplace, daily: Vec<Block>, ranks: Vec<Block>, words: &Words) -> Pass {
        Pass { products: group(marketplace, &daily, &ranks, words), daily, ranks }
    }
}

fn group(marketplace: Marketplace, daily: &[Block], ranks: &[Block], words: &Words) -> Vec<Product> {
    let mut products: Vec<Product> = Vec::new();
    let mut by_asin: HashMap<i32, usize> = HashMap::new();
    for (file, block) in daily.iter().enumerate() {
        for rows in runs(block.columns[at::ASIN].codes()) {
            let asin = block.columns[at::ASIN].codes()[rows.start];
            let index = *by_asin.entry(asin).or_insert_with(|| {
                products.push(Product {
                    bucket: bucket_of(marketplace.code(), words.get(asin).unwrap_or_default()),
                    asin,
                    days: Vec::new(),
                    ranks: Vec::new(),
                });
                products.len() - 1
            });
            products[index].days.push((file, rows));
        }
    }
    for (file, block) in ranks.iter().enumerate() {
        for rows in runs(block.columns[at::ASIN].codes()) {
            // Ranks without a daily row would belong to no day.
            if let Some(index) = by_asin.get(&block.columns[at::ASIN].codes()[rows.start]) {
                products[*index].ranks.push((file, rows));
            }
        }
    }
    products.sort_by(|a, b| a.bucket.cmp(&b.bucket).then_with(|| words.compare(a.asin, b.asin)));
    products
}

/// Ranges of equal neighbours.
fn runs(codes: &[i32]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    codes.chunk_by(|a, b| a == b).map(move |run| {
        start += run.len();
        start - run.len()..start
    })
}
