//! Two replicas beneath memory and Redis on two nodes, under a hammering writer, while the replicas stop replaying, die and come
//! back by turns: nothing that is read is stale.

use std::sync::Arc;
use std::time::Duration;

use super::hammer::{Hammered, READERS, Stage, hammer};
use super::nodes::{Make, Node, PATIENCE, Writer};
use crate::harness::standby::Replicated;
use crate::harness::{Redis, eventually};

const ROOMS: usize = 24;
const READS: usize = 200_000;

/// How long the replicas are in one state: longer than a node reads from one that lags.
const STATE: Duration = Duration::from_secs(2);

/// All that replicas may be, again and again.
async fn trouble(database: &mut Replicated, stage: Arc<Stage>) {
    while !stage.is_over() {
        tokio::time::sleep(STATE).await;
        database.replicas[0].execute("SELECT pg_wal_replay_pause()").await;
        tokio::time::sleep(STATE).await;
        database.replicas[1].stop().await;
        tokio::time::sleep(STATE).await;
        database.replicas[0].execute("SELECT pg_wal_replay_resume()").await;
        tokio::time::sleep(STATE).await;
        database.replicas[1].start().await;
        stage.round();
    }
}

/// Reads that went to replicas so far.
fn from_replicas(node: &Node) -> u64 {
    let metrics = node.metrics.encode().unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix("convoke_reads_total{from=\"replica\"} "));
    line.map_or(0, |count| count.parse().unwrap())
}

async fn both_are_read_from(node: &Node) {
    eventually("both replicas are read from", PATIENCE, async || {
        let told = node.replicas.told();
        (told.matches("has replayed").count() == 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_replicas_that_lag_die_and_come_back_beneath_the_caches_nothing_is_stale() {
    let (mut database, redis) = (Replicated::start(2).await, Redis::start().await);
    let way = database.options().clone();
    let writer = Writer::over(&way, ROOMS).await;
    let replicas: Vec<_> = database.replicas.iter().map(|replica| replica.options().clone()).collect();
    let make = |projector| Make {
        redis: Some(redis.url()),
        replicas: replicas.clone(),
        projector,
        // Too little for all rooms: what is not kept is loaded again and again.
        memory: "16KiB",
        ..Make::over(&way)
    };
    let nodes = [make(true).node().await, make(false).node().await].map(Arc::new);
    for node in &nodes {
        both_are_read_from(node).await;
    }
    let behind = &mut database;
    let hammered = hammer(&nodes, writer, READS / READERS, move |stage| trouble(behind, stage)).await;
    let Hammered { reads, writes, wrong, rounds } = hammered;
    let [one, two] = [&nodes[0], &nodes[1]].map(|node| from_replicas(node));
    println!(
        "{reads} reads beside {writes} writes, {rounds} times all that replicas may be; from replicas {one} and {two}"
    );
    assert!(reads >= READS, "{reads} reads");
    assert!(wrong.is_empty(), "not what the log says: {wrong:?}");
    assert!(writes > 300, "{writes} writes are no hammering");
    assert!(one > 0 && two > 0, "replicas were read from: {one} and {two}");
    for node in &nodes {
        both_are_read_from(node).await;
    }
}
