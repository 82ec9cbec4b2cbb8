//! The next source of a chain answers where the first does not; a breaker spares who is ill; keys are named.

use super::{Ended, Live, config};
use crate::simulator::{Config, Latency, Source};

/// Five requests to Keepa at once.
fn keepa_then_apify(products: usize) -> Live {
    let mut live = Live::new(config(), "keepa,apify");
    live.set("keepa", "offers", 20);
    live.set("keepa", "concurrency", 5);
    let products = live.products(products, 0);
    live.watch(&products, "");
    live
}

#[test]
fn when_a_source_is_down_the_next_one_answers_and_it_is_said_why() {
    let live = keepa_then_apify(100);
    live.simulator.set_down(Source::Keepa, true);
    let ended = live.ok("ingest");
    assert!(ended.stderr.contains("100 of them after another source had failed"), "{ended:#?}");
    let reasons = live.lines("SELECT after_fault || ' ' || COUNT(*) FROM fetches GROUP BY after_fault");
    assert_eq!(reasons, ["keepa: circuit_open 100"]);
    assert_eq!(live.number("SELECT COUNT(*) FROM fetches WHERE source = 'apify'"), 100);
    assert_eq!(live.asked(Source::Keepa), 10, "a breaker opens after ten failures in a row");
    let status = live.json("status --format json");
    let keepa =
        status["sources"].as_array().unwrap().iter().find(|source| source["source"] == "keepa").unwrap();
    assert_eq!((&keepa["breaker"], &keepa["failures_in_a_row"]), (&"open".into(), &10.into()));
    live.simulator.set_down(Source::Keepa, false);
    let asked = live.simulator.totals().requests;
    live.ok("ingest -q");
    assert_eq!(live.simulator.totals().requests, asked, "whoever answered, the product is not due");
}

#[test]
fn what_a_source_lacks_of_a_batch_is_asked_of_the_next_one() {
    let mut live = Live::new(config(), "apify,rainforest");
    // Half of the products never come from a source; each at one of five.
    live.simulator.set_faults(crate::simulator::Faults { never: 0.5, ..Default::default() });
    live.set("apify", "batch", 50);
    let products = live.products(50, 0);
    live.watch(&products, "");
    live.run("ingest -q");
    let reasons = live.lines("SELECT DISTINCT source || ' after ' || after_fault FROM fetches ORDER BY 1");
    assert_eq!(reasons, ["apify after ", "rainforest after apify: missing"]);
    let delivered = |source: Source| {
        products.iter().filter(|asin| live.simulator.paid(source, "US", asin).delivered > 0).count() as i64
    };
    for source in [Source::Apify, Source::Rainforest] {
        let fetched =
            live.number(&format!("SELECT COUNT(*) FROM fetches WHERE source = '{}'", source.name()));
        assert_eq!(fetched, delivered(source), "{}", source.name());
        assert!(fetched > 0);
    }
    assert_eq!(live.number("SELECT COUNT(*) FROM fetches"), 50);
}

#[test]
fn an_account_that_is_used_up_hands_on_to_the_next_source() {
    let mut live = Live::new(Config { apify_limit_usd: 0.0, ..config() }, "apify,keepa");
    live.set("apify", "batch", 10);
    let products = live.products(40, 0);
    live.watch(&products, "");
    let ended = live.run("ingest");
    // Everything was fetched; that nothing is left at Apify is an incident.
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert!(ended.stderr.contains("apify stopped: exhausted"), "{ended:#?}");
    assert!(ended.stderr.contains("40 products due, 40 fetched"), "{ended:#?}");
    assert!(live.asked(Source::Apify) <= 2, "asked again after it had said that nothing is left");
    let reasons = live.lines("SELECT DISTINCT source || ' after ' || after_fault FROM fetches");
    assert_eq!(reasons, ["keepa after apify: exhausted"]);

    let alone = Live::new(Config { rainforest_credits: 3, ..config() }, "rainforest");
    let products = alone.products(10, 0);
    alone.watch(&products, "");
    let ended = alone.run("ingest");
    assert_eq!(ended.code, Some(6), "{ended:#?}");
    assert_eq!(alone.number("SELECT COUNT(*) FROM fetches"), 3);
}

