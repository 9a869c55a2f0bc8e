//! With Kafka away: commands are taken, streams go on, what is behind says so and catches up by itself.

use futures_util::StreamExt as _;

use super::{PATIENCE, audited_clean, grown, process};
use crate::harness::kafka::{Broker, prefix};
use crate::harness::{TestDb, eventually, tokens};
use crate::kills::load::Load;
use convoke::security::grants::Grants;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_kafka_away_commands_and_streams_go_on_and_the_topic_catches_up() {
    let (db, mut broker, prefix) = (TestDb::new().await, Broker::start().await, prefix());
    let server = process(&db, &broker, &prefix, "api,relay").serve().await;
    let load = Load::start(&[&server.url], 4).await;
    grown(&db, 20).await;
    broker.kill();
    let token = tokens::of("dev", None, Grants::everything());
    let request = server.client.get(format!("{}/v1/events", server.url)).bearer_auth(token);
    let mut stream = request.header("Accept", "text/event-stream").send().await.unwrap().bytes_stream();
    grown(&db, 100).await;
    let mut heard = String::new();
    while heard.matches("event: room.participant-joined").count() < 50 {
        heard.push_str(std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap());
    }
    let told = eventually("health and metrics say how far behind the topic is", PATIENCE, async || {
        let health = server.get("/health/ready").await;
        assert_eq!(health.status(), 200);
        let health = health.text().await.unwrap();
        health.contains("the relay failed and retries").then_some(health)
    })
    .await;
    assert!(told.contains("events behind the log"), "{told}");
    let metrics = server.get("/metrics").await.text().await.unwrap();
    let lag = metrics.lines().find_map(|line| line.strip_prefix("convoke_relay_lag_events ")).unwrap();
    assert!(lag.parse::<u64>().unwrap() >= 50, "{lag}");
    assert!(metrics.contains("convoke_relay_active 0"), "{metrics}");
    broker.restart().await;
    load.stop().await;
    audited_clean(&db, &broker, &prefix).await;
    eventually("metrics say that it has caught up", PATIENCE, async || {
        let metrics = server.get("/metrics").await.text().await.unwrap();
        (metrics.contains("convoke_relay_lag_events 0") && metrics.contains("convoke_relay_active 1")).then_some(())
    })
    .await;
}
