use crate::sandbox::{Sandbox, answers};

const HEADER: &str = "marketplace,asin,observed_at,price_minor\n";

#[test]
fn normalize_reads_what_is_new_and_a_replay_changes_nothing() {
    let sandbox = Sandbox::initialised();
    sandbox.write(
        "a.csv",
        format!("{HEADER}US,B000000001,2026-02-28T08:00:00Z,2000\nUS,B000000002,2026-02-28T08:00:00Z,1\n"),
    );
    sandbox.succeed("ingest -q a.csv");
    answers!(sandbox.run("normalize"), @r#"
    exit 0
    --- stderr
    normalize: 2 receipts read, 2 observations written, 2 daily rows changed
    next: `amzctl build-mart`
    "#);
    answers!(sandbox.run("normalize"), @r#"
    exit 0
    --- stderr
    normalize: nothing new
    next: `amzctl build-mart`
    "#);
    sandbox.succeed("build-mart -q");
    let hash = sandbox.succeed("verify --hash");
    answers!(sandbox.run("normalize --replay"), @r#"
    exit 0
    --- stderr
    normalize: 2 receipts read, 0 observations written, 0 daily rows changed
    "#);
    answers!(sandbox.run("normalize --replay --since 2026-03-01"), @r#"
    exit 0
    --- stderr
    normalize: nothing new
    "#);
    assert_eq!(sandbox.succeed("verify --hash"), hash);
    answers!(sandbox.run("normalize --since 2026-03-01"), @r#"
    exit 2
    --- stderr
    error: the following required arguments were not provided:
      --replay

    Usage: amzctl normalize --replay --since <DAY>

    For more information, try '--help'.
    "#);
}

#[test]
fn a_record_that_breaks_a_rule_is_kept_and_can_be_tried_again() {
    let sandbox = Sandbox::initialised();
    sandbox.write(
        "a.csv",
        format!("{HEADER}US,B000000001,2026-02-28T08:00:00Z,2000\nUS,B000000002,2026-03-09T08:00:00Z,5\n"),
    );
    sandbox.succeed("ingest -q a.csv");
    answers!(sandbox.run("normalize"), @r#"
    exit 3
    --- stderr
    normalize: 2 receipts read, 1 observation written, 1 daily row changed
    normalize: 1 new row in quarantine
    next: `amzctl quarantine list`, then `amzctl build-mart`
    "#);
    answers!(sandbox.run("quarantine list --format csv --fields reason,field,asin,file_path,file_line"), @r#"
    exit 0
    --- stdout
    reason,field,asin,file_path,file_line
    observed_in_future,observed_at,B000000002,a.csv,3
    "#);
    // The same rules at the same time refuse it again; that is not a new failure.
    let again = sandbox.run("quarantine retry --reason observed_in_future");
    assert!(again.starts_with("exit 0\n"), "{again}");
    answers!(sandbox.run("normalize"), @r#"
    exit 0
    --- stderr
    normalize: 1 receipt read, 0 observations written, 0 daily rows changed
    normalize: 1 row still in quarantine, refused again
    next: `amzctl quarantine list`, then `amzctl build-mart`
    "#);
    // Later it is no future any more.
    sandbox.succeed("quarantine retry -q --reason observed_in_future");
    let later = sandbox.run_with("AMZCTL_NOW", "2026-03-10T12:00:00Z", "normalize");
    answers!(later, @r#"
    exit 0
    --- stderr
    normalize: 1 receipt read, 1 observation written, 1 daily row changed
    next: `amzctl build-mart`
    "#);
    assert_eq!(sandbox.succeed("quarantine list"), "");
    assert!(sandbox.succeed("show US:B000000002 --format csv --fields price_minor").ends_with("\n5\n"));
}
