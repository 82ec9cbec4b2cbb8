use super::*;
use crate::rollup::compare::{
    Better, Comparison, Confidence, Gap, Market, MemberValue, Pair, Position, Reason, Scores,
};

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
        scores: Scores { price: None, quality: None, popularity: None, popularity_on: None, overall: None },
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
fn the_only_competitor_is_not_counted() {
    let price = |main: i64, others: &[(Option<i64>, Option<i64>)]| {
        let summary = structured(&comparison((Some(main), None), others)).executive_summary;
        let sentence = summary.into_iter().find(|sentence| sentence.starts_with("Its price")).unwrap();
        sentence.split("; ").last().unwrap().to_owned()
    };
    let one = "the only competitor with a comparable price";
    assert_eq!(price(2000, &[(Some(2500), None)]), format!("{one} is dearer."));
    assert_eq!(price(2000, &[(Some(1500), None)]), format!("{one} is cheaper."));
    assert_eq!(price(2000, &[(Some(2000), None)]), format!("{one} asks the same."));
    assert_eq!(
        price(2000, &[(Some(2500), None), (Some(2600), None)]),
        "of 2 competitors with a comparable price none is cheaper, 2 dearer."
    );
}

#[test]
fn the_summary_reads_as_sentences() {
    let mut comparison = comparison((Some(2000), Some(450)), &[(Some(2500), Some(400)), (Some(1900), None)]);
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
