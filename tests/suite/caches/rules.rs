//! What is kept of rooms and what is not, on one node and on two.

use std::sync::Arc;
use std::time::Duration;

use convoke::events::log::EventLog;
use uuid::Uuid;

use super::nodes::{Make, PATIENCE, Writer, key};
use crate::harness::{Redis, TestDb, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_who_ask_at_once_cost_one_look_at_the_database() {
    let (db, redis) = (TestDb::new().await, Redis::start().await);
    let writer = Writer::of_long(&db, 1).await;
    let node = Arc::new(Make { redis: Some(redis.url()), ..Make::on(&db) }.node().await);
    let written = *writer.history[0].lock().unwrap().last().unwrap();
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let (node, room) = (node.clone(), writer.rooms[0].clone());
            tokio::spawn(async move { node.version(&room, Some(written)).await })
        })
        .collect();
    for asked in asking {
        assert_eq!(asked.await.unwrap().0, writer.history[0].lock().unwrap().len() as u64);
    }
    let stats = node.stats().await;
    // Two who were between the keys: the first load may end before the last reader asks whether there is one under way.
    assert!(stats.database.hits <= 2, "{stats:?}");
    assert!((1..=2).contains(&stats.redis.unwrap().layer.misses));
}

#[tokio::test]
async fn a_room_that_is_not_there_is_remembered_until_it_is() {
    let db = TestDb::new().await;
    let mut writer = Writer::of(&db, 1).await;
    let node = Make::on(&db).node().await;
    writer.write(0).await;
    let absent = key(Uuid::now_v7());
    assert!(node.room(&absent, None).await.unwrap().value.is_none());
    let loads = node.loads().await;
    for _ in 0..10 {
        assert!(node.room(&absent, None).await.unwrap().value.is_none());
    }
    assert_eq!(node.loads().await, loads);
    // Once it is made, by another process, who knows of it is told, and soon everybody.
    let mut maker = Writer::of(&db, 0).await;
    maker.make(absent.clone()).await;
    let position = maker.history[0].lock().unwrap()[0];
    assert_eq!(node.version(&absent, Some(position)).await, (1, position));
    assert!(node.room(&absent, None).await.unwrap().value.is_some());
    assert_eq!(node.loads().await, loads, "its event was applied to what was known");
}

#[tokio::test]
async fn a_room_is_loaded_once_and_then_goes_on_with_its_events() {
    let db = TestDb::new().await;
    let mut writer = Writer::of(&db, 2).await;
    let node = Make::on(&db).node().await;
    let (quiet, busy) = (writer.rooms[0].clone(), writer.rooms[1].clone());
    node.version(&quiet, Some(2)).await;
    node.version(&busy, Some(2)).await;
    let loads = node.loads().await;
    for number in 0..20 {
        let position = writer.write(1).await;
        let (version, at) = node.version(&quiet, Some(position)).await;
        assert!(version == 1 && at >= position);
        assert_eq!(node.version(&busy, Some(position)).await, (number + 2, position));
    }
    assert_eq!(node.loads().await, loads);
}

#[tokio::test]
async fn rooms_that_do_not_fit_leave_and_are_read_from_the_snapshots_that_the_nodes_share() {
    let (db, redis) = (TestDb::new().await, Redis::start().await);
    let mut writer = Writer::of_long(&db, 12).await;
    // Room for a few of them.
    let small = Make { redis: Some(redis.url()), memory: "16KiB", ..Make::on(&db) };
    let node = small.node().await;
    for turn in 0..4 {
        for (room, key) in writer.rooms.clone().iter().enumerate() {
            let position = writer.write(room).await;
            let version = writer.history[room].lock().unwrap().len() as u64;
            assert_eq!(node.version(key, Some(position)).await, (version, position), "turn {turn}");
        }
        eventually("the snapshots are in Redis", PATIENCE, async || (redis.keys().await.len() == 12).then_some(()))
            .await;
    }
    let stats = node.stats().await;
    assert!(stats.size.entries < 12, "{stats:?}");
    let hits = stats.redis.unwrap().layer.hits;
    assert!(hits >= 12, "rooms came back out of Redis {hits} times");
}

#[tokio::test]
async fn a_new_epoch_empties_it_and_what_redis_holds_of_the_old_one_is_not_used() {
    let (db, redis) = (TestDb::new().await, Redis::start().await);
    let writer = Writer::of_long(&db, 1).await;
    let node = Make { redis: Some(redis.url()), ..Make::on(&db) }.node().await;
    let room = writer.rooms[0].clone();
    node.version(&room, Some(1)).await;
    eventually("it is in Redis", PATIENCE, async || redis.keys().await.pop()).await;
    let before = node.stats().await;
    assert!(before.size.entries > 0);
    writer.log.fence().await.unwrap();
    eventually("it began anew", PATIENCE, async || {
        let now = node.stats().await;
        (now.begun > before.begun && now.following).then_some(())
    })
    .await;
    node.version(&room, None).await;
    let after = node.stats().await;
    let (old, new) = (before.redis.unwrap().layer, after.redis.unwrap().layer);
    assert_eq!((new.hits, new.unknown), (old.hits, old.unknown + 1));
    assert!(after.database.hits > before.database.hits);
}

#[tokio::test]
async fn a_node_that_has_lost_the_log_answers_nothing_out_of_memory() {
    let db = TestDb::new().await;
    let wire = crate::harness::Wire::to(&db).await;
    let mut writer = Writer::of(&db, 1).await;
    let far: sqlx::postgres::PgConnectOptions = wire.url.parse().unwrap();
    let node = Make::on(&db)
        .node_over(&EventLog::new(convoke::database::pool::system(far, &crate::harness::database_config())));
    node.follows().await;
    let room = writer.rooms[0].clone();
    assert_eq!(node.version(&room, Some(1)).await.0, 1);
    wire.cut();
    eventually("it has noticed", PATIENCE, async || (!node.stats().await.following).then_some(())).await;
    let position = writer.write(0).await;
    let hits = node.stats().await.memory.hits;
    let asking = node.room(&room, None);
    assert!(tokio::time::timeout(Duration::from_millis(300), asking).await.is_err(), "it asks the database, and waits");
    assert_eq!(node.stats().await.memory.hits, hits);
    wire.mend();
    node.follows().await;
    let seen = eventually("it reads again", PATIENCE, async || node.room(&room, Some(position)).await.ok()).await;
    assert_eq!(seen.value.unwrap().view.version, 2);
}
