//! Collects the Kafka library's own log messages. Its calls often end in a time-out, and the reason (a refused password, an
//! untrusted certificate, an unknown name) appears only in its log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::TopicError;

/// What was said longer ago is not why an answer is missing now.
const STILL_OF_USE: Duration = Duration::from_secs(30);

/// What the library calls its words on a connection that failed.
const FAILURE: &str = "FAIL";

/// Nobody who has an error to tell listens for longer.
const HEARING: Duration = Duration::from_millis(100);

/// The context of a client.
#[derive(Default)]
pub struct Said(Mutex<Option<(Instant, String)>>);

/// An answer did not come, or not the one that was hoped for: with what was said, where that is about the connection.
pub fn away(client: &BaseConsumer<Said>, error: KafkaError) -> TopicError {
    let said = if is_of_the_connection(&error) { hear(client).lately() } else { None };
    TopicError::Away { error, said }
}

/// Nothing was heard for so long.
pub fn silent(client: &BaseConsumer<Said>, after: Duration) -> TopicError {
    TopicError::Silent { after, said: hear(client).lately() }
}

/// The library tells its context when it is polled. Whoever calls this gives up what it would have read.
fn hear(client: &BaseConsumer<Said>) -> &Said {
    let until = Instant::now() + HEARING;
    while Instant::now() < until && client.poll(Duration::ZERO).is_some() {}
    client.context()
}

impl Said {
    fn say(&self, text: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), plain(text).to_owned()));
    }

    fn lately(&self) -> Option<String> {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.as_ref().filter(|(at, _)| at.elapsed() < STILL_OF_USE).map(|(_, text)| text.clone())
    }
}

fn is_of_the_connection(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::MessageTimedOut
                | Code::Resolve
                | Code::SSL
                | Code::Authentication
                | Code::SaslAuthenticationFailed
        )
    )
}

impl ClientContext for Said {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, text: &str) {
        tracing::debug!(facility, text, "message from the Kafka client");
        if facility == FAILURE {
            self.say(text);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "message from the Kafka client");
        // That all are down is what everybody sees; why they are was said before.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            self.say(reason);
        }
    }
}

impl ConsumerContext for Said {}

/// Without the name of the library's thread.
fn plain(text: &str) -> &str {
    text.strip_prefix("[thrd:").and_then(|rest| rest.split_once("]: ")).map_or(text, |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_of_the_connection_is_told_lately_and_without_the_name_of_a_thread() {
        let said = Said::default();
        assert_eq!(said.lately(), None);
        let text = "[thrd:kafka:9092/bootstrap]: kafka:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed";
        said.log(RDKafkaLogLevel::Error, FAILURE, text);
        said.log(RDKafkaLogLevel::Error, "METADATA", "[thrd:main]: of no interest");
        said.error(KafkaError::Global(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
        assert_eq!(said.lately().as_deref(), Some("kafka:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed"));
    }

    #[test]
    fn an_answer_that_came_says_nothing_of_the_connection() {
        assert!(is_of_the_connection(&KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure)));
        assert!(!is_of_the_connection(&KafkaError::AdminOp(RDKafkaErrorCode::PolicyViolation)));
    }
}
