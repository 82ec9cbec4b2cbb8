//! Rules over one delta row: what a product did since its previous known day.

use std::collections::BTreeSet;

use super::wording::{self, Evidence, percent, span, stars, tenths};
use super::{Finding, Judged, Rule, RuleSet, Step};
use crate::model::{Availability, Currency, Day, ProductKey};

/// A field's value and the previous known one, as a delta row has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Change {
    pub value: Option<i64>,
    pub prev: Option<i64>,
    pub prev_day: Option<Day>,
    pub delta: Option<i64>,
}

/// What the rules look at of one row of the table `deltas`. Null is unknown.
#[derive(Clone, Debug)]
pub struct DeltaFacts<'a> {
    pub product: ProductKey,
    pub day: Day,
    pub currency: Option<Currency>,
    pub price_basis: Option<&'a str>,
    pub price: Change,
    pub bsr: Change,
    pub bsr_leaf: Change,
    pub bsr_category: Option<&'a str>,
    pub bsr_leaf_category: Option<&'a str>,
    /// Hundredths of a star.
    pub rating: Change,
    pub ratings_count: Change,
    /// How many a day are usual; null where that is not asked.
    pub ratings_usual: Option<i64>,
    pub availability: Availability,
    /// The previous word that says something about stock.
    pub availability_prev: Option<Availability>,
    pub availability_prev_day: Option<Day>,
    pub seller_id: Option<&'a str>,
    pub seller_prev: Option<&'a str>,
    pub seller_prev_day: Option<Day>,
    pub seller_is_new: Option<bool>,
    /// Earlier days with a known seller.
    pub seller_known_days: Option<i64>,
    /// Earlier days with a known price.
    pub price_known_days: Option<i64>,
    pub price_low_all_prev: Option<i64>,
    pub price_outlier_n: Option<i64>,
    pub price_outlier_median_x2: Option<i64>,
    pub price_outlier_mad_x4: Option<i64>,
}

/// Judges one product's day by every rule that looks at its delta row alone.
///
/// `own_sellers` are the seller ids that are ours.
pub fn judge_day(facts: &DeltaFacts<'_>, set: &RuleSet, own_sellers: &BTreeSet<String>) -> Judged {
    let mut judge = Judge {
        facts,
        set,
        own_sellers,
        only: None,
        max_gap_days: set.max_gap_days,
        judged: Judged::default(),
    };
    for &look in Look::ALL {
        judge.look(look);
    }
    judge.judged
}

/// Judges by one rule alone, whatever the age of the values before.
pub(super) fn judge_by(
    rule: Rule,
    facts: &DeltaFacts<'_>,
    set: &RuleSet,
    own_sellers: &BTreeSet<String>,
) -> Option<Finding> {
    let look = Look::of(rule)?;
    let mut judge = Judge {
        facts,
        set,
        own_sellers,
        only: Some(rule),
        max_gap_days: NO_LIMIT,
        judged: Judged::default(),
    };
    judge.look(look);
    judge.judged.findings.pop()
}

/// Any two days lie nearer than this.
const NO_LIMIT: i32 = 100_000;

/// What of a row some rules look at together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Look {
    Price,
    Rank,
    Rating,
    RatingsCount,
    Outlier,
    Stock,
    BuyBox,
    NewSeller,
    AllTimeLow,
}

impl Look {
    const ALL: &[Look] = {
        use Look::{AllTimeLow, BuyBox, NewSeller, Outlier, Price, Rank, Rating, RatingsCount, Stock};
        &[Price, Rank, Rating, RatingsCount, Outlier, Stock, BuyBox, NewSeller, AllTimeLow]
    };

    /// Null for a rule that looks at something else than a delta row.
    pub(super) fn of(rule: Rule) -> Option<Look> {
        Some(match rule {
            Rule::PriceDrop | Rule::PriceRise => Look::Price,
            Rule::BsrWorsened | Rule::BsrImproved => Look::Rank,
            Rule::RatingFell | Rule::RatingRose => Look::Rating,
            Rule::RatingsSpike => Look::RatingsCount,
            Rule::PriceOutlier => Look::Outlier,
            Rule::OutOfStock | Rule::BackInStock => Look::Stock,
            Rule::BuyBoxLost | Rule::BuyBoxSellerChanged => Look::BuyBox,
            Rule::NewSeller => Look::NewSeller,
            Rule::AllTimeLow => Look::AllTimeLow,
            Rule::ListingChanged | Rule::Undercut => return None,
            Rule::ProductStale | Rule::ProductGone | Rule::SourceIncident => return None,
        })
    }
}

