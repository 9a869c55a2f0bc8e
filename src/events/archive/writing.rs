//! Writing a file, row group by row group, so that a partition of any size passes through a bounded memory.

use bytes::Bytes;
use object_store::buffered::BufWriter;
use parquet::data_type::DataType;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::TypePtr;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use super::shape::{self, GROUP_HASHES};
use super::store::ArchiveStore;
use super::{ArchiveError, FileRef};

/// A file on its way. Dropped before [`ArchiveWriter::finish`], it is not there.
pub struct ArchiveWriter {
    store: ArchiveStore,
    name: String,
    upload: BufWriter,
    /// Packs into memory, from where each row group is taken.
    packing: Option<SerializedFileWriter<Vec<u8>>>,
    hashes: Vec<[u8; 32]>,
    written: u64,
}

impl ArchiveWriter {
    pub async fn begin(
        store: &ArchiveStore,
        name: &str,
        schema: &TypePtr,
        properties: WriterProperties,
    ) -> Result<Self, ArchiveError> {
        let upload = store.put(name);
        let (store, name) = (store.clone(), name.to_owned());
        let packing = SerializedFileWriter::new(Vec::new(), schema.clone(), properties.into());
        let mut writer = Self { store, name, upload, packing: None, hashes: Vec::new(), written: 0 };
        let mut packing = packing.map_err(|error| writer.unpackable(&error))?;
        let magic = taken(&mut packing).map_err(|error| writer.unpackable(&error))?;
        writer.packing = Some(packing);
        writer.send(magic).await?;
        Ok(writer)
    }

    /// One more row group, whose columns are given in their order.
    pub async fn group(
        &mut self,
        give: impl FnOnce(&mut ColumnsOut<'_, '_>) -> ParquetResult<()> + Send + 'static,
    ) -> Result<(), ArchiveError> {
        let bytes = self
            .pack(move |packing| {
                let mut group = packing.next_row_group()?;
                give(&mut ColumnsOut(&mut group))?;
                group.close()?;
                taken(packing)
            })
            .await?;
        self.hashes.push(Sha256::digest(&bytes).into());
        self.send(bytes).await
    }

    /// When this returns, the file is there and outlives a loss of power.
    pub async fn finish(mut self) -> Result<FileRef, ArchiveError> {
        let hashes = shape::write_hashes(&self.hashes);
        let footer = self
            .pack(move |packing| {
                packing.append_key_value_metadata(KeyValue::new(GROUP_HASHES.to_owned(), hashes));
                packing.finish()?;
                taken(packing)
            })
            .await?;
        let (footer_at, hash) = (self.written, Sha256::digest(&footer).into());
        self.send(footer).await?;
        self.upload.shutdown().await.map_err(|error| self.unreachable(&error))?;
        Ok(FileRef { name: self.name, size: self.written, footer_at, footer: hash })
    }

    /// Packs on a thread that may be busy.
    async fn pack<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut SerializedFileWriter<Vec<u8>>) -> ParquetResult<T> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let mut packing = self.packing.take().ok_or_else(|| self.unpackable(&"an earlier row group failed"))?;
        let packed = tokio::task::spawn_blocking(move || work(&mut packing).map(|packed| (packing, packed)));
        match packed.await {
            Ok(Ok((packing, packed))) => {
                self.packing = Some(packing);
                Ok(packed)
            }
            Ok(Err(error)) => Err(self.unpackable(&error)),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(self.unpackable(&"the program ends")),
        }
    }

    async fn send(&mut self, bytes: Vec<u8>) -> Result<(), ArchiveError> {
        self.written += bytes.len() as u64;
        let sent = self.upload.put(Bytes::from(bytes)).await;
        sent.map_err(|error| self.store.failed(&self.name, error))
    }

    fn unpackable(&self, what: &dyn std::fmt::Display) -> ArchiveError {
        ArchiveError::Damaged { file: self.store.shown(&self.name), what: format!("it cannot be written: {what}") }
    }

    fn unreachable(&self, error: &std::io::Error) -> ArchiveError {
        ArchiveError::Unreachable { file: self.store.shown(&self.name), cause: error.to_string().into() }
    }
}

/// What was packed since the last time. The library has a buffer of its own before ours.
fn taken(packing: &mut SerializedFileWriter<Vec<u8>>) -> ParquetResult<Vec<u8>> {
    packing.flush()?;
    Ok(std::mem::take(packing.inner_mut()))
}

/// The columns of a row group, given one after another.
pub struct ColumnsOut<'a, 'b>(&'a mut SerializedRowGroupWriter<'b, Vec<u8>>);

impl ColumnsOut<'_, '_> {
    pub fn required<T: DataType>(&mut self, values: impl Iterator<Item = T::T>) -> ParquetResult<()> {
        self.column::<T>(&values.collect::<Vec<_>>(), None)
    }

    pub fn optional<T: DataType>(&mut self, values: impl Iterator<Item = Option<T::T>>) -> ParquetResult<()> {
        let mut levels = Vec::new();
        let present = values.inspect(|value| levels.push(i16::from(value.is_some()))).flatten();
        let present: Vec<_> = present.collect();
        self.column::<T>(&present, Some(&levels))
    }

    fn column<T: DataType>(&mut self, values: &[T::T], levels: Option<&[i16]>) -> ParquetResult<()> {
        let column = self.0.next_column()?;
        let mut column = column.ok_or_else(|| ParquetError::General("there is no such column".into()))?;
        column.typed::<T>().write_batch(values, levels, None)?;
        column.close()
    }
}
