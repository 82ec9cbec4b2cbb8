//! What people, time and cleared conditions do with alerts: every change along its ways, with who, when and why.

use super::*;
use crate::rollup::rules::{Rule, Severity};
use crate::store::alerts::{
    AlertBatch, AlertChange, AlertFilter, AlertNews, AlertState, Escalation, NewAlert, NewEvent, Recipient,
    StateChange, Transition,
};
use crate::store::watch::WatchChange;

fn now() -> Timestamp {
    at("2026-01-06T08:00:00Z")
}

fn to() -> Recipient {
    Recipient { channel: "file".into(), recipient: "alerts.ndjson".into() }
}

fn alert(id: &str) -> NewAlert {
    NewAlert {
        alert_id: id.into(),
        rule: Rule::PriceDrop,
        severity: Severity::High,
        marketplace: "US".into(),
        asin: "B000000001".into(),
        day: "2026-01-05".parse().unwrap(),
        object: String::new(),
        message: format!("message of {id}"),
        evidence: "{\"price_pct\":-22.309999999999999}".into(),
        historical: false,
    }
}

/// Opens alerts and tells of them, as judging does.
async fn open(store: &Store, alerts: Vec<NewAlert>) {
    let told = alerts.iter().filter(|alert| !alert.historical);
    let events = told.map(|alert| NewEvent::of(&main(), alert, AlertNews::Opened)).collect();
    let batch = AlertBatch { opened: alerts, events, ..AlertBatch::default() };
    store.commit_alerts(&main(), "run", now(), &batch, &[to().into()], None).await.unwrap();
}

async fn change_as(store: &Store, id: &str, to_state: AlertState, actor: &str, at: Timestamp) -> StateChange {
    let until = (to_state == AlertState::Snoozed).then(|| at + chrono::Duration::days(3));
    let transition = Transition { to: to_state, until, actor, note: "why" };
    store.change_alert_states(&main(), &[id.to_owned()], transition, at, &[to().into()]).await.unwrap()[0]
}

async fn change(store: &Store, id: &str, to_state: AlertState) -> StateChange {
    change_as(store, id, to_state, "ada", now()).await
}

async fn state(store: &Store, id: &str) -> AlertState {
    store.find_alerts(&main(), id).await.unwrap()[0].state
}

async fn history(store: &Store, id: &str) -> Vec<String> {
    let shown = |change: &AlertChange| {
        let AlertChange { from_state, to_state, actor, note, .. } = change;
        format!("{from_state} > {to_state} by {actor}: {note}")
    };
    store.load_alert_changes(&main(), id).await.unwrap().iter().map(shown).collect()
}

async fn told(store: &Store, id: &str) -> Vec<String> {
    let deliveries = store.load_deliveries(&main(), id).await.unwrap();
    deliveries.into_iter().map(|delivery| delivery.event_type).collect()
}

#[tokio::test]
async fn every_state_leads_where_it_should_and_nowhere_else() {
    use AlertState::{Acknowledged, Dismissed, Open, Resolved, Snoozed};
    // From, and what comes of acknowledging, snoozing, resolving and dismissing it.
    for (from, outcomes) in
        [(Open, "++++"), (Acknowledged, "=+++"), (Snoozed, "++++"), (Resolved, "--=-"), (Dismissed, "---=")]
    {
        for (wanted, outcome) in
            [Acknowledged, Snoozed, Resolved, Dismissed].into_iter().zip(outcomes.chars())
        {
            let (_folder, store) = fresh().await;
            open(&store, vec![alert("a1")]).await;
            if from != Open {
                assert_eq!(change(&store, "a1", from).await, StateChange::Changed);
            }
            let before = history(&store, "a1").await;
            let later = now() + chrono::Duration::hours(1);
            let found = change_as(&store, "a1", wanted, "bob", later).await;
            let case = format!("{from:?} to {wanted:?}");
            match outcome {
                '+' => assert_eq!(found, StateChange::Changed, "{case}"),
                '=' => assert_eq!(found, StateChange::Unchanged, "{case}"),
                _ => assert_eq!(found, StateChange::Refused(from), "{case}"),
            }
            let after = history(&store, "a1").await;
            if outcome == '+' {
                let recorded = format!("{} > {} by bob: why", from.as_str(), wanted.as_str());
                assert_eq!(after[before.len()..], [recorded], "{case}");
                assert_eq!(state(&store, "a1").await, wanted);
            } else {
                assert_eq!((after, state(&store, "a1").await), (before, from), "{case}");
            }
        }
    }
}

