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

/// What one source showed of a product, day by day.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListingLooks {
    pub product: ProductKey,
    pub source: String,
    pub versions: Vec<ListingSide>,
    /// The days on which it looked, in order, and the place of the version that it showed last.
    pub looks: Vec<(Day, usize)>,
}

impl ListingLooks {
    /// The change that has lasted for just so many looks on the day: against what lasted as long before it,
    /// or was there first. Null where nothing changed, or it was so before.
    pub fn settled_change(&self, day: Day, looks: u32) -> Option<ListingChange> {
        let seen = &self.looks[..self.looks.partition_point(|(look, _)| *look <= day)];
        let (newest, after) = *seen.last()?;
        let lasted = self.lasted(seen);
        if newest != day || lasted != looks as usize {
            return None;
        }
        let mut earlier = &seen[..seen.len() - lasted];
        loop {
            let (_, before) = *earlier.last()?;
            let lasted = self.lasted(earlier);
            if lasted >= looks as usize || lasted == earlier.len() {
                return Some(ListingChange {
                    product: self.product,
                    source: self.source.clone(),
                    day,
                    before: self.versions[before].clone(),
                    after: self.versions[after].clone(),
                });
            }
            earlier = &earlier[..earlier.len() - lasted];
        }
    }

    /// How many of the last looks show the same.
    fn lasted(&self, looks: &[(Day, usize)]) -> usize {
        let Some(&(_, newest)) = looks.last() else { return 0 };
        let is_same = |version: usize| {
            version == newest || changed_fields(&self.versions[version], &self.versions[newest]).is_empty()
        };
        looks.iter().rev().take_while(|(_, version)| is_same(*version)).count()
    }
}

/// Judges the version changes of one product on one day (of any number of sources, in order): one finding.
///
/// A field counts only where both versions know it: that a source left something out is not a change.
pub fn judge_listing(changes: &[ListingChange], set: &RuleSet) -> Option<Finding> {
    let step = set.event(Rule::ListingChanged)?;
    let differing: Vec<(&ListingChange, Vec<Field>)> = changes
        .iter()
        .map(|change| (change, changed_fields(&change.before, &change.after)))
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

fn changed_fields(before: &ListingSide, after: &ListingSide) -> Vec<Field> {
    let names = ["title", "brand", "bullets", "images"].into_iter();
    let sides = names.map(|name| (name, before.field(name), after.field(name)));
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

    /// On which days a title is told, which is shown letter by letter, a day each; a dot is a day without a
    /// look.
    fn told(titles: &str, looks: u32) -> String {
        let day = |no: usize| "2026-03-01".parse::<Day>().unwrap().plus(i32::try_from(no).unwrap());
        let letters: Vec<char> = titles.chars().filter(|letter| *letter != '.').collect();
        let days = titles.chars().enumerate().filter(|(_, letter)| *letter != '.').map(|(no, _)| day(no));
        let seen = ListingLooks {
            product: product(),
            source: "apify".to_owned(),
            versions: letters.iter().map(|letter| side(&letter.to_string(), &[])).collect(),
            looks: days.zip(0..).collect(),
        };
        let set = RuleSet::plain(2);
        let told = (0..titles.len()).filter_map(|no| {
            let finding = judge_listing(&[seen.settled_change(day(no), looks)?], &set)?;
            let of = |side: &str| finding.evidence["changes"][0][side].as_str().unwrap().to_owned();
            Some(format!("{no}:{}>{}", of("before"), of("after")))
        });
        told.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_listing_has_to_stay_as_it_was_changed() {
        assert_eq!(told("aaabbbb", 3), "5:a>b");
        assert_eq!(told("aaabaaa", 3), "", "one look, and as before");
        assert_eq!(told("aaabccc", 3), "6:a>c", "one look in between says nothing");
        assert_eq!(told("aaab..b.bb", 3), "8:a>b", "a day without a look does not count");
        assert_eq!(told("abbb", 3), "3:a>b", "what was there first lasted");
        assert_eq!(told("aaabbbaaa", 3), "5:a>b 8:b>a");
        assert_eq!(told("aab", 1), "2:a>b");
        assert_eq!(told("aaa", 1), "");
    }

    fn side(title: &str, bullets: &[&str]) -> ListingSide {
        ListingSide {
            title: Some(title.to_owned()),
            brand: None,
            bullets: bullets.iter().map(|text| (*text).to_owned()).collect(),
            images: Vec::new(),
        }
    }

    fn product() -> ProductKey {
        ProductKey { marketplace: crate::model::Marketplace::Us, asin: "B0LISTING0".parse().unwrap() }
    }

    fn change(source: &str, before: ListingSide, after: ListingSide) -> ListingChange {
        ListingChange {
            product: product(),
            source: source.into(),
            day: "2026-03-01".parse().unwrap(),
            before,
            after,
        }
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
