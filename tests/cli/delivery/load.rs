//! Many events, five channels, unreliable receivers, and a deliverer that is killed again and again: nothing is lost, nothing
//! whose acceptance was recorded is sent twice, everything else comes again under the same id, and what was given up is
//! whole and can be had tried again.
//!
//! Sizes: `AMZCTL_SWEEP=full` (`just soak`) or the small one. Prints its seed.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Instant;

use super::receivers::{Manner, Receivers, is_refused};
use super::{CHANNELS, Deliveries};
use crate::simulator::Random;
use crate::sweep::is_full;

struct Size {
    events: u64,
    kills: u32,
}

fn size() -> Size {
    if is_full() { Size { events: 100_000, kills: 100 } } else { Size { events: 2_000, kills: 5 } }
}

/// Each channel's messages with their state: `c0 delivered 1990`.
fn states(of: &Deliveries) -> Vec<String> {
    of.lines(
        "SELECT channel || ' ' || state || ' ' || COUNT(*) FROM deliveries GROUP BY channel, state ORDER BY channel, state",
    )
}

#[test]
fn nothing_is_lost_and_nothing_known_is_sent_twice_under_kills() {
    let seed = 20_261_122;
    let Size { events, kills } = size();
    let receivers = Receivers::start(seed);
    let mut of = Deliveries::new(&receivers, events);
    for channel in CHANNELS {
        receivers.set(channel, Manner::Flaky);
    }
    receivers.set("c3", Manner::Picky);
    receivers.set("c4", Manner::Gone);
    let mut dice = Random::named(seed, &["kills"]);
    let began = Instant::now();

    // Killed at a random number of arrivals, again and again.
    let mut landed = 0;
    while landed < kills {
        let mut child = of.spawn("alert deliver -q");
        let until = receivers.arrivals() + 1 + dice.below(4 * events / u64::from(kills));
        if receivers.wait_for(until, || child.try_wait().unwrap().is_some()) {
            child.kill().unwrap();
        }
        let status = child.wait().unwrap();
        landed += u32::from(status.signal() == Some(9));
        assert!(status.signal() == Some(9) || matches!(status.code(), Some(0 | 3)), "{status}");
        of.record(&receivers);
        of.later();
    }
    let killed_at = (receivers.arrivals(), receivers.accepted("c0"));

    // Then in peace: the four that are there are told everything while the fifth is gone.
    let mut rounds = 0;
    while of.waiting("c0", "c3") > 0 {
        of.run("alert deliver -q");
        of.record(&receivers);
        of.later();
        rounds += 1;
        assert!(rounds < 2_000, "{:?}", states(&of));
    }
    assert_eq!(receivers.accepted("c4"), 0);
    for channel in &CHANNELS[..3] {
        assert_eq!(receivers.accepted(channel), events, "{channel} has everything though c4 is gone");
    }

    // What a receiver refuses for good is a letter at once, and the only kind there is.
    let refused: Vec<String> =
        (0..events).map(Deliveries::event_id).filter(|id| is_refused(seed, "c3", id)).collect();
    assert!(!refused.is_empty());
    assert_eq!(of.events("c3", "dead"), refused);
    assert_eq!(receivers.accepted("c3"), events - refused.len() as u64);

    // They are mended: letters that were given up are tried again, the fifth catches up, and everybody has everything.
    receivers.set("c3", Manner::Flaky);
    receivers.set("c4", Manner::Flaky);
    of.run("alert dead retry --all --note mended -q");
    while of.waiting("c0", "c4") > 0 {
        of.run("alert deliver -q");
        of.record(&receivers);
        of.later();
        rounds += 1;
        assert!(rounds < 4_000, "{:?}", states(&of));
    }
    let given_up = of.events("c4", "dead").len() + of.events("c3", "dead").len();
    for channel in CHANNELS {
        assert_eq!(
            receivers.accepted(channel),
            events - of.events(channel, "dead").len() as u64,
            "{channel}: lost"
        );
        for id in of.events(channel, "delivered") {
            assert!(
                receivers.is_accepted(channel, &id),
                "{channel} {id} counts as delivered and never arrived"
            );
        }
    }
    assert_eq!(receivers.violations(), [] as [String; 0]);
    println!(
        "seed {seed}: {events} events × {} channels, {landed} kills, {rounds} rounds, {} arrivals ({} messages more than once, \
         {} arrivals and {} accepted by c0 at the last kill), {given_up} given up in the end, {:.1} s",
        CHANNELS.len(),
        receivers.arrivals(),
        receivers.repeated(),
        killed_at.0,
        killed_at.1,
        began.elapsed().as_secs_f64()
    );
}

