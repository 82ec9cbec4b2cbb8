//! Messages that tell of nothing that happened: to try a channel, and to see whether its templates hold.

use serde_json::{Value, json};

use super::{Digest, DigestPeriod, EVENT_SCHEMA, Event, Message};
use crate::model::{Day, Language};

/// The test message of `alert test-channel`, which says that it is one. `id` is new for every message.
pub fn test_message(id: &str, workspace: &str, day: Day, language: Language) -> Message {
    let message = match language {
        Language::English => "This is a test message of amzctl. Nothing has happened; the channel works.",
        Language::TraditionalChinese => "這是 amzctl 的測試訊息。沒有發生任何事；此通道運作正常。",
    };
    let payload = json!({
        "schema": EVENT_SCHEMA,
        "event_id": id,
        "event_type": "channel.test",
        "alert_id": null,
        "workspace": workspace,
        "rule": null,
        "severity": "low",
        "previous_severity": null,
        "marketplace": null,
        "asin": null,
        "day": day,
        "object": null,
        "message": message,
        "evidence": {},
    });
    Message::of_one(event(id, payload), false, language)
}

/// One message of each kind that a template has to render: an alert, one about a source, a group, a digest, a
/// test.
pub fn sample_messages(language: Language) -> Vec<Message> {
    let day = "2026-02-28".parse().unwrap_or_else(|_| Day::from_no(0));
    let alert = event("sample-1", sample_alert(1, "price_drop", "high", Some("B0FDKB341G"), day));
    let source = event("sample-2", sample_alert(2, "source_incident", "critical", None, day));
    let events = vec![alert.clone(), source.clone()];
    let of = |message_id: &str, events: Vec<Event>, digest| Message {
        message_id: message_id.to_owned(),
        events,
        digest,
        maybe_sent: false,
        language,
    };
    let digest = Digest { period: DigestPeriod::Weekly, first: day.plus(-6), last: day };
    vec![
        Message::of_one(alert, true, language),
        Message::of_one(source, false, language),
        of("sample-group", events.clone(), None),
        of("sample-digest", events, Some(digest)),
        test_message("sample-test", "main", day, language),
    ]
}

fn event(id: &str, payload: Value) -> Event {
    Event { event_id: id.to_owned(), payload: payload.to_string() }
}

fn sample_alert(number: u32, rule: &str, severity: &str, asin: Option<&str>, day: Day) -> Value {
    let (message, evidence) = match asin {
        Some(_) => (
            "price fell 40.0 % from 24.99 to 14.99 USD (2026-02-27 → 2026-02-28)",
            json!({
                "above": 30,
                "price_minor": 1499,
                "price": { "amount": "14.99", "currency": "USD" },
                "price_basis": "buy_box",
                "price_prev_minor": 2499,
                "price_prev": { "amount": "24.99", "currency": "USD" },
                "price_prev_day": "2026-02-27",
                "price_pct": -40.016,
            }),
        ),
        None => (
            "source keepa: 40 % of the records have no price (drift)",
            json!({ "source": "keepa", "kind": "drift", "detail": "40 % of the records have no price" }),
        ),
    };
    json!({
        "schema": EVENT_SCHEMA,
        "event_id": format!("sample-{number}"),
        "event_type": "alert.opened",
        "alert_id": format!("{number:064x}"),
        "workspace": "main",
        "rule": rule,
        "severity": severity,
        "previous_severity": null,
        "marketplace": asin.map(|_| "US"),
        "asin": asin,
        "day": day,
        "object": null,
        "message": message,
        "evidence": evidence,
        "title": asin.map(|_| "Wireless Earbuds, Bluetooth 5.4 Headphones with 4 Microphones, 48 Hours of Playtime"),
    })
}
