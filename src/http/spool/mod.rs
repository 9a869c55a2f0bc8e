//! Buffers responses until their client reads them.
//!
//! Most HTTP clients send a whole body before they read the first byte of the response. While such a client sends a long list,
//! its responses wait here: in memory up to a limit, then in temporary files, which have no name and vanish with the process.
//! Both have a limit over all lists; when both are full, the writer waits for the client to read, and learns when it does not.

mod answers;
#[cfg(test)]
mod tests;
mod unread;

use std::collections::VecDeque;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

pub use answers::Answers;
pub use unread::{BrokenOff, Unread};

/// Bytes of one list's answers in memory; beyond it they go to files.
const MEMORY_EACH: u64 = 256 * 1024;
/// The same for all lists.
const MEMORY_ALL: u64 = 64 * 1024 * 1024;
/// Bytes of one file. A list uses as many as it needs, and each goes as soon as it has been read.
const FILE: u64 = 1024 * 1024;
/// How long a client may read nothing while there is no room, before its list is broken off.
const PATIENCE: Duration = Duration::from_secs(5);

/// The room that all lists of a process share.
pub struct SpoolRoom {
    folder: PathBuf,
    memory: Arc<Budget>,
    files: Arc<Budget>,
    patience: Duration,
}

impl SpoolRoom {
    /// Files go to `folder`, which is made if it is not there, and take `limit` bytes at most; 0: there are none.
    pub fn new(folder: &Path, limit: u64) -> Self {
        let (memory, files) = (Budget::of(MEMORY_ALL), Budget::of(limit));
        Self { folder: folder.into(), memory, files, patience: PATIENCE }
    }

    /// A place for the answers of one list: where they are written, and where they are read.
    pub fn open(self: &Arc<Self>) -> (Answers, Unread) {
        let shared = Arc::new(Shared {
            room: self.clone(),
            queue: Mutex::new(Queue::default()),
            written: Notify::new(),
            read: Notify::new(),
        });
        (Answers(shared.clone()), Unread(shared))
    }

    /// A file without a name.
    fn make_file(&self) -> io::Result<File> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        tempfile::tempfile_in(&self.folder)
    }
}

/// Bytes that may be in use.
struct Budget {
    limit: u64,
    used: AtomicU64,
}

/// Bytes in use, given back when this is dropped.
struct Taken(Arc<Budget>, u64);

impl Budget {
    fn of(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicU64::new(0) })
    }

    fn take(self: &Arc<Self>, bytes: u64) -> Option<Taken> {
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        taken.is_ok().then(|| Taken(self.clone(), bytes))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.used.fetch_sub(self.1, Ordering::Relaxed);
    }
}

struct Shared {
    room: Arc<SpoolRoom>,
    queue: Mutex<Queue>,
    written: Notify,
    read: Notify,
}

#[derive(Default)]
struct Queue {
    /// In the order in which they were written.
    parts: VecDeque<Part>,
    /// Bytes of the parts in memory.
    in_memory: u64,
    /// There was no room for an answer, and the client did not read.
    overfull: bool,
    ended: bool,
    /// The writer was dropped without an end.
    broken: bool,
    /// A file could not be written: no more of them.
    no_files: bool,
}

enum Part {
    Memory(Bytes, Option<Taken>),
    File(OpenFile),
}

struct OpenFile {
    file: Arc<File>,
    read: u64,
    written: u64,
    _taken: Taken,
}

impl OpenFile {
    fn is_full(&self) -> bool {
        self.written >= FILE
    }
}

impl Queue {
    fn keep(&mut self, chunk: Bytes, taken: Option<Taken>) {
        self.in_memory += chunk.len() as u64;
        self.parts.push_back(Part::Memory(chunk, taken));
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // The queue is consistent at every moment, so a panic leaves nothing half done.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
