//! Alerts against labels: what was right, what was false and why, what was missed.

use std::collections::{BTreeMap, HashSet};

use super::kind::Kind;
use super::label::{Label, blame};
use super::play::Told;
use super::{TELL_WITHIN, World};

/// What became of one alert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// The demanded label at this place of the list.
    Hit(usize),
    /// The welcome one.
    Welcome(usize),
    /// Answers nothing; what it comes from.
    False(Kind),
    /// More of an alert that was judged already.
    More,
}

/// How one rule set did on one market.
pub(crate) struct Judged {
    /// One for each alert.
    pub(crate) verdicts: Vec<Verdict>,
    /// Places of the demanded labels that nothing answered.
    pub(crate) missed: Vec<usize>,
    pub(crate) score: Score,
}

/// Counts of one alert type, or of all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counts {
    /// Demanded labels.
    pub(crate) events: u64,
    pub(crate) hits: u64,
    /// Answered welcome labels.
    pub(crate) welcome: u64,
    pub(crate) wrong: u64,
}

impl Counts {
    pub(crate) fn alerts(self) -> u64 {
        self.hits + self.welcome + self.wrong
    }

    pub(crate) fn right(self) -> u64 {
        self.hits + self.welcome
    }

    fn add(&mut self, other: Counts) {
        self.events += other.events;
        self.hits += other.hits;
        self.welcome += other.welcome;
        self.wrong += other.wrong;
    }
}

/// Counts over any number of markets.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Score {
    pub(crate) by_rule: BTreeMap<String, Counts>,
    /// False alarms by type and by what they come from.
    pub(crate) blamed: BTreeMap<(Kind, String), u64>,
    /// Notices that an alert became more severe.
    pub(crate) escalations: u64,
    /// Products times judged days.
    pub(crate) product_days: u64,
}

impl Score {
    pub(crate) fn add(&mut self, other: &Score) {
        for (rule, counts) in &other.by_rule {
            self.by_rule.entry(rule.clone()).or_default().add(*counts);
        }
        for (cause, number) in &other.blamed {
            *self.blamed.entry(cause.clone()).or_default() += number;
        }
        self.escalations += other.escalations;
        self.product_days += other.product_days;
    }

    /// Over all types.
    pub(crate) fn overall(&self) -> Counts {
        let mut all = Counts::default();
        self.by_rule.values().for_each(|counts| all.add(*counts));
        all
    }

    /// Alerts that 100 products give in a week.
    pub(crate) fn per_100_and_week(&self) -> f64 {
        self.overall().alerts() as f64 * 700.0 / self.product_days.max(1) as f64
    }
}

/// Judges alerts in the order in which they were told.
pub(crate) fn judge(world: &World, told: &[Told]) -> Judged {
    let mut answered = vec![false; world.labels.len()];
    let mut known: HashSet<&str> = HashSet::new();
    let mut score = Score {
        product_days: world.products.len() as u64 * world.judged_days().max(0) as u64,
        ..Score::default()
    };
    let mut verdicts = Vec::with_capacity(told.len());
    for alert in told {
        let is_known = !known.insert(&alert.alert_id);
        if alert.is_more && is_known {
            score.escalations += 1;
            verdicts.push(Verdict::More);
            continue;
        }
        let counts = score.by_rule.entry(alert.rule.clone()).or_default();
        let verdict = match answer(&world.labels, &answered, alert) {
            Some(at) => {
                answered[at] = true;
                if world.labels[at].is_demanded { Verdict::Hit(at) } else { Verdict::Welcome(at) }
            }
            None => Verdict::False(blame(world, &alert.rule, alert.place, &alert.object, alert.on)),
        };
        match verdict {
            Verdict::Hit(_) => counts.hits += 1,
            Verdict::Welcome(_) => counts.welcome += 1,
            Verdict::False(kind) => {
                counts.wrong += 1;
                *score.blamed.entry((kind, alert.rule.clone())).or_default() += 1;
            }
            Verdict::More => {}
        }
        verdicts.push(verdict);
    }
    for label in world.labels.iter().filter(|label| label.is_demanded) {
        score.by_rule.entry(label.rule.to_owned()).or_default().events += 1;
    }
    let missed =
        (0..world.labels.len()).filter(|at| world.labels[*at].is_demanded && !answered[*at]).collect();
    Judged { verdicts, missed, score }
}

/// The label that an alert answers: one that is demanded before one that is welcome, the earliest first.
fn answer(labels: &[Label], answered: &[bool], alert: &Told) -> Option<usize> {
    let fits = |at: &usize| {
        let label = &labels[*at];
        !answered[*at]
            && label.rule == alert.rule
            && label.place == alert.place
            && (label.object.is_empty() || label.object == alert.object)
            && (label.from..=label.until).contains(&alert.on)
    };
    (0..labels.len()).filter(fits).min_by_key(|at| (!labels[*at].is_demanded, labels[*at].from))
}

/// The interval in which a share lies with a confidence of 95 % (Wilson). Null without cases.
pub(crate) fn wilson(part: u64, whole: u64) -> Option<(f64, f64)> {
    const Z: f64 = 1.959_963_985;
    if whole == 0 {
        return None;
    }
    let (n, p) = (whole as f64, part as f64 / whole as f64);
    let middle = p + Z * Z / (2.0 * n);
    let reach = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    Some((((middle - reach) / scale).max(0.0), ((middle + reach) / scale).min(1.0)))
}

/// Days around an alert or event that explain it.
pub(crate) fn around(day: i32, days: i32) -> std::ops::Range<i32> {
    (day - TELL_WITHIN - 2).max(0)..(day + TELL_WITHIN + 2).min(days)
}
