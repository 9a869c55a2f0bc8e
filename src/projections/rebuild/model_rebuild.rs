//! The rebuild of one model: folds the chunks that all models share into new tables, and finally replaces the live tables with
//! them.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use sqlx::{Executor as _, PgConnection};
use tokio::sync::mpsc;

use super::scan::EventChunk;
use super::state::RebuildState;
use super::unwritten::UnwrittenRows;
use super::{BulkConnector, Comparison, RebuildError, RebuildPurpose, buffered};
use crate::events::log::EventLog;
use crate::events::time::Timestamp;
use crate::ids::Position;
use crate::projections::apply;
use crate::projections::checkpoint::{CheckpointStep, find_or_begin};
use crate::projections::model::{ModelInfo, ReadModel};
use crate::projections::retention_filter::RetentionFilter;
use crate::projections::rows::{Digest, ModelTable, SetCapacity, TableChanges, TableSet};

/// How long a session that its client has left may keep its locks, on a server with much to do.
const LINGERING: Duration = Duration::from_secs(3);
/// Between two attempts to take such a lock.
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// The rebuild of a model, whatever its type.
pub trait AnyModelRebuild: Send {
    fn state(&self) -> &RebuildState;

    /// Decides at which position fresh and live rows are compared, and begins to look at the live ones.
    fn begin_comparison(&mut self) -> BoxFuture<'_, Result<(), RebuildError>>;

    /// Folds chunks until there are no more. Calls `moved` with each committed position.
    fn consume<'a>(
        &'a mut self,
        chunks: mpsc::Receiver<Arc<EventChunk>>,
        moved: &'a (dyn Fn(&'static str, Position) + Send + Sync),
    ) -> BoxFuture<'a, Result<(), RebuildError>>;

    /// Makes the tables fit to be read.
    fn finish(&mut self) -> BoxFuture<'_, Result<(), RebuildError>>;

    /// Waits for the look at the live rows, and says how they compare.
    fn comparison(&mut self) -> BoxFuture<'_, Result<Comparison, RebuildError>>;

    /// Puts the fresh tables in the place of the live ones; `false`: the live model is too far ahead again.
    fn swap<'a>(&'a mut self, log: &'a EventLog, gap: u64) -> BoxFuture<'a, Result<bool, RebuildError>>;

    /// Drops the fresh tables.
    fn discard(&mut self) -> BoxFuture<'_, Result<(), RebuildError>>;
}

/// The rebuild of the model `M`; holds a lock that keeps other rebuilds of the model out for as long as it lives.
pub struct ModelRebuild<M> {
    pub(super) connection: PgConnection,
    pub(super) connect: BulkConnector,
    /// Absent where what it holds may not be what the tables hold: then it begins anew, and reads what it needs.
    pub(super) model: Option<M>,
    pub(super) state: RebuildState,
    /// Stays as it is for as long as the fold is under way.
    pub(super) filter: RetentionFilter,
    /// What the open transaction has done since `state`, if one is open.
    open: Option<OpenTransaction>,
    unwritten: UnwrittenRows,
    /// Over the rows in the tables, without the buffered ones.
    pub(super) settled: Digest,
    bounds: RebuildLimits,
    /// Why there is nothing to compare with.
    pub(super) incomparable: Option<String>,
    pub(super) looking: Option<tokio::task::JoinHandle<Result<Digest, RebuildError>>>,
}

/// How much a rebuild does at a time.
#[derive(Clone, Copy, Debug)]
pub struct RebuildLimits {
    /// Events of one transaction.
    pub batch: usize,
    /// What of a table stays in memory.
    pub kept: SetCapacity,
    /// Bytes of rows that are written together.
    pub together: usize,
}

impl RebuildLimits {
    fn model<M: ReadModel>(self) -> M {
        let mut model = M::default();
        model.sets().into_iter().for_each(|set| set.keep_at_most(self.kept));
        model
    }
}

struct OpenTransaction {
    events: usize,
    position: Position,
    recorded_at: Timestamp,
}

/// Whether this session holds the lock from now on. The server ends a session, and lets go of its locks, some time after whoever
/// had it has gone.
async fn take(connection: &mut PgConnection, lock: &str) -> sqlx::Result<bool> {
    let begun = Instant::now();
    loop {
        let mine = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 0))")
            .bind(lock)
            .fetch_one(&mut *connection)
            .await?;
        if mine || begun.elapsed() > LINGERING {
            return Ok(mine);
        }
        tokio::time::sleep(LOCK_RETRY).await;
    }
}

