//! Settings of the cache.

use super::{Accepts, Duration, HOUR, KIB, MINUTE, MS, SECOND, Setting, SettingGroup};

pub(super) const GROUP: SettingGroup = SettingGroup {
    title: "Cache",
    settings: &[&REDIS_URL, &REDIS_TIMEOUT, &CACHE_MEMORY, &CACHE_LIFE, &CACHE_WARM_INTERVAL],
};

pub const REDIS_URL: Setting = Setting::new(
    "REDIS_URL",
    "cache.redis_url",
    Accepts::Url,
    "",
    "A Redis in which the nodes share snapshots of rooms: redis://HOST:PORT/DATABASE, rediss:// over TLS, or unix:///PATH. Without it, a node loads rooms from the database alone.",
);
pub const REDIS_TIMEOUT: Setting = Setting::new(
    "CONVOKE_REDIS_TIMEOUT",
    "cache.redis_timeout",
    Accepts::Time(MS, MINUTE),
    "100ms",
    "Time-out of a call to Redis, including the connection; after it the database is queried.",
);
pub const CACHE_MEMORY: Setting = Setting::new(
    "CONVOKE_CACHE_MEMORY",
    "cache.memory",
    Accepts::Size(0, 1024 * 1024 * KIB),
    "64MiB",
    "Memory for the states of rooms in use; 0B: every read loads its room.",
);
pub const CACHE_LIFE: Setting = Setting::new(
    "CONVOKE_CACHE_LIFE",
    "cache.life",
    Accepts::Time(SECOND, Duration::from_secs(7 * 24 * 3600)),
    "10m",
    "Lifetime of snapshots in Redis; randomly shortened by up to a half.",
);
pub const CACHE_WARM_INTERVAL: Setting = Setting::new(
    "CONVOKE_CACHE_WARM_INTERVAL",
    "cache.warm_interval",
    Accepts::Time(SECOND, Duration::from_secs(24 * HOUR.as_secs())),
    "5m",
    "How often a process of the role api loads the open rooms that it does not have in memory.",
);
