//! Cursors: where a reader is, as text that it gives back unread.
//!
//! `3f2a91c0-p1234` is position 1234 of the log, `3f2a91c0-v12` is version 12 of a room. The first eight digits are those of
//! the log's epoch: after a restore that lost events the numbers mean other events, so a cursor of another epoch is refused
//! rather than read on from the wrong place. The letter keeps a room's number from being taken for the log's.
//!
//! A number alone is taken as well, as of the present epoch: handy by hand, and what an `ETag` or `Convoke-Position` holds.

use std::fmt;

use uuid::Uuid;

use crate::ids::{Position, RoomVersion};

/// What the number of a cursor counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorKind {
    Position,
    RoomVersion,
}

impl CursorKind {
    fn letter(self) -> char {
        match self {
            CursorKind::Position => 'p',
            CursorKind::RoomVersion => 'v',
        }
    }
}

/// A place behind which to read on. What it names has been read; 0 is the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    epoch: u32,
    count: CursorKind,
    number: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCursor {
    #[error("not a cursor: send one exactly as it was received, such as {example}")]
    Malformed { example: String },
    #[error(
        "a cursor over {}: it belongs to another list of events",
        match found { CursorKind::Position => "positions of the whole log", CursorKind::RoomVersion => "versions of one room" }
    )]
    OtherCount { found: CursorKind },
    #[error(
        "the cursor is of epoch {cursor:08x} and the log is in epoch {log:08x}: it was restored in between and some events \
         may be lost. Read the state again, then go on from the cursor that comes with it"
    )]
    OtherEpoch { cursor: u32, log: u32 },
}

impl Cursor {
    pub fn position(epoch: Uuid, position: Position) -> Self {
        Self { epoch: short(epoch), count: CursorKind::Position, number: position }
    }

    pub fn room_version(epoch: Uuid, version: RoomVersion) -> Self {
        Self { epoch: short(epoch), count: CursorKind::RoomVersion, number: version }
    }

    /// Reads a cursor over `count` in a log that is in `epoch`; gives its number.
    pub fn read(text: &str, count: CursorKind, epoch: Uuid) -> Result<u64, BadCursor> {
        let malformed =
            || BadCursor::Malformed { example: Self { epoch: short(epoch), count, number: 42 }.to_string() };
        let Some((tag, number)) = text.split_once('-') else {
            return number(text).ok_or_else(malformed);
        };
        let tag = Some(tag)
            .filter(|tag| tag.len() == 8 && tag.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
            .and_then(|tag| u32::from_str_radix(tag, 16).ok())
            .ok_or_else(malformed)?;
        let found = match number.as_bytes().first() {
            Some(b'p') => CursorKind::Position,
            Some(b'v') => CursorKind::RoomVersion,
            _ => return Err(malformed()),
        };
        let number = self::number(&number[1..]).ok_or_else(malformed)?;
        if found != count {
            return Err(BadCursor::OtherCount { found });
        }
        if tag != short(epoch) {
            return Err(BadCursor::OtherEpoch { cursor: tag, log: short(epoch) });
        }
        Ok(number)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}{}", self.epoch, self.count.letter(), self.number)
    }
}

/// The first 32 bits; they are random in an epoch.
fn short(epoch: Uuid) -> u32 {
    epoch.as_fields().0
}

/// A plain decimal that fits the log's `bigint`: no sign, no leading zero.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    digits.then(|| text.parse().ok()).flatten().filter(|&number| number <= i64::MAX as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Uuid = Uuid::from_u128(0x3f2a91c0_0000_4000_8000_000000000001);
    const OTHER: Uuid = Uuid::from_u128(0x11111111_0000_4000_8000_000000000001);

    #[test]
    fn a_cursor_comes_back_as_it_was_given() {
        let text = Cursor::position(EPOCH, 1234).to_string();
        assert_eq!(text, "3f2a91c0-p1234");
        assert_eq!(Cursor::read(&text, CursorKind::Position, EPOCH), Ok(1234));
        let text = Cursor::room_version(EPOCH, 0).to_string();
        assert_eq!(text, "3f2a91c0-v0");
        assert_eq!(Cursor::read(&text, CursorKind::RoomVersion, EPOCH), Ok(0));
    }

    #[test]
    fn a_number_alone_is_of_the_present_epoch() {
        assert_eq!(Cursor::read("17", CursorKind::RoomVersion, EPOCH), Ok(17));
    }

    #[test]
    fn a_cursor_of_another_epoch_is_refused_and_says_so() {
        let text = Cursor::position(OTHER, 7).to_string();
        let refusal = Cursor::read(&text, CursorKind::Position, EPOCH).expect_err("another epoch");
        assert_eq!(refusal, BadCursor::OtherEpoch { cursor: 0x11111111, log: 0x3f2a91c0 });
        assert!(refusal.to_string().contains("epoch 11111111"), "{refusal}");
    }

    #[test]
    fn a_cursor_over_rooms_is_not_taken_for_one_over_the_log() {
        let text = Cursor::room_version(EPOCH, 7).to_string();
        let refusal = Cursor::read(&text, CursorKind::Position, EPOCH).expect_err("another count");
        assert_eq!(refusal, BadCursor::OtherCount { found: CursorKind::RoomVersion });
    }

    #[test]
    fn what_is_not_a_cursor_is_refused() {
        for text in [
            "",
            "-",
            "3f2a91c0-",
            "3f2a91c0-p",
            "3f2a91c0-x1",
            "3f2a91c0-p-1",
            "3f2a91c0-p01",
            "3F2A91C0-p1",
            "3f2a91c-p1",
            "+f2a91c0-p1",
            "99999999999999999999",
            "9223372036854775808",
            "3f2a91c0-pé",
            "é",
        ] {
            let refusal = Cursor::read(text, CursorKind::Position, EPOCH).expect_err(text);
            assert!(matches!(refusal, BadCursor::Malformed { .. }), "{text}: {refusal}");
        }
    }
}
