//! Reads the log from a position, the events of a tenant, a room from a version, and finds the position or version of a time.
//!
//! Every statement bounds the recorded time, so that PostgreSQL visits only the partitions that can match. Archived events show
//! as a gap at the front of a result and are read from their archive (`super::archived`).

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;

use super::partitions::PartitionTimes;
use super::rows::{self, columns};
use super::{EventLog, LogError, QUERY_TIMEOUT};
use crate::database::pool::Pool;
use crate::database::tenant;
use crate::database::timeout::with_timeout;
use crate::events::envelope::Envelope;
use crate::events::time::Timestamp;
use crate::ids::{Position, RoomKey, RoomVersion, TenantId};

/// How many positions one read of a tenant's events looks at, so that a tenant with few events in a big log costs each page
/// the same. 50,000 rows are read in about 20 ms.
const TENANT_SPAN: u64 = 50_000;

/// A tenant's events among the positions up to `through`.
#[derive(Debug)]
pub struct TenantPage {
    pub events: Vec<Envelope>,
    /// All of the tenant's events up to here are in this page or before it; go on after it.
    pub through: Position,
}

/// One read: events after a position whose times lie from `from` to before `to`.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadRange {
    pub after: Position,
    pub limit: usize,
    pub from: DateTime<Utc>,
    /// `None`: to the end of time.
    pub to: Option<DateTime<Utc>>,
}

impl ReadRange {
    /// What a statement that ends with [`in_range!`] finds here.
    pub async fn rows(self, pool: &Pool, statement: &'static str) -> sqlx::Result<Vec<PgRow>> {
        sqlx::query(statement)
            .bind(bind(self.after))
            .bind(self.from)
            .bind(self.to)
            .bind(bind(self.limit as u64))
            .fetch_all(pool)
            .await
    }
}

/// Where a range's events are, with `$1` to `$4` of [`ReadRange`]'s fields: after, from, to, limit.
macro_rules! in_range {
    () => {
        " FROM convoke.log
          WHERE position > $1 AND recorded_at >= $2 AND recorded_at < coalesce($3, 'infinity'::timestamptz)
          ORDER BY position
          LIMIT $4"
    };
}
pub(super) use in_range;

/// An event, or what is wanted of it.
pub(super) trait LogItem: Sized {
    fn position(&self) -> Position;

    fn recorded_at(&self) -> Timestamp;

    fn read(pool: &Pool, range: ReadRange) -> impl Future<Output = Result<Vec<Self>, LogError>> + Send;

    fn of(event: Envelope) -> Self;
}

impl LogItem for Envelope {
    fn position(&self) -> Position {
        self.position
    }

    fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    async fn read(pool: &Pool, range: ReadRange) -> Result<Vec<Self>, LogError> {
        envelopes(&range.rows(pool, concat!("SELECT ", columns!(), in_range!())).await?)
    }

    fn of(event: Envelope) -> Self {
        event
    }
}

fn envelopes(rows: &[PgRow]) -> Result<Vec<Envelope>, LogError> {
    rows.iter().map(rows::envelope).collect()
}

