//! Open rooms of all tenants, for warming caches. No reader sees this list.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::database::pool::Pool;
use crate::ids::{RoomId, RoomKey, TenantId};

/// Rooms looked at for each one wanted. The search starts with the newest rooms: room ids are ordered by creation, so no index of
/// open rooms is needed.
const LOOKED_AT: i64 = 10;

/// Up to `most` open rooms among the newest.
pub async fn open_rooms(pool: &Pool, most: u32) -> sqlx::Result<Vec<RoomKey>> {
    let rows = sqlx::query(
        "SELECT tenant, room
         FROM (
            SELECT tenant, room, status
            FROM convoke.rm_rooms
            ORDER BY room DESC, tenant DESC
            LIMIT $2
         ) AS newest
         WHERE status = 'open'
         LIMIT $1",
    )
    .bind(i64::from(most))
    .bind(i64::from(most) * LOOKED_AT)
    .fetch_all(pool)
    .await?;
    let key = |row: &PgRow| {
        let tenant = TenantId::new(row.try_get("tenant")?).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok(RoomKey { tenant, room: RoomId::from_uuid(row.try_get("room")?) })
    };
    rows.iter().map(key).collect()
}
