//! `db copy`: the whole database into an empty one, on this engine or the other. Directions with a server are skipped
//! where none is named (`tests/postgres/with_server`).

use std::process::Command;

use crate::sandbox::{Sandbox, answers};
#[cfg(feature = "failpoints")]
use crate::server::sql;
use crate::server::{fresh_database, take_in};

/// A database beside that of the sandbox's configuration, with a lake of its own.
struct Side {
    /// What `--to` is told.
    place: String,
    name: &'static str,
}

impl Side {
    fn file(name: &'static str) -> Side {
        Side { place: format!("{name}.db"), name }
    }

    fn server(name: &'static str) -> Option<Side> {
        Some(Side { place: fresh_database()?, name })
    }

    fn is_server(&self) -> bool {
        self.place.starts_with("postgres://")
    }

    /// A command line on this database.
    fn command(&self, sandbox: &Sandbox, line: &str) -> Command {
        let mut command = sandbox.command(line);
        command
            .env(if self.is_server() { "AMZCTL_STORE__URL" } else { "AMZCTL_STORE__PATH" }, &self.place)
            .env("AMZCTL_NOW", "2026-03-03T20:00:00Z")
            .env("AMZCTL_LAKE__ROOT", format!("{}.lake", self.name));
        command
    }

    fn ok(&self, sandbox: &Sandbox, line: &str) -> String {
        let output = self.command(sandbox, line).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        // 3: some of the generated records are meant for quarantine.
        assert!(matches!(output.status.code(), Some(0 | 3)), "{line} on {}: {told}", self.name);
        String::from_utf8(output.stdout).unwrap()
    }

    #[cfg(feature = "failpoints")]
    fn sql(&self, sandbox: &Sandbox, statements: &str) {
        if self.is_server() {
            sql(&self.place, &format!("SET search_path TO ops, core, mart, staging_raw; {statements}"));
        } else {
            sandbox.sql_in(&self.place, statements);
        }
    }
}

/// Everything that a reader may see of a database: its state and its exports.
fn seen(side: &Side, sandbox: &Sandbox) -> Vec<String> {
    [
        "verify --hash --tables",
        "export products --format ndjson",
        "export observations --format ndjson",
        "export daily --format csv",
        "export ranks --format csv",
        "export latest --format ndjson",
        "export deltas --format ndjson",
        "export deltas --from 2026-02-20 --to 2026-02-24 --format csv",
        "export rollups --format ndjson",
        "export comparisons --format ndjson",
        "export alerts --format csv",
        "quarantine list --format csv",
        "watch list --format csv",
        "costs --by day --format csv",
    ]
    .map(|line| side.ok(sandbox, line))
    .to_vec()
}

/// Copies from one to the other, and goes on with the copy as with the original.
fn copy_and_go_on(sandbox: &Sandbox, from: &Side, to: &Side, day: &str) {
    let answer = from.ok(sandbox, &format!("db copy --to {} --json", to.place));
    let document: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let rows = document["rows"].as_array().unwrap();
    assert!(rows.len() > 35 && rows.iter().all(|row| row["equal"] == true), "{answer}");
    let daily = rows.iter().find(|row| row["table"] == "product_metrics_daily").unwrap();
    assert!(daily["copied_rows"].as_i64().unwrap() > 100, "{answer}");

    to.ok(sandbox, "build-mart -q");
    let (original, copy) = (seen(from, sandbox), seen(to, sandbox));
    for (told, expected) in copy.iter().zip(&original) {
        assert_eq!(told, expected);
    }
    // Neither has touched the lake of the other.
    for side in [from, to] {
        side.ok(sandbox, "verify -q");
    }
    for side in [from, to] {
        side.ok(sandbox, &format!("run -q {day}"));
        side.ok(sandbox, "watch add -q US:B0FDKB341G");
    }
    for line in ["export alerts --format csv", "export latest --format ndjson", "verify --hash --tables"] {
        let (told, expected) = (to.ok(sandbox, line), from.ok(sandbox, line));
        assert_eq!(told, expected, "{line} after {day}");
    }
    assert_ne!(to.ok(sandbox, "verify --hash --tables"), original[0], "nothing came of {day}");
}

/// A market taken in on the embedded engine, of which some days are still to come.
fn with_original() -> (Sandbox, Side) {
    let sandbox = Sandbox::initialised();
    take_in(&sandbox);
    // Under the name of a side.
    for (name, moved) in [("amzctl.db", "first.db"), ("lake", "first.lake")] {
        std::fs::rename(sandbox.path(name), sandbox.path(moved)).unwrap();
    }
    let later = "gen -q --products 12 --days 13 --start 2026-02-19 --seed 5 --marketplaces US,JP --out later";
    sandbox.succeed(later);
    (sandbox, Side::file("first"))
}

