//! `/docs` (and `/`, which leads there): a page to read the descriptions of the API and of its streams and to try them, and the descriptions themselves. All that the page needs comes from here.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;

use super::{asyncapi, description};

/// The page may load its own style and script and ask this server, and nothing else of anybody.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub fn routes() -> Router {
    // Made once: the descriptions are the same for as long as the program runs.
    let description: Bytes = description::text().into();
    let streams: Bytes = asyncapi::text().into();
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/docs") }))
        .route("/openapi.json", get(move || async move { file("application/json", description) }))
        .route("/asyncapi.json", get(move || async move { file("application/json", streams) }))
        .route("/docs", get(|| async { file("text/html; charset=utf-8", include_str!("docs/page.html")) }))
        .route("/docs/page.css", get(|| async { file("text/css; charset=utf-8", include_str!("docs/page.css")) }))
        .route("/docs/page.js", get(|| async { file("text/javascript; charset=utf-8", include_str!("docs/page.js")) }))
}

fn file(content_type: &'static str, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // The files change with the program: asked for anew each time, which costs little from here.
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
