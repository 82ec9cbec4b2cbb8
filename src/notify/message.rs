//! What is sent: one message, which tells of one or several events.

use crate::model::{Day, Language};

/// One event in a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// The same at every attempt and in every message.
    pub event_id: String,
    /// One line of JSON, the same bytes at every attempt.
    pub payload: String,
}

/// One message on its way out. A retry is the same message: the same events in the same order under the same
/// id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// What a receiver that can deduplicates by: the event's id where there is only one.
    pub message_id: String,
    /// In the order in which they are told; at least one.
    pub events: Vec<Event>,
    /// The time it sums up, where it is a digest.
    pub digest: Option<Digest>,
    /// An earlier attempt may have reached the receiver.
    pub maybe_sent: bool,
    pub language: Language,
}

impl Message {
    /// A message of a single event.
    pub fn of_one(event: Event, maybe_sent: bool, language: Language) -> Message {
        Message {
            message_id: event.event_id.clone(),
            events: vec![event],
            digest: None,
            maybe_sent,
            language,
        }
    }
}

/// The days that a digest sums up, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Digest {
    pub period: DigestPeriod,
    pub first: Day,
    pub last: Day,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DigestPeriod {
    Daily,
    Weekly,
}
