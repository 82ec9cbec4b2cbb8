//! Comparing one product with others: gaps, scores, positions, price index, spread, confidence, completeness.
//!
//! Pure: members and their daily rows in, one document out. Definitions: every gap is main - competitor; zero is
//! a gap, null is unknown with its reason; scores use only competitors whose value is in the main's currency or
//! category.

use serde::{Deserialize, Serialize};

use crate::model::{CategoryRef, DailyRow, Day, DayRange, Money, ProductKey, Rank, same_category};

/// A member's value is its newest daily row within this many days, as_of included.
const VALUE_DAYS: i32 = 7;
/// Days over which completeness counts the main product's observed days.
const COMPLETENESS_DAYS: i32 = 30;

/// One product to compare, with its daily rows up to `as_of`, sorted by day.
#[derive(Clone, Debug)]
pub struct Member {
    pub key: ProductKey,
    pub title: Option<String>,
    pub label: String,
    pub priority: i64,
    pub days: Vec<DailyRow>,
}

/// The whole comparison: what `compare` prints and `build-mart` stores for each cohort.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// Null for an ad-hoc comparison.
    pub cohort: Option<String>,
    pub as_of: Day,
    pub window_days: i32,
    pub main: MemberValue,
    pub competitors: Vec<Pair>,
    pub scores: Scores,
    pub market: Market,
    pub completeness: f64,
    pub confidence: Confidence,
}

/// What is known of a member at `as_of`; every field null when it has no row of the last seven days.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MemberValue {
    pub marketplace: String,
    pub asin: String,
    pub title: Option<String>,
    pub label: String,
    /// The day of the row the values come from.
    pub day: Option<Day>,
    pub currency: Option<String>,
    pub price_minor: Option<i64>,
    #[serde(skip_deserializing)]
    pub price: Option<MoneyText>,
    pub price_basis: Option<String>,
    pub availability: Option<String>,
    pub bsr: Option<i64>,
    pub bsr_category: Option<String>,
    pub bsr_leaf: Option<i64>,
    pub bsr_leaf_category: Option<String>,
    pub rating_centi: Option<i64>,
    pub ratings_count: Option<i64>,
    pub seller_name: Option<String>,
    /// Days of the window with a row.
    pub observed_days: i64,
    /// One value per day of the window, null where the day was not seen: for sparklines and charts.
    pub price_series: Vec<Option<i64>>,
    pub bsr_series: Vec<Option<i64>>,
}

/// `{"amount": "25.99", "currency": "USD"}`.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(transparent)]
pub struct MoneyText(pub Money);

/// One competitor beside the main product.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Pair {
    pub value: MemberValue,
    pub price: Gap,
    /// Of the ranks in the main product's main category.
    pub bsr: Gap,
    /// Of the ranks in the main product's leaf category.
    pub bsr_leaf: Gap,
    pub rating: Gap,
    pub ratings_count: Gap,
}

/// main - competitor in the field's own unit (minor units, ranks, hundredths of a star, counts).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Gap {
    pub gap: Option<i64>,
    /// gap * 100 / competitor.
    pub pct: Option<f64>,
    /// Who is better; null when the gap is unknown.
    pub better: Option<Better>,
    /// Why the gap is unknown.
    pub reason: Option<Reason>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    Main,
    Competitor,
    Equal,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    MainMissing,
    CompetitorMissing,
    Stale,
    CurrencyDiffers,
    CategoryDiffers,
}

impl Reason {
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::MainMissing => "main_missing",
            Reason::CompetitorMissing => "competitor_missing",
            Reason::Stale => "stale",
            Reason::CurrencyDiffers => "currency_differs",
            Reason::CategoryDiffers => "category_differs",
        }
    }

    /// A few words for people.
    pub fn words(self) -> &'static str {
        match self {
            Reason::MainMissing => "main unknown",
            Reason::CompetitorMissing => "rival unknown",
            Reason::Stale => "not seen lately",
            Reason::CurrencyDiffers => "other currency",
            Reason::CategoryDiffers => "other category",
        }
    }
}

/// 0 to 100, unrounded; null when the inputs are unknown.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Scores {
    pub price: Option<f64>,
    pub quality: Option<f64>,
    pub popularity: Option<f64>,
    /// Which rank popularity was computed on: `bsr` or `bsr_leaf`.
    pub popularity_on: Option<String>,
    /// Mean of the present ones.
    pub overall: Option<f64>,
}

