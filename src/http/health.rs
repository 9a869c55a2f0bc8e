//! `/health/live`: the process answers. `/health/ready`: the process can work, with a check for each dependency; 503 while a
//! check fails or the process stops, so that a load balancer uses other servers.
//!
//! Each check has a time limit, and its result is reused for a second, so frequent requests are cheap.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::future::{BoxFuture, join_all};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// A check that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a result is used again.
const FRESH: Duration = Duration::from_secs(1);

/// What a check says: a few words, good or bad.
pub type CheckResult = Result<String, String>;
type HealthCheck = Box<dyn Fn() -> BoxFuture<'static, CheckResult> + Send + Sync>;

/// What the process needs to do its work. Built at start-up, then shared.
pub struct Readiness {
    stop: CancellationToken,
    checks: Vec<(&'static str, HealthCheck)>,
}

#[derive(Clone, Serialize)]
struct HealthReport {
    status: &'static str,
    checks: Vec<CheckedDependency>,
}

#[derive(Clone, Serialize)]
struct CheckedDependency {
    name: &'static str,
    ok: bool,
    detail: String,
}

struct HealthState {
    readiness: Readiness,
    last: Mutex<Option<(Instant, HealthReport)>>,
}

impl Readiness {
    /// Not ready once `stop` is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, checks: Vec::new() }
    }

    /// Adds one thing to look at; `check` says in a few words what it found.
    pub fn check<F, Fut>(mut self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = CheckResult> + Send + 'static,
    {
        self.checks.push((name, Box::new(move || Box::pin(check()))));
        self
    }

    async fn report(&self) -> HealthReport {
        let checks = join_all(self.checks.iter().map(|(name, check)| async move {
            let result = tokio::time::timeout(PATIENCE, check()).await;
            let result = result.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())));
            let ok = result.is_ok();
            CheckedDependency { name, ok, detail: result.unwrap_or_else(|detail| detail) }
        }))
        .await;
        let status = if checks.iter().all(|checked| checked.ok) { "ready" } else { "not-ready" };
        HealthReport { status, checks }
    }
}

pub fn routes(readiness: Readiness) -> Router {
    let shared = Arc::new(HealthState { readiness, last: Mutex::new(None) });
    Router::new().route("/health/live", get(live)).route("/health/ready", get(ready)).with_state(shared)
}

async fn live() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "status": "live", "version": env!("CARGO_PKG_VERSION") }))
}

async fn ready(State(shared): State<Arc<HealthState>>) -> Response {
    if shared.readiness.stop.is_cancelled() {
        let stopping = HealthReport { status: "stopping", checks: Vec::new() };
        return (StatusCode::SERVICE_UNAVAILABLE, Json(stopping)).into_response();
    }
    // Concurrent requests wait for the running check instead of starting another.
    let mut last = shared.last.lock().await;
    let report = match &*last {
        Some((at, report)) if at.elapsed() < FRESH => report.clone(),
        _ => {
            let report = shared.readiness.report().await;
            *last = Some((Instant::now(), report.clone()));
            report
        }
    };
    let status = if report.status == "ready" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}
