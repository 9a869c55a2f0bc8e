//! Moving history in: commands of the past, line by line, judged by the same rules as those of the present.
//!
//! ```text
//! source ─► blocks ─► lines, on threads of their own ─► Import: batches decided, appended ─► tally
//! ```
//!
//! What holds:
//! - Every line is dealt with once: applied, found to be so already, or counted as refused by reason. None stops the others.
//! - The lines of a room are taken in their order. Across rooms the order is that of the lines too, but for a line that cannot
//!   share a batch with one before it (the same name or idempotency key once more).
//! - How far it has come is kept in each batch's own transaction, with the counts: whatever is killed, an import that is begun
//!   again goes on where it was and reports on the whole. A batch is written whole or not at all.
//! - Two imports of one name exclude one another; a batch that was still on its way when its process was killed shows by the
//!   versions of its rooms.
//!
//! Left to others: what the rules are, how it is told ([`crate::cli`]).

mod blocks;
mod line;
mod pipeline;
mod source;
mod tally;
mod times;

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio_util::sync::CancellationToken;

pub use blocks::LONGEST_LINE;
pub use line::LineReader;
pub use pipeline::Lines;
pub use source::{Source, Survey, survey};
pub use tally::{Refused, Standing, Tally};

use self::line::Line;
use self::times::Times;
use crate::commands::context::Need;
use crate::commands::execute::load::{LoadedRoom, Loader};
use crate::commands::execute::lookup::{self, Looked};
use crate::commands::execute::writer::{Committed, Purpose, Submission, Verdict, Writer};
use crate::commands::execute::{ExecuteError, Foundation, Limits, Request};
use crate::config::PartitionUnit;
use crate::events::envelope::Position;
use crate::events::log::append::Progress;
use crate::events::log::intake::Hold;
use crate::events::log::{EventLog, LogError, RoomKey};
use crate::security::sealing::KeyError;

/// Lines of a batch, for each command that a server's batch holds: nobody waits for their answers.
const LINES_TO_COMMANDS: usize = 8;
/// Look-ups for one batch at the same time.
const LOOKUPS: usize = 8;

/// Why an import stopped before its end. All but [`ImportError::InUse`] can be gone on from once they are mended.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Unavailable(Arc<LogError>),
    #[error("personal fields cannot be sealed: {0}")]
    Sealing(Arc<KeyError>),
    #[error("the source cannot be read: {0}")]
    Source(#[from] io::Error),
    #[error("another process imports this source now")]
    InUse,
    #[error("this source was begun {}: go on in the same way", if *kept { "with recorded times as occurred" } else { "with the present as recorded time" })]
    OtherTimes { kept: bool },
    #[error(
        "recorded times can be taken as occurred only while the log holds nothing else: it stands at position {found}, this \
         import at {expected}"
    )]
    NotAlone { expected: Position, found: Position },
    #[error("the import's own progress changed meanwhile: another process wrote the same lines; begin it again")]
    Overtaken,
    #[error("what is kept of this import's progress is not of this program")]
    UnknownProgress,
}

/// How an import ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Done,
    /// Told to stop; it can be gone on with.
    Stopped,
}

/// One source on its way into the log.
pub struct Import {
    name: String,
    /// Lines of a batch.
    batch: usize,
    writer: Writer,
    loader: Loader,
    log: EventLog,
    hold: Hold,
    conflict_retries: u32,
    /// What the log has of it.
    kept: Option<Progress>,
    standing: Standing,
    /// Where recorded times are those of the lines.
    times: Option<Times>,
    /// Read ahead.
    read: VecDeque<(u64, Line)>,
    /// To be submitted before anything else, in order.
    again: Vec<Submission<u64>>,
}

