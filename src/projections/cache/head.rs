//! The head of a value in Redis, of fixed length, so that a script can compare two of them:
//!
//! ```text
//! <epoch, 36> <generation, 10 digits> <position, 20 digits> <read at, 20 digits, microseconds since 1970>\n
//! ```

use super::entry::Lineage;
use crate::events::time::Timestamp;
use crate::ids::Position;

const LENGTH: usize = 36 + 1 + 10 + 1 + 20 + 1 + 20 + 1;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head {
    pub lineage: Lineage,
    pub position: Position,
    pub read_at: Timestamp,
}

pub fn write(head: &Head) -> String {
    let Lineage { epoch, generation } = head.lineage;
    let read_at = head.read_at.unix_micros().max(0);
    format!("{epoch} {generation:010} {:020} {read_at:020}\n", head.position)
}

/// `None`: it is not one.
pub fn read(bytes: &[u8]) -> Option<(Head, &[u8])> {
    let (head, rest) = bytes.split_at_checked(LENGTH)?;
    let mut words = std::str::from_utf8(head).ok()?.strip_suffix('\n')?.split(' ');
    let epoch = words.next()?.parse().ok()?;
    let generation = words.next()?.parse().ok()?;
    let position = words.next()?.parse().ok()?;
    let read_at = Timestamp::from_unix_micros(words.next()?.parse().ok()?)?;
    words.next().is_none().then_some((Head { lineage: Lineage { epoch, generation }, position, read_at }, rest))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written_and_lies_where_the_script_looks() {
        let lineage = Lineage { epoch: Uuid::new_v4(), generation: 7 };
        let head =
            Head { lineage, position: 1_234_567, read_at: Timestamp::from_unix_micros(1_700_000_000_000_001).unwrap() };
        let text = format!("{}null", write(&head));
        assert_eq!(read(text.as_bytes()), Some((head, b"null".as_slice())));
        assert_eq!(&text[..47], format!("{} 0000000007", lineage.epoch));
        assert_eq!(text[48..68].parse(), Ok(1_234_567));
        for bad in ["", "null", &text[1..], &text[..60], &text.replacen(' ', "x", 1)] {
            assert_eq!(read(bad.as_bytes()), None, "{bad}");
        }
    }
}
