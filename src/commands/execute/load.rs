//! Loads a room from the log: the newest snapshot at or before the wanted version, and the events after it.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::commands::room::state::{Room, STATE_SHAPE, StateSize};
use crate::events::envelope::{Envelope, Hash};
use crate::events::log::snapshots::StateSnapshot;
use crate::events::log::{EventLog, LogError, RoomHead, chain};
use crate::events::room::RoomEvent;
use crate::events::sealed::Sealed;
use crate::events::time::Timestamp;
use crate::ids::{Position, RoomKey, RoomVersion};

/// Events folded at a time.
const PAGE: usize = 2_000;

/// Rooms loaded at the same time, so that loading does not take all connections.
const LOADS_AT_ONCE: usize = 8;

/// What an event takes in the log beside its data and its sealed part: the other columns, and its entries in two indexes.
const EVENT_BYTES: usize = 320;

/// What an event may add to a state in memory, beside its data and its sealed part; a room's first event, too.
const GROWTH: usize = 1024;

/// A state that has grown by less than this is not looked at again.
const UNMEASURED: usize = 8 * 1024;

/// A room at one of its versions.
#[derive(Clone, Debug, Default)]
pub struct LoadedRoom {
    pub state: Room,
    /// 0: it is not there.
    pub version: RoomVersion,
    /// Of its last event.
    pub position: Position,
    /// Of its last event.
    pub recorded_at: Option<Timestamp>,
    /// When its last event happened.
    pub happened_at: Option<Timestamp>,
    pub chain: Hash,
    /// The version of the newest snapshot that is known to be kept.
    pub snapshot: RoomVersion,
    /// Bytes that the room's events since then take in the log.
    since_snapshot: usize,
    /// How big the state was when it was last looked at.
    size: StateSize,
    /// How much it may have grown since, in memory.
    grown: usize,
}

impl LoadedRoom {
    /// Takes the room on by one of its events; `data`: the length of its JSON.
    pub fn evolve(&mut self, happened_at: Timestamp, event: &RoomEvent, sealed: Option<&Sealed>, data: usize) {
        self.version += 1;
        let state = std::mem::take(&mut self.state);
        self.state = state.evolve(self.version, happened_at, event, sealed);
        self.happened_at = Some(happened_at);
        let content = data + sealed.map_or(0, |sealed| sealed.0.len());
        self.since_snapshot += EVENT_BYTES + content;
        self.grown += GROWTH + content;
        // A room that ends lets go of most of what it was.
        let ended = matches!(event, RoomEvent::RoomEnded(_));
        if ended || self.grown > self.size.memory / 2 + UNMEASURED {
            self.measure();
        }
    }

    /// Takes the room on by the event of the log that follows its version, which is given back decoded.
    pub fn follow(&mut self, event: &Envelope) -> Result<RoomEvent, LogError> {
        if event.room_version != self.version + 1 {
            let what = format!("room {} has no version {}", event.room, self.version + 1);
            return Err(LogError::BadRow { position: event.position, what });
        }
        let decoded = event.event()?;
        self.evolve(event.happened_at(), &decoded, event.sealed.as_ref(), event.data.get().len());
        self.position = event.position;
        self.recorded_at = Some(event.recorded_at);
        self.chain = chain::link_envelope(&self.chain, event);
        Ok(decoded)
    }

    /// The state as a snapshot; `None`: the room has no events.
    pub fn snapshot(&self) -> Option<StateSnapshot> {
        let json = serde_json::to_vec(&StoredState { happened_at: self.happened_at, state: &self.state }).ok()?;
        Some(StateSnapshot {
            version: self.version,
            position: self.position,
            recorded_at: self.recorded_at?,
            chain: self.chain,
            state: zstd::bulk::compress(&json, COMPRESSION).ok()?,
        })
    }

    /// `None`: it cannot be read; the room is folded from its beginning.
    fn restored(kept: &StateSnapshot) -> Option<Self> {
        let json = zstd::stream::decode_all(kept.state.as_slice()).ok()?;
        let read: StoredState<Room> = serde_json::from_slice(&json).ok()?;
        let mut room = Self {
            state: read.state,
            version: kept.version,
            position: kept.position,
            recorded_at: Some(kept.recorded_at),
            happened_at: read.happened_at,
            chain: kept.chain,
            snapshot: kept.version,
            ..Self::default()
        };
        room.measure();
        Some(room)
    }

    /// Looks at all of the state. Done again only once it may have grown by half, so that it costs little for each event.
    fn measure(&mut self) {
        self.size = self.state.size();
        self.grown = 0;
    }

    /// Bytes that it takes in memory, at most.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.size.memory + self.grown
    }

    /// Whether a snapshot is due: so many events have come since the last one, and they take as much in the log as a snapshot
    /// would. So the snapshots of a room take about as much as its log at most, and a room is read from a snapshot and at most
    /// about as much of the log.
    pub fn snapshot_due(&self, interval: u64) -> bool {
        self.version - self.snapshot >= interval.max(1) && self.since_snapshot >= self.size.stored
    }

    /// Whether a snapshot that was due was not taken, or is gone.
    fn snapshot_missing(&self, interval: u64) -> bool {
        self.version - self.snapshot >= 2 * interval.max(1) && self.since_snapshot >= 2 * self.size.stored
    }

    pub fn snapshot_taken(&mut self) {
        self.snapshot = self.version;
        self.since_snapshot = 0;
    }
}

