//! `alert`: judge what is new, deliver what was found, and say what was done about it.

mod filter;
mod incidents;
mod states;
mod summary;
mod view;

pub(super) use incidents::{find_incident, held_text, incident_document, incident_text};
pub(super) use view::{change_document, change_line, evidence_lines, state_line};

use std::io;

use anyhow::Context as _;
use clap::builder::PossibleValuesParser;
use serde_json::json;

use super::OutputArgs;
use super::context::Context;
use super::output::{counted, write_text};
use super::ui::Line;
use crate::error::{Failure, Outcome};
use crate::ids::new_run_id;
use crate::lake::Lake;
use crate::notify::{EventStyle, FileNotifier, Notifier, StdoutNotifier};
use crate::render::rows::Format;
use crate::rollup::rules::RuleSet;
use crate::stages::alert::{self, Telling};
use crate::stages::deliver;
use crate::store::Store;
use crate::store::alerts::{AlertFilter, AlertRecord, AlertState, Recipient};
use crate::store::leases::Shared;
use filter::FilterArgs;
use incidents::IncidentsArgs;
use states::{ChangeArgs, SnoozeArgs};
use summary::SummaryArgs;

/// Judge what is new, deliver what was found, and say what was done about it
#[derive(Clone, Debug, clap::Args)]
pub(super) struct AlertArgs {
    #[command(subcommand)]
    command: AlertCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum AlertCommand {
    /// Judge the days that were built since the last time, and deliver the findings
    ///
    /// Findings of the newest two days are delivered; older ones, from late data and backfills, are stored as
    /// historical and listed only.
    Run(RunArgs),
    /// Deliver what waits in the outbox
    Deliver(DeliverArgs),
    /// List alerts, newest day first
    List(ListArgs),
    /// Show one alert with its evidence, history and deliveries
    Show(ShowArgs),
    /// Acknowledge alerts: seen, being worked on
    Ack(ChangeArgs),
    /// Snooze alerts: of no interest until then, unless they become worse
    Snooze(SnoozeArgs),
    /// Resolve alerts: dealt with
    Resolve(ChangeArgs),
    /// Dismiss alerts: of no interest
    Dismiss(ChangeArgs),
    /// Summarise what came of the alerts of the last days
    Summary(SummaryArgs),
    /// Look at what is held back as implausible, and let it through or drop it
    Incidents(IncidentsArgs),
    /// List the rules with their thresholds
    Rules(RulesArgs),
}

#[derive(Clone, Debug, clap::Args)]
struct RunArgs {
    /// End with exit code 20 when something new fired
    #[arg(long)]
    exit_code: bool,

    /// Deliver the findings of every judged day, not only of the newest two
    #[arg(long)]
    deliver_history: bool,

    /// Leave the events in the outbox for a later `alert deliver`
    #[arg(long)]
    no_deliver: bool,

    /// Judge and show what would fire; write and deliver nothing
    #[arg(long)]
    dry_run: bool,

    /// Print events as lines of JSON
    #[arg(long)]
    json: bool,
}

impl RunArgs {
    fn telling(&self) -> Telling {
        if self.deliver_history { Telling::All } else { Telling::Newest }
    }
}

#[derive(Clone, Debug, clap::Args)]
struct DeliverArgs {
    /// Say how much waits, and deliver nothing
    #[arg(long)]
    dry_run: bool,

