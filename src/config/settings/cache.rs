//! Settings of the cache.

use super::{Accepts, Duration, Group, HOUR, KIB, MINUTE, MS, SECOND, Setting};

pub(super) const GROUP: Group =
    Group { title: "Cache", settings: &[&REDIS_URL, &REDIS_TIMEOUT, &CACHE_MEMORY, &CACHE_LIFE, &CACHE_WARM_INTERVAL] };

pub const REDIS_URL: Setting = Setting::new(
    "REDIS_URL",
    "cache.redis_url",
    Accepts::Url,
    "",
    "A Redis that the nodes share as a cache: redis://HOST:PORT/DATABASE, rediss:// over TLS, or unix:///PATH. Without it each node caches for itself.",
);
pub const REDIS_TIMEOUT: Setting = Setting::new(
    "CONVOKE_REDIS_TIMEOUT",
    "cache.redis_timeout",
    Accepts::Time(MS, MINUTE),
    "100ms",
    "How long a call of Redis may take, connecting included; then the database is asked.",
);
pub const CACHE_MEMORY: Setting = Setting::new(
    "CONVOKE_CACHE_MEMORY",
    "cache.memory",
    Accepts::Size(0, 1024 * 1024 * KIB),
    "64MiB",
    "What the cache in the process may hold; 0B turns it off.",
);
pub const CACHE_LIFE: Setting = Setting::new(
    "CONVOKE_CACHE_LIFE",
    "cache.life",
    Accepts::Time(SECOND, Duration::from_secs(7 * 24 * 3600)),
    "10m",
    "How long something is kept at most, in the process and in Redis; chance shortens it by up to a half.",
);
pub const CACHE_WARM_INTERVAL: Setting = Setting::new(
    "CONVOKE_CACHE_WARM_INTERVAL",
    "cache.warm_interval",
    Accepts::Time(SECOND, Duration::from_secs(24 * HOUR.as_secs())),
    "5m",
    "How often a process of the role maintenance warms the cache.",
);
