//! The ledger of runs as rows, with what tells a running run from a killed one.

use crate::error::Outcome;
use crate::lock::{Holder, current_holders};
use crate::render::rows::Rows;
use crate::store::Store;
use crate::store::export::FieldKind::{self, Instant, Int, Real, Text};
use crate::store::ops::RunRecord;

/// Who holds which lock now: what tells a running run from a killed one.
pub(crate) struct Holders(Vec<Holder>);

impl Holders {
    pub(crate) async fn now(store: &Store) -> anyhow::Result<Holders> {
        Ok(Holders(current_holders(store).await?.into_iter().filter_map(|(_, holder)| holder).collect()))
    }

    /// `running`, `killed`, or the word of how the run ended.
    pub(crate) fn state(&self, run: &RunRecord) -> &'static str {
        match run.exit_code {
            Some(code) => Outcome::from_exit_code(code).map_or("failed", Outcome::code),
            None if self
                .0
                .iter()
                .any(|holder| holder.pid == run.start.pid && holder.host == run.start.host) =>
            {
                "running"
            }
            None => "killed",
        }
    }
}

/// The columns of a run.
pub(crate) const RUN_COLUMNS: [(&str, FieldKind); 9] = [
    ("run_id", Text),
    ("command", Text),
    ("state", Text),
    ("started_at", Instant),
    ("finished_at", Instant),
    ("duration_s", Real),
    ("exit_code", Int),
    ("host", Text),
    ("pid", Int),
];

/// Every column of these runs.
pub(crate) fn run_rows(runs: &[RunRecord], holders: &Holders) -> Rows {
    let mut rows = Rows::new("amzctl.runs/1", &RUN_COLUMNS.map(|(name, _)| name));
    for run in runs {
        rows.push(vec![
            run.start.run_id.as_str().into(),
            run.start.command.as_str().into(),
            holders.state(run).into(),
            run.start.started_at.into(),
            run.finished_at.into(),
            duration_seconds(run).into(),
            run.exit_code.map(u32::from).into(),
            run.start.host.as_str().into(),
            run.start.pid.into(),
        ]);
    }
    rows
}

pub(crate) fn duration_seconds(run: &RunRecord) -> Option<f64> {
    let millis = (run.finished_at? - run.start.started_at).num_milliseconds();
    Some(millis as f64 / 1_000.0)
}
