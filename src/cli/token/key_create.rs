//! `convoke token key create`

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use crate::cli::context::CliContext;
use crate::cli::output;
use crate::events::time::Clock;
use crate::ids::TenantId;
use crate::security::sealing::MasterKeys;
use crate::security::signing_keys::KeyStore;

/// Create a key for a server of one tenant, with which it signs tokens.
///
/// The secret is shown only once; the database stores it encrypted. It signs HS256 as a plain string: do not decode it as
/// base64. Running servers accept the key within seconds.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  convoke token key create --tenant acme --key acme-backend")]
pub struct KeyCreateArgs {
    /// The tenant that the key signs for
    #[arg(long)]
    tenant: TenantId,
    /// Its id, the `kid` of its tokens [default: a random one]
    #[arg(long, value_name = "KID")]
    key: Option<String>,
    /// For a program: one JSON object, with `kid`, `tenant` and `secret`
    #[arg(long)]
    json: bool,
}

impl KeyCreateArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let masters = Arc::new(MasterKeys::configured(&context.config()?.keys)?);
        let taken = context.config()?.keys.signing.iter().find(|key| Some(&key.kid) == self.key.as_ref());
        anyhow::ensure!(taken.is_none(), "the configuration has a key with this id: choose another one");
        let (tenant, kid) = (&self.tenant, self.key.as_deref());
        let made = context
            .with_database(async |pool| {
                Ok(KeyStore::new(pool, masters).create(tenant, kid, Clock::system().now()).await?)
            })
            .await?;
        if self.json {
            output::print_json(&json!({ "kid": made.kid, "tenant": tenant, "secret": *made.secret }))?;
        } else {
            output::print_line(format_args!("key     {}\nsecret  {}", made.kid, *made.secret))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
