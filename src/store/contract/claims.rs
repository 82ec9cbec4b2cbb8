//! What hosts share: the list of due products, budgets and rates.

use std::time::Duration;

use super::*;
use crate::model::{Asin, Cost, Marketplace, ProductKey, SpendingLimit, SpendingLimits, Spent, Timestamp};
use crate::store::claims::{Claimed, Wanted};
use crate::store::fetching::{
    Bucket, FetchFailure, FetchOutcome, Fetched, NewRequest, Purpose, RequestState, Settlement, Step,
    StepEffect,
};
use crate::store::leases::Shared;

fn key(asin: &str) -> ProductKey {
    ProductKey { marketplace: Marketplace::Us, asin: asin.parse().unwrap() }
}

fn keys() -> [ProductKey; 3] {
    [key("B000000001"), key("B000000002"), key("B000000003")]
}

fn now() -> Timestamp {
    at("2026-01-05T02:00:00Z")
}

fn request(run_id: &str, asins: &[Asin], units: i64) -> Step {
    request_within(run_id, asins, units, SpendingLimits::default())
}

fn request_within(run_id: &str, asins: &[Asin], units: i64, limits: SpendingLimits) -> Step {
    Step::Open(NewRequest {
        run_id: run_id.to_owned(),
        source: "keepa",
        operation: "product",
        marketplace: Marketplace::Us,
        asins: asins.to_vec(),
        options: String::new(),
        purpose: Purpose::Due,
        attempt: 1,
        sent_at: now(),
        day: "2026-01-05".parse().unwrap(),
        estimate: Cost { units, micros: None },
        limits,
        bucket: None,
    })
}

async fn commit(store: &Store, step: Step) -> StepEffect {
    store.commit_steps(&[step], false).await.unwrap().remove(0)
}

async fn opened(store: &Store, step: Step) -> i64 {
    match commit(store, step).await {
        StepEffect::Opened { request_id } => request_id,
        other => panic!("{other:?}"),
    }
}

fn answered(run_id: &str, request_id: i64, products: &[ProductKey], units: i64) -> Step {
    let fetched = |&product: &ProductKey| Fetched {
        product,
        outcome: FetchOutcome::Answered,
        after_fault: String::new(),
    };
    Step::Settle(Box::new(Settlement {
        source: "keepa",
        operation: "product",
        state: RequestState::Answered,
        fault: None,
        fetched: products.iter().map(fetched).collect(),
        ..Settlement::without_answer(
            request_id,
            run_id.to_owned(),
            RequestState::Answered,
            now(),
            crate::model::FaultKind::Lost,
            String::new(),
            Cost { units, micros: None },
        )
    }))
}

async fn claim(store: &Store, run_id: &str, products: &[ProductKey], gone: &[String]) -> Claimed {
    let wanted = Wanted {
        run_id,
        products,
        is_due: &|_| true,
        sources: &["keepa"],
        is_backfill: false,
        began: now(),
        gone,
    };
    store.claim_products(&wanted).await.unwrap()
}

#[tokio::test]
async fn embedded_everything_is_the_runs_and_what_was_left_open_too() {
    let (_folder, store) = fresh().await;
    if store.is_shared() {
        return;
    }
    let open = opened(&store, request("killed", &[keys()[0].asin], 3)).await;
    let claimed = claim(&store, "next", &keys(), &[]).await;
    assert_eq!(claimed.mine, keys());
    assert_eq!(claimed.left_open.iter().map(|request| request.request_id).collect::<Vec<_>>(), [open]);
    let again = claim(&store, "next", &[], &[]).await;
    assert_eq!(again.left_open, [], "it has them already");
}

