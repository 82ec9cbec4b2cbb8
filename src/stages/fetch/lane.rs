//! A source during a run: its rate limits, its breaker, its budget, and whether it is still asked.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::Instant;

use crate::model::{Cost, FaultKind, Timestamp};
use crate::sources::breaker::{Admission, Breaker};
use crate::sources::budget::Budget;
use crate::sources::limiter::{Left, Limiter};
use crate::sources::{Answer, Fault, Source};
use crate::store::fetching::Bucket;

/// How often a breaker may open in one run before the source is left for the next one.
const OPENINGS: u32 = 4;

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

/// May another request go to this source?
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Gate {
    Open,
    /// Not before then, or not before something else of this source has ended.
    Shut(Option<Instant>),
    /// Not in this run any more.
    Stopped(FaultKind, String),
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
        Lane { source, concurrency, limiters, time, state: Mutex::new(state) }
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
            Admission::Pass | Admission::Probe => Gate::Open,
            Admission::Wait(at) => Gate::Shut(Some(self.time.instant(at))),
            Admission::AfterProbe => Gate::Shut(None),
        }
    }

    /// The place is free again without a verdict.
    pub(super) fn leave(&self) {
        self.lock().breaker.withdrawn();
    }

    pub(super) fn stop(&self, kind: FaultKind, reason: &str) {
        self.lock().stopped.get_or_insert_with(|| (kind, reason.to_owned()));
    }

    pub(super) fn stopped(&self) -> Option<(FaultKind, String)> {
        self.lock().stopped.clone()
    }

    /// Takes the estimate out of the budget, or says which limit would be exceeded.
    pub(super) fn reserve(&self, estimate: Cost) -> Result<(), String> {
        self.lock().budget.reserve(estimate)
    }

    pub(super) fn settle(&self, estimate: Cost, cost: Cost) {
        self.lock().budget.settle(estimate, cost);
    }

    /// Notes what an answer says about the source; answers its state for the database.
    pub(super) fn succeeded(&self, operation: usize, answer: &Answer) -> crate::model::SourceState {
        if let Some(rate) = answer.rate {
            self.limiters[operation].adjust(rate);
        }
        if let Some(pause) = answer.pause {
            self.limiters[operation].pause(pause);
        }
        let mut state = self.lock();
        state.breaker.succeeded(self.time.now(), answer.balance.clone());
        if answer.is_exhausted {
            let said = answer.balance.clone().unwrap_or_else(|| "nothing is left to spend".to_owned());
            state.stopped.get_or_insert((FaultKind::Exhausted, said));
        }
        state.breaker.state().clone()
    }

    /// Notes what a fault says about the source; answers its state for the database.
    pub(super) fn failed(&self, operation: usize, fault: &Fault) -> crate::model::SourceState {
        if fault.kind == FaultKind::RateLimited
            && let Some(wait) = fault.wait
        {
            self.limiters[operation].pause(wait);
        }
        let mut state = self.lock();
        if state.breaker.failed(self.time.now(), fault.kind, &fault.detail) {
            state.openings += 1;
            if state.openings >= OPENINGS {
                let reason = state.breaker.state().reason.clone();
                state.stopped.get_or_insert((FaultKind::CircuitOpen, reason));
            }
        }
        if matches!(fault.kind, FaultKind::Credentials | FaultKind::Exhausted) {
            state.stopped.get_or_insert((fault.kind, fault.detail.clone()));
        }
        state.breaker.state().clone()
    }

    /// What is left of an operation's rate, for the database.
    pub(super) fn bucket(&self, operation: usize) -> Bucket {
        let Left { requests, per_second, paused_until, at } = self.limiters[operation].left(self.time.now());
        Bucket {
            source: self.source.name(),
            operation: self.source.operations()[operation].name,
            left_milli: (requests * 1e3) as i64,
            rate_micro: (per_second * 1e6) as i64,
            paused_until,
            updated_at: at,
        }
    }
}
