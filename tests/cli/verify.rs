use crate::sandbox::{Sandbox, answers};

#[test]
fn a_whole_state_has_one_hash_and_one_for_every_table() {
    let sandbox = Sandbox::with_market();
    let hash = sandbox.succeed("verify --hash");
    assert!(hash.trim().len() == 64 && hash.trim().bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
    let tables = sandbox.succeed("verify --hash --tables");
    assert_eq!(tables.lines().last(), Some(hash.trim()));
    let names: Vec<&str> = tables.lines().filter_map(|line| line.split("  ").last()).collect();
    for name in ["raw_receipts", "product_metrics_daily", "alerts", "lake mart/rollups"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    let json: serde_json::Value = serde_json::from_str(&sandbox.succeed("verify --json")).unwrap();
    assert_eq!((&json["schema"], &json["hash"]), (&"amzctl.verify/1".into(), &hash.trim().into()));
    assert_eq!(json["problems"], serde_json::json!([]));
    let answer = sandbox.run("verify");
    answers!(answer.split_once("--- stderr\n").unwrap().1, @r#"
    database: integrity and references checked
    raw: 19 bodies hashed again
    lake: files and Delta logs compared with their list, core with the database
    the stored state is whole
    "#);
}

fn only_file(folder: &std::path::Path) -> std::path::PathBuf {
    let mut files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let file = files.next().unwrap();
    assert!(files.next().is_none());
    file
}

#[test]
fn a_missing_or_changed_file_of_the_lake_is_named_and_written_again() {
    let sandbox = Sandbox::with_market();
    let hash = sandbox.succeed("verify --hash");
    let folder = sandbox.path("lake/core/product_metrics_daily/marketplace=US/month=2026-02");
    let file = only_file(&folder);

    std::fs::remove_file(&file).unwrap();
    answers!(sandbox.run("verify --lake"), @r#"
    exit 1
    --- stderr
    lake: files and Delta logs compared with their list, core with the database
    problem: lake: core/product_metrics_daily/marketplace=US/month=2026-02/g00000001-00000.parquet is missing
    error: the stored state is not whole: 1 problem
    hint: `amzctl verify --lake --repair` mends the lake; a backup restores the database
    "#);

    sandbox.succeed("build-mart -q");
    sandbox.succeed("verify --lake");
    let file = only_file(&folder);
    let mut changed = std::fs::read(&file).unwrap();
    let middle = changed.len() / 2;
    changed[middle] ^= 0xff;
    std::fs::write(&file, changed).unwrap();
    answers!(sandbox.run("verify --lake"), @r#"
    exit 1
    --- stderr
    lake: files and Delta logs compared with their list, core with the database
    problem: lake: core/product_metrics_daily/marketplace=US/month=2026-02/g00000003-00000.parquet has other content than was written
    error: the stored state is not whole: 1 problem
    hint: `amzctl verify --lake --repair` mends the lake; a backup restores the database
    "#);

    sandbox.succeed("build-mart -q --full");
    sandbox.succeed("verify --lake");
    assert_eq!(sandbox.succeed("verify --hash"), hash);
}

#[test]
fn a_damaged_raw_body_is_named() {
    let sandbox = Sandbox::with_market();
    sandbox.sql(
        "DROP TRIGGER raw_bodies_immutable;
         UPDATE raw_bodies SET bytes = zeroblob(length(bytes)) WHERE sha256 = (SELECT MIN(sha256) FROM raw_bodies)",
    );
    let answer = sandbox.run("verify --raw");
    assert!(answer.starts_with("exit 1\n"), "{answer}");
    assert!(answer.contains("problem: raw body "), "{answer}");
    assert_eq!(sandbox.exit_code("verify"), 1);
}

#[test]
fn an_unreadable_file_of_the_lake_is_a_problem_among_others_and_mended_by_a_full_build() {
    let sandbox = Sandbox::with_market();
    let hash = sandbox.succeed("verify --hash");
    for table in ["core/product_metrics_daily", "mart/rollups"] {
        let file = only_file(&sandbox.path(&format!("lake/{table}/marketplace=US/month=2026-02")));
        let size = std::fs::metadata(&file).unwrap().len();
        std::fs::write(&file, vec![0xa5; size as usize]).unwrap();
    }
    answers!(sandbox.run("verify"), @r#"
    exit 1
    --- stderr
    database: integrity and references checked
    raw: 19 bodies hashed again
    lake: files and Delta logs compared with their list, core with the database
    hash: left out, the lake is damaged
    problem: lake: core/product_metrics_daily/marketplace=US/month=2026-02/g00000001-00000.parquet has other content than was written
    problem: lake: mart/rollups/marketplace=US/month=2026-02/g00000002-00000.parquet has other content than was written
    error: the stored state is not whole: 2 problems
    hint: `amzctl verify --lake --repair` mends the lake; a backup restores the database
    "#);
    let answer = sandbox.run("verify --hash");
    assert!(answer.starts_with("exit 1\n--- stderr\nproblem: lake: "), "{answer}");

    sandbox.succeed("build-mart -q --full");
    sandbox.succeed("verify");
    assert_eq!(sandbox.succeed("verify --hash"), hash);
}

#[test]
fn when_a_record_was_fetched_is_part_of_the_hash() {
    let hash_of_receipts = |flags: &str| {
        let sandbox = Sandbox::initialised();
        sandbox.write(
            "a.csv",
            "marketplace,asin,observed_at,price_minor\nUS,B000000001,2026-02-20T08:00:00Z,1000\n",
        );
        sandbox.succeed(&format!("ingest -q a.csv {flags}"));
        let tables = sandbox.succeed("verify --hash --tables");
        tables.lines().find(|line| line.ends_with("  raw_receipts")).unwrap().to_owned()
    };
    // It decides between two records that were true at the same instant.
    assert_ne!(hash_of_receipts(""), hash_of_receipts("--captured-at 2026-02-21T08:00:00Z"));
}

#[test]
fn for_a_lake_that_belongs_to_another_database_the_advice_is_that_of_build_mart() {
    let sandbox = Sandbox::with_market();
    let marker = sandbox.read("lake/amzctl-lake.json");
    let mut other: serde_json::Value = serde_json::from_str(&marker).unwrap();
    other["database_uuid"] = "another".into();
    sandbox.write("lake/amzctl-lake.json", other.to_string());
    answers!(sandbox.run("verify"), @r#"
    exit 1
    --- stderr
    database: integrity and references checked
    raw: 19 bodies hashed again
    hash: left out, the lake is damaged
    problem: lake: the lake in [FOLDER]/lake belongs to another database
    error: the stored state is not whole: 1 problem
    hint: every database needs a lake of its own: set [lake] root to another folder, then run `amzctl build-mart`
    hint: if the other database is gone, empty the folder instead
    "#);
    answers!(sandbox.run("build-mart"), @r#"
    exit 1
    --- stderr
    error: the lake in [FOLDER]/lake belongs to another database
    hint: every database needs a lake of its own: set [lake] root to another folder, then run `amzctl build-mart`
    hint: if the other database is gone, empty the folder instead
    "#);

    let mut before: serde_json::Value = serde_json::from_str(&marker).unwrap();
    before["lake_epoch"] = "before".into();
    sandbox.write("lake/amzctl-lake.json", before.to_string());
    answers!(sandbox.run("verify --lake"), @r#"
    exit 1
    --- stderr
    lake: files and Delta logs compared with their list, core with the database
    problem: lake: the lake in [FOLDER]/lake was not written by this database as it is now
    error: the stored state is not whole: 1 problem
    hint: run `amzctl build-mart`: it writes the lake anew from the database
    "#);
    // What it says helps.
    sandbox.succeed("build-mart -q");
    sandbox.succeed("verify -q");
}

/// Every Parquet file of rows below the lake, by its path there.
fn data_files(sandbox: &Sandbox) -> std::collections::BTreeSet<String> {
    let root = sandbox.path("lake");
    let found = glob::glob(root.join("*/*/marketplace=*/month=*/*.parquet").to_str().unwrap()).unwrap();
    found.map(|path| path.unwrap().strip_prefix(&root).unwrap().to_str().unwrap().to_owned()).collect()
}

/// `mart/rollups/marketplace=US/month=2026-02`, where the three tables of a past are one.
fn place(path: &str) -> String {
    let folder = path.rsplit_once('/').unwrap().0;
    folder.replace("past_prices", "pasts").replace("past_sellers", "pasts")
}

#[test]
fn any_damaged_or_missing_file_is_mended_and_no_other_that_does_not_follow_from_it() {
    let sandbox = Sandbox::with_market();
    let hash = sandbox.succeed("verify --hash");
    let files = data_files(&sandbox);
    assert!(files.len() >= 12, "{files:?}");
    for (number, file) in files.iter().enumerate() {
        // Left from the turn before, and no longer listed.
        sandbox.succeed("build-mart -q --vacuum-now");
        let before = data_files(&sandbox);
        let current =
            before.iter().find(|path| path.rsplit_once('/').unwrap().0 == file.rsplit_once('/').unwrap().0);
        let path = sandbox.path(&format!("lake/{}", current.unwrap()));
        if number % 2 == 0 {
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle..middle + 8].iter_mut().for_each(|byte| *byte ^= 0xff);
            std::fs::write(&path, bytes).unwrap();
        } else {
            std::fs::remove_file(&path).unwrap();
        }
        assert_eq!(sandbox.exit_code("verify --lake"), 1, "{file}");
        let said = sandbox.run("verify --lake --repair");
        assert!(
            said.starts_with(
                "exit 0\n--- stderr\nrepair: 1 damaged or missing file of the lake written again\n"
            ),
            "{file}: {said}"
        );
        let new: Vec<String> = data_files(&sandbox).difference(&before).map(|path| place(path)).collect();
        assert!(new.contains(&place(file)), "{file}: {new:?}");
        // What may have been read with other content has more behind it.
        let was_misread = number % 2 == 0 && (file.starts_with("core/") || file.starts_with("mart/past"));
        assert!(was_misread || new.iter().all(|path| *path == place(file)), "{file}: {new:?}");
        sandbox.succeed("verify --lake");
        assert_eq!(sandbox.succeed("verify --hash"), hash, "{file}");
    }
    answers!(sandbox.run("verify --lake --repair"), @r#"
    exit 0
    --- stderr
    repair: nothing to mend
    lake: files and Delta logs compared with their list, core with the database
    "#);
}

#[test]
fn a_day_that_differs_from_the_database_is_taken_from_there_with_what_follows_from_it() {
    let sandbox = Sandbox::with_market();
    let hash = sandbox.succeed("verify --hash");
    let before = data_files(&sandbox);
    let change = |price: i64| {
        sandbox.sql(&format!(
            "UPDATE product_metrics_daily SET price_minor = {price} WHERE marketplace = 'US' AND asin = 'B0FM2YDLHP'
             AND day = '2026-02-25'"
        ));
    };
    change(2300);
    answers!(sandbox.run("verify --lake"), @r#"
    exit 1
    --- stderr
    lake: files and Delta logs compared with their list, core with the database
    problem: lake: core/product_metrics_daily of US 2026-02 differs from the database (14 rows there, 14 here)
    error: the stored state is not whole: 1 problem
    hint: `amzctl verify --lake --repair` mends the lake; a backup restores the database
    "#);
    answers!(sandbox.run("verify --lake --repair"), @r#"
    exit 0
    --- stderr
    repair: 1 day taken from the database again
    lake: files and Delta logs compared with their list, core with the database
    "#);
    let new: Vec<String> = data_files(&sandbox).difference(&before).cloned().collect();
    assert!(!new.is_empty() && new.iter().all(|path| path.contains("marketplace=US/")), "{new:?}");
    assert_ne!(sandbox.succeed("verify --hash"), hash);

    change(2200);
    sandbox.succeed("verify -q --lake --repair");
    sandbox.succeed("verify --lake");
    assert_eq!(sandbox.succeed("verify --hash"), hash);
}

#[test]
fn damage_and_differing_days_at_once_are_mended_at_once() {
    let sandbox = Sandbox::with_market();
    let hash = sandbox.succeed("verify --hash");
    sandbox.sql("UPDATE product_metrics_daily SET price_minor = price_minor + 1 WHERE day = '2026-02-26'");
    sandbox.succeed("build-mart -q");
    for file in data_files(&sandbox).iter().filter(|file| file.contains("marketplace=UK/")) {
        std::fs::write(sandbox.path(&format!("lake/{file}")), "gone").unwrap();
    }
    sandbox.succeed("verify -q --lake --repair");
    sandbox.succeed("verify --lake");
    sandbox.sql("UPDATE product_metrics_daily SET price_minor = price_minor - 1 WHERE day = '2026-02-26'");
    std::fs::remove_file(sandbox.path("lake/amzctl-lake.json")).unwrap();
    sandbox.succeed("verify -q --lake --repair");
    sandbox.succeed("verify --lake");
    assert_eq!(sandbox.succeed("verify --hash"), hash);
}

#[test]
fn a_wrong_delta_log_is_a_problem_and_one_that_was_not_told_yet_is_none() {
    let sandbox = Sandbox::with_market();
    let hash = sandbox.succeed("verify --hash");
    let log = sandbox.path("lake/mart/rollups/_delta_log");
    std::fs::remove_dir_all(&log).unwrap();
    answers!(sandbox.run("verify --lake"), @r#"
    exit 0
    --- stderr
    lake: files and Delta logs compared with their list, core with the database
    lake: the Delta log of mart/rollups is behind the list of files
    "#);
    sandbox.succeed("verify -q --lake --repair");
    let first = log.join("00000000000000000000.json");
    let text = std::fs::read_to_string(&first).unwrap();
    std::fs::write(&first, text.trim_end()).unwrap();
    answers!(sandbox.run("verify --lake"), @r#"
    exit 1
    --- stderr
    lake: files and Delta logs compared with their list, core with the database
    problem: lake: the Delta log of mart/rollups is not to be trusted: version 0: it is cut off
    error: the stored state is not whole: 1 problem
    hint: `amzctl lake publish-delta` writes a Delta log anew that is not to be trusted
    "#);
    assert_eq!(sandbox.succeed("verify --hash"), hash, "the log is no part of the state");
    answers!(sandbox.run("verify --lake --repair"), @r#"
    exit 0
    --- stderr
    repair: the Delta log of mart/rollups is written anew: version 0: it is cut off
    lake: files and Delta logs compared with their list, core with the database
    "#);
    assert_eq!(sandbox.exit_code("verify --repair"), 2, "only with --lake");
}

#[test]
fn the_lake_of_another_database_is_not_mended() {
    let sandbox = Sandbox::with_market();
    let mut other: serde_json::Value = serde_json::from_str(&sandbox.read("lake/amzctl-lake.json")).unwrap();
    other["database_uuid"] = "another".into();
    sandbox.write("lake/amzctl-lake.json", other.to_string());
    let before = data_files(&sandbox);
    let said = sandbox.run("verify --lake --repair");
    assert!(
        said.starts_with("exit 1\n--- stderr\nerror: the lake in [FOLDER]/lake belongs to another"),
        "{said}"
    );
    assert_eq!(data_files(&sandbox), before);
}
