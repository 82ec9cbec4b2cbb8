use crate::sandbox::{Sandbox, answers};

#[test]
fn init_makes_what_is_missing_and_then_says_what_exists() {
    let sandbox = Sandbox::empty();
    answers!(sandbox.run("init --dry-run"), @r#"
    exit 0
    --- stderr
    would create  amzctl.toml
    would create  amzctl.db
    would create  lake
    "#);
    answers!(sandbox.run("init --zone Europe/Berlin --marketplace DE"), @r#"
    exit 0
    --- stderr
    created  amzctl.toml
    created  amzctl.db (days in Europe/Berlin)
    created  lake
    next: `amzctl watch add UK:ASIN`, or `amzctl ingest FILE`
    "#);
    let written = sandbox.read("amzctl.toml");
    assert!(written.contains("zone = \"Europe/Berlin\"") && written.contains("\nmarketplace = \"DE\""));

    sandbox.write("amzctl.toml", format!("# mine\n{written}"));
    answers!(sandbox.run("init"), @r#"
    exit 0
    --- stderr
    exists   amzctl.toml
    exists   amzctl.db (days in Europe/Berlin)
    exists   lake
    next: `amzctl watch add UK:ASIN`, or `amzctl ingest FILE`
    "#);
    assert!(sandbox.read("amzctl.toml").starts_with("# mine\n"), "a second init overwrites nothing");
}

#[test]
fn another_zone_than_the_fixed_one_is_refused() {
    let sandbox = Sandbox::initialised();
    answers!(sandbox.run("init --zone Asia/Tokyo"), @r#"
    exit 2
    --- stderr
    error: amzctl.toml says zone UTC, --zone says Asia/Tokyo
    hint: the zone is fixed when a database is made; for another one begin in another folder
    "#);
    sandbox.write("amzctl.toml", "[time]\nzone = \"Asia/Tokyo\"\n");
    answers!(sandbox.run("init"), @r#"
    exit 2
    --- stderr
    error: amzctl.db keeps its days in time zone UTC, the configuration says Asia/Tokyo
    hint: set `zone = "UTC"` under [time]
    "#);
    answers!(sandbox.run("status"), @r#"
    exit 2
    --- stderr
    error: the database keeps its days in time zone UTC, the configuration says Asia/Tokyo
    hint: the zone is fixed when a database is made: set `zone = "UTC"` under [time]
    "#);
    answers!(sandbox.run("config validate"), @r#"
    exit 2
    --- stderr
    error: the database keeps its days in time zone UTC, the configuration says Asia/Tokyo
    hint: the zone is fixed when a database is made: set `zone = "UTC"` under [time]
    "#);
}

#[test]
fn a_zone_or_marketplace_that_does_not_exist_is_wrong_usage() {
    let sandbox = Sandbox::empty();
    answers!(sandbox.run("init --zone Mars/Olympus"), @r#"
    exit 2
    --- stderr
    error: `Mars/Olympus` is not an IANA time zone such as UTC or Europe/Berlin
    "#);
    answers!(sandbox.run("init --marketplace XX"), @r#"
    exit 2
    --- stderr
    error: invalid value 'XX' for '--marketplace <CODE>': unknown marketplace `XX` (known: US UK DE FR IT ES JP CA MX IN AU BR NL SE PL BE TR AE SA SG EG ZA IE)

    For more information, try '--help'.
    "#);
    assert!(!sandbox.path("amzctl.toml").exists());
}

#[test]
fn init_of_another_folder_and_of_a_named_file() {
    let sandbox = Sandbox::empty();
    answers!(sandbox.run("init shop"), @r#"
    exit 0
    --- stderr
    created  shop/amzctl.toml
    created  shop/amzctl.db (days in UTC)
    created  shop/lake
    next: `amzctl watch add UK:ASIN`, or `amzctl ingest FILE`
    "#);
    answers!(sandbox.run("--config shop/amzctl.toml status --format csv --fields item,value"), @r#"
    exit 0
    --- stdout
    item,value
    database,[FOLDER]/shop/amzctl.db
    workspace,main
    size_bytes,[SIZE]
    newest_day,
    watched,0
    paused,0
    cohorts,0
    products,0
    receipts,0
    observations,0
    daily_rows,0
    reviews,0
    open_quarantine,0
    open_incidents,0
    held_findings,0
    open_alerts,0
    open_alerts_critical,0
    deliveries_pending,0
    deliveries_dead,0
    to_normalize,0
    --- stderr
    next: `amzctl --config shop/amzctl.toml ingest FILE` lands the first data
    "#);
    answers!(sandbox.run("--config absent.toml init"), @r#"
    exit 2
    --- stderr
    error: absent.toml: no such configuration file
    hint: without --config, `amzctl init FOLDER` writes one into the folder
    "#);
}

#[test]
fn a_folder_that_is_named_beats_the_variable_and_contradicts_the_flag() {
    let sandbox = Sandbox::empty();
    sandbox.succeed("init -q first");
    answers!(sandbox.run_with("AMZCTL_CONFIG", "first/amzctl.toml", "init second"), @r#"
    exit 0
    --- stderr
    created  second/amzctl.toml
    created  second/amzctl.db (days in UTC)
    created  second/lake
    next: `amzctl watch add UK:ASIN`, or `amzctl ingest FILE`
    "#);
    assert!(sandbox.path("second/amzctl.db").exists());
    answers!(sandbox.run("--config first/amzctl.toml init third"), @r#"
    exit 2
    --- stderr
    error: both FOLDER and --config say where the configuration is
    hint: leave one of them out
    "#);
    assert!(!sandbox.path("third").exists());
}
