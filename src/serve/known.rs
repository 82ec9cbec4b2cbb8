//! Keys and sessions that were found lately: each is looked for in the database again after a moment, and believed a while
//! longer where the database is away.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::problem::{Kind, Problem};
use crate::store;

/// How long what was found is taken for granted: for so long at most a key that was revoked goes on.
const TRUSTED_FOR: Duration = Duration::from_secs(2);
/// How long it is believed while the database does not answer. All that is to be had then are answers that were kept.
const BELIEVED_FOR: Duration = Duration::from_secs(15 * 60);
/// So many are remembered.
const REMEMBERED: usize = 10_000;

/// What was found lately, by its name.
pub(super) struct Known<T>(Mutex<HashMap<String, (T, Instant)>>);

impl<T> Default for Known<T> {
    fn default() -> Known<T> {
        Known(Mutex::default())
    }
}

impl<T: Clone> Known<T> {
    /// What has this name, as it was lately or as `look` finds it now.
    ///
    /// Errors: the database does not answer, and nothing is known.
    pub(super) async fn find(
        &self,
        name: &str,
        look: impl Future<Output = store::Result<Option<T>>>,
    ) -> Result<Option<T>, Problem> {
        let now = Instant::now();
        let known = self.lock().get(name).cloned();
        let known = known.map(|(value, at)| (value, now.saturating_duration_since(at)));
        if let Some((value, age)) = &known
            && *age < TRUSTED_FOR
        {
            return Ok(Some(value.clone()));
        }
        let found = match (look.await.map_err(Problem::from), known) {
            (Ok(found), _) => found,
            (Err(problem), Some((value, age))) if problem.kind == Kind::Unavailable && age < BELIEVED_FOR => {
                return Ok(Some(value));
            }
            (Err(problem), _) => return Err(problem),
        };
        let mut known = self.lock();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        match &found {
            Some(value) => drop(known.insert(name.to_owned(), (value.clone(), now))),
            None => drop(known.remove(name)),
        }
        Ok(found)
    }

    pub(super) fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (T, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn age(&self, by: Duration) {
        for (_, at) in self.lock().values_mut() {
            *at = at.checked_sub(by).expect("the machine has been up for so long");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[tokio::test]
    async fn what_was_found_is_asked_for_again_and_believed_while_nobody_answers() {
        let known = Known::default();
        let away = || async { Err(StoreError::from(sqlx::Error::PoolTimedOut)) };
        assert!(known.find("k", away()).await.is_err(), "nothing is known");
        assert_eq!(known.find("k", async { Ok(Some(1)) }).await.unwrap(), Some(1));
        assert_eq!(known.find("k", async { Ok(Some(2)) }).await.unwrap(), Some(1), "it is new");
        known.age(TRUSTED_FOR);
        assert_eq!(known.find("k", away()).await.unwrap(), Some(1));
        assert_eq!(known.find("k", async { Ok(Some(3)) }).await.unwrap(), Some(3));
        known.age(TRUSTED_FOR);
        assert_eq!(known.find("k", async { Ok(None) }).await.unwrap(), None, "it has ended");
        assert!(known.find("k", away()).await.is_err(), "and is not believed any more");
        known.find("k", async { Ok(Some(4)) }).await.unwrap();
        known.age(BELIEVED_FOR);
        assert!(known.find("k", away()).await.is_err());
    }
}
