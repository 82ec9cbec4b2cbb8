//! Which products a part of a rules file is about.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::{Asin, Marketplace, ProductKey, Relation, Tier, Workspace};

/// What a workspace knows of a product beside its key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Subject {
    pub brand: Option<String>,
    pub tags: BTreeSet<String>,
    /// Null where it is not watched.
    pub tier: Option<Tier>,
    /// Null where it is not watched.
    pub relation: Option<Relation>,
    /// The cohorts that it belongs to.
    pub cohorts: BTreeSet<String>,
}

/// Products: those for which every key that is given names something of theirs.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// ASINs, of every marketplace or of one: B0FDKB341G, DE:B0FDKB341G.
    pub asins: Vec<String>,
    /// Names of cohorts.
    pub cohorts: Vec<String>,
    /// Tags of the watchlist.
    pub tags: Vec<String>,
    /// Brands, whatever their case.
    pub brands: Vec<String>,
    /// Tiers of the watchlist: critical, routine, weekly.
    pub tiers: Vec<String>,
    /// "own" or "rival", as the watchlist has it.
    pub relation: Option<String>,
    /// Codes of marketplaces.
    pub marketplaces: Vec<String>,
    /// Names of workspaces.
    pub workspaces: Vec<String>,
}

impl Selection {
    /// Errors: a word that names nothing.
    pub(super) fn check(&self) -> Result<(), String> {
        if *self == Selection::default() {
            return Err("it selects nothing: what is meant for every product stands under [rules]".to_owned());
        }
        for text in &self.asins {
            asin(text).ok_or_else(|| format!("`{text}` is no ASIN"))?;
        }
        for code in &self.marketplaces {
            code.parse::<Marketplace>().map_err(|_| format!("there is no marketplace `{code}`"))?;
        }
        for tier in &self.tiers {
            Tier::from_word(tier).ok_or_else(|| format!("`{tier}` is none of critical, routine, weekly"))?;
        }
        for name in &self.workspaces {
            name.parse::<Workspace>().map_err(|error| error.to_string())?;
        }
        match self.relation.as_deref().map(Relation::from_word) {
            Some(None) => Err("relation is \"own\" or \"rival\"".to_owned()),
            _ => Ok(()),
        }
    }

    pub(super) fn is_of_workspace(&self, workspace: &Workspace) -> bool {
        self.workspaces.is_empty() || self.workspaces.iter().any(|name| name == workspace.as_str())
    }

    /// How special it is: a product before a cohort before anything else before a workspace.
    pub(super) fn rank(&self) -> u8 {
        let Selection { asins, cohorts, tags, brands, tiers, relation, marketplaces, .. } = self;
        if !asins.is_empty() {
            3
        } else if !cohorts.is_empty() {
            2
        } else {
            let is_said = |words: &Vec<String>| !words.is_empty();
            u8::from([tags, brands, tiers, marketplaces].into_iter().any(is_said) || relation.is_some())
        }
    }

    /// True of a product of the workspace; what is not known of it is not what is asked for.
    pub(super) fn selects(&self, product: ProductKey, subject: Option<&Subject>) -> bool {
        let unknown = Subject::default();
        let subject = subject.unwrap_or(&unknown);
        let is_one = |words: &[String], is: &dyn Fn(&str) -> bool| {
            words.is_empty() || words.iter().any(|word| is(word))
        };
        is_one(&self.asins, &|text| {
            asin(text).is_some_and(|(marketplace, asin)| {
                asin == product.asin && marketplace.is_none_or(|code| code == product.marketplace)
            })
        }) && is_one(&self.marketplaces, &|code| code.parse() == Ok(product.marketplace))
            && is_one(&self.cohorts, &|name| subject.cohorts.contains(name))
            && is_one(&self.tags, &|tag| subject.tags.contains(tag))
            && is_one(&self.tiers, &|tier| subject.tier.is_some_and(|known| known.as_str() == tier))
            && is_one(&self.brands, &|brand| {
                subject.brand.as_ref().is_some_and(|known| known.to_lowercase() == brand.to_lowercase())
            })
            && self
                .relation
                .as_deref()
                .is_none_or(|word| subject.relation.is_some_and(|r| r.as_str() == word))
    }
}

impl std::fmt::Display for Selection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let relation: Vec<String> = self.relation.iter().cloned().collect();
        let parts = [
            ("asin", &self.asins),
            ("cohort", &self.cohorts),
            ("tag", &self.tags),
            ("brand", &self.brands),
            ("tier", &self.tiers),
            ("relation", &relation),
            ("marketplace", &self.marketplaces),
            ("workspace", &self.workspaces),
        ];
        let said = parts.iter().filter(|(_, words)| !words.is_empty());
        let said: Vec<String> = said.map(|(name, words)| format!("{name} {}", words.join("|"))).collect();
        f.write_str(&said.join(", "))
    }
}

fn asin(text: &str) -> Option<(Option<Marketplace>, Asin)> {
    match text.split_once(':') {
        Some((code, asin)) => Some((Some(code.parse().ok()?), asin.parse().ok()?)),
        None => Some((None, text.parse().ok()?)),
    }
}
