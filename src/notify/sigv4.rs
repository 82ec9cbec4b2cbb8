//! AWS Signature Version 4 for a POST: two calls to Amazon's services do not pay for its kits.

use reqwest::Url;
use ring::{digest, hmac};

use crate::model::Timestamp;
use crate::sources::secret::Secret;

/// Who signs.
#[derive(Clone, Debug)]
pub struct AwsKeys {
    pub access_key: Secret,
    pub secret_key: Secret,
    pub session_token: Option<Secret>,
}

/// What is signed for: a service in a region.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Scope {
    pub region: String,
    pub service: &'static str,
}

/// The headers of a signed POST: `headers`, to which the host, the time and the session's token are added,
/// and `authorization`. `headers` are lower case.
pub(super) fn sign_post(
    keys: &AwsKeys,
    scope: &Scope,
    url: &Url,
    headers: &[(&'static str, String)],
    body: &[u8],
    now: Timestamp,
) -> Vec<(&'static str, String)> {
    let time = now.format("%Y%m%dT%H%M%SZ").to_string();
    let mut signed = headers.to_vec();
    signed.push(("host", host_of(url)));
    signed.push(("x-amz-date", time.clone()));
    if let Some(token) = &keys.session_token {
        signed.push(("x-amz-security-token", token.reveal().to_owned()));
    }
    signed.sort();
    let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = signed.iter().map(|(name, value)| format!("{name}:{}\n", trimmed(value))).collect();
    let canonical = format!("POST\n{}\n{}\n{lines}\n{names}\n{}", path_of(url), query_of(url), hash(body));

    let day = &time[..8];
    let Scope { region, service } = scope;
    let credential = format!("{day}/{region}/{service}/aws4_request");
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{credential}\n{}", hash(canonical.as_bytes()));
    let mut key = format!("AWS4{}", keys.secret_key.reveal()).into_bytes();
    for part in [day, region, service, "aws4_request"] {
        key = mac(&key, part);
    }
    let signature = hex(&mac(&key, &to_sign));
    let access_key = keys.access_key.reveal();
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={access_key}/{credential}, SignedHeaders={names}, Signature={signature}"
    );
    signed.push(("authorization", authorization));
    signed
}

/// With the port, unless it is the scheme's own.
fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Every part of the path encoded once more, as all services but S3 want it.
fn path_of(url: &Url) -> String {
    url.path().split('/').map(encoded).collect::<Vec<_>>().join("/")
}

/// Sorted by name, then by value.
fn query_of(url: &Url) -> String {
    let mut pairs: Vec<(String, String)> =
        url.query_pairs().map(|(name, value)| (encoded(&name), encoded(&value))).collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Everything but letters, digits, `-`, `.`, `_` and `~` as `%XX`.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Without spaces at the ends, and one where there are several.
fn trimmed(value: &str) -> String {
    value.split(' ').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn hash(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys, the time and the service of the test suite that AWS publishes for this signature.
    fn signature(url: &str, headers: &[(&'static str, String)], body: &str, token: Option<&str>) -> String {
        let keys = AwsKeys {
            access_key: Secret::new("AKIDEXAMPLE"),
            secret_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session_token: token.map(Secret::new),
        };
        let scope = Scope { region: "us-east-1".into(), service: "service" };
        let now = "2015-08-30T12:36:00Z".parse().unwrap();
        let signed = sign_post(&keys, &scope, &url.parse().unwrap(), headers, body.as_bytes(), now);
        let (_, authorization) = signed.last().unwrap();
        let start =
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=";
        let (names, signature) =
            authorization.strip_prefix(start).unwrap().split_once(", Signature=").unwrap();
        format!("{names} {signature}")
    }

    const TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoI\
        YRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx\
        6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2I\
        CCR/oLxBA==";

    /// Names of the tests in AWS's suite: post-vanilla, post-vanilla-query, post-x-www-form-urlencoded and
    /// its form with parameters, post-header-value-case, post-sts-header-before.
    #[test]
    fn signatures_are_those_of_the_published_suite() {
        let form = ("content-type", "application/x-www-form-urlencoded".to_owned());
        let form_utf8 = ("content-type", "application/x-www-form-urlencoded; charset=utf8".to_owned());
        let url = "https://example.amazonaws.com/";
        for (found, expected) in [
            (
                signature(url, &[], "", None),
                "host;x-amz-date 5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                signature(&format!("{url}?Param1=value1"), &[], "", None),
                "host;x-amz-date 28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
            ),
            (
                signature(url, &[form], "Param1=value1", None),
                "content-type;host;x-amz-date ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
            (
                signature(url, &[form_utf8], "Param1=value1", None),
                "content-type;host;x-amz-date 1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe",
            ),
            (
                signature(url, &[("my-header1", "VALUE1".to_owned())], "", None),
                "host;my-header1;x-amz-date cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
            ),
            (
                signature(url, &[], "", Some(TOKEN)),
                "host;x-amz-date;x-amz-security-token 85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
            ),
        ] {
            assert_eq!(found, expected);
        }
    }
}
