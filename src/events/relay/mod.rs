//! The relay: copies the log to the topic. A reader of committed records gets each event once, in the order of its room, whatever
//! process is killed. For the reasons of its design see `docs/decisions/0002-the-relay.md`.
//!
//! One process at a time runs the relay of a log, under a lease ([`crate::database::lease`]) and a constant transactional id, by
//! which Kafka rejects an older relay. A session of the relay creates or checks the topic, takes the transactional id (which
//! aborts a predecessor's transaction), finds the end of the topic (`resume`), and then copies page by page, one transaction each
//! ([`publisher`]). Every failure ends the session, and the next session finds the end of the topic again. No event is skipped.

mod copy;
pub mod personal;
mod progress;
pub mod publisher;
mod resume;
mod status;

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use tokio_util::sync::CancellationToken;

use super::feed::EventWindow;
use super::log::{EventLog, LogError};
use super::topic::admin::{TopicAdmin, TopicCheck};
use super::topic::end::TopicEnd;
use super::topic::partitions::TopicPartitions;
use super::topic::shape::{BadTopicShape, TopicShape};
use super::topic::{TopicError, client, shape};
use crate::config::KafkaConfig;
use crate::database::lease::{Lease, pause};
use crate::database::timeout::with_timeout;
use crate::resilience::fault_injection::FaultInjector;
use crate::resilience::{Backoff, Breaker, Delays};
use crate::telemetry::metrics::Metrics;
use copy::CopySession;
use personal::PersonalPolicy;
use progress::RelayProgress;
pub use progress::relayed;
use publisher::{PublishError, TopicPublisher};
use resume::{ResumePoint, ResumeRefusal};
pub use status::{RelayState, RelayStatus};

/// Between attempts while Kafka or the database is away.
const RETRY: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
/// Between looks at what only an operator can mend.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// The database answers what little the relay asks of it sooner.
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a session of the relay ended.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    #[error("{0}")]
    Refused(#[from] ResumeRefusal),
    #[error(transparent)]
    Shape(#[from] BadTopicShape),
    #[error("the topic {topic} is not as it is declared: {}", summary(differences))]
    Differs { topic: String, differences: Vec<super::topic::admin::TopicDifference> },
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("personal fields cannot be opened: {0}")]
    Personal(String),
    #[error("another process has become the relay")]
    Replaced,
    #[error("a new epoch of the log has begun")]
    NewEpoch,
}

