//! Alert rules over mart rows: facts in, findings out.
//!
//! Pure and exact: every predicate compares integers, `>` is strict. One finding per (product, rule, day), at
//! the highest severity whose threshold is passed; `undercut` and `new_seller` also per object. Knows no
//! database, no lake, no clock; what is judged and what happens with a finding is decided by `stages::alert`.
//!
//! The day of a finding: of the delta row for rules over it, and for `undercut`; the day a listing version
//! begins, or has lasted for as many looks as the rule wants; the first day on which a stale product was
//! stale; the second day without the product for `product_gone`; the incident's day for `source_incident`. So
//! looking again gives the same finding.

mod absence;
mod day;
mod gate;
mod language;
mod lint;
mod listing;
mod message;
mod outlook;
mod second;
mod select;
mod set;
mod settle;
mod undercut;
mod wording;

use crate::ids;
use crate::model::{Day, ProductKey, words};

pub use absence::{GoneFacts, IncidentFacts, StaleFacts, judge_gone, judge_incident, judge_stale, slot_of};
pub use day::{Change, DeltaFacts, judge_day};
pub use gate::{Gate, GateReason, Sightings, Tripped};
pub use language::{Number, Problem, RuleBook, RuleChange, RulesFile};
pub use lint::{Known, Warning, lint};
pub use listing::{ListingChange, ListingLooks, ListingSeen, ListingSide, judge_listing};
pub use outlook::{Outlook, currency_outlook, listing_outlook, outlook, undercut_outlook};
pub use second::{SecondLook, Sighting, is_confirmable, second_look, shown_by};
pub use select::{Selection, Subject};
pub use set::{Reference, RuleSet, RuleSpec, SHIPPED, Step, Unit};
pub use settle::judge_newest;
pub use undercut::{DayPrice, PairFacts, judge_undercut};

/// How much it matters; the order is the order of importance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

words!(Severity { Low = "low", Medium = "medium", High = "high", Critical = "critical" });

/// The alert types: their names are a contract.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rule {
    PriceDrop,
    PriceRise,
    BsrWorsened,
    BsrImproved,
    RatingFell,
    RatingRose,
    RatingsSpike,
    PriceOutlier,
    OutOfStock,
    BackInStock,
    BuyBoxLost,
    BuyBoxSellerChanged,
    NewSeller,
    AllTimeLow,
    ListingChanged,
    Undercut,
    ProductStale,
    ProductGone,
    SourceIncident,
}

words!(Rule {
    PriceDrop = "price_drop",
    PriceRise = "price_rise",
    BsrWorsened = "bsr_worsened",
    BsrImproved = "bsr_improved",
    RatingFell = "rating_fell",
    RatingRose = "rating_rose",
    RatingsSpike = "ratings_spike",
    PriceOutlier = "price_outlier",
    OutOfStock = "out_of_stock",
    BackInStock = "back_in_stock",
    BuyBoxLost = "buy_box_lost",
    BuyBoxSellerChanged = "buy_box_seller_changed",
    NewSeller = "new_seller",
    AllTimeLow = "all_time_low",
    ListingChanged = "listing_changed",
    Undercut = "undercut",
    ProductStale = "product_stale",
    ProductGone = "product_gone",
    SourceIncident = "source_incident",
});

impl Rule {
    /// True where the rule tells of the present (a product not seen, a source in trouble) and not of a day of
    /// data: it is judged at every run, and its finding is news whenever it is first made.
    pub fn is_of_the_present(self) -> bool {
        matches!(self, Rule::ProductStale | Rule::SourceIncident)
    }

    /// True where judging a day again can take the finding back.
    pub fn is_of_a_judged_day(self) -> bool {
        !self.is_of_the_present() && self != Rule::ProductGone
    }
}

/// What a rule found: what an alert is made of.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    pub rule: Rule,
    pub severity: Severity,
    /// Null where it is about a source.
    pub product: Option<ProductKey>,
    pub day: Day,
    /// The competitor, seller or incident it is about; '' where there is none.
    pub object: String,
    /// One plain sentence with the values.
    pub message: String,
    /// Every value the rule looked at.
    pub evidence: serde_json::Value,
}

impl Finding {
    /// The id of this finding's alert: the same whenever the same thing is found.
    pub fn alert_id(&self, workspace: &str) -> String {
        let marketplace = self.marketplace();
        let asin = self.asin();
        ids::stable_id(&[
            workspace,
            self.rule.as_str(),
            marketplace,
            &asin,
            &self.day.to_string(),
            &self.object,
        ])
    }

    /// The marketplace's code; '' where it is about a source.
    pub fn marketplace(&self) -> &'static str {
        self.product.map_or("", |product| product.marketplace.code())
    }

    /// The ASIN; '' where it is about a source.
    pub fn asin(&self) -> String {
        self.product.map_or_else(String::new, |product| product.asin.to_string())
    }
}

/// What came out of judging.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Judged {
    pub findings: Vec<Finding>,
    /// Changes that stayed unjudged because the value before lies more than
    /// [`max_gap_days`](RuleSet::max_gap_days) back.
    pub gap_too_long: u64,
}

impl Judged {
    /// Adds what `other` found.
    pub fn append(&mut self, mut other: Judged) {
        self.findings.append(&mut other.findings);
        self.gap_too_long += other.gap_too_long;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_alert_types_are_the_contract() {
        let names: Vec<_> = Rule::ALL.iter().map(|rule| rule.as_str()).collect();
        assert_eq!(
            names.join(", "),
            "price_drop, price_rise, bsr_worsened, bsr_improved, rating_fell, rating_rose, ratings_spike, \
             price_outlier, out_of_stock, back_in_stock, buy_box_lost, buy_box_seller_changed, new_seller, \
             all_time_low, listing_changed, undercut, product_stale, product_gone, source_incident"
        );
        for &rule in Rule::ALL {
            assert_eq!(Rule::from_word(rule.as_str()), Some(rule));
        }
        assert!(Severity::Critical > Severity::High && Severity::Medium > Severity::Low);
    }
}
