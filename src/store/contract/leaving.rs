//! What leaves core: the lake's list of files, what alerts are judged by, and the alerts on their way out.

use super::*;
use crate::rollup::rules::{Rule, Severity};
use crate::store::alerts::{
    AlertBatch, AlertFilter, AlertState, Escalation, NewAlert, NewEvent, Recipient, StateChange, Transition,
};
use crate::store::lake::{DAILY_EXPORT, ExportColumn, FileSwap, LakeFile};
use crate::store::outbox::About;

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn file(path: &str, first: &str, last: &str) -> LakeFile {
    LakeFile {
        table: "mart/rollups".into(),
        marketplace: Marketplace::Us,
        month: first[..7].into(),
        path: path.into(),
        generation: 1,
        first_day_no: day(first).no(),
        last_day_no: day(last).no(),
        compacted: false,
        rows: 1,
        size_bytes: 1,
        sha256: "hash".into(),
    }
}

fn paths(files: &[LakeFile]) -> Vec<&str> {
    files.iter().map(|file| file.path.as_str()).collect()
}

#[tokio::test]
async fn the_list_of_files_is_swapped_with_its_mark_and_can_be_forgotten() {
    let (_folder, store) = fresh().await;
    let (january, february) = (file("a", "2026-01-05", "2026-01-31"), file("b", "2026-02-01", "2026-02-02"));
    let added = vec![february.clone(), january.clone()];
    store.publish_core(&FileSwap { generation: 1, removed: vec![], added }, 7).await.unwrap();
    let state = store.lake_state().await.unwrap();
    assert_eq!((paths(&state.files), state.exported_seq, state.generation), (vec!["a", "b"], 7, 1));
    assert_eq!(state.files[0], january);

    let touching = |first: &str, last: &str| DayRange { first: day(first), last: day(last) };
    let files = |range| store.lake_files("mart/rollups", Marketplace::Us, range);
    assert_eq!(paths(&files(touching("2026-01-31", "2026-02-01")).await.unwrap()), ["a", "b"]);
    assert_eq!(paths(&files(touching("2026-02-02", "2026-03-01")).await.unwrap()), ["b"]);
    assert_eq!(paths(&files(touching("2026-01-01", "2026-01-04")).await.unwrap()), [] as [&str; 0]);
    let elsewhere = store.lake_files("mart/rollups", Marketplace::De, all_days()).await.unwrap();
    assert_eq!(paths(&elsewhere), [] as [&str; 0]);

    let swap = FileSwap {
        generation: 2,
        removed: vec![january],
        added: vec![file("c", "2026-01-05", "2026-01-31")],
    };
    store.publish_core(&swap, 9).await.unwrap();
    let state = store.lake_state().await.unwrap();
    assert_eq!((paths(&state.files), state.exported_seq, state.generation), (vec!["c", "b"], 9, 2));

    store.forget_lake().await.unwrap();
    let state = store.lake_state().await.unwrap();
    assert_eq!((state.files, state.exported_seq, state.built_seq), (vec![], 0, 0));
    assert_eq!(state.generation, 2, "a name is never given twice");
}

