//! What the structured report holds: the sections that a comparison is put into.

use serde::Serialize;

use crate::model::Day;
use crate::rollup::compare::Confidence;

const EXCEPTIONAL: f64 = 80.0;
const COMPETITIVE: f64 = 60.0;
pub(super) const MODERATE: f64 = 40.0;

/// What the comparison says, in sections.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct StructuredReport {
    pub outlook: Option<Outlook>,
    pub executive_summary: Vec<String>,
    pub positioning: Vec<Placing>,
    pub swot: Swot,
    pub differentiation: Differentiation,
    pub recommendations: Vec<Recommendation>,
    pub market_insights: MarketInsights,
    pub metadata: Metadata,
}

/// The overall score in a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outlook {
    ExceptionallyStrong,
    Competitive,
    Moderate,
    Challenging,
}

impl Outlook {
    pub(super) fn of(overall: f64) -> Outlook {
        match overall {
            _ if overall >= EXCEPTIONAL => Outlook::ExceptionallyStrong,
            _ if overall >= COMPETITIVE => Outlook::Competitive,
            _ if overall >= MODERATE => Outlook::Moderate,
            _ => Outlook::Challenging,
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            Outlook::ExceptionallyStrong => "exceptionally strong",
            Outlook::Competitive => "competitive",
            Outlook::Moderate => "moderate",
            Outlook::Challenging => "challenging",
        }
    }
}

/// Where the main product stands in one dimension; 1 = best.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Placing {
    pub dimension: &'static str,
    pub position: Option<i64>,
    pub of: i64,
    pub percentile: Option<f64>,
    pub text: String,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Swot {
    pub strengths: Vec<Point>,
    pub weaknesses: Vec<Point>,
    pub opportunities: Vec<Point>,
    pub threats: Vec<Point>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Point {
    pub code: PointCode,
    pub text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PointCode {
    PriceAtOrBelowMean,
    RatingAtOrAboveMean,
    StrongOverall,
    Dearest,
    RatingBelowMean,
    WeakOverall,
}

/// What sets the product apart, as far as figures say.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Differentiation {
    /// main - mean of the competitors, as percent of it.
    pub price_vs_competitors_pct: Option<f64>,
    /// main - mean of the competitors, hundredths of a star.
    pub rating_vs_competitors_centi: Option<f64>,
    pub text: Vec<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Recommendation {
    #[serde(rename = "type")]
    pub kind: RecommendationKind,
    pub priority: Priority,
    pub text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecommendationKind {
    Pricing,
    Quality,
    Strategy,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    High,
    Medium,
}

/// What the prices and the number of competitors say about the market; null where no price is known.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct MarketInsights {
    pub volatility: Option<Volatility>,
    pub structure: Option<Structure>,
    pub intensity: Intensity,
    pub leadership: Vec<Leadership>,
    pub text: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Volatility {
    High,
    Moderate,
    Low,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Structure {
    Fragmented,
    Consolidated,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Intensity {
    Intense,
    Limited,
}

/// A dimension in which the main product leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Leadership {
    Popularity,
    Quality,
    Price,
}

/// What the report rests on.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Metadata {
    pub rules: &'static str,
    pub cohort: Option<String>,
    pub as_of: Day,
    pub competitors: usize,
    pub competitors_valued: usize,
    pub completeness: f64,
    pub confidence: Confidence,
    pub popularity_on: Option<String>,
}
