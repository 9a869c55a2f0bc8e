//! Reads the hashes of events, to compare a copy of the log with it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use sqlx::postgres::PgRow;

use super::read::{LogItem, ReadRange, bind, in_range};
use super::{EventLog, LogError, rows};
use crate::database::pool::Pool;
use crate::events::envelope::{Envelope, Hash};
use crate::events::time::Timestamp;
use crate::ids::Position;

/// An event's place and its hash.
struct EventHash {
    position: Position,
    recorded_at: Timestamp,
    hash: Hash,
}

impl LogItem for EventHash {
    fn position(&self) -> Position {
        self.position
    }

    fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    async fn read(pool: &Pool, range: ReadRange) -> Result<Vec<Self>, LogError> {
        let rows = range.rows(pool, concat!("SELECT position, recorded_at, hash", in_range!())).await?;
        let read = |row: &PgRow| {
            let (position, recorded_at, hash): (i64, DateTime<Utc>, Vec<u8>) = FromRow::from_row(row)?;
            let (position, recorded_at) = (rows::position(position)?, rows::timestamp(recorded_at)?);
            Ok(Self { position, recorded_at, hash: rows::hash(&hash)? })
        };
        rows.iter().map(read).collect()
    }

    fn of(event: Envelope) -> Self {
        Self { position: event.position, recorded_at: event.recorded_at, hash: event.hash }
    }
}

impl EventLog {
    /// The hashes of events, by their positions; those that the log does not have are left out.
    pub async fn hashes(&self, positions: &[Position]) -> Result<HashMap<Position, Hash>, LogError> {
        let asked: Vec<i64> = positions.iter().copied().map(bind).collect();
        let rows: Vec<(i64, Vec<u8>)> =
            sqlx::query_as("SELECT position, hash FROM convoke.log WHERE position = ANY($1)")
                .bind(&asked)
                .fetch_all(&self.pool)
                .await?;
        let mut found = rows
            .iter()
            .map(|(position, hash)| Ok((rows::position(*position)?, rows::hash(hash)?)))
            .collect::<Result<HashMap<_, _>, LogError>>()?;
        let missing: Vec<_> = positions.iter().copied().filter(|position| !found.contains_key(position)).collect();
        if !missing.is_empty() {
            found.extend(self.archived_hashes(missing).await?);
        }
        Ok(found)
    }

    /// The hashes of up to `limit` events after a position, in position order.
    pub async fn hashes_after(&self, after: Position, limit: usize) -> Result<Vec<(Position, Hash)>, LogError> {
        let found: Vec<EventHash> = self.read_partitions(after, limit).await?;
        Ok(found.into_iter().map(|found| (found.position, found.hash)).collect())
    }
}
