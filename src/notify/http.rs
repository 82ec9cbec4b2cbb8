//! Telling by HTTP: one request, its answer, and what the answer means. Redirects are not followed, proxies
//! of the environment are not used, and every address is judged by the [`Guard`] before it is connected to.

use std::time::Duration;

use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Client, Request, RequestBuilder, StatusCode, Url};

use super::guard::{Blocked, Guard};
use super::{NotSent, NotifyError};
use crate::clock::Clock;
use crate::model::text::clean_text;
use crate::sources::http::retry_after;
use crate::sources::secret::Secret;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the end of an answer is waited for, whose beginning says it all.
const BODY_TIME: Duration = Duration::from_secs(5);
/// How much of an answer is read: receivers answer a line.
const BODY_CAP: usize = 64 << 10;
/// How much of an answer a message quotes.
const QUOTED_CHARS: usize = 200;

/// Posts messages of one channel.
#[derive(Clone, Debug)]
pub struct Poster {
    client: Client,
    guard: Guard,
    timeout: Duration,
    /// What is cut out of every message, longest first.
    hidden: Vec<String>,
    clock: Clock,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Poster {
    /// `secrets` are cut out of whatever is said about an attempt.
    pub fn new(
        guard: Guard,
        timeout: Duration,
        secrets: &[Secret],
        clock: Clock,
    ) -> Result<Poster, NotifyError> {
        crate::sources::http::install_provider();
        let client = Client::builder()
            .user_agent(concat!("amzctl/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(guard.clone())
            .build()
            .map_err(|error| NotifyError::misconfigured(format!("no HTTP client can be made: {error}")))?;
        let mut hidden: Vec<String> = secrets.iter().flat_map(crate::sources::http::spellings).collect();
        // A key of a webhook is two where it is being changed; each is a secret.
        let parts = secrets.iter().flat_map(|secret| secret.reveal().split_whitespace());
        hidden.extend(parts.map(str::to_owned));
        hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Ok(Poster { client, guard, timeout, hidden, clock })
    }

    pub fn now(&self) -> crate::model::Timestamp {
        self.clock.now()
    }

    /// Posts to an address; it is judged when it is sent.
    pub fn post(&self, url: Url) -> RequestBuilder {
        self.client.post(url)
    }

    pub fn request(&self, method: reqwest::Method, url: Url) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Sends and judges the answer: a success, or why not.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, NotifyError> {
        let answer = self.ask(request).await?;
        if answer.status.is_success() { Ok(answer) } else { Err(self.refusal(&answer)) }
    }

    /// Sends, and answers what came back whatever its status.
    pub async fn ask(&self, request: RequestBuilder) -> Result<Answer, NotifyError> {
        let request: Request =
            request.build().map_err(|error| NotifyError::misconfigured(self.quoted(&innermost(&error))))?;
        self.guard.check(request.url()).map_err(|blocked| NotifyError::misconfigured(blocked.to_string()))?;
        let mut response = match tokio::time::timeout(self.timeout, self.client.execute(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.failure(&error)),
            Err(_) => return Err(NotifyError::no_answer(self.timeout)),
        };
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        let reading = async {
            while let Ok(Some(chunk)) = response.chunk().await {
                body.extend_from_slice(&chunk);
                if body.len() > BODY_CAP {
                    break;
                }
            }
        };
        // What was accepted is accepted, however its answer ends, and if it never does.
        let _ = tokio::time::timeout(self.timeout.min(BODY_TIME), reading).await;
        Ok(Answer { status, headers, body })
    }

    fn failure(&self, error: &reqwest::Error) -> NotifyError {
        if let Some(blocked) = blocked_by(error) {
            return NotifyError::misconfigured(blocked.to_string());
        }
        if error.is_connect() {
            let said = if error.is_timeout() { "no connection in time".into() } else { innermost(error) };
            return NotifyError::later(self.quoted(&format!("cannot connect: {said}")));
        }
        if error.is_timeout() {
            return NotifyError::no_answer(self.timeout);
        }
        if error.is_builder() {
            return NotifyError::misconfigured(self.quoted(&innermost(error)));
        }
        NotifyError::unknown(
            self.quoted(&format!("the connection was lost before an answer: {}", innermost(error))),
        )
    }

    /// What a status that is no success means.
    pub fn refusal(&self, answer: &Answer) -> NotifyError {
        let status = answer.status.as_u16();
        let said = self.quoted(&String::from_utf8_lossy(&answer.body));
        let said = if said.is_empty() { String::new() } else { format!(", {said}") };
        let detail = match status {
            300..=399 if answer.headers.contains_key(LOCATION) => {
                format!("status {status}: it redirects, and redirects are not followed")
            }
            _ => format!("status {status}{said}"),
        };
        let kind = match status {
            401 | 403 | 407 => NotSent::KeyRefused,
            // It is the address that is wrong, or what stands in front of it, and not this message.
            300..=399 | 404 | 405 | 421 => NotSent::Misconfigured,
            408 | 425 | 429 | 500..=599 => NotSent::Later,
            _ => NotSent::Refused,
        };
        NotifyError::new(kind, detail).after(retry_after(&answer.headers, self.now()))
    }

    /// One line, without the channel's secrets.
    pub fn quoted(&self, text: &str) -> String {
        let mut said = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for secret in &self.hidden {
            said = said.replace(secret, "***");
        }
        clean_text(&said).chars().take(QUOTED_CHARS).collect()
    }
}

/// The guard's refusal, where it is what an error comes from.
pub(super) fn blocked_by(error: &(dyn std::error::Error + 'static)) -> Option<Blocked> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(blocked) = error.downcast_ref::<Blocked>() {
            return Some(blocked.clone());
        }
        cause = error.source();
    }
    None
}

/// The innermost cause says what happened; the outer ones repeat the address, which may be a secret.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if std::ptr::addr_eq(cause, error) {
        // Its own text names the address.
        return "the request failed".to_owned();
    }
    cause.to_string()
}
