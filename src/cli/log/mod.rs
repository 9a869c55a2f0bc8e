//! `convoke log …`

mod fence;
mod read;
mod repair_names;
mod selection;
mod stat;
mod tail;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;

use super::context::Context;

/// Read, verify and repair the log.
#[derive(Debug, Subcommand)]
pub enum Log {
    Stat(stat::Stat),
    Read(read::Read),
    Tail(tail::Tail),
    Verify(verify::Verify),
    RepairNames(repair_names::RepairNames),
    Fence(fence::Fence),
}

impl Log {
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Stat(command) => command.run(context).await,
            Self::Read(command) => command.run(context).await,
            Self::Tail(command) => command.run(context).await,
            Self::Verify(command) => command.run(context).await,
            Self::RepairNames(command) => command.run(context).await,
            Self::Fence(command) => command.run(context).await,
        }
    }
}
