//! Archives: partitions of the log that left PostgreSQL, as Parquet files in a folder or an object store. Readers of the log read
//! them transparently.
//!
//! A partition becomes two files. `….events.parquet` holds its events in the order of their positions, in row groups of
//! [`GROUP_EVENTS`]; `….rooms.parquet` maps each room to the row groups with its events ([`spans`]). [`shape`] defines the
//! columns, [`writing`] writes and [`archive_file`] reads them, and [`store`] knows their location. Other tools can
//! read the files.
//!
//! Every read is verified: the catalogue in PostgreSQL has the hash of a file's footer, and the footer has the hash of each row
//! group. A changed byte is an error that names the file, never a wrong result.

pub mod archive_file;
pub mod columns;
pub mod reading;
pub mod shape;
pub mod spans;
pub mod store;
pub mod writing;

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::envelope::Hash;
use crate::ids::Position;
pub use reading::ArchiveReader;

/// Events in a row group, all but the last: a megabyte or so when packed, a few milliseconds to unpack.
pub const GROUP_EVENTS: usize = 8_192;

/// A file as the catalogue knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRef {
    /// Below the place of all archives.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Where the footer begins.
    pub footer_at: u64,
    /// SHA-256 of the footer.
    pub footer: Hash,
}

/// A partition that lies in an archive.
#[derive(Debug, PartialEq, Eq)]
pub struct ArchivedPartition {
    pub name: String,
    pub first_position: Position,
    pub last_position: Position,
    pub from: DateTime<Utc>,
    /// Exclusive.
    pub to: DateTime<Utc>,
    pub events: FileRef,
    pub rooms: FileRef,
}

/// Why an archive was not read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error(
        "partition {partition} of the log lies in an archive, and this process does not know where archives are: set \
         CONVOKE_ARCHIVE_URL as it is for the others"
    )]
    NotConfigured { partition: String },
    #[error("the archive file {file} is not there: bring it back from a copy of the archive")]
    Missing { file: String },
    #[error("the archive file {file} is damaged ({what}): bring it back from a copy of the archive")]
    Damaged { file: String, what: String },
    #[error("the archive file {file} cannot be reached: {cause}")]
    Unreachable { file: String, cause: Arc<str> },
}

impl ArchiveError {
    /// Of the file that is at fault, or of the partition that should be in one.
    pub fn file_name(&self) -> &str {
        match self {
            Self::NotConfigured { partition } => partition,
            Self::Missing { file } | Self::Damaged { file, .. } | Self::Unreachable { file, .. } => {
                file.rsplit('/').next().unwrap_or(file)
            }
        }
    }
}
