//! The table of settings: name, accepted values, default and meaning. The reader, `docs/configuration.md` and `.env.example` use
//! this table.

mod archive;
mod cache;
mod database;
mod fault;
mod kafka;
mod retention;
mod telemetry;

use std::time::Duration;

pub use archive::*;
pub use cache::*;
pub use database::*;
pub use fault::*;
pub use kafka::*;
pub use retention::*;
pub use telemetry::*;

/// What a setting takes; checked by the reader and told in the documentation.
#[derive(Clone, Copy, Debug)]
pub enum Accepts {
    Text,
    Path,
    /// `host:port`
    Address,
    /// `postgres://…`
    Url,
    Keys,
    OneOf(&'static [&'static str]),
    /// Several of these, separated by commas.
    SomeOf(&'static [&'static str]),
    Count(u64, u64),
    /// Bytes.
    Size(u64, u64),
    Time(Duration, Duration),
}

#[derive(Debug)]
pub struct Setting {
    /// In the environment.
    pub name: &'static str,
    /// In the configuration file, as `table.key`.
    pub key: &'static str,
    pub accepts: Accepts,
    /// As it would be written; empty: none.
    pub default: &'static str,
    pub meaning: &'static str,
}

impl Setting {
    const fn new(
        name: &'static str,
        key: &'static str,
        accepts: Accepts,
        default: &'static str,
        meaning: &'static str,
    ) -> Self {
        Self { name, key, accepts, default, meaning }
    }

    /// A secret is never printed, and may be given as a file: the same name with `_FILE` holds its path.
    pub fn is_secret(&self) -> bool {
        matches!(self.accepts, Accepts::Url | Accepts::Keys)
    }
}

/// Settings there were, and what came in their place.
pub const RETIRED: &[(&str, &str)] =
    &[("CONVOKE_LOG_ROOM_CACHE", "states of rooms are bounded in bytes now, by CONVOKE_LOG_ROOM_MEMORY")];

/// Settings that belong together, as the documentation shows them.
pub struct SettingGroup {
    pub title: &'static str,
    pub settings: &'static [&'static Setting],
}

pub const GROUPS: &[SettingGroup] = &[
    SettingGroup {
        title: "The process",
        settings: &[&CONFIG, &ENVIRONMENT, &ROLES, &DATA_DIR, &SHUTDOWN_TIMEOUT, &FAULT],
    },
    SettingGroup {
        title: "HTTP",
        settings: &[
            &HTTP_LISTEN,
            &HTTP_MAX_CONNECTIONS,
            &HTTP_BODY_LIMIT,
            &HTTP_HEADER_LIMIT,
            &HTTP_REQUEST_TIMEOUT,
            &HTTP_AT_LEAST_TIMEOUT,
            &HTTP_SPOOL_DIR,
            &HTTP_SPOOL_LIMIT,
        ],
    },
    SettingGroup { title: "Streams", settings: &[&STREAMS_LIMIT, &STREAMS_BUFFER, &STREAMS_HEARTBEAT] },
    database::GROUP,
    SettingGroup {
        title: "The log",
        settings: &[
            &LOG_PARTITION_UNIT,
            &LOG_PARTITION_RUNWAY,
            &LOG_IDEMPOTENCY_TTL,
            &LOG_APPEND_BATCH,
            &LOG_APPEND_QUEUE,
            &LOG_CONFLICT_RETRIES,
            &LOG_ROOM_MEMORY,
            &LOG_SNAPSHOT_INTERVAL,
        ],
    },
    SettingGroup {
        title: "Kafka",
        settings: &[
            &KAFKA_BROKERS,
            &KAFKA_PROPERTIES,
            &KAFKA_PREFIX,
            &KAFKA_TOPICS,
            &KAFKA_PERSONAL,
            &RELAY_BATCH,
            &RELAY_LEASE,
            &FEED,
        ],
    },
    SettingGroup { title: "Projections", settings: &[&PROJECTION_BATCH, &PROJECTION_REBUILD_BATCH] },
    retention::GROUP,
    archive::GROUP,
    cache::GROUP,
    SettingGroup { title: "Keys", settings: &[&SIGNING_KEYS, &JWKS, &MASTER_KEYS] },
    SettingGroup { title: "Telemetry", settings: &[&LOG_FORMAT, &LOG_LEVEL] },
];

