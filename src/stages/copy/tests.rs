use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::error::{Outcome, classify};
use crate::store::testing::{fresh_location, fresh_store};
use crate::store::{Migrate, StoreError};

/// So small that every table is copied in several chunks.
const SMALL: Limits = Limits { rows: 3, bytes: 100 };

fn identity() -> Identity {
    Identity {
        database_uuid: "original".into(),
        lake_epoch: "epoch".into(),
        zone: "Europe/Berlin".into(),
        created_at: "2026-01-01T00:00:00Z".parse().unwrap(),
    }
}

/// A database with what is hard to copy: bodies of any bytes and sizes, months, floats, nulls, quotes, and ids of which
/// the highest are gone.
async fn original(store: Store) -> Store {
    store.identify(&identity()).await.unwrap();
    let mut script = String::new();
    for n in 1..=10 {
        let body = store.bytes(&"\u{0}\u{fffd}'x".repeat(n * n));
        let day = n * 1_000_000 * 86_400 * 20;
        script += &format!(
            "INSERT INTO raw_bodies VALUES ('body{n}', 'plain', {n}, {body});
             INSERT INTO raw_receipts (receipt_id, source, kind, marketplace, asin_requested, asin_returned, observed_at,
               fetched_at, recorded_at, body_sha256, shape, copies, run_id, cost_micros)
             VALUES ({id}, 'file', 'product', 'US', 'B00000000{n}', NULL, {day}, 0, 0, 'body{n}', 'flat_json', 1, 'run', NULL);
             INSERT INTO products VALUES ('JP', 'B{n}', '完全 ''\"\\ {n}', NULL, '', NULL, NULL, 'active', '2026-01-01', '2026-02-01');
             INSERT INTO listing_versions (marketplace, asin, source, valid_from, content_hash, bullets, images, variants)
             VALUES ('US', 'B1', 'file', {n}, '', '[]', '[]', '[]');
             INSERT INTO rollups (marketplace, asin, window_days, as_of, price_avg, price_sd)
             VALUES ('US', 'B{n}', 7, '2026-01-01', 0.1 / {n}, -0.0);",
            id = 7 * n,
        );
    }
    if store.location().file().is_none() {
        for table in ["raw_receipts", "deltas"] {
            let months = r#"["1970-01","1970-02","1970-03","1970-04","1970-05","1970-06","1970-07"]"#;
            store.run_script(format!("SELECT make_months('{table}', '{months}')")).await.unwrap();
        }
        script += "SELECT setval('receipt_ids', 70);";
    }
    script += "INSERT INTO cohorts VALUES ('main', 'a', 'US', 'B1', '', 0);
         INSERT INTO cohort_members VALUES ('main', 'a', 'US', 'B2', 'competitor', 1, '');
         INSERT INTO alerts VALUES ('alert', 'main', 'rule', 'low', 'US', 'B1', '2026-01-01', '', '', '{}', 'open', 0, '', '', 0, NULL);
         INSERT INTO alert_changes (alert_id, from_state, to_state, actor, changed_at) VALUES ('alert', 'open', 'open', '', 0);
         INSERT INTO alert_changes (alert_id, from_state, to_state, actor, changed_at) VALUES ('alert', 'open', 'open', '', 1);
         DELETE FROM alert_changes WHERE changed_at = 1;
         INSERT INTO outbox_events (event_id, event_type, alert_id, payload, created_at) VALUES ('e', 't', 'alert', '{}', 0);
         INSERT INTO deliveries (event_id, channel, recipient, state, next_attempt_at) VALUES ('e', 'c', '', 'pending', 0);
         INSERT INTO marks VALUES ('changed_seq', 4)";
    store.run_script(script).await.unwrap();
    store
}

async fn copied(from: &Store, to: &Store) -> anyhow::Result<Summary> {
    copy_until(from, to, &CancelToken::default(), &|_| {}).await
}

