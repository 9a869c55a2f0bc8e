//! Compression of an export, selected by the extension of the file. Concatenated gzip or zstd files are valid, which is how an
//! export continues.

use std::io::{self, BufWriter, IntoInnerError, Write};
use std::path::Path;

use flate2::write::GzEncoder;

/// The default of the `zstd` program.
const ZSTD_LEVEL: i32 = 3;
/// Bytes written at a time.
const BUFFER: usize = 256 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Gzip,
    Zstd,
}

/// Endings that promise what is not written here.
const NOT_WRITTEN: &[&str] = &[
    "7z", "avro", "br", "bz2", "csv", "gzip", "lz", "lz4", "lzma", "lzo", "orc", "parquet", "rar", "snappy", "sz",
    "tar", "tbz2", "tgz", "txz", "xz", "z", "zip", "zstd",
];

impl Packing {
    /// `.gz` and `.zst` say how; anything else is plain, unless it promises another packing or another form.
    pub fn by_name(path: &Path) -> anyhow::Result<Self> {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        Ok(match extension.as_deref() {
            Some("gz") => Self::Gzip,
            Some("zst") => Self::Zstd,
            Some(other) if NOT_WRITTEN.contains(&other) => anyhow::bail!(
                "{}: an export is lines of JSON, packed by gzip (.gz) or zstd (.zst) or plain; .{other} promises something else",
                path.display()
            ),
            _ => Self::Plain,
        })
    }

    /// What a file that begins with these bytes is.
    pub fn by_content(first: &[u8]) -> Self {
        match first {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain text",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Packs what is written to it. Whole only after [`Packer::finish`].
pub enum Packer<W: Write> {
    Plain(BufWriter<W>),
    Gzip(GzEncoder<BufWriter<W>>),
    Zstd(zstd::Encoder<'static, BufWriter<W>>),
}

impl<W: Write> Packer<W> {
    pub fn new(packing: Packing, to: W) -> io::Result<Self> {
        let to = BufWriter::with_capacity(BUFFER, to);
        Ok(match packing {
            Packing::Plain => Self::Plain(to),
            Packing::Gzip => Self::Gzip(GzEncoder::new(to, flate2::Compression::default())),
            Packing::Zstd => {
                let mut encoder = zstd::Encoder::new(to, ZSTD_LEVEL)?;
                // A changed byte is found when it is read, as in gzip.
                encoder.include_checksum(true)?;
                Self::Zstd(encoder)
            }
        })
    }

    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(to) => to.write_all(bytes),
            Self::Gzip(to) => to.write_all(bytes),
            Self::Zstd(to) => to.write_all(bytes),
        }
    }

    /// Ends the stream and hands back what it went to.
    pub fn finish(self) -> io::Result<W> {
        let buffer = match self {
            Self::Plain(to) => to,
            Self::Gzip(to) => to.finish()?,
            Self::Zstd(to) => to.finish()?,
        };
        buffer.into_inner().map_err(IntoInnerError::into_error)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_name_says_how_it_is_packed() {
        for (name, packing) in [
            ("log.ndjson", Packing::Plain),
            ("log.ndjson.gz", Packing::Gzip),
            ("LOG.ZST", Packing::Zstd),
            ("gz", Packing::Plain),
            ("-", Packing::Plain),
        ] {
            assert_eq!(Packing::by_name(Path::new(name)).unwrap(), packing, "{name}");
        }
    }

    #[test]
    fn a_name_that_promises_what_is_not_written_is_refused() {
        for name in ["log.ndjson.bz2", "log.XZ", "log.parquet", "log.tar", "log.zstd"] {
            let refused = Packing::by_name(Path::new(name)).unwrap_err().to_string();
            assert!(refused.contains(".gz") && refused.contains(".zst"), "{refused}");
        }
    }

    #[test]
    fn what_is_packed_in_two_goes_reads_as_one() {
        for packing in [Packing::Plain, Packing::Gzip, Packing::Zstd] {
            let mut bytes = Vec::new();
            for part in ["one\n", "two\n"] {
                let mut packer = Packer::new(packing, &mut bytes).unwrap();
                packer.write_all(part.as_bytes()).unwrap();
                packer.finish().unwrap();
            }
            assert_eq!(Packing::by_content(&bytes), packing);
            let mut text = String::new();
            match packing {
                Packing::Plain => text = String::from_utf8(bytes).unwrap(),
                Packing::Gzip => drop(flate2::read::MultiGzDecoder::new(&*bytes).read_to_string(&mut text).unwrap()),
                Packing::Zstd => drop(zstd::Decoder::new(&*bytes).unwrap().read_to_string(&mut text).unwrap()),
            }
            assert_eq!(text, "one\ntwo\n", "{packing:?}");
        }
    }
}
