//! Batches that say how far their source has come: one whole, in the order of their events.

use std::time::Duration;

use convoke::events::log::append::{AppendBatch, Appended, Conflict, NameChange, RoomAppend, SourceProgress};
use convoke::events::log::verify::VerifyResult;
use serde_json::value::RawValue;

use super::{fresh, log_of, more, now, room, write};
use crate::harness::{TestDb, eventually};

const SOON: Duration = Duration::from_secs(20);

fn progress(done: u64) -> Option<SourceProgress> {
    Some(SourceProgress { name: "source".into(), done, detail: RawValue::from_string("{}".into()).unwrap() })
}

fn names(append: RoomAppend, names: &[NameChange]) -> RoomAppend {
    RoomAppend { names: names.to_vec(), ..append }
}

fn claim(name: &str) -> NameChange {
    NameChange::Claim(name.into())
}

fn release(name: &str) -> NameChange {
    NameChange::Release(name.into())
}

fn positions(appended: &Appended, room: usize, count: usize) -> Vec<u64> {
    let written = appended.rooms[room].as_ref().unwrap();
    (0..count).map(|index| written.position_of(index)).collect()
}

#[tokio::test]
async fn events_lie_in_the_order_that_the_batch_gives() {
    let db = TestDb::new().await;
    let log = log_of(&db);
    let (first, second) = (room(), room());
    write(&log, &first, 1).await;
    let rooms = vec![more(&log, 0, &first, 3).await, fresh(1, &second, 2)];
    let batch = AppendBatch { order: Some(vec![1, 0, 0, 1, 0]), ..AppendBatch::new(now(), rooms) };
    let appended = log.append(&batch).await.unwrap();
    assert_eq!((positions(&appended, 0, 3), positions(&appended, 1, 2)), (vec![3, 4, 6], vec![2, 5]));
    let events = log.read(0, 10).await.unwrap();
    let rooms: Vec<_> = events.iter().map(|event| (event.room, event.room_version)).collect();
    let (a, b) = (first.room, second.room);
    assert_eq!(rooms, [(a, 1), (b, 1), (a, 2), (a, 3), (b, 2), (a, 4)]);
    assert_eq!(log.room_head(&first).await.unwrap().unwrap().last_position, 6);
    assert_eq!(log.verify(|_, _| true).await.unwrap(), VerifyResult::Whole { events: 6, rooms: 2 });
}

#[tokio::test]
async fn positions_of_a_mixed_batch_leave_out_what_is_left_out() {
    let db = TestDb::new().await;
    let log = log_of(&db);
    let (stale, other) = (room(), room());
    write(&log, &stale, 1).await;
    let rooms = vec![fresh(0, &stale, 2), fresh(1, &other, 2)];
    let batch = AppendBatch { order: Some(vec![0, 1, 0, 1]), ..AppendBatch::new(now(), rooms) };
    let appended = log.append(&batch).await.unwrap();
    assert!(appended.rooms[0].is_none());
    assert_eq!((positions(&appended, 1, 2), appended.position), (vec![2, 3], 3));
}

#[tokio::test]
async fn with_one_conflict_nothing_is_written_and_the_progress_stays() {
    let db = TestDb::new().await;
    let log = log_of(&db);
    let (stale, other) = (room(), room());
    write(&log, &stale, 1).await;
    let batch = AppendBatch {
        progress: progress(7),
        ..AppendBatch::new(now(), vec![fresh(0, &other, 2), fresh(1, &stale, 1)])
    };
    let appended = log.append(&batch).await.unwrap();
    assert!(appended.rooms.iter().all(Option::is_none));
    assert_eq!(appended.conflicts[&1], [Conflict::Version { room: stale, actual: 1 }]);
    assert!(log.import_progress("source").await.unwrap().is_none());
    assert_eq!(log.head().await.unwrap().position, 1);

    let batch = AppendBatch { progress: progress(7), ..AppendBatch::new(now(), vec![fresh(0, &other, 2)]) };
    assert_eq!(log.append(&batch).await.unwrap().position, 3);
    assert_eq!(log.import_progress("source").await.unwrap().unwrap().done, 7);
}

