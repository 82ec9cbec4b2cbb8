//! What was spent, and how the providers are.

use super::{Ended, Live, config};
use crate::simulator::{Config, Faults, Source};

/// Two days of three sources; three of the products that Keepa is asked for do not exist, so that its tokens are not
/// shared out evenly.
fn spent() -> Live {
    let mut live = Live::new(config(), "apify");
    live.set("keepa", "usd_per_token", "0.0011");
    live.set("rainforest", "usd_per_credit", "0.00075");
    live.set("apify", "batch", 7);
    let products = live.products(30, 3);
    for (products, chain) in products.chunks(11).zip(["apify", "rainforest", "keepa"]) {
        live.watch(products, &format!("--source-chain {chain}"));
    }
    live.ok("ingest -q");
    live.set_now("2026-03-02T12:00:00Z");
    live.ok("ingest -q");
    live
}

#[test]
fn costs_add_up_by_source_day_run_and_product_to_what_the_providers_charged() {
    let live = spent();
    let by = |what: &str| live.json(&format!("costs --by {what} --format json"));
    let total = by("source")["total_usd_micros"].as_i64().unwrap();
    let sum = |document: &serde_json::Value, key: &str| -> i64 {
        document["rows"].as_array().unwrap().iter().map(|row| row[key].as_i64().unwrap()).sum()
    };
    for what in ["source", "day", "run", "product"] {
        let document = by(what);
        assert_eq!(document["total_usd_micros"], total, "{what}");
        assert_eq!(sum(&document, "micros"), total, "{what}");
        assert_eq!(sum(&document, "units"), sum(&by("source"), "units"), "{what}");
        assert_eq!(document["unpriced_requests"], 0, "{what}");
    }
    assert_eq!(by("run")["rows"].as_array().unwrap().len(), 6, "two runs of three sources");
    assert_eq!(by("product")["rows"].as_array().unwrap().len(), 33);
    // Independently: what the simulator charged, at the prices above.
    let ledger = live.simulator.ledger();
    let units = |source: Source| ledger["sources"][source.name()]["paid_units"].as_i64().unwrap();
    let rows = by("source");
    let micros = |name: &str| {
        let rows = rows["rows"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).unwrap()["micros"].as_i64().unwrap()
    };
    assert_eq!(micros("apify"), units(Source::Apify) * 800);
    assert_eq!(micros("keepa"), units(Source::Keepa) * 3 * 1_100);
    assert_eq!(micros("rainforest"), units(Source::Rainforest) * 750);
    let one_day = live.json("costs --by day --format json --from 2026-03-02 --to 2026-03-02");
    assert_eq!(one_day["total_usd_micros"].as_i64().unwrap() * 2, total);
    let table = live.ok("costs --by product");
    assert!(table.stdout.contains("US:") && table.stderr.contains('$'), "{table:#?}");
}

#[test]
fn doctor_tells_healthy_from_degraded_from_unhealthy() {
    let chain = "apify,keepa,sp-api,firecrawl,rainforest";
    let live = Live::new(config(), chain);
    let health = |document: &serde_json::Value, part: &str| {
        let parts = document["parts"].as_array().unwrap().iter();
        parts.clone().find(|line| line["part"] == part).unwrap()["health"].as_str().unwrap().to_owned()
    };
    let document = live.json("doctor --format json");
    for part in chain.split(',').chain(["database", "lake"]) {
        assert_eq!(health(&document, part), "healthy", "{part}: {document:#}");
    }
    assert_eq!(live.simulator.totals().paid_requests, 0, "doctor is free");

    let refused = Ended::of(live.command("doctor --format json").env("KEEPA_API_KEY", "wrong"));
    assert_eq!(refused.code, Some(12), "{refused:#?}");
    let document = serde_json::from_str(&refused.stdout).unwrap();
    assert_eq!(
        (health(&document, "keepa"), health(&document, "apify")),
        ("unhealthy".into(), "healthy".into())
    );
    let missing = Ended::of(live.command("doctor").env_remove("APIFY_TOKEN"));
    assert_eq!(missing.code, Some(12), "{missing:#?}");
    assert!(missing.stderr.contains("APIFY_TOKEN"), "{missing:#?}");

    live.simulator.set_down(Source::Firecrawl, true);
    let down = live.run("doctor --format json");
    assert_eq!(down.code, Some(7), "{down:#?}");
    assert_eq!(health(&serde_json::from_str(&down.stdout).unwrap(), "firecrawl"), "unhealthy");
}

#[test]
fn a_clock_that_is_hours_off_and_an_empty_account_are_degraded() {
    let faults = Faults { clock_skew: 1.0, max_attempts: 4, ..Faults::default() };
    let live = Live::new(Config { faults, keepa_tokens: 0, ..config() }, "apify,keepa,firecrawl");
    let document = live.json("doctor --format json");
    for part in document["parts"].as_array().unwrap() {
        let is_odd = ["apify", "keepa", "firecrawl"].contains(&part["part"].as_str().unwrap());
        assert_eq!(part["health"] == "degraded", is_odd, "{part:#}");
    }
    assert_eq!(document["health"], "degraded");
}
