//! `convoke log tail`

use std::process::ExitCode;

use clap::Args;

use super::selection::{self, LogCursor, LogSelection};
use crate::cli::context::CliContext;
use crate::cli::output::{self, note};
use crate::events::log::{EventLog, wake};
use crate::ids::Position;

/// Events read at a time.
const PAGE: usize = 1_000;

/// Show events as they are recorded, until Ctrl-C.
///
/// Waits if --from is beyond the end. Exit code 1 if the connection to the database is lost.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  convoke log tail\n  convoke log tail --tenant dev --json\n  convoke log tail --from 1"
)]
pub struct LogTailArgs {
    #[command(flatten)]
    selection: LogSelection,
    /// Begin at this position, with --room at this room version, instead of at the end
    #[arg(long, value_name = "NUMBER")]
    from: Option<Position>,
}

impl LogTailArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let stop = context.stop.clone();
        context
            .with_database(async |pool| {
                let log = context.log(pool)?;
                tokio::select! {
                    followed = self.follow(&log) => followed,
                    lost = wake::until_lost(&log) => Err(lost.into()),
                    () = stop.cancelled() => Ok(()),
                }
            })
            .await?;
        Ok(ExitCode::SUCCESS)
    }

    async fn follow(&self, log: &EventLog) -> anyhow::Result<()> {
        let mut head = log.head_watch();
        let mut place = self.place(log).await?;
        loop {
            head.mark_unchanged();
            loop {
                let (events, ended) = self.selection.next(log, &mut place, PAGE).await?;
                let mut lines = Vec::new();
                for event in &events {
                    self.selection.write(&mut lines, event)?;
                }
                output::stream(&lines)?;
                if ended {
                    break;
                }
            }
            head.changed().await?;
        }
    }

    async fn place(&self, log: &EventLog) -> anyhow::Result<LogCursor> {
        match (self.selection.key(), self.from) {
            (None, Some(from)) => {
                selection::tell_beyond_end("position", from, log.head().await?.position, "the log");
                Ok(LogCursor::Log(from.saturating_sub(1)))
            }
            (None, None) => Ok(LogCursor::Log(log.head().await?.position)),
            (Some(key), from) => {
                let version = log.room_head(&key).await?.map(|head| head.version);
                match (version, from) {
                    (None, _) => {
                        note(format_args!("tenant {} has no room {} yet, waiting for it", key.tenant, key.room))
                    }
                    (Some(version), Some(from)) => {
                        selection::tell_beyond_end("room version", from, version, "the room")
                    }
                    (Some(_), None) => {}
                }
                let after = from.map_or(version.unwrap_or(0), |from| from.saturating_sub(1));
                Ok(LogCursor::Room(key, after))
            }
        }
    }
}
