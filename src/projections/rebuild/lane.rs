//! The rebuild of one model: folds the chunks that all models share into new tables, and finally replaces the live tables with
//! them.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use sqlx::{Executor as _, PgConnection};
use tokio::sync::mpsc;

use super::scan::Chunk;
use super::state::Fresh;
use super::unwritten::Unwritten;
use super::{Comparison, Connect, Purpose, RebuildError, held};
use crate::events::log::EventLog;
use crate::events::time::Timestamp;
use crate::ids::Position;
use crate::projections::apply;
use crate::projections::checkpoint::{Step, find_or_begin};
use crate::projections::forgotten::Forgotten;
use crate::projections::model::{ModelInfo, ReadModel};
use crate::projections::rows::{Capacity, Changes, Digest, Space, Table};

/// How long a session that its client has left may keep its locks, on a server with much to do.
const LINGERING: Duration = Duration::from_secs(3);
/// Between two attempts to take such a lock.
const AGAIN: Duration = Duration::from_millis(50);

/// A lane whatever its model.
pub trait Lane: Send {
    fn fresh(&self) -> &Fresh;

    /// Decides at which position fresh and live rows are compared, and begins to look at the live ones.
    fn begin_comparison(&mut self) -> BoxFuture<'_, Result<(), RebuildError>>;

    /// Folds chunks until there are no more. Calls `moved` with each committed position.
    fn consume<'a>(
        &'a mut self,
        chunks: mpsc::Receiver<Arc<Chunk>>,
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

/// A lane for the model `M`; holds a lock that keeps other rebuilds of the model out for as long as it lives.
pub struct ModelLane<M> {
    pub(super) connection: PgConnection,
    pub(super) connect: Connect,
    /// Absent where what it holds may not be what the tables hold: then it begins anew, and reads what it needs.
    pub(super) model: Option<M>,
    pub(super) fresh: Fresh,
    /// Stays as it is for as long as the fold is under way.
    pub(super) forgotten: Forgotten,
    /// What the open transaction has done since `fresh`, if one is open.
    open: Option<Open>,
    unwritten: Unwritten,
    /// Over the rows in the tables, those that are held left out.
    pub(super) settled: Digest,
    bounds: Bounds,
    /// Why there is nothing to compare with.
    pub(super) incomparable: Option<String>,
    pub(super) looking: Option<tokio::task::JoinHandle<Result<Digest, RebuildError>>>,
}

/// What a lane does at a time.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Events of one transaction.
    pub batch: usize,
    /// What of a table stays in memory.
    pub kept: Capacity,
    /// Bytes of rows that are written together.
    pub together: usize,
}

impl Bounds {
    fn model<M: ReadModel>(self) -> M {
        let mut model = M::default();
        model.sets().into_iter().for_each(|set| set.keep_at_most(self.kept));
        model
    }
}

struct Open {
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
        tokio::time::sleep(AGAIN).await;
    }
}

impl<M: ReadModel> ModelLane<M> {
    pub async fn open(
        connect: Connect,
        purpose: Purpose,
        log: &EventLog,
        bounds: Bounds,
    ) -> Result<Self, RebuildError> {
        let info = ModelInfo::of::<M>();
        let mut connection = connect.open().await?;
        if !take(&mut connection, &format!("convoke.{}.{}", purpose.as_str(), info.name)).await? {
            return Err(RebuildError::Busy { name: info.name, purpose });
        }
        let live = find_or_begin(&mut connection, &info).await?;
        let head = log.head().await?;
        let fresh = Fresh::open(&mut connection, info, purpose, &live, head.epoch).await?;
        let forgotten = Forgotten::of(&mut connection, info.name).await?;
        if fresh.position > head.position {
            return Err(RebuildError::Ahead { name: info.name, at: fresh.position, end: head.position });
        }
        let mut model: M = bounds.model();
        let mut settled = fresh.digest;
        if fresh.holding {
            for set in model.sets() {
                set.hold();
                held::restore(&mut connection, &fresh.suffix, set).await?;
            }
            settled.subtract(held::digest(&mut model));
        }
        Ok(Self {
            connection,
            connect,
            model: Some(model),
            fresh,
            forgotten,
            open: None,
            unwritten: Unwritten::default(),
            settled,
            bounds,
            incomparable: None,
            looking: None,
        })
    }

    fn space(&self) -> Space {
        Space::Fresh(self.fresh.suffix.clone())
    }

