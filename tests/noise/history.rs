//! What is true of every product on every day, and what reading it shows.

use amzctl::generate::random::Random;

use super::Options;
use super::kind::Kind;
use super::plan::{Happening, Plan, level};
use super::product::{Product, Wobble, log_uniform, normal};

/// What one look at a product shows. Null is "the page does not say".
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Reading {
    pub(crate) is_found: bool,
    pub(crate) price_minor: Option<i64>,
    pub(crate) is_out: bool,
    pub(crate) is_low: bool,
    pub(crate) seller: Option<String>,
    pub(crate) rank: Option<i64>,
    pub(crate) leaf_rank: Option<i64>,
    pub(crate) rating_centi: i64,
    pub(crate) ratings: i64,
    pub(crate) title: String,
    pub(crate) brand: String,
    /// Numbers of pictures, in the order of the page.
    pub(crate) images: Vec<u8>,
}

impl Reading {
    fn sell_out(&mut self) {
        self.is_out = true;
        self.price_minor = None;
        self.seller = None;
    }
}

/// A product's days.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// The price without wobble and noise.
    pub(crate) level: Vec<i64>,
    /// What was really asked, for however short a time; null where nothing was for sale or nobody looked.
    pub(crate) asked: Vec<Option<i64>>,
    /// What every source would show that makes no mistakes; null where it is not seen.
    pub(crate) clean: Vec<Option<Reading>>,
    /// What the product's first source shows.
    pub(crate) readings: Vec<Option<Reading>>,
    /// What it shows of the same day when asked again; null where nobody asks.
    pub(crate) second_looks: Vec<Option<Reading>>,
}

/// Each rival had the buy box for two days of the warm-up.
const KNOWN_SINCE: i32 = 6;
/// How strongly a rank's breath is that of the day before.
const BREATH_MEMORY: f64 = 0.6;
/// Days without stock take a rank down by this much in its logarithm, up to a limit, and it comes back as fast.
const STOCK_STEP: f64 = 0.25;
const STOCK_LIMIT: f64 = 1.4;

pub(crate) fn build(options: &Options, products: &[Product], plan: &Plan) -> Vec<History> {
    let of = |(place, product): (usize, &Product)| {
        let random = Random::stream(options.seed, &[4, place as u64]);
        Walk { options, product, happenings: &plan.happenings[place], random }.history()
    };
    products.iter().enumerate().map(of).collect()
}

struct Walk<'a> {
    options: &'a Options,
    product: &'a Product,
    happenings: &'a [Happening],
    random: Random,
}

