//! The quality gate: findings that say more about the data than about the products are held back.
//!
//! A wrong currency, a price that jumped further than prices do, a canary that moved, or so many products at
//! once that it is the source that moved: each makes one incident that holds its findings, until the next
//! days confirm or refute them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rust_decimal::Decimal;

use super::{Finding, Rule};
use crate::model::{Day, Marketplace, ProductKey, words};

/// Why the gate tripped: the names are a contract.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum GateReason {
    CurrencyMismatch,
    ImplausibleJump,
    CanaryMoved,
    WatchlistMoved,
    MissingData,
    /// It is grave, and only one source has seen it.
    SecondSource,
}

words!(GateReason {
    CurrencyMismatch = "currency_mismatch",
    ImplausibleJump = "implausible_jump",
    CanaryMoved = "canary_moved",
    WatchlistMoved = "watchlist_moved",
    MissingData = "missing_data",
    SecondSource = "second_source",
});

impl GateReason {
    /// It says that a source delivered what cannot be, and not that one finding wants a second look.
    pub fn is_of_a_source(self) -> bool {
        !matches!(self, GateReason::ImplausibleJump | GateReason::SecondSource)
    }
}

/// What the gate lets pass.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gate {
    /// A price that many times the one before, or as many times less, needs a second look; 0: none does.
    pub implausible_factor: Decimal,
    /// Percent of a source's products that may show the same on one day.
    pub moved_pct: u32,
    /// And so many of them, at least, before it is the source's doing.
    pub moved_products: u32,
    /// Products that do not move: when one does, what its source says that day is held.
    pub canaries: BTreeSet<ProductKey>,
}

/// Which source saw what.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sightings {
    /// The source of each product's day.
    pub sources: HashMap<(ProductKey, Day), String>,
    /// Products that are watched, by marketplace.
    pub watched: BTreeMap<Marketplace, u64>,
}

/// Findings that are held for one reason.
#[derive(Clone, PartialEq, Debug)]
pub struct Tripped {
    pub reason: GateReason,
    /// Null where it is about several.
    pub marketplace: Option<Marketplace>,
    pub day: Day,
    /// The source, or the product, that it is about.
    pub subject: String,
    /// One sentence with the numbers.
    pub detail: String,
    pub held: Vec<Finding>,
}

/// What one incident is about.
type Place = (GateReason, Marketplace, Day, String);

impl Tripped {
    /// Of findings that one source alone has shown.
    pub fn by_one_source(marketplace: Marketplace, day: Day, held: Vec<Finding>) -> Tripped {
        Tripped {
            reason: GateReason::SecondSource,
            marketplace: Some(marketplace),
            day,
            subject: String::new(),
            detail: "so grave that a second source is to show it too".to_owned(),
            held,
        }
    }
}

impl Gate {
    /// Parts findings into those that may be told and those that are held. `confirmed` says of a finding that
    /// it was seen more than once, by its rule or by a second source.
    pub fn sift(
        &self,
        findings: Vec<Finding>,
        sightings: &Sightings,
        confirmed: impl Fn(&Finding) -> bool,
    ) -> (Vec<Finding>, Vec<Tripped>) {
        let groups = self.crowds(&findings, sightings);
        let canaries = self.moved_canaries(&findings, sightings);
        let mut passed = Vec::new();
        let mut tripped: BTreeMap<Place, Tripped> = BTreeMap::new();
        for finding in findings {
            let held = finding.product.and_then(|product| {
                let source = source_of(&finding, product, sightings);
                let place =
                    |reason, subject: &str| (reason, product.marketplace, finding.day, subject.to_owned());
                let name = product.to_string();
                if let Some(detail) = wrong_currency(&finding, product) {
                    return Some((place(GateReason::CurrencyMismatch, &source), detail));
                }
                if let Some(detail) = canaries.get(&(product.marketplace, finding.day, source.clone())) {
                    return Some((place(GateReason::CanaryMoved, &source), detail.clone()));
                }
                let crowd = (finding.rule, product.marketplace, finding.day, source.clone());
                if let Some(detail) = groups.get(&crowd) {
                    let is_absence = matches!(finding.rule, Rule::ProductStale | Rule::ProductGone);
                    let reason =
                        if is_absence { GateReason::MissingData } else { GateReason::WatchlistMoved };
                    return Some((place(reason, &source), detail.clone()));
                }
                let jump = self.implausible(&finding).filter(|_| !confirmed(&finding));
                jump.map(|detail| (place(GateReason::ImplausibleJump, &name), format!("{name}: {detail}")))
            });
            match held {
                None => passed.push(finding),
                Some((place, detail)) => {
                    let (reason, marketplace, day, subject) = place.clone();
                    let marketplace = Some(marketplace);
                    let new = Tripped { reason, marketplace, day, subject, detail, held: Vec::new() };
                    tripped.entry(place).or_insert(new).held.push(finding);
                }
            }
        }
        (passed, tripped.into_values().collect())
    }

