//! Room states: for each room in use on this node its state as the log has it, kept current by applying the room's events.
//!
//! What holds:
//!
//! 1. A state is at exactly one room version. Events are applied in the order of versions; a gap drops the state, and the next
//!    reader loads it.
//! 2. What this node has acknowledged is in every state that is given out after that.
//! 3. What is taken of a room under one [`CurrentRoom::read`] is of one version.
//! 4. Loading a state for a reader takes no connection, permit or lock that a command needs. One load of a room runs at a time;
//!    others join it. Loads are fair among tenants (`permits`).
//! 5. States are bounded in bytes; those that were longest not read leave. A reader never waits for a writer of another room.
//! 6. While the end of the log cannot be followed, nothing is answered from memory as current: the database is asked.
//!
//! How: `follow` takes events from the process's [`EventWindow`] and applies them
//! (`cell`). What this process appends is in the window within microseconds; a reader that comes in between waits for
//! its room alone. A state that is being loaded gathers the events that arrive meanwhile (`table`).

mod cell;
mod events;
mod follow;
mod load;
mod messages;
mod pages;
mod permits;
mod shown;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use messages::SharedMessage;
pub use pages::{PageKey, RenderedPage};
pub use shown::Shown;
pub use table::Size;

use self::cell::RoomCell;
use self::load::Loaded;
use self::permits::LoadPermits;
use self::table::RoomTable;
use crate::commands::execute::load::{LoadedRoom, RoomLoader};
use crate::events::feed::EventWindow;
use crate::events::log::append::Acknowledged;
use crate::events::log::{EventLog, LogError};
use crate::events::time::Clock;
use crate::ids::{Position, RoomId, RoomKey, RoomVersion};
use crate::live::pattern::Pattern;
use crate::live::published::PublishedEvent;
use crate::live::snapshots::Snapshots;
use crate::projections::live::{ProjectionProgress, WaitError};
use crate::projections::messages::{MessageReader, MessagesModel};
use crate::projections::model::ReadModel as _;
use crate::projections::read::{PageRequest, ReadError, ReadModels};
use crate::resilience::SingleFlight;
use crate::security::sealing::KeyMoment;
use crate::telemetry::metrics::cache::{CacheLayer, CacheMetrics, LayerOutcome};

/// How long a reader waits for what this node appended to its room; it takes microseconds, unless events of other nodes come
/// in between and have to be read.
const OWN_SOON: Duration = Duration::from_secs(1);

/// Some items of a list, in its order; and of events whether those are all that follow, of messages whether more follow.
pub type ListPart<T> = (Vec<Arc<T>>, bool);

/// Why a state is not there to be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StateError {
    /// Events up to here are known on this node, and the reader wants more.
    #[error("this node knows the log up to position {at}, not yet to {wanted}")]
    NotReached { at: Position, wanted: Position },
    #[error("the process is stopping")]
    Stopping,
    #[error(transparent)]
    Log(Arc<LogError>),
    #[error(transparent)]
    Wait(Arc<WaitError>),
    #[error(transparent)]
    Read(Arc<ReadError>),
    #[error("a load of a room's state crashed")]
    Crashed,
}

impl From<LogError> for StateError {
    fn from(error: LogError) -> Self {
        Self::Log(Arc::new(error))
    }
}

impl From<ReadError> for StateError {
    fn from(error: ReadError) -> Self {
        Self::Read(Arc::new(error))
    }
}

/// What room states depend on.
pub struct RoomStatesParts {
    /// Over connections for readers.
    pub log: EventLog,
    pub window: EventWindow,
    pub models: ReadModels,
    pub progress: ProjectionProgress,
    pub snapshot_interval: u64,
    /// Shared by the nodes, if a Redis is configured.
    pub snapshots: Option<Snapshots>,
    pub metrics: CacheMetrics,
    pub clock: Clock,
    /// Bytes that states may take; 0: none is kept.
    pub memory: usize,
    /// How long a reader waits for a position that it names.
    pub patience: Duration,
    pub stop: CancellationToken,
}

struct RoomStatesInner {
    parts: RoomStatesParts,
    loader: RoomLoader,
    permits: LoadPermits,
    table: RoomTable,
    /// Every event up to here is applied.
    applied: AtomicU64,
    moved: watch::Sender<Position>,
    flights: SingleFlight<RoomKey, Result<Loaded, Arc<LogError>>>,
    messages: SingleFlight<RoomKey, Result<(), StateError>>,
    events: SingleFlight<RoomKey, Result<(), StateError>>,
}

/// The states of the rooms in use on this node. Cheap to clone.
#[derive(Clone)]
pub struct RoomStates(Arc<RoomStatesInner>);

/// The state of a room, as current as this node knows it. Goes on with the room while it is held.
pub struct CurrentRoom {
    cell: Arc<RoomCell>,
    /// The state contains every event of its room up to here; it may contain later ones.
    at: Position,
}

impl CurrentRoom {
    /// Takes something of the room, all of one version. The room's next event waits meanwhile: take little, and quickly.
    pub fn read<T>(&self, take: impl FnOnce(&LoadedRoom) -> T) -> T {
        self.cell.read(|now| take(&now.room))
    }

