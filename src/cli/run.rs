//! `run`: every stage in order, as cron wants it: one lock, one summary, one exit code.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use super::context::Context;
use super::dates::parse_duration;
use super::fetch::{self, Ask};
use super::ingest::{Captured, IngestArgs, parse_time};
use super::ui::Line;
use super::{alert, build_mart, confirm, db, ingest, normalize};
use crate::error::{Failure, Outcome};
use crate::ingest::Found;
use crate::lake::Lake;
use crate::model::{Marketplace, ProductKey};
use crate::stages;
use crate::stages::alert::{Awaiting, Telling};
use crate::store::Store;

/// Run every stage in order: ingest, normalize, build-mart, alert
///
/// Reads the given files, or the inbox folder of the configuration, and, without a PATH, asks the configured providers
/// for what is due; what was read or asked before is skipped. One lock, one
/// line in `amzctl runs`, one exit code: the worst of its stages. A second run changes nothing. What is fetched and built is
/// everybody's; alerts are judged and delivered for one workspace.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct RunArgs {
    /// Files, folders or patterns to read [default: the inbox folder, when there is one]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// When the files' content was true; without it a date in the path, or the records' own time
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    pub captured_at: Option<Captured>,

    /// Marketplace of records that name none [default: the configured one]
    #[arg(long, value_name = "CODE")]
    pub marketplace: Option<Marketplace>,

    /// Judge alerts, but leave their delivery to `alert deliver`
    #[arg(long)]
    pub no_deliver: bool,

    /// Say what each stage would do with what is there now; write and deliver nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Stop cleanly after this long, with exit code 6; the next run goes on: 50m, 2h
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub deadline: Option<Duration>,
}

/// How long a host waits for another one that is at the same stages: it may have to go on in its place.
const TURN: Duration = Duration::from_secs(3600);

pub(super) async fn run(args: RunArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    if args.dry_run {
        return preview(&args, &store, context).await;
    }
    // A path that names nothing ends before a run begins.
    let inputs = inputs(&args, context)?;
    let (run, share) = context.begin_asking(&store, "run").await?;
    db::make_ahead(&store, context).await.context("failed to make the months to come")?;
    let deadline = args.deadline.map(|deadline| watch_deadline(context, deadline));
    let mut chain = Chain::new(&store, context, run.run_id.clone());
    chain.land(&args, inputs).await?;
    let turn = context.turn(&store, TURN).await?;
    chain.derive(Telling::Newest).await?;
    // What the answers make grave is asked about too, and no more than that.
    for round in ["confirm", "confirm_again"] {
        chain.confirm(Telling::Newest, round).await?;
    }
    if turn.is_some() && !chain.is_stopped() {
        db::put_in_order(&store, context).await;
    }
    for lock in turn.into_iter().chain([share]) {
        lock.release().await?;
    }
    if !args.no_deliver && !context.cancel().is_cancelled() {
        chain.deliver().await?;
    }
    if let Some(deadline) = deadline {
        deadline.abort();
    }
    let Chain { outcome, unfinished, record, .. } = chain;
    run.finish(outcome, &Value::Object(record)).await?;
    if !args.no_deliver && !context.cancel().is_cancelled() {
        alert::tell_of_run(&store, context).await;
    }
    match context.cancel().outcome() {
        Some(reason @ Outcome::BudgetReached) => {
            Err(Failure::new(reason, "the deadline was reached; the next run goes on from here").into())
        }
        Some(reason) => {
            Err(Failure::new(reason, "stopped between two batches; run it again to go on").into())
        }
        None => {
            context.ui.note(next(outcome, &unfinished));
            Ok(outcome)
        }
    }
}

/// What to do after a run, by the stages that left something undone.
fn next(outcome: Outcome, unfinished: &[&str]) -> &'static str {
    let has = |stage: &str| unfinished.contains(&stage);
    if outcome == Outcome::Done {
        "next: `amzctl status`, `amzctl compare`, `amzctl report`"
    } else if has("ingest") || has("normalize") {
        "next: `amzctl quarantine list` shows what was refused, `amzctl status` the rest"
    } else if has("deliver") {
        "next: `amzctl alert deliver` tries again what was not delivered, `amzctl status` shows the rest"
    } else {
        "next: `amzctl status` shows what is left"
    }
}

