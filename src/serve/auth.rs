//! Who asks: a key in the request, checked against its hash, or whoever sits at this machine where that is allowed.

use std::net::IpAddr;
use std::time::Instant;

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HOST};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};
use subtle::ConstantTimeEq as _;

use super::problem::{Kind, Problem};
use super::{App, session};
use crate::ids::sha256_hex;
use crate::model::{KeyKind, KeyTier, Permission, Permissions, Workspace};
use crate::store::keys::ApiKey;

/// Another place for a key than `Authorization: Bearer`.
pub(super) const KEY_HEADER: &str = "x-api-key";
/// What proxies add to what they pass on.
const PASSED_ON: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
/// Random bytes of a key.
const BYTES: usize = 32;
/// Digits of the hash that name a key.
const ID: usize = 16;

/// Whoever asks, with what they may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Caller {
    pub(super) workspace: Workspace,
    pub(super) permissions: Permissions,
    /// Null where no key is asked for.
    pub(super) key: Option<CallerKey>,
    /// The hash of the session that they are logged in with; null of whoever shows their key itself.
    pub(super) session: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct CallerKey {
    pub(super) key_id: String,
    pub(super) name: String,
    pub(super) tier: KeyTier,
}

impl Caller {
    /// What the audit log and alerts call them.
    pub(super) fn actor(&self) -> String {
        self.key.as_ref().map_or_else(|| "serve-lite".to_owned(), |key| format!("key {}", key.name))
    }

    /// '' where no key is asked for.
    pub(super) fn key_id(&self) -> &str {
        self.key.as_ref().map_or("", |key| key.key_id.as_str())
    }
}

/// A new key of this kind: the text that is shown once, and the hash that is kept.
///
/// Errors: the system gives no random bytes.
pub fn new_key(kind: KeyKind) -> anyhow::Result<NewKey> {
    let text = format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(random_bytes()?));
    let key_sha256 = sha256_hex(text.as_bytes());
    Ok(NewKey { key_id: key_sha256[..ID].to_owned(), text, key_sha256 })
}

/// 32 bytes that nobody can guess.
pub(super) fn random_bytes() -> anyhow::Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    Ok(bytes)
}

/// A key that was just made.
#[derive(Clone)]
pub struct NewKey {
    pub key_id: String,
    /// Never stored.
    pub text: String,
    pub key_sha256: String,
}

/// Who sends this request. Null: nobody says who they are.
///
/// Errors: a key that is not valid, or too many of those from this address.
pub(super) async fn caller(
    app: &App,
    headers: &HeaderMap,
    address: IpAddr,
) -> Result<Option<Caller>, Problem> {
    let Some(shown) = shown_key(headers)? else {
        return open_caller(app, headers, address);
    };
    by_key(app, shown, address).await.map(Some)
}

/// Who has this key. Errors: nobody any more, or too many keys that are not valid came from this address.
pub(super) async fn by_key(app: &App, shown: &str, address: IpAddr) -> Result<Caller, Problem> {
    let now = Instant::now();
    if let Some(wait) = app.throttle.wait(address, now) {
        app.metrics.refused("throttled");
        let detail = "this address has shown too many keys that are not valid";
        return Err(Problem::new(Kind::TooManyFailures, detail).retry_after(wait.as_secs() + 1));
    }
    let sha256 = sha256_hex(shown.as_bytes());
    let found = find(app, &sha256[..ID]).await?;
    let is_right = found.as_ref().is_some_and(|key| {
        let is_same: bool = key.key_sha256.as_bytes().ct_eq(sha256.as_bytes()).into();
        is_same && key.is_active(app.options.clock.now())
    });
    match found.filter(|_| is_right) {
        Some(key) => Ok(caller_of(key)),
        None => {
            app.throttle.failed(address, now);
            app.metrics.refused("invalid_key");
            tracing::warn!(address = %address, "a key that is not valid was shown");
            Err(Problem::new(Kind::InvalidKey, "it is unknown, expired or revoked"))
        }
    }
}

/// Who has the key of this id, of whom it is known that they do; null where it has ended.
pub(super) async fn by_id(app: &App, key_id: &str) -> Result<Option<Caller>, Problem> {
    let found = find(app, key_id).await?;
    Ok(found.filter(|key| key.is_active(app.options.clock.now())).map(caller_of))
}

