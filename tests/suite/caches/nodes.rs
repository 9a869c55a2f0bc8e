//! Caches as two processes have them, in this one; and a writer whose word on every room is known.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convoke::config::{CacheConfig, Config};
use convoke::database::pool;
use convoke::events::envelope::Hash;
use convoke::events::feed::Source;
use convoke::events::log::append::{Batch, NewEvent, RoomAppend};
use convoke::events::log::{EventLog, chain, wake};
use convoke::events::room::{RoomCreated, RoomEvent, RoomLocked, RoomUnlocked, Settings};
use convoke::events::time::Clock;
use convoke::ids::{Actor, CommandId, RoomId, RoomKey, TenantId};
use convoke::projections::MODELS;
use convoke::projections::cache::operate::Desk;
use convoke::projections::cache::stats::NodeStats;
use convoke::projections::cache::{self, CacheError, Patience, RoomCache, Seen, Shown};
use convoke::projections::live::{Board, Runner, Tail};
use convoke::projections::read::ReadModels;
use convoke::projections::replicas::Replicas;
use convoke::resilience::Breakers;
use convoke::telemetry::metrics::Metrics;
use serde_json::value::RawValue;
use sqlx::postgres::PgConnectOptions;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::harness::{TestDb, database_config, eventually};

pub const PATIENCE: Duration = Duration::from_secs(30);

/// How far behind a replica of a node may be.
const REPLICA_LAG: Duration = Duration::from_secs(1);

/// The cache of one process and the work behind it. Ends with the value.
pub struct Node {
    pub cache: RoomCache,
    pub breakers: Breakers,
    pub replicas: Replicas,
    pub metrics: Metrics,
    patience: Patience,
    _stop: DropGuard,
    _tasks: JoinSet<()>,
}

pub struct Make<'a> {
    /// The way to the database, and to replicas of it.
    pub database: &'a PgConnectOptions,
    pub replicas: Vec<PgConnectOptions>,
    pub redis: Option<String>,
    /// As `CONVOKE_CACHE_MEMORY` has it.
    pub memory: &'static str,
    /// Whether the read models are worked on here.
    pub projector: bool,
}

impl<'a> Make<'a> {
    pub fn on(db: &'a TestDb) -> Self {
        Self::over(&db.options)
    }

    pub fn over(database: &'a PgConnectOptions) -> Self {
        Self { database, replicas: Vec::new(), redis: None, memory: "16MiB", projector: true }
    }

    /// The node, once it follows the log.
    pub async fn node(self) -> Node {
        let node = self.node_at_once();
        node.follows().await;
        node
    }

    fn node_at_once(self) -> Node {
        let log = EventLog::new(pool::system(self.database.clone(), &database_config()));
        self.node_over(&log)
    }

    /// On connections of the test's own, and not yet following.
    pub fn node_over(self, log: &EventLog) -> Node {
        let metrics = Metrics::new();
        let (board, breakers) = (Board::new(log.pool().clone(), MODELS), Breakers::new(metrics.clone()));
        let pools = self.replicas.into_iter().map(|replica| pool::reading(replica, &database_config())).collect();
        let replicas = Replicas::new(log.pool().clone(), pools, REPLICA_LAG, &breakers, metrics.clone());
        let parts = cache::Parts {
            source: Source::log(log.clone(), metrics.clone()),
            models: ReadModels::new(log.pool().clone()).counting(metrics.clone()),
            replicas: replicas.clone(),
            board: board.clone(),
            clock: Clock::system(),
            metrics: metrics.clone(),
        };
        let config = config(self.redis.as_deref(), self.memory);
        let around = || breakers.around("redis", cache::BREAKER);
        let (cache, work) = RoomCache::new(parts, &config, around).unwrap();
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        tasks.spawn(work.run(stop.clone()));
        tasks.spawn(Desk::new(cache.clone()).run(stop.clone()));
        tasks.spawn(wake::run(log.clone(), stop.clone()));
        tasks.spawn(replicas.clone().run(stop.clone()));
        if self.projector {
            tasks.spawn(
                Runner::new(Tail::new(log.clone(), None), board.clone(), metrics.clone(), 1_000).run(stop.clone()),
            );
        }
        let patience = Patience { model: PATIENCE, stop: stop.clone() };
        Node { cache, breakers, replicas, metrics, patience, _stop: stop.drop_guard(), _tasks: tasks }
    }
}

