//! `convoke partition …`

mod ensure;
mod list;

use std::process::ExitCode;

use clap::Subcommand;

use super::context::CliContext;

/// List and create partitions of the log.
#[derive(Debug, Subcommand)]
pub enum PartitionCommand {
    List(list::PartitionListArgs),
    Ensure(ensure::PartitionEnsureArgs),
}

impl PartitionCommand {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(command) => command.run(context).await,
            Self::Ensure(command) => command.run(context).await,
        }
    }
}
