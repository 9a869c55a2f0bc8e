//! Appends a batch of events of many rooms in one transaction and one round trip (`convoke.append`, migration 0004).
//!
//! A batch consists of units. The append writes a unit completely or not at all; one unit does not delay the others. A batch that
//! carries the progress of an import is one unit as a whole: if one unit conflicts, the append writes nothing.

mod appender;
mod batch;
mod chains;
mod columns;
mod person_keys;
mod recent_appends;

use std::collections::BTreeMap;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Arguments as _, AssertSqlSafe, Executor as _, PgConnection, Postgres, Row};
use uuid::Uuid;

pub(super) use self::appender::Appender;
pub use self::batch::{
    AppendBatch, Appended, Conflict, EventData, NameChange, NewOutcome, OutcomeAt, RoomAppend, SourceProgress,
    StoredOutcome, WrittenRoom,
};
pub use self::chains::BatchChains;
use self::chains::RoomAfterBatch;
use self::columns::{AppendColumns, big};
pub use self::person_keys::NewPersonKey;
pub use self::recent_appends::{Acknowledged, RecentAppends};
use super::{EventLog, LogError, rows};
use crate::ids::{Position, RoomId};

/// A batch as it is sent, but for its progress: encoded ahead, it has only to wait for its turn.
pub struct EncodedBatch {
    batch: AppendBatch,
    chains: BatchChains,
    arguments: PgArguments,
}

impl EncodedBatch {
    pub fn new(batch: AppendBatch, chains: BatchChains) -> Result<Self, LogError> {
        let arguments = AppendColumns::of(&batch, &chains).arguments(batch.now)?;
        Ok(Self { batch, chains, arguments })
    }
}

type AppendQuery<'q> = Query<'q, Postgres, PgArguments>;

impl EventLog {
    /// Writes a batch in one transaction. Once this returns, what it says was written is durable. On an error nothing is known:
    /// the batch may or may not have been written; versions and idempotency keys make it safe to try again.
    pub async fn append(&self, batch: &AppendBatch) -> Result<Appended, LogError> {
        let chains = BatchChains::of(batch);
        let arguments = AppendColumns::of(batch, &chains).arguments(batch.now)?;
        self.send(batch, &chains, arguments).await
    }

    /// The same, of a batch that is encoded, with the progress that it makes.
    pub async fn append_encoded(&self, encoded: EncodedBatch, progress: SourceProgress) -> Result<Appended, LogError> {
        let EncodedBatch { mut batch, chains, arguments } = encoded;
        batch.progress = Some(progress);
        self.send(&batch, &chains, arguments).await
    }

    async fn send(
        &self,
        batch: &AppendBatch,
        chains: &BatchChains,
        mut arguments: PgArguments,
    ) -> Result<Appended, LogError> {
        let progress = batch.progress.as_ref();
        arguments.add(progress.map(|progress| progress.name.as_str())).map_err(sqlx::Error::Encode)?;
        arguments.add(progress.map(|progress| big(progress.done))).map_err(sqlx::Error::Encode)?;
        arguments.add(progress.map(|progress| progress.detail.get())).map_err(sqlx::Error::Encode)?;
        person_keys::arguments(&batch.keys, &mut arguments)?;
        let query = sqlx::query_with(person_keys::statement(&batch.keys), arguments);
        let mut lent = self.appender.checkout(&self.pool).await?;
        let rows = match progress {
            // A statement by itself is a transaction.
            None if self.pool.has_sessions() => query.fetch_all(&mut *lent).await,
            _ => self.in_transaction(&mut lent, query, progress.is_some()).await,
        };
        let rows = match rows {
            Err(error) if person_keys::is_another(&error) => return Ok(self.left_out_whole(batch)),
            rows => rows.map_err(|error| append_error(error, batch))?,
        };
        lent.check_in();
        let appended = answer(batch, &chains.rooms, &rows)?;
        // Before readers are notified of the position, and before the commands are answered.
        if let Some(own) = &self.recent_appends {
            own.keep(batch, chains, &appended);
        }
        self.saw(appended.position);
        Ok(appended)
    }

    /// What became of a batch of which nothing was written, because somebody has another key by now.
    fn left_out_whole(&self, batch: &AppendBatch) -> Appended {
        Appended {
            rooms: batch.rooms.iter().map(|_| None).collect(),
            conflicts: batch.keys.iter().map(|key| (key.unit, vec![Conflict::PersonKey])).collect(),
            position: *self.head.borrow(),
            recorded_at: batch.now,
        }
    }

    /// `whole`: with one conflict nothing is written. A connection on which this did not come to its end is not used again.
    async fn in_transaction(
        &self,
        on: &mut PgConnection,
        query: AppendQuery<'_>,
        whole: bool,
    ) -> sqlx::Result<Vec<PgRow>> {
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
fn append_error(error: sqlx::Error, batch: &AppendBatch) -> LogError {
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

fn answer(batch: &AppendBatch, after: &[RoomAfterBatch], rows: &[PgRow]) -> Result<Appended, LogError> {
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
    let mut places = PositionAllocator { position, spread: batch.order.as_ref().map(|_| Vec::new()) };
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
        rooms.push(Some(WrittenRoom {
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
struct PositionAllocator {
    /// The last one given out.
    position: Position,
    /// Of each event of the batch, where rooms are mixed; of an event that was left out, that of the one before it.
    spread: Option<Vec<Position>>,
}

impl PositionAllocator {
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

fn conflict(batch: &AppendBatch, kind: &str, row: &PgRow) -> Result<Conflict, LogError> {
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
