//! Reads archives like the log: from a position, a room from a version, the position of a time. Caches footers and recent row
//! groups.

use std::sync::Arc;

use super::archive_file::ArchiveFile;
use super::columns::EventColumns;
use super::spans::{self, RoomSpan};
use super::store::{ArchiveStore, BadArchivePlace};
use super::{ArchiveError, ArchivedPartition, FileRef, GROUP_EVENTS, shape};
use crate::config::ArchiveConfig;
use crate::events::envelope::Envelope;
use crate::events::time::Timestamp;
use crate::ids::{Position, RoomKey, RoomVersion, TenantId};

/// Files whose footers stay in memory; each is some hundred kilobytes.
const OPENED: u64 = 64;
/// Bytes of unpacked row groups that stay in memory.
const UNPACKED: u64 = 96 << 20;
/// Rows of indexes that stay in memory, of about 200 bytes each.
const INDEXED: u64 = 100_000;

/// Cheap to clone; clones share what they have read.
#[derive(Clone)]
pub struct ArchiveReader(Arc<ArchiveInner>);

struct ArchiveInner {
    store: ArchiveStore,
    opened: moka::sync::Cache<String, Arc<ArchiveFile>>,
    events: moka::sync::Cache<(String, usize), Arc<EventColumns>>,
    spans: moka::sync::Cache<(String, usize), Arc<Vec<RoomSpan>>>,
}

impl ArchiveReader {
    /// `None`: no place is configured.
    pub fn configured(config: &ArchiveConfig) -> Result<Option<Self>, BadArchivePlace> {
        Ok(ArchiveStore::configured(config)?.map(Self::new))
    }

    pub fn new(store: ArchiveStore) -> Self {
        let weight = |weight: usize| u32::try_from(weight).unwrap_or(u32::MAX);
        let events = moka::sync::Cache::builder()
            .max_capacity(UNPACKED)
            .weigher(move |_, events: &Arc<EventColumns>| weight(events.weight()));
        let spans = moka::sync::Cache::builder()
            .max_capacity(INDEXED)
            .weigher(move |_, spans: &Arc<Vec<RoomSpan>>| weight(spans.len()));
        Self(Arc::new(ArchiveInner {
            store,
            opened: moka::sync::Cache::new(OPENED),
            events: events.build(),
            spans: spans.build(),
        }))
    }

    pub fn store(&self) -> &ArchiveStore {
        &self.0.store
    }

