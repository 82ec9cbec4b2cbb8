//! What is owned is seen and changed in its own workspace only; what is fetched is shared.

use std::path::PathBuf;
use std::sync::LazyLock;

use super::*;
use crate::model::{Cohort, Competitor, KeyKind, KeyTier, Tier};
use crate::rollup::rules::{Rule, Severity};
use crate::store::alerts::{
    AlertBatch, AlertFilter, AlertState, Escalation, NewAlert, NewEvent, Recipient, StateChange, Transition,
};
use crate::store::export::{ExportFilter, ExportView};
use crate::store::gate::{Decision, GateReason, HeldFinding, NewGateIncident, Verdict};
use crate::store::incidents::IncidentFilter;
use crate::store::judging::JudgedProducts;
use crate::store::keys::ApiKey;
use crate::store::outbox::{
    About, AfterFailure, Audience, Claim, Fate, Grouping, LetterFate, LetterFilter, LetterKey, Ripe, Settled,
};
use crate::store::reports::ReportRow;
use crate::store::requests::{KeptAnswer, Once, WriteRequest};
use crate::store::sessions::Session;
use crate::store::watch::WatchChange;

const OWNED: &[&str] = &[
    "watch_items",
    "cohorts",
    "cohort_members",
    "comparisons",
    "reports",
    "alerts",
    "alert_changes",
    "outbox_events",
    "deliveries",
    "delivery_changes",
    "incidents",
    "held_findings",
    "api_keys",
    "api_answers",
    "api_audit",
    "event_counters",
    "sessions",
];

fn rival() -> ProductKey {
    "US:B000000002".parse::<ProductRef>().unwrap().key_or(Marketplace::Us)
}

fn now() -> Timestamp {
    at("2026-01-06T00:00:00Z")
}

fn day() -> Day {
    "2026-01-05".parse().unwrap()
}

fn to() -> Recipient {
    Recipient { channel: "file".into(), recipient: "alerts.ndjson".into() }
}

/// Of what is told of resolved alerts, apart from what the tests deliver.
fn to_me() -> Recipient {
    Recipient { channel: "file".into(), recipient: "resolved.ndjson".into() }
}

fn cohort(label: &str) -> Cohort {
    Cohort {
        name: "earbuds".into(),
        main: key(),
        label: label.into(),
        competitors: vec![Competitor { key: rival(), priority: 0, label: String::new() }],
        created_at: now(),
    }
}

fn record() -> [(String, Day, String); 1] {
    [("earbuds".to_owned(), day(), "{\"competitors\":[{\"value\":{}}]}".to_owned())]
}

/// One told alert of a workspace, by the first letter of whose name its ids begin.
fn alerted(workspace: &Workspace) -> AlertBatch {
    let id = alert_id(workspace);
    let alert = NewAlert {
        alert_id: id.clone(),
        rule: Rule::PriceDrop,
        severity: Severity::High,
        marketplace: "US".into(),
        asin: "B000000001".into(),
        day: day(),
        object: String::new(),
        message: "fell".into(),
        evidence: "{}".into(),
        historical: false,
    };
    let event = NewEvent {
        event_id: event_id(workspace),
        event_type: "alert.opened",
        alert_id: id,
        about: About::default(),
        payload: format!("[\"{workspace}\"]"),
    };
    let incident = NewGateIncident {
        incident_id: incident_id(workspace),
        reason: GateReason::CanaryMoved,
        marketplace: "US".into(),
        day: day(),
        detail: "two of three canaries moved".into(),
    };
    let doubted = NewAlert { alert_id: format!("{}d", alert.alert_id), ..alert.clone() };
    AlertBatch {
        opened: vec![alert],
        events: vec![event],
        held: vec![HeldFinding {
            incident_id: incident.incident_id.clone(),
            alert: doubted,
            note: String::new(),
        }],
        incidents: vec![incident],
        ..AlertBatch::default()
    }
}

fn incident_id(workspace: &Workspace) -> String {
    if workspace.is_main() { "cccc".into() } else { "dddd".into() }
}

