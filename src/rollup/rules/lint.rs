//! What a rules file says that can never, or will always, find something.

use std::collections::{BTreeSet, HashSet};

use super::{Rule, RuleBook, RuleSpec, Selection, Unit};
use crate::model::{Marketplace, ProductKey};

/// What there is to select: what nothing has is a name that was mistyped.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub tags: BTreeSet<String>,
    pub cohorts: BTreeSet<String>,
    /// In lower case.
    pub brands: BTreeSet<String>,
    pub products: HashSet<ProductKey>,
    pub has_own_sellers: bool,
}

/// A rule that is not what it seems.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    pub rule: Rule,
    /// For whom; '' for every product.
    pub place: String,
    pub message: String,
}

/// Everything that can never or will always find something. Without `known` names are not looked up.
pub fn lint(book: &RuleBook, known: Option<&Known>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for spec in book.base().rules.iter().filter(|spec| spec.is_enabled) {
        let messages = of_rule(spec).into_iter().chain(known.and_then(|known| of_market(spec, known)));
        warnings.extend(messages.map(|message| Warning { rule: spec.rule, place: String::new(), message }));
    }
    for (rule, selection, spec) in book.specials() {
        let place = selection.to_string();
        let mut messages = known.map(|known| unknown_names(selection, known)).unwrap_or_default();
        if spec.is_enabled {
            messages.extend(of_rule(&spec));
        } else if book.base().get(rule).is_none() {
            messages.push("the rule is switched off for every product anyway".to_owned());
        }
        warnings.extend(messages.into_iter().map(|message| Warning { rule, place: place.clone(), message }));
    }
    warnings
}

/// What holds whatever the market.
fn of_rule(spec: &RuleSpec) -> Vec<String> {
    use Rule::{AllTimeLow, BsrImproved, PriceDrop, PriceOutlier, Undercut};
    let mut messages = Vec::new();
    let shown = |above| spec.rule.shown(above);
    for step in &spec.steps {
        let severity = step.severity;
        if matches!(spec.rule, PriceDrop | BsrImproved | AllTimeLow | Undercut) && step.above >= 10_000 {
            messages.push(format!("never {severity}: nothing falls by more than {} %", shown(step.above)));
        }
        if spec.rule.unit() == Unit::Stars && step.above >= 400 {
            messages.push(format!("never {severity}: between 1 and 5 stars lie 4"));
        }
    }
    let tells_any_change = matches!(spec.rule.unit(), Unit::Percent | Unit::Stars | Unit::PerDay)
        && !matches!(spec.rule, AllTimeLow | Undercut);
    let least = spec.steps.first().and_then(|step| step.min_abs).unwrap_or_default();
    if tells_any_change && spec.lowest() == 0 && least.is_zero() && spec.confirmations <= 1 {
        messages.push("always: every change, however small, is found".to_owned());
    }
    if spec.rule == PriceOutlier && spec.min_known_days > 14 {
        messages.push("never: it looks at no more than 14 known days".to_owned());
    }
    match spec.clear_below {
        Some(clear) if clear > spec.lowest() => messages.push(format!(
            "it is over at {} while it is found from {} on: never for what lies between",
            shown(clear),
            shown(spec.lowest())
        )),
        Some(0) => messages.push("it is over only at exactly the value before".to_owned()),
        _ => {}
    }
    messages
}

/// What needs something that the configuration does not have.
fn of_market(spec: &RuleSpec, known: &Known) -> Option<String> {
    match spec.rule {
        Rule::BuyBoxLost if !known.has_own_sellers => {
            Some("never: [own] seller_ids names no seller of yours".to_owned())
        }
        Rule::Undercut if known.cohorts.is_empty() => Some("never: there is no cohort".to_owned()),
        _ => None,
    }
}

fn unknown_names(selection: &Selection, known: &Known) -> Vec<String> {
    let mut messages = Vec::new();
    let mut note = |what: &str, words: &[String], is_known: &dyn Fn(&str) -> bool| {
        if !words.is_empty() && !words.iter().any(|word| is_known(word)) {
            messages.push(format!("never: no product has {what} {}", words.join(" or ")));
        }
    };
    note("tag", &selection.tags, &|tag| known.tags.contains(tag));
    note("cohort", &selection.cohorts, &|name| known.cohorts.contains(name));
    note("brand", &selection.brands, &|brand| known.brands.contains(&brand.to_lowercase()));
    note("ASIN", &selection.asins, &|text| {
        let (code, asin) = text.split_once(':').map_or((None, text), |(code, asin)| (Some(code), asin));
        let code = code.and_then(|code| code.parse::<Marketplace>().ok());
        known.products.iter().any(|product| {
            product.asin.as_str() == asin && code.is_none_or(|code| code == product.marketplace)
        })
    });
    note("marketplace", &selection.marketplaces, &|code| {
        known.products.iter().any(|product| product.marketplace.code() == code)
    });
    messages
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;
