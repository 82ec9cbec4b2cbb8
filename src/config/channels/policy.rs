//! Who hears what, and when: the checked policy of a channel. `stages::deliver` gives it its meaning.

use chrono::{NaiveTime, Weekday};
use chrono_tz::Tz;

use super::settings::{DigestDay, DigestWord, LanguageWord, PolicyWords, QuietBypass, SeverityWord};
use crate::model::{Language, Marketplace, Workspace};
use crate::notify::DigestPeriod;
use crate::rollup::rules::Severity;

/// Every type of event.
pub const EVENT_TYPES: [&str; 7] = [
    "alert.opened",
    "alert.escalated",
    "alert.resolved",
    "incident.opened",
    "report.published",
    "run.finished",
    "run.failed",
];

/// What is told where a channel does not say.
pub(super) const BUILT_IN_EVENTS: [&str; 2] = ["alert.opened", "alert.escalated"];

/// Who hears what, and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Types of events.
    pub events: Vec<String>,
    /// Of events that have a severity, the least severe.
    pub min_severity: Severity,
    /// Empty for all.
    pub rules: Vec<String>,
    /// Empty for all.
    pub marketplaces: Vec<Marketplace>,
    /// Empty for all.
    pub workspaces: Vec<Workspace>,
    pub quiet_hours: Option<QuietHours>,
    /// Of quiet hours and digests.
    pub zone: Tz,
    /// Alerts at least so severe are told in quiet hours too; null where none are.
    pub quiet_bypass: Option<Severity>,
    pub digest: Option<Digesting>,
    /// How many events one message may tell of.
    pub group: u32,
    /// Null for no limit.
    pub per_minute: Option<u32>,
    pub concurrency: u32,
    pub language: Language,
}

/// Hours of the day in which nothing is sent: from the first, until before the second, which may be of the
/// next day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuietHours {
    pub from: NaiveTime,
    pub until: NaiveTime,
}

/// When everything is told together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Digesting {
    pub period: DigestPeriod,
    pub at: NaiveTime,
    /// The day of a weekly one.
    pub day: Weekday,
}

impl Policy {
    /// That of `[alerts] stdout` and `file`, which tell at once.
    pub fn built_in(group: u32, zone: Tz) -> Policy {
        Policy {
            events: BUILT_IN_EVENTS.map(str::to_owned).to_vec(),
            min_severity: Severity::Low,
            rules: Vec::new(),
            marketplaces: Vec::new(),
            workspaces: Vec::new(),
            quiet_hours: None,
            zone,
            quiet_bypass: Some(Severity::Critical),
            digest: None,
            group,
            per_minute: None,
            concurrency: 1,
            language: Language::English,
        }
    }

    /// Checks what a section says; every fault is (key, what is wrong with it). `zone` is the reporting zone.
    pub(super) fn parse(words: &PolicyWords<'_>, zone: Tz) -> Result<Policy, Vec<(&'static str, String)>> {
        let mut faults = Vec::new();
        for event in words.events {
            if !EVENT_TYPES.contains(&event.as_str()) {
                let known = EVENT_TYPES.join(", ");
                faults.push(("events", format!("there is no event `{event}` (known: {known})")));
            }
        }
        for rule in words.rules {
            let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
            if rule.is_empty() || !rule.chars().all(is_name) {
                faults.push(("rules", format!("`{rule}` is no name of a rule")));
            }
        }
        let marketplaces = parsed("marketplaces", words.marketplaces, &mut faults);
        let workspaces = parsed("workspaces", words.workspaces, &mut faults);
        let zone = match words.time_zone {
            "" => zone,
            name => name.parse().unwrap_or_else(|_| {
                let said = format!("`{name}` is not an IANA time zone such as UTC or Europe/Berlin");
                faults.push(("time_zone", said));
                zone
            }),
        };
        let quiet_hours = match quiet_hours(words.quiet_hours) {
            Ok(hours) => hours,
            Err(said) => {
                faults.push(("quiet_hours", said));
                None
            }
        };
        let digest_at = time_of_day(words.digest_at);
        if digest_at.is_none() {
            faults.push(("digest_at", format!("`{}` is no time such as 08:00", words.digest_at)));
        }
        for (key, value, range) in [
            ("group", words.group, 1..=1_000),
            ("per_minute", words.per_minute, 0..=60_000),
            ("concurrency", words.concurrency, 1..=64),
            ("timeout_s", words.timeout_s, 1..=300),
        ] {
            if !range.contains(&value) {
                faults.push((key, format!("must be {} to {}", range.start(), range.end())));
            }
        }
        let (Some(at), true) = (digest_at, faults.is_empty()) else { return Err(faults) };
        Ok(Policy {
            events: words.events.to_vec(),
            min_severity: words.min_severity.into(),
            rules: words.rules.to_vec(),
            marketplaces,
            workspaces,
            quiet_hours,
            zone,
            quiet_bypass: match words.quiet_bypass {
                QuietBypass::Critical => Some(Severity::Critical),
                QuietBypass::None => None,
            },
            digest: period(words.digest).map(|period| Digesting {
                period,
                at,
                day: weekday(words.digest_day),
            }),
            group: words.group,
            per_minute: Some(words.per_minute).filter(|limit| *limit > 0),
            concurrency: words.concurrency,
            language: match words.language {
                LanguageWord::English => Language::English,
                LanguageWord::TraditionalChinese => Language::TraditionalChinese,
            },
        })
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    key: &'static str,
    texts: &[String],
    faults: &mut Vec<(&'static str, String)>,
) -> Vec<T> {
    let mut values = Vec::new();
    for text in texts {
        match text.parse::<T>() {
            Ok(value) => values.push(value),
            Err(error) => faults.push((key, error.to_string())),
        }
    }
    values
}

/// `22:00-07:00`; nothing for the empty text.
fn quiet_hours(text: &str) -> Result<Option<QuietHours>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let hours = text.split_once('-').and_then(|(from, until)| {
        Some(QuietHours { from: time_of_day(from.trim())?, until: time_of_day(until.trim())? })
    });
    match hours {
        Some(hours) if hours.from == hours.until => Err(format!("`{text}` has no end, or no length")),
        Some(hours) => Ok(Some(hours)),
        None => Err(format!("`{text}` is not two times such as 22:00-07:00")),
    }
}

fn time_of_day(text: &str) -> Option<NaiveTime> {
    let is_short = text.len() == 5;
    NaiveTime::parse_from_str(text, "%H:%M").ok().filter(|_| is_short)
}

impl From<SeverityWord> for Severity {
    fn from(word: SeverityWord) -> Severity {
        match word {
            SeverityWord::Low => Severity::Low,
            SeverityWord::Medium => Severity::Medium,
            SeverityWord::High => Severity::High,
            SeverityWord::Critical => Severity::Critical,
        }
    }
}

fn period(word: DigestWord) -> Option<DigestPeriod> {
    match word {
        DigestWord::None => None,
        DigestWord::Daily => Some(DigestPeriod::Daily),
        DigestWord::Weekly => Some(DigestPeriod::Weekly),
    }
}

fn weekday(word: DigestDay) -> Weekday {
    match word {
        DigestDay::Monday => Weekday::Mon,
        DigestDay::Tuesday => Weekday::Tue,
        DigestDay::Wednesday => Weekday::Wed,
        DigestDay::Thursday => Weekday::Thu,
        DigestDay::Friday => Weekday::Fri,
        DigestDay::Saturday => Weekday::Sat,
        DigestDay::Sunday => Weekday::Sun,
    }
}
