//! Live events: what alerts tell, heard while it happens by whoever listens.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use super::{Answer, Server, key, parse};
use crate::sandbox::Sandbox;

/// Somebody who listens.
pub(super) struct Listener(BufReader<TcpStream>);

/// An event as it was heard.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Heard {
    id: String,
    event: String,
    pub(super) data: String,
}

impl Listener {
    /// Errors: the answer, where it is none that goes on.
    pub(super) fn begin(server: &Server, target: &str, headers: &[(&str, &str)]) -> Result<Listener, Answer> {
        let mut stream = server.connect();
        // By this version the answer has no frames of HTTP around those of the events.
        let mut request = format!("GET {target} HTTP/1.0\r\nHost: {}\r\n", server.address);
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{request}\r\n").as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert!(reader.read_until(b'\n', &mut head).unwrap() > 0, "it hung up");
        }
        let mut answer = parse(&head);
        if answer.status == 200 {
            assert_eq!(answer.header("content-type"), "text/event-stream");
            assert_eq!(answer.header("cache-control"), "no-store");
            return Ok(Listener(reader));
        }
        reader.read_to_end(&mut answer.body).unwrap();
        Err(answer)
    }

    fn with_key(server: &Server, key: &str, query: &str, last: &str) -> Listener {
        let bearer = format!("Bearer {key}");
        let mut headers = vec![("Authorization", bearer.as_str())];
        if !last.is_empty() {
            headers.push(("Last-Event-ID", last));
        }
        Listener::begin(server, &format!("/v1/events{query}"), &headers).unwrap()
    }

    /// The next event; null at the end.
    pub(super) fn next(&mut self) -> Option<Heard> {
        let mut heard = Heard::default();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("id", id)) => heard.id = id.to_owned(),
                Some(("event", event)) => heard.event = event.to_owned(),
                Some(("data", data)) => heard.data += data,
                Some(_) => {}
                None if heard.event.is_empty() => {}
                None => return Some(heard),
            }
        }
    }
}

/// The next day: the rival's price falls by a third, and the main product has none of it.
pub(super) fn next_day(sandbox: &Sandbox) {
    sandbox.write(
        "next.csv",
        "marketplace,asin,observed_at,price_minor,availability,seller_id,title\n\
         US,B0FM2YDLHP,2026-03-01T08:00:00Z,1400,in_stock,A2SHOP,Speaker\n\
         US,B0FDKB341G,2026-03-01T08:00:00Z,1400,in_stock,A1SHOP,Earbuds\n",
    );
    sandbox.succeed("run -q --no-deliver next.csv");
}

fn opened(sandbox: &Sandbox, since: &str) -> Vec<String> {
    let csv = sandbox.succeed(&format!("alert list --since {since} --format csv --fields alert_id"));
    let mut ids: Vec<String> = csv.lines().skip(1).map(str::to_owned).collect();
    ids.sort();
    ids
}

