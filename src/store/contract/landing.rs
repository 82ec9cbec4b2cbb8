//! Raw records: landing them, reading them, refusing them.

use super::*;
use crate::ids::sha256_hex;
use crate::store::db::bulk;
use crate::store::outbox::Audience;
use crate::store::quarantine::QuarantineFilter;
use crate::store::raw::{
    Checkpoint, FileRead, RawBatch, RawBody, RawProblem, RawReceipt, ReadState, ReceiptKey,
};

fn read(read_id: &str) -> FileRead {
    FileRead {
        file_sha256: "file".into(),
        options_key: read_id.into(),
        read_id: read_id.into(),
        path: "in/a.json".into(),
        run_id: "run".into(),
        recorded_at: at("2026-01-05T00:00:00Z"),
    }
}

/// A receipt of each body, all of one instant, and one problem.
fn batch(bodies: &[(&str, u64)]) -> RawBatch {
    let receipt = |(ordinal, (body, copies)): (usize, &(&str, u64))| RawReceipt {
        key: ReceiptKey {
            source: "file".into(),
            kind: "product".into(),
            marketplace: "US".into(),
            asin_requested: String::new(),
            observed_at: at("2026-01-05T00:00:00Z"),
            body_sha256: sha256_hex(body.as_bytes()),
        },
        asin_returned: None,
        fetched_at: at("2026-01-05T00:00:00Z"),
        shape: "flat_json",
        copies: *copies,
        ordinal: ordinal as u64,
        line: 1,
        offset: ordinal as u64,
    };
    let encoded =
        |(body, _): &(&str, u64)| RawBody::encode(sha256_hex(body.as_bytes()), body.as_bytes().to_vec());
    let problem = RawProblem {
        quarantine_id: "problem".into(),
        reason: "invalid_json",
        detail: "expected value".into(),
        source: "file".into(),
        marketplace: String::new(),
        body_sha256: None,
        line: 9,
        offset: 99,
    };
    RawBatch {
        bodies: bodies.iter().map(encoded).collect(),
        receipts: bodies.iter().enumerate().map(receipt).collect(),
        problems: vec![problem],
    }
}

async fn count(store: &Store, table: &str) -> i64 {
    store.number(format!("SELECT COUNT(*) FROM {table}")).await
}

#[tokio::test]
async fn a_batch_lands_once_with_its_checkpoint_and_a_preview_says_so_before() {
    let (_folder, store) = fresh().await;
    let (first, second) = (read("first"), read("second"));
    let both = batch(&[("{\"a\":1}", 3), ("{\"a\":2}", 1)]);
    let preview = store.preview_raw_batch(&first, &both).await.unwrap();
    assert_eq!((&preview.landed, preview.repeats, preview.new_problems), (&vec![0, 1], 2, 1));
    assert_eq!((count(&store, "raw_receipts").await, count(&store, "quarantine").await), (0, 0));
    assert_eq!(store.load_checkpoint("file", "first").await.unwrap(), None);

    let start = Checkpoint::default();
    let (effect, after) = store.commit_raw_batch(&first, &both, start, 5, ReadState::Reading).await.unwrap();
    assert_eq!(effect, preview);
    assert_eq!((after.records_read, after.receipts_landed, after.repeats, after.problems), (5, 2, 2, 1));
    assert_eq!(store.load_checkpoint("file", "first").await.unwrap(), Some(after));
    assert_eq!(
        store.load_checkpoint("file", "second").await.unwrap(),
        None,
        "other options are another read"
    );

    // Another read finds them there; the same one goes on with more copies of what it landed.
    let (effect, _) = store.commit_raw_batch(&second, &both, start, 5, ReadState::Done).await.unwrap();
    assert_eq!(
        (effect.landed.len(), effect.repeats, effect.already_there, effect.new_problems),
        (0, 0, 4, 0)
    );
    let more = batch(&[("{\"a\":1}", 2)]);
    let (effect, after) = store.commit_raw_batch(&first, &more, after, 7, ReadState::Done).await.unwrap();
    assert_eq!((effect.landed.len(), effect.repeats, effect.already_there), (0, 2, 0));
    assert_eq!((after.records_read, after.repeats, after.state), (7, 4, ReadState::Done));
    assert_eq!(store.lines("SELECT copies FROM raw_receipts ORDER BY receipt_id").await, ["5", "1"]);
    assert_eq!((count(&store, "raw_bodies").await, count(&store, "quarantine").await), (2, 1));
}

