//! `convoke archive …`

mod run;

use std::process::ExitCode;

use clap::Subcommand;

use super::context::CliContext;

/// Move old partitions of the log out of the database into readable archives.
#[derive(Debug, Subcommand)]
pub enum ArchiveCommand {
    Run(run::ArchiveRunArgs),
}

impl ArchiveCommand {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        match self {
            Self::Run(command) => command.run(context).await,
        }
    }
}
