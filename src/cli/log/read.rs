//! `convoke log read`

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::selection::{Place, Selection};
use crate::cli::context::Context;
use crate::events::envelope::Position;
use crate::events::log::EventLog;
use crate::events::time::Timestamp;

/// Events read at a time.
const PAGE: usize = 1_000;

/// Show events of the log, or of one room, from a place on.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  convoke log read --from 1000 --limit 20\n  convoke log read --at 2026-01-31T09:30:00Z \
    --json\n  convoke log read --tenant dev --room 01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11"
)]
pub struct Read {
    #[command(flatten)]
    selection: Selection,
    /// From this position on; with --room from this room version on
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    from: Position,
    /// From what was recorded at this time on (RFC 3339)
    #[arg(long, value_name = "TIME", conflicts_with = "from")]
    at: Option<Timestamp>,
    /// At most so many; 0: all
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: usize,
}

impl Read {
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        context.with_database(async |pool| self.show(&context.log(pool)?, &context).await).await?;
        Ok(ExitCode::SUCCESS)
    }

    async fn show(&self, log: &EventLog, context: &Context) -> anyhow::Result<()> {
        let mut place = self.place(log).await?;
        let mut left = if self.limit == 0 { usize::MAX } else { self.limit };
        let mut output = std::io::BufWriter::new(std::io::stdout().lock());
        while left > 0 && !context.stop.is_cancelled() {
            let (events, ended) = self.selection.next(log, &mut place, PAGE).await?;
            for event in events.iter().take(left) {
                self.selection.write(&mut output, event)?;
            }
            left = left.saturating_sub(events.len());
            if ended {
                break;
            }
        }
        output.flush()?;
        Ok(())
    }

    async fn place(&self, log: &EventLog) -> anyhow::Result<Place> {
        let before = self.from.saturating_sub(1);
        Ok(match (self.selection.key(), self.at) {
            (None, None) => Place::Log(before),
            (None, Some(at)) => Place::Log(log.position_before(at).await?),
            (Some(key), None) => Place::Room(key, before),
            (Some(key), Some(at)) => {
                // What was recorded just before; times have whole microseconds.
                let earlier = Timestamp::from_unix_micros(at.unix_micros() - 1).unwrap_or(at);
                let version = log.version_at(&key, earlier).await?;
                Place::Room(key, version)
            }
        })
    }
}
