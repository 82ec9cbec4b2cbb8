//! What can be asked of version 1: one file per resource. A handler reads parameters, asks the store, and answers; what a
//! figure means is decided where the command line has it from too.

pub(super) mod alerts;
pub(super) mod cohorts;
pub(super) mod products;
pub(super) mod reports;
pub(super) mod series;
pub(super) mod system;
