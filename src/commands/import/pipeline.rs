//! The pipeline of an import: while a batch is being appended, one thread decompresses the source and others parse lines. Blocks
//! go to the parsers and return in rotation, so lines keep their order. Each stage waits when it is ahead of the next.

use std::io;
use std::sync::mpsc as blocking;
use std::thread;

use tokio::sync::mpsc;

use super::blocks::{BlockReader, LineBlock, SkippedLines};
use super::line::{ImportLine, LineReader};
use super::source::ImportSource;

/// Blocks that wait before each reader, and behind it.
const WAITING: usize = 8;
const MOST_READERS: usize = 8;

/// Lines with their numbers, in order.
pub type NumberedLines = Vec<(u64, ImportLine)>;

/// The lines of a source, read by threads of their own, which end when this is dropped.
pub struct ImportLines {
    readers: Vec<mpsc::Receiver<io::Result<Option<NumberedLines>>>>,
    turn: usize,
    ended: bool,
}

impl ImportLines {
    pub fn start(source: ImportSource, skip: SkippedLines, reader: &LineReader) -> io::Result<Self> {
        // One core is left to the writer and the database.
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let count = cores.saturating_sub(1).clamp(1, MOST_READERS);
        let (mut inputs, mut readers) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for number in 0..count {
            let (input, blocks) = blocking::sync_channel(WAITING);
            let (output, lines) = mpsc::channel(WAITING);
            let reader = reader.clone();
            let thread = thread::Builder::new().name(format!("import-lines-{number}"));
            thread.spawn(move || read_blocks(reader, &blocks, &output))?;
            inputs.push(input);
            readers.push(lines);
        }
        thread::Builder::new().name("import-source".into()).spawn(move || read_source(&source, skip, &inputs))?;
        Ok(Self { readers, turn: 0, ended: false })
    }

    /// The next ones; `None`: that was all.
    pub async fn next(&mut self) -> io::Result<Option<NumberedLines>> {
        if self.ended {
            return Ok(None);
        }
        let read = match self.readers[self.turn].recv().await {
            Some(read) => read?,
            // A thread that broke down must not be taken for the end of the source.
            None => return Err(io::Error::other("its reader ended before it did")),
        };
        if read.is_some() {
            self.turn = (self.turn + 1) % self.readers.len();
        } else {
            self.ended = true;
        }
        Ok(read)
    }
}

/// A block, or the end.
type BlockMessage = io::Result<Option<LineBlock>>;

fn read_source(source: &ImportSource, skip: SkippedLines, readers: &[blocking::SyncSender<BlockMessage>]) {
    let mut turns = readers.iter().cycle();
    let mut hand_on = |message| turns.next().is_some_and(|reader| reader.send(message).is_ok());
    let mut blocks = match source.open_commands() {
        Ok(text) => BlockReader::new(text, skip),
        Err(error) => {
            hand_on(Err(error));
            return;
        }
    };
    loop {
        let message = blocks.next();
        let last = !matches!(message, Ok(Some(_)));
        if !hand_on(message) || last {
            return;
        }
    }
}

fn read_blocks(
    mut reader: LineReader,
    blocks: &blocking::Receiver<BlockMessage>,
    output: &mpsc::Sender<io::Result<Option<NumberedLines>>>,
) {
    while let Ok(message) = blocks.recv() {
        let mut read =
            |block: LineBlock| block.lines().map(|(number, raw)| (number, reader.read(number, raw))).collect();
        if output.blocking_send(message.map(|block| block.map(&mut read))).is_err() {
            return;
        }
    }
}
