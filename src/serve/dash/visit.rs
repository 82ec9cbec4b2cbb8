//! A request as a page sees it: who asks, for what, in which language; and how it asks the routes that programs ask.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::http::HeaderMap;
use minijinja::Value as Shown;
use serde::Serialize;
use serde_json::Value;

use crate::model::{Day, Language, Permission};
use crate::render::ReportFormat;
use crate::render::document::Report;
use crate::serve::App;
use crate::serve::answer::{Data, Form, Output};
use crate::serve::auth::Caller;
use crate::serve::cache::Kept;
use crate::serve::call::Call;
use crate::serve::live::Subscription;
use crate::serve::pipeline::{in_form, kept};
use crate::serve::problem::{Kind, Problem};
use crate::serve::routes::{ROUTES, Route};
use crate::serve::v1::reports::report_options;
use crate::stages::report::{self, Subject};

/// One request of a page.
pub(super) struct Visit {
    pub(super) app: Arc<App>,
    /// Null: nobody is logged in.
    pub(super) caller: Option<Caller>,
    /// The cookie that forms belong to; '' where there is none.
    pub(super) cookie: String,
    pub(super) path: BTreeMap<String, String>,
    pub(super) query: BTreeMap<String, String>,
    pub(super) form: BTreeMap<String, String>,
    pub(super) headers: HeaderMap,
    /// Path and query, as they were asked for.
    pub(super) url: String,
    pub(super) request_id: String,
    pub(super) address: IpAddr,
    pub(super) language: Language,
    /// Cookies are to be sent by TLS only.
    pub(super) is_secure: bool,
}

/// What a page answers.
pub(super) enum Answer {
    /// A template, filled.
    Page {
        status: u16,
        template: &'static str,
        context: Shown,
        cookies: Vec<String>,
    },
    /// Go on there.
    See {
        url: String,
        cookies: Vec<String>,
    },
    /// A report, which is a page of its own.
    Report(String),
    Asset {
        content_type: &'static str,
        text: &'static str,
        /// It is asked for by its hash, and never changes.
        is_forever: bool,
    },
    Events(Box<Subscription>),
}

impl Answer {
    pub(super) fn page(template: &'static str, context: Shown) -> Answer {
        Answer::Page { status: 200, template, context, cookies: Vec::new() }
    }

    pub(super) fn see(url: impl Into<String>) -> Answer {
        Answer::See { url: url.into(), cookies: Vec::new() }
    }
}

/// What a route answered.
#[derive(Serialize)]
pub(super) struct Asked {
    pub(super) data: Value,
    pub(super) next_cursor: Option<String>,
}

impl Visit {
    /// A parameter of the address; null where it is empty too, as forms send what nobody filled in.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// What was just done, as the address says: one of the words that pages have for it.
    pub(super) fn done(&self) -> Option<&str> {
        const KNOWN: [&str; 5] = ["acknowledged", "resolved", "dismissed", "snoozed", "revoked"];
        self.text("done").filter(|done| KNOWN.contains(done))
    }

