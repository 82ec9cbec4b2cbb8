//! Rules that want more than one look: a change has to last, and to be over before it is told again.
//!
//! A product's days are looked at in order. While nothing happens, the newest value is the level that the
//! next one is compared with. A value that moved away from the level waits, and the level with it, until as
//! many looks in a row show the change (`confirmations`), or one shows that it is over. So a reading that was
//! wrong for a day finds nothing, neither when it comes nor when it goes. What is found on a day depends on
//! the days before it within [`RuleSet::look_back_days`], and on nothing else: looking again finds the same.

use std::collections::BTreeSet;

use super::day::{DeltaFacts, exceeds_pct, judge_by};
use super::gate::LOOK_BEFORE;
use super::{Change, Finding, Judged, Reference, Rule, RuleSet, RuleSpec, judge_day};
use crate::model::{Availability, Currency, Day};

/// Judges the newest of a product's delta rows, which are sorted by day, by every rule that looks at such
/// rows.
///
/// `own_sellers` are the seller ids that are ours. Rows that lie further back than
/// [`RuleSet::look_back_days`] change nothing.
pub fn judge_newest(rows: &[DeltaFacts<'_>], set: &RuleSet, own_sellers: &BTreeSet<String>) -> Judged {
    let Some(newest) = rows.last() else { return Judged::default() };
    let mut judged = judge_day(newest, set, own_sellers);
    judged.findings.retain(|finding| set.get(finding.rule).is_some_and(RuleSpec::is_immediate));
    for spec in set.rules.iter().filter(|spec| spec.is_enabled && !spec.is_immediate()) {
        let first = newest.day.plus(-spec.look_back_days(set.max_gap_days));
        let rows = &rows[rows.partition_point(|row| row.day < first)..];
        judged.findings.extend(Settling { spec, set, own_sellers, rows }.newest_finding());
    }
    judged
}

/// What a rule looks at of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Value<'a> {
    /// Of a price, in minor units.
    Price(i64, Currency),
    Rank(i64, Option<&'a str>),
    Rating(i64),
    Count(i64),
    IsInStock(bool),
    Seller(&'a str),
    /// It finds something in the row by itself, or not.
    IsFound(bool),
}

/// The buy box is with nobody.
const NOBODY: Value<'static> = Value::Seller("");

/// A value, and since when it is so.
type Since<'a> = (Value<'a>, Day);

struct Settling<'a> {
    spec: &'a RuleSpec,
    set: &'a RuleSet,
    own_sellers: &'a BTreeSet<String>,
    rows: &'a [DeltaFacts<'a>],
}

/// A change that waits to be confirmed.
struct Pending<'a> {
    level: Since<'a>,
    latest: Value<'a>,
    looks: u32,
    /// What the first look found.
    found: Option<Finding>,
}

impl<'a> Settling<'a> {
    /// What the rule finds on the newest day.
    fn newest_finding(&self) -> Option<Finding> {
        let newest = self.rows.last()?.day;
        let mut found = self.findings();
        let finding = found.pop_if(|finding| finding.day == newest)?;
        let quiet_since = newest.plus(-self.spec.cooldown_days);
        let is_known = found.iter().any(|earlier| {
            earlier.day >= quiet_since
                && earlier.severity >= finding.severity
                && earlier.object == finding.object
                // Another seller is another change; lost it is once, whoever has it.
                && (self.spec.rule == Rule::BuyBoxLost
                    || earlier.evidence["seller_id"] == finding.evidence["seller_id"])
        });
        (!is_known).then_some(finding)
    }

