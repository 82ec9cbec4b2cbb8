//! `check`: is the data fresh, complete, sound and plausible? Reads only; the answer is rows and an exit code.

use super::OutputArgs;
use super::context::Context;
use super::output::counted;
use crate::error::{Failure, Outcome};
use crate::model::{Day, Timestamp};
use crate::render::rows::{Cell, Rows, instant_to_second};
use crate::store::Store;
use crate::store::checks::{Broken, Freshness, INVARIANTS};
use crate::store::gate::GATE;
use crate::store::incidents::{IncidentFilter, IncidentRecord};

/// Check that the data is fresh, complete, sound and plausible
///
/// Ends with 5 when a watched product is older than [check] max_age_hours, with 4 when anything else fails, also when the
/// quality gate of alerts holds something back.
#[allow(rustdoc::broken_intra_doc_links, reason = "the text is the help, where `[check]` is a section")]
#[derive(Clone, Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Check only how old the newest observation of every watched product is
    #[arg(long)]
    freshness: bool,

    /// Hours after which a watched product is not fresh; without it the configured limit
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(1..))]
    max_age_hours: Option<u32>,

    /// Show every product, not only those that are not fresh
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    output: OutputArgs,
}

/// One thing that was looked at.
struct Finding {
    check: &'static str,
    /// The product or place; empty for the check as a whole.
    subject: String,
    status: Status,
    value: Cell,
    limit: Cell,
    detail: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Ok,
    Stale,
    Failed,
    /// There was nothing to judge.
    Skipped,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Stale => "stale",
            Status::Failed => "failed",
            Status::Skipped => "skipped",
        }
    }

    fn outcome(self) -> Outcome {
        match self {
            Status::Ok | Status::Skipped => Outcome::Done,
            Status::Stale => Outcome::Stale,
            Status::Failed => Outcome::CheckFailed,
        }
    }
}

pub(super) async fn run(args: CheckArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let limits = &context.config.settings.check;
    let watched = store.load_freshness(context.workspace()).await?;
    let max_age_hours = args.max_age_hours.unwrap_or(limits.max_age_hours);
    let mut findings = freshness(&watched, context.clock.now(), max_age_hours, args.all);
    if !args.freshness {
        findings.push(completeness(&watched, limits.min_completeness));
        findings.push(gate(&store, context).await?);
        findings.extend(invariants(&store).await?);
    }
    let mut rows =
        Rows::new("amzctl.check/1", &["check", "subject", "status", "value", "limit", "detail"]).wrapping();
    for finding in &findings {
        rows.push(vec![
            finding.check.into(),
            finding.subject.as_str().into(),
            finding.status.as_str().into(),
            finding.value.clone(),
            finding.limit.clone(),
            finding.detail.as_str().into(),
        ]);
    }
    args.output.emit(&rows, context)?;
    judge(&findings)
}

/// Errors: a failure that names the checks that did not pass, with the exit code of the worst.
fn judge(findings: &[Finding]) -> anyhow::Result<Outcome> {
    let outcome = findings.iter().fold(Outcome::Done, |worst, finding| worst.and(finding.status.outcome()));
    if outcome == Outcome::Done {
        return Ok(outcome);
    }
    let not_passed = |finding: &&Finding| finding.status.outcome() != Outcome::Done;
    let mut names: Vec<&str> = findings.iter().filter(not_passed).map(|finding| finding.check).collect();
    names.dedup();
    Err(Failure::new(outcome, format!("not passed: {}", names.join(", "))).into())
}

/// A row per product that is too old, and one for all of them.
fn freshness(watched: &[Freshness], now: Timestamp, max_age_hours: u32, all: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut stale = 0_usize;
    for Freshness { key, observed_at, .. } in watched {
        // In whole minutes: an age of exactly the limit is still fresh.
        let age_minutes = observed_at.map(|at| (now - at).num_minutes());
        let is_stale = age_minutes.is_none_or(|age| age > i64::from(max_age_hours) * 60);
        stale += usize::from(is_stale);
        if is_stale || all {
            findings.push(Finding {
                check: "freshness",
                subject: key.to_string(),
                status: if is_stale { Status::Stale } else { Status::Ok },
                value: age_minutes.map(|age| age / 60).into(),
                limit: max_age_hours.into(),
                detail: match observed_at {
                    Some(at) => format!("last seen {}", instant_to_second(*at)),
                    None => "never seen".to_owned(),
                },
            });
        }
    }
    findings.push(Finding {
        check: "freshness",
        subject: String::new(),
        status: match (watched.len(), stale) {
            (0, _) => Status::Skipped,
            (_, 0) => Status::Ok,
            _ => Status::Stale,
        },
        value: stale.into(),
        limit: 0.into(),
        detail: match watched.len() {
            0 => "nothing is watched".to_owned(),
            watched => format!("{stale} of {watched} watched products not seen for {max_age_hours} hours"),
        },
    });
    findings
}

