//! A client that sees what is on the wire: a plain socket, one request a connection.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::simulator::{Config, Simulator, Source};

/// What came back; `broken` tells how a connection ended that should not have.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) broken: Option<ErrorKind>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

pub(crate) struct Client<'a> {
    simulator: &'a Simulator,
    prefix: &'static str,
    headers: Vec<(&'static str, String)>,
}

impl<'a> Client<'a> {
    /// A client that presents the source's secret.
    pub(crate) fn of(simulator: &'a Simulator, source: Source) -> Client<'a> {
        let headers = match source {
            Source::Apify => vec![("authorization", format!("Bearer {}", simulator.keys().apify))],
            Source::Firecrawl => vec![("authorization", format!("Bearer {}", simulator.keys().firecrawl))],
            _ => Vec::new(),
        };
        Client { simulator, prefix: source.name(), headers }
    }

    /// A client of the simulator's own calls.
    pub(crate) fn control(simulator: &'a Simulator) -> Client<'a> {
        Client { simulator, prefix: "_sim", headers: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Client<'a> {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", "")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, "application/json", &body.to_string())
    }

    pub(crate) fn send(&self, method: &str, path: &str, kind: &str, body: &str) -> Answer {
        let mut request = format!(
            "{method} /{}{path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n",
            self.prefix, self.simulator.addr
        );
        for (name, value) in &self.headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !kind.is_empty() {
            request.push_str(&format!("content-type: {kind}\r\ncontent-length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        request.push_str(body);
        exchange(&mut TcpStream::connect(self.simulator.addr).unwrap(), request.as_bytes())
    }
}

fn exchange(stream: &mut TcpStream, request: &[u8]) -> Answer {
    stream.write_all(request).unwrap();
    let mut bytes = Vec::new();
    let mut chunk = [0; 65_536];
    let mut broken = None;
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            Err(error) => {
                broken = Some(error.kind());
                break;
            }
        }
    }
    let split = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
    let (head, body) = bytes.split_at(split.unwrap_or(bytes.len()));
    let head = String::from_utf8(head.to_vec()).unwrap();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let mut answer = Answer { status, head, body: body.to_vec(), broken };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = unchunk(&answer.body);
    }
    answer
}

/// The data of a chunked body, which must be whole.
fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return data;
        }
        data.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 4 + size..];
    }
}

pub(crate) fn start(config: Config) -> Simulator {
    Simulator::start(config).unwrap()
}

/// An SP-API client that has signed in.
pub(crate) fn signed_in(simulator: &Simulator) -> Client<'_> {
    let client = Client::of(simulator, Source::SpApi);
    let keys = simulator.keys();
    let form = format!(
        "grant_type=refresh_token&refresh_token={}&client_id={}&client_secret={}",
        keys.sp_refresh_token.replace('|', "%7C"),
        keys.sp_client_id,
        keys.sp_client_secret
    );
    let answer = client.send("POST", "/auth/o2/token", "application/x-www-form-urlencoded", &form);
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    client.with("x-amz-access-token", &token)
}

pub(crate) const AXESSO: &str = "axesso_data~amazon-product-details-scraper";

/// The input of an axesso run over products of amazon.com.
pub(crate) fn axesso_input(asins: &[String]) -> Value {
    let urls: Vec<String> = asins.iter().map(|asin| format!("https://www.amazon.com/dp/{asin}")).collect();
    serde_json::json!({"urls": urls})
}
