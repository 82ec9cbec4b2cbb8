//! How much is asked: sliding windows per key, and attempts with keys that are not valid per address.
//!
//! A window counts in slices. A slice that reaches out of the window counts whole, so that in no minute and no hour more
//! than the tier's number is let through.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::KeyTier;

/// Slices of a window.
const SLICES: usize = 60;
/// Attempts with wrong keys that an address has in a minute.
const FAILURES: u32 = 5;
/// How long the first wait is; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
/// So many keys or addresses are remembered at once; what is at rest is forgotten first.
const REMEMBERED: usize = 20_000;

/// What a key has left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Allowance {
    /// Of the window that is closer to its end.
    pub(super) limit: u32,
    pub(super) remaining: u32,
    /// Seconds until something is given back.
    pub(super) reset_s: u64,
    pub(super) is_allowed: bool,
}

/// Counts what every key asks.
pub(super) struct Limiter {
    start: Instant,
    of_key: Mutex<HashMap<String, [Window; 2]>>,
}

impl Limiter {
    pub(super) fn new(start: Instant) -> Limiter {
        Limiter { start, of_key: Mutex::default() }
    }

    /// Takes `weight` from a key's windows, if both have as much.
    pub(super) fn take(&self, key_id: &str, tier: KeyTier, weight: u32, now: Instant) -> Allowance {
        let now = now.saturating_duration_since(self.start);
        let mut of_key = self.of_key.lock().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut of_key, |windows| windows.iter().all(|window| window.is_empty(now)));
        let windows = of_key
            .entry(key_id.to_owned())
            .or_insert_with(|| [Window::new(Duration::from_secs(1)), Window::new(Duration::from_secs(60))]);
        let limits = [tier.per_minute(), tier.per_hour()];
        let used = [windows[0].used(now), windows[1].used(now)];
        let is_allowed = used.iter().zip(limits).all(|(used, limit)| used + weight <= limit);
        if is_allowed {
            windows.iter_mut().for_each(|window| window.add(now, weight));
        }
        let taken = if is_allowed { weight } else { 0 };
        let left = |place: usize| limits[place].saturating_sub(used[place] + taken);
        let tighter = usize::from(left(1) < left(0));
        Allowance {
            limit: limits[tighter],
            remaining: left(tighter),
            reset_s: windows[tighter].until_less(now).as_secs() + 1,
            is_allowed,
        }
    }
}

/// What was taken lately.
struct Window {
    slice: Duration,
    /// (number of the slice since the start, what was taken in it); one more than the window is long.
    taken: [(u64, u32); SLICES + 1],
}

impl Window {
    fn new(slice: Duration) -> Window {
        Window { slice, taken: [(0, 0); SLICES + 1] }
    }

    fn number(&self, now: Duration) -> u64 {
        (now.as_nanos() / self.slice.as_nanos()) as u64
    }

    fn counted(&self, now: Duration) -> impl Iterator<Item = (u64, u32)> {
        let number = self.number(now);
        self.taken
            .iter()
            .copied()
            .filter(move |(of, taken)| *taken > 0 && *of + SLICES as u64 >= number && *of <= number)
    }

    fn used(&self, now: Duration) -> u32 {
        self.counted(now).map(|(_, taken)| taken).sum()
    }

    fn is_empty(&self, now: Duration) -> bool {
        self.used(now) == 0
    }

    fn add(&mut self, now: Duration, weight: u32) {
        let number = self.number(now);
        let place = &mut self.taken[(number % (SLICES as u64 + 1)) as usize];
        *place = if place.0 == number { (number, place.1 + weight) } else { (number, weight) };
    }

    /// The time until the oldest slice that is counted is not counted any more.
    fn until_less(&self, now: Duration) -> Duration {
        let Some(oldest) = self.counted(now).map(|(number, _)| number).min() else { return Duration::ZERO };
        let ends = self.slice * u32::try_from(oldest + SLICES as u64 + 1).unwrap_or(u32::MAX);
        ends.saturating_sub(now)
    }
}

/// Counts attempts with keys that are not valid, by address. Whoever has too many waits, longer each time, whatever key
/// they show.
#[derive(Default)]
pub(super) struct Throttle(Mutex<HashMap<IpAddr, Failures>>);

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    since: Instant,
    waits: u32,
    waits_until: Option<Instant>,
}

