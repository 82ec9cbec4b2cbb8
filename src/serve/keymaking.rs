//! How a key is made, whoever asks for it: what it may be called, and what it may.

use super::auth::{NewKey, new_key};
use crate::model::{KeyKind, KeyTier, Permission, Permissions, Timestamp, Workspace};
use crate::store::keys::ApiKey;

/// The longest name of a key.
const LONGEST_NAME: usize = 60;

/// The name of a key, without the space around it. Errors: it cannot be one.
pub fn key_name(text: &str) -> Result<String, String> {
    let text = text.trim();
    match text.chars().count() {
        1..=LONGEST_NAME if !text.chars().any(char::is_control) => Ok(text.to_owned()),
        _ => Err(format!("a name has 1 to {LONGEST_NAME} characters that can be printed")),
    }
}

/// What a key is to be.
#[derive(Clone, Debug)]
pub struct KeyRequest {
    pub workspace: Workspace,
    pub name: String,
    pub kind: KeyKind,
    /// Null: all that its kind may have.
    pub permissions: Option<Permissions>,
    pub tier: KeyTier,
    pub expires_at: Option<Timestamp>,
    pub by: String,
    pub now: Timestamp,
}

/// A key before it is kept, and its text, which is shown once.
#[derive(Clone)]
pub struct MadeKey {
    pub key: ApiKey,
    pub text: String,
}

/// Why no key is made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyRefusal {
    #[error("a {kind} key may not {beyond}")]
    Beyond { kind: KeyKind, beyond: Permission },
    #[error("a key without permissions opens nothing")]
    Nothing,
}

/// Makes a key. Errors: the system gives no random bytes.
pub fn make_key(request: KeyRequest) -> anyhow::Result<Result<MadeKey, KeyRefusal>> {
    let KeyRequest { workspace, name, kind, permissions, tier, expires_at, by, now } = request;
    let permissions = permissions.unwrap_or_else(|| kind.permissions());
    if let Some(beyond) = permissions.beyond(&kind.permissions()) {
        return Ok(Err(KeyRefusal::Beyond { kind, beyond }));
    }
    if permissions == Permissions::default() {
        return Ok(Err(KeyRefusal::Nothing));
    }
    let NewKey { key_id, text, key_sha256 } = new_key(kind)?;
    let key = ApiKey {
        key_id,
        workspace,
        kind,
        name,
        key_sha256,
        permissions,
        tier,
        created_at: now,
        created_by: by,
        expires_at,
        revoked_at: None,
        revoked_by: String::new(),
        replaces: String::new(),
    };
    Ok(Ok(MadeKey { key, text }))
}
