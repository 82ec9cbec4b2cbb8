//! Days of the past, from Keepa's history and from dated files: asked for or read once, never against what was seen.

use super::{Live, config};
use crate::simulator::Source;

/// Findings about days of the past are listed; nobody is told of them.
const TOLD: &str = "SELECT COUNT(*) FROM alerts a LEFT JOIN outbox_events e USING (alert_id)
    WHERE a.day < '2026-02-25' AND (a.historical = 0 OR e.event_id IS NOT NULL)";
const LINE: &str = "backfill --source keepa --from 2026-02-10 --to 2026-02-24";

/// A hundred and fifty products: two requests.
fn watching() -> Live {
    let live = Live::new(config(), "keepa");
    let products = live.products(150, 0);
    live.watch(&products, "");
    live
}

#[test]
fn a_backfill_is_planned_asked_for_once_and_gives_every_day_its_row() {
    let live = watching();
    let plan = live.json(&format!("{LINE} --dry-run --format json"));
    // A token each: the buy box is not asked for.
    assert_eq!((&plan["due"], &plan["requests"]), (&150.into(), &2.into()));
    assert_eq!(plan["sources"][0]["units"], 150);
    assert_eq!(live.simulator.totals().requests, 0);

    live.ok(&format!("{LINE} -q"));
    assert_eq!(live.asked_for(Source::Keepa, "product"), 2);
    let days = live.lines(
        "SELECT day || ' ' || source || ' ' || (COUNT(*) > 100) FROM product_metrics_daily GROUP BY day, source ORDER BY 1",
    );
    let expected: Vec<String> = (10..=24).map(|day| format!("2026-02-{day} keepa-history 1")).collect();
    assert_eq!(days, expected);
    assert_eq!(live.lines("SELECT detail FROM quarantine"), [""; 0]);
    assert_eq!(live.number(TOLD), 0);

    live.ok(&format!("{LINE} -q"));
    assert_eq!(live.asked_for(Source::Keepa, "product"), 2, "asked twice");
    // What is true today is another question.
    live.ok("ingest -q");
    assert_eq!(live.asked_for(Source::Keepa, "product"), 4);
}

#[test]
fn what_was_seen_live_counts_more_than_history_and_nobody_is_alerted() {
    let mut live = watching();
    live.set_now("2026-02-20T09:00:00Z");
    live.ok("ingest -q");
    live.ok("run -q --no-deliver");
    let seen =
        "SELECT asin || ' ' || COALESCE(price_minor, -1) || ' ' || observed_at FROM product_metrics_daily
        WHERE day = '2026-02-20' AND source = 'keepa' ORDER BY 1";
    let before = live.lines(seen);
    assert!(before.len() > 100);
    live.set_now("2026-03-01T12:00:00Z");
    live.ok(&format!("{LINE} -q"));
    assert_eq!(live.lines(seen), before, "history replaced what was seen");
    assert!(live.number("SELECT COUNT(*) FROM product_metrics_daily WHERE day = '2026-02-19'") > 100);
    live.ok("run -q --no-deliver");
    assert_eq!(live.number(TOLD), 0);
}

#[test]
fn an_interrupted_backfill_goes_on_where_it_was() {
    let whole = watching();
    whole.ok(&format!("{LINE} -q"));
    let mut live = watching();
    // The budget is reached behind the first hundred.
    live.set("keepa", "max_units_run", 100);
    let ended = live.run(&format!("{LINE} -q"));
    assert_eq!(ended.code, Some(6), "{ended:#?}");
    assert_eq!(live.asked_for(Source::Keepa, "product"), 1);
    live.ok(&format!("{LINE} -q"));
    assert_eq!(live.asked_for(Source::Keepa, "product"), 2);
    assert_eq!(live.simulator.totals().repeated_paid, 0);
    let days =
        "SELECT asin || ' ' || day || ' ' || COALESCE(price_minor, -1) FROM product_metrics_daily ORDER BY 1";
    assert_eq!(live.lines(days), whole.lines(days));
}

