//! `alert ack`, `snooze`, `resolve`, `dismiss`, `summary` and `incidents`: what people do with alerts and with what is held
//! back.

use crate::sandbox::{Sandbox, answers};

/// Three products whose price falls by a third on the last day: three alerts, nothing delivered.
fn falling() -> Sandbox {
    let sandbox = Sandbox::at_first_sight();
    let rows: String = ["1", "2", "3"]
        .map(|n| {
            format!(
                "US,B00000000{n},2026-02-27T08:00:00Z,3000,Brand{n}\nUS,B00000000{n},2026-02-28T08:00:00Z,2000,Brand{n}\n"
            )
        })
        .concat();
    sandbox.write("falling.csv", format!("marketplace,asin,observed_at,price_minor,brand\n{rows}"));
    sandbox.succeed("watch add -q --tag launch US:B000000001");
    sandbox.succeed("run -q --no-deliver falling.csv");
    sandbox
}

/// The ASINs of the alerts that a list shows.
fn asins(sandbox: &Sandbox, line: &str) -> String {
    let csv = sandbox.succeed(&format!("alert list {line} --format csv --fields asin"));
    let mut asins: Vec<&str> = csv.lines().skip(1).collect();
    asins.sort_unstable();
    asins.join(" ")
}

fn id(sandbox: &Sandbox, asin: &str) -> String {
    let csv = sandbox
        .succeed(&format!("alert list --state all --product US:{asin} --format csv --fields alert_id"));
    csv.lines().nth(1).unwrap().to_owned()
}

/// Answers with the ids of alerts, short and whole, as `[ID]`.
fn without_ids(answer: &str) -> String {
    let is_id = |word: &str| word.len() >= 10 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words = answer.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    let shown = words.map(|word| {
        let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        if is_id(bare) { word.replace(bare, "[SHORT_ID]") } else { word.to_owned() }
    });
    shown.collect()
}

