//! The head of a value in Redis, of fixed length, so that a script can compare two of them:
//!
//! ```text
//! <epoch, 36> <room version, 20 digits> <made at, 20 digits, microseconds since 1970>\n
//! ```
//!
//! A reader believes nothing that stands here alone: the sealed part repeats the version and is bound to the epoch.

use uuid::Uuid;

use crate::events::time::Timestamp;
use crate::ids::RoomVersion;

const LENGTH: usize = 36 + 1 + 20 + 1 + 20 + 1;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head {
    pub epoch: Uuid,
    pub version: RoomVersion,
    pub made_at: Timestamp,
}

pub fn write(head: &Head) -> String {
    let made_at = head.made_at.unix_micros().max(0);
    format!("{} {:020} {made_at:020}\n", head.epoch, head.version)
}

/// The head, and what follows it; `None`: the bytes do not begin with a head.
pub fn read(bytes: &[u8]) -> Option<(Head, &[u8])> {
    let (head, rest) = bytes.split_at_checked(LENGTH)?;
    let mut words = std::str::from_utf8(head).ok()?.strip_suffix('\n')?.split(' ');
    let epoch = words.next()?.parse().ok()?;
    let version = words.next()?.parse().ok()?;
    let made_at = Timestamp::from_unix_micros(words.next()?.parse().ok()?)?;
    words.next().is_none().then_some((Head { epoch, version, made_at }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written_and_lies_where_the_script_looks() {
        let made_at = Timestamp::from_unix_micros(1_700_000_000_000_001).unwrap();
        let head = Head { epoch: Uuid::new_v4(), version: 1_234_567, made_at };
        let text = format!("{}state", write(&head));
        assert_eq!(read(text.as_bytes()), Some((head, b"state".as_slice())));
        assert_eq!(text[..36], head.epoch.to_string());
        assert_eq!(text[37..57].parse(), Ok(1_234_567));
        for bad in ["", "null", &text[1..], &text[..60], &text.replacen(' ', "x", 1)] {
            assert_eq!(read(bad.as_bytes()), None, "{bad}");
        }
    }
}
