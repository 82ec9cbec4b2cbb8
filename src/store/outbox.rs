//! The outbox: events to be told, and one delivery per event, channel and recipient.
//!
//! A delivery goes pending → claimed → delivered; a failed attempt leads back to pending with a later time, the last one to
//! dead. A claim of somebody who is gone is due again: its event may have been sent. On a server that is whose lease is
//! over; embedded, one delivers at a time, so it is everybody else.

use super::alerts::{NewEvent, Recipient};
use super::columns::{instant, known_instant, to_json};
use super::db::{bulk, query, query_of, query_scalar};
use super::leases::{Shared, end_others};
use super::{Result, Store, Tx};
use crate::model::{Timestamp, Workspace};

/// A claimed delivery.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimedEvent {
    pub event_id: String,
    /// JSON, the same bytes at every attempt.
    pub payload: String,
    /// Attempts that ended, all of them failed.
    pub attempts: u32,
    /// An earlier attempt may have reached the recipient: it failed, or its process died.
    pub maybe_sent: bool,
}

/// What comes after a failed attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AfterFailure {
    RetryAt(Timestamp),
    Dead,
}

/// How one event fared with one recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliveryRecord {
    pub event_id: String,
    pub event_type: String,
    pub channel: String,
    pub recipient: String,
    pub state: String,
    pub attempts: u32,
    pub next_attempt_at: Timestamp,
    pub last_error: String,
    pub delivered_at: Option<Timestamp>,
}

