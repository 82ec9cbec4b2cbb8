//! Limits of requests, and how fast the simulator itself is.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Instant;

use super::client::{Client, signed_in, start};
use crate::simulator::{Config, Quota, Source};

#[test]
fn beyond_its_burst_a_source_answers_429_and_the_ledger_counts_it() {
    let quota = Some(Quota { per_second: 0.001, burst: 3.0 });
    let simulator = start(Config { quota, ..Config::default() });
    let path = format!("/token?key={}", simulator.keys().keepa);
    let statuses: Vec<u16> =
        (0..5).map(|_| Client::of(&simulator, Source::Keepa).get(&path).status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    assert_eq!(simulator.totals().rate_limited, 2);
    assert_eq!(
        Client::of(&simulator, Source::Apify).get("/v2/users/me").status,
        200,
        "each source has its own"
    );
}

#[test]
fn sp_api_limits_each_operation_and_names_the_rate_on_good_replies() {
    let simulator = start(Config { sp_speed: 0.01, ..Config::default() });
    let client = signed_in(&simulator);
    let asin = simulator.existing_asins("US", 1).remove(0);
    let item = format!("/catalog/2022-04-01/items/{asin}?marketplaceIds=ATVPDKIKX0DER");
    let answers: Vec<_> = (0..3).map(|_| client.get(&item)).collect();
    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [200, 200, 429]);
    assert_eq!(answers[0].header("x-amzn-ratelimit-limit"), Some("0.02"));
    assert_eq!(answers[2].header("x-amzn-ratelimit-limit"), None);
    assert_eq!(answers[2].json()["errors"][0]["code"], "QuotaExceeded");
    let price = format!(
        "/products/pricing/v0/competitivePrice?MarketplaceId=ATVPDKIKX0DER&ItemType=Asin&Asins={asin}"
    );
    assert_eq!(client.get(&price).status, 200, "another operation has its own limit");
}

#[test]
fn concurrent_requests_are_all_answered_and_counted() {
    let simulator = start(Config::default());
    let path = format!("/token?key={}", simulator.keys().keepa);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    assert_eq!(Client::of(&simulator, Source::Keepa).get(&path).status, 200);
                }
            });
        }
    });
    assert_eq!(simulator.outcomes(Source::Keepa, "token"), [("ok", 200)]);
    assert!(simulator.busiest_second(Source::Keepa) > 1);
}

/// Not a test of the machine: run it by name to see the figure.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "the figure is the result")]
fn requests_a_second() {
    let simulator = start(Config::default());
    let request = format!("GET /keepa/token?key={} HTTP/1.1\r\nhost: x\r\n\r\n", simulator.keys().keepa);
    let count = 10_000;
    let began = Instant::now();
    let mut stream = TcpStream::connect(simulator.addr).unwrap();
    let mut chunk = [0; 4_096];
    for _ in 0..count {
        stream.write_all(request.as_bytes()).unwrap();
        assert!(stream.read(&mut chunk).unwrap() > 0);
    }
    let rate = f64::from(count) / began.elapsed().as_secs_f64();
    println!("{rate:.0} requests a second");
    assert!(rate > 3_000.0, "{rate:.0} requests a second");
}
