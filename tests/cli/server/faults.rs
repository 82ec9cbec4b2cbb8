//! Connections that are cut, and a server that restarts or goes away, while a stage writes: exit 7, one message, and run
//! again the stage ends where one ends that nobody disturbed.
//!
//! A stage is held inside its k-th transaction that writes, so that what happens to it happens there and nowhere else.
//! `AMZCTL_SWEEP=full` (`just soak`) holds it in many more, and at every other named point.

use std::path::Path;
use std::process::{Child, Output};
use std::time::{Duration, Instant};

use amzctl::failpoint::ALL;

use super::own::OwnServer;
use super::sql;
use crate::sweep::{Market, assert_same, is_full};

/// How long a stage may take to a point, and to its end: a test does not hang.
const PATIENCE: Duration = Duration::from_secs(100);
const INSIDE: &str = "store.inside_write";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    /// The server ends every connection of amzctl's.
    Cut,
    /// It crashes, and is there again.
    Restarted,
    /// It is away until the stage has ended.
    Gone,
}

const STAGES: &[&[&str]] = &[
    &[
        "ingest",
        "data/2026-02-26",
        "data/2026-02-27",
        "data/2026-02-28",
        "data/2026-03-01",
        "data/2026-03-02",
    ],
    &["normalize"],
    &["build-mart"],
    &["alert", "run", "--no-deliver"],
    &["alert", "deliver"],
    &["ingest", "data/2026*", "data/late"],
    &["normalize"],
    &["build-mart"],
    &["alert", "run", "--no-deliver"],
    &["alert", "deliver"],
    &["report", "--watchlist", "--format", "html", "-o", "report.html"],
];

fn market_on(server: &OwnServer, database: &str) -> Market {
    sql(&server.url("postgres"), &format!("CREATE DATABASE {database}"));
    Market::on(Some(server.url(database)), 7)
}

/// Runs a stage that is held at a point while something happens to its server; null when it does not come there.
fn disturbed(
    market: &Market,
    server: &OwnServer,
    database: &str,
    fault: Fault,
    stage: &[&str],
    point: &str,
) -> Option<Output> {
    let pause = tempfile::tempdir().unwrap();
    let mut command = market.command(stage);
    command.env("AMZCTL_FAILPOINT", point).env("AMZCTL_FAILPOINT_PAUSE", pause.path());
    let mut child = command.spawn().unwrap();
    let is_held = reaches(&mut child, &pause.path().join("reached"));
    if is_held {
        match fault {
            Fault::Cut => sql(
                &server.url("postgres"),
                &format!(
                    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
                     WHERE application_name = 'amzctl' AND datname = '{database}'"
                ),
            ),
            Fault::Restarted => {
                server.down();
                server.up();
            }
            Fault::Gone => server.down(),
        }
        std::fs::write(pause.path().join("go"), "").unwrap();
    }
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{fault:?}: {stage:?} does not end after {point}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    if is_held && fault == Fault::Gone {
        server.up();
    }
    let output = child.wait_with_output().unwrap();
    is_held.then_some(output)
}

/// Waits until the process has come to the point where it is held; false when it ends before.
fn reaches(child: &mut Child, reached: &Path) -> bool {
    let began = Instant::now();
    loop {
        if reached.exists() {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(began.elapsed() < PATIENCE, "neither at its point nor at its end");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn assert_told(case: &str, output: &Output) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{case}: {told}");
    assert_eq!(told.matches("error: ").count(), 1, "{case}: {told}");
    assert!(told.contains("the database cannot be reached, or the connection to it broke"), "{case}: {told}");
    assert!(told.contains("hint: check that the server runs"), "{case}: {told}");
}

#[test]
fn whatever_breaks_a_connection_ends_a_stage_with_7_and_the_next_run_goes_on() {
    let Some(server) = OwnServer::start(&[]) else { return };
    server.up();
    let undisturbed = market_on(&server, "undisturbed");
    STAGES.iter().for_each(|stage| drop(undisturbed.ok(stage)));
    let undisturbed = undisturbed.end_state();
    let last = if is_full() { 30 } else { 3 };
    for (fault, last) in [(Fault::Cut, last), (Fault::Restarted, last), (Fault::Gone, last / 3)] {
        let database = format!("{fault:?}").to_lowercase();
        let market = market_on(&server, &database);
        for stage in STAGES {
            let mut times = 0;
            for hit in 1..=last {
                let point = format!("{INSIDE}:{hit}");
                let Some(output) = disturbed(&market, &server, &database, fault, stage, &point) else {
                    break;
                };
                // What was sent is recorded as soon as the server is there again: nothing is left to tell then.
                let has_recovered = stage.ends_with(&["deliver"]) && output.status.success();
                if !has_recovered {
                    assert_told(&format!("{fault:?}, {stage:?}, {point}"), &output);
                }
                times += 1;
            }
            assert!(times > 0, "{fault:?}: {stage:?} writes nothing");
            market.ok(stage);
        }
        assert_same(&database, &market.end_state(), &undisturbed);
    }
    if is_full() {
        between_transactions(&server, &undisturbed);
    }
}

/// Where no transaction is open a stage may find new connections, or end with 7.
fn between_transactions(server: &OwnServer, undisturbed: &crate::sweep::EndState) {
    for name in ALL.iter().filter(|name| !name.starts_with("fetch.") && **name != INSIDE) {
        let database = name.replace('.', "_");
        let market = market_on(server, &database);
        for (stage, fault) in
            STAGES.iter().zip([Fault::Cut, Fault::Restarted, Fault::Gone].into_iter().cycle())
        {
            if let Some(output) = disturbed(&market, server, &database, fault, stage, name) {
                let case = format!("{fault:?}, {stage:?}, {name}");
                if !matches!(output.status.code(), Some(0 | 3)) {
                    assert_told(&case, &output);
                }
            }
            market.ok(stage);
        }
        assert_same(name, &market.end_state(), undisturbed);
    }
}
