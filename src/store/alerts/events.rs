//! What is told of an alert: one payload for every kind of news, built where the news is known for certain.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{NewAlert, NewEvent};
use crate::ids::stable_id;
use crate::model::{Day, Timestamp, Workspace};
use crate::notify::EVENT_SCHEMA;
use crate::rollup::rules::Severity;
use crate::store::outbox::About;

/// News of an alert.
#[derive(Clone, Copy, Debug)]
pub enum AlertNews<'a> {
    Opened,
    /// It has become more severe than this.
    Escalated {
        before: Severity,
    },
    /// Somebody resolved it, or its condition has cleared.
    Resolved {
        /// Null where it has cleared.
        actor: Option<&'a str>,
        note: &'a str,
        at: Timestamp,
        /// How often it has been resolved, this time included.
        times: i64,
    },
}

/// What receivers get: the order of the fields is the order in the payload. The product's title comes last, where it is
/// known when the event is written.
#[derive(Serialize)]
struct Payload<'a> {
    schema: &'static str,
    event_id: &'a str,
    event_type: &'static str,
    alert_id: &'a str,
    workspace: &'a str,
    rule: &'a str,
    severity: &'static str,
    previous_severity: Option<&'static str>,
    marketplace: Option<&'a str>,
    asin: Option<&'a str>,
    day: Day,
    object: Option<&'a str>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    caveat: Option<&'a str>,
    evidence: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolution: Option<Value>,
}

impl NewEvent {
    /// The event that tells news of an alert, as the alert is then.
    ///
    /// An alert has each severity at most once, so both name what opens it or makes it worse; it may be resolved again
    /// after that.
    pub fn of(workspace: &Workspace, alert: &NewAlert, news: AlertNews<'_>) -> NewEvent {
        NewEvent::with_caveat(workspace, alert, news, "")
    }

    /// The same, with what people should know before they rely on it; '' for nothing.
    pub(in crate::store) fn with_caveat(
        workspace: &Workspace,
        alert: &NewAlert,
        news: AlertNews<'_>,
        caveat: &str,
    ) -> NewEvent {
        let severity = alert.severity.as_str();
        let (event_type, event_id) = match news {
            AlertNews::Opened => ("alert.opened", stable_id(&[&alert.alert_id, severity])),
            AlertNews::Escalated { .. } => ("alert.escalated", stable_id(&[&alert.alert_id, severity])),
            AlertNews::Resolved { times, .. } => {
                ("alert.resolved", stable_id(&[&alert.alert_id, "resolved", &times.to_string()]))
            }
        };
        let evidence = RawValue::from_string(alert.evidence.clone()).expect("evidence is written as JSON");
        let payload = Payload {
            schema: EVENT_SCHEMA,
            event_id: &event_id,
            event_type,
            alert_id: &alert.alert_id,
            workspace: workspace.as_str(),
            rule: alert.rule.as_str(),
            severity,
            previous_severity: match news {
                AlertNews::Escalated { before } => Some(before.as_str()),
                _ => None,
            },
            marketplace: known(&alert.marketplace),
            asin: known(&alert.asin),
            day: alert.day,
            object: known(&alert.object),
            message: &alert.message,
            caveat: known(caveat),
            evidence: &evidence,
            resolution: match news {
                AlertNews::Resolved { actor, note, at, .. } => {
                    let by = if actor.is_some() { "person" } else { "cleared" };
                    Some(json!({ "by": by, "actor": actor, "note": known(note), "at": instant(at) }))
                }
                _ => None,
            },
        };
        let payload = serde_json::to_string(&payload).expect("a payload has string keys");
        let about = About {
            severity: Some(alert.severity),
            rule: alert.rule.as_str().to_owned(),
            marketplace: alert.marketplace.clone(),
            asin: alert.asin.clone(),
            day: alert.day.to_string(),
        };
        NewEvent { event_id, event_type, alert_id: alert.alert_id.clone(), about, payload }
    }
}

fn instant(at: Timestamp) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

fn known(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
