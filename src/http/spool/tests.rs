//! Answers that are read at once, later, slowly and never.

use super::*;

fn room(limit: u64) -> (tempfile::TempDir, Arc<SpoolSpace>) {
    let folder = tempfile::tempdir().unwrap();
    let room = SpoolSpace::new(&folder.path().join("spool"), limit);
    (folder, Arc::new(room))
}

/// For tests in which nobody reads.
fn impatient(folder: &str) -> Arc<SpoolSpace> {
    Arc::new(SpoolSpace { patience: Duration::from_millis(1), ..SpoolSpace::new(Path::new(folder), 4 * FILE) })
}

fn chunk(number: u64, bytes: usize) -> Bytes {
    let mut text = format!("{number:08}").into_bytes();
    text.resize(bytes, b'.');
    text.into()
}

async fn all(mut unread: SpoolReader) -> Result<Vec<u8>, SpoolError> {
    let mut all = Vec::new();
    while let Some(piece) = unread.next().await {
        all.extend_from_slice(&piece?);
    }
    Ok(all)
}

fn used(room: &SpoolSpace) -> (u64, u64) {
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
    assert!((11 * FILE..=13 * FILE).contains(&files), "{files}");
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
async fn a_client_that_does_not_read_is_waited_for_once() {
    let room = Arc::new(SpoolSpace { patience: Duration::from_secs(1), ..SpoolSpace::new(Path::new("/proc/none"), 0) });
    let (answers, unread) = room.open();
    let whole = chunk(1, usize::try_from(MEMORY_EACH).unwrap());
    assert!(answers.push(whole.clone()).await);
    let begun = tokio::time::Instant::now();
    for _ in 0..100 {
        assert!(!answers.push(chunk(2, 100)).await);
    }
    assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
    answers.end();
    assert_eq!(all(unread).await.unwrap().len(), whole.len() + 100 * 100, "all of them are kept");
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
    assert!(matches!(all(unread).await, Err(SpoolError::Gone)));
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
