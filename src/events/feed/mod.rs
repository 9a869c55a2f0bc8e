//! Feeds: what happens, in the order of the log, for its consumers: streams, read models, caches.
//!
//! A [`EventFeed`] gives every event behind a position once, in position order, without a gap, and waits where there is
//! none yet. It has two implementations, and the configuration says which one a process uses: [`from_log`] reads the
//! log's tail, [`from_topic`] the Kafka topic that the relay fills. Both hold the same promises (`tests/suite/feeds`);
//! the log has the authority, and what the topic lacks is fetched from it.
//!
//! [`window`] keeps the newest events of a feed in memory, for all consumers in the process.

pub mod from_log;
pub mod from_topic;
pub mod window;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rdkafka::ClientConfig;

use super::envelope::Envelope;
use super::log::{EventLog, LogError};
use super::topic::{client, shape};
use crate::config::{Config, FeedFrom};
use crate::ids::Position;
use crate::telemetry::metrics::Metrics;
use from_log::LogFeed;
use from_topic::TopicFeed;
pub use window::EventWindow;

/// Events given at a time.
const PAGE: usize = 1_000;

/// A page of the log takes no longer, where anybody answers.
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);

/// Between attempts while the log's database is away.
const RETRY: Duration = Duration::from_millis(250);

pub trait EventFeed: Send {
    /// What comes behind that which was given last: at least one event, in position order, without a gap. Waits for it.
    ///
    /// May be dropped while it waits without losing any. After an error it may be asked again, and goes on where it was.
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, LogError>>;

    /// What lies up to here need not be given.
    fn skip_to(&mut self, position: Position);
}

/// Where feeds come from.
#[derive(Clone)]
pub struct FeedSource {
    log: EventLog,
    topic: Option<(ClientConfig, String)>,
    metrics: Metrics,
}

impl FeedSource {
    /// As the configuration says.
    pub fn configured(log: EventLog, config: &Config, metrics: Metrics) -> Self {
        let topic = (config.feed == FeedFrom::Kafka).then(|| client::client(&config.kafka)).flatten();
        Self { log, topic: topic.map(|client| (client, shape::events_topic(&config.kafka.prefix))), metrics }
    }

    pub fn log(log: EventLog, metrics: Metrics) -> Self {
        Self { log, topic: None, metrics }
    }

    pub fn topic(log: EventLog, client: ClientConfig, topic: String, metrics: Metrics) -> Self {
        Self { log, topic: Some((client, topic)), metrics }
    }

    /// The log behind it, which knows of what has not come through a feed yet.
    pub fn its_log(&self) -> &EventLog {
        &self.log
    }

    pub fn is_topic(&self) -> bool {
        self.topic.is_some()
    }

    /// What comes behind a position.
    pub fn open(&self, after: Position) -> Box<dyn EventFeed> {
        match &self.topic {
            None => Box::new(LogFeed::new(self.log.clone(), after)),
            Some((client, topic)) => {
                Box::new(TopicFeed::new(self.log.clone(), client.clone(), topic.clone(), after, self.metrics.clone()))
            }
        }
    }
}
