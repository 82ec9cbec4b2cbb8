//! Which alerts a command is about: the same choices for looking and for changing.

use clap::builder::PossibleValuesParser;

use crate::cli::context::Context;
use crate::cli::dates::DayArg;
use crate::model::{Marketplace, ProductRef};
use crate::rollup::rules::{Rule, Severity};
use crate::store::alerts::{AlertFilter, AlertState};

#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct FilterArgs {
    /// Only alerts of these severities
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(Severity::ALL.iter().map(|s| s.as_str())))]
    severity: Vec<String>,

    /// Only alerts of these rules
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(Rule::ALL.iter().map(|rule| rule.as_str())), hide_possible_values = true)]
    rule: Vec<String>,

    /// Only alerts of this product: B0…, UK:B0…, URL
    #[arg(long, value_name = "PRODUCT")]
    product: Option<ProductRef>,

    /// Only alerts of this marketplace
    #[arg(long, value_name = "CODE")]
    marketplace: Option<Marketplace>,

    /// Only alerts of products of this brand
    #[arg(long, value_name = "BRAND")]
    brand: Option<String>,

    /// Only alerts of products that are watched with this tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,

    /// Only alerts of this day and later: YYYY-MM-DD, today, yesterday or -30d
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    since: Option<DayArg>,
}

impl FilterArgs {
    /// The alerts in these states that pass.
    pub(super) fn filter(&self, states: Vec<AlertState>, context: &Context) -> AlertFilter {
        AlertFilter {
            states,
            severities: self.severity.iter().filter_map(|word| Severity::from_word(word)).collect(),
            rules: self.rule.iter().filter_map(|word| Rule::from_word(word)).collect(),
            marketplace: self.product.and_then(|product| product.marketplace).or(self.marketplace),
            asin: self.product.map(|product| product.asin),
            brand: self.brand.clone(),
            tag: self.tag.clone(),
            since: self.since.map(|day| day.resolve(context.today())),
            after: None,
            limit: None,
        }
    }

    pub(super) fn is_given(&self) -> bool {
        let is_named = !self.severity.is_empty() || !self.rule.is_empty() || self.product.is_some();
        let is_of_products = self.marketplace.is_some() || self.brand.is_some() || self.tag.is_some();
        is_named || is_of_products || self.since.is_some()
    }
}
