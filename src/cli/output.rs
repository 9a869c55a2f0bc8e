//! Output: the only way of commands to standard output and standard error.
//!
//! If the reader closes standard output early, as `head` does, the command ends quietly with its regular exit code. Any other
//! failed write, such as to a full disk, is an error.
//!
//! Only a write to standard output gives an [`OutputError`]. A broken pipe to the database is an `io::Error` too, and a failure
//! of the command: the two must not be confused.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;

use serde::Serialize;

/// Why standard output was not written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Its reader has closed it.
    #[error("the reader of standard output has closed it")]
    Closed,
    #[error("standard output cannot be written: {0}")]
    Unwritable(#[source] io::Error),
}

impl OutputError {
    /// Of a failed write to standard output.
    pub fn of(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Closed } else { Self::Unwritable(error) }
    }

    /// Whether a command failed only because nobody reads its output any more.
    pub fn is_closed(error: &anyhow::Error) -> bool {
        error.chain().any(|cause| matches!(cause.downcast_ref(), Some(Self::Closed)))
    }
}

/// Prints text as it is. Does nothing where nobody reads it any more.
pub fn print_text(text: &str) -> Result<(), OutputError> {
    match stream(text.as_bytes()) {
        Err(OutputError::Closed) => Ok(()),
        written => written,
    }
}

/// Prints text and the end of its line.
pub fn print_line(text: impl Display) -> Result<(), OutputError> {
    print_text(&format!("{text}\n"))
}

/// Prints a value as JSON on one line.
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(print_line(serde_json::to_string(value)?)?)
}

/// Prints a value as indented JSON.
pub fn print_pretty_json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(print_line(serde_json::to_string_pretty(value)?)?)
}

/// Writes a part of an output that may be long. [`OutputError::Closed`] tells the command to stop: it ends with exit code 0.
pub fn stream(bytes: &[u8]) -> Result<(), OutputError> {
    let mut output = io::stdout().lock();
    output.write_all(bytes).and_then(|()| output.flush()).map_err(OutputError::of)
}

/// What clap has to say: help and version go to standard output, a complaint goes to standard error.
pub fn print_help(help: &clap::Error) -> Result<(), OutputError> {
    match help.print().and_then(|()| io::stdout().flush()) {
        Ok(()) => Ok(()),
        Err(_) if help.use_stderr() => Ok(()),
        Err(error) => match OutputError::of(error) {
            OutputError::Closed => Ok(()),
            unwritable => Err(unwritable),
        },
    }
}

/// Whether people see what is printed.
pub fn is_seen() -> bool {
    io::stdout().is_terminal()
}

/// Whether people see what is noted.
pub fn notes_are_seen() -> bool {
    io::stderr().is_terminal()
}

/// Standard output as a file, without what the standard library puts around it to look for line ends.
pub fn as_file() -> io::Result<File> {
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

/// Tells people something on standard error. A note that cannot be written is lost: there is no other place to tell it.
pub fn note(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_broken_pipe_of_the_output_itself_is_a_closed_output() {
        let broken_pipe = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(OutputError::is_closed(&anyhow::Error::new(OutputError::of(broken_pipe())).context("printing")));
        for other in [
            anyhow::Error::new(broken_pipe()),
            anyhow::Error::new(sqlx::Error::Io(broken_pipe())).context("the database does not answer"),
            anyhow::Error::new(OutputError::of(io::ErrorKind::StorageFull.into())),
        ] {
            assert!(!OutputError::is_closed(&other), "{other:?}");
        }
    }
}
