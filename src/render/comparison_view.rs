//! The parts of a report that come from the comparison: scores, competitors, SWOT.

use super::format::{self, UNKNOWN, one_decimal, or_unknown, plain_line, spoken};
use super::history_view;
use super::spark::Up;

use super::view::{
    Block, Card, CardExtra, Cell, Fact, PointGroup, Row, Section, Table, Tone, View, figures, words,
};
use crate::model::Currency;
use crate::narrate::{Point, StructuredReport, structured};
use crate::rollup::compare::{Better, Comparison, Confidence, Gap, MemberValue, Pair};

pub(super) fn scores_section(comparison: &Comparison, narrative: &StructuredReport) -> Section {
    let scores = &comparison.scores;
    let market = &comparison.market;
    let on = match scores.popularity_on.as_deref() {
        Some("bsr_leaf") => "by rank in the leaf category",
        Some(_) => "by rank in the main category",
        None => "no competitor ranked in the same category",
    };
    let price_detail =
        if scores.price.is_some() { "against the mean competitor price" } else { "no comparable price" };
    let quality_detail =
        if scores.quality.is_some() { "rating as percent of five stars" } else { "no rating known" };
    let outlook = narrative.outlook.map_or("no score could be computed", |outlook| outlook.words());
    let index = Card {
        label: "Price index",
        value: or_unknown(market.price_index.map(one_decimal)),
        unit: String::new(),
        detail: "100 = mean competitor price".to_owned(),
        tone: Tone::Neutral,
        extra: CardExtra::None,
    };
    let confidence = Card {
        label: "Confidence",
        value: comparison.confidence.as_str().to_owned(),
        unit: String::new(),
        detail: format!(
            "completeness {}; {} of {} competitors with data",
            format::share(comparison.completeness),
            market.competitors_valued,
            market.competitors
        ),
        tone: if comparison.confidence == Confidence::Low { Tone::Bad } else { Tone::Neutral },
        extra: CardExtra::None,
    };
    let cards = vec![
        score_card("Overall", scores.overall, outlook),
        score_card("Price", scores.price, price_detail),
        score_card("Quality", scores.quality, quality_detail),
        score_card("Popularity", scores.popularity, on),
        index,
        confidence,
    ];
    Section { id: "scores", heading: "Scores", blocks: vec![Block::Cards(cards)], detail: false }
}

fn score_card(label: &'static str, score: Option<f64>, detail: &str) -> Card {
    Card {
        label,
        value: or_unknown(score.map(one_decimal)),
        unit: if score.is_some() { "of 100".to_owned() } else { String::new() },
        detail: detail.to_owned(),
        tone: Tone::Neutral,
        extra: CardExtra::Score(score),
    }
}

/// Main and competitors side by side; under each value the gap (main - competitor) and who is better.
pub(super) fn competitors_section(comparison: &Comparison, currency: Currency) -> Section {
    let main = &comparison.main;
    let mut rows = vec![Row {
        cells: vec![
            name_cell(main, "main product"),
            Cell::new(price_text(main)),
            Cell::new(rank_text(main)),
            Cell::new(or_unknown(main.rating_centi.map(format::stars))),
            Cell::new(or_unknown(main.ratings_count.map(format::integer))),
            Cell::new(stock_text(main)),
            price_spark(main),
        ],
        emphasis: true,
    }];
    rows.extend(comparison.competitors.iter().map(|pair| pair_row(pair, main, currency)));
    let table = Table {
        caption:
            "Main product and competitors; under each value the gap, main minus competitor, and how main does"
                .to_owned(),
        columns: vec![
            words("Product"),
            figures("Price"),
            figures("Main rank"),
            figures("Rating"),
            figures("Ratings"),
            words("Stock"),
            words("Price trend"),
        ],
        rows,
        empty: "",
    };
    Section { id: "competitors", heading: "Competitors", blocks: vec![Block::Table(table)], detail: false }
}

fn name_cell(member: &MemberValue, role: &str) -> Cell {
    let key = format!("{}:{}", member.marketplace, member.asin);
    let sub = if role.is_empty() { key } else { format!("{key}, {role}") };
    Cell::new(format::product_name(&member.label, member.title.as_deref(), &member.asin)).sub(sub)
}

fn price_text(member: &MemberValue) -> String {
    or_unknown(member.price.as_ref().map(|price| format::money(price.0.minor, price.0.currency)))
}

fn rank_text(member: &MemberValue) -> String {
    or_unknown(member.bsr.map(format::rank))
}

fn stock_text(member: &MemberValue) -> String {
    or_unknown(member.availability.as_deref().map(spoken))
}

fn price_spark(member: &MemberValue) -> Cell {
    Cell::spark(&member.price_series, Up::Large, format!("Price over {} days", member.price_series.len()))
}

/// How the main product does against a competitor.
const AHEAD: (&str, &str) = ("ahead", "behind");

