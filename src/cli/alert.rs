//! `alert`: judge what is new, deliver what was found, and say what was done about it.

mod backtest;
mod dead;
mod deliver;
mod filter;
mod incidents;
mod rules;
mod states;
mod summary;
mod test_channel;
mod view;

pub(super) use deliver::{audience, deliver_lines, deliver_now, tell_of_run};
pub(super) use incidents::{find_incident, held_text, incident_document, incident_text};
pub(super) use view::{change_document, change_line, evidence_lines, state_line};

use std::collections::BTreeMap;

use anyhow::Context as _;
use chrono::TimeDelta;
use clap::builder::PossibleValuesParser;
use serde_json::json;

use super::OutputArgs;
use super::context::Context;
use super::output::{counted, write_text};
use super::ui::Line;
use crate::error::{Failure, Outcome};
use crate::lake::Lake;
use crate::model::{ProductKey, ProductRef};
use crate::render::rows::Format;
use crate::rollup::rules::Gate;
use crate::stages::alert::{self, SecondSource, Telling};
use crate::store::Store;
use crate::store::alerts::{AlertFilter, AlertRecord, AlertState};
use filter::FilterArgs;
use incidents::IncidentsArgs;
pub(super) use states::whoever_types;
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
    ///
    /// Each channel is spoken to at its own pace and in its own hours; what fails is tried again later, for more than a day.
    Deliver(deliver::DeliverArgs),
    /// Look at letters that were given up, have them tried again, or let them go
    Dead(dead::DeadArgs),
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
    /// Say how often rules would have fired, and what the next day said of it
    ///
    /// Judges stored history by the configured rules, or by others, and writes nothing.
    Backtest(backtest::BacktestArgs),
    /// List and check the rules, and switch them on and off
    Rules(rules::RulesArgs),
    /// Send a test message through a channel and say what came of it
    ///
    /// Ends with 0 when it was accepted, 12 when a key is missing or refused, 7 when the receiver cannot be reached, 2 when
    /// the channel cannot send as it is configured, 1 when the message was refused.
    TestChannel(test_channel::TestChannelArgs),
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

pub(super) async fn run(args: AlertArgs, context: &Context) -> anyhow::Result<Outcome> {
    match args.command {
        AlertCommand::Run(args) => judge(args, context).await,
        AlertCommand::Deliver(args) => deliver::run(args, context).await,
        AlertCommand::Dead(args) => dead::run(args, context).await,
        AlertCommand::List(args) => list(args, context).await,
        AlertCommand::Show(args) => show(args, context).await,
        AlertCommand::Ack(args) => states::acknowledge(&args, context).await,
        AlertCommand::Snooze(args) => states::snooze(&args, context).await,
        AlertCommand::Resolve(args) => states::resolve(&args, context).await,
        AlertCommand::Dismiss(args) => states::dismiss(&args, context).await,
        AlertCommand::Summary(args) => summary::run(&args, context).await,
        AlertCommand::Incidents(args) => incidents::run(args, context).await,
        AlertCommand::Backtest(args) => backtest::run(args, context).await,
        AlertCommand::Rules(args) => rules::run(args, context).await,
        AlertCommand::TestChannel(args) => test_channel::run(args, context).await,
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

/// How this configuration judges.
pub(super) fn options(context: &Context, run_id: &str, tell: Telling) -> anyhow::Result<alert::Options> {
    let book = rules::rule_book(context)?;
    if !book.base().is_gated && !context.config.settings.gate.confirm_with.is_empty() {
        context.ui.complain(&format!(
            "alert: nobody of [gate] confirm_with is asked, the rule set `{}` has no quality gate; `calm` has one",
            book.base().name
        ));
    }
    Ok(alert::Options {
        gate: if book.base().is_gated { Some(gate(context)?) } else { None },
        decide_after_days: context.config.settings.gate.decide_after_days,
        second: second_source(context),
        run_id: run_id.to_owned(),
        workspace: context.workspace().clone(),
        rules: book,
        own_sellers: context.config.settings.own.seller_ids.iter().cloned().collect(),
        zone: context.config.zone,
        recipients: audience(context).subscribers,
        tell,
        dry_run: false,
    })
}

/// What is held back, as the configuration says.
fn gate(context: &Context) -> Result<Gate, Failure> {
    let settings = &context.config.settings.gate;
    let canaries = settings.canaries.iter().map(|text| {
        let product: ProductRef = text.parse().map_err(|_| {
            Failure::usage(format!("[gate] canaries: `{text}` is no product such as US:B0FDKB341G"))
        })?;
        let marketplace = context.marketplace_or_default(product.marketplace);
        let marketplace = marketplace
            .ok_or_else(|| Failure::usage(format!("[gate] canaries: `{text}` has no marketplace")))?;
        Ok(ProductKey { marketplace, asin: product.asin })
    });
    Ok(Gate {
        implausible_factor: settings.implausible_factor.into(),
        moved_pct: settings.moved_pct,
        moved_products: settings.moved_products,
        canaries: canaries.collect::<Result<_, Failure>>()?,
    })
}

/// Which findings another source is to confirm; null where none is asked.
fn second_source(context: &Context) -> Option<SecondSource> {
    let settings = &context.config.settings.gate;
    (!settings.confirm_with.is_empty()).then(|| SecondSource {
        severity: settings.confirm_severity.into(),
        wait: TimeDelta::hours(settings.confirm_wait_h.into()),
        unanswered: BTreeMap::new(),
    })
}

/// What a run of the judge did, a line each.
pub(super) fn lines(summary: &alert::Summary) -> Vec<Line> {
    let mut line = format!("alert: {} judged, {} new", counted(summary.days_judged, "day"), summary.opened);
    for (number, what) in [
        (summary.escalated, "escalated"),
        (summary.historical, "historical"),
        (summary.superseded, "superseded"),
        (summary.released, "released"),
        (summary.dropped, "dropped as unconfirmed"),
        (summary.cleared, "resolved as over"),
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
    if summary.held_for_second > 0 {
        let findings = counted(summary.held_for_second, "finding");
        lines.push(Line::Note(format!("alert: {findings} to be confirmed by a second source")));
    }
    if summary.contradicted > 0 {
        let findings = counted(summary.contradicted, "finding");
        lines.push(Line::Complaint(format!(
            "alert: {findings} contradicted by a second source, held back until the next day shows what it is"
        )));
    }
    if summary.held > summary.held_for_second {
        let findings = counted(summary.held - summary.held_for_second, "finding");
        lines.push(Line::Complaint(format!(
            "alert: {findings} held back, `amzctl alert incidents list` shows why"
        )));
    }
    if summary.source_incidents > 0 {
        let incidents = counted(summary.source_incidents, "new incident");
        lines.push(Line::Complaint(format!("alert: {incidents} of a source")));
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

/// The text as the beginning of an id, as tables show and people copy it; null where no id begins like that.
fn id_prefix(text: &str) -> Option<String> {
    let prefix = text.trim().trim_end_matches('…').to_ascii_lowercase();
    (!prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(prefix)
}

/// The alert whose id begins with the text. Errors: usage when it is none's or several alerts'.
async fn one_alert(id: &str, store: &Store, context: &Context) -> anyhow::Result<AlertRecord> {
    if let Some(alert) = find_alert(id, store, context).await? {
        return Ok(alert);
    }
    let held = match id_prefix(id) {
        Some(prefix) => store.find_held(context.workspace(), &prefix).await?,
        None => Vec::new(),
    };
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
    let Some(prefix) = id_prefix(id) else { return Ok(None) };
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