impl Import {
    /// Takes up the import of this name where it was left. `times`: recorded times are to be those at which the lines
    /// occurred, in partitions of this unit.
    pub async fn begin(
        on: Foundation,
        limits: Limits,
        name: &str,
        times: Option<PartitionUnit>,
    ) -> Result<Self, ImportError> {
        let log = on.log.clone();
        let hold = log.hold_intake(name).await?.ok_or(ImportError::InUse)?;
        let head = log.head().await?;
        let kept = log.intake_progress(name).await?;
        let standing = match &kept {
            None => Standing { recorded_as_occurred: times.is_some(), ..Standing::default() },
            Some(kept) => Standing::read(kept).ok_or(ImportError::UnknownProgress)?,
        };
        if standing.recorded_as_occurred != times.is_some() {
            return Err(ImportError::OtherTimes { kept: standing.recorded_as_occurred });
        }
        let batch = limits.batch.max(1) * LINES_TO_COMMANDS;
        // All rooms of a batch are in memory at once.
        let limits = Limits { rooms: limits.rooms.max(2 * batch), ..limits };
        let loader = Loader::new(log.clone(), limits.snapshot_interval);
        let mut writer = Writer::new(on, loader.clone(), limits);
        writer.continue_after(head.recorded_at);
        Ok(Self {
            name: name.into(),
            batch,
            writer,
            loader,
            log,
            hold,
            conflict_retries: limits.conflict_retries,
            kept,
            standing,
            times: times.map(Times::new),
            read: VecDeque::new(),
            again: Vec::new(),
        })
    }

    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Takes lines until there are no more, or until told to stop. `told` hears of each batch that is durable.
    pub async fn run(
        &mut self,
        mut lines: Lines,
        stop: &CancellationToken,
        mut told: impl FnMut(&Standing),
    ) -> Result<Ended, ImportError> {
        while !stop.is_cancelled() {
            let gathered = self.gather(&mut lines).await?;
            if gathered.is_none() && self.again.is_empty() {
                return Ok(Ended::Done);
            }
            let mut batch = std::mem::take(&mut self.again);
            batch.extend(gathered.into_iter().flatten());
            self.write(batch).await?;
            told(&self.standing);
        }
        Ok(Ended::Stopped)
    }

    /// The next commands, as many as fit in a batch beside those that are to be submitted again. `None`: there are no more lines.
    async fn gather(&mut self, lines: &mut Lines) -> Result<Option<Vec<Submission<u64>>>, ImportError> {
        let mut commands = Vec::with_capacity(self.batch);
        let mut room = self.batch.saturating_sub(self.again.len());
        let before = room;
        while room > 0 {
            let Some((number, line)) = self.read.pop_front() else {
                match lines.next().await? {
                    Some(read) => self.read.extend(read),
                    None if room == before => return Ok(None),
                    None => break,
                }
                continue;
            };
            room -= 1;
            self.standing.take(number);
            match line {
                Line::Command(request) => {
                    commands.push(Submission::new(Arc::from([*request]), vec![Looked::default()], 0, number));
                }
                Line::Blank => self.standing.blank(number),
                Line::Refused(fault) => self.standing.refuse(number, fault.reason, &fault.detail),
            }
        }
        Ok(Some(commands))
    }

    /// Decides a batch and appends it, with the progress that it makes.
    async fn write(&mut self, mut batch: Vec<Submission<u64>>) -> Result<(), ImportError> {
        self.load_rooms(&batch).await?;
        self.look_up_messages(&mut batch).await?;
        if let Some(times) = &mut self.times {
            let (expected, found) = (self.standing.position, self.log.head().await?.position);
            if expected != found {
                return Err(ImportError::NotAlone { expected, found });
            }
            times.cover(&self.log, self.writer.last_recorded(), &batch).await?;
        }
        let named = creating(&batch);
        let purpose = Purpose::Intake { recorded_as_occurred: self.times.is_some() };
        let foreseen = self.writer.foresee(batch, purpose).await.map_err(|failed| failure(&failed))?;
        let mut next = self.standing.clone();
        for (line, outcome) in foreseen.outcomes() {
            match outcome.map_err(tally::reason) {
                Ok(events) => next.accept(*line, events),
                Err(Some((reason, detail))) => next.refuse(*line, reason, &detail),
                Err(None) => {}
            }
        }
        if self.times.is_some() {
            next.position += foreseen.events() as u64;
        }
        let progress = next.progress(&self.name);
        let committed = self.writer.carry_out(foreseen, Some(progress.clone())).await;
        if committed.whole {
            (self.standing, self.kept) = (next, Some(progress));
            self.submit_again(unlooked(committed.put_off));
            return Ok(());
        }
        self.conflicted(committed, &named).await
    }

