//! The comparison as a document: what `compare` prints and `build-mart` stores.

use serde::{Deserialize, Serialize};

use crate::model::{Day, Money};

/// The whole comparison: what `compare` prints and `build-mart` stores for each cohort.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// Null for an ad-hoc comparison.
    pub cohort: Option<String>,
    pub as_of: Day,
    pub window_days: i32,
    pub main: MemberValue,
    pub competitors: Vec<Pair>,
    pub scores: Scores,
    pub market: Market,
    pub completeness: f64,
    pub confidence: Confidence,
}

/// What is known of a member at `as_of`; every field null when it has no row of the last seven days.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MemberValue {
    pub marketplace: String,
    pub asin: String,
    pub title: Option<String>,
    pub label: String,
    /// The day of the row the values come from.
    pub day: Option<Day>,
    pub currency: Option<String>,
    pub price_minor: Option<i64>,
    #[serde(skip_deserializing)]
    pub price: Option<MoneyText>,
    pub price_basis: Option<String>,
    pub availability: Option<String>,
    pub bsr: Option<i64>,
    pub bsr_category: Option<String>,
    pub bsr_leaf: Option<i64>,
    pub bsr_leaf_category: Option<String>,
    pub rating_centi: Option<i64>,
    pub ratings_count: Option<i64>,
    pub seller_name: Option<String>,
    /// Days of the window with a row.
    pub observed_days: i64,
    /// One value per day of the window, null where the day was not seen: for sparklines and charts.
    pub price_series: Vec<Option<i64>>,
    pub bsr_series: Vec<Option<i64>>,
}

/// `{"amount": "25.99", "currency": "USD"}`.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(transparent)]
pub struct MoneyText(pub Money);

/// One competitor beside the main product.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Pair {
    pub value: MemberValue,
    pub price: Gap,
    /// Of the ranks in the main product's main category.
    pub bsr: Gap,
    /// Of the ranks in the main product's leaf category.
    pub bsr_leaf: Gap,
    pub rating: Gap,
    pub ratings_count: Gap,
}

/// main - competitor in the field's own unit (minor units, ranks, hundredths of a star, counts).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Gap {
    pub gap: Option<i64>,
    /// gap * 100 / competitor.
    pub pct: Option<f64>,
    /// Who is better; null when the gap is unknown.
    pub better: Option<Better>,
    /// Why the gap is unknown.
    pub reason: Option<Reason>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    Main,
    Competitor,
    Equal,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    MainMissing,
    CompetitorMissing,
    Stale,
    CurrencyDiffers,
    CategoryDiffers,
}

impl Reason {
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::MainMissing => "main_missing",
            Reason::CompetitorMissing => "competitor_missing",
            Reason::Stale => "stale",
            Reason::CurrencyDiffers => "currency_differs",
            Reason::CategoryDiffers => "category_differs",
        }
    }

    /// A few words for people.
    pub fn words(self) -> &'static str {
        match self {
            Reason::MainMissing => "main unknown",
            Reason::CompetitorMissing => "rival unknown",
            Reason::Stale => "not seen lately",
            Reason::CurrencyDiffers => "other currency",
            Reason::CategoryDiffers => "other category",
        }
    }
}

/// 0 to 100, unrounded; null when the inputs are unknown.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Scores {
    pub price: Option<f64>,
    pub quality: Option<f64>,
    pub popularity: Option<f64>,
    /// Which rank popularity was computed on: `bsr` or `bsr_leaf`.
    pub popularity_on: Option<String>,
    /// Mean of the present ones.
    pub overall: Option<f64>,
}

/// Where the main product stands among all members.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Market {
    pub competitors: usize,
    /// Competitors with a row of the last seven days.
    pub competitors_valued: usize,
    /// 100 * main price / mean competitor price.
    pub price_index: Option<f64>,
    pub cheaper_competitors: usize,
    pub dearer_competitors: usize,
    /// (max - min) / mean of all known prices, main included.
    pub price_spread: Option<f64>,
    pub mean_price_minor: Option<f64>,
    pub min_price_minor: Option<i64>,
    pub max_price_minor: Option<i64>,
    pub mean_rating_centi: Option<f64>,
    /// Share of days on which the main's rank is the smallest of at least two in its category.
    pub best_rank_share: Option<f64>,
    pub price_position: Position,
    pub bsr_position: Position,
    pub rating_position: Position,
    pub ratings_count_position: Position,
}

/// 1 = best. Percentile: share of the others that are strictly worse.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Position {
    pub position: Option<i64>,
    pub of: i64,
    pub percentile: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    High,
    Medium,
    Low,
}

impl Confidence {
    pub fn as_str(self) -> &'static str {
        match self {
            Confidence::High => "high",
            Confidence::Medium => "medium",
            Confidence::Low => "low",
        }
    }
}