#[tokio::test]
async fn days_leave_core_in_order_and_unknown_is_told_from_zero() {
    let (_folder, store) = fresh().await;
    for id in 1..=3 {
        receipt(&store, id).await;
    }
    let mut unpriced = observed(3, "2026-01-07", None);
    unpriced.observation.offer.availability = crate::model::Availability::OutOfStock;
    commit(&store, vec![observed(1, "2026-01-06", Some(0)), observed(2, "2026-01-05", Some(9)), unpriced])
        .await;
    let days = store.count_days(Marketplace::Us).await.unwrap();
    assert_eq!(days, ["2026-01-05", "2026-01-06", "2026-01-07"].map(|text| (day(text), 1)));
    assert_eq!(store.count_days(Marketplace::De).await.unwrap(), []);

    let mut words = Vec::new();
    let mut intern = |word: &str| {
        words.push(word.to_owned());
        words.len() as i32 - 1
    };
    let range = DayRange { first: day("2026-01-06"), last: day("2026-01-07") };
    let export = store.load_export(&DAILY_EXPORT, Marketplace::Us, range, &mut intern).await.unwrap();
    assert_eq!(export.day_no, [day("2026-01-06").no(), day("2026-01-07").no()]);
    let place = DAILY_EXPORT.columns.iter().position(|(name, _)| *name == "price_minor").unwrap();
    let ExportColumn::Ints(prices) = &export.columns[place] else { panic!("prices are integers") };
    assert_eq!(prices, &[0, i64::MIN]);
    let place = DAILY_EXPORT.columns.iter().position(|(name, _)| *name == "seller_id").unwrap();
    let ExportColumn::Codes(sellers) = &export.columns[place] else { panic!("sellers are words") };
    assert_eq!(sellers, &[-1, -1]);
    assert_eq!(words[export.asin[0] as usize], "B000000001");
}

#[tokio::test]
async fn the_prices_of_days_are_the_known_ones_in_order() {
    let (_folder, store) = fresh().await;
    for id in 1..=3 {
        receipt(&store, id).await;
    }
    let mut unpriced = observed(3, "2026-01-07", None);
    unpriced.observation.offer.availability = crate::model::Availability::OutOfStock;
    commit(&store, vec![observed(1, "2026-01-06", Some(2)), observed(2, "2026-01-05", Some(1)), unpriced])
        .await;
    let prices = store.load_day_prices([key(), key()], all_days()).await.unwrap();
    let shown: Vec<_> = prices[&key()].iter().map(|one| (one.day.to_string(), one.price_minor)).collect();
    assert_eq!(shown, [("2026-01-05".to_owned(), 1), ("2026-01-06".to_owned(), 2)]);
}

