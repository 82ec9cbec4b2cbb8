//! Who may ask for what: every route of the table, by every kind of caller, in the own workspace and in another's.

use amzctl::model::Permission;
use amzctl::serve::{RouteFacts, route_facts};

use super::live::Listener;
use super::{Server, key, roles};
use crate::sandbox::Sandbox;

/// What each route asks for, written down apart from the table that it is built from: whoever adds a route says so here.
const EXPECTED: &str = "
    -       GET  /health
    -       GET  /ready
    operate GET  /metrics
    read    GET  /openapi.json
    read    GET  /docs
    read    GET  /v1/products
    read    POST /v1/products/batch
    read    GET  /v1/products/{product}
    read    GET  /v1/products/{product}/metrics
    read    GET  /v1/products/{product}/offers
    read    GET  /v1/products/{product}/ranks
    read    GET  /v1/products/{product}/deltas
    read    GET  /v1/products/{product}/rollups
    read    GET  /v1/products/{product}/trends
    read    GET  /v1/products/{product}/listings
    read    GET  /v1/cohorts
    read    GET  /v1/cohorts/{cohort}
    read    GET  /v1/cohorts/{cohort}/competition
    read    GET  /v1/cohorts/{cohort}/history
    read    GET  /v1/alerts
    read    GET  /v1/alerts/{alert}
    write   POST /v1/alerts/{alert}/acknowledge
    write   POST /v1/alerts/{alert}/resolve
    write   POST /v1/alerts/{alert}/dismiss
    write   POST /v1/alerts/{alert}/snooze
    read    GET  /v1/events
    read    GET  /v1/reports
    read    GET  /v1/reports/{report}
    read    GET  /v1/reports/{report}/content
    operate GET  /v1/runs
    operate GET  /v1/costs
    operate GET  /v1/sources
    operate GET  /v1/quarantine
    operate GET  /v1/audit
    read    GET  /v1/fields";

#[test]
fn what_each_route_asks_for_is_as_written_down() {
    let line = |route: &RouteFacts| {
        let permission = route.permission.map_or("-", |permission| permission.as_str());
        format!("{permission:8}{:5}{}", route.method, route.path)
    };
    let routes: Vec<String> = route_facts().iter().map(line).collect();
    assert_eq!(routes, EXPECTED.trim().lines().map(str::trim).collect::<Vec<_>>());
}

/// An object of every kind, all of workspace main.
pub(super) struct Objects {
    pub(super) alert: String,
    pub(super) report: String,
}

pub(super) fn objects(sandbox: &Sandbox) -> Objects {
    sandbox.succeed("report US:B0FDKB341G -q --format markdown");
    let first = |line: &str| {
        let csv = sandbox.succeed(line);
        csv.lines().nth(1).unwrap_or_else(|| panic!("{line}: {csv}")).to_owned()
    };
    let alert = first("alert list --format csv --fields alert_id");
    // What the command line has no list of, the interface has.
    let server = Server::start(sandbox, "--open");
    let reports = server.send("GET", "/v1/reports", &[], "").data();
    Objects { alert, report: reports[0]["report_id"].as_str().unwrap().to_owned() }
}

/// The route's path with these objects, and a body that it takes.
fn request(route: &RouteFacts, objects: &Objects) -> (String, &'static str) {
    let path = route
        .path
        .replace("{product}", "US:B0FDKB341G")
        .replace("{cohort}", "earbuds")
        .replace("{alert}", &objects.alert)
        .replace("{report}", &objects.report);
    let body = match (route.method, route.id) {
        ("POST", "get_products") => r#"{"products":["US:B0FDKB341G"]}"#,
        ("POST", "snooze_alert") => r#"{"for_s":3600}"#,
        ("POST", _) => "{}",
        _ => "",
    };
    (path, body)
}

fn send(server: &Server, route: &RouteFacts, objects: &Objects, headers: &[(&str, &str)]) -> super::Answer {
    let (path, body) = request(route, objects);
    if route.id == "watch_events" {
        // An answer that goes on: that it began is what is to be known.
        return match Listener::begin(server, &path, headers) {
            Ok(_) => {
                super::Answer { status: 200, headers: Default::default(), body: b"{\"data\":[]}".to_vec() }
            }
            Err(refused) => refused,
        };
    }
    server.send(route.method, &path, &[headers, &[("Content-Type", "application/json")]].concat(), body)
}

