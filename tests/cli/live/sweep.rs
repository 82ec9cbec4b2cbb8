//! Kill -9 at named points and at random moments while providers are asked, then start again: everything is received
//! once, no job is started twice, and what was paid twice is in the ledger of requests.
//!
//! Sizes: `AMZCTL_SWEEP=full` (`just soak`) or the small one; `AMZCTL_LIVE_SEEDS`, `AMZCTL_LIVE_FIRST_SEED`,
//! `AMZCTL_LIVE_PRODUCTS` and `AMZCTL_LIVE_TOGETHER` set them one by one. Every case prints its seed.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Live, config};
use crate::simulator::{Config, Faults, Source};

/// Thirty products in three requests.
#[cfg(feature = "failpoints")]
fn three_batches(source: &str) -> Live {
    let mut live = Live::new(config(), source);
    match source {
        "firecrawl" | "apify" => live.set(source, "batch", 10),
        // Twenty a call when offers are asked for.
        "keepa" => {
            live.set(source, "offers", 20);
            live.set(source, "concurrency", 1);
        }
        _ => {}
    }
    let products = live.products(if source == "keepa" { 48 } else { 28 }, 2);
    live.watch(&products, "");
    live
}

/// Products by how often they were charged again after their data had been delivered.
fn repeated(live: &Live, source: Source) -> BTreeMap<String, i64> {
    let ledger = live.simulator.ledger();
    let paid = ledger["paid"].as_array().unwrap().iter();
    paid.filter(|paid| paid["source"] == source.name() && paid["charged"].as_i64() > Some(1))
        .map(|paid| {
            let product =
                format!("{}:{}", paid["marketplace"].as_str().unwrap(), paid["asin"].as_str().unwrap());
            (product, paid["charged"].as_i64().unwrap() - 1)
        })
        .collect()
}

/// Products by how often our own ledger says that they were paid without an answer that was kept.
fn explained(live: &Live, source: Source) -> BTreeMap<String, i64> {
    let rows = live.lines(&format!(
        "SELECT marketplace || ':' || a.value || ' ' || COUNT(*) FROM source_requests q, json_each(q.asins) a
         WHERE q.source = '{}' AND (q.state = 'lost' OR q.state = 'failed' AND q.cost_units > 0
           OR q.state = 'answered' AND q.answered < json_array_length(q.asins)) GROUP BY marketplace, a.value",
        source.name()
    ));
    let parts = rows.iter().map(|row| row.split_once(' ').unwrap());
    parts.map(|(product, count)| (product.to_owned(), count.parse().unwrap())).collect()
}

fn assert_explained(case: &str, live: &Live, source: Source) {
    let explained = explained(live, source);
    for (product, times) in repeated(live, source) {
        let known = explained.get(&product).copied().unwrap_or(0);
        let told = || {
            let asin = product.split_once(':').unwrap().1;
            live.lines(&format!(
                "SELECT source || ' ' || request_id || ' ' || state || ' attempt ' || attempt || ' ' || fault || ' '
                   || cost_units || ' units ' || answered || ' of ' || json_array_length(asins) || ' ' || detail
                 FROM source_requests WHERE asins LIKE '%{asin}%' ORDER BY request_id"
            ))
        };
        assert!(
            times <= known,
            "{case}: {} was paid {times} times too often for {product}, {known} of them known: {:#?}",
            source.name(),
            told()
        );
    }
}

#[test]
#[cfg(feature = "failpoints")]
fn after_a_kill_at_any_named_point_of_asking_everything_is_received_and_no_job_is_paid_twice() {
    let names: Vec<&str> =
        amzctl::failpoint::ALL.iter().copied().filter(|name| name.starts_with("fetch.")).collect();
    assert!(names.len() >= 7, "{names:?}");
    let mut never_reached = names.clone();
    for source in [Source::Apify, Source::Keepa, Source::Firecrawl] {
        let whole = three_batches(source.name());
        whole.ok("ingest -q");
        let receipts = whole.receipts();
        assert_eq!(whole.number("SELECT COUNT(*) FROM source_requests"), 3, "{}", source.name());
        for name in &names {
            for hit in if is_full() { 1..=3 } else { 1..=2 } {
                let case = format!("{} {name}:{hit}", source.name());
                let live = three_batches(source.name());
                let killed = super::Ended::of(
                    live.command("ingest -q").env("AMZCTL_FAILPOINT", format!("{name}:{hit}")),
                );
                if killed.code.is_none() {
                    never_reached.retain(|reached| reached != name);
                    // A second kill, while what the first left behind is taken up again.
                    super::Ended::of(live.command("ingest -q").env("AMZCTL_FAILPOINT", format!("{name}:1")));
                }
                let ended = live.run("ingest");
                assert_eq!(ended.code, Some(0), "{case}: {ended:#?}");
                assert_eq!(live.receipts(), receipts, "{case}: other receipts");
                assert_eq!(
                    live.number("SELECT COUNT(*) FROM source_requests WHERE state = 'sent'"),
                    0,
                    "{case}"
                );
                assert_eq!(live.number("SELECT COUNT(*) FROM fetch_failures"), 0, "{case}");
                match source {
                    Source::Apify => {
                        assert_eq!(live.asked_for(source, "run"), 3, "{case}: a run was started twice");
                        assert_eq!(live.simulator.totals().repeated_paid, 0, "{case}");
                        let told = live.number("SELECT SUM(cost_micros) FROM source_requests");
                        assert_eq!(told, 30 * 800, "{case}: what it cost");
                    }
                    _ => assert_explained(&case, &live, source),
                }
                if source == Source::Keepa && *name == "fetch.before_send" && killed.code.is_none() {
                    assert_eq!(live.simulator.totals().repeated_paid, 0, "{case}: it was never sent");
                }
            }
        }
    }
    assert!(never_reached.is_empty(), "named points that no fetch passes: {never_reached:?}");
}

