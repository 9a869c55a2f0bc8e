//! The transactional producer: records in, one transaction, out. Its calls block; they run on threads for that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};

use crate::config::FaultPoint;
use crate::events::topic::record::TopicRecord;
use crate::resilience::fault_injection::FaultInjector;

/// Taking the transactional id, one transaction: each is done within this time, or Kafka is away.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between looks at what is on its way.
const LOOK: Duration = Duration::from_micros(500);
/// Between attempts at what the client says may be tried again.
const RETRY: Duration = Duration::from_millis(50);

#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Kafka has given the transactional id to a newer relay.
    #[error("Kafka refuses this relay, for a newer one has its transactional id: {0}")]
    Fenced(String),
    /// Nothing was committed, and nobody was asked to.
    #[error("the lease of this relay ran out before its transaction was whole")]
    LeaseOver,
    #[error("the transaction failed: {0}")]
    Failed(#[source] KafkaError),
    #[error("the Kafka client cannot be made: {0}")]
    Client(#[source] KafkaError),
}

impl From<KafkaError> for PublishError {
    fn from(error: KafkaError) -> Self {
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced | RDKafkaErrorCode::InvalidProducerEpoch,
            ) => Self::Fenced(error.to_string()),
            _ => Self::Failed(error),
        }
    }
}

pub struct TopicPublisher {
    /// Taken when it is dropped.
    producer: Option<ThreadedProducer<DefaultProducerContext>>,
    topic: String,
    faults: Arc<FaultInjector>,
}

impl TopicPublisher {
    /// Takes the transactional id: what its last holder left open is ended, and what it sends from now on refused.
    pub fn start(
        client: &ClientConfig,
        topic: &str,
        transactional_id: &str,
        faults: Arc<FaultInjector>,
    ) -> Result<Self, PublishError> {
        let mut config = client.clone();
        config
            .set("transactional.id", transactional_id)
            .set("transaction.timeout.ms", (2 * PATIENCE).as_millis().to_string())
            // As Java's clients do it: who joins the topic with another one of theirs finds equal keys in equal partitions.
            .set("partitioner", "murmur2_random")
            .set("compression.type", "lz4")
            // A transaction is sent at once; what is sent while others are on their way is packed together.
            .set("linger.ms", "0")
            .set("queue.buffering.max.messages", "200000");
        let producer: ThreadedProducer<DefaultProducerContext> = config.create().map_err(PublishError::Client)?;
        let publisher = Self { producer: Some(producer), topic: topic.to_owned(), faults };
        // Just after a start of the broker its coordinator may still be loading.
        publisher.repeated(|producer, patience| producer.init_transactions(patience))?;
        Ok(publisher)
    }

    fn producer(&self) -> &ThreadedProducer<DefaultProducerContext> {
        self.producer.as_ref().expect("it is taken when it is dropped")
    }

    fn repeated(
        &self,
        call: impl Fn(&ThreadedProducer<DefaultProducerContext>, Duration) -> Result<(), KafkaError>,
    ) -> Result<(), PublishError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match call(self.producer(), left) {
                Err(KafkaError::Transaction(error)) if error.is_retriable() && !left.is_zero() => {
                    std::thread::sleep(RETRY);
                }
                ended => return Ok(ended?),
            }
        }
    }

    /// All records in one transaction, committed. After an error nobody knows what became of it: only the topic's end tells.
    pub fn publish(&self, records: Vec<TopicRecord>, still_ours: impl Fn() -> bool) -> Result<(), PublishError> {
        let producer = self.producer();
        producer.begin_transaction()?;
        self.faults.pass(FaultPoint::BeforeSend);
        for record in records {
            self.send(record)?;
        }
        self.faults.pass(FaultPoint::AfterSend);
        if !still_ours() {
            return Err(PublishError::LeaseOver);
        }
        self.faults.pass(FaultPoint::BeforeCommit);
        await_deliveries(producer)?;
        self.repeated(|producer, patience| producer.commit_transaction(patience))?;
        self.faults.pass(FaultPoint::AfterCommit);
        Ok(())
    }

    fn send(&self, record: TopicRecord) -> Result<(), PublishError> {
        let until = Instant::now() + PATIENCE;
        let mut next = BaseRecord::to(&self.topic).key(&record.key).payload(record.value.get()).headers(record.headers);
        loop {
            match self.producer().send(next) {
                Ok(()) => return Ok(()),
                Err((error, back)) => {
                    let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
                    if !full || Instant::now() > until {
                        return Err(error.into());
                    }
                    next = back;
                    std::thread::sleep(RETRY / 10);
                }
            }
        }
    }
}

/// Waits until the broker has taken what was sent. A commit does so too, but looks every 100 ms only.
pub fn await_deliveries(producer: &ThreadedProducer<DefaultProducerContext>) -> Result<(), KafkaError> {
    let until = Instant::now() + PATIENCE;
    loop {
        match producer.flush(Duration::ZERO) {
            Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut)) if Instant::now() < until => {
                producer.poll(LOOK);
            }
            ended => return ended,
        }
    }
}

/// Ending a client can take its time, or not end: nobody waits for it.
impl Drop for TopicPublisher {
    fn drop(&mut self) {
        let producer = self.producer.take();
        // Without a thread to spare it ends here.
        let _ = std::thread::Builder::new().name("kafka-end".into()).spawn(move || drop(producer));
    }
}
