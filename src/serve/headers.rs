//! Headers: what requests bring with them, and what every answer has.

use std::net::{IpAddr, SocketAddr};

use axum::body::Body;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Response, StatusCode, request};

use super::App;
use super::problem::{Kind, Problem};
use crate::ids::new_run_id;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that a request may bring with it.
const LONGEST_ID: usize = 64;
/// The longest idempotency key.
const LONGEST_IDEMPOTENCY_KEY: usize = 200;

/// Headers of every answer.
const ALWAYS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
/// What an answer may do in a browser: nothing.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";
/// What a page of ours may do: show itself.
const OWN_STYLE: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox allow-downloads";

/// The headers that all have.
pub(super) fn finish(app: &App, request_id: &str, parts: &request::Parts, response: &mut Response<Body>) {
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, header_value(request_id));
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let is_page = headers.get(header::CONTENT_TYPE).is_some_and(|of| of.as_bytes().starts_with(b"text/html"));
    let policy = if is_page { OWN_STYLE } else { NOTHING };
    // A page that may do more says so itself.
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(policy));
    if let Some(origin) = allowed_origin(app, &parts.headers) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("etag, retry-after, x-next-cursor, x-request-id, x-ratelimit-remaining"),
        );
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    }
}

/// The origin of a page that asks, if pages of it may.
pub(super) fn allowed_origin(app: &App, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let allowed = &app.options.cors_origins;
    allowed.iter().any(|one| one.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

/// Bytes of names and values.
pub(super) fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=LONGEST_IDEMPOTENCY_KEY).contains(&key.len()));
    let wrong = || Problem::new(Kind::InvalidRequest, "`Idempotency-Key` has 1 to 200 plain characters");
    key.map(|key| Some(key.to_owned())).ok_or_else(wrong)
}

/// The id that a request brings with it, if it is one that logs can hold; else a new one.
pub(super) fn request_id(headers: &HeaderMap) -> String {
    let brought = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let is_plain = |id: &&str| {
        let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
        (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(|c| plain(c) || c == b'-' || c == b'.')
    };
    brought.filter(is_plain).map_or_else(new_run_id, str::to_owned)
}

/// Whose address it is: behind proxies that are trusted, the last one that is none of them.
pub(super) fn client(peer: IpAddr, headers: &HeaderMap, app: &App) -> IpAddr {
    let trusted = &app.options.trusted_proxies;
    if !trusted.contains(&peer.to_canonical()) {
        return peer;
    }
    let forwarded = joined(headers, &HeaderName::from_static("x-forwarded-for")).unwrap_or_default();
    let named = forwarded.rsplit(',').map_while(address);
    let mut last = peer;
    for address in named {
        last = address;
        if !trusted.contains(&address.to_canonical()) {
            break;
        }
    }
    last
}

/// An address as proxies write it: some add the port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let plain = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    plain.parse().ok().or_else(with_port)
}

/// Whether the client speaks by TLS, as a proxy that is trusted says.
pub(super) fn is_by_tls(peer: IpAddr, headers: &HeaderMap, app: &App) -> bool {
    let said = headers.get("x-forwarded-proto").and_then(|proto| proto.to_str().ok()).unwrap_or_default();
    let last = said.rsplit(',').next().unwrap_or_default().trim();
    app.options.trusted_proxies.contains(&peer.to_canonical()) && last.eq_ignore_ascii_case("https")
}

/// A header that may be given in parts.
pub(super) fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// A text of ours, which has no characters that a header cannot have.
pub(super) fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

pub(super) fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "authorization, content-type, idempotency-key, if-none-match, x-api-key, x-request-id",
        ),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_port() {
        for (text, expected) in [
            (" 192.0.2.7", Some("192.0.2.7")),
            ("192.0.2.7:51544", Some("192.0.2.7")),
            ("2001:db8::7", Some("2001:db8::7")),
            ("[2001:db8::7]", Some("2001:db8::7")),
            ("[2001:db8::7]:51544 ", Some("2001:db8::7")),
            ("unknown", None),
            ("", None),
        ] {
            assert_eq!(address(text), expected.map(|address| address.parse().unwrap()), "{text}");
        }
    }
}
