//! What was asked and what was paid: the evidence of a test.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::call::{Item, Source};

/// Requests kept for `/_sim/requests`; counts go on beyond it.
const LOGGED: usize = 100_000;

/// One answered request.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) at_ms: u64,
    pub(crate) source: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) key: String,
    /// From 0, per (source, operation, key); requests refused before that stage have none.
    pub(crate) attempt: Option<u32>,
    /// 0 when the connection was cut before a reply.
    pub(crate) status: u16,
    pub(crate) outcome: &'static str,
}

/// How often a product was charged in its slot under one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Paid {
    pub(crate) charged: u32,
    /// Replies with its data that were written whole.
    pub(crate) delivered: u32,
    /// Charges that came after such a reply: money a client could have saved.
    pub(crate) charged_after_delivery: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    requests: BTreeMap<(Source, &'static str, &'static str), u64>,
    paid: BTreeMap<(Source, &'static str, Item), Paid>,
    paid_requests: BTreeMap<Source, u64>,
    arrivals: HashMap<Source, Vec<Duration>>,
    log: VecDeque<Entry>,
}

/// The ledger in figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) requests: u64,
    /// Requests that charged something.
    pub(crate) paid_requests: u64,
    /// Charged products, with repetitions.
    pub(crate) paid_units: u64,
    /// Charges of a product that was charged before in the same slot at the same operation.
    pub(crate) repeated_paid: u64,
    /// Of these, those that came after the data had been delivered whole.
    pub(crate) repeated_after_delivery: u64,
    /// Products that were paid and never delivered whole.
    pub(crate) paid_undelivered: u64,
    /// Replies 429, by quota or by fault.
    pub(crate) rate_limited: u64,
}

impl Ledger {
    pub(crate) fn arrive(&mut self, source: Source, at: Duration) -> u64 {
        let arrivals = self.arrivals.entry(source).or_default();
        arrivals.push(at);
        arrivals.len() as u64
    }

    pub(crate) fn answered(&mut self, source: Source, entry: Entry) {
        *self.requests.entry((source, entry.operation, entry.outcome)).or_default() += 1;
        if self.log.len() == LOGGED {
            self.log.pop_front();
        }
        self.log.push_back(entry);
    }

    pub(crate) fn charge(&mut self, source: Source, operation: &'static str, items: &[Item]) {
        if !items.is_empty() {
            *self.paid_requests.entry(source).or_default() += 1;
        }
        for item in items {
            let paid = self.paid.entry((source, operation, item.clone())).or_default();
            paid.charged += 1;
            paid.charged_after_delivery += u32::from(paid.delivered > 0);
        }
    }

    pub(crate) fn deliver(&mut self, source: Source, operation: &'static str, items: &[Item]) {
        for item in items {
            self.paid.entry((source, operation, item.clone())).or_default().delivered += 1;
        }
    }

    /// How often a product was paid at a source, over all operations and slots.
    pub(crate) fn paid(&self, source: Source, marketplace: &str, asin: &str) -> Paid {
        let ours = self.paid.iter().filter(|((at, _, item), _)| {
            *at == source && item.marketplace == marketplace && item.asin == asin
        });
        ours.fold(Paid::default(), |sum, (_, paid)| Paid {
            charged: sum.charged + paid.charged,
            delivered: sum.delivered + paid.delivered,
            charged_after_delivery: sum.charged_after_delivery + paid.charged_after_delivery,
        })
    }

    /// Requests of one operation, by outcome.
    pub(crate) fn outcomes(&self, source: Source, operation: &str) -> BTreeMap<&'static str, u64> {
        let ours = self.requests.iter().filter(|((at, named, _), _)| *at == source && *named == operation);
        ours.map(|((_, _, outcome), count)| (*outcome, *count)).collect()
    }

    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals {
            requests: self.requests.values().sum(),
            paid_requests: self.paid_requests.values().sum(),
            rate_limited: Source::ALL.into_iter().map(|source| self.rate_limited(source)).sum(),
            ..Totals::default()
        };
        for paid in self.paid.values() {
            totals.paid_units += u64::from(paid.charged);
            totals.repeated_paid += u64::from(paid.charged.saturating_sub(1));
            totals.repeated_after_delivery += u64::from(paid.charged_after_delivery);
            totals.paid_undelivered += u64::from(paid.charged > 0 && paid.delivered == 0);
        }
        totals
    }

    fn rate_limited(&self, source: Source) -> u64 {
        let refused = self.requests.iter().filter(|((at, _, outcome), _)| {
            *at == source && matches!(*outcome, "rate_limited" | "fault:rate_limited")
        });
        refused.map(|(_, count)| count).sum()
    }

    /// The most requests that arrived within any second.
    pub(crate) fn busiest_second(&self, source: Source) -> usize {
        let arrivals = self.arrivals.get(&source).map_or(&[][..], Vec::as_slice);
        let mut from = 0;
        let mut most = 0;
        for (index, at) in arrivals.iter().enumerate() {
            while arrivals[from] + Duration::from_secs(1) <= *at {
                from += 1;
            }
            most = most.max(index + 1 - from);
        }
        most
    }

    pub(crate) fn log(&self) -> Vec<Entry> {
        self.log.iter().cloned().collect()
    }

    /// The document of `/_sim/ledger`.
    pub(crate) fn document(&self) -> Value {
        let totals = self.totals();
        let by_source: serde_json::Map<String, Value> = Source::ALL
            .into_iter()
            .filter_map(|source| {
                let requests = self.arrivals.get(&source)?.len();
                let units = self.paid.iter().filter(|((at, _, _), _)| *at == source);
                let document = json!({
                    "requests": requests,
                    "paid_requests": self.paid_requests.get(&source).copied().unwrap_or(0),
                    "paid_units": units.map(|(_, paid)| u64::from(paid.charged)).sum::<u64>(),
                    "rate_limited": self.rate_limited(source),
                    "max_in_one_second": self.busiest_second(source),
                });
                Some((source.name().to_owned(), document))
            })
            .collect();
        let requests: Vec<Value> = self
            .requests
            .iter()
            .map(|((source, operation, outcome), count)| {
                json!({"source": source.name(), "operation": operation, "outcome": outcome, "count": count})
            })
            .collect();
        let paid: Vec<Value> = self
            .paid
            .iter()
            .map(|((source, operation, item), paid)| {
                json!({
                    "source": source.name(), "operation": operation, "marketplace": item.marketplace,
                    "asin": item.asin, "slot": item.slot, "charged": paid.charged, "delivered": paid.delivered,
                    "charged_after_delivery": paid.charged_after_delivery,
                })
            })
            .collect();
        json!({
            "totals": {
                "requests": totals.requests,
                "paid_requests": totals.paid_requests,
                "paid_units": totals.paid_units,
                "repeated_paid": totals.repeated_paid,
                "repeated_after_delivery": totals.repeated_after_delivery,
                "paid_undelivered": totals.paid_undelivered,
                "rate_limited": totals.rate_limited,
            },
            "sources": by_source,
            "requests": requests,
            "paid": paid,
        })
    }
}
