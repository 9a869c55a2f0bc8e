//! `convoke projection`: the read models, as an operator sees them.

mod fold;
mod list;
mod rebuild;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;

use super::context::CliContext;

/// List, rebuild and verify the read models.
#[derive(Debug, Subcommand)]
pub enum ProjectionCommand {
    List(list::ProjectionListArgs),
    Rebuild(rebuild::ProjectionRebuildArgs),
    Verify(verify::ProjectionVerifyArgs),
}

impl ProjectionCommand {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(command) => command.run(context).await,
            Self::Rebuild(command) => command.run(context).await,
            Self::Verify(command) => command.run(context).await,
        }
    }
}
