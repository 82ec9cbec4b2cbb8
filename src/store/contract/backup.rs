//! Copies of the embedded database.

use super::*;

#[tokio::test]
async fn a_copy_is_the_state_before_a_transaction_that_has_not_ended() {
    let (folder, store) = fresh().await;
    let target = folder.path().join("saved.db");
    if store.location().file().is_none() {
        assert_eq!(store.back_up(&target).await.unwrap(), None, "a server's backups are its administrators'");
        assert!(!target.exists());
        return;
    }
    let now = at("2026-02-01T00:00:00Z");
    let identity = ops::Identity {
        database_uuid: "uuid".into(),
        lake_epoch: "epoch".into(),
        zone: "UTC".into(),
        created_at: now,
    };
    store.identify(&identity).await.unwrap();
    receipt(&store, 1).await;
    let mut tx = store.begin().await.unwrap();
    tx.run_script("UPDATE raw_receipts SET copies = 9".to_owned()).await.unwrap();
    let copied = store.back_up(&target).await.unwrap().unwrap();
    assert_eq!(copied.size_bytes, std::fs::metadata(&target).unwrap().len());
    tx.commit().await.unwrap();

    let copy = Store::open(target, Migrate::Refuse).await.unwrap();
    assert_eq!(copy.number("SELECT copies FROM raw_receipts").await, 1);
    assert_eq!(copy.identity().await.unwrap(), Some(identity));
    assert_eq!(store.number("SELECT copies FROM raw_receipts").await, 9);
}
