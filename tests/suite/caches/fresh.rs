//! A million reads of two nodes under a hammering writer, while Redis is slow, away, and restored from an old dump by turns: each
//! says what the log says at the position that it claims, and none is older than its reader may get.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::hammer::{Hammered, READERS, hammer};
use super::nodes::{Make, Writer};
use crate::harness::{Redis, TestDb, Wire};

const ROOMS: usize = 24;
const READS: u64 = 1_000_000;

/// How long Redis is in one state.
const STATE: Duration = Duration::from_secs(2);

/// All that Redis may be, again and again; how often it was all of it.
async fn trouble(mut redis: Redis, wire: Wire, over: Arc<AtomicBool>) -> u32 {
    let mut rounds = 0;
    // What it holds now is what comes back each time: older every time.
    redis.ask::<String>(redis::cmd("SAVE")).await;
    while !over.load(Ordering::Relaxed) {
        tokio::time::sleep(STATE).await;
        wire.slow(Duration::from_millis(10));
        tokio::time::sleep(STATE).await;
        wire.slow(Duration::from_secs(1));
        tokio::time::sleep(STATE).await;
        wire.cut();
        tokio::time::sleep(STATE).await;
        redis.kill();
        wire.mend();
        tokio::time::sleep(STATE).await;
        redis.start_again().await;
        rounds += 1;
    }
    rounds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_million_reads_on_two_nodes_under_a_hammering_writer_none_is_stale() {
    let (db, redis) = (TestDb::new().await, Redis::start().await);
    let writer = Writer::of(&db, ROOMS).await;
    let wire = Wire::to_redis(&redis).await;
    let first = Make { redis: Some(wire.url.clone()), ..Make::on(&db) }.node().await;
    let second = Make { redis: Some(wire.url.clone()), projector: false, ..Make::on(&db) }.node().await;
    let nodes = [first, second].map(Arc::new);
    let begun = Instant::now();
    let hammered = hammer(&nodes, writer, READS / READERS as u64, |over| trouble(redis, wire, over)).await;
    let Hammered { reads, writes, wrong, rounds } = hammered;
    let (one, two) = (nodes[0].stats().await, nodes[1].stats().await);
    println!(
        "{reads} reads in {:.1} s beside {writes} writes, {rounds} times all that Redis may be: without the database {:.3} and {:.3}; {one:?} {two:?}",
        begun.elapsed().as_secs_f64(),
        one.hit_rate,
        two.hit_rate
    );
    assert_eq!(reads, READS);
    assert!(wrong.is_empty(), "not what the log says: {wrong:?}");
    assert!(writes > 1_000, "{writes} writes are no hammering");
    assert!(rounds > 0);
    assert!(one.memory.hits > 0 && two.memory.hits > 0 && one.memory.outdated > 0);
    let from_redis = one.redis.unwrap().layer.hits + two.redis.unwrap().layer.hits;
    assert!(from_redis > 0, "the nodes share what they load");
}
