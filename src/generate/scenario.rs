//! The market of `amzctl demo`: twelve made-up products in two marketplaces, sixty days, a story worth a report.
//!
//! In the United States the main product (Kestrow) starts as the cheapest of its cohort, sells out, comes back
//! dearer, is undercut twice, loses the buy box and slides from 4.6 to 4.2 stars. One rival loses stars overnight,
//! one sells out, one is seen with gaps. Germany has the same ASIN in euros, sold out and back on the last day.

use std::sync::Arc;

use super::catalog::{CATEGORIES, Language};
use super::fact::{Fact, FactRank, Profile, Seller, Showing};
use super::files::{self, Delivery, Entry, GeneratedFile};
use super::lists::{ListFile, Role, Watched, roles_file, watchlist_file};
use super::random::Random;
use super::{FileShape, Options};
use crate::model::{Asin, Availability, Day, Fulfilment, Marketplace, ProductKey};

/// Days of the story.
pub const DAYS: i32 = 60;

/// The first day: 2026-01-01.
pub fn first_day() -> Day {
    Day::from_no(20_454)
}

/// The last day: 2026-03-01.
pub fn last_day() -> Day {
    first_day().plus(DAYS - 1)
}

/// The seller ids of the story's own shop.
pub fn own_seller_ids() -> Vec<String> {
    vec![OWN_SELLER.0.to_owned()]
}

const OWN_SELLER: (&str, &str) = ("A2KESTROWSHOP1", "Kestrow Direct");
const BUY_BOX_RIVAL: (&str, &str) = ("A9DEALHARBOR77", "Deal Harbor");
const SEED: u64 = 20_260_101;
/// Name of the stream of new ratings.
const RATINGS: u64 = 1;

/// Values that hold from a day (counted from 0) until the next entry's.
type Steps = &'static [(i32, i64)];
/// Days, both inclusive.
type Spans = &'static [(i32, i32)];

/// One product's part in the story. Prices in minor units, stars in tenths.
struct Script {
    marketplace: Marketplace,
    asin: &'static str,
    role: Role,
    brand: &'static str,
    model: &'static str,
    category: usize,
    seller: (&'static str, &'static str),
    list_price_minor: Option<i64>,
    prices: Steps,
    /// Straight lines from one entry to the next, with a little noise.
    ranks: Steps,
    stars: Steps,
    /// On the first day, and new ones a day.
    ratings: (i64, i64),
    ratings_jumps: Steps,
    sold_out: Spans,
    last_pieces: Spans,
    buy_box_lost: Spans,
    unseen: Spans,
}

const UNEVENTFUL: Script = Script {
    marketplace: Marketplace::Us,
    asin: "",
    role: Role::Watched,
    brand: "",
    model: "",
    category: 0,
    seller: ("", ""),
    list_price_minor: None,
    prices: &[],
    ranks: &[],
    stars: &[],
    ratings: (0, 0),
    ratings_jumps: &[],
    sold_out: &[],
    last_pieces: &[],
    buy_box_lost: &[],
    unseen: &[],
};