/// Loads rooms. Cheap to clone.
#[derive(Clone)]
pub struct RoomLoader {
    log: EventLog,
    snapshot_interval: u64,
    at_once: Arc<Semaphore>,
}

impl RoomLoader {
    pub fn new(log: EventLog, snapshot_interval: u64) -> Self {
        Self { log, snapshot_interval, at_once: Arc::new(Semaphore::new(LOADS_AT_ONCE)) }
    }

    /// The room as it is; a room without events is absent, at version 0.
    pub async fn now(&self, key: &RoomKey) -> Result<LoadedRoom, LogError> {
        let _permit = self.at_once.acquire().await;
        match self.log.room_head(key).await? {
            None => Ok(LoadedRoom::default()),
            Some(head) => self.fold(key, head.version).await,
        }
    }

    /// The room as it is, taken on from a snapshot that is kept elsewhere if the log has the event that it ends with, else from
    /// the log alone. `kept` looks for one, given the room's version. Returns whether the snapshot was used.
    pub async fn now_from<F>(
        &self,
        key: &RoomKey,
        kept: impl FnOnce(RoomVersion) -> F,
    ) -> Result<(LoadedRoom, bool), LogError>
    where
        F: Future<Output = Option<StateSnapshot>> + Send,
    {
        let _permit = self.at_once.acquire().await;
        let Some(head) = self.log.room_head(key).await? else { return Ok((LoadedRoom::default(), false)) };
        let kept = kept(head.version).await.filter(|kept| kept.version <= head.version);
        if let Some(mut room) = kept.and_then(|kept| LoadedRoom::restored(&kept))
            && self.is_of_log(key, &room, &head).await?
        {
            self.follow(key, &mut room, head.version).await?;
            return Ok((room, true));
        }
        Ok((self.fold(key, head.version).await?, false))
    }

    /// Whether the log has the event that a state ends with.
    async fn is_of_log(&self, key: &RoomKey, room: &LoadedRoom, head: &RoomHead) -> Result<bool, LogError> {
        if room.version == head.version {
            return Ok(room.chain == head.chain && room.position == head.last_position);
        }
        let Some(recorded_at) = room.recorded_at.filter(|_| room.version > 0) else { return Ok(false) };
        let last = self.log.read_room(key, room.version - 1, Some(recorded_at), 1).await?;
        let hash = chain::seal(&room.chain, room.position, recorded_at);
        Ok(last.first().is_some_and(|last| last.position == room.position && last.hash == hash))
    }

    /// The room as it was at a version; absent where the room has not come so far.
    pub async fn at_version(&self, key: &RoomKey, version: RoomVersion) -> Result<LoadedRoom, LogError> {
        let _permit = self.at_once.acquire().await;
        match self.log.room_head(key).await? {
            Some(head) if (1..=head.version).contains(&version) => self.fold(key, version).await,
            _ => Ok(LoadedRoom::default()),
        }
    }

    async fn fold(&self, key: &RoomKey, version: RoomVersion) -> Result<LoadedRoom, LogError> {
        // A room that never was long enough has no snapshot: not worth the question.
        let snapshot =
            if version < self.snapshot_interval { None } else { self.log.snapshot(key, STATE_SHAPE, version).await? };
        let mut room = snapshot.and_then(|kept| LoadedRoom::restored(&kept)).unwrap_or_default();
        self.follow(key, &mut room, version).await?;
        Ok(room)
    }

    /// Takes a room on to a version.
    async fn follow(&self, key: &RoomKey, room: &mut LoadedRoom, version: RoomVersion) -> Result<(), LogError> {
        let since = room.recorded_at;
        while room.version < version {
            let wanted = usize::try_from(version - room.version).unwrap_or(PAGE).min(PAGE);
            let events = self.log.read_room(key, room.version, since, wanted).await?;
            if events.is_empty() {
                return Err(LogError::Damaged(format!("room {} has no version {}", key.room, room.version + 1)));
            }
            for event in &events {
                room.follow(event)?;
            }
            // A snapshot that the writer is about to take is left to the writer.
            if room.snapshot_missing(self.snapshot_interval) {
                self.keep(key, room).await;
                room.snapshot_taken();
            }
        }
        Ok(())
    }

    /// Keeps a snapshot. A snapshot is disposable: where it cannot be kept, nothing is lost but time.
    pub async fn keep(&self, key: &RoomKey, room: &LoadedRoom) {
        let Some(snapshot) = room.snapshot() else { return };
        if let Err(error) = self.log.keep_snapshot(key, STATE_SHAPE, &snapshot).await {
            tracing::warn!(%error, tenant = %key.tenant, room = %key.room, version = room.version, "snapshot was not stored");
        }
    }
}

/// Level of zstd: the fastest that still halves JSON.
const COMPRESSION: i32 = 1;

#[derive(serde::Serialize, serde::Deserialize)]
struct StoredState<S> {
    happened_at: Option<Timestamp>,
    state: S,
}
