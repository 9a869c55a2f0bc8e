//! Order, versions, units.

use convoke::events::log::append::{AppendBatch, Conflict};
use convoke::events::log::chain;
use convoke::events::log::verify::VerifyResult;

use super::super::{event, fresh, more, now, room, write};
use super::Engine;
use super::port::Log;

pub async fn positions_and_versions_begin_at_one_and_follow(engine: impl Engine) {
    let log = engine.process().await;
    let (first, second) = (room(), room());
    let appended = log.append(&AppendBatch::new(now(), vec![fresh(0, &first, 2), fresh(1, &second, 1)])).await.unwrap();
    assert_eq!(appended.position, 3);
    let events = log.read(0, 10).await.unwrap();
    let places: Vec<_> = events.iter().map(|event| (event.position, event.room, event.room_version)).collect();
    assert_eq!(places, [(1, first.room, 1), (2, first.room, 2), (3, second.room, 1)]);
    let head = log.room_head(&first).await.unwrap().unwrap();
    assert_eq!((head.version, head.last_position), (2, 2));
}

pub async fn a_stale_room_is_left_out_and_holds_up_no_other(engine: impl Engine) {
    let log = engine.process().await;
    let (stale, other, last) = (room(), room(), room());
    write(&log, &stale, 3).await;
    let batch = AppendBatch::new(now(), vec![fresh(0, &other, 2), fresh(1, &stale, 2), fresh(2, &last, 1)]);
    let appended = log.append(&batch).await.unwrap();
    assert_eq!(appended.conflicts[&1], [Conflict::Version { room: stale.clone(), actual: 3 }]);
    assert_eq!(appended.rooms[0].as_ref().unwrap().first_position, 4);
    assert_eq!(appended.rooms[1], None);
    assert_eq!(appended.rooms[2].as_ref().unwrap().first_position, 6);
    assert_eq!(appended.position, 6);
    let places: Vec<_> = log.read(3, 10).await.unwrap().iter().map(|event| (event.position, event.room)).collect();
    assert_eq!(places, [(4, other.room), (5, other.room), (6, last.room)]);
    assert_eq!(log.room_head(&stale).await.unwrap().unwrap().version, 3);
}

pub async fn rooms_of_one_unit_are_written_together_or_not_at_all(engine: impl Engine) {
    let log = engine.process().await;
    let (stale, companion, apart) = (room(), room(), room());
    write(&log, &stale, 1).await;
    let rooms = vec![fresh(7, &companion, 2), fresh(7, &stale, 1), fresh(8, &apart, 1)];
    let appended = log.append(&AppendBatch::new(now(), rooms)).await.unwrap();
    assert_eq!(appended.rooms[0], None, "what belongs to the stale room is left out with it");
    assert!(log.room_head(&companion).await.unwrap().is_none());
    assert_eq!(log.room_head(&apart).await.unwrap().unwrap().version, 1);

    let stale_again = more(&log, 7, &stale, 1).await;
    let appended = log.append(&AppendBatch::new(now(), vec![fresh(7, &companion, 2), stale_again])).await.unwrap();
    assert!(appended.conflicts.is_empty());
    assert_eq!(log.room_head(&companion).await.unwrap().unwrap().version, 2);
    assert_eq!(log.room_head(&stale).await.unwrap().unwrap().version, 2);
}

pub async fn a_batch_of_more_events_than_a_page_is_one_batch(engine: impl Engine) {
    let log = engine.process().await;
    let key = room();
    assert_eq!(write(&log, &key, 120_000).await, 120_000);
    assert_eq!(log.head().await.unwrap().position, 120_000);
}

/// 32 writers in two processes, on rooms that they share: every event that was acknowledged is there once, in
/// its room's order; positions have no gap and follow the order in which commits became visible.
pub async fn thirty_two_writers_leave_no_gap_and_lose_nothing(engine: impl Engine) {
    const WRITERS: usize = 32;
    const WRITES: usize = 25;
    let logs = [engine.process().await, engine.process().await];
    let watching = engine.process().await;
    let rooms: Vec<_> = (0..5).map(|_| room()).collect();
    let reader = tokio::spawn(follow(watching.clone(), (WRITERS * WRITES) as u64));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (log, rooms) = (logs[writer % 2].clone(), rooms.clone());
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for number in 0..WRITES {
                    let key = &rooms[(writer + number) % rooms.len()];
                    loop {
                        let mut append = more(&log, 0, key, 0).await;
                        append.events = vec![event(&format!("{writer}-{number}"))];
                        let appended = log.append(&AppendBatch::new(now(), vec![append])).await.unwrap();
                        if let Some(written) = &appended.rooms[0] {
                            acknowledged.push((written.first_position, key.room, written.version));
                            break;
                        }
                    }
                }
                acknowledged
            })
        })
        .collect();
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    acknowledged.sort_unstable();
    let events = watching.read(0, WRITERS * WRITES + 1).await.unwrap();
    let found: Vec<_> = events.iter().map(|event| (event.position, event.room, event.room_version)).collect();
    assert_eq!(found, acknowledged);
    assert!(found.iter().map(|(position, ..)| *position).eq(1..=(WRITERS * WRITES) as u64));
    assert_eq!(reader.await.unwrap(), acknowledged.iter().map(|(position, ..)| *position).collect::<Vec<_>>());
    let verdict = watching.verify().await.unwrap();
    assert_eq!(verdict, VerifyResult::Whole { events: (WRITERS * WRITES) as u64, rooms: 5 });
}

/// A reader that asks again and again: what it has not seen by the time it sees a later position never comes.
async fn follow(log: impl Log, until: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    while seen.last() != Some(&until) {
        let page = log.read(seen.last().copied().unwrap_or(0), 100).await.unwrap();
        seen.extend(page.iter().map(|event| event.position));
        tokio::task::yield_now().await;
    }
    seen
}

pub async fn versions_of_rooms_are_compared_without_writing(engine: impl Engine) {
    let log = engine.process().await;
    let (known, absent) = (room(), room());
    write(&log, &known, 2).await;
    let mut rooms = vec![more(&log, 0, &known, 0).await, fresh(1, &absent, 0), fresh(2, &known, 0)];
    rooms[2].chain = chain::START;
    let compared = log.compare(&AppendBatch::new(now(), rooms)).await.unwrap();
    assert!(compared.rooms[0].is_some() && compared.rooms[1].is_some());
    assert_eq!(compared.conflicts[&2], [Conflict::Version { room: known, actual: 2 }]);
    assert_eq!(log.head().await.unwrap().position, 2);
}
