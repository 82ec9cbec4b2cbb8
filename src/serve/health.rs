//! How the server is: part by part, each within its time and without a second try; and what it counted.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::answer::{Data, Output};
use super::call::Call;
use super::metrics::Gauge;
use super::problem::{Kind, Problem};
use crate::model::Timestamp;
use crate::store::spending::SpendingBy;

/// What a part may take.
const PATIENCE: Duration = Duration::from_millis(800);

/// Bytes that are to be free on the disk.
const LEAST_ROOM: u64 = 512 << 20;

/// How a part is, the better first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum State {
    Healthy,
    /// Something is amiss, and requests are answered.
    Degraded,
    Unhealthy,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Healthy => "healthy",
            State::Degraded => "degraded",
            State::Unhealthy => "unhealthy",
        }
    }
}

/// A part, how it is, and how long it took to say so. Nothing of the data is told: whoever asks needs no key.
struct Part {
    name: &'static str,
    state: State,
    latency_ms: u64,
}

pub(super) fn schema() -> Value {
    let state = json!({ "type": "string", "enum": ["healthy", "degraded", "unhealthy"] });
    json!({
        "type": "object",
        "required": ["status", "parts"],
        "properties": {
            "status": state,
            "parts": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name", "status", "latency_ms"],
                    "properties": {
                        "name": { "type": "string" },
                        "status": state,
                        "latency_ms": { "type": "integer" },
                    },
                },
            },
        },
    })
}

/// What was found last, and since when it was looked for: of many who ask at once one looks.
#[derive(Default)]
pub(super) struct Lately(tokio::sync::Mutex<Option<(Instant, Found)>>);

/// How the server is, with the status of the answer.
type Found = (u16, Value);

pub(super) async fn health(call: Call) -> Result<Output, Problem> {
    let asked = Instant::now();
    let mut lately = call.app.health.0.lock().await;
    // Somebody has looked since.
    let known = lately.as_ref().filter(|(since, _)| *since >= asked).map(|(_, found)| found.clone());
    let (status, document) = match known {
        Some(found) => found,
        None => {
            let since = Instant::now();
            let found = look(&call).await;
            *lately = Some((since, found.clone()));
            found
        }
    };
    Ok(Output { status, ..Data::Document(document).into() })
}

/// The server is as its worst part; without the database nothing can be answered anew.
async fn look(call: &Call) -> Found {
    let parts = tokio::join!(
        part("database", State::Unhealthy, database(call)),
        part("lake", State::Degraded, lake(call)),
        part("sources", State::Degraded, sources(call)),
        part("outbox", State::Degraded, outbox(call)),
        part("disk", State::Degraded, disk(call)),
    );
    let parts: [Part; 5] = parts.into();
    let worst = parts.iter().map(|part| part.state).max().unwrap_or(State::Healthy);
    let said: Vec<Value> = parts
        .iter()
        .map(|part| json!({ "name": part.name, "status": part.state.word(), "latency_ms": part.latency_ms }))
        .collect();
    let document = json!({ "status": worst.word(), "parts": said });
    (if worst == State::Unhealthy { 503 } else { 200 }, document)
}

/// A part that does not say in time that it is well is as bad as it can be.
async fn part(name: &'static str, worst: State, asked: impl Future<Output = anyhow::Result<bool>>) -> Part {
    let start = Instant::now();
    let state = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(true)) => State::Healthy,
        Ok(Ok(false)) => State::Degraded,
        Ok(Err(error)) => {
            tracing::warn!(operation = name, "health: {error:#}");
            worst
        }
        Err(_) => {
            tracing::warn!(operation = name, "health: no answer in time");
            worst
        }
    };
    Part { name, state, latency_ms: start.elapsed().as_millis() as u64 }
}

async fn database(call: &Call) -> anyhow::Result<bool> {
    call.app.store.served_generation().await?;
    Ok(true)
}

async fn lake(call: &Call) -> anyhow::Result<bool> {
    call.app.options.lake.check_owner(&call.app.store).await?;
    Ok(true)
}

async fn sources(call: &Call) -> anyhow::Result<bool> {
    let now = call.app.options.clock.now();
    let states = call.app.store.load_source_states().await?;
    Ok(states.iter().all(|source| source.retry_at.is_none_or(|at| at <= now)))
}

async fn outbox(call: &Call) -> anyhow::Result<bool> {
    Ok(call.app.store.load_open(&call.app.options.workspace).await?.deliveries_dead == 0)
}

