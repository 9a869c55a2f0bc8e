//! What is kept and what is not, on one node.

use std::sync::Arc;
use std::time::Duration;

use convoke::events::log::EventLog;
use convoke::events::room::{ParticipantJoined, Role, RoomEvent};
use convoke::projections::read::PageRequest;
use convoke::projections::rooms::Participant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::nodes::{Make, Node, PATIENCE, Writer, key};
use crate::harness::{Redis, TestDb, eventually};

fn patience() -> convoke::projections::cache::Patience {
    convoke::projections::cache::Patience { model: PATIENCE, stop: CancellationToken::new() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_who_ask_at_once_cost_one_look_at_the_database() {
    let (db, redis) = (TestDb::new().await, Redis::start().await);
    let writer = Writer::of(&db, 1).await;
    let node = Arc::new(Make { redis: Some(redis.url()), ..Make::on(&db) }.node().await);
    let written = writer.history[0].lock().unwrap()[0];
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let (node, room) = (node.clone(), writer.rooms[0].clone());
            tokio::spawn(async move { node.version(&room, Some(written)).await })
        })
        .collect();
    for asked in asking {
        assert_eq!(asked.await.unwrap().0, 1);
    }
    let stats = node.stats().await;
    // Two who were between the keys: the first load may end before the last reader asks whether there is one under way.
    assert!(stats.database.hits <= 2, "{stats:?}");
    assert_eq!(stats.database.hits, stats.redis.unwrap().layer.misses);
}

#[tokio::test]
async fn a_room_that_is_not_there_is_remembered_until_it_is() {
    let db = TestDb::new().await;
    let mut writer = Writer::of(&db, 1).await;
    let node = Make::on(&db).node().await;
    writer.write(0).await;
    let absent = key(Uuid::now_v7());
    eventually("the read model has begun", PATIENCE, async || {
        node.room(&absent, None).await.unwrap().current.then_some(())
    })
    .await;
    let loads = node.loads().await;
    for _ in 0..10 {
        let seen = node.room(&absent, None).await.unwrap();
        assert!(seen.value.is_none() && seen.current);
    }
    assert_eq!(node.loads().await, loads);
    // Once it is made, by another process, who knows of it is told, and soon everybody.
    let mut maker = Writer::of(&db, 0).await;
    maker.make(absent.clone()).await;
    let position = maker.history[0].lock().unwrap()[0];
    assert_eq!(node.version(&absent, Some(position)).await, (1, position));
    assert!(node.room(&absent, None).await.unwrap().value.is_some());
}

#[tokio::test]
async fn a_room_that_does_not_change_is_read_once() {
    let db = TestDb::new().await;
    let mut writer = Writer::of(&db, 2).await;
    let node = Make::on(&db).node().await;
    let quiet = writer.rooms[0].clone();
    node.version(&quiet, Some(2)).await;
    let loads = node.loads().await;
    // The other room changes all the time: the quiet one is true at positions that came after it was read.
    for _ in 0..20 {
        let position = writer.write(1).await;
        let (version, at) = node.version(&quiet, Some(position)).await;
        assert!(version == 1 && at >= position);
    }
    assert_eq!(node.loads().await, loads);
}

async fn all_people(node: &Node, room: &convoke::ids::RoomKey, wanted: u64, limit: usize) -> Vec<Participant> {
    let (mut people, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = PageRequest { limit, cursor: cursor.as_deref() };
        let seen = node.cache.people(room, page, Some(wanted), &patience()).await.unwrap();
        assert!(seen.at >= wanted && seen.value.items.len() <= limit);
        people.extend(seen.value.items);
        match seen.value.next_cursor {
            Some(next) => cursor = Some(next),
            None => return people,
        }
    }
}

#[tokio::test]
async fn people_are_cut_into_the_pages_that_the_database_gives_few_or_many() {
    let db = TestDb::new().await;
    let mut writer = Writer::of(&db, 1).await;
    let node = Make::on(&db).node().await;
    let room = writer.rooms[0].clone();
    let mut position = 0;
    for number in 0..convoke::projections::cache::MOST_PEOPLE + 2 {
        let joined = ParticipantJoined {
            identity: format!("person-{number}").parse().unwrap(),
            session: convoke::ids::SessionId::from_uuid(Uuid::now_v7()),
            role: Role::Viewer,
        };
        position = writer.append(0, RoomEvent::ParticipantJoined(joined)).await;
        if [2, 7, convoke::projections::cache::MOST_PEOPLE - 1].contains(&number) {
            let present = all_people(&node, &room, position, 5).await;
            assert_eq!(present.len(), number + 1);
            let loads = node.loads().await;
            assert_eq!(all_people(&node, &room, position, 100).await, present);
            assert_eq!(node.loads().await, loads, "the pages are cut from what is at hand");
            assert!(node.cache.knows(&room));
        }
    }
    let present = all_people(&node, &room, position, 100).await;
    assert_eq!(present.len(), convoke::projections::cache::MOST_PEOPLE + 2);
    assert!(present.is_sorted_by_key(|person| person.view.identity.clone()));
}

#[tokio::test]
async fn a_new_epoch_empties_it_and_what_redis_holds_of_the_old_one_is_not_used() {
    let (db, redis) = (TestDb::new().await, Redis::start().await);
    let writer = Writer::of(&db, 1).await;
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
    assert_eq!(after.redis.unwrap().layer.hits, before.redis.unwrap().layer.hits);
    assert!(after.database.hits > before.database.hits);
}

#[tokio::test]
async fn a_node_that_has_lost_the_log_answers_nothing_out_of_the_cache() {
    let db = TestDb::new().await;
    let wire = crate::harness::Wire::to(&db).await;
    let mut writer = Writer::of(&db, 1).await;
    let workers = Make::on(&db).node().await;
    let far: sqlx::postgres::PgConnectOptions = wire.url.parse().unwrap();
    let node = Make { projector: false, ..Make::on(&db) }
        .node_over(&EventLog::new(convoke::database::pool::system(far, &crate::harness::database_config())));
    node.follows().await;
    let room = writer.rooms[0].clone();
    assert_eq!(node.version(&room, Some(1)).await.0, 1);
    wire.cut();
    eventually("it has noticed", PATIENCE, async || (!node.stats().await.following).then_some(())).await;
    let position = writer.write(0).await;
    workers.version(&room, Some(position)).await;
    let hits = node.stats().await.memory.hits;
    let asking = node.room(&room, None);
    assert!(tokio::time::timeout(Duration::from_millis(300), asking).await.is_err(), "it asks the database, and waits");
    assert_eq!(node.stats().await.memory.hits, hits);
    wire.mend();
    node.follows().await;
    let seen = eventually("it reads again", PATIENCE, async || node.room(&room, Some(position)).await.ok()).await;
    assert_eq!(seen.value.unwrap().view.version, 2);
}
