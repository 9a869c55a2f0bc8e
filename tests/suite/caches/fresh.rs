//! A million reads of two nodes under a hammering writer, while Redis is slow, away, and restored from an old dump by turns: each
//! says what the log says at the position that it claims, and none is older than its reader may get.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::nodes::{Make, Node, Writer, version_at};
use crate::harness::{Redis, TestDb, Wire};
use crate::projections::Dice;

const ROOMS: usize = 24;
const READS: u64 = 1_000_000;
const READERS: usize = 8;

/// Between two writes: each makes the read model move for whoever asks for it.
const PACE: Duration = Duration::from_millis(4);

/// How long Redis is in one state.
const STATE: Duration = Duration::from_secs(2);

/// The whole takes about a minute on two cores.
const TOO_LONG: Duration = Duration::from_secs(240);

/// Each reader's share of the reads.
const SHARE: u64 = READS / READERS as u64;

/// Reads of a reader between two turns of the others: a read out of memory waits for nothing.
const TURN: u64 = 50;

/// A read: room, position claimed, version seen.
type Read = (usize, u64, u64);

struct Reader {
    node: Arc<Node>,
    rooms: Arc<Vec<convoke::events::log::RoomKey>>,
    history: Arc<Vec<std::sync::Mutex<Vec<u64>>>>,
    dice: Dice,
}

impl Reader {
    /// Shows the newest position of the room now and then, and none otherwise.
    async fn run(mut self) -> Vec<Read> {
        let mut reads = Vec::new();
        for number in 0..SHARE {
            if number % TURN == 0 {
                tokio::task::yield_now().await;
            }
            let room = self.dice.roll(self.rooms.len());
            let written = *self.history[room].lock().unwrap().last().unwrap();
            let wanted = (self.dice.roll(4) == 0).then_some(written);
            let (version, at) = self.node.version(&self.rooms[room], wanted).await;
            assert!(wanted.is_none_or(|wanted| at >= wanted), "room {room}: wanted {wanted:?}, got {at}");
            reads.push((room, at, version));
        }
        reads
    }
}

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
    let mut writer = Writer::of(&db, ROOMS).await;
    let wire = Wire::to_redis(&redis).await;
    let first = Arc::new(Make { redis: Some(wire.url.clone()), ..Make::on(&db) }.node().await);
    let second = Make { redis: Some(wire.url.clone()), projector: false, ..Make::on(&db) };
    let second = Arc::new(second.node().await);
    let (rooms, history) = (Arc::new(writer.rooms.clone()), writer.history.clone());
    let done = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let readers: Vec<_> = (0..READERS)
        .map(|number| {
            let node = if number % 2 == 0 { first.clone() } else { second.clone() };
            let dice = Dice::new(number as u64);
            let (rooms, history) = (rooms.clone(), history.clone());
            tokio::spawn(Reader { node, rooms, history, dice }.run())
        })
        .collect();
    let over = done.clone();
    let writing = tokio::spawn(async move {
        let mut dice = Dice::new(99);
        let mut written = 0u64;
        while !over.load(Ordering::Relaxed) {
            // One room is hot, the others change now and then.
            let room = if dice.roll(3) == 0 { dice.roll(ROOMS) } else { 0 };
            writer.write(room).await;
            written += 1;
            tokio::time::sleep(PACE).await;
        }
        written
    });
    let reading = async {
        let mut reads = Vec::new();
        for reader in readers {
            reads.extend(tokio::time::timeout(TOO_LONG, reader).await.expect("the readers end").unwrap());
        }
        done.store(true, Ordering::Relaxed);
        reads
    };
    let (reads, rounds) = tokio::join!(reading, trouble(redis, wire, done.clone()));
    let written = writing.await.unwrap();
    assert_eq!(reads.len() as u64, READS);
    let history: Vec<_> = history.iter().map(|history| history.lock().unwrap().clone()).collect();
    let wrong = reads.iter().filter(|(room, at, version)| version_at(&history[*room], *at) != *version);
    let wrong: Vec<_> = wrong.take(5).collect();
    let (one, two) = (first.stats().await, second.stats().await);
    println!(
        "{READS} reads in {:.1} s beside {written} writes, {rounds} times all that Redis may be: without the database {:.3} and {:.3}; {one:?} {two:?}",
        begun.elapsed().as_secs_f64(),
        one.hit_rate,
        two.hit_rate
    );
    assert!(wrong.is_empty(), "not what the log says: {wrong:?}");
    assert!(written > 1_000, "{written} writes are no hammering");
    assert!(rounds > 0);
    assert!(one.memory.hits > 0 && two.memory.hits > 0 && one.memory.outdated > 0);
    let from_redis = one.redis.unwrap().layer.hits + two.redis.unwrap().layer.hits;
    assert!(from_redis > 0, "the nodes share what they load");
}
