//! The synthetic market: products whose price, stock, rank, rating and seller walk from day to day.
//!
//! Every product has a random stream of its own, named by (seed, marketplace, place), so it does not depend on how
//! many others there are or for how many days anybody looks. Integers only.

use super::catalog::{BRANDS, CATEGORIES, COLORS, Language, MODELS};
use super::character::{
    Life, Temperament, draw_base_price, draw_life, draw_sellers, draw_temperament, letters,
};
use super::fact::{Coupon, Fact, FactRank, Profile, Seller, Showing};
use super::random::Random;
use crate::model::{Asin, Availability, Fulfilment, Marketplace, ProductKey};

/// Products of one category stand together in groups of this many: enough for two mains and ten competitors.
pub(super) const CATEGORY_GROUP: u64 = 12;
/// Rank and price latents are kept in millionths.
const ONE: i64 = 1_000_000;
/// After the last day a source still answers "not found" for this many days.
const NOT_FOUND_DAYS: i32 = 10;
const SLOWEST_RANK: i64 = 3_000_000;

/// Where the walk stands.
#[derive(Clone)]
struct State {
    base_minor: i64,
    latent_minor: i64,
    posted_minor: i64,
    promotion: Option<(i32, i64)>,
    out_days: i32,
    stock: i64,
    rival: Option<(i32, usize)>,
    unseen_days: i32,
    hollow_days: i32,
    momentum_ppm: i64,
    rating_centi: i64,
    ratings_count: i64,
    offer_count: i64,
    path_leaf: usize,
    coupon: Option<(i32, Coupon)>,
    title_revision: u8,
}

/// A product and the state of its walk.
#[derive(Clone)]
pub(super) struct Product {
    pub(super) profile: Profile,
    temperament: Temperament,
    life: Life,
    sellers: Vec<Seller>,
    state: State,
    random: Random,
}

fn asin(random: &mut Random) -> Option<Asin> {
    format!("B0{}", letters(random, 8)).parse().ok()
}

fn stream_of(seed: u64, marketplace: Marketplace, parts: &[u64]) -> Random {
    let code = marketplace.code().bytes().fold(0, |number, byte| number * 256 + u64::from(byte));
    Random::stream(seed, &[&[code], parts].concat())
}

/// The product at `place` of its marketplace. Every fourth ASIN is sold in all marketplaces.
pub(super) fn key_at(seed: u64, marketplace: Marketplace, place: u64) -> Option<ProductKey> {
    let mut random = if place.is_multiple_of(4) {
        Random::stream(seed, &[place])
    } else {
        stream_of(seed, marketplace, &[1, place])
    };
    asin(&mut random).map(|asin| ProductKey { marketplace, asin })
}

impl Product {
    /// The product at `place` (from 0) of a marketplace, on the morning of day 0 of `days`.
    pub(super) fn new(seed: u64, marketplace: Marketplace, place: u64, days: i32) -> Option<Product> {
        let key = key_at(seed, marketplace, place)?;
        let mut random = stream_of(seed, marketplace, &[2, place]);
        let category = &CATEGORIES[(place / CATEGORY_GROUP) as usize % CATEGORIES.len()];
        let mut variants: Vec<Asin> = (0..random.below(4))
            .filter_map(|_| asin(&mut random))
            .filter(|other| *other != key.asin)
            .collect();
        variants.sort();
        variants.dedup();
        let profile = Profile {
            key,
            brand: (*random.pick(&BRANDS)).to_owned(),
            model: format!("{} {}", random.pick(&MODELS), random.between(1, 9)),
            color: random.pick::<&str>(&COLORS),
            category,
            variants,
            prose: random.next(),
        };
        let temperament = draw_temperament(&mut random, place);
        let base_minor = draw_base_price(&mut random, marketplace, category.typical_price);
        let life = draw_life(&mut random, place, days);
        let sellers = draw_sellers(&mut random, &profile, temperament.sold_by_amazon);
        let newcomer = life.first > 0;
        let state = State {
            base_minor,
            latent_minor: base_minor,
            posted_minor: snap(base_minor, marketplace, temperament.snaps_to_99),
            promotion: None,
            out_days: 0,
            stock: random.between(5, 400),
            rival: None,
            unseen_days: 0,
            hollow_days: 0,
            momentum_ppm: ONE,
            rating_centi: random.between(330, 485),
            ratings_count: if newcomer { 0 } else { random.between_octaves(4, 60_000) },
            offer_count: random.between(1, 9),
            path_leaf: 0,
            coupon: None,
            title_revision: 0,
        };
        Some(Product { profile, temperament, life, sellers, state, random })
    }

