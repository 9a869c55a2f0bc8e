//! The result of an export, for people and for programs, and the command that continues it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::reading::PersonalCounts;
use super::selection::{ExportSelection, PositionRange};
use crate::cli::table::{bytes, result, table};
use crate::ids::Position;

/// What was written, whatever ended it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExportTotals {
    pub events: u64,
    pub personal: PersonalCounts,
    /// Of the text, before it was packed.
    pub bytes: u64,
    /// Everything selected up to here is written.
    pub through: Position,
}

#[derive(Serialize)]
pub struct ExportReport {
    /// All that was selected is written.
    done: bool,
    events: u64,
    /// Positions after this one were looked at, …
    after: Position,
    /// … up to this one: what to give with `--after` to go on.
    through: Position,
    /// Where it was to end.
    to: Position,
    /// Of the text, before it was packed.
    bytes: u64,
    /// Absent: the output stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    /// Of the file as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    file_bytes: Option<u64>,
    /// Events with personal fields, by what was shown of them.
    open: u64,
    sealed: u64,
    erased: u64,
    seconds: f64,
    events_per_second: f64,
    /// The command that continues the export; absent when it is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    go_on: Option<String>,
}

impl ExportReport {
    pub fn new(written: &ExportTotals, range: PositionRange, took: Duration, done: bool) -> Self {
        let seconds = took.as_secs_f64();
        Self {
            done,
            events: written.events,
            after: range.after,
            through: if done { range.to } else { written.through },
            to: range.to,
            bytes: written.bytes,
            file: None,
            file_bytes: None,
            open: written.personal.open,
            sealed: written.personal.sealed,
            erased: written.personal.erased,
            seconds,
            events_per_second: written.events as f64 / seconds.max(f64::MIN_POSITIVE),
            go_on: None,
        }
    }

    pub fn in_file(self, file: PathBuf, file_bytes: Option<u64>) -> Self {
        Self { file: Some(file), file_bytes, ..self }
    }

    pub fn with_go_on(self, command: Option<String>) -> Self {
        Self { go_on: command, ..self }
    }

    pub fn text(&self) -> String {
        let mut table = table(&["exported", ""], &[1]);
        let mut row = |what: &str, much: String| _ = table.add_row([what, &much]);
        row("events", self.events.to_string());
        row("after position", self.after.to_string());
        row("up to position", self.through.to_string());
        for (what, events) in [
            ("with personal fields open", self.open),
            ("with personal fields sealed", self.sealed),
            ("with personal fields erased", self.erased),
        ] {
            if events > 0 {
                row(what, events.to_string());
            }
        }
        row("text", bytes(self.bytes));
        if let Some(size) = self.file_bytes {
            row("file", bytes(size));
        }
        format!("{table}\n\n{}\n", result(self.events, "events", Duration::from_secs_f64(self.seconds)))
    }
}

/// The command that continues after a position, for a shell. `file`: `None` is standard output.
pub fn to_go_on(selection: &ExportSelection, open: bool, through: Position, file: Option<&Path>) -> String {
    let mut command = String::from("convoke export");
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            command.push_str(&format!(" {name} {value}"));
        }
    };
    option("--tenant", selection.tenant.as_ref().map(ToString::to_string));
    option("--room", selection.room.map(|room| room.to_string()));
    option("--until", selection.until.map(|until| until.to_string()));
    option("--to", selection.to.map(|to| to.to_string()));
    option("--after", Some(through.to_string()));
    if open {
        command.push_str(" --open");
    }
    if let Some(file) = file {
        command.push_str(&format!(" --append {}", quoted(&file.to_string_lossy())));
    }
    command
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@+,%".contains(c);
    if word.chars().all(plain) && !word.starts_with('-') {
        return word.to_owned();
    }
    let word = if word.starts_with('-') { format!("./{word}") } else { word.to_owned() };
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_selects_the_same_up_to_the_same_end() {
        let selection = ExportSelection {
            tenant: Some("acme".parse().unwrap()),
            room: None,
            from: Some("2026-01-01T00:00:00Z".parse().unwrap()),
            until: Some("2026-02-01T00:00:00Z".parse().unwrap()),
            after: Some(7),
            to: None,
        };
        assert_eq!(
            to_go_on(&selection, true, 1234, Some(Path::new("it's here.zst"))),
            "convoke export --tenant acme --until 2026-02-01T00:00:00.000000Z --after 1234 --open --append 'it'\\''s here.zst'"
        );
        assert_eq!(quoted("-x"), "'./-x'");
    }
}
