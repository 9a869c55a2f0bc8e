//! `convoke partition ensure`

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::cli::context::CliContext;
use crate::cli::output;
use crate::events::log::EventLog;
use crate::events::time::{Clock, Timestamp};

/// Create the missing partitions of the log.
///
/// A server does this by itself. Use the command before an import of history, or if no server ran for a long time.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  convoke partition ensure --from 2012-01-01T00:00:00Z --until 2013-12-31T00:00:00Z")]
pub struct PartitionEnsureArgs {
    /// Begin with the partition of this time [default: now]
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// End with the partition of this time [default: CONVOKE_LOG_PARTITION_RUNWAY from now]
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// For a program: one JSON object, with the names of the created partitions in `made`
    #[arg(long)]
    json: bool,
}

impl PartitionEnsureArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let config = &context.config()?.log;
        let now = Clock::system().now();
        let runway = i64::try_from(config.partition_runway.as_secs())?;
        let from = self.from.unwrap_or(now);
        let until = self.until.unwrap_or_else(|| now.plus_seconds(runway));
        anyhow::ensure!(from <= until, "--from {from} lies after --until {until}");
        let made = context
            .with_database(async |pool| {
                Ok(EventLog::new(pool).ensure_partitions(config.partition_unit, from, until).await?)
            })
            .await?;
        if self.json {
            output::print_json(&json!({ "made": made, "from": from, "until": until }))?;
            return Ok(ExitCode::SUCCESS);
        }
        for name in &made {
            output::print_line(format_args!("created {name}"))?;
        }
        if made.is_empty() {
            output::print_line(format_args!("every partition from {from} to {until} exists"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
