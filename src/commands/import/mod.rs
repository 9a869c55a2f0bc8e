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
pub use pipeline::Lines;
pub use source::{Source, Survey, survey};
pub use tally::{CommandLines, NOT_COMMANDS, Refused, Standing, Tally};

use self::batches::Flying;
use self::claims::{COMMAND_ID_REUSED, Claims};
use self::line::Line;
use self::times::Times;
use crate::commands::context::Need;
use crate::commands::execute::load::Loader;
use crate::commands::execute::lookup::Looked;
use crate::commands::execute::writer::Writer;
use crate::commands::execute::{ExecuteError, Foundation, Limits, Request, Submission};
use crate::config::PartitionUnit;
use crate::events::log::append::Progress;
use crate::events::log::intake::{GivenId, Hold};
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
    claims: Claims,
    flying: Option<Flying>,
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
        let loader = Loader::new(log.clone(), limits.snapshot_interval);
        let mut writer = Writer::new(on, loader.clone(), limits);
        writer.continue_after(head.recorded_at);
        Ok(Self {
            name: name.into(),
            batch,
            writer,
            loader,
            claims: Claims::new(log.clone(), name),
            log,
            hold,
            conflict_retries: limits.conflict_retries,
            kept,
            standing,
            times: times.map(Times::new),
            flying: None,
            read: VecDeque::new(),
            again: Vec::new(),
        })
    }

    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Takes lines until there are no more, or until told to stop. `told` hears of each batch that is durable. However it ends,
    /// nothing is on its way any more.
    pub async fn run(
        &mut self,
        mut lines: Lines,
        stop: &CancellationToken,
        mut told: impl FnMut(&Standing),
    ) -> Result<Ended, ImportError> {
        let ended = self.take(&mut lines, stop, &mut told).await;
        let landed = self.land(None).await;
        told(&self.standing);
        let ended = ended?;
        landed?;
        Ok(ended)
    }

    /// While a batch is on its way, the next one is decided on what it leads to.
    async fn take(
        &mut self,
        lines: &mut Lines,
        stop: &CancellationToken,
        told: &mut impl FnMut(&Standing),
    ) -> Result<Ended, ImportError> {
        while !stop.is_cancelled() {
            let gathered = self.gather(lines).await?;
            let all = gathered.is_none() && self.again.is_empty();
            if all && self.flying.is_none() && self.is_kept() {
                return Ok(Ended::Done);
            }
            let mut batch = std::mem::take(&mut self.again);
            batch.extend(gathered.into_iter().flatten());
            if self.flying.is_some() && (all || batch.iter().any(asks_the_log)) {
                // What is on its way may turn out to be none of what this would be decided on, and may have to go again itself.
                self.again = batch;
                self.land(None).await?;
                told(&self.standing);
                continue;
            }
            let foreseen = self.foresee(batch).await?;
            if let Some(foreseen) = self.land(Some(foreseen)).await? {
                self.launch(foreseen).await?;
            }
            told(&self.standing);
        }
        Ok(Ended::Stopped)
    }

    /// Whether the log has all that is known of the lines. Without a batch to write, what became of the last ones is known and not
    /// yet kept.
    fn is_kept(&self) -> bool {
        self.kept.as_ref().and_then(Standing::read).unwrap_or_default() == self.standing
    }

    /// The next commands, as many as fit in a batch beside those that are to be submitted again. `None`: there are no more lines.
    async fn gather(&mut self, lines: &mut Lines) -> Result<Option<Vec<Submission<u64>>>, ImportError> {
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
            self.standing.take(number, line.command());
            match line {
                Line::Command { requests, named } => {
                    if named {
                        let Request { command_id: id, .. } = requests[0];
                        given.push(GivenId { line: number, room: requests[0].key(), id });
                    }
                    commands.push(Submission::new(requests, vec![Looked::default()], 0, number));
                }
                Line::Blank => self.standing.blank(number),
                Line::Refused(fault) => self.standing.reject(number, fault.reason, &fault.detail),
            }
        }
        let taken = self.claims.take(given).await?;
        for &line in &taken {
            self.standing.refuse(line, COMMAND_ID_REUSED, "the command_id is that of another line of the same room");
        }
        commands.retain(|submission| taken.binary_search(&submission.ticket).is_err());
        Ok(Some(commands))
    }

    /// Lets others import the source. What is durable of it: where it ended early, it had come farther.
    pub async fn end(self) -> Result<Standing, ImportError> {
        self.hold.release().await?;
        Ok(self.kept.as_ref().and_then(Standing::read).unwrap_or_default())
    }
}

/// Whether the command cannot be decided before all that came before it is in the log: it speaks of a message, or its answer is
/// kept with its place.
fn asks_the_log(submission: &Submission<u64>) -> bool {
    let request = &submission.requests[0];
    request.idempotency.is_some() || matches!(request.command.needs(), Need::Message(_))
}
