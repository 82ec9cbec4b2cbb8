//! What becomes of findings that are held back, and of alerts that are over, where the product's rows do not
//! say it.

use super::*;
use crate::rollup::rules::GateReason;
use crate::store::gate::GATE;
use chrono::TimeDelta;

fn gated() -> Options {
    let gate =
        Gate { implausible_factor: 5.into(), moved_pct: 20, moved_products: 10, canaries: BTreeSet::new() };
    Options { rules: RuleSet::calm(2).into(), gate: Some(gate), ..options() }
}

/// One look is enough, and a grave finding wants another source's.
fn asking() -> Options {
    let (severity, wait, unanswered) = (Severity::Critical, TimeDelta::hours(6), BTreeMap::new());
    let second = Some(SecondSource { severity, wait, unanswered });
    Options { rules: RuleSet::plain(2).into(), second, ..gated() }
}

impl Bench {
    /// A finding that was held back at noon of its day.
    async fn hold(&self, id: &str, rule: &str, severity: &str, (asin, on): (&str, &str), reason: GateReason) {
        let held_at = format!("{on}T12:00:00Z").parse::<Timestamp>().unwrap().timestamp_micros();
        self.sql(format!(
            "INSERT INTO incidents (incident_id, kind, source, reason, detail, day, state, run_id, recorded_at, workspace)
               VALUES ('i-{reason}', '{GATE}', '', '{reason}', 'd', '{on}', 'open', 'run', 0, 'main')
               ON CONFLICT (incident_id) DO NOTHING;
             INSERT INTO held_findings (workspace, incident_id, alert_id, rule, severity, marketplace, asin, day, message,
               evidence, historical, state, run_id, held_at)
               VALUES ('main', 'i-{reason}', '{id}', '{rule}', '{severity}', 'US', '{asin}', '{on}', 'm', '{{}}', 0, 'held',
               'run', {held_at})"
        ))
        .await;
    }

    async fn looked_at(&self, id: &str, evidence: &str) {
        self.sql(format!("UPDATE held_findings SET evidence = '{evidence}' WHERE alert_id = '{id}'")).await;
    }

    /// `id state note` of all that is or was held.
    async fn held(&self) -> Vec<String> {
        self.store
            .lines("SELECT alert_id || ' ' || state || ' ' || note FROM held_findings ORDER BY alert_id")
            .await
    }

    async fn seen(
        &self,
        receipt_id: i64,
        source: &str,
        (asin, instant): (&str, &str),
        facts: &str,
        listing: &str,
    ) {
        let at = instant.parse::<Timestamp>().unwrap();
        let (on, at) = (&instant[..10], at.timestamp_micros());
        self.sql(format!(
            "INSERT INTO listing_contents VALUES ('l{receipt_id}', 'c{receipt_id}', '{listing}');
             INSERT INTO observations (receipt_id, item, normalizer_version, is_current, marketplace, asin, day,
               observed_at, fetched_at, source, body_sha256, found, facts, listing_hash)
               VALUES ({receipt_id}, 0, 1, 1, 'US', '{asin}', '{on}', {at}, {at}, '{source}', 'x', 1, '{facts}',
               'l{receipt_id}')"
        ))
        .await;
    }

    async fn seen_price(&self, receipt_id: i64, source: &str, instant: &str, price: i64) {
        let facts = format!(
            r#"{{"offer":{{"price_minor":{price}}},"rank":{{}},"rating":{{}},"monthly_sold_min":null}}"#
        );
        self.seen(receipt_id, source, ("B0MAIN0000", instant), &facts, "{}").await;
    }

    /// A price that apify alone saw fall by 60 % today.
    async fn with_a_fall() -> Bench {
        let bench = Bench::new().await;
        bench.identify().await;
        for (on, price) in [("2026-03-09", 2500), ("2026-03-10", 1000)] {
            bench.price("B0MAIN0000", on, price).await;
        }
        bench.sql("UPDATE product_metrics_daily SET price_basis = 'page', source = 'apify'").await;
        bench.seen_price(1, "apify", "2026-03-10T10:00:00Z", 1000).await;
        bench.build(1, &["2026-03-09", "2026-03-10"]).await;
        bench
    }
}

