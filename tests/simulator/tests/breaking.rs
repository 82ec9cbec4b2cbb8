//! How replies fail, and that they fail alike in every simulation.

use std::io::ErrorKind;

use serde_json::json;

use super::client::{AXESSO, Answer, Client, axesso_input, signed_in, start};
use crate::simulator::{Config, Faults, Simulator, Source};

/// Every attempt that a fault may spoil is spoiled in this way.
fn always(set: fn(&mut Faults)) -> Config {
    let mut faults = Faults { max_attempts: 1, ..Faults::default() };
    set(&mut faults);
    Config { faults, hold_ms: 20, hint_ms: 3_000, ..Config::default() }
}

fn buy(simulator: &Simulator, asin: &str) -> Answer {
    let key = &simulator.keys().rainforest;
    let path = format!("/request?api_key={key}&type=product&amazon_domain=amazon.com&asin={asin}");
    Client::of(simulator, Source::Rainforest).get(&path)
}

fn declared(answer: &Answer) -> usize {
    answer.header("content-length").unwrap().parse().unwrap()
}

#[test]
fn a_connection_reset_before_the_reply_shows_no_byte_and_charges_nothing() {
    let simulator = start(always(|faults| faults.reset = 1.0));
    let asin = simulator.existing_asins("US", 1).remove(0);
    let answer = buy(&simulator, &asin);
    assert_eq!((answer.head.as_str(), answer.broken), ("", Some(ErrorKind::ConnectionReset)));
    assert_eq!(simulator.totals().paid_units, 0);
    assert_eq!(buy(&simulator, &asin).status, 200, "the next attempt gets through");
}

#[test]
fn a_reply_lost_after_a_paid_start_leaves_a_run_that_can_be_found() {
    let simulator = start(always(|faults| faults.reply_lost = 1.0));
    let client = Client::of(&simulator, Source::Apify);
    let asins = simulator.existing_asins("US", 3);
    let path = format!("/v2/actors/{AXESSO}/runs");
    let lost = client.post(&path, &axesso_input(&asins));
    assert_eq!((lost.status, lost.broken), (0, Some(ErrorKind::ConnectionReset)));
    assert_eq!(simulator.totals().paid_units, 3);
    let list = || client.get(&format!("{path}?desc=1&limit=10"));
    assert_eq!(list().status, 0, "lists lose replies as well");
    let listed = list().json();
    let store = listed["data"]["items"][0]["defaultKeyValueStoreId"].as_str().unwrap();
    client.get(&format!("/v2/key-value-stores/{store}/records/INPUT"));
    let input = client.get(&format!("/v2/key-value-stores/{store}/records/INPUT")).json();
    assert_eq!(input, axesso_input(&asins));
    client.post(&path, &axesso_input(&asins));
    assert_eq!(simulator.totals().repeated_paid, 3, "a second start pays again");
}

#[test]
fn a_body_can_break_in_the_middle() {
    let asin = start(Config::default()).existing_asins("US", 1).remove(0);
    let reset = start(always(|faults| faults.reset_mid_body = 1.0));
    let answer = buy(&reset, &asin);
    assert_eq!((answer.status, answer.broken), (200, Some(ErrorKind::ConnectionReset)));
    assert_eq!(answer.body.len(), declared(&answer) / 2);

    let short = start(always(|faults| faults.short_body = 1.0));
    let answer = buy(&short, &asin);
    assert_eq!((answer.status, answer.broken), (200, None));
    assert_eq!(answer.body.len(), declared(&answer) / 2);

    let truncated = start(always(|faults| faults.truncated = 1.0));
    let answer = buy(&truncated, &asin);
    assert_eq!((answer.status, answer.broken, answer.header("content-length")), (200, None, None));
    assert!(serde_json::from_slice::<serde_json::Value>(&answer.body).is_err());
    assert!(answer.body.starts_with(b"{\"product\""), "{:?}", String::from_utf8_lossy(&answer.body));

    for simulator in [reset, short, truncated] {
        let paid = simulator.paid(Source::Rainforest, "US", &asin);
        assert_eq!((paid.charged, paid.delivered), (1, 0));
        assert_eq!(buy(&simulator, &asin).status, 200);
        let paid = simulator.paid(Source::Rainforest, "US", &asin);
        assert_eq!((paid.charged, paid.delivered, paid.charged_after_delivery), (2, 1, 0));
    }
}

