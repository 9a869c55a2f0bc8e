//! Cache warming: loads rooms that are likely to be read.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use sqlx::Row as _;
use tokio_util::sync::CancellationToken;

use super::entry::{Key, Part};
use super::{CacheError, RoomCache};
use crate::ids::{RoomId, RoomKey, TenantId};
use crate::projections::read::ReadError;

/// Rooms of each kind, lately used and open, at most.
const MOST: u32 = 2_500;

/// The newest rooms, whether they are open or not, among which open ones are looked for: ids of rooms are in the order of their making,
/// so that no index of open rooms has to be kept for this.
const LOOKED_AT: u32 = 10 * MOST;

/// Loads at a time, so that readers find connections.
const AT_ONCE: usize = 4;

/// What a warming did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Warmed {
    /// Rooms that are open or were used lately.
    pub rooms: u64,
    /// Of their views and lists of people, those that were not in memory.
    pub loaded: u64,
    pub failed: u64,
}

impl RoomCache {
    /// Loads the rooms that changed last and those of the newest that are open.
    pub async fn warm(&self) -> Result<Warmed, CacheError> {
        let mut seen = HashSet::new();
        let mut rooms = self.layers.knowledge.latest(MOST as usize);
        rooms.extend(self.open_rooms().await.map_err(ReadError::from)?);
        rooms.retain(|room| seen.insert(room.clone()));
        let mut parts = Vec::with_capacity(rooms.len() * Part::ALL.len());
        for room in &rooms {
            parts.extend(Part::ALL.map(|part| Key { room: room.clone(), part }));
        }
        let mut warmed = Warmed { rooms: rooms.len() as u64, ..Warmed::default() };
        let mut loads = stream::iter(parts).map(|key| self.clone().warm_one(key)).buffer_unordered(AT_ONCE);
        while let Some(loaded) = loads.next().await {
            match loaded {
                Ok(loaded) => warmed.loaded += u64::from(loaded),
                Err(_) => warmed.failed += 1,
            }
        }
        Ok(warmed)
    }

    async fn warm_one(self, key: Key) -> Result<bool, CacheError> {
        if self.layers.has(&key) {
            return Ok(false);
        }
        self.join(key, false).await.map(|_| true)
    }

    /// Whosever they are: this is no answer to anybody.
    async fn open_rooms(&self) -> sqlx::Result<Vec<RoomKey>> {
        let rows = sqlx::query(
            "SELECT tenant, room
             FROM (
                SELECT tenant, room, status
                FROM convoke.rm_rooms
                ORDER BY room DESC, tenant DESC
                LIMIT $2
             ) AS newest
             WHERE status = 'open'
             LIMIT $1",
        )
        .bind(i64::from(MOST))
        .bind(i64::from(LOOKED_AT))
        .fetch_all(self.log.pool())
        .await?;
        let key = |row: &sqlx::postgres::PgRow| {
            let tenant = TenantId::new(row.try_get("tenant")?).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            Ok(RoomKey { tenant, room: RoomId::from_uuid(row.try_get("room")?) })
        };
        rows.iter().map(key).collect()
    }

    /// Warms now and then, until told to stop.
    pub async fn keep_warm(self, every: Duration, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = stop.cancelled() => return,
            }
            match self.warm().await {
                Ok(warmed) => tracing::debug!(
                    rooms = warmed.rooms,
                    loaded = warmed.loaded,
                    failed = warmed.failed,
                    "cache warmed"
                ),
                Err(error) => tracing::warn!(%error, "warming the cache failed"),
            }
        }
    }
}