impl<M: ReadModel> ModelRebuild<M> {
    pub async fn open(
        connect: BulkConnector,
        purpose: RebuildPurpose,
        log: &EventLog,
        bounds: RebuildLimits,
    ) -> Result<Self, RebuildError> {
        let info = ModelInfo::of::<M>();
        let mut connection = connect.open().await?;
        if !take(&mut connection, &format!("convoke.{}.{}", purpose.as_str(), info.name)).await? {
            return Err(RebuildError::Busy { name: info.name, purpose });
        }
        let live = find_or_begin(&mut connection, &info).await?;
        let head = log.head().await?;
        let state = RebuildState::open(&mut connection, info, purpose, &live, head.epoch).await?;
        let filter = RetentionFilter::of(&mut connection, info.name).await?;
        if state.position > head.position {
            return Err(RebuildError::Ahead { name: info.name, at: state.position, end: head.position });
        }
        let mut model: M = bounds.model();
        let mut settled = state.digest;
        if state.buffering {
            for set in model.sets() {
                set.buffer();
                buffered::restore(&mut connection, &state.suffix, set).await?;
            }
            settled.subtract(buffered::digest(&mut model));
        }
        Ok(Self {
            connection,
            connect,
            model: Some(model),
            state,
            filter,
            open: None,
            unwritten: UnwrittenRows::default(),
            settled,
            bounds,
            incomparable: None,
            looking: None,
        })
    }

    fn table_set(&self) -> TableSet {
        TableSet::Fresh(self.state.suffix.clone())
    }

    /// Folds one chunk, in two parts where the position of the comparison lies inside.
    async fn take(&mut self, chunk: &Arc<EventChunk>) -> Result<(), RebuildError> {
        let position = self.open.as_ref().map_or(self.state.position, |open| open.position);
        let start = chunk.entries.partition_point(|entry| entry.position <= position);
        let compared = self.state.compared.map(|compared| compared.position);
        let cut = compared.map_or(start, |at| chunk.entries.partition_point(|entry| entry.position <= at).max(start));
        for range in [start..cut, cut..chunk.entries.len()] {
            if range.is_empty() {
                continue;
            }
            self.take_range(chunk, range).await?;
            let full = self
                .open
                .as_ref()
                .is_some_and(|open| open.events >= self.bounds.batch || Some(open.position) == compared);
            if full {
                self.commit().await?;
            }
        }
        Ok(())
    }

    /// Folds events and writes what is settled by them, in the open transaction.
    async fn take_range(&mut self, chunk: &Arc<EventChunk>, range: Range<usize>) -> Result<(), RebuildError> {
        let Some(last) = chunk.entries.get(range.end - 1) else { return Ok(()) };
        let table_set = self.table_set();
        let mut model = self.model.take().unwrap_or_else(|| self.bounds.model());
        let open = match self.open.take() {
            Some(open) => open,
            None => {
                self.connection.execute("BEGIN").await?;
                OpenTransaction { events: 0, position: self.state.position, recorded_at: last.recorded_at }
            }
        };
        if apply::need(&mut model, &self.filter, &chunk.entries[range.clone()]) {
            self.unwritten.write(&mut self.connection, &table_set).await?;
            self.state.make_keys(&mut self.connection).await?;
            let filter = &self.filter;
            apply::load(&mut model, &mut self.connection, &table_set, filter, &chunk.entries[range.clone()]).await?;
        }
        let events = open.events + range.len();
        let (mut model, changes) = fold_aside(model, self.filter.clone(), chunk.clone(), range).await?;
        self.write(&table_set, &changes).await?;
        if model.sets().iter().any(|set| set.exceeds_buffer()) {
            self.release(&mut model).await?;
        }
        self.model = Some(model);
        self.open = Some(OpenTransaction { events, position: last.position, recorded_at: last.recorded_at });
        Ok(())
    }

