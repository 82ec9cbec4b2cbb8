//! `alert`: judge what is new, deliver what was found, and say what was done about it.

mod dead;
mod deliver;
mod test_channel;
mod view;

use deliver::stdout_notifier;
pub(super) use deliver::{audience, deliver_lines, deliver_now, tell_of_run};
pub(super) use view::evidence_lines;

use anyhow::Context as _;
use clap::builder::PossibleValuesParser;
use serde_json::json;

use super::OutputArgs;
use super::context::Context;
use super::dates::DayArg;
use super::output::{counted, write_text};
use super::ui::Line;
use crate::error::{Failure, Outcome};
use crate::lake::Lake;
use crate::model::{Marketplace, ProductRef};
use crate::render::rows::Format;
use crate::rollup::rules::{Rule, RuleSet, Severity};
use crate::stages::alert::{self, Telling};
use crate::store::Store;
use crate::store::alerts::{AlertFilter, AlertRecord, AlertState, StateChange, Transition};

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
    /// Resolve alerts: dealt with
    Resolve(ChangeArgs),
    /// List the rules with their thresholds
    Rules(RulesArgs),
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

    /// Only alerts of this day and later: YYYY-MM-DD, today, yesterday or -30d
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    since: Option<DayArg>,

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
struct ChangeArgs {
    /// Ids of alerts, or their first digits
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,

    /// Why, or what was done; kept with the change
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,

    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct RulesArgs {
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
        AlertCommand::Ack(args) => {
            let from = [AlertState::Open, AlertState::Snoozed];
            change(args, &from, AlertState::Acknowledged, context).await
        }
        AlertCommand::Resolve(args) => {
            let from = [AlertState::Open, AlertState::Acknowledged, AlertState::Snoozed];
            change(args, &from, AlertState::Resolved, context).await
        }
        AlertCommand::TestChannel(args) => test_channel::run(args, context).await,
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

/// How this configuration judges.
pub(super) fn options(context: &Context, run_id: &str, tell: Telling) -> anyhow::Result<alert::Options> {
    Ok(alert::Options {
        run_id: run_id.to_owned(),
        workspace: context.workspace().clone(),
        rules: rule_set(context)?,
        own_sellers: context.config.settings.own.seller_ids.iter().cloned().collect(),
        zone: context.config.zone,
        recipients: audience(context).subscribers,
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

async fn list(args: ListArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let product = args.product;
    let all = args.state.iter().any(|state| state == "all");
    let filter = AlertFilter {
        states: args.state.iter().filter(|_| !all).filter_map(|word| AlertState::from_word(word)).collect(),
        severities: args.severity.iter().filter_map(|word| Severity::from_word(word)).collect(),
        rules: args.rule.iter().filter_map(|word| Rule::from_word(word)).collect(),
        marketplace: product.and_then(|product| product.marketplace).or(args.marketplace),
        asin: product.map(|product| product.asin),
        since: args.since.map(|day| day.resolve(context.today())),
        limit: args.limit,
    };
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
    find_alert(id, store, context).await?.ok_or_else(|| unknown_alert(id).into())
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

async fn change(
    args: ChangeArgs,
    from: &[AlertState],
    to: AlertState,
    context: &Context,
) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let mut ids = Vec::with_capacity(args.ids.len());
    for id in &args.ids {
        let alert_id = one_alert(id, &store, context).await?.alert_id;
        if !ids.contains(&alert_id) {
            ids.push(alert_id);
        }
    }
    if args.dry_run {
        context.ui.note(&format!("dry run, nothing written: {} to be {}", ids.len(), to.as_str()));
        return Ok(Outcome::Done);
    }
    let actor = actor();
    let transition = Transition { from, to, actor: &actor, note: &args.note };
    let changes = store
        .change_alert_states(context.workspace(), &ids, transition, &audience(context), context.clock.now())
        .await
        .context("failed to change alerts")?;
    let mut outcome = Outcome::Done;
    for (id, change) in ids.iter().zip(&changes) {
        if let StateChange::Refused(state) = change {
            context.ui.complain(&format!("{id} is {}: left as it is", state.as_str()));
            outcome = Outcome::PartlyFailed;
        }
    }
    let changed = changes.iter().filter(|change| **change == StateChange::Changed).count();
    let rest =
        if changed < ids.len() { format!(", {} unchanged", ids.len() - changed) } else { String::new() };
    context.ui.note(&format!("{changed} {}{rest}", to.as_str()));
    if changed > 0
        && let Some(next) = next_after(to, &ids, &store, context).await?
    {
        context.ui.note(&format!("next: {next}"));
    }
    Ok(outcome)
}

/// Who types this.
fn actor() -> String {
    std::env::var("USER").ok().filter(|user| !user.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

/// Who was told of an alert ends it; who has ended one looks at the others. Null when there are none.
async fn next_after(
    to: AlertState,
    changed: &[String],
    store: &Store,
    context: &Context,
) -> anyhow::Result<Option<String>> {
    if to == AlertState::Acknowledged {
        let id = if let [id] = changed { view::short_id(id) } else { "ID…" };
        return Ok(Some(format!("`amzctl alert resolve {id}` when it is dealt with")));
    }
    let unresolved = vec![AlertState::Open, AlertState::Acknowledged, AlertState::Snoozed];
    let filter = AlertFilter { states: unresolved, limit: Some(1), ..AlertFilter::default() };
    let left = store.list_alerts(context.workspace(), &filter).await.context("failed to list alerts")?;
    Ok((!left.is_empty()).then(|| "`amzctl alert list` shows what is left".to_owned()))
}
