//! The rule language: what a rules file may say, and what that makes of a shipped set.
//!
//! `[rules.TYPE]` changes a rule for every product, `[[override]]` for those that its `where` selects. What
//! names the product goes before what names its cohort, that before any other selection, that before the
//! workspace, and that before `[rules]`; among equals the later one wins, key by key. So each product has one
//! rule of each type.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Deserialize;

use super::message::Template;
use super::select::{Selection, Subject};
use super::{Finding, Reference, Rule, RuleSet, RuleSpec, Severity, Step, Unit};
use crate::model::{ProductKey, Workspace};

/// Looks that may have to confirm a change: each may come a week after the one before.
const MOST_CONFIRMATIONS: u32 = 5;
const MOST_COOLDOWN_DAYS: i32 = 60;
const MOST_MEDIAN_DAYS: i32 = 30;
/// Median absolute deviations in a robust sigma, in ten thousandths.
const SIGMA: i64 = 14_826;

/// What a rules file may hold.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RulesFile {
    /// Day-over-day rules are silent when the value before is older than this many days [default: 7].
    pub max_gap_days: Option<u8>,
    /// Changes for every product, by the rule's type.
    pub rules: BTreeMap<String, RuleChange>,
    /// Changes for some products.
    #[serde(rename = "override")]
    pub overrides: Vec<Override>,
}

/// A change of one rule for some products.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// The rule's type.
    pub rule: String,
    /// Which products.
    #[serde(rename = "where")]
    pub selection: Selection,
    /// What is different for them: the keys of `[rules.TYPE]`.
    pub set: RuleChange,
}

/// What differs from the rule as the set has it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RuleChange {
    /// False: the rule is silent.
    pub enabled: Option<bool>,
    /// From where on it finds something; they replace those of the set.
    pub steps: Option<Vec<StepEntry>>,
    /// The severity of a rule that is about an event.
    pub severity: Option<String>,
    /// The change has to be larger than this too: in the currency's unit for prices, in ranks for ranks.
    pub min_abs: Option<Number>,
    /// Known days that must lie before the judged one.
    pub min_known_days: Option<u16>,
    /// What today is compared with: "previous" (the previous known day), "median:14" (of the known days of so
    /// many days), "last_found" (the value at which it last found something), "all_time" (the lowest price
    /// ever, of price_drop).
    pub reference: Option<String>,
    /// Looks in a row that have to show the change.
    #[serde(rename = "for")]
    pub confirmations: Option<u32>,
    /// The change is over when it is smaller than this, in the steps' unit [default: the lowest step].
    pub clear_below: Option<Number>,
    /// Days without the same finding before it is told again, unless it is graver.
    pub cooldown_days: Option<u8>,
    /// A template of the message, with rule, severity, marketplace, asin, day, object, message and evidence.
    pub message: Option<String>,
}

/// One step: a severity, and what has to be exceeded.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepEntry {
    /// low, medium, high or critical.
    pub severity: String,
    /// Percent, of rules about prices, ranks, all-time lows and undercutting.
    pub min_pct: Option<Number>,
    /// Stars of rating rules, ratings a day of ratings_spike; of the others the currency's unit or ranks,
    /// beside `min_pct`.
    pub min_abs: Option<Number>,
    /// Robust sigmas, of price_outlier.
    pub min_sigmas: Option<Number>,
}

/// A number, or one in quotes.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Number {
    Whole(i64),
    Real(f64),
    Text(String),
}

impl Number {
    fn decimal(&self) -> Result<Decimal, String> {
        let text = match self {
            Number::Whole(number) => number.to_string(),
            Number::Real(number) => number.to_string(),
            Number::Text(text) => text.trim().to_owned(),
        };
        let number: Decimal = text.parse().map_err(|_| format!("`{text}` is no number"))?;
        if number.is_sign_negative() && !number.is_zero() {
            return Err(format!("`{text}` is negative"));
        }
        Ok(number)
    }
}

/// Something in a rules file that does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// `rules.price_drop.steps[1]`; '' where the file is no TOML, or has keys that nothing knows.
    pub place: String,
    pub message: String,
}

/// A [`RuleChange`] that holds.
#[derive(Clone, Debug, Default)]
struct Change {
    is_enabled: Option<bool>,
    steps: Option<Vec<Step>>,
    min_abs: Option<Decimal>,
    min_known_days: Option<i64>,
    reference: Option<Reference>,
    confirmations: Option<u32>,
    clear_below: Option<i64>,
    cooldown_days: Option<i32>,
    message: Option<String>,
}

