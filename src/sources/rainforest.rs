//! Rainforest: one product a call, one credit each.

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;

use super::http::{Http, Reply};
use super::secret::Secret;
use super::{Answer, Conduct, Fault, Item, Operation, Probe, Request, Source, absence};
use crate::clock::Clock;
use crate::model::{Cost, FaultKind, Marketplace, Rate, Timestamp};
use crate::normalize::RecordFormat;

pub const NAME: &str = "rainforest";

#[derive(Clone, Debug)]
pub struct Options {
    pub base_url: String,
    pub timeout: Duration,
    pub rate: Rate,
    /// Millionths of a dollar of one credit.
    pub credit_micros: Option<i64>,
}

#[derive(Debug)]
pub struct Rainforest {
    http: Http,
    key: Secret,
    options: Options,
    operations: [Operation; 1],
}

/// What the adapter looks at; the rest is the normalizer's.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Envelope {
    request_info: RequestInfo,
    request_metadata: RequestMetadata,
    product: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RequestInfo {
    success: Option<bool>,
    message: Option<String>,
    credits_used_this_request: Option<i64>,
    credits_remaining: Option<i64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RequestMetadata {
    processed_at: Option<String>,
}

impl Rainforest {
    pub fn new(options: Options, key: Secret, clock: Clock) -> anyhow::Result<Rainforest> {
        let http = Http::new(&options.base_url, options.timeout, vec![key.clone()], clock)?;
        let operations =
            [Operation { name: "product", batch: 1, rate: options.rate, is_paid: true, is_rate_own: true }];
        Ok(Rainforest { http, key, options, operations })
    }

    /// A refusal with the provider's own words, where it gives any.
    fn refusal(&self, reply: &Reply) -> Fault {
        let said: Envelope = serde_json::from_slice(&reply.body).unwrap_or_default();
        let mut fault = self.http.refusal(reply);
        if let Some(message) = said.request_info.message {
            fault.detail = format!("status {}, {}", reply.status.as_u16(), self.http.quoted(&message));
        }
        fault
    }
}

#[async_trait]
impl Source for Rainforest {
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
        Cost::of_units(products as i64, self.options.credit_micros)
    }

    async fn fetch(&self, request: &Request, _conduct: &dyn Conduct) -> Result<Answer, Fault> {
        let Some(&asin) = request.asins.first() else { return Ok(Answer::default()) };
        let query = [
            ("api_key", self.key.reveal()),
            ("type", "product"),
            ("amazon_domain", request.marketplace.domain()),
            ("asin", asin.as_str()),
        ];
        let reply = self.http.send(self.http.get("/request").query(&query)).await?;
        let absent = || {
            let reason = "the provider says there is none";
            let item = absence(NAME, request.marketplace, asin, "product", reason, self.http.now(), 0);
            let cost = self.estimate("product", 1, false);
            Answer { items: vec![item], cost, ..Answer::default() }
        };
        if reply.status.as_u16() == 404 {
            return Ok(absent());
        }
        if !reply.is_success() {
            return Err(self.refusal(&reply));
        }
        let envelope: Envelope = reply.json(&self.http)?;
        let info = &envelope.request_info;
        let cost = Cost::of_units(info.credits_used_this_request.unwrap_or(1), self.options.credit_micros);
        if info.success != Some(true) {
            let message = info.message.as_deref().unwrap_or("success is not true");
            // It says so with a good status too.
            if message.to_ascii_lowercase().contains("not found") {
                return Ok(absent());
            }
            return Err(Fault::new(FaultKind::Refused, self.http.quoted(message)).cost(cost));
        }
        if envelope.product.is_none() {
            return Err(self
                .http
                .fault(FaultKind::Malformed, &reply, "an answer without a product")
                .cost(cost));
        }
        let processed_at =
            envelope.request_metadata.processed_at.as_deref().and_then(|text| text.parse().ok());
        let observed_at: Timestamp = processed_at.unwrap_or_else(|| self.http.now());
        let left = info.credits_remaining;
        let item = Item {
            asin,
            kind: "product",
            format: RecordFormat::Json,
            body: reply.body.clone(),
            observed_at,
            index: 0,
            is_absent: false,
        };
        Ok(Answer {
            items: vec![item],
            cost,
            balance: left.map(|left| format!("{left} credits")),
            is_exhausted: left == Some(0),
            ..Answer::default()
        })
    }

    /// No free call of this provider is known: whether the key is accepted shows with the first request.
    async fn probe(&self) -> Result<Probe, Fault> {
        let reply = self.http.send(self.http.get("/")).await?;
        let checked = "reachable; its key is only checked by the first request".to_owned();
        Ok(Probe { checked, balance: None, skew: reply.date().map(|date| date - self.http.now()) })
    }
}