static SCRIPTS: [Script; 12] = [
    Script {
        asin: "B0DEMO0001",
        role: Role::Main,
        brand: "Kestrow",
        model: "Air 3",
        seller: OWN_SELLER,
        list_price_minor: Some(59_99),
        prices: &[(0, 39_99), (10, 36_99), (17, 39_99), (29, 42_99)],
        ranks: &[
            (0, 940),
            (10, 860),
            (17, 610),
            (23, 700),
            (29, 4_900),
            (38, 1_500),
            (50, 1_900),
            (59, 3_100),
        ],
        stars: &[(0, 46), (31, 45), (40, 44), (48, 43), (55, 42)],
        ratings: (4_310, 14),
        sold_out: &[(24, 28)],
        last_pieces: &[(21, 23)],
        buy_box_lost: &[(44, 46), (58, 59)],
        ..UNEVENTFUL
    },
    Script {
        asin: "B0DEMO0002",
        role: Role::Competitor,
        brand: "Orbitex",
        model: "Core 5",
        seller: ("A3ORBITEXUSA01", "Orbitex Official"),
        list_price_minor: Some(49_99),
        prices: &[(0, 44_99), (18, 43_49), (38, 40_99), (59, 34_99)],
        ranks: &[(0, 1_900), (24, 1_300), (30, 900), (38, 640), (50, 420), (59, 310)],
        stars: &[(0, 43), (45, 44)],
        ratings: (2_120, 22),
        ..UNEVENTFUL
    },
    Script {
        asin: "B0DEMO0003",
        role: Role::Competitor,
        brand: "Lumessa",
        model: "Pro 2",
        seller: ("A1LUMESSASTORE", "Lumessa Audio"),
        list_price_minor: Some(89_99),
        prices: &[(0, 69_99), (12, 59_99), (20, 69_99)],
        ranks: &[(0, 520), (12, 380), (20, 540), (57, 600), (59, 900)],
        stars: &[(0, 47)],
        ratings: (18_400, 35),
        sold_out: &[(58, 59)],
        last_pieces: &[(55, 57)],
        ..UNEVENTFUL
    },
    Script {
        asin: "B0DEMO0004",
        role: Role::Competitor,
        brand: "Quillan",
        model: "Edge 1",
        seller: ("A7QUILLANGMBH1", "Quillan"),
        prices: &[(0, 52_99), (20, 49_99), (44, 45_99), (59, 41_99)],
        ranks: &[(0, 2_600), (44, 2_200), (59, 1_700)],
        stars: &[(0, 45)],
        ratings: (960, 6),
        ..UNEVENTFUL
    },
    Script {
        asin: "B0DEMO0005",
        role: Role::Competitor,
        brand: "Solvane",
        model: "Go 7",
        seller: ("A5SOLVANESHOP2", "Solvane Store"),
        list_price_minor: Some(79_99),
        prices: &[(0, 41_99), (33, 38_99), (36, 41_99)],
        ranks: &[(0, 3_300), (40, 3_600), (59, 7_400)],
        stars: &[(0, 44), (40, 37)],
        ratings: (350, 3),
        ratings_jumps: &[(40, 60)],
        ..UNEVENTFUL
    },
    Script {
        asin: "B0DEMO0006",
        role: Role::Competitor,
        brand: "Tamsin",
        model: "Mini 4",
        seller: ("A8TAMSINTRADE3", "Tamsin Trading"),
        prices: &[(0, 47_99)],
        ranks: &[(0, 5_200), (59, 5_900)],
        stars: &[(0, 41)],
        ratings: (88, 2),
        ratings_jumps: &[(52, 180)],
        unseen: &[(12, 16), (33, 34), (40, 40), (57, 57)],
        ..UNEVENTFUL
    },
    Script {
        asin: "B0DEMO0007",
        brand: "Hollin",
        model: "Classic 2",
        category: 1,
        seller: ("A4HOLLINHOUSE5", "Hollin Home"),
        list_price_minor: Some(54_99),
        prices: &[(0, 44_99), (22, 39_99), (29, 44_99)],
        ranks: &[(0, 240), (22, 150), (29, 230), (59, 260)],
        stars: &[(0, 45)],
        ratings: (9_700, 11),
        ..UNEVENTFUL
    },
    Script {
        asin: "B0DEMO0008",
        brand: "Dunmere",
        model: "Plus 6",
        category: 1,
        seller: ("A6DUNMEREHOME9", "Dunmere"),
        // One day with a lost decimal point: the long-term high must not believe it.
        prices: &[(0, 29_99), (25, 299_900), (26, 29_99)],
        ranks: &[(0, 8_100), (59, 7_300)],
        stars: &[(0, 40)],
        ratings: (610, 2),
        unseen: &[(5, 5), (47, 49)],
        ..UNEVENTFUL
    },
    Script {
        marketplace: Marketplace::De,
        asin: "B0DEMO0001",
        role: Role::Main,
        brand: "Kestrow",
        model: "Air 3",
        seller: OWN_SELLER,
        prices: &[(0, 44_99), (30, 42_99)],
        ranks: &[(0, 1_450), (52, 1_300), (58, 5_600), (59, 5_100)],
        stars: &[(0, 45)],
        ratings: (1_240, 5),
        sold_out: &[(53, 58)],
        last_pieces: &[(51, 52)],
        ..UNEVENTFUL
    },
    Script {
        marketplace: Marketplace::De,
        asin: "B0DEMO0102",
        role: Role::Competitor,
        brand: "Orbitex",
        model: "Core 5",
        seller: ("A3ORBITEXEUR02", "Orbitex EU"),
        list_price_minor: Some(54_99),
        prices: &[(0, 47_99), (26, 44_99), (58, 50_49)],
        ranks: &[(0, 2_200), (53, 1_500), (59, 900)],
        stars: &[(0, 43)],
        ratings: (770, 7),
        ..UNEVENTFUL
    },
    Script {
        marketplace: Marketplace::De,
        asin: "B0DEMO0103",
        role: Role::Competitor,
        brand: "Lumessa",
        model: "Pro 2",
        seller: ("A1LUMESSAEURO2", "Lumessa Audio"),
        prices: &[(0, 74_99)],
        ranks: &[(0, 610), (59, 560)],
        stars: &[(0, 46)],
        ratings: (6_050, 12),
        // Looked at once a week.
        unseen: &[(1, 6), (8, 13), (15, 20), (22, 27), (29, 34), (36, 41), (43, 48), (50, 55), (57, 58)],
        ..UNEVENTFUL
    },
    Script {
        marketplace: Marketplace::De,
        asin: "B0DEMO0105",
        role: Role::Competitor,
        brand: "Solvane",
        model: "Go 7",
        seller: ("A5SOLVANEEUR03", "Solvane Store"),
        prices: &[(0, 39_99), (35, 37_99)],
        ranks: &[(0, 48_000), (20, 48_000), (59, 6_200)],
        stars: &[(0, 42)],
        ratings: (1, 2),
        // Launched on the 21st day.
        unseen: &[(0, 19)],
        ..UNEVENTFUL
    },
];

