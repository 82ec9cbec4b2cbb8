//! Store methods of writes by way of the API: each is done once for an idempotency key, and each is in the audit log, in
//! the transaction that does it.

use super::alerts::{StateChange, Transition, change_alert};
use super::columns::instant;
use super::db::{Row, query};
use super::outbox::{Subscriber, heard, insert_events};
use super::{Result, Store, Tx};
use crate::model::{Timestamp, Workspace};

/// How long an answer is kept for whoever repeats its request.
const KEPT: chrono::Duration = chrono::Duration::days(7);

/// Who wants something written.
#[derive(Clone, Copy, Debug)]
pub struct WriteRequest<'a> {
    pub workspace: &'a Workspace,
    /// '' where no key was asked for.
    pub key_id: &'a str,
    /// What the audit log calls them.
    pub actor: &'a str,
    pub request_id: &'a str,
    /// Null: the request is done as often as it comes.
    pub idempotency_key: Option<&'a str>,
    /// Of method, path and body: tells a repeated request from another.
    pub request_sha256: &'a str,
    /// `alert.acknowledge`
    pub action: &'static str,
    pub object: &'a str,
    pub now: Timestamp,
}

/// An answer as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptAnswer {
    pub status: u16,
    pub body: String,
}

/// What came of a write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Once {
    Done(KeptAnswer),
    /// It was done before; nothing was changed now.
    Repeated(KeptAnswer),
    /// The idempotency key belongs to another request.
    Another,
}

/// One line of the audit log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditRecord {
    pub audit_id: i64,
    pub at: Timestamp,
    pub actor: String,
    /// '' for the command line, and where no key was asked for.
    pub key_id: String,
    pub action: String,
    pub object: String,
    pub status: i64,
    pub request_id: String,
}

/// What the audit log is to say.
pub(super) struct Audited<'a> {
    pub(super) actor: &'a str,
    pub(super) key_id: &'a str,
    pub(super) action: &'a str,
    pub(super) object: &'a str,
    pub(super) status: u16,
    pub(super) request_id: &'a str,
}

impl Store {
    /// Moves one alert for a request. `answer` says what is told of it, which is kept with the change.
    pub async fn change_alert_once(
        &self,
        request: &WriteRequest<'_>,
        transition: Transition<'_>,
        subscribers: &[Subscriber],
        answer: impl FnOnce(StateChange) -> KeptAnswer + Send,
    ) -> Result<Once> {
        let WriteRequest { workspace, now, .. } = *request;
        let mut tx = self.begin().await?;
        match kept_answer(&mut tx, request).await? {
            Some((sha256, kept)) if sha256 == request.request_sha256 => return Ok(Once::Repeated(kept)),
            Some(_) => return Ok(Once::Another),
            None => {}
        }
        let (change, event) = change_alert(&mut tx, workspace, request.object, transition, now).await?;
        let events = heard(workspace, event.into_iter().collect(), subscribers);
        insert_events(&mut tx, workspace, now, &events, subscribers).await?;
        let answer = answer(change);
        keep_answer(&mut tx, request, &answer).await?;
        let said = Audited {
            actor: request.actor,
            key_id: request.key_id,
            action: request.action,
            object: request.object,
            status: answer.status,
            request_id: request.request_id,
        };
        write_audit(&mut tx, workspace, now, &said).await?;
        tx.commit().await?;
        Ok(Once::Done(answer))
    }

    /// The newest lines of a workspace's audit log before `before`, newest first.
    pub async fn load_audit(
        &self,
        workspace: &Workspace,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditRecord>> {
        let rows = query(
            "SELECT * FROM api_audit WHERE workspace = $1 AND ($2 IS NULL OR audit_id < $2)
             ORDER BY audit_id DESC LIMIT $3",
        )
        .bind(workspace.as_str())
        .bind(before)
        .bind(i64::from(limit))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(audit_record).collect()
    }
}

/// The answer that was given under the request's idempotency key, with the hash of what was asked then.
async fn kept_answer(tx: &mut Tx, request: &WriteRequest<'_>) -> Result<Option<(String, KeptAnswer)>> {
    let Some(idempotency_key) = request.idempotency_key else { return Ok(None) };
    let row = query(
        "SELECT request_sha256, status, body FROM api_answers
         WHERE workspace = $1 AND key_id = $2 AND idempotency_key = $3 AND answered_at > $4",
    )
    .bind(request.workspace.as_str())
    .bind(request.key_id)
    .bind(idempotency_key)
    .bind((request.now - KEPT).timestamp_micros())
    .fetch_optional(tx)
    .await?;
    row.map(|row| {
        let status: i64 = row.try_get("status")?;
        let kept = KeptAnswer { status: u16::try_from(status).unwrap_or(500), body: row.try_get("body")? };
        Ok((row.try_get("request_sha256")?, kept))
    })
    .transpose()
}

/// Keeps an answer under the request's idempotency key, and lets those go whose time is over.
async fn keep_answer(tx: &mut Tx, request: &WriteRequest<'_>, answer: &KeptAnswer) -> Result<()> {
    query("DELETE FROM api_answers WHERE workspace = $1 AND answered_at <= $2")
        .bind(request.workspace.as_str())
        .bind((request.now - KEPT).timestamp_micros())
        .execute(&mut *tx)
        .await?;
    let Some(idempotency_key) = request.idempotency_key else { return Ok(()) };
    query(
        "INSERT INTO api_answers (workspace, key_id, idempotency_key, request_sha256, status, body, answered_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(request.workspace.as_str())
    .bind(request.key_id)
    .bind(idempotency_key)
    .bind(request.request_sha256)
    .bind(i64::from(answer.status))
    .bind(&answer.body)
    .bind(request.now.timestamp_micros())
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn write_audit(
    tx: &mut Tx,
    workspace: &Workspace,
    at: Timestamp,
    said: &Audited<'_>,
) -> Result<()> {
    query(
        "INSERT INTO api_audit (workspace, at, actor, key_id, action, object, status, request_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(workspace.as_str())
    .bind(at.timestamp_micros())
    .bind(said.actor)
    .bind(said.key_id)
    .bind(said.action)
    .bind(said.object)
    .bind(i64::from(said.status))
    .bind(said.request_id)
    .execute(tx)
    .await?;
    Ok(())
}

fn audit_record(row: &Row) -> Result<AuditRecord> {
    Ok(AuditRecord {
        audit_id: row.try_get("audit_id")?,
        at: instant(row, "api_audit", "at")?,
        actor: row.try_get("actor")?,
        key_id: row.try_get("key_id")?,
        action: row.try_get("action")?,
        object: row.try_get("object")?,
        status: row.try_get("status")?,
        request_id: row.try_get("request_id")?,
    })
}
