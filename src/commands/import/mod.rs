//! Imports history: commands of the past, line by line, under the same rules as new commands.
//!
//! ```text
//! source ─► blocks ─► lines, on threads of their own ─► Import: batches decided, appended ─► tally
//! ```
//!
//! Invariants:
//! - Every line has one result: applied, unchanged, or refused for a counted reason. A refused line does not stop the import.
//! - The lines of a room are executed in order, and so are all lines, except a line that cannot share a batch with a preceding
//!   one (the same name or idempotency key).
//! - Progress and counts are stored in the transaction of each batch. After a crash, the same import continues and reports on all
//!   lines. A batch is written completely or not at all.
//! - Two imports of one name exclude each other. An import waits for a batch of a killed process that is still in flight before
//!   it reads the progress.
//! - The next batch is decided on the expected result of the batch in flight. If that is not written, neither is the next one.
//!
//! Rules and output are left to others ([`crate::cli`]).

mod batches;
mod blocks;
mod claims;
mod line;
mod pipeline;
mod source;
mod tally;
mod times;

use std::collections::VecDeque;
use std::io;

use tokio_util::sync::CancellationToken;

pub use blocks::LONGEST_LINE;
pub use line::LineReader;
pub use pipeline::ImportLines;
pub use source::{ImportSource, SourceSurvey, survey};
pub use tally::{CommandLines, ImportState, ImportTally, NOT_COMMANDS, RefusedLines};

use self::batches::InFlightLines;
use self::claims::{COMMAND_ID_REUSED, IdClaims};
use self::line::ImportLine;
use self::times::KnownPartitions;
use crate::commands::context::Lookup;
use crate::commands::execute::load::RoomLoader;
use crate::commands::execute::lookup::LookupResult;
use crate::commands::execute::writer::BatchWriter;
use crate::commands::execute::{CommandRequest, ExecuteError, ExecutorLimits, ExecutorServices, PendingCommands};
use crate::config::PartitionUnit;
use crate::events::log::append::SourceProgress;
use crate::events::log::import_support::{GivenId, ImportLock};
use crate::events::log::{EventLog, LogError};
use crate::ids::Position;
use crate::security::sealing::KeyError;

/// Lines of a batch, for each command that a server's batch holds: nobody waits for their answers.
const LINES_TO_COMMANDS: usize = 16;

/// Why an import stopped before its end. All but [`ImportError::InUse`] can be gone on from once they are mended.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("personal fields cannot be sealed: {0}")]
    Sealing(#[from] KeyError),
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
    #[error("line {line} was not decided: {error}")]
    Undecided { line: u64, error: ExecuteError },
    #[error("what is kept of this import's progress is not of this program")]
    UnknownProgress,
}

/// How an import ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportEnd {
    Done,
    /// Told to stop; it can be gone on with.
    Stopped,
}

/// One source on its way into the log.
pub struct Import {
    name: String,
    /// Lines of a batch.
    batch: usize,
    writer: BatchWriter,
    loader: RoomLoader,
    log: EventLog,
    lock: ImportLock,
    conflict_retries: u32,
    /// What the log has of it.
    kept: Option<SourceProgress>,
    state: ImportState,
    /// Where recorded times are those of the lines.
    times: Option<KnownPartitions>,
    claims: IdClaims,
    in_flight: Option<InFlightLines>,
    /// Read ahead.
    read: VecDeque<(u64, ImportLine)>,
    /// To be submitted before anything else, in order.
    again: Vec<PendingCommands<u64>>,
}

impl Import {
    /// Takes up the import of this name where it was left. `times`: recorded times are to be those at which the lines
    /// occurred, in partitions of this unit.
    pub async fn begin(
        on: ExecutorServices,
        limits: ExecutorLimits,
        name: &str,
        times: Option<PartitionUnit>,
    ) -> Result<Self, ImportError> {
        let log = on.log.clone();
        let lock = log.lock_import(name).await?.ok_or(ImportError::InUse)?;
        let head = log.head().await?;
        let kept = log.import_progress(name).await?;
        let state = match &kept {
            None => ImportState { recorded_as_occurred: times.is_some(), ..ImportState::default() },
            Some(kept) => ImportState::read(kept).ok_or(ImportError::UnknownProgress)?,
        };
        if state.recorded_as_occurred != times.is_some() {
            return Err(ImportError::OtherTimes { kept: state.recorded_as_occurred });
        }
        let batch = limits.batch.max(1) * LINES_TO_COMMANDS;
        let loader = RoomLoader::new(log.clone(), limits.snapshot_interval);
        let mut writer = BatchWriter::new(on, loader.clone(), limits);
        writer.continue_after(head.recorded_at);
        Ok(Self {
            name: name.into(),
            batch,
            writer,
            loader,
            claims: IdClaims::new(log.clone(), name),
            log,
            lock,
            conflict_retries: limits.conflict_retries,
            kept,
            state,
            times: times.map(KnownPartitions::new),
            in_flight: None,
            read: VecDeque::new(),
            again: Vec::new(),
        })
    }

