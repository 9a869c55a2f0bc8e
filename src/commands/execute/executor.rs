//! The executor: takes commands, and gives a receipt for each.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::error::{AtomicError, ExecuteError};
use super::limits::ExecutorLimits;
use super::load::RoomLoader;
use super::lookup;
use super::pending_commands::{ExecutionResult, PendingCommands};
use super::queue::{CommandQueue, QueuedCommands};
use super::recent::RecentOutcomes;
use super::request::CommandRequest;
use super::response::{self, CommandOutcome};
use super::writer::{BatchWriter, ExecutorServices};
use crate::events::log::EventLog;
use crate::ids::Position;
use crate::telemetry::metrics::Metrics;

/// How long a command may wait for room in a full queue before it is answered busy.
const QUEUE_PATIENCE: Duration = Duration::from_secs(1);

/// Takes commands. Cheap to clone.
#[derive(Clone)]
pub struct Executor(Arc<ExecutorInner>);

struct ExecutorInner {
    queue: mpsc::Sender<QueuedCommands>,
    log: EventLog,
    loader: RoomLoader,
    recent: RecentOutcomes,
    metrics: Metrics,
    conflict_retries: u32,
}

/// A command that is in the queue: the future of its answer. Where it is dropped, the command is carried out all the same.
#[must_use = "the answer to a command is awaited"]
pub struct Receipt<T = Result<CommandOutcome, ExecuteError>>(BoxFuture<'static, T>);

/// The receipt of commands that are carried out together.
pub type GroupReceipt = Receipt<Result<Vec<CommandOutcome>, AtomicError>>;

impl<T> Future for Receipt<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<T> {
        self.0.poll_unpin(context)
    }
}

/// What became of a group's way into the queue: where its verdict will come, or the answer that it has without.
type Enqueued = Result<oneshot::Receiver<ExecutionResult>, Result<Vec<CommandOutcome>, AtomicError>>;

impl Executor {
    /// The executor and the work behind it, to be run for as long as commands are to be taken. It ends when told to stop, after
    /// answering all that it has taken.
    pub fn new(services: ExecutorServices, limits: ExecutorLimits) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (executor, waiting, loader) = Self::before_queue(services.log.clone(), services.metrics.clone(), limits);
        let writer = BatchWriter::new(services, loader.clone(), limits);
        (executor, CommandQueue::new(writer, loader, waiting, limits).run())
    }

    /// The executor alone, and the end of the queue at which its commands come out.
    fn before_queue(
        log: EventLog,
        metrics: Metrics,
        limits: ExecutorLimits,
    ) -> (Self, mpsc::Receiver<QueuedCommands>, RoomLoader) {
        let (queue, waiting) = mpsc::channel(limits.queue.max(1));
        let loader = RoomLoader::new(log.clone(), limits.snapshot_interval);
        let shared = ExecutorInner {
            queue,
            log,
            loader: loader.clone(),
            recent: RecentOutcomes::default(),
            metrics,
            conflict_retries: limits.conflict_retries,
        };
        (Self(Arc::new(shared)), waiting, loader)
    }

    pub fn loader(&self) -> &RoomLoader {
        &self.0.loader
    }

    /// Puts a command into the queue. Once this returns the command has its place there, behind all that were put in before:
    /// commands to one room are decided in that order, whichever receipt is polled first. Where the queue has no place, or
    /// the answer is known, the receipt says so at once.
    pub async fn enqueue(&self, request: CommandRequest) -> Receipt {
        let begun = Instant::now();
        let (name, requests) = (request.command.name(), Arc::from([request]));
        let joined = self.0.join(&requests).await;
        let shared = self.0.clone();
        Receipt(Box::pin(async move {
            let outcome = shared.answer(requests, joined).await;
            let outcome = outcome.map_err(|failed| failed.error).and_then(|mut outcomes| {
                // A group that was carried out has an outcome for each command.
                outcomes.pop().ok_or(ExecuteError::Stopping)
            });
            shared.metrics.command(name, response::label(&outcome), begun.elapsed());
            outcome
        }))
    }

    /// The same for commands that are carried out all or not at all. The rooms may be many; the commands are carried out in
    /// order.
    pub async fn enqueue_atomic(&self, requests: Vec<CommandRequest>) -> GroupReceipt {
        let begun = Instant::now();
        let names: Vec<_> = requests.iter().map(|request| request.command.name()).collect();
        let requests: Arc<[CommandRequest]> = requests.into();
        let joined = self.0.join(&requests).await;
        let shared = self.0.clone();
        Receipt(Box::pin(async move {
            let outcomes = shared.answer(requests, joined).await;
            let label = match &outcomes {
                Ok(_) => "accepted",
                Err(failed) => response::error_label(&failed.error),
            };
            for name in names {
                shared.metrics.command(name, label, begun.elapsed());
            }
            outcomes
        }))
    }

    /// Puts a command into the queue and waits for its answer.
    pub async fn execute(&self, request: CommandRequest) -> Result<CommandOutcome, ExecuteError> {
        self.enqueue(request).await.await
    }

    pub async fn execute_atomic(&self, requests: Vec<CommandRequest>) -> Result<Vec<CommandOutcome>, AtomicError> {
        self.enqueue_atomic(requests).await.await
    }

    /// The last position that this process has seen committed.
    pub fn position(&self) -> Position {
        *self.0.log.head_watch().borrow()
    }
}

