//! Archives old partitions of the log: writes each one to files, reads it back, compares, lists it in the catalogue, and then
//! drops it from the database. A partition stays until every consumer with a position in the log has passed it.
//!
//! ```text
//! plan ─► copy ─► proof ─► kept ─► detach ─► drop        one partition after another, oldest first
//! ```
//!
//! Each step records its end in the catalogue (`convoke.log_archives`) or shows in PostgreSQL's own, so that the next run
//! continues after a crash. It writes an incomplete file again. A lock in the database admits one run at a time. A run needs the
//! rights of the database's owner, because the server's role cannot remove anything from the log.
//!
//! `plan` determines the partitions to archive and what delays them, `copy` writes and verifies the files, `detach` removes a
//! partition while appends continue.

mod catalogue;
mod copy;
mod detach;
mod plan;

use std::time::Duration;

use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use crate::config::FaultPoint;
use crate::events::archive::{ArchiveError, ArchiveReader};
use crate::events::log::verify::ChainFault;
use crate::events::log::{EventLog, LogError};
use crate::events::time::Timestamp;
use crate::ids::Position;
use crate::resilience::fault_injection::FaultInjector;
use detach::DropReason;
pub use plan::{ArchivePlan, LaggingConsumer, PartitionMove};

/// Why a run ended early. What was done stays done.
#[derive(Debug, thiserror::Error)]
pub enum ArchivingError {
    #[error("another process is archiving this log")]
    Busy,
    #[error("stopped; run again to go on from here")]
    Interrupted,
    #[error(
        "the log is not what was written, at position {}: {}; nothing of it is archived until `convoke log verify` finds it whole",
        .0.position, .0.what
    )]
    Broken(ChainFault),
    #[error("what was read back from {file} is not what the log holds: {what}; the partition stays where it is")]
    Differs { file: String, what: String },
    #[error("{role} may not take partitions out of the log: run this as the owner of the database ({cause})")]
    NotOwner { role: String, cause: String },
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
}

/// The steps that a run reports.
#[derive(Clone, Debug)]
pub enum ArchiveStep {
    Writing {
        partition: String,
        done: u64,
        events: u64,
    },
    Comparing {
        partition: String,
        done: u64,
        events: u64,
    },
    /// Waits for transactions that still read the partition.
    Detaching {
        partition: String,
    },
    Moved(MovedPartition),
    /// An old partition that never held an event is gone.
    Emptied {
        partition: String,
    },
}

/// A partition that is archived.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MovedPartition {
    pub partition: String,
    pub first_position: Position,
    pub last_position: Position,
    pub events: u64,
    /// In the database, with its indexes.
    pub bytes_before: u64,
    /// Both files.
    pub bytes: u64,
    pub file: String,
}

/// Archiving of one log.
pub struct LogArchiver {
    /// With the rights of the database's owner.
    owner: PgPool,
    log: EventLog,
    archive: ArchiveReader,
    /// That are read models of this program, and must have begun.
    models: Vec<&'static str>,
    /// The topic that the log is copied to, if it is.
    topic: Option<String>,
    faults: FaultInjector,
}

impl LogArchiver {
    /// `log` reads on in `archive`.
    pub fn new(
        owner: PgPool,
        log: EventLog,
        archive: ArchiveReader,
        topic: Option<String>,
        faults: FaultInjector,
    ) -> Self {
        let models = super::MODELS.iter().map(|model| model.name).collect();
        Self { owner, log, archive, models, topic, faults }
    }

    /// What lies before `before` and would move.
    pub async fn plan(&self, before: Timestamp) -> Result<ArchivePlan, ArchivingError> {
        plan::plan(&self.owner, &self.models, self.topic.as_deref(), before).await
    }

    /// Moves what the plan says, as far as nothing stands in the way.
    pub async fn run(
        &self,
        before: Timestamp,
        observe: &mut (dyn FnMut(ArchiveStep) + Send),
        stop: &CancellationToken,
    ) -> Result<ArchivePlan, ArchivingError> {
        let lock = ArchiveLock::take(&self.owner).await?;
        let ended = self.move_all(before, observe, stop).await;
        lock.release().await;
        ended
    }