#[test]
fn an_embedded_database_is_copied_and_both_go_on_alike() {
    let (sandbox, first) = with_original();
    copy_and_go_on(&sandbox, &first, &Side::file("second"), "later/2026-03-01");
}

#[test]
fn a_database_moves_to_a_server_and_back() {
    let Some(second) = Side::server("second") else {
        println!("no server is named by AMZCTL_TEST_DATABASE_URL: skipped");
        return;
    };
    let (sandbox, first) = with_original();
    let third = Side::server("third").unwrap();
    copy_and_go_on(&sandbox, &first, &second, "later/2026-03-01");
    copy_and_go_on(&sandbox, &second, &third, "later/2026-03-02");
    copy_and_go_on(&sandbox, &third, &Side::file("fourth"), "later/2026-03-03");
}

#[test]
fn a_copy_says_what_it_does_and_what_is_next() {
    let sandbox = Sandbox::with_market();
    let planned = sandbox.run("db copy --to new/copy.db --dry-run");
    assert!(planned.contains("\nproduct_metrics_daily    19 "), "{planned}");
    assert!(
        planned.ends_with(" to new/copy.db\n") && planned.contains("dry run, nothing written: 49 tables, "),
        "{planned}"
    );
    assert!(!sandbox.path("new").exists());

    let copied = sandbox.run("db copy --to new/copy.db");
    let lines: Vec<&str> = copied.lines().filter(|line| !line.ends_with("true")).collect();
    let rows = planned.rsplit_once(" tables, ").unwrap().1.split(',').next().unwrap();
    answers!(lines.join("\n").replace(rows, "[ROWS]"), @r#"
    exit 0
    --- stdout
    TABLE                  ROWS  COPIED_ROWS  EQUAL
    --- stderr
    copied to new/copy.db: 49 tables, [ROWS]; rows and hashes of both sides are equal
    next: set `path = "[FOLDER]/new/copy.db"` (and no `url`) under [store] and another folder as `root` under [lake], then `amzctl build-mart`
    "#);

    assert_eq!(sandbox.run("db copy -q --to quiet.db"), "exit 0\n");
    // The original is as it was: its lake, and its ledger of runs.
    sandbox.succeed("verify -q");
    assert!(!sandbox.succeed("runs list --format csv").contains("copy"));
}

#[test]
fn what_cannot_become_a_copy_is_refused_with_what_to_do() {
    let sandbox = Sandbox::with_market();
    answers!(sandbox.run("db copy --to postgres://amz:s3cr3t@db.example/watch"), @"
    exit 2
    --- stderr
    error: --to holds a password, which others on this machine can read
    hint: leave it out and keep it in PGPASSWORD or ~/.pgpass, or name with --to-env VARIABLE a variable that holds the whole URL
    ");
    answers!(sandbox.run("db copy --to mysql://db.example/watch"), @"
    exit 2
    --- stderr
    error: --to: a database URL begins with postgres://
    ");
    answers!(sandbox.run("db copy --to-env NOWHERE"), @"
    exit 2
    --- stderr
    error: the variable NOWHERE is not set
    hint: it is looked for in the environment and in the `.env` file beside the configuration
    ");
    answers!(sandbox.run("db copy"), @"
    exit 2
    --- stderr
    error: the following required arguments were not provided:
      <--to <TARGET>|--to-env <VARIABLE>>

    Usage: amzctl db copy <--to <TARGET>|--to-env <VARIABLE>>

    For more information, try '--help'.
    ");
    answers!(sandbox.run("db copy --to amzctl.db"), @"
    exit 2
    --- stderr
    error: amzctl.db is the configured database itself, or its file under another name
    hint: name a file that does not exist
    ");
    sandbox.write("notes.txt", "mine");
    answers!(sandbox.run("db copy --to notes.txt"), @"
    exit 2
    --- stderr
    error: notes.txt is not empty, and not a database that amzctl has made
    hint: name a file that does not exist
    ");
    assert_eq!(sandbox.read("notes.txt"), "mine");
    sandbox.succeed("db copy -q --to copy.db");
    answers!(sandbox.run("db copy --to copy.db"), @"
    exit 2
    --- stderr
    error: copy.db is a database of its own already: nothing is copied over it
    hint: a copy that was whole is one, too: name it in the configuration to use it
    hint: name a file that does not exist
    ");
    // A password in a variable is no secret told, and is not shown.
    let told = sandbox.run_with("WHERE", "postgres://amz:s3cr3t@127.0.0.1:1/watch", "db copy --to-env WHERE");
    answers!(told, @"
    exit 7
    --- stderr
    error: failed to look at postgres://amz@127.0.0.1:1/watch
      caused by: the database cannot be reached, or the connection to it broke
      caused by: error communicating with database: Connection refused (os error 111)
    hint: check that the server runs and accepts connections from here, and run the command again: what was committed is kept
    ");
    assert!(!told.contains("s3cr3t"));
    let lake = Side { place: "copy.db".into(), name: "copy" };
    let refused = sandbox.answer(lake.command(&sandbox, "build-mart").env("AMZCTL_LAKE__ROOT", "lake"));
    assert!(refused.contains("the lake in [FOLDER]/lake belongs to another database"), "{refused}");
    sandbox.succeed("verify -q");
}

#[test]
fn a_run_of_the_original_is_waited_for() {
    let sandbox = Sandbox::with_market();
    let lock = std::fs::File::open(sandbox.path("amzctl.db.deliver.lock"));
    let lock = lock.or_else(|_| std::fs::File::create(sandbox.path("amzctl.db.deliver.lock"))).unwrap();
    lock.lock().unwrap();
    let told = sandbox.run("db copy --to copy.db");
    assert!(told.starts_with("exit 11\n") && told.contains("holds the deliver lock"), "{told}");
    assert!(!sandbox.path("copy.db").exists());
}

/// A copy that was killed, on either engine.
#[cfg(feature = "failpoints")]
mod killed {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    /// Kills a copy when it has passed `point` so often; false when it comes to its end before.
    fn kill_at(sandbox: &Sandbox, from: &Side, to: &Side, point: &str) -> bool {
        let mut command = from.command(sandbox, &format!("db copy -q --to {}", to.place));
        let output = command.env("AMZCTL_FAILPOINT", point).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() || output.status.signal() == Some(9), "{point}: {told}");
        !output.status.success()
    }

    fn targets(name: &'static str) -> Vec<Side> {
        [Some(Side::file(name)), Side::server(name)].into_iter().flatten().collect()
    }

    #[test]
    fn a_copy_that_was_killed_anywhere_goes_on_and_becomes_whole() {
        let (sandbox, first) = with_original();
        let hashes = first.ok(&sandbox, "verify --hash --tables");
        let points = amzctl::failpoint::ALL.iter().filter(|point| point.starts_with("copy."));
        for point in points {
            for to in targets("copy") {
                let _ = std::fs::remove_file(sandbox.path("copy.db"));
                let _ = std::fs::remove_dir_all(sandbox.path("copy.lake"));
                assert!(kill_at(&sandbox, &first, &to, &format!("{point}:1")), "{point} is never passed");
                if *point != "copy.after_end" {
                    let refused = sandbox.answer(&mut to.command(&sandbox, "status"));
                    assert!(
                        refused.starts_with("exit 10\n") && refused.contains("unfinished copy"),
                        "{refused}"
                    );
                    let refused = sandbox.answer(&mut to.command(&sandbox, "init"));
                    assert!(
                        refused.starts_with("exit 10\n") && refused.contains("unfinished copy"),
                        "{refused}"
                    );
                    // Again and again, table by table.
                    let every = if point.contains("chunk") { 13 } else { 2 };
                    let kills = (0..20)
                        .take_while(|_| kill_at(&sandbox, &first, &to, &format!("{point}:{every}")))
                        .count();
                    assert!(kills == 0 && every == 2 || (2..20).contains(&kills), "{point}: {kills} kills");
                }
                to.ok(&sandbox, "build-mart -q");
                assert_eq!(to.ok(&sandbox, "verify --hash --tables"), hashes, "{point}");
            }
        }
    }

    #[test]
    fn a_row_that_changed_on_its_way_is_found() {
        let (sandbox, first) = with_original();
        for to in targets("copy") {
            assert!(kill_at(&sandbox, &first, &to, "copy.before_verify:1"));
            to.sql(&sandbox, "UPDATE rollups SET price_sum = price_sum + 1 WHERE window_days = 7");
            let line = format!("db copy --to {}", to.place);
            for _ in 0..2 {
                let told = sandbox.answer(&mut first.command(&sandbox, &line));
                assert!(
                    told.starts_with("exit 1\n")
                        && told.contains("differs from its original in rollups, and stays unusable"),
                    "{told}"
                );
                assert!(told.contains("\nrollups "), "{told}");
            }
            assert!(sandbox.answer(&mut to.command(&sandbox, "status")).starts_with("exit 10\n"));
        }
    }

    #[test]
    fn an_original_that_changed_since_is_not_mixed_with_what_was_copied() {
        let (sandbox, first) = with_original();
        for to in targets("copy") {
            assert!(kill_at(&sandbox, &first, &to, "copy.after_chunk:3"));
            first.ok(
                &sandbox,
                &format!("watch add -q US:B0FDKB341{}", if to.is_server() { 'G' } else { 'H' }),
            );
            let told = sandbox.answer(&mut first.command(&sandbox, &format!("db copy --to {}", to.place)));
            assert!(told.starts_with("exit 1\n"), "{told}");
            assert!(told.contains("the database has changed since its copy in "), "{told}");
        }
    }
}
