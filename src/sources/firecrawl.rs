//! Firecrawl: product pages as raw HTML, one by one or as a batch job; a credit each.
//!
//! An answer says `success` for captchas too: the target's status is judged first, then the page itself.

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::http::{Http, Reply};
use super::pages::{PageVerdict, judge};
use super::secret::Secret;
use super::{
    Answer, Conduct, Fault, Item, Operation, Probe, Request, Source, page_url, wait_on, without_answer,
};
use crate::clock::Clock;
use crate::ids::stable_id;
use crate::model::{Asin, Cost, FaultKind, Marketplace, ProductRef, Rate, Timestamp};
use crate::normalize::RecordFormat;

pub const NAME: &str = "firecrawl";
/// Pause between two looks at a batch job.
const POLL: Duration = Duration::from_secs(2);
/// What the provider itself may take for a page, below the client's own limit.
const OWN_MARGIN: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    V1,
    V2,
}

#[derive(Clone, Debug)]
pub struct Options {
    /// Without the version.
    pub base_url: String,
    pub version: Version,
    pub timeout: Duration,
    pub rate: Rate,
    /// Pages of one batch job; 1 asks page by page.
    pub batch: usize,
    /// `basic`, `stealth`, `auto`; empty: as the provider does it.
    pub proxy: String,
    /// Millionths of a dollar of one credit.
    pub credit_micros: Option<i64>,
}

#[derive(Debug)]
pub struct Firecrawl {
    http: Http,
    key: Secret,
    options: Options,
    operations: [Operation; 1],
}

/// One page, as `data` of a scrape or an item of a batch.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Page {
    raw_html: Option<String>,
    metadata: Metadata,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    status_code: Option<i64>,
    error: Option<String>,
    #[serde(rename = "sourceURL")]
    source_url: Option<String>,
    url: Option<String>,
    cache_state: Option<String>,
    cached_at: Option<String>,
    credits_used: Option<i64>,
}

#[derive(Deserialize)]
struct Scrape {
    success: bool,
    #[serde(default)]
    data: Page,
}

