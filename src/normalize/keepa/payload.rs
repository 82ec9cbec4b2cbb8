//! Keepa's product as it is sent. Numbers are integers: prices in minor units, times in Keepa minutes; -1 says
//! "none", -2 "not asked for".

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::Timestamp;
use crate::normalize::value::{List, Object, Scalar};

/// Minutes from 1970 to Keepa's minute 0, 2011-01-01T00:00Z.
const KEEPA_EPOCH_MINUTES: i64 = 21_564_000;

/// The series of `csv` that are read.
pub(super) const AMAZON: usize = 0;
pub(super) const NEW: usize = 1;
pub(super) const SALES_RANK: usize = 3;
pub(super) const LIST_PRICE: usize = 4;
pub(super) const NEW_OFFERS: usize = 11;
pub(super) const RATING: usize = 16;
pub(super) const RATINGS_COUNT: usize = 17;
pub(super) const BUY_BOX: usize = 18;
pub(super) const READ: [usize; 8] =
    [AMAZON, NEW, SALES_RANK, LIST_PRICE, NEW_OFFERS, RATING, RATINGS_COUNT, BUY_BOX];

/// A product, or the answer it came in: that has products, and how many tokens are left.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::normalize) struct Product<'a> {
    #[serde(borrow)]
    pub(super) products: Option<List<Object<'a, Product<'a>>>>,
    #[serde(borrow)]
    pub(super) tokens_left: Scalar<'a>,
    #[serde(borrow)]
    pub(super) timestamp: Scalar<'a>,
    #[serde(borrow)]
    pub(super) error: Object<'a, Refusal<'a>>,

    #[serde(borrow)]
    pub(super) asin: Scalar<'a>,
    #[serde(borrow)]
    pub(super) domain_id: Scalar<'a>,
    #[serde(borrow)]
    pub(super) product_type: Scalar<'a>,
    #[serde(borrow)]
    pub(super) last_update: Scalar<'a>,
    #[serde(borrow)]
    pub(super) title: Scalar<'a>,
    #[serde(borrow)]
    pub(super) brand: Scalar<'a>,
    #[serde(borrow)]
    pub(super) manufacturer: Scalar<'a>,
    #[serde(borrow)]
    pub(super) features: List<Scalar<'a>>,
    #[serde(borrow)]
    pub(super) category_tree: List<Object<'a, Category<'a>>>,
    #[serde(borrow)]
    pub(super) images: List<Object<'a, Image<'a>>>,
    #[serde(borrow, rename = "imagesCSV")]
    pub(super) images_csv: Scalar<'a>,
    #[serde(borrow)]
    pub(super) parent_asin: Scalar<'a>,
    #[serde(borrow)]
    pub(super) variations: List<Object<'a, Variation<'a>>>,
    #[serde(borrow, rename = "variationCSV")]
    pub(super) variation_csv: Scalar<'a>,
    #[serde(borrow)]
    pub(super) sales_rank_reference: Scalar<'a>,
    pub(super) sales_rank_reference_history: Series,
    pub(super) sales_ranks: SeriesByCategory,
    #[serde(borrow)]
    pub(super) monthly_sold: Scalar<'a>,
    #[serde(borrow)]
    pub(super) coupon: List<Scalar<'a>>,
    #[serde(borrow)]
    pub(super) availability_amazon: Scalar<'a>,
    #[serde(borrow)]
    pub(super) buy_box_seller_id_history: List<Scalar<'a>>,
    #[serde(borrow)]
    pub(super) stats: Object<'a, Stats<'a>>,
    csv: Csv,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Refusal<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Scalar<'a>,
    #[serde(borrow)]
    pub(super) message: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Category<'a> {
    #[serde(borrow)]
    pub(super) cat_id: Scalar<'a>,
    #[serde(borrow)]
    pub(super) name: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Image<'a> {
    /// Large; may be missing.
    #[serde(borrow)]
    pub(super) l: Scalar<'a>,
    #[serde(borrow)]
    pub(super) m: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Variation<'a> {
    #[serde(borrow)]
    pub(super) asin: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Stats<'a> {
    /// By the numbers of `csv`.
    #[serde(borrow)]
    pub(super) current: List<Scalar<'a>>,
    #[serde(borrow)]
    pub(super) buy_box_price: Scalar<'a>,
    #[serde(borrow)]
    pub(super) buy_box_shipping: Scalar<'a>,
    #[serde(borrow)]
    pub(super) buy_box_seller_id: Scalar<'a>,
    #[serde(borrow)]
    pub(super) buy_box_is_amazon: Scalar<'a>,
    #[serde(borrow, rename = "buyBoxIsFBA")]
    pub(super) buy_box_is_fba: Scalar<'a>,
    #[serde(borrow)]
    pub(super) buy_box_is_used: Scalar<'a>,
    #[serde(borrow)]
    pub(super) buy_box_is_unqualified: Scalar<'a>,
    #[serde(borrow, rename = "buyBoxIsMAP")]
    pub(super) buy_box_is_map: Scalar<'a>,
    #[serde(borrow)]
    pub(super) buy_box_is_preorder: Scalar<'a>,
    #[serde(borrow)]
    pub(super) buy_box_is_backorder: Scalar<'a>,
    #[serde(borrow)]
    pub(super) buy_box_availability_message: Scalar<'a>,
    #[serde(borrow)]
    pub(super) stock_buy_box: Scalar<'a>,
    #[serde(borrow)]
    pub(super) total_offer_count: Scalar<'a>,
}