impl ExecutorInner {
    /// A group's way into the queue, if it has no answer yet.
    async fn join(&self, requests: &Arc<[CommandRequest]>) -> Enqueued {
        if let Some(index) = repeated_key(requests) {
            return Err(Err(AtomicError { index, error: ExecuteError::KeyReused }));
        }
        if let Some(answered) = self.recent.answer(requests) {
            return Err(answered);
        }
        self.submit(requests.clone(), 0).await.map_err(|error| Err(AtomicError { index: 0, error }))
    }

    /// Looks up what the rules need besides the room, and joins the queue with it.
    async fn submit(
        &self,
        requests: Arc<[CommandRequest]>,
        attempts: u32,
    ) -> Result<oneshot::Receiver<ExecutionResult>, ExecuteError> {
        let lookups = lookup::look_up(&self.log, &requests).await;
        let lookups = lookups.map_err(|error| ExecuteError::Unavailable(Arc::new(error)))?;
        let (reply_to, verdict) = oneshot::channel();
        let submission = PendingCommands::new(requests, lookups, attempts, reply_to);
        match self.queue.send_timeout(submission, QUEUE_PATIENCE).await {
            Ok(()) => Ok(verdict),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(ExecuteError::Busy),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(ExecuteError::Stopping),
        }
    }

    /// Waits for the verdict on a group. Where what was looked up no longer holds, the group joins the queue anew.
    async fn answer(
        &self,
        requests: Arc<[CommandRequest]>,
        joined: Enqueued,
    ) -> Result<Vec<CommandOutcome>, AtomicError> {
        let failed = |error| AtomicError { index: 0, error };
        let mut verdict = match joined {
            Ok(verdict) => verdict,
            Err(answered) => return answered,
        };
        let mut attempts = 0;
        loop {
            match verdict.await.map_err(|_| failed(ExecuteError::Stopping))? {
                ExecutionResult::Done(outcomes) => {
                    self.recent.keep(&requests, &outcomes);
                    return Ok(outcomes);
                }
                ExecutionResult::Failed { index, error } => {
                    if !error.is_of_the_room() {
                        return Err(AtomicError { index, error });
                    }
                    // What was accepted once is answered so for ever, whatever the room says by now.
                    return match self.repeated(&requests).await {
                        Some(answered) => answered,
                        None => Err(AtomicError { index, error }),
                    };
                }
                ExecutionResult::StaleLookups if attempts < self.conflict_retries => attempts += 1,
                ExecutionResult::StaleLookups => return Err(failed(ExecuteError::Conflict)),
            }
            verdict = self.submit(requests.clone(), attempts).await.map_err(failed)?;
        }
    }

