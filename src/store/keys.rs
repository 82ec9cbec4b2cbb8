//! Store methods of API keys: made, listed, replaced, revoked, and found again by whoever shows one. Only hashes are here.

use super::columns::{instant, known_instant, listed, to_json, unreadable, word};
use super::db::{Row, query, query_scalar};
use super::requests::{Audited, write_audit};
use super::{Result, Store, Tx};
use crate::model::{KeyKind, KeyTier, Permissions, Timestamp, Workspace};

/// A key as the store knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKey {
    /// The first digits of the hash: names the key without giving it away.
    pub key_id: String,
    pub workspace: Workspace,
    pub kind: KeyKind,
    pub name: String,
    pub key_sha256: String,
    pub permissions: Permissions,
    pub tier: KeyTier,
    pub created_at: Timestamp,
    pub created_by: String,
    /// Null: it does not.
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub revoked_by: String,
    /// The key that it was made for in rotation; '' for none.
    pub replaces: String,
}

impl ApiKey {
    /// What is to be said of it at this time.
    pub fn state(&self, now: Timestamp) -> &'static str {
        if self.revoked_at.is_some_and(|at| at <= now) {
            "revoked"
        } else if self.expires_at.is_some_and(|at| at <= now) {
            "expired"
        } else {
            "active"
        }
    }

    pub fn is_active(&self, now: Timestamp) -> bool {
        self.state(now) == "active"
    }
}

const TABLE: &str = "api_keys";

