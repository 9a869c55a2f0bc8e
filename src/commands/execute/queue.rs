//! The queue in front of the writer: collects commands while a batch is being appended, and submits them together as the next
//! one.
//!
//! Rooms are loaded concurrently. Commands to a room wait in order for its load and do not delay other rooms.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::error::ExecuteError;
use super::limits::ExecutorLimits;
use super::load::{LoadedRoom, RoomLoader};
use super::pending_commands::{ExecutionResult, PendingCommands};
use super::resolve::ResolvedBatch;
use super::writer::BatchWriter;
use crate::events::log::LogError;
use crate::ids::RoomKey;

/// A submission with the place where its answer is waited for.
pub type QueuedCommands = PendingCommands<oneshot::Sender<ExecutionResult>>;

/// Rooms that are being loaded, or are loaded and wait for the end of a batch. What they take counts for the bound of
/// [`Rooms`](super::rooms::WriterRooms) only from then on.
const LOADS: usize = 32;

pub struct CommandQueue {
    writer: BatchWriter,
    loader: RoomLoader,
    arriving: mpsc::Receiver<QueuedCommands>,
    limits: ExecutorLimits,
    ready: VecDeque<QueuedCommands>,
    /// Behind rooms that are being loaded; never more than the queue may hold.
    parked: HashMap<RoomKey, VecDeque<QueuedCommands>>,
    parked_count: usize,
    to_load: VecDeque<RoomKey>,
    loads: JoinSet<(RoomKey, Result<LoadedRoom, LogError>)>,
}

impl CommandQueue {
    pub fn new(
        writer: BatchWriter,
        loader: RoomLoader,
        arriving: mpsc::Receiver<QueuedCommands>,
        limits: ExecutorLimits,
    ) -> Self {
        Self {
            writer,
            loader,
            arriving,
            limits,
            ready: VecDeque::new(),
            parked: HashMap::new(),
            parked_count: 0,
            to_load: VecDeque::new(),
            loads: JoinSet::new(),
        }
    }

    /// Until every executor is gone and all that was taken is answered.
    pub async fn run(mut self) {
        while self.gather().await {
            let count = self.ready.len().min(self.limits.batch.max(1));
            let batch: Vec<_> = self.ready.drain(..count).collect();
            if batch.is_empty() {
                continue;
            }
            let ResolvedBatch { answered, deferred } = self.writer.commit(batch).await;
            for (reply_to, verdict) in answered {
                // The caller may be gone; the written events stay.
                let _ = reply_to.send(verdict);
            }
            let later = std::mem::take(&mut self.ready);
            for submission in deferred.into_iter().chain(later) {
                self.route(submission);
            }
            self.trim();
        }
    }

    /// Waits until something can be done, then takes all that is there. `false`: nothing will come any more.
    async fn gather(&mut self) -> bool {
        while self.ready.is_empty() {
            self.load();
            tokio::select! {
                arrived = self.arriving.recv(), if self.has_place() => match arrived {
                    Some(submission) => self.route(submission),
                    None if self.loads.is_empty() => return false,
                    None => {
                        if let Some(loaded) = self.loads.join_next().await {
                            self.loaded(loaded);
                        }
                    }
                },
                Some(loaded) = self.loads.join_next() => self.loaded(loaded),
            }
        }
        while self.ready.len() < self.limits.batch && self.has_place() {
            match self.arriving.try_recv() {
                Ok(submission) => self.route(submission),
                Err(_) => break,
            }
        }
        while let Some(loaded) = self.loads.try_join_next() {
            self.loaded(loaded);
        }
        self.trim();
        self.load();
        true
    }

    /// Begins to load rooms that are waited for. Where what is in memory is too much already, what is ready is done first.
    fn load(&mut self) {
        while self.loads.len() < LOADS && (self.ready.is_empty() || !self.writer.rooms.is_over()) {
            let Some(key) = self.to_load.pop_front() else { return };
            let loader = self.loader.clone();
            self.loads.spawn(async move {
                let loaded = loader.now(&key).await;
                (key, loaded)
            });
        }
    }

    /// Lets go of rooms that nobody waits for, where there is too much in memory.
    fn trim(&mut self) {
        if self.writer.rooms.is_over() {
            let waiting = self.ready.iter().chain(self.parked.values().flatten());
            let needed: HashSet<RoomKey> = waiting.flat_map(PendingCommands::keys).collect();
            self.writer.rooms.trim(&needed);
        }
    }

    /// Whether more may be taken: what waits for rooms in vain, because the database is silent, must not grow without bound.
    fn has_place(&self) -> bool {
        self.parked_count < self.limits.queue.max(1)
    }

    /// To the ready ones, or behind the first of its rooms that is not there.
    fn route(&mut self, submission: QueuedCommands) {
        let missing = submission.keys().into_iter().find(|key| {
            self.parked.contains_key(key) || !(self.writer.rooms.contains(key) || submission.presumes_absent(key))
        });
        match missing {
            None => self.ready.push_back(submission),
            Some(key) => {
                let waiting = self.parked.entry(key.clone()).or_insert_with(|| {
                    self.to_load.push_back(key);
                    VecDeque::new()
                });
                waiting.push_back(submission);
                self.parked_count += 1;
            }
        }
    }

    fn loaded(&mut self, loaded: Result<(RoomKey, Result<LoadedRoom, LogError>), tokio::task::JoinError>) {
        // A load that panicked is a defect of the program; the process must not go on as if nothing were.
        let (key, room) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let waiting = self.parked.remove(&key).unwrap_or_default();
        self.parked_count -= waiting.len();
        match room {
            Ok(room) => {
                self.writer.rooms.put(key, room);
                for submission in waiting {
                    self.route(submission);
                }
            }
            Err(error) => {
                tracing::warn!(%error, tenant = %key.tenant, room = %key.room, "loading a room failed");
                let error = Arc::new(error);
                for submission in waiting {
                    let error = ExecuteError::Unavailable(error.clone());
                    let _ = submission.reply_to.send(ExecutionResult::Failed { index: 0, error });
                }
            }
        }
    }
}
