//! Who is watched and who competes with whom in a synthetic market: the files that `watch import` and
//! `cohort import` read.

use std::fmt::Write as _;

use super::Options;
use super::market::{self, CATEGORY_GROUP};
use crate::model::{Marketplace, ProductKey};

/// One list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListFile {
    pub name: String,
    pub contents: String,
    /// The marketplace of a roles file, which does not name it itself; null for the watchlist.
    pub marketplace: Option<Marketplace>,
}

/// A product's part in its marketplace's cohort.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Main,
    Competitor,
    /// Watched, in no cohort.
    Watched,
}

/// One line of the watchlist.
pub(super) struct Watched {
    pub(super) key: ProductKey,
    pub(super) role: Role,
    pub(super) tag: String,
}

/// Mains of a marketplace's first category; every other product there competes with each of them.
const MAINS: usize = 2;
/// Below this many products there is one main only.
const SMALL_GROUP: usize = 6;

/// The watchlist of all products and one roles file (`ASIN,main|comp`) for each marketplace.
pub fn lists(options: &Options) -> Vec<ListFile> {
    let mut watched = Vec::new();
    for (index, &marketplace) in options.marketplaces.iter().enumerate() {
        let keys: Vec<ProductKey> = (0..options.products_of(index))
            .filter_map(|place| market::key_at(options.seed, marketplace, place))
            .collect();
        let group_size = CATEGORY_GROUP as usize;
        let mains = if keys.len() < SMALL_GROUP { 1 } else { MAINS };
        watched.extend(keys.into_iter().enumerate().map(|(place, key)| {
            let role = match place {
                _ if place < mains => Role::Main,
                _ if place < group_size => Role::Competitor,
                _ => Role::Watched,
            };
            Watched { key, role, tag: format!("group-{}", place / group_size) }
        }));
    }
    let roles = options.marketplaces.iter().map(|marketplace| roles_file(*marketplace, &watched));
    std::iter::once(watchlist_file(&watched)).chain(roles).collect()
}

pub(super) fn roles_file(marketplace: Marketplace, watched: &[Watched]) -> ListFile {
    let mut contents = String::new();
    for Watched { key, role, .. } in watched.iter().filter(|watched| watched.key.marketplace == marketplace) {
        let _ = match role {
            Role::Main => writeln!(contents, "{},main", key.asin),
            Role::Competitor => writeln!(contents, "{},comp", key.asin),
            Role::Watched => Ok(()),
        };
    }
    ListFile { name: format!("roles-{marketplace}.csv"), contents, marketplace: Some(marketplace) }
}

pub(super) fn watchlist_file(watched: &[Watched]) -> ListFile {
    let mut contents = String::from("marketplace,asin,tier,relation,tags\n");
    for Watched { key, role, tag } in watched {
        let (tier, relation) = if *role == Role::Main { ("critical", "own") } else { ("routine", "rival") };
        let _ = writeln!(contents, "{},{},{tier},{relation},{tag}", key.marketplace, key.asin);
    }
    ListFile { name: "watchlist.csv".to_owned(), contents, marketplace: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_marketplace_has_two_mains_and_ten_competitors() {
        let options = Options {
            products: 40,
            marketplaces: vec![Marketplace::Us, Marketplace::Jp],
            ..Options::default()
        };
        let lists = lists(&options);
        let names: Vec<&str> = lists.iter().map(|list| list.name.as_str()).collect();
        assert_eq!(names, ["watchlist.csv", "roles-US.csv", "roles-JP.csv"]);
        for roles in &lists[1..] {
            assert_eq!(roles.contents.matches(",main\n").count(), 2);
            assert_eq!(roles.contents.matches(",comp\n").count(), 10);
        }
        assert_eq!(lists[0].contents.lines().count(), 41);
    }
}