/// Room where the database or what belongs to it lies.
async fn disk(call: &Call) -> anyhow::Result<bool> {
    let beside = call.app.store.location().beside().to_owned();
    let folder =
        beside.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    let disk = tokio::task::spawn_blocking(move || rustix::fs::statvfs(folder)).await??;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize) >= LEAST_ROOM)
}

pub(super) fn ready_schema() -> Value {
    json!({ "type": "object", "required": ["ready"], "properties": { "ready": { "type": "boolean" } } })
}

/// The database answers, and its schema is the one that this server knows.
pub(super) async fn ready(call: Call) -> Result<Output, Problem> {
    let version = tokio::time::timeout(PATIENCE, call.app.store.schema_version()).await;
    match version {
        Ok(Ok(version)) if version == crate::store::Store::SCHEMA_VERSION => {
            Ok(Data::Document(json!({ "ready": true })).into())
        }
        _ => Err(Problem::new(Kind::Unavailable, "the database does not answer, or has another schema")
            .retry_after(1)),
    }
}

/// What was counted here, and how the data of the key's workspace is.
pub(super) async fn metrics(call: Call) -> Result<Output, Problem> {
    let gauges = gauges(&call).await?;
    let text = call.app.metrics.text(&gauges);
    Ok(Data::Text { content_type: "text/plain; version=0.0.4", text }.into())
}

async fn gauges(call: &Call) -> Result<Vec<Gauge>, Problem> {
    let (app, workspace) = (&call.app, &call.caller.workspace);
    let now = app.options.clock.now();
    let today = app.options.zone.day_of(now);
    let open = app.store.load_open(workspace).await?;
    let (newest_day, newest) = app.store.newest_observation().await?.unzip();
    let days = crate::model::DayRange { first: today.month_start(), last: today };
    let spent = app.store.load_spending(SpendingBy::Source, days).await?;
    let (bytes, entries) = app.cache.size();
    let (watched, seen) = app.store.count_seen(workspace, newest_day.unwrap_or(today)).await?;
    let sources = app.store.load_source_states().await?;
    let one = |value: i64| vec![(String::new(), value as f64)];
    let source = |name: &str| format!("source=\"{name}\"");
    let seconds_since = |at: Timestamp| (now - at).num_milliseconds() as f64 / 1e3;
    let age = newest.map(|at| (String::new(), seconds_since(at)));
    let answered =
        sources.iter().filter_map(|it| Some((source(&it.source), seconds_since(it.last_success_at?))));
    Ok(vec![
        gauge(
            "amzctl_data_age_seconds",
            "Since the newest day's row was observed.",
            age.into_iter().collect(),
        ),
        gauge(
            "amzctl_watched_products",
            "Watched products that are not paused, by whether they have a row of the newest day.",
            vec![
                ("state=\"seen\"".to_owned(), seen as f64),
                ("state=\"missing\"".to_owned(), (watched - seen) as f64),
            ],
        ),
        gauge("amzctl_source_age_seconds", "Since a provider last answered.", answered.collect()),
        gauge(
            "amzctl_alerts_open",
            "Open alerts.",
            vec![
                ("severity=\"critical\"".to_owned(), open.alerts_critical as f64),
                ("severity=\"other\"".to_owned(), (open.alerts - open.alerts_critical) as f64),
            ],
        ),
        gauge("amzctl_incidents_open", "Open incidents.", one(open.incidents)),
        gauge("amzctl_quarantine_open", "Open records in quarantine.", one(open.quarantine)),
        gauge(
            "amzctl_deliveries",
            "Deliveries that are not made yet, and those that were given up.",
            vec![
                ("state=\"pending\"".to_owned(), open.deliveries_pending as f64),
                ("state=\"dead\"".to_owned(), open.deliveries_dead as f64),
            ],
        ),
        gauge(
            "amzctl_spent_dollars",
            "What the providers cost this month, as far as prices are known.",
            spent.iter().map(|line| (source(&line.name), line.micros as f64 / 1e6)).collect(),
        ),
        gauge("amzctl_live_listeners", "Who listens to events.", one(app.live.listeners() as i64)),
        gauge("amzctl_cache_bytes", "Memory of answers that are kept.", one(bytes as i64)),
        gauge("amzctl_cache_entries", "Answers that are kept.", one(entries as i64)),
    ])
}

fn gauge(name: &'static str, help: &'static str, values: Vec<(String, f64)>) -> Gauge {
    Gauge { name, help, values }
}
