//! The digest of a read model: a sum over its rows that does not depend on their order. It can be updated row by row, and equals
//! the digest of a full scan.
//!
//! SHA-256 hashes each row (the name of its table and its bytes in binary `COPY` format), and the hashes are added as four 64-bit
//! numbers modulo 2^64. Equal digests mean equal rows, except for rows that an attacker constructs; whoever can write to the
//! tables needs no such construction.

use std::fmt;

use sha2::{Digest as _, Sha256};

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest([u64; 4]);

impl Digest {
    pub fn of_row(table: &str, row: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(table.as_bytes());
        hash.update([0]);
        hash.update(row);
        Self::from_bytes(&hash.finalize()).unwrap_or_default()
    }

    pub fn add(&mut self, other: Digest) {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word = word.wrapping_add(more);
        }
    }

    pub fn subtract(&mut self, other: Digest) {
        for (word, less) in self.0.iter_mut().zip(other.0) {
            *word = word.wrapping_sub(less);
        }
    }

    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// `None` unless there are 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 32] = bytes.try_into().ok()?;
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_be_bytes(chunk.try_into().ok()?);
        }
        Some(Self(words))
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|word| write!(f, "{word:016x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_may_come_and_go_in_any_order() {
        let [a, b, c] = ["a", "b", "c"].map(|row| Digest::of_row("t", row.as_bytes()));
        let mut kept = a;
        kept.add(b);
        kept.add(c);
        kept.subtract(a);
        let mut other = c;
        other.add(b);
        assert_eq!(kept, other);
        assert_ne!(kept, b);
        assert_eq!(Digest::from_bytes(&kept.to_bytes()), Some(kept));
    }

    #[test]
    fn the_same_bytes_in_another_table_are_another_row() {
        assert_ne!(Digest::of_row("t", b"row"), Digest::of_row("u", b"row"));
    }
}