fn alert_id(workspace: &Workspace) -> String {
    if workspace.is_main() { "aaaa".into() } else { "bbbb".into() }
}

fn event_id(workspace: &Workspace) -> String {
    format!("event of {}", alert_id(workspace))
}

/// Gives a workspace one of everything; both give theirs the same names.
async fn fill(store: &Store, workspace: &Workspace) {
    let watch = [key(), rival()].map(WatchChange::of);
    assert_eq!(store.save_watch(workspace, &watch, now(), false).await.unwrap().added, 2);
    assert_eq!(store.save_cohorts(workspace, &[cohort("")], false).await.unwrap().added, 1);
    assert_eq!(store.publish_comparisons(workspace, &record()).await.unwrap(), 1);
    store.commit_alerts(workspace, "run", now(), &alerted(workspace), &[to().into()], Some(7)).await.unwrap();
    let acknowledged = change(store, workspace, &alert_id(workspace), AlertState::Acknowledged).await;
    assert_eq!(acknowledged, StateChange::Changed);
    let report = ReportRow {
        report_id: format!("report of {workspace}"),
        workspace: workspace.clone(),
        subject: "watchlist".into(),
        as_of: day(),
        format: "html".into(),
        evidence_hash: "hash".into(),
        path: String::new(),
        size_bytes: 1,
        run_id: "run".into(),
        created_at: now(),
    };
    assert!(store.record_report(&report, &Audience::default()).await.unwrap());
    store.save_key(&api_key(workspace)).await.unwrap();
    store.open_session(&session(workspace)).await.unwrap();
    let snoozed = ask(store, workspace, &alert_id(workspace), AlertState::Snoozed).await;
    assert!(matches!(snoozed, Once::Done(_)), "{snoozed:?}");
    // A letter that was given up, and had back.
    let claimed = store.claim_messages(&claim(workspace, "me", now())).await.unwrap();
    let dead = Fate::Failed { after: AfterFailure::Dead, error: "refused".into(), maybe_sent: false };
    settle(store, workspace, &claimed[0].message_id, dead).await;
    assert_eq!(change_letter(store, workspace, &claimed[0].message_id, LetterFate::Retry).await, 1);
}

fn claim<'a>(workspace: &'a Workspace, claimant: &'a str, now: Timestamp) -> Claim<'a> {
    static TO: LazyLock<Recipient> = LazyLock::new(to);
    let grouping = Grouping { most: 1, apart: None, digest_at: None };
    Claim { workspace, to: &TO, claimant, now, ripe: Ripe::default(), grouping, limit: 9 }
}

async fn settle(store: &Store, workspace: &Workspace, message_id: &str, fate: Fate) {
    let settled = [Settled { message_id: message_id.to_owned(), fate }];
    store.settle_messages(workspace, &to(), "me", &settled, now()).await.unwrap();
}

async fn change_letter(store: &Store, workspace: &Workspace, message_id: &str, fate: LetterFate) -> u64 {
    let letters = [LetterKey { message_id: message_id.to_owned(), to: to() }];
    store.change_letters(workspace, &letters, fate, "me", "", now()).await.unwrap()
}

fn any_letter() -> LetterFilter {
    LetterFilter {
        states: vec!["pending", "claimed", "delivered", "dead", "dropped"],
        ..LetterFilter::default()
    }
}

fn api_key(workspace: &Workspace) -> ApiKey {
    ApiKey {
        key_id: alert_id(workspace),
        workspace: workspace.clone(),
        kind: KeyKind::Secret,
        name: "laptop".into(),
        key_sha256: format!("{}…", alert_id(workspace)),
        permissions: KeyKind::Secret.permissions(),
        tier: KeyTier::Basic,
        created_at: now(),
        created_by: "me".into(),
        expires_at: None,
        revoked_at: None,
        revoked_by: String::new(),
        replaces: String::new(),
    }
}

