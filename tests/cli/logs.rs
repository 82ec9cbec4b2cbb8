//! The log of a whole run, as a collector reads it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::sandbox::Sandbox;

/// Two days of a product, a record that breaks a rule, a file that is none, and a delivery in which a rule is
/// broken so often that it is an incident.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::at_first_sight();
    let header = "marketplace,asin,observed_at,price_minor,title\n";
    for (day, price) in [(26, 3000), (27, 2000)] {
        let rows = format!("{header}US,B000000001,2026-02-{day}T08:00:00Z,{price},Earbuds for secrets\n");
        sandbox.write(&format!("inbox/2026-02-{day}.csv"), rows);
    }
    let drifted: String =
        (10..40).map(|n| format!("US,B0000000{n},2026-02-27T09:00:00Z,-{n},Earbuds for secrets\n")).collect();
    sandbox.write("inbox/drifted.csv", format!("{header}{drifted}"));
    sandbox.write("inbox/picture.json", b"\x89PNG\r\n");
    sandbox.succeed("watch add -q US:B000000001");
    sandbox
}

fn records(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn with_message<'a>(records: &'a [Value], message: &str) -> Vec<&'a Value> {
    let said = |record: &&Value| record["message"].as_str().unwrap().starts_with(message);
    let found: Vec<&Value> = records.iter().filter(said).collect();
    assert!(!found.is_empty(), "nothing says `{message}`");
    found
}

#[test]
fn every_line_of_the_log_is_a_record_with_the_fields_of_its_unit() {
    let sandbox = sandbox();
    let answer = sandbox.run("run -vv --log-format json --log-file run.log");
    assert!(answer.starts_with("exit 3\n"), "{answer}");
    assert_eq!(sandbox.exit_code("report -q --log-format json --log-file run.log US:B000000001"), 0);
    let text = sandbox.read("run.log");
    let records = records(&text);

    let run_ids: BTreeSet<&str> = records.iter().map(|record| record["run_id"].as_str().unwrap()).collect();
    assert_eq!(run_ids.len(), 1, "-q logs nothing of the report that went well");
    for record in &records {
        assert_eq!(record["timestamp"], "2026-03-01T12:00:00.000Z");
        assert!(["debug", "info", "warn"].contains(&record["level"].as_str().unwrap()), "{record}");
        assert!(record["target"].as_str().unwrap().starts_with("amzctl"), "{record}");
        assert!(
            record["operation"].is_string() && !record["message"].as_str().unwrap().is_empty(),
            "{record}"
        );
    }
    let operations: BTreeSet<&str> =
        records.iter().map(|record| record["operation"].as_str().unwrap()).collect();
    assert_eq!(
        operations,
        BTreeSet::from(["alert", "build-mart", "compare", "deliver", "ingest", "normalize", "run"])
    );
    for (message, level, operation, fields) in [
        ("file done", "info", "ingest", &["path", "status", "records", "landed", "duration_ms"][..]),
        ("file refused", "warn", "ingest", &["path", "reason"]),
        ("batch of records committed", "debug", "ingest", &["path", "source", "records", "duration_ms"]),
        ("batch normalized", "info", "normalize", &["source", "records", "observations", "duration_ms"]),
        ("record rejected", "debug", "normalize", &["source", "asin", "reason", "field"]),
        ("incident: ", "warn", "normalize", &["source", "field", "reason"]),
        ("changed days moved", "info", "build-mart", &["changed_days", "files", "rows", "duration_ms"]),
        ("month built", "info", "build-mart", &["marketplace", "month", "rows", "duration_ms"]),
        ("lake file written", "debug", "build-mart", &["table", "path", "rows", "size_bytes"]),
        ("mart published", "info", "build-mart", &["generation", "files", "duration_ms"]),
        ("month judged", "info", "alert", &["month", "days", "rows", "duration_ms"]),
        ("alert fired", "debug", "alert", &["alert_id", "rule", "severity", "day"]),
        ("message delivered", "debug", "deliver", &["channel", "message_id", "events"]),
        ("outbox delivered", "info", "deliver", &["delivered", "failed", "waiting", "duration_ms"]),
        ("run ends", "info", "run", &["exit_code", "duration_ms"]),
    ] {
        for record in with_message(&records, message) {
            assert_eq!(
                (&record["level"], &record["operation"]),
                (&level.into(), &operation.into()),
                "{record}"
            );
            for field in fields {
                assert!(!record[field].is_null(), "no {field} in {record}");
            }
        }
    }
    let fired = with_message(&records, "alert fired");
    assert!(fired.iter().any(|record| record["asin"] == "B000000001" && record["rule"] == "price_drop"));
    assert!(!text.contains("Earbuds"), "a payload in the log");
}

#[test]
fn without_v_only_what_went_on_regardless_is_said_and_logfmt_has_the_same_fields() {
    let sandbox = sandbox();
    sandbox.run("run --log-format logfmt --log-file run.log");
    let text = sandbox.read("run.log");
    assert!(text.lines().all(|line| line.contains(" level=warn ")), "{text}");
    assert!(text.lines().any(|line| line.contains("operation=ingest path=")), "{text}");
    assert!(text.contains(" quarantined=30 message=\"records new in quarantine\""), "{text}");
    assert!(text.contains("message=\"incident: "), "{text}");

    let again = sandbox.run("run -v --log-format json");
    let (_, stderr) = again.split_once("--- stderr\n").unwrap();
    let logged: String =
        stderr.lines().filter(|line| line.starts_with('{')).map(|line| format!("{line}\n")).collect();
    let records = records(&logged);
    assert!(records.iter().all(|record| record["level"] != "debug"));
    with_message(&records, "run begins");
    with_message(&records, "run ends");
}

#[test]
fn a_value_that_was_read_but_looks_odd_is_logged_once() {
    let sandbox = Sandbox::initialised();
    sandbox.write("a.csv", "marketplace,asin,observed_at,bsr\nUS,B000000001,2026-02-28T08:00:00Z,7\n");
    sandbox.succeed("ingest -q a.csv");
    assert_eq!(sandbox.exit_code("normalize -vv --log-format json --log-file normalize.log"), 0);
    let text = sandbox.read("normalize.log");
    let records = records(&text);
    let odd = with_message(&records, "odd value read");
    assert_eq!(odd.len(), 1, "{odd:?}");
    assert_eq!(odd[0]["operation"], "normalize");
    assert_eq!((&odd[0]["field"], &odd[0]["detail"]), (&"bsr".into(), &"rank 7 has no category".into()));
}
