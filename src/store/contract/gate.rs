//! What the quality gate holds back: written with its incident, decided once, and then as if it had never been held.

use super::*;
use crate::rollup::rules::{Rule, Severity};
use crate::store::alerts::{AlertBatch, AlertFilter, AlertNews, AlertState, NewAlert, NewEvent, Recipient};
use crate::store::gate::{
    Decided, Decision, GateReason, HeldFinding, HeldNote, HeldState, NewGateIncident, Verdict,
};
use crate::store::incidents::{IncidentFilter, IncidentRecord};
use crate::store::outbox::{Subscriber, Wants};

fn now() -> Timestamp {
    at("2026-01-06T08:00:00Z")
}

fn later() -> Timestamp {
    at("2026-01-07T08:00:00Z")
}

fn day() -> Day {
    "2026-01-05".parse().unwrap()
}

fn to() -> Recipient {
    Recipient { channel: "file".into(), recipient: "alerts.ndjson".into() }
}

fn alert(id: &str, severity: Severity) -> NewAlert {
    NewAlert {
        alert_id: id.into(),
        rule: Rule::PriceDrop,
        severity,
        marketplace: "US".into(),
        asin: "B000000001".into(),
        day: day(),
        object: String::new(),
        message: format!("message of {id}"),
        evidence: "{\"price_pct\":-90.0}".into(),
        historical: false,
    }
}

fn incident(id: &str) -> NewGateIncident {
    NewGateIncident {
        incident_id: id.into(),
        reason: GateReason::WatchlistMoved,
        marketplace: "US".into(),
        day: day(),
        detail: "40 of 50 products moved".into(),
    }
}

/// A batch that holds these findings back by the incident `i1`.
fn held(alerts: Vec<NewAlert>) -> AlertBatch {
    AlertBatch {
        incidents: vec![incident("i1")],
        held: alerts
            .into_iter()
            .map(|alert| HeldFinding { incident_id: "i1".into(), alert, note: String::new() })
            .collect(),
        ..AlertBatch::default()
    }
}

async fn commit(store: &Store, batch: &AlertBatch) {
    store.commit_alerts(&main(), "run", now(), batch, &[of_alerts()], None).await.unwrap();
}

/// Hears what channels hear that do not say what they want.
fn of_alerts() -> Subscriber {
    let events = vec!["alert.opened".into(), "alert.escalated".into()];
    Subscriber { to: to(), wants: Wants { events, ..Wants::default() } }
}

fn decision(verdict: Verdict, alert_id: Option<&str>) -> Decision {
    Decision {
        incident_id: "i1".into(),
        alert_id: alert_id.map(str::to_owned),
        verdict,
        note: "seen on the page".into(),
        is_caveat: false,
    }
}

async fn decide(store: &Store, verdict: Verdict, alert_id: Option<&str>) -> Decided {
    store.decide_held(&main(), &[decision(verdict, alert_id)], "ada", later(), &[to().into()]).await.unwrap()
}

/// The findings of the incident with what became of them.
async fn findings(store: &Store) -> Vec<String> {
    let held = store.load_held_of(&main(), "i1").await.unwrap();
    held.iter()
        .map(|held| {
            format!("{} {} {} {}", held.alert.alert_id, held.alert.severity, held.state, held.decided_by)
        })
        .collect()
}

async fn the_incident(store: &Store) -> IncidentRecord {
    store.find_incidents(&main(), "i1").await.unwrap().remove(0)
}

/// Everything that tells how things stand.
async fn everything(store: &Store) -> Vec<String> {
    let mut lines = Vec::new();
    for table in ["alerts", "alert_changes", "outbox_events", "deliveries", "incidents", "held_findings"] {
        let mut rows = store.lines(format!("SELECT * FROM {table}")).await;
        rows.sort();
        lines.extend(rows);
    }
    lines
}