#[tokio::test]
async fn an_undercut_that_is_held_goes_the_way_that_both_prices_go() {
    for (main, rival, became) in [
        (2000, 1900, "u released still so on 2026-03-10"),
        (2000, 2000, "u dropped as before on 2026-03-10"),
        (2000, 1990, "u held "),
        (1800, 1900, "u dropped as before on 2026-03-10"),
    ] {
        let bench = Bench::new().await;
        bench.cohort().await;
        bench.price("B0MAIN0000", "2026-03-09", 2000).await;
        bench.price("B0RIVAL000", "2026-03-09", 1900).await;
        bench.built(1, &["2026-03-09"]).await;
        bench.run(now(), &gated()).await;
        let product = ("B0MAIN0000", "2026-03-09");
        bench.hold("u", "undercut", "medium", product, GateReason::WatchlistMoved).await;
        bench.looked_at("u", r#"{"competitor":"US:B0RIVAL000"}"#).await;
        bench.run(now(), &gated()).await;
        assert_eq!(bench.held().await, ["u held "], "its own day decides nothing");
        bench.price("B0MAIN0000", "2026-03-10", main).await;
        bench.run(now(), &gated()).await;
        assert_eq!(bench.held().await, ["u held "], "that day is not built");
        bench.price("B0RIVAL000", "2026-03-10", rival).await;
        bench.built(2, &["2026-03-10"]).await;
        bench.run(now(), &gated()).await;
        assert_eq!(bench.held().await, [became], "{main} against {rival}");
    }
}

#[tokio::test]
async fn an_undercut_that_was_told_is_resolved_after_as_many_looks_as_found_it() {
    let bench = Bench::new().await;
    bench.cohort().await;
    bench
        .sql(
            r#"INSERT INTO alerts (alert_id, workspace, rule, severity, marketplace, asin, day, object, message, evidence,
                 state, historical, superseded, run_id, recorded_at)
               VALUES ('a', 'main', 'undercut', 'medium', 'US', 'B0MAIN0000', '2026-03-08', 'B0RIVAL000', 'm',
                 '{"competitor":"US:B0RIVAL000"}', 'open', 0, '', 'run', 0)"#,
        )
        .await;
    let state = async || bench.store.lines("SELECT state FROM alerts").await;
    for (seq, on, rival, became) in [
        (1, "2026-03-08", 1900, "open"),
        (2, "2026-03-09", 2000, "open"),
        (3, "2026-03-10", 2100, "open"),
        (4, "2026-03-11", 2100, "resolved"),
    ] {
        bench.price("B0MAIN0000", on, 2000).await;
        bench.price("B0RIVAL000", on, rival).await;
        bench.built(seq, &[on]).await;
        bench.run(now(), &gated()).await;
        assert_eq!(state().await, [became], "{on}");
    }
}

