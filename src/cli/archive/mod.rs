//! `convoke archive …`

mod run;

use std::process::ExitCode;

use clap::Subcommand;

use super::context::Context;

/// Move old partitions of the log out of the database into readable archives.
#[derive(Debug, Subcommand)]
pub enum Archive {
    Run(run::Run),
}

impl Archive {
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Run(command) => command.run(context).await,
        }
    }
}
