//! Redis stopped, silent, cut off, restored from an old dump, filled with nonsense: no reader notices, and nothing is stale.

use std::time::{Duration, Instant};

use convoke::events::time::Clock;
use convoke::projections::cache::{Head, Lineage, write_head};
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
        let writer = Writer::of(db, ROOMS).await;
        let first = Make { redis: Some(redis.into()), ..Make::on(db) }.node().await;
        let second = Make { redis: Some(redis.into()), projector: false, ..Make::on(db) }.node().await;
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
    assert!(pair.nodes[0].breakers.told().contains("open"), "{}", pair.nodes[0].breakers.told());
    redis.start_again().await;
    pair.share().await;
    eventually("the breaker closes", PATIENCE, async || {
        pair.go_on(1).await;
        (pair.nodes[0].breakers.told() == "redis closed").then_some(())
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
    assert!(pair.nodes[0].breakers.told().contains("open"), "{}", pair.nodes[0].breakers.told());
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
    let late = Make { redis: Some(redis.url()), projector: false, ..Make::on(&db) }.node().await;
    for (room, key) in pair.writer.rooms.iter().enumerate() {
        let history = pair.writer.history[room].lock().unwrap().clone();
        let (version, at) = late.version(key, history.last().copied()).await;
        assert_eq!(version, history.len() as u64);
        assert_eq!(version, version_at(&history, at));
    }
    let told = late.stats().await.redis.unwrap().layer;
    assert!(told.outdated > 0 && told.hits == 0, "{told:?}");
    pair.nodes.push(late);
    pair.go_on(20).await;
}

#[tokio::test]
async fn what_somebody_else_put_into_redis_is_not_believed() {
    let (db, redis) = (TestDb::new().await, Redis::start().await);
    let mut writer = Writer::of(&db, 1).await;
    let node = Make { redis: Some(redis.url()), memory: "0B", ..Make::on(&db) }.node().await;
    let room = writer.rooms[0].clone();
    let first = writer.write(0).await;
    let (version, _) = node.version(&room, Some(first)).await;
    let name = eventually("it is in Redis", PATIENCE, async || redis.keys().await.pop()).await;
    assert!(name.starts_with("convoke:cache:v") && name.contains(":acme:room:"), "{name}");
    let mut get = redis::cmd("GET");
    get.arg(&name);
    let true_value: Vec<u8> = redis.ask(get).await;
    let json = &true_value[true_value.iter().position(|byte| *byte == b'\n').unwrap() + 1..];
    let lie = String::from_utf8(json.to_vec()).unwrap().replace("\"version\":2", "\"version\":77");
    let epoch = writer.log.head().await.unwrap().epoch;
    let head = |epoch, generation, position| {
        let lineage = Lineage { epoch, generation };
        write_head(&Head { lineage, position, read_at: Clock::system().now() })
    };
    let second = writer.write(0).await;
    let lies = [
        format!("{}{lie}", head(Uuid::new_v4(), 0, second)),
        format!("{}{lie}", head(epoch, 7, second)),
        format!("{}{lie}", head(epoch, 0, first)),
        format!("{}{{\"version\":77}}", head(epoch, 0, second)),
        lie,
        String::new(),
    ];
    for lie in lies {
        let mut set = redis::cmd("SET");
        set.arg(&name).arg(&lie);
        redis.ask::<()>(set).await;
        let (seen, at) = node.version(&room, Some(second)).await;
        assert_eq!((seen, at >= second), (version + 1, true), "{lie}");
    }
}

#[tokio::test]
async fn a_value_is_replaced_by_a_newer_one_only() {
    let (db, redis) = (TestDb::new().await, Redis::start().await);
    let mut writer = Writer::of(&db, 1).await;
    let node = Make { redis: Some(redis.url()), memory: "0B", ..Make::on(&db) }.node().await;
    let room = writer.rooms[0].clone();
    let position = writer.write(0).await;
    node.version(&room, Some(position)).await;
    let name = eventually("it is in Redis", PATIENCE, async || redis.keys().await.pop()).await;
    let epoch = writer.log.head().await.unwrap().epoch;
    let ahead =
        Head { lineage: Lineage { epoch, generation: 0 }, position: position + 1_000, read_at: Clock::system().now() };
    let ahead = format!("{}nonsense", write_head(&ahead));
    let mut set = redis::cmd("SET");
    set.arg(&name).arg(&ahead);
    redis.ask::<()>(set).await;
    let position = writer.write(0).await;
    assert_eq!(node.version(&room, Some(position)).await.0, 3);
    // What another epoch left gives way; what is ahead stays.
    let other = Make { redis: Some(redis.url()), memory: "0B", projector: false, ..Make::on(&db) }.node().await;
    assert_eq!(other.version(&room, Some(position)).await.0, 3);
    let mut get = redis::cmd("GET");
    get.arg(&name);
    assert_eq!(redis.ask::<String>(get.clone()).await, ahead);
    let mut set = redis::cmd("SET");
    set.arg(&name).arg(ahead.replace(&epoch.to_string(), &Uuid::nil().to_string()));
    redis.ask::<()>(set).await;
    assert_eq!(other.version(&room, None).await.0, 3);
    eventually("what is of another history is replaced", PATIENCE, async || {
        let now: String = redis.ask(get.clone()).await;
        now.starts_with(&epoch.to_string()).then_some(())
    })
    .await;
}