impl Store {
    /// Keeps a new key, and says so in the audit log.
    pub async fn save_key(&self, key: &ApiKey) -> Result<()> {
        let mut tx = self.begin().await?;
        insert_key(&mut tx, key).await?;
        audit(&mut tx, key, &key.created_by, "key.create", key.created_at).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The key of this id, whosever it is: who shows it has yet to say who they are.
    pub async fn find_key(&self, key_id: &str) -> Result<Option<ApiKey>> {
        let row = query("SELECT * FROM api_keys WHERE workspace IS NOT NULL AND key_id = $1")
            .bind(key_id)
            .fetch_optional(self.reader())
            .await?;
        row.as_ref().map(api_key).transpose()
    }

    /// A workspace's keys, oldest first.
    pub async fn load_keys(&self, workspace: &Workspace) -> Result<Vec<ApiKey>> {
        let rows = query("SELECT * FROM api_keys WHERE workspace = $1 ORDER BY created_at, key_id")
            .bind(workspace.as_str())
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(api_key).collect()
    }

    /// How many keys of all workspaces can be used at this time.
    pub async fn count_active_keys(&self, now: Timestamp) -> Result<u64> {
        let count: i64 = query_scalar(
            "SELECT COUNT(*) FROM api_keys WHERE workspace IS NOT NULL
               AND (revoked_at IS NULL OR revoked_at > $1) AND (expires_at IS NULL OR expires_at > $1)",
        )
        .bind(now.timestamp_micros())
        .fetch_one(self.reader())
        .await?;
        Ok(count.unsigned_abs())
    }

    /// Ends keys from now on, and says so in the audit log; answers how many were not ended yet.
    pub async fn revoke_keys(
        &self,
        workspace: &Workspace,
        key_ids: &[String],
        by: &str,
        now: Timestamp,
    ) -> Result<u64> {
        let mut tx = self.begin().await?;
        let rows = query(
            "SELECT * FROM api_keys WHERE workspace = $1 AND key_id IN (SELECT value FROM json_each($2))
               AND (revoked_at IS NULL OR revoked_at > $3) ORDER BY key_id",
        )
        .bind(workspace.as_str())
        .bind(to_json(key_ids))
        .bind(now.timestamp_micros())
        .fetch_all(&mut tx)
        .await?;
        for row in &rows {
            let key = api_key(row)?;
            end_key(&mut tx, workspace, &key.key_id, now, by).await?;
            audit(&mut tx, &key, by, "key.revoke", now).await?;
        }
        tx.commit().await?;
        Ok(rows.len() as u64)
    }

    /// Keeps `new` in the place of a key, which ends at `until`; false when that is not there, or has ended.
    pub async fn rotate_key(&self, new: &ApiKey, until: Timestamp) -> Result<bool> {
        let mut tx = self.begin().await?;
        let old = query("SELECT * FROM api_keys WHERE workspace = $1 AND key_id = $2")
            .bind(new.workspace.as_str())
            .bind(&new.replaces)
            .fetch_optional(&mut tx)
            .await?;
        let old = old.as_ref().map(api_key).transpose()?;
        let Some(old) = old.filter(|old| old.is_active(new.created_at)) else { return Ok(false) };
        insert_key(&mut tx, new).await?;
        end_key(&mut tx, &new.workspace, &old.key_id, until, &new.created_by).await?;
        audit(&mut tx, &old, &new.created_by, "key.rotate", new.created_at).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The secret of this name that all servers on this database share; `fresh` becomes it where there is none yet.
    pub async fn server_secret(&self, name: &str, fresh: &str, now: Timestamp) -> Result<String> {
        if let Some(secret) = self.stored_secret(name).await? {
            return Ok(secret);
        }
        let mut tx = self.begin_briefly().await?;
        query(
            "INSERT INTO server_secrets (name, secret, created_at) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(name)
        .bind(fresh)
        .bind(now.timestamp_micros())
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(self.stored_secret(name).await?.unwrap_or_else(|| fresh.to_owned()))
    }

    async fn stored_secret(&self, name: &str) -> Result<Option<String>> {
        let secret = query_scalar("SELECT secret FROM server_secrets WHERE name = $1")
            .bind(name)
            .fetch_optional(self.reader())
            .await?;
        Ok(secret)
    }
}

async fn insert_key(tx: &mut Tx, key: &ApiKey) -> Result<()> {
    query(
        "INSERT INTO api_keys (key_id, workspace, kind, name, key_sha256, permissions, tier, created_at, created_by,
                               expires_at, revoked_at, revoked_by, replaces)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(&key.key_id)
    .bind(key.workspace.as_str())
    .bind(key.kind.as_str())
    .bind(&key.name)
    .bind(&key.key_sha256)
    .bind(key.permissions.to_string())
    .bind(key.tier.as_str())
    .bind(key.created_at.timestamp_micros())
    .bind(&key.created_by)
    .bind(key.expires_at.map(|at| at.timestamp_micros()))
    .bind(key.revoked_at.map(|at| at.timestamp_micros()))
    .bind(&key.revoked_by)
    .bind(&key.replaces)
    .execute(tx)
    .await?;
    Ok(())
}

async fn end_key(tx: &mut Tx, workspace: &Workspace, key_id: &str, at: Timestamp, by: &str) -> Result<()> {
    // One that ends sooner anyway goes on doing so.
    query(
        "UPDATE api_keys SET revoked_at = $3, revoked_by = $4
         WHERE workspace = $1 AND key_id = $2 AND (revoked_at IS NULL OR revoked_at > $3)",
    )
    .bind(workspace.as_str())
    .bind(key_id)
    .bind(at.timestamp_micros())
    .bind(by)
    .execute(tx)
    .await?;
    Ok(())
}

/// Keys are changed at the command line: no key asked for it.
async fn audit(tx: &mut Tx, key: &ApiKey, by: &str, action: &'static str, at: Timestamp) -> Result<()> {
    let said = Audited { actor: by, key_id: "", action, object: &key.key_id, status: 200, request_id: "" };
    write_audit(tx, &key.workspace, at, &said).await
}

fn api_key(row: &Row) -> Result<ApiKey> {
    let permissions: String = row.try_get("permissions")?;
    Ok(ApiKey {
        key_id: row.try_get("key_id")?,
        workspace: word(row, TABLE, "workspace")?,
        kind: listed(row, TABLE, "kind", KeyKind::from_word)?,
        name: row.try_get("name")?,
        key_sha256: row.try_get("key_sha256")?,
        permissions: permissions.parse().map_err(|_| unreadable(TABLE, "permissions", permissions))?,
        tier: listed(row, TABLE, "tier", KeyTier::from_word)?,
        created_at: instant(row, TABLE, "created_at")?,
        created_by: row.try_get("created_by")?,
        expires_at: known_instant(row, TABLE, "expires_at")?,
        revoked_at: known_instant(row, TABLE, "revoked_at")?,
        revoked_by: row.try_get("revoked_by")?,
        replaces: row.try_get("replaces")?,
    })
}