fn config(redis: Option<&str>, memory: &str) -> CacheConfig {
    let mut settings = HashMap::from([("CONVOKE_CACHE_MEMORY".to_owned(), memory.to_owned())]);
    settings.extend(redis.map(|url| ("REDIS_URL".to_owned(), url.to_owned())));
    Config::from_environment(&settings).unwrap().cache
}

impl Node {
    pub async fn room(&self, room: &RoomKey, wanted: Option<u64>) -> Result<Seen<Option<Shown>>, CacheError> {
        self.cache.room(room, wanted, &self.patience).await
    }

    /// Version and position of a room that is there.
    pub async fn version(&self, room: &RoomKey, wanted: Option<u64>) -> (u64, u64) {
        let seen = self.room(room, wanted).await.unwrap();
        (seen.value.expect("the room is there").view.version, seen.at)
    }

    pub async fn follows(&self) {
        eventually("the cache follows the log", PATIENCE, async || self.stats().await.following.then_some(())).await;
    }

    pub async fn stats(&self) -> NodeStats {
        self.cache.stats().await
    }

    /// What was asked of the database so far.
    pub async fn loads(&self) -> u64 {
        self.stats().await.database.hits
    }
}

/// Where a room is: version, chain.
type At = (u64, Hash);

/// Writes to rooms, and remembers each version's position.
pub struct Writer {
    pub log: EventLog,
    pub rooms: Vec<RoomKey>,
    at: Vec<At>,
    /// For each room, the position of each version, in order.
    pub history: Arc<Vec<Mutex<Vec<u64>>>>,
}

pub fn key(room: Uuid) -> RoomKey {
    RoomKey { tenant: TenantId::new("acme").unwrap(), room: RoomId::from_uuid(room) }
}

impl Writer {
    /// Rooms at version 1.
    pub async fn of(db: &TestDb, rooms: usize) -> Self {
        Self::over(&db.options, rooms).await
    }

    pub async fn over(database: &PgConnectOptions, rooms: usize) -> Self {
        let log = EventLog::new(pool::system(database.clone(), &database_config()));
        let rooms: Vec<_> = (0..rooms).map(|_| key(Uuid::now_v7())).collect();
        let history = rooms.iter().map(|_| Mutex::default()).collect();
        let at = vec![(0, chain::START); rooms.len()];
        let mut writer = Self { log, rooms, at, history: Arc::new(history) };
        for room in 0..writer.rooms.len() {
            writer.append(room, created()).await;
        }
        writer
    }

    /// Makes one more room; only while nobody else has the history.
    pub async fn make(&mut self, key: RoomKey) {
        self.rooms.push(key);
        self.at.push((0, chain::START));
        Arc::get_mut(&mut self.history).unwrap().push(Mutex::default());
        self.append(self.rooms.len() - 1, created()).await;
    }

    /// One more event of a room; its position.
    pub async fn write(&mut self, room: usize) -> u64 {
        let lock = self.at[room].0.is_multiple_of(2);
        let event = if lock { RoomEvent::RoomUnlocked(RoomUnlocked {}) } else { RoomEvent::RoomLocked(RoomLocked {}) };
        self.append(room, event).await
    }

    pub async fn append(&mut self, room: usize, event: RoomEvent) -> u64 {
        let event = NewEvent {
            event_type: event.name(),
            type_version: event.version(),
            occurred_at: None,
            actor: Actor::Key("test".into()),
            session: None,
            command_id: CommandId::from_uuid(Uuid::now_v7()),
            causation_id: None,
            correlation_id: None,
            traceparent: None,
            data: Arc::from(RawValue::from_string(event.to_json().unwrap()).unwrap()),
            sealed: None,
        };
        let (expected, chain) = self.at[room];
        let key = self.rooms[room].clone();
        let append =
            RoomAppend { unit: 0, key, expected, chain, events: vec![event], names: Vec::new(), outcomes: Vec::new() };
        let appended = self.log.append(&Batch::new(Clock::system().now(), vec![append])).await.unwrap();
        let written = appended.rooms[0].as_ref().unwrap();
        self.at[room] = (written.version, written.chain);
        self.history[room].lock().unwrap().push(appended.position);
        appended.position
    }
}

fn created() -> RoomEvent {
    RoomEvent::RoomCreated(RoomCreated { name: None, opens_at: None, settings: Settings::default() })
}

/// The version that a room had at a position, by what was written.
pub fn version_at(history: &[u64], position: u64) -> u64 {
    history.partition_point(|written| *written <= position) as u64
}
