//! What every store must do, method by method, on a fresh and migrated database; the second engine runs the same
//! suite. Layers with a file of tests of their own (watch, checks, export) are held there, the mart in `build_mart`.

mod backup;
mod claims;
mod delivery;
mod gate;
mod landing;
mod leases;
mod leaving;
mod ledger;
mod live;
mod mart;
mod months;
mod retention;
mod serve;
mod states;
mod workspaces;

use std::path::Path;

use super::*;
use crate::error::Outcome;
use crate::model::{
    Day, DayRange, Marketplace, Observation, OfferBlock, ProductKey, ProductRef, Timestamp, Workspace,
};
use crate::normalize::{ListingVersion, choose_daily_row};

async fn fresh() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = crate::store::testing::fresh_store(folder.path()).await;
    (folder, store)
}

fn key() -> ProductKey {
    "US:B000000001".parse::<ProductRef>().unwrap().key_or(Marketplace::Us)
}

fn main() -> Workspace {
    Workspace::default()
}

fn other() -> Workspace {
    "other".parse().unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

async fn execute(store: &Store, sql: &str) -> Result<(), String> {
    store.run_script(sql).await.map_err(|error| format!("{:#}", anyhow::Error::from(error)))
}

/// One receipt with its body, put there by hand.
async fn receipt(store: &Store, id: i64) {
    execute(
        store,
        &format!(
            "INSERT INTO raw_bodies VALUES ('body', 'plain', 2, {}) ON CONFLICT DO NOTHING;
             INSERT INTO raw_receipts (receipt_id, source, kind, marketplace, asin_requested, observed_at, fetched_at,
               recorded_at, body_sha256, shape, copies, run_id)
             VALUES ({id}, 'file', 'product', 'US', 'B000000001', {id}, {id}, {id}, 'body', 'flat_json', 1, 'run')",
            store.bytes("{}")
        ),
    )
    .await
    .unwrap();
}

fn observed(receipt_id: i64, day: &str, price: Option<i64>) -> NewObservation {
    let observation = Observation {
        marketplace: Marketplace::Us,
        asin: key().asin,
        found: true,
        offer: OfferBlock { price_minor: price, ..OfferBlock::default() },
        rank: Default::default(),
        rating: Default::default(),
        monthly_sold_min: None,
        listing: Default::default(),
    };
    NewObservation {
        receipt_id,
        item: 0,
        day: day.parse().unwrap(),
        observed_at: at(&format!("{day}T12:00:00Z")),
        fetched_at: at(&format!("{day}T12:00:00Z")),
        source: "file".into(),
        body_sha256: "body".into(),
        observation,
        content_hash: "content".into(),
    }
}

async fn commit(store: &Store, observations: Vec<NewObservation>) -> BatchEffect {
    let receipts = observations.iter().map(|new| (new.receipt_id, ReceiptOutcome::Observed)).collect();
    commit_batch(store, NormalizedBatch { receipts, observations, ..NormalizedBatch::default() }).await
}

async fn commit_batch(store: &Store, batch: NormalizedBatch) -> BatchEffect {
    let daily = |day, seen: &[_]| choose_daily_row(day, seen, &[]);
    let versions = |_: &str, _: Option<ListingVersion>, _: &[_]| Vec::<ListingVersion>::new();
    let derive = Derive { daily: &daily, versions: &versions, adds_nothing: &|_, _| false, precedence: &[] };
    store.commit_normalized("run", at("2026-02-01T00:00:00Z"), &batch, &derive).await.unwrap()
}

fn all_days() -> DayRange {
    DayRange { first: "2000-01-01".parse().unwrap(), last: "2100-01-01".parse().unwrap() }
}

#[tokio::test]
async fn raw_rows_cannot_be_changed_or_deleted_without_a_grant() {
    let (_folder, store) = fresh().await;
    receipt(&store, 1).await;
    for sql in [
        "UPDATE raw_bodies SET size_bytes = 9",
        "DELETE FROM raw_bodies",
        "UPDATE raw_receipts SET observed_at = 9",
        "UPDATE raw_receipts SET copies = 1",
        "DELETE FROM raw_receipts",
    ] {
        let error = execute(&store, sql).await.unwrap_err();
        assert!(error.contains("append-only"), "{sql}: {error}");
    }
    if store.location().file().is_none() {
        for table in ["raw_bodies CASCADE", "raw_receipts", "raw_receipts_1970_01"] {
            let error = execute(&store, &format!("TRUNCATE staging_raw.{table}")).await.unwrap_err();
            assert!(error.contains("append-only"), "{table}: {error}");
        }
    }
    execute(&store, "UPDATE raw_receipts SET copies = 2").await.expect("repeats may be counted");
    execute(
        &store,
        "INSERT INTO retention_grants (table_name, granted_at, reason) VALUES ('raw_receipts', 1, 'retention');
         DELETE FROM raw_receipts",
    )
    .await
    .expect("retention may delete");
}

#[tokio::test]
async fn the_same_batch_twice_is_one_batch() {
    let (_folder, store) = fresh().await;
    receipt(&store, 1).await;
    let first = commit(&store, vec![observed(1, "2026-01-05", Some(2000))]).await;
    assert_eq!((first.observations_written, first.days_changed), (1, 1));
    let second = commit(&store, vec![observed(1, "2026-01-05", Some(2000))]).await;
    assert_eq!((second.observations_written, second.days_changed), (0, 0));
}

#[tokio::test]
async fn a_day_that_loses_its_last_known_figure_loses_its_row_and_counts_as_changed() {
    let (_folder, store) = fresh().await;
    receipt(&store, 1).await;
    commit(&store, vec![observed(1, "2026-01-05", Some(2000))]).await;
    let before = store.mark("changed_seq").await.unwrap();
    let effect = commit(&store, vec![observed(1, "2026-01-05", None)]).await;
    assert_eq!(effect.days_changed, 1);
    assert_eq!(store.load_daily(&[key()], all_days()).await.unwrap(), []);
    let day: Day = "2026-01-05".parse().unwrap();
    let changed = store.changed_days(before, i64::MAX).await.unwrap();
    assert_eq!(changed, [(Marketplace::Us, day)]);
}

#[tokio::test]
async fn a_reading_that_a_receipt_no_longer_gives_counts_nowhere() {
    let (_folder, store) = fresh().await;
    receipt(&store, 1).await;
    receipt(&store, 2).await;
    commit(&store, vec![observed(1, "2026-01-05", Some(2000)), observed(2, "2026-01-06", Some(2100))]).await;
    let before = store.mark("changed_seq").await.unwrap();

    // The first receipt is now refused: its day is no longer known.
    let refused =
        NormalizedBatch { receipts: vec![(1, ReceiptOutcome::Quarantined)], ..NormalizedBatch::default() };
    let effect = commit_batch(&store, refused).await;
    assert_eq!((effect.observations_written, effect.days_changed), (0, 1));
    assert_eq!(days_of(&store, key()).await, ["2026-01-06"]);
    assert_eq!(store.changed_days(before, i64::MAX).await.unwrap().len(), 1);
    assert_eq!(store.load_product(key()).await.unwrap().unwrap().first_day.to_string(), "2026-01-06");

    // The second is now read as another product: the one it was taken for was never seen.
    let other = "US:B000000002".parse::<ProductRef>().unwrap().key_or(Marketplace::Us);
    let mut moved = observed(2, "2026-01-06", Some(2100));
    moved.observation.asin = other.asin;
    commit(&store, vec![moved]).await;
    assert_eq!(days_of(&store, key()).await, Vec::<String>::new());
    assert_eq!(days_of(&store, other).await, ["2026-01-06"]);
    assert_eq!(store.load_product(key()).await.unwrap(), None);
    assert!(store.load_product(other).await.unwrap().is_some());
}

async fn days_of(store: &Store, key: ProductKey) -> Vec<String> {
    let rows = store.load_daily(&[key], all_days()).await.unwrap();
    rows.iter().map(|row| row.day.to_string()).collect()
}

#[tokio::test]
async fn daily_rows_come_back_as_they_were_written_in_order() {
    let (_folder, store) = fresh().await;
    for id in 1..=3 {
        receipt(&store, id).await;
    }
    let days = ["2026-01-07", "2026-01-05", "2026-01-06"];
    let new = days.iter().zip(1..).map(|(day, id)| observed(id, day, Some(1000 * id))).collect();
    commit(&store, new).await;
    let rows = store.load_daily(&[key()], all_days()).await.unwrap();
    let shown: Vec<_> = rows.iter().map(|row| (row.day.to_string(), row.offer.price_minor)).collect();
    assert_eq!(
        shown,
        [
            ("2026-01-05".to_owned(), Some(2000)),
            ("2026-01-06".to_owned(), Some(3000)),
            ("2026-01-07".to_owned(), Some(1000)),
        ]
    );
    let middle = DayRange { first: "2026-01-06".parse().unwrap(), last: "2026-01-06".parse().unwrap() };
    assert_eq!(store.load_daily(&[key()], middle).await.unwrap().len(), 1);
    assert_eq!(store.newest_day(Some(Marketplace::Us)).await.unwrap(), Some("2026-01-07".parse().unwrap()));
    assert_eq!(store.newest_day(Some(Marketplace::De)).await.unwrap(), None);
    assert_eq!(store.find_products(&main(), key().asin).await.unwrap(), [key()]);
}

#[tokio::test]
async fn the_state_hash_sees_facts_and_not_how_they_came() {
    let (_one, one) = fresh().await;
    let (_two, two) = fresh().await;
    receipt(&one, 1).await;
    receipt(&two, 1).await;
    execute(&two, "INSERT INTO runs VALUES ('r', 'ingest', 1, 2, 0, 'host', 7, '{}')").await.unwrap();
    let hash = |store: Store| async move { combined(&store.hash_state().await.unwrap()) };
    assert_eq!(hash(one.clone()).await, hash(two.clone()).await);
    execute(&two, "UPDATE raw_receipts SET copies = 2").await.unwrap();
    assert_ne!(hash(one).await, hash(two).await);
}

#[tokio::test]
async fn the_state_hash_tells_unknown_from_zero() {
    let (_folder, store) = fresh().await;
    execute(
        &store,
        "INSERT INTO deltas (marketplace, asin, day, price_pct) VALUES ('US', 'B000000001', '2026-01-06', 0.0)",
    )
    .await
    .unwrap();
    let zero = combined(&store.hash_state().await.unwrap());
    execute(&store, "UPDATE deltas SET price_pct = NULL").await.unwrap();
    assert_ne!(combined(&store.hash_state().await.unwrap()), zero);
}

#[tokio::test]
async fn a_missing_a_newer_and_a_damaged_database_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("amzctl.db");
    let open = |path: &Path| {
        let path = path.to_owned();
        async move { Store::open(path, Migrate::Yes).await }
    };
    assert!(matches!(open(&path).await, Err(StoreError::NotInitialised(_))));

    let store = Store::create(path.as_path()).await.unwrap();
    execute(&store, "INSERT INTO schema_migrations VALUES (99, 'later', 'x')").await.unwrap();
    store.close().await;
    let error = open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { found: 99, .. }), "{error}");
    assert_eq!(error.outcome(), Outcome::Failed);

    let damaged = folder.path().join("damaged.db");
    std::fs::write(&damaged, "this is no database, whatever its name says ".repeat(200)).unwrap();
    let error = open(&damaged).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn an_applied_migration_that_was_edited_is_refused() {
    let (_folder, store) = fresh().await;
    let store_location = store.location().clone();
    execute(&store, "UPDATE schema_migrations SET sha256 = 'other'").await.unwrap();
    store.close().await;
    let error = Store::open(store_location, Migrate::Yes).await.unwrap_err();
    assert!(matches!(error, StoreError::ChangedMigration(1)), "{error}");
}

