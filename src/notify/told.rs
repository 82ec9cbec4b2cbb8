//! Events as people read them: read from their payloads, in the channel's language. Every text is one line
//! without controls; escaping it for where it goes is the templates' part.

use serde::Serialize;
use serde_json::Value;

use super::words::{self, Words};
use super::{Digest, Event, Message};
use crate::ids::short_id;
use crate::model::{Day, Language, Marketplace};
use crate::render::format::{self, plain_line};

mod chinese;

/// The words of severities, gravest first.
const SEVERITIES: [&str; 4] = ["critical", "high", "medium", "low"];
/// How much of one text is shown, and of a title, which on Amazon goes on and on.
const LONGEST_TEXT: usize = 600;
const LONGEST_TITLE: usize = 80;

/// A message as people read it: what templates are given.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Told {
    pub message_id: String,
    /// `alert`, `group`, `digest` or `test`.
    pub kind: &'static str,
    pub language: &'static str,
    /// One line that says it all: the subject of a mail.
    pub subject: String,
    /// The gravest severity, as a word for programs; empty where nothing has one.
    pub worst: String,
    /// `2 critical, 1 high`
    pub counts: String,
    pub digest: Option<ToldDigest>,
    pub maybe_sent: bool,
    pub events: Vec<ToldEvent>,
    pub words: Words,
}

/// The time that a digest sums up.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ToldDigest {
    pub title: String,
    /// `2026-02-28`, or `2026-02-22 to 2026-02-28`.
    pub days: String,
}

/// One event as people read it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ToldEvent {
    pub event_id: String,
    pub event_type: String,
    /// The first digits of the alert's id; empty where it is about no alert.
    pub alert: String,
    /// For programs: `critical`; empty where it has none.
    pub severity: String,
    /// The same in the language of the message.
    pub severity_word: String,
    /// `escalated`; empty for the ordinary event.
    pub note: String,
    pub rule: String,
    pub rule_word: String,
    /// `US:B0FDKB341G`; empty where it is about no product.
    pub product: String,
    pub marketplace: String,
    pub asin: String,
    /// The product's title; empty where it is not known.
    pub title: String,
    /// The product's page; empty where it is about no product.
    pub url: String,
    pub day: String,
    pub workspace: String,
    /// One sentence with the values.
    pub sentence: String,
    /// `price drop US:B0FDKB341G`
    pub headline: String,
    /// What was looked at.
    pub details: Vec<Detail>,
    /// The payload as it is.
    pub payload: Value,
}

/// One value that a rule looked at.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Detail {
    pub label: String,
    pub value: String,
}

impl Told {
    pub(super) fn of(message: &Message) -> Told {
        let language = message.language;
        let mut events: Vec<ToldEvent> = message.events.iter().map(|event| told(event, language)).collect();
        if message.digest.is_some() {
            // Who reads the first lines only has read what matters.
            let gravity = |event: &ToldEvent| {
                SEVERITIES.iter().position(|word| *word == event.severity).unwrap_or(SEVERITIES.len())
            };
            events.sort_by_key(gravity);
        }
        let by_severity: Vec<(&str, usize)> = SEVERITIES
            .iter()
            .map(|word| (*word, events.iter().filter(|event| event.severity == *word).count()))
            .collect();
        let worst = by_severity.iter().find(|(_, number)| *number > 0).map_or("", |(word, _)| word);
        let counts = words::counts(&by_severity, language);
        let digest = message.digest.map(|digest| told_digest(digest, language));
        let kind = match (&digest, events.as_slice()) {
            (Some(_), _) => "digest",
            (None, [only]) if only.event_type == "channel.test" => "test",
            (None, [_]) => "alert",
            (None, _) => "group",
        };
        Told {
            subject: subject(&events, digest.as_ref(), &counts, language),
            message_id: message.message_id.clone(),
            kind,
            language: language.as_str(),
            worst: worst.to_owned(),
            counts,
            digest,
            maybe_sent: message.maybe_sent,
            events,
            words: *Words::of(language),
        }
    }
}

fn told_digest(digest: Digest, language: Language) -> ToldDigest {
    let Digest { period, first, last } = digest;
    let days = match language {
        _ if first == last => first.to_string(),
        Language::English => format!("{first} to {last}"),
        Language::TraditionalChinese => format!("{first} 至 {last}"),
    };
    ToldDigest { title: words::digest(period, language).to_owned(), days }
}

fn subject(events: &[ToldEvent], digest: Option<&ToldDigest>, counts: &str, language: Language) -> String {
    let colon = Words::of(language).colon;
    let counted = || {
        let is_alerts = events.iter().all(|event| event.event_type.starts_with("alert."));
        let number = words::count(events.len(), is_alerts, language);
        match (counts.is_empty(), language) {
            (true, _) => number,
            (false, Language::English) => format!("{number} ({counts})"),
            (false, Language::TraditionalChinese) => format!("{number}（{counts}）"),
        }
    };
    match (digest, events) {
        (Some(digest), _) => format!("{} {}{colon}{}", digest.title, digest.days, counted()),
        (None, [only]) => {
            let severity = match language {
                Language::English => only.severity.to_uppercase(),
                Language::TraditionalChinese if only.severity.is_empty() => String::new(),
                Language::TraditionalChinese => format!("【{}】", only.severity_word),
            };
            format!("{severity} {}", only.headline).trim().to_owned()
        }
        (None, _) => {
            let mut rules: Vec<&str> = Vec::new();
            for event in events {
                if !rules.contains(&event.rule_word.as_str()) && !event.rule_word.is_empty() {
                    rules.push(&event.rule_word);
                }
            }
            let joint = if language == Language::English { ", " } else { "、" };
            let named = rules.iter().take(3).copied().collect::<Vec<_>>().join(joint);
            let more = if rules.len() > 3 { "…" } else { "" };
            if named.is_empty() { counted() } else { format!("{}{colon}{named}{more}", counted()) }
        }
    }
}

