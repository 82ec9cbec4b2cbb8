//! A comparison as a terminal table and as plain rows, one per competitor.

use unicode_width::UnicodeWidthStr as _;

use super::format::{
    UNKNOWN, amount, one_decimal, plain_line, rank, signed_amount, signed_integer, spoken, stars, truncated,
};
use super::rows::{Cell, Format, Rows, render};
use super::spark::{Up, condensed, sparkline};
use crate::model::Currency;
use crate::rollup::compare::{Better, Comparison, Gap, MemberValue, Pair, Reason};

/// Columns of a sparkline in the table.
const SPARK_COLUMNS: usize = 8;

/// Columns of the names before the scores.
const TOPIC_COLUMNS: usize = 12;
const PART_GAP: &str = "   ";

/// The columns of [`rows`], and of `export comparisons`.
pub const COLUMNS: [&str; 40] = [
    "cohort",
    "as_of",
    "main_marketplace",
    "main_asin",
    "marketplace",
    "asin",
    "label",
    "title",
    "day",
    "currency",
    "main_price_minor",
    "price_minor",
    "price_gap_minor",
    "price_gap_pct",
    "price_better",
    "price_reason",
    "main_bsr",
    "bsr_gap",
    "bsr_better",
    "bsr_reason",
    "main_bsr_leaf",
    "bsr_leaf_gap",
    "bsr_leaf_better",
    "bsr_leaf_reason",
    "rating_centi",
    "rating_gap_centi",
    "rating_better",
    "rating_reason",
    "ratings_count",
    "ratings_count_gap",
    "ratings_count_better",
    "ratings_count_reason",
    "availability",
    "price_score",
    "quality_score",
    "popularity_score",
    "overall_score",
    "price_index",
    "confidence",
    "completeness",
];

/// One row per competitor, gaps as main - competitor, for csv, tsv, ndjson and markdown.
pub fn rows(comparison: &Comparison) -> Rows {
    let mut rows = Rows::new("amzctl.compare/1", &COLUMNS);
    for pair in &comparison.competitors {
        rows.push(row(comparison, pair));
    }
    rows
}

fn row(comparison: &Comparison, pair: &Pair) -> Vec<Cell> {
    let (main, other, scores) = (&comparison.main, &pair.value, &comparison.scores);
    let better = |gap: &Gap| Cell::from(gap.better.map(better_word));
    let reason = |gap: &Gap| Cell::from(gap.reason.map(Reason::as_str));
    vec![
        comparison.cohort.clone().into(),
        comparison.as_of.into(),
        (&main.marketplace).into(),
        (&main.asin).into(),
        (&other.marketplace).into(),
        (&other.asin).into(),
        (&other.label).into(),
        other.title.clone().into(),
        other.day.into(),
        other.currency.clone().into(),
        main.price_minor.into(),
        other.price_minor.into(),
        pair.price.gap.into(),
        pair.price.pct.into(),
        better(&pair.price),
        reason(&pair.price),
        main.bsr.into(),
        pair.bsr.gap.into(),
        better(&pair.bsr),
        reason(&pair.bsr),
        main.bsr_leaf.into(),
        pair.bsr_leaf.gap.into(),
        better(&pair.bsr_leaf),
        reason(&pair.bsr_leaf),
        other.rating_centi.into(),
        pair.rating.gap.into(),
        better(&pair.rating),
        reason(&pair.rating),
        other.ratings_count.into(),
        pair.ratings_count.gap.into(),
        better(&pair.ratings_count),
        reason(&pair.ratings_count),
        other.availability.clone().into(),
        scores.price.into(),
        scores.quality.into(),
        scores.popularity.into(),
        scores.overall.into(),
        comparison.market.price_index.into(),
        comparison.confidence.as_str().into(),
        comparison.completeness.into(),
    ]
}

fn better_word(better: Better) -> &'static str {
    match better {
        Better::Main => "main",
        Better::Competitor => "competitor",
        Better::Equal => "equal",
    }
}

/// The comparison for a terminal: scores, one line a member, and what the main product's place is.
///
/// Who is better is said in words of the main product: `cheaper`, `ahead`, `better`.
pub fn terminal(comparison: &Comparison, width: usize) -> anyhow::Result<String> {
    let main = &comparison.main;
    let title = main.title.as_deref().map_or("title unknown".to_owned(), plain_line);
    let name = comparison.cohort.as_ref().map_or(String::new(), |name| format!("cohort {name}, "));
    let mut text = truncated(&format!("{}:{}  {title}", main.marketplace, main.asin), width);
    text.push_str(&format!(
        "\n{name}as of {}, {} days{}\n\n",
        comparison.as_of,
        comparison.window_days,
        main.currency.as_ref().map_or(String::new(), |code| format!(", prices in {code}"))
    ));
    text.push_str(&score_lines(comparison, width));
    text.push('\n');

    let mut table = Rows::new(
        "",
        &["", "product", "price", "main is", "trend", "rank", "main is ", "rating", "ratings", "stock"],
    )
    .expendable(&["ratings", "stock", "trend"]);
    table.push(member_line("main", main, main, None));
    for pair in &comparison.competitors {
        let label = if pair.value.label.is_empty() { "rival" } else { &pair.value.label };
        table.push(member_line(label, &pair.value, main, Some(pair)));
    }
    text.push_str(&render(&table, Format::Table, None, width)?);
    Ok(text)
}

