//! Batches of an import. Nobody waits for responses, so the next batch is decided while the previous one is being appended.
//!
//! Decisions on a batch in flight count only if that batch is written. The append writes a batch of an import completely or not
//! at all ([`AppendBatch::progress`]). If it is not written, the decisions on it are undone: their rooms are dropped
//! from memory, and their commands are submitted again. If a state in memory is wrong nevertheless, the append detects
//! it by the versions of the rooms, including rooms without new events.

use std::time::Instant;

use tokio::task::{JoinError, JoinHandle};

use super::error::ExecuteError;
use super::keys::BatchKeys;
use super::load::LoadedRoom;
use super::pending_commands::PendingCommands;
use super::pending_erasures::PendingErasures;
use super::plan::BatchPlan;
use super::planned::PlannedCommands;
use super::resolve::{ResolvedBatch, resolve};
use super::writer::{BatchWriter, with_append_timeout};
use crate::events::log::LogError;
use crate::events::log::append::{AppendBatch, Appended, BatchChains, EncodedBatch, SourceProgress};
use crate::events::time::Timestamp;
use crate::ids::RoomKey;
use crate::security::sealing::KeyError;

/// What an intake's batch means, decided and not yet written.
struct DecidedBatch<T> {
    outcomes: BatchOutcomes<T>,
    /// In the batch's order, each with the number of its events.
    rooms: Vec<(RoomKey, usize)>,
    /// By index of their room: states worth keeping, at the version that the batch leads to.
    snapshots: Vec<(usize, LoadedRoom)>,
    keys: BatchKeys,
    events: usize,
    /// When the log recorded last, as far as was known.
    recorded_before: Option<Timestamp>,
}

/// A batch that was decided and is to be launched next.
pub struct PreparedBatch<T> {
    decided: DecidedBatch<T>,
    encoded: JoinHandle<Result<EncodedBatch, LogError>>,
    /// Not part of it: to be submitted again, in this order, before anything later to the same rooms.
    pub deferred: Vec<PendingCommands<T>>,
}

/// A batch on its way into the log.
pub struct InFlightBatch<T> {
    decided: DecidedBatch<T>,
    append: JoinHandle<Result<Appended, LogError>>,
    begun: Instant,
}

impl<T> InFlightBatch<T> {
    /// The rooms that it was decided on.
    pub fn rooms(&self) -> impl Iterator<Item = &RoomKey> {
        self.decided.rooms.iter().map(|(key, _)| key)
    }
}

/// How a batch ended.
pub enum BatchResult<T> {
    /// Written, all of it as prepared.
    Written(BatchOutcomes<T>),
    /// It met what others had written, and nothing of it was. Its rooms are forgotten.
    NotWritten(ResolvedBatch<T>),
}

/// What the submissions of a batch come to.
pub struct BatchOutcomes<T>(Vec<PlannedCommands<T>>);

impl<T> BatchOutcomes<T> {
    /// How many events each writes, or why it is not carried out.
    pub fn iter(&self) -> impl Iterator<Item = (&T, Result<usize, &ExecuteError>)> {
        self.0.iter().map(|planned| {
            let outcome = planned.result.as_ref().map(|outcomes| outcomes.iter().map(|outcome| outcome.events).sum());
            (&planned.submission.reply_to, outcome.map_err(|(_, error)| error))
        })
    }

    pub fn submissions(&self) -> impl Iterator<Item = &PendingCommands<T>> {
        self.0.iter().map(|planned| &planned.submission)
    }
}

impl<T> PreparedBatch<T> {
    /// If the batch is written.
    pub fn outcomes(&self) -> &BatchOutcomes<T> {
        &self.decided.outcomes
    }
}

impl BatchWriter {
    /// Goes on where the log is, in times that the log gives.
    pub fn continue_after(&mut self, recorded_at: Option<Timestamp>) {
        self.last_recorded = self.last_recorded.max(recorded_at);
    }

    /// Of what it decided last, where recorded times are those of occurrence.
    pub fn last_recorded(&self) -> Option<Timestamp> {
        self.last_recorded
    }