impl Store {
    /// Gives claims back that were not sent; as far as others know they may have been.
    pub async fn give_deliveries_back(
        &self,
        workspace: &Workspace,
        to: &Recipient,
        claimant: &str,
    ) -> Result<()> {
        let mut tx = self.begin_briefly().await?;
        query(
            "UPDATE deliveries SET claimed_by = ''
             WHERE state = 'claimed' AND channel = $1 AND recipient = $2 AND claimed_by = $3
               AND event_id IN (SELECT event_id FROM outbox_events WHERE workspace = $4)",
        )
        .bind(&to.channel)
        .bind(&to.recipient)
        .bind(claimant)
        .bind(workspace.as_str())
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Claims up to `limit` deliveries of a workspace's events that are due, as they are told: by day, then the gravest, then longest due.
    pub async fn claim_deliveries(
        &self,
        workspace: &Workspace,
        to: &Recipient,
        now: Timestamp,
        claimant: &str,
        limit: u32,
    ) -> Result<Vec<ClaimedEvent>> {
        let mut tx = self.begin_briefly().await?;
        let others_are_gone = match &tx {
            Tx::Sqlite(_) => "",
            Tx::Postgres { .. } => {
                end_others(&mut tx, Shared::Deliver, claimant, &[]).await?;
                " AND NOT EXISTS (SELECT 1 FROM run_leases l WHERE l.pipeline = d.claimed_by)"
            }
        };
        let rows = query_of(format!(
            "SELECT d.event_id, d.attempts, d.state, e.payload
             FROM deliveries d JOIN outbox_events e ON e.event_id = d.event_id
               LEFT JOIN alerts a ON a.alert_id = e.alert_id
             WHERE d.channel = $1 AND d.recipient = $2 AND e.workspace = $6
               AND ((d.state = 'pending' AND d.next_attempt_at <= $3)
                 OR (d.state = 'claimed' AND d.claimed_by <> $5{others_are_gone}))
             ORDER BY a.day NULLS FIRST,
               CASE a.severity WHEN 'critical' THEN 0 WHEN 'high' THEN 1 WHEN 'medium' THEN 2 ELSE 3 END,
               d.next_attempt_at, d.event_id LIMIT $4"
        ))
        .bind(&to.channel)
        .bind(&to.recipient)
        .bind(now.timestamp_micros())
        .bind(limit)
        .bind(claimant)
        .bind(workspace.as_str())
        .fetch_all(&mut tx)
        .await?;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in &rows {
            let attempts: u32 = row.try_get("attempts")?;
            let state: &str = row.try_get("state")?;
            claimed.push(ClaimedEvent {
                event_id: row.try_get("event_id")?,
                payload: row.try_get("payload")?,
                attempts,
                maybe_sent: attempts > 0 || state == "claimed",
            });
        }
        let ids: Vec<&str> = claimed.iter().map(|event| event.event_id.as_str()).collect();
        query(
            "UPDATE deliveries SET state = 'claimed', claimed_by = $3
             WHERE channel = $1 AND recipient = $2
               AND event_id IN (SELECT event_id FROM outbox_events
                                WHERE workspace = $5 AND event_id IN (SELECT value FROM json_each($4)))",
        )
        .bind(&to.channel)
        .bind(&to.recipient)
        .bind(claimant)
        .bind(to_json(&ids))
        .bind(workspace.as_str())
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(claimed)
    }

    /// Records that claimed events reached their recipient.
    pub async fn mark_delivered(
        &self,
        workspace: &Workspace,
        to: &Recipient,
        claimant: &str,
        event_ids: &[String],
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.begin_briefly().await?;
        query(
            "UPDATE deliveries SET state = 'delivered', attempts = attempts + 1, claimed_by = '',
               last_error = '', delivered_at = $3
             WHERE channel = $1 AND recipient = $2 AND state = 'claimed' AND claimed_by = $6
               AND event_id IN (SELECT event_id FROM outbox_events
                                WHERE workspace = $5 AND event_id IN (SELECT value FROM json_each($4)))",
        )
        .bind(&to.channel)
        .bind(&to.recipient)
        .bind(now.timestamp_micros())
        .bind(to_json(event_ids))
        .bind(workspace.as_str())
        .bind(claimant)
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Records a failed attempt of claimed events, and what comes after it.
    pub async fn mark_failed(
        &self,
        workspace: &Workspace,
        to: &Recipient,
        claimant: &str,
        events: &[(String, AfterFailure)],
        error: &str,
    ) -> Result<()> {
        let mut tx = self.begin_briefly().await?;
        for (event_id, after) in events {
            let (state, next_attempt_at) = match after {
                AfterFailure::RetryAt(at) => ("pending", Some(at.timestamp_micros())),
                AfterFailure::Dead => ("dead", None),
            };
            query(
                "UPDATE deliveries SET state = $4, attempts = attempts + 1, claimed_by = '', last_error = $5,
                   next_attempt_at = COALESCE($6, next_attempt_at)
                 WHERE channel = $1 AND recipient = $2 AND event_id = $3 AND state = 'claimed' AND claimed_by = $8
                   AND EXISTS (SELECT 1 FROM outbox_events WHERE event_id = $3 AND workspace = $7)",
            )
            .bind(&to.channel)
            .bind(&to.recipient)
            .bind(event_id)
            .bind(state)
            .bind(error)
            .bind(next_attempt_at)
            .bind(workspace.as_str())
            .bind(claimant)
            .execute(&mut tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// How many deliveries of a workspace are pending or claimed, due or not, of all channels.
    pub async fn count_undelivered(&self, workspace: &Workspace) -> Result<u64> {
        let count: i64 = query_scalar(
            "SELECT COUNT(*) FROM deliveries d JOIN outbox_events e ON e.event_id = d.event_id
             WHERE e.workspace = $1 AND d.state IN ('pending', 'claimed')",
        )
        .bind(workspace.as_str())
        .fetch_one(self.reader())
        .await?;
        Ok(count.unsigned_abs())
    }

    /// Every delivery of an alert's events, oldest event first.
    pub async fn load_deliveries(
        &self,
        workspace: &Workspace,
        alert_id: &str,
    ) -> Result<Vec<DeliveryRecord>> {
        let rows = query(
            "SELECT e.event_id, e.event_type, d.channel, d.recipient, d.state, d.attempts, d.next_attempt_at,
                    d.last_error, d.delivered_at
             FROM outbox_events e JOIN deliveries d ON d.event_id = e.event_id
             WHERE e.workspace = $1 AND e.alert_id = $2 ORDER BY e.created_at, e.event_id, d.channel, d.recipient",
        )
        .bind(workspace.as_str())
        .bind(alert_id)
        .fetch_all(self.reader())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(DeliveryRecord {
                    event_id: row.try_get("event_id")?,
                    event_type: row.try_get("event_type")?,
                    channel: row.try_get("channel")?,
                    recipient: row.try_get("recipient")?,
                    state: row.try_get("state")?,
                    attempts: row.try_get("attempts")?,
                    next_attempt_at: instant(row, "deliveries", "next_attempt_at")?,
                    last_error: row.try_get("last_error")?,
                    delivered_at: known_instant(row, "deliveries", "delivered_at")?,
                })
            })
            .collect()
    }
}

/// Writes events and a pending delivery of each to every recipient.
pub(super) async fn insert_events(
    tx: &mut Tx,
    workspace: &Workspace,
    now: Timestamp,
    events: &[NewEvent],
    recipients: &[Recipient],
) -> Result<()> {
    let created_at = now.timestamp_micros();
    bulk::insert(
        tx,
        "outbox_events (event_id, workspace, event_type, alert_id, payload, created_at)",
        " ON CONFLICT (event_id) DO NOTHING",
        events,
        |values, event| {
            values
                .push_bind(event.event_id.as_str())
                .push_bind(workspace.as_str().to_owned())
                .push_bind(event.event_type)
                .push_bind(event.alert_id.as_str())
                .push_bind(event.payload.as_str())
                .push_bind(created_at);
        },
    )
    .await?;
    // Due at once, and a microsecond apart, so that claims by time keep the order of the events.
    let deliveries: Vec<(&NewEvent, &Recipient, i64)> = events
        .iter()
        .rev()
        .zip(0..)
        .flat_map(|(event, later)| recipients.iter().map(move |to| (event, to, created_at - later)))
        .collect();
    bulk::insert(
        tx,
        "deliveries (event_id, channel, recipient, state, next_attempt_at)",
        " ON CONFLICT (event_id, channel, recipient) DO NOTHING",
        &deliveries,
        |values, (event, to, due_at)| {
            values
                .push_bind(event.event_id.as_str())
                .push_bind(to.channel.as_str())
                .push_bind(to.recipient.as_str())
                .push_bind("pending")
                .push_bind(*due_at);
        },
    )
    .await?;
    Ok(())
}