#[tokio::test]
async fn a_product_is_one_runs_until_that_is_gone_and_its_requests_go_with_it() {
    let (_folder, store) = fresh().await;
    let Some(leases) = store.leases() else { return };
    let hour = Duration::from_secs(3600);
    for run in ["first", "second"] {
        leases.take(&Shared::Ingest.lease(run), run, None, hour).await.unwrap();
    }
    let [a, b, c] = keys();
    let first = claim(&store, "first", &[a, b], &[]).await;
    assert_eq!(first.mine, [a, b]);
    let open = opened(&store, request("first", &[a.asin], 3)).await;
    let done = opened(&store, request("first", &[b.asin], 3)).await;
    commit(&store, answered("first", done, &[b], 2)).await;

    let second = claim(&store, "second", &[a, b, c], &[]).await;
    assert_eq!((second.mine, second.left_open), (vec![c], vec![]));
    assert_eq!(second.holders, [("ingest/first".to_owned(), "first".to_owned())]);
    let told: Vec<ProductKey> = second.fetches.iter().map(|(key, _)| *key).collect();
    assert_eq!(told, [b], "what was answered is known, whoever has it");

    // A run takes over what it may ask about, of the sources it asks.
    let gone = [Shared::Ingest.lease("first")];
    let mut other = Wanted {
        run_id: "second",
        products: &[],
        is_due: &|_| false,
        sources: &["apify"],
        is_backfill: false,
        began: now(),
        gone: &[],
    };
    let elsewhere = Store::open(store.location().clone(), Migrate::Refuse).await.unwrap();
    assert_eq!(elsewhere.claim_products(&other).await.unwrap().left_open, []);

    // The first one's process is known to be gone.
    other.gone = &gone;
    assert_eq!(elsewhere.claim_products(&other).await.unwrap().left_open, [], "another source's");
    let second = claim(&elsewhere, "second", &[a, b], &gone).await;
    assert_eq!(second.mine, [a, b]);
    assert_eq!(second.left_open.iter().map(|request| request.request_id).collect::<Vec<_>>(), [open]);
    let error = store.commit_steps(&[answered("first", open, &[a], 3)], false).await.unwrap_err();
    assert!(matches!(error, StoreError::LeaseLost(_)), "this store has the lease of the first: {error}");
}

#[tokio::test]
async fn what_another_run_gave_up_is_told() {
    let (_folder, store) = fresh().await;
    let Some(leases) = store.leases() else { return };
    leases.take(&Shared::Ingest.lease("second"), "second", None, Duration::from_secs(3600)).await.unwrap();
    let [a, b, c] = keys();
    let failure = |product| FetchFailure {
        product,
        source: "keepa",
        fault: crate::model::FaultKind::Refused,
        detail: String::new(),
    };
    let give_up = |run_id: &str, seconds, product| Step::GiveUp {
        run_id: run_id.to_owned(),
        failed_at: now() + chrono::Duration::seconds(seconds),
        failures: vec![failure(product)],
    };
    let not_its_own = Step::GiveUp {
        run_id: "first".to_owned(),
        failed_at: now() + chrono::Duration::seconds(5),
        failures: vec![FetchFailure { fault: crate::model::FaultKind::Credentials, ..failure(c) }],
    };
    store
        .commit_steps(&[give_up("first", 5, a), give_up("yesterday", -9, b), not_its_own], false)
        .await
        .unwrap();
    let claimed = claim(&store, "second", &[a, b, c], &[]).await;
    assert_eq!(claimed.given_up, [a], "since it began, for a reason of its own");
}

#[tokio::test]
async fn a_limit_holds_for_all_runs_and_says_what_the_others_have_spent() {
    let (_folder, store) = fresh().await;
    let limit = |units| SpendingLimit { units: Some(units), micros: None };
    let limits = SpendingLimits { day: limit(10), month: limit(100), ..SpendingLimits::default() };
    let asin = keys()[0].asin;
    let other = opened(&store, request("other", &[asin], 6)).await;
    opened(&store, request_within("mine", &[asin], 3, limits)).await;
    let others =
        |units| Spent { day: Cost { units, micros: Some(0) }, month: Cost { units, micros: Some(0) } };
    let refused = commit(&store, request_within("mine", &[asin], 2, limits)).await;
    assert_eq!(refused, StepEffect::OverBudget { others: others(6) });
    // It was cheaper than thought.
    commit(&store, answered("other", other, &[keys()[0]], 4)).await;
    opened(&store, request_within("mine", &[asin], 3, limits)).await;
    let refused = commit(&store, request_within("mine", &[asin], 1, limits)).await;
    assert_eq!(refused, StepEffect::OverBudget { others: others(4) });
    assert_eq!(store.number("SELECT CAST(SUM(units) AS BIGINT) FROM source_spending").await, 10);
}

#[tokio::test]
async fn hosts_draw_from_one_bucket_by_the_servers_clock() {
    let (_folder, store) = fresh().await;
    if !store.is_shared() {
        return;
    }
    // Two left at first, and none comes back.
    let draw = |bucket: Option<Bucket>, now: Timestamp| match bucket.map_or(2000, |bucket| bucket.left_milli)
    {
        left if left < 1000 => Err(Duration::from_secs(9)),
        left => Ok(Bucket {
            source: "keepa",
            operation: "product",
            left_milli: left - 1000,
            told_micro: None,
            paused_until: None,
            updated_at: now,
        }),
    };
    let mut waits = Vec::new();
    for _ in 0..3 {
        waits.push(store.take_turn("keepa", "product", draw).await.unwrap());
    }
    assert_eq!(waits, [None, None, Some(Duration::from_secs(9))]);
}
