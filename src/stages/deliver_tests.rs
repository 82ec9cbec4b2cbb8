use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::*;
use crate::notify::{EventStyle, FileNotifier, StdoutNotifier};
use crate::store::Migrate;
use crate::store::alerts::{AlertBatch, NewEvent};
use crate::store::leases::Shared;

struct Bench {
    folder: tempfile::TempDir,
    store: Store,
}

fn at(seconds: i64) -> Clock {
    let start: Timestamp = "2026-03-01T06:00:00Z".parse().unwrap();
    Clock::Fixed(start + Duration::seconds(seconds))
}

fn recipients() -> Vec<Recipient> {
    [("stdout", "-"), ("file", "alerts.ndjson")]
        .map(|(channel, recipient)| Recipient { channel: channel.into(), recipient: recipient.into() })
        .to_vec()
}

/// A store whose outbox holds these events for both channels.
async fn bench(events: &[&str]) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let store = crate::store::testing::fresh_store(folder.path()).await;
    let event = |id: &&str| NewEvent {
        event_id: (*id).to_owned(),
        event_type: "alert.opened",
        alert_id: format!("alert-{id}"),
        payload: format!("{{\"schema\":\"amzctl.alert-event/1\",\"event_id\":\"{id}\"}}"),
    };
    let batch = AlertBatch { events: events.iter().map(event).collect(), ..Default::default() };
    store
        .commit_alerts(&Workspace::default(), "run", at(0).now(), &batch, &recipients(), None)
        .await
        .unwrap();
    Bench { folder, store }
}

impl Bench {
    fn path(&self) -> PathBuf {
        self.folder.path().join("alerts.ndjson")
    }

    async fn deliver(&self, clock: Clock, notifiers: &[Box<dyn Notifier>]) -> Summary {
        // Each run claims in a name of its own.
        let claimant = format!("at {}", clock.now());
        let workspace = Workspace::default();
        run(&self.store, clock, &CancelToken::default(), &workspace, notifiers, &claimant).await.unwrap()
    }

    fn file(&self) -> Box<dyn Notifier> {
        Box::new(FileNotifier::new("alerts.ndjson", self.path()))
    }
}

type Printed = Arc<Mutex<String>>;

fn printing() -> (Box<dyn Notifier>, Printed) {
    let out = Printed::default();
    let sink = Arc::clone(&out);
    let notifier = StdoutNotifier::new(EventStyle::Json, move |text: &str| {
        sink.lock().unwrap().push_str(text);
        Ok(())
    });
    (Box::new(notifier), out)
}

fn broken() -> Box<dyn Notifier> {
    Box::new(StdoutNotifier::new(EventStyle::Json, |_: &str| Err(io::Error::other("closed"))))
}

fn ids(text: &str) -> String {
    let id = |line: &str| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["event_id"].as_str().unwrap().to_owned()
    };
    text.lines().map(id).collect::<Vec<_>>().join(" ")
}

fn ids_in(path: &Path) -> String {
    ids(&std::fs::read_to_string(path).unwrap_or_default())
}

fn counts(summary: &Summary) -> Vec<(u64, u64, u64)> {
    summary.channels.iter().map(|channel| (channel.delivered, channel.failed, channel.dead)).collect()
}

#[tokio::test]
async fn every_channel_gets_every_event_once_in_order() {
    let bench = bench(&["c", "a", "b"]).await;
    let (stdout, printed) = printing();
    let notifiers = [stdout, bench.file()];
    let summary = bench.deliver(at(0), &notifiers).await;
    assert_eq!(counts(&summary), [(3, 0, 0), (3, 0, 0)]);
    assert_eq!((summary.waiting, summary.outcome()), (0, Outcome::Done));
    assert_eq!(ids(&printed.lock().unwrap()), "c a b");
    assert_eq!(ids_in(&bench.path()), "c a b");

    let again = bench.deliver(at(60), &notifiers).await;
    assert_eq!(counts(&again), [(0, 0, 0), (0, 0, 0)]);
    assert_eq!(ids_in(&bench.path()), "c a b");
}

/// Two commits in one instant, as of two marketplaces: they are told as one.
#[tokio::test]
async fn events_are_told_by_day_and_the_gravest_first() {
    let bench = bench(&["later", "low", "grave"]).await;
    let mut tx = bench.store.begin().await.unwrap();
    for (id, severity, day) in
        [("later", "high", "2026-03-02"), ("low", "low", "2026-03-01"), ("grave", "critical", "2026-03-01")]
    {
        tx.run_script(format!(
            "INSERT INTO alerts (alert_id, rule, severity, marketplace, asin, day, message, evidence, state, historical, run_id, recorded_at)
             VALUES ('alert-{id}', 'price_drop', '{severity}', 'US', '', '{day}', '', '{{}}', 'open', 0, 'run', 0)",
        ))
        .await
        .unwrap();
    }
    tx.commit().await.unwrap();
    bench.deliver(at(0), &[bench.file()]).await;
    assert_eq!(ids_in(&bench.path()), "grave low later");
}

