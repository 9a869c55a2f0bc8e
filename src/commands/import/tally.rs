//! Counts the results of lines, stores the counts with each batch, and reports them at the end.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::blocks::SkippedLines;
use crate::commands::execute::ExecuteError;
use crate::commands::execute::import_batches::BatchOutcomes;
use crate::events::log::append::SourceProgress;
use crate::ids::Position;

/// Characters kept of an example's detail.
const MAX_DETAIL: usize = 300;

/// Lines by what became of them; of the whole source, over all its imports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ImportTally {
    /// Accepted, and something was written.
    pub applied: u64,
    /// Accepted, without an effect.
    pub unchanged: u64,
    /// Accepted before under the line's idempotency key.
    pub repeated: u64,
    /// Empty.
    pub blank: u64,
    /// By reason: the code of a refusal or of a fault of the line.
    pub refused: BTreeMap<String, RefusedLines>,
    /// Written to the log.
    pub events: u64,
    /// By the command that the line names.
    #[serde(default)]
    pub commands: BTreeMap<String, CommandLines>,
    /// Refused before any command was read: they are not JSON, lack a field, name a command that there is not.
    #[serde(default)]
    pub not_commands: u64,
}

/// The lines of one command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CommandLines {
    pub lines: u64,
    /// By whatever it was.
    pub refused: u64,
    /// Of them, those that no rule had to judge: their fields are not the command's.
    pub malformed: u64,
}

/// A command of so many lines that rules refuse all of them by chance no more.
const MANY: u64 = 100;

/// What stands in [`ImportTally::wholly_refused`] for lines that are no commands.
pub const NOT_COMMANDS: &str = "lines that are no commands";

/// The result of a line, for the counts by command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineResult {
    Taken,
    Refused,
    Malformed,
}

/// The command that a line names; `None`: it is none.
pub type NamedCommand = Option<Cow<'static, str>>;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefusedLines {
    pub lines: u64,
    /// The number of the first one.
    pub first_line: u64,
    /// What was said of it, without what the line itself says.
    pub detail: String,
}

impl ImportTally {
    pub fn lines(&self) -> u64 {
        self.applied + self.unchanged + self.repeated + self.blank + self.refused_lines()
    }

    pub fn refused_lines(&self) -> u64 {
        self.refused.values().map(|refused| refused.lines).sum()
    }

    /// Kinds of lines of which not one was taken, in a way that says more of whoever wrote them than of what happened: [`NOT_COMMANDS`];
    /// commands of which every line was malformed; commands of many lines that were all refused; every command, where no line was taken
    /// at all. Real history has lines that rules refuse, and rare commands that they refuse each time.
    pub fn wholly_refused(&self) -> Vec<&str> {
        let nothing_taken = self.applied + self.unchanged + self.repeated == 0;
        let is_whole = |command: &CommandLines| {
            command.malformed == command.lines
                || (command.refused == command.lines && (command.lines >= MANY || nothing_taken))
        };
        let whole = self.commands.iter().filter(|(_, command)| is_whole(command));
        let mut kinds: Vec<&str> = whole.map(|(name, _)| name.as_str()).collect();
        kinds.extend((self.not_commands > 0).then_some(NOT_COMMANDS));
        kinds
    }

    fn count(&mut self, command: NamedCommand, became: LineResult) {
        let Some(name) = command else {
            self.not_commands += u64::from(became == LineResult::Malformed);
            return;
        };
        // Looked up before: all lines but the first of a command find it.
        if !self.commands.contains_key(&*name) {
            self.commands.insert(name.to_string(), CommandLines::default());
        }
        if let Some(command) = self.commands.get_mut(&*name) {
            command.lines += 1;
            command.refused += u64::from(became != LineResult::Taken);
            command.malformed += u64::from(became == LineResult::Malformed);
        }
    }

    pub fn accept(&mut self, events: usize) {
        if events == 0 {
            self.unchanged += 1;
        } else {
            self.applied += 1;
            self.events += events as u64;
        }
    }

    pub fn refuse(&mut self, line: u64, reason: &str, detail: &str) {
        let short = || without_values(detail).chars().take(MAX_DETAIL).collect();
        match self.refused.get_mut(reason) {
            Some(refused) => {
                refused.lines += 1;
                if line < refused.first_line {
                    (refused.first_line, refused.detail) = (line, short());
                }
            }
            None => {
                self.refused.insert(reason.into(), RefusedLines { lines: 1, first_line: line, detail: short() });
            }
        }
    }
}

/// What is kept of an import outlives the people in it: a name that stood in the wrong field is not told on. Values are quoted by
/// who says that they are wrong.
fn without_values(detail: &str) -> String {
    let mut told = detail.to_owned();
    if let Some(from) = told.find('"').map(|at| at + 1)
        && let Some(to) = told.rfind('"').filter(|to| *to >= from)
    {
        told.replace_range(from..to, "…");
    }
    told
}