fn session(workspace: &Workspace) -> Session {
    Session {
        session_sha256: format!("session of {workspace}"),
        workspace: workspace.clone(),
        key_id: alert_id(workspace),
        created_at: now(),
        seen_at: now(),
        expires_at: now() + chrono::Duration::hours(12),
    }
}

/// A write by way of the API, by the same key and idempotency key in every workspace.
async fn ask(store: &Store, workspace: &Workspace, id: &str, to: AlertState) -> Once {
    let request = WriteRequest {
        workspace,
        key_id: "key",
        actor: "key laptop",
        request_id: "request",
        idempotency_key: Some("once"),
        request_sha256: "asked",
        action: "alert.change",
        object: id,
        now: now(),
    };
    let until = (to == AlertState::Snoozed).then(|| now() + chrono::Duration::days(1));
    let transition = Transition { to, until, actor: "key laptop", note: "" };
    let answer = |change| KeptAnswer {
        status: if change == StateChange::NotFound { 404 } else { 200 },
        body: "{}".into(),
    };
    store.change_alert_once(&request, transition, &[to_me().into()], answer).await.unwrap()
}

async fn change(store: &Store, workspace: &Workspace, id: &str, to: AlertState) -> StateChange {
    let transition = Transition { to, until: None, actor: "me", note: "" };
    store
        .change_alert_states(workspace, &[id.to_owned()], transition, now(), &[to_me().into()])
        .await
        .unwrap()[0]
}

/// Every row that a workspace owns.
async fn owned(store: &Store, workspace: &Workspace) -> Vec<String> {
    let mut rows = Vec::new();
    for table in OWNED {
        let whose = match *table {
            "alert_changes" => "alert_id IN (SELECT alert_id FROM alerts WHERE workspace = '$w')",
            "deliveries" | "delivery_changes" => {
                "event_id IN (SELECT event_id FROM outbox_events WHERE workspace = '$w')"
            }
            _ => "workspace = '$w'",
        };
        let whose = whose.replace("$w", workspace.as_str());
        let mut found = store.lines(format!("SELECT * FROM {table} WHERE {whose}")).await;
        assert!(!found.is_empty(), "{workspace} owns nothing of {table}");
        found.sort();
        rows.extend(found.into_iter().map(|row| format!("{table} {row}")));
    }
    rows
}

async fn next_due(store: &Store, workspace: &Workspace) -> Option<Timestamp> {
    store.next_due(workspace, &to(), now() - chrono::Duration::days(1)).await.unwrap()
}

async fn exported(store: &Store, workspace: &Workspace, view: ExportView) -> u64 {
    store.export_rows(workspace, view, ExportFilter::default(), &mut |_| true).await.unwrap()
}

