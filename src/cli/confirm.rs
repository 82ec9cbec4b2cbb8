//! Asking second sources about grave findings, as `run` does between two judgements of the same night.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::context::Context;
use super::fetch::{self, Ask};
use super::output::counted;
use super::ui::Line;
use crate::error::{Outcome, classify};
use crate::model::{ProductKey, Timestamp};
use crate::render::rows::printable;
use crate::sources::budget::dollars;
use crate::stages::alert::Awaiting;
use crate::stages::fetch::{SecondLook, SecondLooks, Summary};
use crate::store::Store;

/// Findings wait for their second source no longer than this: a source that is slow or ill does not keep
/// them.
const PATIENCE: Duration = Duration::from_secs(300);

/// So many products are named in a line.
const NAMED: usize = 10;

/// What came of asking.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Null where nobody could be asked.
    pub(super) summary: Option<Summary>,
    /// Why there is no answer, of every product that waits: it stands where the answers do not say.
    pub(super) unanswered: BTreeMap<ProductKey, String>,
}

/// Asks the configured sources about just these products, each a source that has not shown the finding
/// itself. With `dry_run` it only plans.
///
/// Errors: the database. Whatever a source lacks is in the answer.
pub(super) async fn ask(
    store: &Store,
    context: &Context,
    run_id: &str,
    awaiting: &[Awaiting],
    dry_run: bool,
) -> anyhow::Result<Asked> {
    let settings = &context.config.settings.gate;
    let mut asked = Asked::default();
    for one in awaiting {
        let why = "what was answered says nothing of it";
        asked.unanswered.insert(one.product, why.to_owned());
    }
    let looks = looks(awaiting, &settings.confirm_with);
    for look in looks.iter().filter(|look| look.chain.is_empty()) {
        let why = "every source of `confirm_with` was heard before";
        asked.unanswered.insert(look.key, why.to_owned());
    }
    let looks: Vec<SecondLook> = looks.into_iter().filter(|look| !look.chain.is_empty()).collect();
    if looks.is_empty() {
        return Ok(asked);
    }
    let products: Vec<ProductKey> = looks.iter().map(|look| look.key).collect();
    let max_units_day = settings.confirm_max_units_per_day.unwrap_or(0).into();
    let ask = Ask {
        deadline: Some(PATIENCE),
        second: Some(SecondLooks { looks, max_units_day }),
        ..Ask::all(run_id.to_owned(), dry_run)
    };
    match fetch::fetch(store, context, &settings.confirm_with, ask).await {
        Ok(summary) => {
            asked.unanswered.extend(summary.unanswered.clone());
            asked.summary = Some(summary);
        }
        // No key of any of them, or nothing that could be asked: the findings are told all the same.
        Err(error) if matches!(classify(&error).0, Outcome::Credentials | Outcome::Usage) => {
            let why = format!("{error:#}");
            context.ui.complain(&format!("second source: {why}"));
            asked.unanswered.extend(products.into_iter().map(|product| (product, why.clone())));
        }
        Err(error) => return Err(error),
    }
    Ok(asked)
}

/// One look at each product, whatever of it waits.
fn looks(awaiting: &[Awaiting], sources: &[String]) -> Vec<SecondLook> {
    let mut by_product: BTreeMap<ProductKey, (Timestamp, BTreeSet<&str>)> = BTreeMap::new();
    for Awaiting { product, since, rests_on } in awaiting {
        let (latest, sources) = by_product.entry(*product).or_insert((*since, BTreeSet::new()));
        // An answer is news for all of them, or it is asked for.
        *latest = (*latest).max(*since);
        sources.extend(rests_on.iter().map(String::as_str));
    }
    let look = |(key, (since, rests_on)): (ProductKey, (_, BTreeSet<&str>))| SecondLook {
        key,
        since,
        chain: sources.iter().filter(|source| !rests_on.contains(source.as_str())).cloned().collect(),
    };
    by_product.into_iter().map(look).collect()
}

/// What asking did, or would do, a line each.
pub(super) fn lines(awaiting: &[Awaiting], asked: &Asked) -> Vec<Line> {
    let products: BTreeSet<ProductKey> = awaiting.iter().map(|one| one.product).collect();
    let waiting = counted(products.len(), "product");
    let Some(summary) = &asked.summary else {
        return vec![Line::Note(format!("second source: nobody to ask about {waiting}"))];
    };
    if summary.dry_run {
        return planned(&products, summary);
    }
    let mut line = format!("second source: {waiting} to be confirmed, {} answered", summary.fetched);
    for source in summary.sources.iter().filter(|source| source.requests > 0) {
        line += &format!("; {} {} {}", source.source, source.units, source.unit);
        if let Some(micros) = source.micros.filter(|micros| *micros > 0) {
            line += &format!(", ${}", dollars(micros));
        }
    }
    let mut lines = vec![Line::Note(line)];
    let refused = summary.unanswered.iter();
    lines.extend(refused.map(|(product, why)| {
        Line::Complaint(format!("second source: no answer about {product}: {}", printable(why)))
    }));
    lines
}

fn planned(products: &BTreeSet<ProductKey>, summary: &Summary) -> Vec<Line> {
    let waiting = counted(products.len(), "product");
    let mut lines =
        vec![Line::Note(format!("second source: {waiting} to be confirmed: {}", names(products)))];
    for plan in &summary.plan {
        let money = plan.micros.map_or_else(String::new, |micros| format!(", ${}", dollars(micros)));
        lines.push(Line::Note(format!(
            "second source: would ask {} about {}: {} {}{money}",
            plan.source,
            counted(plan.products, "product"),
            plan.units,
            plan.unit
        )));
        if let Some(obstacle) = &plan.obstacle {
            lines.push(Line::Complaint(format!("{}: {}", plan.source, printable(obstacle))));
        }
    }
    lines
}

fn names(products: &BTreeSet<ProductKey>) -> String {
    let named: Vec<String> = products.iter().take(NAMED).map(ProductKey::to_string).collect();
    let more = products.len() - named.len();
    if more > 0 { format!("{} and {more} more", named.join(", ")) } else { named.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_products_are_named_and_the_rest_counted() {
        let product = |number: u32| -> ProductKey {
            let asin = format!("B{number:09}").parse().unwrap();
            ProductKey { marketplace: crate::model::Marketplace::Us, asin }
        };
        let told = |count: u32| names(&(1..=count).map(product).collect());
        assert_eq!(told(1), "US:B000000001");
        assert!(told(10).ends_with("US:B000000009, US:B000000010"), "{}", told(10));
        assert!(told(12).ends_with("US:B000000009, US:B000000010 and 2 more"), "{}", told(12));
    }
}
