//! The binary as a person or a script meets it: wording, wiring, exit codes. One file per command.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]
#![allow(clippy::print_stdout, reason = "a skipped test says so")]

mod alert;
mod alert_noise;
mod alert_rules;
mod alert_states;
mod bad_input;
mod build_mart;
mod channels;
mod check;
mod cohort;
mod compare;
mod config;
mod db;
mod db_copy;
mod delivery;
mod demo;
mod dry_run;
mod exit_codes;
mod explain;
mod export;
mod generate;
mod help;
mod ingest;
mod init;
mod lake;
mod live;
mod locks;
mod logs;
#[path = "../noise/mod.rs"]
mod noise;
mod normalize;
mod quarantine;
mod readme;
mod report;
mod run;
mod runs;
mod samples;
mod sandbox;
mod schemas;
mod serve;
mod server;
mod show;
#[path = "../simulator/mod.rs"]
mod simulator;
mod status;
mod sweep;
mod texts;
mod verify;
mod watch;
mod workspaces;
