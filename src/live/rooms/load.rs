//! Loads the state of a room that is not in memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use uuid::Uuid;

use super::cell::RoomCell;
use super::{RoomStates, RoomStatesInner, RoomStatesParts};
use crate::commands::execute::load::LoadedRoom;
use crate::events::log::LogError;
use crate::events::time::Timestamp;
use crate::ids::{Position, RoomKey};
use crate::live::snapshots;
use crate::telemetry::metrics::cache::{CacheLayer, LayerOutcome};

/// What a load brought.
#[derive(Clone)]
pub struct Loaded {
    pub cell: Arc<RoomCell>,
    /// Of the events that were applied elsewhere before the load ended, those up to here are in it for certain.
    pub contains: Position,
}

impl RoomStates {
    /// Loads a room into the table of rooms. Events that come meanwhile are applied to it.
    pub(super) async fn load(self, key: RoomKey) -> Result<Loaded, Arc<LogError>> {
        let inner = &*self.0;
        let before = inner.applied.load(Ordering::Acquire);
        let begun = inner.table.begin(&key);
        let _permit = inner.permits.of(&key.tenant).await;
        match inner.load(&key).await {
            Ok(room) => {
                let (cell, kept) = inner.table.finish(key, begun, room);
                Ok(Loaded { cell, contains: if kept { Position::MAX } else { before } })
            }
            Err(error) => {
                inner.table.give_up(&key, begun);
                Err(Arc::new(error))
            }
        }
    }
}

fn age(made_at: Timestamp, now: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(now.unix_micros() - made_at.unix_micros()).unwrap_or_default())
}

impl RoomStatesInner {
    /// The room out of a snapshot that the nodes share and the events since, or out of the log alone.
    pub async fn load(&self, key: &RoomKey) -> Result<LoadedRoom, LogError> {
        let RoomStatesParts { snapshots, metrics, window, clock, .. } = &self.parts;
        let epoch = window.end().borrow().epoch;
        let mut made_at = None;
        let found = async |version| {
            let snapshots = snapshots.as_ref().filter(|_| version >= snapshots::EVERY && !epoch.is_nil())?;
            let (snapshot, made) = snapshots.get(key, epoch).await?;
            made_at = Some(made);
            Some(snapshot)
        };
        let loaded = self.loader.now_from(key, found).await;
        metrics.read(CacheLayer::Database, if loaded.is_ok() { LayerOutcome::Hit } else { LayerOutcome::Failed });
        let (mut room, used) = loaded?;
        match made_at {
            Some(made_at) if used => {
                metrics.read(CacheLayer::Redis, LayerOutcome::Hit);
                metrics.age(CacheLayer::Redis, age(made_at, clock.now()));
            }
            Some(_) => metrics.read(CacheLayer::Redis, LayerOutcome::Unknown),
            None => {}
        }
        let due = !used || room.snapshot_due(snapshots::EVERY);
        if due && room.version >= snapshots::EVERY && !epoch.is_nil() {
            room.snapshot_taken();
            self.share(key, epoch, || room.clone());
        }
        Ok(room)
    }

    /// Writes a state to Redis, some time, for nodes that start cold.
    pub fn share(&self, key: &RoomKey, epoch: Uuid, room: impl FnOnce() -> LoadedRoom) {
        if let Some(snapshots) = &self.parts.snapshots {
            snapshots.put(key, epoch, room);
        }
    }
}
