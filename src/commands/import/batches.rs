//! The batches of an import. The next batch is decided while the previous one is being appended; if that is not written, both are
//! decided again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Import, ImportError};
use crate::commands::context::Need;
use crate::commands::execute::intake::{self, Foreseen, Landed};
use crate::commands::execute::load::LoadedRoom;
use crate::commands::execute::lookup::{self, Looked};
use crate::commands::execute::{Committed, ExecuteError, Request, Submission, Verdict};
use crate::events::log::LogError;
use crate::events::log::append::Progress;
use crate::ids::RoomKey;

/// Look-ups for one batch at the same time.
const LOOKUPS: usize = 8;

/// Commands that create rooms, by line, with their attempts.
type Named = HashMap<u64, (Arc<[Request]>, u32)>;

/// A batch on its way.
pub(super) struct Flying {
    batch: intake::Flying<u64>,
    /// What it makes, if it is written.
    progress: Progress,
    named: Named,
}

impl Import {
    pub(super) async fn foresee(&mut self, mut batch: Vec<Submission<u64>>) -> Result<Foreseen<u64>, ImportError> {
        self.load_rooms(&batch).await?;
        // Names need no look-up: the append knows whether they are taken, and seldom are they.
        self.look_up(&mut batch, |need| matches!(need, Need::Message(_))).await?;
        if let Some(times) = &mut self.times {
            times.cover(&self.log, self.writer.last_recorded(), &batch).await?;
        }
        let mut foreseen = self.writer.foresee(batch, self.times.is_some()).await?;
        let put_off = std::mem::take(&mut foreseen.put_off);
        self.submit_again(unlooked(put_off));
        Ok(foreseen)
    }

    /// Sends a batch on its way, with the progress that it makes. All before it have landed.
    pub(super) async fn launch(&mut self, foreseen: Foreseen<u64>) -> Result<(), ImportError> {
        if self.times.is_some() {
            let (expected, found) = (self.standing.position, self.log.head().await?.position);
            if expected != found {
                return Err(ImportError::NotAlone { expected, found });
            }
        }
        let mut next = self.standing.clone();
        next.come_to(foreseen.outcomes());
        let progress = next.progress(&self.name);
        let named = creating(foreseen.outcomes().submissions());
        let batch = self.writer.launch(foreseen, progress.clone());
        self.flying = Some(Flying { batch, progress, named });
        Ok(())
    }

    /// Waits for the batch that is on its way, if there is one. Where it was not written, what was decided on it is taken back;
    /// else that can go next.
    pub(super) async fn land(&mut self, foreseen: Option<Foreseen<u64>>) -> Result<Option<Foreseen<u64>>, ImportError> {
        let Some(Flying { batch, progress, named }) = self.flying.take() else { return Ok(foreseen) };
        match self.writer.land(batch).await? {
            Landed::Whole(outcomes) => {
                self.standing.come_to(&outcomes);
                self.kept = Some(progress);
                for (line, outcome) in outcomes.iter() {
                    self.claims.settle(*line, outcome.is_ok_and(|events| events > 0));
                }
                self.claims.release().await?;
                Ok(foreseen)
            }
            Landed::Nothing(committed) => {
                let undone = foreseen.map(|foreseen| self.writer.undo(foreseen));
                self.conflicted(committed, &named, undone.unwrap_or_default()).await?;
                Ok(None)
            }
        }
    }

    /// Nothing was written: some answers are known by now, the rest is decided anew, and what followed it too.
    async fn conflicted(
        &mut self,
        committed: Committed<u64>,
        named: &Named,
        undone: Vec<Submission<u64>>,
    ) -> Result<(), ImportError> {
        let now = self.log.intake_progress(&self.name).await?;
        let known = |kept: &Option<Progress>| kept.as_ref().map(|kept| (kept.done, kept.detail.get().to_owned()));
        if known(&now) != known(&self.kept) {
            return Err(ImportError::Overtaken);
        }
        let mut again = unlooked(committed.put_off);
        again.extend(unlooked(undone));
        for (line, verdict) in committed.answered {
            match verdict {
                Verdict::Done(_) => {
                    self.standing.repeat(line);
                    self.claims.settle(line, false);
                }
                Verdict::Failed { error, .. } => {
                    if !self.standing.refuse_for(line, &error) {
                        return Err(ImportError::Undecided { line, error });
                    }
                    self.claims.settle(line, false);
                }
                Verdict::StaleFacts => {
                    // Only commands that create a room want a name.
                    let Some((requests, attempts)) = named.get(&line) else { continue };
                    if *attempts >= self.conflict_retries {
                        self.standing.refuse_for(line, &ExecuteError::Conflict);
                        self.claims.settle(line, false);
                        continue;
                    }
                    again.push(Submission::new(requests.clone(), vec![Looked::default()], attempts + 1, line));
                }
            }
        }
        // All of them go into the next batch, and nothing is on its way: names are as the log has them now. Of several that want
        // one name, the append would find out one at a time.
        self.look_up(&mut again, |need| matches!(need, Need::NameHolder(_))).await?;
        self.submit_again(again);
        Ok(())
    }

    /// In the order of their lines.
    fn submit_again(&mut self, submissions: Vec<Submission<u64>>) {
        self.again.extend(submissions);
        self.again.sort_by_key(|submission| submission.ticket);
    }

    /// All rooms of a batch, and of the one that is on its way, are in memory at once.
    async fn load_rooms(&mut self, batch: &[Submission<u64>]) -> Result<(), LogError> {
        if self.writer.rooms.is_over() {
            let on_their_way = self.flying.iter().flat_map(|flying| flying.batch.rooms()).cloned();
            let keys = batch.iter().flat_map(|submission| submission.requests.iter().map(Request::key));
            self.writer.rooms.trim(&keys.chain(on_their_way).collect());
        }
        let mut missing: Vec<RoomKey> = Vec::new();
        let mut seen: HashSet<RoomKey> = HashSet::new();
        for key in batch.iter().flat_map(|submission| submission.requests.iter().map(Request::key)) {
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

    async fn look_up(&self, batch: &mut [Submission<u64>], wanted: impl Fn(Need) -> bool) -> Result<(), LogError> {
        let log = &self.log;
        let wanted = batch.iter_mut().filter(|submission| wanted(submission.requests[0].command.needs()));
        stream::iter(wanted.map(Ok::<_, LogError>))
            .try_for_each_concurrent(LOOKUPS, |submission| async move {
                submission.looked = lookup::facts(log, &submission.requests).await?;
                Ok(())
            })
            .await
    }
}

/// Those that may want a name, with their attempts.
fn creating<'a>(batch: impl Iterator<Item = &'a Submission<u64>>) -> Named {
    let creating = batch.filter(|submission| submission.requests[0].command.creates());
    creating.map(|submission| (submission.ticket, (submission.requests.clone(), submission.attempts))).collect()
}

/// What was looked up for one batch may no longer be so in the next.
fn unlooked(mut submissions: Vec<Submission<u64>>) -> Vec<Submission<u64>> {
    for submission in &mut submissions {
        submission.looked = vec![Looked::default()];
    }
    submissions
}
