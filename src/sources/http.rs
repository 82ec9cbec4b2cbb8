//! The one HTTP client: time limits around everything, a size limit on every body, answers and faults by class.
//!
//! Nothing that leaves this module holds a secret: addresses are shown without their query, bodies are quoted only
//! after every secret of the source was cut out, and the client's own errors are shown without their address.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, StatusCode};

use super::Fault;
use super::secret::Secret;
use crate::clock::Clock;
use crate::model::{FaultKind, Timestamp};

/// The largest answer that is read.
const BODY_CAP: usize = 256 << 20;
/// How much of an answer a message quotes.
const QUOTED_CHARS: usize = 200;
/// How much of an answer secrets are looked for in: longer than what is quoted by more than any secret's length.
const HEAD_CHARS: usize = 100 * QUOTED_CHARS;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that asks for more silence than this is taken to have asked for this.
const LONGEST_HINT: Duration = Duration::from_secs(24 * 3600);

/// A client for one source.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    base: String,
    /// What is cut out of every message: the secrets in every spelling that an answer may repeat, longest first.
    hidden: Vec<String>,
    clock: Clock,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Http {
    /// `base` is the provider's address, without a slash at its end; `timeout` is for one whole request.
    ///
    /// Errors: an address that is none.
    pub fn new(base: &str, timeout: Duration, secrets: Vec<Secret>, clock: Clock) -> anyhow::Result<Http> {
        install_provider();
        let base = base.trim_end_matches('/').to_owned();
        let url = reqwest::Url::parse(&base).map_err(|error| anyhow::anyhow!("`{base}`: {error}"))?;
        anyhow::ensure!(matches!(url.scheme(), "http" | "https"), "`{base}` is not an http address");
        let client = Client::builder()
            .user_agent(concat!("amzctl/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .gzip(true)
            .build()?;
        let mut hidden: Vec<String> = secrets.iter().flat_map(spellings).collect();
        hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Ok(Http { client, base, hidden, clock })
    }

    /// The same, which has one more secret to keep.
    pub fn hiding(&self, secret: &Secret) -> Http {
        let mut http = self.clone();
        http.hidden.extend(spellings(secret));
        http.hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
        http
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.base))
    }

    /// A GET of a whole address that amzctl itself made.
    pub fn get_url(&self, url: &str) -> RequestBuilder {
        self.client.get(url)
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.base))
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// [`Http::send`], where a status that is no success is a fault.
    pub async fn send_well(&self, request: RequestBuilder) -> Result<Reply, Fault> {
        let reply = self.send(request).await?;
        if reply.is_success() { Ok(reply) } else { Err(self.refusal(&reply)) }
    }

    /// Sends and reads the whole answer, whatever its status.
    ///
    /// Errors: no answer, or one that is cut off or larger than any answer may be.
    pub async fn send(&self, request: RequestBuilder) -> Result<Reply, Fault> {
        let mut response = request.send().await.map_err(|error| self.fault_of(&error))?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.fault_of(&error))? {
            if body.len() + chunk.len() > BODY_CAP {
                let detail = format!("an answer of more than {} MiB", BODY_CAP >> 20);
                let fault = Fault::new(FaultKind::Malformed, detail);
                return Err(Fault { may_have_arrived: true, ..fault });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, headers, body })
    }

    /// The fault of a status that is no success, as every provider means it; adapters map what is theirs first.
    pub fn refusal(&self, reply: &Reply) -> Fault {
        let kind = match reply.status.as_u16() {
            429 => FaultKind::RateLimited,
            401 | 403 => FaultKind::Credentials,
            402 => FaultKind::Exhausted,
            408 => FaultKind::Timeout,
            500..=599 => FaultKind::Unavailable,
            _ => FaultKind::Refused,
        };
        self.fault(kind, reply, "").wait(retry_after(&reply.headers, self.now()))
    }

    /// A fault that quotes the answer.
    pub fn fault(&self, kind: FaultKind, reply: &Reply, what: &str) -> Fault {
        let said = self.quoted(&String::from_utf8_lossy(&reply.body));
        let what = if what.is_empty() { String::new() } else { format!("{what}: ") };
        let said = if said.is_empty() { "no text".to_owned() } else { said };
        Fault::new(kind, format!("{what}status {}, {said}", reply.status.as_u16()))
    }

    /// One line of at most so many characters, without the source's secrets.
    pub fn quoted(&self, text: &str) -> String {
        // An answer may be large; nobody reads its end.
        let text = text.char_indices().nth(2 * HEAD_CHARS).map_or(text, |(end, _)| text.split_at(end).0);
        // Far more than is shown, so that no secret is cut in two where it would show.
        let mut said: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some((end, _)) = said.char_indices().nth(HEAD_CHARS) {
            said.truncate(end);
        }
        for secret in &self.hidden {
            said = said.replace(secret, "***");
        }
        crate::model::text::clean_text(&said).chars().take(QUOTED_CHARS).collect()
    }

    fn fault_of(&self, error: &reqwest::Error) -> Fault {
        // An answer that breaks off is a connection that broke: what there was of it may have been right.
        let kind = if error.is_timeout() {
            FaultKind::Timeout
        } else if error.is_builder() {
            FaultKind::Refused
        } else {
            FaultKind::Network
        };
        // The innermost cause says what happened; the outer ones repeat the address.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let said = if error.is_timeout() { "no answer in time".to_owned() } else { cause.to_string() };
        let may_have_arrived = !error.is_connect() && !error.is_builder();
        Fault { may_have_arrived, ..Fault::new(kind, self.quoted(&said)) }
    }
}