    /// The outcomes given before, where any of the requests has one; a group is answered again as a whole or not at all.
    async fn repeated(&self, requests: &[CommandRequest]) -> Option<Result<Vec<CommandOutcome>, AtomicError>> {
        let failed = |index, error| AtomicError { index, error };
        let stored = match lookup::stored_outcomes(&self.log, requests).await {
            Ok(stored) if stored.iter().all(Option::is_none) => return None,
            Ok(stored) => stored,
            Err(error) => return Some(Err(failed(0, ExecuteError::Unavailable(Arc::new(error))))),
        };
        let replayed = requests.iter().zip(stored).enumerate().map(|(index, (request, stored))| {
            let replayed = stored.ok_or(ExecuteError::KeyReused).and_then(|stored| response::replay(request, stored));
            replayed.map_err(|error| failed(index, error))
        });
        Some(replayed.collect())
    }
}

/// The second command of a group under one idempotency key: the key stands for one outcome, and could not tell the two apart.
fn repeated_key(group: &[CommandRequest]) -> Option<usize> {
    if group.len() < 2 {
        return None;
    }
    let mut seen = HashSet::with_capacity(group.len());
    group.iter().position(|request| {
        let given = request.idempotency.as_ref();
        given.is_some_and(|given| !seen.insert((&request.caller.tenant, &given.key)))
    })
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use sqlx::PgPool;
    use sqlx::postgres::PgConnectOptions;
    use uuid::Uuid;

    use super::*;
    use crate::commands::room::RoomCommand;
    use crate::events::time::Timestamp;
    use crate::ids::{RoomId, RoomKey, TenantId};

    const LIMITS: ExecutorLimits =
        ExecutorLimits { batch: 8, queue: 8, conflict_retries: 1, room_memory: 1 << 20, snapshot_interval: 100 };

    fn lock(room: RoomId) -> CommandRequest {
        let key = RoomKey { tenant: TenantId::new("acme").unwrap(), room };
        CommandRequest::by_system("test", key, RoomCommand::parse("lock-room", b"{}").unwrap(), Timestamp::EPOCH)
    }

    #[tokio::test]
    async fn commands_are_queued_in_the_order_in_which_they_are_put_in_whichever_receipt_is_polled_first() {
        // Nothing of this asks the database.
        let log = EventLog::new(PgPool::connect_lazy_with(PgConnectOptions::new()).into());
        let (executor, mut waiting, _) = Executor::before_queue(log, Metrics::new(), LIMITS);
        let room = RoomId::from_uuid(Uuid::now_v7());
        let (one, two) = (lock(room), lock(room));
        let ids = [one.command_id, two.command_id];
        let mut first = executor.enqueue(one).await;
        let mut second = executor.enqueue(two).await;
        assert!(poll!(&mut second).is_pending() && poll!(&mut first).is_pending());
        let queued: Vec<QueuedCommands> = [waiting.try_recv().unwrap(), waiting.try_recv().unwrap()].into();
        assert_eq!(queued.iter().map(|waiting| waiting.requests[0].command_id).collect::<Vec<_>>(), ids);
        for (actual, submission) in (1..).zip(queued) {
            let verdict = ExecutionResult::Failed { index: 0, error: ExecuteError::VersionMismatch { actual } };
            assert!(submission.reply_to.send(verdict).is_ok());
        }
        assert!(matches!(second.await, Err(ExecuteError::VersionMismatch { actual: 2 })));
        assert!(matches!(first.await, Err(ExecuteError::VersionMismatch { actual: 1 })));
    }

    #[tokio::test]
    async fn a_receipt_of_an_executor_that_ended_says_that_it_is_stopping() {
        let log = EventLog::new(PgPool::connect_lazy_with(PgConnectOptions::new()).into());
        let (executor, mut waiting, _) = Executor::before_queue(log, Metrics::new(), LIMITS);
        let room = RoomId::from_uuid(Uuid::now_v7());
        let taken = executor.enqueue(lock(room)).await;
        drop(waiting.try_recv().unwrap());
        assert!(matches!(taken.await, Err(ExecuteError::Stopping)));
        drop(waiting);
        assert!(matches!(executor.enqueue(lock(room)).await.await, Err(ExecuteError::Stopping)));
    }
}