    async fn move_all(
        &self,
        before: Timestamp,
        observe: &mut (dyn FnMut(ArchiveStep) + Send),
        stop: &CancellationToken,
    ) -> Result<ArchivePlan, ArchivingError> {
        // What an earlier run took out of the log already.
        self.finish_dropping(observe).await?;
        let plan = self.plan(before).await?;
        for partition in &plan.empty {
            self.detach(partition, DropReason::Empty, observe, stop).await?;
            observe(ArchiveStep::Emptied { partition: partition.clone() });
        }
        for moving in &plan.moves {
            if stop.is_cancelled() {
                return Err(ArchivingError::Interrupted);
            }
            let moved = self.keep(moving, observe, stop).await?;
            // It took a while: whoever keeps a place may have gone back meanwhile, by a restore.
            let again = self.plan(before).await?;
            if !again.allows(moving) {
                return Ok(again);
            }
            self.detach(&moving.partition, DropReason::Archived, observe, stop).await?;
            observe(ArchiveStep::Moved(moved));
        }
        Ok(plan)
    }

    /// Writes a partition's files and proves them, unless an earlier run did.
    async fn keep(
        &self,
        moving: &PartitionMove,
        observe: &mut (dyn FnMut(ArchiveStep) + Send),
        stop: &CancellationToken,
    ) -> Result<MovedPartition, ArchivingError> {
        if let Some(kept) = catalogue::kept(&self.owner, &self.archive, &moving.partition).await? {
            return Ok(kept);
        }
        for leftover in catalogue::leftovers(&self.owner, &moving.partition).await? {
            self.archive.store().remove(&leftover).await?;
        }
        let names = catalogue::begin(&self.owner, moving).await?;
        let copied = copy::copy(self, moving, &names, observe, stop).await?;
        catalogue::keep(&self.owner, moving, &copied).await?;
        self.faults.pass(FaultPoint::ArchiveKept);
        let kept = catalogue::kept(&self.owner, &self.archive, &moving.partition).await?;
        kept.ok_or_else(|| LogError::Damaged(format!("the catalogue forgot {}", moving.partition)).into())
    }

    async fn finish_dropping(&self, observe: &mut (dyn FnMut(ArchiveStep) + Send)) -> Result<(), ArchivingError> {
        for partition in catalogue::half_dropped(&self.owner).await? {
            detach::drop_detached(&self.owner, &partition, DropReason::Archived).await?;
            let kept = catalogue::kept(&self.owner, &self.archive, &partition).await?;
            if let Some(kept) = kept {
                observe(ArchiveStep::Moved(kept));
            }
        }
        Ok(())
    }

    async fn detach(
        &self,
        partition: &str,
        leaving: DropReason,
        observe: &mut (dyn FnMut(ArchiveStep) + Send),
        stop: &CancellationToken,
    ) -> Result<(), ArchivingError> {
        observe(ArchiveStep::Detaching { partition: partition.to_owned() });
        detach::detach(&self.owner, partition, stop).await?;
        self.faults.pass(FaultPoint::ArchiveDetached);
        detach::drop_detached(&self.owner, partition, leaving).await?;
        self.faults.pass(FaultPoint::ArchiveDropped);
        Ok(())
    }
}

/// One process at a time archives a log.
struct ArchiveLock {
    /// The lock ends with it.
    connection: PgConnection,
}

impl ArchiveLock {
    async fn take(owner: &PgPool) -> Result<Self, ArchivingError> {
        let mut connection = owner.connect_options().connect().await?;
        let mine: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended('convoke.archive', 0))")
            .fetch_one(&mut connection)
            .await?;
        if mine { Ok(Self { connection }) } else { Err(ArchivingError::Busy) }
    }

    async fn release(self) {
        // Its server ends it too, a little later.
        let _ = self.connection.close().await;
    }
}

/// Retention as the time before which a partition must end.
pub fn before(now: Timestamp, retention: Duration) -> Timestamp {
    now.plus_seconds(-i64::try_from(retention.as_secs()).unwrap_or(i64::MAX))
}
