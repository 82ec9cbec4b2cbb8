//! One request as a handler sees it: who asks, for which object, with which parameters.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::App;
use super::auth::Caller;
use super::problem::{Kind, Problem};
use super::routes::Route;
use crate::model::{Day, DayRange, Marketplace, ProductKey, ProductRef};

/// Rows of a page where nothing else is asked for, and the most there are.
pub(super) const PAGE: u32 = 50;
pub(super) const LONGEST_PAGE: u32 = 500;
/// Days of a range where nothing else is asked for, and the most there are.
pub(super) const DAYS: i32 = 30;
pub(super) const MOST_DAYS: i32 = 3_660;

#[derive(Clone)]
pub(super) struct Call {
    pub(super) app: Arc<App>,
    pub(super) route: &'static Route,
    pub(super) caller: Caller,
    pub(super) path: BTreeMap<String, String>,
    pub(super) query: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
    pub(super) request_id: String,
    pub(super) idempotency_key: Option<String>,
    pub(super) accept: Option<String>,
    /// Of whoever listens to events: the one that they heard last.
    pub(super) last_event_id: Option<String>,
}

/// The parameters of a request's query.
///
/// Errors: one that the route does not have, one that is given twice, or text that is not UTF-8.
pub(super) fn parse_query(query: &str, route: &Route) -> Result<BTreeMap<String, String>, Problem> {
    let mut parsed = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        // What is not UTF-8 is replaced by this character, which no parameter has a use for.
        if name.contains(char::REPLACEMENT_CHARACTER) || value.contains(char::REPLACEMENT_CHARACTER) {
            return Err(Problem::new(Kind::InvalidRequest, "the query is not UTF-8"));
        }
        if value.contains('\0') {
            return Err(Problem::new(Kind::InvalidRequest, "the query holds a null character"));
        }
        if !route.parameters().any(|parameter| parameter.name == name) {
            let known: Vec<&str> = route.parameters().map(|parameter| parameter.name).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Problem::new(Kind::UnknownParameter, format!("`{name}`; known are {known}")));
        }
        let name = name.into_owned();
        if parsed.contains_key(&name) {
            return Err(Problem::parameter(&name, "is given twice"));
        }
        parsed.insert(name, value.into_owned());
    }
    Ok(parsed)
}

impl Call {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// A part of the path; the router has matched it.
    pub(super) fn part(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// A value that one of the domain's types reads.
    pub(super) fn parsed<T: std::str::FromStr>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| Problem::parameter(name, format!("has to be {expected}")))
    }

    /// One of a list of words.
    pub(super) fn word<T>(&self, name: &str, read: fn(&str) -> Option<T>) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        read(text).map(Some).ok_or_else(|| Problem::parameter(name, "is none of the words that it can be"))
    }

    /// Some of a list of words, with commas between them.
    pub(super) fn words<T>(&self, name: &str, read: fn(&str) -> Option<T>) -> Result<Vec<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(Vec::new()) };
        let words: Option<Vec<T>> = text.split(',').map(read).collect();
        words.ok_or_else(|| Problem::parameter(name, "has a word that it cannot have"))
    }

    pub(super) fn marketplace(&self) -> Result<Option<Marketplace>, Problem> {
        self.parsed("marketplace", "a marketplace's code, as US")
    }

    /// A whole number within a range.
    pub(super) fn number(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<u32>,
        default: u32,
    ) -> Result<u32, Problem> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let number = text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        number.filter(|number| range.contains(number)).ok_or_else(|| {
            Problem::parameter(name, format!("has to be {} to {}", range.start(), range.end()))
        })
    }

    pub(super) fn limit(&self) -> Result<u32, Problem> {
        self.number("limit", 1..=LONGEST_PAGE, PAGE)
    }

    pub(super) fn day(&self, name: &str) -> Result<Option<Day>, Problem> {
        self.parsed(name, "a day, as 2026-03-01")
    }

    /// The days from `from` to `to`, both inclusive; without them the last ones up to `newest`. Of days to come there is
    /// nothing yet.
    pub(super) fn days(&self, newest: Day) -> Result<DayRange, Problem> {
        let from = self.day("from")?;
        let last = self.day("to")?.unwrap_or_else(|| from.map_or(newest, |from| from.max(newest)));
        let first = from.unwrap_or_else(|| last.plus(1 - DAYS));
        if last < first {
            return Err(Problem::parameter("from", format!("is {first}, which is behind {last}")));
        }
        if last.no() - first.no() >= MOST_DAYS {
            return Err(Problem::parameter(
                "from",
                format!("has to be within {MOST_DAYS} days of the last day"),
            ));
        }
        Ok(DayRange { first, last })
    }

    /// The product of the path, if it is the workspace's and was seen: another's is not there.
    ///
    /// Errors: there is none, or it is in several marketplaces.
    pub(super) async fn product(&self) -> Result<ProductKey, Problem> {
        self.product_named(self.part("product")).await
    }

    pub(super) async fn product_named(&self, name: &str) -> Result<ProductKey, Problem> {
        let none = || Problem::not_found(format!("product `{name}`"));
        // A URL is no part of a path, and nothing else is longer than this.
        let product: ProductRef = (name.len() <= 13).then(|| name.parse().ok()).flatten().ok_or_else(none)?;
        let known = self.app.store.find_served_products(&self.caller.workspace, product.asin).await?;
        let mut known =
            known.into_iter().filter(|key| product.marketplace.is_none_or(|of| of == key.marketplace));
        match (known.next(), known.next()) {
            (Some(key), None) => Ok(key),
            (None, _) => Err(none()),
            (Some(_), Some(_)) => {
                let detail = format!("{} is in several marketplaces: write UK:{0}", product.asin);
                Err(Problem::new(Kind::Ambiguous, detail))
            }
        }
    }

    /// What makes a cursor one of this list: whose it is, and everything that was asked but how long a page is and what of
    /// it is shown.
    pub(super) fn list(&self) -> String {
        let mut list = format!("{} {}", self.caller.workspace, self.route.id);
        for (name, value) in self.path.iter().chain(&self.query) {
            if !["cursor", "limit", "fields", "format"].contains(&name.as_str()) {
                list.push_str(&format!(" {}:{name}={}:{value}", name.len(), value.len()));
            }
        }
        list
    }

    /// The place behind which the page begins.
    pub(super) fn place<const N: usize>(&self) -> Result<Option<[String; N]>, Problem> {
        let Some(cursor) = self.text("cursor") else { return Ok(None) };
        self.app.cursors.read(&self.list(), cursor).map(Some)
    }

    /// The cursor behind a page's last row.
    pub(super) fn cursor(&self, place: &[String]) -> String {
        self.app.cursors.make(&self.list(), place)
    }

    /// The body as JSON that has these fields. Errors: it is something else.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Problem> {
        let wrong = |error: serde_json::Error| Problem::new(Kind::InvalidBody, error.to_string());
        // An array would do for a struct too.
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&self.body).map_err(wrong)?;
        serde_json::from_value(object.into()).map_err(wrong)
    }
}
