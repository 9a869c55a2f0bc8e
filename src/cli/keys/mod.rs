//! `convoke keys …`

mod rewrap;

use std::process::ExitCode;

use clap::Subcommand;

use super::context::Context;

/// Manage the keys that encrypt personal fields.
#[derive(Debug, Subcommand)]
pub enum Keys {
    Rewrap(rewrap::Rewrap),
}

impl Keys {
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Rewrap(command) => command.run(context).await,
        }
    }
}
