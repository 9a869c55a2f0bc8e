//! What the Kafka library says beside its answers. Those often end in a time-out whose reason (a refused password, a certificate
//! that nobody trusts, a name that nobody knows) goes only to the library's own log.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::TopicError;

/// What was said longer ago is not why an answer is missing now.
const STILL_OF_USE: Duration = Duration::from_secs(30);

/// What the library calls its words on a connection that failed.
const FAILURE: &str = "FAIL";

/// The context of a client; its clones share what was said.
#[derive(Clone, Default)]
pub struct Said(Arc<Mutex<Option<(Instant, String)>>>);

impl Said {
    /// An answer did not come, or not the one that was hoped for: with what was said, where that is about the connection.
    pub fn away(&self, error: KafkaError) -> TopicError {
        let said = if is_of_the_connection(&error) { self.lately() } else { None };
        TopicError::Away { error, said }
    }

    /// Nothing was heard for so long.
    pub fn silent(&self, after: Duration) -> TopicError {
        TopicError::Silent { after, said: self.lately() }
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
        tracing::debug!(facility, text, "the Kafka client says");
        if facility == FAILURE {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), plain(text).to_owned()));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "the Kafka client says");
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
    fn a_missing_answer_is_told_with_what_the_library_said_of_it() {
        let (said, away) = (Said::default(), || KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure));
        assert_eq!(said.away(away()).to_string(), format!("Kafka does not answer: {}", away()));
        let text = "[thrd:kafka:9092/bootstrap]: kafka:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed";
        said.clone().log(RDKafkaLogLevel::Error, FAILURE, text);
        said.log(RDKafkaLogLevel::Error, "METADATA", "[thrd:main]: of no interest");
        for told in [said.away(away()), said.silent(Duration::from_secs(1))] {
            let told = told.to_string();
            assert!(told.ends_with("(kafka:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed)"), "{told}");
        }
        let refused = said.away(KafkaError::AdminOp(RDKafkaErrorCode::PolicyViolation)).to_string();
        assert!(!refused.contains("Connect"), "an answer came: {refused}");
    }
}
