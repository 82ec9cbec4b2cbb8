//! One recipient's loop: claim what is due, send it a few messages at a time, record how each fared.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Context as _;
use chrono::TimeDelta;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::pace::{Health, Pace, Rest, Sign};
use super::{ChannelSummary, Options, Target, Until};
use crate::cancel::CancelToken;
use crate::clock::Clock;
use crate::failpoint;
use crate::ids::stable_id;
use crate::model::Timestamp;
use crate::notify::{Event, Message, NotSent, NotifyError};
use crate::store::alerts::Recipient;
use crate::store::outbox::{AfterFailure, Claim, ClaimedEvent, ClaimedMessage, Fate, Settled};
use crate::store::{Store, StoreError};

/// Messages of one claim: few enough that what comes up meanwhile and is graver does not wait long behind them.
const CLAIM: usize = 200;
/// Events of one claim, about: their payloads lie in memory.
const CLAIM_EVENTS: usize = 2_000;
/// A notifier has a limit of its own; one that is not kept is ended here.
const SEND_TIMEOUT: Duration = Duration::from_secs(330);
/// After a stop was asked for, messages on their way are waited for as long.
const GRACE: Duration = Duration::from_secs(25);
/// A run that is not to stay waits no longer for a channel that asked for a pause.
const PATIENCE: Duration = Duration::from_secs(5);
/// What was accepted is not forgotten because the database is busy: recording it is tried again for so long.
const RECORDING: Duration = Duration::from_secs(600);
const RECORD_AGAIN: Duration = Duration::from_millis(500);
/// A message is dead after so many failed attempts, spread over more than a day.
pub const MAX_ATTEMPTS: u32 = 16;
const FIRST_DELAY: TimeDelta = TimeDelta::seconds(30);
const LONGEST_DELAY: TimeDelta = TimeDelta::hours(6);
/// A receiver may ask for a longer wait than ours, but not for ever.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// What an attempt at a message gave.
type Attempt = (ClaimedMessage, Result<(), NotifyError>);

/// Delivers to one target until the run ends.
pub(super) async fn drive(
    store: &Store,
    clock: Clock,
    cancel: &CancelToken,
    target: &Target,
    options: &Options,
) -> anyhow::Result<ChannelSummary> {
    let to = Recipient {
        channel: target.notifier.channel().to_owned(),
        recipient: target.notifier.recipient().to_owned(),
    };
    let summary =
        ChannelSummary { channel: to.channel.clone(), recipient: to.recipient.clone(), ..Default::default() };
    let lane = Lane {
        store,
        clock,
        cancel,
        target,
        options,
        to,
        pace: Pace::new(target.per_minute),
        health: Health::default(),
        waiting: VecDeque::new(),
        on_their_way: JoinSet::new(),
        idle: Idle::No,
        summary,
    };
    lane.run().await
}

/// Another process writes, or the server is away: it passes.
fn is_passing(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref().is_some_and(StoreError::is_passing))
}

/// Whether something may be due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Idle {
    No,
    /// It is looked for then.
    Until(Instant),
    /// Nothing more in this run.
    ForGood,
}

struct Lane<'a> {
    store: &'a Store,
    clock: Clock,
    cancel: &'a CancelToken,
    target: &'a Target,
    options: &'a Options,
    to: Recipient,
    pace: Pace,
    health: Health,
    /// Claimed, and not begun.
    waiting: VecDeque<ClaimedMessage>,
    on_their_way: JoinSet<Attempt>,
    idle: Idle,
    summary: ChannelSummary,
}

