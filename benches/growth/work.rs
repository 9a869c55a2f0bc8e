//! What is measured on a filled log: the log's own functions, on a pool as the server has it.

use std::time::{Duration, Instant};

use convoke::commands::execute::load::RoomLoader;
use convoke::config::Config;
use convoke::database::pool;
use convoke::events::envelope::Hash;
use convoke::events::log::append::{AppendBatch, EventData, RoomAppend};
use convoke::events::log::{EventLog, chain};
use convoke::events::room::{Audience, MessageSent, RoomCreated, RoomEvent, Settings};
use convoke::events::sealed::Sealed;
use convoke::events::time::{Clock, Timestamp};
use convoke::ids::{Actor, CommandId, Identity, RoomId, RoomKey, RoomVersion, TenantId};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::dice::Dice;
use crate::fixture::{Failure, Postgres};

const READS: usize = 1_500;
const VIEWS: usize = 750;
/// Rooms that have lived for years; one read in five is of them.
const OLD: usize = 100;
const OLD_VERSIONS: i64 = 1_000;
/// Events of one read of a room.
const PAGE: usize = 50;
const CURSORS: usize = 4;
/// Pages that are read on from a cursor, and events of each.
const TAIL_PAGES: usize = 25;
const TAIL_PAGE: usize = 2_000;
/// Rooms of a batch, with an event each: as many commands as wait for a commit under load.
pub const BATCH: usize = 256;
const BATCHES: usize = 60;
/// Rooms that are open and written to, in turns; they begin in the first batches.
const OPEN: usize = 10 * BATCH;
const SINGLES: usize = 600;

/// One round on one log.
pub struct Round {
    /// Of each read of a room's events.
    pub reads_ms: Vec<f64>,
    /// Of the same reads right afterwards, out of memory.
    pub reads_again_ms: Vec<f64>,
    /// Of each room at one of its versions.
    pub views_ms: Vec<f64>,
    pub views_again_ms: Vec<f64>,
    pub tail_rate: f64,
    /// Events, of batches and single ones.
    pub appended: u64,
    pub append_rate: f64,
    pub single_ms: Vec<f64>,
}

/// A room to write to.
struct Room {
    key: RoomKey,
    version: RoomVersion,
    chain: Hash,
}

pub struct Work {
    log: EventLog,
    loader: RoomLoader,
    old: Vec<(RoomKey, RoomVersion)>,
    dice: Dice,
}

impl Work {
    pub async fn on(postgres: &Postgres) -> Result<Self, Failure> {
        let config = Config::load()?;
        let log = EventLog::new(pool::system(postgres.options().clone(), &config.database));
        let loader = RoomLoader::new(log.clone(), config.log.snapshot_interval);
        let mut work = Self { log, loader, old: Vec::new(), dice: Dice::new(11) };
        work.old = work.rooms(OLD, OLD_VERSIONS).await?;
        // Snapshots are kept while a room is at work: these rooms have theirs.
        for (key, _) in &work.old {
            work.loader.now(key).await?;
        }
        Ok(work)
    }

    pub async fn close(self) {
        pool::close(self.log.pool().clone()).await;
    }

    pub async fn round(&mut self) -> Result<Round, Failure> {
        let (reads_ms, reads_again_ms) = self.read().await?;
        let (views_ms, views_again_ms) = self.view().await?;
        let tail_rate = self.tail().await?;
        let (append_rate, single_ms) = self.append().await?;
        Ok(Round {
            reads_ms,
            reads_again_ms,
            views_ms,
            views_again_ms,
            tail_rate,
            appended: (BATCHES * BATCH + SINGLES) as u64,
            append_rate,
            single_ms,
        })
    }

    /// Rooms anywhere in the log that have come to some version at least, and their versions.
    async fn rooms(&mut self, wanted: usize, least_version: i64) -> Result<Vec<(RoomKey, RoomVersion)>, Failure> {
        let rows: Vec<(String, Uuid, i64)> = sqlx::query_as(
            "SELECT tenant, room, version FROM convoke.room_heads WHERE version >= $1 ORDER BY md5(room::text || $2) LIMIT $3",
        )
        .bind(least_version)
        .bind(self.dice.roll(u64::MAX).to_string())
        .bind(i64::try_from(wanted)?)
        .fetch_all(self.log.pool())
        .await?;
        let room = |(tenant, room, version): (String, Uuid, i64)| {
            let key = RoomKey { tenant: TenantId::new(&tenant)?, room: RoomId::from_uuid(room) };
            Ok((key, version.try_into()?))
        };
        rows.into_iter().map(room).collect()
    }

    /// Rooms to read: one in five is old.
    async fn some(&mut self, wanted: usize) -> Result<Vec<(RoomKey, RoomVersion)>, Failure> {
        let mut rooms = self.rooms(wanted * 4 / 5, 1).await?;
        rooms.extend(self.old.iter().cycle().take(wanted / 5).cloned());
        Ok(rooms)
    }

    /// Rooms at one of their versions, as the API answers and as commands find them: each, and each again.
    async fn view(&mut self) -> Result<(Vec<f64>, Vec<f64>), Failure> {
        let mut views = Vec::new();
        for (key, version) in self.some(VIEWS).await? {
            views.push((key, 1 + self.dice.roll(version)));
        }
        let view = async |(key, at): &(RoomKey, RoomVersion)| {
            let begun = Instant::now();
            let room = self.loader.at_version(key, *at).await?;
            let took = milliseconds(begun.elapsed());
            if room.version == *at {
                Ok(took)
            } else {
                Err(Failure::from(format!("room {} has no version {at}", key.room)))
            }
        };
        twice(&views, view).await
    }

