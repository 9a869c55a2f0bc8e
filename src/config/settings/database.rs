//! Settings of the database.

use super::{Accepts, Duration, HOUR, MS, SECOND, Setting, SettingGroup};

pub(super) const GROUP: SettingGroup = SettingGroup {
    title: "Database",
    settings: &[
        &DATABASE_URL,
        &DATABASE_POOLER_URL,
        &DATABASE_READ_URLS,
        &DATABASE_REPLICA_LAG,
        &DATABASE_POOL_SIZE,
        &DATABASE_READ_POOL_SIZE,
        &DATABASE_ACQUIRE_TIMEOUT,
        &DATABASE_STATEMENT_TIMEOUT,
        &DATABASE_SLOW_STATEMENT,
        &POSTGRES_BIN,
    ],
};

pub const DATABASE_URL: Setting = Setting::new(
    "DATABASE_URL",
    "database.url",
    Accepts::Url,
    "",
    "The URL of a PostgreSQL, 15 or newer. Without it, the program runs a private one in the data directory.",
);
pub const DATABASE_POOLER_URL: Setting = Setting::new(
    "DATABASE_POOLER_URL",
    "database.pooler_url",
    Accepts::Url,
    "",
    "A pooler in transaction mode (PgBouncer) in front of that database. A server's statements go through it; connections that need a \
     session use `DATABASE_URL`.",
);
pub const DATABASE_READ_URLS: Setting = Setting::new(
    "DATABASE_READ_URLS",
    "database.read_urls",
    Accepts::Url,
    "",
    "Streaming replicas of that database, separated by commas. Read models are read from a replica that has the position of the reader, \
     or from the primary if none has.",
);
pub const DATABASE_REPLICA_LAG: Setting = Setting::new(
    "CONVOKE_DATABASE_REPLICA_LAG",
    "database.replica_lag",
    Accepts::Time(SECOND, HOUR),
    "5s",
    "The largest lag of a replica behind the primary; a replica that lags more is not read.",
);
pub const DATABASE_POOL_SIZE: Setting = Setting::new(
    "CONVOKE_DATABASE_POOL_SIZE",
    "database.pool_size",
    Accepts::Count(2, 1000),
    "16",
    "The largest number of database connections for commands, read models and maintenance; appends and notifications use one more each.",
);
pub const DATABASE_READ_POOL_SIZE: Setting = Setting::new(
    "CONVOKE_DATABASE_READ_POOL_SIZE",
    "database.read_pool_size",
    Accepts::Count(2, 1000),
    "16",
    "The largest number of database connections for reads and streams: to the primary, and to each replica.",
);
pub const DATABASE_ACQUIRE_TIMEOUT: Setting = Setting::new(
    "CONVOKE_DATABASE_ACQUIRE_TIMEOUT",
    "database.acquire_timeout",
    Accepts::Time(Duration::from_millis(10), Duration::from_secs(5 * 60)),
    "5s",
    "How long a request waits for a connection before it is answered 503.",
);
pub const DATABASE_STATEMENT_TIMEOUT: Setting = Setting::new(
    "CONVOKE_DATABASE_STATEMENT_TIMEOUT",
    "database.statement_timeout",
    Accepts::Time(Duration::from_millis(10), HOUR),
    "30s",
    "Time limit of a statement; migrations and rebuilds are exempt.",
);
pub const DATABASE_SLOW_STATEMENT: Setting = Setting::new(
    "CONVOKE_DATABASE_SLOW_STATEMENT",
    "database.slow_statement",
    Accepts::Time(MS, HOUR),
    "100ms",
    "Statements that take longer are logged, with their text and without their values, and counted.",
);
pub const POSTGRES_BIN: Setting = Setting::new(
    "CONVOKE_POSTGRES_BIN",
    "database.postgres_bin",
    Accepts::Path,
    "",
    "The folder of the binaries (postgres, initdb) of the private server; default: the newest in the usual folders.",
);
