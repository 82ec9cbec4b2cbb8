//! What every request of a page goes through. Who is not logged in is led to where they can; a form that is not of one of our
//! pages does nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequestParts as _, RawPathParams};
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, Request, Response, StatusCode, request};
use http_body_util::{BodyExt as _, Limited};
use minijinja::context;
use tracing::Instrument as _;

use super::visit::{Answer, Visit};
use super::{Needs, Page};
use crate::model::Language;
use crate::serve::auth::{self, Caller};
use crate::serve::encode::Coding;
use crate::serve::headers::{self, header_value, joined};
use crate::serve::pipeline::{self, Line};
use crate::serve::problem::{Kind, Problem};
use crate::serve::{App, live, session};

/// Bytes of a form.
const LONGEST_FORM: usize = 16 << 10;
/// Bytes of the address.
const LONGEST_URL: usize = 4 << 10;
/// What a page may do in a browser: nothing but what is our own, and no script or style within it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Whether a person asks, by a browser.
pub(in crate::serve) fn is_persons(headers: &HeaderMap) -> bool {
    joined(headers, &header::ACCEPT).is_some_and(|accept| accept.contains("text/html"))
}

pub(in crate::serve) async fn respond(
    app: Arc<App>,
    page: &'static Page,
    request: Request<Body>,
) -> Response<Body> {
    let start = Instant::now();
    let (mut parts, body) = request.into_parts();
    let request_id = headers::request_id(&parts.headers);
    let peer = pipeline::peer(&parts);
    let address = headers::client(peer, &parts.headers, &app);
    let span = tracing::error_span!("request", request_id);
    let mut asked = Asked {
        page,
        language: Language::of_request(&parts.headers),
        is_secure: app.options.secure_cookies || headers::is_by_tls(peer, &parts.headers, &app),
        caller: None,
        cookie: String::new(),
        url: parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
        request_id,
        address,
        app,
    };
    let mut response = asked.answer(&mut parts, body).instrument(span).await;
    headers::finish(&asked.app, &asked.request_id, &parts, &mut response);
    let line = Line {
        operation: page.id,
        request_id: &asked.request_id,
        address,
        caller: asked.caller.as_ref(),
        start,
    };
    pipeline::log(&asked.app, &parts, &response, &line);
    response
}

/// What `NOTHING` answers.
pub(super) async fn nothing_here(_: Visit) -> Result<Answer, Problem> {
    Err(Problem::not_found("such page"))
}

struct Asked {
    app: Arc<App>,
    page: &'static Page,
    caller: Option<Caller>,
    cookie: String,
    url: String,
    request_id: String,
    address: IpAddr,
    language: Language,
    is_secure: bool,
}

impl Asked {
    async fn answer(&mut self, parts: &mut request::Parts, body: Body) -> Response<Body> {
        let answered = self.attempt(parts, body).await;
        let answer = match answered {
            Ok(answer) => answer,
            Err(problem) => self.trouble(&problem, parts),
        };
        match self.response(answer, parts).await {
            Ok(response) => response,
            Err(problem) => {
                // Where not even the page of what went wrong can be drawn.
                let mut response = Response::new(Body::from(problem.kind.title()));
                *response.status_mut() = status(problem.kind.status());
                response
            }
        }
    }

    async fn attempt(&mut self, parts: &mut request::Parts, body: Body) -> Result<Answer, Problem> {
        if self.url.len() > LONGEST_URL || headers::size(&parts.headers) > crate::serve::accept::HEAD_BYTES {
            return Err(Problem::new(Kind::HeadTooLarge, "the address is too long"));
        }
        self.recognise(&parts.headers).await?;
        if let Needs::All(needed) = self.page.needs {
            let Some(caller) = &self.caller else {
                return Err(Problem::new(Kind::Unauthenticated, "log in"));
            };
            if let Some(needed) = needed.iter().find(|needed| !caller.permissions.allow(**needed)) {
                return Err(Problem::new(Kind::Forbidden, format!("permission `{needed}` is needed")));
            }
            if let Some(key) = &caller.key {
                let taken = self.app.limiter.take(&key.key_id, key.tier, self.page.weight, Instant::now());
                if !taken.is_allowed {
                    self.app.metrics.refused("rate_limited");
                    return Err(Problem::new(Kind::RateLimited, "ask again later").retry_after(taken.reset_s));
                }
            }
        }
        let patience = self.app.options.request_timeout;
        let work = async {
            let visit = self.visit(parts, body).await?;
            (self.page.run)(visit).await
        };
        match tokio::time::timeout(patience, work).await {
            Ok(answered) => answered,
            Err(_) => Err(Problem::new(Kind::Unavailable, "it took too long").retry_after(5)),
        }
    }

