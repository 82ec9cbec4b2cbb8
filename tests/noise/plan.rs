//! What happens, drawn before anything is simulated: to the sources, and to each product one thing after the other.

use amzctl::generate::random::Random;

use super::kind::Kind;
use super::product::{Market, Product, seller};
use super::{Options, TELL_WITHIN, WARM_UP};

/// Something that happens to one product.
#[derive(Clone, Debug)]
pub(crate) struct Happening {
    pub(crate) kind: Kind,
    /// The first day that differs.
    pub(crate) from: i32,
    /// The last day that does; the market's last for what stays.
    pub(crate) until: i32,
    /// How much, in thousandths of what it changes; other units where the kind says so.
    pub(crate) size: i64,
    /// The readings that differ, where it is not all of them.
    pub(crate) days: Vec<i32>,
    /// Who takes the buy box.
    pub(crate) seller: Option<String>,
}

/// Something that happens to a source, and so to all that it reads.
#[derive(Clone, Debug)]
pub(crate) struct Incident {
    pub(crate) kind: Kind,
    /// Null where it is every source.
    pub(crate) market: Option<Market>,
    pub(crate) from: i32,
    pub(crate) until: i32,
    /// How it goes wrong, where there are several ways.
    pub(crate) way: u64,
}

impl Incident {
    pub(crate) fn is_on(&self, market: Market, day: i32) -> bool {
        self.market.is_none_or(|its| its == market) && (self.from..=self.until).contains(&day)
    }

    /// True where an event that begins on the day could not be seen in time.
    fn hides(&self, market: Market, day: i32) -> bool {
        let is_silence = matches!(self.kind, Kind::SilentSource | Kind::SilentCron);
        let before = if is_silence { TELL_WITHIN } else { 0 };
        self.kind != Kind::LateData
            && self.market.is_none_or(|its| its == market)
            && (self.from - before..=self.until).contains(&day)
    }
}

/// Everything that happens.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) incidents: Vec<Incident>,
    /// For each product, in order of days, never two at a time.
    pub(crate) happenings: Vec<Vec<Happening>>,
}

/// Of a hundred things that happen to a product so many are events.
const EVENT_PCT: u64 = 35;
/// Days between two things that happen to a product.
const REST: (i64, i64) = (6, 18);

pub(crate) fn draw(options: &Options, products: &[Product]) -> Plan {
    let incidents = draw_incidents(options);
    let mut happenings: Vec<Vec<Happening>> = Vec::with_capacity(products.len());
    for place in 0..products.len() {
        let drawn = Draw {
            options,
            place,
            product: &products[place],
            main: &products[products[place].main],
            // Its group's main product was drawn before it; its own list is not there yet.
            of_main: happenings.get(products[place].main).map_or(&[], Vec::as_slice),
            incidents: &incidents,
            random: Random::stream(options.seed, &[2, place as u64]),
        }
        .happenings();
        happenings.push(drawn);
    }
    Plan { incidents, happenings }
}

/// One after the other, each kind once before any comes twice.
fn draw_incidents(options: &Options) -> Vec<Incident> {
    let mut random = Random::stream(options.seed, &[3]);
    let mut left: Vec<Kind> = Vec::new();
    let mut incidents = Vec::new();
    let mut day = WARM_UP + random.between(3, 6) as i32;
    while day < options.days - 2 {
        if left.is_empty() {
            left = Kind::INCIDENTS.to_vec();
        }
        let kind = left.swap_remove(random.below(left.len() as u64) as usize);
        let days = match kind {
            Kind::SilentSource => random.between(3, 6),
            Kind::SilentCron => random.between(4, 6),
            _ => 1,
        } as i32;
        let is_everywhere = matches!(kind, Kind::MissedDay | Kind::SilentCron);
        let market = *random.pick(&Market::ALL);
        incidents.push(Incident {
            kind,
            market: (!is_everywhere).then_some(market),
            from: day,
            until: (day + days - 1).min(options.days - 1),
            way: random.below(u64::MAX),
        });
        day += days + random.between(5, 8) as i32;
    }
    incidents
}

