use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use chrono::Duration as Span;
use tokio::sync::Semaphore;

use super::lane::retry_at;
use super::*;
use crate::config::{Digesting, QuietHours};
use crate::model::Timestamp;
use crate::notify::{
    Digest, DigestPeriod, EventStyle, FileNotifier, Message, NotSent, NotifyError, Sending, StdoutNotifier,
};
use crate::rollup::rules::Severity;
use crate::store::Migrate;
use crate::store::alerts::{AlertBatch, NewEvent};
use crate::store::leases::Shared;
use crate::store::outbox::{About, Claim, ClaimedMessage, Grouping, Ripe};

struct Bench {
    folder: tempfile::TempDir,
    store: Store,
}

fn start() -> Timestamp {
    "2026-03-01T06:00:00Z".parse().unwrap()
}

fn at(seconds: i64) -> Clock {
    Clock::Fixed(start() + Span::seconds(seconds))
}

fn recipient(channel: &str, recipient: &str) -> Recipient {
    Recipient { channel: channel.into(), recipient: recipient.into() }
}

fn event(id: &str, about: About) -> NewEvent {
    NewEvent {
        event_id: id.to_owned(),
        event_type: "alert.opened",
        alert_id: format!("alert-{id}"),
        about,
        payload: format!("{{\"schema\":\"amzctl.alert-event/1\",\"event_id\":\"{id}\"}}"),
    }
}

fn about(severity: Severity, day: &str) -> About {
    About { severity: Some(severity), day: day.to_owned(), ..About::default() }
}

/// A store whose outbox holds these events for stdout and the file.
async fn bench(events: &[&str]) -> Bench {
    let to = [recipient("stdout", "-"), recipient("file", "alerts.ndjson")];
    let events: Vec<NewEvent> = events.iter().map(|id| event(id, About::default())).collect();
    bench_with(&events, &to).await
}

async fn bench_with(events: &[NewEvent], to: &[Recipient]) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let store = crate::store::testing::fresh_store(folder.path()).await;
    let bench = Bench { folder, store };
    bench.write(events, to, start()).await;
    bench
}

fn policy(change: impl Fn(&mut Policy)) -> Policy {
    let mut policy = Policy::built_in(1, chrono_tz::UTC);
    change(&mut policy);
    policy
}

fn options(until: Until, claimant: &str) -> Options {
    Options { workspace: Workspace::default(), claimant: claimant.to_owned(), until }
}

impl Bench {
    async fn write(&self, events: &[NewEvent], to: &[Recipient], now: Timestamp) {
        let to: Vec<Subscriber> = to.iter().cloned().map(Subscriber::from).collect();
        let batch = AlertBatch { events: events.to_vec(), ..Default::default() };
        self.store.commit_alerts(&Workspace::default(), "run", now, &batch, &to, None).await.unwrap();
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("alerts.ndjson")
    }

    async fn deliver(&self, clock: Clock, targets: &[Target]) -> Summary {
        // Each run claims in a name of its own.
        let options = options(Until::NothingIsDue, &format!("at {}", clock.now()));
        run(&self.store, clock, &CancelToken::default(), targets, &options).await.unwrap()
    }

    fn file(&self) -> Target {
        let notifier = FileNotifier::new("alerts.ndjson", self.path());
        Target::new(Box::new(notifier), &policy(|it| it.group = 200))
    }

    async fn states(&self) -> Vec<String> {
        let sql = "SELECT DISTINCT channel || ' ' || state FROM deliveries ORDER BY 1";
        self.store.lines(sql).await
    }
}

type Printed = Arc<Mutex<String>>;

fn printing() -> (Target, Printed) {
    let out = Printed::default();
    let sink = Arc::clone(&out);
    let notifier = StdoutNotifier::new(EventStyle::Json, move |text: &str| {
        sink.lock().unwrap().push_str(text);
        Ok(())
    });
    (Target::new(Box::new(notifier), &policy(|_| {})), out)
}

