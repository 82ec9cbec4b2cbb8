use crate::sandbox::{Sandbox, answers};

#[test]
fn every_value_says_where_it_comes_from() {
    let sandbox = Sandbox::initialised();
    sandbox.write(".config/amzctl/config.toml", "[check]\nmax_age_hours = 24\n[mart]\npublish_days = 10\n");
    sandbox.write("amzctl.toml", "[mart]\npublish_days = 20\n\n[alerts]\nstale_slots = 3\n");
    sandbox.write(
        ".env",
        "# secrets\nexport AMZCTL_ALERTS__STALE_SLOTS='4'\nAMZCTL_RUN__TOLERATE_FAILED_PCT=1.5\n",
    );
    let answer =
        sandbox.run_with("AMZCTL_RUN__TOLERATE_FAILED_PCT", "2", "config show --origin --format tsv");
    let said: Vec<&str> = answer.lines().filter(|line| !line.ends_with("\tdefault")).collect();
    answers!(said.join("\n"), @r#"
    exit 0
    --- stdout
    key	value	origin
    alerts.stale_slots	4	.env variable AMZCTL_ALERTS__STALE_SLOTS
    check.max_age_hours	24	.config/amzctl/config.toml:2
    mart.publish_days	20	amzctl.toml:2
    run.tolerate_failed_pct	2	environment variable AMZCTL_RUN__TOLERATE_FAILED_PCT
    "#);
    assert!(answer.contains("\nstore.path\tamzctl.db\tdefault\n"), "{answer}");
}

#[test]
fn the_file_is_found_upwards_and_paths_are_relative_to_it() {
    let sandbox = Sandbox::initialised();
    sandbox.write("deep/er/note.txt", "");
    let mut command = sandbox.command("status --format csv --fields item,value");
    let answer = sandbox.answer(command.current_dir(sandbox.path("deep/er")));
    assert!(answer.contains("database,[FOLDER]/amzctl.db"), "{answer}");
}

#[test]
fn without_configuration_a_command_that_needs_one_says_how_to_begin() {
    let sandbox = Sandbox::empty();
    answers!(sandbox.run("watch list"), @r#"
    exit 10
    --- stderr
    error: no configuration found: no amzctl.toml here or above
    hint: create one with `amzctl init`, or name one with --config FILE
    "#);
    answers!(sandbox.run("--config absent.toml watch list"), @r#"
    exit 2
    --- stderr
    error: absent.toml: no such configuration file
    hint: --config must name an existing file; `amzctl init` writes one
    "#);
    sandbox.write("amzctl.toml", "");
    answers!(sandbox.run("watch list --json"), @r#"
    exit 10
    --- stderr
    error: failed to open [FOLDER]/amzctl.db
      caused by: no database at [FOLDER]/amzctl.db
    hint: create one with `amzctl init`, or name the configuration with --config
    {"type":"error","code":"not_initialised","exit":10,"message":"failed to open [FOLDER]/amzctl.db: no database at [FOLDER]/amzctl.db","hint":"create one with `amzctl init`, or name the configuration with --config","run_id":null}
    "#);
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    let sandbox = Sandbox::empty();
    sandbox.write("amzctl.toml", "[store]\npth = \"x.db\"\n\n[mart]\npublish_days = 3\nzone = \"UTC\"\n");
    answers!(sandbox.run("watch list"), @r#"
    exit 2
    --- stderr
    error: amzctl.toml:2: unknown key `store.pth` (and 1 more)
    hint: did you mean `store.path`?
    hint: `amzctl config validate` lists every problem
    "#);
    answers!(sandbox.run("config validate"), @r#"
    exit 2
    --- stdout
    PLACE          PROBLEM                  HINT
    amzctl.toml:2  unknown key `store.pth`  did you mean `store.path`?
    amzctl.toml:6  unknown key `mart.zone`  did you mean `time.zone`?
    --- stderr
    error: the configuration has 2 problems
    "#);
}

#[test]
fn a_value_that_is_not_valid_is_named_with_its_place() {
    let sandbox = Sandbox::empty();
    sandbox.write(
        "amzctl.toml",
        "[time]\nzone = \"Mars\"\n[defaults]\nmarketplace = \"XX\"\n[check]\nmin_completeness = 1.5\n",
    );
    answers!(sandbox.run("config validate"), @r#"
    exit 2
    --- stdout
    PLACE          PROBLEM                                                                                                 HINT
    amzctl.toml:2  `Mars` is not an IANA time zone such as UTC or Europe/Berlin                                            -
    amzctl.toml:4  unknown marketplace `XX` (known: US UK DE FR IT ES JP CA MX IN AU BR NL SE PL BE TR AE SA SG EG ZA IE)  -
    amzctl.toml:6  `check.min_completeness` must be 0 to 1                                                                 -
    --- stderr
    error: the configuration has 3 problems
    "#);
    sandbox.write("amzctl.toml", "[alerts]\nrules = \"loud\"\n");
    answers!(sandbox.run("run absent.json"), @r#"
    exit 2
    --- stderr
    error: amzctl.toml:2: there is no rule set `loud`
    hint: [alerts] rules is one of `calm`, `plain`
    "#);
    sandbox.write("amzctl.toml", "[mart]\npublish_days = \"many\"\n");
    answers!(sandbox.run("config show"), @r#"
    exit 2
    --- stderr
    error: amzctl.toml:2: `mart.publish_days` is the text "many"; it must be a whole number
    "#);
    sandbox.write("amzctl.toml", "[mart\npublish_days = 3\n");
    answers!(sandbox.run("status"), @r#"
    exit 2
    --- stderr
    error: amzctl.toml:1: unclosed table, expected `]`
    "#);
    sandbox.write("amzctl.toml", "");
    answers!(sandbox.run_with("AMZCTL_MART__PUBLISH_DAYS", "many", "config show"), @r#"
    exit 2
    --- stderr
    error: environment variable AMZCTL_MART__PUBLISH_DAYS: `mart.publish_days` is the text "many"; it must be a whole number
    "#);
}

#[test]
fn a_number_without_a_default_can_be_said_by_a_variable_too() {
    let sandbox = Sandbox::initialised();
    for (variable, text) in [("RETENTION__RAW_DAYS", "400"), ("KEEPA__MAX_UNITS_DAY", "5000")] {
        let shown = sandbox.run_with(&format!("AMZCTL_{variable}"), text, "config show --format csv");
        let key = variable.to_lowercase().replace("__", ".");
        assert!(shown.contains(&format!("\n{key},{text}")), "{shown}");
    }
    answers!(sandbox.run_with("AMZCTL_RETENTION__RAW_DAYS", "long", "config show"), @r#"
    exit 2
    --- stderr
    error: environment variable AMZCTL_RETENTION__RAW_DAYS: `retention.raw_days` is the text "long"; it must be a whole number
    "#);
}

#[test]
fn an_empty_path_is_refused_except_for_the_alerts_file_where_it_means_none() {
    let sandbox = Sandbox::at_first_sight();
    sandbox.write("amzctl.toml", "[ingest]\ninbox = \"\"\n[alerts]\nfile = \"\"\n");
    answers!(sandbox.run_with("AMZCTL_STORE__PATH", "", "config validate"), @r#"
    exit 2
    --- stdout
    PLACE                                    PROBLEM                                    HINT
    environment variable AMZCTL_STORE__PATH  `store.path` is empty: it names no path    name one, or leave the key out for the default, `amzctl.db`
    amzctl.toml:2                            `ingest.inbox` is empty: it names no path  name one, or leave the key out for the default, `inbox`
    --- stderr
    error: the configuration has 2 problems
    "#);
    sandbox.write("amzctl.toml", "[alerts]\nfile = \"\"\n");
    assert!(sandbox.succeed("config show --origin --format tsv").contains("alerts.file\t\tamzctl.toml:2\n"));

    sandbox.write("market.csv", TWO_DAYS);
    answers!(sandbox.run("run market.csv"), @r#"
    exit 0
    --- stdout
    CRITICAL US:B000000001 price fell 50.0 % from 19.99 to 9.99 USD (2026-02-27 → 2026-02-28) [9bfcd52ac6]
    --- stderr
    ingest: 1 file, 2 records, 2 landed
    normalize: 2 receipts read, 2 observations written, 2 daily rows changed
    build-mart: 2 changed days to the lake (1 file, 2 rows)
    build-mart: built 2 marketplace-days (2026-02-27 to 2026-02-28): 2 delta rows, 3 rollup rows, 4 files
    alert: 2 days judged, 1 new
    deliver: stdout: 1 delivered
    next: `amzctl status`, `amzctl compare`, `amzctl report`
    "#);
}

/// A price that falls by half.
const TWO_DAYS: &str = "marketplace,asin,observed_at,price_minor
US,B000000001,2026-02-27T12:00:00Z,1999
US,B000000001,2026-02-28T12:00:00Z,999
";

#[test]
fn a_variable_that_looks_like_a_setting_and_is_none_is_refused() {
    let sandbox = Sandbox::initialised();
    answers!(sandbox.run_with("AMZCTL_STORE_PATH", "x.db", "watch list"), @r#"
    exit 2
    --- stderr
    error: environment variable AMZCTL_STORE_PATH: names no setting
    hint: did you mean `AMZCTL_STORE__PATH`?
    "#);
    answers!(sandbox.run_with("AMZCTL_STORE__PTH", "x.db", "watch list"), @r#"
    exit 2
    --- stderr
    error: environment variable AMZCTL_STORE__PTH: names no setting
    hint: did you mean `AMZCTL_STORE__PATH`?
    "#);
    assert!(sandbox.run_with("AMZCTL_ANYTHING", "x", "watch list").starts_with("exit 0"));
    answers!(sandbox.run_with("AMZCTL_NOW", "noon", "watch list"), @r#"
    exit 2
    --- stderr
    error: AMZCTL_NOW: `noon` is not an instant
    hint: give it as 2026-03-01T12:00:00Z, or unset it
    "#);
}

#[test]
fn commands_that_need_no_configuration_do_not_mind_a_broken_one() {
    let sandbox = Sandbox::empty();
    sandbox.write("amzctl.toml", "nonsense");
    for line in ["version", "completions bash", "man", "config schema"] {
        assert_eq!(sandbox.exit_code(line), 0, "{line}");
    }
    assert_eq!(sandbox.exit_code("config validate"), 2);
}

#[test]
fn the_schema_knows_every_section() {
    let sandbox = Sandbox::empty();
    let schema: serde_json::Value = serde_json::from_str(&sandbox.succeed("config schema")).unwrap();
    let sections = schema["properties"].as_object().unwrap();
    for key in sandbox.succeed("config show --format csv --fields key").lines().skip(1) {
        let (section, _) = key.split_once('.').unwrap();
        assert!(sections.contains_key(section), "{key}");
    }
    assert!(sections.contains_key("store"));
}

#[test]
fn a_source_that_is_misspelt_or_named_twice_is_refused_with_the_one_that_was_meant() {
    let sandbox = Sandbox::initialised();
    sandbox.write(
        "amzctl.toml",
        "[normalize]\nsource_precedence = [\"kepa\", \"apify\", \"SP_API\", \"apify\"]\n",
    );
    answers!(sandbox.run("config validate"), @r#"
    exit 2
    --- stdout
    PLACE          PROBLEM                                                         HINT
    amzctl.toml:2  `normalize.source_precedence`: unknown source `kepa`            did you mean `keepa`? If it is a source of your own, name `keepa` in the list too
    amzctl.toml:2  `normalize.source_precedence`: `SP_API` is no name of a source  did you mean `sp-api`?
    amzctl.toml:2  `normalize.source_precedence` names `apify` twice               -
    --- stderr
    error: the configuration has 3 problems
    "#);
    // A name of the operator's own is a source like any other, also beside the one that it looks like.
    sandbox
        .write("amzctl.toml", "[normalize]\nsource_precedence = [\"our-crawler\", \"keepa\", \"keepa2\"]\n");
    assert_eq!(sandbox.exit_code("config validate"), 0);
    sandbox.write("amzctl.toml", "[normalize]\nsource_precedence = []\n");
    assert_eq!(sandbox.exit_code("config validate"), 0);
}

#[test]
fn a_value_of_the_wrong_kind_is_told_in_a_person_s_words() {
    let sandbox = Sandbox::empty();
    for (line, said) in [
        (
            "store.busy_timeout_s = \"ten\"",
            "`store.busy_timeout_s` is the text \"ten\"; it must be a whole number",
        ),
        ("store.busy_timeout_s = 1.5", "`store.busy_timeout_s` is the number 1.5; it must be a whole number"),
        (
            "store.busy_timeout_s = -1",
            "`store.busy_timeout_s` is the number -1; it must be a whole number, zero or more",
        ),
        (
            "store.busy_timeout_s = 5000000000",
            "`store.busy_timeout_s` is the number 5000000000; it must be a smaller whole number",
        ),
        ("store.path = 7", "`store.path` is the number 7; it must be a text in quotes"),
        ("alerts.file = true", "`alerts.file` is `true`; it must be a text in quotes"),
        ("time.zone = [\"UTC\"]", "`time.zone` is a list; it must be a text in quotes"),
        ("alerts.stdout = \"yes\"", "`alerts.stdout` is the text \"yes\"; it must be `true` or `false`"),
        (
            "check.min_completeness = \"half\"",
            "`check.min_completeness` is the text \"half\"; it must be a number",
        ),
        (
            "check.max_age_hours = 2026-03-01",
            "`check.max_age_hours` is a date or a time; it must be a whole number",
        ),
        (
            "own.seller_ids = \"A1\"",
            "`own.seller_ids` is the text \"A1\"; it must be a list such as [\"a\", \"b\"]",
        ),
        ("own.seller_ids = [1]", "an item of `own.seller_ids` is the number 1; it must be a text in quotes"),
        (
            "own.seller_ids = { a = 1 }",
            "`own.seller_ids` is a section with keys; it must be a list such as [\"a\", \"b\"]",
        ),
        ("lake = \"here\"", "`lake` is the text \"here\"; it must be a section with keys"),
    ] {
        sandbox.write("amzctl.toml", format!("# what was meant\n{line}\n"));
        let answer = sandbox.run("config show");
        assert!(answer.starts_with("exit 2\n"), "{line}: {answer}");
        assert!(answer.contains(&format!("error: amzctl.toml:2: {said}\n")), "{line}: {answer}");
    }
}
