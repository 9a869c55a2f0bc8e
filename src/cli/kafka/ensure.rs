//! `convoke kafka ensure`

use std::process::ExitCode;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::output;
use crate::events::topic::admin::Admin;

/// Create the topic if it is missing.
///
/// Creates it as kafka/topics.toml or the file in CONVOKE_KAFKA_TOPICS declares it. Compares an existing topic and never
/// changes it: exit code 1 if it differs.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  KAFKA_BROKERS=127.0.0.1:9092 convoke kafka ensure")]
pub struct Ensure {}

impl Ensure {
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let (client, shape) = super::configured(&context)?;
        let (made, found) = Admin::new(&client)?.ensure(&shape).await?;
        if made {
            output::print_line(format_args!("created {}", shape.name))?;
        }
        let (told, code) = super::told(&shape, &found);
        output::print_line(told)?;
        Ok(code)
    }
}