    /// Print events as lines of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct ListArgs {
    /// Only alerts in these states; `all` for every state
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "STATE",
        default_value = "open,acknowledged,snoozed",
        value_parser = PossibleValuesParser::new(AlertState::ALL.iter().map(|state| state.as_str()).chain(["all"]))
    )]
    state: Vec<String>,

    #[command(flatten)]
    filter: FilterArgs,

    /// At most this many
    #[arg(long, value_name = "N")]
    limit: Option<u32>,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct ShowArgs {
    /// The alert's id, or its first digits
    #[arg(value_name = "ID")]
    id: String,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct RulesArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: AlertArgs, context: &Context) -> anyhow::Result<Outcome> {
    match args.command {
        AlertCommand::Run(args) => judge(args, context).await,
        AlertCommand::Deliver(args) => deliver_only(args, context).await,
        AlertCommand::List(args) => list(args, context).await,
        AlertCommand::Show(args) => show(args, context).await,
        AlertCommand::Ack(args) => states::acknowledge(&args, context).await,
        AlertCommand::Snooze(args) => states::snooze(&args, context).await,
        AlertCommand::Resolve(args) => states::resolve(&args, context).await,
        AlertCommand::Dismiss(args) => states::dismiss(&args, context).await,
        AlertCommand::Summary(args) => summary::run(&args, context).await,
        AlertCommand::Incidents(args) => incidents::run(args, context).await,
        AlertCommand::Rules(args) => {
            let set = rule_set(context)?;
            let rows =
                if is_for_people(&args.output) { view::short_rule_rows(&set) } else { view::rule_rows(&set) };
            args.output.emit(&rows, context)?;
            Ok(Outcome::Done)
        }
    }
}

async fn judge(args: RunArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let lake = Lake::new(&context.config.lake_root);
    if args.dry_run {
        let options = alert::Options { dry_run: true, ..options(context, "", args.telling())? };
        let summary = alert::run(&store, &lake, context.clock, &context.cancel(), &options).await?;
        view::print_fired(&summary, args.json, context)?;
        context.ui.say(&lines(&summary));
        context.ui.note("dry run, nothing written");
        return Ok(judged_outcome(&summary, args.exit_code));
    }
    let lock = context.lock(&store, "pipeline").await?;
    let run = context.begin_run(&store, "alert run").await?;
    let options = options(context, &run.run_id, args.telling())?;
    let summary = alert::run(&store, &lake, context.clock, &context.cancel(), &options).await?;
    lock.release().await?;
    context.ui.say(&lines(&summary));
    let mut outcome = judged_outcome(&summary, args.exit_code);
    let mut record = json!({ "alert": summary });
    if !args.no_deliver
        && !summary.cancelled
        && let Some(delivered) = deliver_now(&store, context, args.json).await?
    {
        context.ui.say(&deliver_lines(&delivered));
        outcome = outcome.and(delivered.outcome());
        record["deliver"] = json!(delivered);
    }
    run.finish(outcome, &record).await?;
    if summary.cancelled {
        let reason = context.cancel().outcome().unwrap_or(Outcome::Interrupted);
        return Err(Failure::new(reason, "stopped between two months; run it again to go on").into());
    }
    if summary.has_news() || summary.historical > 0 {
        context.ui.note("next: `amzctl alert list`, `amzctl explain ID`");
    }
    Ok(outcome)
}

fn judged_outcome(summary: &alert::Summary, exit_code: bool) -> Outcome {
    let found = if exit_code && summary.has_news() { Outcome::Found } else { Outcome::Done };
    summary.outcome().and(found)
}

async fn deliver_only(args: DeliverArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    if args.dry_run {
        let waiting = store.count_undelivered(context.workspace()).await?;
        context.ui.note(&format!("dry run, nothing delivered: {waiting} waiting"));
        return Ok(Outcome::Done);
    }
    let _lock = if store.is_shared() { None } else { Some(context.lock(&store, "deliver").await?) };
    let summary = deliver_all(&store, context, args.json).await?;
    context.ui.say(&deliver_lines(&summary));
    Ok(summary.outcome())
}

