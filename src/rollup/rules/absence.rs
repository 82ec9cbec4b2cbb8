//! Rules about what is missing: stale and gone products, sources in trouble.

use chrono::Timelike;
use serde_json::json;

use super::wording::Evidence;
use super::{Finding, Rule, RuleSet};
use crate::model::{Day, ProductKey, ReportingZone, Tier, Timestamp};

/// The slot of a tier that `at` lies in: 6-hour slots of the reporting day, reporting days, ISO weeks. A
/// watched product is to be seen once in each. Consecutive slots have consecutive numbers.
pub fn slot_of(tier: Tier, zone: ReportingZone, at: Timestamp) -> i64 {
    let day_no = i64::from(zone.day_of(at).no());
    match tier {
        Tier::Critical => day_no * 4 + i64::from(at.with_timezone(&zone.0).hour() / 6),
        Tier::Routine => day_no,
        // 1970-01-01 was a Thursday: its week began three days before.
        Tier::Weekly => (day_no + 3).div_euclid(7),
    }
}

/// The day on which a slot of the tier begins.
fn first_day_of_slot(tier: Tier, slot: i64) -> Day {
    let day_no = match tier {
        Tier::Critical => slot.div_euclid(4),
        Tier::Routine => slot,
        Tier::Weekly => slot * 7 - 3,
    };
    Day::from_no(i32::try_from(day_no).unwrap_or(i32::MAX))
}

fn slot_word(tier: Tier) -> &'static str {
    match tier {
        Tier::Critical => "6-hour slots",
        Tier::Routine => "days",
        Tier::Weekly => "weeks",
    }
}

/// A watched product and when it was last seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StaleFacts {
    pub product: ProductKey,
    pub tier: Tier,
    /// Its newest observation; null when it was never seen.
    pub observed_at: Option<Timestamp>,
    /// When it was put on the watchlist: nothing was to be expected before.
    pub watched_since: Timestamp,
}

/// Finds a product stale when [`stale_slots`](RuleSet::stale_slots) whole slots have passed since the one it
/// was last seen in. The slot that is still running does not count: its observation may be on the way.
pub fn judge_stale(
    facts: &StaleFacts,
    zone: ReportingZone,
    now: Timestamp,
    set: &RuleSet,
) -> Option<Finding> {
    let expected_since = facts.observed_at.map_or(facts.watched_since, |seen| seen.max(facts.watched_since));
    let last_slot = slot_of(facts.tier, zone, expected_since);
    let stale_slot = last_slot + i64::from(set.stale_slots) + 1;
    if slot_of(facts.tier, zone, now) < stale_slot {
        return None;
    }
    let step = set.event(Rule::ProductStale)?;
    let day = first_day_of_slot(facts.tier, stale_slot);
    let since = match facts.observed_at {
        Some(seen) => format!("no observation since {}", zone.day_of(seen)),
        None => format!("never observed, watched since {}", zone.day_of(facts.watched_since)),
    };
    // An alert keeps its message for as long as it is open: the slots are those after which it is stale, not
    // a count.
    let message = format!("{since}: at least {} whole {} missed", set.stale_slots, slot_word(facts.tier));
    let evidence = Evidence::default()
        .day("day", day)
        .put("tier", facts.tier.as_str())
        .put("observed_at", json!(facts.observed_at))
        .put("watched_since", json!(zone.day_of(facts.watched_since)))
        .put("stale_slots", set.stale_slots);
    Some(finding(Rule::ProductStale, step, Some(facts.product), day, String::new(), message, evidence))
}

/// A product that the source did not find.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GoneFacts {
    pub product: ProductKey,
    /// The day it was last found; null when it never was.
    pub last_found: Option<Day>,
    /// Days with an answer "not found" after that, sorted, each once.
    pub not_found: Vec<Day>,
}

/// Finds a product gone on the second day on which it was not found.
pub fn judge_gone(facts: &GoneFacts, set: &RuleSet) -> Option<Finding> {
    let [first, second, ..] = facts.not_found.as_slice() else { return None };
    let step = set.event(Rule::ProductGone)?;
    let last = facts.last_found.map_or_else(|| "never found".to_owned(), |day| format!("last found {day}"));
    let message = format!("not found on {first} and {second}; {last}");
    let evidence = Evidence::default()
        .day("day", *second)
        .put("not_found", json!([first, second]))
        .put("last_found", json!(facts.last_found));
    Some(finding(Rule::ProductGone, step, Some(facts.product), *second, String::new(), message, evidence))
}

/// An open incident of a source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IncidentFacts {
    pub incident_id: String,
    pub kind: String,
    pub source: String,
    pub field: String,
    pub reason: String,
    pub detail: String,
    pub day: Day,
}

/// Makes a finding of an incident; its object is the incident's id.
pub fn judge_incident(facts: &IncidentFacts, set: &RuleSet) -> Option<Finding> {
    let step = set.event(Rule::SourceIncident)?;
    let message = format!("source {}: {} ({})", facts.source, facts.detail, facts.kind.replace('_', " "));
    let evidence = Evidence::default()
        .day("day", facts.day)
        .put("kind", facts.kind.as_str())
        .put("source", facts.source.as_str())
        .put("field", facts.field.as_str())
        .put("reason", facts.reason.as_str())
        .put("detail", facts.detail.as_str());
    let object = facts.incident_id.clone();
    Some(finding(Rule::SourceIncident, step, None, facts.day, object, message, evidence))
}

