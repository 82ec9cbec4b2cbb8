//! Alerts: listed as at the command line, changed once, and written down.

use serde_json::{Value, json};

use super::{Server, key};
use crate::sandbox::Sandbox;

fn ids(sandbox: &Sandbox) -> Vec<String> {
    let csv = sandbox.succeed("alert list --format csv --fields alert_id");
    csv.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn alerts_are_those_of_the_command_line() {
    let sandbox = Sandbox::with_market();
    let key = key(&sandbox, "");
    let server = Server::start(&sandbox, "");
    let listed: Value = serde_json::from_str(&sandbox.succeed("alert list --json")).unwrap();
    assert_eq!(server.get(&key, "/v1/alerts").data(), listed["rows"]);
    assert!(!listed["rows"].as_array().unwrap().is_empty());
    let id = ids(&sandbox).remove(0);
    let shown: Value = serde_json::from_str(&sandbox.succeed(&format!("alert show {id} --json"))).unwrap();
    assert_eq!(server.get(&key, &format!("/v1/alerts/{id}")).data(), shown);
    assert_eq!(server.get(&key, &format!("/v1/alerts/{}", &id[..10])).code(), "not_found", "an id is whole");
    for (query, expected) in [
        ("severity=medium,high&rule=price_drop", true),
        ("severity=critical&rule=price_drop", false),
        ("state=open&asin=B0FDKB341G&marketplace=US&since=2026-02-28", true),
        ("state=resolved", false),
        ("since=2026-03-01", false),
    ] {
        let found = server.get(&key, &format!("/v1/alerts?{query}")).data();
        assert_eq!(!found.as_array().unwrap().is_empty(), expected, "{query}");
    }
    for wrong in
        ["severity=worst", "state=open,shut", "rule=", "asin=short", "limit=0", "limit=501", "limit=+5"]
    {
        assert_eq!(server.get(&key, &format!("/v1/alerts?{wrong}")).code(), "invalid_parameter", "{wrong}");
    }
}

#[test]
fn a_change_is_made_once_and_told_the_same_again() {
    let sandbox = Sandbox::with_market();
    let key = key(&sandbox, "--name pager --kind admin");
    let server = Server::start(&sandbox, "");
    let id = ids(&sandbox).remove(0);
    let path = |what: &str| format!("/v1/alerts/{id}/{what}");
    let once = [("Idempotency-Key", "0b6c"), ("X-Request-Id", "req-7")];
    let first = server.post(&key, &path("acknowledge"), r#"{"note":"looking"}"#, &once);
    assert_eq!(
        first.data(),
        json!({ "alert_id": id, "state": "acknowledged", "changed": true, "snoozed_until": null })
    );
    assert_eq!((first.header("x-request-id"), first.header("cache-control")), ("req-7", "no-store"));
    let again = server.post(&key, &path("acknowledge"), r#"{"note":"looking"}"#, &once);
    assert_eq!((again.data(), again.header("idempotency-replayed")), (first.data(), "true"));
    for (what, body) in [("acknowledge", r#"{"note":"other"}"#), ("resolve", r#"{"note":"looking"}"#)] {
        let other = server.post(&key, &path(what), body, &once);
        assert_eq!((other.status, other.code().as_str()), (422, "idempotency_conflict"), "{what}");
    }
    let unchanged = server.post(&key, &path("acknowledge"), "{}", &[]);
    assert_eq!(unchanged.data()["changed"], false);
    assert_eq!(
        server.post(&key, &path("snooze"), r#"{"for_s":3600}"#, &[]).data()["snoozed_until"],
        "2026-03-01T13:00:00Z"
    );
    assert_eq!(server.post(&key, &path("resolve"), "{}", &[]).data()["state"], "resolved");
    let refused = server.post(&key, &path("snooze"), r#"{"until":"2026-03-02T00:00:00Z"}"#, &[]);
    assert_eq!((refused.status, refused.code().as_str()), (409, "conflict"));

    let shown: Value = serde_json::from_str(&sandbox.succeed(&format!("alert show {id} --json"))).unwrap();
    let changes: Vec<(&str, &str, &str)> = shown["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| {
            let text = |name: &str| change[name].as_str().unwrap();
            (text("to_state"), text("actor"), text("note"))
        })
        .collect();
    let by = "key pager";
    assert_eq!(changes, [("acknowledged", by, "looking"), ("snoozed", by, ""), ("resolved", by, "")]);
    let log = server.get(&key, "/v1/audit?fields=action,status,request_id&limit=5");
    let actions: Vec<(&str, i64)> = log.json()["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            (line["action"].as_str().unwrap().to_owned().leak() as &str, line["status"].as_i64().unwrap())
        })
        .collect();
    let expected = [
        ("alert.snooze", 409),
        ("alert.resolve", 200),
        ("alert.snooze", 200),
        ("alert.acknowledge", 200),
        ("alert.acknowledge", 200),
    ];
    assert_eq!(actions, expected);
    let last = server.get(
        &key,
        &format!(
            "/v1/audit?fields=action,status,request_id&limit=5&cursor={}",
            log.json()["next_cursor"].as_str().unwrap()
        ),
    );
    assert_eq!(last.data(), json!([{ "action": "key.create", "status": 200, "request_id": null }]));
}

#[test]
fn a_body_is_checked_before_anything_is_changed() {
    let sandbox = Sandbox::with_market();
    let key = key(&sandbox, "");
    let server = Server::start(&sandbox, "");
    let id = ids(&sandbox).remove(0);
    let long = format!(r#"{{"note":"{}"}}"#, "x".repeat(2_001));
    for (what, body, code) in [
        ("acknowledge", "", "invalid_body"),
        ("acknowledge", "[]", "invalid_body"),
        ("acknowledge", "{", "invalid_body"),
        ("acknowledge", r#"{"notes":""}"#, "invalid_body"),
        ("acknowledge", r#"{"note":7}"#, "invalid_body"),
        ("acknowledge", long.as_str(), "invalid_body"),
        ("snooze", "{}", "invalid_body"),
        ("snooze", r#"{"for_s":0}"#, "invalid_body"),
        ("snooze", r#"{"for_s":99999999999999999999}"#, "invalid_body"),
        ("snooze", r#"{"until":"2026-02-01T00:00:00Z"}"#, "invalid_body"),
        ("snooze", r#"{"until":"+262142-01-01T00:00:00Z"}"#, "invalid_body"),
        ("snooze", r#"{"for_s":5,"until":"2026-04-01T00:00:00Z"}"#, "invalid_body"),
    ] {
        let answer = server.post(&key, &format!("/v1/alerts/{id}/{what}"), body, &[]);
        assert_eq!(answer.code(), code, "{what} {body}");
    }
    let bearer = format!("Bearer {key}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "text/plain")];
    let text = server.send("POST", &format!("/v1/alerts/{id}/resolve"), &headers, "{}");
    assert_eq!((text.status, text.code().as_str()), (415, "unsupported_media_type"));
    let answer = sandbox.succeed(&format!("alert show {id} --json"));
    assert!(answer.contains("\"changes\": []"), "{answer}");
}