    /// A part of the path.
    pub(super) fn part(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// A field of the form.
    pub(super) fn field(&self, name: &str) -> &str {
        self.form.get(name).map_or("", |value| value.trim())
    }

    pub(super) fn may(&self, permission: Permission) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.permissions.allow(permission))
    }

    /// Whoever is logged in. Errors: nobody is.
    pub(super) fn caller(&self) -> Result<&Caller, Problem> {
        self.caller.as_ref().ok_or_else(|| Problem::new(Kind::Unauthenticated, "log in"))
    }

    /// Asks a route for something; the page's path holds the parts of the route's.
    pub(super) async fn ask(&self, id: &str, query: &[(&str, &str)]) -> Result<Asked, Problem> {
        answered(self.call(id, query, Vec::new())?).await
    }

    /// Asks a route for one thing that the page's path does not name.
    pub(super) async fn ask_one(
        &self,
        id: &str,
        part: &str,
        value: &str,
        query: &[(&str, &str)],
    ) -> Result<Asked, Problem> {
        let mut call = self.call(id, query, Vec::new())?;
        call.path = BTreeMap::from([(part.to_owned(), value.to_owned())]);
        answered(call).await
    }

    /// Asks a route that is asked by a body.
    pub(super) async fn ask_body(&self, id: &str, body: &Value) -> Result<Value, Problem> {
        Ok(answered(self.call(id, &[], body.to_string().into_bytes())?).await?.data)
    }

    /// What a page shows of a report that is built as `report` and `/v1/reports` build it: kept as long as the mart is the
    /// same.
    pub(super) async fn report_part(
        &self,
        subject: Subject,
        as_of: Day,
        days: i32,
        part: fn(Report, Language) -> Value,
    ) -> Result<Value, Problem> {
        let workspace = self.caller()?.workspace.clone();
        let (app, language) = (self.app.clone(), self.language);
        let tag = self.language.tag();
        let key = format!("page {workspace} {} {as_of} {days} {tag}", subject.name());
        let moment = app.moment().await;
        let building = app.clone();
        let compute = || async move {
            let options = report_options(&building, workspace, subject, as_of, days, ReportFormat::Json);
            let report = report::build(&building.store, &building.options.lake, &options).await?;
            let drawn = tokio::task::spawn_blocking(move || part(report, language)).await;
            let drawn = drawn.map_err(anyhow::Error::from)?;
            let body = serde_json::to_vec(&drawn).map_err(anyhow::Error::from)?;
            let hash = String::new();
            Ok(Kept { body: body.into(), next_cursor: None, hash })
        };
        let served = app.cache.answer(&key, &moment, compute).await?;
        app.metrics.cached(served.how);
        Ok(serde_json::from_slice(&served.kept.body).map_err(anyhow::Error::from)?)
    }

    /// This page's address with some parameters changed or left out.
    pub(super) fn url_with(&self, changed: &[(&str, Option<&str>)]) -> String {
        with_parameters(&self.url, changed)
    }

    /// The text that a route answers.
    pub(super) async fn ask_text(&self, id: &str, query: &[(&str, &str)]) -> Result<String, Problem> {
        let call = self.call(id, query, Vec::new())?;
        match (call.route.run)(call).await?.data {
            Data::Text { text, .. } => Ok(text),
            _ => Err(Problem::new(Kind::NotAcceptable, "it is no text")),
        }
    }

    /// Has a route change something.
    pub(super) async fn change(&self, id: &str, body: &Value) -> Result<(), Problem> {
        let call = self.call(id, &[], body.to_string().into_bytes())?;
        (call.route.run)(call).await?;
        Ok(())
    }

    pub(super) async fn listen(&self, id: &str, last_event_id: Option<String>) -> Result<Answer, Problem> {
        let call = Call { last_event_id, ..self.call(id, &[], Vec::new())? };
        match (call.route.run)(call).await?.data {
            Data::Events(subscription) => Ok(Answer::Events(subscription)),
            _ => Err(Problem::new(Kind::NotAcceptable, "it is no stream")),
        }
    }

    /// Errors: whoever is logged in may not ask that.
    fn call(&self, id: &str, query: &[(&str, &str)], body: Vec<u8>) -> Result<Call, Problem> {
        let route: &'static Route =
            ROUTES.iter().find(|route| route.id == id).ok_or_else(|| Problem::not_found("such route"))?;
        let caller = self.caller()?;
        if let Some(needed) = route.access.permission()
            && !caller.permissions.allow(needed)
        {
            return Err(Problem::new(Kind::Forbidden, format!("permission `{needed}` is needed")));
        }
        let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Ok(Call {
            app: self.app.clone(),
            route,
            caller: caller.clone(),
            path: self.path.clone(),
            query: query.collect(),
            body,
            request_id: self.request_id.clone(),
            idempotency_key: None,
            accept: None,
            last_event_id: None,
        })
    }
}

async fn answered(call: Call) -> Result<Asked, Problem> {
    let kept = match call.route.is_kept {
        true => kept(call, Form::Json).await?.kept,
        false => {
            let output: Output = (call.route.run)(call).await?;
            in_form(output, None, Form::Json).await?.into()
        }
    };
    let data = serde_json::from_slice(&kept.body).map_err(anyhow::Error::from)?;
    Ok(Asked { data, next_cursor: kept.next_cursor.clone() })
}

/// An address with some parameters changed or left out.
pub(super) fn with_parameters(url: &str, changed: &[(&str, Option<&str>)]) -> String {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if !changed.iter().any(|(one, _)| *one == name) && !value.is_empty() {
            pairs.append_pair(&name, &value);
        }
    }
    for (name, value) in changed {
        if let Some(value) = value {
            pairs.append_pair(name, value);
        }
    }
    let query = pairs.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_what_is_not_changed() {
        for (url, changed, expected) in [
            ("/a", &[("b", Some("c d"))][..], "/a?b=c+d"),
            ("/a?x=1&b=2&y=", &[("b", None)], "/a?x=1"),
            ("/a?b=2", &[("b", None)], "/a"),
            ("/a?q=%E9%9B%BB&b=2", &[("b", Some("3"))], "/a?q=%E9%9B%BB&b=3"),
        ] {
            assert_eq!(with_parameters(url, changed), expected, "{url}");
        }
    }
}
