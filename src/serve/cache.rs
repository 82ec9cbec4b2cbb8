//! Answers that are kept: fresh for a while, then given once more while a newer one is computed, by one at a time. A mart
//! that is built, by whatever process, ends all of them.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::problem::{Kind, Problem};
use crate::model::Timestamp;

/// One answer as it is kept: everything of it that is the same for whoever asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Kept {
    pub(super) body: Arc<[u8]>,
    pub(super) next_cursor: Option<String>,
    /// The first digits of a hash of all of it.
    pub(super) hash: String,
}

/// An answer, and how old it is.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub(super) kept: Arc<Kept>,
    pub(super) cached: bool,
    pub(super) stale_at: Timestamp,
    /// How long it is still fresh.
    pub(super) fresh_for: Duration,
    pub(super) how: How,
}

/// Where an answer came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum How {
    Hit,
    /// Kept, and no longer fresh.
    Stale,
    Miss,
}

#[derive(Clone)]
struct Entry {
    kept: Arc<Kept>,
    generation: Arc<str>,
    computed: Instant,
    computed_at: Timestamp,
}

pub(super) struct Cache {
    fresh: Duration,
    stale: Duration,
    /// Bytes of all bodies, at most.
    most: usize,
    entries: Mutex<Entries>,
    flights: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

#[derive(Default)]
struct Entries {
    of_key: HashMap<String, Entry>,
    bytes: usize,
}

/// What the answers of now are computed from, and when that is.
#[derive(Clone)]
pub(super) struct Moment {
    pub(super) generation: Arc<str>,
    pub(super) now: Instant,
    pub(super) at: Timestamp,
}

impl Cache {
    pub(super) fn new(fresh: Duration, stale: Duration, most: usize) -> Cache {
        Cache { fresh, stale, most, entries: Mutex::default(), flights: Mutex::default() }
    }

    /// Bytes of the bodies that are kept now, and how many there are.
    pub(super) fn size(&self) -> (usize, usize) {
        let entries = self.lock();
        (entries.bytes, entries.of_key.len())
    }

    /// The answer under this key: the one that is kept, or the one that `compute` makes now. Of several who ask at once one
    /// computes; the others wait for it. What cannot be computed anew is given as it was, as long as that is not too old.
    pub(super) async fn answer<F>(
        self: &Arc<Cache>,
        key: &str,
        moment: &Moment,
        compute: impl FnOnce() -> F + Send,
    ) -> Result<Served, Problem>
    where
        F: Future<Output = Result<Kept, Problem>> + Send + 'static,
    {
        let known = self.find(key, moment);
        if let Some((entry, how)) = &known {
            match how {
                How::Hit => return Ok(self.served(entry, moment, How::Hit)),
                _ if *entry.generation == *moment.generation => {
                    // Somebody may be at it already.
                    if let Some(turn) = self.turn_at_once(key) {
                        let (moment, computing) = (moment.clone(), compute());
                        tokio::spawn(async move {
                            match computing.await {
                                Ok(kept) => drop(turn.cache.keep(&turn.key, kept, &moment)),
                                Err(problem) if is_passing(&problem) => {}
                                // It is not there any more, or not for them.
                                Err(_) => turn.cache.forget(&turn.key),
                            }
                        });
                    }
                    return Ok(self.served(entry, moment, How::Stale));
                }
                _ => {}
            }
        }
        let _turn = self.turn(key).await;
        if let Some((entry, How::Hit)) = self.find(key, moment) {
            return Ok(self.served(&entry, moment, How::Hit));
        }
        match (compute().await, known) {
            (Ok(kept), _) => Ok(self.served(&self.keep(key, kept, moment), moment, How::Miss)),
            (Err(problem), Some((entry, _))) if is_passing(&problem) => {
                Ok(self.served(&entry, moment, How::Stale))
            }
            (Err(problem), _) => {
                self.forget(key);
                Err(problem)
            }
        }
    }

    /// What is kept under a key and not too old: a hit, where it is fresh and of this generation.
    fn find(&self, key: &str, moment: &Moment) -> Option<(Entry, How)> {
        let entries = self.lock();
        let entry = entries.of_key.get(key)?;
        let age = moment.now.saturating_duration_since(entry.computed);
        let is_fresh = age < self.fresh && *entry.generation == *moment.generation;
        let how = if is_fresh { How::Hit } else { How::Stale };
        (age < self.fresh + self.stale).then(|| (entry.clone(), how))
    }

    fn served(&self, entry: &Entry, moment: &Moment, how: How) -> Served {
        let age = moment.now.saturating_duration_since(entry.computed);
        let of_now = *entry.generation == *moment.generation;
        let fresh = chrono::Duration::from_std(self.fresh).unwrap_or_default();
        Served {
            kept: entry.kept.clone(),
            cached: how != How::Miss,
            // Whatever is of an earlier mart was stale when it was computed, as far as anybody can tell.
            stale_at: if of_now { entry.computed_at + fresh } else { entry.computed_at },
            fresh_for: if of_now { self.fresh.saturating_sub(age) } else { Duration::ZERO },
            how,
        }
    }

