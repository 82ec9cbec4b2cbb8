use chrono_tz::{America, Asia, Europe, Pacific, UTC};
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn time(hour: u32, minute: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, minute, 0).unwrap()
}

fn quiet(zone: Tz, from: NaiveTime, until: NaiveTime) -> Schedule {
    Schedule { zone, quiet: Some(QuietHours { from, until }), bypass: Some(Severity::Critical), digest: None }
}

fn digest(zone: Tz, period: DigestPeriod, at: NaiveTime) -> Schedule {
    let digest = Digesting { period, at, day: Weekday::Mon };
    Schedule { zone, quiet: None, bypass: Some(Severity::Critical), digest: Some(digest) }
}

fn is_quiet(schedule: &Schedule, now: Timestamp) -> bool {
    schedule.ripe(now).is_some_and(|ripe| ripe.least.is_some())
}

#[test]
fn quiet_hours_span_midnight_and_follow_the_clock_on_the_wall() {
    let berlin = quiet(Europe::Berlin, time(22, 0), time(7, 0));
    for (now, expected) in [
        ("2026-01-10T20:59:59Z", false),
        ("2026-01-10T21:00:00Z", true),
        ("2026-01-11T05:59:59Z", true),
        ("2026-01-11T06:00:00Z", false),
        // In summer an hour earlier by UTC.
        ("2026-07-10T20:00:00Z", true),
        ("2026-07-11T05:00:00Z", false),
        // The nights of the changes: 7 hours and 9 hours long.
        ("2026-03-28T21:00:00Z", true),
        ("2026-03-29T04:59:59Z", true),
        ("2026-03-29T05:00:00Z", false),
        ("2026-10-24T20:00:00Z", true),
        ("2026-10-25T05:59:59Z", true),
        ("2026-10-25T06:00:00Z", false),
    ] {
        assert_eq!(is_quiet(&berlin, at(now)), expected, "{now}");
    }
    assert_eq!(berlin.next_change(at("2026-03-28T22:30:00Z")), Some(at("2026-03-29T05:00:00Z")));
    assert_eq!(berlin.next_change(at("2026-10-24T22:30:00Z")), Some(at("2026-10-25T06:00:00Z")));
    assert_eq!(berlin.next_change(at("2026-01-11T12:00:00Z")), None, "something may be told at any time");
    // An end that the clock skips is the moment after it; one that comes twice is the first.
    let skipped = quiet(America::New_York, time(0, 0), time(2, 30));
    assert_eq!(skipped.next_change(at("2026-03-08T06:00:00Z")), Some(at("2026-03-08T07:00:00Z")));
    let twice = quiet(America::New_York, time(0, 0), time(1, 30));
    assert_eq!(twice.next_change(at("2026-11-01T05:00:00Z")), Some(at("2026-11-01T05:30:00Z")));
}

#[test]
fn nothing_is_told_at_night_where_nothing_bypasses_it() {
    let never = Schedule { bypass: None, ..quiet(UTC, time(22, 0), time(7, 0)) };
    assert_eq!(never.ripe(at("2026-01-10T23:00:00Z")), None);
    assert_eq!(never.ripe(at("2026-01-10T12:00:00Z")), Some(Ripe::default()));
    // A digest that falls into the night is sent in the morning, what is critical with it.
    let both = Schedule { quiet: never.quiet, ..digest(UTC, DigestPeriod::Daily, time(6, 0)) };
    assert_eq!(both.ripe(at("2026-01-10T06:30:00Z")), None);
    let slot = Some(at("2026-01-10T06:00:00Z"));
    assert_eq!(both.ripe(at("2026-01-10T07:00:00Z")).unwrap().made_before, slot);
    assert_eq!(both.next_change(at("2026-01-10T06:30:00Z")), Some(at("2026-01-10T07:00:00Z")));
}

#[test]
fn a_digest_is_due_at_its_time_of_day_also_when_the_clock_changes() {
    let new_york = digest(America::New_York, DigestPeriod::Daily, time(2, 30));
    let slot = |now| new_york.ripe(at(now)).unwrap().made_before.unwrap();
    assert_eq!(slot("2026-03-07T12:00:00Z"), at("2026-03-07T07:30:00Z"));
    // 02:30 does not exist on that day: 03:00 summer time.
    assert_eq!(slot("2026-03-08T06:59:59Z"), at("2026-03-07T07:30:00Z"));
    assert_eq!(slot("2026-03-08T07:00:00Z"), at("2026-03-08T07:00:00Z"));
    assert_eq!(slot("2026-03-09T12:00:00Z"), at("2026-03-09T06:30:00Z"));
    let twice = digest(America::New_York, DigestPeriod::Daily, time(1, 30));
    let slot = |now| twice.ripe(at(now)).unwrap().made_before.unwrap();
    assert_eq!(slot("2026-11-01T06:45:00Z"), at("2026-11-01T05:30:00Z"), "once, though 01:30 comes twice");

    let weekly = digest(Asia::Taipei, DigestPeriod::Weekly, time(8, 0));
    let slot = weekly.ripe(at("2026-03-04T00:00:00Z")).unwrap().made_before.unwrap();
    assert_eq!(slot, at("2026-03-02T00:00:00Z"), "a Monday");
    assert_eq!(weekly.next_change(slot), Some(at("2026-03-09T00:00:00Z")));
    let sums_up = weekly.digest(slot).unwrap();
    assert_eq!(
        (sums_up.first.to_string(), sums_up.last.to_string()),
        ("2026-02-23".into(), "2026-03-01".into())
    );
    let evening = digest(Asia::Taipei, DigestPeriod::Daily, time(20, 0));
    let of_evening = evening.digest(at("2026-03-02T12:00:00Z")).unwrap();
    assert_eq!((of_evening.first, of_evening.first.to_string()), (of_evening.last, "2026-03-02".into()));
}

