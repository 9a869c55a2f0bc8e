//! Rooms out of the log, at any version.

use convoke::commands::execute::ExecutorLimits;
use convoke::commands::room::state::{Room, STATE_SHAPE};
use serde_json::json;

use super::{LIMITS, join, key_of, new_room, process_with};
use crate::harness::{TestDb, eventually};

#[tokio::test]
async fn every_version_is_the_same_with_and_without_snapshots() {
    let db = TestDb::new().await;
    let process = process_with(&db, ExecutorLimits { snapshot_interval: 10, ..LIMITS });
    let room = process.create(json!({})).await;
    let key = key_of(room);
    for number in 0..12 {
        process.executor.execute(join(room, &format!("p{number}"))).await.unwrap();
        process.run(room, "raise-hand", json!({ "identity": format!("p{number}") })).await.unwrap();
        process.run(room, "rename", json!({ "identity": "p0", "display_name": format!("{number}") })).await.unwrap();
    }
    let kept = eventually("snapshots are kept", std::time::Duration::from_secs(20), async || {
        let snapshot = process.log.snapshot(&key, STATE_SHAPE, u64::MAX).await.unwrap();
        snapshot.filter(|snapshot| snapshot.version >= 30)
    })
    .await;
    assert!(kept.version <= 37);
    let loader = process.executor.loader();
    let mut with = Vec::new();
    for version in 1..=37 {
        with.push(loader.at_version(&key, version).await.unwrap());
    }
    sqlx::query("DELETE FROM convoke.room_snapshots").execute(&process.log.pool().clone()).await.unwrap();
    for (version, with) in (1..=37).zip(&with) {
        let without = loader.at_version(&key, version).await.unwrap();
        assert_eq!(without.state, with.state, "version {version}");
        assert_eq!((without.version, without.position), (with.version, with.position));
        assert_eq!((without.chain, without.recorded_at), (with.chain, with.recorded_at));
        assert_eq!(without.happened_at, with.happened_at);
    }
}

#[tokio::test]
async fn what_is_not_there_is_absent() {
    let db = TestDb::new().await;
    let process = process_with(&db, LIMITS);
    let room = process.create(json!({})).await;
    let loader = process.executor.loader();
    assert_eq!(loader.now(&key_of(new_room())).await.unwrap().state, Room::Absent);
    assert_eq!(loader.at_version(&key_of(room), 2).await.unwrap().version, 0);
    assert_eq!(loader.at_version(&key_of(room), 0).await.unwrap().version, 0);
}

#[tokio::test]
async fn a_damaged_snapshot_is_left_aside() {
    let db = TestDb::new().await;
    let process = process_with(&db, ExecutorLimits { snapshot_interval: 5, ..LIMITS });
    let room = process.create(json!({})).await;
    for number in 0..9 {
        process.executor.execute(join(room, &format!("p{number}"))).await.unwrap();
    }
    let key = key_of(room);
    let loader = process.executor.loader();
    let whole = loader.now(&key).await.unwrap();
    sqlx::query("UPDATE convoke.room_snapshots SET state = '\\x00'").execute(&db.owner).await.unwrap();
    assert_eq!(loader.now(&key).await.unwrap().state, whole.state);
}