    /// Up to `limit` events after a position, to the end of the partition at most.
    pub async fn read(
        &self,
        partition: &ArchivedPartition,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Envelope>, ArchiveError> {
        let mut found = Vec::new();
        let mut next = after + 1;
        while found.len() < limit && next <= partition.last_position {
            let (number, events) = self.events_at(partition, next).await?;
            let rows = events.row_at(next)..events.len();
            if rows.is_empty() {
                let what = format!("its row group {number} does not hold position {next}");
                return Err(self.damaged(&partition.events, what));
            }
            for row in rows.take(limit - found.len()) {
                found.push(self.event(partition, &events, row)?);
                next = events.position(row) + 1;
            }
        }
        Ok(found)
    }

    /// Up to `limit` of a tenant's events after a position and up to `through`, inside the partition.
    pub async fn read_tenant(
        &self,
        partition: &ArchivedPartition,
        tenant: &TenantId,
        after: Position,
        through: Position,
        limit: usize,
    ) -> Result<Vec<Envelope>, ArchiveError> {
        let mut found = Vec::new();
        let mut next = after + 1;
        while found.len() < limit && next <= through.min(partition.last_position) {
            let (_, events) = self.events_at(partition, next).await?;
            let rows = events.row_at(next)..events.row_at(through + 1);
            for row in rows.filter(|row| events.is_of_tenant(*row, tenant)).take(limit - found.len()) {
                found.push(self.event(partition, &events, row)?);
            }
            next = self.group_end(partition, next) + 1;
        }
        Ok(found)
    }

    /// Up to `limit` events of a room after a version, to the end of the partition at most.
    pub async fn read_room(
        &self,
        partition: &ArchivedPartition,
        key: &RoomKey,
        after: RoomVersion,
        limit: usize,
    ) -> Result<Vec<Envelope>, ArchiveError> {
        let mut found = Vec::new();
        for span in self.spans(partition, key).await? {
            if span.last_version <= after {
                continue;
            }
            if found.len() >= limit {
                break;
            }
            let events = self.group(&partition.events, span.row_group).await?;
            let rows = (0..events.len()).filter(|row| events.version(*row) > after && events.is_of(*row, key));
            for row in rows.take(limit - found.len()) {
                found.push(self.event(partition, &events, row)?);
            }
        }
        Ok(found)
    }

    /// Where a room has events in a partition, in the order of its versions.
    pub async fn spans(&self, partition: &ArchivedPartition, key: &RoomKey) -> Result<Vec<RoomSpan>, ArchiveError> {
        let opened = self.opened(&partition.rooms, &shape::SPANS).await?;
        let mut found = Vec::new();
        for number in spans::candidates(opened.metadata(), key.room) {
            let group = self.indexed(partition, &opened, number).await?;
            found.extend(group.iter().filter(|span| span.key == *key).cloned());
        }
        Ok(found)
    }

    /// The whole index of a partition, by room.
    pub async fn all_spans(&self, partition: &ArchivedPartition) -> Result<Vec<RoomSpan>, ArchiveError> {
        let opened = self.opened(&partition.rooms, &shape::SPANS).await?;
        let mut found = Vec::new();
        for number in 0..opened.metadata().num_row_groups() {
            found.extend(self.indexed(partition, &opened, number).await?.iter().cloned());
        }
        Ok(found)
    }

    async fn indexed(
        &self,
        partition: &ArchivedPartition,
        opened: &Arc<ArchiveFile>,
        number: usize,
    ) -> Result<Arc<Vec<RoomSpan>>, ArchiveError> {
        let place = (partition.rooms.name.clone(), number);
        if let Some(group) = self.0.spans.get(&place) {
            return Ok(group);
        }
        let group = Arc::new(opened.group(number).await?.unpack(spans::take).await?);
        self.0.spans.insert(place, group.clone());
        Ok(group)
    }

    /// The version that a room had at a time, by what lies in this partition; `None`: it has no event of that time or before.
    pub async fn version_at(
        &self,
        partition: &ArchivedPartition,
        key: &RoomKey,
        at: Timestamp,
    ) -> Result<Option<RoomVersion>, ArchiveError> {
        let spans = self.spans(partition, key).await?;
        let Some(span) = spans.iter().rfind(|span| span.first_recorded_at <= at) else { return Ok(None) };
        if span.last_recorded_at <= at {
            return Ok(Some(span.last_version));
        }
        let events = self.group(&partition.events, span.row_group).await?;
        let until = events.recorded_before(at);
        let not_after = (0..events.len()).skip(until).take_while(|row| events.recorded_at(*row) == at.unix_micros());
        let end = until + not_after.count();
        Ok((0..end).rev().find(|row| events.is_of(*row, key)).map(|row| events.version(row)))
    }

    /// The last position recorded before a time that lies in the partition's, or after it.
    pub async fn position_before(
        &self,
        partition: &ArchivedPartition,
        at: Timestamp,
    ) -> Result<Position, ArchiveError> {
        // By halves over the row groups: what ends before `low` was recorded before the time.
        let (mut low, mut high) = (partition.first_position, partition.last_position + 1);
        while low < high {
            let (_, events) = self.events_at(partition, low + (high - low) / 2).await?;
            let before = events.recorded_before(at);
            if events.is_empty() {
                break;
            } else if before == 0 {
                high = events.position(0);
            } else if before == events.len() {
                low = events.position(before - 1) + 1;
            } else {
                return Ok(events.position(before - 1));
            }
        }
        Ok(low - 1)
    }

    /// The row group that holds a position of the partition.
    pub async fn events_at(
        &self,
        partition: &ArchivedPartition,
        position: Position,
    ) -> Result<(usize, Arc<EventColumns>), ArchiveError> {
        let number = group_of(partition, position);
        Ok((number, self.group(&partition.events, number).await?))
    }

    pub fn event(
        &self,
        partition: &ArchivedPartition,
        events: &EventColumns,
        row: usize,
    ) -> Result<Envelope, ArchiveError> {
        let damaged = |what: String| {
            self.damaged(&partition.events, format!("position {} cannot be read: {what}", events.position(row)))
        };
        events.event(row).map_err(damaged)
    }

    /// The last position of the row group that holds one.
    fn group_end(&self, partition: &ArchivedPartition, position: Position) -> Position {
        let groups = group_of(partition, position) as u64 + 1;
        partition.last_position.min(partition.first_position + groups * GROUP_EVENTS as u64 - 1)
    }

    async fn group(&self, file: &FileRef, number: usize) -> Result<Arc<EventColumns>, ArchiveError> {
        let place = (file.name.clone(), number);
        if let Some(events) = self.0.events.get(&place) {
            return Ok(events);
        }
        let opened = self.opened(file, &shape::EVENTS).await?;
        let events = Arc::new(opened.group(number).await?.unpack(EventColumns::take).await?);
        self.0.events.insert(place, events.clone());
        Ok(events)
    }

    async fn opened(
        &self,
        file: &FileRef,
        schema: &parquet::schema::types::TypePtr,
    ) -> Result<Arc<ArchiveFile>, ArchiveError> {
        if let Some(opened) = self.0.opened.get(&file.name) {
            return Ok(opened);
        }
        let opened = Arc::new(ArchiveFile::open(&self.0.store, file, schema).await?);
        self.0.opened.insert(file.name.clone(), opened.clone());
        Ok(opened)
    }

    fn damaged(&self, file: &FileRef, what: String) -> ArchiveError {
        ArchiveError::Damaged { file: self.0.store.shown(&file.name), what }
    }
}

/// Row groups are full, all but the last.
fn group_of(partition: &ArchivedPartition, position: Position) -> usize {
    let before = position.saturating_sub(partition.first_position) / GROUP_EVENTS as u64;
    usize::try_from(before).unwrap_or(usize::MAX)
}