/// What the comparison as a whole says, a line a topic; what does not fit goes on below, behind the topic's name.
fn score_lines(comparison: &Comparison, width: usize) -> String {
    let mut text = String::new();
    for (topic, parts) in topics(comparison) {
        let mut line = format!("{topic:<TOPIC_COLUMNS$}");
        let mut is_first = true;
        for part in parts {
            if !is_first && line.width() + PART_GAP.len() + part.width() > width {
                text += &format!("{line}\n");
                line = " ".repeat(TOPIC_COLUMNS);
                is_first = true;
            }
            line += &format!("{}{part}", if is_first { "" } else { PART_GAP });
            is_first = false;
        }
        text += &format!("{line}\n");
    }
    text
}

fn topics(comparison: &Comparison) -> [(&'static str, Vec<String>); 4] {
    let scores = &comparison.scores;
    let market = &comparison.market;
    let shown = |score: Option<f64>| score.map_or(UNKNOWN.to_owned(), one_decimal);
    let share = |share: Option<f64>| share.map_or(UNKNOWN.to_owned(), super::format::share);
    let on =
        scores.popularity_on.as_deref().filter(|on| *on == "bsr_leaf").map_or("", |_| " (leaf category)");
    let place = |position: &crate::rollup::compare::Position| match position.position {
        Some(place) => format!("{place} of {}", position.of),
        None => UNKNOWN.to_owned(),
    };
    let scored = vec![
        format!("overall {}", shown(scores.overall)),
        format!("price {}", shown(scores.price)),
        format!("quality {}", shown(scores.quality)),
        format!("popularity {}{on}", shown(scores.popularity)),
    ];
    let price = vec![
        format!("index {}", shown(market.price_index)),
        format!("position {}", place(&market.price_position)),
        format!("{} cheaper, {} dearer", market.cheaper_competitors, market.dearer_competitors),
        format!("spread {}", share(market.price_spread)),
    ];
    let position = vec![
        format!("rank {}", place(&market.bsr_position)),
        format!("rating {}", place(&market.rating_position)),
        format!("ratings {}", place(&market.ratings_count_position)),
        match market.best_rank_share {
            Some(_) => format!("best rank on {} of days", share(market.best_rank_share)),
            None => "best rank on an unknown share of days".to_owned(),
        },
    ];
    let confidence = vec![
        comparison.confidence.as_str().to_owned(),
        format!("completeness {}", super::format::share(comparison.completeness)),
        format!("{} of {} rivals seen in the last 7 days", market.competitors_valued, market.competitors),
    ];
    [("scores", scored), ("price", price), ("position", position), ("confidence", confidence)]
}

fn member_line(label: &str, member: &MemberValue, main: &MemberValue, pair: Option<&Pair>) -> Vec<Cell> {
    let currency = member.currency.as_deref().and_then(|code| code.parse::<Currency>().ok());
    let unknown = || UNKNOWN.to_owned();
    let price = member.price_minor.zip(currency).map(|(minor, currency)| {
        let code = if member.currency == main.currency { "" } else { &format!(" {currency}") };
        format!("{}{code}", amount(minor, currency))
    });
    let rank_text =
        member.bsr.map(rank).or_else(|| member.bsr_leaf.map(|leaf| format!("{} leaf", rank(leaf))));
    let product = if member.marketplace == main.marketplace {
        member.asin.clone()
    } else {
        format!("{}:{}", member.marketplace, member.asin)
    };
    vec![
        label.into(),
        product.into(),
        price.unwrap_or_else(unknown).into(),
        pair.map(|pair| price_gap(pair, currency)).unwrap_or_default().into(),
        sparkline(&condensed(&member.price_series, SPARK_COLUMNS), Up::Large).into(),
        rank_text.unwrap_or_else(unknown).into(),
        pair.map(rank_gap).unwrap_or_default().into(),
        member.rating_centi.map_or_else(unknown, stars).into(),
        member.ratings_count.map_or_else(unknown, super::format::integer).into(),
        member.availability.as_deref().map_or_else(unknown, spoken).into(),
    ]
}

fn price_gap(pair: &Pair, currency: Option<Currency>) -> String {
    let shown = |gap| currency.map_or_else(|| signed_integer(gap), |currency| signed_amount(gap, currency));
    gap_words(&pair.price, shown, ["cheaper", "dearer"])
}

/// In the main category, or, where that gives no gap, in the leaf category.
fn rank_gap(pair: &Pair) -> String {
    let gap = [&pair.bsr, &pair.bsr_leaf].into_iter().find(|gap| gap.gap.is_some()).unwrap_or(&pair.bsr);
    gap_words(gap, signed_integer, ["ahead", "behind"])
}

fn gap_words(gap: &Gap, shown: impl Fn(i64) -> String, [main_better, main_worse]: [&str; 2]) -> String {
    match (gap.gap, gap.better, gap.reason) {
        (Some(value), Some(Better::Main), _) => format!("{} {main_better}", shown(value)),
        (Some(value), Some(Better::Competitor), _) => format!("{} {main_worse}", shown(value)),
        (Some(_), _, _) => "equal".to_owned(),
        (None, _, Some(reason)) => reason.words().to_owned(),
        (None, _, None) => UNKNOWN.to_owned(),
    }
}
