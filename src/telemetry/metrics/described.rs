//! What each metric is called and what it says: the registry and `docs/metrics.md` are made from this.

/// One metric: name, kind, labels, and what it says.
#[derive(Debug, Clone, Copy)]
pub struct MetricSpec {
    pub name: &'static str,
    pub kind: &'static str,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

const fn described(
    name: &'static str,
    kind: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> MetricSpec {
    MetricSpec { name, kind, labels, help }
}

pub(super) const COMMAND_SECONDS: MetricSpec = described(
    "convoke_command_seconds",
    "histogram",
    &["command", "outcome"],
    "Time of a command from its execution to its durable outcome; outcome is `accepted`, `replayed`, or why not",
);
pub(super) const APPEND_SECONDS: MetricSpec =
    described("convoke_append_seconds", "histogram", &[], "Time of one append transaction, commit included");
pub(super) const APPEND_EVENTS: MetricSpec =
    described("convoke_append_events", "histogram", &[], "Events that one append transaction wrote");
pub(super) const APPENDED: MetricSpec =
    described("convoke_events_appended_total", "counter", &[], "Events that this process appended to the log");
pub(super) const LOG_POSITION: MetricSpec = described(
    "convoke_log_position",
    "gauge",
    &[],
    "Position of the log's last event; this and the next two are not there while the log's database does not answer",
);
pub(super) const LOG_RECORDED: MetricSpec = described(
    "convoke_log_recorded_timestamp_seconds",
    "gauge",
    &[],
    "When the log's last event was recorded, Unix time; not there while the log is empty",
);
pub(super) const LOG_RUNWAY: MetricSpec = described(
    "convoke_log_runway_seconds",
    "gauge",
    &[],
    "Seconds until the end of the partitions made ahead, 0 where the present has none; the server is not ready below a tenth of \
     `CONVOKE_LOG_PARTITION_RUNWAY`",
);
pub(super) const PROJECTION_SECONDS: MetricSpec = described(
    "convoke_projection_batch_seconds",
    "histogram",
    &["projection"],
    "Time of one batch of a projection, rows and checkpoint committed",
);
pub(super) const PROJECTED: MetricSpec =
    described("convoke_projection_events_total", "counter", &["projection"], "Events that a projection has applied");
pub(super) const PROJECTION_POSITION: MetricSpec =
    described("convoke_projection_position", "gauge", &["projection"], "Position of a projection's checkpoint");
pub(super) const PROJECTION_LAG: MetricSpec = described(
    "convoke_projection_lag_events",
    "gauge",
    &["projection"],
    "Events in the log that a projection has yet to apply",
);
pub(super) const PROJECTION_STOPPED: MetricSpec = described(
    "convoke_projection_stopped",
    "gauge",
    &["projection"],
    "1 while a projection of this process has stopped at something that it cannot apply, else 0",
);
pub(super) const RELAYING: MetricSpec = described(
    "convoke_relay_active",
    "gauge",
    &[],
    "1 while this process is the relay that copies the log to Kafka, else 0",
);
pub(super) const RELAYED: MetricSpec =
    described("convoke_relay_events_total", "counter", &[], "Events that this process has committed to the topic");
pub(super) const RELAY_SECONDS: MetricSpec = described(
    "convoke_relay_transaction_seconds",
    "histogram",
    &[],
    "Time of one transaction of the relay, from its first record until the progress is stored",
);
pub(super) const RELAY_POSITION: MetricSpec = described(
    "convoke_relay_position",
    "gauge",
    &[],
    "Position up to which the topic has the log, where Kafka is configured; not there while the log's database does not answer",
);
pub(super) const RELAY_LAG: MetricSpec = described(
    "convoke_relay_lag_events",
    "gauge",
    &[],
    "Events of the log that are not yet in the topic, where Kafka is configured",
);
pub(super) const FED: MetricSpec = described(
    "convoke_feed_events_total",
    "counter",
    &["from"],
    "Events that came through feeds of the Kafka topic (`CONVOKE_FEED`), and from where: `topic`, or `log` for what the topic lacked",
);
pub(super) const HTTP_SECONDS: MetricSpec = described(
    "convoke_http_request_seconds",
    "histogram",
    &["method", "route", "status"],
    "Time from the head of a request to the head of its answer",
);
pub(super) const HTTP_CONNECTIONS: MetricSpec =
    described("convoke_http_connections_open", "gauge", &[], "Open HTTP connections");
pub(super) const HTTP_REFUSED: MetricSpec = described(
    "convoke_http_connections_refused_total",
    "counter",
    &[],
    "Connections refused because the bound on them was reached",
);
pub(super) const PROBLEMS: MetricSpec =
    described("convoke_problems_total", "counter", &["code"], "Problem responses, by code");
pub(super) const STREAMS_OPEN: MetricSpec =
    described("convoke_streams_open", "gauge", &[], "Open live streams of events");
pub(super) const EVENTS_RENDERED: MetricSpec = described(
    "convoke_events_rendered_total",
    "counter",
    &[],
    "Events rendered for readers: once for each form, however many readers get it",
);
pub(super) const POOL_CONNECTIONS: MetricSpec = described(
    "convoke_pool_connections",
    "gauge",
    &["pool", "state"],
    "Connections to PostgreSQL by pool (`write`, `read`, `replica-1`…; `session` beside a pooler: those to the server itself); state \
     is `busy`, `idle` or `limit`",
);
pub(in crate::telemetry) const POOL_WAIT_SECONDS: MetricSpec = described(
    "convoke_pool_wait_seconds",
    "histogram",
    &[],
    "How long a connection of a pool was waited for, connecting included; which pool is short, `convoke_pool_connections` tells",
);
pub(super) const BREAKER_STATE: MetricSpec = described(
    "convoke_breaker_state",
    "gauge",
    &["target"],
    "The circuit breaker around a target: 0 closed (it is asked), 1 half-open (it is tried), 2 open (it is left alone)",
);
pub(super) const BREAKER_OPENED: MetricSpec = described(
    "convoke_breaker_opened_total",
    "counter",
    &["target"],
    "How often a target failed until its breaker opened; trials that failed after that are not counted anew",
);
pub(super) const BREAKER_CALLS: MetricSpec = described(
    "convoke_breaker_calls_total",
    "counter",
    &["target", "outcome"],
    "Calls of a target behind a breaker; outcome is `succeeded`, `failed` or `refused` (not made: the breaker was open)",
);
pub(super) const READS: MetricSpec = described(
    "convoke_reads_total",
    "counter",
    &["from"],
    "Reads of read models that caches did not answer, by where they went: a `replica`, or the `primary`",
);
pub(super) const REPLICA_USED: MetricSpec = described(
    "convoke_replica_used",
    "gauge",
    &["replica"],
    "1 while a replica (by its place in `DATABASE_READ_URLS`) is read from, 0 while it is left out",
);
pub(super) const SLOW_STATEMENTS: MetricSpec = described(
    "convoke_slow_statements_total",
    "counter",
    &[],
    "Statements to PostgreSQL that took longer than `CONVOKE_DATABASE_SLOW_STATEMENT`",
);
pub(super) const CACHE_READS: MetricSpec = described(
    "convoke_cache_reads_total",
    "counter",
    &["layer", "outcome"],
    "Reads of room states by layer (`memory`, `redis`, `database`); outcome is `hit`, `miss`, `unknown` (a snapshot that is not of \
     this log; memory while the log cannot be followed) or `failed`",
);
pub(super) const CACHE_AGE: MetricSpec = described(
    "convoke_cache_age_seconds",
    "histogram",
    &["layer"],
    "How long ago a snapshot that was used had been made",
);
pub(super) const CACHE_WRITES: MetricSpec = described(
    "convoke_cache_writes_total",
    "counter",
    &["outcome"],
    "Values for Redis: `written`, `older` (a newer one was there), `left-out` (too many waited) or `failed`",
);
pub(super) const CACHE_ENTRIES: MetricSpec =
    described("convoke_cache_entries", "gauge", &["layer"], "Rooms in the memory of this process");
pub(super) const CACHE_BYTES: MetricSpec = described(
    "convoke_cache_bytes",
    "gauge",
    &["layer"],
    "Bytes of the rooms in the memory of this process, and those that the whole Redis uses",
);
pub(super) const CACHE_POSITION: MetricSpec = described(
    "convoke_cache_position",
    "gauge",
    &[],
    "Up to where the rooms in the memory of this process contain the log",
);
pub(super) const CACHE_BEGUN: MetricSpec = described(
    "convoke_cache_followings_total",
    "counter",
    &[],
    "How often the rooms in memory began anew: at the start, after each loss of the database, each new epoch",
);
pub(super) const BUILD: MetricSpec =
    described("convoke_build_info", "gauge", &["version"], "Always 1; which version runs");

/// Every metric there is.
pub const DESCRIBED: &[MetricSpec] = &[
    COMMAND_SECONDS,
    APPEND_SECONDS,
    APPEND_EVENTS,
    APPENDED,
    LOG_POSITION,
    LOG_RECORDED,
    LOG_RUNWAY,
    PROJECTION_SECONDS,
    PROJECTED,
    PROJECTION_POSITION,
    PROJECTION_LAG,
    PROJECTION_STOPPED,
    RELAYING,
    RELAYED,
    RELAY_SECONDS,
    RELAY_POSITION,
    RELAY_LAG,
    FED,
    HTTP_SECONDS,
    HTTP_CONNECTIONS,
    HTTP_REFUSED,
    PROBLEMS,
    STREAMS_OPEN,
    EVENTS_RENDERED,
    POOL_CONNECTIONS,
    POOL_WAIT_SECONDS,
    READS,
    REPLICA_USED,
    SLOW_STATEMENTS,
    BREAKER_STATE,
    BREAKER_OPENED,
    BREAKER_CALLS,
    CACHE_READS,
    CACHE_AGE,
    CACHE_WRITES,
    CACHE_ENTRIES,
    CACHE_BYTES,
    CACHE_POSITION,
    CACHE_BEGUN,
    BUILD,
];

/// `docs/metrics.md`.
pub fn markdown() -> String {
    let rows: String = DESCRIBED
        .iter()
        .map(|d| {
            let labels: Vec<String> = d.labels.iter().map(|label| format!("`{label}`")).collect();
            format!("| `{}` | {} | {} | {} |\n", d.name, d.kind, labels.join(", "), d.help)
        })
        .collect();
    format!(
        "# Metrics\n\n`GET /metrics` answers in the text format of Prometheus. Labels are bounded: none carries a room, a \
         person or a tenant.\n\n| name | kind | labels | what it says |\n|---|---|---|---|\n{rows}"
    )
}
