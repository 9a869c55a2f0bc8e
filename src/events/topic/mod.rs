//! The topic: the log as it stands in Kafka. What it is to be like ([`shape`], [`admin`]), how an event is written as a
//! record and read back ([`record`]), how it is read from any position ([`reader`], [`places`]) and where it ends ([`end`]).
//!
//! The log has the authority: what the topic lacks is in the log, what it holds beyond the log is an error that stops the
//! relay. Positions rise within a partition, since one relay writes them in order; a room's events are in one partition.

pub mod admin;
pub mod audit;
pub mod client;
pub mod end;
pub mod partitions;
pub mod places;
pub mod reader;
pub mod record;
pub mod shape;

use rdkafka::error::KafkaError;

/// Why the topic did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    #[error("Kafka does not answer: {0}")]
    Away(#[source] KafkaError),
    #[error("Kafka does not answer within {0:?}")]
    Silent(std::time::Duration),
    #[error("the Kafka client cannot be made: {0}")]
    Client(#[source] KafkaError),
    #[error("there is no topic {0}; run `convoke kafka ensure`")]
    Missing(String),
    #[error("partition {partition}, offset {offset} of {topic} holds no record of this program: {fault}")]
    BadRecord { topic: String, partition: i32, offset: i64, fault: record::BadRecord },
}
