//! Core files in, one product's days out: the rows of a bucket range, grouped by product, in the shape that the
//! kernels take.

use std::collections::HashMap;
use std::ops::Range;

use super::categories::Categories;
use crate::lake::{BUCKETS, Block, FileReader, Lake, LakeColumn, LakeError, Table, Words};
use crate::model::text::canonical_category;
use crate::model::{Availability, Marketplace};
use crate::rollup::{NO_CODE, NULL, ProductDays};
use crate::store::lake::LakeFile;

/// What is read of every daily file; all that is needed of days before any window: the kernels look at all
/// prices and sellers of a product.
const HISTORY_COLUMNS: [&str; 5] = ["bucket", "asin", "day_no", "price_minor", "seller_id"];
/// What is read of the others, behind [`HISTORY_COLUMNS`].
const RECENT_COLUMNS: [&str; 14] = [
    "list_price_minor",
    "buy_box_price_minor",
    "landed_price_minor",
    "bsr",
    "bsr_leaf",
    "rating_centi",
    "ratings_count",
    "currency",
    "price_basis",
    "availability",
    "bsr_category_id",
    "bsr_category",
    "bsr_leaf_category_id",
    "bsr_leaf_category",
];
const RANK_COLUMNS: [&str; 7] = ["bucket", "asin", "day_no", "category_id", "category", "rank", "is_main"];

/// Places in a daily block.
mod at {
    pub(super) const BUCKET: usize = 0;
    pub(super) const ASIN: usize = 1;
    pub(super) const DAY: usize = 2;
    pub(super) const PRICE: usize = 3;
    pub(super) const SELLER: usize = 4;
    pub(super) const LIST_PRICE: usize = 5;
    pub(super) const BUY_BOX: usize = 6;
    pub(super) const LANDED: usize = 7;
    pub(super) const BSR: usize = 8;
    pub(super) const BSR_LEAF: usize = 9;
    pub(super) const RATING: usize = 10;
    pub(super) const RATINGS_COUNT: usize = 11;
    pub(super) const CURRENCY: usize = 12;
    pub(super) const BASIS: usize = 13;
    pub(super) const AVAILABILITY: usize = 14;
    pub(super) const BSR_ID: usize = 15;
    pub(super) const BSR_NAME: usize = 16;
    pub(super) const LEAF_ID: usize = 17;
    pub(super) const LEAF_NAME: usize = 18;
    pub(super) const RANK_ID: usize = 3;
    pub(super) const RANK_NAME: usize = 4;
    pub(super) const RANK: usize = 5;
    pub(super) const IS_MAIN: usize = 6;
}

/// The core files of one marketplace that a build reads, in time order.
pub(super) struct CoreFiles {
    marketplace: Marketplace,
    daily: Vec<CoreFile>,
    ranks: Vec<CoreFile>,
}

struct CoreFile {
    reader: FileReader,
    rows: usize,
    /// All columns are read, not only the history's.
    is_recent: bool,
    /// Where each bucket begins; null when all buckets are read at once.
    offsets: Option<Vec<usize>>,
}

impl CoreFiles {
    /// Chooses what is read for days up to `last`: everything of a file that holds a day from `recent_from` on,
    /// only prices and sellers of older ones.
    pub(super) fn new(
        lake: &Lake,
        marketplace: Marketplace,
        files: &[LakeFile],
        recent_from: i32,
        last: i32,
    ) -> CoreFiles {
        let of = |table: Table, first: i32| {
            let mut files: Vec<&LakeFile> = files
                .iter()
                .filter(|file| file.table == table.name() && file.marketplace == marketplace)
                .filter(|file| file.last_day_no >= first && file.first_day_no <= last)
                .collect();
            files.sort_by_key(|file| file.first_day_no);
            files
                .into_iter()
                .map(|file| CoreFile {
                    reader: FileReader::new(lake, file),
                    rows: usize::try_from(file.rows).unwrap_or_default(),
                    is_recent: file.last_day_no >= recent_from,
                    offsets: None,
                })
                .collect()
        };
        CoreFiles { marketplace, daily: of(Table::Daily, i32::MIN), ranks: of(Table::Ranks, recent_from) }
    }