/// Where the main product stands among all members.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Market {
    pub competitors: usize,
    /// Competitors with a row of the last seven days.
    pub competitors_valued: usize,
    /// 100 * main price / mean competitor price.
    pub price_index: Option<f64>,
    pub cheaper_competitors: usize,
    pub dearer_competitors: usize,
    /// (max - min) / mean of all known prices, main included.
    pub price_spread: Option<f64>,
    pub mean_price_minor: Option<f64>,
    pub min_price_minor: Option<i64>,
    pub max_price_minor: Option<i64>,
    pub mean_rating_centi: Option<f64>,
    /// Share of days on which the main's rank is the smallest of at least two in its category.
    pub best_rank_share: Option<f64>,
    pub price_position: Position,
    pub bsr_position: Position,
    pub rating_position: Position,
    pub ratings_count_position: Position,
}

/// 1 = best. Percentile: share of the others that are strictly worse.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Position {
    pub position: Option<i64>,
    pub of: i64,
    pub percentile: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    High,
    Medium,
    Low,
}

impl Confidence {
    pub fn as_str(self) -> &'static str {
        match self {
            Confidence::High => "high",
            Confidence::Medium => "medium",
            Confidence::Low => "low",
        }
    }
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

/// A member's newest row of the value range, and whether it has only older ones.
struct State<'a> {
    row: Option<&'a DailyRow>,
    stale: bool,
}

impl<'a> State<'a> {
    fn of(member: &'a Member, range: DayRange) -> State<'a> {
        let row = member.days.iter().rev().find(|row| range.contains(row.day));
        State { row, stale: row.is_none() && member.days.iter().any(|row| row.day < range.first) }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Price,
    Bsr,
    BsrLeaf,
    Rating,
    RatingsCount,
}

impl Field {
    fn lower_is_better(self) -> bool {
        matches!(self, Field::Price | Field::Bsr | Field::BsrLeaf)
    }

    /// The main product's own value.
    fn of_main(self, row: &DailyRow) -> Option<i64> {
        match self {
            Field::Price => row.offer.price_minor,
            Field::Bsr => row.rank.main().map(|rank| rank.rank),
            Field::BsrLeaf => row.rank.leaf().map(|rank| rank.rank),
            Field::Rating => row.rating.rating_centi,
            Field::RatingsCount => row.rating.ratings_count,
        }
    }

    /// The competitor's value that may be set beside the main's, or why there is none.
    fn beside(self, main: &DailyRow, other: &DailyRow) -> Result<i64, Reason> {
        let missing = Reason::CompetitorMissing;
        match self {
            Field::Price if main.currency != other.currency => Err(Reason::CurrencyDiffers),
            Field::Price => other.offer.price_minor.ok_or(missing),
            Field::Bsr => rank_in_category_of(main, main.rank.main(), other),
            Field::BsrLeaf => rank_in_category_of(main, main.rank.leaf(), other),
            Field::Rating => other.rating.rating_centi.ok_or(missing),
            Field::RatingsCount => other.rating.ratings_count.ok_or(missing),
        }
    }
}

/// The other's rank in the category of the main's rank, looked up among all its ranks of the day.
fn rank_in_category_of(main: &DailyRow, of_main: Option<&Rank>, other: &DailyRow) -> Result<i64, Reason> {
    let of_main = of_main.ok_or(Reason::MainMissing)?;
    match rank_in(other, main, of_main.category_ref()) {
        Some(rank) => Ok(rank),
        None if other.rank.ranks.is_empty() => Err(Reason::CompetitorMissing),
        None => Err(Reason::CategoryDiffers),
    }
}

/// Ranks of two marketplaces are never in the same category.
fn rank_in(row: &DailyRow, main: &DailyRow, category: CategoryRef<'_>) -> Option<i64> {
    let same = |rank: &&Rank| same_category(row.marketplace, rank.category_ref(), category);
    let mut ranks = row.rank.ranks.iter();
    if row.marketplace == main.marketplace { ranks.find(same).map(|rank| rank.rank) } else { None }
}

fn gap(main: &State<'_>, other: &State<'_>, field: Field) -> Gap {
    match values(main, other, field) {
        Err(reason) => Gap { gap: None, pct: None, better: None, reason: Some(reason) },
        Ok((of_main, of_other)) => {
            let gap = of_main - of_other;
            let better = match (gap.signum(), field.lower_is_better()) {
                (0, _) => Better::Equal,
                (-1, true) | (1, false) => Better::Main,
                _ => Better::Competitor,
            };
            let pct = (of_other != 0).then(|| (gap * 100) as f64 / of_other as f64);
            Gap { gap: Some(gap), pct, better: Some(better), reason: None }
        }
    }
}

fn values(main: &State<'_>, other: &State<'_>, field: Field) -> Result<(i64, i64), Reason> {
    let missing = |state: &State<'_>, reason| if state.stale { Reason::Stale } else { reason };
    let main_row = main.row.ok_or_else(|| missing(main, Reason::MainMissing))?;
    let other_row = other.row.ok_or_else(|| missing(other, Reason::CompetitorMissing))?;
    let of_main = field.of_main(main_row).ok_or(Reason::MainMissing)?;
    Ok((of_main, field.beside(main_row, other_row)?))
}

/// For each dimension the main's value and the competitors' values that may be set beside it.
struct Inputs {
    price: Dimension,
    bsr: Dimension,
    bsr_leaf: Dimension,
    rating: Dimension,
    ratings_count: Dimension,
}

struct Dimension {
    main: Option<i64>,
    others: Vec<i64>,
    lower_is_better: bool,
}

impl Inputs {
    fn collect(main: &State<'_>, others: &[State<'_>]) -> Inputs {
        let dimension = |field: Field| Dimension {
            main: main.row.and_then(|row| field.of_main(row)),
            others: match main.row {
                Some(row) => others.iter().filter_map(|other| field.beside(row, other.row?).ok()).collect(),
                None => Vec::new(),
            },
            lower_is_better: field.lower_is_better(),
        };
        Inputs {
            price: dimension(Field::Price),
            bsr: dimension(Field::Bsr),
            bsr_leaf: dimension(Field::BsrLeaf),
            rating: dimension(Field::Rating),
            ratings_count: dimension(Field::RatingsCount),
        }
    }
}

impl Dimension {
    /// Main value, number and sum of the competitors' values; null unless all of them exist.
    fn main_count_sum(&self) -> Option<(i64, i64, i64)> {
        let count = self.others.len() as i64;
        (count > 0).then_some((self.main?, count, self.others.iter().sum()))
    }

