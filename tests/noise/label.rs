//! Which alerts are right: derived from what is true, never from what a source shows.

use super::history::History;
use super::kind::Kind;
use super::plan::{Happening, Plan};
use super::product::{GROUP, Product};
use super::{Options, TELL_WITHIN, World};

/// One alert that somebody wants, or at least does not mind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Label {
    /// The alert's type.
    pub(crate) rule: &'static str,
    /// Place of the product; null where it is about a source.
    pub(crate) place: Option<usize>,
    /// The competitor or seller it is about; '' where there is none.
    pub(crate) object: String,
    /// The days on which telling is right.
    pub(crate) from: i32,
    pub(crate) until: i32,
    /// Not telling is a miss.
    pub(crate) is_demanded: bool,
    pub(crate) kind: Kind,
}

/// A lasting change of the price by this much in thousandths has to be told, by that much may be.
const DEMANDED_CHANGE: i64 = 130;
const WELCOME_CHANGE: i64 = 80;
/// What a lasting change has to be, for the price to be an outlier rightly.
const OUTLIER_CHANGE: i64 = 25;
/// How far below the lowest price, or the main product's, in thousandths.
const DEMANDED_BELOW: i64 = 30;
/// Prices nearer to each other than this are the same, in thousandths.
const LEVEL_WITH: i64 = 20;
/// Beyond this many days nothing is compared.
const GAP: i32 = 7;
/// What lasts no longer than this is to blame on each of its days.
const SHORT: i32 = 15;

pub(crate) fn derive(
    options: &Options,
    products: &[Product],
    plan: &Plan,
    histories: &[History],
) -> Vec<Label> {
    let mut labels = Labels { options, labels: Vec::new() };
    for incident in plan.incidents.iter().filter(|incident| incident.kind != Kind::LateData) {
        labels.put(
            "source_incident",
            None,
            "",
            incident.from..=incident.until + TELL_WITHIN,
            false,
            incident.kind,
        );
    }
    for (place, product) in products.iter().enumerate() {
        let (happenings, history) = (&plan.happenings[place], &histories[place]);
        labels.prices(place, product, happenings, history);
        happenings.iter().for_each(|happening| labels.happening(place, product, happening));
        if product.is_main(place) {
            let rivals =
                (place + 1..products.len().min(place + GROUP)).filter(|at| products[*at].is_competitor());
            for rival in rivals {
                labels.undercut(place, rival, products, plan, histories);
            }
        }
    }
    labels.labels
}

struct Labels<'a> {
    options: &'a Options,
    labels: Vec<Label>,
}