    /// Bucket ranges that hold at most `most` daily rows each (one bucket at least); a row of which only the
    /// history is read counts a quarter.
    pub(super) fn passes(&mut self, most: usize) -> Result<Vec<Range<usize>>, LakeError> {
        let weight = |file: &CoreFile, rows: usize| if file.is_recent { rows } else { rows / 4 };
        let total: usize = self.daily.iter().map(|file| weight(file, file.rows)).sum();
        if total <= most {
            return Ok(std::iter::once(0..BUCKETS as usize).collect());
        }
        for file in self.daily.iter_mut().chain(&mut self.ranks) {
            file.offsets = Some(file.reader.bucket_offsets()?);
        }
        let rows_of = |bucket: usize| -> usize {
            let rows = |offsets: &Vec<usize>| offsets[bucket + 1] - offsets[bucket];
            self.daily.iter().map(|file| weight(file, file.offsets.as_ref().map_or(0, rows))).sum()
        };
        let mut passes: Vec<Range<usize>> = Vec::new();
        let mut rows_in_pass = 0;
        for bucket in 0..BUCKETS as usize {
            let rows = rows_of(bucket);
            match passes.last_mut() {
                Some(pass) if rows_in_pass + rows <= most => pass.end = bucket + 1,
                _ => {
                    passes.push(bucket..bucket + 1);
                    rows_in_pass = 0;
                }
            }
            rows_in_pass += rows;
        }
        Ok(passes)
    }

    /// Loads the rows of a bucket range and groups them by product, sorted by (bucket, asin).
    pub(super) fn load(&self, buckets: &Range<usize>, words: &mut Words) -> Result<Pass, LakeError> {
        let recent: Vec<&str> = HISTORY_COLUMNS.into_iter().chain(RECENT_COLUMNS).collect();
        let mut canonical = CanonicalNames { marketplace: self.marketplace, names: HashMap::new() };
        let mut daily = Vec::with_capacity(self.daily.len());
        for file in &self.daily {
            let names = if file.is_recent { recent.as_slice() } else { &HISTORY_COLUMNS };
            let mut block = file.read(Table::Daily, names, buckets, words)?;
            if file.is_recent {
                canonical.replace(&mut block, at::BSR_NAME, |_| true, words);
                canonical.replace(&mut block, at::LEAF_NAME, |_| false, words);
            }
            daily.push(block);
        }
        let mut ranks = Vec::with_capacity(self.ranks.len());
        for file in &self.ranks {
            let mut block = file.read(Table::Ranks, &RANK_COLUMNS, buckets, words)?;
            let is_main: Vec<bool> =
                block.columns[at::IS_MAIN].integers().iter().map(|is_main| *is_main == 1).collect();
            canonical.replace(&mut block, at::RANK_NAME, |row| is_main[row], words);
            ranks.push(block);
        }
        Ok(Pass { products: group(&daily, &ranks, words), daily, ranks })
    }
}

impl CoreFile {
    fn read(
        &self,
        table: Table,
        names: &[&str],
        buckets: &Range<usize>,
        words: &mut Words,
    ) -> Result<Block, LakeError> {
        let columns: Vec<LakeColumn> = names
            .iter()
            .filter_map(|name| table.columns().iter().find(|column| column.name == *name))
            .copied()
            .collect();
        let rows = self.offsets.as_ref().map(|offsets| offsets[buckets.start]..offsets[buckets.end]);
        self.reader.read_block(&columns, rows, words)
    }
}

/// Codes of category names, of main ranks and of others -> codes of the names they are compared by.
struct CanonicalNames {
    marketplace: Marketplace,
    names: HashMap<(i32, bool), i32>,
}

impl CanonicalNames {
    fn replace(
        &mut self,
        block: &mut Block,
        column: usize,
        is_main: impl Fn(usize) -> bool,
        words: &mut Words,
    ) {
        for (row, code) in block.columns[column].codes_mut().iter_mut().enumerate() {
            if *code == NO_CODE {
                continue;
            }
            let is_main = is_main(row);
            *code = *self.names.entry((*code, is_main)).or_insert_with(|| {
                let name = words.get(*code).unwrap_or_default().to_owned();
                words.intern(&canonical_category(self.marketplace, &name, is_main))
            });
        }
    }
}

/// A file's rows of one product.
type Segment = (usize, Range<usize>);

/// One product and where its rows lie.
pub(super) struct Product {
    pub(super) bucket: i32,
    /// Code of its word.
    pub(super) asin: i32,
    days: Vec<Segment>,
    ranks: Vec<Segment>,
}

