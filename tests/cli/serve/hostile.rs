//! Whoever means no good is refused, and the server goes on for everybody else.

use std::io::{Read as _, Write as _};

use super::{Server, key, parse};
use crate::sandbox::Sandbox;

fn served(flags: &str) -> (Sandbox, Server, String) {
    let sandbox = Sandbox::with_market().with("AMZCTL_SERVE__HEADER_TIMEOUT_S", "1");
    let key = key(&sandbox, "");
    let server = Server::start(&sandbox, flags);
    (sandbox, server, key)
}

fn is_up(server: &Server, key: &str) {
    assert_eq!(server.get(key, "/v1/products").status, 200);
}

#[test]
fn a_head_that_trickles_in_is_cut_off_and_keeps_nobody_out() {
    let (_sandbox, server, key) = served("");
    let mut slow: Vec<_> = (0..40).map(|_| server.connect()).collect();
    for (number, stream) in slow.iter_mut().enumerate() {
        let begun = &b"GET /v1/products HTTP/1.1\r\nHost: x\r\nX-Slow: "[..number % 44];
        stream.write_all(begun).unwrap();
    }
    is_up(&server, &key);
    for stream in &mut slow {
        let mut told = Vec::new();
        // Closed, with or without a word; what was sent is never taken for a request.
        let _ = stream.read_to_end(&mut told);
        assert!(told.is_empty() || parse(&told).status == 408, "{}", String::from_utf8_lossy(&told));
    }
    is_up(&server, &key);
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let (_sandbox, server, key) = served("");
    let head = format!(
        "POST /v1/products/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    let answer = parse(&server.raw(head.as_bytes()));
    assert_eq!(
        (answer.status, answer.code().as_str(), answer.header("connection")),
        (408, "request_timeout", "close")
    );
    is_up(&server, &key);
}

#[test]
fn only_so_many_connections_are_taken_and_idle_ones_make_room() {
    let sandbox = Sandbox::with_market()
        .with("AMZCTL_SERVE__HEADER_TIMEOUT_S", "1")
        .with("AMZCTL_SERVE__MAX_CONNECTIONS", "2");
    let key = key(&sandbox, "");
    let server = Server::start(&sandbox, "");
    let idle = [server.connect(), server.connect()];
    // Waits until one of them is closed, and is answered then.
    is_up(&server, &key);
    drop(idle);
}

#[test]
fn what_is_too_large_is_refused() {
    let (_sandbox, server, key) = served("");
    let body = format!(r#"{{"products":["{}"]}}"#, "x".repeat(2 << 20));
    let answer = server.post(&key, "/v1/products/batch", &body, &[]);
    assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"));
    let long = "x".repeat(40 << 10);
    assert_eq!(server.send("GET", "/health", &[("X-Long", &long)], "").code(), "head_too_large");
    let many: Vec<(String, &str)> = (0..150).map(|number| (format!("X-{number}"), "x")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(server.send("GET", "/health", &many, "").status, 431);
    let target = format!("/v1/products?title={long}");
    assert!([414, 431].contains(&server.get(&key, &target).status));
    is_up(&server, &key);
}

#[test]
fn what_is_no_request_and_no_text_is_refused() {
    let (_sandbox, server, key) = served("");
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"G\xffT / HTTP/1.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1/products/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n{}{}",
        b"POST /v1/products/batch HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    ] {
        let told = server.raw(bytes);
        assert!(
            told.is_empty() || (400..=505).contains(&parse(&told).status),
            "{}",
            String::from_utf8_lossy(&told)
        );
    }
    for (target, code) in [
        ("/v1/products/%ff", "invalid_request"),
        ("/v1/products/%00", "invalid_request"),
        ("/v1/products?title=%ff", "invalid_request"),
        ("/v1/products?title=%00", "invalid_request"),
        ("/v1/products?%ff=x", "invalid_request"),
        ("/v1/reports/..%2f..%2famzctl.db/content", "not_found"),
        ("/v1/cohorts/%27%20OR%201=1--", "not_found"),
        ("/v1/products/../../health", "not_found"),
        ("//v1/products", "not_found"),
    ] {
        assert_eq!(server.get(&key, target).code(), code, "{target}");
    }
    assert_eq!(
        server.get(&key, "/v1/products?title=%27%25_%5C").data(),
        serde_json::json!([]),
        "data is data"
    );
    is_up(&server, &key);
}

#[test]
fn a_cursor_is_good_for_its_own_list_only() {
    let (sandbox, server, key) = served("");
    let theirs = super::key(&sandbox, "--workspace eu");
    let page = server.get(&key, "/v1/products?limit=2&sort=title&title=e");
    let cursor = page.json()["next_cursor"].as_str().unwrap_or_default().to_owned();
    let page = server.get(&key, "/v1/products?limit=2");
    let plain = page.json()["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!(server.get(&key, &format!("/v1/products?cursor={plain}")).status, 200);
    let mut changed = plain.clone().into_bytes();
    let last = changed.len() - 2;
    changed[last] = if changed[last] == b'A' { b'B' } else { b'A' };
    for target in [
        format!("/v1/products?cursor={}", String::from_utf8(changed).unwrap()),
        format!("/v1/products?sort=-key&cursor={plain}"),
        format!("/v1/products?brand=x&cursor={plain}"),
        format!("/v1/alerts?cursor={plain}"),
        format!("/v1/reports?cursor={plain}"),
        "/v1/products?cursor=".to_owned(),
        format!("/v1/products?cursor={cursor}x"),
    ] {
        assert_eq!(server.get(&key, &target).code(), "invalid_cursor", "{target}");
    }
    assert_eq!(server.get(&theirs, &format!("/v1/products?cursor={plain}")).code(), "invalid_cursor");
    // Servers on the same database know each other's.
    let other = Server::start(&sandbox, "");
    assert_eq!(other.get(&key, &format!("/v1/products?cursor={plain}")).status, 200);
}

#[test]
fn who_guesses_keys_waits_and_the_log_tells_of_it_without_them() {
    let (_sandbox, server, key) = served("-v --log-format json");
    is_up(&server, &key);
    let guess = |number: usize| format!("sk_{}{number}", "A".repeat(42));
    for number in 0..5 {
        let refused = server.get(&guess(number), "/v1/products");
        assert_eq!((refused.status, refused.code().as_str()), (401, "invalid_key"), "guess {number}");
    }
    let waits = server.get(&guess(5), "/v1/products");
    assert_eq!((waits.status, waits.code().as_str()), (429, "too_many_failures"));
    let seconds: u64 = waits.header("retry-after").parse().unwrap();
    assert!((50..=61).contains(&seconds), "{seconds}");
    // Even the right one: nobody learns by trying whether it is.
    assert_eq!(server.get(&key, "/v1/products").code(), "too_many_failures");
    assert_eq!(server.send("GET", "/health", &[], "").status, 200, "the server is up");
    let log = server.heard("\"operation\":\"get_health\"");
    assert!(log.contains("a key that is not valid was shown"), "{log}");
    assert!(!log.contains(&"A".repeat(42)) && !log.contains(&key), "{log}");
}

#[test]
fn a_key_asks_as_much_as_its_tier_lets_it() {
    let (sandbox, server, _) = served("");
    let made = sandbox.succeed("keys create --json --name small --tier basic");
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let small = made["key"].as_str().unwrap();
    let first = server.get(small, "/v1/products");
    assert_eq!((first.header("x-ratelimit-limit"), first.header("x-ratelimit-remaining")), ("60", "59"));
    // A comparison weighs five.
    for left in (4..=54).rev().step_by(5) {
        let answer = server.get(small, "/v1/cohorts/earbuds/competition");
        assert_eq!(answer.header("x-ratelimit-remaining"), left.to_string());
    }
    let refused = server.get(small, "/v1/cohorts/earbuds/competition");
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"));
    assert!((1..=61).contains(&refused.header("retry-after").parse::<u32>().unwrap()));
    assert_eq!(server.get(small, "/v1/products").status, 200, "what weighs less has room");
}
