//! The structured report: fixed rules over one comparison document, the same text for the same numbers.
//!
//! Nothing is guessed: a rule whose inputs are unknown does not fire, and the summary says what is unknown.
//! Features are not compared here, so the rules about unique and missing features never fire.

use serde::Serialize;

use crate::model::Currency;
use crate::render::format::{self, count_of, one_decimal};
use crate::rollup::compare::{Comparison, Confidence, Gap, Position};

/// Version of the rules below, part of every report's metadata.
const RULES: &str = "amzctl.structured/1";

const EXCEPTIONAL: f64 = 80.0;
const COMPETITIVE: f64 = 60.0;
const MODERATE: f64 = 40.0;
/// Above this an overall score is a strength.
const STRONG: f64 = 70.0;
/// Below this the strategy as a whole is questioned.
const STRATEGY: f64 = 50.0;
const HIGH_SPREAD: f64 = 0.5;
const MODERATE_SPREAD: f64 = 0.2;
const FRAGMENTED_SPREAD: f64 = 0.3;
/// More competitors than this are intense competition.
const INTENSE: usize = 5;
const POPULARITY_LEADER: f64 = 70.0;
const QUALITY_LEADER: f64 = 80.0;
const PRICE_LEADER: f64 = 80.0;

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
    fn of(overall: f64) -> Outlook {
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
    pub as_of: crate::model::Day,
    pub competitors: usize,
    pub competitors_valued: usize,
    pub completeness: f64,
    pub confidence: Confidence,
    pub popularity_on: Option<String>,
}

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

/// The comparison, and the competitors' values that may be set beside the main's.
struct Facts<'a> {
    comparison: &'a Comparison,
    currency: Option<Currency>,
    price: Side,
    rating: Side,
}

/// One dimension: the main's value, and number and sum of the comparable competitors' values.
struct Side {
    main: Option<i64>,
    count: i64,
    sum: i64,
}

impl Side {
    fn of(main: Option<i64>, gaps: impl Iterator<Item = Option<i64>>) -> Side {
        let others: Vec<i64> =
            main.map(|main| gaps.flatten().map(|gap| main - gap).collect()).unwrap_or_default();
        Side { main, count: others.len() as i64, sum: others.iter().sum() }
    }

    /// main - mean of the competitors, multiplied by their number; null unless both sides are known. The sign is
    /// also that of main - mean of all members.
    fn scaled_distance(&self) -> Option<i64> {
        self.main.filter(|_| self.count > 0).map(|main| main * self.count - self.sum)
    }
}

