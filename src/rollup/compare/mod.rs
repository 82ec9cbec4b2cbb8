//! Comparing one product with others: gaps, scores, positions, price index, spread, confidence, completeness.
//!
//! Pure: members and their daily rows in, one document out. Definitions: every gap is main - competitor; zero is
//! a gap, null is unknown with its reason; scores use only competitors whose value is in the main's currency or
//! category.

mod document;
mod gap;
mod scores;
#[cfg(test)]
mod tests;

use crate::model::{DailyRow, Day, DayRange, Money, ProductKey};

pub use document::{
    Better, Comparison, Confidence, Gap, Market, MemberValue, MoneyText, Pair, Position, Reason, Scores,
};
use gap::{Field, State, gap, rank_in};
use scores::{Inputs, market, scores};

/// A member's value is its newest daily row within this many days, as_of included.
const VALUE_DAYS: i32 = 7;
/// Days over which completeness counts the main product's observed days.
pub const COMPLETENESS_DAYS: i32 = 30;

/// One product to compare, with its daily rows up to `as_of`, sorted by day.
#[derive(Clone, Debug)]
pub struct Member {
    pub key: ProductKey,
    pub title: Option<String>,
    pub label: String,
    pub priority: i64,
    pub days: Vec<DailyRow>,
}

/// Compares `main` with `competitors` as of `as_of`, with series over `window_days` days.
pub fn compare(
    cohort: Option<&str>,
    as_of: Day,
    window_days: i32,
    main: &Member,
    competitors: &[Member],
) -> Comparison {
    let value_range = DayRange::window(as_of, VALUE_DAYS);
    let window = DayRange::window(as_of, window_days);
    let main_state = State::of(main, value_range);
    let states: Vec<State<'_>> = competitors.iter().map(|member| State::of(member, value_range)).collect();
    let inputs = Inputs::collect(&main_state, &states);

    let pairs = competitors
        .iter()
        .zip(&states)
        .map(|(member, state)| Pair {
            value: member_value(member, state.row, window),
            price: gap(&main_state, state, Field::Price),
            bsr: gap(&main_state, state, Field::Bsr),
            bsr_leaf: gap(&main_state, state, Field::BsrLeaf),
            rating: gap(&main_state, state, Field::Rating),
            ratings_count: gap(&main_state, state, Field::RatingsCount),
        })
        .collect();
    let valued = states.iter().filter(|state| state.row.is_some()).count();
    let completeness = completeness(&main_state, &states, main, as_of);
    Comparison {
        cohort: cohort.map(str::to_owned),
        as_of,
        window_days,
        main: member_value(main, main_state.row, window),
        competitors: pairs,
        scores: scores(&inputs),
        market: Market {
            competitors: competitors.len(),
            competitors_valued: valued,
            best_rank_share: best_rank_share(main, main_state.row, competitors, window),
            ..market(&inputs)
        },
        completeness,
        confidence: confidence(valued, completeness),
    }
}

/// Days of the window on which the main's rank is the smallest / days with at least two members ranked, all in
/// the main's category of `as_of`.
fn best_rank_share(
    main: &Member,
    main_row: Option<&DailyRow>,
    competitors: &[Member],
    window: DayRange,
) -> Option<f64> {
    let main_row = main_row?;
    let category = main_row.rank.main()?.category_ref();
    let rank_on = |member: &Member, day: Day| {
        let index = member.days.binary_search_by_key(&day, |row| row.day).ok()?;
        rank_in(&member.days[index], main_row, category)
    };
    let (mut best, mut ranked) = (0_i64, 0_i64);
    for day in window.days() {
        let of_main = rank_on(main, day);
        let of_others: Vec<i64> = competitors.iter().filter_map(|other| rank_on(other, day)).collect();
        if usize::from(of_main.is_some()) + of_others.len() < 2 {
            continue;
        }
        ranked += 1;
        if of_main.is_some_and(|main| of_others.iter().all(|&other| main <= other)) {
            best += 1;
        }
    }
    (ranked > 0).then(|| best as f64 / ranked as f64)
}

/// 0.4 * main's known fields + 0.4 * mean of the competitors' known fields + 0.2 * min(observed days / 30, 1).
fn completeness(main: &State<'_>, others: &[State<'_>], member: &Member, as_of: Day) -> f64 {
    let known = |state: &State<'_>| -> f64 {
        let Some(row) = state.row else { return 0.0 };
        let fields = [Field::Price, Field::Bsr, Field::Rating, Field::RatingsCount];
        fields.iter().filter(|field| field.of_main(row).is_some()).count() as f64 / fields.len() as f64
    };
    let of_others =
        if others.is_empty() { 0.0 } else { others.iter().map(known).sum::<f64>() / others.len() as f64 };
    let range = DayRange::window(as_of, COMPLETENESS_DAYS);
    let days = member.days.iter().filter(|row| range.contains(row.day)).count() as f64;
    0.4 * known(main) + 0.4 * of_others + 0.2 * (days / f64::from(COMPLETENESS_DAYS)).min(1.0)
}

fn confidence(valued: usize, completeness: f64) -> Confidence {
    // Tenths that are not exact in binary must not cost a product its confidence.
    let at_least = |mark: f64| completeness >= mark - 1e-9;
    match valued {
        3.. if at_least(0.8) => Confidence::High,
        1.. if at_least(0.5) => Confidence::Medium,
        _ => Confidence::Low,
    }
}

fn member_value(member: &Member, row: Option<&DailyRow>, window: DayRange) -> MemberValue {
    let on = |day: Day| member.days.binary_search_by_key(&day, |row| row.day).ok().map(|i| &member.days[i]);
    let series = |value: fn(&DailyRow) -> Option<i64>| window.days().map(|day| value(on(day)?)).collect();
    let price_minor = row.and_then(|row| row.offer.price_minor);
    MemberValue {
        marketplace: member.key.marketplace.to_string(),
        asin: member.key.asin.to_string(),
        title: member.title.clone(),
        label: member.label.clone(),
        day: row.map(|row| row.day),
        currency: row.map(|row| row.currency.to_string()),
        price_minor,
        price: row.zip(price_minor).map(|(row, minor)| MoneyText(Money { minor, currency: row.currency })),
        price_basis: row.and_then(|row| row.offer.price_basis).map(|basis| basis.to_string()),
        availability: row.map(|row| row.offer.availability.to_string()),
        bsr: row.and_then(|row| row.rank.main()).map(|rank| rank.rank),
        bsr_category: row.and_then(|row| row.rank.main()).map(|rank| rank.category.clone()),
        bsr_leaf: row.and_then(|row| row.rank.leaf()).map(|rank| rank.rank),
        bsr_leaf_category: row.and_then(|row| row.rank.leaf()).map(|rank| rank.category.clone()),
        rating_centi: row.and_then(|row| row.rating.rating_centi),
        ratings_count: row.and_then(|row| row.rating.ratings_count),
        seller_name: row.and_then(|row| row.offer.seller_name.clone()),
        observed_days: member.days.iter().filter(|row| window.contains(row.day)).count() as i64,
        price_series: series(|row| row.offer.price_minor),
        bsr_series: series(|row| row.rank.main().map(|rank| rank.rank)),
    }
}