    /// Everything that the rule finds, whether it is told or not.
    fn findings(&self) -> Vec<Finding> {
        let mut found: Vec<Finding> = Vec::new();
        let mut level: Option<Since<'a>> = None;
        let mut last: Option<Since<'a>> = None;
        let mut pending: Option<Pending<'a>> = None;
        // A change against something else than the value before is found once, until it is over.
        let mut known: Option<Pending<'a>> = None;
        for (at, row) in self.rows.iter().enumerate() {
            let Some((value, before)) = self.look(row) else { continue };
            // Another category or currency, or a value from before the first row: nothing is known of the way
            // there.
            if self.has_level() && last != before && last.is_none_or(|last| last.0 != NOBODY) {
                (level, pending, known) = (before, None, None);
            }
            let is_near = |since: Since<'_>| since.1 >= row.day.plus(-self.set.max_gap_days);
            if last.is_some_and(|last| !is_near(last)) {
                pending = None;
            }
            last = Some((value, row.day));
            let before = pending.take();
            let reference = match &before {
                Some(pending) if self.has_level() || self.is_same_change(pending, value) => {
                    Some(pending.level)
                }
                _ => self.reference(at, level.filter(|level| is_near(*level)), &found),
            };
            let Some(reference) = reference else {
                level = last;
                continue;
            };
            let waiting = before.filter(|pending| self.is_same_change(pending, value));
            if !self.has_moved(at, value, reference.0) {
                (level, known) = (last, None);
                continue;
            }
            if known.as_ref().is_some_and(|known| self.is_same_change(known, value)) {
                pending = waiting;
                continue;
            }
            let look_before = waiting.as_ref().map(|waiting| waiting.latest);
            let waiting = waiting.unwrap_or_else(|| Pending {
                level: reference,
                latest: value,
                looks: 0,
                found: self.judge(at, reference),
            });
            let waiting = Pending { latest: value, looks: waiting.looks + 1, ..waiting };
            if waiting.looks < self.spec.confirmations {
                pending = Some(waiting);
                continue;
            }
            level = last;
            let Some(mut finding) = self.judge(at, waiting.level).or_else(|| waiting.found.clone()) else {
                continue;
            };
            if let Some(Value::Price(minor, _)) = look_before {
                finding.evidence[LOOK_BEFORE] = minor.into();
            }
            found.push(Finding { day: row.day, ..finding });
            if self.spec.reference != Reference::Previous || !self.has_level() {
                known = Some(waiting);
            }
        }
        found
    }

    /// True where the newest value is what the next one is compared with; the others say themselves what they
    /// are compared with.
    fn has_level(&self) -> bool {
        !matches!(self.spec.rule, Rule::PriceOutlier | Rule::AllTimeLow | Rule::NewSeller)
    }

