//! Sessions of people: a cookie that says nothing, behind which the key stands that it was opened with. It ends with the key,
//! when it is idle, after its time, and when somebody logs out.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use super::App;
use super::auth::{self, Caller, CallerKey, random_bytes};
use super::problem::{Kind, Problem};
use crate::ids::sha256_hex;
use crate::store::sessions::Session;

/// The cookie of whoever is logged in.
pub(super) const SESSION: &str = "amzctl_session";
/// The cookie of whoever is about to log in: their form is theirs too.
pub(super) const VISIT: &str = "amzctl_visit";
/// The longest that either can be.
const LONGEST: usize = 64;
/// How exactly it is known when a session was last in use, in seconds.
const SEEN_TO: i64 = 60;

/// A cookie's value, where a request has one of this name that can be one of ours.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(known, _)| *known == name)?;
    let is_ours = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    ((1..=LONGEST).contains(&value.len()) && value.bytes().all(is_ours)).then_some(value)
}

/// `Set-Cookie` of a value of ours: no script sees it, and no other site's link or form sends it.
pub(super) fn set_cookie(name: &str, value: &str, seconds: u64, is_secure: bool) -> String {
    let secure = if is_secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

/// A text that nobody can guess.
pub(super) fn new_token() -> anyhow::Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(random_bytes()?))
}

/// What forms carry besides the cookie: whoever cannot read our pages does not know it.
pub(super) fn form_token(cookie: &str) -> String {
    sha256_hex(format!("form {cookie}").as_bytes())
}

/// Whether a form is one of the page that belongs to the cookie.
pub(super) fn is_of(cookie: &str, form_token_shown: &str) -> bool {
    form_token(cookie).as_bytes().ct_eq(form_token_shown.as_bytes()).into()
}

/// Opens a session with a key; answers what the cookie holds.
///
/// Errors: the key is not valid, or too many of those came from this address.
pub(super) async fn open(app: &App, key: &str, address: IpAddr) -> Result<String, Problem> {
    let caller = auth::by_key(app, key, address).await?;
    let Some(CallerKey { key_id, .. }) = caller.key else {
        return Err(Problem::new(Kind::InvalidKey, "it is no key"));
    };
    let token = new_token()?;
    let now = app.options.clock.now();
    let session = Session {
        session_sha256: sha256_hex(token.as_bytes()),
        workspace: caller.workspace,
        key_id,
        created_at: now,
        seen_at: now,
        expires_at: now + chrono::Duration::from_std(app.options.session).unwrap_or_default(),
    };
    app.store.open_session(&session).await?;
    Ok(token)
}

/// Who is logged in with this cookie; null where nobody is, any more.
pub(super) async fn caller(app: &App, token: &str) -> Result<Option<Caller>, Problem> {
    let sha256 = sha256_hex(token.as_bytes());
    let Some(session) = find_open(app, &sha256).await? else { return Ok(None) };
    let Some(caller) = auth::by_id(app, &session.key_id).await? else { return Ok(None) };
    let now = app.options.clock.now();
    if (now - session.seen_at).num_seconds() >= SEEN_TO {
        match app.store.touch_session(&session.workspace, &sha256, now).await {
            Ok(()) => app.sessions.forget(&sha256),
            // What is read is not kept back by that.
            Err(error) => tracing::warn!("a session cannot be noted as in use: {error}"),
        }
    }
    Ok(Some(Caller { session: Some(sha256), ..caller }))
}

/// Whether a session is open, of which only the hash is known. To ask does not make it last longer.
pub(super) async fn is_open(app: &App, sha256: &str) -> bool {
    matches!(find_open(app, sha256).await, Ok(Some(_)))
}

async fn find_open(app: &App, sha256: &str) -> Result<Option<Session>, Problem> {
    let now = app.options.clock.now();
    let idle = chrono::Duration::from_std(app.options.session_idle).unwrap_or_default();
    let found = app.sessions.find(sha256, app.store.find_session(sha256)).await?;
    Ok(found.filter(|session| session.expires_at > now && session.seen_at + idle > now))
}

/// Ends the session of this cookie.
pub(super) async fn close(app: &App, caller: &Caller) -> Result<(), Problem> {
    let Some(sha256) = &caller.session else { return Ok(()) };
    app.store.close_session(&caller.workspace, sha256).await?;
    app.sessions.forget(sha256);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others_and_only_in_its_own_form() {
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(COOKIE, value.parse().unwrap());
            }
            headers
        };
        assert_eq!(cookie(&headers(&["a=b; amzctl_session=x-1_Y; c=d"]), SESSION), Some("x-1_Y"));
        assert_eq!(cookie(&headers(&["a=b", "amzctl_session=x"]), SESSION), Some("x"));
        for other in ["amzctl_session=", "amzctl_session=a b", "xamzctl_session=a", "amzctl_session"] {
            assert_eq!(cookie(&headers(&[other]), SESSION), None, "{other}");
        }
        let long = format!("amzctl_session={}", "x".repeat(LONGEST + 1));
        assert_eq!(cookie(&headers(&[&long]), SESSION), None);
    }

    #[test]
    fn a_form_belongs_to_one_cookie() {
        let (one, other) = (new_token().unwrap(), new_token().unwrap());
        assert!(is_of(&one, &form_token(&one)) && !is_of(&one, &form_token(&other)) && !is_of(&one, ""));
        assert!(!form_token(&one).contains(&one));
        assert_eq!(
            set_cookie(SESSION, "x", 60, true),
            "amzctl_session=x; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure"
        );
    }
}
