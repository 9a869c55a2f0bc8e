//! Rows as bytes in the format of binary `COPY`, for bulk writes, hashing and scans.

use bytes::{Buf, Bytes, BytesMut};

use super::field::{BadField, Field};

/// Opens a binary `COPY`: signature, no flags, no extension.
pub const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Ends one.
pub const COPY_TRAILER: &[u8] = &[0xff, 0xff];

/// Rows of one table, one after another.
#[derive(Default)]
pub struct Tuples {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Tuples {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Makes room for so many more bytes.
    pub fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// Adds a row of `columns` fields, written by `fields`.
    pub fn push(&mut self, columns: usize, fields: impl FnOnce(&mut TupleWriter<'_>)) -> &[u8] {
        let start = self.bytes.len();
        let count = i16::try_from(columns).unwrap_or(i16::MAX);
        self.bytes.extend_from_slice(&count.to_be_bytes());
        fields(&mut TupleWriter(&mut self.bytes));
        self.ends.push(self.bytes.len());
        &self.bytes[start..]
    }

    /// Adds a row as [`CopySplitter`] gives it.
    pub fn append(&mut self, row: &[u8]) {
        self.bytes.extend_from_slice(row);
        self.ends.push(self.bytes.len());
    }

    /// Adds the rows of another.
    pub fn extend(&mut self, other: &Self) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends.iter().map(|end| start + end));
    }

    /// Forgets the rows and keeps their room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// With room for another as large as this one.
    pub fn another(&self) -> Self {
        Self { bytes: Vec::with_capacity(self.bytes.len()), ends: Vec::with_capacity(self.ends.len()) }
    }

    pub fn iter(&self) -> impl Iterator<Item = Tuple<'_>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| Tuple(&self.bytes[start + 2..*end]))
    }
}

pub struct TupleWriter<'a>(&'a mut Vec<u8>);

impl TupleWriter<'_> {
    pub fn put<F: Field>(&mut self, value: &F) {
        let at = self.0.len();
        self.0.extend_from_slice(&(-1i32).to_be_bytes());
        if value.put(self.0) {
            let length = i32::try_from(self.0.len() - at - 4).unwrap_or(i32::MAX);
            self.0[at..at + 4].copy_from_slice(&length.to_be_bytes());
        }
    }
}

/// The fields of one row, first to last.
pub struct Tuple<'a>(&'a [u8]);

impl<'a> Tuple<'a> {
    /// From the bytes of one row, its count of fields first.
    pub fn of(row: &'a [u8]) -> Self {
        Self(row.get(2..).unwrap_or_default())
    }
}

impl<'a> Iterator for Tuple<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            self.0 = rest;
            return Some(None);
        };
        let (field, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Some(field))
    }
}

/// The fields of a row, read in order.
pub struct RowFields<'a, I: Iterator<Item = Option<&'a [u8]>>>(pub I);

impl<'a, I: Iterator<Item = Option<&'a [u8]>>> RowFields<'a, I> {
    pub fn take<F: Field>(&mut self) -> Result<F, BadField> {
        F::get(self.0.next().ok_or(BadField("a row of that many columns"))?)
    }

    /// The bytes of the next field, as they are.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        self.0.next().flatten()
    }
}

/// Cuts a stream of binary `COPY` into rows, however it arrives.
#[derive(Default)]
pub struct CopySplitter {
    pending: BytesMut,
    opened: bool,
    ended: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("the database sent a binary COPY that this program cannot read")]
pub struct BadCopy;

impl CopySplitter {
    /// Takes what came and gives the rows that are whole by now.
    pub fn feed(&mut self, chunk: Bytes, mut row: impl FnMut(&[u8])) -> Result<(), BadCopy> {
        // The server sends whole rows; only a proxy that cuts messages makes the copy necessary.
        let mut data = if self.pending.is_empty() {
            chunk
        } else {
            self.pending.extend_from_slice(&chunk);
            self.pending.split().freeze()
        };
        if !self.opened {
            if data.len() < COPY_HEADER.len() {
                self.pending.extend_from_slice(&data);
                return Ok(());
            }
            if data.split_to(COPY_HEADER.len()) != COPY_HEADER {
                return Err(BadCopy);
            }
            self.opened = true;
        }
        while !self.ended {
            match row_length(&data)? {
                RowLength::Row(length) => {
                    row(&data[..length]);
                    data.advance(length);
                }
                RowLength::End => {
                    data.advance(COPY_TRAILER.len());
                    self.ended = true;
                }
                RowLength::Unknown => break,
            }
        }
        self.pending.extend_from_slice(&data);
        Ok(())
    }

    /// Whether all of it came.
    pub fn finish(self) -> Result<(), BadCopy> {
        (self.ended && self.pending.is_empty()).then_some(()).ok_or(BadCopy)
    }
}

enum RowLength {
    Row(usize),
    End,
    Unknown,
}

fn row_length(data: &[u8]) -> Result<RowLength, BadCopy> {
    let Some((count, mut rest)) = data.split_first_chunk::<2>() else { return Ok(RowLength::Unknown) };
    let count = i16::from_be_bytes(*count);
    if count == -1 {
        return Ok(RowLength::End);
    }
    if count < 0 {
        return Err(BadCopy);
    }
    for _ in 0..count {
        let Some((length, after)) = rest.split_first_chunk::<4>() else { return Ok(RowLength::Unknown) };
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        let Some(after) = after.get(length..) else { return Ok(RowLength::Unknown) };
        rest = after;
    }
    Ok(RowLength::Row(data.len() - rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_rows() -> Vec<u8> {
        let mut tuples = Tuples::default();
        tuples.push(2, |row| {
            row.put(&7u64);
            row.put(&Option::<i64>::None);
        });
        tuples.push(2, |row| {
            row.put(&8u64);
            row.put(&Some(-9i64));
        });
        [COPY_HEADER, tuples.bytes(), COPY_TRAILER].concat()
    }

    #[test]
    fn a_stream_cut_anywhere_gives_the_same_rows() {
        let stream = two_rows();
        for cut in 1..stream.len() {
            let mut splitter = CopySplitter::default();
            let mut rows = Vec::new();
            for part in stream.chunks(cut) {
                splitter.feed(Bytes::copy_from_slice(part), |row| rows.push(row.to_vec())).unwrap();
            }
            splitter.finish().unwrap();
            let read: Vec<(u64, Option<i64>)> = rows
                .iter()
                .map(|row| {
                    let mut fields = RowFields(Tuple::of(row));
                    (fields.take().unwrap(), fields.take().unwrap())
                })
                .collect();
            assert_eq!(read, [(7, None), (8, Some(-9))]);
        }
    }

    #[test]
    fn a_stream_that_breaks_off_is_not_taken_for_whole() {
        let mut splitter = CopySplitter::default();
        let stream = two_rows();
        splitter.feed(Bytes::copy_from_slice(&stream[..stream.len() - 2]), |_| {}).unwrap();
        assert!(splitter.finish().is_err());
    }
}
