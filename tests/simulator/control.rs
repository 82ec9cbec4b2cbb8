//! `/_sim`: the simulator's own interface for tests and scripts.
//!
//! | call | what it does |
//! | --- | --- |
//! | `GET /_sim/ledger` | counts of requests and payments |
//! | `GET /_sim/requests` | the requests in the order they were answered |
//! | `POST /_sim/reset` | forgets both, and every job, token and quota |
//! | `POST /_sim/faults` | `{"schedule": "mild"}` or `{"rates": {"reset": 0.1, "max_attempts": 2}}` |
//! | `POST /_sim/now` | `{"now": "2026-03-02T09:00:00Z"}` |
//! | `POST /_sim/expire-tokens` | SP-API access tokens lapse |
//! | `GET /_sim/products?marketplace=US&count=10` | ASINs that exist and some that do not |

use chrono::{DateTime, Utc};
use serde_json::json;

use super::call::{Call, Reply};
use super::faults::Faults;
use super::marketplaces::Marketplace;
use super::{Sim, lock};

pub(crate) fn answer(sim: &Sim, call: &Call) -> Reply {
    match (call.method.as_str(), call.segments().as_slice()) {
        ("GET", ["ledger"]) => Reply::json(200, &sim.ledger().document()),
        ("GET", ["requests"]) => Reply::json(200, &json!(sim.ledger().log())),
        ("GET", ["products"]) => products(sim, call),
        ("POST", ["reset"]) => {
            sim.reset();
            done()
        }
        ("POST", ["faults"]) => set_faults(sim, call),
        ("POST", ["now"]) => set_now(sim, call),
        ("POST", ["expire-tokens"]) => {
            lock(&sim.state).sp_api.expire();
            done()
        }
        _ => Reply::json(404, &json!({"error": "no such call under /_sim"})),
    }
}

fn done() -> Reply {
    Reply::json(200, &json!({"done": true}))
}

fn refused(why: &str) -> Reply {
    Reply::json(400, &json!({"error": why}))
}

fn set_faults(sim: &Sim, call: &Call) -> Reply {
    let Some(body) = call.json() else { return refused("not JSON") };
    let faults = match (body.get("schedule").and_then(|name| name.as_str()), body.get("rates")) {
        (Some(name), None) => Faults::schedule(name).ok_or_else(|| format!("no schedule `{name}`")),
        (None, Some(rates)) => serde_json::from_value(rates.clone()).map_err(|error| error.to_string()),
        _ => Err("give `schedule` or `rates`".to_owned()),
    };
    match faults {
        Ok(faults) => {
            *lock(&sim.faults) = faults;
            done()
        }
        Err(why) => refused(&why),
    }
}

fn set_now(sim: &Sim, call: &Call) -> Reply {
    let body = call.json();
    let given = body.as_ref().and_then(|body| body.get("now")).and_then(|now| now.as_str());
    match given.and_then(|now| DateTime::parse_from_rfc3339(now).ok()) {
        Some(now) => {
            sim.set_now(now.with_timezone(&Utc));
            done()
        }
        None => refused("give `now` as RFC 3339"),
    }
}

fn products(sim: &Sim, call: &Call) -> Reply {
    let Some(marketplace) = Marketplace::by_code(call.query("marketplace").unwrap_or("US")) else {
        return refused("unknown marketplace");
    };
    let count = call.query("count").and_then(|count| count.parse().ok()).unwrap_or(10).min(200_000);
    Reply::json(
        200,
        &json!({
            "marketplace": marketplace.code,
            "existing": sim.catalogue.existing_asins(marketplace, count),
            "missing": sim.catalogue.missing_asins(marketplace, count.min(10)),
        }),
    )
}
