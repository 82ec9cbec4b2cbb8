//! Dead letters: messages that were given up. Nothing of them is lost; people have them tried again, or let them go.

use std::collections::BTreeMap;

use super::claim::ClaimedEvent;
use crate::model::{Timestamp, Workspace};
use crate::store::alerts::Recipient;
use crate::store::columns::{instant, known_instant, to_json};
use crate::store::db::{Row, query, query_scalar};
use crate::store::{Result, Store};

/// A message that was given up, by one recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    pub key: LetterKey,
    /// `dead`, or `dropped`.
    pub state: String,
    /// How many events it tells of.
    pub events: u32,
    /// Of the first one.
    pub event_type: String,
    /// Of the first one: JSON.
    pub payload: String,
    pub attempts: u32,
    pub maybe_sent: bool,
    /// Null where an older amzctl gave it up.
    pub failed_at: Option<Timestamp>,
    pub last_error: String,
}

/// Names a letter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LetterKey {
    pub message_id: String,
    pub to: Recipient,
}

/// Which letters; what is not said is any.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LetterFilter {
    pub states: Vec<&'static str>,
    pub channel: Option<String>,
    pub recipient: Option<String>,
    pub event_type: Option<String>,
    /// Given up at that time or later.
    pub since: Option<Timestamp>,
    /// The beginning of the message's id.
    pub id_prefix: Option<String>,
}

/// What becomes of a letter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LetterFate {
    /// It is due at once, with all its attempts before it.
    Retry,
    /// It is kept, and nobody is asked about it any more.
    Drop,
}

impl LetterFate {
    fn states(self) -> (&'static str, &'static [&'static str]) {
        match self {
            LetterFate::Retry => ("pending", &["dead", "dropped"]),
            LetterFate::Drop => ("dropped", &["dead"]),
        }
    }
}

/// One change of a letter by somebody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LetterChange {
    pub from_state: String,
    pub to_state: String,
    pub actor: String,
    pub note: String,
    pub changed_at: Timestamp,
}

/// What letters `d` with their first events `e` are asked by: the workspace `$1`, states `$2`, channel `$3`, recipient `$4`,
/// type `$5`, time `$6`, the id's beginning `$7`.
macro_rules! matching {
    () => {
        " FROM deliveries d JOIN outbox_events e ON e.event_id = d.event_id
          WHERE d.workspace = $1 AND d.state IN (SELECT value FROM json_each($2)) AND d.place = 0
            AND ($3 IS NULL OR d.channel = $3) AND ($4 IS NULL OR d.recipient = $4)
            AND ($5 IS NULL OR e.event_type = $5) AND ($6 IS NULL OR d.failed_at >= $6)
            AND substr(d.message_id, 1, length($7)) = $7"
    };
}

/// Of a workspace's letters those that somebody chose: of channel `$2` and recipient `$3`, by their ids `$4` and states `$5`.
macro_rules! chosen {
    () => {
        " AND message_id IN (SELECT value FROM json_each($4)) AND channel = $2 AND recipient = $3
          AND state IN (SELECT value FROM json_each($5))"
    };
}

impl Store {
    /// Letters that pass the filter, the last given up first.
    pub async fn load_letters(
        &self,
        workspace: &Workspace,
        filter: &LetterFilter,
        limit: u32,
    ) -> Result<Vec<DeadLetter>> {
        let rows = query(concat!(
            "SELECT d.message_id, d.channel, d.recipient, d.state, d.attempts, d.maybe_sent, d.failed_at, d.last_error,
               e.event_type, e.payload,
               (SELECT COUNT(*) FROM deliveries o WHERE o.message_id = d.message_id AND o.channel = d.channel
                  AND o.recipient = d.recipient AND o.workspace = $1) AS events",
            matching!(),
            " ORDER BY COALESCE(d.failed_at, 0) DESC, d.message_id, d.channel, d.recipient LIMIT $8"
        ))
        .bind(workspace.as_str())
        .bind(to_json(&filter.states))
        .bind(&filter.channel)
        .bind(&filter.recipient)
        .bind(&filter.event_type)
        .bind(filter.since.map(|at| at.timestamp_micros()))
        .bind(filter.id_prefix.as_deref().unwrap_or_default())
        .bind(limit)
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(letter).collect()
    }

    pub async fn count_letters(&self, workspace: &Workspace, filter: &LetterFilter) -> Result<u64> {
        let row = query(concat!("SELECT COUNT(*)", matching!()))
            .bind(workspace.as_str())
            .bind(to_json(&filter.states))
            .bind(&filter.channel)
            .bind(&filter.recipient)
            .bind(&filter.event_type)
            .bind(filter.since.map(|at| at.timestamp_micros()))
            .bind(filter.id_prefix.as_deref().unwrap_or_default())
            .fetch_one(self.reader())
            .await?;
        let count: i64 = row.try_get(0)?;
        Ok(count.unsigned_abs())
    }

