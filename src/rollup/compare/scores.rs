//! Scores, positions and the market, each out of the values that may be set beside the main's.

use super::document::{Market, Position, Scores};
use super::gap::{Field, State};

/// For each dimension the main's value and the competitors' values that may be set beside it.
pub(super) struct Inputs {
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
    pub(super) fn collect(main: &State<'_>, others: &[State<'_>]) -> Inputs {
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

pub(super) fn scores(inputs: &Inputs) -> Scores {
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

pub(super) fn market(inputs: &Inputs) -> Market {
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