    /// Finds out who asks: whoever is logged in, else whoever sits at this machine where that is enough.
    async fn recognise(&mut self, headers: &HeaderMap) -> Result<(), Problem> {
        if let Some(token) = session::cookie(headers, session::SESSION)
            && let Some(caller) = session::caller(&self.app, token).await?
        {
            self.cookie = token.to_owned();
            self.caller = Some(caller);
            return Ok(());
        }
        self.cookie = session::cookie(headers, session::VISIT).unwrap_or_default().to_owned();
        if self.page.needs != Needs::Nothing {
            self.caller = auth::open_caller(&self.app, headers, self.address)?;
        }
        Ok(())
    }

    /// The request's parts as the page sees them. Errors: a form that is not of one of our pages.
    async fn visit(&self, parts: &mut request::Parts, body: Body) -> Result<Visit, Problem> {
        let path: BTreeMap<String, String> = match RawPathParams::from_request_parts(parts, &()).await {
            Ok(path) => path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            Err(RawPathParamsRejection::InvalidUtf8InPathParam(_)) => {
                return Err(Problem::new(Kind::InvalidRequest, "the path is not UTF-8"));
            }
            // Where nothing is, there are no parts of it.
            Err(_) => BTreeMap::new(),
        };
        let query = fields(parts.uri.query().unwrap_or_default().as_bytes())?;
        if path.values().any(|value| value.contains('\0')) {
            return Err(Problem::new(Kind::InvalidRequest, "the path holds a null character"));
        }
        let form = match self.page.method {
            "POST" => self.form(&parts.headers, body).await?,
            _ => BTreeMap::new(),
        };
        Ok(Visit {
            app: self.app.clone(),
            caller: self.caller.clone(),
            cookie: self.cookie.clone(),
            path,
            query,
            form,
            headers: parts.headers.clone(),
            url: self.url.clone(),
            request_id: self.request_id.clone(),
            address: self.address,
            language: self.language,
            is_secure: self.is_secure,
        })
    }

    async fn form(&self, headers: &HeaderMap, body: Body) -> Result<BTreeMap<String, String>, Problem> {
        let read = Limited::new(body, LONGEST_FORM).collect();
        let read = tokio::time::timeout(self.app.options.header_timeout, read).await;
        let bytes = match read {
            Ok(Ok(read)) => read.to_bytes(),
            Ok(Err(_)) => return Err(Problem::new(Kind::BodyTooLarge, "the form is too long")),
            Err(_) => return Err(Problem::new(Kind::Timeout, "the form has to follow its head")),
        };
        let form = fields(&bytes)?;
        let foreign = headers.get("sec-fetch-site").is_some_and(|site| {
            let site = site.as_bytes();
            site != b"same-origin" && site != b"none"
        });
        let shown = form.get("form_token").map_or("", String::as_str);
        if foreign || self.cookie.is_empty() || !session::is_of(&self.cookie, shown) {
            self.app.metrics.refused("foreign_form");
            tracing::warn!(address = %self.address, "a form that is not of a page of ours was sent");
            return Err(Problem::new(Kind::Forbidden, "foreign_form"));
        }
        Ok(form)
    }

    /// What is shown when something went wrong.
    fn trouble(&self, problem: &Problem, parts: &request::Parts) -> Answer {
        let is_read = self.page.method == "GET";
        if problem.kind == Kind::Unauthenticated && !parts.uri.path().starts_with("/live") {
            let next = if is_read { self.url.as_str() } else { "/" };
            let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
            return Answer::see(format!("/login?next={next}"));
        }
        Answer::Page {
            status: problem.kind.status(),
            template: "trouble.html",
            context: context! {
                code => problem.kind.code(),
                status => problem.kind.status(),
                is_foreign_form => problem.detail == "foreign_form",
                detail => problem.detail,
                retry_after_s => problem.retry_after_s,
            },
            cookies: Vec::new(),
        }
    }