    fn keep(&self, key: &str, kept: Kept, moment: &Moment) -> Entry {
        let entry = Entry {
            kept: Arc::new(kept),
            generation: moment.generation.clone(),
            computed: moment.now,
            computed_at: moment.at,
        };
        let weight = weight(key, &entry);
        if self.fresh.is_zero() || weight > self.most / 4 {
            return entry;
        }
        let mut entries = self.lock();
        if let Some(old) = entries.of_key.insert(key.to_owned(), entry.clone()) {
            entries.bytes -= self::weight(key, &old);
        }
        entries.bytes += weight;
        if entries.bytes > self.most {
            self.make_room(&mut entries, moment);
        }
        entry
    }

    /// Lets go what is too old, then the oldest, until a quarter is free.
    fn make_room(&self, entries: &mut Entries, moment: &Moment) {
        let mut by_age: Vec<(Instant, String)> =
            entries.of_key.iter().map(|(key, entry)| (entry.computed, key.clone())).collect();
        by_age.sort();
        for (computed, key) in by_age {
            let is_over = moment.now.saturating_duration_since(computed) >= self.fresh + self.stale;
            if !is_over && entries.bytes <= self.most / 4 * 3 {
                break;
            }
            if let Some(old) = entries.of_key.remove(&key) {
                entries.bytes -= weight(&key, &old);
            }
        }
    }

    fn forget(&self, key: &str) {
        let mut entries = self.lock();
        if let Some(old) = entries.of_key.remove(key) {
            entries.bytes -= weight(key, &old);
        }
    }

    /// Waits for the turn to compute under this key.
    async fn turn(self: &Arc<Cache>, key: &str) -> Turn {
        let mut turn = Turn { cache: self.clone(), key: key.to_owned(), held: None };
        turn.held = Some(self.flight(key).lock_owned().await);
        turn
    }

    /// The turn to compute under this key, where nobody has it.
    fn turn_at_once(self: &Arc<Cache>, key: &str) -> Option<Turn> {
        let held = self.flight(key).try_lock_owned().ok()?;
        Some(Turn { cache: self.clone(), key: key.to_owned(), held: Some(held) })
    }

    fn flight(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        flights.entry(key.to_owned()).or_default().clone()
    }

