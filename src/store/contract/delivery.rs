//! The way out: claims, messages, letters that were given up, and what is told beside alerts.

use chrono::Duration;

use super::leaving::{now, to, with_alerts};
use super::*;
use crate::rollup::rules::Severity;
use crate::store::alerts::{AlertState, Transition};
use crate::store::checks::INVARIANTS;
use crate::store::ops::RunStart;
use crate::store::outbox::{
    AfterFailure, Audience, Claim, ClaimedMessage, Fate, Grouping, LetterChange, LetterFate, LetterFilter,
    LetterKey, Ripe, Settled, Subscriber, Wants,
};

/// Which invariants do not hold.
async fn broken(store: &Store) -> Vec<&'static str> {
    let mut broken = Vec::new();
    for invariant in INVARIANTS {
        if store.find_broken(invariant).await.unwrap().count > 0 {
            broken.push(invariant.name);
        }
    }
    broken
}

async fn claim(store: &Store, now: Timestamp, limit: usize) -> Vec<(String, u32, bool)> {
    claim_as(store, "me", now, limit).await
}

async fn claim_as(store: &Store, claimant: &str, now: Timestamp, limit: usize) -> Vec<(String, u32, bool)> {
    let single = Grouping { most: 1, apart: None, digest_at: None };
    let claimed = claim_so(store, claimant, now, limit, Ripe::default(), single).await;
    assert!(claimed.iter().all(|message| message.events.len() == 1));
    claimed.into_iter().map(|message| (message.message_id, message.attempts, message.maybe_sent)).collect()
}

async fn claim_so(
    store: &Store,
    claimant: &str,
    now: Timestamp,
    limit: usize,
    ripe: Ripe,
    grouping: Grouping,
) -> Vec<ClaimedMessage> {
    let (workspace, to) = (main(), to("x"));
    let claim = Claim { workspace: &workspace, to: &to, claimant, now, ripe, grouping, limit };
    let has_due = store.has_due(&claim).await.unwrap();
    let claimed = store.claim_messages(&claim).await.unwrap();
    assert_eq!(has_due, !claimed.is_empty(), "looking tells what claiming gives");
    claimed
}

async fn settle(store: &Store, claimant: &str, settled: &[(&str, Fate)], now: Timestamp) {
    let settled: Vec<Settled> = settled
        .iter()
        .map(|(id, fate)| Settled { message_id: (*id).to_owned(), fate: fate.clone() })
        .collect();
    store.settle_messages(&main(), &to("x"), claimant, &settled, now).await.unwrap();
}

fn failed(after: AfterFailure, maybe_sent: bool) -> Fate {
    Fate::Failed { after, error: "no answer".into(), maybe_sent }
}

#[tokio::test]
async fn a_delivery_is_claimed_once_while_its_claimant_is_there_and_never_after_it_is_done() {
    let (_folder, store) = fresh().await;
    with_alerts(&store).await;
    let fresh_event = |id: &str| (id.to_owned(), 0, false);
    assert_eq!(
        claim(&store, now(), 2).await,
        [fresh_event("e3"), fresh_event("e2")],
        "by day, then the gravest"
    );
    assert_eq!(claim(&store, now(), 9).await, [fresh_event("e1")], "the others are claimed");
    assert_eq!(claim(&store, now(), 9).await, []);

    let (soon, late) = (now() + Duration::minutes(1), now() + Duration::hours(1));
    let unknown = failed(AfterFailure::RetryAt(soon), true);
    let settled = [("e3", Fate::Delivered), ("e2", unknown), ("e1", failed(AfterFailure::Dead, false))];
    settle(&store, "me", &settled, now()).await;
    assert_eq!(store.count_undelivered(&main()).await.unwrap(), 1);
    assert_eq!(store.next_due(&main(), &to("x"), now()).await.unwrap(), Some(soon));
    assert_eq!(claim(&store, now(), 9).await, [], "it is not due yet");
    assert_eq!(claim(&store, soon, 9).await, [("e2".to_owned(), 1, true)]);

    // Whoever claimed it is gone: it is due again, and may have been sent.
    assert_eq!(claim_as(&store, "you", soon, 9).await, [("e2".to_owned(), 1, true)]);
    store.give_messages_back(&main(), &to("x"), "you", &["e2".to_owned()]).await.unwrap();
    assert_eq!(claim(&store, soon, 9).await, [("e2".to_owned(), 1, true)], "given back");
    settle(&store, "you", &[("e2", Fate::Delivered)], late).await;
    assert_eq!(store.count_undelivered(&main()).await.unwrap(), 1, "it is another's by now");
    settle(&store, "me", &[("e2", Fate::Delivered), ("e1", Fate::Delivered)], late).await;
    assert_eq!(claim(&store, late + Duration::days(1), 9).await, []);

    let shown = |id: &'static str| {
        let store = &store;
        async move {
            let one = store.load_deliveries(&main(), id).await.unwrap().remove(0);
            format!("{} {} {}", one.state, one.attempts, one.last_error)
        }
    };
    assert_eq!(shown("a2").await, "delivered 2 ");
    assert_eq!(shown("a1").await, "dead 1 no answer", "what was not claimed was not delivered");
}

