//! `backfill`: days of the past, from a provider's history or from folders of dated files, through all stages.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::OutputArgs;
use super::context::Context;
use super::dates::{DayArg, parse_duration};
use super::fetch::{self, Ask, SelectionArgs};
use super::ingest::{self, IngestArgs};
use super::output::{counted, within};
use super::run::Chain;
use super::ui::Line;
use crate::error::{Failure, Outcome};
use crate::ingest::{Found, PathDay, day_in_path};
use crate::model::{DayRange, Marketplace, ProductKey};
use crate::sources::keepa;
use crate::stages::alert::Telling;
use crate::store::Store;

/// Fill in days of the past, from a provider's history or from dated files
///
/// With --source keepa, asks once for each watched product's history and takes the values that were in force at the end
/// of each of the days, at most to the history's last update. With paths, reads the files whose path holds one of the
/// days. Then normalizes and builds the mart. What is seen live always counts more, and nobody is alerted. Run it again
/// after an interruption: what was asked for or read before is left out.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct BackfillArgs {
    /// Files or folders with a date in their path: prices/2026-01-31/de.csv
    #[arg(value_name = "PATH", conflicts_with = "source")]
    paths: Vec<PathBuf>,

    /// Provider to ask for its history
    #[arg(long, value_name = "NAME", value_parser = [keepa::NAME])]
    source: Option<String>,

    /// First day: YYYY-MM-DD, yesterday or -30d
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    from: DayArg,

    /// Last day [default: yesterday]
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    to: Option<DayArg>,

    /// Marketplace of files' records that name none [default: the configured one]
    #[arg(long, value_name = "CODE", requires = "paths")]
    marketplace: Option<Marketplace>,

    /// Show what would be asked or read and what it would cost; ask nobody, write nothing
    #[arg(long)]
    dry_run: bool,

    /// Ask nobody any more after this long, with exit code 6 when products are left: 50m, 2h. What was asked before is
    /// waited for
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with = "paths")]
    deadline: Option<Duration>,

    #[command(flatten)]
    selection: SelectionArgs,

    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: BackfillArgs, context: &Context) -> anyhow::Result<Outcome> {
    let days = days(&args, context)?;
    match &args.source {
        Some(source) => from_provider(source, days, &args, context).await,
        None if args.paths.is_empty() => Err(Failure::usage("nothing says where the days come from")
            .hint("name a provider with --source keepa, or folders of dated files")
            .into()),
        None => {
            args.selection.refuse_for_files()?;
            from_files(days, &args, context).await
        }
    }
}

fn days(args: &BackfillArgs, context: &Context) -> anyhow::Result<DayRange> {
    let today = context.today();
    let days = DayRange {
        first: args.from.resolve(today),
        last: args.to.map_or(today.plus(-1), |day| day.resolve(today)),
    };
    if days.last < days.first {
        let (first, last) = (days.first, days.last);
        return Err(Failure::usage(format!("--from {first} is after --to {last}")).into());
    }
    if days.last > today {
        return Err(Failure::usage(format!("--to {} lies in the future", days.last)).into());
    }
    context.ui.note(&format!("days {} to {}", days.first, days.last));
    Ok(days)
}

