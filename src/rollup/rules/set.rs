//! Rule sets: which thresholds lead to which severity, and how sure a rule has to be. `plain` and `calm` are
//! shipped.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use super::{Rule, Severity};
use crate::model::Currency;

/// From which value on a rule finds something, and how much it matters then. `>` is strict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    pub severity: Severity,
    /// In the rule's [unit](Unit), and finely: see there; 0 where the rule is about an event and not about a
    /// size.
    pub above: i64,
    /// The change has to be larger than this too, in the currency's own unit, or ranks.
    pub min_abs: Option<Decimal>,
}

impl Step {
    /// True of an amount that is large enough beside its share.
    pub(super) fn is_passed_by_amount(&self, minor: i64, currency: Currency) -> bool {
        self.min_abs.is_none_or(|least| Decimal::new(minor, currency.exponent()).abs() > least)
    }

    /// The same of a number without a unit.
    pub(super) fn is_passed_by_count(&self, count: i64) -> bool {
        self.min_abs.is_none_or(|least| Decimal::from(count).abs() > least)
    }
}

/// What the steps of a rule are counted in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Hundredths of a percent.
    Percent,
    /// Hundredths of a star.
    Stars,
    /// Ratings a day.
    PerDay,
    /// Ten thousandths of a median absolute deviation; a robust sigma is 1.4826 of them.
    Deviations,
    /// It happens or it does not.
    Event,
}

impl Rule {
    /// What its steps are counted in.
    pub fn unit(self) -> Unit {
        match self {
            Rule::PriceDrop | Rule::PriceRise | Rule::BsrWorsened | Rule::BsrImproved => Unit::Percent,
            Rule::AllTimeLow | Rule::Undercut => Unit::Percent,
            Rule::RatingFell | Rule::RatingRose => Unit::Stars,
            Rule::RatingsSpike => Unit::PerDay,
            Rule::PriceOutlier => Unit::Deviations,
            _ => Unit::Event,
        }
    }

    /// True where its changes have a size in money or ranks beside their share.
    pub fn has_amount(self) -> bool {
        self.unit() == Unit::Percent || self == Rule::PriceOutlier
    }

    /// True where it compares a number of today, or how fast it grew, with an earlier one that may be chosen.
    pub fn has_reference(self) -> bool {
        use Rule::{BsrImproved, BsrWorsened, PriceDrop, PriceRise, RatingFell, RatingRose, RatingsSpike};
        matches!(
            self,
            PriceDrop | PriceRise | BsrWorsened | BsrImproved | RatingFell | RatingRose | RatingsSpike
        )
    }

    /// True where a later look at the same product can confirm it.
    pub fn can_wait(self) -> bool {
        !matches!(self, Rule::ProductGone | Rule::ProductStale | Rule::SourceIncident)
    }

    /// True where the product has to be known for a while first.
    pub fn counts_known_days(self) -> bool {
        matches!(self, Rule::PriceOutlier | Rule::NewSeller | Rule::AllTimeLow)
    }

    /// True where the same finding may come again: a listing that changes again is another one.
    pub fn can_repeat(self) -> bool {
        self.can_wait() && self != Rule::ListingChanged
    }
}

/// What a number of today is compared with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reference {
    /// The value of the previous known day; while a change waits to be confirmed, the one before it.
    #[default]
    Previous,
    /// The median of the known days of so many days before.
    Median(i32),
    /// The value at which the rule last found something in the days it looks back, else the previous one.
    LastFound,
    /// The lowest price ever.
    AllTime,
}

impl Reference {
    fn look_back_days(self) -> i32 {
        match self {
            Reference::Previous | Reference::AllTime => 0,
            // What it found is still the same finding while the median follows.
            Reference::Median(days) => 2 * days,
            Reference::LastFound => LAST_FOUND_DAYS,
        }
    }
}

