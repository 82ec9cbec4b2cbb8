use crate::sandbox::{Sandbox, answers};

fn with_days() -> Sandbox {
    let sandbox = Sandbox::initialised();
    let rows: String =
        (20..28).map(|day| format!("US,B000000001,2026-02-{day}T08:00:00Z,{}\n", 2000 + day)).collect();
    sandbox.write("a.csv", format!("marketplace,asin,observed_at,price_minor\n{rows}"));
    sandbox.succeed("ingest -q a.csv");
    sandbox.succeed("normalize -q");
    sandbox
}

/// Every file below the lake.
fn lake(sandbox: &Sandbox) -> Vec<std::path::PathBuf> {
    let pattern = sandbox.path("lake/**/*.parquet");
    let mut found: Vec<_> = glob::glob(pattern.to_str().unwrap()).unwrap().map(Result::unwrap).collect();
    found.sort();
    found
}

#[test]
fn a_dry_run_says_what_would_be_built_and_writes_nothing() {
    let sandbox = with_days();
    let before = sandbox.succeed("verify --hash");
    answers!(sandbox.run("build-mart --dry-run"), @r#"
    exit 0
    --- stderr
    build-mart: would move 8 changed days to the lake
    build-mart: would build 8 marketplace-days (2026-02-20 to 2026-02-27): 8 delta rows
    build-mart: would read 8 rows (0.1 KiB) and write about 92 rows (3.3 KiB): about 1 s on two cores, 80.0 MiB of memory
    "#);
    assert_eq!((lake(&sandbox).len(), sandbox.succeed("verify --hash")), (0, before));
    assert!(!sandbox.succeed("runs list --format csv --fields command").contains("build-mart"));
}

#[test]
fn what_changed_is_built_once_and_everything_again_when_asked() {
    let sandbox = with_days();
    answers!(sandbox.run("build-mart"), @r#"
    exit 0
    --- stderr
    build-mart: 8 changed days to the lake (1 file, 8 rows)
    build-mart: built 8 marketplace-days (2026-02-20 to 2026-02-27): 8 delta rows, 21 rollup rows, 2 files
    next: `amzctl compare`, `amzctl report` or `amzctl alert run`
    "#);
    let (hash, files) = (sandbox.succeed("verify --hash"), lake(&sandbox));
    answers!(sandbox.run("build-mart"), @r#"
    exit 0
    --- stderr
    build-mart: nothing new
    "#);
    assert_eq!(lake(&sandbox), files);
    answers!(sandbox.run("build-mart --full"), @r#"
    exit 0
    --- stderr
    build-mart: built 8 marketplace-days (2026-02-20 to 2026-02-27): 8 delta rows, 21 rollup rows, 2 files
    next: `amzctl compare`, `amzctl report` or `amzctl alert run`
    "#);
    // The dry run has the same days and rows as the run after it.
    answers!(sandbox.run("build-mart --dry-run --from 2026-02-26 --to 2026-02-27"), @r#"
    exit 0
    --- stderr
    days 2026-02-26 to 2026-02-27
    build-mart: would build 2 marketplace-days (2026-02-26 to 2026-02-27): 2 delta rows
    build-mart: would read 8 rows (10.3 KiB) and write about 35 rows (31.8 KiB): about 1 s on two cores, 80.0 MiB of memory
    "#);
    answers!(sandbox.run("build-mart --from 2026-02-26 --to 2026-02-27"), @r#"
    exit 0
    --- stderr
    days 2026-02-26 to 2026-02-27
    build-mart: built 2 marketplace-days (2026-02-26 to 2026-02-27): 2 delta rows, 6 rollup rows, 2 files
    next: `amzctl compare`, `amzctl report` or `amzctl alert run`
    "#);
    assert_eq!(sandbox.succeed("verify --hash"), hash, "whatever way led to it");
    sandbox.succeed("build-mart -q --compact --vacuum-now");
    assert_eq!(sandbox.succeed("verify --hash"), hash);
    assert!(lake(&sandbox).len() <= files.len());
    answers!(sandbox.run("build-mart --from 2026-02-27 --to 2026-02-26"), @r#"
    exit 2
    --- stderr
    error: --from 2026-02-27 is after --to 2026-02-26
    "#);
}

#[test]
fn a_cohort_made_after_the_build_is_compared_by_the_next_one_which_says_so() {
    let sandbox = Sandbox::with_market();
    sandbox.succeed("cohort set -q speakers US:B0FM2YDLHP US:B0FCL55CFF");
    answers!(sandbox.run("build-mart"), @r#"
    exit 0
    --- stderr
    build-mart: published 1 comparison
    next: `amzctl compare`, `amzctl report` or `amzctl alert run`
    "#);
    answers!(sandbox.run("build-mart"), @r#"
    exit 0
    --- stderr
    build-mart: nothing new
    "#);
}