#[test]
fn nothing_changes_without_ids_a_filter_or_a_yes_where_many_would() {
    let sandbox = falling();
    let before = sandbox.succeed("verify --hash");
    answers!(sandbox.run("alert dismiss"), @r#"
    exit 2
    --- stderr
    error: nothing says which alerts
    hint: name them by id, or by --rule, --product, --severity, … or --all-open
    "#);
    answers!(sandbox.run("alert dismiss abc --all-open"), @r#"
    exit 2
    --- stderr
    error: ids and a filter are two ways to say which alerts
    hint: name them by id, or by --rule, --product, --severity, … or --all-open
    "#);
    answers!(without_ids(&sandbox.run_with("COLUMNS", "110", "alert dismiss --all-open")), @r#"
    exit 2
    --- stdout
    ID          DAY         SEVERITY  PRODUCT        STATE  MESSAGE
    [SHORT_ID]  2026-02-28  high      US:[SHORT_ID]  open   price fell 33.3 % from 30.00 to 20.00 USD (2026-02-27
                                                            → 2026-02-28)
    [SHORT_ID]  2026-02-28  high      US:[SHORT_ID]  open   price fell 33.3 % from 30.00 to 20.00 USD (2026-02-27
                                                            → 2026-02-28)
    [SHORT_ID]  2026-02-28  high      US:[SHORT_ID]  open   price fell 33.3 % from 30.00 to 20.00 USD (2026-02-27
                                                            → 2026-02-28)
    --- stderr
    error: 3 would be dismissed: nothing was changed
    hint: confirm with --yes, or name them by their ids
    "#);
    answers!(without_ids(&sandbox.run_with("COLUMNS", "110", "alert dismiss --brand brand2 --dry-run")), @r#"
    exit 0
    --- stdout
    ID          DAY         SEVERITY  PRODUCT        STATE  MESSAGE
    [SHORT_ID]  2026-02-28  high      US:[SHORT_ID]  open   price fell 33.3 % from 30.00 to 20.00 USD (2026-02-27
                                                            → 2026-02-28)
    --- stderr
    dry run, nothing written: 1 to be dismissed
    "#);
    answers!(sandbox.run("alert dismiss --severity low"), @r#"
    exit 0
    --- stderr
    no alert matches
    "#);
    assert_eq!(sandbox.succeed("verify --hash"), before);

    // One is not many.
    answers!(sandbox.run("alert dismiss --tag launch --as ada --note launch"), @r#"
    exit 0
    --- stderr
    1 dismissed
    next: `amzctl alert list` shows what is left
    "#);
    assert_eq!(asins(&sandbox, ""), "B000000002 B000000003");
    answers!(sandbox.run("alert resolve --all-open --yes --as ada"), @r#"
    exit 0
    --- stderr
    2 resolved
    "#);
    assert_eq!(asins(&sandbox, ""), "");
    assert_eq!(asins(&sandbox, "--state resolved"), "B000000002 B000000003");
    answers!(sandbox.run("alert resolve --all-open --yes"), @r#"
    exit 0
    --- stderr
    no alert matches
    "#);
}

#[test]
fn a_snooze_ends_with_the_run_after_its_time() {
    let sandbox = falling();
    let id = id(&sandbox, "B000000001");
    answers!(sandbox.run(&format!("alert snooze {id}")), @r#"
    exit 2
    --- stderr
    error: nothing says until when
    hint: --until 2026-12-24, or --for 3d
    "#);
    answers!(sandbox.run(&format!("alert snooze {id} --until 2026-03-01")), @r#"
    exit 2
    --- stderr
    error: 2026-03-01T00:00:00Z is over: it is 2026-03-01T12:00:00Z
    "#);
    answers!(sandbox.run(&format!("alert snooze {id} --until soon")), @r#"
    exit 2
    --- stderr
    error: invalid value 'soon' for '--until <TIME>': `soon` is no time (expected YYYY-MM-DD, or as 2026-12-24T08:00:00Z)

    For more information, try '--help'.
    "#);
    answers!(sandbox.run(&format!("alert snooze {id} --until 2026-03-04 --as ada --note sale")), @r#"
    exit 0
    --- stderr
    1 snoozed until 2026-03-04T00:00:00Z
    "#);
    let listed = without_ids(&sandbox.run_with("COLUMNS", "110", "alert list --state snoozed"));
    answers!(listed, @r#"
    exit 0
    --- stdout
    ID          DAY         SEVERITY  PRODUCT        STATE    MESSAGE
    [SHORT_ID]  2026-02-28  high      US:[SHORT_ID]  snoozed  price fell 33.3 % from 30.00 to 20.00 USD
                                                              (2026-02-27 → 2026-02-28) (snoozed until
                                                              2026-03-04T00:00:00Z, by ada at
                                                              2026-03-01T12:00:00Z: sale)
    "#);
    answers!(sandbox.run(&format!("alert snooze {id} --for 2d --as bob")), @r#"
    exit 0
    --- stderr
    1 snoozed until 2026-03-03T12:00:00Z
    "#);
    let at = |now: &str, line: &str| sandbox.run_with("AMZCTL_NOW", now, line);
    assert!(!at("2026-03-03T11:59:59Z", "alert run --no-deliver").contains("snoozed"));
    assert!(at("2026-03-03T12:00:00Z", "alert run --dry-run").contains(", 1 no longer snoozed"));
    assert!(at("2026-03-03T12:00:00Z", "run --no-deliver").contains(", 1 no longer snoozed"));
    assert!(!at("2026-03-03T12:00:00Z", "run --no-deliver").contains("snoozed"));
    let shown = at("2026-03-03T12:00:00Z", &format!("alert show {id}"));
    let told: Vec<&str> =
        shown.lines().filter(|line| line.starts_with("state") || line.starts_with("change")).collect();
    answers!(told.join("\n"), @r#"
    state       open by amzctl at 2026-03-03T12:00:00Z: the time it was snoozed for is over
    change      2026-03-01T12:00:00Z open → snoozed until 2026-03-04T00:00:00Z by ada: sale
    change      2026-03-01T12:00:00Z snoozed → snoozed until 2026-03-03T12:00:00Z by bob
    change      2026-03-03T12:00:00Z snoozed → open by amzctl: the time it was snoozed for is over
    "#);
    assert_eq!(asins(&sandbox, "--state open"), "B000000001 B000000002 B000000003");
}

#[test]
fn whoever_is_too_late_is_told_who_was_first() {
    let sandbox = falling();
    let id = id(&sandbox, "B000000001");
    sandbox.succeed(&format!("alert dismiss {id} --as ada --note wrong"));
    answers!(sandbox.run(&format!("alert ack {id} --as bob")).replace(&id[..10], "[SHORT_ID]"), @r#"
    exit 3
    --- stderr
    [SHORT_ID] left as it is: dismissed by ada at 2026-03-01T12:00:00Z: wrong
    0 acknowledged, 1 unchanged
    "#);
    let explained = sandbox.succeed(&format!("explain {id}"));
    let became: Vec<&str> = explained.lines().skip(4).take(3).collect();
    answers!(became.join("\n"), @r#"
    what became of it
      2026-03-01T12:00:00Z open → dismissed by ada: wrong
      now dismissed by ada at 2026-03-01T12:00:00Z: wrong
    "#);
}

#[test]
fn who_changed_it_is_the_login_and_host_unless_somebody_is_named() {
    let sandbox = falling();
    let id = id(&sandbox, "B000000001");
    sandbox.run_with("USER", "ada", &format!("alert ack {id}"));
    sandbox.succeed(&format!("alert resolve {id} --as robot"));
    let changes: serde_json::Value =
        serde_json::from_str(&sandbox.succeed(&format!("alert show {id} --json"))).unwrap();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(changes["changes"][0]["actor"], format!("ada@{}", host.trim()));
    assert_eq!(changes["changes"][1]["actor"], "robot");
}

#[test]
fn what_is_resolved_is_told() {
    let sandbox = falling();
    sandbox.succeed("alert deliver -q");
    let ends = "[channels.ends]\ntype = \"exec\"\ncommand = [\"sh\", \"-c\", \"cat >> ends.ndjson\"]\nevents = [\"alert.resolved\"]\n";
    sandbox.write("amzctl.toml", sandbox.read("amzctl.toml") + ends);
    let id = id(&sandbox, "B000000001");
    sandbox.succeed(&format!("alert resolve {id} --as ada --note refunded"));
    sandbox.succeed("alert deliver -q");
    let event: serde_json::Value = serde_json::from_str(&sandbox.read("ends.ndjson")).unwrap();
    assert_eq!((&event["event_type"], &event["alert_id"]), (&"alert.resolved".into(), &id.into()));
    assert_eq!(event["resolution"]["actor"], "ada");
    assert_eq!(event["resolution"]["note"], "refunded");
    let told = sandbox.read("ends.ndjson");
    sandbox.succeed("alert deliver -q");
    assert_eq!(sandbox.read("ends.ndjson"), told, "once");
}

#[test]
fn a_summary_tells_how_soon_somebody_looked_and_what_is_left() {
    let sandbox = falling();
    let at = |now: &str, line: String| sandbox.run_with("AMZCTL_NOW", now, &line);
    at("2026-03-01T12:30:00Z", format!("alert ack {}", id(&sandbox, "B000000001")));
    at("2026-03-01T15:00:00Z", format!("alert resolve {}", id(&sandbox, "B000000001")));
    at("2026-03-01T13:00:00Z", format!("alert dismiss {}", id(&sandbox, "B000000002")));
    answers!(sandbox.run_with("COLUMNS", "110", "alert summary"), @r#"
    exit 0
    --- stdout
    RULE        SEVERITY  OPENED  ACKNOWLEDGED  RESOLVED  DISMISSED  STILL OPEN  SEEN AFTER  RESOLVED AFTER
    price_drop  high           3             1         1          1           1  30 minutes  3 hours

    MARKETPLACE  ASIN        OPENED  DISMISSED  STILL_OPEN
    US           B000000001       1          0           0
    US           B000000002       1          1           0
    US           B000000003       1          0           1
    "#);
    answers!(sandbox.run("alert summary --days 30 --format csv"), @r#"
    exit 0
    --- stdout
    rule,severity,opened,acknowledged,resolved,dismissed,still_open,median_acknowledge_s,median_resolve_s
    price_drop,high,3,1,1,1,1,1800,10800
    "#);
    answers!(sandbox.run("alert summary --by product --format csv"), @r#"
    exit 0
    --- stdout
    marketplace,asin,opened,dismissed,still_open
    US,B000000001,1,0,0
    US,B000000002,1,1,0
    US,B000000003,1,0,1
    "#);
    answers!(sandbox.run("alert summary --json"), @r#"
    exit 0
    --- stdout
    {
      "days": 7,
      "from": "2026-02-23",
      "opened": 3,
      "products": [
        {
          "asin": "B000000001",
          "dismissed": 0,
          "marketplace": "US",
          "opened": 1,
          "still_open": 0
        },
        {
          "asin": "B000000002",
          "dismissed": 1,
          "marketplace": "US",
          "opened": 1,
          "still_open": 0
        },
        {
          "asin": "B000000003",
          "dismissed": 0,
          "marketplace": "US",
          "opened": 1,
          "still_open": 1
        }
      ],
      "rules": [
        {
          "acknowledged": 1,
          "dismissed": 1,
          "median_acknowledge_s": 1800,
          "median_resolve_s": 10800,
          "opened": 3,
          "resolved": 1,
          "rule": "price_drop",
          "severity": "high",
          "still_open": 1
        }
      ],
      "schema": "amzctl.alert-summary/1"
    }
    "#);
    answers!(at("2026-03-02T12:00:00Z", "alert summary --days 1".to_owned()), @r#"
    exit 0
    --- stderr
    no alert was opened since 2026-03-02
    "#);
}

const INCIDENT: &str = "c0ffee00000000000000000000000001";
const JUMP: &str = "beef0000000000000000000000000001";
const OTHER: &str = "beef0000000000000000000000000002";

/// A market with an incident of the gate that holds two findings back, and one of a source.
fn doubtful() -> Sandbox {
    let sandbox = Sandbox::with_market();
    let held = |id: &str, asin: &str| {
        format!(
            r#"('main', '{INCIDENT}', '{id}', 'price_drop', 'critical', 'US', '{asin}', '2026-02-28',
               'price fell 90.0 % from 25.73 to 2.57 USD (2026-02-27 → 2026-02-28)',
               '{{"price_pct":-90.0,"price_prev_day":"2026-02-27"}}', 0, 'held', 'aa', 1772366400000000)"#
        )
    };
    sandbox.sql(&format!(
        "INSERT INTO incidents (incident_id, kind, source, reason, detail, day, state, run_id, recorded_at, workspace,
           marketplace)
         VALUES ('{INCIDENT}', 'gate', '', 'implausible_jump', '2 prices fell by more than 80 %', '2026-02-28', 'open', 'aa',
             1772366400000000, 'main', 'US'),
           ('d00d0000000000000000000000000001', 'schema_drift', 'keepa', 'rating', 'rating is gone', '2026-02-27', 'open',
             'aa', 1772366400000000, '', '');
         INSERT INTO held_findings (workspace, incident_id, alert_id, rule, severity, marketplace, asin, day, message,
           evidence, historical, state, run_id, held_at)
         VALUES {}, {}",
        held(JUMP, "B0FDKB341G"),
        held(OTHER, "B0FM2YDLHP")
    ));
    sandbox
}

#[test]
fn what_is_held_back_is_visible_wherever_one_looks() {
    let sandbox = doubtful();
    answers!(sandbox.run_with("COLUMNS", "110", "alert incidents list"), @r#"
    exit 0
    --- stdout
    ID          DAY         KIND          REASON            OF     STATE  HELD  DETAIL
    c0ffee0000  2026-02-28  gate          implausible_jump  US     open      2  2 prices fell by more than 80 %
    d00d000000  2026-02-27  schema_drift  rating            keepa  open      0  rating is gone
    "#);
    answers!(sandbox.run("alert incidents list --kind gate --format csv --fields incident_id,reason,state,held"), @r#"
    exit 0
    --- stdout
    incident_id,reason,state,held
    [ID],implausible_jump,open,2
    "#);
    answers!(sandbox.run_with("COLUMNS", "110", "alert incidents show c0ffee"), @r#"
    exit 0
    --- stdout
    incident    [ID]
                2 prices fell by more than 80 %
    kind        gate
    reason      implausible_jump
    marketplace US
    day         2026-02-28
    state       open
    found       2026-03-01T12:00:00Z by run aa
    findings    2 held back, 0 released, 0 dropped

    ID          DAY         SEVERITY  PRODUCT        STATE  MESSAGE
    beef000000  2026-02-28  critical  US:B0FDKB341G  held   price fell 90.0 % from 25.73 to 2.57 USD (2026-02-27 →
                                                            2026-02-28)
    beef000000  2026-02-28  critical  US:B0FM2YDLHP  held   price fell 90.0 % from 25.73 to 2.57 USD (2026-02-27 →
                                                            2026-02-28)
    "#);
    answers!(sandbox.run("alert incidents show c0ffee --format csv --fields alert_id,rule,asin,state"), @r#"
    exit 0
    --- stdout
    alert_id,rule,asin,state
    [ID],price_drop,B0FDKB341G,held
    [ID],price_drop,B0FM2YDLHP,held
    "#);
    answers!(sandbox.run("alert incidents show 77"), @r#"
    exit 2
    --- stderr
    error: there is no incident `77`
    hint: `amzctl alert incidents list --state all` shows their ids
    "#);
    let status = sandbox.succeed("status --format csv");
    assert!(status.contains("\nopen_incidents,2,\nheld_findings,2,\n"), "{status}");
    assert!(sandbox.run("status").contains("next: `amzctl alert incidents list`"));
    let checked = sandbox.run("check --format csv");
    assert!(checked.starts_with("exit 4\n") && checked.contains("error: not passed: "), "{checked}");
    let line = checked.lines().find(|line| line.starts_with("gate,")).unwrap();
    answers!(line, @r#"gate,,failed,1,0,"implausible_jump of 2026-02-28 (2 prices fell by more than 80 %, 2 findings held back)""#);
    answers!(sandbox.run(&format!("alert show {JUMP}")), @r#"
    exit 2
    --- stderr
    error: beef000000 is a finding and no alert: held back by incident c0ffee0000 (implausible_jump) at 2026-03-01T12:00:00Z
    hint: `amzctl explain beef000000` shows it
    "#);
    let explained = sandbox.succeed(&format!("explain {JUMP}"));
    answers!(explained.lines().take(10).collect::<Vec<_>>().join("\n"), @r#"
    finding [ID]
    price_drop (critical), held, 2026-02-28
    price fell 90.0 % from 25.73 to 2.57 USD (2026-02-27 → 2026-02-28)

    what became of it
      held back by incident c0ffee0000 (implausible_jump) at 2026-03-01T12:00:00Z

    the rule looked at
      price_pct                    -90.00
      price_prev_day               2026-02-27
    "#);
    assert!(explained.contains("market.csv, line"), "down to the payload: {explained}");
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.succeed(&format!("explain {JUMP} --json"))).unwrap();
    assert_eq!(
        (&json["alert"]["state"], &json["alert"]["held"][0]["state"]),
        (&"held".into(), &"held".into())
    );
    assert!(sandbox.succeed("explain c0ffee").contains("2 held back, 0 released, 0 dropped"));
}

#[test]
fn what_is_released_is_told_and_what_is_dropped_is_not() {
    let sandbox = doubtful();
    let before = sandbox.succeed("verify --hash");
    answers!(sandbox.run_with("COLUMNS", "110", "alert incidents release c0ffee --dry-run"), @r#"
    exit 0
    --- stdout
    ID          DAY         SEVERITY  PRODUCT        STATE  MESSAGE
    beef000000  2026-02-28  critical  US:B0FDKB341G  held   price fell 90.0 % from 25.73 to 2.57 USD (2026-02-27 →
                                                            2026-02-28)
    beef000000  2026-02-28  critical  US:B0FM2YDLHP  held   price fell 90.0 % from 25.73 to 2.57 USD (2026-02-27 →
                                                            2026-02-28)
    --- stderr
    dry run, nothing written: 2 findings to be released
    "#);
    answers!(sandbox.run("alert incidents drop d00d"), @r#"
    exit 2
    --- stderr
    error: incident d00d is a schema_drift of keepa: it holds nothing back
    hint: `amzctl alert incidents list --kind gate` shows those that do
    "#);
    answers!(sandbox.run("alert incidents drop c0ffee --finding 99"), @r#"
    exit 2
    --- stderr
    error: no finding `99` is held back there
    hint: `amzctl alert incidents show ID` lists them
    "#);
    assert_eq!(sandbox.succeed("verify --hash"), before);

    answers!(sandbox.run(&format!("alert incidents drop c0ffee --finding {OTHER} --as ada --note typo")), @r#"
    exit 0
    --- stderr
    1 finding dropped; 0 incidents closed
    "#);
    answers!(sandbox.run("alert incidents release c0ffee --as ada --note seen"), @r#"
    exit 0
    --- stderr
    1 finding released: 1 opened; 1 incident closed
    next: `amzctl alert deliver` tells of them, `amzctl alert list` shows them
    "#);
    answers!(sandbox.run("alert incidents release c0ffee --as bob"), @r#"
    exit 0
    --- stderr
    nothing is held back there any more
    "#);
    answers!(sandbox.run_with("COLUMNS", "110", "alert incidents list --state closed"), @r#"
    exit 0
    --- stdout
    ID          DAY         KIND  REASON            OF  STATE   HELD  DETAIL
    c0ffee0000  2026-02-28  gate  implausible_jump  US  closed     0  2 prices fell by more than 80 %
    "#);
    let shown = sandbox.succeed(&format!("alert show {JUMP}"));
    let told: Vec<&str> =
        shown.lines().filter(|line| line.starts_with("change") || line.starts_with("delivery")).collect();
    answers!(told.join("\n"), @r#"
    change      2026-03-01T12:00:00Z held → open by ada: held back by incident [ID] (implausible_jump): seen
    delivery    alert.opened to file alerts.ndjson: pending
    delivery    alert.opened to stdout: pending
    "#);
    assert!(sandbox.succeed("alert deliver -q").contains("CRITICAL US:B0FDKB341G price fell 90.0 %"));
    let explained = sandbox.succeed(&format!("explain {OTHER}"));
    assert!(explained.contains("dropped by ada at 2026-03-01T12:00:00Z: typo"), "{explained}");
    let explained = sandbox.succeed(&format!("explain {JUMP}"));
    assert!(explained.contains("released by ada at 2026-03-01T12:00:00Z: seen"), "{explained}");
    assert!(sandbox.succeed("status --format csv").contains("\nheld_findings,0,\n"));
}
