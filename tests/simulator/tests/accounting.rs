//! What the ledger says.

use std::io::Write;
use std::net::TcpStream;

use serde_json::{Value, json};

use super::client::{AXESSO, Client, axesso_input, start};
use crate::simulator::{Config, Latency, Simulator, Source};

fn keepa(simulator: &Simulator, asins: &[String]) -> Value {
    let path = format!("/product?key={}&domain=1&asin={}", simulator.keys().keepa, asins.join(","));
    Client::of(simulator, Source::Keepa).get(&path).json()
}

#[test]
fn a_product_paid_twice_in_a_slot_is_a_repetition_and_on_another_day_it_is_not() {
    let simulator = start(Config::default());
    let asins = simulator.existing_asins("US", 5);
    keepa(&simulator, &asins);
    keepa(&simulator, &asins[..2]);
    let totals = simulator.totals();
    assert_eq!((totals.paid_requests, totals.paid_units, totals.repeated_paid), (2, 7, 2));
    assert_eq!(totals.repeated_after_delivery, 2);
    simulator.set_now("2026-03-03T09:00:00Z".parse().unwrap());
    keepa(&simulator, &asins);
    assert_eq!(simulator.totals().repeated_paid, 2);
    simulator.reset();
    assert_eq!(simulator.totals().requests, 0);
}

#[test]
fn items_of_a_run_are_paid_at_its_start_and_delivered_when_they_are_read() {
    let simulator = start(Config::default());
    let client = Client::of(&simulator, Source::Apify);
    let asins = simulator.existing_asins("US", 4);
    let run = client.post(&format!("/v2/actors/{AXESSO}/runs"), &axesso_input(&asins)).json();
    assert_eq!((simulator.totals().paid_units, simulator.totals().paid_undelivered), (4, 4));
    let path = format!("/v2/actor-runs/{}", run["data"]["id"].as_str().unwrap());
    client.get(&path);
    client.get(&path);
    client.get(&format!("{path}/dataset/items?offset=0&limit=3"));
    assert_eq!(simulator.totals().paid_undelivered, 1);
    client.get(&format!("{path}/dataset/items?offset=3&limit=3"));
    assert_eq!(simulator.totals().paid_undelivered, 0);
    let spent =
        client.get("/v2/users/me/limits").json()["data"]["current"]["monthlyUsageUsd"].as_f64().unwrap();
    assert!((spent - 4.0 * 0.0008).abs() < 1e-9);
}

#[test]
fn keepa_tokens_are_charged_for_found_products_may_be_overdrawn_and_then_refuse() {
    let simulator = start(Config { keepa_tokens: 10, ..Config::default() });
    let mut asins = simulator.existing_asins("US", 12);
    asins.extend(simulator.missing_asins("US", 2));
    let first = keepa(&simulator, &asins);
    assert_eq!((&first["tokensConsumed"], &first["tokensLeft"]), (&json!(12), &json!(-2)));
    let second = keepa(&simulator, &asins);
    assert_eq!((&second["tokensLeft"], second.get("products")), (&json!(-2), None));
    assert!(second["refillIn"].as_u64().unwrap() <= 60_000);
    assert_eq!(simulator.outcomes(Source::Keepa, "product"), [("ok", 1), ("rate_limited", 1)]);
    assert_eq!(simulator.totals().paid_units, 12);
}

#[test]
fn an_exhausted_account_is_told_so() {
    let config =
        Config { rainforest_credits: 0, firecrawl_credits: 0, apify_limit_usd: 0.0, ..Config::default() };
    let simulator = start(config);
    let asins = simulator.existing_asins("US", 1);
    let apify = Client::of(&simulator, Source::Apify)
        .post(&format!("/v2/actors/{AXESSO}/runs"), &axesso_input(&asins));
    let url = format!("https://www.amazon.com/dp/{}", asins[0]);
    let firecrawl = Client::of(&simulator, Source::Firecrawl).post("/v1/scrape", &json!({"url": url}));
    let path = format!(
        "/request?api_key={}&type=product&amazon_domain=amazon.com&asin={}",
        simulator.keys().rainforest,
        asins[0]
    );
    let rainforest = Client::of(&simulator, Source::Rainforest).get(&path);
    assert_eq!([apify.status, firecrawl.status, rainforest.status], [402, 402, 402]);
    assert_eq!(simulator.totals().paid_units, 0);
}

#[test]
fn the_control_calls_do_what_the_handle_does() {
    let simulator = start(Config::default());
    let asins = simulator.existing_asins("US", 3);
    keepa(&simulator, &asins);
    let control = Client::control(&simulator);
    let document = control.get("/ledger").json();
    assert_eq!(document, simulator.ledger());
    assert_eq!(document["sources"]["keepa"]["paid_units"], 3);
    assert_eq!(document["sources"]["keepa"]["max_in_one_second"], 1);
    assert_eq!(control.get("/requests").json()[0]["key"], json!(asins[0]));

    control.post("/faults", &json!({"rates": {"html_page": 1.0, "max_attempts": 1}}));
    let path = format!("/token?key={}", simulator.keys().keepa);
    let token = || Client::of(&simulator, Source::Keepa).get(&path);
    assert!(token().header("content-type").unwrap().starts_with("text/html"));
    control.post("/faults", &json!({"schedule": "none"}));
    control.post("/now", &json!({"now": "2026-04-01T00:00:00Z"}));
    assert_eq!(token().json()["timestamp"], 1_775_001_600_000_i64);
    assert!(control.post("/faults", &json!({"rates": {"typo": 1.0}})).json()["error"].is_string());
    control.post("/reset", &Value::Null);
    assert_eq!(simulator.totals().requests, 0);
}

#[test]
fn a_client_that_hangs_up_is_charged_all_the_same_and_nothing_is_delivered() {
    let latency = Latency { base_ms: 40, jitter_ms: 0 };
    let simulator = start(Config { latency, ..Config::default() });
    let asin = simulator.existing_asins("US", 1).remove(0);
    let path = format!("/keepa/product?key={}&domain=1&asin={asin}", simulator.keys().keepa);
    let mut stream = TcpStream::connect(simulator.addr).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", simulator.addr).unwrap();
    while simulator.ledger()["sources"]["keepa"]["requests"] != 1 {
        std::thread::yield_now();
    }
    drop(stream);
    while simulator.totals().paid_units == 0 {
        std::thread::yield_now();
    }
    let paid = simulator.paid(Source::Keepa, "US", &asin);
    assert_eq!((paid.charged, paid.delivered), (1, 0));
}
