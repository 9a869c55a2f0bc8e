//! `convoke migrate`

use std::process::ExitCode;

use clap::Args;

use super::context::Context;
use crate::database::{migrate, pool};

/// Bring the database to this version's schema.
///
/// `convoke serve` does this too at its start. Before the servers of a new version are started, one run of this lets the
/// old ones serve on.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  DATABASE_URL=postgres://convoke@db/convoke convoke migrate")]
pub struct Migrate {
    /// Only tell what would be done; exit code 1 where that is something
    #[arg(long)]
    dry_run: bool,
}

impl Migrate {
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let database = context.database().await?;
        let owner = pool::owner(database.options(), &context.config()?.database);
        let result = if self.dry_run { migrate::pending(&owner).await } else { migrate::run(&owner).await };
        owner.close().await;
        database.stop().await;
        let migrations = result?;
        let did = if self.dry_run { "to be applied" } else { "applied" };
        for migration in &migrations {
            println!("{did}: {migration}");
        }
        if migrations.is_empty() {
            println!("the schema is up to date");
        }
        Ok(if self.dry_run && !migrations.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
