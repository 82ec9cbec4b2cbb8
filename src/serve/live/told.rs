//! An event as it is told, and which of them a listener wants.

use axum::body::Bytes;
use serde::Deserialize;

use crate::model::Asin;
use crate::rollup::rules::{Rule, Severity};
use crate::serve::call::Call;
use crate::serve::problem::Problem;
use crate::store::outbox::{LiveEvent, LiveNews};

/// Which events a listener wants; all of what is empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::serve) struct Wanted {
    news: Vec<LiveNews>,
    severities: Vec<Severity>,
    rules: Vec<Rule>,
    marketplace: Option<String>,
    asin: Option<String>,
}

/// An event as it is sent, and what listeners choose by.
pub(super) struct Told {
    pub(super) seq: i64,
    news: Option<LiveNews>,
    about: About,
    pub(super) frame: Bytes,
}

/// Of a payload what listeners choose by.
#[derive(Deserialize, Default)]
#[serde(default)]
struct About {
    severity: String,
    rule: String,
    marketplace: Option<String>,
    asin: Option<String>,
}

impl Told {
    pub(super) fn of(event: LiveEvent) -> Told {
        let LiveEvent { seq, event_id, event_type, payload } = event;
        let mut frame = format!("id: {event_id}\nevent: {event_type}\n");
        for line in payload.lines() {
            frame += &format!("data: {line}\n");
        }
        frame.push('\n');
        Told {
            seq,
            news: LiveNews::from_word(&event_type),
            about: serde_json::from_str(&payload).unwrap_or_default(),
            frame: frame.into(),
        }
    }
}

impl Wanted {
    /// What a request's parameters say.
    pub(super) fn of_call(call: &Call) -> Result<Wanted, Problem> {
        Ok(Wanted {
            news: call.words("type", LiveNews::from_word)?,
            severities: call.words("severity", Severity::from_word)?,
            rules: call.words("rule", Rule::from_word)?,
            marketplace: call.marketplace()?.map(|marketplace| marketplace.code().to_owned()),
            asin: call.parsed::<Asin>("asin", "an ASIN")?.map(|asin| asin.as_str().to_owned()),
        })
    }

    pub(super) fn takes(&self, told: &Told) -> bool {
        fn is_among<T>(some: &[T], is_it: impl Fn(&T) -> bool) -> bool {
            some.is_empty() || some.iter().any(is_it)
        }
        let is_same = |wanted: &Option<String>, is: &Option<String>| wanted.is_none() || wanted == is;
        is_among(&self.news, |news| Some(*news) == told.news)
            && is_among(&self.severities, |severity| severity.as_str() == told.about.severity)
            && is_among(&self.rules, |rule| rule.as_str() == told.about.rule)
            && is_same(&self.marketplace, &told.about.marketplace)
            && is_same(&self.asin, &told.about.asin)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::serve::live) fn event(seq: i64, payload: &str) -> LiveEvent {
        LiveEvent {
            seq,
            event_id: format!("e{seq}"),
            event_type: "alert.opened".into(),
            payload: payload.into(),
        }
    }

    #[test]
    fn an_event_is_written_as_browsers_read_it() {
        let told = Told::of(event(7, "{\"severity\":\"high\",\n\"rule\":\"price_drop\"}"));
        let frame =
            "id: e7\nevent: alert.opened\ndata: {\"severity\":\"high\",\ndata: \"rule\":\"price_drop\"}\n\n";
        assert_eq!(told.frame, frame);
    }

    #[test]
    fn a_listener_hears_what_they_asked_for() {
        let payload = r#"{"severity":"high","rule":"price_drop","marketplace":"US","asin":"B000000001"}"#;
        let told = Told::of(event(1, payload));
        let all = Wanted::default();
        for (wanted, expected) in [
            (all.clone(), true),
            (Wanted { severities: vec![Severity::Low, Severity::High], ..all.clone() }, true),
            (Wanted { severities: vec![Severity::Low], ..all.clone() }, false),
            (Wanted { rules: vec![Rule::PriceDrop], ..all.clone() }, true),
            (Wanted { news: vec![LiveNews::Resolved], ..all.clone() }, false),
            (Wanted { asin: Some("B000000002".into()), ..all.clone() }, false),
            (Wanted { marketplace: Some("US".into()), ..all.clone() }, true),
        ] {
            assert_eq!(wanted.takes(&told), expected, "{wanted:?}");
        }
        assert!(all.takes(&Told::of(event(2, "no json"))), "who wants all gets what nobody can read too");
    }
}
