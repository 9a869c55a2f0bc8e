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

/// Look after the topic that the log is copied to.
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
        "A topic in use keeps its partitions, for another number would move rooms from one to another: declare what is there \
         (CONVOKE_KAFKA_TOPICS), or let a topic of another prefix be filled anew"
    } else {
        "Change the topic by the tools of Kafka (kafka-configs, kafka-reassign-partitions), or declare what is there \
         (CONVOKE_KAFKA_TOPICS)"
    }
}
