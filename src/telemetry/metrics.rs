//! Counters and histograms for Prometheus. `described` documents each.
//!
//! Labels are bounded: names of commands, routes, projections and outcomes, never a room, a person or a tenant.

pub mod cache;
pub(super) mod described;
pub(super) mod made;

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Encoder, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge};
use prometheus::{IntGaugeVec, Registry, TextEncoder};
use sqlx::PgPool;

use super::{pool_waits, slow_statements};
use cache::CacheMetrics;
use described::*;
pub use described::{DESCRIBED, MetricSpec, markdown};
use made::{TIMES, counters, gauge_value, gauges, histogram, histograms, opts, register};

/// Events of a batch.
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0];

const NO_LABELS: &[&str] = &[];

/// The newest end of the log, and how long its partitions reach.
#[derive(Clone, Copy, Debug)]
pub struct LogStatus {
    pub position: u64,
    /// Of the last event, since the beginning of 1970.
    pub recorded: Option<Duration>,
    pub runway: Duration,
}

/// The metrics of one process. Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<MetricInstruments>);

#[derive(Debug)]
struct MetricInstruments {
    registry: Registry,
    commands: HistogramVec,
    append_seconds: Histogram,
    append_events: Histogram,
    appended: IntCounter,
    // Families of at most one: a gauge that is not told is not there, rather than old.
    log_position: IntGaugeVec,
    log_recorded: GaugeVec,
    log_runway: IntGaugeVec,
    projection_seconds: HistogramVec,
    projected: IntCounterVec,
    projection_position: IntGaugeVec,
    projection_lag: IntGaugeVec,
    projection_stopped: IntGaugeVec,
    relaying: IntGauge,
    relayed: IntCounter,
    relay_seconds: Histogram,
    relay_position: IntGaugeVec,
    relay_lag: IntGaugeVec,
    fed: IntCounterVec,
    http_seconds: HistogramVec,
    http_connections: IntGauge,
    http_refused: IntCounter,
    problems: IntCounterVec,
    streams_open: IntGauge,
    events_rendered: IntCounter,
    reads: IntCounterVec,
    replica_used: IntGaugeVec,
    slow_statements: IntCounter,
    breaker_state: IntGaugeVec,
    breaker_opened: IntCounterVec,
    breaker_calls: IntCounterVec,
    cache: CacheMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let registry = Registry::new();
        let build = register(&registry, GaugeVec::new(opts(&BUILD), BUILD.labels));
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        register(&registry, Ok(pool_waits::seen()));
        Self(Arc::new(MetricInstruments {
            commands: register(&registry, histograms(&COMMAND_SECONDS, TIMES)),
            append_seconds: register(&registry, histogram(&APPEND_SECONDS, TIMES)),
            append_events: register(&registry, histogram(&APPEND_EVENTS, SIZES)),
            appended: register(&registry, IntCounter::with_opts(opts(&APPENDED))),
            log_position: register(&registry, gauges(&LOG_POSITION)),
            log_recorded: register(&registry, GaugeVec::new(opts(&LOG_RECORDED), LOG_RECORDED.labels)),
            log_runway: register(&registry, gauges(&LOG_RUNWAY)),
            projection_seconds: register(&registry, histograms(&PROJECTION_SECONDS, TIMES)),
            projected: register(&registry, counters(&PROJECTED)),
            projection_position: register(&registry, gauges(&PROJECTION_POSITION)),
            projection_lag: register(&registry, gauges(&PROJECTION_LAG)),
            projection_stopped: register(&registry, gauges(&PROJECTION_STOPPED)),
            relaying: register(&registry, IntGauge::with_opts(opts(&RELAYING))),
            relayed: register(&registry, IntCounter::with_opts(opts(&RELAYED))),
            relay_seconds: register(&registry, histogram(&RELAY_SECONDS, TIMES)),
            relay_position: register(&registry, gauges(&RELAY_POSITION)),
            relay_lag: register(&registry, gauges(&RELAY_LAG)),
            fed: register(&registry, counters(&FED)),
            http_seconds: register(&registry, histograms(&HTTP_SECONDS, TIMES)),
            http_connections: register(&registry, IntGauge::with_opts(opts(&HTTP_CONNECTIONS))),
            http_refused: register(&registry, IntCounter::with_opts(opts(&HTTP_REFUSED))),
            problems: register(&registry, counters(&PROBLEMS)),
            reads: register(&registry, counters(&READS)),
            replica_used: register(&registry, gauges(&REPLICA_USED)),
            slow_statements: register(&registry, IntCounter::with_opts(opts(&SLOW_STATEMENTS))),
            streams_open: register(&registry, IntGauge::with_opts(opts(&STREAMS_OPEN))),
            events_rendered: register(&registry, IntCounter::with_opts(opts(&EVENTS_RENDERED))),
            breaker_state: register(&registry, gauges(&BREAKER_STATE)),
            breaker_opened: register(&registry, counters(&BREAKER_OPENED)),
            breaker_calls: register(&registry, counters(&BREAKER_CALLS)),
            cache: CacheMetrics::new(&registry),
            registry,
        }))
    }

    /// One command; `outcome` is `accepted`, `replayed`, or why not.
    pub fn command(&self, name: &str, outcome: &str, took: Duration) {
        self.0.commands.with_label_values(&[name, outcome]).observe(took.as_secs_f64());
    }

    /// One append transaction that committed `events`.
    pub fn append(&self, events: usize, took: Duration) {
        self.0.append_seconds.observe(took.as_secs_f64());
        self.0.append_events.observe(events as f64);
        self.0.appended.inc_by(events as u64);
    }

    /// How the log stands; `None` while it does not tell.
    pub fn log(&self, status: Option<LogStatus>) {
        self.0.log_recorded.reset();
        let Some(status) = status else {
            self.0.log_position.reset();
            return self.0.log_runway.reset();
        };
        self.0.log_position.with_label_values(NO_LABELS).set(gauge_value(status.position));
        self.0.log_runway.with_label_values(NO_LABELS).set(gauge_value(status.runway.as_secs()));
        if let Some(recorded) = status.recorded {
            self.0.log_recorded.with_label_values(NO_LABELS).set(recorded.as_secs_f64());
        }
    }

    /// One batch of a projection that now stands at `position`, while the log stands at `head`.
    pub fn projected(&self, name: &str, events: usize, position: u64, head: u64, took: Duration) {
        self.0.projection_seconds.with_label_values(&[name]).observe(took.as_secs_f64());
        self.0.projected.with_label_values(&[name]).inc_by(events as u64);
        self.0.projection_position.with_label_values(&[name]).set(gauge_value(position));
        self.0.projection_lag.with_label_values(&[name]).set(gauge_value(head.saturating_sub(position)));
    }

    /// A projection of this process stopped, or continued.
    pub fn projection_stopped(&self, name: &str, stopped: bool) {
        self.0.projection_stopped.with_label_values(&[name]).set(i64::from(stopped));
    }

    /// Whether this process is the relay.
    pub fn relaying(&self, active: bool) {
        self.0.relaying.set(i64::from(active));
    }

    /// One transaction of the relay.
    pub fn relayed(&self, events: usize, took: Duration) {
        self.0.relayed.inc_by(events as u64);
        self.0.relay_seconds.observe(took.as_secs_f64());
    }

    /// How far the topic has come of a log that ends at `head`; `None`: there is none, or it does not tell.
    pub fn topic(&self, status: Option<(u64, u64)>) {
        self.0.relay_position.reset();
        self.0.relay_lag.reset();
        if let Some((position, head)) = status {
            self.0.relay_position.with_label_values(NO_LABELS).set(gauge_value(position));
            self.0.relay_lag.with_label_values(NO_LABELS).set(gauge_value(head.saturating_sub(position)));
        }
    }

    /// What a feed of the topic gave, from the topic or from the log.
    pub fn fed(&self, from: &str, events: usize) {
        self.0.fed.with_label_values(&[from]).inc_by(events as u64);
    }

    pub fn fed_from(&self, from: &str) -> u64 {
        self.0.fed.with_label_values(&[from]).get()
    }

    /// One request; `route` is the template (`/v1/rooms/{room}`), never the path.
    pub fn http(&self, method: &str, route: &str, status: u16, took: Duration) {
        let mut digits = [0u8; 3];
        let status = three_digits(status, &mut digits);
        self.0.http_seconds.with_label_values(&[method, route, status]).observe(took.as_secs_f64());
    }

    pub fn problem(&self, code: &str) {
        self.0.problems.with_label_values(&[code]).inc();
    }

    pub fn connections_open(&self) -> &IntGauge {
        &self.0.http_connections
    }

    pub fn connection_refused(&self) {
        self.0.http_refused.inc();
    }

    pub fn streams_open(&self) -> &IntGauge {
        &self.0.streams_open
    }

    pub fn event_rendered(&self) {
        self.0.events_rendered.inc();
    }

    /// 0 closed, 1 half-open, 2 open.
    pub fn breaker_state(&self, target: &str, state: i64) {
        self.0.breaker_state.with_label_values(&[target]).set(state);
    }

    pub fn breaker_opened(&self, target: &str) {
        self.0.breaker_opened.with_label_values(&[target]).inc();
    }

    pub fn breaker_call(&self, target: &str, outcome: &str) {
        self.0.breaker_calls.with_label_values(&[target, outcome]).inc();
    }

    pub fn cache(&self) -> &CacheMetrics {
        &self.0.cache
    }

    /// Watches a pool: it is asked at each scrape. Once per name; a second pool of the same name is not counted.
    pub fn pool(&self, name: impl Into<String>, pool: &PgPool) {
        let name = name.into();
        if let Err(error) = self.0.registry.register(Box::new(PoolWatch::new(&name, pool.clone()))) {
            tracing::warn!(pool = name, %error, "metrics of a connection pool are unavailable");
        }
    }

    /// A read of the read models, from a `replica` or the `primary`.
    pub fn read_from(&self, from: &str) {
        self.0.reads.with_label_values(&[from]).inc();
    }

    /// Whether a replica, by its number in the setting, is read from.
    pub fn replica_used(&self, number: &str, used: bool) {
        self.0.replica_used.with_label_values(&[number]).set(i64::from(used));
    }

    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// The text that Prometheus scrapes.
    pub fn encode(&self) -> Result<String, prometheus::Error> {
        self.0.slow_statements.reset();
        self.0.slow_statements.inc_by(slow_statements::seen());
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0.registry.gather(), &mut text)?;
        String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }
}

