//! Reading as it grows.

use std::time::Duration;

use super::super::{now, room, room_of, tenant, write};
use super::Engine;
use super::port::Log;

const PATIENCE: Duration = Duration::from_secs(20);

pub async fn an_append_wakes_its_own_process_at_once_and_others_soon(engine: impl Engine) {
    let (here, there) = (engine.process().await, engine.process().await);
    let (mut own, mut others) = (here.head_watch(), there.head_watch());
    write(&here, &room(), 2).await;
    assert_eq!(*own.borrow_and_update(), 2, "whoever appended knows it when it is told so");
    tokio::time::timeout(PATIENCE, others.wait_for(|position| *position == 2)).await.unwrap().unwrap();
}

/// Readers in another process, woken by the head alone, while many write.
pub async fn a_tail_sees_everything_once_and_in_order(engine: impl Engine) {
    const WRITERS: u64 = 8;
    const WRITES: u64 = 20;
    let reading = engine.process().await;
    let tail = tokio::spawn(async move {
        let mut head = reading.head_watch();
        let mut seen = Vec::new();
        while (seen.len() as u64) < WRITERS * WRITES {
            let after = seen.last().copied().unwrap_or(0);
            head.wait_for(|position| *position > after).await.unwrap();
            seen.extend(reading.read(after, 7).await.unwrap().iter().map(|event| event.position));
        }
        seen
    });
    let mut writers = Vec::new();
    for _ in 0..WRITERS {
        let (log, key) = (engine.process().await, room());
        writers.push(tokio::spawn(async move {
            for _ in 0..WRITES {
                write(&log, &key, 1).await;
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let seen = tokio::time::timeout(PATIENCE, tail).await.expect("the tail is woken for all of it").unwrap();
    assert!(seen.iter().copied().eq(1..=WRITERS * WRITES), "{seen:?}");
}

pub async fn a_time_finds_its_position_and_its_version(engine: impl Engine) {
    let log = engine.process().await;
    let (key, other) = (room(), room());
    for _ in 0..3 {
        write(&log, &key, 1).await;
        write(&log, &other, 2).await;
    }
    let events = log.read(0, 100).await.unwrap();
    assert!(events.is_sorted_by_key(|event| event.recorded_at), "recorded time never goes back");
    for event in log.read_room(&key, 0, 100).await.unwrap() {
        // Events may share their time with those before or after them.
        let until = events.iter().filter(|other| other.recorded_at <= event.recorded_at);
        let of_room = until.clone().filter(|other| other.room == key.room).count() as u64;
        assert_eq!(log.version_at(&key, event.recorded_at).await.unwrap(), of_room);
        let before = events.iter().filter(|other| other.recorded_at < event.recorded_at).count() as u64;
        assert_eq!(log.position_before(event.recorded_at).await.unwrap(), before);
    }
    assert_eq!(log.version_at(&key, now().plus_seconds(3600)).await.unwrap(), 3);
    assert_eq!(log.position_before(now().plus_seconds(3600)).await.unwrap(), 9);
}

pub async fn a_tenant_is_given_its_own_events_only(engine: impl Engine) {
    let log = engine.process().await;
    let (ours, theirs) = (room(), room_of("other"));
    for _ in 0..3 {
        write(&log, &ours, 1).await;
        write(&log, &theirs, 1).await;
    }
    let page = log.read_tenant(&tenant("acme"), 0, 2).await.unwrap();
    assert!(page.events.iter().map(|event| event.position).eq([1, 3]));
    let rest = log.read_tenant(&tenant("acme"), page.through, 100).await.unwrap();
    assert!(rest.events.iter().map(|event| event.position).eq([5]));
    assert_eq!(rest.through, 6);
    assert!(log.read_tenant(&tenant("nobody"), 0, 10).await.unwrap().events.is_empty());
}
