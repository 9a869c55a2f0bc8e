//! `convoke token …`

mod create;
mod key_create;
mod key_list;
mod key_revoke;

use std::process::ExitCode;

use clap::Subcommand;

use super::context::Context;

/// Create tokens, and manage the keys that sign them.
#[derive(Debug, Subcommand)]
pub enum Token {
    Create(create::Create),
    #[command(subcommand)]
    Key(Key),
}

/// Manage the keys that sign tokens: those of the configuration, and those created for one tenant.
#[derive(Debug, Subcommand)]
pub enum Key {
    Create(key_create::KeyCreate),
    List(key_list::KeyList),
    Revoke(key_revoke::KeyRevoke),
}

impl Token {
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Create(command) => command.run(&context),
            Self::Key(Key::Create(command)) => command.run(context).await,
            Self::Key(Key::List(command)) => command.run(context).await,
            Self::Key(Key::Revoke(command)) => command.run(context).await,
        }
    }
}
