//! `undercut`: a competitor of a cohort has become cheaper than its main product.

use super::day::exceeds_pct;
use super::wording::{self, Evidence};
use super::{Finding, Judged, Rule, RuleSet, RuleSpec, Step};
use crate::model::{Currency, Day, ProductKey};

/// A product's known price of one day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DayPrice {
    pub day: Day,
    pub price_minor: i64,
    pub currency: Currency,
}

/// A main product and one competitor, with their known prices sorted by day.
#[derive(Clone, Copy, Debug)]
pub struct PairFacts<'a> {
    pub main: ProductKey,
    pub competitor: ProductKey,
    /// Names of the cohorts that hold the pair, sorted.
    pub cohorts: &'a [String],
    pub main_prices: &'a [DayPrice],
    pub competitor_prices: &'a [DayPrice],
}

/// Judges one pair on `day`: it fires when the competitor is cheaper today and was not on the latest earlier
/// day with both prices known in one currency. Without such a day it is silent. Where the rule wants several
/// looks, it fires at the last of them, and the earlier day is the one before the first.
///
/// The finding is the main product's; its object is the competitor's ASIN, with the marketplace in front
/// where that is another one.
pub fn judge_undercut(pair: &PairFacts<'_>, day: Day, set: &RuleSet) -> Judged {
    let mut judged = Judged::default();
    let Some(spec) = set.get(Rule::Undercut) else { return judged };
    let first = day.plus(-set.max_gap_days.max(spec.look_back_days(set.max_gap_days)));
    let days = pair.main_prices.iter().map(|price| price.day).filter(|known| *known <= day);
    let commons: Vec<Common> = days.filter_map(|known| common_prices(pair, known)).collect();
    let Some(((today, earlier), before)) =
        commons.split_last().filter(|(today, _)| today.day == day).map(|split| (split, split.1.last()))
    else {
        return judged;
    };
    let Some(before) = before else { return judged };
    if before.day < day.plus(-set.max_gap_days) {
        judged.gap_too_long = 1;
        return judged;
    }
    let near = &earlier[earlier.partition_point(|common| common.day < first)..];
    let Some(before) = last_dearer(near, today, spec, set.max_gap_days) else { return judged };
    let Some(step) = spec.step(|step| today.passes(step)) else { return judged };
    let currency = today.currency;
    let object = if pair.competitor.marketplace == pair.main.marketplace {
        pair.competitor.asin.to_string()
    } else {
        pair.competitor.to_string()
    };
    let amount = |minor| wording::amount(minor, currency);
    let message = format!(
        "{object} now costs {} {currency}, less than {} {currency} here; before it was {} against {} {}",
        amount(today.competitor),
        amount(today.main),
        amount(before.competitor),
        amount(before.main),
        wording::span(before.day, day)
    );
    let evidence = Evidence::default()
        .day("day", day)
        .put("competitor", pair.competitor.to_string())
        .put("cohorts", serde_json::json!(pair.cohorts))
        .money("main_price", today.main, currency)
        .money("competitor_price", today.competitor, currency)
        .day("prev_day", before.day)
        .money("main_price_prev", before.main, currency)
        .money("competitor_price_prev", before.competitor, currency)
        .into_value();
    judged.findings.push(Finding {
        rule: Rule::Undercut,
        severity: step.severity,
        product: Some(pair.main),
        day,
        object,
        message,
        evidence,
    });
    judged
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Common {
    pub(super) day: Day,
    pub(super) main: i64,
    pub(super) competitor: i64,
    currency: Currency,
}

impl Common {
    /// True where the competitor is cheaper by as much as the rule wants at least.
    pub(super) fn is_below(self, spec: &RuleSpec) -> bool {
        spec.step(|step| self.passes(step)).is_some()
    }

    fn passes(self, step: &Step) -> bool {
        let less = self.main - self.competitor;
        less > 0 && exceeds_pct(less, self.main, step.above) && step.is_passed_by_amount(less, self.currency)
    }
}

/// The newest look before the competitor became cheaper, where that is found today; null where it is not.
/// Being cheaper, and not being it any more, are both told by as many looks in a row as the rule wants.
fn last_dearer(earlier: &[Common], today: &Common, spec: &RuleSpec, max_gap_days: i32) -> Option<Common> {
    let (mut is_cheaper, mut others): (Option<bool>, u32) = (None, 0);
    let (mut dearer, mut quiet_until): (Option<Common>, Option<Day>) = (None, None);
    let mut last: Option<Day> = None;
    for look in earlier.iter().chain([today]) {
        if last.is_some_and(|last| last < look.day.plus(-max_gap_days)) {
            (is_cheaper, others, dearer) = (None, 0, None);
        }
        last = Some(look.day);
        let is_below = look.is_below(spec);
        let was_cheaper = *is_cheaper.get_or_insert(is_below);
        // Not cheaper by enough is no news; dearer is the end of it. Where one look decides there is nothing
        // in between.
        let is_over = look.competitor >= look.main || (spec.is_immediate() && !is_below);
        let is_other = if was_cheaper { is_over } else { is_below };
        if !is_other {
            others = 0;
            if !was_cheaper {
                dearer = Some(*look);
            }
            continue;
        }
        others += 1;
        if others < spec.confirmations {
            continue;
        }
        (is_cheaper, others) = (Some(!was_cheaper), 0);
        if was_cheaper {
            dearer = Some(*look);
            continue;
        }
        let is_quiet = quiet_until.is_some_and(|until| look.day <= until);
        quiet_until = Some(look.day.plus(spec.cooldown_days)).filter(|_| spec.cooldown_days > 0);
        if look.day == today.day {
            return dearer.filter(|_| !is_quiet);
        }
    }
    None
}

/// Both prices of a day; null unless both are known in one currency.
pub(super) fn common_prices(pair: &PairFacts<'_>, day: Day) -> Option<Common> {
    let on_day = |prices: &[DayPrice]| {
        prices.binary_search_by_key(&day, |price| price.day).ok().and_then(|at| prices.get(at)).copied()
    };
    let (main, competitor) = (on_day(pair.main_prices)?, on_day(pair.competitor_prices)?);
    (main.currency == competitor.currency).then_some(Common {
        day,
        main: main.price_minor,
        competitor: competitor.price_minor,
        currency: main.currency,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ProductKey {
        text.parse::<crate::model::ProductRef>().unwrap().key_or(crate::model::Marketplace::Us)
    }

    fn day(no: i32) -> Day {
        "2026-03-01".parse::<Day>().unwrap().plus(no)
    }

    fn prices(days: &[(i32, i64)], currency: &str) -> Vec<DayPrice> {
        let currency = currency.parse().unwrap();
        days.iter().map(|&(no, price_minor)| DayPrice { day: day(no), price_minor, currency }).collect()
    }

    fn judged(main: &[DayPrice], competitor: &[DayPrice], on: i32) -> Judged {
        let cohorts = ["mine".to_owned()];
        let pair = PairFacts {
            main: key("B0MAIN0000"),
            competitor: key("B0RIVAL000"),
            cohorts: &cohorts,
            main_prices: main,
            competitor_prices: competitor,
        };
        judge_undercut(&pair, day(on), &RuleSet::plain(2))
    }

    #[test]
    fn a_competitor_undercuts_on_the_day_it_becomes_cheaper_and_not_again() {
        let main = prices(&[(0, 2000), (1, 2000), (2, 2000)], "USD");
        let rival = prices(&[(0, 2000), (1, 1999), (2, 1900)], "USD");
        assert_eq!(judged(&main, &rival, 0), Judged::default());
        let findings = judged(&main, &rival, 1).findings;
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].object, "B0RIVAL000");
        assert_eq!(
            findings[0].message,
            "B0RIVAL000 now costs 19.99 USD, less than 20.00 USD here; before it was 20.00 against 20.00 \
             (2026-03-01 → 2026-03-02)"
        );
        assert_eq!(findings[0].evidence["cohorts"][0], "mine");
        assert_eq!(findings[0].evidence["main_price_minor"], 2000);
        assert!(judged(&main, &rival, 2).findings.is_empty(), "cheaper already on the day before");
    }

    #[test]
    fn an_equal_price_is_not_an_undercut() {
        let main = prices(&[(0, 2000), (1, 2000)], "USD");
        let rival = prices(&[(0, 2100), (1, 2000)], "USD");
        assert!(judged(&main, &rival, 1).findings.is_empty());
    }

    #[test]
    fn the_previous_common_day_may_be_seven_days_back_but_not_eight() {
        let main = prices(&[(0, 2000), (3, 2000), (7, 2000), (8, 2000)], "USD");
        let rival = prices(&[(0, 2100), (7, 1900), (8, 1900)], "USD");
        assert_eq!(judged(&main, &rival, 7).findings.len(), 1, "day 3 is not common");
        let main = prices(&[(0, 2000), (8, 2000)], "USD");
        let eight = judged(&main, &prices(&[(0, 2100), (8, 1900)], "USD"), 8);
        assert_eq!((eight.findings.len(), eight.gap_too_long), (0, 1));
    }

    #[test]
    fn a_first_common_day_and_another_currency_are_silent() {
        let main = prices(&[(0, 2000), (1, 2000)], "USD");
        assert_eq!(judged(&main, &prices(&[(1, 1900)], "USD"), 1), Judged::default());
        assert_eq!(judged(&main, &prices(&[(0, 2100), (1, 1900)], "CAD"), 1), Judged::default());
    }
}
