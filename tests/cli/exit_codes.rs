//! Every exit code of the contract, each brought about once, and the clean stop behind 130 and 143.

use std::fmt::Write as _;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::sandbox::{Sandbox, answers};

/// So many records of one product each, on one day.
fn records(count: u32) -> String {
    (0..count).fold(String::new(), |mut text, n| {
        let _ = writeln!(
            text,
            r#"{{"marketplace":"US","asin":"B0{n:08}","day":"2026-02-28","price_minor":{}}}"#,
            100 + n
        );
        text
    })
}

/// One product that becomes half as dear, a rival that is cheaper, both watched; not judged yet.
fn market() -> Sandbox {
    let sandbox = Sandbox::at_first_sight();
    sandbox.write(
        "market.csv",
        "marketplace,asin,day,price_minor\nUS,B0FDKB341G,2026-02-27,5000\nUS,B0FDKB341G,2026-02-28,2599\n\
         US,B0FDKB341H,2026-02-28,1999\n",
    );
    for line in
        ["ingest -q market.csv", "normalize -q", "build-mart -q", "watch add -q US:B0FDKB341G US:B0FDKB341H"]
    {
        sandbox.succeed(line);
    }
    sandbox
}

/// 7 and 11 need a second process and are in `bad_input::database`; 130 and 143 follow below.
#[test]
fn every_code_means_what_the_contract_says() {
    let sandbox = market();
    let mut told = String::new();
    let mut code = |sandbox: &Sandbox, line: &str, environment: &[(&str, &str)]| {
        let mut command = sandbox.command(line);
        command.envs(environment.iter().copied());
        let code = command.output().unwrap().status.code().unwrap();
        let shown: String = environment.iter().map(|(name, value)| format!("{name}={value} ")).collect();
        let _ = writeln!(told, "{code:>3}  {shown}{line}");
    };
    sandbox.write("empty.json", "");
    sandbox.write("half.ndjson", records(1) + "{\"half");
    sandbox.write("many.ndjson", records(3000));
    code(&sandbox, "normalize", &[]);
    code(&sandbox, "ingest empty.json", &[]);
    code(&sandbox, "ingest absent.json", &[]);
    code(&sandbox, "show US:B0FDKB341X", &[]);
    code(&sandbox, "ingest half.ndjson", &[]);
    code(&sandbox, "check --freshness", &[("AMZCTL_NOW", "2026-03-09T12:00:00Z")]);
    code(&sandbox, "run --deadline 1ms many.ndjson", &[]);
    code(&sandbox, "alert run --exit-code", &[]);
    code(&sandbox, "compare US:B0FDKB341G US:B0FDKB341H --exit-code", &[]);
    code(&sandbox, "compare US:B0FDKB341H US:B0FDKB341G --exit-code", &[]);
    code(&Sandbox::empty(), "status", &[]);
    sandbox.sql("UPDATE product_metrics_daily SET price_minor = 0 WHERE asin = 'B0FDKB341H'");
    code(&sandbox, "check", &[("AMZCTL_NOW", "2026-03-09T12:00:00Z")]);
    answers!(told, @r#"
     0  normalize
     1  ingest empty.json
     2  ingest absent.json
     2  show US:B0FDKB341X
     3  ingest half.ndjson
     5  AMZCTL_NOW=2026-03-09T12:00:00Z check --freshness
     6  run --deadline 1ms many.ndjson
    20  alert run --exit-code
    20  compare US:B0FDKB341G US:B0FDKB341H --exit-code
     0  compare US:B0FDKB341H US:B0FDKB341G --exit-code
    10  status
     4  AMZCTL_NOW=2026-03-09T12:00:00Z check
    "#);
}

#[test]
fn a_deadline_leaves_the_rest_to_the_next_run() {
    let sandbox = Sandbox::initialised();
    sandbox.write("many.ndjson", records(2000));
    let stopped = sandbox.run("run many.ndjson --deadline 1ms");
    assert!(stopped.starts_with("exit 6\n"), "{stopped}");
    assert!(
        stopped.ends_with("error: the deadline was reached; the next run goes on from here\n"),
        "{stopped}"
    );
    answers!(sandbox.run("runs list --fields command,state,exit_code"), @r#"
    exit 0
    --- stdout
    COMMAND  STATE           EXIT_CODE
    run      budget_reached          6
    "#);
    sandbox.succeed("run -q many.ndjson");
    assert_eq!(sandbox.succeed("verify --hash"), whole("many.ndjson", 2000));
}

/// The state after an ingest and a run that nobody disturbed.
fn whole(name: &str, count: u32) -> String {
    let sandbox = Sandbox::initialised();
    sandbox.write(name, records(count));
    sandbox.succeed(&format!("run -q {name}"));
    sandbox.succeed("verify --hash")
}

fn landed(sandbox: &Sandbox) -> u32 {
    let status = sandbox.succeed("status --format csv --fields item,value");
    status.lines().find_map(|line| line.strip_prefix("receipts,")).unwrap().parse().unwrap()
}

/// Waits until some of the file has landed, and sends the signal.
fn signal_in_the_middle(sandbox: &Sandbox, child: &Child, signal: &str) {
    while landed(sandbox) == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let sent = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn an_interrupted_ingest_stops_between_two_batches_and_goes_on_there() {
    const RECORDS: u32 = 4_000;
    let whole = whole("many.ndjson", RECORDS);
    for (signal, command, code) in
        [("-INT", "ingest", 130), ("-TERM", "ingest", 143), ("-INT", "run", 130), ("-TERM", "run", 143)]
    {
        let sandbox = Sandbox::initialised();
        sandbox.write("many.ndjson", records(RECORDS));
        // One record a batch gives the signal time to come in the middle.
        let slow = if command == "ingest" { "--batch-records 1" } else { "" };
        let child = sandbox
            .command(&format!("{command} many.ndjson {slow}"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        signal_in_the_middle(&sandbox, &child, signal);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{signal} {command}: {said}");
        assert!(said.contains("stopping after the current step; once more ends at once"), "{said}");
        assert!(said.contains("error: stopped between two batches; run it again to go on"), "{said}");
        let runs = sandbox.succeed("runs list --format csv --fields command,exit_code");
        assert!(runs.contains(&format!("{command},{code}\n")), "{runs}");

        if command == "ingest" {
            let before = landed(&sandbox);
            assert!((1..RECORDS).contains(&before), "{before} of {RECORDS}");
            let rest = sandbox.run("ingest many.ndjson");
            assert!(rest.contains(&format!("many.ndjson: went on at record {}\n", before + 1)), "{rest}");
        }
        sandbox.succeed("run -q many.ndjson");
        assert_eq!(sandbox.succeed("verify --hash"), whole, "{signal} {command}");
    }
}

#[test]
fn a_second_signal_ends_at_once_and_loses_nothing() {
    let sandbox = Sandbox::initialised();
    sandbox.write("many.ndjson", records(4_000));
    let child = sandbox
        .command("ingest many.ndjson --batch-records 1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    signal_in_the_middle(&sandbox, &child, "-STOP");
    let mut child = child;
    for signal in ["-INT", "-TERM", "-CONT"] {
        let sent = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }
    let code = child.wait().unwrap().code();
    assert!(matches!(code, Some(130 | 143)), "{code:?}");
    sandbox.succeed("run -q many.ndjson");
    assert_eq!(sandbox.succeed("verify --hash"), whole("many.ndjson", 4_000));
}
