//! Leases: on a server only.

use std::time::Duration;

use super::*;
use crate::store::leases::Taken;

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_lease_is_one_holders_until_it_is_given_back_or_over() {
    let (_folder, store) = fresh().await;
    let Some(leases) = store.leases() else { return };
    assert_eq!(leases.holder("pipeline").await.unwrap(), None);
    assert_eq!(leases.take("pipeline", "a", None, LONG).await.unwrap(), Taken::Mine(1));
    assert_eq!(leases.take("pipeline", "b", None, LONG).await.unwrap(), Taken::Held("a".into()));
    assert_eq!(leases.take("deliver", "b", None, LONG).await.unwrap(), Taken::Mine(1), "one a pipeline");
    assert_eq!(leases.holder("pipeline").await.unwrap(), Some("a".into()));

    // Of a holder that is known to be gone it is taken before its time.
    assert_eq!(leases.take("pipeline", "b", Some("other"), LONG).await.unwrap(), Taken::Held("a".into()));
    assert_eq!(leases.take("pipeline", "b", Some("a"), LONG).await.unwrap(), Taken::Mine(2));
    assert!(!leases.renew("pipeline", 1, LONG).await.unwrap());
    assert!(leases.renew("pipeline", 2, LONG).await.unwrap());

    leases.release("pipeline", 1).await.unwrap();
    assert_eq!(
        leases.holder("pipeline").await.unwrap(),
        Some("b".into()),
        "by an old token nothing is given"
    );
    leases.release("pipeline", 2).await.unwrap();
    assert_eq!(leases.holder("pipeline").await.unwrap(), None);
    assert_eq!(leases.take("pipeline", "c", None, Duration::ZERO).await.unwrap(), Taken::Mine(4));
    assert_eq!(
        leases.take("pipeline", "a", None, LONG).await.unwrap(),
        Taken::Mine(5),
        "it was over at once"
    );
}

#[tokio::test]
async fn whoever_stalled_past_its_lease_writes_nothing_more() {
    let (_folder, stalled) = fresh().await;
    let Some(leases) = stalled.leases() else { return };
    let other = Store::open(stalled.location().clone(), Migrate::Refuse).await.unwrap();
    let others = other.leases().unwrap();
    let mark =
        "INSERT INTO marks VALUES ('here', 1) ON CONFLICT (name) DO UPDATE SET value = marks.value + 1";
    leases.take("pipeline", "stalled", None, Duration::ZERO).await.unwrap();
    stalled.run_script(mark).await.expect("nobody has taken its place");

    others.take("pipeline", "other", None, LONG).await.unwrap();
    let error = stalled.run_script(mark).await.unwrap_err();
    assert!(matches!(error, StoreError::LeaseLost(_)), "{error}");
    assert_eq!(error.outcome(), Outcome::Locked);
    other.run_script(mark).await.unwrap();
    assert_eq!(stalled.mark("here").await.unwrap(), 2, "reading goes on, and two were written");

    leases.release("pipeline", 1).await.unwrap();
    stalled.run_script(mark).await.expect("without a lease there is nothing to lose");
    other.close().await;
    assert_eq!(leases.holder("pipeline").await.unwrap(), None, "closing gives leases back");
}

#[tokio::test]
async fn a_writer_that_waited_in_vain_can_write_later() {
    let (_folder, store) = fresh().await;
    if store.leases().is_none() {
        return;
    }
    let waiting = Duration::from_millis(20);
    let other = Store::open_waiting(store.location().clone(), Migrate::Refuse, waiting).await.unwrap();
    let writing = store.begin().await.unwrap();
    let error = other.run_script("INSERT INTO marks VALUES ('here', 1)").await.unwrap_err();
    assert!(matches!(error, StoreError::Busy(_)), "{error}");
    assert_eq!(error.outcome(), Outcome::Transient);
    writing.rollback().await.unwrap();
    other.run_script("INSERT INTO marks VALUES ('here', 1)").await.unwrap();
    assert_eq!(store.mark("here").await.unwrap(), 1);
}

#[tokio::test]
async fn a_lease_is_not_taken_while_its_last_holder_is_writing() {
    let (_folder, stalled) = fresh().await;
    let Some(leases) = stalled.leases() else { return };
    let other = Store::open(stalled.location().clone(), Migrate::Refuse).await.unwrap();
    leases.take("pipeline", "stalled", None, Duration::ZERO).await.unwrap();
    let mut writing = stalled.begin().await.unwrap();
    let taking = tokio::spawn(async move {
        let taken = other.leases().unwrap().take("pipeline", "other", None, LONG).await.unwrap();
        (taken, other.mark("here").await.unwrap())
    });
    // Until somebody waits for the row.
    while stalled.number("SELECT COUNT(*) FROM pg_locks WHERE NOT granted").await == 0 {
        tokio::task::yield_now().await;
    }
    writing.run_script("INSERT INTO marks VALUES ('here', 7)".to_owned()).await.unwrap();
    writing.commit().await.unwrap();
    assert_eq!(taking.await.unwrap(), (Taken::Mine(2), 7), "the other sees what was written");
}
