//! What the cache is configured with.

use std::fmt;
use std::time::Duration;

use super::reader::SettingsReader;
use super::settings;

#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// None: each node caches for itself.
    pub redis: Option<RedisUrl>,
    /// Of one call.
    pub redis_timeout: Duration,
    /// Bytes in the process; 0: none.
    pub memory: usize,
    pub life: Duration,
    pub warm_interval: Duration,
}

/// May hold a password, so it shows only when asked to.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

impl RedisUrl {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisUrl(secret)")
    }
}

impl CacheConfig {
    pub(super) fn read(reader: &mut SettingsReader<'_>) -> Self {
        Self {
            redis: reader.text(&settings::REDIS_URL).and_then(|text| redis_url(reader, text.trim())),
            redis_timeout: reader.time(&settings::REDIS_TIMEOUT),
            memory: reader.size(&settings::CACHE_MEMORY),
            life: reader.time(&settings::CACHE_LIFE),
            warm_interval: reader.time(&settings::CACHE_WARM_INTERVAL),
        }
    }
}

fn redis_url(reader: &mut SettingsReader<'_>, text: &str) -> Option<RedisUrl> {
    let scheme = ["redis://", "rediss://", "unix://", "redis+unix://"].iter().any(|scheme| text.starts_with(scheme));
    // The client's own words may repeat the password.
    match redis::Client::open(text) {
        Ok(_) if scheme => Some(RedisUrl(text.to_owned())),
        _ => {
            let remedy = "write redis://:PASSWORD@HOST:PORT/DATABASE, rediss:// for TLS, or unix:///PATH/TO/SOCKET";
            reader.fault(&settings::REDIS_URL, "it is not the URL of a Redis that this program can talk to", remedy);
            None
        }
    }
}