/// One rule of a set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleSpec {
    pub rule: Rule,
    pub is_enabled: bool,
    /// Rising in threshold and severity.
    pub steps: Vec<Step>,
    /// Known days that must lie before the judged one.
    pub min_known_days: i64,
    pub reference: Reference,
    /// Looks in a row that have to show it: 1 finds it at once.
    pub confirmations: u32,
    /// Where the change counts as over, in the steps' unit: at the lowest step, if nothing else is said.
    pub clear_below: Option<i64>,
    /// Days without the same finding before it is told again, unless it is graver.
    pub cooldown_days: i32,
    /// A template of the message; empty: the rule's own words.
    pub message: String,
}

impl RuleSpec {
    fn new(rule: Rule, steps: &[(Severity, i64)], min_known_days: i64) -> RuleSpec {
        RuleSpec {
            rule,
            is_enabled: true,
            steps: steps.iter().map(|&(severity, above)| Step { severity, above, min_abs: None }).collect(),
            min_known_days,
            reference: Reference::Previous,
            confirmations: 1,
            clear_below: None,
            cooldown_days: 0,
            message: String::new(),
        }
    }

    fn set_steps(&mut self, steps: &[(Severity, i64)]) {
        self.steps = RuleSpec::new(self.rule, steps, 0).steps;
    }

    fn set_min_abs(&mut self, least: Option<Decimal>) {
        self.steps.iter_mut().for_each(|step| step.min_abs = least);
    }

    /// True where the newest row says all that the rule wants to know.
    pub fn is_immediate(&self) -> bool {
        self.confirmations <= 1 && self.cooldown_days == 0 && self.reference == Reference::Previous
    }

    /// How many days before the judged one the rule looks at.
    pub fn look_back_days(&self, max_gap_days: i32) -> i32 {
        let waits = i32::try_from(self.confirmations).unwrap_or(i32::MAX).saturating_sub(1);
        let reference = self.reference.look_back_days();
        if self.is_immediate() { 0 } else { waits * max_gap_days + self.cooldown_days.max(reference) + 1 }
    }

    /// A rule that looks as far back as any that has something of either.
    pub(super) fn wider(&self, other: &RuleSpec) -> RuleSpec {
        let far = |spec: &RuleSpec| spec.reference.look_back_days();
        let reference = if far(self) >= far(other) { self.reference } else { other.reference };
        RuleSpec {
            reference,
            confirmations: self.confirmations.max(other.confirmations),
            cooldown_days: self.cooldown_days.max(other.cooldown_days),
            ..self.clone()
        }
    }

    /// The highest step that is passed; null when none is.
    pub(super) fn step(&self, is_passed: impl Fn(&Step) -> bool) -> Option<Step> {
        self.steps.iter().rev().copied().find(is_passed)
    }

    /// From where on something is a change at all.
    pub fn lowest(&self) -> i64 {
        self.steps.first().map_or(0, |step| step.above)
    }
}

/// How far back a rule looks for its own last finding.
const LAST_FOUND_DAYS: i32 = 60;

/// The rules a product is judged by. A rule that is not in the set stays silent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleSet {
    pub name: &'static str,
    pub rules: Vec<RuleSpec>,
    /// Day-over-day rules are silent when the value before is older than this many days.
    pub max_gap_days: i32,
    /// Whole cadence slots without an observation after which a watched product is stale.
    pub stale_slots: u32,
    /// What says more about the data than about products is held back, and what is over is resolved.
    pub is_gated: bool,
}

/// The names of the shipped sets.
pub const SHIPPED: [&str; 2] = ["calm", "plain"];

impl RuleSet {
    /// A shipped set by its name.
    pub fn shipped(name: &str, stale_slots: u32) -> Option<RuleSet> {
        match name {
            "plain" => Some(RuleSet::plain(stale_slots)),
            "calm" => Some(RuleSet::calm(stale_slots)),
            _ => None,
        }
    }