#[tokio::test]
async fn a_pair_of_two_cohorts_is_one_pair_and_a_product_is_no_pair_with_itself() {
    let (_folder, store) = fresh().await;
    execute(
        &store,
        "INSERT INTO cohorts (name, marketplace, main_asin, created_at) VALUES
           ('b', 'US', 'B000000001', 1), ('a', 'US', 'B000000001', 1), ('c', 'UK', 'B000000001', 1);
         INSERT INTO cohort_members (cohort, marketplace, asin) VALUES
           ('b', 'US', 'B000000002'), ('a', 'US', 'B000000002'), ('a', 'US', 'B000000001'), ('c', 'UK', 'B000000003')",
    )
    .await
    .unwrap();
    let pairs = store.load_cohort_pairs(&main()).await.unwrap();
    let shown: Vec<_> = pairs
        .iter()
        .map(|pair| format!("{} {} {}", pair.main, pair.competitor, pair.cohorts.join(",")))
        .collect();
    assert_eq!(shown, ["UK:B000000001 UK:B000000003 c", "US:B000000001 US:B000000002 a,b"]);
    assert!(store.load_cohort_pairs(&other()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_listing_changes_where_one_version_of_a_source_follows_another() {
    let (_folder, store) = fresh().await;
    execute(
        &store,
        "INSERT INTO listing_versions (marketplace, asin, source, valid_from, valid_until, content_hash, title, bullets,
           images, variants) VALUES
           ('US', 'B000000001', 'file', 10, 20, 'a', 'Old', '[\"x\"]', '[]', '[]'),
           ('US', 'B000000001', 'file', 20, NULL, 'b', 'New', '[]', '[\"y\"]', '[]'),
           ('US', 'B000000001', 'keepa', 20, NULL, 'c', 'First', '[]', '[]', '[]')",
    )
    .await
    .unwrap();
    let micros = |micros| Timestamp::from_timestamp_micros(micros).unwrap();
    let changes =
        |from, until| store.load_listing_changes(micros(from), micros(until), |_| day("2026-01-05"));
    let found = changes(20, 21).await.unwrap();
    assert_eq!(found.len(), 1, "the first version of a source follows none");
    let (before, after) = (&found[0].before, &found[0].after);
    assert_eq!((before.title.as_deref(), after.title.as_deref()), (Some("Old"), Some("New")));
    assert_eq!((before.bullets.len(), after.images.len()), (1, 1));
    assert!(changes(10, 20).await.unwrap().is_empty(), "the end is not in it");
}

#[tokio::test]
async fn a_listing_was_looked_at_on_the_days_on_which_its_source_showed_a_version() {
    let (_folder, store) = fresh().await;
    for id in 1..=6 {
        receipt(&store, id).await;
    }
    let titled = |id, day| {
        let mut new = observed(id, day, None);
        new.observation.listing.title = Some("as the version says".into());
        new
    };
    let mut late = titled(5, "2026-01-07");
    late.observed_at = at("2026-01-07T20:00:00Z");
    let mut other = titled(4, "2026-01-08");
    other.source = "keepa".into();
    let of_days = [titled(1, "2026-01-05"), titled(2, "2026-01-06"), titled(3, "2026-01-07")];
    let without_listing = observed(6, "2026-01-08", Some(1000));
    commit(&store, of_days.into_iter().chain([late, other, without_listing]).collect()).await;
    let noon = |day: &str| at(&format!("{day}T12:00:00Z")).timestamp_micros();
    let (first, changed, back) = (noon("2026-01-05"), noon("2026-01-07"), noon("2026-01-07") + 1);
    execute(
        &store,
        &format!(
            "INSERT INTO listing_versions (marketplace, asin, source, valid_from, valid_until, content_hash, title,
               bullets, images, variants) VALUES
               ('US', 'B000000001', 'file', {first}, {changed}, 'a', 'Old', '[]', '[]', '[]'),
               ('US', 'B000000001', 'file', {changed}, {back}, 'b', 'Odd', '[]', '[]', '[]'),
               ('US', 'B000000001', 'file', {back}, NULL, 'c', 'New', '[]', '[]', '[]'),
               ('US', 'B000000001', 'keepa', {first}, NULL, 'd', 'Only', '[]', '[]', '[]')"
        ),
    )
    .await
    .unwrap();
    let range = |first: &str, last: &str| DayRange { first: day(first), last: day(last) };
    let (from, until) = (at("2026-01-07T00:00:00Z"), at("2026-01-08T00:00:00Z"));
    let listings = store.load_listing_looks(range("2026-01-05", "2026-01-08"), from, until).await.unwrap();
    assert_eq!(listings.len(), 1, "one version alone is no change");
    let titles: Vec<_> =
        listings[0].versions.iter().map(|version| version.title.as_deref().unwrap()).collect();
    let looks: Vec<_> =
        listings[0].looks.iter().map(|(day, version)| format!("{day} {}", titles[*version])).collect();
    assert_eq!(listings[0].source, "file");
    assert_eq!(
        looks,
        ["2026-01-05 Old", "2026-01-06 Old", "2026-01-07 New"],
        "the last look of a day counts"
    );
    let later = store.load_listing_looks(range("2026-01-06", "2026-01-08"), until, until).await.unwrap();
    assert!(later.is_empty(), "nothing began then");
}

#[tokio::test]
async fn a_watched_product_was_last_seen_when_it_was_answered_for_found_or_not() {
    let (_folder, store) = fresh().await;
    receipt(&store, 1).await;
    receipt(&store, 2).await;
    receipt(&store, 3).await;
    let not_found = |id, day| {
        let mut new = observed(id, day, None);
        new.observation.found = false;
        new
    };
    execute(
        &store,
        "INSERT INTO watch_items (marketplace, asin, tier, relation, paused, added_at) VALUES
           ('US', 'B000000001', 'weekly', 'own', 0, 5), ('US', 'B000000002', 'routine', 'own', 1, 5),
           ('UK', 'B000000002', 'routine', 'own', 0, 5)",
    )
    .await
    .unwrap();
    let seen = || async {
        let facts = store.load_watched_sightings(&main()).await.unwrap();
        let shown = |at: Option<Timestamp>| at.map_or("-".to_owned(), |at| at.date_naive().to_string());
        facts.iter().map(|one| format!("{} {}", one.product, shown(one.observed_at))).collect::<Vec<_>>()
    };
    commit(&store, vec![observed(1, "2026-01-05", Some(1))]).await;
    assert_eq!(
        seen().await,
        ["UK:B000000002 -", "US:B000000001 2026-01-05"],
        "a paused one is not waited for"
    );
    commit(&store, vec![not_found(3, "2026-01-07"), not_found(2, "2026-01-06")]).await;
    assert_eq!(seen().await[1], "US:B000000001 2026-01-07");

    let gone = store.load_gone_products().await.unwrap();
    assert_eq!((gone.len(), gone[0].product, gone[0].last_found), (1, key(), Some(day("2026-01-05"))));
    assert_eq!(gone[0].not_found, [day("2026-01-06"), day("2026-01-07")]);
}

fn alert(id: &str, severity: Severity, day: &str) -> NewAlert {
    NewAlert {
        alert_id: id.into(),
        rule: Rule::PriceDrop,
        severity,
        marketplace: "US".into(),
        asin: "B000000001".into(),
        day: day.parse().unwrap(),
        object: String::new(),
        message: format!("message of {id}"),
        evidence: "{}".into(),
        historical: false,
    }
}

fn event(id: &str, alert_id: &str) -> NewEvent {
    NewEvent {
        event_id: id.into(),
        event_type: "alert.opened",
        alert_id: alert_id.into(),
        about: about(alert_id),
        payload: format!("[\"{id}\"]"),
    }
}

/// As the alerts of [`with_alerts`] are.
fn about(alert_id: &str) -> About {
    let (severity, day) = match alert_id {
        "a1" => (Severity::High, "2026-01-05"),
        "a2" => (Severity::Critical, "2026-01-05"),
        _ => (Severity::Low, "2026-01-04"),
    };
    About {
        severity: Some(severity),
        rule: "price_drop".into(),
        marketplace: "US".into(),
        asin: "B000000001".into(),
        day: day.into(),
    }
}

pub(super) fn to(recipient: &str) -> Recipient {
    Recipient { channel: "file".into(), recipient: recipient.into() }
}

/// Three alerts of two days, told to one recipient.
pub(super) async fn with_alerts(store: &Store) -> AlertBatch {
    let batch = AlertBatch {
        opened: vec![
            alert("a1", Severity::High, "2026-01-05"),
            alert("a2", Severity::Critical, "2026-01-05"),
            alert("b1", Severity::Low, "2026-01-04"),
        ],
        events: vec![event("e1", "a1"), event("e2", "a2"), event("e3", "b1")],
        ..AlertBatch::default()
    };
    store.commit_alerts(&main(), "run", now(), &batch, &[to("x").into()], Some(7)).await.unwrap();
    batch
}

pub(super) fn now() -> Timestamp {
    at("2026-01-06T00:00:00Z")
}

fn alert_ids(alerts: Vec<crate::store::alerts::AlertRecord>) -> Vec<String> {
    alerts.into_iter().map(|alert| alert.alert_id).collect()
}

#[tokio::test]
async fn alerts_are_written_once_with_their_mark_and_found_by_day_id_and_filter() {
    let (_folder, store) = fresh().await;
    execute(
        &store,
        "INSERT INTO mart_days (marketplace, day, built_seq) VALUES ('US', '2026-01-05', 8), ('UK', '2026-01-04', 8),
           ('US', '2026-01-04', 7)",
    )
    .await
    .unwrap();
    let unjudged = store.load_unjudged_days(&main()).await.unwrap();
    assert_eq!((unjudged.days.len(), unjudged.through_seq), (3, 8));
    let batch = with_alerts(&store).await;
    let unjudged = store.load_unjudged_days(&main()).await.unwrap();
    assert_eq!(unjudged.days, [(Marketplace::Uk, day("2026-01-04")), (Marketplace::Us, day("2026-01-05"))]);
    assert_eq!(unjudged.newest_days[&Marketplace::Us], day("2026-01-05"));

    // Again, by another run: nothing changes.
    let later = at("2026-02-01T00:00:00Z");
    store.commit_alerts(&main(), "other", later, &batch, &[to("x").into()], None).await.unwrap();
    let all = store.list_alerts(&main(), &AlertFilter::default()).await.unwrap();
    assert!(all.iter().all(|alert| alert.run_id == "run" && alert.recorded_at == now()));
    assert_eq!(alert_ids(all), ["a2", "a1", "b1"], "the newest day first, then the gravest");
    assert_eq!(store.count_undelivered(&main()).await.unwrap(), 3);

    let high = AlertFilter { severities: vec![Severity::High], ..AlertFilter::default() };
    assert_eq!(alert_ids(store.list_alerts(&main(), &high).await.unwrap()), ["a1"]);
    assert_eq!(alert_ids(store.find_alerts(&main(), "a").await.unwrap()), ["a1", "a2"]);
    assert_eq!(alert_ids(store.find_alerts(&other(), "a").await.unwrap()), [] as [String; 0]);
    let of_day = DayRange { first: day("2026-01-05"), last: day("2026-01-05") };
    assert_eq!(store.load_alerts_of_days(&main(), of_day).await.unwrap().len(), 2);
    let ids = ["b1".to_owned(), "absent".to_owned()];
    assert_eq!(store.load_alerts_by_id(&main(), &ids).await.unwrap()[0].message, "message of b1");
}

#[tokio::test]
async fn a_state_changes_only_along_its_ways_and_worse_news_open_it_again() {
    let (_folder, store) = fresh().await;
    with_alerts(&store).await;
    let ids = ["a1".to_owned(), "absent".to_owned()];
    let main = main();
    let to = |to| Transition { to, until: None, actor: "me", note: "done" };
    let resolve = || store.change_alert_states(&main, &ids, to(AlertState::Resolved), now(), &[]);
    assert_eq!(resolve().await.unwrap(), [StateChange::Changed, StateChange::NotFound]);
    assert_eq!(resolve().await.unwrap(), [StateChange::Unchanged, StateChange::NotFound]);
    let back = store.change_alert_states(&main, &ids[..1], to(AlertState::Snoozed), now(), &[]).await;
    assert_eq!(back.unwrap(), [StateChange::Refused(AlertState::Resolved)]);

    let escalate = |is_told| AlertBatch {
        escalated: vec![Escalation {
            alert_id: "a1".into(),
            is_told,
            severity: Severity::Critical,
            message: "worse".into(),
            evidence: "{}".into(),
        }],
        ..AlertBatch::default()
    };
    // Worse, but of a day too old to be told: what people did with it stays.
    store.commit_alerts(&main, "run", now(), &escalate(false), &[], None).await.unwrap();
    let found = store.find_alerts(&main, "a1").await.unwrap().remove(0);
    assert_eq!((found.severity, found.message.as_str()), (Severity::Critical, "worse"));
    assert_eq!(found.state, AlertState::Resolved);
    store.commit_alerts(&main, "run", now(), &escalate(true), &[], None).await.unwrap();
    assert_eq!(store.find_alerts(&main, "a1").await.unwrap()[0].state, AlertState::Open);
    let changes = store.load_alert_changes(&main, "a1").await.unwrap();
    let changes: Vec<String> =
        changes.iter().map(|one| format!("{} {} {}", one.from_state, one.to_state, one.actor)).collect();
    assert_eq!(changes, ["open resolved me", "resolved open amzctl"]);
}
