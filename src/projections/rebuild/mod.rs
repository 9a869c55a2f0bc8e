//! Rebuilds read models from the first event, beside the live ones, and either replaces the live ones (a rebuild) or only
//! compares them (a verification).
//!
//! ```text
//! log ─ binary COPY ─► chunks ─ decoded ─┬─► rooms    ─ fold ─ binary COPY ─► rm_rooms__r7, …
//!                                        ├─► sessions ─ fold ─ binary COPY ─► rm_sessions__r7
//!                                        ├─► messages ─ fold ─ binary COPY ─► rm_messages__r7, …
//!                                        └─► …
//! ```
//!
//! All models share one read of the log. A row is written when no later event can change it; other rows are buffered in memory
//! and stored with each transaction (`buffered`). Rows, buffer and position change in one transaction, so a rebuild
//! continues after a crash from its last commit. When the buffer exceeds its limit, all rows are written, and later
//! events read rows back from the new tables.
//!
//! `comparison` compares live and new rows by digest at one position.
//!
//! A swap locks the live checkpoint, folds the missing events, renames the tables and moves the checkpoint, all in one
//! transaction. Queries see either the old or the new tables.

mod buffered;
mod comparison;
mod model_rebuild;
mod pipeline;
mod scan;
mod state;
mod swap;
mod unwritten;

use std::fmt;
use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use comparison::Comparison;
use model_rebuild::{AnyModelRebuild, ModelRebuild, RebuildLimits};
use unwritten::WORTH;

use super::activity::ActivityModel;
use super::messages::MessagesModel;
use super::model::{ModelInfo, ReadModel};
use super::rooms::RoomsModel;
use super::rows::{BadCopy, Digest, SetCapacity, StoreError};
use super::sessions::SessionsModel;
use super::usage::UsageModel;
use crate::database::session;
use crate::events::envelope::UnreadableEvent;
use crate::events::feed::FeedSource;
use crate::events::log::{EventLog, LogError};
use crate::ids::Position;

/// How often the last events are caught up with before a swap gives up on a log that grows faster than it folds.
const CATCH_UPS: usize = 20;

/// What a fresh fold is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebuildPurpose {
    /// It takes the place of the live rows.
    Rebuild,
    /// It is compared with the live rows and dropped.
    Verify,
}

impl RebuildPurpose {
    fn as_str(self) -> &'static str {
        match self {
            RebuildPurpose::Rebuild => "rebuild",
            RebuildPurpose::Verify => "verify",
        }
    }

    /// Begins what ends the names of the tables.
    fn prefix(self) -> &'static str {
        match self {
            RebuildPurpose::Rebuild => "__r",
            RebuildPurpose::Verify => "__v",
        }
    }
}

impl fmt::Display for RebuildPurpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a fresh fold did not come to its end. Its progress is kept, unless said otherwise.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    #[error("another process is at a {purpose} of {name}")]
    Busy { name: &'static str, purpose: RebuildPurpose },
    #[error("another process has taken over the fold of {name}")]
    Replaced { name: &'static str },
    #[error(
        "the fold of {name} stands at position {at}, but the log ends at {end}: events were lost; run `convoke log fence`"
    )]
    Ahead { name: &'static str, at: Position, end: Position },
    #[error("{error}{}", at(*position))]
    Unreadable { position: Option<Position>, error: String },
    #[error(
        "the log gave {found} events between positions {after} and {through}, not each of them; run `convoke log verify`"
    )]
    Gap { after: Position, through: Position, found: u64 },
    #[error(
        "the tables of {name} are in use all the time by long queries; the fold is complete, run again to swap it in"
    )]
    InUse { name: &'static str },
    #[error("the log grows faster than {name} is folded; run again when there is less to do")]
    CannotCatchUp { name: &'static str },
    #[error("stopped; run again to go on from here")]
    Interrupted,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Event(#[from] UnreadableEvent),
    #[error(transparent)]
    Copy(#[from] BadCopy),
}

fn at(position: Option<Position>) -> String {
    position.map(|position| format!(" (position {position})")).unwrap_or_default()
}

impl From<sqlx::Error> for RebuildError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What became of one model.
#[derive(Clone, Debug)]
pub struct RebuildReport {
    pub name: &'static str,
    /// Of the last event folded.
    pub position: Position,
    pub digest: Digest,
    pub comparison: Comparison,
    /// The fresh rows are the live ones now.
    pub swapped: bool,
}

/// What a rebuild is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebuildPhase {
    Folding,
    Indexing,
    Comparing,
    Swapping,
}

/// The progress of a rebuild, for observers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RebuildProgress {
    pub phase: RebuildPhase,
    /// All models have folded up to here.
    pub position: Position,
    pub target: Position,
}

/// Opens connections for bulk work.
#[derive(Clone)]
struct BulkConnector(Arc<PgConnectOptions>);

impl BulkConnector {
    async fn open(&self) -> sqlx::Result<PgConnection> {
        // Statements take long here, as they should.
        let options = (*self.0).clone().disable_statement_logging();
        let mut connection = PgConnection::connect_with(&options).await?;
        connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(session::of_rebuild()))).await?;
        Ok(connection)
    }
}