    pub fn state(&self) -> &ImportState {
        &self.state
    }

    /// Takes lines until there are no more, or until told to stop. `report` hears of each batch that is durable.
    /// However it ends, nothing is on its way any more.
    pub async fn run(
        &mut self,
        mut lines: ImportLines,
        stop: &CancellationToken,
        mut report: impl FnMut(&ImportState),
    ) -> Result<ImportEnd, ImportError> {
        let ended = self.take(&mut lines, stop, &mut report).await;
        let completed = self.complete(None).await;
        report(&self.state);
        let ended = ended?;
        completed?;
        Ok(ended)
    }

    /// While a batch is on its way, the next one is decided on what it leads to.
    async fn take(
        &mut self,
        lines: &mut ImportLines,
        stop: &CancellationToken,
        report: &mut impl FnMut(&ImportState),
    ) -> Result<ImportEnd, ImportError> {
        while !stop.is_cancelled() {
            let gathered = self.gather(lines).await?;
            let all = gathered.is_none() && self.again.is_empty();
            if all && self.in_flight.is_none() && self.is_kept() {
                return Ok(ImportEnd::Done);
            }
            let mut batch = std::mem::take(&mut self.again);
            batch.extend(gathered.into_iter().flatten());
            if self.in_flight.is_some() && (all || batch.iter().any(asks_the_log)) {
                // What is on its way may turn out to be none of what this would be decided on, and may have to go again itself.
                self.again = batch;
                self.complete(None).await?;
                report(&self.state);
                continue;
            }
            let prepared = self.prepare(batch).await?;
            if let Some(prepared) = self.complete(Some(prepared)).await? {
                self.launch(prepared).await?;
            }
            report(&self.state);
        }
        Ok(ImportEnd::Stopped)
    }

    /// Whether the log has all that is known of the lines. Without a batch to write, what became of the last ones is known and not
    /// yet kept.
    fn is_kept(&self) -> bool {
        self.kept.as_ref().and_then(ImportState::read).unwrap_or_default() == self.state
    }

    /// The next commands, as many as fit in a batch beside those that are to be submitted again. `None`: there are no more lines.
    async fn gather(&mut self, lines: &mut ImportLines) -> Result<Option<Vec<PendingCommands<u64>>>, ImportError> {
        let (mut commands, mut given) = (Vec::with_capacity(self.batch), Vec::new());
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
            self.state.take(number, line.command());
            match line {
                ImportLine::Command { requests, named } => {
                    if named {
                        let CommandRequest { command_id: id, .. } = requests[0];
                        given.push(GivenId { line: number, room: requests[0].key(), id });
                    }
                    commands.push(PendingCommands::new(requests, vec![LookupResult::default()], 0, number));
                }
                ImportLine::Blank => self.state.blank(number),
                ImportLine::Refused(fault) => self.state.reject(number, fault.reason, &fault.detail),
            }
        }
        let taken = self.claims.take(given).await?;
        for &line in &taken {
            self.state.refuse(line, COMMAND_ID_REUSED, "the command_id is that of another line of the same room");
        }
        commands.retain(|submission| taken.binary_search(&submission.reply_to).is_err());
        Ok(Some(commands))
    }

    /// Lets others import the source. What is durable of it: where it ended early, it had come farther.
    pub async fn end(self) -> Result<ImportState, ImportError> {
        self.lock.release().await?;
        Ok(self.kept.as_ref().and_then(ImportState::read).unwrap_or_default())
    }
}

/// Whether the command cannot be decided before all that came before it is in the log: it speaks of a message, or its answer is
/// kept with its place.
fn asks_the_log(submission: &PendingCommands<u64>) -> bool {
    let request = &submission.requests[0];
    request.idempotency.is_some() || matches!(request.command.lookup(), Lookup::Message(_))
}