#[tokio::test]
async fn a_message_stays_whole_through_failures_kills_and_limits() {
    let (_folder, store) = fresh().await;
    with_alerts(&store).await;
    let both = Grouping { most: 2, apart: None, digest_at: None };
    let ids = |messages: &[ClaimedMessage]| -> Vec<String> {
        let shown = |message: &ClaimedMessage| {
            let ids: Vec<&str> = message.events.iter().map(|event| event.event_id.as_str()).collect();
            format!("{} ×{}{}", ids.join(" "), message.attempts, if message.maybe_sent { " ?" } else { "" })
        };
        messages.iter().map(shown).collect()
    };
    let first = claim_so(&store, "me", now(), 1, Ripe::default(), both).await;
    assert_eq!(ids(&first), ["e3 e2 ×0"]);
    let id = first[0].message_id.clone();
    settle(&store, "me", &[(&id, failed(AfterFailure::RetryAt(now()), false))], now()).await;
    // One that takes one at a time now, and is asked for as little as there is, gets the message as it was.
    let single = Grouping { most: 1, ..both };
    let again = claim_so(&store, "me", now(), 1, Ripe::default(), single).await;
    assert_eq!((ids(&again), &again[0].message_id), (vec!["e3 e2 ×1".to_owned()], &id));
    // Its process dies; the next one knows that it may have arrived.
    let after = claim_so(&store, "you", now(), 9, Ripe::default(), single).await;
    assert_eq!(ids(&after), ["e3 e2 ×1 ?", "e1 ×0"]);
    assert_eq!(after[0].message_id, id);
    settle(&store, "you", &[(&id, Fate::Delivered)], now()).await;
    assert_eq!(store.count_undelivered(&main()).await.unwrap(), 1);
    assert_eq!(broken(&store).await, [] as [&str; 0]);
}

#[tokio::test]
async fn what_is_not_ripe_waits_and_a_digest_has_everything_from_before() {
    let (_folder, store) = fresh().await;
    with_alerts(&store).await;
    let at_night = Ripe { least: Some(Severity::Critical), made_before: None };
    let nine = Grouping { most: 9, apart: Some(Severity::Critical), digest_at: None };
    let claimed = claim_so(&store, "me", now(), 9, at_night, nine).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].message_id, "e2");
    store.give_messages_back(&main(), &to("x"), "me", &["e2".to_owned()]).await.unwrap();

    let (before, slot) = (now() - Duration::hours(1), now() + Duration::hours(1));
    let digest = Grouping { most: 9, apart: None, digest_at: Some(slot) };
    let ripe = |made_before| Ripe { least: None, made_before: Some(made_before) };
    // What was tried by itself is tried again by itself.
    let claimed = claim_so(&store, "me", slot, 9, ripe(before), digest).await;
    assert_eq!((claimed.len(), claimed[0].digest_at), (1, None));
    let claimed = claim_so(&store, "me", slot, 9, ripe(slot), digest).await;
    let ids: Vec<&str> = claimed[0].events.iter().map(|event| event.event_id.as_str()).collect();
    assert_eq!((claimed.len(), ids, claimed[0].digest_at), (1, vec!["e3", "e1"], Some(slot)));
    // Later, and for another digest: the message is the one it was.
    let id = claimed[0].message_id.clone();
    settle(&store, "me", &[(&id, failed(AfterFailure::RetryAt(slot), false))], slot).await;
    let later = Grouping { digest_at: Some(slot + Duration::days(1)), ..digest };
    let again = claim_so(&store, "me", slot + Duration::days(1), 9, ripe(before), later).await;
    assert_eq!((&again[0].message_id, again[0].digest_at), (&id, Some(slot)));
}

