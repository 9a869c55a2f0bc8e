//! `convoke config …`

mod check;

use std::process::ExitCode;

use clap::Subcommand;

pub use check::serving;

/// Check the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    Check(check::ConfigCheckArgs),
}

impl ConfigCommand {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Check(command) => command.run().await,
        }
    }
}
