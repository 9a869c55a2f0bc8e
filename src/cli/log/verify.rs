//! `convoke log verify`

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::cli::context::CliContext;
use crate::cli::output;
use crate::cli::progress::WorkProgress;
use crate::events::log::EventLog;
use crate::events::log::verify::VerifyResult;
use crate::ids::{Position, RoomId, RoomKey, TenantId};

/// Verify that the log, or one room, is complete and unchanged.
///
/// Reads every event and checks that positions and room versions have no gaps, that recorded time never goes back, that every
/// hash matches the event and its predecessors in the room, and that every room ends at its recorded version. Exit code 1 if
/// a check fails; the command prints the first position at fault.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  convoke log verify\n  convoke log verify --tenant dev --room \
    01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11 --json")]
pub struct LogVerifyArgs {
    /// The tenant of the room
    #[arg(long, value_name = "TENANT", requires = "room")]
    tenant: Option<TenantId>,
    /// Only this room
    #[arg(long, value_name = "ROOM", requires = "tenant")]
    room: Option<RoomId>,
    /// For a program: one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct VerifyReport {
    whole: bool,
    /// Ctrl-C came before the end; what is said holds for what was walked.
    interrupted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rooms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

impl LogVerifyArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let verdict = context.with_database(async |pool| self.prove(&context.log(pool)?, &context).await).await?;
        let report = VerifyReport::of(verdict, context.stop.is_cancelled());
        if self.json {
            output::print_json(&report)?;
        } else {
            output::print_line(report.sentence())?;
        }
        Ok(if report.whole && !report.interrupted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn prove(&self, log: &EventLog, context: &CliContext) -> anyhow::Result<VerifyResult> {
        let mut progress = WorkProgress::new("verify", "events", None);
        let mut step = |done, total| {
            progress.set_total(total);
            progress.set(done);
            !context.stop.is_cancelled()
        };
        let verdict = match (&self.tenant, self.room) {
            (Some(tenant), Some(room)) => {
                let key = RoomKey { tenant: tenant.clone(), room };
                anyhow::ensure!(log.room_head(&key).await?.is_some(), "tenant {tenant} has no room {room}");
                log.verify_room(&key, &mut step).await?
            }
            _ => log.verify(&mut step).await?,
        };
        progress.finish();
        Ok(verdict)
    }
}

impl VerifyReport {
    fn of(verdict: VerifyResult, interrupted: bool) -> Self {
        let empty =
            Self { whole: true, interrupted, events: None, rooms: None, position: None, room: None, fault: None };
        match verdict {
            VerifyResult::Whole { events, rooms } => Self { events: Some(events), rooms: Some(rooms), ..empty },
            VerifyResult::Broken(fault) => Self {
                whole: false,
                position: Some(fault.position),
                room: fault.room.map(|key| format!("{}/{}", key.tenant, key.room)),
                fault: Some(fault.what),
                ..empty
            },
        }
    }

    fn sentence(&self) -> String {
        let (events, rooms) = (self.events.unwrap_or(0), self.rooms.unwrap_or(0));
        match (&self.fault, self.position) {
            (Some(fault), Some(position)) => {
                let room = self.room.as_deref().map(|room| format!(" (room {room})")).unwrap_or_default();
                format!("BROKEN at position {position}{room}: {fault}")
            }
            _ if self.interrupted => format!("interrupted: the first {events} events of {rooms} rooms are intact"),
            _ => format!("intact: {events} events of {rooms} rooms"),
        }
    }
}
