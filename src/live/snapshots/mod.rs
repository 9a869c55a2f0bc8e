//! Snapshots of room states in Redis, shared by the nodes: a node that does not have a room in memory reads it from a snapshot
//! and the events since.
//!
//! A snapshot only shortens the way. Values are sealed with the master key and bound to the room and to the log's epoch, and the
//! loader uses a state only if the log has the event that it ends with (`now_from` in `commands/execute/load.rs`). So Redis may hold anything, an old
//! dump, a late write, garbage: a snapshot that does not fit is a miss. Personal fields in it are sealed under the keys of their
//! persons, as in the log.
//!
//! Keys: `convoke:cache:v<form>.<shape of states>:<tenant>:room:<id>`. A write replaces only older values.

mod head;
mod redis;

use std::sync::Arc;
use std::time::Duration;

use ::redis::{Cmd, Pipeline, RedisResult};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use self::head::{Head, write as write_head};
pub use self::redis::{BREAKER, RedisFailure};

use self::redis::Redis;
use super::pattern::Pattern;
use crate::commands::execute::load::LoadedRoom;
use crate::commands::room::state::STATE_SHAPE;
use crate::config::CacheConfig;
use crate::events::log::snapshots::StateSnapshot;
use crate::events::time::{Clock, Timestamp};
use crate::ids::{Position, RoomKey, RoomVersion};
use crate::resilience::{self, Breaker, CallError};
use crate::security::sealing::Sealer;
use crate::telemetry::metrics::cache::{CacheLayer, CacheMetrics, LayerOutcome};

/// Events of a room after which its state is written to Redis again, at least; a shorter room is read from its events.
pub const EVERY: u64 = 32;

/// Counts up whenever the form of keys or values changes.
const FORM: u16 = 2;

/// The key space of the cache: leases and messages have others.
const SPACE: &str = "convoke:cache:";

/// States that may wait to be written; further ones are left out.
const QUEUE: usize = 256;
/// Values that are written together.
const TOGETHER: usize = 16;
/// Larger values are not written: each node reads such a room from the log's own snapshots.
const LARGEST: usize = 1 << 20;

/// Keys looked at in one step of a `SCAN`.
const SCAN: usize = 1_000;
/// The time limit of such a step. No reader waits for it.
const SCAN_PATIENCE: Duration = Duration::from_secs(5);

/// Writes a value unless there is one of the same epoch that is as new. A head that is none, or of another epoch, gives way.
const PUT: &str = "
local held = redis.call('GETRANGE', KEYS[1], 0, 56)
if #held == 57 and string.sub(held, 1, 36) == string.sub(ARGV[1], 1, 36) then
    local there, new = tonumber(string.sub(held, 38, 57)), tonumber(string.sub(ARGV[1], 38, 57))
    if there and new and there >= new then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

/// The dependencies of [`Snapshots`].
pub struct Parts {
    pub sealer: Sealer,
    pub clock: Clock,
    pub metrics: CacheMetrics,
}

struct Shared {
    redis: Redis,
    timeout: Duration,
    life: Duration,
    queue: mpsc::Sender<Waiting>,
    parts: Parts,
}

/// A state that waits to be written.
struct Waiting {
    key: RoomKey,
    epoch: Uuid,
    room: LoadedRoom,
}

/// Snapshots of room states in Redis. Cheap to clone.
#[derive(Clone)]
pub struct Snapshots(Arc<Shared>);

/// The write side of [`Snapshots`], to be run.
pub struct Writer {
    waiting: mpsc::Receiver<Waiting>,
    snapshots: Snapshots,
}

impl Snapshots {
    /// `None` if no Redis is configured. `breaker` makes the circuit breaker around it.
    pub fn new(
        config: &CacheConfig,
        parts: Parts,
        breaker: impl FnOnce() -> Breaker,
    ) -> RedisResult<Option<(Self, Writer)>> {
        let Some(url) = &config.redis else { return Ok(None) };
        let redis = Redis::new(url.reveal(), breaker())?;
        let (queue, waiting) = mpsc::channel(QUEUE);
        let shared = Shared { redis, timeout: config.redis_timeout, life: config.life, queue, parts };
        let snapshots = Self(Arc::new(shared));
        Ok(Some((snapshots.clone(), Writer { waiting, snapshots })))
    }

