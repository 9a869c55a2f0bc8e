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
//! and stored with each transaction (`held`). Rows, buffer and position change in one transaction, so a rebuild continues after a
//! crash from its last commit. When the buffer exceeds its limit, all rows are written, and later events read rows back from the
//! new tables.
//!
//! `comparison` compares live and new rows by digest at one position.
//!
//! A swap locks the live checkpoint, folds the missing events, renames the tables and moves the checkpoint, all in one
//! transaction. Queries see either the old or the new tables.

mod comparison;
mod held;
mod lane;
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
use lane::{Bounds, Lane, ModelLane};
use unwritten::WORTH;

use super::activity::Activity;
use super::messages::Messages;
use super::model::{ModelInfo, ReadModel};
use super::rooms::Rooms;
use super::rows::{BadCopy, Capacity, Digest, StoreError};
use super::sessions::Sessions;
use super::usage::Usage;
use crate::database::session;
use crate::events::envelope::UnreadableEvent;
use crate::events::feed::Source;
use crate::events::log::{EventLog, LogError};
use crate::ids::Position;

/// How often the last events are caught up with before a swap gives up on a log that grows faster than it folds.
const CATCH_UPS: usize = 20;

/// What a fresh fold is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It takes the place of the live rows.
    Rebuild,
    /// It is compared with the live rows and dropped.
    Verify,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Purpose::Rebuild => "rebuild",
            Purpose::Verify => "verify",
        }
    }

    /// Begins what ends the names of the tables.
    fn prefix(self) -> &'static str {
        match self {
            Purpose::Rebuild => "__r",
            Purpose::Verify => "__v",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a fresh fold did not come to its end. Its progress is kept, unless said otherwise.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    #[error("another process is at a {purpose} of {name}")]
    Busy { name: &'static str, purpose: Purpose },
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
pub struct Report {
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
pub enum Phase {
    Folding,
    Indexing,
    Comparing,
    Swapping,
}

/// The progress of a rebuild, for observers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub phase: Phase,
    /// All models have folded up to here.
    pub position: Position,
    pub target: Position,
}

/// Opens connections for bulk work.
#[derive(Clone)]
struct Connect(Arc<PgConnectOptions>);

impl Connect {
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
    source: Option<Source>,
    connect: Connect,
    bounds: Bounds,
    progress: watch::Sender<Progress>,
}

impl Rebuild {
    /// `batch`: events of one transaction.
    pub fn new(log: EventLog, batch: usize) -> Self {
        let connect = Connect(log.pool().sessions().connect_options());
        let progress = watch::channel(Progress { phase: Phase::Folding, position: 0, target: 0 }).0;
        let bounds = Bounds { batch: batch.max(1), kept: Capacity::BULK, together: WORTH };
        Self { log, source: None, connect, bounds, progress }
    }

    /// Folds what comes through feeds of the source. Slower than reading the log in bulk, which spares nobody; it shows that the
    /// source has what the log has.
    pub fn reading(mut self, source: Source) -> Self {
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

    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Runs to the end, or until `stop`; after a stop, the next run continues from the committed position.
    pub async fn run(
        self,
        models: &[ModelInfo],
        purpose: Purpose,
        stop: &CancellationToken,
    ) -> Result<Vec<Report>, RebuildError> {
        let mut lanes = Vec::with_capacity(models.len());
        for model in models {
            lanes.push(self.open(model, purpose).await?);
        }
        for lane in &mut lanes {
            lane.begin_comparison().await?;
        }
        match purpose {
            Purpose::Rebuild => self.rebuild(lanes, stop).await,
            Purpose::Verify => self.verify(lanes, stop).await,
        }
    }

    async fn open(&self, model: &ModelInfo, purpose: Purpose) -> Result<Box<dyn Lane>, RebuildError> {
        let (connect, log, bounds) = (self.connect.clone(), &self.log, self.bounds);
        Ok(match model.name {
            Rooms::NAME => Box::new(ModelLane::<Rooms>::open(connect, purpose, log, bounds).await?),
            Sessions::NAME => Box::new(ModelLane::<Sessions>::open(connect, purpose, log, bounds).await?),
            Activity::NAME => Box::new(ModelLane::<Activity>::open(connect, purpose, log, bounds).await?),
            Usage::NAME => Box::new(ModelLane::<Usage>::open(connect, purpose, log, bounds).await?),
            _ => Box::new(ModelLane::<Messages>::open(connect, purpose, log, bounds).await?),
        })
    }

    async fn rebuild(
        &self,
        mut lanes: Vec<Box<dyn Lane>>,
        stop: &CancellationToken,
    ) -> Result<Vec<Report>, RebuildError> {
        lanes = self.catch_up(lanes, stop).await?;
        self.progress.send_modify(|progress| progress.phase = Phase::Indexing);
        let finished = lanes.iter_mut().map(|lane| lane.finish());
        futures_util::future::try_join_all(finished).await?;
        self.progress.send_modify(|progress| progress.phase = Phase::Comparing);
        let mut comparisons = Vec::new();
        for lane in &mut lanes {
            comparisons.push(lane.comparison().await?);
        }
        self.progress.send_modify(|progress| progress.phase = Phase::Swapping);
        let mut reports = Vec::new();
        for (mut lane, comparison) in lanes.into_iter().zip(comparisons) {
            lane = self.swap(lane, stop).await?;
            lane.discard().await?;
            reports.push(report(&*lane, comparison, true));
        }
        Ok(reports)
    }

    async fn swap(&self, mut lane: Box<dyn Lane>, stop: &CancellationToken) -> Result<Box<dyn Lane>, RebuildError> {
        for _ in 0..CATCH_UPS {
            lane = self.catch_up(vec![lane], stop).await?.pop().ok_or(RebuildError::Interrupted)?;
            if lane.swap(&self.log, self.bounds.batch as u64).await? {
                return Ok(lane);
            }
        }
        Err(RebuildError::CannotCatchUp { name: lane.fresh().model.name })
    }

    async fn verify(
        &self,
        mut lanes: Vec<Box<dyn Lane>>,
        stop: &CancellationToken,
    ) -> Result<Vec<Report>, RebuildError> {
        let through = lanes.iter().filter_map(|lane| lane.fresh().compared.map(|compared| compared.position)).max();
        if let Some(through) = through {
            lanes = self.fold(lanes, through, stop).await?;
        }
        self.progress.send_modify(|progress| progress.phase = Phase::Comparing);
        let mut reports = Vec::new();
        for lane in &mut lanes {
            let comparison = lane.comparison().await?;
            lane.discard().await?;
            reports.push(report(&**lane, comparison, false));
        }
        Ok(reports)
    }

    /// Folds up to the end of the log, until little is missing.
    async fn catch_up(
        &self,
        mut lanes: Vec<Box<dyn Lane>>,
        stop: &CancellationToken,
    ) -> Result<Vec<Box<dyn Lane>>, RebuildError> {
        loop {
            let head = self.log.head().await?.position;
            let behind = lanes.iter().map(|lane| lane.fresh().position).min().unwrap_or(head);
            if behind == head {
                return Ok(lanes);
            }
            lanes = self.fold(lanes, head, stop).await?;
            if head - behind <= self.bounds.batch as u64 {
                return Ok(lanes);
            }
        }
    }
}

fn report(lane: &dyn Lane, comparison: Comparison, swapped: bool) -> Report {
    let fresh = lane.fresh();
    Report { name: fresh.model.name, position: fresh.position, digest: fresh.digest, comparison, swapped }
}
