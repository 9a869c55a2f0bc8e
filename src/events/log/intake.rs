//! What those who feed the log need besides [`append`](super::append): how far they had come, that nobody else feeds the same,
//! which of many rooms are there, partitions for history.

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;

use super::append::{Batch, Progress};
use super::{EventLog, LogError, RoomKey, rows};
use crate::config::PartitionUnit;
use crate::events::time::Timestamp;

/// The right to feed the log from one source, for as long as its connection lives.
pub struct Hold(PoolConnection<Postgres>);

impl Hold {
    pub async fn release(mut self) -> Result<(), LogError> {
        // A server ends a connection some time after it was closed here; whoever comes next is not to meet the lock until then.
        sqlx::query("SELECT pg_advisory_unlock_all()").execute(&mut *self.0).await?;
        Ok(self.0.close().await?)
    }
}

impl EventLog {
    /// `None`: another process holds it. What the last one to hold it sent before it died is written by then, or never will be.
    pub async fn hold_intake(&self, name: &str) -> Result<Option<Hold>, LogError> {
        let mut connection = self.pool.acquire().await?;
        let held: bool =
            sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended('convoke.intake ' || $1, 0))")
                .bind(name)
                .fetch_one(&mut *connection)
                .await?;
        if !held {
            return Ok(None);
        }
        // Whatever happens to it, the lock does not go back to the pool.
        connection.close_on_drop();
        // Its connections do not end all at once. A batch with progress is committed by a message that is sent only after its
        // append was answered, under the head row's lock; an append of nothing waits for that lock.
        self.append(&Batch::new(Timestamp::EPOCH, Vec::new())).await?;
        Ok(Some(Hold(connection)))
    }

    /// How far the source of this name had come with its last batch.
    pub async fn intake_progress(&self, name: &str) -> Result<Option<Progress>, LogError> {
        let found: Option<(i64, String)> = sqlx::query_as(
            "SELECT
                done,
                detail::text
             FROM convoke.intake_progress
             WHERE name = $1",
        )
        .bind(name)
        .fetch_optional(&self.pool)
        .await?;
        let Some((done, detail)) = found else { return Ok(None) };
        let detail = RawValue::from_string(detail).map_err(|error| LogError::Damaged(format!("progress: {error}")))?;
        Ok(Some(Progress { name: name.into(), done: rows::position(done)?, detail }))
    }

    /// For each room, whether it is there.
    pub async fn rooms_there(&self, keys: &[RoomKey]) -> Result<Vec<bool>, LogError> {
        let tenants: Vec<&str> = keys.iter().map(|key| key.tenant.as_str()).collect();
        let rooms: Vec<uuid::Uuid> = keys.iter().map(|key| key.room.uuid()).collect();
        let there = sqlx::query_scalar(
            "SELECT h.room IS NOT NULL
             FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS k (tenant, room, number)
             LEFT JOIN convoke.room_heads h ON h.tenant = k.tenant AND h.room = k.room
             ORDER BY k.number",
        )
        .bind(&tenants)
        .bind(&rooms)
        .fetch_all(&self.pool)
        .await?;
        Ok(there)
    }

    /// The partition of a time, from and (exclusive) to, made where it is missing.
    pub async fn partition_for(&self, unit: PartitionUnit, at: Timestamp) -> Result<(Timestamp, Timestamp), LogError> {
        sqlx::query("SELECT convoke.ensure_partitions($1, $2, $2)")
            .bind(unit.as_str())
            .bind(at.utc())
            .fetch_all(&self.pool)
            .await?;
        let (from, to): (DateTime<Utc>, DateTime<Utc>) = sqlx::query_as(
            "SELECT
                from_time,
                to_time
             FROM convoke.log_partitions
             WHERE from_time <= $1
                 AND to_time > $1",
        )
        .bind(at.utc())
        .fetch_one(&self.pool)
        .await?;
        Ok((rows::timestamp(from)?, rows::timestamp(to)?))
    }
}
