//! The way of every due product: from the queue of its source into a request, to the next source after a failure, and to
//! an end that is written down.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::TimeDelta;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Told;
use super::commit::{Broken, Patience};
use super::exchange::{Common, End, Finished, Work, exchange};
use super::lane::{Gate, Lane, Ticket};
use super::plan::{DueProduct, Plan, Slots};
use super::summary::Summary;
use crate::ids::stable_id;
use crate::lock::those_gone;
use crate::model::{Asin, Cost, Day, DayRange, FaultKind, Marketplace, ProductKey, Timestamp};
use crate::rollup::rules::IncidentFacts;
use crate::sources::breaker::Blame;
use crate::sources::{Fault, Source};
use crate::store::claims::{Claimed, Wanted};
use crate::store::fetching::{
    FetchFailure, LastFetch, OpenRequest, Purpose, RequestState, Settlement, Step, StepEffect,
};
use crate::store::{NewIncident, Recovery};

/// Failures written in one step.
const FAILURES_TOGETHER: usize = 500;
/// How often it is looked whether somebody is to be told of a wait, and by how much a wait must change to be news.
const WAIT_LOOK: Duration = Duration::from_secs(2);
const WAIT_NEWS: TimeDelta = TimeDelta::seconds(5);
/// The kind of incidents of sources that do not answer.
const SOURCE_FAILURE: &str = "source_failure";
/// A source that fails for so many products, and for this share of those it was asked for, is an incident.
const INCIDENT_PRODUCTS: u64 = 20;
const INCIDENT_PCT: u64 = 20;
/// A product goes into so many requests to one source in a run, each with repetitions of its own.
const REQUESTS_EACH: u8 = 3;
/// A request that nobody waits for any more and that has no job counts as lost after this.
const FORGOTTEN: TimeDelta = TimeDelta::days(7);
/// How often it is looked whether a product that another run has claimed is to be had.
const CLAIM_AGAIN: Duration = Duration::from_secs(1);
/// Products of one claim, among several runs: few enough to end at about the same time, enough for full requests.
const CLAIM: std::ops::RangeInclusive<usize> = 10..=1000;

/// Products that wait for a request of one operation, by marketplace.
type Queue = BTreeMap<Marketplace, VecDeque<usize>>;

fn queued(queue: &Queue) -> usize {
    queue.values().map(VecDeque::len).sum()
}

fn drained(queue: &mut Queue) -> Vec<usize> {
    queue.values_mut().flat_map(std::mem::take).collect()
}

/// A due product on its way through its chain.
#[derive(Debug)]
struct Course {
    product: DueProduct,
    /// The place in the chain of the source that is being asked.
    step: usize,
    /// Operations of that source without an answer yet.
    waiting: usize,
    /// Requests to this source that it went into in vain.
    attempts: u8,
    /// This source has failed for it while it answered for others.
    is_suspect: bool,
    /// It is this run's: claimed, and not settled by another one.
    is_claimed: bool,
    /// With the source that it is of.
    fault: Option<Box<(usize, Fault)>>,
}

/// Sends products to their sources, and on to the next one where one does not answer.
pub(super) struct Driver<'a> {
    common: Common,
    lanes: Vec<Arc<Lane>>,
    courses: Vec<Course>,
    places: HashMap<ProductKey, usize>,
    /// By lane and operation.
    queues: Vec<Vec<Queue>>,
    in_flight: Vec<Vec<usize>>,
    /// How many products waited for an open breaker when those with another source were sent there.
    stuck: Vec<Vec<usize>>,
    running: JoinSet<Result<Finished, Broken>>,
    /// Products to be claimed, in the order of the plan, and those that another run has.
    unclaimed: VecDeque<usize>,
    held: Vec<usize>,
    /// When those were last asked for.
    asked_at: Instant,
    /// The source of which not even one product more can be afforded, and the limit.
    over_budget: Option<(usize, String)>,
    /// Leases of runs whose processes are gone.
    gone: Vec<String>,
    began: Timestamp,
    is_idle_told: bool,
    sources: Vec<Arc<dyn Source>>,
    /// Products whose current source has failed, until they are sent on.
    failed_places: Vec<usize>,
    /// Watched products that no configured source serves.
    unserved: Vec<ProductKey>,
    failures: Vec<FetchFailure>,
    /// By source: products it did not answer for, by reason, also those that another source answered for.
    failed_at: Vec<BTreeMap<FaultKind, u64>>,
    history: Option<DayRange>,
    settled: u64,
    /// The end of each source's wait that was told of.
    waits_told: Vec<Option<Timestamp>>,
    progress: &'a (dyn Fn(Told<'_>) + Send + Sync),
}

