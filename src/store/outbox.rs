//! The outbox: events to be told, and one delivery per event, channel and recipient.
//!
//! A delivery goes pending → claimed → delivered; a failed attempt leads back to pending with a later time, the last one to
//! dead, from where people retry or drop it. What is claimed for the first time is put into messages (`compose`), and
//! stays in its message: every attempt tells the same events in the same order under the same id.
//!
//! | file | what it is |
//! | --- | --- |
//! | `audience` | who hears of which event |
//! | `told` | payloads of what the store itself changes: alerts resolved, incidents, runs, reports |
//! | `claim` | what is due goes to who delivers, in messages, and how it fared is recorded |
//! | `compose` | which events one message tells of |
//! | `live` | events in the order in which they came to be known |
//! | `dead` | letters that were given up, and what people did with them |

mod audience;
mod claim;
mod compose;
mod dead;
mod live;
mod told;

pub(super) use audience::gravity;
use audience::is_heard;
pub use audience::{About, Audience, Subscriber, Wants};
pub use claim::{AfterFailure, Claim, ClaimedEvent, ClaimedMessage, Fate, Grouping, Ripe, Settled};
pub use dead::{DeadLetter, LetterChange, LetterFate, LetterFilter, LetterKey};
pub use live::{LiveEvent, LiveNews};
pub(crate) use told::{gate_tripped, incident_opened, report_published, run_ended};

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::alerts::{NewEvent, Recipient};
use super::columns::{instant, known_instant, to_json};
use super::db::{bulk, query, query_scalar};
use super::{Result, Store, Tx};
use crate::model::{Timestamp, Workspace};

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
    /// How many deliveries of a workspace are pending or claimed, due or not, of all channels.
    pub async fn count_undelivered(&self, workspace: &Workspace) -> Result<u64> {
        let count: i64 = query_scalar(
            "SELECT (SELECT COUNT(*) FROM deliveries WHERE workspace = $1 AND state = 'pending')
                  + (SELECT COUNT(*) FROM deliveries WHERE workspace = $1 AND state = 'claimed')",
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

/// Titles of products, by marketplace and ASIN.
type Titles = HashMap<(String, String), String>;

/// The titles of the products that events are about, where they are known.
async fn load_titles(tx: &mut Tx, events: &[NewEvent]) -> Result<Titles> {
    let mut asins: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for about in events.iter().map(|event| &event.about).filter(|about| !about.asin.is_empty()) {
        asins.entry(&about.marketplace).or_default().insert(&about.asin);
    }
    let mut titles = Titles::new();
    for (marketplace, asins) in asins {
        let rows = query(
            "SELECT asin, title FROM products
             WHERE marketplace = $1 AND asin IN (SELECT value FROM json_each($2)) AND title IS NOT NULL",
        )
        .bind(marketplace)
        .bind(to_json(&asins))
        .fetch_all(&mut *tx)
        .await?;
        for row in rows {
            titles.insert((marketplace.to_owned(), row.try_get("asin")?), row.try_get("title")?);
        }
    }
    Ok(titles)
}

/// An event's payload, with the title of its product as the last field.
fn titled(event: &NewEvent, titles: &Titles) -> String {
    let about = &event.about;
    let title = titles.get(&(about.marketplace.clone(), about.asin.clone()));
    match (title, event.payload.strip_suffix('}')) {
        (Some(title), Some(fields)) => format!(r#"{fields},"title":{}}}"#, to_json(title)),
        _ => event.payload.clone(),
    }
}

/// Writes events, and a pending delivery of each to every subscriber who hears of it, in whatever transaction makes the news.
pub(super) async fn insert_events(
    tx: &mut Tx,
    workspace: &Workspace,
    now: Timestamp,
    events: &[NewEvent],
    subscribers: &[Subscriber],
) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let created_at = now.timestamp_micros();
    let titles = load_titles(tx, events).await?;
    let first = live::take_seqs(tx, workspace, events.len()).await?;
    let numbered: Vec<(&NewEvent, i64)> = events.iter().zip(first..).collect();
    bulk::insert(
        tx,
        "outbox_events (event_id, workspace, event_type, alert_id, payload, created_at, seq)",
        " ON CONFLICT (event_id) DO NOTHING",
        &numbered,
        |values, (event, seq)| {
            values
                .push_bind(event.event_id.as_str())
                .push_bind(workspace.as_str().to_owned())
                .push_bind(event.event_type)
                .push_bind(event.alert_id.as_str())
                .push_bind(titled(event, &titles))
                .push_bind(created_at)
                .push_bind(*seq);
        },
    )
    .await?;
    // Due at once, and a microsecond apart, so that claims by time keep the order of the events.
    let deliveries: Vec<(&NewEvent, &Recipient, i64)> = events
        .iter()
        .rev()
        .zip(0..)
        .flat_map(|(event, later)| {
            let hears = move |one: &&Subscriber| one.wants.hears(workspace, event.event_type, &event.about);
            subscribers.iter().filter(hears).map(move |one| (event, &one.to, created_at - later))
        })
        .collect();
    bulk::insert(
        tx,
        "deliveries (event_id, channel, recipient, state, next_attempt_at, workspace, day, gravity)",
        " ON CONFLICT (event_id, channel, recipient) DO NOTHING",
        &deliveries,
        |values, (event, to, due_at)| {
            values
                .push_bind(event.event_id.as_str())
                .push_bind(to.channel.as_str())
                .push_bind(to.recipient.as_str())
                .push_bind("pending")
                .push_bind(*due_at)
                .push_bind(workspace.as_str().to_owned())
                .push_bind(event.about.day.as_str())
                .push_bind(event.about.gravity());
        },
    )
    .await?;
    Ok(())
}

/// Those of the events that somebody hears of: what is no alert is told or forgotten.
pub(super) fn heard(
    workspace: &Workspace,
    events: Vec<NewEvent>,
    subscribers: &[Subscriber],
) -> Vec<NewEvent> {
    let is_heard = |event: &NewEvent| is_heard(workspace, event.event_type, &event.about, subscribers);
    events.into_iter().filter(is_heard).collect()
}

/// [`insert_events`] without those of which nobody hears: what is no alert is told or forgotten.
pub(super) async fn tell(
    tx: &mut Tx,
    audience: &Audience,
    now: Timestamp,
    events: Vec<NewEvent>,
) -> Result<()> {
    let events = heard(&audience.workspace, events, &audience.subscribers);
    insert_events(tx, &audience.workspace, now, &events, &audience.subscribers).await
}
