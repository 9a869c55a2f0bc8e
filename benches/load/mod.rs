//! A load of commands over HTTP/1.1: connections that are kept, each with one request on its way at a time (a closed loop),
//! every request with an idempotency key of its own, every answer read and timed. The commands are `raise-hand` and
//! `lower-hand` in turn, of one person for each connection: each writes one event, and no state grows.
//!
//! The client is bare on purpose: it shares the machine with what it measures.

mod client;
mod report;
mod work;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use client::Connection;
pub use report::Report;
use work::Worker;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Where it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rooms {
    /// Each connection has so many of its own.
    Each(usize),
    /// All connections share one.
    OneHot,
}

#[derive(Clone, Debug)]
pub struct Load {
    pub address: SocketAddr,
    /// With the grants `room_create` and `room_admin`.
    pub token: String,
    pub connections: usize,
    pub rooms: Rooms,
    /// Sent, but not counted.
    pub warm_up: Duration,
    pub measure: Duration,
}

/// What one connection saw, or all of them together.
struct Seen {
    /// Microseconds.
    times: Histogram<u64>,
    /// Answers that were not a success, with the first body of each.
    failed: BTreeMap<u16, (u64, String)>,
}

impl Seen {
    fn new() -> Self {
        // Up to a minute, three digits.
        let times = Histogram::new_with_bounds(1, 60_000_000, 3).expect("these bounds are valid");
        Self { times, failed: BTreeMap::new() }
    }

    fn note(&mut self, status: u16, body: &[u8], took: Duration) {
        self.times.saturating_record(took.as_micros() as u64);
        if !(200..300).contains(&status) {
            self.failed.entry(status).or_insert_with(|| (0, String::from_utf8_lossy(body).into_owned())).0 += 1;
        }
    }

    fn add(&mut self, other: Seen) {
        self.times.add(other.times).expect("the bounds are the same");
        for (status, (count, body)) in other.failed {
            self.failed.entry(status).or_insert((0, body)).0 += count;
        }
    }
}

impl Load {
    /// Makes the rooms and the people in them, sends, and tells.
    pub async fn run(&self) -> Result<Report, Failure> {
        let ready = Arc::new(Barrier::new(self.connections));
        let mut connections = JoinSet::new();
        let hot = work::new_room();
        for number in 0..self.connections {
            let (load, ready) = (self.clone(), Arc::clone(&ready));
            connections.spawn(async move { load.one_connection(number, hot, &ready).await });
        }
        let mut seen = Seen::new();
        while let Some(ended) = connections.join_next().await {
            seen.add(ended??);
        }
        Ok(Report::new(self, seen))
    }

    async fn one_connection(&self, number: usize, hot: uuid::Uuid, ready: &Barrier) -> Result<Seen, Failure> {
        let mut connection = Connection::open(self.address).await?;
        let mut worker = Worker::new(self, number, hot);
        // Everybody in the hot room waits until the first connection has made it.
        if self.rooms == Rooms::OneHot {
            if number == 0 {
                worker.make_rooms(&mut connection).await?;
            }
            ready.wait().await;
        } else {
            worker.make_rooms(&mut connection).await?;
        }
        worker.join_rooms(&mut connection).await?;
        ready.wait().await;

        let mut seen = Seen::new();
        let begin = Instant::now() + self.warm_up;
        let end = begin + self.measure;
        loop {
            let sent = Instant::now();
            let status = connection.exchange(worker.next()).await?;
            let now = Instant::now();
            if now > end {
                return Ok(seen);
            }
            if sent >= begin {
                seen.note(status, connection.body(), now - sent);
            }
        }
    }
}
