//! The worker of a read model: reads the events after the checkpoint, folds them, and writes rows and checkpoint in one
//! transaction.
//!
//! Any number of processes may run a worker for a model; an advisory lock admits one at a time. Lock and writes share a
//! connection, so a worker that loses the lock cannot write. In addition, the checkpoint changes by compare-and-set.
//!
//! Commits do not wait for the disk. A crash of the database loses rows together with their checkpoint, and the worker folds the
//! events again.

use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use log::LevelFilter;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::progress::{ModelProgress, ProjectionProgress};
use super::shared_log_reader::SharedLogReader;
use crate::database::lease::pause;
use crate::database::session;
use crate::database::timeout::with_timeout;
use crate::events::log::LogError;
use crate::projections::apply;
use crate::projections::checkpoint::{self, Checkpoint, CheckpointStep, ModelStatus, ProjectionFault};
use crate::projections::decoded_event::DecodedEvent;
use crate::projections::model::{ModelInfo, ReadModel};
use crate::projections::retention_filter::RetentionFilter;
use crate::projections::rows::{StoreError, TableSet};
use crate::telemetry::metrics::Metrics;

/// Between two attempts to become the worker, and after a failure of the database.
const RETRY: Duration = Duration::from_millis(250);
/// How often a worker with nothing to do looks whether it still is the worker.
const CHECK: Duration = Duration::from_secs(1);
/// From one commit to the next while events keep coming and nobody waits, at least and at most: what changes again meanwhile is
/// written once.
const GATHER: RangeInclusive<Duration> = Duration::from_millis(25)..=Duration::from_millis(250);
/// A worker rests for so many times as long as it worked, within [`GATHER`]: the more there is to do, the more is done at once.
const REST: u32 = 9;
/// Statements that take longer are logged as slow.
const SLOW: Duration = Duration::from_secs(2);
/// Of any one statement.
const STATEMENT: Duration = Duration::from_secs(60);
/// Of a batch, which is a few statements. Beyond it the server has fallen silent.
const BATCH_TIMEOUT: Duration = Duration::from_secs(90);
/// The same of events that are read.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The same where next to nothing is asked.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a worker released its model.
enum WorkerEnd {
    /// It was asked to.
    Stopped,
    /// The checkpoint is no longer as this worker left it: begin again from what it says now.
    Replaced,
    /// The rows are of a newer program, which is to work on them.
    Newer,
}

#[derive(Debug, thiserror::Error)]
enum WorkError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] LogError),
}

impl From<sqlx::Error> for WorkError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

pub struct ModelWorker<M> {
    reader: Arc<SharedLogReader>,
    progress: ProjectionProgress,
    metrics: Metrics,
    /// Most events in one transaction.
    batch: usize,
    model: PhantomData<fn() -> M>,
}

/// What became of a read of the log.
enum WorkStep {
    All {
        caught_up: bool,
    },
    /// Nothing yet: to be tried with fewer events.
    Fewer,
    /// There was nothing.
    Nothing,
    Replaced,
    Fault(ProjectionFault),
}

/// What a worker has while it has the model.
struct WorkerState<M> {
    model: M,
    filter: RetentionFilter,
    checkpoint: Checkpoint,
    /// Most events in the next transaction: fewer where one of them is being looked for.
    limit: usize,
}

impl<M: ReadModel> ModelWorker<M> {
    pub fn new(reader: Arc<SharedLogReader>, progress: ProjectionProgress, metrics: Metrics, batch: usize) -> Self {
        Self { reader, progress, metrics, batch: batch.max(1), model: PhantomData }
    }

    /// Works until told to stop. Rides out a lost database.
    pub async fn run(self, stop: CancellationToken) {
        let mut failing = false;
        loop {
            match self.serve(&stop, &mut failing).await {
                Ok(()) => return,
                Err(error) => self.failed(&error, &mut failing),
            }
            if !pause(RETRY, &stop).await {
                return;
            }
        }
    }

    fn failed(&self, error: &WorkError, failing: &mut bool) {
        if let Some(progress) = self.progress.of(M::NAME) {
            progress.forget();
        }
        if !*failing {
            tracing::warn!(projection = M::NAME, %error, "projection failed, retrying");
        }
        *failing = true;
    }