    /// Forgets a turn that nobody waits for.
    fn land(&self, key: &str) {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if flights.get(key).is_some_and(|flight| Arc::strong_count(flight) == 1) {
            flights.remove(key);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn to compute under a key, or a place among those who wait for it: given up however the request ends.
struct Turn {
    cache: Arc<Cache>,
    key: String,
    held: Option<tokio::sync::OwnedMutexGuard<()>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.held = None;
        self.cache.land(&self.key);
    }
}

/// What an entry costs in memory, more or less.
fn weight(key: &str, entry: &Entry) -> usize {
    key.len() + entry.kept.body.len() + 256
}

/// The database may be back in a moment.
fn is_passing(problem: &Problem) -> bool {
    problem.kind == Kind::Unavailable
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn cache() -> Arc<Cache> {
        Arc::new(Cache::new(10 * SECOND, 60 * SECOND, 1 << 20))
    }

    fn moment(start: Instant, seconds: u32, generation: &str) -> Moment {
        let at: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        Moment {
            generation: generation.into(),
            now: start + SECOND * seconds,
            at: at + chrono::Duration::seconds(seconds.into()),
        }
    }

    async fn made(text: &str) -> Result<Kept, Problem> {
        Ok(Kept { body: text.as_bytes().into(), next_cursor: None, hash: String::new() })
    }

    fn text(served: &Served) -> &str {
        std::str::from_utf8(&served.kept.body).unwrap()
    }

    #[tokio::test]
    async fn an_answer_is_fresh_then_stale_while_it_is_made_anew_then_gone() {
        let (cache, start) = (cache(), Instant::now());
        let first = cache.answer("k", &moment(start, 0, "a"), || made("one")).await.unwrap();
        assert_eq!((text(&first), first.cached, first.how), ("one", false, How::Miss));
        assert_eq!(first.stale_at.to_rfc3339(), "2026-03-01T12:00:10+00:00");
        let hit = cache.answer("k", &moment(start, 9, "a"), || made("two")).await.unwrap();
        assert_eq!((text(&hit), hit.cached, hit.fresh_for), ("one", true, SECOND));
        let stale = cache.answer("k", &moment(start, 11, "a"), || made("three")).await.unwrap();
        assert_eq!((text(&stale), stale.how), ("one", How::Stale));
        // Whoever comes next waits for the turn, and finds what was made meanwhile.
        drop(cache.flight("k").lock_owned().await);
        let new = cache.answer("k", &moment(start, 12, "a"), || made("four")).await.unwrap();
        assert_eq!((text(&new), new.how), ("three", How::Hit));
        let late = cache.answer("k", &moment(start, 90, "a"), || made("five")).await.unwrap();
        assert_eq!((text(&late), late.how), ("five", How::Miss));
    }

    #[tokio::test]
    async fn a_mart_that_is_built_ends_what_was_kept() {
        let (cache, start) = (cache(), Instant::now());
        cache.answer("k", &moment(start, 0, "a"), || made("one")).await.unwrap();
        let new = cache.answer("k", &moment(start, 1, "b"), || made("two")).await.unwrap();
        assert_eq!((text(&new), new.how), ("two", How::Miss));
    }

    #[tokio::test]
    async fn while_the_database_is_away_the_last_answer_is_given_and_said_to_be_stale() {
        let (cache, start) = (cache(), Instant::now());
        let away = || async { Err(Problem::new(Kind::Unavailable, "away")) };
        assert!(cache.answer("k", &moment(start, 0, "a"), away).await.is_err());
        cache.answer("k", &moment(start, 0, "a"), || made("one")).await.unwrap();
        let at = moment(start, 5, "b");
        let last = cache.answer("k", &at, away).await.unwrap();
        assert_eq!((text(&last), last.how, last.fresh_for), ("one", How::Stale, Duration::ZERO));
        assert!(last.stale_at < at.at);
        let wrong = || async { Err(Problem::not_found("product")) };
        assert!(cache.answer("k", &moment(start, 6, "b"), wrong).await.is_err(), "what is gone is gone");
    }

    #[tokio::test]
    async fn of_many_who_ask_at_once_one_computes() {
        let (cache, start) = (cache(), Instant::now());
        let computed = Arc::new(AtomicUsize::new(0));
        let ask = |cache: Arc<Cache>, computed: Arc<AtomicUsize>| async move {
            let compute = || async move {
                computed.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                made("one").await
            };
            cache.answer("k", &moment(start, 0, "a"), compute).await.unwrap()
        };
        let asking: Vec<_> = (0..50).map(|_| tokio::spawn(ask(cache.clone(), computed.clone()))).collect();
        for answer in asking {
            assert_eq!(text(&answer.await.unwrap()), "one");
        }
        assert_eq!(computed.load(Ordering::SeqCst), 1);
        assert!(cache.flights.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn who_hangs_up_leaves_nothing_behind_and_lets_the_next_one_compute() {
        let (cache, start) = (cache(), Instant::now());
        let forever = |cache: Arc<Cache>| {
            tokio::spawn(async move {
                let never = || std::future::pending::<Result<Kept, Problem>>();
                cache.answer("k", &moment(start, 0, "a"), never).await.map(|_| ())
            })
        };
        let (one, other) = (forever(cache.clone()), forever(cache.clone()));
        while Arc::strong_count(&cache.flight("k")) < 4 {
            tokio::task::yield_now().await;
        }
        one.abort();
        other.abort();
        assert!(one.await.unwrap_err().is_cancelled() && other.await.unwrap_err().is_cancelled());
        assert!(cache.flights.lock().unwrap().is_empty());
        let answer = cache.answer("k", &moment(start, 0, "a"), || made("one")).await.unwrap();
        assert_eq!(text(&answer), "one");
    }

    #[tokio::test]
    async fn what_is_gone_is_not_told_any_longer_than_it_takes_to_see_that() {
        let (cache, start) = (cache(), Instant::now());
        cache.answer("k", &moment(start, 0, "a"), || made("one")).await.unwrap();
        let gone = || async { Err(Problem::new(Kind::NotFound, "gone")) };
        // Stale: it is given, and looked at behind the scenes.
        cache.answer("k", &moment(start, 20, "a"), gone).await.unwrap();
        while cache.size().1 > 0 {
            tokio::task::yield_now().await;
        }
        assert!(cache.answer("k", &moment(start, 20, "a"), gone).await.is_err());
    }

    #[tokio::test]
    async fn memory_is_bounded() {
        let cache = Arc::new(Cache::new(10 * SECOND, 60 * SECOND, 100_000));
        let start = Instant::now();
        for number in 0..1_000 {
            let body = "x".repeat(1_000);
            let make = || async move { made(&body).await };
            cache.answer(&format!("k{number}"), &moment(start, number / 200, "a"), make).await.unwrap();
        }
        let (bytes, entries) = cache.size();
        assert!(bytes <= 100_000 && entries > 50, "{bytes} bytes, {entries} entries");
    }
}
