//! `alert ack`, `snooze`, `resolve`, `dismiss`: what people do with alerts, by id or by filter.

use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::NonEmptyStringValueParser;

use super::filter::FilterArgs;
use super::{audience, one_alert, view};
use crate::cli::context::Context;
use crate::cli::dates::parse_duration;
use crate::cli::output::counted;
use crate::error::{Failure, Outcome};
use crate::lock::host_name;
use crate::model::{Day, Timestamp};
use crate::render::rows::{Format, instant_to_second, render};
use crate::store::Store;
use crate::store::alerts::{AlertFilter, AlertRecord, AlertState, StateChange, Transition};

#[derive(Clone, Debug, clap::Args)]
pub(super) struct ChangeArgs {
    /// Ids of alerts, or their first digits
    #[arg(value_name = "ID")]
    ids: Vec<String>,

    #[command(flatten)]
    filter: FilterArgs,

    /// Every alert that is neither resolved nor dismissed
    #[arg(long)]
    all_open: bool,

    /// Change more than one alert that was not named by its id, without asking
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    by: ByArgs,
}

#[derive(Clone, Debug, clap::Args)]
pub(super) struct SnoozeArgs {
    /// Until this day begins, or until this time: YYYY-MM-DD or RFC 3339
    #[arg(long, value_name = "TIME", conflicts_with = "duration")]
    until: Option<Until>,

    /// For this long: 3d, 12h
    #[arg(id = "duration", long = "for", value_name = "DURATION", value_parser = parse_duration)]
    duration: Option<Duration>,

    #[command(flatten)]
    change: ChangeArgs,
}

/// Who does it and why, and whether it is only tried.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ByArgs {
    /// Why, or what was done; kept with the change
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(super) note: String,

    /// Who does it [default: your login and this host]
    #[arg(long = "as", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    name: Option<String>,

    /// Show what would change, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

impl ByArgs {
    /// `ada@laptop`.
    pub(super) fn actor(&self) -> String {
        self.name.clone().unwrap_or_else(whoever_types)
    }
}

/// The login and its host.
pub(in crate::cli) fn whoever_types() -> String {
    let known = ["USER", "LOGNAME"].iter().filter_map(|name| std::env::var(name).ok());
    let login = known.into_iter().find(|user| !user.is_empty()).unwrap_or_else(|| "unknown".to_owned());
    format!("{login}@{}", host_name())
}

/// The end of a snooze.
#[derive(Clone, Copy, Debug)]
enum Until {
    Day(Day),
    At(Timestamp),
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Until, String> {
        let day = text.parse().map(Until::Day);
        day.or_else(|_| text.parse().map(Until::At))
            .map_err(|_| format!("`{text}` is no time (expected YYYY-MM-DD, or as 2026-12-24T08:00:00Z)"))
    }
}

pub(super) async fn acknowledge(args: &ChangeArgs, context: &Context) -> anyhow::Result<Outcome> {
    change(args, AlertState::Acknowledged, None, context).await
}

pub(super) async fn resolve(args: &ChangeArgs, context: &Context) -> anyhow::Result<Outcome> {
    change(args, AlertState::Resolved, None, context).await
}

pub(super) async fn dismiss(args: &ChangeArgs, context: &Context) -> anyhow::Result<Outcome> {
    change(args, AlertState::Dismissed, None, context).await
}

pub(super) async fn snooze(args: &SnoozeArgs, context: &Context) -> anyhow::Result<Outcome> {
    let until = end_of_snooze(args, context)?;
    change(&args.change, AlertState::Snoozed, Some(until), context).await
}

/// Errors: usage when none is given, or it lies in the past.
fn end_of_snooze(args: &SnoozeArgs, context: &Context) -> anyhow::Result<Timestamp> {
    let now = context.clock.now();
    let until = match (args.until, args.duration) {
        (Some(Until::Day(day)), _) => context.config.zone.end_of(day.plus(-1)),
        (Some(Until::At(at)), _) => at,
        (None, None) => {
            return Err(Failure::usage("nothing says until when")
                .hint("--until 2026-12-24, or --for 3d")
                .into());
        }
        (None, Some(duration)) => {
            let duration = chrono::Duration::from_std(duration);
            let end = duration.ok().and_then(|duration| now.checked_add_signed(duration));
            end.ok_or_else(|| Failure::usage("--for is longer than time is counted"))?
        }
    };
    if until <= now {
        let (until, now) = (instant_to_second(until), instant_to_second(now));
        return Err(Failure::usage(format!("{until} is over: it is {now}")).into());
    }
    Ok(until)
}

