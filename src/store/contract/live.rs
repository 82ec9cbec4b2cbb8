//! What the dashboard asks of a store: who is logged in, and events in the order in which they came to be known.

use super::*;
use crate::store::alerts::{AlertBatch, NewEvent};
use crate::store::outbox::About;
use crate::store::sessions::Session;

fn now() -> Timestamp {
    at("2026-01-06T00:00:00Z")
}

fn session(name: &str) -> Session {
    Session {
        session_sha256: name.into(),
        workspace: main(),
        key_id: "k1".into(),
        created_at: now(),
        seen_at: now(),
        expires_at: at("2026-01-06T12:00:00Z"),
    }
}

#[tokio::test]
async fn a_session_is_found_until_it_is_closed() {
    let (_folder, store) = fresh().await;
    store.open_session(&session("s1")).await.unwrap();
    assert_eq!(store.find_session("s1").await.unwrap(), Some(session("s1")));
    assert_eq!(store.find_session("s2").await.unwrap(), None);
    assert!(store.open_session(&session("s1")).await.is_err(), "the same twice");

    let later = at("2026-01-06T00:10:00Z");
    store.touch_session(&main(), "s1", later).await.unwrap();
    store.touch_session(&main(), "s1", now()).await.unwrap();
    assert_eq!(store.find_session("s1").await.unwrap().unwrap().seen_at, later, "never back");
    store.close_session(&main(), "s1").await.unwrap();
    assert_eq!(store.find_session("s1").await.unwrap(), None);
}

#[tokio::test]
async fn what_has_expired_goes_when_somebody_logs_in() {
    let (_folder, store) = fresh().await;
    store.open_session(&session("s1")).await.unwrap();
    let next = at("2026-01-06T12:00:00Z");
    let other_session = Session { workspace: other(), created_at: next, ..session("s2") };
    store.open_session(&other_session).await.unwrap();
    assert!(store.find_session("s1").await.unwrap().is_some(), "another workspace's are its own matter");
    store.open_session(&Session { created_at: next, ..session("s3") }).await.unwrap();
    assert_eq!(store.find_session("s1").await.unwrap(), None);
}

fn batch(names: &[&str]) -> AlertBatch {
    let event = |name: &&str| NewEvent {
        event_id: (*name).into(),
        event_type: "alert.opened",
        alert_id: format!("alert of {name}"),
        about: About::default(),
        payload: format!("[\"{name}\"]"),
    };
    AlertBatch { events: names.iter().map(event).collect(), ..AlertBatch::default() }
}

async fn told(store: &Store, names: &[&str], now: Timestamp) {
    store.commit_alerts(&main(), "run", now, &batch(names), &[], None).await.unwrap();
}

#[tokio::test]
async fn events_are_numbered_as_they_come_whatever_their_time() {
    let (_folder, store) = fresh().await;
    assert_eq!(store.last_event_seq(&main()).await.unwrap(), 0);
    told(&store, &["z", "y"], now()).await;
    // A clock that went backwards, and a batch that is written once more.
    told(&store, &["a"], at("2026-01-05T00:00:00Z")).await;
    told(&store, &["a", "z"], now()).await;
    told(&store, &["b"], now()).await;
    let events = store.load_events_after(&main(), 0, 9).await.unwrap();
    let names: Vec<&str> = events.iter().map(|event| event.event_id.as_str()).collect();
    assert_eq!(names, ["z", "y", "a", "b"]);
    assert!(events.is_sorted_by(|one, next| one.seq < next.seq), "{events:?}");
    assert_eq!(events[3].seq, store.last_event_seq(&main()).await.unwrap());

    let y = store.find_event_seq(&main(), "y").await.unwrap().unwrap();
    assert_eq!(y, events[1].seq);
    let next = store.load_events_after(&main(), y, 1).await.unwrap();
    assert_eq!(next, events[2..3]);
    assert_eq!(store.find_event_seq(&main(), "nothing").await.unwrap(), None);
    assert_eq!(store.load_events_after(&other(), 0, 9).await.unwrap(), []);
    assert_eq!(store.last_event_seq(&other()).await.unwrap(), 0);
}

#[tokio::test]
async fn writers_at_the_same_time_leave_no_event_behind_a_reader() {
    let (_folder, store) = fresh().await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let store = store.clone();
        writers.spawn(async move {
            for number in 0..8 {
                told(&store, &[&format!("event {writer} {number}")], now()).await;
            }
        });
    }
    // Reads on all the while from where it was.
    let (mut seen, mut seq) = (0, 0);
    while seen < 32 {
        let finished = writers.is_empty();
        let events = store.load_events_after(&main(), seq, 9).await.unwrap();
        assert!(!finished || !events.is_empty(), "{seen} of 32 were seen");
        seen += events.len();
        seq = events.last().map_or(seq, |event| event.seq);
        while writers.try_join_next().is_some() {}
        tokio::task::yield_now().await;
    }
}