async fn find(app: &App, key_id: &str) -> Result<Option<ApiKey>, Problem> {
    app.keys.find(key_id, app.store.find_key(key_id)).await
}

fn caller_of(key: ApiKey) -> Caller {
    Caller {
        workspace: key.workspace,
        permissions: key.permissions,
        key: Some(CallerKey { key_id: key.key_id, name: key.name, tier: key.tier }),
        session: None,
    }
}

/// Whether somebody who was let in may still have this: their key may have ended since, or their session.
pub(super) async fn may_still(app: &App, caller: &Caller, needed: Permission) -> bool {
    let Some(CallerKey { key_id, .. }) = &caller.key else { return caller.permissions.allow(needed) };
    if let Some(sha256) = &caller.session
        && !session::is_open(app, sha256).await
    {
        return false;
    }
    matches!(by_id(app, key_id).await, Ok(Some(now)) if now.permissions.allow(needed))
}

/// The key that a request shows. Errors: two, or one in a form that no key has.
fn shown_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut shown: Vec<&[u8]> = headers.get_all(KEY_HEADER).iter().map(|value| value.as_bytes()).collect();
    for value in headers.get_all(AUTHORIZATION) {
        let (scheme, key) = value.as_bytes().split_at_checked(7).unwrap_or((value.as_bytes(), b""));
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return Err(Problem::new(Kind::InvalidKey, "`Authorization` has to be `Bearer` and a key"));
        }
        shown.push(key);
    }
    match shown.as_slice() {
        [] => Ok(None),
        [key] => {
            let text = std::str::from_utf8(key).map(str::trim);
            text.map(Some).map_err(|_| Problem::new(Kind::InvalidKey, "a key has only letters and digits"))
        }
        _ => Err(Problem::new(Kind::InvalidKey, "more than one key is shown")),
    }
}

/// Whoever sits at this machine: they read, and change nothing, because any page that they look at could ask in their name.
/// For the same reason they have to call this machine by its own name. What a proxy passes on comes from elsewhere. Null
/// where nobody is let in without a key.
pub(super) fn open_caller(
    app: &App,
    headers: &HeaderMap,
    address: IpAddr,
) -> Result<Option<Caller>, Problem> {
    if !app.options.is_open {
        return Ok(None);
    }
    let is_passed_on = PASSED_ON.iter().any(|name| headers.contains_key(*name));
    if is_passed_on || !address.to_canonical().is_loopback() {
        return Err(Problem::new(Kind::Forbidden, "without a key only this machine itself may ask"));
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let is_here = name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if !is_here {
        return Err(Problem::new(Kind::Forbidden, "without a key this machine is called localhost"));
    }
    Ok(Some(Caller {
        workspace: app.options.workspace.clone(),
        permissions: Permissions::of([Permission::Read, Permission::Operate]),
        key: None,
        session: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_what_it_is_for_and_is_never_the_same() {
        for kind in KeyKind::ALL {
            let (one, other) = (new_key(*kind).unwrap(), new_key(*kind).unwrap());
            assert!(one.text.starts_with(kind.prefix()));
            assert_eq!(URL_SAFE_NO_PAD.decode(&one.text[3..]).unwrap().len(), 32);
            assert_ne!(one.text, other.text);
            assert!(one.key_sha256.starts_with(&one.key_id) && !one.text.contains(&one.key_id));
        }
    }

    #[test]
    fn a_key_is_read_from_either_header_and_only_from_one() {
        let headers = |pairs: &[(&str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                let name: axum::http::HeaderName = name.parse().unwrap();
                headers.append(name, value.parse().unwrap());
            }
            headers
        };
        assert_eq!(shown_key(&headers(&[])).unwrap(), None);
        assert_eq!(shown_key(&headers(&[("authorization", "bearer sk_1")])).unwrap(), Some("sk_1"));
        assert_eq!(shown_key(&headers(&[(KEY_HEADER, "sk_1")])).unwrap(), Some("sk_1"));
        assert!(shown_key(&headers(&[("authorization", "Basic c2tfMQ==")])).is_err());
        assert!(shown_key(&headers(&[("authorization", "sk_1")])).is_err());
        assert!(shown_key(&headers(&[("authorization", "Bearer a"), (KEY_HEADER, "a")])).is_err());
    }
}
