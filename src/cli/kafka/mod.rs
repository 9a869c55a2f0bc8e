//! `convoke kafka …`

mod audit;
mod check;
mod ensure;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use rdkafka::ClientConfig;

use super::context::Context;
use crate::config::settings;
use crate::events::topic::admin::{Checked, Difference};
use crate::events::topic::client;
use crate::events::topic::shape::{self, Shape};

/// Create, check and audit the topic to which the relay copies the log.
#[derive(Debug, Subcommand)]
pub enum Kafka {
    Ensure(ensure::Ensure),
    Check(check::Check),
    Audit(audit::Audit),
}

impl Kafka {
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Ensure(command) => command.run(context).await,
            Self::Check(command) => command.run(context).await,
            Self::Audit(command) => command.run(context).await,
        }
    }
}

/// Who is asked, and what the topic is to be like.
pub(super) fn configured(context: &Context) -> anyhow::Result<(ClientConfig, Shape)> {
    let config = &context.config()?.kafka;
    let client = client::client(config).with_context(|| {
        format!("no Kafka is configured; set {}, such as 127.0.0.1:9092", settings::KAFKA_BROKERS.name)
    })?;
    Ok((client, shape::events(config)?))
}

/// How the topic is, in a few lines; a topic that is not as declared is a failure.
fn told(shape: &Shape, found: &Checked) -> (String, ExitCode) {
    let name = &shape.name;
    match found {
        Checked::AsDeclared => (format!("{name} is as declared: {} partitions", shape.partitions), ExitCode::SUCCESS),
        Checked::Missing => (format!("there is no topic {name}; run `convoke kafka ensure`"), ExitCode::FAILURE),
        Checked::Differs(differences) => {
            let lines: Vec<String> = differences.iter().map(|difference| format!("  {difference}\n")).collect();
            let remedy = remedy(differences);
            (format!("{name} is not as declared:\n{}{remedy}", lines.concat()), ExitCode::FAILURE)
        }
    }
}

fn remedy(differences: &[Difference]) -> &'static str {
    if differences.iter().any(|difference| difference.what == "partitions") {
        "The number of partitions of a topic in use cannot change, because rooms would move between partitions: declare the present \
         number (CONVOKE_KAFKA_TOPICS), or set another prefix to fill a new topic"
    } else {
        "Change the topic with Kafka's tools (kafka-configs, kafka-reassign-partitions), or declare its present settings \
         (CONVOKE_KAFKA_TOPICS)"
    }
}
