//! The writer: holds room states in memory, decides batches of commands on them, and appends the batches.
//!
//! States may be outdated when other processes write to the same rooms. A decision on an outdated state has no effect: the append
//! rejects it, and if there is nothing to append, the writer compares versions before it responds.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::ExecuteError;
use super::keys::{BatchKeys, KeysInFlight};
use super::limits::ExecutorLimits;
use super::load::{LoadedRoom, RoomLoader};
use super::pending_commands::{ExecutionResult, PendingCommands};
use super::pending_erasures::PendingErasures;
use super::plan::BatchPlan;
use super::resolve::{ResolvedBatch, resolve};
use super::rooms::WriterRooms;
use crate::events::log::append::{AppendBatch, Appended, RoomAppend};
use crate::events::log::{EventLog, LogError};
use crate::events::time::{Clock, Timestamp};
use crate::ids::RoomKey;
use crate::security::sealing::{KeyError, Sealer};
use crate::telemetry::metrics::Metrics;

/// How long an append may take before its connection is given up; what it did is then found out by its versions and keys.
const APPEND_TIMEOUT: Duration = Duration::from_secs(30);

/// Events decided in one batch; what would follow waits for the next. One command may write more.
const EVENTS_IN_BATCH: usize = 10_000;

/// The services that an executor and its writer use.
#[derive(Clone)]
pub struct ExecutorServices {
    pub log: EventLog,
    pub sealer: Sealer,
    pub clock: Clock,
    pub metrics: Metrics,
}

/// A batch of which the log refused something, and wrote nothing.
struct RefusedBatch<T> {
    submissions: Vec<PendingCommands<T>>,
    /// Not part of it.
    deferred: Vec<PendingCommands<T>>,
    error: LogError,
}

pub struct BatchWriter {
    pub(super) services: ExecutorServices,
    pub(super) loader: RoomLoader,
    pub(super) limits: ExecutorLimits,
    pub rooms: WriterRooms,
    pub(super) last_recorded: Option<Timestamp>,
    pub(super) keys_in_flight: KeysInFlight,
}

impl BatchWriter {
    pub fn new(services: ExecutorServices, loader: RoomLoader, limits: ExecutorLimits) -> Self {
        Self {
            services,
            loader,
            limits,
            rooms: WriterRooms::new(limits.room_memory),
            last_recorded: None,
            keys_in_flight: KeysInFlight::new(),
        }
    }

    /// Decides and appends. The rooms of the submissions must be loaded; a submission with one that is not is deferred.
    pub async fn commit<T>(&mut self, submissions: Vec<PendingCommands<T>>) -> ResolvedBatch<T> {
        match self.commit_together(submissions).await {
            Ok(committed) => committed,
            Err(refused) => self.commit_apart(refused).await,
        }
    }

    /// Finds the submissions that brought what the log refuses, by halves: they fail alone, the others are committed.
    async fn commit_apart<T>(&mut self, refused: RefusedBatch<T>) -> ResolvedBatch<T> {
        let RefusedBatch { submissions, deferred: later, error } = refused;
        let mut committed = ResolvedBatch { answered: Vec::new(), deferred: Vec::new() };
        // The next part is the last.
        let mut parts = Vec::new();
        split_batch(submissions, error, &mut parts, &mut committed);
        while let Some(part) = parts.pop() {
            let part = defer_later_commands(part, &mut committed.deferred);
            if let Err(error) = self.load_missing(&part).await {
                let error = Arc::new(error);
                let failed = || ExecutionResult::Failed { index: 0, error: ExecuteError::Unavailable(error.clone()) };
                committed.answered.extend(part.into_iter().map(|submission| (submission.reply_to, failed())));
                continue;
            }
            match self.commit_together(part).await {
                Ok(ResolvedBatch { answered, deferred }) => {
                    committed.answered.extend(answered);
                    committed.deferred.extend(deferred);
                }
                Err(RefusedBatch { submissions, deferred, error }) => {
                    committed.deferred.extend(deferred);
                    split_batch(submissions, error, &mut parts, &mut committed);
                }
            }
        }
        committed.deferred.extend(later);
        committed
    }