    /// Writes what a chunk did, or puts it by where it only adds rows.
    async fn write(
        &mut self,
        table_set: &TableSet,
        changes: &[(&'static ModelTable, TableChanges)],
    ) -> Result<(), RebuildError> {
        let only_adds = |changes: &TableChanges| changes.updates.is_empty() && changes.deletes.is_empty();
        if changes.iter().all(|(_, changes)| only_adds(changes)) {
            changes.iter().for_each(|(table, changes)| self.unwritten.add(table, &changes.inserts));
            if self.unwritten.bytes() >= self.bounds.together {
                self.unwritten.write(&mut self.connection, table_set).await?;
            }
        } else {
            self.unwritten.write(&mut self.connection, table_set).await?;
            self.state.make_keys(&mut self.connection).await?;
            apply::write(&mut self.connection, table_set, changes).await?;
        }
        self.settled = apply::digest_after(self.settled, changes);
        Ok(())
    }

    /// From now on all rows are in the tables.
    async fn release(&mut self, model: &mut M) -> Result<(), RebuildError> {
        let changes: Vec<_> = model.sets().into_iter().map(|set| (set.table(), set.release())).collect();
        let table_set = self.table_set();
        self.unwritten.write(&mut self.connection, &table_set).await?;
        apply::write(&mut self.connection, &table_set, &changes).await?;
        self.settled = apply::digest_after(self.settled, &changes);
        buffered::clear(&mut self.connection, &self.state).await?;
        self.state.buffering = false;
        Ok(())
    }

    /// Commits the open transaction, after which the next run would continue from here.
    async fn commit(&mut self) -> Result<(), RebuildError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let table_set = self.table_set();
        self.unwritten.write(&mut self.connection, &table_set).await?;
        let mut digest = self.settled;
        if let Some(model) = self.model.as_mut().filter(|_| self.state.buffering) {
            buffered::clear(&mut self.connection, &self.state).await?;
            digest.add(buffered::keep(&mut self.connection, &self.state.suffix, model).await?);
        }
        let step = CheckpointStep { position: open.position, recorded_at: open.recorded_at, digest };
        self.state.advance(&mut self.connection, &step).await?;
        self.connection.execute("COMMIT").await?;
        self.state.stepped(&step);
        Ok(())
    }
}

/// Folds on a thread for blocking work.
async fn fold_aside<M: ReadModel>(
    mut model: M,
    filter: RetentionFilter,
    chunk: Arc<EventChunk>,
    range: Range<usize>,
) -> Result<(M, Vec<(&'static ModelTable, TableChanges)>), RebuildError> {
    let folded = tokio::task::spawn_blocking(move || {
        let changes = apply::fold(&mut model, &filter, &chunk.entries[range]);
        (model, changes)
    });
    match folded.await {
        Ok(folded) => Ok(folded),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(RebuildError::Interrupted),
    }
}

impl<M: ReadModel> AnyModelRebuild for ModelRebuild<M> {
    fn state(&self) -> &RebuildState {
        &self.state
    }

    fn begin_comparison(&mut self) -> BoxFuture<'_, Result<(), RebuildError>> {
        Box::pin(self.look())
    }

    fn consume<'a>(
        &'a mut self,
        mut chunks: mpsc::Receiver<Arc<EventChunk>>,
        moved: &'a (dyn Fn(&'static str, Position) + Send + Sync),
    ) -> BoxFuture<'a, Result<(), RebuildError>> {
        Box::pin(async move {
            while let Some(chunk) = chunks.recv().await {
                self.take(&chunk).await?;
                moved(M::NAME, self.open.as_ref().map_or(self.state.position, |open| open.position));
                if let Some(fault) = &chunk.fault {
                    self.commit().await?;
                    let (position, error) = (fault.position, fault.error.clone());
                    return Err(RebuildError::Unreadable { position, error });
                }
            }
            self.commit().await
        })
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), RebuildError>> {
        Box::pin(async move {
            if self.state.buffering
                && let Some(mut model) = self.model.take()
            {
                self.connection.execute("BEGIN").await?;
                self.release(&mut model).await?;
                self.state.released(&mut self.connection).await?;
                self.connection.execute("COMMIT").await?;
                self.model = Some(model);
            }
            self.state.make_indexes(&mut self.connection).await?;
            Ok(())
        })
    }

    fn comparison(&mut self) -> BoxFuture<'_, Result<Comparison, RebuildError>> {
        Box::pin(self.compare())
    }

    fn swap<'a>(&'a mut self, log: &'a EventLog, gap: u64) -> BoxFuture<'a, Result<bool, RebuildError>> {
        Box::pin(self.swap_in(log, gap))
    }

    fn discard(&mut self) -> BoxFuture<'_, Result<(), RebuildError>> {
        Box::pin(async move { Ok(self.state.discard(&mut self.connection).await?) })
    }
}
