//! Which rows of the loaded files belong to which product.

use std::collections::HashMap;
use std::ops::Range;

use super::core_files::at;
use crate::lake::{Block, Words, bucket_of};
use crate::model::Marketplace;
use crate::rollup::{NO_PAST, Past};

/// A file's rows of one product.
pub(super) type Segment = (usize, Range<usize>);

/// One product and where its rows lie.
pub(super) struct Product {
    pub(super) bucket: i32,
    /// Code of its word.
    pub(super) asin: i32,
    pub(super) days: Vec<Segment>,
    pub(super) ranks: Vec<Segment>,
    /// What the days before come to; its sellers are codes of words.
    pub(super) past: Past,
}

/// The rows of some pasts, by table; null where there are none.
#[derive(Default)]
pub(super) struct PastBlocks {
    pub(super) pasts: Option<Block>,
    pub(super) prices: Option<Block>,
    pub(super) sellers: Option<Block>,
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
    pub(super) fn new(
        marketplace: Marketplace,
        daily: Vec<Block>,
        ranks: Vec<Block>,
        pasts: &PastBlocks,
        words: &Words,
    ) -> Pass {
        Pass { products: group(marketplace, &daily, &ranks, pasts, words), daily, ranks }
    }
}

fn group(
    marketplace: Marketplace,
    daily: &[Block],
    ranks: &[Block],
    pasts: &PastBlocks,
    words: &Words,
) -> Vec<Product> {
    let mut products: Vec<Product> = Vec::new();
    let mut by_asin: HashMap<i32, usize> = HashMap::new();
    let product = |asin: i32, past: Past| Product {
        bucket: bucket_of(marketplace.code(), words.get(asin).unwrap_or_default()),
        asin,
        days: Vec::new(),
        ranks: Vec::new(),
        past,
    };
    for (asin, past) in pasts_of(pasts) {
        by_asin.insert(asin, products.len());
        products.push(product(asin, past));
    }
    for (file, block) in daily.iter().enumerate() {
        for rows in runs(block.columns[at::ASIN].codes()) {
            let asin = block.columns[at::ASIN].codes()[rows.start];
            let index = *by_asin.entry(asin).or_insert_with(|| {
                products.push(product(asin, NO_PAST.clone()));
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

/// Each product's past.
fn pasts_of(blocks: &PastBlocks) -> Vec<(i32, Past)> {
    let Some(block) = &blocks.pasts else { return Vec::new() };
    let codes = |column: usize| block.columns[column].codes();
    let integers = |column: usize| block.columns[column].integers();
    let mut pasts: Vec<(i32, Past)> = (0..block.rows())
        .map(|row| {
            let past = Past {
                last_day: codes(at::LAST_DAY)[row],
                price_days: integers(at::PRICE_DAYS)[row],
                prices: Vec::new(),
                price_low: integers(at::PRICE_LOW)[row],
                price_high: integers(at::PRICE_HIGH)[row],
                is_price_waiting: integers(at::IS_PRICE_WAITING)[row] == 1,
                seller_days: integers(at::SELLER_DAYS)[row],
                sellers: Vec::new(),
            };
            (codes(at::ASIN)[row], past)
        })
        .collect();
    let places: HashMap<i32, usize> = pasts.iter().map(|(asin, _)| *asin).zip(0..).collect();
    let place_of = |block: &Block, rows: &Range<usize>| {
        places.get(&block.columns[at::ASIN].codes()[rows.start]).copied()
    };
    if let Some(block) = &blocks.prices {
        let prices = block.columns[at::PAST_PRICE].integers();
        for rows in runs(block.columns[at::ASIN].codes()) {
            if let Some(place) = place_of(block, &rows) {
                pasts[place].1.prices = prices[rows].iter().map(|price| *price as i32).collect();
            }
        }
    }
    if let Some(block) = &blocks.sellers {
        let sellers = block.columns[at::PAST_SELLER].codes();
        for rows in runs(block.columns[at::ASIN].codes()) {
            if let Some(place) = place_of(block, &rows) {
                pasts[place].1.sellers = sellers[rows].to_vec();
            }
        }
    }
    pasts
}

/// Ranges of equal neighbours.
fn runs(codes: &[i32]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    codes.chunk_by(|a, b| a == b).map(move |run| {
        start += run.len();
        start - run.len()..start
    })
}