    /// What a row says, and what it was compared with when the row was made.
    fn look(&self, row: &DeltaFacts<'a>) -> Option<(Value<'a>, Option<Since<'a>>)> {
        use Rule::{
            AllTimeLow, BackInStock, BsrImproved, BsrWorsened, BuyBoxLost, BuyBoxSellerChanged, NewSeller,
            OutOfStock, PriceDrop, PriceOutlier, PriceRise, RatingFell, RatingRose, RatingsSpike,
        };
        let of = |change: Change, value: &dyn Fn(i64) -> Value<'a>| {
            let before = change.prev.zip(change.prev_day).map(|(prev, day)| (value(prev), day));
            Some((value(change.value?), before))
        };
        match self.spec.rule {
            PriceDrop | PriceRise => {
                let currency = row.currency?;
                of(row.price, &|price| Value::Price(price, currency))
            }
            BsrWorsened | BsrImproved => match row.bsr_leaf.prev {
                Some(_) => of(row.bsr_leaf, &|rank| Value::Rank(rank, row.bsr_leaf_category)),
                None => of(row.bsr, &|rank| Value::Rank(rank, row.bsr_category)),
            },
            RatingFell | RatingRose => of(row.rating, &Value::Rating),
            RatingsSpike => of(row.ratings_count, &Value::Count),
            OutOfStock | BackInStock => {
                let known = |word: Availability| word.in_stock().map(Value::IsInStock);
                let before = row.availability_prev.and_then(known).zip(row.availability_prev_day);
                Some((known(row.availability)?, before))
            }
            BuyBoxLost | BuyBoxSellerChanged => {
                // Nobody is somebody here: that the buy box is lost to nobody counts.
                let seller = row.availability.holder(row.seller_id)?;
                let before = row.seller_prev.map(Value::Seller).zip(row.seller_prev_day);
                Some((Value::Seller(seller), before))
            }
            AllTimeLow => Some((Value::Price(row.price.value?, row.currency?), None)),
            NewSeller => Some((Value::Seller(row.seller_id?), None)),
            PriceOutlier => {
                row.price.value?;
                let finding = judge_by(PriceOutlier, row, self.set, self.own_sellers);
                Some((Value::IsFound(finding.is_some()), None))
            }
            _ => None,
        }
    }

    /// What the value of a row is compared with.
    fn reference(&self, at: usize, level: Option<Since<'a>>, found: &[Finding]) -> Option<Since<'a>> {
        let row = &self.rows[at];
        let of = |price: Option<i64>| Some(Value::Price(price?, row.currency?));
        match self.spec.rule {
            Rule::PriceOutlier => return Some((Value::IsFound(false), row.day)),
            // A wrong look between the first one and the next does not make the first the lowest before.
            Rule::AllTimeLow => return Some((of(self.lowest_before(at))?, row.day)),
            // Any seller is another one than nobody.
            Rule::NewSeller => return (row.seller_is_new == Some(true)).then_some((NOBODY, row.day)),
            // What is usual is how fast they come, not how many there are.
            Rule::RatingsSpike => return level,
            _ => {}
        }
        match self.spec.reference {
            Reference::Previous if matches!(self.look(row)?.0, Value::Seller(_)) => self.established(at),
            Reference::Previous => level,
            Reference::Median(days) => self.median(at, row.day.plus(-days)),
            Reference::LastFound => {
                let last =
                    found.last().and_then(|finding| self.rows.iter().find(|row| row.day == finding.day));
                last.and_then(|row| Some((self.look(row)?.0, row.day))).or(level)
            }
            Reference::AllTime => Some((of(row.price_low_all_prev)?, level?.1)),
        }
    }

    /// The lowest price before the looks that a change has to wait for, the row's own among them; the lowest
    /// of all where one of these looks was lower than the row's.
    fn lowest_before(&self, at: usize) -> Option<i64> {
        let (row, lowest) = (&self.rows[at], self.spec.lowest());
        let known = self.rows[..=at].iter().rev().filter(|row| row.price.value.is_some());
        let looks = known.take(self.spec.confirmations as usize);
        let price = row.price.value?;
        let was_lower = |look: i64| look < price && exceeds_pct(price - look, price, lowest);
        if looks.clone().any(|look| look.price.value.is_some_and(was_lower)) {
            return row.price_low_all_prev;
        }
        looks.filter_map(|row| row.price_low_all_prev).last()
    }

    /// The last seller before a row that had the buy box for as many looks as a change has to last, or was
    /// there first. Of sellers who take turns none has; to have lost it, sellers of our own are one. Null
    /// across days that lie further apart than anything is compared over.
    fn established(&self, at: usize) -> Option<Since<'a>> {
        let mut run: Option<(Since<'a>, u32)> = None;
        let mut next = self.rows[at].day;
        for row in self.rows[..at].iter().rev() {
            let Some((holder, _)) = self.look(row) else { continue };
            if row.day < next.plus(-self.set.max_gap_days) {
                return None;
            }
            next = row.day;
            let (since, looks) = match run {
                Some((since, looks)) if self.is_same_holder(since.0, holder) => (since, looks + 1),
                _ => ((holder, row.day), 1),
            };
            run = Some((since, looks));
            // Who comes after nobody is no other seller than the one before.
            if holder == NOBODY && self.spec.rule == Rule::BuyBoxSellerChanged {
                continue;
            }
            if looks >= self.spec.confirmations || row.seller_known_days == Some(0) {
                return Some(since);
            }
        }
        None
    }

    fn is_same_holder(&self, one: Value<'_>, other: Value<'_>) -> bool {
        let is_own = |holder| matches!(holder, Value::Seller(seller) if self.own_sellers.contains(seller));
        one == other || (self.spec.rule == Rule::BuyBoxLost && is_own(one) == is_own(other))
    }

    /// The lower median of the comparable values from a day on, before the row.
    fn median(&self, at: usize, first: Day) -> Option<Since<'a>> {
        let (value, _) = self.look(&self.rows[at])?;
        let before = self.rows[..at].iter().filter(|row| row.day >= first);
        let mut numbers: Vec<(i64, Day)> = before
            .filter_map(|row| Some((self.look(row)?.0, row.day)))
            .filter(|(other, _)| is_comparable(*other, value))
            .filter_map(|(other, day)| Some((number(other)?, day)))
            .collect();
        let newest = numbers.last()?.1;
        if numbers.len() < LEAST_FOR_MEDIAN {
            return None;
        }
        numbers.sort_unstable();
        Some((with_number(value, numbers[(numbers.len() - 1) / 2].0), newest))
    }

    /// True where a value is not the level any more, in whichever direction: beyond the lowest step, or,
    /// where that is told apart, beyond where the change counts as over.
    fn has_moved(&self, at: usize, value: Value<'_>, level: Value<'_>) -> bool {
        let above = self.spec.clear_below.unwrap_or_else(|| self.spec.lowest());
        match (value, level) {
            (Value::Price(value, _), Value::Price(level, _)) if self.spec.rule == Rule::AllTimeLow => {
                value < level && exceeds_pct(level - value, level, above)
            }
            (Value::Price(value, currency), Value::Price(level, _)) => {
                self.exceeds(value, level, above)
                    && self.spec.steps.first().is_none_or(|step| {
                        self.spec.clear_below.is_some() || step.is_passed_by_amount(value - level, currency)
                    })
            }
            (Value::Rank(value, _), Value::Rank(level, _)) => self.exceeds(value, level, above),
            (Value::Rating(value), Value::Rating(level)) => (value - level).abs() > above,
            (Value::Count(value), Value::Count(level)) => {
                // More than a day's worth: how fast they came, the first look tells.
                value - level > above + self.usual_ratings(at).unwrap_or(0)
            }
            (value, level) => value != level,
        }
    }

    /// True of a change that is large enough for the rule, or whose way back would be: a fall of 9.5 % is no
    /// drop of more than 10 %, but the rise after it would be one.
    fn exceeds(&self, value: i64, level: i64, above: i64) -> bool {
        let is_upward = matches!(self.spec.rule, Rule::PriceRise | Rule::BsrWorsened);
        let from = if (value > level) == is_upward { level } else { value };
        exceeds_pct(value - level, from, above)
    }

    /// How many ratings a day are usual for the product before a row; null where the rule does not ask for
    /// it.
    fn usual_ratings(&self, at: usize) -> Option<i64> {
        let (Rule::RatingsSpike, Reference::Median(days)) = (self.spec.rule, self.spec.reference) else {
            return None;
        };
        let first = self.rows[at].day.plus(-days);
        let before = self.rows[..at].iter().filter(|row| row.day >= first);
        let mut paces: Vec<i64> = before
            .filter_map(|row| {
                let days = row.day.no() - row.ratings_count.prev_day?.no();
                row.ratings_count.delta?.checked_div(days.into())
            })
            .collect();
        paces.sort_unstable();
        (paces.len() >= LEAST_FOR_MEDIAN).then(|| paces[(paces.len() - 1) / 2])
    }

    /// True where a look shows the change that waits already, and not another one.
    fn is_same_change(&self, pending: &Pending<'_>, value: Value<'_>) -> bool {
        match (value, pending.latest) {
            // Lost it is, whoever has it then.
            (Value::Seller(_), latest) => self.is_same_holder(value, latest),
            _ => match (number(value), number(pending.level.0), number(pending.latest)) {
                (Some(value), Some(level), Some(latest)) => (value > level) == (latest > level),
                _ => true,
            },
        }
    }

    /// What the rule finds in a row against a level of an earlier day.
    fn judge(&self, at: usize, (level, day): Since<'a>) -> Option<Finding> {
        let against = |value: Option<i64>, level: i64| Change {
            value,
            prev: Some(level),
            prev_day: Some(day),
            delta: value.map(|value| value - level),
        };
        let mut facts = self.rows[at].clone();
        facts.ratings_usual = self.usual_ratings(at);
        match level {
            Value::Price(level, _) if self.spec.rule == Rule::AllTimeLow => {
                facts.price_low_all_prev = Some(level)
            }
            Value::Price(level, _) => facts.price = against(facts.price.value, level),
            Value::Rank(level, _) if facts.bsr_leaf.prev.is_some() => {
                facts.bsr_leaf = against(facts.bsr_leaf.value, level);
            }
            Value::Rank(level, _) => facts.bsr = against(facts.bsr.value, level),
            Value::Rating(level) => facts.rating = against(facts.rating.value, level),
            Value::Count(level) => facts.ratings_count = against(facts.ratings_count.value, level),
            Value::IsInStock(level) => {
                use Availability::{InStock, OutOfStock};
                (facts.availability_prev, facts.availability_prev_day) =
                    (Some(if level { InStock } else { OutOfStock }), Some(day));
            }
            Value::Seller(_) if self.spec.rule == Rule::NewSeller => facts.seller_is_new = Some(true),
            Value::Seller(level) => {
                (facts.seller_prev, facts.seller_prev_day) = (Some(level), Some(day));
                // That nobody has it counts against this level, not against the day before.
                facts.availability_prev = None;
            }
            Value::IsFound(_) => {}
        }
        let finding = judge_by(self.spec.rule, &facts, self.set, self.own_sellers)?;
        Some(match self.spec.reference {
            Reference::Median(days) if self.spec.rule != Rule::RatingsSpike => Finding {
                message: format!("{}, against the median of {days} days", finding.message),
                ..finding
            },
            _ => finding,
        })
    }
}

/// Values of fewer days have no median worth comparing with.
const LEAST_FOR_MEDIAN: usize = 3;

fn is_comparable(a: Value<'_>, b: Value<'_>) -> bool {
    match (a, b) {
        (Value::Price(_, a), Value::Price(_, b)) => a == b,
        (Value::Rank(_, a), Value::Rank(_, b)) => a == b,
        _ => true,
    }
}

fn number(value: Value<'_>) -> Option<i64> {
    match value {
        Value::Price(number, _) | Value::Rank(number, _) | Value::Rating(number) | Value::Count(number) => {
            Some(number)
        }
        Value::IsInStock(_) | Value::Seller(_) | Value::IsFound(_) => None,
    }
}

fn with_number(like: Value<'_>, number: i64) -> Value<'_> {
    match like {
        Value::Price(_, currency) => Value::Price(number, currency),
        Value::Rank(_, category) => Value::Rank(number, category),
        Value::Rating(_) => Value::Rating(number),
        Value::Count(_) => Value::Count(number),
        other => other,
    }
}

#[cfg(test)]
#[path = "settle_tests.rs"]
pub(super) mod tests;
