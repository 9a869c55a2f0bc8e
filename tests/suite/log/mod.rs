//! The log: `conformance` tests what holds for any log, the other modules what is PostgreSQL's own. The functions below make rooms
//! and events that mean nothing.

mod conformance;
mod hands;
mod import_support;
mod outcomes;
pub mod reading;
mod tampering;
mod time;

use std::sync::Arc;

use convoke::events::log::append::{AppendBatch, EventData, RoomAppend};
use convoke::events::log::{EventLog, chain};
use convoke::events::time::{Clock, Timestamp};
use convoke::ids::{Actor, CommandId, RoomId, RoomKey, RoomVersion, TenantId};
use serde_json::value::RawValue;
use uuid::Uuid;

use self::conformance::port::Log;
use crate::harness::TestDb;

pub fn log_of(db: &TestDb) -> EventLog {
    EventLog::new(db.system.clone())
}

pub fn now() -> Timestamp {
    Clock::system().now()
}

pub fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub fn room() -> RoomKey {
    room_of("acme")
}

pub fn room_of(name: &str) -> RoomKey {
    RoomKey { tenant: tenant(name), room: RoomId::from_uuid(Uuid::now_v7()) }
}

pub fn event(note: &str) -> EventData {
    let data = serde_json::json!({ "identity": note }).to_string();
    EventData {
        event_type: "room.hand-raised",
        type_version: 1,
        occurred_at: None,
        actor: Actor::Key("test".into()),
        session: None,
        command_id: CommandId::from_uuid(Uuid::now_v7()),
        causation_id: None,
        correlation_id: None,
        traceparent: None,
        data: Arc::from(RawValue::from_string(data).unwrap()),
        sealed: None,
    }
}

/// What writes `count` events to a room that has none, as a unit of its own.
pub fn fresh(unit: u32, key: &RoomKey, count: usize) -> RoomAppend {
    RoomAppend {
        unit,
        key: key.clone(),
        expected: 0,
        chain: chain::START,
        events: (0..count).map(|number| event(&format!("event-{number}"))).collect(),
        names: Vec::new(),
        outcomes: Vec::new(),
    }
}

/// The same, where the room stands by now.
pub async fn more(log: &impl Log, unit: u32, key: &RoomKey, count: usize) -> RoomAppend {
    let head = log.room_head(key).await.unwrap();
    let (expected, chain) = head.map_or((0, chain::START), |head| (head.version, head.chain));
    RoomAppend { expected, chain, ..fresh(unit, key, count) }
}

/// Writes `count` events to a room, by one batch, at a time.
pub async fn write_at(log: &impl Log, key: &RoomKey, count: usize, at: Timestamp) -> RoomVersion {
    let append = more(log, 0, key, count).await;
    let appended = log.append(&AppendBatch::new(at, vec![append])).await.unwrap();
    assert!(appended.conflicts.is_empty(), "{:?}", appended.conflicts);
    appended.rooms[0].as_ref().unwrap().version
}

pub async fn write(log: &impl Log, key: &RoomKey, count: usize) -> RoomVersion {
    write_at(log, key, count, now()).await
}

/// Lets the test's clock run ahead of the database's.
pub async fn believe_any_clock(db: &TestDb) {
    sqlx::query("UPDATE convoke.log_head SET max_clock_lead = '100 years'").execute(&db.owner).await.unwrap();
}
