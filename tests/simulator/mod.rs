//! A simulator of the providers amzctl reads: Apify, Keepa, SP-API, Firecrawl and Rainforest on one loopback port,
//! under `/apify`, `/keepa`, `/sp-api`, `/firecrawl` and `/rainforest`.
//!
//! It knows nothing of amzctl: formats and refusals follow the providers' own documents. Facts are a function of the
//! seed, the marketplace, the ASIN and the day, the same from every provider; faults are a function of the seed, the
//! operation, its key and the attempt. Requests and payments are counted in a ledger.
//!
//! | file | what it is |
//! | --- | --- |
//! | `server`, `wire` | the way of one request, and how connections break |
//! | `call` | a request and a reply, as the providers' files see them |
//! | `control` | `/_sim`: ledger, requests, reset, faults, now |
//! | `catalogue`, `marketplaces`, `random` | the market |
//! | `faults`, `limits`, `ledger` | what goes wrong, what is too much, what was counted |
//! | `apify`, `keepa`, `sp_api`, `firecrawl`, `rainforest` | the providers |
//!
//! It is compiled into several programs, and none of them uses all of it.
#![allow(dead_code)]

mod apify;
mod call;
mod catalogue;
mod config;
mod control;
mod faults;
mod firecrawl;
mod keepa;
mod ledger;
mod limits;
mod marketplaces;
mod rainforest;
mod random;
mod server;
mod sp_api;
mod wire;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

#[allow(unused_imports)]
pub(crate) use self::{
    call::{Item, Source},
    catalogue::{Catalogue, Fact, Stock},
    config::{Config, Keys, Latency},
    faults::Faults,
    ledger::{Entry, Paid, Totals},
    limits::Quota,
    marketplaces::Marketplace,
};

use self::faults::Trial;
use self::ledger::Ledger;
use self::limits::Bucket;
pub(crate) use self::random::Random;

/// A running simulator; it stops when it is dropped.
pub(crate) struct Simulator {
    pub(crate) addr: SocketAddr,
    sim: Arc<Sim>,
    server: Option<server::Running>,
}

impl Simulator {
    pub(crate) fn start(config: Config) -> std::io::Result<Simulator> {
        let sim = Arc::new(Sim::new(config));
        let (addr, server) = server::start(Arc::clone(&sim))?;
        Ok(Simulator { addr, sim, server: Some(server) })
    }

    /// The base address of one provider, as a configuration names it.
    pub(crate) fn base_url(&self, source: Source) -> String {
        format!("http://{}/{}", self.addr, source.name())
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.sim.config.keys
    }

    pub(crate) fn catalogue(&self) -> Catalogue {
        self.sim.catalogue
    }

    /// What is true of a product today; null if it does not exist or the marketplace is unknown.
    pub(crate) fn fact(&self, marketplace: &str, asin: &str) -> Option<Fact> {
        let marketplace = Marketplace::by_code(marketplace)?;
        self.sim.catalogue.fact(marketplace, asin, self.sim.day())
    }

    pub(crate) fn existing_asins(&self, marketplace: &str, count: usize) -> Vec<String> {
        let found = Marketplace::by_code(marketplace);
        found.map_or_else(Vec::new, |marketplace| self.sim.catalogue.existing_asins(marketplace, count))
    }

    pub(crate) fn missing_asins(&self, marketplace: &str, count: usize) -> Vec<String> {
        let found = Marketplace::by_code(marketplace);
        found.map_or_else(Vec::new, |marketplace| self.sim.catalogue.missing_asins(marketplace, count))
    }

    pub(crate) fn totals(&self) -> Totals {
        self.sim.ledger().totals()
    }

    pub(crate) fn paid(&self, source: Source, marketplace: &str, asin: &str) -> Paid {
        self.sim.ledger().paid(source, marketplace, asin)
    }

    /// Requests of one operation by outcome (`ok`, `refused`, `rate_limited`, `fault:reset`, …).
    pub(crate) fn outcomes(&self, source: Source, operation: &str) -> Vec<(&'static str, u64)> {
        self.sim.ledger().outcomes(source, operation).into_iter().collect()
    }

    /// The most requests that arrived at a source within any second.
    pub(crate) fn busiest_second(&self, source: Source) -> usize {
        self.sim.ledger().busiest_second(source)
    }

    pub(crate) fn requests(&self) -> Vec<Entry> {
        self.sim.ledger().log()
    }

    /// The document that `GET /_sim/ledger` gives.
    pub(crate) fn ledger(&self) -> serde_json::Value {
        self.sim.ledger().document()
    }

    /// Forgets requests, payments, attempts, jobs, tokens and quotas; the instant and the faults stay.
    pub(crate) fn reset(&self) {
        self.sim.reset();
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        *lock(&self.sim.faults) = faults;
    }

    pub(crate) fn set_now(&self, now: DateTime<Utc>) {
        self.sim.set_now(now);
    }

    /// From now on a source answers everything with 503, or is well again.
    pub(crate) fn set_down(&self, source: Source, is_down: bool) {
        let mut down = lock(&self.sim.down);
        down.retain(|other| *other != source);
        if is_down {
            down.push(source);
        }
    }

