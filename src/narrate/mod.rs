//! Saying what the numbers mean. The structured report always exists and needs nothing but the comparison.

mod structured;

pub use structured::{
    Differentiation, Intensity, Leadership, MarketInsights, Metadata, Outlook, Placing, Point, PointCode,
    Priority, Recommendation, RecommendationKind, Structure, StructuredReport, Swot, Volatility, structured,
};
