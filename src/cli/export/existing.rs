//! Reads an existing file to its end, so that an export can continue after its last line.
//!
//! Reading the file also verifies it: a truncated file, or lines that are not events, are reported before anything is appended.

use std::fs::File;
use std::io::{self, BufRead, Read as _};
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::packing::Packing;
use crate::commands::import::{ImportSource, LONGEST_LINE};
use crate::ids::Position;

/// What the last line of a file says of its event.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct LastLine {
    pub position: Position,
    /// In hexadecimal, as the API gives it.
    pub hash: String,
}

#[derive(Debug, PartialEq, Eq)]
pub enum ExistingExport {
    /// There is no line in it.
    Empty,
    EndsWith(LastLine),
    /// Told to stop before its end was reached.
    Stopped,
}

/// Reads a file to its end.
pub fn read(path: &Path, packing: Packing, stop: &CancellationToken) -> anyhow::Result<ExistingExport> {
    let shown = path.display();
    let mut first = Vec::new();
    File::open(path).and_then(|file| file.take(4).read_to_end(&mut first)).with_context(|| shown.to_string())?;
    let found = Packing::by_content(&first);
    anyhow::ensure!(
        first.is_empty() || found == packing,
        "{shown} holds {}, its name says {}: give it the right ending before it is appended to",
        found.name(),
        packing.name()
    );
    let text = ImportSource::File(path.into()).open().with_context(|| shown.to_string())?;
    last_line(text, stop).with_context(|| {
        format!(
            "{shown} is not a complete export and was not changed: export to another file, or overwrite it with --force"
        )
    })
}

fn last_line(mut text: impl BufRead, stop: &CancellationToken) -> anyhow::Result<ExistingExport> {
    let mut line = Vec::new();
    let (mut ended, mut empty) = (true, true);
    loop {
        let bytes = text.fill_buf()?;
        if bytes.is_empty() {
            break;
        }
        if stop.is_cancelled() {
            return Ok(ExistingExport::Stopped);
        }
        empty = false;
        keep_last(&mut line, &mut ended, bytes)?;
        let count = bytes.len();
        text.consume(count);
    }
    if empty {
        return Ok(ExistingExport::Empty);
    }
    anyhow::ensure!(ended, "its last line has no end");
    serde_json::from_slice(&line).map(ExistingExport::EndsWith).context("its last line is not an event")
}

/// `line`: the last line up to here, with its end or without (`ended`).
fn keep_last(line: &mut Vec<u8>, ended: &mut bool, bytes: &[u8]) -> io::Result<()> {
    let (body, ends) = match bytes.strip_suffix(b"\n") {
        Some(body) => (body, true),
        None => (bytes, false),
    };
    match body.iter().rposition(|byte| *byte == b'\n') {
        Some(before) => {
            line.clear();
            line.extend_from_slice(&body[before + 1..]);
        }
        None => {
            if *ended {
                line.clear();
            }
            line.extend_from_slice(body);
        }
    }
    *ended = ends;
    if line.len() > LONGEST_LINE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it has a line longer than any event"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use super::*;

    /// By whatever pieces it is read.
    fn ends(text: &str) -> Vec<anyhow::Result<ExistingExport>> {
        let read = |size| last_line(BufReader::with_capacity(size, Cursor::new(text)), &CancellationToken::new());
        [1, 2, 3, 7, 1024].map(read).into()
    }

    #[test]
    fn the_last_line_is_found_whatever_the_pieces() {
        for text in ["{\"position\":7,\"hash\":\"ab\"}\n", "{}\n\n{\"position\":7,\"room\":\"x\",\"hash\":\"ab\"}\n"] {
            for found in ends(text) {
                let last = LastLine { position: 7, hash: "ab".into() };
                assert_eq!(found.unwrap(), ExistingExport::EndsWith(last), "{text}");
            }
        }
    }

    #[test]
    fn a_file_without_a_line_is_empty_and_a_broken_one_is_refused() {
        assert!(ends("").into_iter().all(|found| found.unwrap() == ExistingExport::Empty));
        for broken in [
            "{\"position\":7,\"hash\":\"ab\"}",
            "{\"position\":7,\"hash\":\"a\n",
            "words\n",
            "[]\n",
            "{}\n",
            "\n",
            "{\"position\":7,\"hash\":\"ab\"}\n\n",
        ] {
            assert!(ends(broken).into_iter().all(|found| found.is_err()), "{broken}");
        }
    }

    #[test]
    fn told_to_stop_it_stops() {
        let stop = CancellationToken::new();
        stop.cancel();
        assert_eq!(last_line(Cursor::new("{}\n"), &stop).unwrap(), ExistingExport::Stopped);
    }
}
