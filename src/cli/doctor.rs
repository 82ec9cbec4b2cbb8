//! `doctor`: is every provider reachable, does it accept our key, does its clock agree with ours, is anything left.

use std::time::Duration;

use serde::Serialize;

use super::OutputArgs;
use super::context::Context;
use super::fetch::source_names;
use crate::clock::Stopwatch;
use crate::config::{Channel, Transport};
use crate::deps::{self, Purpose};
use crate::error::{Failure, Outcome};
use crate::model::{BreakerPosition, FaultKind, SourceState};
use crate::notify::{EventStyle, StdoutNotifier};
use crate::render::rows::{Cell, Format, Rows, printable};
use crate::sources::{Fault, Probe};
use crate::store::Store;

/// A provider has so long to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Clocks may differ by so much before tokens and days go wrong.
const MAX_SKEW: chrono::Duration = chrono::Duration::seconds(60);

/// Check that every configured provider can be reached and accepts its key
///
/// Asks each provider once, at no cost, and looks at the database, the lake, and the keys and templates of channels. Ends with 0 when all is healthy or
/// degraded, 12 when a key is missing or refused, 7 when something cannot be reached, 1 for anything else.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    output: OutputArgs,
}

/// How a part is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Health {
    Healthy,
    Degraded,
    Unhealthy,
}

impl Health {
    fn as_str(self) -> &'static str {
        match self {
            Health::Healthy => "healthy",
            Health::Degraded => "degraded",
            Health::Unhealthy => "unhealthy",
        }
    }
}

#[derive(Clone, Debug, Serialize)]
struct Part {
    /// `database`, `lake`, the name of a provider, or `channel NAME`.
    part: String,
    health: Health,
    detail: String,
    /// What is left to spend, as the provider puts it.
    quota: Option<String>,
    /// The provider's clock minus ours, in seconds.
    clock_skew_s: Option<i64>,
    latency_ms: Option<u64>,
    fix: Option<String>,
    #[serde(skip)]
    outcome: Outcome,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    health: Health,
    parts: &'a [Part],
}

pub(super) async fn run(args: DoctorArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let mut parts = vec![database(&store, context).await, lake(context)];
    let states = store.load_source_states().await?;
    let mut names = source_names(&store, &context.config).await?;
    let second = context.config.settings.gate.confirm_with.iter();
    names.extend(second.filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
    for name in &names {
        let state = states.iter().find(|state| state.source == *name);
        parts.push(provider(name, state, context).await);
    }
    parts.extend(
        context
            .config
            .channels
            .iter()
            .filter(|channel| is_section(channel))
            .map(|channel| way_out(channel, context)),
    );
    let health = parts.iter().map(|part| part.health).max().unwrap_or(Health::Healthy);
    if args.output.format() == Format::Json && args.output.fields.is_none() {
        let document = Document { schema: "amzctl.doctor/1", health, parts: &parts };
        args.output.write(&(serde_json::to_string_pretty(&document)? + "\n"), context)?;
    } else {
        args.output.emit(&rows(&parts), context)?;
        for part in &parts {
            if let Some(fix) = &part.fix {
                context.ui.complain(&format!("{}: {}; {fix}", part.part, printable(&part.detail)));
            }
        }
        if names.is_empty() {
            context.ui.note("no provider is configured: `chain` under [sources] names those to ask");
        }
    }
    Ok(parts.iter().map(|part| part.outcome).fold(Outcome::Done, Outcome::and))
}

fn rows(parts: &[Part]) -> Rows {
    let columns = ["part", "health", "quota", "clock_skew_s", "latency_ms", "detail"];
    let mut rows = Rows::new("amzctl.doctor/1", &columns);
    for part in parts {
        rows.push(vec![
            part.part.as_str().into(),
            part.health.as_str().into(),
            part.quota.as_deref().into(),
            part.clock_skew_s.into(),
            part.latency_ms.into(),
            Cell::from(printable(&part.detail)),
        ]);
    }
    rows
}

fn sound(part: &str, detail: String) -> Part {
    Part {
        part: part.to_owned(),
        health: Health::Healthy,
        detail,
        quota: None,
        clock_skew_s: None,
        latency_ms: None,
        fix: None,
        outcome: Outcome::Done,
    }
}

async fn database(store: &Store, context: &Context) -> Part {
    let watch = Stopwatch::start();
    let part = match store.load_counts(context.workspace()).await {
        Ok(counts) => sound("database", format!("{} products watched", counts.watched)),
        Err(error) => Part {
            health: Health::Unhealthy,
            fix: error.hints().into_iter().next(),
            outcome: error.outcome(),
            ..sound("database", error.to_string())
        },
    };
    Part { latency_ms: Some(watch.elapsed_ms()), ..part }
}

/// The lake's folder takes files.
fn lake(context: &Context) -> Part {
    let root = &context.config.lake_root;
    let existing = root.ancestors().find(|folder| folder.is_dir());
    let Some(folder) = existing else {
        return Part {
            health: Health::Unhealthy,
            fix: Some("name a folder that exists as `root` under [lake]".into()),
            outcome: Outcome::Failed,
            ..sound("lake", format!("{} does not exist", root.display()))
        };
    };
    let probe = folder.join(format!(".amzctl-doctor-{}", std::process::id()));
    let written = std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe));
    match written {
        Ok(()) => sound("lake", format!("{} can be written", root.display())),
        Err(error) => Part {
            health: Health::Unhealthy,
            fix: Some("check the permissions of the folder and the file system".into()),
            outcome: Outcome::Failed,
            ..sound("lake", format!("{}: {error}", root.display()))
        },
    }
}

