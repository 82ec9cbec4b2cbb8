//! What the replies hold for each product; bodies are taken over byte for byte.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::http::{Http, Reply};
use super::super::{Answer, Fault, Item, absence, without_answer};
use crate::model::{Asin, FaultKind, Marketplace, Timestamp};
use crate::normalize::RecordFormat;

#[derive(Deserialize)]
struct CatalogPage<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
    #[serde(default)]
    pagination: Option<Pagination>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Pagination {
    next_token: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Named {
    asin: Option<String>,
}

#[derive(Deserialize)]
struct InventoryPage<'a> {
    #[serde(borrow)]
    payload: InventoryPayload<'a>,
    #[serde(default)]
    pagination: Option<Pagination>,
}

#[derive(Deserialize)]
struct InventoryPayload<'a> {
    #[serde(borrow, rename = "inventorySummaries")]
    summaries: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    responses: Vec<&'a RawValue>,
}

/// One element of a batch, as both pricing versions write it.
#[derive(Deserialize)]
struct ElementHead {
    #[serde(default)]
    status: Option<Status>,
    #[serde(default)]
    headers: Option<Headers>,
    #[serde(default)]
    request: Option<Asked>,
    body: ElementBody,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    status_code: Option<i64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Headers {
    #[serde(rename = "Date", alias = "date")]
    date: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    #[serde(rename = "Asin", alias = "asin")]
    asin: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ElementBody {
    asin: Option<String>,
    payload: Option<Payload>,
    errors: Vec<ErrorText>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Payload {
    #[serde(rename = "ASIN")]
    asin: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ErrorText {
    code: String,
    message: String,
}

impl ErrorText {
    /// `B0… is an invalid ASIN for marketplace ATVPDKIKX0DER`
    fn says_absent(&self) -> bool {
        self.code == "InvalidInput" && self.message.contains("invalid ASIN")
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Errors {
    errors: Vec<ErrorText>,
}

/// The first error of a refusal's body.
pub(super) fn error_text(body: &[u8]) -> Option<String> {
    let errors: Errors = serde_json::from_slice(body).ok()?;
    errors.errors.first().map(|error| format!("{}: {}", error.code, error.message))
}

/// One element with its own bytes.
pub(super) struct Element {
    head: ElementHead,
    body: Vec<u8>,
    index: u32,
}

impl Element {
    pub(super) fn read_all(http: &Http, reply: &Reply) -> Result<Vec<Element>, Fault> {
        let batch: Batch<'_> = reply.json(http)?;
        let elements = batch.responses.into_iter().enumerate().filter_map(|(index, raw)| {
            let head = serde_json::from_str(raw.get()).ok()?;
            Some(Element { head, body: raw.get().as_bytes().to_vec(), index: index as u32 })
        });
        Ok(elements.collect())
    }

    /// Order is not promised: an element is known by what it names.
    fn asin(&self) -> Option<Asin> {
        let ElementHead { request, body, .. } = &self.head;
        let names = [
            request.as_ref().and_then(|asked| asked.asin.as_deref()),
            body.payload.as_ref().and_then(|payload| payload.asin.as_deref()),
            body.asin.as_deref(),
        ];
        names.into_iter().flatten().find_map(|name| name.parse().ok())
    }
}

/// What was found so far.
pub(super) struct Taken {
    marketplace: Marketplace,
    kind: &'static str,
    answer: Answer,
    /// Entries that name no product.
    unreadable: usize,
}

impl Taken {
    pub(super) fn new(marketplace: Marketplace, kind: &'static str) -> Taken {
        Taken { marketplace, kind, answer: Answer::default(), unreadable: 0 }
    }

    /// The account's real rate, where a reply tells it.
    pub(super) fn note_rate(&mut self, reply: &Reply) {
        let told = reply.header("x-amzn-ratelimit-limit").and_then(|rate| rate.trim().parse().ok());
        self.answer.rate = told.or(self.answer.rate);
        self.answer.cost.units += 1;
    }

    /// Takes a page of the catalogue; answers the token of the next one.
    pub(super) fn catalog_page(
        &mut self,
        http: &Http,
        reply: &Reply,
        asked: &[Asin],
    ) -> Result<Option<String>, Fault> {
        let page: CatalogPage<'_> = reply.json(http)?;
        let at = http.now();
        for raw in page.items {
            self.push(raw, asked, at);
        }
        Ok(page.pagination.and_then(|pagination| pagination.next_token))
    }

    pub(super) fn inventory_page(
        &mut self,
        http: &Http,
        reply: &Reply,
        asked: &[Asin],
    ) -> Result<Option<String>, Fault> {
        let page: InventoryPage<'_> = reply.json(http)?;
        let at = http.now();
        for raw in page.payload.summaries {
            self.push(raw, asked, at);
        }
        let next = page.pagination.and_then(|pagination| pagination.next_token);
        Ok(next.filter(|token| !token.is_empty()))
    }

    fn push(&mut self, raw: &RawValue, asked: &[Asin], at: Timestamp) {
        let named: Named = serde_json::from_str(raw.get()).unwrap_or_default();
        let Some(asin) = named.asin.and_then(|asin| asin.parse().ok()) else {
            self.unreadable += 1;
            return;
        };
        if !asked.contains(&asin) {
            return;
        }
        let index = self.answer.items.len() as u32;
        let body = raw.get().as_bytes().to_vec();
        self.answer.items.push(self.item(asin, body, at, index, false));
    }

    fn item(&self, asin: Asin, body: Vec<u8>, observed_at: Timestamp, index: u32, is_absent: bool) -> Item {
        Item { asin, kind: self.kind, format: RecordFormat::Json, body, observed_at, index, is_absent }
    }

    /// Judges one element by its own status.
    pub(super) fn element(&mut self, http: &Http, element: Element, asked: &[Asin]) {
        let Some(asin) = element.asin().filter(|asin| asked.contains(asin)) else { return };
        let Element { head, body, index } = element;
        let date = head.headers.and_then(|headers| headers.date);
        let date = date.and_then(|date| chrono::DateTime::parse_from_rfc2822(&date).ok());
        let at = date.map_or_else(|| http.now(), |date| date.to_utc());
        let status = head.status.and_then(|status| status.status_code).unwrap_or(200);
        let said = head.body.errors.first().map(|error| format!("{}: {}", error.code, error.message));
        let said = http.quoted(&said.unwrap_or_else(|| "no reason given".to_owned()));
        let kind = match status {
            200..=299 => {
                let item = self.item(asin, body, at, index, false);
                self.answer.items.push(item);
                return;
            }
            404 => {
                let item = self.item(asin, body, at, index, true);
                self.answer.items.push(item);
                return;
            }
            // A refusal in form, in substance the answer that the product is not sold in this marketplace.
            400 if head.body.errors.iter().any(ErrorText::says_absent) => {
                let item = absence(super::NAME, self.marketplace, asin, self.kind, &said, at, index);
                self.answer.items.push(item);
                return;
            }
            429 => FaultKind::RateLimited,
            500..=599 => FaultKind::Unavailable,
            401 | 403 => FaultKind::Credentials,
            _ => FaultKind::Refused,
        };
        self.answer.failed.push((asin, Fault::new(kind, format!("status {status}, {said}"))));
    }

    /// The catalogue was read to its end: what it does not have does not exist there.
    pub(super) fn whole(mut self, asked: &[Asin], now: Timestamp) -> Answer {
        if self.unreadable > 0 {
            let said = "some entry of the catalogue's answer names no product";
            return self.answered(asked, FaultKind::Malformed, said);
        }
        let missing = without_answer(asked, &self.answer.items, &self.answer.failed);
        for (asin, index) in missing.into_iter().zip(self.answer.items.len() as u32..) {
            let reason = "the catalogue's answer has no entry for it";
            let item = absence(super::NAME, self.marketplace, asin, self.kind, reason, now, index);
            self.answer.items.push(item);
        }
        self.answer
    }

    pub(super) fn answered(mut self, asked: &[Asin], kind: FaultKind, said: &str) -> Answer {
        for asin in without_answer(asked, &self.answer.items, &self.answer.failed) {
            self.answer.failed.push((asin, Fault::new(kind, said)));
        }
        self.answer
    }

    /// Whatever has no entry is simply not in stock with us: nothing to keep.
    pub(super) fn with_silent(mut self, asked: &[Asin]) -> Answer {
        let has: std::collections::HashSet<Asin> = self.answer.items.iter().map(|item| item.asin).collect();
        self.answer.silent = asked.iter().filter(|asin| !has.contains(asin)).copied().collect();
        self.answer
    }
}
