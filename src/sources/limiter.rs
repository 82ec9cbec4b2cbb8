//! A source's rate: governor inside the run, and what is left of the bucket carried from run to run.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use crate::model::{Rate, Timestamp};

/// The share of the permitted rate that is used: what arrives is less even than what is sent.
const USED_SHARE: f64 = 0.98;
/// The slowest rate that is kept, one in a day: governor has no slower one.
const SLOWEST: f64 = 1.0 / 86_400.0;

type Governor = RateLimiter<NotKeyed, InMemoryState, MonotonicClock, StateInformationMiddleware>;

/// What a run leaves for the next one.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Left {
    pub requests: f64,
    /// The rate that the server told of; null: the declared one.
    pub told: Option<f64>,
    pub paused_until: Option<Timestamp>,
    pub at: Timestamp,
}

/// Lets requests through at a rate.
#[derive(Debug)]
pub struct Limiter {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    governor: Governor,
    rate: Rate,
    told: Option<f64>,
    /// The rate is the operator's, whatever the server allows beyond it.
    is_own: bool,
    paused_until: Option<Instant>,
    /// Whole requests that may go now, as governor last said.
    left: u32,
}

impl Limiter {
    /// A bucket of this rate, filled as far as the last run left it. What the server told of its rate counts, except that
    /// one which `is_own` is never exceeded.
    pub fn new(rate: Rate, is_own: bool, left: Option<Left>, now: Timestamp) -> Limiter {
        let told = left.and_then(|left| left.told);
        let rate = told.map_or(rate, |told| allowed(rate, told, is_own));
        let burst = used_burst(rate);
        let filled = filled(rate, left, now);
        let governor = governor(rate);
        let taken = burst - filled.floor() as u32;
        if let Some(taken) = NonZeroU32::new(taken) {
            // A bucket holds at least what it is full with.
            let _ = governor.check_n(taken);
        }
        let paused_until = pause(left, now).map(|pause| Instant::now() + pause);
        let left = filled.floor() as u32;
        Limiter { inner: Mutex::new(Inner { governor, rate, told, is_own, paused_until, left }) }
    }

    /// How long the next request has to wait; null: it may go, and was counted.
    pub fn try_pass(&self) -> Option<Duration> {
        let mut inner = self.lock();
        let now = Instant::now();
        if let Some(pause) = inner.paused_until.and_then(|until| until.checked_duration_since(now))
            && !pause.is_zero()
        {
            return Some(pause);
        }
        let clock = MonotonicClock;
        let checked: Result<StateSnapshot, _> = inner.governor.check();
        match checked {
            Ok(state) => {
                inner.left = state.remaining_burst_capacity();
                None
            }
            Err(not_yet) => Some(not_yet.wait_time_from(clock.now())),
        }
    }

    /// Lets nothing through for this long.
    pub fn pause(&self, pause: Duration) {
        let mut inner = self.lock();
        let until = Instant::now() + pause;
        inner.paused_until = Some(inner.paused_until.map_or(until, |other| other.max(until)));
    }

    /// Goes on at the rate that the server says it allows, with an empty bucket.
    pub fn adjust(&self, per_second: f64) {
        let Some(per_second) = believable(per_second) else { return };
        let mut inner = self.lock();
        let rate = allowed(inner.rate, per_second, inner.is_own);
        inner.told = Some(per_second);
        if (inner.rate.per_second - rate.per_second).abs() <= 1e-9 {
            return;
        }
        inner.rate = rate;
        inner.governor = governor(inner.rate);
        if let Some(burst) = NonZeroU32::new(used_burst(inner.rate)) {
            // As in `new`.
            let _ = inner.governor.check_n(burst);
        }
        inner.left = 0;
    }

    /// How long nothing goes because the server asked for silence.
    pub fn pause_left(&self) -> Option<Duration> {
        let until = self.lock().paused_until?;
        until.checked_duration_since(Instant::now()).filter(|pause| !pause.is_zero())
    }