/// How many of each kind of thing a workspace sees: by lists, by name or id, and in exports.
async fn seen(store: &Store, workspace: &Workspace) -> Vec<(&'static str, u64)> {
    let id = alert_id(&main());
    let days = DayRange { first: day(), last: day() };
    let (counts, open) =
        (store.load_counts(workspace).await.unwrap(), store.load_open(workspace).await.unwrap());
    let letter = LetterKey { message_id: event_id(&main()), to: to() };
    let letter = store.load_letter(workspace, &letter).await.unwrap();
    let count = |number: i64| number.unsigned_abs();
    let len = |number: usize| number as u64;
    vec![
        ("watch list", len(store.load_watchlist(workspace).await.unwrap().len())),
        ("watch stale", len(store.load_watched_sightings(workspace).await.unwrap().len())),
        ("watch freshness", len(store.load_freshness(workspace).await.unwrap().len())),
        ("watch count", count(counts.watched)),
        ("watch marketplaces", len(store.find_products(workspace, key().asin).await.unwrap().len())),
        ("cohort list", len(store.load_cohorts(workspace).await.unwrap().len())),
        ("cohort show", len(store.load_cohort(workspace, "earbuds").await.unwrap().iter().count())),
        ("cohort pairs", len(store.load_cohort_pairs(workspace).await.unwrap().len())),
        ("cohort count", count(counts.cohorts)),
        ("comparison export", exported(store, workspace, ExportView::Comparisons).await),
        ("alert list", len(store.list_alerts(workspace, &AlertFilter::default()).await.unwrap().len())),
        ("alert show", len(store.find_alerts(workspace, &id).await.unwrap().len())),
        (
            "alert by id",
            len(store.load_alerts_by_id(workspace, std::slice::from_ref(&id)).await.unwrap().len()),
        ),
        ("alert of day", len(store.load_alerts_of_days(workspace, days).await.unwrap().len())),
        ("alert course", len(store.load_alert_courses(workspace, now()).await.unwrap().len())),
        (
            "incident list",
            len(store.list_incidents(workspace, &IncidentFilter::default()).await.unwrap().len()),
        ),
        ("incident show", len(store.find_incidents(workspace, "cccc").await.unwrap().len())),
        ("incident open", count(open.incidents)),
        ("held of days", len(store.load_held(workspace, days).await.unwrap().len())),
        ("held undecided", len(store.load_undecided(workspace).await.unwrap().len())),
        ("held of incident", len(store.load_held_of(workspace, "cccc").await.unwrap().len())),
        ("held by id", len(store.find_held(workspace, "aaaa").await.unwrap().len())),
        ("held count", count(open.held_findings)),
        ("alert history", len(store.load_alert_changes(workspace, &id).await.unwrap().len())),
        ("alert export", exported(store, workspace, ExportView::Alerts).await),
        ("delivery list", len(store.load_deliveries(workspace, &id).await.unwrap().len())),
        ("delivery count", store.count_undelivered(workspace).await.unwrap()),
        ("delivery pending", count(open.deliveries_pending)),
        ("delivery due", store.has_due(&claim(workspace, "seer", now())).await.unwrap().into()),
        ("delivery time", len(next_due(store, workspace).await.iter().count())),
        ("letter list", len(store.load_letters(workspace, &any_letter(), 9).await.unwrap().len())),
        ("letter count", store.count_letters(workspace, &any_letter()).await.unwrap()),
        ("key list", len(store.load_keys(workspace).await.unwrap().len())),
        ("audit log", len(store.load_audit(workspace, None, 9).await.unwrap().len())),
        ("report list", len(store.load_reports(workspace, None, None, 9).await.unwrap().len())),
        ("report show", len(store.load_report(workspace, "report of main").await.unwrap().iter().count())),
        ("live events", len(store.load_events_after(workspace, 0, 9).await.unwrap().len())),
        (
            "live event",
            len(store.find_event_seq(workspace, &event_id(&main())).await.unwrap().iter().count()),
        ),
        ("live end", count(store.last_event_seq(workspace).await.unwrap())),
        ("letter events", len(letter.0.len())),
        ("letter history", len(letter.1.len())),
    ]
}

#[tokio::test]
async fn a_workspace_sees_nothing_of_another() {
    let (_folder, store) = fresh().await;
    fill(&store, &main()).await;
    for (what, count) in seen(&store, &main()).await {
        assert!(count > 0, "{what}: its own is seen");
    }
    for (what, count) in seen(&store, &other()).await {
        assert_eq!(count, 0, "{what}: another's is not");
    }
    assert!(store.is_in_use(&main()).await.unwrap() && !store.is_in_use(&other()).await.unwrap());
}

