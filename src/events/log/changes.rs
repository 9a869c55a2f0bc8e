//! Reads which rooms changed and at which positions, without the events.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::read::{InLog, Stretch, in_stretch};
use super::{EventLog, LogError, rows};
use crate::database::pool::Pool;
use crate::events::envelope::Envelope;
use crate::events::time::Timestamp;
use crate::ids::{Position, RoomId, RoomKey, TenantId};

/// An event, without what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub position: Position,
    pub recorded_at: Timestamp,
    pub key: RoomKey,
}

impl InLog for Change {
    fn position(&self) -> Position {
        self.position
    }

    fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    async fn read(pool: &Pool, stretch: Stretch) -> Result<Vec<Self>, LogError> {
        let rows = stretch.rows(pool, concat!("SELECT position, recorded_at, tenant, room", in_stretch!())).await?;
        let change = |row: &PgRow| {
            let (position, recorded_at, tenant, room): (i64, DateTime<Utc>, String, Uuid) = FromRow::from_row(row)?;
            let tenant = TenantId::new(&tenant).map_err(|bad| LogError::Damaged(bad.to_string()))?;
            Ok(Change {
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

impl From<&Envelope> for Change {
    fn from(event: &Envelope) -> Self {
        let key = RoomKey { tenant: event.tenant.clone(), room: event.room };
        Self { position: event.position, recorded_at: event.recorded_at, key }
    }
}

impl EventLog {
    /// Of up to `limit` events after a position, in position order. Fewer than `limit`: that was the end.
    pub async fn changes(&self, after: Position, limit: usize) -> Result<Vec<Change>, LogError> {
        self.walk(after, limit).await
    }
}
