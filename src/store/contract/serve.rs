//! What serve-lite asks of a store: keys, writes that are done once, products page by page.

use super::*;
use crate::model::{Cohort, Competitor, KeyKind, KeyTier, Relation, Tier};
use crate::rollup::rules::{Rule, Severity};
use crate::store::alerts::{AlertBatch, AlertFilter, AlertState, NewAlert, StateChange, Transition};
use crate::store::export::{ExportFilter, ExportView};
use crate::store::keys::ApiKey;
use crate::store::lake::FileSwap;
use crate::store::requests::{KeptAnswer, Once, WriteRequest};
use crate::store::served::{ProductFilter, ProductOrder, ProductPage, SERVED_PRODUCT};
use crate::store::watch::WatchChange;

fn now() -> Timestamp {
    at("2026-01-06T00:00:00Z")
}

fn api_key(key_id: &str) -> ApiKey {
    ApiKey {
        key_id: key_id.into(),
        workspace: main(),
        kind: KeyKind::Secret,
        name: "laptop".into(),
        key_sha256: format!("hash of {key_id}"),
        permissions: KeyKind::Secret.permissions(),
        tier: KeyTier::Premium,
        created_at: now(),
        created_by: "ada".into(),
        expires_at: Some(at("2026-02-01T00:00:00Z")),
        revoked_at: None,
        revoked_by: String::new(),
        replaces: String::new(),
    }
}

#[tokio::test]
async fn a_key_is_found_as_it_was_made_and_ends_when_it_is_revoked() {
    let (_folder, store) = fresh().await;
    let key = api_key("k1");
    store.save_key(&key).await.unwrap();
    assert_eq!(store.find_key("k1").await.unwrap(), Some(key.clone()));
    assert_eq!(store.find_key("k2").await.unwrap(), None);
    assert!(store.save_key(&key).await.is_err(), "the same twice");
    assert_eq!(store.count_active_keys(now()).await.unwrap(), 1);
    assert_eq!(store.count_active_keys(at("2026-02-01T00:00:00Z")).await.unwrap(), 0, "expired");

    let ids = ["k1".to_owned(), "k2".to_owned()];
    assert_eq!(store.revoke_keys(&main(), &ids, "bob", now()).await.unwrap(), 1);
    assert_eq!(store.revoke_keys(&main(), &ids, "eve", now()).await.unwrap(), 0, "once is enough");
    let ended = store.find_key("k1").await.unwrap().unwrap();
    assert_eq!((ended.revoked_at, ended.revoked_by.as_str()), (Some(now()), "bob"));
    assert_eq!((ended.state(now()), store.count_active_keys(now()).await.unwrap()), ("revoked", 0));
    let log = store.load_audit(&main(), None, 9).await.unwrap();
    let said: Vec<String> =
        log.iter().map(|line| format!("{} {} {}", line.actor, line.action, line.object)).collect();
    assert_eq!(said, ["bob key.revoke k1", "ada key.create k1"]);
}

