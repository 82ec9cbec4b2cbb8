//! A disk that runs full under the database, the lake, a report, an export and the file of alerts.
//!
//! The disk is a small one of its own in memory, seen by nobody else: each test runs itself again behind `unshare`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sandbox::{Sandbox, answers};

const DISK: &str = "AMZCTL_TINY_DISK";

/// The folder of a disk of 64 MiB, in the second life of the test `name`; null in its first, where there is nothing
/// left to do, and where the system gives nobody a disk.
fn tiny_disk(name: &str) -> Option<PathBuf> {
    if let Some(disk) = std::env::var_os(DISK) {
        return Some(disk.into());
    }
    let folder = tempfile::tempdir().unwrap();
    let mounted = |then: &[&std::ffi::OsStr]| {
        let mut command = Command::new("unshare");
        // Mapped to root of its own: an ordinary user may mount there, and for root nothing changes.
        command.args([
            "-r",
            "-m",
            "sh",
            "-c",
            "mount -t tmpfs -o size=64m tmpfs \"$1\" && shift && exec \"$@\"",
            "sh",
        ]);
        command.arg(folder.path()).args(then);
        command
    };
    if !mounted(&["true".as_ref()]).output().is_ok_and(|output| output.status.success()) {
        println!("skipped: this system gives no disk of its own (unshare, mount)");
        return None;
    }
    let test = std::env::current_exe().unwrap();
    let mut again = mounted(&[test.as_ref(), "--exact".as_ref(), name.as_ref(), "--nocapture".as_ref()]);
    let output = again.env(DISK, folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "there is no test {name}: {said}");
    None
}

/// Leaves so many KiB free.
fn fill(disk: &Path, leave_kib: usize) {
    let _ = std::fs::remove_file(disk.join("filler"));
    let output = Command::new("df").args(["--output=avail", "-k"]).arg(disk).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let free: usize = text.lines().nth(1).unwrap().trim().parse().unwrap();
    std::fs::write(disk.join("filler"), vec![0; (free - leave_kib) << 10]).unwrap();
}

fn free(disk: &Path) {
    std::fs::remove_file(disk.join("filler")).unwrap();
}

/// Records with titles that do not compress: about 1 KiB each.
fn records(count: u32) -> String {
    let mut seed = 0x9e37_79b9_u32;
    let mut title = || {
        let mut letter = |_| {
            seed ^= seed << 13;
            seed ^= seed >> 17;
            seed ^= seed << 5;
            char::from(
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-."[(seed >> 26) as usize],
            )
        };
        (0..1200).map(&mut letter).collect::<String>()
    };
    let mut text = String::new();
    for n in 0..count {
        let title = title();
        let _ = writeln!(
            text,
            r#"{{"marketplace":"US","asin":"B0{n:08}","day":"2026-02-28","price_minor":{},"title":"{title}"}}"#,
            100 + n
        );
    }
    text
}

/// How many receipts there are.
fn landed(sandbox: &Sandbox) -> u32 {
    let status = sandbox.succeed("status --format csv --fields item,value");
    status.lines().find_map(|line| line.strip_prefix("receipts,")).unwrap().parse().unwrap()
}

/// Six products over three days, of which one becomes half as dear; normalized.
fn market() -> Sandbox {
    let sandbox = Sandbox::at_first_sight();
    let mut text = String::new();
    for (day, price) in [(26, 2000), (27, 2000), (28, 1000)] {
        for n in 1..=6 {
            let price = if n == 1 { price } else { 2500 };
            let _ = writeln!(
                text,
                r#"{{"marketplace":"US","asin":"B00000000{n}","day":"2026-02-{day}","price_minor":{price}}}"#
            );
        }
    }
    sandbox.write("market.ndjson", text);
    sandbox.succeed("watch add -q US:B000000001 US:B000000002");
    sandbox.succeed("ingest -q market.ndjson");
    sandbox.succeed("normalize -q");
    sandbox
}