#[test]
fn dated_files_give_the_days_that_are_asked_for_once_and_nobody_is_alerted() {
    let mut live = Live::new(config(), "keepa");
    live.set("alerts", "rules", "\"plain\"");
    let products = live.simulator.existing_asins("DE", 2);
    let watched: Vec<String> = products.iter().map(|asin| format!("DE:{asin}")).collect();
    live.watch(&watched, "");
    // A fall by a quarter, of which somebody would be told on its day.
    let prices = [(29, 2699), (30, 2599), (31, 1899)];
    for (day, price) in prices {
        let rows = format!("{},{price},in_stock\n{},1000,in_stock\n", products[0], products[1]);
        let table = format!("asin,price_minor,availability\n{rows}");
        live.sandbox.write(&format!("prices/2026-01-{day}/de.csv"), table);
    }
    // Whoever reads one of these is refused it and ends with 3.
    live.sandbox.write("prices/2026-02-01/de.csv", [0_u8; 64]);
    live.sandbox.write("prices/undated.csv", [0_u8; 64]);
    let from =
        |first: u32| format!("backfill --from 2026-01-{first} --to 2026-01-31 --marketplace DE prices");
    let days = || {
        live.lines("SELECT day || ' ' || asin || ' ' || price_minor FROM product_metrics_daily ORDER BY 1")
    };
    let days_since = |first: u32| {
        let since = prices.iter().filter(|(day, _)| *day >= first);
        let mut rows: Vec<String> = since
            .flat_map(|(day, price)| {
                [(&products[0], *price), (&products[1], 1000)]
                    .map(|(asin, price)| format!("2026-01-{day} {asin} {price}"))
            })
            .collect();
        rows.sort();
        rows
    };
    let reads = || live.lines("SELECT path || ' ' || run_id FROM ingest_files ORDER BY 1");

    let planned = live.ok(&format!("{} --dry-run", from(30)));
    assert!(planned.stderr.contains("2 files, 4 records, 4 would land"), "{planned:#?}");
    assert!(planned.stderr.contains("1 file left out: no single date in their path"), "{planned:#?}");
    assert!(planned.stderr.contains("2 files of other days left out"), "{planned:#?}");
    assert_eq!((live.number("SELECT COUNT(*) FROM raw_receipts"), reads().len()), (0, 0));

    live.ok(&format!("{} -q", from(30)));
    assert_eq!(days(), days_since(30));
    let read = reads();
    assert_eq!(read.len(), 2, "{read:?}");

    let again = live.ok(&from(30));
    assert!(again.stderr.contains("2 files (2 already read), 0 records, 0 landed"), "{again:#?}");
    assert_eq!((reads(), days()), (read, days_since(30)), "read twice");

    // An earlier day is all that is read of a longer span.
    let longer = live.ok(&from(29));
    assert!(longer.stderr.contains("3 files (2 already read), 2 records, 2 landed"), "{longer:#?}");
    assert_eq!(days(), days_since(29));

    assert_eq!(live.simulator.totals().requests, 0, "a provider was asked");
    let found = "SELECT day || ' ' || historical FROM alerts WHERE rule = 'price_drop'";
    assert_eq!(live.lines(found), ["2026-01-31 1"]);
    assert_eq!(live.number("SELECT COUNT(*) FROM outbox_events"), 0);
    live.ok("run -q --no-deliver");
    assert_eq!(live.number(TOLD), 0);
}

#[test]
#[cfg(feature = "failpoints")]
fn a_killed_backfill_asks_again_only_for_what_was_not_kept() {
    let whole = watching();
    whole.ok(&format!("{LINE} -q"));
    let days =
        "SELECT asin || ' ' || day || ' ' || COALESCE(price_minor, -1) FROM product_metrics_daily ORDER BY 1";
    for point in ["fetch.after_send:1", "fetch.inside_commit:2", "fetch.after_commit:1"] {
        let mut live = watching();
        live.set("keepa", "concurrency", 1);
        let killed = super::Ended::of(live.command(&format!("{LINE} -q")).env("AMZCTL_FAILPOINT", point));
        assert_eq!(killed.code, None, "{point}: {killed:#?}");
        live.ok(&format!("{LINE} -q"));
        assert_eq!(live.lines(days), whole.lines(days), "{point}");
        let lost = live.number("SELECT COUNT(*) FROM source_requests WHERE state = 'lost'");
        assert_eq!(live.asked_for(Source::Keepa, "product"), 2 + lost as u64, "{point}");
    }
}
