//! What the installation knows of itself: runs, sources, costs, quarantine, who changed what.

use minijinja::context;

use super::visit::{Answer, Visit};
use crate::serve::problem::Problem;

const RUNS: &str = "20";
const CHANGES: &str = "15";

pub(super) async fn show(visit: Visit) -> Result<Answer, Problem> {
    let runs = visit.ask("list_runs", &[("limit", RUNS)]).await?.data;
    let sources = visit.ask("list_sources", &[]).await?.data;
    let costs = visit.ask("list_costs", &[("by", "source")]).await?.data;
    let days = visit.ask("list_costs", &[("by", "day")]).await?.data;
    let quarantine = visit.ask("list_quarantine", &[]).await?.data;
    let changes = visit.ask("list_audit", &[("limit", CHANGES)]).await?.data;
    let context = context! { runs, sources, costs, days, quarantine, changes };
    Ok(Answer::page("operation.html", context))
}
