//! Answers that wait for their client to read them.
//!
//! Most clients of HTTP send the whole of a body before they read the first byte of the answer. While such a client sends a long
//! list, its answers wait here: in memory up to a bound, then in temporary files, which have no name and vanish with the
//! process. All lists together have a bound for either; where both are full, whoever writes waits for the client to read, and
//! is told when it does not.

use std::collections::VecDeque;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;

/// Bytes of one list's answers in memory; beyond it they go to files.
const MEMORY_EACH: u64 = 256 * 1024;
/// The same for all lists.
const MEMORY_ALL: u64 = 64 * 1024 * 1024;
/// Bytes of one file. A list uses as many as it needs, and each goes as soon as it has been read.
const FILE: u64 = 1024 * 1024;
/// Bytes read from a file at a time.
const PIECE: u64 = 64 * 1024;
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
    ended: bool,
    /// Whoever wrote has gone without an end.
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
        // What the queue holds is whole at every moment: whoever panicked left nothing half done.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a chunk can go.
enum Place {
    Kept,
    /// Into the last part, from this offset on.
    File(Arc<File>, u64),
    NewFile(Taken),
    Full,
}

/// Writes the answers of one list. Dropped without [`Answers::end`], it breaks the answer off.
pub struct Answers(Arc<Shared>);

impl Answers {
    /// Adds what is to be sent next. False: there was no room for it, and the client read nothing for a while. It is kept all the
    /// same, but no more should follow.
    pub async fn push(&self, chunk: Bytes) -> bool {
        loop {
            let read = self.0.read.notified();
            match self.place(&chunk) {
                Place::Kept => return true,
                Place::NewFile(taken) => self.begin_file(taken).await,
                Place::File(file, offset) => {
                    if self.write(file, offset, &chunk).await {
                        return true;
                    }
                }
                Place::Full => {
                    if tokio::time::timeout(self.0.room.patience, read).await.is_err() {
                        self.0.queue().keep(chunk, None);
                        self.0.written.notify_one();
                        return false;
                    }
                }
            }
        }
    }

    /// No more follows.
    pub fn end(self) {
        self.0.queue().ended = true;
    }

    /// Returns once the client has read all there is.
    pub async fn all_read(&self) {
        loop {
            let read = self.0.read.notified();
            let all = self.0.queue().parts.iter().all(|part| matches!(part, Part::File(file) if file.read == file.written));
            if all {
                return;
            }
            read.await;
        }
    }

    fn place(&self, chunk: &Bytes) -> Place {
        let bytes = chunk.len() as u64;
        let mut queue = self.0.queue();
        if queue.in_memory + bytes <= MEMORY_EACH
            && let Some(taken) = self.0.room.memory.take(bytes)
        {
            queue.keep(chunk.clone(), Some(taken));
            self.0.written.notify_one();
            return Place::Kept;
        }
        if queue.no_files {
            return Place::Full;
        }
        if let Some(Part::File(last)) = queue.parts.back()
            && !last.is_full()
        {
            return Place::File(last.file.clone(), last.written);
        }
        self.0.room.files.take(FILE).map_or(Place::Full, Place::NewFile)
    }

