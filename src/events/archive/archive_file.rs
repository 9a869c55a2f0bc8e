//! A file whose footer was read and proven: its row groups can be fetched, each proven in its turn.

use std::io::Cursor;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::DataType;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::{ChunkReader, Length, RowGroupReader};
use parquet::file::serialized_reader::SerializedRowGroupReader;
use parquet::schema::types::TypePtr;
use sha2::{Digest as _, Sha256};

use super::shape::{self, GROUP_HASHES};
use super::store::ArchiveStore;
use super::{ArchiveError, FileRef};
use crate::events::envelope::Hash;

/// The length of the metadata, and `PAR1`, end a file.
const TAIL: usize = 8;

pub struct ArchiveFile {
    store: ArchiveStore,
    file: FileRef,
    metadata: ParquetMetaData,
    hashes: Vec<Hash>,
}

impl ArchiveFile {
    pub async fn open(store: &ArchiveStore, file: &FileRef, schema: &TypePtr) -> Result<Self, ArchiveError> {
        let footer = store.get(&file.name, file.footer_at..file.size).await?;
        let damaged = |what: String| ArchiveError::Damaged { file: store.shown(&file.name), what };
        if Hash::from(Sha256::digest(&footer)) != file.footer {
            return Err(damaged("its footer is not the one that was written".into()));
        }
        // From here on a fault is a program's that wrote something else, not a disk's.
        let end = footer.len().checked_sub(TAIL).ok_or_else(|| damaged("its footer is too short".into()))?;
        let metadata = ParquetMetaDataReader::decode_metadata(&footer[..end])
            .map_err(|error| damaged(format!("its footer cannot be read: {error}")))?;
        if metadata.file_metadata().schema() != schema.as_ref() {
            return Err(damaged("it has other columns than this program writes".into()));
        }
        let pairs = metadata.file_metadata().key_value_metadata().into_iter().flatten();
        let hashes = pairs.filter(|pair| pair.key == GROUP_HASHES).find_map(|pair| pair.value.as_deref());
        let hashes = hashes.and_then(shape::read_hashes).filter(|hashes| hashes.len() == metadata.num_row_groups());
        let hashes = hashes.ok_or_else(|| damaged("it has no hashes of its row groups".into()))?;
        Ok(Self { store: store.clone(), file: file.clone(), metadata, hashes })
    }

    pub fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }

    /// The bytes of a row group, as they were written.
    pub async fn group(self: &Arc<Self>, number: usize) -> Result<RowGroup, ArchiveError> {
        let Some(metadata) = self.metadata.row_groups().get(number) else {
            return Err(self.damaged(format!("it has no row group {number}")));
        };
        let range = range(metadata);
        let start = range.start;
        let bytes = self.store.get(&self.file.name, range).await?;
        if Hash::from(Sha256::digest(&bytes)) != self.hashes[number] {
            return Err(self.damaged(format!("its row group {number} is not the one that was written")));
        }
        Ok(RowGroup { opened: self.clone(), number, piece: Arc::new(FileRange { start, bytes }) })
    }

    pub fn damaged(&self, what: String) -> ArchiveError {
        ArchiveError::Damaged { file: self.store.shown(&self.file.name), what }
    }
}

/// Where a row group lies in its file: its columns lie one after another.
fn range(group: &RowGroupMetaData) -> Range<u64> {
    let ranges = group.columns().iter().map(|column| column.byte_range());
    let start = ranges.clone().map(|(start, _)| start).min().unwrap_or_default();
    let end = ranges.map(|(start, length)| start + length).max().unwrap_or_default();
    start..end
}

/// A row group in memory, packed.
pub struct RowGroup {
    opened: Arc<ArchiveFile>,
    number: usize,
    piece: Arc<FileRange>,
}

impl RowGroup {
    /// Unpacks it by a function that takes the columns, in their order. Busy for milliseconds: on a thread that may be.
    pub async fn unpack<T: Send + 'static>(
        self,
        take: impl FnOnce(&mut ColumnsIn<'_>) -> ParquetResult<T> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let opened = self.opened.clone();
        let number = self.number;
        let unpacked = tokio::task::spawn_blocking(move || {
            let metadata = &self.opened.metadata.row_groups()[number];
            let properties = Arc::new(ReaderProperties::builder().build());
            let index = self.opened.metadata.page_index_for_row_group(number);
            let group = SerializedRowGroupReader::new(self.piece, metadata, index, properties)?;
            let rows = usize::try_from(metadata.num_rows())?;
            take(&mut ColumnsIn { group: &group, rows, next: 0 })
        });
        match unpacked.await {
            Ok(unpacked) => {
                unpacked.map_err(|error| opened.damaged(format!("its row group {number} cannot be read: {error}")))
            }
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(opened.damaged("the program ends".into())),
        }
    }
}

/// The columns of a row group, taken one after another.
pub struct ColumnsIn<'a> {
    group: &'a dyn RowGroupReader,
    rows: usize,
    next: usize,
}

impl ColumnsIn<'_> {
    pub fn required<T: DataType>(&mut self) -> ParquetResult<Vec<T::T>> {
        let (values, _) = self.take::<T>(false)?;
        if values.len() != self.rows {
            return Err(ParquetError::General(format!("{} of {} values", values.len(), self.rows)));
        }
        Ok(values)
    }

    pub fn optional<T: DataType>(&mut self) -> ParquetResult<Vec<Option<T::T>>> {
        let (values, levels) = self.take::<T>(true)?;
        let mut values = values.into_iter();
        let found: Vec<_> = levels.iter().map(|level| if *level > 0 { values.next() } else { None }).collect();
        if found.len() != self.rows {
            return Err(ParquetError::General(format!("{} of {} values", found.len(), self.rows)));
        }
        Ok(found)
    }

    fn take<T: DataType>(&mut self, optional: bool) -> ParquetResult<(Vec<T::T>, Vec<i16>)> {
        let mut reader = get_typed_column_reader::<T>(self.group.get_column_reader(self.next)?);
        self.next += 1;
        let (mut values, mut levels) = (Vec::with_capacity(self.rows), Vec::new());
        let mut read = 0;
        while read < self.rows {
            let levels = optional.then_some(&mut levels);
            let (records, ..) = reader.read_records(self.rows - read, levels, None, &mut values)?;
            if records == 0 {
                break;
            }
            read += records;
        }
        Ok((values, levels))
    }
}

/// A range of a file, which contains all that is asked of it.
struct FileRange {
    start: u64,
    bytes: Bytes,
}

impl Length for FileRange {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl FileRange {
    fn from(&self, start: u64) -> ParquetResult<usize> {
        let at = start.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        at.filter(|at| *at <= self.bytes.len())
            .ok_or_else(|| ParquetError::EOF(format!("byte {start} lies outside of the row group")))
    }
}

impl ChunkReader for FileRange {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(Cursor::new(self.bytes.slice(self.from(start)?..)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let at = self.from(start)?;
        let end = at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end =
            end.ok_or_else(|| ParquetError::EOF(format!("{length} bytes at {start} end outside of the row group")))?;
        Ok(self.bytes.slice(at..end))
    }
}
