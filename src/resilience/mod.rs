//! Isolates faults of other systems: circuit breakers, back-off between attempts, and single flight for concurrent loads.
//!
//! The caller of a breaker bounds the time of its calls, and decides whether a call may be repeated. [`Breakers`] holds the
//! breakers of a process for `/health/ready`.

mod backoff;
mod breaker;
pub mod fault_injection;
mod single_flight;

use std::sync::{Arc, Mutex, PoisonError};

pub use backoff::{Backoff, Delays, shortened};
pub use breaker::{Breaker, BreakerOpen, BreakerPolicy, BreakerState, CallError, CallPermit};
pub use single_flight::SingleFlight;

use crate::telemetry::metrics::Metrics;

/// The breakers of one process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Breakers {
    metrics: Metrics,
    all: Arc<Mutex<Vec<Breaker>>>,
}

impl Breakers {
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, all: Arc::default() }
    }

    /// A new breaker around `target` (`redis`, `kafka`, …), closed. One for each target: they share a line in the metrics.
    pub fn around(&self, target: &str, policy: BreakerPolicy) -> Breaker {
        let breaker = Breaker::new(target, policy, self.metrics.clone());
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(breaker.clone());
        breaker
    }

    /// A few words on each, in the order in which they were made.
    pub fn summary(&self) -> String {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let summaries: Vec<String> =
            all.iter().map(|breaker| format!("{} {}", breaker.target(), breaker.state())).collect();
        if summaries.is_empty() { "none".into() } else { summaries.join("; ") }
    }
}