impl Change {
    fn apply(&self, spec: &mut RuleSpec) {
        let Change { is_enabled, steps, min_abs, min_known_days, reference, .. } = self;
        spec.is_enabled = is_enabled.unwrap_or(spec.is_enabled);
        if let Some(steps) = steps {
            spec.steps.clone_from(steps);
        }
        if let Some(least) = min_abs {
            spec.steps.iter_mut().for_each(|step| step.min_abs = step.min_abs.max(Some(*least)));
        }
        spec.min_known_days = min_known_days.unwrap_or(spec.min_known_days);
        spec.reference = reference.unwrap_or(spec.reference);
        spec.confirmations = self.confirmations.unwrap_or(spec.confirmations);
        spec.clear_below = self.clear_below.or(spec.clear_below);
        spec.cooldown_days = self.cooldown_days.unwrap_or(spec.cooldown_days);
        if let Some(message) = &self.message {
            spec.message.clone_from(message);
        }
    }
}

/// A change of one rule for selected products.
#[derive(Clone, Debug)]
struct Special {
    rule: Rule,
    selection: Selection,
    change: Change,
}

/// The rules of every product: a set, and what differs for some.
#[derive(Clone, Debug)]
pub struct RuleBook {
    base: Arc<RuleSet>,
    /// From the general to the special.
    specials: Arc<Vec<Special>>,
    /// Sets by the specials that apply.
    sets: Arc<Mutex<HashMap<Vec<bool>, Arc<RuleSet>>>>,
    templates: Arc<BTreeMap<String, Template>>,
}

impl From<RuleSet> for RuleBook {
    /// The set as it is, for every product.
    fn from(base: RuleSet) -> RuleBook {
        let (specials, templates) = (Arc::default(), Arc::default());
        RuleBook { base: Arc::new(base), specials, sets: Arc::default(), templates }
    }
}

impl RuleBook {
    /// What a rules file makes of a set, in one workspace. Errors: everything in it that does not hold.
    pub fn read(text: &str, mut base: RuleSet, workspace: &Workspace) -> Result<RuleBook, Vec<Problem>> {
        let file: RulesFile = toml::from_str(text).map_err(|error| {
            vec![Problem { place: String::new(), message: error.to_string().trim_end().to_owned() }]
        })?;
        let mut problems = Problems::default();
        base.max_gap_days = file.max_gap_days.map_or(base.max_gap_days, i32::from);
        for (name, change) in &file.rules {
            let place = format!("rules.{name}");
            let Some(rule) = problems.note(&place, rule_named(name)) else { continue };
            let change = problems.change(&place, rule, change);
            base.rules.iter_mut().filter(|spec| spec.rule == rule).for_each(|spec| change.apply(spec));
        }
        let mut specials = Vec::new();
        for (at, entry) in file.overrides.iter().enumerate() {
            let place = format!("override[{at}]");
            problems.note(&format!("{place}.where"), entry.selection.check());
            let Some(rule) = problems.note(&format!("{place}.rule"), rule_named(&entry.rule)) else {
                continue;
            };
            let change = problems.change(&format!("{place}.set"), rule, &entry.set);
            if entry.selection.is_of_workspace(workspace) {
                specials.push(Special { rule, selection: entry.selection.clone(), change });
            }
        }
        // Stable: among equals the order of the file.
        specials.sort_by_key(|special| special.selection.rank());
        let mut templates = BTreeMap::new();
        let changes = specials.iter().filter_map(|special| special.change.message.as_ref());
        for text in base.rules.iter().map(|spec| &spec.message).chain(changes).filter(|text| !text.is_empty())
        {
            // Those that do not hold have been noted.
            templates.extend(Template::parse(text).ok().map(|template| (text.clone(), template)));
        }
        if !problems.0.is_empty() {
            return Err(problems.0);
        }
        let (specials, templates) = (Arc::new(specials), Arc::new(templates));
        Ok(RuleBook { base: Arc::new(base), specials, sets: Arc::default(), templates })
    }

    /// The rules of a product about which nothing special is said.
    pub fn base(&self) -> &RuleSet {
        &self.base
    }

    /// True where it matters what is known of a product.
    pub fn is_special(&self) -> bool {
        !self.specials.is_empty()
    }

    /// The rules of a product.
    pub fn set_for(&self, product: ProductKey, subject: Option<&Subject>) -> Arc<RuleSet> {
        if self.specials.is_empty() {
            return self.base.clone();
        }
        let applies = |special: &Special| special.selection.selects(product, subject);
        let which: Vec<bool> = self.specials.iter().map(applies).collect();
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || {
            let mut set = RuleSet::clone(&self.base);
            for (special, _) in self.specials.iter().zip(&which).filter(|(_, applies)| **applies) {
                let specs = set.rules.iter_mut().filter(|spec| spec.rule == special.rule);
                specs.for_each(|spec| special.change.apply(spec));
            }
            Arc::new(set)
        };
        sets.entry(which.clone()).or_insert_with(made).clone()
    }

