//! The pipeline: one file per piece of work.

pub mod alert;
pub(crate) mod alert_view;
pub mod build_mart;
pub mod compare;
pub mod copy;
pub mod deliver;
pub mod delta;
pub mod fetch;
pub mod ingest;
pub mod normalize;
pub mod repair;
pub mod report;
pub mod retention;
pub(crate) mod runs;
pub(crate) mod tables;
pub mod verify;

/// True when more of a run's `items` failed anew than `tolerate_failed_pct` allows: the same rule for every stage.
fn exceeds_tolerance(failed: u64, items: u64, tolerate_failed_pct: f64) -> bool {
    failed > 0 && failed as f64 > tolerate_failed_pct * items as f64 / 100.0
}
