//! `alert deliver`: tells what waits in the outbox, once or until it is stopped.

use std::io;
use std::time::Duration;

use super::super::context::Context;
use super::super::dates::parse_duration;
use super::super::ui::Line;
use super::view;
use crate::config::Channel;
use crate::deps;
use crate::error::{Failure, Outcome};
use crate::ids::new_run_id;
use crate::lock::{RunLock, deliver_lock};
use crate::notify::{EventStyle, StdoutNotifier};
use crate::stages::deliver::{self, ChannelSummary, Options, Summary, Target, Until};
use crate::store::Store;
use crate::store::leases::Shared;
use crate::store::outbox::{About, Audience};

/// How long a watcher waits for another one of the same embedded database to end: for as long as it is there.
const STAND_BY: Duration = Duration::from_secs(365 * 24 * 3600);

#[derive(Clone, Debug, clap::Args)]
pub(super) struct DeliverArgs {
    /// Deliver to these channels only, as the configuration names them
    #[arg(long = "channel", value_name = "NAME")]
    channels: Vec<String>,

    /// Stay, and deliver what comes up, until a signal ends it; several may stay at once
    #[arg(long, conflicts_with = "dry_run")]
    watch: bool,

    /// With --watch, how often to look for what is new: 2s, 1m
    #[arg(long, value_name = "DURATION", default_value = "5s", requires = "watch", value_parser = parse_duration)]
    poll: Duration,

    /// Say how much waits, and deliver nothing
    #[arg(long)]
    dry_run: bool,

    /// Print events as lines of JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: DeliverArgs, context: &Context) -> anyhow::Result<Outcome> {
    let channels = chosen(&args.channels, context)?;
    let store = context.open_store().await?;
    if args.dry_run {
        let waiting = store.count_undelivered(context.workspace()).await?;
        context.ui.note(&format!("dry run, nothing delivered: {waiting} waiting"));
        return Ok(Outcome::Done);
    }
    let until = match args.watch {
        true => Until::Stopped { poll: args.poll.max(Duration::from_millis(100)) },
        false => Until::NothingIsDue,
    };
    let id = new_run_id();
    let share = match args.watch && !store.is_shared() {
        true => context.stand_by(&store, deliver_lock(context.workspace()), STAND_BY).await?,
        false => context.share(&store, Shared::Deliver, &id).await?,
    };
    let summary = deliver_to(&channels, &store, context, args.json, until, (&id, share)).await?;
    context.ui.say(&deliver_lines(&summary));
    if summary.channels.iter().any(|channel| channel.dead > 0) {
        context.ui.note("next: `amzctl alert dead list` shows what was given up");
    }
    Ok(summary.outcome())
}

/// The channels that were named, or all. Errors: usage for a name that no channel has.
fn chosen<'a>(names: &[String], context: &'a Context) -> Result<Vec<&'a Channel>, Failure> {
    let channels = &context.config.channels;
    for name in names {
        if !channels.iter().any(|channel| channel.name == *name) {
            let known: Vec<&str> = channels.iter().map(|channel| channel.name.as_str()).collect();
            return Err(Failure::usage(format!("there is no channel `{name}`"))
                .hint(format!("the configuration has {}", known.join(", "))));
        }
    }
    Ok(channels.iter().filter(|channel| names.is_empty() || names.contains(&channel.name)).collect())
}

/// Delivers what waits, unless another process is doing that: its turn, or the next one's. On a server several do.
pub(in crate::cli) async fn deliver_now(
    store: &Store,
    context: &Context,
    json: bool,
) -> anyhow::Result<Option<Summary>> {
    let channels: Vec<&Channel> = context.config.channels.iter().collect();
    let id = new_run_id();
    let share = match context.share(store, Shared::Deliver, &id).await {
        Ok(share) => share,
        Err(error) if is_locked(&error) => {
            context.ui.note("deliver: another process is delivering; what is new waits for its next turn");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    deliver_to(&channels, store, context, json, Until::NothingIsDue, (&id, share)).await.map(Some)
}

/// Delivers what a run tells of itself, where somebody asked for it: it was written with the run's end, and the run stays what
/// it was whatever comes of this.
pub(in crate::cli) async fn tell_of_run(store: &Store, context: &Context) {
    let audience = audience(context);
    let is_heard = ["run.finished", "run.failed"].iter().any(|kind| audience.hears(kind, &About::default()));
    if !is_heard {
        return;
    }
    match deliver_now(store, context, false).await {
        Ok(Some(summary)) if summary.delivered() + summary.failed() > 0 => {
            context.ui.say(&deliver_lines(&summary));
        }
        Ok(_) => {}
        Err(error) => tracing::warn!("what the run tells of itself waits for the next delivery: {error:#}"),
    }
}

fn is_locked(error: &anyhow::Error) -> bool {
    // --skip-if-locked makes the refusal an outcome of `done`.
    let refusal = error.downcast_ref::<Failure>();
    refusal.is_some_and(|failure| matches!(failure.outcome, Outcome::Locked | Outcome::Done))
}

async fn deliver_to(
    channels: &[&Channel],
    store: &Store,
    context: &Context,
    json: bool,
    until: Until,
    (id, share): (&str, RunLock),
) -> anyhow::Result<Summary> {
    let (targets, unready) = targets(channels, context, json);
    let (workspace, claimant) = (context.workspace().clone(), Shared::Deliver.lease(id));
    let options = Options { workspace, claimant, until };
    let mut summary = deliver::run(store, context.clock, &context.cancel(), &targets, &options).await?;
    summary.channels.extend(unready);
    share.release().await?;
    Ok(summary)
}

/// The channels, ready to send; and those that cannot be made, with why: what waits for them goes on waiting.
fn targets(channels: &[&Channel], context: &Context, json: bool) -> (Vec<Target>, Vec<ChannelSummary>) {
    let stdout = || stdout_notifier(context, json);
    let (mut ready, mut unready) = (Vec::new(), Vec::new());
    for channel in channels {
        match deps::notifiers_of(channel, &context.config, context.clock, &stdout) {
            Ok(notifiers) => {
                ready.extend(notifiers.into_iter().map(|notifier| Target::new(notifier, &channel.policy)));
            }
            Err(error) => unready.extend(channel.recipients().into_iter().map(|recipient| ChannelSummary {
                channel: channel.name.clone(),
                recipient,
                error: Some(error.detail.clone()),
                ..ChannelSummary::default()
            })),
        }
    }
    (ready, unready)
}

/// Prints events as data.
pub(super) fn stdout_notifier(context: &Context, json: bool) -> StdoutNotifier {
    let style = if json { EventStyle::Json } else { EventStyle::Text };
    let ui = context.ui.clone();
    StdoutNotifier::new(style, move |text: &str| {
        ui.data(text);
        // What nobody reads has not been told.
        if ui.is_closed() { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    })
}

/// Who hears of what, as the configuration says.
pub(in crate::cli) fn audience(context: &Context) -> Audience {
    deliver::audience(&context.config.channels, context.workspace())
}

/// What a delivery did, a line each; channels that had nothing to do are silent.
pub(in crate::cli) fn deliver_lines(summary: &Summary) -> Vec<Line> {
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
        let to = view::addressed(&channel.channel, &channel.recipient);
        if let (true, Some(error)) = (parts.is_empty(), &channel.error) {
            lines.push(Line::Complaint(format!("deliver: {to}: not ready: {error}")));
        }
        if !parts.is_empty() {
            let error = channel.error.as_ref().map_or_else(String::new, |error| format!(" ({error})"));
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