    pub fn breaker(&self) -> &Breaker {
        self.0.redis.breaker()
    }

    fn metrics(&self) -> &CacheMetrics {
        &self.0.parts.metrics
    }

    /// The room's snapshot and when it was made; `None` as well if Redis does not answer or the value is not one of this log.
    pub async fn get(&self, key: &RoomKey, epoch: Uuid) -> Option<(StateSnapshot, Timestamp)> {
        let asked = self.0.redis.ask::<Option<Vec<u8>>>(Cmd::new().arg("GET").arg(name(key)), self.0.timeout).await;
        let found = match asked {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%error, "read of a snapshot in Redis failed");
                self.metrics().read(CacheLayer::Redis, LayerOutcome::Failed);
                return None;
            }
        };
        let Some(bytes) = found else {
            self.metrics().read(CacheLayer::Redis, LayerOutcome::Miss);
            return None;
        };
        let read = self.open(key, epoch, &bytes);
        if read.is_none() {
            self.metrics().read(CacheLayer::Redis, LayerOutcome::Unknown);
        }
        read
    }

    fn open(&self, key: &RoomKey, epoch: Uuid, bytes: &[u8]) -> Option<(StateSnapshot, Timestamp)> {
        let (head, sealed) = head::read(bytes)?;
        let plain = self.0.parts.sealer.open_with_master(sealed, &bound(key, epoch))?;
        let snapshot = from_bytes(&plain)?;
        (head.epoch == epoch && head.version == snapshot.version).then_some((snapshot, head.made_at))
    }

    /// Queues a state to be written. If the queue is full, the state is left out.
    pub fn put(&self, key: &RoomKey, epoch: Uuid, room: impl FnOnce() -> LoadedRoom) {
        match self.0.queue.try_reserve() {
            Ok(place) => place.send(Waiting { key: key.clone(), epoch, room: room() }),
            Err(_) => self.metrics().written("left-out", 1),
        }
    }

    /// Deletes what a pattern names, of every form; returns how many there were.
    pub async fn forget(&self, pattern: &Pattern) -> Result<u64, CallError<RedisFailure>> {
        let tenant = pattern.tenant().map_or("*", |tenant| tenant.as_str());
        let wanted = format!("{SPACE}v*:{tenant}:{}", pattern.glob());
        let (mut cursor, mut taken) = (0u64, 0u64);
        loop {
            let mut scan = Cmd::new();
            scan.arg("SCAN").arg(cursor).arg("MATCH").arg(&wanted).arg("COUNT").arg(SCAN);
            let (next, names): (u64, Vec<String>) = self.0.redis.ask(&scan, SCAN_PATIENCE).await?;
            if !names.is_empty() {
                taken += self.0.redis.ask::<u64>(Cmd::new().arg("UNLINK").arg(names), SCAN_PATIENCE).await?;
            }
            if next == 0 {
                return Ok(taken);
            }
            cursor = next;
        }
    }

    /// Bytes that the whole Redis uses, and its limit; 0: no limit.
    pub async fn memory(&self) -> Option<(u64, u64)> {
        let told: String = self.0.redis.ask(Cmd::new().arg("INFO").arg("memory"), self.0.timeout).await.ok()?;
        let field = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        Some((field("used_memory:")?, field("maxmemory:").unwrap_or_default()))
    }

    /// The commands that write these states, and how many there are: states that are too large are left out.
    fn commands(&self, waiting: &[Waiting]) -> (Pipeline, u64) {
        let mut pipeline = Pipeline::with_capacity(waiting.len());
        let mut count = 0;
        for one in waiting {
            let Some(value) = self.value(one) else { continue };
            let life = u64::try_from(resilience::shortened(self.0.life).as_millis().max(1)).unwrap_or(u64::MAX);
            pipeline.cmd("EVAL").arg(PUT).arg(1).arg(name(&one.key)).arg(value).arg(life);
            count += 1;
        }
        (pipeline, count)
    }

    fn value(&self, waiting: &Waiting) -> Option<Vec<u8>> {
        let Parts { sealer, clock, .. } = &self.0.parts;
        let snapshot = waiting.room.snapshot()?;
        let head = Head { epoch: waiting.epoch, version: snapshot.version, made_at: clock.now() };
        let mut value = head::write(&head).into_bytes();
        sealer.seal_with_master(&mut value, &to_bytes(&snapshot), &bound(&waiting.key, waiting.epoch));
        (value.len() <= LARGEST).then_some(value)
    }

    async fn write(&self, waiting: Vec<Waiting>) {
        // The state of a room of thousands takes milliseconds to be written and packed.
        let snapshots = self.clone();
        let packing = tokio::task::spawn_blocking(move || snapshots.commands(&waiting));
        let (pipeline, count) = packing.await.expect("packing a state does not panic");
        if count == 0 {
            return;
        }
        match self.0.redis.run::<Vec<u64>>(&pipeline, self.0.timeout).await {
            Ok(wrote) => {
                let newer = wrote.iter().sum::<u64>();
                self.metrics().written("written", newer);
                self.metrics().written("older", wrote.len() as u64 - newer);
            }
            Err(error) => {
                tracing::debug!(%error, "write of snapshots to Redis failed");
                self.metrics().written("failed", count);
            }
        }
    }
}