/// The loaded rows of a bucket range.
pub(super) struct Pass {
    /// Sorted by (bucket, asin).
    pub(super) products: Vec<Product>,
    daily: Vec<Block>,
    ranks: Vec<Block>,
}

fn group(daily: &[Block], ranks: &[Block], words: &Words) -> Vec<Product> {
    let mut products: Vec<Product> = Vec::new();
    let mut by_asin: HashMap<i32, usize> = HashMap::new();
    for (file, block) in daily.iter().enumerate() {
        let buckets = block.columns[at::BUCKET].codes();
        for rows in runs(block.columns[at::ASIN].codes()) {
            let asin = block.columns[at::ASIN].codes()[rows.start];
            let index = *by_asin.entry(asin).or_insert_with(|| {
                products.push(Product {
                    bucket: buckets[rows.start],
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

/// One product's days in owned columns, and the words behind its codes.
#[derive(Default)]
pub(super) struct Days {
    day_no: Vec<i32>,
    price: Vec<i64>,
    list_price: Vec<i64>,
    buy_box_price: Vec<i64>,
    landed_price: Vec<i64>,
    bsr: Vec<i64>,
    bsr_leaf: Vec<i64>,
    rating: Vec<i64>,
    ratings_count: Vec<i64>,
    /// Codes of the words themselves.
    currency: Vec<i64>,
    price_basis: Vec<i64>,
    availability: Vec<i64>,
    seller: Vec<i32>,
    offer_known: Vec<bool>,
    categories: Categories,
    bsr_category: Vec<i32>,
    bsr_leaf_category: Vec<i32>,
    rank_offsets: Vec<u32>,
    rank_category: Vec<i32>,
    rank_value: Vec<i64>,
    /// Words of the seller codes: the product's sellers in the order of their bytes.
    pub(super) sellers: Vec<i32>,
    /// Words of each day's own category names.
    pub(super) bsr_name: Vec<i32>,
    pub(super) leaf_name: Vec<i32>,
}

/// Codes of availability words.
pub(super) struct AvailabilityCodes(HashMap<i32, i64>);

impl AvailabilityCodes {
    pub(super) fn new(words: &mut Words) -> AvailabilityCodes {
        AvailabilityCodes(
            Availability::ALL.iter().map(|word| (words.intern(word.as_str()), word.code())).collect(),
        )
    }
}

impl Days {
    pub(super) fn as_kernel_input(&self) -> ProductDays<'_> {
        ProductDays {
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
            category_id: &self.categories.ids,
            category_name: &self.categories.names,
            bsr_category: &self.bsr_category,
            bsr_leaf_category: &self.bsr_leaf_category,
            rank_offsets: &self.rank_offsets,
            rank_category: &self.rank_category,
            rank_value: &self.rank_value,
        }
    }

    /// Gathers a product's rows from the loaded files, in day order.
    pub(super) fn gather(
        pass: &Pass,
        product: &Product,
        words: &Words,
        availability: &AvailabilityCodes,
    ) -> Days {
        let order = day_order(&pass.daily, &product.days);
        let integers = |column: usize| -> Vec<i64> {
            take(&pass.daily, &product.days, order.as_deref(), NULL, |block| {
                block.columns.get(column).map_or(&[], |values| values.integers())
            })
        };
        let codes = |column: usize| -> Vec<i32> {
            take(&pass.daily, &product.days, order.as_deref(), NO_CODE, |block| {
                block.columns.get(column).map_or(&[], |values| values.codes())
            })
        };
        let as_integers = |codes: Vec<i32>| -> Vec<i64> {
            codes.into_iter().map(|code| if code == NO_CODE { NULL } else { code.into() }).collect()
        };
        let mut days = Days {
            day_no: codes(at::DAY),
            price: integers(at::PRICE),
            list_price: integers(at::LIST_PRICE),
            buy_box_price: integers(at::BUY_BOX),
            landed_price: integers(at::LANDED),
            bsr: integers(at::BSR),
            bsr_leaf: integers(at::BSR_LEAF),
            rating: integers(at::RATING),
            ratings_count: integers(at::RATINGS_COUNT),
            currency: as_integers(codes(at::CURRENCY)),
            price_basis: as_integers(codes(at::BASIS)),
            bsr_name: codes(at::BSR_NAME),
            leaf_name: codes(at::LEAF_NAME),
            ..Days::default()
        };
        days.availability = codes(at::AVAILABILITY)
            .iter()
            .map(|word| availability.0.get(word).copied().unwrap_or(Availability::Unknown.code()))
            .collect();
        days.set_sellers(codes(at::SELLER), words);
        days.set_categories(&codes(at::BSR_ID), &codes(at::LEAF_ID), pass, product);
        days
    }

    fn set_sellers(&mut self, sellers: Vec<i32>, words: &Words) {
        let mut distinct: Vec<i32> = sellers.iter().copied().filter(|seller| *seller != NO_CODE).collect();
        distinct.sort_unstable();
        distinct.dedup();
        distinct.sort_by(|a, b| words.compare(*a, *b));
        let place = |word: &i32| {
            distinct.iter().position(|seller| seller == word).map_or(NO_CODE, |place| place as i32)
        };
        self.seller = match distinct.len() {
            1 => sellers.iter().map(|word| if *word == NO_CODE { NO_CODE } else { 0 }).collect(),
            _ => sellers.iter().map(place).collect(),
        };
        let unknown = Availability::Unknown.code();
        // A day with a seller or a word about stock has a known offer; nothing else of the offer block decides
        // who had the buy box.
        self.offer_known = self
            .seller
            .iter()
            .zip(&self.availability)
            .map(|(seller, availability)| *seller != NO_CODE || *availability != unknown)
            .collect();
        self.sellers = distinct;
    }

    fn set_categories(&mut self, bsr_ids: &[i32], leaf_ids: &[i32], pass: &Pass, product: &Product) {
        let mut categories = Categories::default();
        let mut codes = |ids: &[i32], names: &[i32]| -> Vec<i32> {
            ids.iter().zip(names).map(|(id, name)| categories.code(*id, *name)).collect()
        };
        self.bsr_category = codes(bsr_ids, &self.bsr_name);
        self.bsr_leaf_category = codes(leaf_ids, &self.leaf_name);
        let mut ranks: Vec<(i32, i32, i64)> = Vec::new();
        for (file, rows) in &product.ranks {
            let block = &pass.ranks[*file];
            let (days, values) = (block.columns[at::DAY].codes(), block.columns[at::RANK].integers());
            let (ids, names) = (block.columns[at::RANK_ID].codes(), block.columns[at::RANK_NAME].codes());
            ranks.extend(
                rows.clone().map(|row| (days[row], categories.code(ids[row], names[row]), values[row])),
            );
        }
        if !ranks.is_sorted_by_key(|(day, ..)| *day) {
            ranks.sort_by_key(|(day, ..)| *day);
        }
        let mut next = ranks.iter().peekable();
        self.rank_offsets.push(0);
        for day in &self.day_no {
            while let Some((rank_day, code, value)) = next.next_if(|(rank_day, ..)| rank_day <= day) {
                if rank_day == day {
                    self.rank_category.push(*code);
                    self.rank_value.push(*value);
                }
            }
            self.rank_offsets.push(self.rank_category.len() as u32);
        }
        self.categories = categories;
    }
}

/// The order that brings a product's rows into day order; null when the files have them in order.
fn day_order(blocks: &[Block], segments: &[Segment]) -> Option<Vec<usize>> {
    let days: Vec<i32> = take(blocks, segments, None, 0, |block| block.columns[at::DAY].codes());
    if days.is_sorted_by(|a, b| a < b) {
        return None;
    }
    let mut order: Vec<usize> = (0..days.len()).collect();
    order.sort_by_key(|row| days[*row]);
    Some(order)
}

/// A product's values of one column; `unknown` for the rows of files in which it was not read.
fn take<'a, T: Copy + 'a>(
    blocks: &'a [Block],
    segments: &[Segment],
    order: Option<&[usize]>,
    unknown: T,
    column: impl Fn(&'a Block) -> &'a [T],
) -> Vec<T> {
    let mut values = Vec::with_capacity(segments.iter().map(|(_, rows)| rows.len()).sum());
    for (file, rows) in segments {
        match column(&blocks[*file]) {
            [] => values.resize(values.len() + rows.len(), unknown),
            column => values.extend_from_slice(&column[rows.clone()]),
        }
    }
    match order {
        Some(order) => order.iter().map(|row| values[*row]).collect(),
        None => values,
    }
}
