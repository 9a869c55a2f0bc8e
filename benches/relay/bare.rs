//! librdkafka alone: records that are ready in memory, in transactions.

use std::time::{Duration, Instant};

use convoke::config::{Config, KafkaConfig};
use convoke::events::log::EventLog;
use convoke::events::relay::publisher::await_deliveries;
use convoke::events::topic::admin::TopicAdmin;
use convoke::events::topic::record::{PersonalPart, TopicRecord};
use convoke::events::topic::shape;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use sqlx::PgPool;

use crate::fixture::{Failure, Kafka};

const PATIENCE: Duration = Duration::from_secs(60);

/// Settings under a prefix.
pub fn config(kafka: &Kafka, prefix: &str) -> Result<KafkaConfig, Failure> {
    let settings = [("KAFKA_BROKERS", kafka.brokers.as_str()), ("CONVOKE_KAFKA_PREFIX", prefix)];
    let environment = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Ok(Config::from_environment(&environment)?.kafka)
}

pub struct Bare {
    producer: ThreadedProducer<DefaultProducerContext>,
    pub topic: String,
}

impl Bare {
    pub async fn start(kafka: &Kafka, prefix: &str) -> Result<Self, Failure> {
        let shape = shape::events(&config(kafka, prefix)?)?;
        let mut client = kafka.client();
        TopicAdmin::new(&client)?.ensure(&shape).await?;
        client
            .set("transactional.id", format!("{prefix}.bare"))
            .set("partitioner", "murmur2_random")
            .set("compression.type", "lz4")
            .set("linger.ms", "0")
            .set("queue.buffering.max.messages", "200000");
        let producer: ThreadedProducer<DefaultProducerContext> = client.create()?;
        producer.init_transactions(PATIENCE)?;
        Ok(Self { producer, topic: shape.name })
    }

    /// Records a second.
    pub fn send(&self, records: Vec<TopicRecord>, batch: usize) -> Result<f64, Failure> {
        let count = records.len();
        let begun = Instant::now();
        let mut records = records.into_iter().peekable();
        while records.peek().is_some() {
            self.transaction(records.by_ref().take(batch))?;
        }
        Ok(count as f64 / begun.elapsed().as_secs_f64())
    }

    pub fn transaction(&self, records: impl Iterator<Item = TopicRecord>) -> Result<(), Failure> {
        self.producer.begin_transaction()?;
        for record in records {
            let record_to = BaseRecord::to(&self.topic).key(&record.key).payload(record.value.get());
            self.producer.send(record_to.headers(record.headers)).map_err(|(error, _)| error)?;
        }
        await_deliveries(&self.producer)?;
        self.producer.commit_transaction(PATIENCE)?;
        Ok(())
    }
}

/// The log's first events as records.
pub async fn records(owner: &PgPool, count: u32) -> Result<Vec<TopicRecord>, Failure> {
    let log = EventLog::new(owner.clone().into());
    let epoch = log.head().await?.epoch.to_string();
    let mut records: Vec<TopicRecord> = Vec::new();
    while records.len() < count as usize {
        let after = records.last().map_or(0, |last| last.position);
        let page = log.read(after, 10_000.min(count as usize - records.len())).await?;
        if page.is_empty() {
            return Err("the log ends before".into());
        }
        records.extend(page.iter().map(|event| TopicRecord::of(event, &epoch, &PersonalPart::Sealed)));
    }
    Ok(records)
}
