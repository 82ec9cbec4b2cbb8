//! What retention drops and what it keeps.

use super::*;
use crate::ids::sha256_hex;
use crate::store::raw::{Checkpoint, FileRead, RawBatch, RawBody, RawReceipt, ReadState, ReceiptKey};
use crate::store::retention::DroppedBatch;

const REASON: &str = "retention, run 1";

fn read(name: &str) -> FileRead {
    FileRead {
        file_sha256: name.into(),
        options_key: "options".into(),
        read_id: name.into(),
        path: format!("{name}.json"),
        run_id: "run".into(),
        recorded_at: at("2025-01-02T00:00:00Z"),
    }
}

/// A receipt of each (body, day).
fn batch(records: &[(&str, &str)]) -> RawBatch {
    let receipt = |(ordinal, (body, day)): (usize, &(&str, &str))| RawReceipt {
        key: ReceiptKey {
            source: "file".into(),
            kind: "product".into(),
            marketplace: "US".into(),
            asin_requested: "B000000001".into(),
            observed_at: at(&format!("{day}T12:00:00Z")),
            body_sha256: sha256_hex(body.as_bytes()),
        },
        asin_returned: None,
        fetched_at: at(&format!("{day}T12:00:00Z")),
        shape: "flat_json",
        copies: 1,
        ordinal: ordinal as u64,
        line: 1,
        offset: 0,
    };
    let encoded =
        |(body, _): &(&str, &str)| RawBody::encode(sha256_hex(body.as_bytes()), body.as_bytes().to_vec());
    RawBatch {
        bodies: records.iter().map(encoded).collect(),
        receipts: records.iter().enumerate().map(receipt).collect(),
        problems: Vec::new(),
    }
}

/// Lands the records, which get the ids from 1 on, and calls them read and watched.
async fn landed(store: &Store, records: &[(&str, &str)]) {
    store
        .commit_raw_batch(&read("first"), &batch(records), Checkpoint::default(), 9, ReadState::Done)
        .await
        .unwrap();
    execute(
        store,
        "INSERT INTO normalized_receipts SELECT receipt_id, 1, 'observed' FROM raw_receipts;
         INSERT INTO marks VALUES ('drift_watched', 1000)",
    )
    .await
    .unwrap();
    assert_eq!(crate::normalize::NORMALIZER_VERSION, 1, "what these tests call read");
}

/// What is left: the receipts with the first letter of their bodies' hashes, and how many bodies there are.
async fn left(store: &Store) -> (Vec<String>, i64) {
    let receipts = store.lines("SELECT receipt_id FROM raw_receipts ORDER BY receipt_id").await;
    (receipts, store.number("SELECT COUNT(*) FROM raw_bodies").await)
}

async fn drop_raw(store: &Store, before: &str) -> DroppedBatch {
    store.index_bodies(true).await.unwrap();
    let dropped = store.drop_old_raw(at(before), 0, at("2026-02-01T00:00:00Z"), REASON).await.unwrap();
    store.index_bodies(false).await.unwrap();
    dropped
}

