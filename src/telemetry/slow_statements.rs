//! Counts statements that took longer than `CONVOKE_DATABASE_SLOW_STATEMENT`. The driver logs each of them within the span of its
//! request; this layer counts them, whether such lines are shown or not.

use std::sync::atomic::{AtomicU64, Ordering};

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// By the driver's name; statements that are not slow have a lower level.
const TARGET: &str = "sqlx::query";

static SEEN: AtomicU64 = AtomicU64::new(0);

/// Since the process began.
pub fn seen() -> u64 {
    SEEN.load(Ordering::Relaxed)
}

pub(super) fn counter<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let slow = |metadata: &Metadata<'_>| metadata.target() == TARGET && *metadata.level() == Level::WARN;
    SlowStatementCounter.with_filter(filter_fn(slow))
}

struct SlowStatementCounter;

impl<S: Subscriber> Layer<S> for SlowStatementCounter {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        SEEN.fetch_add(1, Ordering::Relaxed);
    }
}