    /// One connection's life.
    async fn serve(&self, stop: &CancellationToken, failing: &mut bool) -> Result<(), WorkError> {
        let Some(progress) = self.progress.of(M::NAME) else { return Ok(()) };
        let mut connection = self.connect().await?;
        while elect(&mut connection, M::NAME, stop).await? {
            let here = LocalWorkerGuard::new(progress);
            let end = loop {
                match self.follow(&mut connection, progress, stop, failing).await? {
                    WorkerEnd::Replaced => {}
                    end => break end,
                }
            };
            drop(here);
            if matches!(end, WorkerEnd::Stopped) {
                return Ok(());
            }
            with_timeout(QUERY_TIMEOUT, connection.execute("SELECT pg_advisory_unlock_all()")).await?;
            if !pause(CHECK, stop).await {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        // A batch is as large as may be: it is slow when it takes far longer than what others wait for.
        let options = (*self.reader.log().pool().sessions().connect_options())
            .clone()
            .log_slow_statements(LevelFilter::Warn, SLOW);
        let mut connection = with_timeout(QUERY_TIMEOUT, PgConnection::connect_with(&options)).await?;
        let prepare = session::of_worker(STATEMENT);
        with_timeout(QUERY_TIMEOUT, connection.execute(sqlx::raw_sql(AssertSqlSafe(prepare)))).await?;
        Ok(connection)
    }

    /// Follows the log for as long as the checkpoint is this worker's.
    async fn follow(
        &self,
        connection: &mut PgConnection,
        progress: &ModelProgress,
        stop: &CancellationToken,
        failing: &mut bool,
    ) -> Result<WorkerEnd, WorkError> {
        let model = ModelInfo::of::<M>();
        let checkpoint = with_timeout(BATCH_TIMEOUT, Checkpoint::claim(connection, &model, Uuid::new_v4())).await?;
        if checkpoint.shape > i32::from(M::SHAPE) {
            return Ok(WorkerEnd::Newer);
        }
        let filter = with_timeout(QUERY_TIMEOUT, RetentionFilter::of(connection, M::NAME)).await?;
        let mut state = WorkerState { model: M::default(), filter, checkpoint, limit: self.batch };
        match &state.checkpoint.status {
            ModelStatus::Running => progress.moved(state.checkpoint.position),
            ModelStatus::Stopped { error, .. } => progress.stopped(state.checkpoint.position, error),
        }
        self.metrics.projection_stopped(M::NAME, false);
        if let Some(why) = with_timeout(QUERY_TIMEOUT, self.unfit(&state.checkpoint)).await? {
            return self
                .halt(connection, progress, &state.checkpoint, ProjectionFault { position: None, error: why }, stop)
                .await;
        }
        let mut grown = self.reader.grown();
        while !stop.is_cancelled() {
            grown.borrow_and_update();
            let began = Instant::now();
            let batch = with_timeout(READ_TIMEOUT, self.reader.read(state.checkpoint.position, state.limit)).await?;
            let step = match batch.entries() {
                [] => batch.fault().cloned().map_or(WorkStep::Nothing, WorkStep::Fault),
                entries => with_timeout(BATCH_TIMEOUT, self.take(connection, &mut state, entries)).await?,
            };
            match step {
                WorkStep::All { caught_up } => {
                    *failing = false;
                    progress.moved(state.checkpoint.position);
                    if caught_up {
                        let gather = (began.elapsed() * REST).clamp(*GATHER.start(), *GATHER.end());
                        tokio::select! {
                            () = tokio::time::sleep_until(began + gather) => {}
                            () = progress.hurried() => {}
                            () = stop.cancelled() => {}
                        }
                    }
                }
                WorkStep::Fewer => {}
                WorkStep::Nothing => tokio::select! {
                    _ = grown.changed() => {}
                    () = tokio::time::sleep(CHECK) => if !is_ours(connection, &state.checkpoint).await? {
                        return Ok(WorkerEnd::Replaced);
                    },
                    () = stop.cancelled() => {}
                },
                WorkStep::Replaced => return Ok(WorkerEnd::Replaced),
                WorkStep::Fault(fault) => {
                    return self.halt(connection, progress, &state.checkpoint, fault, stop).await;
                }
            }
        }
        Ok(WorkerEnd::Stopped)
    }

    /// Applies events; where the database refuses one of them, fewer at a time until it stands alone.
    async fn take(
        &self,
        connection: &mut PgConnection,
        state: &mut WorkerState<M>,
        entries: &[DecodedEvent],
    ) -> Result<WorkStep, StoreError> {
        let caught_up = entries.len() < state.limit;
        match (self.commit(connection, state, entries).await, entries) {
            (Ok(true), _) => {
                state.limit = (state.limit * 2).min(self.batch);
                Ok(WorkStep::All { caught_up })
            }
            (Ok(false), _) => Ok(WorkStep::Replaced),
            (Err(error @ StoreError::Gone { .. }), _) => {
                let error = format!("{error}; run `convoke projection rebuild {}`", M::NAME);
                Ok(WorkStep::Fault(ProjectionFault { position: None, error }))
            }
            (Err(StoreError::Refused(error)), [alone]) => {
                Ok(WorkStep::Fault(ProjectionFault { position: Some(alone.position), error: error.to_string() }))
            }
            (Err(StoreError::Refused(_)), _) => {
                state.limit = entries.len() / 2;
                state.model = M::default();
                Ok(WorkStep::Fewer)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Why the rows cannot be folded on from, if they cannot.
    async fn unfit(&self, checkpoint: &Checkpoint) -> Result<Option<String>, WorkError> {
        if checkpoint.position == 0 {
            return Ok(None);
        }
        let head = self.reader.log().head().await?;
        let remedy = format!("run `convoke projection rebuild {}`", M::NAME);
        Ok(if checkpoint.shape != i32::from(M::SHAPE) {
            Some(format!("its rows have shape {}, this program writes shape {}; {remedy}", checkpoint.shape, M::SHAPE))
        } else if checkpoint.epoch != head.epoch {
            Some(format!(
                "it was folded from epoch {} of the log, which is now {}; {remedy}",
                checkpoint.epoch, head.epoch
            ))
        } else if checkpoint.position > head.position {
            let (at, end) = (checkpoint.position, head.position);
            Some(format!("it stands at position {at}, but the log ends at {end}: events were lost; {remedy}"))
        } else {
            None
        })
    }

    /// Rows and checkpoint in one transaction; `false`: the checkpoint is another's, and nothing was written.
    async fn commit(
        &self,
        connection: &mut PgConnection,
        state: &mut WorkerState<M>,
        entries: &[DecodedEvent],
    ) -> Result<bool, StoreError> {
        let began = Instant::now();
        let Some(last) = entries.last() else { return Ok(true) };
        let statement = state.checkpoint.begin_statement();
        let mut transaction = connection.begin_with(AssertSqlSafe(statement)).await?;
        apply::load(&mut state.model, &mut transaction, &TableSet::Live, &state.filter, entries).await?;
        let changes = apply::fold(&mut state.model, &state.filter, entries);
        let digest = apply::digest_after(state.checkpoint.digest, &changes);
        apply::write(&mut transaction, &TableSet::Live, &changes).await?;
        let step = CheckpointStep { position: last.position, recorded_at: last.recorded_at, digest };
        if !state.checkpoint.advance(&mut transaction, &step).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        transaction.commit().await?;
        state.checkpoint.stepped(&step);
        let head = (*self.reader.grown().borrow()).max(step.position);
        self.metrics.projected(M::NAME, entries.len(), step.position, head, began.elapsed());
        Ok(true)
    }

    /// Says why the model does not go on, and waits until somebody did something about it.
    async fn halt(
        &self,
        connection: &mut PgConnection,
        progress: &ModelProgress,
        checkpoint: &Checkpoint,
        fault: ProjectionFault,
        stop: &CancellationToken,
    ) -> Result<WorkerEnd, WorkError> {
        if !checkpoint.stop(connection, &fault).await? {
            return Ok(WorkerEnd::Replaced);
        }
        progress.stopped(checkpoint.position, &fault.error);
        self.metrics.projection_stopped(M::NAME, true);
        tracing::error!(
            projection = M::NAME,
            position = checkpoint.position,
            failed_position = fault.position,
            error = fault.error,
            "projection stopped at an event that it cannot apply; the other projections continue"
        );
        while pause(CHECK, stop).await {
            let now = with_timeout(QUERY_TIMEOUT, checkpoint::find(connection, M::NAME)).await?;
            if now.worker != checkpoint.worker
                || now.generation != checkpoint.generation
                || now.status == ModelStatus::Running
            {
                return Ok(WorkerEnd::Replaced);
            }
        }
        Ok(WorkerEnd::Stopped)
    }
}

async fn is_ours(connection: &mut PgConnection, checkpoint: &Checkpoint) -> sqlx::Result<bool> {
    let now = with_timeout(QUERY_TIMEOUT, checkpoint::find(connection, &checkpoint.name)).await?;
    Ok(now.worker == checkpoint.worker && now.generation == checkpoint.generation && now.epoch == checkpoint.epoch)
}

/// Waits to become the one worker; `false`: told to stop.
async fn elect(connection: &mut PgConnection, name: &str, stop: &CancellationToken) -> sqlx::Result<bool> {
    loop {
        let asking = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 0))")
            .bind(format!("convoke.projection.{name}"))
            .fetch_one(&mut *connection);
        let elected: bool = with_timeout(QUERY_TIMEOUT, asking).await?;
        if elected {
            return Ok(true);
        }
        if !pause(RETRY, stop).await {
            return Ok(false);
        }
    }
}

/// A worker of this process has the model, for as long as this lives.
struct LocalWorkerGuard<'a>(&'a ModelProgress);

impl<'a> LocalWorkerGuard<'a> {
    fn new(progress: &'a ModelProgress) -> Self {
        progress.set_here(true);
        Self(progress)
    }
}

impl Drop for LocalWorkerGuard<'_> {
    fn drop(&mut self) {
        self.0.set_here(false);
    }
}
