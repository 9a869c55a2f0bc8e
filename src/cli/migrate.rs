//! `convoke migrate`

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::output;
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
    /// For a program: one JSON object, with `migrations` and whether they were `applied`
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let database = context.database().await?;
        let owner = pool::owner(database.options(), &context.config()?.database);
        let result = if self.dry_run { migrate::pending(&owner).await } else { migrate::run(&owner).await };
        pool::close(owner).await;
        database.stop().await;
        let migrations = result?;
        if self.json {
            output::print_json(&json!({ "migrations": migrations, "applied": !self.dry_run }))?;
            return Ok(self.code(&migrations));
        }
        let did = if self.dry_run { "to be applied" } else { "applied" };
        for migration in &migrations {
            output::print_line(format_args!("{did}: {migration}"))?;
        }
        if migrations.is_empty() {
            output::print_line("the schema is up to date")?;
        }
        Ok(self.code(&migrations))
    }

    fn code(&self, migrations: &[String]) -> ExitCode {
        if self.dry_run && !migrations.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}