/// Delivers what waits, unless another process is doing that: its turn, or the next one's. On a server several do.
pub(super) async fn deliver_now(
    store: &Store,
    context: &Context,
    json: bool,
) -> anyhow::Result<Option<deliver::Summary>> {
    if store.is_shared() {
        return deliver_all(store, context, json).await.map(Some);
    }
    let _lock = match context.lock(store, "deliver").await {
        Ok(lock) => lock,
        Err(error) if is_locked(&error) => {
            context.ui.note("deliver: another process is delivering; what is new waits for its next turn");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    deliver_all(store, context, json).await.map(Some)
}

fn is_locked(error: &anyhow::Error) -> bool {
    // --skip-if-locked makes the refusal an outcome of `done`.
    let refusal = error.downcast_ref::<Failure>();
    refusal.is_some_and(|failure| matches!(failure.outcome, Outcome::Locked | Outcome::Done))
}

async fn deliver_all(store: &Store, context: &Context, json: bool) -> anyhow::Result<deliver::Summary> {
    let mut notifiers = notifiers(context, json);
    let id = new_run_id();
    let share = context.share(store, Shared::Deliver, &id).await?;
    let claimant = Shared::Deliver.lease(&id);
    let summary =
        deliver::run(store, context.clock, &context.cancel(), context.workspace(), &mut notifiers, &claimant)
            .await?;
    if let Some(share) = share {
        share.release().await?;
    }
    Ok(summary)
}

/// The configured channels, ready to send.
fn notifiers(context: &Context, json: bool) -> Vec<Box<dyn Notifier>> {
    let mut notifiers: Vec<Box<dyn Notifier>> = Vec::new();
    for to in recipients(context) {
        if to.channel == StdoutNotifier::CHANNEL {
            let style = if json { EventStyle::Json } else { EventStyle::Text };
            let ui = context.ui.clone();
            notifiers.push(Box::new(StdoutNotifier::new(style, move |text: &str| {
                ui.data(text);
                // What nobody reads has not been told.
                if ui.is_closed() { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
            })));
        } else if let Some(path) = &context.config.alert_file {
            notifiers.push(Box::new(FileNotifier::new(to.recipient, path)));
        }
    }
    notifiers
}

/// Who is told, as the configuration names them: a file by its path as written there.
fn recipients(context: &Context) -> Vec<Recipient> {
    let alerts = &context.config.settings.alerts;
    let recipient = |channel: &str, recipient: String| Recipient { channel: channel.to_owned(), recipient };
    let stdout =
        alerts.stdout.then(|| recipient(StdoutNotifier::CHANNEL, StdoutNotifier::RECIPIENT.to_owned()));
    let file = alerts.file.as_ref().map(|path| recipient(FileNotifier::CHANNEL, path.display().to_string()));
    stdout.into_iter().chain(file).collect()
}

/// How this configuration judges.
pub(super) fn options(context: &Context, run_id: &str, tell: Telling) -> anyhow::Result<alert::Options> {
    Ok(alert::Options {
        run_id: run_id.to_owned(),
        workspace: context.workspace().clone(),
        rules: rule_set(context)?,
        own_sellers: context.config.settings.own.seller_ids.iter().cloned().collect(),
        zone: context.config.zone,
        recipients: recipients(context),
        tell,
        dry_run: false,
    })
}

fn rule_set(context: &Context) -> Result<RuleSet, Failure> {
    let alerts = &context.config.settings.alerts;
    match alerts.rules.as_str() {
        "plain" => Ok(RuleSet::plain(alerts.stale_slots)),
        other => {
            Err(Failure::usage(format!("there is no rule set `{other}`"))
                .hint("set [alerts] rules = \"plain\""))
        }
    }
}

/// What a run of the judge did, a line each.
pub(super) fn lines(summary: &alert::Summary) -> Vec<Line> {
    let mut line = format!("alert: {} judged, {} new", counted(summary.days_judged, "day"), summary.opened);
    for (number, what) in [
        (summary.escalated, "escalated"),
        (summary.historical, "historical"),
        (summary.superseded, "superseded"),
        (summary.woken, "no longer snoozed"),
    ] {
        if number > 0 {
            line += &format!(", {number} {what}");
        }
    }
    let mut lines = vec![Line::Note(line)];
    if summary.gap_too_long > 0 {
        let changes = counted(summary.gap_too_long, "change");
        lines.push(Line::Note(format!("alert: {changes} not judged, gap too long")));
    }
    if summary.source_incidents > 0 {
        let incidents = counted(summary.source_incidents, "new incident");
        lines.push(Line::Complaint(format!("alert: {incidents} of a source")));
    }
    lines
}

/// What a delivery did, a line each; channels that had nothing to do are silent.
pub(super) fn deliver_lines(summary: &deliver::Summary) -> Vec<Line> {
    let mut lines = Vec::new();
    for channel in &summary.channels {
        let parts: Vec<String> = [
            (channel.delivered, "delivered"),
            (channel.failed, "failed, tried again later"),
            (channel.dead, "given up"),
        ]
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
        if !parts.is_empty() {
            let error = channel.error.as_ref().map_or_else(String::new, |error| format!(" ({error})"));
            let to = view::addressed(&channel.channel, &channel.recipient);
            let line = format!("deliver: {to}: {}{error}", parts.join(", "));
            let has_failed = channel.failed + channel.dead > 0;
            lines.push(if has_failed { Line::Complaint(line) } else { Line::Note(line) });
        }
    }
    if lines.is_empty() {
        let line = match summary.waiting {
            0 => "deliver: nothing to deliver".to_owned(),
            waiting => format!("deliver: nothing is due, {waiting} waiting for a later attempt"),
        };
        lines.push(Line::Note(line));
    }
    lines
}

async fn list(args: ListArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let all = args.state.iter().any(|state| state == "all");
    let states = args.state.iter().filter(|_| !all).filter_map(|word| AlertState::from_word(word)).collect();
    let filter = AlertFilter { limit: args.limit, ..args.filter.filter(states, context) };
    let alerts = store.list_alerts(context.workspace(), &filter).await.context("failed to list alerts")?;
    if alerts.is_empty() {
        context.ui.note("no alerts");
    }
    let rows =
        if is_for_people(&args.output) { view::short_rows(&alerts) } else { view::alert_rows(&alerts) };
    args.output.emit(&rows, context)?;
    Ok(Outcome::Done)
}

/// A table without a choice of columns: what is shown has to fit a terminal.
fn is_for_people(output: &OutputArgs) -> bool {
    output.format() == Format::Table && output.fields.is_none()
}

async fn show(args: ShowArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let alert = one_alert(&args.id, &store, context).await?;
    let changes = store
        .load_alert_changes(context.workspace(), &alert.alert_id)
        .await
        .context("failed to load the alert's history")?;
    let deliveries = store
        .load_deliveries(context.workspace(), &alert.alert_id)
        .await
        .context("failed to load the alert's deliveries")?;
    match args.output.format() {
        Format::Table if args.output.fields.is_none() => {
            write_text(
                &view::alert_text(&alert, &changes, &deliveries),
                args.output.output.as_deref(),
                context,
            )?;
        }
        Format::Json if args.output.fields.is_none() => {
            let document = view::alert_document(&alert, &changes, &deliveries);
            write_text(&format!("{document:#}\n"), args.output.output.as_deref(), context)?;
        }
        _ => args.output.emit(&view::alert_rows(std::slice::from_ref(&alert)), context)?,
    }
    Ok(Outcome::Done)
}

/// The alert whose id begins with the text. Errors: usage when it is none's or several alerts'.
async fn one_alert(id: &str, store: &Store, context: &Context) -> anyhow::Result<AlertRecord> {
    if let Some(alert) = find_alert(id, store, context).await? {
        return Ok(alert);
    }
    let held = store.find_held(context.workspace(), &id.trim().to_ascii_lowercase()).await?;
    match held.first() {
        Some(held) if id.len() >= view::SHORT_ID => {
            let id = view::short_id(&held.alert.alert_id);
            Err(Failure::usage(format!("{id} is a finding and no alert: {}", held_text(held)))
                .hint(format!("`amzctl explain {id}` shows it"))
                .into())
        }
        _ => Err(unknown_alert(id).into()),
    }
}

/// The alert whose id begins with the text; null when none does. Errors: usage when several do.
pub(super) async fn find_alert(
    id: &str,
    store: &Store,
    context: &Context,
) -> anyhow::Result<Option<AlertRecord>> {
    let prefix = id.trim().to_ascii_lowercase();
    let is_id = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_id {
        return Ok(None);
    }
    let mut found =
        store.find_alerts(context.workspace(), &prefix).await.context("failed to look for the alert")?;
    if found.len() > 1 {
        let ids: Vec<&str> = found.iter().map(|alert| alert.alert_id.as_str()).collect();
        return Err(Failure::usage(format!("several alerts begin with `{id}`"))
            .hint(format!("one of {}", ids.join(", ")))
            .into());
    }
    Ok(found.pop())
}

pub(super) fn unknown_alert(id: &str) -> Failure {
    Failure::usage(format!("there is no alert `{id}`")).hint("`amzctl alert list` shows their ids")
}