impl Reply {
    pub fn is_success(&self) -> bool {
        self.status.is_success()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether its content type names this kind (`json`, `html`), or it has none.
    pub fn is_of(&self, kind: &str) -> bool {
        self.header("content-type").is_none_or(|own| own.contains(kind))
    }

    /// When the server says it answered.
    pub fn date(&self) -> Option<Timestamp> {
        chrono::DateTime::parse_from_rfc2822(self.header("date")?).ok().map(|at| at.to_utc())
    }

    /// The body as JSON of this form.
    pub fn json<'a, T: serde::Deserialize<'a>>(&'a self, http: &Http) -> Result<T, Fault> {
        serde_json::from_slice(&self.body).map_err(|error| {
            // What serde says may repeat the text; the place does not.
            let place = format!("line {} column {}", error.line(), error.column());
            let what = match error.classify() {
                serde_json::error::Category::Data => format!("JSON of another form, {place}"),
                serde_json::error::Category::Eof => "JSON that ends too early".to_owned(),
                _ => format!("no JSON, {place}"),
            };
            let fault = http.fault(FaultKind::Malformed, self, &what);
            Fault { may_have_arrived: true, ..fault }
        })
    }
}

/// Chooses how TLS computes, once for the process.
pub(crate) fn install_provider() {
    static PROVIDER: OnceLock<()> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        // Only a second installation fails, and then there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// A secret as it is, as it stands in an address, and as some write it in JSON.
pub(crate) fn spellings(secret: &Secret) -> Vec<String> {
    let plain = secret.reveal();
    if plain.is_empty() {
        return Vec::new();
    }
    let mut spellings = vec![plain.to_owned(), plain.replace('/', "\\/")];
    if let Ok(mut url) = reqwest::Url::parse("http://localhost/") {
        url.query_pairs_mut().append_pair("k", plain);
        let encoded = url.query().and_then(|query| query.strip_prefix("k=")).unwrap_or_default().to_owned();
        spellings.push(lower_escapes(&encoded));
        spellings.push(encoded);
    }
    spellings.retain(|spelling| !spelling.is_empty());
    spellings.sort_unstable();
    spellings.dedup();
    spellings
}

/// `%7C` as `%7c`.
fn lower_escapes(text: &str) -> String {
    let mut parts = text.split('%');
    let mut lower = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        lower.push('%');
        lower.push_str(&digits.to_ascii_lowercase());
        lower.push_str(rest);
    }
    lower
}

/// How long the server asks to wait: seconds or a date; absurd values count as the longest wait.
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        if !seconds.is_finite() || seconds < 0.0 {
            return None;
        }
        return Some(Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_HINT).min(LONGEST_HINT));
    }
    let at = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    Some((at.to_utc() - now).to_std().unwrap_or(Duration::ZERO).min(LONGEST_HINT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> Clock {
        Clock::Fixed("2026-05-01T12:00:00Z".parse().unwrap())
    }

    fn http() -> Http {
        let secrets = vec![Secret::new("sesame-42")];
        Http::new("https://api.example.com/v1/", Duration::from_secs(1), secrets, clock()).unwrap()
    }

    fn hint(text: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, text.parse().unwrap());
        let now = "2026-05-01T12:00:00Z".parse().unwrap();
        retry_after(&headers, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_hint_to_wait_is_read_as_seconds_or_as_a_date() {
        for (text, expected) in [
            ("7", Some(7)),
            ("0", Some(0)),
            ("Fri, 01 May 2026 12:00:30 GMT", Some(30)),
            ("Fri, 01 May 2026 11:00:00 GMT", Some(0)),
            ("99999999999999999999", Some(86_400)),
            ("-5", None),
            ("soon", None),
        ] {
            assert_eq!(hint(text), expected, "{text}");
        }
    }

    #[test]
    fn a_message_holds_no_secret_and_is_one_short_line() {
        let said = http().quoted(&format!("key sesame-42\n is wrong\u{1b}[31m {}", "x".repeat(5000)));
        assert!(said.starts_with("key *** is wrong") && !said.contains('\u{1b}'), "{said}");
        assert_eq!(said.chars().count(), QUOTED_CHARS);
    }

    #[test]
    fn a_secret_is_cut_out_in_every_spelling_and_never_shown_in_part() {
        let http = http().hiding(&Secret::new("Atza|a/b+c"));
        for text in ["Atza|a/b+c", "Atza%7Ca%2Fb%2Bc", "Atza%7ca%2fb%2bc", r"Atza|a\/b+c"] {
            assert_eq!(http.quoted(&format!("token {text}, sesame-42.")), "token ***, ***.");
        }
        let said = http.quoted(&format!("{}Atza|a/b+c", "x ".repeat(97)));
        assert!(said.ends_with("x ***"), "{said}");
        let spaced = http.quoted(&format!("{}sesame-42", " ".repeat(1_596)));
        assert_eq!(spaced, "***");
    }

    #[test]
    fn an_address_is_one_of_http() {
        for other in ["ftp://example.com", "api.example.com", ""] {
            assert!(Http::new(other, Duration::ZERO, Vec::new(), clock()).is_err(), "{other}");
        }
    }

    #[tokio::test]
    async fn a_failed_connection_does_not_show_the_query_with_its_key() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let http =
            Http::new(&format!("http://{closed}"), Duration::from_secs(5), Vec::new(), clock()).unwrap();
        let fault = http.send(http.get("/product").query(&[("key", "sesame-42")])).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Network);
        assert!(!fault.detail.contains("sesame") && !fault.detail.is_empty(), "{fault}");
    }
}