    /// What a letter tells of, in its order, and what people did with it, oldest first.
    pub async fn load_letter(
        &self,
        workspace: &Workspace,
        key: &LetterKey,
    ) -> Result<(Vec<ClaimedEvent>, Vec<LetterChange>)> {
        let events = query(
            "SELECT e.event_id, e.payload FROM deliveries d JOIN outbox_events e ON e.event_id = d.event_id
             WHERE d.message_id = $4 AND d.workspace = $1 AND d.channel = $2 AND d.recipient = $3
             ORDER BY d.place",
        )
        .bind(workspace.as_str())
        .bind(&key.to.channel)
        .bind(&key.to.recipient)
        .bind(&key.message_id)
        .fetch_all(self.reader())
        .await?;
        let changes = query(
            "SELECT c.from_state, c.to_state, c.actor, c.note, c.changed_at
             FROM deliveries d JOIN delivery_changes c
               ON c.event_id = d.event_id AND c.channel = d.channel AND c.recipient = d.recipient
             WHERE d.message_id = $4 AND d.workspace = $1 AND d.channel = $2 AND d.recipient = $3 AND d.place = 0
             ORDER BY c.change_id",
        )
        .bind(workspace.as_str())
        .bind(&key.to.channel)
        .bind(&key.to.recipient)
        .bind(&key.message_id)
        .fetch_all(self.reader())
        .await?;
        let event = |row: &Row| {
            Ok(ClaimedEvent { event_id: row.try_get("event_id")?, payload: row.try_get("payload")? })
        };
        let change = |row: &Row| {
            Ok(LetterChange {
                from_state: row.try_get("from_state")?,
                to_state: row.try_get("to_state")?,
                actor: row.try_get("actor")?,
                note: row.try_get("note")?,
                changed_at: instant(row, "delivery_changes", "changed_at")?,
            })
        };
        Ok((
            events.iter().map(event).collect::<Result<_>>()?,
            changes.iter().map(change).collect::<Result<_>>()?,
        ))
    }

    /// Has letters tried again or lets them go, and records who did it and why, in one transaction; answers how many letters
    /// changed. One that is on its way by now is left alone.
    pub async fn change_letters(
        &self,
        workspace: &Workspace,
        letters: &[LetterKey],
        fate: LetterFate,
        actor: &str,
        note: &str,
        now: Timestamp,
    ) -> Result<u64> {
        let (to_state, from_states) = fate.states();
        let mut by_recipient: BTreeMap<&Recipient, Vec<&str>> = BTreeMap::new();
        for letter in letters {
            by_recipient.entry(&letter.to).or_default().push(&letter.message_id);
        }
        let mut tx = self.begin_briefly().await?;
        let mut changed = 0;
        for (to, ids) in by_recipient {
            let (ids, from_states) = (to_json(&ids), to_json(from_states));
            let found: i64 = query_scalar(concat!(
                "SELECT COUNT(DISTINCT message_id) FROM deliveries WHERE workspace = $1",
                chosen!()
            ))
            .bind(workspace.as_str())
            .bind(&to.channel)
            .bind(&to.recipient)
            .bind(&ids)
            .bind(&from_states)
            .fetch_one(&mut tx)
            .await?;
            changed += found.unsigned_abs();
            query(concat!(
                "INSERT INTO delivery_changes
                   (workspace, event_id, channel, recipient, from_state, to_state, actor, note, changed_at)
                 SELECT workspace, event_id, channel, recipient, state, $6, $7, $8, $9 FROM deliveries
                 WHERE workspace = $1",
                chosen!()
            ))
            .bind(workspace.as_str())
            .bind(&to.channel)
            .bind(&to.recipient)
            .bind(&ids)
            .bind(&from_states)
            .bind(to_state)
            .bind(actor)
            .bind(note)
            .bind(now.timestamp_micros())
            .execute(&mut tx)
            .await?;
            query(concat!(
                "UPDATE deliveries SET state = $6, attempts = CASE WHEN $6 = 'pending' THEN 0 ELSE attempts END,
                   next_attempt_at = CASE WHEN $6 = 'pending' THEN $7 ELSE next_attempt_at END
                 WHERE workspace = $1",
                chosen!()
            ))
            .bind(workspace.as_str())
            .bind(&to.channel)
            .bind(&to.recipient)
            .bind(&ids)
            .bind(&from_states)
            .bind(to_state)
            .bind(now.timestamp_micros())
            .execute(&mut tx)
            .await?;
        }
        tx.commit().await?;
        Ok(changed)
    }
}

fn letter(row: &Row) -> Result<DeadLetter> {
    Ok(DeadLetter {
        key: LetterKey {
            message_id: row.try_get("message_id")?,
            to: Recipient { channel: row.try_get("channel")?, recipient: row.try_get("recipient")? },
        },
        state: row.try_get("state")?,
        events: row.try_get("events")?,
        event_type: row.try_get("event_type")?,
        payload: row.try_get("payload")?,
        attempts: row.try_get("attempts")?,
        maybe_sent: row.try_get("maybe_sent")?,
        failed_at: known_instant(row, "deliveries", "failed_at")?,
        last_error: row.try_get("last_error")?,
    })
}
