//! Snapshots of room states, so that a long room loads as fast as a short one, at any of its versions. Snapshots are disposable:
//! without them everything works, more slowly. The log does not interpret a state; the executor decides when to store one.

use super::{EventLog, LogError, QUERY_TIMEOUT, rows};
use crate::database::timeout::with_timeout;
use crate::events::envelope::Hash;
use crate::events::time::Timestamp;
use crate::ids::{Position, RoomKey, RoomVersion};

/// The state of a room at a version.
#[derive(Clone, Debug, PartialEq)]
pub struct StateSnapshot {
    pub version: RoomVersion,
    /// Of the event of that version.
    pub position: Position,
    /// Of the event of that version.
    pub recorded_at: Timestamp,
    /// After the event of that version.
    pub chain: Hash,
    pub state: Vec<u8>,
}

impl EventLog {
    /// The newest snapshot at or before a version, of a shape of state.
    pub async fn snapshot(
        &self,
        key: &RoomKey,
        shape: u16,
        at_most: RoomVersion,
    ) -> Result<Option<StateSnapshot>, LogError> {
        use sqlx::Row;
        let asking = sqlx::query(
            "SELECT version, position, recorded_at, chain, state
             FROM convoke.room_snapshots
             WHERE tenant = $1 AND room = $2 AND shape = $3 AND version <= $4
             ORDER BY version DESC
             LIMIT 1",
        )
        .bind(key.tenant.as_str())
        .bind(key.room.uuid())
        .bind(i32::from(shape))
        .bind(i64::try_from(at_most).unwrap_or(i64::MAX))
        .fetch_optional(&self.pool);
        let row = with_timeout(QUERY_TIMEOUT, asking).await?;
        row.map(|row| {
            Ok(StateSnapshot {
                version: rows::position(row.try_get(0)?)?,
                position: rows::position(row.try_get(1)?)?,
                recorded_at: rows::timestamp(row.try_get(2)?)?,
                chain: rows::hash(row.try_get(3)?)?,
                state: row.try_get(4)?,
            })
        })
        .transpose()
    }

    /// Keeps a snapshot. One of the same version and shape that is there already stays; those of the room that have an older shape
    /// go.
    pub async fn keep_snapshot(&self, key: &RoomKey, shape: u16, snapshot: &StateSnapshot) -> Result<(), LogError> {
        let keeping = sqlx::query(
            "WITH outdated AS (
                DELETE FROM convoke.room_snapshots WHERE tenant = $6 AND room = $4 AND shape < $5
             )
             INSERT INTO convoke.room_snapshots (version, recorded_at, position, room, shape, tenant, chain, state)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT DO NOTHING",
        )
        .bind(i64::try_from(snapshot.version).unwrap_or(i64::MAX))
        .bind(snapshot.recorded_at.utc())
        .bind(i64::try_from(snapshot.position).unwrap_or(i64::MAX))
        .bind(key.room.uuid())
        .bind(i32::from(shape))
        .bind(key.tenant.as_str())
        .bind(snapshot.chain.as_slice())
        .bind(&snapshot.state)
        .execute(&self.pool);
        with_timeout(QUERY_TIMEOUT, keeping).await?;
        Ok(())
    }
}