#[test]
fn a_timeout_holds_the_request_and_then_closes() {
    let simulator = start(always(|faults| faults.timeout = 1.0));
    let asin = simulator.existing_asins("US", 1).remove(0);
    let began = std::time::Instant::now();
    assert_eq!(buy(&simulator, &asin).status, 0);
    assert!(began.elapsed().as_millis() >= 20);
    assert_eq!(simulator.outcomes(Source::Rainforest, "product"), [("fault:timeout", 1)]);
}

#[test]
fn throttling_says_how_long_in_the_words_of_the_provider() {
    let simulator = start(always(|faults| faults.rate_limited = 1.0));
    let keepa = Client::of(&simulator, Source::Keepa);
    let answer = keepa.get(&format!("/token?key={}", simulator.keys().keepa));
    assert_eq!((answer.status, &answer.json()["refillIn"]), (429, &json!(3_000)));
    let firecrawl = Client::of(&simulator, Source::Firecrawl);
    let answer = firecrawl.get("/v1/team/credit-usage").json();
    assert!(
        answer["error"]
            .as_str()
            .unwrap()
            .contains("please retry after 3s, resets at Mon Mar 02 2026 09:00:03")
    );
    let mut hints: Vec<Option<String>> = simulator
        .existing_asins("US", 40)
        .iter()
        .map(|asin| buy(&simulator, asin))
        .map(|answer| answer.header("retry-after").map(str::to_owned))
        .collect();
    hints.sort();
    hints.dedup();
    assert_eq!(hints, [None, Some("3".into()), Some("Mon, 02 Mar 2026 09:00:03 GMT".into())]);
}

#[test]
fn a_page_of_html_may_come_in_place_of_json() {
    let simulator = start(always(|faults| faults.html_page = 1.0));
    let answer = buy(&simulator, &simulator.existing_asins("US", 1)[0]);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(simulator.totals().paid_units, 0);
}

#[test]
fn a_skewed_clock_spoils_the_date_only() {
    let simulator = start(always(|faults| faults.clock_skew = 1.0));
    let answer = buy(&simulator, &simulator.existing_asins("US", 1)[0]);
    assert_eq!(answer.status, 200);
    assert_ne!(answer.header("date"), Some("Mon, 02 Mar 2026 09:00:00 GMT"));
    let calm = start(Config::default());
    let answer = buy(&calm, &calm.existing_asins("US", 1)[0]);
    assert_eq!(answer.header("date"), Some("Mon, 02 Mar 2026 09:00:00 GMT"));
}

#[test]
fn a_captcha_is_paid_and_delivers_nothing() {
    let simulator = start(always(|faults| faults.captcha = 1.0));
    let client = Client::of(&simulator, Source::Firecrawl);
    let asin = simulator.existing_asins("US", 1).remove(0);
    let body = json!({"url": format!("https://www.amazon.com/dp/{asin}"), "formats": ["rawHtml"]});
    let scrape = || client.post("/v1/scrape", &body).json()["data"].clone();
    let page = scrape();
    let html = page["rawHtml"].as_str().unwrap();
    let blocked = html.contains("validateCaptcha") || page["metadata"]["statusCode"] == 503;
    assert!(blocked && html.contains("api-services-support@amazon.com"));
    let paid = simulator.paid(Source::Firecrawl, "US", &asin);
    assert_eq!((paid.charged, paid.delivered), (1, 0));
    assert!(scrape()["rawHtml"].as_str().unwrap().contains("id=\"productTitle\""));
}

