use unicode_width::UnicodeWidthStr as _;

use crate::sandbox::{Sandbox, answers};

fn ids(sandbox: &Sandbox, line: &str) -> Vec<String> {
    let csv = sandbox.succeed(&format!("alert list {line} --format csv --fields alert_id"));
    csv.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn alerts_are_listed_with_their_whole_message() {
    let sandbox = Sandbox::with_market();
    let listed = sandbox.run_with("COLUMNS", "100", "alert list");
    answers!(listed.replace(char::is_numeric, "0"), @r#"
    exit 0
    --- stdout
    ID          DAY         SEVERITY  PRODUCT        STATE  MESSAGE
    b0dbb00ee0  0000-00-00  medium    US:B0FDKB000G  open   price fell 00.0 % from 00.00 to 00.00 USD
                                                            (0000-00-00 → 0000-00-00)
    "#);
    assert!(listed.lines().all(|line| line.width() <= 100), "{listed}");
    assert!(!listed.contains('…'), "{listed}");
    answers!(sandbox.run("alert list --rule price_drop --format csv --fields severity,rule,asin,day,message,state,historical"), @r#"
    exit 0
    --- stdout
    severity,rule,asin,day,message,state,historical
    medium,price_drop,B0FDKB341G,2026-02-28,price fell 22.3 % from 25.73 to 19.99 USD (2026-02-27 → 2026-02-28),open,false
    "#);
    answers!(sandbox.run("alert list --severity critical"), @r#"
    exit 0
    --- stderr
    no alerts
    "#);
    answers!(sandbox.run("alert list --severity worst"), @r#"
    exit 2
    --- stderr
    error: invalid value 'worst' for '--severity <SEVERITY>'
      [possible values: low, medium, high, critical]

    For more information, try '--help'.
    "#);
}

#[test]
fn an_alert_is_shown_acknowledged_and_resolved() {
    let sandbox = Sandbox::with_market();
    let id = ids(&sandbox, "--rule price_drop").remove(0);
    let short = &id[..10];
    answers!(sandbox.run(&format!("alert show {short}")), @r#"
    exit 0
    --- stdout
    alert       [ID]
                MEDIUM price fell 22.3 % from 25.73 to 19.99 USD (2026-02-27 → 2026-02-28)
    product     US:B0FDKB341G
    rule        price_drop
    day         2026-02-28
    state       open
    found       2026-03-01T12:00:00Z by run [ID]
    evidence    above = 10
    evidence    day = 2026-02-28
    evidence    price = 19.99 USD
    evidence    price_basis = page
    evidence    price_delta = -5.74 USD
    evidence    price_pct = -22.31
    evidence    price_prev = 25.73 USD
    evidence    price_prev_day = 2026-02-27
    delivery    alert.opened to file alerts.ndjson: pending
    delivery    alert.opened to stdout: pending
    "#);
    answers!(sandbox.run(&format!("alert ack {short} --as ada --note seen")), @r#"
    exit 0
    --- stderr
    1 acknowledged
    next: `amzctl alert resolve b8dbb73ee3` when it is dealt with
    "#);
    answers!(sandbox.run(&format!("alert ack {short}")), @r#"
    exit 0
    --- stderr
    0 acknowledged, 1 unchanged
    "#);
    answers!(sandbox.run(&format!("alert resolve {short} --dry-run")), @r#"
    exit 0
    --- stdout
    ID          DAY         SEVERITY  PRODUCT        STATE         MESSAGE
    b8dbb73ee3  2026-02-28  medium    US:B0FDKB341G  acknowledged  price fell 22.3 % from 25.73 to 19.99 USD (2026-02-27 → 2026-02-28) (acknowledged by ada at 2026-03-01T12:00:00Z: seen)
    --- stderr
    dry run, nothing written: 1 to be resolved
    "#);
    answers!(sandbox.run(&format!("alert resolve {short}")), @r#"
    exit 0
    --- stderr
    1 resolved
    "#);
    assert!(ids(&sandbox, "--rule price_drop").is_empty());
    assert_eq!(ids(&sandbox, "--rule price_drop --state resolved"), std::slice::from_ref(&id));
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.succeed(&format!("alert show {short} --json"))).unwrap();
    assert_eq!((&json["schema"], &json["state"]), (&"amzctl.alert/1".into(), &"resolved".into()));
    assert_eq!((&json["changes"][0]["actor"], &json["changes"][0]["note"]), (&"ada".into(), &"seen".into()));
    answers!(sandbox.run("alert show 0000000000000000"), @r#"
    exit 2
    --- stderr
    error: there is no alert `0000000000000000`
    hint: `amzctl alert list` shows their ids
    "#);
}

#[test]
fn who_resolves_one_alert_is_told_of_those_that_are_left() {
    let sandbox = Sandbox::at_first_sight();
    let rows: String = ["1", "2"]
        .map(|n| {
            format!("US,B00000000{n},2026-02-27T08:00:00Z,3000\nUS,B00000000{n},2026-02-28T08:00:00Z,2000\n")
        })
        .concat();
    sandbox.write("falling.csv", format!("marketplace,asin,observed_at,price_minor\n{rows}"));
    sandbox.succeed("run -q --no-deliver falling.csv");
    let ids = ids(&sandbox, "");
    answers!(sandbox.run(&format!("alert resolve {}", ids[0])), @r#"
    exit 0
    --- stderr
    1 resolved
    next: `amzctl alert list` shows what is left
    "#);
    answers!(sandbox.run(&format!("alert resolve {}", ids[1])), @r#"
    exit 0
    --- stderr
    1 resolved
    "#);
}

#[test]
fn judging_again_finds_nothing_new() {
    let sandbox = Sandbox::with_market();
    answers!(sandbox.run("alert run --exit-code --no-deliver"), @r#"
    exit 0
    --- stderr
    alert: 0 days judged, 0 new
    "#);
    sandbox.write(
        "more.csv",
        "marketplace,asin,observed_at,price_minor\nUS,B0FDKB341G,2026-03-01T08:00:00Z,900\n",
    );
    for line in ["ingest -q more.csv", "normalize -q", "build-mart -q"] {
        sandbox.succeed(line);
    }
    let dry = sandbox.run("alert run --exit-code --dry-run");
    assert!(dry.starts_with("exit 20\n") && dry.contains("price_drop"), "{dry}");
    assert_eq!(sandbox.exit_code("alert run --exit-code --no-deliver"), 20);
    assert_eq!(sandbox.exit_code("alert run --exit-code --no-deliver"), 0);
    let events = sandbox.succeed("alert deliver --json");
    assert!(events.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{events}");
    assert!(events.contains("price_drop"), "{events}");
}

#[test]
fn the_rules_are_listed_with_their_thresholds() {
    let sandbox = Sandbox::at_first_sight();
    let rules = sandbox.succeed("alert rules --format csv --fields rule,severity,above");
    assert!(
        rules.contains("\nprice_drop,medium,10\n") && rules.contains("\nprice_drop,critical,50\n"),
        "{rules}"
    );
    assert!(!sandbox.run_with("COLUMNS", "80", "alert rules").contains('…'));
}
