//! The partitions of the topic, and a walk over committed records from any offset of each.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::TopicError;
use super::client::{self, PATIENCE};
use super::client_context::{self, LoggingContext};
use super::record::BadRecord;

/// How long a walk continues without a message.
const WALK_TIMEOUT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(200);

/// Offsets of a partition: of its first record, and behind its last committed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetBounds {
    pub low: i64,
    pub high: i64,
}

/// Speaks to the cluster from the thread that calls: for threads that may block.
pub struct TopicPartitions {
    pub consumer: BaseConsumer<LoggingContext>,
    pub topic: String,
    /// By the number of the partition, as they were when asked for last.
    pub bounds: Vec<OffsetBounds>,
}

/// What a walk does after a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkControl {
    On,
    /// No more of this partition.
    Enough,
}

impl TopicPartitions {
    pub fn open(client: &ClientConfig, topic: &str) -> Result<Self, TopicError> {
        Self::over(&client::reader(client), topic)
    }

    /// For looking here and there: little is fetched ahead.
    pub fn open_for_looks(client: &ClientConfig, topic: &str) -> Result<Self, TopicError> {
        let mut reader = client::reader(client);
        reader.set("queued.min.messages", "1").set("fetch.message.max.bytes", "65536");
        Self::over(&reader, topic)
    }

    /// Also records of transactions that were given up.
    pub fn open_for_everything(client: &ClientConfig, topic: &str) -> Result<Self, TopicError> {
        let mut reader = client::reader(client);
        reader.set("isolation.level", "read_uncommitted");
        Self::over(&reader, topic)
    }

    /// For reading all that was committed before. Kafka ends a transaction in one partition after another, also after it told the
    /// writer that the transaction is committed: waits, a bounded time, until those under way have ended everywhere.
    pub fn open_settled(client: &ClientConfig, topic: &str) -> Result<Self, TopicError> {
        let written = Self::open_for_everything(client, topic)?.bounds;
        let mut partitions = Self::open(client, topic)?;
        let until = Instant::now() + PATIENCE;
        let behind =
            |bounds: &[OffsetBounds]| bounds.iter().zip(&written).any(|(ended, written)| ended.high < written.high);
        while behind(&partitions.bounds) && Instant::now() < until {
            std::thread::sleep(POLL);
            partitions.ask()?;
        }
        Ok(partitions)
    }

    fn over(reader: &ClientConfig, topic: &str) -> Result<Self, TopicError> {
        let consumer =
            BaseConsumer::from_config_and_context(reader, LoggingContext::default()).map_err(TopicError::Client)?;
        let mut partitions = Self { consumer, topic: topic.to_owned(), bounds: Vec::new() };
        partitions.ask()?;
        Ok(partitions)
    }

    /// Brings the bounds up to date.
    pub fn ask(&mut self) -> Result<(), TopicError> {
        let metadata = self.consumer.fetch_metadata(Some(&self.topic), PATIENCE).map_err(|error| self.away(error))?;
        let found = metadata.topics().iter().find(|found| found.name() == self.topic);
        let count = found.filter(|found| found.error().is_none()).map_or(0, |found| found.partitions().len());
        if count == 0 {
            return Err(TopicError::Missing(self.topic.clone()));
        }
        let numbers = 0..i32::try_from(count).unwrap_or(i32::MAX);
        let bounds = numbers.map(|number| {
            let (low, high) = self.watermarks(number).map_err(|error| self.away(error))?;
            Ok(OffsetBounds { low, high })
        });
        self.bounds = bounds.collect::<Result<_, TopicError>>()?;
        Ok(())
    }

    /// Just after a topic was made, or a broker has gone, the leader of a partition is not known everywhere.
    fn watermarks(&self, partition: i32) -> Result<(i64, i64), KafkaError> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.consumer.fetch_watermarks(&self.topic, partition, PATIENCE) {
                Err(error)
                    if Instant::now() < until
                        && matches!(
                            error.rdkafka_error_code(),
                            Some(RDKafkaErrorCode::NotLeaderForPartition | RDKafkaErrorCode::LeaderNotAvailable)
                        ) =>
                {
                    std::thread::sleep(POLL / 4);
                }
                found => return found,
            }
        }
    }

    /// Nothing was ever written to it.
    pub fn untouched(&self) -> bool {
        self.bounds.iter().all(|bounds| bounds.high == 0)
    }

    /// Begins to read the partitions that have a start, there.
    pub fn assign(&self, starts: &[Option<i64>]) -> Result<(), TopicError> {
        let mut list = TopicPartitionList::new();
        for (number, start) in (0i32..).zip(starts) {
            if let Some(start) = start {
                list.add_partition_offset(&self.topic, number, Offset::Offset(*start)).map_err(TopicError::Client)?;
            }
        }
        self.consumer.assign(&list).map_err(TopicError::Client)
    }

    /// Visits committed records from the given offsets on, of the partitions that have one, each until the visitor has enough
    /// or to its end. Within a partition in order; between them in any.
    pub fn walk(
        &self,
        starts: &[Option<i64>],
        mut visit: impl FnMut(usize, &BorrowedMessage<'_>) -> Result<WalkControl, BadRecord>,
    ) -> Result<(), TopicError> {
        let empty = |number: usize| self.bounds[number].low >= self.bounds[number].high;
        let mut open: Vec<bool> =
            starts.iter().enumerate().map(|(number, start)| start.is_some() && !empty(number)).collect();
        let wanted: Vec<_> = starts.iter().zip(&open).map(|(start, open)| start.filter(|_| *open)).collect();
        self.assign(&wanted)?;
        let mut heard = Instant::now();
        while open.iter().any(|open| *open) {
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    let number = usize::try_from(message.partition()).unwrap_or(usize::MAX);
                    if open.get(number) != Some(&true) {
                        continue;
                    }
                    let walk = visit(number, &message).map_err(|fault| self.bad(&message, fault))?;
                    open[number] = walk == WalkControl::On;
                }
                Some(Err(KafkaError::PartitionEOF(number))) => {
                    heard = Instant::now();
                    if let Some(open) = usize::try_from(number).ok().and_then(|number| open.get_mut(number)) {
                        *open = false;
                    }
                }
                Some(Err(error)) if !passes(&error) => return Err(self.away(error)),
                Some(Err(_)) | None if heard.elapsed() > WALK_TIMEOUT => {
                    return Err(client_context::silent(&self.consumer, WALK_TIMEOUT));
                }
                Some(Err(_)) | None => {}
            }
        }
        self.assign(&[])
    }

    /// An answer did not come.
    pub fn away(&self, error: KafkaError) -> TopicError {
        client_context::away(&self.consumer, error)
    }

    pub fn bad(&self, message: &BorrowedMessage<'_>, fault: BadRecord) -> TopicError {
        TopicError::BadRecord {
            topic: self.topic.clone(),
            partition: message.partition(),
            offset: message.offset(),
            fault,
        }
    }
}

/// Whether the client recovers by itself from this error.
pub fn passes(error: &KafkaError) -> bool {
    !matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::Fatal
                | RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
        )
    )
}
