//! Events in the order in which they came to be known, for whoever listens and for whoever missed some.

use crate::model::{Workspace, words};
use crate::store::db::{query, query_scalar};
use crate::store::{Result, Store, Tx};

/// What is told of an alert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LiveNews {
    Opened,
    Escalated,
    Resolved,
}

words!(LiveNews { Opened = "alert.opened", Escalated = "alert.escalated", Resolved = "alert.resolved" });

/// An event of an alert, as it is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LiveEvent {
    /// Its number in its workspace.
    pub seq: i64,
    pub event_id: String,
    pub event_type: String,
    /// JSON.
    pub payload: String,
}

impl Store {
    /// The number of a workspace's newest event; 0 before the first.
    pub async fn last_event_seq(&self, workspace: &Workspace) -> Result<i64> {
        let last: Option<i64> = query_scalar("SELECT last_seq FROM event_counters WHERE workspace = $1")
            .bind(workspace.as_str())
            .fetch_optional(self.reader())
            .await?;
        Ok(last.unwrap_or(0))
    }

    /// The number of one of a workspace's events; null where there is no such event, or no more.
    pub async fn find_event_seq(&self, workspace: &Workspace, event_id: &str) -> Result<Option<i64>> {
        let seq = query_scalar("SELECT seq FROM outbox_events WHERE workspace = $1 AND event_id = $2")
            .bind(workspace.as_str())
            .bind(event_id)
            .fetch_optional(self.reader())
            .await?;
        Ok(seq)
    }

    /// A workspace's next events of alerts behind a number, in their order.
    pub async fn load_events_after(
        &self,
        workspace: &Workspace,
        seq: i64,
        limit: u32,
    ) -> Result<Vec<LiveEvent>> {
        let rows = query(
            "SELECT seq, event_id, event_type, payload FROM outbox_events
             WHERE workspace = $1 AND seq > $2 AND alert_id <> '' ORDER BY seq LIMIT $3",
        )
        .bind(workspace.as_str())
        .bind(seq)
        .bind(i64::from(limit))
        .fetch_all(self.reader())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(LiveEvent {
                    seq: row.try_get("seq")?,
                    event_id: row.try_get("event_id")?,
                    event_type: row.try_get("event_type")?,
                    payload: row.try_get("payload")?,
                })
            })
            .collect()
    }
}

/// Takes the next `count` numbers of a workspace; answers the first. Others who want some wait until the transaction ends, so
/// that numbers are seen in their order.
pub(super) async fn take_seqs(tx: &mut Tx, workspace: &Workspace, count: usize) -> Result<i64> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let last: i64 = query_scalar(
        "INSERT INTO event_counters (workspace, last_seq) VALUES ($1, $2)
         ON CONFLICT (workspace) DO UPDATE SET last_seq = event_counters.last_seq + $2 RETURNING last_seq",
    )
    .bind(workspace.as_str())
    .bind(count)
    .fetch_one(tx)
    .await?;
    Ok(last - count + 1)
}
