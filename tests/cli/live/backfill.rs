//! Days of the past from Keepa's history: asked for once, read into days, never against what was seen.

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