    /// A batch that was not written has taken the states of its rooms with it.
    async fn load_missing<T>(&mut self, submissions: &[PendingCommands<T>]) -> Result<(), LogError> {
        for key in submissions.iter().flat_map(PendingCommands::keys) {
            if !self.rooms.contains(&key) {
                let room = self.loader.now(&key).await?;
                self.rooms.put(key, room);
            }
        }
        Ok(())
    }

    async fn commit_together<T>(
        &mut self,
        submissions: Vec<PendingCommands<T>>,
    ) -> Result<ResolvedBatch<T>, RefusedBatch<T>> {
        let (keys, erased) = match self.ready(&submissions).await {
            Ok(ready) => ready,
            Err(error) => {
                let error = Arc::new(error);
                let failed = || ExecutionResult::Failed { index: 0, error: ExecuteError::Sealing(error.clone()) };
                let answered = submissions.into_iter().map(|submission| (submission.reply_to, failed())).collect();
                return Ok(ResolvedBatch { answered, deferred: Vec::new() });
            }
        };
        let now = self.now();
        let BatchPlan { rooms, answers, deferred, order, erased, keys, .. } =
            self.decide(submissions, BatchPlan::new(now, keys, erased, false));
        let (appends, states): (Vec<_>, Vec<_>) =
            rooms.into_iter().map(|planned| (planned.append, planned.room)).unzip();
        let (batch, events) = (AppendBatch { keys: keys.to_store(), ..AppendBatch::new(now, appends) }, order.len());
        let begun = Instant::now();
        match with_append_timeout(self.append(&batch)).await {
            Ok(appended) => {
                // Before the keys of this batch are kept, and before anybody is answered.
                erased.forget(&self.services.sealer);
                self.services.metrics.append(events, begun.elapsed());
                keys.keep(&appended);
                self.take_back(batch, states, &appended);
                Ok(resolve(answers, deferred, &appended, self.limits.conflict_retries))
            }
            Err(error @ LogError::Refused(_)) => {
                erased.forget(&self.services.sealer);
                let submissions = answers.into_iter().map(|planned| planned.submission).collect();
                Err(RefusedBatch { submissions, deferred, error })
            }
            Err(error) => {
                // It may have been committed before the connection was lost.
                erased.forget(&self.services.sealer);
                tracing::warn!(%error, events, "append of a batch failed");
                let error = Arc::new(error);
                let failed = || ExecutionResult::Failed { index: 0, error: ExecuteError::Unavailable(error.clone()) };
                let answered = answers.into_iter().map(|planned| (planned.submission.reply_to, failed())).collect();
                Ok(ResolvedBatch { answered, deferred })
            }
        }
    }

    /// What is decided now happens now. Time does not go back.
    pub(super) fn now(&self) -> Timestamp {
        let clock = self.services.clock.now();
        self.last_recorded.map_or(clock, |last| clock.max(last))
    }

    pub(super) fn decide<T>(&mut self, submissions: Vec<PendingCommands<T>>, mut plan: BatchPlan<T>) -> BatchPlan<T> {
        for submission in submissions {
            if plan.order.len() < EVENTS_IN_BATCH {
                plan.add(submission, &mut self.rooms);
            } else {
                plan.deferred.push(submission);
            }
        }
        plan
    }

    /// What is to be asked of the keys of persons before a batch is decided: those to seal with, and who has one to lose.
    async fn ready<T>(&self, submissions: &[PendingCommands<T>]) -> Result<(BatchKeys, PendingErasures), KeyError> {
        let keys = self.keys_of(submissions).await?;
        Ok((keys, PendingErasures::ask(submissions, &self.services.sealer).await?))
    }