impl Lane<'_> {
    /// Sends in order, as many at once as the channel may have. The next claim is made when the last one is begun: what
    /// hangs holds up nobody as long as there is room beside it.
    async fn run(mut self) -> anyhow::Result<ChannelSummary> {
        let mut stopped_at: Option<Instant> = None;
        loop {
            let now = Instant::now();
            if stopped_at.is_none() && self.cancel.is_cancelled() {
                stopped_at = Some(now);
            }
            let rest = self.health.rest(now);
            let ends = stopped_at.is_some() || self.ends(rest);
            if !ends && rest.is_none() && self.waiting.is_empty() && self.may_look(now) {
                self.fill().await?;
                continue;
            }
            if ends && self.on_their_way.is_empty() {
                break;
            }
            let has_room = self.on_their_way.len() < self.target.concurrency;
            let may_begin = !ends && rest.is_none() && has_room && !self.waiting.is_empty();
            let wake = now + self.until_wake(rest, now);
            tokio::select! {
                biased;
                Some(ended) = self.on_their_way.join_next() => self.record(ended).await?,
                () = self.pace.turn(), if may_begin => self.begin(),
                () = self.cancel.cancelled(), if stopped_at.is_none() => {}
                () = sleep_until(wake), if stopped_at.is_none() => {}
                () = sleep_until(stopped_at.unwrap_or(now) + GRACE), if stopped_at.is_some() => {
                    // Nobody knows what becomes of them: they stay claimed, and whoever comes next sends them again.
                    break;
                }
            }
        }
        self.give_back().await?;
        Ok(self.summary)
    }

    /// True when nothing more is begun in this run.
    fn ends(&self, rest: Option<Rest>) -> bool {
        let stays = self.options.until != Until::NothingIsDue;
        let is_left_alone = match rest {
            Some(Rest::Sick(_)) => true,
            Some(Rest::Asked(left)) => left > PATIENCE,
            None => false,
        };
        !stays && (is_left_alone || self.idle == Idle::ForGood && self.waiting.is_empty())
    }

    fn may_look(&self, now: Instant) -> bool {
        match self.idle {
            Idle::No => true,
            Idle::Until(time) => time <= now,
            Idle::ForGood => false,
        }
    }

    fn until_wake(&self, rest: Option<Rest>, now: Instant) -> Duration {
        match (rest, self.idle) {
            (Some(Rest::Sick(left) | Rest::Asked(left)), _) => left,
            (None, Idle::Until(time)) if self.waiting.is_empty() => time.saturating_duration_since(now),
            (None, _) => PATIENCE,
        }
    }

    /// Claims what is due; where nothing is, says when to look again.
    async fn fill(&mut self) -> anyhow::Result<()> {
        self.idle = Idle::No;
        match self.claim().await {
            Ok(claimed) => self.waiting = claimed.into(),
            Err(error) if self.options.until != Until::NothingIsDue && is_passing(&error) => {
                tracing::warn!(channel = %self.to.channel, "{error:#}; it is tried again");
            }
            Err(error) => return Err(error),
        }
        failpoint!("deliver.after_claim");
        if self.waiting.is_empty() {
            self.idle = match self.options.until {
                Until::NothingIsDue => Idle::ForGood,
                Until::Stopped { poll } => Idle::Until(Instant::now() + self.until_due(poll).await),
            };
        }
        Ok(())
    }

    async fn claim(&self) -> anyhow::Result<Vec<ClaimedMessage>> {
        let now = self.clock.now();
        let Some(ripe) = self.target.schedule.ripe(now) else { return Ok(Vec::new()) };
        // No more than goes out in a minute: others may send as well, and what is graver comes first in the next claim.
        let in_a_minute = self.target.per_minute.map_or(CLAIM, |limit| limit as usize);
        let claim = Claim {
            workspace: &self.options.workspace,
            to: &self.to,
            claimant: &self.options.claimant,
            now,
            ripe,
            grouping: self.target.schedule.grouping(now, self.target.group),
            limit: CLAIM
                .min(in_a_minute.max(self.target.concurrency))
                .min(CLAIM_EVENTS / self.target.group)
                .max(1),
        };
        let claiming = || format!("failed to claim deliveries to {}", self.to.channel);
        if !self.store.has_due(&claim).await.with_context(claiming)? {
            return Ok(Vec::new());
        }
        self.store.claim_messages(&claim).await.with_context(claiming)
    }

    /// How long until something is due, at most `poll`.
    async fn until_due(&self, poll: Duration) -> Duration {
        let now = self.clock.now();
        // A database that is away is asked again with the next look.
        let due = self.store.next_due(&self.options.workspace, &self.to, now).await.ok().flatten();
        let next = due.into_iter().chain(self.target.schedule.next_change(now)).min();
        next.and_then(|next| (next - now).to_std().ok()).unwrap_or(poll).min(poll)
    }

    fn begin(&mut self) {
        if let Some(message) = self.waiting.pop_front() {
            self.pace.went(Instant::now());
            self.on_their_way.spawn(send(self.target.clone(), message));
        }
    }

    /// Gives back what was claimed and not begun.
    async fn give_back(&mut self) -> anyhow::Result<()> {
        let left: Vec<String> = self.waiting.drain(..).map(|message| message.message_id).collect();
        if left.is_empty() {
            return Ok(());
        }
        let Options { workspace, claimant, .. } = self.options;
        let given_back = self.store.give_messages_back(workspace, &self.to, claimant, &left).await;
        given_back.context("failed to give claims back")
    }

    /// Records one attempt, and in the same transaction those that have ended by then.
    async fn record(&mut self, first: Result<Attempt, JoinError>) -> anyhow::Result<()> {
        let mut ended = vec![first];
        while let Some(next) = self.on_their_way.try_join_next() {
            ended.push(next);
        }
        let now = self.clock.now();
        let mut settled = Vec::with_capacity(ended.len());
        for attempt in ended {
            let (message, result) = match attempt {
                Ok(attempt) => attempt,
                // Its message stays claimed, and is sent again by whoever comes next.
                Err(error) if error.is_panic() => {
                    return Err(error).with_context(|| format!("the channel {} broke", self.to.channel));
                }
                Err(_) => continue,
            };
            settled.push(self.judge(message, result, now));
        }
        failpoint!("deliver.after_send");
        self.settle(&settled, now).await?;
        failpoint!("deliver.after_mark");
        Ok(())
    }

    /// What an attempt means for its message, the channel's health, and the counts.
    fn judge(&mut self, message: ClaimedMessage, result: Result<(), NotifyError>, now: Timestamp) -> Settled {
        let (channel, events) = (self.to.channel.as_str(), message.events.len() as u64);
        let Err(error) = result else {
            self.health.see(Sign::Accepted, Instant::now());
            self.summary.delivered += events;
            tracing::debug!(channel, message_id = message.message_id, events, "message delivered");
            return Settled { message_id: message.message_id, fate: Fate::Delivered };
        };
        self.health.see(sign_of(&error), Instant::now());
        let attempts = message.attempts + 1;
        let after = if error.kind.is_final() || attempts >= MAX_ATTEMPTS {
            self.summary.dead += events;
            AfterFailure::Dead
        } else {
            self.summary.failed += events;
            let wait = error
                .retry_after
                .map(|wait| now + TimeDelta::from_std(wait.min(LONGEST_WAIT)).unwrap_or(LONGEST_DELAY));
            AfterFailure::RetryAt(wait.unwrap_or_else(|| retry_at(now, &message.message_id, attempts)))
        };
        let said = error.detail;
        tracing::warn!(
            channel,
            message_id = message.message_id,
            events,
            attempts,
            error = said,
            "delivery failed"
        );
        self.summary.error = Some(said.clone());
        // Of a notifier that writes here nobody knows how far it came.
        let maybe_sent = matches!(error.kind, NotSent::Later | NotSent::Unknown);
        Settled { message_id: message.message_id, fate: Fate::Failed { after, error: said, maybe_sent } }
    }

    async fn settle(&self, settled: &[Settled], now: Timestamp) -> anyhow::Result<()> {
        let Options { workspace, claimant, .. } = self.options;
        let began = Instant::now();
        loop {
            match self.store.settle_messages(workspace, &self.to, claimant, settled, now).await {
                Err(error) if error.is_passing() && began.elapsed() < RECORDING => {
                    sleep(RECORD_AGAIN).await;
                }
                done => {
                    return done
                        .with_context(|| format!("failed to record deliveries to {}", self.to.channel));
                }
            }
        }
    }
}

