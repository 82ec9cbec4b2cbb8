//! `gen`.

use crate::sandbox::{Sandbox, answers};

#[test]
fn one_record_is_said_as_one() {
    let sandbox = Sandbox::empty();
    let said = sandbox.run("gen --seed 5 --products 1 --days 1 --out one");
    assert!(said.contains("wrote 1 record in 1 file (") && said.contains(" KiB) to one, "), "{said}");
}

#[test]
fn gen_says_what_it_wrote_and_how_to_go_on() {
    let sandbox = Sandbox::empty();
    answers!(
        sandbox.run("gen --out market --products 30 --days 12 --marketplaces US,JP --shape mixed --seed 5 --corrections --late --cohorts"),
        @r#"
    exit 0
    --- stderr
    wrote 379 records in 55 files (0.9 MiB) to market, 2025-01-01 to 2025-01-12, seed 5
    of them 3 corrections, 4 late files
    next:
      amzctl watch import market/lists/watchlist.csv
      amzctl cohort import market/lists/roles-US.csv --marketplace US
      amzctl cohort import market/lists/roles-JP.csv --marketplace JP
      amzctl ingest 'market/20*'
      amzctl ingest market/late
      for day in market/corrections/*; do amzctl ingest "$day" --captured-at "$(basename "$day")T18:00:00Z"; done
      amzctl run
    "#
    );
    assert!(sandbox.read("market/2025-01-02/apify-axesso-US.json").starts_with("[\n{\"statusCode\":"));
    assert!(sandbox.read("market/2025-01-02/apify-junglee-JP.ndjson").contains("\"currency\":\"¥\""));
    assert_eq!(sandbox.read("market/lists/roles-US.csv").matches(",main\n").count(), 2);

    sandbox.succeed("init -q");
    answers!(sandbox.run("watch import market/lists/watchlist.csv"), @r#"
    exit 0
    --- stderr
    30 added
    next: `amzctl ingest FILE` to land data, `amzctl watch list` to see the list
    "#);
    answers!(sandbox.run("cohort import market/lists/roles-JP.csv --marketplace JP"), @r#"
    exit 0
    --- stderr
    2 cohorts, 20 links: 2 added
    next: `amzctl compare --cohort JP-B09SCG2RV6`
    "#);
    answers!(sandbox.run("ingest market/20*"), @r#"
    exit 0
    --- stderr
    ingest: 48 files, 360 records, 360 landed
    next: `amzctl normalize`
    "#);
}

#[test]
fn the_same_seed_writes_the_same_bytes_and_never_into_somebody_s_folder() {
    let sandbox = Sandbox::empty();
    sandbox.succeed("gen --out one --products 6 --days 3 --gzip");
    sandbox.succeed("gen --out two --products 6 --days 3 --gzip");
    let bytes = |folder: &str| {
        std::fs::read(sandbox.path(folder).join("2025-01-03/apify-axesso-US.json.gz")).unwrap()
    };
    assert_eq!(bytes("one"), bytes("two"));
    answers!(sandbox.run("gen --out one"), @r#"
    exit 2
    --- stderr
    error: one is not empty
    hint: choose another folder, or write over it with --force
    "#);
    answers!(sandbox.run("gen --out one --products 6 --days 3 --gzip --force -q"), @r#"
    exit 0
    "#);
    answers!(sandbox.run("gen --out three --marketplaces US,FR,US"), @r#"
    exit 2
    --- stderr
    error: --marketplaces names a marketplace twice
    "#);
    assert_eq!(sandbox.exit_code("gen --out three --products 0"), 2);
}
