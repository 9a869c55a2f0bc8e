//! `convoke cache stats`

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::cli::context::CliContext;
use crate::cli::output;
use crate::cli::table::{bytes, table};
use crate::live::cache::operate::{Question, Reply};
use crate::live::cache::stats::{LayerStats, NodeStats};

const PATIENCE: Duration = Duration::from_secs(5);

/// Show the size, the hit rate and the age of each running server's cache.
///
/// Counts are since the start of the server. Exit code 1 if a server did not answer.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  convoke cache stats --json")]
pub struct CacheStatsArgs {
    /// Print JSON: a list with an object for each server
    #[arg(long)]
    json: bool,
}

impl CacheStatsArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let replies = super::ask(&context, Question::Stats, PATIENCE).await?;
        if self.json {
            output::print_pretty_json(&replies.received)?;
            return Ok(super::ended(&replies));
        }
        for reply in &replies.received {
            match &reply.reply {
                Reply::Stats(stats) => output::print_text(&as_text(&reply.node, stats))?,
                Reply::Failed(why) => output::print_line(format_args!("{}: {why}", reply.node))?,
                Reply::Warmed(_) | Reply::Forgot { .. } => {}
            }
        }
        Ok(super::ended(&replies))
    }
}

fn as_text(node: &str, stats: &NodeStats) -> String {
    let following =
        if stats.following { "follows the log" } else { "cannot read the log, so every read asks the database" };
    let (through, hit_rate) = (stats.through, stats.hit_rate * 100.0);
    let mut rows = table(
        &["layer", "asked", "hits", "hit rate", "unknown", "failed", "mean age s", "held", "of"],
        &[1, 2, 3, 4, 5, 6, 7, 8],
    );
    let mut row = |name: &str, layer: &LayerStats, held: String, of: String| {
        rows.add_row([
            name.to_owned(),
            layer.asked.to_string(),
            layer.hits.to_string(),
            format!("{:.1} %", layer.hit_rate * 100.0),
            layer.unknown.to_string(),
            layer.failed.to_string(),
            format!("{:.1}", layer.mean_age_s),
            held,
            of,
        ]);
    };
    let held = format!("{} in {} rooms", bytes(stats.size.bytes), stats.size.entries);
    row("memory", &stats.memory, held, bytes(stats.size.limit));
    if let Some(redis) = &stats.redis {
        let used = redis.used.map_or_else(|| "no answer".to_owned(), bytes);
        let limit = redis.limit.filter(|limit| *limit > 0).map_or_else(|| "no bound".to_owned(), bytes);
        row(&format!("redis ({})", redis.breaker), &redis.layer, used, limit);
    }
    row("database", &stats.database, String::new(), String::new());
    format!("{node}: {following}, up to position {through}; {hit_rate:.1} % of reads without the database\n{rows}\n\n")
}