fn finding(
    rule: Rule,
    step: super::Step,
    product: Option<ProductKey>,
    day: Day,
    object: String,
    message: String,
    evidence: Evidence,
) -> Finding {
    Finding { rule, severity: step.severity, product, day, object, message, evidence: evidence.into_value() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UTC: ReportingZone = ReportingZone(chrono_tz::UTC);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn product() -> ProductKey {
        ProductKey { marketplace: crate::model::Marketplace::Us, asin: "B0STALE000".parse().unwrap() }
    }

    fn stale(tier: Tier, seen: Option<&str>, now: &str) -> Option<Finding> {
        let facts = StaleFacts {
            product: product(),
            tier,
            observed_at: seen.map(at),
            watched_since: at("2026-03-02T10:00:00Z"),
        };
        judge_stale(&facts, UTC, at(now), &RuleSet::plain(2))
    }

    #[test]
    fn a_routine_product_is_stale_after_two_whole_days_without_it() {
        let seen = Some("2026-03-10T23:59:59Z");
        assert_eq!(stale(Tier::Routine, seen, "2026-03-12T23:59:59Z"), None);
        let finding = stale(Tier::Routine, seen, "2026-03-13T00:00:00Z").unwrap();
        assert_eq!(finding.day.to_string(), "2026-03-13");
        assert_eq!(finding.message, "no observation since 2026-03-10: at least 2 whole days missed");
        let later = stale(Tier::Routine, seen, "2026-03-20T00:00:00Z").unwrap();
        assert_eq!(later, finding, "the day is that on which it became stale");
    }

    #[test]
    fn critical_and_weekly_products_count_their_own_slots() {
        let seen = Some("2026-03-10T05:59:00Z");
        assert_eq!(stale(Tier::Critical, seen, "2026-03-10T17:59:59Z"), None);
        let finding = stale(Tier::Critical, seen, "2026-03-10T18:00:00Z").unwrap();
        assert_eq!(
            (finding.day.to_string(), finding.message.as_str()),
            (
                "2026-03-10".to_owned(),
                "no observation since 2026-03-10: at least 2 whole 6-hour slots missed"
            )
        );
        // 2026-03-10 is a Tuesday: two whole weeks end with Sunday the 29th.
        assert_eq!(stale(Tier::Weekly, seen, "2026-03-29T23:59:59Z"), None);
        let finding = stale(Tier::Weekly, seen, "2026-03-30T00:00:00Z").unwrap();
        assert_eq!(finding.day.to_string(), "2026-03-30");
    }

    #[test]
    fn a_product_never_seen_is_stale_counted_from_when_it_was_watched() {
        assert_eq!(stale(Tier::Routine, None, "2026-03-04T23:00:00Z"), None);
        let finding = stale(Tier::Routine, None, "2026-03-05T00:00:00Z").unwrap();
        assert_eq!(finding.message, "never observed, watched since 2026-03-02: at least 2 whole days missed");
        // Seen long before anybody asked for it.
        assert_eq!(stale(Tier::Routine, Some("2025-01-01T00:00:00Z"), "2026-03-04T00:00:00Z"), None);
    }

    #[test]
    fn a_product_is_gone_on_the_second_day_without_it() {
        let day = |text: &str| text.parse::<Day>().unwrap();
        let gone = |days: &[&str]| {
            let not_found = days.iter().map(|text| day(text)).collect();
            let facts = GoneFacts { product: product(), last_found: Some(day("2026-03-01")), not_found };
            judge_gone(&facts, &RuleSet::plain(2))
        };
        assert_eq!(gone(&["2026-03-02"]), None);
        let finding = gone(&["2026-03-02", "2026-03-05", "2026-03-06"]).unwrap();
        assert_eq!(finding.day, day("2026-03-05"));
        assert_eq!(finding.message, "not found on 2026-03-02 and 2026-03-05; last found 2026-03-01");
        assert_eq!(
            gone(&["2026-03-02", "2026-03-05"]).as_ref(),
            Some(&finding),
            "a third day changes nothing"
        );
    }

    #[test]
    fn an_incident_is_an_alert_of_its_source() {
        let facts = IncidentFacts {
            incident_id: "i1".into(),
            kind: "schema_drift".into(),
            source: "apify".into(),
            field: "price".into(),
            reason: "out_of_range".into(),
            detail: "25 of 50 records fail for price: out_of_range".into(),
            day: "2026-03-01".parse().unwrap(),
        };
        let finding = judge_incident(&facts, &RuleSet::plain(2)).unwrap();
        assert_eq!(
            (finding.marketplace(), finding.asin(), finding.object.as_str()),
            ("", String::new(), "i1")
        );
        assert_eq!(
            finding.message,
            "source apify: 25 of 50 records fail for price: out_of_range (schema drift)"
        );
    }
}