/// A product's price without wobble on a day, by what happened to it.
pub(crate) fn level(product: &Product, happenings: &[Happening], day: i32) -> i64 {
    let moves = |kind: Kind| {
        matches!(
            kind,
            Kind::PriceCut
                | Kind::PriceRise
                | Kind::Promotion
                | Kind::Undercutting
                | Kind::SmallCut
                | Kind::SmallRise
                | Kind::OtherSeller
                | Kind::UnknownSeller
        )
    };
    happenings
        .iter()
        .filter(|happening| moves(happening.kind) && (happening.from..=happening.until).contains(&day))
        .fold(product.price_minor, |price, happening| price * (1_000 + happening.size) / 1_000)
}

struct Draw<'a> {
    options: &'a Options,
    place: usize,
    product: &'a Product,
    main: &'a Product,
    of_main: &'a [Happening],
    incidents: &'a [Incident],
    random: Random,
}

impl Draw<'_> {
    fn happenings(mut self) -> Vec<Happening> {
        let mut drawn: Vec<Happening> = Vec::new();
        let mut day = WARM_UP + 1 + self.random.between(0, 14) as i32;
        while day < self.options.days - 2 {
            let kinds: &[(Kind, u64)] =
                if self.random.chance(EVENT_PCT * 10_000) { &Kind::EVENTS } else { &Kind::NOISE };
            let kind = self.weighted(kinds);
            if !self.suits(kind, day, &drawn) || (kind.is_event() && self.is_hidden(day)) {
                // Another draw; a day on which nothing suits passes.
                day += i32::from(self.random.chance(300_000));
                continue;
            }
            let happening = self.happening(kind, day, &drawn);
            day = happening.until.max(day) + self.random.between(REST.0, REST.1) as i32;
            drawn.push(happening);
        }
        drawn
    }

    fn weighted(&mut self, kinds: &[(Kind, u64)]) -> Kind {
        let mut left = self.random.below(kinds.iter().map(|(_, weight)| weight).sum());
        for (kind, weight) in kinds {
            if left < *weight {
                return *kind;
            }
            left -= weight;
        }
        Kind::Other
    }

    fn is_hidden(&self, day: i32) -> bool {
        self.incidents.iter().any(|incident| incident.hides(self.product.market, day))
    }

    /// Whether a kind makes sense for the product, and is not there already for good.
    fn suits(&self, kind: Kind, day: i32, drawn: &[Happening]) -> bool {
        let product = self.product;
        let has = |kinds: &[Kind]| drawn.iter().any(|happening| kinds.contains(&happening.kind));
        match kind {
            Kind::PriceCut | Kind::PriceRise | Kind::Promotion | Kind::SmallCut | Kind::SmallRise => {
                !product.hovers
            }
            Kind::Undercutting => {
                let (own, main) = (level(product, drawn, day), level(self.main, self.of_main, day));
                product.is_competitor() && !product.hovers && own * 100 > main * 105
            }
            Kind::RankCollapse | Kind::RankClimb => {
                !product.is_in_the_tail()
                    && product.leaf_rank() >= 40
                    && !has(&[Kind::RankCollapse, Kind::RankClimb])
            }
            Kind::RatingFall => !has(&[Kind::RatingFall, Kind::RatingRise]),
            Kind::RatingRise => product.rating_centi <= 400 && !has(&[Kind::RatingFall, Kind::RatingRise]),
            Kind::RatingsFlood => product.pace < 50_000,
            Kind::OtherSeller | Kind::UnknownSeller | Kind::SellerFlip | Kind::PassingSeller => {
                !product.rotates
            }
            // Its cohort would be without it.
            Kind::Gone => !product.is_main(self.place),
            Kind::ImagesReordered => product.market == Market::Us,
            _ => true,
        }
    }

    fn happening(&mut self, kind: Kind, from: i32, drawn: &[Happening]) -> Happening {
        let last = self.options.days - 1;
        let random = &mut self.random;
        let mut happening = Happening { kind, from, until: from, size: 0, days: Vec::new(), seller: None };
        let days = |days: i64| (from + days as i32 - 1).min(last);
        match kind {
            Kind::PriceCut => (happening.until, happening.size) = (last, -random.between(130, 450)),
            Kind::PriceRise => (happening.until, happening.size) = (last, random.between(140, 500)),
            Kind::SmallCut => (happening.until, happening.size) = (last, -random.between(40, 80)),
            Kind::SmallRise => (happening.until, happening.size) = (last, random.between(30, 80)),
            Kind::Promotion => {
                (happening.until, happening.size) = (days(random.between(4, 12)), -random.between(130, 400));
            }
            Kind::Undercutting => {
                let target = level(self.main, self.of_main, from) * random.between(860, 950) / 1_000;
                let own = level(self.product, drawn, from).max(1);
                (happening.until, happening.size) = (last, target * 1_000 / own - 1_000);
            }
            // Thousandths of the usual rank.
            Kind::RankCollapse => (happening.until, happening.size) = (last, random.between(2_500, 7_000)),
            Kind::RankClimb => (happening.until, happening.size) = (last, random.between(140, 400)),
            // Hundredths of a star, over one, two or three days.
            Kind::RatingFall => {
                (happening.until, happening.size) = (last, -random.between(70, 130));
                happening.days = vec![from; 1 + random.below(10).saturating_sub(7) as usize];
            }
            Kind::RatingRise => {
                let room = 490 - self.product.rating_centi;
                (happening.until, happening.size) = (last, random.between(60, 90.min(room).max(60)));
                happening.days = vec![from; 1 + random.below(10).saturating_sub(7) as usize];
            }
            // Ratings.
            Kind::RatingsFlood => {
                let least = 150.max(8 * self.product.pace / 1_000).max(self.product.ratings * 4 / 100);
                (happening.until, happening.size) = (from, least * random.between(100, 400) / 100);
            }
            Kind::StockOut => happening.until = days(random.between(3, 14)),
            Kind::OtherSeller => {
                let others = self.product.sellers.len() as i64 - 1;
                happening.seller = Some(self.product.sellers[random.between(1, others) as usize].clone());
                (happening.until, happening.size) = (days(random.between(3, 12)), -random.between(-5, 30));
            }
            Kind::UnknownSeller => {
                happening.seller = Some(seller(random));
                let until = if random.chance(400_000) { last } else { days(random.between(3, 10)) };
                (happening.until, happening.size) = (until, -random.between(-5, 30));
            }
            Kind::Rewritten | Kind::Gone => (happening.until, happening.size) = (last, random.between(0, 9)),
            Kind::Unseen => happening.until = days(random.between(5, 9)),
            Kind::FlappingStock => {
                let mut day = from;
                for _ in 0..random.between(1, 3) {
                    happening.days.push(day);
                    day += random.between(2, 3) as i32;
                }
            }
            // Hundredths of the price: a lost or a misplaced decimal point, another currency, a misread figure.
            Kind::PriceGlitch => happening.size = *random.pick(&[1_000, 10_000, 1, 10, 86, 116, 1_800, 50]),
            Kind::LightningDeal => happening.size = -random.between(100, 350),
            Kind::SellerFlip => {
                happening.seller = Some(self.product.sellers[1].clone());
                happening.size = -random.between(40, 180);
                let end = days(random.between(6, 10));
                let mut day = from;
                while day < end {
                    let dwell = if random.chance(250_000) { 2 } else { 1 };
                    happening.days.extend(day..day + dwell);
                    day += dwell + random.between(1, 2) as i32;
                }
            }
            Kind::PassingSeller => {
                happening.seller = Some(seller(random));
                happening.size = -random.between(0, 30);
            }
            // Hundredths of a star, and ratings.
            Kind::RatingGlitch => happening.size = -random.between(60, 220),
            Kind::CountGlitch => happening.size = random.between(300, 5_000),
            Kind::RankBurst => happening.size = *random.pick(&[250, 350, 450, 2_200, 3_500]),
            Kind::MissedReadings | Kind::Notation => happening.until = days(random.between(1, 2)),
            Kind::Corrected => happening.size = -random.between(120, 250),
            _ => {}
        }
        if let Some(day) = happening.days.last() {
            happening.until = happening.until.max(*day).min(last);
        }
        happening.days.retain(|day| *day <= last);
        let has_an_end =
            matches!(kind, Kind::Promotion | Kind::StockOut | Kind::OtherSeller | Kind::UnknownSeller);
        while has_an_end && happening.until < last && self.is_hidden(happening.until + 1) {
            happening.until += 1;
        }
        happening
    }
}
