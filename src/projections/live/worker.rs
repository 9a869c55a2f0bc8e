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

use super::board::{Board, Place};
use super::tail::Tail;
use crate::database::lease::pause;
use crate::database::session;
use crate::database::silence::heard;
use crate::events::log::LogError;
use crate::projections::apply;
use crate::projections::checkpoint::{self, Checkpoint, Obstacle, Status, Step};
use crate::projections::entry::Entry;
use crate::projections::forgotten::Forgotten;
use crate::projections::model::{ModelInfo, ReadModel};
use crate::projections::rows::{Space, StoreError};
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
const SILENCE: Duration = Duration::from_secs(90);
/// The same of events that are read.
const READ_SILENCE: Duration = Duration::from_secs(30);
/// The same where next to nothing is asked.
const SHORT_SILENCE: Duration = Duration::from_secs(10);

/// Why a worker released its model.
enum End {
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

pub struct Worker<M> {
    tail: Arc<Tail>,
    board: Board,
    metrics: Metrics,
    /// Most events in one transaction.
    batch: usize,
    model: PhantomData<fn() -> M>,
}

/// What became of a read of the log.
enum Taken {
    All {
        caught_up: bool,
    },
    /// Nothing yet: to be tried with fewer events.
    Fewer,
    /// There was nothing.
    Nothing,
    Replaced,
    Obstacle(Obstacle),
}

/// What a worker has while it has the model.
struct Hold<M> {
    model: M,
    forgotten: Forgotten,
    checkpoint: Checkpoint,
    /// Most events in the next transaction: fewer where one of them is being looked for.
    limit: usize,
}

impl<M: ReadModel> Worker<M> {
    pub fn new(tail: Arc<Tail>, board: Board, metrics: Metrics, batch: usize) -> Self {
        Self { tail, board, metrics, batch: batch.max(1), model: PhantomData }
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
        if let Some(place) = self.board.place(M::NAME) {
            place.forget();
        }
        if !*failing {
            tracing::warn!(projection = M::NAME, %error, "projection failed, retrying");
        }
        *failing = true;
    }

