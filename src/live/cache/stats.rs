//! Cache statistics for operators.

use serde::{Deserialize, Serialize};

use super::Cache;
use crate::ids::Position;
use crate::live::rooms::Size;
use crate::telemetry::metrics::cache::{CacheLayer, CacheMetrics, LayerOutcome};

/// One process's cache, since the process started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeStats {
    /// Whether the log is followed: else nothing is answered from memory.
    pub following: bool,
    /// How often it began to follow: each time, what was in memory was thrown away.
    pub begun: u64,
    /// Up to where the log is known.
    pub through: Position,
    /// Of all reads, the part that needed no database: 0 to 1.
    pub hit_rate: f64,
    pub memory: LayerStats,
    pub size: Size,
    /// Since when the rooms are in memory, on average.
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
    pub unknown: u64,
    pub failed: u64,
    /// 0 to 1; 0 where it was never asked.
    pub hit_rate: f64,
    /// How old the snapshots that it had were on average; 0 for the other layers.
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
    fn of(metrics: &CacheMetrics, layer: CacheLayer) -> Self {
        let count = |outcome| metrics.reads(layer, outcome);
        let (hits, misses) = (count(LayerOutcome::Hit), count(LayerOutcome::Miss));
        let (unknown, failed) = (count(LayerOutcome::Unknown), count(LayerOutcome::Failed));
        let asked = hits + misses + unknown + failed;
        let mean_age_s = metrics.mean_age(layer);
        Self { asked, hits, misses, unknown, failed, hit_rate: rate(hits, asked), mean_age_s }
    }
}

impl Cache {
    pub async fn stats(&self) -> NodeStats {
        let memory = LayerStats::of(&self.metrics, CacheLayer::Memory);
        let redis = match &self.snapshots {
            None => None,
            Some(snapshots) => {
                let (used, limit) = snapshots.memory().await.unzip();
                let breaker = snapshots.breaker().state().to_string();
                Some(RedisStats { layer: LayerStats::of(&self.metrics, CacheLayer::Redis), breaker, used, limit })
            }
        };
        let (size, mean_age_s) = self.rooms.size();
        NodeStats {
            following: self.rooms.is_following(),
            begun: self.metrics.times_begun(),
            through: self.rooms.applied(),
            hit_rate: memory.hit_rate,
            memory,
            size,
            mean_age_s,
            redis,
            database: LayerStats::of(&self.metrics, CacheLayer::Database),
        }
    }
}
