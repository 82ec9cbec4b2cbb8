//! Messages for programs: the event's payload as it is, or several in an envelope.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{DigestPeriod, Message, NotifyError};

/// The schema of a message that tells of several events.
pub const GROUP_SCHEMA: &str = "amzctl.alert-group/1";

/// The order of the fields is the order in the body.
#[derive(Serialize)]
struct Envelope<'a> {
    schema: &'static str,
    message_id: &'a str,
    digest: Option<DigestBody>,
    events: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
struct DigestBody {
    period: &'static str,
    first: crate::model::Day,
    last: crate::model::Day,
}

/// The bytes that are sent: the same at every attempt.
///
/// Errors: a payload that is no JSON.
pub(super) fn body_of(message: &Message) -> Result<String, NotifyError> {
    if let ([only], None) = (message.events.as_slice(), message.digest) {
        return Ok(only.payload.clone());
    }
    let no_json = |_| NotifyError::refused("an event's payload is not JSON");
    let raw = |event: &super::Event| RawValue::from_string(event.payload.clone()).map_err(no_json);
    let digest = message.digest.map(|digest| DigestBody {
        period: match digest.period {
            DigestPeriod::Daily => "daily",
            DigestPeriod::Weekly => "weekly",
        },
        first: digest.first,
        last: digest.last,
    });
    let envelope = Envelope {
        schema: GROUP_SCHEMA,
        message_id: &message.message_id,
        digest,
        events: message.events.iter().map(raw).collect::<Result<_, _>>()?,
    };
    serde_json::to_string(&envelope).map_err(no_json)
}
