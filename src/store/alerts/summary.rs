//! What came of the alerts of some days: how many were opened, how soon somebody looked, what is left.

use std::collections::BTreeMap;

use super::AlertState;
use crate::model::{Timestamp, Workspace};
use crate::rollup::rules::{Rule, Severity};
use crate::store::columns::{instant, known_instant, listed};
use crate::store::db::query;
use crate::store::{Result, Store};

/// How one alert went. Historical ones are left out: nobody was told of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlertCourse {
    pub rule: Rule,
    pub severity: Severity,
    /// '' where it is about a source.
    pub marketplace: String,
    /// '' where it is about a source.
    pub asin: String,
    pub state: AlertState,
    pub opened_at: Timestamp,
    /// The first time that somebody acknowledged it.
    pub acknowledged_at: Option<Timestamp>,
    /// The last time that it was resolved.
    pub resolved_at: Option<Timestamp>,
}

/// The alerts of one rule and severity.
#[derive(Clone, PartialEq, Debug)]
pub struct SummaryRow {
    pub rule: Rule,
    pub severity: Severity,
    pub opened: u64,
    /// Ever, whatever became of them afterwards.
    pub acknowledged: u64,
    pub resolved: u64,
    pub dismissed: u64,
    /// Open, acknowledged or snoozed.
    pub still_open: u64,
    /// From its opening to the first time it was acknowledged.
    pub median_acknowledge_s: Option<i64>,
    /// From its opening to its end, of those that are resolved.
    pub median_resolve_s: Option<i64>,
}

/// A product and how many alerts it had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Noisy {
    pub marketplace: String,
    pub asin: String,
    pub opened: u64,
    pub dismissed: u64,
    pub still_open: u64,
}

impl Store {
    /// How the alerts went that were opened since, oldest first.
    pub async fn load_alert_courses(
        &self,
        workspace: &Workspace,
        since: Timestamp,
    ) -> Result<Vec<AlertCourse>> {
        let rows = query(
            "SELECT a.rule, a.severity, a.marketplace, a.asin, a.state, a.recorded_at,
               (SELECT MIN(c.changed_at) FROM alert_changes c
                WHERE c.alert_id = a.alert_id AND c.to_state = 'acknowledged') AS acknowledged_at,
               (SELECT MAX(c.changed_at) FROM alert_changes c
                WHERE c.alert_id = a.alert_id AND c.to_state = 'resolved') AS resolved_at
             FROM alerts a WHERE a.workspace = $1 AND a.historical = 0 AND a.recorded_at >= $2
             ORDER BY a.recorded_at, a.alert_id",
        )
        .bind(workspace.as_str())
        .bind(since.timestamp_micros())
        .fetch_all(self.reader())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(AlertCourse {
                    rule: listed(row, "alerts", "rule", Rule::from_word)?,
                    severity: listed(row, "alerts", "severity", Severity::from_word)?,
                    marketplace: row.try_get("marketplace")?,
                    asin: row.try_get("asin")?,
                    state: listed(row, "alerts", "state", AlertState::from_word)?,
                    opened_at: instant(row, "alerts", "recorded_at")?,
                    acknowledged_at: known_instant(row, "alert_changes", "acknowledged_at")?,
                    resolved_at: known_instant(row, "alert_changes", "resolved_at")?,
                })
            })
            .collect()
    }
}

/// One row per rule and severity, sorted by rule, the gravest first.
pub fn summarise(courses: &[AlertCourse]) -> Vec<SummaryRow> {
    let mut groups: BTreeMap<(Rule, std::cmp::Reverse<Severity>), Vec<&AlertCourse>> = BTreeMap::new();
    for course in courses {
        groups.entry((course.rule, std::cmp::Reverse(course.severity))).or_default().push(course);
    }
    groups.into_iter().map(|((rule, severity), courses)| summary_row(rule, severity.0, &courses)).collect()
}