#[tokio::test]
async fn old_raw_goes_with_the_bodies_that_nothing_else_names_and_is_not_taken_in_again() {
    let (_folder, store) = fresh().await;
    let records = [("{\"a\":1}", "2025-01-01"), ("{\"a\":2}", "2025-01-01"), ("{\"a\":2}", "2026-01-05")];
    landed(&store, &records).await;
    commit(&store, vec![observed(1, "2025-01-01", Some(2000))]).await;
    let facts = "SELECT * FROM product_metrics_daily";
    let before = store.lines(facts).await;

    let plan = store.count_old_raw(at("2025-06-01T00:00:00Z")).await.unwrap();
    assert_eq!((plan.rows, plan.bytes), (2, Some(7)), "the second body is named by the third receipt too");
    assert_eq!(plan.oldest_kept, Some("2026-01-05".parse().unwrap()));
    assert_eq!(left(&store).await.0.len(), 3, "nothing was dropped by looking");
    let dropped = drop_raw(&store, "2025-06-01T00:00:00Z").await;
    assert_eq!((dropped.rows, dropped.bytes, dropped.next), (2, 7, Some(2)));
    assert_eq!(left(&store).await, (vec!["3".to_owned()], 1));
    assert_eq!(store.lines(facts).await, before);
    assert_eq!(store.number("SELECT COUNT(*) FROM observations").await, 1);
    assert_eq!(drop_raw(&store, "2025-06-01T00:00:00Z").await, DroppedBatch::default());

    // The grants are used up, and say why.
    let grants = "SELECT table_name, reason, open FROM retention_grants ORDER BY table_name";
    assert_eq!(
        store.lines(grants).await,
        [format!("raw_bodies {REASON} 0"), format!("raw_receipts {REASON} 0")]
    );
    let refused = execute(&store, "DELETE FROM raw_receipts").await.unwrap_err();
    assert!(refused.contains("append-only"), "{refused}");

    // The same records in another file, and a new one.
    let again = batch(&[records[0], records[1], ("{\"a\":3}", "2025-01-01")]);
    let preview = store.preview_raw_batch(&read("second"), &again).await.unwrap();
    let (effect, _) = store
        .commit_raw_batch(&read("second"), &again, Checkpoint::default(), 3, ReadState::Done)
        .await
        .unwrap();
    assert_eq!((&effect.landed, effect.already_there), (&vec![2], 2));
    assert_eq!(effect, preview);
    assert_eq!(left(&store).await.1, 2, "no body is put there that no receipt names");
    let evidence = store.load_evidence(key(), "2025-01-01".parse().unwrap()).await.unwrap();
    assert_eq!((evidence.len(), evidence[0].observation.offer.price_minor), (1, Some(2000)));
    assert_eq!((&evidence[0].shape, evidence[0].recorded_at), (&None, None));
    assert_eq!(
        store.hash_state().await.unwrap().last().unwrap().rows,
        1,
        "the observation is state as before"
    );
}

#[tokio::test]
async fn raw_that_somebody_still_needs_is_kept() {
    for (why, needed) in [
        ("it was never read", "DELETE FROM normalized_receipts WHERE receipt_id = 1"),
        ("another version read it", "UPDATE normalized_receipts SET normalizer_version = 0 WHERE receipt_id = 1"),
        ("its content lies nowhere else", "UPDATE normalized_receipts SET outcome = 'kept' WHERE receipt_id = 1"),
        (
            "a record of it waits in quarantine",
            "INSERT INTO quarantine (quarantine_id, stage, reason, detail, source, receipt_id, state, run_id, recorded_at)
             VALUES ('q', 'normalize', 'rating', '', 'file', 1, 'open', 'run', 1)",
        ),
        ("its delivery was not watched", "UPDATE marks SET value = 0 WHERE name = 'drift_watched'"),
    ] {
        let (_folder, store) = fresh().await;
        landed(&store, &[("{}", "2025-01-01")]).await;
        execute(&store, needed).await.unwrap();
        assert_eq!(store.count_old_raw(at("2025-06-01T00:00:00Z")).await.unwrap().rows, 0, "{why}");
        assert_eq!(drop_raw(&store, "2025-06-01T00:00:00Z").await, DroppedBatch::default(), "{why}");
        assert_eq!(left(&store).await, (vec!["1".to_owned()], 1), "{why}");
    }
    // What was landed late is young, however long ago it was observed.
    let (_folder, store) = fresh().await;
    landed(&store, &[("{}", "2024-01-01")]).await;
    assert_eq!(store.count_old_raw(at("2025-01-01T00:00:00Z")).await.unwrap().rows, 0);
    assert_eq!(store.count_old_raw(at("2025-01-03T00:00:00Z")).await.unwrap().rows, 1);
    // What days of the past were asked of says what is paid for.
    let row = "INSERT INTO raw_receipts (receipt_id, source, kind, marketplace, asin_requested, observed_at, fetched_at,
          recorded_at, body_sha256, shape, copies, run_id)
        SELECT 2, 'keepa', 'history', 'US', 'B000000001', observed_at, 1, 1, body_sha256, 'flat_json', 1, 'run' FROM raw_receipts;
        INSERT INTO normalized_receipts VALUES (2, 1, 'observed')";
    execute(&store, row).await.unwrap();
    drop_raw(&store, "2025-01-03T00:00:00Z").await;
    assert_eq!(left(&store).await, (vec!["2".to_owned()], 1));
    // A body that a quarantined record names, without a receipt of its own.
    let (_folder, store) = fresh().await;
    landed(&store, &[("{}", "2025-01-01")]).await;
    let body = sha256_hex(b"{}");
    execute(
        &store,
        &format!(
            "INSERT INTO quarantine (quarantine_id, stage, reason, detail, source, body_sha256, state, run_id, recorded_at)
             VALUES ('q', 'ingest', 'json', '', 'file', '{body}', 'open', 'run', 1)"
        ),
    )
    .await
    .unwrap();
    assert_eq!(drop_raw(&store, "2025-06-01T00:00:00Z").await.bytes, 0);
    assert_eq!(left(&store).await, (Vec::new(), 1));
}

