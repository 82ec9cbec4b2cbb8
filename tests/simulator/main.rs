//! The simulator's own tests: it keeps to the providers' formats, its faults are reproducible, and its ledger is right.
#![allow(clippy::unwrap_used)]

#[path = "mod.rs"]
mod simulator;
mod tests;
