//! A circuit breaker. Closed: calls pass. Open, after repeated failures: calls fail at once. Half-open, after a while: one call
//! at a time passes, and its result closes the breaker or opens it for longer.
//!
//! Invariants: a call counts once, as succeeded, failed or refused; a cancelled call does not count. Calls that began before the
//! last change of state have no effect.

mod machine;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Backoff;
use crate::telemetry::metrics::Metrics;
use machine::{Admission, BreakerMachine, CallResult};

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BreakerPolicy {
    /// So many failures in a row open it; so many within a window as well, where they are half of the calls.
    pub failures: u32,
    pub window: Duration,
    /// How long it stays open: longer each time that a trial fails.
    pub open: Backoff,
    /// So many trials in a row close it.
    pub trials: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    Closed,
    HalfOpen,
    Open,
}

impl BreakerState {
    pub fn as_str(self) -> &'static str {
        match self {
            BreakerState::Closed => "closed",
            BreakerState::HalfOpen => "half-open",
            BreakerState::Open => "open",
        }
    }
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The breaker is open, or tries with another call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker of {target} is open: it failed too often")]
pub struct BreakerOpen {
    pub target: Arc<str>,
    /// When it may be worth asking again; nought while a trial is on its way.
    pub after: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum CallError<E> {
    #[error(transparent)]
    Refused(#[from] BreakerOpen),
    #[error("{0}")]
    Failed(#[source] E),
}

struct BreakerInner {
    target: Arc<str>,
    machine: Mutex<BreakerMachine>,
    metrics: Metrics,
}

/// Cheap to clone; clones are one breaker.
#[derive(Clone)]
pub struct Breaker(Arc<BreakerInner>);

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Breaker({}, {})", self.0.target, self.state())
    }
}

impl Breaker {
    /// Closed. `target` labels the metrics.
    pub fn new(target: &str, policy: BreakerPolicy, metrics: Metrics) -> Self {
        metrics.breaker_state(target, 0);
        let machine = Mutex::new(BreakerMachine::new(policy, Instant::now()));
        Self(Arc::new(BreakerInner { target: target.into(), machine, metrics }))
    }

    pub fn target(&self) -> &str {
        &self.0.target
    }

    pub fn state(&self) -> BreakerState {
        self.machine().state()
    }

    /// Lets one call through, which is to say what became of it.
    pub fn admit(&self) -> Result<CallPermit, BreakerOpen> {
        let mut machine = self.machine();
        let before = machine.state();
        let admitted = machine.admit(Instant::now());
        self.moved(before, machine.state());
        drop(machine);
        match admitted {
            Ok(admission) => Ok(CallPermit { breaker: self.clone(), admission: Some(admission) }),
            Err(after) => {
                self.0.metrics.breaker_call(&self.0.target, "refused");
                Err(BreakerOpen { target: self.0.target.clone(), after })
            }
        }
    }

    /// One call, whose every error is a failure of the target. The caller bounds its time.
    pub async fn call<T, E>(&self, call: impl Future<Output = Result<T, E>>) -> Result<T, CallError<E>> {
        let permit = self.admit()?;
        match call.await {
            Ok(value) => {
                permit.succeeded();
                Ok(value)
            }
            Err(error) => {
                permit.failed();
                Err(CallError::Failed(error))
            }
        }
    }

    fn machine(&self) -> MutexGuard<'_, BreakerMachine> {
        // Nothing in it panics half-way: a poisoned lock guards whole data.
        self.0.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, admission: Admission, verdict: CallResult) {
        let mut machine = self.machine();
        let before = machine.state();
        machine.settle(admission, verdict, Instant::now());
        self.moved(before, machine.state());
        drop(machine);
        match verdict {
            CallResult::Succeeded => self.0.metrics.breaker_call(&self.0.target, "succeeded"),
            CallResult::Failed => self.0.metrics.breaker_call(&self.0.target, "failed"),
            CallResult::Abandoned => {}
        }
    }