/// How long the first four channels take to be told everything, in turns with the fifth well and mute: the ratio is printed.
#[test]
fn a_receiver_that_never_answers_holds_up_no_other() {
    let (events, turns) = if is_full() { (10_000, 5) } else { (500, 1) };
    let took = |fifth: Manner| {
        let receivers = Receivers::start(7);
        let of = Deliveries::new(&receivers, events);
        receivers.set("c4", fifth);
        let began = Instant::now();
        let mut child = of.spawn("alert deliver -q");
        while CHANNELS[..4].iter().any(|channel| receivers.accepted(channel) < events) {
            let is_over = || child.try_wait().unwrap().is_some();
            assert!(receivers.wait_for(receivers.arrivals() + 1, is_over), "{:?}", states(&of));
        }
        let took = began.elapsed().as_secs_f64();
        let told = receivers.accepted("c4");
        assert!(told < events || fifth == Manner::Well);
        assert!(child.try_wait().unwrap().is_none() || fifth == Manner::Well, "nobody waited for the fifth");
        child.kill().unwrap();
        child.wait().unwrap();
        took
    };
    let mut both: Vec<(f64, f64)> = (0..turns).map(|_| (took(Manner::Well), took(Manner::Mute))).collect();
    both.sort_by(|(a_well, a_mute), (b_well, b_mute)| (a_mute / a_well).total_cmp(&(b_mute / b_well)));
    let (well, mute) = both[both.len() / 2];
    println!(
        "{events} events to four channels: {well:.2} s beside a fifth that is well, {mute:.2} s beside one that never answers \
         ({:.2}×)",
        mute / well
    );
}

/// The oracle of the tests below is none that is always content.
#[test]
fn the_receivers_see_what_should_not_happen() {
    let receivers = Receivers::start(1);
    let mut of = Deliveries::new(&receivers, 20);
    of.sql("UPDATE deliveries SET state = 'delivered', delivered_at = 1 WHERE event_id = 'e1000003' AND channel = 'c1'");
    of.run("alert deliver -q");
    of.record(&receivers);
    assert_eq!((receivers.accepted("c0"), receivers.accepted("c1")), (20, 19), "one was never sent");
    assert_eq!((of.waiting("c0", "c4"), receivers.violations().len()), (0, 0));
    of.sql("UPDATE deliveries SET state = 'pending' WHERE event_id = 'e1000007' AND channel = 'c2'");
    of.sql("UPDATE deliveries SET state = 'pending', message_id = 'other' WHERE event_id = 'e1000008' AND channel = 'c2'");
    of.run("alert deliver -q");
    let violations = receivers.violations();
    assert!(
        violations.iter().any(|one| one.contains("e1000007") && one.contains("sent again")),
        "{violations:?}"
    );
    assert!(
        violations.iter().any(|one| one.contains("other") && one.contains("named for")),
        "{violations:?}"
    );
}

/// On a server two deliver at once, and either is killed in the middle.
#[test]
fn two_deliver_at_once_under_kills() {
    let seed = 20_261_123;
    let Size { events, kills } = size();
    if std::env::var("AMZCTL_TEST_DATABASE_URL").is_err() {
        println!("no server is named by AMZCTL_TEST_DATABASE_URL: skipped");
        return;
    }
    let receivers = Receivers::start(seed);
    let mut of = Deliveries::new(&receivers, events);
    for channel in CHANNELS {
        receivers.set(channel, Manner::Flaky);
    }
    let mut dice = Random::named(seed, &["kills"]);
    let began = Instant::now();
    let mut hosts = [of.spawn("alert deliver -q"), of.spawn("alert deliver -q")];
    let (mut landed, mut codes) = (0, BTreeSet::new());
    while landed < kills {
        let victim = dice.below(2) as usize;
        let until = receivers.arrivals() + 1 + dice.below(4 * events / u64::from(kills));
        if receivers.wait_for(until, || hosts[victim].try_wait().unwrap().is_some()) {
            hosts[victim].kill().unwrap();
        }
        let status = hosts[victim].wait().unwrap();
        landed += u32::from(status.signal() == Some(9));
        codes.insert(status.code());
        // What is known to be delivered is known for good, though the other one is still at it.
        of.record(&receivers);
        of.later();
        hosts[victim] = of.spawn("alert deliver -q");
    }
    for mut host in hosts {
        codes.insert(host.wait().unwrap().code());
    }
    assert!(codes.iter().all(|code| matches!(code, None | Some(0 | 3))), "{codes:?}");
    let mut rounds = 0;
    while of.waiting("c0", "c4") > 0 {
        of.later();
        let pair = [of.spawn("alert deliver -q"), of.spawn("alert deliver -q")];
        for mut host in pair {
            let status = host.wait().unwrap();
            assert!(matches!(status.code(), Some(0 | 3)), "{status}");
        }
        of.record(&receivers);
        rounds += 1;
        assert!(rounds < 2_000, "{:?}", states(&of));
    }
    for channel in CHANNELS {
        assert_eq!(
            receivers.accepted(channel),
            events - of.events(channel, "dead").len() as u64,
            "{channel}: lost"
        );
    }
    assert_eq!(receivers.violations(), [] as [String; 0]);
    println!(
        "seed {seed}: {events} events × {} channels, two hosts, {landed} kills, {rounds} rounds, {} arrivals ({} messages more \
         than once), {:.1} s",
        CHANNELS.len(),
        receivers.arrivals(),
        receivers.repeated(),
        began.elapsed().as_secs_f64()
    );
}
