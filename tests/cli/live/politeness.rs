//! A rate is kept and used, over processes too; what a server says about waiting is obeyed.

use super::{Live, config};
use crate::simulator::{Config, Faults, Latency, Quota, Source};

/// Arrivals of a source's requests, in milliseconds of real time.
fn arrivals(live: &Live, source: Source) -> Vec<u64> {
    let mut times: Vec<u64> = live
        .simulator
        .requests()
        .iter()
        .filter(|entry| entry.source == source.name())
        .map(|entry| entry.at_ms)
        .collect();
    times.sort_unstable();
    times
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what is measured takes real time, in both programs")]
fn a_rate_is_kept_and_used_by_two_processes_in_a_row() {
    let (rate, burst, concurrency) = (10.0, 20.0, 8);
    let now = chrono::Utc::now();
    let config = Config {
        now,
        clock_runs: true,
        latency: Latency { base_ms: 100, jitter_ms: 0 },
        // Requests on their way may arrive together on a busy machine, and no more than may be on their way.
        quota: Some(Quota { per_second: rate, burst: burst + f64::from(concurrency) }),
        ..config()
    };
    let mut live = Live::new(config, "rainforest");
    live.use_real_clock();
    live.set("rainforest", "requests_per_second", rate);
    live.set("rainforest", "burst", burst);
    live.set("rainforest", "concurrency", concurrency);
    let products = live.products(100, 0);
    live.watch(&products, "");
    live.ok("ingest -q --limit 70");
    let first = arrivals(&live, Source::Rainforest);
    live.ok("ingest -q");
    let both = arrivals(&live, Source::Rainforest);
    assert_eq!(live.simulator.totals().rate_limited, 0, "the provider had to refuse");
    assert_eq!((first.len(), both.len()), (70, 100));
    // Behind the burst the rate is used, as far as a busy machine lets it.
    let middle = &first[25..];
    let seconds = (middle[middle.len() - 1] - middle[0]) as f64 / 1e3;
    let used = (middle.len() - 1) as f64 / seconds / rate;
    assert!(used >= 0.8, "{used} of the permitted rate");
}

/// A product whose first request is refused for now, with this hint.
fn refused_first(live: &Live, source: Source, operation: &str, hint: &str) -> String {
    let asins = live.simulator.existing_asins("US", 200);
    let wanted = format!("RateLimited({hint})");
    let is_wanted = |asin: &String| {
        live.simulator.first_fault(source, operation, asin).is_some_and(|fault| fault == wanted)
    };
    asins.into_iter().find(is_wanted).unwrap()
}

#[test]
fn a_server_that_says_how_long_to_wait_is_left_alone_for_so_long() {
    // In seconds, as a date, in milliseconds of a refill, in the middle of a sentence.
    for (source, operation, hint, wait_ms) in [
        (Source::Rainforest, "product", "Seconds", 3_000),
        (Source::Rainforest, "product", "Date", 3_000),
        (Source::Apify, "run", "Seconds", 3_000),
        (Source::Keepa, "product", "Seconds", 2_500),
        (Source::Firecrawl, "scrape", "None", 3_000),
    ] {
        let faults = Faults { rate_limited: 1.0, max_attempts: 1, ..Faults::default() };
        let mut live = Live::new(Config { faults, hint_ms: 2_500, ..config() }, source.name());
        live.set(source.name(), "concurrency", 4);
        let asin = refused_first(&live, source, operation, hint);
        live.watch(&[asin], "");
        live.ok("ingest -q");
        let times = arrivals(&live, source);
        assert!(times.len() >= 2, "{} {hint}: {times:?}", source.name());
        let gap = times[1] - times[0];
        // Without its hint the next attempt would come after one to two seconds; jitter adds to the hint.
        assert!(gap >= wait_ms, "{} {hint}: asked again after {gap} ms", source.name());
        assert_eq!(live.number("SELECT COUNT(*) FROM fetches"), 1);
    }
}

#[test]
fn a_debt_of_tokens_is_waited_for_by_the_next_process_too() {
    // The next refill is within the minute; a debt of 200 takes ten more.
    let config = Config { keepa_tokens: 100, keepa_refill: 20, keepa_refill_ms: 60_000, ..config() };
    let mut live = Live::new(config, "keepa");
    live.set("keepa", "concurrency", 1);
    let products = live.products(150, 0);
    live.watch(&products, "");
    // A hundred products for three tokens each.
    for now in ["2026-03-01T12:00:00Z", "2026-03-01T12:00:10Z", "2026-03-01T12:10:00Z"] {
        live.set_now(now);
        let ended = live.run("ingest --deadline 1s");
        assert_eq!(ended.code, Some(6), "{now}: {ended:#?}");
        assert_eq!(live.asked(Source::Keepa), 1, "{now}: asked while in debt");
        assert_eq!(live.number("SELECT COUNT(*) FROM fetch_failures WHERE fault = 'deadline'"), 50);
    }
    live.set_now("2026-03-01T12:11:10Z");
    live.simulator.reset();
    live.ok("ingest -q");
    assert_eq!(live.asked_for(Source::Keepa, "product"), 1);
    assert_eq!(live.number("SELECT COUNT(*) FROM fetches"), 150);
}

#[test]
fn a_rate_that_the_server_tells_replaces_the_configured_one() {
    // Two a second are documented: here they are eight, and the server says so.
    let mut live = Live::new(Config { sp_speed: 4.0, ..config() }, "sp-api");
    live.set("sp_api", "operations", "[\"catalog\"]");
    live.set("sp_api", "concurrency", 1);
    let products = live.products(160, 0);
    live.watch(&products, "");
    live.ok("ingest -q");
    assert_eq!(live.asked_for(Source::SpApi, "searchCatalogItems"), 8);
    assert_eq!(live.simulator.totals().rate_limited, 0, "the provider had to refuse");
    assert_eq!(live.number("SELECT told_micro FROM rate_buckets WHERE operation = 'catalog'"), 8_000_000);
}
