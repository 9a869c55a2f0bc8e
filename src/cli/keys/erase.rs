//! `convoke keys erase`

use std::process::ExitCode;

use clap::Args;

use crate::cli::context::Context;
use crate::events::ids::{Identity, TenantId};
use crate::security::sealing::{MasterKeys, Sealer};

/// Erase a person: what is personal about them reads as erased from now on, everywhere, for good.
///
/// Deletes the key that their names, messages and metadata are encrypted under. What happened stays in the log. Running
/// servers forget the key at once, and after a minute at the latest. Copies of the database still have the key, encrypted:
/// docs/security.md says what to do about them.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  convoke keys erase --tenant acme --identity alice --yes")]
pub struct Erase {
    /// Whose person it is
    #[arg(long)]
    tenant: TenantId,
    /// Who, as tokens name them (`sub`)
    #[arg(long)]
    identity: Identity,
    /// It cannot be taken back: say so
    #[arg(long, required = true)]
    yes: bool,
}

impl Erase {
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let masters = MasterKeys::configured(&context.config()?.keys)?;
        let (tenant, identity) = (&self.tenant, &self.identity);
        let erased =
            context.with_database(async |pool| Ok(Sealer::new(pool, masters).erase(tenant, identity).await?)).await?;
        println!("{}", if erased { "erased" } else { "nothing personal was kept of them" });
        Ok(ExitCode::SUCCESS)
    }
}
