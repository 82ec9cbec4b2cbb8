use super::*;
use crate::model::{ProductKey, Timestamp};
use crate::rollup::rules::Severity;
use crate::stages::build_mart;
use crate::store::alerts::Recipient;
use crate::store::alerts::{AlertFilter, AlertRecord};
use crate::store::combined;
use crate::store::ops::Identity;

mod gate;

struct Bench {
    _folder: tempfile::TempDir,
    store: Store,
    lake: Lake,
}

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn at(text: &str) -> Clock {
    Clock::Fixed(text.parse::<Timestamp>().unwrap())
}

/// Noon of the newest day of most tests.
fn now() -> Clock {
    at("2026-03-10T12:00:00Z")
}

fn options() -> Options {
    let recipient = |channel: &str, recipient: &str| {
        Recipient { channel: channel.into(), recipient: recipient.into() }.into()
    };
    Options {
        run_id: "run".into(),
        workspace: Workspace::default(),
        rules: RuleSet::plain(2).into(),
        gate: None,
        decide_after_days: 7,
        second: None,
        own_sellers: BTreeSet::from(["OWN".to_owned()]),
        zone: ReportingZone(chrono_tz::UTC),
        recipients: vec![recipient("stdout", "-"), recipient("file", "alerts.ndjson")],
        tell: Telling::Newest,
        dry_run: false,
    }
}

/// In a workspace that is not main.
fn elsewhere() -> Options {
    Options { workspace: "eu".parse().unwrap(), ..options() }
}

