//! One request's life: its turn, its price, the ledger, the question, the answer, and, after a fault, all again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};

use super::commit::{Broken, Ledger};
use super::lane::{Gate, Lane, Ticket, micro};
use crate::cancel::CancelToken;
use crate::clock::Clock;
use crate::failpoint;
use crate::ids::sha256_hex;
use crate::model::{
    Asin, Cost, DayRange, FaultKind, Marketplace, ProductKey, ReportingZone, SourceState, Timestamp,
};
use crate::normalize::recognise;
use crate::sources::breaker::Blame;
use crate::sources::limiter::believable;
use crate::sources::retry::{SharedRetries, Verdict};
use crate::sources::{Answer, Conduct, Fault, Item, Request};
use crate::store::Store;
use crate::store::fetching::{
    FetchOutcome, Fetched, LiveReceipt, NewRequest, OpenRequest, Purpose, RateHints, RequestState,
    Settlement, Step, StepEffect,
};
use crate::store::outbox::Audience;
use crate::store::raw::{RawBody, ReceiptKey};

/// A paid request whose answer was lost is asked so often again.
const PAID_REPETITIONS: u32 = 1;
/// Pause before a turn is asked for again where other hosts were in the way.
const BUSY_WAIT: Duration = Duration::from_millis(100);

/// What every exchange of a run shares.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) ledger: Ledger,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) zone: ReportingZone,
    pub(super) cancel: CancelToken,
    pub(super) deadline: Option<Instant>,
    pub(super) run_id: String,
    pub(super) purpose: Purpose,
    pub(super) audience: Arc<Audience>,
    pub(super) retries: SharedRetries,
}

/// Products to ask one source about, in one request.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) lane: usize,
    pub(super) operation: usize,
    pub(super) marketplace: Marketplace,
    pub(super) asins: Vec<Asin>,
    /// Why the source before did not answer, of products that had one.
    pub(super) after: HashMap<Asin, String>,
    /// Each of its products failed before, while others were answered.
    pub(super) is_suspect: bool,
    /// The days of a backfill.
    pub(super) history: Option<DayRange>,
    /// A request of a run that was killed.
    pub(super) resumed: Option<OpenRequest>,
    /// What was taken out of the budget for it; nothing for one that is resumed.
    pub(super) estimate: Cost,
}

/// How a request ended.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) work: Work,
    pub(super) end: End,
    /// Questions that were sent, and what they cost.
    pub(super) requests: u64,
    pub(super) cost: Cost,
    pub(super) landed: u64,
}

#[derive(Debug)]
pub(super) enum End {
    /// Every product is in one of the two.
    Answered {
        fetched: Vec<Asin>,
        failed: Vec<(Asin, Fault)>,
    },
    Failed(Fault),
    /// The provider still works on it, as far as we know: the next run takes its result.
    LeftToJob(Fault),
    /// It failed, and the source's breaker opened before it was asked again.
    HandedBack(Blame, Fault),
    /// Somebody asked for a stop, the deadline is there, or other runs have spent what it would cost.
    NotAsked,
}

/// Why a wait ended.
pub(super) enum Waited {
    Done,
    Stopped,
}

impl Common {
    pub(super) fn is_stopped(&self) -> bool {
        self.cancel.is_cancelled() || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Returns at the deadline or when somebody asks for a stop; else never.
    async fn stopped(&self) {
        let deadline = async {
            match self.deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = deadline => {}
        }
    }

    pub(super) async fn wait(&self, wait: Duration) -> Waited {
        tokio::select! {
            () = tokio::time::sleep(wait) => Waited::Done,
            () = self.stopped() => Waited::Stopped,
        }
    }
}

/// What the adapter may ask of its exchange.
struct Asking<'a> {
    common: &'a Common,
    lane: &'a Lane,
    operation: usize,
    request_id: i64,
    job_id: &'a Mutex<Option<String>>,
}

