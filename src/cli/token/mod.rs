//! `convoke token …`

mod create;
mod key_create;
mod key_list;
mod key_revoke;

use std::process::ExitCode;

use clap::Subcommand;

use super::context::CliContext;

/// Create tokens, and manage the keys that sign them.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    Create(create::TokenCreateArgs),
    #[command(subcommand)]
    Key(TokenKeyCommand),
}

/// Manage the keys that sign tokens: those of the configuration, and those created for one tenant.
#[derive(Debug, Subcommand)]
pub enum TokenKeyCommand {
    Create(key_create::KeyCreateArgs),
    List(key_list::KeyListArgs),
    Revoke(key_revoke::KeyRevokeArgs),
}

impl TokenCommand {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        match self {
            Self::Create(command) => command.run(&context),
            Self::Key(TokenKeyCommand::Create(command)) => command.run(context).await,
            Self::Key(TokenKeyCommand::List(command)) => command.run(context).await,
            Self::Key(TokenKeyCommand::Revoke(command)) => command.run(context).await,
        }
    }
}
