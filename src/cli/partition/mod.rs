//! `convoke partition …`

mod ensure;
mod list;

use std::process::ExitCode;

use clap::Subcommand;

use super::context::Context;

/// List and create partitions of the log.
#[derive(Debug, Subcommand)]
pub enum Partition {
    List(list::List),
    Ensure(ensure::Ensure),
}

impl Partition {
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(command) => command.run(context).await,
            Self::Ensure(command) => command.run(context).await,
        }
    }
}