#[tokio::test]
async fn a_body_comes_back_as_it_was_received_however_it_is_stored() {
    let (_folder, store) = fresh().await;
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(5_000));
    let bodies = batch(&[("{}", 1), (&long, 1)]);
    let start = Checkpoint::default();
    store.commit_raw_batch(&read("first"), &bodies, start, 2, ReadState::Done).await.unwrap();
    for body in ["{}", &long] {
        let found = store.load_body(&sha256_hex(body.as_bytes())).await.unwrap();
        assert_eq!(found.as_deref(), Some(body.as_bytes()));
    }
    assert_eq!(store.load_body("absent").await.unwrap(), None);
    assert_eq!(store.check_bodies().await.unwrap(), (2, Vec::new()));
}

#[tokio::test]
async fn receipts_up_to_the_mark_are_not_looked_at_again_until_one_is_forgotten() {
    let (_folder, store) = fresh().await;
    for id in 1..=3 {
        receipt(&store, id).await;
    }
    // Another version's mark says nothing about this one's receipts.
    execute(&store, "INSERT INTO marks VALUES ('normalized_until_v0', 3)").await.unwrap();
    assert_eq!(unread(&store, Unread::New, 0, 9, usize::MAX).await, [1, 2, 3]);
    let batch = NormalizedBatch {
        receipts: vec![(1, ReceiptOutcome::Observed), (2, ReceiptOutcome::Quarantined)],
        normalized_until: Some(2),
        ..NormalizedBatch::default()
    };
    commit_batch(&store, batch).await;
    execute(&store, "DELETE FROM normalized_receipts").await.unwrap();
    assert_eq!(
        unread(&store, Unread::New, 0, 9, usize::MAX).await,
        [3],
        "what lies before the mark is not read"
    );
    assert_eq!(store.count_unread(Unread::New).await.unwrap(), 1);
    store.forget_normalized(&[2]).await.unwrap();
    assert_eq!(unread(&store, Unread::New, 0, 9, usize::MAX).await, [2, 3]);
    assert!(store.has_unread().await.unwrap());
    commit_batch(&store, NormalizedBatch { normalized_until: Some(3), ..NormalizedBatch::default() }).await;
    assert!(!store.has_unread().await.unwrap());
}

#[tokio::test]
async fn a_row_that_is_refused_takes_its_whole_transaction_with_it() {
    let (_folder, store) = fresh().await;
    let rows: Vec<i64> = (0..250).map(|row| if row == 220 { 10 } else { row }).collect();
    let mut tx = store.begin().await.unwrap();
    let inserted = bulk::insert(&mut tx, "marks (name, value)", "", &rows, |values, row| {
        values.push_bind(format!("mark-{row}")).push_bind(1);
    });
    assert!(matches!(inserted.await, Err(StoreError::Database(_))));
    drop(tx);
    assert_eq!(store.mark("mark-0").await.unwrap(), 0, "not even the first chunk is there");
    let mut tx = store.begin().await.unwrap();
    bulk::insert(&mut tx, "marks (name, value)", "", &rows[..200], |values, row| {
        values.push_bind(format!("mark-{row}")).push_bind(1);
    })
    .await
    .unwrap();
    tx.commit().await.unwrap();
    assert_eq!((store.mark("mark-0").await.unwrap(), store.mark("mark-199").await.unwrap()), (1, 1));
}

async fn unread(store: &Store, unread: Unread, after: i64, limit: i64, most_bytes: usize) -> Vec<i64> {
    let records = store.load_unread(unread, after, limit, most_bytes).await.unwrap();
    records.iter().map(StoredRecord::receipt_id).collect()
}

#[tokio::test]
async fn receipts_are_read_in_order_once_and_again_when_they_are_forgotten() {
    let (_folder, store) = fresh().await;
    for id in 1..=3 {
        receipt(&store, id).await;
    }
    const ALL: usize = usize::MAX;
    assert_eq!(unread(&store, Unread::New, 0, 9, ALL).await, [1, 2, 3]);
    assert_eq!(unread(&store, Unread::New, 1, 1, ALL).await, [2]);
    assert_eq!(unread(&store, Unread::New, 0, 9, 3).await, [1, 2], "no more once it is enough");
    commit(&store, vec![observed(1, "2026-01-05", Some(1)), observed(3, "2026-01-05", Some(1))]).await;
    assert_eq!(unread(&store, Unread::New, 0, 9, ALL).await, [2]);
    assert_eq!(store.count_unread(Unread::New).await.unwrap(), 1);
    // The receipts of the suite are observed so many microseconds after the beginning of time.
    let since = Unread::Since(Timestamp::from_timestamp_micros(2).unwrap());
    assert_eq!(unread(&store, since, 0, 9, ALL).await, [2, 3]);
    assert_eq!(store.count_unread(since).await.unwrap(), 2);

    assert_eq!(store.forget_normalized(&[2, 3]).await.unwrap(), 1, "one of them was read");
    assert_eq!(store.forget_normalized(&[2, 3]).await.unwrap(), 0);
    assert_eq!(unread(&store, Unread::New, 0, 9, ALL).await, [2, 3]);
    assert_eq!(
        days_of(&store, key()).await,
        ["2026-01-05"],
        "what was read of it stays until it is read again"
    );
}

