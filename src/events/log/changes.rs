//! Reads which rooms changed and at which positions, without the events.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::read::{LogItem, ReadRange, in_range};
use super::{EventLog, LogError, rows};
use crate::database::pool::Pool;
use crate::events::envelope::Envelope;
use crate::events::time::Timestamp;
use crate::ids::{Position, RoomId, RoomKey, TenantId};

/// An event, without what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomChange {
    pub position: Position,
    pub recorded_at: Timestamp,
    pub key: RoomKey,
}

impl LogItem for RoomChange {
    fn position(&self) -> Position {
        self.position
    }

    fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    async fn read(pool: &Pool, range: ReadRange) -> Result<Vec<Self>, LogError> {
        let rows = range.rows(pool, concat!("SELECT position, recorded_at, tenant, room", in_range!())).await?;
        let change = |row: &PgRow| {
            let (position, recorded_at, tenant, room): (i64, DateTime<Utc>, String, Uuid) = FromRow::from_row(row)?;
            let tenant = TenantId::new(&tenant).map_err(|bad| LogError::Damaged(bad.to_string()))?;
            Ok(RoomChange {
                position: rows::position(position)?,
                recorded_at: rows::timestamp(recorded_at)?,
                key: RoomKey { tenant, room: RoomId::from_uuid(room) },
            })
        };
        rows.iter().map(change).collect()
    }

    fn of(event: Envelope) -> Self {
        (&event).into()
    }
}

impl From<&Envelope> for RoomChange {
    fn from(event: &Envelope) -> Self {
        let key = RoomKey { tenant: event.tenant.clone(), room: event.room };
        Self { position: event.position, recorded_at: event.recorded_at, key }
    }
}

impl EventLog {
    /// Of up to `limit` events after a position, in position order. Fewer than `limit`: that was the end.
    pub async fn changes(&self, after: Position, limit: usize) -> Result<Vec<RoomChange>, LogError> {
        self.read_partitions(after, limit).await
    }
}
