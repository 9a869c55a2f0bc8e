//! `GET /metrics`, for Prometheus.
//!
//! What is not counted as it happens is looked at before an answer, and at most once a second: asking often costs nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use super::problem::Problem;
use crate::telemetry::metrics::Metrics;

/// How long a result is reused.
const FRESH: Duration = Duration::from_secs(1);

type LookFn = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

struct ScrapeState {
    metrics: Metrics,
    look: LookFn,
    looked: Mutex<Option<Instant>>,
}

/// `look` brings up to date what is not counted as it happens; it must end in bounded time.
pub fn routes<F, Fut>(metrics: Metrics, look: F) -> Router
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let look: LookFn = Box::new(move || Box::pin(look()));
    let scraped = Arc::new(ScrapeState { metrics, look, looked: Mutex::new(None) });
    Router::new().route("/metrics", get(scrape)).with_state(scraped)
}

async fn scrape(State(scraped): State<Arc<ScrapeState>>) -> Response {
    // Concurrent requests wait for this result instead of querying again.
    let mut looked = scraped.looked.lock().await;
    if looked.is_none_or(|at| at.elapsed() >= FRESH) {
        (scraped.look)().await;
        *looked = Some(Instant::now());
    }
    drop(looked);
    match scraped.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => Problem::internal(error).into_response(),
    }
}
