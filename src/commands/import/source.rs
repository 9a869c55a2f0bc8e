//! Where lines come from: a file or the input stream; plain, gzip or zstd, told by its first bytes, whatever the name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::events::envelope::Hash;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Bytes read at a time.
const BUFFER: usize = 256 * 1024;

/// A file, or what is written to the input stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    File(PathBuf),
    Stdin,
}

impl Source {
    /// `-` is the input stream.
    pub fn new(path: &Path) -> Self {
        if path.as_os_str() == "-" { Self::Stdin } else { Self::File(path.into()) }
    }

    /// Its text, unpacked.
    pub fn open(&self) -> io::Result<Box<dyn BufRead + Send>> {
        match self {
            Self::File(path) => unpacked(File::open(path)?),
            Self::Stdin => unpacked(io::stdin()),
        }
    }
}

fn unpacked(mut raw: impl Read + Send + 'static) -> io::Result<Box<dyn BufRead + Send>> {
    let mut first = Vec::with_capacity(ZSTD.len());
    raw.by_ref().take(ZSTD.len() as u64).read_to_end(&mut first)?;
    let (gzip, zstd) = (first.starts_with(GZIP), first.starts_with(ZSTD));
    let whole = BufReader::with_capacity(BUFFER, Cursor::new(first).chain(raw));
    Ok(if gzip {
        // Several gzip files one after another are one file.
        Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(whole)))
    } else if zstd {
        Box::new(BufReader::with_capacity(BUFFER, zstd::Decoder::with_buffer(whole)?))
    } else {
        Box::new(whole)
    })
}

/// What a source holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survey {
    pub lines: u64,
    /// Of the unpacked text: the same history in another packing is the same.
    pub digest: Hash,
}

/// Reads a source to its end. `None`: told to stop.
pub fn survey(mut text: impl BufRead, stop: &CancellationToken) -> io::Result<Option<Survey>> {
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
    Ok(Some(Survey { lines, digest: hasher.finalize().into() }))
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