fn broken() -> Target {
    let notifier = StdoutNotifier::new(EventStyle::Json, |_: &str| Err(io::Error::other("closed")));
    Target::new(Box::new(notifier), &policy(|_| {}))
}

type Answers = Arc<dyn Fn(&Message) -> Result<(), NotifyError> + Send + Sync>;

/// A channel that answers as it is told, and keeps what it was sent.
#[derive(Clone)]
struct Scripted {
    channel: &'static str,
    answer: Answers,
    sent: Arc<Mutex<Vec<Message>>>,
    /// Each message takes one, and waits for it.
    permits: Arc<Semaphore>,
}

impl Scripted {
    fn new(
        channel: &'static str,
        answer: impl Fn(&Message) -> Result<(), NotifyError> + Send + Sync + 'static,
    ) -> Scripted {
        let permits = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Scripted { channel, answer: Arc::new(answer), sent: Arc::default(), permits }
    }

    fn target(&self, change: impl Fn(&mut Policy)) -> Target {
        Target::new(Box::new(self.clone()), &policy(change))
    }

    /// Each message: its events joined, with a mark where it may have been sent.
    fn sent(&self) -> Vec<String> {
        let shown = |message: &Message| {
            let ids: Vec<&str> = message.events.iter().map(|event| event.event_id.as_str()).collect();
            format!("{}{}", ids.join(" "), if message.maybe_sent { " ?" } else { "" })
        };
        self.sent.lock().unwrap().iter().map(shown).collect()
    }
}

impl Notifier for Scripted {
    fn channel(&self) -> &str {
        self.channel
    }

    fn recipient(&self) -> &str {
        "-"
    }

    fn most_events(&self) -> usize {
        100
    }

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        self.sent.lock().unwrap().push(message.clone());
        Box::pin(async move {
            self.permits.acquire().await.unwrap().forget();
            (self.answer)(message)
        })
    }
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

async fn claim(store: &Store, to: &Recipient, claimant: &str, limit: usize) -> Vec<ClaimedMessage> {
    let grouping = Grouping { most: 1, apart: None, digest_at: None };
    let (workspace, now, ripe) = (Workspace::default(), start(), Ripe::default());
    let claim = Claim { workspace: &workspace, to, claimant, now, ripe, grouping, limit };
    store.claim_messages(&claim).await.unwrap()
}

#[tokio::test]
async fn every_channel_gets_every_event_once_in_order() {
    let bench = bench(&["c", "a", "b"]).await;
    let (stdout, printed) = printing();
    let targets = [stdout, bench.file()];
    let summary = bench.deliver(at(0), &targets).await;
    assert_eq!(counts(&summary), [(3, 0, 0), (3, 0, 0)]);
    assert_eq!((summary.waiting, summary.outcome()), (0, Outcome::Done));
    assert_eq!(ids(&printed.lock().unwrap()), "c a b");
    assert_eq!(ids_in(&bench.path()), "c a b");

    let again = bench.deliver(at(60), &targets).await;
    assert_eq!(counts(&again), [(0, 0, 0), (0, 0, 0)]);
    assert_eq!(ids_in(&bench.path()), "c a b");
}

/// Two commits in one instant, as of two marketplaces: they are told as one.
#[tokio::test]
async fn events_are_told_by_day_and_the_gravest_first() {
    let events = [
        event("later", about(Severity::High, "2026-03-02")),
        event("low", about(Severity::Low, "2026-03-01")),
        event("grave", about(Severity::Critical, "2026-03-01")),
        event("of no day", About::default()),
    ];
    let bench = bench_with(&events, &[recipient("file", "alerts.ndjson")]).await;
    bench.deliver(at(0), &[bench.file()]).await;
    assert_eq!(ids_in(&bench.path()), "of no day grave low later");
}

