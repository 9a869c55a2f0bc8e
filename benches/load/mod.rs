//! A load over HTTP/1.1: connections that are kept, each with one request on its way at a time (a closed loop), every answer
//! read and timed. Commands are `raise-hand` and `lower-hand` in turn, of one person for each connection, each with an
//! idempotency key of its own: each writes one event, and no state grows.
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
use uuid::Uuid;

pub use client::Connection;
pub use report::Report;
use work::Worker;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What is sent.
#[derive(Clone, Debug)]
pub enum Work {
    /// Commands; each connection has so many rooms of its own.
    RoomsEach(usize),
    /// Commands to one room.
    HotRoom(Uuid),
    /// `GET` of these paths in turn, each connection from another one on.
    Get(Arc<Vec<String>>),
}

/// How long.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// So long; what is sent in `warm_up` before it is not counted.
    Time { warm_up: Duration, measure: Duration },
    /// So many requests of each connection.
    Requests(usize),
}

#[derive(Clone, Debug)]
pub struct Load {
    pub address: SocketAddr,
    /// With every grant.
    pub token: String,
    pub connections: usize,
    pub work: Work,
    pub until: Until,
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
        // One more for whoever takes the time.
        let ready = Arc::new(Barrier::new(self.connections + 1));
        let mut connections = JoinSet::new();
        for number in 0..self.connections {
            let (load, ready) = (self.clone(), Arc::clone(&ready));
            connections.spawn(async move { load.one_connection(number, &ready).await });
        }
        let mut seen = Seen::new();
        let begun = tokio::select! {
            // First, for connections that have nothing to send end as soon as all are ready.
            biased;
            _ = ready.wait() => Instant::now(),
            // Nobody ends well before all are ready.
            Some(ended) = connections.join_next() => return Err(ended?.err().unwrap_or_else(|| "ended early".into())),
        };
        while let Some(ended) = connections.join_next().await {
            seen.add(ended??);
        }
        let took = match self.until {
            Until::Time { measure, .. } => measure,
            Until::Requests(_) => begun.elapsed(),
        };
        Ok(Report::new(self.connections, took, &seen))
    }

    async fn one_connection(&self, number: usize, ready: &Barrier) -> Result<Seen, Failure> {
        let mut connection = Connection::open(self.address).await?;
        let mut worker = Worker::new(self, number);
        worker.enter(&mut connection).await?;
        ready.wait().await;
        let (begin, end, most) = match self.until {
            Until::Time { warm_up, measure } => {
                let begin = Instant::now() + warm_up;
                (begin, Some(begin + measure), usize::MAX)
            }
            Until::Requests(most) => (Instant::now(), None, most),
        };
        let mut seen = Seen::new();
        for _ in 0..most {
            let sent = Instant::now();
            let status = connection.exchange(worker.next()).await?;
            let now = Instant::now();
            if end.is_some_and(|end| now > end) {
                break;
            }
            if sent >= begin {
                seen.note(status, connection.body(), now - sent);
            }
        }
        Ok(seen)
    }
}

/// Makes a room.
pub async fn make_room(address: SocketAddr, token: &str) -> Result<Uuid, Failure> {
    let load =
        Load { address, token: token.to_owned(), connections: 1, work: Work::RoomsEach(1), until: Until::Requests(0) };
    let mut worker = Worker::new(&load, 0);
    worker.make_rooms(&mut Connection::open(address).await?).await?;
    worker.rooms.first().copied().ok_or_else(|| "a room was made".into())
}
