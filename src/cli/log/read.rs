//! `convoke log read`

use std::process::ExitCode;

use clap::Args;

use super::selection::{self, LogCursor, LogSelection};
use crate::cli::context::CliContext;
use crate::cli::output;
use crate::events::log::EventLog;
use crate::events::time::Timestamp;
use crate::ids::Position;

/// Events read at a time.
const PAGE: usize = 1_000;

/// Show events of the log, or of one room.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  convoke log read --from 1000 --limit 20\n  convoke log read --at 2026-01-31T09:30:00Z \
    --json\n  convoke log read --tenant dev --room 01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11"
)]
pub struct LogReadArgs {
    #[command(flatten)]
    selection: LogSelection,
    /// Begin at this position, with --room at this room version
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    from: Position,
    /// Begin at the first event recorded at or after this time (RFC 3339)
    #[arg(long, value_name = "TIME", conflicts_with = "from")]
    at: Option<Timestamp>,
    /// The largest number of events; 0 for all
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: usize,
}

impl LogReadArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        context.with_database(async |pool| self.show(&context.log(pool)?, &context).await).await?;
        Ok(ExitCode::SUCCESS)
    }

    async fn show(&self, log: &EventLog, context: &CliContext) -> anyhow::Result<()> {
        let mut place = self.place(log).await?;
        let mut left = if self.limit == 0 { usize::MAX } else { self.limit };
        while left > 0 && !context.stop.is_cancelled() {
            let (events, ended) = self.selection.next(log, &mut place, PAGE).await?;
            let mut lines = Vec::new();
            for event in events.iter().take(left) {
                self.selection.write(&mut lines, event)?;
            }
            output::stream(&lines)?;
            left = left.saturating_sub(events.len());
            if ended {
                break;
            }
        }
        Ok(())
    }

    async fn place(&self, log: &EventLog) -> anyhow::Result<LogCursor> {
        let before = self.from.saturating_sub(1);
        let Some(key) = self.selection.key() else {
            let head = log.head().await?.position;
            selection::tell_beyond_end("position", self.from, head, "the log");
            return Ok(LogCursor::Log(match self.at {
                None => before,
                Some(at) => log.position_before(at).await?,
            }));
        };
        let Some(head) = log.room_head(&key).await? else {
            anyhow::bail!("tenant {} has no room {}", key.tenant, key.room);
        };
        selection::tell_beyond_end("room version", self.from, head.version, "the room");
        let after = match self.at {
            None => before,
            Some(at) => {
                // What was recorded just before; times have whole microseconds.
                let earlier = Timestamp::from_unix_micros(at.unix_micros() - 1).unwrap_or(at);
                log.version_at(&key, earlier).await?
            }
        };
        Ok(LogCursor::Room(key, after))
    }
}
