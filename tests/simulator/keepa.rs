//! Keepa: `/product` and `/token`, with its bucket of tokens.

mod product;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::call::{Call, Item, Planned, Refused, Reply, Source};
use super::catalogue::Catalogue;
use super::config::Config;
use super::marketplaces::Marketplace;
use super::server::Wait;
use super::{Sim, lock};

/// The token bucket. It may be overdrawn; unused tokens lapse after sixty refills.
#[derive(Debug)]
pub(crate) struct Tokens {
    left: i64,
    refills: u64,
}

impl Tokens {
    pub(crate) fn new(config: &Config) -> Tokens {
        Tokens { left: config.keepa_tokens, refills: 0 }
    }

    fn refill(&mut self, sim: &Sim) {
        let refills = sim.elapsed().as_millis() as u64 / sim.config.keepa_refill_ms.max(1);
        let fresh = refills.saturating_sub(self.refills) as i64 * sim.config.keepa_refill;
        self.refills = self.refills.max(refills);
        // What the test gave at the start does not lapse.
        let capacity = (sim.config.keepa_refill * 60).max(sim.config.keepa_tokens);
        self.left = (self.left + fresh).min(capacity);
    }
}

/// Product types of entries without data.
const NO_DATA: i64 = 3;
const INVALID: i64 = 4;

/// What every reply begins with, success or not.
fn envelope(sim: &Sim, tokens_left: i64, refill_in: u64, consumed: i64) -> Value {
    json!({
        "timestamp": sim.now().timestamp_millis(),
        "tokensLeft": tokens_left,
        "refillIn": refill_in,
        "refillRate": sim.config.keepa_refill,
        "tokenFlowReduction": 0.0,
        "tokensConsumed": consumed,
        "processingTimeInMs": 4,
    })
}

fn refill_in(sim: &Sim) -> u64 {
    let every = sim.config.keepa_refill_ms.max(1);
    every - sim.elapsed().as_millis() as u64 % every
}

/// Bodies are gzipped when the client takes that, errors too.
fn packed(gzip: bool, status: u16, body: &Value) -> Reply {
    let mut reply = Reply::json(status, body);
    if gzip {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        if encoder.write_all(&reply.body).is_ok()
            && let Ok(bytes) = encoder.finish()
        {
            reply.body = bytes;
            reply = reply.header("content-encoding", "gzip");
        }
    }
    reply
}

fn error(sim: &Sim, gzip: bool, status: u16, kind: &str, message: &str) -> Reply {
    let mut body = envelope(sim, 0, 0, 0);
    body["error"] = json!({"type": kind, "message": message, "details": ""});
    packed(gzip, status, &body)
}

/// Faults and quota: a 429 says by `refillIn` how long to wait.
pub(crate) fn failure(sim: &Sim, status: u16, wait: Wait) -> Reply {
    match status {
        429 => packed(false, 429, &envelope(sim, 0, wait.ms.max(1), 0)),
        502 | 503 => Reply::html(status, "<html><body><h1>502 Bad Gateway</h1></body></html>"),
        _ => error(sim, false, status, "unexpectedError", "An unexpected error occurred."),
    }
}

pub(crate) fn plan(sim: &Sim, call: &Call) -> Result<Planned, Refused> {
    let gzip = call.header("accept-encoding").is_some_and(|encodings| encodings.contains("gzip"));
    let operation = match (call.method.as_str(), call.segments().as_slice()) {
        ("GET", ["product"]) => "product",
        ("GET", ["token"]) => "token",
        _ => return Err(Refused::new("unknown", error(sim, gzip, 404, "notFound", "Unknown request path."))),
    };
    if call.query("key") != Some(sim.config.keys.keepa.as_str()) {
        let reply = error(sim, gzip, 402, "paymentRequired", "The API key is unknown or not paid.");
        return Err(Refused::new(operation, reply));
    }
    if operation == "token" {
        return Ok(Planned::new(operation, "token", move |sim| {
            let left = {
                let mut state = lock(&sim.state);
                state.keepa.refill(sim);
                state.keepa.left
            };
            packed(gzip, 200, &envelope(sim, left, refill_in(sim), 0))
        }));
    }
    let query = product::Query::read(call).map_err(|why| {
        let mut reply = envelope(sim, 0, 0, 0);
        reply["error"] = json!({
            "type": "invalidParameter", "message": "You used an invalid parameter for this API call.", "details": why,
        });
        Refused::new(operation, packed(gzip, 400, &reply))
    })?;
    let single = match query.asins.as_slice() {
        [asin] => Some(sim.item(query.marketplace, asin)),
        _ => None,
    };
    let key = query.asins[0].clone();
    let mut planned = Planned::new(operation, key, move |sim| products(sim, gzip, &query));
    planned.single = single;
    Ok(planned)
}

fn products(sim: &Sim, gzip: bool, query: &product::Query) -> Reply {
    let cost_each = query.cost();
    let (left, charged) = {
        let mut state = lock(&sim.state);
        state.keepa.refill(sim);
        let left = state.keepa.left;
        if left <= 0 {
            return packed(gzip, 429, &envelope(sim, left, refill_in(sim), 0));
        }
        // Only what is found is paid.
        let found = query.asins.iter().filter(|asin| {
            sim.catalogue.exists(query.marketplace, asin)
                && !sim.never(Source::Keepa, query.marketplace.code, asin)
        });
        let charged: Vec<Item> = found.map(|asin| sim.item(query.marketplace, asin)).collect();
        state.keepa.left -= charged.len() as i64 * cost_each;
        (state.keepa.left, charged)
    };
    let day = sim.day();
    let mut products: Vec<Value> = query
        .asins
        .iter()
        .filter_map(|asin| match sim.catalogue.exists(query.marketplace, asin) {
            true if sim.never(Source::Keepa, query.marketplace.code, asin) => {
                Some(product::empty(query, asin, NO_DATA))
            }
            true => product::document(sim, query, asin, day),
            // Some unknown products come as an invalid entry, some do not come at all.
            false => {
                sim.random(&["keepa unknown", asin]).chance(0.5).then(|| product::empty(query, asin, INVALID))
            }
        })
        .collect();
    sim.random(&["keepa order", &query.asins[0]]).shuffle(&mut products);
    let mut body = envelope(sim, left, refill_in(sim), charged.len() as i64 * cost_each);
    body["products"] = Value::Array(products);
    packed(gzip, 200, &body).paid(charged)
}

/// A parameter that is a marketplace number.
fn domain(text: &str) -> Option<&'static Marketplace> {
    text.parse().ok().and_then(Marketplace::by_keepa)
}

fn well_formed(asin: &str) -> bool {
    Catalogue::is_well_formed(asin)
}