pub fn all() -> impl Iterator<Item = &'static Setting> {
    GROUPS.iter().flat_map(|group| group.settings.iter().copied())
}

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = days(1);
const fn days(n: u64) -> Duration {
    Duration::from_secs(n * 24 * 3600)
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

pub const CONFIG: Setting = Setting::new(
    "CONVOKE_CONFIG",
    "",
    Accepts::Path,
    "",
    "A TOML file with any of these settings, under the keys in this table. The environment overrides it.",
);
pub const ENVIRONMENT: Setting = Setting::new(
    "CONVOKE_ENV",
    "environment",
    Accepts::OneOf(&["development", "production"]),
    "development",
    "In development, missing keys are generated and kept in the data directory; in production the server does not start without them.",
);
pub const ROLES: Setting = Setting::new(
    "CONVOKE_ROLES",
    "roles",
    Accepts::SomeOf(&["api", "projector", "relay", "maintenance"]),
    "api,projector,relay,maintenance",
    "Roles of this process: `api` serves HTTP, `projector` folds read models, `relay` copies the log to Kafka (if `KAFKA_BROKERS` \
     is set), `maintenance` creates partitions of the log and drops what has expired.",
);
pub const DATA_DIR: Setting = Setting::new(
    "CONVOKE_DATA_DIR",
    "data_dir",
    Accepts::Path,
    "./.convoke",
    "The directory of the private PostgreSQL server and the development keys.",
);
pub const SHUTDOWN_TIMEOUT: Setting = Setting::new(
    "CONVOKE_SHUTDOWN_TIMEOUT",
    "shutdown_timeout",
    Accepts::Time(SECOND, HOUR),
    "25s",
    "How long a stop waits for requests in flight before it aborts them.",
);

pub const HTTP_LISTEN: Setting = Setting::new(
    "CONVOKE_HTTP_LISTEN",
    "http.listen",
    Accepts::Address,
    "127.0.0.1:8080",
    "Address of the HTTP API; port 0 selects a free port.",
);
pub const HTTP_MAX_CONNECTIONS: Setting = Setting::new(
    "CONVOKE_HTTP_MAX_CONNECTIONS",
    "http.max_connections",
    Accepts::Count(1, 1_000_000),
    "10000",
    "The limit on open connections; further ones are answered 503 and closed.",
);
pub const HTTP_BODY_LIMIT: Setting = Setting::new(
    "CONVOKE_HTTP_BODY_LIMIT",
    "http.body_limit",
    Accepts::Size(KIB, 64 * MIB),
    "256KiB",
    "The largest body of a request.",
);
pub const HTTP_HEADER_LIMIT: Setting = Setting::new(
    "CONVOKE_HTTP_HEADER_LIMIT",
    "http.header_limit",
    Accepts::Size(8 * KIB, MIB),
    "32KiB",
    "The largest head (request line and headers) of a request.",
);
pub const HTTP_REQUEST_TIMEOUT: Setting = Setting::new(
    "CONVOKE_HTTP_REQUEST_TIMEOUT",
    "http.request_timeout",
    Accepts::Time(Duration::from_millis(100), HOUR),
    "30s",
    "How long a request may take to arrive, and its response to begin (except streams).",
);
pub const HTTP_AT_LEAST_TIMEOUT: Setting = Setting::new(
    "CONVOKE_HTTP_AT_LEAST_TIMEOUT",
    "http.at_least_timeout",
    Accepts::Time(MS, MINUTE),
    "5s",
    "How long a read waits for its read model to reach the position the caller asked for.",
);

pub const HTTP_SPOOL_DIR: Setting = Setting::new(
    "CONVOKE_HTTP_SPOOL_DIR",
    "http.spool_dir",
    Accepts::Path,
    "",
    "The directory of temporary files for responses to long lists of commands, used for clients that send everything before they \
     read. The files are unlinked at once. Default: `spool` in the data directory.",
);
pub const HTTP_SPOOL_LIMIT: Setting = Setting::new(
    "CONVOKE_HTTP_SPOOL_LIMIT",
    "http.spool_limit",
    Accepts::Size(0, 1024 * 1024 * MIB),
    "1GiB",
    "The limit on the size of all these files, in whole MiB; 0 disables them. At the limit, the last response to a client that \
     does not read says where the list was cut off.",
);

pub const STREAMS_LIMIT: Setting = Setting::new(
    "CONVOKE_STREAMS_LIMIT",
    "streams.limit",
    Accepts::Count(1, 1_000_000),
    "10000",
    "Event streams open at once in this process.",
);
pub const STREAMS_BUFFER: Setting = Setting::new(
    "CONVOKE_STREAMS_BUFFER",
    "streams.buffer",
    Accepts::Count(1, 1_000_000),
    "1024",
    "Events buffered for one slow reader before the server asks it to reconnect with its cursor.",
);
pub const STREAMS_HEARTBEAT: Setting = Setting::new(
    "CONVOKE_STREAMS_HEARTBEAT",
    "streams.heartbeat",
    Accepts::Time(Duration::from_millis(100), HOUR),
    "15s",
    "The interval of heartbeats on an idle stream.",
);

pub const LOG_PARTITION_UNIT: Setting = Setting::new(
    "CONVOKE_LOG_PARTITION_UNIT",
    "log.partition_unit",
    Accepts::OneOf(&["month", "week", "day"]),
    "month",
    "The span of one partition of the log. It may change: the next partition begins where the last one ends.",
);
pub const LOG_PARTITION_RUNWAY: Setting = Setting::new(
    "CONVOKE_LOG_PARTITION_RUNWAY",
    "log.partition_runway",
    Accepts::Time(DAY, days(3650)),
    "60d",
    "How far ahead partitions are created.",
);
pub const LOG_IDEMPOTENCY_TTL: Setting = Setting::new(
    "CONVOKE_LOG_IDEMPOTENCY_TTL",
    "log.idempotency_ttl",
    Accepts::Time(Duration::from_secs(2), days(365)),
    "48h",
    "How long the response under an idempotency key is kept.",
);
pub const LOG_APPEND_BATCH: Setting = Setting::new(
    "CONVOKE_LOG_APPEND_BATCH",
    "log.append_batch",
    Accepts::Count(1, 10_000),
    "512",
    "The largest number of commands in one commit.",
);
pub const LOG_APPEND_QUEUE: Setting = Setting::new(
    "CONVOKE_LOG_APPEND_QUEUE",
    "log.append_queue",
    Accepts::Count(1, 1_000_000),
    "20000",
    "Commands that may wait for a commit; further ones are answered 503.",
);
pub const LOG_CONFLICT_RETRIES: Setting = Setting::new(
    "CONVOKE_LOG_CONFLICT_RETRIES",
    "log.conflict_retries",
    Accepts::Count(0, 100),
    "8",
    "Retries of a command after another process wrote to its room first, before the server answers 503.",
);
pub const LOG_ROOM_MEMORY: Setting = Setting::new(
    "CONVOKE_LOG_ROOM_MEMORY",
    "log.room_memory",
    Accepts::Size(0, 64 * 1024 * MIB),
    "64MiB",
    "Memory for the states of recently written rooms; other rooms are loaded for their commands. Rooms with waiting commands stay \
     in memory beyond this limit.",
);
pub const LOG_SNAPSHOT_INTERVAL: Setting = Setting::new(
    "CONVOKE_LOG_SNAPSHOT_INTERVAL",
    "log.snapshot_interval",
    Accepts::Count(1, 1_000_000),
    "500",
    "The least number of events between two snapshots of a room. A large snapshot also waits until the room's log has grown by \
     the snapshot's size.",
);

pub const PROJECTION_BATCH: Setting = Setting::new(
    "CONVOKE_PROJECTION_BATCH",
    "projections.batch",
    Accepts::Count(1, 100_000),
    "5000",
    "The largest number of events that a read model applies in one transaction.",
);
pub const PROJECTION_REBUILD_BATCH: Setting = Setting::new(
    "CONVOKE_PROJECTION_REBUILD_BATCH",
    "projections.rebuild_batch",
    Accepts::Count(1, 10_000_000),
    "500000",
    "Events that a rebuild applies in one transaction, and has to repeat after a crash.",
);

pub const SIGNING_KEYS: Setting = Setting::new(
    "CONVOKE_SIGNING_KEYS",
    "keys.signing",
    Accepts::Keys,
    "",
    "Secrets that sign and verify tokens (HS256), as ID:SECRET or ID@TENANT:SECRET, separated by commas or line breaks; \
     a secret has at least 32 characters. The first one signs.",
);
pub const JWKS: Setting = Setting::new(
    "CONVOKE_JWKS",
    "keys.jwks",
    Accepts::Keys,
    "",
    "Public keys that verify tokens (RS256, ES256, EdDSA): a JWK set, or an object from tenant to JWK set.",
);
pub const MASTER_KEYS: Setting = Setting::new(
    "CONVOKE_MASTER_KEYS",
    "keys.master",
    Accepts::Keys,
    "",
    "Keys that wrap the keys of persons, as ID:BASE64 of 32 bytes, separated by commas or line breaks, newest first. \
     Older ones stay listed until `convoke` has rewrapped what they hold.",
);