/// Of `[alerts]` nothing can be missing.
fn is_section(channel: &Channel) -> bool {
    matches!(channel.transport, Transport::Section(_))
}

/// A channel has its keys, and its templates render what may have to be told. Nothing is sent.
fn way_out(channel: &Channel, context: &Context) -> Part {
    let name = format!("channel {}", channel.name);
    let silent = || StdoutNotifier::new(EventStyle::Text, |_: &str| Ok(()));
    match deps::notifiers_of(channel, &context.config, context.clock, &silent) {
        Ok(notifiers) => sound(&name, format!("{}, {} to tell", channel.kind(), notifiers.len())),
        Err(error) => Part {
            health: Health::Unhealthy,
            fix: Some(format!("`amzctl alert test-channel {}` tries it", channel.name)),
            outcome: error.kind.outcome(),
            ..sound(&name, error.detail)
        },
    }
}

async fn provider(name: &str, state: Option<&SourceState>, context: &Context) -> Part {
    let configured = match deps::source(name, &context.config, context.clock, Purpose::Asking) {
        Ok(configured) => configured,
        Err(Failure { outcome, message, hints }) => {
            return Part {
                health: Health::Unhealthy,
                fix: hints.into_iter().next(),
                outcome,
                ..sound(name, message.strip_prefix(&format!("{name}: ")).unwrap_or(&message).to_owned())
            };
        }
    };
    let watch = Stopwatch::start();
    let probe = tokio::time::timeout(PATIENCE, configured.source.probe()).await;
    let latency_ms = Some(watch.elapsed_ms());
    let part = match probe {
        Ok(Ok(probe)) => answered(name, probe, state),
        Ok(Err(fault)) => refused(name, &fault),
        Err(_) => refused(name, &Fault::new(FaultKind::Timeout, "no answer within 20 seconds")),
    };
    Part { latency_ms, ..part }
}

fn answered(name: &str, probe: Probe, state: Option<&SourceState>) -> Part {
    let mut part = sound(name, probe.checked);
    part.clock_skew_s = probe.skew.map(|skew| skew.num_seconds());
    part.quota = probe.balance;
    let is_empty =
        part.quota.as_deref().is_some_and(|quota| quota.starts_with("0 ") || quota.starts_with('-'));
    if probe.skew.is_some_and(|skew| skew.abs() > MAX_SKEW) {
        part.health = Health::Degraded;
        part.detail = "its clock and ours differ by more than a minute".into();
        part.fix = Some("set this machine's clock, by NTP for example".into());
    } else if is_empty {
        part.health = Health::Degraded;
        part.detail = "nothing is left to spend".into();
        part.fix = Some("wait for the refill, or raise the plan".into());
    } else if let Some(state) = state.filter(|state| state.breaker != BreakerPosition::Closed) {
        part.health = Health::Degraded;
        part.detail = format!("its circuit breaker is {}: {}", state.breaker, state.reason);
        part.fix = Some("the next run tries it with one request".into());
    }
    part
}

fn refused(name: &str, fault: &Fault) -> Part {
    let (health, outcome, fix) = match fault.kind {
        FaultKind::Credentials => {
            (Health::Unhealthy, Outcome::Credentials, "check the key and what it may be used for")
        }
        FaultKind::RateLimited | FaultKind::Exhausted => {
            (Health::Degraded, Outcome::Done, "wait for the refill, or raise the plan")
        }
        FaultKind::Network | FaultKind::Timeout | FaultKind::Unavailable | FaultKind::Malformed => {
            (Health::Unhealthy, Outcome::Transient, "check the network and the address under its section")
        }
        _ => (Health::Unhealthy, Outcome::Failed, "check what its section in amzctl.toml says"),
    };
    Part { health, outcome, fix: Some(fix.into()), ..sound(name, fault.to_string()) }
}
