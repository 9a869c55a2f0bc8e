//! The batches of an import. The next batch is decided while the previous one is being appended; if that is not written, both are
//! decided again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Import, ImportError};
use crate::commands::context::Lookup;
use crate::commands::execute::import_batches::{self, BatchResult, PreparedBatch};
use crate::commands::execute::load::LoadedRoom;
use crate::commands::execute::lookup::{self, LookupResult};
use crate::commands::execute::{CommandRequest, ExecuteError, ExecutionResult, PendingCommands, ResolvedBatch};
use crate::events::log::LogError;
use crate::events::log::append::SourceProgress;
use crate::ids::RoomKey;

/// Look-ups for one batch at the same time.
const LOOKUPS: usize = 8;

/// Commands that create rooms, by line, with their attempts.
type CreatingLines = HashMap<u64, (Arc<[CommandRequest]>, u32)>;

/// A batch on its way.
pub(super) struct InFlightLines {
    batch: import_batches::InFlightBatch<u64>,
    /// What it makes, if it is written.
    progress: SourceProgress,
    named: CreatingLines,
}

impl Import {
    pub(super) async fn prepare(
        &mut self,
        mut batch: Vec<PendingCommands<u64>>,
    ) -> Result<PreparedBatch<u64>, ImportError> {
        self.load_rooms(&batch).await?;
        // Names need no look-up: the append knows whether they are taken, and seldom are they.
        self.look_up(&mut batch, |lookup| matches!(lookup, Lookup::Message(_))).await?;
        if let Some(times) = &mut self.times {
            times.cover(&self.log, self.writer.last_recorded(), &batch).await?;
        }
        let mut prepared = self.writer.prepare(batch, self.times.is_some()).await?;
        let deferred = std::mem::take(&mut prepared.deferred);
        self.submit_again(without_lookups(deferred));
        Ok(prepared)
    }

    /// Sends a batch on its way, with the progress that it makes. All before it are complete.
    pub(super) async fn launch(&mut self, prepared: PreparedBatch<u64>) -> Result<(), ImportError> {
        if self.times.is_some() {
            let (expected, found) = (self.state.position, self.log.head().await?.position);
            if expected != found {
                return Err(ImportError::NotAlone { expected, found });
            }
        }
        let mut next = self.state.clone();
        next.come_to(prepared.outcomes());
        let progress = next.progress(&self.name);
        let named = creating(prepared.outcomes().submissions());
        let batch = self.writer.launch(prepared, progress.clone());
        self.in_flight = Some(InFlightLines { batch, progress, named });
        Ok(())
    }

    /// Waits for the batch that is on its way, if there is one. Where it was not written, what was decided on it is taken back;
    /// else that can go next.
    pub(super) async fn complete(
        &mut self,
        prepared: Option<PreparedBatch<u64>>,
    ) -> Result<Option<PreparedBatch<u64>>, ImportError> {
        let Some(InFlightLines { batch, progress, named }) = self.in_flight.take() else { return Ok(prepared) };
        match self.writer.complete(batch).await? {
            BatchResult::Written(outcomes) => {
                self.state.come_to(&outcomes);
                self.kept = Some(progress);
                for (line, outcome) in outcomes.iter() {
                    self.claims.resolve(*line, outcome.is_ok_and(|events| events > 0));
                }
                self.claims.release().await?;
                Ok(prepared)
            }
            BatchResult::NotWritten(committed) => {
                let undone = prepared.map(|prepared| self.writer.undo(prepared));
                self.conflicted(committed, &named, undone.unwrap_or_default()).await?;
                Ok(None)
            }
        }
    }

