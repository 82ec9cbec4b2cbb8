//! When a channel may speak: quiet hours and digests, by the clock on the wall of its time zone. Pure.
//!
//! A time of day that a change of the clock skips is the first minute that exists after it; of one that comes twice the
//! first is meant. So there is one digest a day, on the days of a change too.

use chrono::{
    DateTime, Datelike as _, Duration, NaiveDate, NaiveDateTime, NaiveTime, TimeZone as _, Weekday,
};
use chrono_tz::Tz;

use crate::config::{Digesting, Policy, QuietHours};
use crate::model::{Day, Timestamp};
use crate::notify::{Digest, DigestPeriod};
use crate::rollup::rules::Severity;
use crate::store::outbox::{Grouping, Ripe};

/// No zone skips more than a day.
const LONGEST_GAP_MINUTES: i64 = 25 * 60;
/// A digest that is sent before noon sums up the day before.
const NOON: Duration = Duration::hours(12);

/// The times of one channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Schedule {
    zone: Tz,
    quiet: Option<QuietHours>,
    bypass: Option<Severity>,
    digest: Option<Digesting>,
}

impl Schedule {
    pub(super) fn of(policy: &Policy) -> Schedule {
        let Policy { zone, quiet_hours: quiet, quiet_bypass: bypass, digest, .. } = policy;
        Schedule { zone: *zone, quiet: *quiet, bypass: *bypass, digest: *digest }
    }

    /// What may be told now; null when nothing may.
    pub(super) fn ripe(&self, now: Timestamp) -> Option<Ripe> {
        let made_before = self.digest.map(|digest| self.slot(digest, now));
        let is_quiet = self.quiet.is_some_and(|quiet| quiet.holds(self.wall(now).time()));
        match (is_quiet, self.bypass) {
            (false, _) => Some(Ripe { least: None, made_before }),
            // A digest has everything in it: it waits for the morning.
            (true, Some(least)) if self.digest.is_none() => Some(Ripe { least: Some(least), made_before }),
            (true, _) => None,
        }
    }

    /// How what is told for the first time is put into messages of at most `most` events.
    pub(super) fn grouping(&self, now: Timestamp, most: usize) -> Grouping {
        let apart = self.bypass.filter(|_| self.quiet.is_some() && self.digest.is_none());
        Grouping { most, apart, digest_at: self.digest.map(|digest| self.slot(digest, now)) }
    }

    /// When something may be told next that may not be told now.
    pub(super) fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let end = self.quiet.filter(|quiet| quiet.holds(self.wall(now).time())).map(|quiet| {
            let today = self.wall(now).date();
            let ends =
                (-1..=2).map(|days| self.instant((today + Duration::days(days)).and_time(quiet.until)));
            ends.filter(|end| *end > now).min().unwrap_or(now)
        });
        let digest = self.digest.map(|digest| self.next_slot(digest, now));
        [end, digest].into_iter().flatten().min()
    }

    /// The days that a digest which was due at `slot` sums up.
    pub(super) fn digest(&self, slot: Timestamp) -> Option<Digest> {
        let period = self.digest?.period;
        let last = Day::from(self.wall(slot - NOON).date());
        let first = match period {
            DigestPeriod::Daily => last,
            DigestPeriod::Weekly => last.plus(-6),
        };
        Some(Digest { period, first, last })
    }

    fn wall(&self, at: Timestamp) -> NaiveDateTime {
        at.with_timezone(&self.zone).naive_local()
    }

    /// The instant of a time on the wall.
    fn instant(&self, wall: NaiveDateTime) -> Timestamp {
        (0..=LONGEST_GAP_MINUTES)
            .find_map(|minute| self.zone.from_local_datetime(&(wall + Duration::minutes(minute))).earliest())
            .map_or_else(|| wall.and_utc(), |local: DateTime<Tz>| local.to_utc())
    }

    /// The newest digest that is due.
    fn slot(&self, digest: Digesting, now: Timestamp) -> Timestamp {
        let slots = self.slots(digest, now);
        slots.filter(|slot| *slot <= now).max().unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn next_slot(&self, digest: Digesting, now: Timestamp) -> Timestamp {
        let slots = self.slots(digest, now);
        slots.filter(|slot| *slot > now).min().unwrap_or(now + Duration::days(1))
    }

    /// The digests of the days around.
    fn slots(&self, digest: Digesting, now: Timestamp) -> impl Iterator<Item = Timestamp> {
        let (today, schedule) = (self.wall(now).date(), *self);
        (-9..=9).map(move |days| today + Duration::days(days)).filter(move |day| is_day_of(digest, *day)).map(
            move |day| {
                let wall: NaiveDateTime = day.and_time(digest.at);
                schedule.instant(wall)
            },
        )
    }
}

fn is_day_of(digest: Digesting, day: NaiveDate) -> bool {
    let weekday: Weekday = day.weekday();
    digest.period == DigestPeriod::Daily || weekday == digest.day
}

impl QuietHours {
    /// True of a time of day in them; they may span midnight.
    fn holds(self, time: NaiveTime) -> bool {
        if self.from <= self.until {
            self.from <= time && time < self.until
        } else {
            self.from <= time || time < self.until
        }
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
