//! Deliver: outbox → channels.
//!
//! Reads deliveries that are due. Writes how each fared. One unit of work is a claim, then per batch of a channel:
//! send, record. A second run finds nothing due; after a kill it sends again what was claimed and not recorded, and a
//! channel that can tell drops what it has already. The caller holds the lock `deliver`, or on a server, where several
//! deliver at once, the lease that the claims are made in the name of.

use anyhow::Context as _;
use chrono::Duration;
use futures_util::future::join_all;
use serde::Serialize;

use crate::cancel::CancelToken;
use crate::clock::{Clock, Stopwatch};
use crate::error::Outcome;
use crate::failpoint;
use crate::ids::stable_id;
use crate::model::{Language, Timestamp, Workspace};
use crate::notify::{Event, Message, Notifier};
use crate::store::Store;
use crate::store::alerts::Recipient;
use crate::store::outbox::{AfterFailure, ClaimedEvent};

/// Deliveries of one claim.
const CLAIM: u32 = 1000;
/// A channel that has not answered by then has failed.
const SEND_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);
/// After so many failures in a row a channel is left alone until the next run.
const FAILURES_IN_A_ROW: u32 = 3;
/// A delivery is dead after so many failed attempts, spread over more than a day.
pub const MAX_ATTEMPTS: u32 = 16;
const FIRST_DELAY: Duration = Duration::seconds(30);
const LONGEST_DELAY: Duration = Duration::hours(6);

/// How the deliveries of one channel fared.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ChannelSummary {
    pub channel: String,
    pub recipient: String,
    pub delivered: u64,
    /// Failed attempts; the deliveries are tried again later.
    pub failed: u64,
    /// Given up.
    pub dead: u64,
    /// The last failure.
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
        if self.failed() > 0 { Outcome::PartlyFailed } else { Outcome::Done }
    }
}

/// Sends what is due of a workspace's events to every channel; a channel that fails does not hold up the others.
#[tracing::instrument(name = "stage", level = "error", skip_all, fields(operation = "deliver"))]
pub async fn run(
    store: &Store,
    clock: Clock,
    cancel: &CancelToken,
    workspace: &Workspace,
    notifiers: &[Box<dyn Notifier>],
    claimant: &str,
) -> anyhow::Result<Summary> {
    let channels = notifiers
        .iter()
        .map(|notifier| deliver_channel(store, clock, cancel, workspace, notifier.as_ref(), claimant));
    let watch = Stopwatch::start();
    let channels: anyhow::Result<Vec<ChannelSummary>> = join_all(channels).await.into_iter().collect();
    let summary = Summary { channels: channels?, waiting: store.count_undelivered(workspace).await? };
    let (delivered, failed, waiting) = (summary.delivered(), summary.failed(), summary.waiting);
    tracing::info!(delivered, failed, waiting, duration_ms = watch.elapsed_ms(), "outbox delivered");
    Ok(summary)
}

async fn deliver_channel(
    store: &Store,
    clock: Clock,
    cancel: &CancelToken,
    workspace: &Workspace,
    notifier: &dyn Notifier,
    claimant: &str,
) -> anyhow::Result<ChannelSummary> {
    let to = Recipient { channel: notifier.channel().to_owned(), recipient: notifier.recipient().to_owned() };
    let mut summary =
        ChannelSummary { channel: to.channel.clone(), recipient: to.recipient.clone(), ..Default::default() };
    let mut failures = 0;
    loop {
        let claimed = store
            .claim_deliveries(workspace, &to, clock.now(), claimant, CLAIM)
            .await
            .with_context(|| format!("failed to claim deliveries to {}", to.channel))?;
        failpoint!("deliver.after_claim");
        if claimed.is_empty() {
            return Ok(summary);
        }
        for batch in claimed.chunks(notifier.most_events()) {
            if cancel.is_cancelled() || failures >= FAILURES_IN_A_ROW {
                let given_back = store.give_deliveries_back(workspace, &to, claimant).await;
                given_back.context("failed to give claims back")?;
                return Ok(summary);
            }
            let watch = Stopwatch::start();
            match send(notifier, batch).await {
                Ok(()) => {
                    failures = 0;
                    record_delivered(store, clock, workspace, &to, claimant, batch).await?;
                    let (channel, duration_ms) = (to.channel.as_str(), watch.elapsed_ms());
                    tracing::info!(channel, events = batch.len(), duration_ms, "events delivered");
                    summary.delivered += batch.len() as u64;
                }
                Err(error) => {
                    failures += 1;
                    let dead = record_failed(store, clock, workspace, &to, claimant, batch, &error).await?;
                    summary.dead += dead;
                    summary.failed += batch.len() as u64 - dead;
                    summary.error = Some(error);
                }
            }
        }
    }
}

