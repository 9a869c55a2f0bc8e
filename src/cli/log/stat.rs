//! `convoke log stat`

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use crate::cli::context::CliContext;
use crate::cli::{output, table};
use crate::events::log::EventLog;
use crate::events::log::partition_status::LogSizes;
use crate::events::time::{Clock, Timestamp};
use crate::ids::Position;

/// Show how far the log has come, how far its partitions reach, and how much room it takes.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  convoke log stat --json")]
pub struct LogStatArgs {
    /// For a program: one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct LogStats {
    position: Position,
    recorded_at: Option<Timestamp>,
    epoch: Uuid,
    partitions: usize,
    /// Until when there are partitions without a gap; none: not even now.
    covered_until: Option<Timestamp>,
    #[serde(flatten)]
    sizes: LogSizes,
}

impl LogStatArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let stats = context.with_database(async |pool| read_stats(&context.log(pool)?).await).await?;
        if self.json {
            output::print_json(&stats)?;
        } else {
            let lines: Vec<String> = lines(&stats).iter().map(|(name, value)| format!("{name:18}{value}\n")).collect();
            output::print_text(&lines.concat())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn read_stats(log: &EventLog) -> anyhow::Result<LogStats> {
    let head = log.head().await?;
    Ok(LogStats {
        position: head.position,
        recorded_at: head.recorded_at,
        epoch: head.epoch,
        partitions: log.partitions().await?.len(),
        covered_until: log.covered_until(Clock::system().now()).await?,
        sizes: log.sizes().await?,
    })
}

fn lines(stats: &LogStats) -> Vec<(&'static str, String)> {
    let time = |at: Option<Timestamp>, none: &str| at.map_or_else(|| none.to_owned(), |at| at.to_string());
    let LogStats { position, recorded_at, epoch, partitions, covered_until, sizes } = stats;
    vec![
        ("position", position.to_string()),
        ("recorded at", time(*recorded_at, "- (the log is empty)")),
        ("epoch", epoch.to_string()),
        ("partitions", partitions.to_string()),
        ("covered until", time(*covered_until, "- (run `convoke partition ensure`)")),
        ("log", table::bytes(sizes.log_bytes)),
        ("rooms", format!("{} ({})", sizes.rooms, table::bytes(sizes.room_head_bytes))),
        ("snapshots", format!("{} ({})", sizes.snapshots, table::bytes(sizes.snapshot_bytes))),
        ("stored outcomes", table::bytes(sizes.outcome_bytes)),
    ]
}
