//! The metrics of the cache. Every read counts, so they are looked up once.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::described::*;
use super::made::{counters, gauge_value, gauges, histograms, opts, register};

/// Seconds: a snapshot in Redis lives for minutes.
const AGES: &[f64] = &[0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheLayer {
    Memory,
    Redis,
    Database,
}

/// What a layer had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerOutcome {
    Hit,
    /// Nothing.
    Miss,
    /// Something that is not of this log, or memory while the log cannot be followed.
    Unknown,
    /// It did not answer.
    Failed,
}

const LAYERS: [&str; 3] = ["memory", "redis", "database"];
const OUTCOMES: [&str; 4] = ["hit", "miss", "unknown", "failed"];

/// Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub struct CacheMetrics(Arc<CacheInstruments>);

#[derive(Debug)]
struct CacheInstruments {
    reads: [[IntCounter; OUTCOMES.len()]; LAYERS.len()],
    ages: [Histogram; LAYERS.len()],
    written: IntCounterVec,
    entries: IntGaugeVec,
    bytes: IntGaugeVec,
    position: IntGauge,
    begun: IntCounter,
}

impl CacheMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let reads: IntCounterVec = register(registry, counters(&CACHE_READS));
        let ages: HistogramVec = register(registry, histograms(&CACHE_AGE, AGES));
        Self(Arc::new(CacheInstruments {
            reads: LAYERS.map(|layer| OUTCOMES.map(|outcome| reads.with_label_values(&[layer, outcome]))),
            ages: LAYERS.map(|layer| ages.with_label_values(&[layer])),
            written: register(registry, counters(&CACHE_WRITES)),
            entries: register(registry, gauges(&CACHE_ENTRIES)),
            bytes: register(registry, gauges(&CACHE_BYTES)),
            position: register(registry, IntGauge::with_opts(opts(&CACHE_POSITION))),
            begun: register(registry, IntCounter::with_opts(opts(&CACHE_BEGUN))),
        }))
    }

    /// A layer was asked.
    pub fn read(&self, layer: CacheLayer, outcome: LayerOutcome) {
        self.0.reads[layer as usize][outcome as usize].inc();
    }

    /// How often a layer was asked, with this outcome.
    pub fn reads(&self, layer: CacheLayer, outcome: LayerOutcome) -> u64 {
        self.0.reads[layer as usize][outcome as usize].get()
    }

    /// How long ago what a layer had was made.
    pub fn age(&self, layer: CacheLayer, age: Duration) {
        self.0.ages[layer as usize].observe(age.as_secs_f64());
    }

    /// How old what a layer had was on average, in seconds; nought where it never answered.
    pub fn mean_age(&self, layer: CacheLayer) -> f64 {
        let ages = &self.0.ages[layer as usize];
        match ages.get_sample_count() {
            0 => 0.0,
            count => ages.get_sample_sum() / count as f64,
        }
    }

    /// Values for Redis: `written`, `older` (a newer one was there), `left-out`, `failed`.
    pub fn written(&self, outcome: &str, count: u64) {
        self.0.written.with_label_values(&[outcome]).inc_by(count);
    }

    pub fn memory(&self, entries: u64, bytes: u64) {
        self.0.entries.with_label_values(&["memory"]).set(gauge_value(entries));
        self.0.bytes.with_label_values(&["memory"]).set(gauge_value(bytes));
    }

    /// What the whole Redis uses.
    pub fn redis(&self, bytes: u64) {
        self.0.bytes.with_label_values(&["redis"]).set(gauge_value(bytes));
    }

    /// How far the log is known.
    pub fn position(&self, position: u64) {
        self.0.position.set(gauge_value(position));
    }

    /// The follower began anew, and what was in memory is gone.
    pub fn began(&self) {
        self.0.begun.inc();
    }

    pub fn times_begun(&self) -> u64 {
        self.0.begun.get()
    }
}