async fn from_provider(
    source: &str,
    days: DayRange,
    args: &BackfillArgs,
    context: &Context,
) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    // A history has no offers and no buy box to pay for.
    let mut config = context.config.clone();
    (config.settings.keepa.offers, config.settings.keepa.buy_box) = (0, false);
    let context = &context.with_config(config);
    let names = [source.to_owned()];
    let mut selection = fetch::selection(&args.selection, &store, context).await?;
    let known = store.load_histories(source, days, context.today(), context.config.zone).await?;
    let is_wanted = |key: &ProductKey| selection.only.is_empty() || selection.only.contains(key);
    // What an answer of an earlier backfill reaches over is read from it, not bought again.
    let to_extend: Vec<i64> = known
        .iter()
        .filter(|known| !known.is_asked && is_wanted(&known.product))
        .map(|known| known.receipt_id)
        .collect();
    selection.without = known.into_iter().map(|known| known.product).collect();
    let ask = |run_id: String, dry_run: bool| Ask {
        selection: selection.clone(),
        deadline: args.deadline,
        history: Some(days),
        ..Ask::all(run_id, dry_run)
    };
    if args.dry_run {
        let summary = fetch::fetch(&store, context, &names, ask(String::new(), true)).await?;
        fetch::emit_plan(&summary, &args.output, context)?;
        if !to_extend.is_empty() {
            let answers = counted(to_extend.len(), "answer");
            context.ui.note(&format!("{answers} of an earlier backfill would be read for these days too"));
        }
        context.ui.note("dry run: nobody was asked, nothing written");
        return Ok(Outcome::Done);
    }
    let _turn = context.turn(&store, Duration::ZERO).await?;
    let (run, _share) = context.begin_asking(&store, "backfill").await?;
    let mut chain = Chain::new(&store, context, run.run_id.clone());
    for receipt_id in &to_extend {
        store.request_history(*receipt_id, days).await?;
    }
    let summary = fetch::fetch(&store, context, &names, ask(run.run_id.clone(), false)).await?;
    chain.end("fetch", summary.outcome(), serde_json::json!(summary), &fetch::lines(&summary));
    chain.derive(Telling::Nothing).await?;
    let Chain { outcome, record, .. } = chain;
    run.finish(outcome, &Value::Object(record)).await?;
    end(outcome, context)
}

async fn from_files(days: DayRange, args: &BackfillArgs, context: &Context) -> anyhow::Result<Outcome> {
    let inputs = dated(ingest::inputs(&args.paths, context)?, days, context)?;
    let store = context.open_store().await?;
    let ingest_args =
        IngestArgs { marketplace: args.marketplace, dry_run: args.dry_run, ..IngestArgs::default() };
    if args.dry_run {
        return preview(inputs, &ingest_args, &store, context).await;
    }
    let _lock = context.lock(&store, "pipeline").await?;
    let run = context.begin_run(&store, "backfill").await?;
    let mut chain = Chain::new(&store, context, run.run_id.clone());
    chain.read(&ingest_args, inputs).await?;
    chain.derive(Telling::Nothing).await?;
    let Chain { outcome, record, .. } = chain;
    run.finish(outcome, &Value::Object(record)).await?;
    end(outcome, context)
}

/// The files of the days, oldest first.
///
/// Errors: usage, when no file's path holds one of them.
fn dated(found: Vec<Found>, days: DayRange, context: &Context) -> anyhow::Result<Vec<Found>> {
    let (mut dated, mut undated, mut outside) = (Vec::new(), 0_u64, 0_u64);
    for input in found {
        let Found::File(path) = &input else {
            return Err(Failure::usage("standard input has no date; name files").into());
        };
        match day_in_path(path) {
            PathDay::One(day) if days.contains(day) => dated.push((day, input)),
            PathDay::One(_) => outside += 1,
            PathDay::None | PathDay::Ambiguous(..) => undated += 1,
        }
    }
    if undated > 0 {
        context.ui.complain(&format!("{} left out: no single date in their path", counted(undated, "file")));
    }
    if outside > 0 {
        context.ui.note(&format!("{} of other days left out", counted(outside, "file")));
    }
    if dated.is_empty() {
        return Err(Failure::usage(format!("no file {}", within(days.first, days.last)))
            .hint("a file's day is the date in its path, such as 2026-01-31")
            .into());
    }
    dated.sort_by_key(|(day, _)| *day);
    Ok(dated.into_iter().map(|(_, input)| input).collect())
}

async fn preview(
    inputs: Vec<Found>,
    args: &IngestArgs,
    store: &Store,
    context: &Context,
) -> anyhow::Result<Outcome> {
    let options = ingest::options(args, inputs, String::new(), context);
    let summary = ingest::read(store, context, &options).await?;
    ingest::say_problems(&summary, context);
    context.ui.say(&ingest::lines(&summary));
    context.ui.say(&[Line::Note("dry run, nothing written".to_owned())]);
    Ok(summary.outcome())
}

fn end(outcome: Outcome, context: &Context) -> anyhow::Result<Outcome> {
    if let Some(reason) = context.cancel().outcome() {
        return Err(Failure::new(reason, "stopped; run it again to go on").into());
    }
    context.ui.note("next: `amzctl show PRODUCT`, `amzctl status`");
    Ok(outcome)
}
