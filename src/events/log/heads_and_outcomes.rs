//! The tables that an append maintains beside the log: heads of rooms, outcomes under idempotency keys, names of rooms.

use std::collections::BTreeMap;

use sqlx::Row;

use super::QUERY_TIMEOUT;
use super::append::{AppendBatch, Appended, Conflict, StoredOutcome, WrittenRoom};
use super::{EventLog, LogError, RoomHead, rows};
use crate::database::timeout::with_timeout;
use crate::ids::{RoomId, RoomKey, TenantId};

impl EventLog {
    pub async fn room_head(&self, key: &RoomKey) -> Result<Option<RoomHead>, LogError> {
        let asking = sqlx::query(
            "SELECT version, last_position, first_recorded_at, last_recorded_at, chain
             FROM convoke.room_heads
             WHERE tenant = $1 AND room = $2",
        )
        .bind(key.tenant.as_str())
        .bind(key.room.uuid())
        .fetch_optional(&self.pool);
        let row = with_timeout(QUERY_TIMEOUT, asking).await?;
        row.as_ref().map(rows::room_head).transpose()
    }

    /// What was answered under a key, while the key lives.
    pub async fn outcome(&self, tenant: &TenantId, key: &str) -> Result<Option<StoredOutcome>, LogError> {
        Ok(self.outcomes(&[(tenant, key)]).await?.pop().map(|(_, _, stored)| stored))
    }

    /// The same of many keys, in no order.
    pub async fn outcomes(
        &self,
        keys: &[(&TenantId, &str)],
    ) -> Result<Vec<(TenantId, String, StoredOutcome)>, LogError> {
        let tenants: Vec<&str> = keys.iter().map(|(tenant, _)| tenant.as_str()).collect();
        let keys: Vec<&str> = keys.iter().map(|(_, key)| *key).collect();
        // A key whose life is over may have been used again: the newest outcome is the one that lives.
        let rows = sqlx::query(
            "SELECT o.tenant, o.key, o.fingerprint, o.status, o.room, o.position, o.recorded_at, o.body
             FROM (SELECT unnest($1::text[]) AS tenant, unnest($2::text[]) AS key) AS k
             CROSS JOIN LATERAL (
                SELECT x.*
                FROM convoke.outcomes x
                CROSS JOIN convoke.log_head h
                WHERE x.tenant = k.tenant AND x.key = k.key
                    AND x.stored_at > clock_timestamp() - make_interval(secs => h.outcome_ttl_s)
                ORDER BY x.stored_at DESC
                LIMIT 1
             ) AS o",
        )
        .bind(&tenants)
        .bind(&keys)
        .fetch_all(&self.pool)
        .await?;
        let outcome = |row: &sqlx::postgres::PgRow| {
            let tenant: &str = row.try_get(0)?;
            let tenant = TenantId::new(tenant).map_err(|bad| LogError::Damaged(bad.to_string()))?;
            let stored = StoredOutcome {
                fingerprint: rows::hash(row.try_get(2)?)?,
                status: u16::try_from(row.try_get::<i16, _>(3)?).unwrap_or_default(),
                about: RoomId::from_uuid(row.try_get(4)?),
                position: rows::position(row.try_get(5)?)?,
                recorded_at: rows::timestamp(row.try_get(6)?)?,
                body: row.try_get(7)?,
            };
            Ok((tenant, row.try_get(1)?, stored))
        };
        rows.iter().map(outcome).collect()
    }

    /// The tenant's room of that name that has not ended.
    pub async fn room_named(&self, tenant: &TenantId, name: &str) -> Result<Option<RoomId>, LogError> {
        let found: Option<uuid::Uuid> =
            sqlx::query_scalar("SELECT room FROM convoke.room_names WHERE tenant = $1 AND name = $2")
                .bind(tenant.as_str())
                .bind(name)
                .fetch_optional(&self.pool)
                .await?;
        Ok(found.map(RoomId::from_uuid))
    }

    /// The same with where it stands, both of one moment: between two questions the room could end, and no longer be the one.
    pub async fn room_named_and_head(
        &self,
        tenant: &TenantId,
        name: &str,
    ) -> Result<Option<(RoomId, RoomHead)>, LogError> {
        let row = sqlx::query(
            "SELECT n.room, h.version, h.last_position, h.first_recorded_at, h.last_recorded_at, h.chain
             FROM convoke.room_names n
             JOIN convoke.room_heads h ON h.tenant = n.tenant AND h.room = n.room
             WHERE n.tenant = $1 AND n.name = $2",
        )
        .bind(tenant.as_str())
        .bind(name)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| Ok((RoomId::from_uuid(row.try_get("room")?), rows::room_head(&row)?))).transpose()
    }

    /// What [`EventLog::append`] would find of a batch that writes nothing: whether its rooms are at the versions it was decided
    /// on. Takes no lock.
    pub async fn compare(&self, batch: &AppendBatch) -> Result<Appended, LogError> {
        let tenants: Vec<&str> = batch.rooms.iter().map(|room| room.key.tenant.as_str()).collect();
        let rooms: Vec<uuid::Uuid> = batch.rooms.iter().map(|room| room.key.room.uuid()).collect();
        let found: Vec<i64> = sqlx::query_scalar(
            "SELECT coalesce(h.version, 0)
             FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS k (tenant, room, number)
             LEFT JOIN convoke.room_heads h ON h.tenant = k.tenant AND h.room = k.room
             ORDER BY k.number",
        )
        .bind(&tenants)
        .bind(&rooms)
        .fetch_all(&self.pool)
        .await?;
        let mut compared =
            Appended { rooms: Vec::new(), conflicts: BTreeMap::new(), position: 0, recorded_at: batch.now };
        for (room, actual) in batch.rooms.iter().zip(found) {
            let actual = rows::position(actual)?;
            if actual != room.expected {
                let conflict = Conflict::Version { room: room.key.clone(), actual };
                compared.conflicts.entry(room.unit).or_default().push(conflict);
            }
        }
        for room in &batch.rooms {
            let whole = !compared.conflicts.contains_key(&room.unit);
            compared.rooms.push(whole.then_some(WrittenRoom {
                first_position: 0,
                spread: None,
                version: room.expected,
                chain: room.chain,
                recorded_at: batch.now,
            }));
        }
        Ok(compared)
    }
}