#[test]
fn every_route_opens_to_whoever_may_and_to_nobody_else() {
    let sandbox = Sandbox::with_market().with("AMZCTL_SERVE__TRUSTED_PROXIES", "[\"127.0.0.1\"]");
    let objects = objects(&sandbox);
    let expired = {
        let early = sandbox
            .command("keys create --json --name early --expires 1h")
            .env("AMZCTL_NOW", "2026-02-01T00:00:00Z")
            .output()
            .unwrap();
        let made: serde_json::Value = serde_json::from_slice(&early.stdout).unwrap();
        made["key"].as_str().unwrap().to_owned()
    };
    let revoked = key(&sandbox, "");
    let ids = sandbox.succeed("keys list --format csv --fields key_id,name");
    let id = ids.lines().find(|line| line.ends_with(",test")).unwrap().split(',').next().unwrap();
    sandbox.succeed(&format!("keys revoke {id}"));
    let unknown = format!("sk_{}", "A".repeat(43));
    let roles = roles(&sandbox);
    let server = Server::start(&sandbox, "");
    let mut tried = 0;
    for route in route_facts() {
        let place = format!("{} {}", route.method, route.path);
        let Some(needed) = route.permission else {
            let answer = send(&server, &route, &objects, &[]);
            assert_eq!(answer.status, 200, "{place}: {}", answer.text());
            continue;
        };
        let nobody = send(&server, &route, &objects, &[]);
        assert_eq!((nobody.status, nobody.code().as_str()), (401, "unauthenticated"), "{place}");
        for wrong in [&expired, &revoked, &unknown, ""] {
            // Each from an address of its own: who shows many wrong keys is told nothing at all.
            let address = format!("192.0.{}.{}", tried / 250, tried % 250);
            tried += 1;
            let bearer = format!("Bearer {wrong}");
            let headers = [("Authorization", bearer.as_str()), ("X-Forwarded-For", address.as_str())];
            let refused = send(&server, &route, &objects, &headers);
            assert_eq!(
                (refused.status, refused.code().as_str()),
                (401, "invalid_key"),
                "{place} by `{wrong}`"
            );
        }
        for (key, permissions) in &roles {
            let answer = send(&server, &route, &objects, &[("X-Api-Key", key)]);
            if permissions.allow(needed) {
                // An alert that was just resolved cannot be dismissed any more.
                let is_change = needed == Permission::Write && answer.status == 409;
                assert!(answer.status == 200 || is_change, "{place} by {permissions}: {}", answer.text());
            } else {
                assert_eq!(
                    (answer.status, answer.code().as_str()),
                    (403, "forbidden"),
                    "{place} by {permissions}"
                );
            }
        }
        tried += 1;
    }
    assert!(tried > 150, "{tried}");
}

#[test]
fn what_another_workspace_owns_is_not_there() {
    let sandbox = Sandbox::with_market();
    let objects = objects(&sandbox);
    let theirs = key(&sandbox, "--workspace eu --kind admin");
    let server = Server::start(&sandbox, "");
    for route in route_facts().into_iter().filter(|route| route.path.starts_with("/v1/")) {
        let answer = send(&server, &route, &objects, &[("X-Api-Key", &theirs)]);
        let place = format!("{} {}: {}", route.method, route.path, answer.text());
        if route.path.contains('{') {
            assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{place}");
            continue;
        }
        assert_eq!(answer.status, 200, "{place}");
        match route.id {
            // What is the installation's is told to whoever operates it.
            "list_runs" | "list_costs" | "list_sources" | "list_quarantine" | "list_fields"
            | "list_audit" => {}
            "get_products" => assert_eq!(answer.data()[0]["code"], "not_found", "{place}"),
            _ => assert_eq!(answer.data(), serde_json::json!([]), "{place}"),
        }
    }
    // Of the audit log they have what they did themselves: they made a key, and nothing came of the rest.
    let log = server.get(&theirs, "/v1/audit?fields=action").data();
    assert_eq!(log, serde_json::json!([{ "action": "key.create" }]));
    let answer = sandbox.succeed(&format!("alert show {} --json", objects.alert));
    assert!(answer.contains("\"state\": \"open\""), "{answer}");
}

#[test]
fn without_a_key_only_this_machine_reads_and_only_where_it_may() {
    let sandbox = Sandbox::with_market();
    let objects = objects(&sandbox);
    let server = Server::start(&sandbox, "--open");
    for route in route_facts() {
        let answer = send(&server, &route, &objects, &[]);
        let expected = if route.permission == Some(Permission::Write) { 403 } else { 200 };
        assert_eq!(answer.status, expected, "{} {}: {}", route.method, route.path, answer.text());
    }
    // A page that was led here under another name.
    let rebound = b"GET /v1/products HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(super::parse(&server.raw(rebound)).code(), "forbidden");
    let named = b"GET /v1/products HTTP/1.1\r\nHost: localhost:8787\r\nConnection: close\r\n\r\n";
    assert_eq!(super::parse(&server.raw(named)).status, 200);
    // A proxy on this machine passes on what comes from elsewhere.
    for header in ["X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9", "Via: 1.1 proxy"] {
        let passed_on =
            format!("GET /v1/products HTTP/1.1\r\nHost: localhost\r\n{header}\r\nConnection: close\r\n\r\n");
        assert_eq!(super::parse(&server.raw(passed_on.as_bytes())).code(), "forbidden", "{header}");
    }

    crate::sandbox::answers!(sandbox.run("serve-lite --open --listen 0.0.0.0:0"), @r"
    exit 2
    --- stderr
    error: --open on 0.0.0.0:0 would tell everything to everybody
    hint: listen on 127.0.0.1, or make keys with `amzctl keys create`
    ");
}
