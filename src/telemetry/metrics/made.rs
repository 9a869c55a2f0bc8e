//! Instruments made from their descriptions.

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::described::MetricSpec;

/// Seconds: a commit is about a millisecond, a time-out some ten seconds.
pub const TIMES: &[f64] = &[0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

pub fn opts(about: &MetricSpec) -> Opts {
    Opts::new(about.name, about.help)
}

fn histogram_opts(about: &MetricSpec, buckets: &[f64]) -> HistogramOpts {
    HistogramOpts::new(about.name, about.help).buckets(buckets.to_vec())
}

pub fn histogram(about: &MetricSpec, buckets: &[f64]) -> prometheus::Result<Histogram> {
    Histogram::with_opts(histogram_opts(about, buckets))
}

pub fn histograms(about: &MetricSpec, buckets: &[f64]) -> prometheus::Result<HistogramVec> {
    HistogramVec::new(histogram_opts(about, buckets), about.labels)
}

pub fn gauges(about: &MetricSpec) -> prometheus::Result<IntGaugeVec> {
    IntGaugeVec::new(opts(about), about.labels)
}

pub fn counters(about: &MetricSpec) -> prometheus::Result<IntCounterVec> {
    IntCounterVec::new(opts(about), about.labels)
}

pub fn register<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    let metric = made.expect("the names and labels in `described` are valid");
    registry.register(Box::new(metric.clone())).expect("each name there stands once");
    metric
}

pub fn gauge_value(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
