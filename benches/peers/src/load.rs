//! A closed loop: every caller has one append on its way at a time.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use uuid::Uuid;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Of each caller.
const STREAMS: usize = 8;

pub struct Load {
    pub at_once: usize,
    pub warm_up: Duration,
    pub measure: Duration,
}

/// An event store.
pub trait Append: Send + Sync + 'static {
    /// Appends one event to the stream if nobody else has since `after`, which is what the last append to it returned; `None`: to a new one.
    fn append(&self, stream: Uuid, after: Option<u64>) -> impl Future<Output = Result<u64, Failure>> + Send;
}

#[derive(Serialize)]
pub struct Report {
    /// Appends a second.
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl Load {
    pub async fn run<S: Append>(&self, store: S) -> Result<Report, Failure> {
        let (store, ready) = (Arc::new(store), Arc::new(Barrier::new(self.at_once)));
        let mut callers = JoinSet::new();
        for _ in 0..self.at_once {
            callers.spawn(caller(Arc::clone(&store), Arc::clone(&ready), self.warm_up, self.measure));
        }
        let mut times = Histogram::new_with_bounds(1, 60_000_000, 3)?;
        while let Some(ended) = callers.join_next().await {
            times.add(ended??)?;
        }
        let ms = |micros: u64| micros as f64 / 1000.0;
        Ok(Report {
            rate: times.len() as f64 / self.measure.as_secs_f64(),
            p50_ms: ms(times.value_at_quantile(0.5)),
            p99_ms: ms(times.value_at_quantile(0.99)),
            max_ms: ms(times.max()),
        })
    }
}

/// Microseconds of each append that began after the warm-up and ended before the end.
async fn caller<S: Append>(
    store: Arc<S>,
    ready: Arc<Barrier>,
    warm_up: Duration,
    measure: Duration,
) -> Result<Histogram<u64>, Failure> {
    let mut times = Histogram::new_with_bounds(1, 60_000_000, 3)?;
    let mut streams = [(); STREAMS].map(|()| (Uuid::new_v4(), None));
    for (stream, after) in &mut streams {
        *after = Some(store.append(*stream, None).await?);
    }
    ready.wait().await;
    let begin = Instant::now() + warm_up;
    let end = begin + measure;
    for turn in 0.. {
        let (stream, after) = &mut streams[turn % STREAMS];
        let sent = Instant::now();
        *after = Some(store.append(*stream, *after).await?);
        let now = Instant::now();
        if now > end {
            break;
        }
        if sent >= begin {
            times.saturating_record((now - sent).as_micros() as u64);
        }
    }
    Ok(times)
}
