//! Days and durations as a person types them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::context::Context;
use crate::error::Failure;
use crate::model::{Day, DayRange};

/// A day in an argument: `YYYY-MM-DD`, `today`, `yesterday`, `-30d`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DayArg {
    Day(Day),
    /// This many days before today.
    DaysAgo(i32),
}

impl DayArg {
    pub fn resolve(self, today: Day) -> Day {
        match self {
            DayArg::Day(day) => day,
            DayArg::DaysAgo(days) => today.plus(-days),
        }
    }
}

impl FromStr for DayArg {
    type Err = String;

    fn from_str(text: &str) -> Result<DayArg, String> {
        let days_ago = |text: &str| text.strip_prefix('-')?.strip_suffix('d')?.parse::<u16>().ok();
        match text.trim() {
            "today" => Ok(DayArg::DaysAgo(0)),
            "yesterday" => Ok(DayArg::DaysAgo(1)),
            other => match days_ago(other) {
                Some(days) => Ok(DayArg::DaysAgo(days.into())),
                None => other.parse().map(DayArg::Day).map_err(|_| {
                    format!("`{text}` is not a day (expected YYYY-MM-DD, today, yesterday or -30d)")
                }),
            },
        }
    }
}

impl fmt::Display for DayArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DayArg::Day(day) => day.fmt(f),
            DayArg::DaysAgo(days) => write!(f, "-{days}d"),
        }
    }
}

/// `--from` and `--to`: days, both inclusive.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct RangeArgs {
    /// First day: YYYY-MM-DD, today, yesterday or -30d
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    pub from: Option<DayArg>,

    /// Last day, inclusive; today when only --from is given
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    pub to: Option<DayArg>,
}

impl RangeArgs {
    /// The days asked for, said as resolved; null when neither end was given. A range without `--from` begins with
    /// `earliest`, one without `--to` ends today.
    pub fn resolve(self, context: &Context, earliest: Day) -> anyhow::Result<Option<DayRange>> {
        if self.from.is_none() && self.to.is_none() {
            return Ok(None);
        }
        let today = context.today();
        let first = self.from.map_or(earliest, |day| day.resolve(today));
        let last = self.to.map_or(today, |day| day.resolve(today));
        if last < first {
            return Err(Failure::usage(format!("--from {first} is after --to {last}")).into());
        }
        context.ui.note(&format!("days {first} to {last}"));
        Ok(Some(DayRange { first, last }))
    }
}

/// A duration in an argument: `90s`, `10m`, `1h`, or seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let error = || format!("`{text}` is not a duration (expected 90s, 10m, 1h or a number of seconds)");
    let number: u64 = number.parse().map_err(|_| error())?;
    let seconds = match unit {
        "" | "s" => 1,
        "ms" => return Ok(Duration::from_millis(number)),
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(error()),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_date_or_a_distance_from_today() {
        let today: Day = "2026-03-01".parse().unwrap();
        for (text, expected) in [
            ("2026-02-28", "2026-02-28"),
            ("today", "2026-03-01"),
            ("yesterday", "2026-02-28"),
            ("-30d", "2026-01-30"),
            ("-0d", "2026-03-01"),
        ] {
            assert_eq!(text.parse::<DayArg>().unwrap().resolve(today).to_string(), expected, "{text}");
        }
        for text in ["", "tomorrow", "30d", "-d", "2026-02-30", "-99999999d"] {
            assert!(text.parse::<DayArg>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_is_a_number_with_a_unit() {
        for (text, millis) in
            [("90", 90_000), ("250ms", 250), ("10m", 600_000), ("1h", 3_600_000), ("2d", 172_800_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "m", "10x", "-1s", "99999999999999999999h", "18446744073709551615h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