/// Sends a batch as one message; an error is text, which is what is kept of it.
async fn send(notifier: &dyn Notifier, batch: &[ClaimedEvent]) -> Result<(), String> {
    let message = message_of(batch);
    let sent = match tokio::time::timeout(SEND_TIMEOUT, notifier.send(&message)).await {
        Ok(sent) => sent.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", SEND_TIMEOUT.as_secs())),
    };
    failpoint!("deliver.after_send");
    sent
}

fn message_of(batch: &[ClaimedEvent]) -> Message {
    let ids: Vec<&str> = batch.iter().map(|event| event.event_id.as_str()).collect();
    let message_id = if let [only] = ids.as_slice() { (*only).to_owned() } else { stable_id(&ids) };
    let events = batch
        .iter()
        .map(|event| Event { event_id: event.event_id.clone(), payload: event.payload.clone() })
        .collect();
    Message {
        message_id,
        events,
        digest: None,
        maybe_sent: batch.iter().any(|event| event.maybe_sent),
        language: Language::English,
    }
}

async fn record_delivered(
    store: &Store,
    clock: Clock,
    workspace: &Workspace,
    to: &Recipient,
    claimant: &str,
    batch: &[ClaimedEvent],
) -> anyhow::Result<()> {
    let ids: Vec<String> = batch.iter().map(|event| event.event_id.clone()).collect();
    store
        .mark_delivered(workspace, to, claimant, &ids, clock.now())
        .await
        .with_context(|| format!("failed to record deliveries to {}", to.channel))?;
    failpoint!("deliver.after_mark");
    Ok(())
}

/// Answers how many of the batch are given up.
async fn record_failed(
    store: &Store,
    clock: Clock,
    workspace: &Workspace,
    to: &Recipient,
    claimant: &str,
    batch: &[ClaimedEvent],
    error: &str,
) -> anyhow::Result<u64> {
    let now = clock.now();
    let events: Vec<(String, AfterFailure)> = batch
        .iter()
        .map(|event| {
            let attempts = event.attempts + 1;
            let after = if attempts >= MAX_ATTEMPTS {
                AfterFailure::Dead
            } else {
                AfterFailure::RetryAt(retry_at(now, &event.event_id, attempts))
            };
            (event.event_id.clone(), after)
        })
        .collect();
    store
        .mark_failed(workspace, to, claimant, &events, error)
        .await
        .with_context(|| format!("failed to record failed deliveries to {}", to.channel))?;
    tracing::warn!(channel = %to.channel, events = batch.len(), error, "delivery failed");
    Ok(events.iter().filter(|(_, after)| *after == AfterFailure::Dead).count() as u64)
}

/// When to try again after `attempts` failures: doubling from 30 s to 6 h, less up to a half by the event's own dice,
/// so that events that failed together do not come back together.
fn retry_at(now: Timestamp, event_id: &str, attempts: u32) -> Timestamp {
    let doubled = FIRST_DELAY.num_milliseconds().saturating_mul(1 << attempts.saturating_sub(1).min(20));
    let delay = doubled.min(LONGEST_DELAY.num_milliseconds());
    let dice = u64::from_str_radix(&stable_id(&[event_id, &attempts.to_string()])[..8], 16).unwrap_or(0);
    let less = (delay / 2).saturating_mul(i64::try_from(dice).unwrap_or(0)) >> 32;
    now + Duration::milliseconds(delay - less)
}

#[cfg(test)]
#[path = "deliver_tests.rs"]
mod tests;
