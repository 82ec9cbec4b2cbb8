use crate::sandbox::{Sandbox, answers};

fn with_records() -> Sandbox {
    let sandbox = Sandbox::initialised();
    sandbox.sql(
        "INSERT INTO quarantine (quarantine_id, stage, reason, field, detail, source, marketplace, asin, receipt_id,
                item, body_sha256, file_path, file_line, file_offset, state, run_id, recorded_at)
         VALUES
         ('0a1', 'normalize', 'currency_mismatch', 'price', 'EUR on US', 'apify', 'US', 'B0FDKB341G', 1, 0, NULL,
             'in.json', 3, 120, 'open', 'r1', 1772352000000000),
         ('0b2', 'normalize', 'no_asin', '', 'names no product', 'apify', 'US', '', 2, 0, NULL, 'in.json', 4, 300,
             'open', 'r1', 1772352000000000),
         ('0c3', 'ingest', 'invalid_json', '', 'ends in a string', 'file', '', '', NULL, NULL, NULL, 'cut.json', 9, 99,
             'open', 'r1', 1772352000000000)",
    );
    sandbox
}

#[test]
fn refused_records_are_listed_and_shown() {
    let sandbox = with_records();
    answers!(sandbox.run("quarantine list"), @r#"
    exit 0
    --- stdout
    QUARANTINE_ID  STAGE      REASON             FIELD  ASIN        DETAIL
    0a1            normalize  currency_mismatch  price  B0FDKB341G  EUR on US
    0b2            normalize  no_asin                               names no product
    0c3            ingest     invalid_json                          ends in a string
    "#);
    answers!(sandbox.run("quarantine list --reason no_asin --format csv --fields quarantine_id,file_path,file_line"), @r#"
    exit 0
    --- stdout
    quarantine_id,file_path,file_line
    0b2,in.json,4
    "#);
    answers!(sandbox.run("quarantine list --limit 1 --format csv --fields quarantine_id"), @r#"
    exit 0
    --- stdout
    quarantine_id
    0a1
    --- stderr
    1 of 3; --limit shows more
    "#);
    answers!(sandbox.run("quarantine show 0a"), @r#"
    exit 0
    --- stdout
    quarantine_id  0a1
    state          open
    stage          normalize
    reason         currency_mismatch
    field          price
    detail         EUR on US
    source         apify
    marketplace    US
    asin           B0FDKB341G
    receipt_id     1
    item           0
    body_sha256    -
    file_path      in.json
    file_line      3
    file_offset    120
    run_id         r1
    recorded_at    2026-03-01T08:00:00Z
    payload        -
    --- stderr
    next: `amzctl quarantine retry 0a1` to have it read again, `amzctl quarantine drop 0a1` to let it go
    "#);
    answers!(sandbox.run("quarantine show 0"), @r#"
    exit 2
    --- stderr
    error: more than one id begins with `0`
    hint: give more of it
    "#);
}

#[test]
fn records_are_let_go_one_by_one_or_with_yes() {
    let sandbox = with_records();
    answers!(sandbox.run("quarantine drop 0a1"), @r#"
    exit 0
    --- stderr
    1 dropped
    next: `amzctl quarantine list`
    "#);
    answers!(sandbox.run("quarantine drop --all"), @r#"
    exit 2
    --- stderr
    error: nothing was dropped
    hint: confirm with --yes
    "#);
    answers!(sandbox.run("quarantine drop --all --dry-run"), @r#"
    exit 0
    --- stderr
    dry run, nothing written: 2 would be dropped
    "#);
    answers!(sandbox.run("quarantine drop --reason no_asin --yes"), @r#"
    exit 0
    --- stderr
    1 dropped
    next: `amzctl quarantine list`
    "#);
    answers!(sandbox.run("quarantine list --state all --format csv --fields quarantine_id,state"), @r#"
    exit 0
    --- stdout
    quarantine_id,state
    0a1,dropped
    0b2,dropped
    0c3,open
    "#);
    answers!(sandbox.run("quarantine drop"), @r#"
    exit 2
    --- stderr
    error: the following required arguments were not provided:
      <ID>...

    Usage: amzctl quarantine drop <ID>...

    For more information, try '--help'.
    "#);
}

#[test]
fn a_record_without_a_marketplace_is_mended_by_another_ingest_not_by_a_retry() {
    let sandbox = Sandbox::initialised();
    sandbox.write("plain.csv", "asin,observed_at,price_minor\nB000000001,2026-02-27T12:00:00Z,1999\n");
    sandbox.succeed("ingest -q plain.csv");
    assert_eq!(sandbox.exit_code("normalize -q"), 3);
    let listed = sandbox.succeed("quarantine list --format csv --fields quarantine_id");
    let id = &listed.lines().nth(1).unwrap()[..10];
    let shown = sandbox.run(&format!("quarantine show {id}"));
    answers!(shown[shown.find("--- stderr").unwrap()..].replace(id, "[ID]"), @r#"
    --- stderr
    next: `amzctl ingest --marketplace CODE plain.csv`, then `amzctl quarantine drop [ID]`; a retry cannot name the marketplace
    "#);
    answers!(sandbox.run(&format!("quarantine retry {id}")), @r#"
    exit 0
    --- stderr
    left out: 1 record without a known marketplace, which a retry cannot name: ingest the file again with --marketplace CODE
    nothing to read again
    "#);
    // What it says helps.
    sandbox.succeed("ingest -q --marketplace US plain.csv");
    sandbox.succeed("normalize -q");
    sandbox.succeed(&format!("quarantine drop -q {id}"));
    assert_eq!(
        sandbox.succeed("export daily --fields asin,price_minor"),
        "asin,price_minor\nB000000001,1999\n"
    );
}

#[test]
fn a_retry_queues_receipts_and_says_what_it_cannot() {
    let sandbox = with_records();
    sandbox.sql("INSERT INTO normalized_receipts VALUES (1, 1, 'quarantined'), (2, 1, 'quarantined')");
    answers!(sandbox.run("quarantine retry --all --dry-run"), @r#"
    exit 0
    --- stderr
    left out: 1 record refused while the file was read: mend the file and ingest it again
    dry run, nothing written: 2 receipts would be read again
    "#);
    answers!(sandbox.run("quarantine retry --all"), @r#"
    exit 0
    --- stderr
    left out: 1 record refused while the file was read: mend the file and ingest it again
    2 receipts will be read again
    next: `amzctl normalize`
    "#);
    answers!(sandbox.run("quarantine retry 0a1"), @r#"
    exit 0
    --- stderr
    nothing to read again
    "#);
}

#[test]
fn a_record_that_a_retry_refuses_again_is_told() {
    let sandbox = Sandbox::initialised();
    sandbox.write(
        "market.csv",
        "marketplace,asin,observed_at,price_minor,rating_centi\nUS,B000000001,2026-02-28T12:00:00Z,1999,700\n",
    );
    sandbox.succeed("ingest -q market.csv");
    assert_eq!(sandbox.exit_code("normalize -q"), 3);
    sandbox.succeed("quarantine retry -q --all");
    // It is no new failure.
    answers!(sandbox.run("normalize"), @r#"
    exit 0
    --- stderr
    normalize: 1 receipt read, 0 observations written, 0 daily rows changed
    normalize: 1 row still in quarantine, refused again
    next: `amzctl quarantine list`
    "#);
    let summary = sandbox.succeed("runs show --json");
    assert!(summary.contains("\"refused_again\": 1"), "{summary}");
    // What was let go stays so, and is not spoken of.
    sandbox.succeed("quarantine drop -q --all --yes");
    answers!(sandbox.run("normalize --replay"), @r#"
    exit 0
    --- stderr
    normalize: 1 receipt read, 0 observations written, 0 daily rows changed
    "#);
}
