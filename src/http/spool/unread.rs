//! Reading answers back, in the order in which they were written.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::{Part, Shared};

/// Bytes read from a file at a time.
const PIECE: u64 = 64 * 1024;

/// Why answers end before all was written.
#[derive(Debug, thiserror::Error)]
pub enum BrokenOff {
    #[error("whoever answered has gone")]
    Gone,
    #[error("answers could not be read back from a temporary file: {0}")]
    File(#[from] io::Error),
}

/// Reads the answers of one list.
pub struct Unread(pub(super) Arc<Shared>);

enum Step {
    Chunk(Bytes),
    File(Arc<File>, u64, u64),
    Wait,
    End,
}

impl Unread {
    /// What is to be sent next; `None`: that was all.
    pub async fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        loop {
            let written = self.0.written.notified();
            match self.step() {
                Step::Chunk(chunk) => return Some(Ok(chunk)),
                Step::File(file, offset, bytes) => return Some(self.piece(file, offset, bytes).await),
                Step::End => return None,
                Step::Wait => {
                    if self.0.queue().broken {
                        return Some(Err(BrokenOff::Gone));
                    }
                    written.await;
                }
            }
        }
    }

    fn step(&self) -> Step {
        let mut queue = self.0.queue();
        loop {
            let last = queue.parts.len() == 1;
            let ended = queue.ended;
            match queue.parts.front_mut() {
                None => return if ended { Step::End } else { Step::Wait },
                Some(Part::Memory(..)) => {
                    let Some(Part::Memory(chunk, taken)) = queue.parts.pop_front() else { continue };
                    queue.in_memory -= chunk.len() as u64;
                    drop(queue);
                    drop(taken);
                    self.0.read.notify_one();
                    return Step::Chunk(chunk);
                }
                Some(Part::File(file)) if file.read < file.written => {
                    let bytes = PIECE.min(file.written - file.read);
                    return Step::File(file.file.clone(), file.read, bytes);
                }
                // More may be written into it.
                Some(Part::File(file)) if last && !ended && !file.is_full() => return Step::Wait,
                Some(Part::File(_)) => {
                    queue.parts.pop_front();
                    self.0.read.notify_one();
                }
            }
        }
    }

    async fn piece(&self, file: Arc<File>, offset: u64, bytes: u64) -> Result<Bytes, BrokenOff> {
        let reading = spawn_blocking(move || {
            let mut piece = vec![0; usize::try_from(bytes).unwrap_or_default()];
            file.read_exact_at(&mut piece, offset).map(|()| Bytes::from(piece))
        });
        let piece = reading.await.unwrap_or_else(|_| Err(io::Error::other("it was not read")))?;
        if let Some(Part::File(front)) = self.0.queue().parts.front_mut() {
            front.read += bytes;
        }
        self.0.read.notify_one();
        Ok(piece)
    }
}
