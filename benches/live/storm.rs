//! Many who read rooms at once, each another one, again and again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use hdrhistogram::Histogram;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use super::client::Client;
use crate::fixture::Failure;

/// From one time that all read to the next; those that take longer are followed by the next at the next such time.
const EACH: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub struct Storm {
    pub address: SocketAddr,
    pub token: String,
    pub rooms: Arc<Vec<Uuid>>,
}

pub struct Stormed {
    /// Of reads, in microseconds.
    pub times: Histogram<u64>,
    /// Of all reads of a time, in microseconds.
    pub bursts: Histogram<u64>,
}

impl Stormed {
    pub fn new() -> Result<Self, Failure> {
        let times = Histogram::new_with_bounds(1, 60_000_000, 3)?;
        Ok(Self { bursts: times.clone(), times })
    }

    pub fn add(&mut self, other: &Self) -> Result<(), Failure> {
        self.times.add(&other.times)?;
        self.bursts.add(&other.bursts)?;
        Ok(())
    }
}

impl Storm {
    /// One connection for each of the rooms; all read at the same times.
    pub async fn until(&self, over: impl Fn(usize) -> bool) -> Result<Stormed, Failure> {
        let mut clients = Vec::new();
        for _ in 0..self.rooms.len() {
            clients.push(Client::open(self.address, &self.token).await?);
        }
        let mut stormed = Stormed::new()?;
        let mut ticks = tokio::time::interval(EACH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for burst in 0_usize.. {
            ticks.tick().await;
            if over(burst) {
                break;
            }
            let begun = Instant::now();
            let reads = clients.iter_mut().zip(self.rooms.iter());
            let reads = reads.map(async |(client, room)| {
                client.get(&format!("/v1/rooms/{room}")).await?;
                Ok::<_, Failure>(begun.elapsed())
            });
            for took in try_join_all(reads).await? {
                stormed.times.saturating_record(u64::try_from(took.as_micros())?);
            }
            stormed.bursts.saturating_record(u64::try_from(begun.elapsed().as_micros())?);
        }
        Ok(stormed)
    }

    /// On a thread of its own, so that it does not hold up those who measure something else here.
    pub fn until_told(self, over: Arc<AtomicBool>) -> JoinHandle<Result<Stormed, Failure>> {
        beside(move || async move { self.until(|_| over.load(Ordering::Relaxed)).await })
    }
}

/// Runs something on a thread of its own.
pub fn beside<T, F>(work: impl FnOnce() -> F + Send + 'static) -> JoinHandle<Result<T, Failure>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Failure>>,
{
    tokio::task::spawn_blocking(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work())
    })
}