    /// Nothing was written: some answers are known by now, the rest is decided anew.
    async fn conflicted(
        &mut self,
        committed: Committed<u64>,
        named: &HashMap<u64, (Arc<[Request]>, u32)>,
    ) -> Result<(), ImportError> {
        let now = self.log.intake_progress(&self.name).await?;
        let known = |kept: &Option<Progress>| kept.as_ref().map(|kept| (kept.done, kept.detail.get().to_owned()));
        if known(&now) != known(&self.kept) {
            return Err(ImportError::Overtaken);
        }
        if let Some((_, Verdict::Failed { error, .. })) =
            committed.answered.iter().find(|(_, verdict)| is_fatal(verdict))
        {
            return Err(fatal(error));
        }
        let mut again = unlooked(committed.put_off);
        for (line, verdict) in committed.answered {
            match verdict {
                Verdict::Done(_) => self.standing.repeat(line),
                Verdict::Failed { error, .. } => self.refuse(line, &error),
                Verdict::StaleFacts => {
                    // Only commands that create a room want a name.
                    let Some((requests, attempts)) = named.get(&line) else { continue };
                    if *attempts >= self.conflict_retries {
                        self.refuse(line, &ExecuteError::Conflict);
                        continue;
                    }
                    let looked = lookup::facts(&self.log, requests).await?;
                    again.push(Submission::new(requests.clone(), looked, attempts + 1, line));
                }
            }
        }
        self.submit_again(again);
        Ok(())
    }

    fn refuse(&mut self, line: u64, error: &ExecuteError) {
        if let Some((reason, detail)) = tally::reason(error) {
            self.standing.refuse(line, reason, &detail);
        }
    }

    /// In the order of their lines.
    fn submit_again(&mut self, mut submissions: Vec<Submission<u64>>) {
        submissions.sort_by_key(|submission| submission.ticket);
        self.again = submissions;
    }

    async fn load_rooms(&mut self, batch: &[Submission<u64>]) -> Result<(), LogError> {
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

    /// Messages that commands speak of. Names need no look-up: the append knows whether they are taken, and seldom are they.
    async fn look_up_messages(&self, batch: &mut [Submission<u64>]) -> Result<(), LogError> {
        let log = &self.log;
        let wanted = batch.iter_mut().filter(|submission| {
            let needs = submission.requests[0].command.needs();
            matches!(needs, Need::Message(_))
        });
        stream::iter(wanted.map(Ok::<_, LogError>))
            .try_for_each_concurrent(LOOKUPS, |submission| async move {
                submission.looked = lookup::facts(log, &submission.requests).await?;
                Ok(())
            })
            .await
    }

    /// Lets others import the source.
    pub async fn end(self) -> Result<Standing, ImportError> {
        self.hold.release().await?;
        Ok(self.standing)
    }
}

/// Those that may want a name, with their attempts.
fn creating(batch: &[Submission<u64>]) -> HashMap<u64, (Arc<[Request]>, u32)> {
    let creating = batch.iter().filter(|submission| submission.requests[0].command.creates());
    creating.map(|submission| (submission.ticket, (submission.requests.clone(), submission.attempts))).collect()
}

/// What was looked up for one batch may no longer be so in the next.
fn unlooked(mut submissions: Vec<Submission<u64>>) -> Vec<Submission<u64>> {
    for submission in &mut submissions {
        submission.looked = vec![Looked::default()];
    }
    submissions
}

fn is_fatal(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Failed { error, .. } if tally::reason(error).is_none())
}

fn failure(failed: &Committed<u64>) -> ImportError {
    match failed.answered.iter().find(|(_, verdict)| is_fatal(verdict)) {
        Some((_, Verdict::Failed { error, .. })) => fatal(error),
        _ => ImportError::Overtaken,
    }
}

fn fatal(error: &ExecuteError) -> ImportError {
    match error {
        ExecuteError::Unavailable(error) => ImportError::Unavailable(error.clone()),
        ExecuteError::Sealing(error) => ImportError::Sealing(error.clone()),
        _ => ImportError::Overtaken,
    }
}
