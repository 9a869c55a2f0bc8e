//! `convoke log …`

mod fence;
mod stat;

use std::process::ExitCode;

use clap::Subcommand;

use super::context::Context;

/// Look at the log, and guard it.
#[derive(Debug, Subcommand)]
pub enum Log {
    Stat(stat::Stat),
    Fence(fence::Fence),
}

impl Log {
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Stat(command) => command.run(context).await,
            Self::Fence(command) => command.run(context).await,
        }
    }
}