#[tokio::test]
async fn whoever_lists_sees_why_an_alert_is_what_it_is() {
    let (_folder, store) = fresh().await;
    open(&store, vec![alert("a1"), alert("a2")]).await;
    change(&store, "a1", AlertState::Acknowledged).await;
    change_as(&store, "a1", AlertState::Snoozed, "bob", now()).await;
    let listed = store.list_alerts(&main(), &AlertFilter::default()).await.unwrap();
    let why = listed.iter().find(|alert| alert.alert_id == "a1").unwrap().last_change.clone().unwrap();
    let until = Some(at("2026-01-09T08:00:00Z"));
    assert_eq!((why.actor.as_str(), why.note.as_str(), why.changed_at), ("bob", "why", now()));
    assert_eq!((why.until, listed[0].snoozed_until), (until, until));
    assert_eq!(listed.iter().find(|alert| alert.alert_id == "a2").unwrap().last_change, None);
}

#[tokio::test]
async fn a_snoozed_alert_is_open_again_when_its_time_is_over_and_not_before() {
    let (_folder, store) = fresh().await;
    open(&store, vec![alert("a1"), alert("a2"), alert("a3")]).await;
    change(&store, "a1", AlertState::Snoozed).await;
    change(&store, "a2", AlertState::Snoozed).await;
    // Asked for again with another end: longer than before.
    let later = now() + chrono::Duration::hours(1);
    assert_eq!(change_as(&store, "a2", AlertState::Snoozed, "bob", later).await, StateChange::Changed);
    let until = at("2026-01-09T08:00:00Z");
    let just_before = until - chrono::Duration::microseconds(1);
    assert_eq!(store.wake_snoozed(&main(), just_before).await.unwrap(), 0);
    assert_eq!(state(&store, "a1").await, AlertState::Snoozed);

    assert_eq!(store.count_overslept(&main(), until).await.unwrap(), 1);
    assert_eq!(store.wake_snoozed(&main(), until).await.unwrap(), 1);
    assert_eq!(store.wake_snoozed(&main(), until).await.unwrap(), 0, "once");
    let woken = store.find_alerts(&main(), "a1").await.unwrap().remove(0);
    assert_eq!((woken.state, woken.snoozed_until), (AlertState::Open, None));
    assert_eq!(
        history(&store, "a1").await[1],
        "snoozed > open by amzctl: the time it was snoozed for is over"
    );
    assert_eq!(
        (state(&store, "a2").await, state(&store, "a3").await),
        (AlertState::Snoozed, AlertState::Open)
    );

    // Somebody who was faster is not overruled.
    change(&store, "a2", AlertState::Dismissed).await;
    assert_eq!(store.wake_snoozed(&main(), until + chrono::Duration::days(9)).await.unwrap(), 0);
    assert_eq!(state(&store, "a2").await, AlertState::Dismissed);
}

#[tokio::test]
async fn worse_news_of_a_snoozed_alert_are_heard() {
    let (_folder, store) = fresh().await;
    open(&store, vec![alert("a1")]).await;
    change(&store, "a1", AlertState::Snoozed).await;
    let worse = NewAlert { severity: Severity::Critical, ..alert("a1") };
    let batch = AlertBatch {
        escalated: vec![Escalation {
            alert_id: "a1".into(),
            is_told: true,
            severity: Severity::Critical,
            message: "worse".into(),
            evidence: "{}".into(),
        }],
        events: vec![NewEvent::of(&main(), &worse, AlertNews::Escalated { before: Severity::High })],
        ..AlertBatch::default()
    };
    store.commit_alerts(&main(), "run", now(), &batch, &[to().into()], None).await.unwrap();
    let found = store.find_alerts(&main(), "a1").await.unwrap().remove(0);
    assert_eq!((found.state, found.snoozed_until), (AlertState::Open, None));
    assert_eq!(history(&store, "a1").await[1], "snoozed > open by amzctl: escalated to critical");
    let mut told = told(&store, "a1").await;
    told.sort();
    assert_eq!(told, ["alert.escalated", "alert.opened"]);
}

