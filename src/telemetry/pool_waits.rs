//! Measures the wait for a connection of a pool. The driver logs each acquisition at a level that is not shown; this layer takes
//! the time from it.

use std::fmt::Debug;
use std::sync::LazyLock;

use prometheus::Histogram;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::metrics::described::POOL_WAIT_SECONDS;
use super::metrics::made::{TIMES, histogram};

/// By the driver's name for it.
const TARGET: &str = "sqlx::pool::acquire";
const SECONDS: &str = "acquired_after_secs";

/// Of the process, whatever pool it was.
static WAITS: LazyLock<Histogram> =
    LazyLock::new(|| histogram(&POOL_WAIT_SECONDS, TIMES).expect("the names of the metrics are valid"));

pub(super) fn seen() -> Histogram {
    WAITS.clone()
}

pub(super) fn watch<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let loan = |metadata: &Metadata<'_>| metadata.target() == TARGET;
    PoolWatcher.with_filter(filter_fn(loan))
}

struct PoolWatcher;

impl<S: Subscriber> Layer<S> for PoolWatcher {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut WaitSeconds);
    }
}

struct WaitSeconds;

impl Visit for WaitSeconds {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == SECONDS {
            WAITS.observe(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}