fn is_full() -> bool {
    std::env::var("AMZCTL_SWEEP").is_ok_and(|size| size == "full")
}

fn size(variable: &str, full: u64, small: u64) -> u64 {
    let given = std::env::var(variable).ok().and_then(|text| text.parse().ok());
    given.unwrap_or(if is_full() { full } else { small })
}

/// SplitMix64: the seed printed with a case repeats it.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

/// Every source is the first of one chain.
const CHAINS: [&str; 5] =
    ["apify,keepa", "keepa,rainforest", "sp-api,keepa,firecrawl", "firecrawl,apify", "rainforest,sp-api"];
const APIFY_BATCH: u64 = 20;

/// A market on a bad day.
fn rough(seed: u64, products: u64, faults: &str) -> Live {
    // Products that a source never has are the same on every day.
    let never = Faults::schedule("rough").unwrap().never;
    let faults = Faults { never, max_attempts: 3, ..Faults::schedule(faults).unwrap() };
    // Connections that hang are told from the others by the client's own patience.
    let config = Config { seed, faults, hint_ms: 200, hold_ms: 300, keepa_tokens: 10_000_000, ..config() };
    let mut live = Live::new(config, "apify");
    live.set("apify", "batch", APIFY_BATCH);
    live.set("apify", "concurrency", 4);
    live.set("firecrawl", "batch", 10);
    for source in ["sp_api", "rainforest", "firecrawl", "keepa"] {
        live.set(source, "concurrency", 8);
    }
    let all = live.products(products as usize * 97 / 100, products as usize * 3 / 100);
    let share = all.len().div_ceil(CHAINS.len());
    for (products, chain) in all.chunks(share).zip(CHAINS) {
        live.watch(products, &format!("--source-chain {chain}"));
    }
    live
}

