//! The executive summary: a few sentences to read first.

use super::facts::Facts;
use super::report::Outlook;
use crate::render::format::{self, count_of, one_decimal};
use crate::rollup::compare::Comparison;

pub(super) fn executive_summary(facts: &Facts<'_>) -> Vec<String> {
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
    let compared =
        compared(count_of(facts.price.count, "competitor"), facts.price.count == 1, cheaper, dearer);
    Some(format!("Its price of {price} is {beside} (price index {index}); {compared}."))
}

/// How the competitors with a comparable price are spread around the main's.
fn compared(competitors: String, is_one: bool, cheaper: i64, dearer: i64) -> String {
    let number = |count: i64| if count == 0 { "none".to_owned() } else { count.to_string() };
    match (cheaper, dearer) {
        (1, _) if is_one => "the only competitor with a comparable price is cheaper".to_owned(),
        (_, 1) if is_one => "the only competitor with a comparable price is dearer".to_owned(),
        _ if is_one => "the only competitor with a comparable price asks the same".to_owned(),
        _ => format!(
            "of {competitors} with a comparable price {} {} cheaper, {} dearer",
            number(cheaper),
            if cheaper <= 1 { "is" } else { "are" },
            number(dearer)
        ),
    }
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
