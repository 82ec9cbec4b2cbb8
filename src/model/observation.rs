//! What was seen of a product: one observation, and the one row a day that is chosen from them.

use serde::{Deserialize, Serialize};

use super::{
    Asin, Availability, Currency, Day, Marketplace, ProductKey, Rank, Timestamp, leaf_rank, main_rank,
};

/// Which number of the page `price_minor` is. A change of basis between two days makes a delta null.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceBasis {
    BuyBox,
    Page,
    NewLowest,
    Amazon,
}

/// Who ships: Amazon's own offer, a seller through Amazon's warehouses, or the seller.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fulfilment {
    Amazon,
    Fba,
    Fbm,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    New,
    Used,
    Refurbished,
    Collectible,
}

/// Implements the snake_case word of an enum once, for SQL, Parquet, exports and parsing.
macro_rules! words {
    ($type:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $type {
            pub const ALL: &'static [$type] = &[$($type::$variant),+];

            pub fn as_str(self) -> &'static str {
                match self { $($type::$variant => $word),+ }
            }

            pub fn from_word(word: &str) -> Option<$type> {
                match word { $($word => Some($type::$variant),)+ _ => None }
            }
        }
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words!(PriceBasis { BuyBox = "buy_box", Page = "page", NewLowest = "new_lowest", Amazon = "amazon" });
words!(Fulfilment { Amazon = "amazon", Fba = "fba", Fbm = "fbm" });
words!(Condition { New = "new", Used = "used", Refurbished = "refurbished", Collectible = "collectible" });

/// The offer facts of one observation. Money is in minor units of the marketplace's currency.
///
/// `price_minor` is the price of one new item: without shipping, before coupon. Null is unknown; 0 is only
/// ever meant for shipping that the source calls free.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OfferBlock {
    pub price_minor: Option<i64>,
    pub price_basis: Option<PriceBasis>,
    pub list_price_minor: Option<i64>,
    pub buy_box_price_minor: Option<i64>,
    pub shipping_minor: Option<i64>,
    pub coupon_minor: Option<i64>,
    pub coupon_pct: Option<i64>,
    pub is_deal: Option<bool>,
    pub is_prime: Option<bool>,
    pub seller_id: Option<String>,
    pub seller_name: Option<String>,
    pub fulfilment: Option<Fulfilment>,
    pub condition: Option<Condition>,
    pub offer_count: Option<i64>,
    pub availability: Availability,
    pub stock_quantity: Option<i64>,
}

impl OfferBlock {
    /// price + shipping - coupon, in minor units; null unless price and shipping are known.
    pub fn landed_price_minor(&self) -> Option<i64> {
        let (price, shipping) = (self.price_minor?, self.shipping_minor?);
        let after_percent = match self.coupon_pct {
            Some(pct) => price * (100 - pct.clamp(0, 100)) / 100,
            None => price,
        };
        Some((after_percent + shipping - self.coupon_minor.unwrap_or(0)).max(0))
    }

    /// False for an offer that is unknown but for its list price: that one is the product's more than the offer's.
    pub fn tells_more_than_list_price(&self) -> bool {
        OfferBlock { list_price_minor: None, ..self.clone() }.is_known()
    }

    /// True when anything of the offer is known, "nobody offers it" included.
    pub fn is_known(&self) -> bool {
        *self != OfferBlock::default()
    }
}

/// All ranks of one observation, in the source's order, and the last element of the category path they were
/// read with (it decides which of them is the leaf).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RankBlock {
    pub ranks: Vec<Rank>,
    pub path_leaf: Option<String>,
}

impl RankBlock {
    pub fn main(&self) -> Option<&Rank> {
        main_rank(&self.ranks)
    }

    pub fn leaf(&self) -> Option<&Rank> {
        leaf_rank(&self.ranks, self.path_leaf.as_deref())
    }
}

/// Stars and the count of ratings, which all variants of a family share.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RatingBlock {
    /// Hundredths of a star: 450 = 4.5.
    pub rating_centi: Option<i64>,
    pub ratings_count: Option<i64>,
}

impl RatingBlock {
    pub fn is_known(&self) -> bool {
        *self != RatingBlock::default()
    }
}

/// The listing's content: what listing versions are made of. Strings are as shown, trimmed, without control
/// characters and HTML tags.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Listing {
    pub title: Option<String>,
    pub brand: Option<String>,
    /// Root first.
    pub category_path: Vec<String>,
    pub image_url: Option<String>,
    pub parent_asin: Option<Asin>,
    pub bullets: Vec<String>,
    pub images: Vec<String>,
    /// Asins of the other variants, sorted.
    pub variants: Vec<Asin>,
}

impl Listing {
    /// Between the levels of a category path in one text.
    pub const LEVELS: &str = " > ";

    /// The category path in one text; null where it is unknown.
    pub fn category(&self) -> Option<String> {
        (!self.category_path.is_empty()).then(|| self.category_path.join(Listing::LEVELS))
    }
}

/// One normalized fact: what one source said of one product at one time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Observation {
    pub marketplace: Marketplace,
    pub asin: Asin,
    /// False when the source answered that the product does not exist (404).
    pub found: bool,
    pub offer: OfferBlock,
    pub rank: RankBlock,
    pub rating: RatingBlock,
    pub monthly_sold_min: Option<i64>,
    pub listing: Listing,
}

impl Observation {
    pub fn key(&self) -> ProductKey {
        ProductKey { marketplace: self.marketplace, asin: self.asin }
    }
}

/// One customer review. The author's name is never kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Review {
    pub marketplace: Marketplace,
    pub asin: Asin,
    pub review_id: String,
    pub rating_centi: Option<i64>,
    pub title: Option<String>,
    pub body: Option<String>,
    pub reviewed_on: Option<Day>,
    pub verified: Option<bool>,
    pub helpful_count: Option<i64>,
    /// The filter the list was fetched with (`one_star`), null for an unfiltered list.
    pub list_filter: Option<String>,
}

/// One row per (marketplace, asin, day): chosen block by block from the day's observations (`normalize::daily`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DailyRow {
    pub marketplace: Marketplace,
    pub asin: Asin,
    pub day: Day,
    /// Of the offer block's observation, else of the first block present.
    pub observed_at: Timestamp,
    pub currency: Currency,
    pub offer: OfferBlock,
    pub rank: RankBlock,
    pub rating: RatingBlock,
    pub monthly_sold_min: Option<i64>,
    /// Lowest and highest price of the day's observations that share the row's price basis.
    pub low_price_minor: Option<i64>,
    pub high_price_minor: Option<i64>,
    /// How many observations the day has.
    pub observations: i64,
    pub source: String,
    /// All contributing sources, sorted, joined by commas.
    pub sources: String,
}

impl DailyRow {
    pub fn key(&self) -> ProductKey {
        ProductKey { marketplace: self.marketplace, asin: self.asin }
    }
}
