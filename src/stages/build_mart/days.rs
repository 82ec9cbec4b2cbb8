//! One product's days in owned columns, gathered from the loaded files, in the shape that the kernels take.

use super::categories::Categories;
use super::core_files::at;
use super::products::{Pass, Product, Segment};
use crate::lake::{Block, Words};
use crate::model::Availability;
use crate::rollup::{NO_CODE, NULL, Past, ProductDays};

/// One product's days in owned columns, and the words behind its codes.
#[derive(Default)]
pub(super) struct Days {
    past: Past,
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

/// The code of each availability word, at the place of the word's own code.
pub(super) struct AvailabilityCodes(Vec<i64>);

impl AvailabilityCodes {
    pub(super) fn new(words: &mut Words) -> AvailabilityCodes {
        let mut codes = Vec::new();
        for availability in Availability::ALL {
            let place = words.intern(availability.as_str()) as usize;
            codes.resize(codes.len().max(place + 1), Availability::Unknown.code());
            codes[place] = availability.code();
        }
        AvailabilityCodes(codes)
    }

    fn of(&self, word: i32) -> i64 {
        let code = usize::try_from(word).ok().and_then(|place| self.0.get(place));
        code.copied().unwrap_or(Availability::Unknown.code())
    }
}

impl Days {
    pub(super) fn as_kernel_input(&self) -> ProductDays<'_> {
        ProductDays {
            past: &self.past,
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
            past: product.past.clone(),
            ..Days::default()
        };
        days.availability = codes(at::AVAILABILITY).iter().map(|word| availability.of(*word)).collect();
        days.set_sellers(codes(at::SELLER), words);
        days.set_categories(&codes(at::BSR_ID), &codes(at::LEAF_ID), pass, product);
        days
    }

    fn set_sellers(&mut self, sellers: Vec<i32>, words: &Words) {
        let known = sellers.iter().chain(&self.past.sellers).copied();
        let mut distinct: Vec<i32> = known.filter(|seller| *seller != NO_CODE).collect();
        distinct.sort_unstable();
        distinct.dedup();
        distinct.sort_by(|a, b| words.compare(*a, *b));
        let mut places: Vec<(i32, i32)> = distinct.iter().copied().zip(0..).collect();
        places.sort_unstable();
        let place = |word: &i32| {
            let found = places.binary_search_by_key(word, |(seller, _)| *seller);
            found.map_or(NO_CODE, |index| places[index].1)
        };
        self.seller = sellers.iter().map(place).collect();
        self.past.sellers.iter_mut().for_each(|seller| *seller = place(seller));
        self.past.sellers.sort_unstable();
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