/// Everything that changes or deletes something, tried in `workspace` on what main owns.
async fn attack(store: &Store, workspace: &Workspace) {
    let keys = [key(), rival()];
    let tags = ["mine".to_owned()];
    assert_eq!(store.tag_watched(workspace, &keys, &tags, &[], false).await.unwrap(), 0);
    assert_eq!(store.pause_watched(workspace, &keys, true, false).await.unwrap(), 0);
    assert_eq!(store.remove_watched(workspace, &keys, false).await.unwrap(), 0);
    assert_eq!(store.remove_cohorts(workspace, &["earbuds".to_owned()], false).await.unwrap(), 0);
    assert_eq!(store.publish_comparisons(workspace, &[]).await.unwrap(), 0);

    let (id, event) = (alert_id(&main()), event_id(&main()));
    assert_eq!(change(store, workspace, &id, AlertState::Resolved).await, StateChange::NotFound);
    let escalation = |is_told| Escalation {
        alert_id: id.clone(),
        is_told,
        severity: Severity::Critical,
        message: "worse".into(),
        evidence: "{}".into(),
    };
    let batch = AlertBatch {
        escalated: vec![escalation(true), escalation(false)],
        superseded: vec![(id.clone(), "no longer found".into())],
        cleared: vec![(id.clone(), "the price is back".into())],
        ..AlertBatch::default()
    };
    store.commit_alerts(workspace, "run", now(), &batch, &[to().into()], Some(9)).await.unwrap();
    let later = now() + chrono::Duration::days(9);
    assert_eq!(store.count_overslept(workspace, later).await.unwrap(), 0);
    assert_eq!(store.wake_snoozed(workspace, later).await.unwrap(), 0);
    for verdict in [Verdict::Release, Verdict::Drop] {
        let decision = Decision {
            incident_id: incident_id(&main()),
            alert_id: None,
            verdict,
            note: "theirs".into(),
            is_caveat: false,
        };
        let decided = store.decide_held(workspace, &[decision], "me", now(), &[to().into()]).await.unwrap();
        assert!(decided.is_nothing());
    }

    let unknown = ask(store, workspace, &id, AlertState::Resolved).await;
    assert!(matches!(&unknown, Once::Done(told) if told.status == 404), "{unknown:?}");
    let key = alert_id(&main());
    assert_eq!(store.revoke_keys(workspace, std::slice::from_ref(&key), "me", now()).await.unwrap(), 0);
    let replaced = ApiKey { key_id: "new".into(), replaces: key, ..api_key(workspace) };
    assert!(!store.rotate_key(&replaced, now()).await.unwrap());

    let theirs = session(&main()).session_sha256;
    store.touch_session(workspace, &theirs, now() + chrono::Duration::hours(1)).await.unwrap();
    store.close_session(workspace, &theirs).await.unwrap();

    let late = now() + chrono::Duration::days(1);
    assert_eq!(store.claim_messages(&claim(workspace, "you", late)).await.unwrap(), []);
    // Under the claim of main's own deliverer.
    store.give_messages_back(workspace, &to(), "me", std::slice::from_ref(&event)).await.unwrap();
    let dead = Fate::Failed { after: AfterFailure::Dead, error: "refused".into(), maybe_sent: true };
    for fate in [Fate::Delivered, dead] {
        settle(store, workspace, &event, fate).await;
    }
    for fate in [LetterFate::Retry, LetterFate::Drop] {
        assert_eq!(change_letter(store, workspace, &event, fate).await, 0);
    }
}

#[tokio::test]
async fn a_workspace_changes_nothing_of_another_by_whatever_way() {
    let (_folder, store) = fresh().await;
    fill(&store, &main()).await;
    assert_eq!(store.claim_messages(&claim(&main(), "me", now())).await.unwrap().len(), 1);
    assert_eq!(
        change(&store, &main(), &alert_id(&main()), AlertState::Dismissed).await,
        StateChange::Changed
    );
    let before = owned(&store, &main()).await;
    attack(&store, &other()).await;
    assert_eq!(owned(&store, &main()).await, before);
}