/// Each stage's dry run. A stage sees what the one before it has done, not what it would do.
async fn preview(args: &RunArgs, store: &Store, context: &Context) -> anyhow::Result<Outcome> {
    let lake = Lake::new(&context.config.lake_root);
    let cancel = context.cancel();
    let mut outcome = Outcome::Done;
    let inputs = inputs(args, context)?;
    if !inputs.is_empty() {
        let options = ingest::options(&ingest_args(args), inputs, String::new(), context);
        let summary = ingest::read(store, context, &options).await?;
        ingest::say_problems(&summary, context);
        context.ui.say(&ingest::lines(&summary));
        outcome = outcome.and(summary.outcome());
    }
    let names = fetch::source_names(store, &context.config).await?;
    if args.paths.is_empty() && !names.is_empty() {
        let summary = fetch::fetch(store, context, &names, Ask::all(String::new(), true)).await?;
        context.ui.say(&fetch::lines(&summary));
    }
    let options = normalize::options(context, "");
    let parsed = stages::normalize::preview(store, context.clock, &cancel, &options).await?;
    context.ui.note(&normalize::preview_line(&parsed));
    let options = stages::build_mart::Options { dry_run: true, ..build_mart::options(context) };
    let built = stages::build_mart::run(store, &lake, context.clock, &cancel, &|_| {}, &options).await?;
    context.ui.say(&build_mart::lines(&built, None));
    let options = stages::alert::Options { dry_run: true, ..alert::options(context, "", Telling::Newest)? };
    let judged = stages::alert::run(store, &lake, context.clock, &cancel, &options).await?;
    context.ui.say(&alert::lines(&judged));
    if !judged.awaiting.is_empty() {
        let asked = confirm::ask(store, context, "", &judged.awaiting, true).await?;
        context.ui.say(&confirm::lines(&judged.awaiting, &asked));
    }
    context.ui.note("dry run, nothing written; each stage is shown for what is there now");
    match cancel.outcome() {
        Some(reason) => Err(Failure::new(reason, "stopped; nothing was written").into()),
        None => Ok(outcome.and(built.outcome()).and(judged.outcome())),
    }
}

/// The files that were named, else those of the inbox; none when there is no inbox.
fn inputs(args: &RunArgs, context: &Context) -> anyhow::Result<Vec<Found>> {
    let inbox = &context.config.inbox;
    match (args.paths.is_empty(), inbox.is_dir()) {
        (false, _) => ingest::inputs(&args.paths, context),
        (true, true) => ingest::inputs_of_inbox(inbox),
        (true, false) => Ok(Vec::new()),
    }
}

fn ingest_args(args: &RunArgs) -> IngestArgs {
    IngestArgs {
        captured_at: args.captured_at,
        marketplace: args.marketplace,
        dry_run: args.dry_run,
        ..IngestArgs::default()
    }
}

/// Asks for a stop when the time is over.
fn watch_deadline(context: &Context, deadline: Duration) -> tokio::task::JoinHandle<()> {
    let cancel = context.cancel();
    tokio::spawn(async move {
        tokio::time::sleep(deadline).await;
        cancel.cancel(Outcome::BudgetReached);
    })
}

/// The stages of one run, with what came of them so far.
pub(super) struct Chain<'a> {
    store: &'a Store,
    context: &'a Context,
    run_id: String,
    pub(super) outcome: Outcome,
    /// Stages that did not end with done.
    unfinished: Vec<&'static str>,
    /// Findings that wait for a second source, and why there is no answer about some.
    awaiting: Vec<Awaiting>,
    unanswered: BTreeMap<ProductKey, String>,
    pub(super) record: Map<String, Value>,
}

