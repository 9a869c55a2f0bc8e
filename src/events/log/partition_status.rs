//! The partitions of the log for operators: a list with sizes, how far they reach, and their creation ahead of time.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::{EventLog, LogError, rows};
use crate::config::PartitionUnit;
use crate::events::time::Timestamp;
use crate::ids::Position;

/// One partition of the log.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Partition {
    pub name: String,
    pub from: Timestamp,
    /// Exclusive.
    pub to: Timestamp,
    /// None: nothing was recorded in it yet.
    pub first_position: Option<Position>,
    pub events: u64,
    /// With its indexes; of its files, where it is archived.
    pub bytes: u64,
    /// It has left the database, or is about to: its events are read from this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
}

/// Sizes of the log and of what is kept beside it.
#[derive(Clone, Debug, Serialize)]
pub struct LogSizes {
    pub rooms: u64,
    pub snapshots: u64,
    /// Bytes, indexes included, of each.
    pub log_bytes: u64,
    pub room_head_bytes: u64,
    pub snapshot_bytes: u64,
    pub outcome_bytes: u64,
}

#[derive(sqlx::FromRow)]
struct PartitionStatusRow {
    name: String,
    from_time: DateTime<Utc>,
    to_time: DateTime<Utc>,
    first_position: Option<i64>,
    next_position: Option<i64>,
    bytes: i64,
    archive: Option<String>,
}

impl EventLog {
    /// By time.
    pub async fn partitions(&self) -> Result<Vec<Partition>, LogError> {
        // A partition's events end where those of the next one in use begin.
        let rows: Vec<PartitionStatusRow> = sqlx::query_as(
            "SELECT
                p.name,
                p.from_time,
                p.to_time,
                p.first_position,
                lead(p.first_position, 1, head.position + 1)
                    OVER (PARTITION BY p.first_position IS NULL ORDER BY p.from_time) AS next_position,
                coalesce(a.events_size + a.rooms_size,
                    pg_total_relation_size(to_regclass(format('convoke.%I', p.name))), 0) AS bytes,
                a.events_file AS archive
             FROM convoke.log_partitions p
             CROSS JOIN (SELECT position FROM convoke.log_head) AS head
             LEFT JOIN convoke.log_archives a ON a.partition = p.name AND a.kept_at IS NOT NULL
             ORDER BY p.from_time",
        )
        .fetch_all(self.pool())
        .await?;
        rows.into_iter().map(Partition::try_from).collect()
    }

    /// The end of the unbroken cover that begins with the partition of `now`; None where there is no such partition.
    pub async fn covered_until(&self, now: Timestamp) -> Result<Option<Timestamp>, LogError> {
        let bounds: Vec<(DateTime<Utc>, DateTime<Utc>)> = sqlx::query_as(
            "SELECT from_time, to_time
             FROM convoke.log_partitions
             WHERE to_time > $1
             ORDER BY from_time",
        )
        .bind(now.utc())
        .fetch_all(self.pool())
        .await?;
        let mut end = None;
        for (from, to) in bounds {
            if end.map_or(from <= now.utc(), |end| from == end) {
                end = Some(to);
            } else {
                break;
            }
        }
        Ok(end.and_then(Timestamp::new))
    }

    /// Makes the partitions that are missing from `from` to `until`; returns their names. Waits for another process that is
    /// at it; appends are not held up.
    pub async fn ensure_partitions(
        &self,
        unit: PartitionUnit,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<String>, LogError> {
        let names = sqlx::query_scalar("SELECT convoke.ensure_partitions($1, $2, $3)")
            .bind(unit.as_str())
            .bind(from.utc())
            .bind(until.utc())
            .fetch_all(self.pool())
            .await?;
        Ok(names)
    }

    pub async fn sizes(&self) -> Result<LogSizes, LogError> {
        let (rooms, snapshots, log, heads, kept, outcomes): (i64, i64, i64, i64, i64, i64) = sqlx::query_as(
            "SELECT
                (SELECT count(*) FROM convoke.room_heads),
                (SELECT count(*) FROM convoke.room_snapshots),
                (SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::bigint FROM pg_partition_tree('convoke.log')),
                pg_total_relation_size('convoke.room_heads'),
                pg_total_relation_size('convoke.room_snapshots'),
                (SELECT sum(pg_total_relation_size(relid))::bigint FROM pg_partition_tree('convoke.outcomes'))",
        )
        .fetch_one(self.pool())
        .await?;
        Ok(LogSizes {
            rooms: rows::position(rooms)?,
            snapshots: rows::position(snapshots)?,
            log_bytes: rows::position(log)?,
            room_head_bytes: rows::position(heads)?,
            snapshot_bytes: rows::position(kept)?,
            outcome_bytes: rows::position(outcomes)?,
        })
    }

    /// Begins a new epoch: every cursor given out before is refused from now on.
    pub async fn fence(&self) -> Result<Uuid, LogError> {
        Ok(sqlx::query_scalar("SELECT convoke.fence()").fetch_one(self.pool()).await?)
    }
}

impl TryFrom<PartitionStatusRow> for Partition {
    type Error = LogError;

    fn try_from(row: PartitionStatusRow) -> Result<Self, LogError> {
        let time =
            |at| Timestamp::new(at).ok_or_else(|| LogError::Damaged(format!("{} lies outside of time", row.name)));
        let (from, to) = (time(row.from_time)?, time(row.to_time)?);
        let first_position = row.first_position.map(rows::position).transpose()?;
        let events = match (first_position, row.next_position) {
            (Some(first), Some(next)) => rows::position(next)?.saturating_sub(first),
            _ => 0,
        };
        let bytes = rows::position(row.bytes)?;
        Ok(Self { name: row.name, from, to, first_position, events, bytes, archive: row.archive })
    }
}
