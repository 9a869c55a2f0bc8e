//! What a load came to.

use std::time::Duration;

use serde::Serialize;

use super::{Failure, Seen};

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub connections: usize,
    pub seconds: f64,
    pub done: u64,
    /// Successes a second.
    pub rate: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    pub failed: Vec<Failed>,
}

/// Answers that were not a success.
#[derive(Clone, Debug, Serialize)]
pub struct Failed {
    pub status: u16,
    pub count: u64,
    /// The first such answer.
    pub example: String,
}

impl Report {
    pub(super) fn new(connections: usize, took: Duration, seen: &Seen) -> Self {
        let failures: u64 = seen.failed.values().map(|(count, _)| count).sum();
        let seconds = took.as_secs_f64();
        let done = seen.times.len() - failures;
        let ms = |quantile: f64| seen.times.value_at_quantile(quantile) as f64 / 1000.0;
        let failed = seen.failed.iter();
        Self {
            connections,
            seconds,
            done,
            rate: done as f64 / seconds,
            p50_ms: ms(0.5),
            p90_ms: ms(0.9),
            p99_ms: ms(0.99),
            max_ms: seen.times.max() as f64 / 1000.0,
            failed: failed
                .map(|(&status, (count, example))| Failed { status, count: *count, example: example.clone() })
                .collect(),
        }
    }

    /// This report, if every answer was a success.
    pub fn clean(self) -> Result<Self, Failure> {
        match self.failed.first() {
            None => Ok(self),
            Some(failed) => {
                let (count, Failed { status, example, .. }) = (self.failures(), failed);
                Err(format!("{count} failed, such as {status}: {example}").into())
            }
        }
    }

    pub fn failures(&self) -> u64 {
        self.failed.iter().map(|failed| failed.count).sum()
    }
}