impl Bench {
    async fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::store::testing::fresh_store(folder.path()).await;
        let lake = Lake::new(folder.path().join("lake"));
        Bench { _folder: folder, store, lake }
    }

    async fn sql(&self, text: impl Into<String>) {
        self.store.run_script(text).await.unwrap();
    }

    /// Says that days of the US mart were built.
    async fn built(&self, seq: i64, days: &[&str]) {
        for day in days {
            self.sql(format!(
                "INSERT INTO mart_days VALUES ('US', '{day}', {seq})
                 ON CONFLICT (marketplace, day) DO UPDATE SET built_seq = excluded.built_seq"
            ))
            .await;
        }
    }

    async fn price(&self, asin: &str, day: &str, price_minor: i64) {
        self.sql(format!(
            "INSERT INTO product_metrics_daily (marketplace, asin, day, observed_at, currency, price_minor,
             availability, observations, source, sources)
             VALUES ('US', '{asin}', '{day}', 0, 'USD', {price_minor}, 'in_stock', 1, 'file', 'file')
             ON CONFLICT (marketplace, day, asin) DO UPDATE SET price_minor = excluded.price_minor"
        ))
        .await;
    }

    async fn identify(&self) {
        let identity = Identity {
            database_uuid: "d1".into(),
            lake_epoch: "e1".into(),
            zone: "UTC".into(),
            created_at: Timestamp::UNIX_EPOCH,
        };
        self.store.identify(&identity).await.unwrap();
    }

    /// Builds the mart of the US days that changed.
    async fn build(&self, seq: i64, days: &[&str]) {
        self.sql(format!(
            "INSERT INTO marks VALUES ('changed_seq', {seq}) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        ))
        .await;
        for day in days {
            self.sql(format!(
                "INSERT INTO changed_days VALUES ('US', '{day}', {seq})
                 ON CONFLICT (marketplace, day) DO UPDATE SET changed_seq = excluded.changed_seq"
            ))
            .await;
        }
        let options = build_mart::Options {
            range: None,
            full: false,
            compact: false,
            vacuum_now: false,
            delta: true,
            damaged: Vec::new(),
            dry_run: false,
            publish_days: 35,
            memory: None,
            zone: ReportingZone(chrono_tz::UTC),
        };
        let cancel = CancelToken::default();
        build_mart::run(&self.store, &self.lake, now(), &cancel, &|_| {}, &options).await.unwrap();
    }

    async fn cohort(&self) {
        self.sql(
            "INSERT INTO cohorts (name, marketplace, main_asin, created_at) VALUES ('mine', 'US', 'B0MAIN0000', 0);
             INSERT INTO cohort_members (cohort, marketplace, asin) VALUES ('mine', 'US', 'B0RIVAL000')",
        )
        .await;
    }

    async fn run(&self, clock: Clock, options: &Options) -> Summary {
        run(&self.store, &self.lake, clock, &CancelToken::default(), options).await.unwrap()
    }

    async fn alerts(&self) -> Vec<AlertRecord> {
        self.store.list_alerts(&Workspace::default(), &AlertFilter::default()).await.unwrap()
    }

    /// `event type, severity` of every event, with the number of its deliveries.
    async fn events(&self) -> Vec<String> {
        self.store
            .lines(
                "SELECT e.event_type, json_extract(e.payload, '$.severity'),
                   '×' || (SELECT COUNT(*) FROM deliveries d WHERE d.event_id = e.event_id)
                 FROM outbox_events e ORDER BY e.created_at, e.event_id",
            )
            .await
    }

    async fn hash(&self) -> String {
        combined(&self.store.hash_state().await.unwrap())
    }

    /// Judges one day of B0MAIN0000 to these findings.
    async fn judge(&self, clock: Clock, judged_day: &str, findings: Vec<Finding>) -> Summary {
        let days = BTreeSet::from([(Marketplace::Us, day(judged_day))]);
        let judged = JudgedDays {
            findings,
            scope: Scope { days, undercut_days: BTreeSet::new() },
            ..JudgedDays::default()
        };
        let mut summary = Summary::default();
        let judges = Judges::load(&self.store, &options()).await.unwrap();
        commit(&self.store, clock, &options(), &judges, judged, false, &mut summary).await.unwrap();
        summary
    }
}

fn drop_of(severity: Severity, judged_day: &str, message: &str) -> Finding {
    Finding {
        rule: Rule::PriceDrop,
        severity,
        product: Some(ProductKey { marketplace: Marketplace::Us, asin: "B0MAIN0000".parse().unwrap() }),
        day: day(judged_day),
        object: String::new(),
        message: message.into(),
        evidence: serde_json::json!({ "price_minor": 1 }),
    }
}

#[tokio::test]
async fn a_finding_is_one_alert_one_event_and_one_delivery_per_channel() {
    let bench = Bench::new().await;
    bench.cohort().await;
    bench.price("B0MAIN0000", "2026-03-09", 2000).await;
    bench.price("B0MAIN0000", "2026-03-10", 2000).await;
    bench.price("B0RIVAL000", "2026-03-09", 2100).await;
    bench.price("B0RIVAL000", "2026-03-10", 1900).await;
    bench.built(1, &["2026-03-09", "2026-03-10"]).await;

    let summary = bench.run(now(), &options()).await;
    assert_eq!((summary.days_judged, summary.opened, summary.historical), (2, 1, 0));
    assert!(summary.has_news());
    let alerts = bench.alerts().await;
    assert_eq!(alerts.len(), 1);
    let alert = &alerts[0];
    assert_eq!(
        (alert.rule, alert.asin.as_str(), alert.object.as_str()),
        (Rule::Undercut, "B0MAIN0000", "B0RIVAL000")
    );
    assert_eq!(
        alert.alert_id,
        crate::ids::stable_id(&["main", "undercut", "US", "B0MAIN0000", "2026-03-10", "B0RIVAL000"])
    );
    assert_eq!(bench.events().await, ["alert.opened medium ×2"]);
    let payload = bench.store.lines("SELECT payload FROM outbox_events").await.remove(0);
    assert!(payload.starts_with("{\"schema\":\"amzctl.alert-event/1\",\"event_id\":"));
    assert!(!payload.contains('\n'));
}

#[tokio::test]
async fn a_second_run_fires_nothing_and_changes_no_row() {
    let bench = Bench::new().await;
    bench.cohort().await;
    bench.sql("INSERT INTO watch_items (marketplace, asin, tier, relation, added_at) VALUES ('US', 'B0MAIN0000', 'routine', 'own', 1767225600000000)").await;
    for (asin, prices) in [("B0MAIN0000", [2000, 2000]), ("B0RIVAL000", [2100, 1900])] {
        bench.price(asin, "2026-03-09", prices[0]).await;
        bench.price(asin, "2026-03-10", prices[1]).await;
    }
    bench.built(1, &["2026-03-09", "2026-03-10"]).await;
    assert_eq!(bench.run(now(), &options()).await.opened, 2, "an undercut and a stale product");
    let hash = bench.hash().await;

    let again = bench.run(now(), &options()).await;
    assert_eq!(again, Summary::default());
    // The same days built again are judged again, to the same alerts.
    bench.built(2, &["2026-03-09", "2026-03-10"]).await;
    let rebuilt = bench.run(at("2026-03-11T08:00:00Z"), &options()).await;
    assert_eq!((rebuilt.days_judged, rebuilt.opened, rebuilt.superseded), (2, 0, 0));
    assert_eq!(bench.hash().await, hash);
}

#[tokio::test]
async fn findings_of_older_days_are_historical_unless_history_is_asked_for_and_all_are_where_nobody_is_to_be_told()
 {
    for (tell, opened, historical) in
        [(Telling::Newest, 1, 1), (Telling::All, 2, 0), (Telling::Nothing, 0, 2)]
    {
        let bench = Bench::new().await;
        bench.cohort().await;
        for (on, rival) in
            [("2026-02-26", 2100), ("2026-02-27", 1900), ("2026-03-09", 2100), ("2026-03-10", 1900)]
        {
            bench.price("B0MAIN0000", on, 2000).await;
            bench.price("B0RIVAL000", on, rival).await;
        }
        bench.built(1, &["2026-02-26", "2026-02-27", "2026-03-09", "2026-03-10"]).await;
        let summary = bench.run(now(), &Options { tell, ..options() }).await;
        assert_eq!((summary.opened, summary.historical), (opened, historical));
        let shown: Vec<_> =
            bench.alerts().await.iter().map(|a| format!("{} {}", a.day, a.historical)).collect();
        let expected = [
            format!("2026-03-10 {}", tell == Telling::Nothing),
            format!("2026-02-27 {}", tell != Telling::All),
        ];
        assert_eq!(shown, expected);
        assert_eq!(bench.events().await.len() as u64, summary.opened);
    }
}

#[tokio::test]
async fn the_day_before_the_newest_is_told_and_the_one_before_that_is_not() {
    let bench = Bench::new().await;
    bench.built(1, &["2026-03-10"]).await;
    for (judged_day, is_told) in [("2026-03-10", true), ("2026-03-09", true), ("2026-03-08", false)] {
        let finding = drop_of(Severity::Medium, judged_day, "fell");
        let summary = bench.judge(now(), judged_day, vec![finding]).await;
        assert_eq!(
            (summary.opened, summary.historical),
            (u64::from(is_told), u64::from(!is_told)),
            "{judged_day}"
        );
    }
}

#[tokio::test]
async fn a_marketplace_that_lags_has_its_own_newest_days_unless_it_was_left_behind() {
    for (jp_day, is_told) in [("2026-03-13", true), ("2026-03-17", false)] {
        let bench = Bench::new().await;
        bench.built(1, &["2026-03-10"]).await;
        bench
            .sql(format!("INSERT INTO mart_days (marketplace, day, built_seq) VALUES ('JP', '{jp_day}', 1)"))
            .await;
        let finding = drop_of(Severity::Medium, "2026-03-10", "fell");
        let summary = bench.judge(now(), "2026-03-10", vec![finding]).await;
        assert_eq!(
            (summary.opened, summary.historical),
            (u64::from(is_told), u64::from(!is_told)),
            "{jp_day}"
        );
    }
}

#[tokio::test]
async fn an_alert_that_was_closed_opens_again_when_it_escalates() {
    let bench = Bench::new().await;
    bench.built(1, &["2026-03-10"]).await;
    bench.judge(now(), "2026-03-10", vec![drop_of(Severity::Medium, "2026-03-10", "fell 11 %")]).await;
    bench.sql("UPDATE alerts SET state = 'resolved'").await;
    bench.judge(now(), "2026-03-10", vec![drop_of(Severity::Critical, "2026-03-10", "fell 60 %")]).await;
    assert_eq!(bench.alerts().await[0].state, crate::store::alerts::AlertState::Open);
    assert_eq!(bench.events().await, ["alert.opened medium ×2", "alert.escalated critical ×2"]);
}

#[tokio::test]
async fn a_higher_severity_escalates_the_alert_and_tells_it_again() {
    let bench = Bench::new().await;
    bench.built(1, &["2026-03-10"]).await;
    bench.judge(now(), "2026-03-10", vec![drop_of(Severity::Medium, "2026-03-10", "fell 11 %")]).await;
    let higher = drop_of(Severity::Critical, "2026-03-10", "fell 60 %");
    let summary = bench.judge(now(), "2026-03-10", vec![higher.clone()]).await;
    assert_eq!((summary.opened, summary.escalated), (0, 1));

    let alerts = bench.alerts().await;
    assert_eq!(
        (alerts.len(), alerts[0].severity, alerts[0].message.as_str()),
        (1, Severity::Critical, "fell 60 %")
    );
    let mut events = bench.events().await;
    events.sort();
    assert_eq!(events, ["alert.escalated critical ×2", "alert.opened medium ×2"]);
    let id = crate::ids::stable_id(&[&alerts[0].alert_id, "critical"]);
    let payload = format!("SELECT payload FROM outbox_events WHERE event_id = '{id}'");
    let payload = bench.store.lines(payload).await.remove(0);
    assert!(payload.contains("\"previous_severity\":\"medium\""));

    let again = bench.judge(now(), "2026-03-10", vec![higher]).await;
    assert_eq!((again.escalated, bench.events().await.len()), (0, 2));
}

#[tokio::test]
async fn a_lower_or_vanished_finding_leaves_the_alert_and_notes_what_is_found_now() {
    let bench = Bench::new().await;
    bench.built(1, &["2026-03-10"]).await;
    let high = drop_of(Severity::High, "2026-03-10", "fell 40 %");
    bench.judge(now(), "2026-03-10", vec![high.clone()]).await;
    for (findings, expected) in [
        (vec![drop_of(Severity::Medium, "2026-03-10", "fell 12 %")], "now medium: fell 12 %"),
        (vec![], "no longer found"),
        (vec![drop_of(Severity::High, "2026-03-10", "fell 41 %")], "now high: fell 41 %"),
        (vec![high.clone()], ""),
    ] {
        let summary = bench.judge(now(), "2026-03-10", findings).await;
        let alerts = bench.alerts().await;
        assert_eq!((alerts[0].severity, alerts[0].message.as_str()), (Severity::High, "fell 40 %"));
        assert_eq!(alerts[0].superseded, expected);
        assert_eq!(summary.superseded, u64::from(!expected.is_empty()));
    }
    assert_eq!(bench.events().await, ["alert.opened high ×2"]);
    // Another day's judging does not touch it.
    bench.judge(now(), "2026-03-09", vec![]).await;
    assert_eq!(bench.alerts().await[0].superseded, "");
}

#[tokio::test]
async fn an_escalation_of_an_old_day_is_stored_and_not_told() {
    let bench = Bench::new().await;
    bench.built(1, &["2026-03-10"]).await;
    bench.judge(now(), "2026-03-10", vec![drop_of(Severity::Medium, "2026-03-10", "fell 11 %")]).await;
    bench.built(2, &["2026-03-20"]).await;
    let summary =
        bench.judge(now(), "2026-03-10", vec![drop_of(Severity::High, "2026-03-10", "fell 40 %")]).await;
    assert_eq!((summary.escalated, summary.historical), (0, 1));
    let alerts = bench.alerts().await;
    assert_eq!((alerts[0].severity, alerts[0].historical), (Severity::High, false));
    assert_eq!(bench.events().await, ["alert.opened medium ×2"]);
}

#[tokio::test]
async fn a_dry_run_shows_what_would_fire_and_writes_nothing() {
    let bench = Bench::new().await;
    bench.cohort().await;
    for (asin, prices) in [("B0MAIN0000", [2000, 2000]), ("B0RIVAL000", [2100, 1900])] {
        bench.price(asin, "2026-03-09", prices[0]).await;
        bench.price(asin, "2026-03-10", prices[1]).await;
    }
    bench.built(1, &["2026-03-10"]).await;
    let hash = bench.hash().await;
    let summary = bench.run(now(), &Options { dry_run: true, ..options() }).await;
    assert_eq!((summary.opened, summary.fired.len()), (1, 1));
    assert_eq!(bench.hash().await, hash);
    assert_eq!(bench.run(now(), &options()).await.opened, 1, "the day is still to be judged");
}

#[tokio::test]
async fn what_tells_of_the_present_is_told_once_whatever_its_day() {
    let bench = Bench::new().await;
    bench.built(1, &["2026-03-10"]).await;
    let observed = day("2026-03-01");
    bench
        .sql(format!(
            "INSERT INTO watch_items (marketplace, asin, tier, relation, added_at) VALUES
               ('US', 'B0STALE000', 'routine', 'own', 0), ('US', 'B0FRESH000', 'routine', 'own', 0);
             INSERT INTO observations (receipt_id, item, normalizer_version, is_current, marketplace, asin, day, observed_at,
               fetched_at, source, body_sha256, found, facts, listing_hash) VALUES
               (1, 0, 1, 1, 'US', 'B0STALE000', '{observed}', {}, 0, 'file', 'x', 1, '{{}}', ''),
               (2, 0, 1, 1, 'US', 'B0FRESH000', '2026-03-10', {}, 0, 'file', 'x', 1, '{{}}', '');
             INSERT INTO incidents (incident_id, kind, source, reason, detail, day, state, run_id, recorded_at)
               VALUES ('i1', 'schema_drift', 'apify', 'out_of_range', '30 of 40 records fail', '2026-02-01', 'open', 'r', 0)",
            "2026-03-01T09:00:00Z".parse::<Timestamp>().unwrap().timestamp_micros(),
            "2026-03-10T09:00:00Z".parse::<Timestamp>().unwrap().timestamp_micros(),
        ))
        .await;
    let summary = bench.run(now(), &options()).await;
    assert_eq!((summary.opened, summary.source_incidents), (2, 1));
    assert_eq!(summary.outcome(), Outcome::PartlyFailed);
    let shown: Vec<_> = bench
        .alerts()
        .await
        .iter()
        .map(|a| format!("{} {} {} {}", a.day, a.rule, a.asin, a.historical))
        .collect();
    assert_eq!(shown, ["2026-03-04 product_stale B0STALE000 false", "2026-02-01 source_incident  false"]);
    let later = bench.run(at("2026-03-10T20:00:00Z"), &options()).await;
    assert_eq!((later.opened, later.outcome()), (0, Outcome::Done), "three days on it is the same alert");
}

#[tokio::test]
async fn a_product_is_gone_on_the_second_day_without_it() {
    let bench = Bench::new().await;
    bench.built(1, &["2026-03-10"]).await;
    bench
        .sql(
            "INSERT INTO products (marketplace, asin, status, first_day, last_day) VALUES
               ('US', 'B0GONE0000', 'gone', '2026-03-01', '2026-03-05');
             INSERT INTO observations (receipt_id, item, normalizer_version, is_current, marketplace, asin, day, observed_at,
               fetched_at, source, body_sha256, found, facts, listing_hash) VALUES
               (1, 0, 1, 1, 'US', 'B0GONE0000', '2026-03-04', 1, 0, 'file', 'x', 0, '{}', ''),
               (2, 0, 1, 1, 'US', 'B0GONE0000', '2026-03-05', 2, 0, 'file', 'x', 1, '{}', ''),
               (3, 0, 1, 1, 'US', 'B0GONE0000', '2026-03-08', 3, 0, 'file', 'x', 0, '{}', ''),
               (4, 0, 1, 1, 'US', 'B0GONE0000', '2026-03-09', 4, 0, 'file', 'x', 0, '{}', '')",
        )
        .await;
    assert_eq!(bench.run(now(), &elsewhere()).await.opened, 0, "another workspace does not watch it");
    bench.run(now(), &options()).await;
    let alerts = bench.alerts().await;
    assert_eq!(alerts[0].message, "not found on 2026-03-08 and 2026-03-09; last found 2026-03-05");
    assert!(!alerts[0].historical);
}

#[tokio::test]
async fn a_listing_is_compared_with_the_same_sources_version_before() {
    let bench = Bench::new().await;
    bench.built(1, &["2026-03-10"]).await;
    let noon = "2026-03-10T12:00:00Z".parse::<Timestamp>().unwrap().timestamp_micros();
    for (source, title, from, until) in [
        ("apify", "Old", "0".to_owned(), noon.to_string()),
        ("apify", "New", noon.to_string(), "NULL".to_owned()),
        ("keepa", "Other", noon.to_string(), "NULL".to_owned()),
    ] {
        bench
            .sql(format!(
                "INSERT INTO listing_versions (marketplace, asin, source, valid_from, valid_until, content_hash, title,
                   bullets, images, variants)
                 VALUES ('US', 'B0MAIN0000', '{source}', {from}, {until}, 'h', '{title}', '[]', '[]', '[]')"
            ))
            .await;
    }
    assert_eq!(bench.run(now(), &elsewhere()).await.opened, 0, "another workspace does not watch it");
    bench.run(now(), &options()).await;
    let alerts = bench.alerts().await;
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0].message, "listing changed: title (apify) (2026-03-10)");
}