#[async_trait]
impl Conduct for Asking<'_> {
    async fn job_started(&self, job_id: &str) -> Result<(), Fault> {
        failpoint!("fetch.before_job");
        *self.job_id.lock().unwrap_or_else(PoisonError::into_inner) = Some(job_id.to_owned());
        let step = Step::JobStarted { request_id: self.request_id, job_id: job_id.to_owned() };
        self.common
            .ledger
            .commit(step)
            .await
            .map_err(|gone| Fault::new(FaultKind::Lost, gone.to_string()))?;
        failpoint!("fetch.after_job");
        Ok(())
    }

    async fn is_job_taken(&self, job_id: &str) -> Result<bool, Fault> {
        let taken = self.common.store.is_job_taken(self.lane.source.name(), job_id, self.request_id).await;
        taken.map_err(|error| Fault::new(FaultKind::Lost, error.to_string()))
    }

    async fn next_turn(&self) {
        // Whoever stops the run ends the adapter's request at its own time limit.
        let _ = take_turn(self.common, self.lane, self.operation).await;
    }
}

/// What one attempt led to.
enum Attempt {
    End(End),
    /// It failed like this: ask again after so long.
    Again(Duration, Fault),
}

/// A request that is in the ledger and not settled.
#[derive(Clone, Copy, Debug)]
struct Open {
    request_id: i64,
    estimate: Cost,
    /// It came out of this run's budget.
    is_reserved: bool,
}

/// A request while it is being made.
struct Exchange<'a> {
    common: &'a Common,
    lane: &'a Lane,
    work: &'a Work,
    first_sent_at: Timestamp,
    /// An earlier attempt may have been heard.
    may_have_started: bool,
    /// The row in the ledger that this attempt goes on with: of a source that can be asked twice at one price.
    open: Option<Open>,
    job_id: Mutex<Option<String>>,
    /// Attempts whose answer was lost although it may have been paid for.
    paid_for_nothing: u32,
    /// How many requests the source had answered when this one failed first.
    answers_at_fault: Option<u64>,
    /// How often the breaker had opened when this attempt was sent.
    openings: u64,
    ticket: Ticket,
    requests: u64,
    cost: Cost,
    landed: u64,
}

/// Asks until there is an answer or no point in asking; every attempt is in the ledger before it is sent.
pub(super) async fn exchange(
    common: Common,
    lane: Arc<Lane>,
    work: Work,
    ticket: Ticket,
) -> Result<Finished, Broken> {
    let resumed = work.resumed.as_ref();
    let mut exchange = Exchange {
        common: &common,
        lane: &lane,
        work: &work,
        first_sent_at: resumed.map_or_else(|| common.clock.now(), |request| request.sent_at),
        may_have_started: resumed.is_some(),
        open: resumed.map(|request| Open {
            request_id: request.request_id,
            estimate: request.estimate,
            is_reserved: false,
        }),
        job_id: Mutex::new(resumed.and_then(|request| request.job_id.clone())),
        paid_for_nothing: 0,
        answers_at_fault: None,
        openings: 0,
        ticket,
        requests: 0,
        cost: Cost::NOTHING,
        landed: 0,
    };
    let first = resumed.map_or(1, |request| request.attempt);
    let mut attempt = first;
    let mut failed: Option<Fault> = None;
    let end = loop {
        if common.is_stopped() {
            exchange.withdraw(attempt == first);
            break End::NotAsked;
        }
        // A request that is on its way already is not held up: its job is paid for.
        if let Some(fault) = failed.take_if(|_| exchange.open.is_none()) {
            match lane.enter() {
                Gate::Open(ticket) => exchange.ticket = ticket,
                // What may have been paid for is not bought again later in the run.
                Gate::Shut(_) if exchange.paid_for_nothing > 0 => break End::Failed(fault),
                Gate::Shut(_) => break End::HandedBack(exchange.blame(), fault),
                Gate::Stopped(kind, reason) => break End::Failed(Fault::new(kind, reason)),
            }
        }
        match exchange.attempt(attempt).await? {
            Attempt::End(end) => break end,
            Attempt::Again(wait, fault) => {
                failed = Some(fault);
                if let Waited::Stopped = common.wait(wait).await {
                    break End::NotAsked;
                }
            }
        }
        attempt += 1;
    };
    let Exchange { requests, cost, landed, .. } = exchange;
    Ok(Finished { work, end, requests, cost, landed })
}

