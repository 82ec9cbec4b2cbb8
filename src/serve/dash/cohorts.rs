//! Cohorts: the list, and one with its members beside each other.

use minijinja::context;

use super::products::parts;
use super::visit::{Answer, Visit};
use crate::render::page::cohort_charts;
use crate::serve::problem::Problem;
use crate::stages::report::Subject;

/// Days of the charts.
const DAYS: i32 = 90;

pub(super) async fn list(visit: Visit) -> Result<Answer, Problem> {
    let cohorts = visit.ask("list_cohorts", &[]).await?.data;
    Ok(Answer::page("cohorts.html", context! { cohorts }))
}

pub(super) async fn show(visit: Visit) -> Result<Answer, Problem> {
    let cohort = visit.ask("get_cohort", &[]).await?.data;
    let compared = visit.ask("get_competition", &[]).await?.data;
    let stored = visit.app.store.load_cohort(&visit.caller()?.workspace, visit.part("cohort")).await?;
    let stored = stored.ok_or_else(|| Problem::not_found("such cohort"))?;
    let newest = visit.app.store.newest_day(Some(stored.main.marketplace)).await?;
    let as_of = newest.ok_or_else(|| Problem::not_found("day that was seen"))?;
    let part = visit.report_part(Subject::Cohort(stored), as_of, DAYS, |report, language| {
        parts(&report, cohort_charts(&report, language))
    });
    let report = part.await?;
    Ok(Answer::page("cohort.html", context! { cohort, compared, report, days => DAYS }))
}
