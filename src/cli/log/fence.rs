//! `convoke log fence`

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde_json::json;

use crate::cli::context::CliContext;
use crate::cli::output;

/// Begin a new epoch of the log, which makes all earlier cursors invalid.
///
/// Use it after a restore or a failover that lost events. Other events will take the lost positions, and a reader with an old
/// cursor would not notice; with an invalid cursor it starts again. Read models that are ahead of the log stop: rebuild them.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  convoke log fence --yes")]
pub struct LogFenceArgs {
    /// Confirm: all readers have to start again
    #[arg(long)]
    yes: bool,
    /// For a program: one JSON object, with the epochs that `ended` and that has `begun`
    #[arg(long)]
    json: bool,
}

impl LogFenceArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        if !self.yes {
            bail!("all readers will have to start again; confirm with --yes");
        }
        let (before, after) = context
            .with_database(async |pool| {
                let log = context.log(pool)?;
                Ok((log.head().await?.epoch, log.fence().await?))
            })
            .await?;
        if self.json {
            output::print_json(&json!({ "ended": before, "begun": after }))?;
            return Ok(ExitCode::SUCCESS);
        }
        output::print_line(format_args!("epoch {before} has ended, {after} has begun"))?;
        Ok(ExitCode::SUCCESS)
    }
}
