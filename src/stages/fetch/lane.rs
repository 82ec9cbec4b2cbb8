//! A source during a run: its rate limits, its breaker, its budget, and whether it is still asked.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::Instant;

use crate::model::{Cost, FaultKind, SourceState, SpendingLimits, Spent, Timestamp};
use crate::sources::breaker::{Admission, Blame, Breaker};
use crate::sources::budget::Budget;
use crate::sources::limiter::{self, Left, Limiter};
use crate::sources::{Answer, Fault, Source};
use crate::store::fetching::Bucket;

/// How often in a row a breaker may open before the source is left for the next run.
const OPENINGS: u32 = 4;
/// A source that asks for more silence than this is left for the next run.
const PATIENCE: Duration = Duration::from_secs(3600);
/// A wait that somebody at a terminal is told of.
const TOLD_WAIT: TimeDelta = TimeDelta::seconds(10);

/// The time of politeness: it begins with the run's and goes on even where the clock stands still.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunTime {
    pub(super) began: Timestamp,
    pub(super) watch: Instant,
}

impl RunTime {
    pub(super) fn now(self) -> Timestamp {
        self.began + TimeDelta::from_std(self.watch.elapsed()).unwrap_or_default()
    }

    pub(super) fn instant(self, at: Timestamp) -> Instant {
        self.watch + (at - self.began).to_std().unwrap_or(Duration::ZERO)
    }
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) source: Arc<dyn Source>,
    pub(super) concurrency: usize,
    pub(super) limiters: Vec<Limiter>,
    /// Whoever waits for a turn of an operation.
    pub(super) turns: Vec<tokio::sync::Mutex<()>>,
    pub(super) time: RunTime,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    budget: Budget,
    stopped: Option<(FaultKind, String)>,
    openings: u32,
}

/// A place for one request; a probe's end decides about the breaker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ticket {
    pub(super) is_probe: bool,
}

/// May another request go to this source?
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Gate {
    Open(Ticket),
    /// Not before then, or not before something else of this source has ended.
    Shut(Option<Instant>),
    /// Not in this run any more.
    Stopped(FaultKind, String),
}

impl State {
    /// The source is not asked any more in this run; the first reason stays.
    fn stop(&mut self, kind: FaultKind, reason: &str) {
        if self.stopped.is_none() {
            self.stopped = Some((kind, reason.to_owned()));
            if matches!(kind, FaultKind::Credentials | FaultKind::Exhausted) {
                self.breaker.note(format!("{kind}: {reason}"));
            }
        }
    }
}

