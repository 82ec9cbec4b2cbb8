//! What is true of a synthetic product: its profile, which stays, and one fact a day, which a provider's item shows.

use super::catalog::{Category, Language, Node, said};
use super::random::Random;
use crate::model::{Asin, Availability, Fulfilment, ProductKey};

/// The part of a product that does not change from day to day.
#[derive(Clone)]
pub(super) struct Profile {
    pub(super) key: ProductKey,
    pub(super) brand: String,
    pub(super) model: String,
    pub(super) color: &'static str,
    pub(super) category: &'static Category,
    /// Asins of the other variants, sorted.
    pub(super) variants: Vec<Asin>,
    /// Seed of everything written about the product: bullets, images, description, reviews.
    pub(super) prose: u64,
}

impl Profile {
    /// The seller's title: in the language of the marketplace, not of the page.
    pub(super) fn title(&self, revision: u8) -> String {
        let mut random = Random::stream(self.prose, &[u64::from(revision)]);
        let noun = said(&self.category.noun, Language::of(self.key.marketplace));
        let first = random.below(self.category.traits.len() as u64) as usize;
        let second = (first + random.between(1, 7) as usize) % self.category.traits.len();
        let (first, second) = (self.category.traits[first], self.category.traits[second]);
        format!("{} {} {noun}, {first}, {second}, {}", self.brand, self.model, self.color)
    }

    /// Addresses of the listing's pictures, the main one first.
    pub(super) fn images(&self) -> Vec<String> {
        const LETTERS: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        let mut random = Random::stream(self.prose, &[1_000]);
        let count = random.between(3, 7);
        (0..count)
            .map(|_| {
                let id: String = (0..9).map(|_| char::from(*random.pick(LETTERS))).collect();
                format!("https://m.media-amazon.com/images/I/71{id}L._AC_SL1500_.jpg")
            })
            .collect()
    }
}

/// Who has the buy box.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Seller {
    /// Null for Amazon itself, as the axesso actor has it.
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) fulfilment: Fulfilment,
}

/// A coupon on the page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Coupon {
    Minor(i64),
    Percent(i64),
}

impl Coupon {
    pub(super) fn minor(self) -> Option<i64> {
        match self {
            Coupon::Minor(minor) => Some(minor),
            Coupon::Percent(_) => None,
        }
    }

    pub(super) fn percent(self) -> Option<i64> {
        match self {
            Coupon::Percent(percent) => Some(percent),
            Coupon::Minor(_) => None,
        }
    }
}

/// One rank of the day.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct FactRank {
    pub(super) node: &'static Node,
    pub(super) rank: i64,
}

/// How much of the product a source's answer shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Showing {
    Full,
    /// The answer names the product and nothing else.
    Hollow,
    /// The product does not exist (404).
    NotFound,
}

/// What a broken source made of an item on a garbage day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Garbage {
    /// The decimal point is lost: 25.99 is written 2599.
    PriceTimesHundred,
    /// Seven of five stars.
    SevenStars,
}

/// What is true of one product on one day. Money is in minor units; null is "the page does not say".
#[derive(Clone, Debug)]
pub(super) struct Fact {
    pub(super) showing: Showing,
    pub(super) language: Language,
    pub(super) title_revision: u8,
    pub(super) price_minor: Option<i64>,
    pub(super) list_price_minor: Option<i64>,
    pub(super) shipping_minor: Option<i64>,
    pub(super) coupon: Option<Coupon>,
    pub(super) is_deal: bool,
    pub(super) is_prime: bool,
    pub(super) seller: Option<Seller>,
    pub(super) offer_count: i64,
    pub(super) availability: Availability,
    pub(super) stock_quantity: Option<i64>,
    /// The root's rank, which has the top-100 link; null when the page has no ranks.
    pub(super) main_rank: Option<FactRank>,
    pub(super) other_ranks: Vec<FactRank>,
    /// Index of the leaf that ends the category path.
    pub(super) path_leaf: usize,
    /// Tenths of a star.
    pub(super) rating_tenths: Option<i64>,
    pub(super) ratings_count: i64,
    pub(super) monthly_sold_min: Option<i64>,
    pub(super) garbage: Option<Garbage>,
}

impl Fact {
    /// The category path from the root, in the page's language.
    pub(super) fn path(&self, profile: &Profile) -> Vec<&'static Node> {
        let category = profile.category;
        vec![&category.root, &category.middle, &category.leaves[self.path_leaf]]
    }

    /// The rank in the category that ends the path.
    pub(super) fn leaf_rank(&self, profile: &Profile) -> Option<&FactRank> {
        let leaf = &profile.category.leaves[self.path_leaf];
        self.other_ranks.iter().find(|rank| rank.node == leaf)
    }

    /// The price as the broken or sound source writes it.
    pub(super) fn shown_price_minor(&self) -> Option<i64> {
        let factor = if self.garbage == Some(Garbage::PriceTimesHundred) { 100 } else { 1 };
        self.price_minor.map(|price| price * factor)
    }

    pub(super) fn rating_centi(&self) -> Option<i64> {
        self.rating_tenths.map(|tenths| tenths * 10)
    }
}