    /// A page of a room's events from one of its versions on: of each, and of each again.
    async fn read(&mut self) -> Result<(Vec<f64>, Vec<f64>), Failure> {
        let mut reads = Vec::new();
        for (key, version) in self.some(READS).await? {
            reads.push((key, self.dice.roll(version)));
        }
        let read = async |(key, after): &(RoomKey, RoomVersion)| {
            let begun = Instant::now();
            let events = self.log.read_room(key, *after, None, PAGE).await?;
            let took = milliseconds(begun.elapsed());
            let follows = events.first().is_some_and(|event| event.room_version == after + 1);
            if follows {
                Ok(took)
            } else {
                Err(Failure::from(format!("room {} has no version {}", key.room, after + 1)))
            }
        };
        twice(&reads, read).await
    }

    /// On from old cursors, as a consumer that was away. Events a second.
    async fn tail(&mut self) -> Result<f64, Failure> {
        let head = self.log.head().await?.position;
        let (mut read, mut took) = (0, Duration::ZERO);
        for _ in 0..CURSORS {
            let mut at = self.dice.roll(head.saturating_sub((TAIL_PAGES * TAIL_PAGE) as u64));
            let begun = Instant::now();
            for _ in 0..TAIL_PAGES {
                let events = self.log.read(at, TAIL_PAGE).await?;
                read += events.len();
                at = events.last().ok_or("the log ends early")?.position;
            }
            took += begun.elapsed();
        }
        Ok(read as f64 / took.as_secs_f64())
    }

    /// Batches of an event for each of many open rooms, one after another, and then single events. Events a second of the
    /// batches, and the time of each single one.
    async fn append(&mut self) -> Result<(f64, Vec<f64>), Failure> {
        let now_us = Clock::system().now().unix_micros();
        let mut rooms = Vec::with_capacity(OPEN);
        for _ in 0..OPEN {
            let key = RoomKey { tenant: TenantId::new("tenant-00")?, room: RoomId::from_uuid(self.dice.id(now_us)) };
            rooms.push(Room { key, version: 0, chain: chain::START });
        }
        let mut took = Duration::ZERO;
        for batch in 0..BATCHES {
            let first = batch * BATCH % OPEN;
            took += self.write(&mut rooms[first..first + BATCH]).await?;
        }
        let mut times = Vec::with_capacity(SINGLES);
        for number in 0..SINGLES {
            times.push(milliseconds(self.write(&mut rooms[number..=number]).await?));
        }
        Ok(((BATCHES * BATCH) as f64 / took.as_secs_f64(), times))
    }

    /// One event for each room; how long the append took.
    async fn write(&mut self, rooms: &mut [Room]) -> Result<Duration, Failure> {
        let now = Clock::system().now();
        let mut appends = Vec::with_capacity(rooms.len());
        for (unit, room) in rooms.iter_mut().enumerate() {
            let event = self.event(room, now)?;
            let (expected, chain) = (room.version, room.chain);
            room.version += 1;
            room.chain = chain_after(room, &event, now);
            let (names, outcomes, key) = (Vec::new(), Vec::new(), room.key.clone());
            appends.push(RoomAppend {
                unit: u32::try_from(unit)?,
                key,
                expected,
                chain,
                events: vec![event],
                names,
                outcomes,
            });
        }
        let batch = AppendBatch::new(now, appends);
        let begun = Instant::now();
        let appended = self.log.append(&batch).await?;
        let took = begun.elapsed();
        if appended.conflicts.is_empty() { Ok(took) } else { Err("somebody else writes to this log".into()) }
    }

    /// The room begins, or somebody writes.
    fn event(&mut self, room: &Room, now: Timestamp) -> Result<EventData, Failure> {
        let author = Identity::new("person-1")?;
        let (event, sealed): (RoomEvent, _) = if room.version == 0 {
            (RoomCreated { name: None, opens_at: None, settings: Settings::default() }.into(), None)
        } else {
            let said = MessageSent { author: author.clone(), to: Audience::Everyone, reply_to: None };
            (said.into(), Some(Sealed(self.dice.bytes(60, 160).into())))
        };
        Ok(EventData {
            event_type: event.name(),
            type_version: event.version(),
            occurred_at: None,
            actor: Actor::Person(author),
            session: None,
            command_id: CommandId::from_uuid(self.dice.id(now.unix_micros())),
            causation_id: None,
            correlation_id: None,
            traceparent: None,
            data: RawValue::from_string(event.to_json()?)?.into(),
            sealed,
        })
    }
}

/// What each took, and then each again.
async fn twice<T>(all: &[T], take: impl AsyncFn(&T) -> Result<f64, Failure>) -> Result<(Vec<f64>, Vec<f64>), Failure> {
    let (mut first, mut again) = (Vec::with_capacity(all.len()), Vec::with_capacity(all.len()));
    for times in [&mut first, &mut again] {
        for one in all {
            times.push(take(one).await?);
        }
    }
    Ok((first, again))
}

fn chain_after(room: &Room, event: &EventData, now: Timestamp) -> Hash {
    chain::link(
        &room.chain,
        &chain::ChainLink {
            key: &room.key,
            room_version: room.version,
            event_type: event.event_type,
            type_version: event.type_version,
            happened_at: now,
            actor: &event.actor,
            session: event.session,
            command_id: event.command_id,
            causation_id: None,
            correlation_id: None,
            traceparent: None,
            data: event.data.get(),
            sealed: event.sealed.as_ref().map(|sealed| &*sealed.0),
        },
    )
}

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}
