//! Deliver: outbox → channels.
//!
//! Reads deliveries that are due. Writes how each fared. One unit of work is a claim of messages, then per message: send,
//! record. A second run finds nothing due; after a kill it sends again what was claimed and not recorded, under the same id,
//! and a receiver that can tell drops what it has already. The caller holds the lock `deliver`, or on a server, where several
//! deliver at once, the lease that the claims are made in the name of.
//!
//! Channels know nothing of each other: each recipient has a loop of its own (`lane`), with its own times (`schedule`), pace
//! and health (`pace`). One that hangs, fails or is gone slows no other.

mod lane;
mod pace;
mod schedule;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;

use crate::cancel::CancelToken;
use crate::clock::{Clock, Stopwatch};
use crate::config::{Channel, Policy};
use crate::error::Outcome;
use crate::model::{Language, Workspace};
use crate::notify::Notifier;
use crate::store::Store;
use crate::store::alerts::Recipient;
use crate::store::outbox::{Audience, Subscriber, Wants};
use schedule::Schedule;

pub use lane::MAX_ATTEMPTS;

/// One recipient of a channel, with how it is told.
#[derive(Clone)]
pub struct Target {
    notifier: Arc<dyn Notifier>,
    schedule: Schedule,
    /// Events of a message.
    group: usize,
    per_minute: Option<u32>,
    concurrency: usize,
    language: Language,
}

impl Target {
    pub fn new(notifier: Box<dyn Notifier>, policy: &Policy) -> Target {
        let group = match policy.digest {
            Some(_) => notifier.most_digested(),
            None => notifier.most_events().min(policy.group as usize).max(1),
        };
        Target {
            notifier: notifier.into(),
            schedule: Schedule::of(policy),
            group,
            per_minute: policy.per_minute,
            concurrency: (policy.concurrency as usize).max(1),
            language: policy.language,
        }
    }
}

/// Who hears of what, as the channels of a configuration say.
pub fn audience(channels: &[Channel], workspace: &Workspace) -> Audience {
    let subscribers = channels.iter().flat_map(|channel| {
        let wants = wants(&channel.policy);
        channel.recipients().into_iter().map(move |recipient| Subscriber {
            to: Recipient { channel: channel.name.clone(), recipient },
            wants: wants.clone(),
        })
    });
    Audience { workspace: workspace.clone(), subscribers: subscribers.collect() }
}

fn wants(policy: &Policy) -> Wants {
    Wants {
        events: policy.events.clone(),
        min_severity: Some(policy.min_severity),
        rules: policy.rules.clone(),
        marketplaces: policy.marketplaces.iter().map(|one| one.code().to_owned()).collect(),
        workspaces: policy.workspaces.iter().map(|one| one.as_str().to_owned()).collect(),
    }
}

/// When a run ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// When nothing more is due.
    NothingIsDue,
    /// When it is stopped: it looks for what is new this often, and whenever something is due.
    Stopped { poll: Duration },
}

#[derive(Clone, Debug)]
pub struct Options {
    pub workspace: Workspace,
    /// In whose name claims are made.
    pub claimant: String,
    pub until: Until,
}

/// How the messages of one recipient fared. All are counted in events.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ChannelSummary {
    pub channel: String,
    pub recipient: String,
    pub delivered: u64,
    /// Failed attempts; the deliveries are tried again later.
    pub failed: u64,
    /// Given up.
    pub dead: u64,
    /// The last failure, or why the channel could not be made.
    pub error: Option<String>,
}

/// What a run delivered.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Summary {
    pub channels: Vec<ChannelSummary>,
    /// Deliveries that wait for a later run.
    pub waiting: u64,
}

impl Summary {
    pub fn delivered(&self) -> u64 {
        self.channels.iter().map(|channel| channel.delivered).sum()
    }

    pub fn failed(&self) -> u64 {
        self.channels.iter().map(|channel| channel.failed + channel.dead).sum()
    }

    pub fn outcome(&self) -> Outcome {
        let is_troubled = self.channels.iter().any(|channel| channel.error.is_some());
        if self.failed() > 0 || is_troubled { Outcome::PartlyFailed } else { Outcome::Done }
    }
}

/// Sends what is due of a workspace's events to every target.
#[tracing::instrument(name = "stage", level = "error", skip_all, fields(operation = "deliver"))]
pub async fn run(
    store: &Store,
    clock: Clock,
    cancel: &CancelToken,
    targets: &[Target],
    options: &Options,
) -> anyhow::Result<Summary> {
    let watch = Stopwatch::start();
    // A lane that breaks ends the others too, each behind what it is sending: nobody would notice otherwise that it is gone.
    let broken = CancelToken::default();
    let lanes = targets.iter().map(async |target| {
        let driven = lane::drive(store, clock, &broken, target, options).await;
        if driven.is_err() {
            broken.cancel(Outcome::Failed);
        }
        driven
    });
    let stops = async {
        cancel.cancelled().await;
        broken.cancel(cancel.outcome().unwrap_or(Outcome::Interrupted));
        std::future::pending().await
    };
    let channels: anyhow::Result<Vec<ChannelSummary>> = tokio::select! {
        channels = join_all(lanes) => channels.into_iter().collect(),
        never = stops => never,
    };
    let waiting = store.count_undelivered(&options.workspace).await?;
    let summary = Summary { channels: channels?, waiting };
    let (delivered, failed) = (summary.delivered(), summary.failed());
    tracing::info!(delivered, failed, waiting, duration_ms = watch.elapsed_ms(), "outbox delivered");
    Ok(summary)
}

#[cfg(test)]
mod tests;