fn summary(differences: &[super::topic::admin::TopicDifference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl From<sqlx::Error> for RelayError {
    fn from(error: sqlx::Error) -> Self {
        Self::Log(error.into())
    }
}

pub struct Relay {
    log: EventLog,
    config: KafkaConfig,
    client: ClientConfig,
    personal: Arc<PersonalPolicy>,
    status: RelayStatus,
    metrics: Metrics,
    breaker: Breaker,
    faults: Arc<FaultInjector>,
    /// The newest events, if this process follows the log itself.
    window: Option<EventWindow>,
}

impl Relay {
    /// `None`: no Kafka is configured.
    pub fn new(
        log: EventLog,
        config: &KafkaConfig,
        personal: PersonalPolicy,
        metrics: Metrics,
        breaker: Breaker,
        faults: FaultInjector,
    ) -> Option<Self> {
        Some(Self {
            log,
            client: client::client(config)?,
            config: config.clone(),
            personal: Arc::new(personal),
            status: RelayStatus::default(),
            metrics,
            breaker,
            faults: Arc::new(faults),
            window: None,
        })
    }

    /// Takes the newest events from this window, which must follow the log and not the topic.
    pub fn reading_from(self, window: EventWindow) -> Self {
        Self { window: Some(window), ..self }
    }

    pub fn status(&self) -> RelayStatus {
        self.status.clone()
    }

    fn topic(&self) -> String {
        shape::events_topic(&self.config.prefix)
    }

    /// Is the relay whenever it can be, until told to stop. Rides out a lost database and a lost Kafka.
    pub async fn run(self, stop: CancellationToken) {
        let mut waits = RETRY.delays();
        while !stop.is_cancelled() {
            let name = format!("relay:{}", self.topic());
            let lease = match with_timeout(QUERY_TIMEOUT, Lease::take(self.log.pool(), &name, self.config.lease)).await
            {
                Ok(Some(lease)) => lease,
                Ok(None) => {
                    self.status.set(RelayState::Waiting);
                    self.metrics.relaying(false);
                    if !pause(self.config.lease / 3, &stop).await {
                        return;
                    }
                    continue;
                }
                Err(error) => {
                    self.end(&RelayError::from(error));
                    if !waits.pause(&stop).await {
                        return;
                    }
                    continue;
                }
            };
            let halt = stop.run_until_cancelled(self.session(&lease, &mut waits)).await;
            let again = halt.map(|halt| self.end(&halt));
            // Who comes next need not wait for the lease to run out.
            if let Err(error) = with_timeout(QUERY_TIMEOUT, lease.release()).await {
                tracing::debug!(%error, "release of the relay's lease failed; it expires by itself");
            }
            let Some(again) = again else { return };
            let go_on = match again {
                RetryWhen::Soon => waits.pause(&stop).await,
                RetryWhen::WhenMended => pause(LOOK_AGAIN, &stop).await,
            };
            if !go_on {
                return;
            }
        }
    }

    /// One session under a lease; returns the reason of its end.
    async fn session(&self, lease: &Lease, waits: &mut Delays) -> RelayError {
        let permit = match self.breaker.admit() {
            Ok(permit) => permit,
            Err(refused) => return RelayError::Topic(TopicError::Silent { after: refused.after, said: None }),
        };
        let begun = lease.during(self.begin(lease)).await.unwrap_or(Err(RelayError::Replaced));
        let copy = match begun {
            Ok(copy) => {
                permit.succeeded();
                waits.reset();
                copy
            }
            Err(halt @ (RelayError::Topic(_) | RelayError::Publish(_))) => {
                permit.failed();
                return halt;
            }
            Err(halt) => return halt,
        };
        copy.run().await
    }

    /// Prepares a session, up to the first copied event.
    async fn begin(&self, lease: &Lease) -> Result<CopySession<'_>, RelayError> {
        let shape = shape::events(&self.config)?;
        self.make_sure(&shape).await?;
        let (client, id) = (self.client.clone(), format!("{}.relay", self.config.prefix));
        let (topic, faults) = (shape.name.clone(), self.faults.clone());
        let publisher = tokio::task::spawn_blocking(move || TopicPublisher::start(&client, &topic, &id, faults));
        let publisher = Arc::new(publisher.await.expect("starting a producer does not panic")?);
        let (client, topic) = (self.client.clone(), shape.name.clone());
        let end = move || TopicEnd::look(TopicPartitions::open_for_looks(&client, &topic)?);
        let end = tokio::task::spawn_blocking(end).await.expect("looking does not panic")?;
        let head = with_timeout(QUERY_TIMEOUT, self.log.head()).await?;
        let known = with_timeout(QUERY_TIMEOUT, relayed(self.log.pool(), &shape.name)).await?;
        let ResumePoint { after, why } = resume::find(&self.log, &head, known, end).await?;
        let progress = with_timeout(
            QUERY_TIMEOUT,
            RelayProgress::claim(self.log.pool(), &shape.name, lease.fence, after, head.epoch),
        )
        .await?;
        let progress = progress.ok_or(RelayError::Replaced)?;
        tracing::info!(topic = shape.name, after, head = head.position, "the relay started, {why}");
        Ok(CopySession {
            log: &self.log,
            window: self.window.as_ref(),
            lease: lease.clone(),
            publisher,
            personal: self.personal.clone(),
            progress,
            epoch: head.epoch,
            batch: self.config.batch,
            status: &self.status,
            metrics: &self.metrics,
            faults: &self.faults,
        })
    }

    async fn make_sure(&self, shape: &TopicShape) -> Result<(), RelayError> {
        let (made, found) = TopicAdmin::new(&self.client)?.ensure(shape).await?;
        if made {
            tracing::info!(topic = shape.name, partitions = shape.partitions, "created the topic");
        }
        match found {
            TopicCheck::AsDeclared => Ok(()),
            TopicCheck::Missing => Err(TopicError::Missing(shape.name.clone()).into()),
            TopicCheck::Differs(differences) => Err(RelayError::Differs { topic: shape.name.clone(), differences }),
        }
    }

    /// Logs the end of a session, once for consecutive ends of one kind.
    fn end(&self, halt: &RelayError) -> RetryWhen {
        self.metrics.relaying(false);
        let (state, again) = match halt {
            RelayError::Refused(_) | RelayError::Differs { .. } | RelayError::Shape(_) => {
                (RelayState::Refused { why: halt.to_string() }, RetryWhen::WhenMended)
            }
            RelayError::Replaced | RelayError::Publish(PublishError::Fenced(_) | PublishError::LeaseOver) => {
                (RelayState::Waiting, RetryWhen::Soon)
            }
            RelayError::NewEpoch => (RelayState::Beginning, RetryWhen::Soon),
            _ => (RelayState::Away { why: halt.to_string() }, RetryWhen::Soon),
        };
        if self.status.set(state.clone()) {
            match state {
                RelayState::Refused { why } => {
                    tracing::error!(topic = self.topic(), why, "the relay stopped and needs an operator")
                }
                RelayState::Away { why } => tracing::warn!(topic = self.topic(), why, "the relay failed, retrying"),
                _ => {
                    tracing::warn!(topic = self.topic(), why = %halt, "a session of the relay ended, starting another")
                }
            }
        }
        again
    }
}

enum RetryWhen {
    Soon,
    /// Once somebody has done something about it.
    WhenMended,
}