    /// What to keep for the next run.
    pub fn left(&self, now: Timestamp) -> Left {
        let inner = self.lock();
        let pause = inner.paused_until.and_then(|until| until.checked_duration_since(Instant::now()));
        let pause =
            pause.filter(|pause| !pause.is_zero()).and_then(|pause| chrono::Duration::from_std(pause).ok());
        Left {
            requests: f64::from(inner.left),
            told: inner.told,
            paused_until: pause.map(|pause| now + pause),
            at: now,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A rate that a server may mean; null for what would stop everything, or nothing.
pub fn believable(per_second: f64) -> Option<f64> {
    (per_second.is_finite() && per_second >= SLOWEST).then_some(per_second)
}

/// What is left of a bucket that several processes draw from, after one more request.
///
/// Errors: how long to wait for it.
pub fn draw(rate: Rate, is_own: bool, left: Option<Left>, now: Timestamp) -> Result<Left, Duration> {
    if let Some(pause) = pause(left, now).filter(|pause| !pause.is_zero()) {
        return Err(pause);
    }
    let told = left.and_then(|left| left.told);
    let rate = told.map_or(rate, |told| allowed(rate, told, is_own));
    let filled = filled(rate, left, now);
    if filled < 1.0 {
        let per_second = (rate.per_second * USED_SHARE).max(SLOWEST);
        return Err(Duration::from_secs_f64((1.0 - filled) / per_second));
    }
    // A clock that went back fills nothing twice.
    let at = left.map_or(now, |left| left.at.max(now));
    Ok(Left { requests: filled - 1.0, told, paused_until: None, at })
}

/// How many requests may go by now.
fn filled(rate: Rate, left: Option<Left>, now: Timestamp) -> f64 {
    let full = f64::from(used_burst(rate));
    left.map_or(full, |left| {
        let passed = (now - left.at).num_microseconds().unwrap_or(i64::MAX).max(0) as f64 / 1e6;
        (left.requests + passed * rate.per_second * USED_SHARE).clamp(0.0, full)
    })
}

/// How long a pause still lasts. A clock that went back makes none longer than it was.
fn pause(left: Option<Left>, now: Timestamp) -> Option<Duration> {
    let left = left?;
    let until = left.paused_until?;
    (until - now).min(until - left.at).to_std().ok()
}

/// The rate at which requests may go when the server tells of one.
fn allowed(rate: Rate, told: f64, is_own: bool) -> Rate {
    let per_second = if is_own { told.min(rate.per_second) } else { told };
    Rate { per_second, ..rate }
}

/// One request fewer than the server's bucket holds, where it holds several: two that were sent apart may arrive together.
fn used_burst(rate: Rate) -> u32 {
    rate.burst.saturating_sub(1).max(1)
}

fn governor(rate: Rate) -> Governor {
    let per_second = (rate.per_second * USED_SHARE).max(SLOWEST);
    let burst = NonZeroU32::new(used_burst(rate)).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(Duration::from_secs_f64(1.0 / per_second))
        .unwrap_or_else(|| Quota::per_second(NonZeroU32::MAX))
        .allow_burst(burst);
    RateLimiter::direct_with_clock(quota, MonotonicClock).with_middleware()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn passes(limiter: &Limiter) -> usize {
        std::iter::repeat_with(|| limiter.try_pass()).take_while(Option::is_none).count()
    }

    const RATE: Rate = Rate { per_second: 0.5, burst: 5 };

    #[test]
    fn a_first_run_begins_with_a_full_bucket_and_the_next_one_with_what_was_left() {
        let now = at("2026-05-01T12:00:00Z");
        let first = Limiter::new(RATE, false, None, now);
        assert_eq!(passes(&first), 4, "one less than the server's five");
        let left = first.left(now);
        assert_eq!(passes(&Limiter::new(RATE, false, Some(left), now)), 0);
        let later = Limiter::new(RATE, false, Some(left), at("2026-05-01T12:00:05Z"));
        assert_eq!(passes(&later), 2, "half a request a second");
        let much_later = Limiter::new(RATE, false, Some(left), at("2026-05-02T12:00:00Z"));
        assert_eq!(passes(&much_later), 4, "never more than full");
        let earlier = Limiter::new(RATE, false, Some(left), at("2026-05-01T11:00:00Z"));
        assert_eq!(passes(&earlier), 0, "a clock that went back fills nothing");
    }

    #[test]
    fn draws_from_a_shared_bucket_keep_its_rate_whoever_draws() {
        let mut now = at("2026-05-01T12:00:00Z");
        let (began, mut left, mut drawn) = (now, None, 0_u32);
        for _ in 0..1000 {
            match draw(RATE, false, left, now) {
                Ok(after) => (left, drawn) = (Some(after), drawn + 1),
                Err(wait) => now += wait,
            }
            let seconds = (now - began).num_milliseconds() as f64 / 1e3;
            assert!(
                f64::from(drawn) <= f64::from(RATE.burst) + seconds * RATE.per_second,
                "{drawn} in {seconds} s"
            );
        }
        let seconds = (now - began).num_seconds() as f64;
        assert!(
            f64::from(drawn) >= 0.95 * seconds * RATE.per_second,
            "{drawn} in {seconds} s: the rate is used"
        );

        let told = Left { requests: 0.0, told: Some(0.1), paused_until: None, at: now };
        let wait = draw(RATE, false, Some(told), now).unwrap_err();
        assert!((10.0..11.0).contains(&wait.as_secs_f64()), "{wait:?}");
        let paused_until = Some(now + chrono::Duration::seconds(30));
        let paused = Left { requests: 3.0, told: None, paused_until, at: now };
        assert_eq!(draw(RATE, false, Some(paused), now), Err(Duration::from_secs(30)));
        let earlier = draw(RATE, false, Some(Left { paused_until: None, ..paused }), began).unwrap();
        assert_eq!((earlier.requests, earlier.at), (2.0, now), "a clock that goes back fills nothing twice");
        assert_eq!(
            [f64::NAN, 0.0, -1.0, f64::INFINITY, 0.5].map(believable),
            [None, None, None, None, Some(0.5)]
        );
    }

    #[test]
    fn a_pause_lets_nothing_through_and_is_carried_over() {
        let now = at("2026-05-01T12:00:00Z");
        let limiter = Limiter::new(RATE, false, None, now);
        limiter.pause(Duration::from_secs(60));
        limiter.pause(Duration::from_secs(5));
        assert!(limiter.try_pass().is_some_and(|wait| wait > Duration::from_secs(50)));
        let left = limiter.left(now);
        let next = Limiter::new(RATE, false, Some(left), at("2026-05-01T12:00:10Z"));
        assert!(next.try_pass().is_some_and(|wait| wait > Duration::from_secs(40)));
        assert_eq!(passes(&Limiter::new(RATE, false, Some(left), at("2026-05-01T12:02:00Z"))), 4);
    }

    #[test]
    fn the_servers_own_rate_replaces_the_declared_one() {
        let limiter = Limiter::new(RATE, false, None, at("2026-05-01T12:00:00Z"));
        limiter.adjust(0.1);
        let wait = limiter.try_pass().unwrap();
        assert!(wait > Duration::from_secs(9) && wait < Duration::from_secs(11), "{wait:?}");
        for nonsense in [f64::NAN, 0.0, -1.0] {
            limiter.adjust(nonsense);
        }
        let now = at("2026-05-01T12:00:00Z");
        assert_eq!(limiter.left(now).told, Some(0.1), "and goes on to the next run");
        // The operator's own rate is kept where the server allows more, and a configuration that changes counts at once.
        let own = |told| {
            let left = Left { requests: 0.0, told: Some(told), paused_until: None, at: now };
            Limiter::new(RATE, true, Some(left), now).try_pass().unwrap().as_secs_f64()
        };
        assert!((1.9..2.2).contains(&own(50.0)), "{}", own(50.0));
        assert!((9.0..11.0).contains(&own(0.1)), "{}", own(0.1));
    }

    #[test]
    fn a_clock_that_went_back_makes_no_pause_longer() {
        let now = at("2026-05-01T12:00:00Z");
        let limiter = Limiter::new(RATE, false, None, now);
        limiter.pause(Duration::from_secs(60));
        let earlier = Limiter::new(RATE, false, Some(limiter.left(now)), at("2025-05-01T12:00:00Z"));
        assert!(earlier.try_pass().is_some_and(|wait| wait <= Duration::from_secs(60)));
    }
}
