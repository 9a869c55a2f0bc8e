//! Executes commands: from a request to a durable response.
//!
//! ```text
//! Executor::execute ─ look-ups ─► queue ─► Writer: decide each in memory, room after room ─► one append ─► responses
//! ```
//!
//! Each process has one [`writer::Writer`], which owns the states of recently written rooms. It decides waiting commands one
//! after another and commits them together, including several for one room. So a room accepts as many commands as the log accepts
//! events, not one per commit. Any number of processes can do this on one log: another process's events show as a version
//! conflict; the room is then loaded again and the command decided again, up to a limit.
//!
//! Invariants: the response to a command is sent when its events are durable, or when its refusal holds for the room's state in
//! the log; the same idempotency key gives the same response, byte for byte; a refusal changes nothing.

mod answer;
mod encode;
mod erased;
pub mod intake;
mod keys;
pub mod load;
pub mod lookup;
mod plan;
mod queue;
mod recent;
mod rooms;
mod settle;
pub mod writer;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

pub use self::answer::Outcome;
use self::load::Loader;
use self::queue::Queue;
use self::recent::RecentOutcomes;
use self::writer::{Submission, Writer};
use super::context::Caller;
use super::refusal::Refusal;
use super::room::RoomCommand;
use crate::config::LogConfig;
use crate::events::envelope::{Hash, Position, RoomVersion};
use crate::events::ids::{Actor, CommandId, RoomId};
use crate::events::log::{EventLog, LogError, RoomKey};
use crate::events::time::{Clock, Timestamp};
use crate::security::grants::Grants;
use crate::security::random;
use crate::security::sealing::{KeyError, Sealer};
use crate::telemetry::metrics::Metrics;

/// A command and all that is said around it.
#[derive(Clone, Debug)]
pub struct Request {
    pub caller: Arc<Caller>,
    pub room: RoomId,
    pub command: RoomCommand,
    pub command_id: CommandId,
    pub idempotency: Option<Idempotency>,
    /// Refuse unless the room is at this version (`If-Match`).
    pub expected_version: Option<RoomVersion>,
    pub causation_id: Option<Uuid>,
    pub correlation_id: Option<Uuid>,
    pub traceparent: Option<Arc<str>>,
    /// When it happened, for history moved in.
    pub occurred_at: Option<Timestamp>,
}

impl Request {
    /// What the program orders by itself, under the name of a part of it: everything is granted, nothing is repeated.
    pub fn by_system(name: &str, key: RoomKey, command: RoomCommand, now: Timestamp) -> Self {
        let actor = Actor::System(name.into());
        Self {
            caller: Arc::new(Caller { tenant: key.tenant, actor, grants: Grants::everything() }),
            room: key.room,
            command,
            command_id: CommandId::from_uuid(random::uuid_v7(now)),
            idempotency: None,
            expected_version: None,
            causation_id: None,
            correlation_id: None,
            traceparent: None,
            occurred_at: None,
        }
    }

    pub fn key(&self) -> RoomKey {
        RoomKey { tenant: self.caller.tenant.clone(), room: self.room }
    }
}

/// The caller's promise that requests under one key are one request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Idempotency {
    /// At most 255 characters.
    pub key: String,
    /// Of the whole request; another one under the same key is refused.
    pub fingerprint: Hash,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    #[error(transparent)]
    Refused(Box<Refusal>),
    #[error("the room is at version {actual}")]
    VersionMismatch { actual: RoomVersion },
    #[error("the idempotency key was used with another request")]
    KeyReused,
    #[error("other servers changed the room at every attempt")]
    Conflict,
    #[error("the queue of commands is full")]
    Busy,
    #[error(transparent)]
    Unavailable(Arc<LogError>),
    #[error("personal fields cannot be sealed: {0}")]
    Sealing(Arc<KeyError>),
    #[error("the server is stopping")]
    Stopping,
}

impl ExecuteError {
    /// Whether it is the room that stands in the way as it is by now: at an earlier time the same request may have been
    /// accepted.
    fn is_of_the_room(&self) -> bool {
        matches!(self, ExecuteError::Refused(_) | ExecuteError::VersionMismatch { .. })
    }
}

/// The second command of a group under one idempotency key: the key stands for one outcome, and could not tell the two apart.
fn twin_key(group: &[Request]) -> Option<usize> {
    if group.len() < 2 {
        return None;
    }
    let mut seen = HashSet::with_capacity(group.len());
    group.iter().position(|request| {
        let given = request.idempotency.as_ref();
        given.is_some_and(|given| !seen.insert((&request.caller.tenant, &given.key)))
    })
}

/// Which command of a group was not carried out, and why; none of them was.
#[derive(Debug)]
pub struct AtomicError {
    pub index: usize,
    pub error: ExecuteError,
}

/// The bounds of an executor.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Commands decided and committed together, at most.
    pub batch: usize,
    /// Commands that may wait; more are answered [`ExecuteError::Busy`].
    pub queue: usize,
    /// How often a command is decided again after a conflict.
    pub conflict_retries: u32,
    /// Bytes that the states of rooms in memory may take.
    pub room_memory: usize,
    /// Events between snapshots of a room.
    pub snapshot_interval: u64,
}

impl Limits {
    pub fn configured(config: &LogConfig) -> Self {
        Self {
            batch: config.append_batch,
            queue: config.append_queue,
            conflict_retries: config.conflict_retries,
            room_memory: config.room_memory,
            snapshot_interval: config.snapshot_interval,
        }
    }
}