impl Walk<'_> {
    fn history(mut self) -> History {
        let days = self.options.days;
        let level: Vec<i64> = (0..days).map(|day| level(self.product, self.happenings, day)).collect();
        let prices = self.prices(&level);
        let sellers = self.sellers();
        let ranks = self.ranks();
        let ratings = self.ratings();
        let mut clean: Vec<Option<Reading>> = Vec::with_capacity(days as usize);
        for day in 0..days {
            let at = day as usize;
            let (rating_centi, count) = ratings[at];
            let mut reading = Reading {
                is_found: true,
                price_minor: Some(prices[at]),
                is_out: false,
                is_low: self.random.chance(100_000),
                seller: Some(sellers[at].clone()),
                rank: Some(ranks[at]),
                leaf_rank: Some((ranks[at] / self.product.leaf_divisor).max(1)),
                rating_centi,
                ratings: count,
                title: self.title(day),
                brand: self.brand(day),
                images: vec![1, 2, 3, 4],
            };
            self.really(day, &mut reading);
            clean.push(self.is_seen(day).then_some(reading));
        }
        let asked = clean
            .iter()
            .map(|reading| reading.as_ref().filter(|reading| reading.is_found)?.price_minor)
            .collect();
        let (mut readings, mut second_looks) = (clean.clone(), vec![None; days as usize]);
        for happening in self.happenings {
            for day in happening.from..=happening.until.min(days - 1) {
                let at = day as usize;
                if happening.kind == Kind::MissedReadings {
                    readings[at] = None;
                } else if let Some(reading) = &mut readings[at] {
                    if happening.kind == Kind::Corrected {
                        second_looks[at] = Some(reading.clone());
                    }
                    mistake(happening, reading);
                }
            }
        }
        History { level, asked, clean, readings, second_looks }
    }

    fn on(&self, kind: Kind, day: i32) -> Option<&Happening> {
        self.happenings.iter().find(|it| it.kind == kind && (it.from..=it.until).contains(&day))
    }

    fn is_seen(&self, day: i32) -> bool {
        self.on(Kind::Unseen, day).is_none()
    }

    fn prices(&mut self, level: &[i64]) -> Vec<i64> {
        let mut wobble = 0;
        let mut price = |level: i64| {
            if self.random.chance(self.product.reprice_ppm) {
                wobble = self.random.between(-1_000, 1_000);
            }
            let off = match self.product.wobble {
                Wobble::None => 0,
                Wobble::Cents(cents) => cents * wobble / 1_000,
                Wobble::BasisPoints(points) => level * points * wobble / 10_000_000,
            };
            (level + off).max(1)
        };
        level.iter().map(|level| price(*level)).collect()
    }

    /// Who has the buy box when nothing happens.
    fn sellers(&mut self) -> Vec<String> {
        let sellers = &self.product.sellers;
        let (mut at, mut left) = (0, 0);
        let mut holder = |day: i32| {
            let rival = (day - KNOWN_SINCE) / 2 + 1;
            if day >= KNOWN_SINCE && (rival as usize) < sellers.len() {
                return sellers[rival as usize].clone();
            }
            if self.product.rotates && left == 0 {
                at = (at + 1 + self.random.below(sellers.len() as u64 - 1) as usize) % sellers.len();
                left = self.random.between(1, 2);
            }
            left -= i64::from(left > 0);
            sellers[at].clone()
        };
        (0..self.options.days).map(&mut holder).collect()
    }

    fn ranks(&mut self) -> Vec<i64> {
        let (product, days) = (self.product, self.options.days);
        let phase = product.category as f64 * 1.7;
        let (mut breath, mut hunger) = (normal(&mut self.random) * product.rank_breath, 0.0_f64);
        let mut rank = |day: i32| {
            let innovation = (1.0 - BREATH_MEMORY * BREATH_MEMORY).sqrt() * product.rank_breath;
            breath = BREATH_MEMORY * breath + innovation * normal(&mut self.random);
            let is_out = self.on(Kind::StockOut, day).is_some();
            hunger = (hunger + if is_out { STOCK_STEP } else { -STOCK_STEP }).clamp(0.0, STOCK_LIMIT);
            let turn = |days: f64| (f64::from(day) * std::f64::consts::TAU / days + phase).sin();
            let season = 0.06 * turn(7.0) + 0.25 * turn(75.0);
            let lasting: f64 = [Kind::RankCollapse, Kind::RankClimb]
                .iter()
                .filter_map(|kind| self.on(*kind, day))
                .map(|it| {
                    (it.size as f64 / 1e3).ln() * if day == it.from && it.size % 3 == 0 { 0.5 } else { 1.0 }
                })
                .sum();
            // Far down the list one sale lifts a product for a day.
            let sale = product.is_in_the_tail() && self.random.chance(20_000);
            let burst = if sale { log_uniform(&mut self.random, 0.3, 0.7).ln() } else { 0.0 };
            let logarithm = product.rank.ln() + breath + hunger + season + lasting + burst;
            (logarithm.exp() as i64).clamp(1, 5_000_000)
        };
        (0..days).map(&mut rank).collect()
    }

    /// Average in hundredths, shown in tenths, and number of ratings.
    fn ratings(&mut self) -> Vec<(i64, i64)> {
        let (product, days) = (self.product, self.options.days);
        let (mut drift, mut count) = (0, product.ratings);
        let mut rating = |day: i32| {
            drift = (drift + self.random.between(-1, 1)).clamp(-8, 8);
            let today = product.pace * self.random.between(60, 140) / 100;
            count += today / 1_000 + i64::from(self.random.below(1_000) < (today % 1_000) as u64);
            count += self
                .happenings
                .iter()
                .filter(|it| it.kind == Kind::RatingsFlood && it.from == day)
                .map(|it| it.size)
                .sum::<i64>();
            let lasting: i64 = [Kind::RatingFall, Kind::RatingRise]
                .iter()
                .filter_map(|kind| self.on(*kind, day))
                .map(|it| {
                    let steps = it.days.len().max(1) as i64;
                    it.size * i64::from(day - it.from + 1).min(steps) / steps
                })
                .sum();
            let average = (product.rating_centi + drift + lasting).clamp(100, 500);
            ((average + 5) / 10 * 10, count)
        };
        (0..days).map(&mut rating).collect()
    }

    fn title(&self, day: i32) -> String {
        let name = &self.product.asin[2..6];
        let words = match self.on(Kind::Rewritten, day) {
            Some(it) if it.size < 7 => "Edition 2026, Extra Strong, with Café Filter & Lid",
            _ => "with Café Filter & Lid, 1.5 Litres, Black",
        };
        format!("Model {name} Household Helper {words}")
    }

    fn brand(&self, day: i32) -> String {
        let group = &self.product.asin[6..];
        let is_renamed = self.on(Kind::Rewritten, day).is_some_and(|it| it.size >= 5);
        if is_renamed { format!("Nordwind {group}") } else { format!("Brand {group}") }
    }

    /// What really happens to the offer on the day.
    fn really(&self, day: i32, reading: &mut Reading) {
        for happening in self.happenings.iter().filter(|it| (it.from..=it.until).contains(&day)) {
            let is_today = happening.days.contains(&day);
            let cheaper = |price: Option<i64>| price.map(|price| price * (1_000 + happening.size) / 1_000);
            match happening.kind {
                Kind::StockOut => reading.sell_out(),
                Kind::FlappingStock if is_today => reading.sell_out(),
                Kind::OtherSeller | Kind::UnknownSeller => reading.seller.clone_from(&happening.seller),
                Kind::SellerFlip if is_today => {
                    reading.seller.clone_from(&happening.seller);
                    reading.price_minor = cheaper(reading.price_minor);
                }
                Kind::PassingSeller => {
                    reading.seller.clone_from(&happening.seller);
                    reading.price_minor = cheaper(reading.price_minor);
                }
                Kind::LightningDeal => reading.price_minor = cheaper(reading.price_minor),
                Kind::RankBurst => {
                    let burst = |rank: Option<i64>| rank.map(|rank| (rank * happening.size / 1_000).max(1));
                    reading.rank = burst(reading.rank);
                    reading.leaf_rank = burst(reading.leaf_rank);
                }
                Kind::Gone => reading.is_found = false,
                _ => {}
            }
        }
    }
}

/// What the product's first source gets wrong.
fn mistake(happening: &Happening, reading: &mut Reading) {
    match happening.kind {
        Kind::PriceGlitch => {
            reading.price_minor = reading.price_minor.map(|price| (price * happening.size / 100).max(1));
        }
        Kind::RatingGlitch => reading.rating_centi = (reading.rating_centi + happening.size).max(100),
        Kind::CountGlitch => reading.ratings += happening.size,
        Kind::RanksMissing => (reading.rank, reading.leaf_rank) = (None, None),
        Kind::Notation => {
            reading.title = match happening.from % 3 {
                0 => reading.title.replace('&', "&amp;"),
                1 => reading.title.replace(", ", " ,  ").replace(" ,", ","),
                // Decomposed: the accent is a sign of its own.
                _ => reading.title.replace('é', "e\u{301}"),
            };
        }
        Kind::ImagesReordered => reading.images.rotate_left(1),
        Kind::Corrected if happening.size % 4 == 0 => reading.sell_out(),
        Kind::Corrected => {
            let wrong = |price: i64| price * (1_000 + happening.size) / 1_000;
            reading.price_minor = reading.price_minor.map(wrong);
        }
        _ => {}
    }
}