/// A rebuild or a verification of some models.
pub struct Rebuild {
    log: EventLog,
    /// Read in place of the log's tables.
    source: Option<FeedSource>,
    connect: BulkConnector,
    bounds: RebuildLimits,
    progress: watch::Sender<RebuildProgress>,
}

impl Rebuild {
    /// `batch`: events of one transaction.
    pub fn new(log: EventLog, batch: usize) -> Self {
        let connect = BulkConnector(log.pool().sessions().connect_options());
        let progress = watch::channel(RebuildProgress { phase: RebuildPhase::Folding, position: 0, target: 0 }).0;
        let bounds = RebuildLimits { batch: batch.max(1), kept: SetCapacity::BULK, together: WORTH };
        Self { log, source: None, connect, bounds, progress }
    }

    /// Folds what comes through feeds of the source. Slower than reading the log in bulk, which spares nobody; it shows that the
    /// source has what the log has.
    pub fn reading(mut self, source: FeedSource) -> Self {
        self.source = Some(source);
        self
    }

    /// Keeps at most so many rows of a table in memory: once there are more to hold, all are written and read back where they
    /// are needed.
    pub fn keeping_at_most(mut self, rows: usize) -> Self {
        self.bounds.kept.rows = rows;
        self
    }

    /// Writes rows as soon as there are so many bytes of them.
    pub fn writing_together(mut self, bytes: usize) -> Self {
        self.bounds.together = bytes;
        self
    }

    pub fn progress(&self) -> watch::Receiver<RebuildProgress> {
        self.progress.subscribe()
    }

    /// Runs to the end, or until `stop`; after a stop, the next run continues from the committed position.
    pub async fn run(
        self,
        models: &[ModelInfo],
        purpose: RebuildPurpose,
        stop: &CancellationToken,
    ) -> Result<Vec<RebuildReport>, RebuildError> {
        let mut rebuilds = Vec::with_capacity(models.len());
        for model in models {
            rebuilds.push(self.open(model, purpose).await?);
        }
        for rebuild in &mut rebuilds {
            rebuild.begin_comparison().await?;
        }
        match purpose {
            RebuildPurpose::Rebuild => self.rebuild(rebuilds, stop).await,
            RebuildPurpose::Verify => self.verify(rebuilds, stop).await,
        }
    }

    async fn open(&self, model: &ModelInfo, purpose: RebuildPurpose) -> Result<Box<dyn AnyModelRebuild>, RebuildError> {
        let (connect, log, bounds) = (self.connect.clone(), &self.log, self.bounds);
        Ok(match model.name {
            RoomsModel::NAME => Box::new(ModelRebuild::<RoomsModel>::open(connect, purpose, log, bounds).await?),
            SessionsModel::NAME => Box::new(ModelRebuild::<SessionsModel>::open(connect, purpose, log, bounds).await?),
            ActivityModel::NAME => Box::new(ModelRebuild::<ActivityModel>::open(connect, purpose, log, bounds).await?),
            UsageModel::NAME => Box::new(ModelRebuild::<UsageModel>::open(connect, purpose, log, bounds).await?),
            _ => Box::new(ModelRebuild::<MessagesModel>::open(connect, purpose, log, bounds).await?),
        })
    }

