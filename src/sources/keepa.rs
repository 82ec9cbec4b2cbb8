//! Keepa: up to a hundred products a call, paid in tokens that refill by the minute.

use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::http::{Http, Reply};
use super::secret::Secret;
use super::{Answer, Conduct, Fault, Item, Operation, Probe, Request, Source, absence, without_answer};
use crate::clock::Clock;
use crate::model::{Asin, Cost, FaultKind, Marketplace, Rate, Timestamp};
use crate::normalize::RecordFormat;

pub const NAME: &str = "keepa";
/// Products of one call, and with offers.
const BATCH: usize = 100;
const BATCH_WITH_OFFERS: usize = 20;
/// Days that `stats` averages over; they cost nothing.
const STATS_DAYS: u32 = 90;
/// Keepa's minute 0 is 2011-01-01T00:00Z.
const EPOCH_MINUTES: i64 = 21_564_000;
/// Tokens of a page of ten offers.
const TOKENS_PER_OFFER_PAGE: i64 = 6;
/// What the buy box costs on top.
const TOKENS_BUY_BOX: i64 = 2;
/// Product types that say that Keepa knows nothing: no data, invalid.
const UNKNOWN_TYPES: [i64; 2] = [3, 4];

/// What is asked, beside the products.
#[derive(Clone, Debug)]
pub struct Options {
    pub base_url: String,
    pub timeout: Duration,
    pub rate: Rate,
    pub buy_box: bool,
    /// Offers of each product, 20 to 100; 0 for none.
    pub offers: u32,
    /// Millionths of a dollar of one token.
    pub token_micros: Option<i64>,
}

#[derive(Debug)]
pub struct Keepa {
    http: Http,
    key: Secret,
    options: Options,
    operations: [Operation; 1],
}

/// What every reply says of the quota, errors included.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Envelope<'a> {
    timestamp: Option<i64>,
    tokens_left: Option<i64>,
    refill_in: Option<i64>,
    refill_rate: Option<i64>,
    tokens_consumed: Option<i64>,
    #[serde(borrow)]
    products: Option<Vec<Option<&'a RawValue>>>,
    error: Option<ErrorText>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ErrorText {
    #[serde(rename = "type")]
    kind: Option<String>,
    message: Option<String>,
}

/// What a product says of itself.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Head {
    asin: Option<String>,
    last_update: Option<i64>,
    product_type: Option<i64>,
    title: Option<serde::de::IgnoredAny>,
}

impl Keepa {
    pub fn new(options: Options, key: Secret, clock: Clock) -> anyhow::Result<Keepa> {
        let http = Http::new(&options.base_url, options.timeout, vec![key.clone()], clock)?;
        let batch = if options.offers > 0 { BATCH_WITH_OFFERS } else { BATCH };
        let operations =
            [Operation { name: "product", batch, rate: options.rate, is_paid: true, is_rate_own: true }];
        Ok(Keepa { http, key, options, operations })
    }

    fn request(&self, request: &Request, domain: u8) -> reqwest::RequestBuilder {
        let asins: Vec<&str> = request.asins.iter().map(Asin::as_str).collect();
        let mut query = vec![
            ("key", self.key.reveal().to_owned()),
            ("domain", domain.to_string()),
            ("asin", asins.join(",")),
            ("stats", STATS_DAYS.to_string()),
            ("rating", "1".to_owned()),
        ];
        match request.history {
            Some(days) => {
                let today = crate::model::Day::from(self.http.now().date_naive());
                let span = (today.no() - days.first.no()).max(0) + 2;
                query.push(("history", "1".to_owned()));
                query.push(("days", span.to_string()));
            }
            None => {
                query.push(("history", "0".to_owned()));
                if self.options.buy_box {
                    query.push(("buybox", "1".to_owned()));
                }
                if self.options.offers > 0 {
                    query.push(("offers", self.options.offers.to_string()));
                }
            }
        }
        self.http.get("/product").query(&query)
    }

    fn refusal(&self, reply: &Reply) -> Fault {
        let envelope: Envelope<'_> = serde_json::from_slice(&reply.body).unwrap_or_default();
        let said = envelope.error.as_ref().map(|error| {
            let part = |text: &Option<String>| text.clone().unwrap_or_default();
            self.http.quoted(&format!("{} {}", part(&error.kind), part(&error.message)))
        });
        let mut fault = self.http.refusal(reply);
        fault.kind = match reply.status.as_u16() {
            402 => FaultKind::Credentials,
            _ => fault.kind,
        };
        if let Some(said) = said.filter(|said| !said.is_empty()) {
            fault.detail = format!("status {}, {said}", reply.status.as_u16());
        }
        if fault.kind == FaultKind::RateLimited {
            fault.wait = envelope.refill_wait().or(fault.wait);
        }
        fault
    }
}

impl Envelope<'_> {
    /// How long until there is a token again: to the next refill, and so many more as the debt needs.
    fn refill_wait(&self) -> Option<Duration> {
        let refill_in = Duration::from_millis(self.refill_in?.max(0).unsigned_abs());
        let debt = -self.tokens_left.unwrap_or(0);
        let rate = self.refill_rate.unwrap_or(0);
        if debt <= 0 || rate <= 0 {
            return Some(refill_in);
        }
        let minutes = (debt as u64).div_ceil(rate as u64);
        Some(refill_in + Duration::from_secs(60 * minutes))
    }

    fn balance(&self) -> Option<String> {
        let rate = self.refill_rate.map(|rate| format!(", {rate} a minute")).unwrap_or_default();
        self.tokens_left.map(|left| format!("{left} tokens{rate}"))
    }
}