    /// How many days before the judged one some rule may look at, for some product.
    pub fn look_back_days(&self) -> i32 {
        let max_gap_days = self.base.max_gap_days;
        let widest = self.base.rules.iter().map(|spec| {
            let specials = self.specials().filter(|(rule, ..)| *rule == spec.rule);
            specials.fold(spec.clone(), |widest, (_, _, special)| widest.wider(&special))
        });
        widest.map(|spec| spec.look_back_days(max_gap_days)).max().unwrap_or(0)
    }

    /// The finding with the message that its rule wants.
    pub fn worded(&self, mut finding: Finding, set: &RuleSet) -> Finding {
        let text = set.get(finding.rule).map_or("", |spec| spec.message.as_str());
        if let Some(template) = self.templates.get(text) {
            finding.message = template.render(&finding);
        }
        finding
    }

    /// Every override that applies in this workspace: its rule, whom it selects, and the rule as it makes it
    /// of the base.
    pub fn specials(&self) -> impl Iterator<Item = (Rule, &Selection, RuleSpec)> {
        self.specials.iter().filter_map(|special| {
            let mut spec = self.base.rules.iter().find(|spec| spec.rule == special.rule)?.clone();
            special.change.apply(&mut spec);
            Some((special.rule, &special.selection, spec))
        })
    }
}

fn rule_named(name: &str) -> Result<Rule, String> {
    Rule::from_word(name).ok_or_else(|| {
        let near = Rule::ALL.iter().map(|rule| rule.as_str());
        let near =
            near.max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
        format!("there is no rule `{name}`; did you mean `{}`?", near.unwrap_or_default())
    })
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn note<T>(&mut self, place: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.0.push(Problem { place: place.to_owned(), message })).ok()
    }

    /// The change as far as it holds; what does not is noted.
    fn change(&mut self, place: &str, rule: Rule, entry: &RuleChange) -> Change {
        let mut change = Change { is_enabled: entry.enabled, ..Change::default() };
        if let Some(steps) = &entry.steps {
            change.steps = self.steps(&format!("{place}.steps"), rule, steps);
        }
        if let Some(severity) = &entry.severity {
            let place = format!("{place}.severity");
            let severity = self.note(&place, severity_named(severity)).filter(|_| {
                let is_event = rule.unit() == Unit::Event && entry.steps.is_none();
                let message = format!("{rule} is about a size: say its severities under `steps`");
                self.note(&place, is_event.then_some(()).ok_or(message)).is_some()
            });
            change.steps = severity.map(|severity| vec![Step { severity, above: 0, min_abs: None }]);
        }
        if let Some(least) = &entry.min_abs {
            change.min_abs = self.note(&format!("{place}.min_abs"), min_abs(rule, least));
        }
        if let Some(days) = entry.min_known_days {
            let counted = rule.counts_known_days().then(|| i64::from(days)).ok_or_else(|| {
                format!("{rule} does not count the days before: `min_known_days` says nothing of it")
            });
            change.min_known_days = self.note(&format!("{place}.min_known_days"), counted);
        }
        if let Some(text) = &entry.reference {
            change.reference = self.note(&format!("{place}.reference"), reference(rule, text));
        }
        let waits = |what: &str| match rule.can_wait() {
            true => Ok(()),
            false => Err(format!("{rule} is judged by one look: `{what}` says nothing of it")),
        };
        if let Some(looks) = entry.confirmations {
            let allowed = waits("for").and_then(|()| match looks {
                1..=MOST_CONFIRMATIONS => Ok(looks),
                _ => Err(format!("`for` is 1 to {MOST_CONFIRMATIONS} looks")),
            });
            change.confirmations = self.note(&format!("{place}.for"), allowed);
        }
        if let Some(days) = entry.cooldown_days {
            let allowed = waits("cooldown_days").and_then(|()| match i32::from(days) {
                0..=MOST_COOLDOWN_DAYS if !rule.can_repeat() => {
                    Err(format!("{rule} never finds the same again: `cooldown_days` says nothing of it"))
                }
                days @ 0..=MOST_COOLDOWN_DAYS => Ok(days),
                _ => Err(format!("`cooldown_days` is at most {MOST_COOLDOWN_DAYS}")),
            });
            change.cooldown_days = self.note(&format!("{place}.cooldown_days"), allowed);
        }
        if let Some(clear) = &entry.clear_below {
            let allowed = waits("clear_below").and_then(|()| match rule {
                Rule::Undercut => Err(format!(
                    "{rule} is over when the competitor is not cheaper: `clear_below` says nothing of it"
                )),
                _ => fine(rule, clear),
            });
            change.clear_below = self.note(&format!("{place}.clear_below"), allowed);
        }
        if let Some(text) = &entry.message {
            self.note(&format!("{place}.message"), Template::parse(text).map(|_| ()));
            change.message = Some(text.clone());
        }
        change
    }

    fn steps(&mut self, place: &str, rule: Rule, entries: &[StepEntry]) -> Option<Vec<Step>> {
        let mut steps: Vec<Step> = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            let place = format!("{place}[{at}]");
            let step = self.note(&place, step(rule, entry))?;
            if let Some(last) = steps.last()
                && (last.above >= step.above || last.severity >= step.severity)
            {
                let message = "steps rise: each one is larger and graver than the one before".to_owned();
                self.note::<()>(&place, Err(message));
            }
            steps.push(step);
        }
        if steps.is_empty() {
            let message = "at least one step is needed; `enabled = false` silences a rule".to_owned();
            self.note::<()>(place, Err(message));
        }
        Some(steps)
    }
}

