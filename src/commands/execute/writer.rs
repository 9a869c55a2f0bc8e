//! The writer: the states of rooms in memory, and batches of commands decided on them and appended.
//!
//! States in memory may be old when other processes write to the same rooms. What is decided on an old state never counts: the
//! append leaves it out, and where nothing is to be written the versions are asked for before anything is answered.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lru::LruCache;

use super::answer::Outcome;
use super::load::{LoadedRoom, Loader};
use super::lookup::Looked;
use super::plan::{Plan, Planned};
use super::settle::settle;
use super::{ExecuteError, Foundation, Limits, Request};
use crate::events::ids::{Identity, TenantId};
use crate::events::log::append::{Appended, Batch, Progress, RoomAppend};
use crate::events::log::{LogError, RoomKey};
use crate::events::time::Timestamp;
use crate::security::sealing::PersonKeys;

/// How long an append may take before its connection is given up; what it did is then found out by its versions and keys.
const APPEND_PATIENCE: Duration = Duration::from_secs(30);

/// Events decided in one batch; what would follow waits for the next. One command may write more.
const EVENTS_IN_BATCH: usize = 10_000;

/// Requests that are carried out together, and where their answer goes.
pub struct Submission<T> {
    pub requests: Arc<[Request]>,
    pub looked: Vec<Looked>,
    /// How often it met a conflict.
    pub attempts: u32,
    /// Whose keys it needs, as far as is known.
    pub persons: Vec<(TenantId, Identity)>,
    pub ticket: T,
}

impl<T> Submission<T> {
    pub fn new(requests: Arc<[Request]>, looked: Vec<Looked>, attempts: u32, ticket: T) -> Self {
        let persons = requests
            .iter()
            .filter_map(|request| {
                let subject = request.command.subject(&request.caller)?;
                Some((request.caller.tenant.clone(), subject.clone()))
            })
            .collect();
        Self { requests, looked, attempts, persons, ticket }
    }

    /// The rooms, each once.
    pub fn keys(&self) -> Vec<RoomKey> {
        let mut keys = Vec::with_capacity(1);
        for request in self.requests.iter() {
            let key = request.key();
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// Whether the room need not be looked for: the command creates it. If it is there after all, the append says so.
    pub fn presumes_absent(&self, key: &RoomKey) -> bool {
        let first = self.requests.iter().find(|request| request.room == key.room);
        self.attempts == 0 && first.is_some_and(|request| request.command.creates())
    }
}

/// How a submission ended.
#[derive(Debug)]
pub enum Verdict {
    Done(Vec<Outcome>),
    /// The request at `index` was not carried out, and so none of them.
    Failed {
        index: usize,
        error: ExecuteError,
    },
    /// What was looked up no longer holds: it is to be looked up and submitted again.
    StaleFacts,
}

/// Why a batch is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Callers wait for their answers.
    Serve,
    /// History is moved in: nobody waits for the texts of answers, events lie in the log in the order of the submissions, and
    /// the batch is one whole (it is carried out with its progress).
    Intake {
        /// See [`Batch::recorded_as_occurred`].
        recorded_as_occurred: bool,
    },
}

/// A batch that was decided and not yet written.
pub struct Foreseen<T> {
    batch: Batch,
    states: Vec<LoadedRoom>,
    answers: Vec<Planned<T>>,
    put_off: Vec<Submission<T>>,
    keys: PersonKeys,
    events: usize,
}

impl<T> Foreseen<T> {
    /// What each submission's first request will be answered, if the batch is written: how many events it writes, or why it is
    /// not carried out.
    pub fn outcomes(&self) -> impl Iterator<Item = (&T, Result<usize, &ExecuteError>)> {
        self.answers.iter().map(|planned| {
            let outcome = planned.result.as_ref().map(|outcomes| outcomes.iter().map(|outcome| outcome.events).sum());
            (&planned.submission.ticket, outcome.map_err(|(_, error)| error))
        })
    }

    /// Those that cannot be part of this batch.
    pub fn put_off(&self) -> impl Iterator<Item = &T> {
        self.put_off.iter().map(|submission| &submission.ticket)
    }

    pub fn events(&self) -> usize {
        self.events
    }
}

/// What became of a batch.
pub struct Committed<T> {
    pub answered: Vec<(T, Verdict)>,
    /// To be submitted again, in this order, before anything later to the same rooms.
    pub put_off: Vec<Submission<T>>,
    /// Nothing that was foreseen is missing: all of it is written, all answers are as foreseen.
    pub whole: bool,
}

/// The states of the rooms that were lately written.
pub struct Rooms(LruCache<RoomKey, LoadedRoom>);

impl Rooms {
    fn new(capacity: usize) -> Self {
        Self(LruCache::new(NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN)))
    }

    pub fn contains(&self, key: &RoomKey) -> bool {
        self.0.contains(key)
    }

    pub(super) fn take(&mut self, key: &RoomKey) -> Option<LoadedRoom> {
        self.0.pop(key)
    }