#[tokio::test]
async fn a_resolved_alert_is_told_once_for_every_time_it_is_resolved() {
    let (_folder, store) = fresh().await;
    open(&store, vec![alert("a1"), NewAlert { historical: true, ..alert("a2") }]).await;
    change(&store, "a1", AlertState::Resolved).await;
    change(&store, "a1", AlertState::Resolved).await;
    change(&store, "a2", AlertState::Resolved).await;
    assert_eq!(told(&store, "a1").await.len(), 2);
    assert_eq!(told(&store, "a2").await, [] as [String; 0], "nobody was told of it in the first place");
    let payload = store.lines("SELECT payload FROM outbox_events WHERE event_type = 'alert.resolved'").await;
    let payload: serde_json::Value = serde_json::from_str(&payload[0]).unwrap();
    assert_eq!(payload["schema"], "amzctl.alert-event/1");
    assert_eq!((&payload["event_type"], &payload["alert_id"]), (&"alert.resolved".into(), &"a1".into()));
    let how =
        serde_json::json!({ "by": "person", "actor": "ada", "note": "why", "at": "2026-01-06T08:00:00Z" });
    assert_eq!(payload["resolution"], how);

    // Worse afterwards, and resolved once more: that is news of its own.
    let escalation = Escalation {
        alert_id: "a1".into(),
        is_told: true,
        severity: Severity::Critical,
        message: "worse".into(),
        evidence: "{}".into(),
    };
    let batch = AlertBatch { escalated: vec![escalation], ..AlertBatch::default() };
    store.commit_alerts(&main(), "run", now(), &batch, &[to().into()], None).await.unwrap();
    change(&store, "a1", AlertState::Resolved).await;
    let resolved = told(&store, "a1").await.into_iter().filter(|event| event == "alert.resolved").count();
    assert_eq!(resolved, 2);
}

#[tokio::test]
async fn a_condition_that_cleared_resolves_what_nobody_has_ended() {
    let (_folder, store) = fresh().await;
    let ids = ["a1", "a2", "a3", "a4", "a5"];
    open(&store, ids.map(alert).to_vec()).await;
    change(&store, "a2", AlertState::Acknowledged).await;
    change(&store, "a3", AlertState::Snoozed).await;
    change(&store, "a4", AlertState::Dismissed).await;
    change(&store, "a5", AlertState::Resolved).await;
    let cleared: Vec<(String, String)> =
        ids.iter().map(|id| ((*id).to_owned(), "the price is back".to_owned())).collect();
    let absent = [("absent".to_owned(), String::new())];
    let batch = AlertBatch { cleared: [&cleared[..], &absent].concat(), ..AlertBatch::default() };
    assert!(!batch.is_empty());
    for _ in 0..2 {
        store.commit_alerts(&main(), "run", now(), &batch, &[to().into()], None).await.unwrap();
    }
    for id in ["a1", "a2", "a3"] {
        assert_eq!(state(&store, id).await, AlertState::Resolved, "{id}");
        let last = history(&store, id).await.pop().unwrap();
        assert!(last.ends_with("> resolved by amzctl: the price is back"), "{id}: {last}");
        let resolved = told(&store, id).await.into_iter().filter(|event| event == "alert.resolved").count();
        assert_eq!(resolved, 1, "{id}");
    }
    let payloads = store.lines("SELECT payload FROM outbox_events WHERE event_type = 'alert.resolved'").await;
    assert_eq!(payloads.iter().filter(|payload| payload.contains("\"by\":\"cleared\"")).count(), 3);
    assert_eq!(store.find_alerts(&main(), "a3").await.unwrap()[0].snoozed_until, None);
    assert_eq!(state(&store, "a4").await, AlertState::Dismissed);
    assert_eq!((history(&store, "a4").await.len(), history(&store, "a5").await.len()), (1, 1));
}

#[tokio::test]
async fn of_two_who_change_the_same_alerts_each_finds_what_the_other_has_done() {
    let (_folder, store) = fresh().await;
    let ids: Vec<String> = (0..20).map(|n| format!("a{n:02}")).collect();
    open(&store, ids.iter().map(|id| alert(id)).collect()).await;
    let one_by_one = async |actor: &'static str, to_state, ids: Vec<String>| {
        let mut found = Vec::new();
        for id in ids {
            found.push((id.clone(), change_as(&store, &id, to_state, actor, now()).await));
        }
        found
    };
    let backwards = ids.iter().rev().cloned().collect();
    let (resolved, dismissed) = tokio::join!(
        one_by_one("ada", AlertState::Resolved, ids.clone()),
        one_by_one("bob", AlertState::Dismissed, backwards)
    );
    for id in &ids {
        let of = |found: &[(String, StateChange)]| found.iter().find(|(other, _)| other == id).unwrap().1;
        let (ada, bob) = (of(&resolved), of(&dismissed));
        let (winner, loser, end) = match ada {
            StateChange::Changed => (ada, bob, AlertState::Resolved),
            _ => (bob, ada, AlertState::Dismissed),
        };
        assert_eq!((winner, loser), (StateChange::Changed, StateChange::Refused(end)), "{id}");
        assert_eq!(state(&store, id).await, end);
        assert_eq!(history(&store, id).await.len(), 1, "{id}: one change, one entry");
        let ends = told(&store, id).await.into_iter().filter(|event| event == "alert.resolved").count();
        assert_eq!(ends, usize::from(end == AlertState::Resolved), "{id}");
    }
}

