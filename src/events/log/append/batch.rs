//! What goes into an append and what comes out of it, as values: the events of many rooms, the names and outcomes kept with
//! them, and where they lie or why they were left out.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;
use uuid::Uuid;

use super::person_keys::NewPersonKey;
use crate::events::envelope::Hash;
use crate::events::sealed::Sealed;
use crate::events::time::Timestamp;
use crate::ids::{Actor, CommandId, Position, RoomId, RoomKey, RoomVersion, SessionId};

/// An event before it has a place in the log.
#[derive(Clone, Debug)]
pub struct EventData {
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
    pub events: Vec<EventData>,
    /// All changes of a name in a batch belong to one unit, unless the batch is one whole.
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
pub struct SourceProgress {
    pub name: String,
    pub done: u64,
    pub detail: Box<RawValue>,
}

/// What is to be written together.
#[derive(Clone, Debug)]
pub struct AppendBatch {
    /// When it was decided. What it says happened, happened then, whatever time the log records.
    pub now: Timestamp,
    /// Each room at most once.
    pub rooms: Vec<RoomAppend>,
    /// The room (its index) of each event, in the order in which the events are to lie in the log; `None`: room after room.
    pub order: Option<Vec<usize>>,
    /// History moved in keeps its times: events are recorded at the time they occurred, or at the last recorded time if that
    /// is later.
    pub recorded_as_occurred: Option<Timestamp>,
    /// Makes the batch one whole.
    pub progress: Option<SourceProgress>,
    /// Keys of persons that some of the events are sealed under, to be stored with them.
    pub keys: Vec<NewPersonKey>,
}

impl AppendBatch {
    pub fn new(now: Timestamp, rooms: Vec<RoomAppend>) -> Self {
        Self { now, rooms, order: None, recorded_as_occurred: None, progress: None, keys: Vec::new() }
    }
}

/// What a committed batch did.
#[derive(Debug)]
pub struct Appended {
    /// In the order of the batch's rooms; `None`: left out, see `conflicts`. All of a batch with progress are, where there is
    /// any conflict.
    pub rooms: Vec<Option<WrittenRoom>>,
    /// Why units were left out, by unit.
    pub conflicts: BTreeMap<u32, Vec<Conflict>>,
    /// The log's position after the batch.
    pub position: Position,
    /// When the batch was recorded; of its last event for history that keeps its times.
    pub recorded_at: Timestamp,
}

/// Where a room's events of the batch lie. Without events, where the room is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenRoom {
    pub first_position: Position,
    /// Of each event, where they do not lie one after the other.
    pub spread: Option<Vec<Position>>,
    pub version: RoomVersion,
    pub chain: Hash,
    /// Of the last of them.
    pub recorded_at: Timestamp,
}

impl WrittenRoom {
    /// Of the event with this index (from 0) among the room's events of the batch.
    pub fn position_of(&self, index: usize) -> Position {
        match &self.spread {
            None => self.first_position + index as u64,
            Some(positions) => positions[index],
        }
    }
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
    /// One of the persons whose keys were to be stored has another key. Nothing of the batch was written.
    PersonKey,
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