/// Every file of the story, in the order of days: axesso items for the United States, junglee for Germany.
pub fn files() -> Vec<GeneratedFile> {
    let options = Options { payload_bytes: 6_000, start: first_day(), days: DAYS, ..Options::default() };
    let profiles: Vec<Option<Arc<Profile>>> = SCRIPTS.iter().map(|script| script.profile()).collect();
    let mut files = Vec::new();
    for day_index in 0..DAYS {
        for (marketplace, shape) in
            [(Marketplace::Us, FileShape::Axesso), (Marketplace::De, FileShape::Junglee)]
        {
            let entries = SCRIPTS
                .iter()
                .zip(&profiles)
                .filter(|(script, _)| script.marketplace == marketplace && !within(script.unseen, day_index))
                .filter_map(|(script, profile)| {
                    let profile = Arc::clone(profile.as_ref()?);
                    Some(Entry { fact: script.fact(day_index), profile })
                })
                .collect();
            let day = first_day().plus(day_index);
            files.push(files::file(&options, marketplace, day, Delivery::OnTime, shape, entries));
        }
    }
    files
}

/// The watchlist and the roles of each marketplace's cohort.
pub fn lists() -> Vec<ListFile> {
    let watched: Vec<Watched> = SCRIPTS
        .iter()
        .filter_map(|script| {
            let tag = CATEGORIES[script.category].root.name(Language::English).to_lowercase();
            let tag = tag.replace(" & ", "-");
            Some(Watched { key: script.key()?, role: script.role, tag })
        })
        .collect();
    let roles = [Marketplace::Us, Marketplace::De].map(|marketplace| roles_file(marketplace, &watched));
    std::iter::once(watchlist_file(&watched)).chain(roles).collect()
}

impl Script {
    fn key(&self) -> Option<ProductKey> {
        let asin: Asin = self.asin.parse().ok()?;
        Some(ProductKey { marketplace: self.marketplace, asin })
    }

    fn profile(&self) -> Option<Arc<Profile>> {
        let key = self.key()?;
        Some(Arc::new(Profile {
            key,
            brand: self.brand.to_owned(),
            model: self.model.to_owned(),
            color: "Graphite",
            category: &CATEGORIES[self.category],
            variants: Vec::new(),
            prose: Random::stream(SEED, &[self.place()]).next(),
        }))
    }

    /// A number of the product's own, for its noise: the digits of its ASIN and its marketplace.
    fn place(&self) -> u64 {
        self.asin.bytes().fold(self.marketplace as u64, |number, byte| number * 31 + u64::from(byte))
    }