#[test]
fn a_disk_that_runs_full_under_the_database_loses_nothing() {
    let Some(disk) = tiny_disk("bad_input::disk::a_disk_that_runs_full_under_the_database_loses_nothing")
    else {
        return;
    };
    let records = records(1_500);
    let whole = Sandbox::initialised();
    whole.write("records.ndjson", &records);
    whole.succeed("run -q records.ndjson");

    let sandbox = Sandbox::initialised_in(&disk);
    let input = whole.path("records.ndjson");
    let ingest = || {
        let answer = sandbox.answer(sandbox.command("ingest --batch-records 50").arg(&input));
        answer.replace(&*input.to_string_lossy(), "[INPUT]")
    };
    fill(&disk, 1_200);
    let full = ingest();
    answers!(full, @r#"
    exit 1
    --- stderr
    error: failed to save records up to [COUNT] of [INPUT]
      caused by: the disk is full
      caused by: error returned from database: (code: 13) database or disk is full
    hint: free some disk space and run the command again: what was committed is kept
    "#);
    let receipts = landed(&sandbox);
    assert!(receipts > 0 && receipts.is_multiple_of(50), "whole batches are kept: {receipts}");
    assert!(ingest().starts_with("exit 1\n"), "still full");
    free(&disk);
    let rest = ingest();
    assert!(rest.starts_with("exit 0\n") && rest.contains("went on at record"), "{rest}");

    fill(&disk, 300);
    answers!(sandbox.run("normalize"), @r#"
    exit 1
    --- stderr
    error: failed to save the facts of receipts up to [COUNT]
      caused by: the disk is full
      caused by: error returned from database: (code: 13) database or disk is full
    hint: free some disk space and run the command again: what was committed is kept
    "#);
    answers!(sandbox.run("run"), @r#"
    exit 1
    --- stderr
    ingest: no path given, and no files in [FOLDER]/inbox
    error: normalize failed
      caused by: failed to save the facts of receipts up to [COUNT]
      caused by: the disk is full
      caused by: error returned from database: (code: 13) database or disk is full
    hint: free some disk space and run the command again: what was committed is kept
    "#);
    free(&disk);
    sandbox.succeed("normalize -q");
    // The lake's files first, then what is served, down to the commit.
    let mut refusals = 0;
    for leave_kib in (200..1_200).step_by(40) {
        fill(&disk, leave_kib);
        let answer = sandbox.run("build-mart --full");
        let is_refused = answer.starts_with("exit 1\n") && answer.contains("hint: free some disk space");
        assert!(is_refused || answer.starts_with("exit 0\n"), "{leave_kib} KiB free: {answer}");
        refusals += u32::from(is_refused && answer.contains("failed to publish the mart"));
    }
    assert!(refusals > 0, "the database was never what did not fit");
    free(&disk);
    sandbox.succeed("run -q");
    assert_eq!(sandbox.succeed("verify --hash"), whole.succeed("verify --hash"));
    assert_eq!(sandbox.exit_code("verify"), 0);
}

/// Needs no right to mount: the system refuses what makes a file larger than 600 KiB.
#[test]
fn a_write_that_the_system_refuses_loses_nothing() {
    let records = records(1_500);
    let (whole, sandbox) = (Sandbox::initialised(), Sandbox::initialised());
    for sandbox in [&whole, &sandbox] {
        sandbox.write("records.ndjson", &records);
    }
    whole.succeed("run -q records.ndjson");
    let limited = |line: &str| {
        let shell = ["sh", "-c", "trap '' XFSZ; ulimit -f 1200; exec \"$@\"", "sh"];
        sandbox.answer(&mut sandbox.command_behind(&shell, line))
    };
    answers!(limited("ingest records.ndjson --batch-records 50"), @r#"
    exit 1
    --- stderr
    error: failed to save records up to [COUNT] of records.ndjson
      caused by: the system failed to read or write the database
      caused by: error returned from database: (code: 778) disk I/O error
    hint: check the disk and its limits, and run the command again: what was committed is kept
    "#);
    let receipts = landed(&sandbox);
    assert!(receipts > 0 && receipts.is_multiple_of(50), "whole batches are kept: {receipts}");
    sandbox.succeed("run -q records.ndjson");
    assert_eq!(sandbox.succeed("verify --hash"), whole.succeed("verify --hash"));
    answers!(limited("export products -o products.csv"), @r#"
    exit 1
    --- stderr
    error: failed to write products.csv
      caused by: File too large (os error 27)
    hint: raise the limit on the size of files (ulimit -f) and run the command again
    "#);
    assert_eq!(sandbox.exit_code("verify"), 0);
}

#[test]
fn a_disk_that_runs_full_under_the_lake_loses_nothing() {
    let Some(disk) = tiny_disk("bad_input::disk::a_disk_that_runs_full_under_the_lake_loses_nothing") else {
        return;
    };
    let whole = market();
    whole.succeed("run -q");
    let sandbox = market();
    sandbox.write(
        "amzctl.toml",
        sandbox.read("amzctl.toml").replace("\"lake\"", &format!("{:?}", disk.join("lake"))),
    );
    for leave_kib in [0, 8, 24] {
        fill(&disk, leave_kib);
        let answer = sandbox.run("build-mart");
        assert!(answer.starts_with("exit 1\n"), "{leave_kib} KiB free: {answer}");
        assert!(answer.contains("hint: free some disk space"), "{leave_kib} KiB free: {answer}");
    }
    free(&disk);
    sandbox.succeed("run -q");
    assert_eq!(sandbox.succeed("verify --hash"), whole.succeed("verify --hash"));
    assert_eq!(sandbox.exit_code("verify"), 0);
}

#[test]
fn a_disk_that_runs_full_under_an_output_keeps_the_old_one() {
    let Some(disk) = tiny_disk("bad_input::disk::a_disk_that_runs_full_under_an_output_keeps_the_old_one")
    else {
        return;
    };
    let sandbox = market();
    sandbox.succeed("run -q");
    let to = |line: &str, name: &str| {
        let answer = sandbox.answer(sandbox.command(line).arg("-o").arg(disk.join(name)));
        answer.replace(&*disk.to_string_lossy(), "[DISK]")
    };
    let outputs = [
        ("report --format html --as-of 2026-02-27", "page.html"),
        ("report --format markdown --as-of 2026-02-27", "page.md"),
        ("export daily --format csv", "daily.csv"),
        ("export daily", "daily.parquet"),
        ("show US:B000000001 --json", "show.json"),
    ];
    for (line, name) in outputs {
        assert!(to(line, name).starts_with("exit 0\n"), "{line}");
    }
    let old: Vec<Vec<u8>> = outputs.iter().map(|(_, name)| std::fs::read(disk.join(name)).unwrap()).collect();
    fill(&disk, 0);
    for ((line, name), old) in outputs.iter().zip(&old) {
        let line = line.replace(" --as-of 2026-02-27", "");
        let answer = to(&line, name);
        assert!(answer.starts_with("exit 1\n"), "{line}: {answer}");
        assert!(answer.contains(&format!("failed to write [DISK]/{name}")), "{line}: {answer}");
        assert!(answer.contains("hint: free some disk space"), "{line}: {answer}");
        assert!(std::fs::read(disk.join(name)).unwrap() == *old, "{line}: the old file is gone");
    }
    let left = std::fs::read_dir(&disk).unwrap().count();
    assert_eq!(left, outputs.len() + 1, "halves of files are left");
    free(&disk);
    for (line, name) in outputs {
        assert!(to(line, name).starts_with("exit 0\n"), "{line}");
    }
}

#[test]
fn a_disk_that_runs_full_under_the_file_of_alerts_delivers_later_and_once() {
    let name = "bad_input::disk::a_disk_that_runs_full_under_the_file_of_alerts_delivers_later_and_once";
    let Some(disk) = tiny_disk(name) else { return };
    let sandbox = market();
    let file = disk.join("alerts.ndjson");
    sandbox.write(
        "amzctl.toml",
        sandbox.read("amzctl.toml").replace("#file = \"alerts.ndjson\"", &format!("file = {file:?}")),
    );
    fill(&disk, 0);
    sandbox.succeed("run -q --no-deliver");
    let deliver = |now: &str| {
        let answer = sandbox.run_with("AMZCTL_NOW", now, "alert deliver");
        answer.replace(&*disk.to_string_lossy(), "[DISK]")
    };
    answers!(deliver("2026-03-01T12:00:00Z"), @r#"
    exit 3
    --- stdout
    HIGH US:B000000001 price fell 50.0 % from 20.00 to 10.00 USD (2026-02-27 → 2026-02-28) [9bfcd52ac6]
    --- stderr
    deliver: stdout: 1 delivered
    deliver: file [DISK]/alerts.ndjson: 1 failed, tried again later (cannot write [DISK]/alerts.ndjson: No space left on device (os error 28))
    "#);
    free(&disk);
    answers!(deliver("2026-03-01T12:00:00Z"), @r#"
    exit 0
    --- stderr
    deliver: nothing is due, 1 waiting for a later attempt
    "#);
    answers!(deliver("2026-03-01T12:30:00Z"), @r#"
    exit 0
    --- stderr
    deliver: file [DISK]/alerts.ndjson: 1 delivered
    "#);
    answers!(deliver("2026-03-01T13:00:00Z"), @r#"
    exit 0
    --- stderr
    deliver: nothing to deliver
    "#);
    let delivered = std::fs::read_to_string(&file).unwrap();
    assert_eq!(delivered.lines().count(), 1, "{delivered}");
    let event: serde_json::Value = serde_json::from_str(&delivered).unwrap();
    assert_eq!((&event["rule"], &event["asin"]), (&"price_drop".into(), &"B000000001".into()));
}

#[test]
fn a_backup_that_does_not_fit_leaves_nothing_behind() {
    let Some(disk) = tiny_disk("bad_input::disk::a_backup_that_does_not_fit_leaves_nothing_behind") else {
        return;
    };
    let sandbox = Sandbox::with_market();
    fill(&disk, 64);
    let target = disk.join("saved.db");
    let line = format!("db backup {}", target.display());
    let told = sandbox.run(&line).replace(&*disk.to_string_lossy(), "[DISK]");
    answers!(told, @"
    exit 1
    --- stderr
    error: failed to back up to [DISK]/saved.db
      caused by: the disk is full
      caused by: error returned from database: (code: 13) database or disk is full
    hint: free some disk space and run the command again: what was committed is kept
    ");
    let left: Vec<_> = std::fs::read_dir(&disk).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["filler"]);
    free(&disk);
    sandbox.succeed(&line);
}