/// The code under which a command that was not carried out is counted; `None`: that is no judgement on the command.
fn reason(error: &ExecuteError) -> Option<(&'static str, String)> {
    let code = match error {
        ExecuteError::Refused(refusal) => return Some((refusal.code.as_str(), refusal.detail.clone())),
        ExecuteError::VersionMismatch { .. } => "version-mismatch",
        ExecuteError::KeyReused => "idempotency-key-reused",
        ExecuteError::Conflict => "conflict-retries-exhausted",
        ExecuteError::Busy | ExecuteError::Unavailable(_) | ExecuteError::Sealing(_) | ExecuteError::Stopping => {
            return None;
        }
    };
    Some((code, error.to_string()))
}

/// How far an import has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportState {
    pub tally: ImportTally,
    /// The last line that was taken up.
    pub taken: u64,
    /// Lines up to there that are not dealt with yet. Those of an earlier run are read again before anything is known of them.
    pub open: BTreeMap<u64, NamedCommand>,
    /// Of the log after it; kept where recorded times are those of occurrence, so that nobody else may write.
    pub position: Position,
    pub recorded_as_occurred: bool,
}

/// What is kept of it beside the number of lines.
#[derive(Serialize, Deserialize)]
struct StoredTally {
    #[serde(flatten)]
    tally: ImportTally,
    recorded_as_occurred: bool,
    position: Position,
    open: BTreeSet<u64>,
}

impl ImportState {
    /// What was kept of it; `None`: it is not in the shape that [`ImportState::progress`] gives it.
    pub fn read(kept: &SourceProgress) -> Option<Self> {
        let StoredTally { tally, recorded_as_occurred, position, open } =
            serde_json::from_str(kept.detail.get()).ok()?;
        let open = open.into_iter().map(|line| (line, None)).collect();
        Some(Self { tally, taken: kept.done, open, position, recorded_as_occurred })
    }

    /// What is to be kept of it, under a name.
    pub fn progress(&self, name: &str) -> SourceProgress {
        let (mut done, mut open) = (self.taken, self.open_lines());
        // What is open at the end has not been begun.
        while open.remove(&done) {
            done -= 1;
        }
        let (tally, position) = (self.tally.clone(), self.position);
        let detail = StoredTally { tally, recorded_as_occurred: self.recorded_as_occurred, position, open };
        let json = serde_json::to_string(&detail).expect("numbers and strings are JSON");
        let detail = RawValue::from_string(json).expect("what serde_json wrote is JSON");
        SourceProgress { name: name.into(), done, detail }
    }

    /// What need not be read again.
    pub fn skip(&self) -> SkippedLines {
        SkippedLines { through: self.taken, open: self.open_lines() }
    }

    fn open_lines(&self) -> BTreeSet<u64> {
        self.open.keys().copied().collect()
    }

    /// A line of the source is taken up.
    pub fn take(&mut self, line: u64, command: NamedCommand) {
        // One that was open before is not the last one.
        self.taken = self.taken.max(line);
        self.open.insert(line, command);
    }

    pub fn blank(&mut self, line: u64) {
        self.open.remove(&line);
        self.tally.blank += 1;
    }

    /// The line is a command, and was not carried out.
    pub fn refuse(&mut self, line: u64, reason: &str, detail: &str) {
        let command = self.open.remove(&line).flatten();
        self.tally.count(command, LineResult::Refused);
        self.tally.refuse(line, reason, detail);
    }

    /// The line is no command.
    pub fn reject(&mut self, line: u64, reason: &str, detail: &str) {
        let command = self.open.remove(&line).flatten();
        self.tally.count(command, LineResult::Malformed);
        self.tally.refuse(line, reason, detail);
    }

    pub fn accept(&mut self, line: u64, events: usize) {
        let command = self.open.remove(&line).flatten();
        self.tally.count(command, LineResult::Taken);
        self.tally.accept(events);
        if self.recorded_as_occurred {
            self.position += events as u64;
        }
    }

    /// What lines come to: how many events each writes, or why it is not carried out.
    pub fn come_to(&mut self, outcomes: &BatchOutcomes<u64>) {
        for (line, outcome) in outcomes.iter() {
            match outcome {
                Ok(events) => self.accept(*line, events),
                // What is no judgement stays open.
                Err(error) => _ = self.refuse_for(*line, error),
            }
        }
    }

    /// Whether the error is a judgement on the command.
    pub fn refuse_for(&mut self, line: u64, error: &ExecuteError) -> bool {
        let found = reason(error);
        if let Some((reason, detail)) = &found {
            self.refuse(line, reason, detail);
        }
        found.is_some()
    }

