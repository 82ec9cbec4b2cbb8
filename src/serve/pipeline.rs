//! What every request goes through: who asks, how much, what; then the answer in its form, with the headers that every
//! answer has.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts as _, RawPathParams};
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, request};
use axum::routing::MethodFilter;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tracing::Instrument as _;

use super::accept::HEAD_BYTES;
use super::answer::{self, Data, Form, Output};
use super::auth::{self, Caller};
use super::cache::Served;
use super::call::{Call, parse_query};
use super::encode::Coding;
use super::headers::{self, header_value, joined};
use super::limit::Allowance;
use super::live;
use super::problem::{Kind, Problem};
use super::routes::{Access, ROUTES, Route};
use super::{App, dash, openapi};
use crate::ids::sha256_hex;

/// Bytes of a body.
pub(super) const MOST_BODY: usize = 1 << 20;
/// The routes of the table, and problems for everything else.
pub(super) fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let app = app.clone();
        let filter = match route.method {
            "POST" => MethodFilter::POST,
            _ => MethodFilter::GET,
        };
        let handler = move |request: Request<Body>| respond(app.clone(), Some(route), request);
        router = router.route(route.path, axum::routing::on(filter, handler));
    }
    router = dash::add_pages(router, app);
    let (of_path, of_method) = (app.clone(), app.clone());
    router
        .fallback(move |request: Request<Body>| nothing(of_path.clone(), request))
        .method_not_allowed_fallback(move |request: Request<Body>| respond(of_method.clone(), None, request))
}

/// Nothing is at this path: a person is told so by a page.
async fn nothing(app: Arc<App>, request: Request<Body>) -> Response<Body> {
    match dash::is_persons(request.headers()) {
        true => dash::respond(app, &dash::NOTHING, request).await,
        false => respond(app, None, request).await,
    }
}

/// What is known of a request before it is looked at.
struct Asked {
    app: Arc<App>,
    route: Option<&'static Route>,
    request_id: String,
    address: IpAddr,
}

/// An answer before the headers that all have, and what the log says of it.
struct Answered {
    response: Response<Body>,
    caller: Option<Caller>,
}

async fn respond(app: Arc<App>, route: Option<&'static Route>, request: Request<Body>) -> Response<Body> {
    let start = Instant::now();
    let (mut parts, body) = request.into_parts();
    let address = headers::client(peer(&parts), &parts.headers, &app);
    let request_id = headers::request_id(&parts.headers);
    let asked = Asked { app, route, request_id, address };
    let span = tracing::error_span!("request", request_id = asked.request_id);
    let Answered { mut response, caller } = asked.answer(&mut parts, body).instrument(span).await;
    headers::finish(&asked.app, &asked.request_id, &parts, &mut response);
    let line = Line {
        operation: asked.route.map_or("none", |route| route.id),
        request_id: &asked.request_id,
        address,
        caller: caller.as_ref(),
        start,
    };
    log(&asked.app, &parts, &response, &line);
    response
}

/// Whose connection it is.
pub(super) fn peer(parts: &request::Parts) -> IpAddr {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    peer.map_or(IpAddr::from([0, 0, 0, 0]), |ConnectInfo(peer)| peer.ip())
}

impl Asked {
    async fn answer(&self, parts: &mut request::Parts, body: Body) -> Answered {
        let mut allowance = None;
        let mut caller = None;
        let answered = self.attempt(parts, body, &mut caller, &mut allowance).await;
        let mut response = answered.unwrap_or_else(|problem| self.problem(&problem, parts));
        if let Some(Allowance { limit, remaining, reset_s, .. }) = allowance {
            let headers = response.headers_mut();
            headers.insert("x-ratelimit-limit", limit.into());
            headers.insert("x-ratelimit-remaining", remaining.into());
            headers.insert("x-ratelimit-reset", reset_s.into());
        }
        Answered { response, caller }
    }

