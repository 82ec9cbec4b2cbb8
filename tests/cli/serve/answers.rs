//! Forms of an answer, what may be kept of it, and what every one says besides.

use std::io::Read as _;

use polars::prelude::{ParquetReader, SerReader as _};
use serde_json::Value;

use super::{Server, key};
use crate::sandbox::Sandbox;

const TARGET: &str = "/v1/products?fields=marketplace,asin,price_minor,title";

fn served() -> (Sandbox, Server, String) {
    let sandbox = Sandbox::with_market();
    let key = key(&sandbox, "");
    let server = Server::start(&sandbox, "");
    (sandbox, server, key)
}

fn with(server: &Server, key: &str, target: &str, headers: &[(&str, &str)]) -> super::Answer {
    let bearer = format!("Bearer {key}");
    server.send("GET", target, &[&[("Authorization", bearer.as_str())], headers].concat(), "")
}

#[test]
fn a_table_is_json_csv_ndjson_or_parquet_as_it_is_asked_for() {
    let (_sandbox, server, key) = served();
    let rows = server.get(&key, TARGET).data();
    let csv = with(&server, &key, TARGET, &[("Accept", "text/csv")]);
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    let lines: Vec<String> = csv.text().lines().map(str::to_owned).collect();
    assert_eq!((lines.len(), lines[0].as_str()), (5, "marketplace,asin,price_minor,title"));
    assert_eq!(lines[1], "UK,B0FDKB341G,2399,Earbuds");
    let ndjson = server.get(&key, &format!("{TARGET}&format=ndjson"));
    let objects: Vec<Value> = ndjson.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(Value::from(objects), rows);
    let parquet = with(&server, &key, TARGET, &[("Accept", "application/vnd.apache.parquet, */*;q=0.1")]);
    let frame = ParquetReader::new(std::io::Cursor::new(parquet.body)).finish().unwrap();
    let prices: Vec<_> = frame.column("price_minor").unwrap().i64().unwrap().iter().collect();
    assert_eq!(prices, [Some(2399), None, Some(1999), Some(2200)]);
    let none = with(&server, &key, TARGET, &[("Accept", "image/png")]);
    assert_eq!((none.status, none.code().as_str()), (406, "not_acceptable"));
    let paged = with(&server, &key, "/v1/products?limit=2&fields=asin", &[("Accept", "text/csv")]);
    let next = format!("/v1/products?limit=2&fields=asin&cursor={}", paged.header("x-next-cursor"));
    assert_eq!(server.get(&key, &next).data().as_array().unwrap().len(), 2, "the cursor is beside the rows");
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let (_sandbox, server, key) = served();
    for accept in ["application/json", "text/csv"] {
        let first = with(&server, &key, TARGET, &[("Accept", accept)]);
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"'), "strong: {tag}");
        let same = with(&server, &key, TARGET, &[("Accept", accept), ("If-None-Match", &tag)]);
        assert_eq!((same.status, same.body.len(), same.header("etag")), (304, 0, tag.as_str()));
        assert!(same.header("cache-control").starts_with("private, max-age="), "{same:?}");
        let other =
            with(&server, &key, &format!("{TARGET}&limit=1"), &[("Accept", accept), ("If-None-Match", &tag)]);
        assert_eq!(other.status, 200);
        assert_ne!(other.header("etag"), tag);
    }
    // An envelope names its request: two are two bodies, and no strong tag is of both.
    let (one, two) = (server.get(&key, TARGET), server.get(&key, TARGET));
    assert_ne!(one.body, two.body);
    assert_ne!(one.header("etag"), two.header("etag"));
    let (one, two) = (
        with(&server, &key, TARGET, &[("Accept", "text/csv")]),
        with(&server, &key, TARGET, &[("Accept", "text/csv")]),
    );
    assert_eq!((one.header("etag"), &one.body), (two.header("etag"), &two.body));
    assert!(one.header("vary").contains("accept-encoding"));
    let changing = server.get(&key, "/v1/alerts");
    assert_eq!(changing.header("cache-control"), "private, no-cache", "looked at anew each time");
    let known = with(&server, &key, "/v1/alerts", &[("If-None-Match", changing.header("etag"))]);
    assert_eq!(known.status, 304);
}