    /// Decides a batch on the rooms as they are, and as the batches before it leave them if they are written. The rooms of the
    /// submissions must be loaded; a submission with one that is not is deferred.
    pub async fn prepare<T>(
        &mut self,
        submissions: Vec<PendingCommands<T>>,
        recorded_as_occurred: bool,
    ) -> Result<PreparedBatch<T>, KeyError> {
        let keys = self.keys_of(&submissions).await?;
        let now = self.now();
        let BatchPlan { rooms, answers, deferred, order, keys, .. } =
            self.decide(submissions, BatchPlan::new(now, keys, PendingErasures::default(), true));
        self.keys_in_flight.extend(keys.new_keys());
        let (appends, states): (Vec<_>, Vec<_>) =
            rooms.into_iter().map(|planned| (planned.append, planned.room)).unzip();
        let events = order.len();
        let mut batch = AppendBatch { order: Some(order), keys: keys.to_store(), ..AppendBatch::new(now, appends) };
        if recorded_as_occurred {
            batch.recorded_as_occurred = Some(self.last_recorded.unwrap_or(Timestamp::EPOCH));
        }
        let chains = BatchChains::of(&batch);
        let recorded_before = self.last_recorded;
        self.last_recorded = recorded_before.max(chains.last_recorded());
        let rooms: Vec<_> = batch.rooms.iter().map(|append| (append.key.clone(), append.events.len())).collect();
        let mut snapshots = Vec::new();
        for (index, (mut room, (key, _))) in states.into_iter().zip(&rooms).enumerate() {
            // A room that is still absent is loaded again: another process may create it.
            if room.version == 0 {
                continue;
            }
            room.chain = chains.of_room(index);
            if room.snapshot_due(self.limits.snapshot_interval) {
                room.snapshot_taken();
                snapshots.push((index, room.clone()));
            }
            self.rooms.put(key.clone(), room);
        }
        let outcomes = BatchOutcomes(answers);
        let decided = DecidedBatch { outcomes, rooms, snapshots, keys, events, recorded_before };
        let encoded = tokio::spawn(async move { EncodedBatch::new(batch, chains) });
        Ok(PreparedBatch { decided, encoded, deferred })
    }

    /// Sends a batch on its way, with the progress that it makes. All before it must be complete; what it deferred is
    /// no part of it and must have been taken out.
    pub fn launch<T>(&self, prepared: PreparedBatch<T>, progress: SourceProgress) -> InFlightBatch<T> {
        let PreparedBatch { decided, encoded, .. } = prepared;
        let log = self.services.log.clone();
        let append = tokio::spawn(async move {
            let encoded = ended(encoded.await)?;
            with_append_timeout(log.append_encoded(encoded, progress)).await
        });
        InFlightBatch { decided, append, begun: Instant::now() }
    }

    /// Waits for a batch that is on its way. On an error it is not known whether it was written; its rooms are forgotten.
    pub async fn complete<T>(&mut self, in_flight: InFlightBatch<T>) -> Result<BatchResult<T>, LogError> {
        let InFlightBatch { decided, append, begun } = in_flight;
        let DecidedBatch { outcomes, rooms, snapshots, keys, events, recorded_before } = decided;
        let appended = match ended(append.await) {
            Ok(appended) => appended,
            Err(error) => {
                self.forget(&rooms, recorded_before);
                return Err(error);
            }
        };
        self.services.metrics.append(events, begun.elapsed());
        if !appended.conflicts.is_empty() {
            self.forget(&rooms, recorded_before);
            let committed = resolve(outcomes.0, Vec::new(), &appended, self.limits.conflict_retries);
            return Ok(BatchResult::NotWritten(committed));
        }
        for (person, _) in keys.new_keys() {
            self.keys_in_flight.remove(&person);
        }
        keys.keep(&appended);
        self.place(&rooms, snapshots, &appended);
        Ok(BatchResult::Written(outcomes))
    }

    /// Takes back what was decided on a batch that was not written; the submissions are to be decided again.
    pub fn undo<T>(&mut self, prepared: PreparedBatch<T>) -> Vec<PendingCommands<T>> {
        let DecidedBatch { outcomes, rooms, recorded_before, .. } = prepared.decided;
        self.forget(&rooms, recorded_before);
        let submissions = outcomes.0.into_iter().map(|planned| planned.submission);
        submissions.chain(prepared.deferred).collect()
    }

    fn forget(&mut self, rooms: &[(RoomKey, usize)], recorded_before: Option<Timestamp>) {
        for (key, _) in rooms {
            self.rooms.take(key);
        }
        // Every batch that was decided after this one is taken back too.
        self.keys_in_flight.clear();
        self.last_recorded = self.last_recorded.min(recorded_before);
    }

    /// The places in the log of what is known of the rooms.
    fn place(&mut self, rooms: &[(RoomKey, usize)], snapshots: Vec<(usize, LoadedRoom)>, appended: &Appended) {
        let place = |index: usize, room: &mut LoadedRoom| {
            let (Some(written), Some(last)) = (&appended.rooms[index], rooms[index].1.checked_sub(1)) else { return };
            // A room that a later batch has taken on gets its place by that one.
            if written.version == room.version {
                room.position = written.position_of(last);
                room.recorded_at = Some(written.recorded_at);
            }
        };
        for (index, (key, _)) in rooms.iter().enumerate() {
            if let Some(room) = self.rooms.get_mut(key) {
                place(index, room);
            }
        }
        for (index, mut room) in snapshots {
            place(index, &mut room);
            let (loader, key) = (self.loader.clone(), rooms[index].0.clone());
            tokio::spawn(async move { loader.keep(&key, &room).await });
        }
    }
}

/// A task that panicked is a defect of the program; the process must not go on as if nothing were.
fn ended<V>(task: Result<V, JoinError>) -> V {
    task.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
