//! Either engine tells the same: every route that reads, on an embedded database and on a server's.

use amzctl::serve::route_facts;
use serde_json::Value;

use super::{Server, key};
use crate::sandbox::Sandbox;
use crate::server::{fresh_database, take_in};

/// What every route that reads says of a market, without what differs from run to run.
fn told(sandbox: &Sandbox) -> Vec<(String, Value)> {
    sandbox.succeed("report -q --format json -o watchlist.json");
    let key = key(sandbox, "--kind admin");
    let server = Server::start(sandbox, "");
    let first = |target: &str, field: &str| {
        let rows = server.get(&key, target).data();
        rows[0][field].as_str().unwrap_or_else(|| panic!("{target}: {rows}")).to_owned()
    };
    let product = format!("US:{}", first("/v1/products?marketplace=US&fields=asin", "asin"));
    let (alert, report) = (first("/v1/alerts", "alert_id"), first("/v1/reports", "report_id"));
    let cohort = first("/v1/cohorts", "name");
    let mut told = Vec::new();
    for route in route_facts() {
        let is_of_this_run =
            ["list_runs", "list_audit", "get_health", "get_metrics", "watch_events"].contains(&route.id);
        if route.method != "GET" || !route.path.starts_with("/v1/") || is_of_this_run {
            continue;
        }
        let path = route
            .path
            .replace("{product}", &product)
            .replace("{cohort}", &cohort)
            .replace("{alert}", &alert)
            .replace("{report}", &report);
        for query in ["", "?limit=3", "?sort=-title", "?tag=x", "?title=e", "?severity=high,critical&limit=2"]
        {
            let answer = server.get(&key, &format!("{path}{query}"));
            // A route without such a parameter says so, on both.
            let mut document = if answer.status == 200 && route.id == "render_report" {
                Value::from(answer.text())
            } else {
                let document = answer.json();
                document.get("data").unwrap_or(&document["code"]).clone()
            };
            forget_this_run(&mut document);
            told.push((format!("{path}{query} {}", answer.status), document));
        }
    }
    told
}

fn forget_this_run(value: &mut Value) {
    const OF_THIS_RUN: [&str; 2] = ["run_id", "path"];
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !OF_THIS_RUN.contains(&name.as_str()));
            fields.values_mut().for_each(forget_this_run);
        }
        Value::Array(values) => values.iter_mut().for_each(forget_this_run),
        _ => {}
    }
}

#[test]
fn both_engines_tell_the_same() {
    let Some(url) = fresh_database() else {
        println!("no server is named by AMZCTL_TEST_DATABASE_URL: skipped");
        return;
    };
    let (embedded, server) = (Sandbox::at_first_sight(), Sandbox::empty_on(&url));
    server.succeed("init -q");
    for sandbox in [&embedded, &server] {
        take_in(sandbox);
    }
    let (one, other) = (told(&embedded), told(&server));
    assert!(one.len() > 80, "{}", one.len());
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one, other);
    }
}
