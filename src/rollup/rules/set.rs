//! Rule sets: which thresholds lead to which severity. `plain` is the shipped one.

use super::{Rule, Severity};

/// From which value on a rule finds something, and how much it matters then. `>` is strict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    pub severity: Severity,
    /// In the rule's unit; 0 where the rule is about an event and not about a size.
    pub above: i64,
}

/// One rule of a set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleSpec {
    pub rule: Rule,
    /// Rising in threshold and severity.
    pub steps: Vec<Step>,
    /// Known days that must lie before the judged one.
    pub min_known_days: i64,
}

/// The rules a run judges by. A rule that is not in the set stays silent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleSet {
    pub name: &'static str,
    pub rules: Vec<RuleSpec>,
    /// Day-over-day rules are silent when the value before is older than this many days.
    pub max_gap_days: i32,
    /// Whole cadence slots without an observation after which a watched product is stale.
    pub stale_slots: u32,
}

impl RuleSet {
    /// The plain set: fixed thresholds, no quality gate.
    pub fn plain(stale_slots: u32) -> RuleSet {
        use Severity::{Critical, High, Low, Medium};
        let spec = |rule, steps: &[(Severity, i64)], min_known_days| RuleSpec {
            rule,
            steps: steps.iter().map(|&(severity, above)| Step { severity, above }).collect(),
            min_known_days,
        };
        let rules = vec![
            spec(Rule::PriceDrop, &[(Medium, 10), (High, 30), (Critical, 50)], 0),
            spec(Rule::PriceRise, &[(Medium, 10), (High, 30), (Critical, 50)], 0),
            spec(Rule::BsrWorsened, &[(Medium, 30), (High, 100), (Critical, 200)], 0),
            spec(Rule::BsrImproved, &[(Low, 30)], 0),
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
        RuleSet { name: "plain", rules, max_gap_days: 7, stale_slots }
    }

    /// The rule as the set has it; null when it is not in the set.
    pub fn get(&self, rule: Rule) -> Option<&RuleSpec> {
        self.rules.iter().find(|spec| spec.rule == rule)
    }

    /// The highest step that is passed; null when none is.
    pub(super) fn step(&self, rule: Rule, is_above: impl Fn(i64) -> bool) -> Option<Step> {
        self.get(rule)?.steps.iter().rev().copied().find(|step| is_above(step.above))
    }

    /// The step of a rule that is about an event.
    pub(super) fn event(&self, rule: Rule) -> Option<Step> {
        self.step(rule, |_| true)
    }

    /// Whether `known_days` days before the judged one are enough for the rule.
    pub(super) fn has_history(&self, rule: Rule, known_days: Option<i64>) -> bool {
        self.get(rule).is_some_and(|spec| known_days.unwrap_or(0) >= spec.min_known_days)
    }

    /// When a rule finds something, as one sentence without the subject.
    pub fn condition(&self, spec: &RuleSpec, step: &Step) -> String {
        let above = step.above;
        let gap = self.max_gap_days;
        let day_before = format!("the previous known day (at most {gap} days back)");
        match spec.rule {
            Rule::PriceDrop => format!("price more than {above} % below {day_before}"),
            Rule::PriceRise => format!("price more than {above} % above {day_before}"),
            Rule::BsrWorsened => format!("leaf rank, else main rank, more than {above} % above {day_before}"),
            Rule::BsrImproved => format!("leaf rank, else main rank, more than {above} % below {day_before}"),
            Rule::RatingFell => format!("rating more than {} stars below {day_before}", stars(above)),
            Rule::RatingRose => format!("rating more than {} stars above {day_before}", stars(above)),
            Rule::RatingsSpike => format!("more than {above} new ratings a day since {day_before}"),
            Rule::PriceOutlier => format!(
                "price further than {}.{:04} median absolute deviations from the median of the 14 latest known \
                 days within 60 days before (at least {})",
                above / 10_000,
                above % 10_000,
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
                "price below the lowest ever (at least {} days with a known price before)",
                spec.min_known_days
            ),
            Rule::ListingChanged => {
                "title, brand, bullets or images differ from the same source's version before".to_owned()
            }
            Rule::Undercut => {
                format!(
                    "a cohort's competitor cheaper than its main product, but not on {day_before} of both"
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

fn stars(centi: i64) -> String {
    super::wording::stars(centi)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_set_has_every_rule_once_with_rising_steps() {
        let set = RuleSet::plain(2);
        let rules: Vec<Rule> = set.rules.iter().map(|spec| spec.rule).collect();
        assert_eq!(rules, Rule::ALL);
        for spec in &set.rules {
            assert!(!spec.steps.is_empty());
            assert!(spec.steps.is_sorted_by(|a, b| a.above < b.above && a.severity < b.severity));
        }
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
