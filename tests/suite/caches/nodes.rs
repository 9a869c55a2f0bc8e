//! Room states as two processes have them, in this one; and a writer whose word on every room is known.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convoke::config::{CacheConfig, Config};
use convoke::database::pool;
use convoke::events::envelope::Hash;
use convoke::events::feed::{EventWindow, FeedSource};
use convoke::events::log::append::{AppendBatch, EventData, RoomAppend};
use convoke::events::log::{EventLog, chain};
use convoke::events::room::{RoomCreated, RoomEvent, RoomLocked, RoomUnlocked, Settings};
use convoke::events::time::Clock;
use convoke::ids::{Actor, CommandId, RoomId, RoomKey, TenantId};
use convoke::live::cache::Cache;
use convoke::live::cache::stats::NodeStats;
use convoke::live::hub::{self, EventHub};
use convoke::live::pattern::Pattern;
use convoke::live::rooms::{self, RoomStates, Shown, StateError};
use convoke::live::snapshots::{self, Snapshots};
use convoke::projections::MODELS;
use convoke::projections::live::ProjectionProgress;
use convoke::projections::read::ReadModels;
use convoke::resilience::Breakers;
use convoke::security::sealing::{MasterKeys, Sealer};
use convoke::telemetry::metrics::Metrics;
use serde_json::value::RawValue;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::harness::{TestDb, database_config, eventually, follow_head};

pub const PATIENCE: Duration = Duration::from_secs(30);

/// The room states of one process and the work behind them. Ends with the value.
pub struct Node {
    pub cache: Cache,
    pub breakers: Breakers,
    _stop: DropGuard,
    _tasks: JoinSet<()>,
}

pub struct Make<'a> {
    pub db: &'a TestDb,
    pub redis: Option<String>,
    /// As `CONVOKE_CACHE_MEMORY` has it.
    pub memory: &'static str,
    /// Whether it holds the master key of the others.
    pub trusted: bool,
}

/// A room as a node answered it.
pub struct Seen {
    /// `None`: there is no such room.
    pub value: Option<Shown>,
    /// What is answered contains the log up to here.
    pub at: u64,
}

impl<'a> Make<'a> {
    pub fn on(db: &'a TestDb) -> Self {
        Self { db, redis: None, memory: "16MiB", trusted: true }
    }

    /// The node, once it follows the log.
    pub async fn node(self) -> Node {
        let log = EventLog::new(pool::system(self.db.options.clone(), &database_config()));
        let node = self.node_over(&log);
        node.follows().await;
        node
    }

    /// On connections of the test's own, and not yet following.
    pub fn node_over(self, log: &EventLog) -> Node {
        let metrics = Metrics::new();
        let (progress, breakers) =
            (ProjectionProgress::new(log.pool().clone(), MODELS), Breakers::new(metrics.clone()));
        let config = config(self.redis.as_deref(), self.memory);
        let key = Zeroizing::new([if self.trusted { 7 } else { 8 }; 32]);
        let sealer = Sealer::new(log.pool().clone(), MasterKeys::new([("test".to_owned(), key)]).unwrap());
        let parts = snapshots::Parts { sealer, clock: Clock::system(), metrics: metrics.cache().clone() };
        let around = || breakers.around("redis", snapshots::BREAKER);
        let (snapshots, writer) = Snapshots::new(&config, parts, around).unwrap().unzip();
        let (stop, mut tasks, window) = (CancellationToken::new(), JoinSet::new(), EventWindow::default());
        let rooms = RoomStates::new(rooms::RoomStatesParts {
            log: log.clone(),
            window: window.clone(),
            models: ReadModels::new(log.pool().clone()),
            progress,
            snapshot_interval: 1_000,
            snapshots: snapshots.clone(),
            metrics: metrics.cache().clone(),
            clock: Clock::system(),
            memory: config.memory,
            patience: PATIENCE,
            stop: stop.clone(),
        });
        let cache =
            Cache { rooms: rooms.clone(), snapshots, metrics: metrics.cache().clone(), pool: log.pool().clone() };
        // The nodes of these tests have no streams.
        let (publisher, stretches) = hub::publisher();
        tasks.spawn(EventHub::new(1_000).run(stretches, stop.clone()));
        tasks.spawn(rooms.run(publisher, stop.clone()));
        tasks.spawn(window.run(FeedSource::log(log.clone(), metrics), stop.clone()));
        if let Some(writer) = writer {
            tasks.spawn(writer.run(stop.clone()));
        }
        tasks.spawn(follow_head(log.clone(), stop.clone()));
        Node { cache, breakers, _stop: stop.drop_guard(), _tasks: tasks }
    }
}

fn config(redis: Option<&str>, memory: &str) -> CacheConfig {
    let mut settings = HashMap::from([("CONVOKE_CACHE_MEMORY".to_owned(), memory.to_owned())]);
    settings.extend(redis.map(|url| ("REDIS_URL".to_owned(), url.to_owned())));
    Config::from_environment(&settings).unwrap().cache
}

impl Node {
    pub async fn room(&self, room: &RoomKey, wanted: Option<u64>) -> Result<Seen, StateError> {
        let current = self.cache.rooms.current(room, wanted).await?;
        Ok(match current.view(room.room) {
            Some(shown) => {
                let (shown, at) = shown.unwrap();
                Seen { value: Some(shown), at }
            }
            None => Seen { value: None, at: current.read(|room| current.position(room)) },
        })
    }

    /// Version of a room that is there, and the position that the answer claims.
    pub async fn version(&self, room: &RoomKey, wanted: Option<u64>) -> (u64, u64) {
        let seen = self.room(room, wanted).await.unwrap();
        (seen.value.expect("the room is there").view.version, seen.at)
    }

    pub async fn follows(&self) {
        eventually("the node follows the log", PATIENCE, async || self.stats().await.following.then_some(())).await;
    }

    pub async fn stats(&self) -> NodeStats {
        self.cache.stats().await
    }

    /// Loads from the database so far.
    pub async fn loads(&self) -> u64 {
        self.stats().await.database.hits
    }

    /// Lets go of every room in memory, so that the next readers load them.
    pub fn forget_rooms(&self) {
        self.cache.rooms.forget(&Pattern::new("room:*", None).unwrap());
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
        let log = EventLog::new(pool::system(db.options.clone(), &database_config()));
        let rooms: Vec<_> = (0..rooms).map(|_| key(Uuid::now_v7())).collect();
        let history = rooms.iter().map(|_| Mutex::default()).collect();
        let at = vec![(0, chain::START); rooms.len()];
        let mut writer = Self { log, rooms, at, history: Arc::new(history) };
        for room in 0..writer.rooms.len() {
            writer.append(room, created()).await;
        }
        writer
    }

    /// Rooms that are long enough for a snapshot in Redis.
    pub async fn of_long(db: &TestDb, rooms: usize) -> Self {
        let mut writer = Self::of(db, rooms).await;
        for room in 0..rooms {
            for _ in 0..snapshots::EVERY {
                writer.write(room).await;
            }
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
        let event = EventData {
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
        let appended = self.log.append(&AppendBatch::new(Clock::system().now(), vec![append])).await.unwrap();
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