    /// The plain set: fixed thresholds, everything at first sight, no quality gate.
    pub fn plain(stale_slots: u32) -> RuleSet {
        use Severity::{Critical, High, Low, Medium};
        let spec = RuleSpec::new;
        let rules = vec![
            spec(Rule::PriceDrop, &[(Medium, 1000), (High, 3000), (Critical, 5000)], 0),
            spec(Rule::PriceRise, &[(Medium, 1000), (High, 3000), (Critical, 5000)], 0),
            spec(Rule::BsrWorsened, &[(Medium, 3000), (High, 10_000), (Critical, 20_000)], 0),
            spec(Rule::BsrImproved, &[(Low, 3000)], 0),
            spec(Rule::RatingFell, &[(Medium, 50), (High, 100)], 0),
            spec(Rule::RatingRose, &[(Medium, 50), (High, 100)], 0),
            spec(Rule::RatingsSpike, &[(Medium, 100), (High, 500)], 0),
            // Two robust sigmas: 2 × 1.4826 × the median absolute deviation.
            spec(Rule::PriceOutlier, &[(Medium, 29_652)], 7),
            spec(Rule::OutOfStock, &[(Critical, 0)], 0),
            spec(Rule::BackInStock, &[(Low, 0)], 0),
            spec(Rule::BuyBoxLost, &[(High, 0)], 0),
            spec(Rule::BuyBoxSellerChanged, &[(Medium, 0)], 0),
            spec(Rule::NewSeller, &[(Low, 0)], 7),
            spec(Rule::AllTimeLow, &[(Medium, 0)], 30),
            spec(Rule::ListingChanged, &[(Low, 0)], 0),
            spec(Rule::Undercut, &[(Medium, 0)], 0),
            spec(Rule::ProductStale, &[(Medium, 0)], 0),
            spec(Rule::ProductGone, &[(High, 0)], 0),
            spec(Rule::SourceIncident, &[(High, 0)], 0),
        ];
        RuleSet { name: "plain", rules, max_gap_days: 7, stale_slots, is_gated: false }
    }

    /// The calm set: a change has to be worth something, to last for three looks, and to be over before it is
    /// told again. One thing that happens is told by one rule.
    pub fn calm(stale_slots: u32) -> RuleSet {
        use Severity::{Critical, High, Low, Medium};
        let mut set = RuleSet { name: "calm", is_gated: true, ..RuleSet::plain(stale_slots) };
        let of_price = Some(Decimal::new(50, 2));
        for spec in &mut set.rules {
            if spec.rule.can_wait() {
                spec.confirmations = 3;
            }
            if spec.rule.can_repeat() {
                spec.cooldown_days = 7;
            }
            match spec.rule {
                Rule::PriceDrop | Rule::PriceRise => spec.set_min_abs(of_price),
                // A price that stays where it went is a drop or a rise, and one that does not is noise.
                Rule::PriceOutlier => spec.is_enabled = false,
                // Ranks breathe: by a factor of 1.8 for days they do not.
                Rule::BsrWorsened => spec.set_steps(&[(Medium, 8000), (High, 15_000), (Critical, 30_000)]),
                Rule::BsrImproved => spec.set_steps(&[(Low, 4500)]),
                // An average sinks over days, and hardly sways.
                Rule::RatingFell | Rule::RatingRose => {
                    spec.set_steps(&[(Medium, 40), (High, 100)]);
                    (spec.reference, spec.confirmations) = (Reference::Median(7), 2);
                }
                Rule::RatingsSpike => spec.reference = Reference::Median(14),
                // A cent less is no news.
                Rule::AllTimeLow | Rule::Undercut => spec.set_steps(&[(Medium, 200)]),
                _ => {}
            }
            if matches!(spec.rule, Rule::BsrWorsened | Rule::BsrImproved) {
                (spec.reference, spec.cooldown_days) = (Reference::Median(14), 14);
                spec.set_min_abs(Some(Decimal::from(10)));
            }
        }
        set
    }

