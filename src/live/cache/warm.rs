//! Cache warming: loads rooms that are likely to be read.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use super::Cache;
use crate::ids::RoomKey;
use crate::live::rooms::StateError;
use crate::projections::rooms::open_rooms;

/// Rooms that are loaded at most.
const MOST: u32 = 2_500;

/// Loads at a time, so that readers find connections.
const AT_ONCE: usize = 4;

/// What a warming did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Warmed {
    /// Open rooms among the newest.
    pub rooms: u64,
    /// Those that were not in memory.
    pub loaded: u64,
    pub failed: u64,
}

impl Cache {
    /// Loads the open rooms among the newest, as far as they fit.
    pub async fn warm(&self) -> sqlx::Result<Warmed> {
        let rooms = open_rooms(&self.pool, MOST).await?;
        let mut warmed = Warmed { rooms: rooms.len() as u64, ..Warmed::default() };
        let mut loads = stream::iter(rooms).map(|room| self.warm_one(room)).buffer_unordered(AT_ONCE);
        while let Some(loaded) = loads.next().await {
            match loaded {
                Ok(loaded) => warmed.loaded += u64::from(loaded),
                Err(_) => warmed.failed += 1,
            }
        }
        Ok(warmed)
    }

    /// Whether the room had to be loaded.
    async fn warm_one(&self, room: RoomKey) -> Result<bool, StateError> {
        // What is in memory does not count as used now; and what does not fit would only push out what is read.
        if self.rooms.has(&room) || self.rooms.is_full() {
            return Ok(false);
        }
        self.rooms.current(&room, None).await.map(|_| true)
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
