//! Best-seller ranks: which one is the main rank, which the leaf, and when two ranks count in the same category.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Marketplace;
use super::text::canonical_category;

/// One best-seller rank as the source gave it, in the source's order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rank {
    pub category_id: Option<String>,
    /// As shown; compared through [`same_category`].
    pub category: String,
    pub rank: i64,
    pub is_main: bool,
}

/// A rank's category by id, where the source gives one, and name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CategoryRef<'a> {
    pub id: Option<&'a str>,
    pub name: &'a str,
    /// Of the main rank, whose category may go by another kind of name.
    pub is_main: bool,
}

impl Rank {
    pub fn category_ref(&self) -> CategoryRef<'_> {
        CategoryRef { id: self.category_id.as_deref(), name: &self.category, is_main: self.is_main }
    }
}

impl<'a> CategoryRef<'a> {
    fn canonical_name(self, marketplace: Marketplace) -> Cow<'a, str> {
        canonical_category(marketplace, self.name, self.is_main)
    }
}

/// The rank marked main; null when none is.
pub fn main_rank(ranks: &[Rank]) -> Option<&Rank> {
    ranks.iter().find(|rank| rank.is_main)
}

/// The most specific rank: among the non-main ones the one named like the category path's last element, else
/// the numerically smallest, ties by category name bytes.
pub fn leaf_rank<'a>(ranks: &'a [Rank], path_leaf: Option<&str>) -> Option<&'a Rank> {
    let others = || ranks.iter().filter(|rank| !rank.is_main);
    let folded = |name: &str| name.trim().to_lowercase();
    let by_path = path_leaf.and_then(|leaf| others().find(|rank| folded(&rank.category) == folded(leaf)));
    by_path.or_else(|| {
        others().min_by(|a, b| (a.rank, a.category.as_bytes()).cmp(&(b.rank, b.category.as_bytes())))
    })
}

/// True when both count in the same category: by id if both have one, else by canonical name.
pub fn same_category(marketplace: Marketplace, a: CategoryRef<'_>, b: CategoryRef<'_>) -> bool {
    match (a.id, b.id) {
        (Some(a), Some(b)) => a == b,
        _ => a.canonical_name(marketplace) == b.canonical_name(marketplace),
    }
}