#[tokio::test]
async fn days_of_several_months_are_judged_month_by_month() {
    let bench = Bench::new().await;
    bench.built(7, &["2026-01-31", "2026-02-01", "2026-03-10"]).await;
    let cancel = CancelToken::default();
    cancel.cancel(Outcome::Interrupted);
    let stopped = run(&bench.store, &bench.lake, now(), &cancel, &options()).await.unwrap();
    assert!(stopped.cancelled);
    assert_eq!(bench.store.mark("alerts_judged_seq:main").await.unwrap(), 0);
    assert_eq!(bench.run(now(), &options()).await.days_judged, 3);
    assert_eq!(bench.store.mark("alerts_judged_seq:main").await.unwrap(), 7);
}

#[tokio::test]
async fn the_lakes_delta_rows_are_judged_after_a_build_and_corrections_after_the_next() {
    let bench = Bench::new().await;
    bench.identify().await;
    for (on, price) in [("2026-02-03", 2599), ("2026-02-04", 2277)] {
        bench.price("B0MAIN0000", on, price).await;
        bench.sql(format!("UPDATE product_metrics_daily SET price_basis = 'page' WHERE day = '{on}'")).await;
    }
    bench.build(1, &["2026-02-03", "2026-02-04"]).await;
    let clock = at("2026-02-04T12:00:00Z");
    let summary = bench.run(clock, &options()).await;
    assert_eq!((summary.days_judged, summary.rows_judged, summary.opened), (2, 2, 1));
    let alerts = bench.alerts().await;
    assert_eq!(alerts[0].message, "price fell 12.4 % from 25.99 to 22.77 USD (2026-02-03 → 2026-02-04)");
    assert_eq!(alerts[0].evidence["price_prev"]["amount"], "25.99");

    // A later look at the same day: the price fell by half.
    bench.sql("UPDATE product_metrics_daily SET price_minor = 1299 WHERE day = '2026-02-04'").await;
    bench.build(2, &["2026-02-04"]).await;
    let summary = bench.run(clock, &options()).await;
    assert_eq!((summary.opened, summary.escalated), (0, 1));
    assert_eq!(bench.alerts().await[0].severity, Severity::Critical);

    bench.sql("UPDATE product_metrics_daily SET price_minor = 2599 WHERE day = '2026-02-04'").await;
    bench.build(3, &["2026-02-04"]).await;
    assert_eq!(bench.run(clock, &options()).await.superseded, 1);
    assert_eq!(bench.alerts().await[0].superseded, "no longer found");
    assert_eq!(bench.run(clock, &options()).await, Summary::default());
}