pub(super) fn bind(number: u64) -> i64 {
    // Positions and versions are bigint in the log; what is past its end finds nothing there.
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl EventLog {
    /// Up to `limit` events after a position, of all tenants, in position order. Fewer than `limit`: that was the end.
    pub async fn read(&self, after: Position, limit: usize) -> Result<Vec<Envelope>, LogError> {
        self.read_partitions(after, limit).await
    }

    /// The same for readers at the end of the log: uses the events that this process appended itself.
    pub async fn read_shared(&self, after: Position, limit: usize) -> Result<Vec<Arc<Envelope>>, LogError> {
        let mut wanted = limit;
        if let Some(own) = &self.recent_appends {
            let at_hand = own.after(after, limit);
            if !at_hand.is_empty() {
                return Ok(at_hand);
            }
            if let Some(first) = own.first_behind(after) {
                wanted = wanted.min(usize::try_from(first - after - 1).unwrap_or(limit));
            }
        }
        Ok(self.read_partitions::<Envelope>(after, wanted).await?.into_iter().map(Arc::new).collect())
    }

    /// Reads `limit` events after a position, whatever part of them is wanted, from one partition's time to the next.
    pub(super) async fn read_partitions<T: LogItem>(&self, after: Position, limit: usize) -> Result<Vec<T>, LogError> {
        let mut found = Vec::new();
        let mut after = after;
        while found.len() < limit {
            let Some(times) = self.partitions.times_of(&self.pool, after + 1).await? else { break };
            let wanted = limit - found.len();
            let page = match &times.archive {
                Some(partition) => self.read_archived(partition, after, wanted).await?,
                None => {
                    let to = (!times.newest).then_some(times.to);
                    let page = T::read(&self.pool, ReadRange { after, limit: wanted, from: times.from, to }).await?;
                    // Positions have no gaps: where there is one, the partition may have left meanwhile.
                    let gap = page.first().map_or(!times.newest, |first| first.position() != after + 1);
                    if gap && self.has_left(after + 1).await? {
                        continue;
                    }
                    page
                }
            };
            let ended = page.len() < wanted;
            if let Some(last) = page.last() {
                after = last.position();
                if times.newest && last.recorded_at().utc() >= times.to {
                    self.partitions.load(&self.pool).await?;
                }
            } else if !times.newest {
                // A partition in use holds events up to the next one's first: it was emptied behind our back.
                return Err(LogError::Damaged(format!("no event at position {}", after + 1)));
            }
            found.extend(page);
            if times.newest && ended {
                break;
            }
        }
        Ok(found)
    }

    /// Up to `limit` of a tenant's events after a position, read as that tenant. Looks at a bounded range of the log:
    /// an empty page whose `through` is below the head is not the end.
    pub async fn read_tenant(&self, tenant: &TenantId, after: Position, limit: usize) -> Result<TenantPage, LogError> {
        let head = self.head().await?;
        let end = head.position.min(after.saturating_add(TENANT_SPAN));
        if after >= end {
            return Ok(TenantPage { events: Vec::new(), through: after.min(head.position) });
        }
        loop {
            let Some(times) = self.partitions.times_of(&self.pool, after + 1).await? else {
                return Ok(TenantPage { events: Vec::new(), through: after });
            };
            if let Some(partition) = &times.archive {
                return self.archived_page(partition, tenant, after, end, limit).await;
            }
            let page = self.live_page(tenant, after, end, &times, limit).await?;
            // A tenant's positions have gaps. What was in the database after the read was there during it.
            if !self.has_left(after + 1).await? {
                return Ok(page);
            }
        }
    }

    async fn live_page(
        &self,
        tenant: &TenantId,
        after: Position,
        end: Position,
        times: &PartitionTimes,
        limit: usize,
    ) -> Result<TenantPage, LogError> {
        let last = self.partitions.times_of(&self.pool, end).await?.filter(|last| !last.newest);
        let mut transaction = tenant::begin(&self.pool, tenant).await?;
        let rows = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM convoke.log
              WHERE position > $1 AND position <= $2 AND tenant = $3
                  AND recorded_at >= $4 AND recorded_at < coalesce($5, 'infinity'::timestamptz)
              ORDER BY position
              LIMIT $6"
        ))
        .bind(bind(after))
        .bind(bind(end))
        .bind(tenant.as_str())
        .bind(times.from)
        .bind(last.map(|last| last.to))
        .bind(bind(limit as u64))
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        let events = envelopes(&rows)?;
        let through = if events.len() < limit { end } else { events.last().map_or(end, |last| last.position) };
        Ok(TenantPage { events, through })
    }

    /// Up to `limit` events of a room after a version, in version order. For the program's own use: no tenant's role is
    /// taken. `since`: a time at or before which the event after `after` cannot have been recorded, if known.
    pub async fn read_room(
        &self,
        key: &RoomKey,
        after: RoomVersion,
        since: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Envelope>, LogError> {
        let live = || with_timeout(QUERY_TIMEOUT, read_room_on(&self.pool, key, after, since, limit));
        self.joined(key, after, limit, live).await
    }

    /// As [`EventLog::read_room`], read as the tenant: what row-level security hides is not there.
    pub async fn read_room_as_tenant(
        &self,
        key: &RoomKey,
        after: RoomVersion,
        limit: usize,
    ) -> Result<Vec<Envelope>, LogError> {
        let live = async || {
            let mut transaction = tenant::begin(&self.pool, &key.tenant).await?;
            let found = read_room_on(&mut *transaction, key, after, None, limit).await?;
            transaction.commit().await?;
            Ok(found)
        };
        self.joined(key, after, limit, live).await
    }

    /// Some of the tenants that have rooms, by name, for the error about a tenant without rooms.
    pub async fn some_tenants(&self, limit: u16) -> Result<Vec<TenantId>, LogError> {
        // From name to name by the index: it may hold millions of rooms.
        let names: Vec<String> = sqlx::query_scalar(
            "WITH RECURSIVE named AS (
                SELECT min(h.tenant) AS tenant FROM convoke.room_heads h
                UNION ALL
                SELECT (SELECT min(h.tenant) FROM convoke.room_heads h WHERE h.tenant > n.tenant)
                FROM named n
                WHERE n.tenant IS NOT NULL
             )
             SELECT tenant FROM named WHERE tenant IS NOT NULL LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        let tenant = |name: &String| TenantId::new(name).map_err(|bad| LogError::Damaged(bad.to_string()));
        names.iter().map(tenant).collect()
    }

    pub async fn has_rooms_of(&self, tenant: &TenantId) -> Result<bool, LogError> {
        let found = sqlx::query_scalar("SELECT EXISTS (SELECT FROM convoke.room_heads h WHERE h.tenant = $1)")
            .bind(tenant.as_str())
            .fetch_one(&self.pool)
            .await?;
        Ok(found)
    }

    /// The last position recorded before a time; 0: none.
    pub async fn position_before(&self, at: Timestamp) -> Result<Position, LogError> {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT convoke.position_before($1)").bind(at.utc()).fetch_one(&self.pool).await?;
        match found {
            Some(found) => rows::position(found),
            None => self.archived_position_before(at).await,
        }
    }

    /// The version that a room had at a time, by recorded time, that moment included; 0: it was not there yet.
    pub async fn version_at(&self, key: &RoomKey, at: Timestamp) -> Result<RoomVersion, LogError> {
        let found: Option<i64> = sqlx::query_scalar("SELECT convoke.room_version_at($1, $2, $3)")
            .bind(key.tenant.as_str())
            .bind(key.room.uuid())
            .bind(at.utc())
            .fetch_one(&self.pool)
            .await?;
        match found {
            Some(found) => rows::position(found),
            None => self.archived_version_at(key, at).await,
        }
    }
}

/// The head row bounds the times of a room, read by the same statement: its partitions prune.
async fn read_room_on(
    on: impl sqlx::PgExecutor<'_>,
    key: &RoomKey,
    after: RoomVersion,
    since: Option<Timestamp>,
    limit: usize,
) -> Result<Vec<Envelope>, LogError> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        columns!(),
        " FROM convoke.log
          WHERE tenant = $1 AND room = $2 AND room_version > $3
              AND recorded_at >= coalesce($4, (SELECT h.first_recorded_at FROM convoke.room_heads h
                  WHERE h.tenant = $1 AND h.room = $2))
              AND recorded_at <= (SELECT h.last_recorded_at FROM convoke.room_heads h
                  WHERE h.tenant = $1 AND h.room = $2)
          ORDER BY room_version
          LIMIT $5"
    ))
    .bind(key.tenant.as_str())
    .bind(key.room.uuid())
    .bind(bind(after))
    .bind(since.map(Timestamp::utc))
    .bind(bind(limit as u64))
    .fetch_all(on)
    .await?;
    envelopes(&rows)
}
