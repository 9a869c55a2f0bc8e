//! `convoke projection list`

use std::process::ExitCode;

use clap::Args;
use comfy_table::Table;

use crate::cli::context::CliContext;
use crate::cli::{output, table};
use crate::projections::overview::{self, ProjectionStatus, ProjectionView};

/// List the read models with their checkpoints and errors.
///
/// Exit code 1 if one of them has stopped.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  convoke projection list --json")]
pub struct ProjectionListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl ProjectionListArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let views = context.with_database(async |pool| Ok(overview::all(&pool).await?)).await?;
        if self.json {
            output::print_pretty_json(&views)?;
        } else {
            output::print_line(as_table(&views))?;
            for view in &views {
                if let Some(error) = &view.error {
                    output::print_line(format_args!("{} stopped: {error}", view.name))?;
                }
            }
        }
        let stopped = views.iter().any(|view| view.status == ProjectionStatus::Stopped);
        Ok(if stopped { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn as_table(views: &[ProjectionView]) -> Table {
    let header = ["name", "status", "position", "behind", "shape", "generation", "digest", "under way"];
    let mut table = table::table(&header, &[2, 3, 4, 5]);
    for view in views {
        let status = match view.status {
            ProjectionStatus::Running => "running",
            ProjectionStatus::Stopped => "stopped",
        };
        let under_way: Vec<String> =
            view.rebuilds.iter().map(|fold| format!("{} at {} of {}", fold.purpose, fold.position, fold.of)).collect();
        table.add_row([
            view.name.clone(),
            status.to_owned(),
            view.position.to_string(),
            view.lag_events.to_string(),
            view.shape.to_string(),
            view.generation.to_string(),
            view.digest.chars().take(16).collect(),
            under_way.join(", "),
        ]);
    }
    table
}