#[tokio::test]
async fn the_same_names_in_two_workspaces_are_two_things() {
    let (_folder, store) = fresh().await;
    fill(&store, &main()).await;
    let before = owned(&store, &main()).await;
    fill(&store, &other()).await;
    assert_eq!(owned(&store, &main()).await, before, "made beside it");

    let paused = store.pause_watched(&other(), &[key()], true, false).await.unwrap();
    let relabelled = store.save_cohorts(&other(), &[cohort("theirs")], false).await.unwrap();
    assert_eq!((paused, relabelled.changed), (1, 1));
    let theirs = other();
    let claimed = store.claim_messages(&claim(&theirs, "me", now())).await.unwrap();
    assert_eq!(claimed.len(), 1, "only its own is delivered");
    assert_eq!(claimed[0].events[0].payload, "[\"other\"]");
    settle(&store, &theirs, &claimed[0].message_id, Fate::Delivered).await;
    assert_eq!(owned(&store, &main()).await, before, "changed beside it");

    assert_eq!(store.remove_watched(&other(), &[key()], false).await.unwrap(), 1);
    assert_eq!(store.remove_cohorts(&other(), &["earbuds".to_owned()], false).await.unwrap(), 1);
    assert_eq!(owned(&store, &main()).await, before, "removed beside it");
    assert_eq!(exported(&store, &other(), ExportView::Comparisons).await, 0);
}

#[tokio::test]
async fn a_day_that_was_judged_in_one_workspace_is_not_judged_in_another() {
    let (_folder, store) = fresh().await;
    let built = "INSERT INTO mart_days (marketplace, day, built_seq) VALUES ('US', '2026-01-05', 8)";
    execute(&store, built).await.unwrap();
    let unjudged = async |workspace| store.load_unjudged_days(&workspace).await.unwrap().days.len();
    assert_eq!((unjudged(main()).await, unjudged(other()).await), (1, 1));
    let nothing = AlertBatch::default();
    store.commit_alerts(&main(), "run", now(), &nothing, &[], Some(8)).await.unwrap();
    assert_eq!((unjudged(main()).await, unjudged(other()).await), (0, 1));
    store.commit_alerts(&other(), "run", now(), &nothing, &[], Some(8)).await.unwrap();
    assert_eq!((unjudged(main()).await, unjudged(other()).await), (0, 0));
}

#[tokio::test]
async fn a_workspace_judges_its_products_and_main_those_of_nobody_too() {
    let (_folder, store) = fresh().await;
    let product = |asin: &str| format!("US:{asin}").parse::<ProductRef>().unwrap().key_or(Marketplace::Us);
    let [mine, both, theirs, compared, nobodys] =
        ["B00000000A", "B00000000B", "B00000000C", "B00000000D", "B00000000E"].map(product);
    let judged = async |workspace| {
        let products = store.load_unjudged_days(&workspace).await.unwrap().products;
        [mine, both, theirs, compared, nobodys].map(|key| products.contains(key))
    };
    assert_eq!(judged(main()).await, [true; 5], "with nothing watched anywhere");
    assert_eq!(*store.load_unjudged_days(&main()).await.unwrap().products, JudgedProducts::default());

    store.save_watch(&main(), &[mine, both].map(WatchChange::of), now(), false).await.unwrap();
    assert_eq!(judged(main()).await, [true; 5], "with main alone");
    store.save_watch(&other(), &[both, theirs].map(WatchChange::of), now(), false).await.unwrap();
    let competitors = vec![Competitor { key: compared, priority: 0, label: String::new() }];
    let cohort = Cohort { main: theirs, competitors, ..cohort("") };
    store.save_cohorts(&other(), &[cohort], false).await.unwrap();
    assert_eq!(judged(other()).await, [false, true, true, true, false]);
    assert_eq!(judged(main()).await, [true, true, false, false, true]);
}

