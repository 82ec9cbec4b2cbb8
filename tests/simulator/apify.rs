//! Apify: runs of two families of actors, their datasets, and the account.

mod account;
mod items;
mod run;

use std::collections::HashMap;

use serde_json::{Value, json};

use self::run::{Options, Run, Status, new_run};
use super::call::{Call, Item, Planned, Refused, Reply, Source};
use super::catalogue::read_url;
use super::server::Wait;
use super::{Sim, lock};

/// Item shapes, by the name of the actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Axesso,
    Junglee,
}

/// All runs, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    runs: Vec<Run>,
    by_id: HashMap<String, usize>,
}

impl Runs {
    fn find(&mut self, id: &str) -> Option<&mut Run> {
        self.by_id.get(id).map(|index| &mut self.runs[*index])
    }

    fn spent(&self, result_usd: f64) -> f64 {
        self.runs.iter().map(|run| run.rows.len() as f64 * result_usd).sum()
    }
}

fn error(status: u16, kind: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"error": {"type": kind, "message": message}}))
}

/// Refusals and faults that are not about the request.
pub(crate) fn failure(sim: &Sim, status: u16, wait: Wait) -> Reply {
    match status {
        429 => {
            let reply = error(
                429,
                "rate-limit-exceeded",
                "You have exceeded the rate limit. Please try again later.",
            );
            wait.retry_after(sim, reply.header("x-ratelimit-limit", "60"))
        }
        502 | 503 => Reply::html(status, "<html><body><h1>Bad Gateway</h1></body></html>"),
        _ => error(status, "internal-server-error", "Something went wrong on our side."),
    }
}

fn not_found() -> Reply {
    error(404, "record-not-found", "The requested resource was not found.")
}

pub(crate) fn plan(sim: &Sim, call: &Call) -> Result<Planned, Refused> {
    let segments = call.segments();
    let (operation, plan): (&'static str, Plan) = match (call.method.as_str(), segments.as_slice()) {
        ("POST", ["v2", "actors" | "acts", actor, "runs"]) => ("run", Plan::Start(actor)),
        ("GET", ["v2", "actors" | "acts", actor, "runs"]) => ("list_runs", Plan::List(actor)),
        ("GET", ["v2", "actor-runs", run]) => ("get_run", Plan::Get(run)),
        ("POST", ["v2", "actor-runs", run, "abort"]) => ("abort_run", Plan::Abort(run)),
        ("GET", ["v2", "actor-runs", run, "dataset", "items"]) => ("items", Plan::RunItems(run)),
        ("GET", ["v2", "datasets", dataset, "items"]) => ("items", Plan::Items(dataset)),
        ("GET", ["v2", "key-value-stores", store, "records", key]) => ("record", Plan::Record(store, key)),
        ("GET", ["v2", "users", "me"]) => ("me", Plan::Me),
        ("GET", ["v2", "users", "me", "limits"]) => ("limits", Plan::Limits),
        ("GET", ["v2", "users", "me", "usage", "monthly"]) => ("usage", Plan::Usage),
        _ => {
            return Err(Refused::new(
                "unknown",
                error(404, "page-not-found", "We have bad news: there is no API endpoint at this URL."),
            ));
        }
    };
    let token = call.bearer().or_else(|| call.query("token"));
    match token {
        None => Err(error(401, "token-not-provided", "Authentication token was not provided.")),
        Some(token) if token != sim.config.keys.apify => {
            Err(error(401, "invalid-token", "Authentication token is not valid."))
        }
        Some(_) => plan.checked(sim, call, operation),
    }
    .map_err(|reply| Refused::new(operation, reply))
}