#[test]
fn long_answers_are_made_smaller_for_whoever_takes_that() {
    let (_sandbox, server, key) = served();
    let plain = server.get(&key, "/v1/fields?format=csv");
    for (accepted, coding) in [("gzip", "gzip"), ("br", "br"), ("zstd", "zstd"), ("gzip;q=0.1, br", "br")] {
        let small = with(&server, &key, "/v1/fields?format=csv", &[("Accept-Encoding", accepted)]);
        assert_eq!(small.header("content-encoding"), coding);
        assert!(small.body.len() * 3 < plain.body.len(), "{coding}: {}", small.body.len());
        assert_ne!(small.header("etag"), plain.header("etag"), "other bytes, another tag");
        if coding == "gzip" {
            let mut body = Vec::new();
            flate2::read::GzDecoder::new(&small.body[..]).read_to_end(&mut body).unwrap();
            assert_eq!(body, plain.body);
        }
    }
}

#[test]
fn every_answer_names_its_request_and_what_it_allows() {
    let (_sandbox, server, key) = served();
    let brought = with(&server, &key, TARGET, &[("X-Request-Id", "trace-1.2_3")]);
    assert_eq!(
        (brought.header("x-request-id"), brought.json()["request_id"].as_str()),
        ("trace-1.2_3", Some("trace-1.2_3"))
    );
    for bad in ["", "has space", "\u{fc}", &"x".repeat(65)] {
        let answer = with(&server, &key, "/v1/products/none", &[("X-Request-Id", bad)]);
        assert_eq!(answer.header("x-request-id").len(), 32, "one of ours: {bad}");
        answer.code();
    }
    for target in ["/health", "/nothing", TARGET] {
        let answer = server.get(&key, target);
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{target}");
        assert_eq!(answer.header("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
        assert_eq!(answer.header("access-control-allow-origin"), "", "no page of elsewhere");
        assert_eq!(answer.header("server"), "");
    }
    let nowhere = server.get(&key, "/v1/nothing");
    assert_eq!((nowhere.status, nowhere.code().as_str()), (404, "not_found"));
    let wrong = server.post(&key, "/v1/products", "{}", &[]);
    assert_eq!(
        (wrong.status, wrong.code().as_str(), wrong.header("allow")),
        (405, "method_not_allowed", "GET, HEAD")
    );
    let bearer = format!("Bearer {key}");
    let head = server.send("HEAD", TARGET, &[("Authorization", &bearer)], "");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn a_page_of_an_origin_that_is_allowed_may_ask() {
    let sandbox = Sandbox::with_market().with("AMZCTL_SERVE__CORS_ORIGINS", "[\"https://dash.example\"]");
    let key = key(&sandbox, "");
    let server = Server::start(&sandbox, "");
    let asked = [("Origin", "https://dash.example"), ("Access-Control-Request-Method", "GET")];
    let before = server.send("OPTIONS", TARGET, &asked, "");
    assert_eq!((before.status, before.header("access-control-allow-origin")), (204, "https://dash.example"));
    assert!(before.header("access-control-allow-headers").contains("authorization"));
    let answer = with(&server, &key, TARGET, &[("Origin", "https://dash.example")]);
    assert_eq!(answer.header("access-control-allow-origin"), "https://dash.example");
    for other in ["https://evil.example", "null", "https://dash.example.evil"] {
        let answer = with(&server, &key, TARGET, &[("Origin", other)]);
        assert_eq!(answer.header("access-control-allow-origin"), "", "{other}");
        assert_eq!(server.send("OPTIONS", TARGET, &[("Origin", other)], "").status, 405);
    }
}

#[test]
fn the_documentation_is_whole_and_needs_no_network() {
    let sandbox = Sandbox::with_market().with("AMZCTL_SERVE__PUBLIC_DOCS", "true");
    let server = Server::start(&sandbox, "");
    let document: Value = server.send("GET", "/openapi.json", &[], "").json();
    assert_eq!(document["openapi"], "3.1.0");
    let row = &document["components"]["schemas"]["list_deltas"]["properties"];
    assert_eq!(row["price_delta"]["type"], serde_json::json!(["integer", "null"]));
    let page = server.send("GET", "/docs", &[], "");
    assert!(page.header("content-type").starts_with("text/html"));
    let text = page.text();
    for route in amzctl::serve::route_facts() {
        assert!(text.contains(&format!("id=\"{}\"", route.id)), "{}", route.id);
    }
    assert!(!text.contains("<script") && !text.contains("http://") && !text.contains("https://"), "offline");
    assert_eq!(server.send("GET", "/v1/products", &[], "").status, 401, "the data is not public");
}