    fn all(&self) -> impl Iterator<Item = i64> + '_ {
        self.main.into_iter().chain(self.others.iter().copied())
    }

    fn mean(&self) -> Option<f64> {
        let n = self.all().count();
        (n > 0).then(|| self.all().sum::<i64>() as f64 / n as f64)
    }

    fn strictly_better(&self, main: i64) -> usize {
        self.others
            .iter()
            .filter(|&&other| if self.lower_is_better { other < main } else { other > main })
            .count()
    }

    fn strictly_worse(&self, main: i64) -> usize {
        self.others
            .iter()
            .filter(|&&other| if self.lower_is_better { other > main } else { other < main })
            .count()
    }

    fn position(&self) -> Position {
        let Some(main) = self.main else {
            return Position { of: self.others.len() as i64, ..Position::default() };
        };
        let others = self.others.len();
        Position {
            position: Some(1 + self.strictly_better(main) as i64),
            of: 1 + others as i64,
            percentile: (others > 0).then(|| (100 * self.strictly_worse(main)) as f64 / others as f64),
        }
    }
}

fn scores(inputs: &Inputs) -> Scores {
    let clamp = |score: f64| score.clamp(0.0, 100.0);
    let price = inputs
        .price
        .main_count_sum()
        .map(|(price, count, sum)| clamp(((2 * sum - price * count) * 50) as f64 / sum as f64));
    let popularity = |dimension: &Dimension| {
        let (rank, count, sum) = dimension.main_count_sum()?;
        Some(clamp(100.0 - (50 * rank * count) as f64 / sum as f64))
    };
    let on_bsr = popularity(&inputs.bsr).map(|score| (score, "bsr"));
    let on_leaf = || popularity(&inputs.bsr_leaf).map(|score| (score, "bsr_leaf"));
    let popular = on_bsr.or_else(on_leaf);
    let quality = inputs.rating.main.map(|rating| rating as f64 / 5.0);
    let present: Vec<f64> = [price, quality, popular.map(|(score, _)| score)].into_iter().flatten().collect();
    Scores {
        price,
        quality,
        popularity: popular.map(|(score, _)| score),
        popularity_on: popular.map(|(_, on)| on.to_owned()),
        overall: (!present.is_empty()).then(|| present.iter().sum::<f64>() / present.len() as f64),
    }
}