impl<'a> Facts<'a> {
    fn of(comparison: &'a Comparison) -> Facts<'a> {
        let gaps = |gap: fn(&crate::rollup::compare::Pair) -> &Gap| {
            comparison.competitors.iter().map(move |pair| gap(pair).gap)
        };
        Facts {
            comparison,
            currency: comparison.main.currency.as_deref().and_then(|code| code.parse().ok()),
            price: Side::of(comparison.main.price_minor, gaps(|pair| &pair.price)),
            rating: Side::of(comparison.main.rating_centi, gaps(|pair| &pair.rating)),
        }
    }

    /// True when no competitor is dearer and at least one is cheaper.
    fn is_dearest(&self) -> bool {
        let market = &self.comparison.market;
        market.dearer_competitors == 0 && market.cheaper_competitors > 0
    }

    fn overall(&self) -> Option<f64> {
        self.comparison.scores.overall
    }

    fn money(&self, minor: f64) -> String {
        match self.currency {
            Some(currency) => format!("{} {currency}", format::mean_amount(minor, currency)),
            None => format::UNKNOWN.to_owned(),
        }
    }

    fn mean_competitor_price(&self) -> String {
        self.money(self.price.sum as f64 / self.price.count as f64)
    }

    fn mean_competitor_rating(&self) -> String {
        format::stars(format::round_half_away(self.rating.sum as f64 / self.rating.count as f64))
    }
}

fn executive_summary(facts: &Facts<'_>) -> Vec<String> {
    let comparison = facts.comparison;
    let (scores, main) = (&comparison.scores, &comparison.main);
    let name = format::product_name(&main.label, main.title.as_deref(), &main.asin);
    let shown = |score: Option<f64>| score.map_or_else(|| format::UNKNOWN.to_owned(), one_decimal);
    let position = match scores.overall {
        Some(overall) => format!(
            "{name} is in {} position: overall score {} of 100 (price {}, quality {}, popularity {}).",
            with_article(Outlook::of(overall).words()),
            one_decimal(overall),
            shown(scores.price),
            shown(scores.quality),
            shown(scores.popularity),
        ),
        None => format!("The position of {name} is unknown: none of its scores could be computed."),
    };
    let market = &comparison.market;
    let basis = format!(
        "Compared with {}, {} of them with data of the last seven days; confidence is {}, completeness {}.",
        count_of(market.competitors as i64, "competitor"),
        format::integer(market.competitors_valued as i64),
        comparison.confidence.as_str(),
        format::share(comparison.completeness),
    );
    [Some(position), price_sentence(facts), rank_sentence(comparison), rating_sentence(facts), Some(basis)]
        .into_iter()
        .flatten()
        .collect()
}

fn with_article(words: &str) -> String {
    let article = if words.starts_with('e') { "an" } else { "a" };
    format!("{article} {words}")
}

fn price_sentence(facts: &Facts<'_>) -> Option<String> {
    let distance = facts.price.scaled_distance()?;
    let price = facts.money(facts.price.main? as f64);
    let index = one_decimal(facts.comparison.market.price_index?);
    let (cheaper, dearer) = (
        facts.comparison.market.cheaper_competitors as i64,
        facts.comparison.market.dearer_competitors as i64,
    );
    let beside = match distance {
        0 => "exactly the competitors' mean".to_owned(),
        1.. => format!("above the competitors' mean of {}", facts.mean_competitor_price()),
        _ => format!("below the competitors' mean of {}", facts.mean_competitor_price()),
    };
    Some(format!(
        "Its price of {price} is {beside} (price index {index}); of {} with a comparable price {cheaper} {} cheaper, \
         {dearer} dearer.",
        count_of(facts.price.count, "competitor"),
        if cheaper == 1 { "is" } else { "are" },
    ))
}

fn rank_sentence(comparison: &Comparison) -> Option<String> {
    let main = &comparison.main;
    let (rank, category) = (main.bsr?, main.bsr_category.as_deref()?);
    let place = &comparison.market.bsr_position;
    let beside = match (place.position, place.of) {
        (Some(position), 2..) => format!(", position {position} of {} there", place.of),
        _ => ", where no competitor is ranked".to_owned(),
    };
    Some(format!("It ranks {} in {}{beside}.", format::rank(rank), format::plain_line(category)))
}

fn rating_sentence(facts: &Facts<'_>) -> Option<String> {
    let distance = facts.rating.scaled_distance()?;
    let beside = match distance {
        0 => "equal to",
        1.. => "above",
        _ => "below",
    };
    Some(format!(
        "Its rating of {} stars is {beside} the competitors' mean of {}.",
        format::stars(facts.rating.main?),
        facts.mean_competitor_rating()
    ))
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

fn market_insights(comparison: &Comparison) -> MarketInsights {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::compare::{Better, Comparison, Market, MemberValue, Pair, Reason, Scores};

    fn member(price: Option<i64>, rating: Option<i64>) -> MemberValue {
        MemberValue {
            marketplace: "US".into(),
            asin: "B000000001".into(),
            title: Some("Main".into()),
            label: String::new(),
            day: None,
            currency: Some("USD".into()),
            price_minor: price,
            price: None,
            price_basis: None,
            availability: None,
            bsr: None,
            bsr_category: None,
            bsr_leaf: None,
            bsr_leaf_category: None,
            rating_centi: rating,
            ratings_count: None,
            seller_name: None,
            observed_days: 30,
            price_series: Vec::new(),
            bsr_series: Vec::new(),
        }
    }

    fn gap(gap: Option<i64>) -> Gap {
        let reason = if gap.is_none() { Some(Reason::CompetitorMissing) } else { None };
        Gap { gap, pct: None, better: gap.map(|_| Better::Equal), reason }
    }

    /// A main product of these values among competitors of these.
    fn comparison(main: (Option<i64>, Option<i64>), others: &[(Option<i64>, Option<i64>)]) -> Comparison {
        let distance =
            |ours: Option<i64>, theirs: Option<i64>| ours.zip(theirs).map(|(ours, theirs)| ours - theirs);
        let pairs: Vec<Pair> = others
            .iter()
            .map(|(price, rating)| Pair {
                value: member(*price, *rating),
                price: gap(distance(main.0, *price)),
                bsr: gap(None),
                bsr_leaf: gap(None),
                rating: gap(distance(main.1, *rating)),
                ratings_count: gap(None),
            })
            .collect();
        let count = |holds: fn(i64) -> bool| {
            pairs.iter().filter_map(|pair| pair.price.gap).filter(|gap| holds(*gap)).count()
        };
        Comparison {
            cohort: None,
            as_of: "2026-05-03".parse().unwrap(),
            window_days: 30,
            main: member(main.0, main.1),
            scores: Scores {
                price: None,
                quality: None,
                popularity: None,
                popularity_on: None,
                overall: None,
            },
            market: Market {
                competitors: pairs.len(),
                competitors_valued: pairs.len(),
                price_index: main.0.map(|_| 100.0),
                cheaper_competitors: count(|gap| gap > 0),
                dearer_competitors: count(|gap| gap < 0),
                price_spread: None,
                mean_price_minor: None,
                min_price_minor: None,
                max_price_minor: None,
                mean_rating_centi: None,
                best_rank_share: None,
                price_position: Position::default(),
                bsr_position: Position::default(),
                rating_position: Position::default(),
                ratings_count_position: Position::default(),
            },
            competitors: pairs,
            completeness: 0.9,
            confidence: Confidence::High,
        }
    }

    fn with_overall(overall: Option<f64>) -> Comparison {
        let mut comparison = comparison((None, None), &[]);
        comparison.scores.overall = overall;
        comparison
    }

    fn codes(comparison: &Comparison) -> Vec<PointCode> {
        let swot = structured(comparison).swot;
        let groups = [swot.strengths, swot.weaknesses, swot.opportunities, swot.threats];
        groups.into_iter().flatten().map(|point| point.code).collect()
    }

    fn advice(comparison: &Comparison) -> Vec<(RecommendationKind, Priority)> {
        structured(comparison).recommendations.iter().map(|advice| (advice.kind, advice.priority)).collect()
    }

    #[test]
    fn the_overall_score_becomes_a_word_at_its_exact_boundaries() {
        for (overall, outlook) in [
            (80.0, Outlook::ExceptionallyStrong),
            (79.999, Outlook::Competitive),
            (60.0, Outlook::Competitive),
            (59.999, Outlook::Moderate),
            (40.0, Outlook::Moderate),
            (39.999, Outlook::Challenging),
        ] {
            assert_eq!(structured(&with_overall(Some(overall))).outlook, Some(outlook), "{overall}");
        }
        assert_eq!(structured(&with_overall(None)).outlook, None);
    }

    #[test]
    fn overall_is_a_strength_above_70_a_threat_below_40_and_asks_for_strategy_below_50() {
        assert_eq!(codes(&with_overall(Some(70.0))), []);
        assert_eq!(codes(&with_overall(Some(70.001))), [PointCode::StrongOverall]);
        assert_eq!(codes(&with_overall(Some(40.0))), []);
        assert_eq!(codes(&with_overall(Some(39.999))), [PointCode::WeakOverall]);
        assert_eq!(advice(&with_overall(Some(50.0))), []);
        assert_eq!(advice(&with_overall(Some(49.999))), [(RecommendationKind::Strategy, Priority::High)]);
    }

    #[test]
    fn a_price_at_the_mean_is_a_strength_and_one_unit_above_is_not() {
        let others = [(Some(1000), None), (Some(2000), None)];
        assert_eq!(codes(&comparison((Some(1500), None), &others)), [PointCode::PriceAtOrBelowMean]);
        assert_eq!(codes(&comparison((Some(1501), None), &others)), []);
    }

    #[test]
    fn the_dearest_product_has_a_weakness_and_a_pricing_recommendation() {
        let others = [(Some(1000), None), (Some(2000), None)];
        let dearest = comparison((Some(2001), None), &others);
        assert_eq!(codes(&dearest), [PointCode::Dearest]);
        assert_eq!(advice(&dearest), [(RecommendationKind::Pricing, Priority::High)]);
        // As dear as the dearest, with a cheaper one beside them.
        assert_eq!(codes(&comparison((Some(2000), None), &others)), [PointCode::Dearest]);
        // All alike: nobody is the dearest.
        assert_eq!(advice(&comparison((Some(1000), None), &[(Some(1000), None)])), []);
    }

    #[test]
    fn a_rating_at_the_mean_is_a_strength_without_being_an_advantage() {
        let others = [(None, Some(400)), (None, Some(420))];
        let quality = [(RecommendationKind::Quality, Priority::Medium)];
        let at = comparison((None, Some(410)), &others);
        assert_eq!((codes(&at), advice(&at)), (vec![PointCode::RatingAtOrAboveMean], quality.to_vec()));
        let above = comparison((None, Some(411)), &others);
        assert_eq!((codes(&above), advice(&above)), (vec![PointCode::RatingAtOrAboveMean], vec![]));
        let below = comparison((None, Some(409)), &others);
        assert_eq!((codes(&below), advice(&below)), (vec![PointCode::RatingBelowMean], quality.to_vec()));
    }

    #[test]
    fn what_is_unknown_fires_no_rule() {
        for unknown in [
            comparison((None, None), &[(Some(1000), Some(400))]),
            comparison((Some(1000), Some(400)), &[(None, None)]),
            comparison((Some(1000), Some(400)), &[]),
        ] {
            assert_eq!((codes(&unknown), advice(&unknown)), (vec![], vec![]));
            let insights = structured(&unknown).market_insights;
            assert_eq!((insights.volatility, insights.structure), (None, None));
        }
    }

    #[test]
    fn spread_and_competitors_describe_the_market_at_exact_boundaries() {
        let market = |spread: f64, competitors: usize| {
            let mut comparison = with_overall(None);
            comparison.market.price_spread = Some(spread);
            comparison.market.competitors = competitors;
            let insights = structured(&comparison).market_insights;
            (insights.volatility.unwrap(), insights.structure.unwrap(), insights.intensity)
        };
        assert_eq!(market(0.2, 5), (Volatility::Low, Structure::Consolidated, Intensity::Limited));
        assert_eq!(market(0.201, 6), (Volatility::Moderate, Structure::Consolidated, Intensity::Intense));
        assert_eq!(market(0.3, 6), (Volatility::Moderate, Structure::Consolidated, Intensity::Intense));
        assert_eq!(market(0.301, 6).1, Structure::Fragmented);
        assert_eq!(market(0.5, 6).0, Volatility::Moderate);
        assert_eq!(market(0.501, 6).0, Volatility::High);
    }

    #[test]
    fn leadership_needs_more_than_its_mark() {
        let leads = |popularity, quality, price| {
            let mut comparison = with_overall(None);
            comparison.scores.popularity = Some(popularity);
            comparison.scores.quality = Some(quality);
            comparison.scores.price = Some(price);
            structured(&comparison).market_insights.leadership
        };
        assert_eq!(leads(70.0, 80.0, 80.0), []);
        assert_eq!(leads(70.1, 80.1, 80.1), [Leadership::Popularity, Leadership::Quality, Leadership::Price]);
    }

    #[test]
    fn the_summary_reads_as_sentences() {
        let mut comparison =
            comparison((Some(2000), Some(450)), &[(Some(2500), Some(400)), (Some(1900), None)]);
        comparison.scores.overall = Some(61.25);
        comparison.scores.quality = Some(90.0);
        let summary = structured(&comparison).executive_summary;
        assert_eq!(
            summary,
            [
                "Main is in a competitive position: overall score 61.3 of 100 (price unknown, quality 90.0, popularity \
                 unknown).",
                "Its price of 20.00 USD is below the competitors' mean of 22.00 USD (price index 100.0); of 2 \
                 competitors with a comparable price 1 is cheaper, 1 dearer.",
                "Its rating of 4.5 stars is above the competitors' mean of 4.0.",
                "Compared with 2 competitors, 2 of them with data of the last seven days; confidence is high, \
                 completeness 90.0 %.",
            ]
        );
    }
}
