//! `db`: looking after the embedded database; what a server answers is in `server`.

use std::time::Duration;

use sqlx::{ConnectOptions as _, Connection as _};

use crate::sandbox::{Sandbox, answers};

#[test]
fn the_status_says_what_there_is_and_who_works_on_it() {
    let sandbox = Sandbox::with_market();
    let told = sandbox.succeed("db status --format csv --fields item,rows");
    for line in [
        "item,rows",
        "database,",
        "schema,",
        "lock pipeline,",
        "table product_metrics_daily,19",
        "table alerts,1",
    ] {
        assert!(told.lines().any(|told| told == line), "{line}: {told}");
    }
    let document: serde_json::Value = serde_json::from_str(&sandbox.succeed("db status --json")).unwrap();
    assert_eq!(document["schema"], "amzctl.db.status/1");
    assert_eq!(document["schema_version"], document["newest_schema_version"]);
    assert_eq!(document["engine"], "sqlite");
    assert_eq!(document["locks"][0]["holder"], serde_json::Value::Null);
    let tables = document["tables"].as_array().unwrap();
    let of_tables: i64 = tables.iter().map(|table| table["size_bytes"].as_i64().unwrap()).sum();
    let of_database = document["size_bytes"].as_i64().unwrap();
    assert!(of_tables > of_database / 2 && of_tables <= of_database, "{of_tables} of {of_database}");
    assert!(tables.iter().all(|table| table["rows_are_counted"] == true));

    let held = sandbox.hold("pipeline");
    let document: serde_json::Value = serde_json::from_str(&sandbox.succeed("db status --json")).unwrap();
    assert_eq!(document["locks"][0]["holder"]["command"], "run", "{document:#}");
    drop(held);
}

