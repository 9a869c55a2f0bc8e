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
mod said;
pub mod shape;

use rdkafka::error::KafkaError;

/// Why the topic did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    #[error("Kafka does not answer: {error}{}", in_brackets(said.as_deref()))]
    Away {
        #[source]
        error: KafkaError,
        /// What the client said of the connection, where that is known.
        said: Option<String>,
    },
    #[error("Kafka does not answer within {after:?}{}", in_brackets(said.as_deref()))]
    Silent { after: std::time::Duration, said: Option<String> },
    #[error("the Kafka client cannot be made: {0}")]
    Client(#[source] KafkaError),
    #[error("there is no topic {0}; run `convoke kafka ensure`")]
    Missing(String),
    #[error("partition {partition}, offset {offset} of {topic} holds no record of this program: {fault}")]
    BadRecord { topic: String, partition: i32, offset: i64, fault: record::BadRecord },
}

fn in_brackets(said: Option<&str>) -> String {
    said.map(|said| format!(" ({said})")).unwrap_or_default()
}
