//! Appends a batch of events of many rooms in one transaction and one round trip (`convoke.append`, migration 0004).
//!
//! A batch consists of units. The append writes a unit completely or not at all; one unit does not delay the others. A batch that
//! carries the progress of an import is one unit as a whole: if one unit conflicts, the append writes nothing.

mod appender;
mod chains;
mod columns;
mod own;
mod person_keys;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Arguments as _, AssertSqlSafe, Executor as _, PgConnection, Postgres, Row};
use uuid::Uuid;

pub(super) use self::appender::Appender;
use self::chains::After;
pub use self::chains::Chains;
use self::columns::{Columns, big};
pub use self::own::{Acknowledged, OwnAppends};
pub use self::person_keys::NewPersonKey;
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
    /// The room (its index) of each event, in the order in which the events are to lie in the log; `None`: room after room.
    pub order: Option<Vec<usize>>,
    /// History moved in keeps its times: events are recorded at the time they occurred, or at the last recorded time if that
    /// is later.
    pub recorded_as_occurred: Option<Timestamp>,
    /// Makes the batch one whole.
    pub progress: Option<Progress>,
    /// Keys of persons that some of the events are sealed under, to be stored with them.
    pub keys: Vec<NewPersonKey>,
}

impl Batch {
    pub fn new(now: Timestamp, rooms: Vec<RoomAppend>) -> Self {
        Self { now, rooms, order: None, recorded_as_occurred: None, progress: None, keys: Vec::new() }
    }
}

/// What a committed batch did.
#[derive(Debug)]
pub struct Appended {
    /// In the order of the batch's rooms; `None`: left out, see `conflicts`. All of a batch with progress are, where there is
    /// any conflict.
    pub rooms: Vec<Option<Written>>,
    /// Why units were left out, by unit.
    pub conflicts: BTreeMap<u32, Vec<Conflict>>,
    /// The log's position after the batch.
    pub position: Position,
    /// When the batch was recorded; of its last event for history that keeps its times.
    pub recorded_at: Timestamp,
}

/// Where a room's events of the batch lie. Without events, where the room is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub first_position: Position,
    /// Of each event, where they do not lie one after the other.
    pub spread: Option<Vec<Position>>,
    pub version: RoomVersion,
    pub chain: Hash,
    /// Of the last of them.
    pub recorded_at: Timestamp,
}

impl Written {
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

/// One value for each parameter of `convoke.append`.
const APPEND: &str = "SELECT kind, unit, room_number, at_position, at_recorded, about, actual_version, subject,
        outcome_status, outcome_fingerprint, outcome_body
     FROM convoke.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
        $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38)";

/// A batch as it is sent, but for its progress: encoded ahead, it has only to wait for its turn.
pub struct Encoded {
    batch: Batch,
    chains: Chains,
    arguments: PgArguments,
}

impl Encoded {
    pub fn new(batch: Batch, chains: Chains) -> Result<Self, LogError> {
        let arguments = Columns::of(&batch, &chains).arguments(batch.now)?;
        Ok(Self { batch, chains, arguments })
    }
}

type Append<'q> = Query<'q, Postgres, PgArguments>;

impl EventLog {
    /// Writes a batch in one transaction. Once this returns, what it says was written is durable. On an error nothing is known:
    /// the batch may or may not have been written; versions and idempotency keys make it safe to try again.
    pub async fn append(&self, batch: &Batch) -> Result<Appended, LogError> {
        let chains = Chains::of(batch);
        let arguments = Columns::of(batch, &chains).arguments(batch.now)?;
        self.send(batch, &chains, arguments).await
    }

    /// The same, of a batch that is encoded, with the progress that it makes.
    pub async fn append_encoded(&self, encoded: Encoded, progress: Progress) -> Result<Appended, LogError> {
        let Encoded { mut batch, chains, arguments } = encoded;
        batch.progress = Some(progress);
        self.send(&batch, &chains, arguments).await
    }

    async fn send(&self, batch: &Batch, chains: &Chains, mut arguments: PgArguments) -> Result<Appended, LogError> {
        let progress = batch.progress.as_ref();
        arguments.add(progress.map(|progress| progress.name.as_str())).map_err(sqlx::Error::Encode)?;
        arguments.add(progress.map(|progress| big(progress.done))).map_err(sqlx::Error::Encode)?;
        arguments.add(progress.map(|progress| progress.detail.get())).map_err(sqlx::Error::Encode)?;
        person_keys::arguments(&batch.keys, &mut arguments)?;
        let query = sqlx::query_with(person_keys::statement(&batch.keys), arguments);
        let mut lent = self.appender.lend(&self.pool).await?;
        let rows = match progress {
            // A statement by itself is a transaction.
            None if self.pool.has_sessions() => query.fetch_all(&mut *lent).await,
            _ => self.in_transaction(&mut lent, query, progress.is_some()).await,
        };
        let rows = match rows {
            Err(error) if person_keys::is_another(&error) => return Ok(self.left_out_whole(batch)),
            rows => rows.map_err(|error| append_error(error, batch))?,
        };
        lent.back();
        let appended = answer(batch, &chains.rooms, &rows)?;
        // Before readers are notified of the position, and before the commands are answered.
        if let Some(own) = &self.own {
            own.keep(batch, chains, &appended);
        }
        self.saw(appended.position);
        Ok(appended)
    }

