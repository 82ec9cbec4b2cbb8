//! Amazon's Selling Partner API: sign-in, catalog items, product pricing (v0 and 2022-05-01), FBA inventory.

mod catalog;
mod inventory;
mod pricing;

use std::collections::HashMap;

use serde_json::{Value, json};

use super::call::{Call, Planned, Refused, Reply, Source, pairs};
use super::limits::Quota;
use super::marketplaces::Marketplace;
use super::{Sim, lock};

/// Access tokens given out: when each lapses (real milliseconds) and how many uses are left to it.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    given: u64,
    valid: HashMap<String, (u64, u64)>,
}

/// Uses of a token that lapses early.
const EARLY_USES: u64 = 3;

impl Tokens {
    pub(crate) fn expire(&mut self) {
        self.valid.clear();
    }
}

/// Requests a second and burst, as documented.
fn documented(operation: &str) -> Option<(f64, f64)> {
    match operation {
        "getCatalogItem" | "searchCatalogItems" | "getInventorySummaries" => Some((2.0, 2.0)),
        "getCompetitivePricing" => Some((0.5, 1.0)),
        "getItemOffersBatch" => Some((0.1, 1.0)),
        "getCompetitiveSummary" => Some((0.033, 1.0)),
        _ => None,
    }
}

/// This account's limits: the documented ones, made faster.
pub(crate) fn quota(sim: &Sim, operation: &str) -> Option<Quota> {
    let (rate, burst) = documented(operation)?;
    Some(Quota { per_second: rate * sim.config.sp_speed, burst })
}

fn errors(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"errors": [{"code": code, "message": message, "details": ""}]}))
}

pub(crate) fn failure(status: u16) -> Reply {
    let reply = match status {
        429 => errors(429, "QuotaExceeded", "You exceeded your quota for the requested resource."),
        503 => errors(503, "ServiceUnavailable", "Service is temporarily unavailable."),
        502 | 504 => Reply::html(status, "<html><head><title>502 Bad Gateway</title></head></html>"),
        _ => errors(status, "InternalFailure", "We encountered an internal error. Please try again."),
    };
    reply.header("x-amzn-errortype", "simulated")
}

fn invalid(message: &str) -> Reply {
    errors(400, "InvalidInput", message)
}

/// Checks a request to one operation.
type Check = fn(&Sim, &Call) -> Result<Planned, Reply>;

pub(crate) fn plan(sim: &Sim, call: &Call) -> Result<Planned, Refused> {
    let segments = call.segments();
    let (operation, check): (&'static str, Check) = match (call.method.as_str(), segments.as_slice()) {
        ("POST", ["auth", "o2", "token"]) => ("token", sign_in),
        ("GET", ["catalog", "2022-04-01", "items"]) => ("searchCatalogItems", catalog::search),
        ("GET", ["catalog", "2022-04-01", "items", _]) => ("getCatalogItem", catalog::item),
        ("GET", ["products", "pricing", "v0", "competitivePrice"]) => {
            ("getCompetitivePricing", pricing::competitive_price)
        }
        ("POST", ["batches", "products", "pricing", "v0", "itemOffers"]) => {
            ("getItemOffersBatch", pricing::item_offers)
        }
        ("POST", ["batches", "products", "pricing", "2022-05-01", "items", "competitiveSummary"]) => {
            ("getCompetitiveSummary", pricing::competitive_summary)
        }
        ("GET", ["fba", "inventory", "v1", "summaries"]) => ("getInventorySummaries", inventory::summaries),
        _ => {
            return Err(Refused::new("unknown", errors(404, "NotFound", "The resource does not exist.")));
        }
    };
    if operation != "token" {
        check_token(sim, call).map_err(|reply| Refused::new(operation, marked(sim, operation, reply)))?;
    }
    let planned = check(sim, call).map_err(|reply| Refused::new(operation, marked(sim, operation, reply)))?;
    let act = planned.act;
    Ok(Planned { operation, act: Box::new(move |sim| marked(sim, operation, act(sim))), ..planned })
}

/// The headers of every reply: an id, and on good ones the rate of this account.
fn marked(sim: &Sim, operation: &'static str, reply: Reply) -> Reply {
    let id = sim.random(&["request id"]).of(sim.elapsed().as_nanos() as i64).uuid();
    let reply = reply.header("x-amzn-requestid", id);
    match quota(sim, operation) {
        // It is not promised on refusals.
        Some(quota) if reply.status < 400 => {
            reply.header("x-amzn-ratelimit-limit", quota.per_second.to_string())
        }
        _ => reply,
    }
}