#[tokio::test]
async fn a_day_that_was_told_in_hindsight_is_never_news() {
    let bench = Bench::new().await;
    bench.cohort().await;
    for (asin, prices) in [("B0MAIN0000", [2000, 2000]), ("B0RIVAL000", [2100, 1900])] {
        bench.price(asin, "2026-03-09", prices[0]).await;
        bench.price(asin, "2026-03-10", prices[1]).await;
    }
    let source = |asin: &str, source: &str| {
        format!(
            "UPDATE product_metrics_daily SET source = '{source}' WHERE asin = '{asin}' AND day = '2026-03-10'"
        )
    };
    for (seq, asin) in [(1, "B0MAIN0000"), (2, "B0RIVAL000")] {
        bench.sql(source(asin, "keepa-history")).await;
        bench.built(seq, &["2026-03-09", "2026-03-10"]).await;
        let summary = bench.run(now(), &options()).await;
        assert_eq!((summary.opened, summary.historical), (0, 1), "the day of {asin}");
        assert_eq!(bench.events().await, [""; 0]);
        bench.sql(source(asin, "keepa")).await;
        bench.sql("DELETE FROM alerts").await;
    }
    // The day before was told in hindsight: what changed since then is news.
    bench.sql("UPDATE product_metrics_daily SET source = 'keepa-history' WHERE day = '2026-03-09'").await;
    bench.built(3, &["2026-03-09", "2026-03-10"]).await;
    assert_eq!(bench.run(now(), &options()).await.opened, 1);
    assert_eq!(bench.events().await, ["alert.opened medium ×2"]);
}

