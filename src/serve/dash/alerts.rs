//! Alerts: the list, one of them, what people do with them, and what comes in while somebody looks.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::context;
use serde_json::{Value, json};

use super::door::next;
use super::visit::{Answer, Visit};
use crate::model::Marketplace;
use crate::render::format::product_name;
use crate::rollup::rules::{Rule, Severity};
use crate::serve::live::last_event_id;
use crate::serve::problem::{Kind, Problem};
use crate::store::alerts::AlertState;

/// Alerts of a page.
const PAGE: &str = "30";
/// What is shown where no state is asked for, and the word that asks for all.
const USUAL: &str = "open";
const ALL: &str = "all";

pub(super) async fn list(visit: Visit) -> Result<Answer, Problem> {
    let state = visit.text("state").unwrap_or(USUAL);
    let names = ["severity", "rule", "marketplace", "asin", "since", "cursor"];
    let mut query: Vec<(&str, &str)> =
        names.into_iter().filter_map(|name| Some((name, visit.text(name)?))).collect();
    query.extend(Some(state).filter(|state| *state != ALL).map(|state| ("state", state)));
    query.push(("limit", PAGE));
    let mut found = visit.ask("list_alerts", &query).await?;
    add_names(&visit, &mut found.data).await?;
    let asked = |name: &str| visit.text(name).unwrap_or_default().to_owned();
    let context = context! {
        alerts => found.data,
        state,
        severity => asked("severity"),
        rule => asked("rule"),
        marketplace => asked("marketplace"),
        asin => asked("asin"),
        since => asked("since"),
        states => AlertState::ALL.iter().map(|one| one.as_str()).collect::<Vec<&str>>(),
        severities => Severity::ALL.iter().rev().map(|one| one.as_str()).collect::<Vec<&str>>(),
        rules => Rule::ALL.iter().map(|one| one.as_str()).collect::<Vec<&str>>(),
        marketplaces => Marketplace::ALL.iter().map(|one| one.code()).collect::<Vec<&str>>(),
        is_later => visit.text("cursor").is_some(),
        without_cursor => visit.url_with(&[("cursor", None), ("part", None), ("done", None)]),
        next_url => visit.url_with(&[
            ("cursor", found.next_cursor.as_deref()),
            ("part", None),
            ("done", None),
        ]),
        next_cursor => found.next_cursor,
        done => visit.done(),
    };
    Ok(Answer::page("alerts.html", context))
}

/// Says beside each alert how its product is called.
pub(super) async fn add_names(visit: &Visit, alerts: &mut Value) -> Result<(), Problem> {
    let Some(rows) = alerts.as_array_mut() else { return Ok(()) };
    let key = |row: &Value| Some(format!("{}:{}", row["marketplace"].as_str()?, row["asin"].as_str()?));
    let keys: BTreeSet<String> = rows.iter().filter_map(key).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let found = visit.ask_body("get_products", &json!({ "products": keys })).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names: BTreeMap<String, String> = found
        .as_array()
        .into_iter()
        .flatten()
        .filter(|one| one["found"] == true)
        .map(|one| {
            let (label, title) = (text(&one["data"]["label"]), text(&one["data"]["title"]));
            (text(&one["product"]), product_name(&label, Some(&title), &text(&one["data"]["asin"])))
        })
        .collect();
    for row in rows {
        row["name"] = json!(key(row).and_then(|key| names.get(&key)));
    }
    Ok(())
}

pub(super) async fn show(visit: Visit) -> Result<Answer, Problem> {
    let alert = visit.ask("get_alert", &[]).await?.data;
    // A rule's values one by one; what is no object is shown as it is.
    let evidence: Vec<(String, String)> = match &alert["evidence"] {
        Value::Object(values) => values.iter().map(|(name, value)| (name.clone(), written(value))).collect(),
        Value::Null => Vec::new(),
        other => vec![("evidence".to_owned(), written(other))],
    };
    let context = context! { alert, evidence, done => visit.done() };
    Ok(Answer::page("alert.html", context))
}

fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "—".to_owned(),
        other => other.to_string(),
    }
}

pub(super) async fn acknowledge(visit: Visit) -> Result<Answer, Problem> {
    change(visit, "acknowledge_alert", "acknowledged", json!({})).await
}

pub(super) async fn resolve(visit: Visit) -> Result<Answer, Problem> {
    change(visit, "resolve_alert", "resolved", json!({})).await
}

pub(super) async fn dismiss(visit: Visit) -> Result<Answer, Problem> {
    change(visit, "dismiss_alert", "dismissed", json!({})).await
}

pub(super) async fn snooze(visit: Visit) -> Result<Answer, Problem> {
    let seconds: Result<u64, _> = visit.field("for_s").parse();
    let seconds = seconds.map_err(|_| Problem::new(Kind::InvalidBody, "`for_s` is a number of seconds"))?;
    change(visit, "snooze_alert", "snoozed", json!({ "for_s": seconds })).await
}

async fn change(visit: Visit, route: &str, done: &str, mut body: Value) -> Result<Answer, Problem> {
    body["note"] = json!(visit.field("note"));
    visit.change(route, &body).await?;
    let back = next(Some(visit.field("back")));
    Ok(Answer::see(super::visit::with_parameters(&back, &[("done", Some(done)), ("part", None)])))
}

/// What is told of alerts, to the script of the page.
pub(super) async fn listen(visit: Visit) -> Result<Answer, Problem> {
    let last = last_event_id(&visit.headers)?;
    visit.listen("watch_events", last).await
}
