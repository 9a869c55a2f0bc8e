//! Reads the people in a room and its lobby.

use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;

use super::tables::{ParticipantRow, WaitingRow};
use crate::events::room::view::{ParticipantView, WaitingView};
use crate::events::sealed::{Sealed, SealedAt};
use crate::ids::{Identity, RoomId, RoomVersion, TenantId};
use crate::projections::read::{List, Page, PageRequest, ReadError, ReadModels, decode, fetch};
use crate::projections::rows::{Fields, Row, columns};

/// Somebody present, and where the personal fields lie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Participant {
    pub view: ParticipantView,
    /// Its `display_name`, which may be absent in it, is the person's.
    pub name: Option<SealedAt>,
    /// Its `metadata`, which may be absent in it, is the person's.
    pub metadata: Option<SealedAt>,
}

/// Somebody in the lobby, and where the personal fields lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    pub view: WaitingView,
    pub personal: Option<SealedAt>,
}

/// A page of people who are all in memory, by identity: cut as [`ReadModels::participants`] cuts, with cursors of the same list.
/// They come in any order; see [`page_of_sorted`].
pub fn page_of_people(mut people: Vec<Participant>, page: PageRequest<'_>) -> Result<Page<Participant>, ReadError> {
    people.sort_unstable_by(|a, b| a.view.identity.cmp(&b.view.identity));
    page_of_sorted(&people, page)
}

/// The same of people who are by identity already.
pub fn page_of_sorted(people: &[Participant], page: PageRequest<'_>) -> Result<Page<Participant>, ReadError> {
    let after: Option<(Identity,)> = decode(List::Participants, page.cursor)?;
    let begin = after.map_or(0, |(after,)| people.partition_point(|person| person.view.identity <= after));
    let rest = &people[begin..];
    let items = rest[..rest.len().min(page.limit)].to_vec();
    let last = items.last().filter(|_| rest.len() > page.limit);
    let next_cursor = last.map(|last| List::Participants.cursor(&(last.view.identity.clone(),)));
    Ok(Page { items, next_cursor })
}

/// The cursor of a page of people that ends with this one.
pub fn people_cursor(last: &Identity) -> String {
    List::Participants.cursor(&(last.clone(),))
}

/// Whom the page before ended with.
pub fn read_people_cursor(cursor: Option<&str>) -> Result<Option<Identity>, ReadError> {
    let after: Option<(Identity,)> = decode(List::Participants, cursor)?;
    Ok(after.map(|(identity,)| identity))
}

/// The cursor of a page of the lobby that ends with who asked at this version.
pub fn lobby_cursor(last: RoomVersion) -> String {
    List::Waiting.cursor(&(last,))
}

/// Since when the last of the page before has waited.
pub fn read_lobby_cursor(cursor: Option<&str>) -> Result<Option<RoomVersion>, ReadError> {
    let after: Option<(RoomVersion,)> = decode(List::Waiting, cursor)?;
    Ok(after.map(|(since,)| since))
}

fn sealed_at(at: Option<RoomVersion>, sealed: Option<Sealed>) -> Option<SealedAt> {
    let (room_version, sealed) = at.zip(sealed)?;
    Some(SealedAt { room_version, sealed })
}

impl From<ParticipantRow> for Participant {
    fn from(row: ParticipantRow) -> Self {
        let joined = sealed_at(row.joined_personal_at, row.joined_personal);
        let renamed = sealed_at(row.renamed_at, row.renamed);
        let metadata_set = sealed_at(row.metadata_set_at, row.metadata_set);
        Self {
            view: ParticipantView {
                identity: row.identity,
                role: row.role.0,
                present_since: row.present_since,
                sessions: row.sessions.0,
                hand_raised: row.hand.is_some(),
                tracks: row.tracks.0,
            },
            name: renamed.or_else(|| joined.clone()),
            metadata: metadata_set.or(joined),
        }
    }
}

impl From<WaitingRow> for Waiting {
    fn from(row: WaitingRow) -> Self {
        Self {
            view: WaitingView {
                identity: row.identity,
                session: row.session,
                role: row.role.0,
                waiting_since: row.waiting_since,
            },
            personal: sealed_at(row.personal_at, row.personal),
        }
    }
}

impl ReadModels {
    /// Who is present, by identity.
    pub async fn participants(
        &self,
        tenant: &TenantId,
        room: RoomId,
        page: PageRequest<'_>,
    ) -> Result<Page<Participant>, ReadError> {
        let after: Option<(Identity,)> = decode(List::Participants, page.cursor)?;
        let statement = format!(
            "SELECT {} FROM convoke.rm_participants p
             WHERE p.room = $1 AND p.tenant = $2 AND p.identity > $3
             ORDER BY p.identity
             LIMIT $4",
            ParticipantRow::TABLE.list("p.")
        );
        let statement = sqlx::query(AssertSqlSafe(statement))
            .bind(room.uuid())
            .bind(tenant.as_str())
            .bind(after.as_ref().map_or("", |(identity,)| identity.as_str()))
            .bind(fetch(page.limit));
        let key = |row: &ParticipantRow| (row.identity.clone(),);
        Ok(self.page(tenant, statement, page.limit, List::Participants, key).await?.map(Participant::from))
    }

    /// One person, if present.
    pub async fn participant(
        &self,
        tenant: &TenantId,
        room: RoomId,
        identity: &Identity,
    ) -> Result<Option<Participant>, ReadError> {
        let statement = format!(
            "SELECT {} FROM convoke.rm_participants p WHERE p.room = $1 AND p.tenant = $2 AND p.identity = $3",
            ParticipantRow::TABLE.list("p.")
        );
        let statement =
            sqlx::query(AssertSqlSafe(statement)).bind(room.uuid()).bind(tenant.as_str()).bind(identity.as_str());
        let rows = self.rows(tenant, statement).await?;
        let row = rows.first().map(|row| ParticipantRow::get(&mut Fields(columns(row)))).transpose()?;
        Ok(row.map(Participant::from))
    }

    /// Who is in the lobby, in the order in which they asked.
    pub async fn waiting(
        &self,
        tenant: &TenantId,
        room: RoomId,
        page: PageRequest<'_>,
    ) -> Result<Page<Waiting>, ReadError> {
        let after: Option<(RoomVersion,)> = decode(List::Waiting, page.cursor)?;
        let statement = format!(
            "SELECT {} FROM convoke.rm_waiting w
             WHERE w.room = $1 AND w.tenant = $2 AND w.since > $3 AND NOT w.admitted
             ORDER BY w.since
             LIMIT $4",
            WaitingRow::TABLE.list("w.")
        );
        let statement = sqlx::query(AssertSqlSafe(statement))
            .bind(room.uuid())
            .bind(tenant.as_str())
            .bind(crate::projections::checkpoint::bigint(after.map_or(0, |(since,)| since)))
            .bind(fetch(page.limit));
        let key = |row: &WaitingRow| (row.since,);
        Ok(self.page(tenant, statement, page.limit, List::Waiting, key).await?.map(Waiting::from))
    }
}