#[tokio::test]
async fn the_evidence_of_a_day_is_its_current_readings_in_the_order_of_time() {
    let (_folder, store) = fresh().await;
    for id in 1..=3 {
        receipt(&store, id).await;
    }
    let prices = [(2, 200), (1, 100), (3, 300)];
    let seen = prices.map(|(id, price)| {
        let observed_at = Timestamp::from_timestamp_micros(id).unwrap();
        NewObservation { observed_at, ..observed(id, "2026-01-05", Some(price)) }
    });
    commit(&store, seen.to_vec()).await;
    let mut other_day = observed(3, "2026-01-06", Some(300));
    other_day.item = 0;
    commit(&store, vec![other_day]).await;
    let day = "2026-01-05".parse().unwrap();
    let evidence = store.load_evidence(key(), day).await.unwrap();
    let shown: Vec<_> = evidence
        .iter()
        .map(|one| (one.observed_at.timestamp_micros(), one.observation.offer.price_minor, one.body_bytes))
        .collect();
    assert_eq!(
        shown,
        [(1, Some(100), Some(2)), (2, Some(200), Some(2))],
        "the third is read as another day's now"
    );
}

#[tokio::test]
async fn a_receipt_of_history_is_read_again_for_every_range_that_is_new() {
    let (_folder, store) = fresh().await;
    for id in 1..=2 {
        receipt(&store, id).await;
    }
    store.run_script(
        "INSERT INTO raw_receipts (receipt_id, source, kind, marketplace, asin_requested, observed_at, fetched_at,
           recorded_at, body_sha256, shape, copies, run_id)
         SELECT 3, source, 'history', marketplace, asin_requested, observed_at, fetched_at, recorded_at, body_sha256,
           shape, copies, run_id FROM raw_receipts WHERE receipt_id = 2",
    )
    .await
    .unwrap();
    let receipts = [1, 2, 3].map(|id| (id, ReceiptOutcome::Kept)).to_vec();
    let batch = NormalizedBatch { receipts, normalized_until: Some(3), ..NormalizedBatch::default() };
    commit_batch(&store, batch).await;
    assert!(!store.has_unread().await.unwrap());

    let range =
        |first: &str, last: &str| DayRange { first: first.parse().unwrap(), last: last.parse().unwrap() };
    let (later, earlier) = (range("2026-01-05", "2026-01-06"), range("2026-01-01", "2026-01-05"));
    assert!(store.request_history(3, later).await.unwrap());
    assert!(store.request_history(3, earlier).await.unwrap());
    assert!(!store.request_history(3, later).await.unwrap(), "the very same");
    let records = store.load_unread(Unread::New, 0, 9, 1 << 20).await.unwrap();
    let records = records.into_iter().map(|record| record.unpack().unwrap());
    let asked: Vec<_> = records.map(|record| (record.receipt_id, record.asked_days)).collect();
    assert_eq!(asked, [(3, vec![earlier, later])]);
}

fn rejected(id: &str, receipt_id: i64, reason: &str) -> NewQuarantine {
    NewQuarantine {
        quarantine_id: id.into(),
        reason: reason.into(),
        field: "price".into(),
        detail: "detail".into(),
        source: "file".into(),
        marketplace: "US".into(),
        asin: "B000000001".into(),
        receipt_id,
        item: 0,
        body_sha256: "body".into(),
        file_path: None,
        file_line: None,
        file_offset: None,
    }
}

async fn refuse(store: &Store, rows: Vec<NewQuarantine>) -> (u64, u64) {
    let receipts = [1, 2].map(|id| (id, ReceiptOutcome::Quarantined)).to_vec();
    let batch = NormalizedBatch { receipts, quarantine: rows, ..NormalizedBatch::default() };
    let effect = commit_batch(store, batch).await;
    (effect.quarantined, effect.refused_again)
}

async fn states(store: &Store) -> Vec<String> {
    let rows = store.load_quarantine(&QuarantineFilter::default(), 9).await.unwrap();
    rows.iter().map(|row| format!("{} {}", row.quarantine_id, row.state)).collect()
}

