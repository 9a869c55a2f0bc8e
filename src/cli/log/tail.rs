//! `convoke log tail`

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::selection::{Place, Selection};
use crate::cli::context::Context;
use crate::events::envelope::Position;
use crate::events::log::{EventLog, wake};

/// Events read at a time.
const PAGE: usize = 1_000;

/// Show events as they are recorded, until Ctrl-C.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  convoke log tail\n  convoke log tail --tenant dev --json\n  convoke log tail --from 1"
)]
pub struct Tail {
    #[command(flatten)]
    selection: Selection,
    /// Begin at this position, with --room at this room version, instead of at the end
    #[arg(long, value_name = "NUMBER")]
    from: Option<Position>,
}

impl Tail {
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let stop = context.stop.clone();
        context
            .with_database(async |pool| {
                let log = context.log(pool)?;
                let listening = tokio::spawn(wake::run(log.clone(), stop.clone()));
                let followed = tokio::select! {
                    followed = self.follow(&log) => followed,
                    () = stop.cancelled() => Ok(()),
                };
                listening.abort();
                followed
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
                let mut output = std::io::stdout().lock();
                for event in &events {
                    self.selection.write(&mut output, event)?;
                }
                output.flush()?;
                if ended {
                    break;
                }
            }
            head.changed().await?;
        }
    }

    async fn place(&self, log: &EventLog) -> anyhow::Result<Place> {
        let from = self.from.map(|from| from.saturating_sub(1));
        Ok(match (self.selection.key(), from) {
            (None, Some(before)) => Place::Log(before),
            (None, None) => Place::Log(log.head().await?.position),
            (Some(key), Some(before)) => Place::Room(key, before),
            (Some(key), None) => {
                let version = log.room_head(&key).await?.map_or(0, |head| head.version);
                Place::Room(key, version)
            }
        })
    }
}
