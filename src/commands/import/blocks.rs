//! Splits a source into blocks of lines for the parsing threads. Memory is bounded: a line that exceeds the limit is skipped
//! without loading it.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Read};

/// The longest line, in bytes: the greatest body of a command, each of its characters escaped.
pub const LONGEST_LINE: usize = 1024 * 1024;

/// Lines of a block, at most.
const LINES: usize = 256;
/// Bytes of a block, at most, beside the line that exceeds them.
const BYTES: usize = 1024 * 1024;

/// Which lines were dealt with before: all up to and with `through`, but for those of `open`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkippedLines {
    pub through: u64,
    pub open: BTreeSet<u64>,
}

impl SkippedLines {
    fn skips(&self, line: u64) -> bool {
        line <= self.through && !self.open.contains(&line)
    }
}

/// One line; numbers are from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawLine<'a> {
    Line(&'a [u8]),
    TooLong,
}

/// Some lines, in order.
#[derive(Default)]
pub struct LineBlock {
    bytes: Vec<u8>,
    /// Number, and where it ends in `bytes`; `None`: too long.
    lines: Vec<(u64, Option<usize>)>,
}

impl LineBlock {
    pub fn lines(&self) -> impl Iterator<Item = (u64, RawLine<'_>)> {
        let mut begin = 0;
        self.lines.iter().map(move |&(number, end)| {
            let raw =
                end.map_or(RawLine::TooLong, |end| RawLine::Line(&self.bytes[std::mem::replace(&mut begin, end)..end]));
            (number, raw)
        })
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= LINES || self.bytes.len() >= BYTES
    }
}

pub struct BlockReader<R> {
    text: R,
    skip: SkippedLines,
    /// Of the last line read.
    number: u64,
}

impl<R: BufRead> BlockReader<R> {
    pub fn new(text: R, skip: SkippedLines) -> Self {
        Self { text, skip, number: 0 }
    }

    /// The next lines that were not dealt with; `None`: there are no more.
    pub fn next(&mut self) -> io::Result<Option<LineBlock>> {
        let mut block = LineBlock::default();
        while !block.is_full() {
            if self.skip.skips(self.number + 1) {
                if self.text.skip_until(b'\n')? == 0 {
                    break;
                }
                self.number += 1;
            } else if !self.read_line(&mut block)? {
                break;
            }
        }
        Ok((!block.lines.is_empty()).then_some(block))
    }

    fn read_line(&mut self, block: &mut LineBlock) -> io::Result<bool> {
        let begin = block.bytes.len();
        let bound = LONGEST_LINE as u64 + 1;
        let read = self.text.by_ref().take(bound).read_until(b'\n', &mut block.bytes)?;
        if read == 0 {
            return Ok(false);
        }
        self.number += 1;
        if block.bytes.last() == Some(&b'\n') {
            block.bytes.pop();
        } else if read > LONGEST_LINE {
            block.bytes.truncate(begin);
            self.text.skip_until(b'\n')?;
            block.lines.push((self.number, None));
            return Ok(true);
        }
        block.lines.push((self.number, Some(block.bytes.len())));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8], skip: SkippedLines) -> Vec<(u64, Option<String>)> {
        let mut blocks = BlockReader::new(text, skip);
        let mut found = Vec::new();
        while let Some(block) = blocks.next().unwrap() {
            found.extend(block.lines().map(|(number, raw)| match raw {
                RawLine::Line(line) => (number, Some(String::from_utf8_lossy(line).into_owned())),
                RawLine::TooLong => (number, None),
            }));
        }
        found
    }

    fn line(number: u64, text: &str) -> (u64, Option<String>) {
        (number, Some(text.into()))
    }

    #[test]
    fn lines_come_in_order_with_their_numbers_over_any_number_of_blocks() {
        let text: String = (1..=1_000).map(|number| format!("line {number}\n")).collect();
        let found = all(text.as_bytes(), SkippedLines::default());
        assert_eq!(found.len(), 1_000);
        assert!(found.iter().zip(1..).all(|(found, number)| *found == line(number, &format!("line {number}"))));
        assert_eq!(all(b"a\n\nb", SkippedLines::default()), [line(1, "a"), line(2, ""), line(3, "b")]);
        assert!(all(b"", SkippedLines::default()).is_empty());
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_the_next_one_is_read() {
        let fits = "x".repeat(LONGEST_LINE);
        let text = format!("{fits}\n{fits}x\n{fits}{fits}{fits}\nshort\n{fits}x");
        let found = all(text.as_bytes(), SkippedLines::default());
        assert_eq!(found[0].1.as_ref().map(String::len), Some(LONGEST_LINE));
        assert_eq!(found[1..], [(2, None), (3, None), line(4, "short"), (5, None)]);
    }

    #[test]
    fn what_was_dealt_with_is_left_out() {
        let skip = SkippedLines { through: 3, open: [2].into() };
        assert_eq!(all(b"1\n2\n3\n4\n", skip), [line(2, "2"), line(4, "4")]);
        assert!(all(b"1\n2\n", SkippedLines { through: 9, open: BTreeSet::new() }).is_empty());
    }
}
