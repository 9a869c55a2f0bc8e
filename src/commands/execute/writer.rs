//! The writer: holds room states in memory, decides batches of commands on them, and appends the batches.
//!
//! States may be outdated when other processes write to the same rooms. A decision on an outdated state has no effect: the append
//! rejects it, and if there is nothing to append, the writer compares versions before it responds.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::erased::Erased;
use super::error::ExecuteError;
use super::keys::{BatchKeys, KeysInFlight};
use super::limits::Limits;
use super::load::{LoadedRoom, Loader};
use super::plan::Plan;
use super::resolve::{Committed, resolve};
use super::rooms::Rooms;
use super::submission::{Submission, Verdict};
use crate::events::log::append::{Appended, Batch, RoomAppend};
use crate::events::log::{EventLog, LogError};
use crate::events::time::{Clock, Timestamp};
use crate::ids::RoomKey;
use crate::security::sealing::{KeyError, Sealer};
use crate::telemetry::metrics::Metrics;

/// How long an append may take before its connection is given up; what it did is then found out by its versions and keys.
const APPEND_PATIENCE: Duration = Duration::from_secs(30);

/// Events decided in one batch; what would follow waits for the next. One command may write more.
const EVENTS_IN_BATCH: usize = 10_000;

/// What an executor and its writer stand on.
#[derive(Clone)]
pub struct Foundation {
    pub log: EventLog,
    pub sealer: Sealer,
    pub clock: Clock,
    pub metrics: Metrics,
}

/// A batch of which the log refused something, and wrote nothing.
struct RefusedBatch<T> {
    submissions: Vec<Submission<T>>,
    /// Not part of it.
    put_off: Vec<Submission<T>>,
    error: LogError,
}

pub struct Writer {
    pub(super) on: Foundation,
    pub(super) loader: Loader,
    pub(super) limits: Limits,
    pub rooms: Rooms,
    pub(super) last_recorded: Option<Timestamp>,
    pub(super) keys_in_flight: KeysInFlight,
}

impl Writer {
    pub fn new(on: Foundation, loader: Loader, limits: Limits) -> Self {
        Self {
            on,
            loader,
            limits,
            rooms: Rooms::new(limits.room_memory),
            last_recorded: None,
            keys_in_flight: KeysInFlight::new(),
        }
    }

    /// Decides and appends. The rooms of the submissions must be loaded; a submission with one that is not is put off.
    pub async fn commit<T>(&mut self, submissions: Vec<Submission<T>>) -> Committed<T> {
        match self.commit_together(submissions).await {
            Ok(committed) => committed,
            Err(refused) => self.commit_apart(refused).await,
        }
    }

    /// Finds the submissions that brought what the log refuses, by halves: they fail alone, the others are committed.
    async fn commit_apart<T>(&mut self, refused: RefusedBatch<T>) -> Committed<T> {
        let RefusedBatch { submissions, put_off: later, error } = refused;
        let mut committed = Committed { answered: Vec::new(), put_off: Vec::new() };
        // The next part is the last.
        let mut parts = Vec::new();
        divide(submissions, error, &mut parts, &mut committed);
        while let Some(part) = parts.pop() {
            let part = hold_back(part, &mut committed.put_off);
            if let Err(error) = self.load_missing(&part).await {
                let error = Arc::new(error);
                let failed = || Verdict::Failed { index: 0, error: ExecuteError::Unavailable(error.clone()) };
                committed.answered.extend(part.into_iter().map(|submission| (submission.ticket, failed())));
                continue;
            }
            match self.commit_together(part).await {
                Ok(Committed { answered, put_off }) => {
                    committed.answered.extend(answered);
                    committed.put_off.extend(put_off);
                }
                Err(RefusedBatch { submissions, put_off, error }) => {
                    committed.put_off.extend(put_off);
                    divide(submissions, error, &mut parts, &mut committed);
                }
            }
        }
        committed.put_off.extend(later);
        committed
    }

    /// A batch that was not written has taken the states of its rooms with it.
    async fn load_missing<T>(&mut self, submissions: &[Submission<T>]) -> Result<(), LogError> {
        for key in submissions.iter().flat_map(Submission::keys) {
            if !self.rooms.contains(&key) {
                let room = self.loader.now(&key).await?;
                self.rooms.put(key, room);
            }
        }
        Ok(())
    }