impl<'a> Chain<'a> {
    pub(super) fn new(store: &'a Store, context: &'a Context, run_id: String) -> Chain<'a> {
        Chain {
            store,
            context,
            run_id,
            outcome: Outcome::Done,
            unfinished: Vec::new(),
            awaiting: Vec::new(),
            unanswered: BTreeMap::new(),
            record: Map::new(),
        }
    }

    /// Normalize to alert: what was landed becomes the mart, and is judged.
    pub(super) async fn derive(&mut self, tell: Telling) -> anyhow::Result<()> {
        if !self.is_stopped() {
            self.normalize().await.context("normalize failed")?;
        }
        if !self.is_stopped() {
            self.build_mart().await.context("build-mart failed")?;
        }
        if !self.is_stopped() {
            self.judge(tell).await.context("alert run failed")?;
        }
        Ok(())
    }

    /// Asks second sources about the findings that wait for one, and judges those again: by what was answered, or, where
    /// nothing was, without.
    async fn confirm(&mut self, tell: Telling, round: &str) -> anyhow::Result<()> {
        if self.awaiting.is_empty() || self.is_stopped() {
            return Ok(());
        }
        let awaiting = std::mem::take(&mut self.awaiting);
        let asked = confirm::ask(self.store, self.context, &self.run_id, &awaiting, false).await;
        let asked = asked.context("asking a second source failed")?;
        self.context.ui.say(&confirm::lines(&awaiting, &asked));
        if self.is_stopped() {
            return Ok(());
        }
        self.unanswered = asked.unanswered;
        // The stages tell what they did this time beside what they did before.
        let before = std::mem::take(&mut self.record);
        self.derive(tell).await?;
        let mut again = std::mem::replace(&mut self.record, before);
        again.insert("fetch".to_owned(), json!(asked.summary));
        self.record.insert(round.to_owned(), Value::Object(again));
        Ok(())
    }

    /// Lands files and what the providers answer. Files of one host are read while no other host reads or derives; what is
    /// due is shared with whoever asks for it now.
    async fn land(&mut self, args: &RunArgs, inputs: Vec<Found>) -> anyhow::Result<()> {
        let turn = match inputs.is_empty() {
            true => None,
            false => self.context.turn(self.store, TURN).await?,
        };
        self.ingest(args, inputs).await.context("ingest failed")?;
        if let Some(turn) = turn {
            turn.release().await?;
        }
        if !self.is_stopped() && args.paths.is_empty() {
            self.fetch().await.context("ingest from the providers failed")?;
        }
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.context.cancel().is_cancelled()
    }

    pub(super) fn end(&mut self, stage: &'static str, outcome: Outcome, summary: Value, lines: &[Line]) {
        self.outcome = self.outcome.and(outcome);
        if outcome != Outcome::Done {
            self.unfinished.push(stage);
        }
        self.record.insert(stage.to_owned(), summary);
        self.context.ui.say(lines);
    }

    /// Reads files that somebody has named.
    pub(super) async fn read(&mut self, args: &IngestArgs, inputs: Vec<Found>) -> anyhow::Result<()> {
        let options = ingest::options(args, inputs, self.run_id.clone(), self.context);
        let summary = ingest::read(self.store, self.context, &options).await?;
        ingest::say_problems(&summary, self.context);
        self.end("ingest", summary.outcome(), json!(summary), &ingest::lines(&summary));
        Ok(())
    }

    async fn ingest(&mut self, args: &RunArgs, inputs: Vec<Found>) -> anyhow::Result<()> {
        if inputs.is_empty() {
            let inbox = &self.context.config.inbox;
            let line = format!("ingest: no path given, and no files in {}", inbox.display());
            self.end("ingest", Outcome::Done, Value::Null, &[Line::Note(line)]);
            return Ok(());
        }
        self.read(&ingest_args(args), inputs).await
    }

    /// Asks the providers, where some are configured.
    async fn fetch(&mut self) -> anyhow::Result<()> {
        let names = fetch::source_names(self.store, &self.context.config).await?;
        if names.is_empty() {
            return Ok(());
        }
        let ask = Ask::all(self.run_id.clone(), false);
        let summary = fetch::fetch(self.store, self.context, &names, ask).await?;
        self.end("fetch", summary.outcome(), json!(summary), &fetch::lines(&summary));
        Ok(())
    }

    async fn normalize(&mut self) -> anyhow::Result<()> {
        let options = normalize::options(self.context, &self.run_id);
        let progress = self.context.ui.progress_rows(stages::normalize::count(self.store, &options).await?);
        let told = |read| progress.inc(read);
        let cancel = self.context.cancel();
        let summary =
            stages::normalize::run(self.store, self.context.clock, &cancel, &told, &options).await?;
        progress.finish();
        self.end("normalize", summary.outcome(), json!(summary), &normalize::lines(&summary));
        Ok(())
    }

    async fn build_mart(&mut self) -> anyhow::Result<()> {
        let lake = Lake::new(&self.context.config.lake_root);
        let options = build_mart::options(self.context);
        let (summary, comparisons) = build_mart::build(self.store, &lake, self.context, &options).await?;
        self.end(
            "build_mart",
            summary.outcome(),
            json!({ "mart": summary, "comparisons": comparisons }),
            &build_mart::lines(&summary, Some(&comparisons)),
        );
        Ok(())
    }

    async fn judge(&mut self, tell: Telling) -> anyhow::Result<()> {
        let lake = Lake::new(&self.context.config.lake_root);
        let mut options = alert::options(self.context, &self.run_id, tell)?;
        if let Some(second) = &mut options.second {
            second.unanswered = std::mem::take(&mut self.unanswered);
        }
        let cancel = self.context.cancel();
        let summary = stages::alert::run(self.store, &lake, self.context.clock, &cancel, &options).await?;
        self.awaiting.clone_from(&summary.awaiting);
        self.end("alert", summary.outcome(), json!(summary), &alert::lines(&summary));
        Ok(())
    }

    async fn deliver(&mut self) -> anyhow::Result<()> {
        if let Some(summary) = alert::deliver_now(self.store, self.context, false).await? {
            self.end("deliver", summary.outcome(), json!(summary), &alert::deliver_lines(&summary));
        }
        Ok(())
    }
}
