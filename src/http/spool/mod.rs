//! Buffers responses until their client reads them.
//!
//! Most HTTP clients send a whole body before they read the first byte of the response. While such a client sends a long list,
//! its responses wait here: in memory up to a limit, then in temporary files, which have no name and vanish with the process.
//! Both have a limit over all lists; when both are full, the writer waits for the client to read, and learns when it does not.

mod reader;
#[cfg(test)]
mod tests;
mod writer;

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

pub use reader::{SpoolError, SpoolReader};
pub use writer::SpoolWriter;

/// Bytes of one list's answers in memory; beyond it they go to files.
const MEMORY_EACH: u64 = 256 * 1024;
/// The same for all lists.
const MEMORY_ALL: u64 = 64 * 1024 * 1024;
/// Bytes of one file. A list uses as many as it needs, and each goes as soon as it has been read.
const FILE: u64 = 1024 * 1024;
/// How long a client may read nothing while there is no room, before its list is broken off.
const PATIENCE: Duration = Duration::from_secs(5);

/// The room that all lists of a process share.
pub struct SpoolSpace {
    folder: PathBuf,
    memory: Arc<SpoolBudget>,
    files: Arc<SpoolBudget>,
    patience: Duration,
}

impl SpoolSpace {
    /// Files go to `folder`, which is made if it is not there, and take `limit` bytes at most; 0: there are none.
    pub fn new(folder: &Path, limit: u64) -> Self {
        let (memory, files) = (SpoolBudget::of(MEMORY_ALL), SpoolBudget::of(limit));
        Self { folder: folder.into(), memory, files, patience: PATIENCE }
    }

    /// A place for the answers of one list: where they are written, and where they are read.
    pub fn open(self: &Arc<Self>) -> (SpoolWriter, SpoolReader) {
        let shared = Arc::new(SpoolInner {
            room: self.clone(),
            queue: Mutex::new(SpoolQueue::default()),
            written: Notify::new(),
            read: Notify::new(),
        });
        (SpoolWriter(shared.clone()), SpoolReader(shared))
    }

    /// A file without a name.
    fn make_file(&self) -> io::Result<File> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        tempfile::tempfile_in(&self.folder)
    }
}

/// Bytes that may be in use.
struct SpoolBudget {
    limit: u64,
    used: AtomicU64,
}

/// Bytes in use, given back when this is dropped.
struct SpoolBytes(Arc<SpoolBudget>, u64);

impl SpoolBudget {
    fn of(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicU64::new(0) })
    }

    fn take(self: &Arc<Self>, bytes: u64) -> Option<SpoolBytes> {
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        taken.is_ok().then(|| SpoolBytes(self.clone(), bytes))
    }
}

impl Drop for SpoolBytes {
    fn drop(&mut self) {
        self.0.used.fetch_sub(self.1, Ordering::Relaxed);
    }
}

struct SpoolInner {
    room: Arc<SpoolSpace>,
    queue: Mutex<SpoolQueue>,
    written: Notify,
    read: Notify,
}

#[derive(Default)]
struct SpoolQueue {
    /// In the order in which they were written.
    parts: VecDeque<SpoolPart>,
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

enum SpoolPart {
    Memory(Bytes, Option<SpoolBytes>),
    File(SpoolFile),
}

struct SpoolFile {
    file: Arc<File>,
    read: u64,
    written: u64,
    _taken: SpoolBytes,
}

impl SpoolFile {
    fn is_full(&self) -> bool {
        self.written >= FILE
    }
}

impl SpoolQueue {
    fn keep(&mut self, chunk: Bytes, taken: Option<SpoolBytes>) {
        self.in_memory += chunk.len() as u64;
        self.parts.push_back(SpoolPart::Memory(chunk, taken));
    }
}

impl SpoolInner {
    fn queue(&self) -> MutexGuard<'_, SpoolQueue> {
        // The queue is consistent at every moment, so a panic leaves nothing half done.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