    /// One connection's life.
    async fn serve(&self, stop: &CancellationToken, failing: &mut bool) -> Result<(), WorkError> {
        let Some(place) = self.board.place(M::NAME) else { return Ok(()) };
        let mut connection = self.connect().await?;
        while elect(&mut connection, M::NAME, stop).await? {
            let here = Here::new(place);
            let end = loop {
                match self.follow(&mut connection, place, stop, failing).await? {
                    End::Replaced => {}
                    end => break end,
                }
            };
            drop(here);
            if matches!(end, End::Stopped) {
                return Ok(());
            }
            heard(SHORT_SILENCE, connection.execute("SELECT pg_advisory_unlock_all()")).await?;
            if !pause(CHECK, stop).await {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        // A batch is as large as may be: it is slow when it takes far longer than what others wait for.
        let options =
            (*self.tail.log().pool().sessions().connect_options()).clone().log_slow_statements(LevelFilter::Warn, SLOW);
        let mut connection = heard(SHORT_SILENCE, PgConnection::connect_with(&options)).await?;
        let prepare = session::of_worker(STATEMENT);
        heard(SHORT_SILENCE, connection.execute(sqlx::raw_sql(AssertSqlSafe(prepare)))).await?;
        Ok(connection)
    }

    /// Follows the log for as long as the checkpoint is this worker's.
    async fn follow(
        &self,
        connection: &mut PgConnection,
        place: &Place,
        stop: &CancellationToken,
        failing: &mut bool,
    ) -> Result<End, WorkError> {
        let model = ModelInfo::of::<M>();
        let checkpoint = heard(SILENCE, Checkpoint::claim(connection, &model, Uuid::new_v4())).await?;
        if checkpoint.shape > i32::from(M::SHAPE) {
            return Ok(End::Newer);
        }
        let forgotten = heard(SHORT_SILENCE, Forgotten::of(connection, M::NAME)).await?;
        let mut hold = Hold { model: M::default(), forgotten, checkpoint, limit: self.batch };
        match &hold.checkpoint.status {
            Status::Running => place.moved(hold.checkpoint.position),
            Status::Stopped { error, .. } => place.stopped(hold.checkpoint.position, error),
        }
        self.metrics.projection_stopped(M::NAME, false);
        if let Some(why) = heard(SHORT_SILENCE, self.unfit(&hold.checkpoint)).await? {
            return self.halt(connection, place, &hold.checkpoint, Obstacle { position: None, error: why }, stop).await;
        }
        let mut grown = self.tail.grown();
        while !stop.is_cancelled() {
            grown.borrow_and_update();
            let began = Instant::now();
            let batch = heard(READ_SILENCE, self.tail.read(hold.checkpoint.position, hold.limit)).await?;
            let step = match batch.entries() {
                [] => batch.obstacle().cloned().map_or(Taken::Nothing, Taken::Obstacle),
                entries => heard(SILENCE, self.take(connection, &mut hold, entries)).await?,
            };
            match step {
                Taken::All { caught_up } => {
                    *failing = false;
                    place.moved(hold.checkpoint.position);
                    if caught_up {
                        let gather = (began.elapsed() * REST).clamp(*GATHER.start(), *GATHER.end());
                        tokio::select! {
                            () = tokio::time::sleep_until(began + gather) => {}
                            () = place.hurried() => {}
                            () = stop.cancelled() => {}
                        }
                    }
                }
                Taken::Fewer => {}
                Taken::Nothing => tokio::select! {
                    _ = grown.changed() => {}
                    () = tokio::time::sleep(CHECK) => if !is_ours(connection, &hold.checkpoint).await? {
                        return Ok(End::Replaced);
                    },
                    () = stop.cancelled() => {}
                },
                Taken::Replaced => return Ok(End::Replaced),
                Taken::Obstacle(obstacle) => {
                    return self.halt(connection, place, &hold.checkpoint, obstacle, stop).await;
                }
            }
        }
        Ok(End::Stopped)
    }

    /// Applies events; where the database refuses one of them, fewer at a time until it stands alone.
    async fn take(
        &self,
        connection: &mut PgConnection,
        hold: &mut Hold<M>,
        entries: &[Entry],
    ) -> Result<Taken, StoreError> {
        let caught_up = entries.len() < hold.limit;
        match (self.commit(connection, hold, entries).await, entries) {
            (Ok(true), _) => {
                hold.limit = (hold.limit * 2).min(self.batch);
                Ok(Taken::All { caught_up })
            }
            (Ok(false), _) => Ok(Taken::Replaced),
            (Err(error @ StoreError::Gone { .. }), _) => {
                let error = format!("{error}; run `convoke projection rebuild {}`", M::NAME);
                Ok(Taken::Obstacle(Obstacle { position: None, error }))
            }
            (Err(StoreError::Refused(error)), [alone]) => {
                Ok(Taken::Obstacle(Obstacle { position: Some(alone.position), error: error.to_string() }))
            }
            (Err(StoreError::Refused(_)), _) => {
                hold.limit = entries.len() / 2;
                hold.model = M::default();
                Ok(Taken::Fewer)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Why the rows cannot be folded on from, if they cannot.
    async fn unfit(&self, checkpoint: &Checkpoint) -> Result<Option<String>, WorkError> {
        if checkpoint.position == 0 {
            return Ok(None);
        }
        let head = self.tail.log().head().await?;
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
        hold: &mut Hold<M>,
        entries: &[Entry],
    ) -> Result<bool, StoreError> {
        let began = Instant::now();
        let Some(last) = entries.last() else { return Ok(true) };
        let statement = hold.checkpoint.begin_statement();
        let mut transaction = connection.begin_with(AssertSqlSafe(statement)).await?;
        apply::load(&mut hold.model, &mut transaction, &Space::Live, &hold.forgotten, entries).await?;
        let changes = apply::fold(&mut hold.model, &hold.forgotten, entries);
        let digest = apply::digest_after(hold.checkpoint.digest, &changes);
        apply::write(&mut transaction, &Space::Live, &changes).await?;
        let step = Step { position: last.position, recorded_at: last.recorded_at, digest };
        if !hold.checkpoint.advance(&mut transaction, &step).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        transaction.commit().await?;
        hold.checkpoint.stepped(&step);
        let head = (*self.tail.grown().borrow()).max(step.position);
        self.metrics.projected(M::NAME, entries.len(), step.position, head, began.elapsed());
        Ok(true)
    }

    /// Says why the model does not go on, and waits until somebody did something about it.
    async fn halt(
        &self,
        connection: &mut PgConnection,
        place: &Place,
        checkpoint: &Checkpoint,
        obstacle: Obstacle,
        stop: &CancellationToken,
    ) -> Result<End, WorkError> {
        if !checkpoint.stop(connection, &obstacle).await? {
            return Ok(End::Replaced);
        }
        place.stopped(checkpoint.position, &obstacle.error);
        self.metrics.projection_stopped(M::NAME, true);
        tracing::error!(
            projection = M::NAME,
            position = checkpoint.position,
            failed_position = obstacle.position,
            error = obstacle.error,
            "projection stopped at an event that it cannot apply; the other projections continue"
        );
        while pause(CHECK, stop).await {
            let now = heard(SHORT_SILENCE, checkpoint::find(connection, M::NAME)).await?;
            if now.worker != checkpoint.worker
                || now.generation != checkpoint.generation
                || now.status == Status::Running
            {
                return Ok(End::Replaced);
            }
        }
        Ok(End::Stopped)
    }
}

async fn is_ours(connection: &mut PgConnection, checkpoint: &Checkpoint) -> sqlx::Result<bool> {
    let now = heard(SHORT_SILENCE, checkpoint::find(connection, &checkpoint.name)).await?;
    Ok(now.worker == checkpoint.worker && now.generation == checkpoint.generation && now.epoch == checkpoint.epoch)
}

/// Waits to become the one worker; `false`: told to stop.
async fn elect(connection: &mut PgConnection, name: &str, stop: &CancellationToken) -> sqlx::Result<bool> {
    loop {
        let asking = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 0))")
            .bind(format!("convoke.projection.{name}"))
            .fetch_one(&mut *connection);
        let elected: bool = heard(SHORT_SILENCE, asking).await?;
        if elected {
            return Ok(true);
        }
        if !pause(RETRY, stop).await {
            return Ok(false);
        }
    }
}

/// A worker of this process has the model, for as long as this lives.
struct Here<'a>(&'a Place);

impl<'a> Here<'a> {
    fn new(place: &'a Place) -> Self {
        place.set_here(true);
        Self(place)
    }
}

impl Drop for Here<'_> {
    fn drop(&mut self) {
        self.0.set_here(false);
    }
}