    async fn begin_file(&self, taken: Taken) {
        let room = self.0.room.clone();
        let made = spawn_blocking(move || room.make_file()).await;
        match made.unwrap_or_else(|_| Err(io::Error::other("it was not made"))) {
            Ok(file) => {
                let part = OpenFile { file: Arc::new(file), read: 0, written: 0, _taken: taken };
                self.0.queue().parts.push_back(Part::File(part));
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
        if let Some(Part::File(last)) = self.0.queue().parts.back_mut() {
            last.written += chunk.len() as u64;
        }
        self.0.written.notify_one();
        true
    }

    fn no_files(&self, error: &io::Error) {
        let folder = self.0.room.folder.display();
        tracing::warn!(%folder, %error, "answers to a long list cannot wait in a temporary file");
        self.0.queue().no_files = true;
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.broken = !queue.ended;
        drop(queue);
        self.0.written.notify_one();
    }
}

/// Why answers end before all was written.
#[derive(Debug, thiserror::Error)]
pub enum BrokenOff {
    #[error("whoever answered has gone")]
    Gone,
    #[error("answers could not be read back from a temporary file: {0}")]
    File(#[from] io::Error),
}

/// Reads the answers of one list.
pub struct Unread(Arc<Shared>);

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

#[cfg(test)]
mod tests {
    use super::*;

    fn room(limit: u64) -> (tempfile::TempDir, Arc<SpoolRoom>) {
        let folder = tempfile::tempdir().unwrap();
        let room = SpoolRoom::new(&folder.path().join("spool"), limit);
        (folder, Arc::new(room))
    }

    /// For tests in which nobody reads.
    fn impatient(folder: &str) -> Arc<SpoolRoom> {
        Arc::new(SpoolRoom { patience: Duration::from_millis(1), ..SpoolRoom::new(Path::new(folder), 4 * FILE) })
    }

    fn chunk(number: u64, bytes: usize) -> Bytes {
        let mut text = format!("{number:08}").into_bytes();
        text.resize(bytes, b'.');
        text.into()
    }

    async fn all(mut unread: Unread) -> Result<Vec<u8>, BrokenOff> {
        let mut all = Vec::new();
        while let Some(piece) = unread.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all)
    }

    fn used(room: &SpoolRoom) -> (u64, u64) {
        (room.memory.used.load(Ordering::Relaxed), room.files.used.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn what_is_not_read_waits_in_memory_and_then_in_files_and_comes_in_order() {
        let (folder, room) = room(64 * FILE);
        let (answers, unread) = room.open();
        let mut wanted = Vec::new();
        for number in 0..600 {
            let chunk = chunk(number, 20_000 + usize::try_from(number).unwrap());
            wanted.extend_from_slice(&chunk);
            assert!(answers.push(chunk).await);
        }
        let (memory, files) = used(&room);
        assert!(memory > 0 && memory <= MEMORY_EACH, "{memory}");
        assert!(files >= 11 * FILE && files <= 13 * FILE, "{files}");
        let named = std::fs::read_dir(folder.path().join("spool")).unwrap().count();
        assert_eq!(named, 0, "the files have no names");
        answers.end();
        assert!(all(unread).await.unwrap() == wanted);
        assert_eq!(used(&room), (0, 0), "all room is given back");
    }

    #[tokio::test]
    async fn a_reader_that_keeps_up_needs_no_files_and_one_that_lags_needs_few() {
        let (_folder, room) = room(4 * FILE);
        let (answers, mut unread) = room.open();
        let writing = tokio::spawn(async move {
            for number in 0..2_000 {
                assert!(answers.push(chunk(number, 10_000)).await, "{number}");
            }
            answers.end();
        });
        let (mut bytes, mut next) = (Vec::new(), 0);
        while let Some(piece) = unread.next().await {
            bytes.extend_from_slice(&piece.unwrap());
            while bytes.len() >= 10_000 {
                assert_eq!(&bytes[..8], format!("{next:08}").as_bytes());
                bytes.drain(..10_000);
                next += 1;
            }
            tokio::task::yield_now().await;
        }
        writing.await.unwrap();
        assert_eq!(next, 2_000);
        assert_eq!(used(&room), (0, 0));
    }

    #[tokio::test]
    async fn where_there_is_no_room_whoever_writes_waits_for_the_reader() {
        let (_folder, room) = room(0);
        let (answers, mut unread) = room.open();
        let whole = chunk(1, usize::try_from(MEMORY_EACH).unwrap());
        assert!(answers.push(whole.clone()).await);
        // Polled in this order: the second chunk finds no room until the first one is read.
        let (pushed, read) = tokio::join!(biased; answers.push(whole.clone()), unread.next());
        assert!(pushed && read.is_some());
        answers.end();
        assert_eq!(all(unread).await.unwrap(), whole);
    }

    #[tokio::test]
    async fn where_there_is_no_room_and_nobody_reads_whoever_writes_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let room = impatient(folder.path().to_str().unwrap());
        let (answers, unread) = room.open();
        let large = chunk(1, usize::try_from(FILE).unwrap());
        for _ in 0..4 {
            assert!(answers.push(large.clone()).await);
        }
        let whole = chunk(1, usize::try_from(MEMORY_EACH).unwrap());
        assert!(answers.push(whole.clone()).await);
        assert!(!answers.push(whole.clone()).await);
        answers.end();
        let all = all(unread).await.unwrap();
        assert_eq!(all.len(), 4 * large.len() + 2 * whole.len(), "what was pushed is kept all the same");
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_as_no_room() {
        let room = impatient("/proc/none");
        let (answers, unread) = room.open();
        let whole = chunk(1, usize::try_from(MEMORY_EACH).unwrap());
        assert!(answers.push(whole.clone()).await);
        assert!(!answers.push(whole.clone()).await);
        answers.end();
        assert_eq!(all(unread).await.unwrap().len(), 2 * whole.len());
        assert_eq!(used(&room), (0, 0));
    }

    #[tokio::test]
    async fn answers_without_an_end_are_broken_off() {
        let (_folder, room) = room(0);
        let (answers, unread) = room.open();
        assert!(answers.push(chunk(1, 10)).await);
        drop(answers);
        assert!(matches!(all(unread).await, Err(BrokenOff::Gone)));
    }

    #[tokio::test]
    async fn a_reader_that_goes_gives_its_room_back() {
        let (_folder, room) = room(64 * FILE);
        let (answers, unread) = room.open();
        for number in 0..40 {
            answers.push(chunk(number, 50_000)).await;
        }
        assert!(used(&room).1 > 0);
        drop(unread);
        drop(answers);
        assert_eq!(used(&room), (0, 0));
    }

    #[tokio::test]
    async fn it_is_known_when_all_has_been_read() {
        let (_folder, room) = room(64 * FILE);
        let (answers, mut unread) = room.open();
        for number in 0..20 {
            answers.push(chunk(number, 50_000)).await;
        }
        let reading = tokio::spawn(async move {
            let mut bytes = 0;
            while bytes < 20 * 50_000 {
                bytes += unread.next().await.unwrap().unwrap().len();
            }
            unread
        });
        answers.all_read().await;
        let mut unread = reading.await.unwrap();
        answers.end();
        assert!(unread.next().await.is_none());
    }
}