    /// Walks one day on and says what is true on it; null when no source sees the product that day.
    pub(super) fn step(&mut self, day_index: i32) -> Option<Fact> {
        self.walk_price();
        self.walk_stock();
        self.walk_offer();
        self.walk_rank();
        self.walk_ratings();
        self.walk_attention();
        let spike = self.random.chance(2_000).then(|| self.random.between(3, 6));
        if day_index < self.life.first || self.state.unseen_days > 0 {
            return None;
        }
        if day_index > self.life.last {
            let still_asked =
                day_index <= self.life.last + NOT_FOUND_DAYS && self.life.last > self.life.first;
            return still_asked.then(|| self.fact(Showing::NotFound, None));
        }
        let showing = if self.state.hollow_days > 0 { Showing::Hollow } else { Showing::Full };
        Some(self.fact(showing, spike))
    }

    fn walk_price(&mut self) {
        let (temperament, state) = (&self.temperament, &mut self.state);
        state.base_minor += state.base_minor * temperament.drift_ppm / ONE;
        let pull_ppm = (state.base_minor - state.latent_minor) * 20_000 / state.latent_minor.max(1);
        let step_ppm = self.random.noise(temperament.volatility_ppm) + pull_ppm;
        state.latent_minor = (state.latent_minor + state.latent_minor * step_ppm / ONE).max(50);
        if self.random.chance(temperament.reprice_ppm) {
            state.posted_minor =
                snap(state.latent_minor, self.profile.key.marketplace, temperament.snaps_to_99);
        }
        state.promotion = match state.promotion {
            Some((left, depth)) if left > 1 => Some((left - 1, depth)),
            Some(_) => None,
            None => self
                .random
                .chance(temperament.promotion_ppm)
                .then(|| (self.random.between(3, 10) as i32, self.random.between(8, 40))),
        };
    }

    fn walk_stock(&mut self) {
        let state = &mut self.state;
        if state.out_days > 0 {
            state.out_days -= 1;
            if state.out_days == 0 {
                state.stock = self.random.between(40, 400);
            }
        } else if self.random.chance(self.temperament.stock_out_ppm) {
            state.out_days = self.random.between(2, 12) as i32;
        } else {
            state.stock -= self.random.between(0, 9);
            if state.stock <= 1 {
                state.stock = self.random.between(40, 400);
            }
        }
    }

    fn walk_offer(&mut self) {
        let state = &mut self.state;
        state.rival = match state.rival {
            Some((left, seller)) if left > 1 => Some((left - 1, seller)),
            Some(_) => None,
            None => (self.sellers.len() > 1 && self.random.chance(12_000)).then(|| {
                let seller = self.random.between(1, self.sellers.len() as i64 - 1) as usize;
                (self.random.between(1, 8) as i32, seller)
            }),
        };
        state.coupon = match state.coupon {
            Some((left, coupon)) if left > 1 => Some((left - 1, coupon)),
            Some(_) => None,
            None => self.random.chance(10_000).then(|| {
                let coupon = if self.random.chance(500_000) {
                    Coupon::Percent(self.random.between(1, 4) * 5)
                } else {
                    Coupon::Minor(state.posted_minor / 20 + 1)
                };
                (self.random.between(3, 14) as i32, coupon)
            }),
        };
        if self.random.chance(100_000) {
            state.offer_count = (state.offer_count + self.random.between(-1, 1)).clamp(1, 20);
        }
    }

    /// Momentum falls (the rank worsens) while there is nothing to buy, and finds back to its usual value.
    fn walk_rank(&mut self) {
        let state = &mut self.state;
        let pull_ppm = (ONE - state.momentum_ppm) * 60_000 / ONE;
        let noise_ppm = self.random.noise(45_000);
        state.momentum_ppm += state.momentum_ppm * noise_ppm / ONE + pull_ppm;
        if state.out_days > 0 {
            state.momentum_ppm += state.momentum_ppm * 14 / 100;
        }
        state.momentum_ppm = state.momentum_ppm.clamp(ONE / 20, ONE * 20);
        if self.random.chance(15_000) {
            state.path_leaf = 1 - state.path_leaf;
        }
    }

