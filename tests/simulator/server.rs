//! The way of one request: arrival, quota, the provider's checks, faults, effect, reply.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::connect_info::ConnectInfo;
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::stream;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::call::{Call, Planned, Refused, Reply, Source, decode, pairs};
use super::faults::{Fault, Hint, Trial};
use super::ledger::Entry;
use super::limits::{Bucket, Quota};
use super::wire::{Cut, Gate, Wire};
use super::{Sim, apify, control, firecrawl, http_date, keepa, lock, rainforest, sp_api};

/// Bodies above this are refused; the largest real request is a hundred URLs.
const BODY_LIMIT: usize = 16 << 20;

/// The thread that serves.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Running {
    /// Ends the server; connections are closed where they stand.
    pub(crate) fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

pub(crate) fn start(sim: Arc<Sim>) -> io::Result<(SocketAddr, Running)> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", sim.config.port))?;
    listener.set_nonblocking(true)?;
    let addr = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("simulator".into()).spawn(move || {
        runtime.block_on(async {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            let app = axum::Router::new().fallback(answer).with_state(sim);
            let service = app.into_make_service_with_connect_info::<Wire>();
            tokio::select! {
                _ = axum::serve(Gate { listener }, service).into_future() => {}
                _ = stopped => {}
            }
        });
        runtime.shutdown_background();
    })?;
    Ok((addr, Running { stop, thread }))
}

async fn answer(
    State(sim): State<Arc<Sim>>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        return Reply::html(413, "too large").into_response(&sim, 0, Shape::Whole, None);
    };
    let mut path: Vec<String> = parts.uri.path().split('/').skip(1).map(|part| decode(part, false)).collect();
    let prefix = if path.is_empty() { String::new() } else { path.remove(0) };
    let query = pairs(parts.uri.query().unwrap_or(""));
    let call = Call { method: parts.method, path, query, headers: parts.headers, body };
    if prefix == "_sim" {
        return control::answer(&sim, &call).into_response(&sim, 0, Shape::Whole, None);
    }
    let Some(source) = Source::named(&prefix) else {
        return Reply::html(404, "no such provider").into_response(&sim, 0, Shape::Whole, None);
    };
    // A provider goes on when its client is gone: what is charged must not depend on who still listens.
    let worker = tokio::spawn(work(Arc::clone(&sim), wire, source, call));
    worker.await.unwrap_or_else(|_| {
        Reply::html(500, "the simulator failed").into_response(&sim, 0, Shape::Whole, None)
    })
}

fn plan(sim: &Sim, source: Source, call: &Call) -> Result<Planned, Refused> {
    match source {
        Source::Apify => apify::plan(sim, call),
        Source::Keepa => keepa::plan(sim, call),
        Source::SpApi => sp_api::plan(sim, call),
        Source::Firecrawl => firecrawl::plan(sim, call),
        Source::Rainforest => rainforest::plan(sim, call),
    }
}

/// A failure as the provider words it.
fn failure(sim: &Sim, source: Source, status: u16, hint: Wait) -> Reply {
    match source {
        Source::Apify => apify::failure(sim, status, hint),
        Source::Keepa => keepa::failure(sim, status, hint),
        Source::SpApi => sp_api::failure(status),
        Source::Firecrawl => firecrawl::failure(sim, status, hint),
        Source::Rainforest => rainforest::failure(sim, status, hint),
    }
}

/// How long a 429 asks to wait, and in which words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) ms: u64,
    pub(crate) hint: Hint,
}

impl Wait {
    const NONE: Wait = Wait { ms: 0, hint: Hint::None };

    pub(crate) fn seconds(self) -> u64 {
        self.ms.div_ceil(1_000)
    }

    /// The `Retry-After` header, if the hint is one.
    pub(crate) fn retry_after(self, sim: &Sim, reply: Reply) -> Reply {
        match self.hint {
            Hint::None => reply,
            Hint::Seconds => reply.header("retry-after", self.seconds().to_string()),
            Hint::Date => {
                let at = sim.now() + chrono::Duration::milliseconds(self.ms as i64 + 999);
                reply.header("retry-after", http_date(at))
            }
        }
    }
}