#[tokio::test]
async fn alerts_go_when_they_are_dealt_with_and_nothing_is_to_be_told_of_them() {
    let (_folder, store) = fresh().await;
    for (id, rule, day, state, historical, delivery) in [
        ("resolved", "price_drop", "2025-01-01", "resolved", 0, "delivered"),
        ("dead", "price_drop", "2025-01-01", "dismissed", 0, "dead"),
        ("late", "price_drop", "2025-01-01", "open", 1, "delivered"),
        ("open", "price_drop", "2025-01-01", "open", 0, "delivered"),
        ("known", "price_drop", "2025-01-01", "acknowledged", 1, "delivered"),
        ("pending", "price_drop", "2025-01-01", "resolved", 0, "pending"),
        ("claimed", "price_drop", "2025-01-01", "resolved", 0, "claimed"),
        ("young", "price_drop", "2025-06-01", "resolved", 0, "delivered"),
        ("present", "product_stale", "2025-01-01", "resolved", 0, "delivered"),
    ] {
        execute(
            &store,
            &format!(
                "INSERT INTO alerts (alert_id, rule, severity, marketplace, asin, day, message, evidence, state, historical,
                   run_id, recorded_at)
                 VALUES ('{id}', '{rule}', 'high', 'US', 'B000000001', '{day}', '', '{{}}', '{state}', {historical}, 'run', 1);
                 INSERT INTO alert_changes (alert_id, from_state, to_state, actor, changed_at) VALUES ('{id}', 'open', '{state}', 'me', 1);
                 INSERT INTO outbox_events (event_id, event_type, alert_id, payload, created_at)
                   VALUES ('e-{id}', 'alert.opened', '{id}', '{{}}', 1);
                 INSERT INTO deliveries (event_id, channel, recipient, state, next_attempt_at)
                   VALUES ('e-{id}', 'file', 'a', '{delivery}', 1)"
            ),
        )
        .await
        .unwrap();
    }
    assert!(crate::rollup::rules::Rule::from_word("product_stale").unwrap().is_of_the_present());
    let before = "2025-06-01".parse().unwrap();
    let plan = store.count_old_alerts(before).await.unwrap();
    assert_eq!((plan.rows, plan.oldest_kept), (3, Some("2025-01-01".parse().unwrap())));
    assert_eq!(store.drop_old_alerts(before).await.unwrap().rows, 3);
    assert_eq!(store.drop_old_alerts(before).await.unwrap().next, None);
    let kept = ["claimed", "known", "open", "pending", "present", "young"];
    for (table, column) in
        [("alerts", "alert_id"), ("alert_changes", "alert_id"), ("outbox_events", "alert_id")]
    {
        assert_eq!(store.lines(format!("SELECT {column} FROM {table} ORDER BY 1")).await, kept, "{table}");
    }
    assert_eq!(store.lines("SELECT substr(event_id, 3) FROM deliveries ORDER BY 1").await, kept);
}

