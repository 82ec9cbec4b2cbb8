//! How a server begins, how it is, and how it ends.

use std::io::Read as _;

use super::{Server, key};
use crate::sandbox::{Sandbox, answers};

#[test]
fn a_signal_ends_it_cleanly() {
    let sandbox = Sandbox::with_market();
    for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
        let server = Server::start(&sandbox, "--open");
        assert_eq!(server.send("GET", "/v1/products", &[], "").status, 200);
        // A connection that waits for nothing does not hold it up.
        let mut idle = server.connect();
        assert_eq!(server.end(signal), code);
        let mut rest = Vec::new();
        let _ = idle.read_to_end(&mut rest);
        assert_eq!(rest, b"");
    }
    sandbox.succeed("verify -q");
}

#[test]
fn it_says_what_is_wrong_where_it_cannot_begin() {
    let empty = Sandbox::empty();
    assert_eq!(empty.exit_code("serve-lite"), 10);
    let sandbox = Sandbox::initialised();
    let server = Server::start(&sandbox, "");
    let port = server.address.port();
    let taken = sandbox.run(&format!("serve-lite --listen {}", server.address));
    answers!(taken.replace(&port.to_string(), "[PORT]"), @r"
    exit 1
    --- stderr
    error: failed to listen on 127.0.0.1:[PORT]: Address already in use (os error 98)
    hint: name another address with --listen, or end whoever listens there
    ");
    answers!(sandbox.run("serve-lite --listen localhost"), @r"
    exit 2
    --- stderr
    error: invalid value 'localhost' for '--listen <ADDRESS>': invalid socket address syntax

    For more information, try '--help'.
    ");
    answers!(sandbox.run_with("AMZCTL_SERVE__LISTEN", "8787", "serve-lite"), @r"
    exit 2
    --- stderr
    error: environment variable AMZCTL_SERVE__LISTEN: `serve.listen` must be as 127.0.0.1:8787
    ");
    let said = server.said();
    assert!(said.contains("there is no key yet"), "{said}");
}

#[test]
fn its_parts_are_told_to_whoever_asks() {
    let sandbox = Sandbox::with_market();
    let server = Server::start(&sandbox, "");
    let health = server.send("GET", "/health", &[], "").data();
    let parts: Vec<(&str, &str)> = health["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| (part["name"].as_str().unwrap(), part["status"].as_str().unwrap()))
        .collect();
    let expected = ["database", "lake", "sources", "outbox", "disk"].map(|name| (name, "healthy"));
    assert_eq!((parts.as_slice(), &health["status"]), (&expected[..], &serde_json::json!("healthy")));
    assert_eq!(server.send("GET", "/ready", &[], "").data()["ready"], true);
    std::fs::remove_dir_all(sandbox.path("lake")).unwrap();
    sandbox.sql("UPDATE deliveries SET state = 'dead'");
    let health = server.send("GET", "/health", &[], "").data();
    assert_eq!(health["status"], "degraded", "and requests are answered: {health}");
    let degraded: Vec<&str> = health["parts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|part| part["status"] == "degraded")
        .map(|part| part["name"].as_str().unwrap())
        .collect();
    assert_eq!(degraded, ["lake", "outbox"]);
}

#[test]
fn every_request_has_a_line_in_the_log_without_what_it_asked_with() {
    let sandbox = Sandbox::with_market();
    let key = key(&sandbox, "--name pager");
    let server = Server::start(&sandbox, "-v --log-format json");
    server.get(&key, "/v1/products?title=secretive");
    server.get(&key, "/v1/products/none");
    let log = server.heard("\"operation\":\"get_product\"");
    let line = |operation: &str| -> serde_json::Value {
        let mark = format!("\"operation\":\"{operation}\"");
        serde_json::from_str(log.lines().find(|line| line.contains(&mark)).unwrap()).unwrap()
    };
    let list = line("list_products");
    assert_eq!(
        (&list["status"], &list["path"]),
        (&serde_json::json!(200), &serde_json::json!("/v1/products"))
    );
    assert_eq!(
        (&list["workspace"], &list["method"]),
        (&serde_json::json!("main"), &serde_json::json!("GET"))
    );
    assert_eq!(list["key_id"].as_str().unwrap().len(), 16);
    assert_eq!(line("get_product")["status"], 404);
    assert!(!log.contains("secretive") && !log.contains(&key), "{log}");
}