    pub fn repeat(&mut self, line: u64) {
        let command = self.open.remove(&line).flatten();
        self.tally.count(command, LineResult::Taken);
        self.tally.repeated += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_reads_as_what_it_was_and_what_was_not_begun_is_begun_again() {
        let mut state = ImportState { recorded_as_occurred: true, position: 7, ..ImportState::default() };
        (1..=6).for_each(|line| state.take(line, None));
        state.accept(1, 2);
        state.refuse(3, "not-present", "ann is not in the room");
        state.accept(4, 0);
        let kept = state.progress("name");
        assert_eq!((kept.name.as_str(), kept.done), ("name", 4));
        let read = ImportState::read(&kept).unwrap();
        assert_eq!((read.taken, &read.open), (4, &[(2, None)].into()));
        assert_eq!(read.tally, state.tally);
        assert_eq!((read.position, read.recorded_as_occurred), (9, true));
        assert_eq!(read.skip(), SkippedLines { through: 4, open: [2].into() });
        assert_eq!(read.tally.lines(), 3);
    }

    #[test]
    fn what_is_kept_of_a_fault_says_nothing_of_what_the_line_said() {
        for (detail, told) in [
            ("data: identity: is missing", "data: identity: is missing"),
            ("there is no command \"Ann \\\"M\\\" Lee\"", "there is no command \"…\""),
            (
                "data: role: is the text \"Ann Lee\"; a whole number is wanted",
                "data: role: is the text \"…\"; a whole number is wanted",
            ),
            (
                "data: role: is \"Ann Lee\", which is none of `viewer`, `host`",
                "data: role: is \"…\", which is none of `viewer`, `host`",
            ),
        ] {
            let mut tally = ImportTally::default();
            tally.refuse(1, "invalid-fields", detail);
            assert_eq!(tally.refused["invalid-fields"].detail, told);
        }
    }

    /// Lines by command, and what becomes of each.
    fn state_after(lines: impl IntoIterator<Item = (Option<&'static str>, LineResult)>) -> ImportState {
        let mut state = ImportState::default();
        for ((command, became), line) in lines.into_iter().zip(1..) {
            state.take(line, command.map(Cow::Borrowed));
            match became {
                LineResult::Taken => state.accept(line, 1),
                LineResult::Refused => state.refuse(line, "not-present", ""),
                LineResult::Malformed => state.reject(line, "invalid-fields", ""),
            }
        }
        state
    }

    #[test]
    fn a_kind_of_which_nothing_was_taken_is_told_from_what_history_is_like() {
        use LineResult::{Malformed, Refused, Taken};
        let (join, leave) = (Some("join"), Some("leave"));
        for (lines, kinds) in [
            (vec![], vec![]),
            (vec![(join, Taken), (join, Malformed), (join, Refused)], vec![]),
            // A rare command that the rules refused.
            (vec![(join, Taken), (leave, Refused), (leave, Refused)], vec![]),
            (vec![(join, Taken), (leave, Refused), (leave, Malformed)], vec![]),
            (vec![(join, Taken), (leave, Malformed), (leave, Malformed)], vec!["leave"]),
            (vec![(join, Taken), (None, Malformed)], vec![NOT_COMMANDS]),
            (vec![(join, Refused), (leave, Refused)], vec!["join", "leave"]),
            ([vec![(join, Taken)], vec![(leave, Refused); MANY as usize]].concat(), vec!["leave"]),
            ([vec![(leave, Taken)], vec![(leave, Refused); MANY as usize]].concat(), vec![]),
        ] {
            let state = state_after(lines.clone());
            assert_eq!(state.tally.wholly_refused(), kinds, "{lines:?}");
            assert_eq!(ImportState::read(&state.progress("name")).unwrap().tally, state.tally, "it is kept");
        }
    }

    #[test]
    fn progress_that_an_earlier_version_kept_is_read() {
        let detail = r#"{"applied":1,"unchanged":0,"repeated":0,"blank":0,"refused":{},"events":1,"recorded_as_occurred":false,"position":0,"open":[2]}"#;
        let detail = RawValue::from_string(detail.into()).unwrap();
        let read = ImportState::read(&SourceProgress { name: "name".into(), done: 3, detail }).unwrap();
        assert_eq!((read.tally.applied, read.taken), (1, 3));
    }

    #[test]
    fn the_first_line_of_a_reason_stands_for_it_in_whatever_order_they_come() {
        let mut tally = ImportTally::default();
        for line in [5, 3, 4] {
            tally.refuse(line, "banned", &format!("of line {line}"));
        }
        assert_eq!(tally.refused["banned"], RefusedLines { lines: 3, first_line: 3, detail: "of line 3".into() });
    }
}