impl Writer {
    /// Writes queued states until told to stop. States that are queued then are left out.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let mut waiting = Vec::with_capacity(TOGETHER);
            tokio::select! {
                taken = self.waiting.recv_many(&mut waiting, TOGETHER) => if taken == 0 { return },
                () = stop.cancelled() => return,
            }
            self.snapshots.write(waiting).await;
        }
    }
}

fn name(key: &RoomKey) -> String {
    format!("{SPACE}v{FORM}.{STATE_SHAPE}:{}:room:{}", key.tenant, key.room)
}

/// What a sealed snapshot is bound to: one that was copied to another room, or is of another history, does not open.
fn bound(key: &RoomKey, epoch: Uuid) -> Vec<u8> {
    let shape = STATE_SHAPE.to_be_bytes();
    [epoch.as_bytes(), key.room.uuid().as_bytes(), shape.as_slice(), key.tenant.as_str().as_bytes()].concat()
}

/// `version ‖ position ‖ recorded at ‖ chain ‖ state`, numbers in 8 bytes.
fn to_bytes(snapshot: &StateSnapshot) -> Vec<u8> {
    let StateSnapshot { version, position, recorded_at, chain, state } = snapshot;
    let recorded_at = recorded_at.unix_micros().to_be_bytes();
    [&version.to_be_bytes()[..], &position.to_be_bytes(), &recorded_at, chain, state].concat()
}

fn from_bytes(bytes: &[u8]) -> Option<StateSnapshot> {
    let (version, rest) = bytes.split_first_chunk()?;
    let (position, rest) = rest.split_first_chunk()?;
    let (recorded_at, rest) = rest.split_first_chunk()?;
    let (chain, state) = rest.split_first_chunk()?;
    let (version, position) = (RoomVersion::from_be_bytes(*version), Position::from_be_bytes(*position));
    let recorded_at = Timestamp::from_unix_micros(i64::from_be_bytes(*recorded_at))?;
    Some(StateSnapshot { version, position, recorded_at, chain: *chain, state: state.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_comes_back_from_its_bytes() {
        let recorded_at = Timestamp::from_unix_micros(1_700_000_000_000_001).unwrap();
        let snapshot =
            StateSnapshot { version: 7, position: 1 << 40, recorded_at, chain: [9; 32], state: b"state".to_vec() };
        let bytes = to_bytes(&snapshot);
        assert_eq!(from_bytes(&bytes), Some(snapshot));
        assert_eq!(from_bytes(&bytes[..50]), None);
    }
}
