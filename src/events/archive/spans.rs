//! The index of rooms: the row groups of an archive with events of a room, and their versions. Sorted by room, so that a look-up
//! decompresses one of its row groups.

use bytes::Bytes;
use parquet::data_type::{ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use uuid::Uuid;

use super::archive_file::ColumnsIn;
use super::store::ArchiveStore;
use super::writing::{ArchiveWriter, ColumnsOut};
use super::{ArchiveError, FileRef, shape};
use crate::events::envelope::{Envelope, Hash};
use crate::events::time::Timestamp;
use crate::ids::{RoomId, RoomKey, RoomVersion, TenantId};

/// Rows of a row group of the index.
const GROUP_SPANS: usize = 4_096;

/// The events of a room in one row group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomSpan {
    pub key: RoomKey,
    pub row_group: usize,
    pub first_version: RoomVersion,
    pub last_version: RoomVersion,
    pub first_recorded_at: Timestamp,
    pub last_recorded_at: Timestamp,
    /// The room's chain after the last of them: the verification of the following events begins with it.
    pub chain: Hash,
}

impl RoomSpan {
    /// Of an event, the first of its room in the row group.
    pub fn begun_by(event: &Envelope, row_group: usize, chain: Hash) -> Self {
        Self {
            key: RoomKey { tenant: event.tenant.clone(), room: event.room },
            row_group,
            first_version: event.room_version,
            last_version: event.room_version,
            first_recorded_at: event.recorded_at,
            last_recorded_at: event.recorded_at,
            chain,
        }
    }

    pub fn goes_on_with(&mut self, event: &Envelope, chain: Hash) {
        self.last_version = event.room_version;
        self.last_recorded_at = event.recorded_at;
        self.chain = chain;
    }
}

/// Writes the index of an archive.
pub async fn write(store: &ArchiveStore, name: &str, mut spans: Vec<RoomSpan>) -> Result<FileRef, ArchiveError> {
    spans.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
    let mut writer = ArchiveWriter::begin(store, name, &shape::SPANS, shape::spans_properties()).await?;
    let mut spans = spans.into_iter();
    loop {
        let group: Vec<_> = spans.by_ref().take(GROUP_SPANS).collect();
        if group.is_empty() {
            return writer.finish().await;
        }
        writer.group(move |columns| give(columns, &group)).await?;
    }
}

fn order(span: &RoomSpan) -> (Uuid, &str, usize) {
    (span.key.room.uuid(), span.key.tenant.as_str(), span.row_group)
}

fn give(columns: &mut ColumnsOut<'_, '_>, spans: &[RoomSpan]) -> ParquetResult<()> {
    let fixed = |bytes: &[u8]| FixedLenByteArray::from(ByteArray::from(Bytes::copy_from_slice(bytes)));
    columns.required::<FixedLenByteArrayType>(spans.iter().map(|span| fixed(span.key.room.uuid().as_bytes())))?;
    columns.required::<ByteArrayType>(spans.iter().map(|span| ByteArray::from(span.key.tenant.as_str())))?;
    columns.required::<Int32Type>(spans.iter().map(|span| span.row_group as i32))?;
    columns.required::<Int64Type>(spans.iter().map(|span| span.first_version.cast_signed()))?;
    columns.required::<Int64Type>(spans.iter().map(|span| span.last_version.cast_signed()))?;
    columns.required::<Int64Type>(spans.iter().map(|span| span.first_recorded_at.unix_micros()))?;
    columns.required::<Int64Type>(spans.iter().map(|span| span.last_recorded_at.unix_micros()))?;
    columns.required::<FixedLenByteArrayType>(spans.iter().map(|span| fixed(&span.chain)))
}

/// The rows of a row group of the index.
pub fn take(columns: &mut ColumnsIn<'_>) -> ParquetResult<Vec<RoomSpan>> {
    let rooms = columns.required::<FixedLenByteArrayType>()?;
    let tenants = columns.required::<ByteArrayType>()?;
    let row_groups = columns.required::<Int32Type>()?;
    let first_versions = columns.required::<Int64Type>()?;
    let last_versions = columns.required::<Int64Type>()?;
    let first_times = columns.required::<Int64Type>()?;
    let last_times = columns.required::<Int64Type>()?;
    let chains = columns.required::<FixedLenByteArrayType>()?;
    let time = |micros: i64| Timestamp::from_unix_micros(micros).ok_or_else(|| odd(&"a time out of range"));
    (0..rooms.len())
        .map(|row| {
            let tenant = std::str::from_utf8(tenants[row].data()).map_err(|error| odd(&error))?;
            let tenant = TenantId::new(tenant).map_err(|error| odd(&error))?;
            let room = Uuid::from_slice(rooms[row].data()).map_err(|error| odd(&error))?;
            Ok(RoomSpan {
                key: RoomKey { tenant, room: RoomId::from_uuid(room) },
                row_group: usize::try_from(row_groups[row]).map_err(|error| odd(&error))?,
                first_version: first_versions[row].cast_unsigned(),
                last_version: last_versions[row].cast_unsigned(),
                first_recorded_at: time(first_times[row])?,
                last_recorded_at: time(last_times[row])?,
                chain: chains[row].data().try_into().map_err(|error| odd(&error))?,
            })
        })
        .collect()
}

fn odd(what: &dyn std::fmt::Display) -> ParquetError {
    ParquetError::General(what.to_string())
}

/// The row groups of an index that may tell of a room, by their least and greatest room.
pub fn candidates(metadata: &ParquetMetaData, room: RoomId) -> Vec<usize> {
    let room = room.uuid();
    let may = |statistics: &Statistics| {
        let (Some(least), Some(most)) = (statistics.min_bytes_opt(), statistics.max_bytes_opt()) else { return true };
        least <= room.as_bytes().as_slice() && room.as_bytes().as_slice() <= most
    };
    let groups = metadata.row_groups().iter().enumerate();
    groups.filter(|(_, group)| group.column(0).statistics().is_none_or(may)).map(|(number, _)| number).collect()
}
