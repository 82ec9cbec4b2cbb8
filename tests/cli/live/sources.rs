//! Each provider: its answers land once, cost what they cost, and are read; what is not due is not asked for.

use super::{Live, config};
use crate::simulator::{Faults, Source};

/// Forty products, four of which nobody knows.
fn watching(chain: &str) -> Live {
    let live = Live::new(config(), chain);
    let products = live.products(36, 4);
    live.watch(&products, "");
    live
}

/// What a provider is expected to be asked for forty products.
struct Expected {
    source: Source,
    /// (the simulator's operation, requests)
    operations: &'static [(&'static str, u64)],
    /// Rows of the ledger.
    requests: i64,
    receipts: i64,
    /// Smallest and largest number of units.
    units: (i64, i64),
    micros: i64,
}

const ALL: [Expected; 5] = [
    // One run; every address gives a paid item, of $0.0008.
    Expected {
        source: Source::Apify,
        operations: &[("run", 1), ("list_runs", 0)],
        requests: 1,
        receipts: 40,
        units: (40, 40),
        micros: 32_000,
    },
    // A token each and two for the buy box, of those that are known.
    Expected {
        source: Source::Keepa,
        operations: &[("product", 1)],
        requests: 1,
        receipts: 40,
        units: (108, 108),
        micros: 0,
    },
    // Twenty a call, two operations.
    Expected {
        source: Source::SpApi,
        operations: &[("searchCatalogItems", 2), ("getItemOffersBatch", 2), ("token", 1)],
        requests: 4,
        receipts: 80,
        units: (4, 4),
        micros: 0,
    },
    Expected {
        source: Source::Firecrawl,
        operations: &[("scrape", 40)],
        requests: 40,
        receipts: 40,
        units: (40, 40),
        micros: 0,
    },
    // Whether "there is none" costs a credit is not known: it counts as one.
    Expected {
        source: Source::Rainforest,
        operations: &[("product", 40)],
        requests: 40,
        receipts: 40,
        units: (36, 40),
        micros: 0,
    },
];

#[test]
fn each_provider_is_asked_in_its_batches_and_everything_it_says_is_kept_and_read() {
    for expected in ALL {
        let Expected { source, operations, requests, receipts, units, micros } = expected;
        let name = source.name();
        let live = watching(name);
        let ended = live.run("ingest");
        assert_eq!(ended.code, Some(0), "{name}: {ended:#?}");
        for &(operation, count) in operations {
            assert_eq!(live.asked_for(source, operation), count, "{name} {operation}");
        }
        let ledger = format!("source = '{name}' AND state = 'answered' AND attempt = 1");
        assert_eq!(live.number("SELECT COUNT(*) FROM source_requests"), requests, "{name}");
        assert_eq!(
            live.number(&format!("SELECT COUNT(*) FROM source_requests WHERE {ledger}")),
            requests,
            "{name}"
        );
        assert_eq!(live.number("SELECT COUNT(*) FROM raw_receipts"), receipts, "{name}");
        let spent = live.number("SELECT SUM(cost_units) FROM source_requests");
        assert!((units.0..=units.1).contains(&spent), "{name}: {spent} units");
        // What the receipts cost adds up to what the requests cost.
        for column in ["cost_units", "cost_micros"] {
            let of_receipts = live.number(&format!("SELECT COALESCE(SUM({column}), 0) FROM raw_receipts"));
            let of_requests = live.number(&format!("SELECT COALESCE(SUM({column}), 0) FROM source_requests"));
            assert_eq!(of_receipts, of_requests, "{name} {column}");
        }
        assert_eq!(live.number("SELECT COALESCE(SUM(cost_micros), 0) FROM raw_receipts"), micros, "{name}");
        // A price that is not known is not nothing.
        let unpriced = live.number("SELECT COUNT(*) FROM raw_receipts WHERE cost_micros IS NULL");
        let has_price = matches!(source, Source::Apify | Source::SpApi);
        assert_eq!(unpriced, if has_price { 0 } else { receipts }, "{name}");
        assert_eq!(live.simulator.totals().repeated_paid, 0, "{name}");

        let ended = live.run("normalize");
        assert_eq!(ended.code, Some(0), "{name}: {ended:#?}");
        assert_eq!(live.lines("SELECT detail FROM quarantine"), [""; 0], "{name}");
        let absent = live
            .lines("SELECT DISTINCT asin FROM observations WHERE is_current = 1 AND found = 0 ORDER BY asin");
        let mut missing = live.products(0, 4);
        missing.sort();
        assert_eq!(absent, missing, "{name}: not found");
        let found =
            live.number("SELECT COUNT(DISTINCT asin) FROM observations WHERE is_current = 1 AND found = 1");
        assert_eq!(found, 36, "{name}: found");
        for asin in &live.products(36, 0) {
            let fact = live.simulator.fact("US", asin).unwrap();
            let price = live.lines(&format!(
                "SELECT COALESCE(CAST(COALESCE(price_minor, buy_box_price_minor) AS TEXT), 'none')
                 FROM product_metrics_daily WHERE asin = '{asin}'"
            ));
            let told = fact.price.map_or("none".to_owned(), |price| price.to_string());
            assert_eq!(price, [told], "{name}: the price of {asin}");
        }
    }
}

