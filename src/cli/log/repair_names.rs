//! `convoke log repair-names`

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use crate::cli::context::CliContext;
use crate::cli::output::{print_json, print_line, print_text};
use crate::cli::progress::WorkProgress;
use crate::commands::execute::{CommandRequest, Executor, ExecutorLimits, ExecutorServices};
use crate::commands::room::RoomCommand;
use crate::database::pool::Pool;
use crate::events::log::names::{NameRepair, NameTwins};
use crate::events::time::Clock;
use crate::ids::{RoomId, RoomKey};
use crate::security::sealing::{MasterKeys, Sealer};
use crate::telemetry::metrics::Metrics;

/// Under which this command's events stand in the log: `system:names`.
const ACTOR: &str = "names";

/// Rebuild the table of room names from the events.
///
/// The table decides which room may take a name. Use this command if `convoke log verify` reports that the table contradicts
/// the events. The command lists rooms that share a name and have not ended; the one that was created first keeps the name.
/// Exit code 1 if such rooms are left.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  convoke log repair-names --dry-run\n  convoke log repair-names --end-twins")]
pub struct LogRepairNamesArgs {
    /// Show what would change, and change nothing
    #[arg(long, conflicts_with = "end_twins")]
    dry_run: bool,
    /// End the rooms whose name an older open room has
    #[arg(long)]
    end_twins: bool,
    /// For a program: one JSON object
    #[arg(long)]
    json: bool,
}

impl LogRepairNamesArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let done = context
            .with_owner(async |owner, pool| {
                let log = context.log(pool.clone())?;
                let mut progress = WorkProgress::new("repair-names", "events", None);
                let step = |done, total| {
                    progress.set_total(total);
                    progress.set(done);
                    !context.stop.is_cancelled()
                };
                let repaired = log.repair_names(&owner, !self.dry_run, step).await?;
                progress.finish();
                let ended = match &repaired {
                    Some(repaired) if self.end_twins => end(&context, pool, &repaired.twins).await?,
                    _ => 0,
                };
                Ok(repaired.map(|repaired| (repaired, ended)))
            })
            .await?;
        let Some((repaired, ended)) = done else {
            print_line("interrupted: nothing was changed")?;
            return Ok(ExitCode::FAILURE);
        };
        if self.json {
            print_json(&as_json(&repaired, ended))?;
        } else {
            print_text(&self.text(&repaired, ended))?;
        }
        let left = !repaired.twins.is_empty() && !self.end_twins;
        Ok(if left { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn text(&self, repaired: &NameRepair, ended: usize) -> String {
        let NameRepair { names, set, removed, twins } = repaired;
        let verb = if self.dry_run { "are to be" } else { "were" };
        let mut text = format!("{names} names: {set} {verb} set, {removed} {verb} removed\n");
        for NameTwins { tenant, name, rooms } in twins {
            let list: Vec<String> = rooms.iter().map(RoomId::to_string).collect();
            let count = rooms.len();
            text += &format!("tenant {tenant}: \"{name}\" is the name of {count} rooms: {}\n", list.join(", "));
        }
        if ended > 0 {
            text += &format!("{ended} rooms were ended\n");
        }
        text
    }
}

fn as_json(repaired: &NameRepair, ended: usize) -> serde_json::Value {
    let NameRepair { names, set, removed, twins } = repaired;
    let twin = |twins: &NameTwins| json!({ "tenant": twins.tenant, "name": twins.name, "rooms": twins.rooms });
    let twins: Vec<_> = twins.iter().map(twin).collect();
    json!({ "names": names, "set": set, "removed": removed, "twins": twins, "ended": ended })
}

/// Ends all twins but the first of each name. How many were.
async fn end(context: &CliContext, pool: Pool, twins: &[NameTwins]) -> anyhow::Result<usize> {
    let config = context.config()?;
    let masters = MasterKeys::configured(&config.keys).context("the master keys cannot be used")?;
    let clock = Clock::system();
    let log = context.log(pool.clone())?;
    let on =
        ExecutorServices { log, sealer: Sealer::new(pool, masters), clock: clock.clone(), metrics: Metrics::new() };
    let (executor, queue) = Executor::new(on, ExecutorLimits::configured(&config.log));
    let queue = tokio::spawn(queue);
    let mut ended = 0;
    for twins in twins {
        for room in twins.rooms.iter().skip(1) {
            let command = RoomCommand::parse("end-room", b"{}").expect("the command takes an empty body");
            let key = RoomKey { tenant: twins.tenant.clone(), room: *room };
            executor.execute(CommandRequest::by_system(ACTOR, key, command, clock.now())).await?;
            ended += 1;
        }
    }
    // With the last executor the queue ends.
    drop(executor);
    queue.await?;
    Ok(ended)
}