fn market(inputs: &Inputs) -> Market {
    let price = &inputs.price;
    let min = price.all().min();
    let max = price.all().max();
    let (n, sum) = (price.all().count() as i64, price.all().sum::<i64>());
    Market {
        competitors: 0,
        competitors_valued: 0,
        price_index: price
            .main_count_sum()
            .map(|(main, count, sum)| (100 * main * count) as f64 / sum as f64),
        cheaper_competitors: price.main.map_or(0, |main| price.strictly_better(main)),
        dearer_competitors: price.main.map_or(0, |main| price.strictly_worse(main)),
        price_spread: min
            .zip(max)
            .filter(|_| sum > 0)
            .map(|(min, max)| ((max - min) * n) as f64 / sum as f64),
        mean_price_minor: price.mean(),
        min_price_minor: min,
        max_price_minor: max,
        mean_rating_centi: inputs.rating.mean(),
        best_rank_share: None,
        price_position: price.position(),
        bsr_position: inputs.bsr.position(),
        rating_position: inputs.rating.position(),
        ratings_count_position: inputs.ratings_count.position(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Availability, OfferBlock, RankBlock, RatingBlock};

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn row(
        key: ProductKey,
        on: Day,
        price: Option<i64>,
        ranks: &[(&str, i64)],
        rating: Option<i64>,
    ) -> DailyRow {
        let ranks = ranks
            .iter()
            .enumerate()
            .map(|(i, (name, rank))| Rank {
                category_id: None,
                category: (*name).to_owned(),
                rank: *rank,
                is_main: i == 0,
            })
            .collect();
        DailyRow {
            marketplace: key.marketplace,
            asin: key.asin,
            day: on,
            observed_at: "2026-01-10T12:00:00Z".parse().unwrap(),
            currency: key.marketplace.currency(),
            offer: OfferBlock {
                price_minor: price,
                availability: Availability::InStock,
                ..OfferBlock::default()
            },
            rank: RankBlock { ranks, path_leaf: None },
            rating: RatingBlock { rating_centi: rating, ratings_count: rating.map(|_| 100) },
            monthly_sold_min: None,
            low_price_minor: price,
            high_price_minor: price,
            observations: 1,
            source: "file".into(),
            sources: "file".into(),
        }
    }

    fn member(name: &str, days: Vec<DailyRow>) -> Member {
        Member { key: key(name), title: None, label: String::new(), priority: 0, days }
    }

    fn key(name: &str) -> ProductKey {
        name.parse::<crate::model::ProductRef>().unwrap().key_or(crate::model::Marketplace::Us)
    }

    fn one(name: &str, price: Option<i64>, ranks: &[(&str, i64)], rating: Option<i64>) -> Member {
        member(name, vec![row(key(name), day("2026-01-10"), price, ranks, rating)])
    }

    const MAIN: &str = "B000000001";

    #[test]
    fn scores_follow_their_formulas() {
        // Mean competitor price 2500, main 2000: (2 - 0.8) * 50 = 60. Mean rank 400, main 100: 100 - 12.5 = 87.5.
        let main = one(MAIN, Some(2000), &[("Electronics", 100)], Some(450));
        let rivals = [
            one("B000000002", Some(2000), &[("Electronics", 300)], Some(400)),
            one("B000000003", Some(3000), &[("Electronics", 500)], None),
        ];
        let result = compare(None, day("2026-01-10"), 7, &main, &rivals);
        assert_eq!(result.scores.price, Some(60.0));
        assert_eq!(result.scores.quality, Some(90.0));
        assert_eq!(result.scores.popularity, Some(87.5));
        assert_eq!(result.scores.overall, Some((60.0 + 90.0 + 87.5) / 3.0));
        assert_eq!(result.market.price_index, Some(80.0));
        assert_eq!((result.market.cheaper_competitors, result.market.dearer_competitors), (0, 1));
        // (3000 - 2000) / (7000 / 3)
        assert_eq!(result.market.price_spread, Some(3000.0 / 7000.0));
        assert_eq!(
            result.market.price_position,
            Position { position: Some(1), of: 3, percentile: Some(50.0) }
        );
        assert_eq!(result.market.best_rank_share, Some(1.0));
        // Main 4 of 4, rivals 4 of 4 and 2 of 4, one day of thirty.
        assert!((result.completeness - (0.4 + 0.4 * 0.75 + 0.2 / 30.0)).abs() < 1e-12);
        assert_eq!(result.confidence, Confidence::Medium);
    }

    #[test]
    fn a_gap_is_main_minus_competitor_and_says_who_is_better() {
        let main = one(MAIN, Some(2000), &[("Electronics", 100)], Some(450));
        let rival = one("B000000002", Some(2500), &[("Electronics", 50)], Some(450));
        let result = compare(None, day("2026-01-10"), 7, &main, &[rival]);
        let pair = &result.competitors[0];
        assert_eq!(
            (pair.price.gap, pair.price.better, pair.price.pct),
            (Some(-500), Some(Better::Main), Some(-20.0))
        );
        assert_eq!((pair.bsr.gap, pair.bsr.better), (Some(50), Some(Better::Competitor)));
        assert_eq!((pair.rating.gap, pair.rating.better), (Some(0), Some(Better::Equal)));
    }

    #[test]
    fn a_pair_with_one_side_missing_is_kept_with_its_reason() {
        let main = one(MAIN, Some(2000), &[("Electronics", 100)], None);
        let old = member(
            "B000000002",
            vec![row(key("B000000002"), day("2026-01-03"), Some(1), &[("Electronics", 1)], Some(400))],
        );
        let unseen = member("B000000003", Vec::new());
        let elsewhere = one("DE:B000000004", Some(1500), &[("Elektronik", 7)], Some(300));
        let books = one("B000000005", None, &[("Books", 7)], None);
        let result = compare(None, day("2026-01-10"), 7, &main, &[old, unseen, elsewhere, books]);
        let reasons: Vec<_> = result
            .competitors
            .iter()
            .map(|pair| (pair.price.reason, pair.bsr.reason, pair.rating.reason))
            .collect();
        use Reason::*;
        assert_eq!(
            reasons,
            [
                (Some(Stale), Some(Stale), Some(Stale)),
                (Some(CompetitorMissing), Some(CompetitorMissing), Some(CompetitorMissing)),
                (Some(CurrencyDiffers), Some(CategoryDiffers), Some(MainMissing)),
                (Some(CompetitorMissing), Some(CategoryDiffers), Some(MainMissing)),
            ]
        );
        assert_eq!(result.scores.price, None);
        assert_eq!(result.scores.overall, None);
        assert_eq!(result.confidence, Confidence::Low);
    }

    #[test]
    fn popularity_falls_back_to_the_leaf_where_nobody_shares_the_main_category() {
        let main = one(MAIN, None, &[("Electronics", 100), ("Earbuds", 10)], None);
        let rival = one("B000000002", None, &[("Cell Phones", 50), ("Earbuds", 30)], None);
        let result = compare(None, day("2026-01-10"), 7, &main, &[rival]);
        assert_eq!(result.scores.popularity_on.as_deref(), Some("bsr_leaf"));
        assert_eq!(result.scores.popularity, Some(100.0 - 500.0 / 30.0));
        assert_eq!(result.competitors[0].bsr_leaf.gap, Some(-20));
    }

    #[test]
    fn a_value_is_at_most_seven_days_old() {
        let at = |on: &str| member(MAIN, vec![row(key(MAIN), day(on), Some(2000), &[], None)]);
        assert_eq!(compare(None, day("2026-01-10"), 7, &at("2026-01-04"), &[]).main.price_minor, Some(2000));
        assert_eq!(compare(None, day("2026-01-10"), 7, &at("2026-01-03"), &[]).main.price_minor, None);
    }
}
