//! Redis stopped, silent, cut off, restored from an old dump, filled with nonsense: no reader notices, and nothing is stale.

use std::time::{Duration, Instant};

use convoke::events::time::Clock;
use convoke::live::snapshots::{Head, write_head};
use uuid::Uuid;

use super::nodes::{Make, Node, PATIENCE, Writer, version_at};
use crate::harness::{Redis, TestDb, Wire, eventually};

const ROOMS: usize = 4;

/// A read costs Redis's time-out at worst, and what the database takes on a busy machine.
const SLOWEST: Duration = Duration::from_secs(2);

/// Two nodes on one Redis.
struct Pair {
    writer: Writer,
    nodes: Vec<Node>,
    reads: Vec<Duration>,
}

impl Pair {
    async fn on(db: &TestDb, redis: &str) -> Self {
        let writer = Writer::of_long(db, ROOMS).await;
        // Without memory every read is a load, and looks into Redis.
        let make = || Make { redis: Some(redis.into()), memory: "0B", ..Make::on(db) };
        let (first, second) = (make().node().await, make().node().await);
        Self { writer, nodes: vec![first, second], reads: Vec::new() }
    }

    /// Writes and reads in turns, the writer's position shown and not; every answer is what the log says at the position it claims.
    async fn go_on(&mut self, turns: usize) {
        for turn in 0..turns {
            let room = turn % ROOMS;
            let written = self.writer.write(room).await;
            for node in &self.nodes {
                for wanted in [Some(written), None, Some(written)] {
                    let begun = Instant::now();
                    let (version, at) = node.version(&self.writer.rooms[room], wanted).await;
                    self.reads.push(begun.elapsed());
                    assert!(wanted.is_none_or(|wanted| at >= wanted), "wanted {wanted:?}, got {at}");
                    let history = self.writer.history[room].lock().unwrap();
                    assert_eq!(version, version_at(&history, at), "room {room} at {at}");
                }
            }
        }
    }

    /// p99 of the reads since the last time.
    fn p99(&mut self) -> Duration {
        self.reads.sort_unstable();
        let p99 = self.reads[self.reads.len() * 99 / 100];
        self.reads.clear();
        p99
    }

    async fn redis_hits(&self) -> u64 {
        let mut hits = 0;
        for node in &self.nodes {
            hits += node.stats().await.redis.unwrap().layer.hits;
        }
        hits
    }

