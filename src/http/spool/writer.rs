//! Writing answers: into memory, into files, or not until the client reads.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::{FILE, MEMORY_EACH, SpoolBytes, SpoolFile, SpoolInner, SpoolPart};

/// Where a chunk can go.
enum ChunkPlace {
    Kept,
    /// Into the last part, from this offset on.
    File(Arc<File>, u64),
    NewFile(SpoolBytes),
    Full,
}

/// Writes the answers of one list. Dropped without [`SpoolWriter::end`], it breaks the answer off.
pub struct SpoolWriter(pub(super) Arc<SpoolInner>);

impl SpoolWriter {
    /// Adds what is to be sent next. False: there was no room for it, and the client read nothing for a while. It is kept all the
    /// same, but no more commands should be carried out. The answers to those on their way are kept without waiting again: while
    /// this waits, nobody reads what the client sends, and a client that is not read for long is given up.
    pub async fn push(&self, chunk: Bytes) -> bool {
        if self.0.queue().overfull {
            self.keep_beyond(chunk);
            return false;
        }
        loop {
            let read = self.0.read.notified();
            match self.place(&chunk) {
                ChunkPlace::Kept => return true,
                ChunkPlace::NewFile(taken) => self.begin_file(taken).await,
                ChunkPlace::File(file, offset) => {
                    if self.write(file, offset, &chunk).await {
                        return true;
                    }
                }
                ChunkPlace::Full => {
                    if tokio::time::timeout(self.0.room.patience, read).await.is_err() {
                        self.keep_beyond(chunk);
                        return false;
                    }
                }
            }
        }
    }

    fn keep_beyond(&self, chunk: Bytes) {
        let mut queue = self.0.queue();
        queue.overfull = true;
        queue.keep(chunk, None);
        drop(queue);
        self.0.written.notify_one();
    }

    /// No more follows.
    pub fn end(self) {
        self.0.queue().ended = true;
    }

    /// Returns once the client has read all there is.
    pub async fn all_read(&self) {
        loop {
            let read = self.0.read.notified();
            let all = self
                .0
                .queue()
                .parts
                .iter()
                .all(|part| matches!(part, SpoolPart::File(file) if file.read == file.written));
            if all {
                return;
            }
            read.await;
        }
    }

    fn place(&self, chunk: &Bytes) -> ChunkPlace {
        let bytes = chunk.len() as u64;
        let mut queue = self.0.queue();
        if queue.in_memory + bytes <= MEMORY_EACH
            && let Some(taken) = self.0.room.memory.take(bytes)
        {
            queue.keep(chunk.clone(), Some(taken));
            self.0.written.notify_one();
            return ChunkPlace::Kept;
        }
        if queue.no_files {
            return ChunkPlace::Full;
        }
        if let Some(SpoolPart::File(last)) = queue.parts.back()
            && !last.is_full()
        {
            return ChunkPlace::File(last.file.clone(), last.written);
        }
        self.0.room.files.take(FILE).map_or(ChunkPlace::Full, ChunkPlace::NewFile)
    }

    async fn begin_file(&self, taken: SpoolBytes) {
        let room = self.0.room.clone();
        let made = spawn_blocking(move || room.make_file()).await;
        match made.unwrap_or_else(|_| Err(io::Error::other("it was not made"))) {
            Ok(file) => {
                let part = SpoolFile { file: Arc::new(file), read: 0, written: 0, _taken: taken };
                self.0.queue().parts.push_back(SpoolPart::File(part));
            }
            Err(error) => self.no_files(&error),
        }
    }

    /// Only this writes, so that the last part is still the one that was asked for.
    async fn write(&self, file: Arc<File>, offset: u64, chunk: &Bytes) -> bool {
        let bytes = chunk.clone();
        let written = spawn_blocking(move || file.write_all_at(&bytes, offset)).await;
        if let Err(error) = written.unwrap_or_else(|_| Err(io::Error::other("it was not written"))) {
            self.no_files(&error);
            return false;
        }
        if let Some(SpoolPart::File(last)) = self.0.queue().parts.back_mut() {
            last.written += chunk.len() as u64;
        }
        self.0.written.notify_one();
        true
    }

    fn no_files(&self, error: &io::Error) {
        let folder = self.0.room.folder.display();
        tracing::warn!(%folder, %error, "temporary files for long responses cannot be written; long lists are refused");
        self.0.queue().no_files = true;
    }
}

impl Drop for SpoolWriter {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.broken = !queue.ended;
        drop(queue);
        self.0.written.notify_one();
    }
}