#[async_trait]
impl Source for Keepa {
    fn name(&self) -> &'static str {
        NAME
    }

    fn operations(&self) -> &[Operation] {
        &self.operations
    }

    fn serves(&self, marketplace: Marketplace) -> bool {
        marketplace.keepa_domain().is_some()
    }

    fn unit(&self) -> &'static str {
        "tokens"
    }

    fn estimate(&self, _operation: &str, products: usize, has_history: bool) -> Cost {
        let pages = i64::from(self.options.offers.div_ceil(10));
        let extra = i64::from(self.options.buy_box) * TOKENS_BUY_BOX + pages * TOKENS_PER_OFFER_PAGE;
        let each = 1 + if has_history { 0 } else { extra };
        Cost::of_units(each * products as i64, self.options.token_micros)
    }

    async fn fetch(&self, request: &Request, _conduct: &dyn Conduct) -> Result<Answer, Fault> {
        let Some(domain) = request.marketplace.keepa_domain() else {
            return Err(Fault::new(FaultKind::NotServed, format!("no {}", request.marketplace)));
        };
        let reply = self.http.send(self.request(request, domain)).await?;
        if !reply.is_success() {
            return Err(self.refusal(&reply));
        }
        let envelope: Envelope<'_> = reply.json(&self.http)?;
        let cost = Cost::of_units(
            envelope.tokens_consumed.unwrap_or(request.asins.len() as i64),
            self.options.token_micros,
        );
        let Some(products) = &envelope.products else {
            let fault = self.http.fault(FaultKind::Malformed, &reply, "an answer without products");
            return Err(fault.cost(cost));
        };
        let asked_at = envelope.timestamp.and_then(Timestamp::from_timestamp_millis);
        let asked_at = asked_at.unwrap_or_else(|| self.http.now());
        let kind = if request.history.is_some() { "history" } else { "product" };
        let mut items = Vec::with_capacity(request.asins.len());
        let mut is_readable = true;
        for (index, product) in products.iter().enumerate() {
            let Some(raw) = product else { continue };
            let head: Head = serde_json::from_str(raw.get()).unwrap_or_default();
            let Some(asin) = head.asin.as_deref().and_then(|asin| asin.parse::<Asin>().ok()) else {
                is_readable = false;
                continue;
            };
            let is_unknown = head.product_type.is_some_and(|kind| UNKNOWN_TYPES.contains(&kind));
            items.push(Item {
                asin,
                kind,
                format: RecordFormat::Json,
                body: raw.get().as_bytes().to_vec(),
                observed_at: head.last_update.and_then(keepa_time).unwrap_or(asked_at),
                index: index as u32,
                is_absent: is_unknown && head.title.is_none(),
            });
        }
        let missing = without_answer(&request.asins, &items, &[]);
        let mut failed = Vec::new();
        if !is_readable {
            let said = "some entry of the answer names no product";
            failed = missing.iter().map(|&asin| (asin, Fault::new(FaultKind::Malformed, said))).collect();
        }
        let missing = without_answer(&request.asins, &items, &failed);
        for (asin, index) in missing.into_iter().zip(products.len() as u32..) {
            let reason = "the answer has no entry for it";
            items.push(absence(NAME, request.marketplace, asin, kind, reason, asked_at, index));
        }
        let is_in_debt = envelope.tokens_left.is_some_and(|left| left <= 0);
        Ok(Answer {
            items,
            failed,
            cost,
            balance: envelope.balance(),
            pause: if is_in_debt { envelope.refill_wait() } else { None },
            ..Answer::default()
        })
    }

    async fn probe(&self) -> Result<Probe, Fault> {
        let query = [("key", self.key.reveal())];
        let reply = self.http.send(self.http.get("/token").query(&query)).await?;
        if !reply.is_success() {
            return Err(self.refusal(&reply));
        }
        let envelope: Envelope<'_> = reply.json(&self.http)?;
        let said = envelope.timestamp.and_then(Timestamp::from_timestamp_millis);
        Ok(Probe {
            checked: "reachable, key accepted".into(),
            balance: envelope.balance(),
            skew: said.map(|said| said - self.http.now()),
        })
    }
}

/// An instant in Keepa minutes; null for the words that mean unknown.
fn keepa_time(minutes: i64) -> Option<Timestamp> {
    if minutes <= 0 {
        return None;
    }
    let since = TimeDelta::try_minutes(minutes.checked_add(EPOCH_MINUTES)?)?;
    Timestamp::UNIX_EPOCH.checked_add_signed(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debt_waits_for_the_refill_and_as_many_minutes_as_it_takes_to_pay() {
        for (left, refill_in, rate, seconds) in [
            (10, 30_000, 20, 30),
            (-45, 30_000, 20, 30 + 180),
            (-1, 0, 5, 60),
            (0, 59_000, 20, 59),
            (-5, 10, 0, 0),
        ] {
            let envelope = Envelope {
                tokens_left: Some(left),
                refill_in: Some(refill_in),
                refill_rate: Some(rate),
                ..Envelope::default()
            };
            assert_eq!(envelope.refill_wait().unwrap().as_secs(), seconds, "{left} {refill_in} {rate}");
        }
    }

    #[test]
    fn keepa_minutes_count_from_2011() {
        assert_eq!(keepa_time(7_700_000).unwrap().to_rfc3339(), "2025-08-22T05:20:00+00:00");
        for unknown in [0, -1, i64::MAX] {
            assert_eq!(keepa_time(unknown), None);
        }
    }
}
