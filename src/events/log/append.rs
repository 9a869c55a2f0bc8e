//! Appending: a batch of many rooms' events in one transaction and one round trip (`convoke.append`, migration 0004).
//!
//! A batch is told apart into units. A unit is written whole or left out whole; the others of the batch are not held up.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::Row;
use uuid::Uuid;

use super::chain::{self, Link};
use super::{EventLog, LogError, RoomKey, rows};
use crate::events::envelope::{Hash, Position, RoomVersion};
use crate::events::ids::{Actor, CommandId, RoomId, SessionId};
use crate::events::sealed::Sealed;
use crate::events::time::Timestamp;

/// An event before it has a place in the log.
#[derive(Clone, Debug)]
pub struct NewEvent {
    pub event_type: &'static str,
    pub type_version: u16,
    /// When it happened, where that is not when the batch was decided.
    pub occurred_at: Option<Timestamp>,
    pub actor: Actor,
    pub session: Option<SessionId>,
    pub command_id: CommandId,
    pub causation_id: Option<Uuid>,
    pub correlation_id: Option<Uuid>,
    pub traceparent: Option<Arc<str>>,
    pub data: Arc<RawValue>,
    pub sealed: Option<Sealed>,
}

/// A change to the names of rooms that have not ended.
#[derive(Clone, Debug)]
pub enum NameChange {
    Claim(String),
    Release(String),
}

/// The answer to a command, kept under its idempotency key in the append's own transaction.
#[derive(Clone, Debug)]
pub struct NewOutcome {
    pub key: String,
    /// Of the request: another one under the same key is refused.
    pub fingerprint: Hash,
    pub status: u16,
    /// The room that the answer speaks of.
    pub about: RoomId,
    /// Without position and recorded time, which the append gives.
    pub body: String,
    pub at: OutcomeAt,
}

/// Where in the log an outcome is true.
#[derive(Clone, Copy, Debug)]
pub enum OutcomeAt {
    /// At the event of this index (from 0) among the room's events in the batch: the command's last.
    Event(usize),
    /// Nothing was written: it is so since then.
    Already { position: Position, recorded_at: Timestamp },
}

/// What a batch does to one room.
#[derive(Clone, Debug)]
pub struct RoomAppend {
    /// Rooms of one unit are written together or not at all.
    pub unit: u32,
    pub key: RoomKey,
    /// The version it was decided on; 0: the room is not there yet.
    pub expected: RoomVersion,
    /// The chain at that version.
    pub chain: Hash,
    pub events: Vec<NewEvent>,
    /// At most one for each name in a batch.
    pub names: Vec<NameChange>,
    /// Each key at most once in a batch.
    pub outcomes: Vec<NewOutcome>,
}

impl RoomAppend {
    /// Whether there is anything to write; if not, only the version is compared.
    pub fn writes(&self) -> bool {
        !(self.events.is_empty() && self.names.is_empty() && self.outcomes.is_empty())
    }
}

/// How far what feeds the log has come, kept in the append's own transaction.
#[derive(Clone, Debug)]
pub struct Progress {
    pub name: String,
    pub done: u64,
    pub detail: Box<RawValue>,
}

/// What is to be written together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// When it was decided. What it says happened, happened then, whatever time the log records.
    pub now: Timestamp,
    /// Each room at most once.
    pub rooms: Vec<RoomAppend>,
    /// History moved in keeps its times: events are recorded at the time they occurred, or at the last recorded time if that
    /// is later.
    pub recorded_as_occurred: Option<Timestamp>,
    pub progress: Option<Progress>,
}

impl Batch {
    pub fn new(now: Timestamp, rooms: Vec<RoomAppend>) -> Self {
        Self { now, rooms, recorded_as_occurred: None, progress: None }
    }
}

/// What a committed batch did.
#[derive(Debug)]
pub struct Appended {
    /// In the order of the batch's rooms; `None`: left out, see `conflicts`.
    pub rooms: Vec<Option<Written>>,
    /// Why units were left out, by unit.
    pub conflicts: BTreeMap<u32, Vec<Conflict>>,
    /// The log's position after the batch.
    pub position: Position,
    /// When the batch was recorded; of its last event for history that keeps its times.
    pub recorded_at: Timestamp,
}

