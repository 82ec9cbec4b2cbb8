use crate::sandbox::{Sandbox, answers};

const HEADER: &str = "marketplace,asin,observed_at,price_minor,availability\n";

fn day(day: u32, price: u32) -> String {
    format!("{HEADER}US,B000000001,2026-02-{day}T08:00:00Z,{price},in_stock\n")
}

#[test]
fn a_run_does_every_stage_and_a_second_one_changes_nothing() {
    let sandbox = Sandbox::at_first_sight();
    sandbox.succeed("watch add -q US:B000000001");
    sandbox.write("in/a.csv", day(27, 3000));
    sandbox.write("in/b.csv", day(28, 2000));
    answers!(sandbox.run("run in"), @r#"
    exit 0
    --- stdout
    HIGH US:B000000001 price fell 33.3 % from 30.00 to 20.00 USD (2026-02-27 → 2026-02-28) [9bfcd52ac6]
    --- stderr
    ingest: 2 files, 2 records, 2 landed
    normalize: 2 receipts read, 2 observations written, 2 daily rows changed
    build-mart: 2 changed days to the lake (1 file, 2 rows)
    build-mart: built 2 marketplace-days (2026-02-27 to 2026-02-28): 2 delta rows, 3 rollup rows, 4 files
    alert: 2 days judged, 1 new
    deliver: stdout: 1 delivered
    deliver: file alerts.ndjson: 1 delivered
    next: `amzctl status`, `amzctl compare`, `amzctl report`
    "#);
    let (hash, told) = (sandbox.succeed("verify --hash"), sandbox.read("alerts.ndjson"));
    assert_eq!(told.lines().count(), 1);
    answers!(sandbox.run("run in"), @r#"
    exit 0
    --- stderr
    ingest: 2 files (2 already read), 0 records, 0 landed
    normalize: nothing new
    build-mart: nothing new
    alert: 0 days judged, 0 new
    deliver: nothing to deliver
    next: `amzctl status`, `amzctl compare`, `amzctl report`
    "#);
    assert_eq!(sandbox.succeed("verify --hash"), hash);
    assert_eq!(sandbox.read("alerts.ndjson"), told, "nothing is told twice");
    answers!(sandbox.run("run -q in"), @"exit 0");
    answers!(sandbox.run("runs list --format csv --fields command,state,exit_code"), @r#"
    exit 0
    --- stdout
    command,state,exit_code
    run,done,0
    run,done,0
    run,done,0
    "#);
}

#[test]
fn without_a_path_the_inbox_is_read_and_none_is_needed() {
    let sandbox = Sandbox::initialised();
    std::fs::remove_dir_all(sandbox.path("inbox")).ok();
    answers!(sandbox.run("run"), @r#"
    exit 0
    --- stderr
    ingest: no path given, and no files in [FOLDER]/inbox
    normalize: nothing new
    build-mart: nothing new
    alert: 0 days judged, 0 new
    deliver: nothing to deliver
    next: `amzctl status`, `amzctl compare`, `amzctl report`
    "#);
    sandbox.write("inbox/2026-02-28/a.csv", day(28, 2000));
    answers!(sandbox.run("run"), @r#"
    exit 0
    --- stderr
    ingest: 1 file, 1 record, 1 landed
    normalize: 1 receipt read, 1 observation written, 1 daily row changed
    build-mart: 1 changed day to the lake (1 file, 1 row)
    build-mart: built 1 marketplace-day (2026-02-28): 1 delta row, 0 rollup rows, 3 files
    alert: 1 day judged, 0 new
    deliver: nothing to deliver
    next: `amzctl status`, `amzctl compare`, `amzctl report`
    "#);
    answers!(sandbox.run("run nowhere.csv"), @r#"
    exit 2
    --- stderr
    error: no such file or folder: nowhere.csv
    hint: name files, folders, patterns such as 'exports/*.json', or - for standard input
    "#);
}

#[test]
fn a_deadline_ends_a_run_between_two_units_of_work_and_the_next_one_goes_on() {
    let sandbox = Sandbox::initialised();
    let days: String = (10..28).map(|n| day(n, 2000 + n)).map(|text| text.replace(HEADER, "")).collect();
    sandbox.write("in/a.csv", format!("{HEADER}{days}"));
    let answer = sandbox.run("run in --deadline 0s");
    assert!(answer.starts_with("exit 6\n"), "{answer}");
    assert!(
        answer.ends_with("error: the deadline was reached; the next run goes on from here\n"),
        "{answer}"
    );
    assert!(sandbox.succeed("runs list --format csv --fields state,exit_code").contains("budget_reached,6"));
    assert_eq!(sandbox.exit_code("run in"), 0);

    let whole = Sandbox::initialised();
    whole.write("in/a.csv", sandbox.read("in/a.csv"));
    whole.succeed("run in");
    assert_eq!(sandbox.succeed("verify --hash"), whole.succeed("verify --hash"));
}

#[test]
fn what_a_run_does_not_deliver_waits_for_alert_deliver() {
    let sandbox = Sandbox::with_market();
    assert!(!sandbox.path("alerts.ndjson").exists());
    let answer = sandbox.run("alert deliver");
    assert!(answer.starts_with("exit 0\n"), "{answer}");
    let events = sandbox.read("alerts.ndjson").lines().count();
    assert!(events > 0 && answer.contains(&format!("file alerts.ndjson: {events} delivered")), "{answer}");
    answers!(sandbox.run("alert deliver"), @r#"
    exit 0
    --- stderr
    deliver: nothing to deliver
    "#);
}

#[test]
fn a_run_with_rejected_records_ends_with_three_and_says_why_even_when_quiet() {
    let sandbox = Sandbox::initialised();
    sandbox.write("in/a.csv", format!("{}US,B000000002,2026-02-28T08:00:00Z,-5,in_stock\n", day(28, 2000)));
    answers!(sandbox.run("run -q in"), @r#"
    exit 3
    --- stderr
    normalize: 1 new row in quarantine
    "#);
    answers!(sandbox.run("run -q in"), @"exit 0");
}

#[test]
fn a_failed_delivery_is_not_called_a_refused_record() {
    let sandbox = Sandbox::with_market();
    // A folder cannot be appended to.
    std::fs::create_dir(sandbox.path("alerts.ndjson")).unwrap();
    let answer = sandbox.run("run");
    assert!(answer.starts_with("exit 3\n"), "{answer}");
    let next =
        "next: `amzctl alert deliver` tries again what was not delivered, `amzctl status` shows the rest\n";
    assert!(answer.ends_with(next), "{answer}");
}