#[test]
fn a_key_that_is_missing_or_refused_ends_with_12_and_is_named() {
    for (source, variable) in [
        ("apify", "APIFY_TOKEN"),
        ("keepa", "KEEPA_API_KEY"),
        ("firecrawl", "FIRECRAWL_API_KEY"),
        ("rainforest", "RAINFOREST_API_KEY"),
        ("sp-api", "SP_API_CLIENT_SECRET"),
    ] {
        let live = Live::new(config(), source);
        let products = live.products(20, 0);
        live.watch(&products, "");
        let missing = Ended::of(live.command("ingest").env_remove(variable));
        assert_eq!(missing.code, Some(12), "{missing:#?}");
        assert!(missing.stderr.contains(&format!("{variable} is not set")), "{missing:#?}");
        assert_eq!(live.simulator.totals().requests, 0);
        let refused = Ended::of(live.command("ingest").env(variable, "wrong"));
        assert_eq!(refused.code, Some(12), "{refused:#?}");
        assert!(refused.stderr.contains(source) && refused.stderr.contains("credentials"), "{refused:#?}");
        assert_eq!(live.number("SELECT COUNT(*) FROM fetch_failures WHERE fault = 'credentials'"), 20);
        let at_once = live.simulator.totals().requests;
        assert!(at_once <= 8, "{source}: {at_once} requests with a key that was refused");
        live.ok("ingest -q");
    }
}

#[test]
fn products_that_always_fail_do_not_open_the_breaker_of_a_source_that_answers_for_the_others() {
    let mut live = Live::new(config(), "rainforest");
    // Each product fails for ever at one source of five.
    live.simulator.set_faults(crate::simulator::Faults { never: 1.0, ..Default::default() });
    live.set("rainforest", "concurrency", 4);
    let products = live.products(45, 0);
    live.watch(&products, "");
    let ended = live.run("ingest -q");
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert_eq!(live.lines("SELECT DISTINCT fault FROM fetch_failures"), ["unavailable"]);
    let failed = live.number("SELECT COUNT(*) FROM fetch_failures");
    assert!((4..=12).contains(&failed), "{failed} of 45");
    let status = live.json("status --format json");
    assert_eq!(status["sources"][0]["breaker"], "closed", "{status:#}");
}

#[test]
fn a_probe_that_is_repeated_opens_the_breaker_once() {
    let mut live = Live::new(config(), "apify");
    live.set("apify", "batch", 1);
    live.set("apify", "concurrency", 8);
    let products = live.products(8, 0);
    live.watch(&products, "");
    live.simulator.set_down(Source::Apify, true);
    // All are given up, so that nothing is left open.
    live.run("ingest -q --deadline 30s");
    let cooldown = |live: &Live| live.number("SELECT cooldown_ms FROM source_states WHERE source = 'apify'");
    assert_eq!(cooldown(&live), 30_000);
    live.set_now("2026-03-01T12:00:45Z");
    let asked = live.asked(Source::Apify);
    live.run("ingest -q --deadline 12s");
    assert!(live.asked(Source::Apify) >= asked + 3, "the probe was not repeated: the test shows nothing");
    assert_eq!(cooldown(&live), 60_000);
}

#[test]
fn an_open_breaker_is_kept_by_the_next_process_and_closed_by_one_probe() {
    let latency = Latency { base_ms: 60, jitter_ms: 0 };
    let mut live = Live::new(Config { latency, ..config() }, "rainforest");
    live.set("rainforest", "concurrency", 8);
    let products = live.products(12, 0);
    live.watch(&products, "");
    live.simulator.set_down(Source::Rainforest, true);
    let ended = live.run("ingest --deadline 2s");
    assert!(matches!(ended.code, Some(6 | 7)), "{ended:#?}");
    let asked = live.asked(Source::Rainforest);
    assert!((10..=17).contains(&asked), "{asked} requests to a source that is down");
    let breaker = |live: &Live| live.json("status --format json")["sources"][0]["breaker"].clone();
    assert_eq!(breaker(&live), "open");

    live.simulator.set_down(Source::Rainforest, false);
    live.set_now("2026-03-01T12:00:20Z");
    live.run("ingest -q --deadline 1s");
    assert_eq!(live.asked(Source::Rainforest), asked, "asked while its breaker was open");

    live.set_now("2026-03-01T12:01:00Z");
    live.simulator.reset();
    live.ok("ingest -q");
    assert_eq!(breaker(&live), "closed");
    let times: Vec<u64> = live.simulator.requests().iter().map(|entry| entry.at_ms).collect();
    assert_eq!(times.len(), 12);
    assert!(times[1] >= times[0] + 60, "others went before the probe had its answer: {times:?}");
}
