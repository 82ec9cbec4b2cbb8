//! Store methods of sessions: who is logged in to the dashboard. Only hashes of what browsers show are here.

use super::columns::{instant, word};
use super::db::{Row, query};
use super::{Result, Store};
use crate::model::{Timestamp, Workspace};

/// Someone who is logged in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    pub session_sha256: String,
    pub workspace: Workspace,
    /// The key that it was opened with: it ends with that.
    pub key_id: String,
    pub created_at: Timestamp,
    pub seen_at: Timestamp,
    pub expires_at: Timestamp,
}

const TABLE: &str = "sessions";

impl Store {
    /// Keeps a new session, and lets those of the workspace go whose time is over.
    pub async fn open_session(&self, session: &Session) -> Result<()> {
        let mut tx = self.begin_briefly().await?;
        query("DELETE FROM sessions WHERE workspace = $1 AND expires_at <= $2")
            .bind(session.workspace.as_str())
            .bind(session.created_at.timestamp_micros())
            .execute(&mut tx)
            .await?;
        query(
            "INSERT INTO sessions (session_sha256, workspace, key_id, created_at, seen_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&session.session_sha256)
        .bind(session.workspace.as_str())
        .bind(&session.key_id)
        .bind(session.created_at.timestamp_micros())
        .bind(session.seen_at.timestamp_micros())
        .bind(session.expires_at.timestamp_micros())
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// The session of this hash, whosever it is: who shows it has yet to say who they are.
    pub async fn find_session(&self, session_sha256: &str) -> Result<Option<Session>> {
        let row = query("SELECT * FROM sessions WHERE workspace IS NOT NULL AND session_sha256 = $1")
            .bind(session_sha256)
            .fetch_optional(self.reader())
            .await?;
        row.as_ref().map(session).transpose()
    }

    /// Notes that a session is in use.
    pub async fn touch_session(
        &self,
        workspace: &Workspace,
        session_sha256: &str,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.begin_briefly().await?;
        query(
            "UPDATE sessions SET seen_at = $3 WHERE workspace = $1 AND session_sha256 = $2 AND seen_at < $3",
        )
        .bind(workspace.as_str())
        .bind(session_sha256)
        .bind(now.timestamp_micros())
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Ends a session.
    pub async fn close_session(&self, workspace: &Workspace, session_sha256: &str) -> Result<()> {
        let mut tx = self.begin_briefly().await?;
        query("DELETE FROM sessions WHERE workspace = $1 AND session_sha256 = $2")
            .bind(workspace.as_str())
            .bind(session_sha256)
            .execute(&mut tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

fn session(row: &Row) -> Result<Session> {
    Ok(Session {
        session_sha256: row.try_get("session_sha256")?,
        workspace: word(row, TABLE, "workspace")?,
        key_id: row.try_get("key_id")?,
        created_at: instant(row, TABLE, "created_at")?,
        seen_at: instant(row, TABLE, "seen_at")?,
        expires_at: instant(row, TABLE, "expires_at")?,
    })
}