#[tokio::test]
async fn events_name_the_product_by_its_title_as_it_was_when_they_were_made() {
    let (_folder, store) = fresh().await;
    execute(
        &store,
        r#"INSERT INTO products (marketplace, asin, title, status, first_day, last_day) VALUES
             ('US', 'B000000001', 'Cup "large" {}', 'active', '2026-01-05', '2026-01-05'),
             ('US', 'B000000002', NULL, 'active', '2026-01-05', '2026-01-05'),
             ('UK', 'B000000003', 'Elsewhere', 'active', '2026-01-05', '2026-01-05')"#,
    )
    .await
    .unwrap();
    let of = |id: &str, asin: &str| NewAlert { asin: asin.into(), ..alert(id) };
    open(&store, vec![of("a1", "B000000001"), of("a2", "B000000002"), of("a3", "B000000003")]).await;
    execute(&store, "UPDATE products SET title = 'Mug'").await.unwrap();
    change(&store, "a1", AlertState::Resolved).await;
    let events = store.lines("SELECT payload FROM outbox_events ORDER BY alert_id, event_type").await;
    let titles = events.iter().map(|payload| {
        let payload: serde_json::Value = serde_json::from_str(payload).unwrap();
        format!("{} {}", payload["event_type"].as_str().unwrap(), payload["title"])
    });
    assert_eq!(
        titles.collect::<Vec<_>>(),
        [
            r#"alert.opened "Cup \"large\" {}""#,
            r#"alert.resolved "Mug""#,
            "alert.opened null",
            "alert.opened null",
        ]
    );
}

#[tokio::test]
async fn alerts_are_found_by_brand_and_tag() {
    let (_folder, store) = fresh().await;
    execute(
        &store,
        "INSERT INTO products (marketplace, asin, title, brand, status, first_day, last_day) VALUES
           ('US', 'B000000001', 'x', 'ÅNKER', 'active', '2026-01-05', '2026-01-05'),
           ('US', 'B000000002', 'y', 'Anker', 'active', '2026-01-05', '2026-01-05')",
    )
    .await
    .unwrap();
    let second = "US:B000000002".parse::<ProductRef>().unwrap().key_or(Marketplace::Us);
    let watch = WatchChange { tags: vec!["launch".into()], ..WatchChange::of(second) };
    store.save_watch(&main(), &[watch, WatchChange::of(key())], now(), false).await.unwrap();
    open(&store, vec![alert("a1"), NewAlert { asin: "B000000002".into(), ..alert("a2") }]).await;
    let found = async |filter: AlertFilter| {
        let alerts = store.list_alerts(&main(), &filter).await.unwrap();
        alerts.into_iter().map(|alert| alert.alert_id).collect::<Vec<_>>().join(" ")
    };
    let brand = |brand: &str| AlertFilter { brand: Some(brand.into()), ..AlertFilter::default() };
    let tag = |tag: &str| AlertFilter { tag: Some(tag.into()), ..AlertFilter::default() };
    assert_eq!(found(brand("ånker")).await, "a1");
    assert_eq!(found(brand("ANKER")).await, "a2");
    assert_eq!(found(brand("anke")).await, "");
    assert_eq!(found(tag("launch")).await, "a2");
    assert_eq!(found(tag("laun")).await, "");
    assert_eq!(found(AlertFilter { tag: Some("launch".into()), ..brand("ånker") }).await, "");
}

#[tokio::test]
async fn the_course_of_an_alert_is_its_first_sight_and_its_last_end() {
    let (_folder, store) = fresh().await;
    open(&store, vec![alert("a1"), NewAlert { historical: true, ..alert("a2") }]).await;
    let after = |minutes| now() + chrono::Duration::minutes(minutes);
    change_as(&store, "a1", AlertState::Acknowledged, "ada", after(5)).await;
    change_as(&store, "a1", AlertState::Snoozed, "ada", after(6)).await;
    change_as(&store, "a1", AlertState::Acknowledged, "ada", after(7)).await;
    change_as(&store, "a1", AlertState::Resolved, "ada", after(60)).await;
    let courses = store.load_alert_courses(&main(), now()).await.unwrap();
    assert_eq!(courses.len(), 1, "nobody was told of the historical one");
    assert_eq!(courses[0].acknowledged_at, Some(after(5)));
    assert_eq!((courses[0].opened_at, courses[0].resolved_at), (now(), Some(after(60))));
    assert_eq!(store.load_alert_courses(&main(), after(1)).await.unwrap(), [], "opened before");
}
