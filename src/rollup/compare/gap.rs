//! One value beside another: which row speaks for a member, which values may be compared, and the gap.

use super::Member;
use super::document::{Better, Gap, Reason};
use crate::model::{CategoryRef, DailyRow, DayRange, Rank, same_category};

/// A member's newest row of the value range, and whether it has only older ones.
pub(super) struct State<'a> {
    pub(super) row: Option<&'a DailyRow>,
    stale: bool,
}

impl<'a> State<'a> {
    pub(super) fn of(member: &'a Member, range: DayRange) -> State<'a> {
        let row = member.days.iter().rev().find(|row| range.contains(row.day));
        State { row, stale: row.is_none() && member.days.iter().any(|row| row.day < range.first) }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Price,
    Bsr,
    BsrLeaf,
    Rating,
    RatingsCount,
}

impl Field {
    pub(super) fn lower_is_better(self) -> bool {
        matches!(self, Field::Price | Field::Bsr | Field::BsrLeaf)
    }

    /// The main product's own value.
    pub(super) fn of_main(self, row: &DailyRow) -> Option<i64> {
        match self {
            Field::Price => row.offer.price_minor,
            Field::Bsr => row.rank.main().map(|rank| rank.rank),
            Field::BsrLeaf => row.rank.leaf().map(|rank| rank.rank),
            Field::Rating => row.rating.rating_centi,
            Field::RatingsCount => row.rating.ratings_count,
        }
    }

    /// The competitor's value that may be set beside the main's, or why there is none.
    pub(super) fn beside(self, main: &DailyRow, other: &DailyRow) -> Result<i64, Reason> {
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
pub(super) fn rank_in(row: &DailyRow, main: &DailyRow, category: CategoryRef<'_>) -> Option<i64> {
    let same = |rank: &&Rank| same_category(row.marketplace, rank.category_ref(), category);
    let mut ranks = row.rank.ranks.iter();
    if row.marketplace == main.marketplace { ranks.find(same).map(|rank| rank.rank) } else { None }
}

pub(super) fn gap(main: &State<'_>, other: &State<'_>, field: Field) -> Gap {
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