impl<'a> Driver<'a> {
    pub(super) fn new(
        common: Common,
        lanes: Vec<Arc<Lane>>,
        plan: Plan,
        history: Option<DayRange>,
        began: Timestamp,
        progress: &'a (dyn Fn(Told<'_>) + Send + Sync),
    ) -> Driver<'a> {
        let operations = |lane: &Arc<Lane>| lane.source.operations().len();
        let queues = lanes.iter().map(|lane| vec![BTreeMap::new(); operations(lane)]).collect();
        let failed_at = lanes.iter().map(|_| BTreeMap::new()).collect();
        let lanes_operations: Vec<Vec<usize>> = lanes.iter().map(|lane| vec![0; operations(lane)]).collect();
        let lane_count = lanes.len();
        let places = plan.due.iter().enumerate().map(|(place, due)| (due.key, place)).collect();
        let unclaimed = (0..plan.due.len()).collect();
        let courses = plan.due.into_iter().map(|product| Course {
            product,
            step: 0,
            waiting: 0,
            attempts: 0,
            is_suspect: false,
            is_claimed: false,
            fault: None,
        });
        Driver {
            common,
            sources: lanes.iter().map(|lane| lane.source.clone()).collect(),
            lanes,
            courses: courses.collect(),
            places,
            queues,
            stuck: lanes_operations.clone(),
            in_flight: lanes_operations,
            waits_told: vec![None; lane_count],
            running: JoinSet::new(),
            unclaimed,
            held: Vec::new(),
            asked_at: Instant::now(),
            over_budget: None,
            gone: Vec::new(),
            began,
            is_idle_told: false,
            failed_places: Vec::new(),
            unserved: plan.unserved,
            failures: Vec::new(),
            failed_at,
            history,
            settled: 0,
            progress,
        }
    }

    pub(super) async fn drive(&mut self, summary: &mut Summary) -> anyhow::Result<()> {
        // Also where nothing is due: a run that is gone may have left requests.
        self.claim_some(0, summary).await?;
        for product in std::mem::take(&mut self.unserved) {
            let detail = "no configured source of its chain covers its marketplace".to_owned();
            let failure = FetchFailure { product, source: "", fault: FaultKind::NotServed, detail };
            self.note_failure(failure, summary);
        }
        loop {
            self.move_on_from_stopped(summary);
            let gate = if self.common.is_stopped() {
                None
            } else {
                self.claim(summary).await?;
                self.dispatch()
            };
            if let Some((lane, limit)) = self.over_budget.take() {
                self.stop_over_budget(lane, &limit).await?;
                continue;
            }
            self.write_failures(false).await?;
            if self.running.is_empty() && gate.is_none() {
                // A source that was stopped just now has products that may go on to another one.
                let before = self.waiting();
                self.move_on_from_stopped(summary);
                let is_over = self.common.is_stopped() || self.is_nobody_asked();
                let is_idle = self.waiting() == before && (is_over || self.unclaimed.is_empty());
                if self.common.is_stopped() || is_idle && (is_over || self.held.is_empty()) {
                    break;
                }
                if is_idle {
                    self.wait_for_others().await?;
                }
                continue;
            }
            let opens = async {
                match gate.map(|at| self.common.deadline.map_or(at, |deadline| deadline.min(at))) {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(finished) = self.running.join_next(), if !self.running.is_empty() => {
                    let finished = finished.context("a request ended without a result")??;
                    self.take(finished, summary);
                }
                () = opens => {}
                () = tokio::time::sleep(WAIT_LOOK) => self.tell_waits(),
                () = self.common.cancel.cancelled(), if gate.is_some() => {}
            }
        }
        self.leave_to_others(summary);
        self.give_up_the_rest(summary);
        self.write_failures(true).await?;
        self.note_incidents(summary).await?;
        for (lane, line) in self.lanes.iter().zip(&mut summary.sources) {
            line.stopped = lane.stopped().map(|(kind, reason)| format!("{kind}: {reason}"));
            line.is_refused = lane.stopped().is_some_and(|(kind, _)| kind == FaultKind::Credentials);
            line.balance = lane.balance();
        }
        summary.cancelled = self.common.cancel.is_cancelled();
        Ok(())
    }

    /// Waits for requests that are still under way where the run ends with an error: their answers are paid for.
    pub(super) async fn keep_what_was_asked(&mut self) {
        while self.running.join_next().await.is_some() {}
    }

    /// Stops asking a source, unless other runs have spent less by now than was thought.
    async fn stop_over_budget(&self, lane: usize, limit: &str) -> anyhow::Result<()> {
        let Common { store, run_id, zone, clock, .. } = &self.common;
        let lane = &self.lanes[lane];
        let is_news = store.is_shared() && {
            let others = store.load_spent_by_others(run_id, lane.source.name(), zone.day_of(clock.now()));
            lane.set_others_spent(others.await.context("failed to read what was spent")?)
        };
        if !is_news {
            lane.stop(FaultKind::Budget, limit);
        }
        Ok(())
    }

    /// Claims products while fewer wait than are asked for at once.
    async fn claim(&mut self, summary: &mut Summary) -> anyhow::Result<()> {
        if self.unclaimed.is_empty() && self.asked_at.elapsed() >= CLAIM_AGAIN {
            self.unclaimed.extend(std::mem::take(&mut self.held));
        }
        let enough = self.enough();
        while !self.unclaimed.is_empty()
            && !self.is_nobody_asked()
            && self.waiting().into_iter().sum::<usize>() < enough
        {
            self.claim_some(enough, summary).await?;
        }
        Ok(())
    }

    /// No source is asked any more in this run: what nobody has claimed by then is left to others, who may ask with another
    /// key, another budget or over another line.
    fn is_nobody_asked(&self) -> bool {
        self.common.store.is_shared() && self.lanes.iter().all(|lane| lane.stopped().is_some())
    }

    /// How many products keep all sources busy; all of them where nobody else asks.
    fn enough(&self) -> usize {
        if !self.common.store.is_shared() || self.history.is_some() {
            return usize::MAX;
        }
        let at_once = self.lanes.iter().flat_map(|lane| {
            lane.source.operations().iter().map(|operation| operation.batch * lane.concurrency)
        });
        at_once.max().unwrap_or(0).clamp(*CLAIM.start(), *CLAIM.end())
    }

    /// Claims at most so many products more, takes up the requests of runs that are gone, and sends on what is this run's.
    async fn claim_some(&mut self, most: usize, summary: &mut Summary) -> anyhow::Result<()> {
        let places: Vec<usize> = self.unclaimed.drain(..most.min(self.unclaimed.len())).collect();
        let key = |&place: &usize| self.courses[place].product.key;
        // The days of a backfill are nobody else's.
        let is_open = self.history.is_none();
        let wanted: Vec<ProductKey> = places.iter().filter(|_| is_open).map(key).collect();
        let sources: Vec<&'static str> = self.sources.iter().map(|source| source.name()).collect();
        let wanted = Wanted {
            run_id: &self.common.run_id,
            products: &wanted,
            is_due: &|key| self.places.contains_key(key),
            sources: &sources,
            is_backfill: self.history.is_some(),
            began: self.began,
            gone: &self.gone,
        };
        let Common { store, cancel, .. } = &self.common;
        let mut patience = Patience::new(cancel);
        let claimed = loop {
            match store.claim_products(&wanted).await {
                Err(error) => patience.wait(error).await.context("failed to claim products")?,
                Ok(claimed) => break claimed,
            }
        };
        self.asked_at = Instant::now();
        let Claimed { mine, fetches, given_up, left_open, holders } = claimed;
        self.resume(left_open, summary).await?;
        self.gone = those_gone(holders);
        let mine: HashSet<ProductKey> = mine.into_iter().collect();
        let given_up: HashSet<ProductKey> = given_up.into_iter().collect();
        let mut answers: HashMap<ProductKey, Vec<LastFetch>> = HashMap::new();
        for (key, fetch) in fetches {
            answers.entry(key).or_default().push(fetch);
        }
        let slots = Slots { sources: &self.sources, zone: self.common.zone, now: self.common.clock.now() };
        let mut entering = Vec::new();
        for place in places {
            let course = &mut self.courses[place];
            let DueProduct { key, tier, done, since, .. } = &mut course.product;
            if course.is_claimed {
                continue;
            }
            let key = *key;
            let answered = answers.get(&key).map(|fetches| slots.done(*tier, *since, fetches));
            done.extend(answered.into_iter().flatten());
            if slots.is_answered(&course.product) || given_up.contains(&key) {
                summary.elsewhere += 1;
                self.settled += 1;
            } else if !is_open || mine.contains(&key) {
                course.is_claimed = true;
                entering.push(place);
            } else {
                self.held.push(place);
            }
        }
        for place in entering {
            self.enter(place, summary);
        }
        Ok(())
    }

    /// Everything that is left is asked for by other runs: waits until some of it may be settled, or theirs no more.
    async fn wait_for_others(&mut self) -> anyhow::Result<()> {
        // They wait for what this run has given up.
        self.write_failures(true).await?;
        if !self.is_idle_told {
            self.is_idle_told = true;
            (self.progress)(Told::Others { products: self.held.len() as u64 });
        }
        self.common.wait(CLAIM_AGAIN).await;
        Ok(())
    }

    /// What nobody has claimed when the run ends early stays due, and what others have is theirs.
    fn leave_to_others(&mut self, summary: &mut Summary) {
        let is_open = |place: &&usize| !self.courses[**place].is_claimed;
        summary.elsewhere += self.held.iter().filter(is_open).count() as u64;
        summary.left += self.unclaimed.iter().filter(is_open).count() as u64;
    }

    /// How many products wait for which source.
    fn waiting(&self) -> Vec<usize> {
        self.queues.iter().flatten().map(queued).collect()
    }

    /// Says once of each source that waits for longer what it waits for.
    fn tell_waits(&mut self) {
        for (lane, told) in self.lanes.iter().zip(&mut self.waits_told) {
            let Some((until, reason)) = lane.waits_for() else { continue };
            if told.is_none_or(|told| (until - told).abs() > WAIT_NEWS) {
                *told = Some(until);
                (self.progress)(Told::Waiting { source: lane.source.name(), until, reason: &reason });
            }
        }
    }

    /// Takes up what a killed run had sent to the sources: jobs are waited for, the rest is counted as lost.
    async fn resume(&mut self, left_open: Vec<OpenRequest>, summary: &mut Summary) -> anyhow::Result<()> {
        for request in left_open {
            // Whatever was asked of a source that is not asked now stays as it is, at its estimate.
            let Some(lane) = self.lanes.iter().position(|lane| lane.source.name() == request.source) else {
                continue;
            };
            let source = &self.lanes[lane].source;
            let operation =
                source.operations().iter().position(|operation| operation.name == request.operation);
            let can_resume = source.can_resume() || request.job_id.is_some();
            let Some(operation) = operation.filter(|_| can_resume) else {
                self.lose(request, summary).await?;
                continue;
            };
            let keys =
                request.asins.iter().map(|&asin| ProductKey { marketplace: request.marketplace, asin });
            let due: Vec<usize> = keys.filter_map(|key| self.places.get(&key).copied()).collect();
            let due: Vec<usize> = due.into_iter().filter(|&place| !self.courses[place].is_claimed).collect();
            if due.is_empty() && request.job_id.is_none() {
                // It may have to be started anew: not for products that nobody wants now.
                if self.common.clock.now() - request.sent_at > FORGOTTEN {
                    self.lose(request, summary).await?;
                }
                continue;
            }
            for place in due {
                let course = &mut self.courses[place];
                let Some(step) = course.product.chain.iter().position(|&source| source == lane) else {
                    continue;
                };
                (course.step, course.waiting, course.is_claimed) = (step, 1, true);
            }
            summary.resumed += 1;
            let work = Work {
                lane,
                operation,
                marketplace: request.marketplace,
                asins: request.asins.clone(),
                after: HashMap::new(),
                is_suspect: false,
                history: history_of(&request.options),
                estimate: request.estimate,
                resumed: Some(request),
            };
            // A job that is paid for is waited for whatever the breaker says.
            self.start(work, Ticket { is_probe: false });
        }
        Ok(())
    }

    /// Notes that nobody knows what became of a request; it counts with its estimate.
    async fn lose(&mut self, request: OpenRequest, summary: &mut Summary) -> anyhow::Result<()> {
        summary.lost += 1;
        let detail = "the run that sent it was killed before its answer was kept".to_owned();
        let settlement = Settlement::without_answer(
            request.request_id,
            self.common.run_id.clone(),
            RequestState::Lost,
            self.common.clock.now(),
            FaultKind::Lost,
            detail,
            request.estimate,
        );
        self.common.ledger.commit(Step::Settle(Box::new(settlement))).await?;
        Ok(())
    }

    /// Sends a product to the next source of its chain that is still asked; without one it is given up.
    fn enter(&mut self, place: usize, summary: &mut Summary) {
        loop {
            let course = &mut self.courses[place];
            let Some(&lane) = course.product.chain.get(course.step) else {
                return self.give_up(place, summary);
            };
            if let Some((kind, reason)) = self.lanes[lane].stopped() {
                course.fault = Some(Box::new((lane, Fault::new(kind, reason))));
                if kind == FaultKind::Budget && self.common.purpose == Purpose::Due {
                    // What a budget leaves is for the next run, not for a dearer source; a second look has no next run.
                    return self.give_up(place, summary);
                }
                course.step += 1;
                continue;
            }
            course.waiting = 0;
            for operation in 0..self.queues[lane].len() {
                if !course.product.done.contains(&(lane, operation)) {
                    course.waiting += 1;
                    let queue = self.queues[lane][operation].entry(course.product.key.marketplace);
                    queue.or_default().push_back(place);
                }
            }
            return;
        }
    }

    /// Starts as many requests as there is room for; answers when to look again where a breaker is open.
    fn dispatch(&mut self) -> Option<Instant> {
        let mut again: Option<Instant> = None;
        for lane in 0..self.lanes.len() {
            for operation in 0..self.queues[lane].len() {
                while self.in_flight[lane][operation] < self.lanes[lane].concurrency {
                    if !self.queues[lane][operation].values().any(|queue| !queue.is_empty()) {
                        break;
                    }
                    let ticket = match self.lanes[lane].enter() {
                        Gate::Open(ticket) => ticket,
                        Gate::Shut(at) => {
                            self.fall_back(lane, operation);
                            again = again.into_iter().chain(at).min();
                            break;
                        }
                        Gate::Stopped(..) => break,
                    };
                    match self.next_work(lane, operation) {
                        Some(work) => self.start(work, ticket),
                        None => {
                            self.lanes[lane].leave(ticket);
                            break;
                        }
                    }
                }
            }
        }
        again
    }

    /// The products of the next request, the most critical first, as many as the budget allows. Where it does not allow one
    /// more, the source is done with for this run, unless a request on its way may turn out cheaper than estimated.
    fn next_work(&mut self, lane: usize, operation: usize) -> Option<Work> {
        let batch = self.lanes[lane].source.operations()[operation].batch;
        let queues = self.queues[lane][operation].iter();
        let heads = queues.filter_map(|(&marketplace, queue)| Some((*queue.front()?, marketplace)));
        let (_, marketplace) = heads.min()?;
        let waiting = self.queues[lane][operation].get(&marketplace).map_or(0, VecDeque::len);
        let (size, estimate) = match self.affordable(lane, operation, waiting.min(batch)) {
            Ok(affordable) => affordable,
            Err(limit) => {
                if self.in_flight[lane].iter().all(|running| *running == 0) {
                    self.over_budget = Some((lane, limit));
                }
                return None;
            }
        };
        let queue = self.queues[lane][operation].get_mut(&marketplace)?;
        let places: Vec<usize> = queue.drain(..queue.len().min(size)).collect();
        let is_suspect = places.iter().all(|&place| self.courses[place].is_suspect);
        let mut after = HashMap::new();
        let mut asins = Vec::with_capacity(places.len());
        for place in places {
            let course = &self.courses[place];
            asins.push(course.product.key.asin);
            if let Some((source, fault)) = course.fault.as_deref().filter(|_| course.step > 0) {
                let name = self.lanes[*source].source.name();
                after.insert(course.product.key.asin, format!("{name}: {}", fault.kind));
            }
        }
        let history = self.history;
        Some(Work {
            lane,
            operation,
            marketplace,
            asins,
            after,
            is_suspect,
            history,
            resumed: None,
            estimate,
        })
    }

    /// Reserves the estimate of a request for as many products as the budget allows. Errors: the limit that even one would
    /// exceed.
    fn affordable(&self, lane: usize, operation: usize, most: usize) -> Result<(usize, Cost), String> {
        let lane = &self.lanes[lane];
        let name = lane.source.operations()[operation].name;
        let estimate = |size| lane.source.estimate(name, size, self.history.is_some());
        let fits = |size: usize| lane.exceeded_by(estimate(size)).is_none();
        let size = if fits(most) {
            most
        } else {
            // The largest that fits: more products never cost less.
            let (mut small, mut large) = (0, most);
            while large - small > 1 {
                let middle = small.midpoint(large);
                if fits(middle) { small = middle } else { large = middle }
            }
            small.max(1)
        };
        lane.reserve(estimate(size)).map(|()| (size, estimate(size)))
    }

    fn start(&mut self, work: Work, ticket: Ticket) {
        self.in_flight[work.lane][work.operation] += 1;
        let lane = self.lanes[work.lane].clone();
        self.running.spawn(exchange(self.common.clone(), lane, work, ticket));
    }

    /// A product whose answer is paid for is not bought elsewhere: it stays due until the next run has looked for it.
    fn leave_to_job(&mut self, place: usize, lane: usize, fault: &Fault, summary: &mut Summary) {
        let course = &mut self.courses[place];
        if course.product.chain.get(course.step) != Some(&lane) || course.waiting == 0 {
            return;
        }
        course.waiting = 0;
        let detail = format!("left to the next run, which looks for its answer: {}", fault.detail);
        course.fault = Some(Box::new((lane, Fault::new(fault.kind, detail))));
        self.give_up(place, summary);
    }

    /// While a breaker is open, products that have another source do not wait for it.
    fn fall_back(&mut self, lane: usize, operation: usize) {
        let before = queued(&self.queues[lane][operation]);
        if self.stuck[lane][operation] == before {
            return;
        }
        let waiting = drained(&mut self.queues[lane][operation]);
        for place in waiting {
            let course = &mut self.courses[place];
            let is_last = course.step + 1 >= course.product.chain.len();
            // A finding does not wait for a source that is ill.
            let can_wait = self.common.purpose == Purpose::Due;
            if is_last && can_wait || self.history.is_some() {
                let queue = self.queues[lane][operation].entry(course.product.key.marketplace);
                queue.or_default().push_back(place);
            } else {
                self.fail(place, lane, Fault::new(FaultKind::CircuitOpen, "its circuit breaker is open"));
            }
        }
        self.stuck[lane][operation] = queued(&self.queues[lane][operation]);
    }

    /// Products that wait for a source that is not asked any more in this run.
    fn move_on_from_stopped(&mut self, summary: &mut Summary) {
        for lane in 0..self.lanes.len() {
            let Some((kind, reason)) = self.lanes[lane].stopped() else { continue };
            for operation in 0..self.queues[lane].len() {
                let waiting = drained(&mut self.queues[lane][operation]);
                for place in waiting {
                    self.fail(place, lane, Fault::new(kind, reason.clone()));
                }
            }
        }
        self.advance_failed(summary);
    }

    fn take(&mut self, finished: Finished, summary: &mut Summary) {
        let Finished { work, end, requests, cost, landed } = finished;
        self.in_flight[work.lane][work.operation] -= 1;
        summary.count(work.lane, requests, cost, landed);
        let place_of = |driver: &Driver<'_>, asin: Asin| {
            driver.places.get(&ProductKey { marketplace: work.marketplace, asin }).copied()
        };
        let places: Vec<usize> = work.asins.iter().filter_map(|&asin| place_of(self, asin)).collect();
        match end {
            End::Answered { fetched, failed } => {
                let blame = if fetched.is_empty() { Blame::Source } else { Blame::Request };
                for asin in fetched {
                    if let Some(place) = place_of(self, asin) {
                        self.answered(place, work.lane, work.operation, summary);
                    }
                }
                for (asin, fault) in failed {
                    if let Some(place) = place_of(self, asin) {
                        self.item_failed(place, work.lane, work.operation, fault, blame);
                    }
                }
            }
            // The job goes on where nobody can ask for it: counted as paid, and asked for anew.
            End::Failed(fault) if fault.kind == FaultKind::Lost => {
                summary.lost += u64::from(work.resumed.is_some());
                for place in places {
                    self.item_failed(place, work.lane, work.operation, fault.clone(), Blame::Source);
                }
            }
            End::HandedBack(blame, fault) => {
                for place in places {
                    self.try_again(place, work.lane, work.operation, fault.clone(), blame);
                }
            }
            End::Failed(fault) => {
                for place in places {
                    self.fail(place, work.lane, fault.clone());
                }
            }
            End::LeftToJob(fault) => {
                for place in places {
                    self.leave_to_job(place, work.lane, &fault, summary);
                }
            }
            // Back to the front of the queue, or, at the end of the run, given up as it is.
            End::NotAsked => {
                for place in places.into_iter().rev() {
                    let marketplace = self.courses[place].product.key.marketplace;
                    self.queues[work.lane][work.operation].entry(marketplace).or_default().push_front(place);
                }
            }
        }
        self.advance_failed(summary);
    }

    fn answered(&mut self, place: usize, lane: usize, operation: usize, summary: &mut Summary) {
        let course = &mut self.courses[place];
        if course.product.chain.get(course.step) != Some(&lane) || course.waiting == 0 {
            return;
        }
        course.product.done.push((lane, operation));
        course.waiting -= 1;
        let is_whole = (0..self.lanes[lane].source.operations().len())
            .all(|operation| course.product.done.contains(&(lane, operation)));
        if is_whole {
            let is_fallback = course.step > 0;
            // Nothing more is asked about it.
            (course.product.done, course.fault) = (Vec::new(), None);
            self.settled += 1;
            summary.fetched(lane, is_fallback);
            (self.progress)(Told::Settled {
                done: self.settled,
                total: self.courses.len() as u64,
                sources: &summary.sources,
            });
        } else if course.waiting == 0 {
            match course.fault.as_deref() {
                Some((source, _)) if *source == lane => self.failed_places.push(place),
                // A resumed request was about one operation only.
                _ => self.enter(place, summary),
            }
        }
    }

    /// One item of an answer failed: asked for again where that may help.
    fn item_failed(&mut self, place: usize, lane: usize, operation: usize, fault: Fault, blame: Blame) {
        match fault.kind {
            FaultKind::RateLimited | FaultKind::Unavailable | FaultKind::Lost => {
                self.try_again(place, lane, operation, fault, blame);
            }
            _ => self.fail(place, lane, fault),
        }
    }

    /// Puts a product behind the others that wait for the source, unless it has been asked for often enough.
    fn try_again(&mut self, place: usize, lane: usize, operation: usize, fault: Fault, blame: Blame) {
        let course = &mut self.courses[place];
        if course.product.chain.get(course.step) != Some(&lane) || course.waiting == 0 {
            return;
        }
        course.attempts += 1;
        if course.attempts >= REQUESTS_EACH {
            return self.fail(place, lane, fault);
        }
        course.is_suspect |= blame == Blame::Request;
        let queue = self.queues[lane][operation].entry(course.product.key.marketplace);
        queue.or_default().push_back(place);
    }

    /// Notes that the source will not answer for the product in this run.
    fn fail(&mut self, place: usize, lane: usize, fault: Fault) {
        let course = &mut self.courses[place];
        if course.product.chain.get(course.step) != Some(&lane) || course.waiting == 0 {
            return;
        }
        course.waiting -= 1;
        *self.failed_at[lane].entry(fault.kind).or_default() += 1;
        course.fault = Some(Box::new((lane, fault)));
        if course.waiting == 0 {
            self.failed_places.push(place);
        }
    }

    /// Sends failed products on to their next source.
    fn advance_failed(&mut self, summary: &mut Summary) {
        for place in std::mem::take(&mut self.failed_places) {
            let course = &mut self.courses[place];
            let is_budget = course.fault.as_deref().is_some_and(|(_, fault)| fault.kind == FaultKind::Budget);
            if (is_budget && self.common.purpose == Purpose::Due) || self.history.is_some() {
                self.give_up(place, summary);
                continue;
            }
            course.step += 1;
            (course.attempts, course.is_suspect) = (0, false);
            self.enter(place, summary);
        }
    }

    fn give_up(&mut self, place: usize, summary: &mut Summary) {
        let course = &self.courses[place];
        let (lane, fault) = course.fault.as_deref().cloned().unwrap_or_else(|| {
            let lane = course.product.chain.first().copied().unwrap_or(0);
            (lane, Fault::new(FaultKind::NotServed, "no source of its chain is asked"))
        });
        self.settled += 1;
        summary.gave_up(lane, &fault);
        (self.progress)(Told::Settled {
            done: self.settled,
            total: self.courses.len() as u64,
            sources: &summary.sources,
        });
        let failure = FetchFailure {
            product: course.product.key,
            source: self.lanes[lane].source.name(),
            fault: fault.kind,
            detail: fault.detail,
        };
        self.note_failure(failure, summary);
    }

    /// That a product was given up is written down; of a second look it is told: the product itself was fetched.
    fn note_failure(&mut self, failure: FetchFailure, summary: &mut Summary) {
        match self.common.purpose {
            Purpose::Due => self.failures.push(failure),
            Purpose::SecondLook => {
                let FetchFailure { product, source, fault, detail } = failure;
                let by = if source.is_empty() { String::new() } else { format!("{source}: {fault}: ") };
                summary.unanswered.insert(product, format!("{by}{detail}"));
            }
        }
    }

    /// What still waits when the run ends early stays due.
    fn give_up_the_rest(&mut self, summary: &mut Summary) {
        let is_deadline = !self.common.cancel.is_cancelled();
        let mut left = HashSet::new();
        for lane in 0..self.lanes.len() {
            for operation in 0..self.queues[lane].len() {
                let waiting = drained(&mut self.queues[lane][operation]);
                for place in waiting {
                    if is_deadline {
                        self.fail(place, lane, Fault::new(FaultKind::Deadline, "its turn did not come"));
                    } else {
                        left.insert(place);
                    }
                }
            }
        }
        summary.left += left.len() as u64;
        for place in std::mem::take(&mut self.failed_places) {
            self.give_up(place, summary);
        }
    }

    /// One incident for each source and reason that many products failed for, a day.
    async fn note_incidents(&mut self, summary: &mut Summary) -> anyhow::Result<()> {
        let at = self.common.clock.now();
        let day = self.common.zone.day_of(at);
        let mut failing: Vec<(&str, &str)> = Vec::new();
        for (lane, faults) in self.failed_at.iter().enumerate() {
            let source = self.lanes[lane].source.name();
            let fetched = summary.sources.get(lane).map_or(0, |line| line.fetched);
            let asked = fetched + faults.values().sum::<u64>();
            for (&kind, &failed) in faults.iter().filter(|(kind, _)| is_the_sources(**kind)) {
                if failed < INCIDENT_PRODUCTS || failed * 100 < asked * INCIDENT_PCT {
                    continue;
                }
                failing.push((source, kind.as_str()));
                let parts = [SOURCE_FAILURE, source, kind.as_str(), &day.to_string()];
                let incident = NewIncident {
                    incident_id: stable_id(&parts),
                    kind: SOURCE_FAILURE,
                    source: source.to_owned(),
                    field: String::new(),
                    reason: kind.as_str().to_owned(),
                    detail: format!("{source} did not answer for {failed} of {asked} products: {kind}"),
                    day,
                };
                let said = incident.detail.clone();
                let (run_id, audience) = (self.common.run_id.clone(), Arc::clone(&self.common.audience));
                let step = Step::Incident { run_id, at, incident, audience };
                if (StepEffect::Incident { is_new: true }) == self.common.ledger.commit(step).await? {
                    summary.incidents.push(said);
                }
            }
        }
        // Whoever answers today is not failing as it did on an earlier day.
        let open = self.common.store.load_open_incidents().await.context("failed to load open incidents")?;
        let answers = |source: &str| {
            let mut lines = self.lanes.iter().zip(&summary.sources);
            lines.any(|(lane, line)| lane.source.name() == source && line.fetched > 0)
        };
        let is_over = |incident: &&IncidentFacts| {
            incident.kind == SOURCE_FAILURE
                && answers(&incident.source)
                && !failing.contains(&(incident.source.as_str(), incident.reason.as_str()))
        };
        let over = open.iter().filter(is_over).map(|IncidentFacts { source, field, reason, .. }| Recovery {
            kind: SOURCE_FAILURE,
            source: source.clone(),
            field: field.clone(),
            reason: reason.clone(),
            day,
        });
        let closed = self.common.store.close_incidents(at, &over.collect::<Vec<_>>()).await;
        closed.context("failed to close incidents that are over")?;
        Ok(())
    }

    async fn write_failures(&mut self, all: bool) -> anyhow::Result<()> {
        if self.failures.is_empty() || !all && self.failures.len() < FAILURES_TOGETHER {
            return Ok(());
        }
        let failures = std::mem::take(&mut self.failures);
        let (run_id, failed_at) = (self.common.run_id.clone(), self.common.clock.now());
        self.common.ledger.commit(Step::GiveUp { run_id, failed_at, failures }).await?;
        Ok(())
    }
}

/// Says something about the source, and not about one request or our own limits.
fn is_the_sources(kind: FaultKind) -> bool {
    use FaultKind::{Budget, CircuitOpen, Deadline, NotServed, RateLimited, Refused, RetriesUsedUp};
    !matches!(kind, Budget | CircuitOpen | Deadline | NotServed | RateLimited | Refused | RetriesUsedUp)
}

/// The days of a backfill that a killed run had asked for.
fn history_of(options: &str) -> Option<DayRange> {
    let options: serde_json::Value = serde_json::from_str(options).ok()?;
    let day = |name: &str| options["history"][name].as_str()?.parse::<Day>().ok();
    Some(DayRange { first: day("first")?, last: day("last")? })
}