const ZONES: [Tz; 8] = [
    UTC,
    Europe::Berlin,
    America::New_York,
    // Half an hour of summer time; a quarter past the hour; midnight skipped; a whole day skipped in 2011.
    chrono_tz::Australia::Lord_Howe,
    Asia::Kathmandu,
    America::Santiago,
    Pacific::Apia,
    Asia::Taipei,
];

fn any_zone() -> impl Strategy<Value = Tz> {
    (0..ZONES.len()).prop_map(|place| ZONES[place])
}

fn any_time() -> impl Strategy<Value = NaiveTime> {
    (0..24 * 4_u32).prop_map(|quarter| time(quarter / 4, quarter % 4 * 15))
}

/// Minutes of fifteen years, among them the changes of every zone.
fn any_minute() -> impl Strategy<Value = Timestamp> {
    (1_293_840_000_i64 / 60..1_767_225_600 / 60)
        .prop_map(|minute| Timestamp::from_timestamp(minute * 60, 0).unwrap())
}

/// A moment within two days of a change of the clock, where there is one in the year.
fn near_a_change(zone: Tz, year: i32, within: i64) -> Timestamp {
    let first = chrono::Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap();
    let offset = |at: Timestamp| at.with_timezone(&zone).naive_local() - at.naive_utc();
    let change = (0..366)
        .map(|day| first + Duration::days(day))
        .find(|day| offset(*day) != offset(*day + Duration::days(1)))
        .unwrap_or(first);
    change + Duration::minutes(within)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// The end of quiet hours is the first minute, looked for one by one, that is not quiet.
    #[test]
    fn quiet_hours_end_at_the_first_minute_that_is_not_quiet(
        zone in any_zone(), from in any_time(), until in any_time(), anywhere in any_minute(),
        near in proptest::option::of((2011..2026_i32, -2880..2880_i64)),
    ) {
        prop_assume!(from != until);
        let schedule = quiet(zone, from, until);
        let now = near.map_or(anywhere, |(year, within)| near_a_change(zone, year, within));
        let first = (0..).map(|minute| now + Duration::minutes(minute)).find(|at| !is_quiet(&schedule, *at)).unwrap();
        match schedule.next_change(now) {
            None => prop_assert_eq!(first, now),
            Some(end) => prop_assert_eq!(end, first, "{} from {} to {} at {}", zone, from, until, now),
        }
    }

    /// Digests are at least 22 hours and at most 26 apart (a day that a zone skips has none of its own), and each is due at
    /// its time on the wall, or right after a time that was skipped.
    #[test]
    fn there_is_one_digest_a_day(
        zone in any_zone(), of_day in any_time(), anywhere in any_minute(),
        near in proptest::option::of((2011..2026_i32, -2880..2880_i64)),
    ) {
        let schedule = digest(zone, DigestPeriod::Daily, of_day);
        let now = near.map_or(anywhere, |(year, within)| near_a_change(zone, year, within));
        let slot = schedule.ripe(now).unwrap().made_before.unwrap();
        let next = schedule.next_change(now).unwrap();
        prop_assert!(slot <= now && now < next);
        prop_assert_eq!(schedule.ripe(next).unwrap().made_before, Some(next));
        prop_assert_eq!(schedule.ripe(next - Duration::seconds(1)).unwrap().made_before, Some(slot));
        let hours = (next - slot).num_minutes() as f64 / 60.0;
        let skips_a_day = zone == Pacific::Apia;
        prop_assert!((22.0..=26.0).contains(&hours) || skips_a_day, "{} h in {}", hours, zone);
        let wall = slot.with_timezone(&zone).time();
        let before = (slot - Duration::minutes(1)).with_timezone(&zone).time();
        let is_after_a_gap = before < of_day && of_day < wall || wall < before && (of_day < wall || before < of_day);
        prop_assert!(wall == of_day || is_after_a_gap, "{} instead of {} in {}", wall, of_day, zone);
    }
}