    /// The steps in their order: nothing of the request is looked at before it is known who sends it.
    async fn attempt(
        &self,
        parts: &mut request::Parts,
        body: Body,
        known: &mut Option<Caller>,
        allowance: &mut Option<Allowance>,
    ) -> Result<Response<Body>, Problem> {
        if parts.method == Method::OPTIONS && headers::allowed_origin(&self.app, &parts.headers).is_some() {
            return Ok(headers::preflight());
        }
        // What came in one piece with its end was read to that end.
        if headers::size(&parts.headers)
            + parts.uri.path_and_query().map_or(0, |target| target.as_str().len())
            > HEAD_BYTES
        {
            return Err(Problem::new(Kind::HeadTooLarge, format!("at most {HEAD_BYTES} bytes")));
        }
        let Some(route) = self.route else { return Err(self.no_route(parts)) };
        let work = async {
            let caller = self.admit(route, &parts.headers).await?;
            known.clone_from(&caller);
            if let Some(key) = caller.as_ref().and_then(|caller| caller.key.as_ref()) {
                let taken = self.app.limiter.take(&key.key_id, key.tier, route.weight, Instant::now());
                *allowance = Some(taken);
                if !taken.is_allowed {
                    self.app.metrics.refused("rate_limited");
                    let detail = format!("this key may ask {} in this time", taken.limit);
                    return Err(Problem::new(Kind::RateLimited, detail).retry_after(taken.reset_s));
                }
            }
            let call = self.call(route, caller.unwrap_or_else(nobody), parts, body).await?;
            self.carry_out(call, parts).await
        };
        within(self.app.options.request_timeout, work).await
    }

    /// Who asks, if they may. Errors: nobody says who they are, or who does may not.
    async fn admit(&self, route: &Route, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
        let is_public =
            route.access == Access::Anyone || (route.access == Access::Docs && self.app.options.public_docs);
        if is_public {
            return Ok(None);
        }
        let Some(caller) = auth::caller(&self.app, headers, self.address).await? else {
            let detail = "show one as `Authorization: Bearer sk_…`; `amzctl keys create` makes them";
            return Err(Problem::new(Kind::Unauthenticated, detail));
        };
        match route.access.permission() {
            Some(needed) if !caller.permissions.allow(needed) => {
                Err(Problem::new(Kind::Forbidden, format!("permission `{needed}` is needed")))
            }
            _ => Ok(Some(caller)),
        }
    }

    /// The request's parts as the handler sees them.
    async fn call(
        &self,
        route: &'static Route,
        caller: Caller,
        parts: &mut request::Parts,
        body: Body,
    ) -> Result<Call, Problem> {
        let not_utf8 = |_| Problem::new(Kind::InvalidRequest, "the path is not UTF-8");
        let path = RawPathParams::from_request_parts(parts, &()).await.map_err(not_utf8)?;
        let path: std::collections::BTreeMap<_, _> =
            path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        if path.values().any(|value| value.contains('\0')) {
            return Err(Problem::new(Kind::InvalidRequest, "the path holds a null character"));
        }
        let query = parse_query(parts.uri.query().unwrap_or_default(), route)?;
        let body = read_body(body, &parts.headers, route, self.app.options.header_timeout).await?;
        let idempotency_key = headers::idempotency_key(&parts.headers)?;
        let request_id = self.request_id.clone();
        let accept = joined(&parts.headers, &header::ACCEPT);
        let last_event_id = live::last_event_id(&parts.headers)?;
        Ok(Call {
            app: self.app.clone(),
            route,
            caller,
            path,
            query,
            body,
            request_id,
            idempotency_key,
            accept,
            last_event_id,
        })
    }

    /// Has the handler answer, or the cache, and gives the answer its form.
    async fn carry_out(&self, call: Call, parts: &request::Parts) -> Result<Response<Body>, Problem> {
        let route = call.route;
        let form = match route.shape.forms() {
            [] => Form::Json,
            forms => Form::of_request(call.text("format"), call.accept.as_deref(), forms)?,
        };
        if !route.is_kept {
            let fields = call.text("fields").map(str::to_owned);
            let output = (route.run)(call).await?;
            let (status, is_repeated) = (output.status, output.is_repeated);
            if let Data::Events(subscription) = output.data {
                return live::respond(&self.app, *subscription).await;
            }
            if let Data::Text { content_type, .. } = output.data {
                let kept = answer::kept(output, None, Form::Json)?;
                let served = answer::fresh(kept, self.app.options.clock.now());
                return self.give(&served, parts, content_type, None, StatusCode::OK).await;
            }
            let kept = in_form(output, fields, form).await?;
            let served = answer::fresh(kept, self.app.options.clock.now());
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            let enveloped = Some((form, false));
            let mut response = self.give(&served, parts, form.content_type(), enveloped, status).await?;
            if is_repeated {
                response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
            }
            return Ok(response);
        }
        let served = kept(call, form).await?;
        self.give(&served, parts, form.content_type(), Some((form, true)), StatusCode::OK).await
    }

