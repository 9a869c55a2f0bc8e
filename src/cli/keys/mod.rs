//! `convoke keys …`

mod rewrap;

use std::process::ExitCode;

use clap::Subcommand;

use super::context::CliContext;

/// Manage the keys that encrypt personal fields.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    Rewrap(rewrap::KeysRewrapArgs),
}

impl KeysCommand {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        match self {
            Self::Rewrap(command) => command.run(context).await,
        }
    }
}
