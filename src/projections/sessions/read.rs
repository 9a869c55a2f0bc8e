//! Who ever was in a room, and where somebody ever was.

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::SessionRow;
use crate::ids::{Identity, RoomId, SessionId, TenantId};
use crate::projections::read::{List, Page, PageRequest, ReadError, ReadModels, decode, fetch};
use crate::projections::rows::Row;

impl ReadModels {
    /// The stays in a room, in the order in which people asked to join.
    pub async fn sessions(
        &self,
        tenant: &TenantId,
        room: RoomId,
        page: PageRequest<'_>,
    ) -> Result<Page<SessionRow>, ReadError> {
        let after: Option<(SessionId,)> = decode(List::Sessions, page.cursor)?;
        let statement = format!(
            "SELECT {} FROM convoke.rm_sessions s
             WHERE s.room = $1 AND s.tenant = $2 AND s.session > $3
             ORDER BY s.session
             LIMIT $4",
            SessionRow::TABLE.list("s.")
        );
        let statement = sqlx::query(AssertSqlSafe(statement))
            .bind(room.uuid())
            .bind(tenant.as_str())
            .bind(after.map_or(Uuid::nil(), |(session,)| session.uuid()))
            .bind(fetch(page.limit));
        self.page(tenant, statement, page.limit, List::Sessions, |row: &SessionRow| (row.session,)).await
    }

    /// The stays of a person in all rooms of the tenant, the newest first.
    pub async fn sessions_of_identity(
        &self,
        tenant: &TenantId,
        identity: &Identity,
        page: PageRequest<'_>,
    ) -> Result<Page<SessionRow>, ReadError> {
        let before: Option<(SessionId, RoomId)> = decode(List::SessionsOfIdentity, page.cursor)?;
        let (session, room) =
            before.map_or((Uuid::max(), Uuid::max()), |(session, room)| (session.uuid(), room.uuid()));
        let statement = format!(
            "SELECT {} FROM convoke.rm_sessions s
             WHERE s.tenant = $1 AND s.identity = $2 AND (s.session, s.room) < ($3, $4)
             ORDER BY s.session DESC, s.room DESC
             LIMIT $5",
            SessionRow::TABLE.list("s.")
        );
        let statement = sqlx::query(AssertSqlSafe(statement))
            .bind(tenant.as_str())
            .bind(identity.as_str())
            .bind(session)
            .bind(room)
            .bind(fetch(page.limit));
        let key = |row: &SessionRow| (row.session, row.room);
        self.page(tenant, statement, page.limit, List::SessionsOfIdentity, key).await
    }

    /// Whether somebody was ever in a room.
    pub async fn ever_stayed(&self, tenant: &TenantId, room: RoomId, identity: &Identity) -> Result<bool, ReadError> {
        let statement = format!(
            "SELECT {} FROM convoke.rm_sessions s
             WHERE s.tenant = $1 AND s.identity = $2 AND s.room = $3
             ORDER BY s.session DESC
             LIMIT 1",
            SessionRow::TABLE.list("s.")
        );
        let statement =
            sqlx::query(AssertSqlSafe(statement)).bind(tenant.as_str()).bind(identity.as_str()).bind(room.uuid());
        Ok(!self.rows(tenant, statement).await?.is_empty())
    }
}
