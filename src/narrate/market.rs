//! What prices, competitors and scores say about the market.

use super::report::{Intensity, Leadership, MarketInsights, Structure, Volatility};
use crate::render::format::{self, count_of};
use crate::rollup::compare::Comparison;

const HIGH_SPREAD: f64 = 0.5;
const MODERATE_SPREAD: f64 = 0.2;
const FRAGMENTED_SPREAD: f64 = 0.3;
/// More competitors than this are intense competition.
const INTENSE: usize = 5;
const POPULARITY_LEADER: f64 = 70.0;
const QUALITY_LEADER: f64 = 80.0;
const PRICE_LEADER: f64 = 80.0;

pub(super) fn market_insights(comparison: &Comparison) -> MarketInsights {
    let spread = comparison.market.price_spread;
    let volatility = spread.map(|spread| match spread {
        _ if spread > HIGH_SPREAD => Volatility::High,
        _ if spread > MODERATE_SPREAD => Volatility::Moderate,
        _ => Volatility::Low,
    });
    let structure =
        spread.map(
            |spread| if spread > FRAGMENTED_SPREAD { Structure::Fragmented } else { Structure::Consolidated },
        );
    let competitors = comparison.market.competitors;
    let intensity = if competitors > INTENSE { Intensity::Intense } else { Intensity::Limited };
    let scores = &comparison.scores;
    let leadership: Vec<Leadership> = [
        (Leadership::Popularity, scores.popularity, POPULARITY_LEADER),
        (Leadership::Quality, scores.quality, QUALITY_LEADER),
        (Leadership::Price, scores.price, PRICE_LEADER),
    ]
    .into_iter()
    .filter(|(_, score, mark)| score.is_some_and(|score| score > *mark))
    .map(|(leadership, ..)| leadership)
    .collect();
    let text = insight_text(spread, volatility, structure, (intensity, competitors), &leadership);
    MarketInsights { volatility, structure, intensity, leadership, text }
}

fn insight_text(
    spread: Option<f64>,
    volatility: Option<Volatility>,
    structure: Option<Structure>,
    (intensity, competitors): (Intensity, usize),
    leadership: &[Leadership],
) -> Vec<String> {
    let word = |value: Option<&'static str>| value.unwrap_or(format::UNKNOWN);
    let prices = match spread {
        Some(spread) => format!(
            "Price volatility is {}: prices spread over {} of their mean; the market is {}.",
            word(volatility.map(|volatility| match volatility {
                Volatility::High => "high",
                Volatility::Moderate => "moderate",
                Volatility::Low => "low",
            })),
            format::share(spread),
            word(structure.map(|structure| match structure {
                Structure::Fragmented => "fragmented",
                Structure::Consolidated => "consolidated",
            })),
        ),
        None => "Price volatility is unknown: no price is known.".to_owned(),
    };
    let competition = format!(
        "Competition is {} ({}).",
        if intensity == Intensity::Intense { "intense" } else { "limited" },
        count_of(competitors as i64, "competitor")
    );
    let leads: Vec<&str> = leadership
        .iter()
        .map(|leadership| match leadership {
            Leadership::Popularity => "popularity",
            Leadership::Quality => "quality",
            Leadership::Price => "price",
        })
        .collect();
    let leads = match leads.as_slice() {
        [] => "The product leads in no dimension.".to_owned(),
        some => format!("The product leads in {}.", some.join(", ")),
    };
    vec![prices, competition, leads]
}