    fn fact(&self, day: i32) -> Fact {
        let mut random = Random::stream(SEED, &[self.place(), day as u64]);
        let out = within(self.sold_out, day);
        let lost = within(self.buy_box_lost, day);
        let (id, name) = if lost { BUY_BOX_RIVAL } else { self.seller };
        let last_pieces = within(self.last_pieces, day);
        let price_minor = step_at(self.prices, day).filter(|_| !out);
        let (category, rank) = (&CATEGORIES[self.category], self.rank(day, &mut random));
        let jumps: i64 =
            self.ratings_jumps.iter().filter(|(from, _)| *from <= day).map(|(_, more)| more).sum();
        let availability = match (out, last_pieces) {
            (true, _) => Availability::Unavailable,
            (false, true) => Availability::LowStock,
            (false, false) => Availability::InStock,
        };
        Fact {
            showing: Showing::Full,
            language: Language::of(self.marketplace),
            title_revision: 0,
            price_minor,
            list_price_minor: self.list_price_minor.filter(|list| Some(*list) > price_minor && !out),
            shipping_minor: None,
            coupon: None,
            is_deal: false,
            is_prime: !out && !lost,
            seller: (!out).then(|| Seller {
                id: Some(id.to_owned()),
                name: name.to_owned(),
                fulfilment: if lost { Fulfilment::Fbm } else { Fulfilment::Fba },
            }),
            offer_count: if out { 0 } else { 3 },
            availability,
            stock_quantity: last_pieces.then(|| i64::from(3 + day % 5)),
            main_rank: Some(FactRank { node: &category.root, rank }),
            other_ranks: vec![FactRank { node: &category.leaves[0], rank: (rank / 12).max(1) }],
            path_leaf: 0,
            rating_tenths: step_at(self.stars, day),
            ratings_count: self.ratings.0 + self.gained_ratings(day) + jumps,
            monthly_sold_min: None,
            garbage: None,
        }
    }

    /// New ratings until `day`: never fewer than the day before, on average the script's rate.
    fn gained_ratings(&self, day: i32) -> i64 {
        let gained = |day: i32| {
            Random::stream(SEED, &[self.place(), RATINGS, day as u64]).between(0, self.ratings.1 * 2)
        };
        (1..=day).map(gained).sum()
    }

    /// On the straight line between the script's ranks, up to 5 % beside it.
    fn rank(&self, day: i32, random: &mut Random) -> i64 {
        let day = i64::from(day);
        let line = self.ranks.windows(2).find_map(|pair| {
            let ((from, start), (until, end)) = (pair[0], pair[1]);
            let (from, until) = (i64::from(from), i64::from(until));
            (from..=until)
                .contains(&day)
                .then(|| start + (end - start) * (day - from) / (until - from).max(1))
        });
        let rank = line.or(self.ranks.last().map(|last| last.1)).unwrap_or(1);
        (rank * (1_000 + random.between(-50, 50)) / 1_000).max(1)
    }
}

fn within(spans: Spans, day: i32) -> bool {
    spans.iter().any(|(first, last)| (*first..=*last).contains(&day))
}

fn step_at(steps: Steps, day: i32) -> Option<i64> {
    steps.iter().rev().find(|(from, _)| *from <= day).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `price availability stars` of one product on one day; `-` where it was not seen.
    fn seen(marketplace: Marketplace, asin: &str, day: i32) -> String {
        let script = SCRIPTS.iter().find(|s| s.marketplace == marketplace && s.asin == asin).unwrap();
        if within(script.unseen, day) {
            return "-".to_owned();
        }
        let fact = script.fact(day);
        let price = fact.price_minor.map_or("none".to_owned(), |price| price.to_string());
        format!("{price} {} {}", fact.availability, fact.rating_tenths.unwrap())
    }

    #[test]
    fn the_story_runs_sixty_days_to_the_first_of_march() {
        assert_eq!(
            (first_day().to_string(), last_day().to_string()),
            ("2026-01-01".into(), "2026-03-01".into())
        );
        let files = files();
        assert_eq!(files.len(), 120);
        assert_eq!(files[0].path, "2026-01-01/apify-axesso-US.json");
        assert_eq!(files[119].path, "2026-03-01/apify-junglee-DE.ndjson");
        assert_eq!(files[0].record_count() + files[1].record_count(), 11);
    }

    #[test]
    fn the_main_product_sells_out_comes_back_dearer_and_is_undercut() {
        let main = |day| seen(Marketplace::Us, "B0DEMO0001", day);
        assert_eq!(
            [main(0), main(22), main(24), main(29), main(59)],
            [
                "3999 in_stock 46",
                "3999 low_stock 46",
                "none unavailable 46",
                "4299 in_stock 46",
                "4299 in_stock 42"
            ]
        );
        assert_eq!(seen(Marketplace::Us, "B0DEMO0002", 38), "4099 in_stock 43");
        assert_eq!(seen(Marketplace::Us, "B0DEMO0004", 59), "4199 in_stock 45");
        assert_eq!(seen(Marketplace::Us, "B0DEMO0006", 14), "-");
        assert_eq!(seen(Marketplace::De, "B0DEMO0001", 58), "none unavailable 45");
        assert_eq!(seen(Marketplace::De, "B0DEMO0001", 59), "4299 in_stock 45");
    }
}
