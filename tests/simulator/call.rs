//! One request as the providers' code sees it, and the reply it gives.

use axum::body::Bytes;
use axum::http::{HeaderMap, Method};
use serde_json::Value;

use super::Sim;

/// The five providers; each has its prefix in the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Source {
    Apify,
    Keepa,
    SpApi,
    Firecrawl,
    Rainforest,
}

impl Source {
    pub(crate) const ALL: [Source; 5] =
        [Source::Apify, Source::Keepa, Source::SpApi, Source::Firecrawl, Source::Rainforest];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Source::Apify => "apify",
            Source::Keepa => "keepa",
            Source::SpApi => "sp-api",
            Source::Firecrawl => "firecrawl",
            Source::Rainforest => "rainforest",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Source> {
        Source::ALL.into_iter().find(|source| source.name() == name)
    }
}

/// A request whose body was read.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// The path behind the provider's prefix, decoded, split at slashes.
    pub(crate) path: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    pub(crate) fn segments(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A comma list, also when the parameter is repeated.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let given = self.query.iter().filter(|(key, _)| key == name);
        given
            .flat_map(|(_, value)| value.split(','))
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn bearer(&self) -> Option<&str> {
        self.header("authorization").and_then(|value| value.strip_prefix("Bearer "))
    }

    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Where a client reaches this server.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.header("host").unwrap_or("127.0.0.1"))
    }
}

/// One paid unit of a product: what repeated purchases are counted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Item {
    pub(crate) marketplace: &'static str,
    pub(crate) asin: String,
    /// The day (or part of a day) it was paid for.
    pub(crate) slot: String,
}

/// What a provider answers.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// What this reply charges, once for each product.
    pub(crate) charged: Vec<Item>,
    /// The operation the products were paid under, if another than this one (a run's items are paid at its start).
    pub(crate) paid_as: Option<&'static str>,
    /// Paid products whose data is in this reply; the ledger counts them as delivered when it was written whole.
    pub(crate) delivers: Vec<Item>,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Reply {
        Reply {
            status,
            headers: vec![("content-type", "application/json; charset=utf-8".into())],
            body: body.to_string().into_bytes(),
            ..Reply::default()
        }
    }

    pub(crate) fn html(status: u16, body: &str) -> Reply {
        Reply {
            status,
            headers: vec![("content-type", "text/html; charset=utf-8".into())],
            body: body.as_bytes().to_vec(),
            ..Reply::default()
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds what came with a request to every text of this reply, as it is and as it stands in an address.
    pub(crate) fn echo(&mut self, call: &Call) {
        let mut said = call.query.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>();
        said.extend(pairs(&String::from_utf8_lossy(&call.body)).into_iter().map(|(_, value)| value));
        let headers = ["authorization", "x-amz-access-token"];
        said.extend(headers.iter().filter_map(|name| call.header(name)).map(str::to_owned));
        let encoded: Vec<String> = said.iter().map(|text| encode(text)).collect();
        let said = format!(" {} {} {:?}", said.join(" "), encoded.join(" "), said);
        self.body = match serde_json::from_slice::<Value>(&self.body) {
            Ok(mut document) => {
                add_to_texts(&mut document, &said);
                document.to_string().into_bytes()
            }
            Err(_) => [self.body.as_slice(), said.as_bytes()].concat(),
        };
    }

    /// The products are charged by this reply and their data is in it.
    pub(crate) fn paid(mut self, items: Vec<Item>) -> Reply {
        self.delivers.clone_from(&items);
        self.charged = items;
        self
    }
}

type Act = Box<dyn FnOnce(&Sim) -> Reply + Send>;

/// What a request asks for, once it has been checked: nothing has happened yet.
pub(crate) struct Planned {
    pub(crate) operation: &'static str,
    /// The first ASIN or the job: faults are decided by it.
    pub(crate) key: String,
    /// A single product, if the request is about one: some never succeed at one source.
    pub(crate) single: Option<Item>,
    /// How long the provider itself holds the request.
    pub(crate) hold_ms: u64,
    /// The request takes effect; called at most once, after the faults that come before an effect.
    pub(crate) act: Act,
}

impl Planned {
    pub(crate) fn new(
        operation: &'static str,
        key: impl Into<String>,
        act: impl FnOnce(&Sim) -> Reply + Send + 'static,
    ) -> Planned {
        Planned { operation, key: key.into(), single: None, hold_ms: 0, act: Box::new(act) }
    }
}

/// A request the provider turns down before anything happens.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) operation: &'static str,
    pub(crate) reply: Box<Reply>,
}

impl Refused {
    pub(crate) fn new(operation: &'static str, reply: Reply) -> Refused {
        Refused { operation, reply: Box::new(reply) }
    }
}

fn add_to_texts(document: &mut Value, said: &str) {
    match document {
        Value::String(text) => text.push_str(said),
        Value::Array(values) => values.iter_mut().for_each(|value| add_to_texts(value, said)),
        Value::Object(fields) => fields.values_mut().for_each(|value| add_to_texts(value, said)),
        _ => {}
    }
}

/// `a|b` as `a%7Cb`.
fn encode(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._*".contains(byte);
    text.bytes()
        .map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Decodes `%41` and `+`.
pub(crate) fn decode(text: &str, plus_is_space: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match (bytes[at], hex.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) if plus_is_space => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The pairs of a query string or a form.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        })
        .collect()
}
