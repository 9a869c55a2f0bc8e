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

use super::context::CliContext;

/// Read, verify and repair the log.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    Stat(stat::LogStatArgs),
    Read(read::LogReadArgs),
    Tail(tail::LogTailArgs),
    Verify(verify::LogVerifyArgs),
    RepairNames(repair_names::LogRepairNamesArgs),
    Fence(fence::LogFenceArgs),
}

impl LogCommand {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
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