fn pair_row(pair: &Pair, main: &MemberValue, currency: Currency) -> Row {
    let value = &pair.value;
    let rank_gap = match (&value.bsr_category, &main.bsr_category) {
        (Some(theirs), Some(ours)) if pair.bsr.gap.is_none() && theirs != ours => {
            format!("in {}", format::truncated(&plain_line(theirs), 24))
        }
        _ => gap_text(&pair.bsr, AHEAD, format::signed_integer),
    };
    let cells = vec![
        name_cell(value, ""),
        Cell::new(price_text(value))
            .sub(gap_text(&pair.price, ("cheaper", "dearer"), |gap| format::signed_amount(gap, currency))),
        Cell::new(rank_text(value)).sub(rank_gap),
        Cell::new(or_unknown(value.rating_centi.map(format::stars))).sub(gap_text(
            &pair.rating,
            AHEAD,
            format::signed_stars,
        )),
        Cell::new(or_unknown(value.ratings_count.map(format::integer))).sub(gap_text(
            &pair.ratings_count,
            AHEAD,
            format::signed_integer,
        )),
        Cell::new(stock_text(value)).sub(match value.day {
            Some(day) if main.day != Some(day) => format!("on {day}"),
            _ => String::new(),
        }),
        price_spark(value),
    ];
    Row { cells, emphasis: false }
}

/// The gap and how the main product does by it, in the words that fit the dimension.
fn gap_text(gap: &Gap, (better, worse): (&str, &str), text: impl Fn(i64) -> String) -> String {
    match (gap.gap, gap.better, gap.reason) {
        (Some(_), Some(Better::Equal), _) => "equal".to_owned(),
        (Some(gap), Some(Better::Main), _) => format!("{} {better}", text(gap)),
        (Some(gap), Some(Better::Competitor), _) => format!("{} {worse}", text(gap)),
        (_, _, Some(reason)) => format!("gap unknown: {}", reason.words()),
        _ => UNKNOWN.to_owned(),
    }
}

/// The page of a comparison alone: scores, members over one another, standing.
pub(super) fn comparison_view(comparison: &Comparison) -> View {
    let main = &comparison.main;
    let narrative = structured(comparison);
    let name = format::product_name(&main.label, main.title.as_deref(), &main.asin);
    let mut facts = vec![Fact::new("Main product", format!("{}:{}", main.marketplace, main.asin))];
    if let Some(cohort) = &comparison.cohort {
        facts.push(Fact::new("Cohort", plain_line(cohort)));
    }
    facts.push(Fact::new("As of", format::long_day(comparison.as_of)));
    let mut sections = vec![
        Section {
            id: "summary",
            heading: "Executive summary",
            blocks: vec![Block::Text(narrative.executive_summary.clone())],
            detail: false,
        },
        scores_section(comparison, &narrative),
    ];
    if let Some(currency) = main.currency.as_deref().and_then(|code| code.parse().ok()) {
        sections.push(history_view::members_section(comparison, currency));
        sections.push(competitors_section(comparison, currency));
    }
    sections.push(standing_section(&narrative));
    let colophon = vec![
        "Gaps are main minus competitor. Scores run from 0 to 100 and use only competitors with a known value in the \
         same currency or category. Unknown means that no source said so."
            .to_owned(),
    ];
    View { kind: "Comparison", title: format!("{name} and its competitors"), facts, sections, colophon }
}

/// Positioning, SWOT, differentiation and market insights.
pub(super) fn standing_section(narrative: &StructuredReport) -> Section {
    let texts = |points: &[Point]| points.iter().map(|point| point.text.clone()).collect();
    let group =
        |heading, sign, points: &[Point], empty| PointGroup { heading, sign, items: texts(points), empty };
    let swot = &narrative.swot;
    let positions = narrative.positioning.iter().map(|placing| {
        let percentile = placing.percentile.map(|percentile| format!("{} %", one_decimal(percentile)));
        Row {
            cells: vec![
                Cell::new(match placing.dimension {
                    "bsr" => "Main rank",
                    "rating" => "Rating",
                    "ratings_count" => "Number of ratings",
                    _ => "Price",
                }),
                Cell::new(placing.text.clone()),
                Cell::new(or_unknown(percentile)),
            ],
            emphasis: false,
        }
    });
    let positions = Table {
        caption: "Position of the main product among all members".to_owned(),
        columns: vec![words("Dimension"), words("Position"), figures("Better than")],
        rows: positions.collect(),
        empty: "",
    };
    let blocks = vec![
        Block::Table(positions),
        Block::Points(vec![
            group("Strengths", "+", &swot.strengths, "None found by the rules."),
            group("Weaknesses", "−", &swot.weaknesses, "None found by the rules."),
            group("Opportunities", "↗", &swot.opportunities, "None found by the rules."),
            group("Threats", "!", &swot.threats, "None found by the rules."),
        ]),
        Block::Points(vec![
            PointGroup {
                heading: "Differentiation",
                sign: "≠",
                items: narrative.differentiation.text.clone(),
                empty: "",
            },
            PointGroup {
                heading: "Market",
                sign: "≈",
                items: narrative.market_insights.text.clone(),
                empty: "",
            },
        ]),
        Block::List(metadata(narrative)),
    ];
    Section { id: "standing", heading: "Standing", blocks, detail: true }
}

fn metadata(narrative: &StructuredReport) -> Vec<String> {
    let metadata = &narrative.metadata;
    vec![format!(
        "By the rules {}: {} compared, {} with data; completeness {}, confidence {}.",
        metadata.rules,
        format::count_of(metadata.competitors as i64, "competitor"),
        metadata.competitors_valued,
        format::share(metadata.completeness),
        metadata.confidence.as_str(),
    )]
}
