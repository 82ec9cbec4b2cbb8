//! A database that cannot be written, is in use, belongs to a newer amzctl, or is broken; two runs at once.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use sqlx::{ConnectOptions as _, SqliteConnection};

use super::{prices, sound};
use crate::sandbox::{Sandbox, answers};

/// A database with one product, and a file with another.
fn stocked() -> Sandbox {
    let sandbox = Sandbox::initialised();
    sandbox.write("first.json", sound("B0FDKB341G"));
    sandbox.succeed("run -q first.json");
    sandbox.write("second.json", sound("B0FDKB341H"));
    sandbox
}

/// Both products are there: nothing was lost, and what failed before works.
fn assert_goes_on(sandbox: &Sandbox) {
    assert_eq!(sandbox.exit_code("run second.json"), 0);
    let both = "asin,day,price_minor\nB0FDKB341G,2026-02-28,2599\nB0FDKB341H,2026-02-28,2599\n";
    assert_eq!(prices(sandbox), both);
    assert_eq!(sandbox.exit_code("verify"), 0);
}

/// The command as somebody whom permissions stop; null where this process cannot become one.
///
/// Root without its override is stopped like everybody else.
fn bound_by_permissions(sandbox: &Sandbox, line: &str) -> Option<Command> {
    const DROP: [&str; 2] = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return Some(sandbox.command(line));
    }
    let probe = Command::new(DROP[0]).args([DROP[1], "true"]).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        println!("skipped: root cannot give up its rights here (setpriv)");
        return None;
    }
    Some(sandbox.command_behind(&DROP, line))
}