    async fn response(&self, answer: Answer, parts: &request::Parts) -> Result<Response<Body>, Problem> {
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let accepted = joined(&parts.headers, &header::ACCEPT_ENCODING).unwrap_or_default();
        match answer {
            Answer::Page { status: of, template, context, cookies } => {
                let drawn = self.app.look.draw(template, self.frame(parts, context))?;
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
                headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
                headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(self.language.tag()));
                headers.insert(header::VARY, HeaderValue::from_static("cookie, accept-language"));
                set_cookies(headers, &cookies);
                *response.status_mut() = status(of);
                put_body(&mut response, drawn, &accepted).await?;
            }
            Answer::See { url, cookies } => {
                headers.insert(header::LOCATION, header_value(&url));
                set_cookies(headers, &cookies);
                *response.status_mut() = StatusCode::SEE_OTHER;
            }
            Answer::Report(text) => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
                put_body(&mut response, text, &accepted).await?;
            }
            Answer::Asset { content_type, text, is_forever } => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
                let kept = if is_forever { "public, max-age=31536000, immutable" } else { "no-cache" };
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
                put_body(&mut response, text.to_owned(), &accepted).await?;
            }
            Answer::Events(subscription) => return live::respond(&self.app, *subscription).await,
        }
        Ok(response)
    }

    /// What every template is given, around what its page gives.
    fn frame(&self, parts: &request::Parts, page: minijinja::Value) -> minijinja::Value {
        use crate::model::Permission::{Operate, Read, Write};
        let may =
            |permission| self.caller.as_ref().is_some_and(|caller| caller.permissions.allow(permission));
        let part = parts.uri.query().unwrap_or_default().split('&').any(|pair| pair == "part=1");
        context! {
            page,
            t => self.app.look.texts(self.language),
            language => self.language.tag(),
            languages => Language::all(),
            url => self.url.as_str(),
            part,
            section => section(parts.uri.path()),
            form_token => if self.cookie.is_empty() { String::new() } else { session::form_token(&self.cookie) },
            is_logged_in => self.caller.as_ref().is_some_and(|caller| caller.session.is_some()),
            is_open => self.caller.as_ref().is_some_and(|caller| caller.key.is_none()),
            name => self.caller.as_ref().and_then(|caller| caller.key.as_ref()).map(|key| key.name.as_str()),
            workspace => self.caller.as_ref().map(|caller| caller.workspace.as_str()),
            may_read => may(Read),
            may_write => may(Write),
            may_operate => may(Operate),
            may_manage => may(Write) && may(Operate),
            style_hash => super::assets::style_hash(),
            script_hash => super::assets::script_hash(),
        }
    }
}

/// Which of the pages in the menu it is, or belongs to.
fn section(path: &str) -> &str {
    path.split('/').nth(1).unwrap_or_default()
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn set_cookies(headers: &mut HeaderMap, cookies: &[String]) {
    for cookie in cookies {
        headers.append(header::SET_COOKIE, header_value(cookie));
    }
}

async fn put_body(response: &mut Response<Body>, text: String, accepted: &str) -> Result<(), Problem> {
    let coding = Coding::of_request(accepted, text.len());
    let body = coding.encoded(text.into_bytes()).await?;
    if coding != Coding::Identity {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    }
    *response.body_mut() = Body::from(body);
    Ok(())
}

/// The fields of an address or a form; of one that is given twice the last.
fn fields(encoded: &[u8]) -> Result<BTreeMap<String, String>, Problem> {
    let mut fields = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(encoded) {
        if [&name, &value].iter().any(|text| text.contains(['\0', char::REPLACEMENT_CHARACTER])) {
            return Err(Problem::new(Kind::InvalidRequest, "it is not UTF-8"));
        }
        fields.insert(name.into_owned(), value.into_owned());
    }
    Ok(fields)
}
