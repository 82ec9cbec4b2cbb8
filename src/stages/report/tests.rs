//! The stage on a real database and a real lake.

use super::*;
use crate::cancel::CancelToken;
use crate::clock::Clock;
use crate::model::{Competitor, Marketplace};
use crate::render::document::{Measure, ProductReport, WatchlistReport};
use crate::stages::build_mart;
use crate::store::ops::Identity;

struct Fixture {
    folder: tempfile::TempDir,
    store: Store,
    lake: Lake,
}

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn key(asin: &str) -> ProductKey {
    ProductKey { marketplace: Marketplace::Us, asin: asin.parse().unwrap() }
}

fn cohort() -> Cohort {
    let competitors = vec![Competitor { key: key("B000000002"), priority: 1, label: "Rival".into() }];
    let created_at = Timestamp::UNIX_EPOCH;
    Cohort { name: "pair".into(), main: key("B000000001"), label: String::new(), competitors, created_at }
}

impl Fixture {
    /// Two products: the first seen on ten days with a gap, the second on the last three.
    async fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::store::testing::fresh_store(folder.path()).await;
        let identity = Identity {
            database_uuid: "d1".into(),
            lake_epoch: "e1".into(),
            zone: "UTC".into(),
            created_at: Timestamp::UNIX_EPOCH,
        };
        store.identify(&identity).await.unwrap();
        let lake = Lake::new(folder.path().join("lake"));
        let fixture = Fixture { folder, store, lake };
        for no in [1, 2, 3, 4, 7, 8, 9, 10] {
            fixture.see("B000000001", no, 2000 + i64::from(no), 300 - i64::from(no)).await;
        }
        for no in 8..=10 {
            fixture.see("B000000002", no, 2500, 400).await;
        }
        fixture
    }

    /// One daily row of January 2026 with its main rank.
    async fn see(&self, asin: &str, no: i32, price: i64, rank: i64) {
        let on = format!("2026-01-{no:02}");
        let at = i64::from(day(&on).no()) * 86_400_000_000 + 43_200_000_000;
        let mut tx = self.store.begin().await.unwrap();
        let statement = format!(
            "INSERT INTO products (marketplace, asin, title, status, first_day, last_day)
             VALUES ('US', '{asin}', 'Title of {asin}', 'active', '{on}', '{on}')
             ON CONFLICT (marketplace, asin) DO UPDATE SET last_day = '{on}';
             INSERT INTO product_metrics_daily (marketplace, asin, day, observed_at, currency, price_minor, price_basis,
                 availability, bsr, bsr_category, rating_centi, ratings_count, observations, source, sources)
             VALUES ('US', '{asin}', '{on}', {at}, 'USD', {price}, 'page', 'in_stock', {rank}, 'Electronics', 450, 100, 1,
                 'file', 'file');
             INSERT INTO ranks VALUES ('US', '{asin}', '{on}', 0, NULL, 'Electronics', {rank}, 1, 0);
             INSERT INTO changed_days VALUES ('US', '{on}', {no})
             ON CONFLICT (marketplace, day) DO UPDATE SET changed_seq = excluded.changed_seq;"
        );
        tx.run_script(statement).await.unwrap();
        crate::store::ops::set_mark(&mut tx, "changed_seq", i64::from(no)).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn sql(&self, statement: &str) {
        self.store.run_script(statement).await.unwrap();
    }

    async fn build_mart(&self) {
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
        build_mart::run(&self.store, &self.lake, Clock::System, &cancel, &|_| {}, &options).await.unwrap();
    }

    fn options(&self, subject: Subject, format: ReportFormat) -> Options {
        Options {
            workspace: Workspace::default(),
            subject,
            as_of: day("2026-01-10"),
            days: 30,
            zone: ReportingZone(chrono_tz::UTC),
            format,
            path: None,
            run_id: Some("r1".to_owned()),
            audience: Audience::default(),
            now: "2026-01-11T00:00:00Z".parse().unwrap(),
            dry_run: false,
        }
    }

    async fn document(&self, subject: Subject) -> Report {
        build(&self.store, &self.lake, &self.options(subject, ReportFormat::Json)).await.unwrap()
    }

    async fn product(&self, asin: &str) -> ProductReport {
        match self.document(Subject::Product(key(asin))).await.body {
            Body::Product(body) => *body,
            other => panic!("{other:?}"),
        }
    }

    async fn watchlist(&self) -> WatchlistReport {
        match self.document(Subject::Watchlist).await.body {
            Body::Watchlist(body) => body,
            other => panic!("{other:?}"),
        }
    }

    async fn recorded(&self) -> i64 {
        self.store.number("SELECT COUNT(*) FROM reports").await
    }
}