#[tokio::test]
async fn what_the_gate_held_goes_when_it_is_decided_and_its_incident_with_the_last() {
    let (_folder, store) = fresh().await;
    for (id, kind, day, state) in [
        ("done", "gate", "2025-01-01", "closed"),
        ("waits", "gate", "2025-01-01", "open"),
        ("young", "gate", "2025-06-01", "closed"),
        ("source", "schema_drift", "2025-01-01", "closed"),
    ] {
        execute(
            &store,
            &format!(
                "INSERT INTO incidents (incident_id, kind, source, reason, detail, day, state, run_id, recorded_at, workspace)
                 VALUES ('{id}', '{kind}', '', 'canary_moved', '', '{day}', '{state}', 'run', 1, 'main')"
            ),
        )
        .await
        .unwrap();
    }
    for (incident, id, day, state) in [
        ("done", "released", "2025-01-01", "released"),
        ("done", "dropped", "2025-01-01", "dropped"),
        ("waits", "dropped", "2025-01-01", "dropped"),
        ("waits", "held", "2025-01-01", "held"),
        ("young", "dropped", "2025-06-01", "dropped"),
    ] {
        execute(
            &store,
            &format!(
                "INSERT INTO held_findings (incident_id, alert_id, rule, severity, marketplace, asin, day, message, evidence,
                   historical, state, run_id, held_at)
                 VALUES ('{incident}', '{id}', 'price_drop', 'high', 'US', 'B000000001', '{day}', '', '{{}}', 0, '{state}',
                   'run', 1)"
            ),
        )
        .await
        .unwrap();
    }
    let before = "2025-06-01".parse().unwrap();
    assert_eq!(store.count_old_alerts(before).await.unwrap().rows, 3);
    assert_eq!(store.drop_old_alerts(before).await.unwrap().rows, 3);
    assert_eq!(store.drop_old_alerts(before).await.unwrap().next, None);
    let held = store.lines("SELECT incident_id, alert_id FROM held_findings ORDER BY 1").await;
    assert_eq!(held, ["waits held", "young dropped"]);
    let kept = store.lines("SELECT incident_id FROM incidents ORDER BY 1").await;
    assert_eq!(kept, ["source", "waits", "young"]);
}

#[tokio::test]
async fn events_of_no_alert_are_dropped_once_nobody_waits_for_them() {
    let (_folder, store) = fresh().await;
    for (id, created, alert, delivery) in [
        ("told", 1, "", "delivered"),
        ("given-up", 1, "", "dropped"),
        ("waiting", 1, "", "pending"),
        ("young", 1_750_000_000_000_000_i64, "", "delivered"),
    ] {
        execute(
            &store,
            &format!(
                "INSERT INTO outbox_events (event_id, event_type, alert_id, payload, created_at)
                   VALUES ('{id}', 'run.failed', '{alert}', '{{}}', {created});
                 INSERT INTO deliveries (event_id, channel, recipient, state, next_attempt_at)
                   VALUES ('{id}', 'file', 'a', '{delivery}', 1);
                 INSERT INTO delivery_changes (event_id, channel, recipient, from_state, to_state, actor, changed_at)
                   VALUES ('{id}', 'file', 'a', 'dead', '{delivery}', 'me', 1)"
            ),
        )
        .await
        .unwrap();
    }
    let before = at("2025-06-01T00:00:00Z");
    assert_eq!(store.count_old_events(before).await.unwrap().rows, 2);
    assert_eq!(store.drop_old_events(before).await.unwrap().rows, 2);
    assert_eq!(store.drop_old_events(before).await.unwrap().next, None);
    for table in ["outbox_events", "deliveries", "delivery_changes"] {
        let kept = store.lines(format!("SELECT event_id FROM {table} ORDER BY 1")).await;
        assert_eq!(kept, ["waiting", "young"], "{table}");
    }
}

