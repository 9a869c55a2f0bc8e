//! `convoke token key revoke`

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use crate::cli::context::CliContext;
use crate::cli::output;
use crate::events::time::Clock;
use crate::security::sealing::MasterKeys;
use crate::security::signing_keys::KeyStore;

/// Revoke a key, of the database or of the configuration, for good.
///
/// Running servers refuse its tokens within seconds. The id cannot be used again.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  convoke token key revoke acme-backend")]
pub struct KeyRevokeArgs {
    /// The id of the key, the `kid` of its tokens
    #[arg(value_name = "KID")]
    key: String,
}

impl KeyRevokeArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let masters = Arc::new(MasterKeys::configured(&context.config()?.keys)?);
        let kid = &self.key;
        let revoked = context
            .with_database(async |pool| Ok(KeyStore::new(pool, masters).revoke(kid, Clock::system().now()).await?))
            .await?;
        output::print_line(if revoked { "revoked" } else { "the key was revoked before" })?;
        Ok(ExitCode::SUCCESS)
    }
}
