//! The writer: the states of rooms in memory, and batches of commands decided on them and appended.
//!
//! States in memory may be old when other processes write to the same rooms. What is decided on an old state never counts: the
//! append leaves it out, and where nothing is to be written the versions are asked for before anything is answered.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lru::LruCache;

use super::answer::{self, Outcome};
use super::load::{LoadedRoom, Loader};
use super::lookup::Looked;
use super::plan::{Plan, Planned, PlannedOutcome, PlannedRoom};
use super::{ExecuteError, Foundation, Limits, Request};
use crate::commands::context::Need;
use crate::events::ids::{Identity, TenantId};
use crate::events::log::append::{Appended, Batch, Conflict, OutcomeAt, Progress, RoomAppend, Written};
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

/// What a batch of the server's has no use for.
#[derive(Default)]
pub struct Intake {
    pub progress: Option<Progress>,
    /// See [`Batch::recorded_as_occurred`].
    pub recorded_as_occurred: bool,
}

/// What became of a batch.
pub struct Committed<T> {
    pub answered: Vec<(T, Verdict)>,
    /// To be submitted again, in this order, before anything later to the same rooms.
    pub put_off: Vec<Submission<T>>,
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

    /// Decides and appends. The rooms of the submissions must be loaded; a submission with one that is not is put off.
    pub async fn commit<T>(&mut self, submissions: Vec<Submission<T>>, intake: Intake) -> Committed<T> {
        let keys = match self.keys_of(&submissions).await {
            Ok(keys) => keys,
            Err(error) => {
                let error = Arc::new(error);
                let failed = || Verdict::Failed { index: 0, error: ExecuteError::Sealing(error.clone()) };
                let answered = submissions.into_iter().map(|submission| (submission.ticket, failed())).collect();
                return Committed { answered, put_off: Vec::new() };
            }
        };
        let clock = self.on.clock.now();
        let now = self.last_recorded.map_or(clock, |last| clock.max(last));
        let mut plan = Plan::new(now, &keys);
        for submission in submissions {
            if plan.events < EVENTS_IN_BATCH {
                plan.add(submission, &mut self.rooms);
            } else {
                plan.put_off.push(submission);
            }
        }
        let Plan { rooms, answers, put_off, events, .. } = plan;
        let (committed, durable) = self.carry_out(now, rooms, answers, put_off, events, intake).await;
        if durable {
            self.on.sealer.keep(&keys);
        }
        committed
    }

    async fn keys_of<T>(
        &self,
        submissions: &[Submission<T>],
    ) -> Result<PersonKeys, crate::security::sealing::KeyError> {
        let persons: HashSet<_> = submissions.iter().flat_map(|submission| &submission.persons).cloned().collect();
        let persons: Vec<_> = persons.into_iter().collect();
        self.on.sealer.ensure_keys(&persons).await
    }

