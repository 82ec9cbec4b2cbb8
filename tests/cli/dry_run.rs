//! `--dry-run`: what would happen is said, and nothing is written.

use crate::sandbox::{Sandbox, answers};

const MARKET: &str = "marketplace,asin,observed_at,price_minor,rating_centi
US,B000000001,2026-02-27T12:00:00Z,1999,450
US,B000000001,2026-02-28T12:00:00Z,999,450
US,B000000002,2026-02-28T12:00:00Z,2999,700
";

#[test]
fn each_stage_says_what_it_would_do_and_the_state_stays() {
    let sandbox = Sandbox::at_first_sight();
    sandbox.write("inbox/market.csv", MARKET);
    let before = sandbox.succeed("verify --hash");
    answers!(sandbox.run("run --dry-run"), @r"
    exit 0
    --- stderr
    ingest: 1 file, 3 records, 3 would land
    normalize: nothing new
    build-mart: nothing new
    alert: 0 days judged, 0 new
    dry run, nothing written; each stage is shown for what is there now
    ");
    assert_eq!(sandbox.succeed("verify --hash"), before);
    assert_eq!(sandbox.succeed("runs list"), "");

    sandbox.succeed("ingest inbox");
    let landed = sandbox.succeed("verify --hash");
    answers!(sandbox.run("normalize --dry-run"), @r"
    exit 0
    --- stderr
    normalize: would read 3 receipts: 2 observations, 0 reviews, 1 for quarantine
    dry run, nothing written
    ");
    assert_eq!(sandbox.succeed("verify --hash"), landed);

    assert_eq!(sandbox.exit_code("normalize"), 3);
    sandbox.succeed("build-mart");
    sandbox.succeed("alert run --no-deliver");
    answers!(sandbox.run("alert deliver --dry-run"), @r"
    exit 0
    --- stderr
    dry run, nothing delivered: 2 waiting
    ");
    assert!(!sandbox.path("alerts.ndjson").exists());
}

#[test]
fn a_report_says_where_it_would_go_and_is_neither_written_nor_recorded() {
    let sandbox = Sandbox::with_market();
    let before = (sandbox.succeed("verify --hash"), sandbox.succeed("runs list"));
    let would = sandbox.run("report --cohort earbuds --format html --dry-run");
    let size = would.rsplit_once('(').and_then(|(_, rest)| rest.split_once(' ')).unwrap().0;
    let sized = |answer: String| answer.replace(&format!("({size} bytes)"), "([SIZE] bytes)");
    answers!(sized(would.clone()), @r#"
    exit 0
    --- stderr
    dry run, nothing written: a report to [FOLDER]/reports/cohort-earbuds-2026-02-28.html ([SIZE] bytes)
    "#);
    answers!(sized(sandbox.run("report --cohort earbuds --format html -o - --dry-run")), @r#"
    exit 0
    --- stderr
    dry run, nothing written: a report to stdout ([SIZE] bytes)
    "#);
    assert!(!sandbox.path("reports").exists());
    assert_eq!((sandbox.succeed("verify --hash"), sandbox.succeed("runs list")), before);
    assert_eq!(sandbox.exit_code("report --cohort pear --dry-run"), 2);
    // The evidence is new to whoever reports in earnest.
    answers!(sized(sandbox.run("report --cohort earbuds --format html")), @r#"
    exit 0
    --- stderr
    wrote [FOLDER]/reports/cohort-earbuds-2026-02-28.html ([SIZE] bytes)
    next: `amzctl explain US:B0FDKB341G` for where its figures come from
    "#);
}

#[test]
fn an_export_counts_its_rows_and_leaves_the_file_as_it_is() {
    let sandbox = Sandbox::with_market();
    sandbox.write("daily.parquet", "mine");
    answers!(sandbox.run("export daily -o daily.parquet --dry-run"), @r#"
    exit 0
    --- stderr
    dry run, nothing written: 19 rows to daily.parquet
    "#);
    assert_eq!(sandbox.read("daily.parquet"), "mine");
    answers!(sandbox.run("export deltas --marketplace UK --from 2026-02-27 --to 2026-02-28 --dry-run"), @r#"
    exit 0
    --- stderr
    days 2026-02-27 to 2026-02-28
    dry run, nothing written: 2 rows to stdout
    "#);
    answers!(sandbox.run("export alerts --json --dry-run"), @r#"
    exit 0
    --- stderr
    dry run, nothing written: 1 row to stdout
    "#);
    // What would fail fails.
    assert_eq!(sandbox.exit_code("export daily --format parquet --dry-run"), 2);
    assert_eq!(sandbox.exit_code("export daily --fields colour --dry-run"), 2);
    assert_eq!(sandbox.exit_code("export daily -o nowhere/x.csv --dry-run"), 1);
    assert_eq!(sandbox.exit_code("report US:B000000001 -o nowhere/x.html --dry-run"), 1);
}

#[test]
fn gen_counts_what_it_would_write_and_makes_no_folder() {
    let sandbox = Sandbox::empty();
    let line = "gen --out market --products 30 --days 12 --marketplaces US,JP --shape mixed --seed 5 --corrections --late --cohorts";
    answers!(sandbox.run(&format!("{line} --dry-run")), @r#"
    exit 0
    --- stderr
    would write 379 records in 55 files (0.9 MiB) to market, 2025-01-01 to 2025-01-12, seed 5
    of them 3 corrections, 4 late files
    and 3 lists to market/lists
    dry run, nothing written
    "#);
    assert!(!sandbox.path("market").exists());
    let written = sandbox.run(line);
    assert!(written.contains("wrote 379 records in 55 files (0.9 MiB) to market, "), "{written}");
    assert_eq!(sandbox.exit_code(&format!("{line} --dry-run")), 2, "the folder is not empty");
}