#[tokio::test]
async fn a_product_is_told_with_its_changes_gaps_and_freshness() {
    let fixture = Fixture::new().await;
    fixture.build_mart().await;
    let body = fixture.product("B000000001").await;
    let product = &body.product;
    let price = product.figures.iter().find(|figure| figure.name == Measure::Price).unwrap();
    assert_eq!((price.value, price.previous, price.delta), (Some(2010), Some(2009), Some(1)));
    assert_eq!(price.previous_day, Some(day("2026-01-09")));
    let week = &price.windows[0];
    assert_eq!((week.window_days, week.n, week.min, week.max), (7, 5, Some(2004), Some(2010)));
    assert_eq!(product.windows.iter().map(|window| window.window_days).collect::<Vec<_>>(), [7, 30, 90]);
    assert_eq!(product.quality.gaps, [DayRange { first: day("2026-01-05"), last: day("2026-01-06") }]);
    assert_eq!((product.quality.observed_days, product.quality.observed_30d), (8, 8));
    assert!(product.quality.mart_is_current);
    // Noon of the day to its end.
    assert_eq!(product.latest.as_ref().unwrap().age_hours, 12);
    assert!(body.comparison.is_none() && body.narrative.is_none());
}

#[tokio::test]
async fn without_a_mart_values_are_told_and_changes_are_unknown() {
    let fixture = Fixture::new().await;
    let body = fixture.product("B000000001").await;
    let price = body.product.figures.iter().find(|figure| figure.name == Measure::Price).unwrap();
    assert_eq!((price.value, price.delta), (Some(2010), None));
    assert!(!body.product.quality.mart_is_current && body.product.windows.is_empty());
    let watchlist = fixture.watchlist().await;
    assert_eq!((watchlist.summary.watched, watchlist.summary.lake_until), (0, None));
}

#[tokio::test]
async fn a_cohort_is_told_with_all_members_and_the_main_product_knows_its_cohort() {
    let fixture = Fixture::new().await;
    fixture.build_mart().await;
    fixture.store.save_cohorts(&Workspace::default(), &[cohort()], false).await.unwrap();
    let Body::Cohort(body) = fixture.document(Subject::Cohort(cohort())).await.body else { panic!() };
    assert_eq!(
        body.overlay.iter().map(|member| member.name.as_str()).collect::<Vec<_>>(),
        ["Title of B000000001", "Rival"]
    );
    assert_eq!(body.overlay[1].bsr.iter().flatten().count(), 3);
    assert_eq!(body.comparison.as_ref().unwrap().market.price_position.position, Some(1));
    assert!(body.narrative.is_some());
    // The product's own report carries the comparison too, without the series of the others.
    let product = fixture.product("B000000001").await;
    assert_eq!(product.cohort.unwrap().name, "pair");
    assert!(product.comparison.is_some() && product.overlay.is_empty());
}

#[tokio::test]
async fn the_watchlist_tells_movers_and_who_is_late() {
    let fixture = Fixture::new().await;
    fixture
        .sql(
            "INSERT INTO watch_items (marketplace, asin, tier, relation, added_at) VALUES
         ('US', 'B000000001', 'routine', 'own', 0), ('US', 'B000000002', 'routine', 'rival', 0),
         ('US', 'B000000003', 'routine', 'rival', 0)",
        )
        .await;
    fixture.build_mart().await;
    let body = fixture.watchlist().await;
    let summary = &body.summary;
    assert_eq!((summary.watched, summary.seen_today, summary.stale, summary.not_seen), (3, 2, 1, 1));
    assert_eq!(summary.lake_until, Some(day("2026-01-10")));
    let own = &body.products[0];
    // From 2004 on the 4th to 2010 on the 10th.
    assert_eq!(own.price_7d_pct, Some(600.0 / 2004.0));
    assert_eq!(own.price_pct, Some(100.0 / 2009.0));
    assert_eq!(own.price_series.iter().flatten().count(), 8);
    assert_eq!(own.price_series.last(), Some(&Some(2010)));
    assert_eq!((body.products[2].day, body.products[2].price_minor), (None, None));
}