#[tokio::test]
async fn damaged_bodies_are_found() {
    let (_folder, store) = fresh().await;
    let sha256 = crate::ids::sha256_hex(b"{}");
    execute(
        &store,
        &format!("INSERT INTO raw_bodies VALUES ('{sha256}', 'plain', 2, {})", store.bytes("{}")),
    )
    .await
    .unwrap();
    assert_eq!(store.check_bodies().await.unwrap(), (1, Vec::new()));
    execute(&store, &format!("INSERT INTO raw_bodies VALUES ('wrong', 'plain', 2, {})", store.bytes("[]")))
        .await
        .unwrap();
    assert_eq!(store.check_bodies().await.unwrap(), (2, vec!["wrong".to_owned()]));
    assert_eq!(store.check_integrity().await.unwrap(), [] as [String; 0]);
}

#[tokio::test]
async fn a_products_history_is_found_by_product_and_a_days_rows_by_day() {
    let (_folder, store) = fresh().await;
    let Database::Sqlite(_) = store.reader() else { return };
    for (sql, wanted) in [
        (core::LOAD_DAILY, "product_metrics_daily_by_product (marketplace=? AND asin=? AND day>? AND day<?)"),
        (core::LOAD_RANKS, "r USING PRIMARY KEY (marketplace=? AND day=? AND asin=?)"),
        (
            "SELECT asin FROM ranks WHERE marketplace = $1 AND day BETWEEN $2 AND $3 GROUP BY day",
            "ranks USING PRIMARY KEY (marketplace=? AND day>? AND day<?)",
        ),
        (
            "SELECT item FROM observations WHERE receipt_id BETWEEN $1 AND $2 AND source = $3 AND is_current = 1",
            "observations USING PRIMARY KEY (receipt_id>? AND receipt_id<?)",
        ),
    ] {
        let steps = store.lines(format!("EXPLAIN QUERY PLAN {sql}")).await;
        assert!(steps.iter().any(|step| step.contains(wanted)), "{sql}: {steps:?}");
    }
}
