//! Reads of two nodes under a hammering writer, a million with `make test-long`, while Redis is slow, away, and restored from an
//! old dump by turns: each says what the log says at the position that it claims, and none is older than its reader may get.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::hammer::{Hammered, READERS, Stage, hammer};
use super::nodes::{Make, Node, Writer};
use crate::harness::{Redis, TestDb, Wire};

const ROOMS: usize = 24;
/// In the suite; `CONVOKE_TEST_READS` says how many else.
const READS: usize = 200_000;

/// How long Redis is in one state.
const STATE: Duration = Duration::from_secs(2);

/// How often the nodes let go of all rooms in that time.
const FORGETTING: u32 = 20;

/// The nodes let go of all rooms in memory, again and again, so that readers load them out of whatever Redis is.
async fn forgetting(nodes: &[Arc<Node>; 2]) {
    for _ in 0..FORGETTING {
        tokio::time::sleep(STATE / FORGETTING).await;
        nodes.iter().for_each(|node| node.forget_rooms());
    }
}

/// All that Redis may be, again and again.
async fn trouble(mut redis: Redis, wire: Wire, nodes: [Arc<Node>; 2], stage: Arc<Stage>) {
    // What it holds now is what comes back each time: older every time.
    redis.ask::<String>(redis::cmd("SAVE")).await;
    while !stage.is_over() {
        forgetting(&nodes).await;
        wire.slow(Duration::from_millis(10));
        forgetting(&nodes).await;
        wire.slow(Duration::from_secs(1));
        forgetting(&nodes).await;
        wire.cut();
        forgetting(&nodes).await;
        redis.kill();
        wire.mend();
        forgetting(&nodes).await;
        redis.start_again().await;
        stage.round();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_all_reads_on_two_nodes_under_a_hammering_writer_none_is_stale() {
    let (db, redis) = (TestDb::new().await, Redis::start().await);
    let writer = Writer::of_long(&db, ROOMS).await;
    let wire = Wire::to_redis(&redis).await;
    let first = Make { redis: Some(wire.url.clone()), ..Make::on(&db) }.node().await;
    let second = Make { redis: Some(wire.url.clone()), ..Make::on(&db) }.node().await;
    let nodes = [first, second].map(Arc::new);
    let begun = Instant::now();
    let wanted = std::env::var("CONVOKE_TEST_READS").map_or(READS, |wanted| wanted.parse().expect("it is a number"));
    let hammered = hammer(&nodes, writer, wanted / READERS, |stage| trouble(redis, wire, nodes.clone(), stage)).await;
    let Hammered { reads, writes, wrong, rounds } = hammered;
    let (one, two) = (nodes[0].stats().await, nodes[1].stats().await);
    println!(
        "{reads} reads in {:.1} s beside {writes} writes, {rounds} times all that Redis may be: out of memory {:.3} and {:.3}; {one:?} {two:?}",
        begun.elapsed().as_secs_f64(),
        one.hit_rate,
        two.hit_rate
    );
    assert!(reads >= wanted, "{reads} reads");
    assert!(wrong.is_empty(), "not what the log says: {wrong:?}");
    assert!(writes > 1_000, "{writes} writes are no hammering");
    assert!(one.memory.hits > 0 && two.memory.hits > 0 && one.memory.misses > 0);
    let from_redis = one.redis.unwrap().layer.hits + two.redis.unwrap().layer.hits;
    assert!(from_redis > 0, "the nodes share what they load");
}