    /// Nothing was written: some answers are known by now, the rest is decided anew, and what followed it too.
    async fn conflicted(
        &mut self,
        committed: ResolvedBatch<u64>,
        named: &CreatingLines,
        undone: Vec<PendingCommands<u64>>,
    ) -> Result<(), ImportError> {
        let now = self.log.import_progress(&self.name).await?;
        let known = |kept: &Option<SourceProgress>| kept.as_ref().map(|kept| (kept.done, kept.detail.get().to_owned()));
        if known(&now) != known(&self.kept) {
            return Err(ImportError::Overtaken);
        }
        let mut again = without_lookups(committed.deferred);
        again.extend(without_lookups(undone));
        for (line, verdict) in committed.answered {
            match verdict {
                ExecutionResult::Done(_) => {
                    self.state.repeat(line);
                    self.claims.resolve(line, false);
                }
                ExecutionResult::Failed { error, .. } => {
                    if !self.state.refuse_for(line, &error) {
                        return Err(ImportError::Undecided { line, error });
                    }
                    self.claims.resolve(line, false);
                }
                ExecutionResult::StaleLookups => {
                    // Only commands that create a room want a name.
                    let Some((requests, attempts)) = named.get(&line) else { continue };
                    if *attempts >= self.conflict_retries {
                        self.state.refuse_for(line, &ExecuteError::Conflict);
                        self.claims.resolve(line, false);
                        continue;
                    }
                    again.push(PendingCommands::new(
                        requests.clone(),
                        vec![LookupResult::default()],
                        attempts + 1,
                        line,
                    ));
                }
            }
        }
        // All of them go into the next batch, and nothing is on its way: names are as the log has them now. Of several that want
        // one name, the append would find out one at a time.
        self.look_up(&mut again, |lookup| matches!(lookup, Lookup::NameHolder(_))).await?;
        self.submit_again(again);
        Ok(())
    }

    /// In the order of their lines.
    fn submit_again(&mut self, submissions: Vec<PendingCommands<u64>>) {
        self.again.extend(submissions);
        self.again.sort_by_key(|submission| submission.reply_to);
    }

    /// All rooms of a batch, and of the one that is on its way, are in memory at once.
    async fn load_rooms(&mut self, batch: &[PendingCommands<u64>]) -> Result<(), LogError> {
        if self.writer.rooms.is_over() {
            let on_their_way = self.in_flight.iter().flat_map(|in_flight| in_flight.batch.rooms()).cloned();
            let keys = batch.iter().flat_map(|submission| submission.requests.iter().map(CommandRequest::key));
            self.writer.rooms.trim(&keys.chain(on_their_way).collect());
        }
        let mut missing: Vec<RoomKey> = Vec::new();
        let mut seen: HashSet<RoomKey> = HashSet::new();
        for key in batch.iter().flat_map(|submission| submission.requests.iter().map(CommandRequest::key)) {
            if !self.writer.rooms.contains(&key) && seen.insert(key.clone()) {
                missing.push(key);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let there = self.log.rooms_there(&missing).await?;
        let (there, absent): (Vec<_>, Vec<_>) = missing.into_iter().zip(there).partition(|(_, there)| *there);
        for (key, _) in absent {
            self.writer.rooms.put(key, LoadedRoom::default());
        }
        let loader = &self.loader;
        let loads = there.into_iter().map(|(key, _)| async move { loader.now(&key).await.map(|room| (key, room)) });
        let loaded: Vec<_> = stream::iter(loads).buffer_unordered(LOOKUPS).try_collect().await?;
        for (key, room) in loaded {
            self.writer.rooms.put(key, room);
        }
        Ok(())
    }

    async fn look_up(
        &self,
        batch: &mut [PendingCommands<u64>],
        wanted: impl Fn(Lookup) -> bool,
    ) -> Result<(), LogError> {
        let log = &self.log;
        let wanted = batch.iter_mut().filter(|submission| wanted(submission.requests[0].command.lookup()));
        stream::iter(wanted.map(Ok::<_, LogError>))
            .try_for_each_concurrent(LOOKUPS, |submission| async move {
                submission.lookups = lookup::look_up(log, &submission.requests).await?;
                Ok(())
            })
            .await
    }
}

/// Those that may want a name, with their attempts.
fn creating<'a>(batch: impl Iterator<Item = &'a PendingCommands<u64>>) -> CreatingLines {
    let creating = batch.filter(|submission| submission.requests[0].command.creates());
    creating.map(|submission| (submission.reply_to, (submission.requests.clone(), submission.attempts))).collect()
}

/// What was looked up for one batch may no longer be so in the next.
fn without_lookups(mut submissions: Vec<PendingCommands<u64>>) -> Vec<PendingCommands<u64>> {
    for submission in &mut submissions {
        submission.lookups = vec![LookupResult::default()];
    }
    submissions
}
