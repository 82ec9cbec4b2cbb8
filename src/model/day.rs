//! Calendar days in the reporting zone, and the inclusive ranges and windows made of them.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate, TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Timestamp;

/// A calendar day, counted from 1970-01-01 = 0. Shown and parsed as `YYYY-MM-DD`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Day(i32);

/// The text is not a day: `YYYY-MM-DD`, a real date between 1995 and 2200.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a day (expected YYYY-MM-DD)")]
pub struct DayError(pub String);

impl Day {
    /// The day with this number of days since 1970-01-01.
    pub fn from_no(day_no: i32) -> Day {
        Day(day_no)
    }

    /// Days since 1970-01-01: the lake's `day_no`.
    pub fn no(self) -> i32 {
        self.0
    }

    /// The day `days` later (earlier when negative).
    pub fn plus(self, days: i32) -> Day {
        Day(self.0.saturating_add(days))
    }

    /// The lake's partition value: `YYYY-MM`.
    pub fn month(self) -> String {
        let date = self.date();
        format!("{:04}-{:02}", date.year(), date.month())
    }

    /// The first day of this day's month.
    pub fn month_start(self) -> Day {
        self.plus(1 - self.date().day() as i32)
    }

    /// The last day of this day's month.
    pub fn month_end(self) -> Day {
        self.month_start().plus(31).month_start().plus(-1)
    }

    /// The same day as chrono speaks it.
    pub fn date(self) -> NaiveDate {
        NaiveDate::from_epoch_days(self.0).unwrap_or(NaiveDate::MIN)
    }
}

impl From<NaiveDate> for Day {
    fn from(date: NaiveDate) -> Day {
        Day(date.to_epoch_days())
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.date().format("%Y-%m-%d"))
    }
}

impl FromStr for Day {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Day, DayError> {
        let error = || DayError(text.to_owned());
        if text.len() != 10 {
            return Err(error());
        }
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| error())?;
        if (1995..=2200).contains(&date.year()) { Ok(date.into()) } else { Err(error()) }
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Day, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Days from `first` to `last`, both inclusive; empty when `last < first`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct DayRange {
    pub first: Day,
    pub last: Day,
}

impl DayRange {
    /// The `days` days that end on `as_of`: `as_of - days + 1 ..= as_of`.
    pub fn window(as_of: Day, days: i32) -> DayRange {
        DayRange { first: as_of.plus(1 - days), last: as_of }
    }

    pub fn contains(self, day: Day) -> bool {
        self.first <= day && day <= self.last
    }

    pub fn days(self) -> impl Iterator<Item = Day> {
        (self.first.no()..=self.last.no()).map(Day)
    }
}

/// The zone that decides to which day an instant belongs; fixed when a database is initialised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReportingZone(pub chrono_tz::Tz);

impl ReportingZone {
    /// The calendar day of `at` in this zone.
    pub fn day_of(self, at: Timestamp) -> Day {
        at.with_timezone(&self.0).date_naive().into()
    }

    /// 12:00:00 of `day` in this zone: what a `--captured-at` that is only a date means.
    pub fn noon(self, day: Day) -> Timestamp {
        let noon = day.date().and_hms_opt(12, 0, 0).unwrap_or_default();
        match self.0.from_local_datetime(&noon).earliest() {
            Some(local) => local.with_timezone(&chrono::Utc),
            None => chrono::Utc.from_utc_datetime(&noon),
        }
    }

    /// The first instant after `day` in this zone.
    pub fn end_of(self, day: Day) -> Timestamp {
        let midnight = day.plus(1).date().and_hms_opt(0, 0, 0).unwrap_or_default();
        // A zone that skips midnight starts its day at the first minute that exists.
        (0..240)
            .find_map(|minute| {
                self.0.from_local_datetime(&(midnight + chrono::Duration::minutes(minute))).earliest()
            })
            .map(|local| local.with_timezone(&chrono::Utc))
            .unwrap_or_else(|| chrono::Utc.from_utc_datetime(&midnight))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_n_days_ends_on_its_as_of_day() {
        let as_of: Day = "2026-03-01".parse().unwrap();
        let window = DayRange::window(as_of, 7);
        assert_eq!(window.first.to_string(), "2026-02-23");
        assert_eq!(window.days().count(), 7);
    }

    #[test]
    fn months_begin_and_end_where_the_calendar_says() {
        let leap: Day = "2028-02-11".parse().unwrap();
        assert_eq!(leap.month_start().to_string(), "2028-02-01");
        assert_eq!(leap.month_end().to_string(), "2028-02-29");
        assert_eq!(leap.month(), "2028-02");
    }

    #[test]
    fn an_instant_belongs_to_the_day_of_the_reporting_zone() {
        let at = "2026-03-01T23:30:00Z".parse().unwrap();
        assert_eq!(ReportingZone(chrono_tz::UTC).day_of(at).to_string(), "2026-03-01");
        assert_eq!(ReportingZone(chrono_tz::Asia::Tokyo).day_of(at).to_string(), "2026-03-02");
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for text in ["2026-02-30", "26-01-01", "2026-1-1", "1970-01-01", "today", ""] {
            assert_eq!(text.parse::<Day>(), Err(DayError(text.to_owned())));
        }
    }
}
