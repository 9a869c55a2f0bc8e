//! Cache statistics for operators.

use serde::{Deserialize, Serialize};

use super::RoomCache;
use super::memory::Size;
use crate::ids::Position;
use crate::telemetry::metrics::cache::{CacheMetrics, Layer, Outcome};

/// One process's cache, since the process started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeStats {
    /// Whether the log is followed: else nothing is answered out of the cache.
    pub following: bool,
    /// How often it began to follow: each time, what was in memory was thrown away.
    pub begun: u64,
    /// Up to where the log is known.
    pub through: Position,
    /// From where on it is remembered which rooms changed; what Redis holds from before is not used.
    pub since: Position,
    /// Rooms that changed since.
    pub rooms: usize,
    /// Of all reads, the part that needed no database: 0 to 1.
    pub hit_rate: f64,
    pub memory: LayerStats,
    pub size: Size,
    /// Since when the entries are there, on average.
    pub mean_age_s: f64,
    pub redis: Option<RedisStats>,
    pub database: LayerStats,
}

/// How often a layer was asked, and what it had.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LayerStats {
    pub asked: u64,
    pub hits: u64,
    pub misses: u64,
    pub outdated: u64,
    pub unknown: u64,
    pub failed: u64,
    /// 0 to 1; 0 where it was never asked.
    pub hit_rate: f64,
    /// How old what it answered with was on average, from when it had been read from the database.
    pub mean_age_s: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RedisStats {
    #[serde(flatten)]
    pub layer: LayerStats,
    pub breaker: String,
    /// Bytes that the whole Redis uses; absent where it does not answer.
    pub used: Option<u64>,
    /// What it may use; 0: no bound.
    pub limit: Option<u64>,
}

fn rate(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl LayerStats {
    fn of(metrics: &CacheMetrics, layer: Layer) -> Self {
        let count = |outcome| metrics.reads(layer, outcome);
        let (hits, misses, outdated) = (count(Outcome::Hit), count(Outcome::Miss), count(Outcome::Outdated));
        let (unknown, failed) = (count(Outcome::Unknown), count(Outcome::Failed));
        let asked = hits + misses + outdated + unknown + failed;
        let mean_age_s = metrics.mean_age(layer);
        Self { asked, hits, misses, outdated, unknown, failed, hit_rate: rate(hits, asked), mean_age_s }
    }
}

impl RoomCache {
    pub async fn stats(&self) -> NodeStats {
        let layers = &*self.layers;
        let (since, through, rooms) = layers.knowledge.span();
        let memory = LayerStats::of(&layers.metrics, Layer::Memory);
        let redis = match &layers.shared {
            None => None,
            Some(shared) => {
                let (used, limit) = shared.memory().await.unzip();
                let breaker = shared.breaker().state().to_string();
                Some(RedisStats { layer: LayerStats::of(&layers.metrics, Layer::Redis), breaker, used, limit })
            }
        };
        let from_redis = redis.as_ref().map_or(0, |redis| redis.layer.hits);
        NodeStats {
            following: layers.knowledge.glance().is_some(),
            begun: layers.metrics.times_begun(),
            through,
            since,
            rooms,
            hit_rate: rate(memory.hits + from_redis, memory.asked),
            memory,
            size: layers.memory.size(),
            mean_age_s: layers.memory.mean_age(),
            redis,
            database: LayerStats::of(&layers.metrics, Layer::Database),
        }
    }

    /// Tells the metrics what is not counted as it happens.
    pub async fn look(&self) {
        let size = self.layers.memory.size();
        self.layers.metrics.memory(size.entries, size.bytes);
        if let Some(shared) = &self.layers.shared
            && let Some((used, _)) = shared.memory().await
        {
            self.layers.metrics.redis(used);
        }
    }
}
