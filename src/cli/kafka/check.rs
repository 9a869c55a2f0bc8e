//! `convoke kafka check`

use std::process::ExitCode;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::output;
use crate::events::topic::admin::Admin;

/// Compare the topic with its declaration.
///
/// Compares partitions, replication and settings with kafka/topics.toml or the file in CONVOKE_KAFKA_TOPICS. Changes nothing.
/// Exit code 1 if the topic is missing or differs.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  KAFKA_BROKERS=127.0.0.1:9092 convoke kafka check")]
pub struct Check {}

impl Check {
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let (client, shape) = super::configured(&context)?;
        let found = Admin::new(&client)?.check(&shape).await?;
        let (told, code) = super::told(&shape, &found);
        output::print_line(told)?;
        Ok(code)
    }
}