    /// By rule, marketplace, day and source: what is to be said where too many products show the same.
    fn crowds(
        &self,
        findings: &[Finding],
        sightings: &Sightings,
    ) -> BTreeMap<(Rule, Marketplace, Day, String), String> {
        let mut products: BTreeMap<(Rule, Marketplace, Day, String), BTreeSet<ProductKey>> = BTreeMap::new();
        for finding in findings {
            let Some(product) = finding.product else { continue };
            let source = source_of(finding, product, sightings);
            let crowd = (finding.rule, product.marketplace, finding.day, source);
            products.entry(crowd).or_default().insert(product);
        }
        let mut seen: HashMap<(Marketplace, Day, &str), u64> = HashMap::new();
        for ((product, day), source) in &sightings.sources {
            *seen.entry((product.marketplace, *day, source)).or_default() += 1;
        }
        products.retain(|_, products| products.len() >= self.moved_products.max(1) as usize);
        let all = |(rule, marketplace, day, source): &(Rule, Marketplace, Day, String)| match rule {
            Rule::ProductStale | Rule::ProductGone => sightings.watched.get(marketplace).copied(),
            _ => seen.get(&(*marketplace, *day, source.as_str())).copied(),
        };
        let told = products.into_iter().filter_map(|(crowd, products)| {
            let (moved, all) = (products.len() as u64, all(&crowd)?.max(products.len() as u64));
            let by = if crowd.3.is_empty() { String::new() } else { format!(" that {} saw", crowd.3) };
            let detail = format!("{}: {moved} of {all} products{by} on one day", crowd.0.as_str());
            (moved * 100 > all * u64::from(self.moved_pct)).then_some((crowd, detail))
        });
        told.collect()
    }

    /// By marketplace, day and source: which canary moved.
    fn moved_canaries(
        &self,
        findings: &[Finding],
        sightings: &Sightings,
    ) -> BTreeMap<(Marketplace, Day, String), String> {
        let moved = findings.iter().filter_map(|finding| {
            let product = finding.product.filter(|product| self.canaries.contains(product))?;
            let source = source_of(finding, product, sightings);
            let detail = format!("the canary {product} moved: {}", finding.message);
            Some(((product.marketplace, finding.day, source), detail))
        });
        moved.collect()
    }

    /// A price jumped further than prices do.
    pub fn is_implausible(&self, finding: &Finding) -> bool {
        self.implausible(finding).is_some()
    }

    fn implausible(&self, finding: &Finding) -> Option<String> {
        self.is_jump(finding, "price_minor")?.then(|| finding.message.clone())
    }

    /// Whether the look before the one that a rule found something by had jumped as far. Where the finding does not say what
    /// that look was, it is taken for one.
    pub fn had_jumped_before(&self, finding: &Finding) -> bool {
        self.is_jump(finding, LOOK_BEFORE).unwrap_or(true)
    }

    /// Whether the price of this name in a finding's evidence lies implausibly far from the one it is compared with; null where
    /// one of them is not known.
    fn is_jump(&self, finding: &Finding, price: &str) -> Option<bool> {
        let number = |name: &str| finding.evidence[name].as_i64().map(Decimal::from);
        let price = number(price)?;
        let before = match finding.rule {
            Rule::PriceDrop | Rule::PriceRise => number("price_prev_minor")?,
            Rule::AllTimeLow => number("price_low_all_prev_minor")?,
            Rule::PriceOutlier => number("median_minor_x2")? / Decimal::TWO,
            _ => return None,
        };
        let (large, small) = (price.max(before), price.min(before));
        Some(!self.implausible_factor.is_zero() && large > small.checked_mul(self.implausible_factor)?)
    }
}

/// In a finding's evidence: the price of the look before, where the rule wanted more than one.
pub(super) const LOOK_BEFORE: &str = "look_before_minor";

fn wrong_currency(finding: &Finding, product: ProductKey) -> Option<String> {
    let said = finding.evidence["price"]["currency"].as_str()?;
    let own = product.marketplace.currency().code();
    (said != own).then(|| format!("prices in {said} on a marketplace that sells in {own}"))
}