impl Exchange<'_> {
    async fn attempt(&mut self, attempt: u32) -> Result<Attempt, Broken> {
        let Exchange { common, lane, work, .. } = *self;
        let is_first = self.requests == 0 && self.open.is_none();
        // The first attempt was paid for when its products were chosen.
        if self.open.is_none()
            && !is_first
            && let Err(reason) = lane.reserve(work.estimate)
        {
            lane.leave(self.ticket);
            return Ok(Attempt::End(End::Failed(Fault::new(FaultKind::Budget, reason))));
        }
        if let Waited::Stopped = take_turn(common, lane, work.operation).await? {
            self.withdraw(self.open.is_none());
            return Ok(Attempt::End(End::NotAsked));
        }
        let open = match self.open {
            Some(open) => open,
            None => match self.write(attempt, work.estimate).await? {
                Some(request_id) => Open { request_id, estimate: work.estimate, is_reserved: true },
                None => {
                    self.withdraw(true);
                    return Ok(Attempt::End(End::NotAsked));
                }
            },
        };
        self.open = Some(open);
        self.openings = lane.openings();
        failpoint!("fetch.before_send");
        let answer = self.ask(open.request_id).await;
        failpoint!("fetch.after_send");
        match answer {
            Some(Ok(answer)) => {
                self.pay(open, answer.cost);
                common.retries.succeeded();
                self.keep(open.request_id, answer).await.map(Attempt::End)
            }
            Some(Err(fault)) => self.after_fault(open, fault, attempt).await,
            // The provider goes on with its job: the next run takes its result.
            None => {
                lane.leave(self.ticket);
                Ok(Attempt::End(End::NotAsked))
            }
        }
    }

    /// Gives the place back, and what was reserved for a request that is not sent.
    fn withdraw(&self, is_reserved: bool) {
        self.lane.leave(self.ticket);
        if is_reserved && self.work.resumed.is_none() {
            self.lane.settle(self.work.estimate, Cost::NOTHING);
        }
    }

    /// Settles a failed attempt, unless the same request is asked again or its job is left to the next run.
    async fn after_fault(&mut self, open: Open, fault: Fault, attempt: u32) -> Result<Attempt, Broken> {
        let Exchange { common, lane, work, .. } = *self;
        let operation = lane.source.operations()[work.operation];
        self.may_have_started |= fault.may_have_arrived;
        let blame = self.blame();
        let state = lane.failed(work.operation, &fault, blame, self.ticket);
        // A probe is one attempt; those that follow on the same row decide nothing.
        self.ticket.is_probe = false;
        tracing::warn!(
            source = lane.source.name(),
            operation = operation.name,
            request_id = open.request_id,
            products = work.asins.len(),
            "no answer: {fault}"
        );
        let has_job = self.job_id.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        let can_go_on = lane.source.can_resume() || has_job;
        let mut verdict = common.retries.verdict(&fault, attempt);
        let may_be_charged = fault.may_have_arrived || fault.cost != Cost::NOTHING;
        if operation.is_paid && may_be_charged && !can_go_on {
            self.paid_for_nothing += 1;
            if self.paid_for_nothing > PAID_REPETITIONS {
                verdict = Verdict::GiveUp;
            }
        }
        let is_over = matches!(fault.kind, FaultKind::JobFailed | FaultKind::Refused | FaultKind::Lost);
        let stays_open = can_go_on && (has_job || self.may_have_started) && !is_over;
        if stays_open && !matches!(verdict, Verdict::After(_)) {
            return Ok(Attempt::End(End::LeftToJob(fault)));
        }
        if !(can_go_on && matches!(verdict, Verdict::After(_))) {
            let may_be_paid = (self.may_have_started || has_job) && operation.is_paid;
            let is_unknown = may_be_paid && fault.cost == Cost::NOTHING;
            let cost = if is_unknown { open.estimate } else { fault.cost };
            self.pay(open, cost);
            self.note_fault(open.request_id, &fault, cost, state).await?;
            self.open = None;
            self.may_have_started = false;
        }
        Ok(match verdict {
            Verdict::After(wait) => Attempt::Again(wait, fault),
            Verdict::GiveUp => Attempt::End(End::Failed(fault)),
            Verdict::UsedUp => {
                let detail = format!("this run has repeated enough requests; the last said {fault}");
                Attempt::End(End::Failed(Fault::new(FaultKind::RetriesUsedUp, detail)))
            }
        })
    }

    /// Whose trouble it is that this request fails now.
    fn blame(&mut self) -> Blame {
        let answers = self.lane.answers();
        let at_first = *self.answers_at_fault.get_or_insert(answers);
        if self.work.is_suspect || answers > at_first { Blame::Request } else { Blame::Source }
    }

    fn pay(&mut self, open: Open, cost: Cost) {
        if open.is_reserved {
            self.lane.settle(open.estimate, cost);
        }
        self.cost = self.cost.plus(cost);
    }

    /// Writes the request into the ledger; null where other runs have spent so much that it would exceed a limit.
    async fn write(&mut self, attempt: u32, estimate: Cost) -> Result<Option<i64>, Broken> {
        let sent_at = self.common.clock.now();
        let operation = self.lane.source.operations()[self.work.operation];
        let options = self.work.history.map(|days| serde_json::json!({ "history": days }).to_string());
        let step = Step::Open(NewRequest {
            run_id: self.common.run_id.clone(),
            source: self.lane.source.name(),
            operation: operation.name,
            marketplace: self.work.marketplace,
            asins: self.work.asins.clone(),
            options: options.unwrap_or_default(),
            purpose: self.common.purpose,
            attempt,
            sent_at,
            day: self.common.zone.day_of(sent_at),
            estimate,
            limits: self.lane.limits(),
            bucket: Some(self.lane.bucket(self.work.operation)),
        });
        match self.common.ledger.commit(step).await? {
            StepEffect::Opened { request_id } => {
                self.requests += 1;
                Ok(Some(request_id))
            }
            StepEffect::OverBudget { others } => {
                self.lane.set_others_spent(others);
                Ok(None)
            }
            _ => Err(Broken::WriterGone),
        }
    }

    /// The source's answer; null when a stop was asked for while its job goes on elsewhere.
    async fn ask(&self, request_id: i64) -> Option<Result<Answer, Fault>> {
        let Exchange { common, lane, work, .. } = *self;
        let request = Request {
            operation: lane.source.operations()[work.operation].name,
            marketplace: work.marketplace,
            asins: work.asins.clone(),
            history: work.history,
            request_id,
            sent_at: self.first_sent_at,
            job_id: self.job_id.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            may_have_started: self.may_have_started,
        };
        let conduct = Asking { common, lane, operation: work.operation, request_id, job_id: &self.job_id };
        let asking = lane.source.fetch(&request, &conduct);
        if !lane.source.can_resume() {
            return Some(asking.await);
        }
        tokio::select! {
            answer = asking => Some(answer),
            () = common.stopped() => None,
        }
    }

    /// Commits everything that an answer brought.
    async fn keep(&mut self, request_id: i64, answer: Answer) -> Result<End, Broken> {
        let Exchange { common, lane, work, .. } = *self;
        let now = common.clock.now();
        // Whoever answers for none of its products has answered nothing.
        let fault = commonest_fault(&answer);
        let state = match &fault {
            Some(fault) => {
                let blame = self.blame();
                lane.failed(work.operation, fault, blame, self.ticket)
            }
            None => lane.succeeded(work.operation, &answer, self.openings),
        };
        let hints =
            RateHints { told_micro: answer.rate.and_then(believable).map(micro), pause: answer.pause };
        let receipts = receipts(lane.source.name(), work.marketplace, &answer, now);
        let mut seen = HashSet::new();
        let mut fetched = Vec::new();
        let is_asked = |asin: &Asin| work.asins.contains(asin);
        for (asin, outcome) in answer
            .items
            .iter()
            .map(|item| (item.asin, outcome(item)))
            .chain(answer.silent.iter().map(|&asin| (asin, FetchOutcome::Answered)))
        {
            if is_asked(&asin) && seen.insert(asin) {
                let product = ProductKey { marketplace: work.marketplace, asin };
                let after_fault = work.after.get(&asin).cloned().unwrap_or_default();
                fetched.push(Fetched { product, outcome, after_fault });
            }
        }
        let failed: Vec<(Asin, Fault)> =
            answer.failed.into_iter().filter(|(asin, _)| is_asked(asin) && !seen.contains(asin)).collect();
        let detail = match failed.first() {
            Some((_, fault)) => format!("{} of {} without answer; {fault}", failed.len(), work.asins.len()),
            None => String::new(),
        };
        let answered = fetched.iter().map(|fetched| fetched.product.asin).collect();
        let settlement = Settlement {
            request_id,
            run_id: common.run_id.clone(),
            source: lane.source.name(),
            operation: lane.source.operations()[work.operation].name,
            state: if fault.is_some() { RequestState::Failed } else { RequestState::Answered },
            finished_at: now,
            job_id: answer.job_id,
            fault: fault.map(|fault| fault.kind),
            detail,
            cost: answer.cost,
            receipts,
            fetched,
            history: work.history,
            source_state: Some(state),
            bucket: Some(lane.bucket(work.operation)),
            hints,
        };
        failpoint!("fetch.before_commit");
        let effect = common.ledger.commit(Step::Settle(Box::new(settlement))).await?;
        failpoint!("fetch.after_commit");
        if let StepEffect::Settled { landed } = effect {
            self.landed += landed;
        }
        Ok(End::Answered { fetched: answered, failed })
    }

    async fn note_fault(
        &self,
        request_id: i64,
        fault: &Fault,
        cost: Cost,
        state: SourceState,
    ) -> Result<(), Broken> {
        let Exchange { common, lane, work, .. } = *self;
        let pause = fault.wait.filter(|_| fault.kind == FaultKind::RateLimited);
        let settlement = Settlement {
            source: lane.source.name(),
            operation: lane.source.operations()[work.operation].name,
            source_state: Some(state),
            bucket: Some(lane.bucket(work.operation)),
            hints: RateHints { told_micro: None, pause },
            ..Settlement::without_answer(
                request_id,
                common.run_id.clone(),
                RequestState::Failed,
                common.clock.now(),
                fault.kind,
                fault.detail.clone(),
                cost,
            )
        };
        common.ledger.commit(Step::Settle(Box::new(settlement))).await?;
        Ok(())
    }
}

