//! `convoke cache`: what the servers keep of rooms, as an operator sees it. The servers are asked through the database.

mod forget;
mod stats;
mod warm;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Subcommand;

use super::context::Context;
use super::output::note;
use crate::live::cache::operate::{self, Answers, Question};

/// Show, warm and empty the servers' caches of rooms.
#[derive(Debug, Subcommand)]
pub enum Cache {
    Stats(stats::Stats),
    Warm(warm::Warm),
    Forget(forget::Forget),
}

impl Cache {
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Stats(command) => command.run(context).await,
            Self::Warm(command) => command.run(context).await,
            Self::Forget(command) => command.run(context).await,
        }
    }
}

/// Asks all servers on the database; that there are none is an error.
async fn ask(context: &Context, question: Question, patience: Duration) -> anyhow::Result<Answers> {
    let database = context.database().await?;
    let answers = operate::ask(&database.options(), question, patience).await;
    database.stop().await;
    let answers = answers?;
    if answers.nodes == 0 {
        bail!("no server runs on this database, so there is no cache");
    }
    Ok(answers)
}

/// Says who did not answer; then the command has failed.
fn ended(answers: &Answers) -> ExitCode {
    let missing = answers.nodes.saturating_sub(answers.told.len());
    if missing == 0 {
        return ExitCode::SUCCESS;
    }
    note(format_args!("{missing} of {} servers did not answer in time", answers.nodes));
    ExitCode::FAILURE
}