fn check_token(sim: &Sim, call: &Call) -> Result<(), Reply> {
    let Some(token) = call.header("x-amz-access-token") else {
        return Err(errors(403, "MissingAuthentication", "Access to requested resource is denied."));
    };
    let at = sim.elapsed().as_millis() as u64;
    let mut state = lock(&sim.state);
    match state.sp_api.valid.get_mut(token) {
        Some((until, uses)) if *until > at && *uses > 0 => {
            *uses -= 1;
            Ok(())
        }
        _ => Err(errors(403, "Unauthorized", "The access token you provided has expired.")),
    }
}

fn sign_in(sim: &Sim, call: &Call) -> Result<Planned, Reply> {
    let refused = |status: u16, error: &str, description: &str| {
        Reply::json(status, &json!({"error": error, "error_description": description}))
    };
    let form = std::str::from_utf8(&call.body).map(pairs).unwrap_or_default();
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let is_form =
        call.header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if !is_form {
        return Err(refused(400, "invalid_request", "The request has an invalid content type"));
    }
    if field("grant_type") != Some("refresh_token") {
        return Err(refused(400, "unsupported_grant_type", "The authorization grant type is not supported"));
    }
    let keys = &sim.config.keys;
    if field("client_id") != Some(&keys.sp_client_id)
        || field("client_secret") != Some(&keys.sp_client_secret)
    {
        return Err(refused(401, "invalid_client", "Client authentication failed"));
    }
    if field("refresh_token") != Some(&keys.sp_refresh_token) {
        let message = "The request has an invalid grant parameter : refresh_token";
        return Err(refused(400, "invalid_grant", message));
    }
    Ok(Planned::new("token", "token", |sim| {
        let early =
            sim.strikes(|faults| faults.token_expires_early, "token_expires_early", Source::SpApi, "token");
        let uses = if early.is_some() { EARLY_USES } else { u64::MAX };
        let until = sim.elapsed().as_millis() as u64 + sim.config.sp_token_secs * 1_000;
        let mut state = lock(&sim.state);
        let tokens = &mut state.sp_api;
        tokens.given += 1;
        let access = format!("Atza|{}", sim.random(&["access token"]).of(tokens.given as i64).id(40));
        tokens.valid.insert(access.clone(), (until, uses));
        Reply::json(
            200,
            &json!({
                "access_token": access, "refresh_token": sim.config.keys.sp_refresh_token, "token_type": "bearer",
                "expires_in": sim.config.sp_token_secs,
            }),
        )
        .header("cache-control", "no-cache, no-store")
    }))
}

/// The one marketplace of a request.
fn marketplace(ids: &[String]) -> Result<&'static Marketplace, Reply> {
    match ids {
        [] => Err(invalid("Missing required parameter: marketplaceIds.")),
        [id] => Marketplace::by_amazon_id(id).ok_or_else(|| invalid(&format!("Invalid marketplaceId {id}."))),
        _ => Err(invalid("Only one marketplaceId is allowed.")),
    }
}

/// How one element of a batch fails inside a good reply; null when it does not.
fn inner_failure(
    sim: &Sim,
    operation: &'static str,
    marketplace: &Marketplace,
    asin: &str,
) -> Option<(u16, Value)> {
    let body =
        |code: &str, message: String| json!({"errors": [{"code": code, "message": message, "details": ""}]});
    if sim.never(Source::SpApi, marketplace.code, asin) {
        return Some((500, body("InternalFailure", "We encountered an internal error.".into())));
    }
    if !sim.catalogue.exists(marketplace, asin) {
        let message = format!("{asin} is an invalid ASIN for marketplace {}", marketplace.amazon_id);
        return Some((400, body("InvalidInput", message)));
    }
    let key = format!("{} {asin}", marketplace.code);
    let mut random = sim.strikes(|faults| faults.inner_error, operation, Source::SpApi, &key)?;
    Some(match random.chance(0.5) {
        true => (429, body("QuotaExceeded", "You exceeded your quota for the requested resource.".into())),
        false => (500, body("InternalFailure", "We encountered an internal error.".into())),
    })
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        429 => "Too Many Requests",
        _ => "Internal Server Error",
    }
}
