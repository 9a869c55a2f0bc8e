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
const MAX_AGE: Duration = Duration::from_secs(30);

/// What the library calls its words on a connection that failed.
const FAILURE: &str = "FAIL";

/// Nobody who has an error to tell listens for longer.
const LOG_POLL: Duration = Duration::from_millis(100);

/// The context of a client.
#[derive(Default)]
pub struct LoggingContext(Mutex<Option<(Instant, String)>>);

/// An answer did not come, or not the one that was hoped for: with what was said, where that is about the connection.
pub fn away(client: &BaseConsumer<LoggingContext>, error: KafkaError) -> TopicError {
    let said = if is_of_the_connection(&error) { poll_log(client).lately() } else { None };
    TopicError::Away { error, said }
}

/// No answer came for so long.
pub fn silent(client: &BaseConsumer<LoggingContext>, after: Duration) -> TopicError {
    TopicError::Silent { after, said: poll_log(client).lately() }
}

/// The library tells its context when it is polled. Whoever calls this gives up what it would have read.
fn poll_log(client: &BaseConsumer<LoggingContext>) -> &LoggingContext {
    let until = Instant::now() + LOG_POLL;
    while Instant::now() < until && client.poll(Duration::ZERO).is_some() {}
    client.context()
}

impl LoggingContext {
    fn say(&self, text: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), plain(text).to_owned()));
    }

    fn lately(&self) -> Option<String> {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.as_ref().filter(|(at, _)| at.elapsed() < MAX_AGE).map(|(_, text)| text.clone())
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

impl ClientContext for LoggingContext {
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

impl ConsumerContext for LoggingContext {}

/// Without the name of the library's thread.
fn plain(text: &str) -> &str {
    text.strip_prefix("[thrd:").and_then(|rest| rest.split_once("]: ")).map_or(text, |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_of_the_connection_is_told_lately_and_without_the_name_of_a_thread() {
        let said = LoggingContext::default();
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
