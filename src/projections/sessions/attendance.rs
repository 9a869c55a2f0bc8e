//! Attendance of a room: sessions grouped by person at the time of the query. The table has every session, and an index orders
//! the sessions of a room by person, so a separate model would only duplicate them.
//!
//! A person's time counts once while they are present with several devices.

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::de::value::{Error, StrDeserializer};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use crate::events::room::{LeaveReason, Role};
use crate::events::time::Timestamp;
use crate::ids::{Identity, RoomId, SessionId, TenantId};
use crate::projections::read::{ListKind, ModelPage, PageRequest, ReadError, ReadModels, decode, fetch};
use crate::projections::rows::BadField;

/// Stays that are told of one person, the latest; all of them are counted.
pub const MAX_SESSIONS_LISTED: i32 = 100;

/// Somebody who was in a room, or still is.
#[derive(Clone, Debug, PartialEq)]
pub struct Attendee {
    pub identity: Identity,
    pub first_seen: Timestamp,
    /// `as_of`, where they are still there.
    pub last_seen: Timestamp,
    /// Whether they are still there.
    pub present: bool,
    /// The time for which they were there with one device at least.
    pub attended_us: u64,
    pub stay_count: u64,
    /// The last [`MAX_SESSIONS_LISTED`], in the order in which they were asked for.
    pub stays: Vec<AttendedSession>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AttendedSession {
    pub session: SessionId,
    /// At the join.
    pub role: Role,
    pub joined_at: Timestamp,
    /// `None`: it goes on.
    pub left_at: Option<Timestamp>,
    pub reason: Option<LeaveReason>,
}

impl ReadModels {
    /// Who attended a room, by identity; one person only, where `identity` is given. Stays that have not ended count up to
    /// `as_of`.
    pub async fn attendance(
        &self,
        tenant: &TenantId,
        room: RoomId,
        identity: Option<&Identity>,
        as_of: Timestamp,
        page: PageRequest<'_>,
    ) -> Result<ModelPage<Attendee>, ReadError> {
        let after: Option<(Identity,)> = decode(ListKind::Attendance, page.cursor)?;
        let after = after.as_ref().map_or("", |(identity,)| identity.as_str());
        let (compare, with) = identity.map_or((">", after), |identity| ("=", identity.as_str()));
        let statement = sqlx::query(AssertSqlSafe(statement(compare)))
            .bind(room.uuid())
            .bind(tenant.as_str())
            .bind(as_of.utc())
            .bind(MAX_SESSIONS_LISTED)
            .bind(with)
            .bind(fetch(page.limit));
        let rows = self.rows(tenant, statement).await?;
        let items = rows.iter().take(page.limit).map(attendee).collect::<Result<Vec<_>, _>>()?;
        let more = rows.len() > page.limit;
        let last = items.last().filter(|_| more);
        let next_cursor = last.map(|last| ListKind::Attendance.cursor(&(last.identity.clone(),)));
        Ok(ModelPage { items, next_cursor })
    }
}

/// Stays of the people whose identity compares so with `$5`. An end that is told to have been before its beginning makes a stay
/// of no length; times that overlap become one range.
fn statement(compare: &str) -> String {
    format!(
        "SELECT a.identity,
            a.first_seen,
            a.last_seen,
            a.present,
            (SELECT (COALESCE(SUM(EXTRACT(EPOCH FROM upper(t) - lower(t))), 0) * 1000000)::bigint
                FROM unnest(a.times) t) AS attended_us,
            a.stay_count,
            a.sessions,
            a.roles,
            a.joined,
            a.lefts,
            a.reasons
         FROM (
            SELECT s.identity,
                MIN(s.joined_at) AS first_seen,
                MAX(GREATEST(s.joined_at, COALESCE(s.left_at, $3))) AS last_seen,
                BOOL_OR(s.left_at IS NULL) AS present,
                range_agg(tstzrange(s.joined_at, GREATEST(s.joined_at, COALESCE(s.left_at, $3)))) AS times,
                COUNT(*) AS stay_count,
                (array_agg(s.session ORDER BY s.session DESC))[1:$4] AS sessions,
                (array_agg(s.role ORDER BY s.session DESC))[1:$4] AS roles,
                (array_agg(s.joined_at ORDER BY s.session DESC))[1:$4] AS joined,
                (array_agg(s.left_at ORDER BY s.session DESC))[1:$4] AS lefts,
                (array_agg(s.reason ORDER BY s.session DESC))[1:$4] AS reasons
            FROM convoke.rm_sessions s
            WHERE s.room = $1 AND s.tenant = $2 AND s.identity {compare} $5
            GROUP BY s.identity
            ORDER BY s.identity
            LIMIT $6
         ) a
         ORDER BY a.identity"
    )
}

fn attendee(row: &PgRow) -> Result<Attendee, ReadError> {
    let count = |count: i64| u64::try_from(count).unwrap_or(0);
    let identity: &str = row.try_get("identity")?;
    Ok(Attendee {
        identity: Identity::new(identity).map_err(|_| BadField("an identity"))?,
        first_seen: time(row.try_get("first_seen")?)?,
        last_seen: time(row.try_get("last_seen")?)?,
        present: row.try_get("present")?,
        attended_us: count(row.try_get("attended_us")?),
        stay_count: count(row.try_get("stay_count")?),
        stays: stays(row)?,
    })
}

/// Five arrays, one entry a stay, the latest first.
fn stays(row: &PgRow) -> Result<Vec<AttendedSession>, ReadError> {
    let sessions: Vec<Uuid> = row.try_get("sessions")?;
    let roles: Vec<String> = row.try_get("roles")?;
    let joined: Vec<DateTime<Utc>> = row.try_get("joined")?;
    let lefts: Vec<Option<DateTime<Utc>>> = row.try_get("lefts")?;
    let reasons: Vec<Option<String>> = row.try_get("reasons")?;
    let stays = sessions.into_iter().zip(roles).zip(joined).zip(lefts).zip(reasons);
    stays
        .rev()
        .map(|((((session, role), joined_at), left_at), reason)| {
            Ok(AttendedSession {
                session: SessionId::from_uuid(session),
                role: word(&role)?,
                joined_at: time(joined_at)?,
                left_at: left_at.map(time).transpose()?,
                reason: reason.as_deref().map(word).transpose()?,
            })
        })
        .collect()
}

fn time(at: DateTime<Utc>) -> Result<Timestamp, BadField> {
    Timestamp::new(at).ok_or(BadField("a time"))
}

fn word<T: DeserializeOwned>(text: &str) -> Result<T, BadField> {
    T::deserialize(StrDeserializer::<Error>::new(text)).map_err(|_| BadField("a word that this program knows"))
}
