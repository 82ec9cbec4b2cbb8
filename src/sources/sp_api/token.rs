//! Login with Amazon: an access token for an hour, kept until shortly before it lapses; one refresh for all callers.

use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::super::Fault;
use super::super::http::Http;
use super::super::secret::Secret;
use crate::model::FaultKind;

const PATH: &str = "/auth/o2/token";
/// A token is renewed so long before it lapses.
const MARGIN: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub(super) struct Credentials {
    pub(super) client_id: Secret,
    pub(super) client_secret: Secret,
    pub(super) refresh_token: Secret,
}

#[derive(Debug)]
pub(super) struct Token {
    http: Http,
    credentials: Credentials,
    held: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    token: Secret,
    good_until: Instant,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Refused {
    error: String,
    error_description: String,
}

impl Token {
    pub(super) fn new(http: Http, credentials: Credentials) -> Token {
        Token { http, credentials, held: Mutex::new(None) }
    }

    /// The token; a new one when there is none that is still good, or when the one that is held is the one that
    /// `was_refused`: of several that complain of an old one, the first renews it.
    pub(super) async fn get(&self, was_refused: Option<&Secret>) -> Result<Secret, Fault> {
        let mut held = self.held.lock().await;
        let now = Instant::now();
        if let Some(held) = held.as_ref()
            && now < held.good_until
            && was_refused != Some(&held.token)
        {
            return Ok(held.token.clone());
        }
        let granted = self.renew().await?;
        let lifetime = Duration::from_secs(granted.expires_in).saturating_sub(MARGIN);
        let token = Secret::new(granted.access_token);
        *held = Some(Held { token: token.clone(), good_until: now + lifetime });
        Ok(token)
    }

    async fn renew(&self) -> Result<Granted, Fault> {
        let Credentials { client_id, client_secret, refresh_token } = &self.credentials;
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.reveal()),
            ("client_id", client_id.reveal()),
            ("client_secret", client_secret.reveal()),
        ];
        let reply = self.http.send(self.http.post(PATH).form(&form)).await?;
        if reply.is_success() {
            return serde_json::from_slice(&reply.body).map_err(|_| {
                // The answer may hold the token: it is not quoted.
                Fault::new(FaultKind::Malformed, "the token's answer is not the expected JSON")
            });
        }
        let refused: Refused = serde_json::from_slice(&reply.body).unwrap_or_default();
        let said = self.http.quoted(&format!("{} {}", refused.error, refused.error_description));
        let mut fault = self.http.refusal(&reply);
        if matches!(reply.status.as_u16(), 400 | 401) {
            fault.kind = FaultKind::Credentials;
        }
        fault.detail = format!("signing in: status {}, {said}", reply.status.as_u16());
        Err(fault)
    }
}
