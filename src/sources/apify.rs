//! Apify: a run of an actor for each batch; its id is told before it is waited for, its dataset read to the end.
//!
//! Starting a run is not idempotent. Where an earlier start may have been heard, the actor's recent runs are looked
//! at, and the one that was given exactly these addresses is taken over.

use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::http::{Http, Reply};
use super::secret::Secret;
use super::{Answer, Conduct, Fault, Item, Operation, Probe, Request, Source, page_url, wait_on};
use crate::clock::Clock;
use crate::model::{Asin, Cost, FaultKind, Marketplace, Rate, Timestamp, micros_of_dollars};
use crate::normalize::{RecordFormat, recognise};

pub const NAME: &str = "apify";
/// Items of one page of a dataset.
const PAGE: usize = 1_000;
/// Runs of one page of an actor's runs.
const RUNS_PAGE: usize = 1_000;
/// A provider's clock may be so far behind ours.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(10);
/// Between two looks at a run, where the provider does not hold the first one.
const SHORTEST_POLL: Duration = Duration::from_millis(250);
const LONGEST_POLL: Duration = Duration::from_secs(5);
/// A dataset and the price of a run may lag behind its end.
const SETTLE: Duration = Duration::from_millis(500);
/// Final prices settle about ten seconds after the end.
const PRICE_SETTLE: Duration = Duration::from_secs(4);
const PRICE_LOOKS: u32 = 3;

#[derive(Clone, Debug)]
pub struct Options {
    pub base_url: String,
    pub timeout: Duration,
    pub rate: Rate,
    /// Products of one run.
    pub batch: usize,
    /// `user~name` or the opaque id.
    pub actor: String,
    /// JSON with `{{urls}}` where a list of addresses goes, or `{{url_objects}}` for a list of `{"url": …}`. Empty: the
    /// form of a known actor.
    pub input: String,
    /// How long one call waits for the end of a run: 0 to 60 seconds.
    pub wait_s: u32,
    /// Millionths of a dollar of one result, for estimates; the finished run says the real cost.
    pub result_micros: Option<i64>,
}

#[derive(Debug)]
pub struct Apify {
    http: Http,
    token: Secret,
    options: Options,
    input: String,
    operations: [Operation; 1],
}

#[derive(Deserialize)]
struct Wrapped<T> {
    data: T,
}

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
    total: Option<usize>,
}

/// An actor's run.
#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
struct Run {
    id: String,
    status: String,
    #[serde(default)]
    status_message: Option<String>,
    #[serde(default)]
    started_at: Option<Timestamp>,
    #[serde(default)]
    finished_at: Option<Timestamp>,
    #[serde(default)]
    default_dataset_id: Option<String>,
    #[serde(default)]
    default_key_value_store_id: Option<String>,
    #[serde(default)]
    usage_total_usd: Option<f64>,
}

#[derive(Deserialize, Default)]
struct ErrorBody {
    error: ErrorText,
}

#[derive(Deserialize, Default)]
struct ErrorText {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    message: String,
}

/// What an item says of whether its page was found.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Head {
    status_code: Option<i64>,
    status_message: Option<String>,
    error: Option<serde::de::IgnoredAny>,
}

impl Run {
    fn is_final(&self) -> bool {
        !matches!(self.status.as_str(), "READY" | "RUNNING" | "TIMING-OUT" | "ABORTING")
    }

    fn succeeded(&self) -> bool {
        self.status == "SUCCEEDED"
    }
}

impl Apify {
    /// Errors: no input is known for the actor, or one that is no JSON.
    pub fn new(options: Options, token: Secret, clock: Clock) -> anyhow::Result<Apify> {
        let http = Http::new(&options.base_url, options.timeout, vec![token.clone()], clock)?;
        let input = match options.input.trim() {
            "" => preset(&options.actor).ok_or_else(|| {
                anyhow::anyhow!(
                    "the input of actor {} is not known: give it as `input` under [apify]",
                    options.actor
                )
            })?,
            given => given,
        }
        .to_owned();
        let operations = [Operation {
            name: "product",
            batch: options.batch,
            rate: options.rate,
            is_paid: true,
            is_rate_own: true,
        }];
        let apify = Apify { http, token, options, input, operations };
        apify.filled(&[String::new()])?;
        Ok(apify)
    }