#[test]
fn nothing_is_to_be_done_for_an_embedded_database_that_is_up_to_date() {
    let sandbox = Sandbox::initialised();
    answers!(sandbox.run("db migrate"), @"
    exit 0
    --- stderr
    up to date: schema version [SCHEMA]
    ");
    answers!(sandbox.run("db partitions --ahead 12"), @"
    exit 0
    --- stderr
    an embedded database is not kept by month: nothing to make
    ");
}

#[test]
fn a_backup_brings_back_what_was_there() {
    let sandbox = Sandbox::with_market();
    let before = sandbox.succeed("verify --hash --tables");
    let said = sandbox.run("db backup saved.db");
    assert!(said.starts_with("exit 0\n--- stderr\nwrote saved.db ("), "{said}");
    assert!(
        said.contains(&format!("schema version {}), checked\n", amzctl::store::Store::SCHEMA_VERSION)),
        "{said}"
    );
    sandbox.succeed("watch rm -q --yes US:B0FDKB341G");
    let changed = sandbox.succeed("verify --hash");

    answers!(sandbox.run("db restore saved.db"), @"
    exit 2
    --- stderr
    saved.db is sound ([SIZE], schema version [SCHEMA])
    error: [FOLDER]/amzctl.db is there already
    hint: replace it with --yes; it is kept beside the new one
    ");
    answers!(sandbox.run("db restore saved.db --dry-run"), @"
    exit 0
    --- stderr
    saved.db is sound ([SIZE], schema version [SCHEMA])
    dry run, nothing written: would replace and keep [FOLDER]/amzctl.db
    ");
    assert_eq!(sandbox.succeed("verify --hash"), changed);
    answers!(sandbox.run("db restore saved.db --yes"), @"
    exit 0
    --- stderr
    saved.db is sound ([SIZE], schema version [SCHEMA])
    restored [FOLDER]/amzctl.db from saved.db
    the database that was there is kept as [FOLDER]/amzctl.db.before-restore-20260301T120000Z
    the lake has a new epoch: the next `amzctl build-mart` writes it again from the database
    next: `amzctl build-mart`, then `amzctl verify`
    ");
    assert_eq!(sandbox.exit_code("verify --lake"), 1, "the lake is of before");
    let built = sandbox.run("build-mart");
    assert!(built.contains("is not this database's; it is written anew"), "{built}");
    sandbox.succeed("verify");
    assert_eq!(sandbox.succeed("verify --hash --tables"), before);

    // What was replaced is a database too, and a second restore in the same second keeps what it replaces as well.
    let kept = "amzctl.db.before-restore-20260301T120000Z";
    sandbox.succeed(&format!("db restore -q {kept} --yes"));
    sandbox.succeed("build-mart -q");
    assert_eq!(sandbox.succeed("verify --hash"), changed);
    assert!(sandbox.path(&format!("{kept}-2")).exists());
    let left: Vec<_> = sandbox.files().into_iter().filter(|name| name.ends_with(".tmp")).collect();
    assert_eq!(left, [] as [&str; 0]);
}

#[test]
fn a_database_that_is_gone_or_damaged_is_restored() {
    let sandbox = Sandbox::with_market();
    let before = sandbox.succeed("verify --hash");
    sandbox.succeed("db backup -q saved.db");
    std::fs::remove_file(sandbox.path("amzctl.db")).unwrap();
    let said = sandbox.run("db restore saved.db");
    assert!(said.starts_with("exit 0") && !said.contains("is kept as"), "{said}");
    sandbox.succeed("build-mart -q");
    assert_eq!(sandbox.succeed("verify --hash"), before);

    sandbox
        .write("amzctl.db", "this is no database at all, and it is long enough to be looked at".repeat(100));
    sandbox.write("amzctl.db-wal", "nor is this a log");
    sandbox.succeed("db restore -q saved.db --yes");
    sandbox.succeed("build-mart -q");
    assert_eq!(sandbox.succeed("verify --hash"), before);
    let kept = "amzctl.db.before-restore-20260301T120000Z";
    assert!(sandbox.read(kept).starts_with("this is no database"));
    assert_eq!(sandbox.read(&format!("{kept}-wal")), "nor is this a log");
}

#[test]
fn a_file_that_is_there_is_not_replaced_unasked() {
    let sandbox = Sandbox::initialised();
    sandbox.write("mine.txt", "mine");
    answers!(sandbox.run("db backup mine.txt"), @"
    exit 2
    --- stderr
    error: mine.txt is there already
    hint: replace it with --yes
    ");
    answers!(sandbox.run("db backup mine.txt --dry-run"), @"
    exit 0
    --- stderr
    dry run, nothing written: would replace mine.txt, [SIZE] at most
    ");
    assert_eq!(sandbox.read("mine.txt"), "mine");
    sandbox.succeed("db backup -q mine.txt --yes");
    assert_eq!(sandbox.exit_code("db restore mine.txt --dry-run"), 0);
    answers!(sandbox.run("db backup amzctl.db --yes"), @"
    exit 2
    --- stderr
    error: amzctl.db is the database itself
    hint: name another file
    ");
    answers!(sandbox.run("db backup nowhere/saved.db"), @"
    exit 1
    --- stderr
    error: failed to back up to nowhere/saved.db
      caused by: cannot read or write nowhere/saved.db
      caused by: No such file or directory (os error 2)
    ");
}

#[test]
fn only_a_sound_database_of_the_same_zone_is_restored() {
    let sandbox = Sandbox::initialised();
    answers!(sandbox.run("db restore nothing.db"), @"
    exit 2
    --- stderr
    error: nothing.db: no such file
    ");
    sandbox.write(
        "text.db",
        "not a database, but as long as a header of one is, which is a hundred bytes long ".repeat(9),
    );
    answers!(sandbox.run("db restore text.db --yes"), @"
    exit 1
    --- stderr
    error: text.db cannot be restored: text.db is not a sound SQLite database
    hint: name another backup
    ");
    sandbox.write("empty.db", "");
    answers!(sandbox.run("db restore empty.db --yes"), @"
    exit 1
    --- stderr
    error: empty.db holds no database of amzctl
    hint: name another backup
    ");

    sandbox.succeed("db backup -q saved.db");
    let saved = std::fs::read(sandbox.path("saved.db")).unwrap();
    sandbox.write("half.db", &saved[..saved.len() / 2]);
    let said = sandbox.run("db restore half.db --yes");
    assert!(said.starts_with("exit 1\n") && said.contains("half.db cannot be restored"), "{said}");

    sandbox.sql_in("saved.db", "UPDATE schema_migrations SET version = 99 WHERE version = 1");
    let said = sandbox.run("db restore saved.db --yes");
    assert!(said.starts_with("exit 1\n") && said.contains("newer than this amzctl knows"), "{said}");

    let elsewhere = Sandbox::empty();
    elsewhere.succeed("init -q --zone Asia/Tokyo");
    elsewhere.succeed("db backup -q tokyo.db");
    sandbox.write("tokyo.db", std::fs::read(elsewhere.path("tokyo.db")).unwrap());
    answers!(sandbox.run("db restore tokyo.db --yes"), @r#"
    exit 2
    --- stderr
    error: the backup keeps its days in time zone Asia/Tokyo, the configuration says UTC
    hint: the zone is fixed when a database is made: set `zone = "Asia/Tokyo"` under [time]
    "#);
    assert_eq!(sandbox.files().iter().filter(|name| name.contains("before-restore")).count(), 0);
    sandbox.succeed("verify");
}

#[test]
fn a_backup_does_not_wait_for_a_writer_and_a_restore_does_not_come_between() {
    let sandbox = Sandbox::with_market();
    let held = sandbox.hold("pipeline");
    sandbox.succeed("db backup -q saved.db");
    answers!(sandbox.run("db restore saved.db --yes"), @"
    exit 11
    --- stderr
    saved.db is sound ([SIZE], schema version [SCHEMA])
    error: another run holds the pipeline lock: `run`, pid [PID] on [HOST], since 2026-03-01T12:00:00Z
    hint: wait for it with --lock-wait 10m, or leave quietly with --skip-if-locked
    ");
    drop(held);
    let held = sandbox.hold("deliver");
    assert_eq!(sandbox.exit_code("db restore saved.db --yes"), 11);
    drop(held);

    // Somebody who takes no lock has it open, in the middle of a transaction.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(sandbox.path("amzctl.db"))
            .busy_timeout(Duration::ZERO);
        let mut open = options.connect().await.unwrap();
        sqlx::raw_sql("BEGIN IMMEDIATE; DELETE FROM watch_items").execute(&mut open).await.unwrap();
        sandbox.succeed("db backup -q during.db");
        answers!(sandbox.run_with("AMZCTL_STORE__BUSY_TIMEOUT_S", "0", "db restore saved.db --yes"), @"
        exit 7
        --- stderr
        saved.db is sound ([SIZE], schema version [SCHEMA])
        error: failed to restore saved.db
          caused by: another process has [FOLDER]/amzctl.db open
        hint: run again when the other process has finished
        ");
        sqlx::raw_sql("COMMIT").execute(&mut open).await.unwrap();
        open.close().await.unwrap();
    });
    assert_eq!(sandbox.succeed("watch list --format csv").lines().count(), 1, "what it wrote is kept");
    sandbox.succeed("db restore -q during.db --yes");
    assert_eq!(sandbox.succeed("watch list --format csv").lines().count(), 4, "the state of before");
}

#[test]
#[cfg(feature = "failpoints")]
fn a_kill_leaves_the_backup_or_nothing_and_a_database_under_its_name() {
    let sandbox = Sandbox::with_market();
    let before = sandbox.succeed("verify --hash");
    let killed = |point: &str, line: &str| {
        let output = sandbox.command(line).env("AMZCTL_FAILPOINT", point).output().unwrap();
        assert_eq!(output.status.code(), None, "{point}: {}", String::from_utf8_lossy(&output.stderr));
    };
    killed("backup.before_rename", "db backup saved.db");
    assert!(!sandbox.path("saved.db").exists());
    let leftovers = |sandbox: &Sandbox| sandbox.files().iter().filter(|name| name.ends_with(".tmp")).count();
    assert_eq!(leftovers(&sandbox), 1);
    sandbox.succeed("db backup -q saved.db");
    assert_eq!(leftovers(&sandbox), 0, "the next one clears away what was left");

    killed("restore.before_rename", "db restore saved.db --yes");
    assert_eq!(sandbox.succeed("verify --hash"), before, "the old one is still there");
    sandbox.succeed("db restore -q saved.db --yes");
    assert_eq!(leftovers(&sandbox), 0);
    sandbox.succeed("build-mart -q");
    assert_eq!(sandbox.succeed("verify --hash"), before);
}

/// Half a year after the market of the sandbox.
const LATER: &str = "2026-09-01T12:00:00Z";

/// Runs a command line half a year later, with every layer kept for 90 days.
fn later(sandbox: &Sandbox, line: &str) -> String {
    let mut command = sandbox.command(line);
    command.env("AMZCTL_NOW", LATER);
    for key in ["RAW", "READINGS", "ALERTS", "LEDGER"] {
        command.env(format!("AMZCTL_RETENTION__{key}_DAYS"), "90");
    }
    sandbox.answer(&mut command)
}

/// What anybody reads of the facts.
fn facts(sandbox: &Sandbox) -> String {
    ["products", "observations", "daily", "ranks", "latest", "deltas", "rollups"]
        .map(|table| sandbox.succeed(&format!("export {table} --format ndjson")))
        .join("\n")
}

#[test]
fn without_a_word_in_the_configuration_everything_is_kept() {
    let sandbox = Sandbox::with_market();
    answers!(sandbox.run_with("AMZCTL_NOW", LATER, "db retention"), @"
    exit 0
    --- stdout
    LAYER     KEPT_DAYS  BEFORE  ROWS  BYTES  OLDEST_KEPT
    raw       -          -          0  -      -
    readings  -          -          0  -      -
    alerts    -          -          0  -      -
    events    -          -          0  -      -
    requests  -          -          0  -      -
    runs      -          -          0  -      -
    --- stderr
    everything is kept for ever: `[retention]` in amzctl.toml says how long a layer is
    ");
    answers!(sandbox.run_with("AMZCTL_NOW", LATER, "db retention --yes"), @"
    exit 0
    --- stderr
    everything is kept for ever: `[retention]` in amzctl.toml says how long a layer is
    ");
}

#[test]
fn no_layer_is_kept_for_less_than_others_need() {
    let sandbox = Sandbox::initialised();
    for (key, days) in [("RAW", "89"), ("READINGS", "6"), ("ALERTS", "89"), ("LEDGER", "61")] {
        let told = sandbox.run_with(&format!("AMZCTL_RETENTION__{key}_DAYS"), days, "db retention --yes");
        let least = days.parse::<u32>().unwrap() + 1;
        assert!(
            told.starts_with("exit 2\n") && told.contains(&format!("hint: {least} is the least: ")),
            "{told}"
        );
    }
    let mut command = sandbox.command("db retention");
    command.env("AMZCTL_RETENTION__RAW_DAYS", "100").env("AMZCTL_MART__PUBLISH_DAYS", "200");
    answers!(sandbox.answer(&mut command), @"
    exit 2
    --- stderr
    error: retention.raw_days is 100, less than what is needed
    hint: 200 is the least: every figure that is served (`mart.publish_days`) is explained down to its raw payload
    ");
}

#[test]
fn what_is_old_is_dropped_and_every_figure_stays() {
    let sandbox = Sandbox::with_market();
    let before = facts(&sandbox);
    answers!(later(&sandbox, "db retention --fields layer,kept_days,before,rows,oldest_kept"), @"
    exit 0
    --- stdout
    LAYER     KEPT_DAYS  BEFORE      ROWS  OLDEST_KEPT
    raw              90  2026-06-03    19  -
    readings         90  2026-06-03     0  -
    alerts           90  2026-06-03     0  2026-02-28
    events           90  2026-06-03     0  -
    requests         90  2026-06-03     0  -
    runs             90  2026-06-03     1  -
    --- stderr
    dry run, nothing dropped; `amzctl db retention --yes` drops it for good
    ");
    let held = sandbox.hold("pipeline");
    assert!(later(&sandbox, "db retention --yes").starts_with("exit 11\n"));
    drop(held);
    answers!(later(&sandbox, "db retention --yes"), @"
    exit 0
    --- stderr
    retention: 19 rows of raw, 4.0 KiB of content dropped
    retention: 1 row of runs dropped
    ");
    assert_eq!(facts(&sandbox), before);
    answers!(later(&sandbox, "db retention --yes"), @"
    exit 0
    --- stderr
    retention: nothing was old enough
    ");

    // Nothing comes back, whatever is read or built again.
    answers!(sandbox.run("normalize --replay"), @"
    exit 0
    --- stderr
    normalize: nothing new
    retention has dropped raw records of 2026-02-28 and before: what they gave stays as it is
    ");
    let more = crate::sandbox::market()
        + "US,B0FM2YDLHP,2026-02-28T09:00:00Z,2200,in_stock,A2SHOP,900,Electronics,430,80,Speaker\n";
    sandbox.write("market-again.csv", more);
    answers!(sandbox.run("ingest market-again.csv"), @"
    exit 0
    --- stderr
    ingest: 1 file, 20 records, 1 landed, 19 already there
    next: `amzctl normalize`
    ");
    sandbox.succeed("build-mart -q --full");
    assert_eq!(facts(&sandbox), before);
    sandbox.succeed("verify");
    let explained = sandbox.succeed("explain US:B0FDKB341G --field price_minor");
    assert!(explained.contains("retention has dropped the receipt"), "{explained}");
    answers!(sandbox.run("explain US:B0FDKB341G --raw"), @"
    exit 1
    --- stderr
    error: retention has dropped the raw payloads
    hint: without --raw the observations that were read from them are shown
    ");
}

#[test]
#[cfg(feature = "failpoints")]
fn a_killed_retention_goes_on_where_it_was() {
    let whole = Sandbox::with_market();
    later(&whole, "db retention -q --yes");
    for point in ["retention.before_commit", "retention.after_commit"] {
        let sandbox = Sandbox::with_market();
        let mut command = sandbox.command("db retention --yes");
        command
            .env("AMZCTL_NOW", LATER)
            .env("AMZCTL_RETENTION__RAW_DAYS", "90")
            .env("AMZCTL_FAILPOINT", point);
        assert_eq!(command.output().unwrap().status.code(), None, "{point}");
        assert!(later(&sandbox, "db retention -q --yes").starts_with("exit 0"), "{point}");
        assert_eq!(
            sandbox.succeed("verify --hash --tables"),
            whole.succeed("verify --hash --tables"),
            "{point}"
        );
        sandbox.succeed("verify");
    }
}