async fn copy_until(
    from: &Store,
    to: &Store,
    cancel: &CancelToken,
    told: &(dyn Fn(Step<'_>) + Send + Sync),
) -> anyhow::Result<Summary> {
    let clock = Clock::Fixed("2026-03-01T12:00:00Z".parse().unwrap());
    run(from, to, clock, cancel, told, SMALL).await
}

/// The next ids that the database itself gives.
async fn next_ids(store: &Store) -> Vec<String> {
    store
        .run_script(
            "INSERT INTO alert_changes (alert_id, from_state, to_state, actor, changed_at) VALUES ('alert', 'open', 'open', '', 9);
             INSERT INTO retention_grants (table_name, granted_at, reason) VALUES ('raw_bodies', 0, '');
             INSERT INTO raw_receipts (source, kind, marketplace, asin_requested, observed_at, fetched_at, recorded_at,
               body_sha256, shape, copies, run_id) VALUES ('file', 'product', 'US', '', 86400000000, 0, 0, 'body1', '', 1, '')",
        )
        .await
        .unwrap();
    store
        .lines(
            "SELECT (SELECT MAX(change_id) FROM alert_changes), (SELECT MAX(grant_id) FROM retention_grants),
                 (SELECT MAX(receipt_id) FROM raw_receipts)",
        )
        .await
}

#[tokio::test]
async fn a_copy_has_every_row_goes_on_with_the_ids_and_is_a_database_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let embedded = |name: &str| Location::File(folder.path().join(name));
    // From the engine that is tested to itself, to the embedded one, and back.
    let first = original(fresh_store(folder.path()).await).await;
    let second = Store::create(embedded("second.db")).await.unwrap();
    let third = Store::create(match first.location() {
        Location::File(_) => embedded("third.db"),
        Location::Server(_) => fresh_location(folder.path()).await,
    });
    let third = third.await.unwrap();
    let mut names = BTreeSet::from(["original".to_owned()]);
    for (from, to) in [(&first, &second), (&second, &third)] {
        let summary = copied(from, to).await.unwrap();
        assert!(summary.is_equal(), "{:#?}", summary.tables);
        let of = |name: &str| summary.tables.iter().find(|table| table.table == name).unwrap();
        assert_eq!(
            (of("raw_bodies").copied_rows, of("rollups").copied_rows, of("ranks").copied_rows),
            (10, 10, 0)
        );
        assert_eq!(from.hash_state().await.unwrap(), to.hash_state().await.unwrap());
        let made = to.identity().await.unwrap().unwrap();
        assert_eq!(made.zone, "Europe/Berlin");
        assert!(names.insert(made.database_uuid) && made.lake_epoch != "epoch");
        assert_eq!(
            copied(from, to).await.unwrap_err().to_string(),
            format!("{} is a database of its own already: nothing is copied over it", to.location())
        );
    }
    for store in [&first, &second, &third] {
        assert_eq!(next_ids(store).await, ["3 1 71"]);
    }
}

#[tokio::test]
async fn every_table_of_the_schema_is_copied_in_the_order_of_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let store = fresh_store(folder.path()).await;
    let tables = store.tables().await.unwrap();
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    for (parent, child) in
        [("raw_bodies", "raw_receipts"), ("alerts", "alert_changes"), ("outbox_events", "deliveries")]
    {
        let place = |name: &str| names.iter().position(|it| *it == name).unwrap();
        assert!(place(parent) < place(child), "{names:?}");
    }
    let all = match store.location() {
        Location::File(_) => "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
        Location::Server(_) => {
            "SELECT relname FROM pg_class WHERE relnamespace IN ('staging_raw'::regnamespace, 'core'::regnamespace,
               'mart'::regnamespace, 'ops'::regnamespace) AND relkind IN ('r', 'p') AND NOT relispartition"
        }
    };
    let mut left: BTreeSet<String> = store.lines(all).await.into_iter().collect();
    left.retain(|name| !names.contains(&name.as_str()));
    // A server's only.
    left.retain(|name| !["fetch_claims", "run_leases"].contains(&name.as_str()));
    let own = ["copy_progress", "database_identity", "schema_migrations"];
    assert_eq!(left.iter().map(String::as_str).collect::<Vec<_>>(), own);

    if store.location().file().is_some() {
        for table in &tables {
            let plan = store.lines(format!("EXPLAIN QUERY PLAN {}", table.page_text())).await.join(", ");
            assert!(plan.contains("SEARCH") && !plan.contains("TEMP B-TREE"), "{}: {plan}", table.name);
        }
    }
}

