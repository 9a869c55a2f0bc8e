//! `convoke kafka check`

use std::process::ExitCode;

use clap::Args;

use crate::cli::context::CliContext;
use crate::cli::output;
use crate::events::topic::admin::TopicAdmin;

/// Compare the topic with its declaration.
///
/// Compares partitions, replication and settings with kafka/topics.toml or the file in CONVOKE_KAFKA_TOPICS. Changes nothing.
/// Exit code 1 if the topic is missing or differs.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  KAFKA_BROKERS=127.0.0.1:9092 convoke kafka check")]
pub struct KafkaCheckArgs {}

impl KafkaCheckArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let (client, shape) = super::configured(&context)?;
        let found = TopicAdmin::new(&client)?.check(&shape).await?;
        let (summary, code) = super::summary(&shape, &found);
        output::print_line(summary)?;
        Ok(code)
    }
}
