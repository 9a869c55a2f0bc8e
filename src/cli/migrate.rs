//! `convoke migrate`

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::context::CliContext;
use super::output;
use crate::database::{migrate, pool};

/// Apply the migrations of this version to the database.
///
/// `convoke serve` does so at its start. Run this before starting servers of a new version, so that the old servers keep
/// serving meanwhile.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  DATABASE_URL=postgres://convoke@db/convoke convoke migrate")]
pub struct MigrateArgs {
    /// Show pending migrations, and change nothing; exit code 1 if there are any
    #[arg(long)]
    dry_run: bool,
    /// For a program: one JSON object, with `migrations` and whether they were `applied`
    #[arg(long)]
    json: bool,
}

impl MigrateArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
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
        let did = if self.dry_run { "pending" } else { "applied" };
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
