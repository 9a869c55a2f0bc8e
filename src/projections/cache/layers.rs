//! Combines the layers: asks them in order, and stores results in the faster ones.

use std::sync::Arc;
use std::time::Duration;

use super::entry::{Key, Loaded, Part, People, Value};
use super::knowledge::{Glance, Knowledge};
use super::memory::{Entry, Memory};
use super::shared::Shared;
use crate::events::time::{Clock, Timestamp};
use crate::ids::{Position, RoomKey};
use crate::projections::live::{Board, WaitError};
use crate::projections::model::ReadModel as _;
use crate::projections::read::{ReadError, ReadModels};
use crate::projections::replicas::Replicas;
use crate::projections::rooms::Rooms;
use crate::telemetry::metrics::cache::{CacheMetrics, Layer, Outcome};

pub struct Layers {
    pub knowledge: Knowledge,
    pub memory: Memory,
    pub shared: Option<Arc<Shared>>,
    pub models: ReadModels,
    pub replicas: Replicas,
    /// Where the read models stand.
    pub board: Board,
    pub clock: Clock,
    pub metrics: CacheMetrics,
}

/// What a load brought, and up to where that is true.
#[derive(Clone, Debug)]
pub struct Answer {
    pub loaded: Loaded,
    /// The value is what the log says up to here.
    pub at: Position,
    /// No event that this node knows of has changed it.
    pub current: bool,
}

impl Layers {
    /// Out of memory, where an entry is there and may be shown to somebody who has seen `wanted`.
    pub async fn hot(&self, key: &Key, wanted: Option<Position>) -> Option<Answer> {
        let found = self.glimpse(key, wanted).await;
        if let Err(outcome) = found {
            self.metrics.read(Layer::Memory, outcome);
            return None;
        }
        let answer = found.ok()?;
        self.metrics.read(Layer::Memory, Outcome::Hit);
        self.aged(Layer::Memory, &answer.loaded);
        Some(answer)
    }

    async fn glimpse(&self, key: &Key, wanted: Option<Position>) -> Result<Answer, Outcome> {
        // The position before the entry: see `knowledge`.
        let glance = self.knowledge.glance().ok_or(Outcome::Unknown)?;
        let entry = self.memory.get(key).filter(|entry| entry.era == glance.era).ok_or(Outcome::Miss)?;
        let answer = self.shown(&entry, glance).await.ok_or(Outcome::Outdated)?;
        if wanted.is_none_or(|wanted| wanted <= answer.at) { Ok(answer) } else { Err(Outcome::Outdated) }
    }

    /// Whether memory has it as it is now.
    pub fn has(&self, key: &Key) -> bool {
        let Some(glance) = self.knowledge.glance() else { return false };
        self.memory.get(key).is_some_and(|entry| entry.era == glance.era && entry.changed().is_none())
    }

    /// Whether there is an entry that lacks nothing but that its node has followed the log to `wanted`.
    pub fn only_late(&self, key: &Key, wanted: Position) -> bool {
        let Some(glance) = self.knowledge.glance() else { return false };
        glance.through < wanted && self.has(key)
    }

    /// Whether memory has the room, as it is now or was before.
    pub fn there(&self, room: &RoomKey) -> bool {
        let Some(glance) = self.knowledge.glance() else { return false };
        let has = |part| {
            let entry = self.memory.get(&Key { room: room.clone(), part })?;
            let there = match &entry.loaded.value {
                Value::View(view) => view.is_some(),
                Value::People(People::All(people)) => !people.is_empty(),
                Value::People(People::Many) => true,
            };
            Some(entry.era == glance.era && there)
        };
        Part::ALL.into_iter().any(|part| has(part).unwrap_or(false))
    }

