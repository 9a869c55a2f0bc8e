//! Support for imports, besides [`append`](super::append): the progress of an import, a lock per source, the existence of rooms,
//! claimed ids, and partitions for past times.

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;

use super::append::{AppendBatch, SourceProgress};
use super::{EventLog, LogError, rows};
use crate::config::PartitionUnit;
use crate::events::time::Timestamp;
use crate::ids::{CommandId, RoomKey};

/// An id that a line gives to its command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenId {
    /// Of the source.
    pub line: u64,
    pub room: RoomKey,
    pub id: CommandId,
}

/// The columns of many, each in an array of its own.
struct GivenIdColumns<'a> {
    lines: Vec<i64>,
    tenants: Vec<&'a str>,
    rooms: Vec<uuid::Uuid>,
    ids: Vec<uuid::Uuid>,
}

impl<'a> GivenIdColumns<'a> {
    fn of(given: &'a [GivenId]) -> Self {
        Self {
            lines: given.iter().map(|given| i64::try_from(given.line).unwrap_or(i64::MAX)).collect(),
            tenants: given.iter().map(|given| given.room.tenant.as_str()).collect(),
            rooms: given.iter().map(|given| given.room.room.uuid()).collect(),
            ids: given.iter().map(|given| given.id.uuid()).collect(),
        }
    }
}

/// The right to feed the log from one source, for as long as its connection lives.
pub struct ImportLock(PoolConnection<Postgres>);

impl ImportLock {
    pub async fn release(mut self) -> Result<(), LogError> {
        // A server ends a connection some time after it was closed here; whoever comes next is not to meet the lock until then.
        sqlx::query("SELECT pg_advisory_unlock_all()").execute(&mut *self.0).await?;
        Ok(self.0.close().await?)
    }
}

impl EventLog {
    /// `None`: another process holds it. What the last one to hold it sent before it died is written by then, or never will be.
    pub async fn lock_import(&self, name: &str) -> Result<Option<ImportLock>, LogError> {
        let mut connection = self.pool.sessions().acquire().await?;
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
        self.append(&AppendBatch::new(Timestamp::EPOCH, Vec::new())).await?;
        Ok(Some(ImportLock(connection)))
    }

    /// How far the source of this name had come with its last batch.
    pub async fn import_progress(&self, name: &str) -> Result<Option<SourceProgress>, LogError> {
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
        Ok(Some(SourceProgress { name: name.into(), done: rows::position(done)?, detail }))
    }

    /// Claims ids for lines of the source of this name. Gives the lines whose id was claimed by another line, of whatever source.
    pub async fn claim_ids(&self, name: &str, given: &[GivenId]) -> Result<Vec<u64>, LogError> {
        let GivenIdColumns { lines, tenants, rooms, ids } = GivenIdColumns::of(given);
        // By id first: two that claim the same ids wait for one another in one order. Of two lines the first has it.
        sqlx::query(
            "INSERT INTO convoke.intake_ids (line, room, id, tenant, name)
             SELECT g.line, g.room, g.id, g.tenant, $1
             FROM unnest($2::bigint[], $3::text[], $4::uuid[], $5::uuid[]) AS g (line, tenant, room, id)
             ORDER BY g.room, g.id, g.tenant, g.line
             ON CONFLICT DO NOTHING",
        )
        .bind(name)
        .bind(&lines)
        .bind(&tenants)
        .bind(&rooms)
        .bind(&ids)
        .execute(&self.pool)
        .await?;
        let taken: Vec<i64> = sqlx::query_scalar(
            "SELECT g.line
             FROM unnest($2::bigint[], $3::text[], $4::uuid[], $5::uuid[]) AS g (line, tenant, room, id)
             JOIN convoke.intake_ids i ON i.room = g.room AND i.id = g.id AND i.tenant = g.tenant
             WHERE (i.name, i.line) <> ($1, g.line)",
        )
        .bind(name)
        .bind(&lines)
        .bind(&tenants)
        .bind(&rooms)
        .bind(&ids)
        .fetch_all(&self.pool)
        .await?;
        taken.into_iter().map(rows::position).collect()
    }

    /// Gives up what lines of the source of this name had claimed.
    pub async fn release_ids(&self, name: &str, given: &[GivenId]) -> Result<(), LogError> {
        let GivenIdColumns { lines, tenants, rooms, ids } = GivenIdColumns::of(given);
        sqlx::query(
            "DELETE FROM convoke.intake_ids i
             USING unnest($2::bigint[], $3::text[], $4::uuid[], $5::uuid[]) AS g (line, tenant, room, id)
             WHERE i.room = g.room AND i.id = g.id AND i.tenant = g.tenant AND i.name = $1 AND i.line = g.line",
        )
        .bind(name)
        .bind(&lines)
        .bind(&tenants)
        .bind(&rooms)
        .bind(&ids)
        .execute(&self.pool)
        .await?;
        Ok(())
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