#[test]
fn runs_may_end_badly_or_lack_items() {
    let asins = start(Config::default()).existing_asins("US", 20);
    let items_of = |simulator: &Simulator| {
        let client = Client::of(simulator, Source::Apify);
        let run = client.post(&format!("/v2/actors/{AXESSO}/runs"), &axesso_input(&asins)).json();
        let path = format!("/v2/actor-runs/{}", run["data"]["id"].as_str().unwrap());
        client.get(&path);
        let status = client.get(&path).json()["data"]["status"].as_str().unwrap().to_owned();
        (status, client.get(&format!("{path}/dataset/items")).json().as_array().unwrap().len())
    };
    let failing = start(always(|faults| faults.run_failed = 1.0));
    let (status, items) = items_of(&failing);
    assert!(["FAILED", "TIMED-OUT"].contains(&status.as_str()));
    assert_eq!(items, 10);
    assert_eq!(items_of(&failing), ("SUCCEEDED".into(), 20), "the next run is good");
    let (status, items) = items_of(&start(always(|faults| faults.half_empty = 1.0)));
    assert_eq!(status, "SUCCEEDED");
    assert!((3..18).contains(&items), "{items}");
}

#[test]
fn elements_of_a_batch_may_fail_inside_a_good_reply() {
    let simulator = start(always(|faults| faults.inner_error = 1.0));
    let client = signed_in(&simulator);
    let asins = simulator.existing_asins("US", 20);
    let requests: Vec<_> = asins
        .iter()
        .map(|asin| {
            let uri = format!("/products/pricing/v0/items/{asin}/offers");
            json!({"uri": uri, "method": "GET", "MarketplaceId": "ATVPDKIKX0DER", "ItemCondition": "New"})
        })
        .collect();
    let ask =
        || client.post("/batches/products/pricing/v0/itemOffers", &json!({"requests": requests})).json();
    let statuses = |reply: &serde_json::Value| {
        let responses = reply["responses"].as_array().unwrap().iter();
        let mut codes: Vec<i64> =
            responses.map(|one| one["status"]["statusCode"].as_i64().unwrap()).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    };
    let first = ask();
    assert_eq!(statuses(&first), [429, 500]);
    let order: Vec<&str> = first["responses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["request"]["Asin"].as_str().unwrap())
        .collect();
    assert_ne!(order, asins.iter().map(String::as_str).collect::<Vec<_>>(), "replies come in another order");
    assert_eq!(statuses(&ask()), [200]);
}

#[test]
fn an_access_token_may_lapse_early() {
    let simulator = start(always(|faults| faults.token_expires_early = 1.0));
    let client = signed_in(&simulator);
    let asin = simulator.existing_asins("US", 1).remove(0);
    let path = format!("/catalog/2022-04-01/items/{asin}?marketplaceIds=ATVPDKIKX0DER");
    let statuses: Vec<u16> = (0..4).map(|_| client.get(&path).status).collect();
    assert_eq!(statuses, [200, 200, 200, 403]);
    assert_eq!(signed_in(&simulator).get(&path).status, 200);
}

#[test]
fn the_same_attempts_fail_in_every_order() {
    let rough =
        || start(Config { faults: Faults::schedule("rough").unwrap(), hold_ms: 1, ..Config::default() });
    let (one, other) = (rough(), rough());
    let asins = one.existing_asins("US", 60);
    let outcomes = |simulator: &Simulator, asins: &[String]| {
        for asin in asins {
            for _ in 0..4 {
                buy(simulator, asin);
            }
        }
        let mut entries: Vec<_> =
            simulator.requests().into_iter().map(|entry| (entry.key, entry.attempt, entry.outcome)).collect();
        entries.sort();
        entries
    };
    let backwards: Vec<String> = asins.iter().rev().cloned().collect();
    let (forth, back) = (outcomes(&one, &asins), outcomes(&other, &backwards));
    assert_eq!(forth, back);
    assert!(forth.iter().any(|(_, _, outcome)| *outcome != "ok"));
}

#[test]
fn whoever_tries_often_enough_gets_through_except_for_the_lost_share() {
    let mut faults = Faults::schedule("rough").unwrap();
    faults.never = 0.5;
    let simulator = start(Config { faults, hold_ms: 1, hint_ms: 1, ..Config::default() });
    let asins = simulator.existing_asins("US", 80);
    let lost = asins.iter().filter(|asin| {
        (0..4).all(|_| {
            let answer = buy(&simulator, asin);
            answer.status != 200 || answer.broken.is_some() || !answer.body.ends_with(b"}")
        })
    });
    // Half of the products are lost at one of five sources.
    let lost = lost.count();
    assert!((2..20).contains(&lost), "{lost}");
}
