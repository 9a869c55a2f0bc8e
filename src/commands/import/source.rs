//! The source of an import: a file or standard input; plain, gzip or zstd, detected by its first bytes.
//!
//! Lines are UTF-8; a byte order mark is skipped. A source that cannot hold lines of commands is refused before the first line:
//! UTF-16, another compression, an export of events.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::blocks::LONGEST_LINE;
use crate::events::envelope::Hash;
use crate::ids::Position;

pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Packings that are not unpacked here, by their first bytes.
const OTHER_PACKINGS: &[(&[u8], &str)] = &[
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"PK\x03\x04", "zip"),
    (b"PAR1", "Parquet"),
];
/// The most of a source that has to be seen to know its packing.
const SIGNATURE: u64 = 6;

/// Bytes read at a time.
const BUFFER: usize = 256 * 1024;

type SourceText = Box<dyn BufRead + Send>;

/// A file, or what is written to the input stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportSource {
    File(PathBuf),
    Stdin,
}

impl ImportSource {
    /// `-` is the input stream.
    pub fn new(path: &Path) -> Self {
        if path.as_os_str() == "-" { Self::Stdin } else { Self::File(path.into()) }
    }

    /// Its text, unpacked.
    pub fn open(&self) -> io::Result<SourceText> {
        match self {
            Self::File(path) => unpacked(File::open(path)?),
            Self::Stdin => unpacked(io::stdin()),
        }
    }

    /// The same. Refuses events, which an export writes and an import does not take.
    pub fn open_commands(&self) -> io::Result<SourceText> {
        without_events(self.open()?)
    }
}

fn unpacked(mut raw: impl Read + Send + 'static) -> io::Result<SourceText> {
    let mut first = Vec::new();
    raw.by_ref().take(SIGNATURE).read_to_end(&mut first)?;
    if let Some((_, name)) = OTHER_PACKINGS.iter().find(|(signature, _)| first.starts_with(signature)) {
        return Err(not_taken(format!("it is {name}; lines of JSON are taken, plain or packed with gzip or zstd")));
    }
    let (gzip, zstd) = (first.starts_with(GZIP), first.starts_with(ZSTD));
    let whole = BufReader::with_capacity(BUFFER, Cursor::new(first).chain(raw));
    if gzip {
        // Several gzip files one after another are one file.
        utf_8(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(whole)))
    } else if zstd {
        utf_8(BufReader::with_capacity(BUFFER, zstd::Decoder::with_buffer(whole)?))
    } else {
        utf_8(whole)
    }
}

/// Passes over a byte order mark; refuses the marks, and the first characters, of UTF-16 and UTF-32.
fn utf_8(mut text: impl BufRead + Send + 'static) -> io::Result<SourceText> {
    let mut first = Vec::new();
    text.by_ref().take(4).read_to_end(&mut first)?;
    let wide = matches!(*first, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, ..] | [_, 0, ..]);
    if wide {
        return Err(not_taken(
            "it is not UTF-8 but UTF-16 or UTF-32: `iconv -f UTF-16 -t UTF-8 FILE` makes UTF-8 of it".into(),
        ));
    }
    let begin = if first.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    first.drain(..begin);
    Ok(Box::new(Cursor::new(first).chain(text)))
}

/// What every line of an export has, and no line of commands.
#[derive(Deserialize)]
struct ExportedEvent {
    #[serde(rename = "position")]
    _position: Position,
    #[serde(rename = "hash")]
    _hash: String,
    #[serde(rename = "type")]
    _type: IgnoredAny,
}

fn without_events(mut text: SourceText) -> io::Result<SourceText> {
    let mut first = Vec::new();
    text.by_ref().take(LONGEST_LINE as u64).read_until(b'\n', &mut first)?;
    if serde_json::from_slice::<ExportedEvent>(&first).is_ok() {
        return Err(not_taken(
            "it holds events, as `convoke export` writes them, and an import takes commands (docs/import.md): a log is moved \
             by a copy of its database (docs/restoring.md)"
                .into(),
        ));
    }
    Ok(Box::new(Cursor::new(first).chain(text)))
}

fn not_taken(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// What a source holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceSurvey {
    pub lines: u64,
    /// Of the unpacked text: the same history in another packing is the same.
    pub digest: Hash,
}

