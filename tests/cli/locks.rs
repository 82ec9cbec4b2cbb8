//! What a person meets when something goes wrong around the commands: locks, signals, pipes, wrong usage.

use std::io::Read as _;
use std::process::Stdio;

use crate::sandbox::{Sandbox, answers};

#[test]
fn wrong_usage_ends_with_two_and_in_json_modes_with_an_object() {
    let sandbox = Sandbox::initialised();
    answers!(sandbox.run("watch lst"), @r#"
    exit 2
    --- stderr
    error: unrecognized subcommand 'lst'

      tip: a similar subcommand exists: 'list'

    Usage: amzctl watch [OPTIONS] <COMMAND>

    For more information, try '--help'.
    "#);
    answers!(sandbox.run("runs list --json --fields nope"), @r#"
    exit 2
    --- stderr
    nothing was run yet
    error: there is no field `nope`
    hint: fields: run_id,command,state,started_at,finished_at,duration_s,exit_code,host,pid
    {"type":"error","code":"usage","exit":2,"message":"there is no field `nope`","hint":"fields: run_id,command,state,started_at,finished_at,duration_s,exit_code,host,pid","run_id":null}
    "#);
    answers!(sandbox.run("runs list --format json --limit many"), @r#"
    exit 2
    --- stderr
    error: invalid value 'many' for '--limit <COUNT>': invalid digit found in string

    For more information, try '--help'.
    {"type":"error","code":"usage","exit":2,"message":"invalid value 'many' for '--limit <COUNT>': invalid digit found in string","hint":"see --help","run_id":null}
    "#);
}

#[test]
fn a_reader_that_goes_away_ends_the_output_quietly() {
    let sandbox = Sandbox::empty();
    let mut child =
        sandbox.command("completions bash").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

#[test]
fn a_full_disk_behind_stdout_is_a_failure() {
    let sandbox = Sandbox::empty();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let answer = sandbox.answer(sandbox.command("version").stdout(Stdio::from(full)));
    answers!(answer, @r#"
    exit 1
    --- stderr
    error: failed to write to stdout
      caused by: No space left on device (os error 28)
    hint: free some disk space and run the command again
    "#);
}

#[test]
fn colours_are_used_when_they_are_asked_for_and_only_then() {
    let sandbox = Sandbox::empty();
    let answer = |name: &str, value: &str, line: &str| sandbox.run_with(name, value, line);
    assert!(answer("CLICOLOR_FORCE", "1", "status").contains("\u{1b}[1;31merror:"));
    assert!(answer("X", "1", "status --color always").contains("\u{1b}[1;31merror:"));
    assert!(!answer("X", "1", "status").contains('\u{1b}'));
    assert!(!answer("CLICOLOR_FORCE", "1", "status --color never").contains('\u{1b}'));
    assert!(answer("X", "1", "nonsense --color always").contains('\u{1b}'));
    assert!(!answer("CLICOLOR_FORCE", "1", "nonsense --color=never").contains('\u{1b}'));
}

#[test]
fn a_database_of_a_newer_schema_is_refused_untouched() {
    let sandbox = Sandbox::initialised();
    sandbox.sql("INSERT INTO schema_migrations VALUES (99, 'later', 'x')");
    answers!(sandbox.run("status"), @r#"
    exit 1
    --- stderr
    error: failed to open [FOLDER]/amzctl.db
      caused by: the database has schema version 99, newer than this amzctl knows ([SCHEMA])
    hint: install the newer amzctl; this database is not changed
    "#);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let sandbox = Sandbox::initialised();
    for name in ["amzctl.db-wal", "amzctl.db-shm"] {
        let _ = std::fs::remove_file(sandbox.path(name));
    }
    sandbox.write("amzctl.db", "this is not a database, however long it is, and it never was one");
    answers!(sandbox.run("status"), @r#"
    exit 1
    --- stderr
    error: failed to open [FOLDER]/amzctl.db
      caused by: [FOLDER]/amzctl.db is not a sound SQLite database
      caused by: error returned from database: (code: 26) file is not a database
    hint: restore a backup; without one move the file and the lake's folder away, run `amzctl init`, and ingest the files again
    "#);
}

#[test]
fn output_goes_to_a_file_whole() {
    let sandbox = Sandbox::initialised();
    sandbox.succeed("watch add US:B0FDKB341G");
    answers!(sandbox.run("watch list --format csv --fields asin -o list.csv"), @r#"
    exit 0
    --- stderr
    wrote list.csv (16 bytes)
    "#);
    assert_eq!(sandbox.read("list.csv"), "asin\nB0FDKB341G\n");
    answers!(sandbox.run("watch list -o absent/list.csv"), @r#"
    exit 1
    --- stderr
    error: failed to write absent/list.csv
      caused by: No such file or directory (os error 2)
    "#);
}

/// Returns when the process has handlers for SIGINT and SIGTERM.
fn wait_until_it_listens(pid: u32) {
    let handled = |status: &str| {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    };
    let both = 1 << 1 | 1 << 14;
    for _ in 0..1_000 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        if handled(&status).is_some_and(|mask| mask & both == both) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("process {pid} does not listen for signals");
}

#[test]
fn a_signal_ends_a_command_that_waits_for_input() {
    let sandbox = Sandbox::initialised();
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let mut child = sandbox
            .command("watch add -")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until_it_listens(child.id());
        let sent =
            std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}");
    }
}

/// An ingest that waits for its stdin, and so holds the lock for as long as it lives.
fn holding_the_lock(sandbox: &Sandbox) -> std::process::Child {
    let mut child = sandbox
        .command("ingest - --marketplace US --captured-at 2026-03-01")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..1_000 {
        let runs = sandbox.succeed("runs list --format csv --fields state");
        if runs.contains("running") {
            return child;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("the ingest did not begin");
}

#[test]
fn a_second_run_waits_skips_or_ends_with_eleven() {
    let sandbox = Sandbox::initialised();
    let mut first = holding_the_lock(&sandbox);
    answers!(sandbox.run("normalize"), @r#"
    exit 11
    --- stderr
    error: another run holds the pipeline lock: `ingest`, pid [PID] on [HOST], since 2026-03-01T12:00:00Z
    hint: wait for it with --lock-wait 10m, or leave quietly with --skip-if-locked
    "#);
    assert_eq!(sandbox.exit_code("normalize --lock-wait 300ms"), 11);
    answers!(sandbox.run("normalize --skip-if-locked"), @r#"
    exit 0
    --- stderr
    skipped: another run holds the pipeline lock: `ingest`, pid [PID] on [HOST], since 2026-03-01T12:00:00Z
    "#);
    answers!(sandbox.run("watch add US:B0FDKB341G"), @r#"
    exit 0
    --- stderr
    1 added
    next: `amzctl ingest FILE` to land data, `amzctl watch list` to see the list
    "#);

    // Its stdin ends while the second one waits.
    let mut waiting = sandbox.command("normalize -q --lock-wait 1m").spawn().unwrap();
    drop(first.stdin.take());
    first.wait().unwrap();
    assert_eq!(waiting.wait().unwrap().code(), Some(0));
}

#[test]
fn a_killed_run_is_called_killed_and_leaves_no_lock() {
    let sandbox = Sandbox::initialised();
    let mut first = holding_the_lock(&sandbox);
    first.kill().unwrap();
    first.wait().unwrap();
    let runs = sandbox.succeed("runs list --format csv --fields command,state,exit_code");
    assert_eq!(runs, "command,state,exit_code\ningest,killed,\n");
    assert_eq!(sandbox.exit_code("normalize"), 0);
}

#[test]
fn a_log_goes_to_its_file_in_the_format_that_was_asked_for() {
    let sandbox = Sandbox::initialised();
    assert_eq!(
        sandbox.run("-v --log-format json --log-file run.log normalize").lines().next(),
        Some("exit 0")
    );
    answers!(sandbox.read("run.log"), @r#"
    {"timestamp":"2026-03-01T12:00:00.000Z","level":"info","target":"amzctl::cli::context","run_id":"[ID]","operation":"normalize","message":"run begins"}
    {"timestamp":"2026-03-01T12:00:00.000Z","level":"info","target":"amzctl::stages::normalize","run_id":"[ID]","days_changed":0,"duration_ms":[MS],"observations":0,"operation":"normalize","quarantined":0,"records":0,"message":"receipts normalized"}
    {"timestamp":"2026-03-01T12:00:00.000Z","level":"info","target":"amzctl::cli::context","run_id":"[ID]","duration_ms":[MS],"exit_code":0,"operation":"normalize","outcome":"done","message":"run ends"}
    "#);
    let mut first = holding_the_lock(&sandbox);
    assert_eq!(sandbox.exit_code("--log-file failed.log --log-format pretty normalize"), 11);
    assert!(sandbox.read("failed.log").contains("ERROR another run holds the pipeline lock"));
    drop(first.stdin.take());
    first.wait().unwrap();
    answers!(sandbox.run("--log-file absent/run.log normalize"), @r#"
    exit 1
    --- stderr
    error: failed to open the log file absent/run.log
      caused by: No such file or directory (os error 2)
    "#);
}