#[derive(Deserialize)]
struct Started {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    status: String,
    #[serde(default)]
    credits_used: Option<i64>,
    #[serde(default)]
    next: Option<String>,
    #[serde(default)]
    data: Vec<Box<RawValue>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Errors {
    errors: Vec<PageError>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PageError {
    url: String,
    error: String,
}

impl Firecrawl {
    pub fn new(options: Options, key: Secret, clock: Clock) -> anyhow::Result<Firecrawl> {
        let http = Http::new(&options.base_url, options.timeout, vec![key.clone()], clock)?;
        let operations = [Operation {
            name: "product",
            batch: options.batch.max(1),
            rate: options.rate,
            is_paid: true,
            is_rate_own: true,
        }];
        Ok(Firecrawl { http, key, options, operations })
    }

    fn path(&self, path: &str) -> String {
        match self.options.version {
            Version::V1 => format!("/v1{path}"),
            Version::V2 => format!("/v2{path}"),
        }
    }

    fn authorised(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request.bearer_auth(self.key.reveal())
    }

    /// What is asked of every page: all of it, as it is now, as somebody in the marketplace's country sees it.
    fn page_options(&self, marketplace: Marketplace) -> Value {
        let country = if marketplace == Marketplace::Uk { "GB" } else { marketplace.code() };
        let timeout = self.options.timeout.saturating_sub(OWN_MARGIN).max(self.options.timeout / 2);
        let mut options = json!({
            "formats": ["rawHtml"],
            "onlyMainContent": false,
            "maxAge": 0,
            "timeout": timeout.as_millis() as u64,
            "location": { "country": country },
        });
        if !self.options.proxy.is_empty() {
            options["proxy"] = Value::from(self.options.proxy.as_str());
        }
        options
    }

    fn refusal(&self, reply: &Reply) -> Fault {
        let fault = self.http.refusal(reply);
        match fault.kind {
            FaultKind::RateLimited => {
                let said = retry_after_text(&String::from_utf8_lossy(&reply.body));
                let wait = said.or(fault.wait);
                fault.wait(wait)
            }
            // A block list, not the key.
            FaultKind::Credentials if reply.status.as_u16() == 403 => {
                Fault { kind: FaultKind::Refused, ..fault }
            }
            _ => fault,
        }
    }

    fn cost(&self, credits: i64) -> Cost {
        Cost::of_units(credits, self.options.credit_micros)
    }

    /// A page's item, or why it is none.
    async fn judged(&self, asin: Asin, page: Page, body: Vec<u8>, index: u32) -> Result<Item, Fault> {
        let Page { raw_html, metadata } = page;
        let status = metadata.status_code.unwrap_or(200);
        let is_absent = match judge(status, raw_html.unwrap_or_default()).await {
            PageVerdict::Product => false,
            PageVerdict::Absent => true,
            PageVerdict::Fault(kind, said) => {
                let target = metadata.error.as_deref().map(|error| format!(" ({error})")).unwrap_or_default();
                return Err(Fault::new(kind, self.http.quoted(&format!("{said}{target}"))));
            }
        };
        let is_cached = metadata.cache_state.as_deref() == Some("hit");
        let cached_at = metadata.cached_at.as_deref().filter(|_| is_cached).and_then(|at| at.parse().ok());
        let observed_at: Timestamp = cached_at.unwrap_or_else(|| self.http.now());
        Ok(Item { asin, kind: "product", format: RecordFormat::Json, body, observed_at, index, is_absent })
    }

    async fn scrape(&self, marketplace: Marketplace, asin: Asin) -> Result<Answer, Fault> {
        let mut body = self.page_options(marketplace);
        body["url"] = Value::from(page_url(marketplace, asin));
        let request = self.authorised(self.http.post(&self.path("/scrape"))).json(&body);
        let reply = self.http.send(request).await?;
        if !reply.is_success() {
            return Err(self.refusal(&reply));
        }
        let scrape: Scrape = reply.json(&self.http)?;
        let cost = self.cost(scrape.data.metadata.credits_used.unwrap_or(1));
        if !scrape.success {
            return Err(self.http.fault(FaultKind::Unavailable, &reply, "success is false").cost(cost));
        }
        let item = self.judged(asin, scrape.data, reply.body, 0).await.map_err(|fault| fault.cost(cost))?;
        Ok(Answer { items: vec![item], cost, ..Answer::default() })
    }

    async fn start(&self, request: &Request) -> Result<String, Fault> {
        let urls: Vec<String> =
            request.asins.iter().map(|&asin| page_url(request.marketplace, asin)).collect();
        // The same request has the same key, so that a start that was heard is refused and not paid again.
        let (row, sent_at) = (request.request_id.to_string(), request.sent_at.timestamp_micros().to_string());
        let mut parts = vec!["firecrawl", row.as_str(), sent_at.as_str()];
        parts.extend(urls.iter().map(String::as_str));
        let key = stable_id(&parts);
        let key = uuid_text(&key);
        let mut body = self.page_options(request.marketplace);
        body["urls"] = Value::from(urls);
        let path = self.path("/batch/scrape");
        let request = self.authorised(self.http.post(&path)).header("x-idempotency-key", key);
        let reply = self.http.send(request.json(&body)).await?;
        if reply.status.as_u16() == 409 {
            let said = "the job was started, but its id was never heard";
            return Err(Fault::new(FaultKind::Lost, said));
        }
        if !reply.is_success() {
            return Err(self.refusal(&reply));
        }
        Ok(reply.json::<Started>(&self.http)?.id)
    }

    /// Waits for a batch job and reads all its pages.
    async fn collect(&self, request: &Request, job: &str) -> Result<Answer, Fault> {
        let path = self.path(&format!("/batch/scrape/{job}"));
        let mut answer = Answer { job_id: Some(job.to_owned()), ..Answer::default() };
        let began = tokio::time::Instant::now();
        let mut skip: Option<u64> = None;
        let mut credits: Option<i64> = None;
        loop {
            let reply = self
                .http
                .send_well({
                    let query = skip.map(|skip| ("skip", skip.to_string()));
                    self.authorised(self.http.get(&path).query(query.as_slice()))
                })
                .await
                .map_err(|fault| expired(fault, job))?;
            let batch: Batch = reply.json(&self.http)?;
            if batch.status == "scraping" && skip.is_none() {
                wait_on(began, || format!("job {job} is still scraping"))?;
                tokio::time::sleep(POLL).await;
                continue;
            }
            credits = batch.credits_used.or(credits);
            for page in batch.data {
                self.take(request, &mut answer, page.get()).await;
            }
            // A next page that does not lie behind this one would be read for ever.
            match batch.next.as_deref().and_then(skip_of).filter(|next| Some(*next) > skip) {
                Some(next) => skip = Some(next),
                None => break,
            }
        }
        answer.cost = self.cost(credits.unwrap_or(answer.items.len() as i64));
        self.note_missing(request, job, &mut answer).await;
        Ok(answer)
    }

    async fn take(&self, request: &Request, answer: &mut Answer, text: &str) {
        let page: Page = serde_json::from_str(text).unwrap_or_default();
        let of = |url: &Option<String>| url.as_deref().and_then(|url| url.parse::<ProductRef>().ok());
        let metadata = &page.metadata;
        let Some(product) = of(&metadata.source_url).or_else(|| of(&metadata.url)) else { return };
        if !request.asins.contains(&product.asin) {
            return;
        }
        let index = (answer.items.len() + answer.failed.len()) as u32;
        match self.judged(product.asin, page, text.as_bytes().to_vec(), index).await {
            Ok(item) => answer.items.push(item),
            Err(fault) => answer.failed.push((product.asin, fault)),
        }
    }

    /// Pages that failed are listed apart.
    async fn note_missing(&self, request: &Request, job: &str, answer: &mut Answer) {
        let missing = without_answer(&request.asins, &answer.items, &answer.failed);
        if missing.is_empty() {
            return;
        }
        let path = self.path(&format!("/batch/scrape/{job}/errors"));
        // Without the reasons the pages are missing all the same, and those that are there are not given up for them.
        let reply = self.http.send_well(self.authorised(self.http.get(&path))).await;
        let errors: Errors = reply.and_then(|reply| reply.json(&self.http)).unwrap_or_default();
        for asin in missing {
            let said = errors
                .errors
                .iter()
                .find(|error| error.url.parse::<ProductRef>().is_ok_and(|product| product.asin == asin));
            let said = said.map_or("the job has no page for it", |error| error.error.as_str());
            answer.failed.push((asin, Fault::new(FaultKind::Missing, self.http.quoted(said))));
        }
    }
}

/// A job that is gone was paid for and cannot be read any more.
fn expired(fault: Fault, job: &str) -> Fault {
    match fault.kind {
        FaultKind::Refused => Fault::new(FaultKind::JobFailed, format!("job {job}: {}", fault.detail)),
        _ => fault,
    }
}

/// Where the next page begins. Its address may name another host than ours, that of a service behind a proxy: it is
/// not followed.
fn skip_of(next: &str) -> Option<u64> {
    let url = reqwest::Url::parse(next).ok()?;
    url.query_pairs().find(|(name, _)| name == "skip")?.1.parse().ok()
}

/// The seconds in `… please retry after 7s, resets at …`.
fn retry_after_text(text: &str) -> Option<Duration> {
    let rest = text.split("retry after ").nth(1)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some(Duration::from_secs(digits.parse::<u64>().ok()?.min(24 * 3600)))
}

/// 32 hexadecimal digits in the form of a UUID, which the provider asks for.
fn uuid_text(digits: &str) -> String {
    let part = |range: std::ops::Range<usize>| digits.get(range).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))
}

