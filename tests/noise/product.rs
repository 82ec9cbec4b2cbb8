//! Who is in the market: groups of ten that compete with each other, and how each of them behaves day by day.

use amzctl::generate::random::Random;

use super::Options;

/// Products of a group: first the main product of the cohort, then two more of our own, then its competitors.
pub(crate) const GROUP: usize = 10;
const OWN: usize = 3;

/// Where it is sold, and which source reads it there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Market {
    /// Read as answers of Rainforest.
    Us,
    /// Read as flat tables.
    De,
}

impl Market {
    pub(crate) const ALL: [Market; 2] = [Market::Us, Market::De];

    pub(crate) fn code(self) -> &'static str {
        match self {
            Market::Us => "US",
            Market::De => "DE",
        }
    }

    pub(crate) fn currency(self) -> &'static str {
        match self {
            Market::Us => "USD",
            Market::De => "EUR",
        }
    }

    /// The seller that is us.
    pub(crate) fn own_seller(self) -> &'static str {
        match self {
            Market::Us => "AOWNSELLERUS0",
            Market::De => "AOWNSELLERDE0",
        }
    }
}

/// How much a price moves without meaning anything.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wobble {
    None,
    Cents(i64),
    BasisPoints(i64),
}

/// One product and its temperament.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub(crate) market: Market,
    pub(crate) asin: String,
    /// Place in the list of all products of its group's main product.
    pub(crate) main: usize,
    pub(crate) is_own: bool,
    pub(crate) category: usize,
    pub(crate) price_minor: i64,
    pub(crate) wobble: Wobble,
    /// How often a day brings another price.
    pub(crate) reprice_ppm: u64,
    /// A competitor priced like the main product.
    pub(crate) hovers: bool,
    /// Also read by the other source.
    pub(crate) has_second_source: bool,
    /// The usual holder of the buy box first, then others that had it in the warm-up.
    pub(crate) sellers: Vec<String>,
    /// They take turns all the time.
    pub(crate) rotates: bool,
    pub(crate) rank: f64,
    /// Standard deviation of the logarithm: the further down the list, the less a place means.
    pub(crate) rank_breath: f64,
    pub(crate) leaf_divisor: i64,
    pub(crate) rating_centi: i64,
    pub(crate) ratings: i64,
    /// Ratings in 1,000 days.
    pub(crate) pace: i64,
}

impl Product {
    /// A place in the narrowest category that is far enough from the top to be a number and not an ordinal.
    pub(crate) fn leaf_rank(&self) -> i64 {
        self.rank as i64 / self.leaf_divisor
    }

    /// So far down that one sale moves it by half.
    pub(crate) fn is_in_the_tail(&self) -> bool {
        self.rank > 60_000.0
    }

    pub(crate) fn is_main(&self, place: usize) -> bool {
        self.main == place
    }

    pub(crate) fn is_competitor(&self) -> bool {
        !self.is_own
    }

    /// The furthest that the wobble takes a price, in basis points.
    pub(crate) fn wobble_bp(&self) -> i64 {
        match self.wobble {
            Wobble::None => 0,
            Wobble::Cents(cents) => cents * 10_000 / self.price_minor + 1,
            Wobble::BasisPoints(points) => points,
        }
    }
}

/// The letters of made-up ids.
fn letters(random: &mut Random, count: usize) -> String {
    (0..count).map(|_| char::from(*random.pick(b"BCDFGHJKLMNPQRSTVWXYZ0123456789"))).collect()
}

pub(crate) fn seller(random: &mut Random) -> String {
    format!("A{}", letters(random, 12))
}

/// A number between two others, as likely in each octave.
pub(crate) fn log_uniform(random: &mut Random, low: f64, high: f64) -> f64 {
    let share = random.below(1_000_000) as f64 / 1e6;
    low * (high / low).powf(share)
}

/// A number of a normal distribution with the standard deviation 1, roughly.
pub(crate) fn normal(random: &mut Random) -> f64 {
    (0..12).map(|_| random.below(1_000_000) as f64 / 1e6).sum::<f64>() - 6.0
}

/// All products, group by group; groups alternate between the marketplaces.
pub(crate) fn draw(options: &Options) -> Vec<Product> {
    let mut products: Vec<Product> = Vec::with_capacity(options.products);
    for place in 0..options.products {
        let mut random = Random::stream(options.seed, &[1, place as u64]);
        let (group, main) = (place / GROUP, place - place % GROUP);
        let of_main = products.get(main).map(|main| main.price_minor);
        products.push(draw_one(&mut random, place, group, main, of_main));
    }
    products
}

fn draw_one(random: &mut Random, place: usize, group: usize, main: usize, of_main: Option<i64>) -> Product {
    let market = Market::ALL[group % Market::ALL.len()];
    let is_own = place - main < OWN;
    let hovers = !is_own && random.chance(120_000);
    let price_minor = match of_main {
        None => log_uniform(random, 1_200.0, 12_000.0) as i64,
        Some(price) if hovers => price,
        // Far enough from the main product's that only an event crosses it.
        Some(price) if random.chance(400_000) => price * random.between(600, 910) / 1_000,
        Some(price) => price * random.between(1_090, 1_600) / 1_000,
    };
    let wobble = match random.below(10) {
        _ if hovers => Wobble::Cents(random.between(1, 12)),
        0..=2 => Wobble::None,
        3..=5 => Wobble::Cents(random.between(1, 3)),
        _ => Wobble::BasisPoints(random.between(20, 140)),
    };
    let usual = if is_own { market.own_seller().to_owned() } else { seller(random) };
    let others = (0..random.between(1, 3)).map(|_| seller(random));
    let sellers: Vec<String> = std::iter::once(usual).chain(others).collect();
    let rank = log_uniform(random, 60.0, 250_000.0);
    let is_busy = random.chance(16_000);
    let pace =
        if is_busy { random.between(88_000, 130_000) } else { log_uniform(random, 50.0, 25_000.0) as i64 };
    Product {
        market,
        asin: format!("B0{}{place:04}", letters(random, 4)),
        main,
        is_own,
        category: group / Market::ALL.len() % super::feed::CATEGORIES,
        price_minor,
        wobble,
        reprice_ppm: random.between(50_000, 600_000) as u64,
        hovers,
        has_second_source: random.chance(250_000),
        sellers,
        rotates: !is_own && random.chance(80_000),
        rank,
        rank_breath: 0.05 + 0.045 * (rank / 60.0).log10(),
        leaf_divisor: random.between(7, 30),
        rating_centi: random.between(340, 480),
        ratings: if is_busy {
            random.between(20_000, 90_000)
        } else {
            log_uniform(random, 25.0, 40_000.0) as i64
        },
        pace,
    }
}
