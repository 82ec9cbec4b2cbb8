//! `listing_changed`: title, brand, bullets or images differ between two versions of one source's listing.

use serde_json::{Value, json};

use super::wording::Evidence;
use super::{Finding, Rule, RuleSet};
use crate::model::text::fold_notation;
use crate::model::{Day, ProductKey};

/// What the rule compares of one listing version. Null and empty are unknown.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListingSide {
    pub title: Option<String>,
    pub brand: Option<String>,
    pub bullets: Vec<String>,
    pub images: Vec<String>,
}

impl ListingSide {
    /// What it says of a field of [`changed_fields`].
    pub(super) fn field(&self, name: &str) -> &[String] {
        match name {
            "title" => self.title.as_slice(),
            "brand" => self.brand.as_slice(),
            "bullets" => &self.bullets,
            "images" => &self.images,
            _ => &[],
        }
    }
}

/// What one source showed of a product's listing on a day.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListingSeen {
    pub source: String,
    pub day: Day,
    pub side: ListingSide,
}

/// Two consecutive versions of what one source showed of a product; `day` is the day the newer one begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListingChange {
    pub product: ProductKey,
    pub source: String,
    pub day: Day,
    pub before: ListingSide,
    pub after: ListingSide,
}

/// Judges the version changes of one product on one day (of any number of sources, in order): one finding.
///
/// A field counts only where both versions know it: that a source left something out is not a change.
pub fn judge_listing(changes: &[ListingChange], set: &RuleSet) -> Option<Finding> {
    let step = set.event(Rule::ListingChanged)?;
    let differing: Vec<(&ListingChange, Vec<Field>)> = changes
        .iter()
        .map(|change| (change, changed_fields(change)))
        .filter(|(_, f)| !f.is_empty())
        .collect();
    let (first, _) = differing.first()?;
    let said: Vec<String> = differing
        .iter()
        .map(|(change, fields)| {
            let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
            format!("{} ({})", names.join(", "), change.source)
        })
        .collect();
    let records: Vec<Value> = differing
        .iter()
        .flat_map(|(change, fields)| {
            fields.iter().map(|field| {
                json!({ "source": change.source, "field": field.name, "before": field.before, "after": field.after })
            })
        })
        .collect();
    let evidence = Evidence::default().day("day", first.day).put("changes", records);
    Some(Finding {
        rule: Rule::ListingChanged,
        severity: step.severity,
        product: Some(first.product),
        day: first.day,
        object: String::new(),
        message: format!("listing changed: {} ({})", said.join("; "), first.day),
        evidence: evidence.into_value(),
    })
}

struct Field {
    name: &'static str,
    before: Value,
    after: Value,
}

fn changed_fields(change: &ListingChange) -> Vec<Field> {
    let names = ["title", "brand", "bullets", "images"].into_iter();
    let sides = names.map(|name| (name, change.before.field(name), change.after.field(name)));
    sides
        .filter(|(_, before, after)| is_known(before) && is_known(after) && folded(before) != folded(after))
        .map(|(name, before, after)| match name {
            "title" | "brand" => Field { name, before: json!(before.first()), after: json!(after.first()) },
            _ => Field { name, before: json!(before), after: json!(after) },
        })
        .collect()
}

pub(super) fn is_known(texts: &[String]) -> bool {
    texts.iter().any(|text| !text.trim().is_empty())
}

pub(super) fn folded(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| fold_notation(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(title: &str, bullets: &[&str]) -> ListingSide {
        ListingSide {
            title: Some(title.to_owned()),
            brand: None,
            bullets: bullets.iter().map(|text| (*text).to_owned()).collect(),
            images: Vec::new(),
        }
    }

    fn change(source: &str, before: ListingSide, after: ListingSide) -> ListingChange {
        let product =
            ProductKey { marketplace: crate::model::Marketplace::Us, asin: "B0LISTING0".parse().unwrap() };
        ListingChange { product, source: source.into(), day: "2026-03-01".parse().unwrap(), before, after }
    }

    fn judged(changes: &[ListingChange]) -> Option<Finding> {
        judge_listing(changes, &RuleSet::plain(2))
    }

    #[test]
    fn a_changed_listing_names_its_fields_and_source() {
        let changed = change("apify", side("Old", &["a", "b"]), side("New", &["a", "c"]));
        let finding = judged(&[changed]).unwrap();
        assert_eq!(finding.message, "listing changed: title, bullets (apify) (2026-03-01)");
        assert_eq!(finding.evidence["changes"][0]["before"], "Old");
        assert_eq!(finding.evidence["changes"][1]["after"][1], "c");
    }

    #[test]
    fn differences_of_notation_and_fields_left_out_are_no_change() {
        let same = change("apify", side("Caf\u{e9} &amp;  Bar", &["a"]), side("Cafe\u{301} & Bar", &["a "]));
        assert_eq!(judged(&[same]), None);
        let left_out = change("apify", side("Title", &["a"]), side("Title", &[]));
        assert_eq!(judged(&[left_out]), None);
    }

    #[test]
    fn changes_of_several_sources_are_one_finding() {
        let changes = [
            change("apify", side("Old", &[]), side("New", &[])),
            change("keepa", side("Same", &[]), side("Same", &[])),
            change("sp-api", side("x", &["a"]), side("x", &["b"])),
        ];
        let finding = judged(&changes).unwrap();
        assert_eq!(finding.message, "listing changed: title (apify); bullets (sp-api) (2026-03-01)");
    }
}
