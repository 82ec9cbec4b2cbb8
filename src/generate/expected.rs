//! What normalizing a generated item must give: written from the facts, never from the item's text.

use super::catalog::Node;
use super::fact::{Fact, FactRank, Profile};
use crate::model::{Listing, Observation, OfferBlock, Rank, RankBlock, RatingBlock};

/// The right answer for one generated item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expected {
    Observed(Box<Observation>),
    /// The item goes to quarantine with this reason and field.
    Rejected {
        reason: &'static str,
        field: &'static str,
    },
}

/// An observation that says the product exists and nothing else.
pub(super) fn empty(profile: &Profile) -> Observation {
    Observation {
        marketplace: profile.key.marketplace,
        asin: profile.key.asin,
        found: true,
        offer: OfferBlock::default(),
        rank: RankBlock::default(),
        rating: RatingBlock::default(),
        monthly_sold_min: None,
        listing: Listing::default(),
    }
}

/// The ranks in the page's order, the main one first; `id_of` says which category ids the shape tells.
pub(super) fn ranks(profile: &Profile, fact: &Fact, id_of: impl Fn(&Node) -> Option<String>) -> RankBlock {
    let rank = |rank: &FactRank, is_main| Rank {
        category_id: id_of(rank.node),
        category: rank.node.name(fact.language).to_owned(),
        rank: rank.rank,
        is_main,
    };
    let main = fact.main_rank.iter().map(|main| rank(main, true));
    let others = fact.other_ranks.iter().map(|other| rank(other, false));
    RankBlock {
        ranks: main.chain(others).collect(),
        path_leaf: fact.path(profile).last().map(|node| node.name(fact.language).to_owned()),
    }
}

pub(super) fn rating(fact: &Fact) -> RatingBlock {
    RatingBlock { rating_centi: fact.rating_centi(), ratings_count: Some(fact.ratings_count) }
}