fn summary_row(rule: Rule, severity: Severity, courses: &[&AlertCourse]) -> SummaryRow {
    let count = |is: fn(&AlertCourse) -> bool| courses.iter().filter(|course| is(course)).count() as u64;
    let after = |at: fn(&AlertCourse) -> Option<Timestamp>| {
        let taken = courses.iter().filter_map(|course| Some((at(course)? - course.opened_at).num_seconds()));
        median(taken.collect())
    };
    SummaryRow {
        rule,
        severity,
        opened: courses.len() as u64,
        acknowledged: count(|course| course.acknowledged_at.is_some()),
        resolved: count(|course| course.state == AlertState::Resolved),
        dismissed: count(|course| course.state == AlertState::Dismissed),
        still_open: count(AlertCourse::is_unended),
        median_acknowledge_s: after(|course| course.acknowledged_at),
        median_resolve_s: after(|course| course.resolved_at.filter(|_| course.state == AlertState::Resolved)),
    }
}

/// The products with the most alerts, at most `limit`; those about sources are nobody's.
pub fn noisiest(courses: &[AlertCourse], limit: usize) -> Vec<Noisy> {
    let mut products: BTreeMap<(&str, &str), Noisy> = BTreeMap::new();
    for course in courses.iter().filter(|course| !course.asin.is_empty()) {
        let noisy = products.entry((&course.marketplace, &course.asin)).or_insert_with(|| Noisy {
            marketplace: course.marketplace.clone(),
            asin: course.asin.clone(),
            opened: 0,
            dismissed: 0,
            still_open: 0,
        });
        noisy.opened += 1;
        noisy.dismissed += u64::from(course.state == AlertState::Dismissed);
        noisy.still_open += u64::from(course.is_unended());
    }
    let mut products: Vec<Noisy> = products.into_values().collect();
    products.sort_by_key(|noisy| std::cmp::Reverse(noisy.opened));
    products.truncate(limit);
    products
}

impl AlertCourse {
    fn is_unended(&self) -> bool {
        AlertState::UNENDED.contains(&self.state)
    }
}

/// The middle one, or the whole seconds between the two in the middle.
fn median(mut seconds: Vec<i64>) -> Option<i64> {
    seconds.sort_unstable();
    let (lower, upper) = (seconds.get(seconds.len().checked_sub(1)? / 2)?, seconds.get(seconds.len() / 2)?);
    Some(lower + (upper - lower) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(
        asin: &str,
        state: AlertState,
        acknowledged_s: Option<i64>,
        resolved_s: Option<i64>,
    ) -> AlertCourse {
        let opened_at: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let after =
            |seconds: Option<i64>| seconds.map(|seconds| opened_at + chrono::Duration::seconds(seconds));
        AlertCourse {
            rule: Rule::PriceDrop,
            severity: Severity::High,
            marketplace: "US".into(),
            asin: asin.into(),
            state,
            opened_at,
            acknowledged_at: after(acknowledged_s),
            resolved_at: after(resolved_s),
        }
    }

    #[test]
    fn every_alert_is_counted_where_it_is_now_and_its_times_are_its_own() {
        let courses = [
            course("B000000001", AlertState::Resolved, Some(60), Some(600)),
            course("B000000001", AlertState::Resolved, None, Some(100)),
            course("B000000002", AlertState::Dismissed, Some(30), None),
            course("B000000003", AlertState::Snoozed, None, None),
            // Resolved once, and open again since it became worse.
            course("B000000001", AlertState::Open, Some(10), Some(20)),
            AlertCourse { severity: Severity::Critical, ..course("", AlertState::Open, None, None) },
        ];
        let rows = summarise(&courses);
        let shown: Vec<String> = rows
            .iter()
            .map(|row| {
                let SummaryRow { severity, opened, acknowledged, resolved, dismissed, still_open, .. } = row;
                let times = (row.median_acknowledge_s, row.median_resolve_s);
                format!("{severity} {opened} {acknowledged} {resolved} {dismissed} {still_open} {times:?}")
            })
            .collect();
        assert_eq!(shown, ["critical 1 0 0 0 1 (None, None)", "high 5 3 2 1 2 (Some(30), Some(350))"]);
        let noisy: Vec<String> = noisiest(&courses, 2)
            .iter()
            .map(|one| format!("{} {} {} {}", one.asin, one.opened, one.dismissed, one.still_open))
            .collect();
        assert_eq!(noisy, ["B000000001 3 0 1", "B000000002 1 1 0"]);
    }

    #[test]
    fn a_median_is_the_middle() {
        for (seconds, expected) in
            [(vec![], None), (vec![5], Some(5)), (vec![9, 1, 5], Some(5)), (vec![4, 1, 2, 9], Some(3))]
        {
            assert_eq!(median(seconds), expected);
        }
    }
}
