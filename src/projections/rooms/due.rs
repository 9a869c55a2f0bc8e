//! The deadline at which a room opens or ends by itself; equals the deadline in `commands::room::state` after the same events.

use sqlx::Row as _;

use super::RoomRow;
use crate::database::pool::Pool;
use crate::events::room::view::RoomStatus;
use crate::events::time::Timestamp;
use crate::ids::{RoomId, TenantId};

/// A room that time is to open or to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueRoom {
    pub tenant: TenantId,
    pub room: RoomId,
    /// To be opened; else to be ended.
    pub scheduled: bool,
}

/// Brings `empty_since` and `due_at` up to the rest of the row, after an event that happened at `at`.
pub(super) fn date(row: &mut RoomRow, at: Timestamp) {
    let empty = row.status.0 == RoomStatus::Open && row.participant_count == 0;
    row.empty_since = if empty { row.empty_since.or(Some(at)) } else { None };
    row.due_at = match row.status.0 {
        RoomStatus::Scheduled => row.opens_at,
        RoomStatus::Ended => None,
        RoomStatus::Open => {
            let settings = &row.settings.0;
            let after = |from: Timestamp, seconds: u32| from.plus_seconds(i64::from(seconds));
            let empty = row.empty_since.zip(settings.empty_timeout_s).map(|(since, timeout)| after(since, timeout));
            let too_long = row.opened_at.zip(settings.max_duration_s).map(|(opened, most)| after(opened, most));
            empty.into_iter().chain(too_long).min()
        }
    };
}

/// Rooms of all tenants that were due at `now`, those that waited longest first.
pub async fn due(pool: &Pool, now: Timestamp, limit: u32) -> sqlx::Result<Vec<DueRoom>> {
    let rows = sqlx::query(
        "SELECT tenant, room, status = 'scheduled' AS scheduled
         FROM convoke.rm_rooms
         WHERE due_at <= $1
         ORDER BY due_at
         LIMIT $2",
    )
    .bind(now.utc())
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            let tenant: &str = row.try_get("tenant")?;
            Ok(DueRoom {
                tenant: tenant.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
                room: RoomId::from_uuid(row.try_get("room")?),
                scheduled: row.try_get("scheduled")?,
            })
        })
        .collect()
}