    /// What goes wrong with the first attempt of a key, in words: `RateLimited(Seconds)`.
    pub(crate) fn first_fault(&self, source: Source, operation: &str, key: &str) -> Option<String> {
        let trial = Trial { seed: self.sim.config.seed, source, operation, key, attempt: 0 };
        self.sim.faults().decide(trial).map(|fault| format!("{fault:?}"))
    }

    /// Every SP-API access token given out so far lapses.
    pub(crate) fn expire_sp_api_tokens(&self) {
        lock(&self.sim.state).sp_api.expire();
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}

/// What the server's code shares.
pub(crate) struct Sim {
    config: Config,
    catalogue: Catalogue,
    began: Instant,
    now: Mutex<(DateTime<Utc>, Instant)>,
    faults: Mutex<Faults>,
    down: Mutex<Vec<Source>>,
    ledger: Mutex<Ledger>,
    attempts: Mutex<HashMap<(Source, String), u32>>,
    buckets: Mutex<HashMap<(Source, &'static str), Bucket>>,
    state: Mutex<State>,
}

/// What the providers remember.
#[derive(Debug)]
struct State {
    apify: apify::Runs,
    keepa: keepa::Tokens,
    sp_api: sp_api::Tokens,
    firecrawl: firecrawl::Jobs,
    rainforest: rainforest::Credits,
}

impl State {
    fn new(config: &Config) -> State {
        State {
            apify: apify::Runs::default(),
            keepa: keepa::Tokens::new(config),
            sp_api: sp_api::Tokens::default(),
            firecrawl: firecrawl::Jobs::new(config),
            rainforest: rainforest::Credits::new(config),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sim {
    fn new(config: Config) -> Sim {
        let began = Instant::now();
        Sim {
            catalogue: Catalogue { seed: config.seed, existing: config.existing },
            began,
            now: Mutex::new((config.now, began)),
            faults: Mutex::new(config.faults.clone()),
            down: Mutex::new(Vec::new()),
            ledger: Mutex::new(Ledger::default()),
            attempts: Mutex::new(HashMap::new()),
            buckets: Mutex::new(HashMap::new()),
            state: Mutex::new(State::new(&config)),
            config,
        }
    }

    fn reset(&self) {
        *lock(&self.ledger) = Ledger::default();
        lock(&self.attempts).clear();
        lock(&self.buckets).clear();
        *lock(&self.state) = State::new(&self.config);
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    fn faults(&self) -> Faults {
        lock(&self.faults).clone()
    }

    /// Real time since the start.
    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn now(&self) -> DateTime<Utc> {
        let (base, since) = *lock(&self.now);
        if !self.config.clock_runs {
            return base;
        }
        base + chrono::Duration::from_std(since.elapsed()).unwrap_or_default()
    }

    fn set_now(&self, now: DateTime<Utc>) {
        *lock(&self.now) = (now, Instant::now());
    }

    /// Days since 1970-01-01, UTC.
    fn day(&self) -> i64 {
        self.now().timestamp().div_euclid(86_400)
    }

    fn random(&self, words: &[&str]) -> Random {
        Random::named(self.config.seed, words)
    }

    fn fact(&self, marketplace: &'static Marketplace, asin: &str) -> Option<Fact> {
        self.catalogue.fact(marketplace, asin, self.day())
    }

    /// A product in the present slot.
    fn item(&self, marketplace: &'static Marketplace, asin: &str) -> Item {
        let hours = self.config.slot_hours.max(1) * 3_600;
        let start = self.now().timestamp().div_euclid(hours) * hours;
        let start = DateTime::from_timestamp(start, 0).unwrap_or_default();
        let slot = start.format(if hours % 86_400 == 0 { "%Y-%m-%d" } else { "%Y-%m-%dT%H" }).to_string();
        Item { marketplace: marketplace.code, asin: asin.to_owned(), slot }
    }

    /// The number of earlier attempts of this key; this one is counted from now on.
    fn attempt(&self, source: Source, operation: &str, key: &str) -> u32 {
        let mut attempts = lock(&self.attempts);
        let count = attempts.entry((source, format!("{operation} {key}"))).or_default();
        *count += 1;
        *count - 1
    }

    /// Whether a fault that is not of the connection strikes the next attempt of this key.
    fn strikes(
        &self,
        rate: impl Fn(&Faults) -> f64,
        what: &'static str,
        source: Source,
        key: &str,
    ) -> Option<Random> {
        let attempt = self.attempt(source, what, key);
        let faults = lock(&self.faults);
        let trial = Trial { seed: self.config.seed, source, operation: what, key, attempt };
        faults.strikes(rate(&faults), what, trial)
    }

    /// Whether this product never succeeds at this source.
    fn never(&self, source: Source, marketplace: &str, asin: &str) -> bool {
        lock(&self.faults).never_at(self.config.seed, marketplace, asin) == Some(source)
    }
}

/// `2026-03-02T09:00:00.000Z`
fn iso(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// `Mon, 02 Mar 2026 09:00:00 GMT`
fn http_date(at: DateTime<Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