    pub(super) async fn keys_of<T>(&self, submissions: &[PendingCommands<T>]) -> Result<BatchKeys, KeyError> {
        let persons: HashSet<_> = submissions.iter().flat_map(|submission| &submission.persons).cloned().collect();
        let persons: Vec<_> = persons.into_iter().collect();
        let keys = self.services.sealer.find_keys(&persons).await?;
        Ok(BatchKeys::new(self.services.sealer.clone(), keys).after(&self.keys_in_flight, &persons))
    }

    /// Appends, or where there is nothing to write sees whether the states decided on are those of the log.
    async fn append(&self, batch: &AppendBatch) -> Result<Appended, LogError> {
        let writes = batch.progress.is_some() || batch.rooms.iter().any(RoomAppend::writes);
        if writes { self.services.log.append(batch).await } else { self.services.log.compare(batch).await }
    }

    /// Rooms as they are after the batch; those that were left out are loaded anew when they are next asked for.
    fn take_back(&mut self, batch: AppendBatch, states: Vec<LoadedRoom>, appended: &Appended) {
        self.last_recorded =
            self.last_recorded.max(appended.rooms.iter().flatten().map(|written| written.recorded_at).max());
        for ((append, mut room), written) in batch.rooms.into_iter().zip(states).zip(&appended.rooms) {
            let Some(written) = written else { continue };
            if let Some(last) = append.events.len().checked_sub(1) {
                room.position = written.position_of(last);
                room.recorded_at = Some(written.recorded_at);
                room.chain = written.chain;
            }
            if room.version == 0 {
                continue;
            }
            if room.snapshot_due(self.limits.snapshot_interval) {
                room.snapshot_taken();
                let (loader, key, copy) = (self.loader.clone(), append.key.clone(), room.clone());
                tokio::spawn(async move { loader.keep(&key, &copy).await });
            }
            self.rooms.put(append.key, room);
        }
    }
}

/// Splits a rejected batch in two, to be popped first part first; answers a single submission with the error.
fn split_batch<T>(
    mut submissions: Vec<PendingCommands<T>>,
    error: LogError,
    parts: &mut Vec<Vec<PendingCommands<T>>>,
    committed: &mut ResolvedBatch<T>,
) {
    if submissions.len() > 1 {
        let second = submissions.split_off(submissions.len() / 2);
        parts.extend([second, submissions]);
    } else if let Some(alone) = submissions.pop() {
        let rooms: Vec<String> = alone.keys().iter().map(|key| format!("{}/{}", key.tenant, key.room)).collect();
        tracing::error!(%error, ?rooms, "the log rejected a command; the other commands of its batch are appended without it");
        let verdict = ExecutionResult::Failed { index: 0, error: ExecuteError::Unavailable(Arc::new(error)) };
        committed.answered.push((alone.reply_to, verdict));
    }
}

/// Defers the later commands to the rooms of deferred ones, behind them.
fn defer_later_commands<T>(
    submissions: Vec<PendingCommands<T>>,
    deferred: &mut Vec<PendingCommands<T>>,
) -> Vec<PendingCommands<T>> {
    let mut held: HashSet<RoomKey> = deferred.iter().flat_map(PendingCommands::keys).collect();
    let mut free = Vec::with_capacity(submissions.len());
    for submission in submissions {
        let keys = submission.keys();
        if keys.iter().any(|key| held.contains(key)) {
            held.extend(keys);
            deferred.push(submission);
        } else {
            free.push(submission);
        }
    }
    free
}

/// Cancels an append that takes too long.
pub(super) async fn with_append_timeout(
    append: impl Future<Output = Result<Appended, LogError>>,
) -> Result<Appended, LogError> {
    let done = tokio::time::timeout(APPEND_TIMEOUT, append).await;
    done.unwrap_or_else(|_| Err(LogError::Unavailable(sqlx::Error::PoolTimedOut)))
}