#[tokio::test]
async fn a_key_that_is_replaced_goes_on_for_a_while() {
    let (_folder, store) = fresh().await;
    store.save_key(&api_key("k1")).await.unwrap();
    let new = ApiKey { replaces: "k1".into(), ..api_key("k2") };
    let until = now() + chrono::Duration::hours(24);
    assert!(store.rotate_key(&new, until).await.unwrap());
    let old = store.find_key("k1").await.unwrap().unwrap();
    assert!(old.is_active(until - chrono::Duration::seconds(1)) && !old.is_active(until));
    assert_eq!(store.find_key("k2").await.unwrap(), Some(new));
    let late = ApiKey { replaces: "k1".into(), created_at: until, ..api_key("k3") };
    assert!(!store.rotate_key(&late, until).await.unwrap(), "it has ended");
    assert_eq!(store.load_keys(&main()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_servers_of_a_database_share_a_secret() {
    let (_folder, store) = fresh().await;
    assert_eq!(store.server_secret("cursor", "aa", now()).await.unwrap(), "aa");
    assert_eq!(store.server_secret("cursor", "bb", now()).await.unwrap(), "aa");
    assert_eq!(store.server_secret("session", "cc", now()).await.unwrap(), "cc");
}

fn alert(number: u32, day: &str, severity: Severity) -> NewAlert {
    NewAlert {
        alert_id: format!("{number:032x}"),
        rule: Rule::PriceDrop,
        severity,
        marketplace: "US".into(),
        asin: format!("B00000000{}", number % 3),
        day: day.parse().unwrap(),
        object: String::new(),
        message: "fell".into(),
        evidence: "{}".into(),
        historical: false,
    }
}

async fn alerted(store: &Store, alerts: Vec<NewAlert>) {
    let batch = AlertBatch { opened: alerts, ..AlertBatch::default() };
    store.commit_alerts(&main(), "run", now(), &batch, &[], None).await.unwrap();
}

async fn asked(store: &Store, key: Option<&str>, asked: &str, to: AlertState, now: Timestamp) -> Once {
    let (workspace, object) = (main(), format!("{:032x}", 1));
    let request = WriteRequest {
        workspace: &workspace,
        key_id: "k1",
        actor: "key laptop",
        request_id: "r1",
        idempotency_key: key,
        request_sha256: asked,
        action: "alert.change",
        object: &object,
        now,
    };
    let transition = Transition { to, until: None, actor: "key laptop", note: "seen" };
    let answer = |change: StateChange| {
        let status = if matches!(change, StateChange::Refused(_)) { 409 } else { 200 };
        KeptAnswer { status, body: format!("{change:?}") }
    };
    store.change_alert_once(&request, transition, &[], answer).await.unwrap()
}

fn told(status: u16, body: &str) -> KeptAnswer {
    KeptAnswer { status, body: body.into() }
}

#[tokio::test]
async fn a_write_is_done_once_and_answered_as_it_was_then() {
    let (_folder, store) = fresh().await;
    alerted(&store, vec![alert(1, "2026-01-05", Severity::High)]).await;
    use AlertState::{Acknowledged, Resolved};
    let first = asked(&store, Some("once"), "ack", Acknowledged, now()).await;
    assert_eq!(first, Once::Done(told(200, "Changed")));
    assert_eq!(asked(&store, None, "resolve", Resolved, now()).await, Once::Done(told(200, "Changed")));
    // Whoever did not hear of the first asks again: it is resolved by now, and stays so.
    let again = asked(&store, Some("once"), "ack", Acknowledged, now()).await;
    assert_eq!(again, Once::Repeated(told(200, "Changed")));
    assert_eq!(asked(&store, Some("once"), "another", Acknowledged, now()).await, Once::Another);
    let refused = asked(&store, Some("twice"), "ack", Acknowledged, now()).await;
    assert_eq!(refused, Once::Done(told(409, "Refused(Resolved)")));

    let changes = store.load_alert_changes(&main(), &format!("{:032x}", 1)).await.unwrap();
    let said: Vec<_> =
        changes.iter().map(|change| (change.to_state.as_str(), change.actor.as_str())).collect();
    assert_eq!(said, [("acknowledged", "key laptop"), ("resolved", "key laptop")]);
    let log = store.load_audit(&main(), None, 2).await.unwrap();
    assert_eq!(log.iter().map(|line| line.status).collect::<Vec<_>>(), [409, 200]);
    let earlier = store.load_audit(&main(), Some(log[1].audit_id), 9).await.unwrap();
    assert_eq!(earlier.len(), 1, "what was repeated was not done");
    assert_eq!((earlier[0].key_id.as_str(), earlier[0].request_id.as_str()), ("k1", "r1"));

    let later = now() + chrono::Duration::days(8);
    let forgotten = asked(&store, Some("once"), "another", Acknowledged, later).await;
    assert_eq!(forgotten, Once::Done(told(409, "Refused(Resolved)")), "after a week the key is free");
}

#[tokio::test]
async fn pages_of_alerts_are_the_whole_list_in_its_order() {
    let (_folder, store) = fresh().await;
    let severities = [Severity::Low, Severity::Critical, Severity::Medium, Severity::High];
    let days = ["2026-01-04", "2026-01-05", "2026-01-03"];
    let alerts = (0..24).map(|n| alert(n, days[n as usize % 3], severities[n as usize % 4])).collect();
    alerted(&store, alerts).await;
    let whole = store.list_alerts(&main(), &AlertFilter::default()).await.unwrap();
    let mut filter = AlertFilter { limit: Some(5), ..AlertFilter::default() };
    let mut paged = Vec::new();
    loop {
        let page = store.list_alerts(&main(), &filter).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.after = Some(last.into());
        paged.extend(page);
    }
    assert_eq!((paged.len(), &paged), (24, &whole));
}

/// Products with titles and brands that do not come in the order of their keys, in two marketplaces.
async fn products(store: &Store) {
    for (place, (marketplace, asin, title, brand, category)) in [
        ("US", "B000000003", "'Ärmel 50% weiter'", "'Zeta'", "'A > B'"),
        ("US", "B000000001", "'zinc cup'", "'acme'", "'A > B > C'"),
        ("DE", "B000000002", "NULL", "'Acme'", "'A > Bc'"),
        ("US", "B000000004", "'Apple_pie'", "NULL", "NULL"),
        ("UK", "B000000001", "'Zinc Cup'", "'ACME'", "'A'"),
    ]
    .into_iter()
    .enumerate()
    {
        let day = format!("2026-01-0{}", 5 - place);
        execute(
            store,
            &format!(
                "INSERT INTO products VALUES ('{marketplace}', '{asin}', {title}, {brand}, {category}, NULL, NULL, 'active',
                   '2026-01-01', '{day}');
                 INSERT INTO product_metrics_daily (marketplace, asin, day, observed_at, currency, price_minor,
                   availability, observations, source, sources)
                 VALUES ('{marketplace}', '{asin}', '2026-01-01', 1, 'USD', 7, 'in_stock', 1, 'file', 'file'),
                        ('{marketplace}', '{asin}', '{day}', 1, 'USD', {place}, 'in_stock', 1, 'file', 'file')
                 ON CONFLICT DO NOTHING"
            ),
        )
        .await
        .unwrap();
    }
}

async fn listed(
    store: &Store,
    workspace: &Workspace,
    filter: &ProductFilter,
    page: ProductPage,
) -> Vec<String> {
    let rows = store.load_served_products(workspace, filter, &page).await.unwrap();
    rows.into_iter().map(|(_, [_, marketplace, asin])| format!("{marketplace}:{}", &asin[9..])).collect()
}

#[tokio::test]
async fn pages_of_products_are_the_whole_list_in_every_order() {
    let (_folder, store) = fresh().await;
    products(&store).await;
    let filter = ProductFilter::default();
    for (order, descending, expected) in [
        (ProductOrder::Key, false, ["DE:2", "UK:1", "US:1", "US:3", "US:4"]),
        (ProductOrder::Key, true, ["US:4", "US:3", "US:1", "UK:1", "DE:2"]),
        (ProductOrder::Title, false, ["DE:2", "US:4", "UK:1", "US:1", "US:3"]),
        (ProductOrder::Brand, true, ["US:1", "US:3", "DE:2", "UK:1", "US:4"]),
        (ProductOrder::FirstDay, true, ["DE:2", "UK:1", "US:1", "US:3", "US:4"]),
        (ProductOrder::LastDay, true, ["US:3", "US:1", "DE:2", "US:4", "UK:1"]),
    ] {
        let page = ProductPage { order, descending, after: None, limit: 9 };
        assert_eq!(listed(&store, &main(), &filter, page).await, expected, "{order} {descending}");
        for limit in [1, 2, 4] {
            let mut page = ProductPage { order, descending, after: None, limit };
            let mut paged = Vec::new();
            loop {
                let rows = store.load_served_products(&main(), &filter, &page).await.unwrap();
                let Some((_, last)) = rows.last() else { break };
                page.after = Some(last.clone());
                paged.extend(
                    rows.into_iter().map(|(_, [_, market, asin])| format!("{market}:{}", &asin[9..])),
                );
            }
            assert_eq!(paged, expected, "{order} {descending} by {limit}");
        }
    }
}

#[tokio::test]
async fn products_are_filtered_and_their_newest_day_is_shown() {
    let (_folder, store) = fresh().await;
    products(&store).await;
    let us = |asin: &str| format!("US:{asin}").parse::<ProductRef>().unwrap().key_or(Marketplace::Us);
    let watch = WatchChange {
        tier: Some(Tier::Critical),
        relation: Some(Relation::Own),
        tags: vec!["x_y".into(), "sale".into()],
        ..WatchChange::of(us("B000000003"))
    };
    store.save_watch(&main(), &[watch], now(), false).await.unwrap();
    let all = ProductFilter::default;
    for (filter, expected) in [
        (ProductFilter { marketplace: Some(Marketplace::De), ..all() }, vec!["DE:2"]),
        (ProductFilter { brand: Some("ACME".into()), ..all() }, vec!["DE:2", "UK:1", "US:1"]),
        (ProductFilter { category: Some("A > B".into()), ..all() }, vec!["US:1", "US:3"]),
        (ProductFilter { title: Some("CUP".into()), ..all() }, vec!["UK:1", "US:1"]),
        // What LIKE would take for wildcards.
        (ProductFilter { title: Some("0%".into()), ..all() }, vec!["US:3"]),
        (ProductFilter { title: Some("e_p".into()), ..all() }, vec!["US:4"]),
        (ProductFilter { title: Some("c_p".into()), ..all() }, vec![]),
        (ProductFilter { tag: Some("sale".into()), ..all() }, vec!["US:3"]),
        (ProductFilter { tag: Some("sal".into()), ..all() }, vec![]),
        (ProductFilter { tag: Some("SALE".into()), ..all() }, vec![]),
        (ProductFilter { category: Some("a > b".into()), ..all() }, vec![]),
        (ProductFilter { tag: Some("x%y".into()), ..all() }, vec![]),
        (ProductFilter { tier: Some(Tier::Critical), ..all() }, vec!["US:3"]),
        (ProductFilter { relation: Some(Relation::Rival), ..all() }, vec![]),
        (ProductFilter { status: Some("gone".into()), ..all() }, vec![]),
        (ProductFilter { seen_since: Some("2026-01-04".parse().unwrap()), ..all() }, vec!["US:1", "US:3"]),
        (ProductFilter { keys: Some(vec![us("B000000001"), us("B000000002")]), ..all() }, vec!["US:1"]),
    ] {
        let page = ProductPage { limit: 9, ..ProductPage::default() };
        assert_eq!(listed(&store, &main(), &filter, page).await, expected, "{filter:?}");
    }
    let page = ProductPage { limit: 1, ..ProductPage::default() };
    let filter = ProductFilter { keys: Some(vec![us("B000000001")]), ..all() };
    let (row, _) = store.load_served_products(&main(), &filter, &page).await.unwrap().remove(0);
    let value = |name: &str| &row[SERVED_PRODUCT.iter().position(|(column, ..)| *column == name).unwrap()];
    assert_eq!(*value("day"), crate::store::export::Field::Text("2026-01-04".into()));
    assert_eq!(*value("price_minor"), crate::store::export::Field::Int(1));
}

#[tokio::test]
async fn a_product_is_whose_watches_or_compares_it_and_mains_where_nobody_does() {
    let (_folder, store) = fresh().await;
    products(&store).await;
    let key = |name: &str| name.parse::<ProductRef>().unwrap().key_or(Marketplace::Us);
    store.save_watch(&other(), &[WatchChange::of(key("US:B000000001"))], now(), false).await.unwrap();
    let cohort = Cohort {
        name: "cups".into(),
        main: key("UK:B000000001"),
        label: String::new(),
        competitors: vec![Competitor { key: key("DE:B000000002"), priority: 0, label: String::new() }],
        created_at: now(),
    };
    store.save_cohorts(&other(), &[cohort], false).await.unwrap();
    let page = ProductPage { limit: 9, ..ProductPage::default() };
    let filter = ProductFilter::default();
    assert_eq!(listed(&store, &other(), &filter, page.clone()).await, ["DE:2", "UK:1", "US:1"]);
    assert_eq!(listed(&store, &main(), &filter, page.clone()).await, ["US:3", "US:4"]);
    let asin = key("US:B000000001").asin;
    assert_eq!(store.find_served_products(&other(), asin).await.unwrap().len(), 2);
    assert_eq!(store.find_served_products(&main(), asin).await.unwrap(), []);
    // Who watches it too has it too.
    store.save_watch(&main(), &[WatchChange::of(key("US:B000000001"))], now(), false).await.unwrap();
    assert_eq!(store.find_served_products(&main(), asin).await.unwrap(), [key("US:B000000001")]);
    let third: Workspace = "third".parse().unwrap();
    assert_eq!(listed(&store, &third, &filter, page).await, [] as [String; 0]);
}

#[tokio::test]
async fn an_export_of_one_product_has_its_rows_alone() {
    let (_folder, store) = fresh().await;
    products(&store).await;
    let filter = ExportFilter { product: Some(key()), ..ExportFilter::default() };
    let count = async |view, filter| store.export_rows(&main(), view, filter, &mut |_| true).await.unwrap();
    assert_eq!(count(ExportView::Daily, filter).await, 2);
    let day = "2026-01-04".parse().unwrap();
    let filter = ExportFilter { range: Some(DayRange { first: day, last: day }), ..filter };
    assert_eq!(count(ExportView::Daily, filter).await, 1);
    assert_eq!(count(ExportView::Ranks, filter).await, 0);
    alerted(&store, vec![alert(1, "2026-01-04", Severity::Low), alert(2, "2026-01-04", Severity::Low)]).await;
    assert_eq!(count(ExportView::Alerts, filter).await, 1, "of what is owned too");
}

#[tokio::test]
async fn a_mart_that_is_built_is_seen() {
    let (_folder, store) = fresh().await;
    let before = store.served_generation().await.unwrap();
    assert_eq!(store.served_generation().await.unwrap(), before);
    // Also one of the same days, after a measure was corrected.
    let published = async |generation| {
        let swap = FileSwap { generation, removed: vec![], added: vec![] };
        store.publish_mart(&swap, 5, &mut []).await.unwrap();
        store.served_generation().await.unwrap()
    };
    let after = published(7).await;
    assert_ne!(after, before);
    assert_ne!(published(8).await, after);
}

#[tokio::test]
async fn the_days_of_some_products_are_those_of_the_range() {
    let (_folder, store) = fresh().await;
    products(&store).await;
    let range =
        |first: &str, last: &str| DayRange { first: first.parse().unwrap(), last: last.parse().unwrap() };
    let days = async |marketplace, asins: &[&str], range| {
        let days = store.load_served_days(marketplace, asins, range).await.unwrap();
        days.iter()
            .map(|day| format!("{} {} {:?}", &day.asin[9..], day.day, day.price_minor))
            .collect::<Vec<String>>()
    };
    let some = ["B000000003", "B000000001", "B000000002"];
    assert_eq!(
        days(Marketplace::Us, &some, range("2026-01-01", "2026-01-04")).await,
        ["1 2026-01-01 Some(7)", "1 2026-01-04 Some(1)", "3 2026-01-01 Some(7)"]
    );
    assert_eq!(
        days(Marketplace::Us, &some[..1], range("2026-01-02", "2026-01-05")).await,
        ["3 2026-01-05 Some(0)"]
    );
    assert_eq!(days(Marketplace::De, &some[..1], range("2026-01-01", "2026-01-05")).await, [""; 0]);
}