    /// An answer with its headers, or, of one that is as it should be, word that the client has it already. `enveloped`
    /// tells the form, and whether it may be kept; null is text by itself.
    async fn give(
        &self,
        served: &Served,
        parts: &request::Parts,
        content_type: &'static str,
        enveloped: Option<(Form, bool)>,
        status: StatusCode,
    ) -> Result<Response<Body>, Problem> {
        let is_kept = enveloped.is_some_and(|(_, is_kept)| is_kept);
        let is_envelope = enveloped.is_some_and(|(form, _)| form == Form::Json);
        let is_read = parts.method == Method::GET || parts.method == Method::HEAD;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let cache_control = match (is_kept, is_read) {
            (true, _) => {
                let (fresh, stale) = (served.fresh_for.as_secs(), self.app.options.stale.as_secs());
                format!("private, max-age={fresh}, stale-while-revalidate={stale}")
            }
            (false, true) => "private, no-cache".to_owned(),
            (false, false) => "no-store".to_owned(),
        };
        headers.insert(header::CACHE_CONTROL, header_value(&cache_control));
        headers.insert(
            header::VARY,
            HeaderValue::from_static("accept, accept-encoding, authorization, x-api-key"),
        );
        let hash = &served.kept.hash;
        if is_read
            && status == StatusCode::OK
            && let Some(known) = joined(&parts.headers, &header::IF_NONE_MATCH)
            && let Some(tag) = answer::is_known(&known, hash)
        {
            let tag = if tag == "*" { answer::tag(hash, None, "identity") } else { tag.to_owned() };
            headers.insert(header::ETAG, header_value(tag.trim_start_matches("W/")));
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        let body = match is_envelope {
            true => answer::envelope(served, is_kept, &self.request_id),
            false => served.kept.body.to_vec(),
        };
        let accepted = joined(&parts.headers, &header::ACCEPT_ENCODING).unwrap_or_default();
        let coding = match enveloped {
            // It is compressed inside.
            Some((Form::Parquet, _)) => Coding::Identity,
            _ => Coding::of_request(&accepted, body.len()),
        };
        let body = coding.encoded(body).await?;
        if coding != Coding::Identity {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        }
        if is_read {
            let tag = answer::tag(hash, is_envelope.then_some(self.request_id.as_str()), coding.name());
            headers.insert(header::ETAG, header_value(&tag));
        }
        if !is_envelope && let Some(cursor) = &served.kept.next_cursor {
            headers.insert("x-next-cursor", header_value(cursor));
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        *response.body_mut() = Body::from(body);
        Ok(response)
    }

    /// Nothing is at this path, or not by this method.
    fn no_route(&self, parts: &request::Parts) -> Problem {
        let methods = openapi::methods_at(parts.uri.path());
        if methods.is_empty() {
            return Problem::not_found("such path");
        }
        Problem::new(Kind::MethodNotAllowed, format!("there is {}", methods.join(", ")))
    }

    fn problem(&self, problem: &Problem, parts: &request::Parts) -> Response<Body> {
        let document = problem.document(parts.uri.path(), &self.request_id).to_string();
        let mut response = Response::new(Body::from(document));
        *response.status_mut() =
            StatusCode::from_u16(problem.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = problem.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        match problem.kind {
            Kind::Unauthenticated | Kind::InvalidKey => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Kind::MethodNotAllowed => {
                let methods = openapi::methods_at(parts.uri.path()).join(", ");
                headers.insert(header::ALLOW, header_value(&methods));
            }
            // What is left of the body is not read: the connection cannot be used again.
            Kind::BodyTooLarge | Kind::Timeout => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

/// What of a request is logged and counted.
pub(super) struct Line<'a> {
    pub(super) operation: &'static str,
    pub(super) request_id: &'a str,
    pub(super) address: IpAddr,
    pub(super) caller: Option<&'a Caller>,
    pub(super) start: Instant,
}

/// One line per request: no key, no query, no body.
pub(super) fn log(app: &App, parts: &request::Parts, response: &Response<Body>, line: &Line<'_>) {
    let took = line.start.elapsed();
    let (operation, status) = (line.operation, response.status().as_u16());
    app.metrics.answered(operation, status, took);
    let path: String = parts.uri.path().chars().take(200).collect();
    tracing::info!(
        request_id = line.request_id,
        operation,
        method = parts.method.as_str(),
        path,
        status,
        duration_ms = took.as_millis() as u64,
        address = %line.address,
        key_id = line.caller.map_or("", Caller::key_id),
        workspace = line.caller.map_or("", |caller| caller.workspace.as_str()),
        "request answered"
    );
}

/// What comes in time. Errors: it takes too long.
async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => {
            let detail = "it took too long: ask for less at once, or try again";
            Err(Problem::new(Kind::Unavailable, detail).retry_after(5))
        }
    }
}

/// The answer of a route whose answers are kept: the one that there is, or the one that is made now.
pub(super) async fn kept(call: Call, form: Form) -> Result<Served, Problem> {
    let (app, route) = (call.app.clone(), call.route);
    let key = format!(
        "{} {} {:?}",
        call.list(),
        form.word(),
        [call.text("limit"), call.text("cursor"), call.text("fields")]
    );
    let moment = app.moment().await;
    let limit = app.options.request_timeout;
    // Whoever asked may be gone, and the others wait for it.
    let compute = || async move {
        let fields = call.text("fields").map(str::to_owned);
        let work = async { in_form((route.run)(call).await?, fields, form).await };
        within(limit, work).await
    };
    let served = app.cache.answer(&key, &moment, compute).await?;
    app.metrics.cached(served.how);
    Ok(served)
}

/// Whoever asks for what everybody may have.
fn nobody() -> Caller {
    Caller { workspace: Default::default(), permissions: Default::default(), key: None, session: None }
}

/// Parquet and long texts take a while: beside the requests of others.
pub(super) async fn in_form(
    output: Output,
    fields: Option<String>,
    form: Form,
) -> Result<super::cache::Kept, Problem> {
    let is_long = matches!(&output.data, Data::Table(table) if table.rows.len() > 200);
    if !is_long && form != Form::Parquet {
        return answer::kept(output, fields.as_deref(), form);
    }
    let made = tokio::task::spawn_blocking(move || answer::kept(output, fields.as_deref(), form));
    made.await.map_err(anyhow::Error::from)?
}

/// Reads a body whole. Errors: it is too long, too slow, not JSON, or there should be none.
async fn read_body(
    body: Body,
    headers: &HeaderMap,
    route: &Route,
    patience: Duration,
) -> Result<Vec<u8>, Problem> {
    let read = Limited::new(body, MOST_BODY).collect();
    let bytes = match tokio::time::timeout(patience, read).await {
        Ok(Ok(read)) => read.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(Problem::new(Kind::BodyTooLarge, format!("at most {MOST_BODY} bytes")));
        }
        Ok(Err(_)) => return Err(Problem::new(Kind::InvalidBody, "the body ended early")),
        Err(_) => return Err(Problem::new(Kind::Timeout, "the body has to follow its head")),
    };
    if route.body.is_none() {
        return match bytes.is_empty() {
            true => Ok(Vec::new()),
            false => Err(Problem::new(Kind::InvalidBody, "there is no body here")),
        };
    }
    let is_json = headers.get(header::CONTENT_TYPE).is_some_and(|of| {
        let of = of.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        of.eq_ignore_ascii_case("application/json")
    });
    if !is_json {
        return Err(Problem::new(Kind::UnsupportedMediaType, "say `Content-Type: application/json`"));
    }
    Ok(bytes.to_vec())
}

/// What tells a repeated write from another: the hash of its route, object and body.
pub(super) fn request_sha256(call: &Call) -> String {
    let mut asked = call.list().into_bytes();
    asked.push(b'\n');
    asked.extend(&call.body);
    sha256_hex(&asked)
}
