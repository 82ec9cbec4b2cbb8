//! Firecrawl v1 and v2: one page, batches of pages, credits.

mod page;
mod request;

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use self::request::Wanted;
use super::call::{Call, Item, Planned, Refused, Reply, Source};
use super::catalogue::read_url;
use super::config::Config;
use super::server::Wait;
use super::{Sim, iso, lock};

/// A batch of pages; they are settled when it starts.
#[derive(Debug)]
struct Job {
    version: Version,
    pages: Vec<Page>,
    /// Address and error of the pages that failed.
    failed: Vec<(String, &'static str)>,
    polls: u32,
    cancelled: bool,
    credits: i64,
}

/// A scraped page, and what it is paid for.
#[derive(Debug)]
struct Page {
    document: Value,
    item: Option<Item>,
}

#[derive(Debug)]
pub(crate) struct Jobs {
    jobs: HashMap<String, Job>,
    /// Idempotency keys of the batches that were started.
    keys: HashSet<String>,
    credits: i64,
}

impl Jobs {
    pub(crate) fn new(config: &Config) -> Jobs {
        Jobs { jobs: HashMap::new(), keys: HashSet::new(), credits: config.firecrawl_credits }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

impl Version {
    fn name(self) -> &'static str {
        match self {
            Version::V1 => "v1",
            Version::V2 => "v2",
        }
    }
}

/// What an engine gives up with.
const ENGINES_FAILED: &str = "All scraping engines failed!";

fn error(status: u16, code: Option<&str>, message: &str) -> Reply {
    let mut body = json!({"success": false, "error": message});
    if let Some(code) = code {
        body["code"] = json!(code);
    }
    Reply::json(status, &body)
}

/// Faults and quota; a 429 says in its text how long to wait.
pub(crate) fn failure(sim: &Sim, status: u16, wait: Wait) -> Reply {
    match status {
        429 => {
            let at = sim.now() + chrono::Duration::milliseconds(wait.ms as i64);
            let resets = at.format("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)");
            let seconds = wait.seconds().max(1);
            error(
                429,
                None,
                &format!(
                    "Rate limit exceeded. Consumed (req/min): 101, Remaining (req/min): 0. Upgrade your plan at \
                     https://firecrawl.dev/pricing for increased rate limits or please retry after {seconds}s, \
                     resets at {resets}"
                ),
            )
        }
        500 => error(500, Some("SCRAPE_ALL_ENGINES_FAILED"), ENGINES_FAILED),
        504 => error(408, Some("SCRAPE_TIMEOUT"), "Scrape timed out"),
        _ => Reply::html(status, "<html><head><title>502 Server Error</title></head></html>"),
    }
}

pub(crate) fn plan(sim: &Sim, call: &Call) -> Result<Planned, Refused> {
    let segments = call.segments();
    let (version, rest) = match segments.as_slice() {
        ["v1", rest @ ..] => (Version::V1, rest),
        ["v2", rest @ ..] => (Version::V2, rest),
        _ => return Err(Refused::new("unknown", Reply::html(404, "Cannot find the resource"))),
    };
    let operation = match (call.method.as_str(), rest) {
        ("POST", ["scrape"]) => "scrape",
        ("POST", ["batch", "scrape"]) => "batch",
        ("GET", ["batch", "scrape", _]) => "batch_status",
        ("GET", ["batch", "scrape", _, "errors"]) => "batch_errors",
        ("DELETE", ["batch", "scrape", _]) => "batch_cancel",
        ("GET", ["team", "credit-usage"]) => "credits",
        _ => return Err(Refused::new("unknown", Reply::html(404, "Cannot find the resource"))),
    };
    if call.bearer() != Some(sim.config.keys.firecrawl.as_str()) {
        let message = if call.bearer().is_some() {
            "Unauthorized: Invalid token"
        } else {
            "Unauthorized: Token missing"
        };
        return Err(Refused::new(operation, error(401, None, message)));
    }
    let planned = match operation {
        "scrape" => scrape(sim, call, version),
        "batch" => start_batch(sim, call, version),
        "credits" => Ok(Planned::new(operation, "team", move |sim| credits(sim, version))),
        _ => job_call(sim, call, operation, rest[2]),
    };
    planned.map_err(|reply| Refused::new(operation, reply))
}

fn credits(sim: &Sim, version: Version) -> Reply {
    let left = lock(&sim.state).firecrawl.credits;
    let name = if version == Version::V1 { "remaining_credits" } else { "remainingCredits" };
    Reply::json(200, &json!({"success": true, "data": {name: left}}))
}

/// Enough for at least one page.
fn funded(sim: &Sim) -> Result<(), Reply> {
    if lock(&sim.state).firecrawl.credits > 0 {
        return Ok(());
    }
    Err(error(
        402,
        None,
        "Insufficient credits to perform this request. For more credits, you can upgrade your plan at \
         https://firecrawl.dev/pricing.",
    ))
}

fn scrape(sim: &Sim, call: &Call, version: Version) -> Result<Planned, Reply> {
    let wanted = Wanted::read(version, call, false)?;
    funded(sim)?;
    let url = wanted.urls[0].clone();
    let product = read_url(&url);
    let key = product.as_ref().map_or_else(|| url.clone(), |(_, asin)| asin.clone());
    let single = product.map(|(marketplace, asin)| sim.item(marketplace, &asin));
    let mut planned = Planned::new("scrape", key, move |sim| {
        let scraped = page_of(sim, &wanted, &url);
        charge(sim, scraped.credits);
        let mut body = json!({"success": true, "data": scraped.document});
        if version == Version::V2 {
            body["scrape_id"] = json!(sim.random(&["scrape", &url]).uuid());
        }
        let mut reply = Reply::json(200, &body);
        reply.charged.extend(scraped.item.clone());
        // A captcha is paid, but the product is not delivered.
        reply.delivers.extend(scraped.item.filter(|_| scraped.good));
        reply
    });
    planned.single = single;
    Ok(planned)
}

fn charge(sim: &Sim, credits: i64) {
    lock(&sim.state).firecrawl.credits -= credits;
}

struct Scraped {
    document: Value,
    item: Option<Item>,
    credits: i64,
    /// The page is what was asked for.
    good: bool,
}

/// One page as the service returns it.
fn page_of(sim: &Sim, wanted: &Wanted, url: &str) -> Scraped {
    let product = read_url(url);
    let spoiled = sim.strikes(|faults| faults.captcha, "captcha", Source::Firecrawl, url);
    // A stored copy is an hour old.
    let cached = wanted.max_age_ms >= 3_600_000;
    let seen = if cached { sim.now() - chrono::Duration::hours(1) } else { sim.now() };
    let day = seen.timestamp().div_euclid(86_400);
    let fact = product.as_ref().and_then(|(marketplace, asin)| sim.catalogue.fact(marketplace, asin, day));
    let (status, html, title) = match (spoiled, &fact, &product) {
        (Some(mut random), _, Some((marketplace, _))) => match random.chance(0.7) {
            true => (200, page::captcha(marketplace), marketplace.domain.replacen('a', "A", 1)),
            false => (503, page::dog(), "Sorry! Something went wrong!".to_owned()),
        },
        (_, Some(fact), _) => (200, page::product(fact), page::title(fact)),
        _ => (404, page::not_found(), "Page Not Found".to_owned()),
    };
    let good = spoiled_free(status, &html);
    let credits = if wanted.json.is_some() { 5 } else { 1 } + if wanted.stealth { 4 } else { 0 };
    let mut metadata = Map::new();
    let mut put = |name: &str, value: Value| metadata.insert(name.to_owned(), value);
    put("title", json!(title));
    put("language", json!(product.as_ref().map_or("en-us", |(market, _)| market.tongue.html_lang())));
    put("sourceURL", json!(url));
    put("url", json!(url));
    put("statusCode", json!(status));
    put("contentType", json!("text/html;charset=UTF-8"));
    put("proxyUsed", json!(if wanted.stealth { "stealth" } else { "basic" }));
    put("cacheState", json!(if cached { "hit" } else { "miss" }));
    put("creditsUsed", json!(credits));
    put("scrapeId", json!(sim.random(&["scrape", url]).uuid()));
    if cached {
        put("cachedAt", json!(iso(seen)));
    }
    match status {
        503 => drop(put("error", json!("Service Unavailable"))),
        404 => drop(put("error", json!("Not Found"))),
        _ => {}
    }
    let mut document = Map::new();
    for format in &wanted.formats {
        match format.as_str() {
            "markdown" => drop(document.insert("markdown".into(), json!(format!("# {title}")))),
            "html" => drop(document.insert("html".into(), json!(html))),
            "rawHtml" => drop(document.insert("rawHtml".into(), json!(html))),
            "links" => drop(document.insert("links".into(), json!([url]))),
            _ => {}
        }
    }
    if let Some(schema) = &wanted.json {
        document.insert("json".into(), extracted(schema, fact.as_ref()));
    }
    document.insert("metadata".into(), Value::Object(metadata));
    let item = product.map(|(marketplace, asin)| sim.item(marketplace, &asin));
    Scraped { document: Value::Object(document), item, credits, good }
}

/// A page that is neither a captcha nor an error of the site.
fn spoiled_free(status: i32, html: &str) -> bool {
    status != 503 && !html.contains("validateCaptcha")
}

/// What a model reads from a page into the keys of a schema.
fn extracted(schema: &Value, fact: Option<&super::Fact>) -> Value {
    let names = schema.get("properties").and_then(Value::as_object);
    let value = |name: &str| {
        let fact = fact?;
        Some(match name {
            "asin" => json!(fact.asin),
            "title" => json!(fact.title),
            "brand" => json!(fact.brand),
            "price" => json!(fact.price.map(|minor| fact.marketplace.price_text(minor))),
            "list_price" => json!(fact.list_price.map(|minor| fact.marketplace.price_text(minor))),
            "currency" => json!(fact.marketplace.currency),
            "availability" => json!(fact.stock_text()),
            "seller" | "seller_name" => json!(fact.seller.as_ref().map(|seller| &seller.name)),
            "rating" => json!(fact.rating.map(|tenths| tenths as f64 / 10.0)),
            "ratings_count" | "review_count" => json!(fact.rating.map(|_| fact.ratings)),
            _ => Value::Null,
        })
    };
    let names = names.map(|names| names.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    names
        .into_iter()
        .map(|name| (name.clone(), value(&name).unwrap_or(Value::Null)))
        .collect::<Map<_, _>>()
        .into()
}

fn start_batch(sim: &Sim, call: &Call, version: Version) -> Result<Planned, Reply> {
    let wanted = Wanted::read(version, call, true)?;
    funded(sim)?;
    let idempotency = call.header("x-idempotency-key").map(str::to_owned);
    if idempotency.as_ref().is_some_and(|key| lock(&sim.state).firecrawl.keys.contains(key)) {
        return Err(error(409, None, "Idempotency key already used"));
    }
    let origin = call.origin();
    let key = wanted
        .urls
        .first()
        .and_then(|url| read_url(url))
        .map_or_else(|| "batch".to_owned(), |(_, asin)| asin);
    Ok(Planned::new("batch", key, move |sim| {
        let words = wanted.urls.join(" ");
        let earlier = sim.attempt(Source::Firecrawl, "job id", &words);
        let id = sim.random(&["job", &words]).of(i64::from(earlier)).uuid();
        let mut job =
            Job { version, pages: Vec::new(), failed: Vec::new(), polls: 0, cancelled: false, credits: 0 };
        for url in &wanted.urls {
            let lost =
                read_url(url).is_some_and(|(market, asin)| sim.never(Source::Firecrawl, market.code, &asin));
            if lost {
                job.failed.push((url.clone(), ENGINES_FAILED));
                continue;
            }
            let scraped = page_of(sim, &wanted, url);
            job.credits += scraped.credits;
            job.pages.push(Page { document: scraped.document, item: scraped.item.filter(|_| scraped.good) });
        }
        sim.random(&["batch order", &id]).shuffle(&mut job.pages);
        charge(sim, job.credits);
        let mut body = json!({
            "success": true, "id": id,
            "url": format!("{origin}/firecrawl/{}/batch/scrape/{id}", version.name()),
        });
        if !wanted.invalid.is_empty() {
            body["invalidURLs"] = json!(wanted.invalid);
        }
        let mut reply = Reply::json(200, &body);
        reply.charged = job.pages.iter().filter_map(|page| page.item.clone()).collect();
        let mut state = lock(&sim.state);
        state.firecrawl.keys.extend(idempotency);
        state.firecrawl.jobs.insert(id, job);
        reply
    }))
}

fn job_call(sim: &Sim, call: &Call, operation: &'static str, id: &str) -> Result<Planned, Reply> {
    if !lock(&sim.state).firecrawl.jobs.contains_key(id) {
        return Err(error(404, None, "Job not found"));
    }
    let id = id.to_owned();
    let origin = call.origin();
    let skip: usize = match call.query("skip").map(str::parse) {
        None => 0,
        Some(Ok(skip)) => skip,
        Some(Err(_)) => return Err(error(400, Some("BAD_REQUEST"), "Invalid skip")),
    };
    Ok(Planned::new(operation, id.clone(), move |sim| {
        let expires = iso(sim.now() + chrono::Duration::hours(24));
        let mut state = lock(&sim.state);
        let Some(job) = state.firecrawl.jobs.get_mut(&id) else { return error(404, None, "Job not found") };
        match operation {
            "batch_errors" => {
                let errors: Vec<Value> = job
                    .failed
                    .iter()
                    .map(|(url, why)| {
                        let error_id = sim.random(&["error", url]).uuid();
                        json!({"id": error_id, "timestamp": iso(sim.now()), "url": url, "error": why})
                    })
                    .collect();
                Reply::json(200, &json!({"errors": errors, "robotsBlocked": []}))
            }
            "batch_cancel" => {
                job.cancelled = true;
                let message = "Batch scrape job successfully cancelled.";
                Reply::json(200, &json!({"success": true, "message": message}))
            }
            _ => status(sim, job, &id, &origin, skip, expires),
        }
    }))
}

/// A page of results: only a request without `skip` moves the job on.
fn status(sim: &Sim, job: &mut Job, id: &str, origin: &str, skip: usize, expires: String) -> Reply {
    if skip == 0 {
        job.polls += 1;
    }
    let total = job.pages.len() + job.failed.len();
    let done = job.polls >= sim.config.batch_polls;
    let ready = if done { job.pages.len() } else { job.pages.len() / 2 };
    let shown = &job.pages[skip.min(ready)..(skip + sim.config.batch_page).min(ready).max(skip.min(ready))];
    let word = match (job.cancelled, done) {
        (true, _) => "cancelled",
        (_, true) => "completed",
        _ => "scraping",
    };
    let mut body = json!({
        "success": true, "status": word, "total": total, "completed": ready, "creditsUsed": job.credits,
        "expiresAt": expires, "data": shown.iter().map(|page| &page.document).collect::<Vec<_>>(),
    });
    let next = skip + shown.len();
    if next < ready || !done {
        body["next"] =
            json!(format!("{origin}/firecrawl/{}/batch/scrape/{id}?skip={next}", job.version.name()));
    }
    let mut reply = Reply::json(200, &body);
    reply.delivers = shown.iter().filter_map(|page| page.item.clone()).collect();
    reply.paid_as = Some("batch");
    reply
}
