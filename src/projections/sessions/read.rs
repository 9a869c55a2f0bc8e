//! Reads the sessions of a room.

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::SessionRow;
use crate::ids::{Identity, RoomId, SessionId, TenantId};
use crate::projections::read::{ListKind, ModelPage, PageRequest, ReadError, ReadModels, decode, fetch};
use crate::projections::rows::ModelRow;

impl ReadModels {
    /// The stays in a room, in the order in which people asked to join.
    pub async fn sessions(
        &self,
        tenant: &TenantId,
        room: RoomId,
        page: PageRequest<'_>,
    ) -> Result<ModelPage<SessionRow>, ReadError> {
        let after: Option<(SessionId,)> = decode(ListKind::Sessions, page.cursor)?;
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
        self.page(tenant, statement, page.limit, ListKind::Sessions, |row: &SessionRow| (row.session,)).await
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
