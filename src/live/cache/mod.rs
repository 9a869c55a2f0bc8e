//! Operating what a node keeps of rooms, states in memory and snapshots in Redis: [`stats`], [`warm`], forget; and the protocol of
//! `convoke cache` ([`operate`]).

pub mod operate;
pub mod stats;
pub mod warm;

use super::pattern::Pattern;
use super::rooms::RoomStates;
use super::snapshots::{RedisFailure, Snapshots};
use crate::database::pool::Pool;
use crate::resilience::CallError;
use crate::telemetry::metrics::cache::CacheMetrics;

/// What a node keeps of rooms, for operators. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    pub rooms: RoomStates,
    pub snapshots: Option<Snapshots>,
    pub metrics: CacheMetrics,
    /// Of the role `convoke_system`: rooms to be warmed are those of all tenants.
    pub pool: Pool,
}

impl Cache {
    /// Deletes what a pattern names; returns how much was in memory, and in Redis. Redis first, so that no load brings it back.
    pub async fn forget(&self, pattern: &Pattern) -> Result<(u64, Option<u64>), CallError<RedisFailure>> {
        let redis = match &self.snapshots {
            Some(snapshots) => Some(snapshots.forget(pattern).await),
            None => None,
        };
        let memory = self.rooms.forget(pattern);
        Ok((memory, redis.transpose()?))
    }

    /// Sets the metrics that are not counted as it happens.
    pub async fn look(&self) {
        let (size, _) = self.rooms.size();
        self.metrics.memory(size.entries, size.bytes);
        self.metrics.position(self.rooms.applied());
        if let Some(snapshots) = &self.snapshots
            && let Some((used, _)) = snapshots.memory().await
        {
            self.metrics.redis(used);
        }
    }
}