#[tokio::test]
async fn a_listing_change_that_is_held_waits_for_its_own_source_to_show_it_again() {
    let evidence = r#"{"changes":[{"source":"apify","field":"title","before":"Old","after":"New"}]}"#;
    for (source, title, became) in [
        ("apify", "New", "l released still so on 2026-03-10"),
        ("apify", "Old", "l dropped as before on 2026-03-10"),
        ("keepa", "Old", "l held "),
    ] {
        let bench = Bench::new().await;
        bench.built(1, &["2026-03-09"]).await;
        bench.run(now(), &gated()).await;
        let product = ("B0MAIN0000", "2026-03-09");
        bench.hold("l", "listing_changed", "medium", product, GateReason::CanaryMoved).await;
        bench.looked_at("l", evidence).await;
        bench.run(now(), &gated()).await;
        let listing = format!(r#"{{"title":"{title}"}}"#);
        bench.seen(2, source, ("B0MAIN0000", "2026-03-10T09:00:00Z"), "{}", &listing).await;
        bench.built(2, &["2026-03-10"]).await;
        bench.run(now(), &gated()).await;
        assert_eq!(bench.held().await, [became]);
    }
}

#[tokio::test]
async fn a_held_absence_is_dropped_when_the_product_is_seen_again() {
    let bench = Bench::new().await;
    bench.built(1, &["2026-03-10"]).await;
    for asin in ["B0STALE000", "B0FRESH000"] {
        let product = (asin, "2026-03-09");
        bench
            .hold(&asin[2..7].to_lowercase(), "product_stale", "medium", product, GateReason::MissingData)
            .await;
        bench
            .sql(format!(
                "INSERT INTO watch_items (marketplace, asin, tier, relation, added_at)
                 VALUES ('US', '{asin}', 'routine', 'own', 0)"
            ))
            .await;
    }
    bench.seen(1, "file", ("B0FRESH000", "2026-03-10T09:00:00Z"), "{}", "{}").await;
    bench.run(now(), &gated()).await;
    assert_eq!(
        bench.held().await,
        ["fresh dropped the product was seen again, or is not watched any more", "stale held "]
    );
}

#[tokio::test]
async fn what_no_evidence_comes_for_is_decided_after_some_days_and_says_so() {
    use GateReason::{CanaryMoved, ImplausibleJump, MissingData, WatchlistMoved};
    let bench = Bench::new().await;
    let on = "2026-03-01";
    for (id, severity, reason) in [
        ("grave", "high", ImplausibleJump),
        ("small", "medium", ImplausibleJump),
        ("true1", "low", WatchlistMoved),
        ("true2", "low", WatchlistMoved),
        ("false1", "critical", CanaryMoved),
        ("false2", "critical", CanaryMoved),
        ("unknown", "critical", MissingData),
    ] {
        bench.hold(id, "price_drop", severity, ("B0MAIN0000", on), reason).await;
    }
    bench.sql("UPDATE held_findings SET state = 'released' WHERE alert_id = 'true1'").await;
    bench.sql("UPDATE held_findings SET state = 'dropped' WHERE alert_id = 'false1'").await;
    let before = bench.held().await;
    bench.run(at("2026-03-07T23:00:00Z"), &gated()).await;
    assert_eq!(bench.held().await, before, "the seventh day is not over");
    let summary = bench.run(at("2026-03-08T00:00:00Z"), &gated()).await;
    assert_eq!((summary.released, summary.dropped), (2, 3));
    const NOTE: &str = "not confirmed within 7 days";
    assert_eq!(
        bench.held().await,
        [
            "false1 dropped ".to_owned(),
            format!("false2 dropped {NOTE}"),
            format!("grave released {NOTE}"),
            format!("small dropped {NOTE}"),
            "true1 released ".to_owned(),
            format!("true2 released {NOTE}"),
            format!("unknown dropped {NOTE}"),
        ]
    );
    let caveats = "SELECT json_extract(payload, '$.caveat') FROM outbox_events";
    assert_eq!(bench.store.lines(caveats).await, [NOTE; 2], "people are told so");
    assert_eq!(bench.store.lines("SELECT state FROM incidents").await, ["closed"; 4]);
}

#[tokio::test]
async fn what_time_decides_goes_the_way_that_most_of_the_others_went_in_the_same_run() {
    for (price, became) in [(1000, "released"), (2000, "dropped")] {
        let bench = Bench::new().await;
        bench.identify().await;
        for asin in ["B0SEEN0001", "B0SEEN0002", "B0UNSEEN00"] {
            let product = (asin, "2026-03-03");
            bench.hold(asin, "price_drop", "medium", product, GateReason::WatchlistMoved).await;
            let fall = r#"{"price":{"currency":"USD"},"price_minor":1000,"price_prev_minor":2000}"#;
            bench.looked_at(asin, fall).await;
            if asin != "B0UNSEEN00" {
                bench.price(asin, "2026-03-10", price).await;
            }
        }
        bench.build(1, &["2026-03-10"]).await;
        bench.run(now(), &gated()).await;
        let states: Vec<String> =
            bench.held().await.iter().map(|held| held.split(' ').nth(1).unwrap().to_owned()).collect();
        assert_eq!(states, [became; 3], "{price}");
    }
}

#[tokio::test]
async fn a_grave_finding_waits_for_a_second_source_and_goes_the_way_that_it_shows() {
    for (source, price, became, told) in [
        ("keepa", 1100, "released apify shows 10.00 USD, keepa shows 11.00 USD", vec!["alert.opened"]),
        ("keepa", 2490, "held contradicted: keepa shows 24.90 USD", vec!["incident.opened"]),
        ("apify", 1000, "held ", vec![]),
    ] {
        let bench = Bench::with_a_fall().await;
        let summary = bench.run(now(), &asking()).await;
        assert_eq!((summary.held, summary.opened, bench.events().await.len()), (1, 0, 0));
        let awaiting = &summary.awaiting[0];
        assert_eq!(awaiting.since, now().now());
        assert_eq!(awaiting.rests_on, BTreeSet::from(["apify".to_owned()]));
        let again = bench.run(now(), &asking()).await;
        assert_eq!((again.held, again.awaiting), (0, summary.awaiting), "it goes on waiting");
        bench.seen_price(2, source, "2026-03-10T12:00:00Z", price).await;
        bench.run(now(), &asking()).await;
        let held = bench.held().await.remove(0);
        assert_eq!(held.split_once(' ').unwrap().1, became);
        assert_eq!(bench.store.lines("SELECT event_type FROM outbox_events").await, told);
        let caveats = "SELECT payload FROM outbox_events WHERE payload LIKE '%caveat%'";
        assert_eq!(bench.store.lines(caveats).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_grave_finding_that_one_source_contradicts_waits_unpaid_for_the_next_day_to_show_what_it_was() {
    const AGAINST: &str = "(contradicted: keepa shows 24.90 USD)";
    for (price, state, why, told) in
        [(1000, "released", "still so on 2026-03-11", 1), (2500, "dropped", "as before on 2026-03-11", 0)]
    {
        let bench = Bench::with_a_fall().await;
        bench.run(now(), &asking()).await;
        bench.seen_price(2, "keepa", "2026-03-10T12:00:00Z", 2490).await;
        let summary = bench.run(now(), &asking()).await;
        assert_eq!((summary.contradicted, summary.dropped, summary.awaiting), (1, 0, vec![]));
        let hash = bench.hash().await;
        let late = at("2026-03-10T23:00:00Z");
        assert_eq!(bench.run(late, &asking()).await, Summary::default(), "nobody is asked again, nor told");
        assert_eq!(bench.hash().await, hash);

        bench.price("B0MAIN0000", "2026-03-11", price).await;
        bench.sql("UPDATE product_metrics_daily SET price_basis = 'page', source = 'apify'").await;
        bench.build(2, &["2026-03-11"]).await;
        bench.run(at("2026-03-11T12:00:00Z"), &asking()).await;
        // The rise of a price that is back is another finding, and held too.
        let held = bench.held().await.into_iter().find(|held| !held.contains(" held ")).unwrap();
        assert_eq!(held.split_once(' ').unwrap().1, format!("{state} {why} {AGAINST}"));
        let falls = "SELECT json_extract(payload, '$.caveat') FROM outbox_events WHERE payload LIKE '%\"price_drop\"%'";
        assert_eq!(bench.store.lines(falls).await, vec![format!("{why} {AGAINST}"); told]);
    }
    // Where no day comes, time decides, and says what is known against it.
    let bench = Bench::with_a_fall().await;
    bench.seen_price(2, "keepa", "2026-03-10T11:00:00Z", 2490).await;
    let summary = bench.run(now(), &asking()).await;
    assert_eq!((summary.held, summary.awaiting), (1, vec![]), "contradicted before it was ever told");
    assert!(bench.held().await[0].ends_with(" held contradicted: keepa shows 24.90 USD"));
    bench.run(at("2026-03-17T12:00:00Z"), &asking()).await;
    let caveats =
        "SELECT json_extract(payload, '$.caveat') FROM outbox_events WHERE event_type = 'alert.opened'";
    assert_eq!(bench.store.lines(caveats).await, [format!("not confirmed within 7 days {AGAINST}")]);
}

#[tokio::test]
async fn what_was_held_is_told_or_dropped_by_the_next_run_of_a_set_without_a_gate() {
    // Held at noon: it lasts, is over, or nothing is known of it the day after; its own day is judged again.
    for (price, became, caveat) in [
        (Some(1000), "released still so on 2026-03-11", None),
        (Some(2500), "dropped as before on 2026-03-11", None),
        (None, "", Some("not confirmed: the rule set `plain` has no quality gate")),
    ] {
        let bench = Bench::with_a_fall().await;
        assert_eq!(bench.run(now(), &asking()).await.held, 1);
        if let Some(price) = price {
            bench.price("B0MAIN0000", "2026-03-11", price).await;
            bench.sql("UPDATE product_metrics_daily SET price_basis = 'page'").await;
        }
        bench.build(2, &["2026-03-10", "2026-03-11"]).await;
        let plain = Options { gate: None, ..asking() };
        bench.run(at("2026-03-11T12:00:00Z"), &plain).await;
        let held = bench.held().await.remove(0);
        let expected = caveat.map_or_else(|| became.to_owned(), |caveat| format!("released {caveat}"));
        assert_eq!(held.split_once(' ').unwrap().1, expected);
        let told = "SELECT COALESCE(json_extract(payload, '$.caveat'), '') FROM outbox_events
                    WHERE payload LIKE '%\"price_drop\"%'";
        let told = bench.store.lines(told).await;
        let is_told = expected.starts_with("released");
        assert_eq!(told, vec![caveat.unwrap_or_default(); usize::from(is_told)], "once");
        assert_eq!(bench.store.lines("SELECT state FROM incidents").await, ["closed"]);
        let again = bench.run(at("2026-03-11T12:00:00Z"), &plain).await;
        assert_eq!(again, Summary::default());
    }
}

#[tokio::test]
async fn what_becomes_graver_goes_the_way_of_a_new_finding_of_that_severity() {
    // Told as medium in the morning; a later look shows a fall by 60 %, or to a sixth.
    let fallen = async |price: i64, options: &Options| {
        let bench = Bench::with_a_fall().await;
        bench.sql("UPDATE product_metrics_daily SET price_minor = 2000 WHERE day = '2026-03-10'").await;
        bench.build(2, &["2026-03-10"]).await;
        assert_eq!(bench.run(now(), options).await.opened, 1, "a fifth less is medium");
        bench.sql("DELETE FROM observations").await;
        bench.seen_price(3, "apify", "2026-03-10T11:00:00Z", price).await;
        let change = "UPDATE product_metrics_daily SET price_minor = ";
        bench.sql(format!("{change}{price} WHERE day = '2026-03-10'")).await;
        bench.build(3, &["2026-03-10"]).await;
        let summary = bench.run(now(), options).await;
        assert_eq!((summary.held, summary.escalated, summary.superseded), (1, 0, 0), "{price}");
        assert_eq!(bench.alerts().await[0].superseded, "", "nothing is known of the alert yet");
        (bench, summary)
    };
    let (bench, summary) = fallen(1000, &asking()).await;
    assert_eq!(summary.awaiting.len(), 1);
    // The same day once more: it waits, and is not taken for over.
    bench.build(4, &["2026-03-10"]).await;
    let again = bench.run(now(), &asking()).await;
    assert_eq!((again.held, again.escalated, again.superseded), (0, 0, 0));
    bench.seen_price(4, "keepa", "2026-03-10T12:00:00Z", 1010).await;
    bench.run(now(), &asking()).await;
    assert_eq!(bench.alerts().await[0].severity, Severity::Critical);
    assert_eq!(bench.events().await, ["alert.opened medium ×2", "alert.escalated critical ×2"]);
    // Released it is an alert like any other.
    bench.build(5, &["2026-03-10"]).await;
    let again = bench.run(now(), &asking()).await;
    assert_eq!((again.held, again.escalated, again.superseded), (0, 0, 0));

    let alone = Options { second: None, ..asking() };
    let (bench, _) = fallen(400, &alone).await;
    assert_eq!(bench.store.lines("SELECT reason FROM incidents").await, ["implausible_jump"]);
    bench.price("B0MAIN0000", "2026-03-11", 2500).await;
    bench.sql("UPDATE product_metrics_daily SET price_basis = 'page'").await;
    bench.build(6, &["2026-03-11"]).await;
    bench.run(at("2026-03-11T12:00:00Z"), &alone).await;
    assert!(bench.held().await.iter().any(|held| held.ends_with(" dropped as before on 2026-03-11")));
    // What was dropped stays dropped, and the alert stays what it was told as.
    bench.build(7, &["2026-03-10"]).await;
    bench.run(at("2026-03-11T12:00:00Z"), &alone).await;
    let fall = bench.alerts().await.into_iter().find(|alert| alert.rule == Rule::PriceDrop).unwrap();
    assert_eq!((fall.severity, fall.superseded.as_str()), (Severity::Medium, ""));
}

#[tokio::test]
async fn what_was_dropped_is_asked_about_again_once_it_is_graver() {
    for (dropped_as, held) in [("medium", 1), ("critical", 0)] {
        let bench = Bench::with_a_fall().await;
        bench.run(now(), &asking()).await;
        bench
            .sql(format!(
                "UPDATE held_findings SET state = 'dropped', severity = '{dropped_as}', decided_at = 1, decided_by = 'ann'"
            ))
            .await;
        bench.build(2, &["2026-03-10"]).await;
        assert_eq!(bench.run(now(), &asking()).await.held, held, "dropped as {dropped_as}");
    }
}

#[tokio::test]
async fn what_is_held_is_held_as_its_own_day_says_it_by_now() {
    let bench = Bench::with_a_fall().await;
    assert_eq!(bench.run(now(), &asking()).await.held, 1);
    let day_says = async |price: i64, seq: i64| {
        bench
            .sql(format!("UPDATE product_metrics_daily SET price_minor = {price} WHERE day = '2026-03-10'"))
            .await;
        bench.build(seq, &["2026-03-10"]).await;
        bench.run(now(), &asking()).await
    };
    let summary = day_says(900, 2).await;
    assert_eq!((summary.held, summary.dropped), (0, 0), "nothing more is held");
    let message = bench.store.lines("SELECT message FROM held_findings").await.remove(0);
    assert!(message.contains("from 25.00 to 9.00 USD"), "{message}");
    // A look that was wrong, and a better one at noon: nobody hears of it.
    assert_eq!(day_says(2490, 3).await.dropped, 1);
    assert!(bench.held().await[0].ends_with(" dropped no longer found on its own day"));
    assert_eq!(bench.events().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_held_of_a_rule_that_is_off_is_dropped_and_nobody_is_paid() {
    let bench = Bench::with_a_fall().await;
    assert_eq!(bench.run(now(), &asking()).await.awaiting.len(), 1);
    let mut rules = RuleSet::plain(2);
    rules.rules.retain(|spec| spec.rule != Rule::PriceDrop);
    let summary = bench.run(now(), &Options { rules: rules.into(), ..asking() }).await;
    assert_eq!((summary.dropped, summary.awaiting, bench.events().await.len()), (1, vec![], 0));
}

#[tokio::test]
async fn two_sources_against_the_one_drop_its_finding_at_once() {
    let bench = Bench::with_a_fall().await;
    bench.run(now(), &asking()).await;
    bench.seen_price(2, "keepa", "2026-03-10T12:00:00Z", 2490).await;
    bench.seen_price(3, "html", "2026-03-10T12:00:00Z", 2500).await;
    let dropped = " dropped html shows 25.00 USD, keepa shows 24.90 USD";
    assert_eq!(bench.run(now(), &asking()).await.dropped, 1);
    assert!(bench.held().await[0].ends_with(dropped));

    // The same where they had looked before it was judged.
    let bench = Bench::with_a_fall().await;
    bench.seen_price(2, "keepa", "2026-03-10T11:00:00Z", 2490).await;
    bench.seen_price(3, "html", "2026-03-10T11:00:00Z", 2500).await;
    let summary = bench.run(now(), &asking()).await;
    assert_eq!((summary.held, summary.dropped, summary.awaiting), (1, 1, vec![]));
    assert!(bench.held().await[0].ends_with(dropped));
    assert_eq!(bench.store.lines("SELECT state FROM incidents").await, ["closed"]);
}

#[tokio::test]
async fn what_two_sources_have_shown_and_what_is_not_so_grave_is_told_at_once() {
    let bench = Bench::with_a_fall().await;
    bench.seen_price(2, "keepa", "2026-03-10T08:00:00Z", 990).await;
    let summary = bench.run(now(), &asking()).await;
    assert_eq!((summary.held, summary.opened, summary.awaiting), (0, 1, vec![]));
    let bench = Bench::with_a_fall().await;
    bench.sql("UPDATE product_metrics_daily SET price_minor = 2000 WHERE day = '2026-03-10'").await;
    bench.build(2, &["2026-03-10"]).await;
    assert_eq!(bench.run(now(), &asking()).await.opened, 1, "a fifth less is medium");
}

#[tokio::test]
async fn a_finding_that_nobody_can_confirm_is_told_as_unconfirmed() {
    let product = ProductKey { marketplace: Marketplace::Us, asin: "B0MAIN0000".parse().unwrap() };
    let unanswered = BTreeMap::from([(product, "keepa: budget: too dear".to_owned())]);
    let given_up =
        Options { second: asking().second.map(|second| SecondSource { unanswered, ..second }), ..asking() };
    for (clock, options, why) in [
        ("2026-03-10T17:59:59Z", asking(), None),
        ("2026-03-10T18:00:00Z", asking(), Some("none was asked within 6 hours")),
        ("2026-03-10T12:00:00Z", given_up, Some("keepa: budget: too dear")),
        (
            "2026-03-10T12:00:00Z",
            Options { second: None, ..asking() },
            Some("no second source is configured any more"),
        ),
    ] {
        let bench = Bench::with_a_fall().await;
        bench.run(now(), &asking()).await;
        bench.run(at(clock), &options).await;
        let caveats = bench.store.lines("SELECT json_extract(payload, '$.caveat') FROM outbox_events").await;
        let expected = why.map(|why| format!("not confirmed by a second source: {why}"));
        assert_eq!(caveats, expected.into_iter().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_price_that_jumped_implausibly_is_believed_when_another_source_shows_it() {
    let bench = Bench::with_a_fall().await;
    bench.sql("UPDATE product_metrics_daily SET price_minor = 400 WHERE day = '2026-03-10'").await;
    bench.sql("DELETE FROM observations").await;
    bench.seen_price(3, "apify", "2026-03-10T10:00:00Z", 400).await;
    bench.build(2, &["2026-03-10"]).await;
    let options = Options { second: None, ..asking() };
    assert_eq!(bench.run(now(), &options).await.held, 1);
    bench.seen_price(4, "keepa", "2026-03-10T11:00:00Z", 410).await;
    assert_eq!(bench.run(now(), &options).await.released, 1);
    assert!(bench.held().await[0].ends_with("released apify shows 4.00 USD, keepa shows 4.10 USD"));

    // Seen by two before it is judged it is no doubt at all.
    let bench = Bench::with_a_fall().await;
    bench.sql("UPDATE product_metrics_daily SET price_minor = 400 WHERE day = '2026-03-10'").await;
    bench.seen_price(3, "apify", "2026-03-10T10:00:00Z", 400).await;
    bench.seen_price(4, "keepa", "2026-03-10T11:00:00Z", 410).await;
    bench.build(2, &["2026-03-10"]).await;
    let summary = bench.run(now(), &options).await;
    assert_eq!((summary.held, summary.opened), (0, 1));
}

#[tokio::test]
async fn a_grave_jump_is_asked_about_and_without_an_answer_waits_for_the_next_day() {
    let jumped = async || {
        let bench = Bench::with_a_fall().await;
        bench.sql("UPDATE product_metrics_daily SET price_minor = 400 WHERE day = '2026-03-10'").await;
        bench.sql("DELETE FROM observations").await;
        bench.seen_price(3, "apify", "2026-03-10T10:00:00Z", 400).await;
        bench.build(2, &["2026-03-10"]).await;
        let summary = bench.run(now(), &asking()).await;
        assert_eq!((summary.held, summary.held_for_second, summary.awaiting.len()), (1, 0, 1));
        (bench, summary.awaiting)
    };
    let (bench, awaiting) = jumped().await;
    assert_eq!(awaiting[0].rests_on, BTreeSet::from(["apify".to_owned()]));
    assert_eq!(bench.run(now(), &asking()).await.awaiting, awaiting, "a run that was killed asks again");
    let unanswered = BTreeMap::from([(awaiting[0].product, "keepa: budget: too dear".to_owned())]);
    let given_up =
        Options { second: asking().second.map(|second| SecondSource { unanswered, ..second }), ..asking() };
    assert_eq!(bench.run(now(), &given_up).await, Summary::default(), "no answer: neither told nor asked");
    let late = bench.run(at("2026-03-10T18:00:00Z"), &asking()).await;
    assert_eq!(late, Summary::default(), "a night's question is not asked for ever");
    assert!(bench.held().await[0].ends_with(" held "));

    let (bench, _) = jumped().await;
    bench.seen_price(4, "keepa", "2026-03-10T12:00:00Z", 410).await;
    assert_eq!(bench.run(now(), &asking()).await.released, 1);

    // A canary's whole source is not asked about.
    let bench = Bench::with_a_fall().await;
    let mut asking = asking();
    let canary = ProductKey { marketplace: Marketplace::Us, asin: "B0MAIN0000".parse().unwrap() };
    asking.gate.as_mut().unwrap().canaries.insert(canary);
    let summary = bench.run(now(), &asking).await;
    assert_eq!((summary.held, summary.awaiting), (1, vec![]));
}

#[tokio::test]
async fn a_finding_in_another_currency_is_dropped_when_the_price_is_one_in_the_marketplaces_own() {
    let bench = Bench::new().await;
    bench.identify().await;
    bench.build(1, &["2026-03-08"]).await;
    bench.run(now(), &gated()).await;
    let product = ("B0MAIN0000", "2026-03-08");
    bench.hold("c", "price_drop", "high", product, GateReason::CurrencyMismatch).await;
    bench.looked_at("c", r#"{"price":{"currency":"EUR"},"price_minor":900,"price_prev_minor":2000}"#).await;
    for (seq, on, currency, became) in [
        (2, "2026-03-09", "EUR", "c held "),
        (3, "2026-03-10", "EUR", "c held "),
        (4, "2026-03-11", "USD", "c dropped as before on 2026-03-11"),
    ] {
        bench.price("B0MAIN0000", on, 900).await;
        bench
            .sql(format!("UPDATE product_metrics_daily SET currency = '{currency}' WHERE day = '{on}'"))
            .await;
        bench.build(seq, &[on]).await;
        bench.run(now(), &gated()).await;
        assert_eq!(bench.held().await, [became], "{on}");
    }
}

#[tokio::test]
async fn an_alert_of_a_source_is_over_when_its_incident_is() {
    let bench = Bench::new().await;
    bench.built(1, &["2026-03-10"]).await;
    bench
        .sql(
            "INSERT INTO incidents (incident_id, kind, source, reason, detail, day, state, run_id, recorded_at)
             VALUES ('i1', 'schema_drift', 'apify', 'out_of_range', '30 of 40 records fail', '2026-03-10', 'open', 'r', 0)",
        )
        .await;
    assert_eq!(bench.run(now(), &gated()).await.source_incidents, 1);
    assert_eq!(bench.run(now(), &gated()).await.cleared, 0);
    bench.sql("UPDATE incidents SET state = 'closed'").await;
    assert_eq!(bench.run(now(), &gated()).await.cleared, 1);
    let states =
        "SELECT a.state || ' ' || c.note FROM alerts a JOIN alert_changes c ON c.alert_id = a.alert_id";
    assert_eq!(bench.store.lines(states).await, ["resolved the source is well again"]);
}

#[tokio::test]
async fn a_product_that_stays_absent_is_told_of_in_the_end() {
    let bench = Bench::new().await;
    bench.built(1, &["2026-03-10"]).await;
    bench
        .sql(format!(
            "INSERT INTO watch_items (marketplace, asin, tier, relation, added_at)
             VALUES ('US', 'B0STALE000', 'routine', 'own', 0);
             INSERT INTO observations (receipt_id, item, normalizer_version, is_current, marketplace, asin, day,
               observed_at, fetched_at, source, body_sha256, found, facts, listing_hash)
             VALUES (1, 0, 1, 1, 'US', 'B0STALE000', '2026-03-01', {}, 0, 'file', 'x', 1, '{{}}', '')",
            "2026-03-01T09:00:00Z".parse::<Timestamp>().unwrap().timestamp_micros(),
        ))
        .await;
    let absent = ("B0STALE000", "2026-03-04");
    bench.hold("absent", "product_stale", "medium", absent, GateReason::MissingData).await;
    let back = ("B0BACK0000", "2026-03-04");
    bench.hold("back", "product_stale", "medium", back, GateReason::MissingData).await;
    bench.run(at("2026-03-18T12:00:00Z"), &gated()).await;
    let held = bench.held().await;
    assert!(held[0].starts_with("absent released not confirmed within "), "{held:?}");
    assert!(held[1].starts_with("back dropped the product was seen again"), "{held:?}");
}
