//! The rule language at the command line: what a rules file changes, what is wrong with one, and how often rules would fire.

use crate::sandbox::{Sandbox, answers};

/// A product a day, `price_minor` by day from 2026-02-01 on, taken in and built.
fn with_prices(prices: &[i64]) -> Sandbox {
    let sandbox = Sandbox::at_first_sight();
    let mut csv = String::from("marketplace,asin,day,price_minor,currency,title\n");
    for (day, price) in (1..).zip(prices) {
        csv += &format!("US,B0FDKB341G,2026-02-{day:02},{price},USD,Earbuds\n");
    }
    sandbox.write("prices.csv", csv);
    sandbox.succeed("run -q --no-deliver prices.csv");
    sandbox
}

#[test]
fn a_rules_file_changes_what_is_found() {
    let sandbox = Sandbox::at_first_sight();
    let rules =
        |sandbox: &Sandbox| sandbox.succeed("alert rules list --format csv --fields rule,severity,above");
    sandbox.write(
        "rules.toml",
        "[rules.price_drop]\nsteps = [{ severity = \"high\", min_pct = 2.5 }]\n[rules.rating_fell]\nsteps = [{ severity = \"low\", min_abs = 0.2 }]\n",
    );
    let changed = rules(&sandbox);
    assert!(
        changed.contains("\nprice_drop,high,2.5\n") && changed.contains("\nrating_fell,low,0.2\n"),
        "{changed}"
    );
    assert!(!changed.contains("price_drop,critical"), "{changed}");
    sandbox.write("rules.toml", sandbox.read("rules.toml") + "[[override]]\nrule = \"price_drop\"\nwhere = { tags = [\"hero\"] }\nset = { for = 2, cooldown_days = 7, min_abs = 1.5 }\n");
    answers!(sandbox.run("alert rules show price_drop"), @r#"
    exit 0
    --- stdout
    FOR            SEVERITY  CONDITION
    every product  high      price more than 2.5 % below the previous known day (at most 7 days back)
    tag hero       high      price more than 2.5 % below the previous known day (at most 7 days back), and by more than 1.5; 2 looks in a row; again after 7 days without it, or when graver
    "#);
    answers!(sandbox.run("alert rules disable price_drop"), @r#"
    exit 0
    --- stderr
    price_drop is switched off in [FOLDER]/rules.toml
    "#);
    let file = sandbox.read("rules.toml");
    assert!(file.starts_with("[rules.price_drop]\nsteps = [{ severity = \"high\", min_pct = 2.5 }]\nenabled = false\n[rules.rating_fell]\n"), "{file}");
    answers!(sandbox.run("alert rules show price_drop"), @r#"
    exit 0
    --- stdout
    FOR            SEVERITY  CONDITION
    every product            switched off
    tag hero                 switched off
    "#);
    sandbox.succeed("alert rules enable price_drop");
    assert!(rules(&sandbox).contains("\nprice_drop,high,2.5\n"));
}

#[test]
fn a_rules_file_that_does_not_hold_stops_judging_with_every_reason() {
    let sandbox = Sandbox::with_market();
    sandbox.write(
        "rules.toml",
        "[rules.price_dorp]\nenabled = false\n[rules.price_rise]\nfor = 9\nsteps = [{ severity = \"high\" }]\n",
    );
    answers!(sandbox.run("alert run"), @r#"
    exit 2
    --- stderr
    error: [FOLDER]/rules.toml: rules.price_dorp: there is no rule `price_dorp`; did you mean `price_drop`?
      rules.price_rise.steps[0]: `min_pct` is missing
      rules.price_rise.for: `for` is 1 to 5 looks
    hint: `amzctl alert rules schema` says what may stand there; nothing is judged until it holds
    "#);
    sandbox.write("rules.toml", "[rules.price_drop]\nminpct = 3\n");
    answers!(sandbox.run("alert rules validate"), @r#"
    exit 2
    --- stderr
    error: [FOLDER]/rules.toml: TOML parse error at line 2, column 1
      |
    2 | minpct = 3
      | ^^^^^^
    unknown field `minpct`, expected one of `enabled`, `steps`, `severity`, `min_abs`, `min_known_days`, `reference`, `for`, `clear_below`, `cooldown_days`, `message`
    hint: `amzctl alert rules schema` says what may stand there; nothing is judged until it holds
    "#);
    answers!(sandbox.run("alert rules validate absent.toml"), @r#"
    exit 2
    --- stderr
    error: cannot read the rules file absent.toml: No such file or directory (os error 2)
    "#);
    answers!(sandbox.run_with("AMZCTL_ALERTS__RULES_FILE", "absent.toml", "alert rules"), @r#"
    exit 2
    --- stderr
    error: there is no rules file [FOLDER]/absent.toml
    hint: [alerts] rules_file names it; without one the shipped set is used as it is
    "#);
}

#[test]
fn rules_that_never_or_always_fire_are_named() {
    let sandbox = Sandbox::with_market();
    sandbox.write(
        "rules.toml",
        r#"
        [rules.price_drop]
        steps = [{ severity = "critical", min_pct = 100 }]
        [[override]]
        rule = "price_rise"
        where = { tags = ["hreo"] }
        set = { for = 2 }
        "#,
    );
    answers!(sandbox.run("alert rules validate"), @r#"
    exit 0
    --- stderr
    price_drop: never critical: nothing falls by more than 100 %
    buy_box_lost: never: [own] seller_ids names no seller of yours
    price_rise (tag hreo): never: no product has tag hreo
    the rules hold: set `plain`, 1 override
    "#);
    assert_eq!(sandbox.exit_code("alert rules validate --strict"), 2);
}

#[test]
fn the_schema_of_a_rules_file_names_every_key() {
    let schema: serde_json::Value =
        serde_json::from_str(&Sandbox::empty().succeed("alert rules schema")).unwrap();
    let text = schema.to_string();
    for key in [
        "max_gap_days",
        "override",
        "where",
        "steps",
        "min_pct",
        "min_sigmas",
        "cooldown_days",
        "clear_below",
        "for",
    ] {
        assert!(text.contains(&format!("\"{key}\"")), "{key}");
    }
}

#[test]
fn a_calm_set_waits_for_the_third_look_and_a_plain_one_does_not() {
    let prices = [1000, 1000, 850, 1000, 1000, 700, 700, 700];
    let alerts = |set: &str| {
        let sandbox = Sandbox::initialised().with("AMZCTL_ALERTS__RULES", set);
        let mut csv = String::from("marketplace,asin,day,price_minor,currency,title\n");
        for (day, price) in (20..).zip(prices) {
            csv += &format!("US,B0FDKB341G,2026-02-{day},{price},USD,Earbuds\n");
        }
        sandbox.write("prices.csv", csv);
        sandbox.succeed("run -q --no-deliver prices.csv");
        sandbox.succeed("alert list --state all --format csv --fields day,rule,severity")
    };
    assert_eq!(
        alerts("plain"),
        "day,rule,severity\n2026-02-25,price_drop,medium\n2026-02-23,price_rise,medium\n2026-02-22,price_drop,medium\n"
    );
    assert_eq!(alerts("calm"), "day,rule,severity\n2026-02-27,price_drop,medium\n");
}

#[test]
fn a_backtest_says_how_often_rules_would_have_fired_and_what_the_next_day_said() {
    let sandbox = with_prices(&[1000, 1000, 850, 1000, 1000, 700, 700, 700, 700, 700, 600, 600, 1000, 900]);
    let before = sandbox.succeed("verify --hash");
    answers!(sandbox.run("alert backtest --from 2026-02-01 --to 2026-02-14 --set plain"), @r#"
    exit 0
    --- stdout
    RULE           SEVERITY  FIRED  PER_WEEK  CONFIRMED  REVERTED
    price_drop     medium        3       1.5          2  1
    price_rise     medium        1       0.5          1  0
    price_rise     critical      1       0.5          1  0
    price_outlier  medium        2         1          2  0
    --- stderr
    7 findings on 14 days of marketplaces, 2026-02-01 to 2026-02-14; nothing written
    "#);
    answers!(sandbox.run("alert backtest --from 2026-02-01 --to 2026-02-14 --set calm --samples --rule price_drop"), @r#"
    exit 0
    --- stdout
    RULE        SEVERITY  FIRED  PER_WEEK  CONFIRMED  REVERTED  SAMPLE
    price_drop  medium        1       0.5          1         0  US:B0FDKB341G: price fell 30.0 % from 10.00 to 7.00 USD (2026-02-05 → 2026-02-08)
    --- stderr
    1 findings on 14 days of marketplaces, 2026-02-01 to 2026-02-14; nothing written
    "#);
    answers!(sandbox.run("alert backtest --from 2026-02-01 --to 2026-02-14 --rule price_drop,price_rise --target 0.5/week"), @r#"
    exit 0
    --- stdout
    RULE        STEPS                             PER_WEEK  IS_ENOUGH
    price_drop  medium 15, high 45, critical 75        0.5  true
    price_rise  medium 20, high 60, critical 100       0.5  true
    "#);
    assert_eq!(sandbox.succeed("verify --hash"), before, "nothing is written");
    answers!(sandbox.run("alert backtest --target often"), @r#"
    exit 2
    --- stderr
    error: invalid value 'often' for '--target <COUNT/week>': `often` is no number a week, such as 3/week

    For more information, try '--help'.
    "#);
    answers!(sandbox.run("alert backtest --rule out_of_stock --target 1/week"), @r#"
    exit 2
    --- stderr
    error: these rules are about events: they have no threshold to propose
    "#);
}

#[test]
fn a_second_source_that_the_rule_set_never_asks_is_named_once() {
    let sandbox = Sandbox::initialised().with("AMZCTL_GATE__CONFIRM_WITH", "keepa");
    let sandbox = sandbox.with("AMZCTL_GATE__CONFIRM_MAX_UNITS_PER_DAY", "5");
    let line = "alert: nobody of [gate] confirm_with is asked, the rule set `plain` has no quality gate; `calm` has one\n";
    let said = sandbox.run_with("AMZCTL_ALERTS__RULES", "plain", "run --no-deliver");
    assert_eq!(said.matches(line).count(), 1, "{said}");
    let said = sandbox.run_with("AMZCTL_ALERTS__RULES", "calm", "run --no-deliver");
    assert!(!said.contains("confirm_with"), "{said}");
}

/// Twelve products of one file a day, all at one price, judged each night; what the last night said.
fn nights(prices: &[i64]) -> (Sandbox, String) {
    let sandbox = Sandbox::initialised();
    let mut said = String::new();
    for (day, price) in (1..).zip(prices) {
        let rows = (0..12).map(|n| format!("US,B{n:09},2026-03-{day:02},{price},USD,Thing {n}\n"));
        let csv =
            String::from("marketplace,asin,day,price_minor,currency,title\n") + &rows.collect::<String>();
        sandbox.write(&format!("{day}.csv"), csv);
        let now = format!("2026-03-{day:02}T12:00:00Z");
        said = sandbox.run_with("AMZCTL_NOW", &now, &format!("run --no-deliver {day}.csv"));
    }
    (sandbox, said)
}

#[test]
fn what_all_products_of_a_source_show_at_once_is_one_incident_until_the_next_day_says_what_it_was() {
    let (sandbox, said) = nights(&[2000, 2000, 1000, 1000, 1000]);
    assert!(said.starts_with("exit 3\n") && said.contains("alert: 12 findings held back"), "{said}");
    assert!(sandbox.run("alert list --state all").contains("no alerts"));
    answers!(sandbox.run("alert incidents list --format csv --fields day,reason,state,held,detail"), @r#"
    exit 0
    --- stdout
    day,reason,state,held,detail
    2026-03-05,watchlist_moved,open,12,price_drop: 12 of 12 products that file saw on one day
    "#);

    // It was a bad day: nobody hears of it.
    let (sandbox, said) = nights(&[2000, 2000, 1000, 1000, 1000, 2000]);
    assert!(said.starts_with("exit 0\n") && said.contains("12 dropped as unconfirmed"), "{said}");
    assert!(sandbox.run("alert list --state all").contains("no alerts"));
    assert!(
        sandbox
            .succeed("alert incidents list --state all --format csv --fields state,held")
            .contains("closed,0")
    );

    // They did become cheaper: everybody hears of it.
    let (sandbox, said) = nights(&[2000, 2000, 1000, 1000, 1000, 1000]);
    assert!(said.contains("12 released"), "{said}");
    let listed = sandbox.succeed("alert list --format csv --fields rule,day");
    assert_eq!(listed.lines().filter(|line| *line == "price_drop,2026-03-05").count(), 12, "{listed}");
}