#[tokio::test]
async fn a_copy_that_is_stopped_after_any_chunk_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let from = original(fresh_store(folder.path()).await).await;
    let to = Store::create(folder.path().join("copy.db")).await.unwrap();
    let (mut stops, mut rows) = (0, 0);
    let whole = loop {
        let cancel = CancelToken::default();
        let chunks = AtomicU64::new(0);
        // The first call says what was there before; to read both sides again nobody stops it.
        let told = |step: Step<'_>| match step {
            Step::Verifying(_) => chunks.store(1_000, Ordering::SeqCst),
            Step::Rows(_) if chunks.fetch_add(1, Ordering::SeqCst) == 3 => {
                cancel.cancel(Outcome::Interrupted);
            }
            _ => {}
        };
        match copy_until(&from, &to, &cancel, &told).await {
            Ok(summary) => break summary,
            Err(error) => assert_eq!(classify(&error).0, Outcome::Interrupted, "{error:#}"),
        }
        let refused = to.identity().await.unwrap_err();
        assert!(matches!(refused, StoreError::UnfinishedCopy(_)), "{refused}");
        let Target::Begun { tables, .. } = Store::look_at(to.location()).await.unwrap() else { panic!() };
        let now = tables.iter().map(|table| table.rows).sum();
        assert!(now >= rows && stops < 200, "{tables:?}");
        (stops, rows) = (stops + 1, now);
    };
    assert!(stops > 10 && whole.is_equal(), "{stops} stops: {whole:#?}");
    assert_eq!(from.hash_state().await.unwrap(), to.hash_state().await.unwrap());
}

/// Copies everything and stops before both sides are compared.
async fn copied_unverified(from: &Store, to: &Store) {
    let cancel = CancelToken::default();
    let told = |step: Step<'_>| {
        if let Step::Verifying(_) = step {
            cancel.cancel(Outcome::Interrupted);
        }
    };
    assert!(copy_until(from, to, &cancel, &told).await.is_err());
}

#[tokio::test]
async fn a_row_that_differs_is_found_and_the_copy_stays_unusable() {
    let folder = tempfile::tempdir().unwrap();
    let from = original(fresh_store(folder.path()).await).await;
    for (damage, table) in [
        ("UPDATE products SET title = title || ' ' WHERE asin = 'B5'", "products"),
        ("UPDATE rollups SET price_avg = price_avg + 1e-17 WHERE asin = 'B5'", "rollups"),
        ("UPDATE rollups SET price_n = 0 WHERE asin = 'B5'", "rollups"),
        ("DELETE FROM listing_versions WHERE valid_from = 10", "listing_versions"),
        ("UPDATE raw_receipts SET copies = 2 WHERE receipt_id = 7", "raw_receipts"),
    ] {
        let inner = tempfile::tempdir().unwrap();
        let to = Store::create(inner.path().join("copy.db")).await.unwrap();
        copied_unverified(&from, &to).await;
        to.run_script(damage).await.unwrap();
        for _ in 0..2 {
            let summary = copied(&from, &to).await.unwrap();
            let differing: Vec<&str> = summary
                .tables
                .iter()
                .filter(|table| !table.is_equal())
                .map(|table| table.table.as_str())
                .collect();
            assert_eq!(differing, [table], "{damage}");
            assert!(matches!(to.identity().await, Err(StoreError::UnfinishedCopy(_))));
        }
        // Nor does `init` make it one.
        assert!(matches!(to.identify(&identity()).await, Err(StoreError::UnfinishedCopy(_))));
    }
}

