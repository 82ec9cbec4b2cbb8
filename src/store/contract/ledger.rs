//! What the database knows about itself.

use serde_json::json;

use super::*;
use crate::store::ops::{Identity, RunStart};
use crate::store::outbox::Audience;
use crate::store::reports::ReportRow;

fn identity(uuid: &str) -> Identity {
    Identity {
        database_uuid: uuid.into(),
        lake_epoch: "epoch".into(),
        zone: "UTC".into(),
        created_at: at("2026-01-01T00:00:00.123456Z"),
    }
}

#[tokio::test]
async fn the_first_identity_stays() {
    let (_folder, store) = fresh().await;
    assert_eq!(store.identity().await.unwrap(), None);
    assert_eq!(store.identify(&identity("first")).await.unwrap(), identity("first"));
    assert_eq!(store.identify(&identity("second")).await.unwrap(), identity("first"));
    assert_eq!(store.identity().await.unwrap(), Some(identity("first")));
    assert_eq!(store.mark("never set").await.unwrap(), 0);
}

#[tokio::test]
async fn runs_come_newest_first_and_are_found_by_the_beginning_of_their_id() {
    let (_folder, store) = fresh().await;
    // Two of one second: their ids decide.
    for (run_id, started_at) in
        [("aa1", "2026-01-01T00:00:00Z"), ("ab2", "2026-01-01T00:00:00Z"), ("aa3", "2026-01-02T00:00:00Z")]
    {
        let start = RunStart {
            run_id: run_id.into(),
            command: "ingest".into(),
            started_at: at(started_at),
            host: "host".into(),
            pid: 7,
        };
        store.begin_run(&start).await.unwrap();
    }
    let summary = json!({"ingest": {"records": 1}});
    let ab2 = store.load_runs_by_prefix("ab").await.unwrap().remove(0).start;
    let nobody = Audience::default();
    store.finish_run(&ab2, at("2026-01-01T00:00:01Z"), 3, &summary, &nobody).await.unwrap();
    let ids = |runs: Vec<crate::store::ops::RunRecord>| -> Vec<String> {
        runs.into_iter().map(|run| run.start.run_id).collect()
    };
    assert_eq!(ids(store.load_runs(9).await.unwrap()), ["aa3", "ab2", "aa1"]);
    assert_eq!(ids(store.load_runs(1).await.unwrap()), ["aa3"]);
    assert_eq!(ids(store.load_runs_by_prefix("aa").await.unwrap()), ["aa3", "aa1"]);
    assert_eq!(
        ids(store.load_runs_by_prefix("a").await.unwrap()),
        ["aa3", "ab2"],
        "enough to see that it is not one"
    );
    assert_eq!(ids(store.load_runs_by_prefix("b").await.unwrap()), [] as [String; 0]);

    let runs = store.load_runs(9).await.unwrap();
    assert_eq!((runs[0].exit_code, runs[0].finished_at, &runs[0].summary), (None, None, &json!({})));
    let finished = (runs[1].exit_code, runs[1].finished_at, &runs[1].summary);
    assert_eq!(finished, (Some(3), Some(at("2026-01-01T00:00:01Z")), &summary));
}

#[tokio::test]
async fn the_same_report_again_is_no_new_row() {
    let (_folder, store) = fresh().await;
    let report = ReportRow {
        report_id: "one".into(),
        workspace: Workspace::default(),
        subject: "watchlist".into(),
        as_of: "2026-01-05".parse().unwrap(),
        format: "html".into(),
        evidence_hash: "hash".into(),
        path: String::new(),
        size_bytes: 1,
        run_id: "run".into(),
        created_at: at("2026-01-05T00:00:00Z"),
    };
    let nobody = Audience::default();
    assert!(store.record_report(&report, &nobody).await.unwrap());
    assert!(!store.record_report(&report, &nobody).await.unwrap());
    let two = ReportRow { report_id: "two".into(), ..report };
    assert!(store.record_report(&two, &nobody).await.unwrap());
}

#[tokio::test]
async fn comparisons_are_replaced_as_a_whole_and_only_what_differs_is_written() {
    let (_folder, store) = fresh().await;
    let one = |cohort: &str, record: &str| {
        (cohort.to_owned(), "2026-01-05".parse::<Day>().unwrap(), record.to_owned())
    };
    assert_eq!(store.publish_comparisons(&main(), &[one("a", "{}"), one("b", "{}")]).await.unwrap(), 2);
    assert_eq!(store.publish_comparisons(&main(), &[one("a", "{}"), one("b", "{}")]).await.unwrap(), 0);
    assert_eq!(store.publish_comparisons(&main(), &[one("a", "[]"), one("b", "{}")]).await.unwrap(), 1);
    assert_eq!(
        store.publish_comparisons(&main(), &[one("b", "{}")]).await.unwrap(),
        1,
        "the cohort that is gone"
    );
}