/// Where a room's events of the batch lie: one after the other from `first_position`. Without events, where the room is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub first_position: Position,
    pub version: RoomVersion,
    pub chain: Hash,
    /// Of the last of them.
    pub recorded_at: Timestamp,
}

/// Why a unit was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// The room is at another version than the one decided on.
    Version { room: RoomKey, actual: RoomVersion },
    /// A claimed name is another room's.
    NameTaken { name: String, holder: RoomId },
    /// The key has an outcome.
    KeyUsed { key: String, outcome: StoredOutcome },
}

/// An answer given before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOutcome {
    pub fingerprint: Hash,
    pub status: u16,
    pub about: RoomId,
    pub position: Position,
    pub recorded_at: Timestamp,
    /// Without position and recorded time.
    pub body: String,
}

/// What is known of a room after the batch before the log has answered.
struct After {
    chain: Hash,
    /// Of its last event, where that comes with the batch.
    recorded_at: Option<Timestamp>,
}

/// The batch as the arrays that `convoke.append` takes.
#[derive(Default)]
struct Arrays<'a> {
    r_unit: Vec<i32>,
    r_tenant: Vec<&'a str>,
    r_room: Vec<Uuid>,
    r_expected: Vec<i64>,
    r_version: Vec<i64>,
    r_chain: Vec<Vec<u8>>,
    r_last: Vec<i32>,
    e_room: Vec<i32>,
    e_version: Vec<i64>,
    e_recorded: Vec<DateTime<Utc>>,
    e_occurred: Vec<Option<DateTime<Utc>>>,
    e_command: Vec<Uuid>,
    e_session: Vec<Option<Uuid>>,
    e_causation: Vec<Option<Uuid>>,
    e_correlation: Vec<Option<Uuid>>,
    e_traceparent: Vec<Option<&'a str>>,
    e_type: Vec<&'static str>,
    e_type_version: Vec<i16>,
    e_actor: Vec<String>,
    e_data: Vec<&'a str>,
    e_sealed: Vec<Option<&'a [u8]>>,
    e_chain: Vec<Vec<u8>>,
    n_room: Vec<i32>,
    n_name: Vec<&'a str>,
    n_claim: Vec<bool>,
    o_room: Vec<i32>,
    o_key: Vec<&'a str>,
    o_fingerprint: Vec<&'a [u8]>,
    o_status: Vec<i16>,
    o_body: Vec<&'a str>,
    o_about: Vec<Uuid>,
    o_event: Vec<Option<i32>>,
    o_position: Vec<Option<i64>>,
    o_recorded: Vec<Option<DateTime<Utc>>>,
}