    /// Folds one chunk, in two parts where the position of the comparison lies inside.
    async fn take(&mut self, chunk: &Arc<Chunk>) -> Result<(), RebuildError> {
        let position = self.open.as_ref().map_or(self.fresh.position, |open| open.position);
        let start = chunk.entries.partition_point(|entry| entry.position <= position);
        let compared = self.fresh.compared.map(|compared| compared.position);
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
    async fn take_range(&mut self, chunk: &Arc<Chunk>, range: Range<usize>) -> Result<(), RebuildError> {
        let Some(last) = chunk.entries.get(range.end - 1) else { return Ok(()) };
        let space = self.space();
        let mut model = self.model.take().unwrap_or_else(|| self.bounds.model());
        let open = match self.open.take() {
            Some(open) => open,
            None => {
                self.connection.execute("BEGIN").await?;
                Open { events: 0, position: self.fresh.position, recorded_at: last.recorded_at }
            }
        };
        if apply::need(&mut model, &self.forgotten, &chunk.entries[range.clone()]) {
            self.unwritten.write(&mut self.connection, &space).await?;
            self.fresh.make_keys(&mut self.connection).await?;
            let forgotten = &self.forgotten;
            apply::load(&mut model, &mut self.connection, &space, forgotten, &chunk.entries[range.clone()]).await?;
        }
        let events = open.events + range.len();
        let (mut model, changes) = fold_aside(model, self.forgotten.clone(), chunk.clone(), range).await?;
        self.write(&space, &changes).await?;
        if model.sets().iter().any(|set| set.holds_too_many()) {
            self.release(&mut model).await?;
        }
        self.model = Some(model);
        self.open = Some(Open { events, position: last.position, recorded_at: last.recorded_at });
        Ok(())
    }

    /// Writes what a chunk did, or puts it by where it only adds rows.
    async fn write(&mut self, space: &Space, changes: &[(&'static Table, Changes)]) -> Result<(), RebuildError> {
        let only_adds = |changes: &Changes| changes.updates.is_empty() && changes.deletes.is_empty();
        if changes.iter().all(|(_, changes)| only_adds(changes)) {
            changes.iter().for_each(|(table, changes)| self.unwritten.add(table, &changes.inserts));
            if self.unwritten.bytes() >= self.bounds.together {
                self.unwritten.write(&mut self.connection, space).await?;
            }
        } else {
            self.unwritten.write(&mut self.connection, space).await?;
            self.fresh.make_keys(&mut self.connection).await?;
            apply::write(&mut self.connection, space, changes).await?;
        }
        self.settled = apply::digest_after(self.settled, changes);
        Ok(())
    }

    /// From now on all rows are in the tables.
    async fn release(&mut self, model: &mut M) -> Result<(), RebuildError> {
        let changes: Vec<_> = model.sets().into_iter().map(|set| (set.table(), set.release())).collect();
        let space = self.space();
        self.unwritten.write(&mut self.connection, &space).await?;
        apply::write(&mut self.connection, &space, &changes).await?;
        self.settled = apply::digest_after(self.settled, &changes);
        held::clear(&mut self.connection, &self.fresh).await?;
        self.fresh.holding = false;
        Ok(())
    }

    /// Commits the open transaction, after which the next run would continue from here.
    async fn commit(&mut self) -> Result<(), RebuildError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let space = self.space();
        self.unwritten.write(&mut self.connection, &space).await?;
        let mut digest = self.settled;
        if let Some(model) = self.model.as_mut().filter(|_| self.fresh.holding) {
            held::clear(&mut self.connection, &self.fresh).await?;
            digest.add(held::keep(&mut self.connection, &self.fresh.suffix, model).await?);
        }
        let step = Step { position: open.position, recorded_at: open.recorded_at, digest };
        self.fresh.advance(&mut self.connection, &step).await?;
        self.connection.execute("COMMIT").await?;
        self.fresh.stepped(&step);
        Ok(())
    }
}

/// Folds on a thread that may be busy for a while.
async fn fold_aside<M: ReadModel>(
    mut model: M,
    forgotten: Forgotten,
    chunk: Arc<Chunk>,
    range: Range<usize>,
) -> Result<(M, Vec<(&'static Table, Changes)>), RebuildError> {
    let folded = tokio::task::spawn_blocking(move || {
        let changes = apply::fold(&mut model, &forgotten, &chunk.entries[range]);
        (model, changes)
    });
    match folded.await {
        Ok(folded) => Ok(folded),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(RebuildError::Interrupted),
    }
}

impl<M: ReadModel> Lane for ModelLane<M> {
    fn fresh(&self) -> &Fresh {
        &self.fresh
    }

    fn begin_comparison(&mut self) -> BoxFuture<'_, Result<(), RebuildError>> {
        Box::pin(self.look())
    }

    fn consume<'a>(
        &'a mut self,
        mut chunks: mpsc::Receiver<Arc<Chunk>>,
        moved: &'a (dyn Fn(&'static str, Position) + Send + Sync),
    ) -> BoxFuture<'a, Result<(), RebuildError>> {
        Box::pin(async move {
            while let Some(chunk) = chunks.recv().await {
                self.take(&chunk).await?;
                moved(M::NAME, self.open.as_ref().map_or(self.fresh.position, |open| open.position));
                if let Some(obstacle) = &chunk.obstacle {
                    self.commit().await?;
                    let (position, error) = (obstacle.position, obstacle.error.clone());
                    return Err(RebuildError::Unreadable { position, error });
                }
            }
            self.commit().await
        })
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), RebuildError>> {
        Box::pin(async move {
            if self.fresh.holding
                && let Some(mut model) = self.model.take()
            {
                self.connection.execute("BEGIN").await?;
                self.release(&mut model).await?;
                self.fresh.released(&mut self.connection).await?;
                self.connection.execute("COMMIT").await?;
                self.model = Some(model);
            }
            self.fresh.make_indexes(&mut self.connection).await?;
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
        Box::pin(async move { Ok(self.fresh.discard(&mut self.connection).await?) })
    }
}