    /// Until the nodes share what they load, as they do while Redis is well.
    async fn share(&mut self) {
        let before = self.redis_hits().await;
        let begun = Instant::now();
        while self.redis_hits().await == before {
            assert!(begun.elapsed() < PATIENCE, "Redis is used");
            self.go_on(4).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_killed_and_back_is_not_noticed_by_readers() {
    let (db, mut redis) = (TestDb::new().await, Redis::start().await);
    let mut pair = Pair::on(&db, &redis.url()).await;
    pair.share().await;
    pair.p99();
    redis.kill();
    pair.go_on(60).await;
    let p99 = pair.p99();
    assert!(p99 < SLOWEST, "{p99:?}");
    assert!(pair.nodes[0].breakers.summary().contains("open"), "{}", pair.nodes[0].breakers.summary());
    redis.start_again().await;
    pair.share().await;
    eventually("the breaker closes", PATIENCE, async || {
        pair.go_on(1).await;
        (pair.nodes[0].breakers.summary() == "redis closed").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_falls_silent_costs_a_few_readers_its_time_out_and_then_nobody_anything() {
    let (db, redis) = (TestDb::new().await, Redis::start().await);
    let mut pair = Pair::on(&db, &redis.url()).await;
    pair.share().await;
    pair.p99();
    redis.pause();
    pair.go_on(60).await;
    assert!(pair.nodes[0].breakers.summary().contains("open"), "{}", pair.nodes[0].breakers.summary());
    let p99 = pair.p99();
    assert!(p99 < SLOWEST, "{p99:?}");
    redis.go_on();
    pair.share().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wire_to_redis_that_is_cut_without_a_word_is_found_and_left() {
    let (db, redis) = (TestDb::new().await, Redis::start().await);
    let wire = Wire::to_redis(&redis).await;
    let mut pair = Pair::on(&db, &wire.url).await;
    pair.share().await;
    pair.p99();
    wire.cut();
    pair.go_on(60).await;
    let p99 = pair.p99();
    assert!(p99 < SLOWEST, "{p99:?}");
    wire.mend();
    pair.share().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_restored_from_an_old_dump_tells_nobody_what_was() {
    let (db, mut redis) = (TestDb::new().await, Redis::start().await);
    let mut pair = Pair::on(&db, &redis.url()).await;
    pair.share().await;
    redis.ask::<()>(redis::cmd("SAVE")).await;
    let saved = redis.keys().await.len();
    assert!(saved > 0);
    pair.go_on(40).await;
    redis.kill();
    redis.start_again().await;
    assert_eq!(redis.keys().await.len(), saved, "what was saved is there again");
    // A node that starts now has nothing but that dump.
    let late = Make { redis: Some(redis.url()), ..Make::on(&db) }.node().await;
    for (room, key) in pair.writer.rooms.iter().enumerate() {
        let history = pair.writer.history[room].lock().unwrap().clone();
        let (version, at) = late.version(key, history.last().copied()).await;
        assert_eq!(version, history.len() as u64);
        assert_eq!(version, version_at(&history, at));
    }
    let told = late.stats().await.redis.unwrap().layer;
    assert!(told.hits > 0, "old snapshots are the beginning of the way, {told:?}");
    pair.nodes.push(late);
    pair.go_on(20).await;
}

#[tokio::test]
async fn what_somebody_else_put_into_redis_is_not_believed() {
    let (db, redis) = (TestDb::new().await, Redis::start().await);
    let mut writer = Writer::of_long(&db, 2).await;
    let make = || Make { redis: Some(redis.url()), memory: "0B", ..Make::on(&db) };
    let node = make().node().await;
    for room in &writer.rooms {
        node.version(room, None).await;
    }
    eventually("both are in Redis", PATIENCE, async || (redis.keys().await.len() == 2).then_some(())).await;
    let name = |room: usize| format!("convoke:cache:v2.2:acme:room:{}", writer.rooms[room].room);
    let get = async |name: &str| redis.ask::<Vec<u8>>(redis::cmd("GET").arg(name).to_owned()).await;
    let (one, other) = (get(&name(0)).await, get(&name(1)).await);
    let (room, named) = (writer.rooms[0].clone(), name(0));
    let body = |value: &[u8]| value[value.iter().position(|byte| *byte == b'\n').unwrap() + 1..].to_vec();
    let epoch = writer.log.head().await.unwrap().epoch;
    let version = writer.history[0].lock().unwrap().len() as u64;
    let head = |epoch, version| write_head(&Head { epoch, version, made_at: Clock::system().now() }).into_bytes();
    let mut damaged = one.clone();
    *damaged.last_mut().unwrap() ^= 1;
    // A snapshot by somebody who has not the master key.
    let stranger = Make { trusted: false, ..make() }.node().await;
    redis.ask::<()>(redis::cmd("DEL").arg(&named).to_owned()).await;
    stranger.version(&room, None).await;
    eventually("the stranger's is in Redis", PATIENCE, async || (redis.keys().await.len() == 2).then_some(())).await;
    let lies = [
        other.clone(),
        [head(epoch, version), body(&other)].concat(),
        [head(epoch, version + 5), body(&one)].concat(),
        [head(Uuid::new_v4(), version), body(&one)].concat(),
        [head(epoch, version), b"{}".to_vec()].concat(),
        get(&named).await,
        damaged,
        body(&one),
        Vec::new(),
    ];
    let newest = writer.write(0).await;
    for lie in lies {
        // What the node wrote after it refused the lie before may take the place of this one.
        eventually("the lie is refused", PATIENCE, async || {
            redis.ask::<()>(redis::cmd("SET").arg(&named).arg(&lie).to_owned()).await;
            let before = node.stats().await.redis.unwrap().layer;
            assert_eq!(node.version(&room, Some(newest)).await.0, version + 1, "{}", lie.escape_ascii());
            let after = node.stats().await.redis.unwrap().layer;
            ((after.hits, after.unknown) == (before.hits, before.unknown + 1)).then_some(())
        })
        .await;
    }
    // What is only old is the beginning of the way.
    tokio::time::sleep(Duration::from_millis(200)).await;
    redis.ask::<()>(redis::cmd("SET").arg(&named).arg(&one).to_owned()).await;
    let hits = node.stats().await.redis.unwrap().layer.hits;
    assert_eq!(node.version(&room, Some(newest)).await.0, version + 1);
    assert_eq!(node.stats().await.redis.unwrap().layer.hits, hits + 1);
}

#[tokio::test]
async fn a_value_is_replaced_by_a_newer_one_only() {
    let (db, redis) = (TestDb::new().await, Redis::start().await);
    let writer = Writer::of_long(&db, 1).await;
    let make = || Make { redis: Some(redis.url()), memory: "0B", ..Make::on(&db) };
    let node = make().node().await;
    let room = writer.rooms[0].clone();
    node.version(&room, None).await;
    let name = eventually("it is in Redis", PATIENCE, async || redis.keys().await.pop()).await;
    let epoch = writer.log.head().await.unwrap().epoch;
    let ahead = Head { epoch, version: 1_000, made_at: Clock::system().now() };
    let ahead = format!("{}nonsense", write_head(&ahead));
    redis.ask::<()>(redis::cmd("SET").arg(&name).arg(&ahead).to_owned()).await;
    // It is nonsense, and so the node would write its own; what is ahead stays.
    for _ in 0..5 {
        assert_eq!(node.version(&room, None).await.0, writer.history[0].lock().unwrap().len() as u64);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(redis.ask::<String>(redis::cmd("GET").arg(&name).to_owned()).await, ahead);
    // What another epoch left gives way.
    let old = ahead.replace(&epoch.to_string(), &Uuid::nil().to_string());
    redis.ask::<()>(redis::cmd("SET").arg(&name).arg(&old).to_owned()).await;
    node.version(&room, None).await;
    eventually("what is of another history is replaced", PATIENCE, async || {
        let now: Vec<u8> = redis.ask(redis::cmd("GET").arg(&name).to_owned()).await;
        now.starts_with(epoch.to_string().as_bytes()).then_some(())
    })
    .await;
}
