//! The response to a command, and its repetition under the same idempotency key.
//!
//! The stored text lacks position and recorded time, which only the append knows; [`render`] adds them in front. The first and
//! every later response consist of the same two parts, so they are equal byte for byte.

use serde::Serialize;
use serde_json::value::RawValue;

use super::error::ExecuteError;
use super::request::CommandRequest;
use crate::events::log::append::{EventData, StoredOutcome};
use crate::events::time::Timestamp;
use crate::ids::{Position, RoomId, RoomVersion};

/// Events listed in an answer; of more, the rest is only counted.
pub const MAX_LISTED_EVENTS: usize = 100;

/// What became of an accepted command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandOutcome {
    /// HTTP status: 201 where it created a room, else 200.
    pub status: u16,
    pub room: RoomId,
    /// After the command.
    pub room_version: RoomVersion,
    /// Of its last event; where it wrote none, of the room's last.
    pub position: Position,
    pub recorded_at: Timestamp,
    /// The JSON text to answer.
    pub body: String,
    /// It was answered before, under the same idempotency key.
    pub replayed: bool,
}

#[derive(Serialize)]
struct ListedEvent<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    type_version: u16,
    room_version: RoomVersion,
    data: &'a RawValue,
}

#[derive(Serialize)]
struct ResponseBody<'a> {
    room: RoomId,
    room_version: RoomVersion,
    events: Vec<ListedEvent<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    more_events: Option<usize>,
}

/// The text kept of an answer: the room's version after the command and the events it wrote, which end at that version.
pub fn body(room: RoomId, room_version: RoomVersion, events: &[EventData]) -> String {
    let first = room_version + 1 - events.len() as u64;
    let written = (first..).zip(events.iter().take(MAX_LISTED_EVENTS)).map(|(version, event)| ListedEvent {
        event_type: event.event_type,
        type_version: event.type_version,
        room_version: version,
        data: &event.data,
    });
    let more = events.len().saturating_sub(MAX_LISTED_EVENTS);
    let body = ResponseBody { room, room_version, events: written.collect(), more_events: (more > 0).then_some(more) };
    serde_json::to_string(&body).expect("strings, numbers and JSON that was parsed can be written")
}

/// The whole text: position and recorded time, then what was kept.
pub fn render(position: Position, recorded_at: Timestamp, kept: &str) -> String {
    format!("{{\"position\":{position},\"recorded_at\":\"{recorded_at}\",{}", kept.strip_prefix('{').unwrap_or(kept))
}

/// The answer given before to the same request.
pub fn replay(request: &CommandRequest, stored: StoredOutcome) -> Result<CommandOutcome, ExecuteError> {
    #[derive(serde::Deserialize)]
    struct Version {
        room_version: RoomVersion,
    }
    let same = request.idempotency.as_ref().is_some_and(|given| given.fingerprint == stored.fingerprint);
    if !same {
        return Err(ExecuteError::KeyReused);
    }
    // What was kept was written by `body`.
    let room_version = serde_json::from_str::<Version>(&stored.body).map_or(0, |kept| kept.room_version);
    Ok(CommandOutcome {
        status: stored.status,
        room: stored.about,
        room_version,
        position: stored.position,
        recorded_at: stored.recorded_at,
        body: render(stored.position, stored.recorded_at, &stored.body),
        replayed: true,
    })
}

/// For the metric of commands.
pub fn label(outcome: &Result<CommandOutcome, ExecuteError>) -> &'static str {
    match outcome {
        Ok(outcome) if outcome.replayed => "replayed",
        Ok(_) => "accepted",
        Err(error) => error_label(error),
    }
}

pub fn error_label(error: &ExecuteError) -> &'static str {
    match error {
        ExecuteError::Refused(_) => "refused",
        ExecuteError::VersionMismatch { .. } => "version-mismatch",
        ExecuteError::KeyReused => "key-reused",
        ExecuteError::Conflict => "conflict",
        ExecuteError::Busy => "busy",
        ExecuteError::Unavailable(_) | ExecuteError::Sealing(_) => "unavailable",
        ExecuteError::Stopping => "stopping",
    }
}
