//! Saying what the numbers mean. The structured report always exists and needs nothing but the comparison.

mod facts;
mod market;
mod report;
mod structured;
mod summary;

pub use report::{
    Differentiation, Intensity, Leadership, MarketInsights, Metadata, Outlook, Placing, Point, PointCode,
    Priority, Recommendation, RecommendationKind, Structure, StructuredReport, Swot, Volatility,
};
pub use structured::structured;

#[cfg(test)]
mod tests;
