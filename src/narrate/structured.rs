//! The structured report: fixed rules over one comparison document, the same text for the same numbers.
//!
//! Nothing is guessed: a rule whose inputs are unknown does not fire, and the summary says what is unknown.
//! Features are not compared here, so the rules about unique and missing features never fire.

use super::facts::Facts;
use super::market::market_insights;
use super::report::{
    Differentiation, MODERATE, Metadata, Outlook, Placing, Point, PointCode, Priority, Recommendation,
    RecommendationKind, StructuredReport, Swot,
};
use super::summary::executive_summary;
use crate::render::format::{self, one_decimal};
use crate::rollup::compare::{Comparison, Position};

/// Version of the rules below, part of every report's metadata.
const RULES: &str = "amzctl.structured/1";

/// Above this an overall score is a strength.
const STRONG: f64 = 70.0;
/// Below this the strategy as a whole is questioned.
const STRATEGY: f64 = 50.0;

/// Builds the structured report of one comparison.
pub fn structured(comparison: &Comparison) -> StructuredReport {
    let facts = Facts::of(comparison);
    StructuredReport {
        outlook: comparison.scores.overall.map(Outlook::of),
        executive_summary: executive_summary(&facts),
        positioning: positioning(comparison),
        swot: swot(&facts),
        differentiation: differentiation(&facts),
        recommendations: recommendations(&facts),
        market_insights: market_insights(comparison),
        metadata: Metadata {
            rules: RULES,
            cohort: comparison.cohort.clone(),
            as_of: comparison.as_of,
            competitors: comparison.market.competitors,
            competitors_valued: comparison.market.competitors_valued,
            completeness: comparison.completeness,
            confidence: comparison.confidence,
            popularity_on: comparison.scores.popularity_on.clone(),
        },
    }
}

fn positioning(comparison: &Comparison) -> Vec<Placing> {
    let market = &comparison.market;
    let placing = |dimension: &'static str, best: &str, place: &Position| Placing {
        dimension,
        position: place.position,
        of: place.of,
        percentile: place.percentile,
        text: match place.position {
            Some(position) if place.of > 1 => format!("{position} of {} ({best} first)", place.of),
            Some(_) => "no competitor to compare with".to_owned(),
            None => format::UNKNOWN.to_owned(),
        },
    };
    vec![
        placing("price", "cheapest", &market.price_position),
        placing("bsr", "best rank", &market.bsr_position),
        placing("rating", "highest", &market.rating_position),
        placing("ratings_count", "most", &market.ratings_count_position),
    ]
}

fn swot(facts: &Facts<'_>) -> Swot {
    let mut swot = Swot::default();
    let point = |code, text: String| Point { code, text };
    if facts.price.scaled_distance().is_some_and(|distance| distance <= 0) {
        let text = format!(
            "Priced at or below the mean: {} against {} for the competitors.",
            facts.money(facts.price.main.unwrap_or_default() as f64),
            facts.mean_competitor_price()
        );
        swot.strengths.push(point(PointCode::PriceAtOrBelowMean, text));
    }
    let rating_text = |relation: &str| {
        format!(
            "Rated {relation} the mean: {} against {} stars for the competitors.",
            format::stars(facts.rating.main.unwrap_or_default()),
            facts.mean_competitor_rating()
        )
    };
    match facts.rating.scaled_distance() {
        Some(0..) => {
            swot.strengths.push(point(PointCode::RatingAtOrAboveMean, rating_text("at or above")));
        }
        Some(_) => swot.opportunities.push(point(PointCode::RatingBelowMean, rating_text("below"))),
        None => {}
    }
    if let Some(overall) = facts.overall() {
        if overall > STRONG {
            let text = format!("A strong overall score of {}.", one_decimal(overall));
            swot.strengths.push(point(PointCode::StrongOverall, text));
        }
        if overall < MODERATE {
            let text = format!("A weak overall score of {}: competitors are ahead.", one_decimal(overall));
            swot.threats.push(point(PointCode::WeakOverall, text));
        }
    }
    if facts.is_dearest() {
        let text = format!(
            "The dearest of {} products with a known price.",
            facts.comparison.market.price_position.of
        );
        swot.weaknesses.push(point(PointCode::Dearest, text));
    }
    swot
}

fn differentiation(facts: &Facts<'_>) -> Differentiation {
    let price = facts
        .price
        .scaled_distance()
        .filter(|_| facts.price.sum != 0)
        .map(|distance| (distance * 100) as f64 / facts.price.sum as f64);
    let rating = facts.rating.scaled_distance().map(|distance| distance as f64 / facts.rating.count as f64);
    let mut text = Vec::new();
    text.push(match price {
        Some(pct) => format!("Price: {} against the competitors' mean.", format::signed_percent(pct)),
        None => "Price against the competitors' mean: unknown.".to_owned(),
    });
    text.push(match rating {
        Some(centi) => format!(
            "Rating: {} stars against the competitors' mean.",
            format::signed_stars(format::round_half_away(centi))
        ),
        None => "Rating against the competitors' mean: unknown.".to_owned(),
    });
    text.push("Features of the listings: not compared.".to_owned());
    Differentiation { price_vs_competitors_pct: price, rating_vs_competitors_centi: rating, text }
}

fn recommendations(facts: &Facts<'_>) -> Vec<Recommendation> {
    let mut list = Vec::new();
    if facts.is_dearest() {
        list.push(Recommendation {
            kind: RecommendationKind::Pricing,
            priority: Priority::High,
            text: format!(
                "Review the price: at {} the product is the dearest; the competitors' mean is {}.",
                facts.money(facts.price.main.unwrap_or_default() as f64),
                facts.mean_competitor_price()
            ),
        });
    }
    if let Some(overall) = facts.overall().filter(|overall| *overall < STRATEGY) {
        list.push(Recommendation {
            kind: RecommendationKind::Strategy,
            priority: Priority::High,
            text: format!(
                "Rethink the positioning: the overall score of {} is below {}.",
                one_decimal(overall),
                one_decimal(STRATEGY)
            ),
        });
    }
    // An advantage is strictly above the mean: an equal rating sets nothing apart.
    if facts.rating.scaled_distance().is_some_and(|distance| distance <= 0) {
        list.push(Recommendation {
            kind: RecommendationKind::Quality,
            priority: Priority::Medium,
            text: format!(
                "Work on quality: {} stars are no advantage over the competitors' mean of {}.",
                format::stars(facts.rating.main.unwrap_or_default()),
                facts.mean_competitor_rating()
            ),
        });
    }
    list
}
