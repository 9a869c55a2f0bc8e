//! Small facts that the append keeps beside the log: outcomes under idempotency keys, and names of rooms.

use sqlx::Row;

use super::append::StoredOutcome;
use super::{EventLog, LogError, RoomKey, rows};
use crate::events::envelope::RoomVersion;
use crate::events::ids::{RoomId, TenantId};

impl EventLog {
    /// What was answered under a key, while the key lives.
    pub async fn outcome(&self, tenant: &TenantId, key: &str) -> Result<Option<StoredOutcome>, LogError> {
        let row = sqlx::query(
            "SELECT o.fingerprint, o.status, o.room, o.position, o.recorded_at, o.body
             FROM convoke.outcomes o
             CROSS JOIN convoke.log_head h
             WHERE o.tenant = $1 AND o.key = $2
                 AND o.stored_at > clock_timestamp() - make_interval(secs => h.outcome_ttl_s)
             ORDER BY o.stored_at DESC
             LIMIT 1",
        )
        .bind(tenant.as_str())
        .bind(key)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(StoredOutcome {
                fingerprint: rows::hash(row.try_get(0)?)?,
                status: u16::try_from(row.try_get::<i16, _>(1)?).unwrap_or_default(),
                about: RoomId::from_uuid(row.try_get(2)?),
                position: rows::position(row.try_get(3)?)?,
                recorded_at: rows::timestamp(row.try_get(4)?)?,
                body: row.try_get(5)?,
            })
        })
        .transpose()
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

    /// The versions that rooms are at, in the order asked; 0: not there.
    pub async fn room_versions(&self, keys: &[RoomKey]) -> Result<Vec<RoomVersion>, LogError> {
        let tenants: Vec<&str> = keys.iter().map(|key| key.tenant.as_str()).collect();
        let rooms: Vec<uuid::Uuid> = keys.iter().map(|key| key.room.uuid()).collect();
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
        found.into_iter().map(rows::position).collect()
    }
}