    /// The actor's input for these addresses.
    fn filled(&self, urls: &[String]) -> anyhow::Result<Value> {
        let template: Value = serde_json::from_str(&self.input)
            .map_err(|error| anyhow::anyhow!("`input` under [apify] is not JSON: {error}"))?;
        let mut places = 0;
        let filled = fill(template, urls, &mut places);
        anyhow::ensure!(
            places > 0,
            "`input` under [apify] has no \"{{{{urls}}}}\" nor \"{{{{url_objects}}}}\""
        );
        Ok(filled)
    }

    fn authorised(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request.bearer_auth(self.token.reveal())
    }

    fn refusal(&self, reply: &Reply) -> Fault {
        let ErrorBody { error } = serde_json::from_slice(&reply.body).unwrap_or_default();
        let mut fault = self.http.refusal(reply);
        match error.kind.as_str() {
            // Whatever status they come with: too much is running now, waiting helps.
            "concurrent-runs-limit-exceeded" | "actor-memory-limit-exceeded" | "rate-limit-exceeded" => {
                fault.kind = FaultKind::RateLimited;
            }
            "not-enough-usage-to-run-paid-actor" => fault.kind = FaultKind::Exhausted,
            "" => return fault,
            _ => {}
        }
        let said = format!("{}: {}", error.kind, error.message);
        fault.detail = format!("status {}, {}", reply.status.as_u16(), self.http.quoted(&said));
        fault
    }

    async fn free<T: serde::de::DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, Fault> {
        let reply = self.http.send_well(self.authorised(request)).await?;
        Ok(reply.json::<Wrapped<T>>(&self.http)?.data)
    }

    async fn start(&self, urls: &[String]) -> Result<Run, Fault> {
        let input = self.filled(urls).map_err(|error| Fault::new(FaultKind::Refused, error.to_string()))?;
        let path = format!("/v2/actors/{}/runs", self.options.actor);
        let reply = self.http.send(self.authorised(self.http.post(&path)).json(&input)).await?;
        if !reply.is_success() {
            // A gateway that gave up waiting does not know whether the run was started.
            let may_have_arrived = matches!(reply.status.as_u16(), 408 | 502 | 504);
            return Err(Fault { may_have_arrived, ..self.refusal(&reply) });
        }
        Ok(reply.json::<Wrapped<Run>>(&self.http)?.data)
    }

    /// The run that an earlier start of the same request made, when there is one.
    async fn find_started(
        &self,
        request: &Request,
        urls: &[String],
        conduct: &dyn Conduct,
    ) -> Result<Option<Run>, Fault> {
        let path = format!("/v2/actors/{}/runs", self.options.actor);
        let wanted = self.filled(urls).map_err(|error| Fault::new(FaultKind::Refused, error.to_string()))?;
        let mut offset = 0;
        loop {
            // The newest first: whatever starts meanwhile shifts runs to the next page, and none away.
            let query =
                [("desc", "1".to_owned()), ("offset", offset.to_string()), ("limit", RUNS_PAGE.to_string())];
            let runs: List<Run> = self.free(self.http.get(&path).query(&query)).await?;
            let (count, total) = (runs.items.len(), runs.total);
            for run in runs.items {
                if run.started_at.is_some_and(|at| at < request.sent_at - CLOCK_TOLERANCE) {
                    return Ok(None);
                }
                if !conduct.is_job_taken(&run.id).await? && self.has_input(&run, &wanted).await? {
                    return Ok(Some(run));
                }
            }
            offset += count;
            if count == 0 || total.is_none_or(|total| offset >= total) {
                return Ok(None);
            }
        }
    }