    /// Reported under the machine's lock, so that the last report is the current state.
    fn moved(&self, before: BreakerState, now: BreakerState) {
        if before == now {
            return;
        }
        let number = match now {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        };
        let target = &*self.0.target;
        self.0.metrics.breaker_state(target, number);
        match now {
            BreakerState::Open if before == BreakerState::Closed => {
                self.0.metrics.breaker_opened(target);
                tracing::warn!(target_name = target, "circuit breaker opened");
            }
            BreakerState::Closed => tracing::info!(target_name = target, "circuit breaker closed"),
            BreakerState::Open | BreakerState::HalfOpen => {}
        }
    }
}

/// One call that was let through. Dropped without a word, it counts as given up.
#[must_use = "a call that was let through says what became of it"]
#[derive(Debug)]
pub struct CallPermit {
    breaker: Breaker,
    admission: Option<Admission>,
}

impl CallPermit {
    pub fn succeeded(mut self) {
        self.settle(CallResult::Succeeded);
    }

    pub fn failed(mut self) {
        self.settle(CallResult::Failed);
    }

    fn settle(&mut self, verdict: CallResult) {
        if let Some(admission) = self.admission.take() {
            self.breaker.settle(admission, verdict);
        }
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        self.settle(CallResult::Abandoned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resilience::Breakers;

    const POLICY: BreakerPolicy = BreakerPolicy {
        failures: 2,
        window: Duration::from_secs(10),
        open: Backoff::new(Duration::from_millis(20), Duration::from_millis(20)),
        trials: 1,
    };

    #[tokio::test]
    async fn a_target_that_fails_is_left_alone_and_tried_again_and_metrics_and_health_say_so() {
        let metrics = Metrics::new();
        let breakers = Breakers::new(metrics.clone());
        assert_eq!(breakers.summary(), "none");
        let breaker = breakers.around("redis", POLICY);
        let asked = std::sync::atomic::AtomicU32::new(0);
        let ask = async |answer: Result<(), &'static str>| {
            breaker
                .call(async {
                    asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    answer
                })
                .await
        };
        assert!(ask(Ok(())).await.is_ok());
        assert!(matches!(ask(Err("gone")).await, Err(CallError::Failed("gone"))));
        assert!(matches!(ask(Err("gone")).await, Err(CallError::Failed("gone"))));
        assert!(
            matches!(ask(Ok(())).await, Err(CallError::Refused(BreakerOpen { target, .. })) if *target == *"redis")
        );
        assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 3, "who is refused does not ask");
        assert_eq!(breakers.summary(), "redis open");
        let text = metrics.encode().unwrap();
        for line in [
            "convoke_breaker_state{target=\"redis\"} 2",
            "convoke_breaker_opened_total{target=\"redis\"} 1",
            "convoke_breaker_calls_total{outcome=\"failed\",target=\"redis\"} 2",
            "convoke_breaker_calls_total{outcome=\"refused\",target=\"redis\"} 1",
            "convoke_breaker_calls_total{outcome=\"succeeded\",target=\"redis\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        let begun = Instant::now();
        while ask(Ok(())).await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(10));
            tokio::task::yield_now().await;
        }
        assert_eq!(breakers.summary(), "redis closed");
        assert!(metrics.encode().unwrap().contains("convoke_breaker_state{target=\"redis\"} 0"));
    }

    #[tokio::test]
    async fn a_call_that_its_caller_gives_up_says_nothing() {
        let metrics = Metrics::new();
        let breaker = Breaker::new("kafka", POLICY, metrics.clone());
        for _ in 0..5 {
            let call = breaker.call(std::future::pending::<Result<(), ()>>());
            assert!(tokio::time::timeout(Duration::from_millis(1), call).await.is_err());
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert!(!metrics.encode().unwrap().contains("convoke_breaker_calls_total"));
    }
}
