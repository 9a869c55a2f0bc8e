//! Reads rooms and their people through layers: memory of this process, Redis shared by the nodes, PostgreSQL (a replica or the
//! primary).
//!
//! Invariants, also while a part is slow, unavailable or restored from an old dump:
//!
//! - A reader who presents a position never gets an older state.
//! - Nobody gets a state that the read model itself would no longer return, except for the few milliseconds that an event takes
//!   to reach this node.
//! - While the log cannot be followed, no cache answers: reads go to the database.
//!
//! Each node follows the log by itself (`follower`) and keeps the last change of recently changed rooms (`known`). An entry
//! carries the checkpoint at which it was read, from one database snapshot (`database`), and is used only if its room has
//! provably not changed since. The same rule judges entries from Redis, so Redis may hold anything: an old dump, a late write,
//! another epoch. An entry that cannot be judged counts as a miss.
//!
//! Entries hold what the read model holds, with personal fields sealed. Authorization and decryption are left to the caller.
//! [`operate`] answers the commands of operators as a task of its own.

mod database;
mod entry;
mod follower;
mod head;
mod knowledge;
mod known;
mod layers;
mod memory;
pub mod operate;
mod pattern;
mod shared;
pub mod stats;
pub mod warm;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use entry::{Key, Lineage, Loaded, MOST_PEOPLE, Part, People, Shown, Value};
pub use head::{Head, write as write_head};
pub use layers::{Answer, Patience};
pub use pattern::{BadPattern, Pattern};
pub use shared::{BREAKER, SharedError};

use super::live::{Board, WaitError};
use super::model::ReadModel as _;
use super::read::{Page, PageRequest, ReadError, ReadModels};
use super::replicas::Replicas;
use super::rooms::{Participant, Rooms, page_of_sorted};
use crate::config::CacheConfig;
use crate::events::feed::Source;
use crate::events::log::EventLog;
use crate::events::time::Clock;
use crate::ids::{Position, RoomKey};
use crate::resilience::{Breaker, CallError, SingleFlight};
use crate::telemetry::metrics::Metrics;
use follower::Follower;
use knowledge::Knowledge;
use layers::Layers;
use memory::Memory;
use shared::{Shared, Writer};

/// How long a reader lets this node catch up with the log before the database is asked: it is behind by milliseconds, or not at
/// work.
const FOLLOWED_SOON: Duration = Duration::from_millis(50);

/// Loads that a reader may find too old for it: it joined one that had begun before. Then it makes its own.
const JOINS: usize = 2;

/// Why a read gave nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CacheError {
    /// The read model did not come to the reader's position.
    #[error(transparent)]
    Wait(Arc<WaitError>),
    #[error(transparent)]
    Read(Arc<ReadError>),
    #[error("a load of the cache ended without a word")]
    Crashed,
}

impl From<ReadError> for CacheError {
    fn from(error: ReadError) -> Self {
        Self::Read(Arc::new(error))
    }
}

/// What a reader gets, and up to where that is what the log says.
#[derive(Clone, Debug)]
pub struct Seen<T> {
    pub value: T,
    pub at: Position,
    /// No event that this process has heard of has changed it.
    pub current: bool,
}

/// The dependencies of the cache.
pub struct Parts {
    /// Where what happens is taken from; with the log behind it.
    pub source: Source,
    pub models: ReadModels,
    pub replicas: Replicas,
    pub board: Board,
    pub clock: Clock,
    pub metrics: Metrics,
}

type Landed = Result<Answer, Arc<ReadError>>;

/// Cheap to clone.
#[derive(Clone)]
pub struct RoomCache {
    log: EventLog,
    layers: Arc<Layers>,
    flights: SingleFlight<(Key, bool), Landed>,
}

/// The work behind a cache: tasks, each to be run until the process stops.
pub struct CacheWork {
    follower: Follower,
    writer: Option<(Writer, Arc<Shared>)>,
}

impl CacheWork {
    pub async fn run(self, stop: CancellationToken) {
        let writing = async {
            match self.writer {
                Some((writer, shared)) => writer.run(shared, stop.clone()).await,
                None => stop.cancelled().await,
            }
        };
        tokio::join!(self.follower.run(stop.clone()), writing);
    }
}

