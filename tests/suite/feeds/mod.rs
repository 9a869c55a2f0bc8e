//! What every feed must hold, asked through the port alone: of the log's tail and of the Kafka topic. And what only the topic
//! can do wrong.

mod promises;
mod topic;

use convoke::database::pool;
use convoke::events::feed::{EventFeed, FeedSource};
use convoke::events::log::EventLog;
use convoke::events::relay::Relay;
use convoke::events::relay::personal::PersonalPolicy;
use convoke::events::topic::{client, shape};
use convoke::resilience::fault_injection::FaultInjector;
use convoke::resilience::{Backoff, BreakerPolicy, Breakers};
use convoke::telemetry::metrics::Metrics;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::harness::kafka::{Broker, prefix};
use crate::harness::{TestDb, database_config, follow_head};

/// No feed takes longer to give what is there.
const PATIENCE: Duration = Duration::from_secs(30);

/// A log of its own, and feeds of it.
pub trait Fixture: Sized + Send + Sync {
    async fn start() -> Self;
    fn log(&self) -> &EventLog;
    fn source(&self) -> FeedSource;
}

struct OfLog {
    db: TestDb,
    log: EventLog,
    stop: CancellationToken,
    _stopped_in_the_end: DropGuard,
}

impl OfLog {
    fn of(db: TestDb) -> Self {
        let (log, stop) = (EventLog::new(db.system.clone()), CancellationToken::new());
        tokio::spawn(follow_head(log.clone(), stop.clone()));
        Self { db, log, _stopped_in_the_end: stop.clone().drop_guard(), stop }
    }
}

/// The log as a process that appends nothing has it.
fn reader(db: &TestDb, stop: &CancellationToken) -> EventLog {
    let log = EventLog::new(pool::system(db.options.clone(), &database_config()));
    tokio::spawn(follow_head(log.clone(), stop.clone()));
    log
}

impl Fixture for OfLog {
    async fn start() -> Self {
        Self::of(TestDb::new().await)
    }

    fn log(&self) -> &EventLog {
        &self.log
    }

    fn source(&self) -> FeedSource {
        let log = reader(&self.db, &self.stop);
        FeedSource::log(log, Metrics::new())
    }
}

/// With a relay that fills the topic.
struct OfTopic {
    fixture: OfLog,
    address: String,
    prefix: String,
    metrics: Metrics,
}

impl OfTopic {
    async fn on(broker: &Broker) -> Self {
        let (fixture, prefix) = (OfLog::start().await, prefix());
        let of = Self { fixture, address: broker.address.clone(), prefix, metrics: Metrics::new() };
        let stop = of.fixture.stop.clone();
        let relay = of.relay(&broker.config(&of.prefix), &stop, PersonalPolicy::Sealed);
        tokio::spawn(relay.run(stop));
        of
    }

    fn relay(
        &self,
        config: &convoke::config::KafkaConfig,
        stop: &CancellationToken,
        personal: PersonalPolicy,
    ) -> Relay {
        let policy = BreakerPolicy {
            failures: 3,
            window: Duration::from_secs(60),
            open: Backoff::new(Duration::from_millis(100), Duration::from_millis(500)),
            trials: 1,
        };
        let breaker = Breakers::new(Metrics::new()).around("kafka", policy);
        let log = reader(&self.fixture.db, stop);
        Relay::new(log, config, personal, Metrics::new(), breaker, FaultInjector::new(None)).unwrap()
    }

    fn topic(&self) -> String {
        shape::events_topic(&self.prefix)
    }
}

impl Fixture for OfTopic {
    async fn start() -> Self {
        Self::on(Broker::shared().await).await
    }

    fn log(&self) -> &EventLog {
        &self.fixture.log
    }

    fn source(&self) -> FeedSource {
        let environment = [("KAFKA_BROKERS".to_owned(), self.address.clone())].into();
        let config = convoke::config::Config::from_environment(&environment).unwrap();
        let client = client::client(&config.kafka).unwrap();
        let log = reader(&self.fixture.db, &self.fixture.stop);
        FeedSource::topic(log, client, self.topic(), self.metrics.clone())
    }
}

/// A module of tests for a ground.
macro_rules! conforms {
    ($name:ident, $fixture:ty: $($promise:ident,)*) => {
        mod $name {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    super::promises::$promise(<$fixture as super::Fixture>::start().await).await;
                }
            )*
        }
    };
}

macro_rules! all_promises {
    ($name:ident, $fixture:ty) => {
        conforms!($name, $fixture:
            every_event_comes_once_in_order_and_as_it_was_written,
            a_feed_begins_right_behind_any_position,
            what_is_appended_comes_to_who_waits_for_it,
            a_feed_that_is_dropped_while_it_waits_loses_nothing,
            what_is_skipped_does_not_come,
            many_writers_make_one_order_for_all_who_follow,
        );
    };
}

all_promises!(log, super::OfLog);
all_promises!(kafka, super::OfTopic);

/// The positions of the next events, up to and with one of them.
async fn positions(feed: &mut dyn EventFeed, through: u64) -> Vec<u64> {
    let mut found = Vec::new();
    while found.last().is_none_or(|last| *last < through) {
        let page = tokio::time::timeout(PATIENCE, feed.next()).await.expect("what is there comes").unwrap();
        found.extend(page.iter().map(|event| event.position));
    }
    found
}
