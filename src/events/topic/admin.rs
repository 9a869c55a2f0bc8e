//! Makes the topic where it is missing, and compares it with what it is to be like where it is there.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::TopicError;
use super::client::{self, PATIENCE};
use super::client_context::{self, LoggingContext};
use super::shape::TopicShape;

/// How long a topic that was made may take to be seen by the broker that is asked.
const APPEARS_WITHIN: Duration = Duration::from_secs(10);
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// What of a topic is not as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDifference {
    /// `partitions`, `replication`, or the name of a setting.
    pub what: String,
    pub declared: String,
    pub found: String,
}

impl fmt::Display for TopicDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, and is to be {}", self.what, self.found, self.declared)
    }
}

/// How the topic is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicCheck {
    Missing,
    AsDeclared,
    Differs(Vec<TopicDifference>),
}

pub struct TopicAdmin {
    client: AdminClient<DefaultClientContext>,
    /// For looks at topics; unlike the other it tells what it hears of the connection.
    looks: Arc<BaseConsumer<LoggingContext>>,
}

impl TopicAdmin {
    pub fn new(client: &ClientConfig) -> Result<Self, TopicError> {
        let looks = client::reader(client);
        let looks =
            BaseConsumer::from_config_and_context(&looks, LoggingContext::default()).map_err(TopicError::Client)?;
        Ok(Self { client: client.create().map_err(TopicError::Client)?, looks: Arc::new(looks) })
    }

    /// Changes nothing.
    pub async fn check(&self, shape: &TopicShape) -> Result<TopicCheck, TopicError> {
        let Some((partitions, replication)) = self.partitions(&shape.name).await? else {
            return Ok(TopicCheck::Missing);
        };
        let mut differences = Vec::new();
        let mut compare = |what: &str, declared: &str, found: &str| {
            if declared != found {
                let (declared, found) = (declared.to_owned(), found.to_owned());
                differences.push(TopicDifference { what: what.to_owned(), declared, found });
            }
        };
        compare("partitions", &shape.partitions.to_string(), &partitions.to_string());
        if let Some(declared) = shape.replication {
            compare("replication", &declared.to_string(), &replication.to_string());
        }
        let found = self.config(&shape.name).await?;
        for (name, declared) in &shape.config {
            let value = found.iter().find(|(found, _)| found == name).and_then(|(_, value)| value.as_deref());
            compare(name, declared, value.unwrap_or("unknown to the broker"));
        }
        Ok(if differences.is_empty() { TopicCheck::AsDeclared } else { TopicCheck::Differs(differences) })
    }

    /// Makes the topic where it is missing; `true`: it was. Returns when it can be used.
    pub async fn ensure(&self, shape: &TopicShape) -> Result<(bool, TopicCheck), TopicError> {
        let found = self.check(shape).await?;
        if found != TopicCheck::Missing {
            return Ok((false, found));
        }
        let replication = TopicReplication::Fixed(shape.replication.unwrap_or(-1));
        let mut topic = NewTopic::new(&shape.name, shape.partitions, replication);
        for (name, value) in &shape.config {
            topic = topic.set(name, value);
        }
        let made = self
            .client
            .create_topics([&topic], &options())
            .await
            .map_err(|error| client_context::away(&self.looks, error))?;
        for result in made {
            match result {
                // Another process was quicker.
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(client_context::away(&self.looks, KafkaError::AdminOp(code))),
            }
        }
        let appeared = tokio::time::timeout(APPEARS_WITHIN, async {
            loop {
                match self.check(shape).await? {
                    TopicCheck::Missing => tokio::time::sleep(ASK_AGAIN).await,
                    found => return Ok(found),
                }
            }
        });
        appeared.await.unwrap_or(Err(client_context::silent(&self.looks, APPEARS_WITHIN))).map(|found| (true, found))
    }

    /// Number of partitions and copies.
    async fn partitions(&self, topic: &str) -> Result<Option<(usize, usize)>, TopicError> {
        let (looks, name) = (self.looks.clone(), topic.to_owned());
        let asking = move || looks.fetch_metadata(Some(&name), PATIENCE);
        let metadata = match tokio::task::spawn_blocking(asking).await.expect("asking does not panic") {
            Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition)) => return Ok(None),
            other => other.map_err(|error| client_context::away(&self.looks, error))?,
        };
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(None) };
        match found.error().map(RDKafkaErrorCode::from) {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) => return Ok(None),
            Some(code) => return Err(client_context::away(&self.looks, KafkaError::MetadataFetch(code))),
            None => {}
        }
        let partitions = found.partitions();
        if partitions.is_empty() {
            return Ok(None);
        }
        let replication = partitions.iter().map(|partition| partition.replicas().len()).min().unwrap_or(0);
        Ok(Some((partitions.len(), replication)))
    }

    async fn config(&self, topic: &str) -> Result<Vec<(String, Option<String>)>, TopicError> {
        let asked = [ResourceSpecifier::Topic(topic)];
        let found = self
            .client
            .describe_configs(&asked, &options())
            .await
            .map_err(|error| client_context::away(&self.looks, error))?;
        let mut entries = Vec::new();
        for resource in found {
            let resource = resource.map_err(|code| client_context::away(&self.looks, KafkaError::AdminOp(code)))?;
            entries.extend(resource.entries.into_iter().map(|entry| (entry.name, entry.value)));
        }
        Ok(entries)
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}
