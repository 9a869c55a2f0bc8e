//! Readers of streams: each looks for the moments that messages carry, and keeps how long they took.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use aho_corasick::AhoCorasick;
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};
use uuid::Uuid;

use super::writers::{DIGITS, MARK, now};
use crate::fixture::Failure;

/// Streams that are opened at a time.
const AT_ONCE: usize = 50;
const PATIENCE: Duration = Duration::from_secs(60);

struct Counts {
    times: Histogram<u64>,
    last: Instant,
}

pub struct Readers {
    counts: Rc<RefCell<Counts>>,
    /// Ended when they are dropped.
    _tasks: JoinSet<()>,
}

impl Readers {
    /// One stream for each of the rooms; all of them stand when this returns.
    pub async fn open(address: SocketAddr, token: &str, rooms: impl Iterator<Item = Uuid>) -> Result<Self, Failure> {
        let times = Histogram::new_with_max(600_000_000, 3)?;
        let counts = Rc::new(RefCell::new(Counts { times, last: Instant::now() }));
        let mark = AhoCorasick::new([MARK])?;
        let mut tasks = JoinSet::new();
        let rooms: Vec<Uuid> = rooms.collect();
        for some in rooms.chunks(AT_ONCE) {
            let mut opened = Vec::new();
            for room in some {
                opened.push(open(address, token, *room).await?);
            }
            for mut stream in opened {
                begun(&mut stream).await?;
                tasks.spawn_local(read(stream, counts.clone(), mark.clone()));
            }
        }
        Ok(Self { counts, _tasks: tasks })
    }

    pub fn count_anew(&self) {
        self.counts.borrow_mut().times.reset();
    }

    pub fn counted(&self) -> Histogram<u64> {
        self.counts.borrow().times.clone()
    }

    /// Waits until nothing comes any more.
    pub async fn drained(&self) -> Result<(), Failure> {
        let begun = Instant::now();
        while self.counts.borrow().last.elapsed() < Duration::from_secs(1) {
            if begun.elapsed() > PATIENCE {
                return Err("deliveries do not come to an end".into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

async fn open(address: SocketAddr, token: &str, room: Uuid) -> Result<TcpStream, Failure> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET /v1/rooms/{room}/events HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\naccept: \
         text/event-stream\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// The stream stands once it has told where it begins.
async fn begun(stream: &mut TcpStream) -> Result<(), Failure> {
    let mut text = Vec::new();
    while !text.windows(4).any(|bytes| bytes == b"id: ") {
        if stream.read_buf(&mut text).await? == 0 || (text.len() > 12 && &text[9..12] != b"200") {
            return Err(format!("no stream: {}", String::from_utf8_lossy(&text)).into());
        }
    }
    Ok(())
}

async fn read(mut stream: TcpStream, counts: Rc<RefCell<Counts>>, mark: AhoCorasick) {
    let mut buffer: Vec<u8> = Vec::with_capacity(4096);
    while stream.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
        let arrived = now();
        let mut used = buffer.len().saturating_sub(MARK.len() + DIGITS);
        let mut counts = counts.borrow_mut();
        for found in mark.find_iter(&buffer) {
            let Some(digits) = buffer.get(found.end()..found.end() + DIGITS) else {
                used = found.start();
                break;
            };
            let sent = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok());
            if let Some(sent) = sent {
                counts.times.saturating_record(arrived.saturating_sub(sent).max(1));
            }
            used = used.max(found.end() + DIGITS);
        }
        counts.last = Instant::now();
        buffer.drain(..used);
    }
}

/// Runs what uses readers on this thread.
pub async fn on_this_thread<T>(work: impl Future<Output = T>) -> T {
    LocalSet::new().run_until(work).await
}
