//! serve-lite as a program meets it: the binary behind a real socket of this machine.

mod access;
mod alerts;
mod answers;
mod browser;
mod dash;
mod data;
mod engines;
mod hostile;
mod keys;
mod life;
mod live;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amzctl::model::{KeyKind, Permission, Permissions};
use serde_json::Value;

use crate::sandbox::Sandbox;

/// What nobody has to wait for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that is ended with the test.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    /// What it has written to stderr so far.
    said: Arc<Mutex<String>>,
}

/// What it answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// What the envelope holds of an answer that has to be one.
    pub(crate) fn data(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()["data"].clone()
    }

    /// The code of a problem.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        problem["code"].as_str().unwrap().to_owned()
    }
}

impl Server {
    /// Starts a server on any free port.
    pub(crate) fn start(sandbox: &Sandbox, flags: &str) -> Server {
        Server::start_at(sandbox, flags, crate::sandbox::NOW)
    }

    /// The same, at another time.
    pub(crate) fn start_at(sandbox: &Sandbox, flags: &str, now: &str) -> Server {
        let mut command = sandbox.command(&format!("serve-lite --listen 127.0.0.1:0 {flags}"));
        command.env("AMZCTL_NOW", now);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = Arc::new(Mutex::new(String::new()));
        let address = loop {
            let Some(Ok(line)) = lines.next() else { panic!("it did not start: {}", said.lock().unwrap()) };
            *said.lock().unwrap() += &format!("{line}\n");
            if let Some(address) = line.strip_prefix("listening on http://") {
                break address.parse().unwrap();
            }
        };
        let into = said.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *into.lock().unwrap() += &format!("{line}\n");
            }
        });
        Server { child, address, said }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes as they are, and reads what comes until the server has no more to say.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        // A server that has read enough may hang up before all is sent.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    }

    pub(crate) fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request =
            format!("{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        if method == "POST" {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        parse(&self.raw(format!("{request}\r\n{body}").as_bytes()))
    }

    /// GET with a key.
    pub(crate) fn get(&self, key: &str, target: &str) -> Answer {
        self.send("GET", target, &[("Authorization", &format!("Bearer {key}"))], "")
    }

    /// POST of JSON with a key.
    pub(crate) fn post(&self, key: &str, target: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
        let bearer = format!("Bearer {key}");
        let own = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        self.send("POST", target, &[&own, headers].concat(), body)
    }

    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until the server has written this to its log.
    pub(crate) fn heard(&self, what: &str) -> String {
        let start = std::time::Instant::now();
        loop {
            let said = self.said();
            if said.contains(what) {
                return said;
            }
            assert!(start.elapsed() < PATIENCE, "it never said {what}: {said}");
            std::thread::yield_now();
        }
    }

    /// Sends a signal; the exit code with which the server ends.
    pub(crate) fn end(mut self, signal: &str) -> i32 {
        let pid = self.child.id().to_string();
        let sent = std::process::Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn parse(answer: &[u8]) -> Answer {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(answer)));
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        // Of those that are given more than once, each on a line of its own.
        let known = headers.entry(name.to_lowercase()).or_default();
        let apart = if known.is_empty() { "" } else { "\n" };
        *known = format!("{known}{apart}{value}");
    }
    Answer { status, headers, body: answer[end + 4..].to_vec() }
}

/// A key of every role, with what it may.
fn roles(sandbox: &Sandbox) -> Vec<(String, Permissions)> {
    vec![
        (key(sandbox, "--kind public"), KeyKind::Public.permissions()),
        (key(sandbox, "--kind secret"), KeyKind::Secret.permissions()),
        (key(sandbox, "--kind secret --permissions write"), Permissions::of([Permission::Write])),
        (key(sandbox, "--kind admin --permissions operate"), Permissions::of([Permission::Operate])),
        (key(sandbox, "--kind admin"), KeyKind::Admin.permissions()),
    ]
}

/// Makes a key; its text.
pub(crate) fn key(sandbox: &Sandbox, flags: &str) -> String {
    let name = if flags.contains("--name") { "" } else { "--name test" };
    let line = format!("keys create --json {name} --tier premium {flags}");
    let made: Value = serde_json::from_str(&sandbox.succeed(&line)).unwrap();
    made["key"].as_str().unwrap().to_owned()
}