#[tokio::test]
async fn progress_is_kept_of_a_batch_that_writes_nothing_else() {
    let db = TestDb::new().await;
    let log = log_of(&db);
    log.append(&AppendBatch { progress: progress(3), ..AppendBatch::new(now(), Vec::new()) }).await.unwrap();
    assert_eq!(log.import_progress("source").await.unwrap().unwrap().done, 3);
    assert_eq!(log.head().await.unwrap().position, 0);
}

#[tokio::test]
async fn a_name_goes_through_several_rooms_in_one_batch() {
    let db = TestDb::new().await;
    let log = log_of(&db);
    let (first, second, third) = (room(), room(), room());
    let held = names(fresh(0, &first, 1), &[claim("standup")]);
    log.append(&AppendBatch::new(now(), vec![held])).await.unwrap();

    // Let go by the one that has it, taken and let go, taken: in the order of their events, not of the rooms.
    let rooms = vec![
        names(fresh(0, &third, 1), &[claim("standup")]),
        names(fresh(1, &second, 2), &[claim("standup"), release("standup")]),
        names(more(&log, 2, &first, 1).await, &[release("standup")]),
    ];
    let batch = AppendBatch { order: Some(vec![2, 1, 1, 0]), progress: progress(1), ..AppendBatch::new(now(), rooms) };
    assert!(log.append(&batch).await.unwrap().conflicts.is_empty());
    assert_eq!(log.room_named(&first.tenant, "standup").await.unwrap(), Some(third.room));
}

#[tokio::test]
async fn a_name_taken_and_let_go_in_one_batch_must_have_been_free() {
    let db = TestDb::new().await;
    let log = log_of(&db);
    let (holder, passing) = (room(), room());
    let passes = |key| names(fresh(0, key, 2), &[claim("standup"), release("standup")]);
    assert!(log.append(&AppendBatch::new(now(), vec![passes(&passing)])).await.unwrap().conflicts.is_empty());
    assert_eq!(log.room_named(&passing.tenant, "standup").await.unwrap(), None);
    log.append(&AppendBatch::new(now(), vec![names(fresh(0, &holder, 1), &[claim("standup")])])).await.unwrap();
    let refused = log.append(&AppendBatch::new(now(), vec![passes(&room())])).await.unwrap();
    assert_eq!(refused.conflicts[&0], [Conflict::NameTaken { name: "standup".into(), holder: holder.room }]);
}

#[tokio::test]
async fn a_source_is_held_by_one_process_until_it_is_let_go() {
    let db = TestDb::new().await;
    let log = log_of(&db);
    let lock = log.lock_import("source").await.unwrap().unwrap();
    assert!(log.lock_import("source").await.unwrap().is_none());
    log.lock_import("another").await.unwrap().unwrap().release().await.unwrap();
    lock.release().await.unwrap();
    log.lock_import("source").await.unwrap().unwrap().release().await.unwrap();
}

/// Whether somebody waits for the head row.
async fn waits_for_the_head(db: &TestDb) -> bool {
    let waiting = "SELECT count(*) > 0 FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%convoke.append(%'";
    sqlx::query_scalar(waiting).fetch_one(&db.owner).await.unwrap()
}

#[tokio::test]
async fn a_batch_that_its_dead_process_had_sent_is_waited_for_before_the_source_is_held() {
    let db = TestDb::new().await;
    let log = log_of(&db);
    // As the server of a process that was killed after its last message: the append is done, the commit not yet.
    let mut dying = db.owner.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM convoke.log_head FOR UPDATE").execute(&mut *dying).await.unwrap();
    sqlx::query("INSERT INTO convoke.intake_progress VALUES ('source', 7, '{}', now())")
        .execute(&mut *dying)
        .await
        .unwrap();
    let next = tokio::spawn({
        let log = log.clone();
        async move {
            let lock = log.lock_import("source").await.unwrap().unwrap();
            let done = log.import_progress("source").await.unwrap().map(|progress| progress.done);
            lock.release().await.unwrap();
            done
        }
    });
    eventually("it waits", SOON, async || waits_for_the_head(&db).await.then_some(())).await;
    dying.commit().await.unwrap();
    assert_eq!(next.await.unwrap(), Some(7));
}

#[tokio::test]
async fn rooms_are_told_apart_from_those_that_are_not_there() {
    let db = TestDb::new().await;
    let log = log_of(&db);
    let (there, absent) = (room(), room());
    write(&log, &there, 1).await;
    assert_eq!(log.rooms_there(&[absent.clone(), there, absent]).await.unwrap(), [false, true, false]);
}
