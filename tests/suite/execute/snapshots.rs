//! Snapshots of a room are few: together they take about as much as its log, and from each of its versions it is not far back to one.

use std::time::Duration;

use convoke::commands::execute::{CommandRequest, ExecutorLimits};
use convoke::commands::room::state::STATE_SHAPE;
use convoke::events::log::snapshots::StateSnapshot;
use convoke::ids::RoomId;
use serde_json::json;

use super::{LIMITS, Process, key_of, process_with, request};
use crate::harness::{TestDb, eventually};

const SOON: Duration = Duration::from_secs(60);
const INTERVAL: u64 = 50;

/// Versions of the room's snapshots, with the bytes that each takes.
async fn snapshots(db: &TestDb, room: RoomId) -> Vec<(i64, i64)> {
    let statement =
        "SELECT version, octet_length(state)::bigint FROM convoke.room_snapshots WHERE room = $1 ORDER BY version";
    sqlx::query_as(statement).bind(room.uuid()).fetch_all(&db.owner).await.unwrap()
}

/// Bytes of the room's events, from a version on.
async fn log_bytes(db: &TestDb, room: RoomId, from: i64) -> i64 {
    let statement =
        "SELECT coalesce(sum(pg_column_size(l.*)), 0)::bigint FROM convoke.log l WHERE room = $1 AND room_version > $2";
    sqlx::query_scalar(statement).bind(room.uuid()).bind(from).fetch_one(&db.owner).await.unwrap()
}

/// Locks and unlocks the room so many times, in lists.
async fn lock_and_unlock(process: &Process, room: RoomId, times: usize) {
    let commands: Vec<CommandRequest> = (0..2 * times)
        .map(|n| request(room, if n % 2 == 0 { "lock-room" } else { "unlock-room" }, json!({})))
        .collect();
    for list in commands.chunks(100) {
        process.executor.execute_atomic(list.to_vec()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_big_room_in_which_little_happens_is_not_kept_again_and_again() {
    let db = TestDb::new().await;
    let process = process_with(&db, ExecutorLimits { snapshot_interval: INTERVAL, ..LIMITS });
    let room = process.create(json!({})).await;
    let metadata = "x".repeat(16_000);
    for number in 0..100 {
        let body = json!({ "identity": format!("p{number}"), "metadata": metadata });
        process.run(room, "join", body).await.unwrap();
    }
    let people = eventually("the people are kept", SOON, async || {
        let kept = snapshots(&db, room).await;
        (!kept.is_empty()).then_some(kept)
    })
    .await;
    let joined = log_bytes(&db, room, 0).await;
    lock_and_unlock(&process, room, 1_500).await;
    let locked = log_bytes(&db, room, 0).await - joined;
    assert!(locked > 300_000, "{locked}");

    // A room with nobody in it, which would be kept by the same writer meanwhile, is kept as often as before.
    let small = process.create(json!({})).await;
    lock_and_unlock(&process, small, 500).await;
    let kept = eventually("the small room is kept", SOON, async || {
        let kept = snapshots(&db, small).await;
        kept.last().is_some_and(|(version, _)| *version > 900).then_some(kept)
    })
    .await;
    let gaps: Vec<i64> = kept.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(gaps.iter().all(|gap| *gap <= 2 * 100), "{gaps:?}");

    let kept = snapshots(&db, room).await;
    let bytes: i64 = kept.iter().map(|(_, bytes)| bytes).sum();
    assert!(bytes <= 2 * (joined + locked), "{bytes} of snapshots for {} of log: {kept:?}", joined + locked);
    assert!(kept.len() <= people.len() + 1, "{people:?} {kept:?}");
    // And there is one near every version: what lies between is about what the snapshot itself takes.
    let (last, size) = *kept.last().unwrap();
    assert!(log_bytes(&db, room, last).await <= 2 * size);
    let loaded = process.executor.loader().now(&key_of(room)).await.unwrap();
    assert_eq!(loaded.version, 3_101);
}

#[tokio::test]
async fn loading_a_room_keeps_no_snapshot_where_the_writer_has_kept_its_own_and_does_where_they_are_gone() {
    let db = TestDb::new().await;
    let limits = ExecutorLimits { snapshot_interval: INTERVAL, ..LIMITS };
    let process = process_with(&db, limits);
    let room = process.create(json!({})).await;
    lock_and_unlock(&process, room, 500).await;
    eventually("the last one is kept", SOON, async || {
        snapshots(&db, room).await.last().is_some_and(|(version, _)| *version > 900).then_some(())
    })
    .await;
    let count = async || snapshots(&db, room).await.len();
    let before = count().await;
    let other = process_with(&db, limits);
    for version in [1, 99, 500, 777, 1_001] {
        assert_eq!(other.executor.loader().at_version(&key_of(room), version).await.unwrap().version, version);
    }
    assert_eq!(count().await, before);
    sqlx::query("DELETE FROM convoke.room_snapshots").execute(&db.system).await.unwrap();
    other.executor.loader().now(&key_of(room)).await.unwrap();
    assert!(count().await > 0, "a long room without any is kept when it is opened");
}

#[tokio::test]
async fn snapshots_of_an_older_shape_go_when_one_is_kept() {
    let db = TestDb::new().await;
    let process = process_with(&db, LIMITS);
    let room = process.create(json!({})).await;
    let recorded_at = process.executor.loader().now(&key_of(room)).await.unwrap().recorded_at.unwrap();
    let keep = async |version, shape| {
        let snapshot = StateSnapshot { version, position: 1, recorded_at, chain: [0; 32], state: vec![1] };
        process.log.keep_snapshot(&key_of(room), shape, &snapshot).await.unwrap();
    };
    keep(1, STATE_SHAPE - 1).await;
    keep(2, STATE_SHAPE - 1).await;
    keep(1, STATE_SHAPE + 1).await;
    keep(3, STATE_SHAPE).await;
    keep(4, STATE_SHAPE).await;
    let shapes: Vec<(i32, i64)> =
        sqlx::query_as("SELECT shape, version FROM convoke.room_snapshots ORDER BY shape, version")
            .fetch_all(&db.owner)
            .await
            .unwrap();
    let shape = i32::from(STATE_SHAPE);
    assert_eq!(shapes, [(shape, 3), (shape, 4), (shape + 1, 1)]);
}
