//! One run: its states, its items, and how it is shown.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::super::call::{Item, Source};
use super::super::catalogue::read_url;
use super::super::random::Random;
use super::super::{Sim, iso};
use super::{Shape, items};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ready,
    Running,
    Succeeded,
    Failed,
    TimedOut,
    Aborted,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Status::Ready => "READY",
            Status::Running => "RUNNING",
            Status::Succeeded => "SUCCEEDED",
            Status::Failed => "FAILED",
            Status::TimedOut => "TIMED-OUT",
            Status::Aborted => "ABORTED",
        }
    }

    pub(super) fn is_final(self) -> bool {
        !matches!(self, Status::Ready | Status::Running)
    }
}

/// One run. Its items are settled when it starts; they show as it goes on.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) actor: String,
    pub(super) input: Value,
    pub(super) status: Status,
    /// How it will end if nobody aborts it.
    pub(super) end: Status,
    pub(super) polls: u32,
    pub(super) started: DateTime<Utc>,
    /// Real time since the simulator's start.
    pub(super) started_ms: u64,
    pub(super) finished: Option<DateTime<Utc>>,
    pub(super) rows: Vec<Value>,
    pub(super) items: Vec<Item>,
    pub(super) options: Options,
}

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) timeout: u64,
    pub(super) memory: u64,
    pub(super) build: String,
    pub(super) max_items: Option<usize>,
    pub(super) max_charge: Option<f64>,
}

impl Run {
    /// A poll moves the run on: it is over after enough polls and enough time.
    pub(super) fn poll(&mut self, sim: &Sim) {
        if self.status.is_final() {
            return;
        }
        self.polls += 1;
        let lasted = (sim.elapsed().as_millis() as u64).saturating_sub(self.started_ms);
        if self.polls >= sim.config.run_polls && lasted >= sim.config.run_ms {
            self.status = self.end;
            self.finished = Some(sim.now());
        } else {
            self.status = Status::Running;
        }
    }

    /// The items that can be read now: none while it is about to start, part of them while it goes on.
    pub(super) fn shown(&self) -> &[Value] {
        match self.status {
            Status::Ready => &[],
            Status::Running => &self.rows[..self.rows.len() / 2],
            _ => &self.rows,
        }
    }

    pub(super) fn id_of(&self, what: &str) -> String {
        Random::named(0, &[what, &self.id]).id(17)
    }

    pub(super) fn usage(&self, sim: &Sim) -> f64 {
        self.shown().len() as f64 * sim.config.result_usd
    }

    /// The short form that lists show.
    pub(super) fn summary(&self, sim: &Sim) -> Map<String, Value> {
        let document = json!({
            "id": self.id,
            "actId": Random::named(0, &["actor", &self.actor]).id(17),
            "userId": "7sT5jcggjjA9fNcxF",
            "actorTaskId": null,
            "status": self.status.name(),
            "startedAt": iso(self.started),
            "finishedAt": self.finished.map(iso),
            "buildId": Random::named(0, &["build", &self.actor]).id(17),
            "buildNumber": "0.0.36",
            "meta": {"origin": "API", "clientIp": null, "userAgent": null, "scheduleId": null, "scheduledAt": null},
            "usageTotalUsd": self.usage(sim),
            "defaultKeyValueStoreId": self.id_of("store"),
            "defaultDatasetId": self.id_of("dataset"),
            "defaultRequestQueueId": self.id_of("queue"),
        });
        match document {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }

    pub(super) fn document(&self, sim: &Sim) -> Value {
        let mut fields = self.summary(sim);
        let message = match self.status {
            Status::Ready => "Actor is about to start",
            Status::Running => "Actor is running",
            Status::Succeeded => "Actor succeeded",
            Status::Failed => "The Actor process failed",
            Status::TimedOut => "Actor timed out",
            Status::Aborted => "Actor was aborted",
        };
        let exit_code = match self.status {
            Status::Succeeded => json!(0),
            Status::Failed => json!(1),
            _ => Value::Null,
        };
        let (dataset, store, queue) = (self.id_of("dataset"), self.id_of("store"), self.id_of("queue"));
        let more = json!({
            "statusMessage": message,
            "isStatusMessageTerminal": self.status.is_final(),
            "stats": {
                "inputBodyLen": self.input.to_string().len(), "migrationCount": 0, "rebootCount": 0, "restartCount": 0,
                "resurrectCount": 0, "metamorph": 0, "durationMillis": self.polls * 1_000,
                "runTimeSecs": self.polls, "computeUnits": 0.01,
            },
            "chargedEventCounts": {"result": self.shown().len()},
            "options": {
                "build": self.options.build, "timeoutSecs": self.options.timeout,
                "memoryMbytes": self.options.memory, "diskMbytes": self.options.memory * 2,
                "maxItems": self.options.max_items, "maxTotalChargeUsd": self.options.max_charge,
            },
            "exitCode": exit_code,
            "generalAccess": "RESTRICTED",
            "storageIds": {
                "datasets": {"default": dataset}, "keyValueStores": {"default": store},
                "requestQueues": {"default": queue},
            },
            "containerUrl": "https://simulated.runs.apify.net",
            "platformUsageBillingModel": "DEVELOPER",
        });
        if let Value::Object(more) = more {
            fields.extend(more);
        }
        json!({"data": fields})
    }
}

/// A run as it is settled at its start.
pub(super) fn new_run(
    sim: &Sim,
    actor: &str,
    shape: Shape,
    input: Value,
    urls: &[String],
    options: Options,
    key: &str,
) -> Run {
    // Equal starts give runs of different ids, and the same ones in the next simulation.
    let earlier = sim.attempt(Source::Apify, "run id", &format!("{actor} {input}"));
    let id = sim.random(&["run", actor, &input.to_string()]).of(i64::from(earlier)).id(17);
    let mut rows: Vec<(Value, Option<Item>)> = Vec::new();
    for url in urls {
        match read_url(url) {
            Some((marketplace, asin)) => {
                if sim.never(Source::Apify, marketplace.code, &asin) {
                    continue;
                }
                let fact = sim.fact(marketplace, &asin);
                rows.push((items::row(shape, url, fact.as_ref()), Some(sim.item(marketplace, &asin))));
            }
            None => rows.push((items::row(shape, url, None), None)),
        }
    }
    if let Some(mut random) = sim.strikes(|faults| faults.half_empty, "half_empty", Source::Apify, key) {
        rows.retain(|_| random.chance(0.5));
    }
    let mut end = Status::Succeeded;
    if let Some(mut random) = sim.strikes(|faults| faults.run_failed, "run_failed", Source::Apify, key) {
        end = *random.pick(&[Status::Failed, Status::TimedOut]);
        rows.truncate(rows.len() / 2);
    }
    rows.truncate(options.max_items.unwrap_or(usize::MAX));
    sim.random(&["row order", &id]).shuffle(&mut rows);
    let (rows, charged): (Vec<Value>, Vec<Option<Item>>) = rows.into_iter().unzip();
    Run {
        id,
        actor: actor.to_owned(),
        input,
        status: Status::Ready,
        end,
        polls: 0,
        started: sim.now(),
        started_ms: sim.elapsed().as_millis() as u64,
        finished: None,
        items: charged.into_iter().flatten().collect(),
        rows,
        options,
    }
}