#[test]
fn what_another_process_finds_is_heard_at_once() {
    let sandbox = Sandbox::with_market();
    let key = key(&sandbox, "--kind public");
    let server = Server::start(&sandbox, "");
    let mut all = Listener::with_key(&server, &key, "", "");
    let mut some = Listener::with_key(&server, &key, "?asin=B0FM2YDLHP&type=alert.opened", "");
    next_day(&sandbox);
    let expected = opened(&sandbox, "2026-03-01");
    assert!(expected.len() > 2, "{expected:?}");
    let mut heard: Vec<Heard> = (0..expected.len()).map(|_| all.next().unwrap()).collect();
    let payload = |heard: &Heard| serde_json::from_str::<Value>(&heard.data).unwrap();
    for one in &heard {
        assert_eq!(one.event, "alert.opened");
        assert_eq!(payload(one)["event_id"].as_str(), Some(one.id.as_str()));
        assert_eq!(payload(one)["day"], "2026-03-01");
    }
    let mut ids: Vec<String> =
        heard.iter().map(|one| payload(one)["alert_id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    assert_eq!(ids, expected);
    heard.retain(|one| payload(one)["asin"] == "B0FM2YDLHP");
    let theirs: Vec<Heard> = (0..heard.len()).map(|_| some.next().unwrap()).collect();
    assert_eq!(theirs, heard, "in the same order");
}

#[test]
fn who_was_away_hears_first_what_they_missed() {
    let sandbox = Sandbox::with_market();
    let key = key(&sandbox, "");
    let server = Server::start(&sandbox, "");
    let mut early = Listener::with_key(&server, &key, "", "");
    next_day(&sandbox);
    let count = opened(&sandbox, "2026-03-01").len();
    let heard: Vec<Heard> = (0..count).map(|_| early.next().unwrap()).collect();
    drop(early);
    // From the middle on, of the list that all share, and of the database where there is none yet.
    let other = Server::start(&sandbox, "");
    for server in [&server, &other] {
        let mut late = Listener::with_key(server, &key, "", &heard[0].id);
        let missed: Vec<Heard> = (1..count).map(|_| late.next().unwrap()).collect();
        assert_eq!(missed, heard[1..]);
    }
    let mut lost = Listener::with_key(&server, &key, "", &"0".repeat(32));
    assert_eq!(lost.next().unwrap().event, "reset", "it is not known what they missed");
    let wrong = Listener::begin(&server, "/v1/events", &[("X-Api-Key", &key), ("Last-Event-ID", "a b")]);
    assert_eq!(wrong.err().unwrap().code(), "invalid_request");
}

#[test]
fn a_workspace_hears_its_own_and_nobody_else() {
    let sandbox = Sandbox::with_market();
    sandbox.succeed("--workspace eu watch add -q US:B0FM2YDLHP");
    let (ours, theirs) = (key(&sandbox, ""), key(&sandbox, "--workspace eu"));
    let server = Server::start(&sandbox, "");
    let mut at_theirs = Listener::with_key(&server, &theirs, "", "");
    let mut at_ours = Listener::with_key(&server, &ours, "", "");
    next_day(&sandbox);
    let ours_first = at_ours.next().unwrap();
    assert!(ours_first.data.contains("\"workspace\":\"main\""));
    sandbox.succeed("--workspace eu alert run -q");
    let theirs_first = at_theirs.next().unwrap();
    assert!(theirs_first.data.contains("\"workspace\":\"eu\""), "{theirs_first:?}");
    // By the name of what another one heard nothing is to be had.
    let mut curious = Listener::with_key(&server, &theirs, "", &ours_first.id);
    assert_eq!(curious.next().unwrap().event, "reset");
}

#[test]
fn who_is_shut_out_hears_no_more() {
    let sandbox = Sandbox::with_market();
    let key = key(&sandbox, "");
    let server = Server::start(&sandbox, "");
    let mut listener = Listener::with_key(&server, &key, "", "");
    let id = sandbox.succeed("keys list --format csv --fields key_id");
    sandbox.succeed(&format!("keys revoke {}", id.lines().nth(1).unwrap()));
    // What the server knows of a key it believes for two seconds; a whole run takes longer.
    let wait = std::time::Instant::now();
    while wait.elapsed() < std::time::Duration::from_secs(3) {
        sandbox.succeed("status -q");
    }
    next_day(&sandbox);
    assert_eq!(listener.next(), None);
}

#[test]
fn the_end_of_the_server_is_the_end_of_what_is_listened_to() {
    let sandbox = Sandbox::with_market();
    let server = Server::start(&sandbox, "--open");
    let mut stream = server.connect();
    write!(stream, "GET /v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", server.address).unwrap();
    let mut first = [0; 16];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(server.end("-TERM"), 143);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("retry: 2000") && rest.ends_with("\r\n0\r\n\r\n"), "whole: {rest}");
}

#[test]
fn who_listens_leaves_room_for_who_asks() {
    let sandbox = Sandbox::with_market().with("AMZCTL_SERVE__MAX_CONNECTIONS", "4");
    let key = key(&sandbox, "");
    let server = Server::start(&sandbox, "");
    let listeners: Vec<Listener> = (0..3).map(|_| Listener::with_key(&server, &key, "", "")).collect();
    let refused = Listener::begin(&server, "/v1/events", &[("X-Api-Key", &key)]).err().unwrap();
    assert_eq!((refused.status, refused.code().as_str()), (503, "unavailable"));
    assert_eq!(server.get(&key, "/v1/products").status, 200);
    drop(listeners);
}
