//! The pipeline: one file per piece of work.

pub mod alert;
pub mod build_mart;
pub mod compare;
pub mod deliver;
pub mod ingest;
pub mod normalize;
pub mod report;
pub mod verify;