    /// Was the run started with this input? An answer that cannot be read is a fault, not a no.
    async fn has_input(&self, run: &Run, wanted: &Value) -> Result<bool, Fault> {
        let Some(store) = &run.default_key_value_store_id else { return Ok(false) };
        let path = format!("/v2/key-value-stores/{store}/records/INPUT");
        match self.http.send_well(self.authorised(self.http.get(&path))).await {
            // Another run's input may be anything; a page of some proxy is none.
            Ok(reply) if !["json", "html"].iter().any(|kind| reply.is_of(kind)) => Ok(false),
            Ok(reply) => Ok(reply.json::<Value>(&self.http)? == *wanted),
            Err(fault) if fault.kind == FaultKind::Refused => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Waits for the end of a run, but not for ever: one that takes longer is looked at again by the next of ours.
    async fn wait(&self, run_id: &str) -> Result<Run, Fault> {
        let path = format!("/v2/actor-runs/{run_id}");
        let began = tokio::time::Instant::now();
        let mut pause = SHORTEST_POLL;
        loop {
            let asked_at = tokio::time::Instant::now();
            let query = [("waitForFinish", self.options.wait_s.to_string())];
            let run: Run = self.free(self.http.get(&path).query(&query)).await?;
            if run.is_final() {
                return Ok(run);
            }
            wait_on(began, || format!("run {run_id} is still {}", run.status))?;
            // A server that did not wait is not asked again at once.
            tokio::time::sleep_until(asked_at + pause).await;
            pause = (2 * pause).min(LONGEST_POLL);
        }
    }

    /// The dataset's items as text, read by offset against the total.
    async fn items(&self, dataset: &str) -> Result<Vec<Box<RawValue>>, Fault> {
        let path = format!("/v2/datasets/{dataset}/items");
        let mut items: Vec<Box<RawValue>> = Vec::new();
        loop {
            let query =
                [("format", "json"), ("offset", &items.len().to_string()), ("limit", &PAGE.to_string())];
            let reply = self.http.send_well(self.authorised(self.http.get(&path).query(&query))).await?;
            let page: Vec<Box<RawValue>> = reply.json(&self.http)?;
            let total = reply.header("x-apify-pagination-total").and_then(|total| total.parse().ok());
            let is_last = page.is_empty();
            items.extend(page);
            if is_last || total.is_none_or(|total: usize| items.len() >= total) {
                return Ok(items);
            }
        }
    }

    /// Everything a run has for the products that were asked for.
    async fn collect(&self, request: &Request, run_id: &str) -> Result<Answer, Fault> {
        let mut run = self.wait(run_id).await?;
        let items = match run.default_dataset_id.clone() {
            Some(dataset) => {
                let items = self.items(&dataset).await?;
                if items.len() < request.asins.len() && run.succeeded() {
                    // Its end may be known before its last items and its price are.
                    tokio::time::sleep(SETTLE).await;
                    run = self.wait(run_id).await?;
                    self.items(&dataset).await?
                } else {
                    items
                }
            }
            None => Vec::new(),
        };
        for _ in 0..PRICE_LOOKS {
            let is_priced = items.is_empty() || run.usage_total_usd.is_some_and(|usd| usd > 0.0);
            if is_priced {
                break;
            }
            tokio::time::sleep(PRICE_SETTLE).await;
            run = self.wait(run_id).await?;
        }
        Ok(self.judged(request, &run, items))
    }

    fn judged(&self, request: &Request, run: &Run, raw: Vec<Box<RawValue>>) -> Answer {
        let units = raw.len() as i64;
        // Nothing for something is a price that is not known yet.
        let told = run.usage_total_usd.filter(|usd| *usd > 0.0 || units == 0);
        let micros = told.and_then(micros_of_dollars);
        let micros = micros.or_else(|| Cost::of_units(units, self.options.result_micros).micros);
        let observed_at = run.finished_at.unwrap_or_else(|| self.http.now());
        let mut answer =
            Answer { cost: Cost { units, micros }, job_id: Some(run.id.clone()), ..Answer::default() };
        for (index, item) in raw.into_iter().enumerate() {
            let body = item.get().as_bytes().to_vec();
            let recognised = recognise(RecordFormat::Json, &body);
            let Some(asin) = recognised.asin_requested.or(recognised.asin_returned) else { continue };
            let head: Head = serde_json::from_slice(&body).unwrap_or_default();
            let is_absent = head.status_code == Some(404);
            if let Some(fault) = failed_item(&head).filter(|_| !is_absent) {
                answer.failed.push((asin, fault));
                continue;
            }
            let (kind, format, index) = ("product", RecordFormat::Json, index as u32);
            answer.items.push(Item { asin, kind, format, body, observed_at, index, is_absent });
        }
        let missing = super::without_answer(&request.asins, &answer.items, &answer.failed);
        for asin in missing {
            let (kind, said) = if run.succeeded() {
                (FaultKind::Missing, "the run's dataset has no item for it".to_owned())
            } else {
                let message = run.status_message.as_deref().unwrap_or_default();
                let said = self.http.quoted(message);
                (FaultKind::JobFailed, format!("run {} ended as {} {said}", run.id, run.status))
            };
            answer.failed.push((asin, Fault::new(kind, said)));
        }
        answer
    }
}

/// The fault of an item that tells of no product.
fn failed_item(head: &Head) -> Option<Fault> {
    match head.status_code {
        Some(200) | None => {
            head.error.as_ref().map(|_| Fault::new(FaultKind::Missing, "the item is an error"))
        }
        Some(status) => {
            let said = head.status_message.as_deref().unwrap_or_default();
            Some(Fault::new(FaultKind::Missing, format!("the page answered {status} {said}")))
        }
    }
}

/// The input of actors whose items are understood.
fn preset(actor: &str) -> Option<&'static str> {
    let name = actor.replace('/', "~");
    if name.starts_with("axesso_data~amazon-product-details") {
        Some(r#"{"urls": "{{urls}}"}"#)
    } else if name.starts_with("junglee~") {
        Some(r#"{"categoryOrProductUrls": "{{url_objects}}", "maxItemsPerStartUrl": 1}"#)
    } else {
        None
    }
}

/// Puts the addresses where the template has their names, and counts the places.
fn fill(template: Value, urls: &[String], places: &mut usize) -> Value {
    match template {
        Value::String(text) if text == "{{urls}}" => {
            *places += 1;
            Value::from(urls.to_vec())
        }
        Value::String(text) if text == "{{url_objects}}" => {
            *places += 1;
            urls.iter().map(|url| serde_json::json!({ "url": url })).collect()
        }
        Value::Array(values) => values.into_iter().map(|value| fill(value, urls, places)).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, fill(value, urls, places))).collect()
        }
        other => other,
    }
}