#[tokio::test]
async fn dead_letters_are_listed_retried_and_dropped_with_who_and_why() {
    let (_folder, store) = fresh().await;
    with_alerts(&store).await;
    let both = Grouping { most: 2, apart: None, digest_at: None };
    let claimed = claim_so(&store, "me", now(), 9, Ripe::default(), both).await;
    let (two, one) = (claimed[0].message_id.clone(), claimed[1].message_id.clone());
    let later = now() + Duration::minutes(1);
    settle(&store, "me", &[(&two, failed(AfterFailure::Dead, true))], now()).await;
    settle(&store, "me", &[(&one, failed(AfterFailure::Dead, false))], later).await;
    let dead = LetterFilter { states: vec!["dead"], ..LetterFilter::default() };
    let letters = store.load_letters(&main(), &dead, 9).await.unwrap();
    let shown: Vec<_> = letters
        .iter()
        .map(|one| (one.key.message_id.as_str(), one.events, one.attempts, one.maybe_sent, one.failed_at))
        .collect();
    assert_eq!(
        shown,
        [(one.as_str(), 1, 1, false, Some(later)), (two.as_str(), 2, 1, true, Some(now()))],
        "the last first"
    );
    assert_eq!((letters[1].event_type.as_str(), letters[1].payload.as_str()), ("alert.opened", "[\"e3\"]"));
    for (count, filter) in [
        (1, LetterFilter { since: Some(later), ..dead.clone() }),
        (1, LetterFilter { id_prefix: Some(two[..6].to_owned()), ..dead.clone() }),
        (0, LetterFilter { channel: Some("mail".into()), ..dead.clone() }),
        (2, LetterFilter { recipient: Some("x".into()), ..dead.clone() }),
        (0, LetterFilter { event_type: Some("run.failed".into()), ..dead.clone() }),
        (0, LetterFilter { states: vec!["dropped"], ..dead.clone() }),
    ] {
        assert_eq!(store.count_letters(&main(), &filter).await.unwrap(), count, "{filter:?}");
        assert_eq!(store.load_letters(&main(), &filter, 9).await.unwrap().len() as u64, count);
    }

    let key = |id: &str| LetterKey { message_id: id.to_owned(), to: to("x") };
    let change = async |id: &str, fate, note| {
        store.change_letters(&main(), &[key(id)], fate, "ada", note, later).await.unwrap()
    };
    assert_eq!(change(&one, LetterFate::Drop, "old news").await, 1);
    assert_eq!(change(&one, LetterFate::Drop, "again").await, 0);
    assert_eq!(change(&two, LetterFate::Retry, "mended").await, 1);
    assert_eq!(change(&two, LetterFate::Retry, "again").await, 0, "it is on its way");
    let (events, changes) = store.load_letter(&main(), &key(&two)).await.unwrap();
    assert_eq!(events.iter().map(|event| event.event_id.as_str()).collect::<Vec<_>>(), ["e3", "e2"]);
    let said = |change: &LetterChange| {
        format!("{} {} {} {}", change.from_state, change.to_state, change.actor, change.note)
    };
    assert_eq!(changes.iter().map(said).collect::<Vec<_>>(), ["dead pending ada mended"]);
    let again = claim_so(&store, "me", later, 9, Ripe::default(), both).await;
    assert_eq!(
        (again.len(), &again[0].message_id, again[0].attempts),
        (1, &two, 0),
        "with all its attempts before it"
    );
    assert!(again[0].maybe_sent);
    // One that was let go can be had back.
    assert_eq!(change(&one, LetterFate::Retry, "after all").await, 1);
    assert_eq!(store.count_letters(&main(), &dead).await.unwrap(), 0);
}

