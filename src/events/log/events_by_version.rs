//! Reads single events of many rooms, by their versions, in one statement.

use std::collections::HashMap;

use super::read::bind;
use super::rows::{self, columns};
use super::{EventLog, LogError, QUERY_TIMEOUT};
use crate::database::timeout::with_timeout;
use crate::events::envelope::Envelope;
use crate::ids::{RoomId, RoomKey, RoomVersion, TenantId};

impl EventLog {
    /// Events of a tenant's rooms by room and version; those that there are not are left out. Each that lies in an archive is
    /// looked up there by itself.
    pub async fn room_events(
        &self,
        tenant: &TenantId,
        picks: &[(RoomId, RoomVersion)],
    ) -> Result<HashMap<(RoomId, RoomVersion), Envelope>, LogError> {
        let mut found = HashMap::with_capacity(picks.len());
        if picks.is_empty() {
            return Ok(found);
        }
        let rooms: Vec<_> = picks.iter().map(|(room, _)| room.uuid()).collect();
        let versions: Vec<_> = picks.iter().map(|(_, version)| bind(*version)).collect();
        // The head bounds the times of a room: its partitions prune.
        let asking = sqlx::query(concat!(
            "SELECT ",
            columns!("l."),
            " FROM UNNEST($1::uuid[], $2::bigint[]) AS k (room, version)
              JOIN convoke.room_heads h ON h.tenant = $3 AND h.room = k.room
              JOIN convoke.log l ON l.tenant = h.tenant AND l.room = h.room AND l.room_version = k.version
                  AND l.recorded_at >= h.first_recorded_at AND l.recorded_at <= h.last_recorded_at"
        ))
        .bind(&rooms)
        .bind(&versions)
        .bind(tenant.as_str())
        .fetch_all(self.pool());
        for row in &with_timeout(QUERY_TIMEOUT, asking).await? {
            let event = rows::envelope(row)?;
            found.insert((event.room, event.room_version), event);
        }
        if found.len() < picks.len() && self.archived_through().await? > 0 {
            for (room, version) in picks.iter().filter(|pick| !found.contains_key(pick)).copied().collect::<Vec<_>>() {
                let key = RoomKey { tenant: tenant.clone(), room };
                let events = self.read_room(&key, version.saturating_sub(1), None, 1).await?;
                found.extend(events.into_iter().map(|event| ((room, version), event)));
            }
        }
        Ok(found)
    }
}