impl std::fmt::Debug for dyn Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Lane {
    pub(super) fn new(
        source: Arc<dyn Source>,
        concurrency: usize,
        limiters: Vec<Limiter>,
        breaker: Breaker,
        budget: Budget,
        time: RunTime,
    ) -> Lane {
        let state = State { breaker, budget, stopped: None, openings: 0 };
        let turns = limiters.iter().map(|_| tokio::sync::Mutex::default()).collect();
        Lane { source, concurrency, limiters, turns, time, state: Mutex::new(state) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the breaker for a place; an open gate takes it.
    pub(super) fn enter(&self) -> Gate {
        let mut state = self.lock();
        if let Some((kind, reason)) = &state.stopped {
            return Gate::Stopped(*kind, reason.clone());
        }
        match state.breaker.admit(self.time.now()) {
            Admission::Pass => Gate::Open(Ticket { is_probe: false }),
            Admission::Probe => Gate::Open(Ticket { is_probe: true }),
            Admission::Wait(at) => Gate::Shut(Some(self.time.instant(at))),
            Admission::AfterProbe => Gate::Shut(None),
        }
    }

    /// How often the breaker has opened in this run.
    pub(super) fn openings(&self) -> u64 {
        self.lock().breaker.openings()
    }

    /// How many requests the source has answered in this run.
    pub(super) fn answers(&self) -> u64 {
        self.lock().breaker.answers()
    }

    /// The place is free again without a verdict.
    pub(super) fn leave(&self, ticket: Ticket) {
        if ticket.is_probe {
            self.lock().breaker.withdrawn();
        }
    }

    pub(super) fn stop(&self, kind: FaultKind, reason: &str) {
        self.lock().stop(kind, reason);
    }

    /// What this source waits for, where that takes long enough to be told.
    pub(super) fn waits_for(&self) -> Option<(Timestamp, String)> {
        let now = self.time.now();
        let state = self.lock();
        let source = state.breaker.state();
        let breaker = source.retry_at.filter(|_| !state.breaker.is_closed());
        let breaker = breaker.map(|at| (at, format!("its circuit breaker is open: {}", source.reason)));
        let pauses = self.limiters.iter().filter_map(Limiter::pause_left);
        let pause = pauses.max().and_then(|pause| TimeDelta::from_std(pause).ok());
        let pause = pause.map(|pause| (now + pause, "it asked for silence until then".to_owned()));
        breaker.into_iter().chain(pause).filter(|(at, _)| *at - now > TOLD_WAIT).max_by_key(|(at, _)| *at)
    }

    /// The limit of the budget that this cost would exceed now.
    pub(super) fn exceeded_by(&self, cost: Cost) -> Option<String> {
        self.lock().budget.exceeded_by(cost)
    }

    pub(super) fn balance(&self) -> Option<String> {
        let state = self.lock();
        Some(state.breaker.state().balance.clone()).filter(|balance| !balance.is_empty())
    }

    pub(super) fn stopped(&self) -> Option<(FaultKind, String)> {
        self.lock().stopped.clone()
    }

    pub(super) fn limits(&self) -> SpendingLimits {
        self.lock().budget.limits()
    }

    /// True of a wait that the source is left for the next run for: hosts together may not ask it for so long.
    pub(super) fn is_too_long(&self, wait: Duration) -> bool {
        if wait > PATIENCE {
            self.stop(FaultKind::Exhausted, "hosts together may not ask it again for more than an hour");
        }
        wait > PATIENCE
    }

    /// Notes what other runs have spent by now; true where that is something else than what was known.
    pub(super) fn set_others_spent(&self, others: Spent) -> bool {
        self.lock().budget.set_others(others)
    }

    /// Takes the estimate out of the budget, or says which limit would be exceeded.
    pub(super) fn reserve(&self, estimate: Cost) -> Result<(), String> {
        self.lock().budget.reserve(estimate)
    }

    pub(super) fn settle(&self, estimate: Cost, cost: Cost) {
        self.lock().budget.settle(estimate, cost);
    }

    /// Notes what an answer to a request says that was sent when the breaker had opened so often; answers the source's
    /// state for the database.
    pub(super) fn succeeded(&self, operation: usize, answer: &Answer, openings: u64) -> SourceState {
        if let Some(rate) = answer.rate {
            self.limiters[operation].adjust(rate);
        }
        if let Some(pause) = answer.pause {
            self.limiters[operation].pause(pause);
        }
        let mut state = self.lock();
        state.breaker.succeeded(self.time.now(), answer.balance.clone(), openings);
        if state.breaker.is_closed() {
            state.openings = 0;
        }
        if answer.is_exhausted {
            let said = answer.balance.clone().unwrap_or_else(|| "nothing is left to spend".to_owned());
            state.stop(FaultKind::Exhausted, &said);
        }
        state.breaker.state().clone()
    }

    /// Notes what a fault says about the source; answers its state for the database.
    pub(super) fn failed(
        &self,
        operation: usize,
        fault: &Fault,
        blame: Blame,
        ticket: Ticket,
    ) -> SourceState {
        if fault.kind == FaultKind::RateLimited
            && let Some(wait) = fault.wait
        {
            self.limiters[operation].pause(wait);
        }
        let mut state = self.lock();
        if state.breaker.failed(self.time.now(), fault.kind, &fault.detail, blame, ticket.is_probe) {
            state.openings += 1;
            if state.openings >= OPENINGS {
                let reason = state.breaker.state().reason.clone();
                state.stop(FaultKind::CircuitOpen, &reason);
            }
        }
        if matches!(fault.kind, FaultKind::Credentials | FaultKind::Exhausted) {
            state.stop(fault.kind, &fault.detail);
        } else if fault.wait.is_some_and(|wait| wait > PATIENCE) {
            state.stop(FaultKind::Exhausted, &format!("it asks to be left alone for long: {}", fault.detail));
        }
        state.breaker.state().clone()
    }

    /// What is left of an operation's rate, for the database.
    pub(super) fn bucket(&self, operation: usize) -> Bucket {
        self.bucket_of(operation, self.limiters[operation].left(self.time.now()))
    }

    /// What is left after one more request of a bucket that several runs draw from, or how long to wait.
    pub(super) fn draw(
        &self,
        operation: usize,
        from: Option<Bucket>,
        now: Timestamp,
    ) -> Result<Bucket, Duration> {
        let declared = self.source.operations()[operation];
        let left = limiter::draw(declared.rate, declared.is_rate_own, from.map(left), now)?;
        Ok(self.bucket_of(operation, left))
    }

    fn bucket_of(&self, operation: usize, left: Left) -> Bucket {
        let Left { requests, told, paused_until, at } = left;
        Bucket {
            source: self.source.name(),
            operation: self.source.operations()[operation].name,
            left_milli: (requests * 1e3) as i64,
            told_micro: told.map(micro),
            paused_until,
            updated_at: at,
        }
    }
}

pub(super) fn left(bucket: Bucket) -> Left {
    Left {
        requests: bucket.left_milli as f64 / 1e3,
        told: bucket.told_micro.map(|told| told as f64 / 1e6),
        paused_until: bucket.paused_until,
        at: bucket.updated_at,
    }
}

/// Requests a second in millionths.
pub(super) fn micro(per_second: f64) -> i64 {
    (per_second * 1e6) as i64
}
