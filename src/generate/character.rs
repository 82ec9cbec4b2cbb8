//! What is drawn once for each synthetic product: how it behaves, how long it lives, what it costs, who sells it.

use super::catalog::BRANDS;
use super::fact::{Profile, Seller};
use super::random::Random;
use crate::model::{Fulfilment, Marketplace};

/// How a product behaves; drawn once.
#[derive(Clone)]
pub(super) struct Temperament {
    pub(super) drift_ppm: i64,
    pub(super) volatility_ppm: i64,
    pub(super) reprice_ppm: u64,
    pub(super) promotion_ppm: u64,
    pub(super) stock_out_ppm: u64,
    pub(super) gap_ppm: u64,
    pub(super) snaps_to_99: bool,
    pub(super) base_rank: i64,
    pub(super) leaf_divisor: i64,
    pub(super) has_list_price: bool,
    pub(super) sold_by_amazon: bool,
}

/// The days on which a product exists, counted from the market's first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Life {
    pub(super) first: i32,
    pub(super) last: i32,
}

/// Letters of synthetic ids, as Amazon's ids have them.
const ID_LETTERS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

pub(super) fn letters(random: &mut Random, count: usize) -> String {
    (0..count).map(|_| char::from(*random.pick(ID_LETTERS))).collect()
}

pub(super) fn draw_temperament(random: &mut Random, place: u64) -> Temperament {
    let restless = place % 10 == 4;
    Temperament {
        drift_ppm: random.between(-900, 900),
        volatility_ppm: random.between(2_000, 24_000),
        reprice_ppm: random.between(40_000, 700_000) as u64,
        promotion_ppm: random.between(4_000, 30_000) as u64,
        stock_out_ppm: random.between(1_000, 10_000) as u64,
        gap_ppm: if restless { 130_000 } else { random.between(0, 25_000) as u64 },
        snaps_to_99: random.chance(650_000),
        base_rank: random.between_octaves(60, 700_000),
        leaf_divisor: random.between(7, 40),
        has_list_price: random.chance(450_000),
        sold_by_amazon: random.chance(150_000),
    }
}

/// Around the category's usual price, in the marketplace's own minor units.
pub(super) fn draw_base_price(random: &mut Random, marketplace: Marketplace, typical_price: i64) -> i64 {
    let minor_units = 10_i64.pow(marketplace.currency().exponent());
    // What a dollar-like unit is worth here, roughly: prices should look right, nothing more.
    let local_units = match marketplace.currency().code() {
        "JPY" => 150,
        "INR" => 85,
        "TRY" => 40,
        "EGP" => 48,
        "ZAR" | "MXN" => 18,
        "SEK" => 10,
        "BRL" => 6,
        "PLN" | "AED" | "SAR" => 4,
        _ => 1,
    };
    typical_price * local_units * minor_units * random.between(55, 170) / 100
}

/// Most products live through; some are seen on a single day, arrive late, or disappear.
pub(super) fn draw_life(random: &mut Random, place: u64, days: i32) -> Life {
    let (first, last) = (0, days);
    let somewhere = random.between(1, i64::from(days).max(2) - 1) as i32;
    if days < 4 {
        return Life { first, last };
    }
    match place % 25 {
        7 => Life { first: somewhere, last: somewhere },
        13 => Life { first: somewhere, last },
        19 => Life { first, last: somewhere },
        _ => Life { first, last },
    }
}

/// The usual holder of the buy box first, then the rivals that win it now and then.
pub(super) fn draw_sellers(random: &mut Random, profile: &Profile, sold_by_amazon: bool) -> Vec<Seller> {
    let amazon = format!("A{}", profile.key.marketplace.domain().trim_start_matches('a'));
    let own = if sold_by_amazon {
        Seller { id: None, name: amazon, fulfilment: Fulfilment::Amazon }
    } else {
        Seller {
            id: Some(format!("A{}", letters(random, 13))),
            name: format!("{} Direct", profile.brand),
            fulfilment: Fulfilment::Fba,
        }
    };
    let rivals = (0..random.below(4)).map(|_| Seller {
        id: Some(format!("A{}", letters(random, 13))),
        name: format!("{} Trading", random.pick(&BRANDS)),
        fulfilment: if random.chance(600_000) { Fulfilment::Fba } else { Fulfilment::Fbm },
    });
    std::iter::once(own).chain(rivals).collect()
}