fn urls_of(marketplace: Marketplace, asins: &[Asin]) -> Vec<String> {
    asins.iter().map(|&asin| page_url(marketplace, asin)).collect()
}

#[async_trait]
impl Source for Apify {
    fn name(&self) -> &'static str {
        NAME
    }

    fn operations(&self) -> &[Operation] {
        &self.operations
    }

    fn serves(&self, _marketplace: Marketplace) -> bool {
        true
    }

    fn unit(&self) -> &'static str {
        "results"
    }

    fn estimate(&self, _operation: &str, products: usize, _has_history: bool) -> Cost {
        Cost::of_units(products as i64, self.options.result_micros)
    }

    fn can_resume(&self) -> bool {
        true
    }

    async fn fetch(&self, request: &Request, conduct: &dyn Conduct) -> Result<Answer, Fault> {
        let urls = urls_of(request.marketplace, &request.asins);
        let run_id = match &request.job_id {
            Some(run_id) => run_id.clone(),
            None => {
                let found = match request.may_have_started {
                    true => self.find_started(request, &urls, conduct).await?,
                    false => None,
                };
                let run = match found {
                    Some(run) => run,
                    None => self.start(&urls).await?,
                };
                conduct.job_started(&run.id).await?;
                run.id
            }
        };
        self.collect(request, &run_id).await
    }

    async fn probe(&self) -> Result<Probe, Fault> {
        let send = |path: &'static str| self.http.send(self.authorised(self.http.get(path)));
        let reply = send("/v2/users/me").await?;
        if !reply.is_success() {
            return Err(self.refusal(&reply));
        }
        let skew = reply.date().map(|date| date - self.http.now());
        let usage = send("/v2/users/me/limits").await?;
        let usage: Value = serde_json::from_slice(&usage.body).unwrap_or_default();
        let dollars = |pointer| usage.pointer(pointer).and_then(Value::as_f64);
        let used = dollars("/data/current/monthlyUsageUsd");
        let most = dollars("/data/limits/maxMonthlyUsageUsd");
        // A sum of nothing may come as less than nothing.
        let used = used.map(|used| used.max(0.0) + 0.0);
        let balance = used.zip(most).map(|(used, most)| format!("${used:.2} of ${most:.2} used this month"));
        Ok(Probe { checked: "reachable, token accepted".into(), balance, skew })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(actor: &str, input: &str) -> Options {
        Options {
            base_url: "https://api.example.com".into(),
            timeout: Duration::from_secs(1),
            rate: Rate { per_second: 1.0, burst: 1 },
            batch: 10,
            actor: actor.into(),
            input: input.into(),
            wait_s: 1,
            result_micros: Some(2_000),
        }
    }

    fn apify(actor: &str, input: &str) -> anyhow::Result<Apify> {
        let now = "2026-05-01T12:00:00Z".parse().unwrap();
        Apify::new(options(actor, input), Secret::new("t"), Clock::Fixed(now))
    }

    #[test]
    fn known_actors_have_their_input_and_others_need_one_with_a_place_for_the_addresses() {
        let urls = ["https://www.amazon.com/dp/B000000001".to_owned()];
        let filled =
            |actor: &str, input: &str| apify(actor, input).unwrap().filled(&urls).unwrap().to_string();
        assert_eq!(
            filled("axesso_data~amazon-product-details-scraper", ""),
            r#"{"urls":["https://www.amazon.com/dp/B000000001"]}"#
        );
        assert_eq!(
            filled("junglee~free-amazon-product-scraper", ""),
            r#"{"categoryOrProductUrls":[{"url":"https://www.amazon.com/dp/B000000001"}],"maxItemsPerStartUrl":1}"#
        );
        assert_eq!(filled("me~own", r#"{"a":[{"b":"{{urls}}"}],"c":1}"#).matches("B000000001").count(), 1);
        for (actor, input, message) in [
            ("me~own", "", "is not known"),
            ("me~own", "{", "is not JSON"),
            ("me~own", r#"{"urls":[]}"#, "has no"),
        ] {
            let error = apify(actor, input).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn a_run_that_failed_keeps_what_it_has_and_says_so_of_the_rest() {
        let request = Request {
            operation: "product",
            marketplace: Marketplace::Us,
            asins: ["B000000001", "B000000002", "B000000003", "B000000004"]
                .map(|asin| asin.parse().unwrap())
                .to_vec(),
            history: None,
            request_id: 1,
            sent_at: Timestamp::UNIX_EPOCH,
            job_id: None,
            may_have_started: false,
        };
        let run: Run = serde_json::from_str(
            r#"{"id":"r1","status":"TIMED-OUT","finishedAt":"2026-05-01T11:00:00.000Z","usageTotalUsd":0.0123}"#,
        )
        .unwrap();
        let items = [
            r#"{"statusCode":200,"url":"https://www.amazon.com/dp/B000000001","asin":"B000000001","title":"x"}"#,
            r#"{"statusCode":404,"statusMessage":"NOT_FOUND","url":"https://www.amazon.com/dp/B000000002"}"#,
            r#"{"statusCode":503,"statusMessage":"BLOCKED","url":"https://www.amazon.com/dp/B000000003"}"#,
        ];
        let raw = items.iter().map(|item| RawValue::from_string((*item).to_owned()).unwrap()).collect();
        let apify = apify("axesso_data~amazon-product-details-scraper", "").unwrap();
        let answer = apify.judged(&request, &run, raw);
        let found: Vec<_> =
            answer.items.iter().map(|item| (item.asin.to_string(), item.is_absent, item.index)).collect();
        assert_eq!(found, [("B000000001".to_owned(), false, 0), ("B000000002".to_owned(), true, 1)]);
        assert_eq!(answer.items[0].body, items[0].as_bytes(), "byte for byte");
        assert_eq!(answer.items[0].observed_at, "2026-05-01T11:00:00Z".parse::<Timestamp>().unwrap());
        let failed: Vec<_> = answer.failed.iter().map(|(asin, fault)| format!("{asin} {fault}")).collect();
        assert_eq!(
            failed,
            [
                "B000000003 missing: the page answered 503 BLOCKED",
                "B000000004 job_failed: run r1 ended as TIMED-OUT "
            ]
        );
        assert_eq!(answer.cost, Cost { units: 3, micros: Some(12_300) });
    }
}
