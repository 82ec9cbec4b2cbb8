use crate::sandbox::{Sandbox, answers};

/// Two builds of four days each.
fn with_two_builds() -> Sandbox {
    let sandbox = Sandbox::initialised();
    for (name, days) in [("a.csv", 20..24), ("b.csv", 24..28)] {
        let rows: String =
            days.map(|day| format!("US,B000000001,2026-02-{day}T08:00:00Z,{},S1\n", 2000 + day)).collect();
        build(&sandbox, name, &rows);
    }
    sandbox
}

fn build(sandbox: &Sandbox, name: &str, rows: &str) {
    sandbox.write(name, format!("marketplace,asin,observed_at,price_minor,seller_id\n{rows}"));
    sandbox.succeed(&format!("ingest -q {name}"));
    sandbox.succeed("normalize -q");
    sandbox.succeed("build-mart -q");
}

/// The names of a log's files.
fn log(sandbox: &Sandbox, table: &str) -> Vec<String> {
    let folder = sandbox.path(&format!("lake/{table}/_delta_log"));
    let entries = std::fs::read_dir(folder).map(|entries| entries.collect()).unwrap_or_else(|_| Vec::new());
    let mut names: Vec<String> =
        entries.into_iter().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn all_logs(sandbox: &Sandbox) -> Vec<(&'static str, Vec<String>)> {
    let tables =
        ["core/product_metrics_daily", "core/ranks", "mart/deltas", "mart/rollups", "mart/rollup_sellers"];
    tables.map(|table| (table, log(sandbox, table))).to_vec()
}

/// A commit's files: `+` those it adds, `-` those it removes, by month and name.
fn changes(sandbox: &Sandbox, table: &str, version: u64) -> String {
    let text = sandbox.read(&format!("lake/{table}/_delta_log/{version:020}.json"));
    let mut lines = Vec::new();
    for line in text.lines() {
        let action: serde_json::Value = serde_json::from_str(line).unwrap();
        for (name, sign) in [("add", '+'), ("remove", '-')] {
            if let Some(path) = action[name]["path"].as_str() {
                lines.push(format!("{sign} {path}"));
            }
        }
    }
    lines.sort();
    lines.join("\n")
}

#[test]
fn a_build_tells_the_logs_what_it_wrote_and_a_second_one_nothing() {
    let sandbox = with_two_builds();
    let logs = all_logs(&sandbox);
    let two = ["00000000000000000000.json", "00000000000000000001.json"];
    for (table, names) in &logs {
        // A table without a row has no log.
        let expected: &[&str] = if *table == "core/ranks" { &[] } else { &two };
        assert_eq!(names, expected, "{table}");
    }
    assert!(log(&sandbox, "mart/pasts").is_empty(), "what is amzctl's own is not published");
    sandbox.succeed("build-mart -q");
    answers!(sandbox.run("lake publish-delta"), @r#"
    exit 0
    --- stderr
    publish-delta: nothing new
    "#);
    assert_eq!(all_logs(&sandbox), logs);
}

#[test]
fn a_late_correction_removes_and_adds_exactly_the_changed_files() {
    let sandbox = with_two_builds();
    build(&sandbox, "late.csv", "US,B000000001,2026-02-22T18:00:00Z,1500,S1\n");
    answers!(changes(&sandbox, "core/product_metrics_daily", 2), @r"
    + marketplace=US/month=2026-02/g00000005-00000.parquet
    - marketplace=US/month=2026-02/g00000001-00000.parquet
    ");
    // Every later day looks back on the corrected one.
    answers!(changes(&sandbox, "mart/deltas", 2), @r"
    + marketplace=US/month=2026-02/g00000006-00000.parquet
    - marketplace=US/month=2026-02/g00000002-00000.parquet
    - marketplace=US/month=2026-02/g00000004-00000.parquet
    ");
    sandbox.succeed("verify -q --lake");
}

#[test]
fn a_damaged_log_is_written_anew_when_the_logs_are_published() {
    let sandbox = with_two_builds();
    let hash = sandbox.succeed("verify --hash");
    let newest = sandbox.path("lake/mart/deltas/_delta_log/00000000000000000001.json");
    let text = std::fs::read_to_string(&newest).unwrap();
    std::fs::write(&newest, &text[..text.len() - 30]).unwrap();
    let damaged = all_logs(&sandbox);
    answers!(sandbox.run("lake publish-delta --dry-run"), @r#"
    exit 0
    --- stderr
    publish-delta: the Delta log of mart/deltas is written anew: version 1: it is cut off
    publish-delta: mart/deltas: a new log: 2 files added, 0 removed
    dry run, nothing written
    "#);
    assert_eq!(all_logs(&sandbox), damaged);
    answers!(sandbox.run("lake publish-delta"), @r#"
    exit 0
    --- stderr
    publish-delta: the Delta log of mart/deltas is written anew: version 1: it is cut off
    publish-delta: mart/deltas: version 2: 2 files added, 0 removed
    "#);
    sandbox.succeed("verify -q --lake");
    assert_eq!(sandbox.succeed("verify --hash"), hash);
    assert!(sandbox.succeed("runs list --format csv --fields command").contains("lake publish-delta"));

    // The same at the end of a build.
    std::fs::remove_file(sandbox.path("lake/mart/rollups/_delta_log/00000000000000000000.json")).unwrap();
    answers!(sandbox.run("build-mart"), @r#"
    exit 0
    --- stderr
    build-mart: told 1 Delta log
    build-mart: the Delta log of mart/rollups is written anew: version 0 is missing
    "#);
}

#[test]
fn logs_are_kept_only_where_they_are_wanted_and_brought_up_by_hand() {
    let sandbox = Sandbox::initialised();
    answers!(sandbox.run("lake publish-delta"), @r#"
    exit 0
    --- stderr
    publish-delta: nothing new
    "#);
    let settings = sandbox.read("amzctl.toml").replace("#delta = true", "delta = false");
    sandbox.write("amzctl.toml", settings);
    build(&sandbox, "a.csv", "US,B000000001,2026-02-22T18:00:00Z,1500,\n");
    assert!(log(&sandbox, "core/product_metrics_daily").is_empty());
    answers!(sandbox.run("verify --lake"), @r#"
    exit 0
    --- stderr
    lake: files compared with their list, core with the database
    "#);
    answers!(sandbox.run("lake publish-delta"), @r#"
    exit 0
    --- stderr
    publish-delta: core/product_metrics_daily: version 0: 1 file added, 0 removed
    publish-delta: mart/deltas: version 0: 1 file added, 0 removed
    "#);
}

#[test]
fn the_logs_of_a_lake_that_is_not_ours_are_left_alone() {
    let sandbox = with_two_builds();
    let mut other: serde_json::Value = serde_json::from_str(&sandbox.read("lake/amzctl-lake.json")).unwrap();
    other["lake_epoch"] = "another".into();
    sandbox.write("lake/amzctl-lake.json", other.to_string());
    answers!(sandbox.run("lake publish-delta"), @r#"
    exit 1
    --- stderr
    error: the lake in [FOLDER]/lake was not written by this database as it is now
    hint: run `amzctl build-mart`: it writes the lake anew from the database
    "#);
}

#[test]
fn a_log_that_cannot_be_written_fails_the_build_but_the_mart_is_current() {
    let sandbox = with_two_builds();
    let log = sandbox.path("lake/mart/deltas/_delta_log");
    std::fs::remove_dir_all(&log).unwrap();
    std::fs::write(&log, "in the way").unwrap();
    sandbox.write(
        "c.csv",
        "marketplace,asin,observed_at,price_minor\nUS,B000000001,2026-02-28T08:00:00Z,3000\n",
    );
    sandbox.succeed("ingest -q c.csv");
    sandbox.succeed("normalize -q");
    let built = sandbox.run("build-mart");
    assert!(built.starts_with("exit 1"), "{built}");
    assert!(built.contains("the Delta logs are behind: ") && built.contains("publish-delta"), "{built}");
    let served = sandbox.succeed("export deltas --format csv --fields day,price");
    assert!(served.contains("2026-02-28,3000"), "{served}");
    std::fs::remove_file(&log).unwrap();
    sandbox.succeed("lake publish-delta -q");
    sandbox.succeed("verify --lake");
}