    pub fn put(&mut self, key: RoomKey, room: LoadedRoom) {
        self.0.put(key, room);
    }
}

pub struct Writer {
    on: Foundation,
    loader: Loader,
    limits: Limits,
    pub rooms: Rooms,
    last_recorded: Option<Timestamp>,
}

impl Writer {
    pub fn new(on: Foundation, loader: Loader, limits: Limits) -> Self {
        Self { on, loader, limits, rooms: Rooms::new(limits.rooms), last_recorded: None }
    }

    /// Goes on where the log is, in times that the log gives.
    pub fn continue_after(&mut self, recorded_at: Option<Timestamp>) {
        self.last_recorded = self.last_recorded.max(recorded_at);
    }

    /// Of what it wrote last.
    pub fn last_recorded(&self) -> Option<Timestamp> {
        self.last_recorded
    }

    /// Decides and appends. The rooms of the submissions must be loaded; a submission with one that is not is put off.
    pub async fn commit<T>(&mut self, submissions: Vec<Submission<T>>) -> Committed<T> {
        match self.foresee(submissions, Purpose::Serve).await {
            Ok(foreseen) => self.carry_out(foreseen, None).await,
            Err(failed) => failed,
        }
    }

    /// Decides, as [`Writer::commit`] does. What was decided must be carried out before anything else is decided.
    pub async fn foresee<T>(
        &mut self,
        submissions: Vec<Submission<T>>,
        purpose: Purpose,
    ) -> Result<Foreseen<T>, Committed<T>> {
        let keys = match self.keys_of(&submissions).await {
            Ok(keys) => keys,
            Err(error) => {
                let error = Arc::new(error);
                let failed = || Verdict::Failed { index: 0, error: ExecuteError::Sealing(error.clone()) };
                let answered = submissions.into_iter().map(|submission| (submission.ticket, failed())).collect();
                return Err(Committed { answered, put_off: Vec::new(), whole: false });
            }
        };
        let clock = self.on.clock.now();
        let now = self.last_recorded.map_or(clock, |last| clock.max(last));
        let mut plan = Plan::new(now, &keys, purpose != Purpose::Serve);
        for submission in submissions {
            if plan.order.len() < EVENTS_IN_BATCH {
                plan.add(submission, &mut self.rooms);
            } else {
                plan.put_off.push(submission);
            }
        }
        let Plan { rooms, answers, put_off, order, .. } = plan;
        let (appends, states) = rooms.into_iter().map(|planned| (planned.append, planned.room)).unzip();
        let (mut batch, events) = (Batch::new(now, appends), order.len());
        if let Purpose::Intake { recorded_as_occurred } = purpose {
            batch.order = Some(order);
            batch.recorded_as_occurred = recorded_as_occurred.then(|| self.last_recorded.unwrap_or(Timestamp::EPOCH));
        }
        Ok(Foreseen { batch, states, answers, put_off, keys, events })
    }

    async fn keys_of<T>(
        &self,
        submissions: &[Submission<T>],
    ) -> Result<PersonKeys, crate::security::sealing::KeyError> {
        let persons: HashSet<_> = submissions.iter().flat_map(|submission| &submission.persons).cloned().collect();
        let persons: Vec<_> = persons.into_iter().collect();
        self.on.sealer.ensure_keys(&persons).await
    }

    /// Appends what was decided. With `progress`, which an intake must give, all of it is written or nothing.
    pub async fn carry_out<T>(&mut self, foreseen: Foreseen<T>, progress: Option<Progress>) -> Committed<T> {
        let Foreseen { mut batch, states, answers, put_off, keys, events } = foreseen;
        batch.progress = progress;
        let begun = Instant::now();
        let done = tokio::time::timeout(APPEND_PATIENCE, self.append(&batch)).await;
        let done = done.unwrap_or_else(|_| Err(LogError::Unavailable(sqlx::Error::PoolTimedOut)));
        match done {
            Ok(appended) => {
                self.on.metrics.append(events, begun.elapsed());
                // Keys are durable by the flush of events that were written; without any there was no flush.
                let mut of_batch = batch.rooms.iter().zip(&appended.rooms);
                if of_batch.any(|(room, written)| written.is_some() && !room.events.is_empty()) {
                    self.on.sealer.keep(&keys);
                }
                self.take_back(batch, states, &appended);
                settle(answers, put_off, &appended, self.limits.conflict_retries)
            }
            Err(error) => {
                tracing::warn!(%error, events, "a batch was not appended");
                let error = Arc::new(error);
                let failed = |index| Verdict::Failed { index, error: ExecuteError::Unavailable(error.clone()) };
                let answered = answers.into_iter().map(|planned| (planned.submission.ticket, failed(0))).collect();
                Committed { answered, put_off, whole: false }
            }
        }
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
                room.snapshot = room.version;
                let (loader, key, copy) = (self.loader.clone(), append.key.clone(), room.clone());
                tokio::spawn(async move { loader.keep(&key, &copy).await });
            }
            self.rooms.put(append.key, room);
        }
    }
}
