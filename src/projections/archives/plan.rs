//! Determines the partitions to archive, and the consumers that delay them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;

use super::ArchivingError;
use crate::events::log::LogError;
use crate::events::time::Timestamp;
use crate::ids::Position;

/// A partition that would move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionMove {
    pub partition: String,
    pub from: Timestamp,
    /// Exclusive.
    pub to: Timestamp,
    pub first_position: Position,
    pub last_position: Position,
    pub events: u64,
    /// In the database, with its indexes.
    pub bytes: u64,
}

/// Who keeps a place in the log that lies before the end of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LaggingConsumer {
    /// `read model` or `relay to Kafka`.
    pub kind: String,
    pub name: String,
    /// `None`: it has not begun.
    pub position: Option<Position>,
}

/// Oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ArchivePlan {
    /// Partitions that end before this are old.
    pub before: Timestamp,
    pub moves: Vec<PartitionMove>,
    /// Old partitions that never held an event.
    pub empty: Vec<String>,
    /// Partitions that are old and have to wait, with the first of those that they wait for.
    pub waiting: Vec<(PartitionMove, LaggingConsumer)>,
}

impl ArchivePlan {
    /// Whether a partition may leave.
    pub fn allows(&self, moving: &PartitionMove) -> bool {
        self.moves.iter().any(|one| one.partition == moving.partition)
    }
}

#[derive(sqlx::FromRow)]
struct OldPartition {
    name: String,
    from_time: DateTime<Utc>,
    to_time: DateTime<Utc>,
    first_position: Option<i64>,
    next_position: Option<i64>,
    bytes: i64,
}

pub async fn plan(
    owner: &PgPool,
    models: &[&'static str],
    topic: Option<&str>,
    before: Timestamp,
) -> Result<ArchivePlan, ArchivingError> {
    let cursors = cursors(owner, models, topic).await?;
    let mut plan = ArchivePlan { before, moves: Vec::new(), empty: Vec::new(), waiting: Vec::new() };
    for old in old_partitions(owner, before).await? {
        let Some(moving) = old.moving()? else {
            plan.empty.push(old.name);
            continue;
        };
        let passed = |cursor: &&LaggingConsumer| cursor.position.is_none_or(|at| at < moving.last_position);
        match cursors.iter().find(passed) {
            Some(hindrance) => plan.waiting.push((moving, hindrance.clone())),
            None => plan.moves.push(moving),
        }
    }
    Ok(plan)
}

/// The partitions that end before a time and are still here. The newest partition in use stays, however old: the log goes on
/// in it, or tells by it where it goes on. So does an empty one that the log has not passed.
async fn old_partitions(owner: &PgPool, before: Timestamp) -> Result<Vec<OldPartition>, ArchivingError> {
    let found = sqlx::query_as(
        "SELECT name, from_time, to_time, first_position, next_position, bytes
         FROM (
            SELECT
                p.name,
                p.from_time,
                p.to_time,
                p.first_position,
                min(p.first_position) OVER (ORDER BY p.from_time ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)
                    AS next_position,
                coalesce(pg_total_relation_size(to_regclass(format('convoke.%I', p.name))), 0) AS bytes
            FROM convoke.log_partitions p
         ) AS parts
         WHERE to_time <= $1 AND next_position IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM convoke.log_archives a WHERE a.partition = name AND a.dropped_at IS NOT NULL)
         ORDER BY from_time",
    )
    .bind(before.utc())
    .fetch_all(owner)
    .await?;
    Ok(found)
}

impl OldPartition {
    /// `None`: it holds nothing.
    fn moving(&self) -> Result<Option<PartitionMove>, LogError> {
        let (Some(first), Some(next)) = (self.first_position, self.next_position) else { return Ok(None) };
        let odd = |_| LogError::Damaged(format!("partition {} has odd positions: {first} to {next}", self.name));
        let (first_position, next) = (u64::try_from(first).map_err(odd)?, u64::try_from(next).map_err(odd)?);
        let time = |at| {
            Timestamp::new(at).ok_or_else(|| LogError::Damaged(format!("partition {} lies outside of time", self.name)))
        };
        Ok(Some(PartitionMove {
            partition: self.name.clone(),
            from: time(self.from_time)?,
            to: time(self.to_time)?,
            first_position,
            last_position: next - 1,
            events: next - first_position,
            bytes: u64::try_from(self.bytes).unwrap_or(0),
        }))
    }
}

/// Whoever keeps a place in the log, and who of them should have one and has none.
async fn cursors(
    owner: &PgPool,
    models: &[&'static str],
    topic: Option<&str>,
) -> Result<Vec<LaggingConsumer>, ArchivingError> {
    let found: Vec<(String, String, i64)> =
        sqlx::query_as("SELECT kind, name, position FROM convoke.log_cursors ORDER BY position, kind, name")
            .fetch_all(owner)
            .await?;
    let expected =
        models.iter().map(|model| ("read model", *model)).chain(topic.map(|topic| ("relay to Kafka", topic)));
    let begun = |kind: &str, name: &str| found.iter().any(|one| one.0 == kind && one.1 == name);
    let missing = expected.filter(|(kind, name)| !begun(kind, name)).map(|(kind, name)| LaggingConsumer {
        kind: kind.to_owned(),
        name: name.to_owned(),
        position: None,
    });
    let mut cursors: Vec<_> = missing.collect();
    cursors.extend(found.iter().map(|(kind, name, position)| LaggingConsumer {
        kind: kind.clone(),
        name: name.clone(),
        position: Some(position.cast_unsigned()),
    }));
    Ok(cursors)
}