    /// A position at which the log has the room exactly as what is read of it here.
    pub fn position(&self, room: &LoadedRoom) -> Position {
        // No event of the room lies between its last one and `at`.
        self.at.max(room.position)
    }

    /// The room as it is shown, made once for each of its versions, and a position at which the log has it so; `None`: there is
    /// no such room.
    pub fn view(&self, id: RoomId) -> Option<serde_json::Result<(Shown, Position)>> {
        let (shown, position) = self.cell.view(id)?;
        Some(shown.map(|shown| (shown, self.at.max(position))))
    }

    /// A page made earlier at this version, of what was opened at this moment.
    pub fn page(&self, key: &PageKey, version: RoomVersion, moment: KeyMoment) -> Option<Bytes> {
        self.cell.page(key, version, moment)
    }
}

/// What of a room's messages is in memory.
pub enum MessagesInMemory {
    Here {
        messages: Vec<Arc<SharedMessage>>,
        more: bool,
        at: Position,
    },
    /// They are older than those in memory; the read model has come to this position and contains them.
    Older {
        at: Position,
    },
}

impl RoomStates {
    pub(in crate::live) fn parts(&self) -> &RoomStatesParts {
        &self.0.parts
    }

    pub fn new(parts: RoomStatesParts) -> Self {
        let loader = RoomLoader::new(parts.log.clone(), parts.snapshot_interval);
        Self(Arc::new(RoomStatesInner {
            loader,
            permits: LoadPermits::default(),
            table: RoomTable::new(parts.memory),
            applied: AtomicU64::new(0),
            moved: watch::channel(0).0,
            flights: SingleFlight::default(),
            messages: SingleFlight::default(),
            events: SingleFlight::default(),
            parts,
        }))
    }

    /// Every event of the log up to here is in the states.
    pub fn applied(&self) -> Position {
        self.0.applied.load(Ordering::Acquire)
    }

    /// Whether the end of the log is followed, so that states in memory are current.
    pub fn is_following(&self) -> bool {
        self.0.parts.window.is_current()
    }

    /// How much is in memory, and since when on average, in seconds.
    pub fn size(&self) -> (Size, f64) {
        self.0.table.size()
    }

    /// Whether a further room pushes another one out, or is not kept at all.
    pub fn is_full(&self) -> bool {
        self.0.table.is_full()
    }

    pub fn has(&self, key: &RoomKey) -> bool {
        self.0.table.has(key)
    }

    /// Lets go of rooms that a pattern names; returns how many.
    pub fn forget(&self, pattern: &Pattern) -> u64 {
        self.0.table.forget(pattern)
    }

    /// Whether the room is in memory, or is to come into it: this node appended to it so lately that the read models may not
    /// contain it.
    pub fn is_in_use(&self, key: &RoomKey) -> bool {
        self.0.parts.memory > 0 && (self.0.table.has(key) || self.0.parts.log.appended_lately(key))
    }

    /// The room as it is; a room without events is absent, at version 0. `wanted`: a position that the answer has to contain.
    pub async fn current(&self, key: &RoomKey, wanted: Option<Position>) -> Result<CurrentRoom, StateError> {
        let inner = &*self.0;
        if !inner.parts.window.is_current() || inner.parts.memory == 0 {
            inner.parts.metrics.read(CacheLayer::Memory, LayerOutcome::Unknown);
            return inner.uncached(key, wanted).await;
        }
        if let Some(wanted) = wanted {
            inner.reach(wanted).await?;
        }
        // Before the state is looked up: it contains at least this.
        let at = inner.applied.load(Ordering::Acquire);
        let Some(cell) = inner.table.get(key) else {
            inner.parts.metrics.read(CacheLayer::Memory, LayerOutcome::Miss);
            let loading = self.clone();
            let room = key.clone();
            let landed = inner.flights.join(key.clone(), || async move { loading.load(room).await }).await;
            let loaded = landed.ok_or(StateError::Crashed)?.map_err(StateError::Log)?;
            if loaded.contains < at {
                // It was let go of while it was loaded, and this reader joined the load late.
                return inner.uncached(key, wanted).await;
            }
            return inner.with_own(key, CurrentRoom { cell: loaded.cell, at }).await;
        };
        inner.parts.metrics.read(CacheLayer::Memory, LayerOutcome::Hit);
        inner.with_own(key, CurrentRoom { cell, at }).await
    }

    /// Keeps a page of a room that was made at a version, for those who ask for the same.
    pub fn keep_page(&self, room: &RoomKey, current: &CurrentRoom, name: PageKey, made: RenderedPage) {
        current.cell.keep_page(name, made);
        self.0.table.recount(room);
    }

    /// The room as it was at a version; absent where it has not come so far.
    pub async fn at_version(&self, key: &RoomKey, version: RoomVersion) -> Result<LoadedRoom, LogError> {
        let _permit = self.0.permits.of(&key.tenant).await;
        self.0.loader.at_version(key, version).await
    }

