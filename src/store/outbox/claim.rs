//! Claims: what is due goes to who delivers it now, in messages; how each message fared is recorded.
//!
//! A claim of somebody who is gone is due again, and its message may have been sent. On a server that is whose lease is
//! over; embedded, one delivers at a time, so it is everybody else.

use super::audience::gravity;
use super::compose::{Due, compose};
use crate::model::{Timestamp, Workspace};
use crate::rollup::rules::Severity;
use crate::store::alerts::Recipient;
use crate::store::columns::{at, known_instant, to_json};
use crate::store::db::{Row, query, query_of, query_scalar, query_scalar_of};
use crate::store::leases::{Shared, end_others, now};
use crate::store::{Result, Store, Tx};

/// Which deliveries may be told now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ripe {
    /// Only what is as grave; null: everything.
    pub least: Option<Severity>,
    /// Only what happened before; null: everything. What was told once is tried again at any time.
    pub made_before: Option<Timestamp>,
}

/// How events that are told for the first time are put into messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grouping {
    /// Events of one message, at most.
    pub most: usize,
    /// What is as grave is never in one message with what is not: it may be told at other times. Null: nothing is told
    /// apart.
    pub apart: Option<Severity>,
    /// The messages are digests, due at that time.
    pub digest_at: Option<Timestamp>,
}

/// What somebody wants to send now.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    pub workspace: &'a Workspace,
    pub to: &'a Recipient,
    pub claimant: &'a str,
    pub now: Timestamp,
    pub ripe: Ripe,
    pub grouping: Grouping,
    /// Messages, at most.
    pub limit: usize,
}

/// A claimed message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimedMessage {
    /// The event's id where there is only one.
    pub message_id: String,
    /// In the order in which they are told, the same at every attempt.
    pub events: Vec<ClaimedEvent>,
    /// When it was due, where it is a digest.
    pub digest_at: Option<Timestamp>,
    /// Attempts that ended, all of them failed.
    pub attempts: u32,
    /// An earlier attempt may have reached the recipient: nobody knows what came of it, or its process died.
    pub maybe_sent: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimedEvent {
    pub event_id: String,
    /// JSON, the same bytes at every attempt.
    pub payload: String,
}

/// What comes after a failed attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AfterFailure {
    RetryAt(Timestamp),
    Dead,
}

/// How a message fared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settled {
    pub message_id: String,
    pub fate: Fate,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    Delivered,
    Failed { after: AfterFailure, error: String, maybe_sent: bool },
}

/// The columns of [`Due`], of deliveries `d` and events `e`.
macro_rules! due_columns {
    () => {
        "SELECT d.event_id, d.message_id, d.gravity, d.digest_at, d.attempts, d.maybe_sent, e.payload
         FROM deliveries d JOIN outbox_events e ON e.event_id = d.event_id AND e.workspace = d.workspace"
    };
}

/// Pending deliveries of the workspace `$1` to the recipient `$2`, `$3` that are due at `$4`, as grave as `$5`, and new ones
/// only if they happened before `$6`.
macro_rules! is_ripe {
    () => {
        " WHERE d.workspace = $1 AND d.channel = $2 AND d.recipient = $3 AND d.state = 'pending'
            AND d.next_attempt_at <= $4 AND d.gravity <= $5 AND (d.message_id <> '' OR e.created_at < $6)"
    };
}