    /// `whole`: with one conflict nothing is written. A connection on which this did not come to its end is not used again.
    async fn in_transaction(&self, on: &mut PgConnection, query: Append<'_>, whole: bool) -> sqlx::Result<Vec<PgRow>> {
        on.execute(sqlx::raw_sql(AssertSqlSafe(self.pool.beginning("", "")))).await?;
        let rows = query.fetch_all(&mut *on).await?;
        // The head's own row is always there; each other one is a conflict.
        let end = if whole && rows.len() > 1 { "ROLLBACK" } else { "COMMIT" };
        on.execute(sqlx::raw_sql(end)).await?;
        Ok(rows)
    }
}

/// Classes of SQLSTATE that speak of what is to be written: cardinality, data, integrity, limits of the program, exceptions
/// that a function or a trigger raises. The server has answered, and has written nothing.
const OF_CONTENT: [&str; 5] = ["21", "22", "23", "54", "P0"];

/// What PostgreSQL says when no partition takes a row is SQLSTATE 23514, as for any broken check, without the name of one.
fn append_error(error: sqlx::Error, batch: &Batch) -> LogError {
    let answered = error.as_database_error();
    let code = answered.and_then(|db| db.code()).unwrap_or_default();
    if code == "23514" && answered.is_some_and(|db| db.constraint().is_none()) {
        let events = batch.rooms.iter().flat_map(|room| &room.events);
        let latest =
            events.filter_map(|event| event.occurred_at).max().filter(|_| batch.recorded_as_occurred.is_some());
        return LogError::NoPartition { at: latest.unwrap_or(batch.now) };
    }
    if OF_CONTENT.iter().any(|class| code.starts_with(class)) { LogError::Refused(error) } else { error.into() }
}

fn answer(batch: &Batch, after: &[After], rows: &[PgRow]) -> Result<Appended, LogError> {
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
    let (position, recorded_at) = base.ok_or_else(|| LogError::Damaged("an append without an answer".into()))?;
    let mut places = Places { position, spread: batch.order.as_ref().map(|_| Vec::new()) };
    let nothing = batch.progress.is_some() && !conflicts.is_empty();
    let left_out = |room: &RoomAppend| nothing || conflicts.contains_key(&room.unit);
    if let Some(order) = &batch.order {
        places.spread(order.iter().map(|room| !left_out(&batch.rooms[*room])));
    }
    let mut rooms = Vec::with_capacity(batch.rooms.len());
    for (room, after) in batch.rooms.iter().zip(after) {
        if left_out(room) {
            rooms.push(None);
            continue;
        }
        let (first_position, spread) = places.of(&after.events);
        rooms.push(Some(Written {
            first_position,
            spread,
            version: room.expected + room.events.len() as u64,
            chain: after.chain,
            recorded_at: after.recorded_at.unwrap_or(recorded_at),
        }));
    }
    Ok(Appended { rooms, conflicts, position: places.position, recorded_at })
}

/// Gives out positions, in the order in which the append did.
struct Places {
    /// The last one given out.
    position: Position,
    /// Of each event of the batch, where rooms are mixed; of an event that was left out, that of the one before it.
    spread: Option<Vec<Position>>,
}

impl Places {
    fn spread(&mut self, written: impl Iterator<Item = bool>) {
        let mut last = self.position;
        let positions: Vec<Position> = written
            .map(|written| {
                last += u64::from(written);
                last
            })
            .collect();
        self.position = last;
        self.spread = Some(positions);
    }

    /// Of the events with these numbers (from 1): the first, and each where they may be apart.
    fn of(&mut self, events: &[i32]) -> (Position, Option<Vec<Position>>) {
        match &self.spread {
            None => {
                let first = self.position + 1;
                self.position += events.len() as u64;
                (first, None)
            }
            Some(positions) => {
                let index = |number: &i32| usize::try_from(number - 1).unwrap_or_default();
                let spread: Vec<Position> = events.iter().map(|number| positions[index(number)]).collect();
                (spread.first().copied().unwrap_or(self.position + 1), Some(spread))
            }
        }
    }
}

fn conflict(batch: &Batch, kind: &str, row: &PgRow) -> Result<Conflict, LogError> {
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