#[tokio::test]
async fn what_is_held_is_written_once_with_its_incident_and_is_no_alert() {
    let (_folder, store) = fresh().await;
    let batch = held(vec![alert("a1", Severity::High), alert("a2", Severity::Critical)]);
    assert!(!batch.is_empty());
    commit(&store, &batch).await;
    let before = everything(&store).await;
    // By another run, later.
    store.commit_alerts(&main(), "other", later(), &batch, &[of_alerts()], None).await.unwrap();
    assert_eq!(everything(&store).await, before);

    assert_eq!(store.list_alerts(&main(), &AlertFilter::default()).await.unwrap(), []);
    assert_eq!(store.count_undelivered(&main()).await.unwrap(), 0, "nobody is told");
    assert_eq!(findings(&store).await, ["a2 critical held ", "a1 high held "], "the gravest first");
    let days = DayRange { first: day(), last: day() };
    let found = store.load_held(&main(), days).await.unwrap();
    assert_eq!(
        (found.len(), found[0].reason, found[0].state),
        (2, GateReason::WatchlistMoved, HeldState::Held)
    );
    assert_eq!((found[0].alert.clone(), found[0].held_at), (alert("a1", Severity::High), now()));
    assert_eq!(store.load_undecided(&main()).await.unwrap(), found);
    let others = DayRange { first: day().plus(1), last: day().plus(1) };
    assert_eq!(store.load_held(&main(), others).await.unwrap(), []);

    let open = store.load_open(&main()).await.unwrap();
    assert_eq!((open.incidents, open.held_findings), (1, 2));
    let incident = the_incident(&store).await;
    assert_eq!((incident.kind.as_str(), incident.reason.as_str()), ("gate", "watchlist_moved"));
    assert!(incident.is_open && incident.is_of_the_gate());
    assert_eq!((incident.held, incident.released, incident.dropped), (2, 0, 0));
    assert_eq!(store.load_open_incidents().await.unwrap(), [], "it is no finding of its own");
}

