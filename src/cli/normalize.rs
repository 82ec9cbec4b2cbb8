//! `normalize`: raw receipts to facts, and facts again with `--replay`.

use anyhow::Context as _;
use serde_json::json;

use super::alert;
use super::context::Context;
use super::dates::DayArg;
use super::output::counted;
use super::ui::Line;
use crate::error::{Failure, Outcome};
use crate::model::Timestamp;
use crate::stages::normalize::{self, Options, Summary};
use crate::store::Store;

/// Turn raw receipts into observations, daily rows and listing versions
///
/// Reads what the current normalizer has not read. Records that break a rule go to quarantine; the rest goes on.
/// A second run finds nothing to do.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct NormalizeArgs {
    /// Read every receipt again, at no provider cost; the result is the same unless the rules changed
    #[arg(long)]
    pub replay: bool,

    /// With --replay, only what was observed on this day or later
    #[arg(long, value_name = "DAY", requires = "replay", allow_hyphen_values = true)]
    pub since: Option<DayArg>,

    /// Parse and say what would come of it; write nothing
    #[arg(long)]
    pub dry_run: bool,
}

pub(super) async fn run(args: NormalizeArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    if args.dry_run {
        let options = Options { replay_since: replay_since(&args, context), ..options(context, "") };
        let summary = normalize::preview(&store, context.clock, &context.cancel(), &options).await?;
        context.ui.note(&preview_line(&summary));
        say_dropped(&options, &store, context).await?;
        context.ui.note("dry run, nothing written");
        return match context.cancel().outcome() {
            Some(reason) => Err(Failure::new(reason, "stopped; nothing was written").into()),
            None => Ok(Outcome::Done),
        };
    }
    let _lock = context.lock(&store, "pipeline").await?;
    let run = context.begin_run(&store, "normalize").await?;
    let options = Options { replay_since: replay_since(&args, context), ..options(context, &run.run_id) };
    let progress = context.ui.progress_rows(normalize::count(&store, &options).await?);
    let summary =
        normalize::run(&store, context.clock, &context.cancel(), &|read| progress.inc(read), &options)
            .await?;
    progress.finish();
    let outcome = summary.outcome();
    run.finish(outcome, &json!({ "normalize": summary })).await?;
    context.ui.say(&lines(&summary));
    say_dropped(&options, &store, context).await?;
    if summary.cancelled {
        let reason = context.cancel().outcome().unwrap_or(Outcome::Interrupted);
        return Err(Failure::new(reason, "stopped between two batches; run it again to go on").into());
    }
    let lake = store.lake_state().await.context("failed to read how far the mart is built")?;
    let next = match (summary.quarantined + summary.refused_again > 0, lake.changed_seq > lake.built_seq) {
        (true, true) => Some("next: `amzctl quarantine list`, then `amzctl build-mart`"),
        (true, false) => Some("next: `amzctl quarantine list`"),
        (false, true) => Some("next: `amzctl build-mart`"),
        (false, false) => None,
    };
    if let Some(next) = next {
        context.ui.note(next);
    }
    Ok(outcome)
}

/// Of a replay that reaches back to raw that is no more.
async fn say_dropped(options: &Options, store: &Store, context: &Context) -> anyhow::Result<()> {
    if let (Some(since), Some(until)) = (options.replay_since, store.raw_dropped_until().await?)
        && since <= until
    {
        let day = options.zone.day_of(until);
        context.ui.note(&format!(
            "retention has dropped raw records of {day} and before: what they gave stays as it is"
        ));
    }
    Ok(())
}

/// What is new, with the configured zone and precedence.
pub(super) fn options(context: &Context, run_id: &str) -> Options {
    Options {
        run_id: run_id.to_owned(),
        replay_since: None,
        zone: context.config.zone,
        precedence: context.config.settings.normalize.source_precedence.clone(),
        tolerate_failed_pct: context.config.settings.run.tolerate_failed_pct,
        audience: alert::audience(context),
    }
}

fn replay_since(args: &NormalizeArgs, context: &Context) -> Option<Timestamp> {
    let zone = context.config.zone;
    match args.since {
        Some(since) => Some(zone.end_of(since.resolve(context.today()).plus(-1))),
        None => args.replay.then_some(Timestamp::UNIX_EPOCH),
    }
}

/// What a run would do.
pub(super) fn preview_line(summary: &Summary) -> String {
    if summary.receipts == 0 {
        return "normalize: nothing new".to_owned();
    }
    format!(
        "normalize: would read {}: {}, {}, {} for quarantine",
        counted(summary.receipts, "receipt"),
        counted(summary.observations, "observation"),
        counted(summary.reviews, "review"),
        summary.quarantined
    )
}

/// What a run did, a line each.
pub(super) fn lines(summary: &Summary) -> Vec<Line> {
    if summary.receipts == 0 && summary.incidents.is_empty() {
        return vec![Line::Note("normalize: nothing new".to_owned())];
    }
    let mut lines = vec![Line::Note(format!(
        "normalize: {} read, {} written, {} changed",
        counted(summary.receipts, "receipt"),
        counted(summary.observations, "observation"),
        counted(summary.days_changed, "daily row")
    ))];
    if summary.reviews > 0 {
        lines.push(Line::Note(format!("normalize: {}", counted(summary.reviews, "review"))));
    }
    if summary.not_found > 0 {
        lines.push(Line::Note(format!(
            "normalize: {} that the product does not exist",
            counted(summary.not_found, "answer")
        )));
    }
    if summary.quarantined > 0 {
        lines.push(Line::Complaint(format!(
            "normalize: {} in quarantine",
            counted(summary.quarantined, "new row")
        )));
    }
    if summary.refused_again > 0 {
        let rows = counted(summary.refused_again, "row");
        lines.push(Line::Note(format!("normalize: {rows} still in quarantine, refused again")));
    }
    lines.extend(summary.incidents.iter().map(|incident| Line::Complaint(format!("incident: {incident}"))));
    lines
}
