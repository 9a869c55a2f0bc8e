//! A reader's knowledge of the partitions: the times to query for a position, and which partitions are archived.
//!
//! The first position of a partition never changes, so cached knowledge stays true with two exceptions. The newest known
//! partition may have successors, so queries have no upper bound there. And a partition may have been archived: the database then
//! answers with a gap, and the reader refreshes this knowledge.

use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};

use super::{LogError, rows};
use crate::database::pool::Pool;
use crate::events::archive::{ArchivedPartition, FileRef};
use crate::ids::Position;

/// A partition in use.
#[derive(Clone, Debug)]
struct PartitionBounds {
    first_position: Position,
    from_time: DateTime<Utc>,
    to_time: DateTime<Utc>,
    archive: Option<Arc<ArchivedPartition>>,
}

/// Times between which an event lies.
#[derive(Clone, Debug)]
pub(super) struct PartitionTimes {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// No later partition in use is known; there may be one by now.
    pub newest: bool,
    /// Where its partition is, if it left the database.
    pub archive: Option<Arc<ArchivedPartition>>,
}

#[derive(Default)]
pub(super) struct PartitionCatalogue(RwLock<Vec<PartitionBounds>>);

impl PartitionCatalogue {
    /// Between which times the event at `position` was recorded, if it is there. `None`: the log is empty.
    pub(super) async fn times_of(&self, pool: &Pool, position: Position) -> Result<Option<PartitionTimes>, LogError> {
        if let Some(times) = self.known(position) {
            return Ok(Some(times));
        }
        self.load(pool).await?;
        Ok(self.known(position))
    }

    fn known(&self, position: Position) -> Option<PartitionTimes> {
        let bounds = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let index = bounds.partition_point(|one| one.first_position <= position).checked_sub(1)?;
        let PartitionBounds { from_time: from, to_time: to, archive, .. } = bounds[index].clone();
        Some(PartitionTimes { from, to, newest: index + 1 == bounds.len(), archive })
    }

    /// The archived partitions as they are now, oldest first.
    pub(super) async fn archived(&self, pool: &Pool) -> Result<Vec<Arc<ArchivedPartition>>, LogError> {
        self.load(pool).await?;
        let bounds = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Ok(bounds.iter().filter_map(|one| one.archive.clone()).collect())
    }

    pub(super) async fn load(&self, pool: &Pool) -> Result<(), LogError> {
        let found: Vec<CatalogueRow> = sqlx::query_as(
            "SELECT
                p.name,
                p.first_position,
                p.from_time,
                p.to_time,
                a.last_position,
                a.events_file,
                a.events_size,
                a.events_footer_at,
                a.events_footer,
                a.rooms_file,
                a.rooms_size,
                a.rooms_footer_at,
                a.rooms_footer
             FROM convoke.log_partitions p
             LEFT JOIN convoke.log_archives a ON a.partition = p.name AND a.kept_at IS NOT NULL
             WHERE p.first_position IS NOT NULL
             ORDER BY p.first_position",
        )
        .fetch_all(pool)
        .await?;
        let bounds = found.into_iter().map(CatalogueRow::bounds).collect::<Result<_, _>>()?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = bounds;
        Ok(())
    }
}

#[derive(sqlx::FromRow)]
struct CatalogueRow {
    name: String,
    first_position: i64,
    from_time: DateTime<Utc>,
    to_time: DateTime<Utc>,
    last_position: Option<i64>,
    events_file: Option<String>,
    events_size: Option<i64>,
    events_footer_at: Option<i64>,
    events_footer: Option<Vec<u8>>,
    rooms_file: Option<String>,
    rooms_size: Option<i64>,
    rooms_footer_at: Option<i64>,
    rooms_footer: Option<Vec<u8>>,
}

impl CatalogueRow {
    fn bounds(self) -> Result<PartitionBounds, LogError> {
        let first_position = rows::position(self.first_position)?;
        let file = |name, size, footer_at, footer: Option<Vec<u8>>| {
            let (Some(name), Some(size), Some(footer_at), Some(footer)) = (name, size, footer_at, footer) else {
                return Ok(None);
            };
            let (size, footer_at) = (rows::position(size)?, rows::position(footer_at)?);
            Ok::<_, LogError>(Some(FileRef { name, size, footer_at, footer: rows::hash(&footer)? }))
        };
        let events = file(self.events_file, self.events_size, self.events_footer_at, self.events_footer)?;
        let rooms = file(self.rooms_file, self.rooms_size, self.rooms_footer_at, self.rooms_footer)?;
        let archive = match (self.last_position, events, rooms) {
            (Some(last_position), Some(events), Some(rooms)) => Some(Arc::new(ArchivedPartition {
                name: self.name,
                first_position,
                last_position: rows::position(last_position)?,
                from: self.from_time,
                to: self.to_time,
                events,
                rooms,
            })),
            _ => None,
        };
        Ok(PartitionBounds { first_position, from_time: self.from_time, to_time: self.to_time, archive })
    }
}
