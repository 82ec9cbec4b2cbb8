//! A server that ends statements, or whose disk is full: a clear message, nothing half-written, and a later run goes on.

use std::fmt::Write as _;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use super::own::OwnServer;
use super::{on_server, sql, url_as};
use crate::sandbox::{Sandbox, answers};

const STAGES: [&str; 6] = [
    "ingest -q market.csv",
    "normalize -q",
    "build-mart -q",
    "alert run -q --no-deliver",
    "alert deliver -q",
    "report US:B0FDKB341G -o report.md",
];
/// A table that each of them writes.
const WRITTEN: [&str; 6] = [
    "staging_raw.raw_receipts",
    "core.observations",
    "mart.rollups",
    "core.alerts",
    "ops.deliveries",
    "mart.reports",
];

/// A market of which nothing is taken in yet, whose last day is worth an alert.
fn prepare(sandbox: &Sandbox) {
    sandbox.write("market.csv", crate::sandbox::market());
    sandbox.succeed("watch add -q US:B0FDKB341G US:B0FM2YDLHP US:B0FCL55CFF");
    sandbox.succeed("cohort set -q earbuds US:B0FDKB341G US:B0FM2YDLHP US:B0FCL55CFF");
}

/// Keeps others from a table while `work` runs.
fn while_locked<T>(url: &str, table: &str, work: impl FnOnce() -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options: PgConnectOptions = url.parse().unwrap();
    let mut connection: PgConnection = runtime.block_on(options.connect()).unwrap();
    let lock = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
    runtime.block_on(sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut connection)).unwrap();
    let done = work();
    runtime.block_on(connection.close()).unwrap();
    done
}

#[test]
fn a_statement_that_the_server_ends_is_told_and_leaves_nothing_half_written() {
    let Some((sandbox, url)) = on_server() else { return };
    let hurried = format!("hurried_{}", uuid::Uuid::now_v7().simple());
    sql(
        &url,
        &format!(
            "CREATE ROLE {hurried} LOGIN SUPERUSER PASSWORD 'of-a-test';
             ALTER ROLE {hurried} SET statement_timeout = '2s'"
        ),
    );
    let hurried = url_as(&url, &hurried, "of-a-test");
    prepare(&sandbox);
    let state = "verify --hash --tables";
    for (line, table) in STAGES.iter().zip(WRITTEN) {
        let told = while_locked(&url, table, || sandbox.run_with("AMZCTL_STORE__URL", &hurried, line));
        assert!(told.starts_with("exit 7\n"), "{line}: {told}");
        assert!(
            told.contains(": the database server ended a statement that took too long\n"),
            "{line}: {told}"
        );
        assert!(told.contains("hint: raise the role's statement_timeout"), "{line}: {told}");
        assert_eq!(told.matches("error: ").count(), 1, "{line}: {told}");
        sandbox.succeed("verify -q");
        sandbox.succeed(line);
    }
    let embedded = Sandbox::at_first_sight();
    prepare(&embedded);
    STAGES.iter().for_each(|line| drop(embedded.succeed(line)));
    assert_eq!(sandbox.run(state), embedded.run(state));
}

/// Records that do not compress: about 8 KiB each.
fn records(count: u32) -> String {
    let mut seed = 0x9e37_79b9_u32;
    let mut letter = || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-."[(seed >> 26) as usize])
    };
    let mut text = String::new();
    for n in 0..count {
        let junk: String = (0..8_000).map(|_| letter()).collect();
        let _ = writeln!(
            text,
            r#"{{"marketplace":"US","asin":"B0{n:08}","day":"2026-02-28","price_minor":{},"junk":"{junk}"}}"#,
            100 + n
        );
    }
    text
}

/// The message without the server's number of its file.
fn without_file(told: &str) -> String {
    let (before, file) = told.split_once("file \"").expect(told);
    format!("{before}[FILE]{}", file.split_once('"').expect(told).1)
}

#[test]
fn a_server_whose_files_may_not_grow_ends_a_run_and_the_next_one_goes_on() {
    let Some(server) = OwnServer::start(&[]) else { return };
    // Both ways in which PostgreSQL meets a limit: in the middle of a page, as a full disk, and at its end.
    for (database, beyond_pages) in [("inside", 4096), ("between", 0)] {
        server.up();
        sql(&server.url("postgres"), &format!("CREATE DATABASE {database}"));
        let sandbox = Sandbox::empty_on(&server.url(database));
        sandbox.write("records.ndjson", records(800));
        sandbox.succeed("init -q");
        server.down();
        server.up_within(Some((3 << 20) + beyond_pages));
        let told = sandbox.run("ingest records.ndjson");
        let told = without_file(&told);
        if beyond_pages > 0 {
            answers!(told, @"
            exit 1
            --- stderr
            error: failed to save records up to [COUNT] of records.ndjson
              caused by: the disk is full
              caused by: error returned from database: could not extend [FILE]: wrote only 4096 of 8192 bytes at block 384
            hint: free some disk space on the server and run the command again: what was committed is kept
            ");
        } else {
            answers!(told, @"
            exit 1
            --- stderr
            error: failed to save records up to [COUNT] of records.ndjson
              caused by: the system failed to read or write the database
              caused by: error returned from database: could not extend [FILE]: File too large
            hint: look into the server's log, check its disk and its limits, and run the command again: what was committed is kept
            ");
        }
        server.down();
        server.up();
        sandbox.succeed("run -q records.ndjson");
        let embedded = Sandbox::at_first_sight();
        embedded.write("records.ndjson", records(800));
        embedded.succeed("run -q records.ndjson");
        assert_eq!(sandbox.run("verify --hash --tables"), embedded.run("verify --hash --tables"));
        sandbox.succeed("verify");
        server.down();
    }
}

#[test]
fn a_full_disk_in_any_stage_is_told_and_the_next_run_goes_on() {
    let Some((sandbox, url)) = on_server() else { return };
    prepare(&sandbox);
    // What a server says there, said by a trigger: its disk fills where the test wants it.
    sql(
        &url,
        "CREATE FUNCTION public.full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$",
    );
    for (line, table) in STAGES.iter().zip(WRITTEN) {
        let fill = format!(
            "CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION public.full_disk()"
        );
        sql(&url, &fill);
        let told = sandbox.run(line);
        assert!(told.starts_with("exit 1\n"), "{line}: {told}");
        assert!(told.contains(": the disk is full\n"), "{line}: {told}");
        assert!(
            told.contains("hint: free some disk space on the server and run the command again"),
            "{line}: {told}"
        );
        assert_eq!(told.matches("error: ").count(), 1, "{line}: {told}");
        sandbox.succeed("verify -q");
        sql(&url, &format!("DROP TRIGGER full_disk ON {table}"));
        sandbox.succeed(line);
    }
    let embedded = Sandbox::at_first_sight();
    prepare(&embedded);
    STAGES.iter().for_each(|line| drop(embedded.succeed(line)));
    assert_eq!(sandbox.run("verify --hash --tables"), embedded.run("verify --hash --tables"));
}
