//! The door: logging in with a key, logging out, and the language.

use minijinja::context;

use super::look::COOKIE;
use super::visit::{Answer, Visit};
use crate::model::Language;
use crate::serve::problem::{Kind, Problem};
use crate::serve::session::{self, SESSION, VISIT, set_cookie};

/// How long a form to log in may stay open, in seconds.
const VISIT_S: u64 = 3_600;
/// How long a language is remembered, in seconds: a year.
const LANGUAGE_S: u64 = 365 * 86_400;

pub(super) async fn show(visit: Visit) -> Result<Answer, Problem> {
    if visit.caller.is_some() {
        return Ok(Answer::see(next(visit.text("next"))));
    }
    page(&visit, 200, None)
}

/// The form, for a cookie of its own.
fn page(visit: &Visit, status: u16, problem: Option<&Problem>) -> Result<Answer, Problem> {
    let (token, cookies) = match visit.cookie.is_empty() {
        true => {
            let token = session::new_token()?;
            let cookie = set_cookie(VISIT, &token, VISIT_S, visit.is_secure);
            (token, vec![cookie])
        }
        false => (visit.cookie.clone(), Vec::new()),
    };
    let asked = visit.text("next").or(Some(visit.field("next")).filter(|next| !next.is_empty()));
    let context = context! {
        next => next(asked),
        form_token => session::form_token(&token),
        problem => problem.map(|problem| problem.kind.code()),
        wait_min => problem.and_then(|problem| problem.retry_after_s).map(|seconds| seconds.div_ceil(60)),
    };
    Ok(Answer::Page { status, template: "login.html", context, cookies })
}

pub(super) async fn log_in(visit: Visit) -> Result<Answer, Problem> {
    match session::open(&visit.app, visit.field("key"), visit.address).await {
        Ok(token) => {
            let seconds = visit.app.options.session.as_secs();
            let cookies = vec![
                set_cookie(SESSION, &token, seconds, visit.is_secure),
                set_cookie(VISIT, "", 0, visit.is_secure),
            ];
            Ok(Answer::See { url: next(Some(visit.field("next"))), cookies })
        }
        Err(problem) if matches!(problem.kind, Kind::InvalidKey | Kind::TooManyFailures) => {
            page(&visit, problem.kind.status(), Some(&problem))
        }
        Err(problem) => Err(problem),
    }
}

pub(super) async fn log_out(visit: Visit) -> Result<Answer, Problem> {
    session::close(&visit.app, visit.caller()?).await?;
    let cookies = vec![set_cookie(SESSION, "", 0, visit.is_secure)];
    Ok(Answer::See { url: "/login".to_owned(), cookies })
}

pub(super) async fn set_language(visit: Visit) -> Result<Answer, Problem> {
    let language = visit.text("to").and_then(Language::of_tag);
    let language = language.ok_or_else(|| Problem::not_found("such language"))?;
    let cookies = vec![set_cookie(COOKIE, language.tag(), LANGUAGE_S, visit.is_secure)];
    Ok(Answer::See { url: next(visit.text("next")), cookies })
}

/// Where to go on: a page of ours, never another site.
pub(super) fn next(asked: Option<&str>) -> String {
    let is_ours = |url: &&str| {
        url.starts_with('/')
            && !url.starts_with("//")
            && url.bytes().all(|c| c.is_ascii_graphic() && c != b'\\')
    };
    asked.filter(is_ours).filter(|url| !url.starts_with("/login")).unwrap_or("/").to_owned()
}
