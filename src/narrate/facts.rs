//! The numbers that the rules are about, with the competitors' values that may be set beside the main's.

use crate::model::Currency;
use crate::render::format;
use crate::rollup::compare::{Comparison, Gap, Pair};

/// The comparison, and the competitors' values that may be set beside the main's.
pub(super) struct Facts<'a> {
    pub(super) comparison: &'a Comparison,
    currency: Option<Currency>,
    pub(super) price: Side,
    pub(super) rating: Side,
}

/// One dimension: the main's value, and number and sum of the comparable competitors' values.
pub(super) struct Side {
    pub(super) main: Option<i64>,
    pub(super) count: i64,
    pub(super) sum: i64,
}

impl Side {
    pub(super) fn of(main: Option<i64>, gaps: impl Iterator<Item = Option<i64>>) -> Side {
        let others: Vec<i64> =
            main.map(|main| gaps.flatten().map(|gap| main - gap).collect()).unwrap_or_default();
        Side { main, count: others.len() as i64, sum: others.iter().sum() }
    }

    /// main - mean of the competitors, multiplied by their number; null unless both sides are known. The sign is
    /// also that of main - mean of all members.
    pub(super) fn scaled_distance(&self) -> Option<i64> {
        self.main.filter(|_| self.count > 0).map(|main| main * self.count - self.sum)
    }
}

impl<'a> Facts<'a> {
    pub(super) fn of(comparison: &'a Comparison) -> Facts<'a> {
        let gaps = |gap: fn(&Pair) -> &Gap| comparison.competitors.iter().map(move |pair| gap(pair).gap);
        Facts {
            comparison,
            currency: comparison.main.currency.as_deref().and_then(|code| code.parse().ok()),
            price: Side::of(comparison.main.price_minor, gaps(|pair| &pair.price)),
            rating: Side::of(comparison.main.rating_centi, gaps(|pair| &pair.rating)),
        }
    }

    /// True when no competitor is dearer and at least one is cheaper.
    pub(super) fn is_dearest(&self) -> bool {
        let market = &self.comparison.market;
        market.dearer_competitors == 0 && market.cheaper_competitors > 0
    }

    pub(super) fn overall(&self) -> Option<f64> {
        self.comparison.scores.overall
    }

    pub(super) fn money(&self, minor: f64) -> String {
        match self.currency {
            Some(currency) => format!("{} {currency}", format::mean_amount(minor, currency)),
            None => format::UNKNOWN.to_owned(),
        }
    }

    pub(super) fn mean_competitor_price(&self) -> String {
        self.money(self.price.sum as f64 / self.price.count as f64)
    }

    pub(super) fn mean_competitor_rating(&self) -> String {
        format::stars(format::round_half_away(self.rating.sum as f64 / self.rating.count as f64))
    }
}
