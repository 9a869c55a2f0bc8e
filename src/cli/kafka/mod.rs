//! `convoke kafka …`

mod audit;
mod check;
mod ensure;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use rdkafka::ClientConfig;

use super::context::CliContext;
use crate::config::settings;
use crate::events::topic::admin::{TopicCheck, TopicDifference};
use crate::events::topic::client;
use crate::events::topic::shape::{self, TopicShape};

/// Create, check and audit the topic to which the relay copies the log.
#[derive(Debug, Subcommand)]
pub enum KafkaCommand {
    Ensure(ensure::KafkaEnsureArgs),
    Check(check::KafkaCheckArgs),
    Audit(audit::KafkaAuditArgs),
}

impl KafkaCommand {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        match self {
            Self::Ensure(command) => command.run(context).await,
            Self::Check(command) => command.run(context).await,
            Self::Audit(command) => command.run(context).await,
        }
    }
}

/// Who is asked, and what the topic is to be like.
pub(super) fn configured(context: &CliContext) -> anyhow::Result<(ClientConfig, TopicShape)> {
    let config = &context.config()?.kafka;
    let client = client::client(config).with_context(|| {
        format!("no Kafka is configured; set {}, such as 127.0.0.1:9092", settings::KAFKA_BROKERS.name)
    })?;
    Ok((client, shape::events(config)?))
}

/// How the topic is, in a few lines; a topic that is not as declared is a failure.
fn summary(shape: &TopicShape, found: &TopicCheck) -> (String, ExitCode) {
    let name = &shape.name;
    match found {
        TopicCheck::AsDeclared => {
            (format!("{name} is as declared: {} partitions", shape.partitions), ExitCode::SUCCESS)
        }
        TopicCheck::Missing => (format!("there is no topic {name}; run `convoke kafka ensure`"), ExitCode::FAILURE),
        TopicCheck::Differs(differences) => {
            let lines: Vec<String> = differences.iter().map(|difference| format!("  {difference}\n")).collect();
            let remedy = remedy(differences);
            (format!("{name} is not as declared:\n{}{remedy}", lines.concat()), ExitCode::FAILURE)
        }
    }
}

fn remedy(differences: &[TopicDifference]) -> &'static str {
    if differences.iter().any(|difference| difference.what == "partitions") {
        "The number of partitions of a topic in use cannot change, because rooms would move between partitions: declare the present \
         number (CONVOKE_KAFKA_TOPICS), or set another prefix to fill a new topic"
    } else {
        "Change the topic with Kafka's tools (kafka-configs, kafka-reassign-partitions), or declare its present settings \
         (CONVOKE_KAFKA_TOPICS)"
    }
}
