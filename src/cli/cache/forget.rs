//! `convoke cache forget`

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::cli::context::CliContext;
use crate::cli::output;
use crate::ids::TenantId;
use crate::live::cache::operate::{Question, Reply};
use crate::live::pattern::Pattern;

const PATIENCE: Duration = Duration::from_secs(60);

/// Drop rooms from the memory of every running server, and their snapshots from Redis.
///
/// Responses are correct without it; use it to free memory. A room's name is room:ID; * matches any part. Exit code 1 if a server did not answer or failed.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  convoke cache forget 'room:*'\n  convoke cache forget --tenant acme 'room:01936d2e-*'"
)]
pub struct CacheForgetArgs {
    /// Which rooms
    pattern: String,
    /// Of this tenant only
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantId>,
    /// Print JSON: a list with an object for each server
    #[arg(long)]
    json: bool,
}

impl CacheForgetArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let pattern = Pattern::new(&self.pattern, self.tenant.clone())?;
        let question = Question::Forget { pattern: pattern.glob().to_owned(), tenant: self.tenant };
        let replies = super::ask(&context, question, PATIENCE).await?;
        let mut ended = super::ended(&replies);
        if self.json {
            output::print_pretty_json(&replies.received)?;
        }
        for reply in &replies.received {
            match &reply.reply {
                Reply::Forgot { memory, redis } if !self.json => {
                    let redis = redis.map_or_else(String::new, |redis| format!(", {redis} in Redis"));
                    output::print_line(format_args!("{}: {memory} rooms in memory{redis}", reply.node))?;
                }
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