/// The size of a pool, asked when somebody looks.
struct PoolWatch {
    pool: PgPool,
    gauge: IntGaugeVec,
}

impl PoolWatch {
    fn new(name: &str, pool: PgPool) -> Self {
        let opts = opts(&POOL_CONNECTIONS).const_label("pool", name);
        let gauge = IntGaugeVec::new(opts, &["state"]).expect("the names in this file are valid");
        Self { pool, gauge }
    }
}

impl Collector for PoolWatch {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (size, idle) = (i64::from(self.pool.size()), self.pool.num_idle() as i64);
        let limit = i64::from(self.pool.options().get_max_connections());
        for (state, value) in [("busy", (size - idle).max(0)), ("idle", idle), ("limit", limit)] {
            self.gauge.with_label_values(&[state]).set(value);
        }
        self.gauge.collect()
    }
}

fn three_digits(status: u16, digits: &mut [u8; 3]) -> &str {
    for (digit, place) in digits.iter_mut().zip([100, 10, 1]) {
        *digit = b'0' + (status / place % 10) as u8;
    }
    std::str::from_utf8(digits).unwrap_or("000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_told_to_prometheus() {
        let metrics = Metrics::new();
        metrics.command("join", "done", Duration::from_millis(3));
        metrics.append(7, Duration::from_millis(2));
        metrics.projected("rooms", 5, 95, 100, Duration::from_millis(1));
        metrics.http("GET", "/v1/rooms/{room}", 304, Duration::from_millis(1));
        let text = metrics.encode().expect("all names are valid");
        for line in [
            "convoke_command_seconds_count{command=\"join\",outcome=\"done\"} 1",
            "convoke_events_appended_total 7",
            "convoke_append_events_sum 7",
            "convoke_projection_lag_events{projection=\"rooms\"} 5",
            "convoke_http_request_seconds_count{method=\"GET\",route=\"/v1/rooms/{room}\",status=\"304\"} 1",
            "convoke_streams_open 0",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_log_that_does_not_tell_has_no_old_gauges() {
        let metrics = Metrics::new();
        let recorded = Some(Duration::from_millis(1_700_000_000_250));
        metrics.log(Some(LogStatus { position: 7, recorded, runway: Duration::from_secs(90) }));
        let text = metrics.encode().expect("all names are valid");
        for line in [
            "convoke_log_position 7\n",
            "convoke_log_recorded_timestamp_seconds 1700000000.25\n",
            "convoke_log_runway_seconds 90\n",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        metrics.log(None);
        assert!(!metrics.encode().expect("all names are valid").contains("convoke_log_"));
    }

    #[test]
    fn every_metric_is_described_under_the_name_it_has() {
        let names: Vec<&str> = DESCRIBED.iter().map(|d| d.name).collect();
        let told = Metrics::new();
        for family in told.registry().gather() {
            assert!(names.contains(&family.name()), "{} is not described", family.name());
        }
    }
}
