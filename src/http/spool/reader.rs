//! Reading answers back, in the order in which they were written.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::{SpoolInner, SpoolPart};

/// Bytes read from a file at a time.
const PIECE: u64 = 64 * 1024;

/// Why answers end before all was written.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("whoever answered has gone")]
    Gone,
    #[error("answers could not be read back from a temporary file: {0}")]
    File(#[from] io::Error),
}

/// Reads the answers of one list.
pub struct SpoolReader(pub(super) Arc<SpoolInner>);

enum ReadStep {
    Chunk(Bytes),
    File(Arc<File>, u64, u64),
    Wait,
    End,
}

impl SpoolReader {
    /// What is to be sent next; `None`: that was all.
    pub async fn next(&mut self) -> Option<Result<Bytes, SpoolError>> {
        loop {
            let written = self.0.written.notified();
            match self.step() {
                ReadStep::Chunk(chunk) => return Some(Ok(chunk)),
                ReadStep::File(file, offset, bytes) => return Some(self.piece(file, offset, bytes).await),
                ReadStep::End => return None,
                ReadStep::Wait => {
                    if self.0.queue().broken {
                        return Some(Err(SpoolError::Gone));
                    }
                    written.await;
                }
            }
        }
    }

    fn step(&self) -> ReadStep {
        let mut queue = self.0.queue();
        loop {
            let last = queue.parts.len() == 1;
            let ended = queue.ended;
            match queue.parts.front_mut() {
                None => return if ended { ReadStep::End } else { ReadStep::Wait },
                Some(SpoolPart::Memory(..)) => {
                    let Some(SpoolPart::Memory(chunk, taken)) = queue.parts.pop_front() else { continue };
                    queue.in_memory -= chunk.len() as u64;
                    drop(queue);
                    drop(taken);
                    self.0.read.notify_one();
                    return ReadStep::Chunk(chunk);
                }
                Some(SpoolPart::File(file)) if file.read < file.written => {
                    let bytes = PIECE.min(file.written - file.read);
                    return ReadStep::File(file.file.clone(), file.read, bytes);
                }
                // More may be written into it.
                Some(SpoolPart::File(file)) if last && !ended && !file.is_full() => return ReadStep::Wait,
                Some(SpoolPart::File(_)) => {
                    queue.parts.pop_front();
                    self.0.read.notify_one();
                }
            }
        }
    }

    async fn piece(&self, file: Arc<File>, offset: u64, bytes: u64) -> Result<Bytes, SpoolError> {
        let reading = spawn_blocking(move || {
            let mut piece = vec![0; usize::try_from(bytes).unwrap_or_default()];
            file.read_exact_at(&mut piece, offset).map(|()| Bytes::from(piece))
        });
        let piece = reading.await.unwrap_or_else(|_| Err(io::Error::other("it was not read")))?;
        if let Some(SpoolPart::File(front)) = self.0.queue().parts.front_mut() {
            front.read += bytes;
        }
        self.0.read.notify_one();
        Ok(piece)
    }
}