impl Throttle {
    /// How long the address still has to wait; null where it may try.
    pub(super) fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = failures.get(&neighbourhood(address))?.waits_until?;
        (until > now).then(|| until - now)
    }

    /// Counts an attempt that failed.
    pub(super) fn failed(&self, address: IpAddr, now: Instant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut all, |failures: &Failures| now.duration_since(failures.since) > 2 * LONGEST_WAIT);
        let fresh = Failures { count: 0, since: now, waits: 0, waits_until: None };
        let failures = all.entry(neighbourhood(address)).or_insert(fresh);
        // Attempts that were on their way when the wait began do not make it longer.
        if failures.waits_until.is_some_and(|until| until > now) {
            return;
        }
        let calm_since = failures.waits_until.unwrap_or(failures.since);
        if now.saturating_duration_since(calm_since) > LONGEST_WAIT {
            *failures = fresh;
        } else if now.saturating_duration_since(failures.since) > FIRST_WAIT {
            (failures.count, failures.since) = (0, now);
        }
        failures.count += 1;
        if failures.count >= FAILURES {
            let wait = (FIRST_WAIT * 2_u32.saturating_pow(failures.waits)).min(LONGEST_WAIT);
            // After the wait there is a single attempt before the next one.
            *failures = Failures {
                count: FAILURES - 1,
                since: now + wait,
                waits: (failures.waits + 1).min(16),
                waits_until: Some(now + wait),
            };
        }
    }
}

/// Who has one address of version 6 has all of its network's.
pub(super) fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

/// Forgets what is at rest once there is too much; all, where nothing is.
fn make_room<K: Eq + Hash, V>(all: &mut HashMap<K, V>, is_at_rest: impl Fn(&V) -> bool) {
    if all.len() >= REMEMBERED {
        all.retain(|_, one| !is_at_rest(one));
    }
    if all.len() >= REMEMBERED {
        all.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn in_no_minute_more_is_let_through_than_the_tier_says() {
        let start = Instant::now();
        let limiter = Limiter::new(start);
        // Every 0.7 s, for ten minutes: more than the tier lets through.
        let mut let_through: Vec<Instant> = Vec::new();
        for step in 0..860 {
            let now = start + Duration::from_millis(700) * step;
            if limiter.take("key", KeyTier::Basic, 1, now).is_allowed {
                let_through.push(now);
            }
        }
        for from in &let_through {
            let within = let_through.iter().filter(|at| **at >= *from && **at < *from + 60 * SECOND).count();
            assert!(within <= 60, "{within} in the minute from {:?}", *from - start);
        }
        assert!(let_through.len() > 9 * 58, "{}", let_through.len());
    }

    #[test]
    fn the_hour_is_a_limit_too_and_weights_count() {
        let start = Instant::now();
        let limiter = Limiter::new(start);
        let mut taken = 0;
        for minute in 0..59 {
            for _ in 0..6 {
                let now = start + 60 * SECOND * minute;
                taken += 10 * u32::from(limiter.take("key", KeyTier::Basic, 10, now).is_allowed);
            }
        }
        assert_eq!(taken, 1_000);
        let refused = limiter.take("key", KeyTier::Basic, 1, start + 60 * SECOND * 59);
        assert_eq!((refused.is_allowed, refused.limit, refused.remaining), (false, 1_000, 0));
        let again = start + 60 * SECOND * 59 + Duration::from_secs(refused.reset_s);
        assert!(limiter.take("key", KeyTier::Basic, 1, again).is_allowed, "after {} s", refused.reset_s);
        assert!(limiter.take("other", KeyTier::Basic, 1, start).is_allowed, "each key by itself");
    }

    #[test]
    fn attempts_at_the_same_time_are_one_reason_to_wait() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        let address: IpAddr = "203.0.113.1".parse().unwrap();
        for _ in 0..50 {
            throttle.failed(address, start);
        }
        assert_eq!(throttle.wait(address, start), Some(FIRST_WAIT));
    }

    #[test]
    fn who_guesses_waits_longer_each_time() {
        let throttle = Throttle::default();
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for attempt in 1..=5 {
            assert_eq!(throttle.wait(address, now), None, "attempt {attempt}");
            throttle.failed(address, now);
        }
        for _ in 0..8 {
            let wait = throttle.wait(address, now).unwrap();
            waits.push(wait.as_secs());
            now += wait;
            assert_eq!(throttle.wait(address, now), None);
            throttle.failed(address, now);
        }
        assert_eq!(waits, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(throttle.wait("192.0.2.8".parse().unwrap(), now), None, "others do not wait");
    }

    #[test]
    fn slips_far_apart_are_forgiven_and_a_network_is_one_address() {
        let throttle = Throttle::default();
        let mut now = Instant::now();
        for _ in 0..20 {
            throttle.failed("192.0.2.7".parse().unwrap(), now);
            now += 61 * SECOND;
        }
        assert_eq!(throttle.wait("192.0.2.7".parse().unwrap(), now), None);
        for host in 1..=5 {
            throttle.failed(format!("2001:db8::{host}").parse().unwrap(), now);
        }
        assert!(throttle.wait("2001:db8::99".parse().unwrap(), now).is_some());
        assert!(throttle.wait("2001:db8:0:1::1".parse().unwrap(), now).is_none());
    }
}