/// Reads a source to its end. `None`: told to stop.
pub fn survey(mut text: impl BufRead, stop: &CancellationToken) -> io::Result<Option<SourceSurvey>> {
    let (mut hasher, mut lines, mut last) = (Sha256::new(), 0, b'\n');
    loop {
        let bytes = text.fill_buf()?;
        let Some(end) = bytes.last() else { break };
        if stop.is_cancelled() {
            return Ok(None);
        }
        last = *end;
        lines += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        hasher.update(bytes);
        let count = bytes.len();
        text.consume(count);
    }
    // The last line may lack its end.
    lines += u64::from(last != b'\n');
    Ok(Some(SourceSurvey { lines, digest: hasher.finalize().into() }))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn packed() -> [Vec<u8>; 4] {
        let text = "one\ntwo\n\nfour".as_bytes();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text[..5]).unwrap();
        let mut second = flate2::write::GzEncoder::new(gzip.finish().unwrap(), flate2::Compression::fast());
        second.write_all(&text[5..]).unwrap();
        let frames = [zstd::encode_all(&text[..7], 1).unwrap(), zstd::encode_all(&text[7..], 1).unwrap()].concat();
        [text.to_vec(), second.finish().unwrap(), frames, zstd::encode_all(text, 3).unwrap()]
    }

    #[test]
    fn what_is_packed_is_known_by_its_first_bytes_and_reads_as_what_it_holds() {
        let stop = CancellationToken::new();
        let surveys = packed().map(|bytes| survey(unpacked(Cursor::new(bytes)).unwrap(), &stop).unwrap().unwrap());
        assert!(surveys.iter().all(|found| *found == surveys[0]), "{surveys:?}");
        assert_eq!(surveys[0].lines, 4, "an empty line is a line, and so is one without its end");
    }

    #[test]
    fn a_source_shorter_than_any_mark_is_read_as_it_is() {
        for text in ["", "a", "\n", "\u{1f}"] {
            let mut found = String::new();
            unpacked(Cursor::new(text.as_bytes().to_vec())).unwrap().read_to_string(&mut found).unwrap();
            assert_eq!(found, text);
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        let stop = CancellationToken::new();
        let marked = [BYTE_ORDER_MARK, b"one\n"].concat();
        let marked_and_packed = zstd::encode_all(&*marked, 1).unwrap();
        let [plain, marked, packed] = [b"one\n".to_vec(), marked, marked_and_packed]
            .map(|bytes| survey(unpacked(Cursor::new(bytes)).unwrap(), &stop).unwrap().unwrap());
        assert_eq!((marked, packed), (plain, plain), "with a mark and without, it is one source");
        let mut text = String::new();
        unpacked(Cursor::new(BYTE_ORDER_MARK)).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "");
    }

    #[test]
    fn what_cannot_be_lines_of_utf_8_is_refused_as_a_whole() {
        let refused = |bytes: &[u8]| unpacked(Cursor::new(bytes.to_vec())).err().expect("it is refused").to_string();
        let little: Vec<u8> = "{}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "{}\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [&little, &big, &[&b"\xff\xfe"[..], &little].concat(), &[&b"\xfe\xff"[..], &big].concat()] {
            assert!(refused(bytes).contains("UTF-16"), "{bytes:?}");
        }
        assert!(refused(&zstd::encode_all(&*little, 1).unwrap()).contains("UTF-16"));
        for (bytes, name) in OTHER_PACKINGS {
            assert!(refused(&[bytes, &b"and more"[..]].concat()).contains(name));
        }
    }

    #[test]
    fn events_are_no_commands() {
        let open = |text: &str| without_events(Box::new(Cursor::new(text.as_bytes().to_vec())));
        let event = r#"{"tenant":"acme","position":7,"room":"x","type":"room.created","hash":"ab","data":{}}"#;
        let refused = open(event).err().expect("it is refused").to_string();
        assert!(refused.contains("convoke export"), "{refused}");
        let commands = "{\"room\":\"x\",\"command\":\"lock-room\"}\n{}\n";
        let mut read = String::new();
        open(commands).unwrap().read_to_string(&mut read).unwrap();
        assert_eq!(read, commands);
    }

    #[test]
    fn a_packed_source_that_was_cut_off_is_an_error_not_an_end() {
        let stop = CancellationToken::new();
        for bytes in &packed()[1..] {
            let cut = Cursor::new(bytes[..bytes.len() - 3].to_vec());
            assert!(survey(unpacked(cut).unwrap(), &stop).is_err());
        }
    }

    #[test]
    fn told_to_stop_it_stops() {
        let stop = CancellationToken::new();
        stop.cancel();
        assert_eq!(survey(Cursor::new(b"a\n"), &stop).unwrap(), None);
    }
}
