//! Reads one room, or the rooms of a tenant, the newest first.

use std::collections::BTreeMap;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::tables::RoomRow;
use crate::events::room::view::{RecordingView, RoomStatus, RoomView};
use crate::events::time::Timestamp;
use crate::ids::{Identity, RoomId, TenantId};
use crate::projections::read::{ListKind, ModelPage, PageRequest, ReadError, ReadModels, decode};
use crate::projections::rows::{BadField, ModelRow, RowFields, columns};

/// Which rooms of a tenant. All that is given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoomFilter {
    pub name: Option<String>,
    pub status: Option<RoomStatus>,
    /// Key and value.
    pub labels: Vec<(String, String)>,
    pub created_after: Option<Timestamp>,
    pub created_before: Option<Timestamp>,
}

/// Rooms that are looked at for one page, where several filters are given.
pub const SCAN: i32 = 1_000;

/// Raised hands, the earliest first, of the room `r`.
const HANDS: &str = "ARRAY(SELECT p.identity FROM convoke.rm_participants p
    WHERE p.room = r.room AND p.tenant = r.tenant AND p.hand IS NOT NULL
    ORDER BY p.hand)";

impl ReadModels {
    /// Rooms of a tenant, the newest first. Where several filters are given, a page may hold fewer rooms than its limit, or none,
    /// while there are more: it ends after [`SCAN`] rooms.
    pub async fn rooms(
        &self,
        tenant: &TenantId,
        filter: &RoomFilter,
        page: PageRequest<'_>,
    ) -> Result<ModelPage<RoomView>, ReadError> {
        let after: Option<(Timestamp, RoomId)> = decode(ListKind::Rooms, page.cursor)?;
        let Some((labels, values)) = labels_of(filter) else {
            return Ok(ModelPage { items: Vec::new(), next_cursor: None });
        };
        let statement = format!(
            "SELECT f.is_room, f.at_created, f.at_room, {}, {HANDS}
             FROM convoke.find_rooms($1, $2, $3, $4, $5, coalesce($6, '-infinity'), coalesce($7, 'infinity'),
                coalesce($8, 'infinity'), coalesce($9, 'ffffffff-ffff-ffff-ffff-ffffffffffff'), $10, $11)
                WITH ORDINALITY AS f (is_room, at_created, at_room, number)
             LEFT JOIN convoke.rm_rooms r ON f.is_room AND r.room = f.at_room AND r.tenant = $1
             ORDER BY f.number",
            RoomRow::TABLE.list("r.")
        );
        let statement = sqlx::query(AssertSqlSafe(statement))
            .bind(tenant.as_str())
            .bind(filter.name.as_deref())
            .bind(filter.status.map(RoomStatus::as_str))
            .bind(labels)
            .bind(values)
            .bind(filter.created_after.map(Timestamp::utc))
            .bind(filter.created_before.map(Timestamp::utc))
            .bind(after.map(|(created_at, _)| created_at.utc()))
            .bind(after.map(|(_, room)| room.uuid()))
            .bind(i32::try_from(page.limit).unwrap_or(i32::MAX - 1))
            .bind(SCAN);
        let rows = self.rows(tenant, statement).await?;
        let mut found = ModelPage { items: Vec::with_capacity(rows.len()), next_cursor: None };
        for row in &rows {
            if row.try_get(0)? {
                found.items.push(view(row, 3)?);
            } else {
                let mut end = RowFields(columns(row).skip(1));
                let end: (Timestamp, RoomId) = (end.take()?, end.take()?);
                found.next_cursor = Some(ListKind::Rooms.cursor(&end));
            }
        }
        Ok(found)
    }
}

/// Labels and their values, each once; `None`: no room has all of them.
fn labels_of(filter: &RoomFilter) -> Option<(Vec<&str>, Vec<&str>)> {
    let mut wanted: BTreeMap<&str, &str> = BTreeMap::new();
    for (label, value) in &filter.labels {
        if wanted.insert(label, value).is_some_and(|other| other != value) {
            return None;
        }
    }
    Some(wanted.into_iter().unzip())
}

/// Out of the columns of [`RoomRow`] and of [`HANDS`], behind `before` others.
pub(in crate::projections) fn view(row: &PgRow, before: usize) -> Result<RoomView, ReadError> {
    let room = RoomRow::get(&mut RowFields(columns(row).skip(before)))?;
    let hands: Vec<String> = row.try_get(before + RoomRow::TABLE.columns.len())?;
    let hands: Result<Vec<Identity>, _> = hands.iter().map(|hand| Identity::new(hand)).collect();
    Ok(room.view(hands.map_err(|_| BadField("an identity"))?))
}

impl RoomRow {
    /// The room, given whose hands are up.
    pub fn view(self, hands: Vec<Identity>) -> RoomView {
        let recording = self.recording.zip(self.recording_started_at);
        RoomView {
            id: self.room,
            version: self.version,
            status: self.status.0,
            name: self.name.as_deref().map(str::to_owned),
            created_at: self.created_at,
            opens_at: self.opens_at,
            opened_at: self.opened_at,
            ended_at: self.ended_at,
            end_reason: self.end_reason.map(|reason| reason.0),
            settings: self.settings.0,
            locked: self.locked,
            participant_count: self.participant_count,
            waiting_count: self.waiting_count,
            hands,
            spotlight: self.spotlight,
            recording: recording.map(|(recording, started_at)| RecordingView { recording, started_at }),
        }
    }
}