impl RoomCache {
    /// `breaker`: around Redis, made where one is configured. Nothing is answered out of the cache until its work runs.
    pub fn new(
        parts: Parts,
        config: &CacheConfig,
        breaker: impl FnOnce() -> Breaker,
    ) -> redis::RedisResult<(Self, CacheWork)> {
        let metrics = parts.metrics.cache().clone();
        let (shared, writer) = Shared::new(config, breaker, metrics.clone())?.unzip();
        let shared = shared.map(Arc::new);
        let layers = Arc::new(Layers {
            knowledge: Knowledge::default(),
            memory: Memory::new(config.memory, config.life),
            shared: shared.clone(),
            models: parts.models,
            replicas: parts.replicas,
            board: parts.board,
            clock: parts.clock,
            metrics,
        });
        let work =
            CacheWork { follower: Follower::new(parts.source.clone(), layers.clone()), writer: writer.zip(shared) };
        Ok((Self { log: parts.source.its_log().clone(), layers, flights: SingleFlight::default() }, work))
    }

    /// A room as it is; `None`: the read model has no such room.
    pub async fn room(
        &self,
        room: &RoomKey,
        wanted: Option<Position>,
        patience: &Patience,
    ) -> Result<Seen<Option<Shown>>, CacheError> {
        let Answer { loaded, at, current } = self.read(room, Part::View, wanted, patience).await?;
        let Value::View(value) = loaded.value else { return Err(CacheError::Crashed) };
        // That a room is not there is told only where nothing is on its way that could have made it.
        let current = current && *self.log.head_watch().borrow() <= at;
        Ok(Seen { value, at, current })
    }

    /// Who is present, by identity.
    pub async fn people(
        &self,
        room: &RoomKey,
        page: PageRequest<'_>,
        wanted: Option<Position>,
        patience: &Patience,
    ) -> Result<Seen<Page<Participant>>, CacheError> {
        let Answer { loaded, at, current } = self.read(room, Part::People, wanted, patience).await?;
        let value = match loaded.value {
            Value::People(People::All(people)) => page_of_sorted(&people, page)?,
            // The primary's model does not go back: what it says now is no older than what said that there are many.
            _ => self.layers.models.participants(&room.tenant, room.room, page).await?,
        };
        Ok(Seen { value, at, current })
    }

    /// Whether the room is known to be there, without asking anybody. (A room that was there is there.)
    pub fn knows(&self, room: &RoomKey) -> bool {
        self.layers.there(room)
    }

    /// Throws away what a pattern names: how much was in memory, and in Redis. Redis first, so that memory is not filled out of it
    /// again.
    pub async fn forget(&self, pattern: &Pattern) -> Result<(u64, Option<u64>), CallError<SharedError>> {
        let redis = match &self.layers.shared {
            Some(shared) => Some(shared.forget(pattern).await),
            None => None,
        };
        let memory = self.layers.memory.forget(pattern);
        Ok((memory, redis.transpose()?))
    }

    async fn read(
        &self,
        room: &RoomKey,
        part: Part,
        wanted: Option<Position>,
        patience: &Patience,
    ) -> Result<Answer, CacheError> {
        let key = Key { room: room.clone(), part };
        if let Some(wanted) = wanted
            && self.layers.only_late(&key, wanted)
        {
            self.layers.knowledge.reach(wanted, FOLLOWED_SOON.min(patience.model)).await;
        }
        if let Some(answer) = self.layers.hot(&key, wanted).await {
            return Ok(answer);
        }
        let Some(wanted) = wanted else { return self.newest(key).await };
        self.layers.model_reached(wanted, patience).await.map_err(|error| CacheError::Wait(Arc::new(error)))?;
        for join in 0..JOINS {
            let answer = self.join(key.clone(), join > 0).await?;
            if answer.at >= wanted {
                return Ok(answer);
            }
        }
        let answer = self.layers.clone().load(key, true).await.map_err(CacheError::Read)?;
        if answer.at < wanted {
            // The model has gone back: a server that crashed took back what did not wait for its disk.
            let late = WaitError::TimedOut { name: Rooms::NAME, at: answer.at, wanted };
            return Err(CacheError::Wait(Arc::new(late)));
        }
        Ok(answer)
    }

    /// For who shows no position: no older than what others were answered before, so that a reader's own answers do not go back.
    async fn newest(&self, key: Key) -> Result<Answer, CacheError> {
        let floor = self.layers.knowledge.model();
        for join in 0..JOINS {
            let answer = self.join(key.clone(), join > 0).await?;
            if answer.at >= floor {
                return Ok(answer);
            }
        }
        self.layers.clone().load(key, true).await.map_err(CacheError::Read)
    }

    async fn join(&self, key: Key, primary: bool) -> Result<Answer, CacheError> {
        let layers = self.layers.clone();
        let landed = self.flights.join((key.clone(), primary), || layers.load(key, primary)).await;
        landed.ok_or(CacheError::Crashed)?.map_err(CacheError::Read)
    }
}
