//! `convoke kafka ensure`

use std::process::ExitCode;

use clap::Args;

use crate::cli::context::CliContext;
use crate::cli::output;
use crate::events::topic::admin::TopicAdmin;

/// Create the topic if it is missing.
///
/// Creates it as kafka/topics.toml or the file in CONVOKE_KAFKA_TOPICS declares it. Compares an existing topic and never
/// changes it: exit code 1 if it differs.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  KAFKA_BROKERS=127.0.0.1:9092 convoke kafka ensure")]
pub struct KafkaEnsureArgs {}

impl KafkaEnsureArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let (client, shape) = super::configured(&context)?;
        let (made, found) = TopicAdmin::new(&client)?.ensure(&shape).await?;
        if made {
            output::print_line(format_args!("created {}", shape.name))?;
        }
        let (summary, code) = super::summary(&shape, &found);
        output::print_line(summary)?;
        Ok(code)
    }
}