impl Product<'_> {
    /// The series of this number; empty where there is none.
    pub(super) fn series(&self, number: usize) -> &Series {
        const NONE: &Series = &Series(Vec::new());
        self.csv.0.get(number).unwrap_or(NONE)
    }

    /// When Keepa last looked at the product.
    pub(super) fn updated_at(&self) -> Option<Timestamp> {
        instant(self.last_update.integer()?)
    }

    /// The name of a category of the product's tree.
    pub(super) fn category_name(&self, category_id: i64) -> Option<&str> {
        let categories = self.category_tree.0.iter().filter_map(|category| category.object.as_ref());
        categories
            .filter(|category| category.cat_id.integer() == Some(category_id))
            .find_map(|c| c.name.text())
    }
}

/// The instant of a Keepa minute; null for 0 and below, which say that the time is unknown.
pub(super) fn instant(minutes: i64) -> Option<Timestamp> {
    let millis = minutes.checked_add(KEEPA_EPOCH_MINUTES)?.checked_mul(60_000)?;
    Timestamp::from_timestamp_millis(millis).filter(|_| minutes > 0)
}

/// The Keepa minute that has begun at this instant.
pub(super) fn minute_of(at: Timestamp) -> i64 {
    at.timestamp().div_euclid(60) - KEEPA_EPOCH_MINUTES
}

/// A flat list of times and values: `t, value, t, value …` or `t, price, shipping …`, oldest first. What is no list
/// of whole numbers is an empty one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Series(pub(super) Vec<i64>);

impl Series {
    /// The points of `N` numbers each, the first of which is the time; a cut-off last one is left out.
    pub(super) fn points<const N: usize>(&self) -> &[[i64; N]] {
        self.0.as_chunks::<N>().0
    }

    /// The value in force at the minute: that of the latest point not after it. Null before the first point.
    pub(super) fn at<const N: usize>(&self, minute: i64) -> Option<[i64; N]> {
        let points = self.points::<N>();
        let after = points.partition_point(|point| point[0] <= minute);
        after.checked_sub(1).and_then(|last| points.get(last)).copied()
    }

    /// The value of the latest point of a series of pairs.
    pub(super) fn last(&self) -> Option<i64> {
        self.points::<2>().last().map(|[_, value]| *value)
    }

    /// The time of the first point.
    pub(super) fn begin(&self) -> Option<i64> {
        self.0.first().copied().filter(|_| self.0.len() > 1)
    }
}

/// Implements the visits of what a value should not be: it is read as an empty one.
macro_rules! visit_others {
    (except map $empty:expr) => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($empty)
        }

        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($empty)
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($empty)
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($empty)
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($empty)
        }

        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok($empty)
        }
    };
    ($empty:expr) => {
        visit_others!(except map $empty);

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($empty)
        }
    };
}

struct SeriesVisitor;

impl<'de> Visitor<'de> for SeriesVisitor {
    type Value = Series;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Series, A::Error> {
        let mut numbers = Some(Vec::with_capacity(seq.size_hint().unwrap_or(0)));
        while let Some(number) = seq.next_element::<Scalar<'_>>()? {
            match (&mut numbers, number.integer()) {
                (Some(numbers), Some(number)) => numbers.push(number),
                _ => numbers = None,
            }
        }
        Ok(Series(numbers.unwrap_or_default()))
    }

    visit_others!(Series::default());
}

impl<'de> Deserialize<'de> for Series {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Series, D::Error> {
        deserializer.deserialize_any(SeriesVisitor)
    }
}

/// The series by number; those that nothing is read of are skipped and empty.
#[derive(Default)]
struct Csv(Vec<Series>);

struct CsvVisitor;

impl<'de> Visitor<'de> for CsvVisitor {
    type Value = Csv;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Csv, A::Error> {
        let mut all = Vec::new();
        loop {
            let next = if READ.contains(&all.len()) {
                seq.next_element::<Series>()?
            } else {
                seq.next_element::<IgnoredAny>()?.map(|_| Series::default())
            };
            let Some(series) = next else { return Ok(Csv(all)) };
            all.push(series);
        }
    }

    visit_others!(Csv::default());
}

impl<'de> Deserialize<'de> for Csv {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Csv, D::Error> {
        deserializer.deserialize_any(CsvVisitor)
    }
}

/// A series of ranks for each category id, in the payload's order.
#[derive(Default)]
pub(super) struct SeriesByCategory(pub(super) Vec<(i64, Series)>);

struct ByCategoryVisitor(PhantomData<SeriesByCategory>);

impl<'de> Visitor<'de> for ByCategoryVisitor {
    type Value = SeriesByCategory;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SeriesByCategory, A::Error> {
        let mut ranks = Vec::new();
        while let Some((key, series)) = map.next_entry::<Scalar<'_>, Series>()? {
            ranks.extend(key.integer().map(|category_id| (category_id, series)));
        }
        Ok(SeriesByCategory(ranks))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<SeriesByCategory, A::Error> {
        SeriesVisitor.visit_seq(seq).map(|_| SeriesByCategory::default())
    }

    visit_others!(except map SeriesByCategory::default());
}

impl<'de> Deserialize<'de> for SeriesByCategory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SeriesByCategory, D::Error> {
        deserializer.deserialize_any(ByCategoryVisitor(PhantomData))
    }
}