#[tokio::test]
async fn a_failing_channel_does_not_hold_up_another_and_is_tried_again_later() {
    let many: Vec<String> = (0..12).map(|n| format!("e{n:02}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let bench = bench(&many).await;
    let summary = bench.deliver(at(0), &[broken(), bench.file()]).await;
    assert_eq!(counts(&summary), [(0, 10, 0), (12, 0, 0)], "ten failures in a row are enough for one run");
    assert_eq!((summary.waiting, summary.outcome()), (12, Outcome::PartlyFailed));
    assert_eq!(summary.channels[0].error.as_deref(), Some("cannot write standard output: closed"));

    // Those that were not tried are due at once, those that failed not yet.
    let (stdout, printed) = printing();
    bench.deliver(at(1), &[stdout]).await;
    assert_eq!(ids(&printed.lock().unwrap()), "e10 e11");
    let (stdout, printed) = printing();
    let last = bench.deliver(at(31), &[stdout]).await;
    assert_eq!(last.waiting, 0);
    assert_eq!(printed.lock().unwrap().lines().count(), 10);
}

#[tokio::test]
async fn a_delivery_is_dead_after_its_last_attempt() {
    let bench = bench(&["a"]).await;
    let mut clock = 0;
    for attempt in 1..=MAX_ATTEMPTS {
        let summary = bench.deliver(at(clock), &[broken()]).await;
        let expected = if attempt == MAX_ATTEMPTS { (0, 0, 1) } else { (0, 1, 0) };
        assert_eq!(counts(&summary), [expected], "attempt {attempt}");
        clock += 6 * 3600;
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
    // What a process did that died after sending: claimed, wrote the first event and half of the second.
    let claimed = claim(&bench.store, &recipient("file", "alerts.ndjson"), "died", 10).await;
    assert!(claimed.iter().all(|message| !message.maybe_sent));
    let payload = |place: usize| claimed[place].events[0].payload.as_str();
    std::fs::write(bench.path(), format!("{}\n{}", payload(0), &payload(1)[..20])).unwrap();

    let summary = bench.deliver(at(1), &[bench.file()]).await;
    assert_eq!(counts(&summary), [(2, 0, 0)]);
    assert_eq!(ids_in(&bench.path()), "a b");
}

#[tokio::test]
async fn a_stop_gives_claims_back() {
    let bench = bench(&["a", "b"]).await;
    let cancel = CancelToken::default();
    let stop = cancel.clone();
    // The signal comes while the first message is on its way: it arrives, the second is not begun.
    let slow = Scripted::new("stdout", move |_| {
        stop.cancel(Outcome::Interrupted);
        Ok(())
    });
    let stopped = options(Until::Stopped { poll: Duration::from_secs(60) }, "stopped");
    let stopped = run(&bench.store, at(0), &cancel, &[slow.target(|_| {})], &stopped).await.unwrap();
    assert_eq!(counts(&stopped), [(1, 0, 0)]);
    assert_eq!(bench.states().await, ["file pending", "stdout delivered", "stdout pending"]);
    let after = Scripted::new("stdout", |_| Ok(()));
    bench.deliver(at(0), &[after.target(|_| {})]).await;
    assert_eq!(after.sent(), ["b"], "it was not sent, and nobody thinks so");
}

#[tokio::test]
async fn what_another_host_has_claimed_is_left_to_it_while_it_lives() {
    let bench = bench(&["a", "b"]).await;
    let elsewhere = Store::open(bench.store.location().clone(), Migrate::Refuse).await.unwrap();
    let Some(leases) = elsewhere.leases() else { return };
    let other = Shared::Deliver.lease("other");
    let hour = Duration::from_secs(3600);
    leases.take(&other, "{}", None, hour).await.unwrap();
    let to = recipient("file", "alerts.ndjson");
    assert_eq!(claim(&bench.store, &to, &other, 1).await[0].message_id, "a");
    assert_eq!(counts(&bench.deliver(at(1), &[bench.file()]).await), [(1, 0, 0)]);
    assert_eq!(ids_in(&bench.path()), "b");
    // It is gone: what it had is due, and may have been sent.
    leases.end_others(Shared::Deliver, "me", &[other]).await.unwrap();
    let claimed = claim(&bench.store, &to, "me", 10).await;
    let claimed: Vec<_> = claimed.iter().map(|one| (one.message_id.as_str(), one.maybe_sent)).collect();
    assert_eq!(claimed, [("a", true)]);
}

#[test]
fn delays_grow_from_half_a_minute_to_six_hours() {
    let now = start();
    for (attempts, longest) in [(1, 30), (2, 60), (5, 480), (11, 21_600), (60, 21_600)] {
        let delay = (retry_at(now, "event", attempts) - now).num_seconds();
        assert!((longest / 2..=longest).contains(&delay), "{attempts}: {delay} s");
    }
    assert_ne!(retry_at(now, "a", 5), retry_at(now, "b", 5));
}

#[tokio::test]
async fn what_is_refused_for_good_is_dead_at_once_and_what_is_asked_to_wait_waits() {
    let bench = bench(&["a", "b", "c"]).await;
    let answers = Scripted::new("stdout", |message| match message.message_id.as_str() {
        "a" => Err(NotifyError::refused("410 Gone")),
        "b" => Err(NotifyError::unknown("the connection was lost")),
        _ => Err(NotifyError::later("429").after(Some(Duration::from_secs(900)))),
    });
    let summary = bench.deliver(at(0), &[answers.target(|_| {})]).await;
    assert_eq!(counts(&summary), [(0, 2, 1)]);
    let shown =
        "SELECT event_id, state, maybe_sent, last_error FROM deliveries WHERE channel = 'stdout' ORDER BY 1";
    let expected = ["a dead 0 410 Gone", "b pending 1 the connection was lost", "c pending 1 429"];
    assert_eq!(bench.store.lines(shown).await, expected);
    // The one whose fate nobody knows is sent again under its id, and says so; the other not before its time.
    let after = Scripted::new("stdout", |_| Ok(()));
    bench.deliver(at(899), &[after.target(|_| {})]).await;
    assert_eq!(after.sent(), ["b ?"]);
    bench.deliver(at(900), &[after.target(|_| {})]).await;
    assert_eq!(after.sent(), ["b ?", "c ?"]);
    assert_eq!(bench.states().await, ["file pending", "stdout dead", "stdout delivered"]);
}

#[tokio::test]
async fn a_key_that_is_refused_costs_one_attempt_of_one_letter_and_what_waited_is_told_with_the_right_one() {
    let many: Vec<String> = (0..50).map(|n| format!("e{n:02}")).collect();
    let bench = bench(&many.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let locked = Scripted::new("stdout", |_| Err(NotifyError::new(NotSent::KeyRefused, "401")));
    let summary = bench.deliver(at(0), &[locked.target(|_| {})]).await;
    assert_eq!(counts(&summary), [(0, 1, 0)]);
    assert_eq!(locked.sent().len(), 1);
    let renewed = Scripted::new("stdout", |_| Ok(()));
    let summary = bench.deliver(at(60), &[renewed.target(|_| {})]).await;
    assert_eq!(counts(&summary), [(50, 0, 0)], "nothing was given up meanwhile");
}

/// By counts: while one channel hangs on its first messages and another refuses everything, the third gets all of its own.
#[tokio::test]
async fn a_channel_that_hangs_or_is_gone_slows_no_other() {
    let to = ["hangs", "gone", "well"].map(|channel| recipient(channel, "-"));
    let events: Vec<NewEvent> = (0..300).map(|n| event(&format!("e{n:03}"), About::default())).collect();
    let bench = bench_with(&events, &to).await;
    let cancel = CancelToken::default();
    let hangs = Scripted { permits: Arc::new(Semaphore::new(0)), ..Scripted::new("hangs", |_| Ok(())) };
    let gone = Scripted::new("gone", |_| Err(NotifyError::later("connection refused")));
    let (stop, open, seen) = (cancel.clone(), Arc::clone(&hangs.permits), Arc::new(Mutex::new(0)));
    let (count, blocked, begun) = (Arc::clone(&seen), hangs.clone(), Arc::new(Mutex::new(0)));
    let begun_there = Arc::clone(&begun);
    let well = Scripted::new("well", move |_| {
        let mut count = count.lock().unwrap();
        *count += 1;
        if *count == 300 {
            // Everything has arrived here, and there nothing has.
            *begun_there.lock().unwrap() = blocked.sent.lock().unwrap().len();
            stop.cancel(Outcome::Terminated);
            open.add_permits(300);
        }
        Ok(())
    });
    let targets = [
        hangs.target(|it| it.concurrency = 4),
        gone.target(|it| it.concurrency = 4),
        well.target(|it| it.concurrency = 8),
    ];
    let watching = options(Until::Stopped { poll: Duration::from_millis(50) }, "me");
    let summary = run(&bench.store, at(0), &cancel, &targets, &watching).await.unwrap();
    assert_eq!(summary.channels[2].delivered, 300);
    assert_eq!(*begun.lock().unwrap(), 4, "as many as may be on their way at once");
    assert_eq!(summary.channels[0].delivered, 4, "what was on its way is waited for, and no more begun");
    assert_eq!(summary.channels[1].delivered, 0);
    let (hung, gone) = (&summary.channels[0], &summary.channels[1]);
    assert_eq!((hung.failed, gone.dead), (0, 0));
}

#[tokio::test]
async fn a_watcher_tells_what_comes_up_and_what_is_due_again() {
    let bench = bench(&["a"]).await;
    let cancel = CancelToken::default();
    let (stop, store) = (cancel.clone(), bench.store.clone());
    let first = Arc::new(Mutex::new(true));
    let told = Scripted::new("stdout", move |message| {
        if message.message_id == "b" {
            stop.cancel(Outcome::Terminated);
            return Ok(());
        }
        if std::mem::take(&mut *first.lock().unwrap()) {
            return Err(NotifyError::later("503").after(Some(Duration::from_millis(50))));
        }
        let store = store.clone();
        tokio::spawn(async move {
            let batch = AlertBatch { events: vec![event("b", About::default())], ..Default::default() };
            let to = [recipient("stdout", "-").into()];
            let now = Clock::System.now();
            store.commit_alerts(&Workspace::default(), "run", now, &batch, &to, None).await.unwrap();
        });
        Ok(())
    });
    let watching = options(Until::Stopped { poll: Duration::from_millis(20) }, "me");
    let summary = run(&bench.store, Clock::System, &cancel, &[told.target(|_| {})], &watching).await.unwrap();
    assert_eq!(told.sent(), ["a", "a ?", "b"]);
    assert_eq!(counts(&summary), [(2, 1, 0)]);
}

#[tokio::test]
async fn messages_of_a_channel_keep_their_order_one_at_a_time_and_their_number_many_at_once() {
    let many: Vec<String> = (0..450).map(|n| format!("e{n:03}")).collect();
    let bench = bench(&many.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let one = Scripted::new("stdout", |_| Ok(()));
    bench.deliver(at(0), &[one.target(|_| {})]).await;
    assert_eq!(one.sent(), many);

    let busy = Scripted::new("file", |_| Ok(()));
    bench.store.run_script("UPDATE deliveries SET recipient = '-' WHERE channel = 'file'").await.unwrap();
    bench.deliver(at(0), &[busy.target(|it| it.concurrency = 16)]).await;
    let mut sent = busy.sent();
    sent.sort();
    assert_eq!(sent, many);
}

#[tokio::test]
async fn events_go_together_and_fail_together() {
    let bench = bench(&["a", "b", "c", "d", "e"]).await;
    let first = Scripted::new("stdout", |message| match message.events.len() {
        2 => Ok(()),
        _ => Err(NotifyError::later("503")),
    });
    let summary = bench.deliver(at(0), &[first.target(|it| it.group = 3)]).await;
    assert_eq!((first.sent(), counts(&summary)), (vec!["a b c".into(), "d e".into()], vec![(2, 3, 0)]));
    // Though one at a time would be sent now, what was one message stays one.
    let again = Scripted::new("stdout", |_| Ok(()));
    bench.deliver(at(60), &[again.target(|it| it.group = 1)]).await;
    assert_eq!(again.sent(), ["a b c ?"]);
    let id = |told: &Scripted| told.sent.lock().unwrap()[0].message_id.clone();
    assert_eq!(id(&again), id(&first));
}

fn time(text: &str) -> chrono::NaiveTime {
    text.parse().unwrap()
}

#[tokio::test]
async fn in_quiet_hours_only_what_is_critical_is_told_and_the_rest_afterwards() {
    let events = [
        event("low", about(Severity::Low, "2026-03-01")),
        event("grave", about(Severity::Critical, "2026-03-01")),
    ];
    let bench = bench_with(&events, &[recipient("ops", "-")]).await;
    let told = Scripted::new("ops", |_| Ok(()));
    // 06:00 UTC is 14:00 in Taipei: quiet from then to 15:00 there.
    let target = told.target(|it| {
        it.zone = chrono_tz::Asia::Taipei;
        it.quiet_hours = Some(QuietHours { from: time("14:00:00"), until: time("15:00:00") });
        it.group = 9;
    });
    let summary = bench.deliver(at(0), std::slice::from_ref(&target)).await;
    assert_eq!((told.sent(), summary.waiting), (vec!["grave".to_owned()], 1));
    bench.deliver(at(3599), std::slice::from_ref(&target)).await;
    assert_eq!(told.sent().len(), 1);
    bench.deliver(at(3600), &[target]).await;
    assert_eq!(told.sent(), ["grave", "low"]);
}

#[tokio::test]
async fn a_digest_has_what_came_up_before_it_was_due_and_is_the_same_when_it_is_tried_again() {
    let to = [recipient("ops", "-")];
    let bench = bench_with(&[event("a", About::default()), event("b", About::default())], &to).await;
    let unsent = Scripted::new("ops", |_| Err(NotifyError::unknown("no answer")));
    let daily = |it: &mut Policy| {
        it.zone = chrono_tz::Asia::Taipei;
        let (period, at, day) = (DigestPeriod::Daily, time("15:00:00"), chrono::Weekday::Mon);
        it.digest = Some(Digesting { period, at, day });
        it.language = Language::TraditionalChinese;
    };
    bench.deliver(at(3599), &[unsent.target(daily)]).await;
    assert_eq!(unsent.sent(), [] as [String; 0], "it is not time yet");
    bench.deliver(at(3600), &[unsent.target(daily)]).await;
    assert_eq!(unsent.sent(), ["a b"]);
    // Something comes up before the next attempt: it is for tomorrow's.
    bench.write(&[event("c", About::default())], &to, start() + Span::seconds(3700)).await;
    let told = Scripted::new("ops", |_| Ok(()));
    bench.deliver(at(4000), &[told.target(daily)]).await;
    assert_eq!(told.sent(), ["a b ?"]);
    let messages = told.sent.lock().unwrap().clone();
    assert_eq!(messages[0].message_id, unsent.sent.lock().unwrap()[0].message_id);
    let day = "2026-03-01".parse().unwrap();
    assert_eq!(messages[0].digest, Some(Digest { period: DigestPeriod::Daily, first: day, last: day }));
    assert_eq!(messages[0].language, Language::TraditionalChinese);
    bench.deliver(at(3600 + 86_400), &[told.target(daily)]).await;
    assert_eq!(told.sent(), ["a b ?", "c"]);
}