/// The share of watched products with a row on the newest day that any of them has.
fn completeness(watched: &[Freshness], limit: f64) -> Finding {
    let newest: Option<Day> = watched.iter().filter_map(|one| one.last_day).max();
    let (value, status, detail) = match newest {
        None => (Cell::Null, Status::Skipped, "no watched product was ever seen".to_owned()),
        Some(day) => {
            let seen = watched.iter().filter(|one| one.last_day == Some(day)).count();
            let share = seen as f64 / watched.len() as f64;
            let status = if share < limit { Status::Failed } else { Status::Ok };
            (share.into(), status, format!("{seen} of {} watched products seen on {day}", watched.len()))
        }
    };
    Finding { check: "completeness", subject: String::new(), status, value, limit: limit.into(), detail }
}

/// An incident of the quality gate says that what was seen is not believed.
async fn gate(store: &Store, context: &Context) -> anyhow::Result<Finding> {
    let filter =
        IncidentFilter { is_open: Some(true), kinds: vec![GATE.to_owned()], ..IncidentFilter::default() };
    let open = store.list_incidents(context.workspace(), &filter).await?;
    Ok(gate_finding(&open))
}

fn gate_finding(open: &[IncidentRecord]) -> Finding {
    let said = |incident: &IncidentRecord| {
        let held = counted(incident.held, "finding");
        format!("{} of {} ({}, {held} held back)", incident.reason, incident.day, incident.detail)
    };
    let (status, detail) = match open {
        [] => (Status::Ok, "nothing is held back as implausible".to_owned()),
        open => (Status::Failed, open.iter().map(said).collect::<Vec<_>>().join("; ")),
    };
    let (value, limit) = (open.len().into(), 0.into());
    Finding { check: "gate", subject: String::new(), status, value, limit, detail }
}

async fn invariants(store: &Store) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for invariant in INVARIANTS {
        let broken = store.find_broken(invariant).await?;
        findings.push(invariant_finding(invariant.name, invariant.says, broken));
    }
    let orphans = store.find_foreign_orphans().await?;
    findings.push(invariant_finding("foreign_keys", "every row's parent exists", orphans));
    Ok(findings)
}

fn invariant_finding(name: &'static str, says: &str, broken: Broken) -> Finding {
    let (status, detail) = match broken.count {
        0 => (Status::Ok, says.to_owned()),
        _ => (Status::Failed, format!("broken by {}: {says}", broken.subjects.join(", "))),
    };
    let (value, limit) = (broken.count.into(), 0.into());
    Finding { check: name, subject: String::new(), status, value, limit, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProductRef;

    fn watched(asin: &str, observed_at: Option<&str>) -> Freshness {
        let observed_at: Option<Timestamp> = observed_at.map(|at| at.parse().unwrap());
        Freshness {
            key: asin.parse::<ProductRef>().unwrap().key_or(crate::model::Marketplace::Us),
            observed_at,
            last_day: observed_at.map(|at| at.date_naive().into()),
        }
    }

    #[test]
    fn an_age_of_exactly_the_limit_is_fresh_and_never_seen_is_not() {
        let now = "2026-03-03T12:00:00Z".parse().unwrap();
        let list = [
            watched("B000000001", Some("2026-03-01T12:00:00Z")),
            watched("B000000002", Some("2026-03-01T11:59:00Z")),
            watched("B000000003", None),
        ];
        let findings = freshness(&list, now, 48, true);
        let said: Vec<String> =
            findings.iter().map(|one| format!("{} {}", one.subject, one.status.as_str())).collect();
        assert_eq!(said, ["US:B000000001 ok", "US:B000000002 stale", "US:B000000003 stale", " stale"]);
        assert_eq!(freshness(&list, now, 48, false).len(), 3);
        assert_eq!(judge(&freshness(&[], now, 48, false)).unwrap(), Outcome::Done);
    }

    #[test]
    fn completeness_is_the_share_seen_on_the_newest_day() {
        let list = [
            watched("B000000001", Some("2026-03-01T12:00:00Z")),
            watched("B000000002", Some("2026-02-27T12:00:00Z")),
        ];
        assert!(completeness(&list, 0.5).status == Status::Ok);
        assert!(completeness(&list, 0.51).status == Status::Failed);
        assert!(completeness(&[], 1.0).status == Status::Skipped);
    }

    #[test]
    fn a_failed_test_outweighs_stale_data() {
        let stale =
            freshness(&[watched("B000000001", None)], "2026-03-03T12:00:00Z".parse().unwrap(), 48, false);
        let broken = Broken { count: 1, subjects: vec!["US:B000000001 2026-03-01".into()] };
        let findings: Vec<Finding> =
            stale.into_iter().chain([invariant_finding("low_high", "x", broken)]).collect();
        let error = judge(&findings).unwrap_err();
        assert_eq!(error.downcast_ref::<Failure>().unwrap().outcome, Outcome::CheckFailed);
        assert_eq!(error.to_string(), "not passed: freshness, low_high");
    }
}