#[tokio::test]
async fn a_failing_channel_does_not_hold_up_another_and_is_tried_again_later() {
    let bench = bench(&["a", "b", "c", "d", "e"]).await;
    let summary = bench.deliver(at(0), &[broken(), bench.file()]).await;
    assert_eq!(counts(&summary), [(0, 3, 0), (5, 0, 0)], "three failures in a row are enough for one run");
    assert_eq!((summary.waiting, summary.outcome()), (5, Outcome::PartlyFailed));
    assert_eq!(summary.channels[0].error.as_deref(), Some("cannot write standard output: closed"));

    // Those that were not tried are due at once, those that failed not yet.
    let (stdout, printed) = printing();
    bench.deliver(at(1), &[stdout]).await;
    assert_eq!(ids(&printed.lock().unwrap()), "d e");
    let (stdout, printed) = printing();
    let last = bench.deliver(at(31), &[stdout]).await;
    assert_eq!(last.waiting, 0);
    assert_eq!(ids(&printed.lock().unwrap()).len(), "a b c".len());
}

#[tokio::test]
async fn a_delivery_is_dead_after_its_last_attempt() {
    let bench = bench(&["a"]).await;
    let mut clock = 0;
    for attempt in 1..=MAX_ATTEMPTS {
        let summary = bench.deliver(at(clock), &[broken()]).await;
        let expected = if attempt == MAX_ATTEMPTS { (0, 0, 1) } else { (0, 1, 0) };
        assert_eq!(counts(&summary), [expected], "attempt {attempt}");
        clock += LONGEST_DELAY.num_seconds();
    }
    assert_eq!(counts(&bench.deliver(at(clock), &[broken()]).await), [(0, 0, 0)]);
    let deliveries = bench.store.load_deliveries(&Workspace::default(), "alert-a").await.unwrap();
    let states: Vec<_> =
        deliveries.iter().map(|d| (d.channel.as_str(), d.state.as_str(), d.attempts)).collect();
    assert_eq!(states, [("file", "pending", 0), ("stdout", "dead", MAX_ATTEMPTS)]);
}

#[tokio::test]
async fn a_kill_between_sending_and_recording_delivers_once_to_the_file() {
    let bench = bench(&["a", "b"]).await;
    let to = &recipients()[1];
    // What a process did that died after sending: claimed, wrote the first event and half of the second.
    let claimed =
        bench.store.claim_deliveries(&Workspace::default(), to, at(0).now(), "died", 10).await.unwrap();
    assert!(claimed.iter().all(|event| !event.maybe_sent));
    let half = &claimed[1].payload[..20];
    std::fs::write(bench.path(), format!("{}\n{half}", claimed[0].payload)).unwrap();

    let summary = bench.deliver(at(1), &[bench.file()]).await;
    assert_eq!(counts(&summary), [(2, 0, 0)]);
    assert_eq!(ids_in(&bench.path()), "a b");
}

#[tokio::test]
async fn a_stop_gives_claims_back() {
    let bench = bench(&["a", "b"]).await;
    let cancel = CancelToken::default();
    cancel.cancel(Outcome::Interrupted);
    let stopped = run(&bench.store, at(0), &cancel, &Workspace::default(), &[bench.file()], "stopped").await;
    let stopped = stopped.unwrap();
    assert_eq!(counts(&stopped), [(0, 0, 0)]);
    assert_eq!(counts(&bench.deliver(at(0), &[bench.file()]).await), [(2, 0, 0)]);
}

#[tokio::test]
async fn what_another_host_has_claimed_is_left_to_it_while_it_lives() {
    let bench = bench(&["a", "b"]).await;
    let elsewhere = Store::open(bench.store.location().clone(), Migrate::Refuse).await.unwrap();
    let Some(leases) = elsewhere.leases() else { return };
    let other = Shared::Deliver.lease("other");
    let hour = std::time::Duration::from_secs(3600);
    leases.take(&other, "{}", None, hour).await.unwrap();
    let to = &recipients()[1];
    let claimed =
        bench.store.claim_deliveries(&Workspace::default(), to, at(0).now(), &other, 1).await.unwrap();
    assert_eq!(claimed[0].event_id, "a");
    assert_eq!(counts(&bench.deliver(at(1), &[bench.file()]).await), [(1, 0, 0)]);
    assert_eq!(ids_in(&bench.path()), "b");
    // It is gone: what it had is due, and may have been sent.
    leases.end_others(Shared::Deliver, "me", &[other]).await.unwrap();
    let claimed =
        bench.store.claim_deliveries(&Workspace::default(), to, at(2).now(), "me", 10).await.unwrap();
    assert_eq!(
        claimed.iter().map(|event| (event.event_id.as_str(), event.maybe_sent)).collect::<Vec<_>>(),
        [("a", true)]
    );
}

#[test]
fn delays_grow_from_half_a_minute_to_six_hours() {
    let now = at(0).now();
    for (attempts, longest) in [(1, 30), (2, 60), (5, 480), (11, 21_600), (60, 21_600)] {
        let delay = (retry_at(now, "event", attempts) - now).num_seconds();
        assert!((longest / 2..=longest).contains(&delay), "{attempts}: {delay} s");
    }
    assert_ne!(retry_at(now, "a", 5), retry_at(now, "b", 5));
}