    /// `true` beside it: events were written.
    async fn carry_out<T>(
        &mut self,
        now: Timestamp,
        rooms: Vec<PlannedRoom>,
        answers: Vec<Planned<T>>,
        put_off: Vec<Submission<T>>,
        events: usize,
        intake: Intake,
    ) -> (Committed<T>, bool) {
        let (appends, states): (Vec<_>, Vec<_>) =
            rooms.into_iter().map(|planned| (planned.append, planned.room)).unzip();
        let mut batch = Batch::new(now, appends);
        batch.progress = intake.progress;
        if intake.recorded_as_occurred {
            batch.recorded_as_occurred = Some(self.last_recorded.unwrap_or(Timestamp::EPOCH));
        }
        let begun = Instant::now();
        let done = tokio::time::timeout(APPEND_PATIENCE, self.append(&batch)).await;
        let done = done.unwrap_or_else(|_| Err(LogError::Unavailable(sqlx::Error::PoolTimedOut)));
        match done {
            Ok(appended) => {
                self.on.metrics.append(events, begun.elapsed());
                self.take_back(batch, states, &appended);
                let wrote = appended.rooms.iter().any(Option::is_some) && events > 0;
                (settle(answers, put_off, &appended, self.limits.conflict_retries), wrote)
            }
            Err(error) => {
                tracing::warn!(%error, events, "a batch was not appended");
                let error = Arc::new(error);
                let failed = |index| Verdict::Failed { index, error: ExecuteError::Unavailable(error.clone()) };
                let answered = answers.into_iter().map(|planned| (planned.submission.ticket, failed(0))).collect();
                (Committed { answered, put_off }, false)
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
            let Some(Written { first_position, chain, recorded_at, .. }) = written else { continue };
            if !append.events.is_empty() {
                room.position = first_position + append.events.len() as u64 - 1;
                room.recorded_at = Some(*recorded_at);
                room.chain = *chain;
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

/// Answers what was written, and what was left out for a reason of its own; the rest of what was left out is put off.
fn settle<T>(
    answers: Vec<Planned<T>>,
    put_off: Vec<Submission<T>>,
    appended: &Appended,
    conflict_retries: u32,
) -> Committed<T> {
    let mut committed = Committed { answered: Vec::with_capacity(answers.len()), put_off: Vec::new() };
    for planned in answers {
        let Planned { mut submission, unit, result } = planned;
        let Some(conflicts) = appended.conflicts.get(&unit) else {
            let verdict = match result {
                Ok(outcomes) => Verdict::Done(outcomes.into_iter().map(|outcome| placed(outcome, appended)).collect()),
                Err((index, error)) => Verdict::Failed { index, error },
            };
            committed.answered.push((submission.ticket, verdict));
            continue;
        };
        if let Some(verdict) = own_conflict(&submission, conflicts) {
            committed.answered.push((submission.ticket, verdict));
            continue;
        }
        if conflicts.iter().any(|conflict| matches!(conflict, Conflict::Version { .. })) {
            submission.attempts += 1;
        }
        if submission.attempts > conflict_retries {
            let verdict = Verdict::Failed { index: 0, error: ExecuteError::Conflict };
            committed.answered.push((submission.ticket, verdict));
        } else {
            committed.put_off.push(submission);
        }
    }
    committed.put_off.extend(put_off);
    committed
}

/// The outcome at its place in the log.
fn placed(outcome: PlannedOutcome, appended: &Appended) -> Outcome {
    let (position, recorded_at) = match (outcome.at, &appended.rooms[outcome.room]) {
        (OutcomeAt::Event(index), Some(written)) => (written.first_position + index as u64, written.recorded_at),
        (OutcomeAt::Event(_), None) => (appended.position, appended.recorded_at),
        (OutcomeAt::Already { position, recorded_at }, _) => (position, recorded_at),
    };
    Outcome {
        status: outcome.status,
        room: outcome.about,
        room_version: outcome.room_version,
        position,
        recorded_at,
        body: answer::render(position, recorded_at, &outcome.kept),
        replayed: false,
    }
}

/// A conflict over something that this submission itself brought: its keys, its names.
fn own_conflict<T>(submission: &Submission<T>, conflicts: &[Conflict]) -> Option<Verdict> {
    let stored = |request: &Request| {
        let given = request.idempotency.as_ref()?;
        conflicts.iter().find_map(|conflict| match conflict {
            Conflict::KeyUsed { key, outcome } if *key == given.key => Some(outcome.clone()),
            _ => None,
        })
    };
    let found: Vec<_> = submission.requests.iter().map(|request| (request, stored(request))).collect();
    if found.iter().any(|(_, stored)| stored.is_some()) {
        let mut outcomes = Vec::with_capacity(found.len());
        for (index, (request, stored)) in found.into_iter().enumerate() {
            // A group is answered again as a whole or not at all.
            let replayed = stored.ok_or(ExecuteError::KeyReused).and_then(|stored| answer::replay(request, stored));
            match replayed {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => return Some(Verdict::Failed { index, error }),
            }
        }
        return Some(Verdict::Done(outcomes));
    }
    let wants = |wanted: &str| {
        submission.requests.iter().any(|request| request.command.needs() == Need::NameHolder(wanted.to_owned()))
    };
    let stale = |conflict: &Conflict| matches!(conflict, Conflict::NameTaken { name, .. } if wants(name));
    conflicts.iter().any(stale).then_some(Verdict::StaleFacts)
}