/// The source that a finding rests on; '' where it is about none.
fn source_of(finding: &Finding, product: ProductKey, sightings: &Sightings) -> String {
    match finding.rule {
        Rule::ListingChanged => {
            finding.evidence["changes"][0]["source"].as_str().unwrap_or_default().to_owned()
        }
        Rule::ProductStale | Rule::ProductGone | Rule::SourceIncident => String::new(),
        _ => sightings.sources.get(&(product, finding.day)).cloned().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Severity;
    use super::*;

    fn day() -> Day {
        "2026-03-01".parse().unwrap()
    }

    fn product(number: u32) -> ProductKey {
        ProductKey { marketplace: Marketplace::Us, asin: format!("B{number:09}").parse().unwrap() }
    }

    fn fall(number: u32, before: i64, price: i64, currency: &str) -> Finding {
        Finding {
            rule: Rule::PriceDrop,
            severity: Severity::High,
            product: Some(product(number)),
            day: day(),
            object: String::new(),
            message: "price fell".to_owned(),
            evidence: json!({
                "price_minor": price, "price_prev_minor": before, "price": { "currency": currency }
            }),
        }
    }

    fn gate() -> Gate {
        Gate {
            implausible_factor: Decimal::from(5),
            moved_pct: 20,
            moved_products: 10,
            canaries: BTreeSet::from([product(0)]),
        }
    }

    /// Of so many products a source each.
    fn seen(by: &[(&str, std::ops::Range<u32>)]) -> Sightings {
        let sources = by.iter().flat_map(|(source, numbers)| {
            numbers.clone().map(|number| ((product(number), day()), (*source).to_owned()))
        });
        Sightings { sources: sources.collect(), watched: BTreeMap::from([(Marketplace::Us, 100)]) }
    }

    fn sifted(findings: Vec<Finding>, sightings: &Sightings) -> (usize, Vec<(GateReason, String, usize)>) {
        let (passed, tripped) = gate().sift(findings, sightings, |_| false);
        let told = tripped.into_iter().map(|tripped| (tripped.reason, tripped.detail, tripped.held.len()));
        (passed.len(), told.collect())
    }

    #[test]
    fn a_wrong_look_behind_a_small_change_was_no_jump_before() {
        let seen = |look_before: Option<i64>| {
            let mut finding = fall(1, 2000, 99, "USD");
            if let Some(minor) = look_before {
                finding.evidence[LOOK_BEFORE] = minor.into();
            }
            gate().had_jumped_before(&finding)
        };
        assert!(gate().is_implausible(&fall(1, 2000, 99, "USD")));
        assert_eq!(
            (seen(None), seen(Some(1750)), seen(Some(400)), seen(Some(399))),
            (true, false, false, true)
        );
    }

    #[test]
    fn a_few_products_that_move_are_news() {
        let findings = (1..10).map(|number| fall(number, 1000, 500, "USD")).collect();
        assert_eq!(sifted(findings, &seen(&[("keepa", 1..12)])), (9, vec![]));
    }

    #[test]
    fn too_many_of_one_source_are_one_incident_and_the_others_are_told() {
        let mut findings: Vec<Finding> = (1..22).map(|number| fall(number, 1000, 500, "USD")).collect();
        findings.push(fall(200, 1000, 500, "USD"));
        let sightings = seen(&[("keepa", 1..101), ("apify", 200..300)]);
        let detail = "price_drop: 21 of 100 products that keepa saw on one day".to_owned();
        assert_eq!(sifted(findings.clone(), &sightings), (1, vec![(GateReason::WatchlistMoved, detail, 21)]));
        findings.remove(0);
        assert_eq!(sifted(findings, &sightings), (21, vec![]), "a fifth is not more than a fifth");
    }

    #[test]
    fn products_that_all_went_missing_are_missing_data() {
        let stale =
            |number| Finding { rule: Rule::ProductStale, evidence: json!({}), ..fall(number, 0, 0, "USD") };
        let (passed, tripped) = sifted((1..31).map(stale).collect(), &seen(&[]));
        let detail = "product_stale: 30 of 100 products on one day".to_owned();
        assert_eq!((passed, tripped), (0, vec![(GateReason::MissingData, detail, 30)]));
    }

    #[test]
    fn a_canary_takes_its_source_with_it() {
        let findings =
            vec![fall(0, 1000, 850, "USD"), fall(1, 1000, 850, "USD"), fall(200, 1000, 850, "USD")];
        let detail = "the canary US:B000000000 moved: price fell".to_owned();
        let sightings = seen(&[("keepa", 0..100), ("apify", 200..300)]);
        assert_eq!(sifted(findings, &sightings), (1, vec![(GateReason::CanaryMoved, detail, 2)]));
    }

    #[test]
    fn a_price_five_times_less_waits_unless_it_was_looked_at_twice() {
        let detail = "US:B000000001: price fell".to_owned();
        let jump = || vec![fall(1, 1000, 199, "USD")];
        assert_eq!(sifted(jump(), &seen(&[])), (0, vec![(GateReason::ImplausibleJump, detail, 1)]));
        assert_eq!(sifted(vec![fall(1, 1000, 200, "USD")], &seen(&[])).0, 1, "exactly five times passes");
        assert_eq!(gate().sift(jump(), &seen(&[]), |_| true).0.len(), 1);
    }

    #[test]
    fn another_currency_than_the_marketplaces_is_held() {
        let (passed, tripped) = sifted(vec![fall(1, 1000, 850, "EUR")], &seen(&[("keepa", 1..100)]));
        let detail = "prices in EUR on a marketplace that sells in USD".to_owned();
        assert_eq!((passed, tripped), (0, vec![(GateReason::CurrencyMismatch, detail, 1)]));
    }
}