async fn work(sim: Arc<Sim>, wire: Wire, source: Source, call: Call) -> Response {
    let at = sim.elapsed();
    let mut planned = plan(&sim, source, &call);
    if let Err(refused) = &mut planned
        && sim.config.echoes
    {
        refused.reply.echo(&call);
    }
    let (operation, key) = match &planned {
        Ok(planned) => (planned.operation, planned.key.clone()),
        Err(refused) => (refused.operation, String::new()),
    };
    let ordinal = sim.ledger().arrive(source, at);
    let entry = |attempt, status, outcome| Entry {
        at_ms: at.as_millis() as u64,
        source: source.name(),
        operation,
        key: key.clone(),
        attempt,
        status,
        outcome,
    };
    if let Err(seconds) = within_quota(&sim, source, operation, at) {
        sim.ledger().answered(source, entry(None, 429, "rate_limited"));
        let wait = Wait { ms: (seconds * 1_000.0).ceil() as u64, hint: Hint::Seconds };
        return failure(&sim, source, 429, wait).into_response(&sim, 0, Shape::Whole, None);
    }
    sleep(latency_ms(&sim, source, ordinal)).await;
    if lock(&sim.down).contains(&source) {
        sim.ledger().answered(source, entry(None, 503, "down"));
        return failure(&sim, source, 503, Wait::NONE).into_response(&sim, 0, Shape::Whole, None);
    }
    let planned = match planned {
        Ok(planned) => planned,
        Err(refused) => {
            let outcome = match refused.reply.status {
                401 | 403 => "unauthorized",
                404 => "not_found",
                429 => "rate_limited",
                _ => "refused",
            };
            sim.ledger().answered(source, entry(None, refused.reply.status, outcome));
            return refused.reply.into_response(&sim, 0, Shape::Whole, None);
        }
    };

    let attempt = sim.attempt(source, operation, &key);
    let trial = Trial { seed: sim.config.seed, source, operation, key: &key, attempt };
    let faults = sim.faults();
    let skew = faults.skew(trial);
    let lost = planned.single.as_ref().is_some_and(|item| sim.never(source, item.marketplace, &item.asin));
    let fault = if lost { Some(Fault::ServerError(500)) } else { faults.decide(trial) };
    let outcome = fault.map_or("ok", Fault::name);
    // Faults that come before anything happened.
    let spoiled = match fault {
        Some(Fault::RateLimited(hint)) => {
            Some(failure(&sim, source, 429, Wait { ms: sim.config.hint_ms, hint }))
        }
        Some(Fault::ServerError(status)) => Some(failure(&sim, source, status, Wait::NONE)),
        Some(Fault::HtmlPage) => Some(Reply::html(200, PROXY_PAGE)),
        Some(fault @ (Fault::Timeout | Fault::Reset)) => {
            if fault == Fault::Timeout {
                sleep(sim.config.hold_ms).await;
            }
            wire.cut(Cut::Now);
            sim.ledger().answered(source, entry(Some(attempt), 0, outcome));
            Some(Reply::html(500, ""))
        }
        _ => None,
    };
    if let Some(reply) = spoiled {
        if !matches!(fault, Some(Fault::Timeout | Fault::Reset)) {
            sim.ledger().answered(source, entry(Some(attempt), reply.status, outcome));
        }
        return reply.into_response(&sim, skew, Shape::Whole, None);
    }

    sleep(planned.hold_ms).await;
    let reply = (planned.act)(&sim);
    let half = reply.body.len() / 2;
    let shape = match fault {
        Some(Fault::ReplyLost) => {
            wire.cut(Cut::Now);
            Shape::Broken
        }
        Some(Fault::ResetMidBody) => {
            wire.cut(Cut::Body { left: half, abort: true, head: None });
            Shape::Broken
        }
        Some(Fault::ShortBody) => {
            wire.cut(Cut::Body { left: half, abort: false, head: None });
            Shape::Broken
        }
        Some(Fault::Truncated) => Shape::Truncated(half),
        _ => Shape::Whole,
    };
    let outcome = match (fault, reply.status) {
        (Some(_), _) | (None, 200..=299) => outcome,
        (None, 429) => "rate_limited",
        (None, 404) => "not_found",
        (None, _) => "refused",
    };
    {
        let mut ledger = sim.ledger();
        ledger.charge(source, operation, &reply.charged);
        let status = if fault == Some(Fault::ReplyLost) { 0 } else { reply.status };
        ledger.answered(source, entry(Some(attempt), status, outcome));
    }
    reply.into_response(&sim, skew, shape, Some((Arc::clone(&sim), source, operation)))
}

async fn sleep(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

fn latency_ms(sim: &Sim, source: Source, ordinal: u64) -> u64 {
    let latency = sim.config.latency_of.get(&source).unwrap_or(&sim.config.latency);
    let mut random = sim.random(&["latency", source.name()]).of(ordinal as i64);
    latency.base_ms + random.below(latency.jitter_ms + 1)
}

/// The source's own quota, and at SP-API the operation's.
fn within_quota(sim: &Sim, source: Source, operation: &'static str, at: Duration) -> Result<(), f64> {
    let quota = sim.config.quota_of.get(&source).copied().or(sim.config.quota);
    let limits: [(&'static str, Option<Quota>); 2] = [
        ("", quota),
        (operation, if source == Source::SpApi { sp_api::quota(sim, operation) } else { None }),
    ];
    let mut buckets = lock(&sim.buckets);
    for (name, quota) in limits {
        if let Some(quota) = quota {
            buckets.entry((source, name)).or_insert_with(|| Bucket::full(quota, at)).take(at)?;
        }
    }
    Ok(())
}

/// What a failing proxy in front of a provider shows.
const PROXY_PAGE: &str = "<!DOCTYPE html><html><head><title>Service temporarily unavailable</title></head>\
    <body><h1>We'll be right back</h1><p>The service is temporarily unavailable.</p></body></html>\n";

/// How much of a body is written, and how its length is told.
enum Shape {
    Whole,
    /// Told whole; the wire cuts it.
    Broken,
    /// This many bytes, in chunks that end well.
    Truncated(usize),
}

type Debtor = (Arc<Sim>, Source, &'static str);

impl Reply {
    fn into_response(self, sim: &Sim, skew: i64, shape: Shape, debtor: Option<Debtor>) -> Response {
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(*name, value);
        }
        response = response.header("date", http_date(sim.now() + chrono::Duration::seconds(skew)));
        let mut bytes = Bytes::from(self.body);
        match shape {
            Shape::Truncated(length) => bytes.truncate(length),
            Shape::Whole | Shape::Broken => response = response.header("content-length", bytes.len()),
        }
        let whole = matches!(shape, Shape::Whole);
        let body = match debtor {
            Some((sim, source, operation)) if whole && !self.delivers.is_empty() => {
                let (items, paid_as) = (self.delivers, self.paid_as.unwrap_or(operation));
                Body::from_stream(stream::once(async move {
                    // Asked for by the connection while it is being written.
                    sim.ledger().deliver(source, paid_as, &items);
                    Ok::<_, io::Error>(bytes)
                }))
            }
            _ if matches!(shape, Shape::Truncated(_)) => {
                Body::from_stream(stream::once(async move { Ok::<_, io::Error>(bytes) }))
            }
            _ => Body::from(bytes),
        };
        response.body(body).unwrap_or_default()
    }
}
