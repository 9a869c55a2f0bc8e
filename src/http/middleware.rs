//! What stands around every route: one id, one span, one time-out, one kind of error, the same security headers.
//!
//! Whatever comes out below as an error without a problem body (an unknown path, a wrong method) leaves here as a
//! [`Problem`]; a panic leaves as `internal`; a request that takes too long as `request-timeout` where its body never
//! arrived, else as `too-busy`. Faults of the server are logged here, once.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use hyper::body::Body as _;
use tracing::Instrument;
use uuid::Uuid;

use super::body::{BodyLimit, StallTimeout};
use super::problem::{Problem, ProblemCode};
use super::request::head;
use crate::config::HttpConfig;
use crate::telemetry::metrics::Metrics;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Nothing on a page of ours comes from elsewhere or runs; a page that needs more sets its own.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
                           form-action 'none'; frame-ancestors 'none'";

#[derive(Clone)]
struct Middleware(Arc<MiddlewareConfig>);

struct MiddlewareConfig {
    metrics: Metrics,
    patience: Duration,
    body_limit: BodyLimit,
}

/// Wraps all routes of `router`, the fallback included.
pub fn wrap(router: Router, config: &HttpConfig, metrics: &Metrics) -> Router {
    let config = MiddlewareConfig {
        metrics: metrics.clone(),
        patience: config.request_timeout,
        body_limit: BodyLimit(config.body_limit),
    };
    router.layer(from_fn_with_state(Middleware(Arc::new(config)), answer))
}

async fn answer(State(Middleware(wrap)): State<Middleware>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = Uuid::now_v7();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let uri = request.uri().clone();
    // A span for each request is a twentieth of what a command costs: only for those who look closely.
    let span = tracing::debug_span!("request", id = %id, %method, path = uri.path());

    let mut response = run(&wrap, request, next).instrument(span).await;
    response = as_problem(&method, response);
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        wrap.metrics.problem(problem.code());
        log(&problem, id, &method, uri.path());
        response = with_instance(problem, id, response);
    }
    finish(response.headers_mut(), id);
    wrap.metrics.http(known(&method), route, response.status().as_u16(), started.elapsed());
    response
}

/// A body that was refused unread and is larger than this ends its connection: reading it to its end is no use to anybody.
const READ_TO_ITS_END: u64 = 64 * 1024;

async fn run(config: &MiddlewareConfig, request: Request, next: Next) -> Response {
    if let Err(problem) = head::check(request.version(), request.headers()) {
        // Who frames one request wrongly is not trusted to frame the next one.
        return ([(header::CONNECTION, "close")], problem).into_response();
    }
    let large = request.body().size_hint().upper().is_none_or(|size| size > READ_TO_ITS_END);
    let arrived = Arc::new(AtomicBool::new(request.body().is_end_stream()));
    let mut response = carry_out(config, request, next, &arrived).await;
    let refused = response.status().is_client_error() || response.status().is_server_error();
    if large && refused && !arrived.load(Ordering::Relaxed) {
        // The connection ends either way. Who is told does not send the next request on it.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn carry_out(config: &MiddlewareConfig, mut request: Request, next: Next, arrived: &Arc<AtomicBool>) -> Response {
    if !request.body().is_end_stream() {
        request.extensions_mut().insert(config.body_limit);
        request = request.map(|body| Body::new(StallTimeout::new(body, Arc::clone(arrived))));
    }
    let whole = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(config.patience, whole).await {
        Ok(Ok(response)) => response,
        // The panic hook has logged what and where.
        Ok(Err(_)) => Problem::internal("handler panicked").into_response(),
        Err(_) if arrived.load(Ordering::Relaxed) => Problem::new(
            ProblemCode::TooBusy,
            format!("The request exceeded its time limit of {:?}. It may still take effect.", config.patience),
        )
        .into_response(),
        Err(_) => Problem::new(
            ProblemCode::RequestTimeout,
            format!("The complete body did not arrive within {:?}.", config.patience),
        )
        .into_response(),
    }
}

/// Errors that come from below without a problem of their own. What is JSON already says what there is to say, as the
/// report of a server that is not ready does.
fn as_problem(method: &Method, response: Response) -> Response {
    let status = response.status();
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    let answered = is_json || response.extensions().get::<Problem>().is_some();
    if answered || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    // The router above adds `Allow` to both.
    if method == Method::OPTIONS && status == StatusCode::METHOD_NOT_ALLOWED {
        return StatusCode::NO_CONTENT.into_response();
    }
    let (code, detail) = match status.as_u16() {
        404 => (ProblemCode::UnknownRoute, "Nothing is served at this path."),
        405 => (ProblemCode::MethodNotAllowed, "The path exists, but not with this method: see `Allow`."),
        408 => (ProblemCode::RequestTimeout, "The request did not arrive in time."),
        413 => (ProblemCode::PayloadTooLarge, "The body has more bytes than this route accepts."),
        415 => (ProblemCode::UnsupportedMediaType, "The route does not read the content type of the body."),
        400..=499 => (ProblemCode::MalformedRequest, "The request could not be read."),
        _ => (ProblemCode::Internal, "The server failed while it answered this request."),
    };
    Problem::new(code, detail).into_response()
}

/// The path names the room and the command.
fn log(problem: &Problem, request: Uuid, method: &Method, path: &str) {
    let code = problem.code();
    match problem.cause() {
        Some(cause) if problem.status().is_server_error() => {
            tracing::error!(%request, %method, path, code, cause, "request failed");
        }
        Some(cause) => tracing::info!(%request, %method, path, code, cause, "request refused"),
        None => tracing::debug!(%request, %method, path, code, detail = problem.detail(), "request refused"),
    }
}

/// The same answer with the id of the request in it; headers that were set beside it stay.
fn with_instance(problem: Problem, id: Uuid, response: Response) -> Response {
    let mut answered = problem.into_response_at(Some(&id.urn().to_string()));
    for (name, value) in response.headers() {
        if name != header::CONTENT_LENGTH {
            answered.headers_mut().insert(name, value.clone());
        }
    }
    answered
}

fn finish(headers: &mut HeaderMap, id: Uuid) {
    let mut text = Uuid::encode_buffer();
    if let Ok(id) = HeaderValue::from_str(id.hyphenated().encode_lower(&mut text)) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    let page = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let policy = if page { PAGE_POLICY } else { "default-src 'none'; frame-ancestors 'none'" };
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(policy));
    headers.entry(header::X_FRAME_OPTIONS).or_insert(HeaderValue::from_static("DENY"));
}

/// Methods that a client makes up are one label.
fn known(method: &Method) -> &str {
    match method.as_str() {
        text @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => text,
        _ => "other",
    }
}