#[tokio::test]
async fn each_workspace_is_told_of_what_it_watches_and_keeps_its_alert_when_it_watches_it_no_more() {
    let bench = Bench::new().await;
    bench.identify().await;
    let days = ["2026-03-09", "2026-03-10"];
    for asin in ["B0EU000000", "B0NOBODYS0"] {
        for (on, price) in days.iter().zip([2599, 1999]) {
            bench.price(asin, on, price).await;
        }
    }
    bench.sql("UPDATE product_metrics_daily SET price_basis = 'page'").await;
    let added_at = now().now().timestamp_micros();
    let watch = format!(
        "INSERT INTO watch_items (workspace, marketplace, asin, tier, relation, added_at)
         VALUES ('eu', 'US', 'B0EU000000', 'routine', 'own', {added_at})"
    );
    bench.sql(watch).await;
    bench.build(1, &days).await;
    let shown = async |options: &Options| {
        let alerts = bench.store.list_alerts(&options.workspace, &AlertFilter::default()).await.unwrap();
        alerts.iter().map(|a| format!("{} {} {}", a.rule, a.asin, a.superseded)).collect::<Vec<_>>()
    };
    for (options, told) in [(elsewhere(), "price_drop B0EU000000 "), (options(), "price_drop B0NOBODYS0 ")] {
        let summary = bench.run(now(), &options).await;
        assert_eq!((summary.rows_judged, summary.opened), (2, 1), "{told}");
        assert_eq!(shown(&options).await, [told]);
    }

    bench.sql("DELETE FROM watch_items").await;
    bench.built(9, &days).await;
    let again = bench.run(now(), &elsewhere()).await;
    assert_eq!((again.days_judged, again.rows_judged, again.superseded), (2, 0, 0));
    assert_eq!(shown(&elsewhere()).await, ["price_drop B0EU000000 "]);
    assert_eq!(bench.run(now(), &options()).await.opened, 1, "what nobody watches is main's");
}