#[tokio::test]
async fn the_ledger_keeps_what_is_open_and_the_runs_it_names() {
    let (_folder, store) = fresh().await;
    execute(
        &store,
        "INSERT INTO runs (run_id, command, started_at, host, pid) VALUES ('old', 'run', 1, 'h', 1), ('open', 'run', 1, 'h', 1),
           ('young', 'run', 1750000000000000, 'h', 1);
         INSERT INTO source_requests (run_id, source, operation, marketplace, asins, attempt, state, sent_at, day, estimated_units)
         VALUES ('old', 'keepa', 'product', 'US', '[]', 1, 'answered', 1, '2025-01-01', 1),
           ('open', 'keepa', 'product', 'US', '[]', 1, 'sent', 1, '2025-01-01', 1),
           ('young', 'keepa', 'product', 'US', '[]', 1, 'failed', 1, '2025-06-01', 1)",
    )
    .await
    .unwrap();
    let before = "2025-06-01".parse().unwrap();
    let instant = at("2025-06-01T00:00:00Z");
    assert_eq!(store.drop_old_runs(instant).await.unwrap().rows, 0, "as long as the ledger names them");
    assert_eq!(store.count_old_requests(before).await.unwrap().rows, 1);
    assert_eq!(store.drop_old_requests(before).await.unwrap().rows, 1);
    assert_eq!(store.count_old_runs(instant).await.unwrap().rows, 1);
    assert_eq!(store.drop_old_runs(instant).await.unwrap().rows, 1);
    assert_eq!(store.lines("SELECT run_id FROM runs ORDER BY 1").await, ["open", "young"]);
    assert_eq!(store.lines("SELECT run_id FROM source_requests ORDER BY 1").await, ["open", "young"]);
}

#[tokio::test]
async fn only_readings_that_were_replaced_are_dropped() {
    let (_folder, store) = fresh().await;
    receipt(&store, 1).await;
    commit(&store, vec![observed(1, "2025-01-01", Some(2000))]).await;
    commit(&store, vec![observed(1, "2025-01-02", Some(2000))]).await;
    let (young, old) = ("2025-01-01".parse().unwrap(), "2025-06-01".parse().unwrap());
    assert_eq!(store.count_old_readings(young).await.unwrap().rows, 0);
    assert_eq!(store.count_old_readings(old).await.unwrap().rows, 1);
    assert_eq!(store.drop_old_readings(young, 0).await.unwrap(), DroppedBatch::default());
    assert_eq!(store.drop_old_readings(old, 0).await.unwrap().rows, 1);
    assert_eq!(store.lines("SELECT day, is_current FROM observations").await, ["2025-01-02 1"]);
}

#[tokio::test]
async fn a_month_that_holds_nothing_is_dropped_and_made_again_when_it_is_needed() {
    let (_folder, store) = fresh().await;
    let now = at("2026-02-01T00:00:00Z");
    if store.location().file().is_some() {
        assert_eq!(store.empty_months("2026-01").await.unwrap(), []);
        assert!(!store.drop_empty_month("deltas", "2025-01", now).await.unwrap());
        return;
    }
    landed(&store, &[("{}", "2025-01-01")]).await;
    let empty = store.empty_months("2025-03").await.unwrap();
    let of = |table: &str, month: &str| empty.contains(&(table.to_owned(), month.to_owned()));
    assert!(of("raw_receipts", "2025-02") && of("deltas", "2025-01") && !of("raw_receipts", "2025-01"));
    assert!(!of("deltas", "2025-03"), "not before its time");
    assert!(!store.drop_empty_month("raw_receipts", "2025-01", now).await.unwrap(), "it holds a receipt");
    assert_eq!(left(&store).await.0.len(), 1);
    assert_eq!(store.number("SELECT COUNT(*) FROM retention_grants").await, 0);
    let refused = execute(&store, "SELECT drop_month('raw_receipts', '2025-02')").await.unwrap_err();
    assert!(refused.contains("append-only"), "{refused}");
    assert!(store.drop_empty_month("raw_receipts", "2025-02", now).await.unwrap());
    let made = "SELECT COUNT(*) FROM pg_class WHERE relname = 'raw_receipts_2025_02'";
    assert_eq!(store.number(made).await, 0);
    assert_eq!(store.number("SELECT COUNT(*) FROM retention_grants WHERE open = 1").await, 0);
    let late = batch(&[("{\"late\":1}", "2025-02-03")]);
    store.commit_raw_batch(&read("late"), &late, Checkpoint::default(), 1, ReadState::Done).await.unwrap();
    assert_eq!(store.number(made).await, 1);
}
