//! `convoke cache`: what the servers keep of rooms, as an operator sees it. The servers are asked through the database.

mod forget;
mod stats;
mod warm;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Subcommand;

use super::context::CliContext;
use super::output::note;
use crate::live::cache::operate::{self, Answers, Question};

/// Show, warm and empty the servers' caches of rooms.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    Stats(stats::CacheStatsArgs),
    Warm(warm::CacheWarmArgs),
    Forget(forget::CacheForgetArgs),
}

impl CacheCommand {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        match self {
            Self::Stats(command) => command.run(context).await,
            Self::Warm(command) => command.run(context).await,
            Self::Forget(command) => command.run(context).await,
        }
    }
}

/// Asks all servers on the database; that there are none is an error.
async fn ask(context: &CliContext, question: Question, patience: Duration) -> anyhow::Result<Answers> {
    let database = context.database().await?;
    let replies = operate::ask(&database.options(), question, patience).await;
    database.stop().await;
    let replies = replies?;
    if replies.nodes == 0 {
        bail!("no server runs on this database, so there is no cache");
    }
    Ok(replies)
}

/// Says who did not answer; then the command has failed.
fn ended(replies: &Answers) -> ExitCode {
    let missing = replies.nodes.saturating_sub(replies.received.len());
    if missing == 0 {
        return ExitCode::SUCCESS;
    }
    note(format_args!("{missing} of {} servers did not answer in time", replies.nodes));
    ExitCode::FAILURE
}