#[tokio::test]
async fn an_incident_is_told_once_to_whoever_asked_for_incidents() {
    let (_folder, store) = fresh().await;
    let batch = AlertBatch {
        refuted: vec![decision(Verdict::Drop, None)],
        ..held(vec![alert("a1", Severity::High)])
    };
    let wants = |marketplaces: &[&str]| Wants {
        events: vec!["incident.opened".into()],
        marketplaces: marketplaces.iter().map(|&code| code.to_owned()).collect(),
        ..Wants::default()
    };
    let elsewhere = Subscriber { to: to(), wants: wants(&["DE"]) };
    let audience = [Subscriber { to: to(), wants: wants(&["US"]) }, of_alerts()];
    let write = async |subscribers: &[Subscriber], at| {
        store.commit_alerts(&main(), "run", at, &batch, subscribers, None).await.unwrap();
        store.lines("SELECT event_type || ' ' || alert_id FROM outbox_events").await
    };
    assert_eq!(write(&audience, now()).await, ["incident.opened "]);
    let before = everything(&store).await;
    assert_eq!(write(&audience, later()).await.len(), 1, "it was told");
    assert_eq!(everything(&store).await, before);
    let payload: serde_json::Value =
        serde_json::from_str(&store.lines("SELECT payload FROM outbox_events").await[0]).unwrap();
    for (key, value) in [
        ("incident_id", "i1"),
        ("kind", "gate"),
        ("reason", "watchlist_moved"),
        ("marketplace", "US"),
        ("day", "2026-01-05"),
        ("message", "findings are held back: 40 of 50 products moved"),
    ] {
        assert_eq!(payload[key], value);
    }
    assert_eq!(store.count_undelivered(&main()).await.unwrap(), 1);

    let (_folder, store) = fresh().await;
    store.commit_alerts(&main(), "run", now(), &batch, &[elsewhere, of_alerts()], None).await.unwrap();
    assert_eq!(store.lines("SELECT event_id FROM outbox_events").await, Vec::<String>::new());
    // What waits for a second source for an hour is told as an alert, or not at all.
    let incidents = vec![NewGateIncident { reason: GateReason::SecondSource, ..incident("i2") }];
    let asked = AlertBatch { incidents, ..AlertBatch::default() };
    store.commit_alerts(&main(), "run", now(), &asked, &audience, None).await.unwrap();
    assert_eq!(store.lines("SELECT event_id FROM outbox_events").await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_held_is_what_the_last_look_found_until_it_is_decided() {
    let (_folder, store) = fresh().await;
    commit(&store, &held(vec![alert("a1", Severity::High)])).await;
    commit(&store, &held(vec![alert("a1", Severity::Critical)])).await;
    assert_eq!(findings(&store).await, ["a1 critical held "]);
    decide(&store, Verdict::Drop, None).await;
    commit(&store, &held(vec![alert("a1", Severity::Low)])).await;
    assert_eq!(findings(&store).await, ["a1 critical dropped ada"]);
    assert!(!the_incident(&store).await.is_open, "nothing new is held by it");

    // Something that was not there before is doubted for the same reason: the incident is open again.
    commit(&store, &held(vec![alert("a2", Severity::Low)])).await;
    let incident = the_incident(&store).await;
    assert!(incident.is_open);
    assert_eq!((incident.closed_at, incident.closed_by.as_str(), incident.note.as_str()), (None, "", ""));
    assert_eq!((incident.held, incident.dropped), (1, 1));
}

#[tokio::test]
async fn a_released_finding_is_as_if_it_had_never_been_held() {
    let (_folder, store) = fresh().await;
    let (_other_folder, never) = fresh().await;
    let alerts = vec![
        alert("a1", Severity::High),
        alert("a2", Severity::Critical),
        NewAlert { historical: true, ..alert("a3", Severity::Low) },
    ];
    let told = alerts.iter().filter(|alert| !alert.historical);
    let events = told.map(|alert| NewEvent::of(&main(), alert, AlertNews::Opened)).collect();
    commit(&never, &AlertBatch { opened: alerts.clone(), events, ..AlertBatch::default() }).await;

    commit(&store, &held(alerts)).await;
    let decided = decide(&store, Verdict::Release, None).await;
    assert_eq!(decided, Decided { opened: 3, closed: 1, ..Decided::default() });
    for sql in [
        "SELECT alert_id, workspace, rule, severity, marketplace, asin, day, object, message, evidence, state, historical,
           superseded, run_id, snoozed_until FROM alerts ORDER BY alert_id",
        "SELECT event_id, workspace, event_type, alert_id, payload FROM outbox_events ORDER BY event_id",
        "SELECT event_id, channel, recipient, state, attempts FROM deliveries ORDER BY event_id",
    ] {
        assert_eq!(store.lines(sql).await, never.lines(sql).await);
    }
    assert_eq!(store.count_undelivered(&main()).await.unwrap(), 2);
    let changes = store.load_alert_changes(&main(), "a1").await.unwrap();
    assert_eq!((changes[0].from_state.as_str(), changes[0].to_state.as_str()), ("held", "open"));
    assert_eq!(changes[0].note, "held back by incident i1 (watchlist_moved): seen on the page");
    let incident = the_incident(&store).await;
    assert_eq!(
        (incident.is_open, incident.closed_at, incident.closed_by.as_str()),
        (false, Some(later()), "ada")
    );
    assert_eq!((incident.held, incident.released, incident.note.as_str()), (0, 3, "seen on the page"));

    // A second time, and the other way: it is decided.
    let before = everything(&store).await;
    assert!(decide(&store, Verdict::Release, None).await.is_nothing());
    assert!(decide(&store, Verdict::Drop, None).await.is_nothing());
    assert_eq!(everything(&store).await, before);
}

#[tokio::test]
async fn a_dropped_finding_never_becomes_an_alert() {
    let (_folder, store) = fresh().await;
    let batch = held(vec![alert("a1", Severity::High), alert("a2", Severity::High)]);
    commit(&store, &batch).await;
    let decided = decide(&store, Verdict::Drop, Some("a1")).await;
    assert_eq!(decided, Decided { dropped: 1, ..Decided::default() });
    assert!(the_incident(&store).await.is_open, "the other one still waits");
    let decided = decide(&store, Verdict::Drop, Some("a2")).await;
    assert_eq!(decided, Decided { dropped: 1, closed: 1, ..Decided::default() });
    commit(&store, &batch).await;
    assert!(decide(&store, Verdict::Release, None).await.is_nothing());
    assert_eq!(store.list_alerts(&main(), &AlertFilter::default()).await.unwrap(), []);
    assert_eq!(findings(&store).await, ["a1 high dropped ada", "a2 high dropped ada"]);
}

#[tokio::test]
async fn what_was_decided_is_held_again_when_it_is_graver() {
    let (_folder, store) = fresh().await;
    commit(&store, &held(vec![alert("a1", Severity::High), alert("a2", Severity::High)])).await;
    decide(&store, Verdict::Drop, None).await;
    commit(&store, &held(vec![alert("a1", Severity::Critical), alert("a2", Severity::Medium)])).await;
    assert_eq!(findings(&store).await, ["a1 critical held ", "a2 high dropped ada"]);
    let days = DayRange { first: day(), last: day() };
    let again = store.load_held(&main(), days).await.unwrap().remove(0);
    assert_eq!((again.decided_at, again.note.as_str()), (None, ""));
    let incident = the_incident(&store).await;
    assert!(incident.is_open);
    assert_eq!((incident.held, incident.dropped), (1, 1));
}

#[tokio::test]
async fn what_waits_for_a_second_source_is_told_once_one_contradicts_it() {
    let (_folder, store) = fresh().await;
    let alone = NewGateIncident { reason: GateReason::SecondSource, ..incident("i1") };
    let alerts = vec![alert("a1", Severity::High), alert("a2", Severity::High), alert("a3", Severity::High)];
    let batch = AlertBatch { incidents: vec![alone], ..held(alerts) };
    let wants = Wants { events: vec!["incident.opened".into()], ..Wants::default() };
    let audience = [Subscriber { to: to(), wants }];
    let note =
        |id: &str| HeldNote { incident_id: "i1".into(), alert_id: id.into(), note: format!("not {id}") };
    let told = async |batch: &AlertBatch| {
        store.commit_alerts(&main(), "run", now(), batch, &audience, None).await.unwrap();
        let payloads = store.lines("SELECT payload FROM outbox_events").await;
        let read = |payload: &String| serde_json::from_str::<serde_json::Value>(payload).unwrap();
        payloads.iter().map(|payload| read(payload)["message"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(told(&batch).await, [""; 0], "an answer may come in the same night");
    let noted = AlertBatch { noted: vec![note("a1"), note("a2")], ..AlertBatch::default() };
    let message = r#""findings are held back: not a1, and 1 more""#;
    assert_eq!(told(&noted).await, [message]);
    assert_eq!(told(&AlertBatch { noted: vec![note("a3")], ..AlertBatch::default() }).await, [message]);
}

#[tokio::test]
async fn notes_go_with_what_is_held_and_leave_what_is_decided() {
    let (_folder, store) = fresh().await;
    commit(&store, &held(vec![alert("a1", Severity::High), alert("a2", Severity::High)])).await;
    decide(&store, Verdict::Drop, Some("a2")).await;
    let note =
        |id: &str| HeldNote { incident_id: "i1".into(), alert_id: id.into(), note: "contradicted".into() };
    let noted = |noted| AlertBatch { noted, ..AlertBatch::default() };
    commit(&store, &noted(vec![note("a1"), note("a2")])).await;
    let foreign = noted(vec![HeldNote { note: "no".into(), ..note("a1") }]);
    store.commit_alerts(&"eu".parse().unwrap(), "run", now(), &foreign, &[], None).await.unwrap();
    let notes: Vec<String> =
        store.load_held_of(&main(), "i1").await.unwrap().into_iter().map(|held| held.note).collect();
    assert_eq!(notes, ["contradicted", "seen on the page"]);
}

#[tokio::test]
async fn a_released_finding_makes_the_alert_that_is_there_more_severe_or_leaves_it() {
    let (_folder, store) = fresh().await;
    let there = vec![alert("a1", Severity::Medium), alert("a2", Severity::Critical)];
    commit(&store, &AlertBatch { opened: there, ..AlertBatch::default() }).await;
    commit(&store, &held(vec![alert("a1", Severity::High), alert("a2", Severity::High)])).await;
    let decided = decide(&store, Verdict::Release, None).await;
    assert_eq!(decided, Decided { escalated: 1, known: 1, closed: 1, ..Decided::default() });
    let severities: Vec<Severity> = store
        .list_alerts(&main(), &AlertFilter::default())
        .await
        .unwrap()
        .iter()
        .map(|alert| alert.severity)
        .collect();
    assert_eq!(severities, [Severity::Critical, Severity::High]);
    let told = store.load_deliveries(&main(), "a1").await.unwrap();
    assert_eq!((told.len(), told[0].event_type.as_str()), (1, "alert.escalated"));
    let payload = store.lines("SELECT payload FROM outbox_events").await.remove(0);
    assert!(payload.contains("\"previous_severity\":\"medium\""), "{payload}");
}

#[tokio::test]
async fn evidence_decides_some_one_way_and_some_the_other_in_amzctls_name() {
    let (_folder, store) = fresh().await;
    commit(&store, &held(vec![alert("a1", Severity::High), alert("a2", Severity::High)])).await;
    let decided = vec![decision(Verdict::Release, Some("a1")), decision(Verdict::Drop, Some("a2"))];
    let batch = AlertBatch { decided, ..AlertBatch::default() };
    let write = async || store.commit_alerts(&main(), "run", later(), &batch, &[], None).await.unwrap();
    let decided = write().await;
    assert_eq!(decided, Decided { opened: 1, dropped: 1, closed: 1, ..Decided::default() });
    assert_eq!(findings(&store).await, ["a1 high released amzctl", "a2 high dropped amzctl"]);
    assert!(write().await.is_nothing());
    let found = store.find_alerts(&main(), "a1").await.unwrap().remove(0);
    assert_eq!((found.state, found.last_change.unwrap().actor.as_str()), (AlertState::Open, "amzctl"));
}

#[tokio::test]
async fn an_incident_that_holds_nothing_is_open_until_somebody_decides_it() {
    let (_folder, store) = fresh().await;
    let missing = NewGateIncident { reason: GateReason::MissingData, ..incident("i1") };
    commit(&store, &AlertBatch { incidents: vec![missing], ..AlertBatch::default() }).await;
    assert!(the_incident(&store).await.is_open);
    let decided = decide(&store, Verdict::Drop, None).await;
    assert_eq!(decided, Decided { closed: 1, ..Decided::default() });
    assert!(!the_incident(&store).await.is_open);
    let open = IncidentFilter { is_open: Some(true), ..IncidentFilter::default() };
    assert_eq!(store.list_incidents(&main(), &open).await.unwrap(), []);
}

#[tokio::test]
async fn of_two_who_decide_at_once_the_first_has_decided() {
    let (_folder, store) = fresh().await;
    let ids: Vec<String> = (0..20).map(|n| format!("a{n:02}")).collect();
    commit(&store, &held(ids.iter().map(|id| alert(id, Severity::High)).collect())).await;
    let one_by_one = async |verdict, ids: Vec<String>| {
        let mut done = 0;
        for id in ids {
            done += u64::from(!decide(&store, verdict, Some(&id)).await.is_nothing());
        }
        done
    };
    let backwards = ids.iter().rev().cloned().collect();
    let (released, dropped) =
        tokio::join!(one_by_one(Verdict::Release, ids.clone()), one_by_one(Verdict::Drop, backwards));
    assert_eq!(released + dropped, 20);
    let incident = the_incident(&store).await;
    let counted = |number: i64| number.unsigned_abs();
    assert_eq!((counted(incident.released), counted(incident.dropped)), (released, dropped));
    let alerts = store.list_alerts(&main(), &AlertFilter::default()).await.unwrap().len() as u64;
    assert_eq!((alerts, store.count_undelivered(&main()).await.unwrap()), (released, released));
}

#[tokio::test]
async fn incidents_of_sources_are_listed_beside_and_hold_nothing() {
    let (_folder, store) = fresh().await;
    execute(
        &store,
        "INSERT INTO incidents (incident_id, kind, source, reason, detail, day, state, run_id, recorded_at)
         VALUES ('5', 'schema_drift', 'keepa', 'rating', 'gone', '2026-01-06', 'open', 'run', 1)",
    )
    .await
    .unwrap();
    commit(&store, &held(vec![alert("a1", Severity::High)])).await;
    let all = store.list_incidents(&main(), &IncidentFilter::default()).await.unwrap();
    assert_eq!(all.iter().map(|one| one.kind.as_str()).collect::<Vec<_>>(), ["schema_drift", "gate"]);
    let elsewhere = store.list_incidents(&other(), &IncidentFilter::default()).await.unwrap();
    assert_eq!(elsewhere.len(), 1, "the source's is everybody's");
    let gates = IncidentFilter { kinds: vec!["gate".into()], ..IncidentFilter::default() };
    assert_eq!(store.list_incidents(&main(), &gates).await.unwrap().len(), 1);
    let decision = Decision {
        incident_id: "5".into(),
        alert_id: None,
        note: String::new(),
        ..decision(Verdict::Drop, None)
    };
    assert!(store.decide_held(&main(), &[decision], "ada", later(), &[]).await.unwrap().is_nothing());
    assert_eq!(store.load_open_incidents().await.unwrap().len(), 1);
}
