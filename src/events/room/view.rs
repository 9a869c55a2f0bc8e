//! A room as it is shown: the shapes that a state of the writing side and a read model both answer with, so that the room
//! "as it was" and the room "now" never differ in form. Nothing personal is in them: who may open sealed fields adds them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EndReason, Role, Settings, TrackKind, TrackSource};
use crate::events::time::Timestamp;
use crate::ids::{Identity, RecordingId, RoomId, RoomVersion, SessionId, TrackId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RoomStatus {
    /// It opens at `opens_at`, or earlier by `open-room`.
    Scheduled,
    Open,
    /// Over, for good.
    Ended,
}

impl RoomStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            RoomStatus::Scheduled => "scheduled",
            RoomStatus::Open => "open",
            RoomStatus::Ended => "ended",
        }
    }
}

/// A room, without the lists of its people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoomView {
    pub id: RoomId,
    /// How many events the room has had; the number in its `ETag`.
    pub version: RoomVersion,
    pub status: RoomStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub created_at: Timestamp,
    /// Of a room that was or is scheduled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<EndReason>,
    pub settings: Settings,
    pub locked: bool,
    /// People present; one with several sessions counts once.
    pub participant_count: u64,
    /// People in the lobby.
    pub waiting_count: u64,
    /// Raised hands, the earliest first.
    pub hands: Vec<Identity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spotlight: Option<Identity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<RecordingView>,
}

/// Somebody present.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ParticipantView {
    pub identity: Identity,
    pub role: Role,
    /// Since when they have been there without a break.
    pub present_since: Timestamp,
    /// Their stays now, the earliest first: more than one where `duplicate_identity` is `allow`.
    pub sessions: Vec<SessionView>,
    pub hand_raised: bool,
    /// By id, which is the order in which they were published.
    pub tracks: Vec<TrackView>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionView {
    pub session: SessionId,
    pub joined_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrackView {
    pub track: TrackId,
    pub session: SessionId,
    pub kind: TrackKind,
    pub source: TrackSource,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// Pixels; video only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels; video only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    pub muted: bool,
    /// Muted by staff: its owner cannot unmute it before staff allows it.
    pub muted_by_staff: bool,
}

/// Somebody in the lobby.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WaitingView {
    pub identity: Identity,
    /// The stay that begins when they are admitted.
    pub session: SessionId,
    pub role: Role,
    pub waiting_since: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecordingView {
    pub recording: RecordingId,
    pub started_at: Timestamp,
}
