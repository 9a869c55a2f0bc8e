//! Which events `log read` and `log tail` show, and how.

use std::io::{self, Write};

use clap::Args;

use crate::cli::event_line;
use crate::cli::output::note;
use crate::events::envelope::Envelope;
use crate::events::log::{EventLog, LogError};
use crate::ids::{Position, RoomId, RoomKey, RoomVersion, TenantId};
use crate::live::event_view::PersonalView;

/// Says on standard error when a reader starts beyond what there is. The next number after the end is where new events appear.
pub fn tell_beyond_end(what: &str, from: u64, end: u64, whole: &str) {
    if from > end + 1 {
        note(format_args!("{what} {from} is beyond the end of {whole}, which is at {what} {end}"));
    }
}

#[derive(Debug, Clone, Args)]
pub struct LogSelection {
    /// Only events of this tenant
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<TenantId>,
    /// Only events of this room of the tenant
    #[arg(long, value_name = "ROOM", requires = "tenant")]
    pub room: Option<RoomId>,
    /// For a program: one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// Where a reader stands: at a position of the log, or at a version of its room.
pub enum LogCursor {
    Log(Position),
    Room(RoomKey, RoomVersion),
}

impl LogSelection {
    pub fn key(&self) -> Option<RoomKey> {
        Some(RoomKey { tenant: self.tenant.clone()?, room: self.room? })
    }

    /// The next events, at most `limit`, and whether that was all there is. Moves `place` behind what it looked at.
    pub async fn next(
        &self,
        log: &EventLog,
        place: &mut LogCursor,
        limit: usize,
    ) -> Result<(Vec<Envelope>, bool), LogError> {
        match place {
            LogCursor::Room(key, version) => {
                let events = log.read_room(key, *version, None, limit).await?;
                *version = events.last().map_or(*version, |last| last.room_version);
                let ended = events.len() < limit;
                Ok((events, ended))
            }
            LogCursor::Log(position) => {
                let mut events = log.read(*position, limit).await?;
                *position = events.last().map_or(*position, |last| last.position);
                let ended = events.len() < limit;
                events.retain(|event| self.tenant.as_ref().is_none_or(|tenant| event.tenant == *tenant));
                Ok((events, ended))
            }
        }
    }

    pub fn write(&self, output: &mut impl Write, event: &Envelope) -> io::Result<()> {
        if !self.json {
            let Envelope { position, recorded_at, tenant, room, room_version, event_type, actor, .. } = event;
            let occurred = event.occurred_at.map(|at| format!(" (at {at})")).unwrap_or_default();
            let sealed = if event.sealed.is_some() { " +personal" } else { "" };
            return writeln!(
                output,
                "{position:>8}  {recorded_at}{occurred}  {tenant}/{room}@{room_version}  {event_type}  {actor}  {}{sealed}",
                event.data.get()
            );
        }
        event_line::write_with_tenant(output, event, PersonalView::of(event, None))
    }
}