enum Plan<'a> {
    Start(&'a str),
    List(&'a str),
    Get(&'a str),
    Abort(&'a str),
    RunItems(&'a str),
    Items(&'a str),
    Record(&'a str, &'a str),
    Me,
    Limits,
    Usage,
}

impl Plan<'_> {
    fn checked(self, sim: &Sim, call: &Call, operation: &'static str) -> Result<Planned, Reply> {
        match self {
            Plan::Start(actor) => start(sim, call, actor),
            Plan::List(actor) => {
                shape_of(actor)?;
                let actor = actor.to_owned();
                let offset = number(call, "offset")?.unwrap_or(0) as usize;
                let limit = number(call, "limit")?.map_or(1_000, |limit| limit.clamp(1, 1_000)) as usize;
                let desc = flag(call, "desc");
                Ok(Planned::new(operation, actor.clone(), move |sim| list(sim, &actor, offset, limit, desc)))
            }
            Plan::Get(run) => {
                let id = run.to_owned();
                let wait_ms = number(call, "waitForFinish")?.unwrap_or(0).min(60) * 1_000;
                let hold_ms = {
                    let mut state = lock(&sim.state);
                    let run = state.apify.find(run).ok_or_else(not_found)?;
                    let lasted = (sim.elapsed().as_millis() as u64).saturating_sub(run.started_ms);
                    let left =
                        if run.status.is_final() { 0 } else { sim.config.run_ms.saturating_sub(lasted) };
                    left.min(wait_ms)
                };
                let mut planned = Planned::new(operation, id.clone(), move |sim| {
                    let mut state = lock(&sim.state);
                    let Some(run) = state.apify.find(&id) else { return not_found() };
                    run.poll(sim);
                    Reply::json(200, &run.document(sim))
                });
                planned.hold_ms = hold_ms;
                Ok(planned)
            }
            Plan::Abort(run) => {
                lock(&sim.state).apify.find(run).ok_or_else(not_found)?;
                let id = run.to_owned();
                Ok(Planned::new(operation, id.clone(), move |sim| abort(sim, &id)))
            }
            Plan::RunItems(run) => {
                let found =
                    lock(&sim.state).apify.find(run).map(|run| run.id.clone()).ok_or_else(not_found)?;
                items(call, operation, found)
            }
            Plan::Items(dataset) => {
                let found = {
                    let state = lock(&sim.state);
                    let mut runs = state.apify.runs.iter();
                    runs.find(|run| run.id_of("dataset") == dataset)
                        .map(|run| run.id.clone())
                        .ok_or_else(not_found)?
                };
                items(call, operation, found)
            }
            Plan::Record(store, key) => {
                let state = lock(&sim.state);
                let run =
                    state.apify.runs.iter().find(|run| run.id_of("store") == store).ok_or_else(not_found)?;
                if key != "INPUT" {
                    return Err(not_found());
                }
                let input = run.input.clone();
                Ok(Planned::new(operation, store, move |_| Reply::json(200, &input)))
            }
            Plan::Me => Ok(Planned::new(operation, "me", |_| Reply::json(200, &account::me()))),
            Plan::Limits => Ok(Planned::new(operation, "me", account::limits)),
            Plan::Usage => Ok(Planned::new(operation, "me", account::usage)),
        }
    }
}

fn invalid(message: &str) -> Reply {
    error(400, "invalid-input", message)
}

/// A parameter that must be a whole number if it is there.
fn number(call: &Call, name: &str) -> Result<Option<u64>, Reply> {
    match call.query(name) {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            error(400, "invalid-value", &format!("Query parameter \"{name}\" must be a number."))
        }),
    }
}

fn flag(call: &Call, name: &str) -> bool {
    matches!(call.query(name), Some("1" | "true"))
}

fn shape_of(actor: &str) -> Result<Shape, Reply> {
    if actor.contains("junglee") {
        Ok(Shape::Junglee)
    } else if actor.contains("axesso") {
        Ok(Shape::Axesso)
    } else {
        Err(error(404, "actor-not-found", "Actor was not found."))
    }
}

/// The addresses in an actor's input.
fn urls_of(shape: Shape, input: &Value) -> Result<Vec<String>, Reply> {
    let (name, entries) = match shape {
        Shape::Axesso => ("urls", input.get("urls")),
        Shape::Junglee => ("categoryOrProductUrls", input.get("categoryOrProductUrls")),
    };
    let entries = entries.and_then(Value::as_array).filter(|entries| !entries.is_empty());
    let entries =
        entries.ok_or_else(|| invalid(&format!("Input is not valid: Field input.{name} is required")))?;
    let read = |entry: &Value| match shape {
        Shape::Axesso => entry.as_str().map(str::to_owned),
        Shape::Junglee => entry.get("url").and_then(Value::as_str).map(str::to_owned),
    };
    entries
        .iter()
        .map(|entry| read(entry).filter(|url| url.starts_with("http")))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| invalid(&format!("Input is not valid: Items in input.{name} must be valid URLs")))
}

fn start(sim: &Sim, call: &Call, actor: &str) -> Result<Planned, Reply> {
    let shape = shape_of(actor)?;
    if !call.header("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
        return Err(error(415, "unsupported-content-encoding", "Content type must be application/json."));
    }
    let input = call.json().filter(Value::is_object).ok_or_else(|| invalid("Input is not valid JSON."))?;
    let urls = urls_of(shape, &input)?;
    let memory = number(call, "memory")?.unwrap_or(1_024);
    if !memory.is_power_of_two() || !(128..=32_768).contains(&memory) {
        return Err(error(
            400,
            "invalid-value",
            "Memory must be a power of two, from 128 to 32768 megabytes.",
        ));
    }
    if number(call, "waitForFinish")?.is_some_and(|seconds| seconds > 60) {
        return Err(error(400, "invalid-value", "Parameter waitForFinish must be at most 60."));
    }
    let options = Options {
        timeout: number(call, "timeout")?.unwrap_or(300),
        memory,
        build: call.query("build").unwrap_or("latest").to_owned(),
        max_items: number(call, "maxItems")?.map(|count| count as usize),
        max_charge: call.query("maxTotalChargeUsd").and_then(|usd| usd.parse().ok()),
    };
    let spent = lock(&sim.state).apify.spent(sim.config.result_usd);
    if spent >= sim.config.apify_limit_usd {
        let message = "Monthly usage hard limit exceeded";
        return Err(error(402, "not-enough-usage-to-run-paid-actor", message));
    }
    let key = urls.first().and_then(|url| read_url(url)).map_or_else(|| urls[0].clone(), |(_, asin)| asin);
    let actor = actor.to_owned();
    let fault_key = key.clone();
    Ok(Planned::new("run", key, move |sim| {
        let run = new_run(sim, &actor, shape, input, &urls, options, &fault_key);
        let is_unheard =
            sim.strikes(|faults| faults.start_unheard, "start_unheard", Source::Apify, &fault_key);
        let mut reply = match is_unheard {
            Some(_) => Reply::html(502, "<html><body><h1>502 Bad Gateway</h1></body></html>"),
            None => Reply::json(201, &run.document(sim)),
        };
        reply.charged.clone_from(&run.items);
        let mut state = lock(&sim.state);
        let index = state.apify.runs.len();
        state.apify.by_id.insert(run.id.clone(), index);
        state.apify.runs.push(run);
        reply
    }))
}

fn abort(sim: &Sim, id: &str) -> Reply {
    let mut state = lock(&sim.state);
    let Some(run) = state.apify.find(id) else { return not_found() };
    if !run.status.is_final() {
        let shown = run.shown().len();
        run.rows.truncate(shown);
        run.status = Status::Aborted;
        run.finished = Some(sim.now());
    }
    Reply::json(200, &run.document(sim))
}

fn list(sim: &Sim, actor: &str, offset: usize, limit: usize, desc: bool) -> Reply {
    let state = lock(&sim.state);
    let mut runs: Vec<&Run> = state.apify.runs.iter().filter(|run| run.actor == actor).collect();
    if desc {
        runs.reverse();
    }
    let page: Vec<Value> =
        runs.iter().skip(offset).take(limit).map(|run| Value::Object(run.summary(sim))).collect();
    Reply::json(
        200,
        &json!({"data": {
            "total": runs.len(), "offset": offset, "limit": limit, "desc": desc, "count": page.len(), "items": page,
        }}),
    )
}

fn items(call: &Call, operation: &'static str, id: String) -> Result<Planned, Reply> {
    if call.query("format").is_some_and(|format| format != "json") {
        return Err(error(400, "invalid-value", "The simulator has items as JSON only."));
    }
    let offset = number(call, "offset")?.unwrap_or(0) as usize;
    let limit = number(call, "limit")?.map(|limit| limit as usize);
    let desc = flag(call, "desc");
    Ok(Planned::new(operation, id.clone(), move |sim| {
        let mut state = lock(&sim.state);
        let Some(run) = state.apify.find(&id) else { return not_found() };
        let mut rows: Vec<&Value> = run.shown().iter().collect();
        let total = rows.len();
        if desc {
            rows.reverse();
        }
        let page: Vec<&Value> = rows.into_iter().skip(offset).take(limit.unwrap_or(usize::MAX)).collect();
        let asins: Vec<&str> =
            page.iter().filter_map(|row| row.get("asin").or_else(|| row.get("url"))?.as_str()).collect();
        let holds = |item: &&Item| asins.iter().any(|text| text.contains(item.asin.as_str()));
        let delivers = run.items.iter().filter(holds).cloned().collect();
        // Without a limit the service reports the largest one it knows.
        let told = limit.unwrap_or(999_999_999_999);
        let mut reply = Reply::json(200, &json!(page))
            .header("x-apify-pagination-offset", offset.to_string())
            .header("x-apify-pagination-limit", told.to_string())
            .header("x-apify-pagination-count", page.len().to_string())
            .header("x-apify-pagination-total", total.to_string())
            .header("x-apify-pagination-desc", desc.to_string());
        reply.delivers = delivers;
        reply.paid_as = Some("run");
        reply
    }))
}
