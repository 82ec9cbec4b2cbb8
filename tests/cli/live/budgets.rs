//! Limits of what may be spent: kept before a request is sent, over runs and days, whatever is in flight.

use super::{Live, config};
use crate::simulator::Source;

fn charged(live: &Live, source: Source) -> i64 {
    live.simulator.ledger()["sources"][source.name()]["paid_units"].as_i64().unwrap_or(0)
}

/// Forty products at Rainforest, ten credits a run and seventeen by another limit.
fn limited_by(limit: &str) -> Live {
    let mut live = Live::new(config(), "rainforest");
    live.set("rainforest", "concurrency", 8);
    live.set("rainforest", "max_units_run", 10);
    live.set("rainforest", limit, 17);
    let products = live.products(40, 0);
    live.watch(&products, "");
    live
}

/// Asks at `now`: what was spent by then, in the provider's eyes and ours, and the limit that ended it.
fn assert_stopped(live: &mut Live, now: &str, spent: i64, reason: &str) {
    live.set_now(now);
    let ended = live.run("ingest");
    assert_eq!(ended.code, Some(6), "{now}: {ended:#?}");
    assert!(ended.stderr.contains(reason), "{now}: {ended:#?}");
    assert_eq!(charged(live, Source::Rainforest), spent, "{now}");
    assert_eq!(live.number("SELECT SUM(cost_units) FROM source_requests"), spent, "{now}");
}

#[test]
fn what_one_run_and_one_day_may_spend_is_never_exceeded_and_the_rest_stays_due() {
    let mut live = limited_by("max_units_day");
    for (now, spent, reason) in [
        ("2026-03-01T12:00:00Z", 10, "11 credits would exceed the 10 of `max_units_run`"),
        ("2026-03-01T13:00:00Z", 17, "18 credits would exceed the 17 of `max_units_day`"),
        ("2026-03-01T14:00:00Z", 17, "18 credits would exceed the 17 of `max_units_day`"),
        ("2026-03-02T00:10:00Z", 27, "11 credits would exceed the 10 of `max_units_run`"),
    ] {
        assert_stopped(&mut live, now, spent, reason);
    }
    assert_eq!(live.number("SELECT COUNT(*) FROM fetch_failures WHERE fault = 'budget'"), 30);
    live.unset("rainforest", "max_units_run");
    live.unset("rainforest", "max_units_day");
    live.set_now("2026-03-02T10:00:00Z");
    live.ok("ingest -q");
    assert_eq!(live.number("SELECT COUNT(*) FROM fetch_failures"), 0);
    assert_eq!(charged(&live, Source::Rainforest), 57);
}

#[test]
fn what_a_month_may_spend_holds_over_its_days_and_processes_and_the_next_month_begins_anew() {
    let mut live = limited_by("max_units_month");
    let of_run = "11 credits would exceed the 10 of `max_units_run`";
    let of_month = "18 credits would exceed the 17 of `max_units_month`";
    for (now, spent, still_due, reason) in [
        ("2026-03-30T12:00:00Z", 10, 30, of_run),
        // Every day all forty are due again.
        ("2026-03-31T12:00:00Z", 17, 33, of_month),
        ("2026-03-31T23:59:59Z", 17, 33, of_month),
        ("2026-04-01T00:00:00Z", 27, 30, of_run),
    ] {
        assert_stopped(&mut live, now, spent, reason);
        assert_eq!(live.json("ingest --dry-run --format json")["due"], still_due, "{now}");
    }
}

#[test]
fn dollars_are_counted_by_the_price_of_a_result_and_a_batch_is_cut_to_what_fits() {
    let mut live = Live::new(config(), "apify");
    live.set("apify", "batch", 5);
    live.set("apify", "concurrency", 4);
    // $0.0008 each: fourteen are $0.0112, one more would make $0.012.
    live.set("apify", "max_usd_day", "0.0119");
    let products = live.products(30, 0);
    live.watch(&products, "");
    for _ in 0..2 {
        let ended = live.run("ingest");
        assert_eq!(ended.code, Some(6), "{ended:#?}");
        assert!(ended.stderr.contains("$0.012 would exceed the $0.0119 of `max_usd_day`"), "{ended:#?}");
        assert_eq!(charged(&live, Source::Apify), 14);
    }
    live.set_now("2026-03-02T08:00:00Z");
    assert_eq!(live.run("ingest -q").code, Some(6));
    assert_eq!(charged(&live, Source::Apify), 28);
}

#[test]
fn a_budget_that_is_used_up_does_not_send_products_to_a_dearer_source() {
    let mut live = Live::new(config(), "keepa,rainforest");
    live.set("keepa", "max_units_day", 30);
    let products = live.products(150, 0);
    live.watch(&products, "");
    let ended = live.run("ingest");
    assert_eq!(ended.code, Some(6), "{ended:#?}");
    assert_eq!(live.asked(Source::Rainforest), 0);
    // Three tokens each: ten products fit, and a request is as small as that.
    let spent = live.number("SELECT SUM(cost_units) FROM source_requests");
    assert!((28..=30).contains(&spent), "{spent}");
    assert!(live.number("SELECT COUNT(*) FROM fetches") >= 10);
}

#[test]
fn what_may_be_spent_goes_to_the_most_critical_first() {
    let mut live = Live::new(config(), "rainforest");
    live.set("rainforest", "max_units_run", 3);
    let products = live.products(6, 0);
    let (weekly, critical) = products.split_at(3);
    live.watch(weekly, "--tier weekly");
    live.watch(critical, "--tier critical");
    assert_eq!(live.run("ingest").code, Some(6));
    let fetched = live.lines("SELECT asin FROM fetches ORDER BY asin");
    let mut expected: Vec<String> = critical.iter().map(ToString::to_string).collect();
    expected.sort();
    assert_eq!(fetched, expected);
}