/// A change between two known days that are near enough.
struct Moved {
    value: i64,
    prev: i64,
    prev_day: Day,
    delta: i64,
}

struct Judge<'a> {
    facts: &'a DeltaFacts<'a>,
    set: &'a RuleSet,
    own_sellers: &'a BTreeSet<String>,
    /// The rule that is asked for; null: all.
    only: Option<Rule>,
    max_gap_days: i32,
    judged: Judged,
}

impl Judge<'_> {
    fn look(&mut self, look: Look) {
        match look {
            Look::Price => self.price_change(),
            Look::Rank => self.rank_change(),
            Look::Rating => self.rating_change(),
            Look::RatingsCount => self.ratings_spike(),
            Look::Outlier => self.price_outlier(),
            Look::Stock => self.stock_change(),
            Look::BuyBox => self.buy_box(),
            Look::NewSeller => self.new_seller(),
            Look::AllTimeLow => self.all_time_low(),
        }
    }

    fn found(&mut self, rule: Rule, step: Step, message: String, evidence: Evidence) {
        self.found_about(rule, step, String::new(), message, evidence);
    }

    fn found_about(&mut self, rule: Rule, step: Step, object: String, message: String, evidence: Evidence) {
        if self.only.is_some_and(|only| only != rule) {
            return;
        }
        let above = wording::number(rule.shown(step.above));
        self.judged.findings.push(Finding {
            rule,
            severity: step.severity,
            product: Some(self.facts.product),
            day: self.facts.day,
            object,
            message,
            evidence: evidence.day("day", self.facts.day).put("above", above).into_value(),
        });
    }

    /// True when a value of `prev_day` may be compared with today's; counts the ones that lie too far back.
    fn is_near(&mut self, prev_day: Day) -> bool {
        let near = prev_day >= self.facts.day.plus(-self.max_gap_days);
        self.judged.gap_too_long += u64::from(!near);
        near
    }

    fn near(&mut self, change: Change) -> Option<Moved> {
        let Change { value: Some(value), prev: Some(prev), prev_day: Some(prev_day), delta: Some(delta) } =
            change
        else {
            return None;
        };
        self.is_near(prev_day).then_some(Moved { value, prev, prev_day, delta })
    }

    fn price_change(&mut self) {
        let Some(Moved { value, prev, prev_day, delta }) = self.near(self.facts.price) else { return };
        let Some(currency) = self.facts.currency else { return };
        let (rule, word) = if delta < 0 { (Rule::PriceDrop, "fell") } else { (Rule::PriceRise, "rose") };
        let is_passed =
            |step: &Step| exceeds_pct(delta, prev, step.above) && step.is_passed_by_amount(delta, currency);
        let Some(step) = self.set.step(rule, is_passed) else { return };
        let message = format!(
            "price {word} {} from {} to {} {currency} {}",
            percent(delta, prev),
            wording::amount(prev, currency),
            wording::amount(value, currency),
            span(prev_day, self.facts.day)
        );
        let evidence = self.price_evidence(value, currency);
        let evidence = evidence
            .money("price_prev", prev, currency)
            .day("price_prev_day", prev_day)
            .money("price_delta", delta, currency)
            .put("price_pct", wording::ratio_pct(delta, prev));
        self.found(rule, step, message, evidence);
    }

    fn price_evidence(&self, price: i64, currency: Currency) -> Evidence {
        Evidence::default().money("price", price, currency).put("price_basis", self.facts.price_basis)
    }

    /// On the leaf rank where today's leaf category has a previous value, else on the main rank.
    fn rank_change(&mut self) {
        let facts = self.facts;
        let (field, change, category) = match facts.bsr_leaf.prev {
            Some(_) => ("bsr_leaf", facts.bsr_leaf, facts.bsr_leaf_category),
            None => ("bsr", facts.bsr, facts.bsr_category),
        };
        let Some(Moved { value, prev, prev_day, delta }) = self.near(change) else { return };
        let (rule, word) =
            if delta > 0 { (Rule::BsrWorsened, "worsened") } else { (Rule::BsrImproved, "improved") };
        let is_passed = |step: &Step| exceeds_pct(delta, prev, step.above) && step.is_passed_by_count(delta);
        let Some(step) = self.set.step(rule, is_passed) else { return };
        let within = category.map_or_else(String::new, |name| format!(" in {name}"));
        let message = format!(
            "rank{within} {word} {} from {prev} to {value} {}",
            percent(delta, prev),
            span(prev_day, facts.day)
        );
        let evidence = Evidence::default()
            .put("field", field)
            .put("category", category)
            .put("rank", value)
            .put("rank_prev", prev)
            .day("rank_prev_day", prev_day)
            .put("rank_delta", delta)
            .put("rank_pct", wording::ratio_pct(delta, prev));
        self.found(rule, step, message, evidence);
    }

    fn rating_change(&mut self) {
        let Some(Moved { value, prev, prev_day, delta }) = self.near(self.facts.rating) else { return };
        let (rule, word) = if delta < 0 { (Rule::RatingFell, "fell") } else { (Rule::RatingRose, "rose") };
        let size = delta.saturating_abs();
        let Some(step) = self.set.step(rule, |step| size > step.above) else { return };
        let message = format!(
            "rating {word} {} stars from {} to {} {}",
            stars(size),
            stars(prev),
            stars(value),
            span(prev_day, self.facts.day)
        );
        let evidence = Evidence::default()
            .put("rating_centi", value)
            .put("rating_centi_prev", prev)
            .day("rating_prev_day", prev_day)
            .put("rating_centi_delta", delta);
        self.found(rule, step, message, evidence);
    }

    fn ratings_spike(&mut self) {
        let Some(Moved { value, prev, prev_day, delta }) = self.near(self.facts.ratings_count) else {
            return;
        };
        let days = i64::from(self.facts.day.no() - prev_day.no());
        let usual = self.facts.ratings_usual;
        // Beyond what is usual in so many days it does not matter on which of them they came.
        let is_passed = |step: &Step| match usual {
            Some(usual) => i128::from(delta) - i128::from(usual) * i128::from(days) > i128::from(step.above),
            None => i128::from(delta) > i128::from(step.above) * i128::from(days),
        };
        let Some(step) = self.set.step(Rule::RatingsSpike, is_passed) else { return };
        let pace = match days {
            1 => "in one day".to_owned(),
            _ => format!("in {days} days, {} a day", tenths(delta.into(), days.into())),
        };
        let usually = usual.map_or_else(String::new, |usual| format!(", usually {usual} a day"));
        let message = format!(
            "{delta} new ratings {pace}{usually}: from {prev} to {value} {}",
            span(prev_day, self.facts.day)
        );
        let evidence = Evidence::default()
            .put("ratings_count", value)
            .put("ratings_count_prev", prev)
            .day("ratings_count_prev_day", prev_day)
            .put("ratings_count_delta", delta)
            .put("usual_a_day", usual)
            .put("days", days);
        self.found(Rule::RatingsSpike, step, message, evidence);
    }

    /// Beyond two robust sigmas: `10000 * |2x - 2med| > 29652 * 2 * MAD`, silent where the MAD is 0.
    fn price_outlier(&mut self) {
        let facts = self.facts;
        let (Some(price), Some(currency), Some(median_x2), Some(mad_x4)) =
            (facts.price.value, facts.currency, facts.price_outlier_median_x2, facts.price_outlier_mad_x4)
        else {
            return;
        };
        if mad_x4 <= 0 || !self.set.has_history(Rule::PriceOutlier, facts.price_outlier_n) {
            return;
        }
        let distance_x2 = (2 * i128::from(price) - i128::from(median_x2)).abs();
        // Both sides doubled, so that four times the MAD is used as it comes.
        let distance = i64::try_from(distance_x2 / 2).unwrap_or(i64::MAX);
        let is_passed = |step: &Step| {
            20_000 * distance_x2 > i128::from(step.above) * i128::from(mad_x4)
                && step.is_passed_by_amount(distance, currency)
        };
        let Some(step) = self.set.step(Rule::PriceOutlier, is_passed) else { return };
        let side = if 2 * i128::from(price) > i128::from(median_x2) { "above" } else { "below" };
        // One robust sigma is 1.4826 MAD.
        let sigmas = tenths(distance_x2 * 20_000, 14_826 * i128::from(mad_x4));
        let known = facts.price_outlier_n.unwrap_or(0);
        let message = format!(
            "price {} {currency} is {sigmas} robust sigmas {side} the median {} {currency} of the {known} known \
             days before {}",
            wording::amount(price, currency),
            wording::half_amount(median_x2, currency),
            facts.day
        );
        let evidence = self
            .price_evidence(price, currency)
            .put("known_days", known)
            .put("median_minor_x2", median_x2)
            .put("mad_minor_x4", mad_x4);
        self.found(Rule::PriceOutlier, step, message, evidence);
    }

    /// Fires between in stock and out of stock only; every other transition is silent.
    fn stock_change(&mut self) {
        let facts = self.facts;
        let (Some(before), Some(prev_day)) = (facts.availability_prev, facts.availability_prev_day) else {
            return;
        };
        if !facts.availability.is_known() || !self.is_near(prev_day) {
            return;
        }
        let (rule, word) = match (before, facts.availability) {
            (before, now) if before.is_in_stock() && now.is_out() => (Rule::OutOfStock, "out of stock"),
            (before, now) if before.is_out() && now.is_in_stock() => (Rule::BackInStock, "back in stock"),
            _ => return,
        };
        let Some(step) = self.set.event(rule) else { return };
        let said = |availability: Availability| availability.as_str().replace('_', " ");
        let message =
            format!("{word}: {} → {} {}", said(before), said(facts.availability), span(prev_day, facts.day));
        let evidence = Evidence::default()
            .put("availability", facts.availability.as_str())
            .put("availability_prev", before.as_str())
            .day("availability_prev_day", prev_day);
        self.found(rule, step, message, evidence);
    }

    fn buy_box(&mut self) {
        let (facts, own_sellers) = (self.facts, self.own_sellers);
        let (Some(before), Some(prev_day)) = (facts.seller_prev, facts.seller_prev_day) else { return };
        // That nobody has the buy box is known too, but it is news only on the first such day.
        let lost_to_nobody = facts.availability.holder(facts.seller_id) == Some("")
            && facts.availability_prev != Some(Availability::NoFeaturedOffer);
        if (facts.seller_id.is_none() && !lost_to_nobody) || !self.is_near(prev_day) {
            return;
        }
        let now = facts.seller_id.unwrap_or("nobody");
        let evidence = || {
            Evidence::default()
                .put("seller_id", facts.seller_id)
                .put("seller_prev", before)
                .day("seller_prev_day", prev_day)
                .put("availability", facts.availability.as_str())
        };
        let days = span(prev_day, facts.day);
        let is_own = |seller: &str| own_sellers.contains(seller);
        if is_own(before)
            && !facts.seller_id.is_some_and(is_own)
            && let Some(step) = self.set.event(Rule::BuyBoxLost)
        {
            let own: Vec<&String> = own_sellers.iter().collect();
            let evidence = evidence().put("own_seller_ids", serde_json::json!(own));
            self.found(Rule::BuyBoxLost, step, format!("buy box lost: {before} → {now} {days}"), evidence);
        }
        if facts.seller_id.is_some_and(|seller| seller != before)
            && let Some(step) = self.set.event(Rule::BuyBoxSellerChanged)
        {
            let message = format!("buy box seller changed: {before} → {now} {days}");
            self.found(Rule::BuyBoxSellerChanged, step, message, evidence());
        }
    }

    fn new_seller(&mut self) {
        let facts = self.facts;
        let Some(seller) = facts.seller_id else { return };
        if facts.seller_is_new != Some(true)
            || !self.set.has_history(Rule::NewSeller, facts.seller_known_days)
        {
            return;
        }
        let Some(step) = self.set.event(Rule::NewSeller) else { return };
        let known = facts.seller_known_days.unwrap_or(0);
        let message = format!(
            "seller {seller} has the buy box for the first time ({}; {known} days with a known seller before)",
            facts.day
        );
        let evidence = Evidence::default().put("seller_id", seller).put("seller_known_days", known);
        self.found_about(Rule::NewSeller, step, seller.to_owned(), message, evidence);
    }

    fn all_time_low(&mut self) {
        let facts = self.facts;
        let (Some(price), Some(low), Some(currency)) =
            (facts.price.value, facts.price_low_all_prev, facts.currency)
        else {
            return;
        };
        if price >= low || !self.set.has_history(Rule::AllTimeLow, facts.price_known_days) {
            return;
        }
        let is_passed = |step: &Step| {
            exceeds_pct(low - price, low, step.above) && step.is_passed_by_amount(low - price, currency)
        };
        let Some(step) = self.set.step(Rule::AllTimeLow, is_passed) else { return };
        let known = facts.price_known_days.unwrap_or(0);
        let message = format!(
            "all-time low: {} {currency}, the lowest of the {known} known days before was {} {currency} ({})",
            wording::amount(price, currency),
            wording::amount(low, currency),
            facts.day
        );
        let evidence = self
            .price_evidence(price, currency)
            .money("price_low_all_prev", low, currency)
            .put("price_known_days", known);
        self.found(Rule::AllTimeLow, step, message, evidence);
    }
}

/// `|delta| * 10000 > above * prev` with hundredths of a percent, in integers; never for a previous value of
/// 0.
pub(super) fn exceeds_pct(delta: i64, prev: i64, above: i64) -> bool {
    prev > 0 && i128::from(delta).abs() * 10_000 > i128::from(above) * i128::from(prev)
}

#[cfg(test)]
#[path = "day_tests.rs"]
mod tests;