impl Labels<'_> {
    fn put(
        &mut self,
        rule: &'static str,
        place: Option<usize>,
        object: &str,
        days: std::ops::RangeInclusive<i32>,
        is_demanded: bool,
        kind: Kind,
    ) {
        let (from, until) = days.into_inner();
        if from < self.options.days {
            let is_demanded = is_demanded && from + TELL_WITHIN < self.options.days;
            let object = object.to_owned();
            self.labels.push(Label { rule, place, object, from, until, is_demanded, kind });
        }
    }

    fn event(&mut self, rule: &'static str, place: usize, object: &str, from: i32, kind: Kind) {
        self.put(rule, Some(place), object, from..=from + TELL_WITHIN, true, kind);
    }

    fn welcome(&mut self, rule: &'static str, place: usize, days: std::ops::RangeInclusive<i32>, kind: Kind) {
        self.put(rule, Some(place), "", days, false, kind);
    }

    /// What a product's own price does: lasting changes, and those that go below all that was asked before.
    fn prices(&mut self, place: usize, product: &Product, happenings: &[Happening], history: &History) {
        let mut low = i64::MAX;
        for day in 1..self.options.days {
            low = low.min(history.asked[day as usize - 1].unwrap_or(i64::MAX));
            let (before, now) = (history.level[day as usize - 1], history.level[day as usize]);
            if before == now {
                continue;
            }
            let kind = cause(happenings, day);
            let (change, within) = ((now - before) * 1_000 / before, day..=day + TELL_WITHIN);
            let rule = if change < 0 { "price_drop" } else { "price_rise" };
            if change.abs() >= DEMANDED_CHANGE {
                self.event(rule, place, "", day, kind);
            } else if change.abs() >= WELCOME_CHANGE {
                self.welcome(rule, place, within.clone(), kind);
            }
            if change.abs() >= OUTLIER_CHANGE {
                self.welcome("price_outlier", place, within.clone(), kind);
            }
            let wobble = product.wobble_bp();
            if now * (10_000 + wobble) / 10_000 * 1_000 <= low * (1_000 - DEMANDED_BELOW) {
                self.event("all_time_low", place, "", day, kind);
            } else if now * (10_000 - wobble) / 10_000 < low && change < 0 {
                self.welcome("all_time_low", place, within, kind);
            }
        }
    }

    fn happening(&mut self, place: usize, product: &Product, happening: &Happening) {
        let Happening { kind, from, until, .. } = *happening;
        let is_over = until + 1 < self.options.days;
        let after = until + 1;
        match kind {
            Kind::RankCollapse => self.event("bsr_worsened", place, "", from, kind),
            Kind::RankClimb => self.event("bsr_improved", place, "", from, kind),
            Kind::RatingFall => self.event("rating_fell", place, "", from, kind),
            Kind::RatingRise => self.event("rating_rose", place, "", from, kind),
            Kind::RatingsFlood => self.event("ratings_spike", place, "", from, kind),
            Kind::StockOut => {
                self.event("out_of_stock", place, "", from, kind);
                self.welcome("bsr_worsened", place, from..=until + TELL_WITHIN, kind);
                if is_over {
                    self.event("back_in_stock", place, "", after, kind);
                    self.welcome("bsr_improved", place, after..=after + 2 * TELL_WITHIN, kind);
                }
            }
            Kind::OtherSeller | Kind::UnknownSeller => {
                let seller = happening.seller.as_deref().unwrap_or_default();
                self.event("buy_box_seller_changed", place, "", from, kind);
                if product.is_own {
                    self.event("buy_box_lost", place, "", from, kind);
                }
                if kind == Kind::UnknownSeller {
                    self.event("new_seller", place, seller, from, kind);
                }
                if is_over {
                    self.event("buy_box_seller_changed", place, "", after, kind);
                }
            }
            Kind::Rewritten => self.event("listing_changed", place, "", from, kind),
            Kind::Gone => self.event("product_gone", place, "", from, kind),
            Kind::Unseen => self.event("product_stale", place, "", from, kind),
            _ => {}
        }
    }

    /// The days on which a competitor's lasting price comes to lie below the main product's.
    fn undercut(
        &mut self,
        main: usize,
        rival: usize,
        products: &[Product],
        plan: &Plan,
        histories: &[History],
    ) {
        let (ours, theirs) = (&histories[main], &histories[rival]);
        let common: Vec<i32> = (0..self.options.days)
            .filter(|day| ours.asked[*day as usize].is_some() && theirs.asked[*day as usize].is_some())
            .collect();
        // How far the competitor lies below, in thousandths.
        let below = |day: i32| {
            let (ours, theirs) = (ours.level[day as usize], theirs.level[day as usize]);
            (ours - theirs) * 1_000 / ours
        };
        for pair in common.windows(2) {
            let &[before, day] = pair else { continue };
            let (was, is) = (below(before), below(day));
            if was >= DEMANDED_BELOW || is <= 0 || is == was {
                continue;
            }
            let kind = match cause(&plan.happenings[main], day) {
                Kind::Other => cause(&plan.happenings[rival], day),
                kind => kind,
            };
            let is_demanded =
                is >= DEMANDED_BELOW && was < -LEVEL_WITH && !products[rival].hovers && day - before <= GAP;
            let within = day..=day + TELL_WITHIN;
            self.put("undercut", Some(main), &products[rival].asin, within, is_demanded, kind);
        }
    }
}

/// What began or ended on the day.
fn cause(happenings: &[Happening], day: i32) -> Kind {
    let found = happenings.iter().find(|happening| happening.from == day || happening.until + 1 == day);
    found.map_or(Kind::Other, |happening| happening.kind)
}

/// What an alert that answers no label comes from, as far as can be said: what happened lately to what it is about.
pub(crate) fn blame(world: &World, rule: &str, place: Option<usize>, object: &str, day: i32) -> Kind {
    // The first run after an incident sees its end.
    let incident = |product: Option<&Product>, after: i32| {
        world.plan.incidents.iter().find(|incident| {
            let is_here = product.is_none_or(|its| incident.market.is_none_or(|market| market == its.market));
            is_here && (incident.from..=incident.until + after).contains(&day)
        })
    };
    let Some(place) = place else { return incident(None, TELL_WITHIN).map_or(Kind::Other, |it| it.kind) };
    let product = &world.products[place];
    if let Some(incident) = incident(Some(product), 1).filter(|incident| incident.kind.touches(rule)) {
        return incident.kind;
    }
    let rival = world.products.iter().position(|product| product.asin == object);
    let near = |happening: &&Happening| {
        let Happening { kind, from, until, .. } = **happening;
        let began = (from..=until.min(from + TELL_WITHIN + 2)).contains(&day);
        let ended = (until + 1..=until + if kind.is_absence() { 1 } else { TELL_WITHIN + 2 }).contains(&day);
        let is_short = until - from < SHORT && (from..=until).contains(&day);
        kind.touches(rule) && (began || ended || is_short)
    };
    for at in std::iter::once(place).chain(rival) {
        if let Some(happening) = world.plan.happenings[at].iter().rev().find(near) {
            return happening.kind;
        }
    }
    let hovers = rival.is_some_and(|at| world.products[at].hovers);
    match rule {
        "undercut" if hovers => Kind::Hovering,
        "price_drop" | "price_rise" | "price_outlier" | "all_time_low" | "undercut" => Kind::PriceWobble,
        "bsr_worsened" | "bsr_improved" => Kind::RankBreath,
        "rating_fell" | "rating_rose" => Kind::RatingDrift,
        "ratings_spike" => Kind::BusySeller,
        "buy_box_seller_changed" | "new_seller" if product.rotates => Kind::SellerRotation,
        _ => Kind::Other,
    }
}