async fn change(
    args: &ChangeArgs,
    to: AlertState,
    until: Option<Timestamp>,
    context: &Context,
) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let alerts = selected(args, to, &store, context).await?;
    let is_by_filter = args.ids.is_empty();
    if is_by_filter && alerts.is_empty() {
        context.ui.note("no alert matches");
        return Ok(Outcome::Done);
    }
    if args.by.dry_run {
        preview(&alerts, to, context)?;
        context.ui.note(&format!("dry run, nothing written: {} to be {}", alerts.len(), to.as_str()));
        return Ok(Outcome::Done);
    }
    if is_by_filter && alerts.len() > 1 && !args.yes {
        preview(&alerts, to, context)?;
        let question = format!("{} to be {}?", counted(alerts.len(), "alert"), to.as_str());
        if !context.ui.confirm(&question)? {
            let what = format!("{} would be {}: nothing was changed", alerts.len(), to.as_str());
            return Err(Failure::usage(what).hint("confirm with --yes, or name them by their ids").into());
        }
    }
    let ids: Vec<String> = alerts.into_iter().map(|alert| alert.alert_id).collect();
    let actor = args.by.actor();
    let transition = Transition { to, until, actor: &actor, note: &args.by.note };
    let changes = store
        .change_alert_states(
            context.workspace(),
            &ids,
            transition,
            context.clock.now(),
            &audience(context).subscribers,
        )
        .await
        .context("failed to change alerts")?;
    let mut outcome = Outcome::Done;
    for (id, change) in ids.iter().zip(&changes) {
        if let StateChange::Refused(_) = change {
            context.ui.complain(&refusal(id, &store, context).await?);
            outcome = Outcome::PartlyFailed;
        }
    }
    let changed = changes.iter().filter(|change| **change == StateChange::Changed).count();
    let until = until.map_or_else(String::new, |until| format!(" until {}", instant_to_second(until)));
    let rest =
        if changed < ids.len() { format!(", {} unchanged", ids.len() - changed) } else { String::new() };
    context.ui.note(&format!("{changed} {}{until}{rest}", to.as_str()));
    if changed > 0
        && let Some(next) = next_after(to, &ids, &store, context).await?
    {
        context.ui.note(&format!("next: {next}"));
    }
    Ok(outcome)
}

/// The alerts that were named, or those that match and whose state leads there.
async fn selected(
    args: &ChangeArgs,
    to: AlertState,
    store: &Store,
    context: &Context,
) -> anyhow::Result<Vec<AlertRecord>> {
    let is_filtered = args.filter.is_given() || args.all_open;
    if args.ids.is_empty() != is_filtered {
        let wrong = match is_filtered {
            true => "ids and a filter are two ways to say which alerts",
            false => "nothing says which alerts",
        };
        return Err(Failure::usage(wrong)
            .hint("name them by id, or by --rule, --product, --severity, … or --all-open")
            .into());
    }
    if is_filtered {
        let filter = args.filter.filter(to.comes_from().to_vec(), context);
        let mut matching =
            store.list_alerts(context.workspace(), &filter).await.context("failed to list alerts")?;
        // To be snoozed again is asked for by id only.
        matching.retain(|alert| alert.state != to);
        return Ok(matching);
    }
    let mut alerts: Vec<AlertRecord> = Vec::with_capacity(args.ids.len());
    for id in &args.ids {
        let alert = one_alert(id, store, context).await?;
        if alerts.iter().all(|known| known.alert_id != alert.alert_id) {
            alerts.push(alert);
        }
    }
    Ok(alerts)
}

/// The alerts as `alert list` shows them.
fn preview(alerts: &[AlertRecord], to: AlertState, context: &Context) -> anyhow::Result<()> {
    let may_change = |alert: &&AlertRecord| to.comes_from().contains(&alert.state);
    let alerts: Vec<AlertRecord> = alerts.iter().filter(may_change).cloned().collect();
    if !alerts.is_empty() {
        let text = render(&view::short_rows(&alerts), Format::Table, None, context.ui.table_width)?;
        context.ui.data(&text);
    }
    Ok(())
}

/// What somebody has done with an alert that was to be changed.
async fn refusal(id: &str, store: &Store, context: &Context) -> anyhow::Result<String> {
    let alert = one_alert(id, store, context).await?;
    Ok(format!("{} left as it is: {}", view::short_id(id), view::state_line(&alert)))
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
    if to == AlertState::Snoozed {
        return Ok(None);
    }
    let unended = AlertState::UNENDED.to_vec();
    let filter = AlertFilter { states: unended, limit: Some(1), ..AlertFilter::default() };
    let left = store.list_alerts(context.workspace(), &filter).await.context("failed to list alerts")?;
    Ok((!left.is_empty()).then(|| "`amzctl alert list` shows what is left".to_owned()))
}
