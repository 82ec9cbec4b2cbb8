//! What would be asked, without asking.

use super::{Live, config};
use crate::simulator::Source;

#[test]
fn a_dry_run_tells_requests_and_cost_and_asks_nobody() {
    let mut live = Live::new(config(), "keepa");
    let products = live.products(150, 0);
    live.watch(&products[..110], "");
    live.watch(&products[110..], "--source-chain apify,rainforest");
    live.set("apify", "batch", 25);
    live.set("keepa", "usd_per_token", "0.001");
    let plan = live.json("ingest --dry-run --format json");
    assert_eq!(plan["schema"], "amzctl.plan/1");
    assert_eq!((&plan["due"], &plan["requests"]), (&150.into(), &4.into()));
    // 110 products for three tokens of $0.001 each, and 40 results of $0.0008.
    assert_eq!(plan["usd_micros"], 330_000 + 32_000);
    let line = |source: &str| {
        let lines = plan["sources"].as_array().unwrap();
        lines.iter().find(|line| line["source"] == source).unwrap().clone()
    };
    assert_eq!((&line("keepa")["requests"], &line("keepa")["units"]), (&2.into(), &330.into()));
    assert_eq!((&line("apify")["requests"], &line("apify")["units"]), (&2.into(), &40.into()));
    let table = live.ok("ingest --dry-run");
    assert!(table.stdout.contains("keepa") && table.stderr.contains("nobody was asked"), "{table:#?}");
    assert_eq!(live.simulator.totals().requests, 0);
    assert_eq!(live.number("SELECT COUNT(*) FROM source_requests"), 0);
    assert_eq!(live.number("SELECT COUNT(*) FROM runs WHERE command = 'ingest'"), 0);

    // What was planned is what is done.
    live.ok("ingest -q");
    assert_eq!((live.asked_for(Source::Keepa, "product"), live.asked_for(Source::Apify, "run")), (2, 2));
    assert_eq!(live.number("SELECT SUM(cost_micros) FROM source_requests"), 362_000);
    assert_eq!(live.json("ingest --dry-run --format json")["due"], 0);
}

#[test]
fn what_two_workspaces_watch_is_asked_and_paid_for_once_and_both_see_it() {
    let mut live = Live::new(config(), "keepa");
    live.set("keepa", "usd_per_token", "0.001");
    let products = live.products(10, 0);
    live.watch(&products, "");
    live.watch(&products[5..], "--workspace eu");
    let plan = live.json("ingest --dry-run --format json");
    assert_eq!(
        (&plan["due"], &plan["requests"], &plan["usd_micros"]),
        (&10.into(), &1.into(), &30_000.into())
    );
    live.ok("--workspace eu ingest -q");
    assert_eq!(live.asked_for(Source::Keepa, "product"), 1);
    assert_eq!(live.number("SELECT SUM(cost_micros) FROM source_requests"), 30_000);
    for workspace in ["main", "eu"] {
        let due = &live.json(&format!("--workspace {workspace} ingest --dry-run --format json"))["due"];
        assert_eq!(due, 0, "{workspace}");
    }
    live.ok("normalize -q");
    let seen = |workspace: &str| {
        let list = format!("--workspace {workspace} watch list --format csv --fields last_day");
        live.ok(&list).stdout.lines().filter(|line| line.starts_with("2026-")).count()
    };
    assert_eq!((seen("main"), seen("eu")), (10, 5));
}

#[test]
fn a_dry_run_works_when_no_provider_can_be_reached() {
    let mut live = Live::new(config(), "keepa,apify,sp-api,firecrawl,rainforest");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for section in ["keepa", "apify", "sp_api", "firecrawl", "rainforest"] {
        live.set(section, "base_url", format!("\"http://{closed}\""));
    }
    let products = live.products(5, 0);
    live.watch(&products, "");
    assert_eq!(live.json("ingest --dry-run --format json")["requests"], 1);
}

#[test]
fn products_are_chosen_by_name_tier_and_number() {
    let live = Live::new(config(), "rainforest");
    let products = live.products(12, 0);
    live.watch(&products[..3], "--tier critical");
    live.watch(&products[3..], "");
    let due = |options: &str| live.json(&format!("ingest --dry-run --format json {options}"))["due"].clone();
    assert_eq!(due("--tier critical"), 3);
    assert_eq!(due("--limit 5"), 5);
    assert_eq!(due(&format!("--only US:{} US:{}", products[0], products[7])), 2);
    // The most critical go first.
    live.ok("ingest -q --limit 4");
    let fetched = live.lines("SELECT asin FROM fetches");
    assert_eq!(fetched.len(), 4);
    assert!(products[..3].iter().all(|asin| fetched.contains(asin)), "{fetched:?}");
    let other = products.iter().find(|asin| !fetched.contains(asin)).unwrap();
    live.ok(&format!("ingest -q --only US:{other}"));
    live.ok("ingest -q --tier critical");
    assert_eq!(live.number("SELECT COUNT(*) FROM fetches"), 5);
    assert!(live.lines("SELECT asin FROM fetches").contains(other));
    let unknown = live.run("ingest --only US:B000000000");
    assert_eq!(unknown.code, Some(2), "{unknown:#?}");
}