async fn send(target: Target, claimed: ClaimedMessage) -> Attempt {
    let event =
        |event: &ClaimedEvent| Event { event_id: event.event_id.clone(), payload: event.payload.clone() };
    let message = Message {
        message_id: claimed.message_id.clone(),
        events: claimed.events.iter().map(event).collect(),
        digest: claimed.digest_at.and_then(|slot| target.schedule.digest(slot)),
        maybe_sent: claimed.maybe_sent,
        language: target.language,
    };
    let sent = tokio::time::timeout(SEND_TIMEOUT, target.notifier.send(&message)).await;
    let silence = || NotifyError::unknown(format!("no answer within {} s", SEND_TIMEOUT.as_secs()));
    (claimed, sent.unwrap_or_else(|_| Err(silence())))
}

fn sign_of(error: &NotifyError) -> Sign {
    match (error.kind, error.retry_after) {
        (NotSent::KeyRefused | NotSent::KeyMissing | NotSent::Misconfigured, _) => Sign::Hopeless,
        (_, Some(wait)) => Sign::Pause(wait.min(LONGEST_WAIT)),
        (NotSent::Unknown, None) => Sign::Silence,
        (NotSent::Refused | NotSent::Later, None) => Sign::NotAccepted,
    }
}

/// When to try again after `attempts` failures: doubling from 30 s to 6 h, less up to a half by the message's own dice,
/// so that messages that failed together do not come back together.
pub(super) fn retry_at(now: Timestamp, message_id: &str, attempts: u32) -> Timestamp {
    let doubled = FIRST_DELAY.num_milliseconds().saturating_mul(1 << attempts.saturating_sub(1).min(20));
    let delay = doubled.min(LONGEST_DELAY.num_milliseconds());
    let dice = u64::from_str_radix(&stable_id(&[message_id, &attempts.to_string()])[..8], 16).unwrap_or(0);
    let less = (delay / 2).saturating_mul(i64::try_from(dice).unwrap_or(0)) >> 32;
    now + TimeDelta::milliseconds(delay - less)
}
