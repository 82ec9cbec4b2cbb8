//! `db partitions`: the months of a server's large tables, made before they are needed and put in order once they are over.

use crate::cli::context::Context;
use crate::cli::output::counted;
use crate::error::Outcome;
use crate::model::Day;
use crate::store::Store;

/// Months that `run` keeps ready, the current one aside.
const AHEAD: u32 = 3;
/// So long after its end little comes to a month any more.
const SETTLED_DAYS: i32 = 7;
/// What a run puts in order at most: the daily rows and ranks of two months, so that the first one does not take all night.
const ORDERED_BY_RUN: usize = 4;

/// Make the months to come of a server's large tables, put those in order that are over
///
/// Raw receipts, observations, daily rows, ranks and deltas are kept by month on a server. A month that is not there is
/// made by the first transaction that writes to it; made ahead, none has to wait for whoever reads the table. A week
/// after its end the daily rows and ranks of a month are put into the order of products, once: a product's days are
/// then read from few pages. Whoever reads the table waits meanwhile, and what comes to the month later lies behind.
/// `run` does all this by itself. An embedded database has no months.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct PartitionsArgs {
    /// Months after the current one
    #[arg(long, value_name = "COUNT", default_value_t = AHEAD, value_parser = clap::value_parser!(u32).range(0..=120))]
    ahead: u32,

    /// Say what would be done, do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(args: PartitionsArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    if store.location().file().is_some() {
        context.ui.note("an embedded database is not kept by month: nothing to make");
        return Ok(Outcome::Done);
    }
    let months = months_from(context.today(), args.ahead);
    let missing = match args.dry_run {
        true => store.missing_months(&months).await?,
        false => store.make_months(&months).await?,
    };
    let would = if args.dry_run { "would make" } else { "made" };
    for (table, months) in &missing {
        context.ui.note(&format!(
            "{would} {} of {table}: {}",
            counted(months.len(), "month"),
            months.join(", ")
        ));
    }
    if missing.is_empty() {
        let last = months.last().map_or("", String::as_str);
        context.ui.note(&format!("every month up to {last} is there"));
    }
    let unordered = store.unordered_months(&settled_before(context.today())).await?;
    let _lock = match args.dry_run || unordered.is_empty() {
        true => None,
        false => Some(context.lock(&store, "pipeline").await?),
    };
    for (table, month) in &unordered {
        let said = match args.dry_run {
            true => "would be put",
            false if store.order_month(table, month).await? => "is put",
            false => "is in use and not put",
        };
        context.ui.note(&format!("{month} of {table} {said} into the order of products"));
    }
    if args.dry_run && !(missing.is_empty() && unordered.is_empty()) {
        context.ui.note("dry run, nothing written");
    }
    Ok(Outcome::Done)
}

/// Makes what a run keeps ready, without a word.
pub(in crate::cli) async fn make_ahead(store: &Store, context: &Context) -> anyhow::Result<()> {
    store.make_months(&months_from(context.today(), AHEAD)).await?;
    Ok(())
}

/// Puts some of what is over in order, while nobody else derives anything. Where that fails, a run has lost nothing.
pub(in crate::cli) async fn put_in_order(store: &Store, context: &Context) {
    let ordered = async {
        let unordered = store.unordered_months(&settled_before(context.today())).await?;
        for (table, month) in unordered.into_iter().take(ORDERED_BY_RUN) {
            if context.cancel().is_cancelled() {
                break;
            }
            let is_ordered = store.order_month(table, &month).await?;
            tracing::info!(table, month, is_ordered, "put into the order of products");
        }
        anyhow::Ok(())
    };
    if let Err(error) = ordered.await {
        tracing::warn!(error = format!("{error:#}"), "a month was not put into the order of products");
    }
}

/// The first month to which rows may still come.
fn settled_before(today: Day) -> String {
    today.plus(-SETTLED_DAYS).month()
}

/// The month of a day and those after it, `YYYY-MM`.
pub(super) fn months_from(day: Day, ahead: u32) -> Vec<String> {
    let next = |first: &Day| Some(first.month_end().plus(1));
    std::iter::successors(Some(day.month_start()), next).take(ahead as usize + 1).map(Day::month).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_counted_over_the_end_of_a_year() {
        assert_eq!(
            months_from("2026-11-30".parse().unwrap(), 3),
            ["2026-11", "2026-12", "2027-01", "2027-02"]
        );
        assert_eq!(months_from("2026-01-31".parse().unwrap(), 1), ["2026-01", "2026-02"]);
        assert_eq!(months_from("2026-01-31".parse().unwrap(), 0), ["2026-01"]);
    }
}
