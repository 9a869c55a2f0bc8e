//! `convoke partition list`

use std::process::ExitCode;

use clap::Args;

use crate::cli::context::CliContext;
use crate::cli::{output, table};
use crate::events::log::EventLog;
use crate::events::log::partition_status::Partition;

/// List the partitions of the log with their times, events and sizes.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  convoke partition list --json")]
pub struct PartitionListArgs {
    /// For a program: a JSON array
    #[arg(long)]
    json: bool,
}

impl PartitionListArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let partitions = context.with_database(async |pool| Ok(EventLog::new(pool).partitions().await?)).await?;
        if self.json {
            output::print_json(&partitions)?;
        } else {
            output::print_line(as_table(&partitions))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn as_table(partitions: &[Partition]) -> comfy_table::Table {
    let mut table =
        table::table(&["partition", "from", "to", "first position", "events", "size", "archive"], &[3, 4, 5]);
    for partition in partitions {
        let first = partition.first_position.map_or_else(|| "-".into(), |position| position.to_string());
        let day = |at: crate::events::time::Timestamp| at.utc().format("%Y-%m-%d %H:%M").to_string();
        table.add_row([
            partition.name.clone(),
            day(partition.from),
            day(partition.to),
            first,
            partition.events.to_string(),
            table::bytes(partition.bytes),
            partition.archive.clone().unwrap_or_else(|| "-".into()),
        ]);
    }
    table
}