    fn walk_ratings(&mut self) {
        let usual = (300_000 / (self.temperament.base_rank + 400)).clamp(0, 60);
        let state = &mut self.state;
        let bought = if state.out_days > 0 { usual / 4 } else { usual };
        state.ratings_count += self.random.between(0, bought * 2 + 1) / 2;
        if self.random.chance(3_000) {
            state.ratings_count += self.random.between(110, 900);
        }
        // A family is split or reviews are purged.
        if self.random.chance(1_000) {
            state.ratings_count -= state.ratings_count * self.random.between(10, 60) / 100;
        }
        let slow = self.random.noise(4);
        let jump = if self.random.chance(1_000) { -self.random.between(40, 120) } else { 0 };
        state.rating_centi = (state.rating_centi + slow + jump).clamp(120, 500);
        if self.random.chance(2_000) {
            state.title_revision = state.title_revision.wrapping_add(1);
        }
    }

    /// Whether a source sees the product, and how much of it.
    fn walk_attention(&mut self) {
        let state = &mut self.state;
        state.unseen_days = match state.unseen_days {
            0 if self.random.chance(self.temperament.gap_ppm) => self.random.between(1, 4) as i32,
            left => (left - 1).max(0),
        };
        state.hollow_days = match state.hollow_days {
            0 if self.random.chance(3_000) => self.random.between(1, 3) as i32,
            left => (left - 1).max(0),
        };
    }

    /// The fact of today; `spike` multiplies the price for this one day.
    fn fact(&mut self, showing: Showing, spike: Option<i64>) -> Fact {
        let language = self.language();
        let availability = self.availability();
        let (price_minor, list_price_minor, seller) = self.offer(availability, spike);
        let (main_rank, other_ranks) = self.ranks(price_minor);
        let stock_quantity = (availability == Availability::LowStock).then_some(self.state.stock);
        let state = &self.state;
        let offered = price_minor.is_some();
        let shipping_minor = match seller.as_ref().map(|seller| seller.fulfilment) {
            Some(Fulfilment::Fbm) => Some(price_minor.unwrap_or_default() / 10 + 1),
            Some(_) if offered && self.profile.prose.is_multiple_of(2) => Some(0),
            _ => None,
        };
        Fact {
            showing,
            language,
            title_revision: state.title_revision,
            price_minor,
            list_price_minor,
            shipping_minor,
            coupon: state.coupon.filter(|_| offered).map(|(_, coupon)| coupon),
            is_deal: offered && state.promotion.is_some(),
            is_prime: seller.as_ref().is_some_and(|seller| seller.fulfilment != Fulfilment::Fbm),
            seller,
            offer_count: if availability == Availability::Unavailable { 0 } else { state.offer_count },
            availability,
            stock_quantity,
            monthly_sold_min: main_rank.as_ref().and_then(|main| sold_floor(main.rank)),
            main_rank,
            other_ranks,
            path_leaf: state.path_leaf,
            rating_tenths: (state.ratings_count > 0).then_some((state.rating_centi + 5) / 10),
            ratings_count: state.ratings_count,
            garbage: None,
        }
    }

    fn language(&mut self) -> Language {
        let usual = Language::of(self.profile.key.marketplace);
        let foreign = self.random.chance(30_000);
        let electronics = std::ptr::eq(self.profile.category, &CATEGORIES[0]);
        match self.profile.key.marketplace {
            Marketplace::Us if foreign && electronics => Language::Chinese,
            _ => usual,
        }
    }

    fn availability(&mut self) -> Availability {
        let other = self.random.below(1_000);
        match self.state {
            State { out_days: 1.., .. } => Availability::Unavailable,
            _ if other < 4 => Availability::NoFeaturedOffer,
            _ if other < 8 => Availability::ShipsLater,
            State { stock: ..=12, .. } => Availability::LowStock,
            _ => Availability::InStock,
        }
    }

    /// Price, list price and seller of the day; all null when nobody is featured.
    fn offer(
        &self,
        availability: Availability,
        spike: Option<i64>,
    ) -> (Option<i64>, Option<i64>, Option<Seller>) {
        if matches!(availability, Availability::Unavailable | Availability::NoFeaturedOffer) {
            return (None, None, None);
        }
        let (state, marketplace) = (&self.state, self.profile.key.marketplace);
        let mut price = state.posted_minor;
        let mut seller = 0;
        if let Some((_, depth)) = state.promotion {
            price = snap(price * (100 - depth) / 100, marketplace, self.temperament.snaps_to_99);
        }
        if let Some((left, rival)) = state.rival {
            price = (price * (96 + i64::from(left % 4)) / 100).max(1);
            seller = rival;
        }
        price *= spike.unwrap_or(1);
        let list = snap(state.base_minor * 3 / 2, marketplace, true);
        let list = (self.temperament.has_list_price && list > price).then_some(list);
        (Some(price), list, self.sellers.get(seller).cloned())
    }