/// Waits for the rate limit: of this run, or of all that share a server.
async fn take_turn(common: &Common, lane: &Lane, operation: usize) -> Result<Waited, Broken> {
    let name = lane.source.operations()[operation].name;
    // One of a host asks for it at a time, in their order.
    let _first = lane.turns[operation].lock().await;
    loop {
        if common.is_stopped() {
            return Ok(Waited::Stopped);
        }
        let wait = if common.store.is_shared() {
            let draw = |bucket, now| lane.draw(operation, bucket, now);
            match common.store.take_turn(lane.source.name(), name, draw).await {
                // A server that stays away ends the run with its lease.
                Err(error) if error.is_passing() => Some(BUSY_WAIT),
                turn => turn?,
            }
        } else {
            lane.limiters[operation].try_pass()
        };
        let Some(wait) = wait else { return Ok(Waited::Done) };
        if common.store.is_shared() && lane.is_too_long(wait) {
            return Ok(Waited::Stopped);
        }
        if let Waited::Stopped = common.wait(wait).await {
            return Ok(Waited::Stopped);
        }
    }
}

fn outcome(item: &Item) -> FetchOutcome {
    if item.is_absent { FetchOutcome::Absent } else { FetchOutcome::Answered }
}

/// The fault of most products of an answer that has nothing but faults.
fn commonest_fault(answer: &Answer) -> Option<Fault> {
    if !answer.items.is_empty() || !answer.silent.is_empty() {
        return None;
    }
    let count = |kind: FaultKind| answer.failed.iter().filter(|(_, fault)| fault.kind == kind).count();
    answer.failed.iter().map(|(_, fault)| fault).max_by_key(|fault| count(fault.kind)).cloned()
}

/// The receipts of an answer; its cost is shared out among them without a rest.
fn receipts(source: &str, marketplace: Marketplace, answer: &Answer, now: Timestamp) -> Vec<LiveReceipt> {
    let costs = answer.cost.split(answer.items.len());
    let items = answer.items.iter().zip(costs);
    items
        .map(|(item, cost)| {
            let recognised = recognise(item.format, &item.body);
            let sha256 = sha256_hex(&item.body);
            LiveReceipt {
                key: ReceiptKey {
                    source: source.to_owned(),
                    kind: item.kind.to_owned(),
                    marketplace: marketplace.code().to_owned(),
                    asin_requested: item.asin.to_string(),
                    observed_at: item.observed_at,
                    body_sha256: sha256.clone(),
                },
                asin_returned: recognised.asin_returned,
                fetched_at: now,
                shape: recognised.shape.as_str(),
                body: RawBody::encode(sha256, item.body.clone()),
                item_index: item.index,
                cost,
            }
        })
        .collect()
}