#[async_trait]
impl Source for Firecrawl {
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
        "credits"
    }

    fn estimate(&self, _operation: &str, products: usize, _has_history: bool) -> Cost {
        // `auto` may turn into stealth on its own.
        let each = if matches!(self.options.proxy.as_str(), "stealth" | "auto") { 5 } else { 1 };
        self.cost(each * products as i64)
    }

    fn can_resume(&self) -> bool {
        self.options.batch > 1
    }

    async fn fetch(&self, request: &Request, conduct: &dyn Conduct) -> Result<Answer, Fault> {
        if self.options.batch <= 1 && request.job_id.is_none() {
            let Some(&asin) = request.asins.first() else { return Ok(Answer::default()) };
            return self.scrape(request.marketplace, asin).await;
        }
        let job = match &request.job_id {
            Some(job) => job.clone(),
            None => {
                let job = self.start(request).await?;
                conduct.job_started(&job).await?;
                job
            }
        };
        self.collect(request, &job).await
    }

    async fn probe(&self) -> Result<Probe, Fault> {
        let reply = self.http.send(self.authorised(self.http.get(&self.path("/team/credit-usage")))).await?;
        if !reply.is_success() {
            return Err(self.refusal(&reply));
        }
        let usage: Value = reply.json(&self.http)?;
        let left = ["/data/remainingCredits", "/data/remaining_credits"]
            .iter()
            .find_map(|pointer| usage.pointer(pointer)?.as_f64());
        let skew = reply.date().map(|date| date - self.http.now());
        Ok(Probe {
            checked: "reachable, key accepted".into(),
            balance: left.map(|left| format!("{left} credits")),
            skew,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_taken_from_the_text() {
        let text = "Rate limit exceeded. Consumed (req/min): 101. Please upgrade, or please retry after 17s, resets at …";
        assert_eq!(retry_after_text(text), Some(Duration::from_secs(17)));
        for text in ["", "retry after soon", "later"] {
            assert_eq!(retry_after_text(text), None);
        }
    }

    #[test]
    fn the_next_page_is_known_by_where_it_begins() {
        assert_eq!(skip_of("http://10.0.0.7:3002/v2/batch/scrape/1-2?skip=10"), Some(10));
        for text in [
            "",
            "/v2/batch/scrape/1-2?skip=10",
            "https://api.firecrawl.dev/v2/batch/scrape/1",
            "https://a.b/?skip=x",
        ] {
            assert_eq!(skip_of(text), None, "{text}");
        }
    }

    #[test]
    fn an_idempotency_key_has_the_form_of_a_uuid() {
        assert_eq!(uuid_text("00112233445566778899aabbccddeeff"), "00112233-4455-6677-8899-aabbccddeeff");
    }
}