    async fn commit_together<T>(&mut self, submissions: Vec<Submission<T>>) -> Result<Committed<T>, RefusedBatch<T>> {
        let (keys, erased) = match self.ready(&submissions).await {
            Ok(ready) => ready,
            Err(error) => {
                let error = Arc::new(error);
                let failed = || Verdict::Failed { index: 0, error: ExecuteError::Sealing(error.clone()) };
                let answered = submissions.into_iter().map(|submission| (submission.ticket, failed())).collect();
                return Ok(Committed { answered, put_off: Vec::new() });
            }
        };
        let now = self.now();
        let Plan { rooms, answers, put_off, order, erased, keys, .. } =
            self.decide(submissions, Plan::new(now, keys, erased, false));
        let (appends, states): (Vec<_>, Vec<_>) =
            rooms.into_iter().map(|planned| (planned.append, planned.room)).unzip();
        let (batch, events) = (Batch { keys: keys.to_store(), ..Batch::new(now, appends) }, order.len());
        let begun = Instant::now();
        match patiently(self.append(&batch)).await {
            Ok(appended) => {
                // Before the keys of this batch are kept, and before anybody is answered.
                erased.forget(&self.on.sealer);
                self.on.metrics.append(events, begun.elapsed());
                keys.keep(&appended);
                self.take_back(batch, states, &appended);
                Ok(resolve(answers, put_off, &appended, self.limits.conflict_retries))
            }
            Err(error @ LogError::Refused(_)) => {
                erased.forget(&self.on.sealer);
                let submissions = answers.into_iter().map(|planned| planned.submission).collect();
                Err(RefusedBatch { submissions, put_off, error })
            }
            Err(error) => {
                // It may have been committed before the connection was lost.
                erased.forget(&self.on.sealer);
                tracing::warn!(%error, events, "append of a batch failed");
                let error = Arc::new(error);
                let failed = || Verdict::Failed { index: 0, error: ExecuteError::Unavailable(error.clone()) };
                let answered = answers.into_iter().map(|planned| (planned.submission.ticket, failed())).collect();
                Ok(Committed { answered, put_off })
            }
        }
    }

    /// What is decided now happens now. Time does not go back.
    pub(super) fn now(&self) -> Timestamp {
        let clock = self.on.clock.now();
        self.last_recorded.map_or(clock, |last| clock.max(last))
    }

    pub(super) fn decide<T>(&mut self, submissions: Vec<Submission<T>>, mut plan: Plan<T>) -> Plan<T> {
        for submission in submissions {
            if plan.order.len() < EVENTS_IN_BATCH {
                plan.add(submission, &mut self.rooms);
            } else {
                plan.put_off.push(submission);
            }
        }
        plan
    }

    /// What is to be asked of the keys of persons before a batch is decided: those to seal with, and who has one to lose.
    async fn ready<T>(&self, submissions: &[Submission<T>]) -> Result<(BatchKeys, Erased), KeyError> {
        let keys = self.keys_of(submissions).await?;
        Ok((keys, Erased::ask(submissions, &self.on.sealer).await?))
    }

    pub(super) async fn keys_of<T>(&self, submissions: &[Submission<T>]) -> Result<BatchKeys, KeyError> {
        let persons: HashSet<_> = submissions.iter().flat_map(|submission| &submission.persons).cloned().collect();
        let persons: Vec<_> = persons.into_iter().collect();
        let keys = self.on.sealer.find_keys(&persons).await?;
        Ok(BatchKeys::new(self.on.sealer.clone(), keys).after(&self.keys_in_flight, &persons))
    }

    /// Appends, or where there is nothing to write sees whether the states decided on are those of the log.
    async fn append(&self, batch: &Batch) -> Result<Appended, LogError> {
        let writes = batch.progress.is_some() || batch.rooms.iter().any(RoomAppend::writes);
        if writes { self.on.log.append(batch).await } else { self.on.log.compare(batch).await }
    }

    /// Rooms as they are after the batch; those that were left out are loaded anew when they are next asked for.
    fn take_back(&mut self, batch: Batch, states: Vec<LoadedRoom>, appended: &Appended) {
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
fn divide<T>(
    mut submissions: Vec<Submission<T>>,
    error: LogError,
    parts: &mut Vec<Vec<Submission<T>>>,
    committed: &mut Committed<T>,
) {
    if submissions.len() > 1 {
        let second = submissions.split_off(submissions.len() / 2);
        parts.extend([second, submissions]);
    } else if let Some(alone) = submissions.pop() {
        let rooms: Vec<String> = alone.keys().iter().map(|key| format!("{}/{}", key.tenant, key.room)).collect();
        tracing::error!(%error, ?rooms, "the log rejected a command; the other commands of its batch are appended without it");
        let verdict = Verdict::Failed { index: 0, error: ExecuteError::Unavailable(Arc::new(error)) };
        committed.answered.push((alone.ticket, verdict));
    }
}

/// Defers the later commands to the rooms of deferred ones, behind them.
fn hold_back<T>(submissions: Vec<Submission<T>>, put_off: &mut Vec<Submission<T>>) -> Vec<Submission<T>> {
    let mut held: HashSet<RoomKey> = put_off.iter().flat_map(Submission::keys).collect();
    let mut free = Vec::with_capacity(submissions.len());
    for submission in submissions {
        let keys = submission.keys();
        if keys.iter().any(|key| held.contains(key)) {
            held.extend(keys);
            put_off.push(submission);
        } else {
            free.push(submission);
        }
    }
    free
}

/// Cancels an append that takes too long.
pub(super) async fn patiently(append: impl Future<Output = Result<Appended, LogError>>) -> Result<Appended, LogError> {
    let done = tokio::time::timeout(APPEND_PATIENCE, append).await;
    done.unwrap_or_else(|_| Err(LogError::Unavailable(sqlx::Error::PoolTimedOut)))
}