#[tokio::test]
async fn a_message_that_lies_in_pieces_is_found() {
    let (_folder, store) = fresh().await;
    with_alerts(&store).await;
    let both = Grouping { most: 2, apart: None, digest_at: None };
    claim_so(&store, "me", now(), 9, Ripe::default(), both).await;
    assert_eq!(broken(&store).await, [] as [&str; 0]);
    execute(&store, "UPDATE deliveries SET state = 'delivered' WHERE event_id = 'e2'").await.unwrap();
    assert_eq!(broken(&store).await, ["delivery_message"]);
}

/// What makes news tells it in its own transaction, once, and only where somebody listens.
#[tokio::test]
async fn what_is_no_alert_is_told_to_those_who_asked_for_it() {
    let (_folder, store) = fresh().await;
    with_alerts(&store).await;
    let wants = |events: &[&str]| Wants {
        events: events.iter().map(|one| (*one).to_owned()).collect(),
        ..Wants::default()
    };
    let hears = |events: &[&str]| Audience {
        workspace: main(),
        subscribers: vec![Subscriber { to: to("x"), wants: wants(events) }],
    };
    let everything =
        hears(&["alert.resolved", "run.finished", "run.failed", "report.published", "incident.opened"]);
    let start =
        RunStart { run_id: "ab".into(), command: "run".into(), started_at: now(), host: "h".into(), pid: 1 };
    store.begin_run(&start).await.unwrap();
    let told = async || {
        store.lines("SELECT event_type FROM outbox_events WHERE alert_id = '' OR event_type = 'alert.resolved' ORDER BY 1").await
    };
    store.finish_run(&start, now(), 0, &serde_json::json!({}), &hears(&["run.failed"])).await.unwrap();
    assert_eq!(told().await, [] as [String; 0], "nobody asked");
    store.finish_run(&start, now(), 3, &serde_json::json!({}), &everything).await.unwrap();
    store.finish_run(&start, now(), 3, &serde_json::json!({}), &everything).await.unwrap();
    let other_run = RunStart { run_id: "cd".into(), ..start };
    let error = serde_json::json!({ "error": "the disk is full" });
    store.finish_run(&other_run, now(), 1, &error, &everything).await.unwrap();
    assert_eq!(told().await, ["run.failed", "run.finished"]);

    let resolve = Transition { to: AlertState::Resolved, until: None, actor: "ada", note: "done" };
    for _ in 0..2 {
        store
            .change_alert_states(&main(), &["a1".into()], resolve, now(), &everything.subscribers)
            .await
            .unwrap();
    }
    assert_eq!(told().await, ["alert.resolved", "run.failed", "run.finished"]);
    let payloads = store
        .lines("SELECT payload FROM outbox_events WHERE event_type IN ('alert.resolved', 'run.failed') ORDER BY event_type")
        .await;
    let [resolved, failed] =
        [0, 1].map(|place| -> serde_json::Value { serde_json::from_str(&payloads[place]).unwrap() });
    assert_eq!((&resolved["schema"], &resolved["alert_id"]), (&"amzctl.alert-event/1".into(), &"a1".into()));
    assert_eq!(resolved["resolution"]["by"], "person");
    assert_eq!(
        (&resolved["resolution"]["actor"], &resolved["message"]),
        (&"ada".into(), &"message of a1".into())
    );
    assert_eq!(
        (&failed["schema"], &failed["exit_code"], &failed["message"]),
        (
            &"amzctl.run-event/1".into(),
            &1.into(),
            &"amzctl run failed with exit code 1: the disk is full".into()
        )
    );
    // Opened again and resolved again, it is other news.
    execute(&store, "UPDATE alerts SET state = 'open' WHERE alert_id = 'a1'").await.unwrap();
    store
        .change_alert_states(&main(), &["a1".into()], resolve, now(), &everything.subscribers)
        .await
        .unwrap();
    assert_eq!(told().await.iter().filter(|one| *one == "alert.resolved").count(), 2);
    let deliveries = "SELECT DISTINCT d.recipient || ' ' || d.state FROM deliveries d JOIN outbox_events e
        ON e.event_id = d.event_id WHERE e.event_type = 'alert.resolved'";
    assert_eq!(store.lines(deliveries).await, ["x pending"]);
    assert_eq!(broken(&store).await, [] as [&str; 0]);
    store.hash_state().await.unwrap();
}