#[tokio::test]
async fn what_two_workspaces_watch_is_fetched_once_as_the_most_critical_of_them_wants_it() {
    let (_folder, store) = fresh().await;
    let watch = async |workspace: &str, key: ProductKey, tier, chain: &str, paused| {
        let workspace: Workspace = workspace.parse().unwrap();
        let change = WatchChange {
            tier: Some(tier),
            source_chain: Some(vec![chain.to_owned()]),
            ..WatchChange::of(key)
        };
        store.save_watch(&workspace, &[change], now(), false).await.unwrap();
        store.pause_watched(&workspace, &[key], paused, false).await.unwrap();
    };
    let list = async || -> Vec<String> {
        let shown = |item: &crate::model::WatchItem| {
            format!("{} {} {} {}", item.key, item.tier, item.source_chain.join(","), item.paused)
        };
        store.load_fetch_list().await.unwrap().iter().map(shown).collect()
    };
    watch("main", key(), Tier::Routine, "keepa", false).await;
    watch("eu", rival(), Tier::Weekly, "apify", false).await;
    assert_eq!(list().await, ["US:B000000001 routine keepa false", "US:B000000002 weekly apify false"]);

    watch("eu", key(), Tier::Routine, "apify", false).await;
    assert_eq!(list().await[0], "US:B000000001 routine apify false", "of equals the first by name");
    watch("zz", key(), Tier::Critical, "rainforest", false).await;
    assert_eq!(list().await[0], "US:B000000001 critical rainforest false");
    watch("zz", key(), Tier::Critical, "rainforest", true).await;
    assert_eq!(list().await[0], "US:B000000001 routine apify false", "who paused it has no say");
    watch("main", key(), Tier::Routine, "keepa", true).await;
    watch("eu", key(), Tier::Routine, "apify", true).await;
    assert_eq!(list().await.len(), 2);
    assert!(list().await[0].ends_with(" true"), "paused by all");
    assert_eq!(Vec::from_iter(store.load_watched_sources().await.unwrap()), ["apify"]);
}

/// Statements on owned tables that need not name a workspace, each by a part of its text.
const OF_ALL: &[(&str, &str)] = &[
    ("SELECT DISTINCT source_chain FROM watch_items", "what is fetched is shared"),
    ("SELECT 1 FROM alerts a WHERE a.alert_id = e.alert_id", "an invariant holds in all"),
    (
        "INSERT INTO alert_changes (alert_id, from_state, to_state, actor, note, changed_at, until)",
        "the alert was found",
    ),
    ("INSERT INTO incidents (incident_id, kind, source, field, ", "a source's incident is everybody's"),
    ("SELECT marketplace, asin FROM watch_items WHERE ", "completed by a condition on the workspace"),
    (
        " UNION SELECT marketplace, asin FROM cohort_members WHERE ",
        "completed by a condition on the workspace",
    ),
    (" UNION SELECT marketplace, main_asin FROM cohorts WHERE ", "completed by a condition on the workspace"),
];

/// The files whose work is on all workspaces.
const WHOLE: &[&str] = &["retention.rs", "testing.rs"];

#[test]
fn every_statement_on_what_is_owned_names_the_workspace() {
    let mut folders = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/store")];
    let mut statements = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && name != "contract" {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "contract.rs" && !WHOLE.contains(&name.as_str()) {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                for literal in literals(code).into_iter().filter(|literal| touches_owned(literal)) {
                    statements += 1;
                    let is_exempt = OF_ALL.iter().any(|(part, _)| literal.contains(part));
                    assert!(is_exempt || literal.contains("workspace"), "{name}: {literal}");
                }
            }
        }
    }
    assert!(statements > 40, "only {statements} statements were found");
}

/// The string literals of Rust code that has no raw ones with quotes in them.
fn literals(code: &str) -> Vec<String> {
    let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n").replace("'\"'", "");
    let mut literals = Vec::new();
    let mut current: Option<String> = None;
    let mut chars = code.chars();
    while let Some(c) = chars.next() {
        match (c, &mut current) {
            ('"', Some(_)) => literals.extend(current.take()),
            ('"', None) => current = Some(String::new()),
            ('\\', Some(text)) => text.extend(chars.next()),
            (c, Some(text)) => text.push(c),
            (_, None) => {}
        }
    }
    literals
}

fn touches_owned(literal: &str) -> bool {
    let words: Vec<&str> =
        literal.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|w| !w.is_empty()).collect();
    let is_owned = |word: &&str| OWNED.contains(word);
    // A bulk insert begins with its table.
    let is_bulk = words.first().is_some_and(|word| is_owned(word) && literal.contains(&format!("{word} (")));
    is_bulk
        || words
            .windows(2)
            .any(|pair| ["FROM", "JOIN", "INTO", "UPDATE"].contains(&pair[0]) && is_owned(&pair[1]))
}