fn severity_named(word: &str) -> Result<Severity, String> {
    let known = Severity::ALL.iter().map(|severity| severity.as_str()).collect::<Vec<_>>().join(", ");
    Severity::from_word(word).ok_or_else(|| format!("`{word}` is none of {known}"))
}

fn step(rule: Rule, entry: &StepEntry) -> Result<Step, String> {
    let severity = severity_named(&entry.severity)?;
    let StepEntry { min_pct, min_abs: least, min_sigmas, .. } = entry;
    let (size, name, others) = match rule.unit() {
        Unit::Percent => (min_pct, "min_pct", [min_sigmas.is_some(), false]),
        Unit::Stars | Unit::PerDay => (least, "min_abs", [min_pct.is_some(), min_sigmas.is_some()]),
        Unit::Deviations => (min_sigmas, "min_sigmas", [min_pct.is_some(), false]),
        Unit::Event => {
            return Err(format!("{rule} is about an event: say its one `severity` instead of steps"));
        }
    };
    if others.contains(&true) {
        return Err(format!("the steps of {rule} are said by `{name}`"));
    }
    let size = size.as_ref().ok_or_else(|| format!("`{name}` is missing"))?;
    let above = match rule.unit() {
        Unit::Deviations => {
            let sigmas = size.decimal()?.checked_mul(Decimal::from(SIGMA)).map(|fine| fine.round());
            rule.step_of(sigmas.unwrap_or_default() / Decimal::from(10_000))
        }
        _ => rule.step_of(size.decimal()?),
    };
    let above = above.ok_or_else(|| format!("`{name}` is told apart to hundredths only"))?;
    let is_beside = least.is_some() && rule.has_amount();
    let min_abs = least.as_ref().filter(|_| is_beside).map(Number::decimal).transpose()?;
    Ok(Step { severity, above, min_abs })
}

fn min_abs(rule: Rule, least: &Number) -> Result<Decimal, String> {
    match rule.has_amount() {
        true => least.decimal(),
        false => Err(format!("{rule} has no amount beside its steps")),
    }
}

fn fine(rule: Rule, number: &Number) -> Result<i64, String> {
    if matches!(rule.unit(), Unit::Event | Unit::Deviations) {
        return Err(format!("{rule} has no size that could be smaller"));
    }
    rule.step_of(number.decimal()?).ok_or_else(|| "it is told apart to hundredths only".to_owned())
}

fn reference(rule: Rule, text: &str) -> Result<Reference, String> {
    if !rule.has_reference() {
        return Err(format!("what {rule} compares with cannot be chosen"));
    }
    match text.split_once(':') {
        None if text == "previous" => Ok(Reference::Previous),
        None if text == "last_found" => match rule {
            Rule::RatingsSpike => Err("a count that only grows is not compared with it".to_owned()),
            _ => Ok(Reference::LastFound),
        },
        None if text == "all_time" && rule == Rule::PriceDrop => Ok(Reference::AllTime),
        None if text == "all_time" => Err("of price_drop only: no other extreme is kept".to_owned()),
        Some(("median", days)) => match days.parse::<i32>() {
            Ok(days @ 3..=MOST_MEDIAN_DAYS) => Ok(Reference::Median(days)),
            _ => Err(format!("`median:N` has 3 to {MOST_MEDIAN_DAYS} days")),
        },
        _ => Err(format!("`{text}` is none of previous, median:N, last_found, all_time")),
    }
}

#[cfg(test)]
#[path = "language_tests.rs"]
mod tests;