    async fn rebuild(
        &self,
        mut rebuilds: Vec<Box<dyn AnyModelRebuild>>,
        stop: &CancellationToken,
    ) -> Result<Vec<RebuildReport>, RebuildError> {
        rebuilds = self.catch_up(rebuilds, stop).await?;
        self.progress.send_modify(|progress| progress.phase = RebuildPhase::Indexing);
        let finished = rebuilds.iter_mut().map(|rebuild| rebuild.finish());
        futures_util::future::try_join_all(finished).await?;
        self.progress.send_modify(|progress| progress.phase = RebuildPhase::Comparing);
        let mut comparisons = Vec::new();
        for rebuild in &mut rebuilds {
            comparisons.push(rebuild.comparison().await?);
        }
        self.progress.send_modify(|progress| progress.phase = RebuildPhase::Swapping);
        let mut reports = Vec::new();
        for (mut rebuild, comparison) in rebuilds.into_iter().zip(comparisons) {
            rebuild = self.swap(rebuild, stop).await?;
            rebuild.discard().await?;
            reports.push(rebuild_report(&*rebuild, comparison, true));
        }
        Ok(reports)
    }

    async fn swap(
        &self,
        mut rebuild: Box<dyn AnyModelRebuild>,
        stop: &CancellationToken,
    ) -> Result<Box<dyn AnyModelRebuild>, RebuildError> {
        for _ in 0..CATCH_UPS {
            rebuild = self.catch_up(vec![rebuild], stop).await?.pop().ok_or(RebuildError::Interrupted)?;
            if rebuild.swap(&self.log, self.bounds.batch as u64).await? {
                return Ok(rebuild);
            }
        }
        Err(RebuildError::CannotCatchUp { name: rebuild.state().model.name })
    }

    async fn verify(
        &self,
        mut rebuilds: Vec<Box<dyn AnyModelRebuild>>,
        stop: &CancellationToken,
    ) -> Result<Vec<RebuildReport>, RebuildError> {
        let through =
            rebuilds.iter().filter_map(|rebuild| rebuild.state().compared.map(|compared| compared.position)).max();
        if let Some(through) = through {
            rebuilds = self.fold(rebuilds, through, stop).await?;
        }
        self.progress.send_modify(|progress| progress.phase = RebuildPhase::Comparing);
        let mut reports = Vec::new();
        for rebuild in &mut rebuilds {
            let comparison = rebuild.comparison().await?;
            rebuild.discard().await?;
            reports.push(rebuild_report(&**rebuild, comparison, false));
        }
        Ok(reports)
    }

    /// Folds up to the end of the log, until little is missing.
    async fn catch_up(
        &self,
        mut rebuilds: Vec<Box<dyn AnyModelRebuild>>,
        stop: &CancellationToken,
    ) -> Result<Vec<Box<dyn AnyModelRebuild>>, RebuildError> {
        loop {
            let head = self.log.head().await?.position;
            let behind = rebuilds.iter().map(|rebuild| rebuild.state().position).min().unwrap_or(head);
            if behind == head {
                return Ok(rebuilds);
            }
            rebuilds = self.fold(rebuilds, head, stop).await?;
            if head - behind <= self.bounds.batch as u64 {
                return Ok(rebuilds);
            }
        }
    }
}

fn rebuild_report(rebuild: &dyn AnyModelRebuild, comparison: Comparison, swapped: bool) -> RebuildReport {
    let state = rebuild.state();
    RebuildReport { name: state.model.name, position: state.position, digest: state.digest, comparison, swapped }
}
