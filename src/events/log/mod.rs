//! The event log: a total order of events in PostgreSQL, partitioned by recorded time.
//!
//! Invariants (each has a test in `tests/suite/log*`): positions have no gaps and follow the order of commits; recorded time
//! never goes back; (room, version) is unique and has no gaps across all partitions; events never change. For the reasons of the
//! design see `docs/decisions/0001-the-log.md`.
//!
//! [`append`] writes events, [`read`] reads them, and [`wake`] notifies readers of new ones. [`chain`] and [`verify`] prove that
//! events are unchanged, and [`names`] compares the names of rooms with the events. `archived` reads partitions that left the
//! database, [`snapshots`] stores states of long rooms, and [`partition_status`] and [`maintenance`] create partitions
//! ahead of time. The log does not interpret events, except for names.

pub mod append;
mod archived;
pub mod chain;
pub mod chain_check;
pub mod changes;
pub mod epochs;
mod events_by_version;
mod hashes;
mod heads_and_outcomes;
pub mod import_support;
pub mod maintenance;
pub mod names;
pub mod partition_status;
mod partitions;
pub mod read;
mod rows;
pub mod snapshots;
pub mod verify;
pub mod wake;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

use self::append::Acknowledged;
use super::archive::{ArchiveError, ArchiveReader};
use super::envelope::{Hash, UnreadableEvent};
use super::time::Timestamp;
use crate::database::pool::Pool;
use crate::ids::{Position, RoomKey, RoomVersion};

/// Reads that others wait for, and that nobody may give up in the reader's place, take no longer where anybody answers.
const QUERY_TIMEOUT: Duration = Duration::from_secs(45);

/// The newest end of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHead {
    /// Of the last event; 0: the log is empty.
    pub position: Position,
    /// Of the last event.
    pub recorded_at: Option<Timestamp>,
    /// Which history this is: renewed by `convoke log fence` after a restore that lost events. Part of every cursor.
    pub epoch: Uuid,
}

/// Where a room stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomHead {
    pub version: RoomVersion,
    pub last_position: Position,
    pub first_recorded_at: Timestamp,
    pub last_recorded_at: Timestamp,
    pub chain: Hash,
}

/// Why the log did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("the log's database does not answer: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// Something in a batch cannot be written; nothing of it was.
    #[error("the log's database refuses what is to be written: {0}")]
    Refused(#[source] sqlx::Error),
    #[error("the log has no partition for {at}; run `convoke partition ensure`")]
    NoPartition { at: Timestamp },
    #[error("what the log's database answers cannot be read: {0}")]
    Damaged(String),
    /// Nothing after it can be told either: readers stop here.
    #[error("the row at position {position} cannot be read: {what}")]
    BadRow { position: Position, what: String },
    #[error(transparent)]
    Unreadable(#[from] UnreadableEvent),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl LogError {
    /// Whether it may be otherwise when asked again, without anybody's doing.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Archive(ArchiveError::Unreachable { .. }))
    }
}

impl From<sqlx::Error> for LogError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
                LogError::Damaged(error.to_string())
            }
            other => LogError::Unavailable(other),
        }
    }
}

/// The log. Cheap to clone; clones share their knowledge of partitions and of the head.
#[derive(Clone)]
pub struct EventLog {
    pool: Pool,
    /// Where partitions lie that left the database; `None`: nowhere that this process knows of.
    archive: Option<ArchiveReader>,
    partitions: Arc<partitions::PartitionCatalogue>,
    appender: Arc<append::Appender>,
    /// `None`: nobody in this process follows the log.
    recent_appends: Option<Arc<append::RecentAppends>>,
    head: Arc<watch::Sender<Position>>,
}

impl EventLog {
    /// Over a pool whose connections act as `convoke_system`.
    pub fn new(pool: Pool) -> Self {
        let (head, _) = watch::channel(0);
        Self {
            pool,
            archive: None,
            partitions: Arc::default(),
            appender: Arc::default(),
            recent_appends: None,
            head: Arc::new(head),
        }
    }

    /// The same, reading on in archives.
    pub fn with_archive(self, archive: Option<ArchiveReader>) -> Self {
        Self { archive, ..self }
    }

    /// The same, keeping what this process appends for those in it who follow the end of the log.
    pub fn keeping_appends(self) -> Self {
        Self { recent_appends: Some(Arc::default()), ..self }
    }

    /// The same log over another pool: what one has seen, the other knows.
    pub fn reading_from(&self, pool: Pool) -> Self {
        Self { pool, ..self.clone() }
    }

    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    pub async fn head(&self) -> Result<LogHead, LogError> {
        let (position, recorded_at, epoch): (i64, Option<chrono::DateTime<chrono::Utc>>, Uuid) =
            sqlx::query_as("SELECT position, CASE WHEN position > 0 THEN recorded_at END, epoch FROM convoke.log_head")
                .fetch_one(&self.pool)
                .await?;
        let position = rows::position(position)?;
        self.saw(position);
        Ok(LogHead { position, recorded_at: recorded_at.and_then(Timestamp::new), epoch })
    }

    /// The last position that this process knows of; changes at once on an append of this process, and within milliseconds on
    /// one of another while a [`wake::HeadListener`] runs. A wake-up, not a promise: read to learn what is there.
    pub fn head_watch(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    /// The version up to which this process appended to a room, where it did so behind the position `known`.
    pub fn acknowledged(&self, room: &RoomKey, known: Position) -> Acknowledged {
        self.recent_appends.as_ref().map_or(Acknowledged::Nothing, |own| own.version(room, known))
    }

    /// Whether this process appended to the room lately.
    pub fn appended_lately(&self, room: &RoomKey) -> bool {
        self.recent_appends.as_ref().is_some_and(|own| own.has(room))
    }

    fn saw(&self, position: Position) {
        self.head.send_if_modified(|known| {
            let newer = position > *known;
            if newer {
                *known = position;
            }
            newer
        });
    }
}
