//! `convoke log stat`

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use crate::cli::context::Context;
use crate::cli::{output, table};
use crate::events::log::EventLog;
use crate::events::log::runway::Sizes;
use crate::events::time::{Clock, Timestamp};
use crate::ids::Position;

/// Show how far the log has come, how far its partitions reach, and how much room it takes.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  convoke log stat --json")]
pub struct Stat {
    /// For a program: one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Facts {
    position: Position,
    recorded_at: Option<Timestamp>,
    epoch: Uuid,
    partitions: usize,
    /// Until when there are partitions without a gap; none: not even now.
    covered_until: Option<Timestamp>,
    #[serde(flatten)]
    sizes: Sizes,
}

impl Stat {
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let facts = context.with_database(async |pool| facts(&context.log(pool)?).await).await?;
        if self.json {
            output::print_json(&facts)?;
        } else {
            let lines: Vec<String> = lines(&facts).iter().map(|(name, value)| format!("{name:18}{value}\n")).collect();
            output::print_text(&lines.concat())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn facts(log: &EventLog) -> anyhow::Result<Facts> {
    let head = log.head().await?;
    Ok(Facts {
        position: head.position,
        recorded_at: head.recorded_at,
        epoch: head.epoch,
        partitions: log.partitions().await?.len(),
        covered_until: log.covered_until(Clock::system().now()).await?,
        sizes: log.sizes().await?,
    })
}

fn lines(facts: &Facts) -> Vec<(&'static str, String)> {
    let time = |at: Option<Timestamp>, none: &str| at.map_or_else(|| none.to_owned(), |at| at.to_string());
    let Facts { position, recorded_at, epoch, partitions, covered_until, sizes } = facts;
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
