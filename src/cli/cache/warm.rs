//! `convoke cache warm`

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::cli::context::CliContext;
use crate::cli::output;
use crate::live::cache::operate::{Question, Reply};

/// A few thousand rooms, on a database that has other things to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// Make every running server load the open rooms, the newest first.
///
/// Servers of the role api do so by themselves, every CONVOKE_CACHE_WARM_INTERVAL. Exit code 1 if a server did not
/// answer or failed.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  convoke cache warm")]
pub struct CacheWarmArgs {
    /// Print JSON: a list with an object for each server
    #[arg(long)]
    json: bool,
}

impl CacheWarmArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let replies = super::ask(&context, Question::Warm, PATIENCE).await?;
        let mut ended = super::ended(&replies);
        if self.json {
            output::print_pretty_json(&replies.received)?;
        }
        for reply in &replies.received {
            match &reply.reply {
                Reply::Warmed(warmed) if !self.json => output::print_line(format_args!(
                    "{}: {} open rooms; {} loaded, {} failed",
                    reply.node, warmed.rooms, warmed.loaded, warmed.failed
                ))?,
                Reply::Failed(why) => {
                    output::note(format_args!("{}: {why}", reply.node));
                    ended = ExitCode::FAILURE;
                }
                _ => {}
            }
        }
        Ok(ended)
    }
}
