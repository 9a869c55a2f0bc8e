//! Reads from archives what has left the database.
//!
//! Partitions leave the database oldest first, so an archive precedes everything in the database, in the log and in each room. A
//! reader asks the database first. Positions and versions have no gaps, so archived events show as a gap at the front of the
//! result. This also works in a process that has not noticed that the partition left. The catalogue lists an archive before the
//! partition is dropped: at every moment one of the two has the events.

use std::collections::HashMap;
use std::sync::Arc;

use super::chain_check::RoomChain;
use super::read::{LogItem, TenantPage};
use super::{EventLog, LogError};
use crate::events::archive::{ArchiveError, ArchiveReader, ArchivedPartition};
use crate::events::envelope::{Envelope, Hash};
use crate::events::time::Timestamp;
use crate::ids::{Position, RoomKey, RoomVersion, TenantId};

/// How often a room is read anew that changed its place while it was read.
const ATTEMPTS: usize = 3;

impl EventLog {
    /// Up to which position the log lies in archives; 0: none of it does.
    pub async fn archived_through(&self) -> Result<Position, LogError> {
        let partitions = self.partitions.archived(&self.pool).await?;
        Ok(partitions.last().map_or(0, |last| last.last_position))
    }

    /// Whether the partition of a position has gone to an archive, as the database says now.
    pub(super) async fn has_left(&self, position: Position) -> Result<bool, LogError> {
        self.partitions.load(&self.pool).await?;
        let times = self.partitions.times_of(&self.pool, position).await?;
        Ok(times.is_some_and(|times| times.archive.is_some()))
    }

    fn archive_of(&self, partition: &ArchivedPartition) -> Result<&ArchiveReader, LogError> {
        let unknown = || ArchiveError::NotConfigured { partition: partition.name.clone() };
        self.archive.as_ref().ok_or_else(|| unknown().into())
    }

    pub(super) async fn read_archived<T: LogItem>(
        &self,
        partition: &ArchivedPartition,
        after: Position,
        limit: usize,
    ) -> Result<Vec<T>, LogError> {
        let events = self.archive_of(partition)?.read(partition, after, limit).await?;
        Ok(events.into_iter().map(T::of).collect())
    }

    pub(super) async fn archived_page(
        &self,
        partition: &ArchivedPartition,
        tenant: &TenantId,
        after: Position,
        end: Position,
        limit: usize,
    ) -> Result<TenantPage, LogError> {
        let end = end.min(partition.last_position);
        let events = self.archive_of(partition)?.read_tenant(partition, tenant, after, end, limit).await?;
        let through = if events.len() < limit { end } else { events.last().map_or(end, |last| last.position) };
        Ok(TenantPage { events, through })
    }

    /// Of those positions, the hashes of what lies in archives.
    pub(super) async fn archived_hashes(
        &self,
        mut positions: Vec<Position>,
    ) -> Result<HashMap<Position, Hash>, LogError> {
        let partitions = self.partitions.archived(&self.pool).await?;
        positions.sort_unstable();
        let mut found = HashMap::new();
        for position in positions {
            let holds = |one: &&Arc<ArchivedPartition>| (one.first_position..=one.last_position).contains(&position);
            let Some(partition) = partitions.iter().find(holds) else { continue };
            let archive = self.archive_of(partition)?;
            let (_, events) = archive.events_at(partition, position).await?;
            let row = events.row_at(position);
            if row < events.len() && events.position(row) == position {
                found.insert(position, archive.event(partition, &events, row)?.hash);
            }
        }
        Ok(found)
    }

    /// What `live` finds of a room after a version, with what lies before it in archives.
    pub(super) async fn joined<Found>(
        &self,
        key: &RoomKey,
        after: RoomVersion,
        limit: usize,
        live: impl Fn() -> Found,
    ) -> Result<Vec<Envelope>, LogError>
    where
        Found: Future<Output = Result<Vec<Envelope>, LogError>>,
    {
        let mut attempt = 1;
        loop {
            let found = live().await?;
            if limit == 0 || found.first().is_some_and(|first| first.room_version == after + 1) {
                return Ok(found);
            }
            if found.is_empty() && self.room_head(key).await?.is_none_or(|head| head.version <= after) {
                return Ok(found);
            }
            let missing = found.first().map_or(limit as u64, |first| first.room_version - after - 1);
            let wanted = usize::try_from(missing).unwrap_or(limit).min(limit);
            let mut earlier = self.archived_room(key, after, wanted).await?;
            let reached = earlier.last().map_or(after, |last| last.room_version);
            if earlier.len() >= limit || found.first().is_some_and(|first| first.room_version == reached + 1) {
                earlier.extend(found);
                earlier.truncate(limit);
                return Ok(earlier);
            }
            // What came to the room, or left the database, between the two looks shows at the next; else the gap is the log's own.
            if attempt == ATTEMPTS {
                earlier.extend(found);
                earlier.truncate(limit);
                return Ok(earlier);
            }
            if found.is_empty() && !earlier.is_empty() {
                // All that was missing lies in archives, or the rest is asked for next.
                return Ok(earlier);
            }
            attempt += 1;
        }
    }

    async fn archived_room(&self, key: &RoomKey, after: RoomVersion, limit: usize) -> Result<Vec<Envelope>, LogError> {
        let mut found: Vec<Envelope> = Vec::new();
        for partition in self.archived_partitions_of(key).await? {
            if found.len() >= limit {
                break;
            }
            let reached = found.last().map_or(after, |last| last.room_version);
            let archive = self.archive_of(&partition)?;
            found.extend(archive.read_room(&partition, key, reached, limit - found.len()).await?);
        }
        Ok(found)
    }

    /// Those that may hold events of a room, oldest first.
    async fn archived_partitions_of(&self, key: &RoomKey) -> Result<Vec<Arc<ArchivedPartition>>, LogError> {
        let Some(head) = self.room_head(key).await? else { return Ok(Vec::new()) };
        let (first, last) = (head.first_recorded_at.utc(), head.last_recorded_at.utc());
        let partitions = self.partitions.archived(&self.pool).await?;
        Ok(partitions.into_iter().filter(|one| one.to > first && one.from <= last).collect())
    }

    /// Where a room stands at the end of what is archived of it.
    pub async fn archived_end(&self, key: &RoomKey) -> Result<Option<RoomChain>, LogError> {
        for partition in self.archived_partitions_of(key).await?.iter().rev() {
            let spans = self.archive_of(partition)?.spans(partition, key).await?;
            if let Some(last) = spans.last() {
                let position = partition.last_position;
                return Ok(Some(RoomChain { version: last.last_version, position, chain: last.chain }));
            }
        }
        Ok(None)
    }

    pub(super) async fn archived_version_at(&self, key: &RoomKey, at: Timestamp) -> Result<RoomVersion, LogError> {
        let partitions = self.archived_partitions_of(key).await?;
        for partition in partitions.iter().rev().filter(|one| one.from <= at.utc()) {
            if let Some(version) = self.archive_of(partition)?.version_at(partition, key, at).await? {
                return Ok(version);
            }
        }
        Err(LogError::Damaged(format!(
            "the events that room {} had at {at} are neither here nor in an archive",
            key.room
        )))
    }

    pub(super) async fn archived_position_before(&self, at: Timestamp) -> Result<Position, LogError> {
        let partitions = self.partitions.archived(&self.pool).await?;
        match partitions.iter().rfind(|one| one.from < at.utc()) {
            Some(partition) => Ok(self.archive_of(partition)?.position_before(partition, at).await?),
            None => Err(LogError::Damaged(format!("no partition says where {at} lies"))),
        }
    }
}