    /// The rule as the set has it; null when it is not in the set, or switched off.
    pub fn get(&self, rule: Rule) -> Option<&RuleSpec> {
        self.rules.iter().find(|spec| spec.rule == rule && spec.is_enabled)
    }

    /// The highest step of a rule that is passed; null when none is.
    pub(super) fn step(&self, rule: Rule, is_passed: impl Fn(&Step) -> bool) -> Option<Step> {
        self.get(rule)?.step(is_passed)
    }

    /// The step of a rule that is about an event.
    pub(super) fn event(&self, rule: Rule) -> Option<Step> {
        self.step(rule, |_| true)
    }

    /// Whether `known_days` days before the judged one are enough for the rule.
    pub(super) fn has_history(&self, rule: Rule, known_days: Option<i64>) -> bool {
        self.get(rule).is_some_and(|spec| known_days.unwrap_or(0) >= spec.min_known_days)
    }

    /// How many days before the judged one its rules look at.
    pub fn look_back_days(&self) -> i32 {
        let days = self.rules.iter().map(|spec| spec.look_back_days(self.max_gap_days));
        days.max().unwrap_or(0)
    }

    /// When a rule finds something, as one sentence without the subject.
    pub fn condition(&self, spec: &RuleSpec, step: &Step) -> String {
        let mut condition = self.size_or_event(spec, step);
        if let Some(least) = step.min_abs {
            condition += &format!(", and by more than {least}");
        }
        if spec.confirmations > 1 {
            condition += &format!("; {} looks in a row", spec.confirmations);
        }
        if spec.cooldown_days > 0 {
            condition += &format!("; again after {} days without it, or when graver", spec.cooldown_days);
        }
        condition
    }

    fn size_or_event(&self, spec: &RuleSpec, step: &Step) -> String {
        let above = spec.rule.shown(step.above);
        let gap = self.max_gap_days;
        let day_before = match spec.reference {
            Reference::Previous => format!("the previous known day (at most {gap} days back)"),
            Reference::Median(days) => format!("the median of the {days} days before"),
            Reference::LastFound => "the value last found, else the previous known day".to_owned(),
            Reference::AllTime => "the lowest price ever".to_owned(),
        };
        match spec.rule {
            Rule::PriceDrop => format!("price more than {above} % below {day_before}"),
            Rule::PriceRise => format!("price more than {above} % above {day_before}"),
            Rule::BsrWorsened => format!("leaf rank, else main rank, more than {above} % above {day_before}"),
            Rule::BsrImproved => format!("leaf rank, else main rank, more than {above} % below {day_before}"),
            Rule::RatingFell => format!("rating more than {above} stars below {day_before}"),
            Rule::RatingRose => format!("rating more than {above} stars above {day_before}"),
            Rule::RatingsSpike => match spec.reference {
                Reference::Median(days) => {
                    format!("{above} new ratings more than usual by the {days} days before")
                }
                _ => format!("more than {above} new ratings a day since {day_before}"),
            },
            Rule::PriceOutlier => format!(
                "price further than {above} median absolute deviations from the median of the 14 latest known \
                 days within 60 days before (at least {})",
                spec.min_known_days
            ),
            Rule::OutOfStock => format!("out of stock, in stock on {day_before}"),
            Rule::BackInStock => format!("in stock, out of stock on {day_before}"),
            Rule::BuyBoxLost => format!("buy box not with one of own.seller_ids, but on {day_before} it was"),
            Rule::BuyBoxSellerChanged => format!("buy box with another seller than on {day_before}"),
            Rule::NewSeller => format!(
                "buy box with a seller the product never had (at least {} days with a known seller before)",
                spec.min_known_days
            ),
            Rule::AllTimeLow => format!(
                "price {}below the lowest ever (at least {} days with a known price before)",
                by_more_than(step.above),
                spec.min_known_days
            ),
            Rule::ListingChanged => {
                "title, brand, bullets or images differ from the same source's version before".to_owned()
            }
            Rule::Undercut => {
                format!(
                    "a cohort's competitor {}cheaper than its main product, but not on {day_before} of both",
                    by_more_than(step.above)
                )
            }
            Rule::ProductStale => {
                format!("watched, and no observation for {} whole slots of its tier", self.stale_slots)
            }
            Rule::ProductGone => "not found on two different days and not found again since".to_owned(),
            Rule::SourceIncident => "an open incident of a source".to_owned(),
        }
    }
}

