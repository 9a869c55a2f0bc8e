//! `convoke kafka ensure`

use std::process::ExitCode;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::output;
use crate::events::topic::admin::Admin;

/// Make the topic where it is missing.
///
/// As kafka/topics.toml or the file of CONVOKE_KAFKA_TOPICS declares it. A topic that is there is compared and never changed:
/// exit code 1 where it differs.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  KAFKA_BROKERS=127.0.0.1:9092 convoke kafka ensure")]
pub struct Ensure {}

impl Ensure {
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let (client, shape) = super::configured(&context)?;
        let (made, found) = Admin::new(&client)?.ensure(&shape).await?;
        if made {
            output::print_line(format_args!("made {}", shape.name))?;
        }
        let (told, code) = super::told(&shape, &found);
        output::print_line(told)?;
        Ok(code)
    }
}