/// Positions, versions and counts of a batch are far below the ends of bigint and integer.
fn big(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn int(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

impl<'a> Arrays<'a> {
    fn of(batch: &'a Batch) -> (Self, Vec<After>) {
        let mut arrays = Self::default();
        let mut after = Vec::with_capacity(batch.rooms.len());
        let mut recorded = batch.recorded_as_occurred;
        for room in &batch.rooms {
            let chain = arrays.room(room, batch.now, &mut recorded);
            after.push(After { chain, recorded_at: recorded });
        }
        (arrays, after)
    }

    /// Adds a room; returns its chain after the batch.
    fn room(&mut self, room: &'a RoomAppend, now: Timestamp, recorded: &mut Option<Timestamp>) -> Hash {
        let number = int(self.r_unit.len() + 1);
        let first_event = self.e_room.len();
        let mut chain = room.chain;
        for (version, event) in (room.expected + 1..).zip(&room.events) {
            chain = self.event(number, version, room, event, &chain, now);
            if let Some(last) = recorded {
                *last = event.occurred_at.unwrap_or(now).max(*last);
                self.e_recorded.push(last.utc());
            }
        }
        self.r_unit.push(i32::try_from(room.unit).unwrap_or(i32::MAX));
        self.r_tenant.push(room.key.tenant.as_str());
        self.r_room.push(room.key.room.uuid());
        self.r_expected.push(big(room.expected));
        self.r_version.push(big(room.expected + room.events.len() as u64));
        self.r_chain.push(chain.to_vec());
        self.r_last.push(int(self.e_room.len()));
        for name in &room.names {
            let (text, claim) = match name {
                NameChange::Claim(text) => (text, true),
                NameChange::Release(text) => (text, false),
            };
            self.n_room.push(number);
            self.n_name.push(text);
            self.n_claim.push(claim);
        }
        for outcome in &room.outcomes {
            self.outcome(number, first_event, outcome);
        }
        chain
    }

    fn event(
        &mut self,
        number: i32,
        version: RoomVersion,
        room: &'a RoomAppend,
        event: &'a NewEvent,
        before: &Hash,
        now: Timestamp,
    ) -> Hash {
        let sealed = event.sealed.as_ref().map(|sealed| &*sealed.0);
        let chain = chain::link(
            before,
            &Link {
                key: &room.key,
                room_version: version,
                event_type: event.event_type,
                type_version: event.type_version,
                happened_at: event.occurred_at.unwrap_or(now),
                actor: &event.actor,
                session: event.session,
                command_id: event.command_id,
                causation_id: event.causation_id,
                correlation_id: event.correlation_id,
                traceparent: event.traceparent.as_deref(),
                data: event.data.get(),
                sealed,
            },
        );
        self.e_room.push(number);
        self.e_version.push(big(version));
        self.e_occurred.push(event.occurred_at.map(Timestamp::utc));
        self.e_command.push(event.command_id.uuid());
        self.e_session.push(event.session.map(SessionId::uuid));
        self.e_causation.push(event.causation_id);
        self.e_correlation.push(event.correlation_id);
        self.e_traceparent.push(event.traceparent.as_deref());
        self.e_type.push(event.event_type);
        self.e_type_version.push(i16::try_from(event.type_version).unwrap_or(i16::MAX));
        self.e_actor.push(event.actor.to_string());
        self.e_data.push(event.data.get());
        self.e_sealed.push(sealed);
        self.e_chain.push(chain.to_vec());
        chain
    }

    fn outcome(&mut self, number: i32, first_event: usize, outcome: &'a NewOutcome) {
        self.o_room.push(number);
        self.o_key.push(&outcome.key);
        self.o_fingerprint.push(&outcome.fingerprint);
        self.o_status.push(i16::try_from(outcome.status).unwrap_or(i16::MAX));
        self.o_body.push(&outcome.body);
        self.o_about.push(outcome.about.uuid());
        let (event, position, recorded) = match outcome.at {
            OutcomeAt::Event(index) => (Some(int(first_event + index + 1)), None, None),
            OutcomeAt::Already { position, recorded_at } => (None, Some(big(position)), Some(recorded_at.utc())),
        };
        self.o_event.push(event);
        self.o_position.push(position);
        self.o_recorded.push(recorded);
    }

    /// Columns that hold nothing at all are sent as empty arrays: the function reads what is missing as absent.
    fn trim(&mut self) {
        fn empty<T>(column: &mut Vec<Option<T>>) {
            if column.iter().all(Option::is_none) {
                column.clear();
            }
        }
        empty(&mut self.e_occurred);
        empty(&mut self.e_session);
        empty(&mut self.e_causation);
        empty(&mut self.e_correlation);
        empty(&mut self.e_traceparent);
        empty(&mut self.e_sealed);
    }
}

/// One value for each parameter of `convoke.append`.
const APPEND: &str = "SELECT kind, unit, room_number, at_position, at_recorded, about, actual_version, subject,
        outcome_status, outcome_fingerprint, outcome_body
     FROM convoke.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
        $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38)";

impl EventLog {
    /// Writes a batch in one transaction. Once this returns, what it says was written is durable. On an error nothing is known:
    /// the batch may or may not have been written; versions and idempotency keys make it safe to try again.
    pub async fn append(&self, batch: &Batch) -> Result<Appended, LogError> {
        let (mut arrays, after) = Arrays::of(batch);
        arrays.trim();
        let a = &arrays;
        let progress = batch.progress.as_ref();
        let rows = sqlx::query(APPEND)
            .bind(batch.now.utc())
            .bind(&a.r_unit)
            .bind(&a.r_tenant)
            .bind(&a.r_room)
            .bind(&a.r_expected)
            .bind(&a.r_version)
            .bind(&a.r_chain)
            .bind(&a.r_last)
            .bind(&a.e_room)
            .bind(&a.e_version)
            .bind(&a.e_recorded)
            .bind(&a.e_occurred)
            .bind(&a.e_command)
            .bind(&a.e_session)
            .bind(&a.e_causation)
            .bind(&a.e_correlation)
            .bind(&a.e_traceparent)
            .bind(&a.e_type)
            .bind(&a.e_type_version)
            .bind(&a.e_actor)
            .bind(&a.e_data)
            .bind(&a.e_sealed)
            .bind(&a.e_chain)
            .bind(&a.n_room)
            .bind(&a.n_name)
            .bind(&a.n_claim)
            .bind(&a.o_room)
            .bind(&a.o_key)
            .bind(&a.o_fingerprint)
            .bind(&a.o_status)
            .bind(&a.o_body)
            .bind(&a.o_about)
            .bind(&a.o_event)
            .bind(&a.o_position)
            .bind(&a.o_recorded)
            .bind(progress.map(|progress| progress.name.as_str()))
            .bind(progress.map(|progress| big(progress.done)))
            .bind(progress.map(|progress| progress.detail.get()))
            .fetch_all(self.pool())
            .await
            .map_err(|error| no_partition(error, batch))?;
        let appended = answer(batch, &after, &rows)?;
        self.saw(appended.position);
        Ok(appended)
    }
}

/// What PostgreSQL says when no partition takes a row is SQLSTATE 23514, as for any broken check; the log has no other.
fn no_partition(error: sqlx::Error, batch: &Batch) -> LogError {
    match error.as_database_error().and_then(|db| db.code()) {
        Some(code) if code == "23514" => {
            let events = batch.rooms.iter().flat_map(|room| &room.events);
            let latest =
                events.filter_map(|event| event.occurred_at).max().filter(|_| batch.recorded_as_occurred.is_some());
            LogError::NoPartition { at: latest.unwrap_or(batch.now) }
        }
        _ => error.into(),
    }
}

fn answer(batch: &Batch, after: &[After], rows: &[sqlx::postgres::PgRow]) -> Result<Appended, LogError> {
    let mut conflicts: BTreeMap<u32, Vec<Conflict>> = BTreeMap::new();
    let mut base = None;
    for row in rows {
        let kind: &str = row.try_get("kind")?;
        if kind == "head" {
            let recorded_at = rows::timestamp(row.try_get("at_recorded")?)?;
            base = Some((rows::position(row.try_get("at_position")?)?, recorded_at));
            continue;
        }
        let unit = u32::try_from(row.try_get::<i32, _>("unit")?).unwrap_or_default();
        conflicts.entry(unit).or_default().push(conflict(batch, kind, row)?);
    }
    let (mut position, recorded_at) = base.ok_or_else(|| LogError::Damaged("an append without an answer".into()))?;
    let mut rooms = Vec::with_capacity(batch.rooms.len());
    for (room, after) in batch.rooms.iter().zip(after) {
        if conflicts.contains_key(&room.unit) {
            rooms.push(None);
            continue;
        }
        let count = room.events.len() as u64;
        rooms.push(Some(Written {
            first_position: position + 1,
            version: room.expected + count,
            chain: after.chain,
            recorded_at: after.recorded_at.unwrap_or(recorded_at),
        }));
        position += count;
    }
    Ok(Appended { rooms, conflicts, position, recorded_at })
}

fn conflict(batch: &Batch, kind: &str, row: &sqlx::postgres::PgRow) -> Result<Conflict, LogError> {
    let subject = || row.try_get::<String, _>("subject");
    let about = || row.try_get::<Uuid, _>("about").map(RoomId::from_uuid);
    match kind {
        "version" => {
            let number: i32 = row.try_get("room_number")?;
            let room = usize::try_from(number - 1).ok().and_then(|index| batch.rooms.get(index));
            let room = room.ok_or_else(|| LogError::Damaged("a conflict of no room".into()))?;
            Ok(Conflict::Version { room: room.key.clone(), actual: rows::position(row.try_get("actual_version")?)? })
        }
        "name" => Ok(Conflict::NameTaken { name: subject()?, holder: about()? }),
        "key" => Ok(Conflict::KeyUsed {
            key: subject()?,
            outcome: StoredOutcome {
                fingerprint: rows::hash(row.try_get("outcome_fingerprint")?)?,
                status: u16::try_from(row.try_get::<i16, _>("outcome_status")?).unwrap_or_default(),
                about: about()?,
                position: rows::position(row.try_get("at_position")?)?,
                recorded_at: rows::timestamp(row.try_get("at_recorded")?)?,
                body: row.try_get("outcome_body")?,
            },
        }),
        other => Err(LogError::Damaged(format!("an append's answer of kind {other}"))),
    }
}