/// `more than 2 % `; nothing where any difference counts.
fn by_more_than(above: i64) -> String {
    if above == 0 { String::new() } else { format!("more than {} % ", hundredths(above)) }
}

/// Hundredths as people write them: 1000 is `10`, 250 is `2.5`.
fn hundredths(number: i64) -> Decimal {
    Decimal::new(number, 2).normalize()
}

impl Rule {
    /// A step of the rule as people write it, in percent, stars, ratings a day or median absolute deviations.
    pub fn shown(self, above: i64) -> Decimal {
        match self.unit() {
            Unit::Percent | Unit::Stars => hundredths(above),
            Unit::Deviations => Decimal::new(above, 4).normalize(),
            Unit::PerDay | Unit::Event => Decimal::from(above),
        }
    }

    /// The other way round; null where it is finer than the rule can tell apart, or too large.
    pub fn step_of(self, written: Decimal) -> Option<i64> {
        let places = match self.unit() {
            Unit::Percent | Unit::Stars => 2,
            Unit::Deviations => 4,
            Unit::PerDay | Unit::Event => 0,
        };
        let fine = written.checked_mul(Decimal::from(10_i64.pow(places)))?;
        if fine.is_integer() { fine.to_i64() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_set_has_every_rule_once_with_rising_steps() {
        for name in SHIPPED {
            let set = RuleSet::shipped(name, 2).unwrap();
            assert_eq!(set.name, name);
            let rules: Vec<Rule> = set.rules.iter().map(|spec| spec.rule).collect();
            assert_eq!(rules, Rule::ALL);
            for spec in &set.rules {
                assert!(!spec.steps.is_empty());
                assert!(spec.steps.is_sorted_by(|a, b| a.above < b.above && a.severity < b.severity));
                assert!(spec.rule.can_wait() || spec.is_immediate());
            }
        }
        assert!(RuleSet::plain(2).rules.iter().all(RuleSpec::is_immediate));
        assert_eq!(RuleSet::plain(2).look_back_days(), 0);
        assert_eq!(RuleSet::shipped("loud", 2), None);
    }

    #[test]
    fn steps_are_read_as_they_are_shown() {
        for (rule, above, shown) in [
            (Rule::PriceDrop, 1000, "10"),
            (Rule::PriceDrop, 250, "2.5"),
            (Rule::RatingFell, 50, "0.5"),
            (Rule::RatingsSpike, 100, "100"),
            (Rule::PriceOutlier, 29_652, "2.9652"),
        ] {
            assert_eq!(rule.shown(above).to_string(), shown);
            assert_eq!(rule.step_of(shown.parse().unwrap()), Some(above));
        }
        assert_eq!(Rule::PriceDrop.step_of("0.001".parse().unwrap()), None);
        assert_eq!(Rule::RatingsSpike.step_of("1.5".parse().unwrap()), None);
    }

    #[test]
    fn a_condition_names_its_threshold() {
        let set = RuleSet::plain(2);
        let shown = |rule| {
            let spec = set.get(rule).unwrap();
            set.condition(spec, &spec.steps[0])
        };
        assert_eq!(
            shown(Rule::PriceDrop),
            "price more than 10 % below the previous known day (at most 7 days back)"
        );
        assert!(shown(Rule::RatingFell).starts_with("rating more than 0.5 stars below"));
        assert!(
            shown(Rule::PriceOutlier).starts_with("price further than 2.9652 median absolute deviations")
        );
        assert_eq!(shown(Rule::ProductStale), "watched, and no observation for 2 whole slots of its tier");
    }
}
