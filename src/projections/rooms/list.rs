//! Rooms as callers see them: one, or a tenant's, the newest first.

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Postgres, QueryBuilder, Row as _};

use super::tables::RoomRow;
use crate::events::ids::{Identity, RoomId, TenantId};
use crate::events::room::view::{RecordingView, RoomStatus, RoomView};
use crate::events::time::Timestamp;
use crate::projections::read::{List, Page, PageRequest, ReadError, ReadModels, decode, fetch};
use crate::projections::rows::{BadField, Fields, Row, columns};

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

/// Raised hands, the earliest first, of the room `r`.
pub(in crate::projections) const HANDS: &str = "ARRAY(SELECT p.identity FROM convoke.rm_participants p
    WHERE p.room = r.room AND p.tenant = r.tenant AND p.hand IS NOT NULL
    ORDER BY p.hand)";

impl ReadModels {
    /// A room as it is now; `None`: the tenant has no such room.
    pub async fn room(&self, tenant: &TenantId, room: RoomId) -> Result<Option<RoomView>, ReadError> {
        let statement = format!(
            "SELECT {}, {HANDS} FROM convoke.rm_rooms r WHERE r.room = $1 AND r.tenant = $2",
            RoomRow::TABLE.list("r.")
        );
        let statement = sqlx::query(AssertSqlSafe(statement)).bind(room.uuid()).bind(tenant.as_str());
        self.rows(tenant, statement).await?.first().map(|row| view(row, 0)).transpose()
    }

    /// Rooms of a tenant, the newest first.
    pub async fn rooms(
        &self,
        tenant: &TenantId,
        filter: &RoomFilter,
        page: PageRequest<'_>,
    ) -> Result<Page<RoomView>, ReadError> {
        let after: Option<(Timestamp, RoomId)> = decode(List::Rooms, page.cursor)?;
        let mut builder = statement(tenant, filter, after, page.limit);
        let rows = self.rows(tenant, builder.build()).await?;
        let items = rows.iter().take(page.limit).map(|row| view(row, 0)).collect::<Result<Vec<_>, _>>()?;
        let more = rows.len() > page.limit;
        let next_cursor = items.last().filter(|_| more).map(|last| List::Rooms.cursor(&(last.created_at, last.id)));
        Ok(Page { items, next_cursor })
    }
}

/// Walks one index in order: that of the first label, of the name, of the status, or of all rooms.
fn statement(
    tenant: &TenantId,
    filter: &RoomFilter,
    after: Option<(Timestamp, RoomId)>,
    limit: usize,
) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new("SELECT ");
    sql.push(RoomRow::TABLE.list("r.")).push(", ").push(HANDS);
    let mut labels = filter.labels.iter();
    // The table whose order is walked.
    let o = match labels.next() {
        Some((label, value)) => {
            sql.push(
                " FROM convoke.rm_room_labels l JOIN convoke.rm_rooms r ON r.room = l.room AND r.tenant = l.tenant",
            );
            sql.push(" WHERE l.label = ").push_bind(label.clone()).push(" AND l.value = ").push_bind(value.clone());
            sql.push(" AND ");
            "l"
        }
        None => {
            sql.push(" FROM convoke.rm_rooms r WHERE ");
            "r"
        }
    };
    sql.push(format_args!("{o}.tenant = ")).push_bind(tenant.as_str().to_owned());
    if let Some(name) = &filter.name {
        sql.push(" AND r.name = ").push_bind(name.clone());
    }
    if let Some(status) = filter.status {
        sql.push(format_args!(" AND {o}.status = ")).push_bind(status.as_str());
    }
    if let Some(time) = filter.created_after {
        sql.push(format_args!(" AND {o}.created_at > ")).push_bind(time.utc());
    }
    if let Some(time) = filter.created_before {
        sql.push(format_args!(" AND {o}.created_at < ")).push_bind(time.utc());
    }
    if let Some((time, room)) = after {
        sql.push(format_args!(" AND ({o}.created_at, {o}.room) < (")).push_bind(time.utc());
        sql.push(", ").push_bind(room.uuid()).push(")");
    }
    for (label, value) in labels {
        sql.push(" AND EXISTS (SELECT FROM convoke.rm_room_labels m WHERE m.room = r.room AND m.tenant = r.tenant");
        sql.push(" AND m.label = ").push_bind(label.clone());
        sql.push(" AND m.value = ").push_bind(value.clone()).push(")");
    }
    sql.push(format_args!(" ORDER BY {o}.created_at DESC, {o}.room DESC LIMIT ")).push_bind(fetch(limit));
    sql
}

/// Out of the columns of [`RoomRow`] and of [`HANDS`], behind `before` others.
pub(in crate::projections) fn view(row: &PgRow, before: usize) -> Result<RoomView, ReadError> {
    let room = RoomRow::get(&mut Fields(columns(row).skip(before)))?;
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