/// A payload's text of this name; empty where there is none.
fn text(payload: &Value, name: &str) -> String {
    payload[name].as_str().map(shown).unwrap_or_default()
}

fn shown(text: &str) -> String {
    format::shortened(&plain_line(text), LONGEST_TEXT)
}

fn short_title(title: &str) -> String {
    format::shortened(&plain_line(title), LONGEST_TITLE)
}

fn told(event: &Event, language: Language) -> ToldEvent {
    let payload: Value = serde_json::from_str(&event.payload).unwrap_or_default();
    let (event_type, rule) = (text(&payload, "event_type"), text(&payload, "rule"));
    let (marketplace, asin) = (text(&payload, "marketplace"), text(&payload, "asin"));
    let product = if asin.is_empty() { String::new() } else { format!("{marketplace}:{asin}") };
    let severity = text(&payload, "severity");
    let day: Option<Day> = payload["day"].as_str().and_then(|day| day.parse().ok());
    let said = match language {
        Language::TraditionalChinese => chinese::sentence(&rule, &payload["evidence"], day),
        Language::English => None,
    };
    let mut sentence = said.map(|said| shown(&said)).unwrap_or_else(|| text(&payload, "message"));
    let caveat = text(&payload, "caveat");
    if !caveat.is_empty() {
        sentence = words::with_caveat(&sentence, &caveat, language);
    }
    let note = words::event(&event_type, language);
    let rule_word = if rule.is_empty() { String::new() } else { words::rule(&rule, language) };
    let what = if rule_word.is_empty() { note.clone() } else { rule_word.clone() };
    let aside = match (rule_word.is_empty() || note.is_empty(), language) {
        (true, _) => String::new(),
        (false, Language::English) => format!(" ({note})"),
        (false, Language::TraditionalChinese) => format!("（{note}）"),
    };
    let headline = format!("{what}{aside} {product}").trim().to_owned();
    ToldEvent {
        event_id: event.event_id.clone(),
        alert: short_id(&text(&payload, "alert_id")).to_owned(),
        severity_word: words::severity(&severity, language),
        severity,
        note,
        rule,
        rule_word,
        url: page_of(&marketplace, &asin).unwrap_or_default(),
        product,
        marketplace,
        asin,
        title: payload["title"].as_str().map(short_title).unwrap_or_default(),
        day: day.map(|day| day.to_string()).unwrap_or_default(),
        workspace: text(&payload, "workspace"),
        sentence,
        headline,
        details: details(&payload["evidence"], language),
        event_type,
        payload,
    }
}

/// The product's page in its shop.
fn page_of(marketplace: &str, asin: &str) -> Option<String> {
    let marketplace: Marketplace = marketplace.parse().ok()?;
    let asin: crate::model::Asin = asin.parse().ok()?;
    Some(format!("https://www.{}/dp/{asin}", marketplace.domain()))
}

/// What a rule looked at, as far as people read it: amounts, counts and names.
fn details(evidence: &Value, language: Language) -> Vec<Detail> {
    let fields = evidence.as_object().into_iter().flatten();
    let readable = fields.filter_map(|(name, value)| {
        let is_internal = ["day", "above"].contains(&name.as_str())
            || name.ends_with("_day")
            || ["_minor", "_x2", "_x4", "_pct", "_centi", "_delta"].iter().any(|end| name.ends_with(end))
            || name.contains("_centi");
        let value = detail_text(value).filter(|_| !is_internal)?;
        Some(Detail { label: words::evidence(name, language), value })
    });
    readable.collect()
}

fn detail_text(value: &Value) -> Option<String> {
    match (value, value["amount"].as_str(), value["currency"].as_str()) {
        (_, Some(amount), Some(currency)) => Some(money(amount, currency)),
        (Value::String(text), ..) => Some(shown(&text.replace('_', " "))),
        (Value::Number(number), ..) => number.as_i64().map(format::integer),
        _ => None,
    }
}

/// An amount as the rest of amzctl shows it: `1,299.00 USD`.
fn money(amount: &str, currency: &str) -> String {
    let parsed = currency.parse::<crate::model::Currency>().ok();
    let minor = parsed.and_then(|currency| {
        let (sign, plain) = amount.strip_prefix('-').map_or((1, amount), |plain| (-1, plain));
        Some(format::money(sign * currency.minor_from_decimal(plain)?, currency))
    });
    minor.unwrap_or_else(|| shown(&format!("{amount} {currency}")))
}

#[cfg(test)]
#[path = "told_tests.rs"]
mod tests;
