//! Reads the topic on a thread of its own and returns the events in the order of each partition. It pauses partitions that are
//! far ahead of the position that its consumer waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::TopicPartitionList;
use tokio::sync::mpsc;

use super::partitions::{TopicPartitions, passes};
use super::record::{self, ReadRecord};
use super::{TopicError, offsets};
use crate::ids::Position;

const POLL: Duration = Duration::from_millis(50);
/// Events handed on at a time, and how many such hands may wait.
const BATCH: usize = 1_000;
const WAITING: usize = 8;
/// How far a partition may be ahead of the position that is waited for.
const AHEAD: Position = 50_000;

/// What the thread hands on.
#[derive(Debug)]
pub enum TopicArrival {
    /// Of one partition or several, each in its order.
    Events(Vec<ReadRecord>),
    /// The end of the thread.
    Failed(TopicError),
}

/// The reading end. Dropping it ends the thread.
pub struct TopicReader {
    arrivals: mpsc::Receiver<TopicArrival>,
    shared: Arc<ReaderShared>,
}

struct ReaderShared {
    /// The position that the reader waits for.
    wanted: AtomicU64,
    dropped: AtomicBool,
}

impl TopicReader {
    /// Reads what comes behind a position. Failures come through [`TopicReader::next`].
    pub fn start(client: ClientConfig, topic: String, after: Position) -> Self {
        let (hand, arrivals) = mpsc::channel(WAITING);
        let shared = Arc::new(ReaderShared { wanted: AtomicU64::new(after + 1), dropped: AtomicBool::new(false) });
        let theirs = shared.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = read(&client, &topic, after, &hand, &theirs) {
                // Nobody may be left to be told.
                let _ = hand.blocking_send(TopicArrival::Failed(error));
            }
        });
        Self { arrivals, shared }
    }

    /// What came next. May be dropped while it waits without losing any. `None`: it has ended.
    pub async fn next(&mut self) -> Option<TopicArrival> {
        self.arrivals.recv().await
    }

    pub fn wants(&self, position: Position) {
        self.shared.wanted.store(position, Ordering::Relaxed);
    }
}

impl Drop for TopicReader {
    fn drop(&mut self) {
        self.shared.dropped.store(true, Ordering::Relaxed);
    }
}

fn read(
    client: &ClientConfig,
    topic: &str,
    after: Position,
    hand: &mpsc::Sender<TopicArrival>,
    shared: &ReaderShared,
) -> Result<(), TopicError> {
    let starts = {
        let looks = TopicPartitions::open_for_looks(client, topic)?;
        offsets::behind(&looks, after)?
    };
    let partitions = TopicPartitions::open(client, topic)?;
    partitions.assign(&starts.iter().copied().map(Some).collect::<Vec<_>>())?;
    let mut pace = PartitionPacing::new(&partitions);
    let mut events = Vec::new();
    while !shared.dropped.load(Ordering::Relaxed) {
        // What is at hand goes together; for the first of it one waits.
        let patience = if events.is_empty() { POLL } else { Duration::ZERO };
        match partitions.consumer.poll(patience) {
            Some(Ok(message)) => {
                let read = event(&partitions, &message)?;
                pace.seen(message.partition(), read.event.position);
                events.push(read);
            }
            Some(Err(KafkaError::PartitionEOF(_))) => {}
            Some(Err(error)) if passes(&error) => {}
            Some(Err(error)) => return Err(partitions.away(error)),
            None if events.is_empty() => pace.keep(shared.wanted.load(Ordering::Relaxed))?,
            None => {
                if !give(hand, &mut events) {
                    return Ok(());
                }
            }
        }
        if events.len() >= BATCH {
            if !give(hand, &mut events) {
                return Ok(());
            }
            pace.keep(shared.wanted.load(Ordering::Relaxed))?;
        }
    }
    Ok(())
}

fn event(partitions: &TopicPartitions, message: &BorrowedMessage<'_>) -> Result<ReadRecord, TopicError> {
    record::read(message.headers(), message.payload()).map_err(|fault| partitions.bad(message, fault))
}

/// Waits while the reader has enough; `false`: it is gone.
fn give(hand: &mpsc::Sender<TopicArrival>, events: &mut Vec<ReadRecord>) -> bool {
    hand.blocking_send(TopicArrival::Events(std::mem::take(events))).is_ok()
}

/// Holds partitions back that are too far ahead.
struct PartitionPacing<'a> {
    partitions: &'a TopicPartitions,
    /// By partition: the last position seen, and whether it is held back.
    state: Vec<(Position, bool)>,
}

impl<'a> PartitionPacing<'a> {
    fn new(partitions: &'a TopicPartitions) -> Self {
        Self { partitions, state: vec![(0, false); partitions.bounds.len()] }
    }

    fn seen(&mut self, partition: i32, position: Position) {
        if let Some(state) = usize::try_from(partition).ok().and_then(|number| self.state.get_mut(number)) {
            state.0 = position;
        }
    }

    fn keep(&mut self, wanted: Position) -> Result<(), TopicError> {
        for (number, (position, held)) in (0i32..).zip(&mut self.state) {
            let hold = if *held { *position > wanted + AHEAD / 2 } else { *position > wanted + AHEAD };
            if hold == *held {
                continue;
            }
            let mut list = TopicPartitionList::new();
            list.add_partition(&self.partitions.topic, number);
            let consumer = &self.partitions.consumer;
            if hold { consumer.pause(&list) } else { consumer.resume(&list) }.map_err(TopicError::Client)?;
            *held = hold;
        }
        Ok(())
    }
}
