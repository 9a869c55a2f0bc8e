//! Recorded time, and the partitions it chooses.

use convoke::events::log::LogError;
use convoke::events::log::append::{AppendBatch, EventData};
use convoke::events::time::{Clock, Timestamp};
use sqlx::Executor as _;

use super::{believe_any_clock, fresh, log_of, more, now, room, write_at};
use crate::harness::TestDb;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[tokio::test]
async fn recorded_time_never_goes_back_when_the_clock_does() {
    let db = TestDb::new().await;
    let log = log_of(&db);
    let key = room();
    let clock = Clock::manual(now());
    write_at(&log, &key, 1, clock.now()).await;
    clock.set(clock.now().plus_seconds(-3_600));
    write_at(&log, &key, 1, clock.now()).await;
    let events = log.read(0, 10).await.unwrap();
    assert_eq!(events[1].recorded_at, events[0].recorded_at);
    assert_eq!(events[1].happened_at(), clock.now(), "what was decided at a time happened at that time");
}

#[tokio::test]
async fn a_clock_far_ahead_is_not_believed() {
    let db = TestDb::new().await;
    let log = log_of(&db);
    let ahead = now().plus_seconds(86_400);
    write_at(&log, &room(), 1, ahead).await;
    let event = &log.read(0, 1).await.unwrap()[0];
    assert!(event.recorded_at < now().plus_seconds(60), "{}", event.recorded_at);
    assert_eq!(event.happened_at(), ahead);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_boundary_crossed_in_the_middle_of_a_load_loses_and_delays_nothing() {
    let db = TestDb::new().await;
    believe_any_clock(&db).await;
    let from = at("2031-03-31T23:59:59.500Z");
    db.owner.execute("SELECT convoke.ensure_partitions('month', '2031-03-01Z', '2031-05-15Z')").await.unwrap();
    let clock = Clock::manual(from);
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (log, clock, key) = (log_of(&db), clock.clone(), room());
            tokio::spawn(async move {
                for _ in 0..50 {
                    // A hundred milliseconds pass with every write of anybody.
                    clock.set(Timestamp::from_unix_micros(clock.now().unix_micros() + 100_000).unwrap());
                    write_at(&log, &key, 3, clock.now()).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let log = log_of(&db);
    let events = log.read(0, 1_000).await.unwrap();
    assert!(events.iter().map(|event| event.position).eq(1..=600));
    assert!(events.is_sorted_by_key(|event| event.recorded_at));
    let counts: Vec<(String, Option<i64>)> = sqlx::query_as(
        "SELECT name, first_position FROM convoke.log_partitions WHERE from_time >= '2031-01-01' ORDER BY from_time",
    )
    .fetch_all(&db.system)
    .await
    .unwrap();
    let april = events.iter().find(|event| event.recorded_at >= at("2031-04-01T00:00:00Z")).unwrap().position;
    assert!(april > 1);
    assert_eq!(counts[0], ("log_20310301".into(), Some(1)));
    assert_eq!(counts[1], ("log_20310401".into(), Some(i64::try_from(april).unwrap())));
    assert_eq!(counts[2], ("log_20310501".into(), None));
    assert_eq!(log.position_before(at("2031-04-01T00:00:00Z")).await.unwrap(), april - 1);
}

#[tokio::test]
async fn without_a_partition_nothing_is_written_and_the_remedy_is_named() {
    let db = TestDb::new().await;
    believe_any_clock(&db).await;
    let log = log_of(&db);
    let error =
        log.append(&AppendBatch::new(at("2040-01-01T00:00:00Z"), vec![fresh(0, &room(), 1)])).await.unwrap_err();
    assert!(matches!(error, LogError::NoPartition { .. }), "{error}");
    assert!(error.to_string().contains("convoke partition ensure"), "{error}");
    assert_eq!(log.head().await.unwrap().position, 0);
}

#[tokio::test]
async fn history_keeps_its_times_and_lies_in_its_partitions() {
    let db = TestDb::new().await;
    db.owner.execute("SELECT convoke.ensure_partitions('month', '2012-01-01Z', '2012-04-01Z')").await.unwrap();
    let log = log_of(&db);
    let key = room();
    let times =
        ["2012-01-10T00:00:00Z", "2012-02-10T00:00:00Z", "2012-02-09T00:00:00Z", "2012-04-01T00:00:00Z"].map(at);
    let mut append = fresh(0, &key, 4);
    for (event, time) in append.events.iter_mut().zip(times) {
        *event = EventData { occurred_at: Some(time), ..event.clone() };
    }
    let batch = AppendBatch { recorded_as_occurred: Some(Timestamp::EPOCH), ..AppendBatch::new(now(), vec![append]) };
    let appended = log.append(&batch).await.unwrap();
    assert_eq!(appended.rooms[0].as_ref().unwrap().recorded_at, times[3]);
    let events = log.read(0, 10).await.unwrap();
    let of_room = log.read_room(&key, 0, None, 10).await.unwrap();
    assert!(of_room.iter().map(|event| event.room_version).eq(1..=4), "the room is bounded by its first event's time");
    let recorded: Vec<_> = events.iter().map(|event| event.recorded_at).collect();
    assert_eq!(recorded, [times[0], times[1], times[1], times[3]]);
    assert_eq!(events[2].occurred_at, Some(times[2]), "what came late says when it happened");
    assert_eq!(events[3].occurred_at, None);
    let of_room = log.read_room(&key, 0, None, 10).await.unwrap();
    assert!(of_room.iter().map(|event| event.room_version).eq(1..=4), "from its very first event");
    assert!(matches!(
        log.verify(|_, _| true).await.unwrap(),
        convoke::events::log::verify::VerifyResult::Whole { events: 4, .. }
    ));
    let first: Vec<Option<i64>> = sqlx::query_scalar(
        "SELECT first_position FROM convoke.log_partitions WHERE from_time < '2013-01-01' ORDER BY from_time",
    )
    .fetch_all(&db.system)
    .await
    .unwrap();
    assert_eq!(first, [Some(1), Some(2), None, Some(4)]);
    assert_eq!(log.read(1, 10).await.unwrap().len(), 3, "a read goes over partitions without events");

    let mut backwards = more(&log, 0, &key, 1).await;
    backwards.events[0].occurred_at = Some(times[0]);
    let batch = AppendBatch { recorded_as_occurred: Some(times[0]), ..AppendBatch::new(now(), vec![backwards]) };
    assert!(log.append(&batch).await.is_err(), "the log's own time does not go back");
}
