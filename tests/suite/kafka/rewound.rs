//! A log that was restored from a backup, while the topic holds what was lost.

use super::{PATIENCE, audit, audited_clean, grown, process};
use crate::harness::kafka::{Broker, prefix};
use crate::harness::{Run, TestDb, eventually};
use crate::kills::load::Load;

async fn some_load(db: &TestDb, broker: &Broker, prefix: &str, events: i64) {
    let server = process(db, broker, prefix, "api,relay").serve().await;
    let load = Load::start(&[&server.url], 4).await;
    grown(db, events).await;
    load.stop().await;
    audited_clean(db, broker, prefix).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewound_log_is_refused_until_it_is_fenced() {
    let (db, broker, prefix) = (TestDb::new().await, Broker::shared().await, prefix());
    some_load(&db, broker, &prefix, 60).await;
    let restored = db.copy().await;
    some_load(&db, broker, &prefix, 60).await;

    let server = process(&restored, broker, &prefix, "api,relay").serve().await;
    let refused = async || {
        let health = server.get("/health/ready").await.text().await.unwrap();
        health.contains("run `convoke log fence`").then_some(())
    };
    eventually("the relay refuses a log that ends before its topic", PATIENCE, refused).await;
    // The lost positions come to hold other events, and more than were lost.
    let load = Load::start(&[&server.url], 4).await;
    grown(&restored, 150).await;
    load.stop().await;
    eventually("it refuses it also when it has grown past the topic", PATIENCE, refused).await;
    let found = audit(&restored, broker, &prefix).await;
    assert!(found["different"].as_u64().unwrap() > 0, "{found}");

    let fenced = Run::on(&restored).args(["log", "fence", "--yes"]).run().await;
    assert_eq!(fenced.status, 0, "{fenced:?}");
    let found = audited_clean(&restored, broker, &prefix).await;
    assert!(found["ended"].as_u64().unwrap() >= 60, "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fence_that_lost_nothing_sends_nothing_twice() {
    let (db, broker, prefix) = (TestDb::new().await, Broker::shared().await, prefix());
    let server = process(&db, broker, &prefix, "api,relay").serve().await;
    let load = Load::start(&[&server.url], 4).await;
    grown(&db, 60).await;
    let fenced = Run::on(&db).args(["log", "fence", "--yes"]).run().await;
    assert_eq!(fenced.status, 0, "{fenced:?}");
    grown(&db, 60).await;
    load.stop().await;
    let found = audited_clean(&db, broker, &prefix).await;
    assert_eq!((&found["records"], &found["ended"]), (&found["head"], &0.into()), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_topic_of_another_log_is_refused() {
    let (db, other, broker, prefix) = (TestDb::new().await, TestDb::new().await, Broker::shared().await, prefix());
    some_load(&db, broker, &prefix, 20).await;
    let server = process(&other, broker, &prefix, "api,relay").serve().await;
    eventually("the relay refuses a topic that is not its log's", PATIENCE, async || {
        let health = server.get("/health/ready").await.text().await.unwrap();
        health.contains("events of another log").then_some(())
    })
    .await;
    audited_clean(&db, broker, &prefix).await;
}