impl Store {
    /// Whether a claim would give something, without writing.
    pub async fn has_due(&self, claim: &Claim<'_>) -> Result<bool> {
        let gone = match self.leases() {
            None => String::new(),
            Some(_) => format!(
                " AND NOT EXISTS (SELECT 1 FROM run_leases l
                   WHERE l.pipeline = d.claimed_by AND l.lease_until > {})",
                now!()
            ),
        };
        let has_due = query_scalar_of(format!(
            "SELECT EXISTS (SELECT 1 FROM deliveries d JOIN outbox_events e ON e.event_id = d.event_id{})
                 OR EXISTS (SELECT 1 FROM deliveries d WHERE d.workspace = $1 AND d.channel = $2
                     AND d.recipient = $3 AND d.state = 'claimed' AND d.claimed_by <> $7{gone})",
            is_ripe!()
        ))
        .bind(claim.workspace.as_str())
        .bind(&claim.to.channel)
        .bind(&claim.to.recipient)
        .bind(claim.now.timestamp_micros())
        .bind(claim.ripe.most_gravity())
        .bind(claim.ripe.made_before())
        .bind(claim.claimant)
        .fetch_one(self.reader())
        .await?;
        Ok(has_due)
    }

    /// When the next delivery to a recipient is due that is not due yet; null when none waits.
    pub async fn next_due(
        &self,
        workspace: &Workspace,
        to: &Recipient,
        now: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let micros: Option<i64> = query_scalar(
            "SELECT MIN(next_attempt_at) FROM deliveries
             WHERE workspace = $1 AND channel = $2 AND recipient = $3 AND state = 'pending' AND next_attempt_at > $4",
        )
        .bind(workspace.as_str())
        .bind(&to.channel)
        .bind(&to.recipient)
        .bind(now.timestamp_micros())
        .fetch_one(self.reader())
        .await?;
        micros.map(|micros| at(micros, "deliveries", "next_attempt_at")).transpose()
    }

    /// Claims messages that are due, as they are told: by day, then the gravest, then longest due. What is told for the first
    /// time is put into messages here, and which one it is in is written with the claim.
    pub async fn claim_messages(&self, claim: &Claim<'_>) -> Result<Vec<ClaimedMessage>> {
        let mut tx = self.begin_briefly().await?;
        take_over(&mut tx, claim).await?;
        let limit = i64::try_from(claim.limit.saturating_mul(claim.grouping.most)).unwrap_or(i64::MAX);
        let rows = query(concat!(
            due_columns!(),
            is_ripe!(),
            " ORDER BY d.day, d.gravity, d.next_attempt_at, d.event_id LIMIT $7"
        ))
        .bind(claim.workspace.as_str())
        .bind(&claim.to.channel)
        .bind(&claim.to.recipient)
        .bind(claim.now.timestamp_micros())
        .bind(claim.ripe.most_gravity())
        .bind(claim.ripe.made_before())
        .bind(limit)
        .fetch_all(&mut tx)
        .await?;
        let due = rows.iter().map(due).collect::<Result<Vec<Due>>>()?;
        let whole = rest_of(&mut tx, claim, &due).await?;
        let mut messages = compose(claim, due, whole);
        messages.truncate(claim.limit);
        mark_claimed(&mut tx, claim, &messages).await?;
        tx.commit().await?;
        Ok(messages.into_iter().map(|(_, message)| message).collect())
    }

    /// Records how claimed messages fared; what is another's by now is left alone.
    pub async fn settle_messages(
        &self,
        workspace: &Workspace,
        to: &Recipient,
        claimant: &str,
        settled: &[Settled],
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.begin_briefly().await?;
        let delivered: Vec<&str> = settled
            .iter()
            .filter(|one| one.fate == Fate::Delivered)
            .map(|one| one.message_id.as_str())
            .collect();
        if !delivered.is_empty() {
            query(
                "UPDATE deliveries SET state = 'delivered', attempts = attempts + 1, claimed_by = '',
                   last_error = '', delivered_at = $5
                 WHERE message_id IN (SELECT value FROM json_each($6)) AND workspace = $1 AND channel = $2
                   AND recipient = $3 AND state = 'claimed' AND claimed_by = $4",
            )
            .bind(workspace.as_str())
            .bind(&to.channel)
            .bind(&to.recipient)
            .bind(claimant)
            .bind(now.timestamp_micros())
            .bind(to_json(&delivered))
            .execute(&mut tx)
            .await?;
        }
        for one in settled {
            let Fate::Failed { after, error, maybe_sent } = &one.fate else { continue };
            let (state, next_attempt_at) = match after {
                AfterFailure::RetryAt(at) => ("pending", Some(at.timestamp_micros())),
                AfterFailure::Dead => ("dead", None),
            };
            query(
                "UPDATE deliveries SET state = $6, attempts = attempts + 1, claimed_by = '', last_error = $7,
                   next_attempt_at = COALESCE($8, next_attempt_at), failed_at = $9,
                   maybe_sent = CASE WHEN $10 = 1 THEN 1 ELSE maybe_sent END
                 WHERE message_id = $5 AND workspace = $1 AND channel = $2 AND recipient = $3
                   AND state = 'claimed' AND claimed_by = $4",
            )
            .bind(workspace.as_str())
            .bind(&to.channel)
            .bind(&to.recipient)
            .bind(claimant)
            .bind(&one.message_id)
            .bind(state)
            .bind(error)
            .bind(next_attempt_at)
            .bind(now.timestamp_micros())
            .bind(*maybe_sent)
            .execute(&mut tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Gives claims back that were not sent.
    pub async fn give_messages_back(
        &self,
        workspace: &Workspace,
        to: &Recipient,
        claimant: &str,
        message_ids: &[String],
    ) -> Result<()> {
        let mut tx = self.begin_briefly().await?;
        query(
            "UPDATE deliveries SET state = 'pending', claimed_by = ''
             WHERE message_id IN (SELECT value FROM json_each($5)) AND workspace = $1 AND channel = $2
               AND recipient = $3 AND state = 'claimed' AND claimed_by = $4",
        )
        .bind(workspace.as_str())
        .bind(&to.channel)
        .bind(&to.recipient)
        .bind(claimant)
        .bind(to_json(message_ids))
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}

impl Ripe {
    fn most_gravity(self) -> i64 {
        self.least.map_or(i64::MAX, |least| gravity(Some(least)))
    }

    fn made_before(self) -> i64 {
        self.made_before.map_or(i64::MAX, |at| at.timestamp_micros())
    }
}

/// Makes what others had claimed who are gone pending again.
async fn take_over(tx: &mut Tx, claim: &Claim<'_>) -> Result<()> {
    let are_gone = match tx {
        Tx::Sqlite(_) => "",
        Tx::Postgres { .. } => {
            end_others(tx, Shared::Deliver, claim.claimant, &[]).await?;
            " AND NOT EXISTS (SELECT 1 FROM run_leases l WHERE l.pipeline = deliveries.claimed_by)"
        }
    };
    query_of(format!(
        "UPDATE deliveries SET state = 'pending', claimed_by = '', maybe_sent = 1
         WHERE workspace = $1 AND channel = $2 AND recipient = $3 AND state = 'claimed' AND claimed_by <> $4{are_gone}"
    ))
    .bind(claim.workspace.as_str())
    .bind(&claim.to.channel)
    .bind(&claim.to.recipient)
    .bind(claim.claimant)
    .execute(tx)
    .await?;
    Ok(())
}

fn due(row: &Row) -> Result<Due> {
    Ok(Due {
        event: ClaimedEvent { event_id: row.try_get("event_id")?, payload: row.try_get("payload")? },
        message_id: row.try_get("message_id")?,
        gravity: row.try_get("gravity")?,
        digest_at: known_instant(row, "deliveries", "digest_at")?,
        attempts: row.try_get("attempts")?,
        maybe_sent: row.try_get("maybe_sent")?,
    })
}

/// All of the messages that more than one event is in, of which some are due: a claim's limit may cut one, a message is whole.
async fn rest_of(tx: &mut Tx, claim: &Claim<'_>, some: &[Due]) -> Result<Vec<Due>> {
    let mut ids: Vec<&str> = some
        .iter()
        .filter(|due| !due.message_id.is_empty() && due.message_id != due.event.event_id)
        .map(|due| due.message_id.as_str())
        .collect();
    ids.dedup();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = query(concat!(
        due_columns!(),
        " WHERE d.message_id IN (SELECT value FROM json_each($4)) AND d.workspace = $1 AND d.channel = $2
            AND d.recipient = $3 AND d.state = 'pending'
          ORDER BY d.message_id, d.place"
    ))
    .bind(claim.workspace.as_str())
    .bind(&claim.to.channel)
    .bind(&claim.to.recipient)
    .bind(to_json(&ids))
    .fetch_all(tx)
    .await?;
    rows.iter().map(due).collect()
}

async fn mark_claimed(tx: &mut Tx, claim: &Claim<'_>, messages: &[(bool, ClaimedMessage)]) -> Result<()> {
    let known: Vec<&str> =
        messages.iter().filter(|(is_new, _)| !is_new).map(|(_, known)| known.message_id.as_str()).collect();
    if !known.is_empty() {
        query(
            "UPDATE deliveries SET state = 'claimed', claimed_by = $4
             WHERE message_id IN (SELECT value FROM json_each($5)) AND workspace = $1 AND channel = $2
               AND recipient = $3 AND state = 'pending'",
        )
        .bind(claim.workspace.as_str())
        .bind(&claim.to.channel)
        .bind(&claim.to.recipient)
        .bind(claim.claimant)
        .bind(to_json(&known))
        .execute(tx)
        .await?;
    }
    let is_single = |message: &ClaimedMessage| {
        message.digest_at.is_none()
            && message.events.first().is_some_and(|one| one.event_id == message.message_id)
    };
    let (single, several): (Vec<&ClaimedMessage>, Vec<&ClaimedMessage>) =
        messages.iter().filter(|(is_new, _)| *is_new).map(|(_, new)| new).partition(|new| is_single(new));
    let single: Vec<&str> = single.iter().map(|message| message.message_id.as_str()).collect();
    if !single.is_empty() {
        query(
            "UPDATE deliveries SET state = 'claimed', claimed_by = $4, message_id = event_id, place = 0
             WHERE workspace = $1 AND channel = $2 AND recipient = $3
               AND event_id IN (SELECT value FROM json_each($5))",
        )
        .bind(claim.workspace.as_str())
        .bind(&claim.to.channel)
        .bind(&claim.to.recipient)
        .bind(claim.claimant)
        .bind(to_json(&single))
        .execute(tx)
        .await?;
    }
    for message in several {
        let ids: Vec<&str> = message.events.iter().map(|event| event.event_id.as_str()).collect();
        query(
            "UPDATE deliveries SET state = 'claimed', claimed_by = $4, message_id = $6, digest_at = $7,
               place = (SELECT CAST(key AS BIGINT) FROM json_each($5) WHERE value = deliveries.event_id)
             WHERE workspace = $1 AND channel = $2 AND recipient = $3
               AND event_id IN (SELECT value FROM json_each($5))",
        )
        .bind(claim.workspace.as_str())
        .bind(&claim.to.channel)
        .bind(&claim.to.recipient)
        .bind(claim.claimant)
        .bind(to_json(&ids))
        .bind(&message.message_id)
        .bind(message.digest_at.map(|at| at.timestamp_micros()))
        .execute(tx)
        .await?;
    }
    Ok(())
}