#[tokio::test]
async fn what_is_neither_empty_nor_this_copy_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let from = original(fresh_store(folder.path()).await).await;
    let refused = async |from: &Store, to: &Store| {
        let error = copied(from, to).await.unwrap_err();
        assert!(matches!(classify(&error).0, Outcome::Usage | Outcome::Failed));
        error.to_string().replace(&to.location().to_string(), "[TARGET]")
    };
    let make = async |name: &str| Store::create(folder.path().join(name)).await.unwrap();

    let used = make("used.db").await;
    used.identify(&Identity { database_uuid: "other".into(), ..identity() }).await.unwrap();
    assert_eq!(
        refused(&from, &used).await,
        "[TARGET] is a database of its own already: nothing is copied over it"
    );

    let twin = make("twin.db").await;
    twin.identify(&identity()).await.unwrap();
    assert_eq!(
        refused(&from, &twin).await,
        "[TARGET] is the configured database itself, or its file under another name"
    );

    let filled = make("filled.db").await;
    filled.run_script("INSERT INTO marks VALUES ('x', 1)").await.unwrap();
    assert_eq!(refused(&from, &filled).await, "[TARGET] is not empty: marks has rows");

    let begun = make("begun.db").await;
    copied_unverified(&from, &begun).await;
    assert_eq!(
        refused(&used, &begun).await,
        "[TARGET] holds the unfinished copy of another database than the configured one"
    );
    from.run_script("INSERT INTO marks VALUES ('late', 1)").await.unwrap();
    assert_eq!(
        refused(&from, &begun).await,
        "the database has changed since its copy in [TARGET] was begun: rows of marks: 1 then, 2 now"
    );

    let look_at = async |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let target = Store::look_at(&path.clone().into()).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), text);
        target
    };
    assert_eq!(look_at("letter.txt", &b"Dear reader, ".repeat(99)).await, Target::Foreign);
    assert_eq!(look_at("empty.db", b"").await, Target::Empty);
    let absent = folder.path().join("absent.db");
    assert_eq!(Store::look_at(&absent.clone().into()).await.unwrap(), Target::Empty);
    assert!(!absent.exists());
}

#[tokio::test]
async fn a_chunk_is_bounded_by_bytes_and_a_larger_row_comes_alone() {
    let folder = tempfile::tempdir().unwrap();
    let from = original(fresh_store(folder.path()).await).await;
    let tables = from.tables().await.unwrap();
    let bodies = tables.iter().find(|table| table.name == "raw_bodies").unwrap();
    let mut state = from.snapshot().await.unwrap();
    let (mut sizes, mut after) = (Vec::new(), None);
    for _ in 0..20 {
        let chunk = state.chunk(bodies, after.as_deref(), Limits { rows: 4, bytes: 350 }).await.unwrap();
        sizes.push(chunk.rows());
        if chunk.is_last {
            break;
        }
        after = chunk.last_key().map(str::to_owned);
    }
    // body1, body10, body2 … body9 have 6 n² bytes and some: 600 are too many for company.
    assert_eq!(sizes, [1, 1, 3, 1, 1, 1, 1, 1], "rows of chunks");
}

#[tokio::test]
async fn nobody_writes_to_the_original_while_it_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let from = original(fresh_store(folder.path()).await).await;
    let other =
        Store::open_waiting(from.location().clone(), Migrate::Yes, Duration::from_millis(20)).await.unwrap();
    let state = from.hold().await.unwrap();
    assert!(matches!(other.begin().await.err(), Some(StoreError::Busy(_))));
    assert_eq!(other.mark("changed_seq").await.unwrap(), 4, "others may read");
    state.release().await.unwrap();
    other.run_script("INSERT INTO marks VALUES ('x', 1)").await.unwrap();
}