#[test]
fn a_reply_whose_date_is_hours_off_is_as_old_as_our_clock_says() {
    let live = watching("sp-api");
    let faults = Faults { clock_skew: 1.0, max_attempts: 1, ..Default::default() };
    live.simulator.set_faults(faults);
    live.ok("ingest -q");
    let hours =
        live.lines("SELECT DISTINCT strftime('%H', observed_at / 1000000, 'unixepoch') FROM raw_receipts");
    assert_eq!(hours, ["12"]);
}

#[test]
fn a_second_run_of_the_day_asks_nobody_and_the_next_day_asks_again() {
    for Expected { source, requests, receipts, .. } in ALL {
        let name = source.name();
        let mut live = watching(name);
        live.ok("ingest -q");
        let asked = live.asked(source);
        let ended = live.ok("ingest");
        assert!(ended.stderr.contains("0 products due") && ended.stderr.contains("40 not due"), "{ended:?}");
        live.set_now("2026-03-01T23:59:59Z");
        live.ok("ingest -q");
        assert_eq!(live.asked(source), asked, "{name} was asked twice on a day");
        assert_eq!(live.number("SELECT COUNT(*) FROM source_requests"), requests, "{name}");
        live.set_now("2026-03-02T00:00:00Z");
        live.ok("ingest -q");
        assert_eq!(live.number("SELECT COUNT(*) FROM source_requests"), 2 * requests, "{name}");
        assert!(live.number("SELECT COUNT(*) FROM raw_receipts") > receipts, "{name}");
        assert_eq!(live.simulator.totals().repeated_paid, 0, "{name}");
    }
}

#[test]
fn a_critical_product_is_asked_for_every_six_hours_and_a_weekly_one_every_week() {
    let mut live = Live::new(config(), "keepa");
    let products = live.products(3, 0);
    live.watch(&products[..1], "--tier critical");
    live.watch(&products[1..2], "--tier routine");
    live.watch(&products[2..], "--tier weekly");
    // 2026-03-01 is a Sunday.
    for (now, asked) in [
        ("2026-03-01T12:00:00Z", &[0, 1, 2][..]),
        ("2026-03-01T17:59:59Z", &[]),
        ("2026-03-01T18:00:00Z", &[0]),
        ("2026-03-01T23:00:00Z", &[]),
        ("2026-03-02T05:00:00Z", &[0, 1, 2]),
        ("2026-03-02T06:00:00Z", &[0]),
        ("2026-03-08T05:00:00Z", &[0, 1]),
        ("2026-03-09T05:00:00Z", &[0, 1, 2]),
    ] {
        live.set_now(now);
        live.ok("ingest -q");
        let micros = chrono::DateTime::parse_from_rfc3339(now).unwrap().timestamp_micros();
        let fetched =
            live.lines(&format!("SELECT asin FROM fetches WHERE fetched_at = {micros} ORDER BY asin"));
        let mut expected: Vec<&String> = asked.iter().map(|&at: &usize| &products[at]).collect();
        expected.sort();
        assert_eq!(fetched.iter().collect::<Vec<_>>(), expected, "{now}");
    }
}

#[test]
fn a_run_whose_start_was_not_heard_of_is_found_again_even_where_its_input_cannot_be_read_at_first() {
    let mut live = Live::new(config(), "apify");
    let faults = Faults { reply_lost: 0.4, html_page: 0.4, max_attempts: 1, ..Default::default() };
    live.simulator.set_faults(faults);
    live.set("apify", "batch", 1);
    live.set("apify", "concurrency", 1);
    let mut products = live.simulator.existing_asins("US", 60);
    let is_lost =
        |asin: &str| live.simulator.first_fault(Source::Apify, "run", asin).as_deref() == Some("ReplyLost");
    products.retain(|asin| is_lost(asin));
    products.truncate(2);
    live.watch(&products, "");
    for _ in 0..3 {
        live.run("ingest -q");
    }
    assert_eq!(live.number("SELECT COUNT(*) FROM fetches"), 2);
    let unreadable = live
        .simulator
        .requests()
        .iter()
        .filter(|entry| entry.operation == "record" && entry.outcome == "fault:html_page")
        .count();
    assert!(unreadable > 0, "no input was unreadable: the test shows nothing");
    let charged: Vec<u32> =
        products.iter().map(|asin| live.simulator.paid(Source::Apify, "US", asin).charged).collect();
    assert_eq!(charged, [1; 2], "a run was started twice");
}

#[test]
fn a_run_that_a_gateway_did_not_hear_of_is_not_started_again() {
    let mut live = Live::new(config(), "apify");
    live.simulator.set_faults(Faults { start_unheard: 1.0, max_attempts: 1, ..Default::default() });
    live.set("apify", "batch", 5);
    let products = live.products(10, 0);
    live.watch(&products, "");
    live.ok("ingest -q");
    assert_eq!(live.number("SELECT COUNT(*) FROM fetches"), 10);
    assert_eq!(live.simulator.totals().repeated_paid, 0);
    assert_eq!(live.number("SELECT SUM(cost_micros) FROM source_requests"), 10 * 800);
}