/// Starts an ingest and kills it after so many more requests have been answered; true when it was still running.
fn killed_after(live: &Live, requests: u64) -> bool {
    let before = live.simulator.totals().requests;
    let mut child = live.command("ingest -q").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    loop {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if live.simulator.totals().requests >= before + requests {
            child.kill().unwrap();
            use std::os::unix::process::ExitStatusExt as _;
            return child.wait().unwrap().signal() == Some(9);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What a source may spend on a day in the sweep, in its units.
const RAINFOREST_DAY: u64 = 90;

#[test]
fn under_faults_and_kills_every_product_ends_fetched_or_explained_and_no_money_is_lost_sight_of() {
    let seeds = size("AMZCTL_LIVE_SEEDS", 200, 3);
    let products = size("AMZCTL_LIVE_PRODUCTS", 20_000, 500);
    let first = size("AMZCTL_LIVE_FIRST_SEED", 1, 1);
    // Most of a case is waiting.
    let together = size("AMZCTL_LIVE_TOGETHER", 2, 3);
    let next = AtomicU64::new(first);
    let (failed, landed) = (Mutex::new(Vec::new()), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..together {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        break;
                    }
                    match std::panic::catch_unwind(|| sweep(seed, products)) {
                        Ok(kills) => landed.fetch_add(kills, Ordering::Relaxed),
                        Err(_) => {
                            failed.lock().unwrap().push(seed);
                            0
                        }
                    };
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "seeds {failed:?} of {products} products failed");
    let landed = landed.into_inner();
    assert!(2 * landed >= seeds, "only {landed} kills landed in {seeds} cases");
}

/// One case; how many of its kills met a running process.
fn sweep(seed: u64, products: u64) -> u64 {
    let began = Instant::now();
    let case = format!("seed {seed} of {products} products");
    println!("{case}");
    let mut random = Random(seed);
    let calm = rough(seed, products, "none");
    calm.run("ingest -q");
    let usual = calm.simulator.totals().requests;

    let mut live = rough(seed, products, "rough");
    let limit = RAINFOREST_DAY * products / 500;
    live.set("rainforest", "max_units_day", limit);
    let (deadline, kills) = if is_full() { ("30m", 3) } else { ("3s", 1) };
    let mut landed = 0;
    for _ in 0..kills {
        landed += u64::from(killed_after(&live, random.below(usual)));
    }
    // What is due stays due: a later run of the day asks for it again. Nobody waits for an open breaker here.
    for _ in 0..if is_full() { 3 } else { 2 } {
        let ended = live.run(&format!("ingest --deadline {deadline}"));
        assert!(matches!(ended.code, Some(0 | 3 | 6 | 7)), "{case}: {ended:#?}");
    }
    let unexplained = live.lines(
        "SELECT w.marketplace || ':' || w.asin FROM watch_items w
         WHERE NOT EXISTS (SELECT 1 FROM fetches f WHERE f.marketplace = w.marketplace AND f.asin = w.asin)
           AND NOT EXISTS (SELECT 1 FROM fetch_failures f WHERE f.marketplace = w.marketplace AND f.asin = w.asin)",
    );
    assert_eq!(unexplained, [""; 0], "{case}: neither fetched nor explained");
    // A deadline leaves jobs to the next run, and nothing else.
    let left = live.lines("SELECT DISTINCT source FROM source_requests WHERE state = 'sent' ORDER BY source");
    assert!(left.iter().all(|source| ["apify", "firecrawl"].contains(&source.as_str())), "{case}: {left:?}");
    // SP-API is free. Keepa's token is a third of a product, with the buy box.
    for (source, units) in
        [(Source::Apify, 1), (Source::Keepa, 3), (Source::Firecrawl, 1), (Source::Rainforest, 1)]
    {
        assert_explained(&case, &live, source);
        let name = source.name();
        let charged = live.simulator.ledger()["sources"][name]["paid_units"].as_i64().unwrap_or(0) * units;
        let sum = format!(
            "SELECT COALESCE(SUM(CASE state WHEN 'sent' THEN estimated_units ELSE cost_units END), 0) FROM source_requests
             WHERE source = '{name}'"
        );
        let told = live.number(&sum);
        assert!(charged <= told, "{case}: {name} charged {charged}, our ledger says {told}");
        // One request's estimate is in flight at most when the limit is reached.
        assert!(
            source != Source::Rainforest || told <= limit as i64 + 1,
            "{case}: {told} of {limit} credits"
        );
    }
    compare(&case, &calm, &live);
    let failed = live.number("SELECT COUNT(*) FROM fetch_failures");
    println!(
        "{case}: {landed} of {kills} kills landed, {failed} not fetched, {} requests, {:?}",
        live.simulator.totals().requests,
        began.elapsed()
    );
    landed
}

/// Whoever answered says what he says on a calm day; fallbacks were not asked then.
fn compare(case: &str, calm: &Live, live: &Live) {
    for live in [calm, live] {
        let ended = live.run("normalize -q");
        assert!(matches!(ended.code, Some(0 | 3)), "{case}: {ended:#?}");
    }
    for (what, sql) in [("receipts", RECEIPTS), ("observations", OBSERVATIONS)] {
        let product_of = |line: &str| line.splitn(4, ' ').take(3).collect::<Vec<_>>().join(" ");
        let known: BTreeSet<String> = calm.lines(sql).into_iter().collect();
        let products: BTreeSet<String> = known.iter().map(|line| product_of(line)).collect();
        let said = live.lines(sql);
        let strange =
            said.iter().filter(|line| products.contains(&product_of(line)) && !known.contains(*line));
        let strange: Vec<&String> = strange.take(5).collect();
        assert!(strange.is_empty(), "{case}: {what} that nobody gave on a calm day: {strange:#?}");
        let both = said.iter().filter(|line| known.contains(*line)).count();
        assert!(both * 2 > known.len(), "{case}: only {both} of {} {what} are the same", known.len());
    }
}

/// Rainforest writes the account's balance into every answer: its observations are compared instead.
const RECEIPTS: &str =
    "SELECT source || ' ' || kind || ' ' || asin_requested || ' ' || observed_at || ' ' || body_sha256
    FROM raw_receipts WHERE source <> 'rainforest'";
const OBSERVATIONS: &str =
    "SELECT o.source || ' ' || r.kind || ' ' || o.asin || ' ' || o.found || ' ' || o.observed_at || ' '
    || o.facts || ' ' || o.listing_hash
    FROM observations o JOIN raw_receipts r USING (receipt_id) WHERE o.is_current = 1";
