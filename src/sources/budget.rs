//! What may still be spent at a source: a request that would go beyond is not sent.

use crate::model::{Cost, SpendingLimits, Spent};

/// A source's budget during a run.
#[derive(Clone, Debug)]
pub struct Budget {
    limits: SpendingLimits,
    /// By other runs.
    others: Spent,
    /// Of this run, requests on their way at their estimate.
    run: Cost,
    /// What the source counts in.
    unit: &'static str,
    /// Of second looks: how many units they may cost a day, and what of them this run's spending does not hold.
    second_looks: Option<(i64, i64)>,
}

impl Budget {
    pub fn new(limits: SpendingLimits, others: Spent, unit: &'static str) -> Budget {
        Budget { limits, others, run: Cost::NOTHING, unit, second_looks: None }
    }

    /// From now on second looks are asked for, at most so many units of them a day. `run` is what this run has spent by now,
    /// `today` the units that all runs have spent on second looks.
    pub fn for_second_looks(mut self, most: i64, run: Cost, today: i64) -> Budget {
        self.run = run.known();
        self.second_looks = Some((most, today - self.run.units));
        self
    }

    pub fn limits(&self) -> SpendingLimits {
        self.limits
    }

    /// What other runs have spent by now; true where that is something else than what was known.
    pub fn set_others(&mut self, others: Spent) -> bool {
        std::mem::replace(&mut self.others, others) != others
    }

    /// The limit that a request of this estimate would exceed, in words; null: it may go.
    pub fn exceeded_by(&self, estimate: Cost) -> Option<String> {
        // Money that is not known counts as none: only its units are limited.
        let run = self.run.plus(estimate.known());
        let spans = [
            ("run", self.limits.run, run),
            ("day", self.limits.day, run.plus(self.others.day.known())),
            ("month", self.limits.month, run.plus(self.others.month.known())),
        ];
        for (span, limit, spent) in spans {
            if let Some(max) = limit.units.filter(|max| spent.units > *max) {
                let (units, unit) = (spent.units, self.unit);
                return Some(format!("{units} {unit} would exceed the {max} of `max_units_{span}`"));
            }
            let micros = spent.micros.unwrap_or(0);
            if let Some(max) = limit.micros.filter(|max| micros > *max) {
                let (spent, max) = (dollars(micros), dollars(max));
                return Some(format!("${spent} would exceed the ${max} of `max_usd_{span}`"));
            }
        }
        let (most, before) = self.second_looks?;
        let (units, unit) = (before + run.units, self.unit);
        (units > most)
            .then(|| format!("{units} {unit} would exceed the {most} of `confirm_max_units_per_day`"))
    }

    /// Takes the estimate of a request out of the budget. Errors: the limit that would be exceeded.
    pub fn reserve(&mut self, estimate: Cost) -> Result<(), String> {
        if let Some(limit) = self.exceeded_by(estimate) {
            return Err(limit);
        }
        self.run = self.run.plus(estimate.known());
        Ok(())
    }

    /// Puts the real cost in the place of the estimate.
    pub fn settle(&mut self, estimate: Cost, cost: Cost) {
        self.run = self.run.minus(estimate.known()).plus(cost.known());
    }
}

/// Millionths as dollars: `0.0023`, `12.50`.
pub fn dollars(micros: i64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, (micros % 1_000_000).abs());
    let keep = text.trim_end_matches('0').len().max(text.len() - 4);
    let sign = if micros < 0 && micros > -1_000_000 { "-" } else { "" };
    format!("{sign}{}", &text[..keep])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SpendingLimit as Limit;

    fn cost(units: i64, micros: i64) -> Cost {
        Cost { units, micros: Some(micros) }
    }

    #[test]
    fn a_request_that_would_exceed_any_limit_is_not_sent() {
        let limits = SpendingLimits {
            run: Limit { units: Some(100), micros: None },
            day: Limit { units: None, micros: Some(1_000_000) },
            month: Limit { units: Some(1_000), micros: None },
        };
        let before = Spent { day: cost(10, 400_000), month: cost(950, 0) };
        let mut budget = Budget::new(limits, before, "tokens");
        assert_eq!(budget.reserve(cost(40, 500_000)), Ok(()));
        assert_eq!(
            budget.reserve(cost(5, 200_000)),
            Err("$1.10 would exceed the $1.00 of `max_usd_day`".to_owned()),
            "what is on its way counts"
        );
        budget.settle(cost(40, 500_000), cost(30, 100_000));
        assert_eq!(budget.reserve(cost(5, 200_000)), Ok(()));
        assert_eq!(
            budget.reserve(cost(20, 0)),
            Err("1005 tokens would exceed the 1000 of `max_units_month`".to_owned())
        );
        assert_eq!(
            budget.reserve(cost(101, 0)),
            Err("136 tokens would exceed the 100 of `max_units_run`".to_owned())
        );
        assert_eq!(budget.run, cost(35, 300_000));
    }

    #[test]
    fn second_looks_have_a_limit_of_their_own_beside_that_of_the_run() {
        let run = Limit { units: Some(60), micros: None };
        let limits = SpendingLimits { run, ..SpendingLimits::default() };
        // Of the 5 that were spent on second looks today, 2 are this run's, as 48 for what was due.
        let mut budget = Budget::new(limits, Spent::default(), "tokens").for_second_looks(8, cost(50, 0), 5);
        assert_eq!(budget.reserve(cost(2, 0)), Ok(()));
        assert_eq!(
            budget.reserve(cost(2, 0)),
            Err("9 tokens would exceed the 8 of `confirm_max_units_per_day`".to_owned())
        );
        assert_eq!(budget.reserve(cost(1, 0)), Ok(()));
        assert_eq!(
            budget.reserve(cost(8, 0)),
            Err("61 tokens would exceed the 60 of `max_units_run`".to_owned())
        );
    }

    #[test]
    fn dollars_keep_their_cents_and_as_many_more_digits_as_they_have() {
        for (micros, text) in
            [(0, "0.00"), (12_500_000, "12.50"), (2_300, "0.0023"), (1, "0.000001"), (-5_000, "-0.005")]
        {
            assert_eq!(dollars(micros), text);
        }
    }
}