    /// A dearer product ranks worse: the rank grows with the square of the price over its base.
    fn ranks(&self, price_minor: Option<i64>) -> (Option<FactRank>, Vec<FactRank>) {
        let (state, category) = (&self.state, self.profile.category);
        let relative_ppm =
            price_minor.map_or(ONE, |price| price * ONE / state.base_minor.max(1)).clamp(ONE / 4, ONE * 3);
        let squared_ppm = relative_ppm * relative_ppm / ONE;
        let rank = self.temperament.base_rank * squared_ppm / ONE * state.momentum_ppm / ONE;
        let rank = rank.clamp(1, SLOWEST_RANK);
        // The slowest products have no rank at all.
        if rank > 2_500_000 {
            return (None, Vec::new());
        }
        let leaf = |index: usize, divisor: i64| FactRank {
            node: &category.leaves[index],
            rank: (rank / divisor).max(1),
        };
        let divisor = self.temperament.leaf_divisor;
        let mut others = vec![leaf(state.path_leaf, divisor)];
        if divisor % 2 == 0 {
            others.push(leaf(1 - state.path_leaf, divisor / 2));
            others.sort_by_key(|rank| rank.rank);
        }
        (Some(FactRank { node: &category.root, rank }), others)
    }
}

/// A shop's price: ends in 99 (yen: in 80) where the product does that, always positive.
fn snap(minor: i64, marketplace: Marketplace, snaps: bool) -> i64 {
    let step = 100;
    let ending = if marketplace.currency().exponent() == 0 { 20 } else { 1 };
    if snaps { ((minor + step / 2) / step * step - ending).max(step - ending) } else { minor.max(1) }
}

/// "5K+ bought in past month": the floor that a page shows for a rank.
fn sold_floor(rank: i64) -> Option<i64> {
    match rank {
        ..=500 => Some(10_000),
        501..=2_000 => Some(4_000),
        2_001..=8_000 => Some(1_000),
        8_001..=30_000 => Some(300),
        30_001..=90_000 => Some(50),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices(seed: u64, marketplace: Marketplace, place: u64, days: i32) -> Vec<Option<i64>> {
        let mut product = Product::new(seed, marketplace, place, days).unwrap();
        (0..days).map(|day| product.step(day).and_then(|fact| fact.price_minor)).collect()
    }

    #[test]
    fn a_product_does_not_depend_on_how_long_anybody_looks() {
        let year = prices(3, Marketplace::Us, 2, 365);
        assert_eq!(year[..40], prices(3, Marketplace::Us, 2, 40)[..]);
        assert_ne!(year[..40], prices(4, Marketplace::Us, 2, 40)[..]);
        assert_ne!(year[..40], prices(3, Marketplace::Uk, 2, 40)[..]);
    }

    #[test]
    fn a_year_has_gaps_promotions_stock_outs_and_a_rank_that_follows_stock() {
        let (mut deals, mut out, mut hollow, mut unseen, mut flips, mut low) = (0, 0, 0, 0, 0, 0);
        for place in 0..60 {
            let mut product = Product::new(11, Marketplace::De, place, 365).unwrap();
            let mut leaf = 0;
            for day in 0..365 {
                let Some(fact) = product.step(day) else {
                    unseen += 1;
                    continue;
                };
                deals += i32::from(fact.is_deal);
                out += i32::from(fact.availability.is_out());
                low += i32::from(fact.stock_quantity.is_some());
                hollow += i32::from(fact.showing == Showing::Hollow);
                flips += i32::from(fact.path_leaf != leaf);
                leaf = fact.path_leaf;
                assert!(fact.price_minor.is_none_or(|price| price > 0));
                assert_eq!(fact.seller.is_some(), fact.price_minor.is_some());
            }
        }
        for (what, count) in [
            ("deals", deals),
            ("out", out),
            ("hollow", hollow),
            ("unseen", unseen),
            ("flips", flips),
            ("low", low),
        ] {
            assert!(count > 30, "{what}: {count}");
        }
    }

    #[test]
    fn prices_look_like_the_marketplace_they_are_from() {
        for price in prices(5, Marketplace::Jp, 0, 60).into_iter().flatten() {
            assert!((500..40_000).contains(&price), "{price} yen");
        }
    }

    #[test]
    fn one_product_is_seen_on_one_day_only_and_another_disappears() {
        let seen =
            |place| prices(1, Marketplace::Us, place, 60).iter().filter(|price| price.is_some()).count();
        assert!(seen(7) <= 1);
        let mut gone = Product::new(1, Marketplace::Us, 19, 60).unwrap();
        let not_found = (0..60).filter_map(|day| gone.step(day)).filter(|f| f.showing == Showing::NotFound);
        assert!(not_found.count() > 0);
    }
}