fn set_mode(sandbox: &Sandbox, name: &str, mode: u32) {
    std::fs::set_permissions(sandbox.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_read_only_database_can_be_read_and_says_why_it_cannot_be_written() {
    let sandbox = stocked();
    set_mode(&sandbox, "amzctl.db", 0o444);
    let answer = |line: &str| Some(sandbox.answer(&mut bound_by_permissions(&sandbox, line)?));
    let Some(run) = answer("run second.json") else { return };
    answers!(run, @r#"
    exit 1
    --- stderr
    error: failed to write the beginning of the run
      caused by: the database cannot be written: it is read-only
      caused by: error returned from database: (code: 8) attempt to write a readonly database
    hint: check the permissions of the file, of those beside it that end in -shm and -wal, of its folder and of the file system
    "#);
    answers!(answer("watch add US:B0FDKB341G").unwrap(), @r#"
    exit 1
    --- stderr
    error: the database cannot be written: it is read-only
      caused by: error returned from database: (code: 8) attempt to write a readonly database
    hint: check the permissions of the file, of those beside it that end in -shm and -wal, of its folder and of the file system
    "#);
    answers!(answer("export daily --format csv --fields asin").unwrap(), @r#"
    exit 0
    --- stdout
    asin
    B0FDKB341G
    "#);
    set_mode(&sandbox, "amzctl.db", 0o644);
    assert_goes_on(&sandbox);
}

#[test]
fn a_read_only_folder_says_that_reading_needs_to_write_there_too() {
    let sandbox = stocked();
    set_mode(&sandbox, "amzctl.db.pipeline.lock", 0o444);
    let answer = |line: &str| Some(sandbox.answer(&mut bound_by_permissions(&sandbox, line)?));
    let Some(run) = answer("run second.json") else { return };
    answers!(run, @r#"
    exit 1
    --- stderr
    error: cannot lock [FOLDER]/amzctl.db.pipeline.lock
      caused by: Permission denied (os error 13)
    hint: check the permissions of the file and its folder
    "#);
    set_mode(&sandbox, "", 0o555);
    answers!(answer("run second.json").unwrap(), @r#"
    exit 1
    --- stderr
    error: failed to open [FOLDER]/amzctl.db
      caused by: the database's files cannot be opened
      caused by: error returned from database: (code: 1544) attempt to write a readonly database
    hint: check the permissions of its folder and the file system: even reading needs to write beside the file
    "#);
    answers!(answer("status").unwrap(), @r#"
    exit 1
    --- stderr
    error: failed to open [FOLDER]/amzctl.db
      caused by: the database's files cannot be opened
      caused by: error returned from database: (code: 1544) attempt to write a readonly database
    hint: check the permissions of its folder and the file system: even reading needs to write beside the file
    "#);
    answers!(answer("export daily -o daily.csv").unwrap(), @r#"
    exit 1
    --- stderr
    error: failed to open [FOLDER]/amzctl.db
      caused by: the database's files cannot be opened
      caused by: error returned from database: (code: 1544) attempt to write a readonly database
    hint: check the permissions of its folder and the file system: even reading needs to write beside the file
    "#);
    set_mode(&sandbox, "", 0o755);
    set_mode(&sandbox, "amzctl.db.pipeline.lock", 0o644);
    assert_goes_on(&sandbox);
}

/// Another process's connection, on which statements were run.
struct Other {
    runtime: tokio::runtime::Runtime,
    connection: SqliteConnection,
}

impl Other {
    fn connect(sandbox: &Sandbox) -> Other {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(sandbox.path("amzctl.db"));
        let connection = runtime.block_on(options.connect()).unwrap();
        Other { runtime, connection }
    }

    fn execute(&mut self, statement: &'static str) {
        self.runtime.block_on(sqlx::raw_sql(statement).execute(&mut self.connection)).unwrap();
    }
}

#[test]
fn a_database_that_another_process_writes_ends_with_seven_after_the_wait() {
    let sandbox = stocked();
    let mut other = Other::connect(&sandbox);
    other.execute("BEGIN EXCLUSIVE");
    let impatient = |line: &str| sandbox.run_with("AMZCTL_STORE__BUSY_TIMEOUT_S", "0", line);
    answers!(impatient("run second.json"), @r#"
    exit 7
    --- stderr
    error: failed to write the beginning of the run
      caused by: the database is in use by another process
      caused by: error returned from database: (code: 5) database is locked
    hint: run again when the other process has finished
    "#);
    answers!(impatient("report US:B0FDKB341G --json"), @r#"
    exit 7
    --- stderr
    error: failed to write the beginning of the run
      caused by: the database is in use by another process
      caused by: error returned from database: (code: 5) database is locked
    hint: run again when the other process has finished
    {"type":"error","code":"transient","exit":7,"message":"failed to write the beginning of the run: the database is in use by another process: error returned from database: (code: 5) database is locked","hint":"run again when the other process has finished","run_id":null}
    "#);
    assert_eq!(sandbox.exit_code("status"), 0, "readers are not held up");

    let mut patient = sandbox.command("run -q second.json").spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(patient.try_wait().unwrap().is_none(), "it waits");
    other.execute("COMMIT");
    assert_eq!(patient.wait().unwrap().code(), Some(0));
    assert_goes_on(&sandbox);
}

#[test]
fn a_database_that_another_process_keeps_for_itself_ends_with_seven() {
    let sandbox = stocked();
    let mut other = Other::connect(&sandbox);
    other.execute("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT");
    for line in ["status", "run second.json", "init"] {
        let answer = sandbox.run_with("AMZCTL_STORE__BUSY_TIMEOUT_S", "0", line);
        assert!(answer.starts_with("exit 7\n"), "{line}: {answer}");
        assert!(answer.contains("the database is in use by another process"), "{line}: {answer}");
    }
    drop(other);
    assert_goes_on(&sandbox);
}

#[test]
fn a_newer_schema_is_refused_by_every_command_and_left_alone() {
    let sandbox = stocked();
    sandbox.sql("INSERT INTO schema_migrations VALUES (99, 'later', 'x')");
    let before = std::fs::read(sandbox.path("amzctl.db")).unwrap();
    for line in [
        "run second.json",
        "ingest second.json",
        "normalize",
        "build-mart",
        "alert run",
        "show B0FDKB341G",
        "compare B0FDKB341G",
        "report",
        "export daily",
        "verify",
        "check",
        "status",
        "init",
        "watch list",
        "quarantine list",
        "runs list",
    ] {
        let answer = sandbox.run(line);
        assert!(answer.starts_with("exit 1\n"), "{line}: {answer}");
        assert!(answer.contains("schema version 99, newer than this amzctl knows"), "{line}: {answer}");
        assert!(answer.contains("hint: install the newer amzctl"), "{line}: {answer}");
    }
    assert!(std::fs::read(sandbox.path("amzctl.db")).unwrap() == before, "it was written");
    sandbox.sql("DELETE FROM schema_migrations WHERE version = 99");
    assert_goes_on(&sandbox);
}

#[test]
fn a_broken_database_is_called_broken_whatever_is_asked_of_it() {
    let sandbox = stocked();
    assert!(!sandbox.path("amzctl.db-wal").exists(), "after a run the database is one file");
    let sound = std::fs::read(sandbox.path("amzctl.db")).unwrap();
    let mut scratched = sound.clone();
    // All pages but the first and the schema's.
    scratched.iter_mut().skip(64 << 10).for_each(|byte| *byte = 0xa5);
    let cut = &sound[..sound.len() / 2];
    for (what, bytes) in [("scratched", &scratched[..]), ("cut", cut), ("noise", &[0xa5; 8192])] {
        std::fs::write(sandbox.path("amzctl.db"), bytes).unwrap();
        for line in ["run second.json", "verify", "show US:B0FDKB341G", "export daily"] {
            let answer = sandbox.run(line);
            assert!(answer.starts_with("exit 1\n"), "{what}, {line}: {answer}");
            assert!(answer.contains("is not a sound SQLite database"), "{what}, {line}: {answer}");
            assert!(answer.contains("hint: restore a backup"), "{what}, {line}: {answer}");
        }
    }
    for name in ["amzctl.db-wal", "amzctl.db-shm"] {
        let _ = std::fs::remove_file(sandbox.path(name));
    }
    std::fs::write(sandbox.path("amzctl.db"), sound).unwrap();
    assert_goes_on(&sandbox);
}

#[test]
fn of_two_runs_at_once_the_second_is_told_who_runs() {
    let sandbox = stocked();
    let mut first = sandbox
        .command("run -q - --captured-at 2026-02-28")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let states = "runs list --format csv --fields command,state";
    while !sandbox.succeed(states).contains("run,running") {
        std::thread::sleep(Duration::from_millis(10));
    }
    let refused = sandbox.run("run second.json");
    assert!(refused.contains(&format!("pid {} on ", first.id())), "{refused}");
    answers!(refused, @r#"
    exit 11
    --- stderr
    error: another run holds the pipeline lock: `run`, pid [PID] on [HOST], since 2026-03-01T12:00:00Z
    hint: wait for it with --lock-wait 10m, or leave quietly with --skip-if-locked
    "#);
    answers!(sandbox.run("run second.json --skip-if-locked"), @r#"
    exit 0
    --- stderr
    skipped: another run holds the pipeline lock: `run`, pid [PID] on [HOST], since 2026-03-01T12:00:00Z
    "#);
    assert_eq!(sandbox.exit_code("run second.json --lock-wait 200ms"), 11);

    let mut second = sandbox.command("run -q second.json --lock-wait 1m").spawn().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert!(second.try_wait().unwrap().is_none(), "it waits");
    let mut stdin = first.stdin.take().unwrap();
    stdin.write_all(sound("B0FDKB341J").as_bytes()).unwrap();
    drop(stdin);
    assert_eq!(first.wait().unwrap().code(), Some(0));
    assert_eq!(second.wait().unwrap().code(), Some(0));
    assert_eq!(prices(&sandbox).lines().count(), 1 + 3);
}