#[tokio::test]
async fn the_same_evidence_again_writes_the_same_bytes_and_adds_no_row() {
    let fixture = Fixture::new().await;
    fixture.build_mart().await;
    let path = fixture.folder.path().join("report.html");
    let mut options = fixture.options(Subject::Product(key("B000000001")), ReportFormat::Html);
    options.path = Some(path.clone());
    let first = run(&fixture.store, &fixture.lake, &options).await.unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!((first.summary.is_new, first.summary.size_bytes), (true, bytes.len() as i64));

    options.run_id = Some("r2".to_owned());
    options.now = "2026-02-01T00:00:00Z".parse().unwrap();
    let second = run(&fixture.store, &fixture.lake, &options).await.unwrap();
    assert!(!second.summary.is_new);
    assert_eq!(second.summary.evidence_hash, first.summary.evidence_hash);
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    assert_eq!(fixture.recorded().await, 1);

    // Another format and other evidence are other renders.
    options.format = ReportFormat::Markdown;
    run(&fixture.store, &fixture.lake, &options).await.unwrap();
    fixture.sql("UPDATE products SET title = 'Another title'").await;
    run(&fixture.store, &fixture.lake, &options).await.unwrap();
    assert_eq!(fixture.recorded().await, 3);
}

#[tokio::test]
async fn a_report_that_cannot_be_written_is_not_recorded() {
    let fixture = Fixture::new().await;
    let mut options = fixture.options(Subject::Product(key("B000000001")), ReportFormat::Html);
    options.path = Some(fixture.folder.path().join("absent/report.html"));
    assert!(run(&fixture.store, &fixture.lake, &options).await.is_err());
    assert_eq!(fixture.recorded().await, 0);
}

#[tokio::test]
async fn a_product_that_was_never_seen_is_a_usage_error() {
    let fixture = Fixture::new().await;
    let options = fixture.options(Subject::Product(key("B000000009")), ReportFormat::Json);
    let error = run(&fixture.store, &fixture.lake, &options).await.unwrap_err();
    assert_eq!(crate::error::classify(&error).0, crate::error::Outcome::Usage);
}

#[tokio::test]
async fn alerts_after_the_day_and_records_of_others_are_left_out() {
    let fixture = Fixture::new().await;
    let alert = |id: &str, on: &str| {
        format!(
            "INSERT INTO alerts (alert_id, rule, severity, marketplace, asin, day, message, evidence, state, historical,
                 run_id, recorded_at)
             VALUES ('{id}', 'price_drop', 'high', 'US', 'B000000001', '{on}', 'fell', '{{}}', 'open', 0, 'r', 0);"
        )
    };
    fixture.sql(&(alert("a1", "2026-01-09") + &alert("a2", "2026-01-11"))).await;
    fixture.sql(
        "INSERT INTO quarantine (quarantine_id, stage, reason, detail, source, marketplace, asin, state, run_id, recorded_at)
         VALUES ('q1', 'normalize', 'out_of_range', '', 'file', 'US', 'B000000001', 'open', 'r', 0),
                ('q2', 'normalize', 'out_of_range', '', 'file', 'US', 'B000000002', 'open', 'r', 0),
                ('q3', 'normalize', 'out_of_range', '', 'file', 'US', 'B000000001', 'dropped', 'r', 0)",
    ).await;
    let body = fixture.product("B000000001").await;
    assert_eq!(body.alerts.iter().map(|alert| alert.alert_id.as_str()).collect::<Vec<_>>(), ["a1"]);
    assert_eq!(body.product.quality.quarantined.iter().map(|counted| counted.count).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_file_is_named_for_its_subject_without_strange_characters() {
    let name = |subject: Subject| subject.file_name(day("2026-01-10"), ReportFormat::Html);
    assert_eq!(name(Subject::Product(key("B000000001"))), "US-B000000001-2026-01-10.html");
    assert_eq!(name(Subject::Watchlist), "watchlist-2026-01-10.html");
    let odd = Cohort { name: "../a b".into(), ..cohort() };
    assert_eq!(name(Subject::Cohort(odd)), "cohort-..-a-b-2026-01-10.html");
}