    /// A page of the room's messages that `reader` may read, out of memory where they are there.
    pub async fn messages(
        &self,
        key: &RoomKey,
        current: &CurrentRoom,
        reader: MessageReader<'_>,
        newest_first: bool,
        page: PageRequest<'_>,
    ) -> Result<MessagesInMemory, StateError> {
        if !current.cell.has_messages() {
            let (states, room, cell) = (self.clone(), key.clone(), current.cell.clone());
            let loading = || async move { states.load_messages(&room, &cell).await };
            self.0.messages.join(key.clone(), loading).await.ok_or(StateError::Crashed)??;
        }
        if let Some(((messages, more), position)) = current.cell.messages(reader, newest_first, page)? {
            return Ok(MessagesInMemory::Here { messages, more, at: position.max(current.at) });
        }
        let position = current.read(|room| room.position);
        self.0.model_reached(position).await?;
        Ok(MessagesInMemory::Older { at: position.max(current.at) })
    }

    /// Up to `limit` events of a room in use behind a version, and whether those are all there are; `None`: the log has to be read.
    pub async fn events(
        &self,
        key: &RoomKey,
        current: &CurrentRoom,
        version: RoomVersion,
        limit: usize,
    ) -> Result<Option<ListPart<PublishedEvent>>, StateError> {
        let (behind, here) = current.read(|room| (room.version.saturating_sub(version), room.version > 0));
        if !here || behind > events::KEPT as u64 {
            return Ok(None);
        }
        if !current.cell.has_events() {
            let (states, room, cell) = (self.clone(), key.clone(), current.cell.clone());
            let loading = || async move { states.load_events(&room, &cell).await };
            self.0.events.join(key.clone(), loading).await.ok_or(StateError::Crashed)??;
        }
        Ok(current.cell.events(version, limit))
    }

    async fn load_events(&self, key: &RoomKey, cell: &RoomCell) -> Result<(), StateError> {
        let version = cell.gather_events();
        let _permit = self.0.permits.of(&key.tenant).await;
        let after = version.saturating_sub(events::KEPT as u64);
        let newest = self.0.parts.log.read_room_as_tenant(key, after, events::KEPT).await?;
        cell.begin_events(newest);
        self.0.table.recount(key);
        Ok(())
    }

    /// Reads the newest messages out of the read model, which has come as far as the state; events bring the later ones.
    async fn load_messages(&self, key: &RoomKey, cell: &RoomCell) -> Result<(), StateError> {
        let inner = &*self.0;
        cell.gather_messages();
        let position = cell.read(|now| now.room.position);
        inner.model_reached(position).await?;
        let _permit = inner.permits.of(&key.tenant).await;
        let page = PageRequest { limit: messages::KEPT, cursor: None };
        let newest = inner.parts.models.messages(&key.tenant, key.room, MessageReader::All, true, page).await?;
        cell.begin_messages(newest.items, newest.next_cursor.is_some());
        inner.table.recount(key);
        Ok(())
    }
}

impl RoomStatesInner {
    /// Straight from the database, kept by nobody.
    async fn uncached(&self, key: &RoomKey, wanted: Option<Position>) -> Result<CurrentRoom, StateError> {
        let _permit = self.permits.of(&key.tenant).await;
        let at = self.parts.log.head().await?.position;
        if let Some(wanted) = wanted.filter(|wanted| *wanted > at) {
            return Err(StateError::NotReached { at, wanted });
        }
        let room = self.load(key).await?;
        Ok(CurrentRoom { cell: Arc::new(RoomCell::new(room)), at })
    }

    /// Waits, a bounded time, until events up to a position are applied.
    async fn reach(&self, wanted: Position) -> Result<(), StateError> {
        if self.applied.load(Ordering::Acquire) >= wanted {
            return Ok(());
        }
        let mut moved = self.moved.subscribe();
        tokio::select! {
            // Its sender lives here.
            _ = moved.wait_for(|at| *at >= wanted) => Ok(()),
            () = self.parts.stop.cancelled() => Err(StateError::Stopping),
            () = tokio::time::sleep(self.parts.patience) => {
                let at = self.applied.load(Ordering::Acquire);
                if at >= wanted { Ok(()) } else { Err(StateError::NotReached { at, wanted }) }
            }
        }
    }

    /// The state once it contains what this process appended to the room.
    async fn with_own(&self, key: &RoomKey, current: CurrentRoom) -> Result<CurrentRoom, StateError> {
        let own = match self.parts.log.acknowledged(key, current.at) {
            Acknowledged::Nothing => return Ok(current),
            Acknowledged::Through(version) => version,
            // The window is far behind what this process appends.
            Acknowledged::Unknown => return self.uncached(key, None).await,
        };
        if tokio::time::timeout(OWN_SOON, current.cell.reach(own)).await.is_ok() {
            return Ok(current);
        }
        self.uncached(key, None).await
    }

    async fn model_reached(&self, position: Position) -> Result<(), StateError> {
        let RoomStatesParts { progress, patience, stop, .. } = &self.parts;
        let reached = progress.wait_for(MessagesModel::NAME, position, *patience, stop).await;
        reached.map_err(|error| StateError::Wait(Arc::new(error)))
    }
}