/// The dependencies of an executor.
#[derive(Clone)]
pub struct Foundation {
    pub log: EventLog,
    pub sealer: Sealer,
    pub clock: Clock,
    pub metrics: Metrics,
}

/// How long a command may wait for room in a full queue before it is answered busy.
const QUEUE_PATIENCE: Duration = Duration::from_secs(1);

/// Takes commands. Cheap to clone.
#[derive(Clone)]
pub struct Executor {
    queue: mpsc::Sender<Submission<Ticket>>,
    log: EventLog,
    loader: Loader,
    recent: RecentOutcomes,
    metrics: Metrics,
    conflict_retries: u32,
}

/// Where the answer to a submission goes.
type Ticket = oneshot::Sender<writer::Verdict>;

impl Executor {
    /// The executor and the work behind it, to be run for as long as commands are to be taken. It ends when told to stop, after
    /// answering all that it has taken.
    pub fn new(on: Foundation, limits: Limits) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let Foundation { log, metrics, .. } = on.clone();
        let (queue, waiting) = mpsc::channel(limits.queue.max(1));
        let loader = Loader::new(log.clone(), limits.snapshot_interval);
        let writer = Writer::new(on, loader.clone(), limits);
        let executor = Self {
            queue,
            log,
            loader: loader.clone(),
            recent: RecentOutcomes::default(),
            metrics,
            conflict_retries: limits.conflict_retries,
        };
        (executor, Queue::new(writer, loader, waiting, limits).run())
    }

    pub fn loader(&self) -> &Loader {
        &self.loader
    }

    pub async fn execute(&self, request: Request) -> Result<Outcome, ExecuteError> {
        let begun = Instant::now();
        let name = request.command.name();
        let outcome = self.execute_group(Arc::from([request])).await;
        let outcome = outcome.map_err(|failed| failed.error).and_then(|mut outcomes| {
            // A group that was carried out has an outcome for each command.
            outcomes.pop().ok_or(ExecuteError::Stopping)
        });
        self.metrics.command(name, answer::label(&outcome), begun.elapsed());
        outcome
    }

    /// All of them, or none. The rooms may be many; the commands are carried out in order.
    pub async fn execute_atomic(&self, requests: Vec<Request>) -> Result<Vec<Outcome>, AtomicError> {
        let begun = Instant::now();
        let names: Vec<_> = requests.iter().map(|request| request.command.name()).collect();
        let outcomes = self.execute_group(requests.into()).await;
        let label = match &outcomes {
            Ok(_) => "accepted",
            Err(failed) => answer::error_label(&failed.error),
        };
        for name in names {
            self.metrics.command(name, label, begun.elapsed());
        }
        outcomes
    }

    async fn execute_group(&self, requests: Arc<[Request]>) -> Result<Vec<Outcome>, AtomicError> {
        if let Some(index) = twin_key(&requests) {
            return Err(AtomicError { index, error: ExecuteError::KeyReused });
        }
        if let Some(answered) = self.recent.answer(&requests) {
            return answered;
        }
        let mut attempts = 0;
        loop {
            let facts = lookup::facts(&self.log, &requests)
                .await
                .map_err(|error| AtomicError { index: 0, error: ExecuteError::Unavailable(Arc::new(error)) })?;
            match self.submit(requests.clone(), facts, attempts).await? {
                writer::Verdict::Done(outcomes) => {
                    self.recent.keep(&requests, &outcomes);
                    return Ok(outcomes);
                }
                writer::Verdict::Failed { index, error } => {
                    if !error.is_of_the_room() {
                        return Err(AtomicError { index, error });
                    }
                    // A stored response stays the same, whatever the state of the room is now.
                    return match self.repeated(&requests).await {
                        Some(answered) => answered,
                        None => Err(AtomicError { index, error }),
                    };
                }
                writer::Verdict::StaleFacts if attempts < self.conflict_retries => attempts += 1,
                writer::Verdict::StaleFacts => {
                    return Err(AtomicError { index: 0, error: ExecuteError::Conflict });
                }
            }
        }
    }

    /// The outcomes given before, where any of the requests has one; a group is answered again as a whole or not at all.
    async fn repeated(&self, requests: &[Request]) -> Option<Result<Vec<Outcome>, AtomicError>> {
        let failed = |index, error| AtomicError { index, error };
        let stored = match lookup::stored_outcomes(&self.log, requests).await {
            Ok(stored) if stored.iter().all(Option::is_none) => return None,
            Ok(stored) => stored,
            Err(error) => return Some(Err(failed(0, ExecuteError::Unavailable(Arc::new(error))))),
        };
        let replayed = requests.iter().zip(stored).enumerate().map(|(index, (request, stored))| {
            let replayed = stored.ok_or(ExecuteError::KeyReused).and_then(|stored| answer::replay(request, stored));
            replayed.map_err(|error| failed(index, error))
        });
        Some(replayed.collect())
    }

    async fn submit(
        &self,
        requests: Arc<[Request]>,
        facts: Vec<lookup::Looked>,
        attempts: u32,
    ) -> Result<writer::Verdict, AtomicError> {
        let failed = |error| AtomicError { index: 0, error };
        let (ticket, answer) = oneshot::channel();
        let submission = Submission::new(requests, facts, attempts, ticket);
        match self.queue.send_timeout(submission, QUEUE_PATIENCE).await {
            Ok(()) => answer.await.map_err(|_| failed(ExecuteError::Stopping)),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(failed(ExecuteError::Busy)),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(failed(ExecuteError::Stopping)),
        }
    }

    /// The last position that this process has seen committed.
    pub fn position(&self) -> Position {
        *self.log.head_watch().borrow()
    }
}