    /// What an entry may be shown as: as of now where nothing has happened since; as of the moment before its room changed, for as long
    /// as the read model is not further either and would answer the same.
    async fn shown(&self, entry: &Entry, glance: Glance) -> Option<Answer> {
        let loaded = &entry.loaded;
        let Some(changed) = entry.changed() else {
            let at = loaded.position.max(glance.through);
            return Some(Answer { loaded: loaded.clone(), at, current: true });
        };
        let standing = self.board.standing(Rooms::NAME).await.ok()?.max(self.knowledge.model());
        let same = (loaded.position..changed).contains(&standing);
        same.then(|| Answer { loaded: loaded.clone(), at: changed - 1, current: false })
    }

    /// Out of Redis if that may be shown, else out of a replica that would say what the primary says, else out of the primary; and kept
    /// where it may be kept. `primary`: the primary is asked, whatever the others have.
    pub async fn load(self: Arc<Self>, key: Key, primary: bool) -> Result<Answer, Arc<ReadError>> {
        if !primary && let Some(answer) = self.redis_has(&key).await {
            return Ok(answer);
        }
        let models = if primary { None } else { self.on_a_replica(&key) };
        let now = self.clock.now();
        let loaded = models.as_ref().unwrap_or(&self.models).load(&key, now).await.map_err(|error| {
            self.metrics.read(Layer::Database, Outcome::Failed);
            Arc::new(error)
        })?;
        self.metrics.read(Layer::Database, Outcome::Hit);
        self.knowledge.answered(loaded.lineage, loaded.position);
        let (at, current) = match self.kept(&key, &loaded) {
            Some((entry, through)) => {
                if let Some(shared) = &self.shared {
                    shared.put(&key, &loaded);
                }
                let current = entry.changed().is_none();
                (if current { loaded.position.max(through) } else { loaded.position }, current)
            }
            None => (loaded.position, false),
        };
        Ok(Answer { loaded, at, current })
    }

    /// A replica that has replayed the last change of the room, and whatever a reader here has been answered from.
    fn on_a_replica(&self, key: &Key) -> Option<ReadModels> {
        if self.replicas.is_empty() {
            return None;
        }
        let wanted = self.knowledge.unchanged_since(&key.room)?.max(self.knowledge.model());
        self.replicas.having(Rooms::NAME, wanted).map(|chosen| self.models.on(&self.replicas, chosen))
    }

    async fn redis_has(&self, key: &Key) -> Option<Answer> {
        let shared = self.shared.as_ref()?;
        // With nothing to judge it by, it is not worth asking for.
        self.knowledge.glance()?;
        let loaded = shared.get(key).await?;
        let Some((entry, through)) = self.kept(key, &loaded) else {
            self.metrics.read(Layer::Redis, Outcome::Unknown);
            return None;
        };
        let glance = Glance { era: entry.era, through };
        let Some(answer) = self.shown(&entry, glance).await else {
            self.metrics.read(Layer::Redis, Outcome::Outdated);
            return None;
        };
        self.metrics.read(Layer::Redis, Outcome::Hit);
        self.aged(Layer::Redis, &answer.loaded);
        Some(answer)
    }

    /// The entry that was made of it, and up to where the log was known before: to there it is true unless it is marked.
    fn kept(&self, key: &Key, loaded: &Loaded) -> Option<(Arc<Entry>, Position)> {
        let glance = self.knowledge.glance()?;
        let entry = self.knowledge.keep(key, loaded, &self.memory)?;
        (entry.era == glance.era).then_some((entry, glance.through))
    }

    fn aged(&self, layer: Layer, loaded: &Loaded) {
        self.metrics.age(layer, since(loaded.read_at, self.clock.now()));
    }

    /// Waits until the read model is at `position`.
    pub async fn model_reached(&self, position: Position, patience: &Patience) -> Result<(), WaitError> {
        self.board.wait_for(Rooms::NAME, position, patience.model, &patience.stop).await
    }
}

/// How long a reader who has seen a position is let wait for it.
#[derive(Clone, Debug)]
pub struct Patience {
    /// For the read model.
    pub model: Duration,
    pub stop: tokio_util::sync::CancellationToken,
}

fn since(earlier: Timestamp, now: Timestamp) -> Duration {
    let micros = now.unix_micros().saturating_sub(earlier.unix_micros());
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}
