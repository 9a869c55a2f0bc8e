//! The topic: the copy of the log in Kafka. [`shape`] and [`admin`] declare it, [`record`] encodes and decodes events, [`reader`]
//! and [`offsets`] read it from any position, and [`end`] finds its end.
//!
//! The log is authoritative: events missing in the topic are in the log, and events beyond the log are an error that stops the
//! relay. Positions increase within a partition, since one relay writes them in order; the events of a room are in one partition.

pub mod admin;
pub mod audit;
pub mod client;
mod client_context;
pub mod end;
pub mod offsets;
pub mod partitions;
pub mod reader;
pub mod record;
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