#[tokio::test]
async fn a_refused_record_is_one_row_through_all_its_states() {
    let (_folder, store) = fresh().await;
    receipt(&store, 1).await;
    receipt(&store, 2).await;
    // One twice: two fields of a list may fail alike.
    let both = || {
        vec![
            rejected("one", 1, "out_of_range"),
            rejected("one", 1, "out_of_range"),
            rejected("two", 2, "no_asin"),
        ]
    };
    assert_eq!(refuse(&store, both()).await, (2, 0));
    assert_eq!(refuse(&store, both()).await, (0, 2), "they were there, and are");
    assert_eq!(states(&store).await, ["one open", "two open"]);

    // The first reads well now; then it does not any more.
    assert_eq!(refuse(&store, vec![rejected("two", 2, "no_asin")]).await, (0, 1));
    assert_eq!(states(&store).await, ["one resolved", "two open"]);
    assert_eq!(refuse(&store, both()).await, (1, 1));

    // What was dropped stays dropped, and is not spoken of.
    let ids = ["one".to_owned(), "absent".to_owned()];
    assert_eq!(store.drop_quarantined(&ids).await.unwrap(), 1);
    assert_eq!(store.drop_quarantined(&ids).await.unwrap(), 0);
    assert_eq!(refuse(&store, both()).await, (0, 1));
    assert_eq!(states(&store).await, ["one dropped", "two open"]);

    let open = QuarantineFilter { state: Some("open".into()), ..QuarantineFilter::default() };
    assert_eq!(store.count_quarantine(&open).await.unwrap(), 1);
    let prefix = QuarantineFilter { id_prefix: Some("o".into()), ..QuarantineFilter::default() };
    assert_eq!(store.load_quarantine(&prefix, 9).await.unwrap()[0].reason, "out_of_range");
    assert_eq!(store.count_quarantined(None).await.unwrap(), [("no_asin".to_owned(), 1)]);
    assert_eq!(store.count_quarantined(Some(key())).await.unwrap(), [("no_asin".to_owned(), 1)]);
}

#[tokio::test]
async fn a_delivery_is_watched_once_and_its_incident_is_one() {
    let (_folder, store) = fresh().await;
    receipt(&store, 1).await;
    for (id, file) in [(2, "a"), (3, "a"), (4, "b"), (5, "c")] {
        execute(
            &store,
            &format!(
                "INSERT INTO raw_receipts (receipt_id, source, kind, marketplace, asin_requested, observed_at, fetched_at,
                   recorded_at, body_sha256, shape, copies, run_id, file_sha256, file_path)
                 VALUES ({id}, 'keepa', 'product', 'US', 'B000000001', {id}, {id}, {id}, 'body', 'flat_json', 1, 'run',
                   '{file}', 'in/{file}.json')"
            ),
        )
        .await
        .unwrap();
    }
    let prices = [(1, Some(1)), (2, Some(1)), (3, None), (4, None), (5, Some(1))];
    commit(&store, prices.map(|(id, price)| observed(id, "2026-01-05", price)).to_vec()).await;
    let deliveries = store.load_unwatched_deliveries().await.unwrap();
    let shown: Vec<_> = deliveries
        .iter()
        .map(|one| (one.name.as_str(), one.records, one.observed, one.observed_before))
        .collect();
    // The first has another source: it came before none of them.
    assert_eq!(shown, [("", 1, 1, 0), ("a.json", 2, 2, 0), ("b.json", 1, 1, 2), ("c.json", 1, 1, 1)]);
    let before = store.load_known_before(&deliveries[3], "price", 9).await.unwrap();
    assert_eq!(before, [(0, 1), (1, 2)], "the newest first");
    assert_eq!(store.load_known_before(&deliveries[3], "price", 1).await.unwrap().len(), 1);

    let incident = |id: &str, day: &str| NewIncident {
        incident_id: id.into(),
        kind: "schema_drift",
        source: "file".into(),
        field: "price".into(),
        reason: "field_vanished".into(),
        detail: format!("detail of {id}"),
        day: day.parse().unwrap(),
    };
    let incidents = [incident("later", "2026-01-06"), incident("earlier", "2026-01-05")];
    let nobody = Audience::default();
    let watch = || store.commit_incidents("run", at("2026-01-07T00:00:00Z"), 5, &incidents, &[], &nobody);
    assert_eq!(watch().await.unwrap(), ["detail of later", "detail of earlier"]);
    assert_eq!(watch().await.unwrap(), [] as [String; 0]);
    assert!(store.load_unwatched_deliveries().await.unwrap().is_empty());
    let open: Vec<String> =
        store.load_open_incidents().await.unwrap().into_iter().map(|one| one.incident_id).collect();
    assert_eq!(open, ["earlier", "later"]);
    execute(&store, "UPDATE incidents SET state = 'closed' WHERE incident_id = 'earlier'").await.unwrap();
    assert_eq!(store.load_open_incidents().await.unwrap().len(), 1);
}
